//! **Signing keys as stored**: what callers sign requests with. Unlike every other credential its
//! secret must be read back to verify anything, so it is kept sealed and not hashed. This module
//! says what is kept, where a sealed secret belongs, and which public keys a scheme takes; it makes
//! nothing.
//!
//! The issuer's own keys are another thing (`issuer::keys`): in the audit trail and the admin API
//! those are `signing_key`, and these `signing_secret`.

use proof::jose::alg::{Algorithm, Family};
use proof::jose::jwk::Jwk;
use proof::jose::verifying::VerifyingKey;
use proof::seal::Aad;
use proof::time::Timestamp;
use proof::{base64std, base64url};
use serde_json::{Value, json};
use verdict::identity::{SecretId, SigningScheme};

/// At most so many secrets, or public keys, of one signing key are valid at once.
pub const VALID_AT_ONCE: usize = 2;

/// What a signing key has beyond any credential.
#[derive(Debug, Clone, PartialEq)]
pub struct Signing {
    /// The one scheme it is for.
    pub scheme: SigningScheme,
    /// What verifies, the newest first. What has ended may still be listed until it is swept; a
    /// revoked key has none.
    pub material: Vec<SigningMaterial>,
}

/// One secret, or one public key.
#[derive(Debug, Clone, PartialEq)]
pub struct SigningMaterial {
    /// Its own id (UUIDv7). It is part of what a secret is sealed for.
    pub id: String,
    /// What it is.
    pub form: MaterialForm,
    /// When it was made or brought in.
    pub created_at: Timestamp,
    /// When it ends because another took its place.
    pub until: Option<Timestamp>,
}

/// What verifies signatures.
#[derive(Debug, Clone, PartialEq)]
pub enum MaterialForm {
    /// A secret under the master key, as [`proof::seal::seal`] wrote it for [`place`].
    Shared {
        /// The sealed bytes.
        sealed: Vec<u8>,
    },
    /// A public key.
    Public {
        /// As a JWK, with its one `alg`.
        jwk: Value,
    },
}

impl Signing {
    /// What is valid at a time, the newest first.
    pub fn valid_at(&self, now: Timestamp) -> impl Iterator<Item = &SigningMaterial> {
        self.material.iter().filter(move |one| one.is_valid_at(now))
    }
    /// Whether it holds secrets that both sides know; `None` once there is nothing left.
    pub fn is_shared(&self) -> Option<bool> {
        let newest = self.material.first()?;
        Some(matches!(newest.form, MaterialForm::Shared { .. }))
    }
}

impl SigningMaterial {
    /// What it is called in the record of calls, in usage and by administrators.
    pub fn public_id(&self) -> SecretId {
        SecretId::new(format!("mat_{}", self.id))
    }
    /// Whether it verifies at a time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }
}

/// A sealed secret with the master key that it is under, as [`crate::ports::SealedSecrets`] finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The material's id.
    pub id: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// Where a secret belongs. Sealed for one place, it opens at no other.
pub fn place(material: &str) -> Aad<'_> {
    Aad {
        table: "signing_material",
        column: "body",
        row: material,
    }
}

/// Why a public key can't be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPublicKey {
    /// Neither a JWK, a PEM block `PUBLIC KEY`, nor `whpk_…`.
    Form,
    /// A private key was given. It should be thought of as exposed.
    Private,
    /// The scheme knows no signatures of such keys.
    Scheme,
}

impl BadPublicKey {
    /// What is wrong, in a sentence that is safe to show.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Form => "it is no public key as a JWK, as a PEM block PUBLIC KEY, or as whpk_…",
            Self::Private => "it is a private key: keep that, and register its public half",
            Self::Scheme => "the scheme takes no public key of this type",
        }
    }
}

impl core::fmt::Display for BadPublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for BadPublicKey {}

/// Begins a public key of Standard Webhooks.
const WEBHOOK_PUBLIC: &str = "whpk_";

/// Reads a public key as a JWK (RFC 7517), as PEM (RFC 7468 §13), or as `whpk_` and the base64 of an
/// Ed25519 key. It comes back pinned to the one algorithm that the scheme signs with by such a key.
///
/// # Errors
/// [`BadPublicKey`].
pub fn read_public_key(scheme: SigningScheme, text: &str) -> Result<Jwk, BadPublicKey> {
    use proof::jose::jwk::JwkDefect;
    let text = text.trim();
    let read = if text.starts_with('{') {
        Jwk::parse_public(text.as_bytes())
    } else if let Some(bytes) = text.strip_prefix(WEBHOOK_PUBLIC) {
        let bytes = base64std::decode(bytes.as_bytes()).map_err(|_| BadPublicKey::Form)?;
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&bytes)});
        Jwk::parse_public(jwk.to_string().as_bytes())
    } else if text.contains("PRIVATE KEY-----") {
        return Err(BadPublicKey::Private);
    } else {
        Jwk::from_spki_pem(text)
    };
    let jwk = read.map_err(|defect| match defect {
        JwkDefect::PrivateMember => BadPublicKey::Private,
        _ => BadPublicKey::Form,
    })?;
    let algorithm = algorithm(scheme, jwk.family()).ok_or(BadPublicKey::Scheme)?;
    // A key that says what it is for is for nothing else.
    if jwk.alg().is_some_and(|own| own != algorithm) {
        return Err(BadPublicKey::Scheme);
    }
    jwk.with_alg(algorithm).map_err(|_| BadPublicKey::Scheme)
}

