//! **Apply, diff, export**: what stands compared with what is wanted, as a plan that is shown before
//! it is carried out. The plan is pure; carrying it out names the version that each change was
//! planned against, so that whoever edited meanwhile is not overwritten. The end is checked as a
//! whole before the first step, since its parts may only mean something together.
//!
//! Keys are credentials: a document changes their metadata or brings a foreign key in, but never
//! makes a secret, and pruning never ends one.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use verdict::identity::LifeState;

use crate::access::Action;
use crate::actor::Actor;
use crate::credential::{Credential, CredentialType, Lookup};
use crate::diff::{FieldChange, diff};
use crate::document::{Document, DocumentKind, Name, Spec};
use crate::key::ApiKeySpec;
use crate::ports::{CredentialFilter, Registry, StoreError};
use crate::resource::{ManagedBy, Stored};
use crate::usecase::api_key::{self, imported_lookup};
use crate::usecase::credential::{self, Amendment};
use crate::usecase::resource::{
    self, PutResource, document, documents, its_files_can_be_used, no_new_flaws,
};
use crate::usecase::{Ctx, Refusal, authorize};

/// Keys are asked for in pages of this size.
const PAGE: u32 = 1000;
/// At most so many pages of keys of one application are compared.
const MOST_PAGES: usize = 100;

/// A document that stands, and what holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What it says.
    pub document: Document,
    /// What holds it.
    pub holder: Holder,
}

/// What holds a document that stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Holder {
    /// A stored resource.
    Resource {
        /// Its version.
        version: i64,
        /// Who may change it.
        managed_by: ManagedBy,
    },
    /// An API key.
    Key(Box<Credential>),
}

impl Standing {
    /// Of a stored resource.
    ///
    /// # Errors
    /// [`StoreError::Broken`] for a row that is no document of its kind.
    pub fn of_resource(stored: &Stored) -> Result<Self, StoreError> {
        let holder = Holder::Resource {
            version: stored.version,
            managed_by: stored.managed_by,
        };
        Ok(Self {
            document: document(stored)?,
            holder,
        })
    }

    /// Of an API key; its document is named by its id.
    ///
    /// # Errors
    /// [`StoreError::Broken`] for an id that is no name.
    pub fn of_key(credential: Credential) -> Result<Self, StoreError> {
        let name = Name::new(&credential.id)
            .map_err(|_| StoreError::Broken("a credential's id is no name".to_owned()))?;
        let spec = Spec::ApiKey(Box::new(api_key::spec_of(&credential)));
        Ok(Self {
            document: Document { name, spec },
            holder: Holder::Key(Box::new(credential)),
        })
    }
}

/// A document by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// The kind's name.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

impl Subject {
    fn of(document: &Document) -> Self {
        Self {
            kind: document.kind().name(),
            name: document.name.as_str().to_owned(),
        }
    }
}

impl core::fmt::Display for Subject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A document that will be new.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// What it says.
    pub document: Document,
}

/// A document that will change.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What it will say.
    pub document: Document,
    /// The version that the plan was made against.
    pub expected: i64,
    /// What differs, secrets masked; empty where only its holder changes.
    pub changes: Vec<FieldChange>,
    /// The credential's id, for a key.
    pub key: Option<String>,
}

/// A document that will be gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// What it said.
    pub document: Document,
    /// The version that the plan was made against.
    pub expected: i64,
}

/// A change that can't be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// Of which document.
    pub subject: Subject,
    /// Why.
    pub reason: &'static str,
}

/// Who plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// People and pipelines, by the admin API.
    Api {
        /// Whether resources that are not wanted are removed.
        prune: bool,
    },
    /// The settings file: it takes over what it declares, and removes what it no longer does.
    File,
}

