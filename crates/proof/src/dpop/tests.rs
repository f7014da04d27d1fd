use serde_json::json;

use super::*;
use crate::{digest::hmac_sha256, jose::key::SigningKey};

const NOW: i64 = 1_800_000_000;
const URI: &str = "https://api.example/orders/7";
const TOKEN: &[u8] = b"the.access.token";

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn expect() -> ProofExpect<'static> {
    ProofExpect {
        method: "GET",
        uri: URI,
        access_token: Some(TOKEN),
        max_age: MAX_AGE,
        leeway: Leeway::default(),
    }
}

fn header(key: &SigningKey) -> Value {
    json!({"typ": TYPE, "alg": key.alg().name(), "jwk": bare(key)})
}

/// The public key with its required members only, as RFC 9449's examples have it.
fn bare(key: &SigningKey) -> Value {
    let mut jwk = key.public_jwk().to_json();
    let members = jwk.as_object_mut().unwrap();
    for extra in ["use", "kid", "alg"] {
        members.remove(extra);
    }
    jwk
}

fn claims() -> Value {
    json!({
        "jti": "one",
        "htm": "GET",
        "htu": URI,
        "iat": NOW,
        "ath": base64url::encode(&sha256(TOKEN)),
    })
}

fn sign(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = base64url::encode(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn judge(key: &SigningKey, header: &Value, claims: &Value) -> Result<Proof, ProofDefect> {
    let proof = sign(key, &header.to_string(), &claims.to_string());
    verify(proof.as_bytes(), &expect(), now())
}

/// `claims` with one member set, or removed by null.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), value);
    }
    object
}

#[test]
fn the_published_proof_verifies() {
    // RFC 9449 §4.1, figure 2 (the proof), §7.1 (thumbprint in §6.1's example).
    let proof = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMz",
        "R0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqS",
        "G10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHR",
        "tIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNj",
        "E2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZ",
        "T3Lg"
    );
    let expect = ProofExpect {
        method: "POST",
        uri: "https://server.example.com/token",
        access_token: None,
        max_age: MAX_AGE,
        leeway: Leeway::default(),
    };
    let proof = verify(
        proof.as_bytes(),
        &expect,
        Timestamp::from_secs(1_562_262_616),
    )
    .unwrap();
    assert_eq!(
        proof.thumbprint,
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
    assert_eq!(proof.jti, "-BwC3ESc6acc2lTc");
    assert_eq!(proof.nonce, None);
}

#[test]
fn each_accepted_algorithm_proves_its_key() {
    for alg in ALGORITHMS {
        let key = SigningKey::generate(alg).unwrap();
        let claims = with(claims(), "nonce", json!("n"));
        let proof = judge(&key, &header(&key), &claims).unwrap();
        assert_eq!(proof.thumbprint, key.kid(), "{alg}");
        assert_eq!(proof.nonce.as_deref(), Some("n"));
        assert_eq!(proof.issued_at, now());
    }
    let mut named: Vec<_> = ALGORITHM_NAMES
        .split(' ')
        .map(|name| Algorithm::from_name(name).unwrap())
        .collect();
    named.dedup();
    assert_eq!(named, ALGORITHMS);
}

#[test]
fn c01_other_algorithms_are_refused_whatever_they_sign_with() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for alg in ["none", "HS256", "ES384", "PS384", "RS512", "es256", ""] {
        let head = with(header(&key), "alg", json!(alg));
        assert_eq!(
            judge(&key, &head, &claims()),
            Err(ProofDefect::Algorithm),
            "{alg}"
        );
    }
    // The public key as an HMAC secret.
    let head = with(header(&key), "alg", json!("HS256")).to_string();
    let input = format!(
        "{}.{}",
        base64url::encode(head.as_bytes()),
        base64url::encode(claims().to_string().as_bytes())
    );
    let tag = hmac_sha256(bare(&key).to_string().as_bytes(), input.as_bytes());
    let forged = format!("{input}.{}", base64url::encode(&tag));
    assert_eq!(
        verify(forged.as_bytes(), &expect(), now()),
        Err(ProofDefect::Algorithm)
    );
    // A key of another family than the algorithm's, and one that says it is for another.
    let head = with(header(&key), "alg", json!("PS256"));
    assert_eq!(
        judge(&key, &head, &claims()),
        Err(ProofDefect::Key(JwkDefect::Algorithm))
    );
    let jwk = with(bare(&key), "alg", json!("ES384"));
    assert!(matches!(
        judge(&key, &with(header(&key), "jwk", jwk), &claims()),
        Err(ProofDefect::Key(_))
    ));
}

