//! The listener for operators, the decision log, the metrics.

use core::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::{Ops, Options};
use registry::api::UpstreamMeaning;
use registry::record::Decision;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Answer, Door, PUBLIC, Upstream, api, by_key, open_api, plain_listener, pool, read_some, route,
};

async fn ask(at: SocketAddr, request: &str) -> Answer {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(at).await.expect("listens");
    stream.write_all(request.as_bytes()).await.expect("written");
    Answer(read_some(&mut stream).await)
}

#[tokio::test]
async fn b04_health_and_metrics_live_on_a_listener_of_their_own() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let ready = Arc::new(AtomicBool::new(true));
    let ops = Ops {
        registry: door.registry.clone(),
        ready: {
            let ready = ready.clone();
            Arc::new(move || {
                if ready.load(Ordering::SeqCst) {
                    Ok(())
                } else {
                    Err("the store is away".into())
                }
            })
        },
    };
    let socket = Ops::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let at = socket.local_addr().expect("bound");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(ops.run(socket, shutdown.clone()));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(ask(at, &get("/healthz")).await.status(), 200);
    assert_eq!(ask(at, &get("/readyz")).await.status(), 200);
    ready.store(false, Ordering::SeqCst);
    let away = ask(at, &get("/readyz")).await;
    assert_eq!(
        (away.status(), away.body()),
        (503, "not ready: the store is away\n")
    );
    assert_eq!(
        ask(
            at,
            "POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
        )
        .await
        .status(),
        405
    );
    assert_eq!(ask(at, &get("/x")).await.status(), 404);
    assert_eq!(door.get("/x", "").await.status(), 200);
    let page = ask(at, &get("/metrics")).await;
    assert!(
        page.field("content-type")
            .is_some_and(|kind| kind.contains("openmetrics-text"))
    );
    let line = "doorward_calls_total{api=\"orders\",route=\"/{rest*}\",class=\"2xx\"} 1";
    assert!(page.body().contains(line), "{}", page.body());
    // On the data listener the same paths are ordinary ones.
    let seen = upstream.seen().len();
    assert_eq!(door.get("/healthz", "").await.body(), "ok");
    assert_eq!(upstream.seen().len(), seen + 1);
    shutdown.cancel();
    running.await.expect("ran");
}

#[tokio::test]
async fn every_call_leaves_one_decision_and_a_full_queue_drops_and_counts() {
    let upstream = Upstream::start().await;
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.routes = vec![
        route(&orders, "/open", PUBLIC),
        route(&orders, "/{rest*}", by_key()),
    ];
    let (decisions, mut log) = tokio::sync::mpsc::channel::<Decision>(3);
    let options = Options {
        decisions: Arc::new(decisions),
        ..Options::default()
    };
    let door = Door::with(vec![orders], options, plain_listener());
    let key = door.facts.key("ada", &["orders"], &[]);
    let passed = door
        .get("/x?secret=1", &format!("authorization: Bearer {key}\r\n"))
        .await;
    door.get("/x", "authorization: Bearer junk\r\n").await;
    door.get("/a/../b", "").await;
    for _ in 0..4 {
        door.get("/open", "").await;
    }
    let entry = log.recv().await.expect("recorded");
    assert_eq!(
        &*entry.request_id,
        passed.field("doorward-request-id").expect("an id")
    );
    assert_eq!((entry.v, &*entry.decision, entry.status), (1, "allow", 200));
    assert_eq!(
        (&*entry.method, entry.path.as_str()),
        ("GET", "/x"),
        "no query"
    );
    assert_eq!(
        (entry.api.as_deref(), entry.route.as_deref()),
        (Some("orders"), Some("/{rest*}"))
    );
    assert_eq!(entry.principal.as_deref(), Some("service:ada"));
    assert_eq!(entry.credential.as_deref(), Some("key_ada"));
    assert_eq!(entry.credential_kind.as_deref(), Some("api_key"));
    let entry = log.recv().await.expect("recorded");
    assert_eq!((&*entry.decision, entry.status), ("deny", 401));
    assert_eq!(entry.code.as_deref(), Some("credential-refused"));
    let entry = log.recv().await.expect("recorded");
    assert_eq!(
        (entry.code.as_deref(), entry.api),
        (Some("unclean-target"), None)
    );
    assert!(
        door.metrics()
            .contains("doorward_decision_log_dropped_total 4"),
        "{}",
        door.metrics()
    );
    assert!(
        door.metrics()
            .contains("doorward_refusals_total{code=\"credential-refused\"} 1")
    );
}
