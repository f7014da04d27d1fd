use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use proof::digest::{hex, sha256};
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use serde_json::json;

use super::*;

const POLICY: &str = "package orders\nallow if data.orders.open\n";
const DATA: &str = r#"{ "open": true }"#;

fn entry(path: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut head = [0_u8; 512];
    head[..path.len()].copy_from_slice(path.as_bytes());
    head[100..108].copy_from_slice(b"0000644\0");
    head[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
    head[156] = kind;
    head[257..265].copy_from_slice(b"ustar\x0000");
    head[148..156].copy_from_slice(b"        ");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = head.to_vec();
    all.extend_from_slice(body);
    all.resize(all.len().div_ceil(512) * 512, 0);
    all
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).expect("written");
    encoder.finish().expect("ended")
}

fn pack(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, body) in files {
        tar.extend(entry(path, b'0', body.as_bytes()));
    }
    tar.extend([0; 1024]);
    gzip(&tar)
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).expect("a key")
}

/// The signature as `opa sign` makes it.
fn sign(key: &SigningKey, files: &[(&str, &str)], scope: Option<&str>) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|(path, body)| {
            let body = match path.rsplit('/').next() {
                Some("data.json" | ".manifest") => {
                    let value: Value = serde_json::from_str(body).expect("is JSON");
                    value.to_string()
                }
                _ => (*body).to_owned(),
            };
            json!({"name": path, "hash": hex(&sha256(body.as_bytes())), "algorithm": "SHA-256"})
        })
        .collect();
    let claims = json!({"files": files, "scope": scope});
    let token = proof::jose::jws::sign(key, "JWT", &claims.to_string());
    json!({"signatures": [token]}).to_string()
}

fn signed(key: &SigningKey, sealed: &[(&str, &str)], sent: &[(&str, &str)]) -> Vec<u8> {
    let signature = sign(key, sealed, Some("write"));
    let mut files = sent.to_vec();
    files.push((".signatures.json", &signature));
    pack(&files)
}

fn verify(
    packed: &[u8],
    keys: &[&SigningKey],
    scope: Option<&str>,
) -> Result<Bundle, BundleDefect> {
    let keys = JwkSet::new(keys.iter().map(|key| key.public_jwk()).collect());
    read(packed, Some(Verification { keys: &keys, scope }), None)
}

