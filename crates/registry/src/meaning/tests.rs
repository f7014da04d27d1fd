use serde_json::{Value, json};

use super::*;
use crate::document::read_all;
use crate::trusted_issuer::IssuerKeys;
use verdict::credential::CredentialKind;
use verdict::credential::jwt::{ConfigId, IssuerId};
use verdict::route::Demand;

fn own_issuer() -> Arc<IssuerProfile> {
    let mut profile = IssuerProfile {
        config: ConfigId(0),
        issuer: IssuerId::new("https://id.example.com"),
        own: true,
        algorithms: vec![proof::jose::alg::Algorithm::ES256],
        types: vec!["at+jwt".into()],
        access_token_guards: Vec::new(),
        required_claims: Vec::new(),
        max_lifetime: None,
        leeway: core::time::Duration::from_secs(60),
        scope_claims: vec!["scope".into()],
        role_claims: vec!["roles".into()],
        tenant_claim: None,
        forward_claims: Vec::new(),
        introspection: None,
    };
    profile.config = config_id(&profile, "own");
    Arc::new(profile)
}

pub(crate) fn context() -> Context {
    Context {
        brand: Brand::default(),
        own_issuer: Some(own_issuer()),
        loopback_dev: false,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "reads better at the calls")]
pub(crate) fn document(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "doorward/v1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

pub(crate) fn orders() -> Value {
    json!({
        "upstream": { "urls": ["http://127.0.0.1:9000"] },
        "base_path": "/orders",
        "scopes": { "orders:read": "See orders", "orders:write": "Change orders" },
        "credentials": ["api_key", "jwt"],
        "routes": [
            { "methods": ["GET"], "path": "/{id}", "scopes": ["orders:read"] },
            { "methods": ["PUT"], "path": "/{id}", "scopes": ["orders:write"] },
            { "path": "/health", "public": true }
        ]
    })
}

fn mean_values(values: Vec<Value>, context: &Context) -> Result<Meaning, Vec<Flaw>> {
    mean_all(&read_all(values).expect("the shape is sound"), context)
}

/// The flaws of one API whose `orders` document was changed by `change`.
pub(super) fn flaws_of_api(change: impl FnOnce(&mut Value)) -> String {
    let mut spec = orders();
    change(&mut spec);
    lines(vec![document("Api", "orders", spec)])
}

fn lines(values: Vec<Value>) -> String {
    match mean_values(values, &context()) {
        Ok(_) => "no flaw\n".to_owned(),
        Err(flaws) => flaws.iter().map(|flaw| format!("{flaw}\n")).collect(),
    }
}

#[test]
fn an_api_means_what_it_says_with_every_default_filled_in() {
    let meaning =
        mean_values(vec![document("Api", "orders", orders())], &context()).expect("is sound");
    let api = meaning.api("orders").expect("is there");
    assert_eq!(
        api.judged
            .audiences
            .iter()
            .map(|a| &**a)
            .collect::<Vec<_>>(),
        ["urn:doorward:api:orders"]
    );
    assert_eq!(api.judged.key_headers, ["x-api-key"]);
    assert_eq!(api.judged.issuers.len(), 1);
    assert_eq!(api.token_lifetime.as_secs(), 600);
    assert_eq!(api.identity, crate::api::IdentityForward::None);
    let names: Vec<_> = api
        .routes
        .iter()
        .map(|route| route.judged.name.as_str())
        .collect();
    assert_eq!(names, ["GET /{id}", "PUT /{id}", "* /health"]);
    assert_eq!(
        api.routes[0].judged.demand,
        Demand::OneOf(vec![
            vec![CredentialKind::ApiKey],
            vec![CredentialKind::Jwt]
        ])
    );
    assert_eq!(
        api.routes[2].judged.demand,
        Demand::Public {
            pass_authorization: false
        }
    );
    assert_eq!(api.routes[0].body_limit, 1 << 20);
    let crate::api::UpstreamMeaning::Pool(pool) = &api.upstream else {
        panic!("is a pool")
    };
    assert_eq!(
        (pool.servers[0].host.as_str(), pool.servers[0].port),
        ("127.0.0.1", 9000)
    );
    assert_eq!(pool.tls, None);
    assert!(matches!(meaning.issuers[0].keys, IssuerKeys::Own));
}

#[test]
fn h01_a_route_without_a_decision_about_its_callers_is_refused() {
    insta::assert_snapshot!(flaws_of_api(|spec| {
        spec.as_object_mut()
            .expect("is a map")
            .remove("credentials");
        spec["routes"][1]["credentials"] = json!(["jwt"]);
        spec["routes"][0]["pass_authorization"] = json!(true);
        spec["routes"][2]["credentials"] = json!(["jwt"]);
        spec["routes"][2]["roles"] = json!(["clerk"]);
    }));
}

#[test]
fn h01_lists_that_are_written_and_empty_are_refused() {
    insta::assert_snapshot!(flaws_of_api(|spec| {
        for key in [
            "audiences",
            "hosts",
            "credentials",
            "issuers",
            "key_headers",
            "foreign_keys",
        ] {
            spec[key] = json!([]);
        }
        spec["upstream"]["urls"] = json!([]);
        spec["cors"] = json!({ "origins": [], "headers": [], "expose": [] });
        spec["routes"][0]["methods"] = json!([]);
        spec["routes"][0]["scopes"] = json!([]);
        spec["routes"][0]["roles"] = json!([]);
        spec["routes"][1]["credentials"] = json!([[]]);
    }));
}

#[test]
fn an_apis_flaws_are_all_found_with_their_places() {
    insta::assert_snapshot!(flaws_of_api(|spec| {
        spec["audiences"] = json!(["a b", "x", "x"]);
        spec["hosts"] = json!([
            "API.example.com",
            "a.example.com:80",
            "*",
            "*.com",
            "ok.example.com",
            "*.example.com",
            "[::1]"
        ]);
        spec["base_path"] = json!("/orders/");
        spec["upstream"]["urls"] = json!([
            "http://a",
            "https://b",
            "ftp://c",
            "nonsense",
            "http://u:p@d",
            "http://e/path?q"
        ]);
        spec["upstream"]["connect_timeout"] = json!("0s");
        spec["scopes"]["a b"] = json!("bad");
        spec["credentials"] = json!(["api_key", "api_key", ["basic", "jwt"], ["jwt", "jwt"]]);
        spec["issuers"] = json!(["own", "okta"]);
        spec["key_headers"] = json!(["Authorization", "x key", "doorward-key", "X-Api-Key"]);
        spec["foreign_keys"] = json!([
            { "prefix": "dw_", "id_length": 4, "min_length": 40, "max_length": 60 },
            { "prefix": "old_", "id_length": 4, "min_length": 8, "max_length": 4 },
            { "prefix": "old_x", "min_length": 40, "max_length": 4000 }
        ]);
        spec["identity"] = json!({ "mode": "headers", "audience": "x" });
        spec["cors"] = json!({ "origins": ["*", "https://a.example.com/"], "credentials": true, "headers": ["a b"], "max_age": "2d" });
        spec["token"] = json!({ "lifetime": "30s" });
        spec["realm"] = json!("a\"b");
        spec["resource_metadata"] = json!("x");
    }));
}

#[test]
fn tokens_of_the_declared_form_are_taken_by_some_route() {
    const USELESS_OPAQUE: &str = "Api/orders spec.token_format: tokens for this API are opaque, and no route takes `opaque` (write `opaque` under `credentials`, beside `jwt` as long as such tokens are about)\n";
    const USELESS_JWT: &str = "Api/orders spec.token_format: routes take `opaque`, and tokens for this API are JWTs that no route takes (`token_format: opaque`, or `jwt` under `credentials` too)\n";
    for (format, credentials, expected) in [
        (None, json!(["jwt"]), "no flaw\n"),
        (None, json!(["api_key"]), "no flaw\n"),
        (Some("jwt"), json!(["jwt", "opaque"]), "no flaw\n"),
        (Some("opaque"), json!(["opaque"]), "no flaw\n"),
        (Some("opaque"), json!(["jwt", "opaque"]), "no flaw\n"),
        (Some("opaque"), json!([["api_key", "opaque"]]), "no flaw\n"),
        (Some("opaque"), json!(["jwt"]), USELESS_OPAQUE),
        (Some("opaque"), json!(["api_key"]), USELESS_OPAQUE),
        (None, json!(["opaque"]), USELESS_JWT),
        (Some("jwt"), json!(["api_key", "opaque"]), USELESS_JWT),
    ] {
        let found = flaws_of_api(|spec| {
            if let Some(format) = format {
                spec["token_format"] = json!(format);
            }
            spec["credentials"] = credentials.clone();
        });
        assert_eq!(found, expected, "{format:?} {credentials}");
    }
}

#[test]
fn opaque_tokens_are_of_our_own_issuer_and_stand_in_authorization() {
    let ours = |spec: &mut Value| spec["token_format"] = json!("opaque");
    for (credentials, other) in [(["jwt", "opaque"], "jwt"), (["opaque", "basic"], "basic")] {
        let found = flaws_of_api(|spec| {
            ours(spec);
            spec["credentials"] = json!([credentials]);
        });
        let sentence = format!(
            "Api/orders spec.credentials[0]: {other} and opaque both stand in Authorization and can't come together\n"
        );
        assert_eq!(found, sentence);
    }
    let mut spec = orders();
    ours(&mut spec);
    spec["credentials"] = json!(["opaque"]);
    let context = Context {
        own_issuer: None,
        ..context()
    };
    let flaws = mean_values(vec![document("Api", "orders", spec)], &context).unwrap_err();
    assert!(
        flaws[0]
            .to_string()
            .contains("no issuer is trusted that could tell")
    );
}

#[test]
fn bad_routes_are_all_found_with_their_places() {
    insta::assert_snapshot!(flaws_of_api(|spec| {
        spec["routes"] = json!([
            { "path": "orders" },
            { "path": "/a//b" },
            { "path": "/a/../b" },
            { "path": "/a%2fb" },
            { "path": "/a;b" },
            { "path": "/{a}{b}" },
            { "path": "/x{a}" },
            { "path": "/{1}" },
            { "path": "/{a}/{a}" },
            { "path": "/{rest*}/x" },
            { "path": "/fine", "methods": ["get", "CONNECT", "G T", "GET", "GET"], "name": "Bad Name" },
            { "path": "/scoped", "scopes": ["orders:delete"], "roles": ["a b"], "name": "same" },
            { "path": "/named", "name": "same", "response_timeout": "0s", "allow_encoded_slash": true }
        ]);
    }));
}

#[test]
fn routes_that_answer_the_same_calls_are_refused() {
    insta::assert_snapshot!(flaws_of_api(|spec| {
        spec["routes"] = json!([
            { "methods": ["GET"], "path": "/orders/{id}" },
            { "methods": ["GET", "PUT"], "path": "/orders/{other}" },
            { "methods": ["PUT"], "path": "/orders/fixed" },
            { "path": "/orders/{any}" },
            { "path": "/files/{rest*}" },
            { "methods": ["GET"], "path": "/files/{more*}" },
            { "methods": ["GET"], "path": "/files/{one}" },
            { "methods": ["GET"], "path": "/orders/{id}/" }
        ]);
    }));
}

#[test]
fn templates_read_into_segments() {
    use crate::api::Segment::{Literal, Parameter, Rest};
    let segments = |text: &str| template(text).expect("is sound").segments;
    assert_eq!(segments("/"), []);
    assert_eq!(
        segments("/a/{id}"),
        [Literal("a".into()), Parameter("id".into())]
    );
    assert_eq!(
        segments("/a/"),
        [Literal("a".into()), Literal(String::new())]
    );
    assert_eq!(segments("/{rest*}"), [Rest("rest".into())]);
    assert!(template("//").is_err());
    assert!(template(&"/a".repeat(65)).is_err());
}

#[test]
fn two_apis_on_one_host_must_not_answer_the_same_call() {
    let mut billing = orders();
    billing["base_path"] = json!("/");
    billing["routes"] = json!([
        { "methods": ["GET"], "path": "/orders/{id}" },
        { "methods": ["DELETE"], "path": "/orders/{id}" },
        { "path": "/bills" }
    ]);
    let both = |billing: &Value| {
        lines(vec![
            document("Api", "orders", orders()),
            document("Api", "billing", billing.clone()),
        ])
    };
    insta::assert_snapshot!(both(&billing));
    // Another host, or a named host beside one that takes any, keeps them apart.
    billing["hosts"] = json!(["billing.example.com"]);
    assert_eq!(both(&billing), "no flaw\n");
}

#[test]
fn a_base_path_belongs_to_one_api_of_a_host() {
    let api = |host: &str, path: &str| {
        let mut spec = orders();
        spec["hosts"] = json!([host]);
        spec["routes"] = json!([{ "path": path, "public": true }]);
        spec
    };
    let flaws = mean_values(
        vec![
            document("Api", "one", api("a.example.com", "/x")),
            document("Api", "two", api("a.example.com", "/y")),
            document("Api", "three", api("b.example.com", "/y")),
        ],
        &context(),
    )
    .expect_err("a flaw");
    let places: Vec<_> = flaws
        .iter()
        .map(|flaw| (flaw.document.name.as_str(), flaw.place()))
        .collect();
    assert_eq!(places, [("two", "spec.base_path".to_owned())]);
}

#[test]
fn c04_one_audience_never_means_two_apis() {
    let mut one = orders();
    one["audiences"] = json!(["https://api.example.com"]);
    let mut other = one.clone();
    other["base_path"] = json!("/other");
    insta::assert_snapshot!(lines(vec![
        document("Api", "one", one),
        document("Api", "other", other),
    ]));
}

#[test]
fn trusted_issuers_flaws_are_all_found() {
    let jwks = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] });
    insta::assert_snapshot!(lines(vec![
        document(
            "TrustedIssuer",
            "hmac",
            json!({
                "issuer": "https://a.example.com", "jwks_url": "https://a.example.com/jwks", "algorithms": ["HS256", "none", "ES256", "ES256"]
            })
        ),
        document(
            "TrustedIssuer",
            "id-tokens",
            json!({
                "issuer": "https://b.example.com", "jwks_url": "https://b.example.com/jwks", "types": ["at+jwt", "JWT"]
            })
        ),
        document(
            "TrustedIssuer",
            "weak-guards",
            json!({
                "issuer": "https://c.example.com", "jwks_url": "https://c.example.com/jwks", "types": ["JWT"], "access_token_guards": ["sub", "scp"]
            })
        ),
        document(
            "TrustedIssuer",
            "plain",
            json!({ "issuer": "http://d.example.com", "jwks_url": "http://127.0.0.1/jwks" })
        ),
        document(
            "TrustedIssuer",
            "no-keys",
            json!({ "issuer": "https://e.example.com?x", "leeway": "10m", "max_lifetime": "0s" })
        ),
        document(
            "TrustedIssuer",
            "many-keys",
            json!({ "issuer": "https://f.example.com", "jwks_url": "https://f.example.com/", "jwks_file": "keys.json" })
        ),
        document(
            "TrustedIssuer",
            "shared-key",
            json!({ "issuer": "https://g.example.com", "jwks": jwks })
        ),
        document(
            "TrustedIssuer",
            "no-set",
            json!({ "issuer": "https://h.example.com", "jwks": { "keys": [] } })
        ),
        document(
            "TrustedIssuer",
            "empty",
            json!({
                "issuer": "https://i.example.com", "jwks_file": "", "algorithms": [], "types": [], "access_token_guards": [],
                "required_claims": [], "scope_claims": [], "role_claims": [""], "forward_claims": []
            })
        ),
        document(
            "TrustedIssuer",
            "twice",
            json!({ "issuer": "https://a.example.com", "jwks_url": "https://a.example.com/jwks" })
        ),
        document(
            "TrustedIssuer",
            "ourselves",
            json!({ "issuer": "https://id.example.com", "jwks_url": "https://id.example.com/jwks" })
        ),
        document(
            "TrustedIssuer",
            "own",
            json!({ "issuer": "https://j.example.com", "jwks_url": "https://j.example.com/jwks" })
        ),
    ]));
}

