//! Which files are policies, data and tests: as OPA has it, `*.rego`, and `data.json` or `data.yaml`,
//! whose content belongs under the names of the folders it lies in; and cases in `*.test.yaml`.

use std::path::{Path, PathBuf};

use registry::document::Spec;
use registry::policy::PolicyFiles;
use serde_json::{Map, Value};
use verdict::policy::rego::{Module, Source};

use crate::cli::failure::{Failure, Outcome};
use crate::{policies, settings};

/// Most files that are looked at.
const MOST_FILES: usize = 10_000;
/// Deepest folder.
const MOST_DEPTH: usize = 16;
/// Largest module or file of cases.
const MOST_TEXT: u64 = 1 << 20;

/// What lies in files and folders.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Every module of Rego.
    pub(super) modules: Vec<Module>,
    /// The data documents, joined.
    pub(super) data: Map<String, Value>,
    /// Files of cases.
    pub(super) cases: Vec<PathBuf>,
}

impl Found {
    /// The modules without those that hold tests alone.
    pub(super) fn policies(&self) -> Vec<Module> {
        let is_test = |module: &&Module| !module.path.ends_with("_test.rego");
        self.modules.iter().filter(is_test).cloned().collect()
    }
}

/// Looks through files and folders.
pub(super) fn collect(paths: &[PathBuf]) -> Outcome<Found> {
    let mut found = Found::default();
    let mut files = Vec::new();
    for path in paths {
        walk(path, path, 0, &mut files)?;
    }
    files.sort();
    files.dedup();
    for (root, file) in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let told = |flaw: String| Failure::new(format!("{flaw}."));
        if name.ends_with(".rego") {
            let text = policies::text_of(&file, MOST_TEXT).map_err(told)?;
            let path = file.display().to_string();
            if !found.modules.iter().any(|module| module.path == path) {
                found.modules.push(Module { path, text });
            }
        } else if name.ends_with(".test.yaml") || name.ends_with(".test.yml") {
            found.cases.push(file);
        } else if matches!(name, "data.json" | "data.yaml" | "data.yml") {
            let data = policies::data_of(&file).map_err(told)?;
            let data = under(&root, &file, data);
            policies::join(&mut found.data, data)
                .map_err(|key| told(format!("{}: `{key}` is in the data twice", file.display())))?;
        }
    }
    if found.modules.is_empty() && found.cases.is_empty() {
        return Err(
            Failure::usage("There is no policy and no test in these places.")
                .next("policies end in .rego, cases in .test.yaml"),
        );
    }
    Ok(found)
}

fn walk(root: &Path, at: &Path, depth: usize, files: &mut Vec<(PathBuf, PathBuf)>) -> Outcome<()> {
    let told =
        |error: std::io::Error| Failure::new(format!("{} can not be read: {error}.", at.display()));
    if files.len() >= MOST_FILES || depth > MOST_DEPTH {
        return Err(Failure::usage("There are too many files in these places."));
    }
    if !std::fs::metadata(at).map_err(told)?.is_dir() {
        files.push((root.to_owned(), at.to_owned()));
        return Ok(());
    }
    for entry in std::fs::read_dir(at).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A link to a folder could lead round in circles.
        let circle = path.is_symlink() && path.is_dir();
        if !hidden && !circle {
            walk(root, &path, depth + 1, files)?;
        }
    }
    Ok(())
}

/// Data under the names of the folders between the place that was named and the file.
fn under(root: &Path, file: &Path, data: Map<String, Value>) -> Map<String, Value> {
    let between = file
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok());
    let names: Vec<_> = between
        .into_iter()
        .flat_map(Path::components)
        .map(|step| step.as_os_str().to_string_lossy().into_owned())
        .collect();
    names.into_iter().rev().fold(data, |inner, name| {
        Map::from_iter([(name, Value::Object(inner))])
    })
}

/// A policy out of a file of documents.
pub(super) fn document(path: &Path, name: Option<&str>) -> Outcome<Source> {
    let env = |name: &str| std::env::var(name).ok();
    let documents = settings::read_documents(&[path.to_owned()], &env)
        .map_err(|flaws| Failure::new(format!("{flaws}")))?;
    let mut specs = documents
        .iter()
        .filter_map(|document| match &document.spec {
            Spec::Policy(spec) if name.is_none_or(|name| name == document.name.as_str()) => {
                Some(spec)
            }
            _ => None,
        });
    let spec = specs
        .next()
        .ok_or_else(|| Failure::usage(format!("{} has no such policy.", path.display())))?;
    if specs.next().is_some() {
        return Err(
            Failure::usage(format!("{} has several policies.", path.display()))
                .next("name one of them"),
        );
    }
    let data = Value::Object(spec.data.clone().unwrap_or_default());
    match (&spec.rego, &spec.files) {
        (Some(rego), _) => {
            let mut source = Source::inline(&path.display().to_string(), rego);
            source.data = data;
            source.entrypoint = spec.entrypoint.clone();
            Ok(source)
        }
        (None, Some(modules)) => {
            let paths = |list: &[String]| list.iter().map(PathBuf::from).collect();
            let files = PolicyFiles {
                modules: paths(modules),
                data: paths(spec.data_files.as_deref().unwrap_or_default()),
                written: data,
                entrypoint: spec.entrypoint.clone(),
            };
            let base = path.parent().unwrap_or(Path::new("."));
            policies::read(&files, base)
                .map_err(|flaws| Failure::new("The policy can not be read.").lines(flaws))
        }
        (None, None) => Err(Failure::usage("The policy is a bundle, which is not here.")
            .next("unpack the bundle, and name its folder")),
    }
}
