//! **Credentials of the gateway's own**: they reach the upstream and nobody else, a key and a secret
//! are replaced under load without a lost call (the other kinds in `turnover/upstreams`), and without
//! them nothing is sent. Behind the door stands an echo, or another Doorward that judges what the
//! first one presents.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testkit::doorward::{Doorward, Place};
use testkit::upstream::Upstream;
use testkit::wire;

use super::backend::Backend;
use super::load::Load;
use super::scene::{self, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// The settings with a credential for the upstream.
fn presenting(upstream: &str, credential: &str) -> String {
    scene::settings(upstream).replace(
        "connect_timeout: 1s }",
        &format!("connect_timeout: 1s, credential: {{ {credential} }} }}"),
    )
}

/// As a rotation does it: the new file takes the old one's place at once.
fn replace(place: &Place, name: &str, text: &str) {
    let (new, file) = (place.path().join("new"), place.path().join(name));
    fs::write(&new, format!("{text}\n")).unwrap();
    fs::rename(&new, &file).unwrap();
}

fn everything_below(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let own = ["up.key", "new"].contains(&entry.file_name().to_str().unwrap());
        if path.is_dir() {
            all.push_str(&everything_below(&path));
        } else if !own && let Ok(bytes) = fs::read(&path) {
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    all
}

#[test]
fn j06_a_key_is_replaced_under_load_without_a_lost_call_and_stands_nowhere_but_in_its_file() {
    let upstream = Upstream::start().unwrap();
    let place = Place::new().unwrap();
    replace(&place, "up.key", "old-hunter2-0123456789");
    let settings = presenting(&upstream.url(), "api_key: { secret: 'file:up.key' }");
    let doorward = place.start(&settings).unwrap();
    let (_, key) = scene::key(&doorward, "load");
    let load = Load::start(4, doorward.gateway(), "/orders", &key);
    load.let_pass(100);
    replace(doorward.place(), "up.key", "new-hunter2-0123456789");
    wait_until("the new key is in use", SOON, || {
        !upstream.with("new-hunter2").is_empty()
    });
    load.let_pass(20);
    let old = upstream.with("old-hunter2").len();
    load.let_pass(200);
    assert_eq!(upstream.with("old-hunter2").len(), old, "still in use");
    // A file that is no secret changes nothing.
    replace(doorward.place(), "up.key", "");
    wait_until("the log says so", SOON, || {
        doorward.log().contains("does not hold a secret")
    });
    load.let_pass(100);
    replace(doorward.place(), "up.key", "new-hunter2-0123456789");
    let outcome = load.stop();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    for seen in upstream.with("/orders") {
        assert_eq!(seen.values("x-api-key").len(), 1);
        assert!(seen.values("authorization").is_empty());
    }

    // A public route goes without.
    assert_eq!(
        doorward
            .get("/open", &[("x-api-key", "mallory")])
            .unwrap()
            .status,
        200
    );
    assert!(upstream.with("GET /open")[0].values("x-api-key").is_empty());
    let explained = doorward
        .place()
        .run(&["config", "explain", "--config", "doorward.yaml"])
        .unwrap();
    assert!(scene::words(&explained).contains("file:up.key"));
    assert!(!scene::words(&explained).contains("hunter2"));
    let (_, api) = doorward.admin_call("GET", "/v1/apis/orders", None).unwrap();
    assert!(!api.to_string().contains("hunter2"), "{api}");
    assert!(!everything_below(doorward.place().path()).contains("hunter2"));

    // Whoever may write APIs could else send any file of the machine anywhere.
    let mut spec = api["spec"].clone();
    spec["upstream"]["credential"] = json!({ "api_key": { "secret": "file:master.key" } });
    let wish = json!({ "spec": spec });
    let (status, told) = doorward
        .admin_call("PUT", "/v1/apis/other", Some(&wish))
        .unwrap();
    assert!((400..500).contains(&status), "{status} {told}");
}

#[test]
fn without_its_secret_doorward_does_not_start_and_a_written_secret_is_told_by_its_line() {
    let place = Place::new().unwrap();
    for (credential, says) in [
        ("api_key: { secret: 'file:nowhere.key' }", "nowhere.key"),
        ("api_key: { secret: hunter2-0123456789 }", "must not stand"),
        ("api_key: { secret: 'env:NOT_THERE' }", "NOT_THERE"),
    ] {
        let settings = presenting("http://127.0.0.1:9", credential);
        place.write_settings(&settings).unwrap();
        let ran = place.run(&["serve", "--config", "doorward.yaml"]).unwrap();
        let words = scene::words(&ran);
        assert!(!ran.status.success(), "{words}");
        assert!(words.contains(says), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
        if says == "must not stand" {
            let line = 1 + settings
                .lines()
                .position(|line| line.contains("hunter2"))
                .unwrap();
            assert!(words.contains(&format!("doorward.yaml:{line}:")), "{words}");
        }
    }
}

/// A Doorward before another one; the first presents `credential` to the second.
fn before(inner: &Doorward, credential: &str, files: &[(&str, &str)]) -> Doorward {
    let place = Place::new().unwrap();
    for (name, text) in files {
        fs::write(place.path().join(name), text).unwrap();
    }
    let ca = inner.place().path().join("tls/ca.pem");
    let settings = presenting(&format!("http://{}", inner.gateway()), credential);
    let outbound = format!(
        "outbound: {{ ca_file: '{}', allow_networks: [127.0.0.0/8, '::1/128'] }}\nresources:",
        ca.display()
    );
    place
        .start(&settings.replacen("resources:", &outbound, 1))
        .unwrap()
}

#[test]
fn a_token_is_fetched_from_the_upstream_s_issuer_and_outlives_revocation_and_a_new_secret() {
    let backend = Upstream::start().unwrap();
    // What is presented goes on to the echo, so that it can be looked at and revoked.
    let settings = scene::settings(&backend.url()).replace(
        "{ mode: jwt, audience: https://orders.example }",
        "{ mode: original }",
    );
    let inner = Doorward::start(&settings).unwrap();
    let make = |label: &str| {
        let wish = json!({ "label": label });
        let made = inner.make("POST", "/v1/clients/backend/secrets", &wish);
        scene::issued(&made.unwrap())
    };
    let (first, secret) = make("first");
    let credential = format!(
        "oauth_client_credentials: {{ token_url: 'https://localhost:{}/oauth/token', client_id: backend, \
         client_secret: 'file:up.key', scope: ['orders:read'] }}",
        inner.issuer_tls().port()
    );
    let outer = before(&inner, &credential, &[("up.key", &secret)]);
    let (_, key) = scene::key(&outer, "load");
    let load = Load::start(4, outer.gateway(), "/orders", &key);
    load.let_pass(50);

    // Revoked while calls run: each is sent once more with a new token.
    let revoke = |secret: &str| {
        let seen = backend.seen();
        let shown = seen.last().unwrap().values("authorization").remove(0);
        let token = shown.strip_prefix("Bearer ").unwrap().to_owned();
        let pair = proof::base64std::encode(format!("backend:{secret}").as_bytes());
        let answer = wire::call(
            inner.issuer(),
            "POST",
            "/oauth/revoke",
            &[
                ("authorization", &format!("Basic {pair}")),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            format!("token={token}").as_bytes(),
        );
        assert_eq!(answer.unwrap().status, 200);
        wait_until("another token is in use", SOON, || {
            let seen = backend.seen();
            !seen.last().unwrap().text().contains(&token)
        });
        load.let_pass(50);
        let used = backend.with(&token).len();
        load.let_pass(50);
        assert_eq!(backend.with(&token).len(), used, "still in use");
    };
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(1200));
        revoke(&secret);
    }

    // A new secret, and the old one ended.
    let (_, next) = make("next");
    replace(outer.place(), "up.key", &next);
    std::thread::sleep(Duration::from_secs(4));
    let path = format!("/v1/clients/backend/secrets/{first}/revoke");
    inner.make("POST", &path, &json!({})).unwrap();
    revoke(&next);
    let outcome = load.stop();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    for log in [outer.log(), inner.log()] {
        assert!(!log.contains(&secret) && !log.contains(&next), "{log}");
    }
    assert_eq!(scene::read_orders(&outer, "no-key-at-all"), 401);
}

#[test]
fn a_signature_of_the_gateway_s_own_over_query_and_body_is_judged_by_another_doorward() {
    let backend = Backend::start("one");
    let settings = scene::settings(&backend.url())
        .replace("[api_key, basic, jwt]", "[sigv4]")
        .replace(
            "environment: test\n      audiences",
            "environment: test\n      signatures: { sigv4: { regions: [local], services: [orders] } }\n      audiences",
        );
    let inner = Doorward::start(&settings).unwrap();
    let wish = [
        "secret",
        "create",
        "--scheme",
        "sigv4",
        "--application",
        "shop",
        "--label",
        "door",
        "--api",
        "orders",
        "--scope",
        "orders:read",
        "--scope",
        "orders:write",
    ];
    let made = scene::command_json(&inner, &wish);
    let (_, secret) = scene::issued(&made);
    let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
    let credential = format!(
        "sigv4: {{ access_key_id: {key_id}, secret: 'file:up.key', region: local, service: orders }}"
    );
    let outer = before(&inner, &credential, &[("up.key", &secret)]);
    let (_, key) = scene::key(&outer, "load");
    let bearer = format!("Bearer {key}");
    let fields = [("authorization", bearer.as_str())];
    let queried = outer.get("/orders?b=2&a=%2F", &fields).unwrap();
    assert_eq!(queried.status, 200, "{}", queried.text());
    let posted = wire::call(
        outer.gateway(),
        "POST",
        "/orders",
        &[("authorization", &bearer), ("content-type", "text/plain")],
        b"hello",
    );
    let posted = posted.unwrap();
    assert_eq!(posted.status, 200, "{}", posted.text());
    // The wrong secret is refused there, and the caller sees nothing of it.
    replace(outer.place(), "up.key", "not-the-secret-of-anybody");
    wait_until("a wrong secret is refused", SOON, || {
        scene::read_orders(&outer, &key) == 401
    });
}
