//! **A person's browser**: it keeps cookies, follows redirects within one origin, fills in forms and
//! presses their buttons. It runs no script and draws nothing. It goes no further than the origin it
//! was opened for: what would lead to a client is handed back unfetched.
//!
//! Where the origin is answered from can be changed at any time ([`Browser::move_to`]): a load
//! balancer in front of two nodes looks like that.

use core::fmt::Write as _;
use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::wire::{self, Answer};

/// Most redirects in a row.
const MOST_STEPS: usize = 10;

/// One browser: its cookies, and where it finds the origin. A clone is another browser that has the
/// same cookies.
#[derive(Debug, Clone)]
pub struct Browser {
    origin: String,
    address: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Cookies by name.
    pub cookies: BTreeMap<String, String>,
    /// Every `Set-Cookie` line that it was given.
    pub lines: Vec<String>,
}

impl Browser {
    /// One for an origin (`http://host:port`), answered from an address.
    #[must_use]
    pub fn new(origin: &str, address: SocketAddr) -> Self {
        Self {
            origin: origin.to_owned(),
            address,
            tls: None,
            cookies: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    /// The same over TLS.
    #[must_use]
    pub fn over_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// From now on another node answers for the origin.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// The value of the first cookie whose name ends so.
    #[must_use]
    pub fn cookie(&self, ending: &str) -> Option<&str> {
        let mut cookies = self.cookies.iter();
        let (_, value) = cookies.find(|(name, _)| name.ends_with(ending))?;
        Some(value)
    }

    /// Goes to a target (`/path?query`) and on until a page, or the way to a client.
    ///
    /// # Errors
    /// If there is no answer, or too many redirects.
    pub fn open(&mut self, target: &str) -> Result<Answer> {
        let answer = self.send("GET", target, &[], "")?;
        self.follow(answer)
    }

    /// Sends a form as our own page would, and follows.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let origin = self.origin.clone();
        let answer = self.submit_with(path, fields, &[("origin", &origin)])?;
        self.follow(answer)
    }

    /// Sends a form with just these header fields besides cookies and type; follows nothing.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn submit_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let headers = [&[form], headers].concat();
        self.send("POST", path, &headers, &encode(fields))
    }

    /// Fills in the login form of a page.
    ///
    /// # Errors
    /// If the page has none, or as [`Self::submit`].
    pub fn log_in(&mut self, page: &Answer, username: &str, password: &str) -> Result<Answer> {
        let ticket = field(page, "ticket").with_context(|| shown("no login form", page))?;
        if !page.text().contains("name=\"password\"") {
            bail!(shown("no login form", page));
        }
        let fields = [
            ("ticket", ticket.as_str()),
            ("username", username),
            ("password", password),
        ];
        self.submit("/login", &fields)
    }

    /// Presses a button of a page that asks for a decision (`allow`, `deny`), all scopes ticked.
    ///
    /// # Errors
    /// If the page does not ask, or as [`Self::submit`].
    pub fn decide(&mut self, page: &Answer, decision: &str) -> Result<Answer> {
        let path = action(page).with_context(|| shown("no form", page))?;
        if !page.text().contains("name=\"decision\"") {
            bail!(shown("nothing to decide", page));
        }
        let (ticket, scopes) = (field(page, "ticket"), fields(page, "scope"));
        let mut sent = vec![("ticket", ticket.as_deref().unwrap_or_default())];
        sent.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        sent.push(("decision", decision));
        self.submit(&path, &sent)
    }

    /// Follows redirects as long as they stay here.
    fn follow(&mut self, mut answer: Answer) -> Result<Answer> {
        for _ in 0..MOST_STEPS {
            let Some(location) = answer.header("location") else {
                return Ok(answer);
            };
            let target = match location.strip_prefix(self.origin.as_str()) {
                Some(target) if target.starts_with('/') => target.to_owned(),
                None if location.starts_with('/') && !location.starts_with("//") => {
                    location.to_owned()
                }
                _ => return Ok(answer),
            };
            answer = self.send("GET", &target, &[], "")?;
        }
        bail!("more than {MOST_STEPS} redirects")
    }

