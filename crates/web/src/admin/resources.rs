//! Resources: what people declare.

use registry::document::{Document, DocumentKind};
use registry::resource::{ResourceKind, Written};
use registry::usecase::resource::{self, PutResource};
use registry::usecase::suspension::{self, Party};

use super::exchange::{Answer, Fault, Input};
use super::operation::ResourceAct;
use super::view::{self, Act, Page, Resource, VersionQuery};
use super::{Parts, Work};

pub(super) async fn serve<P: Parts>(
    kind: ResourceKind,
    act: ResourceAct,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    match act {
        ResourceAct::List => {
            let items = resource::list(work.store(), &work.actor, Some(kind)).await?;
            Answer::ok(&Page {
                items: items.into_iter().map(Resource::from).collect(),
                next: None,
            })
        }
        ResourceAct::Show => {
            let stored = resource::show(work.store(), &work.actor, kind, &input.name).await?;
            let version = stored.version;
            Ok(Answer::ok(&Resource::from(stored))?.version(version))
        }
        ResourceAct::Put => put(kind, work, input).await,
        ResourceAct::Delete => {
            let query: VersionQuery = input.query()?;
            let expected = input.version(query.version)?;
            resource::remove(
                work.store(),
                &work.actor,
                &work.ctx(),
                kind,
                &input.name,
                expected,
            )
            .await?;
            Ok(Answer::empty())
        }
        ResourceAct::Versions => {
            let found = resource::versions(work.store(), &work.actor, kind, &input.name).await?;
            Answer::ok(&Page {
                items: found.into_iter().map(view::Version::from).collect(),
                next: None,
            })
        }
        ResourceAct::RollBack => {
            let body: view::RollBack = input.json()?;
            let (store, actor, ctx) = (work.store(), &work.actor, &work.ctx());
            let written =
                resource::roll_back(store, actor, ctx, kind, &input.name, body.to).await?;
            answer(written)
        }
    }
}

/// Suspends somebody or ends that.
pub(super) async fn switch<P: Parts>(
    party: Party,
    suspended: bool,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    let _: Act = input.json()?;
    let query: VersionQuery = input.query()?;
    let expected = input.version(query.version)?;
    let (store, actor, ctx, name) = (work.store(), &work.actor, &work.ctx(), &*input.name);
    let stored = suspension::switch(store, actor, ctx, party, name, expected, suspended).await?;
    let version = stored.version;
    Ok(Answer::ok(&Resource::from(stored))?.version(version))
}

async fn put<P: Parts>(kind: ResourceKind, work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: view::PutResource = input.json()?;
    let expected = input.version(body.version)?;
    let document = Document::from_parts(DocumentKind::Resource(kind), &input.name, body.spec)
        .map_err(|flaws| Fault::Flaws(flaws.iter().map(view::FlawView::from).collect()))?;
    let put = PutResource { document, expected };
    answer(resource::put(work.store(), &work.actor, &work.ctx(), put).await?)
}

fn answer(written: Written) -> Result<Answer, Fault> {
    match written {
        Written::Created(stored) => {
            let version = stored.version;
            Ok(Answer::created(&Resource::from(stored))?.version(version))
        }
        Written::Updated(stored) | Written::Unchanged(stored) => {
            let version = stored.version;
            Ok(Answer::ok(&Resource::from(stored))?.version(version))
        }
        Written::Conflict { current } => {
            Err(registry::usecase::Refusal::Conflict { current }.into())
        }
        Written::ManagedByFile => Err(registry::usecase::Refusal::ManagedByFile.into()),
    }
}
