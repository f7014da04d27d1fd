//! **Metadata** (RFC 8414, OpenID Connect Discovery 1.0): what works here, and where. The lists are
//! walked from the same `ALL` lists that the endpoints match on, so nothing is advertised that does
//! not work, and nothing that works is forgotten.

use std::sync::Arc;

use proof::jose::alg::Algorithm;
use registry::client::{ClientAuthMethod, GrantType, IdentityScope};
use registry::profile::ResponseMode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::declared::{ASSERTION_ALGORITHMS, Declared};
use crate::keys::SIGNING_ALGORITHMS;
use crate::session::ACR_PASSWORD;
use crate::userinfo;

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
    userinfo: String,
    path: String,
    mtls: Option<String>,
    registration: bool,
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
            userinfo: format!("{issuer}/oauth/userinfo"),
            path: path.to_owned(),
            mtls: None,
            registration: false,
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
    /// URL of the UserInfo endpoint, which is also the audience of access tokens for it.
    pub fn userinfo(&self) -> &str {
        &self.userinfo
    }
    /// With the base URL of a listener that asks clients for certificates (RFC 8705 §5): scheme,
    /// host and port, without a path.
    ///
    /// # Errors
    /// [`BadIssuer`].
    pub fn with_mtls(mut self, base: &str) -> Result<Self, BadIssuer> {
        let url = Url::parse(base).map_err(|_| BadIssuer::NotAUrl)?;
        if url.scheme() != "https" {
            return Err(BadIssuer::NotAUrl);
        }
        if url.as_str().trim_end_matches('/') != base || url.path() != "/" {
            return Err(BadIssuer::NotNormal);
        }
        self.mtls = Some(base.to_owned());
        Ok(self)
    }
    /// With dynamic client registration (RFC 7591), which is off otherwise.
    pub fn with_registration(mut self) -> Self {
        self.registration = true;
        self
    }
    /// Whether an endpoint is served at all.
    pub const fn serves(&self, endpoint: Endpoint) -> bool {
        self.registration || !endpoint.takes_json()
    }
    /// Whether there is a listener that asks clients for certificates.
    pub fn has_mtls(&self) -> bool {
        self.mtls.is_some()
    }
    /// The URL of one endpoint, as documents name it and proofs cover it.
    pub fn url(&self, endpoint: Endpoint) -> String {
        let origin = &self.issuer[..self.issuer.len() - self.path.len()];
        format!("{origin}{}", self.path(endpoint))
    }
    /// The URL of one endpoint where clients show certificates.
    pub fn mtls_url(&self, endpoint: Endpoint) -> Option<String> {
        let base = self.mtls.as_ref()?;
        Some(format!("{base}{}", self.path(endpoint)))
    }
    /// The path of one endpoint, as a router matches it.
    pub fn path(&self, endpoint: Endpoint) -> String {
        let place = match endpoint {
            // RFC 8414 §3.1: the well-known part stands before the issuer's path …
            Endpoint::ServerMetadata => {
                return format!("/.well-known/oauth-authorization-server{}", self.path);
            }
            // … and in OpenID Connect Discovery §4 behind it.
            Endpoint::OpenIdConfiguration => ".well-known/openid-configuration",
            Endpoint::Jwks => "jwks.json",
            Endpoint::UpstreamJwks => "upstream/jwks.json",
            Endpoint::Authorization => "oauth/authorize",
            Endpoint::PushedAuthorization => "oauth/par",
            Endpoint::Token => "oauth/token",
            Endpoint::DeviceAuthorization => "oauth/device",
            Endpoint::Userinfo => "oauth/userinfo",
            Endpoint::Introspection => "oauth/introspect",
            Endpoint::Revocation => "oauth/revoke",
            Endpoint::EndSession => "oauth/end_session",
            Endpoint::Registration => "oauth/register",
            Endpoint::ClientConfiguration => "oauth/register/{client_id}",
        };
        format!("{}/{place}", self.path)
    }
    /// Where a registered client is read, changed and removed (RFC 7592 §1.2).
    pub fn client_configuration(&self, client_id: &str) -> String {
        format!("{}/{client_id}", self.url(Endpoint::Registration))
    }
    /// Where a person types the code of a device (RFC 8628 §3.2: `verification_uri`).
    pub fn device_page(&self) -> String {
        format!("{}/device", self.issuer)
    }
}

