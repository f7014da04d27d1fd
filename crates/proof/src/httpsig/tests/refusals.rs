//! Threat D6: what is missing, doubled, unknown or unclear refuses.

use super::*;

#[test]
fn d06_what_must_be_covered_and_is_not_refuses() {
    for left_out in 0..all().len() {
        let mut components = all();
        let gone = components.remove(left_out);
        let request = signed(plain(), &components);
        assert_eq!(
            judged(&request).unwrap_err(),
            HttpSigDefect::NotCovered,
            "{gone}"
        );
    }
    let late = signed(plain(), &all()).with("authorization", "Bearer abc");
    assert_eq!(judged(&late).unwrap_err(), HttpSigDefect::NotCovered);
    // The whole address covers its parts; a query that is not there need not be covered.
    let fields = &all()[4..];
    let whole = [&[Component::Method, Component::TargetUri], fields].concat();
    judged(&signed(plain(), &whole)).unwrap();
    let mut bare = plain();
    bare.query = None;
    let without = [&REQUIRED[..3], fields].concat();
    let mut request = signed(bare, &without);
    judged(&request).unwrap();
    request.query = Some(String::new());
    assert_eq!(judged(&request).unwrap_err(), HttpSigDefect::NotCovered);
    // A member of a dictionary is not the dictionary.
    let digest = content_digest::CONTENT_DIGEST;
    let member = Component::Field(digest, FieldForm::Member("sha-256".into()));
    let mut components = all();
    components[5] = member;
    assert_eq!(
        judged(&signed(plain(), &components)).unwrap_err(),
        HttpSigDefect::NotCovered
    );
}

#[test]
fn d06_parameters_are_known_and_complete_or_the_signature_refuses() {
    use HttpSigDefect::{NoCreated, NoKeyId, Parameter, Structured};
    let duplicate = Structured(crate::structured::StructuredDefect::Duplicate);
    let created = format!(";created={}", now().as_secs());
    for (from, to, defect) in [
        (created.as_str(), "", NoCreated),
        (created.as_str(), ";created=\"1618884480\"", Parameter),
        (created.as_str(), ";created=1618884480.0", Parameter),
        (created.as_str(), ";created=-1", Parameter),
        (created.as_str(), ";created", Parameter),
        (created.as_str(), ";created=1;created=1", duplicate),
        (";keyid=", ";keyname=", Parameter),
        (";keyid=\"dw_hs_live_0123456789abcdef\"", "", NoKeyId),
        ("dw_hs_live_0123456789abcdef", "", NoKeyId),
        ("dw_hs_live_0123456789abcdef", "a b", NoKeyId),
        ("\"a-nonce\"", "a-nonce", Parameter),
        ("\"a-nonce\"", "\"\"", Parameter),
        (";tag=", ";expires=", Parameter),
        ("hmac-sha256", "ed25519", HttpSigDefect::Algorithm),
        ("hmac-sha256", "none", HttpSigDefect::Algorithm),
        ("hmac-sha256", "HMAC-SHA256", HttpSigDefect::Algorithm),
    ] {
        assert_eq!(
            judged(&edited(from, to)).unwrap_err(),
            defect,
            "{from} {to}"
        );
    }
}

