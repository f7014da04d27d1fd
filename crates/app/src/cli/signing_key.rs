//! `signing-key list|rotate`.

use clap::{Subcommand, ValueEnum};
use issuer::ports::KeyPurpose;
use web::admin::view::{Page, RotateSigningKey, SigningKeyView};

use super::client::AdminClient;
use super::failure::Outcome;
use super::screen::{Screen, seen_from};

/// What a key signs.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Purpose {
    /// Access tokens
    Access,
    /// Access tokens in the form of PASETO
    AccessPaseto,
    /// Access tokens in the form of PASETO, encrypted
    AccessPasetoLocal,
    /// ID tokens, signed with ES256
    #[value(name = "id-es256")]
    IdEs256,
    /// ID tokens, signed with RS256
    #[value(name = "id-rs256")]
    IdRs256,
    /// ID tokens, signed with PS256
    #[value(name = "id-ps256")]
    IdPs256,
    /// ID tokens, signed with EdDSA
    #[value(name = "id-eddsa")]
    IdEdDsa,
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
                Purpose::Access => KeyPurpose::Access,
                Purpose::AccessPaseto => KeyPurpose::AccessPaseto,
                Purpose::AccessPasetoLocal => KeyPurpose::AccessPasetoLocal,
                Purpose::IdEs256 => KeyPurpose::IdEs256,
                Purpose::IdRs256 => KeyPurpose::IdRs256,
                Purpose::IdPs256 => KeyPurpose::IdPs256,
                Purpose::IdEdDsa => KeyPurpose::IdEdDsa,
                Purpose::Upstream => KeyPurpose::Upstream,
                Purpose::Audit => KeyPurpose::Audit,
            };
            let body = RotateSigningKey {
                purpose: purpose.name().to_owned(),
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
