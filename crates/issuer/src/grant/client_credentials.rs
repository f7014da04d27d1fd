//! **Client credentials** (RFC 6749 §4.4): a client gets a token for itself. No row is written for a
//! JWT, one for an opaque token; a revocation names the `jti` or the client's epoch.

use std::sync::Arc;

use super::{Asked, TokenResponse, target};
use crate::Issuer;
use crate::access::{AccessToken, Subject};
use crate::error::Outcome;
use crate::ports::{IssuerStore, Secrets};

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    pub(super) async fn client_credentials(&self, asked: &Asked<'_>) -> Outcome<TokenResponse> {
        let client = asked.client();
        let target = target::narrow(client, asked.request.params)?;
        let scope = join(&target.scopes);
        let token = AccessToken {
            issuer: self.endpoints().issuer(),
            client,
            subject: Subject::client(client),
            audiences: &target.audiences,
            scope: &scope,
            issued_at: asked.now(),
            lifetime: target.lifetime,
            token_id: &proof::random::uuid_v7(asked.now(), self.entropy()),
            binding: asked.binding.as_ref(),
            act: None,
        };
        let made = self.make_token(&token, &target.form)?;
        if let Some(kept) = made.kept {
            self.store().keep_token(kept).await?;
        }
        Ok(TokenResponse {
            access_token: made.text,
            token_type: asked.token_type(),
            expires_in: target.lifetime.as_secs(),
            issued_token_type: None,
            refresh_token: None,
            id_token: None,
            scope,
        })
    }
}

fn join(scopes: &[Arc<str>]) -> String {
    let mut text = String::with_capacity(scopes.iter().map(|scope| scope.len() + 1).sum());
    for scope in scopes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope);
    }
    text
}
