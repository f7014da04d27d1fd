//! **The binary** `doorward`: settings, wiring, reload, telemetry, command line.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod dev;
mod policies;
mod reference;
mod serve;
mod settings;
mod telemetry;
mod watch;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The doorkeeper of a company's APIs: issues every credential a call can carry, checks every one
/// that arrives, decides whether the call may pass, and keeps the record.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, disable_help_subcommand = true)]
struct Args {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once, from the command line"
)]
enum Command {
    /// Start everything on loopback, with a sample API behind the door and a tour to try it
    Dev(dev::Args),
    /// Serve as the settings say
    Serve {
        /// The settings file
        #[arg(long, value_name = "FILE", default_value = "doorward.yaml")]
        config: PathBuf,
        /// Threads that carry calls; one per usable core unless said otherwise. Passwords and keys
        /// are hashed, and the database is read, on threads of their own
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        workers: Option<u16>,
    },
    /// Check, describe and explain settings
    #[command(subcommand)]
    Config(config::Config),
    /// Print a page of the generated reference
    #[command(hide = true)]
    Reference {
        /// Which
        page: reference::Page,
    },
    #[command(flatten)]
    Remote(cli::Command),
}

fn main() -> ExitCode {
    // One provider of cryptography for every TLS connection of this process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    let workers = match &args.command {
        Command::Serve { workers, .. } => workers.map(usize::from),
        _ => None,
    };
    let runtime = match runtime(workers.unwrap_or_else(usable_cores)) {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.into()),
    };
    let code = runtime.block_on(async {
        match args.command {
            Command::Dev(dev) => ended(dev::run(dev).await),
            Command::Serve { config, .. } => ended(serve::run(&config).await),
            Command::Config(command) => config::run(&command, &args.global),
            Command::Reference { page } => {
                reference::print(page);
                ExitCode::SUCCESS
            }
            Command::Remote(command) => cli::run(command, &args.global).await,
        }
    });
    telemetry::flush();
    code
}

/// One worker needs no other to wake, steal from or share with, so it runs on this very thread.
fn runtime(workers: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

/// What the system lets this process use: affinity and control-group quotas count.
fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

#[allow(
    clippy::print_stderr,
    reason = "the one place where a failed command says why"
)]
fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("doorward: {error:#}");
    ExitCode::FAILURE
}
