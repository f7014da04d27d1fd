//! Opaque tokens of somebody else's issuer: a second installation plays the partner, and ours asks it
//! about each token, by a secret and by a key. The upstream gets a signed JWT instead.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use proof::base64std;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};
use testkit::bound::ProofKey;
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

use super::scene::claims;
use crate::threats::certificates::{Ca, Own};

const PARTNER: &str = r#"
brand: partner
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['http://127.0.0.1:9'] }
      token_format: opaque
      credentials: [opaque]
      scopes: { "orders:read": See orders, "orders:write": Order }
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: stock }
    spec:
      audiences: [https://stock.example]
      base_path: /stock
      upstream: { urls: ['http://127.0.0.1:9'] }
      token_format: opaque
      credentials: [opaque]
      scopes: { "orders:read": See stock }
      routes: [{ path: /all, methods: [GET], scopes: ["orders:read"] }]
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: shop }
    spec: { application: shop, kind: service, auth_method: client_secret_basic, grant_types: [client_credentials], grants: { orders: ["orders:read", "orders:write"], stock: ["orders:read"] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: door }
    spec: { application: shop, kind: service, auth_method: client_secret_basic, grant_types: [client_credentials], introspects: [orders, stock] }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: keyed }
    spec: { application: shop, kind: service, auth_method: private_key_jwt, jwks: @JWKS@, grant_types: [client_credentials], introspects: [orders] }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: certified }
    spec: { application: shop, kind: service, auth_method: tls_client_auth, tls_client_auth_san_uri: 'spiffe://door.example/ours', grant_types: [client_credentials], introspects: [orders] }
"#;

