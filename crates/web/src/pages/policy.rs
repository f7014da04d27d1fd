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
    for sources in page.leads_to().filter_map(sources) {
        policy.push(' ');
        policy.push_str(&sources);
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

/// The CSP sources (CSP Level 3 §2.3.1) that a form needs which leads to a client at `uri`. Chromium
/// holds every redirect after a form against `form-action`: the one to the client, and those by
/// which the client sends its person on, to hosts that are known to nobody here (a program on
/// loopback, to its maker's pages). A page that stood still there would be worse than a policy that
/// names schemes alone.
fn sources(uri: &str) -> Option<String> {
    let (scheme, _) = uri.split_once(':')?;
    match scheme {
        "https" => Some("https:".to_owned()),
        "http" => Some("http: https:".to_owned()),
        _ => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
            (!scheme.is_empty() && scheme.bytes().all(plain)).then(|| format!("{scheme}:"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_lead_to_a_client_and_on_from_there_and_run_nothing() {
        for (uri, expected) in [
            ("https://app.example/cb?x=1", Some("https:")),
            ("http://127.0.0.1:4711/cb", Some("http: https:")),
            ("http://[::1]:4711/cb", Some("http: https:")),
            ("com.example.app:/cb", Some("com.example.app:")),
            ("https://a.example;script-src *", Some("https:")),
            ("x y:/cb", None),
            ("x;script-src *:/cb", None),
            ("nothing", None),
        ] {
            assert_eq!(sources(uri).as_deref(), expected, "{uri}");
        }
    }
}
