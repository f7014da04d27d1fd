//! The listening side: HTTP/1.1 and HTTP/2 by prior knowledge on one socket.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::handle::{Shop, handle};

/// The most connections served at a time; further ones wait in the backlog.
const MAX_CONNECTIONS: usize = 1024;
/// How long a caller may take to send its header fields.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long calls in progress may take after the shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(5);
/// The pause after a failed accept, so that a full file table doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the orders API on `listener` until `shutdown` completes, then lets
/// calls in progress end, for at most five seconds.
///
/// # Errors
/// Those of reading the listener's own address. A failed accept is logged and
/// survived.
pub async fn serve(listener: TcpListener, shutdown: impl Future) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the sample believes every identity header: bind it to loopback");
    }
    let shop = Arc::new(Shop::default());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    server.http2().timer(TokioTimer::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let slot = Arc::clone(&connections).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A small answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection went away at once");
            continue;
        }
        let shop = Arc::clone(&shop);
        let service = service_fn(move |request: Request<Incoming>| {
            let shop = Arc::clone(&shop);
            async move { Ok::<_, Infallible>(handle(&shop, request).await) }
        });
        let connection = server
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended with an error");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("calls in progress were cut off after five seconds");
    }
    Ok(())
}
