//! **What changed**: two documents compared field by field, with what must not be shown masked.

use serde::Serialize;
use serde_json::Value;

use crate::flaw::{PathStep, written_path};

/// What stands in the place of a value that is not shown.
pub const MASK: &str = "***";

/// Keys whose values are never shown: a hash is no secret, but a weak one can be tried at leisure.
const MASKED_KEYS: [&str; 1] = ["verifier"];

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where, from the document's `spec` on.
    pub path: Vec<PathStep>,
    /// What stood there; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl FieldChange {
    /// The place as people write it: `routes[2].path`.
    pub fn place(&self) -> String {
        written_path(&self.path)
    }
}

/// Every field that differs, in the order of the paths. Equal values give nothing.
pub fn diff(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk(&mut Vec::new(), Some(before), Some(after), &mut changes);
    changes
}

fn walk(
    path: &mut Vec<PathStep>,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                path.push(PathStep::Key(key.clone()));
                walk(path, a.get(key), b.get(key), changes);
                path.pop();
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                path.push(PathStep::Index(index));
                walk(path, a.get(index), b.get(index), changes);
                path.pop();
            }
        }
        (a, b) => {
            let hidden = path.iter().any(
                |step| matches!(step, PathStep::Key(key) if MASKED_KEYS.contains(&key.as_str())),
            );
            let shown = |value: &Value| {
                if hidden {
                    Value::from(MASK)
                } else {
                    masked(value)
                }
            };
            changes.push(FieldChange {
                path: path.clone(),
                before: a.map(shown),
                after: b.map(shown),
            });
        }
    }
}

/// The value with everything masked that is not shown.
pub fn masked(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| {
                    let hidden = MASKED_KEYS.contains(&key.as_str());
                    (
                        key.clone(),
                        if hidden {
                            Value::from(MASK)
                        } else {
                            masked(value)
                        },
                    )
                })
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.iter().map(masked).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        diff(before, after)
            .iter()
            .map(|change| {
                let text =
                    |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
                format!(
                    "{}: {} -> {}",
                    change.place(),
                    text(&change.before),
                    text(&change.after)
                )
            })
            .collect()
    }

    #[test]
    fn equal_documents_differ_in_nothing() {
        let value = json!({ "a": [1, { "b": null }] });
        assert_eq!(diff(&value, &value), []);
    }

    #[test]
    fn every_difference_is_named_at_its_deepest_place() {
        assert_eq!(
            lines(
                &json!({ "a": 1, "b": { "c": [1, 2], "d": "x" }, "e": {} }),
                &json!({ "a": 2, "b": { "c": [1, 3, 4], "d": "x" }, "f": true }),
            ),
            [
                "a: 1 -> 2",
                "b.c[1]: 2 -> 3",
                "b.c[2]: - -> 4",
                "e: {} -> -",
                "f: - -> true"
            ]
        );
    }

    #[test]
    fn i01_verifiers_are_masked_wherever_they_stand() {
        let with = |hash: &str| json!({ "imported": { "verifier": hash, "prefix": "old_" } });
        assert_eq!(
            lines(&with("a"), &with("b")),
            [r#"imported.verifier: "***" -> "***""#]
        );
        assert_eq!(
            lines(&json!({}), &with("a")),
            [r#"imported: - -> {"prefix":"old_","verifier":"***"}"#]
        );
    }
}