/// What would be done. Pure: nothing was asked or changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// New ones, in the order in which they may refer to each other.
    pub creates: Vec<Create>,
    /// Changed ones, likewise.
    pub updates: Vec<Update>,
    /// Gone ones, the other way round.
    pub deletes: Vec<Delete>,
    /// Those that say already what is wanted.
    pub unchanged: Vec<Subject>,
    /// Those that can't become what is wanted. A plan with any is not carried out.
    pub refused: Vec<Refused>,
}

impl Plan {
    /// Whether there is nothing to do and nothing wrong.
    pub fn is_empty(&self) -> bool {
        self.creates.is_empty()
            && self.updates.is_empty()
            && self.deletes.is_empty()
            && self.refused.is_empty()
    }
}

/// Compares what stands with what is wanted.
pub fn plan(current: &[Standing], wanted: &[Document], side: Side) -> Plan {
    let mut plan = Plan::default();
    let mut met: BTreeSet<usize> = BTreeSet::new();
    let mut named: BTreeSet<Subject> = BTreeSet::new();
    for document in in_order(wanted) {
        let subject = Subject::of(document);
        if !named.insert(subject.clone()) {
            plan.refused.push(Refused {
                subject,
                reason: "it is declared twice",
            });
            continue;
        }
        if side != Side::File && resource::names_local_secrets(document) {
            let same = |one: &&Standing| {
                one.document.kind() == document.kind() && one.document.name == document.name
            };
            let stands = current.iter().find(same);
            // What stands in a file and is exported may come back as it is.
            if stands.is_none_or(|one| one.document.spec != document.spec) {
                plan.refused.push(Refused {
                    subject,
                    reason: resource::LOCAL_SECRETS,
                });
                continue;
            }
        }
        let found = match &document.spec {
            Spec::ApiKey(spec) => find_key(current, document.name.as_str(), spec),
            _ => current.iter().position(|one| {
                one.document.kind() == document.kind() && one.document.name == document.name
            }),
        };
        if let Some(index) = found
            && !met.insert(index)
        {
            plan.refused.push(Refused {
                subject,
                reason: "another document means the same key",
            });
            continue;
        }
        match (found.map(|index| &current[index]), &document.spec) {
            (Some(standing), Spec::ApiKey(spec)) => plan.compare_key(standing, document, spec),
            (Some(standing), _) => plan.compare(standing, document, side),
            (None, Spec::ApiKey(spec)) if spec.imported.is_none() => plan.refused.push(Refused {
                subject,
                reason: "there is no such key, and a document can't make one: its secret would be in it",
            }),
            (None, _) => plan.creates.push(Create { document: document.clone() }),
        }
    }
    let prunes = |managed_by: ManagedBy| match side {
        Side::Api { prune } => prune && managed_by == ManagedBy::Api,
        Side::File => managed_by == ManagedBy::File,
    };
    for (index, standing) in current.iter().enumerate() {
        if let Holder::Resource {
            version,
            managed_by,
        } = &standing.holder
            && !met.contains(&index)
            && prunes(*managed_by)
        {
            plan.deletes.push(Delete {
                document: standing.document.clone(),
                expected: *version,
            });
        }
    }
    plan.deletes
        .sort_by_key(|one| core::cmp::Reverse(rank(&one.document)));
    plan
}

impl Plan {
    fn compare(&mut self, standing: &Standing, wanted: &Document, side: Side) {
        let Holder::Resource {
            version,
            managed_by,
        } = &standing.holder
        else {
            return;
        };
        let changes = diff(&standing.document.spec_value(), &wanted.spec_value());
        let subject = Subject::of(wanted);
        let foreign = side != Side::File && *managed_by == ManagedBy::File;
        let taken_over = side == Side::File && *managed_by == ManagedBy::Api;
        if changes.is_empty() && !taken_over {
            self.unchanged.push(subject);
        } else if foreign {
            self.refused.push(Refused {
                subject,
                reason: "it is declared in a file",
            });
        } else {
            self.updates.push(Update {
                document: wanted.clone(),
                expected: *version,
                changes,
                key: None,
            });
        }
    }

