//! Threat J3: fields that a caller may not read, or not write.

use super::world::world;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Defence: `mask::apply` of `gateway/src/mask.rs`.
#[test]
fn j03_fields_that_are_not_the_callers_to_read_are_gone_whatever_the_upstream_answers() {
    let world = world();
    let own = world.get("ann", "/cards/1002");
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(own.json()["card"], "4111111111111111");
    let other = world.get("ben", "/cards/1002");
    assert_eq!(other.status, 200, "{}", other.text());
    assert_eq!(other.text(), r#"{"id":1,"items":[{"name":"a"}]}"#);
    assert!(
        other.header("etag").is_none(),
        "it was the tag of other bytes"
    );
    // Neither by a coding that was asked for, nor by one that was not.
    let mark = world.mark();
    let asked = [
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=0-40"),
        ("x-mark", &*mark),
    ];
    let other = world.call("ben", "GET", "/cards/1002", &asked, "");
    assert!(!other.text().contains("4111"), "{}", other.text());
    let names = world.upstream.with(&mark)[0].names();
    assert!(!names.contains(&"accept-encoding".to_owned()) && !names.contains(&"range".to_owned()));
    let packed = world.get("ben", "/cards/1002?packed");
    assert_eq!(
        (packed.status, packed.code().as_str()),
        (502, "upstream-broken")
    );
    assert!(!packed.text().contains("4111"));
}

/// Defence: a policy with `body: true`, and `strict_json` in `objects::json`.
#[test]
fn j03_fields_that_are_not_the_callers_to_write_are_refused() {
    let world = world();
    let change = |body: &str| {
        let mark = world.mark();
        let answer = world.call(
            "ann",
            "PUT",
            "/orders/1001",
            &[JSON, ("x-mark", &mark)],
            body,
        );
        assert_eq!(answer.status == 200, !world.upstream.with(&mark).is_empty());
        answer
    };
    let good = r#"{"item":"lamp","quantity":2}"#;
    let passed = change(good);
    assert_eq!(passed.status, 200, "{}", passed.text());
    assert_eq!(passed.json()["body"], good);
    for (body, status) in [
        (r#"{"item":"lamp","owner":"ann"}"#, 403),
        (r#"{"item":"lamp","price":0}"#, 403),
        (r#"{"item":"lamp","Quantity":2}"#, 403),
        (r#"{"item":"lamp","__proto__":{}}"#, 403),
        (r#"{"quantity":2}"#, 403),
        (r#"[{"item":"lamp"}]"#, 403),
        ("", 403),
        (r#"{"item":"lamp","item":"gold"}"#, 400),
        (r#"{"item":"lamp""#, 400),
    ] {
        let answer = change(body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
}