/// A sound endpoint with one thing changed.
fn webhook(name: &str, key: &str, value: Value) -> Value {
    let mut spec = json!({
        "url": "https://hooks.example.com/in", "application": "shop", "events": ["order.*"],
        "signing_key": "DWAK0000000000000000",
    });
    spec[key] = value;
    document("WebhookEndpoint", name, spec)
}

#[test]
fn c08_webhook_endpoints_flaws_are_all_found() {
    let shop = || document("Application", "shop", json!({}));
    let good = [
        ("listens", "events", json!(["*", "doorward.api_key.*"])),
        ("trial", "url", json!("http://127.0.0.1:9000/in?a=b")),
        ("hasty", "retries", json!([])),
        ("small", "queue", json!(1)),
    ];
    let mut sound = vec![shop()];
    sound.extend(good.map(|(name, key, value)| webhook(name, key, value)));
    let meaning = mean_values(sound, &context()).expect("is sound");
    assert_eq!(meaning.webhooks.len(), 4);
    assert!(meaning.webhooks[0].retries.is_empty());
    assert_eq!(meaning.webhooks[1].retries, crate::webhook::RETRIES);

    let bad = [
        ("plain", "url", json!("http://hooks.example.com/in")),
        ("inside", "url", json!("http://10.0.0.7/in")),
        (
            "user",
            "url",
            json!("https://user:password@hooks.example.com/"),
        ),
        ("part", "url", json!("https://hooks.example.com/#part")),
        ("path", "url", json!("/in")),
        ("nobody", "application", json!("nobody")),
        ("deaf", "events", json!([])),
        ("twice", "events", json!(["a.b", "a.b"])),
        (
            "wild",
            "events",
            json!(["a.*.b", "doorward.api_keys.*", ""]),
        ),
        ("key", "signing_key", json!("sgn_1")),
        ("slow", "timeout", json!("31s")),
        ("quick", "timeout", json!("999ms")),
        ("waits", "retries", json!(["99ms", "3d", "1s"])),
        ("many", "retries", json!(vec!["1s"; 21])),
        ("none", "queue", json!(0)),
        ("endless", "queue", json!(100_001)),
    ];
    let mut flawed = vec![shop()];
    flawed.extend(bad.map(|(name, key, value)| webhook(name, key, value)));
    insta::assert_snapshot!(lines(flawed));
}

