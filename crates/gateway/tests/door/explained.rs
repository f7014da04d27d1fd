//! Explanations say what calls then meet, and leave no trace.

use core::time::Duration;

use gateway::{Asked, Explanation, Mark, Options};
use http::Method;
use registry::api::{ApiMeaning, IdentityForward, UpstreamMeaning};
use verdict::credential::CredentialKind;
use verdict::limit::Rate;
use verdict::penalty::Penalties;
use verdict::route::{Demand, Rule};

use crate::harness::{
    Door, PUBLIC, Upstream, api, by_key, plain_listener, pool, route, with_methods,
};

fn asked(text: &str) -> Asked {
    Asked {
        text: text.to_owned().into(),
        scheme: None,
        from: [127, 0, 0, 1].into(),
        certificate: None,
        at: None,
        doors: Vec::new(),
    }
}

async fn explain(door: &Door, text: &str) -> Explanation {
    door.gateway.explain(asked(text)).await.expect("a request")
}

fn call(method: &str, path: &str, lines: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a.example\r\n{lines}\r\n")
}

/// All that calls leave behind; connections come and go in their own time.
fn left_behind(door: &Door) -> (String, String) {
    let metrics = door.metrics();
    let lasting = metrics.lines().filter(|line| !line.contains("connections"));
    (door.facts.traces(), lasting.collect::<Vec<_>>().join("\n"))
}

/// The check or the words of the step that failed.
fn failed(explained: &Explanation) -> Option<&str> {
    let step = explained
        .steps
        .iter()
        .find(|one| one.mark == Mark::Failed)?;
    Some(step.check.unwrap_or(&step.text))
}

fn orders(upstream: &Upstream) -> ApiMeaning {
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.base_path = "/shop".to_owned();
    orders.strip_base_path = true;
    let mut writes = with_methods(route(&orders, "/orders", by_key()), &[Method::POST]);
    let judged = std::sync::Arc::get_mut(&mut writes.judged).expect("one holder");
    judged.rule = Rule {
        scopes: vec!["orders:write".into()],
        any_role: Vec::new(),
        ..Rule::default()
    };
    writes.body_limit = 8;
    let two = Demand::OneOf(vec![vec![CredentialKind::ApiKey, CredentialKind::Basic]]);
    orders.routes = vec![
        with_methods(route(&orders, "/orders", by_key()), &[Method::GET]),
        writes,
        with_methods(route(&orders, "/orders/{id}", by_key()), &[Method::GET]),
        route(&orders, "/open", PUBLIC),
        route(&orders, "/both", two),
        route(
            &orders,
            "/basic",
            Demand::OneOf(vec![vec![CredentialKind::Basic]]),
        ),
        route(
            &orders,
            "/jwt",
            Demand::OneOf(vec![vec![CredentialKind::Jwt], vec![CredentialKind::Hmac]]),
        ),
    ];
    orders
}

