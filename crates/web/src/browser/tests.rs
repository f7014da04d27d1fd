//! The places for browsers over the real issuer: what they answer, whom they believe, and what they
//! give away to nobody.

mod world;

use core::time::Duration;

use axum::body::Body;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use issuer::params::MAX_BODY;

use self::world::{
    CALLBACK, ISSUER, PASSWORD, Seen, Window, World, authorize, declared_methods, encode,
};
use super::SEC_FETCH_SITE;

/// The places that forms of our own go to.
const FORMS: [&str; 4] = ["/login", "/consent", "/device", "/logout"];

/// Each with a page of its own that asks something, and its ticket: the window in which somebody is
/// logged in, and what is sent.
async fn forms(world: &World) -> Vec<(&'static str, Window, Vec<(&'static str, String)>)> {
    let mut all = Vec::new();
    let mut window = Window::default();
    let login = world.asked(&mut window).await;
    let fields = vec![
        ("ticket", login.ticket()),
        ("username", "alice".to_owned()),
        ("password", PASSWORD.to_owned()),
    ];
    all.push(("/login", window, fields));
    let (window, consent) = world.consent_of("alice").await;
    let decided = |page: &Seen| {
        vec![
            ("ticket", page.ticket()),
            ("decision", "allow".to_owned()),
            ("scope", "openid".to_owned()),
        ]
    };
    all.push(("/consent", window, decided(&consent)));
    let (mut window, _) = world.consent_of("alice").await;
    let logout = world.get(&mut window, "/logout").await;
    all.push(("/logout", window, decided(&logout)));
    let (mut window, _) = world.consent_of("alice").await;
    let device = world.get(&mut window, "/device").await;
    let fields = vec![
        ("ticket", device.ticket()),
        ("user_code", "BBBB-BBBB".to_owned()),
    ];
    all.push(("/device", window, fields));
    all
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let pairs = fields.iter();
    pairs.map(|(name, value)| (*name, value.as_str())).collect()
}

