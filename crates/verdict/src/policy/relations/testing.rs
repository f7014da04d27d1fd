//! Tuples in memory, and the naive evaluator that the real one is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proof::time::Timestamp;

use super::{
    Extent, Grant, Listing, Model, Object, Related, Standing, Subject, Term, Tuple, Tuples,
    WrittenRelation, WrittenTypes,
};
use crate::facts::{Answer, Unavailable};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1000);

/// How much of the tuples is at hand without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    All,
    Nothing,
    /// Every other one.
    Some,
}

/// Tuples in memory.
pub(super) struct Memory {
    pub(super) tuples: BTreeMap<Tuple, Grant>,
    pub(super) cache: Cache,
    /// Most subjects that are answered together.
    pub(super) whole: usize,
    pub(super) out: bool,
    pub(super) asked: AtomicUsize,
}

impl Memory {
    pub(super) fn new(tuples: impl IntoIterator<Item = (Tuple, Grant)>) -> Self {
        Self {
            tuples: tuples.into_iter().collect(),
            cache: Cache::All,
            whole: super::WHOLE,
            out: false,
            asked: AtomicUsize::new(0),
        }
    }

    pub(super) fn of(lines: &[&str]) -> Self {
        Self::new(
            lines
                .iter()
                .map(|line| (line.parse().expect(line), Grant::default())),
        )
    }

    fn standing(&self, object: &Object, relation: &str) -> Vec<Standing> {
        self.tuples
            .iter()
            .filter(|(tuple, _)| tuple.object == *object && *tuple.relation == *relation)
            .map(|(tuple, grant)| Standing {
                subject: tuple.subject.clone(),
                grant: *grant,
            })
            .collect()
    }

    fn read(&self, object: &Object, relation: &str) -> Arc<Related> {
        let mut standing = self.standing(object, relation);
        let mut extent = Extent::Whole;
        if standing.len() > self.whole {
            standing.retain(|one| !matches!(one.subject, Subject::One(_)));
            extent = Extent::Sets;
        }
        Arc::new(Related::new(standing, extent))
    }

    fn at_hand(&self, object: &Object, relation: &str) -> bool {
        match self.cache {
            Cache::All => true,
            Cache::Nothing => false,
            Cache::Some => (object.as_str().len()
                + object.as_str().as_bytes()[object.as_str().len() - 1] as usize
                + relation.len())
            .is_multiple_of(2),
        }
    }

    fn ask(&self) -> Answer<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.out {
            Err(Unavailable::Store)
        } else {
            Ok(())
        }
    }
}

impl Tuples for Memory {
    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Option<Arc<Related>> {
        self.at_hand(object, relation)
            .then(|| self.read(object, relation))
    }
    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.ask()?;
        Ok(self.read(object, relation))
    }
    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Option<Option<Grant>> {
        let tuple = Tuple {
            object: object.clone(),
            relation: Arc::clone(relation),
            subject: subject.clone(),
        };
        self.at_hand(object, relation)
            .then(|| self.tuples.get(&tuple).copied())
    }
    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Answer<Option<Grant>> {
        self.ask()?;
        let tuple = Tuple {
            object: object.clone(),
            relation: Arc::clone(relation),
            subject: subject.clone(),
        };
        Ok(self.tuples.get(&tuple).copied())
    }
}

impl Listing for Memory {
    async fn of_object(
        &self,
        object: &Object,
        relation: &str,
        after: Option<&Subject>,
        limit: u32,
    ) -> Answer<Vec<Standing>> {
        self.ask()?;
        let all = self.standing(object, relation).into_iter();
        let rest = all.filter(|one| after.is_none_or(|after| one.subject > *after));
        Ok(rest.take(limit as usize).collect())
    }
    async fn of_subject(
        &self,
        subject: &Subject,
        after: Option<&Tuple>,
        limit: u32,
    ) -> Answer<Vec<(Tuple, Grant)>> {
        self.ask()?;
        let all = self
            .tuples
            .iter()
            .filter(|(tuple, _)| tuple.subject == *subject);
        let rest = all.filter(|(tuple, _)| after.is_none_or(|after| **tuple > *after));
        Ok(rest
            .take(limit as usize)
            .map(|(tuple, grant)| (tuple.clone(), *grant))
            .collect())
    }
}

/// Who has which relation to what.
pub(super) type Held = BTreeMap<(Object, String), BTreeSet<Object>>;

