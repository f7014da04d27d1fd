//! **The clock of heads**: tells the rest between calls from the slowness of a head.
//!
//! hyper starts one clock when a connection begins to wait for a head, whether or not a byte of it
//! has come. One number would have to serve both as the rest that a kept-alive connection may take
//! (long) and as the time that a head may take (short). This clock has both: until the first byte
//! it counts the rest, after it the head, in total: no byte sets it back.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use parking_lot::Mutex;

use crate::idle::{Alarm, IdleTimer};
use crate::turn;

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
    /// One for all heads of the connection.
    alarm: Alarm,
}

impl HeadClock {
    pub(super) fn new(head: Duration, idle: Duration) -> Self {
        let state = State {
            since: Instant::now(),
            first_byte: None,
            alarm: Alarm::default(),
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

    fn now(&self) -> Instant {
        turn::now()
    }

    /// The deadline is the clock's own affair.
    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        let mut state = self.0.state.lock();
        state.since = turn::now();
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
        state
            .alarm
            .poll_due(tokio::time::Instant::from_std(due), cx)
    }
}

/// Bytes of an answer in several pieces that go out as one: copying them is cheaper than having the
/// system gather them.
const SMALL: usize = 2048;

thread_local! {
    static JOINED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SMALL));
}

/// A connection's bytes, with an eye on when they come, and on a caller that takes none.
pub(super) struct Watched<T> {
    io: T,
    shared: Arc<Shared>,
    stalled: IdleTimer,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, clock: &HeadClock, stall: Duration) -> Self {
        Self {
            io,
            shared: clock.0.clone(),
            stalled: IdleTimer::new(stall),
        }
    }

    /// An answer that nobody reads must not hold an upstream for ever.
    fn bounded<R>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.stalled.progress();
            return polled;
        }
        self.stalled.poll_expired(cx).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the caller reads nothing",
            ))
        })
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
                state.first_byte = Some(turn::now());
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
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.bounded(cx, polled)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.bounded(cx, polled)
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
        let size = bufs
            .iter()
            .fold(0usize, |size, buf| size.saturating_add(buf.len()));
        let polled = if (2..).contains(&bufs.len()) && size <= SMALL {
            JOINED.with_borrow_mut(|joined| {
                joined.clear();
                bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
                Pin::new(&mut self.io).poll_write(cx, joined)
            })
        } else {
            Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
        };
        self.bounded(cx, polled)
    }
}
