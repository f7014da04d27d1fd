//! **Explaining a call**: a request that somebody has as a text is read, routed and judged by the
//! very code that serves calls, and what was checked is told step by step.
//!
//! Nothing comes of it. The facts are asked by looks alone ([`verdict::facts::Looks`]): no budget is
//! taken from, no failure counted, no proof's id spent, no secret remembered. There is no entry in
//! the decision log, no metric moves, and no upstream is called. What was presented is never in what
//! is told: places, kinds, public ids and causes are, as in the decision log.

mod listening;
mod steps;
pub(crate) mod text;

use core::convert::Infallible;
use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ORIGIN};
use http::{HeaderValue, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use proof::time::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use verdict::call::{PeerCertificate, Scheme, TlsFacts};
use verdict::credential::signed::forged;
use verdict::facts::Looks;
use verdict::problem::{Code, Problem};
use verdict::{Forward, Permitted, call};

use crate::body::Body;
use crate::held::Held;
use crate::hygiene;
use crate::intake;
use crate::listen::{Connection, Limits, http1};
use crate::metrics::Metrics;
use crate::plane::{Gateway, Options, Plane, clock};
use crate::record::NoDecisions;
use crate::respond;
use crate::serve::{Approach, Trip, approach};
use crate::snapshot::RouteEntry;
use listening::Listening;
use steps::Steps;
pub use text::Unreadable;
use text::{MAX_TEXT, Text};

/// What is to be explained.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request: HTTP/1.1 as it stands on the wire, or what `curl -v` shows of it. Secrets and all.
    pub text: Bytes,
    /// By which scheme it comes; `None`: as the listener of its port speaks.
    pub scheme: Option<Scheme>,
    /// From which address.
    pub from: IpAddr,
    /// The client's certificate and what vouches for it, PEM. That the client holds its key is taken
    /// for granted.
    pub certificate: Option<Bytes>,
    /// The time to judge it at; `None`: now.
    pub at: Option<Timestamp>,
    /// Where calls come in.
    pub doors: Vec<DoorView>,
}

/// A listener, as far as an explanation needs it.
#[derive(Debug, Clone, Copy)]
pub struct DoorView {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// How a call would be judged, and why.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// `allow`, `deny`, or `answer` where the gateway itself answers (a preflight).
    pub decision: &'static str,
    /// The call as it was read.
    pub call: CallRead,
    /// The API, once one was found.
    pub api: Option<String>,
    /// The route, once one was found.
    pub route: Option<String>,
    /// The primary credential's public id, once it is proved.
    pub credential: Option<String>,
    /// The principal, `service:…`, once it is known.
    pub principal: Option<String>,
    /// What was checked, in order. The first that failed is the last of its kind.
    pub steps: Vec<Step>,
    /// What the caller gets; `None`: the upstream's answer.
    pub answer: Option<Answer>,
}

/// A call's head in short. The query is left out: it may hold a signature or a secret.
#[derive(Debug, Clone)]
pub struct CallRead {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Host and port.
    pub authority: String,
    /// The scheme.
    pub scheme: &'static str,
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: &'static str,
    /// The client's address.
    pub client: IpAddr,
    /// The time it is judged at.
    pub at: Timestamp,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It held.
    Held,
    /// It did not: the call is refused for it.
    Failed,
    /// There is nothing to hold: told for the reader.
    Noted,
}

impl Mark {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Noted => "noted",
        }
    }
}

/// A step of judging.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it is about: `read`, `route`, `limits`, `credential`, `rights`, `body`, `upstream`.
    pub stage: &'static str,
    /// The check's stable name, where it is one of [`verdict::trace::Check`].
    pub check: Option<&'static str>,
    /// How it went.
    pub mark: Mark,
    /// In words.
    pub text: String,
    /// Where it is written.
    pub source: Option<&'static str>,
    /// More of it.
    pub details: Vec<String>,
}

/// An answer that the gateway itself would give.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The problem's code.
    pub code: Option<&'static str>,
    /// The problem's title.
    pub title: Option<&'static str>,
    /// The fields that say something: challenges, waits, limits.
    pub headers: Vec<(String, String)>,
}

impl<F: Looks + 'static> Gateway<F> {
    /// Tells how a call would be judged now. Changes nothing.
    ///
    /// # Errors
    /// [`Unreadable`] where the text is no request.
    pub async fn explain(&self, asked: Asked) -> Result<Explanation, Unreadable> {
        let text = Text::read(&asked.text)?;
        let tls = asked.certificate.as_deref().map(session).transpose()?;
        // Boxed: it holds a whole plane, and nobody waits for it in a hurry.
        Box::pin(explain(self.plane(), asked, text, tls)).await
    }
}

