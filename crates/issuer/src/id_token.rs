//! **ID tokens** (OpenID Connect Core §2): what a client is told of a login. They are signed with
//! keys of their own purposes, so that none ever passes as an access token (threat C4). Who the
//! person is beyond `sub` is told by UserInfo alone, unless the request's `claims` asks for it here
//! (§5.4, §5.5).

use core::time::Duration;

use proof::base64url;
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::time::Timestamp;
use serde_json::{Map, Value};

use crate::declared::RegisteredClient;
use crate::flow::Grant;
use crate::ports::Person;
use crate::userinfo;

/// `typ` of an ID token: RFC 7519 §5.1; OpenID Connect names none.
pub const TYPE: &str = "JWT";

/// How long one is valid.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// What goes into an ID token.
pub(crate) struct IdToken<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a RegisteredClient,
    pub(crate) person: &'a Person,
    pub(crate) grant: &'a Grant,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) access_token: &'a str,
    pub(crate) now: Timestamp,
}

/// Signs an ID token.
pub(crate) fn mint(key: &SigningKey, token: &IdToken<'_>) -> String {
    let authentication = &token.grant.authentication;
    let mut claims: Map<String, Value> = Map::new();
    // What the request asked for first: no such claim takes the place of one below.
    if let Some(requested) = token
        .grant
        .claims
        .as_ref()
        .and_then(|claims| claims.get("id_token"))
    {
        userinfo::requested(&mut claims, requested, token.client, token.person);
    }
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", token.issuer.into());
    put("sub", token.person.subject.as_str().into());
    put("aud", token.client.client_id.as_str().into());
    put("exp", token.now.plus(LIFETIME).as_secs().into());
    put("iat", token.now.as_secs().into());
    put("auth_time", authentication.at.as_secs().into());
    put("acr", authentication.acr.as_str().into());
    put("amr", authentication.amr.as_slice().into());
    if let Some(nonce) = token.nonce {
        put("nonce", nonce.into());
    }
    if let Some(session) = &token.grant.session {
        put("sid", session.as_str().into());
    }
    if let Some(hash) = half_hash(key.alg(), token.access_token) {
        put("at_hash", hash.into());
    }
    jws::sign(key, TYPE, &Value::Object(claims).to_string())
}

/// OpenID Connect Core §3.1.3.6: the left half of the hash that the signature uses. Optional in the
/// code flow, and left out for EdDSA, whose hash is no SHA-256.
fn half_hash(algorithm: Algorithm, token: &str) -> Option<String> {
    match algorithm {
        Algorithm::ES256 | Algorithm::PS256 | Algorithm::RS256 => {
            Some(base64url::encode(&sha256(token.as_bytes())[..16]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_access_token_is_the_published_one() {
        // OpenID Connect Core §A.3: its ID token's at_hash for this access token.
        let hash = half_hash(
            Algorithm::RS256,
            "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        );
        assert_eq!(hash.as_deref(), Some("77QmUPtjPfzWtF2AnpK9RQ"));
        assert_eq!(half_hash(Algorithm::EdDSA, "any"), None);
    }
}
