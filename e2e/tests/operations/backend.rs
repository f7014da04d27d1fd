//! **An upstream that can be killed and brought back**: it streams what it is sent without keeping
//! it, answers slowly where asked, and says by its name who answered. It speaks both HTTP/1.1 and
//! HTTP/2, as it is spoken to.

use core::convert::Infallible;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use testkit::wire;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// How long `/slow` takes.
pub(super) const SLOW: Duration = Duration::from_millis(1500);

/// The upstream.
pub(super) struct Backend {
    name: &'static str,
    address: SocketAddr,
    calls: Arc<AtomicU64>,
    whole: Arc<AtomicU64>,
    serving: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts one on a free port.
    pub(super) fn start(name: &'static str) -> Self {
        let mut this = Self {
            name,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            calls: Arc::default(),
            whole: Arc::default(),
            serving: None,
        };
        this.revive();
        this
    }

    /// `http://address`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls it has answered in all its lives.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Bytes of bodies at `/upload` that came whole.
    pub(super) fn whole(&self) -> u64 {
        self.whole.load(Ordering::SeqCst)
    }

    /// Ends it as a crash would: the port closes, every connection breaks wherever it was.
    pub(super) fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = wire::runtime().block_on(serving);
        }
    }

    /// Brings it back on the same port.
    pub(super) fn revive(&mut self) {
        let (name, calls) = (self.name, self.calls.clone());
        let whole = self.whole.clone();
        let listener = wire::runtime()
            .block_on(TcpListener::bind(self.address))
            .unwrap();
        self.address = listener.local_addr().unwrap();
        self.serving = Some(wire::runtime().spawn(async move {
            // Aborting the outer task drops the set, and with it every connection.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (calls, whole) = (calls.clone(), whole.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        answer(name, calls.clone(), whole.clone(), request)
                    });
                    // A broken connection is the gateway's to see.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        }));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    name: &'static str,
    calls: Arc<AtomicU64>,
    whole: Arc<AtomicU64>,
    request: Request<Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    calls.fetch_add(1, Ordering::SeqCst);
    let query = request.uri().query().unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let text = match path.as_str() {
        "/slow" => {
            tokio::time::sleep(SLOW).await;
            "slow".to_owned()
        }
        "/upload" => {
            let mut body = request.into_body();
            let mut bytes = 0u64;
            while let Some(frame) = body.frame().await {
                bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
            }
            whole.fetch_add(bytes, Ordering::SeqCst);
            bytes.to_string()
        }
        "/stream" => return Ok(Response::new(stream(query.parse().unwrap_or(0)))),
        _ => {
            let _ = request.into_body().collect().await?;
            format!("{name} {path}")
        }
    };
    Ok(Response::new(Full::new(Bytes::from(text)).boxed()))
}

/// So many bytes, in pieces of 64 KiB.
pub(super) fn stream(bytes: usize) -> Body {
    Pieces {
        left: bytes,
        piece: Bytes::from(vec![b'x'; 64 * 1024]),
    }
    .boxed()
}

struct Pieces {
    left: usize,
    piece: Bytes,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let now = self.left.min(self.piece.len());
        self.left -= now;
        Poll::Ready((now > 0).then(|| Ok(Frame::data(self.piece.slice(..now)))))
    }
}
