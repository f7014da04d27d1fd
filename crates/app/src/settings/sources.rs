//! **Reading**: the settings file and what it includes, joined into one tree whose nodes remember
//! their files.
//!
//! An included file either has the shape of settings (its keys are added; a key set twice is a
//! mistake, lists of `resources`, `listeners` and `trusted_proxies` are joined) or holds resource
//! documents (`apiVersion` …). A folder stands for its `*.yaml` and `*.yml` files in order of name.

use std::path::{Path, PathBuf};

use super::flaw::{Files, Flaw, Flaws, Place};
use super::tree::{self, Environment, Key, Node, Value};

/// Largest file that is read.
const MAX_BYTES: u64 = 4 << 20;
/// Most files of one reading.
const MAX_FILES: usize = 1_000;
/// Keys whose lists are joined over files.
const JOINED: [&str; 3] = ["resources", "listeners", "trusted_proxies"];

/// What was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The joined tree.
    pub(crate) root: Node,
    /// The files, to name places and to watch.
    pub(crate) files: Files,
    /// Folders that were included, to watch.
    pub(crate) folders: Vec<PathBuf>,
}

/// Reads `path` and everything it includes.
///
/// # Errors
/// All mistakes of all files that could be read as YAML.
pub(crate) fn read(path: &Path, env: Environment<'_>) -> Result<Source, Flaws> {
    let mut reading = Reading {
        env,
        files: Files::default(),
        folders: Vec::new(),
        flaws: Vec::new(),
    };
    let documents = reading.file(path, None);
    let mut root = match documents {
        Some(mut documents) if documents.len() == 1 => documents.remove(0),
        Some(_) => {
            let flaw = Flaw::at(
                Place::new(0, 1, 1),
                "the settings file must hold one YAML document",
            );
            reading.flaws.push(
                flaw.hint("put resource documents into files of their own and `include` them"),
            );
            Node {
                place: Place::new(0, 1, 1),
                value: Value::Null,
            }
        }
        None => Node {
            place: Place::new(0, 1, 1),
            value: Value::Null,
        },
    };
    reading.includes(path, &mut root);
    if reading.flaws.is_empty() {
        Ok(Source {
            root,
            files: reading.files,
            folders: reading.folders,
        })
    } else {
        Err(Flaws::new(reading.files, reading.flaws))
    }
}

/// Reads resource documents from files and folders (`apply -f`).
///
/// # Errors
/// All mistakes of all files.
pub(crate) fn read_documents(
    paths: &[PathBuf],
    env: Environment<'_>,
) -> Result<(Vec<Node>, Files), Flaws> {
    let mut reading = Reading {
        env,
        files: Files::default(),
        folders: Vec::new(),
        flaws: Vec::new(),
    };
    let mut documents = Vec::new();
    for path in paths {
        for file in reading.expand(path, None) {
            documents.extend(reading.file(&file, None).unwrap_or_default());
        }
    }
    documents.retain(|node| !matches!(node.value, Value::Null));
    if reading.flaws.is_empty() {
        Ok((documents, reading.files))
    } else {
        Err(Flaws::new(reading.files, reading.flaws))
    }
}

struct Reading<'a> {
    env: Environment<'a>,
    files: Files,
    folders: Vec<PathBuf>,
    flaws: Vec<Flaw>,
}

