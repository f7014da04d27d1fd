//! Amazon's own test suite: what its signers make verifies here.

use serde_json::Value;

use super::*;

const SUITE: &str = include_str!("../../../../../vectors/sigv4/aws-suite.json");

/// Reads a request as the suite writes one: a request line with a raw target, fields, a body.
fn read(text: &str) -> (Owned, Vec<u8>) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let line = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Owned::new(method, "", target);
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        match fields.last_mut() {
            // The suite folds lines; here they are unfolded before anyone sees them.
            Some((_, value)) if line.starts_with(' ') => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                let (name, value) = line.split_once(':').unwrap();
                fields.push((name, value.trim().to_owned()));
            }
        }
    }
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("host") {
            request.authority = value;
        } else {
            request.add(name, &value);
        }
    }
    (request, body.as_bytes().to_vec())
}

fn verdict(case: &Value, text: &str) -> Result<(), SigV4Defect> {
    let context = &case["context"];
    let field = |name: &str| context[name].as_str().unwrap();
    let (request, body) = read(text);
    let secret = context["credentials"]["secret_access_key"]
        .as_str()
        .unwrap();
    let secret = Secret::from_text(secret.into());
    let styles: &[PathStyle] = if context["normalize"] == true {
        &[PathStyle::DoubleNormalised]
    } else {
        &[PathStyle::Double]
    };
    let (regions, services) = ([field("region")], [field("service")]);
    let rules = Rules {
        paths: Some(styles),
        ..rules(&regions, &services)
    };
    let now = crate::calendar::parse_rfc3339(field("timestamp")).unwrap();
    let head = request.head();
    let claimed = parse(&head)?.ok_or(SigV4Defect::Malformed("nothing"))?;
    assert_eq!(claimed.key_id(), context["credentials"]["access_key_id"]);
    claimed
        .verify(&[&secret], Some(&sha256(&body)), now, &rules)
        .map(|_| ())
}

/// What the suite signs and we refuse, with the reason.
fn expected(case: &Value, text: &str) -> Result<(), SigV4Defect> {
    if case["context"]["credentials"]["token"].is_string() {
        return Err(SigV4Defect::SessionToken);
    }
    // A presigned request without its content type signed: some signers leave it out, we don't.
    if !text.to_ascii_lowercase().contains("content-type;")
        && text.to_ascii_lowercase().contains("\ncontent-type:")
        && !text.to_ascii_lowercase().contains("content-type%3b")
    {
        return Err(SigV4Defect::NotSigned);
    }
    Ok(())
}

#[test]
fn amazons_suite_verifies_in_both_forms() {
    let suite: Value = serde_json::from_str(SUITE).unwrap();
    let cases = suite["cases"].as_array().unwrap();
    assert!(cases.len() > 30);
    let mut wrong = Vec::new();
    for case in cases {
        for form in ["header_signed_request", "query_signed_request"] {
            let text = case[form].as_str().unwrap();
            let (found, expected) = (verdict(case, text), expected(case, text));
            if found != expected {
                wrong.push(format!(
                    "{} {form}: {found:?}, not {expected:?}",
                    case["name"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn d03_a_flipped_bit_in_amazons_signatures_refuses() {
    let suite: Value = serde_json::from_str(SUITE).unwrap();
    for case in suite["cases"].as_array().unwrap() {
        let text = case["header_signed_request"].as_str().unwrap();
        if expected(case, text).is_err() {
            continue;
        }
        let (start, end) = text.rsplit_once("Signature=").unwrap();
        let other = if end.starts_with('0') { "1" } else { "0" };
        let flipped = format!("{start}Signature={other}{}", &end[1..]);
        assert_eq!(
            verdict(case, &flipped),
            Err(SigV4Defect::Signature),
            "{}",
            case["name"]
        );
    }
}
