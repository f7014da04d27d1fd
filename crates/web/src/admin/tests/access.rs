//! Who gets in, from which site, and what the documents say of it.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Method, Request, StatusCode};
use proof::issued::Brand;
use registry::ports::AuditTrail as _;
use serde_json::{Value, json};
use verdict::credential::CredentialKind;
use verdict::route::Demand;

use super::world::{As, World, ask, get, post};
use crate::admin::operation::Operation;
use crate::admin::{declaration, openapi};

/// A path of an operation, with names that nothing has.
fn concrete(operation: Operation) -> String {
    let id = match operation.path() {
        path if path.starts_with("/v1/keys") => "key_0",
        path if path.starts_with("/v1/clients") => "sec_0",
        path if path.starts_with("/v1/accounts") => "pwd_0",
        path if path.starts_with("/v1/users") => "upw_0",
        path if path.starts_with("/v1/registration-tokens") => "reg_0",
        path if path.starts_with("/v1/signing-secrets") => "sgn_0",
        _ => "adm_0",
    };
    operation
        .path()
        .replace("{name}", "nothing")
        .replace("{id}", id)
}

#[tokio::test]
async fn j04_who_may_call_what_is_this_table() {
    let world = World::new().await;
    let mut table = format!("{:<55}", "operation");
    for who in As::ALL {
        table.push_str(&format!("{:<10}", format!("{who:?}").to_lowercase()));
    }
    let mut cases = 0;
    for operation in Operation::all() {
        let path = concrete(operation);
        table.push_str(&format!(
            "\n{:<55}",
            format!("{} {}", operation.method(), operation.path())
        ));
        for who in As::ALL {
            let seen = world.send(ask(who, operation.method(), &path)).await;
            assert_ne!(
                seen.status,
                StatusCode::INTERNAL_SERVER_ERROR,
                "{path} {who:?}: {seen:?}"
            );
            let word = match seen.status {
                StatusCode::UNAUTHORIZED => "401".to_owned(),
                StatusCode::FORBIDDEN => {
                    assert_eq!(seen.code(), "action-not-allowed", "{path} {who:?}");
                    "-".to_owned()
                }
                _ => "yes".to_owned(),
            };
            table.push_str(&format!("{word:<10}"));
            cases += 1;
        }
    }
    assert_eq!(
        cases,
        declaration(Brand::default(), None).routes.len() * As::ALL.len()
    );
    let table: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    insta::assert_snapshot!(table);
}

#[test]
fn h07_every_declared_route_demands_an_admin_key_and_nothing_else() {
    let api = declaration(Brand::default(), None);
    assert_eq!(api.routes.len(), Operation::all().len());
    for route in &api.routes {
        assert_eq!(
            route.judged.demand,
            Demand::OneOf(vec![vec![CredentialKind::AdminKey]]),
            "{}",
            route.path.written
        );
    }
    let names: BTreeSet<_> = api
        .routes
        .iter()
        .map(|route| route.judged.name.as_str().to_owned())
        .collect();
    assert_eq!(names.len(), api.routes.len(), "route names are not shared");
}

#[tokio::test]
async fn a_request_without_a_permit_gets_500_whatever_it_carries() {
    let world = World::new().await;
    let request = Request::get("/v1/status")
        .header("host", "127.0.0.1:8082")
        .header(
            "authorization",
            format!("Bearer {}", world.key(As::Owner).unwrap()),
        )
        .body(Body::empty())
        .unwrap();
    let seen = world.deliver(request).await;
    assert_eq!(
        (seen.status.as_u16(), seen.code().as_str()),
        (500, "internal-error")
    );
}

#[tokio::test]
async fn an_admin_key_that_was_revoked_meanwhile_does_nothing_more() {
    let world = World::new().await;
    let held = world
        .permit(post(
            As::Operator,
            "/v1/keys",
            &json!({ "application": "shop", "label": "x" }),
        ))
        .await;
    let revoke = format!("/v1/admin-keys/{}/revoke", world.admin_ids[1]);
    world.ok(post(As::Owner, &revoke, &json!({}))).await;
    let seen = world.send(held).await;
    assert_eq!(
        (seen.status.as_u16(), seen.code().as_str()),
        (401, "credential-refused")
    );
}

