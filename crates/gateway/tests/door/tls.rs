//! TLS at the door and towards upstreams.

use std::path::Path;
use std::sync::Arc;

use gateway::{CertStore, CertificateFiles, ClientCertificates, Limits, Listener, Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use registry::api::{PoolIdentity, PoolTls, Server, UpstreamMeaning};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::harness::{Answer, Door, OK, Upstream, open_api, pool, read_some};

pub(crate) struct Ca {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
}

pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a CA"),
        }
    }

    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| {})
    }

    pub(crate) fn leaf_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Leaf {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        roots
    }
}

pub(crate) fn write(folder: &Path, name: &str, leaf: &Leaf) -> CertificateFiles {
    let files = CertificateFiles {
        chain: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    std::fs::write(&files.chain, &leaf.chain).expect("written");
    std::fs::write(&files.key, &leaf.key).expect("written");
    files
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client(ca: &Ca, alpn: &[&[u8]], own: Option<&Leaf>) -> TlsConnector {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(ca.roots());
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(leaf) => {
            let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
            let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
            let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(chain, key)
                .expect("a client certificate")
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(
    door: &Door,
    connector: &TlsConnector,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(door.at).await?;
    connector
        .connect(ServerName::try_from(name.to_owned()).expect("a name"), tcp)
        .await
}

async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> Answer {
    let request = format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    Answer(read_some(stream).await)
}

fn tls_door(apis: Vec<registry::api::ApiMeaning>, certificates: Arc<CertStore>) -> Door {
    tls_door_that(
        apis,
        certificates,
        ClientCertificates::Optional,
        Options::default(),
    )
}

pub(crate) fn tls_door_that(
    apis: Vec<registry::api::ApiMeaning>,
    certificates: Arc<CertStore>,
    client_certificates: ClientCertificates,
    options: Options,
) -> Door {
    let listener = Listener {
        name: "tls".to_owned(),
        address: ([127, 0, 0, 1], 0).into(),
        tls: Some(Tls {
            certificates,
            client_certificates,
        }),
        limits: Limits::default(),
        reuse_port: false,
    };
    Door::with(apis, options, listener)
}

fn leaf_of(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("certificates")[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn the_server_name_chooses_the_certificate_and_new_files_count_at_once() {
    let (ca, folder) = (Ca::new(), tempfile::tempdir().expect("a folder"));
    let files = [
        write(folder.path(), "one", &ca.leaf(&["one.example"])),
        write(folder.path(), "wild", &ca.leaf(&["*.two.example"])),
    ];
    let store = Arc::new(CertStore::from_files(&files).expect("good files"));
    let upstream = Upstream::start().await;
    let door = tls_door(vec![open_api(upstream.at)], store.clone());
    let connector = client(&ca, &[b"http/1.1"], None);
    for name in ["one.example", "a.two.example"] {
        let mut stream = connect(&door, &connector, name)
            .await
            .expect("a certificate for it");
        assert_eq!(ask(&mut stream, name).await.status(), 200, "{name}");
    }
    for name in ["two.example", "a.b.two.example", "three.example"] {
        assert!(
            connect(&door, &connector, name).await.is_err(),
            "{name} has no certificate"
        );
    }
    let mut old = connect(&door, &connector, "one.example")
        .await
        .expect("connected");
    let before = leaf_of(&old);
    write(folder.path(), "one", &ca.leaf(&["one.example"]));
    store.load(&files).expect("good files");
    let fresh = client(&ca, &[b"http/1.1"], None);
    let new = connect(&door, &fresh, "one.example")
        .await
        .expect("connected");
    assert_ne!(before, leaf_of(&new));
    assert_eq!(
        ask(&mut old, "one.example").await.status(),
        200,
        "the old connection lives on"
    );
    // A bad file leaves what is in service.
    std::fs::write(&files[0].chain, "nonsense").expect("written");
    assert!(store.load(&files).is_err());
    assert!(connect(&door, &fresh, "one.example").await.is_ok());
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_is_refused() {
    let (ca, folder) = (Ca::new(), tempfile::tempdir().expect("a folder"));
    let mixed = Leaf {
        chain: ca.leaf(&["a.example"]).chain,
        key: ca.leaf(&["b.example"]).key,
    };
    let files = write(folder.path(), "mixed", &mixed);
    assert!(CertStore::from_files(&[files]).is_err());
    assert!(CertStore::from_files(&[]).is_err());
}

#[tokio::test]
async fn a_host_that_the_session_is_not_for_is_421_and_the_upstream_learns_of_tls() {
    let (ca, folder) = (Ca::new(), tempfile::tempdir().expect("a folder"));
    let files = [write(
        folder.path(),
        "both",
        &ca.leaf(&["one.example", "two.example"]),
    )];
    let store = Arc::new(CertStore::from_files(&files).expect("good files"));
    let upstream = Upstream::start().await;
    let door = tls_door(vec![open_api(upstream.at)], store);
    let own = ca.leaf(&["client.example"]);
    let connector = client(&ca, &[b"http/1.1"], Some(&own));
    let mut stream = connect(&door, &connector, "one.example")
        .await
        .expect("connected");
    assert_eq!(ask(&mut stream, "one.example").await.status(), 200);
    assert_eq!(
        crate::harness::field(&upstream.only(), "x-forwarded-proto"),
        Some("https")
    );
    let misdirected = ask(&mut stream, "two.example").await;
    assert_eq!(
        (misdirected.status(), misdirected.code().as_str()),
        (421, "misdirected-request")
    );
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn alpn_chooses_http2() {
    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let (ca, folder) = (Ca::new(), tempfile::tempdir().expect("a folder"));
    let files = [write(folder.path(), "one", &ca.leaf(&["one.example"]))];
    let store = Arc::new(CertStore::from_files(&files).expect("good files"));
    let upstream = Upstream::start().await;
    let door = tls_door(vec![open_api(upstream.at)], store);
    let stream = connect(
        &door,
        &client(&ca, &[b"h2", b"http/1.1"], None),
        "one.example",
    )
    .await
    .expect("connected");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    for (host, status) in [("one.example", 200), ("two.example", 421)] {
        let request = http::Request::get(format!("https://{host}/x"))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let answer = sender.send_request(request).await.expect("answered");
        assert_eq!(answer.status().as_u16(), status, "{host}");
    }
}

/// An upstream behind TLS that answers [`OK`].
async fn tls_upstream(leaf: &Leaf) -> std::net::SocketAddr {
    tls_upstream_for(leaf, None).await
}

/// The same; with an authority, for callers that it vouches for and nobody else.
async fn tls_upstream_for(leaf: &Leaf, callers: Option<&Ca>) -> std::net::SocketAddr {
    let chain = CertificateDer::pem_slice_iter(leaf.chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match callers {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(ca.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .expect("a verifier");
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    return;
                };
                let _ = read_some(&mut stream).await;
                let _ = stream.write_all(OK.as_bytes()).await;
            });
        }
    });
    at
}

#[tokio::test]
async fn h05_an_upstream_must_prove_its_name_with_a_certificate_that_is_trusted_now() {
    let (ca, other, folder) = (Ca::new(), Ca::new(), tempfile::tempdir().expect("a folder"));
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.issuer.pem()).expect("written");
    let expired = ca.leaf_with(&["up.example"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let self_signed = {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["up.example".to_owned()]).expect("names");
        Leaf {
            chain: params.self_signed(&key).expect("signed").pem(),
            key: key.serialize_pem(),
        }
    };
    let cases = [
        ("good", ca.leaf(&["up.example"]), 200),
        ("wrong name", ca.leaf(&["down.example"]), 502),
        ("expired", expired, 502),
        ("another CA", other.leaf(&["up.example"]), 502),
        ("self-signed", self_signed, 502),
    ];
    for (what, leaf, status) in cases {
        let at = tls_upstream(&leaf).await;
        let mut servers = pool(&[at]);
        servers.tls = Some(PoolTls {
            ca_file: Some(ca_file.clone()),
            server_name: Some("up.example".to_owned()),
            identity: None,
        });
        let mut orders = open_api(at);
        orders.upstream = UpstreamMeaning::Pool(servers);
        let door = Door::open(vec![orders]);
        assert_eq!(door.get("/x", "").await.status(), status, "{what}");
    }
}

#[tokio::test]
async fn an_upstream_that_takes_the_gateway_alone_refuses_what_comes_past_it() {
    let (ca, gateways, folder) = (Ca::new(), Ca::new(), tempfile::tempdir().expect("a folder"));
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.issuer.pem()).expect("written");
    let at = tls_upstream_for(&ca.leaf(&["up.example"]), Some(&gateways)).await;
    let own = |name: &str, leaf: &Leaf| {
        let files = write(folder.path(), name, leaf);
        PoolIdentity {
            certificate_file: files.chain,
            key_file: files.key,
        }
    };
    let cases = [
        (
            "its own",
            Some(own("own", &gateways.leaf(&["gateway.example"]))),
            200,
        ),
        (
            "somebody else's",
            Some(own("else", &ca.leaf(&["gateway.example"]))),
            502,
        ),
        ("none", None, 502),
    ];
    for (what, identity, status) in cases {
        let mut servers = pool(&[at]);
        servers.tls = Some(PoolTls {
            ca_file: Some(ca_file.clone()),
            server_name: Some("up.example".to_owned()),
            identity,
        });
        let mut orders = open_api(at);
        orders.upstream = UpstreamMeaning::Pool(servers);
        let door = Door::open(vec![orders]);
        assert_eq!(door.get("/x", "").await.status(), status, "{what}");
    }
    // Straight to it, past the gateway, with everything right but the certificate.
    let tcp = TcpStream::connect(at).await.expect("connected");
    let name = ServerName::try_from("up.example").expect("a name");
    let direct = client(&ca, &[b"http/1.1"], None).connect(name, tcp).await;
    let refused = match direct {
        Err(_) => true,
        // In TLS 1.3 the server refuses after the client believes to be through.
        Ok(mut stream) => {
            let _ = stream
                .write_all(b"GET /x HTTP/1.1\r\nhost: up.example\r\n\r\n")
                .await;
            let mut answer = Vec::new();
            let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
            read.is_err() && answer.is_empty()
        }
    };
    assert!(refused);
}

#[tokio::test]
async fn h05_public_roots_do_not_trust_a_private_ca_and_bad_files_are_mistakes() {
    let ca = Ca::new();
    let at = tls_upstream(&ca.leaf(&["localhost"])).await;
    let mut servers = pool(&[at]);
    servers.servers = vec![Server {
        host: "localhost".to_owned(),
        port: at.port(),
    }];
    servers.tls = Some(PoolTls {
        ca_file: None,
        server_name: None,
        identity: None,
    });
    let mut orders = open_api(at);
    orders.upstream = UpstreamMeaning::Pool(servers.clone());
    let door = Door::open(vec![orders.clone()]);
    assert_eq!(door.get("/x", "").await.status(), 502);
    servers.tls = Some(PoolTls {
        ca_file: Some("/nowhere/ca.pem".into()),
        server_name: None,
        identity: None,
    });
    orders.upstream = UpstreamMeaning::Pool(servers);
    let errors = door
        .gateway
        .prepare(&[Arc::new(orders)])
        .expect_err("no such file");
    assert!(
        errors[0].to_string().contains("/nowhere/ca.pem"),
        "{errors:?}"
    );
}
