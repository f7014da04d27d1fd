//! **Metrics**: what Prometheus sees of the gateway.
//!
//! Counters of routes are made when a snapshot is built and reached by a pointer afterwards: a call
//! makes no label. Names, units and labels are a contract with dashboards.

use core::sync::atomic::AtomicU64;
use std::sync::Arc;

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use verdict::policy::{Judged, Judgement};
use verdict::problem::Code;

/// A label's text, shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text(Arc<str>);

impl EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), core::fmt::Error> {
        self.0.as_ref().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    api: Text,
    route: Text,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    api: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

/// The gateway's metrics. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<RouteLabels, Counter>,
    seconds: Family<ApiLabels, Histogram, fn() -> Histogram>,
    refusals: Arc<[Counter]>,
    refusal_family: Family<CodeLabels, Counter>,
    /// Connections open now.
    pub(crate) connections: Gauge,
    /// Connections accepted since the start.
    pub(crate) accepted: Counter,
    /// TLS handshakes that failed.
    pub(crate) handshakes_failed: Counter,
    /// Connections that ended because of bytes that are no HTTP, or too slow ones.
    pub(crate) broken: Counter,
    /// Decision-log entries dropped because the queue was full.
    pub(crate) dropped: Counter,
    /// Penalties that began because an address failed too often.
    pub(crate) penalties: Counter,
    /// Calls refused because their address was held back.
    pub(crate) held_back: Counter,
    shadow_denials: Family<ApiLabels, Counter>,
    probing: Family<ApiLabels, Counter>,
    /// Snapshots taken into service.
    pub(crate) swaps: Counter<u64, AtomicU64>,
}

/// The counters of one route.
#[derive(Debug, Clone)]
pub(crate) struct RouteMetrics {
    classes: [Counter; 5],
    seconds: Histogram,
}

/// The metrics that exist per API and route, so only once something is served: name, type, help.
pub const BY_ROUTE: [(&str, &str, &str); 4] = [
    (
        "doorward_calls",
        "counter",
        "Calls answered, by route and status class",
    ),
    (
        "doorward_call_seconds",
        "histogram",
        "Time from a call's head to its answer's head",
    ),
    (
        "doorward_shadow_denials",
        "counter",
        "Calls that passed, and that rules in shadow would have refused, by API",
    ),
    (
        "doorward_object_probing",
        "counter",
        "Callers noticed because many different objects were refused to them, by API",
    ),
];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Registers the gateway's metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let refusal_family = Family::<CodeLabels, Counter>::default();
        let refusals = Code::ALL
            .iter()
            .map(|code| {
                refusal_family
                    .get_or_create(&CodeLabels { code: code.code() })
                    .clone()
            })
            .collect();
        let metrics = Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new([
                    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
                ])
            }),
            refusals,
            refusal_family,
            connections: Gauge::default(),
            accepted: Counter::default(),
            handshakes_failed: Counter::default(),
            broken: Counter::default(),
            dropped: Counter::default(),
            penalties: Counter::default(),
            held_back: Counter::default(),
            shadow_denials: Family::default(),
            probing: Family::default(),
            swaps: Counter::default(),
        };
        let [
            (calls, _, calls_help),
            (seconds, _, seconds_help),
            (shadow, _, shadow_help),
            (probing, _, probing_help),
        ] = BY_ROUTE;
        registry.register(calls, calls_help, metrics.calls.clone());
        registry.register(seconds, seconds_help, metrics.seconds.clone());
        registry.register(shadow, shadow_help, metrics.shadow_denials.clone());
        registry.register(probing, probing_help, metrics.probing.clone());
        registry.register(
            "doorward_refusals",
            "Calls refused, by problem code",
            metrics.refusal_family.clone(),
        );
        registry.register(
            "doorward_connections",
            "Connections open now",
            metrics.connections.clone(),
        );
        registry.register(
            "doorward_connections_accepted",
            "Connections accepted",
            metrics.accepted.clone(),
        );
        registry.register(
            "doorward_tls_handshakes_failed",
            "TLS handshakes that failed",
            metrics.handshakes_failed.clone(),
        );
        registry.register(
            "doorward_connections_broken",
            "Connections ended because of unreadable or too slow heads",
            metrics.broken.clone(),
        );
        registry.register(
            "doorward_decision_log_dropped",
            "Decision-log entries dropped because the queue was full",
            metrics.dropped.clone(),
        );
        registry.register(
            "doorward_penalties",
            "Penalties that began because an address failed too often",
            metrics.penalties.clone(),
        );
        registry.register(
            "doorward_penalty_refusals",
            "Calls refused unjudged while their address was held back",
            metrics.held_back.clone(),
        );
        registry.register(
            "doorward_snapshots",
            "Configurations taken into service",
            metrics.swaps.clone(),
        );
        metrics
    }

    /// The counters of a route.
    pub(crate) fn route(&self, api: &str, route: &str) -> RouteMetrics {
        let (api, route) = (Text(api.into()), Text(route.into()));
        RouteMetrics {
            classes: CLASSES.map(|class| {
                let labels = RouteLabels {
                    api: api.clone(),
                    route: route.clone(),
                    class,
                };
                self.calls.get_or_create(&labels).clone()
            }),
            seconds: self.seconds.get_or_create(&ApiLabels { api }).clone(),
        }
    }

    /// A call was refused.
    /// Counts what is seldom and worth an alert in what was judged.
    pub(crate) fn judged(&self, api: &Arc<str>, judged: &Judged) {
        let count = |family: &Family<ApiLabels, Counter>| {
            let api = Text(api.clone());
            family.get_or_create(&ApiLabels { api }).inc();
        };
        let passed = judged.judgements.iter().all(Judgement::allows);
        if passed && judged.shadow_denies() {
            count(&self.shadow_denials);
        }
        if judged.noticed {
            count(&self.probing);
        }
    }
    pub(crate) fn refused(&self, code: Code) {
        if let Some(at) = Code::ALL.iter().position(|known| *known == code) {
            self.refusals[at].inc();
        }
    }
}

impl RouteMetrics {
    /// A call was answered after `seconds`.
    pub(crate) fn answered(&self, status: StatusCode, seconds: f64) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].inc();
        self.seconds.observe(seconds);
    }
}
