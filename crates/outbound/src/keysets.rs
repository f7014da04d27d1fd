//! **Issuers' keys**: fetched ahead of need, kept through outages, never on a stranger's demand.
//!
//! A token names a key by `kid`, and anybody can write a `kid`. So an unknown one leads to at most
//! one fetch per issuer and interval, however many calls carry it, and all of them wait for that
//! one (threat C7). While an issuer does not answer, the last good set stays in use for a bounded
//! time; with none the answer is [`Unavailable::KeySet`], never a pass (threat C8). A `kid` is a
//! map key and nothing else (C9); every key is pinned to one algorithm before it is ever asked for.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use proof::jose::verifying::VerifyingKey;
use tokio::sync::watch;
use url::Url;
use verdict::credential::jwt::{IssuerId, IssuerProfile};
use verdict::facts::{Answer, Unavailable};

use crate::fetch::Fetcher;

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Our own issuer: pushed, never fetched from ourselves.
    Own(OwnKeys),
    /// Written down.
    Static(JwkSet),
    /// Fetched from the issuer (RFC 7517 §5).
    Url(Url),
}

/// How fetched keys are kept.
#[derive(Debug, Clone, Copy)]
pub struct KeySetOptions {
    /// How long a set is used without asking again.
    pub ttl: Duration,
    /// Age at which a set is renewed in the background; less than `ttl`.
    pub refresh_after: Duration,
    /// How long the last good set is used while the issuer does not answer.
    pub max_stale: Duration,
    /// Least time between two fetches from one issuer.
    pub min_interval: Duration,
}

impl Default for KeySetOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(600),
            refresh_after: Duration::from_secs(480),
            max_stale: Duration::from_secs(24 * 3600),
            min_interval: Duration::from_secs(10),
        }
    }
}

/// The key sets of all configured issuers.
pub struct KeySets {
    fetcher: Arc<Fetcher>,
    options: KeySetOptions,
    issuers: ArcSwap<HashMap<IssuerId, Kept>>,
}

#[derive(Clone)]
enum Kept {
    Own(OwnKeys),
    Static(Arc<KeySet>),
    Remote(Arc<Remote>),
}

impl KeySets {
    /// No issuers yet; see [`KeySets::configure`].
    pub fn new(fetcher: Arc<Fetcher>, options: KeySetOptions) -> Self {
        Self {
            fetcher,
            options,
            issuers: ArcSwap::default(),
        }
    }

    /// Replaces the list of issuers. Sets fetched from an unchanged URL are kept.
    pub fn configure(&self, sources: impl IntoIterator<Item = (IssuerId, KeySource)>) {
        let before = self.issuers.load();
        let after = sources
            .into_iter()
            .map(|(issuer, source)| {
                let kept = match source {
                    KeySource::Own(keys) => Kept::Own(keys),
                    KeySource::Static(set) => Kept::Static(Arc::new(KeySet::new(&set))),
                    KeySource::Url(url) => match before.get(&issuer) {
                        Some(Kept::Remote(remote)) if remote.url == url => {
                            Kept::Remote(Arc::clone(remote))
                        }
                        _ => Kept::Remote(Arc::new(Remote::new(
                            issuer.clone(),
                            url,
                            Arc::clone(&self.fetcher),
                            self.options,
                        ))),
                    },
                };
                (issuer, kept)
            })
            .collect();
        self.issuers.store(Arc::new(after));
    }

    /// The key of an issuer; see [`verdict::facts::Facts::verification_key`].
    ///
    /// # Errors
    /// [`Unavailable::KeySet`] if the set can't be had now, or the issuer is not configured.
    pub async fn verification_key(
        &self,
        issuer: &IssuerProfile,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        if !issuer.algorithms.contains(&algorithm) {
            return Ok(None);
        }
        let kept = self.issuers.load().get(&issuer.issuer).cloned();
        match kept {
            Some(Kept::Own(keys)) => {
                let set = keys.0.load();
                let set = set.as_ref().ok_or(Unavailable::KeySet)?;
                Ok(set.find(kid, algorithm))
            }
            Some(Kept::Static(set)) => Ok(set.find(kid, algorithm)),
            Some(Kept::Remote(remote)) => remote.find(kid, algorithm).await,
            None => Err(Unavailable::KeySet),
        }
    }

