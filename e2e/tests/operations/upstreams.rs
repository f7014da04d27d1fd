//! **Upstreams that die**: one of three is killed under load and comes back.

use std::time::Duration;

use testkit::doorward::{BASE, Doorward};

use super::backend::Backend;
use super::load::Load;
use super::scene::{self, wait_until};

#[test]
fn killing_one_of_three_upstreams_loses_no_idempotent_call_and_it_gets_traffic_again() {
    let mut backends = [
        Backend::start("one"),
        Backend::start("two"),
        Backend::start("three"),
    ];
    let urls: Vec<String> = backends.iter().map(Backend::url).collect();
    let doorward = Doorward::start(&format!("{BASE}{}", scene::resources(&urls))).unwrap();
    let (_, key) = scene::key(&doorward, "load");
    let load = Load::start(4, doorward.gateway(), "/orders", &key);
    load.let_pass(100);
    for backend in &backends {
        assert!(backend.calls() > 0, "all three share the load");
    }

    backends[1].kill();
    let before = [backends[0].calls(), backends[2].calls()];
    load.let_pass(300);
    assert!(backends[0].calls() > before[0] && backends[2].calls() > before[1]);

    let before = backends[1].calls();
    backends[1].revive();
    let took = wait_until(
        "traffic for the one that came back",
        Duration::from_secs(30),
        || backends[1].calls() > before,
    );
    load.let_pass(50);
    let outcome = load.stop();
    println!(
        "{} calls with one of three upstreams killed; it got traffic again after {took:?}",
        outcome.good
    );
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
}
