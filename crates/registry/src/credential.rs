//! **Credentials' life**: what is stored of a secret that was issued or imported.

use ipnet::IpNet;
use proof::issued::{Environment, KeyId, SecretKind, SigningKeyId};
use proof::time::Timestamp;
use serde::{Deserialize, Serialize};
use verdict::identity::LifeState;

use crate::resource::ResourceKind;
use crate::signing::Signing;

/// What a stored secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialType {
    /// A secret API key (`sk`) of an application.
    ApiKey,
    /// A publishable API key (`pk`) of an application.
    PublishableKey,
    /// A client's secret.
    ClientSecret,
    /// An account's password for Basic.
    Password,
    /// A person's password for the login page.
    UserPassword,
    /// An administrator's key.
    AdminKey,
    /// An initial access token (RFC 7591 §1.2): whoever holds it may register clients.
    InitialAccessToken,
    /// A registration access token (RFC 7592 §1.2): its client is read, changed and removed with it.
    RegistrationAccessToken,
    /// What an application signs requests with.
    SigningSecret,
}

impl CredentialType {
    /// Every type.
    pub const ALL: [Self; 9] = [
        Self::ApiKey,
        Self::PublishableKey,
        Self::ClientSecret,
        Self::Password,
        Self::UserPassword,
        Self::AdminKey,
        Self::InitialAccessToken,
        Self::RegistrationAccessToken,
        Self::SigningSecret,
    ];
    /// Its name in the store, the admin API and audit actions.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::PublishableKey => "publishable_key",
            Self::ClientSecret => "client_secret",
            Self::Password => "password",
            Self::UserPassword => "user_password",
            Self::AdminKey => "admin_key",
            Self::InitialAccessToken => "initial_access_token",
            Self::RegistrationAccessToken => "registration_access_token",
            Self::SigningSecret => "signing_secret",
        }
    }
    /// The prefix of its public ids (`key_`, `sec_` …).
    pub fn id_prefix(self) -> &'static str {
        match self {
            Self::ApiKey | Self::PublishableKey => "key_",
            Self::ClientSecret => "sec_",
            Self::Password => "pwd_",
            Self::UserPassword => "upw_",
            Self::AdminKey => "adm_",
            Self::InitialAccessToken | Self::RegistrationAccessToken => "reg_",
            Self::SigningSecret => "sgn_",
        }
    }
}

impl CredentialType {
    /// The kind of resource that owns it; administrators' keys and initial access tokens have none.
    pub fn owner_kind(self) -> Option<ResourceKind> {
        match self {
            Self::ApiKey | Self::PublishableKey | Self::SigningSecret => {
                Some(ResourceKind::Application)
            }
            Self::ClientSecret | Self::RegistrationAccessToken => Some(ResourceKind::Client),
            Self::Password => Some(ResourceKind::Account),
            Self::UserPassword => Some(ResourceKind::User),
            Self::AdminKey | Self::InitialAccessToken => None,
        }
    }
    /// The grammar's kind of the secret that is hashed for it; passwords have none, and what signs
    /// requests is sealed instead ([`crate::signing`]).
    pub fn secret_kind(self) -> Option<SecretKind> {
        match self {
            Self::ApiKey => Some(SecretKind::SecretKey),
            Self::PublishableKey => Some(SecretKind::PublishableKey),
            Self::ClientSecret => Some(SecretKind::ClientSecret),
            Self::AdminKey => Some(SecretKind::AdminKey),
            Self::InitialAccessToken | Self::RegistrationAccessToken => {
                Some(SecretKind::RegistrationToken)
            }
            Self::Password | Self::UserPassword | Self::SigningSecret => None,
        }
    }
}

/// How a verifier is found from what a call presents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// By the public id in our own grammar.
    KeyId(KeyId),
    /// By the hex SHA-256 of the whole foreign key.
    Digest(String),
    /// By the identifying prefix of the foreign key.
    Prefix(String),
    /// By the public name that signed requests carry.
    SigningKeyId(SigningKeyId),
    /// By its owner only (passwords).
    Owner,
}

/// What a credential may do; a new one without scopes and APIs may do nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Names of APIs.
    #[serde(default)]
    pub apis: Vec<String>,
    /// Roles (API roles; for admin keys the one control-plane role).
    #[serde(default)]
    pub roles: Vec<String>,
    /// Networks it may come from; empty: anywhere.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Origins a publishable key may be sent by.
    #[serde(default)]
    pub origins: Vec<String>,
    /// How many clients may still be registered with an initial access token; `None`: as many as
    /// there may be at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// A credential as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// `key_…`, `sec_…`, `pwd_…`, `upw_…`, `adm_…`, `reg_…`, `sgn_…` (UUIDv7 behind the prefix).
    pub id: String,
    /// What it opens.
    pub r#type: CredentialType,
    /// The resource that owns it: the name of the application, client, account or user; `-` for
    /// admin keys and initial access tokens.
    pub owner: String,
    /// A name for people.
    pub label: String,
    /// The wall it stands behind.
    pub environment: Environment,
    /// How it is found.
    pub lookup: Lookup,
    /// The stored form of the verifier (`proof::password::Verifier::to_stored`); empty for what
    /// signs requests.
    pub verifier: String,
    /// First characters, for display.
    pub display: String,
    /// What it may do.
    pub grant: Grant,
    /// Its state.
    pub state: LifeState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The credential that replaces it, once it was rotated.
    pub successor: Option<String>,
    /// What signs requests; for [`CredentialType::SigningSecret`] and no other type.
    pub signing: Option<Signing>,
    /// Raised at every change; a concurrent edit is a conflict.
    pub version: i64,
}

impl Credential {
    /// Whether it would be accepted at a time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.state == LifeState::Active && !self.is_expired_at(now)
    }
    /// Whether its time is over.
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}

/// What is asked of a credential's life.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// Active → suspended.
    Suspend,
    /// Suspended → active.
    Resume,
    /// Active or suspended → revoked, for good.
    Revoke,
    /// Label, grant or expiry change while not revoked.
    Amend {
        /// A name for people.
        label: String,
        /// What it may do.
        grant: Grant,
        /// When it ends by itself.
        expires_at: Option<Timestamp>,
    },
}

/// What came of a transition.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "taken apart where it is returned, never kept"
)]
pub enum Moved {
    /// Done; the credential as it is now.
    Done(Credential),
    /// No such credential.
    Unknown,
    /// Not from the state it is in.
    WrongState(LifeState),
    /// Somebody else changed it meanwhile (an expected version was given).
    Conflict {
        /// The version it has.
        current: i64,
    },
}

/// What came of giving a signing key another secret, or another public key.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "taken apart where it is returned, never kept"
)]
pub enum Renewed {
    /// The new one is valid, those before end.
    Done(Credential),
    /// No such credential.
    Unknown,
    /// Only an active one can be rotated.
    WrongState(LifeState),
    /// Somebody else changed it meanwhile.
    Conflict {
        /// The version it has.
        current: i64,
    },
    /// Two would be valid beside the new one.
    TwoValid,
}

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "taken apart where it is returned, never kept"
)]
pub enum Rotated {
    /// The new one is active, the old one ends at the given time.
    Done {
        /// The old credential with its new expiry.
        old: Credential,
        /// The new credential.
        new: Credential,
    },
    /// No such credential.
    Unknown,
    /// Only an active credential without a successor can be rotated.
    WrongState(LifeState),
    /// It has a successor already.
    AlreadyRotated {
        /// The successor's id.
        successor: String,
    },
}
