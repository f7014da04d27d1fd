//! **Whoever is suspended is out on every way, at once, and has everything again once resumed**:
//! identities of certificates, clients with their tokens and the calls that they sign, accounts. And
//! what else they have in common with keys: an application with its budget and its wall, networks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use proof::base64std;
use proof::client_call::Draft;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::time::Timestamp;
use serde_json::{Value, json};
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::now;
use testkit::upstream::{Seen, Upstream, echo};
use testkit::wire::{self, Answer};

use super::scene::{attempt, command, command_json, issued, wait_until, words};
use crate::threats::certificates::{Ca, Own};

const BILLING: &str = "spiffe://example.org/billing";
const REPORTS: &str = "spiffe://example.org/reports";
const EVERYBODY: &str = "spiffe://example.org/*";
const AUDIENCE: &str = "https://main.example";

const RESOURCES: &str = "
resources:
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: {} }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: lab }, spec: { environment: test } }
";

/// What changes is in force everywhere by then.
const SOON: Duration = Duration::from_secs(5);

/// A stream at `/events`, an echo elsewhere.
fn answer(seen: &Seen) -> Option<Vec<u8>> {
    if !seen.target().starts_with("/events") {
        return echo(seen);
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n";
    Some(head.as_bytes().to_vec())
}

struct Scene {
    doorward: Doorward,
    upstream: Upstream,
    billing: Own,
    reports: Own,
}

impl Scene {
    fn start(more: &str) -> Self {
        let upstream = Upstream::start_with(|_, seen| answer(seen)).unwrap();
        let (place, ca) = (Place::new().unwrap(), Ca::new());
        std::fs::write(place.path().join("partners.pem"), ca.pem()).unwrap();
        Self {
            doorward: place.start(&format!("{BASE}{more}{RESOURCES}")).unwrap(),
            upstream,
            billing: ca.named(BILLING, 1),
            reports: ca.named(REPORTS, 2),
        }
    }

    /// The API with these identities, and what else it says.
    fn spec(&self, identities: &Value, more: &[(&str, Value)]) -> Value {
        let mut spec = json!({
            "audiences": [AUDIENCE],
            "upstream": { "urls": [self.upstream.url()] },
            "identity": { "mode": "headers" },
            "credentials": ["api_key", "basic", "jwt", "client_jwt", "mtls"],
            "client_certificates": { "ca_file": "partners.pem", "identities": identities },
            "scopes": { "read": "Read things" },
            "routes": [
                { "path": "/me", "scopes": ["read"] },
                { "path": "/events", "scopes": ["read"] },
            ],
        });
        for (name, value) in more {
            spec[*name] = value.clone();
        }
        json!({ "spec": spec })
    }

    fn declare(&self, identities: &Value, more: &[(&str, Value)]) {
        let spec = self.spec(identities, more);
        self.doorward.make("PUT", "/v1/apis/main", &spec).unwrap();
    }

    /// A connection over TLS with this certificate.
    fn connection(&self, own: Option<&Own>) -> Connection {
        let ca = self.doorward.place().path().join("tls/ca.pem");
        let config = match own {
            Some(own) => own.tls.client_config(&ca).unwrap(),
            None => std::sync::Arc::new(wire::client_config(&ca).unwrap()),
        };
        let at = self.doorward.gateway_tls();
        Connection(Box::new(
            wire::connect_tls_as(at, &config, Some("http/1.1")).unwrap(),
        ))
    }

    fn shown(&self, own: &Own) -> u16 {
        self.connection(Some(own)).get(&[]).status
    }

    fn bearer(&self, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let fields = [("authorization", bearer.as_str())];
        self.doorward.get("/me", &fields).unwrap().status
    }

    /// What was explained, and whether a step of it held.
    fn step(&self, asked: &Value, check: &str) -> String {
        let told = self.doorward.make("POST", "/v1/explain", asked).unwrap();
        let steps = told["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["check"] == check);
        let step = step.unwrap_or_else(|| panic!("{told:#}"));
        step["mark"].as_str().unwrap().to_owned()
    }
}

struct Connection(Box<dyn wire::Stream>);

impl Connection {
    fn get(&mut self, fields: &[(&str, &str)]) -> Answer {
        let fields: String = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let call = format!("GET /me HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        self.0.write_all(call.as_bytes()).unwrap();
        wire::first_answer(&mut self.0).unwrap()
    }
}

/// A call whose answer goes on.
struct Stream(TcpStream);

impl Stream {
    fn open(doorward: &Doorward, field: &str) -> Self {
        let mut stream = wire::connect(doorward.gateway()).unwrap();
        let call = format!("GET /events HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n");
        stream.write_all(call.as_bytes()).unwrap();
        let mut bytes = [0u8; 4096];
        let read = stream.read(&mut bytes).unwrap();
        let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let moment = Some(Duration::from_millis(20));
        stream.set_read_timeout(moment).unwrap();
        Self(stream)
    }

    fn is_open(&mut self) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        let mut bytes = [0u8; 4096];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return matches!(error.kind(), WouldBlock | TimedOut),
            }
        }
    }
}

