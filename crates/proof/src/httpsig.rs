//! HTTP Message Signatures of requests (RFC 9421), verified and made. A signature lists what it
//! covers, and the caller's rules say what it must cover; the algorithm is the key's, and a
//! signature that names another is refused. Whatever this module does not know (a parameter, a
//! flag of a component, parts of another message) refuses the signature rather than being skipped,
//! since what is skipped is not covered.
//!
//! Reading ([`parse`]) picks the one signature that is meant (by its tag, or because it is the
//! only one) and says under which id its key must be looked up; [`Claimed::verify`] judges.

use std::time::Duration;

use crate::{
    digest::hmac_sha256,
    jose::{alg, key::SigningKey, verifying::VerifyingKey},
    secret::Secret,
};

mod base;
mod claim;
mod component;
mod defect;
mod sign;

pub use claim::{Claimed, parse};
pub use component::{Component, FieldForm};
pub use defect::HttpSigDefect;
pub use sign::{SignParameters, SignedFields, sign};

/// Most components in one signature.
pub const MAX_COMPONENTS: usize = 64;
/// How long a signature is taken after `created`, and how far ahead `created` may lie, unless the
/// rules say otherwise.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);

/// What a signature must cover at the least, unless the rules say otherwise: method, authority,
/// path and query.
pub static REQUIRED: [Component; 4] = [
    Component::Method,
    Component::Authority,
    Component::Path,
    Component::Query,
];
/// Fields that must be covered if they are present, unless the rules say otherwise.
pub const REQUIRED_IF_PRESENT: [&str; 3] = ["content-type", "content-digest", "authorization"];

/// An algorithm of the registry (RFC 9421 §6.2) that is accepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256` (§3.3.3).
    HmacSha256,
    /// `ed25519` (§3.3.6).
    Ed25519,
    /// `ecdsa-p256-sha256` (§3.3.4).
    EcdsaP256Sha256,
    /// `ecdsa-p384-sha384` (§3.3.5).
    EcdsaP384Sha384,
    /// `rsa-pss-sha512` (§3.3.1).
    RsaPssSha512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::HmacSha256,
        Self::Ed25519,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::RsaPssSha512,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
        }
    }

    /// What a JOSE key of this algorithm does here; `None` for the ones that have no place.
    pub const fn of_jose(alg: alg::Algorithm) -> Option<Self> {
        match alg {
            alg::Algorithm::EdDSA => Some(Self::Ed25519),
            alg::Algorithm::ES256 => Some(Self::EcdsaP256Sha256),
            alg::Algorithm::ES384 => Some(Self::EcdsaP384Sha384),
            alg::Algorithm::PS512 => Some(Self::RsaPssSha512),
            alg::Algorithm::PS256
            | alg::Algorithm::PS384
            | alg::Algorithm::RS256
            | alg::Algorithm::RS384
            | alg::Algorithm::RS512 => None,
        }
    }
}

/// A key to verify with.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// A shared secret, for `hmac-sha256`.
    Shared(&'a Secret),
    /// A public key, pinned to one algorithm.
    Public(&'a VerifyingKey),
}

impl Key<'_> {
    /// The key's one algorithm; `None` if it has no place here.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Shared(_) => Some(Algorithm::HmacSha256),
            Self::Public(key) => Algorithm::of_jose(key.alg()),
        }
    }

    fn verifies(&self, base: &[u8], signature: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        match self {
            Self::Shared(secret) => hmac_sha256(secret.expose(), base).ct_eq(signature).into(),
            Self::Public(key) => key.verify(base, signature),
        }
    }
}

/// A key to sign with.
#[derive(Clone, Copy, Debug)]
pub enum SignerKey<'a> {
    /// A shared secret, for `hmac-sha256`.
    Shared(&'a Secret),
    /// A private key with one algorithm.
    Private(&'a SigningKey),
}

impl SignerKey<'_> {
    /// The key's one algorithm; `None` if it has no place here.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Shared(_) => Some(Algorithm::HmacSha256),
            Self::Private(key) => Algorithm::of_jose(key.alg()),
        }
    }

    fn signature(&self, base: &[u8]) -> Vec<u8> {
        match self {
            Self::Shared(secret) => hmac_sha256(secret.expose(), base).to_vec(),
            Self::Private(key) => key.sign(base),
        }
    }
}

/// What a verifier demands of a signature.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// What must be covered. `@target-uri` covers scheme, authority, path and query,
    /// `@request-target` path and query; `@query` need not be covered where there is none.
    pub required: &'a [Component],
    /// Header fields that must be covered if they are present. Lower case.
    pub required_if_present: &'a [&'a str],
    /// How long a signature is taken after `created`, and how far ahead `created` may lie.
    pub window: Duration,
    /// Whether `nonce` must be there.
    pub nonce_required: bool,
    /// Whether a body may pass that no covered `Content-Digest` speaks for. Else there must be
    /// none.
    pub unsigned_body: bool,
}

impl Default for Rules<'_> {
    fn default() -> Self {
        Self {
            required: &REQUIRED,
            required_if_present: &REQUIRED_IF_PRESENT,
            window: WINDOW,
            nonce_required: false,
            unsigned_body: false,
        }
    }
}

#[cfg(test)]
mod tests;
