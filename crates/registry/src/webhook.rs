//! **Outgoing webhooks**: endpoints of others that are told of things, by signed messages that are
//! sent until they are taken (Standard Webhooks 1.0.0). A message's body is fixed when it is
//! accepted, so every try says the same; when to try again, and when to give up, is decided here.
//! This module sends nothing, signs nothing and keeps nothing.

use core::time::Duration;

use proof::random::Entropy;
use proof::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use verdict::identity::ApplicationId;

use crate::access::Action;
use crate::audit::AuditEvent;
use crate::document::present;
use crate::resource::ResourceKind;
use crate::units::{Moment, Period};

/// Begins the types of Doorward's own events; messages of others never begin so.
pub const OWN: &str = "doorward.";
/// Begins the actions of this module in the audit trail.
const OF_WEBHOOKS: &str = "webhook.";
/// Longest type of a message, in bytes.
pub const LONGEST_TYPE: usize = 128;
/// Largest body of a message, in bytes.
pub const LARGEST_BODY: usize = 256 * 1024;
/// Waits between tries unless an endpoint says otherwise, as Standard Webhooks proposes.
pub const RETRIES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];
/// Most waits that an endpoint may name.
pub const MOST_RETRIES: usize = 20;
/// Longest wait between two tries, whoever asks for it.
pub const LONGEST_WAIT: Duration = Duration::from_secs(2 * 24 * 3600);
/// Time for a try unless an endpoint says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time for a try.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages that may wait for an endpoint unless it says otherwise.
pub const QUEUE: u32 = 10_000;
/// Most that an endpoint may ask for.
pub const LONGEST_QUEUE: u32 = 100_000;

/// An endpoint that is told of things, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpointSpec {
    /// Where messages are posted: `https`, or `http` to a loopback address where settings allow it.
    pub url: String,
    /// The application that it belongs to; the signing key must be this application's.
    pub application: String,
    /// Types of messages that it takes: `order.paid`, `order.*`, `*` (all but Doorward's own), and
    /// for Doorward's own events `doorward.` and the name in the audit trail, e.g.
    /// `doorward.api_key.*`.
    pub events: Vec<String>,
    /// The key id (`DWAK…`) of a signing secret of the scheme `webhook`.
    pub signing_key: String,
    /// Time for a try, `1s` to `30s`; default `15s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<Period>,
    /// Waits between tries, at most 20 of at most `2d` each; default
    /// `[5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h]`. After the last try a message is a dead letter.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub retries: Option<Vec<Period>>,
    /// Messages that may wait at once, 1 to 100000; default 10000.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub queue: Option<u32>,
}

/// An endpoint, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointMeaning {
    /// Its name.
    pub name: String,
    /// Where messages are posted.
    pub url: Url,
    /// Whose it is.
    pub application: ApplicationId,
    /// What it takes.
    pub events: Vec<Pattern>,
    /// The public name of the key that signs.
    pub signing_key: String,
    /// Time for a try.
    pub timeout: Duration,
    /// Waits between tries.
    pub retries: Vec<Duration>,
    /// Messages that may wait at once.
    pub queue: u32,
}

/// A pattern over types of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: every type but Doorward's own.
    All,
    /// `a.b`: that one.
    One(String),
    /// `a.*`: whatever begins with `a.`; kept with its full stop.
    Under(String),
}

impl Pattern {
    /// Reads one; `None`: it is none.
    pub fn read(text: &str) -> Option<Self> {
        match text.strip_suffix(".*") {
            _ if text == "*" => Some(Self::All),
            Some(head) => is_type(head).then(|| Self::Under(format!("{head}."))),
            None => is_type(text).then(|| Self::One(text.to_owned())),
        }
    }

    /// Whether it is for a type.
    pub fn takes(&self, r#type: &str) -> bool {
        match self {
            // What goes on inside is not for whoever takes everything: it is asked for by name.
            Self::All => !r#type.starts_with(OWN),
            Self::One(one) => one == r#type,
            Self::Under(head) => r#type.starts_with(head.as_str()),
        }
    }

    /// Whether it is for Doorward's own events.
    pub fn is_own(&self) -> bool {
        match self {
            Self::All => false,
            Self::One(text) | Self::Under(text) => text.starts_with(OWN),
        }
    }

    /// Whether there is anything that it could be for: Doorward's own events are known.
    pub fn is_possible(&self) -> bool {
        !self.is_own()
            || Action::ALL
                .iter()
                .any(|action| self.takes(&format!("{OWN}{}", action.name())))
    }
}

/// Whether a text is a type of messages: parts of letters, digits, hyphens and underscores between
/// full stops.
pub fn is_type(text: &str) -> bool {
    text.len() <= LONGEST_TYPE
        && text.split('.').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        })
}

