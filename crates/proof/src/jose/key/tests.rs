use super::*;

#[test]
fn a_key_survives_pkcs8_and_keeps_its_name() {
    for alg in Algorithm::ALL {
        let key = SigningKey::generate(alg).unwrap();
        let back = SigningKey::from_pkcs8(alg, &key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(back.kid(), key.kid(), "{alg}");
        let signature = back.sign(b"message");
        assert!(
            key.verifying_key().unwrap().verify(b"message", &signature),
            "{alg}"
        );
        assert!(
            !key.verifying_key().unwrap().verify(b"massage", &signature),
            "{alg}"
        );
    }
}

#[test]
fn a_key_of_another_type_is_refused() {
    let p256 = SigningKey::generate(Algorithm::ES256)
        .unwrap()
        .to_pkcs8()
        .unwrap();
    for alg in [Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256] {
        assert!(
            matches!(SigningKey::from_pkcs8(alg, &p256), Err(KeyDefect::Pkcs8)),
            "{alg}"
        );
    }
    for junk in [&b""[..], b"junk", &p256.expose()[1..]] {
        assert!(matches!(
            SigningKey::from_pkcs8(Algorithm::ES256, &Secret::new(junk)),
            Err(KeyDefect::Pkcs8)
        ));
    }
}

#[test]
fn ecdsa_signatures_are_raw_and_of_fixed_width() {
    for (alg, width) in [
        (Algorithm::ES256, 64),
        (Algorithm::ES384, 96),
        (Algorithm::EdDSA, 64),
    ] {
        let key = SigningKey::generate(alg).unwrap();
        for _ in 0..32 {
            assert_eq!(key.sign(b"x").len(), width, "{alg}");
        }
    }
}

#[test]
fn two_keys_never_share_a_name() {
    let kid = || {
        SigningKey::generate(Algorithm::ES256)
            .unwrap()
            .kid()
            .to_owned()
    };
    assert_ne!(kid(), kid());
}

#[test]
fn i01_a_signing_key_prints_its_name_only() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("SigningKey(ES256, {}, ***)", key.kid())
    );
    assert_eq!(format!("{:?}", key.to_pkcs8().unwrap()), "Secret(***)");
}
