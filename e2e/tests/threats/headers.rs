//! B: headers and identity.

use super::shared::{World, basic, seen, world};
use testkit::doorward::BASE;
use testkit::wire;

/// Defence: `gateway/src/hygiene.rs`, `is_claim` in `clean_request`; `identity.rs` sets its own.
#[test]
fn b01_b08_no_identity_header_of_a_caller_reaches_the_upstream_in_any_spelling() {
    let world = world();
    let forged = [
        ("Doorward-Subject", "root"),
        ("doorward_subject", "root"),
        ("doorward.subject", "root"),
        ("DOORWARD-SUBJECT", "root"),
        ("doorward-Subject", "root"),
        ("Doorward_Identity", "e30.e30.root"),
        ("doorward-identity", "e30.e30.root"),
        ("doorward-principal", "root"),
        ("doorward-scopes", "root"),
        ("doorward-roles", "root"),
        ("doorward-client", "root"),
        ("doorward-application", "root"),
        ("doorward-tenant", "root"),
        ("doorward-anything-later", "root"),
        ("x-forwarded-user", "root"),
        ("x_forwarded_email", "root"),
        ("X-Remote-User", "root"),
        ("remote_user", "root"),
        ("remote.user", "root"),
        ("x-auth-request-user", "root"),
    ];
    let key = format!("Bearer {}", world.key);
    for (path, authorization) in [
        ("/public/x", None),
        ("/me", Some(key.as_str())),
        ("/other/x", Some(&key)),
        ("/signed/x", Some(&key)),
    ] {
        let mut headers = forged.to_vec();
        headers.extend(authorization.map(|value| ("authorization", value)));
        let answer = world.get(path, &headers);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(!answer.text().contains("root"), "{path}: {}", answer.text());
        let told = seen(&answer, "doorward-subject").len();
        let signed = seen(&answer, "doorward-identity").len();
        // B8: what this decision did not set is not there, and what it set stands once.
        let expected = match path {
            "/me" => (1, 0),
            "/signed/x" => (0, 1),
            _ => (0, 0),
        };
        assert_eq!((told, signed), expected, "{path}: {}", answer.text());
        assert_eq!(seen(&answer, "authorization").len(), 0, "{path}");
        assert!(!answer.text().contains(&world.key), "{path}");
    }
}

const LIES: [(&str, &str); 12] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-port", "6666"),
    ("x-forwarded-client-cert", "By=6.6.6.6"),
    ("forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
    ("x-real-ip", "6.6.6.6"),
    ("true-client-ip", "6.6.6.6"),
    ("client-cert", ":6666:"),
    ("client-cert-chain", ":6666:"),
    ("x-ssl-client-cert", "6666"),
    ("x-request-id", "chosen-6666"),
];

/// Defence: `gateway/src/proxies.rs`: only listed peers are asked; `hygiene.rs` drops the rest.
#[test]
fn b02_what_an_unlisted_peer_says_of_its_place_is_replaced() {
    let world = world();
    let answer = world.get("/public/x", &LIES);
    assert_eq!(answer.status, 200);
    let text = answer.text();
    // A request id of the caller's own choice may pass as an ordinary header; nothing else may.
    let told: Vec<_> = seen(&answer, "x-forwarded-for");
    assert_eq!(told, ["127.0.0.1"], "{text}");
    assert_eq!(seen(&answer, "x-forwarded-proto"), ["http"]);
    assert!(
        !text.contains("6.6.6.6") && !text.contains("evil.example"),
        "{text}"
    );
    for name in [
        "x-forwarded-port",
        "x-forwarded-client-cert",
        "client-cert",
        "client-cert-chain",
        "x-real-ip",
        "true-client-ip",
        "x-ssl-client-cert",
    ] {
        assert_eq!(seen(&answer, name), Vec::<String>::new(), "{name}");
    }
    let id = answer.header("doorward-request-id").unwrap_or_default();
    assert!(!id.is_empty() && id != "chosen-6666");
    // Basic is for TLS. To say that TLS was there is not enough.
    let refused = world.get(
        "/me",
        &[
            ("authorization", &basic("alice", &world.password)),
            ("x-forwarded-proto", "https"),
            ("forwarded", "proto=https"),
        ],
    );
    let without = world.get(
        "/me",
        &[("authorization", &basic("alice", &world.password))],
    );
    assert_eq!(
        refused.status, without.status,
        "the header changed something"
    );
}

