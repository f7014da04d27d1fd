//! **Signed answers about foreign opaque tokens** (RFC 9701): our own issuer makes none, so before
//! the partner's stands an endpoint that asks it, signs what it said, and lets nobody ask who shows no
//! certificate of its authority. What an answer says wrong is each test's choice.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use proof::base64std;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use testkit::doorward::{BASE, Place};
use testkit::tokens::{ForeignIssuer, now};
use testkit::upstream::Upstream;
use testkit::wire;

use super::foreign::{ORDERS, OURS, OURSELVES, Partner, show};
use crate::threats::certificates::Ca;

/// What becomes of the partner's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answered {
    Signed,
    /// As the partner gave it.
    Plain,
    /// By a key that the partner did not publish, under the name of one that it did.
    ByAStranger,
    /// For another of the partner's clients.
    ForAnother,
    /// In another one's name.
    OfAnother,
    /// An hour ago.
    Old,
    /// As a token of another kind.
    AnotherType,
    /// With a letter of its end changed.
    Changed,
}

/// The endpoint: threads that end with the process.
struct Endpoint {
    address: SocketAddr,
    key: SigningKey,
    origin: String,
    node: SocketAddr,
    basic: String,
    answered: Mutex<Answered>,
}

impl Endpoint {
    fn start(partner: &Partner, tls: &std::path::Path) -> Arc<Self> {
        let chain = CertificateDer::pem_file_iter(tls.join("localhost.pem")).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(tls.join("localhost.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let callers = partner.callers.pem();
        roots
            .add(CertificateDer::from_pem_slice(callers.as_bytes()).unwrap())
            .unwrap();
        let callers = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            provider.clone(),
        );
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(callers.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let pair = format!("door:{}", partner.secrets["door"]);
        let endpoint = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            key: SigningKey::generate(Algorithm::ES256).unwrap(),
            origin: partner.origin.clone(),
            node: partner.node().issuer(),
            basic: format!("Basic {}", base64std::encode(pair.as_bytes())),
            answered: Mutex::new(Answered::Signed),
        });
        let this = Arc::clone(&endpoint);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, config) = (Arc::clone(&this), config.clone());
                std::thread::spawn(move || {
                    let connection = rustls::ServerConnection::new(config).ok()?;
                    this.serve(rustls::StreamOwned::new(connection, stream))
                });
            }
        });
        endpoint
    }

    fn serve(
        &self,
        mut stream: rustls::StreamOwned<rustls::ServerConnection, TcpStream>,
    ) -> Option<()> {
        let mut bytes = Vec::new();
        let mut chunk = [0u8; 4096];
        let (head, body) = loop {
            let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&chunk[..read]);
            let Some(at) = wire::find(&bytes, b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))?;
            if bytes.len() >= at + 4 + length.trim().parse::<usize>().ok()? {
                break (head, bytes[at + 4..].to_vec());
            }
        };
        // The form as it came, but for the client, which the endpoint itself is to the partner.
        let form = String::from_utf8(body).ok()?;
        let form: Vec<_> = form
            .split('&')
            .filter(|pair| !pair.starts_with("client_id="))
            .collect();
        let fields = [
            ("authorization", self.basic.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let form = form.join("&");
        let path = "/oauth/introspect";
        let said = wire::call(self.node, "POST", path, &fields, form.as_bytes()).ok()?;
        let asked = head.contains("accept: application/token-introspection+jwt");
        let answered = *self.answered.lock().unwrap();
        let (kind, text) = match answered {
            Answered::Plain => ("application/json", said.text()),
            _ if !asked => ("application/json", said.text()),
            _ => (
                "application/token-introspection+jwt",
                self.sign(answered, &said.json()),
            ),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).ok()?;
        stream.conn.send_close_notify();
        stream.flush().ok()
    }

    fn sign(&self, answered: Answered, said: &Value) -> String {
        let claims = json!({
            "iss": match answered {
                Answered::OfAnother => "https://other.example",
                _ => &self.origin,
            },
            "aud": match answered {
                Answered::ForAnother => "door",
                _ => "certified",
            },
            "iat": match answered {
                Answered::Old => now() - 3600,
                _ => now(),
            },
            "token_introspection": said,
        });
        let typ = match answered {
            Answered::AnotherType => "at+jwt",
            _ => "token-introspection+jwt",
        };
        let mut signer = ForeignIssuer::new(&self.origin);
        if answered != Answered::ByAStranger {
            let own = self.key.to_pkcs8().unwrap();
            signer.key = SigningKey::from_pkcs8(Algorithm::ES256, &own).unwrap();
        }
        let header = json!({ "alg": "ES256", "kid": self.key.kid(), "typ": typ });
        let mut text = signer.sign_with(&header, &claims);
        if answered == Answered::Changed {
            let at = text.len() - 10;
            let other = if text.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            text.replace_range(at..=at, other);
        }
        text
    }
}

