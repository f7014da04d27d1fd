//! **A plane**: one set of listeners with one snapshot: the data plane, or the admin plane.
//!
//! Planes of one process share facts and metrics, never a listener or a snapshot (threat H7).

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use proof::time::Timestamp;
use registry::api::ApiMeaning;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::facts::Facts;
use verdict::limit::Rate;
use verdict::penalty::Penalties;

use crate::held::HeldBodies;
use crate::identity::{NoTokens, UpstreamIdentity};
use crate::listen::{self, Bound};
use crate::metrics::Metrics;
use crate::penalty::Lines;
use crate::proxies::TrustedProxies;
use crate::record::{DecisionSink, NoDecisions};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::upstream::{Locals, Pools};

/// What a plane is made of besides facts.
pub struct Options {
    /// Signs what upstreams learn of the caller.
    pub identity: Arc<dyn UpstreamIdentity>,
    /// Takes decision-log entries.
    pub decisions: Arc<dyn DecisionSink>,
    /// Whose word on a client's address counts.
    pub proxies: TrustedProxies,
    /// Fetches tokens that upstreams ask for; without one no upstream may.
    pub fetcher: Option<Arc<outbound::fetch::Fetcher>>,
    /// Services in this process, by name.
    pub locals: Locals,
    /// Calls of one client address on this plane, whatever they ask for.
    pub per_address: Option<Rate>,
    /// How often one client address may fail to authenticate, and for how long it is held back once
    /// it failed more often.
    pub failures_per_address: Option<Penalties>,
    /// Calls at once; above it calls are refused with 503. At least 1.
    pub calls_at_once: usize,
    /// Room for bodies that are held whole, of all calls together.
    pub held_bodies: Arc<HeldBodies>,
    /// How long calls may go on once the node stops.
    pub drain: Duration,
    /// Moves whenever something changed that open streams were judged by.
    pub changes: watch::Receiver<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identity: Arc::new(NoTokens),
            decisions: Arc::new(NoDecisions),
            proxies: TrustedProxies::default(),
            fetcher: None,
            locals: Locals::new(),
            per_address: None,
            failures_per_address: None,
            calls_at_once: 20_000,
            held_bodies: Arc::new(HeldBodies::new(64 << 20)),
            drain: Duration::from_secs(30),
            changes: watch::channel(0).1,
        }
    }
}

/// What the tasks of a plane share.
pub(crate) struct Plane<F> {
    pub(crate) facts: Arc<F>,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// What the log is told of penalties.
    pub(crate) penalty_lines: Lines,
    pools: Pools,
    calls: AtomicUsize,
}

/// A place among the calls at once.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F> Plane<F> {
    /// A plane in which nothing is found yet.
    pub(crate) fn new(facts: Arc<F>, options: Options, metrics: Metrics) -> Self {
        let pools = Pools::new(options.fetcher.clone());
        Self {
            facts,
            options,
            metrics,
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            penalty_lines: Lines::default(),
            pools,
            calls: AtomicUsize::new(0),
        }
    }

    /// A place for a call, if there is one.
    pub(crate) fn admit(&self) -> Option<Place<'_>> {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.calls);
        (before < self.options.calls_at_once).then_some(place)
    }
}

/// The gateway: one plane. Cheap to clone.
pub struct Gateway<F>(Arc<Plane<F>>);

impl<F> Clone for Gateway<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Facts + 'static> Gateway<F> {
    /// A gateway in which nothing is found yet.
    pub fn new(facts: Arc<F>, options: Options, metrics: Metrics) -> Self {
        Self(Arc::new(Plane::new(facts, options, metrics)))
    }

    pub(crate) fn plane(&self) -> &Plane<F> {
        &self.0
    }

    /// Prepares `apis` to be enforced. Upstreams that stay the same keep their connections.
    ///
    /// # Errors
    /// Every mistake found; what is in service stays in service.
    pub fn prepare(&self, apis: &[Arc<ApiMeaning>]) -> Result<Snapshot, Vec<SnapshotError>> {
        Snapshot::build(apis, &self.0.options.locals, &self.0.pools, &self.0.metrics)
    }

    /// Takes a snapshot into service. Calls on their way keep the one they began with.
    pub fn swap(&self, snapshot: Snapshot) {
        snapshot.warm();
        self.0.snapshot.store(Arc::new(snapshot));
        self.0.metrics.swaps.inc();
    }

    /// Serves `listeners` until `shutdown`, then drains: no new connections, calls on their way
    /// end, at most [`Options::drain`] long.
    ///
    /// # Errors
    /// None of a connection's: those end the connection. Only when there is nothing to serve.
    pub async fn run(&self, listeners: Vec<Bound>, shutdown: CancellationToken) -> io::Result<()> {
        if listeners.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no listener is given",
            ));
        }
        let tasks = TaskTracker::new();
        let mut accepting = tokio::task::JoinSet::new();
        for bound in listeners {
            accepting.spawn(listen::accept(
                self.0.clone(),
                bound,
                shutdown.clone(),
                tasks.clone(),
            ));
        }
        let plane = self.0.clone();
        let sweeping = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(5));
            loop {
                tick.tick().await;
                plane.pools.sweep();
            }
        });
        shutdown.cancelled().await;
        accepting.join_all().await;
        tasks.close();
        // Connections bound their own drain; the margin is for those that are in the midst of it.
        let margin = self.0.options.drain + Duration::from_secs(1);
        let _ = tokio::time::timeout(margin, tasks.wait()).await;
        sweeping.abort();
        Ok(())
    }
}

/// Now, by the system's clock.
pub(crate) fn clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
