//! What settings declare: an API for each kind, and for each way in which one is judged.

use super::*;

/// Whose certificates count at an API that has these lists.
fn certificates(lists: &[&str]) -> Value {
    json!({
        "ca_file": "partners.pem", "crl_files": lists,
        "identities": [
            { "uri": PARTNER, "scopes": ["read"] },
            { "uri": ASLEEP, "scopes": ["read"], "suspended": true },
            { "uri": FAR, "scopes": ["read"], "networks": ["192.0.2.0/24"] },
        ],
    })
}

/// Every API that settings declare: name, kind, and what else it says.
pub(super) fn apis() -> Vec<(&'static str, &'static str, Value)> {
    let none = json!({});
    let sigv4 = |more: &[(&str, Value)]| {
        let plain = json!({ "regions": ["local"], "services": ["orders"] });
        let rules = more.iter().fold(plain, |rules, (name, value)| {
            but(&rules, name, value.clone())
        });
        json!({ "sigv4": rules })
    };
    let get = |path: &str, more: &[(&str, Value)]| {
        let plain = json!({ "path": path, "methods": ["GET"], "scopes": ["read"] });
        more.iter().fold(plain, |route, (name, value)| {
            but(&route, name, value.clone())
        })
    };
    let posts = json!({ "path": "/body", "methods": ["POST"], "scopes": ["read"] });
    let (hour, yes) = (json!("1h"), json!(true));
    let linked = sigv4(&[("presigned", hour.clone())]);
    let once = sigv4(&[("presigned", hour), ("presigned_once", yes.clone())]);
    let covered =
        json!({ "http_signature": { "components": ["@method", "@target-uri", "x-shop"] } });
    let tagged = json!({ "http_signature": { "tag": "shop", "nonce": true } });
    vec![
        ("api-key", "api_key", none.clone()),
        ("api-key-test", "api_key", json!({ "environment": "test" })),
        ("basic", "basic", none.clone()),
        (
            "jwt",
            "jwt",
            json!({ "issuers": ["own", "foreign"], "more_routes": [
                get("/bound", &[("sender_constraint", json!("required"))]),
                get("/fresh", &[("dpop_nonce", yes)]),
            ]}),
        ),
        ("jwt-other", "jwt", none),
        (
            "sealed",
            "jwt",
            json!({
                "issuers": ["own", "foreign"],
                "token_encryption": { "key_files": ["encryption.pem"] },
            }),
        ),
        (
            "jwt-mtls",
            "jwt",
            json!({
                "credentials": [["jwt", "mtls"]],
                "client_certificates": certificates(&["partners.crl"]),
            }),
        ),
        (
            "jwt-or-mtls",
            "jwt",
            json!({
                "credentials": ["jwt", "mtls"],
                "client_certificates": certificates(&["partners.crl"]),
            }),
        ),
        (
            "mtls",
            "mtls",
            json!({ "client_certificates": certificates(&["partners.crl"]) }),
        ),
        (
            "mtls-deep",
            "mtls",
            json!({ "client_certificates": certificates(&["partners.crl", "deep.crl"]) }),
        ),
        (
            "mtls-old",
            "mtls",
            json!({ "client_certificates": certificates(&["old.crl"]) }),
        ),
        ("opaque", "opaque", json!({ "token_format": "opaque" })),
        (
            "opaque-other",
            "opaque",
            json!({ "token_format": "opaque" }),
        ),
        (
            "sigv4",
            "sigv4",
            json!({ "signatures": sigv4(&[]), "more_routes": [
                posts,
                get("/link", &[("signatures", linked)]),
                get("/once", &[("signatures", once)]),
            ]}),
        ),
        (
            "http-signature",
            "http_signature",
            json!({ "more_routes": [
                posts,
                get("/covered", &[("signatures", covered)]),
                get("/tagged", &[("signatures", tagged)]),
            ]}),
        ),
        ("hmac", "hmac", json!({ "more_routes": [posts] })),
        (
            "key-hmac",
            "hmac",
            json!({ "credentials": [["api_key", "hmac"]] }),
        ),
        (
            "client-jwt",
            "client_jwt",
            json!({ "more_routes": [posts] }),
        ),
        (
            "paseto",
            "paseto",
            json!({ "issuers": ["pasetos", "local"] }),
        ),
        (
            "opaque-foreign",
            "opaque",
            json!({
                "issuers": ["partner"],
                "audiences": ["https://orders.example"],
                "scopes": { "orders:read": "Read", "orders:write": "Write" },
                "routes": [
                    get("/me", &[("scopes", json!(["orders:read"]))]),
                    get("/write", &[("scopes", json!(["orders:write"]))]),
                ],
            }),
        ),
        ("opaque-away", "opaque", json!({ "issuers": ["away"] })),
        ("paseto-own", "paseto", json!({ "token_format": "paseto" })),
        (
            "paseto-kept",
            "paseto",
            json!({ "token_format": "paseto_local" }),
        ),
    ]
}

/// The API of a kind, below `/KIND`: `/me` takes the scope `read`, `/write` the scope `write`, which
/// nobody holds. `more` may say other things, and has further routes.
pub(super) fn api(name: &str, kind: &str, upstream: &str, more: &Value) -> Value {
    let method = if kind == "webhook" { "POST" } else { "GET" };
    let mut spec = json!({
        "audiences": [audience(name)],
        "base_path": format!("/{name}"),
        "upstream": { "urls": [upstream] },
        "scopes": { "read": "Read", "write": "Write" },
        "credentials": [kind],
        "routes": [
            { "path": "/me", "methods": [method], "scopes": ["read"] },
            { "path": "/write", "methods": [method], "scopes": ["write"] },
        ],
    });
    for (name, value) in more.as_object().unwrap() {
        if name == "more_routes" {
            let more = value.as_array().unwrap().clone();
            spec["routes"].as_array_mut().unwrap().extend(more);
        } else {
            spec[name] = value.clone();
        }
    }
    spec
}

pub(super) fn audience(api: &str) -> String {
    format!("https://{api}.example")
}

pub(super) fn document(kind: &str, name: &str, spec: &Value) -> String {
    let document = json!({
        "apiVersion": "doorward/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    format!("  - {document}\n")
}
