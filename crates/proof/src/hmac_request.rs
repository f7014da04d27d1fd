//! A request signed with HMAC-SHA256, in the plainest form that holds: six lines of shell can make
//! it, and no library is needed. Seven lines are signed; the header says what the server can't
//! know. Method, host, target and body are covered, other header fields are not: where they matter,
//! [`crate::httpsig`] is the kind to choose.
//!
//! ```sh
//! body='{"item":"tea"}' created=$(date +%s) nonce=$(openssl rand -hex 16)
//! digest=$(printf %s "$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
//! signature=$(printf '%s\n%s\n%s\n%s\n%s\n%s\n%s' HMAC-SHA256 "$created" "$nonce" \
//!   POST api.example.com '/orders?dry=1' "$digest" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
//! curl -d "$body" 'https://api.example.com/orders?dry=1' -H "Authorization: HMAC-SHA256 \
//! keyid=$KEY_ID, created=$created, nonce=$nonce, digest=$digest, signature=$signature"
//! ```
//!
//! The host stands as in `Host`, with its port if one is written there; the target as in the
//! request line, query included; the digest is that of the empty text where there is no body.
//! Lines are divided by one line feed, and none follows the last. The five parts of the header
//! stand in this order, each once, divided by a comma and a space.

use std::time::Duration;

use http::header;
use subtle::ConstantTimeEq as _;

use crate::{
    digest::{hex, hmac_sha256, sha256, unhex},
    request::{BodyDigest, NotOne, Replay, SignedHead, Verified, key_id_is_clean},
    secret::Secret,
    time::Timestamp,
};

/// The scheme in `Authorization`, and the first line that is signed.
pub const SCHEME: &str = "HMAC-SHA256";
/// How far `created` may lie from now, to both sides, unless the rules say otherwise.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Shortest nonce, in bytes.
pub const MIN_NONCE_BYTES: usize = 16;
/// Longest nonce, in bytes.
pub const MAX_NONCE_BYTES: usize = 64;

/// Why a signature is not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HmacRequestDefect {
    /// `Authorization` has several lines, or is no plain text.
    #[error("{0}")]
    Header(NotOne),
    /// A part is missing, out of order, or not written as it must be.
    #[error("signature's {0} is missing, out of order or not usable")]
    Malformed(&'static str),
    /// It was made too long ago.
    #[error("signature is too old")]
    Stale,
    /// It claims to have been made later than now.
    #[error("signature was made in the future")]
    InFuture,
    /// It is not the signature of any of the secrets.
    #[error("signature is wrong")]
    Signature,
}

impl HmacRequestDefect {
    /// One of each.
    pub const ALL: [Self; 5] = [
        Self::Header(NotOne),
        Self::Malformed("part"),
        Self::Stale,
        Self::InFuture,
        Self::Signature,
    ];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Header(_) => "hmac-request-header",
            Self::Malformed(_) => "hmac-request-malformed",
            Self::Stale => "hmac-request-stale",
            Self::InFuture => "hmac-request-in-future",
            Self::Signature => "hmac-request-signature",
        }
    }
}

/// What a verifier demands.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How far `created` may lie from now, to both sides.
    pub window: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { window: WINDOW }
    }
}

/// A request that says who signed it. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    head: SignedHead<'a>,
    key_id: String,
    created: i64,
    nonce: String,
    digest: [u8; 32],
    signature: [u8; 32],
}

