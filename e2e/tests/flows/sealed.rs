//! **Tokens that our own issuer encrypts** to the APIs that ask for it: from the token endpoint to
//! the gateway and back to the issuer, and to nobody's eyes between. The keys are files, and are
//! replaced while calls go on.

use core::time::Duration;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proof::base64url;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{self, DecryptionKey};
use proof::jose::key::SigningKey;
use serde_json::{Value, json};
use testkit::bound::{ClientCertificate, ProofKey};
use testkit::browser::encode;
use testkit::doorward::{Doorward, Place};
use testkit::wire::{self, Answer};

use super::encrypted::write;
use super::scene::{self, Asked, SCOPE, Scene, Tokens, claims, command, error};
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
      token_encryption: { key_files: [orders.pem] }
      credentials: [jwt]
      scopes: { "orders:read": See orders }
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: vault }
    spec:
      audiences: [https://vault.example]
      base_path: /vault
      upstream: { urls: ['@UPSTREAM@'] }
      identity: { mode: original }
      token_encryption: { key_files: [vault.pem] }
      credentials: [jwt]
      scopes: { "vault:read": See the vault }
      routes: [{ path: /all, methods: [GET], scopes: ["vault:read"] }]
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
    spec: { application: shop, kind: service, auth_method: client_secret_basic, grant_types: [client_credentials], grants: { orders: ["orders:read"], vault: ["vault:read"], stock: ["stock:read"] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: server }
    spec: { application: shop, kind: service, auth_method: client_secret_basic, tls_client_certificate_bound_access_tokens: true, grant_types: [client_credentials], grants: { orders: ["orders:read"] }, introspects: [orders] }
"#;

const ORDERS: &str = "https://orders.example";
const VAULT: &str = "https://vault.example";
const STOCK: &str = "https://stock.example";
const DEAD: &str = r#"{"active":false}"#;
const SOON: Duration = Duration::from_secs(20);

fn fresh(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

/// A node with a key for `orders` on P-256 and one for `vault` of RSA.
fn start() -> (World, [DecryptionKey; 2]) {
    let place = Place::new().unwrap();
    let orders = write(place.path(), "orders.pem", &fresh(Algorithm::ES256));
    let vault = write(place.path(), "vault.pem", &fresh(Algorithm::RS256));
    (World::in_place(place, RESOURCES), [orders, vault])
}

fn header(token: &str) -> Value {
    let first = token.split('.').next().unwrap();
    serde_json::from_slice(&base64url::decode(first.as_bytes()).unwrap()).unwrap()
}

/// The signed token within, for who has the key.
fn opened(token: &str, key: &DecryptionKey) -> String {
    let nested = jwe::split(token.as_bytes()).unwrap().open(key).unwrap();
    nested.expose_text().unwrap().to_owned()
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
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn nobody_between_issuer_and_api_reads_a_token_and_it_is_dead_at_once() {
    let (world, keys) = start();
    let node = &world.one;
    let token = world.token(ORDERS);
    assert_eq!(token.split('.').count(), 5);
    let mut told = header(&token);
    told.as_object_mut().unwrap().remove("epk").unwrap();
    let expected = json!({
        "alg": "ECDH-ES", "enc": "A256GCM", "kid": keys[0].kid(), "cty": "JWT", "typ": "at+jwt",
    });
    assert_eq!(told, expected, "and nothing of what it says");
    assert_eq!(status(node, &token), 200, "{}", node.log());
    assert_eq!(status(node, &token), 200, "known");
    let seen = world.upstream.with("GET /orders");
    let identity = seen.last().unwrap().values("doorward-identity");
    assert_eq!(claims(&identity[0])["sub"], json!("shop"));

    // One for each API, encrypted to its own key or to none.
    let (vault, stock) = (world.token(VAULT), world.token(STOCK));
    assert_eq!(header(&vault)["alg"], json!("RSA-OAEP-256"));
    assert_eq!(get(node, "/vault/all", &vault).status, 200);
    let sent = world.upstream.with("GET /vault/all").pop().unwrap();
    assert_eq!(sent.values("authorization"), [format!("Bearer {vault}")]);
    assert_eq!(claims(&opened(&vault, &keys[1]))["aud"], json!(VAULT));
    assert_eq!(get(node, "/stock/all", &stock).status, 200);
    assert_eq!(claims(&stock)["aud"], json!(STOCK));
    for (path, token) in [
        ("/orders", &vault),
        ("/orders", &stock),
        ("/vault/all", &token),
        ("/stock/all", &token),
    ] {
        let answer = get(node, path, token);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.code(), "credential-refused", "{path}");
    }
    // The signed token within, and what others made of it.
    let nested = opened(&token, &keys[0]);
    assert_eq!(status(node, &nested), 401, "not encrypted");
    let encrypted = |key: &DecryptionKey, jwt: &str| {
        let cipher = jwe::ContentEncryption::A256Gcm;
        key.public().encrypt(jwt, "at+jwt", cipher).unwrap()
    };
    assert_eq!(status(node, &encrypted(&keys[1], &nested)), 401);
    let mut forged = nested;
    forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
    assert_eq!(status(node, &encrypted(&keys[0], &forged)), 401);

    // By no way does an API that asks for encryption get a token that can be read.
    for other in [STOCK, VAULT] {
        for both in [[ORDERS, other], [other, ORDERS]] {
            let fields = [
                ("grant_type", "client_credentials"),
                ("resource", both[0]),
                ("resource", both[1]),
            ];
            let answer = world.post(node.issuer(), "/oauth/token", "shop", &fields, &[]);
            assert_eq!(error(&answer), (400, "invalid_target".to_owned()));
        }
    }

    // The issuer reads it for those who may ask, and takes it back.
    for asker in ["shop", "server"] {
        let told = world.introspect(asker, &token).json();
        assert_eq!(told["active"], json!(true), "{asker}");
        assert_eq!(told["client_id"], json!("shop"), "{asker}");
    }
    assert_eq!(world.introspect("server", &vault).text(), DEAD);
    let other = world.token(ORDERS);
    assert_eq!(status(node, &other), 200);
    world.revoke(node.issuer(), &token);
    assert_eq!(status(node, &token), 401, "though it was held");
    assert_eq!(world.introspect("server", &token).text(), DEAD);
    assert_eq!(status(node, &other), 200);

    // By an administrator: one by its id, then all of the client's.
    let id = claims(&opened(&other, &keys[0]))["jti"].clone();
    let revoked = |body: Value| node.make("POST", "/v1/tokens/revoke", &body).unwrap();
    revoked(json!({ "token_id": id }));
    assert_eq!(status(node, &other), 401);
    let last = world.token(ORDERS);
    assert_eq!(status(node, &last), 200);
    revoked(json!({ "client": "shop" }));
    assert_eq!(status(node, &last), 401);
}

#[test]
fn a_person_s_tokens_are_encrypted_through_every_flow() {
    let mut made = None;
    let scene = Scene::encrypting(|place| {
        made = Some(write(place, "orders.pem", &fresh(Algorithm::ES256)));
    });
    let key = made.unwrap();
    let node = scene.one.issuer();
    let within = |token: &str| claims(&opened(token, &key));

    let asked = Asked::of("web");
    let code = scene.code(&mut scene.browser(), &asked, "alice");
    let tokens = scene.tokens(node, &asked, &code);
    let me = claims(&tokens.id);
    assert_eq!(within(&tokens.access)["sub"], me["sub"]);
    assert_eq!(scene::orders(&scene.one, &tokens.access), 200);
    let told = scene.userinfo(node, &tokens.access);
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(told.json()["name"], json!("Alice Example"));

    // A refresh keeps the form.
    let next = Tokens::of(&scene.refresh(node, "web", &tokens.refresh));
    assert_eq!(within(&next.access)["sub"], me["sub"]);
    assert_eq!(scene::orders(&scene.one, &next.access), 200);

    // A service exchanges it for one of its own, encrypted too.
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    let exchange = [
        ("grant_type", grant),
        ("subject_token", next.access.as_str()),
        ("subject_token_type", kind),
        ("resource", ORDERS),
        ("scope", "orders:read"),
    ];
    let own = Tokens::of(&scene.token(node, "stockd", &exchange));
    assert_eq!(within(&own.access)["act"]["sub"], json!("stockd"));
    assert_eq!(scene::orders(&scene.one, &own.access), 200);

    // The end of the grant ends them all.
    scene.post(node, "/oauth/revoke", "web", &[("token", &next.refresh)]);
    for token in [&tokens.access, &next.access, &own.access] {
        assert_eq!(scene::orders(&scene.one, token), 401);
        assert_eq!(scene.userinfo(node, token).status, 401);
    }

    let wanted = [("scope", SCOPE), ("resource", ORDERS)];
    let begun = scene.post(node, "/oauth/device", "tv", &wanted).json();
    scene::allow_device(&scene, begun["user_code"].as_str().unwrap(), "alice");
    let device = begun["device_code"].as_str().unwrap();
    let kind = "urn:ietf:params:oauth:grant-type:device_code";
    let fields = [("grant_type", kind), ("device_code", device)];
    let tokens = Tokens::of(&scene.token(node, "tv", &fields));
    assert_eq!(within(&tokens.access)["client_id"], json!("tv"));
    assert_eq!(scene::orders(&scene.one, &tokens.access), 200);
    assert_eq!(scene.userinfo(node, &tokens.access).status, 200);
}

#[test]
fn d01_one_that_is_bound_passes_with_its_key_or_certificate_alone() {
    let (world, [key, _]) = start();
    let (mine, thief) = (
        ProofKey::new(Algorithm::ES256),
        ProofKey::new(Algorithm::ES256),
    );
    let answer = world.asked_with_proof(ORDERS, &mine);
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let nested = opened(&token, &key);
    assert_eq!(claims(&nested)["cnf"]["jkt"], json!(mine.thumbprint()));
    assert_eq!(status(&world.one, &token), 401);
    let here = format!("http://{}/orders", world.one.gateway());
    let proved = |key: &ProofKey, sent: &str, hashed: &str| {
        let proof = key.proof("GET", &here, Some(hashed));
        let value = format!("DPoP {sent}");
        let headers = [("authorization", value.as_str()), ("dpop", &proof)];
        world.one.get("/orders", &headers).unwrap().status
    };
    // RFC 9449 §4.2: `ath` is the hash of what was sent, which is the encrypted text.
    for (key, sent, hashed, expected) in [
        (&mine, &token, &token, 200),
        (&mine, &token, &token, 200),
        (&mine, &token, &nested, 401),
        (&mine, &nested, &nested, 401),
        (&thief, &token, &token, 401),
    ] {
        assert_eq!(proved(key, sent, hashed), expected);
    }

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
    let bound = claims(&opened(&token, &key))["cnf"]["x5t#S256"].clone();
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

/// Callers that get a token, use it twice, and get the next, until they are told to stop: how many
/// calls they made, none of which failed.
fn calls(world: &World, stop: &AtomicBool) -> usize {
    let mut made = 0;
    while !stop.load(Ordering::SeqCst) {
        let token = world.token(ORDERS);
        for _ in 0..2 {
            assert_eq!(status(&world.one, &token), 200, "{}", world.one.log());
            made += 1;
        }
    }
    made
}

#[test]
fn a_key_is_replaced_under_calls_and_none_is_lost() {
    let (mut world, [old, _]) = start();
    let place = world.one.place().path().to_owned();
    let new = write(&place, "next.pem", &fresh(Algorithm::RS256));
    let held = world.token(ORDERS);
    assert_eq!(status(&world.one, &held), 200);
    let settings = fs::read_to_string(world.one.place().settings_file()).unwrap();
    let declare = |files: &str| {
        let text = settings.replace("[orders.pem]", files);
        world.one.place().write_settings(&text).unwrap();
    };
    let kid = || header(&world.token(ORDERS))["kid"].clone();

    let stop = AtomicBool::new(false);
    let made: Vec<usize> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| calls(&world, &stop)))
            .collect();
        // Opening first, then encrypting, as a fleet does it node by node.
        declare("[orders.pem, next.pem]");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(kid(), json!(old.kid()));
        declare("[next.pem, orders.pem]");
        until("the new key", &world.one, || kid() == json!(new.kid()));
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::SeqCst);
        callers.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(made.iter().all(|calls| *calls > 20), "{made:?}");

    // What was encrypted to the old key passes as long as the old key stands, restart or not.
    let fresh = world.token(ORDERS);
    for crash in [false, true] {
        match crash {
            false => assert!(world.one.stop().unwrap(), "{}", world.one.log()),
            true => world.one.kill(),
        }
        world.one.start_again().unwrap();
        for token in [&held, &fresh] {
            assert_eq!(status(&world.one, token), 200);
            let told = world.introspect("shop", token).json();
            assert_eq!(told["active"], json!(true));
        }
    }
    let text = settings.replace("[orders.pem]", "[next.pem]");
    world.one.place().write_settings(&text).unwrap();
    let node = &world.one;
    until("the old key's end", node, || status(node, &held) == 401);
    assert_eq!(world.introspect("shop", &held).text(), DEAD);
    assert_eq!(status(node, &fresh), 200);

    // A file that holds no key changes nothing, and the issuer goes on.
    fs::write(place.join("next.pem"), "no key").unwrap();
    let refused = || node.log().contains("is no key that opens tokens");
    until("it is refused", node, refused);
    let token = world.token(ORDERS);
    assert_eq!(header(&token)["kid"], json!(new.kid()));
    assert_eq!(status(node, &token), 200);
}

#[test]
fn asking_for_encryption_refuses_no_token_that_is_out_where_it_is_not_required_yet() {
    let (world, [key, _]) = start();
    let node = &world.one;
    let settings = fs::read_to_string(node.place().settings_file()).unwrap();
    let asks = "      token_encryption: { key_files: [orders.pem] }\n";
    let declare = |instead: &str| {
        let text = settings.replace(asks, instead);
        node.place().write_settings(&text).unwrap();
    };
    let is_encrypted = || jwe::looks_like(world.token(ORDERS).as_bytes());
    declare("");
    until("none is encrypted", node, || !is_encrypted());
    let plain = world.token(ORDERS);
    assert_eq!(status(node, &plain), 200);
    declare(&asks.replace("pem] }", "pem], required: false }"));
    until("all are encrypted", node, is_encrypted);
    assert_eq!(status(node, &plain), 200, "it was out before");
    let token = world.token(ORDERS);
    assert_eq!(claims(&opened(&token, &key))["aud"], json!(ORDERS));
    assert_eq!(status(node, &token), 200);
    declare(asks);
    until("plain ones are over", node, || status(node, &plain) == 401);
    assert_eq!(status(node, &token), 200);
}

#[test]
fn what_one_node_encrypted_the_other_opens_and_what_one_revoked_the_other_refuses() {
    let keys = ["orders.pem", "vault.pem"].map(|file| (file, fresh(Algorithm::ES256)));
    let prepare = |place: &Place| {
        for (file, key) in &keys {
            write(place.path(), file, key);
        }
    };
    let Some(world) = World::two_nodes(RESOURCES, prepare) else {
        return;
    };
    let two = world.two.as_ref().unwrap();
    let token = world.token(ORDERS);
    assert!(jwe::looks_like(token.as_bytes()));
    assert_eq!(status(two, &token), 200, "at once");
    assert_eq!(status(&world.one, &token), 200);
    world.revoke(two.issuer(), &token);
    assert_eq!(status(two, &token), 401, "at once");
    let node = &world.one;
    until("within a poll", node, || status(node, &token) == 401);
    assert_eq!(world.introspect("shop", &token).text(), DEAD);
}

#[test]
fn the_command_line_reads_one_with_the_key_and_says_what_it_is_without() {
    let (world, [key, _]) = start();
    let node = &world.one;
    fs::write(node.place().path().join("secret"), world.secret("shop")).unwrap();
    let issuer = format!("http://{}", node.issuer());
    let minted = command(
        node,
        &[
            "token",
            "mint",
            "--issuer",
            &issuer,
            "--client",
            "shop",
            "--secret-file",
            "secret",
            "--resource",
            ORDERS,
        ],
    );
    let token = minted.trim();
    assert_eq!(status(node, token), 200);

    let told = command(
        node,
        &[
            "token",
            "inspect",
            token,
            "--key-file",
            "orders.pem",
            "--output",
            "json",
        ],
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["claims"]["aud"], json!(ORDERS));
    let jwks = wire::get(node.issuer(), "/jwks.json", &[]).unwrap();
    write_jwks(node.place().path(), &jwks);
    let verify = |more: &[&str]| {
        let begin = [
            "token",
            "verify",
            token,
            "--jwks",
            "jwks.json",
            "--audience",
        ];
        node.place()
            .run(&[&begin[..], &[ORDERS], more].concat())
            .unwrap()
    };
    assert!(verify(&["--key-file", "orders.pem"]).status.success());
    for refused in [
        verify(&[]),
        verify(&["--key-file", "vault.pem"]),
        node.place().run(&["token", "inspect", token]).unwrap(),
    ] {
        assert!(!refused.status.success());
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            words.contains("encrypted") || words.contains("does not open"),
            "{words}"
        );
        assert!(words.contains(key.kid()), "{words}");
    }
}

fn write_jwks(place: &Path, answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    fs::write(place.join("jwks.json"), &answer.body).unwrap();
}
