//! **One caller's connection**: what is known of it before any call, and kept between calls.

use core::cell::Cell;
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use proof::time::Timestamp;
use rustls::ServerConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::call::{Head, PeerCertificate, Scheme, TlsFacts};

use super::Door;
use crate::hygiene;
use crate::proxies::{TrustedProxies, plain};
use crate::turn;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken over from a listed proxy, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// See the module.
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    /// The peer's address, IPv4 in its own clothes.
    pub(crate) address: IpAddr,
    /// Whether the peer is a listed proxy.
    pub(crate) listed: bool,
    pub(crate) scheme: Scheme,
    pub(crate) tls: Option<Arc<TlsFacts>>,
    /// `tls` for calls that a listed proxy relays: the session without the proxy's certificate.
    pub(crate) tls_of_relayed: Option<Arc<TlsFacts>>,
    pub(crate) loopback: bool,
    pub(crate) proxies: TrustedProxies,
    pub(crate) drain: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// What the last call told its upstream of where it came from: mostly the next one's too.
    told: Mutex<Option<Arc<Forwarding>>>,
    calls: AtomicU64,
    calls_at_most: u64,
    at_once: AtomicU64,
    spent: Notify,
    began: Instant,
    /// Milliseconds after `began` of the last call's answer.
    answered: AtomicU64,
}

/// A call on a connection.
pub(crate) struct OnCall<'a>(&'a Connection);

impl Drop for OnCall<'_> {
    fn drop(&mut self) {
        let now = turn::now().saturating_duration_since(self.0.began);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.0.answered.store(now, Ordering::Relaxed);
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an upstream is told of where a call came from, as field values.
pub(crate) struct Forwarding {
    address: IpAddr,
    authority_text: Arc<str>,
    spoken: Scheme,
    pub(crate) client: HeaderValue,
    pub(crate) scheme: HeaderValue,
    pub(crate) authority: HeaderValue,
    pub(crate) forwarded: HeaderValue,
}

impl Connection {
    pub(super) fn new<F>(door: &Door<F>, peer: SocketAddr, tls: Option<&ServerConnection>) -> Self {
        let proxies = door.plane.options.proxies.clone();
        let tls = tls.map(facts);
        let scheme = if tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        };
        Self {
            drain: door.shutdown.clone(),
            tasks: door.tasks.clone(),
            calls_at_most: door.listener.limits.calls,
            ..Self::imagined(peer, scheme, tls, door.loopback, proxies)
        }
    }

    /// A connection that is not there: for a call that is explained, not served.
    pub(crate) fn imagined(
        peer: SocketAddr,
        scheme: Scheme,
        tls: Option<Arc<TlsFacts>>,
        loopback: bool,
        proxies: TrustedProxies,
    ) -> Self {
        let address = plain(peer.ip());
        let listed = proxies.lists(address);
        let tls_of_relayed = tls.as_deref().filter(|_| listed).map(|facts| {
            Arc::new(TlsFacts {
                server_name: facts.server_name.clone(),
                peer_certificate: None,
                peer_intermediates: Vec::new(),
            })
        });
        Self {
            peer,
            address,
            listed,
            scheme,
            tls,
            tls_of_relayed,
            loopback,
            proxies,
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
            told: Mutex::default(),
            calls: AtomicU64::new(0),
            calls_at_most: u64::MAX,
            at_once: AtomicU64::new(0),
            spent: Notify::new(),
            began: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }

    /// Ready once the connection is to end in good order: the node stops, its calls are spent, or
    /// it rested for longer than `rest`, where that is not bounded elsewhere.
    pub(super) async fn ending(&self, rest: Option<Duration>) {
        let rested = async {
            let Some(rest) = rest else {
                return core::future::pending().await;
            };
            loop {
                tokio::time::sleep(rest).await;
                if self.at_once.load(Ordering::Relaxed) == 0 && self.rested() >= rest {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.drain.cancelled() => {}
            () = self.spent.notified() => {}
            () = rested => {}
        }
    }

    /// A call begins; it lasts until what is returned is dropped, answered or not.
    pub(crate) fn begin_call(&self) -> OnCall<'_> {
        self.at_once.fetch_add(1, Ordering::Relaxed);
        OnCall(self)
    }

    /// Counts a call; `true`: it is the last one that the connection may carry.
    pub(crate) fn count_call(&self) -> bool {
        let spent = self.calls.fetch_add(1, Ordering::Relaxed) + 1 >= self.calls_at_most;
        if spent {
            self.spent.notify_one();
        }
        spent
    }

    /// How long ago the last answer's head was written.
    fn rested(&self) -> Duration {
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(answered)
    }

    /// The id that joins caller, log, audit and trace: a listed proxy's, or a new UUIDv7.
    pub(crate) fn request_id(&self, headers: &HeaderMap, now: Timestamp) -> Arc<str> {
        if self.listed
            && let Some(id) = headers
                .get(&hygiene::REQUEST_ID)
                .or_else(|| headers.get(&X_REQUEST_ID))
            && let Ok(id) = id.to_str()
            && (1..=MAX_REQUEST_ID).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        {
            return id.into();
        }
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &salt()).into_uuid();
        Arc::from(&*id.hyphenated().encode_lower(&mut text))
    }

    /// The host that the last call asked for, which the next one's mostly is too.
    pub(crate) fn known_authority(&self) -> Option<Arc<str>> {
        let told = self.told.lock();
        told.as_ref().map(|told| told.authority_text.clone())
    }

    /// What the upstream is told of where the call came from.
    pub(crate) fn forwarding(&self, head: &Head) -> Arc<Forwarding> {
        let arrival = head.arrival();
        let mut told = self.told.lock();
        if let Some(known) = &*told
            && known.address == arrival.client
            && known.authority_text == *head.shared_authority()
            && known.spoken == arrival.scheme
        {
            return known.clone();
        }
        let made = Arc::new(Forwarding::new(
            arrival.client,
            head.shared_authority(),
            arrival.scheme,
        ));
        *told = Some(made.clone());
        made
    }
}

/// What the handshake established, kept as long as the connection lives: a call can't be given
/// another connection's certificate. A resumed session carries the certificate of the first one.
fn facts(session: &ServerConnection) -> Arc<TlsFacts> {
    let mut chain = session
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| Bytes::copy_from_slice(certificate));
    Arc::new(TlsFacts {
        server_name: session
            .server_name()
            .map(|name| name.to_ascii_lowercase().into()),
        peer_certificate: chain.next().map(PeerCertificate::new),
        peer_intermediates: chain.collect(),
    })
}

