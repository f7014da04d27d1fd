//! **Background duties**: chaining and sealing the audit trail, writing the decision log and usage,
//! rotating signing keys, sweeping what has ended. None of them is on a call's way.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use gateway::DecisionSink;
use issuer::flow::Grant;
use issuer::ports::{KeyPurpose, Uses};
use outbound::clock::SystemClock;
use outbound::lists::PublishedLists;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry as Metrics;
use proof::random::uuid_v7;
use proof::time::Timestamp;
use registry::audit::sign_checkpoint;
use registry::ports::{AuditTrail as _, CallRecord as _};
use registry::record::{ClientUse, Decision, Tally, Usage};
use registry::usecase::{Ctx, signing_secret};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::adapters::FetchedDelivery;
use super::webhooks::{self, WebhookMetrics};
use super::{Shared, now};
use crate::settings::Settings;

/// Entries written in one transaction.
const BATCH: usize = 512;
/// How long an entry waits for others.
const LINGER: Duration = Duration::from_millis(250);
/// How often waiting audit events are chained.
const CHAIN_EVERY: Duration = Duration::from_millis(500);
/// How often other nodes' logouts, and those to be tried again, are looked for.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Events chained at once.
const CHAIN_BATCH: u32 = 500;

/// Metrics of the node itself; calls have their own in the gateway.
#[derive(Debug, Clone)]
pub(crate) struct NodeMetrics {
    reloads_good: Counter,
    reloads_bad: Counter,
    settings_current: Gauge,
    decisions_lost: Counter,
    uses_lost: Counter,
    audit_sequence: Gauge,
    refresh_reuses: Counter,
    webhooks: WebhookMetrics,
}

impl NodeMetrics {
    /// Registers them.
    pub(crate) fn register(metrics: &mut Metrics) -> Self {
        let made = Self {
            reloads_good: Counter::default(),
            reloads_bad: Counter::default(),
            settings_current: Gauge::default(),
            decisions_lost: Counter::default(),
            uses_lost: Counter::default(),
            audit_sequence: Gauge::default(),
            refresh_reuses: Counter::default(),
            webhooks: WebhookMetrics::register(metrics),
        };
        made.settings_current.set(1);
        metrics.register(
            "doorward_settings_reloads",
            "Settings read again and taken over",
            made.reloads_good.clone(),
        );
        metrics.register(
            "doorward_settings_reloads_refused",
            "Settings read again and refused",
            made.reloads_bad.clone(),
        );
        metrics.register(
            "doorward_settings_current",
            "1 while the settings in force are those of the file",
            made.settings_current.clone(),
        );
        metrics.register(
            "doorward_decision_log_lost",
            "Entries lost because the store did not take them",
            made.decisions_lost.clone(),
        );
        metrics.register(
            "doorward_usage_lost",
            "Uses of credentials that were not counted: the queue was full, or the store did not take them",
            made.uses_lost.clone(),
        );
        metrics.register(
            "doorward_audit_sequence",
            "Last chained audit event",
            made.audit_sequence.clone(),
        );
        metrics.register(
            "doorward_refresh_reuses",
            "Refresh tokens used after they had been replaced; their grants were ended",
            made.refresh_reuses.clone(),
        );
        made
    }

    /// A reload went well or not.
    pub(crate) fn reloaded(&self, good: bool) {
        if good {
            self.reloads_good.inc();
        } else {
            self.reloads_bad.inc();
        }
        self.settings_current.set(i64::from(good));
    }
}

impl issuer::ports::Alarms for NodeMetrics {
    fn refresh_reused(&self, grant: &Grant, request_id: &str) {
        self.refresh_reuses.inc();
        tracing::warn!(
            request_id,
            grant = grant.id,
            client = %grant.client_id,
            user = grant.subject,
            "a refresh token was used that had been replaced: its grant is ended, its owner is told"
        );
    }
}

/// The receiving ends of what calls leave behind.
pub(crate) struct Queues {
    decisions: mpsc::Receiver<Decision>,
    uses: mpsc::Receiver<ClientUse>,
    keep: Option<Duration>,
}

/// The sending ends.
pub(crate) struct Sinks {
    /// For the gateway.
    pub(crate) decisions: Arc<dyn DecisionSink>,
    /// For the issuer.
    pub(crate) uses: Arc<dyn Uses>,
}

/// Counts clients at the issuer, without waiting.
struct CountedUses {
    queue: mpsc::Sender<ClientUse>,
    lost: Counter,
}

impl Uses for CountedUses {
    fn client_used(&self, used: ClientUse) {
        if self.queue.try_send(used).is_err() {
            self.lost.inc();
        }
    }
}

