//! **Lists**: which objects a subject has a relation to, and which subjects have a relation to an
//! object. For people who look after relations, not for judging a call: tuples are read from the
//! store, page by page, and what is found is judged by the very evaluator that judges calls. A list
//! is whole or it is refused: what goes beyond a bound is [`Unlisted::TooMuch`] with the bound's
//! name.

use core::future::Future;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use proof::time::Timestamp;

use super::check::{Checked, check_over};
use super::model::{Model, Relation, Taker, Term};
use super::object::{Object, Subject, Tuple};
use super::{Extent, Grant, Related, Standing, Tuples};
use crate::facts::{Answer, Unavailable};

/// Most tuples that are read for one list.
pub const MOST_TUPLES: usize = 10_000;
/// Most entries of a list.
pub const MOST_ANSWERS: usize = 1000;
/// Tuples read at once.
const PAGE: u32 = 500;

/// Tuples as they are stored, for lists. Implemented by whoever keeps them.
pub trait Listing: Send + Sync {
    /// Tuples of a relation to an object in a fixed order, after the one with this subject; those
    /// whose time is over may be among them. At most `limit`, and fewer only at the end.
    fn of_object(
        &self,
        object: &Object,
        relation: &str,
        after: Option<&Subject>,
        limit: u32,
    ) -> impl Future<Output = Answer<Vec<Standing>>> + Send;
    /// Tuples with a subject in a fixed order, after this one.
    fn of_subject(
        &self,
        subject: &Subject,
        after: Option<&Tuple>,
        limit: u32,
    ) -> impl Future<Output = Answer<Vec<(Tuple, Grant)>>> + Send;
}

/// Why there is no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unlisted {
    /// Tuples can't be read now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It goes beyond a bound, which is named.
    #[error("this goes beyond {0}")]
    TooMuch(&'static str),
}

const TUPLES: Unlisted = Unlisted::TooMuch("the 10000 tuples that are read for one list");
pub(super) const ANSWERS: Unlisted = Unlisted::TooMuch("the 1000 entries that a list may have");
const ONE: Unlisted =
    Unlisted::TooMuch("the depth of 32 and the 1000 looks at tuples that one answer may take");

/// Subjects of one type that have a relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Those that tuples name, in order.
    pub subjects: Vec<Object>,
    /// Whether everybody of the type has it, but for `except`.
    pub everyone: bool,
    /// Those that have it not although everybody else has, in order.
    pub except: Vec<Object>,
}

