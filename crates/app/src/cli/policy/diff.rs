//! `policy diff`: what a change would mean for the calls that the decision log has, and for whom. The
//! server judges them again as the documents would have it; nothing comes of that.

use std::path::PathBuf;

use clap::Args;
use registry::units::{Moment, Period};
use web::admin::view::{Replay, ReplayView};

use crate::cli::apply;
use crate::cli::client::AdminClient;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::screen::{Screen, when};

/// Which documents, and which calls.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A YAML file with documents as they would be, or a folder of them; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// How far back
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    since: Period,
    /// Calls of one API alone
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// At most so many calls, the newest
    #[arg(long, value_name = "CALLS", default_value_t = 10_000)]
    limit: u32,
    /// Fail if more than so many of a hundred callers would be refused something that passed
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    fail_over: Option<u8>,
}

/// Asks, and shows what was found.
pub(crate) async fn diff(args: DiffArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let replay = Replay {
        documents: apply::read(&args.files)?,
        since: Some(Moment(screen.now.minus(args.since.0))),
        limit: Some(args.limit),
        api: args.api,
    };
    let view: ReplayView = client.post("/v1/replay", &replay).await?;
    if screen.is_json() {
        screen.json(&view)?;
    } else {
        show(&view, screen)?;
    }
    let part = |some: u64| some * 100;
    match args.fail_over {
        Some(most) if part(view.principals_refused) > u64::from(most) * view.principals => {
            Err(Failure::new(format!(
                "{} of {} callers would be refused something, and {most} % are allowed.",
                view.principals_refused, view.principals
            )))
        }
        _ => Ok(()),
    }
}

fn show(view: &ReplayView, screen: Screen) -> Outcome<()> {
    screen.fields(&[
        ("calls looked at", view.calls.to_string()),
        ("judged again", view.judged.to_string()),
        ("same outcome", view.same.to_string()),
        ("would be refused", view.refused.to_string()),
        ("would pass", view.allowed.to_string()),
        ("callers", view.principals.to_string()),
        ("refused something", view.principals_refused.to_string()),
        ("locked out", view.principals_locked_out.to_string()),
    ])?;
    for unknown in &view.unknown {
        screen.line(&format!(
            "not judged: {} calls: {}",
            unknown.calls, unknown.why
        ))?;
    }
    if !view.refused_principals.is_empty() {
        screen.line("")?;
        let rows = view.refused_principals.iter().map(|one| {
            vec![
                one.principal.clone(),
                one.passed.to_string(),
                one.refused.to_string(),
            ]
        });
        screen.table(
            &["caller", "passed", "would be refused"],
            rows.collect(),
            "",
        )?;
    }
    if !view.routes.is_empty() {
        screen.line("")?;
        let rows = view.routes.iter().map(|one| {
            vec![
                format!("{} / {}", one.api, one.route),
                one.calls.to_string(),
                one.refused.to_string(),
                one.allowed.to_string(),
            ]
        });
        screen.table(
            &["route", "calls", "would be refused", "would pass"],
            rows.collect(),
            "",
        )?;
    }
    if !view.examples.is_empty() {
        screen.line("")?;
        let rows = view.examples.iter().map(|one| {
            vec![
                when(Some(one.at), screen.now),
                format!("{} {}", one.method, one.path),
                one.principal.clone(),
                one.was.clone(),
                one.would_be.clone(),
                one.cause.clone().unwrap_or_default(),
            ]
        });
        screen.table(
            &["when", "call", "caller", "was", "would be", "why"],
            rows.collect(),
            "",
        )?;
    }
    Ok(())
}
