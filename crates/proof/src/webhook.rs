//! Webhooks: deliveries that a sender signs with a secret both sides know, or with its own key.
//! Five styles, each as its sender documents it. All sign the body, and some sign nothing else;
//! what a delivery is remembered by follows from that ([`Delivery`]). The body must be there whole
//! before anything is judged. Who the sender is, nobody writes into a delivery: a route knows whose
//! keys it verifies with.
//!
//! Sources: Standard Webhooks 1.0.0; Stripe, "Verify webhook signatures manually"; GitHub Docs,
//! "Validating webhook deliveries"; Slack, "Verifying requests from Slack"; Shopify,
//! "Deliver webhooks through HTTPS".

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;

use crate::{
    base64std,
    digest::{MacKey, sha256, unhex},
    request::{NotOne, Replay, one},
    time::Timestamp,
};

mod key;
mod send;

pub use key::{Key, KeyDefect, PrivateKey, SharedKey};
pub use send::{StandardFields, StandardKey, sign, sign_standard};

/// How far a signed time may lie from now, to both sides, unless the rules say otherwise.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// For how long a delivery is remembered whose sender signs no time, unless the rules say
/// otherwise.
pub const REMEMBER: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Most signatures in one delivery.
pub const MAX_SIGNATURES: usize = 16;
/// Longest id of a delivery, in bytes.
pub const MAX_ID_BYTES: usize = 128;

static WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
static WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
static WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
static STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
static HUB_SIGNATURE_256: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// SHA-1, which GitHub sends along and nobody here reads.
static HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature");
static GITHUB_DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");
static SLACK_SIGNATURE: HeaderName = HeaderName::from_static("x-slack-signature");
static SLACK_TIMESTAMP: HeaderName = HeaderName::from_static("x-slack-request-timestamp");
static SHOPIFY_HMAC: HeaderName = HeaderName::from_static("x-shopify-hmac-sha256");
static SHOPIFY_ID: HeaderName = HeaderName::from_static("x-shopify-webhook-id");

/// Whose way of signing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Standard Webhooks: id, time and body; several signatures, by secrets or Ed25519 keys.
    StandardWebhooks,
    /// Stripe: time and body; several signatures.
    Stripe,
    /// GitHub: the body.
    GitHub,
    /// Slack: time and body.
    Slack,
    /// Shopify: the body.
    Shopify,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 5] = [
        Self::StandardWebhooks,
        Self::Stripe,
        Self::GitHub,
        Self::Slack,
        Self::Shopify,
    ];

    /// Its name in settings and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Stripe => "stripe",
            Self::GitHub => "github",
            Self::Slack => "slack",
            Self::Shopify => "shopify",
        }
    }

    /// The style of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.name() == name)
    }

    /// Whether the time of a delivery is signed, and so can be judged.
    pub const fn signs_time(self) -> bool {
        matches!(self, Self::StandardWebhooks | Self::Stripe | Self::Slack)
    }

    /// Whether the id of a delivery is signed, and so can't be changed by whoever repeats it.
    pub const fn signs_id(self) -> bool {
        matches!(self, Self::StandardWebhooks)
    }

    /// Whether a delivery has an id that is the same when its sender tries again.
    pub const fn has_id(self) -> bool {
        matches!(self, Self::StandardWebhooks | Self::GitHub | Self::Shopify)
    }

    /// Whether a field holds a signature of this style.
    pub fn carries(self, field: &HeaderName) -> bool {
        *field == *self.signature_field() || (self == Self::GitHub && *field == HUB_SIGNATURE)
    }

    fn signature_field(self) -> &'static HeaderName {
        match self {
            Self::StandardWebhooks => &WEBHOOK_SIGNATURE,
            Self::Stripe => &STRIPE_SIGNATURE,
            Self::GitHub => &HUB_SIGNATURE_256,
            Self::Slack => &SLACK_SIGNATURE,
            Self::Shopify => &SHOPIFY_HMAC,
        }
    }
}

/// Why a delivery is not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookDefect {
    /// A header field that must have one line has several, or is no plain text.
    #[error("{0}")]
    Header(NotOne),
    /// A header field is missing or not written as it must be.
    #[error("{0} is missing or not usable")]
    Malformed(&'static str),
    /// It was signed too long ago.
    #[error("signature is too old")]
    Stale,
    /// It claims to have been signed later than now.
    #[error("signature was made in the future")]
    InFuture,
    /// None of the signatures is one of the keys'.
    #[error("signature is wrong")]
    Signature,
}

