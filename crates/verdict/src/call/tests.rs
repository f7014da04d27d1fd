use core::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::testing::Sent;

fn refusal(sent: Sent) -> Code {
    match sent.read() {
        Ok(head) => panic!("{} was read", head.target()),
        Err(problem) => problem.code,
    }
}

/// Reads a target that the HTTP library itself takes; `None` if it refuses first.
fn target(target: &str) -> Option<Result<Head, Problem>> {
    let _: http::Uri = target.parse().ok()?;
    Some(Sent::get(target).read())
}

fn assert_unclean(targets: &[&str]) {
    for text in targets {
        match target(text) {
            None => {}
            Some(Err(problem)) => assert_eq!(problem.code, Code::UncleanTarget, "{text}"),
            Some(Ok(head)) => panic!("{text} was read as {}", head.target()),
        }
    }
}

/// The same, where the library must not be what refuses: our own defence is what is tested.
fn assert_unclean_by_us(targets: &[&str]) {
    for text in targets {
        assert!(
            text.parse::<http::Uri>().is_ok(),
            "the library refuses {text} already"
        );
    }
    assert_unclean(targets);
}

#[test]
fn a01_dot_segments_in_any_spelling_are_refused() {
    assert_unclean_by_us(&[
        "/public/../admin",
        "/..",
        "/../",
        "/./a",
        "/a/.",
        "/a/..",
        "/a/./b",
        "/%2e%2e/admin",
        "/%2E%2e/admin",
        "/.%2e/admin",
        "/%2e/admin",
        "/a/..%2fadmin",
        "/a/..%2Fadmin",
        "/a%2f..%2fadmin",
        "/a%2f..",
        "/a%2f.",
        "/%2e%2e%2fadmin",
        "/%252e%252e/admin",
        "/%25%32%65%25%32%65/admin",
        "/%252E/admin",
        "/..%252fadmin",
        "/..%255cadmin",
        "/..%5cadmin",
        "/..;/admin",
        "/..%3b/admin",
        "/..%00/admin",
        "/%c0%ae%c0%ae/admin",
        "/%e0%80%ae/admin",
    ]);
}

#[test]
fn a01_dots_within_names_are_names() {
    for text in [
        "/a.b",
        "/.well-known/x",
        "/...",
        "/a..b",
        "/..a",
        "/a%2Fb.c",
    ] {
        assert_eq!(target(text).unwrap().unwrap().path(), text);
    }
}

#[test]
fn a02_what_two_servers_read_differently_is_refused() {
    assert_unclean_by_us(&[
        "//",
        "//admin",
        "/a//b",
        "/a//",
        "/a%5Cb",
        "/a%5cb",
        "/a;x=1",
        "/a;",
        "/a%3Bx",
        "/a%00",
        "/a%0d%0ab",
        "/a%1fb",
        "/a%7fb",
        "/a%C2%85b",
        "/%61dmin",
        "/a%2db",
        "/a%7eb",
        "/%41",
        "/%30",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002e",
        "/a%2525",
        "/a%2561",
        "/a%FF",
        "/a\"b",
        "/a{b}",
        "/a?b=%00",
    ]);
    // Most of these the library refuses; none of them may pass.
    assert_unclean(&[
        "/a\\b",
        "/a b",
        "/a\u{7f}",
        "/a<b>",
        "/a`b",
        "/caf\u{e9}",
        "/a?b=\u{e9}",
        "/a\u{0}b",
    ]);
}

#[test]
fn a02_an_encoded_slash_is_noted_and_stays_in_its_segment() {
    let head = target("/projects/group%2Fname/files").unwrap().unwrap();
    assert!(head.has_encoded_slash());
    let segments: Vec<_> = head
        .segments()
        .map(|segment| segment.decoded().into_owned())
        .collect();
    assert_eq!(segments, ["projects", "group/name", "files"]);
    assert_eq!(head.path(), "/projects/group%2Fname/files");
    assert!(
        !target("/projects/name")
            .unwrap()
            .unwrap()
            .has_encoded_slash()
    );
}

#[test]
fn a04_the_path_ends_at_the_question_mark_whatever_follows() {
    let head = target("/public?x=/../admin&y=//;%2e%2e%5c")
        .unwrap()
        .unwrap();
    assert_eq!(head.path(), "/public");
    assert_eq!(head.query(), Some("x=/../admin&y=//;%2e%2e%5c"));
    // A raw fragment never reaches us as a part of the path; an encoded one stays text.
    let head = target("/public#/../admin").unwrap().unwrap();
    assert_eq!(head.target().as_str(), "/public");
    let head = target("/public%23/admin").unwrap().unwrap();
    assert_eq!(head.segments().next().unwrap().decoded(), "public#");
}

