//! **Adapters**: one room's port, answered by another room's part.

use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use cluster::MemoryReplays;
use gateway::UpstreamIdentity;
use http::HeaderValue;
use issuer::keys::KeyManager;
use issuer::metadata::Endpoints;
use issuer::ports::{Readiness, Revocation, TokenNames};
use issuer::upstream_token::{self, UpstreamToken};
use outbound::fetch::Fetcher;
use outbound::hashing::HashingPool;
use outbound::published::PublishedKeys;
use outbound::revocations::Revoked;
use parking_lot::Mutex;
use proof::digest::MacKey;
use proof::jose::verifying::VerifyingKey;
use proof::password::{Argon2Params, Verifier};
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::{Leeway, Timestamp};
use proof::x509::ocsp::{Question, Status};
use registry::usecase::registration::{Fetched, Sectors};
use registry::usecase::{HashPurpose, Hasher};
use store::Store;
use verdict::credential::jwt::IssuerId;
use verdict::credential::mtls::{Authority, AuthorityId};
use verdict::facts::{Answer, Facts as _, FirstUse, ReplayScope, Replays, Unavailable};
use verdict::identity::Identity;

use super::Facts;
use crate::settings::{HashAlgorithm, Hashing, ReplayMemory};

/// Proofs and assertions seen before, remembered in the database: shared by all nodes on it.
pub(crate) struct StoredReplay(pub(crate) Arc<Store>);

impl issuer::ports::Replay for StoredReplay {
    fn first_use<'a>(
        &'a self,
        scope: &'a str,
        id: &'a str,
        until: Timestamp,
        now: Timestamp,
    ) -> issuer::ports::Boxed<'a, Answer<issuer::ports::FirstUse>> {
        Box::pin(async move {
            issuer::ports::IssuerStore::first_use(&*self.0, scope, id, until, now)
                .await
                .map_err(|_| Unavailable::Store)
        })
    }
}

/// What callers used before: by the word of the settings a memory of this process, or rows that
/// outlive it and are every node's. Presigned URLs live for days, so theirs are always rows.
pub(crate) struct NodeReplays {
    process: Option<MemoryReplays>,
    rows: Store,
}

impl NodeReplays {
    /// Nothing is remembered yet, but for what the store knows.
    pub(crate) fn new(memory: ReplayMemory, rows: Store) -> Self {
        let process = match memory {
            ReplayMemory::Memory => Some(MemoryReplays::default()),
            ReplayMemory::Durable => None,
        };
        Self { process, rows }
    }

    fn process(&self, scope: ReplayScope<'_>) -> Option<&MemoryReplays> {
        match scope {
            ReplayScope::Presigned { .. } => None,
            ReplayScope::DpopProof { .. }
            | ReplayScope::Signature { .. }
            | ReplayScope::ClientCall { .. } => self.process.as_ref(),
        }
    }
}

impl Replays for NodeReplays {
    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        match self.process(scope) {
            Some(memory) => memory.first_use_now(scope, id, until, now),
            None => self.rows.first_use(scope, id, until, now).await,
        }
    }

    async fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        match self.process(scope) {
            Some(memory) => memory.look_at_use_now(scope, id, until, now),
            None => self.rows.look_at_use(scope, id, until, now).await,
        }
    }
}

/// Proofs seen before, remembered by the one process there is.
#[derive(Default)]
pub(crate) struct ProcessReplay(MemoryReplays);

impl issuer::ports::Replay for ProcessReplay {
    fn first_use<'a>(
        &'a self,
        scope: &'a str,
        id: &'a str,
        until: Timestamp,
        now: Timestamp,
    ) -> issuer::ports::Boxed<'a, Answer<issuer::ports::FirstUse>> {
        let scope = ReplayScope::DpopProof { key: scope };
        let answer = self.0.first_use_now(scope, id, until, now);
        Box::pin(core::future::ready(answer.map(|first| match first {
            FirstUse::Yes => issuer::ports::FirstUse::Yes,
            FirstUse::Replayed => issuer::ports::FirstUse::Replayed,
        })))
    }
}

/// Keys at clients' own addresses, by the same safe fetches as issuers' keys.
pub(crate) struct FetchedClientKeys(pub(crate) Arc<PublishedKeys>);

