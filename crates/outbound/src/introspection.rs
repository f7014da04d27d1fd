//! **Asking foreign issuers about their opaque tokens** (RFC 7662, RFC 9701), so that asking is
//! rare and nobody can make it frequent.
//!
//! An answer is used for the issuer's `cache` time and never past the token's own end. That a token
//! is none is remembered apart, more briefly, and in a place of its own, so that garbage can't push
//! good answers out. Callers with one token wait for one question. Tokens that were never good have
//! most of the issuer's places and not all: a flood of garbage leaves room for the tokens of callers
//! that were here before. An issuer that does not answer is left alone for a moment, and then the
//! answer is [`Unavailable::Introspection`], never a pass and never an old answer: what became of a
//! token at its issuer is known there alone.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use proof::digest::TokenHash;
use proof::jose::jws;
use proof::random::Entropy;
use proof::time::Timestamp;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;
use verdict::credential::introspection::{self, BadAnswer, Said};
use verdict::credential::jwt::{ConfigId, IssuerId, IssuerProfile, VerifiedToken};
use verdict::facts::{Answer, Unavailable};

use crate::client_auth::{ClientAuth, Question};
use crate::fetch::{Answered, FetchError, FetchFailure, Fetcher};
use crate::flights::Flights;
use crate::keysets::KeySets;

/// Largest answer.
const MAX_BYTES: usize = 64 * 1024;
/// Tokens remembered that are none.
const MAX_REFUSED: usize = 20_000;

/// How issuers are asked.
#[derive(Debug, Clone, Copy)]
pub struct IntrospectionOptions {
    /// Answers held that a token is good.
    pub max_held: usize,
    /// How long it is remembered that a token is none, where the issuer's own time is not shorter.
    pub refused_ttl: Duration,
    /// Time for one answer.
    pub patience: Duration,
    /// Questions to one issuer at once about tokens that were never good.
    pub strangers: usize,
    /// Questions to one issuer at once about tokens that were.
    pub known: usize,
    /// How long a caller waits for a place.
    pub wait: Duration,
    /// Failures in a row after which an issuer is left alone.
    pub failures: u32,
    /// For how long it is.
    pub pause: Duration,
}

impl Default for IntrospectionOptions {
    fn default() -> Self {
        Self {
            max_held: 100_000,
            refused_ttl: Duration::from_secs(5),
            patience: Duration::from_secs(3),
            strangers: 24,
            known: 16,
            wait: Duration::from_secs(1),
            failures: 3,
            pause: Duration::from_secs(1),
        }
    }
}

/// Where an issuer is asked, and as whom.
#[derive(Debug)]
pub struct IntrospectionSource {
    /// The issuer.
    pub issuer: IssuerId,
    /// Its introspection endpoint.
    pub url: Url,
    /// Who we are there.
    pub client: ClientAuth,
}

/// The issuers that are asked, and what they said.
pub struct Introspectors {
    fetcher: Arc<Fetcher>,
    key_sets: Arc<KeySets>,
    entropy: Arc<dyn Entropy>,
    options: IntrospectionOptions,
    issuers: ArcSwap<HashMap<IssuerId, Arc<Asked>>>,
    held: Cache<Key, Arc<Held>>,
    refused: Cache<Key, Refused>,
    questions: Flights<Key>,
}

type Key = (ConfigId, TokenHash);

/// That a token is good.
struct Held {
    token: Arc<VerifiedToken>,
    until: Timestamp,
}

/// That a token is none.
#[derive(Clone)]
struct Refused {
    cause: Arc<str>,
    until: Timestamp,
}

/// An issuer as it is configured now.
struct Asked {
    source: IntrospectionSource,
    state: Arc<State>,
}

/// What outlives a new configuration.
struct State {
    strangers: Semaphore,
    known: Semaphore,
    /// Since the last good answer.
    failures: AtomicU32,
    /// Those of them that are not of one token.
    unreached: AtomicU32,
    paused: Mutex<Option<Instant>>,
}

/// Why an issuer said nothing that can be used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it answers with status {0}")]
    Status(http::StatusCode),
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    #[error("the signed answer can not be verified: {0}")]
    Signature(&'static str),
}

impl Fault {
    /// Whether it is of the issuer, and not of one token: what a stranger may send must not keep
    /// others from being asked about.
    fn is_the_issuers(&self) -> bool {
        match self {
            Self::Fetch(error) => !matches!(
                error.failure,
                FetchFailure::TooLarge(_) | FetchFailure::Encoded
            ),
            Self::Status(status) => *status != http::StatusCode::BAD_REQUEST,
            Self::Answer(_) | Self::Signature(_) => false,
        }
    }
}

