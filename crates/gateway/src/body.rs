//! **Bodies** on their way: bounded in size and in silence, never collected.
//!
//! [`RequestBody`] is what upstreams and local services receive: it counts what passes and breaks
//! off at the route's limit, so that the upstream never sees a complete message that was too large.
//! Where the body was signed, it also checks what passes: up to [`READ_AHEAD`] is verified before
//! the first byte goes out, and of a longer one the last piece is held back until the whole is known
//! to be what was signed, so that the upstream never sees a complete message that was not (threat
//! D7).
//! [`Body`] is what callers receive. Frames pass one by one in both directions; the only memory a
//! body holds is the frame that is moving.

use core::pin::Pin;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use proof::request::{BodyCheck, BodyDefect};

use verdict::problem::Problem;

use crate::held::{Held, NoRoom};
use crate::idle::IdleTimer;
use crate::trailers::CallTrailers;
use crate::upstream::conn::UpstreamBody;

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than the route takes.
    #[error("the body is larger than the route takes")]
    TooLarge,
    /// Silent for too long.
    #[error("the body stalled")]
    Stalled,
    /// The peer broke off or broke the protocol.
    #[error("the body broke off")]
    Broken,
    /// It is not the one that was signed.
    #[error("{0}")]
    Forged(BodyDefect),
    /// It has to be held, and too much is held already.
    #[error("no room for another body that is held")]
    NoRoom,
}

impl From<NoRoom> for BodyError {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// How much of a signed body is read and verified before anything of it goes out.
pub(crate) const READ_AHEAD: usize = 256 * 1024;

/// How far a request body has come, seen by the exchange that waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct BodyWatch {
    frames: AtomicU32,
    state: AtomicU8,
}

// 0: it flows.
const DONE: u8 = 1;
const TOO_LARGE: u8 = 2;
const STALLED: u8 = 3;
const BROKEN: u8 = 4;
const FORGED: u8 = 5;

impl BodyWatch {
    /// What ended the body early, if anything did.
    pub(crate) fn defect(&self) -> Option<BodyError> {
        match self.state.load(Ordering::Acquire) {
            TOO_LARGE => Some(BodyError::TooLarge),
            STALLED => Some(BodyError::Stalled),
            BROKEN => Some(BodyError::Broken),
            FORGED => Some(BodyError::Forged(BodyDefect::WrongDigest)),
            _ => None,
        }
    }
    /// A number that changes whenever the body moves.
    pub(crate) fn progress(&self) -> u32 {
        self.frames
            .load(Ordering::Relaxed)
            .wrapping_add(u32::from(self.state.load(Ordering::Relaxed)))
    }
    /// Whether the last byte was handed over.
    pub(crate) fn done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }
}

enum Source {
    Empty,
    Full(Bytes),
    Stream(Incoming),
    Signed(Box<Signed>),
}

/// A signed body that was too long to be read ahead.
struct Signed {
    incoming: Incoming,
    /// `None` once it was finished.
    check: Option<BodyCheck>,
    /// What may be passed on once more follows it, or the end is good.
    held: Bytes,
    /// Whether the content differs from what is on the wire, so that no length is known.
    rewritten: bool,
}

impl Signed {
    /// The next piece that may go out; `None` after the last.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        left: &mut u64,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if self.check.is_none() {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyError::Broken))),
                Some(Ok(frame)) => {
                    // Trailers were not signed, and are not passed on.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let Some(rest) = left.checked_sub(data.len() as u64) else {
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    };
                    *left = rest;
                    let mut out = Vec::new();
                    if let Some(check) = &mut self.check
                        && let Err(defect) = check.push(&data, &mut out)
                    {
                        return Poll::Ready(Some(Err(BodyError::Forged(defect))));
                    }
                    if out.is_empty() {
                        continue;
                    }
                    let ready = core::mem::replace(&mut self.held, out.into());
                    if !ready.is_empty() {
                        return Poll::Ready(Some(Ok(ready)));
                    }
                }
                None => {
                    let Some(check) = self.check.take() else {
                        return Poll::Ready(None);
                    };
                    if let Err(defect) = check.finish() {
                        return Poll::Ready(Some(Err(BodyError::Forged(defect))));
                    }
                    let last = core::mem::take(&mut self.held);
                    return Poll::Ready((!last.is_empty()).then_some(Ok(last)));
                }
            }
        }
    }
}

