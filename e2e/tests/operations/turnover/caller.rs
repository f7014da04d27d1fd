//! **Callers with credentials that are turned over**: each calls one time after the other with what it
//! has at hand, and is told in the middle of that to use another one.

use core::time::Duration;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use proof::client_call::Draft;
use proof::jose::jws;
use proof::jose::jwt::Claims;
use proof::jose::key::SigningKey;
use proof::paseto::{self, IssuingKey};
use proof::random::{SystemEntropy, random_base62};
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{SharedKey, Style};
use testkit::browser::encode;
use testkit::doorward::Doorward;
use testkit::signing::{Signatory, Target};
use testkit::tokens::now;
use testkit::wire;

use super::super::scene::wait_until;
use super::{AUDIENCE, PARTNER, SOON};

/// A caller's credential of some kind, as it has it at hand.
#[derive(Clone)]
pub(super) enum Held {
    Key(String),
    Password(String),
    /// Of a client, which gets a token of our issuer with it for each call of this API.
    ClientSecret(&'static str, String),
    Signature(Signatory),
    /// Of a sender of webhooks.
    Sender(String),
    OwnKey(Arc<SigningKey>),
    Certificate(Arc<rustls::ClientConfig>),
    /// A token of the partner's issuer.
    Token(String),
    /// The key that the partner's issuer makes its PASETOs with.
    Pasetos(Arc<IssuingKey>),
    /// Of the client `keyed`, which gets a token of our issuer for each call with an assertion.
    ClientKey(Arc<SigningKey>),
}

/// Where the calls go.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) plain: core::net::SocketAddr,
    pub(super) tls: core::net::SocketAddr,
    pub(super) issuer: core::net::SocketAddr,
    pub(super) trusted: Arc<rustls::ClientConfig>,
}

impl Door {
    /// That of a running Doorward.
    pub(super) fn of(doorward: &Doorward) -> Self {
        let ca = doorward.place().path().join("tls/ca.pem");
        Self {
            plain: doorward.gateway(),
            tls: doorward.gateway_tls(),
            issuer: doorward.issuer(),
            trusted: Arc::new(wire::client_config(&ca).unwrap()),
        }
    }

    /// One call: the status.
    pub(super) fn call(&self, held: &Held) -> anyhow::Result<u16> {
        let bearer = |token: &str| vec![("authorization".to_owned(), format!("Bearer {token}"))];
        let mut path = "/orders";
        let (fields, tls) = match held {
            Held::Key(key) => (vec![("x-api-key".to_owned(), key.clone())], None),
            Held::Password(password) => (basic("alice", password), Some(&self.trusted)),
            Held::ClientSecret(api, secret) => {
                let mut fields = basic("backend", secret);
                let form = "application/x-www-form-urlencoded";
                fields.push(("content-type".to_owned(), form.to_owned()));
                let resource = format!("https%3A%2F%2F{api}.example");
                let body = format!("grant_type=client_credentials&resource={resource}");
                let body = body.as_bytes();
                let answer = wire::call(self.issuer, "POST", "/oauth/token", &lent(&fields), body)?;
                if answer.status != 200 {
                    return Ok(answer.status);
                }
                path = match *api {
                    "sealed" => "/sealed/orders",
                    "kept" => "/kept/orders",
                    "hidden" => "/hidden/orders",
                    _ => path,
                };
                let token = answer.json()["access_token"].clone();
                (bearer(token.as_str().unwrap_or_default()), None)
            }
            Held::Signature(signatory) => {
                let authority = self.plain.to_string();
                let target = Target {
                    method: "GET",
                    scheme: "http",
                    authority: &authority,
                    path,
                };
                (signatory.fields(&target, Timestamp::from_secs(now())), None)
            }
            Held::Sender(secret) => return self.deliver(secret),
            Held::OwnKey(key) => {
                let jti = random_base62(24, &SystemEntropy);
                let draft = Draft {
                    client: "export",
                    audience: AUDIENCE,
                    jti: &jti,
                    issued_at: Timestamp::from_secs(now()),
                    lifetime: Duration::from_secs(60),
                    scope: None,
                    method: None,
                    uri: None,
                    body_sha256: None,
                };
                (bearer(&draft.sign(key, key.kid())), None)
            }
            Held::Certificate(config) => (Vec::new(), Some(config)),
            Held::Token(token) => (bearer(token), None),
            Held::Pasetos(key) => {
                path = "/sealed/orders";
                let moment = Timestamp::from_secs(now());
                let claims = Claims {
                    iss: Some(PARTNER.to_owned()),
                    sub: Some("user-1".to_owned()),
                    aud: vec!["https://sealed.example".to_owned()],
                    iat: Some(moment),
                    exp: Some(moment.plus(Duration::from_secs(300))),
                    jti: Some(random_base62(16, &SystemEntropy)),
                    client_id: Some("app-1".to_owned()),
                    scope: Some("orders:read".to_owned()),
                    ..Claims::default()
                };
                (bearer(&paseto::issue(key, &claims, b"")?), None)
            }
            Held::ClientKey(key) => {
                let answer = self.asserted(key)?;
                if answer.status != 200 {
                    return Ok(answer.status);
                }
                let token = answer.json()["access_token"].clone();
                (bearer(token.as_str().unwrap_or_default()), None)
            }
        };
        let mut fields = lent(&fields);
        let Some(config) = tls else {
            return Ok(wire::get(self.plain, path, &fields)?.status);
        };
        fields.push(("host", "localhost"));
        let bytes = wire::request(self.tls, "GET", path, &fields, b"");
        let mut stream = wire::connect_tls_as(self.tls, config, Some("http/1.1"))?;
        stream.write_all(&bytes)?;
        Ok(wire::first_answer(&mut stream)?.status)
    }

