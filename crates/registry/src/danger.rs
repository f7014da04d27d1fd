//! **What weakens a defence on purpose** carries the word `dangerous` in its name. Here it is found in
//! documents by that name, so that a new one can't be forgotten where they are said.

use serde_json::Value;

use crate::document::Document;
use crate::flaw::{PathStep, written_path};

/// What the names of such keys begin with.
const WORD: &str = "dangerous_";
/// Members that hold what people think up, and not keys of ours.
const NOT_OURS: [&str; 1] = ["data"];

/// Every such key that is set in the documents: kind, name and place of each, in their order.
pub fn dangers(documents: &[Document]) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents {
        let value = document.to_value();
        let mut path = vec![PathStep::Key("spec".to_owned())];
        walk(&value["spec"], &mut path, &mut |path| {
            found.push(format!(
                "{}/{}: `{}` is set",
                document.kind().name(),
                document.name.as_str(),
                written_path(path)
            ));
        });
    }
    found
}

fn walk(value: &Value, path: &mut Vec<PathStep>, tell: &mut dyn FnMut(&[PathStep])) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                path.push(PathStep::Key(key.clone()));
                if key.starts_with(WORD) {
                    if !matches!(member, Value::Null | Value::Bool(false)) {
                        tell(path);
                    }
                } else if !NOT_OURS.contains(&key.as_str()) {
                    walk(member, path, tell);
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(PathStep::Index(index));
                walk(item, path, tell);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_set_is_found_wherever_it_stands_and_nothing_else() {
        let document = |kind: &str, spec: Value| {
            let value = json!({
                "apiVersion": "doorward/v1", "kind": kind, "metadata": { "name": "one" }, "spec": spec
            });
            Document::from_value(value, 0).expect("a document")
        };
        let api = document(
            "Api",
            json!({
                "upstream": { "urls": ["http://127.0.0.1:1"] },
                "routes": [
                    { "path": "/a", "public": true, "dangerous_upstream_credential": false },
                    { "path": "/b", "public": true, "dangerous_upstream_credential": true },
                ],
            }),
        );
        let policy = document(
            "Policy",
            json!({ "rego": "package a", "data": { "dangerous_goods": true } }),
        );
        let bundle = document(
            "Policy",
            json!({ "bundle": { "url": "https://b.example/a", "dangerous_unsigned": true } }),
        );
        let found = dangers(&[api, policy, bundle]);
        assert_eq!(
            found,
            [
                "Api/one: `spec.routes[1].dangerous_upstream_credential` is set",
                "Policy/one: `spec.bundle.dangerous_unsigned` is set",
            ]
        );
    }
}
