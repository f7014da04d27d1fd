use http::{HeaderName, header};
use serde_json::Value;

use super::*;
use crate::{
    base64std, content_digest,
    request::{BodyDigest, Verified, tests::Owned},
    time::Timestamp,
};

mod peers;
mod refusals;
mod under_way;

const RFC: &str = include_str!("../../../../vectors/httpsig/rfc9421.json");
const KEY_ID: &str = "dw_hs_live_0123456789abcdef";

fn now() -> Timestamp {
    Timestamp::from_secs(1_618_884_480)
}

fn secret() -> Secret {
    Secret::from_text("a secret of our own".into())
}

fn lax() -> Rules<'static> {
    Rules {
        required: &[],
        required_if_present: &[],
        unsigned_body: true,
        ..Rules::default()
    }
}

/// The key of a vector, as something to verify with.
enum Published {
    Shared(Secret),
    Public(VerifyingKey),
}

impl Published {
    fn read(file: &Value, name: &str) -> Self {
        let key = &file["keys"][name];
        let bytes = |field: &str| base64std::decode(key[field].as_str().unwrap().as_bytes());
        match key["alg"].as_str() {
            None => Self::Shared(Secret::new(bytes("secret").unwrap())),
            Some(alg) => {
                let alg = alg::Algorithm::from_name(alg).unwrap();
                let spki = bytes("spki").unwrap();
                Self::Public(VerifyingKey::from_spki_der(&spki, alg, None).unwrap())
            }
        }
    }

    fn key(&self) -> Key<'_> {
        match self {
            Self::Shared(secret) => Key::Shared(secret),
            Self::Public(key) => Key::Public(key),
        }
    }
}

fn rfc() -> Value {
    serde_json::from_str(RFC).unwrap()
}

fn rfc_request(file: &Value) -> Owned {
    request_of(&file["request"])
}

fn request_of(case: &Value) -> Owned {
    let text = |name: &str| case[name].as_str().unwrap();
    let mut request = Owned::new(text("method"), text("authority"), text("target"));
    for field in case["headers"].as_array().unwrap() {
        request.add(field[0].as_str().unwrap(), field[1].as_str().unwrap());
    }
    request
}

#[test]
fn the_published_signatures_verify() {
    let file = rfc();
    for case in file["signatures"].as_array().unwrap() {
        let source = case["source"].as_str().unwrap();
        let mut request = rfc_request(&file);
        request.add("signature-input", case["input"].as_str().unwrap());
        request.add("signature", case["signature"].as_str().unwrap());
        let published = Published::read(&file, case["key"].as_str().unwrap());
        let head = request.head();
        let claimed = parse(&head, None).unwrap().unwrap();
        assert_eq!(claimed.key_id(), case["key"], "{source}");
        let verified = claimed.verify(&[published.key()], now(), &lax());
        let verified = verified.unwrap_or_else(|defect| panic!("{source}: {defect}"));
        let covers_body = case["input"].as_str().unwrap().contains("content-digest");
        assert_eq!(
            matches!(verified.body, BodyDigest::Sha512(_)),
            covers_body,
            "{source}"
        );
    }
}

#[test]
fn the_published_signature_of_a_response_is_its_keys() {
    // Responses are not read here; the algorithm is the same.
    let file = rfc();
    for case in file["responses"].as_array().unwrap() {
        let published = Published::read(&file, case["key"].as_str().unwrap());
        let signature = base64std::decode(case["signature"].as_str().unwrap().as_bytes()).unwrap();
        let base = case["base"].as_str().unwrap().as_bytes();
        assert!(published.key().verifies(base, &signature));
        assert!(!published.key().verifies(&base[1..], &signature));
    }
}

