//! **Ports** of the issuer: signing keys, single use, revocation, the check of client secrets, and
//! whether anything may be issued now.

use core::future::Future;
use core::net::IpAddr;
use core::pin::Pin;
use std::sync::Arc;

use proof::digest::TokenHash;
use proof::issued::{Environment, Presented};
use proof::jose::alg::Algorithm;
use proof::jose::verifying::VerifyingKey;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::x509::ocsp::{Question, Status};
use registry::audit::AuditDraft;
use registry::ports::Stores;
use registry::record::ClientUse;
use url::Url;
use verdict::credential::mtls::Authority;
use verdict::facts::{Answer, KeyCheck};
use verdict::identity::{ClientId, RoleName};

use crate::flow::Grant;

/// What a signing key signs. Keys of one purpose are never accepted for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Access tokens; published in the issuer's JWKS.
    Access,
    /// Identity tokens for upstreams; published in the gateway's own JWKS.
    Upstream,
    /// Audit checkpoints.
    Audit,
    /// ID tokens, signed with ES256; published in the issuer's JWKS beside the access tokens' keys.
    IdEs256,
    /// ID tokens, signed with RS256.
    IdRs256,
    /// ID tokens, signed with PS256.
    IdPs256,
    /// ID tokens, signed with EdDSA.
    IdEdDsa,
    /// Access tokens in the form of PASETO; published beside the others. A key of its own, since a
    /// PASETO has no type that would tell it from what else a key signs.
    AccessPaseto,
    /// Access tokens in the form of PASETO that only this installation reads: one key for both
    /// sides, and so published nowhere.
    AccessPasetoLocal,
}

impl KeyPurpose {
    /// Every purpose.
    pub const ALL: [Self; 9] = [
        Self::Access,
        Self::Upstream,
        Self::Audit,
        Self::IdEs256,
        Self::IdRs256,
        Self::IdPs256,
        Self::IdEdDsa,
        Self::AccessPaseto,
        Self::AccessPasetoLocal,
    ];
    /// The purposes whose keys are the issuer's own key set (`jwks_uri`).
    pub const OF_ISSUER: [Self; 6] = [
        Self::Access,
        Self::IdEs256,
        Self::IdRs256,
        Self::IdPs256,
        Self::IdEdDsa,
        Self::AccessPaseto,
    ];
    /// The purposes that every installation has a key for; keys for the others are made once
    /// something declared needs one.
    pub const ALWAYS: [Self; 3] = [Self::Access, Self::Upstream, Self::Audit];
    /// The purpose of ID tokens that are signed with an algorithm.
    pub const fn id_token(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::ES256 => Some(Self::IdEs256),
            Algorithm::RS256 => Some(Self::IdRs256),
            Algorithm::PS256 => Some(Self::IdPs256),
            Algorithm::EdDSA => Some(Self::IdEdDsa),
            _ => None,
        }
    }
    /// Its name in the store and the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Upstream => "upstream",
            Self::Audit => "audit",
            Self::IdEs256 => "id-es256",
            Self::IdRs256 => "id-rs256",
            Self::IdPs256 => "id-ps256",
            Self::IdEdDsa => "id-eddsa",
            Self::AccessPaseto => "access-paseto",
            Self::AccessPasetoLocal => "access-paseto-local",
        }
    }
    /// Whether its keys encrypt: then they have no public half.
    pub fn encrypts(self) -> bool {
        self == Self::AccessPasetoLocal
    }
}

/// A signing key's life. Published before use, retired after the longest token dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// In the key set, signs nothing yet.
    Published,
    /// Signs.
    Active,
    /// Signs nothing any more; stays in the key set until `until`.
    Retiring {
        /// When it leaves the key set.
        until: Timestamp,
    },
    /// Out of the key set. Its row stays: key ids are never reused.
    Retired,
}

/// What a stored key is made of, and what of it anybody may know.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyForm {
    /// A key pair.
    Pair {
        /// Its one algorithm.
        algorithm: Algorithm,
        /// The public JWK as JSON.
        public_jwk: serde_json::Value,
    },
    /// One key that encrypts and opens `v4.local`; nothing of it is public.
    Local,
}

impl KeyForm {
    /// What stands for an algorithm of [`KeyForm::Local`], which PASETO's version implies.
    pub const LOCAL: &str = "v4.local";

    /// The name of what it is used with.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Pair { algorithm, .. } => algorithm.name(),
            Self::Local => Self::LOCAL,
        }
    }
}

