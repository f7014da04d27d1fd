//! `webhook …`: messages for endpoints of others, from the one that is handed in to the dead letter
//! that is sent again. Endpoints themselves are declared with `doorward apply`.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use registry::webhook::{LARGEST_BODY, MessageState};
use serde_json::{Value, json};
use web::admin::view::{Page, SendWebhook, WebhookMessage, WebhookStatus, WebhooksTouched};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::resource::{self, Collection, ResourceAct, segment};
use super::screen::{Screen, seen_from, when};

const MESSAGES: &str = "/v1/webhook-messages";

fn state(text: &str) -> Result<MessageState, String> {
    MessageState::from_name(text).ok_or_else(|| {
        let names: Vec<_> = MessageState::ALL.iter().map(|one| one.name()).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// Which messages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// This one
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Every dead letter of this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    dead_of: Option<String>,
}

/// What can be done with messages and endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookAct {
    /// The endpoints as they are declared
    #[command(subcommand)]
    Endpoint(ResourceAct),
    /// Hands in a message; it is sent until it is taken
    Send {
        /// The endpoint
        endpoint: String,
        /// Its type, one that the endpoint takes
        #[arg(long = "type", value_name = "TYPE")]
        kind: String,
        /// File with what it says, JSON; `-`: standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        data_file: PathBuf,
    },
    /// Lists messages, the newest first
    List {
        /// Only for this endpoint
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// Only in this state: waiting, delivered (for a day) or dead (for thirty)
        #[arg(long, value_parser = state)]
        state: Option<MessageState>,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Shows one message with what it says
    Show {
        /// Its id
        id: String,
    },
    /// Sends messages again, now
    Retry(Which),
    /// Drops messages
    Drop(Which),
    /// Shows which endpoints are enabled, and what waits for them
    Status,
    /// Sends to a disabled endpoint again
    Enable {
        /// Its name
        endpoint: String,
    },
    /// Sends nothing to an endpoint any more; what waits goes on waiting
    Disable {
        /// Its name
        endpoint: String,
    },
}

/// `webhook …`
pub(crate) async fn run(act: WebhookAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        WebhookAct::Endpoint(act) => resource::run(Collection::Webhooks, act, client, screen).await,
        WebhookAct::Send {
            endpoint,
            kind,
            data_file,
        } => {
            let body = SendWebhook {
                r#type: kind,
                data: data(&data_file)?,
            };
            let path = format!("/v1/webhooks/{}/messages", segment(&endpoint)?);
            let sent: WebhookMessage = client.post(&path, &body).await?;
            if screen.is_json() {
                return screen.json(&sent);
            }
            screen.line(&sent.id)
        }
        WebhookAct::List {
            endpoint,
            state,
            limit,
        } => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            if let Some(endpoint) = endpoint {
                query.append_pair("endpoint", &endpoint);
            }
            if let Some(state) = state {
                query.append_pair("state", state.name());
            }
            query.append_pair("limit", &limit.to_string());
            let page = client
                .get(&format!("{MESSAGES}?{}", query.finish()))
                .await?;
            print_list(page, screen)
        }
        WebhookAct::Show { id } => {
            let path = format!("{MESSAGES}/{}", segment(&id)?);
            print_message(client.get(&path).await?, screen)
        }
        WebhookAct::Retry(which) => act_on(which, "retry", "sent again", client, screen).await,
        WebhookAct::Drop(which) => act_on(which, "drop", "dropped", client, screen).await,
        WebhookAct::Status => print_states(client.get("/v1/webhook-status").await?, screen),
        WebhookAct::Enable { endpoint } => switch(&endpoint, "enable", client, screen).await,
        WebhookAct::Disable { endpoint } => switch(&endpoint, "disable", client, screen).await,
    }
}

/// Reads JSON from a file or standard input.
fn data(from: &Path) -> Outcome<Value> {
    let unread =
        |error: io::Error| Failure::new(format!("{} can not be read: {error}.", from.display()));
    let mut bytes = Vec::new();
    let most = LARGEST_BODY as u64;
    if from == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(from).map_err(unread)?;
        file.take(most).read_to_end(&mut bytes)
    }
    .map_err(unread)?;
    if bytes.len() >= LARGEST_BODY {
        return Err(Failure::usage("A message is at most 256 KiB."));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("What it says is no JSON: {error}.")))
}

async fn act_on(
    which: Which,
    act: &str,
    done: &str,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let path = match (&which.id, &which.dead_of) {
        (Some(id), _) => format!("{MESSAGES}/{}/{act}", segment(id)?),
        (None, Some(name)) => format!("/v1/webhooks/{}/{act}-dead", segment(name)?),
        (None, None) => return Err(Failure::usage("Give an id, or --dead-of.")),
    };
    let touched: WebhooksTouched = client.post(&path, &json!({})).await?;
    if screen.is_json() {
        return screen.json(&touched);
    }
    screen.line(&format!("{} {done}", touched.messages))
}

async fn switch(endpoint: &str, act: &str, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let path = format!("/v1/webhooks/{}/{act}", segment(endpoint)?);
    let state: WebhookStatus = client.post(&path, &json!({})).await?;
    let items = vec![state];
    print_states(Page { items, next: None }, screen)
}

fn print_states(page: Page<WebhookStatus>, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|one| {
            let state = match (one.disabled_at, one.disabled_cause) {
                (Some(at), Some(cause)) => {
                    format!("disabled {}: {cause}", seen_from(at.0, screen.now))
                }
                _ => "enabled".to_owned(),
            };
            vec![
                one.endpoint,
                state,
                one.waiting.to_string(),
                one.dead.to_string(),
            ]
        })
        .collect();
    screen.table(
        &["endpoint", "state", "waiting", "dead"],
        rows,
        "No endpoint is declared; apply a document of the kind WebhookEndpoint.",
    )
}

fn print_list(page: Page<WebhookMessage>, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|one| {
            vec![
                one.id,
                one.endpoint,
                one.r#type,
                one.state,
                seen_from(one.created_at.0, screen.now),
                one.attempts.to_string(),
                one.last_cause.unwrap_or_default(),
                one.next_attempt_at
                    .map(|at| seen_from(at.0, screen.now))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    screen.table(
        &[
            "id",
            "endpoint",
            "type",
            "state",
            "accepted",
            "tries",
            "last failure",
            "next try",
        ],
        rows,
        "There is no such message.",
    )
}

fn print_message(message: WebhookMessage, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&message);
    }
    screen.fields(&[
        ("id", message.id),
        ("endpoint", message.endpoint),
        ("type", message.r#type),
        ("state", message.state),
        ("accepted", when(Some(message.created_at), screen.now)),
        ("tries", message.attempts.to_string()),
        ("last try", when(message.last_attempt_at, screen.now)),
        (
            "answered",
            message
                .last_status
                .map(|status| status.to_string())
                .unwrap_or_default(),
        ),
        ("failure", message.last_cause.unwrap_or_default()),
        ("next try", when(message.next_attempt_at, screen.now)),
        ("body", message.body.unwrap_or_default()),
    ])
}