const FILES: [(&str, &str); 3] = [
    (".manifest", r#"{"revision": "7", "roots": ["orders"]}"#),
    ("orders/data.json", DATA),
    ("orders/policy.rego", POLICY),
];

#[test]
fn a_signed_bundle_is_read_and_decides() {
    let key = key();
    let bundle = verify(&signed(&key, &FILES, &FILES), &[&key], Some("write")).expect("reads");
    assert_eq!(bundle.revision.as_deref(), Some("7"));
    assert_eq!(bundle.source.data, json!({"orders": {"open": true}}));
    let version = crate::policy::rego::Version::compile(&bundle.source).expect("compiles");
    let limits = crate::policy::rego::Limits::default();
    assert!(version.decide(&json!({}), limits).allows());
}

#[test]
fn a_bundle_that_is_not_as_it_was_signed_is_refused() {
    let (own, other) = (key(), key());
    let changed = |path: &str, body: &'static str| {
        let mut files = FILES;
        for file in &mut files {
            if file.0 == path {
                file.1 = body;
            }
        }
        signed(&own, &FILES, &files)
    };
    let more = [
        &FILES[..],
        &[("evil.rego", "package orders\nallow := true\n")],
    ]
    .concat();
    for (packed, defect) in [
        (pack(&FILES), BundleDefect::Unsigned),
        (
            changed("orders/policy.rego", "package orders\nallow := true\n"),
            BundleDefect::Changed("orders/policy.rego".to_owned()),
        ),
        (
            changed("orders/data.json", r#"{"open": false}"#),
            BundleDefect::Changed("orders/data.json".to_owned()),
        ),
        (
            signed(&own, &FILES, &more),
            BundleDefect::Changed("evil.rego".to_owned()),
        ),
        (
            signed(&own, &FILES, &FILES[..2]),
            BundleDefect::Changed("orders/policy.rego".to_owned()),
        ),
        (
            signed(&other, &FILES, &FILES),
            BundleDefect::Signature("no key made it"),
        ),
    ] {
        assert_eq!(verify(&packed, &[&own], None), Err(defect));
    }
    let packed = signed(&own, &FILES, &FILES);
    let scope = verify(&packed, &[&own], Some("read"));
    assert_eq!(
        scope,
        Err(BundleDefect::Signature("it is for another scope"))
    );
    // White space in documents is not signed.
    assert!(
        verify(
            &changed("orders/data.json", r#"{"open":true}"#),
            &[&own, &other],
            None
        )
        .is_ok()
    );
}

#[test]
fn a_bundle_speaks_for_its_roots_alone() {
    for (path, body, place) in [
        ("other/data.json", "{\"a\": 1}", "data.other.a"),
        ("other.rego", "package admin\nallow := true\n", "data.admin"),
    ] {
        let files = [&FILES[..], &[(path, body)]].concat();
        let outcome = read(&pack(&files), None, None);
        assert_eq!(outcome, Err(BundleDefect::Roots(place.to_owned())));
    }
}

#[test]
fn what_no_bundle_has_is_refused() {
    let plain = |path: &str| gzip(&entry(path, b'0', b"package a"));
    for packed in [
        plain("../a.rego"),
        plain("a/../../b.rego"),
        plain("a//b.rego"),
        plain("a\\b.rego"),
        gzip(&entry("a.rego", b'2', b"")),
        gzip(&entry("a.rego", b'1', b"")),
        gzip(&entry("a.rego", b'0', b"package a")[..515]),
        gzip(&[entry("a.rego", b'0', b"x"), entry("./a.rego", b'0', b"y")].concat()),
        gzip(&[7; 512]),
    ] {
        let outcome = read(&packed, None, None);
        assert!(matches!(outcome, Err(BundleDefect::Tar(_))), "{outcome:?}");
    }
    assert_eq!(read(b"plain", None, None), Err(BundleDefect::Gzip));
    let bomb = gzip(&vec![0; MAX_UNPACKED + 1]);
    assert_eq!(read(&bomb, None, None), Err(BundleDefect::Gzip));
    for (path, body) in [
        ("patch.json", "{}"),
        (".manifest", r#"{"rego_version": 0}"#),
        ("a/data.yaml", "a: 1"),
    ] {
        let outcome = read(&pack(&[(path, body)]), None, None);
        assert!(matches!(outcome, Err(BundleDefect::Kind(_))), "{outcome:?}");
    }
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let long = format!("orders/{}.rego", "x".repeat(150));
    let value = format!("path={long}\n");
    let length = value.len() + 4;
    let pax = format!("{length} {value}");
    assert_eq!(pax.len(), length);
    for head in [
        entry("PaxHeaders", b'x', pax.as_bytes()),
        entry("././@LongLink", b'L', format!("{long}\0").as_bytes()),
    ] {
        let tar = [head, entry("short", b'0', POLICY.as_bytes())].concat();
        let bundle = read(&gzip(&tar), None, None).expect("reads");
        assert_eq!(bundle.source.modules[0].path, long);
    }
}

#[test]
fn tests_in_a_bundle_do_not_decide() {
    let files = [
        FILES[2],
        ("orders/policy_test.rego", "package orders\nallow := true\n"),
    ];
    let bundle = read(&pack(&files), None, None).expect("reads");
    assert_eq!(bundle.source.modules.len(), 1);
}

#[test]
fn a_bundle_that_opa_built_and_signed_is_read() {
    let packed = include_bytes!("../../../../../../vectors/opa-bundle/orders.tar.gz");
    let pem = include_str!("../../../../../../vectors/opa-bundle/release.pub.pem");
    let jwk = proof::jose::jwk::Jwk::from_spki_pem(pem).expect("a key");
    let read_with = |kid: &str, scope| {
        let keys = JwkSet::new(vec![key().public_jwk(), jwk.clone().with_kid(kid)]);
        read(
            packed,
            Some(Verification {
                keys: &keys,
                scope: Some(scope),
            }),
            None,
        )
    };
    let bundle = read_with("release", "write").expect("reads");
    assert_eq!(bundle.source.data["owners"]["1001"], "ann");
    assert!(read_with("other", "write").is_err());
    assert!(read_with("release", "read").is_err());
}
