//! What was recorded: the audit trail and the decision log.

use std::collections::BTreeMap;

use registry::units::Moment;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use verdict::policy::Judged;

/// An event of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEventView {
    /// Position in the chain; absent while it waits to be chained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// The event's id.
    pub id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The request that did it.
    pub request_id: String,
    /// What changed.
    pub details: BTreeMap<String, String>,
    /// Hex of the chain's hash up to and including this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl From<registry::audit::AuditEvent> for AuditEventView {
    fn from(event: registry::audit::AuditEvent) -> Self {
        Self {
            sequence: event.sequence,
            id: event.id,
            at: Moment(event.at),
            actor: event.actor,
            action: event.action,
            subject: event.subject,
            request_id: event.request_id,
            details: event.details,
            hash: event.hash,
        }
    }
}

/// Which events to read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Read on after this sequence; default from the start.
    #[param(minimum = 0)]
    pub after: Option<i64>,
    /// The newest so many instead of those after a sequence.
    pub newest: Option<bool>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// A signed statement of how far the chain had grown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    /// The last sequence it covers.
    pub sequence: i64,
    /// Hex of the chain's hash there.
    pub hash: String,
    /// When it was signed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// A compact JWS over the three.
    pub signature: String,
}

impl From<registry::audit::Checkpoint> for CheckpointView {
    fn from(checkpoint: registry::audit::Checkpoint) -> Self {
        Self {
            sequence: checkpoint.sequence,
            hash: checkpoint.hash,
            at: Moment(checkpoint.at),
            signature: checkpoint.signature,
        }
    }
}

/// What checking the whole trail found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditVerified {
    /// Whether the trail is whole.
    pub intact: bool,
    /// Events in the chain that were checked.
    pub events: i64,
    /// Checkpoints that were compared.
    pub checkpoints: u64,
    /// The last sequence that a signed checkpoint covers.
    pub sealed: i64,
    /// Hex of the last hash; keep it elsewhere to find a cut tail later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The first thing that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// One judged call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// When the head was complete.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// The request's id.
    pub request_id: String,
    /// The client's address.
    pub client: String,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The API, once one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The route, once one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// `allow` or `deny`.
    pub decision: String,
    /// The problem's code for a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The cause in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The primary credential's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_kind: Option<String>,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Which of its secrets or keys held, where it can have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The issuer of the token, where the principal is one that a token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The client of ours that the token was given to, or that signed the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The further credentials of a combination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<CompanionView>,
    /// The status that was answered.
    pub status: u16,
    /// Microseconds from head to the answer's head.
    pub micros: u64,
    /// What relations and policies said, where they were asked, and what they were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub judged: Option<Judged>,
}

/// A further credential of a combination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompanionView {
    /// Its kind.
    pub credential_kind: String,
    /// Its id.
    pub credential: String,
    /// Which of its secrets or keys held, where it can have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whom it names.
    pub principal: String,
    /// The issuer of the token, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The client of ours, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

impl From<registry::record::Companion> for CompanionView {
    fn from(companion: registry::record::Companion) -> Self {
        Self {
            credential_kind: companion.credential_kind.into_owned(),
            credential: (*companion.credential).to_owned(),
            secret: companion.secret.as_deref().map(str::to_owned),
            principal: companion.principal,
            issuer: companion.issuer.as_deref().map(str::to_owned),
            client_id: companion.client_id.as_deref().map(str::to_owned),
        }
    }
}

impl From<registry::record::Decision> for DecisionView {
    fn from(decision: registry::record::Decision) -> Self {
        Self {
            at: Moment(decision.at),
            request_id: (*decision.request_id).to_owned(),
            client: decision.client,
            method: (*decision.method).to_owned(),
            path: decision.path,
            api: decision.api.as_deref().map(str::to_owned),
            route: decision.route.as_deref().map(str::to_owned),
            decision: (*decision.decision).to_owned(),
            code: decision.code.as_deref().map(str::to_owned),
            cause: decision.cause,
            credential_kind: decision.credential_kind.as_deref().map(str::to_owned),
            credential: decision.credential.as_deref().map(str::to_owned),
            secret: decision.secret.as_deref().map(str::to_owned),
            principal: decision.principal,
            application: decision.application.as_deref().map(str::to_owned),
            issuer: decision.issuer.as_deref().map(str::to_owned),
            client_id: decision.client_id.as_deref().map(str::to_owned),
            companions: decision.companions.into_iter().map(Into::into).collect(),
            status: decision.status,
            micros: decision.micros,
            judged: decision.judged.map(|judged| *judged),
        }
    }
}

/// Which decisions to read; the newest come first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DecisionQuery {
    /// Older than this time.
    #[param(value_type = Option<String>)]
    pub before: Option<Moment>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}
