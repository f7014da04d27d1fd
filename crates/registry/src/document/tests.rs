use serde_json::json;

use super::*;

fn lines(flaws: &[Flaw]) -> String {
    flaws.iter().map(|flaw| format!("{flaw}\n")).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn api(spec: Value) -> Value {
    json!({ "apiVersion": "doorward/v1", "kind": "Api", "metadata": { "name": "orders" }, "spec": spec })
}

fn whole_spec() -> Value {
    json!({
        "display_name": "Orders",
        "environment": "test",
        "audiences": ["https://orders.example.com"],
        "hosts": ["api.example.com"],
        "base_path": "/orders",
        "strip_base_path": true,
        "upstream": {
            "urls": ["https://127.0.0.1:9000"], "protocol": "h1", "connect_timeout": "1s",
            "response_timeout": "10s", "idle_timeout": "90s", "host": "preserve",
            "tls": { "ca_file": "ca.pem", "server_name": "orders.internal" }
        },
        "scopes": { "orders:read": "See orders" },
        "credentials": ["api_key", ["api_key", "jwt"], "opaque"],
        "issuers": ["own"],
        "key_headers": ["x-api-key"],
        "foreign_keys": [{ "prefix": "old_", "id_length": 8, "min_length": 32, "max_length": 64 }],
        "identity": { "mode": "jwt", "audience": "orders", "lifetime": "1m" },
        "cors": {
            "origins": ["https://app.example.com"], "headers": ["content-type"],
            "expose": ["etag"], "credentials": true, "max_age": "1h"
        },
        "limits": { "per_address": "100/s", "per_principal": "6000/m", "body": "2MiB" },
        "token": { "lifetime": "5m" },
        "token_format": "opaque",
        "realm": "orders",
        "resource_metadata": "https://orders.example.com/.well-known/oauth-protected-resource",
        "routes": [{
            "name": "one", "methods": ["GET"], "path": "/{id}", "credentials": ["jwt"],
            "scopes": ["orders:read"], "roles": ["clerk"], "body_limit": "1KiB",
            "response_timeout": "5s", "allow_encoded_slash": true, "upgrade": true
        }, { "path": "/health", "public": true, "pass_authorization": true }]
    })
}

#[test]
fn what_was_written_is_what_is_written_back() {
    let mut value = api(whole_spec());
    let document = Document::from_value(value.clone(), 0).expect("is sound");
    // Units are written in their largest form that divides.
    value["spec"]["upstream"]["idle_timeout"] = json!("90s");
    assert_eq!(document.to_value(), value);
    let again = Document::from_value(document.to_value(), 0).expect("is sound");
    assert_eq!(again, document);
}

#[test]
fn h01_every_flaw_of_shape_is_named_with_its_place() {
    let mut spec = whole_spec();
    spec["upsteam"] = json!({});
    spec["upstream"]["connect_timeout"] = json!(2);
    spec["limits"]["body"] = json!("1MB");
    spec["limits"]["per_address"] = json!("100");
    spec["credentials"] = json!(["api_key", "password"]);
    spec["environment"] = json!("prod");
    spec["routes"][1]["pubic"] = json!(true);
    spec["routes"][0]["methods"] = json!("GET");
    spec["hosts"] = Value::Null;
    spec["token"]["lifetime"] = json!("ten minutes");
    let flaws = Document::from_value(api(spec), 3).expect_err("is flawed");
    assert!(flaws.iter().all(|flaw| flaw.document.index == 3));
    insta::assert_snapshot!(lines(&flaws));
}

#[test]
fn h01_what_is_missing_is_named() {
    let spec = json!({ "upstream": {}, "routes": [{ "methods": ["GET"] }] });
    let flaws = Document::from_value(api(spec), 0).expect_err("is flawed");
    insta::assert_snapshot!(lines(&flaws));
}

#[test]
fn an_envelope_says_what_it_lacks() {
    let cases = [
        json!([]),
        json!({ "kind": "Api", "metadata": { "name": "a" }, "spec": {} }),
        json!({ "apiVersion": "doorward/v2", "kind": "Api", "metadata": { "name": "a" }, "spec": {} }),
        json!({ "apiVersion": "doorward/v1", "metadata": { "name": "a" }, "spec": {} }),
        json!({ "apiVersion": "doorward/v1", "kind": "Gateway", "metadata": { "name": "a" }, "spec": {} }),
        json!({ "apiVersion": "doorward/v1", "kind": "Application", "metadata": { "name": "A" }, "spec": {} }),
        json!({ "apiVersion": "doorward/v1", "kind": "Application", "metadata": { "name": "a", "labels": {} }, "spec": {} }),
        json!({ "apiVersion": "doorward/v1", "kind": "Application", "metadata": { "name": "a" }, "spec": {}, "status": {} }),
        json!({ "apiVersion": "doorward/v1", "kind": "Application", "metadata": { "name": "a" } }),
    ];
    let text: String = cases
        .into_iter()
        .map(|case| lines(&Document::from_value(case, 0).expect_err("is flawed")))
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn flaws_of_several_documents_come_together() {
    let flaws = read_all([
        api(json!({})),
        api(whole_spec()),
        json!({ "apiVersion": "doorward/v1" }),
    ])
    .expect_err("are flawed");
    let indexes: Vec<_> = flaws.iter().map(|flaw| flaw.document.index).collect();
    assert_eq!(indexes, [0, 2]);
}

#[test]
fn names_are_slugs() {
    for good in [
        "a",
        "orders",
        "orders-v2",
        "a_b",
        "0",
        "key_0192f0c1-7b1e-7cc3-8a52-000000000000",
    ] {
        assert!(Name::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "-a",
        "a-",
        "A",
        "a b",
        "a.b",
        "ä",
        "a/b",
        &"a".repeat(64),
    ] {
        assert_eq!(Name::new(bad), Err(BadName), "{bad}");
    }
}

#[test]
fn the_schema_names_every_kind_and_every_key_of_an_api() {
    let schema = json_schema();
    let kinds: Vec<_> = schema["oneOf"]
        .as_array()
        .expect("is a list")
        .iter()
        .filter_map(|kind| {
            kind.pointer("/properties/kind/const")
                .and_then(Value::as_str)
        })
        .collect();
    assert_eq!(kinds, DocumentKind::ALL.map(DocumentKind::name));
    let spec = whole_spec();
    for key in spec.as_object().expect("is a map").keys() {
        let pointer = format!("/$defs/ApiSpec/properties/{key}");
        assert!(
            schema.pointer(&pointer).is_some(),
            "{key} is not in the schema"
        );
    }
    assert_eq!(
        schema.pointer("/$defs/ApiSpec/additionalProperties"),
        Some(&json!(false))
    );
}
