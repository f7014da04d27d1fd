//! Threats H2 and H3: what a caller sends is data, and only a clear yes is one.

use super::world::world;

#[test]
fn h02_what_a_caller_sends_to_a_policy_is_never_read_as_rego() {
    let world = world();
    assert_eq!(world.get("ann", "/named?name=ann").status, 200);
    for name in [
        "ben",
        "ann%22%20%7D%20allow%20if%20%7B%20true",
        "%22%3B%20true%3B%20%22",
        "a%0A%7D%0Aallow%20:=%20true%0A",
        "input.principal.id",
        "%5B%22ann%22%5D",
        "%7B%7Bann%7D%7D",
    ] {
        let answer = world.get("ann", &format!("/named?name={name}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "policy-denied"),
            "{name}"
        );
    }
    for value in [
        "ann\" } allow if { true",
        "true",
        "data.named.allow",
        "ann, ann",
    ] {
        let answer = world.call("ann", "GET", "/named", &[("x-name", value)], "");
        assert_eq!(answer.status, 403, "{value}: {}", answer.text());
    }
    assert_eq!(
        world
            .call("ann", "GET", "/named", &[("x-name", "ann")], "")
            .status,
        200
    );
}

/// Defence: `Outcome::Undefined | Outcome::Failed` in `Asking::obey` of `verdict/src/policy/mod.rs`.
#[test]
fn h03_a_policy_that_has_no_answer_refuses_and_the_log_says_why() {
    let world = world();
    assert_eq!(world.get("ann", "/silent?say=yes").status, 200);
    for (target, outcome, reason) in [
        ("/silent", "undefined", "no rule spoke of this call"),
        ("/odd", "failed", "neither a boolean nor an object"),
        ("/slow", "failed", "than it may"),
    ] {
        let mark = world.mark();
        let answer = world.call("ann", "GET", target, &[("x-mark", &mark)], "");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "policy-denied"),
            "{target}"
        );
        assert!(world.upstream.with(&mark).is_empty());
        // The caller hears that it may not; why is for the log.
        assert!(!answer.text().contains(reason), "{}", answer.text());
        let entry = world.entry(&answer);
        let judgement = &entry["judged"]["judgements"][0];
        assert_eq!(
            (&judgement["by"], &judgement["outcome"]),
            (&"policy".into(), &outcome.into()),
            "{entry:#}"
        );
        let said = judgement["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{target}: {said}");
        assert!(
            entry["cause"].as_str().unwrap().contains(reason),
            "{entry:#}"
        );
    }
}