    /// Asks for a token with a key (RFC 7523 §2.2).
    fn asserted(&self, key: &SigningKey) -> anyhow::Result<wire::Answer> {
        let claims = serde_json::json!({
            "iss": "keyed", "sub": "keyed", "aud": format!("http://{}", self.issuer),
            "iat": now(), "exp": now() + 60, "jti": random_base62(24, &SystemEntropy),
        });
        let assertion = jws::sign_as(key, key.kid(), "JWT", &claims.to_string());
        let form = encode(&[
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
        ]);
        let fields = [("content-type", "application/x-www-form-urlencoded")];
        wire::call(
            self.issuer,
            "POST",
            "/oauth/token",
            &fields,
            form.as_bytes(),
        )
    }

    /// A webhook.
    fn deliver(&self, secret: &str) -> anyhow::Result<u16> {
        let style = Style::StandardWebhooks;
        let key = SharedKey::read(style, &Secret::from_text(secret.to_owned()))?;
        let (id, body) = (random_base62(24, &SystemEntropy), b"{}");
        let moment = Timestamp::from_secs(now());
        let signed = proof::webhook::sign(style, &key, &id, body, moment)?;
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = signed
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)));
        let fields: Vec<_> = fields.collect();
        Ok(wire::call(self.plain, "POST", "/hooks/orders", &lent(&fields), body)?.status)
    }
}

fn lent(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields.map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

fn basic(user: &str, password: &str) -> Vec<(String, String)> {
    let pair = proof::base64std::encode(format!("{user}:{password}").as_bytes());
    vec![("authorization".to_owned(), format!("Basic {pair}"))]
}

/// Somebody who calls one time after the other with whatever is at hand.
pub(super) struct Caller {
    pub(super) kind: &'static str,
    held: Arc<Mutex<Held>>,
    pub(super) old: Held,
    /// Calls with the old one and with the new one that were answered with 200.
    good: Arc<[AtomicU64; 2]>,
    moved: Arc<AtomicBool>,
    /// What went wrong with the first call that failed; there is none after it.
    failed: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Caller {
    pub(super) fn start(kind: &'static str, door: &Door, old: Held) -> Self {
        let caller = Self {
            kind,
            held: Arc::new(Mutex::new(old.clone())),
            old,
            good: Arc::default(),
            moved: Arc::default(),
            failed: Arc::default(),
            stop: Arc::default(),
            thread: Mutex::default(),
        };
        let (door, held, good) = (door.clone(), caller.held.clone(), caller.good.clone());
        let (moved, failed, stop) = (
            caller.moved.clone(),
            caller.failed.clone(),
            caller.stop.clone(),
        );
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let (now, new) = {
                    let held = held.lock().unwrap();
                    (held.clone(), usize::from(moved.load(Ordering::SeqCst)))
                };
                let failure = match door.call(&now) {
                    Ok(200) => None,
                    Ok(status) => Some(format!("{kind}: {status}")),
                    Err(error) => Some(format!("{kind}: {error:#}")),
                };
                if failure.is_some() {
                    *failed.lock().unwrap() = failure;
                    return;
                }
                good[new].fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        *caller.thread.lock().unwrap() = Some(thread);
        caller
    }

    pub(super) fn good(&self, new: bool) -> u64 {
        self.good[usize::from(new)].load(Ordering::SeqCst)
    }

    /// All good calls so far.
    pub(super) fn calls(&self) -> u64 {
        self.good(false) + self.good(true)
    }

    /// Lets good calls happen until there are so many.
    pub(super) fn gets_to(&self, calls: u64) {
        wait_until(self.kind, SOON, || {
            self.calls() >= calls || self.failed.lock().unwrap().is_some()
        });
        self.none_failed();
    }

    fn none_failed(&self) {
        let failed = self.failed.lock().unwrap().clone();
        assert_eq!(failed, None);
    }

    /// From the next call on it uses another one.
    pub(super) fn moves_to(&self, new: Held) {
        let mut held = self.held.lock().unwrap();
        *held = new;
        self.moved.store(true, Ordering::SeqCst);
    }

    /// Ends the calls, of which none failed.
    pub(super) fn finish(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap().take();
        thread.unwrap().join().unwrap();
        self.none_failed();
    }
}

impl Drop for Caller {
    /// A test that fails leaves nobody calling.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
