//! A saved request of every kind that signs, or that is more than a text: good ones are explained as
//! good and are still unspent afterwards, of bad ones the check that refuses is named.

use core::time::Duration;
use std::path::Path;

use proof::client_call::Draft;
use proof::digest::sha256;
use proof::hmac_request;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::ContentEncryption;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{self, SharedKey, Style};
use serde_json::{Value, json};
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::now;
use testkit::wire;

use super::super::backend::Backend;
use super::super::scene::{issued, wait_until, words};
use super::{explain_as, mark};
use crate::flows::encrypted;
use crate::threats::certificates::{Ca, Own};

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { read: Read }
      credentials: [sigv4, http_signature, hmac, client_jwt, mtls]
      signatures: { sigv4: { regions: [local], services: [orders] } }
      client_certificates:
        ca_file: partners.pem
        identities: [{ uri: "spiffe://example.org/billing", scopes: [read] }]
      routes: [{ path: /orders, scopes: [read] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: vault }
    spec:
      audiences: [https://vault.example]
      base_path: /vault
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { read: Read }
      credentials: [jwt]
      token_encryption: { key_files: [vault.pem] }
      routes: [{ path: /orders, scopes: [read] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: sealed }
    spec:
      audiences: [https://sealed.example]
      base_path: /sealed
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { read: Read }
      credentials: [paseto]
      token_format: paseto
      routes: [{ path: /orders, scopes: [read] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: other }
    spec:
      audiences: [https://other.example]
      base_path: /other
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { read: Read }
      credentials: [paseto]
      token_format: paseto
      routes: [{ path: /orders, scopes: [read] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: hidden }
    spec:
      audiences: [https://hidden.example]
      base_path: /hidden
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { read: Read }
      credentials: [opaque]
      token_format: opaque
      routes: [{ path: /orders, scopes: [read] }]
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { owner: a@example.com, purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: backend }
    spec: { application: shop, auth_method: client_secret_basic, grants: { orders: [read], vault: [read], sealed: [read], other: [read], hidden: [read] } }
"#;

/// A request as somebody saved it.
#[derive(Clone)]
struct Saved {
    method: &'static str,
    path: &'static str,
    fields: Vec<(String, String)>,
    body: String,
}

impl Saved {
    fn get(path: &'static str, fields: Vec<(String, String)>) -> Self {
        Self {
            method: "GET",
            path,
            fields,
            body: String::new(),
        }
    }

    fn bearer(path: &'static str, token: &str) -> Self {
        let value = format!("Bearer {token}");
        Self::get(path, vec![("authorization".to_owned(), value)])
    }

    /// The same with another body of the same length.
    fn with_body(&self, body: &str) -> Self {
        let mut other = self.clone();
        assert_eq!(other.body.len(), body.len());
        body.clone_into(&mut other.body);
        other
    }
}

struct World {
    node: Doorward,
    _upstream: Backend,
    secret: String,
}

impl World {
    fn start(place: Place) -> Self {
        let upstream = Backend::start("one");
        let settings = format!("{BASE}{RESOURCES}").replace("@UPSTREAM@", &upstream.url());
        let node = place.start(&settings).unwrap();
        let path = "/v1/clients/backend/secrets";
        let made = node.make("POST", path, &json!({ "label": "tests" }));
        Self {
            secret: issued(&made.unwrap()).1,
            node,
            _upstream: upstream,
        }
    }

    /// A token of our issuer for an API.
    fn token(&self, api: &str) -> String {
        let pair = format!("backend:{}", self.secret);
        let basic = format!("Basic {}", proof::base64std::encode(pair.as_bytes()));
        let resource = format!("https://{api}.example");
        let form = encode(&[
            ("grant_type", "client_credentials"),
            ("resource", &resource),
        ]);
        let fields = [
            ("authorization", basic.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let issuer = self.node.issuer();
        let answer = wire::call(issuer, "POST", "/oauth/token", &fields, form.as_bytes());
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    fn explain(&self, saved: &Saved, more: &[&str]) -> Value {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            saved.method,
            saved.path,
            self.node.gateway()
        );
        for (name, value) in &saved.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !saved.body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", saved.body.len()));
        }
        text.push_str(&format!("\r\n{}", saved.body));
        let arguments = [&["--request", "-", "--output", "json"], more].concat();
        let ran = explain_as(&self.node, self.node.owner_key(), &arguments, &text);
        assert!(ran.status.success(), "{}", words(&ran));
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    fn send(&self, saved: &Saved) -> (u16, String) {
        let fields = saved.fields.iter();
        let fields: Vec<_> = fields.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let gateway = self.node.gateway();
        let (method, path) = (saved.method, saved.path);
        let answer = wire::call(gateway, method, path, &fields, saved.body.as_bytes()).unwrap();
        (answer.status, answer.code())
    }

    /// A good call is explained as one, twice, and passes then: looking at it spent nothing.
    fn holds(&self, what: &str, saved: &Saved) {
        for _ in 0..2 {
            let explained = self.explain(saved, &[]);
            assert_eq!(explained["decision"], "allow", "{what}: {explained:#}");
            self.tells_no_secret(saved, &explained);
        }
        assert_eq!(self.send(saved).0, 200, "{what}");
    }

    /// A bad one is explained by the check that refuses it, and is refused so.
    fn fails(&self, what: &str, check: &str, saved: &Saved) {
        let explained = self.explain(saved, &[]);
        assert_eq!(explained["decision"], "deny", "{what}: {explained:#}");
        assert_eq!(mark(&explained, check), "failed", "{what}: {explained:#}");
        self.tells_no_secret(saved, &explained);
        let (status, code) = self.send(saved);
        assert_eq!(explained["answer"]["status"], json!(status), "{what}");
        assert_eq!(explained["answer"]["code"], json!(code), "{what}");
    }

    fn tells_no_secret(&self, saved: &Saved, explained: &Value) {
        let told = explained.to_string();
        for (_, value) in saved.fields.iter().filter(|(_, value)| value.len() > 60) {
            assert!(!told.contains(&**value), "{told}");
        }
    }
}

fn moment() -> Timestamp {
    Timestamp::from_secs(now())
}

/// One letter of the middle is another one.
fn mistyped(text: &str) -> String {
    let at = text.len() - 20;
    let other = if text.as_bytes()[at] == b'a' {
        "b"
    } else {
        "a"
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn a_request_that_is_signed_is_explained_and_the_step_that_refuses_is_named() {
    let place = Place::new().unwrap();
    std::fs::write(place.path().join("partners.pem"), Ca::new().pem()).unwrap();
    key_file(place.path());
    let world = World::start(place);
    let node = &world.node;
    let authority = node.gateway().to_string();
    for scheme in Scheme::ALL {
        let wish = json!({
            "application": "shop", "label": scheme.name(), "scheme": scheme.name(),
            "apis": ["orders"], "scopes": ["read"],
        });
        let made = node.make("POST", "/v1/signing-secrets", &wish).unwrap();
        let good = Signatory::of(scheme, &made);
        let target = Target {
            method: "GET",
            scheme: "http",
            authority: &authority,
            path: "/orders",
        };
        let signed = |by: &Signatory, at| Saved::get("/orders", by.fields(&target, at));
        let saved = signed(&good, moment());
        let name = scheme.name();
        world.holds(name, &saved);
        world.fails(name, "signature-replay", &saved);
        let old = Timestamp::from_secs(now() - 3600);
        world.fails(name, "request-signature", &signed(&good, old));
        let mut thief = good.clone();
        thief.secret = mistyped(&thief.secret);
        let by_thief = signed(&thief, moment());
        world.fails(name, "request-signature", &by_thief);
        let mut nobody = good.clone();
        nobody.key_id = mistyped(&nobody.key_id);
        world.fails(name, "signing-key", &signed(&nobody, moment()));
        node.make(
            "POST",
            &format!("/v1/signing-secrets/{}/suspend", issued(&made).0),
            &json!({}),
        )
        .unwrap();
        wait_until("it is suspended", Duration::from_secs(10), || {
            world.explain(&signed(&good, moment()), &[])["decision"] == "deny"
        });
        world.fails(name, "life", &signed(&good, moment()));
    }

    // The body too, where the saved request has one.
    let wish = json!({
        "application": "shop", "label": "bodies", "scheme": "hmac", "apis": ["orders"], "scopes": ["read"],
    });
    let made = node.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let by = Signatory::of(Scheme::Hmac, &made);
    let headers = http::HeaderMap::new();
    let head = SignedHead {
        method: "POST",
        scheme: "http",
        authority: &authority,
        path: "/orders",
        query: None,
        headers: &headers,
    };
    let nonce = random_base62(24, &SystemEntropy);
    let secret = Secret::from_text(by.secret.clone());
    let digest = sha256(b"hello");
    let value = hmac_request::sign(&head, &digest, &by.key_id, &secret, &nonce, moment()).unwrap();
    let saved = Saved {
        method: "POST",
        path: "/orders",
        fields: vec![(
            "authorization".to_owned(),
            value.expose_text().unwrap().to_owned(),
        )],
        body: "hello".to_owned(),
    };
    world.fails("a body", "signed-body", &saved.with_body("jello"));
}

#[test]
fn a_client_s_own_jwt_and_a_webhook_are_explained_and_the_step_that_refuses_is_named() {
    let place = Place::new().unwrap();
    std::fs::write(place.path().join("partners.pem"), Ca::new().pem()).unwrap();
    key_file(place.path());
    let world = World::start(place);
    let node = &world.node;
    let own = SigningKey::generate(Algorithm::ES256).unwrap();
    let spec = json!({ "spec": {
        "application": "shop", "auth_method": "private_key_jwt", "signs_calls": true,
        "jwks": { "keys": [own.public_jwk().to_json()] }, "grants": { "orders": ["read"] } } });
    node.make("PUT", "/v1/clients/export", &spec).unwrap();
    let signed = |key: &SigningKey, kid: &str, audience: &str| {
        let draft = Draft {
            client: "export",
            audience,
            jti: &random_base62(24, &SystemEntropy),
            issued_at: moment(),
            lifetime: Duration::from_secs(60),
            scope: None,
            method: None,
            uri: None,
            body_sha256: None,
        };
        Saved::bearer("/orders", &draft.sign(key, kid))
    };
    let orders = "https://orders.example";
    wait_until("the client is known", Duration::from_secs(10), || {
        world.send(&signed(&own, own.kid(), orders)).0 == 200
    });
    let saved = signed(&own, own.kid(), orders);
    world.holds("client_jwt", &saved);
    world.fails("used before", "token-replay", &saved);
    let elsewhere = signed(&own, own.kid(), "https://vault.example");
    world.fails("for another API", "call-claims", &elsewhere);
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let unknown = signed(&stranger, stranger.kid(), orders);
    world.fails("no such key", "verification-key", &unknown);
    let forged = signed(&stranger, own.kid(), orders);
    world.fails("by another key", "signature", &forged);

    let wish = json!({ "application": "shop", "label": "hooks", "scheme": "webhook" });
    let made = node.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let (id, secret) = issued(&made);
    let rights = json!({ "apis": ["hooks"], "scopes": ["read"] });
    let spec = json!({ "spec": {
        "audiences": ["https://hooks.example"], "base_path": "/hooks",
        "upstream": { "urls": ["http://127.0.0.1:9"] }, "scopes": { "read": "Read" },
        "credentials": ["webhook"],
        "signatures": { "webhook": { "style": "standard-webhooks", "keys": [made["credential"]["signing"]["key_id"]] } },
        "routes": [{ "path": "/orders", "methods": ["POST"], "scopes": ["read"] }] } });
    node.make("PUT", "/v1/apis/hooks", &spec).unwrap();
    node.make("PATCH", &format!("/v1/signing-secrets/{id}"), &rights)
        .unwrap();
    let delivery = |secret: &str, at: Timestamp| {
        let style = Style::StandardWebhooks;
        let key = SharedKey::read(style, &Secret::from_text(secret.to_owned())).unwrap();
        let id = random_base62(24, &SystemEntropy);
        let signed = webhook::sign(style, &key, &id, b"{\"a\":1}", at).unwrap();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        Saved {
            method: "POST",
            path: "/hooks/orders",
            fields: signed
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body: "{\"a\":1}".to_owned(),
        }
    };
    let good = delivery(&secret, moment());
    wait_until("the API is known", Duration::from_secs(10), || {
        world.explain(&good, &[])["decision"] == "allow"
    });
    world.tells_no_secret(&good, &world.explain(&good, &[]));
    let late = delivery(&secret, Timestamp::from_secs(now() - 3600));
    world.fails("late", "request-signature", &late);
    let changed = good.with_body("{\"a\":2}");
    world.fails("another body", "request-signature", &changed);
    let other = node.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let by_other = delivery(&issued(&other).1, moment());
    world.fails("another sender's", "request-signature", &by_other);
}

/// The key of the API `vault`.
fn key_file(folder: &Path) -> proof::jose::jwe::DecryptionKey {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    encrypted::write(folder, "vault.pem", &key)
}

#[test]
fn a_token_in_every_form_is_explained_and_the_step_that_refuses_is_named() {
    let place = Place::new().unwrap();
    std::fs::write(place.path().join("partners.pem"), Ca::new().pem()).unwrap();
    let key = key_file(place.path());
    let world = World::start(place);
    let revoked = |token: &str| {
        let pair = format!("backend:{}", world.secret);
        let basic = format!("Basic {}", proof::base64std::encode(pair.as_bytes()));
        let fields = [
            ("authorization", basic.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let form = encode(&[("token", token)]);
        let issuer = world.node.issuer();
        let answer = wire::call(issuer, "POST", "/oauth/revoke", &fields, form.as_bytes());
        assert_eq!(answer.unwrap().status, 200);
    };

    let opaque = world.token("hidden");
    let saved = |token: &str| Saved::bearer("/hidden/orders", token);
    world.holds("opaque", &saved(&opaque));
    revoked(&opaque);
    world.fails("opaque, revoked", "revocation", &saved(&opaque));
    world.fails("opaque, mistyped", "presented", &saved(&mistyped(&opaque)));

    let paseto = world.token("sealed");
    let saved = |token: &str| Saved::bearer("/sealed/orders", token);
    world.holds("paseto", &saved(&paseto));
    let elsewhere = world.token("other");
    world.fails("paseto of another API", "claims", &saved(&elsewhere));
    let (start, footer) = paseto.rsplit_once('.').unwrap();
    let forged = format!("{}.{footer}", mistyped(start));
    world.fails("paseto, forged", "token-seal", &saved(&forged));
    revoked(&paseto);
    world.fails("paseto, revoked", "revocation", &saved(&paseto));

    let sealed = world.token("vault");
    let saved = |token: &str| Saved::bearer("/vault/orders", token);
    world.holds("jwe", &saved(&sealed));
    let nested = proof::jose::jwe::split(sealed.as_bytes())
        .unwrap()
        .open(&key)
        .unwrap();
    let nested = nested.expose_text().unwrap();
    world.fails("jwe, not encrypted", "encryption", &saved(nested));
    let folder = tempfile::tempdir().unwrap();
    let stranger = key_file(folder.path());
    let cipher = ContentEncryption::A256Gcm;
    let to_stranger = stranger.public().encrypt(nested, "at+jwt", cipher).unwrap();
    world.fails("jwe to another key", "decryption", &saved(&to_stranger));
    let (start, end) = nested.rsplit_once('.').unwrap();
    let within = format!("{start}.{}", mistyped(end));
    let forged = key.public().encrypt(&within, "at+jwt", cipher).unwrap();
    world.fails("jwe, forged within", "signature", &saved(&forged));
    revoked(&sealed);
    world.fails("jwe, revoked", "revocation", &saved(&sealed));
}

#[test]
fn a_client_s_certificate_is_explained_beside_a_request_and_the_step_that_refuses_is_named() {
    let place = Place::new().unwrap();
    let ca = Ca::new();
    std::fs::write(place.path().join("partners.pem"), ca.pem()).unwrap();
    key_file(place.path());
    let world = World::start(place);
    let saved = Saved::get("/orders", Vec::new());
    let billing = "spiffe://example.org/billing";
    let explained = |own: &Own, more: &[&str]| {
        let file = world.node.place().path().join("own.pem");
        std::fs::write(&file, &own.pem).unwrap();
        let file = file.to_str().unwrap();
        let flags = ["--scheme", "https", "--client-certificate", file];
        world.explain(&saved, &[&flags[..], more].concat())
    };
    let good = ca.named(billing, 1);
    let told = explained(&good, &[]);
    assert_eq!(told["decision"], "allow", "{told:#}");
    assert_eq!(told["credential"], json!(good.tls.name()), "{told:#}");
    // Long after its end; before that, the same file was good.
    let late = explained(&good, &["--at", "4200-01-01T00:00:00Z"]);
    let elsewhere = ca.named("spiffe://example.org/sales", 2);
    for (what, told) in [
        (
            "a stranger's authority",
            explained(&Ca::new().named(billing, 1), &[]),
        ),
        ("another name", explained(&elsewhere, &[])),
        ("expired", late),
    ] {
        assert_eq!(
            told["answer"]["code"], "credential-refused",
            "{what}: {told:#}"
        );
        assert_eq!(
            mark(&told, "certificate-path"),
            "failed",
            "{what}: {told:#}"
        );
    }
    // None at all, and one on a connection that has none.
    let none = world.explain(&saved, &["--scheme", "https"]);
    assert_eq!(none["answer"]["code"], "credential-missing", "{none:#}");
    assert_eq!(mark(&none, "presented"), "failed", "{none:#}");
    // What is explained is what callers get.
    for (own, status) in [(&good, 200), (&elsewhere, 401)] {
        let trusted = world.node.place().path().join("tls/ca.pem");
        let config = own.tls.client_config(&trusted).unwrap();
        let at = world.node.gateway_tls();
        let bytes = wire::request(at, "GET", "/orders", &[("host", "localhost")], b"");
        let mut stream = wire::connect_tls_as(at, &config, Some("http/1.1")).unwrap();
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
        assert_eq!(wire::first_answer(&mut stream).unwrap().status, status);
    }
}
