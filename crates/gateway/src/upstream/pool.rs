//! **A pool of servers**: which one gets the call, and whether a failed one may be tried again.
//!
//! Of two servers taken at random the one with fewer pending calls is used. A call is sent again
//! only if not a byte of it reached a server, or if its method is idempotent and its body can be
//! sent again; the latter costs a token, and tokens grow by a fifth of a call per call, so that
//! retries never add more than 20 % load to servers in trouble.

use core::future::poll_fn;
use core::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;

use http::header::{HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use registry::api::{PoolMeaning, UpstreamProtocol};

use super::conn::{
    Failed, Http1, Http2, Patience, UpstreamBody, exchange_http1, exchange_http2, exchange_upgrade,
};
use super::connect::{PoolError, PoolTlsClient, Stream};
use super::credential::{Credential, Shown};
use super::server::{Pending, Server, Standing};
use crate::body::{BodyError, RequestBody};

/// What a fifth of a call is worth, and a retry.
const DEPOSIT: i64 = 1;
const RETRY: i64 = 5;
/// Tokens at most (20 retries at once), and at the start.
const BUDGET: i64 = 20 * RETRY;
/// Attempts of one call, whatever the reason.
const ATTEMPTS: u32 = 4;

/// See the module.
pub struct Pool {
    meaning: PoolMeaning,
    servers: Vec<Arc<Server>>,
    tls: Option<PoolTlsClient>,
    credential: Option<Arc<Credential>>,
    budget: AtomicI64,
    dice: AtomicUsize,
}

/// A call as it goes out, but for what depends on the server chosen.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// The caller's authority, for pools that keep it.
    pub(crate) authority: HeaderValue,
    pub(crate) body: RequestBody,
    /// Whether the caller takes trailers.
    pub(crate) trailers: bool,
    /// Whether the call asks to leave HTTP.
    pub(crate) upgrade: bool,
    /// Whether it goes with the pool's credential, if the pool has one.
    pub(crate) presents: bool,
}

impl Outgoing {
    /// A second copy, if sending the call twice is the same as sending it once.
    fn copy(&self) -> Option<Self> {
        if !self.method.is_idempotent() || self.upgrade {
            return None;
        }
        self.again()
    }

    /// A second copy, if the body can be had twice: for a call that the server refused to act upon.
    fn again(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            authority: self.authority.clone(),
            body: self.body.copy()?,
            trailers: self.trailers,
            upgrade: self.upgrade,
            presents: self.presents,
        })
    }
}

/// Why a pool gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No server could be reached.
    Unreachable(Box<str>),
    /// A server broke off or answered nonsense.
    Broken(Box<str>),
    /// A server was silent for too long.
    Timeout,
    /// The caller's body broke off.
    Body(BodyError),
    /// The pool's credential can't be had now.
    Credential(Box<str>),
    /// The call has something that can't be signed.
    Unsignable(Box<str>),
}

enum Connection {
    Resting(Box<Http1>),
    Fresh(Box<Http1>),
    Shared(Http2),
}

impl Pool {
    /// Prepares a pool; no connection is made.
    ///
    /// # Errors
    /// [`PoolError`] when TLS can't be set up as written.
    pub(crate) fn new(
        meaning: &PoolMeaning,
        credential: Option<Arc<Credential>>,
    ) -> Result<Self, PoolError> {
        let tls = PoolTlsClient::prepare(meaning)?;
        let default_port = if tls.is_some() { 443 } else { 80 };
        let mut servers = Vec::with_capacity(meaning.servers.len());
        for server in &meaning.servers {
            let host = if server.host.contains(':') && !server.host.starts_with('[') {
                format!("[{}]", server.host)
            } else {
                server.host.clone()
            };
            let authority = if server.port == default_port {
                host
            } else {
                format!("{host}:{}", server.port)
            };
            let authority = HeaderValue::from_str(&authority)
                .ok()
                .filter(|value| Authority::try_from(value.as_bytes()).is_ok())
                .ok_or_else(|| PoolError::ServerName(server.host.clone()))?;
            servers.push(Arc::new(Server::new(&server.host, server.port, authority)));
        }
        Ok(Self {
            meaning: meaning.clone(),
            servers,
            tls,
            credential,
            budget: AtomicI64::new(BUDGET),
            dice: AtomicUsize::new(0x9e37),
        })
    }

    /// What the pool was built from.
    pub fn meaning(&self) -> &PoolMeaning {
        &self.meaning
    }

    /// What the pool presents of the gateway's own.
    pub(crate) fn credential(&self) -> Option<&Arc<Credential>> {
        self.credential.as_ref()
    }

    /// Drops connections that rested too long.
    pub(crate) fn sweep(&self) {
        for server in &self.servers {
            server.sweep();
        }
    }

