//! Upstreams: pooling, balancing, failure, retries.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway::{LocalService, Locals, Options};
use http::{Request, Response};
use registry::api::UpstreamMeaning;
use verdict::permit::Admitted;

use crate::harness::{
    Answer, Door, PUBLIC, Upstream, api, by_key, field, open_api, plain_listener, pool, route,
};

#[tokio::test]
async fn connections_to_an_upstream_are_kept_and_used_again() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    for _ in 0..20 {
        assert_eq!(door.get("/x", "connection: close\r\n").await.status(), 200);
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn e04_a_connection_with_something_left_over_is_not_used_again() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    upstream.will_answer(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
    );
    assert_eq!(
        door.get("/first", "connection: close\r\n").await.body(),
        "ok"
    );
    let second = door.get("/second", "connection: close\r\n").await;
    assert_eq!(second.body(), "ok", "another's answer: {second:?}");
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn e04_an_answer_that_the_caller_abandons_takes_its_connection_along() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    upstream.will_answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    let half = door.get("/first", "").await;
    assert_eq!(half.body(), "half");
    assert_eq!(
        door.get("/second", "connection: close\r\n").await.body(),
        "ok"
    );
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_call_that_may_be_repeated_survives_a_broken_connection_and_a_post_does_not() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    upstream.will_answer("BREAK");
    assert_eq!(door.get("/x", "").await.status(), 200, "tried again");
    assert_eq!(upstream.seen().len(), 2);
    upstream.will_answer("BREAK");
    let post = door
        .send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    assert_eq!(
        (post.status(), post.code().as_str()),
        (502, "upstream-broken")
    );
    assert_eq!(upstream.seen().len(), 3, "not sent twice");
}

#[tokio::test]
async fn retries_add_a_fifth_at_most_to_servers_in_trouble() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    for _ in 0..1000 {
        upstream.will_answer("BREAK");
    }
    for _ in 0..200 {
        assert_eq!(door.get("/x", "connection: close\r\n").await.status(), 502);
    }
    let sent = upstream.seen().len();
    // 200 calls, 20 retries in store, and a fifth of a retry per call.
    assert!((200..=200 + 20 + 40).contains(&sent), "{sent}");
}

