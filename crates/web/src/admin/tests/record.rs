//! What was recorded, how the process is, and the end of signing keys and tokens.

use issuer::ports::Revocation;
use registry::ports::{AuditTrail as _, CallRecord as _};
use registry::record::{Decision, Usage, hour_of};
use serde_json::{Value, json};

use super::world::{As, NOW, World, get, post, put};
use crate::admin::view::Explain;

#[tokio::test]
async fn the_trail_is_read_forward_and_from_its_end() {
    let world = World::new().await;
    world.store.chain_waiting("test", NOW, 1000).await.unwrap();
    let all = world.ok(get(As::Auditor, "/v1/audit?limit=1000")).await;
    let all = all["items"].as_array().unwrap();
    assert!(all.len() >= 6, "{all:?}");
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, one)| one["sequence"] == json!(index + 1))
    );
    let page = world.ok(get(As::Auditor, "/v1/audit?limit=2")).await;
    assert_eq!((&page["items"][1], &page["next"]), (&all[1], &json!("2")));
    let page = world
        .ok(get(As::Auditor, "/v1/audit?limit=2&after=2"))
        .await;
    assert_eq!(page["items"][0], all[2]);

    world
        .ok(put(
            As::Operator,
            "/v1/applications/new",
            &json!({ "spec": {} }),
        ))
        .await;
    let newest = world
        .ok(get(As::Auditor, "/v1/audit?newest=true&limit=2"))
        .await;
    let newest = newest["items"].as_array().unwrap();
    assert_eq!(newest.len(), 2);
    assert_eq!(newest[0], all[all.len() - 1]);
    assert_eq!(
        (&newest[1]["subject"], newest[1].get("sequence")),
        (&json!("Application/new"), None)
    );
    assert_eq!(
        newest[1]["actor"],
        json!(format!("operator ({})", world.admin_ids[1]))
    );
}

#[tokio::test]
async fn a_whole_trail_verifies_and_a_forged_checkpoint_shows() {
    let world = World::new().await;
    world.store.chain_waiting("test", NOW, 1000).await.unwrap();
    let found = world.ok(get(As::Auditor, "/v1/audit/verify")).await;
    assert_eq!(found["intact"], true);
    let (head, hash) = world.store.chain_head().await.unwrap();
    assert_eq!(
        (&found["events"], &found["head"]),
        (&json!(head), &json!(proof::digest::hex(&hash)))
    );
    // Signed by nobody we know.
    let stranger =
        proof::jose::key::SigningKey::generate(proof::jose::alg::Algorithm::ES256).unwrap();
    let forged = registry::audit::sign_checkpoint(head, &hash, NOW, &stranger);
    world.store.add_checkpoint(forged).await.unwrap();
    let found = world.ok(get(As::Auditor, "/v1/audit/verify")).await;
    assert_eq!(found["intact"], false);
    assert!(
        found["fault"]
            .as_str()
            .unwrap()
            .contains("no valid signature"),
        "{found}"
    );
    let list = world.ok(get(As::Auditor, "/v1/audit/checkpoints")).await;
    assert_eq!(list["items"][0]["sequence"], json!(head));
}

