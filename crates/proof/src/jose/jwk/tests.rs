use serde_json::json;

use super::*;
use crate::jose::key::SigningKey;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../../vectors/jose/rfc.json")).unwrap()
}

fn parse(jwk: &Value) -> Result<Jwk, JwkDefect> {
    Jwk::parse_public(jwk.to_string().as_bytes())
}

/// A published P-256 key with changes; the word "absent" removes a member.
fn ec(changes: &Value) -> Value {
    let mut jwk = vectors()["signatures"][1]["jwk"].clone();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk.as_object_mut()
        .unwrap()
        .retain(|_, value| value != "absent");
    jwk
}

#[test]
fn published_thumbprints_are_reproduced() {
    for vector in vectors()["thumbprints"].as_array().unwrap() {
        let jwk = parse(&vector["jwk"]).unwrap();
        assert_eq!(
            jwk.thumbprint(),
            vector["thumbprint"],
            "{}",
            vector["source"]
        );
    }
}

#[test]
fn the_published_set_gives_its_signature_key_and_skips_the_other() {
    let set = JwkSet::parse(vectors()["key_set"]["jwks"].to_string().as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 1);
    assert_eq!(set.keys()[0].kid(), Some("2011-04-29"));
    assert_eq!(
        (set.skipped(), set.defects()),
        (1, &[JwkDefect::NotForSignatures][..])
    );
}

#[test]
fn private_and_symmetric_keys_are_refused() {
    assert_eq!(
        parse(&vectors()["private_key"]["jwk"]),
        Err(JwkDefect::PrivateMember)
    );
    assert_eq!(
        parse(&json!({"kty": "oct", "k": "AAAA"})),
        Err(JwkDefect::PrivateMember)
    );
    for name in PRIVATE_MEMBERS {
        assert_eq!(
            parse(&ec(&json!({name: null}))),
            Err(JwkDefect::PrivateMember),
            "{name}"
        );
    }
}

#[test]
fn malformed_keys_name_their_defect() {
    let off_curve = json!({"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"});
    for (jwk, defect) in [
        (json!({}), JwkDefect::Member),
        (ec(&json!({"kty": 1})), JwkDefect::Member),
        (ec(&json!({"kty": "ec"})), JwkDefect::UnknownKeyType),
        (ec(&json!({"crv": "P-521"})), JwkDefect::UnknownKeyType),
        (ec(&json!({"crv": "secp256k1"})), JwkDefect::UnknownKeyType),
        (ec(&json!({"crv": "absent"})), JwkDefect::Member),
        (ec(&json!({"x": "absent"})), JwkDefect::Member),
        (ec(&json!({"x": "f83O="})), JwkDefect::Member),
        (ec(&json!({"x": "f83O"})), JwkDefect::Material),
        (ec(&json!({"crv": "P-384"})), JwkDefect::Material),
        (ec(&off_curve), JwkDefect::Material),
        (ec(&json!({"use": "enc"})), JwkDefect::NotForSignatures),
        (ec(&json!({"use": ["sig"]})), JwkDefect::Member),
        (
            ec(&json!({"key_ops": ["encrypt"]})),
            JwkDefect::NotForSignatures,
        ),
        (
            ec(&json!({"key_ops": "verify"})),
            JwkDefect::NotForSignatures,
        ),
        (ec(&json!({"alg": "none"})), JwkDefect::Algorithm),
        (ec(&json!({"alg": "HS256"})), JwkDefect::Algorithm),
        (ec(&json!({"alg": "ES384"})), JwkDefect::Algorithm),
        (ec(&json!({"alg": "RS256"})), JwkDefect::Algorithm),
        (ec(&json!({"kid": 1})), JwkDefect::Member),
        (ec(&json!({"kid": "k".repeat(257)})), JwkDefect::Member),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            JwkDefect::UnknownKeyType,
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qY"}),
            JwkDefect::Material,
        ),
    ] {
        assert_eq!(parse(&jwk), Err(defect), "{jwk}");
    }
    assert_eq!(
        Jwk::parse_public(br#"{"kty":"EC","kty":"RSA"}"#),
        Err(JwkDefect::Json(JsonDefect::DuplicateMember))
    );
    assert!(
        parse(&ec(
            &json!({"use": "sig", "key_ops": ["sign", "verify"], "alg": "ES256", "x5t": "?"})
        ))
        .is_ok()
    );
}

