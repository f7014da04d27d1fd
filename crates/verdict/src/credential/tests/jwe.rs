use core::time::Duration;
use std::sync::Arc;

use proof::base64url;
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{ContentEncryption, DecryptionKey, DecryptionKeys};
use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};

use crate::credential::CredentialKind::{Jwt, Opaque, Paseto};
use crate::problem::Code;
use crate::route::{Api, ApiName, Route, TokenEncryption};
use crate::testing::{NOW, Sent, World};

/// A key on P-256, which opens `ECDH-ES`.
fn key() -> DecryptionKey {
    let fresh = SigningKey::generate(Algorithm::ES256).unwrap();
    DecryptionKey::from_pkcs8(&fresh.to_pkcs8().unwrap()).unwrap()
}

fn rsa() -> DecryptionKey {
    let fresh = SigningKey::generate(Algorithm::RS256).unwrap();
    DecryptionKey::from_pkcs8(&fresh.to_pkcs8().unwrap()).unwrap()
}

fn encrypt(key: &DecryptionKey, jwt: &str) -> String {
    let cipher = ContentEncryption::A256Gcm;
    key.public().encrypt(jwt, "at+jwt", cipher).unwrap()
}

fn another(api: &Api, name: &str, encryption: Option<TokenEncryption>) -> Arc<Api> {
    Arc::new(Api {
        name: ApiName::new(name),
        audiences: api.audiences.clone(),
        environment: api.environment,
        issuers: api.issuers.clone(),
        brand: api.brand.clone(),
        encryption,
        key_headers: Vec::new(),
        foreign_keys: Vec::new(),
        realm: name.into(),
        resource_metadata: None,
        relations: None,
        rights: Default::default(),
        certificates: None,
        signatures: Default::default(),
    })
}

const REQUIRED: Option<TokenEncryption> = Some(TokenEncryption { required: true });
const OPTIONAL: Option<TokenEncryption> = Some(TokenEncryption { required: false });

/// A world whose API has these keys, and a route of it that takes JWTs.
fn asking(encryption: Option<TokenEncryption>, keys: Vec<DecryptionKey>) -> (World, Route) {
    let mut world = World::new();
    world.api = another(&world.api, "orders", encryption);
    let keys = Arc::new(DecryptionKeys::new(keys));
    world.facts.decryption_keys.insert("orders".into(), keys);
    let route = world.route(&[&[Jwt]]);
    (world, route)
}

fn judge(world: &World, route: &Route, token: &str) -> Result<(), Code> {
    let call = Sent::get("/orders").bearer(token).call();
    let answer = world.judge(call, route, NOW);
    answer.map(|_| ()).map_err(|refused| refused.problem.code)
}

fn cause(world: &World, route: &Route, token: &str) -> String {
    let call = Sent::get("/orders").bearer(token).call();
    let refused = world.judge(call, route, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialRefused);
    refused.problem.cause.into()
}

#[test]
fn what_is_in_it_stands_for_the_same_as_without() {
    for key in [key(), rsa()] {
        let token = |world: &World, key: &DecryptionKey| {
            [
                world.own_token(&json!({})),
                world.foreign_token(&json!({"jti": "f"})),
            ]
            .map(|jwt| (encrypt(key, &jwt), jwt))
        };
        let (mut world, route) = asking(OPTIONAL, Vec::new());
        let pairs = token(&world, &key);
        let keys = Arc::new(DecryptionKeys::new(vec![key]));
        world.facts.decryption_keys.insert("orders".into(), keys);
        for (encrypted, plain) in pairs {
            let [encrypted, plain] = [encrypted, plain].map(|token| {
                let call = Sent::get("/orders").bearer(&token).call();
                world.judge(call, &route, NOW).unwrap()
            });
            let (encrypted, plain) = (encrypted.identity().unwrap(), plain.identity().unwrap());
            assert_eq!(
                format!("{:?}", encrypted.standing()),
                format!("{:?}", plain.standing())
            );
            assert_eq!(encrypted.expires_at(), plain.expires_at());
            assert_eq!(encrypted.kind(), Jwt);
        }
    }
}

