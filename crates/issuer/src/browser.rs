//! **What a browser gets next.** A person is led through pages that others render; here stands what
//! each page must know, as plain data. Nothing here is HTML, a cookie or a status line, and a page
//! holds no secret but its ticket.

use core::net::IpAddr;

use proof::digest::TokenHash;
use proof::secret::Secret;
use registry::profile::ResponseMode;

use crate::declared::RegisteredClient;
use crate::error::{ErrorCode, Refusal};

/// The browser that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Browser<'a> {
    /// SHA-256 of the browser's own cookie; a ticket opens for this browser only.
    pub binding: TokenHash,
    /// SHA-256 of the session cookie, if it sent one.
    pub session: Option<TokenHash>,
    /// Its address.
    pub address: IpAddr,
    /// `User-Agent`; shortened before it is kept.
    pub agent: &'a str,
}

/// What the browser gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The way back to the client.
    Answer(ClientAnswer),
    /// The login page.
    Login(LoginPage),
    /// The consent page.
    Consent(ConsentPage),
    /// The page that asks for a device's code.
    DeviceEnter(DeviceEnterPage),
    /// The page that asks whether the device may.
    DeviceConfirm(DeviceConfirmPage),
    /// The page that asks whether to log out.
    LogoutConfirm(LogoutConfirmPage),
    /// It is done, and nobody waits for an answer.
    Done(Done),
    /// Something is wrong, and it is said to the person: never a redirect.
    Error(ErrorPage),
}

/// An authorization response (RFC 6749 §4.1.2), or the way back after a logout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAnswer {
    /// Where to: registered, and compared as an exact string.
    pub redirect_uri: String,
    /// How it travels.
    pub mode: ResponseMode,
    /// What it says; for a form, its hidden fields.
    pub params: Vec<(&'static str, String)>,
}

impl ClientAnswer {
    /// The value of `Location` for [`ResponseMode::Query`]: RFC 6749 §4.1.2 adds to the query that the
    /// redirect URI may have, and keeps it.
    pub fn location(&self) -> String {
        if self.params.is_empty() {
            return self.redirect_uri.clone();
        }
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.params)
            .finish();
        let joint = match self.redirect_uri.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        format!("{}{joint}{query}", self.redirect_uri)
    }
}

/// The client, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// Its `client_id`.
    pub client_id: String,
    /// Its name.
    pub name: String,
    /// Its page.
    pub client_uri: Option<String>,
    /// Its picture.
    pub logo_uri: Option<String>,
    /// What it does with people's data.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
}

impl ClientView {
    pub(crate) fn of(client: &RegisteredClient) -> Self {
        Self {
            client_id: client.client_id.as_str().to_owned(),
            name: client.display_name.clone(),
            client_uri: client.client_uri.clone(),
            logo_uri: client.logo_uri.clone(),
            policy_uri: client.policy_uri.clone(),
            tos_uri: client.tos_uri.clone(),
        }
    }
}

/// What a login page has to say before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginNotice {
    /// User name or password is wrong; which one is not said (F8).
    Wrong,
    /// Too many failures; later again.
    Throttled,
    /// It can't be found out at the moment; in a moment again.
    NotNow,
    /// The page was too old, or another browser's; here is a new one.
    Anew,
    /// The client asks to log in again.
    Again,
    /// The client is about another person than the one who is logged in.
    AnotherPerson,
    /// Somebody used an old token of the client; its access was ended.
    Reused,
}

impl LoginNotice {
    /// Every notice.
    pub const ALL: [Self; 7] = [
        Self::Wrong,
        Self::Throttled,
        Self::NotNow,
        Self::Anew,
        Self::Again,
        Self::AnotherPerson,
        Self::Reused,
    ];
}

/// The login page: posts `ticket`, `username`, `password`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPage {
    /// To be posted back unchanged.
    pub ticket: String,
    /// The client that asks; `None` for the device page and others of ours.
    pub client: Option<ClientView>,
    /// What the field `username` holds already.
    pub username: String,
    /// The person who is logged in and may go on as they are ([`crate::Issuer::go_on`]): with
    /// `prompt=select_account`.
    pub account: Option<String>,
    /// What it has to say.
    pub notice: Option<LoginNotice>,
    /// `ui_locales`, the preferred first.
    pub locales: Vec<String>,
    /// Where the answer may lead, as an address: browsers hold redirects after a form against the
    /// page's `form-action`.
    pub leads_to: Option<String>,
}

