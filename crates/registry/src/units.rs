//! **Human units**: how durations, sizes, rates and points in time are written, `10m`, `1MiB`,
//! `100/s`, `2027-01-31T00:00:00Z`. The unit always stands in the value; a bare number is refused
//! with the sentence that says how to write it, since `timeout: 30` means different things to
//! different readers.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::borrow::Cow;

use proof::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a value with a unit. The sentences are shown as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUnit {
    /// Not a duration.
    #[error("a duration is a whole number and a unit: ms, s, m, h or d, for example `10m`")]
    Period,
    /// Not a size.
    #[error("a size is a whole number and a unit: B, KiB, MiB or GiB, for example `1MiB`")]
    Size,
    /// Not a rate.
    #[error("a rate is a whole number per s, m, h or d, for example `100/s`")]
    Frequency,
    /// Not a point in time.
    #[error("a time is written as in RFC 3339, for example `2027-01-31T00:00:00Z`")]
    Moment,
    /// Too large for what it measures.
    #[error("the value is too large")]
    TooLarge,
    /// A rate of nothing.
    #[error("a rate lets at least one call pass")]
    NoCalls,
    /// A rate that the clock can't tell apart.
    #[error("a rate is at most 1000 calls per second")]
    TooFast,
}

/// Splits `10m` into the number and its unit. Digits only, no sign, no leading zero but `0`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().ok()?, unit))
}

/// A length of time, e.g. `500ms`, `10m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

/// Units of a period in milliseconds, longest first.
const PERIODS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Period {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    /// So many minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self(Duration::from_secs(minutes * 60))
    }
}

impl FromStr for Period {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let (number, unit) = number_and_unit(text).ok_or(BadUnit::Period)?;
        let (_, millis) = PERIODS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or(BadUnit::Period)?;
        let total = number.checked_mul(millis).ok_or(BadUnit::TooLarge)?;
        // A hundred years: beyond that it is a mistake, and sums of times would overflow.
        if total > 100 * 366 * 86_400_000 {
            return Err(BadUnit::TooLarge);
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        let (unit, size) = PERIODS
            .into_iter()
            .find(|(_, size)| millis.is_multiple_of(*size))
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", millis / size)
    }
}

/// A number of bytes, e.g. `64KiB`, `1MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// Units of a size in bytes, largest first.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for Size {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let (number, unit) = number_and_unit(text).ok_or(BadUnit::Size)?;
        let (_, bytes) = SIZES
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or(BadUnit::Size)?;
        let total = number.checked_mul(bytes).ok_or(BadUnit::TooLarge)?;
        if total > 1 << 50 {
            Err(BadUnit::TooLarge)
        } else {
            Ok(Self(total))
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = if self.0 == 0 {
            ("B", 1)
        } else {
            SIZES
                .into_iter()
                .find(|(_, size)| self.0.is_multiple_of(*size))
                .unwrap_or(("B", 1))
        };
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// Calls per time, e.g. `100/s`, `6000/m`, `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frequency {
    /// Calls per `per`; at least 1.
    pub calls: u32,
    /// A second, a minute, an hour or a day.
    pub per: Duration,
}

/// What a frequency can be per, in seconds.
const RATES: [(&str, u64); 4] = [("/d", 86_400), ("/h", 3_600), ("/m", 60), ("/s", 1)];

impl FromStr for Frequency {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let (number, unit) = number_and_unit(text).ok_or(BadUnit::Frequency)?;
        let (_, seconds) = RATES
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or(BadUnit::Frequency)?;
        let calls = u32::try_from(number).map_err(|_| BadUnit::TooLarge)?;
        if calls == 0 {
            return Err(BadUnit::NoCalls);
        }
        // `verdict::limit::Rate` counts in milliseconds: at least one per call.
        if u64::from(calls) > seconds * 1_000 {
            return Err(BadUnit::TooFast);
        }
        Ok(Self {
            calls,
            per: Duration::from_secs(seconds),
        })
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = RATES
            .into_iter()
            .find(|(_, seconds)| *seconds == self.per.as_secs())
            .map_or("/s", |(unit, _)| unit);
        write!(f, "{}{unit}", self.calls)
    }
}

