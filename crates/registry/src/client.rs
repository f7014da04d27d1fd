//! **OAuth clients**: who may ask the issuer for tokens, how they prove themselves, and the most
//! that their tokens may hold. The document's name is the `client_id`.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use ipnet::IpNet;
use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::credential::client_jwt::CallCertificates;
use verdict::identity::{ApplicationId, ClientId, RoleName, Scopes};
use verdict::route::ApiName;

use crate::api::AuthorityFiles;
use crate::api::written::{EnvironmentSchema, OcspSpec, live};
use crate::document::present;
use crate::units::Period;

/// A closed list of words that stand in documents and in the protocol: the names, and back.
macro_rules! words {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            JsonSchema,
        )]
        pub enum $kind { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }
        impl $kind {
            /// Every one.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];
            /// Its name.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// The one of a name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.name() == name)
            }
        }
    };
}

words! {
    /// What sort of program a client is (RFC 6749 §2.1, RFC 8252).
    #[derive(Default)]
    ClientKind {
        /// A program that acts for itself; no person and no browser is near.
        #[default]
        Service = "service",
        /// A server that acts for people and can keep a secret.
        Confidential = "confidential",
        /// A program on a person's device (RFC 8252): whatever is in it, is not secret.
        Native = "native",
        /// A program that runs in the browser alone.
        Browser = "browser",
        /// A device without browser or keyboard (RFC 8628).
        Device = "device",
    }
}

words! {
    /// The rules that a client is held to; what they are, stands in [`Profile::rules`].
    #[derive(Default)]
    Profile {
        /// OAuth 2.1 with the best current practice (RFC 9700).
        #[default]
        Oauth21 = "oauth21",
        /// FAPI 2.0 Security Profile.
        Fapi2 = "fapi2",
        /// OpenID Connect Core as relying parties of old know it.
        OidcCompat = "oidc_compat",
    }
}

words! {
    /// How a client proves itself at the token endpoint (names of RFC 7591 §2, OpenID Core §9 and
    /// RFC 8705 §2).
    ClientAuthMethod {
        /// A secret by HTTP Basic.
        ClientSecretBasic = "client_secret_basic",
        /// A secret in the form.
        ClientSecretPost = "client_secret_post",
        /// An assertion signed with the client's own key (RFC 7523).
        PrivateKeyJwt = "private_key_jwt",
        /// A certificate of a trusted CA, with a registered subject (RFC 8705 §2.1).
        TlsClientAuth = "tls_client_auth",
        /// A certificate whose key is registered (RFC 8705 §2.2).
        SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
        /// Nothing: a public client.
        None = "none",
    }
}

impl ClientAuthMethod {
    /// Whether it uses a secret that we issue.
    pub const fn uses_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
    /// Whether the client proves nothing (RFC 6749 §2.1: public).
    pub const fn is_public(self) -> bool {
        matches!(self, Self::None)
    }
    /// Whether the client proves possession of a private key that never leaves it.
    pub const fn asymmetric(self) -> bool {
        matches!(
            self,
            Self::PrivateKeyJwt | Self::TlsClientAuth | Self::SelfSignedTlsClientAuth
        )
    }
    /// Whether it is a certificate of the TLS connection (RFC 8705 §2).
    pub const fn uses_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

words! {
    /// Grants, by their registered names.
    GrantType {
        /// RFC 6749 §4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6.
        RefreshToken = "refresh_token",
        /// RFC 6749 §4.4.
        ClientCredentials = "client_credentials",
        /// RFC 8628.
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
        /// RFC 8693.
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
    }
}

words! {
    /// Scopes of OpenID Connect Core §5.4 and §11: what a client may learn of a person.
    IdentityScope {
        /// Who it is: the `sub`, and an ID token.
        Openid = "openid",
        /// Name, picture, language and the like.
        Profile = "profile",
        /// Mail address.
        Email = "email",
        /// Telephone number.
        Phone = "phone",
        /// Postal address.
        Address = "address",
        /// A refresh token that outlives the session.
        OfflineAccess = "offline_access",
    }
}

/// How tokens must be bound to their sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SenderConstraint {
    /// Not at all.
    #[default]
    None,
    /// By a proof of possession with each call (RFC 9449).
    Dpop,
    /// By the TLS connection's certificate (RFC 8705 §3).
    Mtls,
}

