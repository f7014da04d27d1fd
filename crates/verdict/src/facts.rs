//! **The port**: everything that judging a call may ask of the world, one typed question each.
//!
//! Judging is deterministic given these answers. A question that can't be answered now is
//! [`Unavailable`], never a guess: the call is refused with 503. `outbound` holds the standard
//! implementation of [`Facts`], built on smaller ports: [`Records`] (what is stored), and
//! [`Counters`] and [`Replays`] (what is shared and may vanish).

use core::future::{Future, ready};
use core::time::Duration;
use std::sync::Arc;

use proof::digest::TokenHash;
use proof::dpop::nonce::NonceKey;
use proof::issued::KeyId;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::DecryptionKeys;
use proof::jose::verifying::VerifyingKey;
use proof::paseto::Purpose;
use proof::time::Timestamp;
use proof::x509::ocsp::{Question, Status};

use crate::credential::client_jwt::CallingClient;
use crate::credential::introspection::Said;
use crate::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use crate::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use crate::identity::{Account, ClientId, IssuedKey, SecretId, SigningKey};
use crate::limit::{LimitKey, Rate, Taken};
use crate::penalty::{Penalties, Penalty};
use crate::policy::relations::{Grant, Object, Related, Subject};
use crate::probing::{Noticed, Probing};
use crate::route::ApiName;
use crate::trace::Note;

/// An answer, or the reason why there is none now.
pub type Answer<T> = Result<T, Unavailable>;

/// Why a fact can't be had now. Every variant ends the call with 503 and `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The store doesn't answer and nothing fresh enough is cached.
    #[error("the store does not answer and no cached record is fresh enough")]
    Store,
    /// The issuer's key set (or its discovery) can't be fetched and none is cached.
    #[error("the issuer's keys can not be fetched")]
    KeySet,
    /// The issuer that alone can read a token can't be asked, or does not answer as it should.
    #[error("the issuer can not be asked about the token")]
    Introspection,
    /// The bounded hashing pool has no free place: too many never-seen secrets at once.
    #[error("the hashing pool is full")]
    HashingPool,
    /// The shared counters don't answer and the API does not allow local ones.
    #[error("the shared counters do not answer")]
    Counters,
    /// The replay memory is full, or does not answer: whether a proof is new can't be known.
    #[error("the replay memory has no room or does not answer")]
    ReplayMemory,
    /// A policy has no version yet: its bundle was never fetched.
    #[error("a policy has no version yet")]
    Policy,
    /// The authority's certificates or revocation lists could not be read.
    #[error("the authority of client certificates is not at hand")]
    Authority,
    /// The authority's responder does not answer as it should, and no answer of it is held that
    /// counts.
    #[error("the responder of the authority can not be asked about a client certificate")]
    CertificateStatus,
    /// The keys that open an API's encrypted tokens are not at hand.
    #[error("the keys that open the API's tokens are not at hand")]
    DecryptionKeys,
    /// Who has what to do with an object goes deeper or wider than is followed.
    #[error("the relations of an object go beyond the bounds of a check")]
    Relations,
    /// This node lost the bus of changes for longer than the API's outage rule allows.
    #[error("this node is cut off from revocations for too long")]
    CutOff,
}

/// What was found for a presented API key or admin key.
#[derive(Debug, Clone)]
pub enum KeyCheck {
    /// No such key. No hash was computed: the id is not secret.
    Unknown,
    /// The key exists, the secret is another one.
    Mismatch(Arc<IssuedKey>),
    /// The secret matches; life-cycle and limits of use are judged by `credential::apikey`.
    Match(Arc<IssuedKey>),
}

/// What was found for a presented user name and password.
#[derive(Debug, Clone)]
pub enum PasswordCheck {
    /// No such account, or a wrong password: a hash of equal cost was computed either way.
    Refused,
    /// This one of the account's passwords matches; life-cycle is judged by `credential::basic`.
    Match(Arc<Account>, SecretId),
    /// Too many failures for this account or address lately; nothing was hashed.
    Throttled,
}

/// Within what a proof's id is used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayScope<'a> {
    /// DPoP proofs of one key, by its RFC 7638 thumbprint (RFC 9449 §11.1).
    DpopProof {
        /// The thumbprint.
        key: &'a str,
    },
    /// Signatures under one signing key, by its name on the wire.
    Signature {
        /// The name.
        key: &'a str,
    },
    /// Presigned URLs under one signing key, where a route takes each but once. They live for up to
    /// days, so this memory outlives a restart and is all nodes'.
    Presigned {
        /// The name.
        key: &'a str,
    },
    /// JWTs that one client signed for its calls.
    ClientCall {
        /// Its `client_id`.
        client: &'a str,
    },
}

