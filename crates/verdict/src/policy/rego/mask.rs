//! Fields of a JSON answer that its caller may not see, named by JSON pointers (RFC 6901) in which a
//! step `*` stands for every element or member. They are taken out, not blanked: that a field exists
//! can be worth hiding too.

use core::fmt;

use serde_json::Value;

use crate::policy::steps::{self, Step};

/// Most paths in one answer.
pub const MAX_MASKS: usize = 64;
/// Most steps of one.
const MAX_STEPS: usize = 32;

/// A path to fields.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mask(Vec<Step>);

impl Mask {
    /// Reads `/orders/*/card`. A name that is itself a star is written `~2`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 1_024 {
            return None;
        }
        // The empty pointer means the whole answer, which no mask should.
        let steps = steps::read(text)?;
        (steps.len() <= MAX_STEPS).then_some(Self(steps))
    }

    /// Takes the fields out. Says whether there was one.
    pub fn apply(&self, answer: &mut Value) -> bool {
        take(&self.0, answer)
    }
}

fn take(steps: &[Step], at: &mut Value) -> bool {
    let Some((first, rest)) = steps.split_first() else {
        return false;
    };
    match (first, at) {
        (Step::Any, Value::Object(members)) if rest.is_empty() => {
            let some = !members.is_empty();
            members.clear();
            some
        }
        (Step::Any, Value::Array(items)) if rest.is_empty() => {
            let some = !items.is_empty();
            items.clear();
            some
        }
        (Step::Any, Value::Object(members)) => members
            .values_mut()
            .fold(false, |some, inner| take(rest, inner) | some),
        (Step::Any, Value::Array(items)) => items
            .iter_mut()
            .fold(false, |some, inner| take(rest, inner) | some),
        (Step::Named(name), Value::Object(members)) if rest.is_empty() => {
            members.remove(&**name).is_some()
        }
        (Step::Named(name), Value::Object(members)) => members
            .get_mut(&**name)
            .is_some_and(|inner| take(rest, inner)),
        (Step::Named(name), Value::Array(items)) => {
            let Some(index) = index(name).filter(|index| *index < items.len()) else {
                return false;
            };
            if rest.is_empty() {
                items.remove(index);
                return true;
            }
            take(rest, &mut items[index])
        }
        _ => false,
    }
}

/// RFC 6901 §4: digits without leading zeros.
fn index(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0')))
        .then(|| text.parse().ok())
        .flatten()
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Any => f.write_str("/*")?,
                Step::Named(name) => {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    let name = if name == "*" { "~2" } else { &name };
                    write!(f, "/{name}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({self})")
    }
}
