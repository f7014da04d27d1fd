//! Who has what to do with which object: writing it down, reading it, and asking what follows.

use core::fmt::Display;
use core::str::FromStr;

use registry::relations::{NewTuple, TupleFilter};
use registry::usecase::relation::{self, Write};
use registry::usecase::{Refusal, authorize};
use verdict::policy::relations::{Checked, Object, Subject, Tuple};

use super::exchange::{Answer, Fault, Input};
use super::view::{
    CheckRelations, CheckedRelation, CheckedRelations, ExpandRelation, LeftOverView, ListObjects,
    ListSubjects, ListedObjects, ListedSubjects, Page, RelationQuery, TreeView, TupleView,
    WriteRelations, WroteRelations,
};
use super::{Parts, Question, Work};

/// Entries of a list unless told otherwise.
const USUAL: u32 = 100;
/// Most entries of a list.
const MOST: u32 = 1000;
/// Most questions at once.
const MOST_CHECKS: usize = 100;

/// Reads a text of the caller's, or says where it does not fit.
fn read<T: FromStr<Err: Display>>(place: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|why: T::Err| {
        Refusal::Unfit {
            place: place.to_owned(),
            message: why.to_string(),
        }
        .into()
    })
}

fn read_all(place: &str, list: &[String]) -> Result<Vec<Tuple>, Fault> {
    let each = list.iter().enumerate();
    each.map(|(index, text)| read(&format!("{place}[{index}]"), text))
        .collect()
}

pub(super) async fn write<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: WriteRelations = input.json()?;
    let add = body.add.into_iter().enumerate();
    let add = add.map(|(index, new)| {
        Ok(NewTuple {
            tuple: read(&format!("add[{index}].tuple"), &new.tuple)?,
            until: new.until.map(|until| until.0),
            purpose: new.purpose,
        })
    });
    let asked = Write {
        add: add.collect::<Result<_, Fault>>()?,
        remove: read_all("remove", &body.remove)?,
        must: read_all("must", &body.must)?,
        must_not: read_all("must_not", &body.must_not)?,
    };
    let done = relation::write(work.store(), &work.actor, &work.ctx(), asked).await?;
    // Answered once this node judges by it. The write stands whether that is soon or not, and whoever
    // asks elsewhere has the token.
    let seen = work
        .admin
        .checker
        .check(Vec::new(), Some(done.at), work.now);
    if let Err(late) = seen.await {
        tracing::debug!(cause = %late.cause, "a write of relations is not in force here yet");
    }
    Answer::ok(&WroteRelations {
        added: done.added,
        removed: done.removed,
        at: done.at.to_string(),
    })
}

pub(super) async fn list<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let query: RelationQuery = input.query()?;
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Fault::invalid("limit is 1 to 1000."));
    }
    let object = query.object.as_deref();
    let object = object
        .map(|text| read::<Object>("object", text))
        .transpose()?;
    if object.is_some() && query.r#type.is_some() {
        return Err(Fault::invalid("Give either type or object."));
    }
    let subject = query.subject.as_deref();
    let after = query.after.as_deref();
    let filter = TupleFilter {
        object_type: object
            .as_ref()
            .map(|object| object.kind().to_owned())
            .or(query.r#type),
        object_id: object.map(|object| object.id().to_owned()),
        relation: query.relation,
        subject: subject
            .map(|text| read::<Subject>("subject", text))
            .transpose()?,
        after: after.map(|text| read("after", text)).transpose()?,
        limit,
    };
    let items = relation::list(work.store(), &work.actor, &filter).await?;
    let items: Vec<_> = items.into_iter().map(TupleView::from).collect();
    let full = items.len() >= limit as usize;
    let next = items.last().filter(|_| full).map(|last| last.tuple.clone());
    Answer::ok(&Page { items, next })
}

pub(super) async fn left_over<P: Parts>(work: &Work<P>) -> Result<Answer, Fault> {
    authorize(&work.actor, registry::access::Action::RelationRead)?;
    let found = relation::left_over(work.store(), &work.ctx()).await?;
    let view = |(like, tuples, why): (Tuple, i64, String)| LeftOverView {
        like: like.to_string(),
        tuples,
        why,
    };
    Answer::ok(&Page {
        items: found.into_iter().map(view).collect::<Vec<_>>(),
        next: None,
    })
}

pub(super) async fn check<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    authorize(&work.actor, registry::access::Action::RelationRead)?;
    let body: CheckRelations = input.json()?;
    if !(1..=MOST_CHECKS).contains(&body.checks.len()) {
        return Err(Fault::invalid("There are 1 to 100 checks."));
    }
    let at_least = body.at_least.as_deref();
    let at_least = at_least.map(|text| read("at_least", text)).transpose()?;
    let questions = body.checks.into_iter().enumerate().map(|(index, check)| {
        let place = |part| format!("checks[{index}].{part}");
        Ok(Question {
            subject: read(&place("subject"), &check.subject)?,
            relation: check.relation,
            object: read(&place("object"), &check.object)?,
        })
    });
    let questions = questions.collect::<Result<_, Fault>>()?;
    let checked = work
        .admin
        .checker
        .check(questions, at_least, work.now)
        .await?;
    let view = |checked| {
        match checked {
        Checked::Yes(path) => CheckedRelation {
            allowed: true,
            path: path.iter().map(ToString::to_string).collect(),
            undecided: None,
        },
        Checked::No => CheckedRelation {
            allowed: false,
            path: Vec::new(),
            undecided: None,
        },
        Checked::TooMuch => CheckedRelation {
            allowed: false,
            path: Vec::new(),
            undecided: Some(
                "the answer lies beyond the depth of 32 or the 1000 looks at tuples that a check may take".to_owned(),
            ),
        },
    }
    };
    Answer::ok(&CheckedRelations {
        items: checked.into_iter().map(view).collect(),
    })
}

fn texts(objects: &[Object]) -> Vec<String> {
    objects.iter().map(ToString::to_string).collect()
}

pub(super) async fn objects<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: ListObjects = input.json()?;
    let subject = read("subject", &body.subject)?;
    let (ctx, relation, kind) = (work.ctx(), &*body.relation, &*body.r#type);
    let found = relation::objects(work.store(), &work.actor, &ctx, &subject, relation, kind);
    Answer::ok(&ListedObjects {
        objects: texts(&found.await?),
    })
}

pub(super) async fn subjects<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: ListSubjects = input.json()?;
    let object = read("object", &body.object)?;
    let (ctx, relation, kind) = (work.ctx(), &*body.relation, &*body.r#type);
    let found = relation::subjects(work.store(), &work.actor, &ctx, &object, relation, kind);
    let found = found.await?;
    Answer::ok(&ListedSubjects {
        subjects: texts(&found.subjects),
        everyone: found.everyone,
        except: texts(&found.except),
    })
}

pub(super) async fn expand<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: ExpandRelation = input.json()?;
    let (ctx, object) = (work.ctx(), read("object", &body.object)?);
    let tree = relation::tree(work.store(), &work.actor, &ctx, &object, &body.relation);
    Answer::ok(&TreeView::from(tree.await?))
}
