//! **The record of a call**: one decision-log entry, one access-log line, the metrics.
//!
//! Recording never holds a call up: the sink takes an entry or drops it, and drops are counted.
//! What is recorded has no secret in it: the path without its query, names and public ids.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use registry::record::{Companion, Decision};
use verdict::call::Head;
use verdict::identity::{Identity, Standing};
use verdict::policy::Judged;
use verdict::problem::{Code, Problem};
use verdict::route::ApiName;

use crate::metrics::Metrics;
use crate::snapshot::RouteEntry;

/// Takes decision-log entries off the calls' way.
pub trait DecisionSink: Send + Sync {
    /// Takes `entry` without waiting; `false`: it was dropped, because the queue is full.
    fn offer(&self, entry: Decision) -> bool;
    /// Whether entries are wanted at all; where not, none is built.
    fn wanted(&self) -> bool {
        true
    }
}

/// Wants no entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDecisions;

impl DecisionSink for NoDecisions {
    fn offer(&self, _: Decision) -> bool {
        true
    }
    fn wanted(&self) -> bool {
        false
    }
}

impl DecisionSink for tokio::sync::mpsc::Sender<Decision> {
    fn offer(&self, entry: Decision) -> bool {
        self.try_send(entry).is_ok()
    }
}

/// What is kept of a call while it is on its way, for its record.
pub(crate) struct Story {
    pub(crate) began: Instant,
    /// The call's head as far as the record needs it; none if it could not be read.
    pub(crate) head: Option<Heading>,
    pub(crate) request_id: Arc<str>,
    pub(crate) client: core::net::IpAddr,
    pub(crate) received: proof::time::Timestamp,
    pub(crate) route: Option<Arc<RouteEntry>>,
    pub(crate) api: Option<ApiName>,
    pub(crate) identity: Option<Identity>,
    /// What relations and policies said.
    pub(crate) judged: Option<Box<Judged>>,
}

/// Method and target, cheap to keep.
pub(crate) struct Heading {
    method: http::Method,
    target: http::uri::PathAndQuery,
}

impl Heading {
    pub(crate) fn of(head: &Head) -> Self {
        Self {
            method: head.method().clone(),
            target: head.target().clone(),
        }
    }
}

