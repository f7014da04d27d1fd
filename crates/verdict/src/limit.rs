//! **How much**: the arithmetic of rate limits (GCRA), free of clocks and tables.
//!
//! One state per key, one number: the *theoretical arrival time*. [`step`] is the whole rule; every
//! backend of [`crate::facts::Counters`] runs this very arithmetic, so that local and shared limits
//! give the same answers. IPv6 callers count per /64.

use core::net::IpAddr;
use core::time::Duration;

use proof::digest::sha256;
use proof::time::Timestamp;
use smallvec::SmallVec;

use crate::identity::{ApplicationId, Identity};
use crate::route::ApiName;

/// So many calls per period, with bursts up to the whole period's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Calls per `period`; at least 1.
    pub limit: u32,
    /// The period; at least 1 ms per call.
    pub period: Duration,
}

/// What a budget belongs to. The scope keeps budgets of different rules apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// A client address (IPv6: its /64), before authentication, under the rule that the number
    /// names: 0 is the door itself, any other an API ([`rule_number`]).
    Address(IpAddr, u64),
    /// A principal on an API: hash of (principal, API, rule).
    Principal(u64, u64),
    /// An application on an API: hash of (application, API).
    Application(u64, u64),
}

impl LimitKey {
    /// The budget of a client address, before authentication, under one rule.
    pub fn address(from: IpAddr, rule: u64) -> Self {
        Self::Address(folded(from), rule)
    }

    /// The budget of a caller at an API, under one of its rules.
    pub fn principal(identity: &Identity, api: &ApiName, rule: &str) -> Self {
        let principal = &identity.standing().principal;
        let issuer = identity.issuer().map_or("", |issuer| issuer.as_str());
        let [high, low] =
            stable_hash(&[principal.kind(), issuer, principal.id(), api.as_str(), rule]);
        Self::Principal(high, low)
    }

    /// The budget that all credentials of an application share at an API.
    pub fn application(application: &ApplicationId, api: &ApiName) -> Self {
        let [high, low] = stable_hash(&["application", application.as_str(), api.as_str()]);
        Self::Application(high, low)
    }
}

/// The number of an API's rule for addresses: APIs don't spend each other's budgets.
pub fn rule_number(api: &ApiName) -> u64 {
    stable_hash(&["address", api.as_str()])[0]
}

/// One subscriber's line holds a whole /64 of IPv6, so its addresses count as one; an IPv4 address
/// mapped into IPv6 is that IPv4 address.
pub fn folded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// 128 bits that name a list of texts, the same on every node and in every version. Subjects of
/// foreign issuers are chosen by strangers, so the hash is one for which nobody can make two lists
/// meet: else a caller could spend another's budget.
pub fn stable_hash(parts: &[&str]) -> [u64; 2] {
    let mut bytes: SmallVec<[u8; 256]> = SmallVec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let digest = sha256(&bytes);
    let (words, _) = digest.as_chunks::<8>();
    [u64::from_be_bytes(words[0]), u64::from_be_bytes(words[1])]
}

/// What came of asking for a place in a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether the call may pass.
    pub allowed: bool,
    /// The budget's size.
    pub limit: u32,
    /// Calls left right now.
    pub remaining: u32,
    /// When the next call may pass (zero if one may now), for `Retry-After`.
    pub retry_after: Duration,
    /// When the budget is whole again, for `RateLimit`.
    pub reset_after: Duration,
}

/// The state of one budget: the theoretical arrival time in microseconds since 1970. A backend
/// stores this one number; once it lies in the past the budget is whole and the entry may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(i64);

impl Arrival {
    /// A stored state.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// What to store.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    /// Whether the budget is whole again, whatever its rate.
    pub fn is_whole(self, now: Timestamp) -> bool {
        self.0 <= micros(now)
    }
}

