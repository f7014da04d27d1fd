//! **Record of calls**: the decision log's entry and its stated loss policy.
//!
//! Entries are batched off the call's way through a bounded queue. When the queue is full an entry
//! is dropped and counted (`doorward_decision_log_dropped_total`); the call is never held up.
//! Changes are not calls: they go to the audit trail, where nothing is dropped.

mod usage;

use std::borrow::Cow;
use std::sync::Arc;

use proof::time::Timestamp;
use serde::{Deserialize, Serialize};
use verdict::policy::Judged;

pub use usage::{ClientUse, Tally, Usage, Used, UsedFilter, client_name, hour_of};

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
    /// Which of the credential's secrets or keys held, where it can have several; public as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Arc<str>>,
    /// The principal's kind and id, `client:cli_…`.
    pub principal: Option<String>,
    /// The application.
    pub application: Option<Arc<str>>,
    /// The issuer of the token, where the principal is one that a token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Arc<str>>,
    /// The client of ours that the token was given to, or that signed the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Arc<str>>,
    /// The further credentials of a combination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<Companion>,
    /// The status that was answered.
    pub status: u16,
    /// Microseconds from head to the answer's head.
    pub micros: u64,
    /// What relations and policies said of it, where they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Box<Judged>>,
}

/// A further credential of a combination: proved like the first, but not the principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Its kind.
    pub credential_kind: Cow<'static, str>,
    /// Its public id.
    pub credential: Arc<str>,
    /// See [`Decision::secret`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Arc<str>>,
    /// Whom it names: kind and id.
    pub principal: String,
    /// See [`Decision::issuer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Arc<str>>,
    /// See [`Decision::client_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Arc<str>>,
}

/// What one credential of a call says of who called.
#[derive(Debug, Clone, Copy)]
struct Caller<'a> {
    kind: &'a str,
    credential: &'a str,
    secret: Option<&'a str>,
    principal: Option<&'a str>,
    issuer: Option<&'a str>,
    client_id: Option<&'a str>,
}

impl Decision {
    /// The credentials that were proved, the principal's first.
    fn callers(&self) -> impl Iterator<Item = Caller<'_>> {
        let first = match (&self.credential_kind, &self.credential) {
            (Some(kind), Some(credential)) => Some(Caller {
                kind,
                credential,
                secret: self.secret.as_deref(),
                principal: self.principal.as_deref(),
                issuer: self.issuer.as_deref(),
                client_id: self.client_id.as_deref(),
            }),
            _ => None,
        };
        let others = self.companions.iter().map(|one| Caller {
            kind: &one.credential_kind,
            credential: &one.credential,
            secret: one.secret.as_deref(),
            principal: Some(&one.principal),
            issuer: one.issuer.as_deref(),
            client_id: one.client_id.as_deref(),
        });
        first.into_iter().chain(others)
    }
}
