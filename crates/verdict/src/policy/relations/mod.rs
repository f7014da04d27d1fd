//! **Relations**: who has what to do with which object. `order:1001#owner@user:ada` is a tuple, a
//! fact that was written down; a [`Model`] says what follows from such facts. [`check`] answers
//! whether one subject has one relation to one object, with the way that leads there.
//!
//! Everything is bounded: how deep one relation may lead to another, how much is read for an
//! answer, how many answers there are. What goes beyond is [`Checked::TooMuch`], never a *yes*. A
//! tuple that does not fit the model (its type is gone, its subject is not taken any more) counts
//! for nothing, and so does one whose time is over: that is judged at every use, whatever a cache
//! holds.
//!
//! Nothing is written here, and no relation is guessed from an object's name.

mod check;
mod expand;
mod listing;
mod model;
mod object;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use core::future::Future;
use std::sync::Arc;

use proof::time::Timestamp;

pub use check::{By, Checked, MOST_DEPTH, MOST_READS, Step, check, check_over};
pub use expand::{Branch, Leaf, Named, Tree, expand};
pub use listing::{
    Listing, MOST_ANSWERS, MOST_TUPLES, Subjects, Unlisted, list_objects, list_subjects,
};
pub use model::{
    MOST_RELATIONS, MOST_TERMS, MOST_TYPES, Misfit, Model, Relation, Taker, Term, WrittenRelation,
    WrittenTypes,
};
pub use object::{BadText, LONGEST_ID, LONGEST_NAME, Object, Subject, Tuple, is_name};

use crate::facts::{Answer, Facts};

/// Most subjects of a relation that are answered together. Of more, single ones are asked for by
/// name.
pub const WHOLE: usize = 256;
/// Most subjects that are not single ones, of one relation to one object.
pub const MOST_SETS: usize = 1000;

/// That a tuple stands, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grant {
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// Whether it counts at a time.
    pub fn holds(self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }
}

/// A subject in a tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub subject: Subject,
    /// Until when.
    pub grant: Grant,
}

/// How much of a relation's tuples an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    Whole,
    /// Those whose subject is not a single one; single ones are asked for by name
    /// ([`Facts::grant`]).
    Sets,
    /// Not even all of these: there are more than [`MOST_SETS`].
    TooMany,
}

/// Who stands in the tuples of one relation to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// In the order of [`Subject`], so that one is found by bisection.
    standing: Box<[Standing]>,
    extent: Extent,
}

impl Related {
    /// From what was read, in any order.
    pub fn new(mut standing: Vec<Standing>, extent: Extent) -> Self {
        standing.sort_by(|a, b| a.subject.cmp(&b.subject));
        Self {
            standing: standing.into(),
            extent,
        }
    }
    /// All subjects that are held, whether their time is over or not.
    pub fn standing(&self) -> &[Standing] {
        &self.standing
    }
    /// How much of all it is.
    pub fn extent(&self) -> Extent {
        self.extent
    }
    /// The tuple of a subject, if it is held.
    pub fn grant(&self, subject: &Subject) -> Option<Grant> {
        let found = self
            .standing
            .binary_search_by(|one| one.subject.cmp(subject));
        found.ok().map(|index| self.standing[index].grant)
    }
    /// Those that name single things.
    fn single(&self) -> &[Standing] {
        let end = self
            .standing
            .partition_point(|one| matches!(one.subject, Subject::One(_)));
        &self.standing[..end]
    }
    /// Those that name the members of something.
    fn members(&self) -> &[Standing] {
        let sets = |one: &Standing| matches!(one.subject, Subject::Members(..));
        let start = self.standing.partition_point(|one| !sets(one));
        &self.standing[start..]
    }
}

/// Where tuples are read. The standard one is [`Facts`], by [`Known`].
pub trait Tuples: Sync {
    /// Who stands in the tuples of a relation to an object, if that is at hand: a look into memory.
    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        now: Timestamp,
    ) -> Option<Arc<Related>>;
    /// The same, asked for.
    fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Arc<Related>>> + Send;
    /// The tuple of one subject, if that is at hand: `Some(None)` says that there is none.
    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> Option<Option<Grant>>;
    /// The same, asked for.
    fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Grant>>> + Send;
}

/// Tuples as the facts know them.
#[derive(Debug)]
pub struct Known<'f, F>(pub &'f F);

impl<F: Facts> Tuples for Known<'_, F> {
    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        now: Timestamp,
    ) -> Option<Arc<Related>> {
        self.0.known_related(object, relation, now)
    }
    fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Arc<Related>>> + Send {
        self.0.related(object, relation, now)
    }
    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> Option<Option<Grant>> {
        self.0.known_grant(object, relation, subject, now)
    }
    fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<Grant>>> + Send {
        self.0.grant(object, relation, subject, now)
    }
}
