//! **Sending webhooks**: a message is sent until it is taken, by one node at a time, signed by every
//! secret that is valid; what nobody takes is kept; who fails holds up nobody else.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use http::HeaderMap;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{Key, PrivateKey, Rules, Style, parse};
use serde_json::{Value, json};
use testkit::doorward::{Doorward, Place};
use testkit::postgres;
use testkit::upstream::{Seen, Upstream, echo};
use testkit::wire;

use super::scene::{self, attempt, command, command_json, databases, issued, wait_until, words};

const SOON: Duration = Duration::from_secs(15);
const PLAIN: &str = "outbound: { dangerous_allow_plain_loopback: true }\n";

fn settings(lines: &str) -> String {
    format!("{PLAIN}{lines}{}", scene::settings("http://127.0.0.1:9"))
}

fn node(lines: &str) -> Doorward {
    Doorward::start(&settings(lines)).unwrap()
}

/// A receiver that answers with a status that the test sets.
fn receiver(status: u16) -> (Upstream, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let set = status.clone();
    let receiver = Upstream::start_with(move |_, _| Some(answer(set.load(Ordering::SeqCst))));
    (receiver.unwrap(), status)
}

fn answer(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// A signing secret of `shop`: its id, its key id, its secret.
fn secret(doorward: &Doorward) -> (String, String, String) {
    let made = command_json(
        doorward,
        &[
            "secret",
            "create",
            "--application",
            "shop",
            "--label",
            "out",
            "--scheme",
            "webhook",
        ],
    );
    let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
    let (id, secret) = issued(&made);
    (id, key_id.to_owned(), secret)
}

/// Declares an endpoint.
fn declare(doorward: &Doorward, name: &str, url: &str, key_id: &str, more: &Value) {
    let mut spec = json!({
        "url": url, "application": "shop", "events": ["order.*"], "signing_key": key_id,
        "timeout": "2s",
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let path = format!("/v1/webhooks/{name}");
    let body = json!({ "spec": spec });
    let (status, answer) = doorward.admin_call("PUT", &path, Some(&body)).unwrap();
    assert!(matches!(status, 200 | 201), "{status} {answer}");
}

/// Hands in a message; its id.
fn send(doorward: &Doorward, endpoint: &str, number: u32) -> String {
    let path = format!("/v1/webhooks/{endpoint}/messages");
    let body = json!({ "type": "order.paid", "data": { "number": number } });
    let (status, sent) = doorward.admin_call("POST", &path, Some(&body)).unwrap();
    assert_eq!(status, 202, "{sent}");
    sent["id"].as_str().unwrap().to_owned()
}

fn shown(doorward: &Doorward, id: &str) -> Value {
    command_json(doorward, &["webhook", "show", id])
}

fn until_state(doorward: &Doorward, id: &str, state: &str) -> Value {
    wait_until(state, SOON, || shown(doorward, id)["state"] == state);
    shown(doorward, id)
}

/// Whether a receiver that knows this secret (or public key) takes what came.
fn verifies(seen: &Seen, key: &str) -> bool {
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let value = seen.values(name).first().unwrap().parse().unwrap();
        headers.insert(http::HeaderName::from_static(name), value);
    }
    let key = Key::read(Style::StandardWebhooks, &Secret::from_text(key.to_owned())).unwrap();
    let claimed = parse(Style::StandardWebhooks, &headers).unwrap().unwrap();
    let now = Timestamp::from_secs(testkit::tokens::now());
    claimed
        .verify(&[key], &seen.body, now, &Rules::default())
        .is_ok()
}

fn one<'a>(values: &'a [String], what: &str) -> &'a str {
    assert_eq!(values.len(), 1, "{what}: {values:?}");
    &values[0]
}

