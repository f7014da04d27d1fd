use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    digest::unhex,
    jose::{alg::Algorithm, jwk::Jwk, key::SigningKey},
    random::tests::Replay,
    secret::Secret,
    time::Leeway,
};

const VECTORS: &str = include_str!("../../../../vectors/paseto/v4.json");
const PASERK: &str = include_str!("../../../../vectors/paseto/paserk.json");

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap()).unwrap()
}

fn vector_key(case: &Value) -> Key {
    if case["public-key"].is_string() {
        return Key::public(&Jwk::from_ed25519(&bytes(&case["public-key"])).unwrap()).unwrap();
    }
    Key::Local(LocalKey::of_bytes(Secret::new(bytes(&case["key"]))).unwrap())
}

fn opened(token: &str, key: &Key, implicit: &str) -> Result<Payload, PasetoDefect> {
    split(token.as_bytes())?.open(key, implicit.as_bytes())
}

#[test]
fn the_published_tokens_open_or_are_refused() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    for case in file["tests"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let implicit = case["implicit-assertion"].as_str().unwrap();
        let found = opened(case["token"].as_str().unwrap(), &vector_key(case), implicit);
        if case["expect-fail"] == true {
            assert!(found.is_err(), "{name}");
            continue;
        }
        let payload = found.unwrap_or_else(|defect| panic!("{name}: {defect}"));
        assert_eq!(
            payload.bytes(),
            case["payload"].as_str().unwrap().as_bytes(),
            "{name}"
        );
        assert_eq!(
            payload.footer(),
            case["footer"].as_str().unwrap().as_bytes(),
            "{name}"
        );
    }
}

#[test]
fn we_sign_as_published() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let mut signed = 0;
    for case in file["tests"].as_array().unwrap() {
        if case["secret-key"].is_string() && case["expect-fail"] == false {
            let text = format!(
                "k4.secret.{}",
                base64url::encode(&bytes(&case["secret-key"]))
            );
            let key = IssuingKey::from_paserk(&Secret::from_text(text)).unwrap();
            let part = |name: &str| case[name].as_str().unwrap().as_bytes();
            let token = seal(
                &key,
                part("payload"),
                part("footer"),
                part("implicit-assertion"),
            );
            assert_eq!(token.unwrap(), case["token"].as_str().unwrap());
            signed += 1;
        }
    }
    assert_eq!(signed, 3);
}

