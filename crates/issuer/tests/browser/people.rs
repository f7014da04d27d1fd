//! From a request to a code: login, consent, and what the code stands for.

use issuer::browser::{Decision, LoginNotice, Step};
use issuer::flow::{Flows, NewTokens, Redeemed};
use registry::profile::ResponseMode;

use crate::world::{
    ISSUER, PASSWORD, Window, World, answer, code, consent_page, error, login_page, param, request,
};

#[tokio::test]
async fn a_person_logs_in_allows_and_the_client_gets_a_code() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request(
        "web",
        "&scope=openid+profile+orders%3Aread&nonce=n1&ui_locales=de-CH",
    );
    let page = login_page(world.authorize(&alice, &query).await);
    assert_eq!(
        page.client.as_ref().expect("a client").name,
        "The web client"
    );
    assert_eq!(page.locales, ["de-CH"]);
    assert_eq!(page.leads_to.as_deref(), Some("https://web.example/cb"));

    let page = consent_page(world.login(&mut alice, &page.ticket, "alice").await);
    assert_eq!(page.person, "alice Example");
    assert_eq!(page.destination, "web.example");
    let shown: Vec<_> = page
        .scopes
        .iter()
        .map(|scope| (scope.name.as_str(), scope.api.as_deref(), scope.required))
        .collect();
    assert_eq!(
        shown,
        [
            ("openid", None, true),
            ("profile", None, false),
            ("orders:read", Some("orders"), false)
        ]
    );
    assert_eq!(page.scopes[2].words, "Read your orders");

    let scopes = vec!["openid".to_owned(), "orders:read".to_owned()];
    let step = world
        .consent(&alice, &page.ticket, Decision::Allow { scopes })
        .await;
    let answer = answer(step);
    assert_eq!(answer.redirect_uri, "https://web.example/cb");
    assert_eq!(answer.mode, ResponseMode::Query);
    assert_eq!(param(&answer, "state"), Some("s1"));
    assert_eq!(param(&answer, "iss"), Some(ISSUER), "RFC 9207");

    let (code, grant) = world
        .store
        .code(code(&answer), world.now())
        .await
        .expect("the store")
        .expect("a code");
    assert_eq!(code.nonce.as_deref(), Some("n1"));
    assert_eq!(code.redirect_uri.as_deref(), Some("https://web.example/cb"));
    assert_eq!(
        code.until,
        world.now().plus(core::time::Duration::from_secs(60))
    );
    assert_eq!(grant.subject, "sub-alice");
    assert_eq!(grant.scopes, ["openid", "orders:read"]);
    assert_eq!(grant.audiences, ["https://api.example.com/orders"]);
    assert_eq!(grant.authentication.amr, ["pwd"]);
    assert!(!grant.offline);
}

#[tokio::test]
async fn what_was_allowed_is_not_asked_again_until_more_is_wanted() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let some = request("web", "&scope=openid+orders%3Aread");
    world.walk(&mut alice, "alice", &some).await;

    let step = world
        .authorize(&alice, &format!("{some}&prompt=none"))
        .await;
    assert_eq!(error(&step), "none");
    code(&answer(step));

    let more = request("web", "&scope=openid+orders%3Aread+offline_access");
    let silent = world
        .authorize(&alice, &format!("{more}&prompt=none"))
        .await;
    assert_eq!(error(&silent), "consent_required");
    let page = consent_page(world.authorize(&alice, &more).await);
    let remembered: Vec<_> = page.scopes.iter().map(|scope| scope.remembered).collect();
    assert_eq!(remembered, [true, true, false]);

    // `prompt=consent` asks whatever is remembered.
    consent_page(
        world
            .authorize(&alice, &format!("{some}&prompt=consent"))
            .await,
    );
    // Another person allowed nothing yet.
    let mut bob = Window::new("b");
    let page = login_page(world.authorize(&bob, &some).await);
    consent_page(world.login(&mut bob, &page.ticket, "bob").await);
}

#[tokio::test]
async fn what_is_unticked_is_not_given_and_forgotten() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request("web", "&scope=openid+orders%3Aread+stock%3Aread");
    world.walk(&mut alice, "alice", &query).await;
    let again = format!("{query}&prompt=consent");
    let page = consent_page(world.authorize(&alice, &again).await);
    let scopes = vec!["openid".to_owned(), "orders:read".to_owned()];
    let step = world
        .consent(&alice, &page.ticket, Decision::Allow { scopes })
        .await;
    let hash = code(&answer(step));
    let (_, grant) = world
        .store
        .code(hash, world.now())
        .await
        .expect("the store")
        .expect("a code");
    assert_eq!(grant.audiences, ["https://api.example.com/orders"]);
    // `stock:read` must be asked for again.
    consent_page(world.authorize(&alice, &query).await);
}

