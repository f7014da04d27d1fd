//! **What people are told when a command fails**: one sentence, the next step, an exit code.

use core::fmt;

/// Why a command did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    sentence: String,
    next: Option<String>,
    /// Further lines: every mistake of what was sent, say.
    lines: Vec<String>,
    code: u8,
    /// The problem's code, where a server refused.
    problem: Option<String>,
}

impl Failure {
    /// Refused or failed: exit code 1.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            next: None,
            lines: Vec::new(),
            code: 1,
            problem: None,
        }
    }
    /// Called wrongly: exit code 2.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(sentence)
        }
    }
    /// What to do about it.
    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }
    /// Lines between sentence and next step.
    pub(crate) fn lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines;
        self
    }
    /// With which code a server refused.
    pub(crate) fn problem(mut self, code: &str) -> Self {
        self.problem = Some(code.to_owned());
        self
    }
    /// Whether a server refused with this code.
    pub(crate) fn is_problem(&self, code: &str) -> bool {
        self.problem.as_deref() == Some(code)
    }
    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        for line in &self.lines {
            write!(f, "\n  {line}")?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  → {next}")?;
        }
        Ok(())
    }
}

/// The result of a step.
pub(crate) type Outcome<T> = Result<T, Failure>;
