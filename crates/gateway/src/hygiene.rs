//! **Header hygiene**: which fields of a caller never reach an upstream, and which of an upstream no
//! caller.
//!
//! Which fields of a call end at the door is [`verdict::call::onward`]'s word, since rules judge by
//! the others alone. Here they are taken out, and the gateway's own are named.

use http::header::{self, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use verdict::call::onward::{self, is_hop_by_hop};
use verdict::call::spelled_like;

/// The request id, to the upstream and to the caller.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("doorward-request-id");
/// The signed identity, to the upstream.
pub(crate) const IDENTITY: HeaderName = HeaderName::from_static("doorward-identity");
/// The principal's identifier.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("doorward-subject");
/// The principal's kind.
pub(crate) const PRINCIPAL: HeaderName = HeaderName::from_static("doorward-principal");
/// The OAuth client.
pub(crate) const CLIENT: HeaderName = HeaderName::from_static("doorward-client");
/// The application.
pub(crate) const APPLICATION: HeaderName = HeaderName::from_static("doorward-application");
/// The scopes, divided by spaces.
pub(crate) const SCOPES: HeaderName = HeaderName::from_static("doorward-scopes");
/// The roles, divided by commas.
pub(crate) const ROLES: HeaderName = HeaderName::from_static("doorward-roles");
/// The tenant.
pub(crate) const TENANT: HeaderName = HeaderName::from_static("doorward-tenant");
/// The client's address.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme the client used.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The authority the client called.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Drops what a caller sent under names that are `own`, in any spelling, and sets fields among them.
pub(crate) fn say<'n>(
    headers: &mut HeaderMap,
    own: impl Iterator<Item = &'n HeaderName>,
    fields: &[(HeaderName, HeaderValue)],
) {
    for name in own {
        let sent: SmallVec<[HeaderName; 2]> = headers
            .keys()
            .filter(|sent| spelled_like(sent.as_str(), name.as_str()))
            .cloned()
            .collect();
        for sent in sent {
            headers.remove(sent);
        }
    }
    for (name, value) in fields {
        headers.insert(name.clone(), value.clone());
    }
}

/// Whether a list-valued field holds `token` (case does not matter).
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().split(|b| *b == b',').any(|item| {
            let item = item.trim_ascii();
            let item = item.split(|b| *b == b';').next().unwrap_or_default();
            item.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
        })
    })
}

/// Takes out of a caller's fields whatever must not reach an upstream. `trace`: the peer is listed,
/// so its trace context counts. `also`: what else has to go.
pub(crate) fn clean_request(
    headers: &mut HeaderMap,
    trace: bool,
    also: impl Fn(&HeaderName) -> bool,
) {
    let gone = onward::ending(headers, |name| {
        (!trace && onward::is_trace(name)) || also(name)
    });
    for name in &gone {
        headers.remove(name);
    }
}

/// Takes the fields of one connection out of an upstream's answer.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    let mut gone: SmallVec<[HeaderName; 8]> = SmallVec::new();
    for name in headers.keys() {
        if is_hop_by_hop(name) && *name != header::TRAILER {
            gone.push(name.clone());
        }
    }
    if headers.contains_key(CONNECTION) {
        // An upstream may name what it likes, but for what frames and describes its body.
        let plain = |name: &HeaderName| !name.as_str().starts_with("content-");
        gone.extend(onward::named_by_connection(headers).filter(plain));
    }
    for name in &gone {
        headers.remove(name);
    }
}

/// `Via` (RFC 9110 §7.6.3) for the version a message came in.
pub(crate) fn via(version: http::Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        http::Version::HTTP_2 => "2 doorward",
        http::Version::HTTP_10 => "1.0 doorward",
        _ => "1.1 doorward",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a token"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        map
    }

    #[test]
    fn b01_identity_fields_are_dropped_in_every_spelling() {
        for name in [
            "doorward-subject",
            "Doorward-Subject",
            "doorward_subject",
            "DOORWARD.SUBJECT",
            "doorward-identity",
            "doorward_identity",
            "doorwardsubject",
            "doorward-anything-new",
            "x-forwarded-for",
            "X_Forwarded_For",
            "x-forwarded.user",
            "X-Real_IP",
            "remote_user",
            "client-cert",
            "Client_Cert",
        ] {
            let mut headers = map(&[(name, "mallory"), (name, "again"), ("accept", "*/*")]);
            clean_request(&mut headers, false, |_| false);
            assert_eq!(headers.len(), 1, "{name} stayed");
        }
    }

    #[test]
    fn b01_what_a_policy_says_replaces_every_spelling_of_it() {
        let mut headers = map(&[
            ("x-tier", "gold"),
            ("x_tier", "gold"),
            ("x.tier", "gold"),
            ("x-tiers", "all"),
        ]);
        let name = HeaderName::from_static("x-tier");
        let said = [(name.clone(), HeaderValue::from_static("free"))];
        say(&mut headers, [&name].into_iter(), &said);
        assert_eq!(headers, map(&[("x-tier", "free"), ("x-tiers", "all")]));
        // Nor does a caller's own word stand where the policy says nothing.
        let mut headers = map(&[("x-tier", "gold"), ("x_tier", "gold")]);
        say(&mut headers, [&name].into_iter(), &[]);
        assert!(headers.is_empty());
    }

    #[test]
    fn ordinary_fields_stay() {
        let fields = [
            ("accept", "*/*"),
            ("x-api-version", "2"),
            ("x-requested-with", "XMLHttpRequest"),
            ("content-type", "text/plain"),
            ("dnt", "1"),
            ("priority", "u=1"),
            ("referer", "https://a.example/"),
        ];
        let mut headers = map(&fields);
        clean_request(&mut headers, false, |_| false);
        assert_eq!(headers.len(), fields.len());
    }

    #[test]
    fn b05_connection_removes_no_field_that_somebody_judges_by() {
        let mut headers = map(&[
            (
                "connection",
                "close, Authorization, x-api-key, Cookie, x-hop, hop",
            ),
            ("authorization", "Bearer x"),
            ("x-api-key", "y"),
            ("cookie", "z"),
            ("hop", "1"),
        ]);
        clean_request(&mut headers, false, |_| false);
        assert!(headers.contains_key("authorization"));
        assert!(headers.contains_key("x-api-key"));
        assert!(headers.contains_key("cookie"));
        assert!(!headers.contains_key("hop"));
        assert!(!headers.contains_key("connection"));
    }

    #[test]
    fn trace_context_counts_from_listed_peers_only() {
        for (trace, left) in [(true, 2), (false, 0)] {
            let mut headers = map(&[("traceparent", "00-1-2-01"), ("tracestate", "a=b")]);
            clean_request(&mut headers, trace, |_| false);
            assert_eq!(headers.len(), left);
        }
    }

    #[test]
    fn fields_of_the_connection_are_dropped_from_answers() {
        let mut headers = map(&[
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
        ]);
        clean_answer(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
