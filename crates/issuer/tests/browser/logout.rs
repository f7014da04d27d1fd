//! Logout by the client's wish (RP-Initiated Logout 1.0), and how the other clients of the session
//! hear of it (Back-Channel Logout 1.0).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use issuer::backchannel::{Delivered, LogoutDelivery};
use issuer::browser::{Done, Step};
use issuer::flow::{FlowFilter, Flows, NewTokens};
use issuer::params::Params;
use issuer::ports::KeyPurpose;
use proof::jose::jws;
use serde_json::json;

use crate::world::{ISSUER, Window, World, answer, code, error, param, request};

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

/// An ID token of this issuer; long expired, which says nothing about whom it names.
fn hint(world: &World, subject: &str, client: &str, session: Option<&str>) -> String {
    let ring = world.issuer.keys().ring();
    let key = ring.signer(KeyPurpose::IdEs256).expect("a key");
    let mut claims = json!({
        "iss": ISSUER, "sub": subject, "aud": client, "iat": 1_700_000_000, "exp": 1_700_000_600,
    });
    if let Some(session) = session {
        claims["sid"] = session.into();
    }
    jws::sign(key, "JWT", &claims.to_string())
}

/// The id of the session of `alice`.
async fn sid(world: &World) -> String {
    let which = FlowFilter {
        subject: Some("sub-alice".to_owned()),
        ..FlowFilter::default()
    };
    let sessions = world.store.sessions(&which, world.now(), 1).await;
    sessions.expect("the store")[0].id.clone()
}

#[tokio::test]
async fn a_hint_that_names_the_session_ends_it_at_once() {
    for with_sid in [true, false] {
        let world = World::new().await;
        let mut alice = Window::new("a");
        world.sign_in(&mut alice, "alice").await;
        let sid = sid(&world).await;
        let token = hint(&world, "sub-alice", "web", with_sid.then_some(sid.as_str()));
        let query = format!("{BYE}&id_token_hint={token}");
        let (step, clear) = end_session(&world, &alice, &query).await;
        assert_eq!(answer(step).location(), "https://web.example/bye?state=x");
        assert!(clear);
        assert!(!logged_in(&world, &alice).await);
    }
}

#[tokio::test]
async fn f04_a_hint_of_another_session_or_person_is_asked_about() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    for (subject, session) in [("sub-bob", None), ("sub-alice", Some("another"))] {
        let token = hint(&world, subject, "web", session);
        let query = format!("{BYE}&id_token_hint={token}");
        let (step, clear) = end_session(&world, &alice, &query).await;
        assert!(matches!(step, Step::LogoutConfirm(_)), "{step:?}");
        assert!(!clear);
    }
    // Another client's, a changed one, an access token's type: none of them is a hint.
    let good = hint(&world, "sub-alice", "own", None);
    let (head, signature) = good.rsplit_once('.').expect("a token");
    let changed = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let ring = world.issuer.keys().ring();
    let key = ring.signer(KeyPurpose::Access).expect("a key");
    let claims = json!({"iss": ISSUER, "sub": "sub-alice", "aud": "web", "exp": 1, "iat": 1});
    let access = jws::sign(key, "JWT", &claims.to_string());
    for token in [good, changed, access] {
        let query = format!("{BYE}&id_token_hint={token}");
        let (step, _) = end_session(&world, &alice, &query).await;
        assert!(matches!(step, Step::Error(_)), "{step:?}");
    }
    assert!(logged_in(&world, &alice).await);
}

#[tokio::test]
async fn a_hint_at_the_authorization_endpoint_says_whom_the_request_is_about() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    for (subject, client, expected) in [
        ("sub-alice", "own", "none"),
        ("sub-bob", "own", "login_required"),
        ("sub-alice", "web", "invalid_request"),
    ] {
        let token = hint(&world, subject, client, None);
        let query = request(
            "own",
            &format!("&scope=openid&prompt=none&id_token_hint={token}"),
        );
        let step = world.authorize(&alice, &query).await;
        assert_eq!(error(&step), expected, "{subject} {client}");
    }
}

/// A client's logout endpoint: fails as often as it is told to.
#[derive(Default)]
struct Listening {
    fails: AtomicU32,
    heard: Mutex<Vec<(String, String)>>,
}

impl LogoutDelivery for Listening {
    async fn post(&self, to: &url::Url, form: String) -> Result<(), String> {
        let left = self.fails.load(Ordering::SeqCst);
        if left > 0 {
            self.fails.store(left - 1, Ordering::SeqCst);
            return Err("503".to_owned());
        }
        let token = form.strip_prefix("logout_token=").expect("one parameter");
        self.heard
            .lock()
            .expect("lock")
            .push((to.to_string(), token.to_owned()));
        Ok(())
    }
}

