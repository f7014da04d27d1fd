//! **Logs**: pretty on a terminal, one JSON object per line otherwise. What is a secret can't get
//! here: its type does not print.

mod lines;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) use self::lines::flush;
use crate::settings::{Log, LogFormat};

/// Starts logging to standard error. A second start in one process changes nothing.
pub(crate) fn start(log: &Log) {
    // Lines of calls are wanted or not by their own word, however quiet the rest is. Checkpoints of
    // the audit trail are evidence: only a word of their own silences them.
    let access = if log.access { "info" } else { "off" };
    let level = format!("audit=info,{},access={access}", log.level);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(lines::Out {
        // Without the thread that writes them, lines can't wait.
        gather: log.access && lines::start().is_ok(),
    });
    // Ignored: only tests start twice in one process, and the first start holds.
    let _ = if json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry
            .with(layer.compact().with_ansi(std::io::stderr().is_terminal()))
            .try_init()
    };
}