impl Forwarding {
    fn new(address: IpAddr, authority: &Arc<str>, scheme: Scheme) -> Self {
        let mut forwarded = String::new();
        // RFC 7239 §6: an IPv6 node and whatever holds a colon stand in quotes.
        let _ = match address {
            IpAddr::V4(v4) => write!(forwarded, "for={v4}"),
            IpAddr::V6(v6) => write!(forwarded, "for=\"[{v6}]\""),
        };
        let _ = write!(forwarded, ";host=\"{authority}\";proto={}", scheme.as_str());
        // The authority was checked to be a host and a port, so these are field values; an empty
        // one would be refused by the upstream, never taken for another.
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
        };
        Self {
            address,
            authority_text: authority.clone(),
            spoken: scheme,
            client: value(&address.to_string()),
            scheme: HeaderValue::from_static(scheme.as_str()),
            authority: value(authority),
            forwarded: value(&forwarded),
        }
    }
}

/// Ten bytes that differ from call to call and node to node. Request ids are names, not secrets:
/// each thread hashes a counter under a key that the system's randomness made at its start.
fn salt() -> [u8; 10] {
    thread_local! {
        static KEY: RandomState = RandomState::new();
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.with(|count| {
        let next = count.get().wrapping_add(1);
        count.set(next);
        next
    });
    let hash = KEY.with(|key| key.hash_one(count));
    let mut salt = [0; 10];
    salt[..8].copy_from_slice(&hash.to_be_bytes());
    // Two ids of one thread whose hashes meet still differ.
    salt[8..].copy_from_slice(&count.to_be_bytes()[6..]);
    salt
}
