//! **Listening**: sockets, handshakes, connections and their bounds.
//!
//! Everything a stranger can make us hold is bounded before a call is read: connections, handshake
//! time, the time and size of heads, the rest between calls, streams and resets of HTTP/2. A
//! connection that breaks a bound is closed; the others don't notice (threat E3).

mod clock;
mod connection;

use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::{Pin, pin};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::facts::Facts;

use self::clock::{HeadClock, Watched};
pub(crate) use self::connection::Connection;
use crate::plane::Plane;
use crate::seldom::Seldom;
use crate::serve::serve;
use crate::tls::{Tls, TlsError};
use crate::turn::Turn;

/// A place to listen at.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name in logs.
    pub name: String,
    /// Where.
    pub address: SocketAddr,
    /// TLS, or plain where there is none.
    pub tls: Option<Tls>,
    /// Its bounds.
    pub limits: Limits,
    /// Whether other processes may share the port (for restarts without a gap).
    pub reuse_port: bool,
}

/// Bounds of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for a call's head, from its first byte to its last.
    pub head: Duration,
    /// Rest between calls.
    pub idle: Duration,
    /// How long a caller may take none of an answer's bytes.
    pub stall: Duration,
    /// Header fields of a head.
    pub fields: usize,
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Calls on one connection, after which it is closed in good order.
    pub calls: u64,
    /// Streams at once on an HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(60),
            fields: 100,
            head_bytes: 32 * 1024,
            calls: 100_000,
            streams: 128,
        }
    }
}

/// A listener that holds its port.
pub struct Bound {
    listener: Arc<Listener>,
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// Why a listener can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port can't be had.
    #[error("listener `{name}` can not listen at {address}: {cause}")]
    Port {
        /// The listener.
        name: String,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// TLS can't be offered.
    #[error("listener `{name}`: {cause}")]
    Tls {
        /// The listener.
        name: String,
        /// What is wrong.
        cause: TlsError,
    },
}

impl Listener {
    /// Takes the port. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(self) -> Result<Bound, ListenError> {
        let tls = self.tls.as_ref().map(Tls::config).transpose();
        let tls = tls.map_err(|cause| ListenError::Tls {
            name: self.name.clone(),
            cause,
        })?;
        let socket = open(self.address, self.reuse_port).map_err(|cause| ListenError::Port {
            name: self.name.clone(),
            address: self.address,
            cause,
        })?;
        Ok(Bound {
            listener: Arc::new(self),
            socket,
            tls: tls.map(TlsAcceptor::from),
        })
    }
}

impl core::fmt::Debug for Bound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bound")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

