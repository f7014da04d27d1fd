//! The way of a call as its caller sees it: 401, 403, 200, and what they carry.

use registry::api::{Cors, UpstreamMeaning};
use verdict::route::Rule;

use crate::harness::{Answer, Door, PUBLIC, Upstream, api, by_key, field, pool, route};

async fn door() -> (Door, Upstream) {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    let mut writing = route(&orders, "/write", by_key());
    writing.judged = std::sync::Arc::new(verdict::route::Route {
        api: orders.judged.clone(),
        name: verdict::route::RouteName::new("write"),
        demand: by_key(),
        rule: Rule {
            scopes: vec!["orders:write".into()],
            any_role: vec![],
            ..Rule::default()
        },
        sender: verdict::route::SenderRules::default(),
        plain_basic: false,
        signatures: None,
        webhook: None,
    });
    orders.cors = Some(Cors {
        origins: vec!["https://shop.example".to_owned()],
        headers: vec![http::header::AUTHORIZATION],
        expose: vec![http::HeaderName::from_static("doorward-request-id")],
        credentials: true,
        max_age: core::time::Duration::from_secs(600),
    });
    orders.routes = vec![
        writing,
        route(&orders, "/read", by_key()),
        route(&orders, "/open", PUBLIC),
    ];
    (Door::open(vec![orders]), upstream)
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

#[tokio::test]
async fn a_missing_credential_is_401_with_a_challenge_and_an_unknown_one_is_401_too() {
    let (door, upstream) = door().await;
    let missing = door.get("/read", "").await;
    assert_eq!(
        (missing.status(), missing.code().as_str()),
        (401, "credential-missing")
    );
    assert_eq!(
        missing.field("content-type"),
        Some("application/problem+json")
    );
    assert!(
        missing
            .field("www-authenticate")
            .is_some_and(|value| value.contains("realm=\"acme\""))
    );
    let stranger = Door::open(vec![]).facts.key("eve", &["orders"], &[]);
    for lines in [
        bearer(&stranger),
        bearer("garbage"),
        "authorization: Basic eDp5\r\n".to_owned(),
    ] {
        let refused = door.get("/read", &lines).await;
        assert_eq!(
            (refused.status(), refused.code().as_str()),
            (401, "credential-refused")
        );
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn b04_c11_no_header_exempts_a_call() {
    let (door, upstream) = door().await;
    for lines in [
        "user-agent: kube-probe/1.0\r\n",
        "x-debug: true\r\n",
        "x-middleware-subrequest: middleware\r\n",
        "signature: sig1=:AAAA:\r\nsignature-input: sig1=()\r\n",
        "doorward-subject: root\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\n",
    ] {
        assert_eq!(door.get("/read", lines).await.status(), 401, "{lines}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_missing_scope_is_403_and_says_which() {
    let (door, upstream) = door().await;
    let reader = door.facts.key("ada", &["orders"], &["orders:read"]);
    let refused = door.get("/write", &bearer(&reader)).await;
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (403, "insufficient-scope")
    );
    assert!(refused.body().contains("orders:write"));
    assert!(upstream.seen().is_empty());
    let writer = door.facts.key("bob", &["orders"], &["orders:write"]);
    assert_eq!(door.get("/write", &bearer(&writer)).await.status(), 200);
    let elsewhere = door.facts.key("cy", &["billing"], &["orders:write"]);
    assert_eq!(
        door.get("/write", &bearer(&elsewhere)).await.code(),
        "api-not-allowed"
    );
}

#[tokio::test]
async fn c10_refusals_say_a_code_and_a_request_id_and_no_more() {
    let (door, _upstream) = door().await;
    let key = door.facts.key("ada", &["orders"], &[]);
    let refused = door.get("/write?secret=hunter2", &bearer(&key)).await;
    let body: serde_json::Value = serde_json::from_str(refused.body()).expect("JSON");
    assert_eq!(
        body["request_id"].as_str(),
        refused.field("doorward-request-id")
    );
    assert!(
        !refused.0.contains(&key) && !refused.0.contains("hunter2"),
        "{refused:?}"
    );
    assert!(!refused.0.contains("key_ada"), "{refused:?}");
}

#[tokio::test]
async fn a_preflight_passes_without_a_credential_and_tells_what_the_api_declares() {
    let (door, upstream) = door().await;
    let ask = |origin: &str, path: &str, fields: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: {fields}\r\n\r\n"
        )
    };
    let answer = door
        .send(&ask("https://shop.example", "/read", "authorization"))
        .await;
    assert_eq!(answer.status(), 204);
    assert_eq!(
        answer.field("access-control-allow-origin"),
        Some("https://shop.example")
    );
    assert_eq!(
        answer.field("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(answer.field("access-control-allow-methods"), Some("POST"));
    assert_eq!(answer.field("access-control-max-age"), Some("600"));
    for (origin, path, fields) in [
        ("https://evil.example", "/read", "authorization"),
        ("https://shop.example", "/nowhere", "authorization"),
        ("https://shop.example", "/read", "x-evil"),
    ] {
        let answer = door.send(&ask(origin, path, fields)).await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (403, "cors-refused"),
            "{origin} {path}"
        );
    }
    assert!(upstream.seen().is_empty(), "preflights end at the door");
}

#[tokio::test]
async fn refusals_can_be_read_by_scripts_and_the_upstreams_own_word_is_replaced() {
    let (door, upstream) = door().await;
    let refused = door.get("/read", "origin: https://shop.example\r\n").await;
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.field("access-control-allow-origin"),
        Some("https://shop.example")
    );
    assert_eq!(
        refused.field("access-control-expose-headers"),
        Some("doorward-request-id")
    );
    let stranger = door.get("/read", "origin: https://evil.example\r\n").await;
    assert_eq!(stranger.field("access-control-allow-origin"), None);
    upstream.will_answer(
        "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\ncontent-length: 0\r\n\r\n",
    );
    let answer = door.get("/open", "origin: https://evil.example\r\n").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("access-control-allow-origin"), None);
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    assert_eq!(answer.field("vary"), Some("origin"));
}

#[tokio::test]
async fn nothing_found_is_404_and_another_method_405_with_allow() {
    let (door, _upstream) = door().await;
    assert_eq!(door.get("/nowhere", "").await.code(), "no-route");
    let id = door
        .get("/nowhere", "")
        .await
        .field("doorward-request-id")
        .map(str::to_owned);
    let id: uuid::Uuid = id.expect("an id").parse().expect("a UUID");
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn request_ids_differ_from_call_to_call() {
    let (door, upstream) = door().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let answer: Answer = door.get("/open", "connection: close\r\n").await;
        assert!(
            seen.insert(
                answer
                    .field("doorward-request-id")
                    .expect("an id")
                    .to_owned()
            )
        );
    }
    assert!(
        upstream
            .seen()
            .iter()
            .all(|message| field(message, "doorward-request-id").is_some())
    );
}
