//! Dates as signed requests and tokens write them: HTTP's (RFC 9110 §5.6.7), RFC 3339's, and the
//! basic form of ISO 8601 that AWS Signature Version 4 uses. Years 1970 to 9999 of the Gregorian
//! calendar in UTC. It knows no time zone names, no leap seconds and no clock, and it refuses
//! dates that don't exist.

use std::time::Duration;

use crate::time::Timestamp;

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A date and time of day in UTC.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Civil {
    /// 1970 to 9999.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
}

impl Civil {
    /// The date and time of a point in time, fractions of a second cut off. Points before 1970
    /// or after 9999 give the nearest that can be written.
    pub fn of(time: Timestamp) -> Self {
        const LAST: i64 = 253_402_300_799;
        let secs = time.as_secs().clamp(0, LAST);
        let (days, rest) = (secs / DAY, secs % DAY);
        // Howard Hinnant's civil_from_days: years that begin in March, eras of 400 years.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// The point in time; `None` for a date or time of day that does not exist.
    pub fn timestamp(self) -> Option<Timestamp> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days_in_month = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let exists = (1970..=9999).contains(&self.year)
            && (1..=days_in_month).contains(&self.day)
            && (0..24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second);
        if !exists {
            return None;
        }
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let from_march = (self.month + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let secs = days * DAY + self.hour * 3600 + self.minute * 60 + self.second;
        Some(Timestamp::from_secs(secs))
    }
}

/// `20130524T000000Z`, the `X-Amz-Date` of Signature Version 4.
pub fn basic(time: Timestamp) -> String {
    let at = Civil::of(time);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
}

/// Reads [`basic`]'s form and no other.
pub fn parse_basic(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    Civil {
        year: digits(&bytes[..4])?,
        month: digits(&bytes[4..6])?,
        day: digits(&bytes[6..8])?,
        hour: digits(&bytes[9..11])?,
        minute: digits(&bytes[11..13])?,
        second: digits(&bytes[13..15])?,
    }
    .timestamp()
}

/// `Fri, 24 May 2013 00:00:00 GMT`, the IMF-fixdate of RFC 9110 §5.6.7.
pub fn http_date(time: Timestamp) -> String {
    let at = Civil::of(time);
    let weekday = WEEKDAYS[usize::try_from(time.as_secs().max(0) / DAY % 7).unwrap_or(0)];
    let month = MONTHS[usize::try_from(at.month - 1).unwrap_or(0)];
    format!(
        "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        at.day, at.year, at.hour, at.minute, at.second
    )
}

/// Reads [`http_date`]'s form; the obsolete ones and a wrong day of the week are refused.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 29 || !text.is_ascii() || !text.ends_with(" GMT") {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == &text[8..11])?;
    let time = Civil {
        year: digits(&bytes[12..16])?,
        month: i64::try_from(month).ok()? + 1,
        day: digits(&bytes[5..7])?,
        hour: digits(&bytes[17..19])?,
        minute: digits(&bytes[20..22])?,
        second: digits(&bytes[23..25])?,
    }
    .timestamp()?;
    (http_date(time) == text).then_some(time)
}

/// `2022-01-01T00:00:00+00:00`, as PASETO's claims are written (RFC 3339 §5.6).
pub fn rfc3339(time: Timestamp) -> String {
    let at = Civil::of(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}+00:00",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
}

