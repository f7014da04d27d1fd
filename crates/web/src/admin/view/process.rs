//! The process: how it is, its settings, its signing keys, the end of tokens.

use std::collections::BTreeMap;

use registry::units::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// How the process is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Doorward's version.
    pub version: String,
    /// When the process started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Moment,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub now: Moment,
    /// Who is asking.
    pub you: You,
    /// How many resources there are, by kind.
    pub resources: BTreeMap<String, u64>,
    /// Number of the newest change.
    pub newest_change: i64,
    /// The audit trail.
    pub audit: AuditStatus,
    /// The settings in force.
    pub settings: SettingsStatus,
}

/// The caller.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct You {
    /// The admin key's id.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
}

/// How the audit trail is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditStatus {
    /// Events in the chain.
    pub chained: i64,
    /// Events that wait to be chained; counted up to 1000.
    pub waiting: u64,
}

/// How the settings are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsStatus {
    /// When those in force were read.
    #[schema(value_type = String, format = DateTime)]
    pub loaded_at: Moment,
    /// Why a later reading was refused; the settings in force stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedSettings>,
}

/// A reading of the settings that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedSettings {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// Every mistake, with its place.
    pub message: String,
}

/// The settings in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SettingsView {
    /// How they are.
    pub status: SettingsStatus,
    /// All values, secrets masked.
    pub effective: Value,
}

/// A signing key: everything but what is secret of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SigningKeyView {
    /// RFC 7638 thumbprint; of a key that encrypts, its PASERK id (`k4.lid.…`).
    pub kid: String,
    /// What it is for: `access`, `upstream`, `audit` …
    pub purpose: String,
    /// Its algorithm's name; `v4.local` of a key that encrypts.
    pub algorithm: String,
    /// `published`, `active`, `retiring` or `retired`.
    pub state: String,
    /// When it leaves the key set (retiring).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Moment>,
    /// When it was made and published.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it began to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub activated_at: Option<Moment>,
    /// The public JWK; none of a key that encrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_jwk: Option<Value>,
}

/// Which signing key to replace.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// What the key is for: `access`, `upstream`, `audit` …
    pub purpose: String,
    /// Sign with the new key at once rather than after it was published for a while. Verifiers that
    /// cache key sets refuse new tokens until they fetch again.
    #[serde(default)]
    pub immediately: bool,
    /// The old key leaked: it also leaves the key set at once, and every token it signed dies.
    #[serde(default)]
    pub leaked: bool,
}

/// Which tokens to revoke: exactly one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeTokens {
    /// One token by its `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// Every token that this client was issued until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What was revoked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevokedTokens {
    /// `token` or `client`.
    pub kind: String,
    /// The `jti` or `client_id`.
    pub id: String,
}
