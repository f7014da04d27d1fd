//! **Flaws**: what is wrong with documents, each with the place where it stands, so that whoever
//! read the text can name line and column. All flaws are collected; none hides another.

use core::fmt;

use serde::Serialize;

/// One step from a document's root to a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum PathStep {
    /// A key of a map.
    Key(String),
    /// An index into a list, from 0.
    Index(usize),
}

/// A path as people write it: `spec.routes[2].path`.
pub fn written_path(path: &[PathStep]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            PathStep::Key(key) if text.is_empty() => text.push_str(key),
            PathStep::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Which document: as far as its kind and name could be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DocumentRef {
    /// Its kind, e.g. `Api`; `?` if it could not be read.
    pub kind: String,
    /// Its name; `?` if it could not be read.
    pub name: String,
    /// Its position in the list that was given, from 0: two documents may share a name by mistake.
    pub index: usize,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Flaw {
    /// In which document.
    pub document: DocumentRef,
    /// Where in it, e.g. `spec.routes[2].path`. If the place itself is missing, its parent.
    pub path: Vec<PathStep>,
    /// What is wrong, one sentence without a full stop, never a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Flaw {
    /// The place as people write it: `spec.routes[2].path`.
    pub fn place(&self) -> String {
        written_path(&self.path)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.document.kind, self.document.name)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.place())?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// A place in a document, grown step by step on the way down.
#[derive(Debug, Clone)]
pub(crate) struct Place(Vec<PathStep>);

impl Place {
    pub(crate) fn root() -> Self {
        Self(Vec::new())
    }
    pub(crate) fn spec() -> Self {
        Self::root().key("spec")
    }
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(PathStep::Key(key.to_owned()));
        Self(steps)
    }
    pub(crate) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(PathStep::Index(index));
        Self(steps)
    }
}

/// Collects the flaws of one document.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    document: DocumentRef,
    flaws: &'a mut Vec<Flaw>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(document: DocumentRef, flaws: &'a mut Vec<Flaw>) -> Self {
        Self { document, flaws }
    }
    pub(crate) fn flaw(&mut self, place: Place, message: impl Into<String>) {
        self.push(place, message.into(), None);
    }
    pub(crate) fn hinted(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(place, message.into(), Some(hint.into()));
    }
    fn push(&mut self, place: Place, message: String, hint: Option<String>) {
        self.flaws.push(Flaw {
            document: self.document.clone(),
            path: place.0,
            message,
            hint,
        });
    }
    /// How many flaws there are so far, in this and earlier documents.
    pub(crate) fn count(&self) -> usize {
        self.flaws.len()
    }
    /// Refuses a list that is written and empty (threat H1): leaving it out is a decision, an
    /// empty list is a mistake or an unresolved variable.
    pub(crate) fn not_empty<T>(&mut self, place: Place, list: Option<&[T]>) {
        if list.is_some_and(<[T]>::is_empty) {
            self.hinted(
                place,
                "the list is empty",
                "leave it out, or name at least one",
            );
        }
    }
    /// Refuses a value that stands twice in a list.
    pub(crate) fn no_doubles<T: PartialEq>(&mut self, place: &Place, list: &[T]) {
        for (index, item) in list.iter().enumerate() {
            if list[..index].contains(item) {
                self.flaw(place.index(index), "this stands in the list twice");
            }
        }
    }
}
