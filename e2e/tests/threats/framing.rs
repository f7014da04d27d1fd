//! E: framing and connections. What is of HTTP/2 alone stands in `http2`.

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::time::Instant;

use super::shared::{World, world};
use testkit::doorward::{BASE, Doorward};
use testkit::upstream::Upstream;
use testkit::wire::{self, http2_block, http2_frame};

/// Defence: hyper's parser, and `verdict/src/call/framing.rs` for what it lets through.
#[test]
fn e01_ambiguous_framing_is_refused() {
    let world = world();
    let mark = world.mark();
    for lines in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked;x",
        "transfer-encoding: identity",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: chunked\r\n x",
        "content-length: +5",
        "content-length: 5, 5",
        "content-length: 0x5",
        "content-length: 99999999999999999999",
        "content-length: 18446744073709551616",
        "content-length: -1",
        "content-length:",
        "content-length: 5\r\ncontent-length: 6",
        "content-length : 5",
        ": x",
        "x: a\rcontent-length: 5",
    ] {
        let request = format!(
            "POST /public/{mark} HTTP/1.1\r\nhost: any.example\r\n{lines}\r\n\r\n0\r\n\r\n"
        );
        let answer = wire::raw_until_closed(world.doorward.gateway(), &request).unwrap();
        assert_eq!(answer.status, 400, "{lines:?}");
        assert!(
            answer.closed,
            "{lines:?}: what follows could be read as another call"
        );
    }
    let old = format!(
        "POST /public/{mark} HTTP/1.0\r\nhost: any.example\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    assert_eq!(world.raw(&old).status, 400);
    assert!(world.upstream.with(&mark).is_empty());
    // A chunk size that overflows, and one that is none: no whole message ever gets there.
    for chunk in [
        "fffffffffffffffff\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \rabc\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST /public/{mark} HTTP/1.1\r\nhost: any.example\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
        );
        let answer = wire::raw(world.doorward.gateway(), &request);
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert!(!(200..300).contains(&status), "{chunk:?}: {status}");
    }
    assert!(world.upstream.with(&mark).is_empty());
}

/// Defence: `listen/connection.rs` closes after such a call; `forward.rs` frames anew.
#[test]
fn e01_length_beside_coding_is_never_forwarded_as_both_and_ends_the_connection() {
    let world = world();
    for (at, lines) in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("{}{at}", world.mark());
        let request = format!(
            "POST /public/{mark} HTTP/1.1\r\nhost: any.example\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n\
             GET /public/{mark}-smuggled HTTP/1.1\r\nhost: any.example\r\n\r\n"
        );
        let answer = wire::raw_until_closed(world.doorward.gateway(), &request).unwrap();
        assert!(answer.closed, "{lines:?}: {answer:?}");
        assert!(world.upstream.with("-smuggled").is_empty());
        for seen in world.upstream.with(&mark) {
            let both = !seen.values("content-length").is_empty()
                && !seen.values("transfer-encoding").is_empty();
            assert!(!both, "{}", seen.text());
        }
    }
}

fn upgrade(path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: any.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{extra}\r\n"
    )
}

/// Defence: `gateway/src/tunnel.rs` waits for 101; `route.upgrade` in `serve.rs`.
#[test]
fn e02_a_tunnel_opens_only_after_101_and_only_where_the_route_allows_it() {
    let world = world();
    let mark = world.mark();
    // Not allowed there: the upstream hears of no upgrade.
    let refused = world.raw(upgrade(&format!("/no-tunnel?{mark}"), ""));
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(world.upstream.with(&mark).is_empty());
    // Allowed, but the upstream says 200: what follows is no tunnel, and no second call unjudged.
    let mut stream = wire::connect(world.doorward.gateway()).unwrap();
    let request = upgrade(&format!("/tunnel?{mark}"), "");
    stream.write_all(request.as_bytes()).unwrap();
    let answer = wire::first_answer(&mut stream).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let _ = write!(
        stream,
        "GET /admin/{mark}-behind HTTP/1.1\r\nhost: any.example\r\n\r\n"
    );
    if let Ok(next) = wire::first_answer(&mut stream) {
        assert_eq!(next.status, 401, "judged like any other: {}", next.text());
    }
    assert!(world.upstream.with("-behind").is_empty());
    // h2c is no way around either.
    let h2c = format!(
        "GET /no-tunnel?{mark}-h2c HTTP/1.1\r\nhost: any.example\r\nconnection: upgrade, http2-settings\r\n\
         upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
    );
    let answer = world.raw(h2c);
    assert_ne!(answer.status, 101);
    for seen in world.upstream.with(&format!("{mark}-h2c")) {
        assert!(seen.values("upgrade").is_empty() && seen.values("http2-settings").is_empty());
    }
}

