//! Clients' certificates at the door: whose they are, and that they stay with their connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use gateway::{CertStore, ClientCertificates, LocalService, Locals, Options, TrustedProxies};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proof::x509;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use registry::api::UpstreamMeaning;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use verdict::permit::Admitted;

use crate::harness::{Door, PUBLIC, api, route};
use crate::tls::{Ca, Leaf, connect, provider, tls_door_that, write};

const HOST: &str = "door.example";
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// A service that tells which certificate came with the call, and how many after it.
#[derive(Clone)]
struct Whose;

impl tower_service::Service<Request<gateway::RequestBody>> for Whose {
    type Response = Response<Full<Bytes>>;
    type Error = core::convert::Infallible;
    type Future = core::future::Ready<Result<Self::Response, Self::Error>>;
    fn poll_ready(
        &mut self,
        _: &mut core::task::Context<'_>,
    ) -> core::task::Poll<Result<(), Self::Error>> {
        core::task::Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: Request<gateway::RequestBody>) -> Self::Future {
        let admitted = request.extensions().get::<Admitted>().expect("admitted");
        let tls = admitted.arrival().tls.as_ref().expect("over TLS");
        let text = match &tls.peer_certificate {
            None => "none".to_owned(),
            Some(shown) => format!("{} {}", shown.thumbprint(), tls.peer_intermediates.len()),
        };
        core::future::ready(Ok(Response::new(Full::new(text.into()))))
    }
}

struct World {
    ca: Ca,
    door: Door,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(asks: ClientCertificates) -> Self {
        Self::with(asks, TrustedProxies::default())
    }

    fn with(asks: ClientCertificates, proxies: TrustedProxies) -> Self {
        let (ca, folder) = (Ca::new(), tempfile::tempdir().expect("a folder"));
        let files = [write(folder.path(), "door", &ca.leaf(&[HOST]))];
        let store = Arc::new(CertStore::from_files(&files).expect("good files"));
        let mut whose = api("whose", UpstreamMeaning::Local("whose"));
        whose.routes = vec![route(&whose, "/x", PUBLIC)];
        let mut locals = Locals::new();
        locals.insert("whose", LocalService::new(Whose));
        let options = Options {
            locals,
            proxies,
            ..Options::default()
        };
        let door = tls_door_that(vec![whose], store, asks, options);
        Self {
            ca,
            door,
            _folder: folder,
        }
    }

    /// A client of one TLS and one HTTP version that keeps its sessions.
    fn client(
        &self,
        tls: &'static SupportedProtocolVersion,
        alpn: &[u8],
        own: Option<&Leaf>,
    ) -> TlsConnector {
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[tls])
            .expect("a version")
            .with_root_certificates(self.ca.roots());
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder
                .with_client_auth_cert(chain(leaf), key(leaf))
                .expect("a client certificate"),
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::in_memory_sessions(16);
        TlsConnector::from(Arc::new(config))
    }

    /// Connects and asks whose certificate came, `times` times on the one connection.
    async fn ask(&self, client: &TlsConnector, lines: &[(&str, &str)]) -> std::io::Result<Told> {
        let stream = connect(&self.door, client, HOST).await?;
        let session = &stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let http2 = session.alpn_protocol() == Some(HTTP2);
        let mut answers = BTreeSet::new();
        for answer in converse(stream, http2, lines).await? {
            answers.insert(answer);
        }
        assert_eq!(answers.len(), 1, "one connection, one certificate");
        Ok(Told {
            whose: answers.pop_first().unwrap_or_default(),
            resumed,
        })
    }
}

#[derive(Debug)]
struct Told {
    whose: String,
    resumed: bool,
}

