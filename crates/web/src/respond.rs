//! **The one place where errors become HTTP.** Each surface has one form: OAuth endpoints the JSON
//! of RFC 6749 §5.2, everything else problem+json (RFC 9457). The public half goes out; the log
//! half is written here and stays here (threat C10).

use core::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use issuer::error::{ErrorCode, Refusal};
use serde::Serialize;
use verdict::problem::{Code, Problem};

/// How long a client should wait before it asks again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The error of RFC 6749 §5.2.
#[derive(Serialize)]
struct OAuthError<'a> {
    error: &'static str,
    error_description: &'static str,
    /// Not of the standard, which allows more members: what to name to an operator.
    request_id: &'a str,
}

/// A refused OAuth request.
pub fn oauth(refusal: &Refusal, request_id: &str) -> Response {
    let code = refusal.reason().code();
    match code {
        ErrorCode::ServerError => {
            tracing::error!(request_id, error = code.name(), reason = %refusal, "OAuth request failed");
        }
        ErrorCode::TemporarilyUnavailable => {
            tracing::warn!(request_id, error = code.name(), reason = %refusal, "OAuth request failed");
        }
        _ => {
            tracing::info!(request_id, error = code.name(), reason = %refusal, "OAuth request refused");
        }
    }
    let error = OAuthError {
        error: code.name(),
        error_description: refusal.reason().description(),
        request_id,
    };
    let mut answer = json_not_stored(&error);
    *answer.status_mut() =
        StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    match code {
        // RFC 6749 §5.2 asks for the challenge of the scheme that the client used, RFC 9110
        // §15.5.2 for one in every 401: there is one scheme, so both get it.
        ErrorCode::InvalidClient => {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Basic realm="oauth", charset="UTF-8""#),
            );
        }
        ErrorCode::TemporarilyUnavailable => {
            headers.insert(RETRY_AFTER, HeaderValue::from(TRY_AGAIN.as_secs()));
        }
        _ => {}
    }
    answer
}

/// A refused request everywhere else.
pub fn problem(problem: &Problem, request_id: &str) -> Response {
    if problem.code == Code::Internal {
        tracing::error!(
            request_id,
            code = problem.code.code(),
            cause = &*problem.cause,
            "request failed"
        );
    } else {
        tracing::info!(
            request_id,
            code = problem.code.code(),
            cause = &*problem.cause,
            "request refused"
        );
    }
    let mut answer = Response::new(Body::from(problem.to_json(request_id)));
    *answer.status_mut() = problem.code.status();
    for (name, value) in problem.headers() {
        answer.headers_mut().append(name, value);
    }
    answer
}

/// A JSON answer that nobody keeps (RFC 6749 §5.1).
pub(crate) fn json_not_stored(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => {
            let mut answer = Response::new(Body::from(text));
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            not_stored(&mut answer);
            answer
        }
        Err(error) => problem(&Problem::new(Code::Internal, error.to_string()), ""),
    }
}

/// Keeps an answer out of every cache; `Pragma` is what RFC 6749 §5.1 demands beside it.
pub(crate) fn not_stored(answer: &mut Response) {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}
