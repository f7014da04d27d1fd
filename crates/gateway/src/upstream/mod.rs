//! **Upstreams**: where permitted calls go: a pool of servers, or a service in this process.
//!
//! Our own issuer and admin API are local upstreams: the same way of a call leads to them, without
//! a socket. [`Pools`] keeps pools over changes of the configuration, so that a reload that leaves
//! an upstream as it is keeps its connections and what is known of its health.

pub(crate) mod conn;
mod connect;
mod credential;
mod pool;
mod server;

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::{Request, Response};
use outbound::fetch::Fetcher;
use parking_lot::Mutex;
use registry::api::PoolMeaning;
use tower_service::Service;

pub use connect::PoolError;
pub(crate) use credential::Credential;
pub use pool::Pool;
pub(crate) use pool::{Failure, Outgoing};

use crate::body::{Body, RequestBody};

/// Where an API's permitted calls go.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// Servers on the network.
    Pool(Arc<Pool>),
    /// A service in this process.
    Local(LocalService),
}

type LocalFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A service in this process: anything that speaks `tower`, an axum router for one.
#[derive(Clone)]
pub struct LocalService(Arc<dyn Fn(Request<RequestBody>) -> LocalFuture + Send + Sync>);

impl LocalService {
    /// Wraps a service. It is cloned for each call and must not fail: errors are answers.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    {
        Self(Arc::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
                let Ok(answer) = service.call(request).await;
                answer.map(Body::local)
            })
        }))
    }

    /// Answers one call.
    pub(crate) fn call(&self, request: Request<RequestBody>) -> LocalFuture {
        (self.0)(request)
    }
}

impl core::fmt::Debug for LocalService {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LocalService")
    }
}

/// The services in this process, by the name that built-in APIs use.
pub type Locals = HashMap<&'static str, LocalService>;

/// Pools in use, kept over changes of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    kept: Mutex<Vec<Weak<Pool>>>,
    /// For the tokens of credentials.
    fetcher: Option<Arc<Fetcher>>,
}

impl Pools {
    /// No pools yet.
    pub(crate) fn new(fetcher: Option<Arc<Fetcher>>) -> Self {
        Self {
            kept: Mutex::default(),
            fetcher,
        }
    }

    /// The pool for `meaning`: one in use that means the same, or a new one.
    ///
    /// # Errors
    /// [`PoolError`] when a new one can't be built.
    pub(crate) fn pool(&self, meaning: &PoolMeaning) -> Result<Arc<Pool>, PoolError> {
        let mut pools = self.kept.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        let credential = match &meaning.credential {
            None => None,
            Some(credential) => {
                // Two at once while a configuration takes another's place: the youngest goes first.
                let alive = pools.iter().rev().filter_map(Weak::upgrade);
                let before = alive.filter_map(|pool| pool.credential().cloned());
                Some(Credential::prepare(
                    credential,
                    self.fetcher.as_ref(),
                    before,
                )?)
            }
        };
        let same_credential = |pool: &Pool| match (pool.credential(), &credential) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        // A file may have changed under its name: such pools are built anew at each reload.
        let from_file = meaning
            .tls
            .as_ref()
            .is_some_and(|tls| tls.files().next().is_some());
        if !from_file
            && let Some(same) = pools
                .iter()
                .filter_map(Weak::upgrade)
                .find(|pool| pool.meaning() == meaning && same_credential(pool))
        {
            return Ok(same);
        }
        let pool = Arc::new(Pool::new(meaning, credential)?);
        pools.push(Arc::downgrade(&pool));
        Ok(pool)
    }

    /// Drops connections that rested too long, in all pools.
    pub(crate) fn sweep(&self) {
        let pools: Vec<_> = self.kept.lock().iter().filter_map(Weak::upgrade).collect();
        for pool in pools {
            pool.sweep();
        }
    }
}