impl Queues {
    /// Sinks for the gateway and the issuer, and the queues behind them.
    pub(crate) fn new(settings: &Settings, metrics: &NodeMetrics) -> (Sinks, Self) {
        let Some(log) = &settings.decision_log else {
            let sinks = Sinks {
                decisions: Arc::new(gateway::NoDecisions),
                uses: Arc::new(()),
            };
            let queues = Self {
                decisions: mpsc::channel(1).1,
                uses: mpsc::channel(1).1,
                keep: None,
            };
            return (sinks, queues);
        };
        let (decisions, taken) = mpsc::channel(log.queue);
        let (uses, used) = mpsc::channel(log.queue);
        let sinks = Sinks {
            decisions: Arc::new(decisions),
            uses: Arc::new(CountedUses {
                queue: uses,
                lost: metrics.uses_lost.clone(),
            }),
        };
        let queues = Self {
            decisions: taken,
            uses: used,
            keep: Some(log.keep),
        };
        (sinks, queues)
    }
}

/// Starts the duties.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    queues: Queues,
    metrics: &NodeMetrics,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    tasks.spawn(record(
        shared.clone(),
        queues,
        metrics.clone(),
        stop.clone(),
    ));
    tasks.spawn(chain(shared.clone(), metrics.clone(), stop.clone()));
    tasks.spawn(keep_house(shared.clone(), stop.clone()));
    tasks.spawn(tell_of_logouts(shared.clone(), stop.clone()));
    tasks.spawn(webhooks::send(
        shared.clone(),
        metrics.webhooks.clone(),
        stop.clone(),
    ));
    tasks.spawn(fetch_revocation_lists(shared.clone(), stop.clone()));
    tasks.spawn(renew_statuses(shared.clone(), stop.clone()));
    tasks.spawn(super::bundles::keep_fresh(shared.clone(), stop.clone()));
    let (facts, stop) = (shared.facts.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = facts.key_sets().keep_fresh() => {}
        }
    });
}

/// Writes decisions in batches and adds usage up.
async fn record(
    shared: Arc<Shared>,
    mut queues: Queues,
    metrics: NodeMetrics,
    stop: CancellationToken,
) {
    if queues.keep.is_none() {
        return;
    }
    let mut batch: Vec<Decision> = Vec::with_capacity(BATCH);
    let mut uses: Vec<ClientUse> = Vec::new();
    // Nobody sends where there is no issuer.
    let mut has_issuer = true;
    let mut trimmed = now();
    loop {
        let ending = tokio::select! {
            taken = queues.decisions.recv_many(&mut batch, BATCH) => taken == 0,
            taken = queues.uses.recv_many(&mut uses, BATCH), if has_issuer => {
                has_issuer = taken > 0;
                false
            }
            () = stop.cancelled() => {
                queues.decisions.close();
                // Whatever waits: the queue has its bound.
                while let Ok(entry) = queues.decisions.try_recv() {
                    batch.push(entry);
                }
                true
            }
        };
        if !ending && batch.len() < BATCH {
            let more = tokio::time::timeout(LINGER, async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if queues.decisions.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            });
            let _ = more.await;
        }
        for _ in 0..queues.uses.len() {
            uses.extend(queues.uses.try_recv());
        }
        if let Err(error) = shared.store.append_decisions(&batch).await {
            metrics.decisions_lost.inc_by(batch.len() as u64);
            tracing::warn!(%error, entries = batch.len(), "decision-log entries are lost");
        }
        let usage = usage_of(&batch, &uses);
        if let Err(error) = shared.store.add_usage(&usage).await {
            metrics.uses_lost.inc_by((batch.len() + uses.len()) as u64);
            tracing::warn!(%error, "usage figures are lost");
        }
        batch.clear();
        uses.clear();
        if ending {
            return;
        }
        if let Some(keep) = queues.keep
            && now().since(trimmed) > Duration::from_secs(600)
        {
            trimmed = now();
            if let Err(error) = shared.store.trim_decisions(now().minus(keep)).await {
                tracing::warn!(%error, "old decision-log entries could not be removed");
            }
        }
    }
}

/// What a batch adds to usage.
fn usage_of(calls: &[Decision], uses: &[ClientUse]) -> Vec<Usage> {
    let mut tally = Tally::default();
    calls.iter().for_each(|call| tally.call(call));
    uses.iter().for_each(|used| tally.client(used));
    tally.finish()
}

/// Chains waiting audit events and signs checkpoints while the trail grows.
async fn chain(shared: Arc<Shared>, metrics: NodeMetrics, stop: CancellationToken) {
    let every = shared.loaded.load().settings.checkpoint_every;
    let mut sealed: Option<(i64, Timestamp)> = None;
    let mut ending = false;
    loop {
        if let Err(error) = chain_once(&shared, &metrics, &mut sealed, every, ending).await {
            tracing::warn!(%error, "the audit trail could not be chained; events wait");
        }
        if ending {
            return;
        }
        ending = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(CHAIN_EVERY) => false,
        };
    }
}

