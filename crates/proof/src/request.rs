//! What every kind of signed request shares: the head it is read from, what a verified signature
//! has shown, and the check of the body against what was signed. The head is lent as it was on the
//! wire and is never rewritten; where a format knows a canonical form, that form is computed beside
//! it. Nothing here decides whether a key may do something, or was seen before.

use http::{HeaderMap, HeaderName};

use crate::{digest::sha256, time::Timestamp};

mod body;

pub use body::{BodyCheck, BodyDefect, BodyDigest};

/// Longest id of a key, in bytes.
pub const MAX_KEY_ID_BYTES: usize = 256;
/// Longest nonce, in bytes.
pub const MAX_NONCE_BYTES: usize = 256;

/// A request's head as it was on the wire, lent to whoever verifies or makes a signature.
#[derive(Copy, Clone, Debug)]
pub struct SignedHead<'a> {
    /// The method, case kept.
    pub method: &'a str,
    /// `http` or `https` as the client used it, lower case.
    pub scheme: &'a str,
    /// Host and port as the client wrote them: `Host`, or `:authority` of HTTP/2.
    pub authority: &'a str,
    /// The path, raw. Empty stands for `/`.
    pub path: &'a str,
    /// The query, raw, without its question mark. `Some("")` is a bare `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

impl<'a> SignedHead<'a> {
    /// The one line of a field as text.
    ///
    /// # Errors
    /// [`NotOne`] if the field has several lines, or one with bytes beyond visible ASCII, space
    /// and tab.
    pub fn one(&self, name: &HeaderName) -> Result<Option<&'a str>, NotOne> {
        one(self.headers, name)
    }

    /// The path, `/` if it is empty.
    pub fn path_or_root(&self) -> &'a str {
        if self.path.is_empty() { "/" } else { self.path }
    }

    /// Path and query as they stand in the request line.
    pub fn target(&self) -> String {
        let mut target = self.path_or_root().to_owned();
        if let Some(query) = self.query {
            target.push('?');
            target.push_str(query);
        }
        target
    }
}

/// The one line of a field as text.
pub(crate) fn one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, NotOne> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(NotOne);
    }
    line.to_str().map(Some).map_err(|_| NotOne)
}

/// A field that must have one line has several, or its line is not plain text.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header field is repeated or is not plain text")]
pub struct NotOne;

impl NotOne {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        "header-not-one"
    }
}

/// What a verified signature has shown. Made by the `verify` of a format only.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Under which id the key was looked up. Empty where the format names none (webhooks).
    pub key_id: String,
    /// Which of the secrets or keys that were offered made the signature, counted from zero.
    pub key: usize,
    /// When the signature says it was made; `None` where the format signs no time.
    pub created: Option<Timestamp>,
    /// The end that the signature itself names, leeway not counted.
    pub expires: Option<Timestamp>,
    /// What the signature covers: header fields in lower case, and RFC 9421's components.
    pub covered: Vec<String>,
    /// The signer's nonce, or the sender's id of a delivery.
    pub nonce: Option<String>,
    /// What the signature is meant for (RFC 9421 §2.3).
    pub tag: Option<String>,
    /// Whether the signature may be used many times until it ends: a presigned URL.
    pub reusable: bool,
    /// What the body must be.
    pub body: BodyDigest,
    /// What must be remembered so that this signature is taken once.
    pub replay: Replay,
}

/// What is remembered of a signature, so that it is not taken twice.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replay {
    /// SHA-256 over the format's name and what makes this signature the one it is.
    pub id: [u8; 32],
    /// When it would be refused anyway.
    pub until: Timestamp,
}

impl Replay {
    /// `parts` are divided by a NUL byte, which none of them but the last may contain.
    pub(crate) fn new(format: &str, parts: &[&[u8]], until: Timestamp) -> Self {
        let mut text = format.as_bytes().to_vec();
        for part in parts {
            text.push(0);
            text.extend_from_slice(part);
        }
        Self {
            id: sha256(&text),
            until,
        }
    }
}

/// Whether a key's id is one that is looked up at all: visible ASCII without quotes, backslash,
/// comma and slash, so that it reads the same in every format.
pub(crate) fn key_id_is_clean(id: &str) -> bool {
    (1..=MAX_KEY_ID_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',' | b'/'))
}

#[cfg(test)]
pub(crate) mod tests;
