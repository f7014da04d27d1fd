//! **Access tokens** (RFC 9068): made here and read back here, for introspection and revocation.
//! Whoever else checks them does it with the published keys. Reading accepts only what this issuer
//! signed as an access token: never an identity token for upstreams, never a foreign or untyped one.

use core::time::Duration;
use std::sync::Arc;

use proof::issued::Environment;
use proof::jose::jws;
use proof::jose::jwt::{self, Claims, Expect};
use proof::jose::key::SigningKey;
use proof::time::{Leeway, Timestamp};
use serde::Serialize;

use crate::declared::RegisteredClient;
use crate::keys::KeyRing;
use crate::ports::{KeyPurpose, TokenNames};

/// `typ` of an access token (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";

/// What goes into an access token.
pub(crate) struct AccessToken<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a RegisteredClient,
    pub(crate) audiences: &'a [Arc<str>],
    pub(crate) scope: &'a str,
    pub(crate) issued_at: Timestamp,
    pub(crate) lifetime: Duration,
    pub(crate) token_id: &'a str,
}

/// RFC 9068 §2.2, and our own `env`, `application`.
#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    sub: &'a str,
    client_id: &'a str,
    aud: Audience<'a>,
    exp: i64,
    iat: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [verdict::identity::RoleName],
    env: Environment,
    application: &'a str,
}

/// RFC 7519 §4.1.3: one audience may be a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [Arc<str>]),
}

/// Signs an access token.
pub(crate) fn mint(key: &SigningKey, token: &AccessToken<'_>) -> String {
    let client_id = token.client.client_id.as_str();
    let iat = token.issued_at.as_secs();
    let written = Written {
        iss: token.issuer,
        // RFC 9068 §2.2: without a resource owner the subject is the client.
        sub: client_id,
        client_id,
        aud: match token.audiences {
            [one] => Audience::One(one),
            many => Audience::Many(many),
        },
        exp: iat.saturating_add(i64::try_from(token.lifetime.as_secs()).unwrap_or(i64::MAX)),
        iat,
        jti: token.token_id,
        scope: token.scope,
        roles: &token.client.roles,
        env: token.client.environment,
        application: token.client.application.as_str(),
    };
    let payload =
        serde_json::to_string(&written).expect("strings and numbers always serialise to JSON");
    jws::sign(key, TYPE, &payload)
}

/// An access token of ours, read back: signature, type and issuer held. Times and revocation are
/// judged on every use.
#[derive(Debug)]
pub struct ReadToken {
    /// Its claims. `client_id`, `jti`, `exp`, `iat` are present.
    claims: Claims,
    kid: String,
    client_id: String,
    token_id: String,
    expires_at: Timestamp,
    issued_at: Timestamp,
}

impl ReadToken {
    /// All claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
    /// The client it was issued to.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
    /// Its `jti`.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }
    /// What it can be revoked by.
    pub fn names(&self) -> TokenNames<'_> {
        TokenNames {
            token_id: &self.token_id,
            grant_id: self.claims.extra.get("grant_id").and_then(|id| id.as_str()),
            client_id: &self.client_id,
            issued_at: self.issued_at,
        }
    }
    /// Its `exp`.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
    /// Its `iat`.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }
    /// Whether it is in its time, and its key still published.
    pub(crate) fn is_current(&self, ring: &KeyRing, now: Timestamp, leeway: Leeway) -> bool {
        ring.verifier(KeyPurpose::Access, &self.kid).is_some()
            && jwt::within(self.expires_at, self.claims.nbf, now, leeway).is_ok()
    }
}

/// Reads an access token of this issuer. `None`: it is none, or not in its time.
pub(crate) fn read(
    ring: &KeyRing,
    issuer: &str,
    token: &[u8],
    now: Timestamp,
    leeway: Leeway,
) -> Option<ReadToken> {
    let unverified = jws::split(token).ok()?;
    let kid = unverified.kid()?.to_owned();
    // A key of another purpose is not found here, so an upstream's identity token never passes
    // (threat J4).
    let key = ring.verifier(KeyPurpose::Access, &kid)?;
    let payload = unverified.verify(key).ok()?;
    let claims = Claims::parse(&payload).ok()?;
    let audiences: Vec<&str> = claims.aud.iter().map(String::as_str).collect();
    let expect = Expect {
        issuer,
        // Whose audience it is decides who may ask about it, not whether it is a token of ours.
        audiences: &audiences,
        typ: &[TYPE],
        typ_may_be_absent: false,
        require: &["sub", "client_id", "jti", "iat"],
        max_lifetime: None,
        leeway,
    };
    jwt::check(&claims, payload.typ(), &expect, now).ok()?;
    Some(ReadToken {
        kid,
        client_id: claims.client_id.clone()?,
        token_id: claims.jti.clone()?,
        expires_at: claims.exp?,
        issued_at: claims.iat?,
        claims,
    })
}
