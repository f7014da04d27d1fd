//! **Credentials**: one file per kind; here what they share: the kinds, and taking them from a call.

pub mod apikey;
pub mod basic;
pub mod jwt;

use serde::{Deserialize, Serialize};

/// Every credential kind a route can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// An API key: `Authorization: Bearer`, `X-API-Key`, configured names.
    ApiKey,
    /// RFC 7617 Basic.
    Basic,
    /// A JWT access token as `Authorization: Bearer` (RFC 6750, RFC 9068).
    Jwt,
    /// An administrator's key on the admin listener; never a data credential, nor the reverse.
    AdminKey,
}

impl CredentialKind {
    /// Every kind, for discovery, docs and tests to walk.
    pub const ALL: [Self; 4] = [Self::ApiKey, Self::Basic, Self::Jwt, Self::AdminKey];

    /// The kind's name in settings, logs and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::Jwt => "jwt",
            Self::AdminKey => "admin_key",
        }
    }
}