/// Which part of a certificate must have which value (RFC 8705 §2.1.2): exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSubject {
    /// The subject's distinguished name (RFC 4514).
    SubjectDn(String),
    /// A DNS name among the alternative names, lower case.
    SanDns(String),
    /// A URI among them.
    SanUri(String),
    /// An address among them.
    SanIp(IpAddr),
    /// A mail address among them.
    SanEmail(String),
}

/// A client as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<String>,
    /// The application it belongs to.
    pub application: String,
    /// How it proves itself.
    pub auth_method: ClientAuthMethod,
    /// Its public keys (RFC 7517 §5), for `private_key_jwt` and `signs_calls`; for `self_signed_tls_client_auth`
    /// those of its certificates. Beside `call_certificates` they sign no calls.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks: Option<serde_json::Value>,
    /// API → scopes that its tokens may hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, Vec<String>>,
    /// APIs for which it is a resource server: it may introspect any token meant for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspects: Vec<String>,
    /// Life of its tokens, at most the API's.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_lifetime: Option<Period>,
    /// The wall it stands behind: `live` (default) or `test`.
    #[serde(default = "live")]
    #[schemars(with = "EnvironmentSchema")]
    pub environment: Environment,
    /// Roles that its tokens carry.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub roles: Option<Vec<String>>,
    /// What sort of program it is; default `service`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: ClientKind,
    /// The rules it is held to; default `oauth21`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: Profile,
    /// Grants it may use; default by `kind`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub grant_types: Option<Vec<GrantType>>,
    /// Where a person may be sent back to with a code, compared as exact strings (RFC 9700 §4.1.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where a person may be sent after a logout (OpenID RP-Initiated Logout §3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Origins of scripts that may call the token endpoint; default for browser clients those of the
    /// redirect URIs, for others none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub allowed_origins: Option<Vec<String>>,
    /// Where its public keys are fetched; instead of `jwks`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks_uri: Option<String>,
    /// For `tls_client_auth`: the certificate's subject (RFC 4514). Exactly one of the five.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tls_client_auth_subject_dn: Option<String>,
    /// For `tls_client_auth`: a DNS name of the certificate.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tls_client_auth_san_dns: Option<String>,
    /// For `tls_client_auth`: a URI of the certificate.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tls_client_auth_san_uri: Option<String>,
    /// For `tls_client_auth`: an address of the certificate.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tls_client_auth_san_ip: Option<IpAddr>,
    /// For `tls_client_auth`: a mail address of the certificate.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tls_client_auth_san_email: Option<String>,
    /// Whether its tokens are bound to a key by DPoP (RFC 9449 §5.2).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
    /// Whether its tokens are bound to its certificate (RFC 8705 §3.4).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Whether authorization requests must be pushed (RFC 9126 §6).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub require_pushed_authorization_requests: bool,
    /// What of a person's identity it may ask for; default nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_scopes: Vec<IdentityScope>,
    /// How its ID tokens are signed; default `ES256`, with `oidc_compat` `RS256`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub id_token_signed_response_alg: Option<String>,
    /// How UserInfo is signed for it; default not at all, plain JSON.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub userinfo_signed_response_alg: Option<String>,
    /// How long ago a person may have logged in unless a request says otherwise.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_max_age: Option<Period>,
    /// Whether `auth_time` stands in every ID token.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub require_auth_time: bool,
    /// Where it hears of logouts (OpenID Back-Channel Logout §2.2).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub backchannel_logout_uri: Option<String>,
    /// Whether it needs the session's id to act on a logout.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub backchannel_logout_session_required: bool,
    /// Its page for people.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_uri: Option<String>,
    /// Its picture.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub logo_uri: Option<String>,
    /// What it does with people's data.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub policy_uri: Option<String>,
    /// Its terms of service.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tos_uri: Option<String>,
    /// Mail addresses of those who answer for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Whether people are not asked for consent: only for an installation's own programs.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub skip_consent: bool,
    /// Whether it may call APIs that take `client_jwt` with JWTs that it signs itself, within
    /// `grants`. Default: no.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub signs_calls: bool,
    /// Who certifies the keys that it signs calls with: then each call brings its certificates along
    /// (`x5c`), and no registered key signs calls. For `signs_calls` only.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub call_certificates: Option<CallCertificatesSpec>,
    /// Networks from which it may use the issuer and sign calls; default anywhere. Its tokens are not
    /// held to them.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Vec<String>>")]
    pub networks: Option<Vec<IpNet>>,
    /// Whether it and its tokens are refused for now.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub suspended: bool,
}

