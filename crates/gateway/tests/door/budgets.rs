//! Limits: 429 with what the caller needs to do better.

use core::time::Duration;

use gateway::Options;
use registry::api::UpstreamMeaning;
use verdict::limit::Rate;

use crate::harness::{Door, Upstream, api, by_key, open_api, plain_listener, pool, route};

const TWO: Rate = Rate {
    limit: 2,
    period: Duration::from_secs(60),
};

#[tokio::test]
async fn an_address_is_counted_before_anybody_is_identified() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.per_address = Some(TWO);
    orders.routes = vec![route(&orders, "/{rest*}", by_key())];
    let door = Door::open(vec![orders]);
    let key = door.facts.key("ada", &["orders"], &[]);
    assert_eq!(door.get("/x", "").await.status(), 401);
    assert_eq!(door.get("/x", "").await.status(), 401);
    let spent = door
        .get("/x", &format!("authorization: Bearer {key}\r\n"))
        .await;
    assert_eq!(
        (spent.status(), spent.code().as_str()),
        (429, "rate-limited")
    );
    let wait: u64 = spent
        .field("retry-after")
        .expect("a wait")
        .parse()
        .expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(
        spent.field("ratelimit-policy"),
        Some("\"address\";q=2;w=60")
    );
    assert!(
        spent
            .field("ratelimit")
            .is_some_and(|text| text.starts_with("\"address\";r=0;t="))
    );
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_principal_has_a_budget_of_its_own_and_is_told_what_is_left() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.per_principal = Some(TWO);
    orders.routes = vec![route(&orders, "/{rest*}", by_key())];
    let door = Door::open(vec![orders]);
    let ada = format!(
        "authorization: Bearer {}\r\n",
        door.facts.key("ada", &["orders"], &[])
    );
    let bob = format!(
        "authorization: Bearer {}\r\n",
        door.facts.key("bob", &["orders"], &[])
    );
    let first = door.get("/x", &ada).await;
    assert_eq!(first.status(), 200);
    assert!(
        first
            .field("ratelimit")
            .is_some_and(|text| text.starts_with("\"principal\";r=1;t="))
    );
    assert_eq!(door.get("/x", &ada).await.status(), 200);
    assert_eq!(door.get("/x", &ada).await.status(), 429);
    assert_eq!(
        door.get("/x", &bob).await.status(),
        200,
        "one's budget is not another's"
    );
}

#[tokio::test]
async fn above_the_calls_at_once_calls_are_refused_with_503() {
    let upstream = Upstream::start().await;
    let options = Options {
        calls_at_once: 1,
        ..Options::default()
    };
    let door = std::sync::Arc::new(Door::with(
        vec![open_api(upstream.at)],
        options,
        plain_listener(),
    ));
    upstream.will_answer("SILENCE");
    let slow = tokio::spawn({
        let door = door.clone();
        async move { door.get("/slow", "").await }
    });
    while upstream.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = door.get("/x", "").await;
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (503, "overloaded")
    );
    slow.abort();
}
