//! Who has what to do with which object, over the admin API.

use http::StatusCode;
use serde_json::{Value, json};

use super::world::{As, World, ask, get, post, put};

const RELATIONS: &str = "/v1/relations";

async fn world() -> World {
    let world = World::new().await;
    let model = json!({ "spec": { "types": {
        "user": {},
        "group": { "relations": { "member": { "direct": ["user", "group#member"] } } },
        "shop": { "relations": { "staff": { "direct": ["user", "group#member"] } } },
        "order": { "relations": {
            "shop": { "direct": ["shop"] },
            "owner": { "direct": ["user"] },
            "blocked": { "direct": ["user"] },
            "viewer": { "direct": ["user", "user:*"], "any_of": ["owner", "shop.staff"], "but_not": "blocked" },
        }},
    }}});
    let seen = world
        .send(put(As::Operator, "/v1/relation-models/shop", &model))
        .await;
    assert_eq!(seen.status, StatusCode::CREATED, "{seen:?}");
    world
}

fn add(tuples: &[&str]) -> Value {
    let add: Vec<Value> = tuples
        .iter()
        .map(|tuple| json!({ "tuple": tuple }))
        .collect();
    json!({ "add": add })
}

async fn checked(world: &World, asked: &[[&str; 3]]) -> Vec<bool> {
    let checks: Vec<Value> = asked
        .iter()
        .map(|[subject, relation, object]| {
            json!({ "subject": subject, "relation": relation, "object": object })
        })
        .collect();
    let path = "/v1/relations/check";
    let answers = world
        .ok(post(As::Auditor, path, &json!({ "checks": checks })))
        .await;
    let items = answers["items"].as_array().expect("a list").clone();
    items.iter().map(|item| item["allowed"] == true).collect()
}

#[tokio::test]
async fn what_is_written_is_judged_by_listed_and_taken_back() {
    let world = world().await;
    let tuples = [
        "order:1#owner@user:ada",
        "order:1#shop@shop:berlin",
        "shop:berlin#staff@group:hands#member",
        "group:hands#member@user:nic",
    ];
    let wrote = world.ok(post(As::Operator, RELATIONS, &add(&tuples))).await;
    assert_eq!(wrote["added"], 4);
    let asked = [
        ["user:ada", "viewer", "order:1"],
        ["user:nic", "viewer", "order:1"],
        ["user:bob", "viewer", "order:1"],
    ];
    assert_eq!(checked(&world, &asked).await, [true, true, false]);
    let body =
        json!({ "checks": [{ "subject": "user:nic", "relation": "viewer", "object": "order:1" }] });
    let answer = world
        .ok(post(As::Auditor, "/v1/relations/check", &body))
        .await;
    assert_eq!(
        answer["items"][0]["path"],
        json!([
            "order:1#viewer follows from order:1#shop@shop:berlin",
            "shop:berlin#staff@group:hands#member",
            "group:hands#member@user:nic",
        ])
    );
    let page = world
        .ok(get(As::Auditor, "/v1/relations?object=order:1&limit=1"))
        .await;
    assert_eq!(page["items"][0]["tuple"], tuples[0]);
    assert_eq!(page["next"], tuples[0]);
    let next = "/v1/relations?object=order:1&after=order:1%23owner@user:ada";
    let page = world.ok(get(As::Auditor, next)).await;
    assert_eq!(page["items"][0]["tuple"], tuples[1]);
    assert_eq!(
        page["items"][0]["created_by"]
            .as_str()
            .map(|by| by.starts_with("operator")),
        Some(true)
    );
    assert_eq!(page.get("next"), None);

    let body = json!({ "subject": "user:nic", "relation": "viewer", "type": "order" });
    let objects = world
        .ok(post(As::Auditor, "/v1/relations/list-objects", &body))
        .await;
    assert_eq!(objects, json!({ "objects": ["order:1"] }));
    let body = json!({ "object": "order:1", "relation": "viewer", "type": "user" });
    let subjects = world
        .ok(post(As::Auditor, "/v1/relations/list-subjects", &body))
        .await;
    assert_eq!(
        subjects,
        json!({ "subjects": ["user:ada", "user:nic"], "everyone": false })
    );
    let body = json!({ "object": "order:1", "relation": "viewer" });
    let tree = world
        .ok(post(As::Auditor, "/v1/relations/expand", &body))
        .await;
    let staff = &tree["any_of"][1]["trees"][0];
    assert_eq!(
        staff["subjects"][0]["members"]["subjects"][0]["subject"],
        "user:nic"
    );

    let body = json!({ "remove": [tuples[3]] });
    let wrote = world.ok(post(As::Operator, RELATIONS, &body)).await;
    assert_eq!(wrote["removed"], 1);
    assert_eq!(checked(&world, &asked).await, [true, false, false]);
    let events = world
        .ok(get(As::Auditor, "/v1/audit?newest=true&limit=1000"))
        .await;
    let text = events.to_string();
    for event in [
        "relation/order:1#owner@user:ada",
        "relation.add",
        "relation.remove",
    ] {
        assert!(text.contains(event), "{event}");
    }
}