/// One step of GCRA: takes `cost` calls out of a budget, all or nothing. `before` is the stored
/// state (`None`: never seen), the returned [`Arrival`] the state to store. A refusal leaves the
/// state as it was, so that hammering does not prolong the wait. A cost of 0 asks and takes
/// nothing; a cost above the limit never passes.
pub fn step(before: Option<Arrival>, rate: &Rate, cost: u32, now: Timestamp) -> (Arrival, Taken) {
    let limit = i64::from(rate.limit.max(1));
    let period = i64::try_from(rate.period.as_micros()).unwrap_or(i64::MAX / 4);
    let interval = (period / limit).max(1);
    let burst = interval.saturating_mul(limit);
    let now = micros(now);
    // A state beyond a whole burst is left over from a larger rate or a clock that was set back:
    // it counts as an empty budget, not as a longer punishment.
    let state = before.map_or(now, |Arrival(at)| at.clamp(now, now.saturating_add(burst)));
    let asked = state.saturating_add(interval.saturating_mul(i64::from(cost)));
    let ends = now.saturating_add(burst);
    let allowed = asked <= ends;
    let after = if allowed { asked } else { state };
    let left = ends.saturating_sub(after) / interval;
    let taken = Taken {
        allowed,
        limit: rate.limit.max(1),
        remaining: u32::try_from(left).unwrap_or(u32::MAX),
        retry_after: match (allowed, left) {
            (true, 1..) => Duration::ZERO,
            (true, _) => span(after.saturating_add(interval).saturating_sub(ends)),
            (false, _) => span(asked.saturating_sub(ends)),
        },
        reset_after: span(after.saturating_sub(now)),
    };
    (Arrival(after), taken)
}

