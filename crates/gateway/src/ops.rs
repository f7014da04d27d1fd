//! **Operations**: health, readiness and metrics on a listener of their own, so that no header
//! exempts a call of the data plane from being judged (threat B4).

use core::convert::Infallible;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::listen;

/// What the listener tells.
#[derive(Clone)]
pub struct Ops {
    /// The metrics of the process.
    pub registry: Arc<Registry>,
    /// Whether calls can be judged now; if not, why, in words that are safe to show.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// Connections at once; scrapers and probes are few.
const CONNECTIONS: usize = 64;

impl Ops {
    /// Takes the port.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(address: core::net::SocketAddr) -> io::Result<TcpListener> {
        listen::open(address, false)
    }

    /// Serves until `shutdown`.
    pub async fn run(self, socket: TcpListener, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                continue;
            };
            let (ops, shutdown) = (self.clone(), shutdown.clone());
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request| {
                    let answer = ops.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(30))
                    .max_headers(64)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    _ = serving => {}
                    () = shutdown.cancelled() => {}
                }
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD\n".to_owned(),
            );
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match (self.ready)() {
                Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
                Err(why) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {why}\n"),
                ),
            },
            "/metrics" => self.metrics(),
            _ => text(
                StatusCode::NOT_FOUND,
                "/healthz, /readyz, /metrics\n".to_owned(),
            ),
        }
    }

    fn metrics(&self) -> Response<Body> {
        let mut page = String::new();
        if prometheus_client::encoding::text::encode(&mut page, &self.registry).is_err() {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics can not be written\n".to_owned(),
            );
        }
        let mut answer = text(StatusCode::OK, page);
        answer.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        answer
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::full(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