async fn converse(
    stream: TlsStream<TcpStream>,
    http2: bool,
    lines: &[(&str, &str)],
) -> std::io::Result<Vec<String>> {
    let bad = |error: hyper::Error| std::io::Error::other(error);
    let request = || {
        let uri = if http2 {
            format!("https://{HOST}/x")
        } else {
            "/x".to_owned()
        };
        let mut request = Request::get(uri);
        if !http2 {
            request = request.header("host", HOST);
        }
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(Empty::<Bytes>::new()).expect("a request")
    };
    let mut answers = Vec::new();
    let io = TokioIo::new(stream);
    if http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(bad)?;
        tokio::spawn(connection);
        for _ in 0..2 {
            let answer = sender.send_request(request()).await.map_err(bad)?;
            answers.push(text(answer).await);
        }
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(bad)?;
        tokio::spawn(connection);
        for _ in 0..2 {
            sender.ready().await.map_err(bad)?;
            let answer = sender.send_request(request()).await.map_err(bad)?;
            answers.push(text(answer).await);
        }
    }
    Ok(answers)
}

async fn text(answer: Response<hyper::body::Incoming>) -> String {
    let bytes = answer
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn chain(leaf: &Leaf) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(leaf.chain.as_bytes())
        .collect::<Result<_, _>>()
        .expect("a chain")
}

fn key(leaf: &Leaf) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key")
}

fn named(leaf: &Leaf) -> String {
    let chain = chain(leaf);
    format!("{} {}", x509::thumbprint(&chain[0]), chain.len() - 1)
}

#[tokio::test]
async fn a_client_s_certificate_reaches_its_calls_and_a_resumed_session_keeps_it() {
    let world = World::new(ClientCertificates::Optional);
    // Self-signed: the handshake proves possession, and trust is judged elsewhere.
    let ada = {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["ada.example".to_owned()]).expect("names");
        Leaf {
            chain: params.self_signed(&key).expect("signed").pem(),
            key: key.serialize_pem(),
        }
    };
    for tls in VERSIONS {
        for alpn in [HTTP1, HTTP2] {
            let case = format!("{tls:?} {}", String::from_utf8_lossy(alpn));
            let client = world.client(tls, alpn, Some(&ada));
            let first = world.ask(&client, &[]).await.expect("answered");
            assert_eq!((first.whose, first.resumed), (named(&ada), false), "{case}");
            let again = world.ask(&client, &[]).await.expect("answered");
            assert_eq!((again.whose, again.resumed), (named(&ada), true), "{case}");

            let nobody = world.client(tls, alpn, None);
            for _ in 0..2 {
                let told = world.ask(&nobody, &[]).await.expect("answered");
                assert_eq!(told.whose, "none", "{case}");
            }
        }
    }
}

#[tokio::test]
async fn the_certificates_that_vouch_for_a_client_s_come_along_but_not_too_many() {
    let world = World::new(ClientCertificates::Optional);
    let mut params = CertificateParams::new(vec![]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let between = CertifiedIssuer::signed_by(
        params,
        KeyPair::generate().expect("a key"),
        &world.ca.issuer,
    )
    .expect("signed");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["ada.example".to_owned()])
        .expect("names")
        .signed_by(&key, &between)
        .expect("signed");
    for (intermediates, taken) in [
        (0, true),
        (2, true),
        (x509::MAX_INTERMEDIATES, true),
        (x509::MAX_INTERMEDIATES + 1, false),
    ] {
        let own = Leaf {
            chain: leaf.pem() + &between.pem().repeat(intermediates),
            key: key.serialize_pem(),
        };
        for tls in VERSIONS {
            let told = world.ask(&world.client(tls, HTTP1, Some(&own)), &[]).await;
            let whose = told.ok().map(|told| told.whose);
            assert_eq!(whose, taken.then(|| named(&own)), "{intermediates}");
        }
    }
}