#[tokio::test]
async fn what_is_explained_is_what_the_caller_then_gets() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![orders(&upstream)]);
    let key = door.facts.key("sub_1", &["orders"], &["orders:read"]);
    let other = door.facts.key("sub_2", &["other"], &["orders:read"]);
    let mut wrong = key.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let bearer = |key: &str| format!("authorization: Bearer {key}\r\n");
    let basic = "authorization: Basic YWxpY2U6d3Jvbmc=\r\n";
    let cases = [
        (call("GET", "/shop/orders", &bearer(&key)), None),
        (
            call("GET", "/shop/orders", &format!("x-acme-key: {key}\r\n")),
            None,
        ),
        (call("GET", "/shop/open", ""), None),
        (call("GET", "/shop/open", &bearer("garbage")), None),
        (call("GET", "/shop/orders", ""), Some("presented")),
        (
            call("GET", "/shop/orders", &bearer(&wrong)),
            Some("presented"),
        ),
        (call("GET", "/shop/orders", &bearer(&other)), Some("apis")),
        (
            call("GET", "/shop/orders", &bearer("acme_sk_live_")),
            Some("presented"),
        ),
        (call("GET", "/shop/orders", basic), Some("presented")),
        (
            call(
                "GET",
                "/shop/orders",
                &format!("{}x-acme-key: {key}\r\n", bearer(&key)),
            ),
            Some("presented"),
        ),
        (
            call("GET", &format!("/shop/orders?api_key={key}"), ""),
            Some("url"),
        ),
        (
            call("GET", &format!("/shop/orders/{key}"), &bearer(&key)),
            Some("url"),
        ),
        (
            call(
                "POST",
                "/shop/orders",
                &format!("{}content-length: 0\r\n", bearer(&key)),
            ),
            Some("scopes"),
        ),
        (call("GET", "/shop/basic", basic), Some("transport")),
        (call("GET", "/shop/both", &bearer(&key)), Some("presented")),
        (
            call("GET", "/shop/jwt", &bearer("a.b")),
            Some("token-shape"),
        ),
        (
            call(
                "GET",
                "/shop/jwt",
                "authorization: HMAC-SHA256 nonsense\r\n",
            ),
            Some("presented"),
        ),
        (
            call("PUT", "/shop/orders", &bearer(&key)),
            Some("a route for the method PUT"),
        ),
        (
            call("GET", "/shop/order", &bearer(&key)),
            Some("a route of the API orders"),
        ),
        (
            call("GET", "/elsewhere", ""),
            Some("an API for this host and path"),
        ),
        (
            call("GET", "/shop//orders", ""),
            Some("the call can be read in one way only"),
        ),
        (
            call(
                "GET",
                "/shop/orders",
                "authorization: a b\r\nauthorization: c d\r\n",
            ),
            Some("the call can be read in one way only"),
        ),
        (
            "GET /shop/orders HTTP/1.1\r\n\r\n".to_owned(),
            Some("the call can be read in one way only"),
        ),
    ];
    for (text, check) in cases {
        let before = left_behind(&door);
        let explained = explain(&door, &text).await;
        assert_eq!(before, left_behind(&door), "{text}");
        assert_eq!(failed(&explained), check, "{text}\n{explained:#?}");
        let told = format!("{explained:?}");
        for secret in [&key, &wrong, &other] {
            assert!(!told.contains(&**secret), "{told}");
        }
        assert!(
            !told.contains("garbage") && !told.contains("YWxpY2U6"),
            "{told}"
        );

        let answer = door.send(&text).await;
        match &explained.answer {
            None => assert_eq!(answer.status(), 200, "{text}"),
            Some(said) => {
                assert_eq!(answer.status(), said.status, "{text}");
                let code = format!("\"code\":\"{}\"", said.code.expect("a problem"));
                assert!(answer.0.contains(&code), "{text}: {answer:?}");
                for (name, value) in &said.headers {
                    let line = format!("\r\n{name}: {value}\r\n");
                    assert!(answer.0.contains(&line), "{line} {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_passes_is_told_with_its_way_upstream() {
    let upstream = Upstream::start().await;
    let mut orders = orders(&upstream);
    orders.identity = IdentityForward::Headers;
    let door = Door::open(vec![orders]);
    let key = door.facts.key("sub_1", &["orders"], &["orders:read"]);
    let lines = format!("x-api-key: {key}\r\ndoorward-subject: root\r\nx-note: 1\r\n");
    let explained = explain(&door, &call("GET", "/shop/orders/7?full=1", &lines)).await;
    assert_eq!(explained.decision, "allow");
    assert_eq!(explained.principal.as_deref(), Some("service:sub_1"));
    assert_eq!(explained.credential.as_deref(), Some("key_sub_1"));
    assert_eq!(explained.call.path, "/shop/orders/7");
    let last = explained.steps.last().expect("steps");
    assert!(
        last.text
            .starts_with("GET /orders/7 and its query of 6 bytes goes to http://")
    );
    let gone = "without the fields x-api-key, doorward-subject";
    assert!(last.details.iter().any(|line| line == gone), "{last:?}");
    assert!(upstream.seen().is_empty(), "nobody was called");
}

#[tokio::test]
async fn e01_what_could_be_smuggled_is_explained_as_refused() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![orders(&upstream)]);
    for lines in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "content-length: -1\r\n",
        "x\0y: 1\r\n",
        "x: a\0b\r\n",
        "host: b.example\r\n",
    ] {
        let text = call("POST", "/shop/open", lines);
        let explained = match door.gateway.explain(asked(&text)).await {
            Ok(explained) => explained,
            // Not even a field.
            Err(unreadable) => {
                assert!(unreadable.to_string().starts_with("line 3: "), "{text:?}");
                continue;
            }
        };
        assert_eq!(explained.decision, "deny", "{text:?}");
        let answer = explained.answer.expect("an answer");
        assert_eq!(answer.status, 400, "{text:?}");
        assert_eq!(door.send(&text).await.status(), 400, "{text:?}");
    }
    let huge = format!("x: {}\r\n", "a".repeat(200_000));
    let text = call("GET", "/shop/open", &huge);
    let answer = explain(&door, &text).await.answer.expect("an answer");
    assert_eq!(answer.status, door.send(&text).await.status());
}

#[tokio::test]
async fn h08_budgets_and_penalties_are_looked_at_and_not_counted() {
    let upstream = Upstream::start().await;
    let mut orders = orders(&upstream);
    let rate = |limit| Rate {
        limit,
        period: Duration::from_secs(60),
    };
    orders.per_address = Some(rate(3));
    orders.per_principal = Some(rate(2));
    let options = Options {
        failures_per_address: Some(Penalties {
            budget: rate(1),
            first: Duration::from_secs(60),
            longest: Duration::from_secs(60),
            forget_after: Duration::from_secs(60),
        }),
        ..Options::default()
    };
    let door = Door::with(vec![orders], options, plain_listener());
    let key = door.facts.key("sub_1", &["orders"], &["orders:read"]);
    let good = call("GET", "/shop/orders", &format!("x-api-key: {key}\r\n"));
    let bad = call("GET", "/shop/orders", "x-api-key: nonsense\r\n");
    let status = async |text: &str| explain(&door, text).await.answer.map(|one| one.status);
    for _ in 0..10 {
        assert_eq!(status(&good).await, None);
        assert_eq!(status(&bad).await, Some(401));
    }
    // Two calls spend the principal's budget, a third the address's.
    assert_eq!(door.send(&good).await.status(), 200);
    assert_eq!(door.send(&good).await.status(), 200);
    let explained = explain(&door, &good).await;
    assert_eq!(
        failed(&explained),
        Some("the budget of the principal, at this API has room")
    );
    assert_eq!(explained.answer.map(|one| one.status), Some(429));
    assert_eq!(door.send(&bad).await.status(), 401);
    let explained = explain(&door, &good).await;
    assert_eq!(
        failed(&explained),
        Some("the budget of the address, at this API has room")
    );
}

#[tokio::test]
async fn c08_an_address_that_is_held_back_is_explained_so_and_learns_nothing() {
    let upstream = Upstream::start().await;
    let options = Options {
        failures_per_address: Some(Penalties {
            budget: Rate {
                limit: 1,
                period: Duration::from_secs(60),
            },
            first: Duration::from_secs(60),
            longest: Duration::from_secs(60),
            forget_after: Duration::from_secs(60),
        }),
        ..Options::default()
    };
    let door = Door::with(vec![orders(&upstream)], options, plain_listener());
    let key = door.facts.key("sub_1", &["orders"], &["orders:read"]);
    let good = call("GET", "/shop/orders", &format!("x-api-key: {key}\r\n"));
    let bad = call("GET", "/shop/orders", "x-api-key: nonsense\r\n");
    assert_eq!(door.send(&bad).await.status(), 401);
    // Never seen before, so held back like every other; and to explain it does not make it known.
    for text in [&good, &bad, &good] {
        let explained = explain(&door, text).await;
        assert_eq!(explained.answer.as_ref().map(|one| one.status), Some(429));
        let step = explained.steps.last().expect("steps");
        assert!(
            step.text.starts_with("the address is held back"),
            "{step:?}"
        );
        assert_eq!(door.send(text).await.status(), 429);
    }
}

#[tokio::test]
async fn a_preflight_is_explained_by_its_answer() {
    let upstream = Upstream::start().await;
    let mut orders = orders(&upstream);
    orders.cors = Some(registry::api::Cors {
        origins: vec!["https://app.example".to_owned()],
        headers: Vec::new(),
        expose: Vec::new(),
        credentials: false,
        max_age: Duration::from_secs(60),
    });
    let door = Door::open(vec![orders]);
    let lines = "origin: https://app.example\r\naccess-control-request-method: GET\r\n";
    let explained = explain(&door, &call("OPTIONS", "/shop/orders", lines)).await;
    assert_eq!(explained.decision, "answer");
    assert_eq!(explained.answer.map(|one| one.status), Some(204));
    let lines = "origin: https://evil.example\r\naccess-control-request-method: GET\r\n";
    let explained = explain(&door, &call("OPTIONS", "/shop/orders", lines)).await;
    assert_eq!(
        explained.answer.and_then(|one| one.code),
        Some("cors-refused")
    );
}
