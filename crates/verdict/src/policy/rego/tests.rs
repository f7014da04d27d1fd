use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn compile(text: &str) -> Version {
    Version::compile(&Source::inline("one.rego", text)).expect("a policy that compiles")
}

fn decide(text: &str, input: &Value) -> Outcome {
    compile(text).decide(input, Limits::default())
}

fn flaw(text: &str) -> String {
    let flaws = Version::compile(&Source::inline("one.rego", text)).expect_err("a flaw");
    flaws[0].to_string()
}

fn failure(outcome: &Outcome) -> &Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?} is no failure"),
    }
}

#[test]
fn a_policy_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
}

#[test]
fn h03_an_answer_has_three_values_and_a_failure() {
    let text = r#"package one
allow if input.who == "owner"
allow := false if input.who == "stranger"
allow := "yes" if input.who == "odd"
"#;
    let ask = |who: &str| decide(text, &json!({ "who": who })).name();
    assert_eq!(ask("owner"), "allow");
    assert_eq!(ask("stranger"), "deny");
    assert_eq!(ask("nobody"), "undefined");
    assert_eq!(ask("odd"), "failed");
}

#[test]
fn h03_only_an_allow_allows() {
    for outcome in [
        Outcome::Deny(Decision::default()),
        Outcome::Undefined,
        Outcome::Failed(Failure::Time),
    ] {
        assert!(!outcome.allows(), "{outcome:?}");
        assert!(outcome.name() == "deny" || outcome.reason().is_some());
    }
}

#[test]
fn h03_two_values_for_one_name_under_a_not_do_not_allow() {
    // The machine takes `level` for undefined and so `not` for true.
    let text = r#"package one
level := 1 if input.a
level := 2 if input.b
allow if not level
"#;
    let version = compile(text);
    assert!(version.is_confirmed());
    let ask = |input: Value| version.decide(&input, Limits::default());
    assert_eq!(ask(json!({})).name(), "allow");
    let both = ask(json!({ "a": true, "b": true }));
    assert!(failure(&both).to_string().contains("conflicts"), "{both:?}");
}

#[test]
fn h03_one_rule_with_two_values_does_not_allow() {
    let text = "package one\nlevel := n if some n in input.levels\nallow if level == 1\n";
    let version = compile(text);
    assert!(version.is_confirmed());
    let ask = |levels: Value| version.decide(&json!({ "levels": levels }), Limits::default());
    assert_eq!(ask(json!([1])).name(), "allow");
    for levels in [json!([1, 3]), json!([3, 1])] {
        assert!(!ask(levels.clone()).allows(), "{levels}");
    }
    assert!(!compile("package one\nallow if some n in input.levels\n").is_confirmed());
}

#[test]
fn rules_that_agree_need_no_second_look() {
    let version =
        compile("package one\ndefault allow := false\nallow if input.a\nallow if input.b\n");
    assert!(!version.is_confirmed());
    assert!(
        version
            .decide(&json!({ "a": true, "b": true }), Limits::default())
            .allows()
    );
}

#[test]
fn h02_what_a_caller_sends_is_data_and_never_syntax() {
    let text = "package one\ndefault allow := false\nallow if input.name == \"a\"\n";
    for name in [
        "a\" } allow if { true",
        "\"; true; \"",
        "a\n}\nallow := true\n",
    ] {
        assert_eq!(
            decide(text, &json!({ "name": name })).name(),
            "deny",
            "{name}"
        );
    }
    assert!(decide(text, &json!({ "name": "a" })).allows());
}

#[test]
fn an_answer_tells_reason_code_and_obligations() {
    let text = r#"package one
decision := {
    "allow": true, "reason": "the owner", "code": "owner",
    "obligations": {
        "headers": {"X-Region": "eu"},
        "mask": ["/card", "/items/*/cost"],
        "step_up": {"acr_values": ["mfa"], "max_age": 300},
        "limit": {"rate": "10/m", "name": "exports"},
    },
}
"#;
    let Outcome::Allow(said) = decide(text, &json!({})) else {
        panic!("it allows");
    };
    assert_eq!(said.reason.as_deref(), Some("the owner"));
    assert_eq!(said.code.as_deref(), Some("owner"));
    let must = said.obligations;
    assert_eq!(must.headers[0].0, "x-region");
    assert_eq!(must.mask.len(), 2);
    let step_up = must.step_up.expect("a step up");
    assert_eq!(step_up.acr_values, ["mfa"]);
    assert_eq!(step_up.max_age, Some(Duration::from_secs(300)));
    let limit = must.limit.expect("a limit");
    assert_eq!(
        (limit.rate.limit, limit.rate.period),
        (10, Duration::from_secs(60))
    );
}

