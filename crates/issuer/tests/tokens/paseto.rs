//! Access tokens in the form of PASETO: that they say what a JWT would have said, are read wherever
//! a JWT is, and have a key that signs nothing else.

use issuer::error::Reason;
use issuer::keys::KeyRing;
use issuer::ports::KeyPurpose;
use proof::jose::jwk::JwkSet;
use proof::jose::jws;
use proof::jose::jwt::Claims;
use proof::paseto::{self, Key};
use registry::api::TokenFormat::{Jwt, Opaque, Paseto};
use serde_json::{Value, json};

use crate::world::{ORDERS, STOCK, USERINFO, World, claims, redeem, refresh};

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fn for_itself(resource: &str) -> String {
    format!("grant_type=client_credentials&resource={resource}")
}

/// Reads a token as a resource server does, with the published key set.
fn read(ring: &KeyRing, token: &str) -> Value {
    let set = JwkSet::parse(ring.issuer_jwks().as_bytes()).expect("a key set");
    let token = paseto::split(token.as_bytes()).expect("a PASETO");
    let jwk = set.keys().iter().find(|key| key.kid() == token.key_id());
    let key = Key::public(jwk.expect("it is published")).expect("Ed25519");
    let payload = token.open(&key, &[]).expect("its signature holds");
    let claims = payload.claims().expect("claims");
    serde_json::from_str(&claims.to_json()).expect("JSON")
}

#[tokio::test]
async fn it_says_what_a_jwt_would_have_said_and_anybody_can_check_it() {
    let signed = World::with(Jwt, Jwt).await;
    let jwt = signed.ask("web", &for_itself(ORDERS)).await.expect("one");
    let world = World::with(Paseto, Jwt).await;
    let answer = world.ask("web", &for_itself(ORDERS)).await.expect("one");
    assert!(answer.access_token.starts_with("v4.public."));
    assert_eq!(answer.token_type, "Bearer");
    let mut expected = claims(&jwt.access_token);
    let mut found = read(&world.issuer.keys().ring(), &answer.access_token);
    assert_ne!(expected["jti"].take(), found["jti"].take());
    assert_eq!(found, expected);
    // The other API's tokens are what they were.
    let other = world.ask("web", &for_itself(STOCK)).await.expect("one");
    assert_eq!(claims(&other.access_token)["aud"], json!(STOCK));
}

#[tokio::test]
async fn it_is_introspected_revoked_refreshed_and_exchanged_like_a_jwt() {
    let world = World::with(Paseto, Paseto).await;
    let form = format!("{}&resource={ORDERS}", redeem(&world.code("web").await));
    let answer = world.ask("web", &form).await.expect("tokens");
    let token = answer.access_token;
    let ring = world.issuer.keys().ring();
    // One API, one text: what every library of PASETO reads.
    assert_eq!(read(&ring, &token)["aud"], json!(ORDERS));
    for asker in ["web", "stockd"] {
        let told = world.introspect(asker, &token).await;
        assert_eq!(told["active"], json!(true), "{asker}");
        assert_eq!(told["sub"], json!("sub-alice"), "{asker}");
    }
    let exchange = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token={token}&subject_token_type={TYPE}&scope=orders:read"
    );
    let narrowed = world.ask("web", &exchange).await.expect("a token");
    assert_eq!(
        read(&ring, &narrowed.access_token)["scope"],
        json!("orders:read")
    );
    let family = answer.refresh_token.expect("one");
    let fresh = world.ask("web", &refresh(&family)).await.expect("tokens");
    assert!(fresh.access_token.starts_with("v4.public."));
    assert_eq!(world.revoke("web", &token).await, Ok(()));
    let told = world.introspect("web", &token).await;
    assert_eq!(told, json!({"active": false}));
    let late = world.ask("web", &exchange).await;
    assert_eq!(late.err(), Some(Reason::ExchangeToken));
}

#[tokio::test]
async fn a_login_s_token_opens_userinfo_too() {
    let world = World::with(Paseto, Paseto).await;
    let token = world.tokens("web").await.access_token;
    assert!(token.starts_with("v4.public."));
    let audiences = read(&world.issuer.keys().ring(), &token)["aud"].clone();
    let audiences = audiences.as_array().expect("several are a list");
    assert!(audiences.contains(&json!(USERINFO)));
    assert!(world.userinfo("Bearer", &token, None).await.is_ok());
}

#[tokio::test]
async fn one_token_has_one_form() {
    let world = World::with(Paseto, Opaque).await;
    let both = format!("{}&resource={STOCK}", for_itself(ORDERS));
    let refused = world.ask("stockd", &both).await.err();
    let refused = refused.expect("two forms");
    assert!(
        [Reason::MixedTargets, Reason::UnknownTarget].contains(&refused),
        "{refused:?}"
    );
}

#[tokio::test]
async fn c04_its_key_signs_nothing_else_and_no_other_key_signs_it() {
    let world = World::with(Paseto, Jwt).await;
    let ring = world.issuer.keys().ring();
    let own = ring.signer(KeyPurpose::AccessPaseto).expect("a key");
    let answer = world.ask("web", &for_itself(ORDERS)).await.expect("one");
    let said = read(&ring, &answer.access_token).to_string();
    // The same claims as a JWT under this key.
    let jwt = jws::sign(own, "at+jwt", &said);
    // And as a PASETO under a stranger's key of the same name.
    let stranger = proof::jose::key::SigningKey::generate(proof::jose::alg::Algorithm::EdDSA);
    let parsed = Claims::from_json(said.as_bytes()).expect("claims");
    let forged = paseto::sign(&stranger.expect("a key"), &parsed).expect("a token");
    let (body, _) = forged.rsplit_once('.').expect("a footer");
    let (_, footer) = answer.access_token.rsplit_once('.').expect("a footer");
    for bad in [jwt, forged.clone(), format!("{body}.{footer}")] {
        let told = world.introspect("web", &bad).await;
        assert_eq!(told, json!({"active": false}), "{bad}");
    }
    for purpose in KeyPurpose::ALL {
        let same = ring.verifier(purpose, own.kid()).is_some();
        assert_eq!(same, purpose == KeyPurpose::AccessPaseto, "{purpose:?}");
    }
}

#[tokio::test]
async fn the_key_is_made_once_an_api_asks_for_it() {
    let world = World::with(Jwt, Opaque).await;
    let ring = world.issuer.keys().ring();
    assert!(ring.signer(KeyPurpose::AccessPaseto).is_none());
    let world = World::with(Jwt, Paseto).await;
    let ring = world.issuer.keys().ring();
    assert!(ring.signer(KeyPurpose::AccessPaseto).is_some());
}
