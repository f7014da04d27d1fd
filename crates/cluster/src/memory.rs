//! **Counters of one process**: a sharded, bounded table of budgets.
//!
//! A budget is asked and charged under its shard's lock, so that check and count are one step
//! however many threads ask. The table grows with its keys up to a bound. Budgets that are whole
//! again are dropped in passing: each new key looks at a few old ones, so nothing ever sweeps the
//! whole table while calls wait. At the bound the least spent of a few budgets makes room, but
//! never one that was refused and has not recovered: an offender can't wash itself clean by
//! flooding the table with fresh keys. Where only offenders are left, newcomers of one kind share
//! one budget per shard rather than pass uncounted or push somebody out.

use core::future::{Future, ready};
use core::hash::BuildHasher as _;
use std::collections::HashMap;

use parking_lot::Mutex;
use proof::time::Timestamp;
use verdict::facts::{Answer, Counters};
use verdict::limit::{Arrival, LimitKey, Rate, Taken, step};

/// Keys held unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 1_000_000;

/// Shards; a power of two, so that the low bits of a hash choose one.
const SHARDS: usize = 64;
/// Old budgets that a new key looks at in passing.
const GLANCES: usize = 4;
/// Old budgets that a new key looks at where the shard is full.
const GLANCES_WHEN_FULL: usize = 32;

/// Rate-limit counters in memory; an implementation of [`Counters`] that is always available.
pub struct MemoryCounters {
    shards: Box<[Shard]>,
    hasher: foldhash::fast::RandomState,
}

/// A shard alone on its cache lines, so that neighbours' locks don't slow each other down.
#[repr(align(128))]
struct Shard(Mutex<Table>);

struct Table {
    capacity: usize,
    /// Where a key's budget stands in `budgets`.
    places: HashMap<LimitKey, u32, foldhash::fast::RandomState>,
    budgets: Vec<Budget>,
    /// The next old budget to look at.
    hand: usize,
    /// Budgets shared by newcomers when nobody may be evicted, one per kind of key.
    overflow: [Option<Arrival>; KINDS],
}

struct Budget {
    key: LimitKey,
    arrival: Arrival,
    /// Refused, and not whole again since.
    offending: bool,
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl MemoryCounters {
    /// Counters for at most `keys` budgets (rounded up to a multiple of 64). Memory is taken as
    /// keys come.
    pub fn with_capacity(keys: usize) -> Self {
        let capacity = keys.div_ceil(SHARDS).clamp(1, u32::MAX as usize);
        let table = || Table {
            capacity,
            places: HashMap::default(),
            budgets: Vec::new(),
            hand: 0,
            overflow: [None; KINDS],
        };
        Self {
            shards: (0..SHARDS).map(|_| Shard(Mutex::new(table()))).collect(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Takes `cost` from a budget, in one atomic step. See [`Counters::take`].
    pub fn take_now(&self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Taken {
        let shard = self.hasher.hash_one(key) as usize & (SHARDS - 1);
        self.shards[shard].0.lock().take(key, rate, cost, now)
    }

    /// How many budgets are held, whole ones that were not dropped yet among them.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.0.lock().budgets.len())
            .sum()
    }

    /// Whether no budget is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Counters for MemoryCounters {
    fn take(
        &self,
        key: &LimitKey,
        rate: &Rate,
        cost: u32,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Taken>> + Send {
        ready(Ok(self.take_now(key, rate, cost, now)))
    }
}

impl Table {
    fn take(&mut self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Taken {
        if let Some(&place) = self.places.get(key) {
            let budget = &mut self.budgets[place as usize];
            let recovered = budget.arrival.is_whole(now);
            let (arrival, taken) = step(Some(budget.arrival), rate, cost, now);
            budget.arrival = arrival;
            budget.offending = !taken.allowed || (budget.offending && !recovered);
            return taken;
        }
        self.drop_whole(now);
        if self.budgets.len() < self.capacity || self.make_room(now) {
            let (arrival, taken) = step(None, rate, cost, now);
            // A whole budget needs no entry: absence says the same.
            if !arrival.is_whole(now) {
                self.insert(Budget {
                    key: key.clone(),
                    arrival,
                    offending: !taken.allowed,
                });
            }
            return taken;
        }
        let shared = &mut self.overflow[kind(key)];
        let (arrival, taken) = step(*shared, rate, cost, now);
        *shared = Some(arrival);
        taken
    }

    /// Looks at a few old budgets and drops those that are whole.
    fn drop_whole(&mut self, now: Timestamp) {
        for _ in 0..GLANCES.min(self.budgets.len()) {
            let place = self.advance();
            if self.budgets[place].arrival.is_whole(now) {
                self.remove(place);
            }
        }
    }

    /// Removes one budget from a full table: a whole one, else the least spent of those seen that
    /// belongs to no offender. `false` if there is none.
    fn make_room(&mut self, now: Timestamp) -> bool {
        let mut least: Option<(Arrival, usize)> = None;
        for _ in 0..GLANCES_WHEN_FULL.min(self.budgets.len()) {
            let place = self.advance();
            let budget = &self.budgets[place];
            if budget.arrival.is_whole(now) {
                self.remove(place);
                return true;
            }
            if !budget.offending && least.is_none_or(|(arrival, _)| budget.arrival < arrival) {
                least = Some((budget.arrival, place));
            }
        }
        match least {
            Some((_, place)) => {
                self.remove(place);
                true
            }
            None => false,
        }
    }

    /// The hand's place; moves the hand on. The table must not be empty.
    fn advance(&mut self) -> usize {
        if self.hand >= self.budgets.len() {
            self.hand = 0;
        }
        self.hand += 1;
        self.hand - 1
    }

    fn insert(&mut self, budget: Budget) {
        let place = u32::try_from(self.budgets.len()).expect("the capacity fits 32 bits");
        self.places.insert(budget.key.clone(), place);
        self.budgets.push(budget);
    }

    fn remove(&mut self, place: usize) {
        let gone = self.budgets.swap_remove(place);
        self.places.remove(&gone.key);
        if let Some(moved) = self.budgets.get(place) {
            let place = u32::try_from(place).expect("the capacity fits 32 bits");
            self.places.insert(moved.key.clone(), place);
        }
    }
}

/// How many kinds of keys there are.
const KINDS: usize = 3;

fn kind(key: &LimitKey) -> usize {
    match key {
        LimitKey::Address(..) => 0,
        LimitKey::FailedAddress(_) => 1,
        LimitKey::Principal(..) => 2,
    }
}

#[cfg(test)]
mod tests;