/// Objects of type `kind` to which `subject` has `relation` at `now`, in order.
///
/// # Errors
/// [`Unlisted`].
pub async fn list_objects<L: Listing>(
    model: &Model,
    subject: &Object,
    relation: &str,
    kind: &str,
    listing: &L,
    now: Timestamp,
) -> Result<Vec<Object>, Unlisted> {
    let read = Reading::new(listing);
    let candidates = Upward::new(model, &read, now)
        .candidates(subject, kind, relation)
        .await?;
    let mut objects = Vec::new();
    for object in candidates {
        if holds(model, subject, relation, &object, &read, now).await? {
            if objects.len() == MOST_ANSWERS {
                return Err(ANSWERS);
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Subjects of type `kind` that have `relation` to `object` at `now`.
///
/// # Errors
/// [`Unlisted`].
pub async fn list_subjects<L: Listing>(
    model: &Model,
    kind: &str,
    relation: &str,
    object: &Object,
    listing: &L,
    now: Timestamp,
) -> Result<Subjects, Unlisted> {
    let read = Reading::new(listing);
    let named = below(model, kind, relation, object, &read, now).await?;
    let anyone = Object::anyone(kind);
    let everyone = holds(model, &anyone, relation, object, &read, now).await?;
    let mut found = Subjects {
        everyone,
        ..Subjects::default()
    };
    for subject in named {
        let holds = holds(model, &subject, relation, object, &read, now).await?;
        match (holds, everyone) {
            (true, _) => found.subjects.push(subject),
            (false, true) => found.except.push(subject),
            (false, false) => {}
        }
        if found.subjects.len().max(found.except.len()) > MOST_ANSWERS {
            return Err(ANSWERS);
        }
    }
    Ok(found)
}

async fn holds<L: Listing>(
    model: &Model,
    subject: &Object,
    relation: &str,
    object: &Object,
    read: &Reading<'_, L>,
    now: Timestamp,
) -> Result<bool, Unlisted> {
    let checked = check_over(model, subject, relation, object, read, now).await;
    // Reading gives up in the middle of a check when it has read enough.
    if read.is_spent() {
        return Err(TUPLES);
    }
    match checked? {
        Checked::Yes(_) => Ok(true),
        Checked::No => Ok(false),
        Checked::TooMuch => Err(ONE),
    }
}

/// Tuples as they are read for one list: each once, all kept until its end, so that everything in it
/// is of one piece.
pub(super) struct Reading<'a, L> {
    listing: &'a L,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    related: HashMap<(Object, Arc<str>), Arc<Related>>,
    tuples: usize,
    spent: bool,
}

impl<'a, L: Listing> Reading<'a, L> {
    pub(super) fn new(listing: &'a L) -> Self {
        Self {
            listing,
            held: Mutex::default(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        // Nothing is done under it that could panic half way.
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_spent(&self) -> bool {
        self.with(|held| held.spent)
    }

    /// Counts what was read; whether there may be more.
    fn count(&self, tuples: usize) -> bool {
        self.with(|held| {
            held.tuples += tuples;
            held.spent |= held.tuples > MOST_TUPLES;
            !held.spent
        })
    }

    /// All tuples of a relation to an object.
    pub(super) async fn all(
        &self,
        object: &Object,
        relation: &Arc<str>,
    ) -> Result<Arc<Related>, Unlisted> {
        let key = (object.clone(), Arc::clone(relation));
        if let Some(related) = self.with(|held| held.related.get(&key).cloned()) {
            return Ok(related);
        }
        let mut standing: Vec<Standing> = Vec::new();
        loop {
            let after = standing.last().map(|last| last.subject.clone());
            let page = self
                .listing
                .of_object(object, relation, after.as_ref(), PAGE)
                .await?;
            let last = page.len() < PAGE as usize;
            // A look at nothing counts too, or a list could look for ever.
            if !self.count(page.len().max(1)) {
                return Err(TUPLES);
            }
            standing.extend(page);
            if last {
                break;
            }
        }
        let related = Arc::new(Related::new(standing, Extent::Whole));
        self.with(|held| held.related.insert(key, Arc::clone(&related)));
        Ok(related)
    }

    /// All tuples with a subject that count.
    async fn with_subject(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Vec<Tuple>, Unlisted> {
        let mut tuples: Vec<Tuple> = Vec::new();
        let mut after: Option<Tuple> = None;
        loop {
            let page = self
                .listing
                .of_subject(subject, after.as_ref(), PAGE)
                .await?;
            let last = page.len() < PAGE as usize;
            if !self.count(page.len().max(1)) {
                return Err(TUPLES);
            }
            after = page.last().map(|(tuple, _)| tuple.clone());
            let counts = page.into_iter().filter(|(_, grant)| grant.holds(now));
            tuples.extend(counts.map(|(tuple, _)| tuple));
            if last {
                return Ok(tuples);
            }
        }
    }
}

impl<L: Listing> Tuples for Reading<'_, L> {
    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Option<Arc<Related>> {
        let key = (object.clone(), Arc::clone(relation));
        self.with(|held| held.related.get(&key).cloned())
    }
    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.all(object, relation).await.map_err(|why| match why {
            Unlisted::Unavailable(why) => why,
            // Told apart by `is_spent`.
            Unlisted::TooMuch(_) => Unavailable::Store,
        })
    }
    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> Option<Option<Grant>> {
        let related = self.known_related(object, relation, now)?;
        Some(related.grant(subject))
    }
    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> Answer<Option<Grant>> {
        Ok(self.related(object, relation, now).await?.grant(subject))
    }
}

/// The way from a subject up to the objects that it may have a relation to: more than it has, since
/// `all_of` and `but_not` are left for the check.
struct Upward<'a, L> {
    model: &'a Model,
    read: &'a Reading<'a, L>,
    now: Timestamp,
    /// Relations that the one in question may come from.
    matter: HashSet<(Arc<str>, Arc<str>)>,
    seen: HashSet<(Object, Arc<str>)>,
    next: Vec<(Object, Arc<str>)>,
}

impl<'a, L: Listing> Upward<'a, L> {
    fn new(model: &'a Model, read: &'a Reading<'a, L>, now: Timestamp) -> Self {
        Self {
            model,
            read,
            now,
            matter: HashSet::new(),
            seen: HashSet::new(),
            next: Vec::new(),
        }
    }

    async fn candidates(
        mut self,
        subject: &Object,
        kind: &str,
        relation: &str,
    ) -> Result<BTreeSet<Object>, Unlisted> {
        let mut found = BTreeSet::new();
        let wanted = self.model.relation(kind, relation);
        if !wanted.is_some_and(|wanted| wanted.reaches(subject.kind())) {
            return Ok(found);
        }
        self.what_matters(kind, relation);
        for start in [
            Subject::One(subject.clone()),
            Subject::Every(subject.kind().into()),
        ] {
            self.standing_in(&start).await?;
        }
        while let Some((object, name)) = self.next.pop() {
            if *name == *relation && object.kind() == kind {
                found.insert(object.clone());
            }
            self.follow(&object, &name).await?;
        }
        Ok(found)
    }

    fn what_matters(&mut self, kind: &str, relation: &str) {
        let mut next = vec![(Arc::<str>::from(kind), Arc::<str>::from(relation))];
        while let Some(node) = next.pop() {
            if !self.matter.insert(node.clone()) {
                continue;
            }
            let Some(rules) = self.model.relation(&node.0, &node.1) else {
                continue;
            };
            for taker in &rules.direct {
                if let Taker::Members(kind, relation) = taker {
                    next.push((Arc::clone(kind), Arc::clone(relation)));
                }
            }
            for term in rules.base() {
                next.extend(self.model.ends(&node.0, term));
            }
        }
    }

    fn reach(&mut self, object: Object, relation: Arc<str>) {
        let node = (Arc::<str>::from(object.kind()), Arc::clone(&relation));
        if self.matter.contains(&node) && self.seen.insert((object.clone(), Arc::clone(&relation)))
        {
            self.next.push((object, relation));
        }
    }

    /// Whatever a subject stands in the tuples of.
    async fn standing_in(&mut self, subject: &Subject) -> Result<(), Unlisted> {
        for tuple in self.read.with_subject(subject, self.now).await? {
            if self.model.refuses(&tuple).is_none() {
                self.reach(tuple.object, tuple.relation);
            }
        }
        Ok(())
    }

    /// Whatever follows from a relation to an object.
    async fn follow(&mut self, object: &Object, relation: &Arc<str>) -> Result<(), Unlisted> {
        let model = self.model;
        let mut named_by = BTreeSet::new();
        let mut as_members = false;
        let nodes: Vec<_> = self.matter.iter().cloned().collect();
        for (kind, name) in nodes {
            let Some(rules) = model.relation(&kind, &name) else {
                continue;
            };
            as_members |= rules.direct.iter().any(|taker| {
                matches!(taker, Taker::Members(of, by) if **of == *object.kind() && by == relation)
            });
            for term in rules.base() {
                match term {
                    Term::Same(by) if by == relation && *kind == *object.kind() => {
                        self.reach(object.clone(), Arc::clone(&name));
                    }
                    Term::Through {
                        names,
                        relation: by,
                    } if by == relation => {
                        named_by.insert((Arc::clone(&kind), Arc::clone(names), Arc::clone(&name)));
                    }
                    Term::Same(_) | Term::Through { .. } => {}
                }
            }
        }
        if !named_by.is_empty() {
            let one = Subject::One(object.clone());
            for tuple in self.read.with_subject(&one, self.now).await? {
                if model.refuses(&tuple).is_some() {
                    continue;
                }
                for (kind, names, name) in &named_by {
                    if **kind == *tuple.object.kind() && *names == tuple.relation {
                        self.reach(tuple.object.clone(), Arc::clone(name));
                    }
                }
            }
        }
        if as_members {
            let members = Subject::Members(object.clone(), Arc::clone(relation));
            self.standing_in(&members).await?;
        }
        Ok(())
    }
}

/// Every subject of a type that stands anywhere below a relation to an object, what it excludes
/// among it.
async fn below<L: Listing>(
    model: &Model,
    kind: &str,
    relation: &str,
    object: &Object,
    read: &Reading<'_, L>,
    now: Timestamp,
) -> Result<BTreeSet<Object>, Unlisted> {
    let mut found = BTreeSet::new();
    let mut next = vec![(object.clone(), Arc::<str>::from(relation))];
    let mut seen: HashSet<_> = next.iter().cloned().collect();
    while let Some((object, relation)) = next.pop() {
        let Some(rules) = model.relation(object.kind(), &relation) else {
            continue;
        };
        let mut ends = Vec::new();
        if !rules.direct.is_empty() {
            for standing in counting(&*read.all(&object, &relation).await?, rules, now) {
                match &standing.subject {
                    Subject::One(one) if one.kind() == kind => drop(found.insert(one.clone())),
                    Subject::Members(group, by) => ends.push((group.clone(), Arc::clone(by))),
                    Subject::One(_) | Subject::Every(_) => {}
                }
            }
        }
        for term in terms(rules) {
            match term {
                Term::Same(by) => ends.push((object.clone(), Arc::clone(by))),
                Term::Through {
                    names,
                    relation: by,
                } => {
                    let Some(named) = model.relation(object.kind(), names) else {
                        continue;
                    };
                    for standing in counting(&*read.all(&object, names).await?, named, now) {
                        if let Subject::One(other) = &standing.subject {
                            ends.push((other.clone(), Arc::clone(by)));
                        }
                    }
                }
            }
        }
        next.extend(ends.into_iter().filter(|end| seen.insert(end.clone())));
    }
    Ok(found)
}

/// All that a relation is made of beside its own tuples.
fn terms(rules: &Relation) -> impl Iterator<Item = &Term> {
    let terms = rules.any_of.iter().chain(&rules.all_of);
    terms.chain(&rules.but_not)
}

/// Tuples that fit the model and whose time is not over.
pub(super) fn counting<'r>(
    related: &'r Related,
    rules: &'r Relation,
    now: Timestamp,
) -> impl Iterator<Item = &'r Standing> {
    let counts = move |one: &&Standing| one.grant.holds(now) && rules.takes(&one.subject);
    related.standing().iter().filter(counts)
}
