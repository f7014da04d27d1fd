//! **Keys of the process itself**: from a file that nobody else can read, or from the environment; never
//! from the settings.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proof::secret::Secret;

use super::Meaning;
use crate::settings::flaw::Flaw;
use crate::settings::tree::{Step, Value};

/// Permission bits that a file with a secret must not have. Its group may read it: so orchestrators
/// hand secrets to a process that does not own the file.
const EXPOSED: u32 = 0o027;

/// A file that holds a secret.
enum Private {
    /// What stands in it.
    Text(Secret),
    /// Others may read it; these are its permission bits. It is refused as the database is.
    Exposed(u32),
}

fn private_text(path: &Path) -> std::io::Result<Private> {
    let mut file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & EXPOSED != 0 {
        return Ok(Private::Exposed(mode));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Private::Text(Secret::from_text(text)))
}

impl Meaning<'_> {
    /// A 32-byte key from `file:PATH` or a substituted value.
    pub(super) fn key(&mut self, text: &str, path: &[Step<'_>]) -> Option<Secret> {
        let node = self.root.nearest(path.iter().copied());
        let place = node.place;
        let encoded = if let Some(file) = text.strip_prefix("file:") {
            let file = self.base.join(file);
            match private_text(&file) {
                Ok(Private::Text(content)) => {
                    self.secret_files.push(file);
                    content
                }
                Ok(Private::Exposed(mode)) => {
                    let message = format!(
                        "{} can be read by other users (mode {mode:03o})",
                        file.display()
                    );
                    let hint = format!("run chmod 600 {}", file.display());
                    self.flaws.push(Flaw::at(place, message).hint(hint));
                    return None;
                }
                Err(error) => {
                    let flaw =
                        Flaw::at(place, format!("{} can't be read: {error}", file.display()));
                    self.flaws
                        .push(flaw.hint("make one with: head -c 32 /dev/urandom | base64"));
                    return None;
                }
            }
        } else if matches!(
            node.value,
            Value::Text {
                substituted: true,
                ..
            }
        ) {
            Secret::from_text(text.to_owned())
        } else {
            let flaw = Flaw::at(place, "a secret must not stand in the settings file");
            self.flaws.push(flaw.hint("write `file:PATH` or `${ENV}`"));
            return None;
        };
        let bytes = encoded
            .expose_text()
            .and_then(|text| proof::base64std::decode(text.trim().as_bytes()).ok())
            .filter(|bytes| bytes.len() == 32);
        match bytes {
            Some(bytes) => Some(Secret::new(bytes)),
            None => {
                let flaw = Flaw::at(place, "the key is not 32 bytes in base64");
                self.flaws
                    .push(flaw.hint("make one with: head -c 32 /dev/urandom | base64"));
                None
            }
        }
    }
}