#[test]
fn d06_components_that_are_not_supported_refuse() {
    use HttpSigDefect::{Component as Unknown, DuplicateComponent, Fields};
    for (from, to, defect) in [
        ("\"@method\"", "\"@status\"", Unknown),
        ("\"@method\"", "\"@method\";req", Unknown),
        ("\"@method\"", "\"@unknown\"", Unknown),
        (
            "\"@method\"",
            "@method",
            HttpSigDefect::Structured(crate::structured::StructuredDefect::Syntax),
        ),
        ("\"@method\"", "method", Unknown),
        ("\"@query\"", "\"@query-param\"", Unknown),
        ("\"@query\"", "\"@query-param\";name", Unknown),
        ("\"content-type\"", "\"Content-Type\"", Unknown),
        ("\"content-type\"", "\"content-type\";tr", Unknown),
        ("\"content-type\"", "\"content-type\";sf", Unknown),
        ("\"content-type\"", "\"content-type\";bs;sf", Unknown),
        ("\"content-type\"", "\"content-type\";bs=?0", Unknown),
        ("\"content-type\"", "\"content type\"", Unknown),
        ("\"content-type\"", "\"@method\"", DuplicateComponent),
        ("\"content-type\"", "\"content-digest\"", DuplicateComponent),
        ("sig1=(", "sig1=1, sig2=(", Fields),
        (
            "sig1=(",
            "sig1=1;x=(",
            HttpSigDefect::Structured(crate::structured::StructuredDefect::Syntax),
        ),
    ] {
        assert_eq!(
            judged(&edited(from, to)).unwrap_err(),
            defect,
            "{from} {to}"
        );
    }
    let many: Vec<String> = (0..=MAX_COMPONENTS).map(|n| format!("\"x{n}\"")).collect();
    let many = edited("\"@method\"", &many.join(" "));
    assert_eq!(judged(&many).unwrap_err(), HttpSigDefect::TooMany);
    let absent = edited("\"@query\"", "\"@query\" \"x-absent\"");
    assert_eq!(
        judged(&absent).unwrap_err(),
        HttpSigDefect::ComponentMissing
    );
}

#[test]
fn d06_it_must_be_clear_which_signature_is_meant() {
    use HttpSigDefect::{Fields, Label};
    let one = signed(plain(), &all());
    let tagged = |request: &Owned, tag| parse(&request.head(), tag).map(|found| found.is_some());
    assert_eq!(tagged(&plain(), None), Ok(false));
    assert_eq!(tagged(&one, Some("orders")), Ok(true));
    assert_eq!(tagged(&one, Some("order")), Err(Label));

    let other = SignParameters {
        label: "sig2",
        tag: None,
        ..parameters()
    };
    let fields = sign(
        &plain().head(),
        &all(),
        &other,
        SignerKey::Shared(&secret()),
    )
    .unwrap();
    let mut two = one.clone();
    two.headers
        .append("signature-input", fields.signature_input);
    two.headers.append("signature", fields.signature);
    assert_eq!(tagged(&two, None), Err(Label));
    assert_eq!(tagged(&two, Some("orders")), Ok(true));
    assert_eq!(tagged(&two, Some("sig2")), Err(Label));

    let mut twice = one.clone();
    twice.add(
        "signature-input",
        one.headers["signature-input"].to_str().unwrap(),
    );
    let duplicate = crate::structured::StructuredDefect::Duplicate;
    assert_eq!(
        tagged(&twice, None),
        Err(HttpSigDefect::Structured(duplicate))
    );

    let mut half = one.clone();
    half.headers.remove("signature");
    assert_eq!(tagged(&half, None), Err(Fields));
    let mut half = one.clone();
    half.headers.remove("signature-input");
    assert_eq!(tagged(&half, None), Err(Fields));
    let mut foreign = one;
    foreign.set("signature", "sig2=:AAAA:");
    assert_eq!(tagged(&foreign, None), Err(Fields));
}

#[test]
fn a01_the_target_is_signed_as_it_was_sent() {
    let with = |path: &str, query: Option<&str>| {
        let mut other = signed(plain(), &all());
        other.path = path.into();
        other.query = query.map(str::to_owned);
        judged(&other).map(|_| ())
    };
    assert_eq!(with("/orders/a%20b", Some("b=2&a=1%2F")), Ok(()));
    for (path, query) in [
        ("/orders/a%20b", Some("a=1%2F&b=2")),
        ("/orders/a%20b", Some("b=2&a=1%2f")),
        ("/orders/a%20b", Some("b=2&a=1/")),
        ("/orders/a%20b", Some("b=2&a=1%2F&")),
        ("/orders/a%20b", None),
        ("/orders/./a%20b", Some("b=2&a=1%2F")),
        ("/orders//a%20b", Some("b=2&a=1%2F")),
        ("/%6frders/a%20b", Some("b=2&a=1%2F")),
    ] {
        assert_eq!(
            with(path, query),
            Err(HttpSigDefect::Signature),
            "{path} {query:?}"
        );
    }
}
