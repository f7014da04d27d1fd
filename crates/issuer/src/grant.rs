//! **The token endpoint** (RFC 6749 §3.2): the phases that every grant shares stand here once, in
//! this order, so that a grant can't forget one: grant type, readiness, client authentication,
//! whether the client may use the grant, sender constraint; then the grant's own part.

mod client_credentials;
mod code;
mod device;
mod exchange;
mod issue;
mod refresh;
mod target;

use core::time::Duration;

use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::client::GrantType;
use serde::Serialize;

use crate::client::AuthenticatedClient;
use crate::declared::RegisteredClient;
use crate::error::{Outcome, Reason};
use crate::flow::{Binding, Flows, Grant};
use crate::metadata::Endpoint;
use crate::ports::{IssuerStore, People, Revocation, Secrets};
use crate::revoke::LONGEST_TOKEN;
use crate::{Issuer, OAuthRequest};

pub use device::DeviceResponse;
pub(crate) use refresh::{refresh_key, refresh_token};
pub(crate) use target::is_scope_token;

/// Life of a refresh token that is not used.
pub const REFRESH_IDLE: Duration = Duration::from_secs(14 * 24 * 3600);

/// The only type of token that is issued as an access token and exchanged (RFC 8693 §3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A successful answer of the token endpoint (RFC 6749 §5.1). It holds bearer tokens, so it has
/// no `Debug`.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// How to use it: `Bearer` (RFC 6750) or `DPoP` (RFC 9449).
    pub token_type: &'static str,
    /// Its life in seconds.
    pub expires_in: u64,
    /// RFC 8693 §2.2.1, of an exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// The refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The ID token (OpenID Connect Core §3.1.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// Its scopes, divided by spaces; absent if it has none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub scope: String,
}

/// A token request after the shared phases.
struct Asked<'a> {
    request: &'a OAuthRequest<'a>,
    client: AuthenticatedClient,
    /// What its tokens will be bound to.
    binding: Option<Binding>,
}

impl Asked<'_> {
    fn client(&self) -> &RegisteredClient {
        self.client.client()
    }
    fn param(&self, name: &str) -> Option<&str> {
        self.request.params.one(name)
    }
    fn now(&self) -> Timestamp {
        self.request.now
    }
    /// RFC 6749 §5.1: how the access token is used.
    fn token_type(&self) -> &'static str {
        match self.binding {
            Some(Binding::Jkt(_)) => "DPoP",
            Some(Binding::Certificate(_)) | None => "Bearer",
        }
    }
    /// Whether the sender held a key: a client that proved itself, or a public one's DPoP key.
    fn is_bound_or_authenticated(&self) -> bool {
        !self.client().is_public() || self.binding.is_some()
    }
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers a token request.
    ///
    /// # Errors
    /// [`crate::error::Refusal`] with a code of RFC 6749 §5.2, RFC 8628 §3.5, RFC 8707 §2 or
    /// RFC 9449 §5.
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
        if !client.client().may_use(grant) {
            return Err(Reason::GrantNotAllowed.into());
        }
        let binding = self.bind(request, client.client(), Endpoint::Token).await?;
        let asked = Asked {
            request,
            client,
            binding,
        };
        match grant {
            GrantType::ClientCredentials => self.client_credentials(&asked).await,
            GrantType::AuthorizationCode => self.authorization_code(&asked).await,
            GrantType::RefreshToken => self.refresh(&asked).await,
            GrantType::DeviceCode => self.device_code(&asked).await,
            GrantType::TokenExchange => self.exchange(&asked).await,
        }
    }

    /// An audit event of a grant.
    fn draft(&self, asked: &Asked<'_>, action: &'static str, subject: String) -> AuditDraft {
        AuditDraft {
            id: proof::random::uuid_v7(asked.now(), self.entropy()),
            at: asked.now(),
            actor: format!("client:{}", asked.client().client_id),
            action,
            subject,
            request_id: asked.request.request_id.to_owned(),
            details: std::collections::BTreeMap::new(),
        }
    }

    /// A grant ended just now: its tokens are dead on this node at once, elsewhere when the bus
    /// tells.
    pub(crate) fn learn_ended(&self, grant: &Grant, now: Timestamp) {
        self.revocations().learn(&Revocation::Grant {
            grant_id: grant.id.clone(),
            until: now.plus(LONGEST_TOKEN).plus(self.leeway().0),
        });
    }
}