impl Story {
    /// Writes the record. `denied`: the refusal, if the call did not pass.
    pub(crate) fn close(
        mut self,
        status: StatusCode,
        denied: Option<&Problem>,
        metrics: &Metrics,
        sink: &dyn DecisionSink,
    ) {
        let took = self.began.elapsed();
        if let Some(route) = &self.route {
            route.metrics.answered(status, took.as_secs_f64());
        }
        if let Some(problem) = denied {
            metrics.refused(problem.code);
            if problem.code == Code::Internal {
                tracing::error!(request_id = %self.request_id, cause = %problem.cause, "a defect of ours");
            }
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if tracing::enabled!(target: "access", tracing::Level::INFO) {
            self.access_line(status, denied, micros);
        }
        if let (Some(judged), Some(route)) = (&self.judged, &self.route) {
            metrics.judged(&route.meaning.judged.api.name.shared(), judged);
            if judged.noticed {
                tracing::warn!(
                    request_id = %self.request_id,
                    principal = self.identity.as_ref().map(verdict::policy::subject_text).unwrap_or_default(),
                    api = %route.meaning.judged.api.name,
                    "a caller was refused many different objects"
                );
            }
        }
        let judged = self.judged.take();
        if sink.wanted() && !sink.offer(self.entry(status, denied, micros, judged)) {
            metrics.dropped.inc();
        }
    }

    fn api_name(&self) -> Option<&ApiName> {
        self.route
            .as_ref()
            .map(|route| &route.meaning.judged.api.name)
            .or(self.api.as_ref())
    }

    fn access_line(&self, status: StatusCode, denied: Option<&Problem>, micros: u64) {
        let standing = self.identity.as_ref().map(Identity::standing);
        tracing::info!(
            target: "access",
            request_id = %self.request_id,
            client = %self.client,
            method = self.head.as_ref().map_or("-", |head| head.method.as_str()),
            path = self.head.as_ref().map_or("-", |head| head.target.path()),
            status = status.as_u16(),
            micros,
            api = self.api_name().map_or("-", ApiName::as_str),
            route = self.route.as_ref().map_or("-", |route| route.meaning.judged.name.as_str()),
            credential = standing.map_or("-", |standing| standing.credential.as_str()),
            code = denied.map_or("-", |problem| problem.code.code()),
            cause = denied.map_or("-", |problem| &*problem.cause),
        );
    }

    fn entry(
        &self,
        status: StatusCode,
        denied: Option<&Problem>,
        micros: u64,
        judged_by: Option<Box<Judged>>,
    ) -> Decision {
        let identity = self.identity.as_ref();
        let standing = identity.map(Identity::standing);
        // An upstream that fails is no denial: the call was let through.
        let judged = denied.filter(|problem| !is_upstreams(problem.code));
        Decision {
            v: 1,
            request_id: self.request_id.clone(),
            at: self.received,
            client: self.client.to_string(),
            method: self
                .head
                .as_ref()
                .map_or(Cow::Borrowed(""), |head| method_name(&head.method)),
            path: self
                .head
                .as_ref()
                .map_or_else(String::new, |head| head.target.path().to_owned()),
            api: self.api_name().map(ApiName::shared),
            route: self
                .route
                .as_ref()
                .map(|route| route.meaning.judged.name.shared()),
            decision: Cow::Borrowed(if judged.is_some() { "deny" } else { "allow" }),
            code: denied.map(|problem| Cow::Borrowed(problem.code.code())),
            cause: denied.map(|problem| problem.cause.to_string()),
            credential_kind: identity.map(|identity| Cow::Borrowed(identity.kind().name())),
            credential: standing.map(|standing| standing.credential.shared()),
            secret: identity.and_then(|identity| Some(identity.secret()?.shared())),
            principal: standing.map(|standing| principal(standing)),
            application: standing
                .and_then(|standing| standing.application.as_ref())
                .map(|application| application.shared()),
            issuer: identity.and_then(|identity| Some(identity.issuer()?.shared())),
            client_id: standing.and_then(|standing| own_client(standing)),
            companions: identity.map(companions).unwrap_or_default(),
            status: status.as_u16(),
            micros,
            judged: judged_by,
        }
    }
}

/// The further credentials of a combination.
fn companions(identity: &Identity) -> Vec<Companion> {
    let each = identity.companions().iter().map(|one| Companion {
        credential_kind: Cow::Borrowed(one.kind().name()),
        credential: one.standing().credential.shared(),
        secret: one.secret().map(|secret| secret.shared()),
        principal: principal(one.standing()),
        issuer: one.issuer().map(|issuer| issuer.shared()),
        client_id: own_client(one.standing()),
    });
    each.collect()
}

fn principal(standing: &Standing) -> String {
    format!("{}:{}", standing.principal.kind(), standing.principal.id())
}

/// The client, where it is one of ours: clients of other issuers stand behind no wall of ours, and
/// may have the same names.
fn own_client(standing: &Standing) -> Option<Arc<str>> {
    standing.environment?;
    Some(standing.client.as_ref()?.shared())
}

/// Without a copy for the methods that everybody uses.
fn method_name(method: &http::Method) -> Cow<'static, str> {
    const COMMON: [http::Method; 7] = [
        http::Method::GET,
        http::Method::POST,
        http::Method::PUT,
        http::Method::PATCH,
        http::Method::DELETE,
        http::Method::HEAD,
        http::Method::OPTIONS,
    ];
    const NAMES: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    match COMMON.iter().position(|common| common == method) {
        Some(at) => Cow::Borrowed(NAMES[at]),
        None => Cow::Owned(method.as_str().to_owned()),
    }
}

fn is_upstreams(code: Code) -> bool {
    matches!(
        code,
        Code::UpstreamUnavailable | Code::UpstreamBroken | Code::UpstreamTimeout
    )
}
