//! **What requests are signed with**, as its users know it: made, brought in, rotated and ended on
//! the command line, sealed in the database, and carried over to a new master key.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proof::request::SignedHead;
use proof::secret::Secret;
use proof::sigv4::{Payload, Signer};
use serde_json::Value;
use testkit::doorward::{self, Doorward};
use testkit::upstream::Upstream;

use super::scene::{self, attempt, command, command_json, databases, issued, wait_until, words};

const SOON: core::time::Duration = core::time::Duration::from_secs(10);

const NEW: [&str; 8] = [
    "--application",
    "shop",
    "--label",
    "partner",
    "--api",
    "orders",
    "--scope",
    "orders:read",
];

fn node(lines: &str) -> Doorward {
    let settings = format!("{}{lines}", scene::settings("http://127.0.0.1:9"));
    Doorward::start(&settings).unwrap()
}

fn create(doorward: &Doorward, scheme: &str) -> Value {
    let arguments = [&["secret", "create", "--scheme", scheme][..], &NEW].concat();
    command_json(doorward, &arguments)
}

fn valid(shown: &Value) -> usize {
    shown["signing"]["valid"].as_array().unwrap().len()
}

#[test]
fn a_signing_secret_lives_through_create_rotate_suspend_and_revoke() {
    let doorward = node("");
    for scheme in ["hmac", "sigv4", "http_signature", "webhook"] {
        let made = create(&doorward, scheme);
        let (id, secret) = issued(&made);
        let key_id = made["credential"]["signing"]["key_id"].clone();
        let rotated = command_json(&doorward, &["secret", "rotate", &id, "--overlap", "1h"]);
        let (same, next) = issued(&rotated);
        assert_eq!(
            (&same, &rotated["credential"]["signing"]["key_id"]),
            (&id, &key_id)
        );
        assert_ne!(next, secret);
        assert_eq!(valid(&rotated["credential"]), 2);
        let third = attempt(&doorward, &["secret", "rotate", &id], doorward.owner_key());
        assert_eq!(third.status.code(), Some(1));
        assert!(words(&third).contains("overlap of 0s"), "{}", words(&third));

        command(&doorward, &["secret", "suspend", &id]);
        let resumed = command_json(&doorward, &["secret", "resume", &id]);
        assert_eq!(resumed["state"], "active");
        let listed = command(&doorward, &["secret", "list", "--application", "shop"]);
        assert!(listed.contains(key_id.as_str().unwrap()), "{listed}");
        let shown = command(&doorward, &["secret", "show", &id]);
        assert!(shown.contains(scheme) && shown.contains("until"), "{shown}");
        let revoked = command_json(&doorward, &["secret", "revoke", &id]);
        assert_eq!((&revoked["state"], valid(&revoked)), (&"revoked".into(), 0));
        for text in [listed, shown, doorward.log()] {
            for secret in [&secret, &next] {
                assert!(!text.contains(&secret[secret.len() - 20..]), "{text}");
            }
        }
    }
}

