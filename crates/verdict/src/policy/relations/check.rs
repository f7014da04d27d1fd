//! **The check**: one subject, one relation, one object.
//!
//! The evaluator is plain recursion over what is known, without a wait: it answers *yes*, *no*,
//! *too much*, or collects what it misses. The driver has that loaded and evaluates again, so a check
//! whose tuples are all in the node's cache waits for nothing.
//!
//! Relations may lead back to themselves (groups within groups). An answer is the least one that
//! fits all tuples: a relation that is being worked out counts as *no* where it is met again, since
//! the shortest proof of anything never goes through itself. A *no* that came about so is no answer
//! for anybody else, and is not remembered. What is taken away (`but_not`) never leads back: the
//! model is refused otherwise.

use core::fmt;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proof::time::Timestamp;

use super::model::{Model, Relation, Term};
use super::object::{Object, Subject};
use super::{Extent, Grant, Known, Related, Tuples};
use crate::facts::{Answer, Facts};

/// How deep one relation may lead to another.
pub const MOST_DEPTH: usize = 32;
/// How many looks at tuples an answer may take, in memory or not.
pub const MOST_READS: usize = 1000;
/// How many relations an evaluation may look into, tuples or not.
const MOST_STEPS: usize = 10 * MOST_READS;
/// How often an evaluation may find that something is missing. A level of depth takes three at most.
const MOST_ROUNDS: usize = 4 * MOST_DEPTH;

/// The answer of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The subject has the relation; the steps that lead to it, from the object to the subject.
    Yes(Vec<Step>),
    /// It has not.
    No,
    /// That can't be told within the bounds. Whoever asks must take it for a refusal.
    TooMuch,
}

impl Checked {
    /// Whether the subject has the relation.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

/// One step of the way to a *yes*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The object.
    pub object: Object,
    /// The relation to it.
    pub relation: Arc<str>,
    /// Why it holds.
    pub by: By,
}

/// Why a relation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A tuple names this subject.
    Tuple(Subject),
    /// It follows from another relation of the object.
    Same(Arc<str>),
    /// It follows from a relation of what the object names by this relation.
    Through(Arc<str>, Object),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            object,
            relation,
            by,
        } = self;
        match by {
            By::Tuple(subject) => write!(f, "{object}#{relation}@{subject}"),
            By::Same(other) => write!(f, "{object}#{relation} follows from {other}"),
            By::Through(names, other) => {
                write!(
                    f,
                    "{object}#{relation} follows from {object}#{names}@{other}"
                )
            }
        }
    }
}

/// Whether `subject` has `relation` to `object` at `now`.
///
/// # Errors
/// [`crate::facts::Unavailable`] if tuples that are not at hand can't be read.
pub async fn check<F: Facts>(
    model: &Model,
    subject: &Object,
    relation: &str,
    object: &Object,
    facts: &F,
    now: Timestamp,
) -> Answer<Checked> {
    check_over(model, subject, relation, object, &Known(facts), now).await
}

/// As [`check`], over any tuples.
///
/// # Errors
/// As [`check`].
pub async fn check_over<T: Tuples>(
    model: &Model,
    subject: &Object,
    relation: &str,
    object: &Object,
    tuples: &T,
    now: Timestamp,
) -> Answer<Checked> {
    let mut loaded = Loaded::default();
    for _ in 0..MOST_ROUNDS {
        let (found, missing) = {
            let mut evaluation = Evaluation::new(model, subject, tuples, &loaded, now);
            let found = evaluation.holds(object, relation).0;
            (found, evaluation.missing)
        };
        match found {
            Found::Yes(mut steps) => {
                steps.reverse();
                return Ok(Checked::Yes(steps));
            }
            Found::No => return Ok(Checked::No),
            Found::TooMuch => return Ok(Checked::TooMuch),
            Found::Missing => {}
        }
        for missing in missing {
            if loaded.len() >= MOST_READS {
                return Ok(Checked::TooMuch);
            }
            loaded.load(missing, tuples, now).await?;
        }
    }
    Ok(Checked::TooMuch)
}

/// What one check had loaded. It is used for this check alone, so that all of its rounds see the
/// same.
#[derive(Default)]
struct Loaded {
    related: HashMap<(Object, Arc<str>), Arc<Related>>,
    grants: HashMap<(Object, Arc<str>), Option<Grant>>,
}

impl Loaded {
    fn len(&self) -> usize {
        self.related.len() + self.grants.len()
    }

    async fn load<T: Tuples>(
        &mut self,
        missing: Missing,
        tuples: &T,
        now: Timestamp,
    ) -> Answer<()> {
        match missing {
            Missing::Related(object, relation) => {
                let related = tuples.related(&object, &relation, now).await?;
                self.related.insert((object, relation), related);
            }
            Missing::Grant(object, relation, subject) => {
                let grant = tuples.grant(&object, &relation, &subject, now).await?;
                self.grants.insert((object, relation), grant);
            }
        }
        Ok(())
    }
}

/// What an evaluation had to do without.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    Related(Object, Arc<str>),
    Grant(Object, Arc<str>, Subject),
}

