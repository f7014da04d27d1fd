use core::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certification authority of its own.
pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::only_pem(self.pem.as_bytes()).unwrap()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// A server's settings with a certificate for `name`, as `shape` leaves it.
    pub(crate) fn server(
        &self,
        name: &str,
        shape: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        shape(&mut params);
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        server_config(certificate.der().clone(), &key)
    }

    /// The same for a server that demands a certificate of this authority.
    pub(crate) fn server_for_its_own(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self.certificate(name);
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }

    /// A certificate for `name` and its key.
    pub(crate) fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        (certificate, key)
    }

    fn crl_pem(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer())
        .unwrap()
        .pem()
        .unwrap()
    }
}

fn server_config(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: &KeyPair,
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// A server on loopback that answers every request with the same bytes and closes. Ends with the
/// test's runtime.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) answer: Arc<Mutex<Vec<u8>>>,
    pub(crate) requests: Arc<AtomicUsize>,
    pub(crate) last: Arc<Mutex<String>>,
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Server {
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            answer: Arc::new(Mutex::new(answer)),
            requests: Arc::default(),
            last: Arc::default(),
        };
        let (answer, requests, last) = (
            Arc::clone(&server.answer),
            Arc::clone(&server.requests),
            Arc::clone(&server.last),
        );
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (answer, requests, last, tls) = (
                    Arc::clone(&answer),
                    Arc::clone(&requests),
                    Arc::clone(&last),
                    tls.clone(),
                );
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
                            Ok(stream) => serve(stream, &answer, &requests, &last).await,
                            Err(_refused) => {}
                        },
                        None => serve(stream, &answer, &requests, &last).await,
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self, host: &str) -> Url {
        Url::parse(&format!("https://{host}:{}/keys?a=b", self.port)).unwrap()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &Mutex<Vec<u8>>,
    requests: &AtomicUsize,
    last: &Mutex<String>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8(request).unwrap();
    let announced = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; announced];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    requests.fetch_add(1, Ordering::SeqCst);
    *last.lock() = text + &String::from_utf8_lossy(&body);
    let answer = answer.lock().clone();
    // An empty answer stands for a server that hangs.
    if answer.is_empty() {
        core::future::pending::<()>().await;
    }
    // The client may hang up in the middle: that is what some tests are about.
    let _written = stream.write_all(&answer).await;
    let _closed = stream.shutdown().await;
}

/// A resolver that knows one answer, and counts.
#[derive(Default)]
pub(crate) struct Fixed {
    addresses: Vec<IpAddr>,
    asked: AtomicUsize,
}

impl Resolve for Fixed {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(core::future::ready(Ok(self.addresses.clone())))
    }
}

pub(crate) fn resolving_to(addresses: &[&str]) -> Arc<Fixed> {
    let addresses = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    Arc::new(Fixed {
        addresses,
        asked: AtomicUsize::new(0),
    })
}

pub(crate) fn loopback_listed(trust: Trust) -> FetchOptions {
    FetchOptions {
        trust,
        listed: vec!["127.0.0.0/8".parse().unwrap()],
        total_time: Duration::from_secs(3),
        ..FetchOptions::default()
    }
}

async fn fetch(options: FetchOptions, url: &Url) -> Result<Bytes, FetchError> {
    Fetcher::with_resolver(options, resolving_to(&["127.0.0.1"]))
        .unwrap()
        .get(url, "*/*")
        .await
}

