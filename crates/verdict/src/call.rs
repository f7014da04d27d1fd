//! **The call**: head and body slot, read once, refused rather than repaired.
//!
//! A target is never rewritten here (only an empty path becomes `/`), so what is routed, judged and
//! sent is one and the same. Ambiguous messages (two `Host`, two `Authorization`, control bytes) are
//! refused before anything looks at them. Whatever else a front keeps beside a request (extensions
//! of the HTTP library, say) does not travel with a call: take it out before reading the head.

mod authority;
mod framing;
pub mod onward;
mod target;

use core::net::{IpAddr, SocketAddr};
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use proof::base64url;
use proof::digest::TokenHash;
use proof::time::Timestamp;

use crate::problem::{Code, Problem};

pub use framing::{MAX_COOKIE_BYTES, MAX_HEADERS};
pub use target::{MAX_PATH_BYTES, MAX_QUERY_BYTES};

/// Whether a field's name is another in some spelling: there are servers to which dash, underscore and
/// dot are one. Names of fields are in lower case here.
pub fn spelled_like(name: &str, like: &str) -> bool {
    name.len() == like.len() && begins_like(name, like)
}

/// Whether a field's name begins so, in some spelling.
pub fn begins_like(name: &str, like: &str) -> bool {
    let plain = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        byte => byte,
    };
    name.len() >= like.len()
        && name
            .bytes()
            .zip(like.bytes())
            .all(|(one, other)| plain(one) == plain(other))
}

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
    /// The client's own certificate, if one was presented and possession of its key proved: here,
    /// or by a listed proxy that is configured to pass it on. Nobody has vouched for it yet. For
    /// other calls that a listed proxy relays it is `None`: their clients' TLS ended there, and the
    /// proxy's certificate is not theirs.
    pub peer_certificate: Option<PeerCertificate>,
    /// What the client sent along to vouch for it (DER), in its order.
    pub peer_intermediates: Vec<Bytes>,
}

/// A client's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    der: Bytes,
    hash: TokenHash,
}

impl PeerCertificate {
    /// Hashed once, for all calls of the connection.
    pub fn new(der: Bytes) -> Self {
        let hash = TokenHash::of(&der);
        Self { der, hash }
    }

    /// The whole of it, DER.
    pub fn der(&self) -> &Bytes {
        &self.der
    }

    /// Its SHA-256.
    pub fn hash(&self) -> &TokenHash {
        &self.hash
    }

    /// `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        base64url::encode(self.hash.as_bytes())
    }
}

/// The head of a call, canonical.
#[derive(Debug, Clone)]
pub struct Head {
    pub(crate) method: Method,
    pub(crate) authority: Arc<str>,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) version: Version,
    pub(crate) arrival: Arrival,
}

/// Path and query exactly as they came (only an empty path became `/`).
#[derive(Debug, Clone)]
pub struct Target {
    /// Path and query, ASCII, verified clean. Cheap to clone.
    pub(crate) whole: PathAndQuery,
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
    /// Behind a pointer, since a call moves from step to step.
    pub(crate) head: Box<Head>,
    pub(crate) body: Body<R>,
}

impl Head {
    /// Reads a head once. The extensions of `parts` are dropped.
    ///
    /// # Errors
    /// 400 for whatever could be read in two ways: [`Code::UncleanTarget`],
    /// [`Code::UncleanAuthority`], [`Code::UncleanHeader`].
    pub fn read(parts: http::request::Parts, arrival: Arrival) -> Result<Self, Problem> {
        Self::read_on(parts, arrival, None)
    }