#[tokio::test]
async fn h05_a_certificate_without_its_key_opens_nothing() {
    #[derive(Debug)]
    struct Stolen(Arc<rustls::sign::CertifiedKey>);
    impl rustls::client::ResolvesClientCert for Stolen {
        fn resolve(
            &self,
            _: &[&[u8]],
            _: &[rustls::SignatureScheme],
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(self.0.clone())
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let world = World::new(ClientCertificates::Optional);
    let (ada, eve) = (
        world.ca.leaf(&["ada.example"]),
        world.ca.leaf(&["eve.example"]),
    );
    for tls in VERSIONS {
        let signer = provider()
            .key_provider
            .load_private_key(key(&eve))
            .expect("a key");
        let stolen = rustls::sign::CertifiedKey::new(chain(&ada), signer);
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[tls])
            .expect("a version")
            .with_root_certificates(world.ca.roots())
            .with_client_cert_resolver(Arc::new(Stolen(Arc::new(stolen))));
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let client = TlsConnector::from(Arc::new(config));
        assert!(world.ask(&client, &[]).await.is_err(), "{tls:?}");
    }
}

#[tokio::test]
async fn a_listener_asks_for_certificates_as_its_settings_say() {
    for asks in ClientCertificates::ALL {
        let world = World::new(asks);
        let ada = world.ca.leaf(&["ada.example"]);
        for tls in VERSIONS {
            let with = world.ask(&world.client(tls, HTTP1, Some(&ada)), &[]).await;
            let without = world.ask(&world.client(tls, HTTP1, None), &[]).await;
            let whose = |told: std::io::Result<Told>| told.ok().map(|told| told.whose);
            let none = || Some("none".to_owned());
            let expected = match asks {
                ClientCertificates::Off => (none(), none()),
                ClientCertificates::Optional => (Some(named(&ada)), none()),
                ClientCertificates::Required => (Some(named(&ada)), None),
            };
            assert_eq!((whose(with), whose(without)), expected, "{asks:?} {tls:?}");
        }
    }
}

#[tokio::test]
async fn e04_certificates_of_connections_at_once_are_never_mixed() {
    let world = Arc::new(World::new(ClientCertificates::Optional));
    let leaves: Vec<Arc<Leaf>> = (0..8)
        .map(|n| Arc::new(world.ca.leaf(&[&format!("c{n}.example")])))
        .collect();
    let mut asking = tokio::task::JoinSet::new();
    for (n, leaf) in leaves.iter().enumerate() {
        let (world, leaf) = (world.clone(), leaf.clone());
        asking.spawn(async move {
            let alpn = if n % 2 == 0 { HTTP1 } else { HTTP2 };
            let client = world.client(VERSIONS[n / 2 % 2], alpn, Some(&leaf));
            let nobody = world.client(VERSIONS[n / 2 % 2], alpn, None);
            for _ in 0..4 {
                let told = world.ask(&client, &[]).await.expect("answered");
                assert_eq!(told.whose, named(&leaf));
                let told = world.ask(&nobody, &[]).await.expect("answered");
                assert_eq!(told.whose, "none");
            }
        });
    }
    while let Some(done) = asking.join_next().await {
        done.expect("each saw its own");
    }
}

#[tokio::test]
async fn b02_a_listed_proxy_s_certificate_is_not_the_one_of_those_it_speaks_for() {
    let proxies = TrustedProxies::new(["127.0.0.0/8".parse().expect("a network")]);
    let world = World::with(ClientCertificates::Optional, proxies);
    let proxy = world.ca.leaf(&["proxy.example"]);
    let client = world.client(&version::TLS13, HTTP1, Some(&proxy));
    for (lines, whose) in [
        (&[][..], named(&proxy)),
        (&[("x-forwarded-for", "192.0.2.9")], "none".to_owned()),
        (&[("forwarded", "for=192.0.2.9")], "none".to_owned()),
        (&[("x-forwarded-proto", "https")], "none".to_owned()),
        (&[("x-forwarded-host", HOST)], "none".to_owned()),
        // A certificate in a header is nobody's word.
        (
            &[("x-forwarded-for", "192.0.2.9"), ("client-cert", ":AAAA:")],
            "none".to_owned(),
        ),
    ] {
        let told = world.ask(&client, lines).await.expect("answered");
        assert_eq!(told.whose, whose, "{lines:?}");
    }
}
