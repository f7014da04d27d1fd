//! **Encrypted tokens**: a partner signs tokens and encrypts them to an API's key, which the running
//! program reads from a file; the key is replaced without a restart.

use core::time::Duration;
use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proof::base64std;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{ContentEncryption, DecryptionKey};
use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::json;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::upstream::Upstream;

const SETTINGS: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: partner }
    spec: { issuer: 'https://partner.example', jwks: @JWKS@ }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      issuers: [partner]
      credentials: [jwt]
      token_encryption: { key_files: [@FILES@] }
      scopes: { "orders:read": See orders }
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
"#;

/// A key in a file of the node's place, replaced at once as a rotation does it.
pub(crate) fn write(place: &Path, file: &str, key: &SigningKey) -> DecryptionKey {
    let der = key.to_pkcs8().unwrap();
    let text = base64std::encode(der.expose());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    fs::write(place.join("new"), pem).unwrap();
    fs::rename(place.join("new"), place.join(file)).unwrap();
    DecryptionKey::from_pkcs8(&der).unwrap()
}

/// A good token of the partner, signed and not encrypted.
fn signed(partner: &SigningKey, id: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_secs();
    let claims = json!({
        "iss": "https://partner.example", "aud": "https://orders.example", "sub": "batch",
        "scope": "orders:read", "iat": now, "exp": now + 300, "jti": id,
    });
    jws::sign(partner, "at+jwt", &claims.to_string())
}

fn encrypted(key: &DecryptionKey, jwt: &str) -> String {
    let cipher = ContentEncryption::A256Gcm;
    key.public().encrypt(jwt, "at+jwt", cipher).unwrap()
}

fn status(node: &Doorward, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    node.get("/orders", &headers).unwrap().status
}

fn becomes(node: &Doorward, token: &str, expected: u16) {
    let begun = Instant::now();
    while status(node, token) != expected {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "not {expected} in time: {}",
            node.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn tokens_come_encrypted_and_the_key_is_replaced_without_a_restart() {
    let partner = SigningKey::generate(Algorithm::ES256).unwrap();
    let generate = |algorithm| SigningKey::generate(algorithm).unwrap();
    let place = Place::new().unwrap();
    let first = write(place.path(), "first.pem", &generate(Algorithm::ES256));
    let second = write(place.path(), "second.pem", &generate(Algorithm::RS256));
    let upstream = Upstream::start().unwrap();
    let jwks = json!({ "keys": [partner.public_jwk().to_json()] });
    let settings = |files: &str| {
        format!("{BASE}{SETTINGS}")
            .replace("@JWKS@", &jwks.to_string())
            .replace("@UPSTREAM@", &upstream.url())
            .replace("@FILES@", files)
    };
    let node = place.start(&settings("first.pem, second.pem")).unwrap();
    let plain = signed(&partner, "1");
    let [by_first, by_second] = [&first, &second].map(|key| encrypted(key, &plain));
    for token in [&by_first, &by_second] {
        assert_eq!(status(&node, token), 200, "{}", node.log());
        assert_eq!(status(&node, token), 200, "known");
        let mut bad = token.clone();
        bad.insert(bad.len() - 8, 'A');
        assert_eq!(status(&node, &bad), 401);
    }
    assert_eq!(status(&node, &plain), 401, "not encrypted");
    let forged = signed(&generate(Algorithm::ES256), "2");
    assert_eq!(status(&node, &encrypted(&first, &forged)), 401);

    // A new key in the same file: the old one opens nothing from then on, not even what is known.
    let replaced = write(
        node.place().path(),
        "first.pem",
        &generate(Algorithm::ES256),
    );
    let fresh = encrypted(&replaced, &signed(&partner, "3"));
    becomes(&node, &fresh, 200);
    assert_eq!(status(&node, &by_first), 401);
    assert_eq!(status(&node, &by_second), 200);

    // A file that holds no key changes nothing.
    fs::write(node.place().path().join("second.pem"), "no key").unwrap();
    let begun = Instant::now();
    while !node.log().contains("is no key that opens tokens") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status(&node, &by_second), 200);
    assert_eq!(status(&node, &fresh), 200);

    // Where it is only offered, both pass.
    let offered = settings("first.pem").replace("[first.pem]", "[first.pem], required: false");
    node.place().write_settings(&offered).unwrap();
    becomes(&node, &plain, 200);
    assert_eq!(status(&node, &fresh), 200);
    assert_eq!(status(&node, &by_second), 401);

    // Whoever writes documents over the admin API borrows no key of the machine.
    let (code, answer) = node
        .admin_call(
            "PUT",
            "/v1/apis/theirs",
            Some(&json!({ "spec": {
                "base_path": "/theirs", "upstream": { "urls": [upstream.url()] },
                "issuers": ["partner"], "credentials": ["jwt"],
                "token_encryption": { "key_files": ["first.pem"] },
                "scopes": { "a": "A" },
                "routes": [{ "path": "/a", "methods": ["GET"], "scopes": ["a"] }],
            } })),
        )
        .unwrap();
    assert!(code >= 400, "{answer}");
    assert!(
        answer.to_string().contains("files of the machine"),
        "{answer}"
    );
}