#[tokio::test]
async fn a_document_is_fetched_over_tls() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("keys.example", |_| ())), ok("hello")).await;
    let fetcher = Fetcher::with_resolver(
        loopback_listed(authority.trust()),
        resolving_to(&["127.0.0.1"]),
    )
    .unwrap();
    let body = fetcher
        .get(&server.url("keys.example"), "application/json")
        .await
        .unwrap();
    assert_eq!(body, "hello");
    let request = server.last.lock().to_ascii_lowercase();
    assert!(
        request.starts_with("get /keys?a=b http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("\r\nhost: keys.example:{}\r\n", server.port)),
        "{request}"
    );
    assert!(
        request.contains("\r\naccept: application/json\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn c08_plain_http_carries_signed_answers_alone_and_to_addresses_that_may_be_called() {
    let server = Server::start(None, ok("signed")).await;
    let url = Url::parse(&format!("http://ocsp.example:{}/", server.port)).unwrap();
    let inquiry = || Inquiry {
        body: Bytes::from_static(b"?"),
        content_type: "application/ocsp-request",
        accept: "application/ocsp-response",
        within: Duration::from_secs(3),
        max_bytes: 6,
    };
    let resolver = || resolving_to(&["127.0.0.1"]);
    let listed = Fetcher::with_resolver(loopback_listed(Trust::public()), resolver()).unwrap();
    assert_eq!(listed.inquire(&url, inquiry()).await.unwrap(), "signed");
    let request = server.last.lock().to_ascii_lowercase();
    for line in [
        "post / http/1.1\r\n",
        "\r\ncontent-type: application/ocsp-request\r\n",
        "\r\naccept: application/ocsp-response\r\n",
        "\r\ncontent-length: 1\r\n",
        "\r\n\r\n?",
    ] {
        assert!(request.contains(line), "{line:?} in {request}");
    }
    let failure = |result: Result<Bytes, FetchError>| result.unwrap_err().failure.code();
    let short = Inquiry {
        max_bytes: 5,
        ..inquiry()
    };
    assert_eq!(
        failure(listed.inquire(&url, short).await),
        "fetch-too-large"
    );
    assert_eq!(failure(listed.get(&url, "*/*").await), "fetch-scheme");
    let unlisted = Fetcher::with_resolver(FetchOptions::default(), resolver()).unwrap();
    assert_eq!(
        failure(unlisted.inquire(&url, inquiry()).await),
        "fetch-address"
    );
    let development = FetchOptions {
        allow_insecure_loopback: true,
        ..FetchOptions::default()
    };
    let development = Fetcher::with_resolver(development, resolver()).unwrap();
    assert!(development.inquire(&url, inquiry()).await.is_ok());
}

#[tokio::test]
async fn h05_a_certificate_that_does_not_hold_ends_the_fetch() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let self_signed = {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["keys.example".to_owned()]).unwrap();
        server_config(params.self_signed(&key).unwrap().der().clone(), &key)
    };
    let cases = [
        ("self-signed", self_signed, authority.trust()),
        (
            "another authority",
            stranger.server("keys.example", |_| ()),
            authority.trust(),
        ),
        (
            "private authority under public roots",
            authority.server("keys.example", |_| ()),
            Trust::public(),
        ),
        (
            "wrong name",
            authority.server("other.example", |_| ()),
            authority.trust(),
        ),
        (
            "expired",
            authority.server("keys.example", |params| {
                params.not_after = date_time_ymd(2020, 1, 1)
            }),
            authority.trust(),
        ),
        (
            "not valid yet",
            authority.server("keys.example", |params| {
                params.not_before = date_time_ymd(2100, 1, 1)
            }),
            authority.trust(),
        ),
        (
            "revoked",
            authority.server("keys.example", |params| {
                params.serial_number = Some(7_u64.into())
            }),
            authority
                .trust()
                .with_crls_pem(authority.crl_pem(&[7]).as_bytes())
                .unwrap(),
        ),
        (
            "an issuer without a revocation list",
            authority.server("keys.example", |_| ()),
            authority
                .trust()
                .with_crls_pem(stranger_crl().as_bytes())
                .unwrap(),
        ),
    ];
    for (case, tls, trust) in cases {
        let server = Server::start(Some(tls), ok("secret")).await;
        let refused = fetch(loopback_listed(trust), &server.url("keys.example"))
            .await
            .unwrap_err();
        assert_eq!(refused.failure.code(), "fetch-tls", "{case}: {refused}");
        assert!(
            refused.to_string().contains("https://keys.example"),
            "{case}: {refused}"
        );
        assert_eq!(
            server.requests.load(Ordering::SeqCst),
            0,
            "{case}: the request was sent"
        );
    }
}

