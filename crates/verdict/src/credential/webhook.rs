//! **Webhooks**: deliveries that somebody else's service signs, in front of an upstream that takes
//! them. A delivery names no key, so the route does: the signing keys of the senders that it takes,
//! and the style in which they sign ([`proof::webhook`]).
//!
//! A signature is over the body, so that a front must have read it whole. Where the style signs a
//! time, the very same signature passes once within its window. Where a delivery has an id, it may
//! come again, because its sender did not hear the answer: what the upstream took before is not
//! given to it twice, unless the route says so ([`Redelivery`]), and what it did not take gets
//! through when the sender tries again. Where the id is not signed, the body counts too, so that
//! whoever changes the id changes nothing (threat D5).

use core::time::Duration;
use std::sync::Arc;

use proof::base64url;
use proof::time::Timestamp;
use proof::webhook::{Key, REMEMBER, Rules, SharedKey, Style, parse};

use super::{CredentialKind, Proved, refused};
use crate::call::{Body, Head};
use crate::facts::{Answer, Begun, Facts, FirstUse, ReplayScope};
use crate::identity::{LifeState, SecretId, SigningKey, SigningScheme};
use crate::problem::{Code, Problem};
use crate::route::Route;
use crate::trace::{Check, Note};

/// For how long nobody else is let in with a delivery that is on its way to the upstream. Senders
/// wait less for an answer.
pub const UNDER_WAY: Duration = Duration::from_secs(30);

/// Most signing keys of one route: a delivery is held against each.
pub const MOST_KEYS: usize = 8;

/// How a route judges webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRules {
    /// How its senders sign.
    pub style: Style,
    /// Public names of their signing keys (`DWAK…`), 1 to [`MOST_KEYS`].
    pub keys: Vec<Arc<str>>,
    /// What a delivery meets that the upstream took before.
    pub redelivery: Redelivery,
}

/// What a delivery meets that the upstream took before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivery {
    /// 200 at once, and the upstream hears nothing of it: the sender only missed the answer.
    Acknowledge,
    /// 409.
    Refuse,
    /// The upstream gets it again, as ever often as it comes.
    Forward,
}

impl Redelivery {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Acknowledge, Self::Refuse, Self::Forward];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Refuse => "refuse",
            Self::Forward => "forward",
        }
    }
}

/// A delivery that a permit is for. Whoever forwards it says how that ended
/// ([`Facts::end_delivery`]), or answers it without forwarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Under which signing key.
    pub key: Arc<str>,
    /// What it is known by.
    pub ids: Vec<String>,
    /// Until when it is remembered, once the upstream took it.
    pub until: Timestamp,
    /// Whether the upstream took it before: it is answered with 200 and not forwarded.
    pub acknowledged: bool,
}

/// A delivery as it was presented; nothing of it is verified.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    claimed: proof::webhook::Claimed,
    rules: &'a WebhookRules,
}

/// Reads the fields of the route's style.
pub(super) fn claim<'a>(head: &Head, route: &'a Route) -> Result<Option<Claim<'a>>, Problem> {
    let Some(rules) = &route.webhook else {
        return Ok(None);
    };
    match parse(rules.style, head.headers()) {
        Ok(claimed) => Ok(claimed.map(|claimed| Claim { claimed, rules })),
        Err(defect) => Err(refused(defect.code())),
    }
}

