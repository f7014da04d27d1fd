//! **The table of checks**: every check of an authorization request, in order, each with the section
//! it obeys. The authorization endpoint and the pushed authorization request endpoint walk the same
//! table; an entry says where it holds, and to whom its error goes.

use std::sync::Arc;

use proof::digest::TokenHash;
use proof::time::Timestamp;

use super::{AuthorizationRequest, Stop, claims, client, target};
use crate::declared::{Declared, RegisteredClient};
use crate::error::{Outcome, Reason};
use crate::flow::Pushed;
use crate::keys::KeyRing;
use crate::params::Params;

/// Where a request comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entrance {
    /// `/oauth/authorize`, by a browser.
    Authorize,
    /// `/oauth/par`, by the client itself.
    Push,
}

impl Entrance {
    /// Every entrance.
    pub const ALL: [Self; 2] = [Self::Authorize, Self::Push];
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Push => "push",
        }
    }
}

/// Who hears of a check's error at the authorization endpoint. At the other entrance it is always
/// the client, as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    /// The person, on a page.
    Person,
    /// The client, by redirect.
    Client,
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = ($text:literal, $section:literal, $told:ident, [$($entrance:ident),+]),)*) => {
        /// One check of an authorization request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Check { $($(#[$doc])* $name,)* }
        impl Check {
            /// Every check, in the order in which they are made.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its name in logs and tables.
            pub const fn name(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            /// What it obeys.
            pub const fn section(self) -> &'static str { match self { $(Self::$name => $section,)* } }
            /// Who hears of its error.
            pub const fn told(self) -> Told { match self { $(Self::$name => Told::$told,)* } }
            /// Where it is made.
            pub const fn entrances(self) -> &'static [Entrance] {
                match self { $(Self::$name => &[$(Entrance::$entrance),+],)* }
            }
        }
    };
}

checks! {
    /// `client_id` names a client.
    Client = ("client", "RFC 6749 §4.1.1, §3.1.2.4", Person, [Authorize, Push]),
    /// Our `request_uri` stands for a request that this client pushed, and that is not over. From
    /// here on the pushed parameters count, and no others (RFC 9101 §6.3).
    PushedRequest = ("pushed-request", "RFC 9126 §4", Person, [Authorize]),
    /// `redirect_uri` is one of the client's, as an exact string; a native client's loopback port
    /// may differ. From here on errors go to the client.
    RedirectUri = ("redirect-uri", "RFC 9700 §4.1.3, RFC 8252 §7.3, RFC 6749 §3.1.2.3", Person, [Authorize, Push]),
    /// `state` is of a size that can be carried. First, so that every other error carries it.
    State = ("state", "RFC 6749 §4.1.1", Client, [Authorize, Push]),
    /// `response_mode` is `query` or `form_post`. Early, so that every other error travels by it.
    ResponseMode = ("response-mode", "OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response Mode §2", Client, [Authorize, Push]),
    /// No `request`, no foreign `request_uri`, no `registration`.
    RequestObject = ("request-object", "OpenID Connect Core §6, §7.2.1, RFC 9126 §2.1", Client, [Authorize, Push]),
    /// `response_type` is `code`.
    ResponseType = ("response-type", "RFC 6749 §3.1.1, RFC 9700 §2.1.2", Client, [Authorize, Push]),
    /// The client may use the authorization code grant.
    Grant = ("grant", "RFC 6749 §4.1.2.1, RFC 7591 §2", Client, [Authorize, Push]),
    /// The request was pushed, where client or profile demand it.
    PushDemanded = ("push-demanded", "RFC 9126 §5, FAPI 2.0 §5.3.2.2", Client, [Authorize]),
    /// PKCE with S256; demanded of all but `oidc_compat`'s confidential clients. What has a
    /// challenge is held to it, so nothing can be downgraded.
    Pkce = ("pkce", "RFC 7636 §4.3, RFC 9700 §2.1.1, FAPI 2.0 §5.3.2.2", Client, [Authorize, Push]),
    /// Every `resource` is an API that the client is granted.
    Resource = ("resource", "RFC 8707 §2", Client, [Authorize, Push]),
    /// Every scope is granted, and belongs to one API.
    Scope = ("scope", "RFC 6749 §3.3, OpenID Connect Core §5.4, §11", Client, [Authorize, Push]),
    /// `nonce` is of a size that can be carried, and there where the profile demands it.
    Nonce = ("nonce", "OpenID Connect Core §3.1.2.1", Client, [Authorize, Push]),
    /// `prompt` is known, and `none` stands alone.
    Prompt = ("prompt", "OpenID Connect Core §3.1.2.1", Client, [Authorize, Push]),
    /// `max_age` is a number of seconds; the client's default otherwise.
    MaxAge = ("max-age", "OpenID Connect Core §3.1.2.1", Client, [Authorize, Push]),
    /// `acr_values` is a list. It is a wish; what was reached stands in the ID token.
    AcrValues = ("acr-values", "OpenID Connect Core §3.1.2.1", Client, [Authorize, Push]),
    /// `login_hint` fits into a field.
    LoginHint = ("login-hint", "OpenID Connect Core §3.1.2.1", Client, [Authorize, Push]),
    /// `id_token_hint` was issued by us to this client; an expired one is taken.
    IdTokenHint = ("id-token-hint", "OpenID Connect Core §3.1.2.1, §3.1.2.2", Client, [Authorize, Push]),
    /// `ui_locales` is a list of language tags.
    UiLocales = ("ui-locales", "OpenID Connect Core §3.1.2.1", Client, [Authorize, Push]),
    /// `claims` has its shape, and what it calls essential about the login can be had.
    Claims = ("claims", "OpenID Connect Core §5.5", Client, [Authorize, Push]),
    /// `dpop_jkt` is a thumbprint, and that of the proof beside it.
    DpopJkt = ("dpop-jkt", "RFC 9449 §10", Client, [Authorize, Push]),
}

