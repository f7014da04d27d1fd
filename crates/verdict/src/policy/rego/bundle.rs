//! **Bundles**: policies as OPA packs them, a gzipped tar of Rego and data. Nothing of a bundle is used
//! before its signature is checked: one JWT whose claims name every file with its digest. What is
//! unpacked is bounded, links and paths that climb are refused, and a bundle may speak only for the
//! roots that its manifest claims.

mod archive;
mod signature;

use std::collections::BTreeMap;

use proof::jose::jwk::JwkSet;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::version::{self, Module, Source};

pub use archive::{MAX_FILES, MAX_PACKED, MAX_UNPACKED};

/// Whose signature a bundle must carry.
#[derive(Debug, Clone, Copy)]
pub struct Verification<'a> {
    /// The keys; the signature names one by `kid`.
    pub keys: &'a JwkSet,
    /// The scope that it must name.
    pub scope: Option<&'a str>,
}

/// A bundle, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// What its maker calls this revision.
    pub revision: Option<String>,
    /// The policy.
    pub source: Source,
}

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleDefect {
    /// Not gzip, or more than [`MAX_UNPACKED`].
    #[error("the bundle is no gzip, or unpacks to more than it may")]
    Gzip,
    /// Not a tar of plain files with clean paths.
    #[error("the bundle is no tar of plain files: {0}")]
    Tar(&'static str),
    /// A file of the bundle can't be read.
    #[error("`{0}` can't be read")]
    File(String),
    /// Two files have a place in the data.
    #[error("`{0}` is in the data twice")]
    Data(String),
    /// It is a change to a bundle, or of a version of Rego that is not known.
    #[error("the bundle is {0}, which is not taken")]
    Kind(&'static str),
    /// It speaks for more than its manifest's roots.
    #[error("`{0}` is outside of the bundle's roots")]
    Roots(String),
    /// It carries no signature.
    #[error("the bundle has no signature")]
    Unsigned,
    /// Its signature does not hold.
    #[error("the bundle's signature does not hold: {0}")]
    Signature(&'static str),
    /// A file is not as it was signed, or was not signed.
    #[error("`{0}` is not as it was signed")]
    Changed(String),
}

#[derive(Debug, Default, Deserialize)]
struct Manifest {
    revision: Option<String>,
    roots: Option<Vec<String>>,
    rego_version: Option<u32>,
}

/// Reads a bundle. Without `verification` it may be unsigned, and a signature is not looked at.
///
/// # Errors
/// [`BundleDefect`].
pub fn read(
    packed: &[u8],
    verification: Option<Verification<'_>>,
    entrypoint: Option<&str>,
) -> Result<Bundle, BundleDefect> {
    let files = archive::unpack(packed)?;
    if let Some(verification) = verification {
        signature::check(&files, verification)?;
    }
    let manifest = match files.get(".manifest") {
        None => Manifest::default(),
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|_| BundleDefect::File(".manifest".to_owned()))?
        }
    };
    if files.keys().any(|path| base(path) == "patch.json") {
        return Err(BundleDefect::Kind("a change to another one"));
    }
    if manifest.rego_version.is_some_and(|version| version != 1) {
        return Err(BundleDefect::Kind("of another version of Rego"));
    }
    let source = source(&files, entrypoint)?;
    within_roots(&source, manifest.roots.as_deref())?;
    Ok(Bundle {
        revision: manifest.revision.filter(|text| !text.is_empty()),
        source,
    })
}

type Files = BTreeMap<String, Vec<u8>>;

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn source(files: &Files, entrypoint: Option<&str>) -> Result<Source, BundleDefect> {
    let mut source = Source {
        modules: Vec::new(),
        data: Value::Null,
        entrypoint: entrypoint.map(str::to_owned),
    };
    let mut data = Map::new();
    for (path, bytes) in files {
        let unreadable = || BundleDefect::File(path.clone());
        if path.ends_with(".rego") {
            // Tests are no part of what decides.
            if !path.ends_with("_test.rego") {
                let text = String::from_utf8(bytes.clone()).map_err(|_| unreadable())?;
                source.modules.push(Module {
                    path: path.clone(),
                    text,
                });
            }
        } else if base(path) == "data.json" {
            let value: Map<String, Value> =
                serde_json::from_slice(bytes).map_err(|_| unreadable())?;
            let folders = path.split('/').rev().skip(1);
            let value = folders.fold(value, |inner, name| {
                Map::from_iter([(name.to_owned(), Value::Object(inner))])
            });
            join(&mut data, value).map_err(BundleDefect::Data)?;
        } else if matches!(base(path), "data.yaml" | "data.yml") {
            return Err(BundleDefect::Kind("one with data in YAML"));
        }
    }
    source.data = Value::Object(data);
    Ok(source)
}

fn join(data: &mut Map<String, Value>, more: Map<String, Value>) -> Result<(), String> {
    for (key, value) in more {
        match (data.get_mut(&key), value) {
            (None, value) => drop(data.insert(key, value)),
            (Some(Value::Object(there)), Value::Object(value)) => join(there, value)?,
            (Some(_), _) => return Err(key),
        }
    }
    Ok(())
}

/// A bundle owns its roots and nothing else. Without roots it owns everything.
fn within_roots(source: &Source, roots: Option<&[String]>) -> Result<(), BundleDefect> {
    let Some(roots) = roots else {
        return Ok(());
    };
    let roots: Vec<Vec<&str>> = roots
        .iter()
        .map(|root| root.split('/').filter(|step| !step.is_empty()).collect())
        .collect();
    let owned = |path: &[&str]| roots.iter().any(|root| path.starts_with(root));
    // What can't be read is told by the compiler, with its place.
    if let Ok(engine) = version::read(source) {
        for package in engine.get_packages().unwrap_or_default() {
            let path: Vec<_> = package.split('.').skip(1).collect();
            if !owned(&path) {
                return Err(BundleDefect::Roots(package));
            }
        }
    }
    let mut path = Vec::new();
    data_within(&source.data, &mut path, &owned)
}

fn data_within<'a>(
    data: &'a Value,
    path: &mut Vec<&'a str>,
    owned: &impl Fn(&[&str]) -> bool,
) -> Result<(), BundleDefect> {
    if owned(path) {
        return Ok(());
    }
    match data {
        Value::Object(members) => {
            for (name, value) in members {
                path.push(name);
                data_within(value, path, owned)?;
                path.pop();
            }
            Ok(())
        }
        _ => Err(BundleDefect::Roots(format!("data.{}", path.join(".")))),
    }
}

#[cfg(test)]
mod tests;