#[test]
fn we_sign_as_published() {
    let file = rfc();
    let request = rfc_request(&file);
    let field = |name: &'static str| Component::field(HeaderName::from_static(name));
    let parameters = |label, key_id| SignParameters {
        label,
        key_id,
        created: Timestamp::from_secs(1_618_884_473),
        expires: None,
        nonce: None,
        tag: None,
        name_algorithm: false,
    };
    let shared = match Published::read(&file, "test-shared-secret") {
        Published::Shared(secret) => secret,
        Published::Public(_) => panic!("a shared secret"),
    };
    let pkcs8 = file["keys"]["test-key-ed25519"]["pkcs8"].as_str().unwrap();
    let pkcs8 = Secret::new(base64std::decode(pkcs8.as_bytes()).unwrap());
    let private = SigningKey::from_pkcs8(alg::Algorithm::EdDSA, &pkcs8).unwrap();
    for (source, components, parameters, key) in [
        (
            "RFC 9421 B.2.5",
            vec![field("date"), Component::Authority, field("content-type")],
            parameters("sig-b25", "test-shared-secret"),
            SignerKey::Shared(&shared),
        ),
        (
            "RFC 9421 B.2.6",
            vec![
                field("date"),
                Component::Method,
                Component::Path,
                Component::Authority,
                field("content-type"),
                field("content-length"),
            ],
            parameters("sig-b26", "test-key-ed25519"),
            SignerKey::Private(&private),
        ),
    ] {
        let cases = file["signatures"].as_array().unwrap();
        let case = cases.iter().find(|case| case["source"] == source).unwrap();
        let signed = sign(&request.head(), &components, &parameters, key).unwrap();
        assert_eq!(case["input"], signed.signature_input.to_str().unwrap());
        assert_eq!(case["signature"], signed.signature.to_str().unwrap());
    }
}

fn plain() -> Owned {
    Owned::new("POST", "api.example.com", "/orders/a%20b?b=2&a=1%2F")
        .with("content-type", "application/json")
        .with("content-digest", &content_digest::value_sha256(b"{}"))
}

fn all() -> Vec<Component> {
    [
        REQUIRED.as_slice(),
        &[
            Component::field(header::CONTENT_TYPE),
            Component::field(content_digest::CONTENT_DIGEST),
        ],
    ]
    .concat()
}

fn parameters() -> SignParameters<'static> {
    SignParameters {
        label: "sig1",
        key_id: KEY_ID,
        created: now(),
        expires: None,
        nonce: Some("a-nonce"),
        tag: Some("orders"),
        name_algorithm: true,
    }
}

fn signed_with(
    mut request: Owned,
    components: &[Component],
    parameters: &SignParameters<'_>,
    key: SignerKey<'_>,
) -> Owned {
    let fields = sign(&request.head(), components, parameters, key).unwrap();
    request
        .headers
        .insert("signature-input", fields.signature_input);
    request.headers.insert("signature", fields.signature);
    request
}

fn signed(request: Owned, components: &[Component]) -> Owned {
    signed_with(
        request,
        components,
        &parameters(),
        SignerKey::Shared(&secret()),
    )
}

fn judged(request: &Owned) -> Result<Verified, HttpSigDefect> {
    judged_by(request, now(), &Rules::default())
}

fn judged_by(
    request: &Owned,
    now: Timestamp,
    rules: &Rules<'_>,
) -> Result<Verified, HttpSigDefect> {
    let head = request.head();
    let claimed = parse(&head, None)?.ok_or(HttpSigDefect::Fields)?;
    claimed.verify(&[Key::Shared(&secret())], now, rules)
}