#[test]
fn an_issuers_configuration_has_one_name_until_it_changes() {
    let config = |spec: Value| {
        let meaning = mean_values(vec![document("TrustedIssuer", "okta", spec)], &context())
            .expect("is sound");
        meaning.issuers[1].profile.config
    };
    let base =
        json!({ "issuer": "https://a.example.com", "jwks_url": "https://a.example.com/jwks" });
    assert_eq!(config(base.clone()), config(base.clone()));
    for (key, value) in [
        ("issuer", json!("https://b.example.com")),
        ("jwks_url", json!("https://a.example.com/other")),
        ("algorithms", json!(["ES256"])),
        ("types", json!(["application/at+jwt"])),
        ("access_token_guards", json!(["scp"])),
        ("required_claims", json!(["client_id"])),
        ("max_lifetime", json!("1h")),
        ("leeway", json!("30s")),
        ("scope_claims", json!(["scp"])),
        ("role_claims", json!(["groups"])),
        ("tenant_claim", json!("tid")),
        ("forward_claims", json!(["email"])),
        ("introspection", asking(&json!({}))),
    ] {
        let mut changed = base.clone();
        changed[key] = value;
        assert_ne!(
            config(changed),
            config(base.clone()),
            "{key} is not covered"
        );
    }
}

#[test]
fn owners_flaws_are_all_found() {
    let mut sandbox = orders();
    sandbox["environment"] = json!("test");
    sandbox["base_path"] = json!("/sandbox");
    let app = |environment: &str| json!({ "environment": environment });
    insta::assert_snapshot!(lines(vec![
        document("Api", "orders", orders()),
        document("Api", "sandbox", sandbox),
        document("Application", "shop", app("live")),
        document("Application", "trial", app("test")),
        document(
            "Client",
            "nobody",
            json!({ "application": "shopp", "auth_method": "client_secret_basic", "grants": { "order": [] } })
        ),
        document(
            "Client",
            "wall",
            json!({ "application": "trial", "auth_method": "client_secret_post", "grants": { "sandbox": ["orders:read"] } })
        ),
        document(
            "Client",
            "keys",
            json!({ "application": "shop", "auth_method": "private_key_jwt" })
        ),
        document(
            "Client",
            "more-keys",
            json!({ "application": "shop", "auth_method": "client_secret_basic", "jwks": { "keys": [] } })
        ),
        document(
            "Client",
            "scopes",
            json!({
                "application": "shop", "auth_method": "client_secret_basic", "token_lifetime": "2h",
                "grants": { "orders": ["orders:read", "orders:delete", "orders:read"] }, "roles": [], "introspects": ["orders", "x"]
            })
        ),
        document(
            "Account",
            "legacy",
            json!({ "application": "shop", "username": "a:b", "networks": [], "apis": ["orders", "orders"], "scopes": ["x"] })
        ),
        document(
            "Account",
            "one",
            json!({ "application": "shop", "username": "Same" })
        ),
        document(
            "Account",
            "two",
            json!({ "application": "shop", "username": "same", "scopes": ["orders:read"] })
        ),
        document(
            "Account",
            "two",
            json!({ "application": "shop", "username": "third" })
        ),
        document(
            "ApiKey",
            "public",
            json!({ "application": "shop", "label": "web", "type": "publishable" })
        ),
        document(
            "ApiKey",
            "origins",
            json!({ "application": "shop", "label": "web", "type": "publishable", "origins": ["https://a.example.com/x"] })
        ),
        document(
            "ApiKey",
            "salted",
            json!({ "application": "shop", "label": "old", "imported": { "verifier": "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy" } })
        ),
        document(
            "ApiKey",
            "clear",
            json!({ "application": "shop", "label": "old", "imported": { "verifier": "hunter2", "prefix": "" } })
        ),
        document(
            "ApiKey",
            "wall",
            json!({ "application": "trial", "label": "x", "environment": "test", "apis": ["orders"] })
        ),
    ]));
}

