//! **Guessers**: an address that keeps failing is held back, longer each time, and whoever was
//! known before goes on beside it.

use std::time::Duration;

use serde_json::json;
use testkit::doorward::Doorward;
use testkit::wire::{self, Answer};

use super::backend::Backend;
use super::scene::{self, wait_until};

fn orders(doorward: &Doorward, bearer: &str) -> Answer {
    let bearer = format!("Bearer {bearer}");
    doorward
        .get("/orders", &[("authorization", &bearer)])
        .unwrap()
}

/// Spends the budget of five failures.
fn fail_five_times(doorward: &Doorward) {
    for _ in 0..5 {
        assert_eq!(orders(doorward, "dw_guess").status, 401);
    }
}

fn wait_of(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.code(), "rate-limited");
    answer.header("retry-after").unwrap().parse().unwrap()
}

/// Defence: `gateway/src/penalty.rs`, asked before anything is looked up for a call.
#[test]
fn a_guesser_is_held_back_for_longer_each_time_and_a_known_caller_goes_on() {
    let upstream = Backend::start("one");
    let settings = scene::settings(&upstream.url()).replace(
        "failures_per_address: off",
        "failures_per_address: 5/h, penalty: { first: 3s, longest: 10s }",
    );
    let doorward = Doorward::start(&settings).unwrap();
    let (_, known) = scene::key(&doorward, "known");
    let (_, new) = scene::key(&doorward, "new");
    let secret = scene::client_secret(&doorward);
    let token = scene::token(&doorward, &secret);
    assert_eq!(orders(&doorward, &known).status, 200);
    assert_eq!(orders(&doorward, &token).status, 200);

    fail_five_times(&doorward);
    // A guess and a good key that this node has not seen yet: one answer.
    let guess = orders(&doorward, "dw_guess");
    assert!((1..=3).contains(&wait_of(&guess)), "{guess:?}");
    assert!((1..=3).contains(&wait_of(&orders(&doorward, &new))));
    assert_eq!(scene::ask_for_token(&doorward, &secret).status, 429);
    // Those that it knows go on.
    assert_eq!(orders(&doorward, &known).status, 200);
    assert_eq!(orders(&doorward, &token).status, 200);

    let wait = wait_of(&orders(&doorward, "dw_guess"));
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(
        orders(&doorward, &new).status,
        200,
        "a wait as told is enough"
    );

    fail_five_times(&doorward);
    let longer = wait_of(&orders(&doorward, "dw_guess"));
    assert!((5..=6).contains(&longer), "{longer}");

    // For operators: the log, the metric, and the cause in the decision log.
    assert!(
        doorward.log().contains("is held back"),
        "{}",
        doorward.log()
    );
    let metrics = wire::get(doorward.ops(), "/metrics", &[]).unwrap().text();
    assert!(metrics.contains("doorward_penalties_total 2"), "{metrics}");
    wait_until("the refusals are recorded", Duration::from_secs(10), || {
        let (status, page) = doorward
            .admin_call("GET", "/v1/decisions?limit=100", None)
            .unwrap();
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().iter().any(|entry| {
            entry["code"] == json!("rate-limited")
                && entry["cause"] == json!("the address failed too often: penalty 2 in a row")
        })
    });
}
