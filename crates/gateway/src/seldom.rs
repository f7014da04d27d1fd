//! **Seldom**: a future that is asked again only once it has called.
//!
//! A connection's task is woken for every piece of a call. What ends the connection (the node
//! stops, its calls are spent) happens once, yet asking for it takes locks each time. This wrapper
//! remembers that the future was asked and leaves it alone until its own waker is used. It refuses
//! nothing and delays nothing: a future that is woken is asked at the very next poll.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;

/// See the module. Borrows the pinned future it watches.
pub(crate) struct Seldom<'a, F> {
    future: Pin<&'a mut F>,
    bell: Option<Arc<Bell>>,
}

/// The waker that the future is given: it notes the call and passes it on to the task.
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        // Noted before the task is woken, so that its poll finds it.
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<'a, F> Seldom<'a, F> {
    /// Watches `future`.
    pub(crate) fn new(future: Pin<&'a mut F>) -> Self {
        Self { future, bell: None }
    }
}

impl<F: Future> Future for Seldom<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(bell) = &self.bell
            && !bell.rung.load(Ordering::Acquire)
            && bell.task.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        // A new one each time the future is asked: a late ring of an old one costs a poll at most.
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            task: cx.waker().clone(),
        });
        let waker = Waker::from(bell.clone());
        self.bell = Some(bell);
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::future::poll_fn;
    use core::pin::pin;

    use super::*;

    #[test]
    fn it_is_asked_again_only_after_it_called_and_then_at_once() {
        let asked = Cell::new(0);
        let kept: Cell<Option<Waker>> = Cell::new(None);
        let done = Cell::new(false);
        let future = pin!(poll_fn(|cx| {
            asked.set(asked.get() + 1);
            kept.set(Some(cx.waker().clone()));
            if done.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        let mut seldom = Seldom::new(future);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10 {
            assert!(Pin::new(&mut seldom).poll(&mut cx).is_pending());
        }
        assert_eq!(asked.get(), 1);
        done.set(true);
        assert!(Pin::new(&mut seldom).poll(&mut cx).is_pending(), "no call");
        kept.take().expect("asked once").wake();
        assert!(Pin::new(&mut seldom).poll(&mut cx).is_ready());
        assert_eq!(asked.get(), 2);
    }

    #[tokio::test]
    async fn a_task_is_woken_through_it() {
        let notify = Arc::new(tokio::sync::Notify::new());
        let task = tokio::spawn({
            let notify = notify.clone();
            async move {
                let notified = pin!(notify.notified());
                Seldom::new(notified).await;
            }
        });
        tokio::task::yield_now().await;
        notify.notify_one();
        assert!(task.await.is_ok());
    }

    #[tokio::test]
    async fn it_follows_when_another_task_takes_over() {
        let notify = tokio::sync::Notify::new();
        let notified = pin!(notify.notified());
        let mut seldom = Seldom::new(notified);
        let mut other = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut seldom).poll(&mut other).is_pending());
        let ring = async {
            tokio::task::yield_now().await;
            notify.notify_one();
        };
        tokio::join!(seldom, ring);
    }
}