/// On both databases: tried again until it is taken, the same message each time, and said so.
#[test]
fn a_message_is_sent_again_until_it_is_taken_byte_for_byte() {
    for (database, lines) in databases() {
        let (receiver, status) = receiver(500);
        let doorward = node(&lines);
        let (_, key_id, secret) = secret(&doorward);
        let retries = json!({ "retries": ["1100ms", "1100ms", "200ms", "200ms", "200ms"] });
        declare(&doorward, "partner", &receiver.url(), &key_id, &retries);
        let file = doorward.place().path().join("data.json");
        std::fs::write(&file, r#"{"number": 17, "paid": true}"#).unwrap();
        let file = file.to_str().unwrap();
        let arguments = [
            "webhook",
            "send",
            "partner",
            "--type",
            "order.paid",
            "--data-file",
            file,
        ];
        let id = command(&doorward, &arguments).trim().to_owned();
        wait_until("two tries", SOON, || receiver.seen().len() == 2);
        let waiting = shown(&doorward, &id);
        assert_eq!(waiting["last_status"], 500, "{database}: {waiting}");
        status.store(204, Ordering::SeqCst);
        let settled = until_state(&doorward, &id, "delivered");
        let tries = receiver.seen();
        assert_eq!(
            (tries.len(), &settled["attempts"], &settled["last_status"]),
            (3, &json!(3), &json!(204)),
            "{database}: {settled}"
        );
        let mut times = HashSet::new();
        for seen in &tries {
            assert_eq!(one(&seen.values("webhook-id"), "id"), id);
            assert_eq!(seen.values("content-type"), ["application/json"]);
            assert_eq!(seen.body, tries[0].body, "{database}");
            assert!(verifies(seen, &secret), "{database}: {}", seen.text());
            times.insert(one(&seen.values("webhook-timestamp"), "time").to_owned());
        }
        assert!(times.len() >= 2, "the time is the try's: {times:?}");
        let body: Value = serde_json::from_slice(&tries[0].body).unwrap();
        assert_eq!(body["data"], json!({ "number": 17, "paid": true }));
        assert_eq!(body["type"], "order.paid");
        let metrics = wire::call(doorward.ops(), "GET", "/metrics", &[], b"")
            .unwrap()
            .text();
        for (outcome, count) in [("failed", 2), ("delivered", 1)] {
            let line = format!(
                "doorward_webhook_tries_total{{endpoint=\"partner\",outcome=\"{outcome}\"}} {count}"
            );
            assert!(metrics.contains(&line), "{database}: {line}: {metrics}");
        }
        // Neither secret nor signature is kept anywhere that is shown.
        for text in [doorward.log(), settled.to_string()] {
            assert!(
                !text.contains(&secret[6..]) && !text.contains("v1,"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_dead_letter_is_listed_shown_sent_again_and_dropped() {
    let (receiver, status) = receiver(500);
    let doorward = node("");
    let (_, key_id, _) = secret(&doorward);
    let retries = json!({ "retries": ["100ms"] });
    declare(&doorward, "partner", &receiver.url(), &key_id, &retries);
    let ids: Vec<String> = (0..3).map(|n| send(&doorward, "partner", n)).collect();
    for id in &ids {
        let dead = until_state(&doorward, id, "dead");
        assert_eq!(
            (&dead["attempts"], &dead["last_cause"]),
            (&json!(2), &json!("status 500"))
        );
    }
    let listed = command(&doorward, &["webhook", "list", "--state", "dead"]);
    assert!(ids.iter().all(|id| listed.contains(id)), "{listed}");
    let states = command_json(&doorward, &["webhook", "status"]);
    assert_eq!(states["items"][0]["dead"], 3);
    let audit = command(&doorward, &["audit", "list", "--output", "json"]);
    assert_eq!(audit.matches("webhook.dead").count(), 3, "{audit}");

    command(&doorward, &["webhook", "drop", &ids[0]]);
    let gone = attempt(
        &doorward,
        &["webhook", "show", &ids[0]],
        doorward.owner_key(),
    );
    assert!(words(&gone).contains("no message"), "{}", words(&gone));
    status.store(200, Ordering::SeqCst);
    let first = receiver.seen();
    assert!(command(&doorward, &["webhook", "retry", &ids[1]]).contains("1 sent again"));
    until_state(&doorward, &ids[1], "delivered");
    assert!(
        command(&doorward, &["webhook", "retry", "--dead-of", "partner"]).contains("1 sent again")
    );
    until_state(&doorward, &ids[2], "delivered");
    let again = &receiver.seen()[first.len()..];
    assert_eq!(again.len(), 2);
    for seen in again {
        let before = first
            .iter()
            .find(|one| one.values("webhook-id") == seen.values("webhook-id"));
        assert_eq!(before.unwrap().body, seen.body);
    }
    let audit = command(&doorward, &["audit", "list", "--output", "json"]);
    for (act, count) in [
        ("webhook.send", 3),
        ("webhook.drop", 1),
        ("webhook.retry", 2),
    ] {
        assert_eq!(audit.matches(&format!("\"{act}\"")).count(), count, "{act}");
    }
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_it_is_enabled() {
    let (receiver, status) = receiver(410);
    let doorward = node("");
    let (_, key_id, _) = secret(&doorward);
    declare(&doorward, "partner", &receiver.url(), &key_id, &json!({}));
    let id = send(&doorward, "partner", 1);
    let dead = until_state(&doorward, &id, "dead");
    assert_eq!(
        (&dead["attempts"], &dead["last_status"]),
        (&json!(1), &json!(410))
    );
    let told = command(&doorward, &["webhook", "status"]);
    assert!(told.contains("disabled") && told.contains("410"), "{told}");
    let path = "/v1/webhooks/partner/messages";
    let body = json!({ "type": "order.paid", "data": {} });
    let (refused, why) = doorward.admin_call("POST", path, Some(&body)).unwrap();
    assert_eq!(
        (refused, &why["code"]),
        (409, &json!("wrong-state")),
        "{why}"
    );
    let audit = command(&doorward, &["audit", "list", "--output", "json"]);
    assert!(
        audit.contains("webhook.disable") && audit.contains("system:webhooks"),
        "{audit}"
    );
    status.store(200, Ordering::SeqCst);
    command(&doorward, &["webhook", "enable", "partner"]);
    command(&doorward, &["webhook", "retry", &id]);
    until_state(&doorward, &id, "delivered");
    assert_eq!(receiver.seen().len(), 2);
}

#[test]
fn a_secret_is_replaced_between_two_tries_and_both_receivers_verify() {
    let (receiver, status) = receiver(503);
    let doorward = node("");
    let (credential, key_id, former) = secret(&doorward);
    declare(
        &doorward,
        "partner",
        &receiver.url(),
        &key_id,
        &json!({ "retries": ["2s", "200ms"] }),
    );
    let id = send(&doorward, "partner", 1);
    wait_until("the first try", SOON, || receiver.seen().len() == 1);
    let rotated = command_json(
        &doorward,
        &["secret", "rotate", &credential, "--overlap", "1h"],
    );
    let next = issued(&rotated).1;
    status.store(200, Ordering::SeqCst);
    until_state(&doorward, &id, "delivered");
    let seen = receiver.seen();
    assert!(verifies(&seen[0], &former) && !verifies(&seen[0], &next));
    assert!(verifies(&seen[1], &former) && verifies(&seen[1], &next));
    // The former one ended at once: whoever knows it alone is told nothing more that it could check.
    command(
        &doorward,
        &["secret", "rotate", &credential, "--overlap", "0s"],
    );
    let id = send(&doorward, "partner", 2);
    until_state(&doorward, &id, "delivered");
    assert!(!verifies(&receiver.seen()[2], &former));
    // A suspended key signs nothing; what waits says why, and goes out when it is resumed.
    command(&doorward, &["secret", "suspend", &credential]);
    let id = send(&doorward, "partner", 3);
    wait_until("the cause", SOON, || {
        !shown(&doorward, &id)["last_cause"].is_null()
    });
    let told = shown(&doorward, &id)["last_cause"].to_string();
    assert!(told.contains("suspended"), "{told}");
    command(&doorward, &["secret", "resume", &credential]);
    command(&doorward, &["webhook", "retry", &id]);
    until_state(&doorward, &id, "delivered");
}

#[test]
fn a_private_key_that_was_brought_in_signs_v1a() {
    let (receiver, _) = receiver(200);
    let doorward = node("");
    let private = format!("whsk_{}", proof::base64std::encode(&[9; 32]));
    let key = PrivateKey::read(&Secret::from_text(private.clone())).unwrap();
    let file = doorward.place().path().join("sender.key");
    std::fs::write(&file, &private).unwrap();
    let arguments = [
        "secret",
        "import",
        "--application",
        "shop",
        "--label",
        "out",
        "--scheme",
        "webhook",
        "--secret-file",
        file.to_str().unwrap(),
    ];
    let made = command_json(&doorward, &arguments);
    let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
    declare(&doorward, "partner", &receiver.url(), key_id, &json!({}));
    let id = send(&doorward, "partner", 1);
    until_state(&doorward, &id, "delivered");
    let seen = receiver.seen().remove(0);
    assert!(seen.values("webhook-signature")[0].starts_with("v1a,"));
    assert!(verifies(&seen, &key.public_text().unwrap()));
}

/// On both databases: the receiver had it, and nobody wrote that down.
#[test]
fn a_message_whose_node_was_killed_in_between_is_sent_again_under_the_same_id() {
    for (database, lines) in databases() {
        let hangs = Arc::new(AtomicBool::new(true));
        let hang = hangs.clone();
        let receiver = Upstream::start_with(move |_, _| {
            if hang.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_secs(20));
                return None;
            }
            Some(answer(200))
        })
        .unwrap();
        let mut doorward = node(&lines);
        let (_, key_id, secret) = secret(&doorward);
        declare(&doorward, "partner", &receiver.url(), &key_id, &json!({}));
        let id = send(&doorward, "partner", 1);
        wait_until("the first try", SOON, || receiver.seen().len() == 1);
        doorward.kill();
        hangs.store(false, Ordering::SeqCst);
        doorward.start_again().unwrap();
        // After its lease: the time of a try and ten seconds.
        wait_until("the second try", Duration::from_secs(30), || {
            receiver.seen().len() == 2
        });
        let settled = until_state(&doorward, &id, "delivered");
        assert_eq!(settled["attempts"], 2, "{database}");
        let tries = receiver.seen();
        for seen in &tries {
            assert_eq!(
                (seen.values("webhook-id"), &seen.body),
                (vec![id.clone()], &tries[0].body)
            );
            assert!(verifies(seen, &secret), "{database}");
        }
    }
}

#[test]
fn an_endpoint_that_hangs_holds_up_nobody_else() {
    let stuck = Upstream::start_with(|_, _| {
        std::thread::sleep(Duration::from_secs(30));
        None
    })
    .unwrap();
    let (good, _) = receiver(200);
    let doorward = node("");
    let (_, key_id, _) = secret(&doorward);
    declare(
        &doorward,
        "stuck",
        &stuck.url(),
        &key_id,
        &json!({ "timeout": "25s" }),
    );
    declare(&doorward, "good", &good.url(), &key_id, &json!({}));
    for number in 0..30 {
        send(&doorward, "stuck", number);
    }
    wait_until("it hangs", SOON, || stuck.seen().len() == 4);
    for number in 0..5 {
        let id = send(&doorward, "good", number);
        let took = wait_until("delivered", Duration::from_secs(3), || {
            shown(&doorward, &id)["state"] == "delivered"
        });
        println!("beside an endpoint that hangs: {took:?}");
    }
    assert_eq!(stuck.seen().len(), 4, "at most four tries at once");
}

/// On two nodes: what the audit trail says reaches the endpoint once, and nothing from before.
#[test]
fn events_of_the_audit_trail_are_sent_once_by_a_fleet() {
    let Some(server) = postgres::shared() else {
        return;
    };
    let database = format!(
        "database: {{ url: '{}' }}\n",
        server.create_database().unwrap()
    );
    let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
    std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let settings = settings(&database).replace(
        "url: 'http://@ISSUER@'",
        &format!("url: 'http://{}'", one.issuer),
    );
    let one = one.start(&settings).unwrap();
    let _two = two.start(&settings).unwrap();
    let (receiver, _) = receiver(200);
    let (_, key_id, secret) = secret(&one);
    scene::key(&one, "before");
    let listens = json!({ "events": ["doorward.api_key.*"] });
    declare(&one, "partner", &receiver.url(), &key_id, &listens);
    let made: HashSet<String> = (0..20)
        .map(|n| scene::key(&one, &format!("key {n}")).0)
        .collect();
    scene::client_secret(&one);
    wait_until("all are there", Duration::from_secs(30), || {
        receiver.seen().len() >= 20
    });
    std::thread::sleep(Duration::from_secs(2));
    let seen = receiver.seen();
    let mut told = HashSet::new();
    for message in &seen {
        assert!(verifies(message, &secret));
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(body["type"], "doorward.api_key.create", "{body}");
        let subject = body["data"]["subject"].as_str().unwrap();
        told.insert(subject.rsplit('/').next().unwrap().to_owned());
    }
    assert_eq!((seen.len(), told), (20, made));
}

/// Our own gateway as the receiver, with the key that it was signed with.
#[test]
fn what_doorward_sends_its_own_gateway_takes() {
    let upstream = Upstream::start_with(|_, seen| echo(seen)).unwrap();
    let doorward =
        Doorward::start(&format!("{PLAIN}{}", scene::settings(&upstream.url()))).unwrap();
    let (credential, key_id, _) = secret(&doorward);
    let api = json!({ "spec": {
        "environment": "test", "base_path": "/hooks", "upstream": { "urls": [upstream.url()] },
        "credentials": ["webhook"],
        "routes": [{
            "path": "/in", "methods": ["POST"],
            "webhook": { "style": "standard-webhooks", "keys": [key_id] },
        }],
    } });
    let (status, answer) = doorward
        .admin_call("PUT", "/v1/apis/hooks", Some(&api))
        .unwrap();
    assert_eq!(status, 201, "{answer}");
    command(
        &doorward,
        &["secret", "amend", &credential, "--api", "hooks"],
    );
    let url = format!("http://{}/hooks/in", doorward.gateway());
    declare(&doorward, "partner", &url, &key_id, &json!({}));
    let id = send(&doorward, "partner", 1);
    let settled = until_state(&doorward, &id, "delivered");
    assert_eq!(settled["attempts"], 1, "{settled}");
    let seen = upstream.with("order.paid");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].values("webhook-id"), [id]);
}

#[test]
fn a_delivery_that_is_refused_after_its_signature_held_is_taken_at_its_next_try() {
    let upstream = Upstream::start_with(|_, seen| echo(seen)).unwrap();
    let doorward =
        Doorward::start(&format!("{PLAIN}{}", scene::settings(&upstream.url()))).unwrap();
    let (credential, key_id, _) = secret(&doorward);
    let api = json!({ "spec": {
        "environment": "test", "base_path": "/hooks", "upstream": { "urls": [upstream.url()] },
        "credentials": ["webhook"],
        "scopes": { "hooks:send": "Send webhooks" },
        "routes": [{
            "path": "/in", "methods": ["POST"], "scopes": ["hooks:send"],
            "webhook": { "style": "standard-webhooks", "keys": [key_id] },
        }],
    } });
    let (status, answer) = doorward
        .admin_call("PUT", "/v1/apis/hooks", Some(&api))
        .unwrap();
    assert_eq!(status, 201, "{answer}");
    let amend = ["secret", "amend", &credential, "--api", "hooks"];
    command(&doorward, &amend);
    let url = format!("http://{}/hooks/in", doorward.gateway());
    let often = json!({ "retries": vec!["500ms"; 10] });
    declare(&doorward, "partner", &url, &key_id, &often);
    let id = send(&doorward, "partner", 1);
    // The signature holds, and the scope is missing: nothing is under way after that.
    let refused = || shown(&doorward, &id)["last_status"] == 403;
    wait_until("its first try was refused", SOON, refused);
    command(
        &doorward,
        &[&amend[..], &["--scope", "hooks:send"]].concat(),
    );
    until_state(&doorward, &id, "delivered");
    assert_eq!(upstream.with("order.paid").len(), 1);
}
