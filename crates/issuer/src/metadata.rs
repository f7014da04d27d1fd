//! **Metadata** (RFC 8414, OpenID Connect Discovery 1.0): what works here, and where. The lists are
//! walked from the same `ALL` lists that the endpoints match on, so nothing is advertised that does
//! not work, and nothing that works is forgotten.

use std::sync::Arc;

use proof::jose::alg::Algorithm;
use registry::client::ClientAuthMethod;
use serde::Serialize;
use url::Url;

use crate::declared::{ASSERTION_ALGORITHMS, Declared};
use crate::grant::GrantType;

/// How clients can prove themselves here.
const METHODS: [ClientAuthMethod; 3] = [
    ClientAuthMethod::ClientSecretBasic,
    ClientAuthMethod::ClientSecretPost,
    ClientAuthMethod::PrivateKeyJwt,
];

/// Why a text is no issuer identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIssuer {
    /// Not an absolute `http` or `https` URL with a host.
    #[error("the issuer is not an absolute http or https URL")]
    NotAUrl,
    /// RFC 8414 §2: no query, no fragment; and no user information.
    #[error("the issuer has a query, a fragment or user information")]
    TooMuch,
    /// It is written in another way than a URL parser would write it; compared exactly later.
    #[error(
        "the issuer is not in its normal form (lower-case host, no default port, no trailing slash)"
    )]
    NotNormal,
    /// Plain HTTP is for loopback only.
    #[error("the issuer is plain http and not on loopback")]
    Plain,
}

/// Where the endpoints of an issuer are. Paths are for routers, URLs for documents.
#[derive(Debug, Clone)]
pub struct Endpoints {
    issuer: String,
    upstream_issuer: String,
    token: String,
    path: String,
}

impl Endpoints {
    /// Endpoints below an issuer identifier: `https://id.example.com` or with a path,
    /// never with a trailing slash. Plain `http` is taken for loopback hosts, or with
    /// `behind_trusted_proxy`.
    ///
    /// # Errors
    /// [`BadIssuer`].
    pub fn new(issuer: &str, behind_trusted_proxy: bool) -> Result<Self, BadIssuer> {
        let url = Url::parse(issuer).map_err(|_| BadIssuer::NotAUrl)?;
        let host = url.host().ok_or(BadIssuer::NotAUrl)?;
        let loopback = match host {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback || behind_trusted_proxy => {}
            "http" => return Err(BadIssuer::Plain),
            _ => return Err(BadIssuer::NotAUrl),
        }
        if url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(BadIssuer::TooMuch);
        }
        let path = url.path().trim_end_matches('/');
        if url.as_str().trim_end_matches('/') != issuer {
            return Err(BadIssuer::NotNormal);
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            upstream_issuer: format!("{issuer}/upstream"),
            token: format!("{issuer}/oauth/token"),
            path: path.to_owned(),
        })
    }

    /// The issuer identifier: `iss` of access tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// `iss` of identity tokens for upstreams.
    pub fn upstream_issuer(&self) -> &str {
        &self.upstream_issuer
    }
    /// URL of the token endpoint.
    pub fn token(&self) -> &str {
        &self.token
    }
    /// The path of one endpoint, as a router matches it.
    pub fn path(&self, endpoint: Endpoint) -> String {
        match endpoint {
            // RFC 8414 §3.1: the well-known part stands before the issuer's path …
            Endpoint::ServerMetadata => {
                format!("/.well-known/oauth-authorization-server{}", self.path)
            }
            // … and in OpenID Connect Discovery §4 behind it.
            Endpoint::OpenIdConfiguration => {
                format!("{}/.well-known/openid-configuration", self.path)
            }
            Endpoint::Jwks => format!("{}/jwks.json", self.path),
            Endpoint::UpstreamJwks => format!("{}/upstream/jwks.json", self.path),
            Endpoint::Token => format!("{}/oauth/token", self.path),
            Endpoint::Introspection => format!("{}/oauth/introspect", self.path),
            Endpoint::Revocation => format!("{}/oauth/revoke", self.path),
        }
    }
}

