//! **Growing penalties**: for how long an address that keeps failing is held back.
//!
//! Failures have a budget. Whoever spends it is held back for a while, and for twice as long each
//! time it happens again, up to a bound; a quiet time after the last penalty wipes the slate. Like
//! [`crate::limit`] this is arithmetic alone: no clock, no table. Every backend of
//! [`crate::facts::Counters`] keeps one [`Offences`] per address (IPv6: its /64) and runs these very
//! rules. What being held back means for a call is the front's matter.

use core::time::Duration;

use proof::time::Timestamp;

use crate::limit::{Arrival, Rate, step};

/// The rules: how often an address may fail, and what comes of failing more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalties {
    /// Failures that have no penalty.
    pub budget: Rate,
    /// The first penalty's length; more than nothing.
    pub first: Duration,
    /// No penalty is longer.
    pub longest: Duration,
    /// So long after the end of the last penalty all of them are forgotten.
    pub forget_after: Duration,
}

/// What is kept of an address that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offences {
    /// The budget of failures.
    arrival: Arrival,
    /// Penalties that are not forgotten.
    count: u32,
    /// The end of the last of them.
    until: Timestamp,
    /// When they are forgotten.
    forgotten: Timestamp,
}

/// An address is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Which one in a row this is, from 1 on; 0 where the address only shares the budget of a table
    /// that is full.
    pub count: u32,
    /// What is left of it.
    pub left: Duration,
}

impl Penalties {
    /// The length of the `count`th penalty in a row, from 1 on.
    pub fn length(&self, count: u32) -> Duration {
        let doublings = count.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// Whether the address is held back now, and for how much longer.
    pub fn held(&self, offences: &Offences, now: Timestamp) -> Option<Penalty> {
        let left = offences.until.since(now);
        // An end that is farther away than any penalty's is left over from a clock that was set
        // back, or from longer penalties: it counts as none rather than as a longer one.
        let holds = offences.count > 0 && !left.is_zero() && left <= self.longest;
        holds.then_some(Penalty {
            count: offences.count,
            left,
        })
    }

    /// One more failure of an address: what to keep, and the penalty if this failure began one.
    ///
    /// Calls that were on their way when a penalty began may fail while it lasts. They count too, so
    /// that a volley of guesses gets every penalty that the same guesses would get one by one.
    pub fn fail(&self, before: Option<Offences>, now: Timestamp) -> (Offences, Option<Penalty>) {
        let (state, taken) = step(before.map(|before| before.arrival), &self.budget, 1, now);
        let before = before.filter(|before| !before.is_forgiven(now));
        let count = before.map_or(0, |before| before.count);
        let until = before.map_or(now, |before| before.until);
        if taken.allowed && taken.remaining > 0 {
            let offences = Offences {
                arrival: state,
                count,
                until,
                forgotten: before.map_or(now, |before| before.forgotten),
            };
            return (offences, None);
        }
        let count = count.saturating_add(1);
        let left = self.length(count);
        let until = now.plus(left);
        let offences = Offences {
            // Paid for: the next penalty needs a whole budget of failures again.
            arrival: Arrival::from_micros(now.as_millis().saturating_mul(1000)),
            count,
            until,
            forgotten: until.plus(self.forget_after),
        };
        (offences, Some(Penalty { count, left }))
    }
}

impl Offences {
    /// Whether nothing of it matters any more: a whole budget, and no penalty to remember. Its
    /// entry may go.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.arrival.is_whole(now) && self.is_forgiven(now)
    }

    /// Whether there is no penalty to remember.
    pub fn is_forgiven(&self, now: Timestamp) -> bool {
        self.count == 0 || now >= self.forgotten
    }

    /// The state of the budget of failures.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Penalties = Penalties {
        budget: Rate {
            limit: 3,
            period: Duration::from_secs(60),
        },
        first: Duration::from_secs(10),
        longest: Duration::from_secs(900),
        forget_after: Duration::from_secs(3600),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    /// Spends a whole budget at once; the penalty that came of it.
    fn exhaust(
        rules: &Penalties,
        offences: &mut Option<Offences>,
        now: Timestamp,
    ) -> Option<Penalty> {
        let mut begun = None;
        for _ in 0..rules.budget.limit {
            assert_eq!(begun, None, "the last failure of the budget begins it");
            let (after, penalty) = rules.fail(*offences, now);
            (*offences, begun) = (Some(after), penalty);
        }
        begun
    }

    #[test]
    fn failures_within_the_budget_have_no_penalty() {
        let mut offences = None;
        for minute in 0..100 {
            for _ in 0..2 {
                let (after, begun) = RULES.fail(offences, at(minute * 60));
                assert_eq!(begun, None);
                assert_eq!(RULES.held(&after, at(minute * 60)), None);
                offences = Some(after);
            }
        }
    }