/// A signing key as stored: the private part is sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredKey {
    /// RFC 7638 thumbprint of a pair, PASERK id (`k4.lid.…`) of a [`KeyForm::Local`].
    pub kid: String,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// What it is made of.
    pub form: KeyForm,
    /// Its state.
    pub state: KeyState,
    /// The private key (PKCS#8), or the one key (PASERK, `k4.local.…`), sealed with `proof::seal`
    /// (table `signing_keys`, column `sealed`, row `kid`).
    pub sealed: Vec<u8>,
    /// When it was made and published.
    pub created_at: Timestamp,
    /// When it became active.
    pub activated_at: Option<Timestamp>,
}

/// What came of trying to use something once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// It was the first time.
    Yes,
    /// It was used before.
    Replayed,
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// One token by `jti`, until its expiry passes.
    Token {
        /// The token's `jti`.
        token_id: String,
        /// After this the entry may be dropped.
        until: Timestamp,
    },
    /// Every token of a client issued before a time.
    ClientEpoch {
        /// The client's `client_id`.
        client_id: String,
        /// Tokens with `iat` before this are dead.
        before: Timestamp,
        /// After this the entry may be dropped.
        until: Timestamp,
    },
    /// Every token of a grant.
    Grant {
        /// The grant's id: `grant_id` in its access tokens.
        grant_id: String,
        /// After this the entry may be dropped.
        until: Timestamp,
    },
}

/// An opaque access token to be kept: what it stands for, under the SHA-256 of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// Its `jti`.
    pub token_id: String,
    /// The client it is for.
    pub client_id: ClientId,
    /// The grant that it goes back to, if it does.
    pub grant_id: Option<String>,
    /// The claims that a JWT would have had, as JSON. Not signed: whoever reads the store has no
    /// token of it.
    pub claims: String,
    /// After this nobody can use it any more, leeway included.
    pub until: Timestamp,
}

