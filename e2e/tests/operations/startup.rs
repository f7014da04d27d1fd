//! **What a start costs**: time to ready and idle memory, printed for the record.

use std::time::Instant;

use testkit::doorward::Doorward;

use super::bodies::resident_kib;
use super::scene;

#[test]
fn a_start_ends_in_readiness_and_its_cost_is_printed() {
    let began = Instant::now();
    let doorward = Doorward::start(&scene::settings("http://127.0.0.1:9")).unwrap();
    let seen = began.elapsed();
    let log = doorward.log();
    let own = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["message"] == "ready")
        .unwrap_or_else(|| panic!("no line says when it was ready: {log}"));
    let resident = resident_kib(doorward.pid());
    println!(
        "first start to ready: {} ms by its own clock, {seen:?} seen from outside; idle memory {} MiB",
        own["millis"],
        resident / 1024
    );
    assert!(resident > 0);
}
