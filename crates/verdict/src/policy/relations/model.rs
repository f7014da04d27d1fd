//! **The model**: which types there are, which relations their objects have, who may stand in a
//! tuple of each, and which relations follow from others. It is checked as a whole before anything
//! is judged by it; a model with a flaw is none.

mod reader;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::object::Subject;
use reader::{Reader, hint, said};

/// Most types of a model.
pub const MOST_TYPES: usize = 200;
/// Most relations of a type.
pub const MOST_RELATIONS: usize = 100;
/// Most entries of one list of a relation.
pub const MOST_TERMS: usize = 50;

/// A relation as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenRelation {
    /// Who may stand in a tuple: `user`, `user:*`, `group#member`.
    pub direct: Vec<String>,
    /// Whoever has one of these has it too: `owner`, `shop.staff`.
    pub any_of: Vec<String>,
    /// Whoever lacks one of these has it not.
    pub all_of: Vec<String>,
    /// Whoever has this has it not.
    pub but_not: Option<String>,
}

/// Types with their relations, as written.
pub type WrittenTypes = BTreeMap<String, BTreeMap<String, WrittenRelation>>;

/// What is wrong with a model, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The type.
    pub kind: String,
    /// Its relation, if it is about one.
    pub relation: Option<String>,
    /// The key of the relation, with the position in its list if it is one.
    pub part: Option<(&'static str, Option<usize>)>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Who may stand in a tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taker {
    /// Single ones of a type.
    One(Arc<str>),
    /// Everything of a type at once.
    Every(Arc<str>),
    /// Whoever has a relation to an object of a type.
    Members(Arc<str>, Arc<str>),
}

impl Taker {
    /// Whether a subject is one of these.
    pub fn takes(&self, subject: &Subject) -> bool {
        match (self, subject) {
            (Self::One(kind), Subject::One(object)) => **kind == *object.kind(),
            (Self::Every(kind), Subject::Every(other)) => kind == other,
            (Self::Members(kind, relation), Subject::Members(object, other)) => {
                **kind == *object.kind() && relation == other
            }
            _ => false,
        }
    }
}

/// What a relation follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// Another relation of the same object.
    Same(Arc<str>),
    /// A relation of whatever the object names by one of its own.
    Through {
        /// The object's relation, whose tuples name others.
        names: Arc<str>,
        /// Their relation.
        relation: Arc<str>,
    },
}

impl core::fmt::Display for Term {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Same(relation) => f.write_str(relation),
            Self::Through { names, relation } => write!(f, "{names}.{relation}"),
        }
    }
}

/// A relation, checked: (`direct` ∪ `any_of`) ∩ every `all_of` ∖ `but_not`. Without the first two,
/// `all_of` alone decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: Arc<str>,
    /// Who may stand in its tuples.
    pub direct: Vec<Taker>,
    /// Whoever has one of these has it too.
    pub any_of: Vec<Term>,
    /// Whoever lacks one of these has it not.
    pub all_of: Vec<Term>,
    /// Whoever has this has it not.
    pub but_not: Option<Term>,
    /// Types of single subjects that could have it at all.
    reach: BTreeSet<Arc<str>>,
}

impl Relation {
    /// Whether a tuple with this subject may be written.
    pub fn takes(&self, subject: &Subject) -> bool {
        self.direct.iter().any(|taker| taker.takes(subject))
    }
    /// Whether a single subject of a type could have it, by whatever tuples.
    pub fn reaches(&self, kind: &str) -> bool {
        self.reach.contains(kind)
    }
    /// Whether members of something may stand in its tuples.
    pub(super) fn takes_members(&self) -> bool {
        let members = |taker: &Taker| matches!(taker, Taker::Members(..));
        self.direct.iter().any(members)
    }
    pub(super) fn takes_one(&self, kind: &str) -> bool {
        let one = |taker: &Taker| matches!(taker, Taker::One(of) if **of == *kind);
        self.direct.iter().any(one)
    }
    pub(super) fn takes_every(&self, kind: &str) -> bool {
        let every = |taker: &Taker| matches!(taker, Taker::Every(of) if **of == *kind);
        self.direct.iter().any(every)
    }
    /// What it is based on beside tuples.
    pub(super) fn base(&self) -> &[Term] {
        if self.direct.is_empty() && self.any_of.is_empty() {
            self.all_of.get(..1).unwrap_or_default()
        } else {
            &self.any_of
        }
    }
}

