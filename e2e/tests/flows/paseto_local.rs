//! **Tokens that this installation encrypts for itself** (PASETO `v4.local`): from the token endpoint
//! to the gateway and back to the issuer, and read by nobody else. The key is a row of the database,
//! which all nodes share, and is replaced while calls go on.

use core::time::Duration;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proof::jose::alg::Algorithm;
use proof::paseto;
use serde_json::{Value, json};
use testkit::bound::{ClientCertificate, ProofKey};
use testkit::browser::encode;
use testkit::doorward::Doorward;
use testkit::wire::{self, Answer};

use super::scene::{claims, command, error};
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
      token_format: paseto_local
      credentials: [paseto]
      scopes: { "orders:read": See orders }
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: stock }
    spec:
      audiences: [https://stock.example]
      base_path: /stock
      upstream: { urls: ['@UPSTREAM@'] }
      token_format: paseto
      credentials: [paseto]
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
    spec: { application: shop, kind: service, auth_method: client_secret_basic, tls_client_certificate_bound_access_tokens: true, grant_types: [client_credentials], grants: { orders: ["orders:read"] }, introspects: [orders] }
"#;

const ORDERS: &str = "https://orders.example";
const STOCK: &str = "https://stock.example";
const DEAD: &str = r#"{"active":false}"#;
const SOON: Duration = Duration::from_secs(20);
const PURPOSE: &str = "access-paseto-local";

/// The id of the key that a token names.
fn kid(token: &str) -> String {
    let token = paseto::split(token.as_bytes()).unwrap();
    assert_eq!(token.purpose(), paseto::Purpose::Local);
    token.key_id().unwrap().to_owned()
}

fn get(node: &Doorward, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    node.get(path, &[("authorization", &bearer)]).unwrap()
}

fn status(node: &Doorward, token: &str) -> u16 {
    get(node, "/orders", token).status
}

fn until(what: &str, node: &Doorward, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "{what}: {}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn rotate(node: &Doorward, how: &str) {
    command(node, &["signing-key", "rotate", PURPOSE, how]);
}

#[test]
fn nobody_else_reads_a_token_and_it_is_dead_at_once() {
    let world = World::start(RESOURCES);
    let node = &world.one;
    let token = world.token(ORDERS);
    let name = kid(&token);
    assert!(name.starts_with("k4.lid."), "{name}");
    assert_eq!(status(node, &token), 200, "{}", node.log());
    assert_eq!(status(node, &token), 200, "known");
    let seen = world.upstream.with("GET /orders");
    let seen = seen.last().unwrap();
    assert!(!seen.text().contains(&token), "{}", seen.text());
    assert_eq!(
        claims(&seen.values("doorward-identity")[0])["sub"],
        json!("shop")
    );

    // Its key is listed by its name, and no set has it.
    let listed = command(node, &["signing-key", "list", "--output", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let items = listed["items"].as_array().unwrap();
    let own = items.iter().find(|one| one["purpose"] == PURPOSE).unwrap();
    assert_eq!(own["kid"], json!(name));
    assert_eq!(own["algorithm"], "v4.local");
    assert_eq!(own.get("public_jwk"), None);
    for path in ["/jwks.json", "/.well-known/openid-configuration"] {
        let answer = wire::get(node.issuer(), path, &[]).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text().contains("k4."), "{path}: {}", answer.text());
    }

    // Each kind of token where it is asked for.
    let signed = world.token(STOCK);
    assert!(signed.starts_with("v4.public."), "{signed}");
    assert_eq!(get(node, "/stock/all", &signed).status, 200);
    for (path, token) in [("/stock/all", &token), ("/orders", &signed)] {
        let answer = get(node, path, token);
        assert_eq!(answer.status, 401, "{path}: of another audience");
        assert_eq!(answer.code(), "credential-refused", "{path}");
    }
    let fields = [
        ("grant_type", "client_credentials"),
        ("resource", ORDERS),
        ("resource", STOCK),
    ];
    let both = world.post(node.issuer(), "/oauth/token", "shop", &fields, &[]);
    assert_eq!(error(&both), (400, "invalid_target".to_owned()));

    for asker in ["shop", "server"] {
        let told = world.introspect(asker, &token).json();
        assert_eq!(told["active"], json!(true), "{asker}");
        assert_eq!(told["client_id"], json!("shop"), "{asker}");
    }
    // What is said of a call that was not made, and of the token without the key.
    let call = format!(
        "GET /orders HTTP/1.1\nHost: {}\nAuthorization: Bearer {token}\n\n",
        node.gateway()
    );
    std::fs::write(node.place().path().join("call"), call).unwrap();
    let told = command(node, &["explain", "--request", "call", "--output", "json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["answer"]["status"], Value::Null, "{told:#}");
    assert!(told.to_string().contains(&name), "{told:#}");
    assert!(!told.to_string().contains(&token), "{told:#}");
    let inspected = node.place().run(&["token", "inspect", &token]).unwrap();
    assert!(!inspected.status.success());
    let words = String::from_utf8_lossy(&inspected.stderr).into_owned();
    assert!(
        words.contains("v4.local") && words.contains(&name) && words.contains("introspect"),
        "{words}"
    );

    let other = world.token(ORDERS);
    assert_eq!(status(node, &other), 200);
    world.revoke(node.issuer(), &token);
    assert_eq!(status(node, &token), 401, "though it was held");
    assert_eq!(world.introspect("server", &token).text(), DEAD);
    assert_eq!(status(node, &other), 200);

    // By an administrator: one by its id, then all of the client's.
    let id = world.introspect("shop", &other).json()["jti"].clone();
    let revoked = |body: Value| node.make("POST", "/v1/tokens/revoke", &body).unwrap();
    revoked(json!({ "token_id": id }));
    assert_eq!(status(node, &other), 401);
    let last = world.token(ORDERS);
    assert_eq!(status(node, &last), 200);
    revoked(json!({ "client": "shop" }));
    assert_eq!(status(node, &last), 401);
}

#[test]
fn d01_one_that_is_bound_passes_with_its_key_or_certificate_alone() {
    let world = World::start(RESOURCES);
    let (mine, thief) = (
        ProofKey::new(Algorithm::ES256),
        ProofKey::new(Algorithm::ES256),
    );
    let answer = world.asked_with_proof(ORDERS, &mine);
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
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

    let [own, other] =
        ["server", "other"].map(|name| ClientCertificate::self_signed(name).unwrap());
    let ca = world.one.place().path().join("tls/ca.pem");
    let [own_tls, other_tls] = [&own, &other].map(|one| one.client_config(&ca).unwrap());
    let over = |address, tls: &Arc<rustls::ClientConfig>, bytes: Vec<u8>| {
        let mut stream = wire::connect_tls_as(address, tls, Some("http/1.1")).unwrap();
        stream.write_all(&bytes).unwrap();
        wire::first_answer(&mut stream).unwrap()
    };
    let pair = format!("server:{}", world.secret("server"));
    let basic = format!("Basic {}", proof::base64std::encode(pair.as_bytes()));
    let headers = [
        ("host", "localhost"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", &basic),
    ];
    let form = encode(&[("grant_type", "client_credentials")]);
    let address = world.one.issuer_tls();
    let bytes = wire::request(address, "POST", "/oauth/token", &headers, form.as_bytes());
    let answer = over(address, &own_tls, bytes);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let bound = world.introspect("server", &token).json()["cnf"]["x5t#S256"].clone();
    assert_eq!(bound, json!(own.thumbprint()));
    let bearer = format!("Bearer {token}");
    let address = world.one.gateway_tls();
    let headers = [("host", "localhost"), ("authorization", bearer.as_str())];
    let bytes = wire::request(address, "GET", "/orders", &headers, b"");
    for (tls, expected) in [(&own_tls, 200), (&other_tls, 401), (&own_tls, 200)] {
        assert_eq!(over(address, tls, bytes.clone()).status, expected);
    }
    assert_eq!(status(&world.one, &token), 401);
}

/// Callers that get a token, use it at every node, and get the next, until they are told to stop: how
/// many calls they made, none of which failed.
fn calls(world: &World, stop: &AtomicBool) -> usize {
    let mut made = 0;
    let nodes: Vec<_> = [Some(&world.one), world.two.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    while !stop.load(Ordering::SeqCst) {
        let token = world.token(ORDERS);
        for node in &nodes {
            assert_eq!(status(node, &token), 200, "{}", node.log());
            made += 1;
        }
    }
    made
}

/// Turns the key over under calls: a token of before and one of after.
fn turn_over(world: &World) -> [String; 2] {
    let held = world.token(ORDERS);
    let old = kid(&held);
    let stop = AtomicBool::new(false);
    let made: Vec<usize> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| calls(world, &stop)))
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        rotate(&world.one, "--immediately");
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::SeqCst);
        callers.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(made.iter().all(|calls| *calls > 10), "{made:?}");
    let fresh = world.token(ORDERS);
    assert_ne!(kid(&fresh), old);
    [held, fresh]
}

#[test]
fn its_key_is_replaced_under_calls_a_restart_forgets_none_and_a_leaked_one_opens_nothing() {
    let mut world = World::start(RESOURCES);
    let tokens = turn_over(&world);
    for crash in [false, true] {
        match crash {
            false => assert!(world.one.stop().unwrap(), "{}", world.one.log()),
            true => world.one.kill(),
        }
        world.one.start_again().unwrap();
        for token in &tokens {
            assert_eq!(status(&world.one, token), 200);
            let told = world.introspect("shop", token).json();
            assert_eq!(told["active"], json!(true));
        }
    }
    // Each key's calls are counted under its name.
    let node = &world.one;
    let used = |name: &str| {
        let page = command(node, &["usage", name, "--since", "1d", "--output", "json"]);
        let page: Value = serde_json::from_str(&page).unwrap();
        let items = page["items"].as_array().unwrap().clone();
        let found = items.iter().find(|one| one["name"] == name);
        found.map_or(0, |one| one["calls"].as_u64().unwrap())
    };
    for token in &tokens {
        until("it is counted", node, || used(&kid(token)) >= 2);
    }
    let [held, fresh] = &tokens;
    rotate(node, "--leaked");
    assert_eq!(status(node, fresh), 401);
    assert_eq!(world.introspect("shop", fresh).text(), DEAD);
    assert_eq!(status(node, held), 200, "its key is another");
    assert_eq!(status(node, &world.token(ORDERS)), 200);
}

#[test]
fn i02_neither_the_database_nor_the_log_holds_a_key_or_a_token() {
    let mut world = World::start(RESOURCES);
    let token = world.token(ORDERS);
    assert_eq!(status(&world.one, &token), 200);
    rotate(&world.one, "--immediately");
    assert!(world.one.stop().unwrap(), "{}", world.one.log());
    let mut held = world.one.log().into_bytes();
    held.extend(world.one.stdout().into_bytes());
    for file in std::fs::read_dir(world.one.place().path().join("data")).unwrap() {
        held.extend(std::fs::read(file.unwrap().path()).unwrap_or_default());
    }
    let finds = |text: &[u8]| wire::find(&held, text).is_some();
    assert!(!finds(&token.as_bytes()[..60]));
    assert!(!finds(b"k4.local."));
    assert!(finds(kid(&token).as_bytes()), "the key's name is no secret");
}

#[test]
fn two_nodes_share_the_key_and_learn_of_another_without_a_lost_call() {
    let Some(world) = World::two_nodes(RESOURCES, |_| {}) else {
        return;
    };
    let two = world.two.as_ref().unwrap();
    let token = world.token(ORDERS);
    assert_eq!(status(two, &token), 200, "at once");
    assert_eq!(status(&world.one, &token), 200);
    let [held, fresh] = turn_over(&world);
    for token in [&held, &fresh] {
        assert_eq!(status(two, token), 200);
    }
    world.revoke(two.issuer(), &token);
    assert_eq!(status(two, &token), 401, "at once");
    let node = &world.one;
    until("within a poll", node, || status(node, &token) == 401);
    rotate(node, "--leaked");
    assert_eq!(status(node, &fresh), 401, "at once");
    until("a leaked key", two, || status(two, &fresh) == 401);
    assert_eq!(world.introspect("shop", &fresh).text(), DEAD);
}
