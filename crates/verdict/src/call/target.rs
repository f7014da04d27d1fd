//! **The target**: path and query, refused unless they can be read in one way only.
//!
//! Each rule answers a way in which two programs read one path differently. Nothing is decoded,
//! collapsed or re-encoded: what passes here is sent on byte for byte. It does not know routes;
//! whether an encoded slash may stand in a parameter is the route's word.

use http::Uri;
use http::uri::PathAndQuery;

use super::Target;
use crate::problem::{Code, Problem};

/// Longest path in bytes: what common servers take in a whole request line.
pub const MAX_PATH_BYTES: usize = 8 * 1024;
/// Longest query in bytes, for the same reason.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;

impl Target {
    /// Checks origin-form and absolute-form targets (RFC 9112 §3.2).
    pub(super) fn read(uri: Uri) -> Result<Self, Problem> {
        let whole = match uri.into_parts().path_and_query {
            Some(whole) if whole.as_str().starts_with('?') => rooted(whole.as_str())?,
            Some(whole) => whole,
            None => PathAndQuery::from_static("/"),
        };
        if let Some(query) = whole.query() {
            check_query(query.as_bytes()).map_err(unclean)?;
        }
        let encoded_slash = check_path(whole.path().as_bytes()).map_err(unclean)?;
        Ok(Self {
            whole,
            encoded_slash,
        })
    }
}

/// The one repair there is: an empty path is `/` (RFC 9110 §4.2.3).
fn rooted(query: &str) -> Result<PathAndQuery, Problem> {
    PathAndQuery::try_from(format!("/{query}")).map_err(|_| unclean("the query is malformed"))
}

fn unclean(cause: &'static str) -> Problem {
    Problem::new(Code::UncleanTarget, cause)
}

/// Whether the path holds an encoded slash, or why it is refused.
pub(super) fn check_path(path: &[u8]) -> Result<bool, &'static str> {
    if path.len() > MAX_PATH_BYTES {
        return Err("the path is too long");
    }
    // `*` (RFC 9112 §3.2.4) and HTTP/2 paths without a slash (threat A5) end here.
    if path.first() != Some(&b'/') {
        return Err("the path does not begin with a slash");
    }
    let mut encoded_slash = false;
    let mut beyond_ascii = false;
    let mut segment = 1;
    // An encoded slash divides too once somebody decodes it: dots are looked for between both.
    let mut part = 1;
    let mut at = 1;
    while let Some(&byte) = path.get(at) {
        match byte {
            b'/' => {
                if at == segment {
                    return Err("the path has an empty segment");
                }
                refuse_dots(&path[part..at])?;
                at += 1;
                segment = at;
                part = at;
            }
            b'%' => {
                match encoded(path, at).ok_or("the path has a malformed percent-encoding")? {
                    b'/' => {
                        refuse_dots(&path[part..at])?;
                        encoded_slash = true;
                        part = at + 3;
                    }
                    b'\\' => return Err("the path has an encoded backslash"),
                    b';' => return Err("the path has an encoded semicolon"),
                    0..=0x1f | 0x7f => return Err("the path has an encoded control character"),
                    // RFC 3986 §2.3: equal to its plain form for some, not for others.
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        return Err("the path has an encoded character that needs no encoding");
                    }
                    b'%' if hex(path, at + 3).is_some() && hex(path, at + 4).is_some() => {
                        return Err("the path is encoded twice");
                    }
                    0x80.. => beyond_ascii = true,
                    _ => {}
                }
                at += 3;
            }
            _ if PLAIN[usize::from(byte)] => at += 1,
            b'\\' => return Err("the path has a backslash"),
            b';' => return Err("the path has a semicolon"),
            _ => return Err("the path has a character that must be encoded"),
        }
    }
    refuse_dots(&path[part..])?;
    if beyond_ascii {
        check_text(path)?;
    }
    Ok(encoded_slash)
}

fn refuse_dots(part: &[u8]) -> Result<(), &'static str> {
    match part {
        b"." | b".." => Err("the path has a dot segment"),
        _ => Ok(()),
    }
}

/// Encoded text must be UTF-8 (overlong forms of `.` and `/` end here) without C1 controls.
fn check_text(path: &[u8]) -> Result<(), &'static str> {
    let text = percent_encoding::percent_decode(path)
        .decode_utf8()
        .map_err(|_| "the path is not UTF-8 once decoded")?;
    if text.chars().any(char::is_control) {
        return Err("the path has an encoded control character");
    }
    Ok(())
}

/// The byte that the three characters at `at` encode.
fn encoded(path: &[u8], at: usize) -> Option<u8> {
    Some(hex(path, at + 1)? << 4 | hex(path, at + 2)?)
}

fn hex(path: &[u8], at: usize) -> Option<u8> {
    match *path.get(at)? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Bytes that may stand in a segment as they are: `pchar` of RFC 3986 §3.3 without `;` (path
/// parameters are read by some servers only), and `[`, `]`, `|`, `^`, which browsers leave as they
/// are and no server reads as structure.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let plain =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@[]|^";
    let mut at = 0;
    while at < plain.len() {
        table[plain[at] as usize] = true;
        at += 1;
    }
    table
};

/// A query is data for the upstream and no rule reads it, so only what breaks lines, logs and
/// C strings is refused.
fn check_query(query: &[u8]) -> Result<(), &'static str> {
    if query.len() > MAX_QUERY_BYTES {
        return Err("the query is too long");
    }
    if !query.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
        return Err("the query has a character that must be encoded");
    }
    if memchr::memmem::find(query, b"%00").is_some() {
        return Err("the query has an encoded NUL");
    }
    Ok(())
}
