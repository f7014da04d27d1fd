//! Limits: 429 with what the caller needs to do better.

use core::time::Duration;

use gateway::Options;
use registry::api::UpstreamMeaning;
use verdict::limit::Rate;
use verdict::penalty::Penalties;

use crate::harness::{Door, PUBLIC, Upstream, api, by_key, open_api, plain_listener, pool, route};

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
async fn the_principals_of_an_application_share_its_budget() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.per_application = Some(TWO);
    orders.routes = vec![route(&orders, "/{rest*}", by_key())];
    let door = Door::open(vec![orders]);
    let key = |whose: &str| {
        let key = door.facts.key(whose, &["orders"], &[]);
        format!("authorization: Bearer {key}\r\n")
    };
    let (ada, bob) = (key("ada"), key("bob"));
    assert_eq!(door.get("/x", &ada).await.status(), 200);
    let second = door.get("/x", &bob).await;
    assert_eq!(
        second.field("ratelimit-policy"),
        Some("\"application\";q=2;w=60")
    );
    for whose in [&ada, &bob] {
        let spent = door.get("/x", whose).await;
        let answer = (spent.status(), spent.code());
        assert_eq!(answer, (429, "rate-limited".to_owned()));
    }
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

#[tokio::test]
async fn one_apis_address_budget_is_not_anothers() {
    let upstream = Upstream::start().await;
    let apis = ["orders", "stock"].map(|name| {
        let mut api = api(name, UpstreamMeaning::Pool(pool(&[upstream.at])));
        api.base_path = format!("/{name}");
        api.per_address = Some(TWO);
        api.routes = vec![route(&api, "/{rest*}", by_key())];
        api
    });
    let door = Door::open(apis.into());
    for _ in 0..2 {
        assert_eq!(door.get("/orders/x", "").await.status(), 401);
    }
    assert_eq!(door.get("/orders/x", "").await.status(), 429);
    assert_eq!(door.get("/stock/x", "").await.status(), 401);
}

#[tokio::test]
async fn the_doors_own_budget_holds_for_whatever_is_asked() {
    let upstream = Upstream::start().await;
    let options = Options {
        per_address: Some(TWO),
        ..Options::default()
    };
    let door = Door::with(vec![open_api(upstream.at)], options, plain_listener());
    assert_eq!(door.get("/x", "").await.status(), 200);
    assert_eq!(door.get("/x", "").await.status(), 200);
    assert_eq!(door.get("/x", "").await.status(), 429);
}

/// A door that holds an address back after two failures, for `seconds` at first, and an API behind
/// it that takes keys.
async fn strict_door(seconds: u64) -> (Door, Upstream) {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.routes = vec![
        route(&orders, "/open", PUBLIC),
        route(&orders, "/{rest*}", by_key()),
    ];
    let options = Options {
        failures_per_address: Some(Penalties {
            budget: TWO,
            first: Duration::from_secs(seconds),
            longest: Duration::from_secs(900),
            forget_after: Duration::from_secs(3600),
        }),
        ..Options::default()
    };
    (
        Door::with(vec![orders], options, plain_listener()),
        upstream,
    )
}

const GUESS: &str = "authorization: Bearer dw_guess\r\n";

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

#[tokio::test]
async fn an_address_that_keeps_failing_is_refused_unjudged() {
    let (door, _upstream) = strict_door(60).await;
    let good = bearer(&door.facts.key("ada", &["orders"], &[]));
    // What lacks a credential is no guess and costs nothing of this budget.
    for _ in 0..3 {
        assert_eq!(door.get("/x", "").await.status(), 401);
    }
    for _ in 0..2 {
        assert_eq!(door.get("/x", GUESS).await.status(), 401);
    }
    // Right or wrong, with or without a credential: what this node has not seen before waits.
    for (path, lines) in [("/x", &*good), ("/x", GUESS), ("/x", ""), ("/open", "")] {
        let held = door.get(path, lines).await;
        assert_eq!(
            (held.status(), held.code().as_str()),
            (429, "rate-limited"),
            "{path} {lines}"
        );
        let wait: u64 = held
            .field("retry-after")
            .expect("a wait")
            .parse()
            .expect("seconds");
        assert!((50..=60).contains(&wait), "{wait}");
        assert_eq!(held.field("www-authenticate"), None);
    }
    assert!(door.metrics().contains("doorward_penalties_total 1"));
    assert!(door.metrics().contains("doorward_penalty_refusals_total 4"));
}

#[tokio::test]
async fn a_penalty_ends_and_the_next_one_is_twice_as_long() {
    let (door, _upstream) = strict_door(1).await;
    let good = bearer(&door.facts.key("ada", &["orders"], &[]));
    for seconds in ["1", "2"] {
        for _ in 0..2 {
            assert_eq!(door.get("/x", GUESS).await.status(), 401);
        }
        let held = door.get("/x", GUESS).await;
        assert_eq!(held.status(), 429);
        assert_eq!(held.field("retry-after"), Some(seconds));
        let wait = seconds.parse().expect("seconds");
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    assert_eq!(door.get("/x", &good).await.status(), 200);
}

#[tokio::test]
async fn whoever_was_verified_before_goes_on_beside_a_bad_neighbour() {
    let (door, upstream) = strict_door(60).await;
    let known = bearer(&door.facts.key("ada", &["orders"], &[]));
    let new = bearer(&door.facts.key("bob", &["orders"], &[]));
    let elsewhere = bearer(&door.facts.key("eve", &["stock"], &[]));
    assert_eq!(door.get("/x", &known).await.status(), 200);
    assert_eq!(door.get("/x", &elsewhere).await.status(), 403);
    for _ in 0..2 {
        assert_eq!(door.get("/x", GUESS).await.status(), 401);
    }
    assert_eq!(door.get("/x", &known).await.status(), 200);
    assert_eq!(door.get("/x", &new).await.status(), 429);
    // Being known is no right: what may be done is decided as ever.
    assert_eq!(door.get("/x", &elsewhere).await.status(), 403);
    // What only looks like a known key is a guess, and learns nothing of that.
    let mut wrong = known.trim_end().to_owned();
    let last = wrong.pop().expect("a character");
    wrong.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(door.get("/x", &format!("{wrong}\r\n")).await.status(), 429);
    assert_eq!(upstream.seen().len(), 2);
}
