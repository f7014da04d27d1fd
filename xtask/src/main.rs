//! **xtask**: checks of the house itself.
//!
//! `cargo run -p xtask -- graph` holds the rooms' directions: it reads the real dependency graph
//! and fails on an edge that ARCHITECTURE.md does not allow.
#![forbid(unsafe_code)]

mod graph;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("graph") => graph::check(),
        other => bail!("unknown task {other:?}; known: graph"),
    }
}