    /// One request with this browser's cookies.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let host = self.origin.split("://").nth(1).unwrap_or_default();
        let jar: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let jar = jar.join("; ");
        let mut all = vec![("host", host), ("user-agent", "A plain browser")];
        if !jar.is_empty() {
            all.push(("cookie", &jar));
        }
        all.extend(headers);
        let bytes = wire::request(self.address, method, target, &all, body.as_bytes());
        let answer = match &self.tls {
            None => wire::raw(self.address, bytes)?,
            Some(config) => {
                let mut stream = wire::connect_tls_as(self.address, config, Some("http/1.1"))?;
                stream.write_all(&bytes)?;
                wire::first_answer(&mut stream)?
            }
        };
        for (_, line) in answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            self.keep(line);
        }
        Ok(answer)
    }

    /// RFC 6265 §5.3, as far as these cookies go.
    fn keep(&mut self, line: &str) {
        self.lines.push(line.to_owned());
        let lower = line.to_ascii_lowercase();
        let secure = lower.contains("; secure");
        let Some((name, value)) = line.split(';').next().and_then(|pair| pair.split_once('='))
        else {
            return;
        };
        let refused = (secure && self.tls.is_none())
            || (name.starts_with("__Host-")
                && !(secure && lower.contains("; path=/") && !lower.contains("; domain")));
        if refused {
            return;
        }
        if lower.contains("max-age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn shown(what: &str, page: &Answer) -> String {
    format!("{what}: {} {}", page.status, page.text())
}

/// `application/x-www-form-urlencoded`.
#[must_use]
pub fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let joint = if text.is_empty() { "" } else { "&" };
        let _ = write!(text, "{joint}{}={}", escaped(name), escaped(value));
    }
    text
}

/// Percent-encodes all but the unreserved characters of RFC 3986 §2.3.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| core::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match code {
            Some(byte) => {
                bytes.push(byte);
                &after[2..]
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where an answer sends the browser: the address without its query, and the parameters there.
#[must_use]
pub fn sent_to(answer: &Answer) -> Option<(String, BTreeMap<String, String>)> {
    let location = answer.header("location")?;
    let (address, query) = location.split_once('?').unwrap_or((location, ""));
    let params = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (unescaped(name), unescaped(value)))
        .collect();
    Some((address.to_owned(), params))
}

/// The value of the first field of a page's forms with a name.
#[must_use]
pub fn field(page: &Answer, name: &str) -> Option<String> {
    fields(page, name).into_iter().next()
}

/// All of them.
#[must_use]
pub fn fields(page: &Answer, name: &str) -> Vec<String> {
    let text = page.text();
    tags(&text, "<input")
        .filter(|tag| attribute(tag, "name").as_deref() == Some(name))
        .map(|tag| attribute(tag, "value").unwrap_or_default())
        .collect()
}

/// Where the page's first form goes.
#[must_use]
pub fn action(page: &Answer) -> Option<String> {
    let text = page.text();
    tags(&text, "<form").find_map(|tag| attribute(tag, "action"))
}

fn tags<'a>(text: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(opening)
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag
        .split(&format!(" {name}=\""))
        .nth(1)?
        .split('"')
        .next()?;
    let plain = value
        .replace("&#x2f;", "/")
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_written_as_browsers_do() {
        let page = Answer {
            body: br#"<form method="post" action="&#x2f;login"><input type="hidden" name="ticket" value="a&amp;b">"#.to_vec(),
            ..Answer::default()
        };
        assert_eq!(action(&page).as_deref(), Some("/login"));
        assert_eq!(field(&page, "ticket").as_deref(), Some("a&b"));
        assert_eq!(field(&page, "username"), None);
        assert_eq!(encode(&[("a", "b c"), ("d", "/")]), "a=b%20c&d=%2F");
        assert_eq!(unescaped("b%20c+%2f%"), "b c /%");
    }
}
