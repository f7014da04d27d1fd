//! What is declared: resources one by one, and documents together.

use registry::resource::{ManagedBy, Stored};
use registry::units::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A resource.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// `Api`, `Application`, `Client`, `Account`, `TrustedIssuer`.
    pub kind: String,
    /// Its name, unique per kind.
    pub name: String,
    /// Its id, stable for its life.
    pub id: String,
    /// Raised at every change; also the `ETag`.
    pub version: i64,
    /// `api`, or `file`: read-only here.
    #[schema(value_type = String, example = "api")]
    pub managed_by: ManagedBy,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it was changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Moment,
    /// What is declared; its form is the `spec` of a document of this kind.
    pub spec: Value,
}

impl From<Stored> for Resource {
    fn from(stored: Stored) -> Self {
        Self {
            kind: stored.kind.name().to_owned(),
            name: stored.name,
            id: stored.id,
            version: stored.version,
            managed_by: stored.managed_by,
            created_at: Moment(stored.created_at),
            updated_at: Moment(stored.updated_at),
            spec: stored.spec,
        }
    }
}

/// A write of a resource.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutResource {
    /// What is declared.
    pub spec: Value,
    /// The version that this is a change of; 0: it must not exist. `If-Match` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// Documents to apply together.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// Whole documents: `apiVersion`, `kind`, `metadata`, `spec`.
    pub documents: Vec<Value>,
    /// Whether resources that no document declares are removed.
    #[serde(default)]
    pub prune: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What applying documents does or did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Whether the changes were made, rather than only planned.
    pub applied: bool,
    /// The changes in the order in which they are made.
    pub changes: Vec<PlannedChange>,
    /// How many documents say what is there already.
    pub unchanged: u64,
    /// Changes that can't be; a plan with any is not applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedChange>,
}

/// A change that can't be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedChange {
    /// The document's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One change of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedChange {
    /// `create`, `update` or `delete`.
    pub action: ChangeAction,
    /// The document's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What differs, place by place (updates).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
}

/// One place that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Where, e.g. `spec.routes[2].path`.
    pub path: String,
    /// What stands there now; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What will stand there; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// All that is declared, as documents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Export {
    /// Whole documents, in an order in which they can be applied.
    pub documents: Vec<Value>,
}

/// What to export.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Whether the metadata of API keys is exported too (never a secret).
    pub keys: Option<bool>,
}