#[test]
fn the_published_keys_and_ids_are_read_and_written() {
    let file: Value = serde_json::from_str(PASERK).unwrap();
    let good = |kind: &str| {
        let cases = file[kind].as_array().unwrap().clone();
        cases
            .into_iter()
            .filter(|case| case["expect-fail"] == false)
    };
    let secret = |case: &Value| Secret::from_text(case["paserk"].as_str().unwrap().into());
    for case in good("k4.lid").chain(good("k4.local")) {
        let key = LocalKey::of_bytes(Secret::new(bytes(&case["key"]))).unwrap();
        if case["paserk"].as_str().unwrap().starts_with("k4.lid") {
            assert_eq!(key.id(), case["paserk"].as_str().unwrap());
        } else {
            assert_eq!(key.to_paserk().expose(), secret(&case).expose());
            assert!(matches!(
                Key::from_paserk(&secret(&case)),
                Ok(Key::Local(_))
            ));
        }
    }
    for case in good("k4.pid").chain(good("k4.public")) {
        let jwk = Jwk::from_ed25519(&bytes(&case["key"])).unwrap();
        if case["paserk"].as_str().unwrap().starts_with("k4.pid") {
            assert_eq!(public_id(&jwk).unwrap(), case["paserk"].as_str().unwrap());
        } else {
            assert_eq!(
                public_paserk(&jwk).unwrap(),
                case["paserk"].as_str().unwrap()
            );
            assert!(matches!(
                Key::from_paserk(&secret(&case)),
                Ok(Key::Public(_))
            ));
        }
    }
    for case in good("k4.secret") {
        let key = IssuingKey::from_paserk(&secret(&case)).unwrap();
        assert!(key.id().starts_with("k4.pid."));
        // Who verifies needs no secret key.
        assert!(Key::from_paserk(&secret(&case)).is_err());
    }
    for kind in ["k4.local", "k4.public", "k4.secret"] {
        for case in file[kind].as_array().unwrap() {
            if case["expect-fail"] == true && case["paserk"].is_string() {
                assert!(Key::from_paserk(&secret(case)).is_err(), "{}", case["name"]);
                assert!(
                    IssuingKey::from_paserk(&secret(case)).is_err(),
                    "{}",
                    case["name"]
                );
            }
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn claims() -> Claims {
    Claims {
        iss: Some("https://issuer.example".into()),
        sub: Some("client-1".into()),
        aud: vec!["https://api.example".into()],
        iat: Some(now()),
        exp: Some(now().plus(Duration::from_secs(300))),
        jti: Some("id-1".into()),
        scope: Some("orders:read".into()),
        extra: [("tenant".to_owned(), json!({"id": 7}))]
            .into_iter()
            .collect(),
        ..Claims::default()
    }
}

fn pairs() -> [(IssuingKey, Key); 2] {
    let signing = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let public = Key::public(&signing.public_jwk()).unwrap();
    let local = || LocalKey::generate(&Replay::new(1));
    [
        (IssuingKey::signing(signing).unwrap(), public),
        (IssuingKey::local(local()), Key::Local(local())),
    ]
}

fn expect<'a>(audiences: &'a [&'a str]) -> jwt::Expect<'a, &'a str> {
    jwt::Expect {
        issuer: "https://issuer.example",
        audiences,
        typ: &[],
        typ_may_be_absent: false,
        require: &["jti"],
        max_lifetime: Some(Duration::from_secs(300)),
        leeway: Leeway::default(),
    }
}

#[test]
fn what_we_issue_we_open() {
    for (issuing, key) in pairs() {
        let token = issue(&issuing, &claims(), b"implicit").unwrap();
        assert!(looks_like(token.as_bytes()));
        let claimed = split(token.as_bytes()).unwrap();
        assert_eq!(claimed.purpose(), key.purpose());
        assert_eq!(claimed.key_id(), Some(issuing.id()));
        let payload = claimed.open(&key, b"implicit").unwrap();
        let found = payload.claims().unwrap();
        assert_eq!(found, claims());
        check(&found, &expect(&["https://api.example"]), now()).unwrap();
        let opened = opened(&token, &key, "other").map(|_| ());
        assert_eq!(opened, Err(PasetoDefect::Forged));
    }
}

#[test]
fn d03_any_changed_byte_of_a_token_refuses() {
    for (issuing, key) in pairs() {
        let token = issue(&issuing, &claims(), b"").unwrap();
        for at in 0..token.len() {
            for other in ["A", "b", "_", "."] {
                let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                if changed != token {
                    assert!(opened(&changed, &key, "").is_err(), "{changed}");
                }
            }
            let shorter = format!("{}{}", &token[..at], &token[at + 1..]);
            assert!(opened(&shorter, &key, "").is_err(), "{shorter}");
        }
    }
}

#[test]
fn c01_a_key_opens_tokens_of_its_own_purpose_only() {
    let [(sign, public), (encrypt, local)] = pairs();
    let (signed, encrypted) = (
        issue(&sign, &claims(), b"").unwrap(),
        issue(&encrypt, &claims(), b"").unwrap(),
    );
    let wrong = Err(PasetoDefect::WrongPurpose);
    assert_eq!(opened(&signed, &local, "").map(|_| ()), wrong);
    assert_eq!(opened(&encrypted, &public, "").map(|_| ()), wrong);
    // A local key made of the public key's bytes opens nothing either.
    let [(_, other), (_, _)] = pairs();
    assert_eq!(
        opened(&signed, &other, "").map(|_| ()),
        Err(PasetoDefect::Forged)
    );
    let other = Key::Local(LocalKey::generate(&Replay::new(2)));
    assert_eq!(
        opened(&encrypted, &other, "").map(|_| ()),
        Err(PasetoDefect::Forged)
    );
    let ec = SigningKey::generate(Algorithm::ES256).unwrap();
    assert!(Key::public(&ec.public_jwk()).is_err());
    assert!(IssuingKey::signing(ec).is_err());
}

#[test]
fn c03_claims_of_the_wrong_type_refuse() {
    for (json, claim) in [
        (json!({"exp": 1_700_000_300}), "exp"),
        (json!({"exp": "1700000300"}), "exp"),
        (json!({"exp": "2023-11-14"}), "exp"),
        (json!({"exp": "2023-11-14T22:18:20"}), "exp"),
        (json!({"nbf": null}), "nbf"),
        (json!({"iat": ["2023-11-14T22:18:20Z"]}), "iat"),
        (json!({"aud": ["https://api.example", 7]}), "aud"),
        (json!({"iss": 1}), "iss"),
    ] {
        let found = claims_from_json(json.to_string().as_bytes());
        assert_eq!(found, Err(JwtDefect::ClaimType(claim)), "{json}");
    }
    for text in ["[]", "{\"iss\":\"a\",\"iss\":\"b\"}", "{", "\"text\""] {
        assert!(
            matches!(claims_from_json(text.as_bytes()), Err(JwtDefect::Json(_))),
            "{text}"
        );
    }
}

#[test]
fn c04_claims_are_judged_as_a_jwts() {
    let verdict = |change: fn(&mut Claims), secs: i64| {
        let mut claims = claims();
        change(&mut claims);
        let at = Timestamp::from_secs(now().as_secs() + secs);
        check(&claims, &expect(&["https://api.example"]), at)
    };
    let refused = |defect| Err(PasetoDefect::Claims(defect));
    assert_eq!(verdict(|_| {}, 0), Ok(()));
    assert_eq!(verdict(|_| {}, 359), Ok(()));
    assert_eq!(verdict(|_| {}, 361), refused(JwtDefect::Expired));
    assert_eq!(verdict(|_| {}, -61), refused(JwtDefect::IssuedInFuture));
    assert_eq!(
        verdict(|c| c.exp = None, 0),
        refused(JwtDefect::Missing("exp".into()))
    );
    assert_eq!(
        verdict(|c| c.jti = None, 0),
        refused(JwtDefect::Missing("jti".into()))
    );
    assert_eq!(
        verdict(|c| c.iss = Some("x".into()), 0),
        refused(JwtDefect::WrongIssuer)
    );
    assert_eq!(
        verdict(|c| c.aud = vec!["x".into()], 0),
        refused(JwtDefect::WrongAudience)
    );
    assert_eq!(
        verdict(
            |c| c.exp = c.iat.map(|iat| iat.plus(Duration::from_secs(301))),
            0
        ),
        refused(JwtDefect::LifetimeTooLong)
    );
}

#[test]
fn c05_what_is_no_token_of_version_4_is_refused_before_any_key() {
    let [(sign, _), _] = pairs();
    let token = issue(&sign, &claims(), b"").unwrap();
    let (body, footer) = token.rsplit_once('.').unwrap();
    let with_footer = |footer: &str| format!("{body}.{}", base64url::encode(footer.as_bytes()));
    let short = format!("v4.public.{}", base64url::encode(&[0; 64]));
    for (token, defect) in [
        (String::new(), PasetoDefect::Form),
        ("v4.public.".into(), PasetoDefect::Form),
        (short, PasetoDefect::Form),
        (token.replacen("v4", "v3", 1), PasetoDefect::Form),
        (token.replacen("public", "secret", 1), PasetoDefect::Form),
        (
            token.replacen("v4.public", "V4.public", 1),
            PasetoDefect::Form,
        ),
        (format!("{token}="), PasetoDefect::Form),
        (format!("{token}."), PasetoDefect::Form),
        (format!("{body}."), PasetoDefect::Form),
        (format!("{token}.{footer}"), PasetoDefect::Form),
        (format!(" {token}"), PasetoDefect::Form),
        (with_footer("{\"kid\":1}"), PasetoDefect::KeyId),
        (with_footer("{\"kid\":\"\"}"), PasetoDefect::KeyId),
        (
            with_footer("{\"kid\":\"a\",\"kid\":\"b\"}"),
            PasetoDefect::KeyId,
        ),
        (
            with_footer(&"x".repeat(MAX_FOOTER_BYTES + 1)),
            PasetoDefect::TooLong,
        ),
        (
            "v4.public.".to_owned() + &"A".repeat(MAX_TOKEN_BYTES),
            PasetoDefect::TooLong,
        ),
    ] {
        assert_eq!(
            split(token.as_bytes()).map(|_| ()),
            Err(defect),
            "{token:.60}"
        );
    }
    let plain = with_footer("no object");
    assert_eq!(split(plain.as_bytes()).unwrap().key_id(), None);
    assert!(!looks_like(b"eyJhbGciOiJFUzI1NiJ9.e30.x"));
}

#[test]
fn i01_keys_mask_themselves() {
    let key = LocalKey::generate(&Replay::new(1));
    let secret = key.to_paserk();
    let printed = format!(
        "{key:?} {:?}",
        IssuingKey::local(LocalKey::generate(&Replay::new(1)))
    );
    assert!(
        !printed.contains(&secret.expose_text().unwrap()[9..]),
        "{printed}"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "(v4\\.(public|local)\\.)?[A-Za-z0-9._-]{0,200}") {
        if let Ok(claimed) = split(text.as_bytes()) {
            let [(_, key), _] = pairs();
            proptest::prop_assert!(claimed.open(&key, b"").is_err());
        }
    }
}