impl WebhookDefect {
    /// One of each.
    pub const ALL: [Self; 5] = [
        Self::Header(NotOne),
        Self::Malformed("a field"),
        Self::Stale,
        Self::InFuture,
        Self::Signature,
    ];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Header(_) => "webhook-header",
            Self::Malformed(_) => "webhook-malformed",
            Self::Stale => "webhook-stale",
            Self::InFuture => "webhook-in-future",
            Self::Signature => "webhook-signature",
        }
    }
}

impl From<NotOne> for WebhookDefect {
    fn from(defect: NotOne) -> Self {
        Self::Header(defect)
    }
}

/// What a verifier demands.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How far a signed time may lie from now, to both sides.
    pub window: Duration,
    /// For how long a delivery is remembered whose sender signs no time.
    pub remember: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: WINDOW,
            remember: REMEMBER,
        }
    }
}

/// What a verified delivery has shown. Only [`Claimed::verify`] makes one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Which of the keys made the signature, counted from zero.
    pub key: usize,
    /// When it was signed, if the style signs a time. A second try is signed anew.
    pub timestamp: Option<Timestamp>,
    /// The sender's id of the delivery; the same when it tries again. Only as good as
    /// [`Style::signs_id`].
    pub id: Option<String>,
    /// Remembers this very signature where a time is signed, and the delivery's id where none is.
    pub replay: Replay,
    /// Remembers what was signed, whatever id it came under: the stricter choice for styles that
    /// don't sign the id, where a sender never sends the same body twice.
    pub content: Replay,
}

/// A delivery that says it is signed. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Claimed {
    style: Style,
    id: Option<String>,
    time: Option<i64>,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug)]
enum Signature {
    Hmac([u8; 32]),
    Ed25519(Vec<u8>),
}

/// Reads the fields of a style; `None` if its signature is absent.
///
/// # Errors
/// [`WebhookDefect::Header`], [`WebhookDefect::Malformed`].
pub fn parse(style: Style, headers: &HeaderMap) -> Result<Option<Claimed>, WebhookDefect> {
    let Some(value) = one(headers, style.signature_field())? else {
        return Ok(None);
    };
    let (id, time, signatures) = match style {
        Style::StandardWebhooks => (
            Some(delivery_id(headers, &WEBHOOK_ID, "webhook-id")?),
            Some(timestamp(
                one(headers, &WEBHOOK_TIMESTAMP)?,
                "webhook-timestamp",
            )?),
            standard_signatures(value)?,
        ),
        Style::Stripe => {
            let (time, signatures) = stripe_signatures(value)?;
            (None, Some(time), signatures)
        }
        Style::GitHub => (
            Some(delivery_id(headers, &GITHUB_DELIVERY, "x-github-delivery")?),
            None,
            vec![hex_signature(value, "sha256=", "x-hub-signature-256")?],
        ),
        Style::Slack => (
            None,
            Some(timestamp(
                one(headers, &SLACK_TIMESTAMP)?,
                "x-slack-request-timestamp",
            )?),
            vec![hex_signature(value, "v0=", "x-slack-signature")?],
        ),
        Style::Shopify => (
            Some(delivery_id(headers, &SHOPIFY_ID, "x-shopify-webhook-id")?),
            None,
            vec![base64_hmac(value).ok_or(WebhookDefect::Malformed("x-shopify-hmac-sha256"))?],
        ),
    };
    Ok(Some(Claimed {
        style,
        id,
        time,
        signatures,
    }))
}

