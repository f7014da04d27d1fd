//! **What stands behind the door** in these tests: one API `orders` with a route of each sort, an
//! application, a client and an account that may use it.

use core::time::Duration;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use testkit::doorward::{self, BASE, Doorward, Place};
use testkit::postgres;
use testkit::wire::{self, Answer};

/// Resources for one or more upstreams.
pub(super) fn resources(upstreams: &[String]) -> String {
    format!(
        r#"resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: {{ name: orders }}
    spec:
      environment: test
      audiences: [https://orders.example]
      upstream: {{ urls: {upstreams:?}, connect_timeout: 1s }}
      identity: {{ mode: jwt, audience: https://orders.example }}
      scopes: {{ "orders:read": Read, "orders:write": Write }}
      credentials: [api_key, basic, jwt]
      foreign_keys: [{{ prefix: "old-", id_length: 8, min_length: 30, max_length: 64 }}, {{ prefix: "sha-", min_length: 30, max_length: 64 }}]
      routes:
        - {{ name: open, methods: [GET], path: /open, public: true }}
        - {{ name: read, methods: [GET], path: /orders, scopes: ["orders:read"] }}
        - {{ name: place, methods: [POST], path: /orders, scopes: ["orders:write"] }}
        - {{ name: upload, methods: [POST], path: /upload, public: true, body_limit: 1GiB }}
        - {{ name: stream, methods: [GET], path: /stream, public: true }}
        - {{ name: slow, methods: [GET], path: /slow, public: true }}
  - apiVersion: doorward/v1
    kind: Application
    metadata: {{ name: shop }}
    spec: {{ owner: alice@example.com, purpose: Tests, environment: test }}
  - apiVersion: doorward/v1
    kind: Client
    metadata: {{ name: backend }}
    spec: {{ application: shop, auth_method: client_secret_basic, environment: test, grants: {{ orders: ["orders:read", "orders:write"] }} }}
  - apiVersion: doorward/v1
    kind: Account
    metadata: {{ name: alice }}
    spec: {{ application: shop, apis: [orders], scopes: ["orders:read"], environment: test }}
"#
    )
}

/// [`BASE`] with [`resources`] for one upstream.
pub(super) fn settings(upstream: &str) -> String {
    format!("{BASE}{}", resources(&[upstream.to_owned()]))
}

/// The two databases, for tests that must hold on both: a name and lines for the settings.
/// PostgreSQL is missing only where it was switched off.
pub(super) fn databases() -> Vec<(&'static str, String)> {
    let mut all = vec![("SQLite", String::new())];
    if let Some(server) = postgres::shared() {
        let url = server.create_database().unwrap();
        all.push(("PostgreSQL", format!("database: {{ url: '{url}' }}\n")));
    }
    all
}

/// A key of the application `shop` that may read and write orders: its id and its secret.
pub(super) fn key(doorward: &Doorward, label: &str) -> (String, String) {
    issued(&doorward.make("POST", "/v1/keys", &key_wish(label)).unwrap())
}

/// What is asked for by [`key`].
pub(super) fn key_wish(label: &str) -> Value {
    json!({
        "application": "shop", "label": label, "apis": ["orders"],
        "scopes": ["orders:read", "orders:write"],
    })
}

/// Id and secret of a credential that was just made.
pub(super) fn issued(made: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["credential"]["id"]), text(&made["secret"]))
}

/// A new secret of the client `backend`.
pub(super) fn client_secret(doorward: &Doorward) -> String {
    let wish = json!({ "label": "tests" });
    issued(
        &doorward
            .make("POST", "/v1/clients/backend/secrets", &wish)
            .unwrap(),
    )
    .1
}

/// Asks the token endpoint of a node for a token.
pub(super) fn ask_for_token(doorward: &Doorward, secret: &str) -> Answer {
    let pair = proof::base64std::encode(format!("backend:{secret}").as_bytes());
    wire::call(
        doorward.issuer(),
        "POST",
        "/oauth/token",
        &[
            ("authorization", &format!("Basic {pair}")),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        b"grant_type=client_credentials",
    )
    .unwrap()
}

/// An access token of the client `backend`.
pub(super) fn token(doorward: &Doorward, secret: &str) -> String {
    let answer = ask_for_token(doorward, secret);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// `GET /orders` with a bearer credential: the status.
pub(super) fn read_orders(doorward: &Doorward, bearer: &str) -> u16 {
    let bearer = format!("Bearer {bearer}");
    doorward
        .get("/orders", &[("authorization", &bearer)])
        .unwrap()
        .status
}

/// Waits until something holds; returns how long that took.
pub(super) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Waits until the audit trail has nothing left to chain, then returns what `verify` says.
pub(super) fn audit_verified(doorward: &Doorward) -> Value {
    wait_until("audit events are chained", Duration::from_secs(20), || {
        let (status, page) = doorward
            .admin_call("GET", "/v1/audit?newest=true&limit=1000", None)
            .unwrap();
        assert_eq!(status, 200, "{page}");
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| !event["sequence"].is_null())
    });
    let (status, verified) = doorward
        .admin_call("GET", "/v1/audit/verify", None)
        .unwrap();
    assert_eq!(status, 200, "{verified}");
    verified
}

/// Runs a command as a user of that Doorward would; panics with its words if it fails.
pub(super) fn command(doorward: &Doorward, arguments: &[&str]) -> String {
    let ran = attempt(doorward, arguments, doorward.owner_key());
    assert!(ran.status.success(), "{arguments:?}: {}", words(&ran));
    String::from_utf8(ran.stdout).unwrap()
}

/// The same with `--output json`, read.
pub(super) fn command_json(doorward: &Doorward, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let output = command(doorward, &arguments);
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
}

/// Runs a command with an admin key, whatever comes of it.
pub(super) fn attempt(
    doorward: &Doorward,
    arguments: &[&str],
    admin_key: &str,
) -> std::process::Output {
    let admin = format!("http://{}", doorward.admin());
    let issuer = format!("http://{}", doorward.issuer());
    let environment = [
        ("DOORWARD_ADMIN_URL", admin.as_str()),
        ("DOORWARD_ISSUER_URL", issuer.as_str()),
        ("DOORWARD_ADMIN_KEY", admin_key),
    ];
    doorward.place().run_with(arguments, &environment).unwrap()
}

/// Everything a program said.
pub(super) fn words(ran: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    )
}

/// Runs `serve` in a place to its end; returns its exit code, and its words. One that does not end
/// in 20 s is ended and has none.
pub(super) fn serve_to_its_end(place: &Place) -> (Option<i32>, String) {
    let mut child = Command::new(doorward::binary().unwrap())
        .args(["serve", "--config", "doorward.yaml"])
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut words = String::new();
        let _ = stderr.read_to_string(&mut words);
        words
    });
    let began = Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None if began.elapsed() > Duration::from_secs(20) => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    (ended.code(), reading.join().unwrap())
}
