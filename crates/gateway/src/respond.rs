//! **Answers of our own**: the one place where a refusal becomes HTTP.
//!
//! Bodies are `application/problem+json` (RFC 9457) with a code and the request id; the cause goes
//! to the log alone (threat C10).

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Method, Response};
use verdict::problem::{Code, Problem};

use crate::body::{Body, BodyError};
use crate::upstream::Failure;

/// The answer to a refused call.
pub(crate) fn problem(problem: &Problem, request_id: &str, method: &Method) -> Response<Body> {
    let text = problem.to_json(request_id);
    let length = text.len();
    let mut answer = Response::new(if *method == Method::HEAD {
        Body::empty()
    } else {
        Body::full(text)
    });
    *answer.status_mut() = problem.code.status();
    let headers = answer.headers_mut();
    for (name, value) in problem.headers() {
        headers.append(name, value);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    answer
}

/// The answer to a delivery that the upstream took before.
pub(crate) fn acknowledged() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    let length = HeaderValue::from_static("0");
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

/// Ends the connection after this answer (HTTP/1 alone; HTTP/2 has no such field).
pub(crate) fn close_after(answer: &mut Response<Body>, version: http::Version) {
    if version < http::Version::HTTP_2 {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// What an upstream's failure is to the caller.
pub(crate) fn of_failure(failure: Failure) -> Problem {
    match failure {
        Failure::Unreachable(cause) => Problem::new(Code::UpstreamUnavailable, cause),
        Failure::Broken(cause) => Problem::new(Code::UpstreamBroken, cause),
        Failure::Timeout => Problem::new(
            Code::UpstreamTimeout,
            "the upstream was silent for too long",
        ),
        Failure::Body(error) => of_body(error),
        Failure::Credential(cause) => {
            let mut problem = Problem::new(
                Code::FactUnavailable,
                format!("the credential for the upstream can't be had: {cause}"),
            );
            problem.retry_after = Some(core::time::Duration::from_secs(1));
            problem
        }
        Failure::Unsignable(cause) => Problem::new(
            Code::UncleanHeader,
            format!("the call can't be signed for the upstream: {cause}"),
        ),
    }
}

/// What is refused because too much is under way: in a second it may be otherwise.
pub(crate) fn overloaded(cause: &'static str) -> Problem {
    let mut problem = Problem::new(Code::Overloaded, cause);
    problem.retry_after = Some(core::time::Duration::from_secs(1));
    problem
}

/// What a body that broke off is to the caller.
pub(crate) fn of_body(error: BodyError) -> Problem {
    let code = match error {
        BodyError::TooLarge => Code::BodyTooLarge,
        BodyError::Stalled => Code::BodyTimeout,
        BodyError::Broken => Code::InvalidRequest,
        BodyError::Forged(_) => Code::CredentialRefused,
        BodyError::NoRoom => return overloaded("too many bytes of bodies are held"),
    };
    Problem::new(code, error.to_string())
}
