//! **One connection to a server**, driven by the call that uses it.
//!
//! An HTTP/1.1 connection has no task of its own: the call's own future polls it while it waits for
//! the answer's head, and the answer's body polls it while it flows. A call so costs no hop between
//! tasks and no wake-up across threads. Between calls the connection rests in its server's list,
//! and is polled once when it is taken out, to see whether the server has closed it meanwhile.
//! HTTP/2 connections are shared by many calls and have a task each.
//!
//! A connection goes back to the list only after an answer was read to its end and the request was
//! sent to its end; anything else drops it, and with it whatever was left over (threat E4).

use core::future::{Future as _, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::connect::Stream;
use super::credential::{Credential, Shown};
use super::server::{Pending, Server};
use crate::body::{BodyError, BodyWatch, RequestBody};
use crate::hush::Hush;
use crate::idle::{Alarm, IdleTimer};
use crate::trailers;
use crate::turn;

/// An HTTP/1.1 connection with its two ends: the sender and the machine that moves the bytes.
pub(crate) struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    machine: Option<Machine>,
    rested: Instant,
    alarm: Alarm,
    /// Through it the ends and the clock wake the call that uses the connection.
    hush: Hush,
}

impl Http1 {
    pub(crate) async fn handshake(stream: Stream) -> hyper::Result<Box<Self>> {
        // hyper's own bound on an answer's fields stands: 100.
        let (sender, machine) = http1::Builder::new()
            .max_buf_size(MAX_ANSWER_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Box::new(Self {
            sender,
            machine: Some(machine),
            rested: turn::now(),
            alarm: Alarm::default(),
            hush: Hush::new(),
        }))
    }

    /// Whether another call may use it now.
    pub(crate) fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { machine, hush, .. } = self;
        // Nobody waits yet, so that what rings within is for nobody.
        let _ = hush.poll(cx, |cx| {
            drive(machine, cx);
            Poll::Ready(())
        });
        self.is_settled()
    }

    /// Whether the last call is over on both ends, as far as they were driven.
    fn is_settled(&self) -> bool {
        self.machine.is_some() && self.sender.is_ready()
    }

    /// How long it has rested.
    pub(crate) fn rested_for(&self) -> Duration {
        turn::now().saturating_duration_since(self.rested)
    }

    pub(crate) fn rest(&mut self) {
        self.rested = turn::now();
    }
}

type Machine = http1::Connection<TokioIo<Stream>, RequestBody>;

/// Moves bytes. A machine that stopped is dropped, which tells whoever waits for it.
fn drive(machine: &mut Option<Machine>, cx: &mut Context<'_>) {
    if let Some(moving) = machine
        && Pin::new(moving).poll(cx).is_ready()
    {
        *machine = None;
    }
}

/// Bytes an answer's head may have; the buffer also bounds what is read ahead of the caller.
const MAX_ANSWER_HEAD: usize = 64 * 1024;

/// A multiplexed connection; the handle is shared by the calls on it.
#[derive(Clone)]
pub(crate) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
}

impl Http2 {
    pub(crate) async fn handshake(stream: Stream) -> hyper::Result<Self> {
        let (sender, machine) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_header_list_size(MAX_ANSWER_HEAD as u32)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = machine.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
            }
        });
        Ok(Self { sender })
    }

    pub(crate) fn is_usable(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// What came of an exchange that brought no answer.
pub(crate) enum Failed {
    /// Not a byte reached the server: here is the request again.
    Unsent(Box<Request<RequestBody>>),
    /// The connection broke, or the answer did.
    Broken(Box<str>),
    /// The server was silent for too long.
    Timeout,
    /// The caller's body broke off.
    Body(BodyError),
}

/// How long to wait for what.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// From the last request byte to the answer's head.
    pub(crate) response: Duration,
    /// Longest silence within a body.
    pub(crate) idle: Duration,
}

/// The clock of one exchange: after the last request byte it counts to the response timeout, before
/// it counts silence.
struct Waiting {
    patience: Patience,
    watch: Option<Arc<BodyWatch>>,
    seen: u32,
    due: Option<tokio::time::Instant>,
}

impl Waiting {
    fn new(patience: Patience, watch: Option<Arc<BodyWatch>>) -> Self {
        Self {
            patience,
            watch,
            seen: 0,
            due: None,
        }
    }

    fn poll(&mut self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<Failed> {
        let (done, progress) = match &self.watch {
            None => (true, 0),
            Some(watch) => {
                if let Some(defect) = watch.defect() {
                    return Poll::Ready(Failed::Body(defect));
                }
                (watch.done(), watch.progress())
            }
        };
        if self.due.is_none() || progress != self.seen {
            self.seen = progress;
            let wait = if done {
                self.patience.response
            } else {
                self.patience.idle
            };
            self.due = tokio::time::Instant::from_std(turn::now()).checked_add(wait);
        }
        match self.due {
            Some(due) => alarm.poll_due(due, cx).map(|()| Failed::Timeout),
            // Longer than the clock can count.
            None => Poll::Pending,
        }
    }
}

/// Sends `request` and waits for the answer's head.
pub(crate) async fn exchange_http1(
    mut connection: Box<Http1>,
    request: Request<RequestBody>,
    patience: Patience,
    pending: Pending,
) -> Result<Response<UpstreamBody>, Failed> {
    let watch = request.body().watch();
    let mut waiting = Waiting::new(patience, watch.clone());
    let Http1 {
        sender,
        machine,
        alarm,
        hush,
        ..
    } = &mut *connection;
    hush.begin();
    let answer = sender.try_send_request(request);
    let mut answer = pin!(answer);
    let answered = poll_fn(|cx| {
        hush.poll(cx, |cx| {
            drive(machine, cx);
            if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
                return Poll::Ready(answered.map_err(|mut error| match error.take_message() {
                    Some(request) => Failed::Unsent(Box::new(request)),
                    None => broken(error.error(), watch.as_deref()),
                }));
            }
            waiting.poll(alarm, cx).map(Err)
        })
    })
    .await?;
    let (head, incoming) = answered.into_parts();
    let mut body = UpstreamBody {
        incoming,
        connection: Some(connection),
        idle: IdleTimer::new(patience.idle),
        pending: Some(pending),
        shown: None,
    };
    if body.incoming.is_end_stream() && head.status != http::StatusCode::SWITCHING_PROTOCOLS {
        poll_fn(|cx| {
            body.finish(cx);
            Poll::Ready(())
        })
        .await;
    }
    Ok(Response::from_parts(head, body))
}

