//! The sample over a real socket, by HTTP/1.1 and by HTTP/2.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

type Outgoing = BoxBody<Bytes, Infallible>;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn started() -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(sample::serve(listener, pending::<()>()));
    address
}

fn client(version: Version) -> Client<HttpConnector, Outgoing> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(version == Version::HTTP_2);
    builder.build_http()
}

fn request(method: Method, address: SocketAddr, target: &str, body: Outgoing) -> Request<Outgoing> {
    Request::builder()
        .method(method)
        .uri(format!("http://{address}{target}"))
        .header("doorward-subject", "alice")
        .header("authorization", "Bearer hunter2")
        .body(body)
        .expect("a request")
}

fn get(address: SocketAddr, target: &str) -> Request<Outgoing> {
    request(Method::GET, address, target, Empty::new().boxed())
}

async fn read(response: Response<Incoming>) -> Value {
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn it_speaks_http_1_and_http_2_on_one_port() {
    let address = started().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let response = client(version)
            .request(get(address, "/whoami?x=1"))
            .await
            .expect("an answer");
        assert_eq!(
            (response.status(), response.version()),
            (StatusCode::OK, version)
        );
        let told = read(response).await;
        assert_eq!(told["method"], "GET");
        assert_eq!(told["path"], "/whoami");
        assert_eq!(told["query"], "x=1");
        assert_eq!(told["version"], format!("{version:?}"));
        assert_eq!(told["identity"]["doorward-subject"], "alice");
        assert_eq!(
            told["credential_headers"],
            serde_json::json!(["authorization"])
        );
        assert!(!told.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn an_order_placed_over_the_wire_stays() {
    let address = started().await;
    let client = client(Version::HTTP_11);
    let body = Full::from(r#"{"item":"pin","quantity":2}"#).boxed();
    let placed = client
        .request(request(Method::POST, address, "/orders", body))
        .await
        .expect("an answer");
    assert_eq!(placed.status(), StatusCode::CREATED);
    let location = placed.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    let order = read(
        client
            .request(get(address, &location))
            .await
            .expect("an answer"),
    )
    .await;
    assert_eq!(
        (&order["owner"], &order["item"]),
        (&Value::from("alice"), &Value::from("pin"))
    );
}

#[tokio::test]
async fn an_upload_and_a_stream_of_many_bytes_arrive_whole() {
    const BYTES: usize = 20 * 1024 * 1024 + 7;
    let address = started().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = client(version);
        for chunked in [0, 1] {
            let target = format!("/stream?bytes={BYTES}&chunked={chunked}");
            let response = client
                .request(get(address, &target))
                .await
                .expect("an answer");
            assert_eq!(
                response.headers().contains_key("content-length"),
                chunked == 0
            );
            let mut body = response.into_body();
            let mut received = 0;
            while let Some(frame) = body.frame().await {
                received += frame.expect("unbroken").data_ref().map_or(0, Bytes::len);
            }
            assert_eq!(received, BYTES, "{target} by {version:?}");
        }
        let body = Full::from(vec![b'.'; BYTES]).boxed();
        let response = client
            .request(request(Method::POST, address, "/upload", body))
            .await
            .expect("an answer");
        assert_eq!(read(response).await["bytes"], BYTES);
    }
}

#[tokio::test]
async fn an_upload_is_read_while_it_is_sent() {
    let address = started().await;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    });
    let body: Outgoing = BoxBody::new(StreamBody::new(frames));
    let answer = tokio::spawn(client(Version::HTTP_11).request(request(
        Method::POST,
        address,
        "/upload",
        body,
    )));
    for _ in 0..3 {
        sender
            .send(Bytes::from_static(b"0123456789"))
            .await
            .expect("the service still reads");
    }
    drop(sender);
    let response = answer.await.expect("no panic").expect("an answer");
    assert_eq!(read(response).await["bytes"], 30);
}

#[tokio::test]
async fn a_head_request_has_the_length_and_no_body() {
    let address = started().await;
    let head = request(
        Method::HEAD,
        address,
        "/stream?bytes=5000",
        Empty::new().boxed(),
    );
    let response = client(Version::HTTP_11)
        .request(head)
        .await
        .expect("an answer");
    assert_eq!(response.headers()["content-length"], "5000");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("no body")
        .to_bytes();
    assert!(body.is_empty());
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let address = started().await;
    let target = "/events?count=3&every_ms=30";
    let response = client(Version::HTTP_11)
        .request(get(address, target))
        .await
        .expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut frames = 0;
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.expect("unbroken").into_data().expect("data"));
        frames += 1;
    }
    assert_eq!(frames, 3, "each event is sent when it happens");
    let text = String::from_utf8(text).expect("text");
    assert_eq!(text.matches("event: order\n").count(), 3);
    assert!(text.contains("id: 3\n"));
}

#[tokio::test]
async fn wrong_paths_and_methods_are_named_problems() {
    let address = started().await;
    let client = client(Version::HTTP_11);
    let response = client
        .request(get(address, "/orders/"))
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let patch = request(
        Method::PATCH,
        address,
        "/orders/ord_1001",
        Empty::new().boxed(),
    );
    let response = client.request(patch).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, HEAD, PUT, DELETE");
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_others_are_still_served() {
    let address = started().await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"HELLO\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed");
    assert!(answer.starts_with(b"HTTP/1.1 400"));
    let response = client(Version::HTTP_11)
        .request(get(address, "/health"))
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn on_shutdown_a_call_in_progress_ends_and_no_new_one_begins() {
    let (listener, address) = listener().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let server: JoinHandle<io::Result<()>> = tokio::spawn(sample::serve(listener, stopped));
    let slow = tokio::spawn(client(Version::HTTP_11).request(get(address, "/slow?ms=400")));
    tokio::time::sleep(Duration::from_millis(150)).await;
    stop.send(()).expect("the server runs");
    let response = slow.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    tokio::time::timeout(Duration::from_secs(3), server)
        .await
        .expect("it ends once its calls have")
        .expect("no panic")
        .expect("no error");
    assert!(TcpStream::connect(address).await.is_err());
}
