//! **`doorward dev`**: everything on loopback, with a sample API behind the door, demonstration
//! credentials and a tour to copy and paste. The same node as `serve`, started from a settings file
//! that it writes on the first start and that can be edited while it runs.

mod clients;
mod credentials;
mod declared;
mod setup;
mod tour;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;

use crate::serve::stop_on_signal;
use crate::settings::{self, Log, LogFormat, Mode};
use crate::telemetry;
use crate::wire::Node;

/// Start everything on loopback.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Walk the tour against a fresh installation on free ports, print a tick for each step, stop
    #[arg(long)]
    check: bool,
    /// Where settings, keys and the database are kept
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs until stopped, or through the tour.
///
/// # Errors
/// Why it did not start; with `--check` also a step that went otherwise than told.
pub(crate) async fn run(args: Args) -> Result<()> {
    let scratch = args.check.then(setup::Scratch::new).transpose()?;
    let dir = match (&scratch, args.data_dir) {
        (Some(scratch), None) => scratch.path().to_owned(),
        (_, Some(dir)) => dir,
        (None, None) => setup::default_dir()?,
    };
    let ports = if args.check {
        setup::Ports::free()?
    } else {
        setup::Ports::usual()
    };
    let installed = setup::prepare(&dir, &ports)?;

    let loaded = settings::load(
        &installed.settings,
        &|name| std::env::var(name).ok(),
        Mode::Dev,
    )?;
    let log = if args.check {
        Log {
            format: LogFormat::Pretty,
            // The installation ends with the tour, and its audit trail with it.
            level: "warn,audit=off".to_owned(),
            access: false,
        }
    } else {
        loaded.settings.log.clone()
    };
    telemetry::start(&log);
    let declared = declared::Declared::new(&loaded.documents);
    let at = declared.sample().unwrap_or(installed.sample);
    let sample = TcpListener::bind(at).await.with_context(|| {
        format!(
            "the sample API can't have {at}: stop what uses the port, or give the API `orders` in {} another upstream on loopback",
            installed.settings.display()
        )
    })?;

    let node = Node::start(&installed.settings, loaded, Mode::Dev).await?;
    let stop = node.shared().stop.clone();
    tokio::spawn({
        let stop = stop.clone();
        async move { sample::serve(sample, async move { stop.cancelled().await }).await }
    });
    let demo = credentials::make(node.shared(), node.first_key.as_ref(), &declared, &dir).await?;
    let tour = tour::Tour::new(&node, &demo, &declared, &dir)?;
    stop_on_signal(stop.clone())?;

    if !args.check {
        tour.print();
        return node.run().await;
    }
    let serving = tokio::spawn(node.run());
    let failed = tokio::task::spawn_blocking(move || tour.walk()).await?;
    stop.cancel();
    serving.await??;
    drop(scratch);
    match failed {
        0 => Ok(()),
        1 => bail!("one step went otherwise than told"),
        many => bail!("{many} steps went otherwise than told"),
    }
}
