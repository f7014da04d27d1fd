//! Threat J7: one id after another.

use testkit::wire;

use super::world::{World, subject, world};

/// How often an API's callers were noticed.
fn noticed(world: &World, api: &str) -> u64 {
    let text = wire::get(world.doorward.ops(), "/metrics", &[])
        .unwrap()
        .text();
    let start = format!("doorward_object_probing_total{{api=\"{api}\"}}");
    let line = text.lines().find(|line| line.starts_with(&start));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// Defence: `Asking::refused` of `verdict/src/policy/mod.rs`.
#[test]
fn j07_a_caller_who_tries_one_id_after_another_is_noticed() {
    let world = world();
    // A page that is out of date asks for the same few things again and again.
    for turn in 0..100 {
        let target = format!("/watched/orders/{}", 5000 + turn % 4);
        assert_eq!(world.get("kim", &target).status, 403);
    }
    assert_eq!(noticed(world, "watched"), 0, "the same four objects");
    for id in 0..5 {
        assert_eq!(
            world
                .get("lou", &format!("/watched/orders/{}", 7000 + id))
                .status,
            403
        );
    }
    assert_eq!(noticed(world, "watched"), 1);
    let told = |log: &str| {
        let mut lines = log.lines();
        let line = lines.find(|line| {
            line.contains("was refused many different objects") && line.contains("watched")
        });
        line.map(str::to_owned)
    };
    let mut log = world.doorward.log();
    for _ in 0..100 {
        if told(&log).is_some() {
            break;
        }
        std::thread::sleep(core::time::Duration::from_millis(20));
        log = world.doorward.log();
    }
    let line = told(&log).unwrap_or_else(|| panic!("nothing in the log:\n{log}"));
    assert!(line.contains(&subject("lou")), "{line}");
    let mut lines = log.lines().filter(|line| line.contains("was refused many"));
    assert!(
        lines.all(|line| !line.contains(&subject("kim"))),
        "kim was not"
    );
    // It is noticed and no more.
    world.relate(&format!("order:7000#owner@{}", subject("lou")));
    world.soon(200, || world.get("lou", "/watched/orders/7000"));
}

/// Defence: `Asking::not_held_for_probing` of `verdict/src/policy/mod.rs`.
#[test]
fn j07_where_the_api_says_so_whoever_was_noticed_is_refused_for_a_time() {
    let world = world();
    world.relate(&format!("order:8000#owner@{}", subject("max")));
    world.relate(&format!("order:8000#viewer@{}", subject("ned")));
    for id in 1..6 {
        assert_eq!(world.get("max", "/strict/orders/8000").status, 200);
        assert_eq!(
            world
                .get("max", &format!("/strict/orders/{}", 8000 + id))
                .status,
            403
        );
    }
    let held = world.get("max", "/strict/orders/8000");
    assert_eq!(
        (held.status, held.code().as_str()),
        (429, "object-probing"),
        "{}",
        held.text()
    );
    let wait: u64 = held.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    assert_eq!(noticed(world, "strict"), 1);
    // Where nothing has an object it passes, and so does everybody else, and so does it elsewhere.
    assert_eq!(world.get("max", "/strict/free").status, 200);
    assert_eq!(world.get("ned", "/strict/orders/8000").status, 200);
    assert_eq!(world.get("max", "/orders/8000").status, 200);
}