#[test]
fn a05_other_forms_of_targets_are_refused() {
    for (sent, code) in [
        (
            Sent {
                method: Method::CONNECT,
                ..Sent::get("orders.example:443")
            },
            Code::UncleanTarget,
        ),
        (
            Sent {
                method: Method::CONNECT,
                ..Sent::get("/")
            },
            Code::UncleanTarget,
        ),
        (
            Sent {
                method: Method::OPTIONS,
                ..Sent::get("*")
            },
            Code::UncleanTarget,
        ),
        (Sent::get("*"), Code::UncleanTarget),
        (Sent::get("orders.example:443"), Code::UncleanTarget),
        (Sent::get("//orders.example/a"), Code::UncleanTarget),
        (Sent::get("ftp://orders.example/a"), Code::UncleanTarget),
        (Sent::get("http://orders.example//a"), Code::UncleanTarget),
        (Sent::get("http://orders.example/../a"), Code::UncleanTarget),
        (
            Sent {
                version: Version::HTTP_2,
                ..Sent::get("https://orders.example//a")
            },
            Code::UncleanTarget,
        ),
        (
            Sent {
                version: Version::HTTP_2,
                ..Sent::get("*")
            },
            Code::UncleanTarget,
        ),
    ] {
        let text = format!("{} {}", sent.method, sent.target);
        assert_eq!(refusal(sent), code, "{text}");
    }
}

#[test]
fn a05_an_http2_path_without_a_slash_is_refused() {
    // `:path` comes without the request line's grammar, so the check must not lean on the library.
    for path in [
        "admin",
        "*",
        "",
        "@orders.example",
        ":80",
        "?a",
        "http://orders.example/",
    ] {
        assert!(
            super::target::check_path(path.as_bytes()).is_err(),
            "{path:?}"
        );
    }
}

#[test]
fn an_absolute_target_is_read_where_it_agrees_with_host() {
    let head = Sent::get("http://Orders.Example/a?b").read().unwrap();
    assert_eq!(
        (head.authority(), head.path(), head.query()),
        ("orders.example", "/a", Some("b"))
    );
    // RFC 9110 §4.2.3: the one rewriting there is.
    for (text, whole) in [
        ("http://orders.example", "/"),
        ("http://orders.example?x=1", "/?x=1"),
    ] {
        assert_eq!(Sent::get(text).read().unwrap().target().as_str(), whole);
    }
}

#[test]
fn a06_override_fields_change_no_method() {
    let sent = Sent {
        method: Method::POST,
        ..Sent::get("/a?_method=DELETE")
    }
    .with("x-http-method-override", "DELETE")
    .with("x-method-override", "DELETE");
    assert_eq!(sent.read().unwrap().method(), Method::POST);
    for method in [Method::HEAD, Method::OPTIONS] {
        let sent = Sent {
            method: method.clone(),
            ..Sent::get("/a")
        };
        assert_eq!(sent.read().unwrap().method(), method);
    }
}

#[test]
fn a07_there_is_one_form_of_the_target_and_it_is_the_sent_one() {
    for text in [
        "/",
        "/a%2Fb/%C3%BC?x=%C3%BC&&y",
        "/a/",
        "/?",
        "/@scope/[id].js?a=b%20c",
    ] {
        let head = target(text).unwrap().unwrap();
        assert_eq!(head.target().as_str(), text);
        let joined = match head.query() {
            Some(query) => format!("{}?{query}", head.path()),
            None => head.path().to_owned(),
        };
        assert_eq!(joined, text);
    }
}

#[test]
fn long_targets_are_refused() {
    assert!(
        target(&format!("/{}", "a".repeat(MAX_PATH_BYTES - 1)))
            .unwrap()
            .is_ok()
    );
    assert!(
        target(&format!("/?{}", "a".repeat(MAX_QUERY_BYTES)))
            .unwrap()
            .is_ok()
    );
    let long = [
        format!("/{}", "a".repeat(MAX_PATH_BYTES)),
        format!("/?{}", "a".repeat(MAX_QUERY_BYTES + 1)),
    ];
    assert_unclean_by_us(&long.each_ref().map(String::as_str));
}

