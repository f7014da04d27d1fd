//! **Record of calls**: the decision log's entry and its stated loss policy.
//!
//! Entries are batched off the call's way through a bounded queue. When the queue is full an entry
//! is dropped and counted (`doorward_decision_log_dropped_total`); the call is never held up.
//! Changes are not calls: they go to the audit trail, where nothing is dropped.

use std::borrow::Cow;
use std::sync::Arc;

use proof::time::Timestamp;
use serde::{Deserialize, Serialize};
use verdict::policy::Judged;

/// One judged call. Format version 1: fields are added, never renamed. Made at every call, so names
/// that exist already are shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The format's version: 1.
    pub v: u8,
    /// The request id (UUIDv7).
    pub request_id: Arc<str>,
    /// When the head was complete.
    pub at: Timestamp,
    /// The client's address.
    pub client: String,
    /// The method.
    pub method: Cow<'static, str>,
    /// The path, without the query.
    pub path: String,
    /// The API, once one was found.
    pub api: Option<Arc<str>>,
    /// The route, once one was found.
    pub route: Option<Arc<str>>,
    /// `allow` or `deny`.
    pub decision: Cow<'static, str>,
    /// The problem's code for a denial.
    pub code: Option<Cow<'static, str>>,
    /// The cause in words, for operators; never a secret.
    pub cause: Option<String>,
    /// The primary credential's kind.
    pub credential_kind: Option<Cow<'static, str>>,
    /// The credential's public id.
    pub credential: Option<Arc<str>>,
    /// The principal's kind and id, `client:cli_…`.
    pub principal: Option<String>,
    /// The application.
    pub application: Option<Arc<str>>,
    /// The status that was answered.
    pub status: u16,
    /// Microseconds from head to the answer's head.
    pub micros: u64,
    /// What relations and policies said of it, where they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Box<Judged>>,
}

/// Calls counted per credential and hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The credential's public id.
    pub credential: String,
    /// Start of the hour.
    pub hour: Timestamp,
    /// Calls in it.
    pub calls: i64,
    /// The last of them.
    pub last_used: Timestamp,
}