/// Defence: `outbound/src/introspection.rs`, `signed`; `verdict::credential::introspection`,
/// `read_signed`.
#[test]
fn c11_an_answer_counts_that_the_issuer_signed_for_us_just_now_and_no_other() {
    let unused = SigningKey::generate(Algorithm::ES256).unwrap();
    let partner = Partner::start(&json!({ "keys": [unused.public_jwk().to_json()] }));
    let upstream = Upstream::start().unwrap();
    let place = Place::new().unwrap();
    partner.introduce(place.path());
    // The endpoint's own certificate is of the partner's authority.
    let endpoint = Endpoint::start(&partner, &partner.node().place().path().join("tls"));
    let url = format!("https://localhost:{}/introspect", endpoint.address.port());
    let keys = json!({ "keys": [endpoint.key.public_jwk().to_json()] });
    let proof =
        "client_id: certified, certificate_file: door.pem, key_file: door.key, response: jwt";
    let settings = format!("{BASE}{OURS}")
        .replace("'@PARTNER@/oauth/introspect'", &format!("'{url}'"))
        .replace(
            "      introspection:",
            &format!("      jwks: {keys}\n      introspection:"),
        )
        .replace("@PARTNER@", &partner.origin)
        .replace("@PROOF@", proof)
        .replace("@UPSTREAM@", &upstream.url());
    let ours = place.start(&settings).unwrap();
    let status = |token: &str| {
        let bearer = format!("Bearer {token}");
        let answer = ours.get("/orders", &[("authorization", &bearer)]).unwrap();
        (answer.status, answer.code())
    };
    let fresh = || partner.token(ORDERS, "orders:read");
    let becomes = |expected: u16| {
        let begun = std::time::Instant::now();
        // An issuer that failed is left alone for a moment.
        while status(&fresh()).0 != expected {
            let limit = std::time::Duration::from_secs(20);
            assert!(begun.elapsed() < limit, "{expected}: {}", ours.log());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    };
    let token = fresh();
    assert_eq!(status(&token).0, 200, "{}", ours.log());
    let seen = upstream.with("GET /orders");
    assert!(!seen[0].text().contains(&token), "{}", seen[0].text());
    let foreign = "Zm9vYmFyZm9vYmFyZm9vYmFy";
    assert_eq!(status(foreign).0, 401, "signed, and not active");
    for answered in [
        Answered::Plain,
        Answered::ByAStranger,
        Answered::ForAnother,
        Answered::OfAnother,
        Answered::Old,
        Answered::AnotherType,
        Answered::Changed,
    ] {
        *endpoint.answered.lock().unwrap() = answered;
        let told = status(&fresh());
        let expected = (503, "temporarily-unavailable".to_owned());
        assert_eq!(told, expected, "{answered:?}");
        *endpoint.answered.lock().unwrap() = Answered::Signed;
        becomes(200);
    }
    // Whoever shows none of the authority's certificates is not even heard.
    let folder = ours.place().path();
    show(folder, &Ca::new().named(OURSELVES, 1));
    becomes(503);
    show(folder, &partner.callers.named(OURSELVES, 2));
    becomes(200);
}