/// All of it, by going over everything again and again until nothing is new. What is taken away is
/// settled first: relations go by their stratum, the number of `but_not` below them.
pub(super) fn naive(
    model: &Model,
    tuples: &BTreeMap<Tuple, Grant>,
    things: &BTreeSet<Object>,
    now: Timestamp,
) -> Held {
    let live: Vec<&Tuple> = tuples
        .iter()
        .filter(|(_, grant)| grant.until.is_none_or(|until| now < until))
        .map(|(tuple, _)| tuple)
        .filter(|tuple| model.refuses(tuple).is_none())
        .collect();
    let strata = strata(model);
    let mut held = Held::new();
    for stratum in 0..=strata.values().copied().max().unwrap_or_default() {
        loop {
            let mut grew = false;
            for object in things {
                for relation in model.relations(object.kind()).into_iter().flatten() {
                    let name = relation.name.to_string();
                    if strata[&(object.kind().to_owned(), name.clone())] != stratum {
                        continue;
                    }
                    let term = |held: &Held, term: &Term| -> BTreeSet<Object> {
                        let of = |object: &Object, relation: &str| {
                            let key = (object.clone(), relation.to_owned());
                            held.get(&key).cloned().unwrap_or_default()
                        };
                        match term {
                            Term::Same(other) => of(object, other),
                            Term::Through { names, relation } => live
                                .iter()
                                .filter(|tuple| tuple.object == *object && tuple.relation == *names)
                                .flat_map(|tuple| match &tuple.subject {
                                    Subject::One(other) => of(other, relation),
                                    _ => BTreeSet::new(),
                                })
                                .collect(),
                        }
                    };
                    let mut found = BTreeSet::new();
                    for tuple in live
                        .iter()
                        .filter(|tuple| tuple.object == *object && *tuple.relation == *name)
                    {
                        match &tuple.subject {
                            Subject::One(one) => drop(found.insert(one.clone())),
                            Subject::Every(kind) => found
                                .extend(things.iter().filter(|one| one.kind() == &**kind).cloned()),
                            Subject::Members(group, relation) => found.extend(
                                held.get(&(group.clone(), relation.to_string()))
                                    .cloned()
                                    .unwrap_or_default(),
                            ),
                        }
                    }
                    for one in &relation.any_of {
                        found.extend(term(&held, one));
                    }
                    if relation.direct.is_empty() && relation.any_of.is_empty() {
                        found = things.clone();
                    }
                    for one in &relation.all_of {
                        let other = term(&held, one);
                        found.retain(|subject| other.contains(subject));
                    }
                    if let Some(one) = &relation.but_not {
                        let other = term(&held, one);
                        found.retain(|subject| !other.contains(subject));
                    }
                    let here = held.entry((object.clone(), name)).or_default();
                    let before = here.len();
                    here.extend(found);
                    grew |= here.len() > before;
                }
            }
            if !grew {
                break;
            }
        }
    }
    held
}

fn strata(model: &Model) -> BTreeMap<(String, String), usize> {
    let mut strata: BTreeMap<(String, String), usize> = BTreeMap::new();
    for kind in model.types() {
        for relation in model.relations(kind).into_iter().flatten() {
            strata.insert((kind.to_owned(), relation.name.to_string()), 0);
        }
    }
    loop {
        let mut grew = false;
        for kind in model.types() {
            for relation in model.relations(kind).into_iter().flatten() {
                let own = (kind.to_owned(), relation.name.to_string());
                for ((kind, name), absent) in model.needs(kind, relation) {
                    let below = strata[&(kind.to_string(), name.to_string())] + usize::from(absent);
                    if below > strata[&own] {
                        strata.insert(own.clone(), below);
                        grew = true;
                    }
                }
            }
        }
        if !grew {
            return strata;
        }
    }
}

/// Random choices, from numbers that a property test makes.
pub(super) struct Choices<'a>(pub(super) &'a [u16], pub(super) usize);

impl Choices<'_> {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let number = self
            .0
            .get(self.1 % self.0.len().max(1))
            .copied()
            .unwrap_or_default();
        // Another turn over the same numbers gives other choices.
        let turn = self.1 / self.0.len().max(1);
        self.1 += 1;
        (usize::from(number).wrapping_add(turn.wrapping_mul(31))) % end
    }
    fn some(&mut self, of: &[&str], chance: usize) -> Vec<String> {
        let chosen = of.iter().filter(|_| self.below(chance) == 0);
        chosen.map(|text| (*text).to_owned()).collect()
    }
}

