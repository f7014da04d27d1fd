//! **Generated pages**: asks the binary for each page of the reference and writes it into the book.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Pages and their files.
const PAGES: [&str; 6] = [
    "settings",
    "errors",
    "metrics",
    "cli",
    "endpoints",
    "audit-events",
];

/// Writes the pages, or with `check` fails where one differs.
#[allow(clippy::print_stdout, reason = "the task's answer")]
pub(crate) fn generate(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the workspace")?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let folder = root.join("docs/src/reference");
    std::fs::create_dir_all(&folder)?;
    let mut stale = Vec::new();
    for page in PAGES {
        let ran = Command::new(&cargo)
            .current_dir(root)
            .args([
                "run",
                "--quiet",
                "--locked",
                "-p",
                "doorward-app",
                "--",
                "reference",
                page,
            ])
            .output()?;
        if !ran.status.success() {
            bail!(
                "the page `{page}` could not be made:\n{}",
                String::from_utf8_lossy(&ran.stderr)
            );
        }
        let file = folder.join(format!("{page}.md"));
        let written = std::fs::read(&file).unwrap_or_default();
        if written == ran.stdout {
            continue;
        }
        if check {
            stale.push(page);
        } else {
            std::fs::write(&file, &ran.stdout)?;
        }
    }
    if stale.is_empty() {
        println!(
            "docs: {} generated pages are what the code says",
            PAGES.len()
        );
        Ok(())
    } else {
        bail!(
            "these pages are not what the code says: {}; run `cargo run -p xtask -- docs`",
            stale.join(", ")
        )
    }
}
