//! Relations: writing tuples and reading them. A tuple is written only if the declared model takes
//! it, so that a slip of the pen is told and not kept; whether one still fits is judged anew at every
//! use.

use std::collections::BTreeSet;
use std::sync::Arc;

use proof::time::Timestamp;
use verdict::policy::relations::{
    Model, Object, Subjects, Tree, Tuple, Unlisted, expand, list_objects, list_subjects,
};

use super::{Ctx, Details, Refusal, authorize, draft, resource};
use crate::access::Action;
use crate::actor::Actor;
use crate::meaning::mean_all;
use crate::ports::Registry;
use crate::relations::{
    Batch, Done, LONGEST_PURPOSE, MOST_AT_ONCE, NewTuple, Relations, StoredTuple, TupleFilter,
    Wrote,
};
use crate::resource::ResourceKind;
use crate::units::Moment;

/// A write as asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Write {
    /// What to add.
    pub add: Vec<NewTuple>,
    /// What to remove.
    pub remove: Vec<Tuple>,
    /// What must stand for it.
    pub must: Vec<Tuple>,
    /// What must not stand for it.
    pub must_not: Vec<Tuple>,
}

/// The model that is declared now; `None` if there is none.
///
/// # Errors
/// The store's.
pub async fn declared(ports: &impl Registry, ctx: &Ctx<'_>) -> Result<Option<Arc<Model>>, Refusal> {
    let stored = ports.resources(Some(ResourceKind::RelationModel)).await?;
    let documents = resource::documents(&stored)?;
    let meaning = mean_all(&documents, ctx.context).map_err(Refusal::Flawed)?;
    Ok(meaning.relations)
}

/// The same, where there must be one.
///
/// # Errors
/// [`Refusal::Invalid`] if there is none.
pub async fn model(ports: &impl Registry, ctx: &Ctx<'_>) -> Result<Arc<Model>, Refusal> {
    declared(ports, ctx).await?.ok_or(Refusal::Invalid {
        field: "model",
        message: "no RelationModel is declared; declare one with `doorward apply`",
    })
}

fn unfit(place: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::Unfit {
        place: place.into(),
        message: message.into(),
    }
}

/// Adds and removes tuples together, or does nothing.
///
/// # Errors
/// [`Refusal::Unfit`] for a tuple that the model does not take, [`Refusal::Unexpected`] where
/// something stands that must not or the reverse; others.
pub async fn write(
    ports: &(impl Registry + Relations),
    actor: &Actor,
    ctx: &Ctx<'_>,
    asked: Write,
) -> Result<Done, Refusal> {
    if !asked.add.is_empty() || asked.remove.is_empty() {
        authorize(actor, Action::RelationAdd)?;
    }
    if !asked.remove.is_empty() {
        authorize(actor, Action::RelationRemove)?;
    }
    let count = asked.add.len() + asked.remove.len();
    if !(1..=MOST_AT_ONCE).contains(&count) {
        return Err(Refusal::Invalid {
            field: "add",
            message: "one write adds and removes 1 to 100 tuples",
        });
    }
    if asked.must.len() + asked.must_not.len() > MOST_AT_ONCE {
        return Err(Refusal::Invalid {
            field: "must",
            message: "one write expects at most 100 tuples",
        });
    }
    no_doubles(&asked)?;
    // What is removed need not fit any more: that may be why it goes.
    if !asked.add.is_empty() {
        let model = model(ports, ctx).await?;
        for (index, new) in asked.add.iter().enumerate() {
            is_sound(&model, new, ctx.now).map_err(|why| unfit(format!("add[{index}]"), why))?;
        }
    }
    let add = asked.add.into_iter().map(|new| {
        let mut details = Details::new();
        if let Some(until) = new.until {
            details.insert("until".to_owned(), Moment(until).to_string());
        }
        if let Some(purpose) = &new.purpose {
            details.insert("purpose".to_owned(), purpose.clone());
        }
        let event = draft(
            ctx,
            actor,
            Action::RelationAdd,
            subject(&new.tuple),
            details,
        );
        (new, event)
    });
    let remove = asked.remove.into_iter().map(|tuple| {
        let event = draft(
            ctx,
            actor,
            Action::RelationRemove,
            subject(&tuple),
            Details::new(),
        );
        (tuple, event)
    });
    let batch = Batch {
        add: add.collect(),
        remove: remove.collect(),
        must: asked.must,
        must_not: asked.must_not,
        at: ctx.now,
        by: actor.label(),
    };
    match ports.write_relations(batch).await? {
        Wrote::Done(done) => Ok(done),
        Wrote::Unexpected { tuple, stands } => Err(Refusal::Unexpected {
            tuple: tuple.to_string(),
            stands,
        }),
    }
}