#[test]
fn i03_a_provider_s_secret_comes_in_by_standard_input_and_nothing_shows_it() {
    let doorward = node("");
    let theirs = "8f742231b10e8888abcd99yyyzzz85a5";
    let arguments = [&["secret", "import", "--scheme", "webhook"][..], &NEW].concat();
    let mut child = Command::new(doorward::binary().unwrap())
        .args(&arguments)
        .current_dir(doorward.place().path())
        .env("DOORWARD_ADMIN_URL", format!("http://{}", doorward.admin()))
        .env("DOORWARD_ADMIN_KEY", doorward.owner_key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{theirs}\n").as_bytes()).unwrap();
    drop(input);
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", words(&ran));
    assert!(!words(&ran).contains(theirs));

    let public = doorward.place().path().join("partner.jwk");
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    std::fs::write(&public, jwk).unwrap();
    let file = public.to_str().unwrap();
    let registered = [
        &["secret", "create", "--scheme", "http_signature"][..],
        &["--public-key-file", file],
        &NEW,
    ]
    .concat();
    let made = command_json(&doorward, &registered);
    assert!(made["secret"].is_null());
    assert_eq!(
        made["credential"]["signing"]["valid"][0]["public_key"]["alg"],
        "EdDSA"
    );
    let export = command(&doorward, &["audit", "list", "--output", "json"]);
    assert!(export.contains("signing_secret.import") && !export.contains(theirs));
}

/// On both databases: a new master key takes every secret over, and the former one can go.
#[test]
fn a_new_master_key_takes_signing_secrets_over_at_the_next_start() {
    for (database, lines) in databases() {
        let mut doorward = node(&lines);
        let ids: Vec<String> = (0..3)
            .map(|_| issued(&create(&doorward, "sigv4")).0)
            .collect();
        assert!(doorward.stop().unwrap(), "{}", doorward.log());

        let folder = doorward.place().path().to_owned();
        std::fs::rename(folder.join("master.key"), folder.join("former.key")).unwrap();
        let next = proof::base64std::encode(&[9; 32]);
        std::fs::write(folder.join("master.key"), next).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join("master.key"), private).unwrap();
        let file = doorward.place().settings_file();
        let before = std::fs::read_to_string(&file).unwrap();
        let both = format!("{before}former_master_keys: [file:former.key]\n");
        std::fs::write(&file, both).unwrap();
        doorward.start_again().unwrap();
        let sealed_anew = |doorward: &Doorward| {
            let said = "signing secrets are sealed under the new master key";
            doorward.log().matches(said).count()
        };
        wait_until("the secrets are sealed anew", SOON, || {
            sealed_anew(&doorward) == 1
        });
        let audit = command(&doorward, &["audit", "list", "--output", "json"]);
        assert!(audit.contains("signing_secret.reseal"), "{database}");
        for id in &ids {
            let shown = command_json(&doorward, &["secret", "show", id]);
            assert_eq!(valid(&shown), 1, "{database}");
        }
        // Nothing is left to do at the start after that.
        assert!(doorward.stop().unwrap(), "{}", doorward.log());
        doorward.start_again().unwrap();
        command(&doorward, &["status"]);
        let again = command(&doorward, &["audit", "list", "--output", "json"]);
        assert_eq!(
            again.matches("signing_secret.reseal").count(),
            1,
            "{database}"
        );
        assert!(doorward.stop().unwrap(), "{}", doorward.log());
    }
}

/// Defence: `verdict::credential::signed::is_first_use`, kept in the store: a URL may outlive a process.
#[test]
fn d05_a_presigned_url_that_passes_once_passes_once_though_the_process_was_killed() {
    const LINKS: &str = r#"
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: links }
    spec:
      environment: test
      base_path: /links
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [sigv4]
      signatures: { sigv4: { regions: [eu], services: [links], presigned: 2h, presigned_once: true } }
      routes: [{ path: "/{rest*}" }]
"#;
    let upstream = Upstream::start().unwrap();
    for (database, lines) in databases() {
        let settings = format!("{lines}{}{LINKS}", scene::settings(&upstream.url()));
        let settings = settings.replace("@UPSTREAM@", &upstream.url());
        let mut doorward = Doorward::start(&settings).unwrap();
        let arguments = ["secret", "create", "--scheme", "sigv4", "--api", "links"];
        let more = ["--application", "shop", "--label", "links"];
        let made = command_json(&doorward, &[&arguments[..], &more].concat());
        let key_id = made["credential"]["signing"]["key_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let secret = Secret::from_text(made["secret"].as_str().unwrap().to_owned());
        // Signed for the address that the node has after its restart too.
        let host = doorward.gateway().to_string();
        let presigned = |path: &str| {
            let headers = http::HeaderMap::new();
            let head = SignedHead {
                method: "GET",
                scheme: "http",
                authority: &host,
                path,
                query: None,
                headers: &headers,
            };
            let query = Signer::new(&key_id, &secret, "eu", "links").presign(
                &head,
                Payload::Hash(proof::digest::sha256(b"")),
                core::time::Duration::from_secs(7000),
                proof::time::Timestamp::from_secs(testkit::tokens::now()),
            );
            format!("{path}?{}", query.unwrap())
        };
        let (first, second) = (presigned("/links/one"), presigned("/links/two"));
        let status = |doorward: &Doorward, url: &str| doorward.get(url, &[]).unwrap().status;
        assert_eq!(status(&doorward, &first), 200, "{database}");
        assert_eq!(status(&doorward, &first), 401, "{database}");
        doorward.kill();
        doorward.start_again().unwrap();
        assert_eq!(status(&doorward, &first), 401, "{database}");
        assert_eq!(status(&doorward, &second), 200, "{database}");
    }
}
