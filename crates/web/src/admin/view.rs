//! **The shapes of the admin API**: what its JSON looks like, in both directions. The command line
//! reads answers with the same types, so the two can't drift apart; the OpenAPI document is made
//! from them. Requests refuse unknown fields. Times are RFC 3339 in UTC. A secret stands in
//! [`Issued`] and nowhere else.

mod credential;
mod declared;
mod explain;
mod flows;
mod process;
mod record;
mod relations;
mod replay;
mod usage;
mod webhooks;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use credential::*;
pub use declared::*;
pub use explain::*;
pub use flows::*;
pub use process::*;
pub use record::*;
pub use relations::*;
pub use replay::*;
pub use usage::*;
pub use webhooks::*;

/// A list, with the way to its continuation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to give as `after` (or `before`) to read on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A refusal (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// `urn:doorward:error:<code>`.
    pub r#type: String,
    /// What is wrong.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A stable code.
    pub code: String,
    /// Joins the answer to log and audit trail.
    pub request_id: String,
    /// The version that the resource has (conflicts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<i64>,
    /// Every mistake of a body, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FlawView>,
    /// What was done before applying documents stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

/// One mistake in a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlawView {
    /// The document, `Api/orders`; absent for a mistake in the request itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The document's position among those that were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Where, e.g. `spec.routes[2].path`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&registry::flaw::Flaw> for FlawView {
    fn from(flaw: &registry::flaw::Flaw) -> Self {
        Self {
            document: Some(format!("{}/{}", flaw.document.kind, flaw.document.name)),
            index: Some(flaw.document.index),
            path: flaw.place(),
            message: flaw.message.clone(),
            hint: flaw.hint.clone(),
        }
    }
}
