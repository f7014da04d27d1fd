//! **The token endpoint** (RFC 6749 §3.2): the phases that every grant shares stand here once, in
//! this order, so that a grant can't forget one: grant type, readiness, client authentication,
//! then the grant's own part.

mod client_credentials;
mod target;

pub(crate) use target::is_scope_token;

use serde::Serialize;

use crate::error::{Outcome, Reason};
use crate::ports::{IssuerStore, Secrets};
use crate::{Issuer, OAuthRequest};

/// Grants that work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// RFC 6749 §4.4.
    ClientCredentials,
}

impl GrantType {
    /// Every grant, for discovery, docs and tests to walk.
    pub const ALL: [Self; 1] = [Self::ClientCredentials];

    /// The value of `grant_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// The grant of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// A successful answer of the token endpoint (RFC 6749 §5.1). It holds a bearer token, so it has
/// no `Debug`.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// How to use it: `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// Its life in seconds.
    pub expires_in: u64,
    /// Its scopes, divided by spaces; absent if it has none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub scope: String,
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// Answers a token request.
    ///
    /// # Errors
    /// [`crate::error::Refusal`] with a code of RFC 6749 §5.2 or RFC 8707 §2.
    pub async fn token(&self, request: &OAuthRequest<'_>) -> Outcome<TokenResponse> {
        let name = request
            .params
            .one("grant_type")
            .ok_or(Reason::GrantTypeMissing)?;
        let grant = GrantType::from_name(name).ok_or(Reason::GrantTypeUnknown)?;
        // Before any credential is looked at: nothing is issued that could not be recorded, and a
        // client assertion must not be spent on an answer that says "try again".
        if !self.can_record() {
            return Err(Reason::Unavailable.into());
        }
        let client = self.authenticate_client(request).await?;
        match grant {
            GrantType::ClientCredentials => self.client_credentials(request, &client),
        }
    }
}