pub(super) const OURS: &str = r#"
outbound: { ca_file: partner-ca.pem, allow_networks: [127.0.0.0/8, '::1/128'] }
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: partner }
    spec:
      issuer: '@PARTNER@'
      introspection: { url: '@PARTNER@/oauth/introspect', @PROOF@, cache: 1s }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      issuers: [partner]
      identity: { mode: jwt, audience: https://inside.example }
      credentials: [opaque]
      scopes: { "orders:read": See orders, "orders:write": Order }
      routes:
        - { path: /orders, methods: [GET], scopes: ["orders:read"] }
        - { path: /orders, methods: [POST], scopes: ["orders:write"] }
"#;

pub(super) const ORDERS: &str = "https://orders.example";
const STOCK: &str = "https://stock.example";
const BY_SECRET: &str = "client_id: door, client_secret: 'file:door.secret'";
const BY_KEY: &str = "client_id: keyed, key_file: keyed.pem";
/// RFC 8705 §2.1.
const BY_CERTIFICATE: &str = "client_id: certified, certificate_file: door.pem, key_file: door.key";
pub(super) const OURSELVES: &str = "spiffe://door.example/ours";

/// Somebody else's installation, whose issuer hands out opaque tokens for `orders` and `stock`.
pub(crate) struct Partner {
    doorward: Doorward,
    pub(crate) origin: String,
    pub(super) secrets: BTreeMap<&'static str, String>,
    /// Who vouches for the certificates of its clients.
    pub(super) callers: Ca,
}

struct World {
    partner: Partner,
    ours: Doorward,
    upstream: Upstream,
}

impl Partner {
    /// One that knows a client by these keys.
    pub(crate) fn start(jwks: &Value) -> Self {
        let place = Place::new().unwrap();
        let origin = format!("https://localhost:{}", place.issuer_tls.port());
        let callers = Ca::new();
        std::fs::write(place.path().join("callers.pem"), callers.pem()).unwrap();
        let issuer = format!(
            "url: '{origin}', mtls_url: '{origin}', client_certificates: {{ ca_file: callers.pem }}"
        );
        let settings = format!("{BASE}{PARTNER}")
            .replace("url: 'http://@ISSUER@'", &issuer)
            .replace("@JWKS@", &jwks.to_string());
        let doorward = place.start(&settings).unwrap();
        let secrets = ["shop", "door"].map(|client| {
            let path = format!("/v1/clients/{client}/secrets");
            let made = doorward.make("POST", &path, &json!({ "label": "tests" }));
            let secret = made.unwrap()["secret"].as_str().unwrap().to_owned();
            (client, secret)
        });
        Self {
            doorward,
            origin,
            secrets: BTreeMap::from(secrets),
            callers,
        }
    }

    /// Writes the files with which a node in this place asks the partner: `partner-ca.pem`,
    /// `door.secret`, and `door.pem` with `door.key`.
    pub(crate) fn introduce(&self, place: &Path) {
        let ca = self.doorward.place().path().join("tls/ca.pem");
        std::fs::copy(ca, place.join("partner-ca.pem")).unwrap();
        let secret = format!("{}\n", self.secrets["door"]);
        std::fs::write(place.join("door.secret"), secret).unwrap();
        show(place, &self.callers.named(OURSELVES, 1));
    }

    /// The running program.
    pub(crate) fn node(&self) -> &Doorward {
        &self.doorward
    }

    pub(crate) fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Answer {
        let pair = format!("shop:{}", self.secrets["shop"]);
        let basic = format!("Basic {}", base64std::encode(pair.as_bytes()));
        let mut headers = vec![
            ("host", self.origin.split("://").nth(1).unwrap()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &basic),
        ];
        headers.extend(more);
        let node: SocketAddr = self.doorward.issuer();
        wire::call(node, "POST", path, &headers, encode(fields).as_bytes()).unwrap()
    }

    pub(crate) fn token(&self, resource: &str, scope: &str) -> String {
        let fields = [
            ("grant_type", "client_credentials"),
            ("resource", resource),
            ("scope", scope),
        ];
        let answer = self.post("/oauth/token", &fields, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// What is shown to the partner from now on.
pub(super) fn show(place: &Path, own: &Own) {
    for (name, text) in [("door.pem", &own.pem), ("door.key", &own.key_pem)] {
        std::fs::write(place.join(name), text).unwrap();
    }
}

impl World {
    /// The partner, and ours, which shows the partner who it is in this way.
    fn start(proof: &str) -> Self {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let jwks = json!({ "keys": [key.public_jwk().to_json()] });
        let partner = Partner::start(&jwks);
        let upstream = Upstream::start().unwrap();
        let place = Place::new().unwrap();
        partner.introduce(place.path());
        let pem = base64std::encode(key.to_pkcs8().unwrap().expose());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        std::fs::write(place.path().join("keyed.pem"), pem).unwrap();
        let settings = format!("{BASE}{OURS}")
            .replace("@PARTNER@", &partner.origin)
            .replace("@PROOF@", proof)
            .replace("@UPSTREAM@", &upstream.url());
        let ours = place.start(&settings).unwrap();
        Self {
            partner,
            ours,
            upstream,
        }
    }

    fn get(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ours
            .get("/orders", &[("authorization", &bearer)])
            .unwrap()
    }

    fn status(&self, token: &str) -> u16 {
        self.get(token).status
    }
}

#[test]
fn a_partners_opaque_token_outside_is_a_signed_jwt_inside() {
    let mut world = World::start(BY_SECRET);
    let token = world.partner.token(ORDERS, "orders:read");
    assert!(token.starts_with("partner_ot_live_"), "{token}");
    assert_eq!(world.status(&token), 200, "{}", world.ours.log());
    let seen = world.upstream.with("GET /orders");
    let seen = seen.last().unwrap();
    assert!(!seen.text().contains(&token), "{}", seen.text());
    let inside = claims(&seen.values("doorward-identity")[0]);
    assert_eq!(inside["aud"], json!("https://inside.example"));
    assert_eq!(inside["sub"], json!("shop"));
    assert_eq!(inside["scope"], json!("orders:read"));

    // What it does not grant, what is for another API, what is nobody's.
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let written = wire::call(world.ours.gateway(), "POST", "/orders", &headers, b"");
    assert_eq!(written.unwrap().code(), "insufficient-scope");
    for text in [
        &world.partner.token(STOCK, "orders:read"),
        "Zm9vYmFy",
        &token[1..],
    ] {
        let answer = world.get(text);
        assert_eq!(answer.status, 401, "{text}");
        assert_eq!(answer.code(), "credential-refused");
    }

    // Taken back at the partner: felt when the answer's second is over.
    let other = world.partner.token(ORDERS, "orders:read");
    assert_eq!(world.status(&other), 200);
    let gone = world
        .partner
        .post("/oauth/revoke", &[("token", &token)], &[]);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let begun = Instant::now();
    while world.status(&token) == 200 {
        assert!(begun.elapsed() < Duration::from_secs(3), "within a second");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.status(&other), 200);

    // Without the partner nobody knows, and that is no refusal.
    let fresh = world.partner.token(ORDERS, "orders:read");
    world.partner.doorward.kill();
    let answer = world.get(&fresh);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.code(), "temporarily-unavailable");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(world.status(&other), 503, "an old answer is none");
    world.partner.doorward.start_again().unwrap();
    let begun = Instant::now();
    while world.status(&fresh) != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is back");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.status(&token), 401);

    // Neither tokens nor our secret are anywhere to be read.
    let secret = world.partner.secrets["door"].clone();
    assert!(world.ours.stop().unwrap(), "{}", world.ours.log());
    let mut held = (world.ours.log() + &world.ours.stdout()).into_bytes();
    for file in std::fs::read_dir(world.ours.place().path().join("data")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            held.extend(std::fs::read(path).unwrap());
        }
    }
    for text in [&token, &other, &fresh, &secret] {
        assert!(wire::find(&held, text.as_bytes()).is_none(), "i02");
    }
}

#[test]
fn by_a_key_and_d01_a_partners_token_that_is_bound_to_a_key_is_no_bearer_token() {
    let world = World::start(BY_KEY);
    assert_eq!(
        world.status(&world.partner.token(ORDERS, "orders:read")),
        200
    );
    let (mine, thief) = (
        ProofKey::new(Algorithm::ES256),
        ProofKey::new(Algorithm::ES256),
    );
    let address = format!("{}/oauth/token", world.partner.origin);
    let fields = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let asked = |proof: &str| {
        world
            .partner
            .post("/oauth/token", &fields, &[("dpop", proof)])
    };
    let mut proof = mine.claims("POST", &address, None);
    let first = asked(&mine.sign(&mine.header(), &proof));
    if let Some(nonce) = first.header("dpop-nonce") {
        proof["nonce"] = json!(nonce);
    }
    proof["jti"] = json!("another");
    let answer = asked(&mine.sign(&mine.header(), &proof));
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.status(&token), 401);
    let here = format!("http://{}/orders", world.ours.gateway());
    let proved = |key: &ProofKey| {
        let proof = key.proof("GET", &here, Some(&token));
        let value = format!("DPoP {token}");
        let headers = [("authorization", value.as_str()), ("dpop", &proof)];
        let first = world.ours.get("/orders", &headers).unwrap().status;
        (first, world.ours.get("/orders", &headers).unwrap().status)
    };
    // A proof passes once.
    assert_eq!(proved(&mine), (200, 401));
    assert_eq!(proved(&thief), (401, 401));
}

/// Defence: the partner's `client::certificate`; `outbound/src/client_auth.rs` shows it.
#[test]
fn by_a_certificate_of_a_trusted_authority_and_by_no_other() {
    let world = World::start(BY_CERTIFICATE);
    let token = world.partner.token(ORDERS, "orders:read");
    assert_eq!(world.status(&token), 200, "{}", world.ours.log());
    let other = world.partner.token(STOCK, "orders:read");
    assert_eq!(world.status(&other), 401);
    let gone = world
        .partner
        .post("/oauth/revoke", &[("token", &token)], &[]);
    assert_eq!(gone.status, 200, "{}", gone.text());
    becomes(&world, &token, 401);

    // The files are followed: with one that is not the client's nobody can be asked.
    let fresh = || world.partner.token(ORDERS, "orders:read");
    let place = world.ours.place().path();
    let callers = &world.partner.callers;
    for stranger in [
        Ca::new().named(OURSELVES, 1),
        callers.named("spiffe://door.example/other", 3),
    ] {
        show(place, &stranger);
        let begun = Instant::now();
        while world.status(&fresh()) != 503 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is followed");
            std::thread::sleep(Duration::from_millis(200));
        }
        show(place, &callers.named(OURSELVES, 2));
        becomes(&world, &fresh(), 200);
    }
}

/// What is known at the partner alone is felt when the answer's second is over; a change of files
/// within a moment.
fn becomes(world: &World, token: &str, status: u16) {
    let begun = Instant::now();
    while world.status(token) != status {
        let log = world.ours.log();
        assert!(begun.elapsed() < Duration::from_secs(20), "{status}: {log}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn whoever_writes_documents_from_elsewhere_can_not_have_a_file_of_this_machine_sent_away() {
    let ours = Doorward::start(BASE).unwrap();
    let body = |source: &str| {
        json!({ "version": 0, "spec": { "issuer": "https://evil.example", "introspection": {
            "url": "https://evil.example/", "client_id": "x", "client_secret": source } } })
    };
    for source in ["file:master.key", "env:PATH"] {
        let path = "/v1/issuers/evil";
        let (status, answer) = ours.admin_call("PUT", path, Some(&body(source))).unwrap();
        assert_eq!(status, 400, "{answer}");
        let told = answer.to_string();
        assert!(told.contains("settings file"), "{told}");
    }
}