/// Everything that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// RFC 8414 metadata.
    ServerMetadata,
    /// OpenID Connect discovery.
    OpenIdConfiguration,
    /// Keys of access tokens.
    Jwks,
    /// Keys of identity tokens for upstreams.
    UpstreamJwks,
    /// RFC 6749 §3.2.
    Token,
    /// RFC 7662.
    Introspection,
    /// RFC 7009.
    Revocation,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 7] = [
        Self::ServerMetadata,
        Self::OpenIdConfiguration,
        Self::Jwks,
        Self::UpstreamJwks,
        Self::Token,
        Self::Introspection,
        Self::Revocation,
    ];
    /// Its name in logs and route tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerMetadata => "server-metadata",
            Self::OpenIdConfiguration => "openid-configuration",
            Self::Jwks => "jwks",
            Self::UpstreamJwks => "upstream-jwks",
            Self::Token => "token",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
        }
    }
    /// Whether it takes a form by POST; the others are documents for GET.
    pub const fn takes_form(self) -> bool {
        matches!(self, Self::Token | Self::Introspection | Self::Revocation)
    }
}

/// The documents, as text, made whenever something is declared.
#[derive(Debug, Clone)]
pub struct Documents {
    /// RFC 8414.
    pub server_metadata: Arc<str>,
    /// OpenID Connect Discovery.
    pub openid_configuration: Arc<str>,
}

/// RFC 8414 §2. `response_types_supported` is required, and empty: no grant of ours uses it.
#[derive(Serialize)]
struct ServerMetadata<'a> {
    issuer: &'a str,
    token_endpoint: &'a str,
    token_endpoint_auth_methods_supported: [&'a str; METHODS.len()],
    token_endpoint_auth_signing_alg_values_supported: [&'a str; ASSERTION_ALGORITHMS.len()],
    jwks_uri: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes_supported: &'a [Arc<str>],
    response_types_supported: [&'a str; 0],
    grant_types_supported: [&'a str; GrantType::ALL.len()],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'a str; METHODS.len()],
    introspection_endpoint_auth_signing_alg_values_supported: [&'a str; ASSERTION_ALGORITHMS.len()],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'a str; METHODS.len()],
    revocation_endpoint_auth_signing_alg_values_supported: [&'a str; ASSERTION_ALGORITHMS.len()],
}

/// OpenID Connect Discovery §3: the same, and members it requires. No ID token is issued yet, so
/// the list of their algorithms is empty.
#[derive(Serialize)]
struct OpenIdConfiguration<'a> {
    #[serde(flatten)]
    server: &'a ServerMetadata<'a>,
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 0],
}

impl Documents {
    pub(crate) fn new(endpoints: &Endpoints, declared: &Declared) -> Self {
        let methods = METHODS.map(ClientAuthMethod::name);
        let algorithms = ASSERTION_ALGORITHMS.map(Algorithm::name);
        let below = |path: &str| format!("{}/{path}", endpoints.issuer());
        let server = ServerMetadata {
            issuer: endpoints.issuer(),
            token_endpoint: endpoints.token(),
            token_endpoint_auth_methods_supported: methods,
            token_endpoint_auth_signing_alg_values_supported: algorithms,
            jwks_uri: below("jwks.json"),
            scopes_supported: declared.scopes(),
            response_types_supported: [],
            grant_types_supported: GrantType::ALL.map(GrantType::name),
            introspection_endpoint: below("oauth/introspect"),
            introspection_endpoint_auth_methods_supported: methods,
            introspection_endpoint_auth_signing_alg_values_supported: algorithms,
            revocation_endpoint: below("oauth/revoke"),
            revocation_endpoint_auth_methods_supported: methods,
            revocation_endpoint_auth_signing_alg_values_supported: algorithms,
        };
        let openid = OpenIdConfiguration {
            server: &server,
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: [],
        };
        Self {
            server_metadata: text(&server),
            openid_configuration: text(&openid),
        }
    }
}

fn text(document: &impl Serialize) -> Arc<str> {
    serde_json::to_string(document)
        .expect("strings always serialise to JSON")
        .into()
}
