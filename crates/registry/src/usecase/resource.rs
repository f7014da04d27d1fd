//! Resources: list, show, write, remove. What is written must mean something together with all that
//! stands already, and nothing that others refer to can be taken away under them.

use proof::random::uuid_v7;
use serde_json::Value;
use verdict::identity::LifeState;

use super::{Ctx, Details, Refusal, authorize, draft};
use crate::access::Action;
use crate::actor::Actor;
use crate::api::written::UpstreamTlsSpec;
use crate::diff::diff;
use crate::document::{Document, DocumentKind, Spec};
use crate::flaw::{DocumentRef, Flaw, PathStep};
use crate::meaning::{Context, Meaning, mean_all};
use crate::ports::{CredentialFilter, Registry, StoreError};
use crate::resource::{ManagedBy, Put, Removed, ResourceKind, Stored, Version, Written};
use crate::trusted_issuer::IntrospectionSpec;

/// The most changed fields that an event names.
const MOST_NAMED_CHANGES: usize = 40;

/// The most credentials asked for at once.
const PAGE: u32 = 1000;

/// A write of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct PutResource {
    /// What is written.
    pub document: Document,
    /// `Some(0)`: must be new; `Some(n)`: must have this version; `None`: whatever is there.
    pub expected: Option<i64>,
}

/// All resources of a kind, or all.
///
/// # Errors
/// [`Refusal`].
pub async fn list(
    ports: &impl Registry,
    actor: &Actor,
    kind: Option<ResourceKind>,
) -> Result<Vec<Stored>, Refusal> {
    authorize(actor, Action::ResourceRead)?;
    Ok(ports.resources(kind).await?)
}

/// One resource.
///
/// # Errors
/// [`Refusal::NotFound`] and others.
pub async fn show(
    ports: &impl Registry,
    actor: &Actor,
    kind: ResourceKind,
    name: &str,
) -> Result<Stored, Refusal> {
    authorize(actor, Action::ResourceRead)?;
    ports
        .resource(kind, name)
        .await?
        .ok_or_else(|| not_found(kind, name))
}

/// Writes one resource. A system actor writes for a file: others may only read it then.
///
/// # Errors
/// [`Refusal::Flawed`] if the documents would not mean anything with it; others.
pub async fn put(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    input: PutResource,
) -> Result<Written, Refusal> {
    authorize(actor, Action::ResourceWrite)?;
    let Some(kind) = input.document.kind().resource() else {
        return Err(Refusal::Invalid {
            field: "kind",
            message: "an API key is a credential",
        });
    };
    let name = input.document.name.as_str().to_owned();
    let stored = ports.resources(None).await?;
    let before = documents(&stored)?;
    let mut after: Vec<Document> = before
        .iter()
        .filter(|other| !same(other, kind, &name))
        .cloned()
        .collect();
    after.push(input.document.clone());
    let last = after.len() - 1;
    let meaning = no_new_flaws(&before, &after, Some(last), ctx.context)?;
    its_files_can_be_used(meaning.as_ref(), &after, last..after.len(), ctx)?;
    let managed_by = ManagedBy::Api;
    write(ports, actor, ctx, &stored, input, managed_by).await
}

/// What a resource said at its last versions, the newest first.
///
/// # Errors
/// [`Refusal::NotFound`] and others.
pub async fn versions(
    ports: &impl Registry,
    actor: &Actor,
    kind: ResourceKind,
    name: &str,
) -> Result<Vec<Version>, Refusal> {
    let stored = show(ports, actor, kind, name).await?;
    let versions = ports.resource_versions(kind, name).await?;
    if versions.is_empty() {
        return Ok(vec![Version {
            version: stored.version,
            spec: stored.spec,
            managed_by: stored.managed_by,
            written_at: stored.updated_at,
        }]);
    }
    Ok(versions)
}

/// Writes again what a resource said at an earlier version: at `to`, or at the last one before now
/// that said something else. It is a write like any other: what it says must still mean something
/// together with all that stands now.
///
/// # Errors
/// [`Refusal::NotFound`] if that version is not kept; others as [`put`].
pub async fn roll_back(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    kind: ResourceKind,
    name: &str,
    to: Option<i64>,
) -> Result<Written, Refusal> {
    authorize(actor, Action::ResourceWrite)?;
    let versions = versions(ports, actor, kind, name).await?;
    let Some((now, earlier)) = versions.split_first() else {
        return Err(not_found(kind, name));
    };
    let found = earlier.iter().find(|one| match to {
        Some(version) => one.version == version,
        None => one.spec != now.spec,
    });
    let Some(found) = found else {
        return Err(Refusal::NotFound {
            what: "earlier version",
            name: to.map_or_else(|| name.to_owned(), |version| version.to_string()),
        });
    };
    let kind_of_document = DocumentKind::Resource(kind);
    let document = Document::from_parts(kind_of_document, name, found.spec.clone())
        .map_err(Refusal::Flawed)?;
    let input = PutResource {
        document,
        expected: Some(now.version),
    };
    put(ports, actor, ctx, input).await
}

