//! **Leases**: a stream lasts no longer than the right that opened it.
//!
//! WebSockets, event streams and the like outlive the moment in which they were judged. While one is
//! open it is asked again whether the call would pass now: when something changed (a credential was
//! revoked, a relation ended, another snapshot is in force), and once a second where time itself can
//! end the right. When the answer is no, the stream ends. When there is no answer, since a fact can't
//! be had, it goes on and is asked again: an outage ends no stream.

use core::time::Duration;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use tokio::sync::watch;
use verdict::Lease;
use verdict::facts::Facts;
use verdict::problem::{Code, Problem};

use crate::plane::{Plane, clock};
use crate::snapshot::Matched;

/// How often a stream is asked again where time can end its right.
const TICK: Duration = Duration::from_secs(1);
/// How often it is asked again otherwise.
const SELDOM: Duration = Duration::from_secs(60);
/// Changes that come in a volley are one.
const GATHER: Duration = Duration::from_millis(50);

/// What an open stream is asked again by.
pub(crate) enum Watch {
    /// The call as it was judged.
    Again(Box<Lease>),
    /// Nothing was kept of the call, since its route never streamed before: it ends with whatever
    /// changes next.
    Once,
}

/// Types of answers that go on for as long as somebody listens.
const STREAMS: [&str; 8] = [
    "text/event-stream",
    "application/grpc",
    "application/x-ndjson",
    "application/jsonl",
    "application/stream+json",
    "application/json-seq",
    "application/x-json-stream",
    "multipart/x-mixed-replace",
];

/// Whether an answer is a stream.
pub(crate) fn is_stream(method: &Method, headers: &HeaderMap) -> bool {
    *method != Method::HEAD && names_stream(headers)
}

/// Whether an answer with a body is a stream by its type.
pub(crate) fn names_stream(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let Some(whole) = value.and_then(|text| text.split(';').next()) else {
        return false;
    };
    // `application/grpc+proto` is gRPC; the suffix of others is a part of their names.
    let base = whole.split('+').next().unwrap_or(whole);
    let is = |known: &str| {
        let alike = |text: &str| text.trim().eq_ignore_ascii_case(known);
        alike(whole) || alike(base)
    };
    STREAMS.into_iter().any(is)
}

/// Resolves once the stream's right is over.
pub(crate) async fn over<F: Facts>(plane: Arc<Plane<F>>, watch: Watch) -> Problem {
    let mut changes = plane.options.changes.clone();
    changes.mark_unchanged();
    loop {
        let pause = match &watch {
            Watch::Again(lease) => pause(&plane, lease),
            Watch::Once => SELDOM,
        };
        let changed = wait(&mut changes, pause).await;
        match &watch {
            Watch::Once if changed => {
                return Problem::new(Code::CredentialRefused, "something changed meanwhile");
            }
            Watch::Once => {}
            Watch::Again(lease) => {
                if let Err(problem) = still(&plane, lease).await {
                    return problem;
                }
            }
        }
    }
}

/// Until when nothing need be asked, if nothing changes.
fn pause<F>(plane: &Plane<F>, lease: &Lease) -> Duration {
    let snapshot = plane.snapshot.load();
    let by_time = match snapshot.find(lease.head()) {
        Matched::Route { route, .. } => route.meaning.judged.rule.asks_more(),
        Matched::OtherMethods { .. } | Matched::Nothing { .. } => true,
    };
    let longest = if by_time { TICK } else { SELDOM };
    match lease.identity().expires_at() {
        Some(end) => end.since(clock()).clamp(TICK, longest.max(TICK)),
        None => longest,
    }
}

/// Whether something changed before the pause was over.
async fn wait(changes: &mut watch::Receiver<i64>, pause: Duration) -> bool {
    let changed = async {
        if changes.changed().await.is_err() {
            // Whoever told of changes is gone: time alone wakes.
            core::future::pending::<()>().await;
        }
    };
    let changed = tokio::time::timeout(pause, changed).await.is_ok();
    if changed {
        tokio::time::sleep(GATHER).await;
        changes.mark_unchanged();
    }
    changed
}

async fn still<F: Facts>(plane: &Plane<F>, lease: &Lease) -> Result<(), Problem> {
    let snapshot = plane.snapshot.load_full();
    let Matched::Route { route, .. } = snapshot.find(lease.head()) else {
        return Err(Problem::new(Code::NoRoute, "its route is gone"));
    };
    let held = lease
        .holds(&route.meaning.judged, &*plane.facts, clock())
        .await;
    held.or_else(|problem| match problem.code {
        Code::FactUnavailable => Ok(()),
        _ => Err(problem),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn streams_are_told_by_their_type() {
        for (content_type, stream) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/grpc+proto", true),
            ("application/stream+json", true),
            ("application/json", false),
            ("text/plain", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(is_stream(&Method::GET, &headers), stream, "{content_type}");
            assert!(!is_stream(&Method::HEAD, &headers));
        }
        assert!(!is_stream(&Method::GET, &HeaderMap::new()));
    }
}
