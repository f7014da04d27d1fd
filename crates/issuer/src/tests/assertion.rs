//! `private_key_jwt`: a table of assertions, each wrong in one way.

use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};

use super::world::{ISSUER, NOW, TOKEN_ENDPOINT, World, basic};
use crate::error::Reason;

fn good(client: &str) -> Value {
    json!({
        "iss": client,
        "sub": client,
        "aud": ISSUER,
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 300,
        "jti": format!("{}", uuid()),
    })
}

fn uuid() -> String {
    proof::random::uuid_v7(NOW, &proof::random::SystemEntropy)
}

fn body(assertion: &str) -> String {
    format!(
        "grant_type=client_credentials&client_assertion={assertion}\
         &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    )
}

fn sign(key: &SigningKey, claims: &Value) -> String {
    jws::sign(key, "JWT", &claims.to_string())
}

async fn answer(world: &World, assertion: &str) -> Result<(), Reason> {
    world.token_at(NOW, None, &body(assertion)).await.map(drop)
}

#[tokio::test]
async fn a_good_assertion_authenticates_with_either_audience() {
    let world = World::new().await;
    for client in ["signer", "other"] {
        for aud in [json!(ISSUER), json!(TOKEN_ENDPOINT), json!([ISSUER])] {
            let mut claims = good(client);
            claims["aud"] = aud;
            let assertion = sign(&world.signing[client], &claims);
            assert_eq!(
                answer(&world, &assertion).await,
                Ok(()),
                "{client} {claims}"
            );
        }
    }
}

#[tokio::test]
async fn an_assertion_that_is_wrong_in_one_way_gets_exactly_its_error() {
    let world = World::new().await;
    let now = NOW.as_secs();
    let rows: Vec<(&str, Value, Reason)> = vec![
        ("sub", json!("other"), Reason::AssertionSubject),
        ("sub", Value::Null, Reason::AssertionClaims),
        ("sub", json!(7), Reason::AssertionClaims),
        ("iss", json!("nobody"), Reason::UnknownClient),
        ("iss", json!("basic"), Reason::WrongClientMethod),
        // C13: the claimed client has other keys than the one that signed.
        ("iss", json!("other"), Reason::AssertionKey),
        ("iss", Value::Null, Reason::MalformedAssertion),
        ("iss", json!(["signer"]), Reason::MalformedAssertion),
        (
            "aud",
            json!("https://elsewhere.example"),
            Reason::AssertionAudience,
        ),
        (
            "aud",
            json!("https://id.example.com/"),
            Reason::AssertionAudience,
        ),
        (
            "aud",
            json!([ISSUER, "https://elsewhere.example"]),
            Reason::AssertionAudience,
        ),
        ("aud", Value::Null, Reason::AssertionClaims),
        ("aud", json!({}), Reason::AssertionClaims),
        ("exp", Value::Null, Reason::AssertionClaims),
        (
            "exp",
            json!((now + 60).to_string()),
            Reason::AssertionClaims,
        ),
        ("exp", json!(1e30), Reason::AssertionClaims),
        ("exp", json!(-1), Reason::AssertionClaims),
        // C14: 59 s passes, 61 s refuses (the passing half stands below).
        ("exp", json!(now - 61), Reason::AssertionTimes),
        ("exp", json!(now + 301), Reason::AssertionTimes),
        ("nbf", json!(now + 61), Reason::AssertionTimes),
        ("iat", json!(now + 61), Reason::AssertionTimes),
        ("iat", json!(now - 1), Reason::AssertionTimes),
        ("jti", Value::Null, Reason::AssertionClaims),
        ("jti", json!(""), Reason::AssertionClaims),
        ("jti", json!("x".repeat(257)), Reason::AssertionClaims),
        ("jti", json!(1), Reason::AssertionClaims),
    ];
    for (name, value, reason) in rows {
        let mut claims = good("signer");
        match &value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            _ => claims[name] = value.clone(),
        }
        let assertion = sign(&world.signing["signer"], &claims);
        assert_eq!(
            answer(&world, &assertion).await,
            Err(reason),
            "{name} = {value}"
        );
    }
}

#[tokio::test]
async fn c14_an_assertion_within_the_leeway_passes() {
    let world = World::new().await;
    let now = NOW.as_secs();
    for (name, value) in [("exp", now - 59), ("nbf", now + 59), ("iat", now + 59)] {
        let mut claims = good("signer");
        if name == "exp" {
            claims["iat"] = json!(now - 120);
        }
        claims[name] = json!(value);
        let assertion = sign(&world.signing["signer"], &claims);
        assert_eq!(answer(&world, &assertion).await, Ok(()), "{name}");
    }
}

#[tokio::test]
async fn an_assertion_is_used_once() {
    let world = World::new().await;
    let key = &world.signing["signer"];
    let assertion = sign(key, &good("signer"));
    assert_eq!(answer(&world, &assertion).await, Ok(()));
    assert_eq!(
        answer(&world, &assertion).await,
        Err(Reason::AssertionReplayed)
    );
    let name = format!("jkt:{}", key.public_jwk().thumbprint());
    assert_eq!(
        world.used.take(),
        [("signer".to_owned(), name)],
        "once, too"
    );
}

