//! **Settings**: from the file as written to what it means, in two steps, with every mistake at its
//! line and column, before a port opens.
//!
//! [`load`] is the one way in. It touches the file system and the environment it is given and
//! nothing else, so `config check`, the start and each reload judge a file in the same way.

mod flaw;
mod meant;
mod places;
mod restart;
mod sources;
mod tree;
mod written;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proof::issued::Brand;
use proof::jose::alg::Algorithm;
use registry::api::stored::REFERENCES;
use registry::document::Document;
use registry::flaw::PathStep;
use registry::meaning::{Context, Meaning};
use verdict::credential::jwt::{ConfigId, IssuerId, IssuerProfile};

pub(crate) use flaw::{Flaw, Flaws};
pub(crate) use meant::{Database, Hashing, Listener, Log, Settings};
pub(crate) use places::Places;
pub(crate) use restart::waiting;
pub(crate) use tree::Environment;
pub(crate) use written::{
    ClientCertificateField, ClientCertificates, HashAlgorithm, LogFormat, ReplayMemory, Serves,
};

use sources::Source;
use tree::{Node, Step};
use written::Written;

/// What the process was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `doorward serve`.
    Serve,
    /// `doorward dev`: everything on loopback, where Basic may come over plain HTTP.
    Dev,
}

/// Everything that one reading of the settings gave.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The process's settings.
    pub(crate) settings: Settings,
    /// Resources that the files declare.
    pub(crate) documents: Vec<Document>,
    /// What they mean together.
    pub(crate) meaning: Meaning,
    /// Files and folders to watch: settings, includes, secrets, certificates.
    pub(crate) watched: Vec<PathBuf>,
    /// Where all of it is written.
    pub(crate) places: Places,
    /// The settings with secrets masked, for `config explain` and the admin API.
    pub(crate) explained: serde_json::Value,
}

/// Reads, resolves and checks a settings file with all it includes.
///
/// # Errors
/// Every mistake that was found, with its place.
pub(crate) fn load(path: &Path, env: Environment<'_>, mode: Mode) -> Result<Loaded, Flaws> {
    let source = sources::read(path, env)?;
    let base = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let Source {
        root,
        files,
        folders,
    } = source;

    let nodes: Vec<&Node> = root
        .get("resources")
        .map(|list| list.items().iter().collect())
        .unwrap_or_default();
    let (written, misfits) = registry::shape::read_what_fits::<Written>(root.to_json());
    let mut flaws: Vec<Flaw> = misfits
        .into_iter()
        .map(|misfit| {
            let flaw = Flaw::at(place_of(&root, &misfit.path, misfit.of_key), misfit.message);
            match misfit.hint {
                Some(hint) => flaw.hint(hint),
                None => flaw,
            }
        })
        .collect();
    let Some(written) = written else {
        flaws.extend(documents(&nodes).err().unwrap_or_default());
        return Err(Flaws::new(files, flaws));
    };

    if written.version != 1 {
        let place = root.nearest([Step::Key("version")]).place;
        flaws.push(
            Flaw::at(place, "this version of settings is not known").hint("write `version: 1`"),
        );
    }
    let mut watched = files.0.clone();
    watched.extend(folders);
    let settings = match meant::mean(&written, &root, base) {
        Ok((settings, secret_files)) => {
            watched.extend(secret_files);
            for listener in &settings.listeners {
                watched.extend(
                    listener
                        .certificates
                        .iter()
                        .flat_map(|(a, b)| [a.clone(), b.clone()]),
                );
            }
            Some(settings)
        }
        Err(found) => {
            flaws.extend(found);
            None
        }
    };

    let documents = match documents(&nodes) {
        Ok(documents) => documents,
        Err(found) => {
            flaws.extend(found);
            Vec::new()
        }
    };
    // Mistakes of documents are listed together with those of the settings themselves.
    let context = match &settings {
        Some(settings) => Some(context(settings, mode)),
        None => provisional_context(&written, mode),
    };
    let mut meaning = Meaning::default();
    if let Some(context) = context {
        match registry::meaning::mean_all(&documents, &context) {
            Ok(found) => {
                flaws.extend(policies(&found, &documents, &nodes, base));
                meaning = found;
            }
            Err(found) => flaws.extend(found.iter().map(|flaw| placed(&nodes, flaw))),
        }
    }
    let Some(settings) = settings else {
        return Err(Flaws::new(files, flaws));
    };
    if !flaws.is_empty() {
        return Err(Flaws::new(files, flaws));
    }
    let explained = explain(&written, &documents);
    let places = Places::new(files, &root);
    Ok(Loaded {
        settings,
        documents,
        meaning,
        watched,
        places,
        explained,
    })
}

