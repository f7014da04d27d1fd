//! Answers: JSON, problems (RFC 9457), and the body type they share.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use serde_json::json;

/// The body of an answer: held, or made while it is sent.
pub type Body = BoxBody<Bytes, Infallible>;

/// A body that is held.
fn held(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// An answer with a body of a given type.
pub(crate) fn of_type(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = of_type("application/json", held(bytes));
            *response.status_mut() = status;
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written",
            )
        }
    }
}

/// A status alone.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(held(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A problem with a fixed sentence.
pub(crate) fn problem(status: StatusCode, detail: &'static str) -> Response<Body> {
    let value = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = of_type("application/problem+json", held(value.to_string()));
    *response.status_mut() = status;
    response
}

/// 405 with the methods that are served.
pub(crate) fn other_methods(allowed: &str) -> Response<Body> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "the path has other methods");
    if let Ok(value) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}
