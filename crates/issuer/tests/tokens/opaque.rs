//! Opaque access tokens: that they stand for what a JWT would have said, through every grant, and
//! that nothing of them can be used but the text itself.

use std::collections::HashSet;

use issuer::error::Reason;
use issuer::flow::{DeviceDecision, Flows as _};
use issuer::grant::TokenResponse;
use issuer::params::Params;
use issuer::ports::IssuerStore as _;
use issuer::userinfo::Userinfo;
use proof::digest::TokenHash;
use proof::issued::{self, Brand, Environment, SecretKind};
use proof::random::{SystemEntropy, uuid_v7};
use registry::api::TokenFormat::{Jwt, Opaque};
use registry::audit::AuditDraft;
use serde_json::{Value, json};

use crate::world::{ISSUER, ORDERS, STOCK, USERINFO, World, ath, claims, redeem, refresh};

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fn for_itself(resource: &str) -> String {
    format!("grant_type=client_credentials&resource={resource}")
}

fn exchange(subject: &str) -> String {
    format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token={subject}&subject_token_type={TYPE}"
    )
}

/// The text of a token that must be an opaque one.
fn opaque(answer: Result<TokenResponse, Reason>) -> String {
    let answer = answer.unwrap_or_else(|reason| panic!("refused: {reason:?}"));
    let text = answer.access_token;
    let read = issued::parse(text.as_bytes(), &Brand::default()).expect("our grammar");
    assert_eq!(read.kind, SecretKind::OpaqueToken);
    assert_eq!(read.environment, Environment::Live);
    text
}

/// What the store has of a token.
async fn kept(world: &World, text: &str) -> Option<Value> {
    let hash = TokenHash::of(text.as_bytes());
    let claims = world.store.kept_token(&hash).await.expect("a database")?;
    Some(serde_json::from_str(&claims).expect("JSON"))
}

async fn is_active(world: &World, token: &str) -> bool {
    world.introspect("web", token).await["active"] == json!(true)
}

#[tokio::test]
async fn a_token_is_a_reference_to_the_claims_that_a_jwt_would_have_had() {
    let signed = World::with(Jwt, Jwt).await;
    let jwt = signed.ask("web", &for_itself(ORDERS)).await.expect("one");
    let world = World::with(Opaque, Jwt).await;
    let answer = world.ask("web", &for_itself(ORDERS)).await;
    if let Ok(answer) = &answer {
        assert_eq!(answer.expires_in, jwt.expires_in);
        assert_eq!(answer.token_type, "Bearer");
        assert_eq!(answer.scope, jwt.scope);
    }
    let text = opaque(answer);
    let mut expected = claims(&jwt.access_token);
    let mut found = kept(&world, &text).await.expect("it is kept");
    assert_ne!(expected["jti"].take(), found["jti"].take());
    assert_eq!(found, expected);
    // Nothing that is kept can be presented.
    let row = found.to_string();
    assert!(!row.contains(&text));
    let payload = proof::base64url::encode(row.as_bytes());
    for presented in [
        TokenHash::of(text.as_bytes()).to_string(),
        payload.clone(),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}."),
    ] {
        assert!(!is_active(&world, &presented).await, "{presented}");
    }
}

#[tokio::test]
async fn two_tokens_are_never_the_same() {
    let world = World::with(Opaque, Opaque).await;
    let first = opaque(world.ask("web", &for_itself(ORDERS)).await);
    assert_ne!(first, opaque(world.ask("web", &for_itself(ORDERS)).await));
}

#[tokio::test]
async fn introspection_tells_owner_and_resource_server_and_nobody_else() {
    let world = World::with(Opaque, Jwt).await;
    let token = opaque(world.ask("web", &for_itself(ORDERS)).await);
    for asker in ["web", "stockd"] {
        let mut told = world.introspect(asker, &token).await;
        assert!(told["jti"].take().is_string());
        let now = world.now().as_secs();
        let expected = json!({
            "active": true, "token_type": "Bearer", "iss": ISSUER, "sub": "web",
            "client_id": "web", "aud": [ORDERS], "exp": now + 600, "iat": now, "jti": null,
            "scope": "orders:read orders:write", "env": "live",
        });
        assert_eq!(told, expected, "{asker}");
    }
    for asker in ["twin", "test"] {
        let told = world.introspect(asker, &token).await;
        assert_eq!(told, json!({"active": false}), "{asker}");
    }
}

#[tokio::test]
async fn c11_what_is_no_token_of_ours_is_inactive() {
    let world = World::with(Opaque, Jwt).await;
    let token = opaque(world.ask("web", &for_itself(ORDERS)).await);
    let elsewhere = World::with(Opaque, Jwt).await;
    let stranger = opaque(elsewhere.ask("web", &for_itself(ORDERS)).await);
    let unkept = issued::Issued::generate(
        &Brand::default(),
        SecretKind::OpaqueToken,
        Environment::Live,
        &SystemEntropy,
    );
    for text in [
        &token[..token.len() - 1],
        &format!("{token}0"),
        &stranger,
        unkept.text(),
        "dw_ot_live_",
    ] {
        assert!(!is_active(&world, text).await, "{text}");
    }
    assert!(is_active(&world, &token).await);
}

