//! **Resources**: documents that people write, stored with a version and an owner.

use proof::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A declared API with its routes.
    Api,
    /// An application: owner of keys, limits and usage.
    Application,
    /// An OAuth client.
    Client,
    /// A service account (Basic).
    Account,
    /// A person who can log in.
    User,
    /// An issuer whose tokens are accepted.
    TrustedIssuer,
    /// Types and who may have what to do with their objects.
    RelationModel,
    /// A Rego policy.
    Policy,
    /// An endpoint that is told of things by signed messages.
    WebhookEndpoint,
}

impl ResourceKind {
    /// Every kind, in the order in which documents may refer to each other (later to earlier).
    pub const ALL: [Self; 9] = [
        Self::TrustedIssuer,
        Self::RelationModel,
        Self::Policy,
        Self::Application,
        Self::Api,
        Self::Client,
        Self::Account,
        Self::User,
        Self::WebhookEndpoint,
    ];
    /// The kind as documents write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "Api",
            Self::Application => "Application",
            Self::Client => "Client",
            Self::Account => "Account",
            Self::User => "User",
            Self::TrustedIssuer => "TrustedIssuer",
            Self::RelationModel => "RelationModel",
            Self::Policy => "Policy",
            Self::WebhookEndpoint => "WebhookEndpoint",
        }
    }
}

/// Who may change a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManagedBy {
    /// The admin API, the command line, `apply`.
    Api,
    /// The settings file: read-only elsewhere.
    File,
}

/// A resource as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its slug, unique per realm and kind.
    pub name: String,
    /// UUIDv7, stable over renames of display names; for a client the random part of nothing public.
    pub id: String,
    /// The document's `spec`, valid JSON of its kind.
    pub spec: serde_json::Value,
    /// Raised at every change.
    pub version: i64,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// What a resource said at one of its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its number; gaps are no loss.
    pub version: i64,
    /// The document's `spec` then.
    pub spec: serde_json::Value,
    /// Who managed it then.
    pub managed_by: ManagedBy,
    /// When it was written.
    pub written_at: Timestamp,
}

/// A write of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its slug.
    pub name: String,
    /// UUIDv7 to use if it is new.
    pub new_id: String,
    /// The new `spec`.
    pub spec: serde_json::Value,
    /// Who manages it from now on.
    pub managed_by: ManagedBy,
    /// `Some(0)`: must not exist; `Some(n)`: must have this version; `None`: whatever it is.
    pub expected: Option<i64>,
    /// When.
    pub at: Timestamp,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// It is new.
    Created(Stored),
    /// It was changed.
    Updated(Stored),
    /// It says this already; nothing was written, no audit event either.
    Unchanged(Stored),
    /// The expected version is not the current one (0: it does not exist).
    Conflict {
        /// The version it has.
        current: i64,
    },
    /// It is managed by a file and the writer is not that file.
    ManagedByFile,
}

/// What came of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done,
    /// There was none.
    Unknown,
    /// The expected version is not the current one.
    Conflict {
        /// The version it has.
        current: i64,
    },
    /// It is managed by a file.
    ManagedByFile,
    /// Active credentials still hang on it.
    InUse {
        /// How many.
        credentials: i64,
    },
}
