//! The life of credentials.

use http::Method;
use registry::ports::CallRecord as _;
use registry::record::Usage;
use serde_json::{Value, json};

use super::world::{As, NOW, Seen, World, ask, get, post, put};

async fn key(world: &World) -> (String, String) {
    let body = json!({ "application": "shop", "label": "partner", "apis": ["orders"], "scopes": ["orders:read"] });
    let seen = world.send(post(As::Operator, "/v1/keys", &body)).await;
    assert_eq!(seen.status.as_u16(), 201, "{seen:?}");
    assert_eq!(seen.header("cache-control"), Some("no-store"));
    let made = seen.json();
    (
        made["credential"]["id"].as_str().unwrap().to_owned(),
        made["secret"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn i02_a_secret_is_shown_to_its_making_and_never_again() {
    let world = World::new().await;
    let (id, secret) = key(&world).await;
    assert!(secret.starts_with("dw_sk_live_"));
    let digest = proof::digest::hex(&proof::digest::sha256(secret.as_bytes()));
    for path in [
        format!("/v1/keys/{id}"),
        "/v1/keys".to_owned(),
        format!("/v1/keys/{id}/usage"),
        "/v1/export?keys=true".to_owned(),
        "/v1/audit".to_owned(),
        "/v1/settings".to_owned(),
    ] {
        let seen = world.send(get(As::Owner, &path)).await;
        assert!(seen.status.is_success(), "{path}: {seen:?}");
        assert!(
            !seen.body.contains(&secret[20..]) && !seen.body.contains(&digest),
            "{path}"
        );
        assert!(!seen.body.contains("verifier"), "{path}");
    }
}

#[tokio::test]
async fn a_key_sleeps_wakes_changes_and_ends() {
    let world = World::new().await;
    let (id, _) = key(&world).await;
    let act = |verb: &str| post(As::Operator, &format!("/v1/keys/{id}/{verb}"), &json!({}));
    assert_eq!(world.ok(act("suspend")).await["state"], "suspended");
    assert_eq!(world.send(act("suspend")).await.code(), "wrong-state");
    assert_eq!(world.ok(act("resume")).await["state"], "active");

    let path = format!("/v1/keys/{id}");
    let version = world.ok(get(As::Auditor, &path)).await["version"]
        .as_i64()
        .unwrap();
    let amend = |body: Value| ask(As::Operator, Method::PATCH, &path).json(&body);
    let amended = world
        .ok(amend(json!({ "label": "renamed", "version": version })))
        .await;
    assert_eq!(
        (&amended["label"], &amended["scopes"]),
        (&json!("renamed"), &json!(["orders:read"]))
    );
    let stale = world
        .send(amend(json!({ "label": "again", "version": version })))
        .await;
    assert_eq!(stale.code(), "conflict");
    assert_eq!(stale.json()["current_version"], json!(version + 1));
    let stale = world
        .send(amend(json!({ "label": "again" })).header("if-match", &format!("\"{version}\"")))
        .await;
    assert_eq!(stale.code(), "conflict");
    let unsound = world
        .send(amend(json!({ "scopes": ["orders:nothing"] })))
        .await;
    assert_eq!(unsound.code(), "invalid-request", "{unsound:?}");
    let dated = world
        .ok(amend(json!({ "expires_at": "2030-01-01T00:00:00Z" })))
        .await;
    assert_eq!(dated["expires_at"], "2030-01-01T00:00:00Z");
    assert_eq!(
        world
            .ok(amend(json!({ "expires_at": "never" })))
            .await
            .get("expires_at"),
        None
    );

    assert_eq!(world.ok(act("revoke")).await["state"], "revoked");
    for verb in ["resume", "suspend", "revoke", "rotate"] {
        assert_eq!(world.send(act(verb)).await.code(), "wrong-state", "{verb}");
    }
}

#[tokio::test]
async fn rotation_keeps_both_keys_for_the_overlap() {
    let world = World::new().await;
    let (id, secret) = key(&world).await;
    let path = format!("/v1/keys/{id}/rotate");
    let made = world
        .ok(post(As::Operator, &path, &json!({ "overlap": "1d" })))
        .await;
    assert_ne!(made["secret"], json!(secret));
    assert_eq!(made["credential"]["scopes"], json!(["orders:read"]));
    assert_eq!(made["replaces"]["id"], json!(id));
    assert_eq!(made["replaces"]["successor"], made["credential"]["id"]);
    assert_eq!(made["replaces"]["expires_at"], "2027-01-16T08:00:00Z");
    assert_eq!(
        world
            .send(post(As::Operator, &path, &json!({})))
            .await
            .code(),
        "wrong-state"
    );
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let world = World::new().await;
    for _ in 0..4 {
        key(&world).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/keys?owner=shop&limit=2".to_owned();
    for _ in 0..10 {
        let page = world.ok(get(As::Auditor, &path)).await;
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/keys?owner=shop&limit=2&after={next}"),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (5, &sorted));
}

#[tokio::test]
async fn a_foreign_key_comes_in_by_its_hash() {
    let world = World::new().await;
    let body = json!({
        "key": { "application": "shop", "label": "from the old gateway", "apis": ["orders"] },
        "verifier": format!("sha256${}", "ab".repeat(32))
    });
    let made = world.ok(post(As::Operator, "/v1/keys/import", &body)).await;
    assert_eq!(made["imported"], true);
    assert_eq!(made.get("secret"), None);
    let mut bad = body.clone();
    bad["verifier"] = json!("plain");
    let seen = world
        .send(post(As::Operator, "/v1/keys/import", &bad))
        .await;
    assert_eq!(seen.code(), "invalid-request", "{seen:?}");
}

#[tokio::test]
async fn usage_is_summed_up() {
    let world = World::new().await;
    let (id, _) = key(&world).await;
    let hour = |ago: u64, calls| Usage {
        name: id.clone(),
        belongs_to: None,
        hour: NOW.minus(core::time::Duration::from_secs(ago * 3600)),
        calls,
        last_used: NOW.minus(core::time::Duration::from_secs(ago * 3600 - 60)),
    };
    world
        .store
        .add_usage(&[hour(1, 3), hour(2, 4)])
        .await
        .unwrap();
    let usage = world
        .ok(get(As::Auditor, &format!("/v1/keys/{id}/usage")))
        .await;
    assert_eq!(
        (&usage["calls"], &usage["last_used"]),
        (&json!(7), &json!("2027-01-15T07:01:00Z"))
    );
    let usage = world
        .ok(get(
            As::Auditor,
            &format!("/v1/keys/{id}/usage?since=2027-01-15T06:30:00Z"),
        ))
        .await;
    // The hour that the time lies in counts whole.
    assert_eq!(
        (&usage["calls"], &usage["since"]),
        (&json!(7), &json!("2027-01-15T06:00:00Z"))
    );
}

async fn owners(world: &World) {
    let client = json!({ "spec": {
        "application": "shop", "auth_method": "client_secret_basic", "grants": { "orders": ["orders:read"] }
    } });
    for name in ["backend", "other"] {
        world
            .ok(put(As::Operator, &format!("/v1/clients/{name}"), &client))
            .await;
    }
    let account = json!({ "spec": { "application": "shop", "apis": ["orders"] } });
    world
        .ok(put(As::Operator, "/v1/accounts/alice", &account))
        .await;
}

#[tokio::test]
async fn a_clients_secret_is_its_own() {
    let world = World::new().await;
    owners(&world).await;
    let made = world
        .ok(post(
            As::Operator,
            "/v1/clients/backend/secrets",
            &json!({}),
        ))
        .await;
    assert!(made["secret"].as_str().unwrap().starts_with("dw_cs_live_"));
    let id = made["credential"]["id"].as_str().unwrap();
    let list = world
        .ok(get(As::Auditor, "/v1/clients/backend/secrets"))
        .await;
    assert_eq!(list["items"][0]["id"], json!(id));
    assert_eq!(
        world
            .ok(get(As::Auditor, "/v1/clients/other/secrets"))
            .await["items"],
        json!([])
    );
    for path in [
        format!("/v1/clients/other/secrets/{id}"),
        format!("/v1/keys/{id}"),
        format!("/v1/admin-keys/{id}"),
        format!("/v1/accounts/backend/passwords/{id}"),
        "/v1/clients/nobody/secrets".to_owned(),
    ] {
        assert_eq!(
            world.send(get(As::Owner, &path)).await.code(),
            "not-found",
            "{path}"
        );
    }
    let wrong = world
        .send(post(
            As::Operator,
            &format!("/v1/clients/other/secrets/{id}/revoke"),
            &json!({}),
        ))
        .await;
    assert_eq!(wrong.code(), "not-found");
    let revoked = world
        .ok(post(
            As::Operator,
            &format!("/v1/clients/backend/secrets/{id}/revoke"),
            &json!({}),
        ))
        .await;
    assert_eq!(revoked["state"], "revoked");
}

#[tokio::test]
async fn a_password_is_given_or_made_and_a_weak_one_is_refused() {
    let world = World::new().await;
    owners(&world).await;
    let path = "/v1/accounts/alice/passwords";
    let set = |body: Value| post(As::Operator, path, &body);
    let weak = world
        .send(set(json!({ "password": "alice-alice-alice" })))
        .await;
    assert_eq!(weak.code(), "invalid-request");
    assert!(!weak.body.contains("alice-alice"), "{}", weak.body);
    let given = world
        .ok(set(json!({ "password": "correct horse battery" })))
        .await;
    assert_eq!(given.get("secret"), None);
    let made = world.ok(ask(As::Operator, Method::POST, path)).await;
    assert!(made["secret"].as_str().unwrap().len() >= 24);
    assert_eq!(world.send(set(json!({}))).await.code(), "wrong-state");
    let list = world.send(get(As::Auditor, path)).await;
    assert!(
        !list.body.contains("correct") && !list.body.contains(made["secret"].as_str().unwrap())
    );
}

#[tokio::test]
async fn the_last_owner_can_not_be_locked_out() {
    let world = World::new().await;
    let path = format!("/v1/admin-keys/{}", world.admin_ids[0]);
    let denied = |seen: Seen| assert_eq!(seen.code(), "wrong-state", "{seen:?}");
    denied(
        world
            .send(post(As::Owner, &format!("{path}/revoke"), &json!({})))
            .await,
    );
    denied(
        world
            .send(ask(As::Owner, Method::PATCH, &path).json(&json!({ "roles": ["auditor"] })))
            .await,
    );
    let second = json!({ "label": "bob", "role": "owner" });
    let made = world.ok(post(As::Owner, "/v1/admin-keys", &second)).await;
    assert!(made["secret"].as_str().unwrap().starts_with("dw_ak_live_"));
    let amended = world
        .ok(ask(As::Owner, Method::PATCH, &path).json(&json!({ "roles": ["auditor"] })))
        .await;
    assert_eq!(amended["roles"], json!(["auditor"]));
    // The new role counts at once.
    let seen = world.send(post(As::Owner, "/v1/admin-keys", &second)).await;
    assert_eq!(seen.code(), "action-not-allowed");
}

#[tokio::test]
async fn a_person_gets_a_password_sleeps_and_wakes() {
    let world = World::new().await;
    let spec = json!({ "spec": { "email": "alice@example.com" }, "version": 0 });
    let made = world
        .send(put(As::Operator, "/v1/users/alice", &spec))
        .await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    let chosen = json!({ "password": "correct horse battery" });
    let set = world
        .send(post(As::Operator, "/v1/users/alice/passwords", &chosen))
        .await;
    assert_eq!(set.status.as_u16(), 201, "{set:?}");
    let id = set.json()["credential"]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("upw_"), "{id}");
    assert!(!set.body.contains("battery"));
    // It is the person's: nothing of that name among the accounts has it.
    for (path, status) in [
        (format!("/v1/users/alice/passwords/{id}"), 200),
        (format!("/v1/accounts/alice/passwords/{id}"), 404),
        (format!("/v1/users/bob/passwords/{id}"), 404),
        ("/v1/users/alice/passwords".to_owned(), 200),
        ("/v1/users/bob/passwords".to_owned(), 404),
    ] {
        let seen = world.send(get(As::Auditor, &path)).await;
        assert_eq!(seen.status.as_u16(), status, "{path}: {seen:?}");
    }
    let act = |verb: &str| post(As::Operator, &format!("/v1/users/alice/{verb}"), &json!({}));
    assert_eq!(world.ok(act("suspend")).await["spec"]["suspended"], true);
    assert_eq!(world.send(act("suspend")).await.code(), "wrong-state");
    let stale = post(As::Operator, "/v1/users/alice/resume?version=1", &json!({}));
    assert_eq!(world.send(stale).await.code(), "conflict");
    assert_eq!(world.ok(act("resume")).await["spec"].get("suspended"), None);
    let auditor = post(As::Auditor, "/v1/users/alice/suspend", &json!({}));
    assert_eq!(world.send(auditor).await.code(), "action-not-allowed");
}
