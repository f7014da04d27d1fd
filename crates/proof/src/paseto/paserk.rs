//! Keys as text (PASERK): `k4.public`, `k4.secret` and `k4.local`, and their ids `k4.pid` and
//! `k4.lid`, by which a token's footer names them. Wrapped and password-protected keys are not
//! read.

use std::{fmt, sync::Arc};

use pasetors::{
    keys::{AsymmetricPublicKey, SymmetricKey},
    paserk::{FormatAsPaserk, Id},
    version4::V4,
};
use zeroize::Zeroizing;

use super::Purpose;
use crate::{
    base64url,
    jose::{
        alg::Algorithm,
        jwk::{Jwk, Material},
        key::SigningKey,
        verifying::VerifyingKey,
    },
    random::Entropy,
    secret::Secret,
};

const PUBLIC: &str = "k4.public.";
const SECRET: &str = "k4.secret.";
const LOCAL: &str = "k4.local.";

/// The text is no key of version 4, or not one for this.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PASERK of version 4 for this use")]
pub struct KeyDefect;

impl KeyDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        "paserk"
    }
}

/// A symmetric key, 256 bits. Clones share its bytes, which are wiped with the last of them.
#[derive(Clone)]
pub struct LocalKey(Arc<Secret>);

impl LocalKey {
    /// Takes over 32 bytes.
    ///
    /// # Errors
    /// [`KeyDefect`] for any other number of bytes.
    pub fn of_bytes(bytes: Secret) -> Result<Self, KeyDefect> {
        if bytes.len() == 32 {
            Ok(Self(Arc::new(bytes)))
        } else {
            Err(KeyDefect)
        }
    }

    /// A fresh one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes);
        Self(Arc::new(Secret::new(*bytes)))
    }

    /// `k4.local.…`
    pub fn to_paserk(&self) -> Secret {
        let encoded = Zeroizing::new(base64url::encode(self.0.expose()));
        Secret::from_text(format!("{LOCAL}{}", *encoded))
    }

    /// `k4.lid.…`: names the key and says nothing about it.
    pub fn id(&self) -> String {
        match SymmetricKey::<V4>::from(self.0.expose()) {
            Ok(key) => text_of(&Id::from(&key)),
            Err(_) => String::new(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey(***)")
    }
}

/// A key to open tokens with.
#[derive(Debug)]
pub enum Key {
    /// Verifies `v4.public`.
    Public(VerifyingKey),
    /// Decrypts `v4.local`.
    Local(LocalKey),
}

impl Key {
    /// Reads `k4.public.…` or `k4.local.…`. A `k4.secret` is refused: who verifies needs none.
    ///
    /// # Errors
    /// [`KeyDefect`].
    pub fn from_paserk(text: &Secret) -> Result<Self, KeyDefect> {
        Self::named(text).map(|(key, _)| key)
    }

    /// The same, with the id (`k4.pid.…`, `k4.lid.…`) by which a footer names the key.
    ///
    /// # Errors
    /// [`KeyDefect`].
    pub fn named(text: &Secret) -> Result<(Self, String), KeyDefect> {
        let written = text.expose_text().ok_or(KeyDefect)?;
        if let Some(encoded) = written.strip_prefix(PUBLIC) {
            let bytes = base64url::decode(encoded.as_bytes()).map_err(|_| KeyDefect)?;
            let jwk = Jwk::from_ed25519(&bytes).map_err(|_| KeyDefect)?;
            return Ok((Self::public(&jwk)?, public_id(&jwk)?));
        }
        let encoded = written.strip_prefix(LOCAL).ok_or(KeyDefect)?;
        let bytes = base64url::decode(encoded.as_bytes()).map_err(|_| KeyDefect)?;
        let key = LocalKey::of_bytes(Secret::new(bytes))?;
        let id = key.id();
        Ok((Self::Local(key), id))
    }

    /// An Ed25519 key that is known as a JWK.
    ///
    /// # Errors
    /// [`KeyDefect`] for keys of other types.
    pub fn public(jwk: &Jwk) -> Result<Self, KeyDefect> {
        VerifyingKey::new(jwk, Algorithm::EdDSA)
            .map(Self::Public)
            .map_err(|_| KeyDefect)
    }

    /// What tokens it opens.
    pub fn purpose(&self) -> Purpose {
        match self {
            Self::Public(_) => Purpose::Public,
            Self::Local(_) => Purpose::Local,
        }
    }
}

/// `k4.public.…` of an Ed25519 key.
///
/// # Errors
/// [`KeyDefect`] for keys of other types.
pub fn public_paserk(jwk: &Jwk) -> Result<String, KeyDefect> {
    Ok(format!("{PUBLIC}{}", base64url::encode(ed25519(jwk)?)))
}

/// `k4.pid.…` of an Ed25519 key.
///
/// # Errors
/// [`KeyDefect`] for keys of other types.
pub fn public_id(jwk: &Jwk) -> Result<String, KeyDefect> {
    let key = AsymmetricPublicKey::<V4>::from(ed25519(jwk)?).map_err(|_| KeyDefect)?;
    Ok(text_of(&Id::from(&key)))
}

/// A key to make tokens with.
pub enum IssuingKey {
    /// Signs `v4.public`.
    Public {
        /// An Ed25519 key.
        key: SigningKey,
        /// `k4.pid.…`
        id: String,
    },
    /// Encrypts `v4.local`.
    Local {
        /// The key.
        key: LocalKey,
        /// `k4.lid.…`
        id: String,
    },
}

impl IssuingKey {
    /// Reads `k4.secret.…` or `k4.local.…`.
    ///
    /// # Errors
    /// [`KeyDefect`], also where the public half of a secret key is not its own.
    pub fn from_paserk(text: &Secret) -> Result<Self, KeyDefect> {
        let written = text.expose_text().ok_or(KeyDefect)?;
        let Some(encoded) = written.strip_prefix(SECRET) else {
            return match Key::from_paserk(text)? {
                Key::Local(key) => Ok(Self::local(key)),
                Key::Public(_) => Err(KeyDefect),
            };
        };
        let bytes = base64url::decode(encoded.as_bytes()).map_err(|_| KeyDefect)?;
        let bytes = Zeroizing::new(bytes);
        let (seed, public) = bytes.split_at_checked(32).ok_or(KeyDefect)?;
        let key = SigningKey::from_ed25519_seed(seed).map_err(|_| KeyDefect)?;
        if ed25519(&key.public_jwk())? != public {
            return Err(KeyDefect);
        }
        Self::signing(key)
    }

    /// With an Ed25519 key that is known already.
    ///
    /// # Errors
    /// [`KeyDefect`] for keys of other types.
    pub fn signing(key: SigningKey) -> Result<Self, KeyDefect> {
        let id = public_id(&key.public_jwk())?;
        Ok(Self::Public { key, id })
    }

    /// With a symmetric key.
    pub fn local(key: LocalKey) -> Self {
        let id = key.id();
        Self::Local { key, id }
    }

    /// The id that stands in the footer.
    pub fn id(&self) -> &str {
        match self {
            Self::Public { id, .. } | Self::Local { id, .. } => id,
        }
    }
}

impl fmt::Debug for IssuingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuingKey({}, ***)", self.id())
    }
}

fn ed25519(jwk: &Jwk) -> Result<&[u8], KeyDefect> {
    match jwk.material() {
        Material::Okp { x } => Ok(x),
        _ => Err(KeyDefect),
    }
}

fn text_of(id: &Id) -> String {
    let mut text = String::new();
    // Writing to a text can't fail.
    let _ = FormatAsPaserk::fmt(id, &mut text);
    text
}
