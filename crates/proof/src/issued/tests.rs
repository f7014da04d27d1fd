use proptest::prelude::*;

use super::*;
use crate::random::{SystemEntropy, tests::Replay};

fn issue(kind: SecretKind, environment: Environment) -> Issued {
    Issued::generate(&Brand::default(), kind, environment, &SystemEntropy)
}

#[test]
fn every_kind_in_every_environment_is_read_back() {
    for kind in SecretKind::ALL {
        for environment in Environment::ALL {
            let issued = issue(kind, environment);
            let text = issued.text();
            let presented = parse(text.as_bytes(), &Brand::default()).unwrap();
            assert_eq!(
                (presented.kind, presented.environment, presented.id),
                (kind, environment, issued.id)
            );
            assert_eq!(presented.secret.len(), 43);
            assert_eq!(presented.whole, text.as_bytes());
            assert_eq!(text.len(), 2 + 74);
        }
    }
}

#[test]
fn the_text_is_stable_across_versions() {
    // Keys in use must stay readable for ever: the same randomness gives the same text. This one
    // was computed apart from this code, from the grammar alone.
    let issued = Issued::generate(
        &Brand::default(),
        SecretKind::SecretKey,
        Environment::Live,
        &Replay::new(7),
    );
    assert_eq!(
        issued.text(),
        "dw_sk_live_nWVPhBNJzyDbFSgsTltphpcFUDpUGXLKZCF0zbMO2cg744pi5pHkhJLIsNz3nuik8"
    );
}

#[test]
fn malformed_texts_name_their_defect() {
    let good = issue(SecretKind::SecretKey, Environment::Live)
        .text()
        .to_owned();
    let swap = |from: &str, to: &str| good.replacen(from, to, 1);
    let body = &good[11..];
    for (text, defect) in [
        (String::new(), Malformed::NotOurs),
        ("dw".into(), Malformed::NotOurs),
        (swap("dw_", "dx_"), Malformed::NotOurs),
        (swap("dw_", "DW_"), Malformed::NotOurs),
        (swap("dw_", "dwx_"), Malformed::NotOurs),
        (format!(" {good}"), Malformed::NotOurs),
        ("dw_".into(), Malformed::WrongLength),
        (format!("{good} "), Malformed::WrongLength),
        (good[..good.len() - 1].into(), Malformed::WrongLength),
        (swap("_sk_", "_xx_"), Malformed::UnknownKind),
        (swap("_sk_", "_SK_"), Malformed::UnknownKind),
        (swap("_sk_", "_sk-"), Malformed::UnknownKind),
        (swap("_live_", "_prod_"), Malformed::UnknownEnvironment),
        (swap("_live_", "_live-"), Malformed::UnknownEnvironment),
        (
            format!("dw_sk_live_-{}", &body[1..]),
            Malformed::WrongAlphabet,
        ),
        (
            format!("dw_sk_live_{}_", &body[..64]),
            Malformed::WrongAlphabet,
        ),
        (swap("_live_", "_test_"), Malformed::Checksum),
        (swap("_sk_", "_ak_"), Malformed::Checksum),
    ] {
        assert_eq!(
            parse(text.as_bytes(), &Brand::default()).map(|_| ()),
            Err(defect),
            "{text}"
        );
    }
}

#[test]
fn every_single_typing_mistake_is_caught() {
    let good = issue(SecretKind::SecretKey, Environment::Test)
        .text()
        .to_owned();
    for i in 0..good.len() {
        for replacement in [b'0', b'z', b'_', b' ', 0, 0xff] {
            let mut text = good.clone().into_bytes();
            if text[i] == replacement {
                continue;
            }
            text[i] = replacement;
            assert!(
                parse(&text, &Brand::default()).is_err(),
                "byte {i} as {replacement}"
            );
        }
    }
}

#[test]
fn one_brand_never_reads_another_ones_secrets() {
    let short = Brand::new("ab").unwrap();
    let long = Brand::new("abc").unwrap();
    let of_short = Issued::generate(
        &short,
        SecretKind::SecretKey,
        Environment::Live,
        &SystemEntropy,
    );
    let of_long = Issued::generate(
        &long,
        SecretKind::SecretKey,
        Environment::Live,
        &SystemEntropy,
    );
    assert!(matches!(
        parse(of_long.text().as_bytes(), &short),
        Err(Malformed::NotOurs)
    ));
    assert!(matches!(
        parse(of_short.text().as_bytes(), &long),
        Err(Malformed::NotOurs)
    ));
    assert!(parse(of_long.text().as_bytes(), &long).is_ok());
}

