//! Reading the claim (who says to have signed what, and when), and judging it.

use std::time::Duration;

use http::{HeaderName, header};
use subtle::ConstantTimeEq as _;

use super::{
    ALGORITHM, MAX_QUERY_PARAMETERS, MAX_SIGNED_HEADERS, PRESIGNED_LIFETIME_CEILING, PathStyle,
    Payload, Rules, Scope, SigV4Defect,
    canonical::{self, SIGNATURE_PARAMETER},
    chunks::{ChunkDecoder, ChunkPlan},
    is_object_storage, string_to_sign,
};
use crate::{
    calendar,
    digest::{hex, hmac_sha256, unhex},
    request::{BodyDigest, Replay, SignedHead, Verified, key_id_is_clean, one},
    secret::Secret,
    time::Timestamp,
};

pub(super) const DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
pub(super) const DECODED_LENGTH: HeaderName =
    HeaderName::from_static("x-amz-decoded-content-length");
pub(super) const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
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

/// A request that says who signed it. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    head: SignedHead<'a>,
    key_id: String,
    scope: Scope,
    time: String,
    signed_at: Timestamp,
    /// How long it lives, if it is presigned.
    expires_in: Option<Duration>,
    signed_headers: Vec<String>,
    payload: Option<Payload>,
    signature: [u8; 32],
}

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
    let parameters = presigned_parameters(head.query)?;
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
    for (n, (name, value)) in pairs(query).enumerate() {
        if n >= MAX_QUERY_PARAMETERS {
            return Err(SigV4Defect::Malformed("query"));
        }
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

impl Claimed<'_> {
    /// The id under which the secret is to be looked up.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// For what the signing key was derived, as claimed.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it came as a presigned query.
    pub fn is_presigned(&self) -> bool {
        self.expires_in.is_some()
    }

    /// Whether the whole body must be hashed before [`Self::verify`]: the request signs a hash
    /// that it does not name.
    pub fn needs_body(&self) -> bool {
        self.payload.is_none()
    }

    /// Verifies with whichever of `secrets` it was signed with. `body` is the SHA-256 of the whole
    /// body, asked for where [`Self::needs_body`].
    ///
    /// # Errors
    /// The first [`SigV4Defect`]: rules, required fields, times, then the signature.
    pub fn verify<S: AsRef<str>>(
        self,
        secrets: &[&Secret],
        body: Option<&[u8; 32]>,
        now: Timestamp,
        rules: &Rules<'_, S>,
    ) -> Result<Verified, SigV4Defect> {
        let lists = |list: &[S], text: &str| list.iter().any(|known| known.as_ref() == text);
        if !lists(rules.regions, &self.scope.region) {
            return Err(SigV4Defect::Region);
        }
        if !lists(rules.services, &self.scope.service) {
            return Err(SigV4Defect::Service);
        }
        let payload = match self.payload {
            Some(payload) => payload.declared(),
            None => hex(body.ok_or(SigV4Defect::BodyNotHashed)?),
        };
        self.payload_is_allowed(rules)?;
        self.required_are_signed(rules)?;
        let until = self.within(now, rules)?;

        let headers = canonical::headers(&self.head, &self.signed_headers)?;
        let styles = rules
            .paths
            .unwrap_or_else(|| PathStyle::of_service(&self.scope.service));
        let texts = self.strings_to_sign(styles, &headers, &payload);
        let (key, matched) = secrets
            .iter()
            .enumerate()
            .find_map(|(n, secret)| {
                let key = self.scope.derive(secret);
                texts
                    .iter()
                    .any(|text| {
                        let tag = hmac_sha256(&*key, text.as_bytes());
                        bool::from(tag.ct_eq(&self.signature))
                    })
                    .then_some((key, n))
            })
            .ok_or(SigV4Defect::Signature)?;

        let plan = |signing_key| -> Result<_, SigV4Defect> {
            Ok(ChunkPlan {
                signing_key,
                time: self.time.clone(),
                scope: self.scope.text(),
                seed: self.signature,
                decoded_length: decoded_length(&self.head)?,
                trailers: declared_trailers(&self.head)?,
                max_chunk_bytes: rules.max_chunk_bytes,
            })
        };
        let body = match self.payload {
            None => BodyDigest::Checked,
            Some(Payload::Hash(hash)) => BodyDigest::Sha256(hash),
            Some(Payload::Unsigned) if rules.unsigned_payload => BodyDigest::Unsigned,
            Some(Payload::Unsigned) => BodyDigest::Empty,
            Some(Payload::SignedChunks { trailers }) => {
                let plan = plan(Some(key))?;
                if plan.trailers.is_empty() == trailers {
                    return Err(SigV4Defect::Payload);
                }
                BodyDigest::Chunks(Box::new(ChunkDecoder::new(plan)))
            }
            Some(Payload::UnsignedChunks) => {
                BodyDigest::Chunks(Box::new(ChunkDecoder::new(plan(None)?)))
            }
        };
        Ok(Verified {
            key: matched,
            created: Some(self.signed_at),
            expires: self.expires_in.map(|life| self.signed_at.plus(life)),
            nonce: None,
            tag: None,
            reusable: self.expires_in.is_some(),
            body,
            replay: Replay::new("sigv4", &[self.key_id.as_bytes(), &self.signature], until),
            key_id: self.key_id,
            covered: self.signed_headers,
        })
    }

    /// The scope's date is the day of the time that is signed.
    fn of_one_day(self) -> Result<Self, SigV4Defect> {
        if self.time.get(..8) == Some(self.scope.date.as_str()) {
            Ok(self)
        } else {
            Err(SigV4Defect::Time)
        }
    }

    fn payload_is_allowed<S: AsRef<str>>(&self, rules: &Rules<'_, S>) -> Result<(), SigV4Defect> {
        let allowed = match self.payload {
            None | Some(Payload::Hash(_)) => true,
            // A presigned request may leave the body out, and then there must be none.
            Some(Payload::Unsigned) => rules.unsigned_payload || self.is_presigned(),
            Some(Payload::SignedChunks { .. }) => rules.signed_chunks,
            Some(Payload::UnsignedChunks) => rules.unsigned_chunks,
        };
        if allowed {
            Ok(())
        } else {
            Err(SigV4Defect::PayloadNotAllowed)
        }
    }

    fn required_are_signed<S: AsRef<str>>(&self, rules: &Rules<'_, S>) -> Result<(), SigV4Defect> {
        let unsigned = |name: &str| {
            let required = name == "content-type"
                || name.starts_with("x-amz-")
                || rules.signed_if_present.iter().any(|r| r.as_ref() == name);
            required && !self.signed_headers.iter().any(|signed| signed == name)
        };
        if self.head.headers.keys().any(|name| unsigned(name.as_str())) {
            return Err(SigV4Defect::NotSigned);
        }
        Ok(())
    }

    /// Whether now lies in its time; gives when it would be refused anyway.
    fn within<S: AsRef<str>>(
        &self,
        now: Timestamp,
        rules: &Rules<'_, S>,
    ) -> Result<Timestamp, SigV4Defect> {
        if self.signed_at > now.plus(rules.window) {
            return Err(SigV4Defect::InFuture);
        }
        let end = match self.expires_in {
            None => self.signed_at.plus(rules.window),
            Some(life) => {
                let longest = rules.presigned.ok_or(SigV4Defect::Presigned)?;
                if life > longest {
                    return Err(SigV4Defect::LifetimeTooLong);
                }
                self.signed_at.plus(life).plus(rules.leeway.0)
            }
        };
        if now >= end {
            return Err(SigV4Defect::Stale);
        }
        Ok(end)
    }

    fn strings_to_sign(&self, styles: &[PathStyle], headers: &[u8], payload: &str) -> Vec<String> {
        let mut paths: Vec<String> = Vec::with_capacity(styles.len());
        for style in styles {
            let path = canonical::path(self.head.path, *style);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let queries = canonical::queries(self.head.query);
        let mut texts = Vec::with_capacity(paths.len() * queries.len());
        for path in &paths {
            for query in &queries {
                let request = canonical::request(
                    self.head.method,
                    path,
                    query,
                    headers,
                    &self.signed_headers,
                    payload,
                );
                texts.push(string_to_sign(&self.time, &self.scope, &request));
            }
        }
        texts
    }
}

fn decoded_length(head: &SignedHead<'_>) -> Result<u64, SigV4Defect> {
    one(head.headers, &DECODED_LENGTH)?
        .filter(|text| (1..=18).contains(&text.len()))
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(SigV4Defect::DecodedLength)
}

/// The names in `x-amz-trailer`, in lower case.
fn declared_trailers(head: &SignedHead<'_>) -> Result<Vec<String>, SigV4Defect> {
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
