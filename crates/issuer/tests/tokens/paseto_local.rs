//! Access tokens in the form of PASETO that only this installation reads: that they stand for what a
//! JWT would have said, through every grant, and that nobody without the key reads or makes one.

use issuer::error::Reason;
use issuer::ports::KeyPurpose::AccessPasetoLocal;
use proof::jose::jwt::Claims;
use proof::paseto::{self, IssuingKey, LocalKey, Purpose};
use proof::random::SystemEntropy;
use registry::actor::Actor;
use registry::api::TokenFormat::{Jwt, Opaque, Paseto, PasetoLocal};
use serde_json::{Value, json};

use crate::world::{ORDERS, STOCK, USERINFO, World, ath, claims, redeem, refresh};

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const ACTOR: Actor = Actor::System { part: "test" };

fn for_itself(resource: &str) -> String {
    format!("grant_type=client_credentials&resource={resource}")
}

/// What a token says, for who has the issuer's own key.
fn read(world: &World, token: &str) -> Value {
    let ring = world.issuer.keys().ring();
    let token = paseto::split(token.as_bytes()).expect("a PASETO");
    assert_eq!(token.purpose(), Purpose::Local);
    let key = ring.opener(AccessPasetoLocal, token.key_id().expect("a key id"));
    let payload = token.open(key.expect("it opens"), &[]).expect("its key");
    let claims = payload.claims().expect("claims");
    serde_json::from_str(&claims.to_json()).expect("JSON")
}

#[tokio::test]
async fn it_says_what_a_jwt_would_have_said_and_nobody_else_reads_it() {
    let signed = World::with(Jwt, Jwt).await;
    let jwt = signed.ask("web", &for_itself(ORDERS)).await.expect("one");
    let world = World::with(PasetoLocal, Jwt).await;
    let answer = world.ask("web", &for_itself(ORDERS)).await.expect("one");
    let token = answer.access_token;
    assert!(token.starts_with("v4.local."), "{token}");
    assert_eq!(answer.token_type, "Bearer");
    let mut expected = claims(&jwt.access_token);
    let mut found = read(&world, &token);
    assert_ne!(expected["jti"].take(), found["jti"].take());
    assert_eq!(found, expected);
    // The footer names the key, and no published set has it.
    let told = paseto::split(token.as_bytes()).expect("a PASETO");
    let kid = told.key_id().expect("a key id");
    assert!(kid.starts_with("k4.lid."), "{kid}");
    assert_eq!(
        told.unverified_footer(),
        json!({ "kid": kid }).to_string().as_bytes()
    );
    assert_eq!(told.unverified_payload(), None);
    let ring = world.issuer.keys().ring();
    assert!(!ring.issuer_jwks().contains(kid));
    // The other API's tokens are what they were.
    let other = world.ask("web", &for_itself(STOCK)).await.expect("one");
    assert_eq!(claims(&other.access_token)["aud"], json!(STOCK));
}

#[tokio::test]
async fn it_is_introspected_revoked_refreshed_and_exchanged_like_a_jwt() {
    let world = World::with(PasetoLocal, PasetoLocal).await;
    let form = format!("{}&resource={ORDERS}", redeem(&world.code("web").await));
    let answer = world.ask("web", &form).await.expect("tokens");
    let token = answer.access_token;
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
        read(&world, &narrowed.access_token)["scope"],
        json!("orders:read")
    );
    let family = answer.refresh_token.expect("one");
    let fresh = world.ask("web", &refresh(&family)).await.expect("tokens");
    assert!(fresh.access_token.starts_with("v4.local."));
    assert_eq!(world.revoke("web", &token).await, Ok(()));
    let told = world.introspect("web", &token).await;
    assert_eq!(told, json!({"active": false}));
    let late = world.ask("web", &exchange).await;
    assert_eq!(late.err(), Some(Reason::ExchangeToken));
    // Its time counts too, though it was read before.
    let fresh = fresh.access_token;
    assert_eq!(world.introspect("web", &fresh).await["active"], json!(true));
    world.wait(3700);
    assert_eq!(
        world.introspect("web", &fresh).await["active"],
        json!(false)
    );
}

