//! Bodies flow: nothing is collected, whichever way and however large.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway::{Limits, Options};
use registry::api::UpstreamMeaning;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Answer, Door, PUBLIC, api, open_api, plain_listener, pool, read_some, route};

const MIB: u64 = 1024 * 1024;

/// Sends `size` bytes down to whoever asks; counts what could be written.
async fn source(size: u64) -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    let written = Arc::new(AtomicU64::new(0));
    let counter = written.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut buffer = vec![b'x'; 64 * 1024];
                let _ = stream.read(&mut buffer).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.expect("written");
                buffer.fill(b'x');
                let mut left = size;
                while left > 0 {
                    let n = left.min(buffer.len() as u64) as usize;
                    if stream.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                    left -= n as u64;
                    counter.fetch_add(n as u64, Ordering::SeqCst);
                }
            });
        }
    });
    (at, written)
}

/// Swallows bodies and tells how much it got, once it may.
async fn sink(gate: Arc<tokio::sync::Semaphore>) -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    let read = Arc::new(AtomicU64::new(0));
    let counter = read.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (counter, gate) = (counter.clone(), gate.clone());
            tokio::spawn(async move {
                let mut held = Vec::new();
                while !held.windows(4).any(|w| w == b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                        return;
                    }
                    held.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&held).to_lowercase();
                let length = head.split("content-length: ").nth(1).expect("a length");
                let length: u64 = length
                    .lines()
                    .next()
                    .expect("a line")
                    .trim()
                    .parse()
                    .expect("a number");
                let _go = gate.acquire().await.expect("open");
                let mut got = 0;
                let mut buffer = vec![0; 64 * 1024];
                while got < length {
                    match stream.read(&mut buffer).await {
                        Ok(n @ 1..) => got += n as u64,
                        _ => return,
                    }
                    counter.store(got, Ordering::SeqCst);
                }
                let text = got.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).await.expect("written");
            });
        }
    });
    (at, read)
}

/// Writes until nothing more is taken for half a second; how much was taken.
async fn fill(stream: &mut TcpStream, most: u64) -> u64 {
    let block = vec![b'y'; 64 * 1024];
    let mut taken = 0;
    while taken < most {
        let n = (most - taken).min(block.len() as u64) as usize;
        match tokio::time::timeout(Duration::from_millis(500), stream.write(&block[..n])).await {
            Ok(Ok(n)) => taken += n as u64,
            Ok(Err(error)) => panic!("broken off: {error}"),
            Err(_) => break,
        }
    }
    taken
}

/// What the sockets' own buffers may hold: two connections, both ends, grown by the system.
const SOCKETS: u64 = 24 * MIB;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_a_caller_that_does_not_read_holds_the_upstream_back() {
    let (at, written) = source(200 * MIB).await;
    let door = Door::open(vec![open_api(at)]);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("written");
    tokio::time::sleep(Duration::from_millis(800)).await;
    let held = written.load(Ordering::SeqCst);
    assert!(held < SOCKETS, "{} MiB lie between", held / MIB);
    // And it all comes once the caller reads.
    let mut total = 0u64;
    let mut buffer = vec![0; 256 * 1024];
    while total < 200 * MIB {
        match tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await {
            Ok(Ok(n @ 1..)) => total += n as u64,
            other => panic!("broken off after {total}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_an_answer_that_nobody_reads_is_given_up() {
    let (at, written) = source(200 * MIB).await;
    let mut listener = plain_listener();
    listener.limits = Limits {
        stall: Duration::from_millis(300),
        ..Limits::default()
    };
    let door = Door::with(vec![open_api(at)], Options::default(), listener);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("written");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(written.load(Ordering::SeqCst) < SOCKETS);
    assert!(
        door.metrics().contains("doorward_connections 0"),
        "{}",
        door.metrics()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_an_upload_of_100_mb_flows_and_a_slow_upstream_holds_the_caller_back() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (at, read) = sink(gate.clone()).await;
    let mut files = api("files", UpstreamMeaning::Pool(pool(&[at])));
    let mut upload = route(&files, "/{rest*}", PUBLIC);
    upload.body_limit = 200 * MIB;
    files.routes = vec![upload];
    let door = Door::open(vec![files]);
    let size = 100 * MIB;
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    let head = format!("PUT /big HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let taken = fill(&mut stream, size).await;
    assert!(
        taken < SOCKETS,
        "{} MiB were taken while the upstream reads nothing",
        taken / MIB
    );
    assert_eq!(read.load(Ordering::SeqCst), 0);
    gate.add_permits(10);
    let more = fill(&mut stream, size - taken).await;
    assert_eq!(taken + more, size);
    let answer = Answer(read_some(&mut stream).await);
    assert_eq!(
        (answer.status(), answer.body()),
        (200, size.to_string().as_str())
    );
}

#[tokio::test]
async fn events_reach_the_caller_as_they_happen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    let (say, mut said) = tokio::sync::mpsc::channel::<&'static str>(4);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("written");
        while let Some(text) = said.recv().await {
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            stream.write_all(chunk.as_bytes()).await.expect("written");
        }
    });
    let door = Door::open(vec![open_api(at)]);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("written");
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
    for event in ["data: one\n\n", "data: two\n\n"] {
        say.send(event).await.expect("taken");
        assert!(read_some(&mut stream).await.contains(event));
    }
}