#[test]
fn b07_one_host_and_no_other_is_named() {
    let get = || Sent::get("/").without("host");
    for (what, sent) in [
        ("none", get()),
        (
            "none in HTTP/1.0",
            Sent {
                version: Version::HTTP_10,
                ..get()
            },
        ),
        (
            "none in HTTP/2",
            Sent {
                version: Version::HTTP_2,
                ..get()
            },
        ),
        ("two", Sent::get("/").with("host", "admin.example")),
        (
            "the same twice",
            Sent::get("/").with("host", "orders.example"),
        ),
        (
            "another than the target's",
            Sent::get("http://admin.example/"),
        ),
        (
            "the target's only",
            Sent {
                target: "http://orders.example/".into(),
                ..get()
            },
        ),
        (
            "another port than the target's",
            Sent::get("http://orders.example:81/"),
        ),
        (
            "another than :authority",
            Sent {
                version: Version::HTTP_2,
                ..Sent::get("https://admin.example/")
            },
        ),
        (
            "userinfo in the target",
            Sent::get("http://user@orders.example/"),
        ),
    ] {
        assert_eq!(refusal(sent), Code::UncleanAuthority, "{what}");
    }
}

#[test]
fn hosts_have_one_spelling() {
    for host in [
        "",
        "a b",
        "a@b",
        "user:pw@a",
        "a:",
        "a:0",
        "a:080",
        "a:65536",
        "a:+80",
        "a:80:80",
        "a:x",
        "a.",
        ".a",
        "a..b",
        "a%2eb",
        "a/b",
        "a,b",
        "a#b",
        "a?b",
        "[::1",
        "[::1]x",
        "[::g]",
        "[fe80::1%25eth0]",
        "::1",
        "b\u{fc}cher.example",
        "-\\-",
    ] {
        let sent = Sent::get("/").without("host").with("host", host);
        assert_eq!(refusal(sent), Code::UncleanAuthority, "{host:?}");
    }
    let long = ["a".repeat(64), vec!["a"; 128].join(".")];
    for host in &long {
        let sent = Sent::get("/").without("host").with("host", host);
        assert_eq!(refusal(sent), Code::UncleanAuthority, "{host:?}");
    }
}

#[test]
fn hosts_are_read_with_and_without_ports() {
    for (sent, authority, host) in [
        ("Orders.EXAMPLE", "orders.example", "orders.example"),
        (
            "orders.example:8443",
            "orders.example:8443",
            "orders.example",
        ),
        ("my_service", "my_service", "my_service"),
        ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]", "[::1]"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80", "[2001:db8::1]"),
    ] {
        let head = Sent::get("/")
            .without("host")
            .with("host", sent)
            .read()
            .unwrap();
        assert_eq!((head.authority(), head.host()), (authority, host));
    }
    let sent = Sent {
        version: Version::HTTP_2,
        ..Sent::get("https://orders.example/a")
    };
    assert_eq!(
        sent.without("host").read().unwrap().authority(),
        "orders.example"
    );
}

#[test]
fn b07_fields_that_may_stand_once_stand_once() {
    for (name, value) in [
        ("authorization", "Bearer a"),
        ("content-type", "text/plain"),
        ("content-length", "1"),
        ("origin", "https://a.example"),
    ] {
        assert!(Sent::get("/").with(name, value).read().is_ok(), "{name}");
        let twice = Sent::get("/").with(name, value).with(name, value);
        assert_eq!(refusal(twice), Code::UncleanHeader, "{name}");
    }
}

#[test]
fn b06_bytes_that_are_no_ascii_are_refused_where_rules_read() {
    for name in ["authorization", "content-type", "origin"] {
        let sent = Sent::get("/").with(name, b"Bearer \xff");
        assert_eq!(refusal(sent), Code::UncleanHeader, "{name}");
    }
    assert!(
        Sent::get("/")
            .with("x-note", b"gr\xc3\xbc\xc3\x9fe")
            .read()
            .is_ok()
    );
    // The library holds the line for control bytes; if it ever gave way, this would say so.
    for byte in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\t') {
        assert!(HeaderValue::from_bytes(&[b'a', byte]).is_err(), "{byte}");
    }
    for name in [&b""[..], b"a b", b"a:", b"a\r\n", b"\xff"] {
        assert!(HeaderName::from_bytes(name).is_err(), "{name:?}");
    }
}

#[test]
fn b06_floods_of_fields_are_refused() {
    let mut sent = Sent::get("/");
    for at in 1..MAX_HEADERS {
        sent = sent.with(&format!("x-{at}"), "1");
    }
    assert_eq!(refusal(sent.with("x-more", "1")), Code::UncleanHeader);
    let half = "a".repeat(MAX_COOKIE_BYTES / 2);
    assert!(
        Sent::get("/")
            .with("cookie", &half)
            .with("cookie", &half)
            .read()
            .is_ok()
    );
    let sent = Sent::get("/")
        .with("cookie", &half)
        .with("cookie", format!("{half}a"));
    assert_eq!(refusal(sent), Code::UncleanHeader);
}