    #[test]
    fn each_further_exhaustion_doubles_the_penalty_up_to_the_longest() {
        let (mut offences, mut now) = (None, at(0));
        let lengths: Vec<u64> = (1..=10)
            .map(|count| {
                let begun = exhaust(&RULES, &mut offences, now).expect("a penalty");
                assert_eq!(begun.count, count);
                now = now.plus(begun.left);
                begun.left.as_secs()
            })
            .collect();
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
    }

    #[test]
    fn a_penalty_tells_what_is_left_of_it_and_ends() {
        let mut offences = None;
        exhaust(&RULES, &mut offences, at(0));
        let offences = offences.expect("failed");
        let left = |now| RULES.held(&offences, now).map(|penalty| penalty.left);
        assert_eq!(left(at(0)), Some(Duration::from_secs(10)));
        assert_eq!(
            left(at(9).plus(Duration::from_millis(999))),
            Some(Duration::from_millis(1))
        );
        assert_eq!(left(at(10)), None);
    }

    #[test]
    fn a_quiet_time_wipes_the_slate() {
        for (quiet, length) in [(3599, 40), (3600, 10)] {
            let mut offences = None;
            exhaust(&RULES, &mut offences, at(0));
            exhaust(&RULES, &mut offences, at(10));
            let now = at(30 + quiet);
            assert_eq!(
                offences.expect("failed").is_over(now),
                quiet == 3600,
                "{quiet}"
            );
            let begun = exhaust(&RULES, &mut offences, now).expect("a penalty");
            assert_eq!(begun.left.as_secs(), length, "{quiet}");
        }
    }

    #[test]
    fn a_volley_gets_every_penalty_that_it_would_get_one_by_one() {
        let mut offences = None;
        let mut penalties = Vec::new();
        for _ in 0..9 {
            let (after, begun) = RULES.fail(offences, at(0));
            offences = Some(after);
            penalties.extend(begun.map(|penalty| penalty.left.as_secs()));
        }
        assert_eq!(penalties, [10, 20, 40]);
        let held = RULES.held(&offences.expect("failed"), at(0));
        assert_eq!(held.map(|penalty| penalty.left.as_secs()), Some(40));
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_for_longer_than_the_longest_penalty() {
        let mut offences = None;
        exhaust(&RULES, &mut offences, at(86_400));
        assert_eq!(RULES.held(&offences.expect("failed"), at(0)), None);
    }

    proptest! {
        /// Whatever an address does: each penalty is as long as its place in the row says, none is
        /// longer than the longest, and the row starts anew after a quiet time and only then.
        #[test]
        fn penalties_double_in_a_row_and_never_pass_their_bound(
            limit in 1u32..5,
            first in 1u64..100,
            longest in 100u64..2_000,
            gaps in proptest::collection::vec(prop_oneof![9 => 0u64..400, 1 => 3_000u64..8_000], 1..200),
        ) {
            let rules = Penalties {
                budget: Rate { limit, period: Duration::from_secs(60) },
                first: Duration::from_secs(first),
                longest: Duration::from_secs(longest),
                forget_after: Duration::from_secs(3600),
            };
            let mut offences = None;
            let mut now = at(0);
            // The model: how many in a row, and the last one's end.
            let (mut row, mut end) = (0u32, at(0));
            for gap in gaps {
                now = now.plus(Duration::from_secs(gap));
                let (after, begun) = rules.fail(offences, now);
                offences = Some(after);
                if let Some(penalty) = begun {
                    let quiet = row > 0 && now >= end.plus(rules.forget_after);
                    row = if quiet { 1 } else { row + 1 };
                    let wanted = (u128::from(first) << (row - 1).min(40)).min(u128::from(longest));
                    prop_assert_eq!(u128::from(penalty.left.as_secs()), wanted, "the {}th in a row", row);
                    prop_assert_eq!(penalty.count, row);
                    end = now.plus(penalty.left);
                }
                let left = rules.held(&after, now).map_or(Duration::ZERO, |held| held.left);
                prop_assert_eq!(left, end.since(now));
                prop_assert!(left <= rules.longest);
            }
        }

        /// An address that fails as often as it is let gets fewer guesses the longer it goes on: at
        /// last one budget for each longest penalty.
        #[test]
        fn whoever_fails_whenever_it_may_gets_one_budget_per_penalty(
            limit in 1u32..20,
            hours in 1i64..24,
        ) {
            let rules = Penalties { budget: Rate { limit, period: Duration::from_secs(60) }, ..RULES };
            let (mut offences, mut now, mut guesses) = (None, at(0), 0u64);
            let end = at(hours * 3600);
            while now < end {
                match offences.as_ref().and_then(|offences| rules.held(offences, now)) {
                    Some(penalty) => now = now.plus(penalty.left),
                    None => {
                        guesses += 1;
                        offences = Some(rules.fail(offences, now).0);
                    }
                }
            }
            // Seven penalties on the way to the longest, 1270 s in all.
            let penalties = 8 + u64::try_from(hours * 3600).unwrap() / 900;
            prop_assert!(guesses <= u64::from(limit) * penalties, "{guesses} guesses in {hours} h");
        }
    }
}
