//! Threats B8, H2 and H3: rules judge by what the upstream gets, what a caller sends is data, and only
//! a clear yes is one.

use super::super::shared::seen;
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

/// Defence: `onward::ending` in `headers` of `verdict/src/policy/input.rs`.
#[test]
fn b08_a_policy_judges_by_no_field_that_the_upstream_never_gets() {
    let world = world();
    let call = |headers: &[(&str, &str)]| world.call("ann", "GET", "/fields", headers, "");
    let dry = ("prefer", "dry-run");
    let passed = call(&[dry]);
    assert_eq!(passed.status, 200, "{}", passed.text());
    assert_eq!(seen(&passed, "prefer"), ["dry-run"]);
    assert_eq!(call(&[("x-any", "let me in")]).status, 200);
    for connection in ["prefer", "close, Prefer", "keep-alive,prefer ,te"] {
        let refused = call(&[dry, ("connection", connection)]);
        assert_eq!(refused.status, 403, "{connection}: {}", refused.text());
    }
    for name in [
        "x-forwarded-for",
        "x-forwarded-user",
        "X_Forwarded_Groups",
        "forwarded",
        "x-real-ip",
        "doorward-subject",
        "doorward_roles",
        "Doorward-Anything",
        "client-cert",
        "x-ssl-client-verify",
        "remote_user",
        "x-http-method-override",
        "x-original-url",
        "te",
        "proxy-authorization",
        "traceparent",
        "x-tier",
        "x_tier",
        "cookie",
    ] {
        let refused = call(&[(name, "let me in")]);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "policy-denied"),
            "{name}: {}",
            refused.text()
        );
    }
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
