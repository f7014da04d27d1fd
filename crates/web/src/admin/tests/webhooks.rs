//! Messages for endpoints of others, over the admin API.

use registry::ports::Webhooks as _;
use serde_json::{Value, json};

use super::world::{As, NOW, World, get, post, put};

const MESSAGES: &str = "/v1/webhook-messages";

async fn declared(world: &World) {
    let spec = json!({ "spec": {
        "url": "https://hooks.example/in", "application": "shop", "events": ["order.*"],
        "signing_key": "DWAK0000000000000000", "queue": 2,
    } });
    let seen = world
        .send(put(As::Operator, "/v1/webhooks/partner", &spec))
        .await;
    assert_eq!(seen.status.as_u16(), 201, "{seen:?}");
}

fn message(r#type: &str) -> Value {
    json!({ "type": r#type, "data": { "id": 17 } })
}

async fn send(world: &World, body: &Value) -> (u16, Value) {
    let seen = world
        .send(post(As::Operator, "/v1/webhooks/partner/messages", body))
        .await;
    (seen.status.as_u16(), seen.json())
}

#[tokio::test]
async fn a_message_is_accepted_listed_and_shown_with_what_it_says() {
    let world = World::new().await;
    declared(&world).await;
    let (status, sent) = send(&world, &message("order.paid")).await;
    assert_eq!((status, &sent["state"]), (202, &json!("waiting")), "{sent}");
    let id = sent["id"].as_str().unwrap();
    assert!(id.starts_with("msg_"), "{id}");
    let body: Value = serde_json::from_str(sent["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "type": "order.paid", "timestamp": "2027-01-15T08:00:00Z", "data": { "id": 17 } })
    );
    let listed = world.ok(get(As::Auditor, MESSAGES)).await;
    assert_eq!(listed["items"][0]["id"], id);
    assert!(listed["items"][0]["body"].is_null());
    let shown = world
        .ok(get(As::Auditor, &format!("{MESSAGES}/{id}")))
        .await;
    assert_eq!(shown, sent);
    let status = world.ok(get(As::Auditor, "/v1/webhook-status")).await;
    assert_eq!(
        status["items"],
        json!([{ "endpoint": "partner", "enabled": true, "waiting": 1, "dead": 0 }])
    );
    let audit = world.ok(get(As::Auditor, "/v1/audit")).await;
    let last = audit["items"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["action"], &last["subject"]),
        (&json!("webhook.send"), &json!("WebhookEndpoint/partner"))
    );
}

#[tokio::test]
async fn what_an_endpoint_does_not_take_is_refused() {
    let world = World::new().await;
    declared(&world).await;
    for bad in [
        "customer.made",
        "doorward.api_key.create",
        "order..paid",
        "",
    ] {
        let (status, answer) = send(&world, &message(bad)).await;
        assert_eq!(status, 400, "{bad}: {answer}");
    }
    let large = json!({ "type": "order.paid", "data": "x".repeat(256 * 1024) });
    assert_eq!(send(&world, &large).await.0, 400);
    let extra = json!({ "type": "order.paid", "data": 1, "id": "msg_mine" });
    assert_eq!(send(&world, &extra).await.0, 400);
    let nowhere = post(As::Operator, "/v1/webhooks/nowhere/messages", &message("a"));
    assert_eq!(world.send(nowhere).await.status.as_u16(), 404);
    for expected in [202, 202, 503] {
        assert_eq!(send(&world, &message("order.paid")).await.0, expected);
    }
}

#[tokio::test]
async fn messages_are_sent_again_and_dropped_and_an_endpoint_is_switched() {
    let world = World::new().await;
    declared(&world).await;
    let (_, sent) = send(&world, &message("order.paid")).await;
    let one = format!("{MESSAGES}/{}", sent["id"].as_str().unwrap());
    let act = async |path: &str| {
        let seen = world.send(post(As::Operator, path, &json!({}))).await;
        (seen.status.as_u16(), seen.json())
    };
    let (status, answer) = act("/v1/webhooks/partner/disable").await;
    assert_eq!((status, &answer["enabled"]), (200, &json!(false)));
    assert_eq!(act("/v1/webhooks/partner/disable").await.0, 409);
    let (status, answer) = send(&world, &message("order.paid")).await;
    assert_eq!((status, &answer["code"]), (409, &json!("wrong-state")));
    assert_eq!(act("/v1/webhooks/partner/enable").await.0, 200);
    assert_eq!(act("/v1/webhooks/partner/enable").await.0, 409);
    assert_eq!(act("/v1/webhooks/nowhere/enable").await.0, 404);

    assert_eq!(
        act(&format!("{one}/retry")).await,
        (200, json!({ "messages": 1 }))
    );
    assert_eq!(
        act("/v1/webhooks/partner/retry-dead").await,
        (200, json!({ "messages": 0 }))
    );
    assert_eq!(
        act(&format!("{one}/drop")).await,
        (200, json!({ "messages": 1 }))
    );
    assert_eq!(act(&format!("{one}/retry")).await.0, 404);
    assert_eq!(act("/v1/webhooks/nowhere/drop-dead").await.0, 404);
    let due = world.store.endpoints_due(NOW).await.unwrap();
    assert!(due.is_empty(), "{due:?}");
}
