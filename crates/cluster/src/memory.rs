//! **Counters of one process**: budgets of calls, and penalties of addresses that keep failing, in
//! sharded, bounded tables.
//!
//! A budget is asked and charged under its shard's lock, so that check and count are one step
//! however many threads ask; a failure and the penalty that comes of it likewise. Where a table is
//! full of offenders, newcomers of one kind share one budget per shard rather than pass uncounted or
//! push somebody out. Addresses that fail have tables of their own, so that no number of callers can
//! push out an address that is held back, nor the other way round.

use core::future::{Future, ready};
use core::hash::{BuildHasher as _, Hash};
use core::net::IpAddr;
use core::time::Duration;

use parking_lot::Mutex;
use proof::time::Timestamp;
use verdict::facts::{Answer, Counters};
use verdict::limit::{Arrival, LimitKey, Rate, Taken, folded, step};
use verdict::penalty::{Offences, Penalties, Penalty};
use verdict::probing::{Noticed, Probing};

use crate::probes::{DEFAULT_PRINCIPALS, ProbeTable};
use crate::table::{Entry, Table};

/// Budgets held unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 1_000_000;
/// Addresses that failed, held unless told otherwise.
pub const DEFAULT_OFFENDERS: usize = 200_000;

/// Shards; a power of two, so that the low bits of a hash choose one.
const SHARDS: usize = 64;

/// Counters in memory; an implementation of [`Counters`] that is always available.
pub struct MemoryCounters {
    budgets: Box<[Shard<Budgets>]>,
    offenders: Box<[Shard<Offenders>]>,
    probes: ProbeTable,
    hasher: foldhash::fast::RandomState,
}

/// A shard alone on its cache lines, so that neighbours' locks don't slow each other down.
#[repr(align(128))]
struct Shard<T>(Mutex<T>);

struct Budgets {
    table: Table<LimitKey, Budget>,
    /// Budgets shared by newcomers when nobody may be evicted, one per kind of key.
    overflow: [Option<Arrival>; KINDS],
}

struct Budget {
    arrival: Arrival,
    /// Refused, and not whole again since.
    offending: bool,
}

struct Offenders {
    table: Table<IpAddr, Offences>,
    /// The budget of failures that newcomers share when nobody may be evicted.
    overflow: Option<Arrival>,
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY, DEFAULT_OFFENDERS)
    }
}

