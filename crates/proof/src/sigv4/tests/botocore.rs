//! What botocore puts on the wire, for several services and in each form, verifies here.

use serde_json::Value;

use super::*;
use crate::base64std;

const MADE: &str = include_str!("../../../../../vectors/sigv4/botocore.json");

fn read(case: &Value) -> (Owned, Vec<u8>) {
    let text = |name: &str| case[name].as_str().unwrap();
    let mut request = Owned::new(text("method"), text("authority"), text("target"));
    for field in case["headers"].as_array().unwrap() {
        request.add(field[0].as_str().unwrap(), field[1].as_str().unwrap());
    }
    let body = base64std::decode(text("body").as_bytes()).unwrap();
    (request, body)
}

fn content(
    file: &Value,
    case: &Value,
    request: &Owned,
    body: &[u8],
) -> Result<Vec<u8>, &'static str> {
    let secret = Secret::from_text(file["secret"].as_str().unwrap().into());
    let now = calendar_time(file["now"].as_str().unwrap());
    let services = [case["service"].as_str().unwrap()];
    let rules = Rules {
        unsigned_chunks: true,
        ..rules(&["eu-central-1"], &services)
    };
    let head = request.head();
    let claimed = parse(&head)
        .map_err(|defect| defect.code())?
        .ok_or("nothing")?;
    if claimed.key_id() != file["key_id"] {
        return Err("another key");
    }
    let hash = claimed.needs_body().then(|| sha256(body));
    let verified = claimed.verify(&[&secret], hash.as_ref(), now, &rules);
    let mut check = verified.map_err(|defect| defect.code())?.body.into_check();
    let mut out = Vec::new();
    for part in body.chunks(1000) {
        check.push(part, &mut out).map_err(|defect| defect.code())?;
    }
    check.finish().map_err(|defect| defect.code())?;
    Ok(out)
}

#[test]
fn what_botocore_sends_verifies() {
    let file: Value = serde_json::from_str(MADE).unwrap();
    let cases = file["requests"].as_array().unwrap();
    assert!(cases.len() > 10);
    let mut wrong = Vec::new();
    for case in cases {
        let (request, body) = read(case);
        let name = case["name"].as_str().unwrap();
        match content(&file, case, &request, &body) {
            Ok(content) if name == "S3 PUT, streamed" => assert_eq!(content, vec![b'x'; 70_000]),
            Ok(content) if name.starts_with("S3 PUT, payload") => assert_eq!(content, b"hello"),
            Ok(content) => assert_eq!(content, body, "{name}"),
            Err(code) => wrong.push(format!("{name}: {code}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn d03_any_changed_byte_of_what_botocore_sends_refuses() {
    let file: Value = serde_json::from_str(MADE).unwrap();
    for case in file["requests"].as_array().unwrap() {
        let (request, body) = read(case);
        if body.len() > 1000 {
            continue;
        }
        let fields: Vec<&str> = ["content-type", "x-amz-date", "x-amz-content-sha256"]
            .into_iter()
            .filter(|name| request.headers.contains_key(*name))
            .collect();
        // The format writes an equals sign behind every name, whether one was sent or not.
        let whole = |query: Option<&str>| {
            let pairs = query.unwrap_or_default().split('&');
            pairs
                .map(|pair| pair.trim_end_matches('=').to_owned())
                .collect::<Vec<_>>()
        };
        for (change, other) in request.neighbours(&fields) {
            let same_query = whole(other.query.as_deref()) == whole(request.query.as_deref());
            if other.query != request.query && same_query {
                continue;
            }
            let verdict = content(&file, case, &other, &body);
            assert!(verdict.is_err(), "{}: {change}", case["name"]);
        }
        for at in 0..body.len() {
            let mut other = body.clone();
            other[at] ^= 1;
            let verdict = content(&file, case, &request, &other);
            assert!(verdict.is_err(), "{}: body at {at}", case["name"]);
        }
    }
}
