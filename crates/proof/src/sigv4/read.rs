//! Reading the claim: who says to have signed what, and when; from `Authorization`, or from the
//! query.

use std::time::Duration;

use http::{HeaderName, header};

use super::{
    ALGORITHM, Claimed, MAX_QUERY_PARAMETERS, MAX_SIGNED_HEADERS, PRESIGNED_LIFETIME_CEILING,
    Payload, Scope, SigV4Defect, canonical::SIGNATURE_PARAMETER, is_object_storage,
};
use crate::{
    calendar,
    digest::unhex,
    request::{SignedHead, key_id_is_clean, one},
};

pub(super) const DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const S3_SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-s3session-token");

/// The query parameters of a presigned request, in the one spelling that is taken.
const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE_PARAMETER,
];

/// Reads the claim of a request, from `Authorization` or from its query; `None` if it makes none
/// of this kind.
///
/// # Errors
/// [`SigV4Defect`] if it makes one that can't be read.
pub fn parse<'a>(head: &SignedHead<'a>) -> Result<Option<Claimed<'a>>, SigV4Defect> {
    let authorization = one(head.headers, &header::AUTHORIZATION)?;
    let in_header = authorization.filter(|value| {
        value
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("AWS4-"))
    });
    let parameters = match presigned_parameters(head.query) {
        // Whatever is wrong with the second: two ways in are one too many.
        Err(_) if in_header.is_some() => return Err(SigV4Defect::TwoPlaces),
        read => read?,
    };
    if in_header.is_none() && parameters.is_none() {
        return Ok(None);
    }
    if pairs(head.query).count() > MAX_QUERY_PARAMETERS {
        return Err(SigV4Defect::Malformed("query"));
    }
    match (in_header, parameters) {
        (None, None) => Ok(None),
        (Some(value), None) => {
            refuse_session_tokens(head)?;
            from_header(head, value).map(Some)
        }
        // Not with another scheme's credentials either: two ways in are one too many.
        (_, Some(_)) if authorization.is_some() => Err(SigV4Defect::TwoPlaces),
        (_, Some(parameters)) => {
            refuse_session_tokens(head)?;
            from_query(head, &parameters).map(Some)
        }
    }
}

fn refuse_session_tokens(head: &SignedHead<'_>) -> Result<(), SigV4Defect> {
    let in_headers =
        head.headers.contains_key(SECURITY_TOKEN) || head.headers.contains_key(S3_SESSION_TOKEN);
    let in_query = pairs(head.query).any(|(name, _)| {
        name.eq_ignore_ascii_case("X-Amz-Security-Token")
            || name.eq_ignore_ascii_case("X-Amz-S3session-Token")
    });
    if in_headers || in_query {
        return Err(SigV4Defect::SessionToken);
    }
    Ok(())
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    query
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The values of [`PARAMETERS`], decoded; `None` if the query has none of them.
fn presigned_parameters(query: Option<&str>) -> Result<Option<[String; 6]>, SigV4Defect> {
    let mut found: [Option<String>; 6] = Default::default();
    let mut any = false;
    for (name, value) in pairs(query) {
        let Some(at) = PARAMETERS.iter().position(|p| p.eq_ignore_ascii_case(name)) else {
            continue;
        };
        any = true;
        let defect = SigV4Defect::Malformed(PARAMETERS[at]);
        if PARAMETERS[at] != name || found[at].is_some() {
            return Err(defect);
        }
        found[at] = Some(decoded(value).ok_or(defect)?);
    }
    if !any {
        return Ok(None);
    }
    let mut values: [String; 6] = Default::default();
    for ((value, found), name) in values.iter_mut().zip(found).zip(PARAMETERS) {
        *value = found.ok_or(SigV4Defect::Malformed(name))?;
    }
    Ok(Some(values))
}

fn from_header<'a>(head: &SignedHead<'a>, value: &str) -> Result<Claimed<'a>, SigV4Defect> {
    let rest = value
        .strip_prefix(ALGORITHM)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or(SigV4Defect::Algorithm)?;
    let names = ["Credential", "SignedHeaders", "Signature"];
    let mut found: [Option<&str>; 3] = [None; 3];
    for part in rest.split(',') {
        let part = part.strip_prefix(' ').unwrap_or(part);
        let (name, value) = part
            .split_once('=')
            .ok_or(SigV4Defect::Malformed("Authorization"))?;
        let at = names
            .iter()
            .position(|known| *known == name)
            .ok_or(SigV4Defect::Malformed("Authorization"))?;
        if found[at].replace(value).is_some() {
            return Err(SigV4Defect::Malformed(names[at]));
        }
    }
    let part = |at: usize| found[at].ok_or(SigV4Defect::Malformed(names[at]));
    let (key_id, scope) = credential(part(0)?)?;
    let signed_headers = signed_headers(part(1)?)?;
    let signature = signature(part(2)?)?;

    // The one in `x-amz-date` wins, since proxies may touch `date`.
    let (signed_at, covered_by) = match one(head.headers, &DATE)? {
        Some(text) => (calendar::parse_basic(text), DATE),
        None => {
            let text = one(head.headers, &header::DATE)?.ok_or(SigV4Defect::Time)?;
            let time = calendar::parse_http_date(text).or_else(|| calendar::parse_basic(text));
            (time, header::DATE)
        }
    };
    let signed_at = signed_at.ok_or(SigV4Defect::Time)?;
    if !signed_headers
        .iter()
        .any(|name| name == covered_by.as_str())
    {
        return Err(SigV4Defect::NotSigned);
    }
    Claimed {
        head: *head,
        key_id,
        scope,
        time: calendar::basic(signed_at),
        signed_at,
        expires_in: None,
        signed_headers,
        payload: declared_payload(head)?,
        signature,
    }
    .of_one_day()
}

