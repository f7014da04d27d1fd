//! **Credentials are turned over under load**: of every kind the next one comes beside the one in
//! use, the caller moves over in the middle of its calls, the old one ends. No call fails, and what
//! is recorded shows that the old one is not used any more before it ends.

use core::time::Duration;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use proof::client_call::Draft;
use proof::digest;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use testkit::bound::ClientCertificate;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::{ForeignIssuer, now};
use testkit::wire;

use super::backend::Backend;
use super::scene::{command, command_json, issued, wait_until};

const SOON: Duration = Duration::from_secs(20);
const AUDIENCE: &str = "https://orders.example";
/// Long enough for a caller to move, short enough to wait for.
const OVERLAP: &str = "8s";
/// Calls of each caller before and after each step.
const SOME: u64 = 12;

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: [api_key, basic, jwt, mtls, sigv4, http_signature, hmac, client_jwt]
      issuers: [own, partner]
      signatures: { sigv4: { regions: [local], services: [orders] } }
      client_certificates:
        ca_file: partners.pem
        identities: [{ uri: "spiffe://example.org/billing", scopes: ["orders:read"] }]
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: partner }
    spec: { issuer: "https://partner.example", jwks: @JWKS@ }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { owner: a@example.com, purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: backend }
    spec: { application: shop, auth_method: client_secret_basic, grants: { orders: ["orders:read"] } }
  - { apiVersion: doorward/v1, kind: Account, metadata: { name: alice }, spec: { application: shop, apis: [orders], scopes: ["orders:read"] } }
"#;

/// A caller's credential of some kind, as it has it at hand.
#[derive(Clone)]
enum Held {
    Key(String),
    Password(String),
    ClientSecret(String),
    Signature(Signatory),
    OwnKey(Arc<SigningKey>),
    Certificate(Arc<rustls::ClientConfig>),
    /// A token of the partner's issuer; its id says by which key.
    Token(String),
}

/// Where the calls go.
#[derive(Clone)]
struct Door {
    plain: core::net::SocketAddr,
    tls: core::net::SocketAddr,
    issuer: core::net::SocketAddr,
    trusted: Arc<rustls::ClientConfig>,
}

