//! What requests are signed with, over the admin API.

use http::Method;
use registry::ports::CallRecord as _;
use registry::record::{Usage, hour_of};
use serde_json::{Value, json};

use super::world::{As, NOW, World, ask, get, post};

const SECRETS: &str = "/v1/signing-secrets";
/// RFC 8037 §A.2.
const PUBLIC: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn new(scheme: &str) -> Value {
    json!({
        "application": "shop", "label": "partner", "scheme": scheme,
        "apis": ["orders"], "scopes": ["orders:read"]
    })
}

/// The body with one member more.
fn with(mut body: Value, name: &str, value: &str) -> Value {
    body[name] = value.into();
    body
}

#[tokio::test]
async fn i02_a_signing_secret_is_shown_to_its_making_and_never_again() {
    let world = World::new().await;
    for scheme in ["hmac", "sigv4", "http_signature", "webhook"] {
        let seen = world.send(post(As::Operator, SECRETS, &new(scheme))).await;
        assert_eq!(seen.status.as_u16(), 201, "{seen:?}");
        assert_eq!(seen.header("cache-control"), Some("no-store"));
        let made = seen.json();
        let (id, secret) = (
            made["credential"]["id"].as_str().unwrap(),
            made["secret"].as_str().unwrap(),
        );
        let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
        assert_eq!(made["credential"]["signing"]["scheme"], scheme);
        assert!(key_id.starts_with("DWAK") && key_id.len() == 20, "{key_id}");
        if scheme != "webhook" {
            assert!(secret.starts_with(&format!("dw_hs_live_{}", &key_id[4..])));
        }
        for path in [
            SECRETS.to_owned(),
            format!("{SECRETS}/{id}"),
            format!("{SECRETS}/{id}/usage"),
            "/v1/export?keys=true".to_owned(),
            "/v1/audit".to_owned(),
        ] {
            let seen = world.send(get(As::Owner, &path)).await;
            assert!(seen.status.is_success(), "{path}: {seen:?}");
            assert!(!seen.body.contains(&secret[secret.len() - 30..]), "{path}");
            assert!(!seen.body.contains("sealed"), "{path}");
        }
    }
}

