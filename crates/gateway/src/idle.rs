//! **Silence**: a timer that runs only while nothing comes.
//!
//! Bodies are bounded in time by their longest silence, not by their length in seconds: a slow
//! upload of a large file is fine, a stalled one is not. The timer costs nothing while data flows:
//! it is armed at the first empty poll and forgotten at the next frame.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
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

/// A timer for deadlines that mostly move on before they are due: it is set anew only when it rings
/// too early or would ring too late, which spares the runtime's timer wheel a visit per call.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes when it rings.
    wakes: Option<Waker>,
}

impl Alarm {
    /// Ready once `due` has passed.
    pub(crate) fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        } else if !sleep.is_elapsed()
            && self.wakes.as_ref().is_some_and(|w| w.will_wake(cx.waker()))
        {
            // It is set, and knows whom to wake.
            return Poll::Pending;
        }
        loop {
            // A task that has used up its turn is put off before the sleep has noted whom to wake.
            let noted = tokio::task::coop::has_budget_remaining();
            if sleep.as_mut().poll(cx).is_pending() {
                self.wakes = noted.then(|| cx.waker().clone());
                return Poll::Pending;
            }
            if Instant::now() >= due {
                *self = Self::default();
                return Poll::Ready(());
            }
            // It rang for an earlier deadline.
            sleep.as_mut().reset(due);
        }
    }
}
