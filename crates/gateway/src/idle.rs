//! **Silence**: a timer that runs only while nothing comes.
//!
//! Bodies are bounded in time by their longest silence, not by their length in seconds: a slow
//! upload of a large file is fine, a stalled one is not. The timer costs nothing while data flows:
//! it is armed at the first empty poll and forgotten at the next frame.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use tokio::time::{Instant, Sleep};

/// Counts silence; see the module.
pub(crate) struct IdleTimer {
    after: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl IdleTimer {
    /// A timer that expires `after` so much silence.
    pub(crate) fn new(after: Duration) -> Self {
        Self {
            after,
            sleep: None,
            armed: false,
        }
    }

    /// Something came: the silence is over.
    pub(crate) fn progress(&mut self) {
        self.armed = false;
    }

    /// Ready once the silence has lasted too long. To be polled only when nothing came.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = if self.armed {
            None
        } else {
            Instant::now().checked_add(self.after)
        };
        self.armed = true;
        let sleep = match (&mut self.sleep, deadline) {
            (Some(sleep), Some(deadline)) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            (Some(sleep), None) => sleep,
            (empty, Some(deadline)) => empty.insert(Box::pin(tokio::time::sleep_until(deadline))),
            // A silence longer than the clock can count never ends.
            (None, None) => return Poll::Pending,
        };
        sleep.as_mut().poll(cx)
    }
}