#[test]
fn c06_a_known_one_is_not_opened_again_and_judged_on_every_use() {
    let key = key();
    let (mut world, route) = asking(REQUIRED, Vec::new());
    let token = encrypt(&key, &world.own_token(&json!({})));
    let shut = {
        let keys = DecryptionKeys::new(vec![key]);
        let shut = keys.shut();
        let keys = Arc::new(keys);
        world.facts.decryption_keys.insert("orders".into(), keys);
        shut
    };
    let judge = |world: &World, seconds: u64| {
        let call = Sent::get("/orders").bearer(&token).call();
        let answer = world.judge(call, &route, NOW.plus(Duration::from_secs(seconds)));
        answer.map(|_| ()).map_err(|refused| refused.problem.code)
    };
    assert_eq!(judge(&world, 0), Ok(()));
    assert!(world.facts.questions().contains(&"verification_key"));
    // The same version, and nothing to open with: what passes now is known.
    let shut = Arc::new(shut);
    world.facts.decryption_keys.insert("orders".into(), shut);
    assert_eq!(judge(&world, 659), Ok(()));
    assert!(!world.facts.questions().contains(&"verification_key"));
    assert_eq!(judge(&world, 660), Err(Code::CredentialRefused));
    world.facts.revoked.lock().unwrap().push("t-1".into());
    assert_eq!(judge(&world, 0), Err(Code::CredentialRefused));
}

#[test]
fn c04_what_one_api_opened_is_not_known_at_another() {
    let (own, theirs) = (key(), key());
    let (mut world, route) = asking(REQUIRED, Vec::new());
    let token = encrypt(&own, &world.own_token(&json!({})));
    let plain = world.own_token(&json!({}));
    for (name, keys) in [("orders", own), ("billing", theirs)] {
        let keys = Arc::new(DecryptionKeys::new(vec![keys]));
        world.facts.decryption_keys.insert(name.into(), keys);
    }
    assert_eq!(judge(&world, &route, &token), Ok(()));
    for (name, encryption, expected) in [
        // The only key is tried, whatever the token calls its own.
        ("billing", REQUIRED, "jwe-undecryptable"),
        ("plain", None, "jws-not-three-parts"),
    ] {
        let api = another(&world.api, name, encryption);
        let other = Route {
            api,
            ..world.route(&[&[Jwt]])
        };
        assert_eq!(cause(&world, &other, &token), expected, "{name}");
    }
    // And a signed one that another API knows is not taken where it must be encrypted.
    let open = another(&world.api, "plain", None);
    let open = Route {
        api: open,
        ..world.route(&[&[Jwt]])
    };
    assert_eq!(judge(&world, &open, &plain), Ok(()));
    let refused = cause(&world, &route, &plain);
    assert_eq!(refused, "the token is not encrypted");
}

#[test]
fn a_key_that_is_gone_opens_nothing_not_even_what_is_known() {
    let (first, second) = (key(), key());
    let (mut world, route) = asking(REQUIRED, Vec::new());
    let old = encrypt(&first, &world.own_token(&json!({})));
    let new = encrypt(&second, &world.own_token(&json!({})));
    let both = Arc::new(DecryptionKeys::new(vec![first, second]));
    let hold = |world: &mut World, keys: Arc<DecryptionKeys>| {
        world.facts.decryption_keys.insert("orders".into(), keys);
    };
    hold(&mut world, both);
    assert_eq!(judge(&world, &route, &old), Ok(()));
    assert_eq!(judge(&world, &route, &new), Ok(()));
    let stranger = Arc::new(DecryptionKeys::new(vec![key()]));
    hold(&mut world, stranger);
    for token in [&old, &new] {
        assert_eq!(cause(&world, &route, token), "jwe-undecryptable");
    }
    // Not at hand is no refusal.
    world.facts.decryption_keys.clear();
    assert_eq!(judge(&world, &route, &old), Err(Code::FactUnavailable));
}

