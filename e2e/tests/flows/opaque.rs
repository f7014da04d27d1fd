//! Opaque access tokens: from the token endpoint through the gateway to an upstream that gets a
//! signed JWT instead, and their end, which is felt at once.

use core::time::Duration;
use std::time::Instant;

use proof::jose::alg::Algorithm;
use serde_json::{Value, json};
use testkit::bound::ProofKey;
use testkit::doorward::Doorward;
use testkit::wire::{self, Answer};

use super::scene::claims;
use super::services::World;

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      identity: { mode: jwt, audience: https://inside.example }
      token_format: opaque
      credentials: [opaque]
      scopes: { "orders:read": See orders }
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: stock }
    spec:
      audiences: [https://stock.example]
      base_path: /stock
      upstream: { urls: ['@UPSTREAM@'] }
      credentials: [jwt]
      scopes: { "stock:read": See stock }
      routes: [{ path: /all, methods: [GET], scopes: ["stock:read"] }]
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: shop }
    spec: { application: shop, kind: service, auth_method: client_secret_basic, grant_types: [client_credentials], grants: { orders: ["orders:read"], stock: ["stock:read"] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: server }
    spec: { application: shop, kind: service, auth_method: client_secret_basic, grant_types: [client_credentials], introspects: [orders] }
"#;

const ORDERS: &str = "https://orders.example";
const STOCK: &str = "https://stock.example";
const DEAD: &str = r#"{"active":false}"#;

fn get(node: &Doorward, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    node.get(path, &[("authorization", &bearer)]).unwrap()
}

fn status(node: &Doorward, token: &str) -> u16 {
    get(node, "/orders", token).status
}

#[test]
fn opaque_outside_a_jwt_inside_and_dead_at_once() {
    let world = World::start(RESOURCES);
    let token = world.token(ORDERS);
    assert!(token.starts_with("dw_ot_live_"), "{token}");
    assert!(!token.contains('.'));
    assert_eq!(status(&world.one, &token), 200);
    // The phantom token: the upstream gets a signed identity and nothing of what was sent.
    let seen = world.upstream.with("GET /orders");
    let seen = seen.last().unwrap();
    assert!(!seen.text().contains(&token), "{}", seen.text());
    assert_eq!(seen.values("authorization"), [] as [&str; 0]);
    let identity = seen.values("doorward-identity");
    let inside = claims(&identity[0]);
    assert_eq!(inside["aud"], json!("https://inside.example"));
    assert_eq!(inside["sub"], json!("shop"));
    assert_eq!(inside["scope"], json!("orders:read"));

    // Each kind where it is asked for, and nowhere else.
    let jwt = world.token(STOCK);
    assert_eq!(get(&world.one, "/stock/all", &jwt).status, 200);
    for (path, token) in [("/stock/all", &token), ("/orders", &jwt)] {
        let answer = get(&world.one, path, token);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.code(), "credential-refused", "{path}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
    }
    let both = world.post(
        world.one.issuer(),
        "/oauth/token",
        "shop",
        &[
            ("grant_type", "client_credentials"),
            ("resource", ORDERS),
            ("resource", STOCK),
        ],
        &[],
    );
    assert_eq!(both.json()["error"], "invalid_target", "{}", both.text());

    for asker in ["shop", "server"] {
        let told = world.introspect(asker, &token).json();
        assert_eq!(told["active"], json!(true), "{asker}");
        assert_eq!(told["client_id"], json!("shop"), "{asker}");
    }
    let other = world.token(ORDERS);
    assert_eq!(status(&world.one, &other), 200);
    world.revoke(world.one.issuer(), &token);
    assert_eq!(status(&world.one, &token), 401, "though it was held");
    assert_eq!(world.introspect("server", &token).text(), DEAD);
    assert_eq!(status(&world.one, &other), 200);

    // By an administrator: one by its id, then all of the client's.
    let id = world.introspect("shop", &other).json()["jti"].clone();
    let revoked = |body: Value| world.one.make("POST", "/v1/tokens/revoke", &body).unwrap();
    revoked(json!({ "token_id": id }));
    assert_eq!(status(&world.one, &other), 401);
    let last = world.token(ORDERS);
    assert_eq!(status(&world.one, &last), 200);
    revoked(json!({ "client": "shop" }));
    assert_eq!(status(&world.one, &last), 401);
}

#[test]
fn i02_neither_the_database_nor_the_log_holds_a_token() {
    let mut world = World::start(RESOURCES);
    let tokens = [world.token(ORDERS), world.token(ORDERS)];
    assert_eq!(status(&world.one, &tokens[0]), 200);
    assert_eq!(status(&world.one, &tokens[0].replace("_ot_", "_ox_")), 401);
    world.revoke(world.one.issuer(), &tokens[0]);
    assert!(world.one.stop().unwrap(), "{}", world.one.log());
    let mut held = world.one.log().into_bytes();
    held.extend(world.one.stdout().into_bytes());
    let data = world.one.place().path().join("data");
    for file in std::fs::read_dir(data).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            held.extend(std::fs::read(path).unwrap());
        }
    }
    let finds = |text: &[u8]| wire::find(&held, text).is_some();
    for token in &tokens {
        // Its id (after `dw_ot_live_`) may be known, its secret not.
        assert!(!finds(&token.as_bytes()[27..]), "the secret part");
        let hash = proof::digest::TokenHash::of(token.as_bytes()).to_string();
        assert!(finds(hash.as_bytes()), "what is kept instead");
    }
}

