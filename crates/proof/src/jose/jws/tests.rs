use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    digest::hmac_sha256,
    jose::{alg::Algorithm, jwk::Jwk},
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../../vectors/jose/rfc.json")).unwrap()
}

fn key(alg: Algorithm) -> (SigningKey, VerifyingKey) {
    let signing = SigningKey::generate(alg).unwrap();
    let verifying = signing.verifying_key().unwrap();
    (signing, verifying)
}

/// A token with a header of the test's choice, signed by `sign`.
fn forge(header: &Value, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.to_string().as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = base64url::encode(&sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn verify(token: &str, key: &VerifyingKey) -> Result<Payload, JwsDefect> {
    split(token.as_bytes())?.verify(key)
}

#[test]
fn published_signatures_verify() {
    for vector in vectors()["signatures"].as_array().unwrap() {
        let source = &vector["source"];
        let jwk = Jwk::parse_public(vector["jwk"].to_string().as_bytes()).unwrap();
        let alg = Algorithm::from_name(vector["alg"].as_str().unwrap()).unwrap();
        let keys = jwk.verifying_keys(&[alg]).unwrap();
        let token = vector["jws"].as_str().unwrap();
        let payload = verify(token, &keys[0]).unwrap();
        assert_eq!(
            payload.bytes(),
            vector["payload"].as_str().unwrap().as_bytes(),
            "{source}"
        );

        let mut tampered = token.to_owned().into_bytes();
        let dot = token.find('.').unwrap();
        tampered[dot + 1] ^= 1;
        let tampered = String::from_utf8(tampered).unwrap();
        assert_eq!(
            verify(&tampered, &keys[0]).map(|_| ()),
            Err(JwsDefect::BadSignature),
            "{source}"
        );
    }
}

#[test]
fn every_algorithm_signs_and_verifies() {
    for alg in Algorithm::ALL {
        let (signing, verifying) = key(alg);
        let token = sign(&signing, "at+jwt", r#"{"sub":"x"}"#);
        let unverified = split(token.as_bytes()).unwrap();
        assert_eq!(unverified.alg_name(), alg.name());
        assert_eq!(unverified.kid(), Some(signing.kid()));
        let payload = unverified.verify(&verifying).unwrap();
        assert_eq!(payload.bytes(), br#"{"sub":"x"}"#, "{alg}");
        assert_eq!(payload.typ(), Some("at+jwt"));
        let (_, other) = key(alg);
        assert_eq!(
            unverified.verify(&other).map(|_| ()),
            Err(JwsDefect::BadSignature),
            "{alg}"
        );
    }
}

#[test]
fn a_token_may_call_eddsa_by_its_newer_name() {
    let (signing, verifying) = key(Algorithm::EdDSA);
    let header = json!({"alg": "Ed25519", "kid": signing.kid()});
    let token = forge(&header, "{}", |input| signing.sign(input));
    assert!(verify(&token, &verifying).is_ok());
    let (_, other) = key(Algorithm::ES256);
    assert_eq!(
        verify(&token, &other).map(|_| ()),
        Err(JwsDefect::WrongAlgorithm)
    );
}

#[test]
fn c01_tokens_without_a_signature_are_refused() {
    let (signing, verifying) = key(Algorithm::ES256);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": alg, "kid": signing.kid(), "typ": "at+jwt"});
        for signature in [Vec::new(), signing.sign(b"something else"), vec![0; 64]] {
            let token = forge(&header, "{}", |_| signature.clone());
            assert_eq!(
                verify(&token, &verifying).map(|_| ()),
                Err(JwsDefect::WrongAlgorithm),
                "{alg:?}"
            );
        }
    }
    for vector in vectors()["refused"].as_array().unwrap() {
        let token = vector["jws"].as_str().unwrap();
        assert_eq!(
            verify(token, &verifying).map(|_| ()),
            Err(JwsDefect::WrongAlgorithm)
        );
    }
}

#[test]
fn c01_an_hmac_keyed_with_the_public_key_is_refused() {
    for alg in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let (signing, verifying) = key(alg);
        let jwk = signing.public_jwk().to_json().to_string();
        let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
        for hmac_key in [
            jwk.as_str(),
            pem,
            &format!(" \n{pem}"),
            &format!("\t{jwk}"),
            "",
        ] {
            for named in ["HS256", "HS384", "HS512", alg.name()] {
                let header = json!({"alg": named, "kid": signing.kid()});
                let token = forge(&header, "{}", |input| {
                    hmac_sha256(hmac_key.as_bytes(), input).to_vec()
                });
                let wanted = if named == alg.name() {
                    JwsDefect::BadSignature
                } else {
                    JwsDefect::WrongAlgorithm
                };
                assert_eq!(
                    verify(&token, &verifying).map(|_| ()),
                    Err(wanted),
                    "{named} against {alg}"
                );
            }
        }
    }
}

#[test]
fn c01_the_algorithm_comes_from_the_key_and_not_from_the_token() {
    // One RSA key pair, published for RS256 only: PS256 by the same private key is refused.
    let (rs256, verifying) = key(Algorithm::RS256);
    let ps256 = SigningKey::from_pkcs8(Algorithm::PS256, &rs256.to_pkcs8().unwrap()).unwrap();
    let honest = json!({"alg": "PS256", "kid": rs256.kid()});
    let lying = json!({"alg": "RS256", "kid": rs256.kid()});
    let with_ps256 = |header: &Value| forge(header, "{}", |input| ps256.sign(input));
    assert_eq!(
        verify(&with_ps256(&honest), &verifying).map(|_| ()),
        Err(JwsDefect::WrongAlgorithm)
    );
    assert_eq!(
        verify(&with_ps256(&lying), &verifying).map(|_| ()),
        Err(JwsDefect::BadSignature)
    );
}

#[test]
fn c01_a_kid_of_a_key_for_another_algorithm_does_not_verify() {
    let (attacker, _) = key(Algorithm::EdDSA);
    let (_, verifying) = key(Algorithm::ES256);
    let header = json!({"alg": "EdDSA", "kid": verifying.kid()});
    let token = forge(&header, "{}", |input| attacker.sign(input));
    assert_eq!(
        verify(&token, &verifying).map(|_| ()),
        Err(JwsDefect::WrongAlgorithm)
    );
}

#[test]
fn c02_a_key_inside_the_token_is_noticed_and_never_used() {
    let (attacker, attackers_key) = key(Algorithm::ES256);
    let (_, verifying) = key(Algorithm::ES256);
    for (name, value) in [
        ("jwk", attacker.public_jwk().to_json()),
        ("jku", json!("https://attacker.example/jwks")),
        ("x5u", json!("https://attacker.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({"alg": "ES256", "kid": verifying.kid(), name: value});
        let token = forge(&header, "{}", |input| attacker.sign(input));
        let unverified = split(token.as_bytes()).unwrap();
        assert!(unverified.brings_key(), "{name}");
        assert!(
            unverified.verify(&attackers_key).is_ok(),
            "the forgery itself is sound"
        );
        assert_eq!(
            unverified.verify(&verifying).map(|_| ()),
            Err(JwsDefect::BadSignature),
            "{name}"
        );
    }
    let plain = sign(&attacker, "JWT", "{}");
    assert!(!split(plain.as_bytes()).unwrap().brings_key());
}

#[test]
fn c02_header_extensions_are_refused() {
    let (signing, _) = key(Algorithm::ES256);
    for (header, defect) in [
        (
            json!({"alg": "ES256", "crit": ["exp"], "exp": 1}),
            JwsDefect::CriticalHeader,
        ),
        (
            json!({"alg": "ES256", "crit": []}),
            JwsDefect::CriticalHeader,
        ),
        (
            json!({"alg": "ES256", "crit": null}),
            JwsDefect::CriticalHeader,
        ),
        (
            json!({"alg": "ES256", "crit": ["b64"], "b64": false}),
            JwsDefect::CriticalHeader,
        ),
        (
            json!({"alg": "ES256", "b64": false}),
            JwsDefect::UnencodedPayload,
        ),
        (
            json!({"alg": "ES256", "b64": true}),
            JwsDefect::UnencodedPayload,
        ),
    ] {
        let token = forge(&header, "{}", |input| signing.sign(input));
        assert_eq!(split(token.as_bytes()).map(|_| ()), Err(defect), "{header}");
    }
}

#[test]
fn c03_header_members_of_the_wrong_type_are_refused() {
    for header in [
        json!({}),
        json!({"alg": null}),
        json!({"alg": ["ES256"]}),
        json!({"alg": 1}),
        json!({"Alg": "ES256"}),
        json!({"alg": "ES256", "kid": 7}),
        json!({"alg": "ES256", "kid": null}),
        json!({"alg": "ES256", "typ": ["at+jwt"]}),
        json!({"alg": "ES256", "cty": {}}),
    ] {
        let token = forge(&header, "{}", |_| vec![0; 64]);
        assert_eq!(
            split(token.as_bytes()).map(|_| ()),
            Err(JwsDefect::HeaderMember),
            "{header}"
        );
    }
    let twice = base64url::encode(br#"{"alg":"ES256","alg":"none"}"#);
    assert_eq!(
        split(format!("{twice}.e30.AA").as_bytes()).map(|_| ()),
        Err(JwsDefect::HeaderJson(JsonDefect::DuplicateMember))
    );
}

#[test]
fn c05_size_and_parts_are_bounded_before_any_decoding() {
    let header = base64url::encode(br#"{"alg":"ES256"}"#);
    for (token, defect) in [
        ("!".repeat(MAX_TOKEN_BYTES + 1), JwsDefect::TooLong),
        (
            format!("{}.!.!", "!".repeat(MAX_HEADER_BYTES + 1)),
            JwsDefect::HeaderTooLong,
        ),
        (String::new(), JwsDefect::NotThreeParts),
        ("!".into(), JwsDefect::NotThreeParts),
        ("!.!".into(), JwsDefect::NotThreeParts),
        ("!.!.!.!".into(), JwsDefect::NotThreeParts),
        ("!.!.!.!.!".into(), JwsDefect::NotThreeParts),
        (".".repeat(MAX_TOKEN_BYTES), JwsDefect::NotThreeParts),
        ("..".into(), JwsDefect::HeaderJson(JsonDefect::Syntax)),
        ("!.e30.AA".into(), JwsDefect::NotBase64url),
        (format!("{header}.!.AA"), JwsDefect::NotBase64url),
        (format!("{header}.e30.AA=="), JwsDefect::NotBase64url),
        (format!("{header}.e30.AB"), JwsDefect::NotBase64url),
        (format!(" {header}.e30.AA"), JwsDefect::NotBase64url),
        (format!("{header}.e30.AA\n"), JwsDefect::NotBase64url),
        (
            format!("{}.e30.AA", base64url::encode(b"[]")),
            JwsDefect::HeaderJson(JsonDefect::NotAnObject),
        ),
    ] {
        assert_eq!(
            split(token.as_bytes()).map(|_| ()),
            Err(defect),
            "{token:.40}"
        );
    }
    assert!(split(format!("{header}.e30.AA").as_bytes()).is_ok());
}

#[test]
fn c05_degenerate_and_reencoded_ecdsa_signatures_are_refused() {
    /// The order of P-256 (SP 800-186 §3.2.1.3).
    const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let n = crate::digest::unhex(N).unwrap();
    let (signing, verifying) = key(Algorithm::ES256);
    let header = json!({"alg": "ES256", "kid": signing.kid()});
    let zero = vec![0; 32];
    let one = [vec![0; 31], vec![1]].concat();
    let (r, s) = {
        let good = signing.sign(b"x");
        (good[..32].to_vec(), good[32..].to_vec())
    };
    for signature in [
        [&zero[..], &zero].concat(),
        [&zero[..], &s].concat(),
        [&r[..], &zero].concat(),
        [&n[..], &s].concat(),
        [&r[..], &n].concat(),
        [&n[..], &n].concat(),
        [&one[..], &one].concat(),
        vec![0xff; 64],
        Vec::new(),
    ] {
        let token = forge(&header, "{}", |_| signature.clone());
        assert_eq!(
            verify(&token, &verifying).map(|_| ()),
            Err(JwsDefect::BadSignature),
            "{signature:x?}"
        );
    }
    // A true signature in another shape: one byte more or less in front, and DER.
    type Reshape = fn(&[u8]) -> Vec<u8>;
    let reshape: [Reshape; 4] = [
        |raw| [&[0], raw].concat(),
        |raw| [raw, &[0]].concat(),
        |raw| raw[..63].to_vec(),
        |raw| {
            let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
            [vec![0x30, 70], integer(&raw[..32]), integer(&raw[32..])].concat()
        },
    ];
    assert!(
        verify(
            &forge(&header, "{}", |input| signing.sign(input)),
            &verifying
        )
        .is_ok()
    );
    for shape in reshape {
        let token = forge(&header, "{}", |input| shape(&signing.sign(input)));
        assert_eq!(
            verify(&token, &verifying).map(|_| ()),
            Err(JwsDefect::BadSignature)
        );
    }
}

#[test]
fn i01_a_tokens_content_is_not_printed() {
    let (signing, verifying) = key(Algorithm::ES256);
    let token = sign(&signing, "at+jwt", r#"{"sub":"somebody"}"#);
    let unverified = split(token.as_bytes()).unwrap();
    let printed = format!(
        "{unverified:?} {:?}",
        unverified.verify(&verifying).unwrap()
    );
    assert!(!printed.contains("somebody") && !printed.contains(token.rsplit('.').next().unwrap()));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, text in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(split(&bytes).is_err());
        let _ = split(text.as_bytes()).is_ok();
    }
}