/// Whether some key of the route lives, so that a delivery can be somebody's.
pub(super) async fn can_hold(
    claim: &Claim<'_>,
    facts: &impl Facts,
    now: Timestamp,
) -> Answer<bool> {
    for name in &claim.rules.keys {
        if let Some(sender) = facts.signing_key_ahead(name, now).await?
            && sender.scheme == SigningScheme::Webhook
            && sender.lives(now)
            && !verifying(&sender, claim.rules.style, now).is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Judges a delivery: which key's it is, then the key's life, then whether it is new.
pub(super) async fn prove<R>(
    claim: Claim<'_>,
    body: &Body<R>,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(Proved, Option<Delivery>), Problem> {
    let Claim { claimed, rules } = claim;
    facts.note(Note::Check(Check::SigningKey));
    let mut senders = Vec::new();
    let mut keys = Vec::new();
    for name in &rules.keys {
        let Some(sender) = facts.signing_key(name, now).await? else {
            continue;
        };
        if sender.scheme != SigningScheme::Webhook || sender.state == LifeState::Revoked {
            continue;
        }
        for (key, secret) in verifying(&sender, rules.style, now) {
            keys.push(key);
            senders.push((name, sender.clone(), secret));
        }
    }
    if keys.is_empty() {
        return Err(refused("none of the route's webhook keys is usable"));
    }
    let body = match body {
        Body::Buffered(body) => body,
        Body::Stream(_) if !senders.iter().any(|(_, sender, _)| sender.lives(now)) => {
            return Err(refused(
                "none of the route's webhook keys lives, so that the body was not read",
            ));
        }
        Body::Stream(_) | Body::Unavailable => {
            return Err(Problem::new(
                Code::Internal,
                "a webhook whose body was not read",
            ));
        }
    };
    facts.note(Note::Check(Check::RequestSignature));
    let delivery = claimed
        .verify(&keys, body, now, &Rules::default())
        .map_err(|defect| refused(defect.code()))?;
    let (name, sender, secret) = senders
        .get(delivery.key)
        .ok_or_else(|| Problem::new(Code::Internal, "a key that was not offered"))?;
    let id = &sender.standing.credential;
    facts.note(Note::Check(Check::Life));
    // After the signature, so that a stranger learns nothing of the key's state.
    if sender.state == LifeState::Suspended {
        return Err(refused(format!("{id} is suspended")));
    }
    if sender.expires_at.is_some_and(|end| now >= end) {
        return Err(refused(format!("{id} has expired")));
    }
    if rules.style.signs_time() {
        facts.note(Note::Check(Check::SignatureReplay));
        let scope = ReplayScope::Signature { key: name };
        let replay = base64url::encode(&delivery.replay.id);
        let until = delivery.replay.until;
        if facts.first_use(scope, &replay, until, now).await? == FirstUse::Replayed {
            return Err(refused(format!("the signature was used before ({id})")));
        }
    }
    let proved = Proved {
        kind: CredentialKind::Webhook,
        standing: sender.standing.clone(),
        expires_at: sender.expires_at,
        ends: sender.expires_at,
        issuer: None,
        secret: Some(secret.clone()),
    };
    let mut ids: Vec<String> = delivery.id.iter().map(|id| format!("id:{id}")).collect();
    if ids.is_empty() || rules.redelivery == Redelivery::Forward {
        return Ok((proved, None));
    }
    if !rules.style.signs_id() {
        ids.push(format!("body:{}", base64url::encode(&delivery.content.id)));
    }
    let begun = facts
        .begin_delivery(name, &ids, now.plus(UNDER_WAY), now)
        .await?;
    let acknowledged = match (begun, rules.redelivery) {
        (Begun::Now, _) => false,
        (Begun::Before, Redelivery::Acknowledge | Redelivery::Forward) => true,
        (Begun::Before, Redelivery::Refuse) => {
            return Err(Problem::new(
                Code::DeliveryRepeated,
                format!("the upstream took the delivery before ({id})"),
            ));
        }
        (Begun::UnderWay, _) => {
            let cause = format!("the delivery is on its way to the upstream ({id})");
            let mut problem = Problem::new(Code::DeliveryRepeated, cause);
            problem.retry_after = Some(UNDER_WAY);
            return Err(problem);
        }
    };
    let delivery = Delivery {
        key: Arc::clone(name),
        ids,
        until: now.plus(REMEMBER),
        acknowledged,
    };
    Ok((proved, Some(delivery)))
}

/// What a sender's signatures are verified with now, and which one each is.
fn verifying(sender: &SigningKey, style: Style, now: Timestamp) -> Vec<(Key, SecretId)> {
    let standard = style == Style::StandardWebhooks;
    let shared = sender.secrets_at(now).map(|one| {
        let bytes = if standard { one.key() } else { one.text() };
        let key = Key::Shared(SharedKey::of_bytes(bytes.duplicate()));
        (key, one.id().clone())
    });
    let public = sender
        .public_keys_at(now)
        .filter(|_| standard)
        .map(|one| (Key::Public(one.key.clone()), one.id.clone()));
    shared.chain(public).collect()
}