#[tokio::test]
async fn what_the_model_does_not_take_is_told_with_its_place() {
    let world = world().await;
    for (body, detail) in [
        (
            add(&["order:1#ownr@user:ada"]),
            "`order` has no relation `ownr` (did you mean `owner`?) (at add[0]).",
        ),
        (
            add(&["order:1#owner@user:ada", "order:1#owner@user:*"]),
            "`owner` of `order` does not take `user:*`: its `direct` does not list it (at add[1]).",
        ),
        (
            add(&["order:1"]),
            "A tuple is `type:id#relation@subject` (at add[0].tuple).",
        ),
        (
            json!({ "add": [{ "tuple": "order:1#owner@user:a", "until": "2020-01-01T00:00:00Z" }] }),
            "Its end is over already (at add[0]).",
        ),
        (
            add(&["order:1#owner@user:a", "order:1#owner@user:a"]),
            "This tuple stands in the write twice (at order:1#owner@user:a).",
        ),
        (
            json!({}),
            "Add: one write adds and removes 1 to 100 tuples.",
        ),
    ] {
        let seen = world.send(post(As::Operator, RELATIONS, &body)).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(seen.json()["detail"], detail, "{body}");
    }
    for (path, body) in [
        ("check", json!({ "checks": [] })),
        (
            "check",
            json!({ "checks": [{ "subject": "user:*", "relation": "viewer", "object": "order:1" }] }),
        ),
        (
            "check",
            json!({ "checks": [{ "subject": "user:a", "relation": "viewer", "object": "order:1" }], "at_least": "7" }),
        ),
        (
            "list-objects",
            json!({ "subject": "user:a", "relation": "viewr", "type": "order" }),
        ),
        (
            "list-subjects",
            json!({ "object": "order:1", "relation": "viewer", "type": "usr" }),
        ),
        (
            "expand",
            json!({ "object": "ordr:1", "relation": "viewer" }),
        ),
    ] {
        let seen = world
            .send(post(As::Operator, &format!("{RELATIONS}/{path}"), &body))
            .await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path} {body}");
    }
}

#[tokio::test]
async fn a_write_that_expects_otherwise_is_a_conflict_and_writes_nothing() {
    let world = world().await;
    world
        .ok(post(
            As::Operator,
            RELATIONS,
            &add(&["order:1#owner@user:ada"]),
        ))
        .await;
    let mut body = add(&["order:1#owner@user:bob"]);
    body["must_not"] = json!(["order:1#owner@user:ada"]);
    let seen = world.send(post(As::Operator, RELATIONS, &body)).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert_eq!(
        seen.json()["detail"],
        "`order:1#owner@user:ada` stands, so nothing was written."
    );
    body["must_not"] = json!([]);
    body["must"] = json!(["order:1#owner@user:eve"]);
    let seen = world.send(post(As::Operator, RELATIONS, &body)).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert_eq!(
        checked(&world, &[["user:bob", "owner", "order:1"]]).await,
        [false]
    );
}

#[tokio::test]
async fn an_auditor_reads_and_asks_but_writes_nothing() {
    let world = world().await;
    let seen = world
        .send(post(
            As::Auditor,
            RELATIONS,
            &add(&["order:1#owner@user:ada"]),
        ))
        .await;
    assert_eq!(
        (seen.status, seen.code()),
        (StatusCode::FORBIDDEN, "action-not-allowed".into())
    );
    let seen = world
        .send(post(
            As::Auditor,
            RELATIONS,
            &json!({ "remove": ["order:1#owner@user:ada"] }),
        ))
        .await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    world.ok(get(As::Auditor, RELATIONS)).await;
}

#[tokio::test]
async fn tuples_whose_type_is_gone_count_for_nothing_and_are_reported() {
    let world = world().await;
    world
        .ok(post(
            As::Operator,
            RELATIONS,
            &add(&["order:1#owner@user:ada", "order:2#owner@user:ada"]),
        ))
        .await;
    let path = "/v1/relations/left-over";
    let none = world.ok(get(As::Auditor, path)).await;
    assert_eq!(none["items"], json!([]));
    let model = json!({ "spec": { "types": { "user": {}, "order": { "relations": { "viewer": { "direct": ["user"] } } } } } });
    world
        .ok(put(As::Operator, "/v1/relation-models/shop", &model))
        .await;
    let left = world.ok(get(As::Auditor, path)).await;
    assert_eq!(
        left["items"],
        json!([{ "like": "order:1#owner@user:ada", "tuples": 2, "why": "`order` has no relation `owner` (there is viewer)" }])
    );
    // They can be taken back all the same.
    let body = json!({ "remove": ["order:1#owner@user:ada", "order:2#owner@user:ada"] });
    world.ok(post(As::Operator, RELATIONS, &body)).await;
    let seen = world
        .send(ask(
            As::Operator,
            http::Method::DELETE,
            "/v1/relation-models/shop",
        ))
        .await;
    assert_eq!(seen.status, StatusCode::NO_CONTENT);
    let seen = world
        .send(post(
            As::Operator,
            RELATIONS,
            &add(&["order:1#owner@user:ada"]),
        ))
        .await;
    assert_eq!(
        seen.json()["detail"],
        "There is no type `order` (there is client, role, service, user) (at add[0])."
    );
}