#[test]
fn e01_a_body_has_one_end() {
    for fields in [
        &[("content-length", "1"), ("transfer-encoding", "chunked")][..],
        &[("transfer-encoding", "gzip")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("transfer-encoding", "chunked, chunked")],
        &[
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ],
        &[("transfer-encoding", "identity")],
        &[("transfer-encoding", "x-chunked")],
        &[("content-length", "")],
        &[("content-length", "-1")],
        &[("content-length", "+1")],
        &[("content-length", "1, 1")],
        &[("content-length", "0x1")],
        &[("content-length", "1 1")],
        &[("content-length", "18446744073709551616")],
    ] {
        let mut sent = Sent::get("/");
        for (name, value) in fields {
            sent = sent.with(name, value);
        }
        assert_eq!(refusal(sent), Code::UncleanHeader, "{fields:?}");
    }
    assert!(
        Sent::get("/")
            .with("transfer-encoding", "Chunked")
            .read()
            .is_ok()
    );
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let sent = Sent {
            version,
            ..Sent::get("/")
        }
        .with("transfer-encoding", "chunked");
        assert_eq!(refusal(sent), Code::UncleanHeader, "{version:?}");
    }
}

#[test]
fn a_connection_for_another_host_is_told_so() {
    let named = |name: &str| {
        let mut sent = Sent::get("/");
        let tls = TlsFacts {
            server_name: Some(name.into()),
            peer_certificate: None,
            peer_intermediates: Vec::new(),
        };
        sent.arrival.tls = Some(Arc::new(tls));
        sent.read()
            .unwrap()
            .check_server_name()
            .map_err(|problem| problem.code)
    };
    assert_eq!(named("orders.example"), Ok(()));
    assert_eq!(named("admin.example"), Err(Code::MisdirectedRequest));
    assert!(Sent::get("/").read().unwrap().check_server_name().is_ok());
}

#[test]
fn a_sole_field_is_absent_found_or_repeated() {
    let head = Sent::get("/")
        .with("a", "1")
        .with("b", "1")
        .with("b", "2")
        .read()
        .unwrap();
    let sole = |name| head.sole_header(&HeaderName::from_static(name));
    assert_eq!(sole("none"), Ok(None));
    assert_eq!(sole("a"), Ok(Some(&HeaderValue::from_static("1"))));
    assert_eq!(sole("b"), Err(Repeated));
}

#[test]
fn segments_are_the_parts_between_slashes() {
    for (text, segments) in [
        ("/", &[""][..]),
        ("/a", &["a"]),
        ("/a/", &["a", ""]),
        ("/a%20b/%C3%BC", &["a b", "ü"]),
    ] {
        let head = target(text).unwrap().unwrap();
        let found: Vec<_> = head
            .segments()
            .map(|segment| segment.decoded().into_owned())
            .collect();
        assert_eq!(found, segments, "{text}");
    }
}

/// How a careless server might see a path: everything decoded, three times over, either slash
/// divides, parameters cut off.
fn careless(path: &str) -> Vec<String> {
    let mut text = path.to_owned();
    for _ in 0..3 {
        text = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
    }
    text.split(['/', '\\'])
        .map(|part| part.split(';').next().unwrap_or_default().to_owned())
        .collect()
}

proptest! {
    #[test]
    fn a01_no_path_that_passes_climbs_for_anybody(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("/"), Just("."), Just(".."), Just("%2e"), Just("%2F"), Just("%5c"), Just("\\"), Just(";"),
                Just("%25"), Just("2e"), Just("2f"), Just("%"), Just("a"), Just("%C3%BC"), Just("%3b"), Just("5C"),
            ],
            0..12,
        )
    ) {
        let path = format!("/{}", parts.concat());
        if let Some(Ok(head)) = target(&path) {
            prop_assert_eq!(head.path(), &path);
            for part in careless(&path) {
                prop_assert!(part != "." && part != "..", "{} climbs", path);
            }
            prop_assert!(!path.contains("//"));
        }
    }

    #[test]
    fn any_target_is_read_or_refused_without_a_panic(text in "/[ -~\u{80}-\u{ff}]{0,40}") {
        if let Some(Ok(head)) = target(&text) {
            let _ = head.segments().map(|segment| segment.decoded().len()).sum::<usize>();
        }
    }

    #[test]
    fn every_address_is_a_host(bits: u128, port in 1u16..) {
        let host = format!("[{}]:{port}", Ipv6Addr::from_bits(bits));
        let head = Sent::get("/").without("host").with("host", &host).read().unwrap();
        prop_assert_eq!(head.authority(), host);
    }
}
