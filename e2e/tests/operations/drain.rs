//! **Stopping**: calls in flight end well, nobody new is let in.

use std::time::Duration;

use testkit::doorward::Doorward;
use testkit::wire;

use super::backend::{Backend, SLOW};
use super::scene::{self, wait_until};

#[test]
fn sigterm_lets_a_slow_call_end_and_refuses_new_connections() {
    let upstream = Backend::start("one");
    let mut doorward = Doorward::start(&scene::settings(&upstream.url())).unwrap();
    let gateway = doorward.gateway();
    let slow = std::thread::spawn(move || wire::get(gateway, "/slow", &[]));
    wait_until(
        "the slow call is at the upstream",
        Duration::from_secs(10),
        || upstream.calls() == 1,
    );
    doorward.signal("TERM").unwrap();
    wait_until("new connections are refused", SLOW, || {
        wire::connect(gateway).is_err()
    });
    let answer = slow.join().unwrap().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "slow"));
    assert!(
        doorward.wait(Duration::from_secs(10)).unwrap(),
        "{}",
        doorward.log()
    );
    assert!(doorward.log().contains("stopped"), "{}", doorward.log());
}

#[test]
fn a_call_that_outlasts_the_drain_does_not_hold_the_process_up() {
    let upstream = Backend::start("one");
    let settings = scene::settings(&upstream.url()).replace("drain: 5s", "drain: 200ms");
    let mut doorward = Doorward::start(&settings).unwrap();
    let gateway = doorward.gateway();
    let slow = std::thread::spawn(move || wire::get(gateway, "/slow", &[]));
    wait_until(
        "the slow call is at the upstream",
        Duration::from_secs(10),
        || upstream.calls() == 1,
    );
    let began = std::time::Instant::now();
    assert!(doorward.stop().unwrap(), "{}", doorward.log());
    assert!(began.elapsed() < SLOW, "ended after {:?}", began.elapsed());
    assert!(slow.join().unwrap().is_err(), "the call was cut off");
}
