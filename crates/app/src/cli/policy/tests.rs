use std::path::{Path, PathBuf};

use super::*;

/// The example of the book.
fn orders() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/authorization/orders")
}

fn results(paths: &[PathBuf]) -> cases::Results {
    cases::run(&collect::collect(paths).expect("there is something")).expect("it runs")
}

#[test]
fn the_books_example_holds_and_is_reached_as_a_whole() {
    let results = results(&[orders()]);
    let failed: Vec<_> = results.tests.iter().filter(|test| !test.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(results.tests.len(), 9);
    assert!(results.reached.percent() >= 90.0, "{:#?}", results.reached);
}

/// A folder with a policy that allows to readers, and these cases.
fn folder(cases: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let policy = "package a\ndecision := {\"allow\": true, \"reason\": \"r\"} if input.reads\n";
    std::fs::write(dir.path().join("a.rego"), policy).expect("written");
    let text = format!("policy: a.rego\ncases:\n{cases}");
    std::fs::write(dir.path().join("a.test.yaml"), text).expect("written");
    dir
}

#[test]
fn a_wrong_answer_is_told_with_what_was_expected() {
    for (case, wrong) in [
        ("{ name: x, input: { reads: true }, expect: allow }", None),
        ("{ name: x, expect: undefined }", None),
        (
            "{ name: x, expect: allow }",
            Some("allow is expected, and it answers undefined"),
        ),
        (
            "{ name: x, input: { reads: true }, expect: deny }",
            Some("answers allow: r"),
        ),
        (
            "{ name: x, input: { reads: true }, expect: { allow: true, reason: s } }",
            Some("the reason is `r` and not `s`"),
        ),
        (
            "{ name: x, input: { reads: true }, expect: { allow: true, obligations: { mask: [/a] } } }",
            Some("the obligations are {}"),
        ),
    ] {
        let dir = folder(&format!("  - {case}\n"));
        let results = results(&[dir.path().to_owned()]);
        let told = results.tests[0].wrong.join("; ");
        match wrong {
            None => assert_eq!(told, "", "{case}"),
            Some(wrong) => assert!(told.contains(wrong), "{case}: {told}"),
        }
    }
}

#[test]
fn what_can_not_be_understood_is_no_test() {
    for text in [
        "policy: a.rego\ncases: [{ name: x, expect: maybe }]",
        "policy: a.rego\ncases: [{ name: x, expects: allow }]",
        "policy: none.rego\ncases: [{ name: x, expect: allow }]",
        "cases: [{ name: x, expect: allow }]",
    ] {
        let dir = folder("  - { name: x, expect: undefined }\n");
        std::fs::write(dir.path().join("a.test.yaml"), text).expect("written");
        let found = collect::collect(&[dir.path().to_owned()]).expect("there is something");
        assert!(cases::run(&found).is_err(), "{text}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    assert!(collect::collect(&[empty.path().to_owned()]).is_err());
}

#[test]
fn data_belongs_under_the_folders_it_lies_in() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(dir.path().join("orders/eu")).expect("a folder");
    std::fs::write(
        dir.path().join("a.rego"),
        "package a\ntest_x if data.orders.eu.open\n",
    )
    .expect("written");
    std::fs::write(dir.path().join("orders/eu/data.json"), r#"{"open": true}"#).expect("written");
    let results = results(&[dir.path().to_owned()]);
    assert!(results.tests[0].passed(), "{:?}", results.tests);
}

#[test]
fn results_are_written_for_build_servers() {
    let dir = folder("  - { name: a <b> & \"c\", expect: allow }\n");
    let xml = report::junit(&results(&[dir.path().to_owned()]));
    assert!(xml.contains("tests=\"1\" failures=\"1\""), "{xml}");
    assert!(
        xml.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\""),
        "{xml}"
    );
}