fn stranger_crl() -> String {
    let mut stranger = Authority::new();
    stranger
        .params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "stranger");
    stranger.crl_pem(&[1])
}

#[tokio::test]
async fn a_certificate_that_is_not_on_the_list_passes() {
    let authority = Authority::new();
    let tls = authority.server("keys.example", |params| {
        params.serial_number = Some(8_u64.into())
    });
    let server = Server::start(Some(tls), ok("fine")).await;
    let trust = authority
        .trust()
        .with_crls_pem(authority.crl_pem(&[7]).as_bytes())
        .unwrap();
    assert_eq!(
        fetch(loopback_listed(trust), &server.url("keys.example"))
            .await
            .unwrap(),
        "fine"
    );
}

#[tokio::test]
async fn c08_addresses_that_are_not_public_or_listed_are_never_connected_to() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("keys.example", |_| ())), ok("inside")).await;
    let options = || FetchOptions {
        trust: authority.trust(),
        ..FetchOptions::default()
    };
    for address in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
    ] {
        let fetcher = Fetcher::with_resolver(options(), resolving_to(&[address])).unwrap();
        let refused = fetcher
            .get(&server.url("keys.example"), "*/*")
            .await
            .unwrap_err();
        assert_eq!(
            refused.failure.code(),
            "fetch-address",
            "{address}: {refused}"
        );
        assert!(refused.to_string().contains(address), "{refused}");
    }
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0x7f.1",
        "2130706433",
    ] {
        let refused = fetch(options(), &server.url(host)).await.unwrap_err();
        assert_eq!(refused.failure.code(), "fetch-address", "{host}: {refused}");
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn c08_the_name_is_resolved_once_and_the_checked_address_is_the_one_that_is_called() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("keys.example", |_| ())), ok("pinned")).await;
    // The refused address stands first: it must be passed over, not fallen back to.
    let resolver = resolving_to(&["169.254.169.254", "127.0.0.1"]);
    let fetcher = Fetcher::with_resolver(
        loopback_listed(authority.trust()),
        Arc::clone(&resolver) as Arc<dyn Resolve>,
    )
    .unwrap();
    assert_eq!(
        fetcher
            .get(&server.url("keys.example"), "*/*")
            .await
            .unwrap(),
        "pinned"
    );
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn c08_a_redirect_is_a_failure_and_is_not_followed() {
    let authority = Authority::new();
    let target = Server::start(Some(authority.server("keys.example", |_| ())), ok("moved")).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            target.url("keys.example")
        );
        let server = Server::start(
            Some(authority.server("keys.example", |_| ())),
            answer.into(),
        )
        .await;
        let refused = fetch(
            loopback_listed(authority.trust()),
            &server.url("keys.example"),
        )
        .await
        .unwrap_err();
        assert_eq!(refused.failure.code(), "fetch-status", "{refused}");
    }
    assert_eq!(target.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn c08_size_and_time_are_bounded() {
    let authority = Authority::new();
    let large = "x".repeat(2000);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{large}\r\n0\r\n\r\n");
    let lying = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_owned();
    let compressed =
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx".to_owned();
    for (answer, code) in [
        (ok(&large), "fetch-too-large"),
        (chunked.into(), "fetch-too-large"),
        (lying.into(), "fetch-too-large"),
        (compressed.into(), "fetch-encoded"),
        (b"garbage\r\n\r\n".to_vec(), "fetch-http"),
        (
            b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec(),
            "fetch-status",
        ),
        (Vec::new(), "fetch-time"),
    ] {
        let server = Server::start(Some(authority.server("keys.example", |_| ())), answer).await;
        let options = FetchOptions {
            max_bytes: 1000,
            total_time: Duration::from_millis(700),
            ..loopback_listed(authority.trust())
        };
        let refused = fetch(options, &server.url("keys.example"))
            .await
            .unwrap_err();
        assert_eq!(refused.failure.code(), code, "{refused}");
    }
}

#[tokio::test]
async fn plain_http_is_for_loopback_in_development_alone() {
    let server = Server::start(None, ok("plain")).await;
    let url = Url::parse(&format!("http://127.0.0.1:{}/", server.port)).unwrap();
    let refused = fetch(loopback_listed(Trust::public()), &url)
        .await
        .unwrap_err();
    assert_eq!(refused.failure.code(), "fetch-scheme");
    let development = || FetchOptions {
        allow_insecure_loopback: true,
        listed: vec!["0.0.0.0/0".parse().unwrap()],
        ..FetchOptions::default()
    };
    assert_eq!(fetch(development(), &url).await.unwrap(), "plain");
    // Listed or not, nothing else is called in plain text.
    for address in ["192.168.0.1", "8.8.8.8"] {
        let url = Url::parse("http://keys.example/").unwrap();
        let fetcher = Fetcher::with_resolver(development(), resolving_to(&[address])).unwrap();
        let refused = fetcher.get(&url, "*/*").await.unwrap_err();
        assert_eq!(
            refused.failure.code(),
            "fetch-address",
            "{address}: {refused}"
        );
    }
}

#[tokio::test]
async fn urls_with_other_schemes_users_or_fragments_are_refused() {
    for (url, code) in [
        ("ftp://keys.example/", "fetch-scheme"),
        ("file:///etc/passwd", "fetch-scheme"),
        ("https://me@keys.example/", "fetch-url"),
        ("https://me:pw@keys.example/", "fetch-url"),
        ("https://keys.example/#part", "fetch-url"),
    ] {
        let refused = fetch(loopback_listed(Trust::public()), &Url::parse(url).unwrap())
            .await
            .unwrap_err();
        assert_eq!(refused.failure.code(), code, "{url}");
        assert!(!refused.to_string().contains("pw"), "{refused}");
    }
}

#[tokio::test]
async fn the_error_names_the_host_and_leaves_path_and_query_out() {
    let url = Url::parse("https://keys.example/tenant/secret?token=hunter2").unwrap();
    let fetcher = Fetcher::with_resolver(FetchOptions::default(), resolving_to(&[])).unwrap();
    let refused = fetcher.get(&url, "*/*").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("fetching from https://keys.example failed")
    );
    assert!(!refused.to_string().contains("secret") && !refused.to_string().contains("hunter2"));
}

