//! The sending side, as Standard Webhooks describes it.

use http::{HeaderName, HeaderValue};

use super::{
    MAX_ID_BYTES, PrivateKey, SharedKey, Style, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
    WebhookDefect, signed_prefix,
};
use crate::{base64std, digest::MacKey, time::Timestamp};

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
        (WEBHOOK_ID, value(id)?),
        (WEBHOOK_TIMESTAMP, value(&time.to_string())?),
        (WEBHOOK_SIGNATURE, value(&signatures.join(" "))?),
    ])
}
