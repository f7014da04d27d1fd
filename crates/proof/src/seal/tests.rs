use proptest::prelude::*;

use super::*;
use crate::random::{SystemEntropy, tests::Replay};

const STABLE: &str = "4eaba0511fd1e79ab25ace518440043c70194f247de7b28d9ffd80a3c38415e1";
const PLACE: Aad<'static> = Aad {
    table: "signing_keys",
    column: "pkcs8",
    row: "key_1",
};

fn kek(id: &str, byte: u8) -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes(id, &Secret::new([byte; 32])).unwrap()
}

fn ring() -> KekRing {
    KekRing::new(kek("k1", 1))
}

#[test]
fn a_value_opens_in_its_own_place_only() {
    let sealed = seal(ring().current(), &PLACE, b"private", &SystemEntropy);
    assert!(open(&ring(), &PLACE, &sealed).unwrap().matches(b"private"));
    for elsewhere in [
        Aad {
            table: "clients",
            ..PLACE
        },
        Aad {
            column: "secret",
            ..PLACE
        },
        Aad {
            row: "key_2",
            ..PLACE
        },
        Aad {
            table: "signing_keysp",
            column: "kcs8",
            ..PLACE
        },
    ] {
        assert!(
            matches!(
                open(&ring(), &elsewhere, &sealed),
                Err(SealDefect::Tampered)
            ),
            "{elsewhere:?}"
        );
    }
}

#[test]
fn i02_no_changed_byte_goes_unnoticed() {
    let sealed = seal(ring().current(), &PLACE, b"private", &SystemEntropy);
    for i in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[i] ^= 1;
        assert!(open(&ring(), &PLACE, &changed).is_err(), "byte {i}");
        assert!(open(&ring(), &PLACE, &sealed[..i]).is_err(), "cut at {i}");
    }
    let longer = [sealed, vec![0]].concat();
    assert!(matches!(
        open(&ring(), &PLACE, &longer),
        Err(SealDefect::Tampered)
    ));
}

#[test]
fn i02_without_the_right_key_nothing_opens() {
    let sealed = seal(ring().current(), &PLACE, b"private", &SystemEntropy);
    let other_id = KekRing::new(kek("k2", 1));
    assert!(matches!(
        open(&other_id, &PLACE, &sealed),
        Err(SealDefect::UnknownKey)
    ));
    let same_id = KekRing::new(kek("k1", 2));
    assert!(matches!(
        open(&same_id, &PLACE, &sealed),
        Err(SealDefect::Tampered)
    ));
}

#[test]
fn i02_the_sealed_bytes_do_not_hold_the_plaintext() {
    let sealed = seal(
        ring().current(),
        &PLACE,
        b"a rather long private text",
        &SystemEntropy,
    );
    assert!(!sealed.windows(6).any(|window| {
        b"a rather long private text"
            .windows(6)
            .any(|part| part == window)
    }));
}

#[test]
fn after_a_rotation_old_values_open_and_new_ones_use_the_new_key() {
    let old = seal(&kek("k1", 1), &PLACE, b"old", &SystemEntropy);
    let ring = KekRing::new(kek("k2", 2)).with_previous(kek("k1", 1));
    let new = seal(ring.current(), &PLACE, b"new", &SystemEntropy);
    assert!(open(&ring, &PLACE, &old).unwrap().matches(b"old"));
    assert!(open(&ring, &PLACE, &new).unwrap().matches(b"new"));
    assert_eq!((kek_id(&old), kek_id(&new)), (Ok("k1"), Ok("k2")));
}

#[test]
fn two_seals_of_one_value_differ() {
    let sealed = || seal(&kek("k1", 1), &PLACE, b"same", &SystemEntropy);
    assert_ne!(sealed(), sealed());
}

#[test]
fn the_format_is_stable_across_versions() {
    // What is stored must open for ever: the same randomness gives the same bytes. Their digest
    // was computed apart from this code, with another AES-GCM, from the format alone.
    let sealed = seal(&kek("k1", 1), &PLACE, b"private", &Replay::new(1));
    assert_eq!(&sealed[..4], b"\x01\x02k1");
    assert_eq!(sealed.len(), 4 + 12 + 48 + 12 + 7 + 16);
    assert_eq!(crate::digest::hex(&crate::digest::sha256(&sealed)), STABLE);
}

#[test]
fn foreign_bytes_name_their_defect() {
    for (bytes, defect) in [
        (&[][..], SealDefect::WrongLength),
        (&[1], SealDefect::WrongLength),
        (&[2, 0], SealDefect::UnknownVersion),
        (&[1, 5, b'k'], SealDefect::WrongLength),
        (&[1, 0], SealDefect::UnknownKey),
        (b"\x01\x02k1", SealDefect::WrongLength),
    ] {
        assert_eq!(
            open(&ring(), &PLACE, bytes).map(|_| ()),
            Err(defect),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_malformed_key_encryption_key_is_refused() {
    let good = Secret::new([1; 32]);
    for id in ["", "a b", "é", &"k".repeat(65)] {
        assert!(
            matches!(
                KeyEncryptionKey::from_bytes(id, &good),
                Err(SealDefect::BadKey)
            ),
            "{id:?}"
        );
    }
    for length in [0, 16, 31, 33] {
        let key = Secret::new(vec![1; length]);
        assert!(
            matches!(
                KeyEncryptionKey::from_bytes("k", &key),
                Err(SealDefect::BadKey)
            ),
            "{length}"
        );
    }
    let text = |text: &str| KeyEncryptionKey::from_base64("k", &Secret::from_text(text.into()));
    assert!(text("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").is_ok());
    assert!(text("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE").is_err());
    assert!(text("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").is_err());
}

#[test]
fn a_derived_key_is_the_published_one_and_another_for_each_purpose() {
    // RFC 5869 §A.3: the first 32 of its 42 bytes.
    let prk =
        crate::digest::unhex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
    let key = KeyEncryptionKey::from_bytes("k", &Secret::new(prk.unwrap())).unwrap();
    assert_eq!(
        crate::digest::hex(key.derive("").expose()),
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    );
    assert!(!key.derive("a").matches(key.derive("b").expose()));
}

#[test]
fn i01_keys_print_their_names_only() {
    let printed = format!("{:?}", ring().with_previous(kek("k0", 7)));
    assert_eq!(
        printed,
        "KekRing { current: KeyEncryptionKey(k1, ***), previous: [KeyEncryptionKey(k0, ***)] }"
    );
}

proptest! {
    #[test]
    fn values_survive_the_round_trip(plaintext: Vec<u8>, table: String, column: String, row: String) {
        let place = Aad { table: &table, column: &column, row: &row };
        let sealed = seal(ring().current(), &place, &plaintext, &SystemEntropy);
        prop_assert!(open(&ring(), &place, &sealed).unwrap().matches(&plaintext));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(open(&ring(), &PLACE, &bytes).is_err());
        let _ = kek_id(&bytes).is_ok();
    }
}
