//! HTTP/2 on both sides.

use core::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use registry::api::{UpstreamMeaning, UpstreamProtocol};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Door, Upstream, field, is_closed, open_api, pool, read_some};

type Client = SendRequest<Full<Bytes>>;

async fn client(door: &Door) -> Client {
    let stream = TcpStream::connect(door.at).await.expect("listens");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://a.example{path}"))
        .body(Full::default())
        .expect("a request")
}

#[tokio::test]
async fn a_call_over_http2_goes_the_same_way_to_an_http1_upstream() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let mut client = client(&door).await;
    let mut request = get("/x?y");
    request
        .headers_mut()
        .append("cookie", "a=b".parse().expect("value"));
    request
        .headers_mut()
        .append("cookie", "c=d".parse().expect("value"));
    request
        .headers_mut()
        .insert("doorward-subject", "root".parse().expect("value"));
    let answer = client.send_request(request).await.expect("answered");
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_2)
    );
    assert_eq!(
        answer
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes(),
        "ok"
    );
    let seen = upstream.only();
    assert!(seen.starts_with("GET /x?y HTTP/1.1\r\n"), "{seen}");
    assert_eq!(
        field(&seen, "cookie"),
        Some("a=b; c=d"),
        "one field (RFC 9113 §8.2.3)"
    );
    assert_eq!(field(&seen, "x-forwarded-host"), Some("a.example"));
    assert_eq!(field(&seen, "via"), Some("2 doorward"));
    assert!(!seen.contains("root"));
}

#[tokio::test]
async fn many_streams_of_one_connection_are_served_at_once() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let client = client(&door).await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..60 {
        let mut client = client.clone();
        calls.spawn(async move {
            client
                .send_request(get(&format!("/{n}")))
                .await
                .expect("answered")
                .status()
                .as_u16()
        });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(upstream.seen().len(), 60);
}

/// An upstream that speaks HTTP/2 by prior knowledge, tells what it saw, and ends with trailers.
async fn grpc_like() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let (parts, body) = request.into_parts();
                let said = format!(
                    "{} {} te={:?} subject={:?}",
                    parts.version == Version::HTTP_2,
                    parts.uri,
                    parts.headers.get("te"),
                    parts.headers.get("doorward-subject"),
                );
                let body = body.collect().await.expect("whole");
                let sent = body.trailers().and_then(|t| t.get("checksum")).cloned();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().expect("value"));
                if let Some(sent) = sent {
                    trailers.insert("your-checksum", sent);
                }
                let frames = [
                    Ok::<_, core::convert::Infallible>(Frame::data(Bytes::from(said))),
                    Ok(Frame::trailers(trailers)),
                ];
                Ok::<_, core::convert::Infallible>(Response::new(StreamBody::new(
                    futures_util::stream::iter(frames),
                )))
            });
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    at
}

#[tokio::test]
async fn trailers_pass_both_ways_between_http2_and_http2() {
    let at = grpc_like().await;
    let mut orders = open_api(at);
    let mut servers = pool(&[at]);
    servers.protocol = UpstreamProtocol::Http2;
    orders.upstream = UpstreamMeaning::Pool(servers);
    let door = Door::open(vec![orders]);
    let stream = TcpStream::connect(door.at).await.expect("listens");
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "abc".parse().expect("value"));
    let frames = [
        Ok::<_, core::convert::Infallible>(Frame::data(Bytes::from_static(b"hello"))),
        Ok(Frame::trailers(trailers)),
    ];
    let request = Request::post("http://a.example/svc/Method")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .expect("a request");
    let answer = client.send_request(request).await.expect("answered");
    let body = answer.into_body().collect().await.expect("whole");
    let trailers = body.trailers().expect("trailers").clone();
    let said = String::from_utf8(body.to_bytes().to_vec()).expect("text");
    assert!(said.starts_with("true http://127.0.0.1:"), "{said}");
    assert!(
        said.contains("/svc/Method te=Some(\"trailers\") subject=None"),
        "{said}"
    );
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["your-checksum"], "abc");
}

#[tokio::test]
async fn a05_b06_what_http1_would_refuse_is_refused_over_http2() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let mut client = client(&door).await;
    for path in ["/a/../b", "/a//b", "/%2e%2e/b", "/a%00"] {
        let status = client
            .send_request(get(path))
            .await
            .expect("answered")
            .status()
            .as_u16();
        assert_eq!(status, 400, "{path}");
    }
    let mut two_names = get("/x");
    two_names
        .headers_mut()
        .insert("host", "b.example".parse().expect("value"));
    let status = client
        .send_request(two_names)
        .await
        .expect("answered")
        .status()
        .as_u16();
    assert_eq!(status, 400);
    assert!(upstream.seen().is_empty());
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn raw_http2(door: &Door) -> TcpStream {
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream.write_all(PREFACE).await.expect("written");
    stream
        .write_all(&frame(4, 0, 0, &[]))
        .await
        .expect("written");
    stream
}

/// `:method GET`, `:scheme http`, `:path /`, and `:authority a` as HPACK (RFC 7541 A, C.2.1).
const HEADERS: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

#[tokio::test]
async fn e03_a_flood_of_resets_ends_the_connection_and_others_keep_working() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let mut stream = raw_http2(&door).await;
    let flood = async {
        for n in 0..20_000u32 {
            let id = 2 * n + 1;
            let mut both = frame(1, 0x5, id, HEADERS);
            both.extend(frame(3, 0, id, &8u32.to_be_bytes()));
            if stream.write_all(&both).await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), flood).await;
    assert!(is_closed(&mut stream).await, "the flood is still welcome");
    assert_eq!(door.get("/x", "").await.status(), 200);
}

#[tokio::test]
async fn e03_a_flood_of_continuations_ends_the_connection() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let mut stream = raw_http2(&door).await;
    // A literal field with a long value, again and again, and never END_HEADERS.
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x07];
    field.extend([b'a'; 1024]);
    stream
        .write_all(&frame(1, 0x1, 1, HEADERS))
        .await
        .expect("written");
    let flood = async {
        for _ in 0..100_000 {
            if stream.write_all(&frame(9, 0, 1, &field)).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), flood)
        .await
        .expect("the flood was cut off");
    assert_eq!(door.get("/x", "").await.status(), 200);
    assert!(upstream.seen().len() == 1);
}

#[tokio::test]
async fn http2_without_tls_is_for_those_who_know() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    // Half a preface in one packet, the rest in another.
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream.write_all(&PREFACE[..2]).await.expect("written");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(&PREFACE[2..]).await.expect("written");
    stream
        .write_all(&frame(4, 0, 0, &[]))
        .await
        .expect("written");
    assert!(
        !read_some(&mut stream).await.is_empty(),
        "no settings came back"
    );
}
