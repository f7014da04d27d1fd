//! **Signing keys**: what callers sign requests with, as it is stored, ready to judge by. A key is
//! one of two things: shared secrets, at most two of them valid at once while callers change over,
//! or public keys whose private half we never saw. This module compares nothing: how a signature is
//! verified is each scheme's.

use std::sync::Arc;

use proof::issued::SigningKeyId;
use proof::jose::verifying::VerifyingKey;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{SharedKey, Style};
use serde::{Deserialize, Serialize};

use super::{LifeState, SecretId, Standing};

/// What a key signs by. A key made for one scheme is never accepted for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningScheme {
    /// Doorward's own plain HMAC over a few lines.
    Hmac,
    /// AWS Signature Version 4.
    #[serde(rename = "sigv4")]
    SigV4,
    /// HTTP Message Signatures (RFC 9421).
    HttpSignature,
    /// Webhooks: Standard Webhooks, and the styles of some providers.
    Webhook,
}

impl SigningScheme {
    /// Every scheme.
    pub const ALL: [Self; 4] = [Self::Hmac, Self::SigV4, Self::HttpSignature, Self::Webhook];

    /// Its name in the store, the admin API and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::SigV4 => "sigv4",
            Self::HttpSignature => "http_signature",
            Self::Webhook => "webhook",
        }
    }

    /// The scheme of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }
}

/// A stored signing key, as `store` hands it over. It is kept in memory with its secrets, which are
/// wiped when the last holder lets it go.
#[derive(Debug)]
pub struct SigningKey {
    /// Its public name on the wire.
    pub key_id: SigningKeyId,
    /// The one scheme it is for.
    pub scheme: SigningScheme,
    /// What verifies its signatures. Empty once it was revoked.
    pub material: SigningMaterial,
    /// Its life-cycle state.
    pub state: LifeState,
    /// Past this it is refused (our own clock: no leeway).
    pub expires_at: Option<Timestamp>,
    /// What it stands for.
    pub standing: Arc<Standing>,
}

/// What verifies signatures; the newest first.
#[derive(Debug)]
pub enum SigningMaterial {
    /// Secrets that both sides know.
    Shared(Vec<SharedSecret>),
    /// Keys whose private half only the caller has.
    Public(Vec<PublicKey>),
}

/// A secret that both sides know.
#[derive(Debug)]
pub struct SharedSecret {
    id: SecretId,
    text: Secret,
    /// The same as Standard Webhooks reads it, where it is one of theirs.
    standard: Option<SharedKey>,
    /// Past this it verifies nothing any more; `None`: as long as its key.
    pub valid_until: Option<Timestamp>,
}

/// A registered public key.
#[derive(Debug)]
pub struct PublicKey {
    /// Which one it is.
    pub id: SecretId,
    /// Pinned to one algorithm: `EdDSA`, `ES256` or `PS512`.
    pub key: VerifyingKey,
    /// Past this it verifies nothing any more; `None`: as long as its key.
    pub valid_until: Option<Timestamp>,
}

impl SharedSecret {
    /// From the whole text that was shown, or brought in.
    pub fn new(id: SecretId, text: Secret, valid_until: Option<Timestamp>) -> Self {
        let standard = SharedKey::read(Style::StandardWebhooks, &text).ok();
        Self {
            id,
            text,
            standard,
            valid_until,
        }
    }

    /// Which one it is.
    pub fn id(&self) -> &SecretId {
        &self.id
    }

    /// The bytes to sign with: those behind `whsec_` where the secret is one of Standard Webhooks,
    /// else the whole text as UTF-8.
    pub fn key(&self) -> &Secret {
        self.standard.as_ref().map_or(&self.text, SharedKey::key)
    }

    /// The whole text as UTF-8, for providers that write `whsec_` and sign with the text itself.
    pub fn text(&self) -> &Secret {
        &self.text
    }
}

impl SigningKey {
    /// Whether it is neither suspended nor ended, and something of it verifies at a time.
    pub fn lives(&self, now: Timestamp) -> bool {
        self.state == LifeState::Active
            && self.expires_at.is_none_or(|end| now < end)
            && (self.secrets_at(now).next().is_some() || self.public_keys_at(now).next().is_some())
    }

    /// The shared secrets that verify at a time, the newest first; none for public keys. Whether
    /// the key itself is alive is judged apart.
    pub fn secrets_at(&self, now: Timestamp) -> impl Iterator<Item = &SharedSecret> {
        let secrets = match &self.material {
            SigningMaterial::Shared(secrets) => secrets.as_slice(),
            SigningMaterial::Public(_) => &[],
        };
        secrets
            .iter()
            .filter(move |one| one.valid_until.is_none_or(|end| now < end))
    }

    /// The public keys that verify at a time, the newest first; none for shared secrets.
    pub fn public_keys_at(&self, now: Timestamp) -> impl Iterator<Item = &PublicKey> {
        let keys = match &self.material {
            SigningMaterial::Public(keys) => keys.as_slice(),
            SigningMaterial::Shared(_) => &[],
        };
        keys.iter()
            .filter(move |one| one.valid_until.is_none_or(|end| now < end))
    }

    /// Which secret or public key is the one at this place among those that verify at a time.
    pub fn which(&self, place: usize, now: Timestamp) -> Option<&SecretId> {
        let secrets = self.secrets_at(now).map(SharedSecret::id);
        let keys = self.public_keys_at(now).map(|one| &one.id);
        secrets.chain(keys).nth(place)
    }
}

#[cfg(test)]
mod tests {
    use proof::base64std;

    use super::*;

    fn shared(text: &str) -> SharedSecret {
        SharedSecret::new(
            SecretId::new("mat_1"),
            Secret::from_text(text.to_owned()),
            None,
        )
    }

    #[test]
    fn a_standard_webhook_secret_signs_with_its_decoded_bytes_and_any_other_with_its_text() {
        let bytes = [7_u8; 32];
        let standard = format!("whsec_{}", base64std::encode(&bytes));
        assert_eq!(shared(&standard).key().expose(), bytes);
        assert_eq!(shared(&standard).text().expose(), standard.as_bytes());
        let short = format!("whsec_{}", base64std::encode(&[7; 23]));
        for whole in [
            "dw_hs_live_abc",
            "whsec_no base64",
            "whsec_",
            &short,
            "8f742231b10e8888abcd99yyyzzz85a5",
        ] {
            assert_eq!(shared(whole).key().expose(), whole.as_bytes(), "{whole}");
        }
    }

    #[test]
    fn i01_a_shared_secret_masks_itself_in_debug_output() {
        let printed = format!("{:?}", shared("dw_hs_live_hunter2"));
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn schemes_are_known_by_one_name_everywhere() {
        for scheme in SigningScheme::ALL {
            assert_eq!(SigningScheme::from_name(scheme.name()), Some(scheme));
            let json = serde_json::to_string(&scheme).unwrap();
            assert_eq!(json, format!("\"{}\"", scheme.name()));
        }
        assert_eq!(SigningScheme::from_name("SigV4"), None);
    }
}
