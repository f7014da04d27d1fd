//! Points in time as Unix milliseconds. This module never asks what time it is: `now` is always
//! an argument. All arithmetic saturates, so that an absurd number in a token can neither panic
//! nor wrap round to a valid time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
/// Serialised as a JSON number of milliseconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The farthest point in time; stands for "never" where an end is compared.
    pub const MAX: Self = Self(i64::MAX);

    /// From Unix milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From Unix seconds (a NumericDate, RFC 7519 §2); saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Unix milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Unix seconds, rounded towards the past.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The point `duration` later; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The point `duration` earlier; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How far two clocks may disagree before a time in a credential counts against it.
/// 60 seconds unless set otherwise.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Leeway(pub Duration);

impl Default for Leeway {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(
            Timestamp::from_millis(i64::MIN).minus(Duration::MAX),
            Timestamp::from_millis(i64::MIN)
        );
        assert_eq!(Timestamp::from_secs(i64::MAX), Timestamp::MAX);
        let long = Timestamp::MAX.since(Timestamp::from_millis(i64::MIN));
        assert_eq!(long, Duration::from_millis(i64::MAX as u64));
    }

    #[test]
    fn seconds_round_towards_the_past() {
        assert_eq!(Timestamp::from_millis(1999).as_secs(), 1);
        assert_eq!(Timestamp::from_millis(-1).as_secs(), -1);
    }

    #[test]
    fn an_earlier_point_is_no_time_after_a_later_one() {
        let later = Timestamp::from_secs(10);
        assert_eq!(Timestamp::from_secs(5).since(later), Duration::ZERO);
        assert_eq!(later.since(Timestamp::from_secs(5)), Duration::from_secs(5));
    }

    #[test]
    fn a_timestamp_is_a_plain_number_in_json() {
        let text = serde_json::to_string(&Timestamp::from_millis(1_700_000_000_123)).unwrap();
        assert_eq!(text, "1700000000123");
        let back: Timestamp = serde_json::from_str(&text).unwrap();
        assert_eq!(back.as_millis(), 1_700_000_000_123);
    }
}