    /// Fetches what is missing and renews what is about to expire, until it is dropped. Run it as
    /// one background task; without it sets are still renewed when they are used.
    pub async fn keep_fresh(&self) {
        let pause = self
            .options
            .min_interval
            .min(self.options.refresh_after / 2);
        loop {
            for kept in self.issuers.load().values() {
                if let Kept::Remote(remote) = kept {
                    remote.renew_if_due();
                }
            }
            tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
        }
    }

    /// Issuers whose last fetch failed, for health reports.
    pub fn failing(&self) -> Vec<IssuerId> {
        self.issuers
            .load()
            .values()
            .filter_map(|kept| match kept {
                Kept::Remote(remote) if remote.is_failing() => Some(remote.issuer.clone()),
                _ => None,
            })
            .collect()
    }
}

/// The keys of our own issuer: a handle that whoever keeps the signing keys feeds. Clones are the
/// same handle.
#[derive(Debug, Clone, Default)]
pub struct OwnKeys(Arc<ArcSwapOption<KeySet>>);

impl OwnKeys {
    /// A handle without keys: until the first [`OwnKeys::publish`] the answer is
    /// [`Unavailable::KeySet`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the keys; effective for the next call.
    pub fn publish(&self, set: &JwkSet) {
        self.0.store(Some(Arc::new(KeySet::new(set))));
    }
}

/// Prepared keys, found by `kid` and algorithm.
#[derive(Debug)]
struct KeySet {
    named: HashMap<Box<str>, Vec<Arc<VerifyingKey>>>,
    all: Vec<Arc<VerifyingKey>>,
}

impl KeySet {
    fn new(set: &JwkSet) -> Self {
        let all: Vec<_> = set
            .verifying_keys(&Algorithm::ALL)
            .into_iter()
            .map(Arc::new)
            .collect();
        let mut named: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for key in &all {
            if let Some(kid) = key.kid() {
                named.entry(kid.into()).or_default().push(Arc::clone(key));
            }
        }
        Self { named, all }
    }

    /// Without a `kid` the choice must be no choice: one key of the algorithm, or none at all.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<VerifyingKey>> {
        let fits = |key: &&Arc<VerifyingKey>| key.alg() == algorithm;
        match kid {
            Some(kid) => self.named.get(kid)?.iter().find(fits).cloned(),
            None => {
                let mut fitting = self.all.iter().filter(fits);
                let only = fitting.next()?;
                fitting.next().is_none().then(|| Arc::clone(only))
            }
        }
    }
}

/// A set that is fetched.
pub(crate) struct Remote {
    /// Whose keys these are, for the log.
    issuer: IssuerId,
    url: Url,
    fetcher: Arc<Fetcher>,
    options: KeySetOptions,
    good: ArcSwapOption<Good>,
    flight: Mutex<Flight>,
}

/// The last set that was fetched, and when.
struct Good {
    keys: KeySet,
    at: Instant,
}

#[derive(Default)]
struct Flight {
    /// When the last fetch began.
    began: Option<Instant>,
    /// Whether the last fetch that ended failed.
    failed: bool,
    /// Closed when the fetch under way ends.
    running: Option<watch::Receiver<()>>,
}

impl Remote {
    pub(crate) fn new(
        issuer: IssuerId,
        url: Url,
        fetcher: Arc<Fetcher>,
        options: KeySetOptions,
    ) -> Self {
        Self {
            issuer,
            url,
            fetcher,
            options,
            good: ArcSwapOption::empty(),
            flight: Mutex::default(),
        }
    }

