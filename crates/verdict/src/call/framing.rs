//! **The fields that frame and secure a message**: each stands once and is plainly spelled.
//!
//! The HTTP library refuses names that are no tokens and values with control bytes; here stands
//! what it lets through. Fields that no rule of ours reads are left as they are.

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ORIGIN, TRANSFER_ENCODING,
};
use http::{HeaderMap, Version};

use crate::problem::{Code, Problem};

/// Most header fields of a call: twice what browsers with many proxies between send.
pub const MAX_HEADERS: usize = 100;
/// Most bytes in all `Cookie` fields together: what browsers keep for one host, roughly doubled.
pub const MAX_COOKIE_BYTES: usize = 16 * 1024;

pub(super) fn check(headers: &HeaderMap, version: Version) -> Result<(), Problem> {
    if headers.len() > MAX_HEADERS {
        return Err(unclean("too many header fields"));
    }
    // One look at each field: asking the map for each name would hash every name for every call.
    let mut seen = 0u8;
    let mut cookies = 0usize;
    let mut framed = false;
    for (name, value) in headers {
        // Fields of which a second one would be read by somebody else than the first (threat B7).
        // `Host` is judged with the authority.
        let sole = match *name {
            AUTHORIZATION => 1,
            CONTENT_TYPE => 2,
            CONTENT_LENGTH => 4,
            ORIGIN => 8,
            COOKIE => {
                cookies = cookies.saturating_add(value.len());
                continue;
            }
            TRANSFER_ENCODING => {
                framed = true;
                continue;
            }
            _ => continue,
        };
        if seen & sole != 0 {
            return Err(Problem::new(
                Code::UncleanHeader,
                format!("{name} is repeated"),
            ));
        }
        seen |= sole;
        // Obsolete text (RFC 9110 §5.5) is Latin-1 to some and UTF-8 to others.
        // Without a way out in the middle, so that many bytes are looked at together.
        let plain = value
            .as_bytes()
            .iter()
            .fold(true, |plain, byte| plain & is_plain(*byte));
        if !plain {
            return Err(Problem::new(
                Code::UncleanHeader,
                format!("{name} is not ASCII"),
            ));
        }
        framed |= *name == CONTENT_LENGTH;
    }
    if cookies > MAX_COOKIE_BYTES {
        return Err(unclean("the cookies are too long"));
    }
    if framed {
        check_length(headers, version)?;
    }
    Ok(())
}

fn is_plain(byte: u8) -> bool {
    (byte == b'\t') | ((0x20..=0x7e).contains(&byte))
}

fn check_length(headers: &HeaderMap, version: Version) -> Result<(), Problem> {
    let length = headers.get(CONTENT_LENGTH);
    if let Some(length) = length {
        let digits = length.as_bytes();
        let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        // `u64` so that no reader's integer overflows where another's does not.
        if !number
            || length
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
                .is_none()
        {
            return Err(unclean("Content-Length is not one number"));
        }
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(unclean("a transfer coding other than chunked"));
    }
    // HTTP/1.0 knows no codings (RFC 9112 §6.1), HTTP/2 forbids them (RFC 9113 §8.2.2).
    if version != Version::HTTP_11 {
        return Err(unclean("a transfer coding in a version without them"));
    }
    if length.is_some() {
        return Err(unclean("Content-Length beside Transfer-Encoding"));
    }
    Ok(())
}

fn unclean(cause: &'static str) -> Problem {
    Problem::new(Code::UncleanHeader, cause)
}
