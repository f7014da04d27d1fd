//! One running Doorward for all tests that change nothing in it: a declared API with every kind of
//! route and credential, and an upstream that tells what it saw.

use std::path::PathBuf;
use std::sync::OnceLock;

use proof::jose::alg::Algorithm;
use serde_json::{Value, json};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::tokens::ForeignIssuer;
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

/// The audience of the API `main`.
pub(crate) const AUDIENCE: &str = "https://main.example";

/// What is declared. `@UPSTREAM@`, `@JWKS…@` are filled in by [`World::start`].
const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: foreign }
    spec: { issuer: "https://foreign.example", jwks: @JWKS@, max_lifetime: 1h }
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: rsa }
    spec: { issuer: "https://rsa.example", jwks: @JWKS_RSA@ }
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: guarded }
    spec: { issuer: "https://guarded.example", jwks: @JWKS_GUARDED@, types: [JWT], access_token_guards: [scope] }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: main }
    spec:
      audiences: ["https://main.example"]
      upstream: { urls: ["@UPSTREAM@"], idle_timeout: 2s }
      identity: { mode: headers }
      scopes: { read: Read things, write: Write things }
      credentials: [api_key, basic, jwt]
      issuers: [own, foreign, rsa, guarded]
      key_headers: [x-api-key, x-acme-key]
      routes:
        - { path: "/public/{rest*}", public: true }
        - { path: "/admin/{rest*}", scopes: [write] }
        - { path: "/f/{name}", public: true, allow_encoded_slash: true }
        - { path: "/g/{name}", public: true }
        - { path: /only-post, methods: [POST], public: true }
        - { path: /only-get, methods: [GET], public: true }
        - { path: /write, methods: [GET], scopes: [write] }
        - { path: /me }
        - { path: /bound, credentials: [jwt], sensitivity: high, sender_constraint: required }
        - { path: /fresh, credentials: [jwt], dpop_nonce: true }
        - { path: /small, methods: [POST], public: true, body_limit: 1KiB }
        - { path: /tunnel, public: true, upgrade: true }
        - { path: /no-tunnel, public: true }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: other }
    spec:
      audiences: ["https://other.example"]
      base_path: /other
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [api_key, jwt]
      issuers: [own, foreign]
      routes: [{ path: "/{rest*}" }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: stripped }
    spec:
      base_path: /stripped
      strip_base_path: true
      upstream: { urls: ["@UPSTREAM@"] }
      routes: [{ path: /, public: true }, { path: "/{rest*}", public: true }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: trial }
    spec:
      environment: test
      audiences: ["https://trial.example"]
      base_path: /trial
      upstream: { urls: ["@UPSTREAM@"] }
      scopes: { read: Read things }
      credentials: [api_key, basic, jwt]
      routes: [{ path: "/{rest*}" }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: signed }
    spec:
      audiences: ["https://signed.example"]
      base_path: /signed
      upstream: { urls: ["@UPSTREAM@"] }
      identity: { mode: jwt, audience: "https://main.example" }
      credentials: [api_key, jwt]
      routes: [{ path: "/{rest*}" }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: both }
    spec:
      audiences: ["https://both.example"]
      base_path: /both
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [[api_key, jwt]]
      issuers: [foreign]
      routes: [{ path: "/{rest*}" }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: limited }
    spec:
      audiences: ["https://limited.example"]
      base_path: /limited
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [api_key, jwt]
      issuers: [foreign]
      limits: { per_principal: 20/h }
      routes: [{ path: "/{rest*}" }]
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: tests } }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: lab }, spec: { display_name: Lab, owner: a@example.com, purpose: tests, environment: test } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: machine }
    spec: { application: shop, auth_method: client_secret_basic, grants: { main: [read, write], other: [], signed: [] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: lab-machine }
    spec: { application: lab, auth_method: client_secret_basic, environment: test, grants: { trial: [read] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: signer-a }
    spec: { application: shop, auth_method: private_key_jwt, jwks: @JWKS_A@, grants: { main: [read] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: signer-b }
    spec: { application: shop, auth_method: private_key_jwt, jwks: @JWKS_B@, grants: { main: [read] } }
  - { apiVersion: doorward/v1, kind: Account, metadata: { name: alice }, spec: { application: shop, apis: [main], scopes: [read, write] } }
  - { apiVersion: doorward/v1, kind: Account, metadata: { name: lab-alice }, spec: { application: lab, apis: [trial], scopes: [read], environment: test } }
"#;

/// What runs, and one good credential of each kind.
pub(crate) struct World {
    pub(crate) doorward: Doorward,
    pub(crate) upstream: Upstream,
    pub(crate) foreign: ForeignIssuer,
    pub(crate) rsa: ForeignIssuer,
    pub(crate) guarded: ForeignIssuer,
    pub(crate) signer_a: ForeignIssuer,
    pub(crate) signer_b: ForeignIssuer,
    /// A live key for every live API with every scope.
    pub(crate) key: String,
    pub(crate) key_id: String,
    /// A test key for `trial`.
    pub(crate) test_key: String,
    pub(crate) client_secret: String,
    pub(crate) lab_secret: String,
    pub(crate) password: String,
    pub(crate) lab_password: String,
}

/// The one that read-only tests share.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::start(BASE))
}

impl World {
    /// Starts one of its own, with other settings than [`BASE`] before the resources.
    pub(crate) fn start(base: &str) -> Self {
        let upstream = Upstream::start().unwrap();
        let foreign = ForeignIssuer::new("https://foreign.example");
        let rsa = ForeignIssuer::with_algorithm("https://rsa.example", Algorithm::RS256);
        let guarded = ForeignIssuer::new("https://guarded.example");
        let signer_a = ForeignIssuer::new("signer-a");
        let signer_b = ForeignIssuer::new("signer-b");
        let settings = format!("{base}{RESOURCES}")
            .replace("@UPSTREAM@", &upstream.url())
            .replace("@JWKS@", &foreign.jwks().to_string())
            .replace("@JWKS_RSA@", &rsa.jwks().to_string())
            .replace("@JWKS_GUARDED@", &guarded.jwks().to_string())
            .replace("@JWKS_A@", &signer_a.jwks().to_string())
            .replace("@JWKS_B@", &signer_b.jwks().to_string());
        let doorward = Place::new().unwrap().start(&settings).unwrap();
        let apis = ["main", "other", "signed", "both", "limited"];
        let key = doorward
            .make(
                "POST",
                "/v1/keys",
                &json!({ "application": "shop", "label": "all", "apis": apis, "scopes": ["read", "write"] }),
            )
            .unwrap();
        let test_key = doorward
            .make(
                "POST",
                "/v1/keys",
                &json!({ "application": "lab", "label": "lab", "apis": ["trial"], "scopes": ["read"] }),
            )
            .unwrap();
        let secret = |path: &str| {
            let made = doorward.make("POST", path, &json!({})).unwrap();
            made["secret"].as_str().unwrap().to_owned()
        };
        let client_secret = secret("/v1/clients/machine/secrets");
        let lab_secret = secret("/v1/clients/lab-machine/secrets");
        let password = secret("/v1/accounts/alice/passwords");
        let lab_password = secret("/v1/accounts/lab-alice/passwords");
        let world = Self {
            key: key["secret"].as_str().unwrap().to_owned(),
            key_id: key["credential"]["id"].as_str().unwrap().to_owned(),
            test_key: test_key["secret"].as_str().unwrap().to_owned(),
            client_secret,
            lab_secret,
            password,
            lab_password,
            doorward,
            upstream,
            foreign,
            rsa,
            guarded,
            signer_a,
            signer_b,
        };
        // Everything below stands on this: the good ones pass.
        for headers in world.good_credentials() {
            let answer = world.secure_get("/admin/hello", &[(headers.0, &headers.1)]);
            assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        }
        world
    }

    /// A good credential of each kind, as header fields.
    pub(crate) fn good_credentials(&self) -> Vec<(&'static str, String)> {
        vec![
            ("authorization", format!("Bearer {}", self.key)),
            ("x-api-key", self.key.clone()),
            ("authorization", basic("alice", &self.password)),
            (
                "authorization",
                format!(
                    "Bearer {}",
                    self.own_token("machine", &self.client_secret, "main")
                ),
            ),
            (
                "authorization",
                format!(
                    "Bearer {}",
                    self.foreign.sign(&self.foreign.claims(AUDIENCE))
                ),
            ),
        ]
    }

    /// An access token of our own issuer for an API's audience.
    pub(crate) fn own_token(&self, client: &str, secret: &str, api: &str) -> String {
        let body = format!("grant_type=client_credentials&resource=https%3A%2F%2F{api}.example");
        let answer = self.token_endpoint(&[("authorization", &basic(client, secret))], &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A form posted to the token endpoint.
    pub(crate) fn token_endpoint(&self, headers: &[(&str, &str)], form: &str) -> Answer {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        wire::call(
            self.doorward.issuer(),
            "POST",
            "/oauth/token",
            &all,
            form.as_bytes(),
        )
        .unwrap()
    }

    /// A `GET` of the plain gateway.
    pub(crate) fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.doorward.get(target, headers).unwrap()
    }

    /// A `GET` with a bearer token.
    pub(crate) fn with_token(&self, target: &str, token: &str) -> Answer {
        self.get(target, &[("authorization", &format!("Bearer {token}"))])
    }

    /// A `GET` of the gateway over TLS.
    pub(crate) fn secure_get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let address = self.doorward.gateway_tls();
        let mut all = vec![("host", "localhost")];
        all.extend_from_slice(headers);
        let request = wire::request(address, "GET", target, &all, b"");
        wire::raw_tls(address, &self.ca(), request).unwrap()
    }

    /// Bytes sent to the plain gateway.
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        wire::raw(self.doorward.gateway(), bytes).unwrap()
    }

    /// The CA of the gateway's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.doorward.place().path().join("tls/ca.pem")
    }

    /// A text that stands in one test's calls only, so that it can find them upstream.
    pub(crate) fn mark(&self) -> String {
        format!(
            "mark{}",
            proof::random::random_base62(12, &proof::random::SystemEntropy)
        )
    }
}

/// `Basic` credentials.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let pair = format!("{user}:{password}");
    format!("Basic {}", proof::base64std::encode(pair.as_bytes()))
}

/// What the echo upstream saw of a field.
pub(crate) fn seen(answer: &Answer, name: &str) -> Vec<String> {
    answer.json()["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|field| field[0] == name)
        .filter_map(|field| field[1].as_str().map(str::to_owned))
        .collect()
}

/// A copy of claims with one changed; `null` takes it away.
pub(crate) fn but(claims: &Value, name: &str, value: Value) -> Value {
    let mut changed = claims.clone();
    match value {
        Value::Null => {
            changed.as_object_mut().unwrap().remove(name);
        }
        value => changed[name] = value,
    }
    changed
}

#[test]
fn the_binary_stops_in_order() {
    let mut doorward = Doorward::start(BASE).unwrap();
    assert!(doorward.stop().unwrap(), "{}", doorward.log());
}
