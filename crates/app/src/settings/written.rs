//! **Settings as written**: mirrors the file, key by key. `doorward config schema` prints this as
//! JSON Schema, and the same schema finds structural mistakes when a file is read.

use std::collections::BTreeMap;

use proof::issued::Environment;
use registry::api::written::AuthoritySpec;
use registry::client::{GrantType, IdentityScope, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of one Doorward process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// The settings' version: 1.
    #[schemars(range(min = 1, max = 1))]
    pub(crate) version: u32,
    /// Further files, relative to this one: settings with the same shape, resource documents, or
    /// folders of such files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) include: Vec<String>,
    /// Folder for what this node keeps: the SQLite database, audit checkpoints.
    pub(crate) data_dir: String,
    /// The database. SQLite in `data_dir` unless it says otherwise.
    #[serde(default)]
    pub(crate) database: Database,
    /// The key under which secrets are sealed at rest: 32 bytes in base64, as `file:PATH` or `${ENV}`.
    pub(crate) master_key: String,
    /// Older master keys that still open what they sealed, as `file:PATH` or `${ENV}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) former_master_keys: Vec<String>,
    /// First word of every secret made here (2–16 lower-case letters or digits).
    #[serde(default = "default_brand")]
    pub(crate) brand: String,
    /// The authorization server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<Issuer>,
    /// Where to listen.
    #[schemars(length(min = 1))]
    pub(crate) listeners: Vec<Listener>,
    /// Proxies whose `Forwarded` and `X-Forwarded-*` count: addresses or networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trusted_proxies: Vec<String>,
    /// The field in which those proxies pass their clients' certificates on; the proxy must take
    /// it off whatever its clients send. Default: none, and no certificate is taken from a field.
    /// Needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate_field: Option<ClientCertificateField>,
    /// Limits of the door itself; APIs have their own.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// How secrets are hashed.
    #[serde(default)]
    pub(crate) hashing: Hashing,
    /// Where it is remembered what a caller may use once (DPoP proofs, signatures, JWTs that
    /// clients sign). Default: `durable` on PostgreSQL, `memory` on SQLite. Needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay_memory: Option<ReplayMemory>,
    /// What still passes when the database is away.
    #[serde(default)]
    pub(crate) outage: Outage,
    /// Outgoing fetches (key sets of foreign issuers).
    #[serde(default)]
    pub(crate) outbound: Outbound,
    /// The admin API.
    #[serde(default)]
    pub(crate) admin: Admin,
    /// Logs.
    #[serde(default)]
    pub(crate) log: Log,
    /// The decision log.
    #[serde(default)]
    pub(crate) decision_log: DecisionLog,
    /// The audit trail.
    #[serde(default)]
    pub(crate) audit: Audit,
    /// Stopping.
    #[serde(default)]
    pub(crate) shutdown: Shutdown,
    /// Resources declared here: read-only elsewhere. See the reference of resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<serde_json::Value>,
}

fn default_brand() -> String {
    "dw".to_owned()
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    /// `sqlite` (a file in `data_dir`) or a `postgres://` URL; may hold `${ENV}`.
    pub(crate) url: String,
    /// Most connections to PostgreSQL.
    #[schemars(range(min = 1, max = 500))]
    pub(crate) max_connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite".to_owned(),
            max_connections: 10,
        }
    }
}

/// The authorization server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// The issuer identifier: an `https` URL without query or fragment (`http` on loopback only).
    pub(crate) url: String,
    /// Algorithm of new signing keys.
    #[serde(default)]
    pub(crate) signing_algorithm: SigningAlgorithm,
    /// Base URL of a listener that serves the issuer and asks clients for certificates (`https`,
    /// host and port): the endpoints' aliases there are published (RFC 8705 §5). Needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtls_url: Option<String>,
    /// Who vouches for clients' certificates (`tls_client_auth`, RFC 8705 §2.1). Needs a restart; its
    /// files and lists are read again when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificates: Option<AuthoritySpec>,
    /// Folder with a theme for the pages that people see: files in `templates/` and `assets/`
    /// stand in for the built-in ones. Needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) theme_dir: Option<String>,
    /// Dynamic client registration (RFC 7591, RFC 7592): off unless it stands here. Needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registration: Option<Registration>,
}

