use super::*;
use crate::random::{SystemEntropy, tests::Replay};

fn weak(secret: &[u8]) -> Verifier {
    hash(secret, Argon2Params::dangerous_minimum(), &Replay::new(1)).unwrap()
}

/// One verifier of each kind for the same secret, and the pepper of the keyed one.
fn one_of_each(secret: &[u8]) -> (Vec<Verifier>, MacKey) {
    let pepper = MacKey::new(&[9; 32]);
    let bcrypt = bcrypt::hash_with_salt(secret, 4, [3; 16])
        .unwrap()
        .to_string();
    let verifiers = vec![
        weak(secret),
        Verifier::keyed(secret, "p1", &pepper).unwrap(),
        Verifier::parse(&bcrypt).unwrap(),
        Verifier::parse(&format!("sha256${}", hex(&sha256(secret)))).unwrap(),
    ];
    (verifiers, pepper)
}

#[test]
fn every_kind_matches_its_secret_and_nothing_else() {
    let (verifiers, pepper) = one_of_each(b"correct horse");
    for (verifier, kind) in verifiers.iter().zip(VerifierKind::ALL) {
        assert_eq!(verifier.kind(), kind);
        assert!(verifier.verify(b"correct horse", Some(&pepper)), "{kind:?}");
        for wrong in [
            &b"correct hors"[..],
            b"correct horse\0",
            b"",
            b"Correct horse",
        ] {
            assert!(!verifier.verify(wrong, Some(&pepper)), "{kind:?} {wrong:?}");
        }
    }
}

#[test]
fn every_kind_survives_its_stored_form() {
    let (verifiers, pepper) = one_of_each(b"correct horse");
    for verifier in verifiers {
        let stored = verifier.to_stored();
        let back = Verifier::parse(&stored).unwrap();
        assert_eq!(back.to_stored(), stored);
        assert!(back.verify(b"correct horse", Some(&pepper)), "{stored}");
    }
}

#[test]
fn i02_the_stored_text_itself_never_authenticates() {
    let (verifiers, pepper) = one_of_each(b"correct horse");
    for verifier in verifiers {
        let stored = verifier.to_stored();
        let tail = stored.rsplit('$').next().unwrap();
        assert!(
            !verifier.verify(stored.as_bytes(), Some(&pepper)),
            "{stored}"
        );
        assert!(!verifier.verify(tail.as_bytes(), Some(&pepper)), "{stored}");
    }
}

#[test]
fn i01_a_verifier_masks_itself() {
    for verifier in one_of_each(b"correct horse").0 {
        let stored = verifier.to_stored();
        let printed = format!("{verifier:?} {verifier:#?}");
        assert!(!printed.contains(&stored[stored.len() - 8..]), "{printed}");
    }
}

#[test]
fn published_hashes_of_other_programs_are_read() {
    // The reference implementation's own test: `password`, salt `somesalt`, m=65536, t=2, p=1
    // (github.com/P-H-C/phc-winner-argon2, src/test.c, CC0).
    let argon2 =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert!(Verifier::parse(argon2).unwrap().verify(b"password", None));
    // Openwall crypt_blowfish's wrapper.c test vectors (public domain).
    for (stored, secret) in [
        (
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "U*U",
        ),
        (
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
            "U*U*",
        ),
        (
            "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
            "U*U*U",
        ),
    ] {
        assert!(
            Verifier::parse(stored)
                .unwrap()
                .verify(secret.as_bytes(), None),
            "{stored}"
        );
    }
}