fn known(name: &str) -> Value {
    json!({ "uri": name, "scopes": ["read"] })
}

fn but(identity: &Value, member: &str, value: Value) -> Value {
    let mut changed = identity.clone();
    changed[member] = value;
    changed
}

/// As a trusted proxy writes it (RFC 9440).
fn relayed(own: &Own) -> String {
    format!("client-cert: :{}:", base64std::encode(&own.der))
}

const RELAYS: &str = "trusted_proxies: [127.0.0.1]\nclient_certificate_field: client-cert\n";

/// Defence: `Membership` of `verdict/src/credential/mtls.rs`; `limit::application` of the gateway.
#[test]
fn an_identity_of_an_application_shares_its_budget_with_the_application_s_keys() {
    let scene = Scene::start("");
    let doorward = &scene.doorward;
    let budget = ("limits", json!({ "per_application": "4/h" }));
    let member = but(&known(BILLING), "application", json!("shop"));
    scene.declare(&json!([member, known(EVERYBODY)]), &[budget]);
    // Of no application, so it spends nothing of one.
    wait_until("the API", SOON, || scene.shown(&scene.reports) == 200);
    let wish =
        json!({ "application": "shop", "label": "tests", "apis": ["main"], "scopes": ["read"] });
    let (_, key) = issued(&doorward.make("POST", "/v1/keys", &wish).unwrap());
    for _ in 0..2 {
        assert_eq!(scene.shown(&scene.billing), 200);
        assert_eq!(scene.bearer(&key), 200);
    }
    let seen = scene.upstream.with(BILLING);
    let seen = seen.last().unwrap();
    assert_eq!(seen.values("doorward-application"), ["shop"]);
    let spent = scene.connection(Some(&scene.billing)).get(&[]);
    assert_eq!((spent.status, spent.code().as_str()), (429, "rate-limited"));
    let policy = Some("\"application\";q=4;w=3600");
    assert_eq!(spent.header("ratelimit-policy"), policy);
    assert_eq!(scene.bearer(&key), 429);
    assert_eq!(scene.shown(&scene.reports), 200);
    wait_until("the record", Duration::from_secs(10), || {
        let listed = command_json(doorward, &["decisions", "list"]);
        let calls = listed["items"].as_array().unwrap();
        let mut own = calls
            .iter()
            .filter(|call| call["credential_kind"] == "mtls");
        own.any(|call| call["application"] == "shop")
    });
    wait_until("the usage", Duration::from_secs(10), || {
        let listed = command_json(doorward, &["key", "list"]);
        listed["items"][0]["last_used"].is_string()
    });
}

/// Defence: `in_application` of `registry/src/meaning/owner.rs`.
#[test]
fn j04_an_identity_is_of_an_application_that_is_there_and_stays_on_its_side_of_the_wall() {
    let scene = Scene::start("");
    let doorward = &scene.doorward;
    let of = |application: &str| json!([but(&known(BILLING), "application", json!(application))]);
    for (application, said) in [
        ("nobody", "there is no application `nobody`"),
        ("lab", "lab"),
    ] {
        let spec = scene.spec(&of(application), &[]);
        let put = doorward.admin_call("PUT", "/v1/apis/main", Some(&spec));
        let (status, told) = put.unwrap();
        assert_eq!(status, 400, "{told}");
        let told = told.to_string();
        assert!(told.contains("identities[0].application"), "{told}");
        assert!(told.contains(said), "{told}");
    }
    let spec = json!({ "spec": {} });
    doorward
        .make("PUT", "/v1/applications/fleet", &spec)
        .unwrap();
    scene.declare(&of("fleet"), &[]);
    let removed = doorward.admin_call("DELETE", "/v1/applications/fleet", None);
    let (status, told) = removed.unwrap();
    assert_eq!(status, 400, "{told}");
    assert!(told.to_string().contains("there is no application `fleet`"));
    scene.declare(&json!([known(BILLING)]), &[]);
    let removed = doorward.admin_call("DELETE", "/v1/applications/fleet", None);
    assert_eq!(removed.unwrap().0, 204);
}

