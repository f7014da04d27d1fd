//! **Following changes**: every node catches up by number, so that a revocation or a new key is in
//! force everywhere within a poll, and at once on the node that made it.
//!
//! Missing a wake-up is harmless: numbers have no gaps, so whoever asks for everything after the
//! last number it saw misses nothing.

use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Result;
use issuer::ports::IssuerStore as _;
use outbound::facts::Changed;
use registry::credential::CredentialType;
use registry::document::Document;
use registry::meaning::Meaning;
use registry::ports::{Change, ChangeSubject, Registry as _};
use registry::resource::Stored;
use tokio_util::sync::CancellationToken;
use verdict::credential::jwt::IssuerId;

use super::planes::{self, Planes};
use super::{Shared, adapters, clients, now};

/// How often other nodes' changes are asked for.
const POLL: Duration = Duration::from_millis(200);
/// Changes read at once.
const BATCH: u32 = 500;

/// What a batch of changes asks to be done again.
#[derive(Debug, Default)]
struct Stale {
    records: HashSet<Changed>,
    /// Objects and relations to them whose tuples changed.
    relations: HashSet<(String, String)>,
    resources: bool,
    revocations: bool,
    signing_keys: bool,
}

impl Stale {
    fn of(changes: &[Change]) -> Self {
        let mut stale = Self::default();
        for change in changes {
            match &change.subject {
                ChangeSubject::Resource(_, name) => {
                    stale.resources = true;
                    stale.records.insert(Changed::Owner(name.as_str().into()));
                }
                ChangeSubject::Credential(kind, id, owner) => {
                    stale
                        .records
                        .insert(Changed::Credential(id.as_str().into()));
                    // The others of its owner stay remembered: without the database a node can't
                    // ask for them again.
                    if stands_in_its_owner(*kind) {
                        stale.records.insert(Changed::Owner(owner.as_str().into()));
                    }
                }
                ChangeSubject::Revocation => stale.revocations = true,
                ChangeSubject::SigningKey => stale.signing_keys = true,
                ChangeSubject::Relation(object, relation) => {
                    stale.relations.insert((object.clone(), relation.clone()));
                }
            }
        }
        stale
    }

    fn everything() -> Self {
        Self {
            resources: true,
            revocations: true,
            signing_keys: true,
            records: HashSet::new(),
            relations: HashSet::new(),
        }
    }
}

/// Whether the record that a call is judged by is the owner's with all of its credentials: so are
/// passwords, which are found by a name. Every other credential is a record of its own.
fn stands_in_its_owner(kind: CredentialType) -> bool {
    match kind {
        CredentialType::Password | CredentialType::UserPassword => true,
        CredentialType::ApiKey
        | CredentialType::PublishableKey
        | CredentialType::ClientSecret
        | CredentialType::AdminKey
        | CredentialType::InitialAccessToken
        | CredentialType::RegistrationAccessToken
        | CredentialType::SigningSecret => false,
    }
}

/// Brings everything that is derived from the store up to date, once, before the first call.
///
/// # Errors
/// If the store does not answer. What can't be served shows in readiness, log and admin API, and
/// can be mended there.
pub(crate) async fn catch_up(shared: &Arc<Shared>, planes: &Planes) -> Result<()> {
    refresh(shared, planes, &Stale::everything()).await?;
    shared.facts.contact(now());
    shared.people.contact(now());
    shared.readiness.answered();
    Ok(())
}

/// Follows changes until stopped.
pub(crate) async fn follow(shared: Arc<Shared>, planes: Arc<Planes>, stop: CancellationToken) {
    let mut wakeups = shared.store.wakeups();
    // Everything up to now was read by `catch_up`; what came in between is read twice at worst.
    let mut seen: Option<i64> = None;
    // What could not be done again stays stale until it was.
    let mut owed = Stale::default();
    loop {
        match step(&shared, &planes, &mut seen, &mut owed).await {
            Ok(()) => {
                shared.facts.contact(now());
                shared.people.contact(now());
                shared.readiness.answered();
            }
            Err(error) => shared.readiness.failed(format!("{error:#}"), now()),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
            woken = wakeups.changed() => if woken.is_err() { return },
        }
    }
}