impl From<Frequency> for verdict::limit::Rate {
    fn from(written: Frequency) -> Self {
        Self {
            limit: written.calls,
            period: written.per,
        }
    }
}

/// A point in time (RFC 3339).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Timestamp);

impl FromStr for Moment {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| BadUnit::Moment)?;
        Ok(Self(Timestamp::from_millis(instant.as_millisecond())))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.as_millis()) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

macro_rules! written_as_text {
    ($type:ident, $name:literal, $bad:expr, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($name, " with its unit"))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, _: u64) -> Result<$type, E> {
                        Err(E::custom($bad))
                    }
                    fn visit_i64<E: de::Error>(self, _: i64) -> Result<$type, E> {
                        Err(E::custom($bad))
                    }
                    fn visit_f64<E: de::Error>(self, _: f64) -> Result<$type, E> {
                        Err(E::custom($bad))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $bad.to_string(), "pattern": $pattern })
            }
        }
    };
}

written_as_text!(
    Period,
    "a duration",
    BadUnit::Period,
    "^(0|[1-9][0-9]*)(ms|s|m|h|d)$"
);
written_as_text!(
    Size,
    "a size",
    BadUnit::Size,
    "^(0|[1-9][0-9]*)(B|KiB|MiB|GiB)$"
);
written_as_text!(
    Frequency,
    "a rate",
    BadUnit::Frequency,
    "^[1-9][0-9]*/[smhd]$"
);
written_as_text!(
    Moment,
    "a time",
    BadUnit::Moment,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_units_survive_their_text_form() {
        for text in ["500ms", "2s", "10m", "1h", "7d", "0s", "90s"] {
            assert_eq!(
                text.parse::<Period>().map(|v| v.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in ["0B", "1B", "64KiB", "1MiB", "3GiB", "1500B"] {
            assert_eq!(
                text.parse::<Size>().map(|v| v.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in ["100/s", "6000/m", "1000/h", "1/d"] {
            assert_eq!(
                text.parse::<Frequency>().map(|v| v.to_string()).as_deref(),
                Ok(text)
            );
        }
        assert_eq!(
            "2027-01-31T00:00:00Z"
                .parse::<Moment>()
                .map(|v| v.to_string())
                .as_deref(),
            Ok("2027-01-31T00:00:00Z")
        );
    }

    #[test]
    fn longer_units_are_preferred_when_writing() {
        assert_eq!(Period::seconds(600).to_string(), "10m");
        assert_eq!(Period::seconds(604_800).to_string(), "7d");
        assert_eq!(Size(1_048_576).to_string(), "1MiB");
    }

    #[test]
    fn whatever_lacks_its_unit_is_refused_with_one_sentence() {
        for text in [
            "", "10", "m", "1.5s", "-1s", "+1s", "010s", "1 s", "1w", "1M", "1hs",
        ] {
            assert_eq!(text.parse::<Period>(), Err(BadUnit::Period), "{text:?}");
        }
        for text in ["1", "1MB", "1mib", "1.5MiB", "0x1B"] {
            assert_eq!(text.parse::<Size>(), Err(BadUnit::Size), "{text:?}");
        }
        for text in ["100", "100/", "/s", "100/w", "100 / s"] {
            assert_eq!(
                text.parse::<Frequency>(),
                Err(BadUnit::Frequency),
                "{text:?}"
            );
        }
        for text in ["tomorrow", "2027-01-31", "1700000000"] {
            assert_eq!(text.parse::<Moment>(), Err(BadUnit::Moment), "{text:?}");
        }
        assert_eq!("0/s".parse::<Frequency>(), Err(BadUnit::NoCalls));
        assert_eq!("1001/s".parse::<Frequency>(), Err(BadUnit::TooFast));
        assert_eq!(
            "99999999999999999d".parse::<Period>(),
            Err(BadUnit::TooLarge)
        );
        assert_eq!("99999999999GiB".parse::<Size>(), Err(BadUnit::TooLarge));
    }

    #[test]
    fn a_bare_number_in_a_document_is_told_how_to_write_it() {
        let error = serde_json::from_str::<Period>("30").expect_err("has no unit");
        assert!(
            error.to_string().starts_with(&BadUnit::Period.to_string()),
            "{error}"
        );
    }
}
