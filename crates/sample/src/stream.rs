//! Bodies that are made while they are sent, in constant memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The block that [`Filler`] repeats.
static BLOCK: [u8; 16 * 1024] = [b'.'; 16 * 1024];

/// A body of so many bytes.
pub(crate) struct Filler {
    left: u64,
    /// Whether the length is told beforehand (`Content-Length`) or not (chunked).
    length_known: bool,
}

impl Filler {
    pub(crate) fn new(bytes: u64, length_known: bool) -> Self {
        Self {
            left: bytes,
            length_known,
        }
    }
}

impl http_body::Body for Filler {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let taken = usize::try_from(self.left).map_or(BLOCK.len(), |left| left.min(BLOCK.len()));
        self.left -= taken as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLOCK[..taken])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.length_known {
            SizeHint::with_exact(self.left)
        } else {
            SizeHint::default()
        }
    }
}

/// Server-sent events (HTML Living Standard, §9.2), numbered from 1.
pub(crate) struct Events {
    sent: u32,
    count: u32,
    clock: Interval,
}

impl Events {
    /// `count` events, the first at once, then one every `pause` (at least 1 ms).
    pub(crate) fn new(count: u32, pause: Duration) -> Self {
        let mut clock = interval(pause.max(Duration::from_millis(1)));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            sent: 0,
            count,
            clock,
        }
    }
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == self.count {
            return Poll::Ready(None);
        }
        ready!(self.clock.poll_tick(context));
        self.sent += 1;
        let number = self.sent;
        let event = format!("id: {number}\nevent: order\ndata: {{\"number\":{number}}}\n\n");
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.count
    }
}