/// Whose certificates say which keys are a client's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallCertificatesSpec {
    /// PEM file with the certificates that vouch; read again when it changes.
    pub ca_file: String,
    /// Revocation lists of that authority (PEM or DER), one for each certificate that issues; read
    /// again when they change. With lists, what they don't know, or a list past its next update,
    /// is refused. Default: none is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_files: Option<Vec<String>>,
    /// Where further lists are published (https, 1 MiB each at most): fetched ahead, and again every
    /// ten minutes. Until all are there, calls are answered with 503.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub crl_urls: Option<Vec<String>>,
    /// The responder that is asked whether certificates are revoked (OCSP, RFC 6960), beside the
    /// lists. What it doesn't call good is refused. Default: none is asked.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub ocsp: Option<OcspSpec>,
    /// The name that is this client's and nobody else's.
    pub name: CertificateNameSpec,
}

/// A name in a certificate, exactly: one of `uri`, `dns`, `email`, `subject`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateNameSpec {
    /// An alternative name of type URI, `spiffe://example.org/export`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub uri: Option<String>,
    /// An alternative name of type DNS, `export.example.com`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub dns: Option<String>,
    /// An alternative name of type e-mail, `export@example.com`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub email: Option<String>,
    /// The whole subject as RFC 4514 writes it, `CN=export,O=Example`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject: Option<String>,
}

impl ClientSpec {
    /// A service client of an application that may do nothing yet.
    pub fn service(application: impl Into<String>, auth_method: ClientAuthMethod) -> Self {
        Self {
            application: application.into(),
            auth_method,
            display_name: None,
            jwks: None,
            grants: BTreeMap::new(),
            introspects: Vec::new(),
            token_lifetime: None,
            environment: Environment::Live,
            roles: None,
            kind: ClientKind::Service,
            profile: Profile::Oauth21,
            grant_types: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            allowed_origins: None,
            jwks_uri: None,
            tls_client_auth_subject_dn: None,
            tls_client_auth_san_dns: None,
            tls_client_auth_san_uri: None,
            tls_client_auth_san_ip: None,
            tls_client_auth_san_email: None,
            dpop_bound_access_tokens: false,
            tls_client_certificate_bound_access_tokens: false,
            require_pushed_authorization_requests: false,
            identity_scopes: Vec::new(),
            id_token_signed_response_alg: None,
            userinfo_signed_response_alg: None,
            default_max_age: None,
            require_auth_time: false,
            backchannel_logout_uri: None,
            backchannel_logout_session_required: false,
            client_uri: None,
            logo_uri: None,
            policy_uri: None,
            tos_uri: None,
            contacts: Vec::new(),
            skip_consent: false,
            signs_calls: false,
            call_certificates: None,
            networks: None,
            suspended: false,
        }
    }
}