/// What the issuer asks of the store.
pub trait IssuerStore: Send + Sync {
    /// All keys of a purpose that are not retired, newest first.
    fn signing_keys(
        &self,
        purpose: KeyPurpose,
    ) -> impl Future<Output = Stores<Vec<StoredKey>>> + Send;
    /// Publishes a new key. With `activate` it becomes active at once and the one that was active
    /// starts retiring until the given time, all in one step.
    fn publish_key(
        &self,
        key: StoredKey,
        activate: Option<Timestamp>,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<()>> + Send;
    /// Activates a published key; the active one starts retiring until `old_until`.
    /// `false` if the key is not in the published state.
    fn activate_key(
        &self,
        kid: &str,
        at: Timestamp,
        old_until: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<bool>> + Send;
    /// Retires keys whose time has come; returns their ids.
    fn retire_due_keys(
        &self,
        now: Timestamp,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<Vec<String>>> + Send;

    /// Remembers `id` in `scope` until a time; the atomic gate for client assertions and the like.
    fn first_use(
        &self,
        scope: &str,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Stores<FirstUse>> + Send;

    /// Revokes, with its audit event.
    fn revoke(
        &self,
        revocation: Revocation,
        audit: AuditDraft,
    ) -> impl Future<Output = Stores<()>> + Send;
    /// All revocations still in force.
    fn revocations(&self, now: Timestamp) -> impl Future<Output = Stores<Vec<Revocation>>> + Send;

    /// Keeps an opaque access token that no act of a grant brings along.
    fn keep_token(&self, token: KeptToken) -> impl Future<Output = Stores<()>> + Send;
    /// The claims of the opaque access token with this SHA-256, whether its time is over or not.
    fn kept_token(&self, hash: &TokenHash) -> impl Future<Output = Stores<Option<String>>> + Send;
}

/// A person who can log in, and may.
#[derive(Debug, Clone)]
pub struct Person {
    /// `sub`.
    pub subject: String,
    /// The user name, for pages.
    pub username: String,
    /// Standard claims (OpenID Connect Core §5.1), those that are known.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Roles that their tokens carry.
    pub roles: Vec<RoleName>,
    /// The wall they stand behind.
    pub environment: Environment,
}

/// What came of a user name and a password.
#[derive(Debug, Clone)]
pub enum PersonCheck {
    /// They match, and the person may log in.
    Match(Arc<Person>),
    /// No such person, a wrong password, or one who may not log in: one answer, at one price (F8).
    Refused,
    /// Too many failures for this person from here, or from here at all; nothing was hashed.
    Throttled,
}

/// People: looked up, and their passwords compared on the bounded pool, with budgets against
/// guessing; all of that lives outside of this room.
pub trait People: Send + Sync {
    /// Compares a password.
    fn check_password(
        &self,
        username: &str,
        password: &Secret,
        from: IpAddr,
        now: Timestamp,
    ) -> impl Future<Output = Answer<PersonCheck>> + Send;
    /// The person of a `sub`; `None` if there is none, or they may not log in any more.
    fn person(
        &self,
        subject: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Arc<Person>>>> + Send;
}

/// The check of presented client secrets. The slow hash behind it runs on a bounded pool, and what
/// matched before is cached; both live outside of this room.
pub trait Secrets: Send + Sync {
    /// Looks a client secret up by its public id and compares it.
    ///
    /// In the answer, [`verdict::identity::Standing::client`] is the owner's `client_id`. State and
    /// expiry are judged by the issuer. An unknown id costs no hash, whatever client is named
    /// beside it, so the time taken tells nothing about clients.
    fn check(
        &self,
        presented: &Presented<'_>,
        now: Timestamp,
    ) -> impl Future<Output = Answer<KeyCheck>> + Send;
}

/// The answer of a port that is kept as `dyn`.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A replay memory: what was used is known to every node that could be asked for it again, for as
/// long as it could. One that forgets at a restart serves only what something else refuses after it
/// ([`crate::Ports::proofs`]).
pub trait Replay: Send + Sync {
    /// Whether `id` is used for the first time in `scope`; remembered until `until`. One atomic
    /// step: of many that ask at once, one hears [`FirstUse::Yes`].
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable`] when it can't be remembered; nothing may be accepted then.
    fn first_use<'a>(
        &'a self,
        scope: &'a str,
        id: &'a str,
        until: Timestamp,
        now: Timestamp,
    ) -> Boxed<'a, Answer<FirstUse>>;
}

/// Who vouches for clients' certificates (`tls_client_auth`, RFC 8705 §2.1): its roots and revocation
/// lists, read ahead, and its responder; all of that lives outside of this room.
pub trait ClientAuthority: Send + Sync {
    /// As it is now.
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable`] until everything of it was read once.
    fn now(&self) -> Answer<Arc<Authority>>;
    /// What its responder says of a certificate, as held, or asked for (RFC 6960).
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable`] when nothing that counts can be had.
    fn status<'a>(&'a self, question: &'a Question, now: Timestamp) -> Boxed<'a, Answer<Status>>;
}

/// Public keys that clients publish at an address of their own (`jwks_uri`), fetched safely and
/// kept; all of that lives outside of this room.
pub trait ClientKeys: Send + Sync {
    /// The keys at an address, each prepared for every algorithm that it may be used with. If `kid`
    /// (or without one, any key) is not among those kept, they are fetched anew, at most once per
    /// interval however often it is asked (threat C7).
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable::KeySet`] if it can't be had: never a pass (threat C8).
    fn keys<'a>(
        &'a self,
        at: &'a Url,
        kid: Option<&'a str>,
    ) -> Boxed<'a, Answer<Arc<[VerifyingKey]>>>;
}

/// What a token can be revoked by.
#[derive(Debug, Clone, Copy)]
pub struct TokenNames<'a> {
    /// `jti`.
    pub token_id: &'a str,
    /// `grant_id`, of a person's token.
    pub grant_id: Option<&'a str>,
    /// `client_id`.
    pub client_id: &'a str,
    /// `iat`.
    pub issued_at: Timestamp,
}

/// What this node knows of revocations: local, kept fresh by the bus of changes.
pub trait Revocations: Send + Sync {
    /// Whether a token was revoked: itself, its grant, or all of its client until a time.
    ///
    /// # Errors
    /// [`verdict::facts::Unavailable::CutOff`] when this node has not heard of revocations for too long.
    fn revoked(&self, token: &TokenNames<'_>) -> Answer<bool>;
    /// Takes in a revocation that this node just stored, without waiting for the bus.
    fn learn(&self, revocation: &Revocation);
}

/// What operators hear of at once, beside the audit trail.
pub trait Alarms: Send + Sync {
    /// A refresh token was used that had been replaced: a thief's or a victim's. Its grant is ended.
    fn refresh_reused(&self, grant: &Grant, request_id: &str);
}

/// Nobody listens.
impl Alarms for () {
    fn refresh_reused(&self, _grant: &Grant, _request_id: &str) {}
}

/// The record of what clients authenticated with, so that an old secret or key is seen to be used no
/// more. It never holds a request up: what can't be taken at once is dropped, and counted.
pub trait Uses: Send + Sync {
    /// A client authenticated.
    fn client_used(&self, used: ClientUse);
}

/// Nobody counts.
impl Uses for () {
    fn client_used(&self, _used: ClientUse) {}
}

/// Whether the store can record at the moment. Nothing is issued that could not be recorded.
pub trait Readiness: Send + Sync {
    /// A cached answer; never asks the network.
    fn can_record(&self) -> bool;
}
