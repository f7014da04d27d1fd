//! C7 and C8: keys that are fetched, from a server that counts who asks.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::tokens::ForeignIssuer;
use testkit::upstream::Upstream;
use testkit::wire::Answer;

use super::shared::but;

const ISSUER: &str = "https://remote.example";
const AUDIENCE: &str = "https://a.example";

/// What the server says to the next who asks.
#[derive(Clone)]
pub(crate) enum Reply {
    Keys(String),
    Status(u16),
    Redirect(String),
    /// A body without end.
    Endless,
    /// Nothing at all, slowly.
    Silence,
}

/// A key server over TLS on loopback.
#[derive(Clone)]
pub(crate) struct KeyServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    reply: Arc<Mutex<Reply>>,
}

impl KeyServer {
    pub(crate) fn start(tls: &Path, reply: Reply) -> Self {
        let chain = CertificateDer::pem_file_iter(tls.join("localhost.pem"))
            .unwrap()
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_file(tls.join("localhost.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
        };
        let this = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, config) = (this.clone(), config.clone());
                this.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let connection = rustls::ServerConnection::new(config).ok()?;
                    this.answer(rustls::StreamOwned::new(connection, stream))
                });
            }
        });
        server
    }

    fn answer(
        &self,
        mut stream: rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>,
    ) -> Option<()> {
        let mut bytes = Vec::new();
        let mut chunk = [0u8; 4096];
        while !bytes.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&chunk[..read]);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let reply = self.reply.lock().unwrap().clone();
        let head = |status: u16, more: &str, body: &str| {
            format!(
                "HTTP/1.1 {status} X\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
        };
        let text = match reply {
            Reply::Keys(keys) => head(200, "content-type: application/json\r\n", &keys),
            Reply::Status(status) => head(status, "", ""),
            Reply::Redirect(to) => head(302, &format!("location: {to}\r\n"), ""),
            Reply::Silence => {
                std::thread::sleep(Duration::from_secs(60));
                return None;
            }
            Reply::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"keys\":[";
                stream.write_all(head.as_bytes()).ok()?;
                // Bounded, so that a gateway without a bound of its own fails the test, not the machine.
                for _ in 0..4096 {
                    stream.write_all(&[b' '; 16 * 1024]).ok()?;
                }
                return None;
            }
        };
        stream.write_all(text.as_bytes()).ok()?;
        stream.conn.send_close_notify();
        stream.flush().ok()
    }

    pub(crate) fn set(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }
    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
    pub(crate) fn url(&self) -> String {
        format!("https://{}/jwks", self.address)
    }
}

/// A gateway whose one API takes tokens of an issuer with keys at a URL.
fn door(place: Place, outbound: &str, url: &str, upstream: &Upstream) -> Doorward {
    let settings = format!(
        "{BASE}outbound: {outbound}\nresources:\n\
         \x20 - {{ apiVersion: doorward/v1, kind: TrustedIssuer, metadata: {{ name: remote }}, spec: {{ issuer: '{ISSUER}', jwks_url: '{url}' }} }}\n\
         \x20 - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: a }}\n    spec:\n\
         \x20     audiences: ['{AUDIENCE}']\n      upstream: {{ urls: ['{}'] }}\n      credentials: [jwt]\n\
         \x20     issuers: [remote]\n      routes: [{{ path: '/{{rest*}}' }}]\n",
        upstream.url()
    );
    place.start(&settings).unwrap()
}

pub(crate) const LISTED: &str = "{ allow_networks: [127.0.0.0/8], ca_file: tls/ca.pem }";

fn call(doorward: &Doorward, token: &str) -> Answer {
    doorward
        .get("/x", &[("authorization", &format!("Bearer {token}"))])
        .unwrap()
}

