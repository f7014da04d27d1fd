//! A sender of webhooks, in every style.

use std::sync::Arc;

use bytes::Bytes;
use proof::issued::SigningKeyId;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{SharedKey, Style, sign};

use super::{Sent, Stored};
use crate::credential::webhook::{Redelivery, WebhookRules};
use crate::identity::{SecretId, SharedSecret, SigningKey, SigningMaterial, SigningScheme};

pub(crate) const SENDER: &str = "DWAK0000000000000004";
/// `whsec_` and the base64 of 32 bytes, so that it is a secret in every style.
pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What a route judges by, with this one sender.
pub(crate) fn rules(style: Style) -> WebhookRules {
    WebhookRules {
        style,
        keys: vec![SENDER.into()],
        redelivery: Redelivery::Acknowledge,
    }
}

/// The sender's key as the facts have it.
pub(crate) fn stored(stored: &Stored, secret: &str) -> Arc<SigningKey> {
    let secret = Secret::from_text(secret.to_owned());
    Arc::new(SigningKey {
        key_id: SigningKeyId::parse(SENDER).unwrap(),
        scheme: SigningScheme::Webhook,
        material: SigningMaterial::Shared(vec![SharedSecret::new(
            SecretId::new("mat_1"),
            secret,
            None,
        )]),
        state: stored.state,
        expires_at: stored.expires_at,
        standing: stored.standing(SENDER),
    })
}

/// A delivery that its sender signed with [`SECRET`].
pub(crate) fn delivery(style: Style, id: &str, body: &'static [u8], now: Timestamp) -> Sent {
    let key = SharedKey::read(style, &Secret::from_text(SECRET.to_owned())).unwrap();
    let mut sent = Sent::post("/orders");
    for (name, value) in sign(style, &key, id, body, now).unwrap() {
        sent = sent.with(name.as_str(), value.as_bytes());
    }
    sent.body = Some(Bytes::from_static(body));
    sent
}
