//! **Redirect URIs**: where a browser may be sent with a code, or after a logout. What is registered
//! is checked here once, strictly, because it is compared as an exact string later and then handed
//! to a browser: a URI that two programs read in two ways is refused, never tidied up.

use url::{Host, Url};

/// What one registered URI may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Plain HTTP on loopback (RFC 8252 §7.3).
    pub loopback_http: bool,
    /// A scheme of the program's own (RFC 8252 §7.1).
    pub private_scheme: bool,
}

/// Longest URI in bytes.
const LONGEST: usize = 2048;

/// Why a URI can not be registered. The sentences are shown as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRedirect {
    /// Not an absolute URI, or too long.
    #[error("this is no absolute URI")]
    NotAbsolute,
    /// Blanks, control characters, backslashes, letters beyond ASCII.
    #[error("a redirect URI is printable ASCII without blank and backslash")]
    Unclean,
    /// RFC 6749 §3.1.2.
    #[error("a redirect URI has no fragment")]
    Fragment,
    /// `user@` before the host.
    #[error("a redirect URI has no user")]
    Userinfo,
    /// RFC 9700 §2.1: compared as an exact string.
    #[error("a redirect URI has no wildcard: it is compared as it stands")]
    Wildcard,
    /// `.` or `..` segments, which browsers take out.
    #[error("a redirect URI has no `.` or `..` in its path")]
    DotSegments,
    /// Plain HTTP to somewhere else.
    #[error("plain http leads to loopback only")]
    PlainHttp,
    /// Plain HTTP where the profile wants none.
    #[error("plain http is not allowed by the client's profile")]
    NoPlainHttp,
    /// A scheme of its own without a dot: any program could claim it.
    #[error("a scheme of one's own is a domain name in reverse, with a dot")]
    BareScheme,
    /// A scheme of its own for what is no native client.
    #[error("only native clients have a scheme of their own")]
    ForeignScheme,
    /// Reserved words of the protocol's answer in its query.
    #[error("`code`, `state`, `iss` and `error` in the query are the answer's")]
    AnswerInQuery,
}

impl BadRedirect {
    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NotAbsolute | Self::Unclean => {
                "write it in full, as in `https://app.example.com/callback`"
            }
            Self::Fragment => "leave out the `#` and what follows",
            Self::Userinfo => "leave out everything before the `@`",
            Self::Wildcard => "write each URI out",
            Self::DotSegments => "write the path that is meant",
            Self::PlainHttp => "use https, or a loopback address as in `http://127.0.0.1/callback`",
            Self::NoPlainHttp => "use https",
            Self::BareScheme => "as in `com.example.app:/callback`",
            Self::ForeignScheme => "use https, or make the client `kind: native`",
            Self::AnswerInQuery => "give the parameter another name",
        }
    }
}

/// Whether a URI may be registered.
///
/// # Errors
/// [`BadRedirect`].
pub fn check(text: &str, allowed: Allowed) -> Result<(), BadRedirect> {
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err(BadRedirect::Unclean);
    }
    let url = Url::parse(text).map_err(|_| BadRedirect::NotAbsolute)?;
    if text.len() > LONGEST {
        return Err(BadRedirect::NotAbsolute);
    }
    if text.contains('#') {
        return Err(BadRedirect::Fragment);
    }
    if text.contains('*') {
        return Err(BadRedirect::Wildcard);
    }
    let (scheme, rest) = text.split_once(':').ok_or(BadRedirect::NotAbsolute)?;
    let scheme = scheme.to_ascii_lowercase();
    let path_end = rest.find('?').unwrap_or(rest.len());
    let dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        // Some servers take `..;x` for `..`.
        let segment = segment.split(';').next().unwrap_or_default();
        matches!(segment, "." | "..")
    };
    if rest[..path_end].split('/').any(dots) {
        return Err(BadRedirect::DotSegments);
    }
    if url
        .query_pairs()
        .any(|(key, _)| matches!(&*key, "code" | "state" | "iss" | "error"))
    {
        return Err(BadRedirect::AnswerInQuery);
    }
    if !matches!(&*scheme, "https" | "http") {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadRedirect::Userinfo);
        }
        return match (allowed.private_scheme, scheme.contains('.')) {
            (true, true) => Ok(()),
            (true, false) => Err(BadRedirect::BareScheme),
            (false, _) => Err(BadRedirect::ForeignScheme),
        };
    }
    // Parsers forgive `https:host` and `https:///host`; whoever compares strings must not.
    let authority = rest.strip_prefix("//").ok_or(BadRedirect::NotAbsolute)?;
    let end = authority.find(['/', '?']).unwrap_or(authority.len());
    let authority = &authority[..end];
    if authority.is_empty() {
        return Err(BadRedirect::NotAbsolute);
    }
    if authority.contains('@') {
        return Err(BadRedirect::Userinfo);
    }
    if authority.contains('%') {
        return Err(BadRedirect::Unclean);
    }
    match (&*scheme, allowed.loopback_http) {
        ("https", _) => Ok(()),
        (_, false) => Err(BadRedirect::NoPlainHttp),
        (_, true) if is_loopback(&url) => Ok(()),
        (_, true) => Err(BadRedirect::PlainHttp),
    }
}

