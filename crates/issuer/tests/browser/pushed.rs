//! Pushed authorization requests (RFC 9126), from the client's push to the code.

use issuer::browser::Step;
use issuer::error::Reason;
use issuer::params::Params;
use issuer::pushed::PushedResponse;
use issuer::{OAuthRequest, Sender};
use proof::jose::jws;
use proof::random::{SystemEntropy, uuid_v7};
use serde_json::json;

use crate::world::{
    CHALLENGE, ISSUER, Window, World, answer, code, consent_page, error, login_page,
};

/// The client `fapi` pushes a request.
pub(crate) async fn push(world: &World, request: &str) -> Result<PushedResponse, Reason> {
    let now = world.now();
    let assertion = jws::sign(
        &world.fapi,
        "JWT",
        &json!({
            "iss": "fapi", "sub": "fapi", "aud": ISSUER,
            "jti": uuid_v7(now, &SystemEntropy),
            "iat": now.as_secs(), "exp": now.as_secs() + 60,
        })
        .to_string(),
    );
    let body = format!(
        "{request}&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion={assertion}"
    );
    let params = Params::parse(body.as_bytes()).map_err(|refusal| refusal.reason())?;
    world
        .issuer
        .push(&OAuthRequest {
            authorization: None,
            params: &params,
            sender: Sender::at(core::net::Ipv4Addr::LOCALHOST.into()),
            request_id: "request-5",
            now,
        })
        .await
        .map_err(|refusal| refusal.reason())
}

/// A sound request of the client `fapi`.
pub(crate) fn sound() -> String {
    format!(
        "response_type=code&redirect_uri=https%3A%2F%2Ffapi.example%2Fcb&scope=openid\
         &code_challenge={CHALLENGE}&code_challenge_method=S256&state=s1"
    )
}

/// The query that the browser carries.
pub(crate) fn query(client: &str, pushed: &PushedResponse) -> String {
    format!("client_id={client}&request_uri={}", pushed.request_uri)
}

#[tokio::test]
async fn a_pushed_request_is_carried_by_its_reference() {
    let world = World::new().await;
    let pushed = push(&world, &sound()).await.expect("pushed");
    assert_eq!(pushed.expires_in, 60);
    assert!(
        pushed
            .request_uri
            .starts_with("urn:ietf:params:oauth:request_uri:")
    );
    let mut alice = Window::new("a");
    // A reload works, and what the browser's query says beside the reference counts nothing.
    let query = query("fapi", &pushed);
    login_page(world.authorize(&alice, &query).await);
    let meddled = format!(
        "{query}&scope=openid+orders%3Awrite&redirect_uri=https%3A%2F%2Fevil.example&state=s2"
    );
    let answer = world.walk(&mut alice, "alice", &meddled).await;
    assert_eq!(answer.redirect_uri, "https://fapi.example/cb");
    let (_, grant) = issuer::flow::Flows::code(&*world.store, code(&answer), world.now())
        .await
        .expect("the store")
        .expect("a code");
    assert_eq!(grant.scopes, ["openid"]);
}

#[tokio::test]
async fn f06_a_reference_is_completed_once() {
    let world = World::new().await;
    let pushed = push(&world, &sound()).await.expect("pushed");
    let mut alice = Window::new("a");
    let query = query("fapi", &pushed);
    // Two windows of one browser stand at the consent page.
    let page = login_page(world.authorize(&alice, &query).await);
    let first = consent_page(world.login(&mut alice, &page.ticket, "alice").await);
    let second = consent_page(world.authorize(&alice, &query).await);
    let all = || issuer::browser::Decision::Allow {
        scopes: vec!["openid".to_owned()],
    };
    code(&answer(world.consent(&alice, &first.ticket, all()).await));
    for ticket in [&first.ticket, &second.ticket] {
        let step = world.consent(&alice, ticket, all()).await;
        assert!(matches!(step, Step::Error(_)), "{step:?}");
        assert_eq!(error(&step), "invalid_request_uri");
    }
    let step = world.authorize(&alice, &query).await;
    assert!(matches!(step, Step::Error(_)), "{step:?}");
    assert_eq!(error(&step), "invalid_request_uri");
}

#[tokio::test]
async fn f06_a_reference_is_its_clients_and_lives_a_minute() {
    let world = World::new().await;
    let pushed = push(&world, &sound()).await.expect("pushed");
    let alice = Window::new("a");
    let direct = async |query: String| {
        let step = world.authorize(&alice, &query).await;
        assert!(matches!(step, Step::Error(_)), "{query}: {step:?}");
        error(&step).to_owned()
    };
    assert_eq!(direct(query("web", &pushed)).await, "invalid_request_uri");
    assert_eq!(direct(query("nobody", &pushed)).await, "invalid_request");
    let unknown = "urn:ietf:params:oauth:request_uri:AAAA";
    let query_unknown = format!("client_id=fapi&request_uri={unknown}");
    assert_eq!(direct(query_unknown).await, "invalid_request_uri");
    world.wait(59);
    let page = login_page(world.authorize(&alice, &query("fapi", &pushed)).await);
    world.wait(1);
    assert_eq!(direct(query("fapi", &pushed)).await, "invalid_request_uri");
    // Who began in time may take longer to log in.
    let mut alice = alice.clone();
    world.wait(300);
    consent_page(world.login(&mut alice, &page.ticket, "alice").await);
}

#[tokio::test]
async fn what_is_demanded_by_push_is_not_taken_from_the_browser() {
    let world = World::new().await;
    let alice = Window::new("a");
    for client in ["fapi", "pushes"] {
        let query = crate::world::request(client, "&scope=openid");
        let step = world.authorize(&alice, &query).await;
        assert_eq!(error(&step), "invalid_request");
        let description =
            crate::world::param(&answer(step), "error_description").map(str::to_owned);
        assert_eq!(
            description.as_deref(),
            Some(Reason::PushDemanded.description())
        );
    }
}

#[tokio::test]
async fn what_authenticated_the_client_is_not_kept() {
    let world = World::new().await;
    let pushed = push(&world, &sound()).await.expect("pushed");
    let random = pushed.request_uri.rsplit(':').next().expect("a reference");
    let hash = proof::digest::TokenHash::of(random.as_bytes());
    let kept = issuer::flow::Flows::pushed(&*world.store, hash, world.now())
        .await
        .expect("the store")
        .expect("a request");
    let names: Vec<_> = kept.params.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        !names.iter().any(|name| name.contains("assertion")),
        "{names:?}"
    );
    assert!(names.contains(&"state"));
}
