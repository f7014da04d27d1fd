//! Private keys that sign: made or loaded once, then used without parsing again. A key signs with
//! one algorithm, is named by its RFC 7638 thumbprint (so that a name is never reused), and its
//! private part leaves only as PKCS#8 inside a [`Secret`], to be sealed.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding},
};

use crate::{
    jose::{
        alg::{Algorithm, Family},
        jwk::{Jwk, JwkDefect},
        verifying::VerifyingKey,
    },
    secret::Secret,
};

/// A private key, ready to sign with one algorithm.
pub struct SigningKey {
    pair: Pair,
    alg: Algorithm,
    jwk: Jwk,
    kid: String,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// Why there is no key.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyDefect {
    /// The provider could not make one.
    #[error("key could not be generated")]
    Generate,
    /// The bytes are no PKCS#8 private key for this algorithm.
    #[error("not a private key for this algorithm")]
    Pkcs8,
    /// The public half would not be accepted by others.
    #[error("public half is not usable: {0}")]
    Public(JwkDefect),
    /// The provider could not write it.
    #[error("key could not be encoded")]
    Encode,
}

impl KeyDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Generate => "key-generate",
            Self::Pkcs8 => "key-pkcs8",
            Self::Public(defect) => defect.code(),
            Self::Encode => "key-encode",
        }
    }
}

impl SigningKey {
    /// Makes a fresh key; RSA ones have 2048 bits. RSA takes a good part of a second.
    ///
    /// # Errors
    /// [`KeyDefect::Generate`].
    pub fn generate(alg: Algorithm) -> Result<Self, KeyDefect> {
        let pair =
            match alg.family() {
                Family::P256 => EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map(Pair::Ecdsa),
                Family::P384 => EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)
                    .map(Pair::Ecdsa),
                Family::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
                Family::Rsa => RsaKeyPair::generate(KeySize::Rsa2048)
                    .map(|pair| Pair::Rsa(pair, encoding(alg))),
            };
        Self::new(pair.map_err(|_| KeyDefect::Generate)?, alg)
    }

    /// Loads a key from unencrypted PKCS#8 in DER (RFC 5958).
    ///
    /// # Errors
    /// [`KeyDefect::Pkcs8`], [`KeyDefect::Public`].
    pub fn from_pkcs8(alg: Algorithm, pkcs8: &Secret) -> Result<Self, KeyDefect> {
        let der = pkcs8.expose();
        let pair = match alg.family() {
            Family::P256 => {
                EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, der)
                    .map(Pair::Ecdsa)
            }
            Family::P384 => {
                EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, der)
                    .map(Pair::Ecdsa)
            }
            Family::Ed25519 => Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519),
            Family::Rsa => RsaKeyPair::from_pkcs8(der).map(|pair| Pair::Rsa(pair, encoding(alg))),
        };
        Self::new(pair.map_err(|_| KeyDefect::Pkcs8)?, alg)
    }

    /// Loads an Ed25519 key from its seed of 32 bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`KeyDefect`] for any other length.
    pub fn from_ed25519_seed(seed: &[u8]) -> Result<Self, KeyDefect> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyDefect::Pkcs8)?;
        Self::new(Pair::Ed25519(pair), Algorithm::EdDSA)
    }

    fn new(pair: Pair, alg: Algorithm) -> Result<Self, KeyDefect> {
        let jwk = match &pair {
            Pair::Ecdsa(pair) => Jwk::from_point(alg.family(), pair.public_key().as_ref()),
            Pair::Ed25519(pair) => Jwk::from_ed25519(pair.public_key().as_ref()),
            Pair::Rsa(pair, _) => Jwk::from_rsa_der(pair.public_key().as_ref()),
        };
        let jwk = jwk
            .and_then(|jwk| jwk.with_alg(alg))
            .map_err(KeyDefect::Public)?;
        let kid = jwk.thumbprint();
        Ok(Self {
            pair,
            alg,
            jwk: jwk.with_kid(kid.clone()),
            kid,
        })
    }

    /// The private key as PKCS#8 in DER, to be sealed before it is stored.
    ///
    /// # Errors
    /// [`KeyDefect::Encode`].
    pub fn to_pkcs8(&self) -> Result<Secret, KeyDefect> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|der| Secret::new(der.as_ref())),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|der| Secret::new(der.as_ref())),
            Pair::Rsa(pair, _) => pair.as_der().map(|der| Secret::new(der.as_ref())),
        }
        .map_err(|_| KeyDefect::Encode)
    }

    /// The public half to publish: `kid` is the thumbprint, `alg` and `use` are set.
    pub fn public_jwk(&self) -> Jwk {
        self.jwk.clone()
    }

    /// The public half, ready to verify what this key signs.
    ///
    /// # Errors
    /// [`KeyDefect::Public`].
    pub fn verifying_key(&self) -> Result<VerifyingKey, KeyDefect> {
        VerifyingKey::new(&self.jwk, self.alg).map_err(KeyDefect::Public)
    }

    /// The key's name: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its one algorithm.
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// Signs `message`; ECDSA signatures are raw R‖S (RFC 7518 §3.4).
    ///
    /// # Panics
    /// If the provider fails with a key that it accepted before, which means that it is broken or
    /// out of memory.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        const WHY: &str = "the provider signs with a key that it accepted";
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .expect(WHY)
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .expect(WHY);
                signature
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {}, ***)", self.alg, self.kid)
    }
}

/// How an RSA key signs. Only RSA keys are asked.
fn encoding(alg: Algorithm) -> &'static dyn RsaEncoding {
    match alg {
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::RS256 | Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => {
            &signature::RSA_PKCS1_SHA256
        }
    }
}

#[cfg(test)]
mod tests;
