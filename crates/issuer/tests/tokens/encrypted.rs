//! Access tokens that are encrypted to an API: that every grant makes them so, that what is within
//! is what a signed one would have said, and that the issuer reads what it made and nothing else.

use issuer::error::Reason;
use issuer::flow::DeviceDecision;
use issuer::grant::TokenResponse;
use issuer::ports::KeyPurpose;
use issuer::userinfo::Userinfo;
use proof::base64url;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{self, ContentEncryption, DecryptionKey};
use proof::jose::jwk::JwkSet;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};

use crate::device::{decide, poll, start};
use crate::world::{ORDERS, STOCK, USERINFO, World, ath, claims, key, keys, redeem, refresh};

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Keys of the vectors.
const RSA: usize = 0;
const EC: usize = 1;
const OTHER: usize = 2;

fn for_itself(resource: &str) -> String {
    format!("grant_type=client_credentials&resource={resource}")
}

fn exchange(subject: &str, resource: &str) -> String {
    format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&resource={resource}\
         &subject_token={subject}&subject_token_type={TYPE}"
    )
}

fn header(token: &str) -> Value {
    let first = token.split('.').next().expect("a part");
    serde_json::from_slice(&base64url::decode(first.as_bytes()).expect("base64url")).expect("JSON")
}

/// What is in a token that is encrypted to `key`, opened and verified as a resource server does it.
fn within(world: &World, token: &str, key: &DecryptionKey) -> Value {
    let about = header(token);
    assert_eq!(about["kid"], json!(key.kid()));
    assert_eq!(about["typ"], json!("at+jwt"));
    let nested = jwe::split(token.as_bytes()).expect("a JWE").open(key);
    let nested = nested.expect("it is encrypted to this key");
    let set = JwkSet::parse(world.issuer.keys().ring().issuer_jwks().as_bytes());
    let keys = set.expect("a key set").verifying_keys(&Algorithm::ALL);
    let unverified = jws::split(nested.expose()).expect("a signed JWT");
    let signer = keys.iter().find(|key| key.kid() == unverified.kid());
    let payload = unverified.verify(signer.expect("it is published"));
    let payload = payload.expect("its signature holds");
    assert_eq!(payload.typ(), Some("at+jwt"));
    claims(nested.expose_text().expect("a text"))
}

fn text(answer: Result<TokenResponse, Reason>) -> String {
    answer.expect("tokens").access_token
}

async fn is_active(world: &World, token: &str) -> bool {
    world.introspect("web", token).await["active"] == json!(true)
}

#[tokio::test]
async fn it_says_within_what_a_signed_one_would_have_said() {
    let signed = World::new().await;
    let expected = signed.ask("web", &for_itself(ORDERS)).await.expect("one");
    for index in [RSA, EC] {
        let world = World::encrypting(keys([index, OTHER]), None).await;
        let answer = world.ask("web", &for_itself(ORDERS)).await.expect("one");
        assert_eq!(answer.expires_in, expected.expires_in);
        assert_eq!(answer.token_type, "Bearer");
        let mut found = within(&world, &answer.access_token, &key(index));
        let mut expected = claims(&expected.access_token);
        assert_ne!(expected["jti"].take(), found["jti"].take());
        assert_eq!(found, expected);
        // Nobody else's token changes.
        let other = text(world.ask("web", &for_itself(STOCK)).await);
        assert_eq!(claims(&other)["aud"], json!(STOCK));
    }
}

#[tokio::test]
async fn every_grant_encrypts_for_the_api_that_asks_and_for_no_other() {
    let world = World::encrypting(keys([EC]), None).await;
    for (resource, encrypted) in [(ORDERS, true), (STOCK, false)] {
        let alone = format!("&resource={resource}");
        let mut made = Vec::new();
        made.push(world.ask("web", &for_itself(resource)).await);

        let form = redeem(&world.code("web").await) + &alone;
        let answer = world.ask("web", &form).await.expect("tokens");
        let line = answer.refresh_token.clone().expect("one");
        let subject = answer.access_token.clone();
        made.push(Ok(answer));
        let answer = world.ask("web", &(refresh(&line) + &alone)).await;
        made.push(answer);
        made.push(world.ask("web", &exchange(&subject, resource)).await);

        let scope = ["orders:read", "stock:read"][usize::from(!encrypted)];
        let device = start(&world, "phone", &format!("&scope={scope}")).await;
        let device = device.expect("codes");
        let decision = DeviceDecision::Approved(Box::new(world.grant("phone")));
        decide(&world, &device, decision).await;
        made.push(world.ask("phone", &(poll(&device) + &alone)).await);

        assert_eq!(made.len(), 5);
        for (index, answer) in made.into_iter().enumerate() {
            let token = text(answer);
            assert_eq!(jwe::looks_like(token.as_bytes()), encrypted, "{index}");
            let said = match encrypted {
                true => within(&world, &token, &key(EC)),
                false => claims(&token),
            };
            assert_eq!(said["aud"], json!(resource), "{index}");
        }
    }
}