impl issuer::ports::ClientKeys for FetchedClientKeys {
    fn keys<'a>(
        &'a self,
        at: &'a url::Url,
        kid: Option<&'a str>,
    ) -> issuer::ports::Boxed<'a, Answer<Arc<[VerifyingKey]>>> {
        Box::pin(async move {
            let keys = self.0.keys(at, kid).await?;
            Ok(keys.iter().map(|key| VerifyingKey::clone(key)).collect())
        })
    }
}

/// Who vouches for clients' certificates: one of the authorities that this node reads ahead.
pub(crate) struct ReadAuthority {
    pub(crate) facts: Arc<Facts>,
    pub(crate) id: AuthorityId,
}

impl issuer::ports::ClientAuthority for ReadAuthority {
    fn now(&self) -> Answer<Arc<Authority>> {
        self.facts.authority(&self.id)
    }

    fn status<'a>(
        &'a self,
        question: &'a Question,
        now: Timestamp,
    ) -> issuer::ports::Boxed<'a, Answer<Status>> {
        // What is held is looked at first, there.
        Box::pin(self.facts.certificate_status(&self.id, question, now))
    }
}

/// The way to clients' logout endpoints, by the same safe exchanges as fetches.
pub(crate) struct FetchedDelivery(pub(crate) Arc<Fetcher>);

impl issuer::backchannel::LogoutDelivery for FetchedDelivery {
    async fn post(&self, to: &url::Url, form: String) -> Result<(), String> {
        self.0
            .post_form(to, form)
            .await
            .map_err(|error| error.to_string())
    }
}

/// What clients publish of their sector, by the same safe fetches.
pub(crate) struct FetchedSectors(pub(crate) Arc<Fetcher>);

impl Sectors for FetchedSectors {
    fn fetch<'a>(&'a self, at: &'a url::Url) -> Fetched<'a> {
        Box::pin(async move {
            let body = match self.0.get(at, "application/json").await {
                Ok(body) => body,
                Err(error) => {
                    tracing::info!(%error, "a client's sector can't be fetched");
                    return None;
                }
            };
            serde_json::from_slice(&body).ok()
        })
    }
}

/// The issuer's view of revocations: the list that the gateway judges by.
pub(crate) struct NodeRevocations {
    facts: Arc<Facts>,
    issuer: IssuerId,
}

impl NodeRevocations {
    /// Of one issuer.
    pub(crate) fn new(facts: Arc<Facts>, issuer: &str) -> Self {
        Self {
            facts,
            issuer: IssuerId::new(issuer),
        }
    }
}

impl issuer::ports::Revocations for NodeRevocations {
    fn revoked(&self, token: &TokenNames<'_>) -> Answer<bool> {
        self.facts.revocations().names(
            &self.issuer,
            [Some(token.token_id), token.grant_id],
            Some(token.client_id),
            Some(token.issued_at),
        )
    }
    fn learn(&self, revocation: &Revocation) {
        self.facts
            .revocations()
            .extend([pushed(&self.issuer, revocation)], super::now());
    }
}

/// A stored revocation as the facts take it.
pub(crate) fn pushed(issuer: &IssuerId, revocation: &Revocation) -> Revoked {
    match revocation {
        Revocation::Token { token_id, until } => Revoked::Token {
            issuer: issuer.clone(),
            token_id: token_id.as_str().into(),
            until: *until,
        },
        Revocation::ClientEpoch {
            client_id,
            before,
            until,
        } => Revoked::ClientEpoch {
            issuer: issuer.clone(),
            client: client_id.as_str().into(),
            before: *before,
            until: *until,
        },
        Revocation::Grant { grant_id, until } => Revoked::Grant {
            issuer: issuer.clone(),
            grant_id: grant_id.as_str().into(),
            until: *until,
        },
    }
}

/// Whether the store answers, as the follower of changes saw it last.
#[derive(Debug, Default)]
pub(crate) struct NodeReadiness {
    answering: AtomicBool,
    since: AtomicI64,
    why: Mutex<String>,
    unserved: Mutex<Option<String>>,
    waiting: Mutex<Vec<String>>,
}