#[tokio::test]
async fn silence_is_504_and_nobody_there_is_502() {
    let upstream = Upstream::start().await;
    let mut orders = open_api(upstream.at);
    let mut impatient = pool(&[upstream.at]);
    impatient.response_timeout = Duration::from_millis(200);
    orders.upstream = UpstreamMeaning::Pool(impatient);
    let door = Door::open(vec![orders]);
    upstream.will_answer("SILENCE");
    let silent = door.get("/x", "").await;
    assert_eq!(
        (silent.status(), silent.code().as_str()),
        (504, "upstream-timeout")
    );
    upstream.die();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let gone = door.get("/x", "").await;
    assert_eq!(
        (gone.status(), gone.code().as_str()),
        (502, "upstream-unavailable")
    );
    assert!(
        !gone.0.contains(&upstream.at.port().to_string()),
        "the place is nobody's business"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_three_upstreams_loses_no_call_that_may_be_repeated() {
    let upstreams = [
        Upstream::start().await,
        Upstream::start().await,
        Upstream::start().await,
    ];
    let mut orders = open_api(upstreams[0].at);
    orders.upstream =
        UpstreamMeaning::Pool(pool(&[upstreams[0].at, upstreams[1].at, upstreams[2].at]));
    let door = Arc::new(Door::open(vec![orders]));
    let mut callers = Vec::new();
    for _ in 0..8 {
        let door = door.clone();
        callers.push(tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = tokio::net::TcpStream::connect(door.at)
                .await
                .expect("listens");
            let mut lost = 0;
            for _ in 0..250 {
                stream
                    .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
                    .await
                    .expect("written");
                let mut held = Vec::new();
                while !held.ends_with(b"\r\n\r\nok") && !held.ends_with(b"}") {
                    let mut buffer = [0; 4096];
                    let n = stream.read(&mut buffer).await.expect("read");
                    assert!(n > 0, "the connection was closed");
                    held.extend_from_slice(&buffer[..n]);
                }
                lost += u32::from(!held.starts_with(b"HTTP/1.1 200"));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            lost
        }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    upstreams[1].die();
    let mut lost = 0;
    for caller in callers {
        lost += caller.await.expect("no panic");
    }
    assert_eq!(lost, 0);
    let calls: Vec<usize> = upstreams
        .iter()
        .map(|upstream| upstream.seen().len())
        .collect();
    assert!(
        calls.iter().all(|calls| *calls > 50),
        "all had their share: {calls:?}"
    );
}

#[tokio::test]
async fn a_reload_keeps_calls_on_their_way_and_the_connections_of_unchanged_pools() {
    let upstream = Upstream::start().await;
    let door = Arc::new(Door::open(vec![open_api(upstream.at)]));
    assert_eq!(door.get("/x", "connection: close\r\n").await.status(), 200);
    upstream.will_answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
    let half = tokio::spawn({
        let door = door.clone();
        async move { door.get("/half", "").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    door.swap(vec![open_api(upstream.at)]);
    assert_eq!(
        half.await.expect("no panic").body(),
        "ha",
        "it kept what it began with"
    );
    door.swap(vec![]);
    assert_eq!(door.get("/x", "").await.status(), 404);
}

#[tokio::test]
async fn a_service_in_this_process_learns_who_calls_and_how() {
    #[derive(Clone)]
    struct Echo;
    impl tower_service::Service<Request<gateway::RequestBody>> for Echo {
        type Response = Response<http_body_util::Full<bytes::Bytes>>;
        type Error = core::convert::Infallible;
        type Future =
            core::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;
        fn poll_ready(
            &mut self,
            _: &mut core::task::Context<'_>,
        ) -> core::task::Poll<Result<(), Self::Error>> {
            core::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: Request<gateway::RequestBody>) -> Self::Future {
            Box::pin(async move {
                use http_body_util::BodyExt as _;
                let (parts, body) = request.into_parts();
                let admitted = parts.extensions.get::<Admitted>().expect("admitted");
                let who = admitted
                    .identity()
                    .map_or("nobody", |identity| identity.standing().principal.id())
                    .to_owned();
                let from = admitted.arrival().client;
                let read = body.collect().await.map(|body| body.to_bytes().len());
                let text = format!("{who} {from} {} {} {read:?}", parts.method, parts.uri);
                Ok(Response::new(http_body_util::Full::new(text.into())))
            })
        }
    }
    let mut issuer = api("issuer", UpstreamMeaning::Local("issuer"));
    issuer.base_path = "/oauth".to_owned();
    let mut token = route(&issuer, "/token", PUBLIC);
    token.body_limit = 8;
    issuer.routes = vec![token, route(&issuer, "/me", by_key())];
    let mut locals = Locals::new();
    locals.insert("issuer", LocalService::new(Echo));
    let options = Options {
        locals,
        ..Options::default()
    };
    let door = Door::with(vec![issuer], options, plain_listener());
    let key = door.facts.key("ada", &["issuer"], &[]);
    let me = door
        .get("/oauth/me?x=1", &format!("authorization: Bearer {key}\r\n"))
        .await;
    assert_eq!(me.body(), "ada 127.0.0.1 GET /oauth/me?x=1 Ok(0)");
    assert_eq!(door.get("/oauth/me", "").await.status(), 401);
    let token = "POST /oauth/token HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(
        door.send(token).await.body(),
        "nobody 127.0.0.1 POST /oauth/token Ok(5)"
    );
    let chunked = "POST /oauth/token HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n";
    assert_eq!(door.send(chunked).await.status(), 413);
}

#[tokio::test]
async fn an_api_without_its_local_service_can_not_be_prepared() {
    let door = Door::open(vec![]);
    let issuer = api("issuer", UpstreamMeaning::Local("issuer"));
    let errors = door
        .gateway
        .prepare(&[Arc::new(issuer)])
        .expect_err("nobody serves it");
    assert!(
        errors[0].to_string().contains("no service `issuer`"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn host_is_the_servers_unless_the_pool_keeps_the_callers() {
    let upstream = Upstream::start().await;
    for keep in [false, true] {
        let mut orders = open_api(upstream.at);
        let mut servers = pool(&[upstream.at]);
        servers.preserve_host = keep;
        orders.upstream = UpstreamMeaning::Pool(servers);
        let door = Door::open(vec![orders]);
        let answer: Answer = door.get("/x", "").await;
        assert_eq!(answer.status(), 200);
        let seen = upstream.seen().pop().expect("seen");
        let expected = if keep {
            "a.example".to_owned()
        } else {
            upstream.at.to_string()
        };
        assert_eq!(field(&seen, "host"), Some(expected.as_str()));
    }
}