#[test]
fn without_an_issuer_of_our_own_a_jwt_needs_a_trusted_one() {
    let gateway_only = Context {
        own_issuer: None,
        ..context()
    };
    let found =
        |spec: Value| match mean_values(vec![document("Api", "orders", spec)], &gateway_only) {
            Ok(_) => "no flaw\n".to_owned(),
            Err(flaws) => flaws.iter().map(|flaw| format!("{flaw}\n")).collect(),
        };
    insta::assert_snapshot!(found(orders()));
    let mut keys_only = orders();
    keys_only["credentials"] = json!(["api_key"]);
    assert_eq!(found(keys_only), "no flaw\n");
}

#[test]
fn plain_http_issuers_are_for_loopback_in_dev_only() {
    let dev = Context {
        loopback_dev: true,
        ..context()
    };
    let issuer = |host: &str| {
        let spec = json!({ "issuer": format!("http://{host}:9"), "jwks_url": format!("http://{host}:9/jwks") });
        vec![document("TrustedIssuer", "local", spec)]
    };
    assert!(mean_values(issuer("127.0.0.1"), &dev).is_ok());
    assert!(mean_values(issuer("[::1]"), &dev).is_ok());
    assert!(mean_values(issuer("10.0.0.1"), &dev).is_err());
    assert!(mean_values(issuer("127.0.0.1"), &context()).is_err());
}