/// What may be registered, and by whom.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// The application that registered clients belong to.
    pub(crate) application: String,
    /// The wall that they stand behind, which is the application's: `live` or `test`.
    #[serde(default = "live")]
    #[schemars(with = "String")]
    pub(crate) environment: Environment,
    /// The rules that they are held to; ways to prove oneself are those that it allows.
    #[serde(default)]
    pub(crate) profile: Profile,
    /// Grants that they may ask for.
    #[serde(default = "usual_grants")]
    pub(crate) grant_types: Vec<GrantType>,
    /// What of a person's identity they may ask for.
    #[serde(default = "usual_identity")]
    pub(crate) identity_scopes: Vec<IdentityScope>,
    /// API → scopes that they may ask for.
    #[serde(default)]
    pub(crate) grants: BTreeMap<String, Vec<String>>,
    /// Hosts that they may have people sent to after login and logout: `app.example.com`, or
    /// `*.example.com` for all below it; default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_hosts: Option<Vec<String>>,
    /// How long a secret of theirs lives; they renew it with an update. Default: it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_lifetime: Option<String>,
    /// Whether an initial access token is needed (`doorward registration-token create`).
    #[serde(default)]
    pub(crate) initial_access_token: InitialAccessToken,
    /// How many registered clients there may be.
    #[serde(default = "most_clients")]
    pub(crate) max_clients: usize,
}

fn live() -> Environment {
    Environment::Live
}

fn usual_grants() -> Vec<GrantType> {
    vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
}

fn usual_identity() -> Vec<IdentityScope> {
    vec![IdentityScope::Openid]
}

fn most_clients() -> usize {
    1000
}

/// Who may register clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InitialAccessToken {
    /// Whoever holds an initial access token.
    #[default]
    Required,
    /// Anybody who reaches the issuer.
    Open,
}

/// Algorithms for our own signing keys.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum SigningAlgorithm {
    /// ECDSA P-256.
    #[default]
    ES256,
    /// Ed25519.
    EdDSA,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
}

/// Where to listen and what to serve there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// A name for logs and metrics.
    pub(crate) name: String,
    /// Address and port, e.g. `127.0.0.1:8080` or `[::]:8443`.
    pub(crate) address: String,
    /// What is served: `gateway` and `issuer` may share a listener; `admin` and `ops` stand alone.
    #[schemars(length(min = 1))]
    pub(crate) serves: Vec<Serves>,
    /// TLS. Without it only loopback addresses are allowed, or a listener behind trusted proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// Whether a listed proxy (`trusted_proxies`) ends TLS in front of this plain listener.
    #[serde(default)]
    pub(crate) behind_trusted_proxy: bool,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serves {
    /// The declared APIs.
    Gateway,
    /// The authorization server's endpoints.
    Issuer,
    /// The admin API.
    Admin,
    /// Health and metrics.
    Ops,
}

/// TLS of a listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificates; chosen by the name the client asks for, the first is the default.
    #[schemars(length(min = 1))]
    pub(crate) certificates: Vec<Certificate>,
    /// Whether clients are asked for a certificate of their own. It proves possession of a key;
    /// whether it is trusted is decided per client and per token.
    #[serde(default)]
    pub(crate) client_certificates: ClientCertificates,
}

/// Whether a listener asks for clients' certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificates {
    /// None is asked for.
    #[default]
    Off,
    /// A client may present one. Browsers may ask their user which.
    Optional,
    /// No connection without one.
    Required,
}

/// Fields that carry a client's certificate from a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientCertificateField {
    /// RFC 9440, with `Client-Cert-Chain`.
    ClientCert,
    /// Percent-encoded PEM, as nginx (`$ssl_client_escaped_cert`) and Apache can write it.
    XSslClientCert,
    /// Percent-encoded PEM, as AWS load balancers write it.
    XAmznMtlsClientcert,
    /// Envoy's.
    XForwardedClientCert,
    /// Traefik's.
    XForwardedTlsClientCert,
}

/// A certificate and its key, as PEM files; read again when they change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The chain, leaf first.
    pub(crate) certificate_file: String,
    /// The private key.
    pub(crate) key_file: String,
}