/// Sends `request` on a connection of its own, which may leave HTTP after a 101.
pub(crate) async fn exchange_upgrade(
    connection: Box<Http1>,
    request: Request<RequestBody>,
    patience: Patience,
    pending: Pending,
) -> Result<Response<UpstreamBody>, Failed> {
    let Http1 {
        mut sender,
        machine,
        ..
    } = *connection;
    let Some(machine) = machine else {
        return Err(Failed::Unsent(Box::new(request)));
    };
    tokio::spawn(async move {
        if let Err(error) = machine.with_upgrades().await {
            tracing::debug!(%error, "an upgradable connection to an upstream ended");
        }
    });
    let watch = request.body().watch();
    let answered = answer_of(sender.try_send_request(request), patience, watch).await?;
    Ok(answered.map(|incoming| UpstreamBody::spawned(incoming, patience, pending)))
}

/// Sends `request` as one stream of a shared connection.
pub(crate) async fn exchange_http2(
    mut connection: Http2,
    request: Request<RequestBody>,
    patience: Patience,
    pending: Pending,
) -> Result<Response<UpstreamBody>, Failed> {
    let watch = request.body().watch();
    let answered = answer_of(connection.sender.try_send_request(request), patience, watch).await?;
    Ok(answered.map(|incoming| UpstreamBody::spawned(incoming, patience, pending)))
}

type TrySend = hyper::client::conn::TrySendError<Request<RequestBody>>;

async fn answer_of(
    answer: impl Future<Output = Result<Response<Incoming>, TrySend>>,
    patience: Patience,
    watch: Option<Arc<BodyWatch>>,
) -> Result<Response<Incoming>, Failed> {
    let mut answer = pin!(answer);
    let mut waiting = Waiting::new(patience, watch.clone());
    let mut alarm = Alarm::default();
    poll_fn(|cx| {
        if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
            return Poll::Ready(answered.map_err(|mut error| match error.take_message() {
                Some(request) => Failed::Unsent(Box::new(request)),
                None => broken(error.error(), watch.as_deref()),
            }));
        }
        waiting.poll(&mut alarm, cx).map(Err)
    })
    .await
}

/// A broken exchange; what the caller's own body did comes first.
fn broken(error: &hyper::Error, watch: Option<&BodyWatch>) -> Failed {
    match watch.and_then(BodyWatch::defect) {
        Some(defect) => Failed::Body(defect),
        None => {
            use core::error::Error as _;
            let cause = error
                .source()
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            Failed::Broken(format!("{error}{cause}").into())
        }
    }
}

/// An answer's body, which drives its connection and hands it back at the end.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    connection: Option<Box<Http1>>,
    idle: IdleTimer,
    pending: Option<Pending>,
    /// What of the gateway's own was shown, and must not come back behind the body.
    shown: Option<(Arc<Credential>, Shown)>,
}

impl UpstreamBody {
    fn spawned(incoming: Incoming, patience: Patience, pending: Pending) -> Self {
        Self {
            incoming,
            connection: None,
            idle: IdleTimer::new(patience.idle),
            pending: Some(pending),
            shown: None,
        }
    }

    /// Looks for what was shown in the fields behind the body too (threat J6).
    pub(crate) fn keep_back(&mut self, own: Arc<Credential>, shown: Shown) {
        self.shown = Some((own, shown));
    }

    /// The answer was read to its end: the connection may rest, if it is clean.
    fn finish(&mut self, cx: &mut Context<'_>) {
        let pending = self.pending.take();
        if let Some(mut connection) = self.connection.take()
            && (connection.is_settled() || connection.is_usable(cx))
            && let Some(pending) = pending
        {
            connection.rest();
            Server::give_back(pending.server(), connection);
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let incoming = &mut self.incoming;
        let polled = match &mut self.connection {
            Some(connection) => {
                let Http1 { machine, hush, .. } = &mut **connection;
                hush.poll(cx, |cx| {
                    drive(machine, cx);
                    Pin::new(&mut *incoming).poll_frame(cx)
                })
            }
            None => Pin::new(incoming).poll_frame(cx),
        };
        match polled {
            Poll::Pending => match self.idle.poll_expired(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Stalled))),
            },
            Poll::Ready(None) => {
                self.finish(cx);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                self.connection = None;
                Poll::Ready(Some(Err(BodyError::Broken)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.progress();
                if self.incoming.is_end_stream() {
                    self.finish(cx);
                }
                let frame = match frame.into_trailers() {
                    Ok(mut trailers) => {
                        trailers::clean_answer(&mut trailers);
                        if let Some((own, shown)) = &self.shown {
                            own.keep_back(shown, &mut trailers);
                        }
                        if trailers.is_empty() {
                            return self.poll_frame(cx);
                        }
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                };
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
