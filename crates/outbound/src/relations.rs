//! **Tuples, remembered**: who stands in which relation to which object, as far as this node asked
//! the store, and only as long as nobody changed it.
//!
//! A pair of object and relation is one entry, with all its subjects if they are few. Where they are
//! many, the single ones are entries of their own that belong to it: each carries the number of the
//! entry that it was read beside, so that a change forgets one entry and all that hangs on it at
//! once, and nothing else. Times are not looked at here: whoever uses a tuple does.

use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proof::time::Timestamp;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use verdict::facts::{Answer, Records, Unavailable};
use verdict::policy::relations::{Grant, Object, Related, Subject};

use crate::records::Contact;

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A relation to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    object: Object,
    relation: Arc<str>,
}

impl Hash for Pair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.object.as_str(), &*self.relation).hash(state);
    }
}

/// The same, borrowed.
#[derive(Hash)]
struct PairRef<'a>(&'a str, &'a str);

impl Equivalent<Pair> for PairRef<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        self.0 == pair.object.as_str() && self.1 == &*pair.relation
    }
}

/// An entry, and its number among all that there ever were.
#[derive(Clone)]
struct Held {
    number: u64,
    related: Arc<Related>,
}

/// An entry is as heavy as it has subjects.
#[derive(Clone)]
struct BySubjects;

impl Weighter<Pair, Held> for BySubjects {
    fn weight(&self, _: &Pair, held: &Held) -> u64 {
        1 + held.related.standing().len() as u64
    }
}

/// See the module.
pub(crate) struct RelationCache {
    pairs: Cache<Pair, Held, BySubjects>,
    singles: Cache<(u64, Subject), Option<Grant>>,
    next: AtomicU64,
    /// Raised by every change, so that what was being read meanwhile is not kept.
    generation: AtomicU64,
}

impl RelationCache {
    /// With room for so many tuples, and as many answers about single subjects.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            pairs: Cache::with_weighter(capacity, capacity as u64, BySubjects),
            singles: Cache::new(capacity),
            next: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    fn held(&self, object: &Object, relation: &str) -> Option<Held> {
        self.pairs.get(&PairRef(object.as_str(), relation))
    }

    /// What is held of a pair. Out of touch for too long, a change may have been missed.
    pub(crate) fn known_related(
        &self,
        object: &Object,
        relation: &str,
        now: Timestamp,
        contact: &Contact,
    ) -> Option<Arc<Related>> {
        let held = self.held(object, relation)?;
        contact.holds(now).then_some(held.related)
    }

    /// What is held of a single subject.
    pub(crate) fn known_grant(
        &self,
        object: &Object,
        relation: &str,
        subject: &Subject,
        now: Timestamp,
        contact: &Contact,
    ) -> Option<Option<Grant>> {
        let held = self.held(object, relation)?;
        let grant = self.singles.get(&(held.number, subject.clone()))?;
        contact.holds(now).then_some(grant)
    }

    /// Asks the store for a pair, and keeps what it says.
    pub(crate) async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        records: &impl Records,
    ) -> Answer<Arc<Related>> {
        let generation = self.generation.load(Ordering::Acquire);
        let related = patiently(records.related(object, relation)).await?;
        let related = Arc::new(related);
        let pair = Pair {
            object: object.clone(),
            relation: Arc::clone(relation),
        };
        self.keep(&pair, Arc::clone(&related), generation);
        Ok(related)
    }

    /// Keeps what was read since `generation`, unless something changed meanwhile.
    fn keep(&self, pair: &Pair, related: Arc<Related>, generation: u64) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.pairs.insert(pair.clone(), Held { number, related });
        // Kept first and looked at after: a change either sees the entry or is seen here.
        if self.generation.load(Ordering::Acquire) != generation {
            self.pairs.remove(pair);
        }
    }

    /// Asks the store for a single subject, and keeps what it says beside the pair's entry.
    pub(crate) async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        records: &impl Records,
    ) -> Answer<Option<Grant>> {
        // The entry from before the question: if the pair changes meanwhile, it is gone, and what
        // hangs on its number is never found again.
        let beside = self.held(object, relation).map(|held| held.number);
        let grant = patiently(records.grant(object, relation, subject)).await?;
        if let Some(number) = beside {
            self.singles.insert((number, subject.clone()), grant);
        }
        Ok(grant)
    }

    /// Forgets pairs of objects and relations.
    pub(crate) fn forget<'p>(&self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        for (object, relation) in pairs {
            self.pairs.remove(&PairRef(object, relation));
        }
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.pairs.clear();
        self.singles.clear();
    }

    /// Entries held.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len() + self.singles.len()
    }
}

async fn patiently<T>(asked: impl Future<Output = Answer<T>>) -> Answer<T> {
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or(Err(Unavailable::Store))
}

#[cfg(test)]
mod tests;
