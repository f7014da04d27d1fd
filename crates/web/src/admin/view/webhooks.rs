//! Messages for endpoints of others, and how those endpoints are.

use registry::units::Moment;
use registry::webhook::{EndpointState, Message, MessageState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A message to be sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendWebhook {
    /// Its type, `order.paid`; one that the endpoint takes.
    pub r#type: String,
    /// What it says.
    pub data: Value,
}

/// A message, as far as it came.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookMessage {
    /// Its id: `webhook-id` of every try.
    pub id: String,
    /// The endpoint.
    pub endpoint: String,
    /// Its type.
    pub r#type: String,
    /// `waiting`, `delivered` (kept for a day) or `dead` (kept for thirty).
    pub state: String,
    /// Tries so far, the one that is under way among them.
    pub attempts: i64,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Moment>,
    /// When the last try ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_attempt_at: Option<Moment>,
    /// What it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_cause: Option<String>,
    /// What is posted, the same at every try; where one message is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl WebhookMessage {
    /// As lists show it.
    pub fn listed(message: Message) -> Self {
        Self {
            body: None,
            ..Self::whole(message)
        }
    }

    /// With what it says.
    pub fn whole(message: Message) -> Self {
        let waiting = message.state == MessageState::Waiting;
        Self {
            id: message.id,
            endpoint: message.endpoint,
            r#type: message.r#type,
            state: message.state.name().to_owned(),
            attempts: message.attempts,
            created_at: Moment(message.created_at),
            next_attempt_at: waiting.then_some(Moment(message.due)),
            last_attempt_at: message.tried_at.map(Moment),
            last_status: message.status,
            last_cause: message.cause,
            body: Some(message.body),
        }
    }
}

/// How an endpoint is, beside what is declared of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookStatus {
    /// Its name.
    pub endpoint: String,
    /// Whether messages are sent to it.
    pub enabled: bool,
    /// Since when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<Moment>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_cause: Option<String>,
    /// Messages that wait.
    pub waiting: i64,
    /// Dead letters.
    pub dead: i64,
}

impl From<EndpointState> for WebhookStatus {
    fn from(state: EndpointState) -> Self {
        let (at, cause) = state
            .disabled
            .map_or((None, None), |why| (Some(Moment(why.at)), Some(why.cause)));
        Self {
            endpoint: state.name,
            enabled: at.is_none(),
            disabled_at: at,
            disabled_cause: cause,
            waiting: state.waiting,
            dead: state.dead,
        }
    }
}

/// Which messages to list, the newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WebhookQuery {
    /// Of this endpoint.
    pub endpoint: Option<String>,
    /// In this state: `waiting`, `delivered` or `dead`.
    pub state: Option<String>,
    /// Older than this one: `next` of the page before.
    pub before: Option<String>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// How many messages an act touched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhooksTouched {
    /// So many.
    pub messages: u64,
}
