//! The examples of RFC 7520, the JOSE cookbook: what is of our algorithms and in the compact form
//! verifies; everything else is refused, each with the defect that says why.

use proof::jose::alg::Algorithm;
use proof::jose::jwe;
use proof::jose::jwk::{Jwk, JwkDefect};
use proof::jose::jws::{self, JwsDefect};
use proof::jose::verifying::VerifyingKey;
use serde_json::Value;

fn vectors() -> Value {
    let text = include_str!("../../../../vectors/jose/rfc7520.json");
    serde_json::from_str(text).expect("the vectors are read")
}

fn list<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    file[name].as_array().expect("a list")
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect("a text")
}

/// The key of a section, for one algorithm.
fn key(file: &Value, section: &str, alg: Algorithm) -> VerifyingKey {
    let found = list(file, "keys")
        .iter()
        .find(|key| key["section"] == section);
    let jwk = found.expect("the section")["jwk"].to_string();
    let jwk = Jwk::parse_public(jwk.as_bytes()).expect("a public key");
    VerifyingKey::new(&jwk, alg).expect("it fits")
}

#[test]
fn the_keys_of_section_3_are_public_rsa_or_refused() {
    let file = vectors();
    let refused = |case: &Value| {
        let read = Jwk::parse_public(case["jwk"].to_string().as_bytes());
        read.err().map(|defect: JwkDefect| defect.code())
    };
    let mut count = 0;
    for case in list(&file, "keys") {
        assert_eq!(
            refused(case),
            case["refused"].as_str(),
            "{}",
            case["section"]
        );
        count += 1;
    }
    assert_eq!(count, 7);
}

#[test]
fn signatures_of_sections_4_and_6_verify_and_with_another_letter_they_do_not() {
    let file = vectors();
    let mut algorithms = Vec::new();
    for case in list(&file, "verified") {
        let section = text(case, "section");
        let alg = Algorithm::from_name(text(case, "alg")).expect("one of ours");
        let key = key(&file, text(case, "key"), alg);
        let token = text(case, "jws");
        let payload = jws::split(token.as_bytes())
            .and_then(|read| read.verify(&key))
            .unwrap_or_else(|defect| panic!("{section}: {defect}"));
        assert_eq!(
            payload.bytes(),
            text(case, "payload").as_bytes(),
            "{section}"
        );

        // Another letter in the payload, and in the signature.
        for dot in [token.find('.'), token.rfind('.')] {
            let mut other = token.as_bytes().to_vec();
            other[dot.expect("a part") + 1] ^= 1;
            let refused = jws::split(&other).and_then(|read| read.verify(&key).map(|_| ()));
            assert_eq!(refused, Err(JwsDefect::BadSignature), "{section}");
        }
        // The same key for every other algorithm of RSA.
        for other in Algorithm::ALL {
            if other != alg && other.family() == alg.family() {
                let key = self::key(&file, text(case, "key"), other);
                let refused = jws::split(token.as_bytes()).and_then(|read| read.verify(&key));
                assert_eq!(refused.err(), Some(JwsDefect::WrongAlgorithm), "{section}");
            }
        }
        algorithms.push(alg.name());
    }
    assert_eq!(algorithms, ["RS256", "PS384", "PS256"]);
}

#[test]
fn c01_what_section_4_signs_otherwise_is_refused_by_its_defect() {
    let file = vectors();
    let key = key(&file, "3.3", Algorithm::RS256);
    for case in list(&file, "refused_jws") {
        let refused = jws::split(text(case, "text").as_bytes()).and_then(|read| read.verify(&key));
        let code = refused.err().map(JwsDefect::code);
        assert_eq!(code, case["refused"].as_str(), "{}", case["section"]);
    }
    assert_eq!(list(&file, "refused_jws").len(), 16);
}

/// Not one of them is `RSA-OAEP-256` or `ECDH-ES` with a GCM cipher.
#[test]
fn c01_what_sections_5_and_6_encrypt_is_refused_by_its_defect() {
    let file = vectors();
    for case in list(&file, "refused_jwe") {
        let refused = jwe::split(text(case, "text").as_bytes()).map(|_| ());
        let code = refused.err().map(|defect| defect.code());
        assert_eq!(code, case["refused"].as_str(), "{}", case["section"]);
    }
    assert_eq!(list(&file, "refused_jwe").len(), 32);
}