#[test]
fn h03_an_answer_that_asks_for_something_unknown_fails() {
    for (answer, why) in [
        (r#""yes""#, "neither a boolean"),
        (r#"{"reason": "x"}"#, "no `allow`"),
        (r#"{"allow": "true"}"#, "no boolean"),
        (r#"{"allow": true, "ttl": 5}"#, "unknown member `ttl`"),
        (
            r#"{"allow": true, "obligations": {"redact": []}}"#,
            "unknown field `redact`",
        ),
        (
            r#"{"allow": true, "obligations": {"headers": {"Authorization": "x"}}}"#,
            "can't set",
        ),
        (
            r#"{"allow": true, "obligations": {"headers": {"Doorward-Subject": "x"}}}"#,
            "can't set",
        ),
        (
            r#"{"allow": true, "obligations": {"headers": {"X-Forwarded-For": "x"}}}"#,
            "can't set",
        ),
        (
            r#"{"allow": true, "obligations": {"headers": {"connection": "x"}}}"#,
            "can't set",
        ),
        (
            r#"{"allow": true, "obligations": {"headers": {"x-a": "b\r\nc: d"}}}"#,
            "can't stand",
        ),
        (
            r#"{"allow": true, "obligations": {"mask": [""]}}"#,
            "no JSON pointer",
        ),
        (
            r#"{"allow": true, "obligations": {"mask": ["card"]}}"#,
            "no JSON pointer",
        ),
        (
            r#"{"allow": true, "obligations": {"step_up": {}}}"#,
            "neither",
        ),
        (
            r#"{"allow": true, "obligations": {"step_up": {"acr_values": ["a b"]}}}"#,
            "can't be asked",
        ),
        (
            r#"{"allow": true, "obligations": {"limit": {"rate": "0/m"}}}"#,
            "10/m",
        ),
        (
            r#"{"allow": true, "obligations": {"limit": {"rate": "10"}}}"#,
            "10/m",
        ),
    ] {
        let outcome = decide(&format!("package one\ndecision := {answer}\n"), &json!({}));
        let text = failure(&outcome).to_string();
        assert!(text.contains(why), "{answer}: {text}");
    }
}

#[test]
fn j03_masked_fields_are_taken_out_wherever_they_stand() {
    let mut answer = json!({
        "id": 7, "card": "4111", "a/b": 1, "*": 2,
        "items": [{"cost": 1, "name": "x"}, {"cost": 2, "name": "y"}],
        "people": {"ann": {"salary": 1}, "bob": {"salary": 2, "age": 3}},
    });
    let masks = [
        "/card",
        "/items/*/cost",
        "/people/*/salary",
        "/a~1b",
        "/~2",
        "/none/of/it",
    ];
    for mask in masks {
        let mask = Mask::parse(mask).expect(mask);
        assert_eq!(mask.apply(&mut answer), mask.to_string() != "/none/of/it");
    }
    let left = json!({
        "id": 7,
        "items": [{"name": "x"}, {"name": "y"}],
        "people": {"ann": {}, "bob": {"age": 3}},
    });
    assert_eq!(answer, left);
}

#[test]
fn a_flaw_is_told_with_file_line_and_column() {
    let text = "package one\n\nallow if {\n    input.a ==\n}\n";
    assert!(flaw(text).starts_with("one.rego:5:1: "), "{}", flaw(text));
}

#[test]
fn every_module_that_can_not_be_read_is_told() {
    let mut source = Source::inline("one.rego", "package\n");
    source.modules.push(Module {
        path: "two.rego".to_owned(),
        text: "package two\nallow if".to_owned(),
    });
    let flaws = Version::compile(&source).expect_err("two flaws");
    let files: Vec<_> = flaws.iter().map(|flaw| flaw.file.as_deref()).collect();
    assert_eq!(files, [Some("one.rego"), Some("two.rego")]);
}

#[test]
fn what_reaches_out_of_the_policy_does_not_compile() {
    for (call, hint) in [
        (
            r#"http.send({"url": "http://a", "method": "GET"}).status_code == 200"#,
            "network",
        ),
        (r#"net.lookup_ip_addr("a")"#, "network"),
        ("opa.runtime().env.HOME", "machine"),
        (r#"uuid.rfc4122("a")"#, "same call"),
        (r#"rand.intn("a", 5) == 1"#, "same call"),
        (r#"trace("a")"#, "debugging"),
        (r#"print("a")"#, "tests"),
        (r#"nothing.like("this")"#, "lists"),
    ] {
        let told = flaw(&format!("package one\nallow if {{\n    {call}\n}}\n"));
        let name = call.split('(').next().expect("a name");
        assert!(told.starts_with("one.rego:3:"), "{told}");
        assert!(
            told.contains(&format!("`{name}`")) && told.contains(hint),
            "{told}"
        );
    }
}

#[test]
fn a_rule_that_decides_replaces_no_input() {
    let told = flaw("package one\nallow if inner with input as {}\ninner if input.a\n");
    assert!(told.contains("tests only"), "{told}");
}

#[test]
fn the_rule_to_ask_is_found_or_must_be_named() {
    let found = |text: &str| compile(text).entrypoint().to_owned();
    assert_eq!(found("package a.b\nallow := true\n"), "data.a.b.allow");
    assert_eq!(
        found("package a\nallow := true\ndecision := allow\n"),
        "data.a.decision"
    );
    assert!(flaw("package a\nother := true\n").contains("no rule `decision`"));
    let mut source = Source::inline("a.rego", "package a\nallow := true\n");
    source.modules.push(Module {
        path: "b.rego".to_owned(),
        text: "package b\nallow := false\n".to_owned(),
    });
    let flaws = Version::compile(&source).expect_err("two rules");
    assert!(flaws[0].to_string().contains("data.a.allow, data.b.allow"));
    source.entrypoint = Some("b/allow".to_owned());
    let version = Version::compile(&source).expect("named");
    assert_eq!(version.entrypoint(), "data.b.allow");
    source.entrypoint = Some("data.b.alow".to_owned());
    let flaws = Version::compile(&source).expect_err("no such rule");
    assert!(flaws[0].to_string().contains("no rule `data.b.alow`"));
}

#[test]
fn the_time_is_the_calls_own() {
    let text = "package one\nallow if time.now_ns() == 1700000000123000000\n";
    assert!(decide(text, &json!({ "time": 1_700_000_000_123_i64 })).allows());
    assert_eq!(decide(text, &json!({ "time": 5 })).name(), "undefined");
    let without = decide(text, &json!({}));
    assert!(failure(&without).to_string().contains("no `time`"));
}

#[test]
fn time_and_instructions_are_bounded() {
    let text = r#"package one
allow if count([1 | some a in input.list; some b in input.list; some c in input.list; a + b + c == -1]) == 0
"#;
    let list: Vec<_> = (0..400).collect();
    let input = json!({ "list": list });
    let version = compile(text);
    let slow = Limits {
        time: Duration::from_millis(20),
        instructions: usize::MAX,
    };
    assert_eq!(*failure(&version.decide(&input, slow)), Failure::Time);
    let short = Limits {
        time: Duration::from_secs(60),
        instructions: 10_000,
    };
    assert_eq!(
        *failure(&version.decide(&input, short)),
        Failure::Instructions
    );
}

#[test]
fn a_number_that_a_caller_sent_does_not_become_a_gigabyte() {
    for call in [
        "numbers.range(0, input.n)",
        "numbers.range_step(0, input.n, 2)",
        "bits.lsh(1, input.n)",
        "net.cidr_expand(\"10.0.0.0/8\")",
    ] {
        let text = format!("package one\nallow if {call}\n");
        let outcome = decide(&text, &json!({ "n": 4_000_000_000_u32 }));
        assert_eq!(failure(&outcome).code(), "size-limit", "{call}");
    }
    let text = "package one\nallow if {\n  numbers.range(3, 1) == [3, 2, 1]\n  numbers.range_step(0, 5, 2) == [0, 2, 4]\n  count(net.cidr_expand(\"10.0.0.0/30\")) == 4\n  bits.lsh(1, 10) == 1024\n}\n";
    assert!(decide(text, &json!({})).allows());
}

#[test]
fn a_version_is_named_by_what_it_is_made_of() {
    let digest = |text: &str, data: Value| {
        let mut source = Source::inline("one.rego", text);
        source.data = data;
        Version::compile(&source)
            .expect("compiles")
            .digest()
            .clone()
    };
    let (one, other) = ("package a\nallow := true\n", "package a\nallow := false\n");
    assert_eq!(digest(one, json!({})), digest(one, json!({})));
    assert_ne!(digest(one, json!({})), digest(other, json!({})));
    assert_ne!(digest(one, json!({})), digest(one, json!({ "b": 1 })));
}

#[test]
fn h03_a_policy_without_a_version_allows_nothing_and_takes_one_while_it_is_asked() {
    let policy = Policy::waiting("orders", Limits::default(), false);
    assert_eq!(
        policy.decide(&json!({})).outcome,
        Outcome::Failed(Failure::NoVersion)
    );
    let version = Arc::new(compile("package a\nallow := true\n"));
    policy.replace(version.clone());
    let answer = policy.decide(&json!({}));
    assert!(answer.outcome.allows());
    assert_eq!(answer.version.as_ref(), Some(version.digest()));
}

#[test]
fn rules_and_data_do_not_share_a_path() {
    let mut source = Source::inline("one.rego", "package orders\nallow := true\n");
    source.data = json!({ "orders": { "allow": true } });
    let flaws = Version::compile(&source).expect_err("a conflict");
    assert!(flaws[0].to_string().contains("same path"));
    source.data = json!([]);
    let flaws = Version::compile(&source).expect_err("no object");
    assert!(flaws[0].to_string().contains("object"));
}

const ORDERS: &str = r#"package orders
import rego.v1

default allow := false

allow if {
    input.method == "GET"
    data.owners[input.order] == input.who
}

allow if input.who == "admin"

reason := "owner" if allow
"#;

#[test]
fn a_trace_tells_lines_values_and_the_answer() {
    let mut source = Source::inline("orders.rego", ORDERS);
    source.data = json!({ "owners": { "7": "ann" } });
    let version = Version::compile(&source).expect("compiles");
    let input = json!({ "method": "GET", "order": "7", "who": "bob" });
    let trace = version.trace(&input, Limits::default());
    assert_eq!(trace.outcome.name(), "deny");
    let values: Vec<_> = trace
        .values
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    assert_eq!(
        values,
        [
            ("data.orders.allow", Some(json!(false))),
            ("data.orders.reason", None)
        ]
    );
    let (_, lines) = trace.reached.files().next().expect("a module");
    assert!(lines.reached.contains(&8), "{lines:?}");
    assert!(
        lines.missed.contains(&13),
        "the reason was not asked for: {lines:?}"
    );
    assert!(trace.reached.percent() < 100.0);
}

#[test]
fn tests_in_rego_run_with_their_own_input_and_count_lines() {
    let mut source = Source::inline("orders.rego", ORDERS);
    source.data = json!({ "owners": { "7": "ann" } });
    source.modules.push(Module {
        path: "orders_test.rego".to_owned(),
        text: r#"package orders_test
import data.orders
test_owner if orders.allow with input as {"method": "GET", "order": "7", "who": "ann"}
test_other if not orders.allow with input as {"method": "GET", "order": "7", "who": "bob"}
test_wrong if {
    print("asking for", "bob")
    orders.allow with input as {"who": "bob"}
}
"#
        .to_owned(),
    });
    let suite = Suite::read(&source).expect("reads");
    let mut reached = suite.lines();
    let mut passed = Vec::new();
    for name in suite.names() {
        let tested = suite.run(name, Limits::default());
        reached.add(&tested.reached);
        if name.ends_with("wrong") {
            assert_eq!(tested.printed, ["orders_test.rego:6: asking for bob"]);
        }
        passed.push((name.as_str(), tested.passed));
    }
    assert_eq!(
        passed,
        [
            ("data.orders_test.test_other", true),
            ("data.orders_test.test_owner", true),
            ("data.orders_test.test_wrong", false),
        ]
    );
    let (path, lines) = reached.files().next().expect("a module");
    assert_eq!(path, "orders.rego");
    assert!(lines.missed.iter().all(|line| *line == 13), "{lines:?}");
}
