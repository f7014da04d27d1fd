//! **Sending webhooks**: what is due is claimed, signed, posted, and settled, as every node does; each
//! message is one node's at a time. An endpoint has few tries under way at once, and one that fails
//! only one, so that it neither holds up others nor is flooded when it comes back.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use outbound::webhook::{self, Tried};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry as Metrics;
use proof::random::uuid_v7;
use registry::ports::{AuditTrail as _, Stores, Webhooks as _};
use registry::usecase::{Ctx, webhook as usecase};
use registry::webhook::{EndpointMeaning, Heard, Message, Outcome};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use verdict::facts::Facts as _;

use super::{Shared, now};

/// How often what is due is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the audit trail is read for endpoints that listen, and messages are counted.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// Tries of one endpoint that are under way at once on this node.
const AT_ONCE: u32 = 4;
/// Tries that are under way at once on this node.
const AT_ONCE_IN_ALL: usize = 128;
/// How long a message is left to the node that claimed it, beyond the time that a try takes.
const MARGIN: Duration = Duration::from_secs(10);
/// How long tries that are under way may take to end when the node stops.
const ENDING: Duration = Duration::from_secs(5);

/// Name, type and meaning of the metrics that there are for each endpoint, for the reference: before
/// an endpoint is declared none is written out.
pub(crate) const BY_ENDPOINT: [(&str, &str, &str); 2] = [
    (
        "doorward_webhook_tries",
        "counter",
        "Tries to deliver a message by this node: delivered, failed, or dead after the last one",
    ),
    (
        "doorward_webhook_messages",
        "gauge",
        "Messages in the database, waiting or dead",
    ),
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TryLabels {
    endpoint: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    endpoint: String,
    state: &'static str,
}

/// Metrics of webhooks.
#[derive(Debug, Clone)]
pub(crate) struct WebhookMetrics {
    tries: Family<TryLabels, Counter>,
    messages: Family<StateLabels, Gauge>,
}

impl WebhookMetrics {
    /// Registers them.
    pub(crate) fn register(metrics: &mut Metrics) -> Self {
        let made = Self {
            tries: Family::default(),
            messages: Family::default(),
        };
        let [(tries, _, of_tries), (messages, _, of_messages)] = BY_ENDPOINT;
        metrics.register(tries, of_tries, made.tries.clone());
        metrics.register(messages, of_messages, made.messages.clone());
        made
    }

    fn tried(&self, endpoint: &str, outcome: &'static str) {
        let labels = TryLabels {
            endpoint: endpoint.to_owned(),
            outcome,
        };
        self.tries.get_or_create(&labels).inc();
    }
}

/// What this node has under way of an endpoint.
#[derive(Debug, Default)]
struct Way {
    tries: u32,
    fails: bool,
}

/// What came of a try: of which endpoint, and whether it was taken.
type Ended = (String, bool);

/// Sends what is due until stopped.
pub(crate) async fn send(shared: Arc<Shared>, metrics: WebhookMetrics, stop: CancellationToken) {
    let mut ways: HashMap<String, Way> = HashMap::new();
    let mut tries: JoinSet<Ended> = JoinSet::new();
    let mut listened: Option<Instant> = None;
    loop {
        if listened.is_none_or(|at| at.elapsed() >= LISTEN_EVERY) {
            if let Err(error) = listen(&shared, &metrics).await {
                tracing::warn!(%error, "the audit trail could not be read for webhooks; it is read again");
            }
            listened = Some(Instant::now());
        }
        if let Err(error) = claim(&shared, &metrics, &mut ways, &mut tries).await {
            tracing::warn!(%error, "webhooks that are due could not be looked up");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(ended) = tries.join_next() => note(&mut ways, ended),
        }
        while let Some(ended) = tries.try_join_next() {
            note(&mut ways, ended);
        }
    }
    // What does not end in time is tried again once its lease is over.
    let _ =
        tokio::time::timeout(ENDING, async { while tries.join_next().await.is_some() {} }).await;
}

fn note(ways: &mut HashMap<String, Way>, ended: Result<Ended, tokio::task::JoinError>) {
    match ended {
        Ok((endpoint, taken)) => {
            if let Some(way) = ways.get_mut(&endpoint) {
                way.tries = way.tries.saturating_sub(1);
                way.fails = !taken;
                if way.tries == 0 && taken {
                    ways.remove(&endpoint);
                }
            }
        }
        // Whose it was is not known any more: counting begins anew.
        Err(error) => {
            tracing::error!(%error, "a try to deliver a webhook broke off");
            ways.clear();
        }
    }
}

/// Takes over what the audit trail says, and counts what there is.
async fn listen(shared: &Shared, metrics: &WebhookMetrics) -> Stores<()> {
    let declared = shared.webhooks.load_full();
    if declared.is_empty() {
        metrics.messages.clear();
        return Ok(());
    }
    let (head, _) = shared.store.chain_head().await?;
    let states = shared.store.endpoint_states().await?;
    metrics.messages.clear();
    for state in &states {
        for (word, count) in [("waiting", state.waiting), ("dead", state.dead)] {
            let labels = StateLabels {
                endpoint: state.name.clone(),
                state: word,
            };
            metrics.messages.get_or_create(&labels).set(count);
        }
        let Some(endpoint) = declared.get(&state.name) else {
            continue;
        };
        if state.after < head {
            usecase::take_events(&*shared.store, endpoint, state, now(), &*shared.entropy).await?;
        }
    }
    Ok(())
}

/// Begins tries of what is due, as far as there is room.
async fn claim(
    shared: &Arc<Shared>,
    metrics: &WebhookMetrics,
    ways: &mut HashMap<String, Way>,
    tries: &mut JoinSet<Ended>,
) -> Stores<()> {
    let declared: Arc<BTreeMap<String, Arc<EndpointMeaning>>> = shared.webhooks.load_full();
    if declared.is_empty() {
        return Ok(());
    }
    for name in shared.store.endpoints_due(now()).await? {
        let Some(endpoint) = declared.get(&name) else {
            continue;
        };
        let way = ways.entry(name).or_default();
        let most = if way.fails { 1 } else { AT_ONCE };
        let room = u32::try_from(AT_ONCE_IN_ALL.saturating_sub(tries.len())).unwrap_or(AT_ONCE);
        let limit = most.saturating_sub(way.tries).min(room);
        if limit == 0 {
            continue;
        }
        let at = now();
        let lease_until = at.plus(endpoint.timeout + MARGIN);
        let claimed = shared
            .store
            .claim_messages(&endpoint.name, at, lease_until, limit)
            .await?;
        for message in claimed {
            way.tries += 1;
            let (shared, endpoint) = (shared.clone(), endpoint.clone());
            let metrics = metrics.clone();
            tries.spawn(async move {
                let taken = attempt(&shared, &metrics, &endpoint, message).await;
                (endpoint.name.clone(), taken)
            });
        }
    }
    Ok(())
}

/// One try, to its record. Whether it was taken.
async fn attempt(
    shared: &Shared,
    metrics: &WebhookMetrics,
    endpoint: &EndpointMeaning,
    message: Message,
) -> bool {
    let tried = posted(shared, endpoint, &message).await;
    let heard = Heard {
        status: tried.status,
        retry_after: tried.retry_after,
        cause: tried.cause,
    };
    let request_id = uuid_v7(now(), &*shared.entropy);
    let ctx = Ctx {
        now: now(),
        entropy: &*shared.entropy,
        request_id: &request_id,
        context: &shared.context,
        files: &(),
    };
    let taken = heard.is_taken();
    let (name, id, attempt) = (&*endpoint.name, &*message.id, message.attempts);
    match usecase::settle(&*shared.store, &ctx, endpoint, &message, heard).await {
        Ok(Some(Outcome::Delivered { status })) => {
            metrics.tried(name, "delivered");
            tracing::debug!(
                endpoint = name,
                webhook = id,
                attempt,
                status,
                "a webhook was delivered"
            );
        }
        Ok(Some(Outcome::Again { cause, due, .. })) => {
            metrics.tried(name, "failed");
            let seconds = due.since(now()).as_secs();
            tracing::info!(
                endpoint = name,
                webhook = id,
                attempt,
                cause,
                seconds,
                "a webhook was not taken; it is sent again"
            );
        }
        Ok(Some(Outcome::Dead { cause, .. })) => {
            metrics.tried(name, "dead");
            tracing::warn!(
                endpoint = name,
                webhook = id,
                attempt,
                cause,
                "a webhook was not taken and is given up; it is kept as a dead letter"
            );
        }
        Ok(None) => tracing::debug!(
            endpoint = name,
            webhook = id,
            "a webhook was settled by others"
        ),
        Err(error) => {
            tracing::warn!(endpoint = name, webhook = id, %error, "what came of a webhook could not be recorded; it is sent again");
        }
    }
    taken
}

async fn posted(shared: &Shared, endpoint: &EndpointMeaning, message: &Message) -> Tried {
    let failed = |cause: String| Tried {
        status: None,
        retry_after: None,
        cause,
    };
    let at = now();
    let key = match shared.facts.signing_key(&endpoint.signing_key, at).await {
        Ok(Some(key)) => key,
        Ok(None) => return failed("there is no such signing key".to_owned()),
        Err(_) => return failed("the signing key can not be had at the moment".to_owned()),
    };
    let body = Bytes::copy_from_slice(message.body.as_bytes());
    match webhook::signed(&key, &endpoint.application, &message.id, &body, at) {
        Ok(fields) => {
            let (url, within) = (&endpoint.url, endpoint.timeout);
            webhook::post(&shared.fetcher, url, fields, body, within, at).await
        }
        Err(unsignable) => failed(unsignable.to_string()),
    }
}
