//! **The call**: head and body slot, read once, refused rather than repaired.
//!
//! A target is never rewritten here (only an empty path becomes `/`), so what is routed, judged and
//! sent is one and the same. Ambiguous messages (two `Host`, two `Authorization`, control bytes) are
//! refused before anything looks at them.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use proof::time::Timestamp;

/// Where and how a call arrived: read from the socket, or from listed proxies, by the gateway.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Joins caller, log, audit and trace (UUIDv7).
    pub request_id: Arc<str>,
    /// The socket's other end.
    pub peer: SocketAddr,
    /// The client: the peer, or what a listed proxy said.
    pub client: IpAddr,
    /// The scheme the client used.
    pub scheme: Scheme,
    /// The TLS session's facts, where we ended TLS.
    pub tls: Option<Arc<TlsFacts>>,
    /// When the head was complete.
    pub received: Timestamp,
    /// Whether the listener is bound to a loopback address.
    pub loopback: bool,
}

/// `http` or `https`, as the client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What the TLS handshake established.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// The server name the client asked for (lower case).
    pub server_name: Option<Box<str>>,
    /// The client's certificate (DER), if one was presented and possession proved.
    pub peer_certificate: Option<Bytes>,
}

/// The head of a call, canonical.
#[derive(Debug, Clone)]
pub struct Head {
    pub(crate) method: Method,
    pub(crate) authority: Box<str>,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) version: http::Version,
    pub(crate) arrival: Arrival,
}

/// Path and query exactly as they came (only an empty path became `/`).
#[derive(Debug, Clone)]
pub struct Target {
    /// Path and query, ASCII, verified clean. Cheap to clone.
    pub(crate) whole: http::uri::PathAndQuery,
    /// Whether some segment holds an encoded slash (`%2F`): only routes that allow it match.
    pub(crate) encoded_slash: bool,
}

/// The body beside the head.
#[derive(Debug)]
pub enum Body<R> {
    /// Still on the wire.
    Stream(R),
    /// Read whole, within the route's bound.
    Buffered(Bytes),
    /// This front can't show bodies.
    Unavailable,
}

/// A call: head and body, kept together to the end.
#[derive(Debug)]
pub struct Call<R> {
    pub(crate) head: Head,
    pub(crate) body: Body<R>,
}