#[test]
fn d02_a_private_or_unusable_key_is_refused() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let jwk = with(bare(&key), member, json!("AAAA"));
        assert_eq!(
            judge(&key, &with(header(&key), "jwk", jwk), &claims()),
            Err(ProofDefect::Key(JwkDefect::PrivateMember)),
            "{member}"
        );
    }
    for jwk in [json!(null), json!("x"), json!([bare(&key)])] {
        assert_eq!(
            judge(&key, &with(header(&key), "jwk", jwk), &claims()),
            Err(ProofDefect::NoKey)
        );
    }
    for (member, value) in [
        ("kty", json!("oct")),
        ("kty", json!(null)),
        ("crv", json!("P-521")),
        ("x", json!("AAAA")),
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
    ] {
        let jwk = with(bare(&key), member, value);
        assert!(
            matches!(
                judge(&key, &with(header(&key), "jwk", jwk), &claims()),
                Err(ProofDefect::Key(_))
            ),
            "{member}"
        );
    }
}

#[test]
fn d01_a_proof_under_another_key_than_it_names_is_refused() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(
        judge(&other, &header(&key), &claims()),
        Err(ProofDefect::Jws(JwsDefect::BadSignature))
    );
}

#[test]
fn c04_only_the_exact_type_is_a_proof() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for typ in [
        json!(null),
        json!("JWT"),
        json!("at+jwt"),
        json!("DPoP+JWT"),
        json!("application/dpop+jwt"),
        json!("dpop+jwt "),
    ] {
        let head = with(header(&key), "typ", typ.clone());
        assert_eq!(
            judge(&key, &head, &claims()),
            Err(ProofDefect::WrongType),
            "{typ}"
        );
    }
}

#[test]
fn d02_each_defect_of_the_claims_is_found() {
    use ProofDefect::{Claim, InFuture, Stale, WrongMethod, WrongToken, WrongUri};
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let long = "j".repeat(MAX_JTI_BYTES + 1);
    for (name, value, defect) in [
        ("jti", json!(null), Claim("jti")),
        ("jti", json!(""), Claim("jti")),
        ("jti", json!(long), Claim("jti")),
        ("htm", json!(null), Claim("htm")),
        ("htm", json!(7), Claim("htm")),
        ("htm", json!("POST"), WrongMethod),
        ("htm", json!("get"), WrongMethod),
        ("htu", json!(null), Claim("htu")),
        ("htu", json!([URI]), Claim("htu")),
        ("htu", json!("/orders/7"), Claim("htu")),
        (
            "htu",
            json!("https://api.example@evil/orders/7"),
            Claim("htu"),
        ),
        ("htu", json!("https://api.example/orders/8"), WrongUri),
        ("htu", json!("https://api.example/orders/7/"), WrongUri),
        ("htu", json!("https://api.example/Orders/7"), WrongUri),
        ("htu", json!("http://api.example/orders/7"), WrongUri),
        ("htu", json!("https://api.example:8443/orders/7"), WrongUri),
        ("htu", json!("https://evil.example/orders/7"), WrongUri),
        ("iat", json!(null), Claim("iat")),
        ("iat", json!(NOW - 121), Stale),
        ("iat", json!(NOW + 61), InFuture),
        ("exp", json!(NOW - 61), Stale),
        ("nbf", json!(NOW + 61), InFuture),
        ("ath", json!(null), Claim("ath")),
        ("ath", json!(7), Claim("ath")),
        (
            "ath",
            json!(base64url::encode(&sha256(b"another"))),
            WrongToken,
        ),
        ("ath", json!(""), WrongToken),
        ("nonce", json!(7), Claim("nonce")),
        (
            "nonce",
            json!("n".repeat(MAX_NONCE_BYTES + 1)),
            Claim("nonce"),
        ),
    ] {
        let case = format!("{name} = {value}");
        assert_eq!(
            judge(&key, &header(&key), &with(claims(), name, value)),
            Err(defect),
            "{case}"
        );
    }
    for iat in [json!("1800000000"), json!(1_800_000_000.5), json!(-1)] {
        assert!(matches!(
            judge(&key, &header(&key), &with(claims(), "iat", iat)),
            Err(ProofDefect::Claims(_))
        ));
    }
}

