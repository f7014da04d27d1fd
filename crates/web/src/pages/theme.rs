//! **Templates, and the files that stand in for them.** A theme is written by an operator, not by a
//! visitor; still it is held to strict names, escaping and an end (fuel), so that its mistakes are
//! found when it is loaded.

use std::io;
use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

/// Instructions that one page may take; the largest built-in page takes about 2,000.
const FUEL: u64 = 200_000;
/// Largest file of a theme.
const MAX_FILE: u64 = 256 * 1024;
/// Most templates of a theme.
const MAX_FILES: usize = 64;

/// What is built in.
const BUILT_IN: [(&str, &str); 14] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("person.html", include_str!("templates/person.html")),
    ("reused.html", include_str!("templates/reused.html")),
    ("scopes.html", include_str!("templates/scopes.html")),
    ("terms.html", include_str!("templates/terms.html")),
    ("login.html", include_str!("templates/login.html")),
    ("consent.html", include_str!("templates/consent.html")),
    (
        "device-enter.html",
        include_str!("templates/device-enter.html"),
    ),
    (
        "device-confirm.html",
        include_str!("templates/device-confirm.html"),
    ),
    ("done.html", include_str!("templates/done.html")),
    (
        "logout-confirm.html",
        include_str!("templates/logout-confirm.html"),
    ),
    ("logged-out.html", include_str!("templates/logged-out.html")),
    ("error.html", include_str!("templates/error.html")),
    ("form-post.html", include_str!("templates/form-post.html")),
];

/// Why a theme can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// A file or folder can't be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is larger than 256 KiB, or there are more than 64 templates.
    #[error("{}: too large", .0.display())]
    TooLarge(PathBuf),
    /// A template is wrong: its name, its line and the mistake.
    #[error("{0}")]
    Template(minijinja::Error),
}

/// Templates, those of `folder` in front.
pub(super) fn environment(folder: Option<&Path>) -> Result<Environment<'static>, ThemeError> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_fuel(Some(FUEL));
    for (name, source) in BUILT_IN {
        templates
            .add_template(name, source)
            .map_err(ThemeError::Template)?;
    }
    if let Some(folder) = folder {
        for (name, source) in own_templates(&folder.join("templates"))? {
            templates
                .add_template_owned(name, source)
                .map_err(ThemeError::Template)?;
        }
    }
    Ok(templates)
}

fn own_templates(folder: &Path) -> Result<Vec<(String, String)>, ThemeError> {
    let unreadable = |error| ThemeError::Unreadable {
        path: folder.to_owned(),
        error,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A theme of colours alone has no templates.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.ends_with(".html") {
            continue;
        }
        if found.len() == MAX_FILES {
            return Err(ThemeError::TooLarge(folder.to_owned()));
        }
        if let Some(source) = read(&entry.path())? {
            found.push((name, source));
        }
    }
    Ok(found)
}

/// A file of a theme; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<String>, ThemeError> {
    let unreadable = |error| ThemeError::Unreadable {
        path: path.to_owned(),
        error,
    };
    match std::fs::metadata(path) {
        Ok(file) if file.len() > MAX_FILE => Err(ThemeError::TooLarge(path.to_owned())),
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}