/// One scope on the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentScope {
    /// Its name: the value of the field `scope`.
    pub name: String,
    /// The API it belongs to, by name; `None`: an identity scope.
    pub api: Option<String>,
    /// What it means, in the API's own words; empty if it has none.
    pub words: String,
    /// Whether there is nothing left without it: `openid` where the request is for a login.
    pub required: bool,
    /// Whether it was allowed before.
    pub remembered: bool,
}

/// The consent page: posts `ticket`, `decision` (`allow` or `deny`) and a `scope` for each allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentPage {
    /// To be posted back unchanged.
    pub ticket: String,
    /// The client that asks.
    pub client: ClientView,
    /// The person who is asked, by name.
    pub person: String,
    /// What is asked for.
    pub scopes: Vec<ConsentScope>,
    /// The host, or the private scheme, that the person is sent back to.
    pub destination: String,
    /// Whether somebody used an old token of the client, and the person was not told yet.
    pub reused: bool,
    /// `ui_locales`, the preferred first.
    pub locales: Vec<String>,
    /// As on the login page; always known here.
    pub leads_to: String,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, to these scopes.
    Allow {
        /// Those that were ticked.
        scopes: Vec<String>,
    },
    /// No.
    Deny,
}

/// Why the device page asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceNotice {
    /// No device waits under this code.
    Unknown,
    /// Too many wrong codes; later again.
    Throttled,
    /// The page was too old, or another browser's.
    Anew,
}

/// The page that asks for a device's code (RFC 8628 §3.3): posts `ticket` and `user_code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceEnterPage {
    /// To be posted back unchanged.
    pub ticket: String,
    /// The person who is logged in.
    pub person: String,
    /// What the field `user_code` holds already.
    pub user_code: String,
    /// What it has to say.
    pub notice: Option<DeviceNotice>,
}

/// The page that asks whether the device may: posts `ticket`, `decision` and `scope`s, as the
/// consent page does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfirmPage {
    /// To be posted back unchanged.
    pub ticket: String,
    /// The client on the device.
    pub client: ClientView,
    /// The person who is asked.
    pub person: String,
    /// The code, as the device shows it (`ABCD-EFGH`): to be compared (RFC 8628 §5.4).
    pub user_code: String,
    /// The address that the device has.
    pub address: String,
    /// As on the consent page.
    pub reused: bool,
    /// What is asked for.
    pub scopes: Vec<ConsentScope>,
}

/// The page that asks whether to log out: posts `ticket` and `decision` (`logout` or `stay`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutConfirmPage {
    /// To be posted back unchanged.
    pub ticket: String,
    /// The client that asks, if it said who it is.
    pub client: Option<ClientView>,
    /// The person who is logged in.
    pub person: String,
    /// As on the login page.
    pub leads_to: Option<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Done {
    /// The device may; it goes on by itself.
    DeviceAllowed,
    /// The device may not.
    DeviceDenied,
    /// The person is logged out.
    LoggedOut,
    /// The person stays logged in.
    StillLoggedIn,
}

impl Done {
    /// Everything that can be done.
    pub const ALL: [Self; 4] = [
        Self::DeviceAllowed,
        Self::DeviceDenied,
        Self::LoggedOut,
        Self::StillLoggedIn,
    ];
}

/// Something is wrong, and it can only be said to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// HTTP status: 400, or what [`ErrorCode::status`] says.
    pub status: u16,
    /// The standard's word.
    pub error: ErrorCode,
    /// A sentence in the standard's words.
    pub description: &'static str,
    /// The reason's name and cause, for the log; never shown.
    pub refusal: Refusal,
    /// Where to start again, if that is known: the client's own page.
    pub again: Option<String>,
    /// Joins the page to the log.
    pub request_id: String,
}

/// A session that was opened: its handle goes into the session cookie, and nowhere else.
#[derive(Debug)]
pub struct NewSession {
    /// 256 random bits, base64url.
    pub handle: Secret,
}

/// A page that says what was wrong.
pub fn error_page(refusal: Refusal, again: Option<String>, request_id: &str) -> Step {
    let error = refusal.reason().code();
    Step::Error(ErrorPage {
        status: error.status(),
        error,
        description: refusal.reason().description(),
        refusal,
        again,
        request_id: request_id.to_owned(),
    })
}

/// What people are shown of a redirect URI: its host, or its scheme if that is a private one.
pub(crate) fn destination(redirect_uri: &str) -> String {
    let Ok(url) = url::Url::parse(redirect_uri) else {
        return String::new();
    };
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) => host.to_owned(),
        (scheme, _) => scheme.to_owned(),
    }
}
