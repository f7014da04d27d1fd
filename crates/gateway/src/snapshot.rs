//! **The snapshot**: everything that enforcing needs, prepared at once and swapped whole.
//!
//! A call keeps the snapshot it began with to its end, so that a reload never shows one call two
//! configurations. Building checks what only the whole can show (overlaps, unknown local services,
//! files of TLS) and reports all mistakes together; a snapshot that exists holds.

use core::sync::atomic::AtomicBool;
use core::time::Duration;
use std::sync::Arc;

use http::HeaderValue;
use outbound::fetch::Fetcher;
use prometheus_client::registry::Registry;
use registry::api::{ApiMeaning, IdentityForward, RouteMeaning, UpstreamMeaning};
use verdict::call::Head;

use crate::cors::CorsAnswers;
use crate::identity::Statements;
use crate::metrics::{Metrics, RouteMetrics};
use crate::route::{Found, Table};
use crate::upstream::{Locals, Pools, Upstream};

/// See the module.
#[derive(Debug)]
pub struct Snapshot {
    table: Table,
    apis: Vec<Arc<ApiEntry>>,
    routes: Vec<Arc<RouteEntry>>,
}

/// An API, prepared.
#[derive(Debug)]
pub(crate) struct ApiEntry {
    pub(crate) meaning: Arc<ApiMeaning>,
    pub(crate) upstream: Upstream,
    pub(crate) cors: Option<CorsAnswers>,
    /// What its upstream was told of callers lately; a changed declaration begins anew.
    pub(crate) statements: Statements,
    /// Names its rule for addresses.
    pub(crate) address_rule: u64,
}

/// A route, prepared.
#[derive(Debug)]
pub(crate) struct RouteEntry {
    pub(crate) api: Arc<ApiEntry>,
    pub(crate) meaning: RouteMeaning,
    pub(crate) metrics: RouteMetrics,
    /// From the last request byte to the answer's head.
    pub(crate) response_timeout: Duration,
    /// Longest silence within a body.
    pub(crate) idle_timeout: Duration,
    /// Whether it ever answered with a stream, or may: then calls are kept to be judged again.
    pub(crate) streams: AtomicBool,
}

/// Why a configuration can't be enforced; each names the API.
#[derive(Debug, thiserror::Error)]
#[error("API `{api}`{route}: {cause}", route = .route.as_deref().map(|r| format!(", route `{r}`")).unwrap_or_default())]
pub struct SnapshotError {
    /// The API's name.
    pub api: String,
    /// The route's name, where it is a route's mistake.
    pub route: Option<String>,
    /// The key of its document that it is about, below `spec`.
    pub place: &'static str,
    /// What is wrong.
    pub cause: String,
}

/// Silence within a body towards local services, which have no pool to say it.
const LOCAL_IDLE: Duration = Duration::from_secs(30);

/// What a call is to be judged by.
pub(crate) enum Matched {
    /// This route; the path without its base path begins at `below`.
    Route {
        route: Arc<RouteEntry>,
        below: usize,
    },
    /// The path is known, the method is not.
    OtherMethods {
        api: Arc<ApiEntry>,
        allow: HeaderValue,
    },
    /// No route; the API, if the place is some API's.
    Nothing { api: Option<Arc<ApiEntry>> },
}

/// Whether declared APIs could be enforced, for whoever asks before a gateway is there: what a start
/// prepares is prepared in the same way, files and all, and dropped.
///
/// # Errors
/// Every mistake found.
pub fn rehearse(apis: &[Arc<ApiMeaning>], fetcher: Arc<Fetcher>) -> Result<(), Vec<SnapshotError>> {
    let metrics = Metrics::register(&mut Registry::default());
    let pools = Pools::new(Some(fetcher));
    Snapshot::build(apis, &Locals::new(), &pools, &metrics).map(drop)
}

