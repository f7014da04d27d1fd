//! Threat J2: a function that the caller has not.

use super::world::{subject, world};

/// Defence: `scopes` of `verdict/src/policy/mod.rs`.
#[test]
fn j02_a_scope_never_implies_another_unless_it_is_written() {
    let world = world();
    let put = r#"{"item":"a"}"#;
    for (scopes, reads, writes) in [
        ("orders:read", 200, 403),
        ("orders:write", 403, 200),
        ("orders:all", 200, 403),
        ("orders:read orders:write", 200, 200),
        ("orders", 403, 403),
        ("orders:*", 403, 403),
        ("ORDERS:READ", 403, 403),
        ("", 403, 403),
    ] {
        let token = world.token("ann", scopes);
        for (method, body, status) in [
            ("GET", "", reads),
            ("HEAD", "", reads),
            ("PUT", put, writes),
        ] {
            let json = [("content-type", "application/json")];
            let answer = world.call_with(&token, method, "/orders/1001", &json, body);
            assert_eq!(
                answer.status,
                status,
                "{scopes} {method}: {}",
                answer.text()
            );
            if status == 403 && method != "HEAD" {
                assert_eq!(answer.code(), "insufficient-scope", "{scopes} {method}");
            }
        }
    }
}

/// Defence: the route's own rule is asked for each method and path, in `gateway/src/snapshot.rs` and
/// `Asking::granted_role`.
#[test]
fn j02_another_method_a_sibling_route_and_a_role_are_judged_for_themselves() {
    let world = world();
    // Hers, and not hers to cancel.
    let cancel = || world.call("ann", "DELETE", "/orders/1001", &[], "");
    assert_eq!(
        (cancel().status, cancel().code().as_str()),
        (403, "role-missing")
    );
    for (method, target, status) in [
        ("POST", "/orders/1001", 405),
        ("PATCH", "/orders/1001", 405),
        ("delete", "/orders/1001", 405),
        ("GET", "/admin/stats", 403),
        ("GET", "/admin/stats/", 404),
        ("GET", "/ADMIN/stats", 404),
        ("GET", "/v2/orders/1001", 404),
        ("GET", "/orders/1001/items", 404),
        ("POST", "/admin/stats", 405),
    ] {
        let mark = world.mark();
        let answer = world.call(
            "ann",
            method,
            target,
            &[("x-mark", &mark), ("x-http-method-override", "DELETE")],
            "",
        );
        assert_eq!(
            answer.status,
            status,
            "{method} {target}: {}",
            answer.text()
        );
        assert!(world.upstream.with(&mark).is_empty());
    }
    // A role for a time is a relation, and counts for as long as it stands.
    let clerk = format!("role:clerk#holder@{}", subject("ann"));
    world.relate(&clerk);
    world.soon(200, cancel);
    let other = world.call("ann", "DELETE", "/orders/2001", &[], "");
    assert_eq!(
        (other.status, other.code().as_str()),
        (403, "object-not-allowed"),
        "a role is no owner"
    );
    assert_eq!(
        world.get("ann", "/admin/stats").status,
        403,
        "one role is not another"
    );
    let entry = world.entry(&cancel());
    assert_eq!(
        entry["judged"]["judgements"][0]["what"], "role:clerk#holder",
        "{entry:#}"
    );
    world.part(&clerk);
    world.soon(403, cancel);
}