#[tokio::test]
async fn c14_a_token_is_active_for_59_s_past_its_expiry_and_not_for_61() {
    for seen_before in [false, true] {
        let world = World::with(Opaque, Jwt).await;
        let token = opaque(world.ask("web", &for_itself(ORDERS)).await);
        assert!(!seen_before || is_active(&world, &token).await);
        world.wait(659);
        assert!(is_active(&world, &token).await);
        world.wait(2);
        assert!(!is_active(&world, &token).await);
    }
}

#[tokio::test]
async fn a_client_revokes_its_own_token_and_no_other_client_does() {
    let world = World::with(Opaque, Jwt).await;
    let token = opaque(world.ask("web", &for_itself(ORDERS)).await);
    let other = opaque(world.ask("web", &for_itself(ORDERS)).await);
    assert_eq!(world.revoke("twin", &token).await, Err(Reason::NotOwnToken));
    assert!(is_active(&world, &token).await);
    assert_eq!(world.revoke("web", &token).await, Ok(()));
    assert!(!is_active(&world, &token).await);
    assert!(is_active(&world, &other).await);
    // RFC 7009 §2.2: again, and unknown ones, are a success too.
    assert_eq!(world.revoke("web", &token).await, Ok(()));
}

#[tokio::test]
async fn a_person_s_token_works_at_userinfo_and_its_hash_stands_in_the_id_token() {
    let world = World::with(Opaque, Opaque).await;
    let answer = world.tokens("web").await;
    let id_token = claims(answer.id_token.as_deref().expect("one"));
    let half = &proof::digest::sha256(answer.access_token.as_bytes())[..16];
    assert_eq!(id_token["at_hash"], json!(proof::base64url::encode(half)));
    let token = opaque(Ok(answer));
    let row = kept(&world, &token).await.expect("it is kept");
    assert_eq!(row["sub"], json!("sub-alice"));
    assert_eq!(row["aud"], json!([ORDERS, STOCK, USERINFO]));
    let told = world.userinfo("Bearer", &token, None).await.expect("her");
    let Userinfo::Json(told) = told else {
        panic!("plain JSON")
    };
    assert_eq!(told["name"], json!("Alice Example"));
    // One for an API alone does not.
    let form = format!("{}&resource={ORDERS}", redeem(&world.code("web").await));
    let narrow = opaque(world.ask("web", &form).await);
    let told = world.userinfo("Bearer", &narrow, None).await;
    assert_eq!(told.err(), Some(Reason::DeadAccessToken));
}

#[tokio::test]
async fn without_an_api_a_token_is_a_jwt() {
    let world = World::with(Opaque, Opaque).await;
    let form = format!("{}&resource={USERINFO}", redeem(&world.code("web").await));
    let answer = world.ask("web", &form).await.expect("tokens");
    assert_eq!(claims(&answer.access_token)["aud"], json!(USERINFO));
}

#[tokio::test]
async fn apis_that_disagree_share_no_token_and_nothing_is_spent_for_asking() {
    let world = World::with(Opaque, Jwt).await;
    let both = format!("{}&resource={STOCK}", for_itself(ORDERS));
    let answer = world.ask("web", &both).await;
    assert_eq!(answer.err(), Some(Reason::MixedTargets));

    let form = redeem(&world.code("web").await);
    let answer = world.ask("web", &form).await;
    assert_eq!(answer.err(), Some(Reason::MixedTargets));
    let narrow = format!("{form}&resource={ORDERS}");
    let answer = world.ask("web", &narrow).await.expect("tokens");
    let line = answer.refresh_token.clone().expect("one");
    opaque(Ok(answer));

    let answer = world.ask("web", &refresh(&line)).await;
    assert_eq!(answer.err(), Some(Reason::MixedTargets));
    let other = format!("{}&resource={STOCK}", refresh(&line));
    let answer = world.ask("web", &other).await.expect("tokens");
    assert_eq!(claims(&answer.access_token)["aud"], json!(STOCK));

    // A device's code is spent before its token is made: it hears of it before anybody is asked.
    for (more, refused) in [
        ("&scope=orders:read+stock:read", true),
        ("&scope=orders:read", false),
        (
            "&resource=https://api.example.com/orders&resource=https://api.example.com/stock",
            true,
        ),
    ] {
        let body = format!("x=1{more}{}", world.auth("phone"));
        let params = Params::parse(body.as_bytes()).expect("a form");
        let answer = world
            .issuer
            .start_device(&world.request(&params, None, None))
            .await;
        let reason = answer.err().map(|refusal| refusal.reason());
        assert_eq!(reason, refused.then_some(Reason::MixedTargets), "{more}");
    }
}