#[test]
fn brands_are_short_and_lower_case() {
    for good in ["dw", "acme", "a1", "0123456789abcdef"] {
        assert!(Brand::new(good).is_ok(), "{good}");
    }
    for bad in ["", "d", "Acme", "a_b", "a-b", "ä2", "0123456789abcdefg"] {
        assert_eq!(Brand::new(bad), Err(BadBrand), "{bad}");
    }
}

#[test]
fn i01_only_the_prefix_of_a_secret_is_ever_printed() {
    let issued = issue(SecretKind::AdminKey, Environment::Live);
    let presented = parse(issued.text().as_bytes(), &Brand::default()).unwrap();
    let digits = std::str::from_utf8(presented.secret).unwrap();
    let printed = format!(
        "{issued:?} {issued:#?} {presented:?} {presented:#?} {}",
        issued.display_prefix()
    );
    assert!(!printed.contains(&digits[..6]), "{printed}");
    assert_eq!(
        issued.display_prefix(),
        format!("dw_ak_live_{}…", &issued.id.as_str()[..4])
    );
}

#[test]
fn the_pattern_states_the_whole_grammar() {
    assert_eq!(
        pattern(&Brand::default()),
        r"\bdw_(?:sk|pk|cs|ak|hs|wh|rt|ot|rg)_(?:live|test)_[0-9A-Za-z]{65}\b"
    );
}

#[test]
fn kinds_and_environments_have_distinct_tags_of_fixed_width() {
    for kind in SecretKind::ALL {
        assert_eq!(kind.tag().len(), 2);
        assert_eq!(SecretKind::from_tag(kind.tag().as_bytes()), Some(kind));
    }
    for environment in Environment::ALL {
        assert_eq!(environment.name().len(), 4);
        assert_eq!(
            Environment::from_name(environment.name().as_bytes()),
            Some(environment)
        );
    }
    assert_eq!(
        serde_json::to_string(&Environment::Live).unwrap(),
        r#""live""#
    );
}

#[test]
fn the_public_name_of_a_signing_key_is_read_back_and_nothing_else_is() {
    let id = KeyId::parse("7Qf0Zk3mWc2LrB9x").unwrap();
    let name = SigningKeyId::new(id);
    assert_eq!(name.to_string(), "DWAK7Qf0Zk3mWc2LrB9x");
    assert_eq!(name.to_string().len(), SigningKeyId::WIDTH);
    assert_eq!(
        SigningKeyId::parse("DWAK7Qf0Zk3mWc2LrB9x").map(SigningKeyId::key_id),
        Some(id)
    );
    for other in [
        "",
        "DWAK",
        "7Qf0Zk3mWc2LrB9x",
        "dwak7Qf0Zk3mWc2LrB9x",
        "AKIA7Qf0Zk3mWc2LrB9x",
        "DWAK7Qf0Zk3mWc2LrB9",
        "DWAK7Qf0Zk3mWc2LrB9x1",
        "DWAK7Qf0Zk3mWc2LrB9-",
        " DWAK7Qf0Zk3mWc2LrB9x",
    ] {
        assert_eq!(SigningKeyId::parse(other), None, "{other:?}");
    }
}

#[test]
fn a_webhook_secret_has_the_form_of_standard_webhooks() {
    let secret = crate::webhook::SharedKey::generate(&SystemEntropy).to_text();
    let text = secret.expose_text().unwrap();
    let digits = text.strip_prefix("whsec_").unwrap();
    assert_eq!(
        crate::base64std::decode(digits.as_bytes()).unwrap().len(),
        32
    );
    assert!(
        !crate::webhook::SharedKey::generate(&SystemEntropy)
            .to_text()
            .matches(secret.expose())
    );
}

proptest! {
    #[test]
    fn any_brand_round_trips(brand in "[a-z0-9]{2,16}", seed: u32) {
        let brand = Brand::new(&brand).unwrap();
        let issued = Issued::generate(&brand, SecretKind::RefreshToken, Environment::Test, &Replay::new(seed));
        let presented = parse(issued.text().as_bytes(), &brand).unwrap();
        prop_assert_eq!(presented.id, issued.id);
        prop_assert_eq!(presented.kind, SecretKind::RefreshToken);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, tail in "_sk_live_[0-9A-Za-z]{65}") {
        prop_assert!(parse(&bytes, &Brand::default()).is_err());
        let text = format!("dw{tail}");
        // One chance in four billion that a random checksum fits.
        prop_assert_eq!(parse(text.as_bytes(), &Brand::default()).map(|_| ()), Err(Malformed::Checksum));
    }
}
