//! **`doorward serve`**: production, as the settings say.

use std::path::Path;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::settings::{self, Mode};
use crate::telemetry;
use crate::wire::{self, Node};

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Why it did not start, or why it had to end.
pub(crate) async fn run(path: &Path) -> Result<()> {
    let loaded = settings::load(path, &|name| std::env::var(name).ok(), Mode::Serve)?;
    wire::check::files(path, &loaded)?;
    telemetry::start(&loaded.settings.log);
    let node = Node::start(path, loaded, Mode::Serve).await?;
    if let Some(key) = &node.first_key {
        show_first_key(key.expose_text().unwrap_or_default());
    }
    stop_on_signal(node.shared().stop.clone())?;
    node.run().await
}

/// The first owner's key, on standard output so that a log never holds it.
#[allow(
    clippy::print_stdout,
    reason = "shown once, to whoever started the process"
)]
fn show_first_key(key: &str) {
    println!("The first administrator's key (role owner). It is shown this once; keep it safe:");
    println!("{key}");
}

/// Stops a node on SIGTERM and SIGINT.
///
/// # Errors
/// If signals can't be listened for.
pub(crate) fn stop_on_signal(stop: CancellationToken) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no new connections, calls in flight may end");
        stop.cancel();
    });
    Ok(())
}
