//! `audit list|verify|export|follow` and `decisions list`.

use core::time::Duration;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use web::admin::view::{AuditEventView, AuditVerified, CheckpointView, DecisionView, Page};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::screen::Screen;

/// How often `follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Events asked for at once.
const BATCH: usize = 1000;

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditAct {
    /// Lists the newest events
    List {
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Checks the whole chain and its signed checkpoints
    Verify,
    /// Writes all events as JSON, one a line, and the checkpoints after them
    Export {
        /// The file; `-`: standard output
        #[arg(short = 'o', long = "out", value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
    /// Prints events as they come, until interrupted
    Follow,
}

/// What can be done with the decision log.
#[derive(Debug, Subcommand)]
pub(crate) enum DecisionsAct {
    /// Lists the newest judged calls
    List {
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
}

/// `audit …`
pub(crate) async fn run(act: AuditAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        AuditAct::List { limit } => {
            let page: Page<AuditEventView> = client
                .get(&format!("/v1/audit?newest=true&limit={limit}"))
                .await?;
            if screen.is_json() {
                return screen.json(&page);
            }
            let rows = page.items.into_iter().map(row).collect();
            screen.table(
                &["no", "when", "who", "what", "to what", "details"],
                rows,
                "There is no event.",
            )
        }
        AuditAct::Verify => verify(client, screen).await,
        AuditAct::Export { out } => export(&out, client, screen).await,
        AuditAct::Follow => follow(client, screen).await,
    }
}

/// `decisions …`
pub(crate) async fn decisions(
    act: DecisionsAct,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let DecisionsAct::List { limit } = act;
    let page: Page<DecisionView> = client.get(&format!("/v1/decisions?limit={limit}")).await?;
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|call| {
            vec![
                call.at.to_string(),
                call.status.to_string(),
                format!("{} {}", call.method, call.path),
                call.api.unwrap_or_default(),
                call.principal.unwrap_or_default(),
                call.code.unwrap_or(call.decision),
                call.cause.unwrap_or_default(),
                format!("{} µs", call.micros),
            ]
        })
        .collect();
    screen.table(
        &[
            "when", "status", "call", "API", "who", "decision", "cause", "took",
        ],
        rows,
        "No call has been recorded yet.",
    )
}

fn row(event: AuditEventView) -> Vec<String> {
    let details = event
        .details
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(" ");
    vec![
        event
            .sequence
            .map_or_else(|| "waits".to_owned(), |sequence| sequence.to_string()),
        event.at.to_string(),
        event.actor,
        event.action,
        event.subject,
        details,
    ]
}

async fn verify(client: &AdminClient, screen: Screen) -> Outcome<()> {
    let found: AuditVerified = client.get("/v1/audit/verify").await?;
    if screen.is_json() {
        screen.json(&found)?;
    } else if found.intact {
        screen.fields(&[
            ("events", found.events.to_string()),
            ("checkpoints", found.checkpoints.to_string()),
            ("sealed up to", found.sealed.to_string()),
            ("head", found.head.clone().unwrap_or_default()),
        ])?;
        screen.note("The trail is whole.");
    }
    if found.intact {
        return Ok(());
    }
    let fault = found
        .fault
        .unwrap_or_else(|| "no reason was given".to_owned());
    Err(
        Failure::new(format!("The audit trail is not whole: {fault}."))
            .next("keep the database as it is, and compare with an export or a backup"),
    )
}

async fn export(out: &std::path::Path, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("{} can not be written: {error}.", out.display()))
    };
    let mut file = match out.to_str() {
        Some("-") => None,
        _ => Some(std::io::BufWriter::new(
            std::fs::File::create(out).map_err(failed)?,
        )),
    };
    let mut write = |line: String| match &mut file {
        Some(file) => writeln!(file, "{line}").map_err(failed),
        None => screen.exactly(&line),
    };
    let mut after = 0;
    let mut many = 0u64;
    loop {
        let page: Page<AuditEventView> = client
            .get(&format!("/v1/audit?after={after}&limit={BATCH}"))
            .await?;
        let chained: Vec<_> = page
            .items
            .iter()
            .filter(|event| event.sequence.is_some())
            .collect();
        for event in &chained {
            write(as_line(event)?)?;
            many += 1;
        }
        match chained.last().and_then(|event| event.sequence) {
            Some(last) if last > after => after = last,
            _ => break,
        }
    }
    let checkpoints: Page<CheckpointView> = client.get("/v1/audit/checkpoints").await?;
    for checkpoint in &checkpoints.items {
        write(as_line(&serde_json::json!({ "checkpoint": checkpoint }))?)?;
    }
    if let Some(mut file) = file {
        file.flush().map_err(failed)?;
    }
    screen.note(&format!(
        "{many} events and {} checkpoints are exported.",
        checkpoints.items.len()
    ));
    Ok(())
}

async fn follow(client: &AdminClient, screen: Screen) -> Outcome<()> {
    let newest: Page<AuditEventView> = client.get("/v1/audit?newest=true&limit=10").await?;
    let mut after = newest
        .items
        .iter()
        .filter_map(|event| event.sequence)
        .max()
        .unwrap_or(0);
    let print = |event: &AuditEventView| {
        if screen.is_json() {
            screen.exactly(&as_line(event)?)
        } else {
            screen.line(&row(event.clone()).join("  "))
        }
    };
    for event in newest.items.iter().filter(|event| event.sequence.is_some()) {
        print(event)?;
    }
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        let page: Page<AuditEventView> = client
            .get(&format!("/v1/audit?after={after}&limit={BATCH}"))
            .await?;
        for event in &page.items {
            if let Some(sequence) = event.sequence {
                print(event)?;
                after = after.max(sequence);
            }
        }
    }
}

fn as_line(value: &impl serde::Serialize) -> Outcome<String> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(format!("An event can not be shown as JSON: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_waits_to_be_chained_is_called_so() {
        let mut event: AuditEventView = serde_json::from_value(serde_json::json!({
            "id": "1", "at": "2026-01-01T00:00:00Z", "actor": "alice (adm_1)", "action": "api.update",
            "subject": "api/orders", "request_id": "r", "details": {"version": "2"}
        }))
        .unwrap();
        assert_eq!(row(event.clone())[0], "waits");
        event.sequence = Some(7);
        assert_eq!(
            row(event),
            [
                "7",
                "2026-01-01T00:00:00Z",
                "alice (adm_1)",
                "api.update",
                "api/orders",
                "version=2"
            ]
        );
    }
}