/// Defence: `outbound/src/keysets.rs`, `Remote::find`: one fetch per issuer and interval.
#[test]
fn c07_a_flood_of_unknown_kids_makes_one_fetch_and_a_new_real_key_is_soon_accepted() {
    let upstream = Upstream::start().unwrap();
    let place = Place::new().unwrap();
    let first = ForeignIssuer::new(ISSUER);
    let server = KeyServer::start(
        &place.path().join("tls"),
        Reply::Keys(first.jwks().to_string()),
    );
    let doorward = door(place, LISTED, &server.url(), &upstream);
    let good = call(&doorward, &first.sign(&first.claims(AUDIENCE)));
    assert_eq!(good.status, 200, "{}\n{}", good.text(), doorward.log());
    let before = server.requests();
    assert_eq!(before, 1);
    let thief = ForeignIssuer::new(ISSUER);
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let (doorward, thief) = (&doorward, &thief);
            scope.spawn(move || {
                for n in 0..40 {
                    let header = but(&thief.header(), "kid", json!(format!("kid-{lane}-{n}")));
                    let token = thief.sign_with(&header, &thief.claims(AUDIENCE));
                    assert_eq!(call(doorward, &token).status, 401);
                }
            });
        }
    });
    assert!(
        server.requests() <= before + 2,
        "{} fetches",
        server.requests()
    );
    // The issuer rolls its key over: known within the interval, with one fetch more.
    let second = ForeignIssuer::new(ISSUER);
    let both = json!({ "keys": [first.jwk(), second.jwk()] });
    server.set(Reply::Keys(both.to_string()));
    let before = server.requests();
    let deadline = Instant::now() + Duration::from_secs(25);
    while call(&doorward, &second.sign(&second.claims(AUDIENCE))).status != 200 {
        assert!(Instant::now() < deadline, "the new key is never taken");
        std::thread::sleep(Duration::from_millis(150));
    }
    assert!(
        server.requests() <= before + 2,
        "{} fetches",
        server.requests() - before
    );
    // The server dies; what is known goes on, what is not is refused.
    server.set(Reply::Status(500));
    assert_eq!(
        call(&doorward, &first.sign(&first.claims(AUDIENCE))).status,
        200
    );
    let status = call(&doorward, &thief.sign(&thief.claims(AUDIENCE))).status;
    assert!(matches!(status, 401 | 503), "{status}");
}

/// Defence: `outbound/src/address.rs` and `fetch.rs` (addresses, redirects, sizes, times, TLS);
/// `keysets.rs` answers `Unavailable` where there is no set, and that is 503.
#[test]
fn c08_keys_come_from_the_configured_place_only_and_without_them_the_answer_is_503() {
    let upstream = Upstream::start().unwrap();
    let issuer = ForeignIssuer::new(ISSUER);
    let good = Reply::Keys(issuer.jwks().to_string());
    let token = issuer.sign(&issuer.claims(AUDIENCE));
    std::thread::scope(|scope| {
        let (upstream, token, good) = (&upstream, &token, &good);
        let keys = &issuer;
        // Loopback is not listed: nobody even connects.
        scope.spawn(move || {
            let place = Place::new().unwrap();
            let server = KeyServer::start(&place.path().join("tls"), good.clone());
            for url in [
                server.url(),
                format!("https://localhost:{}/jwks", server.address.port()),
            ] {
                let doorward = door(Place::new().unwrap(), "{}", &url, upstream);
                let answer = call(&doorward, token);
                assert_eq!(answer.status, 503, "{}", answer.text());
                assert_eq!(answer.code(), "temporarily-unavailable");
                assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
            }
            assert_eq!(server.connections.load(Ordering::SeqCst), 0);
        });
        // A certificate that nobody trusts.
        scope.spawn(move || {
            let place = Place::new().unwrap();
            let elsewhere = Place::new().unwrap();
            let server = KeyServer::start(&elsewhere.path().join("tls"), good.clone());
            let doorward = door(place, LISTED, &server.url(), upstream);
            assert_eq!(call(&doorward, token).status, 503);
            assert_eq!(server.requests(), 0);
        });
        // A redirect to where the keys are, on another origin and on the same.
        scope.spawn(move || {
            let place = Place::new().unwrap();
            let tls = place.path().join("tls");
            let target = KeyServer::start(&tls, good.clone());
            let server = KeyServer::start(&tls, Reply::Redirect(target.url()));
            let doorward = door(place, LISTED, &server.url(), upstream);
            assert_eq!(call(&doorward, token).status, 503);
            assert!(server.requests() >= 1);
            assert_eq!(target.requests(), 0, "the redirect was followed");
        });
        // Down, endless, silent, no JSON, keys that are none: each is 503, within its time.
        for reply in [
            Reply::Status(500),
            Reply::Status(404),
            Reply::Endless,
            Reply::Silence,
            Reply::Keys("<html>".to_owned()),
            Reply::Keys(json!({ "keys": [{ "kty": "oct", "k": "AAAA", "alg": "HS256", "kid": keys.key.kid() }] }).to_string()),
        ] {
            scope.spawn(move || {
                let place = Place::new().unwrap();
                let server = KeyServer::start(&place.path().join("tls"), reply);
                let doorward = door(place, LISTED, &server.url(), upstream);
                let began = Instant::now();
                let answer = call(&doorward, token);
                assert!(matches!(answer.status, 401 | 503), "{}", answer.text());
                assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
                assert_eq!(upstream.with("never").len(), 0);
            });
        }
    });
    assert!(upstream.seen().is_empty(), "something passed without keys");
}
