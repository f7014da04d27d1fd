//! B, J6: the fields behind a body. They pass between HTTP/2 and HTTP/2 alone, so both sides speak it
//! here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proof::random::{SystemEntropy, random_base62};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::wire;

/// What is shown to the upstream.
const KEY: &str = "up-hunter2-0123456789";

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: tier }
    spec:
      headers: [x-tier]
      rego: |
        package tier
        default allow := true
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { owner: a@example.com, purpose: tests } }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: shop }
    spec:
      upstream: { urls: ["@UPSTREAM@"], protocol: h2, credential: { api_key: { header: x-vendor-key, secret: 'file:up.key' } } }
      identity: { mode: headers }
      credentials: [api_key]
      key_headers: [x-acme-key]
      routes:
        - { path: /free, methods: [POST], public: true }
        - { path: /judged, methods: [POST], policies: [tier], objects: [{ type: order, header: x-order }] }
"#;

/// A body of these frames.
struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    fn new(text: &str, trailers: HeaderMap) -> Self {
        let data = Bytes::copy_from_slice(text.as_bytes());
        Self([Frame::data(data), Frame::trailers(trailers)].into())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_str(value).unwrap();
        map.append(HeaderName::from_static(name), value);
    }
    map
}

fn names(map: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

/// Speaks HTTP/2, keeps the trailers that came, and ends with those that it is told.
fn upstream(told: HeaderMap) -> (SocketAddr, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let kept = seen.clone();
    let at = wire::runtime().block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, told) = (kept.clone(), told.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (kept, told) = (kept.clone(), told.clone());
                    async move {
                        let body = request.into_body().collect().await?;
                        let trailers = body.trailers().cloned().unwrap_or_default();
                        kept.lock().unwrap().push(trailers);
                        Ok::<_, hyper::Error>(Response::new(Frames::new("taken", told)))
                    }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        at
    });
    (at, seen)
}

/// Sends a body with trailers; the status, and the trailers of the answer.
fn send(
    at: SocketAddr,
    path: &str,
    head: &[(&str, &str)],
    trailers: HeaderMap,
) -> (u16, HeaderMap) {
    let mut request = Request::post(format!("http://shop.example{path}")).header("te", "trailers");
    for (name, value) in head {
        request = request.header(*name, *value);
    }
    let request = request.body(Frames::new("hello", trailers)).unwrap();
    wire::runtime().block_on(async move {
        let calling = async {
            let stream = tokio::net::TcpStream::connect(at).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            let connection = tokio::spawn(connection);
            let answer = sender.send_request(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap();
            connection.abort();
            (status, body.trailers().cloned().unwrap_or_default())
        };
        tokio::time::timeout(Duration::from_secs(20), calling)
            .await
            .unwrap()
    })
}

fn start(told: HeaderMap) -> (Doorward, String, Arc<Mutex<Vec<HeaderMap>>>) {
    let (at, seen) = upstream(told);
    let place = Place::new().unwrap();
    std::fs::write(place.path().join("up.key"), KEY).unwrap();
    let settings = format!("{BASE}{RESOURCES}").replace("@UPSTREAM@", &format!("http://{at}"));
    let doorward = place.start(&settings).unwrap();
    let wish = serde_json::json!({ "application": "shop", "label": "all", "apis": ["shop"] });
    let made = doorward.make("POST", "/v1/keys", &wish).unwrap();
    let key = made["secret"].as_str().unwrap().to_owned();
    (doorward, key, seen)
}

/// Defence: `CallTrailers::clean` in `gateway/src/trailers.rs`, `RequestBody::poll_frame`.
#[test]
fn b01_b05_no_trailer_says_what_no_field_of_the_head_may_say() {
    let (doorward, key, seen) = start(HeaderMap::new());
    let forged = [
        ("doorward-subject", "admin"),
        ("doorward_roles", "admin"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x_real_ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("client-cert", ":6666:"),
        ("x-http-method-override", "DELETE"),
        ("authorization", "Bearer forged"),
        ("cookie", "session=forged"),
        ("x-api-key", "forged"),
        ("x-acme-key", "forged"),
        ("dpop", "forged"),
        ("x-vendor-key", "forged"),
        ("x_vendor_key", "forged"),
        ("proxy-authorization", "Basic eDp5"),
        ("content-length", "0"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("host", "evil.example"),
        ("cache-control", "no-store"),
        ("if-match", "*"),
        ("traceparent", "00-1-2-01"),
    ];
    let judged = [("x-tier", "gold"), ("x_tier", "gold"), ("x-order", "2")];
    let at = doorward.gateway();
    let honest = [("checksum", "abc"), ("x-amz-checksum-crc32", "AAAAAA==")];
    let free = fields(&[&forged[..], &honest].concat());
    assert_eq!(send(at, "/free", &[], free).0, 200);
    let head = [("x-api-key", key.as_str()), ("x-order", "1")];
    let all = fields(&[&forged[..], &judged, &honest].concat());
    assert_eq!(send(at, "/judged", &head, all).0, 200);
    // None at all where nothing of them is left.
    assert_eq!(send(at, "/free", &[], fields(&forged)).0, 200);
    let seen = seen.lock().unwrap();
    for (trailers, expected) in seen.iter().zip([
        &["checksum", "x-amz-checksum-crc32"][..],
        &["checksum", "x-amz-checksum-crc32"],
        &[],
    ]) {
        assert_eq!(names(trailers), expected);
    }
    assert_eq!(seen.len(), 3);
}

/// Defence: `UpstreamBody::keep_back` and `trailers::clean_answer`.
#[test]
fn j06_no_trailer_of_an_answer_gives_a_stored_credential_away() {
    let mark = random_base62(12, &SystemEntropy);
    let told = fields(&[
        ("grpc-status", "0"),
        ("x-mark", &mark),
        ("x-echo", &format!("you sent {KEY} to me")),
        ("location", "https://evil.example"),
        ("set-cookie", "a=b"),
        ("content-length", "7"),
    ]);
    let (doorward, key, _) = start(told);
    let head = [("x-api-key", key.as_str()), ("x-order", "1")];
    let (status, trailers) = send(doorward.gateway(), "/judged", &head, HeaderMap::new());
    assert_eq!(status, 200);
    assert_eq!(names(&trailers), ["grpc-status", "x-mark"]);
    assert_eq!(trailers["x-mark"], mark.as_str());
    assert!(!doorward.log().contains(KEY));
}