/// Defence: `asked_upgrade` in `gateway/src/forward.rs`, the comparison in `tunnel::open`.
#[test]
fn e02_a_tunnel_is_to_websocket_alone_whatever_is_offered_beside_it_or_answered() {
    let world = world();
    let mark = world.mark();
    for offer in [
        "websocket, h2c",
        "h2c,websocket",
        "websocket\r\nupgrade: h2c",
    ] {
        let request = upgrade(&format!("/tunnel?{mark}"), "");
        let request = request.replace("upgrade: websocket", &format!("upgrade: {offer}"));
        let answer = world.raw(request);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "upgrade-refused"),
            "{offer}"
        );
    }
    assert!(world.upstream.with(&mark).is_empty());
    // An upstream that switches to what nobody asked for.
    let evil = Upstream::start_with(|_, _| {
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nsmuggled";
        Some(answer.as_bytes().to_vec())
    })
    .unwrap();
    let settings = format!(
        "{BASE}resources:\n  - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: live }}\n    spec:\n      upstream: {{ urls: [\"{}\"] }}\n      routes: [{{ path: /tunnel, public: true, upgrade: true }}]\n",
        evil.url()
    );
    let doorward = Doorward::start(&settings).unwrap();
    let answer = wire::raw(doorward.gateway(), upgrade("/tunnel", "")).unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream-broken")
    );
    assert!(!answer.text().contains("smuggled"));
}

/// Bytes of memory that a process holds.
pub(super) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

pub(super) fn others_are_served(world: &World) {
    let began = Instant::now();
    assert_eq!(world.get("/public/others", &[]).status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "others had to wait"
    );
}

/// Defence: `listen/connection.rs`: limits of hyper's HTTP/2 (resets, header list, streams), the
/// total header timeout; `body.rs` for sizes.
#[test]
fn e03_floods_cost_bounded_memory_and_others_keep_working() {
    let world = World::start(&BASE.replace("limits: {", "limits: { header_timeout: 1s,"));
    let gateway = world.doorward.gateway();
    others_are_served(&world);
    let before = resident(world.doorward.pid());
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "any.example"),
        (":path", "/public/flood"),
    ];
    // Resets: streams opened and reset at once (CVE-2023-44487). It ends, or is never worth it.
    let mut stream = wire::connect(gateway).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut bytes = wire::HTTP2_PREFACE.to_vec();
    for n in 0..20_000u32 {
        bytes.extend(http2_frame(1, 0x5, n * 2 + 1, &http2_block(&fields)));
        bytes.extend(http2_frame(3, 0, n * 2 + 1, &8u32.to_be_bytes()));
    }
    let sent = stream.write_all(&bytes);
    let reply = sent.map_or(Ok(wire::Http2Reply::Closed), |()| {
        wire::http2_reply(&mut stream, 1_000_001)
    });
    assert!(
        matches!(
            reply,
            Ok(wire::Http2Reply::Away(_) | wire::Http2Reply::Closed)
        ),
        "the flood was taken: {reply:?}"
    );
    others_are_served(&world);
    // One header block without end (CVE-2024-27316).
    let mut stream = wire::connect(gateway).unwrap();
    let mut bytes = wire::HTTP2_PREFACE.to_vec();
    bytes.extend(http2_frame(1, 0x1, 1, &http2_block(&fields)));
    let name = "a".repeat(100);
    let more = http2_frame(9, 0, 1, &http2_block(&[(&name, &"b".repeat(15_000))]));
    for _ in 0..400 {
        bytes.extend_from_slice(&more);
    }
    let _ = stream.write_all(&bytes);
    let reply = wire::http2_reply(&mut stream, 1);
    assert!(
        matches!(
            reply,
            Ok(wire::Http2Reply::Away(_) | wire::Http2Reply::Closed | wire::Http2Reply::Reset(_))
        ),
        "the flood was taken: {reply:?}"
    );
    // Heads that trickle: each connection ends within its time.
    let mut slow: Vec<_> = (0..50).map(|_| wire::connect(gateway).unwrap()).collect();
    for stream in &mut slow {
        stream
            .write_all(b"GET /public/x HTTP/1.1\r\nhost: any")
            .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(8)))
            .unwrap();
    }
    others_are_served(&world);
    for stream in &mut slow {
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            ended.is_ok() && (text.is_empty() || text.starts_with("HTTP/1.1 408")),
            "{ended:?} {text}"
        );
    }
    // Bodies: too large by word, and by deed.
    let answer = wire::call(
        gateway,
        "POST",
        "/small",
        &[("host", "any.example"), ("content-length", "1000000000000")],
        b"",
    )
    .unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "body-too-large")
    );
    let mark = world.mark();
    let mut huge = format!("POST /small HTTP/1.1\r\nhost: any.example\r\nx-mark: {mark}\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..64 {
        huge.extend_from_slice(b"10000\r\n");
        huge.extend_from_slice(&[b'x'; 0x10000]);
        huge.extend_from_slice(b"\r\n");
    }
    assert_eq!(world.raw(&huge).status, 413);
    assert!(
        world.upstream.with(&mark).is_empty(),
        "never a whole message upstream"
    );
    // A body that stalls.
    let mut stalled = wire::connect(gateway).unwrap();
    stalled
        .write_all(
            b"POST /public/stall HTTP/1.1\r\nhost: any.example\r\ncontent-length: 10\r\n\r\n012",
        )
        .unwrap();
    others_are_served(&world);
    assert_eq!(wire::first_answer(&mut stalled).unwrap().status, 408);
    let grown = resident(world.doorward.pid()).saturating_sub(before);
    assert!(grown < 64 << 20, "memory grew by {} MiB", grown >> 20);
}

