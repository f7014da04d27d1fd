//! **`doorward sign`**: what each kind signs passes the running gateway once, and nothing passes that
//! is one letter off. (`client-jwt` stands in `flows/client_jwt`, `paseto` in `sign_paseto`.)

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proof::calendar;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::time::Timestamp;
use serde_json::{Value, json};
use testkit::doorward::{BASE, Doorward};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

use super::scene::{client_secret, command_json};

/// The API `orders` takes every kind; `drops` takes bodies that nobody signed.
const DECLARED: &str = r#"resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      environment: test
      audiences: [https://orders.example]
      upstream: { urls: ["@UPSTREAM@"] }
      scopes: { "orders:write": Write }
      credentials: [hmac, sigv4, http_signature, jwt]
      signatures: { sigv4: { regions: [local], services: [orders, s3], presigned: 15m } }
      routes: [{ path: "/orders/{id}", scopes: ["orders:write"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: drops }
    spec:
      environment: test
      audiences: [https://drops.example]
      upstream: { urls: ["@UPSTREAM@"] }
      scopes: { "drops:write": Write }
      credentials: [sigv4]
      signatures: { unsigned_body: true, sigv4: { regions: [local], services: [orders] } }
      base_path: /drops
      routes: [{ path: "/{id}", scopes: ["drops:write"] }]
  - apiVersion: doorward/v1
    kind: Application
    metadata: { name: shop }
    spec: { owner: alice@example.com, purpose: Tests, environment: test }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: backend }
    spec: { application: shop, auth_method: client_secret_basic, environment: test, grants: { orders: ["orders:write"] } }
"#;

struct World {
    node: Doorward,
    _upstream: Upstream,
}

/// A request as `doorward sign` printed it, with its body.
#[derive(Clone)]
struct Signed {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl World {
    fn new() -> Self {
        let upstream = Upstream::start().unwrap();
        let settings = format!("{BASE}{DECLARED}").replace("@UPSTREAM@", &upstream.url());
        Self {
            node: Doorward::start(&settings).unwrap(),
            _upstream: upstream,
        }
    }

    /// Writes a file that only its owner reads.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.node.place().path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A new signing key for both APIs; for a key pair its public half in a file.
    fn signing_key(&self, scheme: &str, public: Option<&str>) -> Value {
        let mut wish = [
            &["secret", "create", "--scheme", scheme][..],
            &["--application", "shop", "--label", scheme],
            &["--api", "orders", "--scope", "orders:write"],
            &["--api", "drops", "--scope", "drops:write"],
        ]
        .concat();
        if let Some(file) = public {
            wish.extend(["--public-key-file", file]);
        }
        command_json(&self.node, &wish)
    }

    /// `sign KIND URL …`, with a body for a path below `/orders/` or `/drops/`.
    fn sign(&self, kind: &str, path: &str, body: &str, more: &[&str]) -> Signed {
        let url = format!("http://{}{path}", self.node.gateway());
        self.sign_url(kind, &url, body, more)
    }

    fn sign_url(&self, kind: &str, url: &str, body: &str, more: &[&str]) -> Signed {
        let mut arguments = vec!["sign", kind, url];
        let file = self.file("body", body);
        if !body.is_empty() {
            arguments.extend(["--body-file", &file, "-H", "content-type: text/plain"]);
        }
        arguments.extend(more);
        let printed = command_json(&self.node, &arguments);
        let url = printed["url"].as_str().unwrap();
        let (_, rest) = url.split_once("://").unwrap();
        Signed {
            method: printed["method"].as_str().unwrap().to_owned(),
            target: rest[rest.find('/').unwrap()..].to_owned(),
            headers: serde_json::from_value(printed["headers"].clone()).unwrap(),
            body: body.to_owned(),
        }
    }

    fn call(&self, request: &Signed) -> Answer {
        let fields: Vec<(&str, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        wire::call(
            self.node.gateway(),
            &request.method,
            &request.target,
            &fields,
            request.body.as_bytes(),
        )
        .unwrap()
    }

    fn status(&self, request: &Signed) -> u16 {
        self.call(request).status
    }

    /// Whatever is one letter off is refused, and spends nothing: the call itself then passes.
    fn passes_as_it_was_signed_only(&self, what: &str, request: &Signed) {
        for (change, other) in request.neighbours() {
            assert_eq!(self.status(&other), 401, "{what}, {change}");
        }
        let answer = self.call(request);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    }

    fn passes_once(&self, what: &str, request: &Signed) {
        self.passes_as_it_was_signed_only(what, request);
        assert_eq!(self.status(request), 401, "{what}, a second time");
    }

    /// Another body of the same length, which spends the signature: its head was as it was signed.
    fn refuses_another_body(&self, what: &str, mut request: Signed) {
        request.body = request.body.replacen('1', "2", 1);
        assert_eq!(self.status(&request), 401, "{what}, another body");
    }
}

impl Signed {
    /// The same with one letter changed: of the path, of the signature.
    fn neighbours(&self) -> Vec<(&'static str, Self)> {
        let path = Self {
            target: self.target.replacen("/tea", "/tee", 1),
            ..self.clone()
        };
        let mut all = vec![("another path", path)];
        if let Some(target) = twisted(&self.target, "X-Amz-Signature=") {
            let other = Self {
                target,
                ..self.clone()
            };
            all.push(("another signature in the query", other));
        }
        for (at, (name, value)) in self.headers.iter().enumerate() {
            let marker = match name.as_str() {
                "authorization" if value.contains("ignature=") => "ignature=",
                "signature" => "sig1=:",
                "dpop" => ".",
                _ => continue,
            };
            let mut other = self.clone();
            other.headers[at].1 = twisted(value, marker).unwrap();
            all.push(("another signature", other));
        }
        assert!(all.len() >= 2, "no signature: {:?}", self.headers);
        all
    }
}

/// The text with the letter changed that follows the last marker.
fn twisted(text: &str, marker: &str) -> Option<String> {
    let at = text.rfind(marker)? + marker.len();
    let other = if text.as_bytes()[at] == b'0' {
        "1"
    } else {
        "0"
    };
    Some(format!("{}{other}{}", &text[..at], &text[at + 1..]))
}

/// A private key in PEM and its public half as JSON, without a word on what it is for.
fn key_pair(algorithm: Algorithm) -> (String, String) {
    let key = SigningKey::generate(algorithm).unwrap();
    let der = key.to_pkcs8().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        proof::base64std::encode(der.expose())
    );
    let mut public = key.public_jwk().to_json();
    let members = public.as_object_mut().unwrap();
    members.retain(|name, _| !["use", "kid", "alg"].contains(&name.as_str()));
    (pem, public.to_string())
}

/// Seconds before now, as `--at` takes it.
fn ago(seconds: i64) -> String {
    calendar::rfc3339(Timestamp::from_secs(testkit::tokens::now() - seconds))
}

#[test]
fn hmac_and_sigv4_pass_once_and_as_they_were_signed_only() {
    let world = World::new();
    let scope = ["--region", "local", "--service", "orders"];
    for (scheme, more) in [("hmac", &[][..]), ("sigv4", &scope)] {
        let made = world.signing_key(scheme, None);
        let id = made["credential"]["signing"]["key_id"].as_str().unwrap();
        let file = world.file(scheme, made["secret"].as_str().unwrap());
        let key = [&["--key-id", id, "--secret-file", &file][..], more].concat();
        let signed = |path: &str, body: &str| world.sign(scheme, path, body, &key);
        world.passes_once(scheme, &signed("/orders/tea?n=1", ""));
        world.passes_once(scheme, &signed("/orders/tea", "1 pot"));
        world.refuses_another_body(scheme, signed("/orders/cup", "1 pot"));
        let old = ago(400);
        let old = world.sign(
            scheme,
            "/orders/tea",
            "",
            &[&key[..], &["--at", &old]].concat(),
        );
        assert_eq!(world.status(&old), 401, "{scheme}, an old one");
        if scheme == "sigv4" {
            presigned(&world, &key);
            unsigned_body(&world, &key);
        }
    }
}

/// A presigned URL passes until it ends, as often as it likes.
fn presigned(world: &World, key: &[&str]) {
    let with = |path: &str, body: &str, more: &[&str]| {
        world.sign("sigv4", path, body, &[key, more].concat())
    };
    for (path, body) in [("/orders/tea?n=1", ""), ("/orders/tea", "1 pot")] {
        let signed = with(path, body, &["--presign", "10m"]);
        assert!(
            signed
                .headers
                .iter()
                .all(|(name, _)| name == "content-type")
        );
        world.passes_as_it_was_signed_only("presigned", &signed);
        assert_eq!(world.status(&signed), 200, "a second time");
        if !body.is_empty() {
            world.refuses_another_body("presigned", signed);
        }
    }
    let (now, hour) = (ago(0), ago(3600));
    for (at, life, wanted) in [(&hour, "10m", 401), (&now, "20m", 401), (&now, "15m", 200)] {
        let signed = with("/orders/tea", "", &["--presign", life, "--at", at]);
        assert_eq!(world.status(&signed), wanted, "{at} {life}");
    }
    // Object storage signs no body: there must be none, unless the API takes any.
    let last = key.len() - 1;
    let storage = [&key[..last], &["s3", "--presign", "10m"]].concat();
    let signed = world.sign("sigv4", "/orders/tea", "", &storage);
    world.passes_as_it_was_signed_only("presigned for s3", &signed);
    let signed = world.sign("sigv4", "/orders/tea", "1 pot", &storage);
    assert_eq!(world.status(&signed), 401);
}

/// A body that was left out may be any, and only where the API says so.
fn unsigned_body(world: &World, key: &[&str]) {
    let key = [key, &["--unsigned-body"]].concat();
    let signed = world.sign("sigv4", "/orders/tea", "1 pot", &key);
    assert_eq!(world.status(&signed), 401);
    let mut signed = world.sign("sigv4", "/drops/tea", "1 pot", &key);
    let mut other = signed.clone();
    other.target = "/drops/tee".to_owned();
    assert_eq!(world.status(&other), 401);
    signed.body = "another pot".to_owned();
    assert_eq!(world.status(&signed), 200);
    assert_eq!(world.status(&signed), 401, "a second time");

    let both = [
        &["sign", "sigv4", "http://a.example/"],
        &key[..],
        &["--presign", "1m"],
    ]
    .concat();
    let refused = world.node.place().run(&both).unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn http_signatures_pass_with_a_shared_secret_and_with_each_kind_of_key_pair() {
    let world = World::new();
    let pair = |algorithm| Some(key_pair(algorithm));
    for (what, pair) in [
        ("hmac-sha256", None),
        ("ed25519", pair(Algorithm::EdDSA)),
        ("ecdsa-p256-sha256", pair(Algorithm::ES256)),
        ("rsa-pss-sha512", pair(Algorithm::PS512)),
    ] {
        let public = pair
            .as_ref()
            .map(|(_, public)| world.file(&format!("{what}.jwk"), public));
        let made = world.signing_key("http_signature", public.as_deref());
        let id = made["credential"]["signing"]["key_id"].as_str().unwrap();
        let secret = match &pair {
            Some((private, _)) => private,
            None => made["secret"].as_str().unwrap(),
        };
        let file = world.file(what, secret);
        let sign = |path: &str, body: &str, more: &[&str]| {
            let more = [&["--key-id", id, "--secret-file", &file], more].concat();
            world.sign("http-signature", path, body, &more)
        };
        world.passes_once(what, &sign("/orders/tea?n=1", "", &[]));
        world.passes_once(what, &sign("/orders/tea", "1 pot", &["--tag", "orders"]));
        world.refuses_another_body(what, sign("/orders/tea", "1 pot", &[]));

        // A field that was covered besides may not change either.
        let field = ["-H", "x-shop: west", "--cover", "x-shop"];
        let covered = sign("/orders/tea", "", &field);
        let mut other = covered.clone();
        for (name, value) in &mut other.headers {
            if name == "x-shop" {
                "wesd".clone_into(value);
            }
        }
        assert_eq!(world.status(&other), 401, "{what}, a covered field");
        assert_eq!(world.status(&covered), 200, "{what}");

        // The end that the signer set, before the one that every signature has.
        let at = ago(60);
        let live = |more: &[&str]| {
            let more = [&["--at", &at], more].concat();
            world.status(&sign("/orders/tea", "", &more))
        };
        assert_eq!(live(&["--expires", "30s"]), 401, "{what}");
        assert_eq!(live(&["--expires", "4m"]), 200, "{what}");
        assert_eq!(live(&[]), 200, "{what}");
    }
}

#[test]
fn dpop_proofs_pass_with_each_kind_of_key_at_the_issuer_and_at_the_gateway() {
    let world = World::new();
    let secret = client_secret(&world.node);
    let pair = proof::base64std::encode(format!("backend:{secret}").as_bytes());
    let authorization = format!("Basic {pair}");
    let endpoint = format!("http://{}/oauth/token", world.node.issuer());
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256] {
        let file = world.file("dpop.key", &key_pair(algorithm).0);
        let ask = |more: &[&str]| {
            let more = [&["-X", "POST", "--private-key-file", &file], more].concat();
            let signed = world.sign_url("dpop", &endpoint, "", &more);
            let mut fields = vec![
                ("authorization", authorization.as_str()),
                ("content-type", "application/x-www-form-urlencoded"),
            ];
            for (name, value) in &signed.headers {
                fields.push((name, value));
            }
            let body = b"grant_type=client_credentials";
            wire::call(world.node.issuer(), "POST", &signed.target, &fields, body).unwrap()
        };
        let first = ask(&[]);
        assert_eq!(first.json()["error"], json!("use_dpop_nonce"));
        let nonce = first.header("dpop-nonce").unwrap();
        let answer = ask(&["--nonce", nonce]);
        assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
        assert_eq!(answer.json()["token_type"], json!("DPoP"), "{algorithm}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();

        let token = world.file("token", &token);
        let proved = |path: &str, more: &[&str]| {
            let key = ["--private-key-file", &file, "--access-token-file", &token];
            world.sign("dpop", path, "", &[&key[..], more].concat())
        };
        world.passes_once(algorithm.name(), &proved("/orders/tea", &[]));
        let old = ago(180);
        assert_eq!(world.status(&proved("/orders/tea", &["--at", &old])), 401);
        // Another key's proof of the same token.
        let stranger = world.file("stranger.key", &key_pair(algorithm).0);
        let key = [
            "--private-key-file",
            &stranger,
            "--access-token-file",
            &token,
        ];
        assert_eq!(
            world.status(&world.sign("dpop", "/orders/tea", "", &key)),
            401
        );
    }
}