/// Reads a whole body of at most `limit` bytes, with silences of at most `idle`.
///
/// # Errors
/// [`BodyError`].
pub(crate) async fn whole(
    mut incoming: Incoming,
    limit: u64,
    idle: Duration,
    mut held: Held,
) -> Result<Bytes, BodyError> {
    use http_body_util::BodyExt as _;
    let announced = incoming.size_hint();
    if announced.lower() > limit {
        return Err(BodyError::TooLarge);
    }
    // Nothing is read of what could not be held.
    held.expects(announced.lower())?;
    let most = announced.exact().unwrap_or(limit);
    loop {
        let frame = match tokio::time::timeout(idle, incoming.frame()).await {
            Err(_) => return Err(BodyError::Stalled),
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(held.into_bytes()),
        };
        if let Ok(data) = frame.into_data() {
            if (held.len() + data.len()) as u64 > limit {
                return Err(BodyError::TooLarge);
            }
            held.push(&data, most)?;
        }
    }
}

/// A request's body as upstreams and local services receive it.
pub struct RequestBody {
    source: Source,
    left: u64,
    idle: IdleTimer,
    watch: Option<Arc<BodyWatch>>,
    /// What passes behind a body that is still on the wire; `None`: nothing does.
    trailers: Option<CallTrailers>,
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self {
            source: Source::Empty,
            left: 0,
            idle: IdleTimer::new(Duration::MAX),
            watch: None,
            trailers: None,
        }
    }
    /// A body that was read whole.
    pub fn full(bytes: Bytes) -> Self {
        Self {
            source: Source::Full(bytes),
            ..Self::empty()
        }
    }
    /// A body still on the wire, at most `limit` bytes of it, with silences of at most `idle`.
    pub(crate) fn stream(
        incoming: Incoming,
        trailers: CallTrailers,
        limit: u64,
        idle: Duration,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self {
            source: Source::Stream(incoming),
            left: limit,
            idle: IdleTimer::new(idle),
            watch: Some(Arc::default()),
            trailers: Some(trailers),
        }
    }
    /// A signed body on the wire: verified whole if it ends within [`READ_AHEAD`], else piece by
    /// piece on its way.
    ///
    /// # Errors
    /// [`BodyError`], before anything went out.
    pub(crate) async fn signed(
        mut incoming: Incoming,
        mut check: BodyCheck,
        rewritten: bool,
        limit: u64,
        idle: Duration,
        mut held: Held,
    ) -> Result<Self, BodyError> {
        use http_body_util::BodyExt as _;
        let mut left = limit;
        while held.len() < READ_AHEAD {
            let frame = match tokio::time::timeout(idle, incoming.frame()).await {
                Err(_) => return Err(BodyError::Stalled),
                Ok(Some(Err(_))) => return Err(BodyError::Broken),
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    check.finish().map_err(BodyError::Forged)?;
                    return Ok(Self::held(held));
                }
            };
            if let Ok(data) = frame.into_data() {
                left = left
                    .checked_sub(data.len() as u64)
                    .ok_or(BodyError::TooLarge)?;
                held.write(|out| check.push(&data, out))?
                    .map_err(BodyError::Forged)?;
            }
        }
        Ok(Self {
            source: Source::Signed(Box::new(Signed {
                incoming,
                check: Some(check),
                held: held.into_bytes(),
                rewritten,
            })),
            left,
            idle: IdleTimer::new(idle),
            watch: Some(Arc::default()),
            trailers: None,
        })
    }
    /// The watch on a streaming body; none for bodies that can't break off.
    pub(crate) fn watch(&self) -> Option<Arc<BodyWatch>> {
        self.watch.clone()
    }
    /// A second copy, where the body needs no wire: such a call can be sent again.
    pub(crate) fn copy(&self) -> Option<Self> {
        match &self.source {
            Source::Empty => Some(Self::empty()),
            Source::Full(bytes) => Some(Self::full(bytes.clone())),
            Source::Stream(_) | Source::Signed(_) => None,
        }
    }
    /// The whole of it, where that is known.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Empty => Some(&[]),
            Source::Full(bytes) => Some(bytes),
            Source::Stream(_) | Source::Signed(_) => None,
        }
    }
    /// Reads it to its end, at most `most` bytes. Trailers are left out.
    ///
    /// # Errors
    /// [`BodyError`].
    pub(crate) async fn gathered(mut self, most: u64, mut held: Held) -> Result<Self, BodyError> {
        use http_body_util::BodyExt as _;
        held.expects(self.size_hint().lower())?;
        while let Some(frame) = self.frame().await {
            if let Ok(data) = frame?.into_data() {
                if (held.len() + data.len()) as u64 > most {
                    return Err(BodyError::TooLarge);
                }
                held.push(&data, most)?;
            }
        }
        Ok(Self::held(held))
    }
    fn held(held: Held) -> Self {
        if held.len() == 0 {
            Self::empty()
        } else {
            Self::full(held.into_bytes())
        }
    }
    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.source, Source::Empty)
    }
    fn end(&mut self, state: u8) {
        if let Some(watch) = &self.watch {
            watch.state.store(state, Ordering::Release);
        }
        self.source = Source::Empty;
    }
    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.end(match error {
            BodyError::TooLarge => TOO_LARGE,
            BodyError::Stalled => STALLED,
            // What finds no room is refused before it flows.
            BodyError::Broken | BodyError::NoRoom => BROKEN,
            BodyError::Forged(_) => FORGED,
        });
        Poll::Ready(Some(Err(error)))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = match &mut this.source {
            Source::Empty => return Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = core::mem::take(bytes);
                this.source = Source::Empty;
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Source::Stream(incoming) => Pin::new(incoming).poll_frame(cx),
            Source::Signed(signed) => {
                let polled = signed.poll(cx, &mut this.left);
                return match polled {
                    Poll::Pending => {
                        ready!(this.idle.poll_expired(cx));
                        this.fail(BodyError::Stalled)
                    }
                    Poll::Ready(None) => {
                        this.end(DONE);
                        Poll::Ready(None)
                    }
                    Poll::Ready(Some(Err(error))) => this.fail(error),
                    Poll::Ready(Some(Ok(data))) => {
                        this.idle.progress();
                        if let Some(watch) = &this.watch {
                            watch.frames.fetch_add(1, Ordering::Relaxed);
                        }
                        Poll::Ready(Some(Ok(Frame::data(data))))
                    }
                };
            }
        };
        match polled {
            Poll::Pending => {
                ready!(this.idle.poll_expired(cx));
                this.fail(BodyError::Stalled)
            }
            Poll::Ready(None) => {
                this.end(DONE);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => this.fail(BodyError::Broken),
            Poll::Ready(Some(Ok(frame))) => {
                this.idle.progress();
                if let Some(data) = frame.data_ref() {
                    let Some(left) = this.left.checked_sub(data.len() as u64) else {
                        return this.fail(BodyError::TooLarge);
                    };
                    this.left = left;
                }
                let frame = match frame.into_trailers() {
                    Ok(mut trailers) => {
                        if let Some(rules) = &this.trailers {
                            rules.clean(&mut trailers);
                        }
                        if this.trailers.is_none() || trailers.is_empty() {
                            // Nothing follows trailers.
                            this.end(DONE);
                            return Poll::Ready(None);
                        }
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                };
                if let Some(watch) = &this.watch {
                    watch.frames.fetch_add(1, Ordering::Relaxed);
                }
                if matches!(&this.source, Source::Stream(incoming) if incoming.is_end_stream()) {
                    this.end(DONE);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stream(incoming) => incoming.is_end_stream(),
            // It ends when the check says so.
            Source::Signed(signed) => signed.check.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Stream(incoming) => incoming.size_hint(),
            Source::Signed(signed) if signed.rewritten => SizeHint::default(),
            Source::Signed(signed) => {
                let held = signed.held.len() as u64;
                match signed.incoming.size_hint().exact() {
                    Some(coming) => SizeHint::with_exact(held + coming),
                    None => SizeHint::default(),
                }
            }
        }
    }
}

impl core::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RequestBody")
            .field("size", &self.size_hint())
            .finish()
    }
}

