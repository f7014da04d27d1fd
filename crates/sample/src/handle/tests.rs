use super::*;
use http_body_util::Full;
use serde_json::Value;

async fn call(
    shop: &Shop,
    method: &str,
    target: &str,
    subject: Option<&str>,
    body: &str,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(target);
    if let Some(subject) = subject {
        request = request.header("doorward-subject", subject);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request");
    let response = handle(shop, request).await;
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("infallible")
        .to_bytes();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

fn owners(listed: &Value) -> Vec<&str> {
    let orders = listed["orders"].as_array().expect("a list");
    orders
        .iter()
        .map(|order| order["owner"].as_str().expect("an owner"))
        .collect()
}

#[tokio::test]
async fn a_customer_lists_their_own_orders() {
    let shop = Shop::default();
    let (status, listed) = call(&shop, "GET", "/orders", Some("bob"), "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(owners(&listed), ["bob", "bob"]);
}

#[tokio::test]
async fn a_customer_does_not_list_anothers_orders() {
    let shop = Shop::default();
    let (status, _) = call(&shop, "GET", "/orders?owner=alice", Some("bob"), "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = call(
        &shop,
        "GET",
        "/orders?owner=bob&owner=alice",
        Some("bob"),
        "",
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_machine_lists_all_orders_or_those_of_one_owner() {
    let shop = Shop::default();
    let (_, listed) = call(&shop, "GET", "/orders", Some("app_7"), "").await;
    assert_eq!(owners(&listed).len(), 7);
    let (_, listed) = call(&shop, "GET", "/orders?owner=%63arol", Some("app_7"), "").await;
    assert_eq!(owners(&listed), ["carol", "carol", "carol"]);
}

#[tokio::test]
async fn anothers_order_and_a_missing_one_look_the_same() {
    let shop = Shop::default();
    let body = r#"{"item":"pin","quantity":1}"#;
    for (method, body) in [("GET", ""), ("PUT", body), ("DELETE", "")] {
        let foreign = call(&shop, method, "/orders/ord_1001", Some("bob"), body).await;
        let missing = call(&shop, method, "/orders/ord_9999", Some("bob"), body).await;
        assert_eq!(foreign.0, StatusCode::NOT_FOUND, "{method}");
        assert_eq!(foreign, missing, "{method}");
    }
    let (status, order) = call(&shop, "GET", "/orders/ord_1001", Some("alice"), "").await;
    assert_eq!(
        (status, &order["item"]),
        (StatusCode::OK, &Value::from("desk lamp"))
    );
}

#[tokio::test]
async fn an_order_is_placed_changed_and_removed() {
    let shop = Shop::default();
    let body = r#"{"item":"pin","quantity":5}"#;
    let (status, placed) = call(&shop, "POST", "/orders", Some("alice"), body).await;
    assert_eq!(
        (status, &placed["owner"]),
        (StatusCode::CREATED, &Value::from("alice"))
    );
    let target = format!("/orders/{}", placed["id"].as_str().expect("an id"));
    let body = r#"{"item":"pin","quantity":6,"status":"shipped"}"#;
    let (status, changed) = call(&shop, "PUT", &target, Some("alice"), body).await;
    assert_eq!(
        (status, &changed["quantity"]),
        (StatusCode::OK, &Value::from(6))
    );
    assert_eq!(changed["owner"], "alice");
    let (status, _) = call(&shop, "DELETE", &target, Some("alice"), "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = call(&shop, "GET", &target, Some("alice"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_customer_gives_no_order_to_another() {
    let shop = Shop::default();
    let body = r#"{"item":"pin","quantity":5,"owner":"bob"}"#;
    let (status, _) = call(&shop, "POST", "/orders", Some("alice"), body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = call(&shop, "PUT", "/orders/ord_1001", Some("alice"), body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (_, order) = call(&shop, "GET", "/orders/ord_1001", Some("alice"), "").await;
    assert_eq!(order["item"], "desk lamp");
}

#[tokio::test]
async fn bodies_that_are_no_order_are_refused() {
    let shop = Shop::default();
    let long = "x".repeat(MAX_ORDER_BODY + 1);
    let cases = [
        ("", StatusCode::BAD_REQUEST),
        ("[]", StatusCode::BAD_REQUEST),
        (r#"{"item":"pin"}"#, StatusCode::BAD_REQUEST),
        (
            r#"{"item":"pin","quantity":1,"id":"ord_1"}"#,
            StatusCode::BAD_REQUEST,
        ),
        (
            r#"{"item":"pin","quantity":1,"quantity":2}"#,
            StatusCode::BAD_REQUEST,
        ),
        (
            r#"{"item":"pin","quantity":0}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (long.as_str(), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (body, expected) in cases {
        let (status, _) = call(&shop, "POST", "/orders", Some("alice"), body).await;
        assert_eq!(status, expected, "{}", &body[..body.len().min(60)]);
    }
    let (_, stats) = call(&shop, "GET", "/admin/stats", None, "").await;
    assert_eq!(stats["orders"], 7);
}

#[tokio::test]
async fn contradicting_identities_are_refused() {
    let shop = Shop::default();
    let request = Request::get("/orders")
        .header("doorward-subject", "alice")
        .header("doorward-subject", "bob")
        .body(Full::new(Bytes::new()))
        .expect("a request");
    assert_eq!(
        handle(&shop, request).await.status(),
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn what_is_asked_beyond_a_bound_is_refused() {
    let shop = Shop::default();
    for target in [
        "/slow?ms=10001",
        "/slow?ms=-1",
        "/slow?ms=soon",
        "/stream?bytes=4294967297",
        "/stream?bytes=99999999999999999999",
        "/stream?bytes=1&chunked=2",
        "/events?count=101",
        "/events?every_ms=10001",
    ] {
        let (status, _) = call(&shop, "GET", target, None, "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{target}");
    }
}

#[tokio::test]
async fn slow_waits_as_long_as_asked() {
    let shop = Shop::default();
    let start = std::time::Instant::now();
    let (status, told) = call(&shop, "GET", "/slow?ms=40", None, "").await;
    assert_eq!(
        (status, &told["waited_ms"]),
        (StatusCode::OK, &Value::from(40))
    );
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn an_upload_is_counted_and_digested() {
    let shop = Shop::default();
    let (status, told) = call(&shop, "POST", "/upload", None, "abc").await;
    assert_eq!((status, &told["bytes"]), (StatusCode::OK, &Value::from(3)));
    // The digest of "abc": FIPS 180-4, example of NIST's CSRC.
    assert_eq!(
        told["sha256"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
