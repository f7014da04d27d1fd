//! **Credentials that the gateway presents to an upstream**, as written and as meant.
//!
//! Callers never see them, and neither does the store: what is written is where a secret stands,
//! never the secret itself.

use std::path::PathBuf;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::PoolIdentity;
use crate::document::present;
use crate::units::Size;

/// A credential of the gateway's own towards the upstream: exactly one of the kinds. Written in the
/// settings file only, since it names files of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamCredentialSpec {
    /// A fixed text in a header.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub api_key: Option<StoredKeySpec>,
    /// User name and password (RFC 7617).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub basic: Option<StoredBasicSpec>,
    /// An access token that the gateway fetches for itself (RFC 6749 §4.4).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub oauth_client_credentials: Option<StoredClientSpec>,
    /// AWS Signature Version 4 over what is sent.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sigv4: Option<StoredSigV4Spec>,
}

/// A fixed text in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredKeySpec {
    /// Default `x-api-key`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub header: Option<String>,
    /// A word in front of the key; default `Bearer` for `authorization`, none elsewhere.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheme: Option<String>,
    /// Where the key stands: `file:PATH`, `env:NAME`, or `${NAME}`, which means `env:NAME`.
    pub secret: String,
}

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredBasicSpec {
    /// The user name; no colon.
    pub username: String,
    /// Where the password stands: `file:PATH`, `env:NAME`, or `${NAME}`.
    pub password: String,
}

/// AWS Signature Version 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredSigV4Spec {
    /// The key's id.
    pub access_key_id: String,
    /// Where the key stands: `file:PATH`, `env:NAME`, or `${NAME}`.
    pub secret: String,
    /// Region of the credential scope.
    pub region: String,
    /// Service of the credential scope. For `s3` the path is signed as sent, for others encoded
    /// once more.
    pub service: String,
    /// Bodies up to this size are read whole and signed by their hash; default `256KiB`, at most
    /// `16MiB`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub body_buffer: Option<Size>,
    /// Whether larger bodies go with `UNSIGNED-PAYLOAD`; default no: they are refused with 413.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub unsigned_payload: bool,
}

/// An OAuth client that the gateway is at another authorization server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredClientSpec {
    /// The token endpoint, `https`.
    pub token_url: String,
    /// The client's id there.
    pub client_id: String,
    /// Where the client's secret stands: `file:PATH`, `env:NAME`, or `${NAME}`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_secret: Option<String>,
    /// Whether the secret is sent in the form rather than as Basic.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub secret_in_form: bool,
    /// Instead of a secret: PEM file (PKCS#8) with the key that signs the client's assertions
    /// (`private_key_jwt`).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_file: Option<String>,
    /// Whom the assertions are for: the server's issuer identifier; default `token_url`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub assertion_audience: Option<String>,
    /// Instead of a secret: the certificate to show at the token endpoint (RFC 8705).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub certificate: Option<StoredCertificateSpec>,
    /// Scopes to ask for.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scope: Option<Vec<String>>,
    /// `audience`, as some servers want it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub audience: Option<String>,
    /// `resource` (RFC 8707).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub resource: Option<String>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredCertificateSpec {
    /// PEM file with the certificate, its chain with it.
    pub certificate_file: String,
    /// PEM file with its key.
    pub key_file: String,
}

/// Where documents hold references to secrets. `${NAME}` there is a reference too, and is never
/// replaced by what it names.
pub const REFERENCES: [&[&str]; 4] = [
    &["spec", "upstream", "credential", "api_key", "secret"],
    &["spec", "upstream", "credential", "basic", "password"],
    &["spec", "upstream", "credential", "sigv4", "secret"],
    &[
        "spec",
        "upstream",
        "credential",
        "oauth_client_credentials",
        "client_secret",
    ],
];

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file: its text without the white space at its end. Relative paths begin at the settings'
    /// folder.
    File(PathBuf),
    /// In a variable of the process's environment.
    Environment(String),
}

