//! **Audit**: one event per change, written in the change's own transaction.
//!
//! Calls do not come here (see [`crate::record`]). Events are chained by one leased sequencer and
//! sealed with signed checkpoints, so that an edit, an insertion, a removal and a cut tail show.

mod chain;

use std::collections::BTreeMap;

use proof::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use chain::{
    CHECKPOINT_TYP, ChainFault, ChainReader, Verified, canonical, sign_checkpoint, verify_chain,
};

/// An event about to be written together with its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDraft {
    /// UUIDv7 of the event.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who ([`crate::actor::Actor::label`]).
    pub actor: String,
    /// What was done, e.g. `api_key.create` ([`crate::access::Action::ALL`]).
    pub action: &'static str,
    /// What it was done to: kind and name or id, e.g. `api/orders`.
    pub subject: String,
    /// Joins the event to the request.
    pub request_id: String,
    /// What changed, safe values only.
    pub details: BTreeMap<String, String>,
}

/// An event as stored and chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Position in the chain, from 1; `None` while the sequencer has not taken it in.
    pub sequence: Option<i64>,
    /// UUIDv7 of the event.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Joins the event to the request.
    pub request_id: String,
    /// What changed.
    pub details: BTreeMap<String, String>,
    /// Hex of the chain's hash up to and including this event.
    pub hash: Option<String>,
}

/// A signed statement of how far the chain had grown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last sequence it covers.
    pub sequence: i64,
    /// Hex of the chain's hash there.
    pub hash: String,
    /// When it was signed.
    pub at: Timestamp,
    /// A compact JWS over the three, by the audit signing key.
    pub signature: String,
}