/// Defence: `mtls::prove`, and the profile's version, under which nothing older is remembered.
#[test]
fn a_suspended_identity_is_out_on_its_open_connection_and_the_rest_of_its_family_goes_on() {
    let scene = Scene::start("");
    let asleep = but(&known(BILLING), "suspended", json!(true));
    scene.declare(&json!([known(EVERYBODY)]), &[]);
    wait_until("the API", SOON, || scene.shown(&scene.billing) == 200);
    let mut open = scene.connection(Some(&scene.billing));
    assert_eq!(open.get(&[]).status, 200);
    scene.declare(&json!([asleep, known(EVERYBODY)]), &[]);
    wait_until("the suspension", SOON, || open.get(&[]).status == 401);
    let refused = open.get(&[]);
    assert_eq!(refused.code(), "credential-refused");
    assert_eq!(scene.shown(&scene.billing), 401);
    assert_eq!(scene.shown(&scene.reports), 200);
    let log = format!("is suspended: {BILLING}");
    wait_until("the log", SOON, || scene.doorward.log().contains(&log));
    let asked = |own: &Own| {
        json!({
            "request": "GET /me HTTP/1.1\nHost: localhost\n\n",
            "scheme": "https",
            "client_certificate": own.pem,
        })
    };
    assert_eq!(scene.step(&asked(&scene.billing), "life"), "failed");
    assert_eq!(scene.step(&asked(&scene.reports), "life"), "held");
    scene.declare(&json!([known(EVERYBODY)]), &[]);
    wait_until("its end", SOON, || open.get(&[]).status == 200);
}

/// Defence: the lease, which judges a certificate anew.
#[test]
fn a_relayed_identity_comes_from_its_networks_and_its_streams_end_when_it_is_suspended() {
    let scene = Scene::start(RELAYS);
    let doorward = &scene.doorward;
    let near = but(&known(BILLING), "networks", json!(["192.0.2.0/24"]));
    scene.declare(&json!([near, known(EVERYBODY)]), &[]);
    let field = relayed(&scene.billing);
    let value = field.split_once(": ").unwrap().1;
    let from = |address: &str| {
        let fields = [("client-cert", value), ("x-forwarded-for", address)];
        let answer = doorward.get("/me", &fields).unwrap();
        (answer.status, answer.code())
    };
    wait_until("the API", SOON, || from("192.0.2.7").0 == 200);
    let elsewhere = (403, "place-not-allowed".to_owned());
    assert_eq!(from("203.0.113.7"), elsewhere);

    scene.declare(&json!([known(EVERYBODY)]), &[]);
    wait_until("the API", SOON, || from("203.0.113.7").0 == 200);
    // A route learns by its first stream that it has some.
    drop(Stream::open(doorward, &field));
    std::thread::sleep(Duration::from_millis(100));
    let mut billing = Stream::open(doorward, &field);
    let mut reports = Stream::open(doorward, &relayed(&scene.reports));
    std::thread::sleep(Duration::from_millis(300));
    assert!(billing.is_open() && reports.is_open(), "nothing changed");
    let asleep = but(&known(BILLING), "suspended", json!(true));
    scene.declare(&json!([asleep, known(EVERYBODY)]), &[]);
    wait_until("the end of its stream", SOON, || !billing.is_open());
    std::thread::sleep(Duration::from_millis(1200));
    assert!(reports.is_open(), "another's");
    assert_eq!(from("203.0.113.7").0, 401);
}