/// Why a document that names secrets of the machine is not taken from the admin API.
pub(crate) const LOCAL_SECRETS: &str =
    "the document names secrets or files of the machine, so it is declared in the settings file";

/// Whether a document names files or variables of the machine whose contents would be sent to where
/// the same document says, or used as its keys: whoever may write documents could read or borrow any
/// of them so.
pub(crate) fn names_local_secrets(document: &Document) -> bool {
    match &document.spec {
        Spec::Api(spec) => {
            spec.upstream.credential.is_some()
                || spec.token_encryption.is_some()
                || spec.upstream.tls.as_ref().is_some_and(shows_ours)
        }
        Spec::TrustedIssuer(spec) => {
            spec.paseto_key_files.is_some() || spec.introspection.as_ref().is_some_and(proves_us)
        }
        Spec::Policy(spec) => spec.names_files(),
        _ => false,
    }
}

/// Whether the gateway shows a certificate of the machine's to the upstream. Without `..`, so that
/// whoever adds a file to it decides here, too.
fn shows_ours(tls: &UpstreamTlsSpec) -> bool {
    let UpstreamTlsSpec {
        ca_file: _,
        server_name: _,
        certificate_file,
        key_file,
    } = tls;
    certificate_file.is_some() || key_file.is_some()
}

/// Whether the issuer is asked with a secret, key or certificate of the machine's. A key is never
/// sent, but what it signs is: to the URL and for the audience that the document names.
fn proves_us(asked: &IntrospectionSpec) -> bool {
    let IntrospectionSpec {
        url: _,
        client_id: _,
        client_secret,
        certificate_file,
        key_file,
        key_algorithm: _,
        token_prefixes: _,
        cache: _,
        response: _,
        dangerous_assumed_audience: _,
    } = asked;
    client_secret.is_some() || certificate_file.is_some() || key_file.is_some()
}

/// Writes without asking what the whole means: the caller has.
pub(crate) async fn write(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    stored: &[Stored],
    input: PutResource,
    managed_by: ManagedBy,
) -> Result<Written, Refusal> {
    let Some(kind) = input.document.kind().resource() else {
        return Err(Refusal::Invalid {
            field: "kind",
            message: "an API key is a credential",
        });
    };
    if managed_by == ManagedBy::Api && names_local_secrets(&input.document) {
        return Err(Refusal::Invalid {
            field: "spec",
            message: LOCAL_SECRETS,
        });
    }
    let name = input.document.name.as_str().to_owned();
    let spec = input.document.spec_value();
    let old = stored
        .iter()
        .find(|one| one.kind == kind && one.name == name);
    if let Some(old) = old {
        keeps_its_wall(ports, old, &spec).await?;
    }
    let empty = Value::Object(serde_json::Map::new());
    let changes = diff(old.map_or(&empty, |old| &old.spec), &spec);
    let mut details = Details::new();
    let named: Vec<_> = changes
        .iter()
        .take(MOST_NAMED_CHANGES)
        .map(|one| one.place())
        .collect();
    details.insert("fields".to_owned(), named.join(" "));
    details.insert(
        "change".to_owned(),
        if old.is_some() { "update" } else { "create" }.to_owned(),
    );
    let put = Put {
        kind,
        new_id: uuid_v7(ctx.now, ctx.entropy),
        spec,
        managed_by,
        expected: input.expected,
        at: ctx.now,
        name: name.clone(),
    };
    let audit = draft(
        ctx,
        actor,
        Action::ResourceWrite,
        subject(kind, &name),
        details,
    );
    match ports.put_resource(put, audit).await? {
        Written::Conflict { current } => Err(Refusal::Conflict { current }),
        Written::ManagedByFile => Err(Refusal::ManagedByFile),
        done @ (Written::Created(_) | Written::Updated(_) | Written::Unchanged(_)) => Ok(done),
    }
}

/// Removes one resource.
///
/// # Errors
/// [`Refusal::Flawed`] if others refer to it, [`Refusal::InUse`] if credentials hang on it; others.
pub async fn remove(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    kind: ResourceKind,
    name: &str,
    expected: Option<i64>,
) -> Result<(), Refusal> {
    authorize(actor, Action::ResourceDelete)?;
    let stored = ports.resources(None).await?;
    let before = documents(&stored)?;
    let after: Vec<Document> = before
        .iter()
        .filter(|other| !same(other, kind, name))
        .cloned()
        .collect();
    if after.len() == before.len() {
        return Err(not_found(kind, name));
    }
    no_new_flaws(&before, &after, None, ctx.context)?;
    erase(ports, actor, ctx, kind, name, expected, false).await
}

/// Removes without asking what the rest means: the caller has.
pub(crate) async fn erase(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    kind: ResourceKind,
    name: &str,
    expected: Option<i64>,
    by_file: bool,
) -> Result<(), Refusal> {
    let audit = draft(
        ctx,
        actor,
        Action::ResourceDelete,
        subject(kind, name),
        Details::new(),
    );
    match ports
        .remove_resource(kind, name, expected, by_file, audit)
        .await?
    {
        Removed::Done => Ok(()),
        Removed::Unknown => Err(not_found(kind, name)),
        Removed::Conflict { current } => Err(Refusal::Conflict { current }),
        Removed::ManagedByFile => Err(Refusal::ManagedByFile),
        Removed::InUse { credentials } => Err(Refusal::InUse { credentials }),
    }
}

