//! **People**: who can log in, and what of them a client may learn (OpenID Connect Core §5.1). A
//! person's password opens the login page and nothing else: never Basic, and a service account's
//! password is never a person's.

use proof::issued::Environment;
use proof::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use verdict::identity::{LifeState, RoleName, StoredPassword};

use crate::api::written::{EnvironmentSchema, live};
use crate::document::present;
use crate::units::Moment;

/// A postal address (OpenID Connect Core §5.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The whole of it, as on an envelope.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub formatted: Option<String>,
    /// Street, house, flat.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub street_address: Option<String>,
    /// Town.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub locality: Option<String>,
    /// State, province or region.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub region: Option<String>,
    /// Postal code.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub postal_code: Option<String>,
    /// Country.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub country: Option<String>,
}

/// A person as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// What the person types to log in ([`normal_username`]); default the document's name.
    ///
    /// [`normal_username`]: crate::account::normal_username
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub username: Option<String>,
    /// Full name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<String>,
    /// Given name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub family_name: Option<String>,
    /// Middle name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub middle_name: Option<String>,
    /// Nickname.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub nickname: Option<String>,
    /// Name to be addressed by, for display only; default the user name.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub preferred_username: Option<String>,
    /// Page about the person.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub profile: Option<String>,
    /// Picture's URL.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub picture: Option<String>,
    /// The person's own page.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub website: Option<String>,
    /// Mail address.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub email: Option<String>,
    /// Whether the mail address was verified.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub email_verified: bool,
    /// Gender.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub gender: Option<String>,
    /// Birthday, `YYYY-MM-DD`, `0000-MM-DD` or `YYYY`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub birthdate: Option<String>,
    /// Time zone, e.g. `Europe/Zurich`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub zoneinfo: Option<String>,
    /// Language, e.g. `de-CH` (RFC 5646).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub locale: Option<String>,
    /// Telephone number, e.g. `+41 44 123 45 67` (E.164).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub phone_number: Option<String>,
    /// Whether the telephone number was verified.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub phone_number_verified: bool,
    /// Postal address.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub address: Option<Address>,
    /// Roles the person holds.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub roles: Option<Vec<String>>,
    /// Groups the person belongs to.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub groups: Option<Vec<String>>,
    /// The wall the person stands behind: `live` (default) or `test`.
    #[serde(default = "live")]
    #[schemars(with = "EnvironmentSchema")]
    pub environment: Environment,
    /// When the person's account ends by itself.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<Moment>,
    /// Whether the person may not log in for now.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub suspended: bool,
}

impl Default for UserSpec {
    /// A person of whom nothing is known, on the live side.
    fn default() -> Self {
        Self {
            username: None,
            name: None,
            given_name: None,
            family_name: None,
            middle_name: None,
            nickname: None,
            preferred_username: None,
            profile: None,
            picture: None,
            website: None,
            email: None,
            email_verified: false,
            gender: None,
            birthdate: None,
            zoneinfo: None,
            locale: None,
            phone_number: None,
            phone_number_verified: false,
            address: None,
            roles: None,
            groups: None,
            environment: Environment::Live,
            expires_at: None,
            suspended: false,
        }
    }
}

/// A person, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct UserMeaning {
    /// The document's name.
    pub name: String,
    /// The user name in normal form.
    pub username: String,
    /// Standard claims by name (OpenID Connect Core §5.1), only those that are known; never `sub`.
    pub claims: Map<String, Value>,
    /// Roles the person holds.
    pub roles: Vec<RoleName>,
    /// Groups the person belongs to.
    pub groups: Vec<String>,
    /// The wall the person stands behind.
    pub environment: Environment,
    /// When the person's account ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A person as the issuer meets them: the document and the passwords, read together.
#[derive(Debug, Clone)]
pub struct Person {
    /// UUIDv7 of the resource: the OpenID `sub`, never given to another person.
    pub id: String,
    /// The document's name.
    pub name: String,
    /// Who it is.
    pub meaning: UserMeaning,
    /// Active passwords and their ends.
    pub passwords: Vec<StoredPassword>,
    /// Active, or suspended.
    pub state: LifeState,
    /// The document's version.
    pub version: i64,
}
