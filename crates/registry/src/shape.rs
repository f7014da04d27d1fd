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
            let (message, hint) = in_words(&message);
            misfits.push(Misfit {
                path: written.clone(),
                of_key: unknown.is_some(),
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

/// Serde's sentence in words for whoever wrote the text, and what to write instead. What is not known
/// here stays as it is.
fn in_words(message: &str) -> (String, Option<String>) {
    let word_of = |rest: &str| Some(rest.split_once('`')?.0.to_owned());
    for unknown in ["unknown field `", "unknown variant `"] {
        if let Some(word) = message.strip_prefix(unknown).and_then(word_of) {
            let hint = nearest(message, &word);
            return (format!("`{word}` is not known here"), hint);
        }
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(word_of) {
        return (format!("`{key}` is missing"), None);
    }
    let misfit = ["invalid type: ", "invalid value: "];
    let misfit = misfit.iter().find_map(|begin| message.strip_prefix(begin));
    if let Some((found, expected)) = misfit.and_then(|rest| rest.rsplit_once(", expected ")) {
        let (found, wanted) = (found_in_words(found), wanted_in_words(expected));
        let hint = match wanted {
            TEXT if found.starts_with("the number") => Some(
                "a length of time or a size names its unit: `30s`, `64KiB`; other text made of digits stands in quotes".to_owned(),
            ),
            _ => None,
        };
        return (format!("{found} stands where {wanted} is wanted"), hint);
    }
    if message.starts_with("data did not match any variant") {
        let message = "this has none of the forms that can stand here";
        return (message.to_owned(), None);
    }
    (message.to_owned(), None)
}

/// How text is asked for.
const TEXT: &str = "a text";

/// What serde found. A text may be a secret out of the environment and is not said again.
fn found_in_words(found: &str) -> String {
    let value = || found.split('`').nth(1).unwrap_or_default();
    match found.split([' ', ':']).next().unwrap_or_default() {
        "integer" | "floating" => format!("the number {}", value()),
        "boolean" => format!("`{}`", value()),
        "string" | "character" => TEXT.to_owned(),
        "null" | "unit" | "Option" => "nothing".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a map".to_owned(),
        _ => found.to_owned(),
    }
}

/// What serde asks for, by the types of ours that it names.
fn wanted_in_words(expected: &str) -> &str {
    match expected.split([' ', ':']).next().unwrap_or_default() {
        "struct" | "map" => "a map of keys",
        "a" if expected.starts_with("a map") => "a map of keys",
        "a" if expected.starts_with("a sequence") => "a list",
        "a" if expected.starts_with("a string") => TEXT,
        "a" if expected.starts_with("a boolean") => "`true` or `false`",
        "enum" | "variant" | "internally" => "one of its words",
        "string" => TEXT,
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ => expected,
    }
}

/// The nearest of the words that serde's sentence names, or all of them.
fn nearest(message: &str, unknown: &str) -> Option<String> {
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
    fn what_does_not_fit_is_told_without_the_words_of_the_library() {
        for (message, words, hint) in [
            (
                "unknown variant `apikey`, expected one of `api_key`, `basic`",
                "`apikey` is not known here",
                "did you mean `api_key`?",
            ),
            (
                "unknown variant `prod`, expected `live` or `test`",
                "`prod` is not known here",
                "known here: live, test",
            ),
            ("missing field `upstream`", "`upstream` is missing", ""),
            (
                "invalid type: integer `100`, expected struct LimitsSpec",
                "the number 100 stands where a map of keys is wanted",
                "",
            ),
            (
                "invalid type: integer `30`, expected a string",
                "the number 30 stands where a text is wanted",
                "a length of time or a size names its unit: `30s`, `64KiB`; other text made of digits stands in quotes",
            ),
            (
                "invalid type: string \"hunter2, expected x\", expected a sequence",
                "a text stands where a list is wanted",
                "",
            ),
            (
                "invalid value: integer `-1`, expected usize",
                "the number -1 stands where a whole number from 0 is wanted",
                "",
            ),
            (
                "invalid type: null, expected a boolean",
                "nothing stands where `true` or `false` is wanted",
                "",
            ),
            (
                "a rate lets at least one call pass",
                "a rate lets at least one call pass",
                "",
            ),
        ] {
            let (told, next) = in_words(message);
            assert_eq!((&*told, &*next.unwrap_or_default()), (words, hint));
        }
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_known_one_as_hint() {
        let found = read::<Form>(json!({"nmae": "x", "ports": []})).expect_err("misfit");
        assert_eq!(found[0].hint.as_deref(), Some("did you mean `name`?"));
        assert!(found[0].of_key);
    }
}