/// A random model, whatever it means. What is wrong with it is taken out until nothing is.
pub(super) fn model(choices: &mut Choices<'_>) -> Model {
    let takers = [
        "user",
        "user:*",
        "group#member",
        "group#admin",
        "folder#viewer",
        "doc#editor",
        "doc",
    ];
    let mut written = WrittenTypes::from([("user".to_owned(), BTreeMap::new())]);
    for (kind, relations, names) in [
        ("group", &["member", "admin", "banned"][..], &[][..]),
        (
            "folder",
            &["viewer", "owner", "blocked"][..],
            &["parent"][..],
        ),
        (
            "doc",
            &["viewer", "editor", "owner", "blocked"][..],
            &["folder", "team"][..],
        ),
    ] {
        let mut all = BTreeMap::new();
        for name in names {
            let direct = match *name {
                "team" => vec!["group".to_owned(), "folder".to_owned()],
                _ => vec!["folder".to_owned()],
            };
            all.insert(
                (*name).to_owned(),
                WrittenRelation {
                    direct,
                    ..WrittenRelation::default()
                },
            );
        }
        let mut terms: Vec<String> = relations.iter().map(|text| (*text).to_owned()).collect();
        for name in names {
            let ends = if *name == "team" {
                ["member", "owner"]
            } else {
                ["viewer", "owner"]
            };
            terms.extend(ends.map(|end| format!("{name}.{end}")));
        }
        let terms: Vec<&str> = terms.iter().map(String::as_str).collect();
        for relation in relations {
            all.insert(
                (*relation).to_owned(),
                WrittenRelation {
                    direct: choices.some(&takers, 3),
                    any_of: choices.some(&terms, 3),
                    all_of: choices.some(&terms, 8),
                    but_not: choices.some(&terms, 6).pop(),
                },
            );
        }
        written.insert(kind.to_owned(), all);
    }
    loop {
        match Model::prepare(&written) {
            Ok(model) => return model,
            Err(misfits) => {
                let misfit = &misfits[0];
                let relation = misfit.relation.as_ref().expect("is about a relation");
                let relation = written
                    .get_mut(&misfit.kind)
                    .and_then(|all| all.get_mut(relation))
                    .expect("is there");
                match misfit.part {
                    Some(("direct", _)) => relation.direct.clear(),
                    Some(("any_of", _)) => relation.any_of.clear(),
                    Some(("all_of", _)) => relation.all_of.clear(),
                    Some(("but_not", _)) => relation.but_not = None,
                    _ => relation.direct = vec!["user".to_owned()],
                }
            }
        }
    }
}

/// Everything that there is in random worlds.
pub(super) fn things() -> BTreeSet<Object> {
    let names = [
        "user:a", "user:b", "user:c", "group:x", "group:y", "folder:1", "folder:2", "folder:3",
        "doc:1", "doc:2",
    ];
    names.iter().map(|name| name.parse().expect(name)).collect()
}

/// Random tuples, some of which the model does not take, and some of which are over.
pub(super) fn tuples(choices: &mut Choices<'_>, count: usize) -> BTreeMap<Tuple, Grant> {
    let things: Vec<Object> = things().into_iter().collect();
    let relations = [
        "member", "admin", "banned", "viewer", "owner", "editor", "blocked", "parent", "folder",
        "team",
    ];
    let mut tuples = BTreeMap::new();
    for _ in 0..count {
        let object = things[choices.below(things.len())].clone();
        let relation = relations[choices.below(relations.len())].into();
        let subject = match choices.below(4) {
            0 => Subject::Every("user".into()),
            1 => {
                let sets = [
                    "group:x#member",
                    "group:y#member",
                    "group:x#admin",
                    "folder:1#viewer",
                    "folder:2#viewer",
                    "doc:1#editor",
                ];
                sets[choices.below(sets.len())]
                    .parse()
                    .expect("is a subject")
            }
            _ => Subject::One(things[choices.below(things.len())].clone()),
        };
        let until = match choices.below(5) {
            0 => Some(Timestamp::from_millis(999)),
            1 => Some(NOW),
            2 => Some(Timestamp::from_millis(1001)),
            _ => None,
        };
        tuples.insert(
            Tuple {
                object,
                relation,
                subject,
            },
            Grant { until },
        );
    }
    tuples
}