/// What the stored rows say as documents.
///
/// # Errors
/// [`StoreError::Broken`] for a row that is no document of its kind.
pub fn documents(stored: &[Stored]) -> Result<Vec<Document>, StoreError> {
    stored.iter().map(document).collect()
}

/// What a stored row says as a document.
///
/// # Errors
/// [`StoreError::Broken`] for a row that is no document of its kind.
pub fn document(stored: &Stored) -> Result<Document, StoreError> {
    let kind = DocumentKind::Resource(stored.kind);
    Document::from_parts(kind, &stored.name, stored.spec.clone()).map_err(|flaws| {
        let first = flaws.first().map_or_else(String::new, Flaw::to_string);
        StoreError::Broken(format!("a stored document has the wrong shape: {first}"))
    })
}

/// Refuses flaws in the document at `written`, and any that were not there before: a change must
/// not be held up by what was wrong already elsewhere, or nobody could mend it. What they mean
/// together, if nothing is wrong at all.
pub(crate) fn no_new_flaws(
    before: &[Document],
    after: &[Document],
    written: Option<usize>,
    context: &Context,
) -> Result<Option<Meaning>, Refusal> {
    let flaws = match mean_all(after, context) {
        Ok(meaning) => return Ok(Some(meaning)),
        Err(flaws) => flaws,
    };
    let known = mean_all(before, context).err().unwrap_or_default();
    let was_there = |flaw: &Flaw| {
        known.iter().any(|old| {
            (
                &old.document.kind,
                &old.document.name,
                &old.path,
                &old.message,
            ) == (
                &flaw.document.kind,
                &flaw.document.name,
                &flaw.path,
                &flaw.message,
            )
        })
    };
    let new: Vec<Flaw> = flaws
        .into_iter()
        .filter(|flaw| Some(flaw.document.index) == written || !was_there(flaw))
        .collect();
    if new.is_empty() {
        Ok(None)
    } else {
        Err(Refusal::Flawed(new))
    }
}

/// Refuses documents, those at `written`, that name files which can't be used here: what is written
/// is to come into force, and nobody would say otherwise why it does not. What does not mean anything
/// yet is not in force either.
pub(crate) fn its_files_can_be_used(
    meaning: Option<&Meaning>,
    documents: &[Document],
    written: core::ops::Range<usize>,
    ctx: &Ctx<'_>,
) -> Result<(), Refusal> {
    let Some(meaning) = meaning else {
        return Ok(());
    };
    let mut flaws = Vec::new();
    for (index, document) in documents.iter().enumerate().take(written.end) {
        let Some(kind) = document
            .kind()
            .resource()
            .filter(|_| index >= written.start)
        else {
            continue;
        };
        let found = ctx.files.look(meaning, kind, document.name.as_str());
        flaws.extend(found.into_iter().map(|bad| {
            let steps = core::iter::once("spec").chain(bad.place.split('.'));
            Flaw {
                document: DocumentRef {
                    kind: document.kind().name().to_owned(),
                    name: document.name.as_str().to_owned(),
                    index,
                },
                path: steps.map(|key| PathStep::Key(key.to_owned())).collect(),
                message: bad.message,
                hint: None,
            }
        }));
    }
    if flaws.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Flawed(flaws))
    }
}

/// An owner does not change sides while its credentials live: they would stand on the wrong one.
async fn keeps_its_wall(ports: &impl Registry, old: &Stored, spec: &Value) -> Result<(), Refusal> {
    let wall = |value: &Value| value.get("environment").cloned();
    let owns = matches!(
        old.kind,
        ResourceKind::Application
            | ResourceKind::Client
            | ResourceKind::Account
            | ResourceKind::User
    );
    if !owns || wall(&old.spec) == wall(spec) {
        return Ok(());
    }
    let filter = CredentialFilter {
        owner: Some(old.name.clone()),
        limit: PAGE,
        ..CredentialFilter::default()
    };
    let credentials = ports
        .credentials(&filter)
        .await?
        .iter()
        .filter(|one| one.r#type.owner_kind() == Some(old.kind) && one.state != LifeState::Revoked)
        .count();
    if credentials > 0 {
        return Err(Refusal::InUse {
            credentials: i64::try_from(credentials).unwrap_or(i64::MAX),
        });
    }
    Ok(())
}

fn same(document: &Document, kind: ResourceKind, name: &str) -> bool {
    document.kind() == DocumentKind::Resource(kind) && document.name.as_str() == name
}

fn not_found(kind: ResourceKind, name: &str) -> Refusal {
    Refusal::NotFound {
        what: kind.name(),
        name: name.to_owned(),
    }
}

/// A resource as events name it: `Api/orders`.
fn subject(kind: ResourceKind, name: &str) -> String {
    format!("{}/{name}", kind.name())
}

#[cfg(test)]
mod tests;
