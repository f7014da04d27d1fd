//! Threat E2: bytes both ways, after a 101 alone, where the route allows it.

use gateway::Options;
use registry::api::UpstreamMeaning;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    Answer, Door, PUBLIC, Upstream, api, field, is_closed, open_api, plain_listener, pool,
    read_some, route,
};

const ASK: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n";

/// Answers 101 and then says everything twice.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
                let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                              upgrade: websocket\r\nsec-websocket-accept: y\r\n\r\nhello ";
                stream.write_all(answer.as_bytes()).await.expect("written");
                let mut buffer = [0; 1024];
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    for _ in 0..2 {
                        stream.write_all(&buffer[..n]).await.expect("written");
                    }
                }
            });
        }
    });
    at
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut held = Vec::new();
    while !held.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        held.push(byte[0]);
    }
    String::from_utf8_lossy(&held).into_owned()
}

fn upgradable(at: std::net::SocketAddr) -> registry::api::ApiMeaning {
    let mut live = api("live", UpstreamMeaning::Pool(pool(&[at])));
    let mut ws = route(&live, "/ws", PUBLIC);
    ws.upgrade = true;
    live.routes = vec![ws, route(&live, "/other", PUBLIC)];
    live
}

#[tokio::test]
async fn a_tunnel_opens_after_101_and_ends_when_the_node_drains() {
    let door = Door::open(vec![upgradable(echo().await)]);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    stream.write_all(ASK.as_bytes()).await.expect("written");
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.to_lowercase().contains("upgrade: websocket")
            && head.contains("sec-websocket-accept: y")
    );
    assert_eq!(read_some(&mut stream).await, "hello ");
    stream.write_all(b"ab").await.expect("written");
    assert_eq!(read_some(&mut stream).await, "abab");
    door.shutdown.cancel();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn e02_an_upgrade_is_refused_where_the_route_does_not_allow_it() {
    let upstream = Upstream::start().await;
    let door = Door::with(
        vec![upgradable(upstream.at)],
        Options::default(),
        plain_listener(),
    );
    let refused = door.send(&ASK.replace("/ws", "/other")).await;
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (400, "upgrade-refused")
    );
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn e02_without_a_101_nothing_is_tunnelled() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![upgradable(upstream.at)]);
    let mut stream = TcpStream::connect(door.at).await.expect("listens");
    // The second request must be judged as a request, not carried through to the upstream.
    let smuggle = format!("{ASK}GET /secret HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(smuggle.as_bytes()).await.expect("written");
    let text = read_some(&mut stream).await;
    assert_eq!(Answer(text.clone()).status(), 200);
    assert!(text.contains("HTTP/1.1 404"), "{text}");
    assert!(
        !upstream
            .seen()
            .iter()
            .any(|message| message.contains("/secret"))
    );
}

#[tokio::test]
async fn e02_a_101_that_nobody_asked_for_is_502() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    upstream.will_answer(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: evil\r\nconnection: upgrade\r\n\r\n",
    );
    let answer = door
        .send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(answer.status(), 502);
}

#[tokio::test]
async fn e02_the_upstream_is_offered_websocket_alone() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![upgradable(upstream.at)]);
    for offer in [
        "websocket, h2c",
        "h2c, websocket",
        "websocket\r\nupgrade: h2c",
        "websocket/13",
        "websocket,",
        "tls/1.0",
        "h2",
        "h2c-14",
        "evil",
    ] {
        let ask = ASK.replace("upgrade: websocket", &format!("upgrade: {offer}"));
        let refused = door.send(&ask).await;
        assert_eq!(
            (refused.status(), refused.code().as_str()),
            (400, "upgrade-refused"),
            "{offer}"
        );
    }
    assert!(upstream.seen().is_empty());
    // Whatever its case: what goes out is written here.
    door.send(&ASK.replace("upgrade: websocket", "upgrade: WebSocket"))
        .await;
    assert_eq!(field(&upstream.only(), "upgrade"), Some("websocket"));
}

#[tokio::test]
async fn e02_a_101_to_another_protocol_than_was_asked_for_is_502() {
    for named in [
        "upgrade: h2c\r\n",
        "upgrade: websocket, h2c\r\n",
        "upgrade: websocket\r\nupgrade: h2c\r\n",
        "",
    ] {
        let upstream = Upstream::start().await;
        let door = Door::open(vec![upgradable(upstream.at)]);
        upstream.will_answer(&format!(
            "HTTP/1.1 101 Switching Protocols\r\n{named}connection: upgrade\r\n\r\nsecret"
        ));
        let answer = door.send(ASK).await;
        assert_eq!(answer.status(), 502, "{named}");
        assert!(!answer.0.contains("secret"), "{named}");
    }
}

#[tokio::test]
async fn an_offer_of_http2_is_ignored() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let answer = door
        .get(
            "/x",
            "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        )
        .await;
    assert_eq!(answer.status(), 200);
    assert!(!upstream.only().to_lowercase().contains("h2c"));
}