impl Door {
    /// One call: the status.
    fn call(&self, held: &Held) -> anyhow::Result<u16> {
        let bearer = |token: &str| vec![("authorization".to_owned(), format!("Bearer {token}"))];
        let (fields, tls) = match held {
            Held::Key(key) => (vec![("x-api-key".to_owned(), key.clone())], None),
            Held::Password(password) => (basic("alice", password), Some(&self.trusted)),
            Held::ClientSecret(secret) => {
                let mut fields = basic("backend", secret);
                let form = "application/x-www-form-urlencoded";
                fields.push(("content-type".to_owned(), form.to_owned()));
                let body = b"grant_type=client_credentials";
                let answer = wire::call(self.issuer, "POST", "/oauth/token", &lent(&fields), body)?;
                if answer.status != 200 {
                    return Ok(answer.status);
                }
                let token = answer.json()["access_token"].clone();
                (bearer(token.as_str().unwrap_or_default()), None)
            }
            Held::Signature(signatory) => {
                let authority = self.plain.to_string();
                let target = Target {
                    method: "GET",
                    scheme: "http",
                    authority: &authority,
                    path: "/orders",
                };
                (signatory.fields(&target, Timestamp::from_secs(now())), None)
            }
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
        };
        let mut fields = lent(&fields);
        let Some(config) = tls else {
            return Ok(wire::get(self.plain, "/orders", &fields)?.status);
        };
        fields.push(("host", "localhost"));
        let bytes = wire::request(self.tls, "GET", "/orders", &fields, b"");
        let mut stream = wire::connect_tls_as(self.tls, config, Some("http/1.1"))?;
        stream.write_all(&bytes)?;
        Ok(wire::first_answer(&mut stream)?.status)
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
struct Caller {
    kind: &'static str,
    held: Arc<Mutex<Held>>,
    old: Held,
    /// Calls with the old one and with the new one that were answered with 200.
    good: Arc<[AtomicU64; 2]>,
    moved: Arc<AtomicBool>,
    /// What went wrong with the first call that failed; there is none after it.
    failed: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Caller {
    fn start(kind: &'static str, door: &Door, old: Held) -> Self {
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

    fn good(&self, new: bool) -> u64 {
        self.good[usize::from(new)].load(Ordering::SeqCst)
    }

    /// All good calls so far.
    fn calls(&self) -> u64 {
        self.good(false) + self.good(true)
    }

    /// Lets good calls happen until there are so many.
    fn gets_to(&self, calls: u64) {
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
    fn moves_to(&self, new: Held) {
        let mut held = self.held.lock().unwrap();
        *held = new;
        self.moved.store(true, Ordering::SeqCst);
    }

    /// Ends the calls, of which none failed.
    fn finish(&self) {
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

/// Calls that were let through with a credential, as the access log names it.
fn logged(doorward: &Doorward, credential: &str) -> u64 {
    let log = doorward.log();
    let named = format!("\"credential\":\"{credential}\"");
    log.lines().filter(|line| line.contains(&named)).count() as u64
}

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client's TLS with a certificate of an authority, and how the log names the certificate.
fn partner(ca: &Ca, server_ca: &Path) -> (Held, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let name = "spiffe://example.org/billing".try_into().unwrap();
    params.subject_alt_names = vec![SanType::URI(name)];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let der = certificate.der().clone();
    let name = format!("x5t:{}", digest::hex(&digest::sha256(&der)));
    let config = ClientCertificate::new(vec![der], &key);
    let config = config.client_config(server_ca).unwrap();
    (Held::Certificate(config), name)
}

fn export(keys: &[&SigningKey]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
    json!({ "spec": {
        "application": "shop", "auth_method": "private_key_jwt", "jwks": { "keys": keys },
        "signs_calls": true, "grants": { "orders": ["orders:read"] },
    }})
}

/// The settings, with a key set of the partner's issuer.
fn settings(upstream: &Backend, keys: &[&ForeignIssuer]) -> String {
    let keys: Vec<_> = keys.iter().map(|issuer| issuer.jwk()).collect();
    format!("{BASE}{RESOURCES}")
        .replace("@UPSTREAM@", &upstream.url())
        .replace("@JWKS@", &json!({ "keys": keys }).to_string())
}

fn token(issuer: &ForeignIssuer, id: &str) -> Held {
    let mut claims = issuer.claims(AUDIENCE);
    claims["jti"] = json!(id);
    claims["scope"] = json!("orders:read");
    Held::Token(issuer.sign(&claims))
}

#[test]
fn every_kind_is_turned_over_under_load_without_a_failed_call() {
    let upstream = Backend::start("one");
    let place = Place::new().unwrap();
    let partners = place.path().join("partners.pem");
    let (old_ca, new_ca) = (ca(), ca());
    let write = |pem: String| {
        let new = partners.with_extension("new");
        std::fs::write(&new, pem).unwrap();
        std::fs::rename(new, &partners).unwrap();
    };
    write(old_ca.pem());
    let [old_issuer, new_issuer] =
        ["old", "new"].map(|_| ForeignIssuer::new("https://partner.example"));
    let [old_own, new_own] = [Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| Arc::new(SigningKey::generate(algorithm).unwrap()));
    let doorward = place.start(&settings(&upstream, &[&old_issuer])).unwrap();
    let declare = |keys: &[&SigningKey]| {
        let client = export(keys);
        doorward.make("PUT", "/v1/clients/export", &client).unwrap();
    };
    declare(&[&old_own]);
    let server_ca = doorward.place().path().join("tls/ca.pem");
    let door = Door {
        plain: doorward.gateway(),
        tls: doorward.gateway_tls(),
        issuer: doorward.issuer(),
        trusted: Arc::new(wire::client_config(&server_ca).unwrap()),
    };
    let make = |path: &str, wish: &Value| issued(&doorward.make("POST", path, wish).unwrap());
    let rights = json!({
        "application": "shop", "label": "old", "apis": ["orders"], "scopes": ["orders:read"],
    });
    let none = json!({});
    let (old_key, key) = make("/v1/keys", &rights);
    let (old_password, password) = make("/v1/accounts/alice/passwords", &none);
    let (old_secret, secret) = make("/v1/clients/backend/secrets", &none);
    let signing = Scheme::ALL.map(|scheme| {
        let mut wish = rights.clone();
        wish["scheme"] = json!(scheme.name());
        let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
        (issued(&made).0, Signatory::of(scheme, &made))
    });
    let (old_certificate, old_x5t) = partner(&old_ca, &server_ca);
    let start = |kind, held| Caller::start(kind, &door, held);
    let key = start("api_key", Held::Key(key));
    let password = start("basic", Held::Password(password));
    let secret = start("a client's secret", Held::ClientSecret(secret));
    let signers = signing.each_ref().map(|(id, signatory)| {
        let held = Held::Signature(signatory.clone());
        (id, signatory, start(signatory.scheme.name(), held))
    });
    let own = start("client_jwt", Held::OwnKey(Arc::clone(&old_own)));
    let certificate = start("mtls", old_certificate);
    let tokens = start(
        "a foreign issuer's jwt",
        token(&old_issuer, "by-the-old-key"),
    );
    let callers: Vec<&Caller> = [&key, &password, &secret, &own, &certificate, &tokens]
        .into_iter()
        .chain(signers.iter().map(|(.., caller)| caller))
        .collect();
    let all_go_on = || {
        let wanted: Vec<_> = callers.iter().map(|one| one.calls() + SOME).collect();
        for (caller, calls) in callers.iter().zip(wanted) {
            caller.gets_to(calls);
        }
    };
    all_go_on();

    // The next ones come beside those in use.
    let rotated = |arguments: &[&str], overlap: &str| {
        let arguments = [arguments, &["--overlap", overlap]].concat();
        command_json(&doorward, &arguments)
    };
    let (new_key, next_key) = issued(&rotated(&["key", "rotate", &old_key], "1h"));
    let rotate = ["account", "password", "rotate", "alice", &old_password];
    let (_, next_password) = issued(&rotated(&rotate, "1h"));
    let rotate = ["client", "secret", "rotate", "backend", &old_secret];
    let (_, next_secret) = issued(&rotated(&rotate, "1h"));
    declare(&[&old_own, &new_own]);
    write(old_ca.pem() + &new_ca.pem());
    let both = settings(&upstream, &[&old_issuer, &new_issuer]);
    doorward.place().write_settings(&both).unwrap();
    // Others than the callers' own ask, so that only calls of the callers are counted.
    let becomes = |status: u16, held: &Held| {
        wait_until("what is declared is in force", SOON, || {
            door.call(held).unwrap() == status
        });
    };
    becomes(200, &partner(&new_ca, &server_ca).0);
    becomes(200, &token(&new_issuer, "asked-first"));
    all_go_on();

    // Everybody moves over. Secrets to sign with are two under one name: the first ends by itself.
    for (id, signatory, caller) in &signers {
        let made = rotated(&["secret", "rotate", id], OVERLAP);
        caller.moves_to(Held::Signature(Signatory::of(signatory.scheme, &made)));
    }
    let (new_certificate, new_x5t) = partner(&new_ca, &server_ca);
    key.moves_to(Held::Key(next_key));
    password.moves_to(Held::Password(next_password));
    secret.moves_to(Held::ClientSecret(next_secret));
    own.moves_to(Held::OwnKey(Arc::clone(&new_own)));
    certificate.moves_to(new_certificate);
    tokens.moves_to(token(&new_issuer, "by-the-new-key"));
    all_go_on();

    // What is not used any more is seen to be so, and what is used, to be used.
    let usage = |family: &str, id: &str| {
        let usage = command_json(&doorward, &[family, "usage", id]);
        usage["calls"].as_u64().unwrap()
    };
    let [old_jkt, new_jkt] = [&old_own, &new_own].map(|key| format!("jkt:{}", key.kid()));
    let seen: [(&Caller, &dyn Fn() -> [u64; 2]); 4] = [
        (&key, &|| [usage("key", &old_key), usage("key", &new_key)]),
        (&own, &|| {
            [&old_jkt, &new_jkt].map(|id| logged(&doorward, id))
        }),
        (&certificate, &|| {
            [&old_x5t, &new_x5t].map(|id| logged(&doorward, id))
        }),
        (&tokens, &|| {
            ["jti:by-the-old-key", "jti:by-the-new-key"].map(|id| logged(&doorward, id))
        }),
    ];
    let before = seen.map(|(caller, seen)| {
        wait_until(caller.kind, SOON, || seen()[0] == caller.good(false));
        seen()
    });
    all_go_on();
    for ((caller, seen), [old, new]) in seen.iter().zip(before) {
        wait_until(caller.kind, SOON, || seen()[1] > new);
        assert_eq!(
            seen()[0],
            old,
            "{}: somebody still uses the old one",
            caller.kind
        );
    }

    // The old ones end, and only they.
    command(&doorward, &["key", "revoke", &old_key]);
    command(
        &doorward,
        &["account", "password", "revoke", "alice", &old_password],
    );
    command(
        &doorward,
        &["client", "secret", "revoke", "backend", &old_secret],
    );
    declare(&[&new_own]);
    for caller in [&key, &password, &secret, &own] {
        assert_eq!(door.call(&caller.old).unwrap(), 401, "{}", caller.kind);
    }
    write(new_ca.pem());
    doorward
        .place()
        .write_settings(&settings(&upstream, &[&new_issuer]))
        .unwrap();
    becomes(401, &partner(&old_ca, &server_ca).0);
    becomes(401, &token(&old_issuer, "asked-last"));
    for caller in [&certificate, &tokens] {
        assert_eq!(door.call(&caller.old).unwrap(), 401, "{}", caller.kind);
    }
    let asked = signers.each_ref().map(|(_, _, caller)| {
        let mut passed = 0;
        wait_until(caller.kind, SOON, || {
            let status = door.call(&caller.old).unwrap();
            passed += u64::from(status == 200);
            status == 401
        });
        passed
    });
    all_go_on();

    for caller in &callers {
        caller.finish();
        assert!(caller.good(false) >= 2 * SOME, "{}", caller.kind);
        assert!(caller.good(true) >= 3 * SOME, "{}", caller.kind);
    }
    for (caller, seen) in seen {
        let made = [false, true].map(|new| caller.good(new));
        wait_until(caller.kind, SOON, || seen() == made);
    }
    // A key to sign with stays the same key, so its calls are counted together.
    for ((id, _, caller), asked) in signers.iter().zip(asked) {
        let made = caller.good(false) + caller.good(true) + asked;
        wait_until(caller.kind, SOON, || usage("secret", id) == made);
    }
    let calls: u64 = callers.iter().map(|one| one.calls()).sum();
    println!(
        "{calls} calls while {} credentials were turned over",
        callers.len()
    );
}