impl NodeReadiness {
    /// The store answered just now.
    pub(crate) fn answered(&self) {
        if !self.answering.swap(true, Ordering::Relaxed) {
            tracing::info!("the store answers");
        }
    }
    /// The store did not answer.
    pub(crate) fn failed(&self, why: String, now: Timestamp) {
        if self.answering.swap(false, Ordering::Relaxed) {
            tracing::error!(
                cause = why,
                "the store does not answer: nothing is issued, cached calls pass for the outage's grace"
            );
            self.since.store(now.as_millis(), Ordering::Relaxed);
        }
        *self.why.lock() = why;
    }
    /// What is declared is in service.
    pub(crate) fn served(&self) {
        *self.unserved.lock() = None;
    }
    /// What is declared can't be served; what was in service stays so.
    pub(crate) fn unserved(&self, why: String) {
        tracing::error!(
            cause = why,
            "what is declared can't be served; what was in service stays so"
        );
        *self.unserved.lock() = Some(why);
    }
    /// These policies have no version yet, so that they allow nothing.
    pub(crate) fn waits_for(&self, policies: Vec<String>) {
        *self.waiting.lock() = policies;
    }
    /// For the readiness probe: whether a call can be judged by what is declared. Not ready is also
    /// a node that serves an older declaration than the store has.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if !self.answering.load(Ordering::Relaxed) {
            return Err("the database does not answer".to_owned());
        }
        if let Some(policy) = self.waiting.lock().first() {
            return Err(format!("the policy `{policy}` was not fetched yet"));
        }
        match &*self.unserved.lock() {
            Some(_) => Err("what is declared can't be served; the log says why".to_owned()),
            None => Ok(()),
        }
    }
}

impl Readiness for NodeReadiness {
    fn can_record(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }
}

/// Makes verifiers on the bounded pool.
pub(crate) struct NodeHasher {
    algorithm: HashAlgorithm,
    pepper: Option<(String, Arc<MacKey>)>,
    cost: Argon2Params,
    pool: Arc<HashingPool>,
    entropy: Arc<dyn Entropy>,
}

impl NodeHasher {
    /// As the settings say.
    ///
    /// # Errors
    /// For a cost out of bounds, which the settings' check would have shown.
    pub(crate) fn new(
        settings: &Hashing,
        pool: Arc<HashingPool>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let pepper = settings.pepper.as_ref().map(|key| {
            (
                super::fingerprint(key.expose()),
                Arc::new(MacKey::new(key.expose())),
            )
        });
        Ok(Self {
            algorithm: settings.algorithm,
            pepper,
            cost: super::argon2(settings.memory_kib, settings.passes)?,
            pool,
            entropy,
        })
    }
    /// The cost of Argon2id here.
    pub(crate) fn cost(&self) -> Argon2Params {
        self.cost
    }
    /// The peppers by id, for the facts.
    pub(crate) fn peppers(&self) -> HashMap<String, Arc<MacKey>> {
        self.pepper.iter().cloned().collect()
    }
}

impl Hasher for NodeHasher {
    async fn hash(&self, secret: Secret, purpose: HashPurpose) -> Result<Verifier, Unavailable> {
        if let (HashPurpose::Generated, HashAlgorithm::KeyedHash, Some((id, pepper))) =
            (purpose, self.algorithm, &self.pepper)
        {
            return Verifier::keyed(secret.expose(), id, pepper)
                .map_err(|_| Unavailable::HashingPool);
        }
        let (cost, entropy) = (self.cost, self.entropy.clone());
        self.pool
            .run(move || proof::password::hash(secret.expose(), cost, &*entropy))
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(Unavailable::HashingPool)
    }
}

/// Signs what upstreams learn of the caller.
pub(crate) struct NodeIdentity {
    /// The keys.
    pub(crate) keys: Arc<KeyManager<Store>>,
    /// Whose tokens these are.
    pub(crate) endpoints: Endpoints,
    /// Randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl UpstreamIdentity for NodeIdentity {
    fn token(
        &self,
        identity: &Identity,
        audience: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let token = UpstreamToken {
            standing: identity.standing(),
            audience,
            lifetime,
            credential_expires: identity.expires_at(),
            leeway: Leeway::default(),
        };
        let text = upstream_token::mint(
            &self.keys.ring(),
            &self.endpoints,
            &token,
            now,
            &*self.entropy,
        )
        .inspect_err(|error| tracing::error!(%error, "an identity token can't be signed"))
        .ok()?;
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
