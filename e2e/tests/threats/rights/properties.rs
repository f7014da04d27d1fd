//! Threat J3: fields that a caller may not read, or not write.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::wire;

use super::world::{World, subject, world};

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

/// Defence: `masks.is_empty()` before `is_stream` in `gateway/src/forward.rs`, `names_stream` in
/// `mask::apply`.
#[test]
fn j03_no_type_of_an_answer_and_no_method_gets_around_a_mask() {
    let world = world();
    for media_type in [
        "application/x-ndjson",
        "application/jsonl",
        "application/stream+json",
        "application/json-seq",
        "application/grpc+json",
        "text/event-stream",
        "Multipart/X-Mixed-Replace; boundary=a",
        "text/plain",
    ] {
        let asked = [("accept", media_type)];
        let own = world.call("ann", "GET", "/cards/1002", &asked, "");
        assert!(
            own.status == 200 && own.text().contains("4111"),
            "{media_type}"
        );
        let other = world.call("ben", "GET", "/cards/1002", &asked, "");
        assert_eq!(
            (other.status, other.code().as_str()),
            (502, "upstream-broken"),
            "{media_type}"
        );
        assert!(!other.text().contains("4111"), "{media_type}");
    }
    let live = world.get("ben", "/cards/1002/events");
    assert_eq!(
        (live.status, live.code().as_str()),
        (502, "upstream-broken")
    );
    // What has no body does not tell of the bytes either, of which some are masked.
    for (method, target) in [("HEAD", "/cards/1002"), ("GET", "/cards/1002?unchanged")] {
        let own = world.call("ann", method, target, &[], "");
        assert_eq!(own.header("etag"), Some("\"1\""), "{method} {target}");
        let other = world.call("ben", method, target, &[], "");
        assert_eq!(other.status, own.status, "{method} {target}");
        for name in ["etag", "content-length"] {
            assert_eq!(other.header(name), None, "{method} {target}: {name}");
        }
    }
    // Nothing can be masked in what comes through a tunnel.
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];
    let tunnel = world.call("ben", "GET", "/cards/1002/wire", &upgrade, "");
    assert_eq!(
        (tunnel.status, tunnel.code().as_str()),
        (400, "upgrade-refused")
    );
}

/// Defence: `unmasked` in `verdict/src/permit.rs`.
#[test]
fn j03_a_mask_that_begins_while_a_stream_is_open_ends_it() {
    let world = world();
    let owner = format!("order:3001#owner@{}", subject("ann"));
    let viewer = format!("order:3001#viewer@{}", subject("ann"));
    world.relate(&owner);
    world.relate(&viewer);
    let open = || Events::open(world, "ann", "/cards/3001/events");
    // A route learns by its first stream that it has some.
    drop(open());
    std::thread::sleep(Duration::from_millis(100));
    let mut events = open();
    world.relate(&format!("order:3002#owner@{}", subject("ann")));
    std::thread::sleep(Duration::from_millis(1200));
    assert!(events.is_open(), "what changed is another's");
    world.part(&owner);
    let began = Instant::now();
    while events.is_open() {
        assert!(began.elapsed() < Duration::from_secs(5), "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = world.get("ann", "/cards/3001/events");
    assert_eq!(
        (again.status, again.code().as_str()),
        (502, "upstream-broken")
    );
}

/// An answer that goes on.
struct Events(TcpStream);

impl Events {
    fn open(world: &World, who: &str, target: &str) -> Self {
        let token = world.token(who, "orders:read");
        let at = world.doorward.gateway();
        let mut stream = wire::connect(at).unwrap();
        let call = format!("GET {target} HTTP/1.1\r\nhost: {at}\r\nauthorization: {token}\r\n\r\n");
        stream.write_all(call.as_bytes()).unwrap();
        let mut head = [0; 4096];
        let read = stream.read(&mut head).unwrap();
        let head = String::from_utf8_lossy(&head[..read]);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let wait = Some(Duration::from_millis(20));
        stream.set_read_timeout(wait).unwrap();
        Self(stream)
    }

    fn is_open(&mut self) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        let mut bytes = [0; 4096];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return matches!(error.kind(), WouldBlock | TimedOut),
            }
        }
    }
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
