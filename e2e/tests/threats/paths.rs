//! A: the path that is judged is the path that is sent.
//!
//! Defence: `verdict::call::Call::read` (targets in `verdict/src/call/target.rs`, authorities in
//! `authority.rs`), run on every call before routing; `gateway/src/hygiene.rs` for overrides.

use super::shared::{seen, world};
use testkit::wire;

/// Defence: `check_path`, with `refuse_dots` and the arms for `%`, `\` and `;`.
#[test]
fn a01_a02_unclean_targets_are_refused_and_nothing_is_rewritten() {
    let world = world();
    let mark = world.mark();
    for target in [
        "/public/../admin/@",
        "/public/%2e%2e/admin/@",
        "/public/.%2E/admin/@",
        "/public/..%2fadmin/@",
        "/public/%252e%252e/admin/@",
        "/public/%c0%ae%c0%ae/@",
        "/public/./@",
        "/public/..",
        "/public//@",
        "//public/@",
        "/public/a%2F@",
        "/public/a%5C@",
        "/public/a\\@",
        "/public/a%00@",
        "/public/a%0d%0a@",
        "/public/a%7f@",
        "/public/@;/../admin",
        "/public/@;x=1",
        "/public/@%3Bx",
        "/public/%61@",
        "/public/%zz@",
        "/public/%u002e@",
        "/g/a%2F@",
        "/public/@?a=%00",
    ] {
        let target = target.replace('@', &mark);
        let answer = world.get(&target, &[]);
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        assert_eq!(answer.code(), "unclean-target", "{target}");
    }
    // Control bytes and bytes beyond ASCII never were a request line.
    for byte in [0u8, 1, 0x0b, 0x7f, 0xff] {
        let mut request = format!("GET /public/{mark}").into_bytes();
        request.push(byte);
        request.extend_from_slice(b" HTTP/1.1\r\nhost: any.example\r\n\r\n");
        assert_eq!(world.raw(&request).status, 400, "{byte:#x}");
    }
    assert!(world.upstream.with(&mark).is_empty());
}

/// Defence: `forward::send` writes `Target::as_sent`, never a path put together again.
#[test]
fn a01_a02_a_clean_target_is_sent_as_it_came_and_an_encoded_slash_only_where_the_route_allows() {
    let world = world();
    for target in [
        "/public/a%20b?x=%2e%2e/y&z",
        "/public/%C3%A9/~b-c_d?",
        "/public/a?b=c?d",
        "/f/a%2Fb",
        "/public/a%23b",
    ] {
        let answer = world.get(target, &[]);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.json()["target"], target);
    }
}

/// Defence: `route.rs` judges what is sent; a stripped path goes to its API's own upstream only.
#[test]
fn a03_a_stripped_base_path_leads_to_no_other_route() {
    let world = world();
    for (target, sent) in [
        ("/stripped/a/b?c=/d", "/a/b?c=/d"),
        ("/stripped", "/"),
        ("/stripped?x", "/?x"),
        ("/stripped/admin/x", "/admin/x"),
    ] {
        let answer = world.get(
            target,
            &[("authorization", &format!("Bearer {}", world.key))],
        );
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.json()["target"], sent, "{target}");
        // It was judged as the public route it is: nobody's identity went along.
        assert_eq!(seen(&answer, "doorward-subject"), Vec::<String>::new());
    }
    for unclean in [
        "/stripped/../admin/x",
        "/stripped//admin/x",
        "/stripped/%2Fadmin/x",
    ] {
        assert_eq!(world.get(unclean, &[]).status, 400, "{unclean}");
    }
}

/// Defence: routing takes `Target::path`, which ends at `?`; a raw `#` is refused or ends it too.
#[test]
fn a04_rules_see_the_path_never_the_query_or_fragment() {
    let world = world();
    let mark = world.mark();
    for (target, allowed) in [
        ("/admin/@?/public/y", &[401][..]),
        ("/admin/@#/public/y", &[400, 401]),
        ("/admin/@?#/public/y", &[400, 401]),
        ("/nowhere/@?/public/y", &[404]),
        ("/admin/@%23/../../public/y", &[400]),
    ] {
        let target = target.replace('@', &mark);
        let status = world.get(&target, &[]).status;
        assert!(allowed.contains(&status), "{target}: {status}");
    }
    assert!(world.upstream.with(&mark).is_empty());
}

