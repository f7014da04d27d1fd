//! **OAuth clients**: who may ask the issuer for tokens, how they prove themselves, and the most
//! that their tokens may hold. The document's name is the `client_id`.

use core::time::Duration;
use std::collections::BTreeMap;

use proof::issued::Environment;
use proof::jose::jwk::JwkSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::identity::{ApplicationId, ClientId, RoleName, Scopes};
use verdict::route::ApiName;

use crate::api::written::{EnvironmentSchema, live};
use crate::document::present;
use crate::units::Period;

/// How a client proves itself at the token endpoint (names of RFC 7591 §2 and OpenID Core §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    /// A secret by HTTP Basic.
    ClientSecretBasic,
    /// A secret in the form.
    ClientSecretPost,
    /// An assertion signed with the client's own key (RFC 7523).
    PrivateKeyJwt,
}

impl ClientAuthMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
    ];
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
    /// Whether it uses a secret that we issue.
    pub fn uses_secret(self) -> bool {
        !matches!(self, Self::PrivateKeyJwt)
    }
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
    /// Its public keys (RFC 7517 §5), for `private_key_jwt`.
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
    /// Its public keys; present exactly for `private_key_jwt`.
    pub jwks: Option<JwkSet>,
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
}
