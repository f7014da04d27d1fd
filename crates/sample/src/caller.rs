//! Who calls, as the gateway's identity headers say, and what else reached us.
//!
//! The identity is believed without a check of its signature, because nothing
//! but the gateway reaches this service. A service of one's own verifies the
//! token in `doorward-identity` against the gateway's key set instead. Values
//! of header fields are repeated by allow-list only, so no credential, known or
//! not, is ever echoed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::orders::CUSTOMERS;

/// The signed identity, a JWT.
const IDENTITY: &str = "doorward-identity";
/// The subject as plain text.
const SUBJECT: &str = "doorward-subject";

/// The longest identity token that is opened, in bytes.
const MAX_IDENTITY: usize = 16 * 1024;

/// Fields that carry credentials: their presence is told, never their value.
const CREDENTIALS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "cookie",
    "dpop",
    "signature",
    "signature-input",
    "client-cert",
    "x-amz-security-token",
];

/// Fields besides the identity's that are harmless to repeat.
const REPEATED: [&str; 14] = [
    "host",
    "user-agent",
    "accept",
    "content-type",
    "content-length",
    "transfer-encoding",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "traceparent",
];

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// One of [`CUSTOMERS`]: sees and changes their own orders.
    Customer(String),
    /// Another subject, such as a partner's key or a machine: acts for the
    /// shop; what it may do was the door's decision.
    Staff(String),
    /// No identity was sent: a public route.
    Nobody,
    /// Identity was sent and can't be read, or is sent twice or contradicts itself.
    Unclear,
}

impl Caller {
    /// Reads the identity headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Ok(plain) = once(headers, SUBJECT) else {
            return Self::Unclear;
        };
        let signed = match once(headers, IDENTITY) {
            Ok(None) => None,
            Ok(Some(token)) => match subject(token) {
                Some(subject) => Some(subject),
                None => return Self::Unclear,
            },
            Err(Repeated) => return Self::Unclear,
        };
        match (plain, signed) {
            (Some(plain), Some(signed)) if plain != signed => Self::Unclear,
            (Some(subject), _) => Self::named(subject),
            (None, Some(subject)) => Self::named(&subject),
            (None, None) => Self::Nobody,
        }
    }

    fn named(subject: &str) -> Self {
        if CUSTOMERS.contains(&subject) {
            Self::Customer(subject.to_owned())
        } else {
            Self::Staff(subject.to_owned())
        }
    }

    /// The only owner whose orders the caller may touch; `None`: every owner's.
    pub(crate) fn confined_to(&self) -> Option<&str> {
        match self {
            Self::Customer(subject) => Some(subject),
            Self::Staff(_) | Self::Nobody | Self::Unclear => None,
        }
    }

    /// The owner of what the caller places without naming one.
    pub(crate) fn as_owner(&self) -> &str {
        match self {
            Self::Customer(subject) | Self::Staff(subject) => subject,
            Self::Nobody | Self::Unclear => "nobody",
        }
    }
}

/// A field that stands twice, or is no visible text.
struct Repeated;

fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Repeated);
    }
    first
        .map(|value| value.to_str().map_err(|_| Repeated))
        .transpose()
}

/// The claims of a JWT in compact form, unverified.
fn claims(token: &str) -> Option<Value> {
    if token.len() > MAX_IDENTITY {
        return None;
    }
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn subject(token: &str) -> Option<String> {
    Some(claims(token)?.get("sub")?.as_str()?.to_owned())
}

/// What `/whoami` tells of the header fields.
pub(crate) fn seen(headers: &HeaderMap) -> Value {
    let pick = |wanted: &dyn Fn(&str) -> bool| -> Map<String, Value> {
        headers
            .keys()
            .filter(|name| wanted(name.as_str()))
            .map(|name| (name.to_string(), values(headers, name.as_str())))
            .collect()
    };
    let present: Vec<&str> = CREDENTIALS
        .into_iter()
        .filter(|name| headers.contains_key(*name))
        .collect();
    let names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    json!({
        "identity": pick(&|name| name.starts_with("doorward-")),
        "claims": once(headers, IDENTITY).ok().flatten().and_then(claims),
        "headers": pick(&|name| REPEATED.contains(&name)),
        "credential_headers": present,
        "header_names": names,
    })
}

/// One value as text, several as a list.
fn values(headers: &HeaderMap, name: &str) -> Value {
    let mut all: Vec<Value> = headers
        .get_all(name)
        .iter()
        .map(|value| Value::from(String::from_utf8_lossy(value.as_bytes())))
        .collect();
    if all.len() == 1 {
        all.remove(0)
    } else {
        Value::from(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        map
    }

    fn token(claims: &str) -> String {
        format!("e30.{}.AA", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_caller_is_who_the_identity_headers_name() {
        let alice = token(r#"{"sub":"alice"}"#);
        let key = token(r#"{"sub":"app_7"}"#);
        let cases: [(&[(&str, &str)], Caller); 9] = [
            (&[], Caller::Nobody),
            (
                &[("doorward-subject", "alice")],
                Caller::Customer("alice".to_owned()),
            ),
            (
                &[("doorward-identity", &alice)],
                Caller::Customer("alice".to_owned()),
            ),
            (
                &[("doorward-identity", &key)],
                Caller::Staff("app_7".to_owned()),
            ),
            (
                &[("doorward-identity", &alice), ("doorward-subject", "bob")],
                Caller::Unclear,
            ),
            (
                &[("doorward-subject", "alice"), ("doorward-subject", "bob")],
                Caller::Unclear,
            ),
            (&[("doorward-identity", "not.a-token")], Caller::Unclear),
            (&[("doorward-identity", "e30.e30.AA")], Caller::Unclear),
            (&[("authorization", "Bearer alice")], Caller::Nobody),
        ];
        for (fields, expected) in cases {
            assert_eq!(Caller::of(&headers(fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn no_credential_is_repeated() {
        for name in CREDENTIALS
            .into_iter()
            .chain(["x-partner-key", "x-auth-token"])
        {
            let told = seen(&headers(&[(name, "hunter2"), ("host", "shop.test")])).to_string();
            assert!(!told.contains("hunter2"), "{name}: {told}");
            assert!(told.contains(name), "{name} is named: {told}");
            assert!(told.contains("shop.test"));
        }
    }

    #[test]
    fn a_field_that_came_twice_is_shown_twice() {
        let told = seen(&headers(&[
            ("doorward-scopes", "a"),
            ("doorward-scopes", "b"),
        ]));
        assert_eq!(told["identity"]["doorward-scopes"], json!(["a", "b"]));
    }
}
