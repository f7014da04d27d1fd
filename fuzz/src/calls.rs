//! Heads as they arrive.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Version};
use proof::time::Timestamp;
use proof::x509::{self, Certificate, RelayFormat};
use verdict::call::{Arrival, Head, Scheme};

/// One moment for all targets.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A request from lines: method and target, then fields, then an empty line and the body. `None` if
/// the HTTP library would not have passed it on.
pub(crate) fn request(data: &[u8]) -> Option<(http::request::Parts, &[u8])> {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let found = &rest[..end];
        rest = &rest[end + 1..];
        Some(found)
    };
    let first = line()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder()
        .version(Version::HTTP_11)
        .method(&first[..space])
        .uri(&first[space + 1..])
        .body(())
        .ok()?;
    while let Some(field) = line() {
        if field.is_empty() {
            break;
        }
        let colon = field.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&field[..colon]).ok()?;
        let value = HeaderValue::from_bytes(field[colon + 1..].trim_ascii()).ok()?;
        if request.headers().len() > 64 {
            return None;
        }
        request.headers_mut().append(name, value);
    }
    Some((request.into_parts().0, rest))
}

fn arrival() -> Arrival {
    Arrival {
        request_id: Arc::from("fuzz"),
        peer: ([127, 0, 0, 1], 4000).into(),
        client: [127, 0, 0, 1].into(),
        scheme: Scheme::Https,
        tls: None,
        received: NOW,
        loopback: true,
    }
}

/// What is accepted can be read in one way only (threats A1 to A5).
pub(crate) fn call(data: &[u8]) {
    let Some((parts, _)) = request(data) else {
        return;
    };
    let sent = parts.uri.clone();
    let Ok(head) = Head::read(parts, arrival()) else {
        return;
    };
    let path = head.path();
    assert!(path.starts_with('/'), "{path}");
    assert!(
        path.bytes().all(|byte| (0x21..=0x7e).contains(&byte)),
        "{path}"
    );
    // Nothing was tidied up.
    assert_eq!(
        path,
        if sent.path().is_empty() {
            "/"
        } else {
            sent.path()
        }
    );
    assert_eq!(head.query(), sent.query());
    let segments: Vec<_> = path[1..].split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        assert!(last || !segment.is_empty(), "{path}");
        assert!(!segment.contains(['\\', ';']), "{path}");
        let plain = decoded(segment);
        assert!(plain != b"." && plain != b"..", "{path}");
        assert!(!plain.contains(&b'\\') && !plain.contains(&0), "{path}");
        assert!(!plain.contains(&b'/') || head.has_encoded_slash(), "{path}");
        // Decoded twice it must not mean something else.
        assert!(
            !decoded(&String::from_utf8_lossy(&plain)).contains(&0),
            "{path}"
        );
    }
    assert!(!head.host().is_empty());
    assert_eq!(head.host(), head.host().to_ascii_lowercase());
}

/// Percent-decoding, once.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| {
            let text = core::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        });
        match (bytes[at], pair) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// What a proxy wrote becomes certificates, or nothing.
pub(crate) fn relayed_certificate(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let (value, chain) = match text.split_once('\n') {
        Some((value, chain)) => (value, Some(chain)),
        None => (text, None),
    };
    for format in [
        RelayFormat::Rfc9440,
        RelayFormat::EscapedPem,
        RelayFormat::Envoy,
        RelayFormat::Traefik,
    ] {
        let Ok(found) = x509::read_relayed(format, value, chain) else {
            continue;
        };
        assert!(!found.is_empty());
        for der in found {
            let _ = Certificate::parse(&der);
        }
    }
}
