//! The canonical request, computed beside the request that was sent. Paths and queries have more
//! than one canonical text, since signers differ; each comes from the raw bytes, and a `%xx` that
//! was sent is never decoded, so that two spellings don't share a signature.

use http::HeaderName;

use super::{PathStyle, SigV4Defect};
use crate::request::SignedHead;

/// The query parameter that carries the signature itself.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// The canonical path in one style.
pub(super) fn path(path: &str, style: PathStyle) -> String {
    let path = if path.is_empty() { "/" } else { path };
    match style {
        PathStyle::AsSent => path.to_owned(),
        PathStyle::Encoded => encoded(path, Percent::Kept, true),
        PathStyle::Double => encoded(path, Percent::Encoded, true),
        PathStyle::DoubleNormalised => encoded(&normalised(path), Percent::Encoded, true),
    }
}

/// The canonical queries: with what should have been encoded encoded, and as it was sent where
/// that differs. Sorted by name, then by value; without the signature. A plus that was sent is a
/// space, as signers mean it and upstreams read it; it is never taken for `%2B`.
pub(super) fn queries(query: Option<&str>) -> Vec<String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return vec![String::new()];
    };
    let sorted = |write: &dyn Fn(&str) -> String| {
        let mut pairs: Vec<(String, String)> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(name, _)| *name != SIGNATURE_PARAMETER)
            .map(|(name, value)| (write(name), write(value)))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    };
    let strict = sorted(&|text| encoded(&text.replace('+', "%20"), Percent::Kept, false));
    let sent = sorted(&str::to_owned);
    if sent == strict {
        vec![strict]
    } else {
        vec![strict, sent]
    }
}

/// Names and values of the signed fields, one to a line, in the order given.
pub(super) fn headers(head: &SignedHead<'_>, names: &[String]) -> Result<Vec<u8>, SigV4Defect> {
    let mut text = Vec::new();
    for name in names {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        if name == "host" {
            text.extend_from_slice(head.authority.as_bytes());
        } else {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| SigV4Defect::Malformed("SignedHeaders"))?;
            let mut lines = head.headers.get_all(&name).iter().peekable();
            if lines.peek().is_none() {
                return Err(SigV4Defect::SignedHeaderMissing);
            }
            for (n, line) in lines.enumerate() {
                if n > 0 {
                    text.push(b',');
                }
                push_collapsed(&mut text, line.as_bytes());
            }
        }
        text.push(b'\n');
    }
    Ok(text)
}

/// The whole: method, path, query, fields, their names, and what is said of the body.
pub(super) fn request(
    method: &str,
    path: &str,
    query: &str,
    headers: &[u8],
    names: &[String],
    payload: &str,
) -> Vec<u8> {
    let mut text = format!("{method}\n{path}\n{query}\n").into_bytes();
    text.extend_from_slice(headers);
    text.push(b'\n');
    text.extend_from_slice(names.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload.as_bytes());
    text
}

/// Without the spaces at both ends, and with one space where there are several.
fn push_collapsed(text: &mut Vec<u8>, value: &[u8]) {
    let mut after_space = false;
    for &byte in value.trim_ascii() {
        if byte != b' ' || !after_space {
            text.push(byte);
        }
        after_space = byte == b' ';
    }
}

/// What becomes of a percent sign that begins an encoded byte.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Percent {
    Kept,
    Encoded,
}

/// Percent-encodes every byte that is not unreserved (RFC 3986 §2.3).
pub(super) fn encoded(text: &str, percent: Percent, keep_slash: bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len() + 16);
    for (at, &byte) in bytes.iter().enumerate() {
        let keep = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
            b'/' => keep_slash,
            b'%' if percent == Percent::Kept => bytes
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            _ => false,
        };
        if keep {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// Without dot segments (RFC 3986 §5.2.4) and without empty segments inside.
fn normalised(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    let ends_open = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    if normal.is_empty() || ends_open {
        normal.push('/');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_text_in_each_style() {
        for (sent, as_sent, once, twice, normal) in [
            ("", "/", "/", "/", "/"),
            ("/a b", "/a b", "/a%20b", "/a%20b", "/a%20b"),
            ("/a%20b", "/a%20b", "/a%20b", "/a%2520b", "/a%2520b"),
            ("/a%2fb", "/a%2fb", "/a%2fb", "/a%252fb", "/a%252fb"),
            (
                "/a!(b)",
                "/a!(b)",
                "/a%21%28b%29",
                "/a%21%28b%29",
                "/a%21%28b%29",
            ),
            ("/-._~", "/-._~", "/-._~", "/-._~", "/-._~"),
            ("/100%", "/100%", "/100%25", "/100%25", "/100%25"),
            (
                "/a//b/./c/../d",
                "/a//b/./c/../d",
                "/a//b/./c/../d",
                "/a//b/./c/../d",
                "/a/b/d",
            ),
            ("/a/..", "/a/..", "/a/..", "/a/..", "/"),
            ("/a/b/..", "/a/b/..", "/a/b/..", "/a/b/..", "/a/"),
        ] {
            assert_eq!(path(sent, PathStyle::AsSent), as_sent, "{sent}");
            assert_eq!(path(sent, PathStyle::Encoded), once, "{sent}");
            assert_eq!(path(sent, PathStyle::Double), twice, "{sent}");
            assert_eq!(path(sent, PathStyle::DoubleNormalised), normal, "{sent}");
        }
    }

    #[test]
    fn a_query_is_sorted_and_encoded_but_never_decoded() {
        for (sent, expected) in [
            ("", vec![""]),
            ("b=2&a=1", vec!["a=1&b=2"]),
            ("a=2&a=1&a=", vec!["a=&a=1&a=2"]),
            ("acl", vec!["acl="]),
            ("a=b=c", vec!["a=b%3Dc", "a=b=c"]),
            ("p=%7E%2f+", vec!["p=%7E%2f%20", "p=%7E%2f+"]),
            ("p=%2B", vec!["p=%2B"]),
            (
                "X-Amz-Signature=1&z=1&X-Amz-Date=2",
                vec!["X-Amz-Date=2&z=1"],
            ),
        ] {
            assert_eq!(queries(Some(sent)), expected, "{sent}");
        }
        assert_eq!(queries(None), [""]);
    }

    #[test]
    fn spaces_collapse_in_a_value() {
        let mut text = Vec::new();
        push_collapsed(&mut text, b"  \"a   b\"  c\td ");
        assert_eq!(text, b"\"a b\" c\td");
    }
}
