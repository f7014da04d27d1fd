//! Logout by the client's wish (RP-Initiated Logout 1.0).

use issuer::browser::{Done, Step};
use issuer::params::Params;

use crate::world::{Window, World, answer, error, param, request};

async fn end_session(world: &World, who: &Window, query: &str) -> (Step, bool) {
    let params = Params::parse(query.as_bytes()).expect("a query");
    world
        .issuer
        .end_session(&params, &who.browser(), "request-8", world.now())
        .await
}

async fn logged_in(world: &World, who: &Window) -> bool {
    let step = world
        .authorize(who, &request("own", "&scope=openid&prompt=none"))
        .await;
    error(&step) == "none"
}

const BYE: &str = "client_id=web&post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye&state=x";

#[tokio::test]
async fn f04_without_proof_the_person_is_asked() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    for query in ["", "client_id=web", BYE] {
        let (step, clear) = end_session(&world, &alice, query).await;
        let Step::LogoutConfirm(page) = step else {
            panic!("{step:?}");
        };
        assert!(!clear);
        assert_eq!(page.person, "alice Example");
        // Staying leaves all as it was.
        let (step, clear) = world
            .issuer
            .logout(&page.ticket, false, &alice.browser(), "r", world.now())
            .await;
        assert_eq!((step, clear), (Step::Done(Done::StillLoggedIn), false));
        assert!(logged_in(&world, &alice).await);
    }
    let (step, _) = end_session(&world, &alice, BYE).await;
    let Step::LogoutConfirm(page) = step else {
        panic!("{step:?}");
    };
    let (step, clear) = world
        .issuer
        .logout(&page.ticket, true, &alice.browser(), "r", world.now())
        .await;
    assert!(clear);
    let back = answer(step);
    assert_eq!(back.location(), "https://web.example/bye?state=x");
    assert_eq!(param(&back, "iss"), None, "it is no authorization response");
    assert!(!logged_in(&world, &alice).await);
    // Nobody is there any more: what is asked for holds.
    let (step, _) = end_session(&world, &alice, "").await;
    assert_eq!(step, Step::Done(Done::LoggedOut));
}

#[tokio::test]
async fn f04_another_persons_page_logs_nobody_out() {
    let world = World::new().await;
    let mut mallory = Window::new("m");
    world.sign_in(&mut mallory, "bob").await;
    let (step, _) = end_session(&world, &mallory, "").await;
    let Step::LogoutConfirm(his) = step else {
        panic!("{step:?}");
    };
    let mut victim = Window::new("v");
    world.sign_in(&mut victim, "alice").await;
    let (step, clear) = world
        .issuer
        .logout(&his.ticket, true, &victim.browser(), "r", world.now())
        .await;
    assert!(matches!(step, Step::LogoutConfirm(_)), "{step:?}");
    assert!(!clear);
    assert!(logged_in(&world, &victim).await);
}

#[tokio::test]
async fn f01_nobody_is_sent_to_an_address_that_is_not_registered() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    for query in [
        "post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye",
        "client_id=nobody&post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye",
        "client_id=own&post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye",
        "client_id=web&post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye%2F",
        "client_id=web&post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye%3Fa%3Db",
        "client_id=web&post_logout_redirect_uri=https%3A%2F%2Fweb.example%40evil.example%2Fbye",
        "id_token_hint=nonsense",
        "id_token_hint=nonsense&client_id=web",
    ] {
        let (step, clear) = end_session(&world, &alice, query).await;
        assert!(matches!(step, Step::Error(_)), "{query}: {step:?}");
        assert!(!clear);
    }
    assert!(logged_in(&world, &alice).await);
}
