//! **A bounded table** of what is counted: one shard of it, behind its shard's lock.
//!
//! It grows with its keys up to a bound. Entries that are over are dropped in passing: each new key
//! looks at a few old ones, so nothing ever sweeps the whole table while calls wait. At the bound
//! the lightest of a few entries makes room, but never an offender: nobody can wash itself clean by
//! flooding the table with fresh keys.

use core::hash::Hash;
use std::collections::HashMap;

use proof::time::Timestamp;

/// Old entries that a new key looks at in passing.
const GLANCES: usize = 4;
/// Old entries that a new key looks at where the table is full.
const GLANCES_WHEN_FULL: usize = 32;

/// What is counted under a key.
pub(crate) trait Entry {
    /// Whether it says no more than its absence would.
    fn is_over(&self, now: Timestamp) -> bool;
    /// Whether it may not be forgotten to make room. Asked of entries that are not over.
    fn offends(&self, now: Timestamp) -> bool;
    /// The lightest goes first.
    fn weight(&self) -> i64;
}

pub(crate) struct Table<K, E> {
    capacity: usize,
    /// Where a key's entry stands in `entries`.
    places: HashMap<K, u32, foldhash::fast::RandomState>,
    entries: Vec<(K, E)>,
    /// The next old entry to look at.
    hand: usize,
}

impl<K: Hash + Eq + Clone, E: Entry> Table<K, E> {
    /// For at most `capacity` keys, at least one. Memory is taken as keys come.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.clamp(1, u32::MAX as usize),
            places: HashMap::default(),
            entries: Vec::new(),
            hand: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&E> {
        let place = *self.places.get(key)?;
        Some(&self.entries[place as usize].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut E> {
        let place = *self.places.get(key)?;
        Some(&mut self.entries[place as usize].1)
    }

    /// Makes room for a key that is not in the table; `false` if only offenders are left.
    pub(crate) fn has_room(&mut self, now: Timestamp) -> bool {
        self.drop_over(now);
        self.entries.len() < self.capacity || self.make_room(now)
    }

    /// Adds an entry for a key that is not in the table, after [`Self::has_room`] said yes.
    pub(crate) fn insert(&mut self, key: K, entry: E) {
        let place = u32::try_from(self.entries.len()).expect("the capacity fits 32 bits");
        self.places.insert(key.clone(), place);
        self.entries.push((key, entry));
    }

    /// Looks at a few old entries and drops those that are over.
    fn drop_over(&mut self, now: Timestamp) {
        for _ in 0..GLANCES.min(self.entries.len()) {
            let place = self.advance();
            if self.entries[place].1.is_over(now) {
                self.remove(place);
            }
        }
    }

    /// Removes one entry from a full table: one that is over, else the lightest of those seen that
    /// is no offender's.
    fn make_room(&mut self, now: Timestamp) -> bool {
        let mut lightest: Option<(i64, usize)> = None;
        for _ in 0..GLANCES_WHEN_FULL.min(self.entries.len()) {
            let place = self.advance();
            let entry = &self.entries[place].1;
            if entry.is_over(now) {
                self.remove(place);
                return true;
            }
            let weight = entry.weight();
            if !entry.offends(now) && lightest.is_none_or(|(least, _)| weight < least) {
                lightest = Some((weight, place));
            }
        }
        match lightest {
            Some((_, place)) => {
                self.remove(place);
                true
            }
            None => false,
        }
    }

    /// The hand's place; moves the hand on. The table must not be empty.
    fn advance(&mut self) -> usize {
        if self.hand >= self.entries.len() {
            self.hand = 0;
        }
        self.hand += 1;
        self.hand - 1
    }

    fn remove(&mut self, place: usize) {
        let (gone, _) = self.entries.swap_remove(place);
        self.places.remove(&gone);
        if let Some((moved, _)) = self.entries.get(place) {
            let place = u32::try_from(place).expect("the capacity fits 32 bits");
            self.places.insert(moved.clone(), place);
        }
    }
}