fn micros(at: Timestamp) -> i64 {
    at.as_millis().saturating_mul(1000)
}

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN_PER_SECOND: Rate = Rate {
        limit: 10,
        period: Duration::from_secs(1),
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    /// Calls at the given milliseconds: which pass?
    fn run(rate: &Rate, calls: impl IntoIterator<Item = i64>) -> Vec<bool> {
        let mut state = None;
        calls
            .into_iter()
            .map(|millis| {
                let (after, taken) = step(state, rate, 1, at(millis));
                state = Some(after);
                taken.allowed
            })
            .collect()
    }

    #[test]
    fn a_whole_budget_may_be_spent_at_once_and_no_more() {
        let passed = run(&TEN_PER_SECOND, [0; 12]);
        assert_eq!(passed.iter().filter(|passed| **passed).count(), 10);
    }

    #[test]
    fn a_spent_budget_comes_back_call_by_call() {
        let spent = [0; 10];
        let passed = run(
            &TEN_PER_SECOND,
            spent.into_iter().chain([99, 100, 150, 200]),
        );
        assert_eq!(passed[10..], [false, true, false, true]);
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_does_not_prolong_the_wait() {
        let mut state = None;
        for _ in 0..10 {
            state = Some(step(state, &TEN_PER_SECOND, 1, at(0)).0);
        }
        for _ in 0..1000 {
            let (after, taken) = step(state, &TEN_PER_SECOND, 1, at(40));
            assert_eq!(
                (taken.allowed, taken.retry_after),
                (false, Duration::from_millis(60))
            );
            assert_eq!(
                (taken.remaining, taken.reset_after),
                (0, Duration::from_millis(960))
            );
            state = Some(after);
        }
        assert!(step(state, &TEN_PER_SECOND, 1, at(100)).1.allowed);
    }

    #[test]
    fn a_cost_is_taken_whole_or_not_at_all() {
        let (state, taken) = step(None, &TEN_PER_SECOND, 8, at(0));
        assert_eq!((taken.allowed, taken.remaining), (true, 2));
        let (state, taken) = step(Some(state), &TEN_PER_SECOND, 3, at(0));
        assert_eq!((taken.allowed, taken.remaining), (false, 2));
        assert!(step(Some(state), &TEN_PER_SECOND, 2, at(0)).1.allowed);
        assert!(!step(None, &TEN_PER_SECOND, 11, at(0)).1.allowed);
    }

    #[test]
    fn a_clock_that_was_set_back_costs_at_most_one_period() {
        let (state, _) = step(None, &TEN_PER_SECOND, 1, at(3_600_000));
        let (_, taken) = step(Some(state), &TEN_PER_SECOND, 1, at(0));
        assert!(!taken.allowed);
        assert!(taken.retry_after <= Duration::from_secs(1));
    }

    #[test]
    fn callers_of_one_ipv6_network_share_a_budget() {
        let key = |address: &str| LimitKey::address(address.parse().unwrap(), 0);
        assert_eq!(
            key("2001:db8:0:1::1"),
            key("2001:db8:0:1:ffff:ffff:ffff:ffff")
        );
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
        assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
    }

    #[test]
    fn a_stable_hash_keeps_its_value_and_its_parts_apart() {
        // Counters that nodes share hold this value: it may not change.
        assert_eq!(
            stable_hash(&["user", "alice"]),
            [0x10525c3837009a4b, 0x84606ecbde2d9d6f]
        );
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
        assert_ne!(stable_hash(&["a", ""]), stable_hash(&["a"]));
    }

    /// The same rule as a bucket that is refilled drop by drop, in exact numbers.
    struct Bucket {
        level: i64,
        seen: i64,
    }

    impl Bucket {
        fn take(&mut self, rate: &Rate, cost: u32, micros: i64) -> bool {
            let drop = i64::try_from(rate.period.as_micros()).unwrap() / i64::from(rate.limit);
            let whole = drop * i64::from(rate.limit);
            self.level = (self.level + (micros - self.seen)).min(whole);
            self.seen = micros;
            let wanted = drop * i64::from(cost);
            let passes = self.level >= wanted;
            if passes {
                self.level -= wanted;
            }
            passes
        }
    }

    proptest! {
        #[test]
        fn h08_no_window_of_one_period_lets_more_than_two_budgets_pass(
            limit in 1u32..50,
            gaps in proptest::collection::vec(0i64..200, 1..300),
        ) {
            let rate = Rate { limit, period: Duration::from_secs(1) };
            let times: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let passed = run(&rate, times.iter().copied());
            let times: Vec<i64> = times.iter().zip(passed).filter(|(_, ok)| *ok).map(|(t, _)| *t).collect();
            for start in &times {
                let inside = times.iter().filter(|t| (*start..start + 1000).contains(t)).count();
                prop_assert!(inside <= 2 * limit as usize, "{inside} calls in a second at {limit}/s");
            }
        }

        #[test]
        fn the_rule_is_that_of_a_bucket_refilled_drop_by_drop(
            limit in 1u32..50,
            calls in proptest::collection::vec((0i64..200, 0u32..4), 1..300),
        ) {
            let rate = Rate { limit, period: Duration::from_secs(1) };
            let mut bucket = Bucket { level: i64::from(u32::MAX), seen: 0 };
            let mut state = None;
            let mut millis = 0;
            for (gap, cost) in calls {
                millis += gap;
                let (after, taken) = step(state, &rate, cost, at(millis));
                state = Some(after);
                let passes = bucket.take(&rate, cost, at(millis).as_millis() * 1000);
                prop_assert_eq!(taken.allowed, passes, "at {} ms", millis);
                let drop = 1_000_000 / i64::from(limit);
                prop_assert_eq!(i64::from(taken.remaining), bucket.level / drop);
            }
        }

        #[test]
        fn a_call_that_waits_as_it_was_told_passes(
            limit in 1u32..50,
            cost in 1u32..50,
            before in 0u32..60,
        ) {
            let rate = Rate { limit, period: Duration::from_secs(1) };
            let mut state = None;
            for _ in 0..before {
                state = Some(step(state, &rate, 1, at(0)).0);
            }
            let (after, taken) = step(state, &rate, cost.min(limit), at(0));
            if !taken.allowed {
                let wait = i64::try_from(taken.retry_after.as_micros().div_ceil(1000)).unwrap();
                prop_assert!(step(Some(after), &rate, cost.min(limit), at(wait)).1.allowed);
                prop_assert!(!step(Some(after), &rate, cost.min(limit), at(wait - 1)).1.allowed || wait == 0);
            }
        }
    }
}