#[test]
fn c14_clocks_may_differ_by_the_leeway_on_both_sides() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for (iat, taken) in [
        (NOW - 121, false),
        (NOW - 119, true),
        (NOW + 59, true),
        (NOW + 61, false),
    ] {
        let judged = judge(&key, &header(&key), &with(claims(), "iat", json!(iat)));
        assert_eq!(judged.is_ok(), taken, "{iat}");
        if let Ok(proof) = judged {
            let until = replayable_until(&proof, MAX_AGE, Leeway::default());
            assert!(until > now(), "{iat}");
            let again = sign(
                &key,
                &header(&key).to_string(),
                &with(claims(), "iat", json!(iat)).to_string(),
            );
            assert_eq!(
                verify(again.as_bytes(), &expect(), until),
                Err(ProofDefect::Stale),
                "a forgotten id must belong to a proof that is too old"
            );
        }
    }
}

#[test]
fn addresses_compare_after_their_host_and_port_are_normal() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for htu in [
        "HTTPS://API.Example/orders/7",
        "https://api.example:443/orders/7",
        "https://api.example:/orders/7",
        "https://api.example/orders/7?x=1",
        "https://api.example/orders/7#f",
        "https://api.example/orders/7?x=https://b/",
    ] {
        assert!(
            judge(&key, &header(&key), &with(claims(), "htu", json!(htu))).is_ok(),
            "{htu}"
        );
    }
    for (a, b) in [
        ("http://a:80", "http://A/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x?y"),
        ("http://[::1]:80/x", "http://[::1]/x"),
    ] {
        assert!(normal_uri(a).is_some());
        assert_eq!(normal_uri(a), normal_uri(b), "{a} {b}");
    }
    for bad in [
        "",
        "a",
        "https:/a",
        "https://",
        "https:///x",
        "ftp://a/",
        "https://a:b/",
        "https://a b/",
        "https://u@a/",
        "https://a:1:2/",
        "https://[::1]x/",
        "https://a\\b/",
        "https://a/\u{e9}",
        "https://a/ x",
        "https://a\n/",
        "//a/x",
        "javascript://a/x",
    ] {
        assert_eq!(normal_uri(bad), None, "{bad:?}");
    }
}

#[test]
fn c03_a_member_named_twice_refuses_in_header_key_and_claims() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let head = header(&key).to_string();
    let body = claims().to_string();
    for (head, body) in [
        (head.replacen('{', r#"{"typ":"dpop+jwt","#, 1), body.clone()),
        (
            head.replacen(r#""kty""#, r#""kty":"EC","kty""#, 1),
            body.clone(),
        ),
        (head.clone(), body.replacen('{', r#"{"htm":"GET","#, 1)),
    ] {
        let proof = sign(&key, &head, &body);
        assert!(
            verify(proof.as_bytes(), &expect(), now()).is_err(),
            "{head} {body}"
        );
    }
    assert!(verify(sign(&key, &head, &body).as_bytes(), &expect(), now()).is_ok());
}

#[test]
fn c02_unknown_extensions_and_oversize_refuse() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for (name, value) in [("crit", json!(["x"])), ("b64", json!(false))] {
        assert!(matches!(
            judge(&key, &with(header(&key), name, value), &claims()),
            Err(ProofDefect::Jws(_))
        ));
    }
    let big = with(claims(), "x", json!("x".repeat(MAX_PROOF_BYTES)));
    assert_eq!(judge(&key, &header(&key), &big), Err(ProofDefect::TooLong));
}

#[test]
fn every_bit_of_a_proof_is_covered() {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let proof = sign(&key, &header(&key).to_string(), &claims().to_string());
    let mut bytes = proof.into_bytes();
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        assert!(verify(&bytes, &expect(), now()).is_err(), "{at}");
        bytes[at] ^= 1;
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, uri: String) {
        proptest::prop_assert!(verify(&bytes, &expect(), now()).is_err());
        let _ = normal_uri(&uri);
    }
}