#[test]
fn c01_only_a_signed_jwt_of_a_trusted_issuer_may_be_in_it() {
    let key = key();
    let (mut world, route) = asking(OPTIONAL, Vec::new());
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let forged = jws::sign(&stranger, "at+jwt", &World::own_claims().to_string());
    let good = world.own_token(&json!({}));
    let nested = encrypt(&key, &encrypt(&key, &good));
    let claims = World::own_claims().to_string();
    let unsigned = format!(
        "{}.{}.",
        base64url::encode(br#"{"alg":"none","typ":"at+jwt"}"#),
        base64url::encode(claims.as_bytes())
    );
    let tokens = [
        (nested, "jws-not-three-parts"),
        (encrypt(&key, &claims), "jws-not-base64url"),
        (encrypt(&key, ""), "jws-not-three-parts"),
        (
            encrypt(&key, &world.paseto(&json!({}))),
            "jws-not-three-parts",
        ),
        (
            encrypt(&key, &unsigned),
            "the token's algorithm is not accepted",
        ),
        (encrypt(&key, &forged), "the issuer has no such key"),
        (
            encrypt(
                &key,
                &world.own_token(&json!({"aud": "https://billing.example"})),
            ),
            "jwt-wrong-audience",
        ),
    ];
    let keys = Arc::new(DecryptionKeys::new(vec![key]));
    world.facts.decryption_keys.insert("orders".into(), keys);
    for (token, expected) in tokens {
        let refused = cause(&world, &route, &token);
        assert_eq!(refused, expected, "{token}");
    }
    assert_eq!(judge(&world, &route, &good), Ok(()));
}

#[test]
fn c01_a_change_in_any_part_refuses() {
    let key = key();
    let (mut world, route) = asking(REQUIRED, Vec::new());
    let token = encrypt(&key, &world.own_token(&json!({})));
    let keys = Arc::new(DecryptionKeys::new(vec![key]));
    world.facts.decryption_keys.insert("orders".into(), keys);
    assert_eq!(judge(&world, &route, &token), Ok(()));
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    for index in 0..5 {
        let mut parts = parts.clone();
        let mut bytes = base64url::decode(parts[index].as_bytes()).unwrap();
        match bytes.last_mut() {
            Some(last) => *last ^= 1,
            None => bytes.push(1),
        }
        parts[index] = base64url::encode(&bytes);
        let refused = cause(&world, &route, &parts.join("."));
        assert!(refused.starts_with("jwe-"), "part {index}: {refused}");
    }
}

#[test]
fn c04_where_no_jwt_is_taken_an_encrypted_one_is_not_either() {
    let key = key();
    let (mut world, _) = asking(REQUIRED, Vec::new());
    let token = encrypt(&key, &world.own_token(&json!({})));
    let keys = Arc::new(DecryptionKeys::new(vec![key]));
    world.facts.decryption_keys.insert("orders".into(), keys);
    for kind in [Opaque, Paseto] {
        let route = world.route(&[&[kind]]);
        let refused = judge(&world, &route, &token);
        assert_eq!(refused, Err(Code::CredentialRefused), "{kind:?}");
    }
}

#[test]
fn d01_a_bound_one_comes_with_a_proof_over_the_encrypted_text() {
    let key = key();
    let (mut world, route) = asking(REQUIRED, Vec::new());
    let holder = SigningKey::generate(Algorithm::ES256).unwrap();
    let inner = world.own_token(&json!({"cnf": {"jkt": holder.kid()}}));
    let token = encrypt(&key, &inner);
    let keys = Arc::new(DecryptionKeys::new(vec![key]));
    world.facts.decryption_keys.insert("orders".into(), keys);
    let proof = |over: &str, id: &str| {
        let mut jwk = holder.public_jwk().to_json();
        jwk.as_object_mut().unwrap().remove("use");
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let claims = json!({
            "jti": id, "htm": "GET", "htu": "https://orders.example/orders",
            "iat": NOW.as_secs(), "ath": base64url::encode(&sha256(over.as_bytes())),
        });
        let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = base64url::encode(&holder.sign(input.as_bytes()));
        format!("{input}.{signature}")
    };
    let dpop = |proof: &str| {
        let call = Sent::get("/orders")
            .with("authorization", format!("DPoP {token}"))
            .with("dpop", proof)
            .call();
        let answer = world.judge(call, &route, NOW);
        answer.map(|_| ()).map_err(|refused| refused.problem.code)
    };
    assert_eq!(dpop(&proof(&inner, "1")), Err(Code::ProofRefused));
    assert_eq!(dpop(&proof(&token, "2")), Ok(()));
    assert_eq!(dpop(&proof(&token, "2")), Err(Code::ProofRefused), "replay");
    let bearer = judge(&world, &route, &token);
    assert_eq!(bearer, Err(Code::CredentialRefused));
}

#[test]
fn what_is_checked_of_an_encrypted_token_is_this_list() {
    let key = key();
    let (mut world, route) = asking(REQUIRED, Vec::new());
    let plain = world.own_token(&json!({}));
    let token = encrypt(&key, &plain);
    let keys = Arc::new(DecryptionKeys::new(vec![key]));
    world.facts.decryption_keys.insert("orders".into(), keys);
    let heard = |token: &str| {
        let _ = judge(&world, &route, token);
        let heard = world.facts.heard();
        let from = heard.iter().position(|one| one == "(jwt").unwrap();
        heard[from + 1..].join(" ")
    };
    let first = heard(&token);
    assert!(
        first.starts_with("encryption decryption token-shape issuer algorithm"),
        "{first}"
    );
    let again = heard(&token);
    assert!(again.starts_with("encryption times audience"), "{again}");
    assert_eq!(heard(&plain), "encryption");
    let strange = encrypt(&self::key(), &plain);
    assert_eq!(heard(&strange), "encryption decryption");
}