/// Reads the claim of a request; `None` if `Authorization` is absent or of another scheme.
///
/// # Errors
/// [`HmacRequestDefect::Header`], [`HmacRequestDefect::Malformed`].
pub fn parse<'a>(head: &SignedHead<'a>) -> Result<Option<Claimed<'a>>, HmacRequestDefect> {
    use HmacRequestDefect::Malformed;
    let value = head
        .one(&header::AUTHORIZATION)
        .map_err(HmacRequestDefect::Header)?;
    let Some(value) = value else {
        return Ok(None);
    };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Ok(None);
    }
    let mut parts = rest.split(", ");
    let mut part = |name: &'static str| {
        parts
            .next()
            .and_then(|part| part.strip_prefix(name))
            .and_then(|part| part.strip_prefix('='))
            .ok_or(Malformed(name))
    };
    let key_id = part("keyid")?;
    let created = part("created")?;
    let nonce = part("nonce")?;
    let digest = part("digest")?;
    let signature = part("signature")?;
    if parts.next().is_some() {
        return Err(Malformed("end"));
    }
    if !key_id_is_clean(key_id) {
        return Err(Malformed("keyid"));
    }
    // One spelling per time: digits without leading zeros.
    let created = Some(created)
        .filter(|text| (1..=10).contains(&text.len()) && !text.starts_with('0'))
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Malformed("created"))?;
    let clean = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !(MIN_NONCE_BYTES..=MAX_NONCE_BYTES).contains(&nonce.len()) || !nonce.bytes().all(clean) {
        return Err(Malformed("nonce"));
    }
    let hash = |text: &str, name| {
        unhex(text)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(Malformed(name))
    };
    Ok(Some(Claimed {
        head: *head,
        key_id: key_id.to_owned(),
        created,
        nonce: nonce.to_owned(),
        digest: hash(digest, "digest")?,
        signature: hash(signature, "signature")?,
    }))
}

impl Claimed<'_> {
    /// The id under which the secret is to be looked up.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Verifies with whichever of `secrets` it was signed with.
    ///
    /// # Errors
    /// [`HmacRequestDefect::Stale`], [`HmacRequestDefect::InFuture`],
    /// [`HmacRequestDefect::Signature`].
    pub fn verify(
        self,
        secrets: &[&Secret],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Verified, HmacRequestDefect> {
        let created = Timestamp::from_secs(self.created);
        if created > now.plus(rules.window) {
            return Err(HmacRequestDefect::InFuture);
        }
        let until = created.plus(rules.window);
        if now >= until {
            return Err(HmacRequestDefect::Stale);
        }
        let text = text_to_sign(&self.head, self.created, &self.nonce, &self.digest);
        let key = secrets
            .iter()
            .position(|secret| {
                let tag = hmac_sha256(secret.expose(), text.as_bytes());
                bool::from(tag.ct_eq(&self.signature))
            })
            .ok_or(HmacRequestDefect::Signature)?;
        // The nonce is spent whatever it stands in.
        let parts = [self.key_id.as_bytes(), self.nonce.as_bytes()];
        Ok(Verified {
            key,
            created: Some(created),
            expires: None,
            covered: ["@method", "@authority", "@request-target", "body"]
                .map(str::to_owned)
                .to_vec(),
            tag: None,
            reusable: false,
            body: BodyDigest::Sha256(self.digest),
            replay: Replay::new("hmac-request", &parts, until),
            nonce: Some(self.nonce),
            key_id: self.key_id,
        })
    }
}

/// The value of `Authorization` for a request that we send. `body` is the SHA-256 of its body.
/// `None` if the key id or the nonce is not one that [`parse`] would take.
pub fn sign(
    head: &SignedHead<'_>,
    body: &[u8; 32],
    key_id: &str,
    secret: &Secret,
    nonce: &str,
    now: Timestamp,
) -> Option<Secret> {
    let clean = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let nonce_fits =
        (MIN_NONCE_BYTES..=MAX_NONCE_BYTES).contains(&nonce.len()) && nonce.bytes().all(clean);
    if !key_id_is_clean(key_id) || !nonce_fits {
        return None;
    }
    let created = now.as_secs();
    let text = text_to_sign(head, created, nonce, body);
    let signature = hex(&hmac_sha256(secret.expose(), text.as_bytes()));
    Some(Secret::from_text(format!(
        "{SCHEME} keyid={key_id}, created={created}, nonce={nonce}, digest={}, \
         signature={signature}",
        hex(body)
    )))
}

/// The hash of no body at all.
pub fn empty_body() -> [u8; 32] {
    sha256(b"")
}

fn text_to_sign(head: &SignedHead<'_>, created: i64, nonce: &str, digest: &[u8; 32]) -> String {
    format!(
        "{SCHEME}\n{created}\n{nonce}\n{}\n{}\n{}\n{}",
        head.method,
        head.authority,
        head.target(),
        hex(digest)
    )
}

#[cfg(test)]
mod tests;
