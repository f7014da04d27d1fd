//! **The clock of heads**: tells the rest between calls from the slowness of a head.
//!
//! hyper starts one clock when a connection begins to wait for a head, whether or not a byte of it
//! has come. One number would have to serve both as the rest that a kept-alive connection may take
//! (long) and as the time that a head may take (short). This clock has both: until the first byte
//! it counts the rest, after it the head, in total: no byte sets it back.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use parking_lot::Mutex;

/// See the module. One per connection.
#[derive(Clone)]
pub(super) struct HeadClock(Arc<Shared>);

struct Shared {
    head: Duration,
    idle: Duration,
    state: Mutex<State>,
}

struct State {
    /// When the connection began to wait for this head.
    since: Instant,
    /// When the first byte of it came.
    first_byte: Option<Instant>,
    /// One timer for all heads of the connection: set anew only when it rings too early.
    alarm: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl HeadClock {
    pub(super) fn new(head: Duration, idle: Duration) -> Self {
        let state = State {
            since: Instant::now(),
            first_byte: None,
            alarm: None,
        };
        Self(Arc::new(Shared {
            head,
            idle,
            state: Mutex::new(state),
        }))
    }
}

impl Timer for HeadClock {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now())
    }

    /// The deadline is the clock's own affair.
    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        let mut state = self.0.state.lock();
        state.since = Instant::now();
        state.first_byte = None;
        Box::pin(Ring(self.0.clone()))
    }
}

/// Rings when a head took too long to come, or to begin.
struct Ring(Arc<Shared>);

impl Sleep for Ring {}

impl Future for Ring {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &*self.0;
        let mut state = shared.state.lock();
        let due = match state.first_byte {
            None => state.since + shared.idle,
            Some(first) => first + shared.head,
        };
        let due = tokio::time::Instant::from_std(due);
        loop {
            let alarm = state
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // Rings too late: the head's time is shorter than the rest it was set for.
            if alarm.deadline() > due {
                alarm.as_mut().reset(due);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if tokio::time::Instant::now() >= due {
                state.alarm = None;
                return Poll::Ready(());
            }
            // Rang for an earlier head.
            alarm.as_mut().reset(due);
        }
    }
}

/// A connection's bytes, with an eye on when they come.
pub(super) struct Watched<T> {
    io: T,
    shared: Arc<Shared>,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, clock: &HeadClock) -> Self {
        Self {
            io,
            shared: clock.0.clone(),
        }
    }
}

impl<T: Read + Unpin> Read for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            let mut state = self.shared.state.lock();
            if state.first_byte.is_none() {
                state.first_byte = Some(Instant::now());
            }
        }
        polled
    }
}

impl<T: Write + Unpin> Write for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
