//! **Policies**: Rego, compiled once per version and asked in process.
//!
//! A [`Policy`] is a name with its current [`Version`]: modules, data and an entrypoint, compiled to
//! the engine's own machine code. It gets the call as data, never as text (threat H2), and its answer
//! has three values and a fourth: it allows, it denies, it says nothing, or it failed (threat H3). Only
//! the first lets a call pass. A policy asks nothing of the world: there is no network, no clock, no
//! dice, so that the same input gets the same answer whenever it is asked again. What bounds it is
//! time, instructions and the size of what builtins may make ([`Limits`]).
//!
//! The machine takes two different values for one name as no value at all. Where the rules of a policy
//! could do that, an answer that allows is asked again of the engine's interpreter, which calls it the
//! error that it is; see [`Version::is_confirmed`].

pub mod bundle;
mod decision;
mod flaw;
mod host;
mod machine;
mod mask;
mod obligation;
mod rehearsal;
mod version;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderName;
use serde_json::Value;

pub use decision::{Decision, Failure, Outcome};
pub use flaw::Flaw;
pub use host::FUNCTIONS;
pub use mask::{MAX_MASKS, Mask};
pub use obligation::{Budget, MAX_HEADERS, Obligations, StepUp, settable};
pub use rehearsal::{Coverage, Lines, Suite, Tested, Trace};
pub use version::{MAX_MODULES, Module, Source, Version};

/// The version of the input that calls become (`input.version`).
pub const INPUT_VERSION: &str = "v1";

/// What one decision may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time; the machine looks at its clock every 256 instructions.
    pub time: Duration,
    /// Most instructions.
    pub instructions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            instructions: 2_000_000,
        }
    }
}

/// A policy by name. Its version may be replaced while calls are judged; each call sees one of them.
pub struct Policy {
    name: Arc<str>,
    reads_body: bool,
    headers: Vec<HeaderName>,
    limits: Limits,
    current: ArcSwapOption<Version>,
}

/// What a policy answered, and which version of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The answer.
    pub outcome: Outcome,
    /// The digest of the version that gave it; `None` if there is none yet.
    pub version: Option<Arc<str>>,
}

impl Policy {
    /// A policy whose first version is still to come ([`Policy::replace`]): until then it fails.
    /// `reads_body` says that its input has the call's body.
    pub fn waiting(name: &str, limits: Limits, reads_body: bool) -> Self {
        Self {
            name: name.into(),
            reads_body,
            headers: Vec::new(),
            limits,
            current: ArcSwapOption::empty(),
        }
    }

    /// The same with the headers that it may set: nobody else's word on them counts.
    #[must_use]
    pub fn setting(mut self, headers: Vec<HeaderName>) -> Self {
        self.headers = headers;
        self
    }

    /// Compiles a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as the compiler got.
    pub fn compile(name: &str, source: &Source, limits: Limits) -> Result<Self, Vec<Flaw>> {
        let policy = Self::waiting(name, limits, false);
        policy.replace(Arc::new(Version::compile(source)?));
        Ok(policy)
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether its input has the call's body.
    pub fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// The headers that it may set. What a caller sends under these names never reaches an upstream.
    pub fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// What one decision may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The version that is asked now; `None` while the first is still to come.
    pub fn current(&self) -> Option<Arc<Version>> {
        self.current.load_full()
    }

    /// Asks another version from now on.
    pub fn replace(&self, version: Arc<Version>) {
        self.current.store(Some(version));
    }

    /// Asks the policy. `input` is the call as data, version [`INPUT_VERSION`].
    pub fn decide(&self, input: &Value) -> Answer {
        match &*self.current.load() {
            Some(version) => Answer {
                outcome: self.keeps_to_its_headers(version.decide(input, self.limits)),
                version: Some(version.digest().clone()),
            },
            None => Answer {
                outcome: Outcome::Failed(Failure::NoVersion),
                version: None,
            },
        }
    }
}

impl Policy {
    /// An answer that sets a header which was not declared is none: what callers send under that name
    /// is let through whenever the policy does not set it.
    fn keeps_to_its_headers(&self, outcome: Outcome) -> Outcome {
        let (Outcome::Allow(said) | Outcome::Deny(said)) = &outcome else {
            return outcome;
        };
        let mut set = said.obligations.headers.iter().map(|(name, _)| name);
        match set.find(|name| !self.headers.contains(name)) {
            None => outcome,
            Some(name) => Outcome::Failed(Failure::Form(format!(
                "it sets the header `{name}`, which is not among the policy's `headers`"
            ))),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("version", &self.current().map(|now| now.digest().clone()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
