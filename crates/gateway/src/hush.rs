//! **Hush**: keeps the wake-ups that a poll causes to itself from waking the task.
//!
//! The two ends of an upstream connection, hyper's sender and its machine, talk over channels, and
//! each message wakes the other end. Here both ends are polled by one task, so every message would
//! have the task polled once more for nothing. This waker notes what rings while the ends are being
//! polled and lets the poller look again itself; what rings at any other time, or is left over,
//! wakes the task. No ring is lost: it is noted before it is asked whether a poll is under way, and
//! the poll ends before it is asked whether something rang.

use core::sync::atomic::{AtomicU8, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;

use futures_util::task::AtomicWaker;

/// A poll is under way.
const WITHIN: u8 = 1;
/// Something rang meanwhile.
const RUNG: u8 = 2;
/// Looks per poll; more would keep other tasks waiting.
const LOOKS: u32 = 8;

/// See the module. One per connection; it serves one task at a time.
pub(crate) struct Hush {
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(RUNG, Ordering::AcqRel) & WITHIN == 0 {
            self.task.wake();
        }
    }
}

impl Hush {
    pub(crate) fn new() -> Self {
        let bell = Arc::new(Bell {
            state: AtomicU8::new(0),
            task: AtomicWaker::new(),
        });
        Self {
            waker: Waker::from(bell.clone()),
            bell,
        }
    }

    /// What rings from now on is for the next [`Hush::poll`], which must follow at once.
    pub(crate) fn begin(&self) {
        self.bell.state.fetch_or(WITHIN, Ordering::AcqRel);
    }

    /// Asks `look` until it is ready or nothing rang while it looked. What rang during a look that
    /// was ready is forgotten: whoever takes an answer polls again before it waits.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let bell = &*self.bell;
        bell.task.register(cx.waker());
        let mut own = Context::from_waker(&self.waker);
        for _ in 0..LOOKS {
            // What rang until now is seen by this look.
            bell.state.swap(WITHIN, Ordering::AcqRel);
            if let Poll::Ready(seen) = look(&mut own) {
                bell.state.store(0, Ordering::Release);
                return Poll::Ready(seen);
            }
            if bell.state.load(Ordering::Acquire) & RUNG == 0 {
                break;
            }
        }
        if bell.state.swap(0, Ordering::AcqRel) & RUNG != 0 {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn what_rings_within_a_poll_is_looked_at_and_wakes_nobody() {
        let (count, waker) = task();
        let hush = Hush::new();
        let looks = Cell::new(0);
        let polled = hush.poll(&mut Context::from_waker(&waker), |cx| {
            looks.set(looks.get() + 1);
            if looks.get() < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((looks.get(), count.0.load(Ordering::Relaxed)), (3, 0));
    }

    #[test]
    fn what_rings_after_a_poll_wakes_the_task_that_polled_last() {
        let ((one, first), (other, second)) = (task(), task());
        let hush = Hush::new();
        let kept: Cell<Option<Waker>> = Cell::new(None);
        for waker in [&first, &second] {
            let polled = hush.poll(&mut Context::from_waker(waker), |cx| {
                kept.set(Some(cx.waker().clone()));
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }
        kept.take().expect("polled").wake();
        assert_eq!(one.0.load(Ordering::Relaxed), 0);
        assert_eq!(other.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_poll_that_rings_without_end_yields_and_is_woken() {
        let (count, waker) = task();
        let hush = Hush::new();
        let looks = Cell::new(0);
        let polled = hush.poll(&mut Context::from_waker(&waker), |cx| {
            looks.set(looks.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(looks.get(), LOOKS);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn rings_of_other_threads_are_never_lost() {
        let hush = Hush::new();
        let flag = std::sync::atomic::AtomicBool::new(false);
        for _ in 0..2_000 {
            let (count, waker) = task();
            flag.store(false, Ordering::Relaxed);
            let kept = hush.waker.clone();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    flag.store(true, Ordering::Release);
                    kept.wake();
                });
                let polled = hush.poll(&mut Context::from_waker(&waker), |_| {
                    if flag.load(Ordering::Acquire) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                });
                if polled.is_pending() {
                    // The ring comes later, or came too late to be seen: either wakes the task.
                    while count.0.load(Ordering::Relaxed) == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    }
}
