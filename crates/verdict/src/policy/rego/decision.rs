//! What a policy answered: read strictly out of what its entrypoint is. Whatever is no answer is a
//! failure, and so is an answer that asks for something unknown: an obligation that would be passed
//! over is one that does not hold.

use core::fmt;

use regorus::Value;
use regorus::rvm::vm::VmError;

use super::flaw::Flaw;
use super::obligation::Obligations;

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 1_024;
/// Longest code.
const MAX_CODE: usize = 64;

/// What came of asking a policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The call may pass, under the obligations.
    Allow(Decision),
    /// It may not.
    Deny(Decision),
    /// The entrypoint has no value: nothing in the policy spoke of this call. It may not pass.
    Undefined,
    /// There is no answer. The call may not pass.
    Failed(Failure),
}

/// What a policy said besides yes or no.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// Why, in the policy's words; for log and explanation only.
    pub reason: Option<String>,
    /// A short word for the reason.
    pub code: Option<String>,
    /// What must be done.
    pub obligations: Obligations,
}

/// Why a policy has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Its first version is still to come.
    NoVersion,
    /// The input can't be taken as data.
    Input,
    /// It took longer than it may.
    Time,
    /// It took more instructions than it may.
    Instructions,
    /// A builtin was asked for more than it gives; what, in words.
    TooMuch(&'static str),
    /// The answer has none of the known forms; how, in words.
    Form(String),
    /// Machine and interpreter gave different answers.
    Disagree,
    /// What the engine said.
    Engine(String),
}

impl Failure {
    /// Its stable name, in kebab case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoVersion => "no-version",
            Self::Input => "input",
            Self::Time => "time-limit",
            Self::Instructions => "instruction-limit",
            Self::TooMuch(_) => "size-limit",
            Self::Form(_) => "form",
            Self::Disagree => "disagree",
            Self::Engine(_) => "engine",
        }
    }

    pub(super) fn of_machine(error: &VmError) -> Self {
        match error {
            VmError::TimeLimitExceeded { .. } => Self::Time,
            VmError::InstructionLimitExceeded { .. } => Self::Instructions,
            other => Self::Engine(other.to_string()),
        }
    }

    pub(super) fn of_engine(text: &str) -> Self {
        if text.contains("exceeded time limit") {
            return Self::Time;
        }
        Self::Engine(Flaw::of_engine(text).to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVersion => f.write_str("the policy has no version yet"),
            Self::Input => f.write_str("the call can't be taken as data"),
            Self::Time => f.write_str("the policy took longer than it may"),
            Self::Instructions => f.write_str("the policy took more instructions than it may"),
            Self::TooMuch(what) => f.write_str(what),
            Self::Form(how) => write!(f, "the policy's answer is none: {how}"),
            Self::Disagree => f.write_str(
                "the policy's two evaluators gave different answers, which is an error of the engine",
            ),
            Self::Engine(text) => f.write_str(text),
        }
    }
}

impl Outcome {
    /// Whether the call may pass.
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::Undefined => "undefined",
            Self::Failed(_) => "failed",
        }
    }

    /// Why, in words, for log and explanation.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Allow(said) | Self::Deny(said) => said.reason.clone(),
            Self::Undefined => Some("no rule spoke of this call".to_owned()),
            Self::Failed(failure) => Some(failure.to_string()),
        }
    }

    /// Reads the entrypoint's value: a boolean, or an object of `allow`, `reason`, `code`,
    /// `obligations`.
    pub(super) fn read(value: &Value) -> Self {
        let (allow, decision) = match value {
            Value::Undefined => return Self::Undefined,
            Value::Bool(allow) => (*allow, Decision::default()),
            Value::Object(_) => match object(value) {
                Ok(read) => read,
                Err(how) => return Self::Failed(Failure::Form(how)),
            },
            _ => {
                let how = "it is neither a boolean nor an object".to_owned();
                return Self::Failed(Failure::Form(how));
            }
        };
        if allow {
            Self::Allow(decision)
        } else {
            Self::Deny(decision)
        }
    }
}

fn object(value: &Value) -> Result<(bool, Decision), String> {
    let json = serde_json::to_value(value).map_err(|_| "it is no JSON".to_owned())?;
    let serde_json::Value::Object(members) = json else {
        return Err("it is no object".to_owned());
    };
    let mut allow = None;
    let mut decision = Decision::default();
    for (name, value) in members {
        match name.as_str() {
            "allow" => {
                let said = value.as_bool().ok_or("`allow` is no boolean")?;
                allow = Some(said);
            }
            "reason" => decision.reason = Some(text("reason", &value, MAX_REASON)?),
            "code" => decision.code = Some(text("code", &value, MAX_CODE)?),
            "obligations" => decision.obligations = Obligations::read(value)?,
            other => return Err(format!("it has an unknown member `{other}`")),
        }
    }
    match allow {
        Some(allow) => Ok((allow, decision)),
        None => Err("it has no `allow`".to_owned()),
    }
}

/// A text, cut at its bound: what is said of a decision must not undo it.
fn text(name: &str, value: &serde_json::Value, bound: usize) -> Result<String, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("`{name}` is no text"))?;
    let end = text.floor_char_boundary(bound);
    Ok(text[..end].to_owned())
}