/// A client, checked.
#[derive(Debug, Clone)]
pub struct ClientMeaning {
    /// Its `client_id`.
    pub client_id: ClientId,
    /// A name for people.
    pub display_name: String,
    /// The application it belongs to.
    pub application: ApplicationId,
    /// How it proves itself.
    pub auth_method: ClientAuthMethod,
    /// Its public keys, for `private_key_jwt`, `signs_calls` and `self_signed_tls_client_auth`; either these or
    /// [`Self::jwks_uri`].
    pub jwks: Option<JwkSet>,
    /// Where its public keys are fetched.
    pub jwks_uri: Option<url::Url>,
    /// The certificate it shows; present exactly for `tls_client_auth`.
    pub certificate: Option<CertificateSubject>,
    /// What sort of program it is.
    pub kind: ClientKind,
    /// The rules it is held to.
    pub profile: Profile,
    /// Grants it may use.
    pub grant_types: Vec<GrantType>,
    /// Where a person may be sent back to with a code, as registered.
    pub redirect_uris: Vec<String>,
    /// Where a person may be sent after a logout.
    pub post_logout_redirect_uris: Vec<String>,
    /// Origins of scripts that may call the token endpoint.
    pub allowed_origins: Vec<String>,
    /// How its tokens must be bound to their sender.
    pub sender_constraint: SenderConstraint,
    /// Whether its authorization requests must be pushed.
    pub require_par: bool,
    /// What of a person's identity it may ask for.
    pub identity_scopes: Vec<IdentityScope>,
    /// How its ID tokens are signed.
    pub id_token_alg: Algorithm,
    /// How UserInfo is signed for it; `None`: plain JSON.
    pub userinfo_alg: Option<Algorithm>,
    /// How long ago a person may have logged in unless a request says otherwise.
    pub default_max_age: Option<Duration>,
    /// Whether `auth_time` stands in every ID token.
    pub require_auth_time: bool,
    /// Where it hears of logouts.
    pub backchannel_logout_uri: Option<url::Url>,
    /// Whether it needs the session's id to act on a logout.
    pub backchannel_logout_session_required: bool,
    /// Its page for people.
    pub client_uri: Option<String>,
    /// Its picture.
    pub logo_uri: Option<String>,
    /// What it does with people's data.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
    /// Mail addresses of those who answer for it.
    pub contacts: Vec<String>,
    /// Whether people are not asked for consent.
    pub skip_consent: bool,
    /// Whether it may sign its own calls.
    pub signs_calls: bool,
    /// Who certifies the keys that it signs them with; then its registered keys sign none.
    pub call_certificates: Option<CallCertificatesMeaning>,
    /// What its tokens may hold, by API; an API that is not listed is not granted.
    pub grants: Vec<(ApiName, Scopes)>,
    /// APIs for which it is a resource server.
    pub introspects: Vec<ApiName>,
    /// Life of its tokens where shorter than the API's (1–60 min).
    pub token_lifetime: Option<Duration>,
    /// The wall it stands behind.
    pub environment: Environment,
    /// Roles that its tokens carry.
    pub roles: Vec<RoleName>,
    /// Networks from which it may use the issuer and sign calls; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// Whether it and its tokens are refused for now.
    pub suspended: bool,
}

/// Who certifies a client's keys, and where that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCertificatesMeaning {
    /// What judging goes by.
    pub judged: CallCertificates,
    /// The files of the authority.
    pub files: AuthorityFiles,
}

impl ClientMeaning {
    /// A service client that may do nothing yet: the client-credentials grant, the default profile,
    /// no keys, no APIs.
    pub fn service(
        client_id: ClientId,
        application: ApplicationId,
        auth_method: ClientAuthMethod,
    ) -> Self {
        Self {
            display_name: client_id.as_str().to_owned(),
            client_id,
            application,
            auth_method,
            jwks: None,
            jwks_uri: None,
            certificate: None,
            kind: ClientKind::Service,
            profile: Profile::Oauth21,
            grant_types: ClientKind::Service.grant_types(false).to_vec(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            allowed_origins: Vec::new(),
            sender_constraint: SenderConstraint::None,
            require_par: false,
            identity_scopes: Vec::new(),
            id_token_alg: Profile::Oauth21.id_token_algorithm(),
            userinfo_alg: None,
            default_max_age: None,
            require_auth_time: false,
            backchannel_logout_uri: None,
            backchannel_logout_session_required: false,
            client_uri: None,
            logo_uri: None,
            policy_uri: None,
            tos_uri: None,
            contacts: Vec::new(),
            skip_consent: false,
            signs_calls: false,
            call_certificates: None,
            grants: Vec::new(),
            introspects: Vec::new(),
            token_lifetime: None,
            environment: Environment::Live,
            roles: Vec::new(),
            networks: Vec::new(),
            suspended: false,
        }
    }
}

impl ClientKind {
    /// The grants of a client that names none. A browser-only client gets a refresh token only if
    /// it is bound to a key (RFC 9700 §4.14.2 asks for that or rotation; here it is both).
    pub const fn grant_types(self, dpop_bound: bool) -> &'static [GrantType] {
        match self {
            Self::Service => &[GrantType::ClientCredentials],
            Self::Browser if !dpop_bound => &[GrantType::AuthorizationCode],
            Self::Confidential | Self::Native | Self::Browser => {
                &[GrantType::AuthorizationCode, GrantType::RefreshToken]
            }
            Self::Device => &[GrantType::DeviceCode, GrantType::RefreshToken],
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
