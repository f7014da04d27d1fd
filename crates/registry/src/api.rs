//! **What an API means**: the checked, prepared form of an `Api` document, which the gateway
//! enforces and the issuer reads. The written form and the way from one to the other stand in
//! `api/written.rs`; whatever is here was validated, nothing optional is left that an enforcer needs.

pub mod rights;
pub mod stored;
pub mod written;

use core::time::Duration;
use std::sync::Arc;

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::credential::CredentialKind;
use verdict::limit::Rate;

use stored::StoredCredential;

/// A declared API, ready to be enforced.
#[derive(Debug, Clone)]
pub struct ApiMeaning {
    /// What judging needs to know.
    pub judged: Arc<verdict::route::Api>,
    /// Hosts it answers for (lower case, without port; `*.example.com` matches one label);
    /// empty: any host.
    pub hosts: Vec<String>,
    /// Path prefix of all its routes, `/` or `/orders`, without a trailing slash.
    pub base_path: String,
    /// Whether the upstream sees the path without `base_path`.
    pub strip_base_path: bool,
    /// Where permitted calls go.
    pub upstream: UpstreamMeaning,
    /// Who vouches for its callers' certificates, if it takes any.
    pub client_authority: Option<AuthorityFiles>,
    /// PEM files with the keys that open its encrypted tokens, as written; none: it asks for none.
    pub decryption_key_files: Vec<std::path::PathBuf>,
    /// What the upstream learns of the caller.
    pub identity: IdentityForward,
    /// CORS for browsers; `None`: preflights are judged like any call (and so refused).
    pub cors: Option<Cors>,
    /// Budget per client address, before authentication.
    pub per_address: Option<Rate>,
    /// Budget per principal, after it.
    pub per_principal: Option<Rate>,
    /// Budget per application, likewise.
    pub per_application: Option<Rate>,
    /// Scopes it knows, with the words that people read.
    pub scopes: Vec<(String, String)>,
    /// Life of access tokens issued for it (1–60 min).
    pub token_lifetime: Duration,
    /// The form of those tokens.
    pub token_format: TokenFormat,
    /// Its routes, most specific first is the gateway's business.
    pub routes: Vec<RouteMeaning>,
}

/// The form of access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenFormat {
    /// A signed JWT (RFC 9068), checked without asking anybody.
    #[default]
    Jwt,
    /// A random reference to what this installation keeps; for others it says nothing.
    Opaque,
    /// A signed `v4.public` (PASETO), checked without asking anybody.
    Paseto,
    /// An encrypted `v4.local` (PASETO), opened without asking anybody, by this installation alone.
    PasetoLocal,
}

impl TokenFormat {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Jwt, Self::Opaque, Self::Paseto, Self::PasetoLocal];

    /// The kind of credential that such a token is.
    pub fn kind(self) -> CredentialKind {
        match self {
            Self::Jwt => CredentialKind::Jwt,
            Self::Opaque => CredentialKind::Opaque,
            Self::Paseto | Self::PasetoLocal => CredentialKind::Paseto,
        }
    }
}

/// The files of an authority of client certificates, as written: relative ones start at the
/// settings' folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// PEM file with its certificates.
    pub roots: std::path::PathBuf,
    /// Its revocation lists, PEM or DER.
    pub revocation: Vec<std::path::PathBuf>,
    /// Where further lists are published. Neither files nor URLs: no list is asked.
    pub published: Vec<url::Url>,
    /// Who is asked about single certificates.
    pub responder: Option<ResponderMeaning>,
}

/// The responder of an authority (OCSP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponderMeaning {
    /// Where it is asked.
    pub url: url::Url,
    /// What it is asked about.
    pub asked: verdict::credential::mtls::Asked,
    /// How long an answer is used before it is asked for anew.
    pub refresh: core::time::Duration,
}

/// Where permitted calls go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamMeaning {
    /// A service in this process, by name (the issuer, the admin API). Never from a document.
    Local(&'static str),
    /// Servers on the network.
    Pool(PoolMeaning),
}

