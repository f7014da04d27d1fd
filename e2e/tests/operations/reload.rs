//! **Reload**: settings change under load without one failed call, however the file is replaced;
//! a bad file changes nothing and shows.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use testkit::doorward::Doorward;
use testkit::wire;

use super::backend::Backend;
use super::load::Load;
use super::scene::{self, wait_until};

const SOON: Duration = Duration::from_secs(15);

/// The settings with one more public route.
fn with_route(base: &str, path: &str) -> String {
    base.replace(
        "        - { name: open,",
        &format!("        - {{ name: {path}, methods: [GET], path: /{path}, public: true }}\n        - {{ name: open,"),
    )
}

fn status(doorward: &Doorward, path: &str) -> u16 {
    doorward.get(path, &[]).unwrap().status
}

fn served(doorward: &Doorward, path: &str) {
    wait_until(path, SOON, || status(doorward, path) == 200);
}

#[test]
fn routes_change_under_load_without_a_failed_call_however_the_file_is_replaced() {
    let upstream = Backend::start("one");
    let base = scene::settings(&upstream.url());
    let doorward = Doorward::start(&base).unwrap();
    let (place, file) = (doorward.place(), doorward.place().settings_file());
    let (_, key) = scene::key(&doorward, "load");
    let load = Load::start(4, doorward.gateway(), "/orders", &key);
    load.let_pass(20);

    assert_eq!(status(&doorward, "/written"), 404);
    place.write_settings(&with_route(&base, "written")).unwrap();
    served(&doorward, "/written");
    load.let_pass(20);

    let beside = place.path().join("new.yaml");
    fs::write(&beside, place.fill(&with_route(&base, "renamed"))).unwrap();
    fs::rename(&beside, &file).unwrap();
    served(&doorward, "/renamed");
    assert_eq!(
        status(&doorward, "/written"),
        404,
        "what is gone from the file is gone"
    );
    load.let_pass(20);

    // As mounted configuration volumes do it: the name is a link, and the link is swapped.
    let link = place.path().join("link");
    for route in ["linked", "swapped"] {
        let version = place.path().join(format!("{route}.yaml"));
        fs::write(&version, place.fill(&with_route(&base, route))).unwrap();
        symlink(&version, &link).unwrap();
        fs::rename(&link, &file).unwrap();
        served(&doorward, &format!("/{route}"));
        load.let_pass(20);
    }

    let reloads = metric(&doorward, "doorward_settings_reloads_total");
    doorward.signal("HUP").unwrap();
    wait_until("SIGHUP reads the settings again", SOON, || {
        metric(&doorward, "doorward_settings_reloads_total") > reloads
    });
    load.let_pass(20);

    let outcome = load.stop();
    println!("{} calls during five reloads", outcome.good);
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
}

#[test]
fn a_bad_file_leaves_the_running_settings_in_force_and_shows_everywhere() {
    let upstream = Backend::start("one");
    let base = scene::settings(&upstream.url());
    let doorward = Doorward::start(&base).unwrap();
    assert_eq!(metric(&doorward, "doorward_settings_current"), 1.0);

    let bad =
        with_route(&base, "new").replace("path: /slow, public: true", "path: /slow, pubic: true");
    doorward.place().write_settings(&bad).unwrap();
    wait_until("the metric falls", SOON, || {
        metric(&doorward, "doorward_settings_current") == 0.0
    });
    assert_eq!(status(&doorward, "/open"), 200);
    assert_eq!(
        status(&doorward, "/new"),
        404,
        "nothing of a bad file is taken over"
    );
    let line = 1 + bad.lines().position(|line| line.contains("pubic")).unwrap();
    let place = format!("doorward.yaml:{line}:");
    let log = doorward.log();
    assert!(
        log.contains(&place) && log.contains("pubic"),
        "{place} in {log}"
    );
    let (_, whole) = doorward.admin_call("GET", "/v1/status", None).unwrap();
    let refused = whole["settings"]["refused"]["message"].as_str().unwrap();
    assert!(refused.contains(&place), "{refused}");
    let (_, settings) = doorward.admin_call("GET", "/v1/settings", None).unwrap();
    assert!(settings.to_string().contains(&place), "{settings}");

    doorward
        .place()
        .write_settings(&with_route(&base, "new"))
        .unwrap();
    served(&doorward, "/new");
    wait_until("the metric rises", SOON, || {
        metric(&doorward, "doorward_settings_current") == 1.0
    });
    let (_, whole) = doorward.admin_call("GET", "/v1/status", None).unwrap();
    assert!(whole["settings"]["refused"].is_null(), "{whole}");
}