fn from_query<'a>(
    head: &SignedHead<'a>,
    parameters: &[String; 6],
) -> Result<Claimed<'a>, SigV4Defect> {
    let [algorithm, credentials, date, expires, names, signature_hex] = parameters;
    if algorithm != ALGORITHM {
        return Err(SigV4Defect::Algorithm);
    }
    let (key_id, scope) = credential(credentials)?;
    let expires_in = Some(expires.as_str())
        .filter(|text| (1..=6).contains(&text.len()) && !text.starts_with('0'))
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs)
        .filter(|life| *life <= PRESIGNED_LIFETIME_CEILING)
        .ok_or(SigV4Defect::Malformed("X-Amz-Expires"))?;
    let payload = match declared_payload(head)? {
        None if is_object_storage(&scope.service) => Some(Payload::Unsigned),
        Some(Payload::SignedChunks { .. } | Payload::UnsignedChunks) => {
            return Err(SigV4Defect::Payload);
        }
        declared => declared,
    };
    let signed_at = calendar::parse_basic(date).ok_or(SigV4Defect::Time)?;
    Claimed {
        head: *head,
        key_id,
        scope,
        time: calendar::basic(signed_at),
        signed_at,
        expires_in: Some(expires_in),
        signed_headers: signed_headers(names)?,
        payload,
        signature: signature(signature_hex)?,
    }
    .of_one_day()
}

/// `<key id>/<date>/<region>/<service>/aws4_request`.
fn credential(text: &str) -> Result<(String, Scope), SigV4Defect> {
    const WRONG: SigV4Defect = SigV4Defect::Malformed("Credential");
    let parts: Vec<&str> = text.split('/').collect();
    let [key_id, date, region, service, "aws4_request"] = parts.as_slice() else {
        return Err(WRONG);
    };
    let plain = |text: &str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let date_fits = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
    if !key_id_is_clean(key_id) || !date_fits || !plain(region) || !plain(service) {
        return Err(WRONG);
    }
    let scope = Scope {
        date: (*date).to_owned(),
        region: (*region).to_owned(),
        service: (*service).to_owned(),
    };
    Ok(((*key_id).to_owned(), scope))
}

/// Names in lower case, sorted, none twice, `host` among them.
fn signed_headers(text: &str) -> Result<Vec<String>, SigV4Defect> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    let clean = |name: &String| {
        !name.is_empty()
            && name.len() <= 128
            && !name.bytes().any(|b| b.is_ascii_uppercase())
            && HeaderName::from_bytes(name.as_bytes()).is_ok()
    };
    if names.len() > MAX_SIGNED_HEADERS
        || !names.iter().all(clean)
        || !names.is_sorted_by(|one, next| one < next)
        || !names.iter().any(|name| name == "host")
    {
        return Err(SigV4Defect::Malformed("SignedHeaders"));
    }
    Ok(names)
}

fn signature(text: &str) -> Result<[u8; 32], SigV4Defect> {
    unhex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SigV4Defect::Malformed("Signature"))
}

fn declared_payload(head: &SignedHead<'_>) -> Result<Option<Payload>, SigV4Defect> {
    let in_header = one(head.headers, &CONTENT_SHA256)?;
    let mut in_query = pairs(head.query)
        .filter(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Content-Sha256"))
        .map(|(_, value)| value);
    let declared = match (in_header, in_query.next(), in_query.next()) {
        (None, None, None) => return Ok(None),
        (Some(text), None, None) | (None, Some(text), None) => text,
        _ => return Err(SigV4Defect::Payload),
    };
    match Payload::from_declared(declared) {
        Some(payload) => Ok(Some(payload)),
        None => Err(SigV4Defect::Payload),
    }
}

/// Percent-decoded UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
            bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn decoded_length(head: &SignedHead<'_>) -> Result<u64, SigV4Defect> {
    one(head.headers, &DECODED_LENGTH)?
        .filter(|text| (1..=18).contains(&text.len()))
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(SigV4Defect::DecodedLength)
}

/// The names in `x-amz-trailer`, in lower case.
pub(super) fn declared_trailers(head: &SignedHead<'_>) -> Result<Vec<String>, SigV4Defect> {
    const WRONG: SigV4Defect = SigV4Defect::Malformed("x-amz-trailer");
    let Some(text) = one(head.headers, &TRAILER)? else {
        return Ok(Vec::new());
    };
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',') {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| WRONG)?;
        // Only checksums: a trailer must not carry what a header field may not.
        if !name.as_str().starts_with("x-amz-checksum-")
            || names.iter().any(|known| known == name.as_str())
            || names.len() == 8
        {
            return Err(WRONG);
        }
        names.push(name.as_str().to_owned());
    }
    Ok(names)
}