/// A pool of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolMeaning {
    /// The servers, at least one; all `http` or all `https`.
    pub servers: Vec<Server>,
    /// Over TLS?
    pub tls: Option<PoolTls>,
    /// HTTP version towards the servers.
    pub protocol: UpstreamProtocol,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time from the last request byte to the answer's head.
    pub response_timeout: Duration,
    /// Longest silence within a body.
    pub idle_timeout: Duration,
    /// Whether `Host` stays as the caller sent it, or becomes the server's.
    pub preserve_host: bool,
    /// What the gateway presents to the servers, and to nobody else.
    pub credential: Option<Box<StoredCredential>>,
}

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Host name or address literal.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// TLS towards a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTls {
    /// PEM file with the CAs to trust; `None`: the public web PKI roots.
    pub ca_file: Option<std::path::PathBuf>,
    /// Name to verify; `None`: the server's host.
    pub server_name: Option<String>,
    /// What the gateway shows of itself, if anything.
    pub identity: Option<PoolIdentity>,
}

/// The gateway's own certificate towards a pool (mTLS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolIdentity {
    /// PEM file with the chain, leaf first.
    pub certificate_file: std::path::PathBuf,
    /// PEM file with its key.
    pub key_file: std::path::PathBuf,
}

impl PoolTls {
    /// The files it is read from.
    pub fn files(&self) -> impl Iterator<Item = &std::path::PathBuf> {
        let own = self.identity.iter();
        let own = own.flat_map(|own| [&own.certificate_file, &own.key_file]);
        self.ca_file.iter().chain(own)
    }

    /// The same, to name them from another folder.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut std::path::PathBuf> {
        let own = self.identity.iter_mut();
        let own = own.flat_map(|own| [&mut own.certificate_file, &mut own.key_file]);
        self.ca_file.iter_mut().chain(own)
    }
}

/// HTTP version towards a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (over TLS: ALPN may choose HTTP/2).
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only (prior knowledge on plain TCP).
    Http2,
}

/// What the upstream learns of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityForward {
    /// Nothing; the credential is removed.
    None,
    /// The credential as the caller sent it.
    Original,
    /// Plain headers `doorward-subject`, `doorward-principal`, `doorward-client`,
    /// `doorward-application`, `doorward-scopes`, `doorward-roles`, `doorward-tenant`.
    Headers,
    /// A short-lived signed JWT in `doorward-identity` (own key set, `typ: doorward-identity+jwt`).
    Jwt {
        /// Its `aud`.
        audience: String,
        /// Its life; 60 s by default.
        lifetime: Duration,
    },
}

/// CORS of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Exact origins, or the one entry `*` (then never with credentials).
    pub origins: Vec<String>,
    /// Request headers that scripts may set (lower case).
    pub headers: Vec<HeaderName>,
    /// Response headers that scripts may read.
    pub expose: Vec<HeaderName>,
    /// Whether cookies and `Authorization` by the browser's own store may come along.
    pub credentials: bool,
    /// How long a preflight's answer may be kept.
    pub max_age: Duration,
}

/// A route, ready to be enforced.
#[derive(Debug, Clone)]
pub struct RouteMeaning {
    /// What judging needs to know.
    pub judged: Arc<verdict::route::Route>,
    /// Methods; empty: any.
    pub methods: Vec<Method>,
    /// Path template below `base_path`.
    pub path: PathTemplate,
    /// Largest body in bytes.
    pub body_limit: u64,
    /// Overrides the pool's response timeout.
    pub response_timeout: Option<Duration>,
    /// Whether a parameter may hold `%2F`.
    pub allow_encoded_slash: bool,
    /// Whether `Upgrade` (WebSocket) is allowed.
    pub upgrade: bool,
    /// Whether calls go with the pool's credential, if it has one.
    pub upstream_credential: bool,
    /// Parameters of the path that may name somebody's object, and that nothing judges.
    pub unguarded: Vec<Arc<str>>,
}

/// A path template: literal segments, `{name}` for one segment, a last `{name*}` for the rest
/// (one segment or more), a last `{name?*}` never: write two routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    /// As written.
    pub written: String,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this (decoded) text.
    Literal(String),
    /// One segment, not empty.
    Parameter(String),
    /// The rest of the path.
    Rest(String),
}
