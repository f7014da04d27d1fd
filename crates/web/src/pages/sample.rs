//! **Every page once, with invented data**: what a theme is tried with when it is loaded.

use super::view::{
    Client, Consent, DeviceConfirm, DeviceEnter, DeviceProblem, Done, ErrorShown, FormPost,
    LoggedOut, Login, LoginProblem, LoginReason, LogoutConfirm, Page, Scope, ScopeGroup,
};

/// Every page, those with a state of trouble twice.
pub fn samples() -> Vec<Page> {
    let client = || {
        Client::named("Harbour Notes").with_links(
            Some("https://notes.example"),
            Some("https://notes.example/privacy"),
            Some("https://notes.example/terms"),
        )
    };
    let login = |problem, username: &str, client| {
        Page::Login(Login {
            client,
            ticket: "sample".to_owned(),
            username: username.to_owned(),
            account: None,
            reason: None,
            problem,
            leads_to: Some("https://notes.example/callback".to_owned()),
        })
    };
    let consent = |reused| {
        Page::Consent(Consent {
            client: client(),
            person: "Ada Lovelace".to_owned(),
            ticket: "sample".to_owned(),
            groups: groups(),
            optional: true,
            destination: "notes.example".to_owned(),
            reused,
            leads_to: Some("https://notes.example".to_owned()),
        })
    };
    let mut pages = vec![
        login(None, "", Some(client())),
        login(Some(LoginProblem::Refused), "ada", Some(client())),
        login(Some(LoginProblem::Throttled), "ada", Some(client())),
        login(Some(LoginProblem::Expired), "", None),
        login(Some(LoginProblem::Unavailable), "", None),
        Page::Login(Login {
            client: Some(client()),
            ticket: "sample".to_owned(),
            username: "ada".to_owned(),
            account: Some("Ada Lovelace".to_owned()),
            reason: None,
            problem: None,
            leads_to: None,
        }),
        Page::Login(Login {
            client: Some(client()),
            ticket: "sample".to_owned(),
            username: "ada".to_owned(),
            account: None,
            reason: Some(LoginReason::Again),
            problem: None,
            leads_to: None,
        }),
        Page::Login(Login {
            client: Some(client()),
            ticket: "sample".to_owned(),
            username: String::new(),
            account: None,
            reason: Some(LoginReason::AnotherPerson),
            problem: None,
            leads_to: None,
        }),
        Page::Login(Login {
            client: Some(client()),
            ticket: "sample".to_owned(),
            username: "ada".to_owned(),
            account: None,
            reason: Some(LoginReason::Reused),
            problem: None,
            leads_to: None,
        }),
        consent(false),
        consent(true),
        Page::DeviceEnter(DeviceEnter {
            ticket: "sample".to_owned(),
            person: "Ada Lovelace".to_owned(),
            user_code: String::new(),
            problem: None,
        }),
    ];
    pages.extend(
        [
            DeviceProblem::Unknown,
            DeviceProblem::Throttled,
            DeviceProblem::Expired,
        ]
        .map(|problem| {
            Page::DeviceEnter(DeviceEnter {
                ticket: "sample".to_owned(),
                person: "Ada Lovelace".to_owned(),
                user_code: "WDJB-MJHT".to_owned(),
                problem: Some(problem),
            })
        }),
    );
    pages.extend([
        Page::DeviceConfirm(DeviceConfirm {
            client: Client::named("Harbour TV"),
            person: "Ada Lovelace".to_owned(),
            user_code: "WDJB-MJHT".to_owned(),
            address: Some("203.0.113.7".to_owned()),
            reused: true,
            ticket: "sample".to_owned(),
            groups: groups(),
        }),
        Page::Done(Done { allowed: true }),
        Page::Done(Done { allowed: false }),
        Page::LogoutConfirm(LogoutConfirm {
            client_name: Some("Harbour Notes".to_owned()),
            person: "Ada Lovelace".to_owned(),
            ticket: "sample".to_owned(),
            leads_to: None,
        }),
        Page::LogoutConfirm(LogoutConfirm {
            client_name: None,
            person: "Ada Lovelace".to_owned(),
            ticket: "sample".to_owned(),
            leads_to: Some("https://notes.example/bye".to_owned()),
        }),
        Page::LoggedOut(LoggedOut { signed_out: true }),
        Page::LoggedOut(LoggedOut { signed_out: false }),
        Page::Error(ErrorShown::new(
            "invalid_request",
            "redirect_uri is not registered for this client",
            400,
        )),
        Page::Error(ErrorShown::new(
            "server_error",
            "something went wrong on our side",
            500,
        )),
        Page::FormPost(FormPost::new(
            "https://notes.example/callback",
            [("code", "sample"), ("state", "sample")],
        )),
    ]);
    pages
}

fn groups() -> Vec<ScopeGroup> {
    let scope = |name: &str, text: &str, required| Scope {
        name: name.to_owned(),
        text: text.to_owned(),
        required,
    };
    vec![
        ScopeGroup {
            api: None,
            scopes: vec![
                scope("openid", "Know who you are", true),
                scope("profile", "See your name and profile", false),
                scope("email", "See your e-mail address", false),
            ],
        },
        ScopeGroup {
            api: Some("Orders".to_owned()),
            scopes: vec![
                scope("orders:read", "Read your orders", false),
                scope("orders:write", "Place and cancel orders", false),
            ],
        },
    ]
}
