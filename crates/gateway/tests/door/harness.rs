//! What the tests share: a gateway on free ports, upstreams that tell what they saw, raw callers.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gateway::{Bound, Gateway, Limits, Listener, Metrics, Options};
use http::{HeaderName, Method};
use prometheus_client::registry::Registry;
use registry::api::{
    ApiMeaning, IdentityForward, PathTemplate, PoolMeaning, RouteMeaning, Segment, Server,
    UpstreamMeaning, UpstreamProtocol,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use verdict::credential::CredentialKind;
use verdict::route::{Api, ApiName, Demand, Route, RouteName, Rule, SenderRules};

use crate::facts::{Doubles, brand};

pub(crate) const PUBLIC: Demand = Demand::Public {
    pass_authorization: false,
};

pub(crate) fn by_key() -> Demand {
    Demand::OneOf(vec![vec![CredentialKind::ApiKey]])
}

/// An API `orders` on any host below `/`.
pub(crate) fn api(name: &str, upstream: UpstreamMeaning) -> ApiMeaning {
    ApiMeaning {
        judged: Arc::new(Api {
            name: ApiName::new(name),
            audiences: vec![],
            environment: proof::issued::Environment::Live,
            issuers: vec![],
            brand: brand(),
            encryption: None,
            key_headers: vec![HeaderName::from_static("x-acme-key")],
            foreign_keys: vec![],
            realm: "acme".into(),
            resource_metadata: None,
            relations: None,
            rights: Default::default(),
            certificates: None,
            signatures: Default::default(),
        }),
        hosts: vec![],
        base_path: "/".to_owned(),
        strip_base_path: false,
        upstream,
        client_authority: None,
        decryption_key_files: Vec::new(),
        identity: IdentityForward::None,
        cors: None,
        per_address: None,
        per_principal: None,
        per_application: None,
        scopes: vec![],
        token_lifetime: Duration::from_secs(600),
        token_format: registry::api::TokenFormat::Jwt,
        routes: vec![],
    }
}

/// A route of `api`, any method, 1 MiB of body.
pub(crate) fn route(api: &ApiMeaning, path: &str, demand: Demand) -> RouteMeaning {
    let segments = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(
            |text| match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
                Some(name) => match name.strip_suffix('*') {
                    Some(name) => Segment::Rest(name.to_owned()),
                    None => Segment::Parameter(name.to_owned()),
                },
                None => Segment::Literal(text.to_owned()),
            },
        )
        .collect();
    RouteMeaning {
        judged: Arc::new(Route {
            api: api.judged.clone(),
            name: RouteName::new(path),
            demand,
            rule: Rule::default(),
            sender: SenderRules::default(),
            plain_basic: false,
            signatures: None,
            webhook: None,
        }),
        methods: vec![],
        path: PathTemplate {
            written: path.to_owned(),
            segments,
        },
        body_limit: 1024 * 1024,
        response_timeout: None,
        allow_encoded_slash: false,
        upgrade: false,
        upstream_credential: true,
        unguarded: Vec::new(),
    }
}

pub(crate) fn with_methods(mut route: RouteMeaning, methods: &[Method]) -> RouteMeaning {
    route.methods = methods.to_vec();
    route
}

pub(crate) fn pool(servers: &[SocketAddr]) -> PoolMeaning {
    PoolMeaning {
        servers: servers
            .iter()
            .map(|at| Server {
                host: at.ip().to_string(),
                port: at.port(),
            })
            .collect(),
        tls: None,
        protocol: UpstreamProtocol::Auto,
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        preserve_host: false,
        credential: None,
    }
}

/// An API whose every path is public and goes to `server`.
pub(crate) fn open_api(server: SocketAddr) -> ApiMeaning {
    let mut api = api("orders", UpstreamMeaning::Pool(pool(&[server])));
    api.routes = vec![route(&api, "/{rest*}", PUBLIC), route(&api, "/", PUBLIC)];
    api
}

/// A running gateway.
pub(crate) struct Door {
    pub(crate) at: SocketAddr,
    pub(crate) gateway: Gateway<Doubles>,
    pub(crate) facts: Arc<Doubles>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub(crate) fn plain_listener() -> Listener {
    Listener {
        name: "test".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        limits: Limits::default(),
        reuse_port: false,
    }
}

impl Door {
    pub(crate) fn open(apis: Vec<ApiMeaning>) -> Self {
        Self::with(apis, Options::default(), plain_listener())
    }

