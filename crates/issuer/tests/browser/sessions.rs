//! Sessions: when a login is asked for, and two people, one of them hostile, in every order that
//! could be thought of.

use issuer::browser::{Decision, LoginNotice, Step};
use issuer::flow::{FlowFilter, Flows};

use crate::world::{Window, World, answer, code, consent_page, error, login_page, request};

const DAY: u64 = 24 * 3600;

#[tokio::test]
async fn a_login_is_asked_for_when_the_request_says_so() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    world.wait(30);
    let cases = [
        ("", false),
        ("&max_age=60", false),
        ("&max_age=30", false),
        ("&max_age=29", true),
        ("&max_age=0", true),
        ("&prompt=login", true),
        ("&prompt=select_account", true),
        (
            "&claims=%7B%22id_token%22%3A%7B%22sub%22%3A%7B%22value%22%3A%22sub-alice%22%7D%7D%7D",
            false,
        ),
        (
            "&claims=%7B%22id_token%22%3A%7B%22sub%22%3A%7B%22value%22%3A%22sub-bob%22%7D%7D%7D",
            true,
        ),
    ];
    for (more, asked) in cases {
        let query = request("own", &format!("&scope=openid{more}"));
        let step = world.authorize(&alice, &query).await;
        assert_eq!(matches!(step, Step::Login(_)), asked, "{more}: {step:?}");
        if !more.contains("prompt") {
            let step = world
                .authorize(&alice, &format!("{query}&prompt=none"))
                .await;
            let expected = if asked { "login_required" } else { "none" };
            assert_eq!(error(&step), expected, "{more}");
        }
    }
    // A client's own bound counts where the request has none.
    world.declare(|clients| {
        for client in clients.iter_mut() {
            client.default_max_age = Some(core::time::Duration::from_secs(10));
        }
    });
    let step = world
        .authorize(&alice, &request("own", "&scope=openid"))
        .await;
    assert_eq!(login_page(step).notice, Some(LoginNotice::Again));
}

#[tokio::test]
async fn a_login_that_was_asked_for_is_enough_for_its_request() {
    for more in ["&prompt=login", "&max_age=0", "&prompt=login+consent"] {
        let world = World::new().await;
        let mut alice = Window::new("a");
        world.sign_in(&mut alice, "alice").await;
        world.wait(30);
        let query = request("web", &format!("&scope=openid{more}"));
        let answer = world.walk(&mut alice, "alice", &query).await;
        let (_, grant) = world
            .store
            .code(code(&answer), world.now())
            .await
            .expect("the store")
            .expect("a code");
        assert_eq!(grant.authentication.at, world.now(), "{more}");
        // A reload asks anew.
        login_page(world.authorize(&alice, &query).await);
    }
}

#[tokio::test]
async fn without_a_session_a_silent_request_is_told_so() {
    let world = World::new().await;
    let nobody = Window::new("a");
    let query = request("own", "&scope=openid&prompt=none");
    let step = world.authorize(&nobody, &query).await;
    assert_eq!(error(&step), "login_required");
}

#[tokio::test]
async fn a_session_ends_unused_after_eight_hours_and_always_after_seven_days() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request("own", "&scope=openid&prompt=none");
    world.sign_in(&mut alice, "alice").await;
    world.wait(8 * 3600 - 1);
    assert_eq!(error(&world.authorize(&alice, &query).await), "none");
    world.wait(8 * 3600);
    assert_eq!(
        error(&world.authorize(&alice, &query).await),
        "login_required"
    );

    world.sign_in(&mut alice, "alice").await;
    for _ in 0..(7 * DAY / 3600 - 1) {
        world.wait(3600);
        assert_eq!(error(&world.authorize(&alice, &query).await), "none");
    }
    world.wait(3600);
    assert_eq!(
        error(&world.authorize(&alice, &query).await),
        "login_required"
    );
}

#[tokio::test]
async fn whoever_may_not_log_in_any_more_is_not_logged_in_any_more() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    world
        .people
        .gone
        .lock()
        .expect("lock")
        .push("alice".to_owned());
    let step = world
        .authorize(&alice, &request("own", "&scope=openid&prompt=none"))
        .await;
    assert_eq!(error(&step), "login_required");
}