async fn explain<F: Looks + 'static>(
    plane: &Plane<F>,
    asked: Asked,
    text: Text,
    session: Option<TlsFacts>,
) -> Result<Explanation, Unreadable> {
    let now = clock();
    let at = asked.at.unwrap_or(now);
    let facts = Arc::new(Listening::new(plane.facts.clone(), now));
    let looking = Plane::new(
        facts.clone(),
        options(plane),
        Metrics::register(&mut Registry::default()),
    );
    looking.snapshot.store(plane.snapshot.load_full());

    let (scheme, loopback) = arrival(&asked, text.port, session.is_some());
    let tls = (scheme == Scheme::Https).then(|| {
        Arc::new(session.unwrap_or(TlsFacts {
            // Whichever host was asked for in the handshake: the one that is called.
            server_name: None,
            peer_certificate: None,
            peer_intermediates: Vec::new(),
        }))
    });
    let peer = SocketAddr::new(asked.from, 0);
    let proxies = plane.options.proxies.clone();
    let connection = Connection::imagined(peer, scheme, tls, loopback, proxies);
    let mut trip = Trip::new(looking.snapshot.load_full(), &connection, "".into(), at);
    let mut steps = Steps::new(&text, at, asked.at.is_some(), loopback);

    // From here on the parts of the gateway that serve calls do the work.
    let mut connections = JoinSet::new();
    let mut request = match arrive(&text, &mut connections).await {
        Ok(request) => request,
        Err(refused) => return Ok(steps.not_http(refused, &connection)),
    };
    if text.http2 {
        *request.version_mut() = Version::HTTP_2;
    }
    trip.origin = request.headers().get(ORIGIN).cloned();
    // The same reading once more, to have a head to tell of: the call itself takes its own along.
    let copy = copied(&request);
    let head = match intake::read(&connection, copy, &trip.story) {
        Ok((head, ())) => Some(head),
        Err(_) => None,
    };
    let announced =
        request.headers().contains_key(CONTENT_LENGTH) && !request.body().is_end_stream();
    if announced && !text.has_body {
        steps.lacks_body();
    }
    let outcome = approach(&looking, &connection, request, &mut trip).await;
    let outcome = match outcome {
        Ok(Approach::Answered(answer)) => {
            steps.heard(&facts, head.as_deref(), &trip);
            steps.preflight();
            Ok(Some(answer))
        }
        Ok(Approach::Permitted(permitted, route, below)) => {
            steps.heard(&facts, head.as_deref(), &trip);
            let kept = steps.forwarding(&permitted, &route, below, &connection);
            match kept {
                Ok(()) => body(permitted, &route, &text, &looking.options, &mut steps)
                    .await
                    .map(|()| None),
                Err(problem) => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    };
    steps.heard(&facts, head.as_deref(), &trip);
    let (answer, problem) = match outcome {
        Ok(None) => (None, None),
        Ok(Some(answer)) => (Some(answer), None),
        Err(problem) => {
            let method = head
                .as_ref()
                .map_or(http::Method::GET, |head| head.method().clone());
            let answer = respond::problem(&problem, "", &method);
            (Some(answer), Some(problem))
        }
    };
    let answer = answer.map(|mut answer| {
        trip.dress(&mut answer);
        told(&answer, problem.as_ref())
    });
    Ok(steps.close(
        head.as_deref(),
        &connection,
        &trip,
        problem.as_ref(),
        answer,
    ))
}

/// The options of the plane, as far as a call is judged by them.
fn options<F>(plane: &Plane<F>) -> Options {
    Options {
        decisions: Arc::new(NoDecisions),
        identity: plane.options.identity.clone(),
        proxies: plane.options.proxies.clone(),
        per_address: plane.options.per_address,
        failures_per_address: plane.options.failures_per_address,
        ..Options::default()
    }
}

/// How a call comes in: as was asked, or as the listener of its port speaks.
fn arrival(asked: &Asked, port: Option<u16>, certificate: bool) -> (Scheme, bool) {
    let by_port = asked
        .doors
        .iter()
        .find(|door| port == Some(door.address.port()));
    let scheme = match (asked.scheme, by_port) {
        (Some(scheme), _) => scheme,
        (None, _) if certificate => Scheme::Https,
        (None, Some(door)) if door.tls => Scheme::Https,
        (None, Some(_)) => Scheme::Http,
        // From outside a port may be another than here; what has TLS is mostly reached by it.
        (None, None) if asked.doors.iter().any(|door| door.tls) => Scheme::Https,
        (None, None) => Scheme::Http,
    };
    let door = by_port.or_else(|| {
        let speaks = |door: &&DoorView| door.tls == (scheme == Scheme::Https);
        asked.doors.iter().find(speaks).or(asked.doors.first())
    });
    let loopback = door.is_some_and(|door| door.address.ip().is_loopback());
    (scheme, loopback)
}

/// The session of a client that showed this certificate.
fn session(pem: &[u8]) -> Result<TlsFacts, Unreadable> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem).take(16) {
        let certificate = certificate.map_err(|_| Unreadable::Certificate)?;
        chain.push(Bytes::copy_from_slice(&certificate));
    }
    let mut chain = chain.into_iter();
    let own = chain.next().ok_or(Unreadable::Certificate)?;
    Ok(TlsFacts {
        server_name: None,
        peer_certificate: Some(PeerCertificate::new(own)),
        peer_intermediates: chain.collect(),
    })
}