#[test]
fn a_document_of_broken_shape_hides_no_flaw_of_the_others() {
    let mut api = orders();
    api["upsteam"] = json!({});
    let flaws = read_and_mean(
        [
            document("Api", "orders", api),
            document("Application", "shop", json!({})),
            document(
                "Client",
                "app",
                json!({ "application": "shopp", "auth_method": "client_secret_basic", "grants": { "orders": ["orders:read"] } }),
            ),
        ],
        &context(),
    )
    .expect_err("is flawed");
    let lines: String = flaws.iter().map(|flaw| format!("{flaw}\n")).collect();
    insta::assert_snapshot!(lines);
}

#[test]
fn h01_a_route_of_high_sensitivity_takes_nothing_that_works_for_its_finder() {
    let with = |credentials: Value, more: &Value| {
        flaws_of_api(|spec| {
            let mut route =
                json!({ "path": "/safe", "sensitivity": "high", "credentials": credentials });
            let (route_map, more) = (route.as_object_mut().unwrap(), more.as_object().unwrap());
            route_map.extend(more.clone());
            spec["routes"] = json!([route]);
            spec["signatures"] = json!({ "sigv4": { "regions": ["eu"], "services": ["orders"] } });
            spec["client_certificates"] =
                json!({ "ca_file": "ca.pem", "identities": [{ "dns": "a.example.com" }] });
        })
    };
    let bound = json!({ "sender_constraint": "required" });
    for (credentials, more, sound) in [
        (json!(["api_key"]), json!({}), false),
        (json!(["basic"]), json!({}), false),
        (json!(["jwt"]), json!({}), false),
        (json!(["jwt"]), bound.clone(), true),
        (json!([["api_key", "jwt"]]), json!({}), false),
        (json!([["api_key", "jwt"]]), bound.clone(), true),
        (json!(["api_key", "jwt"]), bound, false),
        (json!([["mtls", "jwt"]]), json!({}), true),
        (
            json!(["mtls", "sigv4", "http_signature", "hmac"]),
            json!({}),
            true,
        ),
        (json!(["mtls", "api_key"]), json!({}), false),
    ] {
        let lines = with(credentials.clone(), &more);
        let expected = if sound {
            "no flaw"
        } else {
            "works for whoever finds it"
        };
        assert!(lines.contains(expected), "{credentials} {more}: {lines}");
    }
    // Said of a whole API it holds for every route; a public one is no caller's.
    let lines = flaws_of_api(|spec| spec["sensitivity"] = json!("high"));
    assert_eq!(
        lines.matches("works for whoever finds it").count(),
        4,
        "{lines}"
    );
    let lines = flaws_of_api(|spec| {
        spec["routes"][2]["sensitivity"] = json!("high");
        spec["routes"][0]["credentials"] = json!(["api_key"]);
        spec["routes"][0]["dpop_nonce"] = json!(true);
    });
    assert!(lines.contains("anybody may call a public route"), "{lines}");
    assert!(lines.contains("the route takes none"), "{lines}");
}

