//! **One server of a pool**: its addresses, its resting connections, its health.
//!
//! Health is passive: calls tell. After three failures in a row a server is left out for a while;
//! then one call may try it (half-open), and only its success brings the server back. Failures are
//! those of the connection: refused, broken, silent. A status is an answer.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use core::task::{Context, Waker};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::conn::{Http1, Http2};

/// Failures in a row after which a server is left out.
const FAILURES: u32 = 3;
/// How long it is left out at first; doubled at each failed probe.
const LEFT_OUT: Duration = Duration::from_secs(5);
/// Doublings at most: 5 s · 2⁴ = 80 s.
const DOUBLINGS: u32 = 4;
/// Resting connections per server.
const RESTING: usize = 256;
/// How long a connection may rest before it is not trusted any more.
const REST: Duration = Duration::from_secs(55);
/// How long resolved addresses are kept.
const ADDRESS_LIFE: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Server {
    /// Host name or address literal, as configured.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `Host` for calls that don't keep the caller's.
    pub(crate) authority: http::HeaderValue,
    pending: AtomicUsize,
    #[expect(
        clippy::vec_box,
        reason = "connections are large, and move by pointer at each call"
    )]
    resting: Mutex<Vec<Box<Http1>>>,
    pub(crate) shared: Mutex<Option<Http2>>,
    /// One handshake of a shared connection at a time.
    pub(crate) opening: tokio::sync::Mutex<()>,
    addresses: Mutex<Addresses>,
    turn: AtomicUsize,
    failures: AtomicU32,
    ejections: AtomicU32,
    /// Milliseconds after `born` until which the server is left out; 0: it is in.
    out_until: AtomicU64,
    probing: AtomicBool,
    born: Instant,
}

struct Addresses {
    list: Arc<[SocketAddr]>,
    resolved: Option<Instant>,
    literal: bool,
}

/// Whether a server may get a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In good health.
    In,
    /// Left out, but its time is over: one call may try it.
    Due,
    /// Left out.
    Out,
}

impl Server {
    /// A server in good health. `authority` is its `Host`.
    pub(crate) fn new(host: &str, port: u16, authority: http::HeaderValue) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let literal = bare
            .parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, port));
        Self {
            host: bare.to_owned(),
            port,
            authority,
            pending: AtomicUsize::new(0),
            resting: Mutex::default(),
            shared: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            addresses: Mutex::new(Addresses {
                list: literal.into_iter().collect(),
                resolved: None,
                literal: literal.is_some(),
            }),
            turn: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            born: Instant::now(),
        }
    }

    /// Calls on their way.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Where the next connection goes first, of several addresses.
    pub(crate) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// A resting connection that is still open, the most recently used first.
    pub(crate) fn take_resting(&self, cx: &mut Context<'_>) -> Option<Box<Http1>> {
        loop {
            let mut connection = self.resting.lock().pop()?;
            if connection.rested_for() < REST && connection.is_usable(cx) {
                return Some(connection);
            }
        }
    }

    /// Puts a clean connection to rest.
    pub(crate) fn give_back(server: &Arc<Self>, connection: Box<Http1>) {
        let mut resting = server.resting.lock();
        if resting.len() < RESTING {
            resting.push(connection);
        }
    }

    /// Drops connections that rested too long or that the server has closed.
    pub(crate) fn sweep(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        let resting = core::mem::take(&mut *self.resting.lock());
        let kept: Vec<_> = resting
            .into_iter()
            .filter_map(|mut connection| {
                (connection.rested_for() < REST && connection.is_usable(&mut cx))
                    .then_some(connection)
            })
            .collect();
        let mut now = self.resting.lock();
        // What came back meanwhile was used last and stays on top.
        let fresh = core::mem::replace(&mut *now, kept);
        now.extend(fresh);
        now.truncate(RESTING);
    }

    /// The server's addresses, resolved again when they are old; old ones rather than none.
    ///
    /// # Errors
    /// When the name was never resolved and can't be now.
    pub(crate) async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        {
            let known = self.addresses.lock();
            let fresh = known.resolved.is_some_and(|at| at.elapsed() < ADDRESS_LIFE);
            if known.literal || fresh {
                return Ok(known.list.clone());
            }
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut known = self.addresses.lock();
        match found {
            Ok(found) => {
                known.list = found.take(16).collect();
                known.resolved = Some(Instant::now());
                Ok(known.list.clone())
            }
            Err(_) if !known.list.is_empty() => Ok(known.list.clone()),
            Err(error) => Err(error),
        }
    }

    fn clock(&self) -> u64 {
        // Never 0, which means "in".
        u64::try_from(self.born.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// Whether the server may get a call now.
    pub(crate) fn standing(&self) -> Standing {
        match self.out_until.load(Ordering::Acquire) {
            0 => Standing::In,
            until if self.clock() >= until && !self.probing.load(Ordering::Acquire) => {
                Standing::Due
            }
            _ => Standing::Out,
        }
    }

    /// Claims the one probe of a server that is due.
    pub(crate) fn claim_probe(&self) -> bool {
        self.probing
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The server answered.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.out_until.load(Ordering::Relaxed) != 0 {
            self.out_until.store(0, Ordering::Release);
            self.ejections.store(0, Ordering::Relaxed);
            tracing::info!(server = %self.host, port = self.port, "an upstream server is back");
        }
    }

    /// The server could not be reached, broke off or was silent.
    pub(crate) fn failed(&self) {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let was_out = self.out_until.load(Ordering::Acquire) != 0;
        if failures < FAILURES && !was_out {
            return;
        }
        let ejections = self
            .ejections
            .fetch_add(1, Ordering::Relaxed)
            .min(DOUBLINGS);
        let out = LEFT_OUT * 2u32.pow(if was_out { ejections } else { 0 });
        let until = self.clock().saturating_add(out.as_millis() as u64);
        self.out_until.store(until, Ordering::Release);
        self.resting.lock().clear();
        if !was_out {
            tracing::warn!(server = %self.host, port = self.port, "an upstream server is left out");
        }
    }
}

/// A call on its way to a server: counted until it is dropped.
pub(crate) struct Pending {
    server: Arc<Server>,
    probe: bool,
}

impl Pending {
    /// Counts a call; `probe`: it is the server's one half-open call.
    pub(crate) fn new(server: Arc<Server>, probe: bool) -> Self {
        server.pending.fetch_add(1, Ordering::Relaxed);
        Self { server, probe }
    }
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }
    /// The probe's outcome is known.
    pub(crate) fn settle(&mut self) {
        if self.probe {
            self.probe = false;
            self.server.probing.store(false, Ordering::Release);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.settle();
        self.server.pending.fetch_sub(1, Ordering::Relaxed);
    }
}