/// A model, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    types: HashMap<Arc<str>, BTreeMap<Arc<str>, Relation>>,
}

/// A relation of a type.
type Node = (Arc<str>, Arc<str>);

impl Model {
    /// Checks what was written.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of types and relations.
    pub fn prepare(written: &WrittenTypes) -> Result<Self, Vec<Misfit>> {
        let mut reader = Reader {
            written,
            misfits: Vec::new(),
        };
        let mut model = reader.read();
        if !reader.misfits.is_empty() {
            return Err(reader.misfits);
        }
        let misfits = model.circles();
        if !misfits.is_empty() {
            return Err(misfits);
        }
        model.find_reach();
        Ok(model)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Types in the order of their names.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self.types.keys().map(AsRef::as_ref).collect();
        names.into_iter()
    }

    /// Whether there is such a type.
    pub fn knows(&self, kind: &str) -> bool {
        self.types.contains_key(kind)
    }

    /// The relations of a type, by name; `None`: there is no such type.
    pub fn relations(&self, kind: &str) -> Option<impl Iterator<Item = &Relation>> {
        self.types.get(kind).map(|relations| relations.values())
    }

    /// A relation of a type.
    pub fn relation(&self, kind: &str, relation: &str) -> Option<&Relation> {
        self.types.get(kind)?.get(relation)
    }

    /// What is asked for, if it is there; else what is wrong with the question, in a sentence.
    ///
    /// # Errors
    /// The sentence: which type or relation is not there, and which are.
    pub fn find(&self, kind: &str, relation: &str) -> Result<&Relation, String> {
        let Some(relations) = self.types.get(kind) else {
            let hint = hint(kind, self.types());
            return Err(format!("there is no type `{kind}`{}", said(hint)));
        };
        relations.get(relation).ok_or_else(|| {
            let hint = hint(relation, relations.keys().map(AsRef::as_ref));
            format!("`{kind}` has no relation `{relation}`{}", said(hint))
        })
    }

    /// Why a tuple can't be written under this model, in a sentence; `None`: it can.
    pub fn refuses(&self, tuple: &super::Tuple) -> Option<String> {
        let relation = match self.find(tuple.object.kind(), &tuple.relation) {
            Ok(relation) => relation,
            Err(why) => return Some(why),
        };
        if relation.takes(&tuple.subject) {
            return None;
        }
        let what = match &tuple.subject {
            Subject::One(object) => object.kind().to_owned(),
            Subject::Every(kind) => format!("{kind}:*"),
            Subject::Members(object, relation) => format!("{}#{relation}", object.kind()),
        };
        let (kind, name) = (tuple.object.kind(), &relation.name);
        Some(if relation.direct.is_empty() {
            format!("`{name}` of `{kind}` follows from other relations; no tuple of it is written")
        } else {
            format!("`{name}` of `{kind}` does not take `{what}`: its `direct` does not list it")
        })
    }

    /// All that a relation follows from: relations, and whether it is by their absence.
    pub(super) fn needs(&self, kind: &str, relation: &Relation) -> Vec<(Node, bool)> {
        let mut needs = Vec::new();
        for taker in &relation.direct {
            if let Taker::Members(kind, relation) = taker {
                needs.push(((Arc::clone(kind), Arc::clone(relation)), false));
            }
        }
        let terms = relation.any_of.iter().chain(&relation.all_of);
        let terms = terms.map(|term| (term, false));
        for (term, absent) in terms.chain(relation.but_not.iter().map(|term| (term, true))) {
            needs.extend(self.ends(kind, term).into_iter().map(|node| (node, absent)));
        }
        needs
    }

    /// The relations that a term leads to from an object of a type.
    pub(super) fn ends(&self, kind: &str, term: &Term) -> Vec<Node> {
        match term {
            Term::Same(relation) => self
                .types
                .get_key_value(kind)
                .map(|(kind, _)| (Arc::clone(kind), Arc::clone(relation)))
                .into_iter()
                .collect(),
            Term::Through { names, relation } => {
                let named = self.relation(kind, names);
                let takers = named.map_or(&[][..], |named| &named.direct);
                takers
                    .iter()
                    .filter_map(|taker| match taker {
                        Taker::One(kind) => Some(kind),
                        Taker::Every(_) | Taker::Members(..) => None,
                    })
                    .filter(|kind| self.relation(kind, relation).is_some())
                    .map(|kind| (Arc::clone(kind), Arc::clone(relation)))
                    .collect()
            }
        }
    }

