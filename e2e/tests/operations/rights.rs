//! **Rights that change while Doorward runs**: open streams end with them, a change of rules is tried
//! on the calls that were before it is live and taken back with one command, and the log tells which
//! relation and which policy decided.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::postgres;
use testkit::tokens::ForeignIssuer;
use testkit::upstream::{Seen, Upstream, echo};
use testkit::wire::{self, Answer};

use super::scene::{attempt, command, command_json, issued, wait_until, words};

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: people }
    spec: { issuer: "https://people.example", jwks: @JWKS@, max_lifetime: 1h }
  - apiVersion: doorward/v1
    kind: RelationModel
    metadata: { name: shop }
    spec:
      types:
        user: {}
        service: {}
        order: { relations: { viewer: { direct: [user, service] } } }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: live }
    spec:
      audiences: ["https://live.example"]
      base_path: /live
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [api_key, jwt]
      issuers: [people]
      routes:
        - { name: events, methods: [GET], path: "/events/{id}", objects: [{ type: order, path: id, relation: viewer }] }
        - { name: socket, methods: [GET], path: "/socket/{id}", upgrade: true, objects: [{ type: order, path: id, relation: viewer }] }
        - { name: plain, methods: [GET], path: /plain }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { owner: a@example.com, purpose: tests } }
"#;

/// An API and its policy, as they are applied while Doorward runs.
fn shop(upstream: &Upstream) -> String {
    format!(
        r#"apiVersion: doorward/v1
kind: Api
metadata: {{ name: shop }}
spec:
  audiences: ["https://shop.example"]
  upstream: {{ urls: ["{}"] }}
  credentials: [jwt]
  issuers: [people]
  routes:
    - {{ name: read, methods: [GET], path: "/orders/{{id}}", objects: [{{ type: order, path: id, relation: viewer }}], policies: [care] }}
---
{}"#,
        upstream.url(),
        care("default allow := true")
    )
}

fn care(rule: &str) -> String {
    format!(
        "apiVersion: doorward/v1\nkind: Policy\nmetadata: {{ name: care }}\nspec:\n  rego: |\n    package care\n    {}\n",
        rule.replace('\n', "\n    ")
    )
}

