//! **The ring**: the keys of all purposes at one moment, ready to sign and verify (or to encrypt and
//! open), and the published sets of those that have a public half as text.

use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::jwk::{Jwk, JwkSet};
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::paseto::{self, IssuingKey, LocalKey};
use proof::seal::{self, Aad, KekRing};
use proof::secret::Secret;
use proof::time::Timestamp;
use serde_json::Value;

use super::KeyError;
use crate::ports::{KeyForm, KeyPurpose, KeyState, StoredKey};

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
    encrypter: Option<IssuingKey>,
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
    judges: Judges,
}

/// What tells whether a token is of a key.
#[derive(Debug)]
enum Judges {
    Signature(VerifyingKey),
    Encryption(Arc<paseto::Key>),
}

impl RingKey {
    /// Its algorithm, of a key pair.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        match &self.judges {
            Judges::Signature(key) => Some(key.alg()),
            Judges::Encryption(_) => None,
        }
    }
    pub(super) fn algorithm_name(&self) -> &'static str {
        self.algorithm()
            .map_or(KeyForm::LOCAL, |algorithm| algorithm.name())
    }
    fn verifier(&self) -> Option<&VerifyingKey> {
        match &self.judges {
            Judges::Signature(key) => Some(key),
            Judges::Encryption(_) => None,
        }
    }
    fn opener(&self) -> Option<&Arc<paseto::Key>> {
        match &self.judges {
            Judges::Encryption(key) => Some(key),
            Judges::Signature(_) => None,
        }
    }
}

impl KeyRing {
    /// The key that signs for a purpose now.
    pub fn signer(&self, purpose: KeyPurpose) -> Option<&SigningKey> {
        self.set(purpose).signer.as_deref()
    }
    /// The key that encrypts for a purpose now.
    pub fn encrypter(&self, purpose: KeyPurpose) -> Option<&IssuingKey> {
        self.set(purpose).encrypter.as_ref()
    }
    /// Whether a key of a purpose with this id counts: it is not retired.
    pub fn knows(&self, purpose: KeyPurpose, kid: &str) -> bool {
        self.set(purpose).named(kid).is_some()
    }
    /// The published key of a purpose with this id.
    pub fn verifier(&self, purpose: KeyPurpose, kid: &str) -> Option<&VerifyingKey> {
        self.set(purpose).named(kid)?.verifier()
    }
    /// All published keys of a purpose, ready to verify.
    pub fn verifiers(&self, purpose: KeyPurpose) -> impl Iterator<Item = &VerifyingKey> {
        self.set(purpose).keys.iter().filter_map(RingKey::verifier)
    }
    /// The key of a purpose with this id that opens what it encrypted.
    pub fn opener(&self, purpose: KeyPurpose, kid: &str) -> Option<&Arc<paseto::Key>> {
        self.set(purpose).named(kid)?.opener()
    }
    /// All keys of a purpose that open, with their ids.
    pub fn openers(&self, purpose: KeyPurpose) -> impl Iterator<Item = (&str, &Arc<paseto::Key>)> {
        let keys = self.set(purpose).keys.iter();
        keys.filter_map(|key| Some((&*key.kid, key.opener()?)))
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
    /// Reads stored keys of a purpose. Of pairs only the active one is unsealed: the private halves
    /// of all others stay closed. A key that encrypts is needed for as long as it opens.
    pub(super) fn load(
        purpose: KeyPurpose,
        stored: Vec<StoredKey>,
        kek: &KekRing,
    ) -> Result<Self, KeyError> {
        let mut set = Self::default();
        for row in stored {
            if row.state == KeyState::Retired {
                continue;
            }
            // Newest first: should two nodes have made their first key at once, the newer signs.
            let first = row.state == KeyState::Active && set.active().is_none();
            // A key of one form is never taken for one of the other.
            let judges = match (purpose.encrypts(), &row.form) {
                (true, KeyForm::Local) => {
                    let key = local(&row, kek)?;
                    if first {
                        set.encrypter = Some(IssuingKey::local(key.clone()));
                    }
                    Judges::Encryption(Arc::new(paseto::Key::Local(key)))
                }
                (
                    false,
                    KeyForm::Pair {
                        algorithm,
                        public_jwk,
                    },
                ) => {
                    let (jwk, key) = public(&row, *algorithm, public_jwk)?;
                    if first {
                        set.signer = Some(Arc::new(private(&row, *algorithm, kek)?));
                    }
                    set.published.push(jwk);
                    Judges::Signature(key)
                }
                _ => return Err(damaged(&row, &"it is no key for its purpose")),
            };
            set.keys.push(RingKey {
                kid: row.kid,
                state: row.state,
                created_at: row.created_at,
                activated_at: row.activated_at,
                judges,
            });
        }
        set.jwks = document(set.published.clone());
        Ok(set)
    }

    pub(super) fn active(&self) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.state == KeyState::Active)
    }

    fn named(&self, kid: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

fn damaged(row: &StoredKey, defect: &dyn core::fmt::Display) -> KeyError {
    KeyError::Damaged {
        kid: row.kid.clone(),
        defect: defect.to_string(),
    }
}

fn public(
    row: &StoredKey,
    algorithm: Algorithm,
    public_jwk: &Value,
) -> Result<(Jwk, VerifyingKey), KeyError> {
    let members = public_jwk
        .as_object()
        .ok_or_else(|| damaged(row, &"no public key"))?;
    let jwk = Jwk::from_members(members).map_err(|defect| damaged(row, &defect))?;
    // A key id is a thumbprint, so a row whose public half was exchanged shows.
    if jwk.thumbprint() != row.kid || jwk.kid() != Some(&row.kid) {
        return Err(damaged(row, &"the key id is not the key's thumbprint"));
    }
    let key = VerifyingKey::new(&jwk, algorithm).map_err(|defect| damaged(row, &defect))?;
    Ok((jwk, key))
}

fn unsealed(row: &StoredKey, kek: &KekRing) -> Result<Secret, KeyError> {
    let place = Aad {
        table: TABLE,
        column: COLUMN,
        row: &row.kid,
    };
    seal::open(kek, &place, &row.sealed).map_err(|defect| KeyError::Sealed {
        kid: row.kid.clone(),
        defect,
    })
}

fn private(row: &StoredKey, algorithm: Algorithm, kek: &KekRing) -> Result<SigningKey, KeyError> {
    let pkcs8 = unsealed(row, kek)?;
    let key = SigningKey::from_pkcs8(algorithm, &pkcs8).map_err(|defect| damaged(row, &defect))?;
    if key.kid() != row.kid {
        return Err(damaged(
            row,
            &"the private key belongs to another public key",
        ));
    }
    Ok(key)
}

fn local(row: &StoredKey, kek: &KekRing) -> Result<LocalKey, KeyError> {
    match IssuingKey::from_paserk(&unsealed(row, kek)?).map_err(|defect| damaged(row, &defect))? {
        IssuingKey::Local { key, id } if id == row.kid => Ok(key),
        _ => Err(damaged(row, &"the key id is not the key's own")),
    }
}
