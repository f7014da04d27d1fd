//! **What of a call goes on**: which of a caller's fields end at the door. One rule for whoever
//! forwards a call and for whatever judges it: what a rule reads is what the upstream gets.
//!
//! Three reasons to end a field: it belongs to the connection (RFC 9110 §7.6.1), it claims what only
//! the gateway may say (who calls, from where, through what), or it would make the upstream act on
//! another call than the one that was judged (method and path overrides). Claims end in every
//! spelling that some upstream folds into the same variable: case, dash, underscore, dot.

use http::header::{self, CONNECTION, HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::{begins_like, spelled_like};
use crate::credential::binding;

/// W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C trace context, vendors' part.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Every name that begins so (in any spelling) is the gateway's own.
const OWN: &str = "doorward";

/// Claims about the caller's place, certificate or wish that only the gateway may make.
const CLAIMS: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-remote-user",
    "x-remote-addr",
    "remote-user",
    "remote-addr",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "client-cert",
    "client-cert-chain",
    "x-client-cert",
    "x-ssl-client-cert",
    "ssl-client-cert",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "proxy",
];

/// Families of claims: every name that begins so.
const CLAIM_FAMILIES: &[&str] = &[
    "x-forwarded",
    "x-envoy",
    "x-ssl-client",
    "x-amzn-mtls",
    "x-auth-request",
];

/// Fields of one connection (RFC 9110 §7.6.1), however they are listed in `Connection`.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        CONNECTION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::PROXY_AUTHORIZATION
            | header::PROXY_AUTHENTICATE
    ) || matches!(
        name.as_str(),
        "keep-alive" | "proxy-connection" | "proxy-authentication-info" | "http2-settings"
    )
}

/// Whether a caller's field claims what only the gateway may say.
pub fn is_claim(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'd') => begins_like(name, OWN),
        Some(b'c' | b'f' | b'p' | b'r' | b's' | b't' | b'x') => {
            CLAIMS.iter().any(|claim| spelled_like(name, claim))
                || CLAIM_FAMILIES
                    .iter()
                    .any(|family| begins_like(name, family))
        }
        _ => false,
    }
}

/// Whether `Connection` may name this field for removal: none that somebody judges by (threat B5).
fn may_be_named(name: &HeaderName) -> bool {
    !(matches!(
        *name,
        header::AUTHORIZATION
            | header::COOKIE
            | header::HOST
            | header::ORIGIN
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::CONTENT_ENCODING
            | header::VIA
            | header::CACHE_CONTROL
            | header::RANGE
            | header::REFERER
            | header::EXPECT
    ) || is_claim(name.as_str())
        || name.as_str().starts_with("x-")
        || name.as_str().starts_with("sec-")
        || *name == binding::DPOP
        || name.as_str().contains("auth")
        || name.as_str().contains("sign")
        || name.as_str().contains("digest"))
}

/// Whether a field is of a trace: it counts from listed peers alone.
pub fn is_trace(name: &HeaderName) -> bool {
    *name == TRACEPARENT || *name == TRACESTATE
}

/// Whether a field of this name ends here in every call.
pub fn ends_here(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || is_claim(name.as_str()) || *name == header::EXPECT
}

/// The names of a call's fields that end here; `also`: what else does, of this call.
pub fn ending(
    headers: &HeaderMap,
    also: impl Fn(&HeaderName) -> bool,
) -> SmallVec<[HeaderName; 8]> {
    let ends = |name: &&HeaderName| ends_here(name) || also(name);
    let mut ending: SmallVec<_> = headers.keys().filter(ends).cloned().collect();
    if headers.contains_key(CONNECTION) {
        ending.extend(named_by_connection(headers).filter(may_be_named));
    }
    ending
}

/// The fields of a message that its `Connection` names.
pub fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let items = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    items
        .map(<[u8]>::trim_ascii)
        // What mostly stands there names no field (RFC 9110 §7.6.1), or one that goes anyway.
        .filter(|item| {
            !item.eq_ignore_ascii_case(b"keep-alive") && !item.eq_ignore_ascii_case(b"close")
        })
        .filter_map(|item| HeaderName::from_bytes(item).ok())
        .filter(|name| headers.contains_key(name))
}
