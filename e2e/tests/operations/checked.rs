//! **Before it is started**: `config check`, `doctor` and `serve` say the same of every file that the
//! settings and their resources name, with the line where it is named; what is allowed and hardly
//! meant is warned of; and `doctor` asks the admin API of the settings that it looks at.

use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use testkit::doorward::{self, BASE, Doorward, Place};
use testkit::tokens::ForeignIssuer;

use super::scene::{self, words};

/// Every kind of file that a start reads.
const RESOURCES: &str = r#"outbound:
  ca_file: tls/ca.pem
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: static }
    spec:
      issuer: https://static.example
      jwks_file: keys/jwks.json
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: pasetos }
    spec:
      issuer: https://pasetos.example
      paseto_key_files: [keys/public.paserk]
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: asked }
    spec:
      issuer: https://asked.example
      introspection:
        url: https://asked.example/introspect
        client_id: door
        client_secret: file:keys/asked.secret
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream:
        urls: ['https://127.0.0.1:9']
        tls:
          ca_file: tls/ca.pem
          certificate_file: tls/localhost.pem
          key_file: tls/localhost.key
        credential:
          api_key: { secret: 'file:keys/up.secret' }
      client_certificates:
        ca_file: tls/ca.pem
        identities: [{ uri: 'spiffe://example.org/a' }]
      token_encryption:
        key_files: [tls/localhost.key]
      credentials: [jwt, opaque, paseto, mtls]
      issuers: [static, pasetos, asked]
      routes: [{ path: /orders, methods: [GET] }]
  - apiVersion: doorward/v1
    kind: Application
    metadata: { name: shop }
    spec: { owner: a@example.com, purpose: Tests }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: export }
    spec:
      application: shop
      auth_method: client_secret_basic
      signs_calls: true
      call_certificates:
        ca_file: tls/ca.pem
        name: { uri: 'spiffe://example.org/export' }
"#;

/// A change to the good settings: what stands there, what takes its place, which of the lines that
/// hold the new text is named, and what is said.
struct Row {
    change: (&'static str, &'static str),
    at: usize,
    says: &'static [&'static str],
}

const fn row(
    from: &'static str,
    to: &'static str,
    at: usize,
    says: &'static [&'static str],
) -> Row {
    Row {
        change: (from, to),
        at,
        says,
    }
}

const ROWS: [Row; 19] = [
    row(
        "certificate_file: tls/localhost.pem, key_file: tls/localhost.key }]",
        "certificate_file: tls/localhost.pem, key_file: tls/other.key }]",
        0,
        &["listener `gateway-tls`", "tls/other.key", "KeyMismatch"],
    ),
    row(
        "certificate_file: tls/localhost.pem, key_file: tls/localhost.key }]",
        "certificate_file: keys/garbage, key_file: tls/localhost.key }]",
        0,
        &["listener `gateway-tls`", "keys/garbage"],
    ),
    row(
        "outbound:\n  ca_file: tls/ca.pem",
        "outbound:\n  ca_file: keys/garbage",
        1,
        &["keys/garbage can't be used", "certificate"],
    ),
    row(
        "outbound:\n  ca_file: tls/ca.pem",
        "outbound:\n  ca_file: keys/nowhere",
        1,
        &["keys/nowhere can't be read"],
    ),
    row(
        "jwks_file: keys/jwks.json",
        "jwks_file: keys/nowhere",
        0,
        &["TrustedIssuer `static`", "keys/nowhere can't be read"],
    ),
    row(
        "jwks_file: keys/jwks.json",
        "jwks_file: keys/garbage",
        0,
        &["TrustedIssuer `static`", "keys/garbage is no key set"],
    ),
    row(
        "paseto_key_files: [keys/public.paserk]",
        "paseto_key_files: [keys/nowhere]",
        0,
        &["TrustedIssuer `pasetos`", "keys/nowhere can't be read"],
    ),
    row(
        "paseto_key_files: [keys/public.paserk]",
        "paseto_key_files: [keys/garbage]",
        0,
        &["TrustedIssuer `pasetos`", "keys/garbage is no PASETO key"],
    ),
    row(
        "client_secret: file:keys/asked.secret",
        "client_secret: file:keys/nowhere",
        0,
        &["TrustedIssuer `asked`", "keys/nowhere can't be read"],
    ),
    row(
        "tls:\n          ca_file: tls/ca.pem",
        "tls:\n          ca_file: keys/nowhere",
        1,
        &["Api `orders`", "keys/nowhere"],
    ),
    row(
        "          key_file: tls/localhost.key",
        "          key_file: tls/other.key",
        0,
        &["Api `orders`", "tls/other.key"],
    ),
    row(
        "api_key: { secret: 'file:keys/up.secret' }",
        "api_key: { secret: 'file:keys/nowhere' }",
        0,
        &["Api `orders`", "keys/nowhere can't be read"],
    ),
    row(
        "api_key: { secret: 'file:keys/up.secret' }",
        "api_key: { secret: 'env:NOBODY_SET_IT' }",
        0,
        &["Api `orders`", "NOBODY_SET_IT is not set"],
    ),
    row(
        "client_certificates:\n        ca_file: tls/ca.pem",
        "client_certificates:\n        ca_file: keys/nowhere",
        1,
        &["Api `orders`", "keys/nowhere can't be read"],
    ),
    row(
        "client_certificates:\n        ca_file: tls/ca.pem",
        "client_certificates:\n        ca_file: keys/garbage",
        1,
        &["Api `orders`", "keys/garbage: not certificates in PEM"],
    ),
    row(
        "client_certificates:\n        ca_file: tls/ca.pem",
        "client_certificates:\n        ca_file: tls/ca.pem\n        crl_files: [keys/garbage]",
        2,
        &[
            "Api `orders`",
            "keys/garbage: not a certificate revocation list",
        ],
    ),
    row(
        "key_files: [tls/localhost.key]",
        "key_files: [keys/garbage]",
        0,
        &["API `orders`", "keys/garbage is no key that opens tokens"],
    ),
    row(
        "call_certificates:\n        ca_file: tls/ca.pem",
        "call_certificates:\n        ca_file: keys/garbage",
        1,
        &["Client `export`", "keys/garbage: not certificates in PEM"],
    ),
    row(
        "issuer: { url: 'http://@ISSUER@' }",
        "issuer: { url: 'http://@ISSUER@', client_certificates: { ca_file: keys/garbage } }",
        0,
        &["keys/garbage: not certificates in PEM"],
    ),
];

