//! `grant list|end` and `session list|end`: what people allowed clients, and their sessions.

use clap::{Args, Subcommand};
use web::admin::view::{EndFlows, GrantView, Page, SessionView};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::screen::{Screen, seen_from};

/// Which of them.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Of this person (their id: `sub`)
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Of this client
    #[arg(long, value_name = "CLIENT_ID")]
    client: Option<String>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
}

/// What can be done with grants, or with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum FlowAct {
    /// Lists them, the newest first
    List {
        #[command(flatten)]
        which: Which,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Ends those that fit all that is given, with their tokens
    End {
        /// This one
        #[arg(value_name = "ID")]
        id: Option<String>,
        #[command(flatten)]
        which: Which,
    },
}

/// The path of a list.
fn listed(collection: &str, which: Which, limit: u32) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let named = [
        ("user", which.user),
        ("client", which.client),
        ("session", which.session),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    query.append_pair("limit", &limit.to_string());
    format!("/v1/{collection}?{}", query.finish())
}

fn meant(id: Option<String>, which: Which) -> Outcome<EndFlows> {
    let body = EndFlows {
        id,
        user: which.user,
        client: which.client,
        session: which.session,
    };
    if body.clone().filter().is_none() {
        return Err(Failure::usage(
            "say what to end: an id, --user, --client or --session",
        ));
    }
    Ok(body)
}

/// `grant …`
pub(crate) async fn grants(act: FlowAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let page: Page<GrantView> = match act {
        FlowAct::List { which, limit } => client.get(&listed("grants", which, limit)).await?,
        FlowAct::End { id, which } => client.post("/v1/grants/end", &meant(id, which)?).await?,
    };
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|grant| {
            vec![
                grant.id,
                grant.user,
                grant.client,
                grant.scopes.join(" "),
                match grant.end_reason {
                    Some(reason) => format!("{}: {reason}", grant.state),
                    None => grant.state,
                },
                seen_from(grant.created_at.0, screen.now),
                grant
                    .refreshed_at
                    .map(|at| seen_from(at.0, screen.now))
                    .unwrap_or_default(),
                seen_from(grant.until.0, screen.now),
            ]
        })
        .collect();
    screen.table(
        &[
            "id",
            "user",
            "client",
            "scopes",
            "state",
            "made",
            "refreshed",
            "ends",
        ],
        rows,
        "There is no such grant.",
    )
}

/// `session …`
pub(crate) async fn sessions(act: FlowAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let page: Page<SessionView> = match act {
        FlowAct::List { which, limit } => client.get(&listed("sessions", which, limit)).await?,
        FlowAct::End { id, which } => client.post("/v1/sessions/end", &meant(id, which)?).await?,
    };
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|session| {
            vec![
                session.id,
                session.user,
                session.agent,
                session.address,
                seen_from(session.authenticated_at.0, screen.now),
                seen_from(session.until.0, screen.now),
            ]
        })
        .collect();
    screen.table(
        &["id", "user", "browser", "address", "logged in", "ends"],
        rows,
        "There is no such session.",
    )
}
