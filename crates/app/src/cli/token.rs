//! `token inspect|verify|mint|revoke`: a token is looked at on this machine and sent nowhere, except
//! by `mint`, which asks the token endpoint for one, and `revoke`, which asks the admin API.

pub(crate) mod inspect;
mod mint;
mod opened;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use web::admin::view::{RevokeTokens, RevokedTokens};

use super::Global;
use super::client::AdminClient;
use super::failure::Outcome;
use super::input;
use super::screen::Screen;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAct {
    /// Shows what a token says and what looks wrong; checks no signature, sends nothing
    Inspect(TokenArg),
    /// Checks a token's signature and claims against a key set
    Verify(verify::VerifyArgs),
    /// Gets an access token from the token endpoint with a client's credentials
    Mint(mint::MintArgs),
    /// Revokes a token by its `jti`, or every token of a client
    Revoke(RevokeArgs),
}

/// A token.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArg {
    /// The token; better piped in, since the shell remembers arguments
    token: Option<String>,
    /// File with the API's private key, which opens a token that is encrypted to it (PKCS#8 in PEM)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl TokenArg {
    /// The token, wherever it was given, without `Bearer` and blanks, and opened where there is a key
    /// for that.
    fn read(self, screen: Screen) -> Outcome<String> {
        let text = match self.token {
            Some(token) => {
                screen.note("The token is in your shell's history now; pipe it in to avoid that.");
                token
            }
            None => input::piped("token")?,
        };
        let text = text.trim();
        let bare = text
            .get(..7)
            .filter(|start| start.eq_ignore_ascii_case("bearer "))
            .map_or(text, |_| &text[7..]);
        match &self.key_file {
            Some(key) => opened::open(bare.trim(), key, screen),
            None => Ok(bare.trim().to_owned()),
        }
    }
}

/// Which tokens to revoke.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RevokeArgs {
    /// The token's `jti` (`doorward token inspect` shows it)
    #[arg(long, value_name = "JTI")]
    id: Option<String>,
    /// Every token that this client was issued until now
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
}

/// `token …`
pub(crate) async fn run(act: TokenAct, global: &Global, screen: Screen) -> Outcome<()> {
    match act {
        TokenAct::Inspect(token) => inspect::run(&token.read(screen)?, screen),
        TokenAct::Verify(args) => verify::run(args, global, screen).await,
        TokenAct::Mint(args) => mint::run(args, global, screen).await,
        TokenAct::Revoke(args) => {
            let client = AdminClient::new(global)?;
            let body = RevokeTokens {
                token_id: args.id,
                client: args.client,
            };
            let revoked: RevokedTokens = client.post("/v1/tokens/revoke", &body).await?;
            if screen.is_json() {
                return screen.json(&revoked);
            }
            screen.note(&match revoked.kind.as_str() {
                "client" => format!(
                    "Every token that {} was issued until now is revoked.",
                    revoked.id
                ),
                _ => format!("The token {} is revoked.", revoked.id),
            });
            Ok(())
        }
    }
}
