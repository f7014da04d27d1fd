//! **Who is refused many objects**, remembered by one process in a sharded, bounded table.
//!
//! A refusal and the notice that comes of it are one step under the shard's lock. Where the table is
//! full of principals that are held back, newcomers are not counted: nobody is held back for what
//! others did, and the refusal of the object itself stands either way.

use core::hash::BuildHasher as _;
use core::time::Duration;

use parking_lot::Mutex;
use proof::time::Timestamp;
use verdict::limit::stable_hash;
use verdict::probing::{Noticed, Probes, Probing};

use crate::table::{Entry, Table};

/// Principals held. Those with a few refusals cost about a hundred bytes.
pub(crate) const DEFAULT_PRINCIPALS: usize = 100_000;

/// Shards; a power of two, so that the low bits of a hash choose one.
const SHARDS: usize = 16;

/// By a hash of the principal's name.
type Shard = Mutex<Table<[u64; 2], Probes>>;

/// See the module.
pub(crate) struct ProbeTable {
    shards: Box<[Shard]>,
    /// Objects are told apart by a hash that nobody outside can aim at.
    hasher: foldhash::quality::RandomState,
}

impl ProbeTable {
    pub(crate) fn with_capacity(principals: usize) -> Self {
        let shard = |_| Mutex::new(Table::new(principals.div_ceil(SHARDS)));
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    pub(crate) fn held(&self, who: &str, rules: &Probing, now: Timestamp) -> Option<Duration> {
        let key = stable_hash(&[who]);
        let shard = self.shard(&key).lock();
        rules.held(shard.get(&key)?, now)
    }

    pub(crate) fn refused(
        &self,
        who: &str,
        object: &str,
        rules: &Probing,
        now: Timestamp,
    ) -> Option<Noticed> {
        let key = stable_hash(&[who]);
        let object = self.hasher.hash_one(object);
        let mut shard = self.shard(&key).lock();
        if let Some(probes) = shard.get_mut(&key) {
            return rules.refused(probes, object, now);
        }
        if !shard.has_room(now) {
            return None;
        }
        let mut probes = Probes::default();
        let noticed = rules.refused(&mut probes, object, now);
        shard.insert(key, probes);
        noticed
    }

    fn shard(&self, key: &[u64; 2]) -> &Shard {
        &self.shards[key[0] as usize & (SHARDS - 1)]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Entry for Probes {
    fn is_over(&self, now: Timestamp) -> bool {
        Probes::is_over(self, now)
    }
    fn offends(&self, now: Timestamp) -> bool {
        self.may_hold(now)
    }
    fn weight(&self) -> i64 {
        Probes::weight(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Probing = Probing {
        distinct: 5,
        window: Duration::from_secs(60),
        refuse_for: Some(Duration::from_secs(600)),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn j07_who_counts_ids_up_is_held_and_nobody_else() {
        let table = ProbeTable::with_capacity(100);
        for id in 0..5 {
            let noticed = table.refused("user:eve", &format!("order:{id}"), &RULES, at(0));
            assert_eq!(noticed.is_some(), id == 4);
        }
        assert!(table.held("user:eve", &RULES, at(1)).is_some());
        assert!(table.held("user:ada", &RULES, at(1)).is_none());
        assert!(table.held("user:eve", &RULES, at(600)).is_none());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_is_held() {
        let table = ProbeTable::with_capacity(160);
        for id in 0..5 {
            table.refused("user:eve", &format!("order:{id}"), &RULES, at(0));
        }
        for other in 0..10_000 {
            table.refused(&format!("user:{other}"), "order:1", &RULES, at(1));
        }
        assert!(table.len() <= 160, "{}", table.len());
        assert!(table.held("user:eve", &RULES, at(2)).is_some());
    }
}
