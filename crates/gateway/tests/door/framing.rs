//! Threats E: framing, sizes, silence.

use core::time::Duration;

use gateway::{Limits, Options};
use http::Method;
use registry::api::UpstreamMeaning;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{
    Answer, Door, PUBLIC, Upstream, api, field, is_closed, open_api, plain_listener, pool,
    read_some, route, with_methods,
};

#[tokio::test]
async fn e01_two_ways_to_find_the_end_are_refused_or_never_passed_on_as_both() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let refused = [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: -1\r\n",
        "content-length:\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
    ];
    for lines in refused {
        let request = format!("POST /x HTTP/1.1\r\nhost: a\r\n{lines}\r\n0\r\n\r\n");
        assert_eq!(door.send(&request).await.status(), 400, "{lines:?}");
    }
    let old = "POST /x HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(door.send(old).await.status(), 400);
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn e01_length_beside_coding_is_sent_on_as_one_and_ends_the_connection() {
    for lines in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let upstream = Upstream::start().await;
        let door = Door::open(vec![open_api(upstream.at)]);
        let mut stream = TcpStream::connect(door.at).await.expect("listens");
        let request = format!(
            "POST /x HTTP/1.1\r\nhost: a\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let text = read_some(&mut stream).await;
        let seen = upstream.seen();
        assert!(
            !seen.iter().any(|message| message.contains("smuggled")),
            "{seen:?}"
        );
        for message in &seen {
            assert_eq!(field(message, "content-length"), None, "{message}");
            assert_eq!(field(message, "transfer-encoding"), Some("chunked"));
        }
        if !text.starts_with("HTTP/1.1 400") {
            assert_eq!(Answer(text).field("connection"), Some("close"));
        }
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn e01_an_upstream_that_frames_its_answer_in_two_ways_is_not_passed_on() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        upstream.will_answer(answer);
        // POST is not tried again.
        let answered = door
            .send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            .await;
        assert_eq!(answered.status(), 502, "{answer:?}");
        assert_eq!(answered.code(), "upstream-broken");
    }
}

#[tokio::test]
async fn e03_a_body_above_the_limit_is_413_and_never_a_complete_message_upstream() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    let mut small = with_methods(route(&orders, "/x", PUBLIC), &[Method::POST]);
    small.body_limit = 10;
    orders.routes = vec![small];
    let door = Door::open(vec![orders]);
    let announced = door
        .send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n01234567890")
        .await;
    assert_eq!(
        (announced.status(), announced.code().as_str()),
        (413, "body-too-large")
    );
    assert!(upstream.seen().is_empty());
    let streamed = door
        .send("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n")
        .await;
    assert_eq!(
        (streamed.status(), streamed.code().as_str()),
        (413, "body-too-large")
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    for message in upstream.seen() {
        assert!(message.starts_with("PARTIAL"), "{message}");
    }
    let fits = door
        .send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n0123456789")
        .await;
    assert_eq!(fits.status(), 200);
}

#[tokio::test]
async fn e03_a_body_that_stalls_is_408() {
    let upstream = Upstream::start().await;
    let mut orders = open_api(upstream.at);
    let mut servers = pool(&[upstream.at]);
    servers.idle_timeout = Duration::from_millis(200);
    orders.upstream = UpstreamMeaning::Pool(servers);
    let door = Door::open(vec![orders]);
    let answer = door
        .send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n012")
        .await;
    assert_eq!(
        (answer.status(), answer.code().as_str()),
        (408, "body-timeout")
    );
}

#[tokio::test]
async fn e03_a_head_must_come_within_its_time_whatever_trickles_in() {
    let upstream = Upstream::start().await;
    let mut listener = plain_listener();
    listener.limits = Limits {
        head: Duration::from_millis(400),
        idle: Duration::from_millis(1500),
        ..Limits::default()
    };
    let door = Door::with(vec![open_api(upstream.at)], Options::default(), listener);
    let mut slow = TcpStream::connect(door.at).await.expect("listens");
    let began = std::time::Instant::now();
    slow.write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n")
        .await
        .expect("written");
    while began.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if slow.write_all(b"x: y\r\n").await.is_err() {
            break;
        }
        let mut byte = [0];
        if let Ok(0) | Err(_) = slow.try_read(&mut byte).or_else(|error| {
            if error.kind() == std::io::ErrorKind::WouldBlock {
                Ok(1)
            } else {
                Err(error)
            }
        }) {
            break;
        }
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1200), "the head had {took:?}");
    // Others are served meanwhile, and a connection at rest has the longer time.
    let mut resting = TcpStream::connect(door.at).await.expect("listens");
    for _ in 0..2 {
        resting
            .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .expect("still open");
        assert_eq!(Answer(read_some(&mut resting).await).status(), 200);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(is_closed(&mut resting).await, "rest is bounded too");
}

#[tokio::test]
async fn expect_100_continue_is_answered_and_not_passed_on() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    let head = "POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 100 "));
    stream.write_all(b"hello").await.expect("written");
    assert_eq!(Answer(read_some(&mut stream).await).status(), 200);
    let seen = upstream.only();
    assert!(
        seen.ends_with("hello") && field(&seen, "expect").is_none(),
        "{seen}"
    );
}

#[tokio::test]
async fn bytes_that_are_no_http_get_a_status_and_a_close() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00",
        "GARBAGE\r\n\r\n",
        "GET /x HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(door.at).await.expect("listens");
        stream.write_all(bytes.as_bytes()).await.expect("written");
        let text = read_some(&mut stream).await;
        assert!(
            text.starts_with("HTTP/1.1 400") || text.starts_with("HTTP/1.1 505") || text.is_empty(),
            "{text}"
        );
        assert!(is_closed(&mut stream).await, "{bytes:?}");
    }
}