/// A credential for an upstream, ready to be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredCredential {
    /// A fixed text in a header.
    Key {
        /// The header.
        header: HeaderName,
        /// A word in front of the key.
        scheme: Option<String>,
        /// The key.
        secret: SecretSource,
    },
    /// RFC 7617.
    Basic {
        /// Without a colon.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// A token that the gateway fetches.
    Client(Box<StoredClient>),
    /// A signature over what is sent.
    SigV4 {
        /// The key's id.
        access_key_id: String,
        /// The key.
        secret: SecretSource,
        /// Region of the credential scope.
        region: String,
        /// Service of the credential scope.
        service: String,
        /// Bytes of a body that are read to be hashed.
        body_buffer: u64,
        /// Whether larger bodies go unsigned.
        unsigned_payload: bool,
    },
}

/// How a token is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredClient {
    /// The token endpoint.
    pub token_url: Url,
    /// The client's id there.
    pub client_id: String,
    /// How it shows who it is.
    pub proof: ClientProof,
    /// Scopes, divided by blanks.
    pub scope: Option<String>,
    /// `audience`.
    pub audience: Option<String>,
    /// `resource` (RFC 8707).
    pub resource: Option<String>,
}

/// How the gateway shows a token endpoint who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientProof {
    /// `client_secret_basic`, or `client_secret_post`.
    Secret {
        /// The secret.
        secret: SecretSource,
        /// Whether it is sent in the form.
        in_form: bool,
    },
    /// `private_key_jwt`.
    Key {
        /// PEM file with the key.
        file: PathBuf,
        /// `aud` of the assertions.
        audience: String,
    },
    /// `tls_client_auth`.
    Certificate(PoolIdentity),
}

/// Fields that speak of a Signature Version 4, beside the signature itself.
const SIGV4_FIELDS: [&str; 4] = [
    "amz-sdk-invocation-id",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
];

impl StoredCredential {
    /// The header that the credential stands in.
    pub fn header(&self) -> &HeaderName {
        match self {
            Self::Key { header, .. } => header,
            Self::Basic { .. } | Self::Client(_) | Self::SigV4 { .. } => {
                &http::header::AUTHORIZATION
            }
        }
    }

    /// The key under which it is written.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Key { .. } => "api_key",
            Self::Basic { .. } => "basic",
            Self::Client(_) => "oauth_client_credentials",
            Self::SigV4 { .. } => "sigv4",
        }
    }

    /// The fields that the gateway writes for it: a caller's would stand beside it.
    pub fn fields(&self) -> Vec<HeaderName> {
        let signed: &[&'static str] = match self {
            Self::SigV4 { .. } => &SIGV4_FIELDS,
            Self::Key { .. } | Self::Basic { .. } | Self::Client(_) => &[],
        };
        let signed = signed.iter().copied().map(HeaderName::from_static);
        core::iter::once(self.header().clone())
            .chain(signed)
            .collect()
    }

    /// The files it is read from.
    pub fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Key { secret, .. } | Self::SigV4 { secret, .. } => {
                secret.file().into_iter().collect()
            }
            Self::Basic { password, .. } => password.file().into_iter().collect(),
            Self::Client(client) => match &client.proof {
                ClientProof::Secret { secret, .. } => secret.file().into_iter().collect(),
                ClientProof::Key { file, .. } => vec![file],
                ClientProof::Certificate(own) => vec![&own.certificate_file, &own.key_file],
            },
        }
    }

    /// The same, to name them from another folder.
    pub fn files_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Key { secret, .. } | Self::SigV4 { secret, .. } => {
                secret.file_mut().into_iter().collect()
            }
            Self::Basic { password, .. } => password.file_mut().into_iter().collect(),
            Self::Client(client) => match &mut client.proof {
                ClientProof::Secret { secret, .. } => secret.file_mut().into_iter().collect(),
                ClientProof::Key { file, .. } => vec![file],
                ClientProof::Certificate(own) => {
                    vec![&mut own.certificate_file, &mut own.key_file]
                }
            },
        }
    }
}

impl SecretSource {
    fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Environment(_) => None,
        }
    }

    fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Environment(_) => None,
        }
    }
}