#[test]
fn a_hash_that_would_cost_too_much_is_refused_when_it_is_read() {
    let argon2 = |costs: &str| {
        format!("$argon2id$v=19${costs}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
    };
    for costs in [
        "m=262145,t=2,p=1",
        "m=4294967295,t=2,p=1",
        "m=65536,t=11,p=1",
        "m=65536,t=2,p=5",
        "m=7,t=1,p=1",
        "m=15,t=1,p=2",
    ] {
        assert_eq!(
            Verifier::parse(&argon2(costs)).map(|_| ()),
            Err(PasswordDefect::CostOutOfBounds),
            "{costs}"
        );
    }
    let bcrypt =
        |cost: &str| format!("$2b${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
    for cost in ["03", "15", "31", "99"] {
        assert_eq!(
            Verifier::parse(&bcrypt(cost)).map(|_| ()),
            Err(PasswordDefect::CostOutOfBounds),
            "{cost}"
        );
    }
    assert_eq!(
        Verifier::parse(&bcrypt("+5")).map(|_| ()),
        Err(PasswordDefect::Malformed)
    );
}

#[test]
fn malformed_stored_texts_are_refused() {
    for (stored, defect) in [
        ("", PasswordDefect::UnknownAlgorithm),
        ("plaintext", PasswordDefect::UnknownAlgorithm),
        (
            "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
            PasswordDefect::UnknownAlgorithm,
        ),
        (
            "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            PasswordDefect::UnknownAlgorithm,
        ),
        (
            "$argon2id$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=19$t=1,m=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=19$m=+8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1,x=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            PasswordDefect::Malformed,
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q$",
            PasswordDefect::Malformed,
        ),
        ("$2b$05$short", PasswordDefect::Malformed),
        ("hmac-sha256$p1", PasswordDefect::Malformed),
        ("hmac-sha256$$00", PasswordDefect::Malformed),
        ("hmac-sha256$p1$00", PasswordDefect::Malformed),
        ("sha256$", PasswordDefect::Malformed),
        (
            "sha256$BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
            PasswordDefect::Malformed,
        ),
    ] {
        assert_eq!(Verifier::parse(stored).map(|_| ()), Err(defect), "{stored}");
    }
    let endless = format!("sha256${}", "0".repeat(1 << 20));
    assert_eq!(
        Verifier::parse(&endless).map(|_| ()),
        Err(PasswordDefect::Malformed)
    );
}

#[test]
fn a_long_password_is_refused_and_not_cut() {
    assert_eq!(
        hash(
            &[b'x'; 1025],
            Argon2Params::dangerous_minimum(),
            &SystemEntropy
        )
        .map(|_| ()),
        Err(PasswordDefect::TooLong)
    );
    let pepper = MacKey::new(&[9; 32]);
    let keyed = Verifier::keyed(&[b'x'; 1025], "p1", &pepper);
    assert_eq!(keyed.map(|_| ()), Err(PasswordDefect::TooLong));

    let longest = weak(&[b'x'; 1024]);
    assert!(longest.verify(&[b'x'; 1024], None));
    assert!(!longest.verify(&[b'x'; 1025], None));
    let imported = format!("sha256${}", hex(&sha256(&[b'x'; 1025])));
    assert!(
        !Verifier::parse(&imported)
            .unwrap()
            .verify(&[b'x'; 1025], None)
    );
}

#[test]
fn bcrypt_refuses_what_it_would_not_look_at() {
    let stored = bcrypt::hash_with_salt([b'x'; 72], 4, [3; 16])
        .unwrap()
        .to_string();
    let verifier = Verifier::parse(&stored).unwrap();
    assert!(verifier.verify(&[b'x'; 72], None));
    assert!(!verifier.verify(&[b'x'; 73], None));
}

#[test]
fn i02_a_keyed_hash_without_its_pepper_matches_nothing() {
    let pepper = MacKey::new(&[9; 32]);
    let verifier = Verifier::keyed(b"secret", "2026-11", &pepper).unwrap();
    assert_eq!(verifier.pepper_id(), Some("2026-11"));
    assert!(verifier.verify(b"secret", Some(&pepper)));
    assert!(!verifier.verify(b"secret", Some(&MacKey::new(&[8; 32]))));
    assert!(!verifier.verify(b"secret", None));
    assert!(Verifier::keyed(b"secret", "a$b", &pepper).is_err());
}

#[test]
fn the_dummy_costs_the_same_and_matches_nothing() {
    let params = Argon2Params::dangerous_minimum();
    let stored = dummy(params).to_stored();
    assert!(
        stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
        "{stored}"
    );
    for guess in [&b""[..], b"password", stored.as_bytes()] {
        assert!(!dummy(params).verify(guess, None));
    }
}

#[test]
fn the_default_cost_is_the_recommended_one() {
    let stored = hash(b"x", Argon2Params::default(), &SystemEntropy)
        .unwrap()
        .to_stored();
    assert!(
        stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{stored}"
    );
}

#[test]
fn two_hashes_of_one_secret_differ() {
    let params = Argon2Params::dangerous_minimum();
    let hashed = || hash(b"x", params, &SystemEntropy).unwrap().to_stored();
    assert_ne!(hashed(), hashed());
}

#[test]
fn only_the_slow_kinds_belong_on_the_hashing_pool() {
    let expensive: Vec<_> = one_of_each(b"x")
        .0
        .iter()
        .map(Verifier::is_expensive)
        .collect();
    assert_eq!(expensive, [true, false, true, false]);
}
