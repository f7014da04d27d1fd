//! A device's code, by the person (RFC 8628 §3.3).

use core::time::Duration;

use issuer::browser::{Browser, Decision, DeviceConfirmPage, DeviceNotice, Done, Step};
use issuer::flow::{Device, Flows, Polled};
use proof::digest::TokenHash;
use verdict::identity::ClientId;

use crate::world::{Window, World, error, login_page};

/// A device that waits under `BCDFGHJK`.
async fn waiting(world: &World) -> TokenHash {
    let hash = TokenHash::of(b"device code");
    let device = Device {
        client_id: ClientId::new("web"),
        user_code: "BCDFGHJK".to_owned(),
        scopes: vec!["openid".to_owned(), "orders:read".to_owned()],
        audiences: vec!["https://api.example.com/orders".to_owned()],
        address: "198.51.100.9".to_owned(),
        interval: Duration::from_secs(5),
        created_at: world.now(),
        until: world.now().plus(Duration::from_secs(600)),
    };
    assert!(
        world
            .store
            .start_device(hash, device, world.now())
            .await
            .expect("the store")
    );
    hash
}

fn confirm(step: Step) -> DeviceConfirmPage {
    match step {
        Step::DeviceConfirm(page) => page,
        other => panic!("no confirmation: {other:?}"),
    }
}

async fn page(world: &World, browser: &Browser<'_>, code: Option<&str>) -> Step {
    world
        .issuer
        .device_page(code, browser, "request-6", world.now())
        .await
}

async fn decide(world: &World, who: &Window, ticket: &str, decision: Decision) -> Step {
    world
        .issuer
        .device_decide(ticket, decision, &who.browser(), "request-7", world.now())
        .await
}

async fn poll(world: &World, hash: TokenHash) -> Polled {
    let audit = registry::audit::AuditDraft {
        id: proof::random::uuid_v7(world.now(), &proof::random::SystemEntropy),
        at: world.now(),
        actor: "client:web".to_owned(),
        action: "token.issue",
        subject: "device".to_owned(),
        request_id: "request-8".to_owned(),
        details: std::collections::BTreeMap::new(),
    };
    world
        .store
        .poll_device(hash, &ClientId::new("web"), None, world.now(), audit)
        .await
        .expect("the store")
}

fn all() -> Decision {
    Decision::Allow {
        scopes: vec!["openid".to_owned(), "orders:read".to_owned()],
    }
}

#[tokio::test]
async fn a_person_logs_in_compares_the_code_and_allows() {
    let world = World::new().await;
    let hash = waiting(&world).await;
    let mut alice = Window::new("a");
    // Nobody is asked who is not logged in; the code comes along.
    let login = login_page(page(&world, &alice.browser(), Some("bcdf-ghjk")).await);
    assert!(login.client.is_none());
    let shown = confirm(world.login(&mut alice, &login.ticket, "alice").await);
    assert_eq!(shown.user_code, "BCDF-GHJK");
    assert_eq!(shown.address, "198.51.100.9");
    assert_eq!(shown.scopes[1].words, "Read your orders");
    assert_eq!(poll(&world, hash).await, Polled::Pending);

    let step = decide(&world, &alice, &shown.ticket, all()).await;
    assert_eq!(step, Step::Done(Done::DeviceAllowed));
    world.wait(6);
    let Polled::Approved(grant) = poll(&world, hash).await else {
        panic!("not approved");
    };
    assert_eq!(grant.subject, "sub-alice");
    assert_eq!(grant.scopes, ["openid", "orders:read"]);
    // Decided once.
    let step = decide(&world, &alice, &shown.ticket, Decision::Deny).await;
    let Step::DeviceEnter(form) = step else {
        panic!("{step:?}");
    };
    assert_eq!(form.notice, Some(DeviceNotice::Unknown));
}

#[tokio::test]
async fn a_no_reaches_the_device() {
    let world = World::new().await;
    let hash = waiting(&world).await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    let shown = confirm(page(&world, &alice.browser(), Some("BCDFGHJK")).await);
    let step = decide(&world, &alice, &shown.ticket, Decision::Deny).await;
    assert_eq!(step, Step::Done(Done::DeviceDenied));
    assert_eq!(poll(&world, hash).await, Polled::Denied);
}

#[tokio::test]
async fn f04_nobody_decides_on_another_persons_page() {
    let world = World::new().await;
    let hash = waiting(&world).await;
    let mut mallory = Window::new("m");
    world.sign_in(&mut mallory, "bob").await;
    let his = confirm(page(&world, &mallory.browser(), Some("BCDFGHJK")).await);
    let mut victim = Window::new("v");
    world.sign_in(&mut victim, "alice").await;
    let hers = confirm(decide(&world, &victim, &his.ticket, all()).await);
    assert_eq!(hers.person, "alice Example");
    // One browser, two people.
    world.sign_in(&mut mallory, "alice").await;
    confirm(decide(&world, &mallory, &his.ticket, all()).await);
    assert_eq!(poll(&world, hash).await, Polled::Pending);
    let tampered = decide(&world, &victim, "AAAA", all()).await;
    assert_eq!(error(&tampered), "invalid_request");
}

#[tokio::test]
async fn f08_guessing_codes_is_throttled() {
    let world = World::new().await;
    waiting(&world).await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    let form = |step: Step| match step {
        Step::DeviceEnter(form) => form,
        other => panic!("{other:?}"),
    };
    let mut ticket = form(page(&world, &alice.browser(), None).await).ticket;
    let enter = async |ticket: &str, code: &str| {
        world
            .issuer
            .device_enter(ticket, code, &alice.browser(), "r", world.now())
            .await
    };
    for _ in 0..10 {
        let again = form(enter(&ticket, "ZZZZ-ZZZZ").await);
        assert_eq!(again.notice, Some(DeviceNotice::Unknown));
        ticket = again.ticket;
    }
    let throttled = form(enter(&ticket, "BCDF-GHJK").await);
    assert_eq!(throttled.notice, Some(DeviceNotice::Throttled));
    world.wait(600);
}