/// What is found of one relation to one object.
enum Found {
    /// It holds, by these steps, the last one first.
    Yes(Vec<Step>),
    No,
    /// Something that is not loaded would tell.
    Missing,
    TooMuch,
}

/// The lowest place on the way down that an answer was cut at; [`UNCUT`]: at none.
type Cut = usize;
const UNCUT: Cut = usize::MAX;

struct Evaluation<'a, T> {
    model: &'a Model,
    subject: &'a Object,
    /// The subject as tuples name it.
    single: Subject,
    every: Subject,
    tuples: &'a T,
    loaded: &'a Loaded,
    now: Timestamp,
    reads: usize,
    steps: usize,
    missing: Vec<Missing>,
    /// What is being worked out.
    way: Vec<(Object, Arc<str>)>,
    /// What certainly does not hold.
    settled: HashSet<(Object, Arc<str>)>,
}

impl<'a, T: Tuples> Evaluation<'a, T> {
    fn new(
        model: &'a Model,
        subject: &'a Object,
        tuples: &'a T,
        loaded: &'a Loaded,
        now: Timestamp,
    ) -> Self {
        Self {
            model,
            subject,
            single: Subject::One(subject.clone()),
            every: Subject::Every(subject.kind().into()),
            tuples,
            loaded,
            now,
            reads: 0,
            steps: 0,
            missing: Vec::new(),
            way: Vec::new(),
            settled: HashSet::new(),
        }
    }

    fn holds(&mut self, object: &Object, relation: &str) -> (Found, Cut) {
        let Some(rules) = self.model.relation(object.kind(), relation) else {
            return (Found::No, UNCUT);
        };
        if !rules.reaches(self.subject.kind()) {
            return (Found::No, UNCUT);
        }
        let met = |(at, name): &(Object, Arc<str>)| **name == *relation && at == object;
        if let Some(place) = self.way.iter().position(met) {
            return (Found::No, place);
        }
        self.steps += 1;
        if self.way.len() >= MOST_DEPTH || self.steps > MOST_STEPS {
            return (Found::TooMuch, UNCUT);
        }
        let here = (object.clone(), Arc::clone(&rules.name));
        // A relation without others behind it is told by one look; remembering would cost more.
        let leads = rules.takes_members() || !rules.any_of.is_empty() || !rules.all_of.is_empty();
        if leads && self.settled.contains(&here) {
            return (Found::No, UNCUT);
        }
        let place = self.way.len();
        self.way.push(here);
        let (found, cut) = self.judge(object, rules);
        let here = self.way.pop();
        let whole = cut >= place;
        if leads
            && whole
            && matches!(found, Found::No)
            && let Some(here) = here
        {
            self.settled.insert(here);
        }
        (found, if whole { UNCUT } else { cut })
    }

    /// (`direct` ∪ `any_of`) ∩ every `all_of` ∖ `but_not`.
    fn judge(&mut self, object: &Object, rules: &Relation) -> (Found, Cut) {
        let (base, mut cut) = self.base(object, rules);
        let Found::Yes(steps) = base else {
            return (base, cut);
        };
        // Where all_of alone decides, its first stood for the base.
        let stood = rules.direct.is_empty() && rules.any_of.is_empty();
        let rest = rules.all_of.iter().skip(usize::from(stood));
        for term in rest {
            let (found, at) = self.term(object, rules, term);
            cut = cut.min(at);
            if !matches!(found, Found::Yes(_)) {
                return (found, cut);
            }
        }
        if let Some(term) = &rules.but_not {
            let (found, at) = self.term(object, rules, term);
            cut = cut.min(at);
            match found {
                Found::No => {}
                Found::Yes(_) => return (Found::No, cut),
                Found::Missing => return (Found::Missing, cut),
                Found::TooMuch => return (Found::TooMuch, cut),
            }
        }
        (Found::Yes(steps), cut)
    }

    fn base(&mut self, object: &Object, rules: &Relation) -> (Found, Cut) {
        let mut any = Any::default();
        if !rules.direct.is_empty() && any.take(self.direct(object, rules)) {
            return any.end();
        }
        for term in rules.base() {
            let found = self.term(object, rules, term);
            if any.take(found) {
                break;
            }
        }
        any.end()
    }

