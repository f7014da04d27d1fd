//! What is declared: one by one, and all together.

use http::Method;
use serde_json::{Value, json};

use super::world::{As, World, ask, get, orders, post, put};

#[tokio::test]
async fn a_resource_is_made_changed_and_removed_by_version() {
    let world = World::new().await;
    let path = "/v1/applications/till";
    let body = |purpose: &str| json!({ "spec": { "purpose": purpose } });
    let seen = world.send(put(As::Operator, path, &body("one"))).await;
    assert_eq!(
        (seen.status.as_u16(), seen.header("etag")),
        (201, Some("\"1\""))
    );
    let seen = world
        .send(put(As::Operator, path, &body("two")).header("if-match", "\"1\""))
        .await;
    assert_eq!(
        (seen.status.as_u16(), seen.header("etag")),
        (200, Some("\"2\""))
    );
    let stale = world
        .send(put(As::Operator, path, &body("three")).header("if-match", "\"1\""))
        .await;
    assert_eq!(
        (stale.code().as_str(), &stale.json()["current_version"]),
        ("conflict", &json!(2))
    );
    let taken = json!({ "spec": {}, "version": 0 });
    assert_eq!(
        world.send(put(As::Operator, path, &taken)).await.code(),
        "conflict"
    );
    for bad in ["*", "2", "\"x\"", "W/\"2\""] {
        let seen = world
            .send(put(As::Operator, path, &body("three")).header("if-match", bad))
            .await;
        assert_eq!(seen.code(), "invalid-request", "{bad}");
    }
    let shown = world.ok(get(As::Auditor, path)).await;
    assert_eq!(
        (&shown["spec"]["purpose"], &shown["version"]),
        (&json!("two"), &json!(2))
    );
    let list = world.ok(get(As::Auditor, "/v1/applications")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let stale = world
        .send(ask(
            As::Operator,
            Method::DELETE,
            &format!("{path}?version=1"),
        ))
        .await;
    assert_eq!(stale.code(), "conflict");
    let gone = world.send(ask(As::Operator, Method::DELETE, path)).await;
    assert_eq!((gone.status.as_u16(), gone.body.as_str()), (204, ""));
    assert_eq!(world.send(get(As::Auditor, path)).await.code(), "not-found");
}

#[tokio::test]
async fn every_mistake_of_a_document_is_told_with_its_place() {
    let world = World::new().await;
    let mut spec = orders();
    spec["token_lifetime"] = json!("soon");
    spec["routes"][0]["pth"] = json!("/x");
    let seen = world
        .send(put(
            As::Operator,
            "/v1/apis/other",
            &json!({ "spec": spec }),
        ))
        .await;
    assert_eq!(
        (seen.status.as_u16(), seen.code().as_str()),
        (400, "invalid-request")
    );
    let errors = seen.json()["errors"].clone();
    let places: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        places.contains(&"spec.token_lifetime".to_owned()),
        "{places:?}"
    );
    assert!(
        places
            .iter()
            .any(|place| place.starts_with("spec.routes[0]")),
        "{places:?}"
    );

    let meaning =
        json!({ "spec": { "application": "nobody", "auth_method": "client_secret_basic" } });
    let seen = world
        .send(put(As::Operator, "/v1/clients/lost", &meaning))
        .await;
    assert_eq!(
        seen.json()["errors"][0]["path"],
        "spec.application",
        "{seen:?}"
    );
    assert_eq!(seen.json()["errors"][0]["document"], "Client/lost");
}

#[tokio::test]
async fn what_others_refer_to_can_not_be_removed() {
    let world = World::new().await;
    let seen = world
        .send(ask(As::Operator, Method::DELETE, "/v1/applications/shop"))
        .await;
    assert_eq!(seen.code(), "wrong-state", "{seen:?}");
}

async fn apply(world: &World, documents: &Value, prune: bool, dry_run: bool) -> Value {
    let body = json!({ "documents": documents, "prune": prune, "dry_run": dry_run });
    world.ok(post(As::Operator, "/v1/apply", &body)).await
}

fn application(name: &str, purpose: &str) -> Value {
    json!({
        "apiVersion": "doorward/v1", "kind": "Application",
        "metadata": { "name": name }, "spec": { "purpose": purpose }
    })
}

