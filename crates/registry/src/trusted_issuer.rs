//! **Trusted issuers**: foreign issuers whose access tokens are accepted, under a profile that says
//! how their tokens are told apart from everything else they sign.

use std::path::PathBuf;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use proof::paseto::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::credential::jwt::IssuerProfile;

use crate::api::stored::SecretSource;
use crate::document::present;
use crate::units::Period;

/// A trusted issuer as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuerSpec {
    /// The exact `iss`.
    pub issuer: String,
    /// Where its keys are fetched. One of `jwks_url`, `jwks`, `jwks_file`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks_url: Option<String>,
    /// Its keys, inline (RFC 7517 §5).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks: Option<serde_json::Value>,
    /// A file with its keys.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwks_file: Option<String>,
    /// Its keys for PASETO tokens that anybody may read, as `k4.public.…` (PASERK); with these its
    /// other keys may be left out. They must make access tokens and nothing else.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub paseto_keys: Option<Vec<String>>,
    /// Files with one such key each: `k4.public.…`, or `k4.local.…`, which both sides hold and which
    /// stands in a file only.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub paseto_key_files: Option<Vec<String>>,
    /// Algorithms its keys may be used with; default every one that is not
    /// symmetric.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub algorithms: Option<Vec<String>>,
    /// Accepted `typ`; default `[at+jwt]`. `JWT` only with `access_token_guards`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub types: Option<Vec<String>>,
    /// Claims of which one must be present in a token of `typ: JWT`, and that an ID token of this
    /// issuer never has.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub access_token_guards: Option<Vec<String>>,
    /// Claims that must be present besides `iss`, `aud`, `exp`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub required_claims: Option<Vec<String>>,
    /// Longest life of a token; default any.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_lifetime: Option<Period>,
    /// Clock leeway, at most `5m`; default `60s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub leeway: Option<Period>,
    /// Claims that become scopes; default `[scope, scp]`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scope_claims: Option<Vec<String>>,
    /// Claims that become roles; default none. Dots descend: `realm_access.roles`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub role_claims: Option<Vec<String>>,
    /// Claim that becomes the tenant; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub tenant_claim: Option<String>,
    /// Claims that upstreams may see; default none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub forward_claims: Option<Vec<String>>,
    /// How it is asked about its opaque tokens; default not at all.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub introspection: Option<IntrospectionSpec>,
}

/// How an issuer is asked about its opaque tokens, as written (RFC 7662). One of `client_secret`,
/// `key_file`, `certificate_file` with `key_file`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionSpec {
    /// Its introspection endpoint.
    pub url: String,
    /// The client that this installation is there.
    pub client_id: String,
    /// Where its secret is: `file:PATH` or `env:NAME`; sent as HTTP Basic. In the settings' own files
    /// only.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_secret: Option<String>,
    /// PEM file with the chain that is shown in the TLS handshake, leaf first (RFC 8705).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub certificate_file: Option<String>,
    /// PEM file with the certificate's key; or, without a certificate, with the key that signs
    /// assertions (`private_key_jwt`, RFC 7523). PKCS#8.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_file: Option<String>,
    /// Algorithm of those assertions; default the key's usual one: ES256, ES384, EdDSA, RS256.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_algorithm: Option<String>,
    /// What its opaque tokens begin with. Needed where an API trusts several issuers that are asked;
    /// default: whatever is no other credential.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_prefixes: Option<Vec<String>>,
    /// How long an answer may be used, at most `60s`; default `10s`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache: Option<Period>,
    /// The form of its answers; default `json`. With `jwt` no other is taken.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub response: Option<IntrospectionResponse>,
    /// The audience of tokens of which the issuer tells none. Dangerous: every token of the issuer
    /// then passes at the API that has it, whatever it was made for.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub dangerous_assumed_audience: Option<String>,
}

/// The form of an issuer's answers about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntrospectionResponse {
    /// JSON (RFC 7662 §2.2).
    #[default]
    Json,
    /// Signed with the issuer's keys (RFC 9701).
    Jwt,
}

/// Where an issuer is asked, and how we show who we are; checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntrospectionMeaning {
    /// Its introspection endpoint.
    pub url: url::Url,
    /// The client that this installation is there.
    pub client_id: String,
    /// What shows it.
    pub proof: ClientProof,
}

/// What shows that this installation is a client of another issuer. Relative paths start at the
/// settings' folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientProof {
    /// A secret.
    Secret(SecretSource),
    /// A key that signs assertions, in PEM.
    Key {
        /// The file.
        key: PathBuf,
        /// Its algorithm; `None`: its usual one.
        algorithm: Option<Algorithm>,
    },
    /// A certificate, and its key, in PEM.
    Certificate {
        /// The file with the chain.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
}

impl ClientProof {
    /// The files it is read from.
    pub fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Secret(SecretSource::File(file)) => vec![file],
            Self::Secret(SecretSource::Environment(_)) => Vec::new(),
            Self::Key { key, .. } => vec![key],
            Self::Certificate { certificate, key } => vec![certificate, key],
        }
    }
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub enum IssuerKeys {
    /// Our own, from the store.
    Own,
    /// Fetched and cached.
    Url(url::Url),
    /// Written in the document.
    Static(JwkSet),
    /// In a file, read by whoever reads files.
    File(PathBuf),
}

/// A trusted issuer, checked.
#[derive(Debug, Clone)]
pub struct IssuerMeaning {
    /// Its name in documents; `own` for our own issuer.
    pub name: String,
    /// How its tokens are judged.
    pub profile: Arc<IssuerProfile>,
    /// Where its keys come from.
    pub keys: IssuerKeys,
    /// Where it is asked about its opaque tokens, if it is.
    pub introspection: Option<IntrospectionMeaning>,
    /// Its PASETO keys that are written down, with the ids that footers name them by.
    pub paseto_keys: Vec<(String, Arc<Key>)>,
    /// Files with one PASETO key each, read by whoever reads files.
    pub paseto_key_files: Vec<PathBuf>,
}