#[test]
fn a_route_asks_of_senders_what_its_api_asks_unless_it_says_otherwise() {
    let mut spec = orders();
    spec["sender_constraint"] = json!("required");
    spec["dpop_nonce"] = json!(true);
    spec["cors"] = json!({ "origins": ["https://app.example.com"] });
    spec["routes"][1]["sender_constraint"] = json!("offered");
    spec["routes"][1]["dpop_nonce"] = json!(false);
    let meaning = mean_values(vec![document("Api", "orders", spec)], &context()).expect("is sound");
    let api = meaning.api("orders").expect("is there");
    let asked: Vec<_> = api
        .routes
        .iter()
        .map(|route| (route.judged.sender.required, route.judged.sender.nonce))
        .collect();
    assert_eq!(asked[..2], [(true, true), (false, false)]);
    let exposed = &api.cors.as_ref().expect("is written").expose;
    assert_eq!(exposed, &["dpop-nonce"]);
}

fn with_credential(
    credential: Value,
    change: impl FnOnce(&mut Value),
) -> Result<Meaning, Vec<Flaw>> {
    let mut spec = orders();
    spec["upstream"]["credential"] = credential;
    change(&mut spec);
    mean_values(vec![document("Api", "orders", spec)], &context())
}

#[test]
fn an_upstreams_credential_that_can_not_hold_is_refused_and_never_repeated() {
    let sigv4 =
        json!({ "access_key_id": "AKID", "secret": "file:k", "region": "eu", "service": "s3" });
    let client = json!({ "token_url": "https://as.example/token", "client_id": "door", "client_secret": "env:S" });
    let with = |base: &Value, key: &str, value: Value| {
        let mut changed = base.clone();
        changed[key] = value;
        changed
    };
    for (credential, place, says) in [
        (json!({}), "", "is one of"),
        (
            json!({ "api_key": { "secret": "file:k" }, "sigv4": sigv4 }),
            "",
            "is one of",
        ),
        (
            json!({ "api_key": { "secret": "hunter2" } }),
            ".api_key.secret",
            "must not stand",
        ),
        (
            json!({ "api_key": { "secret": "env:" } }),
            ".api_key.secret",
            "must not stand",
        ),
        (
            json!({ "api_key": { "header": "cookie", "secret": "file:k" } }),
            ".api_key.header",
            "meaning of its own",
        ),
        (
            json!({ "api_key": { "header": "doorward-x", "secret": "file:k" } }),
            ".api_key.header",
            "meaning of its own",
        ),
        (
            json!({ "api_key": { "scheme": "a b", "secret": "file:k" } }),
            ".api_key.scheme",
            "one word",
        ),
        (
            json!({ "basic": { "username": "a:b", "password": "file:k" } }),
            ".basic.username",
            "no colon",
        ),
        (
            json!({ "basic": { "username": "a", "password": "hunter2" } }),
            ".basic.password",
            "must not stand",
        ),
        (
            json!({ "sigv4": with(&sigv4, "region", json!("EU")) }),
            ".sigv4.region",
            "lower-case",
        ),
        (
            json!({ "sigv4": with(&sigv4, "body_buffer", json!("1GiB")) }),
            ".sigv4.body_buffer",
            "16MiB",
        ),
        (
            json!({ "oauth_client_credentials": with(&client, "token_url", json!("http://as.example/")) }),
            ".oauth_client_credentials.token_url",
            "https",
        ),
        (
            json!({ "oauth_client_credentials": with(&client, "key_file", json!("k.pem")) }),
            ".oauth_client_credentials",
            "one of client_secret",
        ),
        (
            json!({ "oauth_client_credentials": with(&client, "assertion_audience", json!("x")) }),
            ".oauth_client_credentials.assertion_audience",
            "nothing is signed",
        ),
        (
            json!({ "oauth_client_credentials": with(&client, "scope", json!(["a b"])) }),
            ".oauth_client_credentials.scope[0]",
            "scope",
        ),
    ] {
        let flaws = with_credential(credential.clone(), |_| ()).expect_err("refused");
        let place = format!("spec.upstream.credential{place}");
        assert!(
            flaws
                .iter()
                .any(|flaw| flaw.place() == place && flaw.message.contains(says)),
            "{credential}: {flaws:?}"
        );
        assert!(!format!("{flaws:?}").contains("hunter2"), "{flaws:?}");
    }
    for good in [
        json!({ "api_key": { "secret": "file:k" } }),
        json!({ "api_key": { "header": "Authorization", "secret": "env:K" } }),
        json!({ "basic": { "username": "a", "password": "file:k" } }),
        json!({ "sigv4": sigv4 }),
        json!({ "oauth_client_credentials": client }),
    ] {
        assert!(with_credential(good.clone(), |_| ()).is_ok(), "{good}");
    }
}

