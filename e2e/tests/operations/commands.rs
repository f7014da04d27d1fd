//! **The command line as its users know it**: keys, accounts, documents, roles, tokens.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::doorward::{self, BASE, Doorward, Place};
use testkit::wire;

use super::backend::Backend;
use super::scene::{self, attempt, command, command_json, issued, read_orders, wait_until, words};

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

fn node() -> (Backend, Doorward) {
    let upstream = Backend::start("one");
    let place = Place::new().unwrap();
    for secret in ["master.key", "tls/localhost.key"] {
        let file = place.path().join(secret);
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
    let doorward = place.start(&scene::settings(&upstream.url())).unwrap();
    (upstream, doorward)
}

/// Runs a command with something on its standard input.
fn piped(doorward: &Doorward, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(doorward::binary().unwrap())
        .args(arguments)
        .current_dir(doorward.place().path())
        .env("DOORWARD_ADMIN_URL", format!("http://{}", doorward.admin()))
        .env("DOORWARD_ADMIN_KEY", doorward.owner_key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

const CREATE: [&str; 10] = [
    "key",
    "create",
    "--application",
    "shop",
    "--label",
    "report",
    "--api",
    "orders",
    "--scope",
    "orders:read",
];

#[test]
fn a_key_lives_through_create_rotate_suspend_and_revoke() {
    let (_upstream, doorward) = node();
    let (old_id, old) = issued(&command_json(&doorward, &CREATE));
    assert_eq!(read_orders(&doorward, &old), 200);
    let rotated = command_json(&doorward, &["key", "rotate", &old_id, "--overlap", "1h"]);
    let (new_id, new) = issued(&rotated);
    assert_ne!((&old_id, &old), (&new_id, &new));
    assert_eq!(rotated["replaces"]["id"], old_id.as_str());
    for _ in 0..3 {
        assert_eq!(read_orders(&doorward, &new), 200);
    }
    assert_eq!(
        read_orders(&doorward, &old),
        200,
        "both work during the overlap"
    );
    let calls = |id: &str| {
        command_json(&doorward, &["key", "usage", id])["calls"]
            .as_i64()
            .unwrap()
    };
    wait_until("usage per key", SOON, || {
        calls(&old_id) == 2 && calls(&new_id) == 3
    });

    command(&doorward, &["key", "suspend", &new_id]);
    assert_eq!(read_orders(&doorward, &new), 401);
    command(&doorward, &["key", "resume", &new_id]);
    assert_eq!(read_orders(&doorward, &new), 200);
    command(&doorward, &["key", "revoke", &old_id]);
    assert_eq!(read_orders(&doorward, &old), 401);
    assert_eq!(read_orders(&doorward, &new), 200);
    let (now_id, now) = issued(&command_json(
        &doorward,
        &["key", "rotate", &new_id, "--overlap", "0s"],
    ));
    assert_eq!(
        (read_orders(&doorward, &new), read_orders(&doorward, &now)),
        (401, 200)
    );
    let shown = command(&doorward, &["key", "show", &now_id]);
    assert!(!shown.contains(&now), "a secret is shown once: {shown}");
}

#[test]
fn foreign_keys_work_by_their_hashes_alone() {
    let (_upstream, doorward) = node();
    let import = |hash: &str, prefix: Option<&str>| {
        let mut arguments = vec![
            "key",
            "import",
            "--application",
            "shop",
            "--label",
            "old",
            "--api",
            "orders",
            "--scope",
            "orders:read",
            "--verifier-file",
            "-",
            "--output",
            "json",
        ];
        if let Some(prefix) = prefix {
            arguments.extend(["--prefix", prefix]);
        }
        let ran = piped(&doorward, &arguments, hash);
        assert!(ran.status.success(), "{}", words(&ran));
        serde_json::from_slice::<Value>(&ran.stdout).unwrap()
    };
    // crypt(3) of libxcrypt made this one.
    let hash = "$2b$10$abcdefghijklmnopqrstuuoykTqG/TH4aH80JCwFqQMMLnYAqA3n.";
    import(hash, Some("old-4f9a81c2"));
    let key = "old-4f9a81c2-ThisIsTheSecretPartOfIt";
    let with_key = |key: &str| {
        doorward
            .get("/orders", &[("x-api-key", key)])
            .unwrap()
            .status
    };
    assert_eq!(with_key(key), 200);
    assert_eq!(with_key("old-4f9a81c2-ThisIsTheSecretPartOfIT"), 401);
    assert_eq!(with_key("old-00000000-ThisIsTheSecretPartOfIt"), 401);

    let key = "sha-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let hash = proof::digest::hex(&proof::digest::sha256(key.as_bytes()));
    let imported = import(&format!("sha256${hash}"), None);
    assert_eq!(with_key(key), 200);
    assert_eq!(with_key("sha-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYz"), 401);
    assert_eq!(with_key(&hash), 401, "the stored hash is no key");
    let id = imported["id"].as_str().unwrap();
    command(&doorward, &["key", "revoke", id]);
    assert_eq!(with_key(key), 401);
}

#[test]
fn an_accounts_password_is_set_from_standard_input_and_rotates() {
    let (_upstream, doorward) = node();
    let basic = |password: &str| {
        let pair = proof::base64std::encode(format!("alice:{password}").as_bytes());
        let ca = doorward.place().path().join("tls/ca.pem");
        let request = wire::request(
            doorward.gateway_tls(),
            "GET",
            "/orders",
            &[
                ("host", "localhost"),
                ("authorization", &format!("Basic {pair}")),
            ],
            b"",
        );
        wire::raw_tls(doorward.gateway_tls(), &ca, request)
            .unwrap()
            .status
    };
    let set = [
        "account",
        "password",
        "set",
        "alice",
        "--password-file",
        "-",
        "--output",
        "json",
    ];
    let weak = piped(&doorward, &set, "password\n");
    assert_eq!(weak.status.code(), Some(1), "{}", words(&weak));
    let made = piped(&doorward, &set, "a tall lamp beside the river\n");
    assert!(made.status.success(), "{}", words(&made));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(
        made["secret"].is_null(),
        "what the caller brought is not repeated"
    );
    assert_eq!(basic("a tall lamp beside the river"), 200);
    assert_eq!(basic("a tall lamp beside the rivers"), 401);
    let id = made["credential"]["id"].as_str().unwrap();
    let rotated = command_json(
        &doorward,
        &[
            "account",
            "password",
            "rotate",
            "alice",
            id,
            "--overlap",
            "0s",
        ],
    );
    let (_, secret) = issued(&rotated);
    assert_eq!(basic(&secret), 200);
    assert_eq!(basic("a tall lamp beside the river"), 401);
}

const SECOND: &str = "\
apiVersion: doorward/v1
kind: Api
metadata: { name: second }
spec:
  environment: test
  base_path: /second
  upstream: { urls: ['http://127.0.0.1:9'] }
  scopes: { look: Look }
  credentials: [api_key]
  routes: [{ name: all, methods: [GET], path: '/{rest*}', scopes: [look] }]
---
apiVersion: doorward/v1
kind: Application
metadata: { name: mobile }
spec: { owner: bob@example.com, purpose: The app, environment: test }
";

#[test]
fn documents_are_planned_applied_exported_and_pruned() {
    // Nothing comes from the settings file here, so everything is apply's.
    let doorward = Doorward::start(BASE).unwrap();
    let folder = doorward.place().path().to_owned();
    std::fs::write(folder.join("second.yaml"), SECOND).unwrap();
    let counts = |plan: &Value| plan["changes"].as_array().unwrap().len();

    let planned = command_json(&doorward, &["diff", "-f", "second.yaml"]);
    assert_eq!(
        (counts(&planned), &planned["applied"]),
        (2, &json!(false)),
        "{planned}"
    );
    let differs = attempt(
        &doorward,
        &["diff", "-f", "second.yaml", "--exit-code"],
        doorward.owner_key(),
    );
    assert_eq!(differs.status.code(), Some(1), "{}", words(&differs));
    let unasked = attempt(
        &doorward,
        &["apply", "-f", "second.yaml"],
        doorward.owner_key(),
    );
    assert_eq!(
        unasked.status.code(),
        Some(1),
        "nobody said yes: {}",
        words(&unasked)
    );
    let done = command_json(&doorward, &["apply", "-f", "second.yaml", "--yes"]);
    assert_eq!(
        (counts(&done), &done["applied"]),
        (2, &json!(true)),
        "{done}"
    );
    assert_eq!(
        doorward.get("/second/x", &[]).unwrap().status,
        401,
        "it is served at once"
    );

    let exported = command(&doorward, &["export"]);
    std::fs::write(folder.join("exported.yaml"), &exported).unwrap();
    let again = command_json(
        &doorward,
        &["apply", "-f", "exported.yaml", "--yes", "--prune"],
    );
    assert_eq!(
        (counts(&again), &again["unchanged"]),
        (0, &json!(2)),
        "{again}"
    );
    command(&doorward, &["export", "-o", "tree"]);
    let again = command_json(&doorward, &["apply", "-f", "tree", "--yes", "--prune"]);
    assert_eq!(counts(&again), 0, "{again}");

    std::fs::write(
        folder.join("changed.yaml"),
        SECOND.replace("The app", "The new app"),
    )
    .unwrap();
    let changed = command_json(&doorward, &["apply", "-f", "changed.yaml", "--yes"]);
    let field = &changed["changes"][0]["fields"][0];
    assert_eq!(
        (&field["path"], &field["after"]),
        (&json!("spec.purpose"), &json!("The new app")),
        "{changed}"
    );

    let only_api = SECOND.split("---").next().unwrap();
    std::fs::write(folder.join("less.yaml"), only_api).unwrap();
    let kept = command_json(&doorward, &["apply", "-f", "less.yaml", "--yes"]);
    assert_eq!(
        counts(&kept),
        0,
        "without --prune nothing is removed: {kept}"
    );
    let pruned = command_json(&doorward, &["apply", "-f", "less.yaml", "--yes", "--prune"]);
    assert_eq!(pruned["changes"][0]["action"], "delete", "{pruned}");
    assert_eq!(pruned["changes"][0]["name"], "mobile", "{pruned}");

    std::fs::write(
        folder.join("bad.yaml"),
        SECOND.replace("scopes: [look]", "scopes: [lok]"),
    )
    .unwrap();
    let bad = attempt(
        &doorward,
        &["apply", "-f", "bad.yaml", "--yes"],
        doorward.owner_key(),
    );
    assert_eq!(bad.status.code(), Some(1), "{}", words(&bad));
    assert!(words(&bad).contains("lok"), "{}", words(&bad));
}

#[test]
fn a_concurrent_edit_is_a_conflict_and_what_a_file_declares_is_read_only() {
    let (_upstream, doorward) = node();
    let put = |version: i64, purpose: &str| {
        let body = json!({ "version": version, "spec": {
            "owner": "b@example.com", "purpose": purpose, "environment": "test" } });
        doorward
            .admin_call("PUT", "/v1/applications/mobile", Some(&body))
            .unwrap()
    };
    let (status, made) = put(0, "first");
    assert!(status == 200 || status == 201, "{made}");
    let seen = made["version"].as_i64().unwrap();
    assert_eq!(put(seen, "second").0, 200);
    let (status, answer) = put(seen, "third, of somebody who saw the first");
    assert!(status == 409 || status == 412, "{status} {answer}");
    assert_eq!(put(0, "fourth, of somebody who saw none").0, status);
    let shown = command_json(&doorward, &["application", "show", "mobile"]);
    assert_eq!(shown["spec"]["purpose"], "second");
    let stale = attempt(
        &doorward,
        &[
            "application",
            "delete",
            "mobile",
            "--version",
            &seen.to_string(),
        ],
        doorward.owner_key(),
    );
    assert_eq!(stale.status.code(), Some(1), "{}", words(&stale));

    let body =
        json!({ "spec": { "owner": "x@example.com", "purpose": "mine", "environment": "test" } });
    let (status, answer) = doorward
        .admin_call("PUT", "/v1/applications/shop", Some(&body))
        .unwrap();
    assert!((400..500).contains(&status), "{status} {answer}");
    let refused = attempt(
        &doorward,
        &["application", "delete", "shop"],
        doorward.owner_key(),
    );
    assert_eq!(refused.status.code(), Some(1), "{}", words(&refused));
    let exported = command(&doorward, &["export"]);
    let path = doorward.place().path().join("all.yaml");
    std::fs::write(&path, exported).unwrap();
    let plan = command_json(&doorward, &["diff", "-f", "all.yaml", "--prune"]);
    assert_eq!(plan["changes"], json!([]), "{plan}");
}

#[test]
fn administrators_may_do_what_their_role_says() {
    let (_upstream, doorward) = node();
    let admin = |role: &str| {
        issued(&command_json(
            &doorward,
            &["admin-key", "create", "--label", role, "--role", role],
        ))
        .1
    };
    let (operator, auditor) = (admin("operator"), admin("auditor"));
    let code = |arguments: &[&str], key: &str| attempt(&doorward, arguments, key).status.code();
    assert_eq!(code(&CREATE, &operator), Some(0));
    let denied = attempt(&doorward, &CREATE, &auditor);
    assert_eq!(denied.status.code(), Some(1));
    assert!(words(&denied).contains("role"), "{}", words(&denied));
    for arguments in [
        ["key", "list"].as_slice(),
        &["audit", "verify"],
        &["export"],
        &["status"],
    ] {
        assert_eq!(code(arguments, &auditor), Some(0), "{arguments:?}");
    }
    let raise = ["admin-key", "create", "--label", "mine", "--role", "owner"];
    assert_eq!(code(&raise, &operator), Some(1), "nobody raises himself");
    assert_eq!(code(&raise, &auditor), Some(1));
    let nobody = attempt(&doorward, &["status"], "dw_ak_live_nonsense");
    assert_eq!(nobody.status.code(), Some(1), "{}", words(&nobody));
    let (_, key) = scene::key(&doorward, "data");
    assert_eq!(
        code(&["status"], &key),
        Some(1),
        "a data credential never opens the admin API"
    );
}

#[test]
fn tokens_are_minted_inspected_and_verified() {
    let (_upstream, doorward) = node();
    let secret = scene::client_secret(&doorward);
    std::fs::write(doorward.place().path().join("secret"), &secret).unwrap();
    let mint = [
        "token",
        "mint",
        "--client",
        "backend",
        "--secret-file",
        "secret",
        "--scope",
        "orders:read",
    ];
    let minted = command_json(&doorward, &mint);
    let token = minted["access_token"].as_str().unwrap();
    assert_eq!(read_orders(&doorward, token), 200);
    assert_eq!(
        command(&doorward, &mint).trim().split('.').count(),
        3,
        "a token and nothing else"
    );

    let inspected = piped(&doorward, &["token", "inspect", "--output", "json"], token);
    assert!(
        words(&inspected).contains("backend"),
        "{}",
        words(&inspected)
    );
    serde_json::from_slice::<Value>(&inspected.stdout).unwrap();

    let metadata = "/.well-known/oauth-authorization-server";
    let metadata = wire::get(doorward.issuer(), metadata, &[]).unwrap().json();
    let origin = format!("http://{}", doorward.issuer());
    let path = metadata["jwks_uri"]
        .as_str()
        .unwrap()
        .strip_prefix(&origin)
        .unwrap();
    let jwks = wire::get(doorward.issuer(), path, &[]).unwrap();
    assert_eq!(jwks.status, 200, "{jwks:?}");
    std::fs::write(doorward.place().path().join("jwks.json"), &jwks.body).unwrap();
    let verify = [
        "token",
        "verify",
        "--jwks",
        "jwks.json",
        "--audience",
        "https://orders.example",
        "--output",
        "json",
    ];
    let verified = piped(&doorward, &verify, token);
    assert!(verified.status.success(), "{}", words(&verified));
    assert_eq!(
        serde_json::from_slice::<Value>(&verified.stdout).unwrap()["valid"],
        true
    );
    let mut forged = token.to_owned();
    forged.replace_range(
        token.len() - 10..token.len() - 9,
        if token.as_bytes()[token.len() - 10] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    let verified = piped(&doorward, &verify, &forged);
    assert_eq!(verified.status.code(), Some(1), "{}", words(&verified));

    let claims = inspected_claims(token);
    command(
        &doorward,
        &["token", "revoke", "--id", claims["jti"].as_str().unwrap()],
    );
    assert_eq!(read_orders(&doorward, token), 401);
}

fn inspected_claims(token: &str) -> Value {
    let body = proof::base64url::decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn every_commands_json_is_json() {
    let (_upstream, doorward) = node();
    let (id, key) = scene::key(&doorward, "listed");
    assert_eq!(read_orders(&doorward, &key), 200);
    let secret = command_json(&doorward, &["client", "secret", "create", "backend"]);
    let secret = secret["credential"]["id"].as_str().unwrap().to_owned();
    for arguments in [
        ["status"].as_slice(),
        &["api", "list"],
        &["api", "show", "orders"],
        &["application", "list"],
        &["client", "list"],
        &["client", "show", "backend"],
        &["client", "secret", "list", "backend"],
        &["client", "secret", "rotate", "backend", &secret],
        &["account", "list"],
        &["account", "password", "set", "alice"],
        &["account", "password", "list", "alice"],
        &["issuer", "list"],
        &["key", "list"],
        &["key", "show", &id],
        &["key", "usage", &id],
        &["key", "amend", &id, "--label", "renamed"],
        &["key", "suspend", &id],
        &["key", "resume", &id],
        &["key", "rotate", &id],
        &["key", "revoke", &id],
        &["admin-key", "list"],
        &["signing-key", "list"],
        &["signing-key", "rotate", "access"],
        &["export"],
        &["export", "--keys"],
        &["audit", "list"],
        &["audit", "verify"],
        &["decisions", "list"],
        &["config", "check", "--config", "doorward.yaml"],
        &["config", "explain", "--config", "doorward.yaml"],
        &["config", "schema"],
        &["doctor", "--config", "doorward.yaml"],
    ] {
        let value = command_json(&doorward, arguments);
        assert!(
            value.is_object() || value.is_array(),
            "{arguments:?}: {value}"
        );
    }
    // A refusal leaves standard output to nobody's guess: nothing, and a sentence beside it.
    let refused = attempt(
        &doorward,
        &["key", "show", "key_nobody", "--output", "json"],
        doorward.owner_key(),
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stdout.is_empty() && !refused.stderr.is_empty(),
        "{}",
        words(&refused)
    );
}

#[test]
fn doctor_finds_a_healthy_node_healthy_and_a_bad_one_bad() {
    let (_upstream, doorward) = node();
    let healthy = attempt(
        &doorward,
        &["doctor", "--config", "doorward.yaml"],
        doorward.owner_key(),
    );
    assert!(healthy.status.success(), "{}", words(&healthy));
    let file = doorward.place().settings_file();
    let bad = std::fs::read_to_string(&file)
        .unwrap()
        .replace("drain: 5s", "drain: soon");
    std::fs::write(doorward.place().path().join("bad.yaml"), bad).unwrap();
    let ill = attempt(
        &doorward,
        &["doctor", "--config", "bad.yaml"],
        doorward.owner_key(),
    );
    assert_eq!(ill.status.code(), Some(1), "{}", words(&ill));
    assert!(words(&ill).contains("bad.yaml:8:"), "{}", words(&ill));
}
