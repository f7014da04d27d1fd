//! **Large bodies**: they stream both ways over both protocols, and memory stays flat. Those that a
//! signature covers stand in `signed`.

mod signed;

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{Read as _, Write as _};

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::doorward::Doorward;
use testkit::wire::{self, find};

use super::backend::{self, Backend};
use super::scene;

const SIZE: usize = 100 * 1024 * 1024;
/// Bodies are of one letter, in pieces.
const PIECE: usize = 64 * 1024;
const MOST_GROWTH_KIB: u64 = 32 * 1024;

/// Which HTTP the caller speaks, and the upstream too.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoken {
    Http1,
    Http2,
}

impl Spoken {
    const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// Settings with an upstream that speaks it.
    fn towards(self, settings: &str) -> String {
        match self {
            Self::Http1 => settings.to_owned(),
            Self::Http2 => {
                settings.replace("connect_timeout: 1s", "connect_timeout: 1s, protocol: h2")
            }
        }
    }
}

/// Sends a body to `/upload`, made as it is sent; gives the answer's status, if there was an answer
/// before the connection ended.
fn send(
    doorward: &Doorward,
    spoken: Spoken,
    headers: &http::HeaderMap,
    body: impl Iterator<Item = Vec<u8>> + Send + Unpin + 'static,
) -> Option<u16> {
    let body = body.filter(|piece| !piece.is_empty());
    match spoken {
        Spoken::Http1 => send_http1(doorward, headers, body),
        Spoken::Http2 => {
            let mut request = Request::post(format!("http://{}/upload", doorward.gateway()));
            request.headers_mut().unwrap().extend(headers.clone());
            let request = request.body(Lazily(body)).unwrap();
            let (status, _) = exchange_http2(doorward, request).ok()?;
            Some(status)
        }
    }
}

fn send_http1(
    doorward: &Doorward,
    headers: &http::HeaderMap,
    body: impl Iterator<Item = Vec<u8>>,
) -> Option<u16> {
    let address = doorward.gateway();
    let mut text =
        format!("POST /upload HTTP/1.1\r\nhost: {address}\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str("\r\n");
    let mut stream = wire::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let framed = body.map(|piece| {
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend_from_slice(&piece);
        framed.extend_from_slice(b"\r\n");
        framed
    });
    for piece in framed.chain([b"0\r\n\r\n".to_vec()]) {
        // The door may have broken off already: then the answer says why.
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let answer = wire::first_answer(&mut stream).ok()?;
    Some(answer.status)
}

/// One call by HTTP/2 with prior knowledge: the status, and how many bytes came.
fn exchange_http2<B>(doorward: &Doorward, request: Request<B>) -> anyhow::Result<(u16, u64)>
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let address = doorward.gateway();
    wire::runtime().block_on(async move {
        let stream = TokioIo::new(tokio::net::TcpStream::connect(address).await?);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
        let connection = tokio::spawn(connection);
        let calling = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            let mut body = answer.into_body();
            let mut bytes = 0u64;
            // Where the door refuses in the middle of a body, the stream may break off after its head.
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            anyhow::Ok((status, bytes))
        };
        let answered = tokio::time::timeout(3 * wire::PATIENCE, calling).await?;
        connection.abort();
        answered
    })
}

/// A body whose pieces are made when they are asked for.
struct Lazily<I>(I);

impl<I: Iterator<Item = Vec<u8>> + Unpin> hyper::body::Body for Lazily<I> {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.next();
        Poll::Ready(piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
}

#[test]
fn a_body_of_100_mb_streams_both_ways_over_http2_in_flat_memory() {
    let upstream = Backend::start("one");
    // The upstream speaks one of them each time; the caller HTTP/2.
    for spoken in Spoken::ALL {
        let settings = spoken.towards(&scene::settings(&upstream.url()));
        let doorward = Doorward::start(&settings).unwrap();
        assert_eq!(doorward.get("/open", &[]).unwrap().status, 200);
        let before = peak_kib(doorward.pid());
        let already = upstream.whole();
        let pieces = (0..SIZE / PIECE).map(|_| vec![b'x'; PIECE]);
        let none = http::HeaderMap::new();
        assert_eq!(send(&doorward, Spoken::Http2, &none, pieces), Some(200));
        assert_eq!(upstream.whole() - already, SIZE as u64, "{spoken:?}");
        let uploaded = peak_kib(doorward.pid());
        let request = Request::get(format!("http://{}/stream?{SIZE}", doorward.gateway()));
        let request = request.body(backend::stream(0)).unwrap();
        let got = exchange_http2(&doorward, request).unwrap();
        assert_eq!(got, (200, SIZE as u64), "{spoken:?}");
        let downloaded = peak_kib(doorward.pid());
        println!(
            "peak memory, towards {spoken:?}: {before} KiB before, {uploaded} KiB after 100 MB up, \
             {downloaded} KiB after 100 MB down"
        );
        let grown = downloaded.saturating_sub(before);
        assert!(grown < MOST_GROWTH_KIB, "{spoken:?}: grew by {grown} KiB");
    }
}

#[test]
fn a_body_of_100_mb_streams_both_ways_in_flat_memory() {
    let upstream = Backend::start("one");
    let doorward = Doorward::start(&scene::settings(&upstream.url())).unwrap();
    // The first call warms pools and buffers up.
    assert_eq!(doorward.get("/open", &[]).unwrap().status, 200);
    let before = peak_kib(doorward.pid());

    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: {}\r\ncontent-length: {SIZE}\r\n\r\n",
        doorward.gateway()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..SIZE / piece.len() {
        stream.write_all(&piece).unwrap();
    }
    let answer = wire::first_answer(&mut stream).unwrap();
    assert_eq!((answer.status, answer.text()), (200, SIZE.to_string()));
    let uploaded = peak_kib(doorward.pid());

    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let head = format!(
        "GET /stream?{SIZE} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        doorward.gateway()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let got = read_to_end(&mut stream);
    assert!(got >= SIZE as u64, "{got} bytes of {SIZE}");
    let downloaded = peak_kib(doorward.pid());

    println!(
        "peak memory: {} KiB before, {} KiB after 100 MB up, {} KiB after 100 MB down",
        before, uploaded, downloaded
    );
    assert!(
        uploaded.saturating_sub(before) < MOST_GROWTH_KIB,
        "grew by {} KiB",
        uploaded.saturating_sub(before)
    );
    assert!(
        downloaded.saturating_sub(before) < MOST_GROWTH_KIB,
        "grew by {} KiB",
        downloaded.saturating_sub(before)
    );
}

/// Counts what comes after the head without keeping it.
fn read_to_end(stream: &mut std::net::TcpStream) -> u64 {
    let mut buffer = vec![0u8; 256 * 1024];
    let mut head = Vec::new();
    let mut total = 0u64;
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            return total;
        }
        if total == 0 {
            head.extend_from_slice(&buffer[..read]);
            if let Some(at) = find(&head, b"\r\n\r\n") {
                assert!(head.starts_with(b"HTTP/1.1 200 "));
                total = (head.len() - at - 4) as u64;
            }
        } else {
            total += read as u64;
        }
    }
}

/// Resident memory of a process now, in KiB.
pub(super) fn resident_kib(pid: u32) -> u64 {
    figure(pid, "VmRSS:")
}

/// The most it ever was.
fn peak_kib(pid: u32) -> u64 {
    figure(pid, "VmHWM:")
}

fn figure(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