impl MemoryCounters {
    /// Counters for at most `keys` budgets and `offenders` addresses that failed (each rounded up to
    /// a multiple of 64). Memory is taken as keys come.
    pub fn with_capacity(keys: usize, offenders: usize) -> Self {
        let budgets = || Budgets {
            table: Table::new(keys.div_ceil(SHARDS)),
            overflow: [None; KINDS],
        };
        let failing = || Offenders {
            table: Table::new(offenders.div_ceil(SHARDS)),
            overflow: None,
        };
        Self {
            budgets: (0..SHARDS).map(|_| Shard(Mutex::new(budgets()))).collect(),
            offenders: (0..SHARDS).map(|_| Shard(Mutex::new(failing()))).collect(),
            probes: ProbeTable::with_capacity(DEFAULT_PRINCIPALS),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Takes `cost` from a budget, in one atomic step. See [`Counters::take`].
    pub fn take_now(&self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Taken {
        let shard = &self.budgets[self.shard(key)];
        shard.0.lock().take(key, rate, cost, now)
    }

    /// Whether an address is held back. See [`Counters::penalty`].
    pub fn penalty_now(&self, from: IpAddr, rules: &Penalties, now: Timestamp) -> Option<Penalty> {
        let from = folded(from);
        let shard = &self.offenders[self.shard(&from)];
        shard.0.lock().penalty(from, rules, now)
    }

    /// Counts a failure of an address, in one atomic step. See [`Counters::failed`].
    pub fn failed_now(&self, from: IpAddr, rules: &Penalties, now: Timestamp) -> Option<Penalty> {
        let from = folded(from);
        let shard = &self.offenders[self.shard(&from)];
        shard.0.lock().failed(from, rules, now)
    }

    /// How many budgets are held, whole ones that were not dropped yet among them.
    pub fn len(&self) -> usize {
        self.budgets
            .iter()
            .map(|shard| shard.0.lock().table.len())
            .sum()
    }

    /// Whether no budget is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many addresses that failed are held, forgiven ones that were not dropped yet among them.
    pub fn offenders(&self) -> usize {
        self.offenders
            .iter()
            .map(|shard| shard.0.lock().table.len())
            .sum()
    }

    fn shard(&self, key: &impl Hash) -> usize {
        self.hasher.hash_one(key) as usize & (SHARDS - 1)
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

    fn penalty(
        &self,
        from: IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send {
        ready(Ok(self.penalty_now(from, rules, now)))
    }

    fn failed(
        &self,
        from: IpAddr,
        rules: &Penalties,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Penalty>>> + Send {
        ready(Ok(self.failed_now(from, rules, now)))
    }

    fn probing(
        &self,
        who: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Duration>>> + Send {
        ready(Ok(self.probes.held(who, rules, now)))
    }

    fn probed(
        &self,
        who: &str,
        object: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Noticed>>> + Send {
        ready(Ok(self.probes.refused(who, object, rules, now)))
    }
}

impl Budgets {
    fn take(&mut self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Taken {
        if let Some(budget) = self.table.get_mut(key) {
            let recovered = budget.arrival.is_whole(now);
            let (arrival, taken) = step(Some(budget.arrival), rate, cost, now);
            budget.arrival = arrival;
            budget.offending = !taken.allowed || (budget.offending && !recovered);
            return taken;
        }
        if self.table.has_room(now) {
            let (arrival, taken) = step(None, rate, cost, now);
            let budget = Budget {
                arrival,
                offending: !taken.allowed,
            };
            // A whole budget needs no entry: absence says the same.
            if !budget.is_over(now) {
                self.table.insert(key.clone(), budget);
            }
            return taken;
        }
        let shared = &mut self.overflow[kind(key)];
        let (arrival, taken) = step(*shared, rate, cost, now);
        *shared = Some(arrival);
        taken
    }
}

impl Entry for Budget {
    fn is_over(&self, now: Timestamp) -> bool {
        self.arrival.is_whole(now)
    }
    fn offends(&self, _: Timestamp) -> bool {
        self.offending
    }
    fn weight(&self) -> i64 {
        self.arrival.as_micros()
    }
}

impl Offenders {
    fn penalty(&self, from: IpAddr, rules: &Penalties, now: Timestamp) -> Option<Penalty> {
        match self.table.get(&from) {
            Some(offences) => rules.held(offences, now),
            // Only while the table is full of offenders is there something to share.
            None => {
                let shared = self.overflow.filter(|shared| !shared.is_whole(now))?;
                let (_, left) = step(Some(shared), &rules.budget, 0, now);
                (left.remaining == 0).then_some(Penalty {
                    count: 0,
                    left: left.retry_after,
                })
            }
        }
    }

    fn failed(&mut self, from: IpAddr, rules: &Penalties, now: Timestamp) -> Option<Penalty> {
        if let Some(offences) = self.table.get_mut(&from) {
            let (after, begun) = rules.fail(Some(*offences), now);
            *offences = after;
            return begun;
        }
        if self.table.has_room(now) {
            let (offences, begun) = rules.fail(None, now);
            self.table.insert(from, offences);
            return begun;
        }
        // No penalties of their own for those that share a budget: one would hold back the others.
        let (arrival, _) = step(self.overflow, &rules.budget, 1, now);
        self.overflow = Some(arrival);
        None
    }
}

impl Entry for Offences {
    fn is_over(&self, now: Timestamp) -> bool {
        Offences::is_over(self, now)
    }
    fn offends(&self, now: Timestamp) -> bool {
        !self.is_forgiven(now)
    }
    fn weight(&self) -> i64 {
        self.arrival().as_micros()
    }
}

/// How many kinds of keys there are.
const KINDS: usize = 2;

fn kind(key: &LimitKey) -> usize {
    match key {
        LimitKey::Address(..) => 0,
        LimitKey::Principal(..) | LimitKey::Application(..) => 1,
    }
}

#[cfg(test)]
mod tests;