/// Defence: as above, for a peer that is listed; what it says must be readable.
#[test]
fn b02_a_listed_proxy_is_believed_up_to_the_last_address_that_is_not_a_proxy() {
    let world = World::start(&format!("{BASE}trusted_proxies: [127.0.0.0/8]\n"));
    let answer = world.get(
        "/public/x",
        &[
            ("host", "ignored.example"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.7, 127.0.0.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "any.example"),
        ],
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(seen(&answer, "x-forwarded-for"), ["203.0.113.7"]);
    assert_eq!(seen(&answer, "x-forwarded-proto"), ["https"]);
    for (name, value) in [
        ("x-forwarded-for", "1.1.1.1, who"),
        ("forwarded", "for=unknown"),
        ("x-forwarded-proto", "gopher"),
    ] {
        let answer = world.get("/public/x", &[("host", "any.example"), (name, value)]);
        assert_eq!(answer.status, 400, "{name}: {value}");
    }
}

/// Defence: there is none to take out, and this keeps it so: judging reads no such header.
#[test]
fn b04_no_header_exempts_a_call_and_health_has_a_listener_of_its_own() {
    let world = world();
    for (name, value) in [
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "GoogleHC/1.0"),
        ("user-agent", "ELB-HealthChecker/2.0"),
        ("x-debug", "true"),
        ("x-doorward-debug", "1"),
        ("doorward-bypass", "1"),
        ("x-internal", "true"),
        ("x-middleware-subrequest", "middleware"),
        ("x-forwarded-for", "127.0.0.1"),
        ("upgrade-insecure-requests", "1"),
        ("purpose", "prefetch"),
        ("access-control-request-method", "GET"),
        ("x-envoy-original-path", "/public/x"),
    ] {
        assert_eq!(
            world.get("/admin/x", &[(name, value)]).status,
            401,
            "{name}: {value}"
        );
    }
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/status",
        "/oauth/token",
    ] {
        assert_eq!(world.get(path, &[]).status, 404, "{path}");
    }
    let ops = |path: &str| wire::get(world.doorward.ops(), path, &[]).unwrap().status;
    assert_eq!(ops("/healthz"), 200);
    for path in ["/public/x", "/admin/x", "/v1/status"] {
        assert_eq!(ops(path), 404, "{path}");
    }
}

