//! **One at a time per key**: whoever comes while another is at work waits and then looks again.

use core::hash::Hash;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Most callers that wait for one key.
const MAX_WAITING: usize = 256;

/// Locks by key. A key costs memory only while somebody holds or awaits it.
pub(crate) struct Flights<K>(Arc<Table<K>>);

type Table<K> = Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>;

impl<K: Hash + Eq + Clone> Flights<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Waits for `key`'s turn. `None`: too many wait already.
    pub(crate) async fn enter(&self, key: K) -> Option<Flight<K>> {
        let ticket = {
            let mut under_way = self.0.lock();
            let ticket = under_way.entry(key.clone()).or_default();
            if Arc::strong_count(ticket) > MAX_WAITING {
                return None;
            }
            Arc::clone(ticket)
        };
        // Made before waiting, so that a caller that goes away meanwhile leaves nothing behind.
        let mut flight = Flight {
            under_way: Arc::clone(&self.0),
            key,
            held: None,
            ticket: Some(Arc::clone(&ticket)),
        };
        flight.held = Some(ticket.lock_owned().await);
        Some(flight)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A turn; ends when dropped, and may move to another task.
pub(crate) struct Flight<K: Hash + Eq> {
    under_way: Arc<Table<K>>,
    key: K,
    held: Option<OwnedMutexGuard<()>>,
    ticket: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl<K: Hash + Eq> Drop for Flight<K> {
    fn drop(&mut self) {
        self.held = None;
        let mut under_way = self.under_way.lock();
        self.ticket = None;
        // Nobody else can take a ticket while the table is locked.
        if under_way
            .get(&self.key)
            .is_some_and(|ticket| Arc::strong_count(ticket) == 1)
        {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_key_flies_alone_and_leaves_nothing_behind() {
        let flights = Flights::new();
        let first = flights.enter("a").await;
        assert!(first.is_some());
        let second = tokio::time::timeout(Duration::from_millis(20), flights.enter("a")).await;
        assert!(second.is_err(), "a second one flew");
        assert!(flights.enter("b").await.is_some());
        assert_eq!(flights.len(), 1);
        drop(first);
        assert_eq!(
            flights.len(),
            0,
            "the one that gave up left something behind"
        );
        assert!(flights.enter("a").await.is_some());
    }
}
