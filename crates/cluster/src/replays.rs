//! **Replay memory of one process**: ids of proofs that were used, each for as long as its proof
//! could be used again.
//!
//! The memory is sharded, and each shard keeps its ids by the time of their end, so that what has
//! ended is dropped a whole bucket at a time and nothing ever sweeps while calls wait. It is
//! bounded, and it never forgets in order to make room: when a shard is full, the answer is that
//! it can't be known now, since a forgotten id is a proof that passes twice. A restart forgets
//! everything; a proof lives for about two minutes.

use core::future::{Future, ready};
use core::hash::BuildHasher as _;
use core::time::Duration;
use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;
use proof::digest::sha256;
use proof::time::Timestamp;
use verdict::facts::{Answer, FirstUse, ReplayScope, Replays, Unavailable};

/// Ids held unless told otherwise: some 8,000 proofs a second for as long as each must be kept.
pub const DEFAULT_CAPACITY: usize = 1_000_000;

/// The farthest end that an id may have.
pub const MAX_LIFE: Duration = Duration::from_secs(900);

/// Shards; a power of two, so that the low bits of a hash choose one.
const SHARDS: usize = 64;
/// Ids whose ends lie within one such span are dropped together, after its end.
const BUCKET_SECONDS: i64 = 16;

/// A replay memory; an implementation of [`Replays`].
pub struct MemoryReplays {
    shards: Box<[Shard]>,
    hasher: foldhash::fast::RandomState,
}

/// A shard alone on its cache lines, so that neighbours' locks don't slow each other down.
#[repr(align(128))]
struct Shard(Mutex<Table>);

/// A scope and an id, hashed: fixed in size whatever a client sends, and nobody can find two that
/// are one.
type Used = [u8; 16];

struct Table {
    capacity: usize,
    held: usize,
    /// By the number of their span.
    buckets: BTreeMap<i64, HashSet<Used, foldhash::fast::RandomState>>,
    /// Spans before this one are forgotten.
    floor: i64,
}