#[tokio::test]
async fn the_issuer_reads_what_it_encrypted() {
    for index in [RSA, EC] {
        let world = World::encrypting(keys([index]), keys([index])).await;
        let answer = world.tokens("web").await;
        let id_token = claims(answer.id_token.as_deref().expect("one"));
        let token = answer.access_token;
        // One key, one token for both; its hash is that of what is sent.
        let said = within(&world, &token, &key(index));
        assert_eq!(said["aud"], json!([ORDERS, STOCK, USERINFO]));
        let half = &proof::digest::sha256(token.as_bytes())[..16];
        assert_eq!(id_token["at_hash"], json!(base64url::encode(half)));

        for asker in ["web", "stockd"] {
            let told = world.introspect(asker, &token).await;
            assert_eq!(told["active"], json!(true), "{asker}");
            assert_eq!(told["jti"], said["jti"], "{asker}");
        }
        let told = world.introspect("twin", &token).await;
        assert_eq!(told, json!({"active": false}));
        let told = world.userinfo("Bearer", &token, None).await.expect("her");
        let Userinfo::Json(told) = told else {
            panic!("plain JSON")
        };
        assert_eq!(told["name"], json!("Alice Example"));

        let narrowed = world.ask("web", &exchange(&token, STOCK)).await;
        let said = within(&world, &text(narrowed), &key(index));
        assert_eq!(said["aud"], json!(STOCK));

        assert_eq!(world.revoke("twin", &token).await, Err(Reason::NotOwnToken));
        assert_eq!(world.revoke("web", &token).await, Ok(()));
        assert!(!is_active(&world, &token).await);
        let late = world.userinfo("Bearer", &token, None).await;
        assert_eq!(late.err(), Some(Reason::DeadAccessToken));
        let late = world.ask("web", &exchange(&token, STOCK)).await;
        assert_eq!(late.err(), Some(Reason::ExchangeToken));
    }
}

#[tokio::test]
async fn without_an_api_a_token_is_signed_alone() {
    let world = World::encrypting(keys([EC]), keys([EC])).await;
    let form = format!("{}&resource={USERINFO}", redeem(&world.code("web").await));
    let token = text(world.ask("web", &form).await);
    assert_eq!(claims(&token)["aud"], json!(USERINFO));
}

#[tokio::test]
async fn c14_one_that_was_read_is_active_for_59_s_past_its_expiry_and_not_for_61() {
    for seen_before in [false, true] {
        let world = World::encrypting(keys([EC]), None).await;
        let token = text(world.ask("web", &for_itself(ORDERS)).await);
        assert!(!seen_before || is_active(&world, &token).await);
        world.wait(659);
        assert!(is_active(&world, &token).await);
        world.wait(2);
        assert!(!is_active(&world, &token).await);
    }
}

#[tokio::test]
async fn apis_of_different_keys_share_no_token_and_nothing_is_spent_for_asking() {
    for (orders, stock) in [
        (keys([EC]), keys([OTHER])),
        (keys([EC, OTHER]), keys([OTHER, EC])),
        (keys([EC]), keys([RSA])),
        (keys([EC]), None),
        (None, keys([EC])),
    ] {
        let world = World::encrypting(orders, stock).await;
        let both = format!("{}&resource={STOCK}", for_itself(ORDERS));
        let answer = world.ask("web", &both).await;
        assert_eq!(answer.err(), Some(Reason::MixedTargets));
        let device = start(&world, "phone", "&scope=orders:read+stock:read").await;
        assert_eq!(device.err(), Some(Reason::MixedTargets));

        let form = redeem(&world.code("web").await);
        let answer = world.ask("web", &form).await;
        assert_eq!(answer.err(), Some(Reason::MixedTargets));
        let narrow = format!("{form}&resource={ORDERS}");
        let answer = world.ask("web", &narrow).await.expect("tokens");
        let line = answer.refresh_token.expect("one");
        let answer = world.ask("web", &refresh(&line)).await;
        assert_eq!(answer.err(), Some(Reason::MixedTargets));
        let other = format!("{}&resource={STOCK}", refresh(&line));
        assert!(world.ask("web", &other).await.is_ok());
    }
}

