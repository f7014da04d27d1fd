//! **The authority**: the one host that a message names, and its port.
//!
//! Routing by host and the host that the upstream reads must be one, so a message that names two,
//! none, or one in an unusual spelling is refused.

use std::sync::Arc;

use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, Uri, Version};

use crate::problem::{Code, Problem};

/// Longest host in bytes (RFC 1035 §2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// `Host`, `:authority` and an absolute-form target, which must agree where several are present.
pub(super) fn read(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    known: Option<&Arc<str>>,
) -> Result<Arc<str>, Problem> {
    if let Some(scheme) = uri.scheme()
        && *scheme != Scheme::HTTP
        && *scheme != Scheme::HTTPS
    {
        return Err(Problem::new(
            Code::UncleanTarget,
            "the target's scheme is not HTTP",
        ));
    }
    let mut hosts = headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(unclean("more than one Host field"));
    }
    let canonical = |text: &[u8]| match known {
        Some(known) if known.as_bytes() == text => Ok(known.clone()),
        _ => canonical(text),
    };
    let field = field.map(|value| canonical(value.as_bytes())).transpose()?;
    let Some(target) = uri.authority() else {
        // HTTP/1.1 demands Host (RFC 9112 §3.2); without it an older call names nobody either.
        return field.ok_or_else(|| unclean("no Host field"));
    };
    if version < Version::HTTP_2 && uri.scheme().is_none() {
        return Err(Problem::new(
            Code::UncleanTarget,
            "the target is in authority-form",
        ));
    }
    let target = canonical(target.as_str().as_bytes())?;
    match field {
        Some(field) if field != target => Err(unclean("Host and the target's authority differ")),
        // RFC 9112 §3.2.2: Host must be sent with an absolute-form target too.
        None if version < Version::HTTP_2 => Err(unclean("no Host field")),
        _ => Ok(target),
    }
}

/// The host within an authority that was read.
pub(super) fn host(authority: &str) -> &str {
    match authority.bytes().rposition(|byte| byte == b':') {
        // Within brackets a colon belongs to the address.
        Some(colon) if !authority.ends_with(']') => &authority[..colon],
        _ => authority,
    }
}

fn unclean(cause: &'static str) -> Problem {
    Problem::new(Code::UncleanAuthority, cause)
}

fn canonical(authority: &[u8]) -> Result<Arc<str>, Problem> {
    let text = core::str::from_utf8(authority).map_err(|_| unclean("the host is not ASCII"))?;
    let host = host(text);
    if let Some(port) = text[host.len()..].strip_prefix(':') {
        check_port(port).map_err(unclean)?;
    }
    check_host(host).map_err(unclean)?;
    Ok(text.to_ascii_lowercase().into())
}

fn check_port(port: &str) -> Result<(), &'static str> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if digits && !port.starts_with('0') && port.parse::<u16>().is_ok() {
        Ok(())
    } else {
        Err("the port is not a number from 1 to 65535")
    }
}

/// A DNS name or an address. Percent-encoding, userinfo and a final dot have no use here but to
/// spell one host in two ways.
fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return match inner.parse::<core::net::Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err("the host is not an IPv6 address"),
        };
    }
    if host.is_empty() || host.len() > MAX_HOST_BYTES {
        return Err("the host is empty or too long");
    }
    for label in host.as_bytes().split(|byte| *byte == b'.') {
        let clean = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if label.is_empty() || label.len() > 63 || !label.iter().all(clean) {
            return Err("the host is not a name");
        }
    }
    Ok(())
}