    /// Sends a call and waits for the answer's head. A call whose token the upstream refuses is sent
    /// once more with a new one, if its body can be had twice.
    pub(crate) async fn send(
        &self,
        mut call: Outgoing,
        response_timeout: Duration,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let credential = self.credential.as_ref().filter(|_| call.presents);
        let mut renewed = false;
        loop {
            let shown = match credential {
                None => None,
                Some(own) => match own.show().await {
                    Ok(shown) => Some((own, shown)),
                    Err(why) => return Err(Failure::Credential(why.to_string().into())),
                },
            };
            let again = match credential {
                Some(own) if own.is_renewed() && !renewed => call.again(),
                _ => None,
            };
            let sent = self.attempts(call, response_timeout, shown.as_ref());
            let mut answer = sent.await?;
            let Some((own, shown)) = shown else {
                return Ok(answer);
            };
            if answer.status() == StatusCode::UNAUTHORIZED
                && own.refused(&shown)
                && let Some(again) = again
            {
                call = again;
                renewed = true;
                continue;
            }
            own.keep_back(&shown, answer.headers_mut());
            let own = Arc::clone(own);
            answer.body_mut().keep_back(own, shown);
            return Ok(answer);
        }
    }

    /// Sends a call to one server, or to another if that can't do harm.
    async fn attempts(
        &self,
        mut call: Outgoing,
        response_timeout: Duration,
        shown: Option<&(&Arc<Credential>, Shown)>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let patience = Patience {
            response: response_timeout,
            idle: self.meaning.idle_timeout,
        };
        self.deposit();
        let mut tried = 0u64;
        let mut last = Failure::Unreachable("no server".into());
        for _ in 0..ATTEMPTS {
            let Some((index, probe)) = self.choose(tried) else {
                break;
            };
            let server = &self.servers[index];
            let mut pending = Pending::new(server.clone(), probe);
            let connection = match self.connection(server, call.upgrade).await {
                Ok(connection) => connection,
                Err(cause) => {
                    server.failed();
                    pending.settle();
                    tried |= bit(index);
                    last = Failure::Unreachable(cause);
                    continue;
                }
            };
            let again = call.copy();
            // Another server is the better choice, where there is one.
            let others = if self.servers.len() > 1 {
                bit(index)
            } else {
                0
            };
            let fresh = !matches!(connection, Connection::Resting(_));
            let upgrade = call.upgrade;
            let (request, rest) = self
                .request(call, server, &connection, shown)
                .map_err(Failure::Unsignable)?;
            let outcome = match connection {
                Connection::Shared(shared) => {
                    exchange_http2(shared, request, patience, pending).await
                }
                Connection::Fresh(own) if upgrade => {
                    exchange_upgrade(own, request, patience, pending).await
                }
                Connection::Resting(own) | Connection::Fresh(own) => {
                    exchange_http1(own, request, patience, pending).await
                }
            };
            match outcome {
                Ok(answer) => {
                    server.succeeded();
                    return Ok(answer);
                }
                Err(Failed::Unsent(request)) => {
                    if fresh {
                        server.failed();
                        tried |= others;
                    }
                    last = Failure::Broken("the connection closed before the call was sent".into());
                    call = rest.back(*request);
                }
                Err(Failed::Broken(cause)) => {
                    if fresh {
                        server.failed();
                        tried |= others;
                    }
                    last = Failure::Broken(cause);
                    match again {
                        Some(copy) if self.withdraw() => call = copy,
                        _ => break,
                    }
                }
                Err(Failed::Timeout) => {
                    server.failed();
                    return Err(Failure::Timeout);
                }
                Err(Failed::Body(error)) => return Err(Failure::Body(error)),
            }
        }
        Err(last)
    }

    /// Two choices by pending calls; a server whose time to be tried has come goes first.
    fn choose(&self, tried: u64) -> Option<(usize, bool)> {
        let count = self.servers.len();
        let untried = |index: &usize| tried & bit(*index) == 0;
        if count == 1 {
            // Leaving out the only server would help nobody.
            return untried(&0).then_some((0, false));
        }
        let mut alive = 0usize;
        for (index, server) in self
            .servers
            .iter()
            .enumerate()
            .filter(|(index, _)| untried(index))
        {
            match server.standing() {
                Standing::In => alive += 1,
                Standing::Due if server.claim_probe() => return Some((index, true)),
                Standing::Due | Standing::Out => {}
            }
        }
        // With every server left out, guessing beats refusing.
        let usable = |index: &usize| {
            untried(index) && (alive == 0 || self.servers[*index].standing() == Standing::In)
        };
        let usable_count = (0..count).filter(usable).count();
        let pick = |nth: usize| (0..count).filter(usable).nth(nth);
        match usable_count {
            0 => None,
            1 => pick(0).map(|index| (index, false)),
            _ => {
                let dice = self.roll();
                let first = dice % usable_count;
                let second = (first + 1 + (dice >> 16) % (usable_count - 1)) % usable_count;
                let (first, second) = (pick(first)?, pick(second)?);
                let better = self.servers[second].pending() < self.servers[first].pending();
                Some((if better { second } else { first }, false))
            }
        }
    }

