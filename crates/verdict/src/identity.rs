//! **Who calls**: the principal a credential stands for, and what it brings along.
//!
//! A [`Standing`] is prepared once per credential (when a record is loaded, a token verified) and
//! shared by every call that presents it, so that a call copies a pointer and no text. An
//! [`Identity`] is a standing plus how this very call proved it; only this crate can make one.

mod signing;

use core::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use proof::issued::{Environment, KeyId, SecretKind};
use proof::jose::verifying::VerifyingKey;
use proof::password::Verifier;
use proof::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::CredentialKind;
use crate::credential::jwt::IssuerId;
use crate::route::ApiName;

pub use signing::{PublicKey, SharedSecret, SigningKey, SigningMaterial, SigningScheme};

/// Declares a text newtype: one per role, so that ids of different roles don't turn into each other.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Arc<str>);
        impl $name {
            /// Wraps a text that was validated where it was read.
            pub fn new(text: impl Into<Arc<str>>) -> Self { Self(text.into()) }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
            /// The text, to keep without copying it.
            pub fn shared(&self) -> Arc<str> { self.0.clone() }
        }
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { f.write_str(&self.0) }
        }
    };
}
pub(crate) use text_id;

text_id!(
    /// An application: the project that owns credentials, limits and usage.
    ApplicationId
);
text_id!(
    /// An OAuth client's `client_id`.
    ClientId
);
text_id!(
    /// A subject: random, never equal to a client id.
    SubjectId
);
text_id!(
    /// A credential's row id (`key_…`, `adm_…`): public, stable, joins logs and audit.
    CredentialId
);
text_id!(
    /// Which of a credential's secrets or keys: public, stable, joins logs and usage. Of what we keep
    /// its row id (`pwd_…`, `mat_…`), of a public key its thumbprint (`jkt:…`).
    SecretId
);
text_id!(
    /// A tenant named by a token or an account.
    TenantId
);
text_id!(
    /// A role's name.
    RoleName
);

impl SecretId {
    /// The name of a public key: its RFC 7638 thumbprint, marked so that no key is taken for one of
    /// our rows. It is the same key whoever publishes it under whatever `kid`.
    pub fn of_key(key: &VerifyingKey) -> Self {
        Self::new(format!("jkt:{}", key.thumbprint()))
    }
}

/// What kind of party calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A person.
    User(SubjectId),
    /// An OAuth client acting for itself.
    Client(ClientId),
    /// A service account, or an application by its API key.
    Service(SubjectId),
    /// An administrator's key.
    Administrator(SubjectId),
}

impl Principal {
    /// The principal's kind in logs and policy input.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Client(_) => "client",
            Self::Service(_) => "service",
            Self::Administrator(_) => "administrator",
        }
    }
    /// The principal's identifier, unique within its kind.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) | Self::Service(id) | Self::Administrator(id) => id.as_str(),
            Self::Client(id) => id.as_str(),
        }
    }
}

/// A set of scopes. Exact match: a write scope never implies the read one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Arc<str>>);

impl Scopes {
    /// Collects, sorts and removes doubles.
    pub fn new<S: Into<Arc<str>>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let mut list: Vec<Arc<str>> = scopes.into_iter().map(Into::into).collect();
        list.sort();
        list.dedup();
        Self(list)
    }
    /// Whether the exact scope is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.binary_search_by(|held| (**held).cmp(scope)).is_ok()
    }
    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }
    /// Whether the set is empty (such a credential may do nothing that asks for a scope).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which APIs a credential may call. A new credential without a list may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiAllow {
    /// The listed APIs only; an empty list allows none.
    Listed(Vec<ApiName>),
    /// The token's audience says it, and audience is checked for every call.
    ByAudience,
}

impl ApiAllow {
    /// Whether `api` may be called as far as the list goes.
    pub fn allows(&self, api: &ApiName) -> bool {
        match self {
            Self::Listed(list) => list.contains(api),
            Self::ByAudience => true,
        }
    }
}

/// What a credential stands for, prepared once and shared by all calls that present it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Who it is.
    pub principal: Principal,
    /// Which credential said so.
    pub credential: CredentialId,
    /// The application it belongs to (limits, usage).
    pub application: Option<ApplicationId>,
    /// The OAuth client that got the token, if any.
    pub client: Option<ClientId>,
    /// Its scopes.
    pub scopes: Scopes,
    /// Its roles.
    pub roles: Vec<RoleName>,
    /// Its API allow-list.
    pub apis: ApiAllow,
    /// The wall it stands behind; `None` for credentials of foreign issuers, which the API's
    /// own list of issuers admits.
    pub environment: Option<Environment>,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// Networks it may be used from; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// Origins (scheme, host, port) that may send it; empty: no `Origin` demanded.
    /// Publishable keys always carry a list.
    pub origins: Vec<Arc<str>>,
    /// Further claims that an API may forward, by allow-list.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

