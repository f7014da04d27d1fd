//! E over HTTP/2: bodies whose length is said in two ways, callers that stall, and floods of frames
//! that mean nothing.

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::time::Instant;

use testkit::doorward::BASE;
use testkit::wire::{self, Http2Reply, http2_block, http2_frame};

use super::framing::{others_are_served, resident};
use super::shared::{World, world};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn post<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "any.example"),
        (":path", path),
    ];
    fields.extend_from_slice(more);
    http2_block(&fields)
}

/// What is said of stream 1 after these frames.
fn said(world: &World, frames: &[Vec<u8>]) -> anyhow::Result<Http2Reply> {
    let mut stream = wire::connect(world.doorward.gateway())?;
    let mut bytes = wire::HTTP2_PREFACE.to_vec();
    bytes.extend(frames.concat());
    stream.write_all(&bytes)?;
    wire::http2_reply(&mut stream, 1)
}

/// Defence: hyper's HTTP/2 (RFC 9113 §8.1.1), `verdict/src/call/framing.rs`: what would end in two
/// places once it is written as HTTP/1.1 is no call.
#[test]
fn e01_over_http2_a_body_that_is_not_as_long_as_was_said_is_never_a_whole_message_upstream() {
    let world = world();
    for (at, (more, body)) in [
        (("content-length", "5"), &b"hello and more"[..]),
        (("content-length", "5"), b"hell"),
        (("content-length", "0"), b"GET /admin/x HTTP/1.1\r\n\r\n"),
        (("content-length", "+5"), b"hello"),
        (("content-length", "5, 5"), b"hello"),
        (("content-length", "99999999999999999999"), b"hello"),
        (("transfer-encoding", "chunked"), b"0\r\n\r\n"),
        (("connection", "close"), b"hello"),
        (("upgrade", "h2c"), b"hello"),
        (("te", "chunked"), b"hello"),
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("{}-{at}", world.mark());
        let path = format!("/public/{mark}");
        let frames = [
            http2_frame(HEADERS, END_HEADERS, 1, &post(&path, &[more])),
            http2_frame(0, END_STREAM, 1, body),
        ];
        let reply = said(world, &frames).unwrap();
        assert!(!reply.is_success(), "{more:?}: {reply:?}");
        assert!(world.upstream.with(&mark).is_empty(), "{more:?}");
    }
    // The same without a second word passes.
    let mark = world.mark();
    let path = format!("/public/{mark}");
    let frames = [
        http2_frame(
            HEADERS,
            END_HEADERS,
            1,
            &post(&path, &[("content-length", "5")]),
        ),
        http2_frame(0, END_STREAM, 1, b"hello"),
    ];
    let reply = said(world, &frames).unwrap();
    assert!(reply.is_success(), "{reply:?}");
    assert_eq!(world.upstream.with(&mark)[0].body, b"hello");
}

/// How long it takes until the other side closes, or says goodbye and closes.
fn ends(stream: &mut std::net::TcpStream, limit: Duration, what: &str) {
    let began = Instant::now();
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut rest = [0u8; 16 * 1024];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => assert!(began.elapsed() < limit, "{what}: it goes on"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

/// Defence: `listen.rs`: the rest of an HTTP/2 connection is bounded, a handshake's time too;
/// `body.rs` bounds the silence within a body; hyper bounds what is queued for who does not read.
#[test]
fn e03_over_http2_whoever_stalls_is_let_go_and_floods_of_empty_frames_cost_nothing() {
    let world = World::start(&BASE.replace(
        "limits: {",
        "limits: { header_timeout: 1s, idle_timeout: 2s,",
    ));
    let gateway = world.doorward.gateway();
    others_are_served(&world);
    let before = resident(world.doorward.pid());
    // Nothing after the preface; a head that is begun and never ended, on many connections.
    let begun = http2_frame(HEADERS, END_STREAM, 1, &post("/public/begun", &[]));
    let mut stalled: Vec<_> = (0..40)
        .map(|n| {
            let mut stream = wire::connect(gateway).unwrap();
            stream.write_all(wire::HTTP2_PREFACE).unwrap();
            if n % 2 == 0 {
                stream.write_all(&begun).unwrap();
            }
            stream
        })
        .collect();
    // A TLS handshake that is begun and never ended.
    let mut silent = wire::connect(world.doorward.gateway_tls()).unwrap();
    silent.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).unwrap();
    others_are_served(&world);
    for stream in &mut stalled {
        ends(stream, Duration::from_secs(20), "a stalled connection");
    }
    ends(&mut silent, Duration::from_secs(20), "a stalled handshake");
    assert!(world.upstream.with("/public/begun").is_empty());

    // A body that stalls is answered, and nothing of it becomes a message.
    let frames = [
        http2_frame(
            HEADERS,
            END_HEADERS,
            1,
            &post("/public/stalls", &[("content-length", "10")]),
        ),
        http2_frame(0, 0, 1, b"012"),
    ];
    let reply = said(&world, &frames).unwrap();
    assert!(!reply.is_success(), "{reply:?}");
    assert!(world.upstream.with("/public/stalls").is_empty());

    // A body that is longer than the route takes, without a word of its length.
    let piece = http2_frame(0, 0, 1, &[b'x'; 8 * 1024]);
    let frames = [
        http2_frame(
            HEADERS,
            END_HEADERS,
            1,
            &post("/small", &[("x-mark", "large")]),
        ),
        piece.repeat(8),
        http2_frame(0, END_STREAM, 1, b"x"),
    ];
    let reply = said(&world, &frames).unwrap();
    assert!(!reply.is_success(), "{reply:?}");
    assert!(world.upstream.with("x-mark: large").is_empty());

    // Thousands of fields, small ones, within the bytes of one block: more than one call may have.
    let names: Vec<_> = (0..2000).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let block = post("/public/many", &many);
    let mut frames = Vec::new();
    let pieces: Vec<_> = block.chunks(16_000).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let (kind, first) = if at == 0 {
            (HEADERS, END_STREAM)
        } else {
            (9, 0)
        };
        let last = if at + 1 == pieces.len() {
            END_HEADERS
        } else {
            0
        };
        frames.push(http2_frame(kind, first | last, 1, piece));
    }
    let reply = said(&world, &frames).unwrap();
    assert!(!reply.is_success(), "{reply:?}");
    assert!(world.upstream.with("/public/many").is_empty());

    // Frames that want an answer each, from somebody who reads none (CVE-2019-9512, CVE-2019-9515).
    for (kind, payload) in [(PING, &[0u8; 8][..]), (SETTINGS, &[])] {
        let mut stream = wire::connect(gateway).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        stream.write_all(wire::HTTP2_PREFACE).unwrap();
        let many = http2_frame(kind, 0, 0, payload).repeat(1000);
        for _ in 0..500 {
            // The door may hold it back, or end it.
            if stream.write_all(&many).is_err() {
                break;
            }
        }
        others_are_served(&world);
    }
    let grown = resident(world.doorward.pid()).saturating_sub(before);
    assert!(grown < 32 << 20, "memory grew by {} MiB", grown >> 20);
}
