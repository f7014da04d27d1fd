//! **Relations**: declared, written down, judged by, and known on every node.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::postgres;

use super::backend::Backend;
use super::scene::{self, attempt, command, command_json, wait_until, words};

const MODEL: &str = r#"
  - apiVersion: doorward/v1
    kind: RelationModel
    metadata: { name: shop }
    spec:
      types:
        user: {}
        group: { relations: { member: { direct: [user, "group#member"] } } }
        shop: { relations: { staff: { direct: [user, "group#member"] } } }
        order:
          relations:
            shop: { direct: [shop] }
            owner: { direct: [user, client] }
            viewer: { direct: [user], any_of: [owner, shop.staff] }
        client: {}
"#;

fn settings(upstream: &Backend) -> String {
    format!("{BASE}{}{MODEL}", scene::resources(&[upstream.url()]))
}

/// Asks a node, with an admin key that need not be its own.
fn check(
    doorward: &Doorward,
    key: &str,
    subject: &str,
    object: &str,
    at_least: Option<&str>,
) -> (u16, Value) {
    let mut body =
        json!({ "checks": [{ "subject": subject, "relation": "viewer", "object": object }] });
    if let Some(token) = at_least {
        body["at_least"] = token.into();
    }
    doorward
        .admin_call_as(key, "POST", "/v1/relations/check", Some(&body))
        .unwrap()
}

fn sees(doorward: &Doorward, subject: &str, object: &str) -> bool {
    let (status, answer) = check(doorward, doorward.owner_key(), subject, object, None);
    assert_eq!(status, 200, "{answer}");
    answer["items"][0]["allowed"] == true
}

#[test]
fn the_command_line_writes_relations_and_tells_what_follows_from_them() {
    let upstream = Backend::start("one");
    let mut doorward = Doorward::start(&settings(&upstream)).unwrap();
    command(
        &doorward,
        &[
            "relation",
            "add",
            "order:1001#shop@shop:berlin",
            "shop:berlin#staff@group:hands#member",
        ],
    );
    command(
        &doorward,
        &[
            "relation",
            "add",
            "group:hands#member@user:nic",
            "--purpose",
            "night shift",
            "--until",
            "8h",
        ],
    );
    let yes = command(
        &doorward,
        &["relation", "check", "user:nic", "viewer", "order:1001"],
    );
    assert_eq!(
        yes.lines().collect::<Vec<_>>(),
        [
            "yes: user:nic has viewer to order:1001",
            "  order:1001#viewer follows from order:1001#shop@shop:berlin",
            "  shop:berlin#staff@group:hands#member",
            "  group:hands#member@user:nic",
        ]
    );
    let no = ["relation", "check", "user:bob", "viewer", "order:1001"];
    let no = attempt(&doorward, &no, doorward.owner_key());
    assert_eq!(no.status.code(), Some(1));
    assert!(
        words(&no).contains("No: user:bob has no viewer to order:1001."),
        "{}",
        words(&no)
    );
    let listed = command_json(&doorward, &["relation", "list", "--subject", "user:nic"]);
    assert_eq!(listed["items"][0]["tuple"], "group:hands#member@user:nic");
    assert_eq!(listed["items"][0]["purpose"], "night shift");
    assert!(listed["items"][0]["until"].is_string());
    let objects = command(
        &doorward,
        &["relation", "objects", "user:nic", "viewer", "order"],
    );
    assert_eq!(objects, "order:1001\n");
    let subjects = command(&doorward, &["relation", "subjects", "order:1001", "viewer"]);
    assert_eq!(subjects, "user:nic\n");
    let tree = command(&doorward, &["relation", "expand", "order:1001", "viewer"]);
    assert!(tree.contains("group:hands#member"), "{tree}");
    let wrong = ["relation", "add", "order:1001#ownr@user:nic"];
    let wrong = attempt(&doorward, &wrong, doorward.owner_key());
    assert!(
        words(&wrong).contains("did you mean `owner`?"),
        "{}",
        words(&wrong)
    );

    // What was written outlives a restart; what is taken back is felt at once.
    doorward.stop().unwrap();
    doorward.start_again().unwrap();
    assert!(sees(&doorward, "user:nic", "order:1001"));
    command(
        &doorward,
        &["relation", "remove", "group:hands#member@user:nic"],
    );
    assert!(!sees(&doorward, "user:nic", "order:1001"));
    let models = command(&doorward, &["relation-model", "list"]);
    assert!(models.contains("shop"), "{models}");
}

#[test]
fn a_grant_ends_at_its_time_though_it_is_remembered() {
    let upstream = Backend::start("one");
    let doorward = Doorward::start(&settings(&upstream)).unwrap();
    command(
        &doorward,
        &["relation", "add", "order:7#owner@user:eve", "--until", "2s"],
    );
    assert!(sees(&doorward, "user:eve", "order:7"));
    let took = wait_until("the grant's end", Duration::from_secs(5), || {
        !sees(&doorward, "user:eve", "order:7")
    });
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_check_that_names_a_write_knows_of_it_on_every_node() {
    let Some(server) = postgres::shared() else {
        return;
    };
    let database = server.create_database().unwrap();
    let upstream = Backend::start("one");
    let settings = format!("{}database: {{ url: '{database}' }}\n", settings(&upstream));
    let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
    std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let settings = settings.replace(
        "url: 'http://@ISSUER@'",
        &format!("url: 'http://{}'", one.issuer),
    );
    let (one, two) = (one.start(&settings).unwrap(), two.start(&settings).unwrap());
    // The first administrator is made once.
    let key = one.owner_key();
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let order = format!("order:{round}");
        // The other node remembers that there is nothing.
        let (status, answer) = check(&two, key, "user:ada", &order, None);
        assert_eq!(
            (status, &answer["items"][0]["allowed"]),
            (200, &json!(false))
        );
        for (act, holds) in [("add", true), ("remove", false)] {
            let tuple = format!("{order}#owner@user:ada");
            let body = match act {
                "add" => json!({ "add": [{ "tuple": tuple }] }),
                _ => json!({ "remove": [tuple] }),
            };
            let wrote = one.make("POST", "/v1/relations", &body).unwrap();
            let began = Instant::now();
            let (status, answer) = check(&two, key, "user:ada", &order, wrote["at"].as_str());
            slowest = slowest.max(began.elapsed());
            assert_eq!(status, 200, "{answer}");
            assert_eq!(answer["items"][0]["allowed"], holds, "round {round}: {act}");
        }
    }
    println!("the slowest check that waited for a write on another node took {slowest:?}");
    // A change that never comes is waited for a little, and then nothing is answered.
    let began = Instant::now();
    let (status, answer) = check(&two, key, "user:ada", "order:1", Some("rel1-999999999"));
    assert_eq!(status, 503, "{answer}");
    assert!(began.elapsed() < Duration::from_secs(4));
}
