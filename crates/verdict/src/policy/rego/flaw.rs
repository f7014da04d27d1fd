//! What is wrong with a policy's text, with its place. The engine reports places inside its messages
//! only; they are read out of them here, once.

use core::fmt;

/// A mistake in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// In which module; `None` where it belongs to no one of them.
    pub file: Option<String>,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

impl Flaw {
    /// A flaw of the whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: 0,
            column: 0,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hinted(message: impl Into<String>, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..Self::new(message)
        }
    }

    /// Reads an engine's message: `--> FILE:LINE:COLUMN`, the line with a mark under it, and
    /// `error: …`.
    pub(super) fn of_engine(text: &str) -> Self {
        let place = text.lines().find_map(|line| {
            let mut parts = line.trim_start().strip_prefix("--> ")?.rsplitn(3, ':');
            let column = parts.next()?.parse().ok()?;
            let line = parts.next()?.parse().ok()?;
            Some((parts.next()?.to_owned(), line, column))
        });
        let Some((file, line, column)) = place else {
            return Self::new(text.trim());
        };
        let message = text
            .lines()
            .rev()
            .find_map(|line| line.trim_start().strip_prefix("error: "))
            .unwrap_or("this can't be read");
        Self {
            file: Some(file),
            line,
            column,
            message: message.trim_end_matches('.').to_owned(),
            hint: None,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}
