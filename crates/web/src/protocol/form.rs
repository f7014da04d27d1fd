//! **The form of an OAuth request**: read whole within its bound, only as
//! `application/x-www-form-urlencoded`, only from the body.

use axum::extract::Request;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use issuer::DpopHeader;
use issuer::error::{Outcome, Reason, Refusal};
use issuer::params::{MAX_BODY, Params};

/// What a form endpoint needs of a request.
pub(super) struct Form {
    authorization: Option<HeaderValue>,
    dpop: Vec<HeaderValue>,
    origin: Option<HeaderValue>,
    body: Bytes,
}

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");

impl Form {
    /// Reads the request.
    pub(super) async fn read(request: Request) -> Outcome<Self> {
        let (parts, body) = request.into_parts();
        // RFC 6749 §3.2, §2.3.1: parameters stand in the body, never in the URI, where they would
        // be logged.
        if parts.uri.query().is_some() {
            return Err(Reason::ParametersInUri.into());
        }
        let authorization = sole(&parts.headers, &AUTHORIZATION)
            .map_err(|()| Refusal::because(Reason::MalformedAuthorization, "repeated"))?
            .cloned();
        let content_type = sole(&parts.headers, &CONTENT_TYPE)
            .map_err(|()| Refusal::from(Reason::WrongContentType))?;
        if !content_type.is_some_and(is_form) {
            return Err(Reason::WrongContentType.into());
        }
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Refusal::from(Reason::BodyTooLarge)
                } else {
                    Refusal::because(Reason::MalformedForm, "the body broke off")
                }
            })?;
        Ok(Self {
            authorization,
            // Two are enough to know that there is not one.
            dpop: parts
                .headers
                .get_all(DPOP)
                .iter()
                .take(2)
                .cloned()
                .collect(),
            origin: parts.headers.get(ORIGIN).cloned(),
            body: body.to_bytes(),
        })
    }

    /// Reads a request that need not be a form: one by GET, or a POST without a body (OpenID Connect
    /// Core §5.3.1).
    pub(super) async fn read_optional(request: Request) -> Outcome<Self> {
        let has_form = request.headers().contains_key(CONTENT_TYPE);
        if request.method() == http::Method::POST && has_form {
            return Self::read(request).await;
        }
        // RFC 6750 §2.3: a token in the URI is logged; it is refused, not looked at.
        if request.uri().query().is_some() {
            return Err(Reason::ParametersInUri.into());
        }
        let headers = request.headers();
        let authorization = sole(headers, &AUTHORIZATION)
            .map_err(|()| Refusal::because(Reason::MalformedAccessToken, "repeated"))?
            .cloned();
        Ok(Self {
            authorization,
            dpop: headers.get_all(DPOP).iter().take(2).cloned().collect(),
            origin: headers.get(ORIGIN).cloned(),
            body: Bytes::new(),
        })
    }

    /// The form's parameters.
    pub(super) fn params(&self) -> Outcome<Params<'_>> {
        Params::parse(&self.body)
    }

    /// The proof of RFC 9449.
    pub(super) fn dpop(&self) -> DpopHeader<'_> {
        match &self.dpop[..] {
            [] => DpopHeader::Absent,
            [one] => DpopHeader::One(one.as_bytes()),
            _ => DpopHeader::Repeated,
        }
    }

    /// The value of `Origin`.
    pub(super) fn origin(&self) -> Option<&str> {
        self.origin.as_ref().and_then(|value| value.to_str().ok())
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(&self) -> Option<&[u8]> {
        self.authorization.as_ref().map(HeaderValue::as_bytes)
    }
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(()),
    }
}

/// The media type, with no parameter but `charset=UTF-8` (which some clients add, and which is what
/// the format means anyway).
fn is_form(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let (essence, parameter) = match text.split_once(';') {
        None => (text, None),
        Some((essence, parameter)) => (essence, Some(parameter.trim())),
    };
    essence
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && parameter.is_none_or(|parameter| {
            parameter.eq_ignore_ascii_case("charset=utf-8")
                || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
        })
}
