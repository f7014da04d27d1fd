//! **Limits of the door itself**: what its settings mean.

use core::time::Duration;

use registry::units::Size;
use verdict::penalty::Penalties;

use super::Meaning;
use crate::settings::written;

impl Meaning<'_> {
    /// How many bytes of bodies may be held at once.
    pub(super) fn held_bodies(&mut self, written: &str) -> Option<u64> {
        let path = ["limits", "held_bodies"];
        let hint = "write `64MiB`, or leave it out";
        let bytes = self.parsed(written.parse::<Size>(), &path, hint)?.0;
        // Twice the longest body that rules read.
        if !(8 << 20..=64 << 30).contains(&bytes) {
            self.flaw(
                &path,
                "the room for bodies must lie between 8MiB and 64GiB",
                hint,
            );
        }
        Some(bytes)
    }

    /// What comes of failing too often; `None`: nobody is held back.
    pub(super) fn penalties(&mut self, written: &written::Limits) -> Option<Penalties> {
        const SECOND: Duration = Duration::from_secs(1);
        const DAY: Duration = Duration::from_secs(86_400);
        let budget = self.rate(
            &written.failures_per_address,
            &["limits", "failures_per_address"],
        );
        let penalty = &written.penalty;
        let hint = "write `first: 10s`, `longest: 15m`, `forget_after: 1h`, or leave them out";
        let mut within = |text: &str, key, least: Duration, most: Duration, says| {
            let path = ["limits", "penalty", key];
            let flaws = self.flaws.len();
            let length = self.period(text, &path);
            if self.flaws.len() == flaws && !(least..=most).contains(&length) {
                self.flaw(&path, says, hint);
            }
            length
        };
        let first = within(
            &penalty.first,
            "first",
            SECOND,
            3600 * SECOND,
            "the first penalty must last between 1s and 1h",
        );
        let longest = within(
            &penalty.longest,
            "longest",
            first,
            DAY,
            "the longest penalty can't be shorter than the first, nor longer than 1d",
        );
        let forget_after = within(
            &penalty.forget_after,
            "forget_after",
            60 * SECOND,
            7 * DAY,
            "penalties must be forgotten between 1m and 7d after the last one",
        );
        Some(Penalties {
            budget: budget?,
            first,
            longest,
            forget_after,
        })
    }
}
