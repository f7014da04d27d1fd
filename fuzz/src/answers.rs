//! What other issuers answer when they are asked.

use core::time::Duration;
use std::sync::LazyLock;

use outbound::tokens;
use proof::digest::TokenHash;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::strict_json;
use serde_json::Value;
use verdict::credential::introspection::{self, IntrospectionProfile, SIGNED_TYPE};
use verdict::credential::jwt::{ConfigId, IssuerId, IssuerProfile, VerifiedToken};

use crate::calls::NOW;
use crate::tokens::SIGNER;

const ISSUER: &str = "https://id.example";
const MOST: usize = 64 * 1024;

static PROFILE: LazyLock<IssuerProfile> = LazyLock::new(|| IssuerProfile {
    config: ConfigId(1),
    issuer: IssuerId::new(ISSUER),
    own: false,
    algorithms: vec![Algorithm::EdDSA],
    types: Vec::new(),
    access_token_guards: Vec::new(),
    required_claims: Vec::new(),
    max_lifetime: None,
    leeway: Duration::from_secs(60),
    scope_claims: vec!["scope".into(), "realm.scopes".into()],
    role_claims: vec!["roles".into()],
    tenant_claim: Some("tid".into()),
    forward_claims: vec!["department".into()],
    introspection: Some(IntrospectionProfile {
        client_id: "door".into(),
        token_prefixes: Vec::new(),
        cache: Duration::from_secs(10),
        signed: false,
        assumed_audience: Some("https://orders.example".into()),
    }),
});

/// What stands for a token is active, this issuer's, for somebody, and not over.
pub(crate) fn introspection(data: &[u8]) {
    let hash = TokenHash::of(b"token");
    let holds = |verified: &VerifiedToken, answer: &Value| {
        assert_eq!(answer["active"], Value::Bool(true));
        assert!(answer.get("iss").is_none_or(|iss| iss == ISSUER));
        assert_eq!(verified.issuer.as_str(), ISSUER);
        assert!(!verified.audiences.is_empty());
        assert!(verified.expires_at.plus(PROFILE.leeway) > NOW);
    };
    if let Ok(Ok(verified)) = introspection::read(data, &hash, &PROFILE, NOW) {
        let answer = strict_json::parse(data, MOST).expect("it was read");
        holds(&verified, &answer);
    }
    // The same text as what a signed answer holds: all of it, or the answer within.
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let fresh = NOW.as_secs();
    let within =
        format!(r#"{{"iss":"{ISSUER}","aud":"door","iat":{fresh},"token_introspection":{text}}}"#);
    for text in [text, &within] {
        let token = jws::sign(&SIGNER.0, SIGNED_TYPE, text);
        let Ok(unverified) = jws::split(token.as_bytes()) else {
            return;
        };
        let payload = unverified.verify(&SIGNER.1).expect("it was signed here");
        let read = introspection::read_signed(&payload, &hash, &PROFILE, NOW);
        if let Ok(Ok(verified)) = read {
            let whole = strict_json::parse(text.as_bytes(), MOST).expect("it was read");
            assert_eq!(whole["iss"], ISSUER);
            holds(&verified, &whole["token_introspection"]);
        }
    }
}

/// A token is what the object says and can stand in a header; a refusal repeats nothing.
pub(crate) fn token_answer(data: &[u8]) {
    let (status, body) = match data {
        [b'!', body @ ..] => (400, body),
        body => (200, body),
    };
    match tokens::read(status, body) {
        Ok(issued) => {
            let answer = strict_json::parse_object(body, MOST).expect("an object");
            let token = issued.token.expose();
            assert_eq!(status, 200);
            assert_eq!(
                answer["access_token"].as_str().map(str::as_bytes),
                Some(token)
            );
            assert!(token.iter().all(u8::is_ascii_graphic));
        }
        Err(why) => {
            let why = why.to_string();
            assert!(why.len() < 128 && why.is_ascii(), "{why}");
        }
    }
}
