//! **The ring**: the keys of all purposes at one moment, ready to sign and verify, and their
//! published sets as text.

use std::sync::Arc;

use proof::jose::jwk::{Jwk, JwkSet};
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::seal::{self, Aad, KekRing};
use proof::time::Timestamp;

use super::KeyError;
use crate::ports::{KeyPurpose, KeyState, StoredKey};

/// Where a private key is sealed.
pub(super) const TABLE: &str = "signing_keys";
pub(super) const COLUMN: &str = "sealed";

/// Keys of all purposes.
#[derive(Debug, Default)]
pub struct KeyRing {
    /// In the order of [`KeyPurpose::ALL`].
    sets: [KeySet; KeyPurpose::ALL.len()],
    issuer_jwks: Arc<str>,
}

/// Keys of one purpose.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    pub(super) keys: Vec<RingKey>,
    signer: Option<Arc<SigningKey>>,
    published: Vec<Jwk>,
    jwks: Arc<str>,
}

/// What the schedule needs to know of a key.
#[derive(Debug)]
pub(super) struct RingKey {
    pub(super) kid: String,
    pub(super) state: KeyState,
    pub(super) created_at: Timestamp,
    pub(super) activated_at: Option<Timestamp>,
    pub(super) key: VerifyingKey,
}

impl KeyRing {
    /// The key that signs for a purpose now.
    pub fn signer(&self, purpose: KeyPurpose) -> Option<&SigningKey> {
        self.set(purpose).signer.as_deref()
    }
    /// The published key of a purpose with this id.
    pub fn verifier(&self, purpose: KeyPurpose, kid: &str) -> Option<&VerifyingKey> {
        self.set(purpose)
            .keys
            .iter()
            .find(|key| key.kid == kid)
            .map(|key| &key.key)
    }
    /// All published keys of a purpose, ready to verify.
    pub fn verifiers(&self, purpose: KeyPurpose) -> impl Iterator<Item = &VerifyingKey> {
        self.set(purpose).keys.iter().map(|key| &key.key)
    }
    /// The key set of a purpose as a JSON document (RFC 7517 §5).
    pub fn jwks(&self, purpose: KeyPurpose) -> &Arc<str> {
        &self.set(purpose).jwks
    }
    /// Names of the algorithms that published keys of a purpose have.
    pub fn algorithms(&self, purpose: KeyPurpose) -> Vec<&'static str> {
        let mut names: Vec<_> = self
            .verifiers(purpose)
            .map(|key| key.alg().name())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
    /// The key set that the issuer publishes (`jwks_uri`): the keys of access tokens and of ID
    /// tokens. What tells them apart for others is the type of the token (RFC 9068 §4).
    pub fn issuer_jwks(&self) -> &Arc<str> {
        &self.issuer_jwks
    }
    pub(super) fn set(&self, purpose: KeyPurpose) -> &KeySet {
        &self.sets[purpose as usize]
    }
    /// The ring of these sets, one for each of [`KeyPurpose::ALL`].
    pub(super) fn of(sets: [KeySet; KeyPurpose::ALL.len()]) -> Self {
        let published = KeyPurpose::OF_ISSUER
            .iter()
            .flat_map(|purpose| sets[*purpose as usize].published.iter().cloned())
            .collect();
        Self {
            issuer_jwks: document(published),
            sets,
        }
    }
}

fn document(keys: Vec<Jwk>) -> Arc<str> {
    serde_json::to_string(&JwkSet::new(keys))
        .expect("public keys always serialise to JSON")
        .into()
}

impl KeySet {
    /// Reads stored keys. Only the active key is unsealed: the private halves of all others stay
    /// closed.
    pub(super) fn load(stored: Vec<StoredKey>, kek: &KekRing) -> Result<Self, KeyError> {
        let mut set = Self::default();
        for row in stored {
            if row.state == KeyState::Retired {
                continue;
            }
            let (jwk, key) = public(&row)?;
            // Newest first: should two nodes have made their first key at once, the newer signs.
            if row.state == KeyState::Active && set.signer.is_none() {
                set.signer = Some(Arc::new(private(&row, kek)?));
            }
            set.published.push(jwk);
            set.keys.push(RingKey {
                kid: row.kid,
                state: row.state,
                created_at: row.created_at,
                activated_at: row.activated_at,
                key,
            });
        }
        set.jwks = document(set.published.clone());
        Ok(set)
    }

    pub(super) fn active(&self) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.state == KeyState::Active)
    }
}

fn public(row: &StoredKey) -> Result<(Jwk, VerifyingKey), KeyError> {
    let damaged = |defect: String| KeyError::Damaged {
        kid: row.kid.clone(),
        defect,
    };
    let members = row
        .public_jwk
        .as_object()
        .ok_or_else(|| damaged("no public key".to_owned()))?;
    let jwk = Jwk::from_members(members).map_err(|defect| damaged(defect.to_string()))?;
    // A key id is a thumbprint, so a row whose public half was exchanged shows.
    if jwk.thumbprint() != row.kid || jwk.kid() != Some(&row.kid) {
        return Err(damaged("the key id is not the key's thumbprint".to_owned()));
    }
    let key =
        VerifyingKey::new(&jwk, row.algorithm).map_err(|defect| damaged(defect.to_string()))?;
    Ok((jwk, key))
}

fn private(row: &StoredKey, kek: &KekRing) -> Result<SigningKey, KeyError> {
    let place = Aad {
        table: TABLE,
        column: COLUMN,
        row: &row.kid,
    };
    let pkcs8 = seal::open(kek, &place, &row.sealed).map_err(|defect| KeyError::Sealed {
        kid: row.kid.clone(),
        defect,
    })?;
    let key =
        SigningKey::from_pkcs8(row.algorithm, &pkcs8).map_err(|defect| KeyError::Damaged {
            kid: row.kid.clone(),
            defect: defect.to_string(),
        })?;
    if key.kid() != row.kid {
        return Err(KeyError::Damaged {
            kid: row.kid.clone(),
            defect: "the private key belongs to another public key".to_owned(),
        });
    }
    Ok(key)
}