/// The stored form of a public key, ready to verify; `None` if it does not read.
pub fn prepare(scheme: SigningScheme, stored: &Value) -> Option<VerifyingKey> {
    let jwk = Jwk::from_members(stored.as_object()?).ok()?;
    let algorithm = algorithm(scheme, jwk.family())?;
    VerifyingKey::new(&jwk, algorithm).ok()
}

/// What a scheme signs with by keys of a type. RFC 9421 §3.3: `ed25519`, `ecdsa-p256-sha256`,
/// `rsa-pss-sha512`; Standard Webhooks, *v1a*: Ed25519.
fn algorithm(scheme: SigningScheme, family: Family) -> Option<Algorithm> {
    match (scheme, family) {
        (SigningScheme::HttpSignature | SigningScheme::Webhook, Family::Ed25519) => {
            Some(Algorithm::EdDSA)
        }
        (SigningScheme::HttpSignature, Family::P256) => Some(Algorithm::ES256),
        (SigningScheme::HttpSignature, Family::Rsa) => Some(Algorithm::PS512),
        (
            SigningScheme::Hmac
            | SigningScheme::SigV4
            | SigningScheme::HttpSignature
            | SigningScheme::Webhook,
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 §A.2.
    const ED25519: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn read(scheme: SigningScheme, text: &str) -> Result<Algorithm, BadPublicKey> {
        read_public_key(scheme, text).map(|jwk| jwk.alg().expect("it is pinned"))
    }

    #[test]
    fn c01_a_public_key_is_pinned_to_the_one_algorithm_of_its_scheme() {
        use SigningScheme::{Hmac, HttpSignature, SigV4, Webhook};
        let p256 = proof::jose::key::SigningKey::generate(Algorithm::ES256).unwrap();
        let p256 = json!(p256.public_jwk()).to_string();
        let p384 = proof::jose::key::SigningKey::generate(Algorithm::ES384).unwrap();
        let p384 = json!(p384.public_jwk()).to_string();
        for (scheme, text, expected) in [
            (HttpSignature, ED25519, Ok(Algorithm::EdDSA)),
            (Webhook, ED25519, Ok(Algorithm::EdDSA)),
            (HttpSignature, p256.as_str(), Ok(Algorithm::ES256)),
            (Webhook, p256.as_str(), Err(BadPublicKey::Scheme)),
            (HttpSignature, p384.as_str(), Err(BadPublicKey::Scheme)),
            (Hmac, ED25519, Err(BadPublicKey::Scheme)),
            (SigV4, ED25519, Err(BadPublicKey::Scheme)),
        ] {
            assert_eq!(read(scheme, text), expected, "{scheme:?} {text}");
        }
        let jwk = read_public_key(HttpSignature, ED25519).unwrap();
        let ready = prepare(HttpSignature, &jwk.to_json()).expect("what was stored reads back");
        assert_eq!(ready.alg(), Algorithm::EdDSA);
        assert!(prepare(SigV4, &jwk.to_json()).is_none());
    }

    #[test]
    fn a_webhook_public_key_is_read_in_its_own_form() {
        let bytes = base64url::decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let text = format!("whpk_{}\n", base64std::encode(&bytes));
        assert_eq!(read(SigningScheme::Webhook, &text), Ok(Algorithm::EdDSA));
        for bad in ["whpk_", "whpk_AAAA", "whpk_not base64"] {
            assert_eq!(read(SigningScheme::Webhook, bad), Err(BadPublicKey::Form));
        }
    }

    #[test]
    fn a_private_key_is_refused_as_such() {
        let private = ED25519.replace(
            "\"x\"",
            "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\",\"x\"",
        );
        let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for text in [private.as_str(), pem] {
            assert_eq!(
                read(SigningScheme::HttpSignature, text),
                Err(BadPublicKey::Private)
            );
        }
        for text in ["", "{}", "hello", "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(
                read(SigningScheme::HttpSignature, text),
                Err(BadPublicKey::Form),
                "{text}"
            );
        }
    }
}
