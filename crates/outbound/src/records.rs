//! **Stored records, remembered**: what the store said of a key or an account, and for how long
//! that may be believed.
//!
//! A record is asked for again after its time, is dropped at once when a change names it, and
//! survives the store's absence as long as the node was in touch with the changes lately: what
//! nobody could have changed unnoticed is still true. That there is *no* record is remembered
//! apart, briefly and in a small place of its own, so that guesses can't push real records out.

use core::future::Future;
use core::hash::Hash;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use proof::time::Timestamp;
use quick_cache::sync::Cache;
use verdict::facts::{Answer, Unavailable};

use crate::flights::Flights;

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a record is used without asking again after the store did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Absences remembered.
const MAX_ABSENT: usize = 20_000;

/// When this node last heard of the changes, and how long that lasts.
#[derive(Debug)]
pub(crate) struct Contact {
    last: AtomicI64,
    grace: Duration,
}

impl Contact {
    pub(crate) fn new(now: Timestamp, grace: Duration) -> Self {
        Self {
            last: AtomicI64::new(now.as_millis()),
            grace,
        }
    }

    pub(crate) fn heard(&self, now: Timestamp) {
        self.last.fetch_max(now.as_millis(), Ordering::AcqRel);
    }

    /// Whether what was pushed so far can still be relied on.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_millis(self.last.load(Ordering::Acquire))) <= self.grace
    }
}

/// Records of one kind by their key.
pub(crate) struct RecordCache<K, V> {
    held: Cache<K, Arc<Held<V>>>,
    absent: Cache<K, Timestamp>,
    loads: Flights<K>,
    /// Raised by every invalidation, so that a load that was under way is not kept.
    generation: AtomicU64,
    ttl: Duration,
    absent_ttl: Duration,
}

/// A record in the cache.
pub(crate) struct Held<V> {
    /// The record, prepared.
    pub(crate) value: V,
    /// When it is asked for again.
    due: AtomicI64,
    asking: AtomicBool,
}

impl<K: Hash + Eq + Clone, V> RecordCache<K, V> {
    pub(crate) fn new(capacity: usize, ttl: Duration, absent_ttl: Duration) -> Self {
        Self {
            held: Cache::new(capacity.max(1)),
            absent: Cache::new(capacity.clamp(1, MAX_ABSENT)),
            loads: Flights::new(),
            generation: AtomicU64::new(0),
            ttl,
            absent_ttl,
        }
    }

    /// The record, from memory or by `load`.
    pub(crate) async fn find<F>(
        &self,
        key: K,
        now: Timestamp,
        contact: &Contact,
        load: impl Fn() -> F,
    ) -> Answer<Option<Arc<Held<V>>>>
    where
        F: Future<Output = Answer<Option<V>>>,
    {
        if let Some(held) = self.held.get(&key) {
            // Out of touch for too long, a revocation may have been missed, however fresh the record.
            if now.as_millis() < held.due.load(Ordering::Acquire) && contact.holds(now) {
                return Ok(Some(held));
            }
            return Box::pin(self.renew(&key, held, now, contact, load)).await;
        }
        if self.is_absent(&key, now) {
            return Ok(None);
        }
        // Apart, so that a call whose record is held needs no room for asking the store.
        Box::pin(self.ask(key, now, load)).await
    }

    /// The record if it is held and may be believed, due or not: what changed was pushed. Nothing is
    /// asked.
    pub(crate) fn held(&self, key: &K, now: Timestamp, contact: &Contact) -> Option<Arc<Held<V>>> {
        self.held.get(key).filter(|_| contact.holds(now))
    }

    /// Asks the store, one caller at a time for each record.
    async fn ask<F>(
        &self,
        key: K,
        now: Timestamp,
        load: impl Fn() -> F,
    ) -> Answer<Option<Arc<Held<V>>>>
    where
        F: Future<Output = Answer<Option<V>>>,
    {
        let _turn = self
            .loads
            .enter(key.clone())
            .await
            .ok_or(Unavailable::Store)?;
        if let Some(held) = self.held.get(&key) {
            return Ok(Some(held));
        }
        if self.is_absent(&key, now) {
            return Ok(None);
        }
        self.load(&key, now, load).await
    }

    /// Asks again for a record whose time has come. One caller asks; the others go on with what is
    /// held as long as that may be believed.
    async fn renew<F>(
        &self,
        key: &K,
        held: Arc<Held<V>>,
        now: Timestamp,
        contact: &Contact,
        load: impl Fn() -> F,
    ) -> Answer<Option<Arc<Held<V>>>>
    where
        F: Future<Output = Answer<Option<V>>>,
    {
        let believed = contact.holds(now);
        if held.asking.swap(true, Ordering::AcqRel) && believed {
            return Ok(Some(held));
        }
        let _asking = Asking(&held.asking);
        match self.load(key, now, load).await {
            Err(_) if believed => {
                held.due
                    .store(now.plus(RETRY_AFTER).as_millis(), Ordering::Release);
                Ok(Some(Arc::clone(&held)))
            }
            answer => answer,
        }
    }

    async fn load<F>(
        &self,
        key: &K,
        now: Timestamp,
        load: impl Fn() -> F,
    ) -> Answer<Option<Arc<Held<V>>>>
    where
        F: Future<Output = Answer<Option<V>>>,
    {
        let generation = self.generation.load(Ordering::Acquire);
        let loaded = tokio::time::timeout(PATIENCE, load())
            .await
            .unwrap_or(Err(Unavailable::Store))?;
        let Some(value) = loaded else {
            self.held.remove(key);
            self.absent.insert(key.clone(), now.plus(self.absent_ttl));
            return Ok(None);
        };
        let due = AtomicI64::new(now.plus(self.ttl).as_millis());
        let held = Arc::new(Held {
            value,
            due,
            asking: AtomicBool::new(false),
        });
        self.held.insert(key.clone(), Arc::clone(&held));
        // Kept first and looked at after: an invalidation either sees the entry or is seen here.
        if self.generation.load(Ordering::Acquire) != generation {
            self.held.remove(key);
        }
        Ok(Some(held))
    }

    fn is_absent(&self, key: &K, now: Timestamp) -> bool {
        self.absent.get(key).is_some_and(|until| now < until)
    }

    /// Forgets the records that `stale` names, and every absence.
    pub(crate) fn invalidate(&self, stale: impl Fn(&V) -> bool) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.held.retain(|_, held| !stale(&held.value));
        self.absent.clear();
    }

    /// Records held.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

/// Ends the asking even if the caller goes away in the middle.
struct Asking<'a>(&'a AtomicBool);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
