//! D6: HTTP message signatures (RFC 9421) whose text is made by hand and truly signed, so that what
//! refuses them is how they are read, and not that they don't verify.

use proof::base64std;
use proof::digest::hmac_sha256;
use proof::random::{SystemEntropy, random_base62};
use serde_json::json;
use testkit::doorward::{BASE, Doorward};
use testkit::tokens::now;
use testkit::upstream::Upstream;

/// A key: its public name and its secret.
type Key = (String, String);

struct World {
    doorward: Doorward,
    upstream: Upstream,
}

impl World {
    fn start() -> Self {
        let upstream = Upstream::start().unwrap();
        let settings = format!(
            "{BASE}resources:\n  - {{ apiVersion: doorward/v1, kind: Application, metadata: {{ name: shop }}, spec: {{ owner: a@example.com, purpose: Tests }} }}\n\
             \x20 - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: a }}\n    spec: {{ upstream: {{ urls: ['{}'] }}, \
             credentials: [http_signature], routes: [{{ path: '/{{rest*}}', methods: [GET] }}] }}\n",
            upstream.url()
        );
        Self {
            doorward: Doorward::start(&settings).unwrap(),
            upstream,
        }
    }

    fn key(&self, scheme: &str) -> Key {
        let wish = json!({
            "application": "shop", "label": scheme, "scheme": scheme, "apis": ["a"], "scopes": [],
        });
        let made = self.doorward.make("POST", "/v1/signing-secrets", &wish);
        let made = made.unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let key_id = text(&made["credential"]["signing"]["key_id"]);
        (key_id, text(&made["secret"]))
    }

    /// The lines of the components that are covered (RFC 9421 §2.5), signed with these parameters.
    fn signature(&self, lines: &[&str], parameters: &str, secret: &str) -> String {
        let mut base = String::new();
        for line in lines {
            let value = match line.trim_matches('"') {
                "@method" => "GET".to_owned(),
                "@authority" => self.doorward.gateway().to_string(),
                "@path" => "/x".to_owned(),
                other => panic!("{other}"),
            };
            base.push_str(&format!("{line}: {value}\n"));
        }
        base.push_str(&format!("\"@signature-params\": {parameters}"));
        base64std::encode(&hmac_sha256(secret.as_bytes(), base.as_bytes()))
    }

    fn sent(&self, input: &str, signature: &str) -> (u16, String) {
        let fields = [("signature-input", input), ("signature", signature)];
        let answer = self.doorward.get("/x", &fields).unwrap();
        (answer.status, answer.code())
    }
}

const ALL: [&str; 3] = ["\"@method\"", "\"@authority\"", "\"@path\""];

/// Defence: `proof/src/httpsig/claim.rs` and `component.rs`; `verdict/src/credential/signed.rs` for
/// keys of another scheme.
#[test]
fn d04_d06_a_true_signature_that_could_be_read_in_two_ways_or_covers_too_little_refuses() {
    let world = World::start();
    let own = world.key("http_signature");
    let (other, hmac) = (world.key("http_signature"), world.key("hmac"));
    let nonce = || random_base62(24, &SystemEntropy);
    let times = || format!("created={}", now());
    // What is signed, with which parameters in the name of whom, by whose secret.
    let call = |lines: &[&str], parameters: &str, key_id: &str, secret: &str| {
        let parameters = format!(
            "({});{parameters};keyid=\"{key_id}\";nonce=\"{}\"",
            lines.join(" "),
            nonce()
        );
        let signature = world.signature(lines, &parameters, secret);
        world.sent(
            &format!("sig1={parameters}"),
            &format!("sig1=:{signature}:"),
        )
    };
    let passes = || assert_eq!(call(&ALL, &times(), &own.0, &own.1).0, 200);
    passes();
    let whole = world.upstream.seen().len();
    let now = now();
    for (what, parameters) in [
        ("no created", "expires=4102444800".to_owned()),
        ("created as a text", format!("created=\"{now}\"")),
        ("created as a fraction", format!("created={now}.5")),
        ("created twice", format!("created={now};created={now}")),
        ("created long ago", format!("created={}", now - 3600)),
        ("created in an hour", format!("created={}", now + 3600)),
        ("ended", format!("created={now};expires={}", now - 120)),
        ("an unknown parameter", format!("created={now};admin")),
        (
            "another algorithm",
            format!("created={now};alg=\"ed25519\""),
        ),
        ("no algorithm", format!("created={now};alg=\"none\"")),
        (
            "two names of keys",
            format!("created={now};keyid=\"{}\"", other.0),
        ),
    ] {
        let (status, code) = call(&ALL, &parameters, &own.0, &own.1);
        assert_eq!((status, &*code), (401, "credential-refused"), "{what}");
    }
    for (what, lines) in [
        ("nothing covered", &[][..]),
        ("without the method", &ALL[1..]),
        ("without the path", &ALL[..2]),
        ("one component twice", &[ALL[0], ALL[1], ALL[2], ALL[2]]),
    ] {
        let (status, code) = call(lines, &times(), &own.0, &own.1);
        assert_eq!((status, &*code), (401, "credential-refused"), "{what}");
    }
    // A key's name beside another one's secret, and a key of another scheme.
    for (what, key_id, secret) in [
        ("another's secret", &own.0, &other.1),
        ("in another's name", &other.0, &own.1),
        ("a key of another scheme", &hmac.0, &hmac.1),
    ] {
        let (status, code) = call(&ALL, &times(), key_id, secret);
        assert_eq!((status, &*code), (401, "credential-refused"), "{what}");
    }
    // Labels: each of two is true by itself.
    let made = |key: &Key| {
        let parameters = format!(
            "({});{};keyid=\"{}\";nonce=\"{}\"",
            ALL.join(" "),
            times(),
            key.0,
            nonce()
        );
        let signature = world.signature(&ALL, &parameters, &key.1);
        (parameters, signature)
    };
    let ((a, by_a), (b, by_b)) = (made(&own), made(&other));
    for (what, input, signature) in [
        (
            "two labels",
            format!("sig1={a}, sig2={b}"),
            format!("sig1=:{by_a}:, sig2=:{by_b}:"),
        ),
        (
            "one label twice",
            format!("sig1={a}, sig1={b}"),
            format!("sig1=:{by_a}:, sig1=:{by_b}:"),
        ),
        (
            "one label twice, the same",
            format!("sig1={a}, sig1={a}"),
            format!("sig1=:{by_a}:"),
        ),
        (
            "another label",
            format!("sig1={a}"),
            format!("sig2=:{by_a}:"),
        ),
        ("no label", a, format!(":{by_a}:")),
    ] {
        let (status, _) = world.sent(&input, &signature);
        assert!(matches!(status, 400 | 401), "{what}: {status}");
    }
    assert_eq!(world.upstream.seen().len(), whole, "none of them got there");
    passes();
}