impl core::fmt::Debug for Introspectors {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Introspectors")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Introspectors {
    /// No issuers yet; see [`Introspectors::configure`]. `key_sets` has the keys of those that sign
    /// their answers.
    pub fn new(
        fetcher: Arc<Fetcher>,
        key_sets: Arc<KeySets>,
        entropy: Arc<dyn Entropy>,
        options: IntrospectionOptions,
    ) -> Self {
        Self {
            fetcher,
            key_sets,
            entropy,
            options,
            issuers: ArcSwap::default(),
            held: Cache::new(options.max_held.max(1)),
            refused: Cache::new(options.max_held.clamp(1, MAX_REFUSED)),
            questions: Flights::new(),
        }
    }

    /// Replaces the list of issuers. What they said stays as long as their profiles do.
    pub fn configure(&self, sources: impl IntoIterator<Item = IntrospectionSource>) {
        let before = self.issuers.load();
        let after = sources
            .into_iter()
            .map(|source| {
                let state = match before.get(&source.issuer) {
                    Some(asked) => Arc::clone(&asked.state),
                    None => Arc::new(State::new(&self.options)),
                };
                (source.issuer.clone(), Arc::new(Asked { source, state }))
            })
            .collect();
        self.issuers.store(Arc::new(after));
    }

    /// Forgets everything that was said.
    pub fn forget(&self) {
        self.held.clear();
        self.refused.clear();
    }

    /// Forgets tokens whose time is over.
    pub(crate) fn drop_expired(&self, now: Timestamp) {
        self.held.retain(|_, held| now < held.token.expires_at);
    }

    /// Answers held that a token is good.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Issuers whose last answers were none, for health reports.
    pub fn failing(&self) -> Vec<IssuerId> {
        let issuers = self.issuers.load();
        let failing = issuers
            .values()
            .filter(|asked| asked.state.failures.load(Ordering::Acquire) > 0);
        failing.map(|asked| asked.source.issuer.clone()).collect()
    }

    /// Whether the token was good when its issuer was last asked.
    pub(crate) fn knows(&self, hash: &TokenHash, profile: &IssuerProfile) -> bool {
        self.held.peek(&(profile.config, *hash)).is_some()
    }