async fn step(
    shared: &Arc<Shared>,
    planes: &Planes,
    seen: &mut Option<i64>,
    owed: &mut Stale,
) -> Result<()> {
    let from = match *seen {
        Some(number) => number,
        None => {
            let newest = shared.store.newest_change().await?;
            *owed = Stale::everything();
            *seen = Some(newest);
            // What calls made it remember before that number counts for nothing.
            shared.facts.invalidate_all();
            newest
        }
    };
    loop {
        let after = seen.unwrap_or(from);
        let changes = shared.store.changes_after(after, BATCH).await?;
        let Some(last) = changes.last() else { break };
        let found = Stale::of(&changes);
        // Records go first: they are what a revoked key would still pass by.
        shared.facts.invalidate(&found.records);
        shared.people.invalidate(&found.records);
        let pairs = found.relations.iter();
        shared
            .facts
            .forget_relations(pairs.map(|(object, relation)| (&**object, &**relation)));
        owed.resources |= found.resources;
        owed.revocations |= found.revocations;
        owed.signing_keys |= found.signing_keys;
        *seen = Some(last.number);
        if changes.len() < BATCH as usize {
            break;
        }
    }
    if owed.resources || owed.revocations || owed.signing_keys {
        refresh(shared, planes, owed).await?;
        *owed = Stale::default();
    }
    // Everything up to it is in force by now; open streams are judged again.
    if let Some(number) = *seen {
        shared
            .seen
            .send_if_modified(|before| core::mem::replace(before, number) != number);
    }
    Ok(())
}

async fn refresh(shared: &Arc<Shared>, planes: &Planes, stale: &Stale) -> Result<()> {
    if stale.revocations
        && let Some(issuer) = &shared.issuer
    {
        let id = IssuerId::new(issuer.endpoints().issuer());
        let revocations = shared.store.revocations(now()).await?;
        let entries: Vec<_> = revocations
            .iter()
            .map(|one| adapters::pushed(&id, one))
            .collect();
        shared.facts.revocations().replace(entries, now());
    }
    if stale.signing_keys {
        shared.keys.reload().await?;
        planes::publish_own_keys(&shared.keys.ring(), &shared.own_keys, &shared.own_paseto)?;
        // A key may have been dropped because it leaked: what it signed is verified anew.
        shared.facts.forget_tokens();
    }
    if stale.resources {
        let stored = shared.store.resources(None).await?;
        match take_over(shared, planes, &stored) {
            Ok(()) => shared.readiness.served(),
            // Asked for again at the next change: the store answered, so this is no outage.
            Err(error) => shared.readiness.unserved(format!("{error:#}")),
        }
    }
    Ok(())
}

/// Takes what is stored into service.
fn take_over(shared: &Shared, planes: &Planes, stored: &[Stored]) -> Result<()> {
    let documents = registry::usecase::resource::documents(stored)?;
    // First, and whatever becomes of the rest: it is what somebody is to be stopped by.
    let suspended = clients::suspended(&documents);
    shared.facts.suspended_clients().configure(suspended);
    let meaning = meaning_of(shared, &documents)?;
    planes.take_over(shared, &meaning)?;
    tell_dangers(shared, &documents);
    let webhooks = meaning.webhooks.iter();
    let webhooks = webhooks.map(|one| (one.name.clone(), one.clone()));
    shared.webhooks.store(Arc::new(webhooks.collect()));
    tracing::info!(
        apis = meaning.apis.len(),
        clients = meaning.clients.len(),
        "resources are in force"
    );
    Ok(())
}

/// Says what is insecure among the resources, once for each that was not there before.
fn tell_dangers(shared: &Shared, documents: &[Document]) {
    let dangers = registry::danger::dangers(documents);
    let said = shared.dangers.load();
    for danger in dangers.iter().filter(|one| !said.contains(one)) {
        tracing::warn!("{danger}");
    }
    shared.dangers.store(Arc::new(dangers));
}

/// What documents mean together.
///
/// # Errors
/// Every flaw, in words.
pub(crate) fn meaning_of(shared: &Shared, documents: &[Document]) -> Result<Meaning> {
    registry::meaning::mean_all(documents, &shared.context).map_err(|flaws| {
        let list: Vec<String> = flaws.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the resources mean nothing together: {}", list.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_to_a_credential_leaves_what_is_remembered_of_its_neighbours() {
        for kind in CredentialType::ALL {
            let subject = ChangeSubject::Credential(kind, "one".to_owned(), "shop".to_owned());
            let stale = Stale::of(&[Change { number: 1, subject }]);
            let mut wanted = HashSet::from([Changed::Credential("one".into())]);
            if matches!(
                kind,
                CredentialType::Password | CredentialType::UserPassword
            ) {
                wanted.insert(Changed::Owner("shop".into()));
            }
            assert_eq!(stale.records, wanted, "{kind:?}");
        }
    }
}