/// The request with one thing written otherwise in `Signature-Input`.
fn edited(from: &str, to: &str) -> Owned {
    let mut request = signed(plain(), &all());
    let value = request.headers["signature-input"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(value.contains(from), "{from} in {value}");
    request.set("signature-input", &value.replacen(from, to, 1));
    request
}

#[test]
fn what_we_sign_we_verify() {
    let verified = judged(&signed(plain(), &all())).unwrap();
    assert_eq!(verified.key_id, KEY_ID);
    assert_eq!(verified.created, Some(now()));
    assert_eq!(verified.nonce.as_deref(), Some("a-nonce"));
    assert_eq!(verified.tag.as_deref(), Some("orders"));
    assert_eq!(verified.replay.until, now().plus(WINDOW));
    assert_eq!(
        verified.covered,
        [
            "@method",
            "@authority",
            "@path",
            "@query",
            "content-type",
            "content-digest"
        ]
    );
    assert!(matches!(verified.body, BodyDigest::Sha256(_)));
    for (alg, name) in [
        (alg::Algorithm::EdDSA, "ed25519"),
        (alg::Algorithm::ES256, "ecdsa-p256-sha256"),
        (alg::Algorithm::ES384, "ecdsa-p384-sha384"),
    ] {
        let private = SigningKey::generate(alg).unwrap();
        let public = private.verifying_key().unwrap();
        let key = SignerKey::Private(&private);
        let request = signed_with(plain(), &all(), &parameters(), key);
        assert!(
            request.headers["signature-input"]
                .to_str()
                .unwrap()
                .contains(name)
        );
        let head = request.head();
        let claimed = parse(&head, Some("orders")).unwrap().unwrap();
        claimed
            .verify(&[Key::Public(&public)], now(), &Rules::default())
            .unwrap();
    }
}

#[test]
fn d03_any_changed_byte_refuses() {
    let request = signed(plain(), &all());
    judged(&request).unwrap();
    let fields = [
        "content-type",
        "content-digest",
        "signature-input",
        "signature",
    ];
    for (change, other) in request.neighbours(&fields) {
        // A host has no case; blanks between components mean nothing, and neither does a label.
        let same_host = other.authority.eq_ignore_ascii_case(&request.authority);
        if other.authority != request.authority && same_host {
            continue;
        }
        match judged(&other) {
            Err(_) => {}
            Ok(_) => panic!("{change}"),
        }
    }
}

#[test]
fn d03_another_key_refuses_and_any_of_several_is_found() {
    let request = signed(plain(), &all());
    let (wrong, right) = (Secret::from_text("another".into()), secret());
    let private = SigningKey::generate(alg::Algorithm::EdDSA).unwrap();
    let public = private.verifying_key().unwrap();
    let verify = |keys: &[Key<'_>]| {
        let head = request.head();
        let claimed = parse(&head, None).unwrap().unwrap();
        claimed
            .verify(keys, now(), &Rules::default())
            .map(|verified| verified.key)
    };
    assert_eq!(
        verify(&[Key::Shared(&wrong)]),
        Err(HttpSigDefect::Signature)
    );
    assert_eq!(verify(&[]), Err(HttpSigDefect::Signature));
    // The algorithm is the key's, whatever the signature says.
    assert_eq!(
        verify(&[Key::Public(&public)]),
        Err(HttpSigDefect::Algorithm)
    );
    let keys = [
        Key::Public(&public),
        Key::Shared(&wrong),
        Key::Shared(&right),
    ];
    assert_eq!(verify(&keys), Ok(2));
}

#[test]
fn c01_a_key_of_an_algorithm_that_has_no_place_here_verifies_nothing() {
    let private = SigningKey::generate(alg::Algorithm::ES256).unwrap();
    let other = SigningKey::generate(alg::Algorithm::PS256).unwrap();
    let refused = sign(
        &plain().head(),
        &all(),
        &parameters(),
        SignerKey::Private(&other),
    );
    assert_eq!(refused.unwrap_err(), HttpSigDefect::Algorithm);
    let request = signed_with(plain(), &all(), &parameters(), SignerKey::Private(&private));
    let head = request.head();
    let claimed = parse(&head, None).unwrap().unwrap();
    let public = other.verifying_key().unwrap();
    let verdict = claimed.verify(&[Key::Public(&public)], now(), &Rules::default());
    assert_eq!(verdict.unwrap_err(), HttpSigDefect::Algorithm);
}

#[test]
fn d05_the_window_has_two_sides_and_expires_narrows_it() {
    let at = |secs: i64, life: Option<i64>| {
        let parameters = SignParameters {
            expires: life.map(|life| Timestamp::from_secs(now().as_secs() + life)),
            ..parameters()
        };
        let request = signed_with(plain(), &all(), &parameters, SignerKey::Shared(&secret()));
        let now = Timestamp::from_secs(now().as_secs() + secs);
        judged_by(&request, now, &Rules::default()).map(|_| ())
    };
    assert_eq!(at(-301, None), Err(HttpSigDefect::InFuture));
    assert_eq!(at(-299, None), Ok(()));
    assert_eq!(at(299, None), Ok(()));
    assert_eq!(at(301, None), Err(HttpSigDefect::Stale));
    assert_eq!(at(59, Some(60)), Ok(()));
    assert_eq!(at(61, Some(60)), Err(HttpSigDefect::Stale));
    assert_eq!(at(301, Some(3600)), Err(HttpSigDefect::Stale));
}

#[test]
fn d04_a_body_without_a_covered_digest_must_be_empty() {
    let bare = Owned::new("GET", "api.example.com", "/orders");
    let request = signed(bare, &REQUIRED[..3]);
    assert!(matches!(judged(&request).unwrap().body, BodyDigest::Empty));
    let open = Rules {
        unsigned_body: true,
        ..Rules::default()
    };
    let verified = judged_by(&request, now(), &open).unwrap();
    assert!(matches!(verified.body, BodyDigest::Unsigned));
    let mut unusable = plain();
    unusable.set("content-digest", "md5=:AAAA:");
    let request = signed(unusable, &all());
    assert!(matches!(
        judged(&request),
        Err(HttpSigDefect::ContentDigest(_))
    ));
}

#[test]
fn d05_a_nonce_is_spent_whatever_it_stands_in() {
    let with = |nonce: Option<&'static str>, path: &str| {
        let mut request = plain();
        request.path = path.into();
        let parameters = SignParameters {
            nonce,
            ..parameters()
        };
        let request = signed_with(request, &all(), &parameters, SignerKey::Shared(&secret()));
        judged(&request).unwrap().replay.id
    };
    assert_eq!(with(Some("n"), "/a"), with(Some("n"), "/b"));
    assert_ne!(with(Some("n"), "/a"), with(Some("m"), "/a"));
    assert_eq!(with(None, "/a"), with(None, "/a"));
    assert_ne!(with(None, "/a"), with(None, "/b"));
    let rules = Rules {
        nonce_required: true,
        ..Rules::default()
    };
    let parameters = SignParameters {
        nonce: None,
        ..parameters()
    };
    let request = signed_with(plain(), &all(), &parameters, SignerKey::Shared(&secret()));
    assert_eq!(
        judged_by(&request, now(), &rules).unwrap_err(),
        HttpSigDefect::NoNonce
    );
}

#[test]
fn algorithms_have_their_registered_names() {
    let names = Algorithm::ALL.map(Algorithm::name);
    assert_eq!(
        names,
        [
            "hmac-sha256",
            "ed25519",
            "ecdsa-p256-sha256",
            "ecdsa-p384-sha384",
            "rsa-pss-sha512"
        ]
    );
}

#[test]
fn every_defect_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = HttpSigDefect::ALL
        .iter()
        .map(|defect| defect.code())
        .collect();
    assert_eq!(codes.len(), HttpSigDefect::ALL.len());
}

proptest::proptest! {
    #[test]
    fn any_fields_are_read_or_refused_without_a_panic(
        input in "sig1=\\([ -~]{0,40}\\)(;[a-z]{1,8}=[ -~]{0,12}){0,4}",
        signature in "sig1=[ -~]{0,20}",
    ) {
        let request = plain().with("signature-input", &input).with("signature", &signature);
        if let Ok(Some(claimed)) = parse(&request.head(), None) {
            let verdict = claimed.verify(&[Key::Shared(&secret())], now(), &lax());
            proptest::prop_assert!(verdict.is_err());
        }
    }
}