    pub(crate) fn with(apis: Vec<ApiMeaning>, options: Options, listener: Listener) -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let facts = Arc::new(Doubles::default());
        let gateway = Gateway::new(facts.clone(), options, metrics);
        let apis: Vec<_> = apis.into_iter().map(Arc::new).collect();
        gateway.swap(gateway.prepare(&apis).expect("a good configuration"));
        let bound: Bound = listener.bind().expect("a free port");
        let at = bound.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn({
            let (gateway, shutdown) = (gateway.clone(), shutdown.clone());
            async move { gateway.run(vec![bound], shutdown).await }
        });
        Self {
            at,
            gateway,
            facts,
            registry: Arc::new(registry),
            shutdown,
            running,
        }
    }

    pub(crate) fn swap(&self, apis: Vec<ApiMeaning>) {
        let apis: Vec<_> = apis.into_iter().map(Arc::new).collect();
        self.gateway
            .swap(self.gateway.prepare(&apis).expect("a good configuration"));
    }

    /// Sends bytes and reads until the connection ends or is silent for a while.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.at)
            .await
            .expect("the gateway listens");
        stream.write_all(bytes.as_ref()).await.expect("written");
        read_some(&mut stream).await
    }

    /// `GET path` with further header lines.
    pub(crate) async fn get(&self, path: &str, lines: &str) -> Answer {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: a.example\r\n{lines}\r\n"
        ))
        .await
    }

    /// Sends a request and reads one answer.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        Answer(self.raw(request).await)
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encodes");
        text
    }
}

/// Reads until the end or 300 ms of silence after something came (3 s before).
pub(crate) async fn read_some(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let patience = Duration::from_millis(if all.is_empty() { 3000 } else { 300 });
        match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0)) | Err(_) => break,
            Ok(Ok(n)) => all.extend_from_slice(&buffer[..n]),
            Ok(Err(_)) => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Whether the other side has closed, within a second.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1024];
    let closed = async {
        loop {
            match stream.read(&mut byte).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(1), closed)
        .await
        .is_ok()
}

/// An answer as text.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        let status = self
            .0
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {:?}", self.0))
    }
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
    pub(crate) fn body(&self) -> &str {
        self.0
            .split_once("\r\n\r\n")
            .map(|(_, body)| body)
            .unwrap_or_default()
    }
    /// The problem's code.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(self.body())
            .unwrap_or_else(|_| panic!("no problem document: {}", self.0));
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// An upstream that keeps the bytes it was sent and answers from a script.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) at: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<String>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let upstream = Self {
            at: listener.local_addr().expect("bound"),
            seen: Arc::default(),
            answers: Arc::default(),
            connections: Arc::default(),
            stop: CancellationToken::new(),
        };
        let mine = upstream.clone();
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = mine.stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { return };
                mine.connections.fetch_add(1, Ordering::SeqCst);
                let mine = mine.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = mine.stop.cancelled() => {}
                        () = mine.serve(stream) => {}
                    }
                });
            }
        });
        upstream
    }

    /// The next answer, instead of [`OK`].
    pub(crate) fn will_answer(&self, answer: &str) {
        self.answers
            .lock()
            .expect("lock")
            .push_back(answer.to_owned());
    }

    /// Stops listening and breaks every connection.
    pub(crate) fn die(&self) {
        self.stop.cancel();
    }

    /// The requests that came, heads and bodies.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("lock").clone()
    }

    /// The one request that came.
    pub(crate) fn only(&self) -> String {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut held = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Some(length) = message_length(&held) else {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => {
                        if !held.is_empty() {
                            let partial = String::from_utf8_lossy(&held).into_owned();
                            self.seen
                                .lock()
                                .expect("lock")
                                .push(format!("PARTIAL {partial}"));
                        }
                        return;
                    }
                    Ok(n) => held.extend_from_slice(&buffer[..n]),
                }
                continue;
            };
            let rest = held.split_off(length);
            let message = String::from_utf8_lossy(&held).into_owned();
            held = rest;
            self.seen.lock().expect("lock").push(message);
            let answer = self.answers.lock().expect("lock").pop_front();
            let answer = answer.unwrap_or_else(|| OK.to_owned());
            if answer == "SILENCE" {
                core::future::pending::<()>().await;
            }
            if answer == "BREAK" || stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// How long the message at the start of `bytes` is, if it is complete.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        return text[head..].find("0\r\n\r\n").map(|end| head + end + 5);
    }
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

/// The value of a field in a request that an upstream saw.
pub(crate) fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