#[test]
fn a_file_that_contradicts_what_is_stored_is_refused_whole() {
    let upstream = Backend::start("one");
    let base = scene::settings(&upstream.url());
    let doorward = Doorward::start(&base).unwrap();
    // Reads well by itself, but the API that it removes is used by what the admin API holds.
    scene::key(&doorward, "holds the API");
    let spec = serde_json::json!({ "spec": {
        "application": "shop", "auth_method": "client_secret_basic", "environment": "test",
        "grants": { "orders": ["orders:read"] } } });
    doorward.make("PUT", "/v1/clients/other", &spec).unwrap();
    let renamed = base
        .replace("metadata: { name: orders }", "metadata: { name: renamed }")
        .replace("apis: [orders]", "apis: [renamed]")
        .replace("grants: { orders:", "grants: { renamed:");
    doorward.place().write_settings(&renamed).unwrap();
    wait_until("the metric falls", SOON, || {
        metric(&doorward, "doorward_settings_current") == 0.0
    });
    assert_eq!(status(&doorward, "/open"), 200, "{}", doorward.log());
    let (_, apis) = doorward.admin_call("GET", "/v1/apis", None).unwrap();
    assert_eq!(apis["items"].as_array().unwrap().len(), 1, "{apis}");
    assert_eq!(apis["items"][0]["name"], "orders");
}

#[test]
fn what_waits_for_a_restart_is_named_at_every_reload_until_then() {
    let base = scene::settings("http://127.0.0.1:9");
    let mut doorward = Doorward::start(&base).unwrap();
    let lines = |doorward: &Doorward| {
        let log = doorward.log();
        let read = log.lines().filter(|line| line.contains("were read again"));
        read.map(str::to_owned).collect::<Vec<_>>()
    };
    let reload = |doorward: &Doorward, text: &str| {
        let many = lines(doorward).len();
        doorward.place().write_settings(text).unwrap();
        wait_until("the settings are read again", SOON, || {
            lines(doorward).len() > many
        });
        lines(doorward).pop().unwrap()
    };
    let said = reload(&doorward, &with_route(&base, "one"));
    assert!(said.contains("are in force\""), "{said}");
    let changed = with_route(&base, "one")
        .replace("drain: 5s", "drain: 6s")
        .replace("passes: 1", "passes: 2")
        .replace("per_address: off, ", "per_address: off, connections: 9, ")
        .replace(
            "level: info }",
            "level: info }\nreplay_memory: durable\noutbound: { allow_networks: [10.0.0.0/8] }",
        );
    let keys = "limits.connections, hashing, replay_memory, outbound, shutdown.drain";
    let said = reload(&doorward, &changed);
    assert!(
        said.contains(keys) && said.contains("at the next one"),
        "{said}"
    );
    // Still, though nothing of it changed this time; and no more when the process has begun with it.
    let said = reload(&doorward, &with_route(&changed, "two"));
    assert!(said.contains(keys), "{said}");
    assert!(doorward.stop().unwrap(), "{}", doorward.log());
    doorward.start_again().unwrap();
    let said = reload(&doorward, &with_route(&changed, "three"));
    assert!(said.contains("are in force\""), "{said}");
}

#[test]
fn what_is_dangerous_in_a_resource_is_said_at_the_start_and_after_a_reload() {
    let issuer = serde_json::json!({
        "apiVersion": "doorward/v1", "kind": "TrustedIssuer", "metadata": { "name": "asked" },
        "spec": { "issuer": "https://asked.example", "introspection": {
            "url": "https://asked.example/introspect", "client_id": "door",
            "client_secret": "file:master.key",
            "dangerous_assumed_audience": "https://orders.example",
        }},
    });
    let base = scene::settings("http://127.0.0.1:9")
        .replace("resources:\n", &format!("resources:\n  - {issuer}\n"));
    let doorward = Doorward::start(&base).unwrap();
    let said = |doorward: &Doorward| {
        let log = doorward.log();
        log.matches("TrustedIssuer/asked: `spec.introspection.dangerous_assumed_audience` is set")
            .count()
    };
    assert_eq!(said(&doorward), 1, "{}", doorward.log());
    // A change to something else does not say it again; a reload does.
    scene::key(&doorward, "another");
    doorward
        .place()
        .write_settings(&with_route(&base, "more"))
        .unwrap();
    wait_until("it is said again", SOON, || said(&doorward) == 2);
}

#[test]
fn what_is_decided_at_the_start_is_told_when_it_changes() {
    let upstream = Backend::start("one");
    let base = scene::settings(&upstream.url());
    let doorward = Doorward::start(&base).unwrap();
    let told = |what: &str| {
        let log = doorward.log();
        let mut lines = log.lines();
        lines.any(|line| line.contains("are taken over at the next one") && line.contains(what))
    };
    for (what, more) in [
        (
            "trusted_proxies, client_certificate_field",
            "trusted_proxies: [127.0.0.1]\nclient_certificate_field: client-cert\n",
        ),
        ("replay_memory", "replay_memory: durable\n"),
    ] {
        assert!(!told(what));
        let changed = format!("{more}{base}");
        doorward.place().write_settings(&changed).unwrap();
        wait_until(what, SOON, || told(what));
    }
}

/// The value of a metric without labels.
fn metric(doorward: &Doorward, name: &str) -> f64 {
    let text = wire::get(doorward.ops(), "/metrics", &[]).unwrap().text();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}
