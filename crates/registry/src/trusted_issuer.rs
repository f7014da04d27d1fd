//! **Trusted issuers**: foreign issuers whose access tokens are accepted, under a profile that says
//! how their tokens are told apart from everything else they sign.

use std::path::PathBuf;
use std::sync::Arc;

use proof::jose::jwk::JwkSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::credential::jwt::IssuerProfile;

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
}
