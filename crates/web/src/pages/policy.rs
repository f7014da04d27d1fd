//! **What a browser may do with our pages** (threat F4): load our own style and picture, send our
//! own forms, and nothing else; never inside somebody's frame.

use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::view::Page;

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Headers of a page.
pub(super) fn protect(headers: &mut HeaderMap, page: &Page) {
    let mut policy = String::from("default-src 'none'; style-src 'self'; img-src 'self'; ");
    if matches!(page, Page::FormPost(_)) {
        policy.push_str("script-src 'self'; ");
    }
    policy.push_str("form-action");
    if !matches!(page, Page::FormPost(_)) {
        policy.push_str(" 'self'");
    }
    // Browsers hold the redirect that answers a form against `form-action` too.
    for source in page.leads_to().filter_map(source) {
        policy.push(' ');
        policy.push_str(&source);
    }
    policy.push_str("; frame-ancestors 'none'; base-uri 'none'");
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::try_from(policy).unwrap_or_else(|_| {
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
        }),
    );
    // For browsers that do not know `frame-ancestors`.
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: that would make browsers send `Origin: null` with our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE, HeaderValue::from_static("same-origin"));
    if page.stands_alone() {
        headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    }
}

/// Headers of a file that pages refer to.
pub(super) fn protect_asset(headers: &mut HeaderMap) {
    headers.insert(RESOURCE, HeaderValue::from_static("same-origin"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
}

/// The CSP source that a redirect to `uri` needs (CSP Level 3 §2.3.1): its origin, or its scheme
/// where an origin can't be written (an app's own scheme, an IPv6 address).
fn source(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !plain(scheme, b"+-.") {
        return None;
    }
    if matches!(scheme, "http" | "https") {
        let authority = rest.strip_prefix("//")?;
        let authority = authority.split(['/', '?', '#']).next().unwrap_or(authority);
        if plain(authority, b".-:") {
            return Some(format!("{scheme}://{authority}"));
        }
    }
    Some(format!("{scheme}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_origin_where_one_can_be_written() {
        for (uri, expected) in [
            ("https://app.example/cb?x=1", Some("https://app.example")),
            ("http://127.0.0.1:4711/cb", Some("http://127.0.0.1:4711")),
            ("http://[::1]:4711/cb", Some("http:")),
            ("com.example.app:/cb", Some("com.example.app:")),
            ("https://a.example;script-src *", Some("https:")),
            ("x y:/cb", None),
            ("nothing", None),
        ] {
            assert_eq!(source(uri).as_deref(), expected, "{uri}");
        }
    }
}
