//! **Pushed authorization requests** (RFC 9126): a client sends its request itself, authenticated,
//! and gets a reference for the browser to carry. The request is held to the same table as one that
//! comes by the browser; its reference lives for a minute and is spent with the code.

use core::time::Duration;

use proof::base64url;
use proof::digest::TokenHash;
use serde::Serialize;

use crate::authorize::table::{Asked, Entrance, judge};
use crate::error::{Outcome, Reason};
use crate::flow::{Flows, Pushed};
use crate::metadata::Endpoint;
use crate::ports::{IssuerStore, People, Secrets};
use crate::sender::ProofCheck;
use crate::{Issuer, OAuthRequest};

/// What every reference begins with (RFC 9126 §2.2).
pub const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// Life of a reference.
pub const LIFE: Duration = Duration::from_secs(60);

/// Parameters of an authorization request, as they are kept: what authenticated the client is not
/// among them, nor anything that is not understood.
const KEPT: [&str; 18] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "scope",
    "resource",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "prompt",
    "max_age",
    "acr_values",
    "login_hint",
    "id_token_hint",
    "ui_locales",
    "claims",
    "dpop_jkt",
];

/// RFC 9126 §2.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushedResponse {
    /// The reference.
    pub request_uri: String,
    /// Its life in seconds.
    pub expires_in: u64,
}

/// The hash of a reference of ours; `None`: it is none.
pub(crate) fn reference(request_uri: &str) -> Option<TokenHash> {
    let random = request_uri.strip_prefix(REQUEST_URI_PREFIX)?;
    Some(TokenHash::of(random.as_bytes()))
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers a pushed authorization request.
    ///
    /// # Errors
    /// Those of client authentication, and of the table of checks, as JSON (RFC 9126 §2.3).
    pub async fn push(&self, request: &OAuthRequest<'_>) -> Outcome<PushedResponse> {
        // Before any credential is looked at: a client assertion must not be spent on an answer
        // that says "try again".
        if !self.can_record() {
            return Err(Reason::Unavailable.into());
        }
        let client = self.authenticate_client(request).await?;
        let client = client.shared();
        // RFC 9449 §10.1: a proof with the request says which key may redeem the code. None is
        // needed here, even of a client whose tokens are bound: it proves its key with the code.
        let check = ProofCheck {
            method: "POST",
            endpoint: Endpoint::PushedAuthorization,
            access_token: None,
            nonce: true,
        };
        let proof = self
            .check_proof(request.sender.dpop, check, request.now)
            .await?;
        let proof_key = proof.map(|proof| proof.thumbprint);
        let declared = self.declared();
        let asked = Asked {
            entrance: Entrance::Push,
            params: request.params,
            reference: None,
            authenticated: Some(client),
            proof_key: proof_key.as_deref(),
            declared: &declared,
            ring: &self.keys().ring(),
            issuer: self.endpoints().issuer(),
            now: request.now,
        };
        judge(&asked).map_err(crate::authorize::Stop::into_refusal)?;
        let mut random = [0u8; 32];
        self.entropy().fill(&mut random);
        let random = base64url::encode(&random);
        let pushed = Pushed {
            client_id: client.client_id.clone(),
            params: request.params.only(&KEPT),
            dpop_jkt: proof_key,
            until: request.now.plus(LIFE),
        };
        self.store()
            .push(TokenHash::of(random.as_bytes()), pushed)
            .await?;
        Ok(PushedResponse {
            request_uri: format!("{REQUEST_URI_PREFIX}{random}"),
            expires_in: LIFE.as_secs(),
        })
    }
}
