//! **How a relation comes about**: the tree of everything that a relation to an object follows from,
//! with the tuples at its ends. For people who wonder; nothing is judged by it.

use core::future::Future;
use core::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use proof::time::Timestamp;

use super::check::MOST_DEPTH;
use super::listing::{ANSWERS, Listing, MOST_ANSWERS, Reading, Unlisted, counting};
use super::model::{Model, Term};
use super::object::{Object, Subject};
use super::{Grant, Standing};

const DEPTH: Unlisted = Unlisted::TooMuch("the depth of 32 that one relation may lead to another");

/// A relation to an object, and what it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The object.
    pub object: Object,
    /// The relation.
    pub relation: Arc<str>,
    /// Subjects of its own tuples.
    pub subjects: Vec<Leaf>,
    /// What it follows from.
    pub any_of: Vec<Branch>,
    /// What must hold too.
    pub all_of: Vec<Branch>,
    /// What must not hold.
    pub but_not: Option<Branch>,
    /// Whether this stands further up already; then nothing is below it here.
    pub again: bool,
}

/// A subject in a tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Who.
    pub subject: Subject,
    /// Until when.
    pub grant: Grant,
    /// Who the members are, where it is the members of something.
    pub members: Option<Box<Tree>>,
}

/// What one term of the model leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The term as the model writes it.
    pub term: String,
    /// What it leads to, each by what names it (`None`: the object itself).
    pub trees: Vec<Named>,
}

/// A tree below a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Until when the tuple stands that names its object, if one does and it ends.
    pub until: Option<Timestamp>,
    /// The tree.
    pub tree: Tree,
}

/// How a relation to an object comes about: its tuples, and what it follows from, down to the last.
/// Tuples that do not count at `now` are left out.
///
/// # Errors
/// [`Unlisted`].
pub async fn expand<L: Listing>(
    model: &Model,
    relation: &str,
    object: &Object,
    listing: &L,
    now: Timestamp,
) -> Result<Tree, Unlisted> {
    let read = Reading::new(listing);
    let growing = Growing {
        model,
        read: &read,
        now,
        grown: Mutex::new(0),
    };
    growing
        .tree(object.clone(), relation.into(), Vec::new())
        .await
}

/// Grows a tree.
struct Growing<'a, L> {
    model: &'a Model,
    read: &'a Reading<'a, L>,
    now: Timestamp,
    /// Trees so far.
    grown: Mutex<usize>,
}

type Grown<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unlisted>> + Send + 'a>>;

impl<L: Listing> Growing<'_, L> {
    /// One tree; `above` is what it stands below.
    fn tree(
        &self,
        object: Object,
        relation: Arc<str>,
        above: Vec<(Object, Arc<str>)>,
    ) -> Grown<'_, Tree> {
        Box::pin(async move {
            let here = (object.clone(), Arc::clone(&relation));
            let mut tree = Tree {
                again: above.contains(&here),
                object,
                relation,
                subjects: Vec::new(),
                any_of: Vec::new(),
                all_of: Vec::new(),
                but_not: None,
            };
            if above.len() >= MOST_DEPTH {
                return Err(DEPTH);
            }
            {
                let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
                *grown += 1;
                if *grown > MOST_ANSWERS {
                    return Err(ANSWERS);
                }
            }
            let rules = self.model.relation(tree.object.kind(), &tree.relation);
            let (Some(rules), false) = (rules, tree.again) else {
                return Ok(tree);
            };
            let mut above = above;
            above.push(here);
            if !rules.direct.is_empty() {
                let related = self.read.all(&tree.object, &tree.relation).await?;
                let standing: Vec<Standing> =
                    counting(&related, rules, self.now).cloned().collect();
                for Standing { subject, grant } in standing {
                    let members = match &subject {
                        Subject::Members(group, by) => {
                            let members = self.tree(group.clone(), Arc::clone(by), above.clone());
                            Some(Box::new(members.await?))
                        }
                        Subject::One(_) | Subject::Every(_) => None,
                    };
                    tree.subjects.push(Leaf {
                        subject,
                        grant,
                        members,
                    });
                }
            }
            for term in &rules.any_of {
                tree.any_of
                    .push(self.branch(&tree.object, term, &above).await?);
            }
            for term in &rules.all_of {
                tree.all_of
                    .push(self.branch(&tree.object, term, &above).await?);
            }
            if let Some(term) = &rules.but_not {
                tree.but_not = Some(self.branch(&tree.object, term, &above).await?);
            }
            Ok(tree)
        })
    }

    async fn branch(
        &self,
        object: &Object,
        term: &Term,
        above: &[(Object, Arc<str>)],
    ) -> Result<Branch, Unlisted> {
        let mut trees = Vec::new();
        match term {
            Term::Same(by) => {
                let tree = self
                    .tree(object.clone(), Arc::clone(by), above.to_vec())
                    .await?;
                trees.push(Named { until: None, tree });
            }
            Term::Through { names, relation } => {
                if let Some(named) = self.model.relation(object.kind(), names) {
                    let related = self.read.all(object, names).await?;
                    let standing: Vec<Standing> =
                        counting(&related, named, self.now).cloned().collect();
                    for Standing { subject, grant } in standing {
                        if let Subject::One(other) = subject
                            && self.model.relation(other.kind(), relation).is_some()
                        {
                            let tree = self
                                .tree(other, Arc::clone(relation), above.to_vec())
                                .await?;
                            trees.push(Named {
                                until: grant.until,
                                tree,
                            });
                        }
                    }
                }
            }
        }
        Ok(Branch {
            term: term.to_string(),
            trees,
        })
    }
}