/// Everything that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// RFC 8414 metadata.
    ServerMetadata,
    /// OpenID Connect discovery.
    OpenIdConfiguration,
    /// Keys of access tokens and ID tokens.
    Jwks,
    /// Keys of identity tokens for upstreams.
    UpstreamJwks,
    /// RFC 6749 §3.1.
    Authorization,
    /// RFC 9126.
    PushedAuthorization,
    /// RFC 6749 §3.2.
    Token,
    /// RFC 8628 §3.1.
    DeviceAuthorization,
    /// OpenID Connect Core §5.3.
    Userinfo,
    /// RFC 7662.
    Introspection,
    /// RFC 7009.
    Revocation,
    /// OpenID Connect RP-Initiated Logout 1.0 §2.
    EndSession,
    /// RFC 7591 §3.
    Registration,
    /// RFC 7592 §2.
    ClientConfiguration,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 14] = [
        Self::ServerMetadata,
        Self::OpenIdConfiguration,
        Self::Jwks,
        Self::UpstreamJwks,
        Self::Authorization,
        Self::PushedAuthorization,
        Self::Token,
        Self::DeviceAuthorization,
        Self::Userinfo,
        Self::Introspection,
        Self::Revocation,
        Self::EndSession,
        Self::Registration,
        Self::ClientConfiguration,
    ];
    /// Its name in logs and route tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerMetadata => "server-metadata",
            Self::OpenIdConfiguration => "openid-configuration",
            Self::Jwks => "jwks",
            Self::UpstreamJwks => "upstream-jwks",
            Self::Authorization => "authorization",
            Self::PushedAuthorization => "pushed-authorization",
            Self::Token => "token",
            Self::DeviceAuthorization => "device-authorization",
            Self::Userinfo => "userinfo",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
            Self::EndSession => "end-session",
            Self::Registration => "registration",
            Self::ClientConfiguration => "client-configuration",
        }
    }
    /// The methods that it takes; `GET` comes with `HEAD`.
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::ServerMetadata | Self::OpenIdConfiguration | Self::Jwks | Self::UpstreamJwks => {
                &["GET"]
            }
            // OpenID Connect Core §3.1.2.1, §5.3.1; RP-Initiated Logout §2: both.
            Self::Authorization | Self::Userinfo | Self::EndSession => &["GET", "POST"],
            Self::PushedAuthorization
            | Self::Token
            | Self::DeviceAuthorization
            | Self::Introspection
            | Self::Revocation
            | Self::Registration => &["POST"],
            Self::ClientConfiguration => &["GET", "PUT", "DELETE"],
        }
    }
    /// Whether it takes a form by POST.
    pub const fn takes_form(self) -> bool {
        !self.takes_json()
            && !matches!(
                self,
                Self::ServerMetadata | Self::OpenIdConfiguration | Self::Jwks | Self::UpstreamJwks
            )
    }
    /// Whether it belongs to client registration: it takes JSON, and a bearer token.
    pub const fn takes_json(self) -> bool {
        matches!(self, Self::Registration | Self::ClientConfiguration)
    }
    /// Whether a person's browser comes here: it is answered with pages and redirects.
    pub const fn is_for_browsers(self) -> bool {
        matches!(self, Self::Authorization | Self::EndSession)
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

impl Documents {
    /// `client_ca` says whether any CA vouches for clients' certificates.
    pub(crate) fn new(endpoints: &Endpoints, declared: &Declared, client_ca: bool) -> Self {
        let mut server = server_metadata(endpoints, declared, client_ca);
        let server_text = text(&server);
        // OpenID Connect Discovery §3: the same, and what it adds.
        server.extend(openid_members());
        Self {
            server_metadata: server_text,
            openid_configuration: text(&server),
        }
    }
}

fn members(document: Value) -> Map<String, Value> {
    match document {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// RFC 8414 §2, and the members of the standards that each line is under.
fn server_metadata(
    endpoints: &Endpoints,
    declared: &Declared,
    client_ca: bool,
) -> Map<String, Value> {
    let offered = ClientAuthMethod::ALL
        .into_iter()
        .filter(|method| client_ca || *method != ClientAuthMethod::TlsClientAuth);
    let methods: Vec<_> = offered.clone().map(ClientAuthMethod::name).collect();
    // A client that proves nothing learns nothing of tokens, and may end its own.
    let proving: Vec<_> = offered
        .filter(|method| !method.is_public())
        .map(ClientAuthMethod::name)
        .collect();
    let algorithms = ASSERTION_ALGORITHMS.map(Algorithm::name);
    let identity = IdentityScope::ALL.map(IdentityScope::name);
    let scopes: Vec<&str> = identity
        .into_iter()
        .chain(declared.scopes().iter().map(|scope| &**scope))
        .collect();
    let url = |endpoint| endpoints.url(endpoint);
    let mut document = members(json!({
        "issuer": endpoints.issuer(),
        "authorization_endpoint": url(Endpoint::Authorization),
        "token_endpoint": url(Endpoint::Token),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "jwks_uri": url(Endpoint::Jwks),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::name),
        "grant_types_supported": GrantType::ALL.map(GrantType::name),
        "introspection_endpoint": url(Endpoint::Introspection),
        "introspection_endpoint_auth_methods_supported": proving,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": url(Endpoint::Revocation),
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        // RFC 7636 §6.2
        "code_challenge_methods_supported": ["S256"],
        // RFC 8628 §4
        "device_authorization_endpoint": url(Endpoint::DeviceAuthorization),
        // RFC 9126 §5
        "pushed_authorization_request_endpoint": url(Endpoint::PushedAuthorization),
        "require_pushed_authorization_requests": false,
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": true,
        // RFC 9449 §5.1
        "dpop_signing_alg_values_supported": proof::dpop::ALGORITHMS.map(Algorithm::name),
        // RFC 8705 §3.3
        "tls_client_certificate_bound_access_tokens": true,
    }));
    if endpoints.has_mtls() {
        // RFC 8705 §5
        let aliases: Map<String, Value> = [
            ("token_endpoint", Endpoint::Token),
            ("introspection_endpoint", Endpoint::Introspection),
            ("revocation_endpoint", Endpoint::Revocation),
            (
                "device_authorization_endpoint",
                Endpoint::DeviceAuthorization,
            ),
            (
                "pushed_authorization_request_endpoint",
                Endpoint::PushedAuthorization,
            ),
            ("userinfo_endpoint", Endpoint::Userinfo),
        ]
        .into_iter()
        .filter_map(|(name, endpoint)| {
            Some((name.to_owned(), endpoints.mtls_url(endpoint)?.into()))
        })
        .collect();
        document.insert("mtls_endpoint_aliases".to_owned(), aliases.into());
    }
    if endpoints.serves(Endpoint::Registration) {
        document.insert(
            "registration_endpoint".to_owned(),
            url(Endpoint::Registration).into(),
        );
    }
    // What only OpenID Connect asks for stands in both documents where an endpoint is meant.
    document.insert(
        "userinfo_endpoint".to_owned(),
        url(Endpoint::Userinfo).into(),
    );
    document.insert(
        "end_session_endpoint".to_owned(),
        url(Endpoint::EndSession).into(),
    );
    document
}

/// OpenID Connect Discovery §3, RP-Initiated Logout §2.1, Back-Channel Logout §2.1.
fn openid_members() -> Map<String, Value> {
    let signing = SIGNING_ALGORITHMS.map(Algorithm::name);
    let claims: Vec<&str> = TOKEN_CLAIMS
        .into_iter()
        .chain(userinfo::CLAIMS.map(|(name, _)| name))
        .collect();
    members(json!({
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": signing,
        "userinfo_signing_alg_values_supported": signing,
        "acr_values_supported": [ACR_PASSWORD],
        "claim_types_supported": ["normal"],
        "claims_supported": claims,
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    }))
}

/// Claims of an ID token that say nothing of the person.
const TOKEN_CLAIMS: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "sid",
];

fn text(document: &impl Serialize) -> Arc<str> {
    serde_json::to_string(document)
        .expect("strings always serialise to JSON")
        .into()
}