    fn compare_key(&mut self, standing: &Standing, wanted: &Document, spec: &ApiKeySpec) {
        let Holder::Key(credential) = &standing.holder else {
            return;
        };
        let subject = Subject::of(wanted);
        let stands = api_key::spec_of(credential);
        let mut metadata = spec.clone();
        let imported = metadata.imported.take();
        let other_hash = imported.is_some_and(|imported| {
            imported_lookup(&imported)
                .is_none_or(|(_, verifier)| verifier.to_stored() != credential.verifier)
        });
        let fixed = (&stands.application, stands.r#type, stands.environment)
            == (&metadata.application, metadata.r#type, metadata.environment);
        let reason = if credential.state == LifeState::Revoked {
            Some("the key is revoked, for good")
        } else if other_hash {
            Some("a key's hash does not change; bring the other key in beside it")
        } else if !fixed {
            Some("a key does not change its application, type or environment")
        } else {
            None
        };
        if let Some(reason) = reason {
            self.refused.push(Refused { subject, reason });
            return;
        }
        let changes = diff(&key_value(&stands), &key_value(&metadata));
        if changes.is_empty() {
            self.unchanged.push(subject);
        } else {
            self.updates.push(Update {
                document: wanted.clone(),
                expected: credential.version,
                changes,
                key: Some(credential.id.clone()),
            });
        }
    }
}

fn key_value(spec: &ApiKeySpec) -> Value {
    serde_json::to_value(spec).expect("written forms have text keys and finite numbers")
}

/// An imported key is what is presented; one of ours is its id.
fn find_key(current: &[Standing], name: &str, spec: &ApiKeySpec) -> Option<usize> {
    let lookup: Option<Lookup> = spec
        .imported
        .as_ref()
        .and_then(imported_lookup)
        .map(|(lookup, _)| lookup);
    current.iter().position(|one| match &one.holder {
        Holder::Key(credential) => {
            credential.id == name
                || lookup
                    .as_ref()
                    .is_some_and(|lookup| *lookup == credential.lookup)
        }
        Holder::Resource { .. } => false,
    })
}

/// The place of a kind in the order of references.
fn rank(document: &Document) -> usize {
    DocumentKind::ALL
        .iter()
        .position(|kind| *kind == document.kind())
        .unwrap_or(usize::MAX)
}

fn in_order(documents: &[Document]) -> Vec<&Document> {
    let mut sorted: Vec<&Document> = documents.iter().collect();
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
    sorted
}

/// What stands, as far as `wanted` is concerned: all resources, and the keys of the applications
/// whose keys are wanted.
///
/// # Errors
/// [`Refusal`].
pub async fn current(
    ports: &impl Registry,
    actor: &Actor,
    wanted: &[Document],
) -> Result<Vec<Standing>, Refusal> {
    authorize(actor, Action::ResourceRead)?;
    authorize(actor, Action::ApiKeyRead)?;
    let mut standing = Vec::new();
    for stored in ports.resources(None).await? {
        standing.push(Standing::of_resource(&stored)?);
    }
    let applications: BTreeSet<&str> = wanted
        .iter()
        .filter_map(|document| match &document.spec {
            Spec::ApiKey(spec) => Some(spec.application.as_str()),
            _ => None,
        })
        .collect();
    for application in applications {
        for key in keys(ports, Some(application)).await? {
            standing.push(Standing::of_key(key)?);
        }
    }
    // A key that moved to another application in the documents is still the same key.
    for document in wanted {
        let name = document.name.as_str();
        let met = standing
            .iter()
            .any(|one| one.document.name == document.name);
        if matches!(document.spec, Spec::ApiKey(_))
            && !met
            && let Some(key) = ports.credential(name).await?
        {
            standing.push(Standing::of_key(key)?);
        }
    }
    Ok(standing)
}

async fn keys(ports: &impl Registry, owner: Option<&str>) -> Result<Vec<Credential>, Refusal> {
    let mut all: Vec<Credential> = Vec::new();
    for _ in 0..MOST_PAGES {
        let filter = CredentialFilter {
            types: vec![CredentialType::ApiKey, CredentialType::PublishableKey],
            owner: owner.map(str::to_owned),
            after: all.last().map(|last| last.id.clone()),
            limit: PAGE,
        };
        let page = ports.credentials(&filter).await?;
        let more = page.len() >= PAGE as usize;
        all.extend(page);
        if !more {
            return Ok(all);
        }
    }
    Err(Refusal::Invalid {
        field: "application",
        message: "it has too many keys for documents; leave them out",
    })
}

/// What came of carrying out a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was done, in order.
    pub done: Vec<Subject>,
    /// What a file no longer declares and credentials still hang on: it stands, and is to be removed
    /// once they are revoked.
    pub kept: Vec<Subject>,
    /// Where it stopped, and why; what was done before stands.
    pub stopped: Option<(Subject, Refusal)>,
}

/// Whether a plan's end would mean something: what [`execute`] asks before its first step.
///
/// # Errors
/// [`Refusal::Flawed`] if not; others.
pub async fn rehearse(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    plan: &Plan,
) -> Result<(), Refusal> {
    authorize(actor, Action::ResourceRead)?;
    the_end_means_something(&ports.resources(None).await?, plan, ctx)
}

/// Carries out a plan.
///
/// # Errors
/// Before the first step: [`Refusal::Flawed`] if its end would mean nothing, [`Refusal::Conflict`]
/// if something was edited since it was made, [`Refusal::Invalid`] if it holds refused changes.
pub async fn execute(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    plan: &Plan,
    side: Side,
) -> Result<Applied, Refusal> {
    authorize(actor, Action::Apply)?;
    if side == Side::File && !matches!(actor, Actor::System { .. }) {
        return Err(Refusal::NotAllowed(Action::Apply));
    }
    if !plan.refused.is_empty() {
        return Err(Refusal::Invalid {
            field: "plan",
            message: "it holds changes that can't be",
        });
    }
    let stored = ports.resources(None).await?;
    nobody_was_faster(&stored, plan)?;
    the_end_means_something(&stored, plan, ctx)?;

    let mut applied = Applied::default();
    let mut steps: Vec<(&Document, i64, Option<&str>)> = Vec::new();
    steps.extend(plan.creates.iter().map(|one| (&one.document, 0, None)));
    steps.extend(
        plan.updates
            .iter()
            .map(|one| (&one.document, one.expected, one.key.as_deref())),
    );
    steps.sort_by_key(|(document, ..)| rank(document));
    for (document, expected, key) in steps {
        let subject = Subject::of(document);
        match step(ports, actor, ctx, &stored, side, document, expected, key).await {
            Ok(()) => applied.done.push(subject),
            Err(refusal) => {
                applied.stopped = Some((subject, refusal));
                return Ok(applied);
            }
        }
    }
    for delete in &plan.deletes {
        let subject = Subject::of(&delete.document);
        let Some(kind) = delete.document.kind().resource() else {
            continue;
        };
        let by_file = side == Side::File;
        let expected = Some(delete.expected);
        match resource::erase(ports, actor, ctx, kind, &subject.name, expected, by_file).await {
            Ok(()) => applied.done.push(subject),
            Err(Refusal::InUse { .. }) if by_file => applied.kept.push(subject),
            Err(refusal) => {
                applied.stopped = Some((subject, refusal));
                return Ok(applied);
            }
        }
    }
    Ok(applied)
}

#[allow(clippy::too_many_arguments, reason = "one step of one loop")]
async fn step(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    stored: &[Stored],
    side: Side,
    document: &Document,
    expected: i64,
    key: Option<&str>,
) -> Result<(), Refusal> {
    match (&document.spec, key) {
        (Spec::ApiKey(spec), Some(id)) => {
            let amendment = Amendment {
                label: Some(spec.label.clone()),
                grant: Some(api_key::grant_of(spec)),
                expires_at: Some(spec.expires_at.map(|moment| moment.0)),
            };
            credential::amend(ports, actor, ctx, id, amendment, Some(expected))
                .await
                .map(drop)
        }
        (Spec::ApiKey(spec), None) => api_key::import(ports, actor, ctx, spec).await.map(drop),
        _ => {
            let input = PutResource {
                document: document.clone(),
                expected: Some(expected),
            };
            let managed_by = match side {
                Side::Api { .. } => ManagedBy::Api,
                Side::File => ManagedBy::File,
            };
            resource::write(ports, actor, ctx, stored, input, managed_by)
                .await
                .map(drop)
        }
    }
}

/// The versions that the plan was made against are those that stand. The store asks again at every
/// step; asking first means that a plan that is out of date does nothing at all.
fn nobody_was_faster(stored: &[Stored], plan: &Plan) -> Result<(), Refusal> {
    let version = |document: &Document| {
        let kind = document.kind().resource()?;
        let found = stored
            .iter()
            .find(|one| one.kind == kind && one.name == document.name.as_str());
        Some(found.map_or(0, |one| one.version))
    };
    let creates = plan.creates.iter().map(|one| (&one.document, 0));
    let updates = plan.updates.iter().map(|one| (&one.document, one.expected));
    let deletes = plan.deletes.iter().map(|one| (&one.document, one.expected));
    for (document, expected) in creates.chain(updates).chain(deletes) {
        match version(document) {
            Some(current) if current != expected => return Err(Refusal::Conflict { current }),
            _ => {}
        }
    }
    Ok(())
}

fn the_end_means_something(stored: &[Stored], plan: &Plan, ctx: &Ctx<'_>) -> Result<(), Refusal> {
    let before = documents(stored)?;
    let written = || {
        let creates = plan.creates.iter().map(|one| &one.document);
        creates.chain(plan.updates.iter().map(|one| &one.document))
    };
    let replaced = |document: &Document| {
        let deleted = plan.deletes.iter().map(|one| &one.document);
        written()
            .chain(deleted)
            .any(|other| other.kind() == document.kind() && other.name == document.name)
    };
    let mut after: Vec<Document> = before
        .iter()
        .filter(|document| !replaced(document))
        .cloned()
        .collect();
    let first = after.len();
    after.extend(written().cloned());
    let meaning = no_new_flaws(&before, &after, None, ctx.context)?;
    its_files_can_be_used(meaning.as_ref(), &after, first..after.len(), ctx)
}

/// Brings the store to what the settings file declares: plans and carries out as the process itself.
///
/// # Errors
/// As [`execute`].
pub async fn sync_files(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    declared: &[Document],
) -> Result<Applied, Refusal> {
    let actor = Actor::System {
        part: "settings-file",
    };
    let plan = plan(
        &current(ports, &actor, declared).await?,
        declared,
        Side::File,
    );
    execute(ports, &actor, ctx, &plan, Side::File).await
}

/// Everything that is declared, as documents; with `keys` also the metadata of API keys that are
/// not revoked. Applying the answer plans nothing.
///
/// # Errors
/// [`Refusal`].
pub async fn export(
    ports: &impl Registry,
    actor: &Actor,
    keys: bool,
) -> Result<Vec<Document>, Refusal> {
    authorize(actor, Action::ResourceRead)?;
    let mut all = documents(&ports.resources(None).await?)?;
    if keys {
        authorize(actor, Action::ApiKeyRead)?;
        for key in self::keys(ports, None).await? {
            if key.state != LifeState::Revoked {
                all.push(Standing::of_key(key)?.document);
            }
        }
    }
    Ok(in_order(&all).into_iter().cloned().collect())
}

#[cfg(test)]
mod tests;
