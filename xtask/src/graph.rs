//! **The crate graph**: which room may know which. One table, read against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// Room → rooms it may know (ordinary dependencies). The table of ARCHITECTURE.md.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("proof", &[]),
    ("verdict", &["proof"]),
    ("registry", &["proof", "verdict"]),
    ("issuer", &["proof", "verdict", "registry"]),
    ("outbound", &["proof", "verdict"]),
    ("store", &["proof", "verdict", "registry", "issuer"]),
    ("cluster", &["proof", "verdict", "registry", "issuer"]),
    ("gateway", &["proof", "verdict", "registry", "outbound"]),
    ("web", &["proof", "verdict", "registry", "issuer"]),
    ("sample", &[]),
    (
        "app",
        &[
            "proof", "verdict", "registry", "issuer", "outbound", "store", "cluster", "gateway",
            "web", "sample",
        ],
    ),
];

/// Crates that the pure rooms must not reach, not even through others.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "axum",
    "sqlx",
    "mio",
    "socket2",
    "rustls",
    "tracing-subscriber",
];

/// The pure rooms.
const PURE: &[&str] = &["proof", "verdict"];

/// Fails on a forbidden edge, on a room that the table does not name, and on an impure crate
/// within reach of a pure room.
#[allow(clippy::print_stdout, reason = "the task's answer")]
pub(crate) fn check() -> Result<()> {
    let metadata = MetadataCommand::new().exec()?;
    let allowed: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    let mut faults = Vec::new();
    let mut edges = 0usize;

    for package in metadata.workspace_packages() {
        let Some(room) = room_of(&package.name, package.manifest_path.as_str()) else {
            continue;
        };
        let Some(may_know) = allowed.get(room) else {
            faults.push(format!(
                "{room} is not in the table of rooms (xtask/src/graph.rs)"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(target) = dependency.name.strip_prefix("doorward-") else {
                continue;
            };
            if dependency.kind != DependencyKind::Normal {
                continue;
            }
            edges += 1;
            if !may_know.contains(&target) {
                faults.push(format!("{room} must not know {target}"));
            }
        }
    }

    let resolve = metadata
        .resolve
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("cargo metadata gave no resolved graph"))?;
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|p| (&p.id, p.name.as_str()))
        .collect();
    for room in PURE {
        let Some(start) = metadata
            .packages
            .iter()
            .find(|p| p.name.as_str() == format!("doorward-{room}"))
        else {
            bail!("the pure room {room} is gone");
        };
        let mut seen = BTreeSet::new();
        let mut waiting = vec![&start.id];
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            let Some(node) = resolve.nodes.iter().find(|node| &node.id == id) else {
                continue;
            };
            for dependency in &node.deps {
                if dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
                {
                    waiting.push(&dependency.pkg);
                }
            }
        }
        for id in seen {
            if let Some(name) = names.get(id)
                && IMPURE.contains(name)
            {
                faults.push(format!("{room} is pure, yet reaches {name}"));
            }
        }
    }

    if !faults.is_empty() {
        bail!("forbidden edges:\n  {}", faults.join("\n  "));
    }
    println!(
        "graph: {edges} edges between rooms, all allowed; the pure rooms reach nothing impure"
    );
    Ok(())
}

/// The room's name, for packages below `crates/`.
fn room_of<'a>(package: &'a str, manifest: &str) -> Option<&'a str> {
    if !manifest.contains("/crates/") {
        return None;
    }
    package.strip_prefix("doorward-")
}