impl Default for MemoryReplays {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl MemoryReplays {
    /// A memory for at most `ids` ids (rounded up to a multiple of 64). Room is taken as they come.
    pub fn with_capacity(ids: usize) -> Self {
        let table = || Table {
            capacity: ids.div_ceil(SHARDS).max(1),
            held: 0,
            buckets: BTreeMap::new(),
            floor: i64::MIN,
        };
        Self {
            shards: (0..SHARDS).map(|_| Shard(Mutex::new(table()))).collect(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// See [`Replays::first_use`].
    ///
    /// # Errors
    /// [`Unavailable::ReplayMemory`] if the shard is full, or `until` is farther than [`MAX_LIFE`].
    pub fn first_use_now(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        let (used, shard) = self.place(scope, id, until, now)?;
        shard.lock().first_use(used, until, now)
    }

    /// The answer of [`Self::first_use_now`], without remembering anything.
    ///
    /// # Errors
    /// As [`Self::first_use_now`].
    pub fn look_at_use_now(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<FirstUse> {
        let (used, shard) = self.place(scope, id, until, now)?;
        shard.lock().look(used, until, now)
    }

    /// What is kept of an id, and in which shard.
    fn place(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<(Used, &Mutex<Table>)> {
        if until > now.plus(MAX_LIFE) {
            return Err(Unavailable::ReplayMemory);
        }
        let used = hashed(scope, id);
        // Keyed by this process, so that nobody can aim at one shard and fill it.
        let shard = self.hasher.hash_one(used) as usize & (SHARDS - 1);
        Ok((used, &self.shards[shard].0))
    }

    /// How many ids are held, ended ones that were not dropped yet among them.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().held).sum()
    }

    /// Whether no id is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Replays for MemoryReplays {
    fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<FirstUse>> + Send {
        ready(self.first_use_now(scope, id, until, now))
    }

    fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Answer<FirstUse>> + Send {
        ready(self.look_at_use_now(scope, id, until, now))
    }
}

impl Table {
    fn first_use(&mut self, used: Used, until: Timestamp, now: Timestamp) -> Answer<FirstUse> {
        self.forget_ended(now);
        let answer = self.look(used, until, now)?;
        if answer == FirstUse::Yes {
            self.buckets.entry(span(until)).or_default().insert(used);
            self.held += 1;
        }
        Ok(answer)
    }

    fn look(&self, used: Used, until: Timestamp, now: Timestamp) -> Answer<FirstUse> {
        let floor = self.floor.max(span(now));
        // A call that was judged by an older time than this shard has seen: whether its id was used
        // is forgotten, and what can't be known does not pass.
        if span(until) < floor {
            return Ok(FirstUse::Replayed);
        }
        // The same id may come back in another proof, with another end.
        let mut kept = self.buckets.range(floor..);
        if kept.any(|(_, bucket)| bucket.contains(&used)) {
            return Ok(FirstUse::Replayed);
        }
        let ended: usize = self.buckets.range(..floor).map(|(_, ids)| ids.len()).sum();
        if self.held - ended >= self.capacity {
            return Err(Unavailable::ReplayMemory);
        }
        Ok(FirstUse::Yes)
    }

    fn forget_ended(&mut self, now: Timestamp) {
        self.floor = self.floor.max(span(now));
        while let Some(first) = self.buckets.first_entry()
            && *first.key() < self.floor
        {
            self.held -= first.remove().len();
        }
    }
}

fn span(at: Timestamp) -> i64 {
    at.as_secs().div_euclid(BUCKET_SECONDS)
}

fn hashed(scope: ReplayScope<'_>, id: &str) -> Used {
    let (use_of, within) = scope.parts();
    // Each part with its length in front: no two lists of parts are one text.
    let mut text = Vec::with_capacity(64 + id.len());
    for part in [use_of, within, id] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    let digest = sha256(&text);
    let mut used = Used::default();
    used.copy_from_slice(&digest[..16]);
    used
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(NOW + seconds)
    }

    fn of(key: &str) -> ReplayScope<'_> {
        ReplayScope::DpopProof { key }
    }

    #[test]
    fn d02_an_id_is_used_once_for_as_long_as_its_proof_lives() {
        let memory = MemoryReplays::default();
        let ask = |seconds| memory.first_use_now(of("k"), "one", at(120), at(seconds));
        assert_eq!(ask(0), Ok(FirstUse::Yes));
        for seconds in [0, 1, 60, 119, 120] {
            assert_eq!(ask(seconds), Ok(FirstUse::Replayed), "{seconds}");
        }
        // A proof that is judged by a time long before the last one seen may have been forgotten.
        assert_eq!(
            memory.first_use_now(of("k"), "two", at(400), at(300)),
            Ok(FirstUse::Yes)
        );
        assert_eq!(ask(0), Ok(FirstUse::Replayed));
    }

    #[test]
    fn d02_a_look_tells_what_a_use_would_hear_and_spends_nothing() {
        let memory = MemoryReplays::with_capacity(1);
        let look = |id, now| memory.look_at_use_now(of("k"), id, at(120), at(now));
        for _ in 0..3 {
            assert_eq!(look("one", 0), Ok(FirstUse::Yes));
        }
        assert!(memory.is_empty());
        let used = memory.first_use_now(of("k"), "one", at(120), at(0));
        assert_eq!(used, Ok(FirstUse::Yes));
        assert_eq!(look("one", 60), Ok(FirstUse::Replayed));
        assert_eq!(
            look("one", 1000),
            Ok(FirstUse::Replayed),
            "its time is over"
        );
        assert_eq!(memory.len(), 1, "a look forgets nothing either");
        let far = memory.look_at_use_now(of("k"), "far", at(10_000), at(0));
        assert_eq!(far, Err(Unavailable::ReplayMemory));
    }

    #[test]
    fn d02_the_same_id_in_a_later_proof_is_a_replay_too() {
        let memory = MemoryReplays::default();
        let ask = |until, now| memory.first_use_now(of("k"), "one", at(until), at(now));
        assert_eq!(ask(120, 0), Ok(FirstUse::Yes));
        assert_eq!(ask(170, 50), Ok(FirstUse::Replayed));
    }

    #[test]
    fn ids_of_two_keys_are_two_ids() {
        let memory = MemoryReplays::default();
        for (key, id) in [
            ("k", "one"),
            ("l", "one"),
            ("k", "two"),
            ("kone", ""),
            ("", "kone"),
        ] {
            let answer = memory.first_use_now(of(key), id, at(120), at(0));
            assert_eq!(answer, Ok(FirstUse::Yes), "{key} {id}");
        }
    }

    #[test]
    fn a_full_memory_refuses_rather_than_forgets_and_has_room_again_later() {
        let memory = MemoryReplays::with_capacity(64);
        let ask = |n: usize, until, now| {
            memory.first_use_now(of("k"), &n.to_string(), at(until), at(now))
        };
        let mut full = None;
        let mut kept = Vec::new();
        for n in 0..10_000 {
            match ask(n, 120, 0) {
                Ok(FirstUse::Yes) => kept.push(n),
                Err(Unavailable::ReplayMemory) => full = Some(n),
                other => panic!("{n}: {other:?}"),
            }
        }
        assert!(memory.len() <= 64);
        for n in kept {
            assert_eq!(
                ask(n, 120, 0),
                Ok(FirstUse::Replayed),
                "{n} is not forgotten"
            );
        }
        let full = full.expect("ten thousand do not fit 64 places");
        assert_eq!(
            ask(full, 300, 200),
            Ok(FirstUse::Yes),
            "all others have ended"
        );
    }

    #[test]
    fn an_end_out_of_reach_is_not_promised() {
        let memory = MemoryReplays::default();
        for until in [at(901), Timestamp::MAX] {
            assert_eq!(
                memory.first_use_now(of("k"), "one", until, at(0)),
                Err(Unavailable::ReplayMemory)
            );
        }
    }

    #[test]
    fn what_has_ended_is_dropped() {
        let memory = MemoryReplays::default();
        for second in 0..2_000 {
            for n in 0..8 {
                let id = format!("{second}-{n}");
                let answer = memory.first_use_now(of("k"), &id, at(second + 60), at(second));
                assert_eq!(answer, Ok(FirstUse::Yes));
            }
        }
        // 60 s of ids and what waits in the shards that were not asked lately.
        assert!(memory.len() < 8 * 200, "{}", memory.len());
    }

    #[test]
    fn d05_of_many_that_ask_at_once_one_is_first() {
        let memory = Arc::new(MemoryReplays::default());
        for round in 0..50 {
            let first = Arc::new(AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    let (memory, first) = (memory.clone(), first.clone());
                    scope.spawn(move || {
                        let id = round.to_string();
                        if memory.first_use_now(of("k"), &id, at(120), at(0)) == Ok(FirstUse::Yes) {
                            first.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(first.load(Ordering::Relaxed), 1);
        }
    }
}