#[tokio::test]
async fn a_new_first_key_is_encrypted_to_and_the_others_still_open() {
    let world = World::encrypting(keys([RSA]), None).await;
    let old = text(world.ask("web", &for_itself(ORDERS)).await);
    let unseen = text(world.ask("web", &for_itself(ORDERS)).await);
    assert!(is_active(&world, &old).await);

    world.encrypt(keys([EC, RSA]), None);
    let fresh = text(world.ask("web", &for_itself(ORDERS)).await);
    within(&world, &fresh, &key(EC));
    for token in [&old, &fresh] {
        assert!(is_active(&world, token).await);
    }
    // What a key opened that is gone is read no more, seen before or not.
    world.encrypt(keys([EC]), None);
    for (token, expected) in [(&old, false), (&unseen, false), (&fresh, true)] {
        assert_eq!(is_active(&world, token).await, expected);
    }
    // Nor is any once the API asks for none, and the next is signed alone.
    world.encrypt(None, None);
    assert!(!is_active(&world, &fresh).await);
    let plain = text(world.ask("web", &for_itself(ORDERS)).await);
    assert_eq!(claims(&plain)["aud"], json!(ORDERS));
}

#[tokio::test]
async fn c04_what_others_encrypted_is_no_token_of_ours() {
    let world = World::encrypting(keys([EC]), None).await;
    let good = text(world.ask("web", &for_itself(ORDERS)).await);
    let said = within(&world, &good, &key(EC)).to_string();
    let ring = world.issuer.keys().ring();
    let own = ring.signer(KeyPurpose::Access).expect("a key");
    let id_key = ring.signer(KeyPurpose::IdEs256).expect("a key");
    let stranger = SigningKey::generate(Algorithm::ES256).expect("a key");
    let api = key(EC);
    let wrap = |key: &DecryptionKey, nested: &str| {
        let cipher = ContentEncryption::A256Gcm;
        key.public().encrypt(nested, "at+jwt", cipher).expect("one")
    };
    let signed = jws::sign(own, "at+jwt", &said);
    assert!(is_active(&world, &wrap(&api, &signed)).await, "the control");
    let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    parts[3] = parts[3].chars().rev().collect();
    for (what, bad) in [
        ("changed", parts.join(".")),
        (
            "a stranger's",
            wrap(&api, &jws::sign(&stranger, "at+jwt", &said)),
        ),
        (
            "of ID tokens' key",
            wrap(&api, &jws::sign(id_key, "at+jwt", &said)),
        ),
        ("untyped", wrap(&api, &jws::sign(own, "JWT", &said))),
        ("unsigned", wrap(&api, &said)),
        ("twice", wrap(&api, &good)),
        ("to nobody's key", wrap(&key(OTHER), &signed)),
        ("to nobody's key", wrap(&key(RSA), &signed)),
        ("four dots", "....".to_owned()),
    ] {
        let told = world.introspect("web", &bad).await;
        assert_eq!(told, json!({"active": false}), "{what}");
        assert_eq!(world.revoke("web", &bad).await, Ok(()), "{what}");
        let told = world.userinfo("Bearer", &bad, None).await;
        assert_eq!(told.err(), Some(Reason::DeadAccessToken), "{what}");
        let told = world.ask("web", &exchange(&bad, ORDERS)).await;
        assert_eq!(told.err(), Some(Reason::ExchangeToken), "{what}");
    }
    assert!(is_active(&world, &good).await);
}

#[tokio::test]
async fn d01_a_bound_one_is_shown_by_the_hash_of_what_was_sent() {
    let world = World::encrypting(keys([EC]), keys([EC])).await;
    let form = redeem(&world.code("spa").await);
    let tokens = world.ask_with("spa", &form, &world.mine).await;
    let token = text(tokens);
    let said = within(&world, &token, &key(EC));
    let jkt = world.mine.public_jwk().thumbprint();
    assert_eq!(said["cnf"], json!({ "jkt": jkt }));
    let nested = jwe::split(token.as_bytes()).expect("a JWE").open(&key(EC));
    let nested = nested.expect("opens").expose_text().map(str::to_owned);
    let proof = |ath: String| {
        world.proof_with(&world.mine, |claims| {
            claims["htm"] = json!("GET");
            claims["htu"] = json!(USERINFO);
            claims["ath"] = json!(ath);
        })
    };
    let inner = proof(ath(&nested.expect("a text")));
    let told = world.userinfo("DPoP", &token, Some(&inner)).await;
    assert_eq!(told.err(), Some(Reason::BadProof));
    let told = world.userinfo("Bearer", &token, None).await;
    assert_eq!(told.err(), Some(Reason::UnboundUse));
    let outer = proof(ath(&token));
    assert!(world.userinfo("DPoP", &token, Some(&outer)).await.is_ok());
}