impl Check {
    /// Whether it is made at an entrance.
    pub fn holds_at(self, entrance: Entrance) -> bool {
        self.entrances().contains(&entrance)
    }
}

/// A `request_uri` of ours, looked up.
pub(crate) struct Reference {
    pub(crate) hash: TokenHash,
    pub(crate) pushed: Option<Pushed>,
}

/// A request, and all that its checks may know. The table asks nobody and waits for nothing.
pub(crate) struct Asked<'a> {
    pub(crate) entrance: Entrance,
    pub(crate) params: &'a Params<'a>,
    /// What `request_uri` stands for, if it is one of ours.
    pub(crate) reference: Option<&'a Reference>,
    /// The client that authenticated itself, where it does.
    pub(crate) authenticated: Option<&'a Arc<RegisteredClient>>,
    /// The key of the DPoP proof that came with it.
    pub(crate) proof_key: Option<&'a str>,
    pub(crate) declared: &'a Declared,
    pub(crate) ring: &'a KeyRing,
    pub(crate) issuer: &'a str,
    pub(crate) now: Timestamp,
}

/// What the checks after the first three look at.
pub(super) struct Subject<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) client: &'a Arc<RegisteredClient>,
    /// The parameters that count: those sent, or those pushed.
    pub(super) params: &'a Params<'a>,
}

/// Walks the table.
pub(crate) fn judge(
    asked: &Asked<'_>,
) -> Result<(Arc<RegisteredClient>, AuthorizationRequest), Stop> {
    // The first three make what the others stand on: a client, its parameters, an address.
    let client = client::client(asked).map_err(Stop::Direct)?;
    let pushed = client::pushed(asked, &client).map_err(Stop::Direct)?;
    let resolved = pushed.map(|pushed| Params::of(&pushed.params));
    let params = resolved.as_ref().unwrap_or(asked.params);
    let (back, sent) = client::redirect_uri(&client, params).map_err(Stop::Direct)?;

    let mut request = AuthorizationRequest::new(&client, back, sent, asked.now);
    request.pushed = asked.reference.map(|reference| reference.hash);
    let subject = Subject {
        asked,
        client: &client,
        params,
    };
    for check in Check::ALL.iter().filter(|c| c.holds_at(asked.entrance)) {
        run(*check, &subject, &mut request)
            .map_err(|refusal| Stop::Redirect(Box::new(request.back.clone()), refusal))?;
    }
    Ok((client, request))
}

fn run(check: Check, subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    match check {
        // Made above: they yield what the others stand on.
        Check::Client | Check::PushedRequest | Check::RedirectUri => Ok(()),
        Check::State => client::state(subject, request),
        Check::ResponseMode => client::response_mode(subject, request),
        Check::RequestObject => client::request_object(subject),
        Check::ResponseType => client::response_type(subject),
        Check::Grant => client::grant(subject),
        Check::PushDemanded => client::push_demanded(subject),
        Check::Pkce => client::pkce(subject, request),
        Check::Resource => target::resource(subject, request),
        Check::Scope => target::scope(subject, request),
        Check::Nonce => claims::nonce(subject, request),
        Check::Prompt => claims::prompt(subject, request),
        Check::MaxAge => claims::max_age(subject, request),
        Check::AcrValues => claims::acr_values(subject),
        Check::LoginHint => claims::login_hint(subject, request),
        Check::IdTokenHint => claims::id_token_hint(subject, request),
        Check::UiLocales => claims::ui_locales(subject, request),
        Check::Claims => claims::claims(subject, request),
        Check::DpopJkt => client::dpop_jkt(subject, request),
    }
}

impl Subject<'_> {
    /// A parameter of at most `longest` bytes.
    pub(super) fn bounded(
        &self,
        name: &str,
        longest: usize,
        reason: Reason,
    ) -> Outcome<Option<&str>> {
        match self.params.one(name) {
            Some(value) if value.len() > longest => Err(reason.into()),
            value => Ok(value),
        }
    }
}