/// Whether a URL leads to this machine: a loopback address, or `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Allowed = Allowed {
        loopback_http: true,
        private_scheme: false,
    };
    const NATIVE: Allowed = Allowed {
        loopback_http: true,
        private_scheme: true,
    };
    const STRICT: Allowed = Allowed {
        loopback_http: false,
        private_scheme: false,
    };

    #[test]
    fn f01_what_a_redirect_uri_may_be_is_this_table() {
        let table: &[(Allowed, &str, Result<(), BadRedirect>)] = &[
            (WEB, "https://app.example.com/cb", Ok(())),
            (WEB, "https://app.example.com", Ok(())),
            (
                WEB,
                "https://app.example.com:8443/cb?tenant=a&x=%41",
                Ok(()),
            ),
            (WEB, "HTTPS://app.example.com/cb", Ok(())),
            (WEB, "http://127.0.0.1:3000/cb", Ok(())),
            (WEB, "http://[::1]:3000/cb", Ok(())),
            (WEB, "http://localhost:3000/cb", Ok(())),
            (NATIVE, "com.example.app:/cb", Ok(())),
            (NATIVE, "com.example.app://cb/x", Ok(())),
            (WEB, "", Err(BadRedirect::NotAbsolute)),
            (WEB, "/cb", Err(BadRedirect::NotAbsolute)),
            (WEB, "app.example.com/cb", Err(BadRedirect::NotAbsolute)),
            (
                WEB,
                "https:app.example.com/cb",
                Err(BadRedirect::NotAbsolute),
            ),
            (
                WEB,
                "https:/app.example.com/cb",
                Err(BadRedirect::NotAbsolute),
            ),
            (
                WEB,
                "https:///app.example.com/cb",
                Err(BadRedirect::NotAbsolute),
            ),
            (
                WEB,
                "https://app.example.com/cb#",
                Err(BadRedirect::Fragment),
            ),
            (
                WEB,
                "https://app.example.com/cb#x",
                Err(BadRedirect::Fragment),
            ),
            (
                WEB,
                "https://app.example.com@evil.example/cb",
                Err(BadRedirect::Userinfo),
            ),
            (
                WEB,
                "https://@app.example.com/cb",
                Err(BadRedirect::Userinfo),
            ),
            (
                WEB,
                "https://u:p@app.example.com/cb",
                Err(BadRedirect::Userinfo),
            ),
            (
                NATIVE,
                "com.example.app://u@cb/x",
                Err(BadRedirect::Userinfo),
            ),
            (WEB, "https://*.example.com/cb", Err(BadRedirect::Wildcard)),
            (WEB, "https://app.example.com/*", Err(BadRedirect::Wildcard)),
            (
                WEB,
                "https://app.example.com\\@evil.example/cb",
                Err(BadRedirect::Unclean),
            ),
            (
                WEB,
                "https://app.example.com/c b",
                Err(BadRedirect::Unclean),
            ),
            (
                WEB,
                "https://app.example.com/\tcb",
                Err(BadRedirect::Unclean),
            ),
            (WEB, "https://app.exämple.com/cb", Err(BadRedirect::Unclean)),
            (
                WEB,
                "https://app%2eexample.com/cb",
                Err(BadRedirect::Unclean),
            ),
            (
                WEB,
                "https://app.example.com/a/../cb",
                Err(BadRedirect::DotSegments),
            ),
            (
                WEB,
                "https://app.example.com/a/%2E%2e/cb",
                Err(BadRedirect::DotSegments),
            ),
            (
                WEB,
                "https://app.example.com/a/..;/cb",
                Err(BadRedirect::DotSegments),
            ),
            (
                WEB,
                "https://app.example.com/.",
                Err(BadRedirect::DotSegments),
            ),
            (
                WEB,
                "http://app.example.com/cb",
                Err(BadRedirect::PlainHttp),
            ),
            (
                WEB,
                "http://localhost.example.com/cb",
                Err(BadRedirect::PlainHttp),
            ),
            (
                WEB,
                "http://127.0.0.1.example.com/cb",
                Err(BadRedirect::PlainHttp),
            ),
            (STRICT, "http://127.0.0.1/cb", Err(BadRedirect::NoPlainHttp)),
            (WEB, "com.example.app:/cb", Err(BadRedirect::ForeignScheme)),
            (NATIVE, "myapp:/cb", Err(BadRedirect::BareScheme)),
            (NATIVE, "javascript:alert(1)", Err(BadRedirect::BareScheme)),
            (NATIVE, "data:text/html,x", Err(BadRedirect::BareScheme)),
            (
                WEB,
                "https://app.example.com/cb?code=x",
                Err(BadRedirect::AnswerInQuery),
            ),
        ];
        for (allowed, text, expected) in table {
            assert_eq!(check(text, *allowed), *expected, "{text}");
        }
        let long = format!("https://app.example.com/{}", "a".repeat(LONGEST));
        assert_eq!(check(&long, WEB), Err(BadRedirect::NotAbsolute));
    }

    #[test]
    fn each_sentence_says_what_to_do() {
        for flaw in [
            BadRedirect::NotAbsolute,
            BadRedirect::Wildcard,
            BadRedirect::AnswerInQuery,
        ] {
            assert!(!flaw.hint().is_empty() && !flaw.to_string().ends_with('.'));
        }
    }
}