fn place() -> Place {
    let place = Place::new().unwrap();
    let keys = place.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let write = |name: &str, content: &str| {
        doorward::write_private(&keys.join(name), content.as_bytes()).unwrap();
    };
    let issuer = ForeignIssuer::new("https://static.example");
    write("jwks.json", &issuer.jwks().to_string());
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let public = key.public_jwk().to_json()["x"].as_str().unwrap().to_owned();
    write("public.paserk", &format!("k4.public.{public}"));
    write("asked.secret", "a secret of some length");
    write("up.secret", "another secret");
    write("garbage", "neither PEM nor JSON nor anything");
    let other = Place::new().unwrap();
    let key = std::fs::read(other.path().join("tls/localhost.key")).unwrap();
    doorward::write_private(&place.path().join("tls/other.key"), &key).unwrap();
    place
}

fn good() -> String {
    format!("{BASE}{RESOURCES}")
}

#[test]
fn every_file_that_a_start_would_end_with_is_told_by_the_check_with_its_line() {
    let place = place();
    place.write_settings(&good()).unwrap();
    let checked = place.run(&["config", "check"]).unwrap();
    assert!(checked.status.success(), "{}", words(&checked));
    let mut wrong = Vec::new();
    for Row { change, at, says } in ROWS {
        let (from, to) = change;
        assert!(good().contains(from), "{from}");
        let text = good().replacen(from, to, 1);
        let line = 1 + text[..text.find(to).unwrap()].matches('\n').count() + at;
        place.write_settings(&text).unwrap();
        let place_of = format!("doorward.yaml:{line}:");
        let said_well = |said: &str| {
            said.lines()
                .any(|told| told.contains(&place_of) && says.iter().all(|one| told.contains(one)))
        };
        let checked = place.run(&["config", "check"]).unwrap();
        let doctor = place.run(&["doctor"]).unwrap();
        let (code, served) = scene::serve_to_its_end(&place);
        for (who, failed, said) in [
            ("check", !checked.status.success(), words(&checked)),
            ("doctor", !doctor.status.success(), words(&doctor)),
            ("serve", code == Some(1), served),
        ] {
            if !failed || !said_well(&said) {
                wrong.push(format!("{who}: {to:?}, {place_of} {says:?}:\n{said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(
        !place.path().join("data/doorward.db").exists(),
        "something was made before"
    );
    // What the check calls good does start.
    let mut doorward = place.start(&good()).unwrap();
    assert!(doorward.stop().unwrap(), "{}", doorward.log());
}

#[test]
fn certificates_that_no_listener_asks_for_are_warned_of() {
    let place = place();
    let checked = |settings: &str| {
        place.write_settings(settings).unwrap();
        let checked = place.run(&["config", "check"]).unwrap();
        assert!(checked.status.success(), "{}", words(&checked));
        words(&checked)
    };
    const WARNING: &str =
        "warning: API `orders` takes client certificates (`mtls`), and none can come";
    assert!(!checked(&good()).contains("warning"));
    // The first that asks is the gateway's; the issuer's own does not help.
    let asks = "      client_certificates: optional\n";
    let unasked = good().replacen(asks, "", 1);
    let said = checked(&unasked);
    assert!(said.contains(WARNING), "{said}");
    let relayed =
        format!("{unasked}trusted_proxies: [127.0.0.9]\nclient_certificate_field: client-cert\n");
    assert!(!checked(&relayed).contains("warning"));
    let off = good().replacen(asks, "      client_certificates: off\n", 1);
    assert!(checked(&off).contains(WARNING));
}

#[test]
fn doctor_asks_the_admin_api_of_the_settings_that_it_looks_at() {
    let doorward = Doorward::start(BASE).unwrap();
    let place = doorward.place();
    let key = [("DOORWARD_ADMIN_KEY", doorward.owner_key())];
    let looked = |arguments: &[&str]| words(&place.run_with(arguments, &key).unwrap());
    for arguments in [&["doctor"][..], &["doctor", "--config", "doorward.yaml"]] {
        let said = looked(arguments);
        assert!(said.contains("✓ admin API: version"), "{said}");
    }
    let [nobody] = doorward::free_addresses().unwrap();
    let elsewhere = format!("http://{nobody}");
    let said = looked(&["doctor", "--admin-url", &elsewhere]);
    assert!(
        said.contains(&format!("✗ admin API: {elsewhere} can not be reached")),
        "{said}"
    );
    // Settings without an admin API have none to ask, and no other's is asked for them.
    let without = place.path().join("without.yaml");
    let text = BASE.replace(
        "  - { name: admin, address: '@ADMIN@', serves: [admin] }\n",
        "",
    );
    std::fs::write(&without, place.fill(&text)).unwrap();
    let said = looked(&["doctor", "--config", "without.yaml"]);
    assert!(said.contains("no listener for the admin API"), "{said}");
    assert!(!said.contains("✓ admin API"), "{said}");
}

#[test]
fn a_command_that_reaches_another_listener_is_told_so() {
    let doorward = Doorward::start(BASE).unwrap();
    for address in [doorward.gateway(), doorward.issuer()] {
        let url = format!("http://{address}");
        let key = [("DOORWARD_ADMIN_KEY", doorward.owner_key())];
        let asked = doorward
            .place()
            .run_with(&["status", "--admin-url", &url], &key);
        let said = words(&asked.unwrap());
        assert!(
            said.contains(&format!("{url} is no admin API")) && said.contains("--admin-url"),
            "{said}"
        );
    }
}

#[test]
fn a_decision_that_is_not_in_the_log_yet_is_said_to_come() {
    let doorward = Doorward::start(BASE).unwrap();
    let id = "019a0000-0000-7000-8000-000000000000";
    let asked = scene::attempt(
        &doorward,
        &["explain", "--decision", id],
        doorward.owner_key(),
    );
    let said = words(&asked);
    assert_eq!(asked.status.code(), Some(1), "{said}");
    assert!(said.contains("try again in a second"), "{said}");
}

#[test]
fn a_log_level_that_is_none_is_refused_and_a_quiet_log_keeps_the_checkpoints() {
    let place = Place::new().unwrap();
    for (level, says) in [
        ("loud", "`loud` is no log level"),
        ("inf", "`inf` is no log level"),
        ("''", "`` is no log level"),
        ("info,gateway=lots", "`gateway=lots` is no log level"),
        ("gateway=debug", "says nothing of all else"),
    ] {
        let text = BASE.replace(
            "level: info",
            &format!("level: '{}'", level.trim_matches('\'')),
        );
        place.write_settings(&text).unwrap();
        let checked = place.run(&["config", "check"]).unwrap();
        let said = words(&checked);
        assert!(!checked.status.success(), "{level}: {said}");
        assert!(
            said.contains("doorward.yaml:7:") && said.contains(says),
            "{said}"
        );
        assert!(said.contains("error, warn, info"), "{said}");
    }
    for (level, kept) in [("warn", true), ("'off'", true), ("'warn,audit=off'", false)] {
        let text = BASE.replace("level: info", &format!("level: {level}"));
        let mut doorward = Doorward::start(&text).unwrap();
        assert!(doorward.stop().unwrap());
        let log = doorward.log();
        assert_eq!(log.contains(r#""target":"audit""#), kept, "{level}: {log}");
        assert!(!log.contains("\"ready\""), "{level}: {log}");
    }
}
