//! **Identity tokens for upstreams** (the phantom token): what the gateway tells a service of the
//! caller, signed. They have an issuer, a type and keys of their own, so that none ever passes as
//! an access token at a front door (threat J4).

use core::time::Duration;

use proof::jose::jws;
use proof::random::{Entropy, uuid_v7};
use proof::time::{Leeway, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use verdict::identity::{RoleName, Standing};

use crate::keys::KeyRing;
use crate::metadata::Endpoints;
use crate::ports::KeyPurpose;

/// `typ` of an identity token.
pub const TYPE: &str = "doorward-identity+jwt";

/// What an identity token is asked to say.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamToken<'a> {
    /// Who calls.
    pub standing: &'a Standing,
    /// The upstream that may read it.
    pub audience: &'a str,
    /// Its life; 60 s by default.
    pub lifetime: Duration,
    /// When the caller's own credential expires, if it does: the identity does not outlive it.
    pub credential_expires: Option<Timestamp>,
    /// How long past its expiry the credential is still accepted here, and so the identity too.
    pub leeway: Leeway,
}

/// There is no active key for identity tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no active key for identity tokens")]
pub struct NoKey;

#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    /// The principal's kind: `user`, `client`, `service`.
    principal: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [RoleName],
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'static str>,
    /// Claims of the caller's token that the issuer's profile forwards; under a member of their
    /// own, so that no foreign claim can take the place of one of ours.
    #[serde(skip_serializing_if = "Map::is_empty")]
    claims: &'a Map<String, Value>,
}

/// Signs an identity token.
///
/// # Errors
/// [`NoKey`].
pub fn mint(
    ring: &KeyRing,
    endpoints: &Endpoints,
    token: &UpstreamToken<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<String, NoKey> {
    let key = ring.signer(KeyPurpose::Upstream).ok_or(NoKey)?;
    let standing = token.standing;
    let end = now.plus(token.lifetime);
    let end = match token.credential_expires {
        Some(expires) => end.min(expires.plus(token.leeway.0)),
        None => end,
    };
    let scope = standing.scopes.iter().collect::<Vec<_>>().join(" ");
    let written = Written {
        iss: endpoints.upstream_issuer(),
        sub: standing.principal.id(),
        aud: token.audience,
        exp: end.as_secs(),
        iat: now.as_secs(),
        jti: &uuid_v7(now, entropy),
        principal: standing.principal.kind(),
        client_id: standing.client.as_ref().map(|id| id.as_str()),
        application: standing.application.as_ref().map(|id| id.as_str()),
        scope: &scope,
        roles: &standing.roles,
        tenant: standing.tenant.as_ref().map(|id| id.as_str()),
        env: standing.environment.map(proof::issued::Environment::name),
        claims: &standing.claims,
    };
    let payload =
        serde_json::to_string(&written).expect("strings and numbers always serialise to JSON");
    Ok(jws::sign(key, TYPE, &payload))
}