#[test]
fn j06_two_credentials_in_one_field_are_refused() {
    let by = |header: &str| json!({ "api_key": { "header": header, "secret": "file:k" } });
    let original = |spec: &mut Value| spec["identity"] = json!({ "mode": "original" });
    for (header, good) in [
        ("x-api-key", false),
        ("authorization", false),
        ("x-upstream-key", true),
    ] {
        assert_eq!(
            with_credential(by(header), original).is_ok(),
            good,
            "{header}"
        );
    }
    let passing = |word: bool| {
        move |spec: &mut Value| {
            spec["routes"][2]["pass_authorization"] = json!(true);
            spec["routes"][2]["dangerous_upstream_credential"] = json!(word);
        }
    };
    assert!(with_credential(by("authorization"), passing(false)).is_ok());
    assert!(with_credential(by("authorization"), passing(true)).is_err());
    assert!(with_credential(by("x-api-key"), passing(true)).is_ok());
    let misplaced = with_credential(by("x-api-key"), |spec| {
        spec["routes"][0]["dangerous_upstream_credential"] = json!(true);
    });
    assert_eq!(
        misplaced.expect_err("refused")[0].place(),
        "spec.routes[0].dangerous_upstream_credential"
    );
    let presigned = json!({ "sigv4": { "access_key_id": "A", "secret": "file:k", "region": "eu", "service": "s3" } });
    let refused = with_credential(presigned, |spec| {
        spec["signatures"] =
            json!({ "sigv4": { "regions": ["eu"], "services": ["x"], "presigned": "5m" } });
    });
    assert!(refused.is_err());
}