impl Reading<'_> {
    /// Reads one file; `asked` is where it was named.
    fn file(&mut self, path: &Path, asked: Option<Place>) -> Option<Vec<Node>> {
        let index = u16::try_from(self.files.0.len()).unwrap_or(u16::MAX);
        let complain = |message: String, hint: &str| {
            let flaw = asked.map_or_else(
                || Flaw::whole(message.clone()),
                |place| Flaw::at(place, message.clone()),
            );
            flaw.hint(hint)
        };
        if self.files.0.len() >= MAX_FILES {
            self.flaws.push(complain(
                format!("more than {MAX_FILES} files are included"),
                "include fewer files",
            ));
            return None;
        }
        let text = match std::fs::metadata(path) {
            Ok(meta) if meta.len() > MAX_BYTES => {
                self.flaws.push(complain(
                    format!("{} is larger than 4 MiB", path.display()),
                    "split it",
                ));
                return None;
            }
            Ok(_) => std::fs::read_to_string(path),
            Err(error) => Err(error),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let message = format!("{} can't be read: {error}", path.display());
                self.flaws
                    .push(complain(message, "check the path and its permissions"));
                return None;
            }
        };
        self.files.0.push(path.to_owned());
        match tree::read(index, &text, self.env) {
            Ok(documents) => Some(documents),
            Err(flaws) => {
                self.flaws.extend(flaws);
                None
            }
        }
    }

    /// The files a path stands for.
    fn expand(&mut self, path: &Path, asked: Option<Place>) -> Vec<PathBuf> {
        if !path.is_dir() {
            return vec![path.to_owned()];
        }
        self.folders.push(path.to_owned());
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut files: Vec<PathBuf> = entries
                    .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                    .filter(|path| {
                        path.extension()
                            .is_some_and(|ext| ext == "yaml" || ext == "yml")
                    })
                    .collect();
                files.sort();
                files
            }
            Err(error) => {
                let message = format!("{} can't be read: {error}", path.display());
                self.flaws.push(asked.map_or_else(
                    || Flaw::whole(message.clone()),
                    |place| Flaw::at(place, message.clone()),
                ));
                Vec::new()
            }
        }
    }

    /// Adds what `root` includes; included files include nothing themselves.
    fn includes(&mut self, path: &Path, root: &mut Node) {
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        let wanted: Vec<(Place, String)> = root
            .get("include")
            .map(|list| {
                list.items()
                    .iter()
                    .filter_map(|item| Some((item.place, item.text()?.to_owned())))
                    .collect()
            })
            .unwrap_or_default();
        for (place, name) in wanted {
            for file in self.expand(&base.join(&name), Some(place)) {
                for document in self.file(&file, Some(place)).unwrap_or_default() {
                    self.join(root, document);
                }
            }
        }
    }

    fn join(&mut self, root: &mut Node, document: Node) {
        if matches!(document.value, Value::Null) {
            return;
        }
        let Value::Map(entries) = document.value else {
            self.flaws.push(
                Flaw::at(document.place, "an included document must be a map")
                    .hint("write settings or a resource document"),
            );
            return;
        };
        let Value::Map(all) = &mut root.value else {
            return;
        };
        if entries.iter().any(|(key, _)| key.text == "apiVersion") {
            let resource = Node {
                place: document.place,
                value: Value::Map(entries),
            };
            list_of(all, "resources", document.place).push(resource);
            return;
        }
        for (key, node) in entries {
            if key.text == "include" {
                self.flaws.push(
                    Flaw::at(key.place, "an included file can't include further files")
                        .hint("name them in the main file"),
                );
            } else if JOINED.contains(&key.text.as_str()) && matches!(node.value, Value::List(_)) {
                if let Value::List(items) = node.value {
                    list_of(all, &key.text, key.place).extend(items);
                }
            } else if all.iter().any(|(known, _)| known.text == key.text) {
                self.flaws.push(
                    Flaw::at(
                        key.place,
                        format!("`{}` is set in more than one file", key.text),
                    )
                    .hint("keep one of them"),
                );
            } else {
                all.push((key, node));
            }
        }
    }
}

/// The list under a key of the root, made if it is not there.
fn list_of<'a>(all: &'a mut Vec<(Key, Node)>, name: &str, place: Place) -> &'a mut Vec<Node> {
    let at = all
        .iter()
        .position(|(key, _)| key.text == name)
        .unwrap_or_else(|| {
            all.push((
                Key {
                    place,
                    text: name.to_owned(),
                },
                Node {
                    place,
                    value: Value::List(Vec::new()),
                },
            ));
            all.len() - 1
        });
    let node = &mut all[at].1;
    if !matches!(node.value, Value::List(_)) {
        node.value = Value::List(Vec::new());
    }
    match &mut node.value {
        Value::List(items) => items,
        _ => unreachable!("made a list just above"),
    }
}
