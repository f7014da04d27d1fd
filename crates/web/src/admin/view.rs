//! **The shapes of the admin API**: what its JSON looks like, in both directions. The command line
//! reads answers with the same types, so the two can't drift apart; the OpenAPI document is made
//! from them. Requests refuse unknown fields. Times are RFC 3339 in UTC. A secret stands in
//! [`Issued`] and nowhere else.

use std::collections::BTreeMap;

use ipnet::IpNet;
use proof::issued::Environment;
use proof::time::Timestamp;
use registry::actor::Role;
use registry::credential::{Credential, CredentialType, Lookup};
use registry::key::KeyType;
use registry::record::Usage;
use registry::resource::{ManagedBy, Stored};
use registry::units::{Moment, Period};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use verdict::identity::LifeState;

/// A list, with the way to its continuation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to give as `after` (or `before`) to read on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

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

/// A key, client secret, password or admin key: everything but the secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// Its id (`key_…`, `sec_…`, `pwd_…`, `adm_…`).
    pub id: String,
    /// `api_key`, `publishable_key`, `client_secret`, `password`, `admin_key`.
    #[schema(value_type = String, example = "api_key")]
    pub r#type: CredentialType,
    /// The application, client or account that owns it; `-` for admin keys.
    pub owner: String,
    /// A name for people.
    pub label: String,
    /// `live` or `test`.
    #[schema(value_type = String, example = "live")]
    pub environment: Environment,
    /// Its first characters.
    pub display: String,
    /// Whether it is a foreign key known by its hash.
    pub imported: bool,
    /// `active`, `suspended` or `revoked`.
    #[schema(value_type = String, example = "active")]
    pub state: LifeState,
    /// Whether its time is over.
    pub expired: bool,
    /// Scopes it holds.
    pub scopes: Vec<String>,
    /// APIs it may call.
    pub apis: Vec<String>,
    /// Roles it holds; of an admin key its one role.
    pub roles: Vec<String>,
    /// Networks it may come from; empty: anywhere.
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Origins that may send it.
    pub origins: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// The credential that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// Raised at every change; also the `ETag`.
    pub version: i64,
}

impl CredentialView {
    /// How a credential is shown at a point in time.
    pub fn of(credential: Credential, now: Timestamp) -> Self {
        Self {
            id: credential.id,
            r#type: credential.r#type,
            owner: credential.owner,
            label: credential.label,
            environment: credential.environment,
            display: credential.display,
            imported: matches!(credential.lookup, Lookup::Digest(_) | Lookup::Prefix(_)),
            state: credential.state,
            expired: credential.expires_at.is_some_and(|end| now >= end),
            scopes: credential.grant.scopes,
            apis: credential.grant.apis,
            roles: credential.grant.roles,
            networks: credential.grant.networks,
            origins: credential.grant.origins,
            created_at: Moment(credential.created_at),
            expires_at: credential.expires_at.map(Moment),
            successor: credential.successor,
            version: credential.version,
        }
    }
}

/// A credential that was just made. The secret is not kept and can't be shown again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Issued {
    /// What was made.
    pub credential: CredentialView,
    /// The secret, unless the caller brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What it replaces, with the time at which that ends (rotation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<CredentialView>,
}