    /// The same for a further head of a connection. `known` is the [`Head::shared_authority`] of an
    /// earlier one: the very same text needs no second check.
    ///
    /// # Errors
    /// As [`Head::read`].
    pub fn read_on(
        parts: http::request::Parts,
        arrival: Arrival,
        known: Option<&Arc<str>>,
    ) -> Result<Self, Problem> {
        let http::request::Parts {
            method,
            uri,
            version,
            headers,
            ..
        } = parts;
        // A tunnel has no path to judge (RFC 9110 §9.3.6), nor has extended CONNECT (RFC 8441).
        if method == Method::CONNECT {
            return Err(Problem::new(Code::UncleanTarget, "CONNECT is not served"));
        }
        // Framing stands first: a message whose end is in doubt makes the rest of it doubtful.
        framing::check(&headers, version)?;
        let authority = authority::read(&uri, &headers, version, known)?;
        let target = Target::read(uri)?;
        Ok(Self {
            method,
            authority,
            target,
            headers,
            version,
            arrival,
        })
    }

    /// The method, as sent. Override headers change nothing (threat A6).
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, as sent and as it will be sent on; begins with `/`.
    pub fn path(&self) -> &str {
        self.target.whole.path()
    }

    /// The query without its `?`, as sent. Rules never read it (threat A4).
    pub fn query(&self) -> Option<&str> {
        self.target.whole.query()
    }

    /// Path and query together.
    pub fn target(&self) -> &PathAndQuery {
        &self.target.whole
    }

    /// Whether some segment holds an encoded slash; only routes that allow it may match.
    pub fn has_encoded_slash(&self) -> bool {
        self.target.encoded_slash
    }

    /// The path's segments, in order. `/a/` has two, the second of them empty; `/` has one.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> + Clone {
        self.path()[1..].split('/').map(|raw| Segment { raw })
    }

    /// Host and, where one was sent, port; lower case.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The same, to keep for [`Head::read_on`].
    pub fn shared_authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// The host without its port, lower case; an IPv6 literal keeps its brackets.
    pub fn host(&self) -> &str {
        authority::host(&self.authority)
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The one value of a field: absent, found, or repeated.
    ///
    /// # Errors
    /// [`Repeated`] if the field stands there more than once.
    pub fn sole_header(&self, name: &HeaderName) -> Result<Option<&HeaderValue>, Repeated> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Repeated),
        }
    }

    /// HTTP version of the message.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where and how it arrived.
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// Whether the TLS session was opened for the host that is called. Browsers that share one
    /// HTTP/2 connection among hosts try again on a connection of their own (RFC 9110 §15.5.20).
    ///
    /// # Errors
    /// 421 [`Code::MisdirectedRequest`].
    pub fn check_server_name(&self) -> Result<(), Problem> {
        match self
            .arrival
            .tls
            .as_ref()
            .and_then(|tls| tls.server_name.as_deref())
        {
            Some(name) if name != self.host() => Err(Problem::new(
                Code::MisdirectedRequest,
                "the TLS server name is not the host",
            )),
            _ => Ok(()),
        }
    }

    /// The header fields, given away; the head has none then.
    pub fn take_headers(&mut self) -> HeaderMap {
        core::mem::take(&mut self.headers)
    }
}

/// A field that may stand once stands there more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

/// One segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    raw: &'a str,
}

impl<'a> Segment<'a> {
    /// As sent.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// With percent-encoding taken off: what literals of a template are compared with. An encoded
    /// slash becomes `/` within this text and never divides it.
    pub fn decoded(self) -> Cow<'a, str> {
        percent_encoding::percent_decode_str(self.raw).decode_utf8_lossy()
    }
}

impl<R> Call<R> {
    /// Joins head and body.
    pub fn new(head: impl Into<Box<Head>>, body: Body<R>) -> Self {
        let head = head.into();
        Self { head, body }
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    /// The body.
    pub fn body(&self) -> &Body<R> {
        &self.body
    }

    /// The body, to be read or replaced by what was read of it.
    pub fn body_mut(&mut self) -> &mut Body<R> {
        &mut self.body
    }

    /// Head and body apart.
    pub fn into_parts(self) -> (Box<Head>, Body<R>) {
        (self.head, self.body)
    }
}

impl<R> Body<R> {
    /// The whole body, if it was buffered.
    pub fn buffered(&self) -> Option<&Bytes> {
        match self {
            Self::Buffered(bytes) => Some(bytes),
            Self::Stream(_) | Self::Unavailable => None,
        }
    }
}

#[cfg(test)]
mod tests;