#[tokio::test]
async fn f05_each_refresh_and_each_retry_has_a_token_of_its_own_and_a_thief_ends_them_all() {
    let world = World::with(Opaque, Opaque).await;
    let first = world.tokens("web").await;
    let line = first.refresh_token.clone().expect("one");
    let mut all = HashSet::from([opaque(Ok(first))]);
    for _ in 0..3 {
        all.insert(opaque(world.ask("web", &refresh(&line)).await));
        world.wait(3);
    }
    assert_eq!(all.len(), 4);
    for token in &all {
        assert!(is_active(&world, token).await);
    }
    world.wait(11);
    let thief = world.ask("web", &refresh(&line)).await;
    assert_eq!(thief.err(), Some(Reason::RefreshReused));
    for token in &all {
        assert!(!is_active(&world, token).await);
    }
}

#[tokio::test]
async fn f06_a_code_that_comes_twice_leaves_no_second_token_and_ends_the_first() {
    let world = World::with(Opaque, Opaque).await;
    let form = redeem(&world.code("web").await);
    let token = opaque(world.ask("web", &form).await);
    assert!(is_active(&world, &token).await);
    let again = world.ask("web", &form).await;
    assert_eq!(again.err(), Some(Reason::CodeReused));
    assert!(!is_active(&world, &token).await);
}

#[tokio::test]
async fn a_device_gets_one() {
    let world = World::with(Opaque, Opaque).await;
    let body = format!("x=1&scope=openid+orders:read{}", world.auth("phone"));
    let params = Params::parse(body.as_bytes()).expect("a form");
    let device = world
        .issuer
        .start_device(&world.request(&params, None, None))
        .await
        .unwrap_or_else(|refusal| panic!("refused: {refusal}"));
    let audit = AuditDraft {
        id: uuid_v7(world.now(), &SystemEntropy),
        at: world.now(),
        actor: "person:sub-alice".to_owned(),
        action: "device.approve",
        subject: "device".to_owned(),
        request_id: "request".to_owned(),
        details: std::collections::BTreeMap::new(),
    };
    let decision = DeviceDecision::Approved(Box::new(world.grant("phone")));
    let code = device.user_code.replace('-', "");
    let decided = world
        .store
        .decide_device(&code, decision, world.now(), audit)
        .await;
    assert!(decided.expect("a database"));
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={}",
        device.device_code
    );
    let token = opaque(world.ask("phone", &form).await);
    assert!(world.userinfo("Bearer", &token, None).await.is_ok());
}

#[tokio::test]
async fn either_form_is_exchanged_for_the_form_of_the_target() {
    for (orders, stock) in [(Opaque, Opaque), (Opaque, Jwt), (Jwt, Opaque)] {
        let world = World::with(orders, stock).await;
        let form = format!("{}&resource={ORDERS}", redeem(&world.code("web").await));
        let subject = world.ask("web", &form).await.expect("tokens").access_token;
        // `web` itself has it for orders alone: it narrows, and nothing is widened to stock.
        let narrowed = format!("{}&scope=orders:read", exchange(&subject));
        let answer = world.ask("web", &narrowed).await.expect("a token");
        assert_eq!(answer.issued_token_type, Some(TYPE));
        match orders {
            Opaque => {
                let token = opaque(Ok(answer));
                let row = kept(&world, &token).await.expect("it is kept");
                assert_eq!(row["scope"], json!("orders:read"));
                assert_eq!(row["sub"], json!("sub-alice"));
                // What was exchanged dies with its grant, and what is dead is not exchanged.
                assert_eq!(world.revoke("web", &subject).await, Ok(()));
                let late = world.ask("web", &narrowed).await;
                assert_eq!(late.err(), Some(Reason::ExchangeToken));
            }
            _ => assert_eq!(claims(&answer.access_token)["scope"], json!("orders:read")),
        }
    }
    // An API that was handed an opaque token goes on to another API.
    let world = World::with(Opaque, Opaque).await;
    let subject = opaque(Ok(world.tokens("web").await));
    let form = format!("{}&resource={STOCK}", exchange(&subject));
    let passed = opaque(world.ask("stockd", &form).await);
    let row = kept(&world, &passed).await.expect("it is kept");
    assert_eq!(row["aud"], json!(STOCK));
    assert_eq!(row["act"], json!({"sub": "stockd", "client_id": "stockd"}));
}

#[tokio::test]
async fn d01_a_bound_token_says_so_and_is_worth_nothing_as_a_bearer() {
    let world = World::with(Opaque, Opaque).await;
    let form = redeem(&world.code("fapi").await);
    let answer = world.ask_with("fapi", &form, &world.mine).await;
    assert_eq!(answer.as_ref().map(|one| one.token_type).ok(), Some("DPoP"));
    let token = opaque(answer);
    let jkt = world.mine.public_jwk().thumbprint();
    let told = world.introspect("fapi", &token).await;
    assert_eq!(told["cnf"], json!({"jkt": jkt}));
    assert_eq!(told["token_type"], json!("DPoP"));
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
async fn what_can_not_be_kept_is_not_sent() {
    let world = World::with(Opaque, Jwt).await;
    world.store.close().await;
    let answer = world.ask("web", &for_itself(ORDERS)).await;
    assert_eq!(answer.err(), Some(Reason::Unavailable));
    // A JWT needs no store.
    assert!(world.ask("web", &for_itself(STOCK)).await.is_ok());
}
