//! **Applications**: projects that own credentials, limits and usage, so that one credential can be
//! replaced without touching the others.

use proof::issued::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verdict::identity::ApplicationId;

use crate::api::written::{EnvironmentSchema, live};
use crate::document::present;

/// An application as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationSpec {
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<String>,
    /// Who answers for it: a person, a team, a mail address.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub owner: Option<String>,
    /// What it is for.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub purpose: Option<String>,
    /// The wall it stands behind, with all its credentials: `live` (default) or `test`.
    #[serde(default = "live")]
    #[schemars(with = "EnvironmentSchema")]
    pub environment: Environment,
}

/// An application, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationMeaning {
    /// Its name.
    pub name: ApplicationId,
    /// A name for people; its name if none was written.
    pub display_name: String,
    /// The wall it stands behind.
    pub environment: Environment,
}
