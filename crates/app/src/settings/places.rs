//! **Where things are written**: the lines of what was read, kept without what stands there, so that a
//! mistake that only shows later (in a file that is named, say) is still told where it is written.

use registry::flaw::PathStep;

use super::flaw::{Files, Flaw, Flaws};
use super::place_of;
use super::tree::Node;

/// The places of one reading.
#[derive(Debug)]
pub(crate) struct Places {
    files: Files,
    root: Node,
}

impl Places {
    /// Keeps the places of what was read.
    pub(super) fn new(files: Files, root: &Node) -> Self {
        Self {
            files,
            root: root.without_values(),
        }
    }

    /// A mistake at a key of the settings themselves.
    pub(crate) fn setting(&self, path: &[PathStep], message: impl Into<String>) -> Flaw {
        Flaw::at(place_of(&self.root, path, true), message)
    }

    /// A mistake at a key of the document at `index` among those that were read.
    pub(crate) fn document(
        &self,
        index: usize,
        path: &[PathStep],
        message: impl Into<String>,
    ) -> Flaw {
        let documents = self.root.get("resources").map(Node::items);
        match documents.and_then(|documents| documents.get(index)) {
            Some(document) => Flaw::at(place_of(document, path, true), message),
            None => Flaw::whole(message),
        }
    }

    /// All mistakes, ready to be shown.
    pub(crate) fn flaws(&self, list: Vec<Flaw>) -> Flaws {
        Flaws::new(self.files.clone(), list)
    }
}