/// Defence: `verdict::credential::still_live`, asked by the lease: a signature holds once, its key on.
#[test]
fn a_stream_that_was_signed_for_ends_with_its_key_and_others_go_on() {
    let scene = Scene::start("");
    let doorward = &scene.doorward;
    let kinds = json!(["hmac", "http_signature", "mtls"]);
    scene.declare(&json!([known(EVERYBODY)]), &[("credentials", kinds)]);
    let signatory = |scheme: Scheme| {
        let wish = json!({
            "application": "shop", "label": "tests", "scheme": scheme.name(),
            "apis": ["main"], "scopes": ["read"],
        });
        let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
        (issued(&made).0, Signatory::of(scheme, &made))
    };
    let call = Target {
        method: "GET",
        scheme: "http",
        authority: "localhost",
        path: "/events",
    };
    let open = |by: &Signatory| {
        let fields = by.fields(&call, Timestamp::from_secs(now()));
        let lines = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        Stream::open(doorward, &lines.collect::<Vec<_>>().join("\r\n"))
    };
    for scheme in [Scheme::Hmac, Scheme::HttpSignature] {
        let ((id, by), (_, other)) = (signatory(scheme), signatory(scheme));
        // A route learns by its first stream that it has some.
        drop(open(&by));
        std::thread::sleep(Duration::from_millis(100));
        let (mut own, mut others) = (open(&by), open(&other));
        std::thread::sleep(Duration::from_millis(300));
        assert!(own.is_open() && others.is_open(), "nothing changed");
        command(doorward, &["secret", "suspend", &id]);
        wait_until("the end of its stream", SOON, || !own.is_open());
        std::thread::sleep(Duration::from_millis(1200));
        assert!(others.is_open(), "another's");
    }
}

/// A client that signs its calls, and asks for tokens too.
struct Program<'a> {
    doorward: &'a Doorward,
    key: SigningKey,
}

impl<'a> Program<'a> {
    fn declare(doorward: &'a Doorward, key: SigningKey, more: &[(&str, Value)]) -> Self {
        let mut spec = json!({
            "application": "shop", "auth_method": "private_key_jwt",
            "jwks": { "keys": [key.public_jwk().to_json()] },
            "signs_calls": true, "grants": { "main": ["read"] },
        });
        for (name, value) in more {
            spec[*name] = value.clone();
        }
        let put = json!({ "spec": spec });
        doorward.make("PUT", "/v1/clients/export", &put).unwrap();
        Self { doorward, key }
    }

    fn call(&self) -> String {
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
        draft.sign(&self.key, self.key.kid())
    }

    fn ask(&self) -> Answer {
        let issuer = format!("http://{}", self.doorward.issuer());
        let claims = json!({
            "iss": "export", "sub": "export", "aud": issuer, "iat": now(), "exp": now() + 60,
            "jti": random_base62(24, &SystemEntropy),
        });
        let assertion = jws::sign(&self.key, "JWT", &claims.to_string());
        let form = encode(&[
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
        ]);
        let fields = [("content-type", "application/x-www-form-urlencoded")];
        let at = self.doorward.issuer();
        wire::call(at, "POST", "/oauth/token", &fields, form.as_bytes()).unwrap()
    }
}

