//! The sending side: Standard Webhooks as it describes itself, and the other styles for whoever
//! tries out a receiver.

use http::{HeaderName, HeaderValue};

use super::{
    GITHUB_DELIVERY, MAX_ID_BYTES, PrivateKey, SHOPIFY_ID, SLACK_TIMESTAMP, SharedKey, Style,
    WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, WebhookDefect, signed_prefix,
};
use crate::{
    base64std,
    digest::{MacKey, hex},
    time::Timestamp,
};

/// A key to sign with.
#[derive(Clone, Copy, Debug)]
pub enum StandardKey<'a> {
    /// A shared secret (`v1`).
    Shared(&'a SharedKey),
    /// An Ed25519 key (`v1a`).
    Private(&'a PrivateKey),
}

/// The three fields of a delivery.
pub type StandardFields = [(HeaderName, HeaderValue); 3];

/// Signs a delivery with every key, the first one first; more than one while a key is being
/// replaced.
///
/// # Errors
/// [`WebhookDefect::Malformed`] if the id is empty, longer than [`MAX_ID_BYTES`], or has a full
/// stop or anything but visible ASCII in it.
pub fn sign_standard(
    keys: &[StandardKey<'_>],
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<StandardFields, WebhookDefect> {
    let clean = id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
    if !(1..=MAX_ID_BYTES).contains(&id.len()) || !clean {
        return Err(WebhookDefect::Malformed("webhook-id"));
    }
    let time = now.as_secs();
    let prefix = signed_prefix(Style::StandardWebhooks, Some(id), Some(time));
    let signatures: Vec<String> = keys
        .iter()
        .map(|key| match key {
            StandardKey::Shared(shared) => {
                let tag = MacKey::new(shared.bytes()).tag_parts(&[prefix.as_bytes(), body]);
                format!("v1,{}", base64std::encode(&tag))
            }
            StandardKey::Private(private) => {
                let signature = private.sign(&[prefix.as_bytes(), body].concat());
                format!("v1a,{}", base64std::encode(&signature))
            }
        })
        .collect();
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| WebhookDefect::Malformed("webhook-signature"))
    };
    Ok([
        (WEBHOOK_ID.clone(), value(id)?),
        (WEBHOOK_TIMESTAMP.clone(), value(&time.to_string())?),
        (WEBHOOK_SIGNATURE.clone(), value(&signatures.join(" "))?),
    ])
}

/// Signs a delivery in any style with one secret. `id` is sent where the style has one.
///
/// # Errors
/// As [`sign_standard`].
pub fn sign(
    style: Style,
    key: &SharedKey,
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(HeaderName, HeaderValue)>, WebhookDefect> {
    if style == Style::StandardWebhooks {
        return sign_standard(&[StandardKey::Shared(key)], id, body, now).map(Vec::from);
    }
    let time = now.as_secs();
    let prefix = signed_prefix(style, None, Some(time));
    let tag = MacKey::new(key.bytes()).tag_parts(&[prefix.as_bytes(), body]);
    let (signature, more) = match style {
        Style::StandardWebhooks | Style::Stripe => (format!("t={time},v1={}", hex(&tag)), None),
        Style::GitHub => (
            format!("sha256={}", hex(&tag)),
            Some((&GITHUB_DELIVERY, id.to_owned())),
        ),
        Style::Slack => (
            format!("v0={}", hex(&tag)),
            Some((&SLACK_TIMESTAMP, time.to_string())),
        ),
        Style::Shopify => (base64std::encode(&tag), Some((&SHOPIFY_ID, id.to_owned()))),
    };
    core::iter::once((style.signature_field(), signature))
        .chain(more)
        .map(|(name, text)| {
            let value = HeaderValue::from_str(&text);
            value
                .map(|value| (name.clone(), value))
                .map_err(|_| WebhookDefect::Malformed("the id of the delivery"))
        })
        .collect()
}