/// What the HTTP library itself refuses: no call comes of it.
struct NotHttp {
    status: u16,
    cause: String,
}

/// Has the listener's own reader read the text, as if it came over a connection.
async fn arrive(
    text: &Text,
    connections: &mut JoinSet<hyper::Result<()>>,
) -> Result<Request<Incoming>, NotHttp> {
    let (mut caller, ours) = tokio::io::duplex(MAX_TEXT + 4096);
    let (send, received) = oneshot::channel();
    let send = Mutex::new(Some(send));
    let service = service_fn(move |request: Request<Incoming>| {
        let send = send.lock().take();
        async move {
            if let Some(send) = send {
                let _ = send.send(request);
            }
            // Whoever explains has the call now; the connection stays until the explanation is made.
            core::future::pending::<Result<Response<Body>, Infallible>>().await
        }
    });
    let serving = http1(&Limits::default())
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(TokioIo::new(ours), service)
        .with_upgrades();
    connections.spawn(serving);
    // The pipe holds the whole text, so nobody has to read along.
    let broken = |_| NotHttp {
        status: 400,
        cause: "the request ends too early".to_owned(),
    };
    caller.write_all(&text.bytes).await.map_err(broken)?;
    caller.shutdown().await.map_err(broken)?;
    if let Ok(request) = received.await {
        return Ok(request);
    }
    let mut answer = Vec::new();
    let _ = caller.read_to_end(&mut answer).await;
    let status = answer
        .get(9..12)
        .and_then(|digits| core::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(400);
    let cause = match connections.join_next().await {
        Some(Ok(Err(error))) => error.to_string(),
        _ => "the request ends too early".to_owned(),
    };
    Err(NotHttp { status, cause })
}

/// The head alone.
fn copied(request: &Request<Incoming>) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// What becomes of the body on its way: its size, and the digest that was signed.
async fn body(
    permitted: Permitted<Incoming>,
    route: &RouteEntry,
    text: &Text,
    options: &Options,
    steps: &mut Steps,
) -> Result<(), Problem> {
    let client = permitted.call().head().arrival().client;
    let Forward {
        body: incoming,
        signed,
        ..
    } = permitted.into_forward();
    let Some(mut signed) = signed else {
        return Ok(());
    };
    let call::Body::Stream(incoming) = incoming else {
        return Ok(());
    };
    if !text.has_body && !incoming.is_end_stream() {
        steps.unseen_body();
        return Ok(());
    }
    steps.signed_body();
    let limit = route.meaning.body_limit.min(MAX_TEXT as u64);
    let held = Held::new(&options.held_bodies, client);
    let bytes = crate::body::whole(incoming, limit, core::time::Duration::from_secs(1), held)
        .await
        .map_err(respond::of_body)?;
    let mut out = Vec::with_capacity(bytes.len());
    let checked = signed
        .check
        .push(&bytes, &mut out)
        .and_then(|()| signed.check.finish());
    checked.map_err(|defect| forged(&route.meaning.judged, signed.tried, defect.code()))
}

/// An answer of ours, as far as it says something to a reader.
fn told(answer: &Response<Body>, problem: Option<&Problem>) -> Answer {
    let dull = [
        http::header::CONTENT_LENGTH,
        http::header::CONTENT_TYPE,
        http::header::CACHE_CONTROL,
        hygiene::REQUEST_ID,
    ];
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Answer {
        status: answer.status().as_u16(),
        code: problem.map(|problem| problem.code.code()),
        title: problem.map(|problem| problem.code.title()),
        headers: answer
            .headers()
            .iter()
            .filter(|(name, _)| !dull.contains(name))
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
    }
}

/// Whether the path itself may be shown.
fn shows_path(problem: Option<&Problem>) -> bool {
    problem.is_none_or(|problem| problem.code != Code::CredentialInUrl)
}
