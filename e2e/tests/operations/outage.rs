//! **The database is gone**: what can be judged without it still passes for a time, nothing is
//! issued that could not be recorded, and all of it mends itself.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::doorward::{Doorward, Place};
use testkit::postgres::{self, Postgres};
use testkit::wire;

use super::backend::Backend;
use super::scene::{self, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn ready(doorward: &Doorward) -> u16 {
    wire::get(doorward.ops(), "/readyz", &[]).unwrap().status
}

#[test]
fn without_its_database_a_node_judges_what_it_knows_and_issues_nothing() {
    if postgres::shared().is_none() {
        return;
    }
    let mut server = Postgres::start().unwrap();
    let upstream = Backend::start("one");
    let database = server.create_database().unwrap();
    let settings = format!(
        "{}database: {{ url: '{database}' }}\n",
        scene::settings(&upstream.url())
    );
    let doorward = Doorward::start(&settings).unwrap();
    let (_, cached) = scene::key(&doorward, "cached");
    let (_, unseen) = scene::key(&doorward, "never seen before the outage");
    let secret = scene::client_secret(&doorward);
    let (token, fresh) = (
        scene::token(&doorward, &secret),
        scene::token(&doorward, &secret),
    );
    assert_eq!(scene::read_orders(&doorward, &cached), 200);
    assert_eq!(scene::read_orders(&doorward, &token), 200);
    // What ends another key of the application makes the node forget that one and no other.
    let (id, ended) = scene::key(&doorward, "ended before the outage");
    assert_eq!(scene::read_orders(&doorward, &ended), 200);
    doorward
        .make("POST", &format!("/v1/keys/{id}/revoke"), &json!({}))
        .unwrap();
    wait_until("the key is refused", SOON, || {
        scene::read_orders(&doorward, &ended) == 401
    });
    let (_, before) = doorward
        .admin_call("GET", "/v1/export?keys=true", None)
        .unwrap();

    server.stop().unwrap();
    wait_until("readiness falls", SOON, || ready(&doorward) == 503);
    assert_eq!(
        wire::get(doorward.ops(), "/healthz", &[]).unwrap().status,
        200
    );
    assert_eq!(
        scene::read_orders(&doorward, &token),
        200,
        "a token that was seen"
    );
    assert_eq!(
        scene::read_orders(&doorward, &fresh),
        200,
        "a token that was not"
    );
    assert_eq!(
        scene::read_orders(&doorward, &cached),
        200,
        "a key that was seen, though a neighbour changed since"
    );
    let refused = scene::read_orders(&doorward, &ended);
    assert!([401, 503].contains(&refused), "{refused}: it was revoked");
    let answer = doorward.get("/orders", &[("x-api-key", &unseen)]).unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "temporarily-unavailable")
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let answer = scene::ask_for_token(&doorward, &secret);
    assert_eq!(answer.status, 503, "{}", answer.text());
    for (method, path, body) in [
        ("POST", "/v1/keys", scene::key_wish("during the outage")),
        (
            "PUT",
            "/v1/applications/new",
            json!({ "spec": { "owner": "a@b.example", "purpose": "x", "environment": "test" } }),
        ),
        (
            "POST",
            "/v1/signing-keys/rotate",
            json!({ "purpose": "access" }),
        ),
    ] {
        let began = Instant::now();
        let (status, answer) = doorward.admin_call(method, path, Some(&body)).unwrap();
        assert_eq!(status, 503, "{method} {path}: {answer}");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{method} {path}: {:?}",
            began.elapsed()
        );
    }

    server.start_again().unwrap();
    let took = wait_until("readiness comes back", SOON, || ready(&doorward) == 200);
    println!("ready again {took:?} after the database came back");
    assert_eq!(scene::read_orders(&doorward, &unseen), 200);
    scene::token(&doorward, &secret);
    let (_, after) = doorward
        .admin_call("GET", "/v1/export?keys=true", None)
        .unwrap();
    assert_eq!(after, before, "nothing was half-written");
    scene::key(&doorward, "after the outage");
    assert_eq!(scene::audit_verified(&doorward)["intact"], true);
}

#[test]
fn the_grace_of_an_outage_ends() {
    if postgres::shared().is_none() {
        return;
    }
    let mut server = Postgres::start().unwrap();
    let upstream = Backend::start("one");
    let database = server.create_database().unwrap();
    let settings = format!(
        "{}database: {{ url: '{database}' }}\noutage: {{ grace: 3s }}\n",
        scene::settings(&upstream.url())
    );
    let doorward = Doorward::start(&settings).unwrap();
    let (_, key) = scene::key(&doorward, "cached");
    let secret = scene::client_secret(&doorward);
    let token = scene::token(&doorward, &secret);
    assert_eq!(scene::read_orders(&doorward, &key), 200);
    assert_eq!(scene::read_orders(&doorward, &token), 200);

    server.stop().unwrap();
    let stopped = Instant::now();
    assert_eq!(scene::read_orders(&doorward, &key), 200, "within the grace");
    assert_eq!(
        scene::read_orders(&doorward, &token),
        200,
        "within the grace"
    );
    wait_until("the grace ends", SOON, || {
        scene::read_orders(&doorward, &key) == 503 && scene::read_orders(&doorward, &token) == 503
    });
    assert!(
        stopped.elapsed() > Duration::from_secs(2),
        "{:?}",
        stopped.elapsed()
    );
    assert_eq!(
        doorward.get("/open", &[]).unwrap().status,
        200,
        "a public route asks nobody"
    );

    server.start_again().unwrap();
    wait_until("all is well again", SOON, || {
        scene::read_orders(&doorward, &token) == 200
    });
    assert_eq!(scene::read_orders(&doorward, &key), 200);
}

#[test]
fn a_node_whose_database_is_away_says_so_and_ends() {
    let place = Place::new().unwrap();
    let [nobody] = testkit::doorward::free_addresses().unwrap();
    let lines = format!("database: {{ url: 'postgres://doorward:geheim@{nobody}/doorward' }}\n");
    place
        .write_settings(&format!("{}{lines}", scene::settings("http://127.0.0.1:9")))
        .unwrap();
    let (code, words) = scene::serve_to_its_end(&place);
    assert_eq!(code, Some(1), "{words}");
    assert!(
        words.contains("no PostgreSQL server answers") && words.contains("start it"),
        "{words}"
    );
    assert!(!words.contains("geheim"), "{words}");
}