/// Defence: `upstream/conn.rs` gives a connection back only when its answer was read to the end,
/// and `upstream/pool.rs` keeps no more bytes than that. Connections that show a certificate stand in
/// `upstreams`.
#[test]
fn e04_a_left_over_answer_is_never_the_next_callers() {
    // The upstream says more than it announced: the rest looks like the answer to the next call.
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let upstream = Upstream::start_with(move |_, _| Some(poison.as_bytes().to_vec())).unwrap();
    let settings = format!(
        "{BASE}resources:\n  - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: a }}\n    \
         spec: {{ upstream: {{ urls: ['{}'] }}, routes: [{{ path: '/{{rest*}}', public: true }}] }}\n",
        upstream.url()
    );
    let doorward = Doorward::start(&settings).unwrap();
    for n in 0..12 {
        let answer = doorward.get(&format!("/{n}"), &[]).unwrap();
        assert!(
            !answer.text().contains("poison"),
            "call {n}: {}",
            answer.text()
        );
    }
    // And what a caller leaves unread of its own body is not the beginning of the next call.
    let world = world();
    let mark = world.mark();
    let mut stream = wire::connect(world.doorward.gateway()).unwrap();
    let inner = format!("GET /public/{mark}-inner HTTP/1.1\r\nhost: any.example\r\n\r\n");
    let outer = format!(
        "POST /admin/{mark} HTTP/1.1\r\nhost: any.example\r\ncontent-length: {}\r\n\r\n{inner}",
        inner.len()
    );
    stream.write_all(outer.as_bytes()).unwrap();
    assert_eq!(wire::first_answer(&mut stream).unwrap().status, 401);
    let _ = write!(
        stream,
        "GET /public/{mark}-next HTTP/1.1\r\nhost: any.example\r\n\r\n"
    );
    if let Ok(next) = wire::first_answer(&mut stream) {
        assert_eq!(next.json()["target"], format!("/public/{mark}-next"));
    }
    assert!(world.upstream.with("-inner").is_empty());
}

/// Defence: `forward.rs` builds lines from types that hold no CR, LF or NUL; `upstream/conn.rs`
/// refuses answers that do.
#[test]
fn e05_outgoing_lines_are_valid_in_both_directions() {
    let bad = [
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "nonsense\r\n\r\n",
    ];
    let upstream = Upstream::start_with(move |_, seen| {
        let at: usize = seen.target()[1..].parse().ok()?;
        Some(bad[at].as_bytes().to_vec())
    })
    .unwrap();
    let settings = format!(
        "{BASE}resources:\n  - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: a }}\n    \
         spec: {{ upstream: {{ urls: ['{}'] }}, routes: [{{ path: '/{{rest*}}', public: true }}] }}\n",
        upstream.url()
    );
    let doorward = Doorward::start(&settings).unwrap();
    for (at, message) in bad.iter().enumerate() {
        let answer = wire::call(doorward.gateway(), "POST", &format!("/{at}"), &[], b"x").unwrap();
        assert_eq!(answer.status, 502, "{message:?}");
        assert_eq!(answer.code(), "upstream-broken", "{message:?}");
    }
    // By HTTP/2 a value may hold what would end a line in HTTP/1.1.
    let world = world();
    let mark = world.mark();
    for value in ["a\r\nx-injected: 1", "a\nx-injected: 1", "a\0b"] {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "any.example"),
            (":path", "/public/x"),
            ("x-mark", mark.as_str()),
            ("x-value", value),
        ];
        let reply = wire::http2_fields(world.doorward.gateway(), &fields).unwrap();
        assert!(!reply.is_success(), "{value:?}");
    }
    for (name, value) in [("x\r\ny", "1"), ("X-Upper", "1"), ("x y", "1"), ("", "1")] {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "any.example"),
            (":path", "/public/x"),
            ("x-mark", mark.as_str()),
            (name, value),
        ];
        let reply = wire::http2_fields(world.doorward.gateway(), &fields).unwrap();
        assert!(!reply.is_success(), "{name:?}");
    }
    assert!(world.upstream.with(&mark).is_empty());
}