/// What documents are read against: the facts of this process that their meaning depends on.
pub(crate) fn context(settings: &Settings, mode: Mode) -> Context {
    Context {
        brand: settings.brand.clone(),
        own_issuer: settings
            .issuer
            .as_ref()
            .map(|issuer| Arc::new(own_profile(&issuer.identifier))),
        loopback_dev: mode == Mode::Dev,
    }
}

/// The same from settings that have mistakes; `None` if what documents depend on is among them.
fn provisional_context(written: &Written, mode: Mode) -> Option<Context> {
    Some(Context {
        brand: Brand::new(&written.brand).ok()?,
        own_issuer: written
            .issuer
            .as_ref()
            .map(|issuer| Arc::new(own_profile(&issuer.url))),
        loopback_dev: mode == Mode::Dev,
    })
}

/// How tokens of our own issuer are judged: RFC 9068 §4.
fn own_profile(identifier: &str) -> IssuerProfile {
    let mut profile = IssuerProfile {
        config: ConfigId(0),
        issuer: IssuerId::new(identifier),
        own: true,
        algorithms: vec![
            Algorithm::ES256,
            Algorithm::EdDSA,
            Algorithm::PS256,
            Algorithm::RS256,
        ],
        types: vec!["at+jwt".into()],
        access_token_guards: Vec::new(),
        required_claims: ["sub", "client_id", "iat", "jti"].map(Arc::from).to_vec(),
        max_lifetime: Some(Duration::from_secs(60 * 60)),
        leeway: Duration::from_secs(60),
        scope_claims: vec!["scope".into()],
        role_claims: vec!["roles".into()],
        tenant_claim: None,
        // For policies: how strongly and when the person was authenticated, and who acts for them.
        forward_claims: ["acr", "amr", "auth_time", "act"].map(Arc::from).to_vec(),
        introspection: None,
    };
    profile.config = registry::meaning::config_id(&profile, "own");
    profile
}

/// Reads resource documents from files and folders, for `apply` and `diff`.
///
/// # Errors
/// Every mistake that was found, with its place.
pub(crate) fn read_documents(
    paths: &[PathBuf],
    env: Environment<'_>,
) -> Result<Vec<Document>, Flaws> {
    let (nodes, files) = sources::read_documents(paths, env)?;
    let nodes: Vec<&Node> = nodes.iter().collect();
    documents(&nodes).map_err(|list| Flaws::new(files, list))
}

/// The JSON Schema of settings and documents together, for editors.
pub(crate) fn schema() -> serde_json::Value {
    let mut settings = serde_json::to_value(schemars::schema_for!(Written)).unwrap_or_default();
    settings["title"] = "Doorward's settings".into();
    settings
}

fn documents(nodes: &[&Node]) -> Result<Vec<Document>, Vec<Flaw>> {
    registry::document::read_all(nodes.iter().map(|node| document_of(node)))
        .map_err(|flaws| flaws.iter().map(|flaw| placed(nodes, flaw)).collect())
}

/// What is wrong in the files of policies, shown where they are named.
fn policies(
    meaning: &registry::meaning::Meaning,
    documents: &[Document],
    nodes: &[&Node],
    base: &Path,
) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for policy in &meaning.policies {
        let Err(found) = crate::policies::compile(policy, base) else {
            continue;
        };
        let at = documents.iter().position(|document| {
            document.kind().name() == "Policy" && document.name.as_str() == policy.name
        });
        let steps = ["spec", "files"].map(|key| PathStep::Key(key.to_owned()));
        let place = at
            .and_then(|index| nodes.get(index))
            .map(|node| place_of(node, &steps, true));
        flaws.extend(found.into_iter().map(|message| {
            let message = format!("Policy `{}`: {message}", policy.name);
            match place {
                Some(place) => Flaw::at(place, message),
                None => Flaw::whole(message),
            }
        }));
    }
    flaws
}

/// A document as it is kept: where a secret is asked for, `${NAME}` stays the name of a variable, so
/// that what it holds is neither stored nor shown.
fn document_of(node: &Node) -> serde_json::Value {
    let mut value = node.to_json();
    for path in REFERENCES {
        let mut at = Some(node);
        for key in path {
            at = at.and_then(|node| node.get(key));
        }
        if let Some(name) = at.and_then(Node::variable)
            && let Some(written) = value.pointer_mut(&format!("/{}", path.join("/")))
        {
            *written = format!("env:{name}").into();
        }
    }
    value
}

