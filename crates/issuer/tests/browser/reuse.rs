//! After a refresh token of a person's was used twice: they are told, and nothing goes on with that
//! client before they have logged in anew.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use issuer::browser::{Decision, Done, LoginNotice, Step};
use issuer::flow::{Device, Flows, NewRefresh, NewTokens, Redeemed, Refresh, Refreshed};
use proof::digest::TokenHash;
use proof::random::{SystemEntropy, uuid_v7};
use registry::audit::AuditDraft;
use verdict::identity::ClientId;

use crate::world::{Window, World, code, consent_page, error, login_page, request};

const ASKED: &str = "&scope=openid+offline_access+orders:read\
                     &resource=https%3A%2F%2Fapi.example.com%2Forders";

fn draft(world: &World) -> AuditDraft {
    AuditDraft {
        id: uuid_v7(world.now(), &SystemEntropy),
        at: world.now(),
        actor: "client:web".to_owned(),
        action: "refresh_token.reuse",
        subject: "grant".to_owned(),
        request_id: "request-9".to_owned(),
        details: BTreeMap::new(),
    }
}

/// A grant of `name`'s to a client, a minute later a refresh, and one more of the same token.
async fn reused(world: &World, who: &mut Window, name: &str, client: &str) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let line = COUNT.fetch_add(1, Ordering::Relaxed);
    let token = |n: u32| NewRefresh {
        hash: TokenHash::of(format!("{line}/{n}").as_bytes()),
        until: world.now().plus(Duration::from_secs(86_400)),
        binding: None,
    };
    let answer = world.walk(who, name, &request(client, ASKED)).await;
    let client_id = ClientId::new(client);
    let redeemed = world
        .store
        .redeem_code(
            code(&answer),
            &client_id,
            NewTokens {
                refresh: Some(token(0)),
                access: None,
            },
            world.now(),
            draft(world),
            draft(world),
        )
        .await
        .expect("the store");
    assert!(matches!(redeemed, Redeemed::First(..)));
    world.wait(60);
    for last in [false, true] {
        let refresh = Refresh {
            hash: token(0).hash,
            client_id: &client_id,
            successor: Some(token(1 + u32::from(last))),
            access: None,
            retry: Duration::ZERO,
            idle_until: world.now(),
            now: world.now(),
        };
        let refreshed = world.store.refresh(refresh, draft(world), draft(world));
        let refreshed = refreshed.await.expect("the store");
        assert_eq!(matches!(refreshed, Refreshed::Reused(_)), last);
    }
    world.wait(60);
}

fn all(page: &issuer::browser::ConsentPage) -> Decision {
    Decision::Allow {
        scopes: page.scopes.iter().map(|scope| scope.name.clone()).collect(),
    }
}

#[tokio::test]
async fn f05_after_a_reuse_the_client_needs_a_fresh_login_and_its_person_is_told() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    world.sign_in(&mut alice, "alice").await;
    reused(&world, &mut alice, "alice", "web").await;

    let query = request("web", ASKED);
    let silent = world
        .authorize(&alice, &format!("{query}&prompt=none"))
        .await;
    assert_eq!(error(&silent), "login_required");
    let page = login_page(world.authorize(&alice, &query).await);
    assert_eq!(page.notice, Some(LoginNotice::Reused));
    // Nobody else's business, and no other client's.
    let own = request("own", "&scope=openid&prompt=none");
    assert_eq!(error(&world.authorize(&alice, &own).await), "none");
    let mut bob = Window::new("b");
    world.sign_in(&mut bob, "bob").await;
    assert!(!consent_page(world.authorize(&bob, &query).await).reused);

    // What was allowed is remembered, and the page comes all the same.
    let page = consent_page(world.login(&mut alice, &page.ticket, "alice").await);
    assert!(page.reused);
    let step = world.consent(&alice, &page.ticket, Decision::Deny).await;
    assert_eq!(error(&step), "access_denied");
    let silent = world
        .authorize(&alice, &format!("{query}&prompt=none"))
        .await;
    assert_eq!(error(&silent), "consent_required", "not answered yet");
    let page = consent_page(world.authorize(&alice, &query).await);
    assert!(page.reused, "told until it is answered");
    let step = world.consent(&alice, &page.ticket, all(&page)).await;
    assert_eq!(error(&step), "none");
    world.wait(1);
    let again = world
        .authorize(&alice, &format!("{query}&prompt=none"))
        .await;
    assert_eq!(error(&again), "none", "told once");
}

