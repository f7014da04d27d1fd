//! **Sending a webhook**: one try of one message, signed at that moment and posted by the safe
//! fetcher. A receiver takes it with a status of 2xx, whatever stands in its body, which is not read.
//! When to try again is not decided here.

use core::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use proof::calendar;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{PrivateKey, SharedKey, StandardKey, Style, sign_standard};
use url::Url;
use verdict::identity::{ApplicationId, LifeState, SigningKey, SigningMaterial, SigningScheme};

use crate::fetch::{FetchFailure, Fetcher, Posted};

/// Why a message can't be signed. The sentences are safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// The key is for another scheme.
    #[error("the signing key is not one for webhooks")]
    Scheme,
    /// The key is another application's.
    #[error("the signing key belongs to another application")]
    Application,
    /// The key is suspended, revoked, or its time is over.
    #[error("the signing key is suspended, revoked or expired")]
    Ended,
    /// The public half is all there is.
    #[error("the signing key is a public key: whoever has the private one signs")]
    Public,
    /// The secret is none that Standard Webhooks signs with.
    #[error("the signing key's secret is neither whsec_… nor whsk_…")]
    Form,
}

impl Unsignable {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Scheme,
        Self::Application,
        Self::Ended,
        Self::Public,
        Self::Form,
    ];
}

/// A secret, ready to sign.
enum Ready {
    Shared(SharedKey),
    Private(PrivateKey),
}

impl Ready {
    fn read(text: &Secret) -> Option<Self> {
        SharedKey::read(Style::StandardWebhooks, text)
            .map(Self::Shared)
            .or_else(|_| PrivateKey::read(text).map(Self::Private))
            .ok()
    }
}

/// Signs a message for a try now, with every secret of the key that is valid: while one is being
/// replaced, receivers that know the former and those that know the next both take it.
///
/// # Errors
/// [`Unsignable`].
pub fn signed(
    key: &SigningKey,
    application: &ApplicationId,
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(HeaderName, HeaderValue)>, Unsignable> {
    if key.scheme != SigningScheme::Webhook {
        return Err(Unsignable::Scheme);
    }
    if key.standing.application.as_ref() != Some(application) {
        return Err(Unsignable::Application);
    }
    if key.state != LifeState::Active || key.expires_at.is_some_and(|end| now >= end) {
        return Err(Unsignable::Ended);
    }
    if matches!(key.material, SigningMaterial::Public(_)) {
        return Err(Unsignable::Public);
    }
    let ready = key
        .secrets_at(now)
        .map(|secret| Ready::read(secret.text()).ok_or(Unsignable::Form))
        .collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<StandardKey<'_>> = ready
        .iter()
        .map(|one| match one {
            Ready::Shared(key) => StandardKey::Shared(key),
            Ready::Private(key) => StandardKey::Private(key),
        })
        .collect();
    if keys.is_empty() {
        return Err(Unsignable::Ended);
    }
    sign_standard(&keys, id, body, now)
        .map(Vec::from)
        .map_err(|_| Unsignable::Form)
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// How long the receiver asks to be left alone, if it says so.
    pub retry_after: Option<Duration>,
    /// What went wrong in words that are safe to show; for a status its number.
    pub cause: String,
}

/// Makes one try.
pub async fn post(
    fetcher: &Fetcher,
    url: &Url,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    within: Duration,
    now: Timestamp,
) -> Tried {
    let posted = Posted {
        fields,
        body,
        within,
    };
    match fetcher.post(url, posted).await {
        Ok(answered) => Tried {
            status: Some(answered.status.as_u16()),
            retry_after: retry_after(&answered.headers, now),
            cause: format!("status {}", answered.status.as_u16()),
        },
        Err(error) => Tried {
            status: match &error.failure {
                FetchFailure::Status(status) => Some(status.as_u16()),
                _ => None,
            },
            retry_after: None,
            cause: error.failure.to_string(),
        },
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => calendar::parse_http_date(text).map(|at| at.since(now)),
    }
}

#[cfg(test)]
mod tests;