impl EndpointMeaning {
    /// Whether it takes messages of a type.
    pub fn takes(&self, r#type: &str) -> bool {
        self.events.iter().any(|pattern| pattern.takes(r#type))
    }

    /// Whether it takes events of Doorward's own.
    pub fn listens(&self) -> bool {
        self.events.iter().any(Pattern::is_own)
    }

    /// The message that an event of the audit trail becomes for this endpoint; `None`: it is not for
    /// it. An endpoint is not told of its own messages, and nobody of the death of a message that
    /// was itself about messages: two endpoints that fail would keep each other busy for ever.
    pub fn message_of(&self, event: &AuditEvent, id: String, now: Timestamp) -> Option<NewMessage> {
        let r#type = format!("{OWN}{}", event.action);
        if !self.takes(&r#type) {
            return None;
        }
        if event.action.starts_with(OF_WEBHOOKS) {
            let about = event.details.get("type").map_or("", String::as_str);
            let echo = about
                .strip_prefix(OWN)
                .is_some_and(|rest| rest.starts_with(OF_WEBHOOKS));
            if echo || event.subject == subject(&self.name) {
                return None;
            }
        }
        let data = json!({
            "id": event.id,
            "sequence": event.sequence,
            "at": Moment(event.at),
            "actor": event.actor,
            "action": event.action,
            "subject": event.subject,
            "request_id": event.request_id,
            "details": event.details,
        });
        Some(NewMessage {
            id,
            endpoint: self.name.clone(),
            body: body(&r#type, event.at, &data),
            r#type,
            at: now,
        })
    }

    /// What becomes of a message after its try number `attempt`, from 1.
    pub fn outcome(
        &self,
        attempt: i64,
        heard: Heard,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Outcome {
        if heard.is_taken() {
            return Outcome::Delivered {
                status: heard.status.unwrap_or(200),
            };
        }
        let Heard {
            status,
            retry_after,
            cause,
        } = heard;
        let next = usize::try_from(attempt - 1)
            .ok()
            .and_then(|index| self.retries.get(index));
        match next {
            Some(wait) if status != Some(GONE) => {
                let asked = match status {
                    Some(429 | 503) => retry_after.unwrap_or_default().min(LONGEST_WAIT),
                    _ => Duration::ZERO,
                };
                Outcome::Again {
                    due: now.plus(spread(*wait, entropy).max(asked)),
                    status,
                    cause,
                }
            }
            _ => Outcome::Dead { status, cause },
        }
    }
}

/// The status by which a receiver says that it wants no more (Standard Webhooks).
pub const GONE: u16 = 410;

/// A wait and up to a tenth of it more, so that what failed together does not come back together.
fn spread(wait: Duration, entropy: &dyn Entropy) -> Duration {
    let mut random = [0; 2];
    entropy.fill(&mut random);
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    wait + wait.mul_f64(0.1 * share)
}

/// An endpoint as events name it.
pub fn subject(name: &str) -> String {
    format!("{}/{name}", ResourceKind::WebhookEndpoint.name())
}

/// The body of a message, as Standard Webhooks shapes it.
pub fn body(r#type: &str, at: Timestamp, data: &Value) -> String {
    json!({ "type": r#type, "timestamp": Moment(at), "data": data }).to_string()
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What went wrong, in words that are safe to show.
    pub cause: String,
}

impl Heard {
    /// Whether the message was taken.
    pub fn is_taken(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// What becomes of a message after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Delivered {
        /// The status.
        status: u16,
    },
    /// It is tried again.
    Again {
        /// When.
        due: Timestamp,
        /// The status, if there was an answer.
        status: Option<u16>,
        /// What went wrong.
        cause: String,
    },
    /// It is given up, and kept as a dead letter.
    Dead {
        /// The status, if there was an answer.
        status: Option<u16>,
        /// What went wrong.
        cause: String,
    },
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// `msg_…`: `webhook-id` of every try.
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// Its type.
    pub r#type: String,
    /// What is posted, the same at every try.
    pub body: String,
    /// When it was accepted.
    pub at: Timestamp,
}

/// Where a message is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// It was taken; kept for a day.
    Delivered,
    /// It was given up; kept for thirty days.
    Dead,
}

impl MessageState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `msg_…`.
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// Its type.
    pub r#type: String,
    /// What is posted.
    pub body: String,
    /// Where it is in its life.
    pub state: MessageState,
    /// Tries so far, the one that is under way among them.
    pub attempts: i64,
    /// When it is tried next, while it waits.
    pub due: Timestamp,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last try ended.
    pub tried_at: Option<Timestamp>,
    /// What the last try was answered with.
    pub status: Option<u16>,
    /// Why the last try failed.
    pub cause: Option<String>,
}

/// What came of handing in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is kept, and will be sent.
    Done,
    /// There is no such endpoint.
    Unknown,
    /// The endpoint is disabled.
    Disabled,
    /// As many wait already as may.
    Full,
}

/// How an endpoint is, beside what is declared of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Its name.
    pub name: String,
    /// Number of the last audit event that was looked at for it.
    pub after: i64,
    /// Since when, and why, nothing is sent.
    pub disabled: Option<Disabled>,
    /// Messages that wait.
    pub waiting: i64,
    /// Dead letters.
    pub dead: i64,
}

/// Since when, and why, nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why, in words.
    pub cause: String,
}

/// Which messages to list: the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Of this endpoint.
    pub endpoint: Option<String>,
    /// In this state.
    pub state: Option<MessageState>,
    /// With ids smaller than this (keyset paging).
    pub before: Option<String>,
    /// At most so many; 1–1000.
    pub limit: u32,
}

/// Which messages an act is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// This one, in any state.
    One(String),
    /// Every dead letter of an endpoint.
    DeadOf(String),
}

#[cfg(test)]
mod tests;
