//! **What pages show**: plain data, cleaned for the eye. Texts of clients are shortened and lose
//! whatever would change the direction or the place of the text around them; links are `http` or
//! `https`, or absent.

use serde::Serialize;

/// Longest text of a client on a page, in characters.
const MAX_SHOWN: usize = 80;

/// One page with its data. Its field names are what templates read.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Page {
    /// User name and password.
    Login(Login),
    /// What a client asks for.
    Consent(Consent),
    /// RFC 8628 §3.3: the code that a device shows.
    DeviceEnter(DeviceEnter),
    /// RFC 8628 §3.3: is it this device?
    DeviceConfirm(DeviceConfirm),
    /// The device knows.
    Done(Done),
    /// OpenID Connect RP-Initiated Logout §2: really?
    LogoutConfirm(LogoutConfirm),
    /// The session is over, or it stays.
    LoggedOut(LoggedOut),
    /// Something that no client may be told by redirect.
    Error(ErrorShown),
    /// OAuth 2.0 Form Post Response Mode.
    FormPost(FormPost),
}

impl Page {
    /// Its name, in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Login(_) => "login",
            Self::Consent(_) => "consent",
            Self::DeviceEnter(_) => "device-enter",
            Self::DeviceConfirm(_) => "device-confirm",
            Self::Done(_) => "done",
            Self::LogoutConfirm(_) => "logout-confirm",
            Self::LoggedOut(_) => "logged-out",
            Self::Error(_) => "error",
            Self::FormPost(_) => "form-post",
        }
    }

    pub(super) const fn template(&self) -> &'static str {
        match self {
            Self::Login(_) => "login.html",
            Self::Consent(_) => "consent.html",
            Self::DeviceEnter(_) => "device-enter.html",
            Self::DeviceConfirm(_) => "device-confirm.html",
            Self::Done(_) => "done.html",
            Self::LogoutConfirm(_) => "logout-confirm.html",
            Self::LoggedOut(_) => "logged-out.html",
            Self::Error(_) => "error.html",
            Self::FormPost(_) => "form-post.html",
        }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Error(error) => error.status,
            Self::Login(Login {
                problem: Some(LoginProblem::Throttled),
                ..
            })
            | Self::DeviceEnter(DeviceEnter {
                problem: Some(DeviceProblem::Throttled),
                ..
            }) => 429,
            Self::Login(Login {
                problem: Some(LoginProblem::Unavailable),
                ..
            }) => 503,
            _ => 200,
        }
    }

    /// Where the answer to this page's form may send the browser, beside ourselves.
    pub(super) fn leads_to(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Login(page) => page.leads_to.as_deref(),
            Self::Consent(page) => page.leads_to.as_deref(),
            Self::LogoutConfirm(page) => page.leads_to.as_deref(),
            Self::FormPost(page) => Some(page.action.as_str()),
            Self::DeviceEnter(_)
            | Self::DeviceConfirm(_)
            | Self::Done(_)
            | Self::LoggedOut(_)
            | Self::Error(_) => None,
        }
        .into_iter()
    }

    /// Whether no client's window waits for this page: a client may have opened the others as a
    /// pop-up, and would lose it.
    pub(super) const fn stands_alone(&self) -> bool {
        matches!(
            self,
            Self::DeviceEnter(_) | Self::DeviceConfirm(_) | Self::Done(_)
        )
    }
}

/// A client, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Client {
    name: String,
    client_uri: Option<String>,
    policy_uri: Option<String>,
    tos_uri: Option<String>,
}

impl Client {
    /// A client by its display name.
    pub fn named(name: &str) -> Self {
        Self {
            name: shown(name),
            client_uri: None,
            policy_uri: None,
            tos_uri: None,
        }
    }
    /// With the links of RFC 7591 §2: `client_uri`, `policy_uri`, `tos_uri`.
    #[must_use]
    pub fn with_links(
        self,
        client_uri: Option<&str>,
        policy_uri: Option<&str>,
        tos_uri: Option<&str>,
    ) -> Self {
        Self {
            client_uri: client_uri.and_then(link),
            policy_uri: policy_uri.and_then(link),
            tos_uri: tos_uri.and_then(link),
            ..self
        }
    }
}

/// The login page.
#[derive(Debug, Clone, Serialize)]
pub struct Login {
    /// Who asks; nobody when a device is being connected.
    pub client: Option<Client>,
    /// Carries the request through the form.
    pub ticket: String,
    /// Filled in already; empty if unknown.
    pub username: String,
    /// Who is signed in already, and may go on without a password.
    pub account: Option<String>,
    /// Why it is asked although somebody is signed in.
    pub reason: Option<LoginReason>,
    /// What was wrong before.
    pub problem: Option<LoginProblem>,
    /// Where the answer may go, beside ourselves.
    #[serde(skip)]
    pub leads_to: Option<String>,
}

/// Why the login page asks although somebody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginReason {
    /// The client wants to be sure that it is them.
    Again,
    /// The client is about somebody else.
    AnotherPerson,
    /// Somebody used an old token of the client.
    Reused,
}

/// What the login page says went wrong. Nothing tells whether an account exists (threat F8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginProblem {
    /// The user name and the password do not match.
    Refused,
    /// Too many attempts.
    Throttled,
    /// The page was too old, or another browser's.
    Expired,
    /// We can't look now.
    Unavailable,
}

/// A scope, in the words of its API.
#[derive(Debug, Clone, Serialize)]
pub struct Scope {
    /// As it is requested.
    pub name: String,
    /// What it allows.
    pub text: String,
    /// It can't be left out.
    pub required: bool,
}