#[tokio::test]
async fn what_is_exported_can_be_applied_and_plans_nothing() {
    let world = World::new().await;
    for path in ["/v1/export", "/v1/export?keys=true"] {
        let exported = world.ok(get(As::Auditor, path)).await["documents"].clone();
        let plan = apply(&world, &exported, true, true).await;
        assert_eq!(plan["changes"], json!([]), "{path}: {plan}");
        assert_eq!(
            plan["unchanged"].as_u64(),
            exported.as_array().map(|list| list.len() as u64)
        );
    }
}

#[tokio::test]
async fn a_plan_is_shown_before_it_is_carried_out_and_removes_only_when_told() {
    let world = World::new().await;
    apply(
        &world,
        &json!([application("a", "one"), application("b", "one")]),
        false,
        false,
    )
    .await;
    let wanted = json!([application("a", "two"), application("c", "one")]);
    let plan = apply(&world, &wanted, false, true).await;
    assert_eq!(plan["applied"], false);
    let lines = |plan: &Value| -> Vec<String> {
        let changes = plan["changes"].as_array().unwrap().iter();
        changes
            .map(|one| {
                format!(
                    "{} {}",
                    one["action"].as_str().unwrap(),
                    one["name"].as_str().unwrap()
                )
            })
            .collect()
    };
    assert_eq!(lines(&plan), ["create c", "update a"]);
    assert_eq!(
        plan["changes"][1]["fields"],
        json!([{ "path": "spec.purpose", "before": "one", "after": "two" }])
    );
    let shown = world.ok(get(As::Auditor, "/v1/applications/a")).await;
    assert_eq!(shown["spec"]["purpose"], "one", "a dry run changes nothing");

    let done = apply(&world, &wanted, false, false).await;
    assert_eq!(
        (&done["applied"], lines(&done)),
        (
            &json!(true),
            vec!["create c".to_owned(), "update a".to_owned()]
        )
    );
    assert_eq!(
        apply(&world, &wanted, false, true).await["changes"],
        json!([])
    );

    let exported = world.ok(get(As::Auditor, "/v1/export")).await["documents"].clone();
    let without_b: Vec<_> = exported
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["metadata"]["name"] != "b")
        .cloned()
        .collect();
    let pruned = apply(&world, &json!(without_b), true, false).await;
    assert_eq!(lines(&pruned), ["delete b"]);
    assert_eq!(
        world
            .send(get(As::Auditor, "/v1/applications/b"))
            .await
            .code(),
        "not-found"
    );
}

#[tokio::test]
async fn a_plan_whose_end_means_nothing_is_refused_dry_or_not() {
    let world = World::new().await;
    let client = json!({
        "apiVersion": "doorward/v1", "kind": "Client", "metadata": { "name": "lost" },
        "spec": { "application": "nobody", "auth_method": "client_secret_basic" }
    });
    for dry_run in [true, false] {
        let body = json!({ "documents": [client, application("x", "one")], "dry_run": dry_run });
        let seen = world.send(post(As::Operator, "/v1/apply", &body)).await;
        assert_eq!(seen.code(), "invalid-request", "{seen:?}");
        assert_eq!(seen.json()["errors"][0]["document"], "Client/lost");
    }
    assert_eq!(
        world
            .send(get(As::Auditor, "/v1/applications/x"))
            .await
            .code(),
        "not-found"
    );
}

#[tokio::test]
async fn a_document_can_not_make_a_key() {
    let world = World::new().await;
    let key = json!({
        "apiVersion": "doorward/v1", "kind": "ApiKey", "metadata": { "name": "new" },
        "spec": { "application": "shop", "label": "x" }
    });
    let plan = apply(&world, &json!([key]), false, true).await;
    assert_eq!(plan["refused"][0]["name"], "new");
    let seen = world
        .send(post(
            As::Operator,
            "/v1/apply",
            &json!({ "documents": [key] }),
        ))
        .await;
    assert_eq!(seen.code(), "wrong-state");
    assert!(
        seen.json()["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("secret"),
        "{seen:?}"
    );
}