/// `alice` is logged in at `web`, which listens, and is logged out.
async fn logged_out(world: &World) -> String {
    world.declare(|clients| {
        let to = "https://web.example/logout".parse().expect("a URL");
        clients[0].backchannel_logout_uri = Some(to);
    });
    let mut alice = Window::new("a");
    let query = request("web", "&scope=openid");
    let back = world.walk(&mut alice, "alice", &query).await;
    let draft = || registry::audit::AuditDraft {
        id: proof::random::uuid_v7(world.now(), &proof::random::SystemEntropy),
        at: world.now(),
        actor: "client:web".to_owned(),
        action: "token.issue",
        subject: "grant/1".to_owned(),
        request_id: "request-9".to_owned(),
        details: std::collections::BTreeMap::new(),
    };
    let web = verdict::identity::ClientId::new("web");
    world
        .store
        .redeem_code(
            code(&back),
            &web,
            NewTokens::default(),
            world.now(),
            draft(),
            draft(),
        )
        .await
        .expect("the store");
    let sid = sid(world).await;
    let token = hint(world, "sub-alice", "web", Some(&sid));
    let (step, _) = end_session(world, &alice, &format!("id_token_hint={token}")).await;
    assert_eq!(step, Step::Done(Done::LoggedOut));
    sid
}

#[tokio::test]
async fn every_client_of_the_session_is_told_by_a_logout_token() {
    let world = World::new().await;
    let sid = logged_out(&world).await;
    let listening = Listening::default();
    let round = world.issuer.deliver_logouts(&listening, world.now()).await;
    assert_eq!(round.expect("a round").told, 1);
    let heard = listening.heard.lock().expect("lock").clone();
    let [(to, token)] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    assert_eq!(to, "https://web.example/logout");
    let unverified = jws::split(token.as_bytes()).expect("a token");
    let ring = world.issuer.keys().ring();
    let key = ring
        .verifier(KeyPurpose::IdEs256, unverified.kid().expect("a kid"))
        .expect("a published key");
    let payload = unverified.verify(key).expect("a signature");
    assert_eq!(payload.typ(), Some("logout+jwt"));
    let claims: serde_json::Value = serde_json::from_slice(payload.bytes()).expect("JSON");
    assert_eq!(claims["sub"], "sub-alice");
    assert_eq!(claims["aud"], "web");
    assert_eq!(claims["sid"], sid);
    assert_eq!(claims.get("nonce"), None, "§2.4 prohibits it");
    let event = "http://schemas.openid.net/event/backchannel-logout";
    assert_eq!(claims["events"], json!({event: {}}));
    let life = claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat");
    assert!(life <= 120);
    // A logout token is no hint.
    let (step, _) = end_session(&world, &Window::new("b"), &format!("id_token_hint={token}")).await;
    assert!(matches!(step, Step::Error(_)), "{step:?}");
    // Told once.
    let again = world.issuer.deliver_logouts(&listening, world.now()).await;
    assert_eq!(again.expect("a round"), Delivered::default());
}

#[tokio::test]
async fn what_ends_something_goes_on_at_a_suspended_client() {
    let world = World::new().await;
    logged_out(&world).await;
    world.declare(|clients| {
        let to = "https://web.example/logout".parse().expect("a URL");
        clients[0].backchannel_logout_uri = Some(to);
        clients[0].suspended = true;
    });
    let listening = Listening::default();
    let round = world.issuer.deliver_logouts(&listening, world.now()).await;
    assert_eq!(round.expect("a round").told, 1);
    // Whoever comes from there may log out, and gets back.
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    let (step, _) = end_session(&world, &alice, BYE).await;
    let Step::LogoutConfirm(page) = step else {
        panic!("{step:?}");
    };
    let (step, _) = world
        .issuer
        .logout(&page.ticket, true, &alice.browser(), "r", world.now())
        .await;
    let back = answer(step);
    assert_eq!(back.location(), "https://web.example/bye?state=x");
    assert!(!logged_in(&world, &alice).await);
}

#[tokio::test]
async fn a_client_that_is_away_is_told_later_and_given_up_in_the_end() {
    for (fails, told) in [(4, 1), (9, 0)] {
        let world = World::new().await;
        logged_out(&world).await;
        let listening = Listening::default();
        listening.fails.store(fails, Ordering::SeqCst);
        for round in 1..=6 {
            let done = world
                .issuer
                .deliver_logouts(&listening, world.now())
                .await
                .expect("a round");
            assert_eq!(done.given_up.len(), usize::from(fails > 4 && round == 5));
            world.wait(61);
        }
        assert_eq!(listening.heard.lock().expect("lock").len(), told);
    }
}