fn delivery_id(
    headers: &HeaderMap,
    field: &HeaderName,
    name: &'static str,
) -> Result<String, WebhookDefect> {
    // No full stop: id, time and body are signed with full stops between them, and one in the id
    // would let the parts change places.
    let clean = |id: &&str| {
        (1..=MAX_ID_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.')
    };
    one(headers, field)?
        .filter(clean)
        .map(str::to_owned)
        .ok_or(WebhookDefect::Malformed(name))
}

/// Unix seconds in one spelling: digits without leading zeros.
fn timestamp(text: Option<&str>, name: &'static str) -> Result<i64, WebhookDefect> {
    text.filter(|text| (1..=10).contains(&text.len()) && !text.starts_with('0'))
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(WebhookDefect::Malformed(name))
}

fn hex_signature(text: &str, prefix: &str, name: &'static str) -> Result<Signature, WebhookDefect> {
    text.strip_prefix(prefix)
        .and_then(unhex)
        .and_then(|bytes| bytes.try_into().ok())
        .map(Signature::Hmac)
        .ok_or(WebhookDefect::Malformed(name))
}

fn base64_hmac(text: &str) -> Option<Signature> {
    let bytes = base64std::decode(text.as_bytes()).ok()?;
    bytes.try_into().ok().map(Signature::Hmac)
}

/// `v1,…` and `v1a,…`, divided by spaces. Versions that are not known are for others to read.
fn standard_signatures(value: &str) -> Result<Vec<Signature>, WebhookDefect> {
    const WRONG: WebhookDefect = WebhookDefect::Malformed("webhook-signature");
    let mut signatures = Vec::new();
    for (n, one) in value.split(' ').enumerate() {
        let (version, text) = one.split_once(',').ok_or(WRONG)?;
        if n == MAX_SIGNATURES {
            return Err(WRONG);
        }
        match version {
            "v1" => signatures.push(base64_hmac(text).ok_or(WRONG)?),
            "v1a" => {
                let bytes = base64std::decode(text.as_bytes()).map_err(|_| WRONG)?;
                signatures.push(Signature::Ed25519(bytes));
            }
            _ => {}
        }
    }
    if signatures.is_empty() {
        return Err(WRONG);
    }
    Ok(signatures)
}

/// `t=…,v1=…`, with more than one `v1` while a secret is being replaced. `v0` is made with a test
/// key and means nothing.
fn stripe_signatures(value: &str) -> Result<(i64, Vec<Signature>), WebhookDefect> {
    const NAME: &str = "stripe-signature";
    const WRONG: WebhookDefect = WebhookDefect::Malformed(NAME);
    let (mut time, mut signatures) = (None, Vec::new());
    for (n, part) in value.split(',').enumerate() {
        let (name, text) = part.split_once('=').ok_or(WRONG)?;
        if n > MAX_SIGNATURES {
            return Err(WRONG);
        }
        match name {
            "t" if time.is_none() => time = Some(timestamp(Some(text), NAME)?),
            "t" => return Err(WRONG),
            "v1" => signatures.push(hex_signature(text, "", NAME)?),
            _ => {}
        }
    }
    match time {
        Some(time) if !signatures.is_empty() => Ok((time, signatures)),
        _ => Err(WRONG),
    }
}

impl Claimed {
    /// Verifies the whole `body` with whichever of `keys` it was signed with.
    ///
    /// # Errors
    /// [`WebhookDefect::Stale`], [`WebhookDefect::InFuture`], [`WebhookDefect::Signature`].
    pub fn verify(
        self,
        keys: &[Key],
        body: &[u8],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Delivery, WebhookDefect> {
        let time = self.time.map(Timestamp::from_secs);
        let until = match time {
            None => now.plus(rules.remember),
            Some(time) if time > now.plus(rules.window) => return Err(WebhookDefect::InFuture),
            Some(time) => time.plus(rules.window),
        };
        if now >= until {
            return Err(WebhookDefect::Stale);
        }
        let prefix = signed_prefix(self.style, self.id.as_deref(), self.time);
        let key = keys
            .iter()
            .position(|key| any_is_of(&self.signatures, key, prefix.as_bytes(), body))
            .ok_or(WebhookDefect::Signature)?;

        let format = self.style.name();
        let content = Replay::new(
            format,
            &[b"content", prefix.as_bytes(), &sha256(body)],
            until,
        );
        let replay = match &self.id {
            Some(id) if time.is_none() => Replay::new(format, &[b"delivery", id.as_bytes()], until),
            _ => content,
        };
        Ok(Delivery {
            key,
            timestamp: time,
            id: self.id,
            replay,
            content,
        })
    }
}

/// What is signed before the body.
fn signed_prefix(style: Style, id: Option<&str>, time: Option<i64>) -> String {
    match (style, id, time) {
        (Style::StandardWebhooks, Some(id), Some(time)) => format!("{id}.{time}."),
        (Style::Stripe, _, Some(time)) => format!("{time}."),
        (Style::Slack, _, Some(time)) => format!("v0:{time}:"),
        _ => String::new(),
    }
}

/// Whether one of the signatures is this key's. A tag is computed once, however many are claimed.
fn any_is_of(signatures: &[Signature], key: &Key, prefix: &[u8], body: &[u8]) -> bool {
    match key {
        Key::Shared(shared) => {
            let expected = MacKey::new(shared.bytes()).tag_parts(&[prefix, body]);
            signatures.iter().any(|one| match one {
                Signature::Hmac(tag) => expected.ct_eq(tag).into(),
                Signature::Ed25519(_) => false,
            })
        }
        Key::Public(public) => {
            let message = [prefix, body].concat();
            signatures.iter().any(|one| match one {
                Signature::Ed25519(signature) => public.verify(&message, signature),
                Signature::Hmac(_) => false,
            })
        }
    }
}

#[cfg(test)]
mod tests;
