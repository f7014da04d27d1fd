//! E3: bodies that have to be held before a call can be judged. Callers whom nobody knows must not
//! fill the memory with them.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use proof::random::{SystemEntropy, random_base62};
use proof::secret::Secret;
use proof::webhook::{SharedKey, Style};
use serde_json::json;
use testkit::doorward::{BASE, Doorward};
use testkit::tokens::now;
use testkit::upstream::Upstream;
use testkit::wire;

use super::framing::resident;

const MIB: usize = 1 << 20;

/// An API that takes deliveries of up to 6 MiB from one sender, whose key and secret come with it. The
/// node has room for 8 MiB of them. Callers say from where they come.
struct World {
    doorward: Doorward,
    upstream: Upstream,
    id: String,
    secret: String,
}

fn world() -> World {
    let upstream = Upstream::start().unwrap();
    let base = BASE.replace(
        "limits: { per_address: off, failures_per_address: off }",
        "limits: { per_address: off, failures_per_address: off, held_bodies: 8MiB }\ntrusted_proxies: [127.0.0.0/8]",
    );
    let settings = format!(
        "{base}resources:\n  - {{ apiVersion: doorward/v1, kind: Application, metadata: {{ name: shop }}, spec: {{ owner: a@example.com, purpose: tests }} }}\n"
    );
    let doorward = Doorward::start(&settings).unwrap();
    let wish = json!({ "application": "shop", "label": "sender", "scheme": "webhook" });
    let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let key_id = &made["credential"]["signing"]["key_id"];
    let route = |path: &str, key: &serde_json::Value| {
        json!({
            "path": path, "methods": ["POST"], "body_limit": "6MiB",
            "webhook": { "style": "github", "keys": [key] },
        })
    };
    let spec = json!({ "spec": {
        "upstream": { "urls": [upstream.url()] },
        "credentials": ["webhook"],
        "routes": [route("/known", key_id), route("/unknown", &json!("DWAK0000000000000009"))],
    }});
    doorward.make("PUT", "/v1/apis/hooks", &spec).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let id = text(&made["credential"]["id"]);
    let path = format!("/v1/signing-secrets/{id}");
    let rights = json!({ "apis": ["hooks"] });
    doorward.make("PATCH", &path, &rights).unwrap();
    World {
        id,
        secret: text(&made["secret"]),
        doorward,
        upstream,
    }
}

impl World {
    /// A whole delivery from an address; its status.
    fn deliver(&self, from: &str, body: &[u8]) -> u16 {
        let secret = Secret::from_text(self.secret.clone());
        let key = SharedKey::read(Style::GitHub, &secret).unwrap();
        let at = proof::time::Timestamp::from_secs(now());
        let id = random_base62(24, &SystemEntropy);
        let signed = proof::webhook::sign(Style::GitHub, &key, &id, body, at).unwrap();
        let mut fields = vec![("host", "any.example"), ("x-forwarded-for", from)];
        for (name, value) in &signed {
            fields.push((name.as_str(), value.to_str().unwrap()));
        }
        let at = self.doorward.gateway();
        wire::call(at, "POST", "/known", &fields, body)
            .unwrap()
            .status
    }

    /// The head of a forged delivery of so many bytes, and so many of them.
    fn begin(&self, path: &str, from: &str, announced: usize, sent: usize) -> TcpStream {
        let mut stream = wire::connect(self.doorward.gateway()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: any.example\r\nx-forwarded-for: {from}\r\n\
             x-github-delivery: {}\r\nx-hub-signature-256: sha256={}\r\n\
             content-length: {announced}\r\n\r\n",
            // A well-formed one, or it would be refused for that.
            from.replace('.', "-"),
            "0".repeat(64)
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Whoever was answered already reads no more.
        let _ = stream.write_all(&vec![b'x'; sent]);
        stream
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Defence: `can_hold` in `gateway/src/serve.rs`.
#[test]
fn e03_nothing_is_held_of_a_delivery_whose_key_nobody_has() {
    let world = world();
    until("the route", || world.deliver("192.0.2.1", b"{}") == 200);
    let refused = |path: &str| {
        // The answer comes before the body.
        let mut stream = world.begin(path, "192.0.2.2", 6 * MIB, 0);
        wire::first_answer(&mut stream).unwrap()
    };
    let unknown = refused("/unknown");
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (401, "credential-refused")
    );
    let before = resident(world.doorward.pid());
    let streams: Vec<_> = (0..40)
        .map(|n| world.begin("/unknown", &format!("192.0.3.{n}"), 6 * MIB, MIB))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let grown = resident(world.doorward.pid()).saturating_sub(before);
    assert!(grown < 16 * MIB as u64, "grown by {grown} bytes");
    drop(streams);
    // A key that is put to sleep, or ended, is as good as none; and the caller hears the same.
    for act in ["suspend", "revoke"] {
        let path = format!("/v1/signing-secrets/{}/{act}", world.id);
        world.doorward.make("POST", &path, &json!({})).unwrap();
        until(act, || world.deliver("192.0.2.1", b"{}") == 401);
        let known = refused("/known");
        assert_eq!((known.status, known.code()), (401, unknown.code()), "{act}");
    }
}

/// Defence: `HeldBodies` in `gateway/src/held.rs`.
#[test]
fn e03_the_bodies_of_all_calls_together_have_a_bound_and_what_is_beyond_hears_so_at_once() {
    let world = world();
    until("the route", || world.deliver("192.0.2.1", b"{}") == 200);
    let before = resident(world.doorward.pid());
    let beyond = || {
        let mut stream = world.begin("/known", "192.0.2.9", 6 * MIB, 0);
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        wire::first_answer(&mut stream).ok()
    };
    let first = world.begin("/known", "192.0.2.2", 6 * MIB, 5 * MIB);
    until("503", || {
        beyond().is_some_and(|answer| answer.status == 503)
    });
    let answer = beyond().unwrap();
    assert_eq!(answer.code(), "overloaded");
    assert!(answer.header("retry-after").is_some());
    let more: Vec<_> = (0..20)
        .map(|n| world.begin("/known", &format!("192.0.3.{n}"), 5 * MIB, 5 * MIB - 1))
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let grown = resident(world.doorward.pid()).saturating_sub(before);
    // Of 106 MiB. What connections read ahead of a call is not counted, and is bounded by them.
    assert!(grown < 40 * MIB as u64, "grown by {grown} bytes");
    drop(more);
    // Others pass meanwhile, and all when the room is free again.
    until("a small one", || {
        world.deliver("192.0.2.1", &[b' '; 1000]) == 200
    });
    assert!(beyond().is_some_and(|answer| answer.status == 503));
    drop(first);
    until("a large one", || {
        world.deliver("192.0.2.9", &vec![b' '; 5 * MIB]) == 200
    });
    assert!(!world.upstream.seen().is_empty());
}
