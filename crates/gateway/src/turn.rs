//! **Turn**: one look at the clock per poll of a connection.
//!
//! A poll takes microseconds and asks what time it is in many places, for deadlines of seconds. The
//! connection looks once when its turn begins, and whatever runs within the turn is told that
//! instant; outside of any turn the clock itself answers. Not for measuring how long something took
//! within a turn.

use core::cell::Cell;
use std::time::Instant;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// When the turn began that is under way on this thread, or now.
pub(crate) fn now() -> Instant {
    BEGAN.get().unwrap_or_else(Instant::now)
}

/// A turn, until it is dropped.
pub(crate) struct Turn(());

impl Turn {
    /// Looks at the clock.
    pub(crate) fn begin() -> Self {
        BEGAN.set(Some(Instant::now()));
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BEGAN.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_within_a_turn_and_only_there() {
        let turn = Turn::begin();
        let within = now();
        std::thread::sleep(core::time::Duration::from_millis(2));
        assert_eq!(now(), within);
        drop(turn);
        assert!(now() > within);
    }
}