impl Snapshot {
    /// A snapshot in which nothing is found.
    pub fn empty() -> Self {
        Self {
            table: Table::default(),
            apis: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Prepares `apis`.
    ///
    /// # Errors
    /// Every mistake found.
    pub(crate) fn build(
        apis: &[Arc<ApiMeaning>],
        locals: &Locals,
        pools: &Pools,
        metrics: &Metrics,
    ) -> Result<Self, Vec<SnapshotError>> {
        let mut snapshot = Self::empty();
        let mut errors = Vec::new();
        for meaning in apis {
            let name = meaning.judged.name.as_str();
            let wrong = |place, route: Option<&str>, cause: String| SnapshotError {
                api: name.to_owned(),
                route: route.map(str::to_owned),
                place,
                cause,
            };
            let upstream = match &meaning.upstream {
                UpstreamMeaning::Local(service) => match locals.get(service) {
                    Some(local) => Upstream::Local(local.clone()),
                    None => {
                        errors.push(wrong(
                            "upstream",
                            None,
                            format!("no service `{service}` in this process"),
                        ));
                        continue;
                    }
                },
                UpstreamMeaning::Pool(pool) => match pools.pool(pool) {
                    Ok(pool) => Upstream::Pool(pool),
                    Err(error) => {
                        errors.push(wrong(error.place(), None, error.to_string()));
                        continue;
                    }
                },
            };
            let (pool_response, idle_timeout) = match &meaning.upstream {
                UpstreamMeaning::Local(_) => (Duration::MAX, LOCAL_IDLE),
                UpstreamMeaning::Pool(pool) => (pool.response_timeout, pool.idle_timeout),
            };
            let cors = match meaning.cors.as_ref().map(CorsAnswers::prepare).transpose() {
                Ok(cors) => cors,
                Err(cause) => {
                    errors.push(wrong("cors", None, cause.to_owned()));
                    None
                }
            };
            if let IdentityForward::Jwt { audience, .. } = &meaning.identity
                && audience.is_empty()
            {
                errors.push(wrong(
                    "identity",
                    None,
                    "the audience of its identity token is empty".to_owned(),
                ));
            }
            let api_index = snapshot.apis.len();
            if let Err(overlap) =
                snapshot
                    .table
                    .claim(api_index, &meaning.hosts, &meaning.base_path)
            {
                errors.push(wrong("base_path", None, overlap.to_string()));
                continue;
            }
            let api = Arc::new(ApiEntry {
                meaning: meaning.clone(),
                upstream,
                cors,
                statements: Statements::default(),
                address_rule: verdict::limit::rule_number(&meaning.judged.name),
            });
            snapshot.apis.push(api.clone());
            for route in &meaning.routes {
                let index = snapshot.routes.len();
                let added = snapshot.table.add(
                    &meaning.hosts,
                    &meaning.base_path,
                    &route.path,
                    &route.methods,
                    index,
                );
                if let Err(overlap) = added {
                    let route = Some(route.judged.name.as_str());
                    errors.push(wrong("routes", route, overlap.to_string()));
                }
                snapshot.routes.push(Arc::new(RouteEntry {
                    api: api.clone(),
                    meaning: route.clone(),
                    metrics: metrics.route(name, route.judged.name.as_str()),
                    response_timeout: route.response_timeout.unwrap_or(pool_response),
                    idle_timeout,
                    streams: AtomicBool::new(route.upgrade),
                }));
            }
        }
        if errors.is_empty() {
            Ok(snapshot)
        } else {
            Err(errors)
        }
    }

    /// Has ready what calls would have to wait for.
    pub(crate) fn warm(&self) {
        for api in &self.apis {
            if let Upstream::Pool(pool) = &api.upstream
                && let Some(own) = pool.credential()
            {
                own.warm();
            }
        }
    }

    /// Finds what judges a call.
    pub(crate) fn find(&self, head: &Head) -> Matched {
        match self.table.find(head.host(), head.path(), head.method()) {
            Found::Route { route, below } => Matched::Route {
                route: self.routes[route].clone(),
                below,
            },
            Found::OtherMethods { api, allow } => Matched::OtherMethods {
                api: self.apis[api].clone(),
                allow: allow.clone(),
            },
            Found::NoRoute { api } => Matched::Nothing {
                api: Some(self.apis[api].clone()),
            },
            Found::Nothing => Matched::Nothing { api: None },
        }
    }

    /// The methods of the route template at the place of a preflight, and its API.
    pub(crate) fn preflight(
        &self,
        head: &Head,
        method: &http::Method,
    ) -> Option<(Arc<ApiEntry>, bool)> {
        let (host, path) = (head.host(), head.path());
        let api = self.table.api(host, path)?;
        let known = matches!(self.table.find(host, path, method), Found::Route { .. });
        Some((self.apis[api].clone(), known))
    }

    /// The API of a name.
    pub(crate) fn api(&self, name: &verdict::route::ApiName) -> Option<&ApiEntry> {
        let mut apis = self.apis.iter();
        apis.find(|api| api.meaning.judged.name == *name)
            .map(|api| &**api)
    }

    /// The routes that are like what a call asked for, the likest first, at most `most`: its API's
    /// if it found one, else where the APIs are. For people who look for theirs.
    pub(crate) fn near(&self, head: &Head, api: Option<&ApiEntry>, most: usize) -> Vec<String> {
        let Some(api) = api else {
            let place = |api: &Arc<ApiEntry>| {
                let hosts = match &*api.meaning.hosts {
                    [] => "any host".to_owned(),
                    hosts => hosts.join(", "),
                };
                let (name, base) = (&api.meaning.judged.name, &api.meaning.base_path);
                format!("the API {name} is at {base} on {hosts}")
            };
            return self.apis.iter().take(most).map(place).collect();
        };
        let base = api.meaning.base_path.trim_end_matches('/');
        let wanted: Vec<_> = head
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let mut near: Vec<_> = api
            .meaning
            .routes
            .iter()
            .map(|route| {
                let written = format!("{base}{}", route.path.written);
                let parts = written.split('/').filter(|part| !part.is_empty());
                let same: usize = parts
                    .zip(&wanted)
                    .take_while(|(part, wanted)| part == *wanted || part.starts_with('{'))
                    .map(|(part, _)| if part.starts_with('{') { 1 } else { 2 })
                    .sum();
                let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
                let methods = match &*methods {
                    [] => "any method".to_owned(),
                    methods => methods.join(", "),
                };
                (same, format!("{methods} {written} ({})", route.judged.name))
            })
            .collect();
        near.sort_by_key(|(same, _)| core::cmp::Reverse(*same));
        near.into_iter().take(most).map(|(_, text)| text).collect()
    }

    /// How many APIs and routes it holds.
    pub fn size(&self) -> (usize, usize) {
        (self.apis.len(), self.routes.len())
    }
}