    /// Spreads calls; needs no unpredictability (Knuth's multiplicative step over a counter).
    fn roll(&self) -> usize {
        let step = self.dice.fetch_add(1, Ordering::Relaxed) as u64;
        (step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24) as usize
    }

    async fn connection(&self, server: &Server, own: bool) -> Result<Connection, Box<str>> {
        if !own {
            if let Some(resting) = poll_fn(|cx| Poll::Ready(server.take_resting(cx))).await {
                return Ok(Connection::Resting(resting));
            }
            if let Some(shared) = shared(server) {
                return Ok(Connection::Shared(shared));
            }
        }
        let opening = async {
            let plain_http2 =
                self.tls.is_none() && self.meaning.protocol == UpstreamProtocol::Http2;
            let one_at_a_time = self.meaning.protocol == UpstreamProtocol::Http2 && !own;
            let _turn = if one_at_a_time {
                Some(server.opening.lock().await)
            } else {
                None
            };
            if one_at_a_time && let Some(shared) = shared(server) {
                return Ok(Connection::Shared(shared));
            }
            let addresses = server.addresses().await?;
            let stream =
                Stream::open(&addresses, server.turn(), &server.host, self.tls.as_ref()).await?;
            if plain_http2 || stream.chose_http2() {
                let opened = Http2::handshake(stream)
                    .await
                    .map_err(std::io::Error::other)?;
                *server.shared.lock() = Some(opened.clone());
                Ok(Connection::Shared(opened))
            } else {
                let opened = Http1::handshake(stream)
                    .await
                    .map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(Connection::Fresh(opened))
            }
        };
        match tokio::time::timeout(self.meaning.connect_timeout, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(format!("{}:{}: {error}", server.host, server.port).into()),
            Err(_) => {
                Err(format!("{}:{}: connecting took too long", server.host, server.port).into())
            }
        }
    }

    /// Writes the request for the server and connection that were chosen.
    fn request(
        &self,
        call: Outgoing,
        server: &Server,
        connection: &Connection,
        shown: Option<&(&Arc<Credential>, Shown)>,
    ) -> Result<(Request<RequestBody>, Rest), Box<str>> {
        let Outgoing {
            method,
            target,
            mut headers,
            authority,
            body,
            trailers,
            upgrade,
            presents,
        } = call;
        let host = if self.meaning.preserve_host {
            authority.clone()
        } else {
            server.authority.clone()
        };
        // Last of all, so that nothing that it speaks of is changed after it.
        if let Some((own, shown)) = shown {
            own.write(shown, &method, &host, &target, &mut headers, &body)?;
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        let shared = matches!(connection, Connection::Shared(_));
        if shared {
            headers.remove(HOST);
            if trailers {
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(if self.tls.is_some() {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            });
            parts.authority = Authority::try_from(host.as_bytes()).ok();
            parts.path_and_query = Some(target.clone());
            // The parts are complete and valid, so this holds; a plain path would be refused by
            // the connection and end the call, never change it.
            *request.uri_mut() =
                Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(target.clone()));
            *request.version_mut() = Version::HTTP_2;
        } else {
            headers.insert(HOST, host);
            if trailers {
                // From an attempt by HTTP/2; a caller's own is gone already.
                headers.remove(TE);
            }
            *request.uri_mut() = Uri::from(target);
        }
        *request.headers_mut() = headers;
        Ok((
            request,
            Rest {
                authority,
                trailers,
                upgrade,
                presents,
            },
        ))
    }

    fn deposit(&self) {
        let held = self.budget.load(Ordering::Relaxed);
        if held < BUDGET {
            self.budget.fetch_add(DEPOSIT, Ordering::Relaxed);
        }
    }

    fn withdraw(&self) -> bool {
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held >= RETRY).then_some(held - RETRY)
            })
            .is_ok()
    }
}

/// What a request written for one server does not carry back.
struct Rest {
    authority: HeaderValue,
    trailers: bool,
    upgrade: bool,
    presents: bool,
}

impl Rest {
    fn back(self, request: Request<RequestBody>) -> Outgoing {
        let (parts, body) = request.into_parts();
        Outgoing {
            method: parts.method,
            // Written from one, so it has one.
            target: parts
                .uri
                .into_parts()
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers: parts.headers,
            authority: self.authority,
            body,
            trailers: self.trailers,
            upgrade: self.upgrade,
            presents: self.presents,
        }
    }
}

fn shared(server: &Server) -> Option<Http2> {
    let mut shared = server.shared.lock();
    if shared
        .as_ref()
        .is_some_and(|connection| !connection.is_usable())
    {
        *shared = None;
    }
    shared.clone()
}

fn bit(index: usize) -> u64 {
    1u64.checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
        .unwrap_or(0)
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool")
            .field("servers", &self.meaning.servers)
            .finish()
    }
}