#[tokio::test]
async fn the_wall_between_live_and_test_holds_for_people() {
    let world = World::new().await;
    let mut tess = Window::new("t");
    let query = request("own", "&scope=openid");
    let page = login_page(world.authorize(&tess, &query).await);
    let step = world.login(&mut tess, &page.ticket, "tess").await;
    assert_eq!(error(&step), "access_denied");
    // Logged in elsewhere she may come as somebody else, and is not let in silently.
    login_page(world.authorize(&tess, &query).await);
    let step = world
        .authorize(&tess, &format!("{query}&prompt=none"))
        .await;
    assert_eq!(error(&step), "login_required");
}

#[tokio::test]
async fn a_person_chooses_to_go_on_as_who_they_are() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    let query = request("own", "&scope=openid&prompt=select_account");
    let page = login_page(world.authorize(&alice, &query).await);
    assert_eq!(page.account.as_deref(), Some("alice Example"));
    let go_on = async |window: &Window, ticket: &str| {
        world
            .issuer
            .go_on(ticket, &window.browser(), "request-4", world.now())
            .await
    };
    code(&answer(go_on(&alice, &page.ticket).await));

    // Another one than who was shown can't be chosen by that page.
    let page = login_page(world.authorize(&alice, &query).await);
    world.sign_in(&mut alice, "bob").await;
    let step = go_on(&alice, &page.ticket).await;
    assert_eq!(login_page(step).account.as_deref(), Some("bob Example"));
    // And nobody chooses their way around a login that is asked for.
    let query = request("own", "&scope=openid&prompt=select_account+login");
    let page = login_page(world.authorize(&alice, &query).await);
    assert_eq!(page.account, None);
    login_page(go_on(&alice, &page.ticket).await);
}

#[tokio::test]
async fn f02_every_login_makes_a_new_session_and_ends_the_one_before() {
    let world = World::new().await;
    let mut window = Window::new("a");
    world.sign_in(&mut window, "alice").await;
    let before = window.clone();
    let query = request("own", "&scope=openid");
    let page = login_page(
        world
            .authorize(&window, &format!("{query}&prompt=login"))
            .await,
    );
    world.login(&mut window, &page.ticket, "alice").await;
    assert_ne!(before.session, window.session);
    let silent = format!("{query}&prompt=none");
    assert_eq!(
        error(&world.authorize(&before, &silent).await),
        "login_required"
    );
    assert_eq!(error(&world.authorize(&window, &silent).await), "none");
    let alive = world
        .store
        .sessions(
            &FlowFilter {
                subject: Some("sub-alice".to_owned()),
                ..FlowFilter::default()
            },
            world.now(),
            10,
        )
        .await
        .expect("the store");
    assert_eq!(alive.len(), 1);
}

#[tokio::test]
async fn f02_a_session_that_was_planted_is_not_taken_over() {
    let world = World::new().await;
    // Mallory plants a handle that he made up, or his own live one, in the victim's browser.
    let mut mallory = Window::new("m");
    world.sign_in(&mut mallory, "bob").await;
    let mut victim = Window::new("v");
    victim.session = mallory.session;
    world.sign_in(&mut victim, "alice").await;
    assert_ne!(victim.session, mallory.session);
    // What he planted is dead, and was never hers.
    let silent = request("own", "&scope=openid&prompt=none");
    assert_eq!(
        error(&world.authorize(&mallory, &silent).await),
        "login_required"
    );
}

#[tokio::test]
async fn f04_another_browsers_login_page_opens_no_session() {
    let world = World::new().await;
    let mallory = Window::new("m");
    let query = request("web", "&scope=openid&state=mallorys").replace("&state=s1", "");
    let his = login_page(world.authorize(&mallory, &query).await);
    // Login CSRF: the victim's browser is made to post his ticket with his password.
    let mut victim = Window::new("v");
    let step = world.login(&mut victim, &his.ticket, "bob").await;
    let page = login_page(step);
    assert_eq!(page.notice, Some(LoginNotice::Anew));
    assert_eq!(page.username, "", "what he typed is not shown");
    assert!(victim.session.is_none());
}