async fn chain_once(
    shared: &Shared,
    metrics: &NodeMetrics,
    sealed: &mut Option<(i64, Timestamp)>,
    every: Duration,
    ending: bool,
) -> registry::ports::Stores<()> {
    let store = &shared.store;
    while store
        .chain_waiting(&shared.node, now(), CHAIN_BATCH)
        .await?
        >= CHAIN_BATCH
    {}
    let (sequence, hash) = store.chain_head().await?;
    metrics.audit_sequence.set(sequence);
    let (last, at) = match *sealed {
        Some(known) => known,
        None => {
            let last = store
                .checkpoints()
                .await?
                .last()
                .map_or(0, |checkpoint| checkpoint.sequence);
            (last, Timestamp::from_millis(0))
        }
    };
    *sealed = Some((last, at));
    if sequence > last && (ending || now().since(at) >= every) {
        let ring = shared.keys.ring();
        let Some(key) = ring.signer(KeyPurpose::Audit) else {
            return Ok(());
        };
        let checkpoint = sign_checkpoint(sequence, &hash, now(), key);
        // The log is the copy outside of the database that shows a cut tail.
        tracing::info!(target: "audit", sequence, hash = checkpoint.hash, signature = checkpoint.signature, "checkpoint");
        store.add_checkpoint(checkpoint).await?;
        *sealed = Some((sequence, now()));
    }
    Ok(())
}

/// Tells clients that a session ended (OpenID Connect Back-Channel Logout 1.0), as every node does;
/// each notice is one node's at a time.
async fn tell_of_logouts(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(issuer) = shared.issuer.clone() else {
        return;
    };
    let delivery = FetchedDelivery(shared.fetcher.clone());
    let mut wakeups = shared.store.wakeups();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TELL_EVERY) => {}
            // A session that ended on this node is told of at once.
            woken = wakeups.changed() => if woken.is_err() { return },
        }
        match issuer.deliver_logouts(&delivery, now()).await {
            Ok(round) => {
                for (client, cause) in round.failed {
                    tracing::warn!(
                        client,
                        cause,
                        "a client was not told of a logout; it is tried again"
                    );
                }
                for (client, cause) in round.given_up {
                    tracing::error!(
                        client,
                        cause,
                        "a client was not told of a logout, and won't be"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "logouts could not be looked up"),
        }
    }
}

/// Seals what signs requests under the master key of these settings. Once is enough: the master key
/// changes with a restart, and nodes that still have the former one finish theirs at their own.
async fn reseal(shared: &Shared) -> bool {
    let request_id = uuid_v7(now(), &*shared.entropy);
    let ctx = Ctx {
        now: now(),
        entropy: &*shared.entropy,
        request_id: &request_id,
        context: &shared.context,
        files: &(),
    };
    match signing_secret::reseal(&*shared.store, shared.keys.master(), &ctx).await {
        Ok(found) => {
            if found.done > 0 {
                tracing::info!(
                    secrets = found.done,
                    "signing secrets are sealed under the new master key"
                );
            }
            if found.closed > 0 {
                tracing::error!(
                    secrets = found.closed,
                    "signing secrets are sealed under a master key that is not at hand; name it under `former_master_keys`"
                );
            }
            true
        }
        Err(error) => {
            tracing::warn!(%error, "signing secrets could not be sealed under the new master key; it is tried again");
            false
        }
    }
}

/// Fetches the revocation lists that are declared by their URL ahead of the calls that need them.
async fn fetch_revocation_lists(shared: Arc<Shared>, stop: CancellationToken) {
    let renew = async {
        let mut lists = PublishedLists::default();
        loop {
            let authorities = shared.facts.authorities();
            lists
                .renew(authorities, &shared.fetcher, Instant::now)
                .await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = renew => {}
    }
}

/// Asks responders anew about certificates that are in use, ahead of the calls that need it.
async fn renew_statuses(shared: Arc<Shared>, stop: CancellationToken) {
    let renew = async {
        loop {
            shared.facts.statuses().renew(&SystemClock).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = renew => {}
    }
}

/// Rotates signing keys by schedule and sweeps what has ended.
async fn keep_house(shared: Arc<Shared>, stop: CancellationToken) {
    let mut resealed = false;
    loop {
        if !resealed {
            resealed = reseal(&shared).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        let turn = shared.key_turn.lock().await;
        let kept = shared.keys.tick(now()).await;
        drop(turn);
        if let Err(error) = kept {
            tracing::error!(%error, "the signing keys' schedule could not be followed");
        }
        if let Err(error) = shared.store.sweep(now()).await {
            tracing::warn!(%error, "what has ended could not be swept");
        }
        shared.facts.drop_expired(now());
    }
}