const STRICTER: &str = "default decision := {\"allow\": true, \"reason\": \"known\"}
decision := {\"allow\": false, \"reason\": \"cyd has to wait\"} if endswith(input.principal.subject, \"|cyd\")";

/// Streams at `/events`, a tunnel at `/socket`, an echo elsewhere.
fn answer(seen: &Seen) -> Option<Vec<u8>> {
    let target = seen.target();
    let head = if target.contains("/events/") {
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n"
    } else if target.contains("/socket/") {
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    } else {
        return echo(seen);
    };
    Some(head.as_bytes().to_vec())
}

struct Scene {
    doorward: Doorward,
    upstream: Upstream,
    people: ForeignIssuer,
}

fn settings(upstream: &Upstream, people: &ForeignIssuer) -> String {
    format!("{BASE}{RESOURCES}")
        .replace("@UPSTREAM@", &upstream.url())
        .replace("@JWKS@", &people.jwks().to_string())
}

fn token(people: &ForeignIssuer, who: &str) -> String {
    let mut claims = people.claims("https://shop.example");
    claims["sub"] = who.into();
    claims["aud"] = json!(["https://shop.example", "https://live.example"]);
    format!("Bearer {}", people.sign(&claims))
}

fn relate(doorward: &Doorward, tuple: &str) {
    let body = json!({ "add": [{ "tuple": tuple }] });
    doorward.make("POST", "/v1/relations", &body).unwrap();
}

fn part(doorward: &Doorward, tuple: &str) {
    let body = json!({ "remove": [tuple] });
    doorward.make("POST", "/v1/relations", &body).unwrap();
}

fn viewer(order: u32, who: &str) -> String {
    format!("order:{order}#viewer@user:https://people.example|{who}")
}

fn scene() -> Scene {
    let upstream = Upstream::start_with(|_, seen| answer(seen)).unwrap();
    let people = ForeignIssuer::new("https://people.example");
    let doorward = Doorward::start(&settings(&upstream, &people)).unwrap();
    Scene {
        doorward,
        upstream,
        people,
    }
}

impl Scene {
    fn read(&self, who: &str, order: u32) -> Answer {
        let token = token(&self.people, who);
        let target = format!("/orders/{order}");
        self.doorward
            .get(&target, &[("authorization", &token)])
            .unwrap()
    }

    fn apply(&self, name: &str, documents: &str) {
        let file = self.doorward.place().path().join(name);
        std::fs::write(&file, documents).unwrap();
        command(&self.doorward, &["apply", "--yes", "-f", name]);
        wait_until("what was applied", Duration::from_secs(5), || {
            self.doorward.get("/orders/1", &[]).unwrap().status == 401
        });
    }

    fn open(&self, sort: &str, order: u32, who: &str) -> Stream {
        Stream::open(&self.doorward, sort, order, &token(&self.people, who))
    }
}

/// A call whose answer goes on.
struct Stream(TcpStream);

impl Stream {
    fn open(doorward: &Doorward, sort: &str, order: u32, token: &str) -> Self {
        Self::attempt(doorward, sort, order, token).unwrap()
    }

    /// The same, or what was answered instead.
    fn attempt(doorward: &Doorward, sort: &str, order: u32, token: &str) -> Result<Self, String> {
        let mut stream = wire::connect(doorward.gateway()).unwrap();
        let upgrade = match sort {
            "socket" => {
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
            }
            _ => "",
        };
        let call = format!(
            "GET /live/{sort}/{order} HTTP/1.1\r\nhost: {}\r\nauthorization: {token}\r\n{upgrade}\r\n",
            doorward.gateway()
        );
        stream.write_all(call.as_bytes()).unwrap();
        let mut bytes = [0u8; 4096];
        let read = stream.read(&mut bytes).unwrap();
        let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
        let expected = if sort == "socket" {
            "HTTP/1.1 101"
        } else {
            "HTTP/1.1 200"
        };
        if !head.starts_with(expected) {
            return Err(head);
        }
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        Ok(Self(stream))
    }

    /// Whether it goes on.
    fn is_open(&mut self) -> bool {
        let mut bytes = [0u8; 4096];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => {
                    let kind = error.kind();
                    return matches!(
                        kind,
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    );
                }
            }
        }
    }
}

/// Defence: `lease::over` of `gateway/src/lease.rs`.
#[test]
fn an_open_stream_ends_when_its_right_does_and_others_go_on() {
    let scene = scene();
    let doorward = &scene.doorward;
    for who in ["ann", "ben"] {
        relate(doorward, &viewer(1, who));
    }
    let made = json!({ "application": "shop", "label": "events", "apis": ["live"] });
    let (key_id, key) = issued(&doorward.make("POST", "/v1/keys", &made).unwrap());
    // How a key's calls are called is told by the log.
    let plain = [("x-api-key", key.as_str())];
    let answer = doorward.get("/live/plain", &plain).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut principal = String::new();
    wait_until("the record", Duration::from_secs(10), || {
        let listed = command_json(doorward, &["decisions", "list"]);
        let mut calls = listed["items"].as_array().into_iter().flatten();
        let own = calls.find(|call| call["api"] == "live");
        let own = own.and_then(|call| call["principal"].as_str());
        principal = own.unwrap_or_default().to_owned();
        !principal.is_empty()
    });
    relate(doorward, &format!("order:1#viewer@{principal}"));

    for sort in ["events", "socket"] {
        // A route learns by its first stream that it has some.
        drop(scene.open(sort, 1, "ann"));
        std::thread::sleep(Duration::from_millis(100));

        let (mut ann, mut ben) = (scene.open(sort, 1, "ann"), scene.open(sort, 1, "ben"));
        std::thread::sleep(Duration::from_millis(1200));
        assert!(ann.is_open() && ben.is_open(), "{sort}: nothing changed");
        part(doorward, &viewer(1, "ann"));
        let took = wait_until("the end of ann's", Duration::from_secs(3), || {
            !ann.is_open()
        });
        println!("{sort}: ended {took:?} after its tuple was removed");
        assert!(took < Duration::from_millis(1500), "{sort}: {took:?}");
        std::thread::sleep(Duration::from_millis(1200));
        assert!(ben.is_open(), "{sort}: ben's is another's");

        // A tuple that ends by itself.
        let until = "2s";
        command(
            doorward,
            &[
                "relation",
                "add",
                &viewer(1, "ann"),
                "--until",
                until,
                "--purpose",
                "delivery",
            ],
        );
        let began = Instant::now();
        let mut ann = scene.open(sort, 1, "ann");
        wait_until("the end of the grant", Duration::from_secs(6), || {
            !ann.is_open()
        });
        let took = began.elapsed();
        println!("{sort}: ended {took:?} after a grant of 2 s began");
        assert!(
            (Duration::from_millis(500)..Duration::from_millis(3500)).contains(&took),
            "{sort}: {took:?}"
        );
        assert!(ben.is_open(), "{sort}");
        // Over it is; whether it still stands there is no matter.
        let remove = ["relation", "remove", &viewer(1, "ann")];
        drop(attempt(doorward, &remove, doorward.owner_key()));
        relate(doorward, &viewer(1, "ann"));
    }

    // The credential itself.
    let bearer = format!("Bearer {key}");
    let mut own = Stream::open(doorward, "events", 1, &bearer);
    let mut ben = scene.open("events", 1, "ben");
    doorward
        .make("POST", &format!("/v1/keys/{key_id}/revoke"), &json!({}))
        .unwrap();
    let took = wait_until("the key's end", Duration::from_secs(3), || !own.is_open());
    println!("ended {took:?} after its key was revoked");
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(ben.is_open());
    assert!(scene.upstream.seen().len() > 5);
}

