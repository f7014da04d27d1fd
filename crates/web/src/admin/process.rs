//! The process: how it is, and its settings.

use std::collections::BTreeMap;

use registry::access::Action;
use registry::actor::Actor;
use registry::ports::{AuditTrail as _, Registry as _};
use registry::resource::ResourceKind;
use registry::units::Moment;
use registry::usecase::authorize;

use super::exchange::{Answer, Fault};
use super::operation::collection;
use super::view::{AuditStatus, SettingsView, Status, You};
use super::{Parts, Work};

/// Up to how many waiting events are counted.
const MOST_WAITING: u32 = 1000;

pub(super) async fn status<P: Parts>(work: &Work<P>) -> Result<Answer, Fault> {
    let store = work.store();
    let stored = store.resources(None).await?;
    let resources: BTreeMap<String, u64> = ResourceKind::ALL
        .into_iter()
        .map(|kind| {
            let many = stored.iter().filter(|one| one.kind == kind).count();
            (collection(kind).to_owned(), many as u64)
        })
        .collect();
    let (chained, _) = store.chain_head().await?;
    let waiting = store.audit_events(chained, MOST_WAITING, true).await?;
    let process = &work.admin.process;
    let you = match &work.actor {
        Actor::Administrator { key, name, role } => You {
            key: key.to_string(),
            name: name.clone(),
            role: role.name().to_owned(),
        },
        Actor::System { .. } | Actor::Registrant { .. } => You {
            key: String::new(),
            name: work.actor.label(),
            role: work.actor.role().name().to_owned(),
        },
    };
    Answer::ok(&Status {
        version: process.version().to_owned(),
        started_at: Moment(process.started_at()),
        now: Moment(work.now),
        you,
        resources,
        newest_change: store.newest_change().await?,
        audit: AuditStatus {
            chained,
            waiting: waiting
                .iter()
                .filter(|event| event.sequence.is_none())
                .count() as u64,
        },
        settings: process.settings_status(),
    })
}

pub(super) fn settings<P: Parts>(work: &Work<P>) -> Result<Answer, Fault> {
    authorize(&work.actor, Action::SettingsRead)?;
    let process = &work.admin.process;
    Answer::ok(&SettingsView {
        status: process.settings_status(),
        effective: process.effective_settings(),
    })
}
