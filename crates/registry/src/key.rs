//! **API keys in documents**: the metadata of a key for `apply` and `export`, never its secret. A
//! key that Doorward made can be changed so, but not made: its secret would have to stand in a
//! file. A foreign key can be brought in by its hash.

use ipnet::IpNet;
use proof::issued::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::written::{EnvironmentSchema, live};
use crate::document::present;
use crate::units::Moment;

/// Secret or publishable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// Kept secret.
    #[default]
    Secret,
    /// May stand in a web page or an app; bound to origins.
    Publishable,
}

/// An API key's metadata as written. The document's name is the key's id (`key_…`), except for
/// imported keys, which are known by what is presented and may be called anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySpec {
    /// The application it belongs to.
    pub application: String,
    /// A name for people.
    pub label: String,
    /// `secret` (default) or `publishable`.
    #[serde(default)]
    pub r#type: KeyType,
    /// The wall it stands behind: `live` (default) or `test`.
    #[serde(default = "live")]
    #[schemars(with = "EnvironmentSchema")]
    pub environment: Environment,
    /// Scopes it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// APIs it may call; without any it may do nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<String>,
    /// Roles it holds.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub roles: Option<Vec<String>>,
    /// Networks it may come from; default anywhere.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Vec<String>>")]
    pub networks: Option<Vec<IpNet>>,
    /// Origins that may send it; a publishable key needs one at least.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub origins: Option<Vec<String>>,
    /// When it ends by itself.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<Moment>,
    /// A foreign key's hash.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub imported: Option<ImportedKey>,
}

/// What is known of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedKey {
    /// `$argon2id$…`, `$2b$…` or `sha256$<hex>`, of the whole key.
    pub verifier: String,
    /// The identifying prefix under an API's `foreign_keys`; needed unless the verifier is SHA-256.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub prefix: Option<String>,
}