/// Defence: `Judgement` in the record; the replay of `verdict/src/policy/replay.rs`.
#[test]
fn a_change_that_locks_a_third_out_is_shown_before_it_is_live_and_taken_back_after() {
    let scene = scene();
    let doorward = &scene.doorward;
    scene.apply("shop.yaml", &shop(&scene.upstream));
    for who in ["ann", "ben", "cyd"] {
        relate(doorward, &viewer(1, who));
        for _ in 0..3 {
            let answer = scene.read(who, 1);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    std::fs::write(
        doorward.place().path().join("stricter.yaml"),
        care(STRICTER),
    )
    .unwrap();
    let diff = |more: &[&str]| {
        let arguments = [&["policy", "diff", "-f", "stricter.yaml"][..], more].concat();
        attempt(doorward, &arguments, doorward.owner_key())
    };
    let view = || -> Value {
        let ran = diff(&["--output", "json"]);
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", words(&ran)))
    };
    wait_until("the record", Duration::from_secs(10), || {
        view()["judged"] == 9
    });
    let found = view();
    assert_eq!(
        (&found["calls"], &found["same"], &found["refused"]),
        (&json!(9), &json!(6), &json!(3)),
        "{found:#}"
    );
    assert_eq!(
        (
            &found["principals"],
            &found["principals_refused"],
            &found["principals_locked_out"]
        ),
        (&json!(3), &json!(1), &json!(1))
    );
    let told = words(&diff(&[]));
    assert!(
        told.contains("cyd has to wait") && told.contains("would be refused"),
        "{told}"
    );
    for (most, code) in [("20", 1), ("33", 1), ("34", 0), ("100", 0)] {
        let ran = diff(&["--fail-over", most]);
        assert_eq!(ran.status.code(), Some(code), "{most}: {}", words(&ran));
    }
    // Nothing came of asking.
    assert_eq!(scene.read("cyd", 1).status, 200);

    scene.apply("stricter.yaml", &care(STRICTER));
    wait_until("the stricter rule", Duration::from_secs(2), || {
        scene.read("cyd", 1).status == 403
    });
    assert_eq!(scene.read("ann", 1).status, 200);
    let history = command_json(doorward, &["policy", "history", "care"]);
    assert_eq!(history["items"].as_array().unwrap().len(), 2, "{history:#}");
    command(doorward, &["policy", "rollback", "care"]);
    wait_until("the rule of before", Duration::from_secs(2), || {
        scene.read("cyd", 1).status == 200
    });
    let history = command_json(doorward, &["policy", "history", "care"]);
    assert_eq!(history["items"].as_array().unwrap().len(), 3, "{history:#}");
    let trail = command_json(doorward, &["audit", "list"]).to_string();
    assert!(trail.contains("call.replay"), "{trail}");
}

/// Defence: `Asking::note` of `verdict/src/policy/mod.rs`.
#[test]
fn the_log_tells_which_relation_and_which_policy_decided_a_call() {
    let scene = scene();
    let doorward = &scene.doorward;
    scene.apply("shop.yaml", &shop(&scene.upstream));
    scene.apply("stricter.yaml", &care(STRICTER));
    relate(doorward, &viewer(1, "ann"));
    relate(doorward, &viewer(1, "cyd"));
    wait_until("the stricter rule", Duration::from_secs(2), || {
        scene.read("cyd", 1).status == 403
    });
    let judged = |answer: &Answer| {
        let id = answer.header("doorward-request-id").unwrap().to_owned();
        let mut found = Value::Null;
        wait_until("the record", Duration::from_secs(10), || {
            let path = format!("/v1/decisions/{id}");
            let (status, entry) = doorward.admin_call("GET", &path, None).unwrap();
            found = entry;
            status == 200
        });
        let told = command(doorward, &["explain", "--decision", &id]);
        (found["judged"].clone(), told)
    };
    let (passed, told) = judged(&scene.read("ann", 1));
    let [relation, policy] = &passed["judgements"].as_array().unwrap()[..] else {
        panic!("{passed:#}");
    };
    assert_eq!(
        (&relation["by"], &relation["what"], &relation["outcome"]),
        (
            &json!("relation"),
            &json!("order:1#viewer"),
            &json!("allow")
        )
    );
    assert!(
        relation["reason"].as_str().unwrap().contains("|ann"),
        "{relation}"
    );
    assert_eq!(
        (&policy["what"], &policy["outcome"], &policy["reason"]),
        (&json!("care"), &json!("allow"), &json!("known"))
    );
    assert!(policy["version"].as_str().unwrap().len() > 12);
    assert_eq!(passed["input"]["version"], "v1");
    assert!(
        !passed["input"].to_string().contains("eyJ"),
        "no token is kept"
    );
    assert!(
        told.contains("order:1#viewer: allow") && told.contains("policy care: allow: known"),
        "{told}"
    );
    let (refused, told) = judged(&scene.read("cyd", 1));
    assert_eq!(refused["judgements"][1]["reason"], "cyd has to wait");
    assert!(
        told.contains("✗ policy care: deny: cyd has to wait") && told.contains("✗ rights"),
        "{told}"
    );
    let (refused, told) = judged(&scene.read("ben", 1));
    assert_eq!(refused["judgements"][0]["outcome"], "deny", "{refused:#}");
    assert!(told.contains("order:1#viewer: deny"), "{told}");
}

#[test]
fn a_tuple_written_on_one_node_counts_at_the_others_door_within_a_second() {
    let Some(server) = postgres::shared() else {
        return;
    };
    let database = server.create_database().unwrap();
    let upstream = Upstream::start_with(|_, seen| answer(seen)).unwrap();
    let people = ForeignIssuer::new("https://people.example");
    let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
    std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let settings = format!(
        "{}database: {{ url: '{database}' }}\n",
        settings(&upstream, &people)
    )
    .replace(
        "url: 'http://@ISSUER@'",
        &format!("url: 'http://{}'", one.issuer),
    );
    let (one, two) = (one.start(&settings).unwrap(), two.start(&settings).unwrap());
    let ann = token(&people, "ann");
    let open = || Stream::attempt(&two, "events", 1, &ann);
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        // The other node remembers that it refused.
        let refused = open().err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 403"), "{round}: {refused}");
        relate(&one, &viewer(1, "ann"));
        let mut stream = None;
        let took = wait_until("the grant", Duration::from_secs(1), || {
            stream = open().ok();
            stream.is_some()
        });
        slowest = slowest.max(took);
        let mut stream = stream.unwrap();
        part(&one, &viewer(1, "ann"));
        let took = wait_until("the refusal", Duration::from_secs(1), || open().is_err());
        slowest = slowest.max(took);
        let took = wait_until("the stream's end", Duration::from_secs(2), || {
            !stream.is_open()
        });
        println!("a stream at the other node ended {took:?} later");
    }
    println!("a tuple counts at the other node after {slowest:?} at the slowest");
}