#[tokio::test]
async fn a_jti_can_not_be_spent_by_whoever_can_not_sign() {
    let world = World::new().await;
    let claims = good("signer");
    let forged = {
        let stranger = SigningKey::generate(proof::jose::alg::Algorithm::ES256).expect("a key");
        // Under the victim's key id, so that the signature is what refuses it.
        let header = json!({"alg": "ES256", "kid": world.signing["signer"].kid(), "typ": "JWT"});
        let input = format!(
            "{}.{}",
            proof::base64url::encode(header.to_string().as_bytes()),
            proof::base64url::encode(claims.to_string().as_bytes())
        );
        let signature = proof::base64url::encode(&stranger.sign(input.as_bytes()));
        format!("{input}.{signature}")
    };
    assert_eq!(
        answer(&world, &forged).await,
        Err(Reason::AssertionSignature)
    );
    let genuine = sign(&world.signing["signer"], &claims);
    assert_eq!(answer(&world, &genuine).await, Ok(()));
}

#[tokio::test]
async fn c13_the_same_jti_of_two_clients_are_two() {
    let world = World::new().await;
    for client in ["signer", "other"] {
        let mut claims = good(client);
        claims["jti"] = json!("the-same");
        assert_eq!(
            answer(&world, &sign(&world.signing[client], &claims)).await,
            Ok(())
        );
    }
}

#[tokio::test]
async fn c04_no_other_token_passes_as_a_client_assertion() {
    let world = World::new().await;
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
    ] {
        let assertion = jws::sign(&world.signing["signer"], typ, &good("signer").to_string());
        assert_eq!(
            answer(&world, &assertion).await,
            Err(Reason::MalformedAssertion),
            "{typ}"
        );
    }
    // A real access token: its issuer is no client.
    let token = world.access_token("basic", "").await;
    assert_eq!(answer(&world, &token).await, Err(Reason::UnknownClient));
}

#[tokio::test]
async fn c02_an_assertion_that_brings_its_key_along_is_refused() {
    let world = World::new().await;
    let key = &world.signing["signer"];
    for name in ["jwk", "jku", "x5u", "x5c", "crit", "b64"] {
        let mut header = json!({"alg": "ES256", "kid": key.kid(), "typ": "JWT"});
        header[name] = json!(["x"]);
        let input = format!(
            "{}.{}",
            proof::base64url::encode(header.to_string().as_bytes()),
            proof::base64url::encode(good("signer").to_string().as_bytes())
        );
        let assertion = format!(
            "{input}.{}",
            proof::base64url::encode(&key.sign(input.as_bytes()))
        );
        assert_eq!(
            answer(&world, &assertion).await,
            Err(Reason::MalformedAssertion),
            "{name}"
        );
    }
}

#[tokio::test]
async fn c01_the_algorithm_is_the_keys() {
    let world = World::new().await;
    let key = &world.signing["signer"];
    for alg in ["none", "HS256", "EdDSA", "ES384", "RS256"] {
        let header = json!({"alg": alg, "kid": key.kid(), "typ": "JWT"});
        let input = format!(
            "{}.{}",
            proof::base64url::encode(header.to_string().as_bytes()),
            proof::base64url::encode(good("signer").to_string().as_bytes())
        );
        let assertion = format!(
            "{input}.{}",
            proof::base64url::encode(&key.sign(input.as_bytes()))
        );
        assert_eq!(
            answer(&world, &assertion).await,
            Err(Reason::AssertionKey),
            "{alg}"
        );
    }
}

#[tokio::test]
async fn the_parameters_around_an_assertion_are_held_to_it() {
    let world = World::new().await;
    let assertion = sign(&world.signing["signer"], &good("signer"));
    let grant = "grant_type=client_credentials";
    let rows = [
        (
            format!("{grant}&client_assertion={assertion}"),
            Reason::AssertionIncomplete,
        ),
        (
            format!(
                "{grant}&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            ),
            Reason::AssertionIncomplete,
        ),
        (
            format!(
                "{grant}&client_assertion={assertion}&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
            ),
            Reason::AssertionTypeUnknown,
        ),
        (
            format!("{}&client_id=other", body(&assertion)),
            Reason::AssertionSubject,
        ),
        (
            format!("{}&client_secret=x", body(&assertion)),
            Reason::SeveralClientMethods,
        ),
        (body("garbage"), Reason::MalformedAssertion),
        (body("a.b.c"), Reason::MalformedAssertion),
    ];
    for (body, reason) in rows {
        assert_eq!(
            world.token_at(NOW, None, &body).await.err(),
            Some(reason),
            "{body}"
        );
    }
    let header = basic("basic", world.secret("basic"));
    let both = world.token_at(NOW, Some(&header), &body(&assertion)).await;
    assert_eq!(both.err(), Some(Reason::SeveralClientMethods));
    // None of these spent it.
    let named = format!("{}&client_id=signer", body(&assertion));
    assert!(world.token_at(NOW, None, &named).await.is_ok());
}

#[tokio::test]
async fn without_its_replay_memory_no_assertion_passes() {
    let world = World::new().await;
    world
        .replay
        .away
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let assertion = sign(&world.signing["signer"], &good("signer"));
    assert_eq!(answer(&world, &assertion).await, Err(Reason::Unavailable));
}
