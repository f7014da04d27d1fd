use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn grades(found: &Findings) -> Vec<(&str, Grade)> {
    found
        .0
        .iter()
        .map(|finding| (finding.what.as_str(), finding.grade))
        .collect()
}

fn status(now: &str, waiting: u64, refused: &Value) -> Status {
    serde_json::from_value(json!({
        "version": "1", "started_at": now, "now": now,
        "you": { "key": "adm_1", "name": "alice", "role": "owner" }, "resources": {}, "newest_change": 1,
        "audit": { "chained": 9, "waiting": waiting }, "settings": { "loaded_at": now, "refused": refused }
    }))
    .unwrap()
}

#[test]
fn a_healthy_process_is_good_in_all() {
    let mut found = Findings::default();
    judge_status(
        &status("2027-01-15T08:00:04Z", 3, &Value::Null),
        &mut found,
        NOW,
    );
    assert!(
        found.0.iter().all(|finding| finding.grade == Grade::Good),
        "{found:?}"
    );
}

#[test]
fn a_clock_out_of_step_refused_settings_and_a_full_sequencer_show() {
    let mut found = Findings::default();
    let refused =
        json!({ "at": "2027-01-15T07:59:00Z", "message": "doorward.yaml:3:7: unknown key" });
    judge_status(
        &status("2027-01-15T07:59:54Z", 500, &refused),
        &mut found,
        NOW,
    );
    assert_eq!(
        grades(&found)[1..],
        [
            ("clock", Grade::Warning),
            ("reload", Grade::Bad),
            ("audit trail", Grade::Warning)
        ]
    );
}

#[test]
fn a_missing_or_old_signing_key_shows() {
    let key = |purpose: &str, state: &str, since: &str| -> SigningKeyView {
        serde_json::from_value(json!({
            "kid": "k", "purpose": purpose, "algorithm": "ES256", "state": state, "created_at": since,
            "activated_at": since, "public_jwk": {}
        }))
        .unwrap()
    };
    let keys = [
        key("access", "active", "2026-10-17T08:00:00Z"),
        key("upstream", "active", "2026-10-15T08:00:00Z"),
        key("audit", "published", "2027-01-01T00:00:00Z"),
    ];
    let mut found = Findings::default();
    judge_signing_keys(&keys, &mut found, NOW);
    let grades: Vec<_> = found.0.iter().map(|finding| finding.grade).collect();
    assert_eq!(grades, [Grade::Good, Grade::Warning, Grade::Bad]);
}

#[test]
fn tuples_that_no_model_takes_show() {
    let mut found = Findings::default();
    judge_relations(&[], &mut found);
    assert_eq!(found.0[0].grade, Grade::Good);
    let left = LeftOverView {
        like: "order:1#ownr@user:ada".to_owned(),
        tuples: 3,
        why: "`order` has no relation `ownr`".to_owned(),
    };
    let mut found = Findings::default();
    judge_relations(&[left], &mut found);
    assert_eq!(
        found.0[0].words,
        "tuples count for nothing: 3 like order:1#ownr@user:ada"
    );
}

#[test]
fn tokens_that_live_long_show() {
    let api = |name: &str, lifetime: &str| -> Resource {
        serde_json::from_value(json!({
            "kind": "Api", "name": name, "id": "1", "version": 1, "managed_by": "api",
            "created_at": "2027-01-01T00:00:00Z", "updated_at": "2027-01-01T00:00:00Z",
            "spec": { "token_lifetime": lifetime }
        }))
        .unwrap()
    };
    let mut found = Findings::default();
    judge_lifetimes(&[api("a", "15m"), api("b", "16m")], &mut found);
    assert_eq!(found.0[0].words, "tokens live longer than 15 min: b (16m)");
    let mut found = Findings::default();
    judge_lifetimes(&[api("a", "15m")], &mut found);
    assert_eq!(found.0[0].grade, Grade::Good);
}

#[test]
fn the_settings_file_is_the_one_given_then_here_then_devs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let env = move |name: &str| (name == "XDG_DATA_HOME").then(|| data.clone());
    let dev = folder.path().join("doorward/dev/doorward.yaml");
    assert_eq!(settings_file(None, &env), None);
    std::fs::create_dir_all(dev.parent().unwrap()).unwrap();
    std::fs::write(&dev, "version: 1").unwrap();
    assert_eq!(settings_file(None, &env), Some((dev.clone(), Mode::Dev)));
    assert_eq!(
        settings_file(Some(dev.clone()), &env),
        Some((dev, Mode::Dev))
    );
    assert_eq!(
        settings_file(Some("x.yaml".into()), &env),
        Some(("x.yaml".into(), Mode::Serve))
    );
}

#[test]
fn an_address_that_means_all_is_tried_on_loopback() {
    for (listens, tried) in [
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("[::]:80", "[::1]:80"),
        ("192.0.2.1:80", "192.0.2.1:80"),
    ] {
        assert_eq!(reachable(listens.parse().unwrap()), tried.parse().unwrap());
    }
}
