//! H1: a mistake in the settings stops the start, with its place, and nothing is guessed.

use testkit::doorward::{BASE, Place};

/// One mistake: what is changed in good settings, where it must be found, and what must be said.
struct Row {
    /// Text of the good settings, and what stands there instead; `""`: appended.
    change: (&'static str, &'static str),
    /// The line's own text, to find its number by.
    at: &'static str,
    /// What the message says.
    says: &'static str,
}

const GOOD: &str = "\
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: ['https://orders.example']
      upstream: { urls: ['http://127.0.0.1:9'] }
      scopes: { read: Read }
      routes:
        - { path: /open, public: true }
        - { path: /closed, credentials: [api_key], scopes: [read] }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: x } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: machine }
    spec: { application: shop, auth_method: client_secret_basic, grants: { orders: [read] } }
  - apiVersion: doorward/v1
    kind: Account
    metadata: { name: alice }
    spec: { application: shop, apis: [orders], scopes: [read] }
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: remote }
    spec: { issuer: 'https://remote.example', jwks_url: 'https://remote.example/jwks' }
";

const ROWS: &[Row] = &[
    Row {
        change: ("shutdown: {", "shutdwn: {"),
        at: "shutdwn",
        says: "shutdwn",
    },
    Row {
        change: ("drain: 5s", "drain: 5s, dran: 1s"),
        at: "dran: 1s",
        says: "dran",
    },
    Row {
        change: ("drain: 5s", "drain: 5 parsecs"),
        at: "parsecs",
        says: "a duration is",
    },
    Row {
        change: ("version: 1", "version: 2"),
        at: "version: 2",
        says: "1",
    },
    Row {
        change: (
            "master_key: file:master.key",
            "master_key: file:nowhere.key",
        ),
        at: "nowhere.key",
        says: "can't be read",
    },
    Row {
        change: ("master_key: file:master.key", "master_key: ${NOT_SET}"),
        at: "NOT_SET",
        says: "NOT_SET",
    },
    Row {
        change: (
            "master_key: file:master.key",
            "master_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        at: "AAAAAAA",
        says: "must not stand",
    },
    Row {
        change: ("serves: [admin]", "serves: [admin, gateway]"),
        at: "[admin, gateway]",
        says: "share",
    },
    Row {
        change: ("serves: [ops]", "serves: [ops, issuer]"),
        at: "[ops, issuer]",
        says: "share",
    },
    Row {
        change: (
            "name: admin, address: '@ADMIN@'",
            "name: admin, address: '0.0.0.0:9'",
        ),
        at: "0.0.0.0:9",
        says: "plain HTTP",
    },
    Row {
        change: (
            "name: gateway, address: '@GATEWAY@'",
            "name: gateway, address: '[::]:9'",
        ),
        at: "[::]:9",
        says: "plain HTTP",
    },
    Row {
        change: (
            "name: gateway, address: '@GATEWAY@'",
            "name: gateway, behind_trusted_proxy: true, address: '192.0.2.1:9'",
        ),
        at: "192.0.2.1:9",
        says: "plain HTTP",
    },
    Row {
        change: (
            "name: gateway, address: '@GATEWAY@'",
            "name: gateway, address: 'gateway'",
        ),
        at: "'gateway'",
        says: "address",
    },
    Row {
        change: (
            "issuer: { url: 'http://@ISSUER@' }",
            "issuer: { url: 'http://login.example' }",
        ),
        at: "login.example",
        says: "issuer",
    },
    Row {
        change: ("shutdown:", "trusted_proxies: [everyone]\nshutdown:"),
        at: "everyone",
        says: "everyone",
    },
    Row {
        change: (
            "shutdown:",
            "outbound: { allow_networks: ['10.0.0.0/99'] }\nshutdown:",
        ),
        at: "10.0.0.0/99",
        says: "10.0.0.0/99",
    },
    Row {
        change: ("shutdown:", "hashing: { passes: 1 }\nshutdown:"),
        at: "passes: 1 }\nshutdown",
        says: "hashing",
    },
    Row {
        change: ("per_address: off", "per_address: many"),
        at: "per_address: many",
        says: "a rate is",
    },
    Row {
        change: (
            "failures_per_address: off",
            "penalty: { first: 2h, longest: 3h }",
        ),
        at: "first: 2h",
        says: "between 1s and 1h",
    },
    Row {
        change: (
            "failures_per_address: off",
            "penalty: { first: 1m, longest: 30s }",
        ),
        at: "longest: 30s",
        says: "shorter than the first",
    },
    Row {
        change: ("failures_per_address: off", "held_bodies: 1MiB"),
        at: "held_bodies: 1MiB",
        says: "between 8MiB and 64GiB",
    },
    Row {
        change: ("failures_per_address: off", "held_bodies: much"),
        at: "held_bodies: much",
        says: "a size is",
    },
    // Documents.
    Row {
        change: ("{ path: /open, public: true }", "{ path: /open }"),
        at: "{ path: /open }",
        says: "who may call",
    },
    Row {
        change: (
            "{ path: /open, public: true }",
            "{ path: /open, public: true, credentials: [api_key] }",
        ),
        at: "public: true, credentials",
        says: "public",
    },
    Row {
        change: ("credentials: [api_key]", "credentials: []"),
        at: "credentials: []",
        says: "the list is empty",
    },
    Row {
        change: ("credentials: [api_key]", "credentials: [password]"),
        at: "[password]",
        says: "password",
    },
    Row {
        change: ("scopes: [read] }\n  - { api", "scopes: [raed] }\n  - { api"),
        at: "[raed]",
        says: "raed",
    },
    Row {
        change: (
            "{ path: /open, public: true }",
            "{ path: /open, public: true, pubic: true }",
        ),
        at: "pubic",
        says: "pubic",
    },
    Row {
        change: (
            "{ path: /open, public: true }",
            "{ path: /closed, public: true }",
        ),
        at: "/closed, cred",
        says: "same calls",
    },
    Row {
        change: (
            "{ path: /open, public: true }",
            "{ path: /open/../x, public: true }",
        ),
        at: "/open/../x",
        says: "path",
    },
    Row {
        change: ("audiences: ['https://orders.example']", "audiences: []"),
        at: "audiences: []",
        says: "the list is empty",
    },
    Row {
        change: ("audiences: ['https://orders.example']", "audiences: ['']"),
        at: "audiences: ['']",
        says: "audience",
    },
    Row {
        change: ("urls: ['http://127.0.0.1:9']", "urls: []"),
        at: "urls: []",
        says: "the list is empty",
    },
    Row {
        change: ("grants: { orders: [read] }", "grants: { ordres: [read] }"),
        at: "ordres",
        says: "ordres",
    },
    Row {
        change: ("grants: { orders: [read] }", "grants: { orders: [delete] }"),
        at: "[delete]",
        says: "delete",
    },
    Row {
        change: (
            "apis: [orders], scopes: [read] }",
            "apis: [orders], scopes: [read], username: '' }",
        ),
        at: "username: ''",
        says: "user name",
    },
    Row {
        change: ("apis: [orders], scopes", "apis: [ordres], scopes"),
        at: "[ordres]",
        says: "ordres",
    },
    Row {
        change: (
            "spec: { application: shop, auth",
            "spec: { application: shpo, auth",
        ),
        at: "shpo",
        says: "shpo",
    },
    Row {
        change: (
            "jwks_url: 'https://remote.example/jwks'",
            "jwks_url: 'http://remote.example/jwks'",
        ),
        at: "http://remote.example/jwks",
        says: "https",
    },
    Row {
        change: (
            "jwks_url: 'https://remote.example/jwks'",
            "types: [JWT], jwks_url: 'https://remote.example/jwks'",
        ),
        at: "types: [JWT]",
        says: "guard",
    },
    Row {
        change: (
            "jwks_url: 'https://remote.example/jwks'",
            "algorithms: [HS256], jwks_url: 'https://remote.example/jwks'",
        ),
        at: "HS256",
        says: "HS256",
    },
    Row {
        change: (
            "jwks_url: 'https://remote.example/jwks'",
            "algorithms: [none], jwks_url: 'https://remote.example/jwks'",
        ),
        at: "[none]",
        says: "none",
    },
    Row {
        change: (
            "jwks_url: 'https://remote.example/jwks'",
            "algorithms: [], jwks_url: 'https://remote.example/jwks'",
        ),
        at: "algorithms: []",
        says: "the list is empty",
    },
    Row {
        change: (
            "jwks_url: 'https://remote.example/jwks'",
            "access_token_guards: [], types: [JWT], jwks_url: 'https://remote.example/jwks'",
        ),
        at: "access_token_guards: []",
        says: "the list is empty",
    },
    Row {
        change: ("issuer: 'https://remote.example'", "issuer: ''"),
        at: "issuer: ''",
        says: "issuer",
    },
    Row {
        change: (", jwks_url: 'https://remote.example/jwks'", ""),
        at: "issuer: 'https://remote.example' }",
        says: "no source of this issuer's keys",
    },
];

/// Defence: `app/src/settings` (`tree.rs` for shape, `meant.rs` for meaning) and
/// `registry/src/meaning`; `config::run` turns any flaw into an exit code.
#[test]
fn h01_every_mistake_stops_the_start_and_is_told_with_its_place() {
    let place = Place::new().unwrap();
    let good = format!("{BASE}{GOOD}");
    place.write_settings(&good).unwrap();
    let output = place.run(&["config", "check"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut wrong = Vec::new();
    for row in ROWS {
        let (from, to) = row.change;
        assert!(good.contains(from), "{from:?} is not in the settings");
        let text = good.replacen(from, to, 1);
        let at = text.find(row.at).unwrap_or_else(|| panic!("{:?}", row.at));
        let line = text[..at].matches('\n').count() + 1;
        place.write_settings(&text).unwrap();
        let output = place.run(&["config", "check"]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let prefix = format!("doorward.yaml:{line}:");
        let found = said
            .lines()
            .find(|told| told.contains(&prefix))
            .is_some_and(|told| told.to_lowercase().contains(&row.says.to_lowercase()));
        if output.status.success() || !found {
            wrong.push(format!(
                "{to:?} (line {line}, {:?}): {}\n{said}",
                row.says, output.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Defence: `settings::load` collects and tells; `serve::run` loads before it opens anything.
#[test]
fn h01_serve_refuses_to_start_tells_all_mistakes_at_once_and_opens_no_port() {
    let place = Place::new().unwrap();
    let text = format!("{BASE}{GOOD}")
        .replace("drain: 5s", "drain: soon")
        .replace("level: info", "lovel: info")
        .replace("public: true", "pubic: true")
        .replace("grants: { orders:", "grants: { ordres:");
    place.write_settings(&text).unwrap();
    let output = place.run(&["serve", "--config", "doorward.yaml"]).unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for word in ["a duration", "lovel", "pubic"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(said.matches("doorward.yaml:").count() >= 3, "{said}");
    assert!(std::net::TcpStream::connect(place.gateway).is_err());
    assert!(
        !place.path().join("data/doorward.db").exists(),
        "something was made before"
    );
    // The same for programs.
    let output = place.run(&["--output", "json", "config", "check"]).unwrap();
    assert!(!output.status.success());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    let flaws = told["flaws"].as_array().unwrap();
    assert!(flaws.len() >= 3);
    for flaw in flaws {
        assert!(
            flaw["line"].as_u64() > Some(0) && flaw["column"].as_u64() > Some(0),
            "{flaw}"
        );
    }
}

/// Defence: `meant.rs`, `plain_allowed`.
#[test]
fn h01_plain_http_beyond_loopback_refuses_to_start() {
    for (name, port) in [
        ("gateway", "@GATEWAY@"),
        ("issuer", "@ISSUER@"),
        ("admin", "@ADMIN@"),
    ] {
        let place = Place::new().unwrap();
        let line = format!("name: {name}, address: '{port}'");
        assert!(BASE.contains(&line));
        let open = format!("name: {name}, address: '0.0.0.0:0'");
        place.write_settings(&BASE.replace(&line, &open)).unwrap();
        let output = place.run(&["serve", "--config", "doorward.yaml"]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("plain HTTP beyond this machine"),
            "{said}"
        );
        assert!(said.contains("hint:"), "{said}");
    }
}

#[test]
fn an_issuer_that_hides_apis_on_its_host_is_warned_of() {
    const APIS: &str = r#"resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      upstream: { urls: ["http://127.0.0.1:9"] }
      routes: [{ path: "/orders", public: true }]
"#;
    let place = Place::new().unwrap();
    let checked = |settings: &str| {
        place.write_settings(settings).unwrap();
        let output = place.run(&["config", "check"]).unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let apart = format!("{BASE}{APIS}");
    let said = checked(&apart);
    assert!(!said.contains("warning"), "{said}");
    let shared = apart.replacen("serves: [gateway] }", "serves: [gateway, issuer] }", 1);
    let said = checked(&shared);
    assert!(said.contains("listener `gateway`"), "{said}");
    assert!(said.contains("calls there don't reach `orders`."), "{said}");
    // On a host of its own nothing hides it.
    let elsewhere = shared.replacen(
        "      upstream:",
        "      hosts: [api.example]\n      upstream:",
        1,
    );
    let said = checked(&elsewhere);
    assert!(!said.contains("warning"), "{said}");
}