/// Reads an RFC 3339 date-time with any offset and up to nine digits of a second's fraction;
/// milliseconds are kept. `T` and `Z` must be upper case (RFC 3339 §5.6 lets a protocol say so).
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if !(20..=35).contains(&bytes.len()) || !text.is_ascii() {
        return None;
    }
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
        return None;
    }
    let whole = Civil {
        year: digits(&bytes[..4])?,
        month: digits(&bytes[5..7])?,
        day: digits(&bytes[8..10])?,
        hour: digits(&bytes[11..13])?,
        minute: digits(&bytes[14..16])?,
        second: digits(&bytes[17..19])?,
    }
    .timestamp()?;
    let rest = &text[19..];
    let (millis, offset) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(fraction) => {
            let end = fraction.bytes().position(|b| !b.is_ascii_digit())?;
            if !(1..=9).contains(&end) {
                return None;
            }
            let millis: i64 = format!("{:0<3.3}", &fraction[..end]).parse().ok()?;
            (millis, &fraction[end..])
        }
    };
    let offset = offset.as_bytes();
    let offset_minutes = match offset {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let shift = Duration::from_secs(offset_minutes.unsigned_abs() * 60);
    let local = Timestamp::from_millis(whole.as_millis() + millis);
    Some(if offset_minutes >= 0 {
        local.minus(shift)
    } else {
        local.plus(shift)
    })
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number: i64, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_are_written_and_read() {
        for (secs, basic_text, http_text, rfc_text) in [
            (
                0,
                "19700101T000000Z",
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "1970-01-01T00:00:00+00:00",
            ),
            // RFC 9110 §5.6.7
            (
                784_111_777,
                "19941106T084937Z",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "1994-11-06T08:49:37+00:00",
            ),
            (
                951_782_399,
                "20000228T235959Z",
                "Mon, 28 Feb 2000 23:59:59 GMT",
                "2000-02-28T23:59:59+00:00",
            ),
            (
                951_782_400,
                "20000229T000000Z",
                "Tue, 29 Feb 2000 00:00:00 GMT",
                "2000-02-29T00:00:00+00:00",
            ),
            (
                1_618_884_473,
                "20210420T020753Z",
                "Tue, 20 Apr 2021 02:07:53 GMT",
                "2021-04-20T02:07:53+00:00",
            ),
        ] {
            let time = Timestamp::from_secs(secs);
            assert_eq!(basic(time), basic_text);
            assert_eq!(parse_basic(basic_text), Some(time));
            assert_eq!(http_date(time), http_text);
            assert_eq!(parse_http_date(http_text), Some(time));
            assert_eq!(rfc3339(time), rfc_text);
            assert_eq!(parse_rfc3339(rfc_text), Some(time));
        }
    }

    #[test]
    fn offsets_and_fractions_are_understood() {
        // RFC 3339 §5.8
        for (text, millis) in [
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000),
            ("1996-12-20T00:39:57Z", 851_042_397_000),
            ("1937-01-01T12:00:27.87+00:20", -1),
            ("2022-01-01T01:00:00.123456789+01:00", 1_640_995_200_123),
        ] {
            let expected = (millis >= 0).then(|| Timestamp::from_millis(millis));
            assert_eq!(parse_rfc3339(text), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_exist_or_is_written_otherwise_is_refused() {
        for text in [
            "20210229T000000Z",
            "20210001T000000Z",
            "20211301T000000Z",
            "20210101T240000Z",
            "20210101T000060Z",
            "20210101T000000",
            "20210101 000000Z",
            "2021-1-1T000000Z",
            "19691231T235959Z",
            "+0210101T000000Z",
        ] {
            assert_eq!(parse_basic(text), None, "{text}");
        }
        for text in [
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
        for text in [
            "2022-01-01",
            "2022-01-01T00:00:00",
            "2022-01-01t00:00:00Z",
            "2022-01-01T00:00:00z",
            "2022-01-01 00:00:00Z",
            "2022-01-01T00:00:00.Z",
            "2022-01-01T00:00:00.1234567890Z",
            "2022-01-01T00:00:00+24:00",
            "2022-01-01T00:00:00+0100",
            "2022-01-01T00:00:60Z",
            "2022-02-30T00:00:00Z",
            "1641000000",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_survives_each_form(secs in 0..253_402_300_800_i64) {
            let time = Timestamp::from_secs(secs);
            prop_assert_eq!(parse_basic(&basic(time)), Some(time));
            prop_assert_eq!(parse_http_date(&http_date(time)), Some(time));
            prop_assert_eq!(parse_rfc3339(&rfc3339(time)), Some(time));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,40}") {
            let _ = (parse_basic(&text), parse_http_date(&text), parse_rfc3339(&text));
        }
    }
}