/// Limits of the door itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Calls per client address before anything else is done, e.g. `1000/s`; `off` to have none.
    pub(crate) per_address: String,
    /// Failed authentications per client address, e.g. `300/m`; whoever spends them is held back as
    /// `penalty` says; `off` to hold nobody back.
    pub(crate) failures_per_address: String,
    /// For how long an address that failed too often gets 429 unjudged.
    pub(crate) penalty: Penalty,
    /// Open connections per listener.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) connections: usize,
    /// Bytes of bodies that are held in memory at once, of all calls together: what signatures are over,
    /// what rules read, answers that are masked, what the issuer is sent. At least `8MiB`. Beyond it
    /// such calls get 503 at once. One client address has a quarter of it at most, or one longer body.
    /// The admin API has as much for itself. Needs a restart.
    pub(crate) held_bodies: String,
    /// Time for a whole request head.
    pub(crate) header_timeout: String,
    /// Silence on a connection between calls.
    pub(crate) idle_timeout: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_address: "1000/s".to_owned(),
            failures_per_address: "300/m".to_owned(),
            penalty: Penalty::default(),
            connections: 10_000,
            held_bodies: "64MiB".to_owned(),
            header_timeout: "10s".to_owned(),
            idle_timeout: "75s".to_owned(),
        }
    }
}

/// For how long an address that failed too often is held back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Penalty {
    /// The first time, `1s` to `1h`. Each further time is twice as long as the one before.
    pub(crate) first: String,
    /// No time is longer than this; at most `1d`.
    pub(crate) longest: String,
    /// So long after the end of its last penalty an address starts afresh, `1m` to `7d`.
    pub(crate) forget_after: String,
}

impl Default for Penalty {
    fn default() -> Self {
        Self {
            first: "10s".to_owned(),
            longest: "15m".to_owned(),
            forget_after: "1h".to_owned(),
        }
    }
}

/// How secrets are hashed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hashing {
    /// `argon2id`, or `keyed_hash` for fleets with many keys (API keys and client secrets only;
    /// passwords are always Argon2id).
    pub(crate) algorithm: HashAlgorithm,
    /// Key of `keyed_hash`: 32 bytes in base64, as `file:PATH` or `${ENV}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pepper: Option<String>,
    /// Argon2 memory, e.g. `19MiB`.
    pub(crate) memory: String,
    /// Argon2 passes.
    #[schemars(range(min = 1, max = 10))]
    pub(crate) passes: u32,
    /// Threads of the hashing pool; 0: one less than the machine has, at least one.
    #[schemars(range(min = 0, max = 64))]
    pub(crate) threads: usize,
    /// Hashes that may wait.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) queue: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            algorithm: HashAlgorithm::Argon2id,
            pepper: None,
            memory: "19MiB".to_owned(),
            passes: 2,
            threads: 0,
            queue: 256,
        }
    }
}

/// Hashes for secrets with 256 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HashAlgorithm {
    /// Argon2id.
    Argon2id,
    /// HMAC-SHA256 under `pepper`.
    KeyedHash,
}

/// Where it is remembered what a caller may use once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplayMemory {
    /// In the process: fast, and a restart forgets. For SQLite, whose process is the only node.
    Memory,
    /// In the database, a row each: all nodes know, and a restart forgets nothing.
    Durable,
}

/// What still passes when the database is away.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outage {
    /// How long verifiable tokens and cached keys still pass.
    pub(crate) grace: String,
}

impl Default for Outage {
    fn default() -> Self {
        Self {
            grace: "10m".to_owned(),
        }
    }
}

/// Outgoing fetches.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outbound {
    /// Private networks that may be fetched from all the same.
    pub(crate) allow_networks: Vec<String>,
    /// PEM file with further CAs to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<String>,
    /// Allows `http://` to loopback addresses, for trials on one machine.
    pub(crate) dangerous_allow_plain_loopback: bool,
}

/// The admin API.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Host names the admin API answers to besides its listener's address.
    pub(crate) hosts: Vec<String>,
}

/// Logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `auto`: pretty on a terminal, JSON otherwise.
    pub(crate) format: LogFormat,
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter like `info,gateway=debug`. Checkpoints
    /// of the audit trail (the target `audit`) are logged at any of them, unless it says `audit=off`;
    /// lines of calls as `access` says.
    pub(crate) level: String,
    /// One line per call.
    pub(crate) access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: "info".to_owned(),
            access: true,
        }
    }
}

/// Log formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// The decision log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DecisionLog {
    /// Whether calls are recorded in the database.
    pub(crate) enabled: bool,
    /// How long entries are kept.
    pub(crate) keep: String,
    /// Entries that may wait; more are dropped and counted.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) queue: usize,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self {
            enabled: true,
            keep: "30d".to_owned(),
            queue: 16_384,
        }
    }
}

/// The audit trail.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// How often a signed checkpoint is written while the trail grows.
    pub(crate) checkpoint_every: String,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            checkpoint_every: "1m".to_owned(),
        }
    }
}

/// Stopping.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shutdown {
    /// How long calls in flight may take after SIGTERM.
    pub(crate) drain: String,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain: "30s".to_owned(),
        }
    }
}