/// A flaw of a document, shown where the document is written.
fn placed(nodes: &[&Node], flaw: &registry::flaw::Flaw) -> Flaw {
    let what = format!(
        "{} `{}`: {}",
        flaw.document.kind, flaw.document.name, flaw.message
    );
    let placed = match nodes.get(flaw.document.index) {
        Some(node) => Flaw::at(place_of(node, &flaw.path, true), what),
        None => Flaw::whole(what),
    };
    match &flaw.hint {
        Some(hint) => placed.hint(hint.clone()),
        None => placed,
    }
}

/// The place of a path; with `of_key` the place of the last key rather than of its value.
fn place_of(root: &Node, path: &[PathStep], of_key: bool) -> flaw::Place {
    let step = |step: &PathStep| match step {
        PathStep::Key(key) => key.clone(),
        PathStep::Index(index) => index.to_string(),
    };
    let steps = |path: &[PathStep]| -> Vec<(String, Option<usize>)> {
        path.iter()
            .map(|at| match at {
                PathStep::Index(index) => (step(at), Some(*index)),
                PathStep::Key(_) => (step(at), None),
            })
            .collect()
    };
    let walk = |steps: &[(String, Option<usize>)]| {
        root.nearest(steps.iter().map(|(key, index)| match index {
            Some(index) => Step::Index(*index),
            None => Step::Key(key),
        }))
        .clone()
    };
    if of_key && let Some((PathStep::Key(last), parents)) = path.split_last() {
        let parent = walk(&steps(parents));
        if let Some((key, _)) = parent.entries().iter().find(|(key, _)| &key.text == last) {
            return key.place;
        }
        return parent.place;
    }
    walk(&steps(path)).place
}

/// The settings with everything that could be a secret masked.
fn explain(written: &Written, documents: &[Document]) -> serde_json::Value {
    let mut value = serde_json::to_value(written).unwrap_or_default();
    for pointer in ["/master_key", "/hashing/pepper"] {
        mask(value.pointer_mut(pointer));
    }
    if let Some(keys) = value
        .pointer_mut("/former_master_keys")
        .and_then(|keys| keys.as_array_mut())
    {
        keys.iter_mut().for_each(|key| mask(Some(key)));
    }
    if written.database.url != "sqlite" {
        mask(value.pointer_mut("/database/url"));
    }
    value["resources"] = documents.iter().map(Document::to_value).collect();
    value
}

/// Masks a secret; a `file:` reference is a path and stays readable.
fn mask(value: Option<&mut serde_json::Value>) {
    if let Some(value) = value
        && value
            .as_str()
            .is_some_and(|text| !text.starts_with("file:"))
    {
        *value = "***".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An API with an upstream's credential, written as `credential`.
    fn read(credential: &str) -> Result<Vec<Document>, Flaws> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("api.yaml");
        let text = format!(
            "apiVersion: doorward/v1\nkind: Api\nmetadata: {{ name: orders }}\nspec:\n  \
             credentials: [api_key]\n  routes: [{{ path: /x }}]\n  upstream:\n    \
             urls: ['https://up.example']\n    credential:\n      {credential}\n"
        );
        std::fs::write(&file, text).expect("written");
        read_documents(&[file], &|name| {
            (name == "UP_KEY").then(|| "hunter2-hunter2".to_owned())
        })
    }

    #[test]
    fn i01_a_variable_in_a_credential_stays_a_name_and_its_value_is_kept_nowhere() {
        for (written, kept) in [
            ("api_key: { secret: '${UP_KEY}' }", "env:UP_KEY"),
            (
                "basic: { username: door, password: ${UP_KEY} }",
                "env:UP_KEY",
            ),
            ("api_key: { secret: file:up.key }", "file:up.key"),
        ] {
            let written = written.replace("${UP_KEY} }", "\"${UP_KEY}\" }");
            let documents = read(&written).expect("it reads");
            let text = documents[0].to_value().to_string();
            assert!(text.contains(kept), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn mistakes_of_shape_of_meaning_and_of_documents_are_told_in_one_round() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("doorward.yaml");
        let text = "version: 1\n\
                    data_dir: .\n\
                    master_key: file:missing.key\n\
                    shutdwn: { drain: 1s }\n\
                    audit: { checkpoint_every: soon }\n\
                    listeners: [{ name: ops, address: '127.0.0.1:0', serves: [ops] }]\n\
                    resources: [{ apiVersion: doorward/v1, kind: Apy, metadata: { name: a }, spec: {} }]\n";
        std::fs::write(&file, text).expect("written");
        let flaws = load(&file, &|_| None, Mode::Serve).expect_err("it is full of mistakes");
        let lines: Vec<usize> = flaws
            .list
            .iter()
            .filter_map(|flaw| flaw.place.map(|place| place.line))
            .collect();
        assert_eq!(lines, [3, 4, 5, 7], "{flaws}");
    }
}