#[tokio::test]
async fn f04_another_persons_consent_page_allows_nothing() {
    let world = World::new().await;
    let query = request("web", "&scope=openid+orders%3Awrite");
    let all = || Decision::Allow {
        scopes: vec!["openid".to_owned(), "orders:write".to_owned()],
    };
    // Mallory's page in the victim's browser: the victim is asked, by a page of her own.
    let mut mallory = Window::new("m");
    let page = login_page(world.authorize(&mallory, &query).await);
    let his = consent_page(world.login(&mut mallory, &page.ticket, "bob").await);
    let mut victim = Window::new("v");
    world.sign_in(&mut victim, "alice").await;
    let step = world.consent(&victim, &his.ticket, all()).await;
    assert_eq!(consent_page(step).person, "alice Example");

    // One browser, two people: his page was open, she logged in, the page is posted.
    world.sign_in(&mut mallory, "alice").await;
    let step = world.consent(&mallory, &his.ticket, all()).await;
    assert_eq!(consent_page(step).person, "alice Example");

    // Her cookies are gone: nobody is there, and somebody must log in.
    mallory.session = None;
    login_page(world.consent(&mallory, &his.ticket, all()).await);

    // A login page's ticket is no consent.
    let step = world.consent(&victim, &page.ticket, all()).await;
    assert!(matches!(step, Step::Error(_)), "{step:?}");
    let grants = world
        .store
        .grants(
            &FlowFilter {
                client_id: Some("web".to_owned()),
                ..FlowFilter::default()
            },
            world.now(),
            10,
        )
        .await
        .expect("the store");
    assert!(grants.is_empty(), "nothing was allowed to anybody");
}

#[tokio::test]
async fn f06_a_login_as_another_than_asked_for_gives_no_code() {
    let world = World::new().await;
    let mut window = Window::new("a");
    let claims =
        "&claims=%7B%22id_token%22%3A%7B%22sub%22%3A%7B%22value%22%3A%22sub-bob%22%7D%7D%7D";
    let query = request("own", &format!("&scope=openid{claims}"));
    let page = login_page(world.authorize(&window, &query).await);
    let step = world.login(&mut window, &page.ticket, "alice").await;
    assert_eq!(error(&step), "login_required");
    assert!(answer(step).params.iter().all(|(name, _)| *name != "code"));
}

#[tokio::test]
async fn an_old_page_is_shown_anew_and_a_very_old_one_is_not() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request("own", "&scope=openid");
    let page = login_page(world.authorize(&alice, &query).await);
    world.wait(600);
    let step = world.login(&mut alice, &page.ticket, "alice").await;
    let fresh = login_page(step);
    assert_eq!(fresh.notice, Some(LoginNotice::Anew));
    assert!(alice.session.is_none());
    code(&answer(
        world.login(&mut alice, &fresh.ticket, "alice").await,
    ));
    world.wait(3600);
    let step = world.login(&mut alice, &page.ticket, "alice").await;
    assert_eq!(error(&step), "invalid_request");
    for ticket in ["", "AAAA", "no ticket at all"] {
        let step = world.login(&mut alice, ticket, "alice").await;
        assert!(matches!(step, Step::Error(_)), "{ticket}");
    }
}

#[tokio::test]
async fn a_fresh_login_for_one_client_leaves_the_others_theirs() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let first = world
        .walk(&mut alice, "alice", &request("own", "&scope=openid"))
        .await;
    world.wait(30);
    let again = request("web", "&scope=openid&prompt=login");
    let second = world.walk(&mut alice, "alice", &again).await;
    let session = async |answer| {
        let (_, grant) = world
            .store
            .code(code(answer), world.now())
            .await
            .expect("the store")
            .expect("a code that is alive");
        grant.session
    };
    assert_eq!(session(&first).await, session(&second).await);
}

#[tokio::test]
async fn f05_many_windows_of_one_browser_log_in_and_each_gets_its_code() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    let query = request("own", "&scope=openid&prompt=login");
    // All of them know the cookie that there was when they were opened.
    for _ in 0..20 {
        let mut window = alice.clone();
        let page = login_page(world.authorize(&window, &query).await);
        code(&answer(
            world.login(&mut window, &page.ticket, "alice").await,
        ));
    }
}
