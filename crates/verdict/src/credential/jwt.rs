//! **JWT bearer**: RFC 9068 access tokens of our own issuer and of foreign ones under a profile.

use core::time::Duration;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::time::Timestamp;

use crate::identity::{Standing, text_id};

text_id!(
    /// An issuer identifier (RFC 8414 §2), compared exactly.
    IssuerId
);

/// Names one version of an issuer's profile: part of the key of the cache of verified tokens, so
/// that a token verified under older settings is verified again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConfigId(pub u64);

/// How tokens of one issuer are judged.
#[derive(Debug, Clone)]
pub struct IssuerProfile {
    /// The configuration's version (a hash of everything below).
    pub config: ConfigId,
    /// Exact `iss`.
    pub issuer: IssuerId,
    /// Whether it is our own issuer (keys from the store, revocation pushed).
    pub own: bool,
    /// Algorithms its keys may be pinned to. Never empty, never HMAC.
    pub algorithms: Vec<Algorithm>,
    /// Accepted `typ`, e.g. `at+jwt`. `JWT` only together with `access_token_guards`.
    pub types: Vec<Arc<str>>,
    /// With `typ: JWT`: claims that an ID token never has, of which one must be present
    /// (e.g. `scp`, `scope`, `client_id`, `azp` …). `nonce`/`at_hash` refuse.
    pub access_token_guards: Vec<Arc<str>>,
    /// Claims that must be present besides `iss`, `aud`, `exp`.
    pub required_claims: Vec<Arc<str>>,
    /// Longest `exp − iat` accepted (needs `iat`).
    pub max_lifetime: Option<Duration>,
    /// Clock leeway for this issuer.
    pub leeway: Duration,
    /// Claim paths (dots descend) whose values become scopes; a string is split at spaces.
    pub scope_claims: Vec<Arc<str>>,
    /// Claim paths whose values become roles.
    pub role_claims: Vec<Arc<str>>,
    /// Claim path of the tenant.
    pub tenant_claim: Option<Arc<str>>,
    /// Claims forwarded to upstreams, by allow-list.
    pub forward_claims: Vec<Arc<str>>,
}

/// A token whose signature and claims held once. Times and audience are judged on every use.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    /// The profile it was verified under.
    pub config: ConfigId,
    /// Its issuer.
    pub issuer: IssuerId,
    /// `aud`.
    pub audiences: Vec<Box<str>>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `jti`.
    pub token_id: Option<Box<str>>,
    /// Whether the token is sender-constrained (`cnf`); refused until its proof is judged.
    pub bound: bool,
    /// What it stands for.
    pub standing: Arc<Standing>,
}
