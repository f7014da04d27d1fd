//! Keys of webhooks, in the spellings that senders use.

use std::fmt;

use zeroize::Zeroizing;

use super::Style;
use crate::{
    base64std,
    jose::{
        alg::Algorithm,
        jwk::{Jwk, Material},
        key::SigningKey,
        verifying::VerifyingKey,
    },
    random::Entropy,
    secret::Secret,
};

/// Spelling of a Standard Webhooks secret, public key and private key.
const SECRET_PREFIX: &str = "whsec_";
const PUBLIC_PREFIX: &str = "whpk_";
const PRIVATE_PREFIX: &str = "whsk_";

/// The text is no key of its style.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook key of this style")]
pub struct KeyDefect;

impl KeyDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        "webhook-key"
    }
}

/// A key to verify deliveries with.
#[derive(Debug)]
pub enum Key {
    /// A secret that both sides know.
    Shared(SharedKey),
    /// The sender's public key, Ed25519.
    Public(VerifyingKey),
}

impl Key {
    /// Reads a key as the sender gives it out: `whsec_…` or `whpk_…` for Standard Webhooks, any
    /// text for the others.
    ///
    /// # Errors
    /// [`KeyDefect`].
    pub fn read(style: Style, text: &Secret) -> Result<Self, KeyDefect> {
        let written = text.expose_text().ok_or(KeyDefect)?;
        if style == Style::StandardWebhooks
            && let Some(encoded) = written.strip_prefix(PUBLIC_PREFIX)
        {
            let bytes = base64std::decode(encoded.as_bytes()).map_err(|_| KeyDefect)?;
            let jwk = Jwk::from_ed25519(&bytes).map_err(|_| KeyDefect)?;
            let key = VerifyingKey::new(&jwk, Algorithm::EdDSA).map_err(|_| KeyDefect)?;
            return Ok(Self::Public(key));
        }
        SharedKey::read(style, text).map(Self::Shared)
    }
}

/// A secret that both sides know.
#[derive(Debug)]
pub struct SharedKey(Secret);

impl SharedKey {
    /// Reads a secret as it is given out. Standard Webhooks: `whsec_` and base64 of 24 to 64
    /// bytes. The other styles take the text itself, all of it.
    ///
    /// # Errors
    /// [`KeyDefect`].
    pub fn read(style: Style, text: &Secret) -> Result<Self, KeyDefect> {
        let written = text.expose_text().ok_or(KeyDefect)?;
        if style != Style::StandardWebhooks {
            // An empty secret would let anyone sign.
            return match written.len() {
                0 => Err(KeyDefect),
                _ => Ok(Self(text.duplicate())),
            };
        }
        let encoded = written.strip_prefix(SECRET_PREFIX).ok_or(KeyDefect)?;
        let bytes = base64std::decode(encoded.as_bytes()).map_err(|_| KeyDefect)?;
        let key = Self(Secret::new(bytes));
        if (24..=64).contains(&key.0.len()) {
            Ok(key)
        } else {
            Err(KeyDefect)
        }
    }

    /// A key of bytes that are known, as they are.
    pub fn of_bytes(bytes: Secret) -> Self {
        Self(bytes)
    }

    /// A fresh one of 32 bytes.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes);
        Self(Secret::new(*bytes))
    }

    /// As Standard Webhooks writes it: `whsec_…`.
    pub fn to_text(&self) -> Secret {
        let encoded = Zeroizing::new(base64std::encode(self.0.expose()));
        Secret::from_text(format!("{SECRET_PREFIX}{}", *encoded))
    }

    /// The bytes to sign with.
    pub fn key(&self) -> &Secret {
        &self.0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose()
    }
}

/// An Ed25519 key that signs deliveries (`v1a`).
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Reads `whsk_…`: base64 of the seed, or of the seed and the public key.
    ///
    /// # Errors
    /// [`KeyDefect`].
    pub fn read(text: &Secret) -> Result<Self, KeyDefect> {
        let encoded = text
            .expose_text()
            .and_then(|text| text.strip_prefix(PRIVATE_PREFIX))
            .ok_or(KeyDefect)?;
        let bytes = base64std::decode(encoded.as_bytes()).map_err(|_| KeyDefect)?;
        let bytes = Zeroizing::new(bytes);
        let (seed, public) = bytes.split_at_checked(32).ok_or(KeyDefect)?;
        let key = SigningKey::from_ed25519_seed(seed).map_err(|_| KeyDefect)?;
        let key = Self(key);
        if public.is_empty() || key.public_bytes()? == public {
            Ok(key)
        } else {
            Err(KeyDefect)
        }
    }

    /// A key that is known already.
    ///
    /// # Errors
    /// [`KeyDefect`] unless it is an Ed25519 key.
    pub fn of_key(key: SigningKey) -> Result<Self, KeyDefect> {
        if key.alg() == Algorithm::EdDSA {
            Ok(Self(key))
        } else {
            Err(KeyDefect)
        }
    }

    /// The public half as it is given out: `whpk_…`.
    ///
    /// # Errors
    /// [`KeyDefect`] if the key has none that can be written.
    pub fn public_text(&self) -> Result<String, KeyDefect> {
        let bytes = self.public_bytes()?;
        Ok(format!("{PUBLIC_PREFIX}{}", base64std::encode(&bytes)))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message)
    }

    fn public_bytes(&self) -> Result<Vec<u8>, KeyDefect> {
        match self.0.public_jwk().material() {
            Material::Okp { x } => Ok(x.clone()),
            _ => Err(KeyDefect),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}