    /// What the issuer says of a token, from memory or by asking.
    pub(crate) async fn said(
        &self,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Said> {
        let key = (profile.config, *hash);
        if let Some(said) = self.remembered(&key, now) {
            return Ok(said);
        }
        // Apart, so that a call whose answer is held needs no room for asking.
        Box::pin(self.ask(token, key, profile, now)).await
    }

    fn remembered(&self, key: &Key, now: Timestamp) -> Option<Said> {
        if let Some(held) = self.held.get(key).filter(|held| now < held.until) {
            return Some(Ok(Arc::clone(&held.token)));
        }
        let refused = self.refused.get(key)?;
        (now < refused.until).then_some(Err(refused.cause))
    }

    /// Asks the issuer, one caller at a time for each token.
    async fn ask(
        &self,
        token: &str,
        key: Key,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Answer<Said> {
        let asked = self.issuers.load().get(&profile.issuer).cloned();
        let asked = asked.ok_or(Unavailable::Introspection)?;
        let turn = self.questions.enter(key).await;
        let _turn = turn.ok_or(Unavailable::Introspection)?;
        if let Some(said) = self.remembered(&key, now) {
            return Ok(said);
        }
        let is_known = self.held.peek(&key).is_some();
        let _place = asked
            .state
            .place(is_known, self.options.wait)
            .await
            .ok_or(Unavailable::Introspection)?;
        if asked.state.is_paused() {
            return Err(Unavailable::Introspection);
        }
        let said = self.question(&asked.source, token, &key.1, profile, now);
        match said.await {
            Ok(said) => {
                asked.state.answered(&asked.source.issuer);
                Ok(self.remember(key, profile, said, now))
            }
            Err(fault) => {
                asked
                    .state
                    .failed(&asked.source.issuer, &fault, &self.options);
                Err(Unavailable::Introspection)
            }
        }
    }

    fn remember(
        &self,
        key: Key,
        profile: &IssuerProfile,
        said: Result<VerifiedToken, String>,
        now: Timestamp,
    ) -> Said {
        let rules = profile.introspection.as_ref();
        let cache = rules.map_or(Duration::ZERO, |rules| rules.cache);
        match said {
            Ok(token) => {
                let token = Arc::new(token);
                let held = Held {
                    token: Arc::clone(&token),
                    until: now.plus(cache).min(token.expires_at),
                };
                self.refused.remove(&key);
                self.held.insert(key, Arc::new(held));
                Ok(token)
            }
            Err(cause) => {
                let refused = Refused {
                    cause: cause.into(),
                    until: now.plus(cache.min(self.options.refused_ttl)),
                };
                self.held.remove(&key);
                self.refused.insert(key, refused.clone());
                Err(refused.cause)
            }
        }
    }

    async fn question(
        &self,
        source: &IntrospectionSource,
        token: &str,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Result<Result<VerifiedToken, String>, Fault> {
        let signed = profile
            .introspection
            .as_ref()
            .is_some_and(|rules| rules.signed);
        let question = Question {
            url: &source.url,
            accept: match signed {
                true => "application/token-introspection+jwt",
                false => "application/json",
            },
            parameters: &[("token", token), ("token_type_hint", "access_token")],
            total_time: self.options.patience,
            max_bytes: MAX_BYTES,
        };
        let answered = source
            .client
            .ask(&self.fetcher, &question, now, &*self.entropy)
            .await?;
        if answered.status != http::StatusCode::OK {
            return Err(Fault::Status(answered.status));
        }
        if signed {
            return self.signed(&answered, hash, profile, now).await;
        }
        Ok(introspection::read(&answered.body, hash, profile, now)?)
    }

    /// A signed answer (RFC 9701): no plain one is taken in its place.
    async fn signed(
        &self,
        answered: &Answered,
        hash: &TokenHash,
        profile: &IssuerProfile,
        now: Timestamp,
    ) -> Result<Result<VerifiedToken, String>, Fault> {
        let expected = answered.media_type.strip_prefix("application/");
        if expected != Some(introspection::SIGNED_TYPE) {
            return Err(Fault::Signature("the answer is not signed"));
        }
        let unverified =
            jws::split(&answered.body).map_err(|defect| Fault::Signature(defect.code()))?;
        let algorithm = unverified
            .alg()
            .ok_or(Fault::Signature("an unknown algorithm"))?;
        let key = self
            .key_sets
            .verification_key(profile, unverified.kid(), algorithm)
            .await
            .map_err(|_| Fault::Signature("the issuer's keys can not be fetched"))?
            .ok_or(Fault::Signature("the issuer has no such key"))?;
        let payload = unverified
            .verify(&key)
            .map_err(|defect| Fault::Signature(defect.code()))?;
        Ok(introspection::read_signed(&payload, hash, profile, now)?)
    }
}

impl State {
    fn new(options: &IntrospectionOptions) -> Self {
        Self {
            strangers: Semaphore::new(options.strangers),
            known: Semaphore::new(options.known),
            failures: AtomicU32::new(0),
            unreached: AtomicU32::new(0),
            paused: Mutex::new(None),
        }
    }

    /// A place to ask; `None`: there is none for too long.
    async fn place(&self, known: bool, wait: Duration) -> Option<SemaphorePermit<'_>> {
        let places = match known {
            true => &self.known,
            false => &self.strangers,
        };
        tokio::time::timeout(wait, places.acquire())
            .await
            .ok()?
            .ok()
    }

    fn is_paused(&self) -> bool {
        self.paused
            .lock()
            .is_some_and(|until| Instant::now() < until)
    }

    fn answered(&self, issuer: &IssuerId) {
        self.unreached.store(0, Ordering::Release);
        if self.failures.swap(0, Ordering::AcqRel) > 0 {
            tracing::info!(%issuer, "the issuer answers questions about tokens again");
        }
    }

    fn failed(&self, issuer: &IssuerId, fault: &Fault, options: &IntrospectionOptions) {
        let before = self.failures.fetch_add(1, Ordering::AcqRel);
        if before == 0 {
            tracing::warn!(%issuer, cause = %fault, "the issuer can not be asked about tokens");
        } else {
            tracing::debug!(%issuer, cause = %fault, "the issuer can not be asked about tokens");
        }
        if !fault.is_the_issuers() {
            return;
        }
        if self.unreached.fetch_add(1, Ordering::AcqRel) + 1 >= options.failures {
            *self.paused.lock() = Some(Instant::now() + options.pause);
        }
    }
}

#[cfg(test)]
mod tests;
