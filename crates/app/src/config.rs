//! **`doorward config`**: check a settings file, print its schema, explain what it means.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::{Format, Global, counted};
use crate::settings::{self, Mode, Serves};
use crate::wire;

/// What to do about a parameter that nothing judges.
pub(crate) const GUARD: &str = "Say under `objects` what such a parameter names and what its caller must be to it, have a policy judge it, or list it under `unguarded` if it names nobody's own.";

/// Check, describe and explain settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Read a settings file with all it includes and list every mistake with its place
    Check {
        /// The settings file
        #[arg(long, value_name = "FILE", default_value = "doorward.yaml")]
        config: PathBuf,
    },
    /// Print the JSON Schema of settings, or of resource documents, for editors
    Schema {
        /// The schema of resource documents instead
        #[arg(long)]
        resources: bool,
    },
    /// Print the effective settings: includes joined, defaults filled in, secrets masked
    Explain {
        /// The settings file
        #[arg(long, value_name = "FILE", default_value = "doorward.yaml")]
        config: PathBuf,
    },
}

/// Runs a command.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command's answer"
)]
pub(crate) fn run(command: &Config, global: &Global) -> ExitCode {
    let load = |path: &PathBuf| settings::load(path, &|name| std::env::var(name).ok(), Mode::Serve);
    let refused = |flaws: &settings::Flaws| {
        match global.output {
            Format::Json => println!(
                "{:#}",
                serde_json::json!({ "ok": false, "flaws": flaws.to_json() })
            ),
            Format::Table => eprintln!("{flaws}"),
        }
        ExitCode::FAILURE
    };
    match command {
        Config::Check { config } => {
            let checked = load(config).and_then(|loaded| {
                wire::check::files(config, &loaded)?;
                Ok(loaded)
            });
            match checked {
                Ok(loaded) => {
                    good(config, &loaded, global);
                    ExitCode::SUCCESS
                }
                Err(flaws) => refused(&flaws),
            }
        }
        Config::Schema { resources } => {
            let schema = if *resources {
                registry::document::json_schema()
            } else {
                settings::schema()
            };
            println!("{schema:#}");
            ExitCode::SUCCESS
        }
        Config::Explain { config } => match load(config) {
            Ok(loaded) => {
                match global.output {
                    Format::Json => println!("{:#}", loaded.explained),
                    Format::Table => match serde_saphyr::to_string(&loaded.explained) {
                        Ok(yaml) => print!("{yaml}"),
                        Err(_) => println!("{:#}", loaded.explained),
                    },
                }
                ExitCode::SUCCESS
            }
            Err(flaws) => refused(&flaws),
        },
    }
}

/// Says what was looked at, and what is allowed but odd.
#[allow(clippy::print_stdout, reason = "the command's answer")]
fn good(config: &Path, loaded: &settings::Loaded, global: &Global) {
    let apis = loaded.meaning.apis.iter().map(AsRef::as_ref);
    let unguarded: Vec<_> = registry::meaning::unguarded(apis)
        .iter()
        .map(ToString::to_string)
        .collect();
    let warnings = warnings(loaded);
    let (listeners, resources) = (loaded.settings.listeners.len(), loaded.documents.len());
    match global.output {
        Format::Json => println!(
            "{:#}",
            serde_json::json!({
                "ok": true,
                "resources": resources,
                "warnings": warnings.iter().chain(&unguarded).collect::<Vec<_>>(),
            })
        ),
        Format::Table => {
            println!(
                "{}: good ({}, {})",
                config.display(),
                counted(listeners, "listener"),
                counted(resources, "resource"),
            );
            for warning in warnings.iter().chain(&unguarded) {
                println!("warning: {warning}");
            }
            if !unguarded.is_empty() {
                println!("{GUARD}");
            }
        }
    }
}

/// What is allowed in settings and hardly meant.
pub(crate) fn warnings(loaded: &settings::Loaded) -> Vec<String> {
    let mut warnings = hidden(loaded);
    warnings.extend(unasked(loaded));
    warnings
}

/// APIs that take client certificates where none can come: no listener asks for one, and no field of a
/// proxy brings one.
fn unasked(loaded: &settings::Loaded) -> Option<String> {
    let settings = &loaded.settings;
    let doors = || {
        let listeners = settings.listeners.iter();
        listeners.filter(|listener| listener.serves.contains(&Serves::Gateway))
    };
    let asks = |listener: &settings::Listener| {
        listener.client_certificates != settings::ClientCertificates::Off
    };
    if doors().next().is_none() || doors().any(asks) || settings.client_certificate_field.is_some()
    {
        return None;
    }
    let apis = loaded.meaning.apis.iter();
    let mut apis = apis.filter(|api| api.judged.certificates.is_some());
    let first = apis.next()?;
    Some(format!(
        "API `{}`{} takes client certificates (`mtls`), and none can come: no listener that serves APIs asks for one. Write `client_certificates: optional` under its `tls`, or name the `client_certificate_field` of your proxies.",
        first.judged.name,
        if apis.next().is_some() {
            " among others"
        } else {
            ""
        }
    ))
}

/// Listeners on which the issuer's endpoints hide APIs: they answer for the host of the issuer's URL,
/// and a listener looks for a call's host first.
fn hidden(loaded: &settings::Loaded) -> Vec<String> {
    let issuer = loaded.settings.issuer.as_ref();
    let Some(host) = issuer.and_then(|issuer| issuer.url.host_str()) else {
        return Vec::new();
    };
    let both = |listener: &&settings::Listener| {
        [Serves::Gateway, Serves::Issuer]
            .iter()
            .all(|part| listener.serves.contains(part))
    };
    let on_host = |api: &&std::sync::Arc<registry::api::ApiMeaning>| {
        api.hosts.is_empty() || api.hosts.iter().any(|one| one == host)
    };
    let apis: Vec<_> = loaded.meaning.apis.iter().filter(on_host).collect();
    let Some(first) = apis.first() else {
        return Vec::new();
    };
    let listeners = loaded.settings.listeners.iter().filter(both);
    listeners
        .map(|listener| {
            format!(
                "listener `{}` serves APIs and the issuer: on the host {host} the issuer answers, and calls there don't reach `{}`{}. Give the issuer a listener or a host of its own.",
                listener.name,
                first.judged.name,
                if apis.len() > 1 { " and others" } else { "" }
            )
        })
        .collect()
}