/// Defence: `client_jwt::is_awake` and its callers in `jwt::judge` and `Lease::holds`; `may_ask` and
/// `Declared::client` of the issuer.
#[test]
fn a_suspended_client_is_out_with_tokens_calls_and_streams_until_it_is_resumed() {
    let scene = Scene::start("");
    let doorward = &scene.doorward;
    scene.declare(&json!([known(EVERYBODY)]), &[]);
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let program = Program::declare(doorward, key, &[]);
    wait_until("the client", SOON, || scene.bearer(&program.call()) == 200);
    let token = program.ask().json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(scene.bearer(&token), 200);
    let server = json!({ "spec": {
        "application": "shop", "auth_method": "client_secret_basic", "introspects": ["main"],
    }});
    doorward.make("PUT", "/v1/clients/server", &server).unwrap();
    let made = doorward.make("POST", "/v1/clients/server/secrets", &json!({}));
    let pair = format!("server:{}", issued(&made.unwrap()).1);
    let basic = format!("Basic {}", base64std::encode(pair.as_bytes()));
    let active = || {
        let fields = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", basic.as_str()),
        ];
        let form = format!("token={token}");
        let at = doorward.issuer();
        let told = wire::call(at, "POST", "/oauth/introspect", &fields, form.as_bytes());
        told.unwrap().json()["active"].clone()
    };
    wait_until("the server", SOON, || active() == json!(true));
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    drop(Stream::open(doorward, &bearer(&token)));
    std::thread::sleep(Duration::from_millis(100));
    let mut by_token = Stream::open(doorward, &bearer(&token));
    let mut by_call = Stream::open(doorward, &bearer(&program.call()));
    std::thread::sleep(Duration::from_millis(300));
    assert!(by_token.is_open() && by_call.is_open(), "nothing changed");

    command(doorward, &["client", "suspend", "export"]);
    let listed = command(doorward, &["client", "list"]);
    assert!(listed.contains("suspended: service of shop"), "{listed}");
    wait_until("the suspension", SOON, || scene.bearer(&token) == 401);
    assert_eq!(scene.bearer(&program.call()), 401);
    let asked = program.ask();
    assert_eq!(asked.status, 401, "{}", asked.text());
    assert_eq!(asked.json()["error"], "invalid_client");
    assert_eq!(active(), json!(false));
    wait_until("the end of its streams", SOON, || {
        !by_token.is_open() && !by_call.is_open()
    });
    let log = "the client export is suspended";
    wait_until("the log", SOON, || doorward.log().contains(log));
    let request = |token: &str| {
        let host = doorward.gateway();
        let text = format!("GET /me HTTP/1.1\nHost: {host}\nAuthorization: Bearer {token}\n\n");
        json!({ "request": text })
    };
    assert_eq!(scene.step(&request(&token), "client-life"), "failed");
    assert_eq!(
        scene.step(&request(&program.call()), "client-life"),
        "failed"
    );
    let again = attempt(
        doorward,
        &["client", "suspend", "export"],
        doorward.owner_key(),
    );
    assert!(!again.status.success());
    assert!(words(&again).contains("suspended"), "{}", words(&again));

    command(doorward, &["client", "resume", "export"]);
    wait_until("its end", SOON, || scene.bearer(&token) == 200);
    assert_eq!(scene.bearer(&program.call()), 200);
    assert_eq!(program.ask().status, 200);
    assert_eq!(active(), json!(true));
    let trail = command_json(doorward, &["audit", "list"]).to_string();
    for act in ["client.suspend", "client.resume"] {
        assert!(trail.contains(act), "{trail}");
    }

    // From its networks alone; its tokens are not held to them.
    let networks = ("networks", json!(["192.0.2.0/24"]));
    let program = Program::declare(doorward, program.key, &[networks]);
    wait_until("the networks", SOON, || {
        scene.bearer(&program.call()) == 403
    });
    let asked = program.ask();
    assert_eq!(
        (asked.status, &asked.json()["error"]),
        (401, &json!("invalid_client"))
    );
    assert_eq!(scene.bearer(&token), 200);
}

/// Defence: `suspended` in `follow::take_over`, ahead of all that may be wrong with others.
#[test]
fn a_suspended_client_is_out_at_the_gateway_whatever_can_not_be_served() {
    let scene = Scene::start("");
    let doorward = &scene.doorward;
    scene.declare(&json!([known(EVERYBODY)]), &[]);
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let program = Program::declare(doorward, key, &[]);
    wait_until("the client", SOON, || scene.bearer(&program.call()) == 200);
    let token = program.ask().json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(scene.bearer(&token), 200);
    std::fs::write(
        doorward.place().path().join("partners.pem"),
        "no certificate",
    )
    .unwrap();
    command(doorward, &["client", "suspend", "export"]);
    wait_until("the suspension", SOON, || scene.bearer(&token) == 401);
}

/// Defence: `life` of `registry/src/standing.rs`.
#[test]
fn a_suspended_account_is_out_whatever_its_passwords() {
    let scene = Scene::start("");
    let doorward = &scene.doorward;
    scene.declare(&json!([known(EVERYBODY)]), &[]);
    let spec = json!({ "spec": { "application": "shop", "apis": ["main"], "scopes": ["read"] } });
    doorward.make("PUT", "/v1/accounts/old", &spec).unwrap();
    let made = doorward.make("POST", "/v1/accounts/old/passwords", &json!({}));
    let pair = format!("old:{}", issued(&made.unwrap()).1);
    let basic = format!("Basic {}", base64std::encode(pair.as_bytes()));
    let status = || {
        let mut connection = scene.connection(None);
        connection.get(&[("authorization", &basic)]).status
    };
    wait_until("the account", SOON, || status() == 200);
    command(doorward, &["account", "suspend", "old"]);
    wait_until("the suspension", SOON, || status() == 401);
    command(doorward, &["account", "resume", "old"]);
    wait_until("its end", SOON, || status() == 200);
    let trail = command_json(doorward, &["audit", "list"]).to_string();
    for act in ["account.suspend", "account.resume"] {
        assert!(trail.contains(act), "{trail}");
    }
}