impl Bound {
    /// Where it listens; tells the port where 0 was asked for.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

pub(crate) fn open(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// What the connections of a listener share.
struct Door<F> {
    plane: Arc<Plane<F>>,
    listener: Arc<Listener>,
    tls: Option<TlsAcceptor>,
    loopback: bool,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// Accepts until `shutdown`. Returning closes the port.
pub(crate) async fn accept<F: Facts + 'static>(
    plane: Arc<Plane<F>>,
    bound: Bound,
    shutdown: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(bound.listener.limits.connections));
    let loopback = bound
        .local_addr()
        .is_ok_and(|address| address.ip().is_loopback());
    let door = Arc::new(Door {
        plane,
        listener: bound.listener,
        tls: bound.tls,
        loopback,
        shutdown: shutdown.clone(),
        tasks: tasks.clone(),
    });
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, bound.socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            next = next => next,
        };
        let Ok(place) = place else { return };
        match accepted {
            Ok((stream, peer)) => {
                let door = door.clone();
                tasks.spawn(async move {
                    let _place = place;
                    door.plane.metrics.accepted.inc();
                    door.plane.metrics.connections.inc();
                    let _ = stream.set_nodelay(true);
                    welcome(&door, stream, peer).await;
                    door.plane.metrics.connections.dec();
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: others must close first.
                tracing::warn!(listener = %door.listener.name, %error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn welcome<F: Facts + 'static>(door: &Arc<Door<F>>, stream: TcpStream, peer: SocketAddr) {
    let limits = &door.listener.limits;
    let Some(acceptor) = &door.tls else {
        // HTTP/2 without TLS by prior knowledge (RFC 9113 §3.3), on loopback only.
        let http2 = door.loopback && speaks_http2(&stream, limits.head, &door.shutdown).await;
        return talk(door, stream, http2, Connection::new(door, peer, None)).await;
    };
    match tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let http2 = session.alpn_protocol() == Some(b"h2");
            let connection = Connection::new(door, peer, Some(session));
            talk(door, stream, http2, connection).await;
        }
        Ok(Err(error)) => {
            door.plane.metrics.handshakes_failed.inc();
            tracing::debug!(%peer, %error, "a TLS handshake failed");
        }
        Err(_) => {
            door.plane.metrics.handshakes_failed.inc();
        }
    }
}

/// Looks at the first bytes without taking them: `PRI` begins an HTTP/2 preface and no method.
async fn speaks_http2(stream: &TcpStream, within: Duration, shutdown: &CancellationToken) -> bool {
    const PREFACE: &[u8] = b"PRI";
    let look = async {
        let mut seen = [0; PREFACE.len()];
        loop {
            match stream.peek(&mut seen).await {
                Ok(0) | Err(_) => return false,
                Ok(n) if seen[..n] != PREFACE[..n] => return false,
                Ok(n) if n == PREFACE.len() => return true,
                // Readable, but not enough: there is no event to wait for.
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::select! {
        found = tokio::time::timeout(within, look) => found.unwrap_or(false),
        () = shutdown.cancelled() => false,
    }
}

/// The bound on a head's fields that hyper has by itself.
const HYPERS_FIELDS: usize = 100;

/// How calls are read that come as HTTP/1.
pub(crate) fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    if limits.fields != HYPERS_FIELDS {
        // Told a bound, hyper makes room on the heap for each head; its own costs nothing.
        builder.max_headers(limits.fields);
    }
    builder
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(16 * 1024));
    builder
}

async fn talk<F, S>(door: &Arc<Door<F>>, stream: S, http2: bool, connection: Connection)
where
    F: Facts + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &door.listener.limits;
    let connection = Arc::new(connection);
    let clock = HeadClock::new(limits.head, limits.idle);
    let io = Watched::new(TokioIo::new(stream), &clock, limits.stall);
    let service = {
        let (door, connection) = (door.clone(), connection.clone());
        service_fn(move |request: Request<Incoming>| {
            let (door, connection) = (door.clone(), connection.clone());
            async move {
                Ok::<_, core::convert::Infallible>(serve(&door.plane, &connection, request).await)
            }
        })
    };
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(1024)
            .max_send_buf_size(256 * 1024)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .keep_alive_interval(limits.idle / 2)
            .keep_alive_timeout(Duration::from_secs(20));
        let serving = builder.serve_connection(io, service);
        let rest = Some(limits.idle);
        converse(door, &connection, serving, rest, |serving| {
            serving.graceful_shutdown()
        })
        .await;
    } else {
        let serving = http1(limits)
            .timer(clock)
            // Any number turns the clock on; the clock knows its own two.
            .header_read_timeout(limits.head)
            .serve_connection(io, service)
            .with_upgrades();
        // The clock of heads bounds the rest.
        converse(door, &connection, serving, None, |serving| {
            serving.graceful_shutdown()
        })
        .await;
    }
}

/// Serves a connection to its end, or, once it is to end, in good order and within bounds.
async fn converse<F: Facts + 'static, C>(
    door: &Door<F>,
    connection: &Connection,
    serving: C,
    rest: Option<Duration>,
    finish: impl Fn(Pin<&mut C>),
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut serving = pin!(serving);
    let done = {
        let ending = pin!(connection.ending(rest));
        let ending = Seldom::new(ending);
        let serving = poll_fn(|cx| {
            let _turn = Turn::begin();
            serving.as_mut().poll(cx)
        });
        tokio::select! {
            biased;
            done = serving => Some(done),
            () = ending => None,
        }
    };
    let done = match done {
        Some(done) => done,
        None => {
            finish(serving.as_mut());
            match tokio::time::timeout(door.plane.options.drain, serving).await {
                Ok(done) => done,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = done {
        if error.is_parse() || error.is_timeout() {
            door.plane.metrics.broken.inc();
        }
        tracing::debug!(peer = %connection.peer, %error, "a connection ended early");
    }
}