#[tokio::test]
async fn f05_every_session_from_before_a_reuse_needs_a_fresh_login() {
    let world = World::new().await;
    let (mut home, mut work) = (Window::new("home"), Window::new("work"));
    world.sign_in(&mut work, "alice").await;
    reused(&world, &mut home, "alice", "web").await;
    let query = request("web", ASKED);
    code(&world.walk(&mut home, "alice", &query).await);
    world.wait(1);
    // Told at home, so there is nothing to read any more; the login at work is old all the same.
    let page = login_page(world.authorize(&work, &query).await);
    assert_eq!(page.notice, Some(LoginNotice::Reused));
    let step = world.login(&mut work, &page.ticket, "alice").await;
    assert_eq!(error(&step), "none");
    assert!(matches!(step, Step::Answer(_)), "{step:?}");
}

#[tokio::test]
async fn f05_a_person_is_told_even_of_a_client_that_never_asks() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    reused(&world, &mut alice, "alice", "own").await;
    let query = request("own", ASKED);
    let page = login_page(world.authorize(&alice, &query).await);
    let page = consent_page(world.login(&mut alice, &page.ticket, "alice").await);
    assert!(page.reused);
}

#[tokio::test]
async fn f05_a_page_that_lay_there_while_a_token_was_reused_is_not_enough() {
    let world = World::new().await;
    let (mut alice, mut thief) = (Window::new("a"), Window::new("t"));
    world.sign_in(&mut alice, "alice").await;
    let query = request("web", &format!("{ASKED}&prompt=consent"));
    let page = consent_page(world.authorize(&alice, &query).await);
    reused(&world, &mut thief, "alice", "web").await;
    let step = world.consent(&alice, &page.ticket, all(&page)).await;
    assert_eq!(login_page(step).notice, Some(LoginNotice::Reused));
}

#[tokio::test]
async fn f05_a_device_is_not_connected_past_a_reuse() {
    let world = World::new().await;
    let mut alice = Window::new("a");
    reused(&world, &mut alice, "alice", "web").await;
    let device = Device {
        client_id: ClientId::new("web"),
        user_code: "BCDFGHJK".to_owned(),
        scopes: vec!["openid".to_owned()],
        audiences: Vec::new(),
        address: "198.51.100.9".to_owned(),
        interval: Duration::from_secs(5),
        created_at: world.now(),
        until: world.now().plus(Duration::from_secs(600)),
    };
    let waits = world
        .store
        .start_device(TokenHash::of(b"device"), device, world.now());
    assert!(waits.await.expect("the store"));
    let step = world
        .issuer
        .device_page(
            Some("BCDF-GHJK"),
            &alice.browser(),
            "request-6",
            world.now(),
        )
        .await;
    let page = login_page(step);
    assert_eq!(page.notice, Some(LoginNotice::Reused));
    let Step::DeviceConfirm(page) = world.login(&mut alice, &page.ticket, "alice").await else {
        panic!("no confirmation");
    };
    assert!(page.reused);
    let allow = Decision::Allow {
        scopes: vec!["openid".to_owned()],
    };
    let step = world
        .issuer
        .device_decide(
            &page.ticket,
            allow,
            &alice.browser(),
            "request-7",
            world.now(),
        )
        .await;
    assert_eq!(step, Step::Done(Done::DeviceAllowed));
}