/// An answer's body as callers receive it.
pub struct Body(Kind);

enum Kind {
    Full(Bytes),
    Upstream(UpstreamBody),
    Local(UnsyncBoxBody<Bytes, Box<dyn core::error::Error + Send + Sync>>),
    Leased(Box<Body>, Pin<Box<dyn Future<Output = Problem> + Send>>),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }
    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }
    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Self(Kind::Upstream(body))
    }
    /// A body that breaks off once `over` says so.
    pub(crate) fn leased(body: Self, over: impl Future<Output = Problem> + Send + 'static) -> Self {
        Self(Kind::Leased(Box::new(body), Box::pin(over)))
    }
    /// The body of a service in this process.
    pub(crate) fn local<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    {
        use http_body_util::BodyExt as _;
        Self(Kind::Local(body.map_err(Into::into).boxed_unsync()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Box<dyn core::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(core::mem::take(bytes))))),
            Kind::Upstream(body) => body
                .poll_frame(cx)
                .map(|frame| frame.map(|f| f.map_err(Into::into))),
            Kind::Local(body) => Pin::new(body).poll_frame(cx),
            Kind::Leased(body, over) => {
                if let Poll::Ready(problem) = over.as_mut().poll(cx) {
                    tracing::info!(
                        code = problem.code.code(),
                        cause = %problem.cause,
                        "a stream ends with the right that opened it"
                    );
                    self.0 = Kind::Full(Bytes::new());
                    return Poll::Ready(Some(Err(Box::new(BodyError::Broken))));
                }
                Pin::new(&mut **body).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Local(body) => body.is_end_stream(),
            Kind::Leased(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Local(body) => body.size_hint(),
            Kind::Leased(body, _) => body.size_hint(),
        }
    }
}

impl core::fmt::Debug for Body {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Body")
            .field("size", &self.size_hint())
            .finish()
    }
}