/// Defence: `hygiene.rs`, `may_be_named` and `is_hop_by_hop`.
#[test]
fn b05_connection_removes_no_security_header_and_hop_by_hop_fields_stay_here() {
    let world = world();
    let answer = world.get(
        "/me",
        &[
            ("authorization", &format!("Bearer {}", world.key)),
            ("cookie", "a=b"),
            ("content-type", "text/plain"),
            ("origin", "https://shop.example"),
            ("x-plain", "1"),
            ("x-signature", "s"),
            ("hop", "1"),
            ("connection", "authorization, cookie, origin, content-type, doorward-subject, x-forwarded-for, x-signature, hop, host"),
            ("connection", "doorward-scopes"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("trailer", "x"),
            ("proxy", "http://evil"),
        ],
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    for name in [
        "doorward-subject",
        "doorward-scopes",
        "x-forwarded-for",
        "cookie",
        "x-plain",
        "origin",
        "content-type",
        "x-signature",
        "host",
    ] {
        assert_eq!(seen(&answer, name).len(), 1, "{name}: {}", answer.text());
    }
    for name in [
        "hop",
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "proxy",
    ] {
        assert_eq!(seen(&answer, name).len(), 0, "{name}: {}", answer.text());
    }
}

/// Defence: hyper's parser and the limits in `listen/connection.rs`.
#[test]
fn b06_what_is_no_header_is_refused() {
    let world = world();
    let mark = world.mark();
    let mut rows: Vec<Vec<u8>> = [
        "x: a\0b",
        "x: a\x01b",
        "x: a\x7fb",
        "x y: 1",
        "x\x7f: 1",
        "x\0: 1",
        ": 1",
        "no colon",
        "x : 1",
        " x: 1",
        "x: a\r\n folded",
        "x: a\rb",
        "\u{e9}: 1",
        "x(: 1",
        "x\r: 1",
    ]
    .iter()
    .map(|line| line.as_bytes().to_vec())
    .collect();
    rows.push(b"x: a\nno colon".to_vec());
    for line in rows {
        let mut request =
            format!("GET /public/{mark} HTTP/1.1\r\nhost: any.example\r\n").into_bytes();
        request.extend_from_slice(&line);
        request.extend_from_slice(b"\r\n\r\n");
        let answer = world.raw(&request);
        assert_eq!(answer.status, 400, "{:?}", String::from_utf8_lossy(&line));
    }
    let huge = format!(
        "GET /public/{mark} HTTP/1.1\r\nhost: any.example\r\nx: {}\r\n\r\n",
        "a".repeat(64 * 1024)
    );
    let many: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
    let many = format!("GET /public/{mark} HTTP/1.1\r\nhost: any.example\r\n{many}\r\n");
    for request in [huge, many] {
        let status = world.raw(&request).status;
        assert!(matches!(status, 400 | 431), "{status}");
    }
    assert!(world.upstream.with(&mark).is_empty());
}

/// Defence: `verdict/src/call/framing.rs`, `SOLE`; `credential/presentation.rs`; `authority.rs`.
#[test]
fn b07_what_may_stand_once_is_refused_when_it_stands_twice() {
    let world = world();
    let mark = world.mark();
    let bearer = format!("authorization: Bearer {}", world.key);
    let key = &world.key;
    for lines in [
        format!("{bearer}\r\n{bearer}\r\n"),
        format!("{bearer}\r\nAuthorization: Basic eDp5\r\n"),
        format!("{bearer}\r\nauthorization:\r\n"),
        format!("{bearer}\r\nx-api-key: {key}\r\n"),
        format!("x-api-key: {key}\r\nx-acme-key: {key}\r\n"),
        format!("x-api-key: {key}\r\nx-api-key: {key}\r\n"),
        format!("{bearer}\r\nhost: any.example\r\n"),
        format!("{bearer}\r\nHost: other.example\r\n"),
        format!("{bearer}\r\ncontent-type: a/b\r\ncontent-type: a/c\r\n"),
        format!("{bearer}\r\norigin: https://a.example\r\norigin: https://b.example\r\n"),
    ] {
        let request = format!("GET /admin/{mark} HTTP/1.1\r\nhost: any.example\r\n{lines}\r\n");
        assert_eq!(world.raw(&request).status, 400, "{lines}");
    }
    for request in [
        format!("GET /public/{mark} HTTP/1.1\r\n\r\n"),
        format!("GET /public/{mark} HTTP/1.1\r\nhost:\r\n\r\n"),
    ] {
        assert_eq!(world.raw(&request).status, 400, "{request}");
    }
    // A credential in the URL is exposed: refused even beside a good one.
    for query in ["access_token", "api_key", "apikey"] {
        let target = format!("/admin/{mark}?{query}={key}");
        let answer = world.get(&target, &[("authorization", &format!("Bearer {key}"))]);
        assert_eq!(answer.status, 400, "{query}");
        assert!(!answer.text().contains(key.as_str()));
    }
    assert!(world.upstream.with(&mark).is_empty());
}
