//! **The audit trail under attack**: somebody with the database in hand edits it while Doorward is
//! down; `audit verify` finds it.

use std::path::Path;

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use testkit::doorward::Doorward;
use testkit::wire;

use super::scene;

/// What somebody does to the database, and a word of what `verify` says of it.
const ATTACKS: [(&str, &str); 6] = [
    (
        "an edited event",
        "UPDATE audit_events SET actor = 'somebody else' WHERE number = 3",
    ),
    (
        "edited details",
        "UPDATE audit_events SET details = '{\"label\":\"nothing to see\"}' WHERE number = 4",
    ),
    (
        "an inserted event",
        "UPDATE audit_events SET number = number + 1000 WHERE number >= 4; \
         INSERT INTO audit_events SELECT realm_id, 4, 'forged', at, actor, action, subject, request_id, details, hash \
             FROM audit_events WHERE number = 3; \
         UPDATE audit_events SET number = number - 999 WHERE number >= 1000",
    ),
    (
        "a removed event",
        "DELETE FROM audit_events WHERE number = 3; \
         UPDATE audit_events SET number = number + 1000 WHERE number > 3; \
         UPDATE audit_events SET number = number - 1001 WHERE number > 1000",
    ),
    ("a gap", "DELETE FROM audit_events WHERE number = 3"),
    (
        "a cut tail",
        "DELETE FROM audit_events WHERE number > 4; \
         UPDATE audit_chain SET sequence = 4, hash = (SELECT hash FROM audit_events WHERE number = 4); \
         UPDATE counters SET audit_events = 4",
    ),
];

#[test]
fn audit_verify_finds_what_was_edited_inserted_removed_or_cut_off() {
    let mut doorward = Doorward::start(&scene::settings("http://127.0.0.1:9")).unwrap();
    for number in 0..4 {
        scene::key(&doorward, &format!("audited {number}"));
    }
    assert_eq!(scene::audit_verified(&doorward)["intact"], true);
    // The end seals the trail with a checkpoint.
    assert!(doorward.stop().unwrap());
    let data = doorward.place().path().join("data");
    let whole = doorward.place().path().join("whole");
    copy(&data, &whole);

    doorward.start_again().unwrap();
    let told = scene::command(&doorward, &["audit", "verify"]);
    assert!(told.contains("sealed up to"), "{told}");
    doorward.kill();

    for (attack, sql) in ATTACKS {
        copy(&whole, &data);
        edit(&data.join("doorward.db"), sql);
        doorward.start_again().unwrap();
        let ran = scene::attempt(&doorward, &["audit", "verify"], doorward.owner_key());
        let words = scene::words(&ran);
        assert_eq!(ran.status.code(), Some(1), "{attack} is not found: {words}");
        assert!(
            words.contains("The audit trail is not whole"),
            "{attack}: {words}"
        );
        let ran = scene::attempt(
            &doorward,
            &["audit", "verify", "--output", "json"],
            doorward.owner_key(),
        );
        let found: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(found["intact"], false, "{attack}");
        println!("{attack}: {}", found["fault"].as_str().unwrap());
        doorward.kill();
    }

    // The same steps without an attack leave it whole: it is not the copying that is found.
    copy(&whole, &data);
    doorward.start_again().unwrap();
    assert_eq!(scene::audit_verified(&doorward)["intact"], true);
}

#[test]
fn an_export_of_the_trail_holds_every_event_in_order_and_its_checkpoints() {
    let mut doorward = Doorward::start(&scene::settings("http://127.0.0.1:9")).unwrap();
    scene::key(&doorward, "exported");
    assert!(doorward.stop().unwrap());
    doorward.start_again().unwrap();
    let events = scene::audit_verified(&doorward)["events"].as_i64().unwrap();
    scene::command(&doorward, &["audit", "export", "-o", "trail.jsonl"]);
    let text = std::fs::read_to_string(doorward.place().path().join("trail.jsonl")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sequences: Vec<i64> = lines
        .iter()
        .filter_map(|line| line["sequence"].as_i64())
        .collect();
    assert_eq!(sequences, (1..=events).collect::<Vec<_>>());
    let checkpoints = lines
        .iter()
        .filter(|line| line["checkpoint"].is_object())
        .count();
    assert!(checkpoints > 0, "{text}");
    let (_, secret) = scene::key(&doorward, "after");
    assert!(!text.contains(&secret));
}

/// Copies a database with what lies beside it, over what is there.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn edit(database: &Path, sql: &'static str) {
    wire::runtime().block_on(async {
        let mut connection = SqliteConnection::connect(database.to_str().unwrap())
            .await
            .unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}