#[tokio::test]
async fn a_no_is_told_to_the_client() {
    let world = World::new().await;
    let query = request("web", "&scope=openid+orders%3Aread");
    for decision in [
        Decision::Deny,
        Decision::Allow { scopes: Vec::new() },
        // Without `openid` nothing is left of a login.
        Decision::Allow {
            scopes: vec!["orders:read".to_owned()],
        },
        // What was not asked for is not given.
        Decision::Allow {
            scopes: vec!["orders:write".to_owned()],
        },
    ] {
        let mut alice = Window::new("a");
        let page = login_page(world.authorize(&alice, &query).await);
        let page = consent_page(world.login(&mut alice, &page.ticket, "alice").await);
        let step = world.consent(&alice, &page.ticket, decision).await;
        assert_eq!(error(&step), "access_denied");
        let answer = answer(step);
        assert_eq!(param(&answer, "code"), None);
        assert_eq!(param(&answer, "state"), Some("s1"));
    }
}

#[tokio::test]
async fn f08_a_wrong_name_and_a_wrong_password_read_the_same() {
    let world = World::new().await;
    let mut window = Window::new("a");
    let query = request("web", "&scope=openid");
    let page = login_page(world.authorize(&window, &query).await);
    for (name, password) in [
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("alice", ""),
    ] {
        let step = world
            .login_with(&mut window, &page.ticket, name, password)
            .await;
        let page = login_page(step);
        assert_eq!(page.notice, Some(LoginNotice::Wrong));
        assert_eq!(page.username, name);
        assert!(window.session.is_none());
    }
    let step = world.login(&mut window, &page.ticket, "mallory").await;
    assert_eq!(login_page(step).notice, Some(LoginNotice::Throttled));
}

#[tokio::test]
async fn a_form_post_answer_holds_the_same() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request("own", "&scope=openid&response_mode=form_post");
    let answer = world.walk(&mut alice, "alice", &query).await;
    assert_eq!(answer.mode, ResponseMode::FormPost);
    assert!(param(&answer, "code").is_some() && param(&answer, "iss").is_some());
}

#[tokio::test]
async fn f06_a_public_programs_answer_needs_somebody_at_the_screen() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request("phone", "&scope=openid");
    world.walk(&mut alice, "alice", &query).await;
    // Remembered, and yet asked: nothing proves who listens at the private scheme (RFC 8252 §8.6).
    consent_page(world.authorize(&alice, &query).await);
    let step = world
        .authorize(&alice, &format!("{query}&prompt=none"))
        .await;
    assert_eq!(error(&step), "consent_required");
}

#[tokio::test]
async fn f06_a_code_is_redeemed_once_and_by_its_client() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let answer = world
        .walk(&mut alice, "alice", &request("web", "&scope=openid"))
        .await;
    let hash = code(&answer);
    let draft = || registry::audit::AuditDraft {
        id: proof::random::uuid_v7(world.now(), &proof::random::SystemEntropy),
        at: world.now(),
        actor: "client:web".to_owned(),
        action: "token.issue",
        subject: "grant/1".to_owned(),
        request_id: "request-9".to_owned(),
        details: std::collections::BTreeMap::new(),
    };
    let redeem = async |client: &str| {
        let client = verdict::identity::ClientId::new(client);
        world
            .store
            .redeem_code(
                hash,
                &client,
                NewTokens::default(),
                world.now(),
                draft(),
                draft(),
            )
            .await
            .expect("the store")
    };
    assert_eq!(redeem("own").await, Redeemed::Unknown);
    assert!(matches!(redeem("web").await, Redeemed::First(..)));
    assert!(matches!(redeem("web").await, Redeemed::Reused(_)));
}

#[tokio::test]
async fn restart_or_another_node_in_the_middle_changes_nothing() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    let query = request("web", "&scope=openid");
    let page = login_page(world.authorize(&alice, &query).await);
    let other = world.another_node().await;
    let password = proof::secret::Secret::new(PASSWORD.as_bytes());
    let (step, session) = other
        .login(
            &page.ticket,
            "alice",
            &password,
            &alice.browser(),
            "r",
            world.now(),
        )
        .await;
    alice.take(session);
    let page = consent_page(step);
    let scopes = vec!["openid".to_owned()];
    let step = world
        .consent(&alice, &page.ticket, Decision::Allow { scopes })
        .await;
    code(&answer(step));
}

#[tokio::test]
async fn what_the_client_may_no_more_is_not_given_by_an_old_page() {
    for change in ["gone", "asleep", "redirect", "scope", "grant"] {
        let world = World::new().await;
        let mut alice = Window::new("a");
        let query = request("web", "&scope=openid+orders%3Aread");
        let page = login_page(world.authorize(&alice, &query).await);
        let page = consent_page(world.login(&mut alice, &page.ticket, "alice").await);
        world.declare(|clients| match change {
            "gone" => clients.retain(|client| client.client_id.as_str() != "web"),
            "asleep" => clients[0].suspended = true,
            "redirect" => clients[0].redirect_uris = vec!["https://web.example/new".to_owned()],
            "scope" => clients[0].grants.clear(),
            _ => clients[0].grant_types.clear(),
        });
        let scopes = vec!["openid".to_owned(), "orders:read".to_owned()];
        let step = world
            .consent(&alice, &page.ticket, Decision::Allow { scopes })
            .await;
        assert!(matches!(step, Step::Error(_)), "{change}: {step:?}");
    }
}