impl<'a> ReplayScope<'a> {
    /// What kind of use it is, and whose: what tells two scopes apart where uses are kept.
    pub const fn parts(self) -> (&'static str, &'a str) {
        match self {
            Self::DpopProof { key } => ("dpop", key),
            Self::Signature { key } => ("signature", key),
            Self::Presigned { key } => ("presigned", key),
            Self::ClientCall { client } => ("client-call", client),
        }
    }
}

/// Whether an id was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// It was not; from now on it was.
    Yes,
    /// It was.
    Replayed,
}

/// What is known of a webhook's delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Nothing; it is on its way from now on.
    Now,
    /// It is on its way already.
    UnderWay,
    /// The upstream took it before.
    Before,
}

/// How a key is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyLookup<'a> {
    /// A key in Doorward's own grammar: by its public id.
    Issued(KeyId),
    /// An imported key: by the SHA-256 of the whole presented text. Only keys imported as
    /// SHA-256 digests can be found so.
    Digest(TokenHash),
    /// An imported key whose pattern carries an identifying part (a prefix): by that part.
    Prefix(&'a str),
}

/// Everything that judging a call may ask.
pub trait Facts: Send + Sync {
    /// A token verified before under the same issuer configuration. No await, no shared lock.
    /// The answer is never a verdict: expiry, audience, scope and revocation are judged on
    /// every hit.
    fn known_token(&self, hash: &TokenHash, config: ConfigId) -> Option<Arc<VerifiedToken>>;

    /// Keeps a token whose signature and claims were verified.
    fn remember_token(&self, hash: TokenHash, config: ConfigId, token: Arc<VerifiedToken>);

    /// A client certificate whose path held before under the same rules. No await, no shared lock.
    /// The answer is never a verdict: see [`crate::credential::mtls`].
    fn known_certificate(
        &self,
        hash: &TokenHash,
        config: ConfigId,
    ) -> Option<Arc<VerifiedCertificate>>;

    /// Whether the caller's address failed too often: then nothing is looked for on behalf of who was
    /// not known before.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Keeps a certificate whose path held.
    fn remember_certificate(
        &self,
        hash: TokenHash,
        config: ConfigId,
        certificate: Arc<VerifiedCertificate>,
    );

    /// An authority as it is now: roots and revocation lists that were read ahead.
    ///
    /// # Errors
    /// [`Unavailable::Authority`] if this node has none of that name.
    fn authority(&self, id: &AuthorityId) -> Answer<Arc<Authority>>;

    /// What the responder of an authority says of a certificate (RFC 6960), if this node holds an
    /// answer that counts: a look into memory, nothing is asked.
    fn known_status(&self, _: &AuthorityId, _: &Question, _now: Timestamp) -> Option<Status> {
        None
    }

