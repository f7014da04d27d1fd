//! Threat J1: an object of somebody else.

use testkit::wire::Answer;

use super::world::{World, world};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Makes a call as ann that must be refused, and must not reach the upstream.
fn refused(
    world: &World,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mark = world.mark();
    let all = [headers, &[("x-mark", mark.as_str())]].concat();
    let answer = world.call("ann", method, target, &all, body);
    let told = format!(
        "{method} {target} {headers:?} {body}: {} {}",
        answer.status,
        answer.text()
    );
    assert!((400..500).contains(&answer.status), "{told}");
    assert!(
        world.upstream.with(&mark).is_empty(),
        "reached the upstream: {told}"
    );
    answer
}

/// Defence: `Checked::No` in `Asking::object` of `verdict/src/policy/mod.rs`.
#[test]
fn j01_another_owners_object_is_refused_by_path_in_whatever_spelling() {
    let world = world();
    for own in ["1001", "1002", "abc"] {
        assert_eq!(
            world.get("ann", &format!("/orders/{own}")).status,
            200,
            "{own}"
        );
    }
    for other in ["2001", "ABC", "9999", "1001x", "order:1001", "1001,2001"] {
        let answer = refused(world, "GET", &format!("/orders/{other}"), &[], "");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "object-not-allowed"),
            "{other}"
        );
    }
    for target in [
        "/orders/%32001",
        "/orders/2001/",
        "/orders//2001",
        "/orders/1001/../2001",
        "/orders/1001/%2e%2e/2001",
        "/orders/1001%2f..%2f2001",
        "/orders/2001;x=1",
        "/orders/2001%00",
        "/orders/abc%20",
        "/orders/%61bC",
        "/ORDERS/2001",
        "/orders/2001%23",
        "/orders/*",
        "/orders/",
    ] {
        refused(world, "GET", target, &[], "");
    }
    // What the upstream may take for another path or method.
    for field in [
        ("x-original-url", "/orders/1001"),
        ("x-rewrite-url", "/orders/1001"),
        ("x-http-method-override", "GET"),
    ] {
        refused(world, "GET", "/orders/2001", &[field], "");
    }
    refused(world, "HEAD", "/orders/2001", &[], "");
    refused(world, "PUT", "/orders/2001", &[JSON], r#"{"item":"a"}"#);
    // To see is not to own.
    let seen = world.call("ben", "PUT", "/orders/1002", &[JSON], r#"{"item":"a"}"#);
    assert_eq!(seen.status, 403, "{}", seen.text());
    assert_eq!(world.get("ben", "/orders/1002").status, 200);
}

/// Defence: `in_query` of `verdict/src/policy/objects.rs`.
#[test]
fn j01_another_owners_object_is_refused_by_query() {
    let world = world();
    assert_eq!(world.get("ann", "/find?id=1001&page=2").status, 200);
    for (query, status) in [
        ("id=2001", 403),
        ("page=1&id=2001", 403),
        ("i%64=2001", 403),
        ("id=%32001", 403),
        ("id=1001&id=2001", 400),
        ("id=2001&id=1001", 400),
        ("id=1001&ID=2001", 400),
        ("id=1001&id[]=2001", 400),
        ("id=1001&id%5B0%5D=2001", 400),
        ("id=1001;id=2001", 400),
        ("id=1001&%69d=2001", 400),
        ("id=1001+2001", 400),
        ("id=1001,2001", 403),
        ("id=", 400),
        ("ID=1001", 400),
        ("", 400),
    ] {
        let answer = refused(world, "GET", &format!("/find?{query}"), &[], "");
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
}

/// Defence: `in_header` of `verdict/src/policy/objects.rs`.
#[test]
fn j01_another_owners_object_is_refused_by_header() {
    let world = world();
    let own = world.call("ann", "GET", "/field", &[("x-order", "1001")], "");
    assert_eq!(own.status, 200, "{}", own.text());
    for (fields, status) in [
        (&[("x-order", "2001")][..], 403),
        (&[("X-Order", "2001")], 403),
        (&[("x-order", "1001"), ("x-order", "2001")], 400),
        (&[("x-order", "1001, 2001")], 403),
        (&[("x-order", "")], 400),
        (&[], 400),
        (&[("x_order", "1001")], 400),
    ] {
        let answer = refused(world, "GET", "/field", fields, "");
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.text());
    }
}

/// Defence: `in_body` and `json` of `verdict/src/policy/objects.rs`.
#[test]
fn j01_another_owners_object_is_refused_in_a_body_and_in_each_element_of_a_batch() {
    let world = world();
    for body in [
        r#"{"items":[{"order_id":"1001"},{"order_id":"1002"}]}"#,
        r#"{"items":[{"order_id":1001}]}"#,
    ] {
        let answer = world.call("ann", "POST", "/batch", &[JSON], body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(answer.json()["body"], body, "as it was sent");
    }
    let many: Vec<_> = (0..101).map(|_| r#"{"order_id":"1001"}"#).collect();
    let many = format!(r#"{{"items":[{}]}}"#, many.join(","));
    for (body, status) in [
        (r#"{"items":[{"order_id":"2001"}]}"#, 403),
        (
            r#"{"items":[{"order_id":"1001"},{"order_id":"2001"}]}"#,
            403,
        ),
        (r#"{"items":[{"order_id":"1001"},{"order_id":2001}]}"#, 403),
        (r#"{"items":[{"order_id":"\u0032001"}]}"#, 403),
        (r#"{"items":[{"\u006frder_id":"2001"}]}"#, 403),
        (r#"{"items":[{"order_id":"1001","order_id":"2001"}]}"#, 400),
        (r#"{"items":[{"order_id":"1001","Order_ID":"2001"}]}"#, 400),
        (
            r#"{"items":[{"order_id":"1001"}],"items":[{"order_id":"2001"}]}"#,
            400,
        ),
        (
            r#"{"items":[{"order_id":"1001"}],"ITEMS":[{"order_id":"2001"}]}"#,
            400,
        ),
        (r#"{"items":[{"order_id":["1001","2001"]}]}"#, 400),
        (r#"{"items":[{"order_id":2001.0}]}"#, 400),
        (r#"{"items":{"0":{"order_id":"2001"}}}"#, 400),
        (r#"[{"order_id":"2001"}]"#, 400),
        (
            r#"{"items":[{"order_id":"1001"}]} {"items":[{"order_id":"2001"}]}"#,
            400,
        ),
        (r#"{"items":[]}"#, 400),
        ("", 400),
        (&many, 400),
    ] {
        let answer = refused(world, "POST", "/batch", &[JSON], body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let good = r#"{"items":[{"order_id":"1001"}]}"#;
    for fields in [
        &[("content-type", "text/plain")][..],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[JSON, ("content-encoding", "gzip")],
        &[JSON, JSON],
        &[],
    ] {
        let answer = refused(world, "POST", "/batch", fields, good);
        assert_eq!(answer.status, 400, "{fields:?}: {}", answer.text());
    }
    let own = world.call("ann", "POST", "/one", &[JSON], r#"{"order":{"id":"1001"}}"#);
    assert_eq!(own.status, 200, "{}", own.text());
    let answer = refused(world, "POST", "/one", &[JSON], r#"{"order":{"id":"2001"}}"#);
    assert_eq!(answer.status, 403);
}

#[test]
fn j01_who_may_not_have_a_hidden_object_is_not_told_that_there_is_one() {
    let world = world();
    assert_eq!(world.get("ann", "/hidden/1001").status, 200);
    let (there, nowhere) = (
        world.get("ann", "/hidden/2001"),
        world.get("ann", "/hidden/9999"),
    );
    let public = |answer: &Answer| {
        let mut body = answer.json();
        body["request_id"] = serde_json::Value::Null;
        (answer.status, body)
    };
    assert_eq!(there.status, 404);
    assert_eq!(public(&there), public(&nowhere));
    assert!(
        !there.text().contains("2001") && !there.text().contains("viewer"),
        "{}",
        there.text()
    );
}

/// Defence: what is remembered of relations is kept by object and asked with the caller's own name.
#[test]
fn h06_what_is_remembered_for_one_caller_never_answers_another() {
    let world = world();
    std::thread::scope(|scope| {
        for (who, target, status) in [
            ("ann", "/orders/1001", 200),
            ("ben", "/orders/1001", 403),
            ("ann", "/orders/2001", 403),
            ("ben", "/orders/2001", 200),
        ] {
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(world.get(who, target).status, status, "{who} {target}");
                }
            });
        }
    });
}
