//! **CORS**: what browsers are told about scripts of other origins (Fetch standard, §3.2).
//!
//! Preflights carry no credential by design, so they are answered before anybody is identified; all
//! they give away is what the API's declaration says. Every other answer, refusals included, gets
//! its fields too, since a script that can't read a 401 can't act on it. An API that declares CORS
//! speaks for its upstream: the upstream's own fields are replaced.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use registry::api::Cors;
use verdict::call::Head;

use crate::body::Body;

/// An API's CORS, rendered once.
#[derive(Debug)]
pub(crate) struct CorsAnswers {
    origins: Vec<HeaderValue>,
    any: bool,
    allow: Vec<HeaderName>,
    allow_text: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
const VARY_PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers",
);

impl CorsAnswers {
    /// Renders `cors`.
    ///
    /// # Errors
    /// When any origin is allowed together with credentials, or an origin is no field value.
    pub(crate) fn prepare(cors: &Cors) -> Result<Self, &'static str> {
        let any = cors.origins.iter().any(|origin| origin == "*");
        if any && (cors.credentials || cors.origins.len() > 1) {
            return Err("CORS: `*` can't stand beside credentials or other origins");
        }
        let origins = cors
            .origins
            .iter()
            .filter(|origin| *origin != "*")
            .map(|origin| HeaderValue::from_str(origin).map_err(|_| "CORS: an origin is not ASCII"))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            origins,
            any,
            allow: cors.headers.clone(),
            allow_text: names(&cors.headers),
            expose: names(&cors.expose),
            credentials: cors.credentials,
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        })
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        // Origins are compared as exact text (RFC 6454 §6.2 serialises them in one way).
        self.any || self.origins.contains(origin)
    }

    fn allow_origin(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        let value = if self.any {
            HeaderValue::from_static("*")
        } else {
            origin.clone()
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
    }

    /// Adds what a script's browser wants to see on any answer but a preflight's.
    pub(crate) fn dress(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        for name in [
            ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_MAX_AGE,
        ] {
            headers.remove(name);
        }
        if !self.any {
            // Without it a cache could hand one origin's answer to another.
            headers.append(VARY, VARY_ORIGIN);
        }
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            self.allow_origin(origin, headers);
            if let Some(expose) = &self.expose {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
            }
        }
    }

    /// The answer to a preflight; `None`: its origin, method or fields are not allowed.
    pub(crate) fn preflight(&self, asked: &Preflight<'_>, routed: bool) -> Option<Response<Body>> {
        if !routed || !self.allows(asked.origin) || !self.allows_fields(asked.fields) {
            return None;
        }
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let headers = answer.headers_mut();
        self.allow_origin(asked.origin, headers);
        headers.insert(VARY, VARY_PREFLIGHT);
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if let Ok(method) = HeaderValue::from_str(asked.method.as_str()) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        if let Some(allow) = &self.allow_text {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allow.clone());
        }
        Some(answer)
    }

    fn allows_fields(&self, fields: Option<&HeaderValue>) -> bool {
        let Some(fields) = fields else { return true };
        fields
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .all(|name| {
                name.is_empty()
                    || self
                        .allow
                        .iter()
                        .any(|known| known.as_str().as_bytes().eq_ignore_ascii_case(name))
            })
    }
}

/// A question that a browser asks before a script's call.
pub(crate) struct Preflight<'a> {
    origin: &'a HeaderValue,
    pub(crate) method: Method,
    fields: Option<&'a HeaderValue>,
}

impl<'a> Preflight<'a> {
    /// The call as a preflight, if it is one: `OPTIONS` with an origin and the method to come.
    pub(crate) fn of(head: &'a Head) -> Option<Self> {
        if *head.method() != Method::OPTIONS {
            return None;
        }
        let headers = head.headers();
        let method = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        Some(Self {
            origin: headers.get(ORIGIN)?,
            method: Method::from_bytes(method.as_bytes()).ok()?,
            fields: headers.get(ACCESS_CONTROL_REQUEST_HEADERS),
        })
    }
}

fn names(list: &[HeaderName]) -> Option<HeaderValue> {
    let text = list
        .iter()
        .map(HeaderName::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if text.is_empty() {
        None
    } else {
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Result<CorsAnswers, &'static str> {
        CorsAnswers::prepare(&Cors {
            origins: origins.iter().map(|o| (*o).to_owned()).collect(),
            headers: vec![http::header::AUTHORIZATION, http::header::CONTENT_TYPE],
            expose: vec![HeaderName::from_static("doorward-request-id")],
            credentials,
            max_age: core::time::Duration::from_secs(600),
        })
    }

    #[test]
    fn any_origin_with_credentials_can_not_be_written() {
        assert!(cors(&["*"], true).is_err());
        assert!(cors(&["*", "https://a.example"], false).is_err());
        assert!(cors(&["*"], false).is_ok());
    }

    #[test]
    fn origins_are_compared_as_exact_text() {
        let cors = cors(&["https://a.example"], true).expect("good");
        for (origin, allowed) in [
            ("https://a.example", true),
            ("https://A.example", false),
            ("https://a.example:443", false),
            ("http://a.example", false),
            ("https://a.example.evil.example", false),
            ("null", false),
        ] {
            let mut headers = HeaderMap::new();
            cors.dress(Some(&HeaderValue::from_static(origin)), &mut headers);
            assert_eq!(
                headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN),
                allowed,
                "{origin}"
            );
            assert_eq!(headers[VARY], "origin");
        }
    }

    #[test]
    fn a_preflight_passes_with_listed_fields_only() {
        let cors = cors(&["https://a.example"], false).expect("good");
        let origin = HeaderValue::from_static("https://a.example");
        for (fields, passes) in [
            (None, true),
            (Some("authorization"), true),
            (Some("Authorization, content-type"), true),
            (Some("authorization, x-evil"), false),
        ] {
            let fields = fields.map(HeaderValue::from_static);
            let asked = Preflight {
                origin: &origin,
                method: Method::PUT,
                fields: fields.as_ref(),
            };
            assert_eq!(cors.preflight(&asked, true).is_some(), passes, "{fields:?}");
            assert!(cors.preflight(&asked, false).is_none());
        }
    }
}
