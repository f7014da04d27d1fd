use serde_json::Value;

use super::*;
use crate::{
    digest::sha256,
    request::{BodyDigest, Verified, tests::Owned},
    time::Timestamp,
};

mod botocore;
mod suite;

const EXAMPLES: &str = include_str!("../../../../vectors/sigv4/s3.json");
const REGION: &str = "eu-central-1";
const SERVICE: &str = "execute-api";
const KEY_ID: &str = "dw_hs_live_0123456789abcdef";

fn secret() -> Secret {
    Secret::from_text("a secret of our own".into())
}

fn now() -> Timestamp {
    calendar_time("20130524T000000Z")
}

fn calendar_time(text: &str) -> Timestamp {
    crate::calendar::parse_basic(text).unwrap()
}

pub(super) fn rules<'a>(regions: &'a [&'a str], services: &'a [&'a str]) -> Rules<'a, &'a str> {
    Rules {
        regions,
        services,
        window: WINDOW,
        presigned: Some(PRESIGNED_LIFETIME_CEILING),
        leeway: Leeway::default(),
        paths: None,
        unsigned_payload: false,
        signed_chunks: true,
        unsigned_chunks: false,
        max_chunk_bytes: 128 * 1024,
        signed_if_present: &[],
    }
}

fn judged(request: &Owned) -> Result<Verified, SigV4Defect> {
    judged_by(request, &rules(&[REGION], &[SERVICE]), now())
}

fn judged_by(
    request: &Owned,
    rules: &Rules<'_, &str>,
    now: Timestamp,
) -> Result<Verified, SigV4Defect> {
    let head = request.head();
    let claimed = parse(&head)?.ok_or(SigV4Defect::Malformed("nothing"))?;
    // The id is not signed: it says which secret to look up, and another id has another one.
    let known = [&secret()];
    let secrets: &[&Secret] = if claimed.key_id() == KEY_ID {
        &known
    } else {
        &[]
    };
    claimed.verify(secrets, Some(&sha256(b"")), now, rules)
}

fn signed(mut request: Owned, payload: Payload) -> Owned {
    let secret = secret();
    let signer = Signer::new(KEY_ID, &secret, REGION, SERVICE);
    let fields = signer.sign(&request.head(), payload, &[], now()).unwrap();
    for (name, value) in fields.headers {
        request.headers.insert(name, value);
    }
    request
}

fn presigned(mut request: Owned, secs: u64) -> Owned {
    let secret = secret();
    let signer = Signer::new(KEY_ID, &secret, REGION, SERVICE);
    let life = Duration::from_secs(secs);
    let query = signer.presign(&request.head(), Payload::empty(), life, now());
    request.query = Some(query.unwrap());
    request
}

fn plain() -> Owned {
    Owned::new("POST", "api.example.com", "/orders/a%20b?b=2&a=1%2F")
        .with("content-type", "application/json")
        .with("x-amz-meta-colour", "green")
}

fn resigned(change: impl FnOnce(&mut Owned)) -> Owned {
    let mut request = signed(plain(), Payload::empty());
    change(&mut request);
    request
}

fn edited(request: &mut Owned, from: &str, to: &str) {
    let value = request.headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(value.contains(from), "{value}");
    request.set("authorization", &value.replacen(from, to, 1));
}

#[test]
fn the_published_examples_verify() {
    let file: Value = serde_json::from_str(EXAMPLES).unwrap();
    let secret = Secret::from_text(file["secret"].as_str().unwrap().into());
    for case in file["requests"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let mut request = Owned::new(text("method"), text("authority"), text("target"));
        for field in case["headers"].as_array().unwrap() {
            request.add(field[0].as_str().unwrap(), field[1].as_str().unwrap());
        }
        let head = request.head();
        let claimed = parse(&head).unwrap().unwrap();
        assert_eq!(claimed.key_id(), file["key_id"], "{}", text("name"));
        let rules = rules(&["us-east-1"], &["s3"]);
        let verified = claimed.verify(&[&secret], None, now(), &rules);
        let verified = verified.unwrap_or_else(|defect| panic!("{}: {defect}", text("name")));
        let expected = if verified.reusable {
            matches!(verified.body, BodyDigest::Empty)
        } else {
            matches!(verified.body, BodyDigest::Sha256(_))
        };
        assert!(expected, "{}", text("name"));
    }
}

#[test]
fn what_we_sign_we_verify() {
    let request = signed(plain(), Payload::Hash(sha256(b"{}")));
    let verified = judged(&request).unwrap();
    assert_eq!(verified.key_id, KEY_ID);
    assert_eq!(verified.key, 0);
    assert_eq!(verified.created, Some(now()));
    assert_eq!(verified.expires, None);
    assert_eq!(verified.replay.until, now().plus(WINDOW));
    assert!(!verified.reusable);
    assert_eq!(
        verified.covered,
        [
            "content-type",
            "host",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-meta-colour"
        ]
    );
    assert!(matches!(verified.body, BodyDigest::Sha256(hash) if hash == sha256(b"{}")));

    let request = presigned(plain(), 900);
    let verified = judged(&request).unwrap();
    assert!(verified.reusable);
    assert_eq!(verified.expires, Some(now().plus(Duration::from_secs(900))));
    assert!(matches!(verified.body, BodyDigest::Checked));
}

#[test]
fn d03_any_changed_byte_refuses() {
    let fields = [
        "content-type",
        "x-amz-meta-colour",
        "x-amz-date",
        "authorization",
    ];
    let fields_with_hash = [fields.as_slice(), &["x-amz-content-sha256"]].concat();
    let request = signed(plain(), Payload::empty());
    judged(&request).unwrap();
    for (change, other) in request.neighbours(&fields_with_hash) {
        // Blanks between the parts of the credentials mean nothing.
        let blank = |request: &Owned| {
            let value = request.headers["authorization"].to_str().unwrap();
            value.replace(", ", ",")
        };
        if other.query == request.query
            && other.path == request.path
            && other.headers["authorization"] != request.headers["authorization"]
            && blank(&other) == blank(&request)
        {
            continue;
        }
        assert!(judged(&other).is_err(), "{change}");
    }
    let request = presigned(plain(), 900);
    judged(&request).unwrap();
    for (change, other) in request.neighbours(&["content-type", "x-amz-meta-colour"]) {
        assert!(judged(&other).is_err(), "{change}");
    }
}

#[test]
fn the_order_of_query_parameters_is_not_signed_and_their_values_are() {
    let with = |query: &str| {
        let mut other = signed(plain(), Payload::empty());
        other.query = Some(query.to_owned());
        judged(&other).map(|_| ())
    };
    assert_eq!(plain().query.as_deref(), Some("b=2&a=1%2F"));
    assert_eq!(with("a=1%2F&b=2"), Ok(()));
    for other in [
        "b=2",
        "b=2&a=1%2F&c=3",
        "b=1%2F&a=2",
        "b=2&a=1%2F&a=1%2F",
        "b=2&a=1%2f",
    ] {
        assert_eq!(with(other), Err(SigV4Defect::Signature), "{other}");
    }
}

#[test]
fn d03_another_secret_refuses_and_any_of_several_is_found() {
    let request = signed(plain(), Payload::empty());
    let wrong = Secret::from_text("another secret".into());
    let right = secret();
    let verify = |secrets: &[&Secret]| {
        let head = request.head();
        let claimed = parse(&head).unwrap().unwrap();
        claimed
            .verify(secrets, None, now(), &rules(&[REGION], &[SERVICE]))
            .map(|verified| verified.key)
    };
    assert_eq!(verify(&[&wrong]), Err(SigV4Defect::Signature));
    assert_eq!(verify(&[]), Err(SigV4Defect::Signature));
    assert_eq!(verify(&[&wrong, &right]), Ok(1));
}

#[test]
fn a_request_without_this_kind_of_claim_makes_none() {
    for request in [
        plain(),
        plain().with("authorization", "Bearer abc"),
        Owned::new("GET", "a", "/?x-amz-meta=1&Signature=2"),
    ] {
        assert!(parse(&request.head()).unwrap().is_none());
    }
    // Only who claims to have signed is held to a number of parameters.
    let mut long = plain();
    long.query = Some("a=1&".repeat(MAX_QUERY_PARAMETERS + 1));
    assert!(parse(&long.head()).unwrap().is_none());
    let long = signed(long, Payload::empty());
    assert_eq!(
        parse(&long.head()).unwrap_err(),
        SigV4Defect::Malformed("query")
    );
}

#[test]
fn d03_credentials_in_two_places_are_refused() {
    let mut both = presigned(plain(), 900);
    both.set("authorization", "Bearer abc");
    assert_eq!(parse(&both.head()).unwrap_err(), SigV4Defect::TwoPlaces);
    let mut both = signed(plain(), Payload::empty());
    // Even where the second is not whole.
    both.query = Some("X-Amz-Signature=00".into());
    assert_eq!(parse(&both.head()).unwrap_err(), SigV4Defect::TwoPlaces);
    let twice = signed(plain(), Payload::empty()).with("authorization", "Bearer abc");
    assert_eq!(
        parse(&twice.head()).unwrap_err(),
        SigV4Defect::Header(crate::request::NotOne)
    );
}

#[test]
fn d04_what_must_be_signed_and_is_not_refuses() {
    let late = resigned(|request| request.add("x-amz-acl", "public-read"));
    assert_eq!(judged(&late).unwrap_err(), SigV4Defect::NotSigned);
    let bare = signed(Owned::new("POST", "api.example.com", "/"), Payload::empty());
    let typed = bare.clone().with("content-type", "text/plain");
    assert_eq!(judged(&typed).unwrap_err(), SigV4Defect::NotSigned);
    let ranged = bare.with("range", "bytes=0-9");
    judged(&ranged).unwrap();
    let rules = Rules {
        signed_if_present: &["range"],
        ..rules(&[REGION], &[SERVICE])
    };
    assert_eq!(
        judged_by(&ranged, &rules, now()).unwrap_err(),
        SigV4Defect::NotSigned
    );
}

#[test]
fn d04_lists_of_signed_fields_must_be_whole_sorted_and_without_doubles() {
    const LIST: &str = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-colour";
    for other in [
        "",
        "host",
        "content-type;x-amz-content-sha256;x-amz-date;x-amz-meta-colour",
        "host;content-type;x-amz-content-sha256;x-amz-date;x-amz-meta-colour",
        "content-type;host;host;x-amz-content-sha256;x-amz-date;x-amz-meta-colour",
        "Content-Type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-colour",
        "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-colour;",
        "absent;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-colour",
    ] {
        let request = resigned(|request| edited(request, LIST, other));
        assert!(judged(&request).is_err(), "{other}");
    }
    let many: Vec<String> = (0..MAX_SIGNED_HEADERS)
        .map(|n| format!("a{n:03}"))
        .collect();
    let many = format!("{};host", many.join(";"));
    let request = resigned(|request| edited(request, LIST, &many));
    assert_eq!(
        judged(&request).unwrap_err(),
        SigV4Defect::Malformed("SignedHeaders")
    );
}

#[test]
fn credentials_that_are_not_written_as_they_must_be_are_refused() {
    use SigV4Defect::{Algorithm, Malformed};
    for (from, to, defect) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", Algorithm),
        ("AWS4-HMAC-SHA256", "aws4-hmac-sha256", Algorithm),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", Algorithm),
        ("Credential=", "Credentials=", Malformed("Authorization")),
        (
            "Credential=",
            "Signature=0,Credential=",
            Malformed("Signature"),
        ),
        (
            "Credential=",
            "Foo=bar,Credential=",
            Malformed("Authorization"),
        ),
        ("aws4_request", "aws3_request", Malformed("Credential")),
        ("/aws4_request", "", Malformed("Credential")),
        (KEY_ID, "", Malformed("Credential")),
        (KEY_ID, "a/b", Malformed("Credential")),
        ("Signature=", "Signature=0", Malformed("Signature")),
    ] {
        let request = resigned(|request| edited(request, from, to));
        assert_eq!(judged(&request).unwrap_err(), defect, "{from} {to}");
    }
    let upper = resigned(|request| {
        let value = request.headers["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        let (start, signature) = value.rsplit_once('=').unwrap();
        let other = format!("{start}={}", signature.to_ascii_uppercase());
        request.set("authorization", &other);
    });
    assert_eq!(judged(&upper).unwrap_err(), Malformed("Signature"));
}

#[test]
fn presigned_parameters_that_are_not_written_as_they_must_be_are_refused() {
    let request = presigned(plain(), 900);
    let query = request.query.clone().unwrap();
    for (from, to) in [
        ("X-Amz-Date=", "x-amz-date="),
        ("X-Amz-Expires=900", "X-Amz-Expires=0"),
        ("X-Amz-Expires=900", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=900", "X-Amz-Expires=0900"),
        ("X-Amz-Expires=900", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900"),
        ("X-Amz-Expires=900&", ""),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none"),
        (
            "X-Amz-SignedHeaders=content-type%3Bhost",
            "X-Amz-SignedHeaders=host%3Bcontent-type",
        ),
        ("X-Amz-Credential=", "X-Amz-Credential=%zz"),
    ] {
        assert!(query.contains(from), "{from} in {query}");
        let mut other = request.clone();
        other.query = Some(query.replacen(from, to, 1));
        assert!(parse(&other.head()).is_err(), "{to}");
    }
}

#[test]
fn session_tokens_are_refused_wherever_they_stand() {
    let in_header = resigned(|request| request.add("x-amz-security-token", "t"));
    assert_eq!(judged(&in_header).unwrap_err(), SigV4Defect::SessionToken);
    let mut in_query = presigned(plain(), 900);
    in_query.query = in_query
        .query
        .map(|query| format!("{query}&x-amz-security-token=t"));
    assert_eq!(judged(&in_query).unwrap_err(), SigV4Defect::SessionToken);
}

#[test]
fn a_scope_that_is_not_listed_is_refused() {
    let request = signed(plain(), Payload::empty());
    let by = |regions: &[&str], services: &[&str]| {
        judged_by(&request, &rules(regions, services), now()).map(|_| ())
    };
    assert_eq!(by(&[REGION], &[SERVICE]), Ok(()));
    assert_eq!(by(&["us-east-1"], &[SERVICE]), Err(SigV4Defect::Region));
    assert_eq!(by(&[REGION], &["s3"]), Err(SigV4Defect::Service));
    assert_eq!(by(&[], &[]), Err(SigV4Defect::Region));
    // The scope's date is the day of the time.
    let other_day = resigned(|request| edited(request, "20130524", "20130523"));
    assert_eq!(judged(&other_day).unwrap_err(), SigV4Defect::Time);
}

#[test]
fn d05_the_window_has_two_sides() {
    let request = signed(plain(), Payload::empty());
    let rules = rules(&[REGION], &[SERVICE]);
    let at = |secs: i64| {
        let now = Timestamp::from_secs(now().as_secs() + secs);
        judged_by(&request, &rules, now).map(|_| ())
    };
    assert_eq!(at(-301), Err(SigV4Defect::InFuture));
    assert_eq!(at(-299), Ok(()));
    assert_eq!(at(299), Ok(()));
    assert_eq!(at(301), Err(SigV4Defect::Stale));
}

#[test]
fn a_presigned_request_ends() {
    let request = presigned(plain(), 900);
    let at = |secs: i64| {
        let now = Timestamp::from_secs(now().as_secs() + secs);
        judged_by(&request, &rules(&[REGION], &[SERVICE]), now).map(|_| ())
    };
    assert_eq!(at(-301), Err(SigV4Defect::InFuture));
    assert_eq!(at(959), Ok(()));
    assert_eq!(at(961), Err(SigV4Defect::Stale));
    let strict = Rules {
        presigned: Some(Duration::from_secs(899)),
        ..rules(&[REGION], &[SERVICE])
    };
    assert_eq!(
        judged_by(&request, &strict, now()).unwrap_err(),
        SigV4Defect::LifetimeTooLong
    );
    let none = Rules {
        presigned: None,
        ..rules(&[REGION], &[SERVICE])
    };
    assert_eq!(
        judged_by(&request, &none, now()).unwrap_err(),
        SigV4Defect::Presigned
    );
}

#[test]
fn the_date_field_serves_where_it_is_signed() {
    let request = |names: &str| {
        let secret = secret();
        let mut request =
            Owned::new("GET", "api.example.com", "/").with("date", "Fri, 24 May 2013 00:00:00 GMT");
        let scope = Scope {
            date: "20130524".into(),
            region: REGION.into(),
            service: SERVICE.into(),
        };
        let names: Vec<String> = names.split(';').map(str::to_owned).collect();
        let head = request.head();
        let headers = canonical::headers(&head, &names).unwrap();
        let hash = hex(&sha256(b""));
        let text = canonical::request("GET", "/", "", &headers, &names, &hash);
        let text = string_to_sign("20130524T000000Z", &scope, &text);
        let signature = hex(&hmac_sha256(&*scope.derive(&secret), text.as_bytes()));
        let value = format!(
            "{ALGORITHM} Credential={KEY_ID}/{}, SignedHeaders={}, Signature={signature}",
            scope.text(),
            names.join(";")
        );
        request.add("authorization", &value);
        request
    };
    judged(&request("date;host")).unwrap();
    assert_eq!(
        judged(&request("host")).unwrap_err(),
        SigV4Defect::NotSigned
    );
    let mut none = request("date;host");
    none.headers.remove("date");
    assert_eq!(judged(&none).unwrap_err(), SigV4Defect::Time);
}

#[test]
fn d04_a_body_that_is_not_signed_passes_only_where_the_rules_say_so() {
    let request = signed(plain(), Payload::Unsigned);
    assert_eq!(
        judged(&request).unwrap_err(),
        SigV4Defect::PayloadNotAllowed
    );
    let open = Rules {
        unsigned_payload: true,
        ..rules(&[REGION], &[SERVICE])
    };
    let verified = judged_by(&request, &open, now()).unwrap();
    assert!(matches!(verified.body, BodyDigest::Unsigned));
    let streamed = signed(
        plain().with("x-amz-decoded-content-length", "0"),
        Payload::UnsignedChunks,
    );
    assert_eq!(
        judged(&streamed).unwrap_err(),
        SigV4Defect::PayloadNotAllowed
    );
    let closed = Rules {
        signed_chunks: false,
        ..rules(&[REGION], &[SERVICE])
    };
    let chunked = signed(
        plain().with("x-amz-decoded-content-length", "0"),
        Payload::SignedChunks { trailers: false },
    );
    assert_eq!(
        judged_by(&chunked, &closed, now()).unwrap_err(),
        SigV4Defect::PayloadNotAllowed
    );
    let no_length = signed(plain(), Payload::SignedChunks { trailers: false });
    assert_eq!(judged(&no_length).unwrap_err(), SigV4Defect::DecodedLength);
}

#[test]
fn d04_a_hash_that_is_not_named_is_asked_for_and_compared() {
    let secret = secret();
    let request = presigned(plain(), 900);
    let verify = |body: Option<&[u8]>| {
        let head = request.head();
        let claimed = parse(&head).unwrap().unwrap();
        assert!(claimed.needs_body());
        let hash = body.map(sha256);
        claimed
            .verify(
                &[&secret],
                hash.as_ref(),
                now(),
                &rules(&[REGION], &[SERVICE]),
            )
            .map(|_| ())
    };
    assert_eq!(verify(Some(b"")), Ok(()));
    assert_eq!(verify(Some(b"x")), Err(SigV4Defect::Signature));
    assert_eq!(verify(None), Err(SigV4Defect::BodyNotHashed));
}

#[test]
fn each_signature_is_remembered_under_an_id_of_its_own() {
    let id = |request: &Owned| judged(request).unwrap().replay.id;
    let one = signed(plain(), Payload::empty());
    let mut other = plain();
    other.path = "/orders/c".into();
    let other = signed(other, Payload::empty());
    assert_eq!(id(&one), id(&one.clone()));
    assert_ne!(id(&one), id(&other));
}

#[test]
fn every_defect_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = SigV4Defect::ALL
        .iter()
        .map(|defect| defect.code())
        .collect();
    assert_eq!(codes.len(), SigV4Defect::ALL.len());
}

proptest::proptest! {
    #[test]
    fn any_credentials_are_read_or_refused_without_a_panic(
        value in "(AWS4-HMAC-SHA256 )?[ -~]{0,120}",
        query in "(X-Amz-[A-Za-z0-9-]{0,12}=[ -~]{0,12}&?){0,6}",
    ) {
        let mut request = Owned::new("GET", "a", "/");
        request.query = Some(query);
        let _ = parse(&request.head());
        let _ = parse(&request.with("authorization", &value).head());
    }

    #[test]
    fn whatever_is_sent_verifies_if_it_was_signed(
        path in "/[!-~]{0,40}",
        query in proptest::option::of("[!-~]{0,60}"),
        value in "[ -~]{0,20}",
    ) {
        let mut request = Owned::new("PUT", "api.example.com", "/").with("x-amz-meta-a", &value);
        request.path = path;
        request.query = query;
        let request = signed(request, Payload::empty());
        let verdict = judged(&request).map(|_| ());
        proptest::prop_assert_eq!(verdict, Ok(()));
    }
}