    async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        if let Some(good) = self.usable() {
            let age = good.at.elapsed();
            // Past its time a set waits for the new one, unless the issuer is known not to answer.
            if (age < self.options.ttl || self.is_failing())
                && let Some(key) = good.keys.find(kid, algorithm)
            {
                if age >= self.options.refresh_after {
                    self.start();
                }
                return Ok(Some(key));
            }
        }
        if let Some(mut running) = self.start() {
            // Only ever closed: an error is the news that the fetch ended.
            let _ended = running.changed().await;
        }
        let good = self.usable().ok_or(Unavailable::KeySet)?;
        match good.keys.find(kid, algorithm) {
            Some(key) => Ok(Some(key)),
            // The key may be new, and the issuer can't be asked: nobody knows.
            None if self.is_failing() => Err(Unavailable::KeySet),
            None => Ok(None),
        }
    }

    /// All keys, after a fetch if the named one (or without a name, any) is not among those kept.
    pub(crate) async fn keys(
        self: &Arc<Self>,
        kid: Option<&str>,
    ) -> Answer<Vec<Arc<VerifyingKey>>> {
        let holds = |good: &Good| match kid {
            Some(kid) => good.keys.named.contains_key(kid),
            None => !good.keys.all.is_empty(),
        };
        if let Some(good) = self.usable() {
            let age = good.at.elapsed();
            if (age < self.options.ttl || self.is_failing()) && holds(&good) {
                if age >= self.options.refresh_after {
                    self.start();
                }
                return Ok(good.keys.all.clone());
            }
        }
        if let Some(mut running) = self.start() {
            // Only ever closed: an error is the news that the fetch ended.
            let _ended = running.changed().await;
        }
        let good = self.usable().ok_or(Unavailable::KeySet)?;
        if !holds(&good) && self.is_failing() {
            return Err(Unavailable::KeySet);
        }
        Ok(good.keys.all.clone())
    }

    fn usable(&self) -> Option<Arc<Good>> {
        self.good
            .load_full()
            .filter(|good| good.at.elapsed() < self.options.max_stale)
    }

    fn is_failing(&self) -> bool {
        self.flight.lock().failed
    }

    fn renew_if_due(self: &Arc<Self>) {
        let due = self
            .good
            .load()
            .as_ref()
            .is_none_or(|good| good.at.elapsed() >= self.options.refresh_after);
        if due {
            self.start();
        }
    }

    /// Joins the fetch under way or starts one. `None`: the last one is too recent.
    fn start(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut flight = self.flight.lock();
        if let Some(running) = &flight.running
            && running.has_changed().is_ok()
        {
            return Some(running.clone());
        }
        if flight
            .began
            .is_some_and(|began| began.elapsed() < self.options.min_interval)
        {
            return None;
        }
        let (ends, running) = watch::channel(());
        flight.began = Some(Instant::now());
        flight.running = Some(running.clone());
        let remote = Arc::clone(self);
        // A task of its own: the caller that began the fetch may go away, the others still wait.
        tokio::spawn(async move {
            remote.fetch().await;
            drop(ends);
        });
        Some(running)
    }

    async fn fetch(&self) {
        let fetched = self
            .fetcher
            .get(&self.url, "application/jwk-set+json, application/json")
            .await
            .map_err(|error| (error.failure.code(), error.to_string()))
            .and_then(|body| {
                JwkSet::parse(&body)
                    .map_err(|defect| (defect.code(), format!("the key set is refused: {defect}")))
            });
        let failed = fetched.is_err();
        match fetched {
            Ok(set) => {
                if set.skipped() > 0 {
                    tracing::debug!(issuer = %self.issuer, skipped = set.skipped(), "keys that can not be used were skipped");
                }
                let good = Good {
                    keys: KeySet::new(&set),
                    at: Instant::now(),
                };
                self.good.store(Some(Arc::new(good)));
            }
            Err((code, cause)) => {
                tracing::warn!(issuer = %self.issuer, code, cause, "the issuer's keys can not be fetched");
            }
        }
        let was_failing = core::mem::replace(&mut self.flight.lock().failed, failed);
        if was_failing && !failed {
            tracing::info!(issuer = %self.issuer, "the issuer's keys are fetched again");
        }
    }
}

#[cfg(test)]
mod tests;