#[tokio::test]
async fn h07_another_sites_host_or_origin_is_refused() {
    let world = World::new().await;
    for (host, origin, site, status) in [
        ("127.0.0.1:8082", "", "", 200),
        ("localhost:8082", "", "", 200),
        ("LOCALHOST:8082", "", "", 200),
        ("[::1]:8082", "", "", 200),
        ("door.example", "", "", 200),
        (
            "127.0.0.1:8082",
            "http://127.0.0.1:8082",
            "same-origin",
            200,
        ),
        ("evil.example:8082", "", "", 421),
        ("127.0.0.1.evil.example", "", "", 421),
        ("door.example.evil.example", "", "", 421),
        ("192.0.2.7:8082", "", "", 421),
        ("", "", "", 421),
        (
            "evil.example:8082",
            "http://evil.example:8082",
            "same-origin",
            421,
        ),
        ("127.0.0.1:8082", "http://evil.example", "", 403),
        ("127.0.0.1:8082", "http://127.0.0.1:3000", "", 403),
        ("127.0.0.1:8082", "https://127.0.0.1:8082", "", 403),
        ("127.0.0.1:8082", "http://localhost:8082", "", 403),
        ("127.0.0.1:8082", "null", "", 403),
        ("127.0.0.1:8082", "", "cross-site", 403),
        ("127.0.0.1:8082", "", "same-site", 403),
    ] {
        let mut asked = get(As::Owner, "/v1/status").header("host", host);
        if !origin.is_empty() {
            asked = asked.header("origin", origin);
        }
        if !site.is_empty() {
            asked = asked.header("sec-fetch-site", site);
        }
        let seen = world.send(asked).await;
        assert_eq!(
            seen.status.as_u16(),
            status,
            "{host} {origin} {site}: {}",
            seen.body
        );
    }
}

#[tokio::test]
async fn a_refused_act_leaves_a_note_in_the_audit_trail() {
    let world = World::new().await;
    let path = format!("/v1/admin-keys/{}/revoke", world.admin_ids[0]);
    let seen = world.send(post(As::Operator, &path, &json!({}))).await;
    assert_eq!(seen.code(), "action-not-allowed");
    let events = world.store.audit_events(0, 1000, true).await.unwrap();
    let note = events
        .iter()
        .find(|event| event.action == "access.refused")
        .expect("a note");
    assert_eq!(
        note.subject,
        format!("revoke-admin-key/{}", world.admin_ids[0])
    );
    assert_eq!(note.details["action"], "admin_key.revoke");
    assert_eq!(note.actor, format!("operator ({})", world.admin_ids[1]));
    assert_eq!(note.request_id, "request-1");
}

#[tokio::test]
async fn a_body_that_can_be_misread_is_refused() {
    let world = World::new().await;
    let asked = || ask(As::Owner, Method::POST, "/v1/keys");
    let json = |ask: super::world::Ask| ask.header("content-type", "application/json");
    let sound = r#"{"application":"shop","label":"x"}"#;
    for (ask, part) in [
        (asked().body(sound), "Content-Type"),
        (
            asked().header("content-type", "text/plain").body(sound),
            "Content-Type",
        ),
        (json(asked()).body("{"), "sound JSON"),
        (
            json(asked()).body(r#"{"label":"x","label":"y","application":"shop"}"#),
            "sound JSON",
        ),
        (
            json(asked()).body(r#"{"application":"shop","label":"x","scope":[]}"#),
            "scope",
        ),
        (
            json(asked()).body(r#"{"application":"shop","label":7}"#),
            "label",
        ),
        (json(asked()).body(r#"{"application":"shop"}"#), "label"),
    ] {
        let seen = world.send(ask).await;
        assert_eq!(seen.code(), "invalid-request", "{seen:?}");
        assert!(seen.body.contains(part), "{part}: {}", seen.body);
    }
    let seen = world
        .send(json(asked()).body(vec![b' '; crate::admin::MAX_BODY + 1]))
        .await;
    assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE);
    for path in [
        "/v1/keys?ownr=shop",
        "/v1/keys?limit=0",
        "/v1/keys?limit=1001",
        "/v1/audit?limit=x",
        "/v1/audit?after=-1",
    ] {
        let seen = world.send(get(As::Owner, path)).await;
        assert_eq!(seen.code(), "invalid-request", "{path}");
    }
}

#[test]
fn every_operation_is_described_with_what_it_takes_and_answers() {
    let document = serde_json::to_value(openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeMap<(String, String), &Value> = paths
        .iter()
        .flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter()
                .map(move |(method, operation)| ((path.clone(), method.to_uppercase()), operation))
        })
        .collect();
    let declared: BTreeSet<(String, String)> = declaration(Brand::default(), None)
        .routes
        .iter()
        .map(|route| (route.path.written.clone(), route.methods[0].to_string()))
        .collect();
    assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), declared);
    for (name, operation) in &described {
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{name:?}"
        );
        for status in ["400", "401", "403", "429", "500", "503"] {
            let content =
                &responses[status]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(content, "#/components/schemas/Problem", "{name:?} {status}");
        }
        let takes_body = matches!(name.1.as_str(), "PUT" | "POST" | "PATCH");
        assert_eq!(
            operation.get("requestBody").is_some(),
            takes_body,
            "{name:?}"
        );
        let named: Vec<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        for parameter in ["name", "id"] {
            assert_eq!(
                named.contains(&parameter),
                name.0.contains(&format!("{{{parameter}}}")),
                "{name:?}"
            );
        }
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    found.insert(reference.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(openapi()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 25, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_document_is_served_to_administrators() {
    let world = World::new().await;
    let document = world.ok(get(As::Auditor, "/v1/openapi.json")).await;
    assert_eq!(document["info"]["title"], "Doorward admin API");
    assert_eq!(
        document["components"]["securitySchemes"]["admin_key"]["scheme"],
        "bearer"
    );
}