    fn nodes(&self) -> BTreeMap<Node, &Relation> {
        let node = |kind: &Arc<str>, one: &Relation| (Arc::clone(kind), Arc::clone(&one.name));
        self.types
            .iter()
            .flat_map(|(kind, all)| all.values().map(move |one| (node(kind, one), one)))
            .collect()
    }

    /// Relations that would be so because they are not so, and those that follow from themselves on
    /// the same object: neither has a meaning.
    fn circles(&self) -> Vec<Misfit> {
        let nodes = self.nodes();
        let graph: BTreeMap<&Node, Vec<(Node, bool)>> = nodes
            .iter()
            .map(|(node, relation)| (node, self.needs(&node.0, relation)))
            .collect();
        let leads = |from: &Node, to: &Node| {
            let mut seen = BTreeSet::from([from.clone()]);
            let mut next = vec![from.clone()];
            while let Some(at) = next.pop() {
                if at == *to {
                    return true;
                }
                for (end, _) in graph.get(&at).into_iter().flatten() {
                    if seen.insert(end.clone()) {
                        next.push(end.clone());
                    }
                }
            }
            false
        };
        let mut misfits = Vec::new();
        for (node, relation) in &nodes {
            let misfit = |part, message: String, hint: &str| Misfit {
                kind: node.0.to_string(),
                relation: Some(node.1.to_string()),
                part: Some((part, None)),
                message,
                hint: Some(hint.to_owned()),
            };
            let absent = graph[node].iter().filter(|(_, absent)| *absent);
            for (end, _) in absent {
                if leads(end, node) {
                    misfits.push(misfit(
                        "but_not",
                        format!("`{}` would hold because it does not hold: `{}` of `{}` leads back to it", node.1, end.1, end.0),
                        "let but_not name a relation that does not need this one",
                    ));
                    break;
                }
            }
            if self.follows_from_itself(node, relation) {
                misfits.push(misfit(
                    if relation.any_of.is_empty() {
                        "all_of"
                    } else {
                        "any_of"
                    },
                    format!("`{}` follows from itself on the same object", node.1),
                    "take it out of the circle",
                ));
            }
        }
        misfits
    }

    /// Whether a relation comes back to itself by relations of the same object alone.
    fn follows_from_itself(&self, node: &Node, relation: &Relation) -> bool {
        let same = |relation: &Relation| -> Vec<Arc<str>> {
            let terms = relation.any_of.iter().chain(&relation.all_of);
            terms
                .filter_map(|term| match term {
                    Term::Same(name) => Some(Arc::clone(name)),
                    Term::Through { .. } => None,
                })
                .collect()
        };
        let mut next = same(relation);
        let mut seen = BTreeSet::new();
        while let Some(name) = next.pop() {
            if name == node.1 {
                return true;
            }
            if seen.insert(Arc::clone(&name))
                && let Some(relation) = self.relation(&node.0, &name)
            {
                next.extend(same(relation));
            }
        }
        false
    }

    /// Which types could have which relations: what can never hold is not looked up.
    fn find_reach(&mut self) {
        let mut reach: BTreeMap<Node, BTreeSet<Arc<str>>> = BTreeMap::new();
        loop {
            let mut grew = false;
            for (node, relation) in &self.nodes() {
                let mut found = BTreeSet::new();
                let mut take =
                    |end: &Node| found.extend(reach.get(end).into_iter().flatten().cloned());
                for taker in &relation.direct {
                    if let Taker::Members(kind, name) = taker {
                        take(&(Arc::clone(kind), Arc::clone(name)));
                    }
                }
                for term in relation.base() {
                    self.ends(&node.0, term).iter().for_each(&mut take);
                }
                for taker in &relation.direct {
                    if let Taker::One(kind) | Taker::Every(kind) = taker {
                        found.insert(Arc::clone(kind));
                    }
                }
                let held = reach.entry(node.clone()).or_default();
                let before = held.len();
                held.extend(found);
                grew |= held.len() > before;
            }
            if !grew {
                break;
            }
        }
        for (kind, relations) in &mut self.types {
            for (name, relation) in relations {
                let node = (Arc::clone(kind), Arc::clone(name));
                relation.reach = reach.remove(&node).unwrap_or_default();
            }
        }
    }
}