#[test]
fn a_restart_and_a_crash_forget_neither_tokens_nor_revocations() {
    let mut world = World::start(RESOURCES);
    let (good, dead) = (world.token(ORDERS), world.token(ORDERS));
    world.revoke(world.one.issuer(), &dead);
    for crash in [false, true] {
        match crash {
            false => assert!(world.one.stop().unwrap(), "{}", world.one.log()),
            true => world.one.kill(),
        }
        world.one.start_again().unwrap();
        assert_eq!(status(&world.one, &good), 200);
        assert_eq!(status(&world.one, &dead), 401);
        assert_eq!(
            world.introspect("shop", &good).json()["active"],
            json!(true)
        );
        assert_eq!(world.introspect("shop", &dead).text(), DEAD);
    }
    // What was acknowledged a moment before a crash is there after it.
    let last = world.token(ORDERS);
    world.one.kill();
    world.one.start_again().unwrap();
    assert_eq!(status(&world.one, &last), 200);
}

#[test]
fn d01_a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    let world = World::start(RESOURCES);
    let (mine, thief) = (
        ProofKey::new(Algorithm::ES256),
        ProofKey::new(Algorithm::ES256),
    );
    let answer = world.asked_with_proof(ORDERS, &mine);
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("dw_ot_live_"), "{token}");
    assert_eq!(
        world.introspect("server", &token).json()["cnf"]["jkt"],
        json!(mine.thumbprint())
    );
    assert_eq!(status(&world.one, &token), 401);
    let here = format!("http://{}/orders", world.one.gateway());
    let proved = |key: &ProofKey| {
        let proof = key.proof("GET", &here, Some(&token));
        let value = format!("DPoP {token}");
        let headers = [("authorization", value.as_str()), ("dpop", &proof)];
        let first = world.one.get("/orders", &headers).unwrap().status;
        (first, world.one.get("/orders", &headers).unwrap().status)
    };
    // A proof passes once.
    assert_eq!(proved(&mine), (200, 401));
    assert_eq!(proved(&thief), (401, 401));
}

#[test]
fn what_one_node_issued_the_other_knows_and_what_one_revoked_the_other_refuses() {
    let Some(world) = World::two_nodes(RESOURCES, |_| {}) else {
        return;
    };
    let two = world.two.as_ref().unwrap();
    let token = world.token(ORDERS);
    assert_eq!(status(two, &token), 200, "at once");
    assert_eq!(status(&world.one, &token), 200);
    world.revoke(two.issuer(), &token);
    assert_eq!(status(two, &token), 401, "at once");
    let begun = Instant::now();
    while status(&world.one, &token) == 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "within a poll");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.introspect("shop", &token).text(), DEAD);
}
