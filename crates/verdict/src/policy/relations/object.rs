//! **Objects, subjects and tuples as text**, in a grammar that reads in one way only.
//!
//! ```text
//! object  = type ":" id                       order:1001
//! subject = object                            user:ada
//!         / type ":*"                         user:*              (every user)
//!         / object "#" relation               group:staff#member  (its members)
//! tuple   = object "#" relation "@" subject   order:1001#owner@user:ada
//! ```
//!
//! A type and a relation are slugs, so neither holds `:`, `#` or `@`. An id is 1 to 256 bytes
//! without `#`, without control characters and without white space at its ends; it is compared byte
//! for byte, so `A` is not `a`. The type ends at the first `:`, an object at the first `#`, and the
//! relation after it at the first `@`: an id may hold `:`, `/`, `|` and `@` all the same. The id `*`
//! is nobody's: it stands for every subject of a type, and only where a subject is written down.
//! Nothing is decoded, folded or trimmed here.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;
use std::sync::Arc;

/// Longest id in bytes.
pub const LONGEST_ID: usize = 256;
/// Longest type or relation in bytes.
pub const LONGEST_NAME: usize = 63;

/// Why a text is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// No object.
    #[error(
        "an object is `type:id`; an id has 1 to 256 bytes, no `#`, no control characters, no white space at its ends, and is not `*`"
    )]
    Object,
    /// No subject.
    #[error("a subject is `type:id`, `type:*` or `type:id#relation`")]
    Subject,
    /// No type or relation.
    #[error("types and relations are 1 to 63 lower-case letters, digits, hyphens and underscores")]
    Name,
    /// No tuple.
    #[error("a tuple is `type:id#relation@subject`")]
    Tuple,
}

/// Whether a text can be a type's or a relation's name: 1 to 63 lower-case letters, digits, hyphens
/// and underscores, with a letter or digit at both ends.
pub fn is_name(text: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=LONGEST_NAME).contains(&bytes.len())
        && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'_'))
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text != "*"
        && text.trim().len() == text.len()
        && !text.chars().any(|c| c == '#' || c.is_control())
}

/// An object, or a subject that is one thing: `type:id`.
#[derive(Clone)]
pub struct Object {
    text: Arc<str>,
    colon: usize,
}

impl Object {
    /// From its two parts.
    ///
    /// # Errors
    /// [`BadText`] if one of them can't be what it should.
    pub fn new(kind: &str, id: &str) -> Result<Self, BadText> {
        if !is_name(kind) {
            return Err(BadText::Name);
        }
        if !is_id(id) {
            return Err(BadText::Object);
        }
        Ok(Self::joined(kind, id))
    }

    /// Whoever is of a type and stands in no tuple by name: no text reads as it.
    pub(super) fn anyone(kind: &str) -> Self {
        Self::joined(kind, "*")
    }

    fn joined(kind: &str, id: &str) -> Self {
        Self {
            text: [kind, ":", id].concat().into(),
            colon: kind.len(),
        }
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.text[..self.colon]
    }
    /// Its id within the type.
    pub fn id(&self) -> &str {
        &self.text[self.colon + 1..]
    }
    /// `type:id`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Object {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        let (kind, id) = text.split_once(':').ok_or(BadText::Object)?;
        Self::new(kind, id)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.text == other.text
    }
}
impl Eq for Object {}
impl PartialOrd for Object {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Object {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl Borrow<str> for Object {
    fn borrow(&self) -> &str {
        &self.text
    }
}
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}

/// Who stands in a tuple. The order puts single ones first and members of something last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One thing: `user:ada`.
    One(Object),
    /// Everything of a type: `user:*`.
    Every(Arc<str>),
    /// Whoever has a relation to an object: `group:staff#member`.
    Members(Object, Arc<str>),
}

impl Subject {
    /// The type of what stands there.
    pub fn kind(&self) -> &str {
        match self {
            Self::One(object) | Self::Members(object, _) => object.kind(),
            Self::Every(kind) => kind,
        }
    }
    /// The id; `*` for everything of a type.
    pub fn id(&self) -> &str {
        match self {
            Self::One(object) | Self::Members(object, _) => object.id(),
            Self::Every(_) => "*",
        }
    }
    /// The relation whose holders stand there, if it is they who do.
    pub fn relation(&self) -> Option<&str> {
        match self {
            Self::Members(_, relation) => Some(relation),
            Self::One(_) | Self::Every(_) => None,
        }
    }
    /// From its parts, as [`Subject::kind`], [`Subject::id`] and [`Subject::relation`] name them.
    ///
    /// # Errors
    /// [`BadText`] if they are those of none.
    pub fn from_parts(kind: &str, id: &str, relation: Option<&str>) -> Result<Self, BadText> {
        match (id, relation) {
            ("*", None) if is_name(kind) => Ok(Self::Every(kind.into())),
            (_, None) => Object::new(kind, id).map(Self::One),
            (_, Some(relation)) if is_name(relation) => {
                Ok(Self::Members(Object::new(kind, id)?, relation.into()))
            }
            (_, Some(_)) => Err(BadText::Name),
        }
    }
}