fn subject(tuple: &Tuple) -> String {
    format!("relation/{tuple}")
}

fn no_doubles(asked: &Write) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let added = asked.add.iter().map(|new| &new.tuple);
    for tuple in added.chain(&asked.remove) {
        if !seen.insert(tuple) {
            return Err(unfit(
                tuple.to_string(),
                "this tuple stands in the write twice",
            ));
        }
    }
    Ok(())
}

fn is_sound(model: &Model, new: &NewTuple, now: Timestamp) -> Result<(), String> {
    if let Some(why) = model.refuses(&new.tuple) {
        return Err(why);
    }
    if new.until.is_some_and(|end| end <= now) {
        return Err("its end is over already".to_owned());
    }
    match &new.purpose {
        Some(purpose) if purpose.is_empty() || purpose.len() > LONGEST_PURPOSE => {
            Err(format!("a purpose has 1 to {LONGEST_PURPOSE} bytes"))
        }
        Some(purpose) if purpose.chars().any(char::is_control) => {
            Err("a purpose has no control characters".to_owned())
        }
        _ => Ok(()),
    }
}

/// Tuples as they are stored.
///
/// # Errors
/// [`Refusal::NotAllowed`]; the store's.
pub async fn list(
    ports: &impl Relations,
    actor: &Actor,
    filter: &TupleFilter,
) -> Result<Vec<StoredTuple>, Refusal> {
    authorize(actor, Action::RelationRead)?;
    Ok(ports.relations(filter).await?)
}

/// Tuples that count for nothing, since the model does not take them (any more): what one of them
/// looks like, how many there are, and why. Empty without a model and without tuples.
///
/// # Errors
/// The store's.
pub async fn left_over(
    ports: &(impl Registry + Relations),
    ctx: &Ctx<'_>,
) -> Result<Vec<(Tuple, i64, String)>, Refusal> {
    let kinds = ports.relation_kinds().await?;
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let model = declared(ports, ctx).await?.unwrap_or_default();
    let left = kinds.into_iter().filter_map(|kind| {
        let why = model.refuses(&kind.example)?;
        Some((kind.example, kind.tuples, why))
    });
    Ok(left.collect())
}

/// Objects of a type that a subject has a relation to.
///
/// # Errors
/// [`Refusal::Unfit`] for a type or relation that is not there, [`Refusal::TooMuch`] beyond a bound.
pub async fn objects(
    ports: &(impl Registry + Relations),
    actor: &Actor,
    ctx: &Ctx<'_>,
    subject: &Object,
    relation: &str,
    kind: &str,
) -> Result<Vec<Object>, Refusal> {
    authorize(actor, Action::RelationRead)?;
    let model = model(ports, ctx).await?;
    model
        .find(kind, relation)
        .map_err(|why| unfit("type", why))?;
    known_type(&model, subject.kind(), "subject")?;
    let found = list_objects(&model, subject, relation, kind, ports, ctx.now).await;
    found.map_err(unlisted)
}

/// Subjects of a type that have a relation to an object.
///
/// # Errors
/// As [`objects`].
pub async fn subjects(
    ports: &(impl Registry + Relations),
    actor: &Actor,
    ctx: &Ctx<'_>,
    object: &Object,
    relation: &str,
    kind: &str,
) -> Result<Subjects, Refusal> {
    authorize(actor, Action::RelationRead)?;
    let model = model(ports, ctx).await?;
    model
        .find(object.kind(), relation)
        .map_err(|why| unfit("object", why))?;
    known_type(&model, kind, "type")?;
    let found = list_subjects(&model, kind, relation, object, ports, ctx.now).await;
    found.map_err(unlisted)
}

/// How a relation to an object comes about.
///
/// # Errors
/// As [`objects`].
pub async fn tree(
    ports: &(impl Registry + Relations),
    actor: &Actor,
    ctx: &Ctx<'_>,
    object: &Object,
    relation: &str,
) -> Result<Tree, Refusal> {
    authorize(actor, Action::RelationRead)?;
    let model = model(ports, ctx).await?;
    model
        .find(object.kind(), relation)
        .map_err(|why| unfit("object", why))?;
    expand(&model, relation, object, ports, ctx.now)
        .await
        .map_err(unlisted)
}

fn known_type(model: &Model, kind: &str, place: &str) -> Result<(), Refusal> {
    if model.knows(kind) {
        return Ok(());
    }
    let known: Vec<_> = model.types().collect();
    let message = format!("there is no type `{kind}`; there is {}", known.join(", "));
    Err(unfit(place, message))
}

fn unlisted(why: Unlisted) -> Refusal {
    match why {
        Unlisted::Unavailable(why) => Refusal::Unread(why),
        Unlisted::TooMuch(bound) => Refusal::TooMuch(bound),
    }
}
