//! **Mistakes in settings**: what is wrong, where it is written, and what to write instead.

use core::fmt;
use std::path::PathBuf;

/// A place in one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index into [`Files`].
    pub(crate) file: u16,
    /// From 1.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
}

impl Place {
    /// A place.
    pub(crate) fn new(file: u16, line: usize, column: usize) -> Self {
        Self { file, line, column }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where, if it is anywhere.
    pub(crate) place: Option<Place>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Flaw {
    /// A mistake at a place.
    pub(crate) fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            message: message.into(),
            hint: None,
        }
    }
    /// A mistake of the whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self {
            place: None,
            message: message.into(),
            hint: None,
        }
    }
    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The files that were read, in order; a [`Place`] points into it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(pub(crate) Vec<PathBuf>);

/// All mistakes of one reading, ready to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Flaws {
    /// The files.
    pub(crate) files: Files,
    /// The mistakes, in order of place.
    pub(crate) list: Vec<Flaw>,
}

impl Flaws {
    /// Collects mistakes, sorted by place.
    pub(crate) fn new(files: Files, mut list: Vec<Flaw>) -> Self {
        list.sort_by_key(|flaw| flaw.place);
        list.dedup();
        Self { files, list }
    }

    /// The same as JSON for `--output json` and the admin API.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.list
            .iter()
            .map(|flaw| {
                serde_json::json!({
                    "file": flaw.place.and_then(|p| self.files.0.get(usize::from(p.file))),
                    "line": flaw.place.map(|p| p.line),
                    "column": flaw.place.map(|p| p.column),
                    "message": flaw.message,
                    "hint": flaw.hint,
                })
            })
            .collect()
    }
}

impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for flaw in &self.list {
            if let Some(place) = flaw.place {
                let file = self.files.0.get(usize::from(place.file));
                let file = file.map_or_else(|| "?".to_owned(), |path| path.display().to_string());
                write!(f, "{file}:{}:{}: ", place.line, place.column)?;
            }
            writeln!(f, "{}", flaw.message)?;
            if let Some(hint) = &flaw.hint {
                writeln!(f, "    hint: {hint}")?;
            }
        }
        let many = if self.list.len() == 1 {
            "mistake"
        } else {
            "mistakes"
        };
        write!(f, "{} {many}", self.list.len())
    }
}

impl std::error::Error for Flaws {}