#[test]
fn pem_files_without_what_they_should_hold_are_refused() {
    let authority = Authority::new();
    assert!(Trust::only_pem(b"").is_err());
    assert!(Trust::only_pem(authority.crl_pem(&[1]).as_bytes()).is_err());
    assert!(
        Trust::only_pem(b"-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----")
            .is_err()
    );
    assert!(
        authority
            .trust()
            .with_crls_pem(authority.pem.as_bytes())
            .is_err()
    );
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let authority = Authority::new();
    let body = b"HTTP/1.1 200 OK\r\netag: \"one\"\r\ncontent-length: 3\r\n\r\nabc".to_vec();
    let server = Server::start(Some(authority.server("keys.example", |_| {})), body).await;
    let url = server.url("keys.example");
    let options = loopback_listed(authority.trust());
    let fetcher = Fetcher::with_resolver(options, resolving_to(&["127.0.0.1"])).unwrap();
    let within = Duration::from_secs(3);
    let first = fetcher.get_if_changed(&url, None, within, 3).await.unwrap();
    let etag = Some("\"one\"".to_owned());
    let body = Bytes::from_static(b"abc");
    assert_eq!(first, Fetched::New { body, etag });
    assert!(!server.last.lock().contains("if-none-match"));

    let small = fetcher.get_if_changed(&url, None, within, 2).await;
    assert!(matches!(
        small.unwrap_err().failure,
        FetchFailure::TooLarge(2)
    ));

    *server.answer.lock() = b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec();
    let again = fetcher
        .get_if_changed(&url, Some("\"one\""), within, 3)
        .await;
    assert_eq!(again.unwrap(), Fetched::Unchanged);
    assert!(server.last.lock().contains("if-none-match: \"one\"\r\n"));
    // Nobody asked for a change: then it is no answer.
    let odd = fetcher.get_if_changed(&url, None, within, 3).await;
    assert!(matches!(odd.unwrap_err().failure, FetchFailure::Status(_)));
}