#[tokio::test]
async fn rotation_keeps_the_key_id_and_shows_which_secrets_are_valid() {
    let world = World::new().await;
    let made = world.ok(post(As::Operator, SECRETS, &new("sigv4"))).await;
    let id = made["credential"]["id"].as_str().unwrap();
    let path = format!("{SECRETS}/{id}/rotate");
    let turned = world
        .ok(post(As::Operator, &path, &json!({ "overlap": "1d" })))
        .await;
    assert_ne!(turned["secret"], made["secret"]);
    let (before, after) = (&made["credential"], &turned["credential"]);
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["signing"]["key_id"], before["signing"]["key_id"]);
    assert_eq!(turned.get("replaces"), None);
    let valid = after["signing"]["valid"].as_array().unwrap();
    assert_eq!(valid.len(), 2);
    assert_eq!(valid[0].get("valid_until"), None);
    assert_eq!(valid[1]["valid_until"], "2027-01-16T08:00:00Z");

    let third = world.send(post(As::Operator, &path, &json!({}))).await;
    assert_eq!(third.code(), "wrong-state");
    assert!(third.body.contains("overlap of 0s"), "{third:?}");
    let leaked = world
        .ok(post(As::Operator, &path, &json!({ "overlap": "0s" })))
        .await;
    assert_eq!(
        leaked["credential"]["signing"]["valid"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let unknown = world
        .send(post(
            As::Operator,
            &path,
            &json!({ "expires_at": "2030-01-01T00:00:00Z" }),
        ))
        .await;
    assert_eq!(unknown.code(), "invalid-request", "the key keeps its end");
}

#[tokio::test]
async fn a_signing_secret_sleeps_wakes_changes_and_ends() {
    let world = World::new().await;
    let made = world.ok(post(As::Operator, SECRETS, &new("hmac"))).await;
    let id = made["credential"]["id"].as_str().unwrap();
    let act = |verb: &str| post(As::Operator, &format!("{SECRETS}/{id}/{verb}"), &json!({}));
    assert_eq!(world.ok(act("suspend")).await["state"], "suspended");
    assert_eq!(world.send(act("rotate")).await.code(), "wrong-state");
    assert_eq!(world.ok(act("resume")).await["state"], "active");
    let path = format!("{SECRETS}/{id}");
    let amended = world
        .ok(ask(As::Operator, Method::PATCH, &path)
            .json(&json!({ "label": "renamed", "expires_at": "2030-01-01T00:00:00Z" })))
        .await;
    assert_eq!(amended["label"], "renamed");
    assert_eq!(amended["signing"]["valid"].as_array().unwrap().len(), 1);
    let origin = world
        .send(
            ask(As::Operator, Method::PATCH, &path)
                .json(&json!({ "origins": ["https://shop.example"] })),
        )
        .await;
    assert_eq!(origin.code(), "invalid-request");
    let revoked = world.ok(act("revoke")).await;
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(revoked["signing"]["valid"], json!([]));
    for verb in ["resume", "suspend", "revoke", "rotate"] {
        assert_eq!(world.send(act(verb)).await.code(), "wrong-state", "{verb}");
    }
    let elsewhere = world
        .send(get(As::Operator, &format!("/v1/keys/{id}")))
        .await;
    assert_eq!(elsewhere.code(), "not-found", "it is no API key");
}

#[tokio::test]
async fn a_provider_s_secret_is_brought_in_and_a_public_key_registered() {
    let world = World::new().await;
    let theirs = "8f742231b10e8888abcd99yyyzzz85a5";
    let body = with(new("webhook"), "secret", theirs);
    let made = world.ok(post(As::Operator, SECRETS, &body)).await;
    assert_eq!(made.get("secret"), None, "who brought it has it");
    assert!(!made.to_string().contains(theirs));
    let body = with(new("http_signature"), "public_key", PUBLIC);
    let made = world.ok(post(As::Operator, SECRETS, &body)).await;
    assert_eq!(made.get("secret"), None);
    let key = &made["credential"]["signing"]["valid"][0]["public_key"];
    assert_eq!(
        (&key["alg"], &key["crv"]),
        (&json!("EdDSA"), &json!("Ed25519"))
    );

    for (body, field) in [
        (with(new("sigv4"), "secret", theirs), "secret"),
        (with(new("webhook"), "secret", "short"), "secret"),
        (with(new("sigv4"), "public_key", PUBLIC), "public_key"),
        (
            with(new("http_signature"), "public_key", "hello"),
            "public_key",
        ),
        (
            with(with(new("webhook"), "public_key", PUBLIC), "secret", theirs),
            "together",
        ),
        (with(new("hmac"), "scheme", "hmac-md5"), "scheme"),
        (with(new("hmac"), "surprise", "x"), "surprise"),
        (
            json!({ "application": "shop", "label": "no scheme" }),
            "scheme",
        ),
    ] {
        let seen = world.send(post(As::Operator, SECRETS, &body)).await;
        assert_eq!(seen.code(), "invalid-request", "{body}: {seen:?}");
        assert!(seen.body.to_lowercase().contains(field), "{body}: {seen:?}");
        assert!(!seen.body.contains(theirs), "{seen:?}");
    }
}

#[tokio::test]
async fn signing_secrets_are_listed_by_owner_and_their_calls_counted() {
    let world = World::new().await;
    let made = world.ok(post(As::Operator, SECRETS, &new("hmac"))).await;
    let id = made["credential"]["id"].as_str().unwrap();
    let page = world
        .ok(get(As::Auditor, &format!("{SECRETS}?owner=shop")))
        .await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0], made["credential"]);
    let none = world
        .ok(get(As::Auditor, &format!("{SECRETS}?owner=other")))
        .await;
    assert_eq!(none["items"], json!([]));
    let keys = world.ok(get(As::Auditor, "/v1/keys")).await;
    assert!(!keys.to_string().contains(id), "a list of its own");
    let mat = &made["credential"]["signing"]["valid"][0]["id"];
    let mat = mat.as_str().unwrap();
    assert!(mat.starts_with("mat_"), "{made}");
    let used = |name: &str, belongs_to: Option<&str>| Usage {
        name: name.to_owned(),
        belongs_to: belongs_to.map(str::to_owned),
        hour: hour_of(NOW),
        calls: 3,
        last_used: NOW,
    };
    let counts = [used(id, None), used(mat, Some(id))];
    world.store.add_usage(&counts).await.unwrap();
    let usage = world
        .ok(get(As::Auditor, &format!("{SECRETS}/{id}/usage")))
        .await;
    assert_eq!((&usage["calls"], &usage["id"]), (&json!(3), &json!(id)));

    // Replaced: each of the two is told by itself.
    let rotate = post(As::Operator, &format!("{SECRETS}/{id}/rotate"), &json!({}));
    let rotated = world.send(rotate).await.json();
    assert!(rotated["secret"].is_string(), "{rotated}");
    let usage = world
        .ok(get(As::Auditor, &format!("{SECRETS}/{id}/usage")))
        .await;
    // Both were made in one millisecond, so either may stand first.
    let secrets = usage["secrets"].as_array().unwrap();
    let (old, new): (Vec<_>, Vec<_>) = secrets.iter().partition(|one| one["id"] == mat);
    let ([old], [new]) = (&old[..], &new[..]) else {
        panic!("{usage}");
    };
    assert_eq!((&old["calls"], &new["calls"]), (&json!(3), &json!(0)));
    assert_eq!(old["last_used"], "2027-01-15T08:00:00Z");
    assert!(new.get("last_used").is_none(), "{usage}");
    assert!(old.get("valid_until").is_some(), "{usage}");
}
