//! **The authorization endpoint** (RFC 6749 §3.1, OpenID Connect Core §3.1.2). A request is judged by
//! one table of checks ([`table`]) into an [`AuthorizationRequest`]; then the person comes into it
//! ([`person`]): login, consent, code. Nothing is written before a session is opened or a code
//! issued: what lies between travels sealed, as a ticket, in the pages.
//!
//! An error goes back to the client only once client and redirect URI were found good; until then
//! it is said to the person ([`Stop`]), so that this server sends nobody anywhere on a stranger's
//! word (threat F1).

mod claims;
mod client;
pub(crate) mod person;
pub mod table;
mod target;

use core::time::Duration;
use std::sync::Arc;

use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::profile::ResponseMode;
use serde::{Deserialize, Serialize};

pub use table::{Check, Entrance};

use crate::browser::ClientAnswer;
use crate::declared::RegisteredClient;
use crate::error::Refusal;

/// How long a request may lie on pages that are shown anew, all in all.
const LONGEST_INTERACTION: Duration = Duration::from_secs(3600);

/// Where answers go: made by the redirect URI's check only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnAddress {
    redirect_uri: String,
    form_post: bool,
    state: Option<String>,
}

impl ReturnAddress {
    /// A redirect URI of the client's own.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }
    /// How answers travel.
    pub fn mode(&self) -> ResponseMode {
        if self.form_post {
            ResponseMode::FormPost
        } else {
            ResponseMode::Query
        }
    }

    /// An answer to the client, with what every answer carries: `state` as it was sent, and `iss`
    /// against mix-up (RFC 9207 §2).
    fn answer(&self, mut params: Vec<(&'static str, String)>, issuer: &str) -> ClientAnswer {
        if let Some(state) = &self.state {
            params.push(("state", state.clone()));
        }
        params.push(("iss", issuer.to_owned()));
        ClientAnswer {
            redirect_uri: self.redirect_uri.clone(),
            mode: self.mode(),
            params,
        }
    }

    fn refuse(&self, refusal: &Refusal, issuer: &str) -> ClientAnswer {
        let reason = refusal.reason();
        let params = vec![
            ("error", reason.code().name().to_owned()),
            ("error_description", reason.description().to_owned()),
        ];
        self.answer(params, issuer)
    }
}

/// Why a request was not taken, and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The person, on a page.
    Direct(Refusal),
    /// The client, at this address.
    Redirect(Box<ReturnAddress>, Refusal),
}

impl Stop {
    /// Why.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::Direct(refusal) | Self::Redirect(_, refusal) => refusal,
        }
    }
    /// Why, where it is answered as JSON (RFC 9126 §2.3).
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Direct(refusal) | Self::Redirect(_, refusal) => refusal,
        }
    }
}

/// What `prompt` can ask for (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Show nothing.
    None,
    /// Log in, whether or not somebody is.
    Login,
    /// Ask, whether or not it was allowed before.
    Consent,
    /// Let the person say who they are.
    SelectAccount,
}

impl Prompt {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::None, Self::Login, Self::Consent, Self::SelectAccount];
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
        }
    }
    /// The one of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|prompt| prompt.name() == name)
    }
}

/// An authorization request that passed the whole table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    client_id: String,
    back: ReturnAddress,
    /// Whether `redirect_uri` was sent, so that the token request must repeat it.
    redirect_uri_sent: bool,
    /// Identity scopes and API scopes, in the order of the request.
    scopes: Vec<String>,
    audiences: Vec<String>,
    code_challenge: Option<String>,
    nonce: Option<String>,
    prompt: Vec<Prompt>,
    /// Seconds.
    max_age: Option<u64>,
    login_hint: Option<String>,
    /// The person that the request is about: `id_token_hint`, or `claims`.
    subject: Option<String>,
    ui_locales: Vec<String>,
    claims: Option<serde_json::Value>,
    dpop_jkt: Option<String>,
    /// The pushed request it came from.
    pushed: Option<TokenHash>,
    begun_at: Timestamp,
}

impl AuthorizationRequest {
    fn new(client: &RegisteredClient, back: ReturnAddress, sent: bool, now: Timestamp) -> Self {
        Self {
            client_id: client.client_id.as_str().to_owned(),
            back,
            redirect_uri_sent: sent,
            scopes: Vec::new(),
            audiences: Vec::new(),
            code_challenge: None,
            nonce: None,
            prompt: Vec::new(),
            max_age: None,
            login_hint: None,
            subject: None,
            ui_locales: Vec::new(),
            claims: None,
            dpop_jkt: None,
            pushed: None,
            begun_at: now,
        }
    }

    fn prompts(&self, prompt: Prompt) -> bool {
        self.prompt.contains(&prompt)
    }
}

/// A request and its client, as the client is declared now.
struct Begun {
    client: Arc<RegisteredClient>,
    request: AuthorizationRequest,
}
