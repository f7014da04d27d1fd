//! **Two cookies**: one that names the browser, so that a page's ticket opens for nobody else, and
//! one that is the handle of the person's session. Both are random, and mean nothing but by what is
//! stored or sealed beside them; scripts can't read them, other hosts can't set them (`__Host-`,
//! RFC 6265bis §4.1.3), other sites' forms don't send them (threats F2, F3). Over plain HTTP, which
//! is for loopback only, browsers keep no `__Host-` cookie: there they have names of their own,
//! which are taken nowhere else.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use proof::digest::TokenHash;
use proof::random::Entropy;
use proof::secret::Secret;

/// Digits of a value: 256 random bits in base64url.
const WIDTH: usize = 43;

/// The names in use, by the scheme of the issuer's URL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookies {
    secure: bool,
}

/// What a request brought.
#[derive(Debug)]
pub(super) struct Jar {
    /// Of the browser; `None`: it has none yet.
    pub(super) browser: Option<TokenHash>,
    /// Of the session.
    pub(super) session: Option<TokenHash>,
}

/// Two cookies have one name: which of them was meant is not ours to guess (threat B7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TwoOfOneName;

impl Cookies {
    /// For an issuer.
    pub(super) fn of(issuer: &str) -> Self {
        Self {
            secure: issuer.starts_with("https://"),
        }
    }

    const fn browser(self) -> &'static str {
        if self.secure {
            "__Host-doorward-browser"
        } else {
            "doorward-dev-browser"
        }
    }

    const fn session(self) -> &'static str {
        if self.secure {
            "__Host-doorward-session"
        } else {
            "doorward-dev-session"
        }
    }

    /// Reads both. A value that is none of ours counts as absent: it opens nothing either way.
    pub(super) fn read(self, headers: &HeaderMap) -> Result<Jar, TwoOfOneName> {
        let mut jar = Jar {
            browser: None,
            session: None,
        };
        let (mut browsers, mut sessions) = (0, 0);
        for field in headers.get_all(COOKIE) {
            for pair in field.as_bytes().split(|&b| b == b';') {
                let pair = pair.trim_ascii();
                let Some(equals) = pair.iter().position(|&b| b == b'=') else {
                    continue;
                };
                let (name, value) = (&pair[..equals], &pair[equals + 1..]);
                let (place, count) = if name == self.browser().as_bytes() {
                    (&mut jar.browser, &mut browsers)
                } else if name == self.session().as_bytes() {
                    (&mut jar.session, &mut sessions)
                } else {
                    continue;
                };
                *count += 1;
                *place = is_ours(value).then(|| TokenHash::of(value));
            }
        }
        if browsers > 1 || sessions > 1 {
            return Err(TwoOfOneName);
        }
        Ok(jar)
    }

    /// A new browser's cookie, and what it is known by.
    pub(super) fn new_browser(self, entropy: &dyn Entropy) -> (TokenHash, HeaderValue) {
        let mut random = [0u8; 32];
        entropy.fill(&mut random);
        let value = proof::base64url::encode(&random);
        let hash = TokenHash::of(value.as_bytes());
        (hash, self.line(self.browser(), &value, ""))
    }

    /// The session's cookie.
    pub(super) fn new_session(self, handle: &Secret) -> HeaderValue {
        let handle = handle.expose_text().unwrap_or_default();
        self.line(self.session(), handle, "")
    }

    /// Takes the session's cookie away.
    pub(super) fn no_session(self) -> HeaderValue {
        self.line(self.session(), "", "; Max-Age=0")
    }

    /// Without `Max-Age` a cookie ends with the browser; what ends the session stands in the store.
    fn line(self, name: &str, value: &str, more: &str) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        let mut line = HeaderValue::try_from(text)
            .expect("names are constants, values are base64url: all visible ASCII");
        line.set_sensitive(true);
        line
    }
}

fn is_ours(value: &[u8]) -> bool {
    value.len() == WIDTH
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Adds a cookie to an answer.
pub(super) fn set(headers: &mut HeaderMap, line: HeaderValue) {
    headers.append(SET_COOKIE, line);
}

#[cfg(test)]
mod tests {
    use proof::random::SystemEntropy;

    use super::*;

    fn sent(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::try_from(*line).expect("a header"));
        }
        headers
    }

    #[test]
    fn f03_what_was_set_is_read_back_by_its_hash_only() {
        for issuer in ["https://id.example.com", "http://127.0.0.1:8081"] {
            let cookies = Cookies::of(issuer);
            let (hash, line) = cookies.new_browser(&SystemEntropy);
            let line = line.to_str().expect("text").to_owned();
            let pair = line.split(';').next().expect("a pair");
            let jar = cookies.read(&sent(&[&format!("a=b; {pair} ; c")]));
            assert_eq!(jar.expect("one").browser, Some(hash));
            assert_eq!(line.contains("; Secure"), issuer.starts_with("https"));
            assert!(line.contains("; HttpOnly; SameSite=Lax"));
        }
    }

    #[test]
    fn f03_a_cookie_of_plain_http_is_none_of_an_https_issuers() {
        let (_, line) = Cookies::of("http://127.0.0.1").new_browser(&SystemEntropy);
        let line = line.to_str().expect("text").to_owned();
        let jar = Cookies::of("https://id.example.com").read(&sent(&[&line]));
        assert_eq!(jar.expect("none").browser, None);
    }

    #[test]
    fn b07_two_cookies_of_one_name_are_refused() {
        let value = "A".repeat(WIDTH);
        let one = format!("__Host-doorward-session={value}");
        let cookies = Cookies::of("https://id.example.com");
        for lines in [
            vec![format!("{one}; {one}")],
            vec![one.clone(), one.clone()],
            vec![format!("{one}; __Host-doorward-session=x")],
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(cookies.read(&sent(&lines)).unwrap_err(), TwoOfOneName);
        }
    }

    #[test]
    fn a_value_that_is_none_of_ours_counts_as_absent() {
        let cookies = Cookies::of("https://id.example.com");
        for value in ["", "x", &"A".repeat(42), &"A".repeat(44), &"%".repeat(43)] {
            let line = format!("__Host-doorward-session={value}");
            let jar = cookies.read(&sent(&[&line])).expect("one");
            assert_eq!(jar.session, None, "{value}");
        }
    }
}
