//! **Policies in files**: modules and data of a policy, read from the machine and compiled. Whoever
//! checks settings, starts, reloads or tests a policy reads it here, so that all see the same.

use std::path::{Path, PathBuf};

use registry::policy::{PolicyFiles, PolicyMeaning, PolicySource};
use serde_json::{Map, Value};
use verdict::policy::rego::{Module, Source, Version};

/// Largest data file.
const MOST_DATA: u64 = 64 << 20;
/// Largest module.
const MOST_TEXT: u64 = 1 << 20;

/// Compiles a policy that stands in files; `None` if it does not.
///
/// # Errors
/// Everything that is wrong with its files, each with file, line and column where it has them.
pub(crate) fn compile(policy: &PolicyMeaning, base: &Path) -> Result<Option<Version>, Vec<String>> {
    let PolicySource::Files(files) = &policy.source else {
        return Ok(None);
    };
    let source = read(files, base)?;
    match Version::compile(&source) {
        Ok(version) => Ok(Some(version)),
        Err(flaws) => Err(flaws.iter().map(ToString::to_string).collect()),
    }
}

/// The files that a policy names.
pub(crate) fn named<'a>(
    policy: &'a PolicyMeaning,
    base: &'a Path,
) -> impl Iterator<Item = PathBuf> + 'a {
    let files = match &policy.source {
        PolicySource::Files(files) => Some(files),
        PolicySource::Inline | PolicySource::Bundle(_) => None,
    };
    let all = files
        .into_iter()
        .flat_map(|files| files.modules.iter().chain(&files.data));
    all.map(|file| base.join(file))
}

/// Reads a policy's files.
///
/// # Errors
/// Each file that can't be read.
pub(crate) fn read(files: &PolicyFiles, base: &Path) -> Result<Source, Vec<String>> {
    let mut flaws = Vec::new();
    let mut modules = Vec::new();
    for file in &files.modules {
        match text_of(&base.join(file), MOST_TEXT) {
            Ok(text) => modules.push(Module {
                path: file.display().to_string(),
                text,
            }),
            Err(flaw) => flaws.push(flaw),
        }
    }
    let mut data = match &files.written {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    for file in &files.data {
        let merged = data_of(&base.join(file)).and_then(|more| {
            join(&mut data, more).map_err(|key| {
                format!(
                    "{}: `{key}` is in the policy's data already",
                    file.display()
                )
            })
        });
        flaws.extend(merged.err());
    }
    if !flaws.is_empty() {
        return Err(flaws);
    }
    Ok(Source {
        modules,
        data: Value::Object(data),
        entrypoint: files.entrypoint.clone(),
    })
}

/// A text file, up to a size.
///
/// # Errors
/// Why it can't be read.
pub(crate) fn text_of(path: &Path, most: u64) -> Result<String, String> {
    let size = std::fs::metadata(path).map_or(0, |about| about.len());
    if size > most {
        return Err(format!("{} is larger than {most} bytes", path.display()));
    }
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} can't be read: {error}", path.display()))
}

/// An object in JSON or YAML.
///
/// # Errors
/// Why it is none.
pub(crate) fn data_of(path: &Path) -> Result<Map<String, Value>, String> {
    let text = text_of(path, MOST_DATA)?;
    let is_json = path.extension().is_some_and(|end| end == "json");
    let read = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())
    };
    read.map_err(|error| format!("{} is no object of data: {error}", path.display()))
}

/// Joins two documents of data; two different values at one place are a mistake.
///
/// # Errors
/// The key that both have.
pub(crate) fn join(data: &mut Map<String, Value>, more: Map<String, Value>) -> Result<(), String> {
    for (key, value) in more {
        match (data.get_mut(&key), value) {
            (None, value) => {
                data.insert(key, value);
            }
            (Some(Value::Object(there)), Value::Object(value)) => {
                join(there, value).map_err(|inner| format!("{key}.{inner}"))?;
            }
            (Some(_), _) => return Err(key),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn files(modules: &[&str], data: &[&str]) -> PolicyFiles {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
        PolicyFiles {
            modules: paths(modules),
            data: paths(data),
            written: json!({"a": {"b": 1}}),
            entrypoint: None,
        }
    }

    #[test]
    fn modules_and_data_are_read_from_the_settings_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("a.rego"), "package a\nallow := true\n").expect("written");
        std::fs::write(dir.path().join("d.json"), r#"{"a": {"c": 2}}"#).expect("written");
        std::fs::write(dir.path().join("e.yaml"), "f:\n  - 3\n").expect("written");
        let source = read(&files(&["a.rego"], &["d.json", "e.yaml"]), dir.path()).expect("reads");
        assert_eq!(source.modules[0].path, "a.rego");
        assert_eq!(source.data, json!({"a": {"b": 1, "c": 2}, "f": [3]}));
    }

    #[test]
    fn every_file_that_can_not_be_read_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("d.json"), r#"{"a": {"b": 2}}"#).expect("written");
        std::fs::write(dir.path().join("e.yaml"), "- 3\n").expect("written");
        let all = files(&["none.rego"], &["d.json", "e.yaml"]);
        let flaws = read(&all, dir.path()).expect_err("flaws");
        assert_eq!(flaws.len(), 3, "{flaws:?}");
        assert!(flaws[0].contains("none.rego can't be read"));
        assert!(flaws[1].contains("`a.b`"), "{flaws:?}");
        assert!(flaws[2].contains("no object"), "{flaws:?}");
    }
}