impl core::fmt::Debug for Issued {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Issued")
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

/// A new API key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// The application it belongs to.
    pub application: String,
    /// A name for people.
    pub label: String,
    /// `secret` (default) or `publishable`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "secret")]
    pub r#type: KeyType,
    /// The wall it stands behind, `live` or `test`; default the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "live")]
    pub environment: Option<Environment>,
    /// Scopes it holds.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// APIs it may call; without any it may do nothing.
    #[serde(default)]
    pub apis: Vec<String>,
    /// Roles it holds.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Networks it may come from; default anywhere.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Origins that may send it; a publishable key needs one at least.
    #[serde(default)]
    pub origins: Vec<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// A foreign key, brought in by its hash.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKey {
    /// What it is and may do.
    pub key: CreateKey,
    /// `$argon2id$…`, `$2b$…` or `sha256$<hex>`, of the whole key.
    pub verifier: String,
    /// The identifying prefix under an API's `foreign_keys`; needed unless the verifier is SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl core::fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ImportKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Changes of a credential; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amend {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Scopes it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// APIs it may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apis: Option<Vec<String>>,
    /// Roles it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Networks it may come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub networks: Option<Vec<IpNet>>,
    /// Origins that may send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// When it ends by itself: a time, or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The version that this is a change of. `If-Match` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// How to rotate a credential.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// When the new one ends by itself; default as the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// How long the old one stays valid; default 7 d, `0s` ends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub overlap: Option<Period>,
}

/// A new client secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSecret {
    /// A name for people.
    #[serde(default)]
    pub label: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// A new password of an account.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password; absent: one is made and answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub password: Option<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

impl core::fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SetPassword").finish_non_exhaustive()
    }
}

/// A new administrator's key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAdminKey {
    /// Whose it is; audit events name it.
    pub label: String,
    /// `owner`, `operator` or `auditor`.
    #[schema(value_type = String, example = "operator")]
    pub role: Role,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
}

/// Which credentials to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CredentialQuery {
    /// Only of this owner.
    pub owner: Option<String>,
    /// Read on after this id.
    pub after: Option<String>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Calls with a credential.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// The credential.
    pub id: String,
    /// Since when it was counted.
    #[schema(value_type = String, format = DateTime)]
    pub since: Moment,
    /// Calls since then.
    pub calls: i64,
    /// The last call, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used: Option<Moment>,
    /// Calls by the hour, the latest first.
    pub hours: Vec<UsageHour>,
}

/// Calls of one hour.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageHour {
    /// Its start.
    #[schema(value_type = String, format = DateTime)]
    pub hour: Moment,
    /// Calls in it.
    pub calls: i64,
}

impl UsageView {
    /// Sums hours up.
    pub fn of(id: &str, since: Timestamp, mut hours: Vec<Usage>) -> Self {
        hours.sort_by_key(|usage| core::cmp::Reverse(usage.hour));
        Self {
            id: id.to_owned(),
            since: Moment(since),
            calls: hours
                .iter()
                .fold(0, |sum: i64, usage| sum.saturating_add(usage.calls)),
            last_used: hours.iter().map(|usage| usage.last_used).max().map(Moment),
            hours: hours
                .iter()
                .map(|usage| UsageHour {
                    hour: Moment(usage.hour),
                    calls: usage.calls,
                })
                .collect(),
        }
    }
}

/// Which version an act is meant for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// Only if it still has this version. `If-Match` says the same.
    pub version: Option<i64>,
}

/// An act that needs no words: an empty object, or no body.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Act {}

/// Since when to count.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// Since this time; default 7 days ago.
    #[param(value_type = Option<String>)]
    pub since: Option<Moment>,
}

/// A signing key: everything but its private half.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SigningKeyView {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// `access`, `upstream` or `audit`.
    pub purpose: String,
    /// Its algorithm's name.
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
    /// The public JWK.
    pub public_jwk: Value,
}

/// Which signing key to replace.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// `access`, `upstream` or `audit`.
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
    /// The principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The status that was answered.
    pub status: u16,
    /// Microseconds from head to the answer's head.
    pub micros: u64,
}

impl From<registry::record::Decision> for DecisionView {
    fn from(decision: registry::record::Decision) -> Self {
        Self {
            at: Moment(decision.at),
            request_id: decision.request_id,
            client: decision.client,
            method: decision.method,
            path: decision.path,
            api: decision.api,
            route: decision.route,
            decision: decision.decision,
            code: decision.code,
            cause: decision.cause,
            credential_kind: decision.credential_kind,
            credential: decision.credential,
            principal: decision.principal,
            application: decision.application,
            status: decision.status,
            micros: decision.micros,
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
