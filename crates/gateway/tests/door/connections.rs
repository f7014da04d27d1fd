//! Connections: drain, bounds, the last call.

use core::time::Duration;
use std::sync::Arc;

use gateway::{Limits, Options};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Answer, Door, OK, Upstream, is_closed, open_api, plain_listener, read_some};

const ASK: &[u8] = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_drain_finishes_calls_on_their_way_and_takes_no_new_ones() {
    let upstream = Upstream::start().await;
    let door = Arc::new(Door::open(vec![open_api(upstream.at)]));
    let mut resting = TcpStream::connect(door.at).await.expect("listens");
    resting.write_all(ASK).await.expect("written");
    assert_eq!(Answer(read_some(&mut resting).await).status(), 200);
    upstream.will_answer(&OK.replace("content-length: 2", "content-length: 4"));
    let mut busy = TcpStream::connect(door.at).await.expect("listens");
    busy.write_all(ASK).await.expect("written");
    while upstream.seen().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    door.shutdown.cancel();
    assert!(
        is_closed(&mut resting).await,
        "a connection at rest is closed at once"
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        TcpStream::connect(door.at).await.is_err(),
        "the port is closed"
    );
    // The answer's second half never comes, so the call itself is what is left: it is cut off at
    // the upstream's death, not before.
    assert!(!door.running.is_finished(), "a call is still on its way");
    upstream.die();
    assert!(read_some(&mut busy).await.starts_with("HTTP/1.1 200"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(door.running.is_finished(), "drained");
}

#[tokio::test]
async fn a_drain_is_bounded() {
    let upstream = Upstream::start().await;
    let options = Options {
        drain: Duration::from_millis(200),
        ..Options::default()
    };
    let door = Door::with(vec![open_api(upstream.at)], options, plain_listener());
    upstream.will_answer("SILENCE");
    let mut busy = TcpStream::connect(door.at).await.expect("listens");
    busy.write_all(ASK).await.expect("written");
    while upstream.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    door.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(2), door.running)
        .await
        .expect("in time")
        .expect("ran")
        .expect("well");
}

#[tokio::test]
async fn the_last_call_of_a_connection_says_so() {
    let upstream = Upstream::start().await;
    let mut listener = plain_listener();
    listener.limits = Limits {
        calls: 2,
        ..Limits::default()
    };
    let door = Door::with(vec![open_api(upstream.at)], Options::default(), listener);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream.write_all(ASK).await.expect("written");
    assert_eq!(
        Answer(read_some(&mut stream).await).field("connection"),
        None
    );
    stream.write_all(ASK).await.expect("written");
    assert_eq!(
        Answer(read_some(&mut stream).await).field("connection"),
        Some("close")
    );
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn e03_connections_above_the_bound_wait_and_are_served_later() {
    let upstream = Upstream::start().await;
    let mut listener = plain_listener();
    listener.limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let door = Door::with(vec![open_api(upstream.at)], Options::default(), listener);
    let first = TcpStream::connect(door.at).await.expect("listens");
    let _second = TcpStream::connect(door.at).await.expect("listens");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = TcpStream::connect(door.at)
        .await
        .expect("the system's queue takes it");
    third.write_all(ASK).await.expect("written");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(upstream.seen().is_empty(), "served above the bound");
    drop(first);
    assert_eq!(Answer(read_some(&mut third).await).status(), 200);
}

#[tokio::test]
async fn pipelined_calls_are_answered_in_order() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    for n in 0..3 {
        upstream.will_answer(&format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nn{n}"));
    }
    let text = door.raw(ASK.repeat(3)).await;
    let order: Vec<_> = (0..3)
        .map(|n| text.find(&format!("n{n}")).expect("answered"))
        .collect();
    assert!(order.is_sorted(), "{text}");
}
