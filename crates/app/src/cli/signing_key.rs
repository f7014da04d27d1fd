//! `signing-key list|rotate`.

use clap::{Subcommand, ValueEnum};
use web::admin::view::{Page, RotateSigningKey, SigningKeyView};

use super::client::AdminClient;
use super::failure::Outcome;
use super::screen::{Screen, seen_from};

/// What a key signs.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Purpose {
    /// Access tokens
    Access,
    /// Identity tokens for upstreams
    Upstream,
    /// Audit checkpoints
    Audit,
}

/// What can be done with signing keys.
#[derive(Debug, Subcommand)]
pub(crate) enum SigningKeyAct {
    /// Lists signing keys with their state
    List,
    /// Publishes the next key; it signs once key sets had time to be fetched
    Rotate {
        /// Whose successor
        purpose: Purpose,
        /// Sign with it at once; verifiers that cache key sets refuse new tokens until they fetch again
        #[arg(long)]
        immediately: bool,
        /// The old key leaked: drop it now, and every token that it signed
        #[arg(long)]
        leaked: bool,
    },
}

/// Does it.
pub(crate) async fn run(act: SigningKeyAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let page: Page<SigningKeyView> = match act {
        SigningKeyAct::List => client.get("/v1/signing-keys").await?,
        SigningKeyAct::Rotate {
            purpose,
            immediately,
            leaked,
        } => {
            let purpose = match purpose {
                Purpose::Access => "access",
                Purpose::Upstream => "upstream",
                Purpose::Audit => "audit",
            };
            let body = RotateSigningKey {
                purpose: purpose.to_owned(),
                immediately,
                leaked,
            };
            client.post("/v1/signing-keys/rotate", &body).await?
        }
    };
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page
        .items
        .into_iter()
        .map(|key| {
            vec![
                key.purpose,
                key.kid,
                key.algorithm,
                key.state,
                seen_from(key.created_at.0, screen.now),
                key.activated_at
                    .map(|at| seen_from(at.0, screen.now))
                    .unwrap_or_default(),
                key.until
                    .map(|at| seen_from(at.0, screen.now))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    screen.table(
        &[
            "purpose",
            "key id",
            "algorithm",
            "state",
            "published",
            "active since",
            "leaves",
        ],
        rows,
        "There is no signing key.",
    )
}
