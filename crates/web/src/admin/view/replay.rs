//! Recorded calls, judged again as documents would have it.

use registry::units::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What is to be judged again, and by what.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Documents that take the place of those of the same kind and name; the others stand.
    #[schema(value_type = Vec<Object>)]
    pub documents: Vec<Value>,
    /// Calls since then; default: of the last 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Moment>,
    /// At most so many calls, the newest; default 10000, at most 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Calls of this API alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// What would change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplayView {
    /// Calls that were looked at: those whose caller was known.
    pub calls: u64,
    /// Those of them whose record holds what judging needs.
    pub judged: u64,
    /// Judged with the same outcome.
    pub same: u64,
    /// Passed then, and would be refused.
    pub refused: u64,
    /// Were refused then, and would pass.
    pub allowed: u64,
    /// Why others could not be judged, with how many.
    pub unknown: Vec<Counted>,
    /// How many callers there were whose calls passed then, among the judged.
    pub principals: u64,
    /// How many of them would be refused something that passed then.
    pub principals_refused: u64,
    /// How many would be refused all that passed then.
    pub principals_locked_out: u64,
    /// Those that would be refused most, at most 50.
    pub refused_principals: Vec<PrincipalChange>,
    /// By route, those with changes.
    pub routes: Vec<RouteChange>,
    /// Some of the calls that would end otherwise, at most 20.
    pub examples: Vec<CallChange>,
}

/// A text, and how often it was so.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Counted {
    /// The text.
    pub why: String,
    /// How often.
    pub calls: u64,
}

/// A caller that would be refused.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PrincipalChange {
    /// Kind and id.
    pub principal: String,
    /// Its calls that passed then.
    pub passed: u64,
    /// Those that would be refused.
    pub refused: u64,
}

/// A route with changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RouteChange {
    /// Its API.
    pub api: String,
    /// Its name.
    pub route: String,
    /// Its judged calls.
    pub calls: u64,
    /// Passed then, and would be refused.
    pub refused: u64,
    /// Were refused then, and would pass.
    pub allowed: u64,
}

/// A call that would end otherwise.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CallChange {
    /// The request's id, for `doorward explain --decision`.
    pub request_id: String,
    /// When it was.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// Who called.
    pub principal: String,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// `allow` or the code of then.
    pub was: String,
    /// `allow` or the code that it would be.
    pub would_be: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// An earlier version that is to be written again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// Its number; default: the last one that said something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}

/// What a resource said at one of its versions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its number.
    pub version: i64,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub written_at: Moment,
    /// Who managed it then.
    #[schema(value_type = String)]
    pub managed_by: registry::resource::ManagedBy,
    /// What it said.
    #[schema(value_type = Object)]
    pub spec: Value,
}

impl From<registry::resource::Version> for Version {
    fn from(one: registry::resource::Version) -> Self {
        Self {
            version: one.version,
            written_at: Moment(one.written_at),
            managed_by: one.managed_by,
            spec: one.spec,
        }
    }
}
