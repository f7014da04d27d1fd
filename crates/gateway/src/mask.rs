//! **Masks**: fields of an answer that its caller may not see, taken out because a policy says so
//! (threat J3).
//!
//! An answer is masked whole or not given: one that can't be read as JSON in one way, is longer than
//! is kept, or is a stream, becomes 502. Of one without a body (204, 304, the answer to `HEAD`) the
//! fields go that speak of the bytes that are not given. So the call goes to the upstream without what would make the answer
//! anything else: codings and ranges are not asked for.

use core::time::Duration;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_RANGE,
    RANGE,
};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use proof::strict_json;
use verdict::policy::names_json;
use verdict::policy::rego::Mask;
use verdict::problem::{Code, Problem};

use crate::body::{Body, BodyError};
use crate::held::Held;
use crate::lease::names_stream;
use crate::respond;

/// Longest answer that is masked.
const LONGEST: usize = 4 << 20;
/// How long an answer that is masked may take.
const SLOWEST: Duration = Duration::from_secs(30);

/// Fields that speak of the bytes of an answer.
const OF_BYTES: [&str; 5] = [
    "digest",
    "content-digest",
    "repr-digest",
    "content-md5",
    "signature",
];

/// Takes out of a call what would make its answer unreadable.
pub(crate) fn prepare(headers: &mut HeaderMap) {
    for name in [ACCEPT_ENCODING, RANGE, IF_RANGE] {
        headers.remove(name);
    }
}

/// Takes the fields out of an answer.
///
/// # Errors
/// 502 where that can't be done.
pub(crate) async fn apply(
    answer: Response<Body>,
    masks: &[Mask],
    mut held: Held,
) -> Result<Response<Body>, Problem> {
    let broken = |cause: &'static str| Problem::new(Code::UpstreamBroken, cause);
    let (mut parts, body) = answer.into_parts();
    if body.is_end_stream() {
        forget_bytes(&mut parts.headers);
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    // Its type says that it goes on, though one piece of it could be read as JSON.
    if names_stream(&parts.headers) {
        return Err(broken("an answer that is to be masked is a stream"));
    }
    if parts.headers.contains_key(CONTENT_ENCODING) || !is_json(&parts.headers) {
        return Err(broken("an answer that is to be masked is not plain JSON"));
    }
    let most = body.size_hint().exact().unwrap_or(LONGEST as u64);
    match tokio::time::timeout(SLOWEST, read(body, most, &mut held)).await {
        Ok(read) => read.map_err(|why| match why {
            BodyError::NoRoom => respond::of_body(why),
            _ => broken("an answer that is to be masked is too long or broke off"),
        })?,
        Err(_) => return Err(broken("an answer that is to be masked took too long")),
    }
    forget_bytes(&mut parts.headers);
    if held.len() == 0 {
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let mut value = strict_json::parse(held.as_ref(), LONGEST)
        .map_err(|_| broken("an answer that is to be masked can be read in two ways or in none"))?;
    for mask in masks {
        mask.apply(&mut value);
    }
    // In place of what the upstream sent, and counted like it.
    held.write(|data| *data = value.to_string().into_bytes())
        .map_err(|why| respond::of_body(why.into()))?;
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(held.len()));
    Ok(Response::from_parts(parts, Body::full(held.into_bytes())))
}

/// Reads an answer whole.
async fn read(mut body: Body, most: u64, held: &mut Held) -> Result<(), BodyError> {
    if most > LONGEST as u64 {
        return Err(BodyError::TooLarge);
    }
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
            if held.len() + data.len() > LONGEST {
                return Err(BodyError::TooLarge);
            }
            held.push(&data, most)?;
        }
    }
    Ok(())
}

/// Takes off what tells of the bytes that the upstream had: a length or a digest gives away what is
/// masked, and would be wrong besides.
fn forget_bytes(headers: &mut HeaderMap) {
    for name in [ETAG, ACCEPT_RANGES, CONTENT_LENGTH] {
        headers.remove(name);
    }
    for name in OF_BYTES {
        headers.remove(name);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.and_then(|text| text.split(';').next());
    essence.is_some_and(names_json)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(content_type: &'static str, body: &str) -> Response<Body> {
        Response::builder()
            .header(CONTENT_TYPE, content_type)
            .header(ETAG, "\"1\"")
            .header(CONTENT_LENGTH, body.len())
            .body(Body::full(body.to_owned()))
            .unwrap()
    }

    fn held() -> Held {
        let room = std::sync::Arc::new(crate::held::HeldBodies::new(1 << 20));
        Held::new(&room, core::net::IpAddr::from([192, 0, 2, 1]))
    }

    fn masks() -> Vec<Mask> {
        ["/card", "/items/*/cost"]
            .iter()
            .map(|path| Mask::parse(path).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn j03_fields_that_the_caller_may_not_read_are_gone() {
        let body =
            json!({"id": 1, "card": "4111", "items": [{"cost": 1, "name": "a"}, {"cost": 2}]});
        let masked = apply(
            answer("application/json", &body.to_string()),
            &masks(),
            held(),
        )
        .await
        .unwrap();
        assert!(masked.headers().get(ETAG).is_none());
        let length = masked.headers()[CONTENT_LENGTH].clone();
        let bytes = masked.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(length, bytes.len().to_string());
        let seen: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(seen, json!({"id": 1, "items": [{"name": "a"}, {}]}));
    }

    #[tokio::test]
    async fn j03_an_answer_that_cant_be_masked_is_not_given() {
        for (content_type, body) in [
            ("text/html", "<p>4111</p>"),
            ("application/json", "{\"card\": 1, \"card\": 2}"),
            ("application/json", "{\"card\": "),
            ("application/x-ndjson", "{}"),
            ("application/stream+json", "{\"card\": 1}"),
            ("text/event-stream", "data: 4111"),
        ] {
            let masked = apply(answer(content_type, body), &masks(), held()).await;
            assert_eq!(masked.unwrap_err().code, Code::UpstreamBroken, "{body}");
        }
    }

    #[tokio::test]
    async fn e03_an_answer_that_finds_no_room_is_not_held() {
        let room = std::sync::Arc::new(crate::held::HeldBodies::new(8));
        let held = Held::new(&room, core::net::IpAddr::from([192, 0, 2, 1]));
        let full = apply(
            answer("application/json", "{\"id\": 12345}"),
            &masks(),
            held,
        )
        .await;
        let problem = full.unwrap_err();
        assert_eq!(problem.code, Code::Overloaded);
        assert!(problem.retry_after.is_some());
    }

    #[tokio::test]
    async fn an_answer_without_a_body_needs_none() {
        let empty = Response::builder().status(204).body(Body::empty()).unwrap();
        assert_eq!(apply(empty, &masks(), held()).await.unwrap().status(), 204);
    }

    #[tokio::test]
    async fn j03_an_answer_without_a_body_does_not_tell_of_the_bytes_that_are_masked() {
        for name in ["etag", "content-length", "content-digest", "digest"] {
            let headed = Response::builder()
                .header(name, "4111")
                .header("x-kept", "1")
                .body(Body::empty())
                .unwrap();
            let masked = apply(headed, &masks(), held()).await.unwrap();
            assert!(!masked.headers().contains_key(name), "{name}");
            assert!(masked.headers().contains_key("x-kept"));
        }
    }
}