/// The scopes of one API.
#[derive(Debug, Clone, Serialize)]
pub struct ScopeGroup {
    /// The API's name for people; none for the scopes of identity.
    pub api: Option<String>,
    /// Its scopes.
    pub scopes: Vec<Scope>,
}

/// The consent page.
#[derive(Debug, Clone, Serialize)]
pub struct Consent {
    /// Who asks.
    pub client: Client,
    /// Who is asked.
    pub person: String,
    /// Carries the request through the form.
    pub ticket: String,
    /// What is asked for.
    pub groups: Vec<ScopeGroup>,
    /// Whether any of it can be left out.
    pub optional: bool,
    /// Where the person goes afterwards, for the eye.
    pub destination: String,
    /// Whether the person must be told that somebody used an old token of the client.
    pub reused: bool,
    /// Where the answer may go, beside ourselves.
    #[serde(skip)]
    pub leads_to: Option<String>,
}

/// The page that asks for a device's code.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceEnter {
    /// Carries the request through the form.
    pub ticket: String,
    /// Who is signed in.
    pub person: String,
    /// Filled in already; empty if unknown.
    pub user_code: String,
    /// What was wrong before.
    pub problem: Option<DeviceProblem>,
}

/// What the page for a device's code says went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceProblem {
    /// No device waits with this code.
    Unknown,
    /// Too many attempts.
    Throttled,
    /// The page was too old, or another browser's.
    Expired,
}

/// The page that shows what a device would get.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceConfirm {
    /// The client on the device.
    pub client: Client,
    /// Who is asked.
    pub person: String,
    /// The code, as the device shows it.
    pub user_code: String,
    /// The address that the device has, if it is worth showing.
    pub address: Option<String>,
    /// As on the consent page.
    pub reused: bool,
    /// Carries the request through the form.
    pub ticket: String,
    /// What it asks for.
    pub groups: Vec<ScopeGroup>,
}

/// The end of connecting a device.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// What the person decided.
    pub allowed: bool,
}

/// The page that asks whether to sign out.
#[derive(Debug, Clone, Serialize)]
pub struct LogoutConfirm {
    /// Who asks, if it is known.
    pub client_name: Option<String>,
    /// Who is signed in.
    pub person: String,
    /// Carries the request through the form.
    pub ticket: String,
    /// Where the answer may go, beside ourselves.
    #[serde(skip)]
    pub leads_to: Option<String>,
}

/// The end of signing out.
#[derive(Debug, Clone, Serialize)]
pub struct LoggedOut {
    /// Whether the session is over.
    pub signed_out: bool,
}

/// What a person is shown when no client may be told.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorShown {
    /// `error`, in the standard's words.
    pub error: String,
    /// `error_description`.
    pub description: String,
    /// Whether the fault is on our side.
    pub ours: bool,
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
}

impl ErrorShown {
    /// An error with the status that fits it.
    pub fn new(error: &str, description: &str, status: u16) -> Self {
        Self {
            error: error.to_owned(),
            description: description.trim_end_matches('.').to_owned(),
            ours: status >= 500,
            status,
        }
    }
}

/// A page that carries the answer to the client as a form.
#[derive(Debug, Clone, Serialize)]
pub struct FormPost {
    /// The redirect URI.
    pub action: String,
    /// For the eye.
    pub destination: String,
    /// The answer's parameters.
    pub fields: Vec<Field>,
}

/// A hidden field.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FormPost {
    /// The page for an answer.
    pub fn new<'a>(
        redirect_uri: &str,
        params: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self {
            action: redirect_uri.to_owned(),
            destination: destination(redirect_uri),
            fields: params
                .into_iter()
                .map(|(name, value)| Field {
                    name: name.to_owned(),
                    value: value.to_owned(),
                })
                .collect(),
        }
    }
}

/// A text of somebody else's, fit to stand among ours.
pub(crate) fn shown(text: &str) -> String {
    let mut clean: String = text
        .chars()
        .filter(|c| {
            !c.is_control()
                // Marks, overrides and isolates of direction, and what takes no room.
                && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
        })
        .take(MAX_SHOWN + 1)
        .collect();
    if clean.chars().count() > MAX_SHOWN {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// A link that may be shown.
fn link(uri: &str) -> Option<String> {
    (uri.starts_with("https://") || uri.starts_with("http://")).then(|| uri.to_owned())
}

/// The host of a redirect URI, or the scheme of an app's own.
fn destination(redirect_uri: &str) -> String {
    match redirect_uri.split_once(':') {
        Some(("http" | "https", rest)) => shown(
            rest.trim_start_matches('/')
                .split(['/', '?', '#'])
                .next()
                .unwrap_or_default(),
        ),
        Some((scheme, _)) => shown(scheme),
        None => shown(redirect_uri),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_name_can_not_turn_the_text_around_it() {
        assert_eq!(shown("Bank\u{202e}evil\u{200b}\n"), "Bankevil");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), MAX_SHOWN + 1);
    }

    #[test]
    fn a_link_with_a_scheme_that_runs_is_not_shown() {
        let client = Client::named("App").with_links(
            Some("javascript:alert(1)"),
            Some("data:text/html,x"),
            Some("https://app.example/terms"),
        );
        assert_eq!(client.client_uri, None);
        assert_eq!(client.policy_uri, None);
        assert_eq!(client.tos_uri.as_deref(), Some("https://app.example/terms"));
    }

    #[test]
    fn a_destination_is_a_host_or_a_scheme() {
        assert_eq!(destination("https://app.example/cb?a"), "app.example");
        assert_eq!(destination("http://127.0.0.1:4711/"), "127.0.0.1:4711");
        assert_eq!(destination("com.example.app:/cb"), "com.example.app");
    }
}
