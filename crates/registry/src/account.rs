//! **Service accounts**: who may use Basic, for internal and legacy APIs.

use ipnet::IpNet;
use proof::issued::Environment;
use proof::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::identity::{ApplicationId, RoleName, Scopes};
use verdict::route::ApiName;

use crate::api::written::{EnvironmentSchema, live};
use crate::document::present;
use crate::units::Moment;

/// A service account as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// The user name (RFC 7617 §2: no colon); default the document's name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub username: Option<String>,
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<String>,
    /// The application it belongs to.
    pub application: String,
    /// APIs it may call; without any it may do nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<String>,
    /// Scopes it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
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
    /// The wall it stands behind: `live` (default) or `test`.
    #[serde(default = "live")]
    #[schemars(with = "EnvironmentSchema")]
    pub environment: Environment,
    /// When it ends by itself.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<Moment>,
    /// Whether it is refused for now.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub suspended: bool,
}

/// A service account, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountMeaning {
    /// Its name.
    pub name: String,
    /// Its user name in normal form ([`normal_username`]).
    pub username: String,
    /// The application it belongs to.
    pub application: ApplicationId,
    /// APIs it may call.
    pub apis: Vec<ApiName>,
    /// Scopes it holds.
    pub scopes: Scopes,
    /// Roles it holds.
    pub roles: Vec<RoleName>,
    /// Networks it may come from; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// The wall it stands behind.
    pub environment: Environment,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// The one form in which user names are stored and compared: 1 to 128 bytes of printable ASCII
/// without a colon or a blank, in lower case. Anything else is no user name.
pub fn normal_username(text: &str) -> Option<String> {
    let clean = text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    (clean && (1..=128).contains(&text.len())).then(|| text.to_ascii_lowercase())
}
