use super::*;
use crate::request::tests::Owned;

const KEY_ID: &str = "dw_hs_test_0123456789abcdef";
const NONCE: &str = "00112233445566778899aabbccddeeff";
const BODY: &[u8] = br#"{"item":"tea"}"#;
/// What the shell lines of the module's page print for this request (OpenSSL 3.0).
const BY_SHELL: &str = "HMAC-SHA256 keyid=dw_hs_test_0123456789abcdef, created=1700000000, \
    nonce=00112233445566778899aabbccddeeff, \
    digest=b5dc57d2f744f0443347794b84a6fc8956566e0fd2f8a330d17301d5ddfc44d7, \
    signature=49a9b66fb80f51c94b496d09f8e850257d3b414555a31aee9a59c909ffa30d48";

fn secret() -> Secret {
    Secret::from_text("dw_hs_test_0000000000000001".into())
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn plain() -> Owned {
    Owned::new("POST", "api.example.com", "/orders?dry=1")
}

fn signed() -> Owned {
    plain().with("authorization", BY_SHELL)
}

fn judged(request: &Owned) -> Result<Verified, HmacRequestDefect> {
    judged_at(request, now())
}

fn judged_at(request: &Owned, now: Timestamp) -> Result<Verified, HmacRequestDefect> {
    let head = request.head();
    let claimed = parse(&head)?.ok_or(HmacRequestDefect::Malformed("nothing"))?;
    let known = [&secret()];
    let secrets: &[&Secret] = if claimed.key_id() == KEY_ID {
        &known
    } else {
        &[]
    };
    claimed.verify(secrets, now, &Rules::default())
}

#[test]
fn what_the_shell_signs_verifies() {
    let verified = judged(&signed()).unwrap();
    assert_eq!(verified.key_id, KEY_ID);
    assert_eq!(verified.created, Some(now()));
    assert_eq!(verified.nonce.as_deref(), Some(NONCE));
    assert_eq!(verified.replay.until, now().plus(WINDOW));
    assert!(matches!(verified.body, BodyDigest::Sha256(hash) if hash == sha256(BODY)));
}

#[test]
fn we_sign_as_the_shell_does() {
    let made = sign(
        &plain().head(),
        &sha256(BODY),
        KEY_ID,
        &secret(),
        NONCE,
        now(),
    )
    .unwrap();
    assert_eq!(made.expose_text(), Some(BY_SHELL));
    let refused = |key_id, nonce| {
        sign(
            &plain().head(),
            &empty_body(),
            key_id,
            &secret(),
            nonce,
            now(),
        )
        .is_none()
    };
    assert!(refused("a, b", NONCE));
    assert!(refused(KEY_ID, "short"));
    assert!(refused(KEY_ID, "0011223344556677, digest=00"));
}

#[test]
fn d03_any_changed_byte_refuses() {
    for (change, other) in signed().neighbours(&["authorization"]) {
        // A scheme has no case (RFC 9110 §11.1).
        let value = other.headers["authorization"].to_str().unwrap();
        if value != BY_SHELL
            && value.eq_ignore_ascii_case(BY_SHELL)
            && value.ends_with(&BY_SHELL[11..])
        {
            continue;
        }
        assert!(judged(&other).is_err(), "{change}");
    }
}

#[test]
fn a01_the_target_is_signed_as_it_was_sent() {
    for (path, query) in [
        ("/orders", None),
        ("/orders", Some("")),
        ("/orders", Some("dry=1&a=1")),
        ("/%6frders", Some("dry=1")),
        ("/x/../orders", Some("dry=1")),
        ("//orders", Some("dry=1")),
        ("/orders?dry=1", None),
    ] {
        let mut other = signed();
        other.path = path.into();
        other.query = query.map(str::to_owned);
        // A question mark divides path and query wherever it stands; the two can't be confused.
        let same = other.head().target() == plain().head().target();
        assert_eq!(judged(&other).is_ok(), same, "{path} {query:?}");
    }
    let mut swapped = plain();
    swapped.query = Some("a=1&b=2".into());
    let made = sign(
        &swapped.head(),
        &empty_body(),
        KEY_ID,
        &secret(),
        NONCE,
        now(),
    )
    .unwrap();
    let mut swapped = swapped.with("authorization", made.expose_text().unwrap());
    judged(&swapped).unwrap();
    swapped.query = Some("b=2&a=1".into());
    assert_eq!(judged(&swapped).unwrap_err(), HmacRequestDefect::Signature);
}

#[test]
fn d03_another_secret_refuses_and_any_of_several_is_found() {
    let request = signed();
    let (wrong, right) = (Secret::from_text("another".into()), secret());
    let verify = |secrets: &[&Secret]| {
        let head = request.head();
        let claimed = parse(&head).unwrap().unwrap();
        claimed
            .verify(secrets, now(), &Rules::default())
            .map(|verified| verified.key)
    };
    assert_eq!(verify(&[&wrong]), Err(HmacRequestDefect::Signature));
    assert_eq!(verify(&[]), Err(HmacRequestDefect::Signature));
    assert_eq!(verify(&[&wrong, &right]), Ok(1));
}

#[test]
fn d05_the_window_has_two_sides() {
    let at = |secs: i64| {
        let now = Timestamp::from_secs(now().as_secs() + secs);
        judged_at(&signed(), now).map(|_| ())
    };
    assert_eq!(at(-301), Err(HmacRequestDefect::InFuture));
    assert_eq!(at(-299), Ok(()));
    assert_eq!(at(299), Ok(()));
    assert_eq!(at(301), Err(HmacRequestDefect::Stale));
}

#[test]
fn c11_what_is_not_written_as_it_must_be_is_refused() {
    use HmacRequestDefect::Malformed;
    for (from, to, defect) in [
        ("keyid=", "key=", Malformed("keyid")),
        (KEY_ID, "", Malformed("keyid")),
        (KEY_ID, "a/b", Malformed("keyid")),
        (", created=1700000000", "", Malformed("created")),
        (
            "created=1700000000",
            "created=01700000000",
            Malformed("created"),
        ),
        ("created=1700000000", "created=-1", Malformed("created")),
        (
            "created=1700000000",
            "created=17000000000",
            Malformed("created"),
        ),
        (
            "created=1700000000",
            "created=1700000000, created=1",
            Malformed("nonce"),
        ),
        (NONCE, "short", Malformed("nonce")),
        (NONCE, "0011223344556677 8899", Malformed("nonce")),
        ("digest=b5", "digest=B5", Malformed("digest")),
        ("digest=b5", "digest=", Malformed("digest")),
        ("signature=49", "signature=", Malformed("signature")),
        ("signature=", "x=1, signature=", Malformed("signature")),
        ("ffa30d48", "ffa30d48, x=1", Malformed("end")),
        (", nonce", ",nonce", Malformed("nonce")),
    ] {
        assert!(BY_SHELL.contains(from), "{from}");
        let request = plain().with("authorization", &BY_SHELL.replacen(from, to, 1));
        assert_eq!(judged(&request).unwrap_err(), defect, "{from} {to}");
    }
    let twice = signed().with("authorization", BY_SHELL);
    assert_eq!(
        judged(&twice).unwrap_err(),
        HmacRequestDefect::Header(NotOne)
    );
    for other in ["Bearer abc", "HMAC-SHA2567 keyid=1", "Basic HMAC-SHA256"] {
        let request = plain().with("authorization", other);
        assert!(parse(&request.head()).unwrap().is_none(), "{other}");
    }
    assert!(parse(&plain().head()).unwrap().is_none());
    let bare = plain().with("authorization", "HMAC-SHA256");
    assert_eq!(judged(&bare).unwrap_err(), Malformed("keyid"));
}

#[test]
fn d05_a_nonce_is_spent_whatever_it_stands_in() {
    let id = |path: &str, nonce: &str| {
        let mut request = plain();
        request.path = path.into();
        let made = sign(
            &request.head(),
            &empty_body(),
            KEY_ID,
            &secret(),
            nonce,
            now(),
        )
        .unwrap();
        let request = request.with("authorization", made.expose_text().unwrap());
        judged(&request).unwrap().replay.id
    };
    assert_eq!(id("/a", NONCE), id("/b", NONCE));
    assert_ne!(
        id("/a", NONCE),
        id("/a", "ffeeddccbbaa99887766554433221100")
    );
}

#[test]
fn every_defect_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = HmacRequestDefect::ALL
        .iter()
        .map(|defect| defect.code())
        .collect();
    assert_eq!(codes.len(), HmacRequestDefect::ALL.len());
}

proptest::proptest! {
    #[test]
    fn any_credentials_are_read_or_refused_without_a_panic(value in "(HMAC-SHA256 )?[ -~]{0,160}") {
        let _ = parse(&plain().with("authorization", &value).head());
    }
}