/// Defence: `own_form`.
#[tokio::test]
async fn f04_a_form_of_another_site_is_refused_before_it_is_read() {
    let world = World::new().await;
    let foreign: &[&[(HeaderName, &str)]] = &[
        &[(ORIGIN, "https://evil.example")],
        &[(ORIGIN, "null")],
        &[(ORIGIN, "")],
        &[(ORIGIN, "http://id.example.com")],
        &[(ORIGIN, "https://id.example.com:444")],
        &[(ORIGIN, "https://id.example.com.evil.example")],
        &[(ORIGIN, "https://ID.example.com")],
        &[(ORIGIN, ISSUER), (ORIGIN, "https://evil.example")],
        &[(ORIGIN, ISSUER), (SEC_FETCH_SITE, "cross-site")],
        &[(ORIGIN, ISSUER), (SEC_FETCH_SITE, "same-site")],
        &[(SEC_FETCH_SITE, "none")],
        &[(SEC_FETCH_SITE, "")],
        &[(SEC_FETCH_SITE, "same-origin, cross-site")],
    ];
    for (path, window, fields) in forms(&world).await {
        for fields_of_head in foreign {
            // A body that can't be read: whoever looks at it first says something else.
            let unreadable = "%".repeat(MAX_BODY + 1);
            for body in [encode(&borrowed(&fields)), unreadable] {
                let mut request = world.form(path);
                for (name, value) in *fields_of_head {
                    request = request.header(name, *value);
                }
                let mut sender = window.clone();
                let request = request.body(Body::from(body)).expect("a request");
                let seen = world.send(&mut sender, request).await;
                let what = format!("{path} {fields_of_head:?}");
                assert_eq!(seen.status, StatusCode::FORBIDDEN, "{what}");
                assert!(seen.body.contains("sent by another site"), "{what}");
                assert_eq!(sender.0, window.0, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_form_of_our_own_page_is_good_whatever_the_browser_says_of_it() {
    let world = World::new().await;
    let own: &[&[(HeaderName, &str)]] = &[
        &[(ORIGIN, ISSUER), (SEC_FETCH_SITE, "same-origin")],
        &[(ORIGIN, ISSUER)],
        &[(SEC_FETCH_SITE, "same-origin")],
        // Browsers of old say nothing; the ticket is theirs all the same.
        &[],
    ];
    for said in own {
        for (path, mut window, fields) in forms(&world).await {
            let mut request = world.form(path);
            for (name, value) in *said {
                request = request.header(name, *value);
            }
            let body = Body::from(encode(&borrowed(&fields)));
            let seen = world
                .send(&mut window, request.body(body).expect("a request"))
                .await;
            let expected = match path {
                "/login" => "Allow",
                "/consent" => "",
                "/logout" => "You are signed out",
                _ => "isn’t known",
            };
            assert!(seen.body.contains(expected), "{path} {said:?}: {seen:?}");
            assert_eq!(
                seen.location().starts_with(CALLBACK),
                path == "/consent",
                "{path}"
            );
        }
    }
}

/// Defence: `cookies`: the name's prefix, which a browser holds the attributes against.
#[tokio::test]
async fn f03_cookies_have_the_host_prefix_everywhere_but_on_plain_loopback() {
    let cases = [
        (
            ISSUER,
            "__Host-doorward",
            "; Path=/; HttpOnly; SameSite=Lax; Secure",
        ),
        (
            "http://127.0.0.1:8081",
            "doorward-dev",
            "; Path=/; HttpOnly; SameSite=Lax",
        ),
    ];
    for (issuer, prefix, attributes) in cases {
        let world = World::of(issuer).await;
        let mut window = Window::default();
        let page = world.asked(&mut window).await;
        let answer = world.log_in(&mut window, &page, "alice").await;
        for (seen, kind) in [(&page, "browser"), (&answer, "session")] {
            let [line] = seen.cookies()[..] else {
                panic!("{kind}: {:?}", seen.cookies());
            };
            let value = line
                .strip_prefix(&format!("{prefix}-{kind}="))
                .and_then(|rest| rest.strip_suffix(attributes))
                .unwrap_or_else(|| panic!("{line}"));
            assert_eq!(value.len(), 43, "{line}");
        }
        // Taken away under the same name and attributes, or it would stay.
        let page = world.get(&mut window, "/logout").await;
        let ticket = page.ticket();
        let fields = [("ticket", ticket.as_str()), ("decision", "allow")];
        let seen = world.post(&mut window, "/logout", &fields).await;
        let gone = format!("{prefix}-session={attributes}; Max-Age=0");
        assert_eq!(seen.cookies(), [gone]);
    }
}

/// RFC 9700 §4.12: a form with a password must not be sent on.
#[tokio::test]
async fn what_follows_a_form_is_a_page_or_303_and_nothing_is_kept() {
    let world = World::new().await;
    for (path, mut window, fields) in forms(&world).await {
        let seen = world.post(&mut window, path, &borrowed(&fields)).await;
        let expected = match path {
            "/consent" => StatusCode::SEE_OTHER,
            _ => StatusCode::OK,
        };
        assert_eq!(seen.status, expected, "{path}");
        assert_eq!(seen.header(CACHE_CONTROL), "no-store", "{path}");
        if path == "/consent" {
            assert!(seen.location().starts_with("https://web.example/cb?code="));
            assert!(seen.location().contains("&state=s1"));
            assert!(
                seen.location()
                    .ends_with("&iss=https%3A%2F%2Fid.example.com"),
                "RFC 9207: {}",
                seen.location()
            );
            assert_eq!(seen.header(REFERRER_POLICY), "no-referrer");
            assert_eq!(seen.body, "");
        }
    }
    // A request that comes as a form goes on as an address of our own, whatever is in it.
    for (path, form) in [
        ("/oauth/authorize", authorize("&prompt=none")),
        ("/oauth/end_session", authorize("")),
    ] {
        let query = form.split_once('?').expect("a query").1;
        let mut window = Window::default();
        let request = world.form(path).header(ORIGIN, "https://web.example");
        let request = request.body(Body::from(query.to_owned()));
        let seen = world.send(&mut window, request.expect("a request")).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(seen.location(), format!("{path}?{query}"));
        assert!(seen.cookies().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_form_that_is_sent_twice_gets_the_person_there_once() {
    let world = World::new().await;
    let mut window = Window::default();
    let page = world.asked(&mut window).await;
    world.log_in(&mut window, &page, "alice").await;
    let first = window.clone();
    // Two presses of one button: the browser shows the second answer.
    let consent = world.log_in(&mut window, &page, "alice").await;
    assert!(consent.body.contains("alice Example"), "{}", consent.body);
    assert_ne!(first.session(), window.session());
    let seen = world.get(&mut first.clone(), &authorize("")).await;
    assert!(seen.is_login_page(), "the first session is over");

    let ticket = consent.ticket();
    let fields = [
        ("ticket", ticket.as_str()),
        ("decision", "allow"),
        ("scope", "openid"),
    ];
    let mut codes = Vec::new();
    for _ in 0..2 {
        let seen = world.post(&mut window, "/consent", &fields).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER);
        codes.push(seen.location().to_owned());
    }
    assert_ne!(codes[0], codes[1], "each code is one of its own");
    // Having said yes does not undo a no that comes later from the same page.
    let fields = [("ticket", ticket.as_str()), ("decision", "deny")];
    let seen = world.post(&mut window, "/consent", &fields).await;
    assert!(seen.location().contains("error=access_denied"));
}

/// Defence: `Issuer::take`: a ticket opens for the browser that it was made for.
#[tokio::test]
async fn f04_a_ticket_of_another_browser_opens_nothing() {
    let world = World::new().await;
    for (path, mut owner, fields) in forms(&world).await {
        let nobody = Window::default();
        let (mallory, _) = world.consent_of("mallory").await;
        for mut thief in [nobody, mallory] {
            let before = thief.session().cloned();
            let seen = world.post(&mut thief, path, &borrowed(&fields)).await;
            let what = format!("{path}: {}", seen.body);
            assert_eq!(seen.status, StatusCode::OK, "{what}");
            assert_eq!(seen.location(), "", "{what}");
            assert!(!seen.body.contains("alice"), "{what}");
            assert_eq!(thief.session(), before.as_ref(), "{what}");
            if before.is_some() {
                // What comes instead is the thief's own page, unanswered.
                assert!(!seen.ticket().is_empty(), "{what}");
                assert_ne!(seen.ticket(), fields[0].1, "{what}");
            }
        }
        let seen = world.get(&mut owner, &authorize("")).await;
        assert_eq!(seen.is_login_page(), path == "/login", "{path}: untouched");
    }
    // A ticket opens its own page, and nobody else's seal is ours.
    let all = forms(&world).await;
    for (path, mut window, fields) in all.clone() {
        for (other, _, theirs) in &all {
            if *other == path {
                continue;
            }
            let mut mixed = fields.clone();
            mixed[0].1 = theirs[0].1.clone();
            let seen = world.post(&mut window, path, &borrowed(&mixed)).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{other} at {path}");
        }
    }
}

/// Defence: `ticket::LIFE`.
#[tokio::test]
async fn f04_a_page_that_lay_about_too_long_is_shown_anew() {
    let world = World::new().await;
    let all = forms(&world).await;
    world.wait(issuer::ticket::LIFE + Duration::from_secs(1));
    for (path, mut window, fields) in all {
        let before = window.clone();
        let seen = world.post(&mut window, path, &borrowed(&fields)).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        assert!(!seen.ticket().is_empty(), "{path}");
        assert_eq!(seen.location(), "", "{path}");
        assert_eq!(window.0, before.0, "{path}");
    }
}

#[tokio::test]
async fn only_the_methods_that_the_gateway_lets_through_are_answered() {
    let world = World::new().await;
    let declared = declared_methods();
    for place in FORMS
        .iter()
        .chain(&["/oauth/authorize", "/oauth/end_session"])
    {
        let taken = &declared[*place];
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let mut window = Window::default();
            let request = Request::builder().method(method.clone()).uri(*place);
            let request = request.body(Body::empty()).expect("a request");
            let seen = world.send(&mut window, request).await;
            let allowed = seen.status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(allowed, taken.contains(&method), "{method} {place}");
            if !allowed {
                assert_eq!(seen.header(ALLOW), "GET,HEAD,POST", "{place}");
                assert!(window.0.is_empty(), "{method} {place}");
            }
        }
    }
    // A form's address without the form is a page that says so, and does nothing.
    let (mut window, page) = world.consent_of("alice").await;
    for path in ["/login", "/consent"] {
        let target = format!("{path}?ticket={}&decision=allow", page.ticket());
        let seen = world.get(&mut window, &target).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(seen.body.contains("reached from an app"), "{}", seen.body);
    }
}

#[tokio::test]
async fn what_is_too_large_or_no_form_is_refused_unread() {
    let world = World::new().await;
    let form = "application/x-www-form-urlencoded";
    let large = format!("a={}", "b".repeat(MAX_BODY));
    let fields = "ticket=x&decision=allow";
    let cases = [
        (Some(form), large.as_str(), "too large"),
        (Some("text/plain"), fields, "must be application"),
        (Some("multipart/form-data"), fields, "must be application"),
        (Some("application/json"), "{}", "must be application"),
        (None, fields, "must be application"),
        (Some(form), "ticket=%", "not well-formed"),
        (Some(form), "ticket=a&ticket=b", "more than once"),
        (
            Some(form),
            "decision=deny&decision=allow&ticket=x",
            "more than once",
        ),
    ];
    for (kind, body, words) in cases {
        for path in FORMS {
            let mut request = Request::post(path).header(ORIGIN, ISSUER);
            if let Some(kind) = kind {
                request = request.header(CONTENT_TYPE, kind);
            }
            let request = request.body(Body::from(body.to_owned()));
            let seen = world
                .send(&mut Window::default(), request.expect("a request"))
                .await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path} {kind:?}");
            assert!(
                seen.body.contains(words),
                "{path} {kind:?} {words}: {}",
                seen.body
            );
            assert!(
                seen.header(CONTENT_TYPE).starts_with("text/html"),
                "a person reads it"
            );
        }
    }
}

#[tokio::test]
async fn fields_that_a_page_does_not_have_change_nothing() {
    let world = World::new().await;
    // A login page that offered nobody to go on as.
    let mut window = Window::default();
    let page = world.asked(&mut window).await;
    let ticket = page.ticket();
    let fields = [("ticket", ticket.as_str()), ("decision", "continue")];
    let seen = world.post(&mut window, "/login", &fields).await;
    assert!(seen.is_login_page(), "{}", seen.body);
    assert!(window.session().is_none());
    // A login that decides, and wants more.
    let fields = [
        ("ticket", ticket.as_str()),
        ("username", "alice"),
        ("password", PASSWORD),
        ("decision", "allow"),
        ("scope", "openid"),
        ("redirect_uri", "https://evil.example/"),
        ("client_id", "other"),
        ("sub", "sub-mallory"),
    ];
    let seen = world.post(&mut window, "/login", &fields).await;
    assert_eq!(seen.location(), "", "it is asked all the same");
    assert!(seen.body.contains("alice Example"), "{}", seen.body);
    // A consent to more than was asked, for somebody else.
    let ticket = seen.ticket();
    let fields = [
        ("ticket", ticket.as_str()),
        ("decision", "allow"),
        ("scope", "openid"),
        ("scope", "offline_access"),
        ("redirect_uri", "https://evil.example/"),
        ("username", "mallory"),
        ("password", PASSWORD),
    ];
    let seen = world.post(&mut window, "/consent", &fields).await;
    assert!(seen.location().starts_with("https://web.example/cb?code="));
    let silent = authorize("&prompt=none").replace("openid+profile", "openid+offline_access");
    let seen = world.get(&mut window, &silent).await;
    assert!(
        seen.location().contains("error=consent_required"),
        "{}",
        seen.location()
    );
    // No decision is no yes.
    let (mut window, page) = world.consent_of("alice").await;
    let ticket = page.ticket();
    for decision in ["", "yes", "Allow", "allow "] {
        let fields = [
            ("ticket", ticket.as_str()),
            ("decision", decision),
            ("scope", "openid"),
        ];
        let seen = world.post(&mut window, "/consent", &fields).await;
        assert!(
            seen.location().contains("error=access_denied"),
            "{decision:?}: {}",
            seen.location()
        );
    }
}

/// Defence: `Issuer::end_session`: without proof the person is asked.
#[tokio::test]
async fn f04_nobody_is_signed_out_by_an_address() {
    let world = World::new().await;
    let (mut window, _) = world.consent_of("alice").await;
    let session = window.session().cloned();
    for target in [
        "/logout",
        "/logout?decision=allow",
        "/oauth/end_session",
        "/oauth/end_session?client_id=web",
        "/oauth/end_session?id_token_hint=x",
    ] {
        let seen = world.get(&mut window, target).await;
        assert!(seen.cookies().is_empty(), "{target}");
        assert_eq!(window.session(), session.as_ref(), "{target}");
        let seen = world.get(&mut window, &authorize("")).await;
        assert!(!seen.is_login_page(), "{target}");
    }
}

/// Defence: `Issuer::open_session`: each login makes a handle, and ends the session before it.
#[tokio::test]
async fn f02_a_session_that_was_planted_is_worth_nothing_after_a_login() {
    let world = World::new().await;
    let (mallory, _) = world.consent_of("mallory").await;
    let planted = mallory.session().cloned().expect("a session");
    for planted in [planted, "A".repeat(43), "x".to_owned()] {
        let mut victim = Window::default();
        let name = "__Host-doorward-session".to_owned();
        victim.0.insert(name.clone(), planted.clone());
        let page = world.get(&mut victim, &authorize("&prompt=login")).await;
        let seen = world.log_in(&mut victim, &page, "alice").await;
        assert!(seen.body.contains("alice Example"), "{}", seen.body);
        assert_ne!(victim.session(), Some(&planted));
        let mut attacker = victim.clone();
        attacker.0.insert(name, planted);
        let seen = world.get(&mut attacker, &authorize("")).await;
        assert!(seen.is_login_page(), "{}", seen.body);
    }
    // A login that fails leaves the session as it was, and gives none.
    let mut window = Window::default();
    let page = world.asked(&mut window).await;
    let ticket = page.ticket();
    let fields = [
        ("ticket", ticket.as_str()),
        ("username", "alice"),
        ("password", "wrong"),
    ];
    let seen = world.post(&mut window, "/login", &fields).await;
    assert!(seen.is_login_page() && seen.body.contains("is not right"));
    assert!(seen.cookies().is_empty(), "{:?}", seen.cookies());
}

/// Defence: `pages::policy`.
#[tokio::test]
async fn f04_every_answer_can_be_framed_and_kept_by_nobody() {
    let world = World::new().await;
    let mut pages = vec![
        world.asked(&mut Window::default()).await,
        world.get(&mut Window::default(), "/login").await,
        world.get(&mut Window::default(), "/consent").await,
        world.get(&mut Window::default(), "/device").await,
        world.get(&mut Window::default(), "/logout").await,
        world.get(&mut Window::default(), "/oauth/authorize").await,
        world
            .get(&mut Window::default(), "/oauth/end_session?client_id=x")
            .await,
    ];
    for (path, mut window, fields) in forms(&world).await {
        pages.push(world.post(&mut window, path, &borrowed(&fields)).await);
        let request = world.form(path).header(ORIGIN, "null");
        let request = request.body(Body::empty()).expect("a request");
        pages.push(world.send(&mut window, request).await);
    }
    let by_form = authorize("&response_mode=form_post&prompt=none");
    pages.push(world.get(&mut Window::default(), &by_form).await);
    for seen in pages {
        assert_eq!(seen.header(CACHE_CONTROL), "no-store", "{seen:?}");
        if !seen.location().is_empty() {
            continue;
        }
        assert_eq!(seen.header(X_FRAME_OPTIONS), "DENY", "{seen:?}");
        assert_eq!(seen.header(X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(seen.header(REFERRER_POLICY), "same-origin");
        let policy = seen.header(CONTENT_SECURITY_POLICY);
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action",
        ] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        let scripted = seen.body.contains("<script");
        assert_eq!(policy.contains("script-src 'self'"), scripted, "{policy}");
    }
}

#[tokio::test]
async fn b07_two_cookies_of_one_name_are_refused_everywhere() {
    let world = World::new().await;
    let value = "A".repeat(43);
    for kind in ["session", "browser"] {
        let jar = format!("__Host-doorward-{kind}={value}; __Host-doorward-{kind}={value}");
        for path in FORMS {
            let request = world.form(path).header(ORIGIN, ISSUER);
            let request = request.header("cookie", HeaderValue::try_from(&jar).expect("a field"));
            let request = request.body(Body::from("ticket=x")).expect("a request");
            let seen = world.send(&mut Window::default(), request).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(seen.body.contains("two cookies have one name"), "{path}");
            assert!(seen.cookies().is_empty(), "{path}");
        }
    }
}