#[tokio::test]
async fn decisions_are_read_newest_first_and_page_by_page() {
    let world = World::new().await;
    let decision = |number: u64| Decision {
        v: 1,
        request_id: format!("r{number}").into(),
        at: NOW.plus(core::time::Duration::from_secs(number)),
        client: "192.0.2.1".to_owned(),
        method: "GET".into(),
        path: "/orders".to_owned(),
        api: Some("orders".into()),
        route: Some("list".into()),
        decision: "deny".into(),
        code: Some("credential-missing".into()),
        cause: None,
        credential_kind: None,
        credential: None,
        secret: None,
        principal: None,
        application: None,
        issuer: None,
        client_id: None,
        companions: Vec::new(),
        status: 401,
        micros: 17,
        judged: None,
    };
    world
        .store
        .append_decisions(&[decision(1), decision(2), decision(3)])
        .await
        .unwrap();
    let ids = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["request_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = world.ok(get(As::Auditor, "/v1/decisions?limit=2")).await;
    assert_eq!(ids(&page), ["r3", "r2"]);
    let next = page["next"].as_str().unwrap();
    let page = world
        .ok(get(
            As::Auditor,
            &format!("/v1/decisions?limit=2&before={next}"),
        ))
        .await;
    assert_eq!(ids(&page), ["r1"]);
    assert_eq!(page.get("next"), None);

    let one = world.ok(get(As::Auditor, "/v1/decisions/r2")).await;
    assert_eq!(
        (&one["request_id"], &one["status"]),
        (&json!("r2"), &json!(401))
    );
    for absent in ["r4".to_owned(), "r".repeat(65)] {
        let path = format!("/v1/decisions/{absent}");
        assert_eq!(world.send(get(As::Auditor, &path)).await.status, 404);
    }
}

#[tokio::test]
async fn an_explanation_is_an_operators_act_and_is_noted_without_the_request() {
    let world = World::new().await;
    let secret = "GET /orders HTTP/1.1\nAuthorization: Bearer hunter2\n";
    let body = json!({"request": secret, "from": "192.0.2.7"});
    let path = "/v1/explain";
    let seen = world.send(post(As::Auditor, path, &body)).await;
    assert_eq!(seen.status, 403, "{seen:?}");
    let explained = world.ok(post(As::Operator, path, &body)).await;
    assert_eq!(explained["call"]["client"], "192.0.2.7");
    assert_eq!(explained["answer"]["status"], 401);
    let coded = json!({"request_base64": proof::base64std::encode(secret.as_bytes())});
    world.ok(post(As::Owner, path, &coded)).await;
    for (body, says) in [
        (json!({}), "either request or request_base64"),
        (json!({"request": "a", "request_base64": "YQ=="}), "either"),
        (json!({"request_base64": "%%"}), "not base64"),
        (json!({"request": "hunter2"}), "line 1: not a request line"),
        (json!({"request": "a", "scheme": "ftp"}), "scheme"),
        (json!({"request": "a", "nonsense": 1}), "nonsense"),
    ] {
        let seen = world.send(post(As::Operator, path, &body)).await;
        assert_eq!(seen.status, 400, "{body} {seen:?}");
        let told = format!("{seen:?}");
        assert!(told.contains(says), "{body} {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let events = world.store.audit_events(0, 100, true).await.unwrap();
    let noted: Vec<_> = events
        .iter()
        .filter(|event| event.action == "call.explain")
        .collect();
    assert_eq!(noted.len(), 2, "one for each that was answered");
    assert_eq!(noted[0].subject, "call/orders");
    assert_eq!(noted[0].details["code"], "credential-refused");
    assert!(!format!("{events:?}").contains("hunter2"));
    let debug = format!(
        "{:?}",
        serde_json::from_value::<Explain>(json!({"request": secret}))
    );
    assert!(!debug.contains("hunter2"), "{debug}");
}

#[tokio::test]
async fn status_tells_how_it_is_and_who_asks() {
    let world = World::new().await;
    let status = world.ok(get(As::Auditor, "/v1/status")).await;
    assert_eq!(
        status["you"],
        json!({ "key": world.admin_ids[2], "name": "auditor", "role": "auditor" })
    );
    assert_eq!(
        (
            &status["resources"]["apis"],
            &status["resources"]["clients"]
        ),
        (&json!(1), &json!(0))
    );
    assert!(status["audit"]["waiting"].as_u64().unwrap() > 0);
    assert!(
        status["settings"]["refused"]["message"]
            .as_str()
            .unwrap()
            .contains("3:7")
    );
    let settings = world.ok(get(As::Auditor, "/v1/settings")).await;
    assert_eq!(settings["effective"]["master_key"], "***");
}

#[tokio::test]
async fn a_signing_key_is_published_before_it_signs_unless_it_leaked() {
    let world = World::new().await;
    let states = |page: &Value| -> Vec<String> {
        let keys = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["purpose"] == "access");
        let mut states: Vec<_> = keys
            .map(|one| one["state"].as_str().unwrap().to_owned())
            .collect();
        states.sort();
        states
    };
    let list = world.send(get(As::Auditor, "/v1/signing-keys")).await;
    assert_eq!(states(&list.json()), ["active"]);
    assert!(
        !list.body.contains("\"d\"") && !list.body.contains("sealed"),
        "{}",
        list.body
    );
    let rotate = |body: Value| post(As::Owner, "/v1/signing-keys/rotate", &body);
    let page = world.ok(rotate(json!({ "purpose": "access" }))).await;
    assert_eq!(states(&page), ["active", "published"]);
    let page = world
        .ok(rotate(json!({ "purpose": "access", "leaked": true })))
        .await;
    assert!(!states(&page).contains(&"retiring".to_owned()), "{page}");
    assert!(states(&page).contains(&"active".to_owned()));
    for bad in [
        json!({ "purpose": "other" }),
        json!({ "purpose": "audit", "leaked": true }),
    ] {
        assert_eq!(world.send(rotate(bad)).await.code(), "invalid-request");
    }
}

#[tokio::test]
async fn a_checkpoint_verifies_after_its_key_was_rotated() {
    let world = World::new().await;
    let rotate = json!({ "purpose": "audit", "immediately": true });
    let page = world
        .ok(post(As::Owner, "/v1/signing-keys/rotate", &rotate))
        .await;
    let old = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["purpose"] == "audit" && one["state"] == "retiring");
    assert_eq!(old.expect("the old key stays").get("until"), None);
}

#[tokio::test]
async fn tokens_are_revoked_by_id_or_by_client_with_a_trace() {
    let world = World::new().await;
    let revoke = |body: Value| post(As::Operator, "/v1/tokens/revoke", &body);
    world.ok(revoke(json!({ "token_id": "jti-1" }))).await;
    world.ok(revoke(json!({ "client": "backend" }))).await;
    {
        let learned = world.learned.0.lock().unwrap();
        assert!(matches!(&learned[0], Revocation::Token { token_id, .. } if token_id == "jti-1"));
        assert!(
            matches!(&learned[1], Revocation::ClientEpoch { client_id, .. } if client_id == "backend")
        );
    }
    let events = world.store.audit_events(0, 1000, true).await.unwrap();
    let actor = format!("operator ({})", world.admin_ids[1]);
    for subject in ["token/jti-1", "client/backend"] {
        let event = events
            .iter()
            .find(|event| event.subject == subject)
            .expect(subject);
        assert_eq!(event.actor, actor);
    }
    for bad in [
        json!({}),
        json!({ "token_id": "a", "client": "b" }),
        json!({ "token_id": "a b" }),
        json!({ "token_id": "" }),
    ] {
        assert_eq!(world.send(revoke(bad)).await.code(), "invalid-request");
    }
    assert_eq!(
        world
            .send(revoke(json!({ "client": "No Such" })))
            .await
            .code(),
        "not-found"
    );
}

#[tokio::test]
async fn what_was_used_is_listed_latest_first_by_name_and_page_by_page() {
    let world = World::new().await;
    let used = |name: &str, belongs_to: Option<&str>, ago: u64| {
        let last_used = NOW.minus(core::time::Duration::from_secs(ago));
        Usage {
            name: name.to_owned(),
            belongs_to: belongs_to.map(str::to_owned),
            hour: hour_of(last_used),
            calls: 2,
            last_used,
        }
    };
    // What a certificate says may hold whatever it likes.
    let odd = "service:CN=a/b & c,O=\"ü\"";
    world
        .store
        .add_usage(&[
            used("jkt:old", Some("client:export"), 7200),
            used("jkt:new", Some("client:export"), 60),
            used("client:export", None, 60),
            used(odd, None, 90),
            used("key_1", None, 9 * 86_400),
        ])
        .await
        .unwrap();
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = world.ok(get(As::Auditor, "/v1/usage")).await;
    assert_eq!(names(&all), ["client:export", "jkt:new", odd, "jkt:old"]);
    let mut paged = Vec::new();
    let mut path = "/v1/usage?limit=1".to_owned();
    loop {
        let page = world.ok(get(As::Auditor, &path)).await;
        paged.extend(names(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        let next: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        path = format!("/v1/usage?limit=1&after={next}");
    }
    assert_eq!(paged, names(&all));

    let keys = world
        .ok(get(As::Auditor, "/v1/usage?about=client:export"))
        .await;
    assert_eq!(names(&keys), ["client:export", "jkt:new", "jkt:old"]);
    assert_eq!(
        keys["items"][2],
        json!({
            "name": "jkt:old", "belongs_to": "client:export", "calls": 2,
            "last_used": "2027-01-15T06:00:00Z",
        })
    );
    let long = "/v1/usage?since=2027-01-01T00:00:00Z";
    assert!(names(&world.ok(get(As::Auditor, long)).await).contains(&"key_1".to_owned()));
    for bad in [
        "after=yesterday",
        "after=/x",
        "limit=0",
        "limit=1001",
        "until=x",
    ] {
        let seen = world
            .send(get(As::Auditor, &format!("/v1/usage?{bad}")))
            .await;
        assert_eq!(seen.code(), "invalid-request", "{bad}: {seen:?}");
    }
}