#[test]
fn rsa_keys_are_bounded_in_size() {
    let rsa = |n: Vec<u8>, e: &[u8]| {
        parse(&json!({"kty": "RSA", "n": base64url::encode(&n), "e": base64url::encode(e)}))
    };
    let modulus = |bytes: usize| [vec![0xff], vec![0x55; bytes - 1]].concat();
    const E: &[u8] = &[1, 0, 1];
    assert!(rsa(modulus(256), E).is_ok());
    assert_eq!(rsa(modulus(128), E), Err(JwkDefect::KeySize));
    assert_eq!(rsa(modulus(255), E), Err(JwkDefect::KeySize));
    assert_eq!(
        rsa([vec![0x7f], vec![0x55; 255]].concat(), E),
        Err(JwkDefect::KeySize)
    );
    assert_eq!(rsa(modulus(1025), E), Err(JwkDefect::KeySize));
    assert_eq!(
        rsa([vec![0], modulus(256)].concat(), E),
        Err(JwkDefect::Material)
    );
    for e in [&[][..], &[0], &[1], &[2], &[0, 1, 0, 1], &[1, 0, 0, 0, 1]] {
        assert!(rsa(modulus(256), e).is_err(), "{e:?}");
    }
}

#[test]
fn c01_a_key_is_only_ever_prepared_for_algorithms_that_were_allowed() {
    let rsa = parse(&vectors()["signatures"][0]["jwk"]).unwrap();
    let algs = |jwk: &Jwk, allowed: &[Algorithm]| {
        jwk.verifying_keys(allowed)
            .map(|keys| keys.iter().map(VerifyingKey::alg).collect::<Vec<_>>())
    };
    assert_eq!(
        algs(&rsa, &[Algorithm::RS256, Algorithm::ES256]),
        Ok(vec![Algorithm::RS256])
    );
    assert_eq!(algs(&rsa, &Algorithm::ALL).unwrap().len(), 6);
    assert_eq!(algs(&rsa, &[Algorithm::ES256]), Err(JwkDefect::NotAllowed));
    assert_eq!(algs(&rsa, &[]), Err(JwkDefect::NotAllowed));
    let pinned = rsa.with_alg(Algorithm::PS256).unwrap();
    assert_eq!(algs(&pinned, &Algorithm::ALL), Ok(vec![Algorithm::PS256]));
    assert_eq!(
        algs(&pinned, &[Algorithm::RS256]),
        Err(JwkDefect::NotAllowed)
    );
    assert!(matches!(
        VerifyingKey::new(&pinned, Algorithm::RS256),
        Err(JwkDefect::Algorithm)
    ));
}

#[test]
fn a_set_keeps_what_it_can_use_and_counts_the_rest() {
    let good = ec(&json!({"kid": "same"}));
    let other = vectors()["signatures"][2]["jwk"].clone();
    let set =
        json!({"keys": [good, {"kty": "AKP"}, 7, other, ec(&json!({"kid": "same"}))], "extra": 1});
    let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 3);
    assert_eq!(
        set.keys()
            .iter()
            .filter(|key| key.kid() == Some("same"))
            .count(),
        2
    );
    assert_eq!(set.skipped(), 2);
    assert_eq!(set.verifying_keys(&[Algorithm::EdDSA]).len(), 1);
}

#[test]
fn a_set_is_bounded() {
    let many = |n: usize| json!({"keys": vec![json!({"kty": "AKP"}); n]}).to_string();
    assert_eq!(
        JwkSet::parse(many(100).as_bytes()).map(|set| set.skipped()),
        Ok(100)
    );
    assert_eq!(
        JwkSet::parse(many(101).as_bytes()),
        Err(JwkDefect::TooManyKeys)
    );
    assert_eq!(JwkSet::parse(b"{}"), Err(JwkDefect::Member));
    assert_eq!(JwkSet::parse(br#"{"keys":{}}"#), Err(JwkDefect::Member));
    let long = vec![b' '; MAX_JWKS_BYTES + 1];
    assert_eq!(
        JwkSet::parse(&long),
        Err(JwkDefect::Json(JsonDefect::TooLong))
    );
}

#[test]
fn a_published_key_carries_what_others_need_and_nothing_private() {
    for alg in Algorithm::ALL {
        let key = SigningKey::generate(alg).unwrap();
        let json = key.public_jwk().to_json();
        assert_eq!(json["kid"], key.public_jwk().thumbprint());
        assert_eq!(
            (&json["alg"], &json["use"]),
            (&json!(alg.name()), &json!("sig"))
        );
        assert_eq!(parse(&json), Ok(key.public_jwk()), "{alg}");
        let set = serde_json::to_string(&JwkSet::new(vec![key.public_jwk()])).unwrap();
        assert_eq!(
            JwkSet::parse(set.as_bytes()).unwrap().keys(),
            [key.public_jwk()]
        );
    }
}

#[test]
fn public_keys_are_read_from_pem() {
    // RFC 8410 §10.1
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
               -----END PUBLIC KEY-----\n";
    let key = VerifyingKey::from_spki_pem(pem, Algorithm::EdDSA, Some("k1")).unwrap();
    assert_eq!((key.alg(), key.kid()), (Algorithm::EdDSA, Some("k1")));
    assert!(matches!(
        VerifyingKey::from_spki_pem(pem, Algorithm::ES256, None),
        Err(JwkDefect::Algorithm)
    ));
    assert!(matches!(
        VerifyingKey::from_spki_pem(&format!(" {pem}"), Algorithm::EdDSA, None),
        Err(JwkDefect::Encoding)
    ));
}