/// Defence: `verdict/src/call/authority.rs` and the first check of `check_path`.
#[test]
fn a05_odd_forms_of_targets_are_refused_or_mean_what_they_say() {
    let world = world();
    let mark = world.mark();
    for (line, host, status) in [
        ("GET http://any.example/admin/@", "any.example", 401),
        ("GET http://other.example/public/@", "any.example", 400),
        (
            "GET http://any.example@other.example/public/@",
            "any.example",
            400,
        ),
        ("GET any.example:80", "any.example", 400),
        ("CONNECT any.example:80", "any.example:80", 400),
        ("GET //any.example/public/@", "any.example", 400),
        ("GET ///public/@", "any.example", 400),
        ("OPTIONS *", "any.example", 400),
        ("GET ftp://any.example/public/@", "any.example", 400),
        ("GET public/@", "any.example", 400),
        ("GET /public/@", "any.example@other.example", 400),
        ("GET /public/@", "any.example, other.example", 400),
        ("GET /public/@", "any.example/", 400),
    ] {
        let line = line
            .replace('@', &mark)
            .replace(&format!("any.example{mark}other"), "any.example@other");
        let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(world.raw(&request).status, status, "{request}");
    }
    // Absolute-form with the same authority is the plain path.
    let request =
        format!("GET http://any.example/public/{mark}-good HTTP/1.1\r\nhost: any.example\r\n\r\n");
    assert_eq!(
        world.raw(&request).json()["target"],
        format!("/public/{mark}-good")
    );
    assert_eq!(world.upstream.with(&mark).len(), 1);
}

/// Defence: as above; HTTP/2's `:path` goes through the same `check_path`.
#[test]
fn a05_http2_pseudo_headers_are_judged_alike() {
    let world = world();
    let mark = world.mark();
    let gateway = world.doorward.gateway();
    let call = |fields: &[(&str, &str)]| wire::http2_fields(gateway, fields).unwrap();
    let pseudo = |path: &'static str| {
        [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "any.example"),
            (":path", path),
        ]
    };
    for path in [
        "public/x",
        "",
        "*",
        "//public/x",
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "http://any.example/public/x",
        "/public/a\\b",
        "/public/a b",
        "/public/a;b",
    ] {
        let mut fields = pseudo(path).to_vec();
        fields.push(("x-mark", &mark));
        let reply = call(&fields);
        assert!(!reply.is_success(), "{path:?}: {reply:?}");
    }
    // Two paths, none, a host that disagrees, fields of a connection.
    let odd: Vec<Vec<(&str, &str)>> = vec![
        [&pseudo("/public/x")[..], &[(":path", "/public/y")]].concat(),
        pseudo("/public/x")[..3].to_vec(),
        [&pseudo("/public/x")[..], &[("host", "other.example")]].concat(),
        [
            &pseudo("/public/x")[..],
            &[("transfer-encoding", "chunked")],
        ]
        .concat(),
        [&pseudo("/public/x")[..], &[("connection", "close")]].concat(),
    ];
    for mut fields in odd {
        fields.push(("x-mark", &mark));
        let reply = call(&fields);
        assert!(!reply.is_success(), "{fields:?}: {reply:?}");
    }
    assert!(world.upstream.with(&mark).is_empty());
    let mut good = pseudo("/public/x").to_vec();
    good.push(("x-mark", &mark));
    assert!(call(&good).is_success());
    assert_eq!(world.upstream.with(&mark).len(), 1);
    // A fragment is no part of a target (RFC 9113 §8.3.1): refused, or it never was there.
    let mark = world.mark();
    let mut fragment = pseudo("/public/x#/admin/y").to_vec();
    fragment.push(("x-mark", &mark));
    call(&fragment);
    for seen in world.upstream.with(&mark) {
        assert_eq!(seen.target(), "/public/x");
    }
}

/// Defence: routes match `call.method()`; `hygiene.rs`, `CLAIMS` for what an upstream might obey.
#[test]
fn a06_method_overrides_change_nothing() {
    let world = world();
    let call = |method: &str, target: &str, headers: &[(&str, &str)]| {
        wire::call(world.doorward.gateway(), method, target, headers, b"").unwrap()
    };
    let overrides = [
        ("x-http-method-override", "POST"),
        ("x-http-method", "POST"),
        ("x-method-override", "POST"),
        ("x_http_method_override", "POST"),
        ("x-original-url", "/only-post"),
        ("x-rewrite-url", "/only-post"),
    ];
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND"] {
        let answer = call(method, "/only-post?_method=POST", &overrides);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let answer = call("POST", "/only-post", &overrides);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["line"].as_str().unwrap().starts_with("POST "));
    for (name, _) in overrides {
        assert_eq!(seen(&answer, name), Vec::<String>::new(), "{name}");
    }
    // HEAD and OPTIONS are methods of their own, with the same demands.
    for method in ["HEAD", "OPTIONS"] {
        assert_eq!(call(method, "/admin/x", &[]).status, 401, "{method}");
    }
}
