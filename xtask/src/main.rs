//! **xtask**: checks of the house itself.
//!
//! `cargo run -p xtask -- graph` holds the rooms' directions: it reads the real dependency graph
//! and fails on an edge that ARCHITECTURE.md does not allow. `docs` writes the generated pages of
//! the book, `docs --check` fails where a page is not what the code says.
#![forbid(unsafe_code)]

mod docs;
mod graph;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("graph") => graph::check(),
        Some("docs") => docs::generate(std::env::args().any(|arg| arg == "--check")),
        other => bail!("unknown task {other:?}; known: graph, docs"),
    }
}
