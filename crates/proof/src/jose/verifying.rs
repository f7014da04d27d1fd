//! A public key prepared to verify: parsed once and pinned to exactly one algorithm. What is
//! checked against it is never asked which algorithm it would like.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::PublicKeyComponents,
    signature::{self, ParsedPublicKey, VerificationAlgorithm},
};

use crate::jose::{
    alg::{Algorithm, Family},
    jwk::{Jwk, JwkDefect, Material},
};

/// A public key, ready for one algorithm. Cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Prepared>);

struct Prepared {
    alg: Algorithm,
    key: ParsedPublicKey,
    kid: Option<String>,
    thumbprint: String,
}

impl VerifyingKey {
    /// Prepares a key for one algorithm of its family.
    ///
    /// # Errors
    /// [`JwkDefect::Algorithm`] if the key is for another one.
    pub fn new(jwk: &Jwk, alg: Algorithm) -> Result<Self, JwkDefect> {
        if alg.family() != jwk.family() || jwk.alg().is_some_and(|own| own != alg) {
            return Err(JwkDefect::Algorithm);
        }
        Ok(Self(Arc::new(Prepared {
            alg,
            key: prepare(jwk.material(), alg)?,
            kid: jwk.kid().map(str::to_owned),
            thumbprint: jwk.thumbprint(),
        })))
    }

    /// From a SubjectPublicKeyInfo in DER, for one algorithm.
    ///
    /// # Errors
    /// [`JwkDefect`].
    pub fn from_spki_der(
        spki: &[u8],
        alg: Algorithm,
        kid: Option<&str>,
    ) -> Result<Self, JwkDefect> {
        Self::named(Jwk::from_spki_der(spki)?, alg, kid)
    }

    /// From one PEM block `PUBLIC KEY`, for one algorithm.
    ///
    /// # Errors
    /// [`JwkDefect`].
    pub fn from_spki_pem(pem: &str, alg: Algorithm, kid: Option<&str>) -> Result<Self, JwkDefect> {
        Self::named(Jwk::from_spki_pem(pem)?, alg, kid)
    }

    fn named(jwk: Jwk, alg: Algorithm, kid: Option<&str>) -> Result<Self, JwkDefect> {
        match kid {
            Some(kid) => Self::new(&jwk.with_kid(kid), alg),
            None => Self::new(&jwk, alg),
        }
    }

    /// The one algorithm.
    pub fn alg(&self) -> Algorithm {
        self.0.alg
    }

    /// The name under which the key was published.
    pub fn kid(&self) -> Option<&str> {
        self.0.kid.as_deref()
    }

    /// RFC 7638 thumbprint of the key, base64url.
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Whether `signature` (raw R‖S for ECDSA, RFC 7518 §3.4) is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("alg", &self.alg())
            .field("kid", &self.kid())
            .field("thumbprint", &self.thumbprint())
            .finish()
    }
}

/// Whether the numbers are a key at all, whatever algorithm it is used with later.
pub(crate) fn prepare_any(material: &Material) -> Result<ParsedPublicKey, JwkDefect> {
    let alg = match material {
        Material::Ec {
            family: Family::P256,
            ..
        } => Algorithm::ES256,
        Material::Ec { .. } => Algorithm::ES384,
        Material::Okp { .. } => Algorithm::EdDSA,
        Material::Rsa { .. } => Algorithm::RS256,
    };
    prepare(material, alg)
}

fn prepare(material: &Material, alg: Algorithm) -> Result<ParsedPublicKey, JwkDefect> {
    let params: &'static dyn VerificationAlgorithm = match alg {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &signature::ED25519,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    };
    let bytes = match material {
        Material::Ec { x, y, .. } => [&[4][..], x, y].concat(),
        Material::Okp { x } => x.clone(),
        // Through DER, because that way the provider checks the key as a whole.
        Material::Rsa { n, e } => PublicKeyComponents { n, e }
            .as_der()
            .map_err(|_| JwkDefect::Material)?
            .as_ref()
            .to_vec(),
    };
    ParsedPublicKey::new(params, bytes).map_err(|_| JwkDefect::Material)
}