    /// The same, by asking where there is none. Only about certificates whose path held, so that a
    /// stranger can't make anybody ask.
    ///
    /// # Errors
    /// [`Unavailable::CertificateStatus`] if that can't be known now.
    fn certificate_status(
        &self,
        _: &AuthorityId,
        _: &Question,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Status>> + Send {
        ready(Err(Unavailable::CertificateStatus))
    }

    /// What our own issuer keeps of an opaque token, by the SHA-256 of its text, read by
    /// [`crate::credential::opaque::from_record`] under `profile`. `None`: it keeps none. The answer
    /// may be some seconds old and is never a verdict: times, audience and revocation are judged on
    /// every use.
    fn opaque_token(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Arc<VerifiedToken>>>> + Send;

    /// The same, if this node holds it: a look into memory, nothing is asked.
    fn known_opaque(
        &self,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Option<Arc<VerifiedToken>>;

    /// What the issuer of `profile` says of an opaque token (RFC 7662), read by
    /// [`crate::credential::introspection`]. The text is sent to that issuer and to nobody else. The
    /// answer may be some seconds old and is never a verdict: times, audience and revocation are
    /// judged on every use.
    fn introspected(
        &self,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Said>> + Send;

    /// Whether the issuer called this token active before, as far as this node remembers: a look
    /// into memory, nothing is asked.
    fn was_introspected(&self, hash: &TokenHash, profile: &IssuerProfile) -> bool;

    /// Whether a verified token was revoked by us (its `jti`, its client's epoch). Local, pushed.
    fn revoked(&self, token: &VerifiedToken) -> Answer<bool>;

    /// Whether a client of our own issuer is suspended. Local, pushed: what passes by it is asked for
    /// its life beside this, since this alone can't tell that it was cut off.
    fn suspended(&self, client_id: &ClientId) -> bool;

    /// The key of `issuer` that `kid` names and that is pinned to `algorithm`.
    /// `None`: the issuer has no such key, after at most one rate-limited refetch.
    fn verification_key(
        &self,
        issuer: &IssuerProfile,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Future<Output = Answer<Option<Arc<VerifyingKey>>>> + Send;

    /// The nonces that proofs repeat on routes that ask for one (RFC 9449 §9).
    fn dpop_nonces(&self) -> &NonceKey;

    /// Looks a key up and compares the secret. `presented` is the whole text, which is what
    /// verifiers cover.
    fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> impl Future<Output = Answer<KeyCheck>> + Send;

    /// The key, if this node compared this very text with it before and still holds its record: a
    /// look into memory, nothing is hashed slowly and nothing loaded. Only keys in Doorward's own
    /// grammar are known so: what is looked up here costs a guesser nothing, so it must be beyond
    /// guessing. Life-cycle and limits of use are judged as ever.
    fn known_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> Option<Arc<IssuedKey>>;

    /// The key that requests are signed with under this public name (`DWAK…`), whatever its state
    /// and scheme. `None` where there is none; a text that can't be a name is not asked for.
    fn signing_key(
        &self,
        key_id: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Arc<SigningKey>>>> + Send;

    /// The same, asked ahead of the judgement: only whether it is worth reading a body for.
    fn signing_key_ahead(
        &self,
        key_id: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Arc<SigningKey>>>> + Send {
        self.signing_key(key_id, now)
    }

    /// The key of `issuer` that opens PASETO tokens of a purpose: the one of that id, or where the
    /// token names none the only one. Local: such keys are written down or pushed.
    fn paseto_key(
        &self,
        issuer: &IssuerProfile,
        id: Option<&str>,
        purpose: Purpose,
    ) -> Answer<Option<Arc<proof::paseto::Key>>>;

    /// The keys that open JWTs which were encrypted to an API. Local: they are read ahead.
    ///
    /// # Errors
    /// [`Unavailable::DecryptionKeys`] if this node has none of that API.
    fn decryption_keys(&self, _api: &ApiName) -> Answer<Arc<DecryptionKeys>> {
        Err(Unavailable::DecryptionKeys)
    }

    /// The client of this `client_id`, if it is in force and may sign its own calls. Local, pushed.
    ///
    /// # Errors
    /// [`Unavailable::CutOff`] where it may have been taken back meanwhile.
    fn calling_client(&self, client_id: &str) -> Answer<Option<Arc<CallingClient>>>;

    /// The one key under which such a client is registered that `kid` names (its `kid`, or where it
    /// has none its thumbprint) and that is pinned to `algorithm`. `None`: it has no such key, after
    /// at most one rate-limited refetch where its keys are fetched.
    fn client_key(
        &self,
        client: &CallingClient,
        kid: &str,
        algorithm: Algorithm,
    ) -> impl Future<Output = Answer<Option<Arc<VerifyingKey>>>> + Send;

    /// Compares an account's password; unknown accounts cost the same as wrong passwords.
    fn check_password(
        &self,
        username: &str,
        password: &[u8],
        from: core::net::IpAddr,
        now: Timestamp,
    ) -> impl Future<Output = Answer<PasswordCheck>> + Send;

    /// Takes `cost` from a budget: check and count are one atomic step (threat H8).
    fn take(
        &self,
        key: &LimitKey,
        rate: &Rate,
        cost: u32,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Taken>> + Send;

    /// Whether an address (IPv6: its /64) is held back because it failed too often. A look, which
    /// counts nothing.
    fn penalty(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send;

    /// Counts a failed authentication of an address; the penalty, if this failure began one. One
    /// atomic step.
    fn failed(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send;

    /// For how much longer a principal is refused whatever has an object, because it was refused many.
    /// A look, which counts nothing.
    fn probing(
        &self,
        _who: &str,
        _rules: &Probing,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Duration>>> + Send {
        ready(Ok(None))
    }

    /// Counts an object that was refused to a principal; something if it is noticed for this one. One
    /// atomic step.
    fn probed(
        &self,
        _who: &str,
        _object: &str,
        _rules: &Probing,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Noticed>>> + Send {
        ready(Ok(None))
    }

    /// Whether `id` is used for the first time within `scope`, and remembers it until `until`: one
    /// atomic step, so that of many that ask at once one hears [`FirstUse::Yes`] (threat D2). Asked
    /// when everything else of a call holds.
    fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<FirstUse>> + Send;

    /// Begins a delivery under a signing key, by all that it is known by; see [`Records`].
    fn begin_delivery(
        &self,
        _key: &str,
        _ids: &[String],
        _until: Timestamp,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Begun>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// Ends it; see [`Records`].
    fn end_delivery(
        &self,
        _key: &str,
        _ids: &[String],
        _taken: Option<Timestamp>,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<()>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// Who stands in the tuples of a relation to an object, if this node holds that: a look into
    /// memory, nothing is asked. Whether the time of a tuple is over is judged on every use.
    fn known_related(
        &self,
        _object: &Object,
        _relation: &Arc<str>,
        _now: Timestamp,
    ) -> Option<Arc<Related>> {
        None
    }

    /// The same, asked for where it is not held.
    fn related(
        &self,
        _object: &Object,
        _relation: &Arc<str>,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Arc<Related>>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// The tuple of one subject, if this node holds that: `Some(None)` says that there is none. A
    /// look into memory, nothing is asked.
    fn known_grant(
        &self,
        _object: &Object,
        _relation: &Arc<str>,
        _subject: &Subject,
        _now: Timestamp,
    ) -> Option<Option<Grant>> {
        None
    }

    /// The same, asked for where it is not held.
    fn grant(
        &self,
        _object: &Object,
        _relation: &Arc<str>,
        _subject: &Subject,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Grant>>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// Hears what is being checked. Only facts that explain a call listen; it changes no answer.
    fn note(&self, _: Note<'_>) {}
}

/// The questions of [`Facts`] that leave a trace, asked as a look: the same answer that a call would
/// get now, and nothing is counted, spent or remembered. For explaining a call.
pub trait Looks: Facts {
    /// As [`Facts::check_key`].
    fn look_at_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        now: Timestamp,
    ) -> impl Future<Output = Answer<KeyCheck>> + Send;

    /// As [`Facts::check_password`].
    fn look_at_password(
        &self,
        username: &str,
        password: &[u8],
        from: core::net::IpAddr,
        now: Timestamp,
    ) -> impl Future<Output = Answer<PasswordCheck>> + Send;

    /// As [`Facts::first_use`].
    fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<FirstUse>> + Send;
}

/// The stored records behind [`Facts`]. Implemented by `store`.
pub trait Records: Send + Sync {
    /// The key with this public id, whatever its state; `None` if there never was one.
    fn key_by_id(&self, id: KeyId) -> impl Future<Output = Answer<Option<IssuedKey>>> + Send;
    /// The imported key with this SHA-256 digest.
    fn key_by_digest(
        &self,
        digest: &TokenHash,
    ) -> impl Future<Output = Answer<Option<IssuedKey>>> + Send;
    /// The imported key with this identifying prefix.
    fn key_by_prefix(&self, prefix: &str)
    -> impl Future<Output = Answer<Option<IssuedKey>>> + Send;
    /// The account with this normalised user name.
    fn account(&self, username: &str) -> impl Future<Output = Answer<Option<Account>>> + Send;
    /// The signing key with this public name (`DWAK…`), its secrets opened, whatever its state.
    fn signing_key(&self, key_id: &str) -> impl Future<Output = Answer<Option<SigningKey>>> + Send;
    /// The claims of the opaque access token with this SHA-256, as JSON, whether its time is over
    /// or not.
    fn opaque_token(&self, hash: &TokenHash)
    -> impl Future<Output = Answer<Option<String>>> + Send;

    /// Begins a delivery under a signing key, by all that it is known by: the one who is first with
    /// all of it has it to itself until `until`, and nobody has it that the upstream took before.
    /// What keeps no deliveries can't know.
    fn begin_delivery(
        &self,
        _key: &str,
        _ids: &[String],
        _until: Timestamp,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<Begun>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// Ends a delivery that was begun: the upstream took it, which is remembered until `taken`; or
    /// it did not, and the next try gets through at once.
    fn end_delivery(
        &self,
        _key: &str,
        _ids: &[String],
        _taken: Option<Timestamp>,
        _now: Timestamp,
    ) -> impl Future<Output = Answer<()>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// Who stands in the tuples of a relation to an object: all of them up to
    /// [`crate::policy::relations::WHOLE`], else those whose subject is not a single one. What keeps
    /// no relations can't know.
    fn related(
        &self,
        _object: &Object,
        _relation: &str,
    ) -> impl Future<Output = Answer<Related>> + Send {
        ready(Err(Unavailable::Store))
    }

    /// The tuple of one subject, whether its time is over or not.
    fn grant(
        &self,
        _object: &Object,
        _relation: &str,
        _subject: &Subject,
    ) -> impl Future<Output = Answer<Option<Grant>>> + Send {
        ready(Err(Unavailable::Store))
    }
}

/// Counters shared by all nodes. Implemented by `cluster`.
pub trait Counters: Send + Sync {
    /// See [`Facts::take`].
    fn take(
        &self,
        key: &LimitKey,
        rate: &Rate,
        cost: u32,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Taken>> + Send;

    /// See [`Facts::penalty`].
    fn penalty(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send;

    /// See [`Facts::failed`].
    fn failed(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send;

    /// See [`Facts::probing`].
    fn probing(
        &self,
        who: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Duration>>> + Send;

    /// See [`Facts::probed`].
    fn probed(
        &self,
        who: &str,
        object: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Noticed>>> + Send;
}

/// The memory of ids that are used once. Implemented by `cluster` for one process, and by `store`
/// for all nodes.
pub trait Replays: Send + Sync {
    /// See [`Facts::first_use`].
    fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<FirstUse>> + Send;

    /// See [`Looks::look_at_use`]: the same answer, and nothing is remembered.
    fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<FirstUse>> + Send;
}

/// A shared store is a store: several rooms hold the same one.
impl<T: Records> Records for Arc<T> {
    fn key_by_id(&self, id: KeyId) -> impl Future<Output = Answer<Option<IssuedKey>>> + Send {
        T::key_by_id(self, id)
    }
    fn key_by_digest(
        &self,
        digest: &TokenHash,
    ) -> impl Future<Output = Answer<Option<IssuedKey>>> + Send {
        T::key_by_digest(self, digest)
    }
    fn key_by_prefix(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Answer<Option<IssuedKey>>> + Send {
        T::key_by_prefix(self, prefix)
    }
    fn account(&self, username: &str) -> impl Future<Output = Answer<Option<Account>>> + Send {
        T::account(self, username)
    }
    fn signing_key(&self, key_id: &str) -> impl Future<Output = Answer<Option<SigningKey>>> + Send {
        T::signing_key(self, key_id)
    }
    fn opaque_token(
        &self,
        hash: &TokenHash,
    ) -> impl Future<Output = Answer<Option<String>>> + Send {
        T::opaque_token(self, hash)
    }
    fn begin_delivery(
        &self,
        key: &str,
        ids: &[String],
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Begun>> + Send {
        T::begin_delivery(self, key, ids, until, now)
    }
    fn end_delivery(
        &self,
        key: &str,
        ids: &[String],
        taken: Option<Timestamp>,
        now: Timestamp,
    ) -> impl Future<Output = Answer<()>> + Send {
        T::end_delivery(self, key, ids, taken, now)
    }
    fn related(
        &self,
        object: &Object,
        relation: &str,
    ) -> impl Future<Output = Answer<Related>> + Send {
        T::related(self, object, relation)
    }
    fn grant(
        &self,
        object: &Object,
        relation: &str,
        subject: &Subject,
    ) -> impl Future<Output = Answer<Option<Grant>>> + Send {
        T::grant(self, object, relation, subject)
    }
}

/// Shared counters are counters.
impl<T: Counters> Counters for Arc<T> {
    fn take(
        &self,
        key: &LimitKey,
        rate: &Rate,
        cost: u32,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Taken>> + Send {
        T::take(self, key, rate, cost, now)
    }
    fn penalty(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send {
        T::penalty(self, from, rules, now)
    }
    fn failed(
        &self,
        from: core::net::IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send {
        T::failed(self, from, rules, now)
    }
    fn probing(
        &self,
        who: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Duration>>> + Send {
        T::probing(self, who, rules, now)
    }
    fn probed(
        &self,
        who: &str,
        object: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Noticed>>> + Send {
        T::probed(self, who, object, rules, now)
    }
}