#[test]
fn a_public_route_goes_without_the_credential_unless_it_is_written() {
    let own = json!({ "api_key": { "secret": "file:k" } });
    for word in [false, true] {
        let meaning = with_credential(own.clone(), |spec| {
            spec["routes"][2]["dangerous_upstream_credential"] = json!(word);
        });
        let meaning = meaning.expect("sound");
        let sends: Vec<bool> = meaning.apis[0]
            .routes
            .iter()
            .map(|route| route.upstream_credential)
            .collect();
        assert_eq!(sends, [true, true, word]);
    }
}

fn asking(change: &Value) -> Value {
    let mut asked = json!({
        "url": "https://a.example.com/introspect", "client_id": "door", "client_secret": "env:DOOR_SECRET"
    });
    for (name, value) in change.as_object().unwrap() {
        let members = asked.as_object_mut().unwrap();
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    asked
}

fn asked_issuer(name: &str, change: &Value) -> Value {
    let issuer = format!("https://{name}.example.com");
    document(
        "TrustedIssuer",
        name,
        json!({ "issuer": issuer, "introspection": asking(change) }),
    )
}

#[test]
fn an_issuer_that_is_asked_needs_no_keys_and_its_tokens_are_opaque() {
    let mut spec = orders();
    spec["issuers"] = json!(["okta"]);
    spec["credentials"] = json!(["opaque"]);
    let documents = vec![
        asked_issuer(
            "okta",
            &json!({ "token_prefixes": ["ok."], "cache": "30s" }),
        ),
        document("Api", "orders", spec),
    ];
    let meaning = mean_values(documents, &context()).expect("is sound");
    let api = meaning.api("orders").expect("is there");
    let rules = api.judged.issuers[0].introspection.as_ref().expect("asked");
    assert_eq!(rules.cache.as_secs(), 30);
    assert_eq!(rules.token_prefixes, ["ok.".into()]);
    assert!(!rules.signed);
    let asked = meaning.issuers[1].introspection.as_ref().expect("asked");
    assert_eq!(asked.client_id, "door");
    let source = crate::api::stored::SecretSource::Environment("DOOR_SECRET".into());
    assert_eq!(
        asked.proof,
        crate::trusted_issuer::ClientProof::Secret(source)
    );
}

#[test]
fn flaws_of_introspection_are_all_found() {
    for (change, flaw) in [
        (
            json!({ "client_secret": "hunter2" }),
            "a secret must not stand in a document",
        ),
        (
            json!({ "url": "http://127.0.0.1/introspect" }),
            "tokens are sent to an https URL only",
        ),
        (json!({ "key_file": "key.pem" }), "must be said in one way"),
        (json!({ "client_secret": null }), "must be said in one way"),
        (
            json!({ "cache": "61s" }),
            "an answer is used for at most 60s",
        ),
        (
            json!({ "token_prefixes": ["dw_sk_"] }),
            "own brand are never sent to others",
        ),
        (
            json!({ "token_prefixes": ["a b"] }),
            "a prefix is printable ASCII",
        ),
        (
            json!({ "token_prefixes": [""] }),
            "a prefix is printable ASCII",
        ),
        (json!({ "client_id": "" }), "a client id is a text"),
        (
            json!({ "dangerous_assumed_audience": "" }),
            "an audience is not empty",
        ),
        (
            json!({ "response": "jwt" }),
            "there is no source of this issuer's keys",
        ),
        (
            json!({ "key_algorithm": "ES256" }),
            "this is for a key that signs",
        ),
        (
            json!({ "client_secret": null, "key_file": "k.pem", "key_algorithm": "HS256" }),
            "`HS256` is not a known signature algorithm",
        ),
        (
            json!({ "client_secret": null, "key_file": "" }),
            "the path is empty",
        ),
    ] {
        let found = lines(vec![asked_issuer("okta", &change)]);
        assert!(found.contains(flaw), "{change}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    let other = json!({ "token_prefixes": ["dw_ot_"] });
    assert_eq!(lines(vec![asked_issuer("okta", &other)]), "no flaw\n");
}

#[test]
fn issuers_that_are_asked_are_told_apart_by_their_tokens() {
    let both = |one: Value, two: Value| {
        let mut spec = orders();
        spec["issuers"] = json!(["own", "one", "two"]);
        lines(vec![
            asked_issuer("one", &one),
            asked_issuer("two", &two),
            document("Api", "orders", spec),
        ])
    };
    let of = |prefix: &str| json!({ "token_prefixes": [prefix] });
    assert_eq!(both(of("one_"), of("two_")), "no flaw\n");
    assert!(both(of("one_"), json!({})).contains("nothing tells which are https://two"));
    assert!(both(of("on"), of("one_")).contains("a token could be of"));
}