    /// By a tuple of the relation itself.
    fn direct(&mut self, object: &Object, rules: &Relation) -> (Found, Cut) {
        let one = rules.takes_one(self.subject.kind());
        let every = rules.takes_every(self.subject.kind());
        let members = rules.takes_members();
        if !one && !every && !members {
            return (Found::No, UNCUT);
        }
        let related = match self.related(object, &rules.name) {
            Ok(related) => related,
            Err(why) => return (why, UNCUT),
        };
        let yes = |subject: &Subject| {
            let step = Step {
                object: object.clone(),
                relation: Arc::clone(&rules.name),
                by: By::Tuple(subject.clone()),
            };
            (Found::Yes(vec![step]), UNCUT)
        };
        let mut any = Any::default();
        if one {
            let grant = match related.extent() {
                Extent::Whole => Ok(related.grant(&self.single)),
                Extent::Sets | Extent::TooMany => self.grant(object, &rules.name),
            };
            match grant {
                Ok(Some(grant)) if grant.holds(self.now) => return yes(&self.single),
                Ok(_) => {}
                Err(why) => {
                    any.take((why, UNCUT));
                }
            }
        }
        let everyone = related.grant(&self.every);
        if every && everyone.is_some_and(|grant| grant.holds(self.now)) {
            return yes(&self.every);
        }
        if related.extent() == Extent::TooMany && (every || members) {
            any.take((Found::TooMuch, UNCUT));
        }
        if !members {
            return any.end();
        }
        for standing in related.members() {
            let Subject::Members(group, relation) = &standing.subject else {
                continue;
            };
            if !standing.grant.holds(self.now) || !rules.takes(&standing.subject) {
                continue;
            }
            let (mut found, cut) = self.holds(group, relation);
            if let Found::Yes(steps) = &mut found {
                steps.push(Step {
                    object: object.clone(),
                    relation: Arc::clone(&rules.name),
                    by: By::Tuple(standing.subject.clone()),
                });
            }
            if any.take((found, cut)) {
                break;
            }
        }
        any.end()
    }

    fn term(&mut self, object: &Object, rules: &Relation, term: &Term) -> (Found, Cut) {
        let step = |by| Step {
            object: object.clone(),
            relation: Arc::clone(&rules.name),
            by,
        };
        match term {
            Term::Same(relation) => {
                let (mut found, cut) = self.holds(object, relation);
                if let Found::Yes(steps) = &mut found {
                    steps.push(step(By::Same(Arc::clone(relation))));
                }
                (found, cut)
            }
            Term::Through { names, relation } => {
                let Some(named) = self.model.relation(object.kind(), names) else {
                    return (Found::No, UNCUT);
                };
                let related = match self.related(object, &named.name) {
                    Ok(related) => related,
                    Err(why) => return (why, UNCUT),
                };
                if related.extent() != Extent::Whole {
                    return (Found::TooMuch, UNCUT);
                }
                let mut any = Any::default();
                for standing in related.single() {
                    let Subject::One(other) = &standing.subject else {
                        continue;
                    };
                    if !standing.grant.holds(self.now) || !named.takes(&standing.subject) {
                        continue;
                    }
                    let (mut found, cut) = self.holds(other, relation);
                    if let Found::Yes(steps) = &mut found {
                        steps.push(step(By::Through(Arc::clone(names), other.clone())));
                    }
                    if any.take((found, cut)) {
                        break;
                    }
                }
                any.end()
            }
        }
    }

    /// One look at tuples; whether there may be another.
    fn reads_on(&mut self) -> bool {
        self.reads += 1;
        self.reads <= MOST_READS
    }

    fn related(&mut self, object: &Object, relation: &Arc<str>) -> Result<Arc<Related>, Found> {
        if !self.reads_on() {
            return Err(Found::TooMuch);
        }
        let loaded = &self.loaded.related;
        if !loaded.is_empty()
            && let Some(related) = loaded.get(&(object.clone(), Arc::clone(relation)))
        {
            return Ok(Arc::clone(related));
        }
        if let Some(related) = self.tuples.known_related(object, relation, self.now) {
            return Ok(related);
        }
        Err(self.miss(Missing::Related(object.clone(), Arc::clone(relation))))
    }

    fn grant(&mut self, object: &Object, relation: &Arc<str>) -> Result<Option<Grant>, Found> {
        if !self.reads_on() {
            return Err(Found::TooMuch);
        }
        let loaded = &self.loaded.grants;
        if !loaded.is_empty()
            && let Some(grant) = loaded.get(&(object.clone(), Arc::clone(relation)))
        {
            return Ok(*grant);
        }
        if let Some(grant) = self
            .tuples
            .known_grant(object, relation, &self.single, self.now)
        {
            return Ok(grant);
        }
        let (object, relation) = (object.clone(), Arc::clone(relation));
        Err(self.miss(Missing::Grant(object, relation, self.single.clone())))
    }

    fn miss(&mut self, missing: Missing) -> Found {
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
        Found::Missing
    }
}

/// The answer of alternatives: a *yes* ends it; what is not known weighs more than *too much*, since
/// it may still become a *yes*, and both more than *no*.
struct Any {
    found: Found,
    cut: Cut,
}

impl Default for Any {
    fn default() -> Self {
        Self {
            found: Found::No,
            cut: UNCUT,
        }
    }
}

impl Any {
    /// Takes an alternative in; whether that ends it.
    fn take(&mut self, (found, cut): (Found, Cut)) -> bool {
        self.cut = self.cut.min(cut);
        match (&self.found, &found) {
            (_, Found::Yes(_)) => {
                self.found = found;
                return true;
            }
            (_, Found::Missing) | (Found::No, Found::TooMuch) => self.found = found,
            _ => {}
        }
        false
    }

    fn end(self) -> (Found, Cut) {
        (self.found, self.cut)
    }
}