impl FromStr for Subject {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        let (object, relation) = match text.split_once('#') {
            Some((object, relation)) => (object, Some(relation)),
            None => (text, None),
        };
        let (kind, id) = object.split_once(':').ok_or(BadText::Subject)?;
        Self::from_parts(kind, id, relation).map_err(|_| BadText::Subject)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(object) => write!(f, "{object}"),
            Self::Every(kind) => write!(f, "{kind}:*"),
            Self::Members(object, relation) => write!(f, "{object}#{relation}"),
        }
    }
}

/// That a subject has a relation to an object, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// The object.
    pub object: Object,
    /// The relation.
    pub relation: Arc<str>,
    /// Who has it.
    pub subject: Subject,
}

impl FromStr for Tuple {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        let (object, rest) = text.split_once('#').ok_or(BadText::Tuple)?;
        let (relation, subject) = rest.split_once('@').ok_or(BadText::Tuple)?;
        if !is_name(relation) {
            return Err(BadText::Name);
        }
        Ok(Self {
            object: object.parse()?,
            relation: relation.into(),
            subject: subject.parse()?,
        })
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.object, self.relation, self.subject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn j01_a_text_reads_in_one_way_only_whatever_an_id_holds() {
        for (text, object, relation, subject) in [
            ("order:1#owner@user:ada", "order:1", "owner", "user:ada"),
            ("a:b:c#r@u:x/y|z", "a:b:c", "r", "u:x/y|z"),
            ("mail:a@b#to@user:c@d", "mail:a@b", "to", "user:c@d"),
            ("doc:1#v@group:s#member", "doc:1", "v", "group:s#member"),
            ("doc:1#v@user:*", "doc:1", "v", "user:*"),
            ("doc:é 1#v@user:**", "doc:é 1", "v", "user:**"),
        ] {
            let tuple: Tuple = text.parse().expect(text);
            assert_eq!(tuple.object.as_str(), object, "{text}");
            assert_eq!(&*tuple.relation, relation, "{text}");
            assert_eq!(tuple.subject.to_string(), subject, "{text}");
            assert_eq!(tuple.to_string(), text);
        }
    }

    #[test]
    fn what_fits_the_grammar_in_no_way_is_refused() {
        let long = format!("order:{}", "x".repeat(257));
        for text in [
            "",
            "order",
            "order:",
            ":1",
            "Order:1",
            "order:*",
            "order:a#b",
            "order: 1",
            "order:1 ",
            "order:a\nb",
            "order:a\u{7f}",
            "-a:1",
            "a b:1",
            &long,
        ] {
            assert!(text.parse::<Object>().is_err(), "{text:?}");
        }
        for text in [
            "user",
            "user:",
            "user:*#member",
            "user:a#",
            "user:a#B",
            "user:a#b#c",
            "*:*",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text:?}");
        }
        for text in [
            "order:1",
            "order:1#owner",
            "order:1@user:a",
            "order:1#o@",
            "order:1#O@user:a",
        ] {
            assert!(text.parse::<Tuple>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn j01_an_id_of_a_call_is_never_taken_for_everybody_or_for_members() {
        assert_eq!(Object::new("user", "*"), Err(BadText::Object));
        assert_eq!(Object::new("user", "a#member"), Err(BadText::Object));
        assert_ne!("order:A".parse::<Object>(), "order:a".parse::<Object>());
    }

    proptest! {
        #[test]
        fn whatever_parts_make_is_read_back_as_these_parts(
            kind in "[a-z][a-z0-9_-]{0,8}[a-z0-9]", id in "\\PC{1,20}",
            relation in "[a-z]{1,8}", subject in "\\PC{1,20}",
        ) {
            if let (Ok(object), Ok(subject)) = (Object::new(&kind, &id), Subject::from_parts("user", &subject, Some(&relation))) {
                let tuple = Tuple { object, relation: relation.into(), subject };
                prop_assert_eq!(tuple.to_string().parse::<Tuple>(), Ok(tuple));
            }
        }
    }
}
