//! **Tuples as kept**: who has what to do with which object, until when, for what purpose, and who
//! wrote that down. What follows from them is judged by `verdict::policy::relations`; here stands
//! how they are written (many at once or none) and read.

use core::fmt;
use core::future::Future;
use core::str::FromStr;

use proof::time::Timestamp;
use verdict::policy::relations::{Listing, Subject, Tuple};

use crate::audit::AuditDraft;
use crate::ports::Stores;

/// Most tuples that one write adds and removes together, and most that it may expect.
pub const MOST_AT_ONCE: usize = 100;
/// Longest purpose in bytes.
pub const LONGEST_PURPOSE: usize = 500;

/// A tuple to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTuple {
    /// The tuple.
    pub tuple: Tuple,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// What it is for.
    pub purpose: Option<String>,
}

/// A tuple as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTuple {
    /// The tuple.
    pub tuple: Tuple,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// What it is for.
    pub purpose: Option<String>,
    /// When it was written, or changed last.
    pub created_at: Timestamp,
    /// By whom ([`crate::actor::Actor::label`]).
    pub created_by: String,
}

/// A write. No tuple stands in it twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What is added, each with the event that says so. One that stands already with the same end
    /// and purpose stays as it is, and no event is written.
    pub add: Vec<(NewTuple, AuditDraft)>,
    /// What is removed, each with its event. One that does not stand is passed over.
    pub remove: Vec<(Tuple, AuditDraft)>,
    /// What must stand, in force, or nothing is written.
    pub must: Vec<Tuple>,
    /// What must not stand, or nothing is written.
    pub must_not: Vec<Tuple>,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrote {
    /// It is done.
    Done(Done),
    /// Something was expected otherwise; nothing was written.
    Unexpected {
        /// What.
        tuple: Tuple,
        /// Whether it stands.
        stands: bool,
    },
}

/// A write that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// How many tuples are new or changed.
    pub added: usize,
    /// How many are gone.
    pub removed: usize,
    /// When it is in force: on a node that has seen this change.
    pub at: Token,
}

/// A consistency token: the number of the newest change that a write made, or found. A node that
/// has seen it judges by what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub i64);

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no consistency token: give the `at` of a write as it was answered")]
pub struct BadToken;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rel1-{}", self.0)
    }
}

impl FromStr for Token {
    type Err = BadToken;
    fn from_str(text: &str) -> Result<Self, BadToken> {
        let number = text.strip_prefix("rel1-").ok_or(BadToken)?;
        let clean = !number.starts_with('+') && (number == "0" || !number.starts_with('0'));
        match number.parse() {
            Ok(number) if clean && number >= 0 => Ok(Self(number)),
            _ => Err(BadToken),
        }
    }
}

/// Which tuples to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TupleFilter {
    /// Of objects of this type.
    pub object_type: Option<String>,
    /// Of the object with this id, beside its type.
    pub object_id: Option<String>,
    /// Of this relation.
    pub relation: Option<String>,
    /// With this subject.
    pub subject: Option<Subject>,
    /// Those after this one (keyset paging).
    pub after: Option<Tuple>,
    /// At most so many; 1–1000.
    pub limit: u32,
}

/// Tuples. Those whose time is over may be listed until they are swept; they count for nothing.
pub trait Relations: Listing {
    /// Writes a batch with its events: all of it or nothing. Each pair of object and relation that it
    /// touches is one change ([`crate::ports::ChangeSubject::Relation`]).
    fn write_relations(&self, batch: Batch) -> impl Future<Output = Stores<Wrote>> + Send;
    /// Tuples in the order of object, relation and subject.
    fn relations(
        &self,
        filter: &TupleFilter,
    ) -> impl Future<Output = Stores<Vec<StoredTuple>>> + Send;
    /// How many tuples there are of each pair of an object's type and a relation, with the types of
    /// their subjects: what a model must still know.
    fn relation_kinds(&self) -> impl Future<Output = Stores<Vec<TupleKind>>> + Send;
}

/// Tuples that are alike to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TupleKind {
    /// One of them.
    pub example: Tuple,
    /// How many.
    pub tuples: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_reads_as_one() {
        assert_eq!(Token(184).to_string().parse(), Ok(Token(184)));
        assert_eq!("rel1-0".parse(), Ok(Token(0)));
        for text in [
            "", "184", "rel1-", "rel1--1", "rel1-+1", "rel1-01", "rel2-1", "rel1-1 ",
        ] {
            assert_eq!(text.parse::<Token>(), Err(BadToken), "{text:?}");
        }
    }
}