#[tokio::test]
async fn d01_a_bound_token_says_so_and_is_worth_nothing_as_a_bearer() {
    let world = World::with(PasetoLocal, PasetoLocal).await;
    let form = redeem(&world.code("fapi").await);
    let answer = world.ask_with("fapi", &form, &world.mine).await;
    let answer = answer.expect("tokens");
    assert_eq!(answer.token_type, "DPoP");
    let token = answer.access_token;
    assert!(token.starts_with("v4.local."), "{token}");
    let jkt = world.mine.public_jwk().thumbprint();
    let told = world.introspect("fapi", &token).await;
    assert_eq!(told["cnf"], json!({"jkt": jkt}));
    let bearer = world.userinfo("Bearer", &token, None).await;
    assert_eq!(bearer.err(), Some(Reason::UnboundUse));
    let proof = |key| {
        world.proof_with(key, |claims| {
            claims["htm"] = json!("GET");
            claims["htu"] = json!(USERINFO);
            claims["ath"] = json!(ath(&token));
        })
    };
    let (mine, other) = (proof(&world.mine), proof(&world.other));
    let stolen = world.userinfo("DPoP", &token, Some(&other)).await;
    assert_eq!(stolen.err(), Some(Reason::UnboundUse));
    assert!(world.userinfo("DPoP", &token, Some(&mine)).await.is_ok());
}

#[tokio::test]
async fn one_token_has_one_form() {
    for other in [Jwt, Opaque, Paseto] {
        let world = World::with(PasetoLocal, other).await;
        let form = redeem(&world.code("web").await);
        let both = format!("{form}&resource={ORDERS}&resource={STOCK}");
        let refused = world.ask("web", &both).await.err();
        assert_eq!(refused, Some(Reason::MixedTargets), "{other:?}");
    }
}

#[tokio::test]
async fn c01_nobody_without_the_key_makes_one() {
    let world = World::with(PasetoLocal, Paseto).await;
    let token = world.ask("web", &for_itself(ORDERS)).await.expect("one");
    let token = token.access_token;
    let said = Claims::from_json(read(&world, &token).to_string().as_bytes());
    let said = said.expect("claims");
    let stranger = IssuingKey::local(LocalKey::generate(&SystemEntropy));
    let forged = paseto::issue(&stranger, &said, &[]).expect("a token");
    let (body, _) = forged.rsplit_once('.').expect("a footer");
    let (own, footer) = token.rsplit_once('.').expect("a footer");
    // A key made of what everybody knows: the bytes of the published Ed25519 key.
    let ring = world.issuer.keys().ring();
    let signer = ring.signer(issuer::ports::KeyPurpose::AccessPaseto);
    let public = signer.expect("a key").public_jwk().to_json();
    let x = public["x"].as_str().expect("x");
    let known = proof::secret::Secret::from_text(format!("k4.local.{x}"));
    let known = IssuingKey::from_paserk(&known).expect("a key");
    let known = paseto::issue(&known, &said, &[]).expect("a token");
    let (of_public, _) = known.rsplit_once('.').expect("a footer");
    for bad in [
        forged.clone(),
        format!("{body}.{footer}"),
        own.to_owned(),
        known.clone(),
        format!("{of_public}.{footer}"),
        token.replacen("v4.local.", "v4.public.", 1),
    ] {
        let told = world.introspect("web", &bad).await;
        assert_eq!(told, json!({"active": false}), "{bad}");
    }
    let told = world.introspect("web", &token).await;
    assert_eq!(told["active"], json!(true));
}

#[tokio::test]
async fn its_key_is_made_once_an_api_asks_for_it_and_a_dropped_one_opens_nothing() {
    let world = World::with(Jwt, Paseto).await;
    let ring = world.issuer.keys().ring();
    assert!(ring.encrypter(AccessPasetoLocal).is_none());
    let world = World::with(Jwt, PasetoLocal).await;
    let keys = world.issuer.keys();
    let ask = || async { world.ask("web", &for_itself(STOCK)).await };
    let old = ask().await.expect("one").access_token;
    let active = |token: String| {
        let world = &world;
        async move { world.introspect("web", &token).await["active"] == json!(true) }
    };
    assert!(active(old.clone()).await);
    keys.rotate(AccessPasetoLocal, world.now(), &ACTOR, "r")
        .await
        .expect("a key");
    keys.activate(AccessPasetoLocal, world.now(), &ACTOR, "r")
        .await
        .expect("an activation");
    let new = ask().await.expect("one").access_token;
    let kid =
        |token: &str| paseto::split(token.as_bytes()).map(|one| one.key_id().map(str::to_owned));
    assert_ne!(kid(&old), kid(&new));
    assert!(active(old.clone()).await && active(new.clone()).await);
    keys.drop_leaked(AccessPasetoLocal, world.now(), &ACTOR, "r")
        .await
        .expect("a key");
    // The one before it stays in its overlap; only what leaked is gone, though it was read before.
    assert!(!active(new).await);
    assert!(active(old).await);
    assert!(active(ask().await.expect("one").access_token).await);
}
