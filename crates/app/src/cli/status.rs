//! `status`: how a running Doorward is, and as whom one talks to it.

use web::admin::view::Status;

use super::client::AdminClient;
use super::failure::Outcome;
use super::screen::{Screen, when};

/// Shows it.
pub(crate) async fn run(client: &AdminClient, screen: Screen) -> Outcome<()> {
    let status: Status = client.get("/v1/status").await?;
    if screen.is_json() {
        return screen.json(&status);
    }
    let resources = status
        .resources
        .iter()
        .map(|(kind, many)| format!("{many} {kind}"))
        .collect::<Vec<_>>()
        .join(", ");
    let audit = match status.audit.waiting {
        0 => format!("{} events, all chained", status.audit.chained),
        waiting => format!(
            "{} events, {waiting} more wait to be chained",
            status.audit.chained
        ),
    };
    screen.fields(&[
        ("version", status.version),
        ("started", when(Some(status.started_at), screen.now)),
        (
            "you are",
            format!(
                "{} ({}), {}",
                status.you.name, status.you.key, status.you.role
            ),
        ),
        ("declared", resources),
        ("changes", status.newest_change.to_string()),
        ("audit trail", audit),
        (
            "settings of",
            when(Some(status.settings.loaded_at), screen.now),
        ),
    ])?;
    if let Some(refused) = status.settings.refused {
        screen.note(&format!(
            "\nA later version of the settings was refused at {}; the one above stays in force:\n{}",
            refused.at, refused.message
        ));
    }
    Ok(())
}
