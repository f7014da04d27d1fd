//! Devices: codes, polling.

use issuer::error::Reason;
use issuer::flow::{DeviceDecision, Flows as _};
use issuer::grant::DeviceResponse;
use issuer::params::Params;
use proof::random::{SystemEntropy, uuid_v7};
use registry::audit::AuditDraft;
use serde_json::json;

use crate::world::{ORDERS, World, claims};

pub(crate) async fn start(
    world: &World,
    client: &str,
    more: &str,
) -> Result<DeviceResponse, Reason> {
    let body = format!("x=1{more}{}", world.auth(client));
    let params = Params::parse(body.as_bytes()).expect("a form");
    let answer = world
        .issuer
        .start_device(&world.request(&params, None, None))
        .await;
    answer.map_err(|refusal| refusal.reason())
}

pub(crate) fn poll(device: &DeviceResponse) -> String {
    format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={}",
        device.device_code
    )
}

pub(crate) async fn decide(world: &World, device: &DeviceResponse, decision: DeviceDecision) {
    let audit = AuditDraft {
        id: uuid_v7(world.now(), &SystemEntropy),
        at: world.now(),
        actor: "person:sub-alice".to_owned(),
        action: "device.approve",
        subject: "device".to_owned(),
        request_id: "request".to_owned(),
        details: std::collections::BTreeMap::new(),
    };
    let code = device.user_code.replace('-', "");
    let decided = world
        .store
        .decide_device(&code, decision, world.now(), audit)
        .await;
    assert!(decided.expect("a database"));
}

#[tokio::test]
async fn a_device_gets_its_tokens_once_its_person_said_yes() {
    let world = World::new().await;
    let device = start(&world, "phone", "&scope=openid+orders:read")
        .await
        .expect("codes");
    let (first, second) = device.user_code.split_once('-').expect("a dash");
    let clean =
        |part: &str| part.len() == 4 && part.bytes().all(|b| b"BCDFGHJKLMNPQRSTVWXZ".contains(&b));
    assert!(clean(first) && clean(second), "{}", device.user_code);
    assert_eq!((device.expires_in, device.interval), (600, 5));
    let form = poll(&device);
    assert_eq!(
        world.ask("phone", &form).await.err(),
        Some(Reason::DevicePending)
    );
    assert_eq!(
        world.ask("phone", &form).await.err(),
        Some(Reason::DeviceTooFast)
    );
    assert_eq!(
        world.ask("spa", &form).await.err(),
        Some(Reason::DeviceUnknown)
    );
    let grant = Box::new(world.grant("phone"));
    decide(&world, &device, DeviceDecision::Approved(grant)).await;
    world.wait(20);
    let tokens = world.ask("phone", &form).await.expect("tokens");
    assert_eq!(claims(&tokens.access_token)["sub"], json!("sub-alice"));
    assert!(tokens.refresh_token.is_some());
    assert_eq!(
        world.ask("phone", &form).await.err(),
        Some(Reason::DeviceUnknown)
    );
}

#[tokio::test]
async fn a_poll_for_more_than_was_allowed_spends_nothing() {
    let world = World::new().await;
    let device = start(&world, "phone", "&scope=openid+orders:read")
        .await
        .expect("codes");
    let mut grant = world.grant("phone");
    grant.scopes = vec!["openid".to_owned(), "orders:read".to_owned()];
    grant.audiences = vec![ORDERS.to_owned()];
    decide(&world, &device, DeviceDecision::Approved(Box::new(grant))).await;
    let form = poll(&device);
    for (more, expected) in [
        // Both are the client's to ask for, and neither was asked of this person.
        ("&scope=orders:read+stock:read", Reason::ScopeNotGranted),
        (
            "&resource=https://api.example.com/stock",
            Reason::UnknownTarget,
        ),
    ] {
        let refused = world.ask("phone", &format!("{form}{more}")).await;
        assert_eq!(refused.err(), Some(expected), "{more}");
    }
    let narrowed = format!("{form}&scope=orders:read");
    let tokens = world.ask("phone", &narrowed).await.expect("tokens");
    assert_eq!(claims(&tokens.access_token)["scope"], json!("orders:read"));
}

#[tokio::test]
async fn a_device_hears_of_a_no_and_of_its_end() {
    let world = World::new().await;
    let denied = start(&world, "phone", "&scope=openid")
        .await
        .expect("codes");
    decide(&world, &denied, DeviceDecision::Denied).await;
    let late = start(&world, "phone", "&scope=openid")
        .await
        .expect("codes");
    assert_eq!(
        world.ask("phone", &poll(&denied)).await.err(),
        Some(Reason::DeviceDenied)
    );
    world.wait(601);
    assert_eq!(
        world.ask("phone", &poll(&late)).await.err(),
        Some(Reason::DeviceExpired)
    );
}

#[tokio::test]
async fn a_device_asks_for_nothing_beyond_its_declaration() {
    let world = World::new().await;
    for (client, more, expected) in [
        ("nothing", "&scope=openid", Reason::GrantNotAllowed),
        ("phone", "&scope=phone", Reason::ScopeNotGranted),
        ("phone", "&scope=orders:read++", Reason::MalformedScope),
        (
            "phone",
            "&resource=https://x.example",
            Reason::UnknownTarget,
        ),
        (
            "phone",
            "&scope=stock:write&resource=https://api.example.com/stock",
            Reason::ScopeNotGranted,
        ),
    ] {
        let answer = start(&world, client, more).await;
        assert_eq!(answer.err(), Some(expected), "{more}");
    }
    let missing = "grant_type=urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(
        world.ask("phone", missing).await.err(),
        Some(Reason::DeviceCodeMissing)
    );
}
