//! **From a step to a page**: the issuer says what the person must see, here it gets its words.

use issuer::browser::{
    ClientView, ConsentScope, DeviceNotice, Done as DoneStep, LoginNotice, Step,
};
use registry::client::IdentityScope;
use registry::profile::ResponseMode;

use crate::pages::{
    Client, Consent, DeviceConfirm, DeviceEnter, DeviceProblem, Done, ErrorShown, FormPost,
    LoggedOut, Login, LoginProblem, LoginReason, LogoutConfirm, Page, Scope, ScopeGroup,
};

/// What the browser gets: a page, or the way to somewhere else.
pub(super) enum Next {
    /// A page.
    Page(Box<Page>),
    /// `303 See Other` (RFC 9110 §15.4.4): a form's answer must not be sent on (RFC 9700 §4.12).
    Away(String),
}

/// What a step looks like.
pub(super) fn next(step: Step) -> Next {
    Next::Page(Box::new(match step {
        Step::Answer(answer) if answer.mode == ResponseMode::FormPost => {
            let params = answer
                .params
                .iter()
                .map(|(name, value)| (*name, value.as_str()));
            Page::FormPost(FormPost::new(&answer.redirect_uri, params))
        }
        Step::Answer(answer) => return Next::Away(answer.location()),
        Step::Login(page) => {
            let (problem, reason) = match page.notice {
                None => (None, None),
                Some(LoginNotice::Wrong) => (Some(LoginProblem::Refused), None),
                Some(LoginNotice::Throttled) => (Some(LoginProblem::Throttled), None),
                Some(LoginNotice::NotNow) => (Some(LoginProblem::Unavailable), None),
                Some(LoginNotice::Anew) => (Some(LoginProblem::Expired), None),
                Some(LoginNotice::Again) => (None, Some(LoginReason::Again)),
                Some(LoginNotice::AnotherPerson) => (None, Some(LoginReason::AnotherPerson)),
                Some(LoginNotice::Reused) => (None, Some(LoginReason::Reused)),
            };
            Page::Login(Login {
                client: page.client.as_ref().map(client),
                ticket: page.ticket,
                username: page.username,
                account: page.account,
                reason,
                problem,
                leads_to: page.leads_to,
            })
        }
        Step::Consent(page) => Page::Consent(Consent {
            client: client(&page.client),
            person: page.person,
            ticket: page.ticket,
            optional: page.scopes.iter().any(|scope| !scope.required),
            groups: groups(page.scopes),
            destination: page.destination,
            reused: page.reused,
            leads_to: Some(page.leads_to),
        }),
        Step::DeviceEnter(page) => Page::DeviceEnter(DeviceEnter {
            ticket: page.ticket,
            person: page.person,
            user_code: page.user_code,
            problem: page.notice.map(|notice| match notice {
                DeviceNotice::Unknown => DeviceProblem::Unknown,
                DeviceNotice::Throttled => DeviceProblem::Throttled,
                DeviceNotice::Anew => DeviceProblem::Expired,
            }),
        }),
        Step::DeviceConfirm(page) => Page::DeviceConfirm(DeviceConfirm {
            client: client(&page.client),
            person: page.person,
            user_code: page.user_code,
            address: (!page.address.is_empty()).then_some(page.address),
            reused: page.reused,
            ticket: page.ticket,
            groups: groups(page.scopes),
        }),
        Step::LogoutConfirm(page) => Page::LogoutConfirm(LogoutConfirm {
            client_name: page.client.map(|client| client.name),
            person: page.person,
            ticket: page.ticket,
            leads_to: page.leads_to,
        }),
        Step::Done(done) => match done {
            DoneStep::DeviceAllowed => Page::Done(Done { allowed: true }),
            DoneStep::DeviceDenied => Page::Done(Done { allowed: false }),
            DoneStep::LoggedOut => Page::LoggedOut(LoggedOut { signed_out: true }),
            DoneStep::StillLoggedIn => Page::LoggedOut(LoggedOut { signed_out: false }),
        },
        Step::Error(page) => Page::Error(ErrorShown::new(
            page.error.name(),
            page.description,
            page.status,
        )),
    }))
}

fn client(view: &ClientView) -> Client {
    Client::named(&view.name).with_links(
        view.client_uri.as_deref(),
        view.policy_uri.as_deref(),
        view.tos_uri.as_deref(),
    )
}

/// Scopes by API, in the order of the request.
fn groups(scopes: Vec<ConsentScope>) -> Vec<ScopeGroup> {
    let mut groups: Vec<ScopeGroup> = Vec::new();
    for scope in scopes {
        let shown = Scope {
            text: words(&scope),
            name: scope.name,
            required: scope.required,
        };
        match groups.iter_mut().find(|group| group.api == scope.api) {
            Some(group) => group.scopes.push(shown),
            None => groups.push(ScopeGroup {
                api: scope.api,
                scopes: vec![shown],
            }),
        }
    }
    groups
}

/// The API's own words; ours for the scopes of identity, and the name where there are none.
fn words(scope: &ConsentScope) -> String {
    if !scope.words.is_empty() {
        return scope.words.clone();
    }
    let identity = scope
        .api
        .is_none()
        .then(|| IdentityScope::from_name(&scope.name))
        .flatten();
    match identity {
        Some(IdentityScope::Openid) => "Know who you are",
        Some(IdentityScope::Profile) => "See your name and profile",
        Some(IdentityScope::Email) => "See your e-mail address",
        Some(IdentityScope::Phone) => "See your phone number",
        Some(IdentityScope::Address) => "See your postal address",
        Some(IdentityScope::OfflineAccess) => "Keep its access while you are away",
        None => return scope.name.clone(),
    }
    .to_owned()
}
