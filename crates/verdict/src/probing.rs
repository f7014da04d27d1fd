//! **Probing**: who is refused many different objects in a short time is looking for one that is
//! not theirs (threats J1, J7).
//!
//! A caller whose page is out of date is refused the same object again and again; whoever counts ids
//! up is refused a new one each time. So it is distinct objects that count. Like [`crate::penalty`]
//! this is arithmetic alone: no clock, no table. Every backend of [`crate::facts::Counters`] keeps
//! one [`Probes`] per principal and runs these very rules; what is kept of an object is a hash.

use core::time::Duration;

use proof::time::Timestamp;

/// Most objects that may be allowed before probing is noticed: what is kept of a principal is bounded
/// by it.
pub const MOST_DISTINCT: u32 = 256;

/// The rules of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probing {
    /// So many different objects refused within the window are noticed; 2 to [`MOST_DISTINCT`].
    pub distinct: u32,
    /// The window.
    pub window: Duration,
    /// For how long the principal is refused whatever has an object then; `None`: it is noticed, and
    /// no more.
    pub refuse_for: Option<Duration>,
}

/// What is kept of a principal that was refused objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// Hashes of the objects, and when each was refused last; at most [`Probing::distinct`].
    seen: Vec<(u64, Timestamp)>,
    /// The end of what came of it.
    until: Option<Timestamp>,
    /// When nothing of it matters any more.
    over: Timestamp,
}

/// A principal was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noticed {
    /// For how long it is refused from now on.
    pub held: Option<Duration>,
}

impl Probing {
    /// For how much longer a principal is refused.
    pub fn held(&self, probes: &Probes, now: Timestamp) -> Option<Duration> {
        let left = probes.until?.since(now);
        // An end farther away than any is left over from a clock that was set back.
        let holds = !left.is_zero() && self.refuse_for.is_some_and(|longest| left <= longest);
        holds.then_some(left)
    }

    /// One more refusal of an object; something if this one is noticed.
    pub fn refused(&self, probes: &mut Probes, object: u64, now: Timestamp) -> Option<Noticed> {
        let window = self.window;
        probes.seen.retain(|(_, at)| {
            // Times that lie ahead are from a clock that was set back: they are as good as now.
            now.since(*at) < window
        });
        match probes.seen.iter_mut().find(|(one, _)| *one == object) {
            Some((_, at)) => *at = now,
            None => probes.seen.push((object, now)),
        }
        probes.over = probes.over.max(now.plus(window));
        if probes.seen.len() < self.distinct.clamp(2, MOST_DISTINCT) as usize {
            return None;
        }
        // The next notice needs as many again.
        probes.seen.clear();
        let held = self.refuse_for;
        if let Some(held) = held {
            let until = now.plus(held);
            probes.until = Some(until);
            probes.over = probes.over.max(until);
        }
        Some(Noticed { held })
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            seen: Vec::new(),
            until: None,
            over: Timestamp::from_secs(0),
        }
    }
}

impl Probes {
    /// Whether nothing of it matters any more: its entry may go.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.over
    }
    /// Whether its principal may be held back: then it must not be forgotten to make room.
    pub fn may_hold(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }
    /// Whose entry goes first where a table is full: the one that is over first.
    pub fn weight(&self) -> i64 {
        self.over.as_millis()
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
    fn j07_many_different_objects_are_noticed_and_the_caller_is_held() {
        let mut probes = Probes::default();
        for object in 0..4 {
            assert_eq!(RULES.refused(&mut probes, object, at(0)), None);
            assert_eq!(RULES.held(&probes, at(0)), None);
        }
        let noticed = RULES.refused(&mut probes, 4, at(1)).unwrap();
        assert_eq!(noticed.held, RULES.refuse_for);
        assert_eq!(RULES.held(&probes, at(2)), Some(Duration::from_secs(599)));
        assert_eq!(RULES.held(&probes, at(601)), None);
        assert!(!probes.is_over(at(600)) && probes.is_over(at(601)));
    }

    #[test]
    fn the_same_object_again_and_again_is_no_probing() {
        let mut probes = Probes::default();
        for second in 0..10_000 {
            let object = second % 4;
            assert_eq!(RULES.refused(&mut probes, object as u64, at(second)), None);
        }
        assert!(probes.seen.len() <= 4);
    }

    #[test]
    fn slow_refusals_are_no_probing() {
        let mut probes = Probes::default();
        for turn in 0..1_000 {
            assert_eq!(RULES.refused(&mut probes, turn as u64, at(turn * 16)), None);
            assert!(probes.seen.len() <= 5, "what is kept is bounded");
        }
    }

    #[test]
    fn without_a_length_it_is_noticed_and_nothing_more() {
        let rules = Probing {
            refuse_for: None,
            ..RULES
        };
        let mut probes = Probes::default();
        let noticed: Vec<_> = (0..15)
            .filter_map(|object| rules.refused(&mut probes, object, at(0)))
            .collect();
        assert_eq!(noticed, [Noticed { held: None }; 3]);
        assert_eq!(rules.held(&probes, at(0)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_longer() {
        let mut probes = Probes::default();
        for object in 0..5 {
            RULES.refused(&mut probes, object, at(100_000));
        }
        assert_eq!(RULES.held(&probes, at(0)), None);
    }
}