impl Standing {
    /// Whether `from` lies in the allowed networks; see [`is_within`].
    pub fn allows_address(&self, from: IpAddr) -> bool {
        is_within(&self.networks, from)
    }
}

/// Whether an address lies in one of the networks, or there are none. An IPv4 address mapped into
/// IPv6 is that IPv4 address.
pub fn is_within(networks: &[IpNet], from: IpAddr) -> bool {
    let from = from.to_canonical();
    networks.is_empty() || networks.iter().any(|net| net.contains(&from))
}

/// Where a credential is in its life. Times decide expiry; states are what people did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeState {
    /// Usable while its times allow.
    Active,
    /// Put to sleep; can be resumed.
    Suspended,
    /// Ended for good.
    Revoked,
}

/// A stored API key or admin key, as `store` hands it over.
#[derive(Debug, Clone)]
pub struct IssuedKey {
    /// Its public id within the grammar, if it is in our grammar.
    pub key_id: Option<KeyId>,
    /// Secret, publishable or admin key.
    pub kind: SecretKind,
    /// The hash that the presented secret must match.
    pub verifier: Arc<Verifier>,
    /// Its life-cycle state.
    pub state: LifeState,
    /// Past this it is refused (±leeway does not apply: this is our own clock).
    pub expires_at: Option<Timestamp>,
    /// What it stands for.
    pub standing: Arc<Standing>,
}

/// A password as it is stored, of a service account or of a person.
#[derive(Debug, Clone)]
pub struct StoredPassword {
    /// Which one it is.
    pub id: SecretId,
    /// The hash that a presented password must match.
    pub verifier: Arc<Verifier>,
    /// Past this it matches nothing any more; `None`: as long as its account.
    pub valid_until: Option<Timestamp>,
}

/// A stored account that may use Basic.
#[derive(Debug, Clone)]
pub struct Account {
    /// The normalised user name.
    pub username: Arc<str>,
    /// Valid passwords (two while one is being rotated).
    pub passwords: Vec<StoredPassword>,
    /// Its life-cycle state.
    pub state: LifeState,
    /// Past this it is refused.
    pub expires_at: Option<Timestamp>,
    /// What it stands for.
    pub standing: Arc<Standing>,
}

/// A caller that proved who it is. Made by [`crate::identify`] only.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) standing: Arc<Standing>,
    pub(crate) kind: CredentialKind,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) issuer: Option<IssuerId>,
    pub(crate) secret: Option<SecretId>,
    pub(crate) companions: Vec<Companion>,
}

/// A further credential of a combination: proved like the first, but not the principal.
#[derive(Debug, Clone)]
pub struct Companion {
    pub(crate) kind: CredentialKind,
    pub(crate) standing: Arc<Standing>,
    pub(crate) issuer: Option<IssuerId>,
    pub(crate) secret: Option<SecretId>,
}

impl Companion {
    /// Its kind.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }
    /// What it stands for.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }
    /// See [`Identity::issuer`].
    pub fn issuer(&self) -> Option<&IssuerId> {
        self.issuer.as_ref()
    }
    /// See [`Identity::secret`].
    pub fn secret(&self) -> Option<&SecretId> {
        self.secret.as_ref()
    }
}

impl Identity {
    /// What the credential stands for.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }
    /// The kind of the primary credential.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }
    /// The issuer of the token, for principals that a token names: subjects of two issuers are two
    /// people, however they are called.
    pub fn issuer(&self) -> Option<&IssuerId> {
        self.issuer.as_ref()
    }
    /// Which secret or key held, where a credential can have several at once: of an account's
    /// passwords, of what signs requests under one name, of an issuer's keys. None where the
    /// credential is its own name already.
    pub fn secret(&self) -> Option<&SecretId> {
        self.secret.as_ref()
    }
    /// The further credentials of the combination, in the route's order.
    pub fn companions(&self) -> &[Companion] {
        &self.companions
    }
    /// When the first of the credentials ends, if any does.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
    /// When this call was judged.
    pub fn authenticated_at(&self) -> Timestamp {
        self.authenticated_at
    }
}
