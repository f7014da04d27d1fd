//! **Shape**: reads a written form from JSON and finds every place where it does not fit, not only
//! the first one.
//!
//! Serde stops at the first mistake. So a value that does not fit is noted, taken out, and the rest
//! is read again, a bounded number of times. What is missing only because it was taken out is not
//! reported.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::flaw::PathStep;

/// Most misfits that are reported of one value.
const MOST: usize = 50;

/// A place that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where, from the root. If the place itself is missing, its parent.
    pub path: Vec<PathStep>,
    /// Whether the last key of the path is what is wrong, rather than its value.
    pub of_key: bool,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Reads a written form.
///
/// # Errors
/// Every misfit that can be told apart, at most 50.
pub fn read<T: DeserializeOwned>(value: Value) -> Result<T, Vec<Misfit>> {
    match read_what_fits(value) {
        (Some(read), misfits) if misfits.is_empty() => Ok(read),
        (_, misfits) => Err(misfits),
    }
}

/// Reads a written form past keys that are not known, so that the meaning of the rest can be judged
/// in the same round. Nothing is read past a value that does not fit: what it should have said is
/// not known, so what follows from it is not either.
pub fn read_what_fits<T: DeserializeOwned>(mut value: Value) -> (Option<T>, Vec<Misfit>) {
    let mut misfits: Vec<Misfit> = Vec::new();
    let mut taken_out: Vec<Vec<PathStep>> = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => {
                let whole = misfits.iter().all(|misfit| misfit.of_key);
                return (whole.then_some(read), misfits);
            }
            Err(error) => error,
        };
        let mut path: Vec<PathStep> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Map { key } => Some(PathStep::Key(key.clone())),
                serde_path_to_error::Segment::Seq { index } => Some(PathStep::Index(*index)),
                _ => None,
            })
            .collect();
        let message = error.inner().to_string();
        let unknown = unknown_key(&message);
        if let Some(key) = unknown
            && path.last() != Some(&PathStep::Key(key.to_owned()))
        {
            path.push(PathStep::Key(key.to_owned()));
        }
        let written = as_written(&path, &taken_out);
        // A place that lacks something we took out says nothing new.
        let missing = message.starts_with("missing field");
        let echo = missing
            && taken_out
                .iter()
                .any(|gone| gone.len() > written.len() && gone.starts_with(&written));
        if !echo {
            let hint = hint(&message, unknown);
            let of_key = unknown.is_some();
            let message = match unknown {
                Some(key) => format!("`{key}` is not known here"),
                None => message,
            };
            misfits.push(Misfit {
                path: written.clone(),
                of_key,
                message,
                hint,
            });
        }
        if misfits.len() >= MOST || path.is_empty() || !take_out(&mut value, &path) {
            return (None, misfits);
        }
        taken_out.push(written);
    }
}

/// The path in the text as it was written: items that were taken out of a list before count again.
fn as_written(path: &[PathStep], taken_out: &[Vec<PathStep>]) -> Vec<PathStep> {
    let mut written: Vec<PathStep> = Vec::with_capacity(path.len());
    for step in path {
        let PathStep::Index(index) = step else {
            written.push(step.clone());
            continue;
        };
        let mut gone: Vec<usize> = taken_out
            .iter()
            .filter(|out| out.len() == written.len() + 1 && out.starts_with(&written))
            .filter_map(|out| match out.last() {
                Some(PathStep::Index(index)) => Some(*index),
                _ => None,
            })
            .collect();
        gone.sort_unstable();
        let index = gone
            .iter()
            .fold(*index, |at, gone| if *gone <= at { at + 1 } else { at });
        written.push(PathStep::Index(index));
    }
    written
}

/// The key in serde's sentence "unknown field `x`, expected …".
fn unknown_key(message: &str) -> Option<&str> {
    message
        .strip_prefix("unknown field `")?
        .split_once('`')
        .map(|(key, _)| key)
}

/// The nearest of the keys that serde's sentence names, or all of them.
fn hint(message: &str, unknown: Option<&str>) -> Option<String> {
    let unknown = unknown?;
    let (_, rest) = message.split_once("expected ")?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let (steps, near) = known
        .iter()
        .map(|key| (distance(key, unknown), *key))
        .min()?;
    if steps <= 2.max(unknown.len() / 3) {
        Some(format!("did you mean `{near}`?"))
    } else {
        Some(format!("known here: {}", known.join(", ")))
    }
}

/// Levenshtein distance of two short names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// Removes what stands at `path`.
fn take_out(value: &mut Value, path: &[PathStep]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let parent = parents.iter().try_fold(value, |at, step| match step {
        PathStep::Key(key) => at.get_mut(key),
        PathStep::Index(index) => at.get_mut(index),
    });
    match (parent, last) {
        (Some(Value::Object(map)), PathStep::Key(key)) => map.remove(key).is_some(),
        (Some(Value::Array(list)), PathStep::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read, not used")]
    struct Form {
        name: String,
        ports: Vec<Port>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read, not used")]
    struct Port {
        number: u16,
    }

    fn misfits(value: Value) -> Vec<(String, String)> {
        read::<Form>(value)
            .expect_err("misfits")
            .into_iter()
            .map(|misfit| {
                let path: Vec<String> = misfit
                    .path
                    .iter()
                    .map(|step| match step {
                        PathStep::Key(key) => key.clone(),
                        PathStep::Index(index) => index.to_string(),
                    })
                    .collect();
                (path.join("."), misfit.message)
            })
            .collect()
    }

    #[test]
    fn every_item_of_a_list_that_does_not_fit_is_named_by_its_written_index() {
        let found = misfits(json!({"name": "x", "ports": [
            {"number": 1}, {}, {"number": "two"}, {"number": 3}, {}, {"numbre": 5}
        ]}));
        let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(
            places,
            ["ports.1", "ports.2.number", "ports.4", "ports.5.numbre"]
        );
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_known_one_as_hint() {
        let found = read::<Form>(json!({"nmae": "x", "ports": []})).expect_err("misfit");
        assert_eq!(found[0].hint.as_deref(), Some("did you mean `name`?"));
        assert!(found[0].of_key);
    }
}
