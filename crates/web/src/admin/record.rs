//! What was recorded: the audit trail and the decision log.

use issuer::ports::KeyPurpose;
use registry::access::Action;
use registry::audit::ChainReader;
use registry::ports::{AuditTrail as _, CallRecord as _};
use registry::usecase::authorize;

use super::exchange::{Answer, Fault, Input};
use super::view::{
    AuditEventView, AuditQuery, AuditVerified, CheckpointView, DecisionQuery, DecisionView, Page,
};
use super::{Parts, Work};

/// Entries of a list unless said otherwise.
const DEFAULT_LIMIT: u32 = 100;
/// Events read at once while the trail is checked.
const BATCH: u32 = 1000;

pub(super) fn limit(asked: Option<u32>) -> Result<u32, Fault> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=1000 => Ok(limit),
        _ => Err(Fault::invalid("limit is 1 to 1000.")),
    }
}

pub(super) async fn audit<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::AuditRead)?;
    let query: AuditQuery = input.query()?;
    let limit = limit(query.limit)?;
    let after = match (query.after, query.newest.unwrap_or(false)) {
        (Some(_), true) => return Err(Fault::invalid("Give either after or newest.")),
        (Some(after), false) if after < 0 => return Err(Fault::invalid("after is 0 or more.")),
        (after, false) => after.unwrap_or(0),
        (None, true) => {
            // The newest are those that wait to be chained, and as many chained ones as there is
            // room for beside them.
            let (head, _) = work.store().chain_head().await?;
            let waiting = work.store().audit_events(head, limit, true).await?.len();
            let room = i64::from(limit).saturating_sub(i64::try_from(waiting).unwrap_or(i64::MAX));
            head.saturating_sub(room.max(0)).max(0)
        }
    };
    let events = work.store().audit_events(after, limit, true).await?;
    let full = u32::try_from(events.len()).is_ok_and(|many| many >= limit);
    let next = events
        .iter()
        .filter_map(|event| event.sequence)
        .max()
        .filter(|_| full);
    let items = events.into_iter().map(AuditEventView::from).collect();
    Answer::ok(&Page {
        items,
        next: next.map(|sequence| sequence.to_string()),
    })
}

pub(super) async fn verify<P: Parts>(work: &Work<P>) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::AuditRead)?;
    let store = work.store();
    // Checkpoints first: what is chained after this moment can only lie beyond them.
    let checkpoints = store.checkpoints().await?;
    let keys: Vec<_> = work
        .admin
        .issuer
        .keys()
        .ring()
        .verifiers(KeyPurpose::Audit)
        .cloned()
        .collect();
    let mut last = 0;
    let mut reader = match ChainReader::new(&checkpoints, &keys) {
        Ok(reader) => reader,
        Err(fault) => return faulty(0, checkpoints.len(), &fault.to_string()),
    };
    loop {
        let events = store.audit_events(last, BATCH, false).await?;
        if events.is_empty() {
            break;
        }
        for event in &events {
            if let Err(fault) = reader.push(event) {
                return faulty(last, checkpoints.len(), &fault.to_string());
            }
            last = event.sequence.unwrap_or(last);
        }
    }
    match reader.finish() {
        Ok(verified) => Answer::ok(&AuditVerified {
            intact: true,
            events: verified.events,
            checkpoints: verified.checkpoints as u64,
            sealed: verified.sealed,
            head: Some(verified.head),
            fault: None,
        }),
        Err(fault) => faulty(last, checkpoints.len(), &fault.to_string()),
    }
}

fn faulty(events: i64, checkpoints: usize, fault: &str) -> Result<Answer, Fault> {
    Answer::ok(&AuditVerified {
        intact: false,
        events,
        checkpoints: checkpoints as u64,
        sealed: 0,
        head: None,
        fault: Some(fault.to_owned()),
    })
}

pub(super) async fn checkpoints<P: Parts>(work: &Work<P>) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::AuditRead)?;
    let items = work
        .store()
        .checkpoints()
        .await?
        .into_iter()
        .map(CheckpointView::from)
        .collect();
    Answer::ok(&Page { items, next: None })
}

pub(super) async fn decisions<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::DecisionRead)?;
    let query: DecisionQuery = input.query()?;
    let limit = limit(query.limit)?;
    let found = work
        .store()
        .decisions(query.before.map(|before| before.0), limit)
        .await?;
    let full = u32::try_from(found.len()).is_ok_and(|many| many >= limit);
    let items: Vec<_> = found.into_iter().map(DecisionView::from).collect();
    let next = items
        .last()
        .filter(|_| full)
        .map(|last| last.at.to_string());
    Answer::ok(&Page { items, next })
}
