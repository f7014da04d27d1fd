use proof::jose::key::SigningKey;
use serde_json::json;

use super::*;
use crate::document::{Document, DocumentKind};
use crate::meaning::mean_all;
use crate::meaning::tests::{context, document, orders};
use crate::resource::ResourceKind;

fn policy() -> Policy {
    Policy {
        application: "shop".to_owned(),
        environment: Environment::Live,
        profile: Profile::Oauth21,
        grant_types: GrantType::ALL.to_vec(),
        identity_scopes: IdentityScope::ALL.to_vec(),
        grants: BTreeMap::from([("orders".to_owned(), vec!["orders:read".to_owned()])]),
        redirect_hosts: None,
        client_ca: true,
        loopback_dev: false,
    }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("metadata is a map"),
    }
}

fn register(metadata: Value) -> Result<ClientSpec, MetadataFlaw> {
    from_metadata(&map(metadata), &policy())
}

/// The metadata written over what a web application registers.
fn web(changes: Value) -> Value {
    let mut metadata = json!({ "redirect_uris": ["https://rp.example.com/cb"] });
    for (key, value) in map(changes) {
        metadata[key] = value;
    }
    metadata
}

fn meant(spec: &ClientSpec) -> ClientMeaning {
    let value = serde_json::to_value(spec).expect("has text keys");
    let kind = DocumentKind::Resource(ResourceKind::Client);
    let documents = [
        Document::from_value(document("Api", "orders", orders()), 0).expect("has the shape"),
        Document::from_value(document("Application", "shop", json!({})), 1).expect("has the shape"),
        Document::from_parts(kind, "registered", value).expect("has the shape"),
    ];
    let meaning = mean_all(&documents, &context()).expect("what is registered is sound");
    meaning.clients[0].clone()
}

#[test]
fn the_least_that_is_registered_gets_the_standards_defaults() {
    let spec = register(web(json!({}))).expect("is sound");
    assert_eq!(spec.kind, ClientKind::Confidential);
    assert_eq!(spec.auth_method, ClientAuthMethod::ClientSecretBasic);
    assert_eq!(spec.grant_types, Some(vec![GrantType::AuthorizationCode]));
    // What it has no use for is not given: there is no refresh token.
    assert!(!spec.identity_scopes.contains(&IdentityScope::OfflineAccess));
    assert!(spec.identity_scopes.contains(&IdentityScope::Openid));
    assert_eq!(spec.grants, policy().grants);
    assert!(!spec.skip_consent);
    assert_eq!(meant(&spec).redirect_uris, ["https://rp.example.com/cb"]);
}

#[test]
fn what_sort_of_program_it_is_is_this_table() {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    for (metadata, kind) in [
        (web(json!({})), ClientKind::Confidential),
        (
            web(json!({ "application_type": "web" })),
            ClientKind::Confidential,
        ),
        (
            web(json!({ "token_endpoint_auth_method": "none" })),
            ClientKind::Browser,
        ),
        (
            web(json!({ "application_type": "native" })),
            ClientKind::Native,
        ),
        (
            json!({ "redirect_uris": ["http://localhost:3000/cb"], "token_endpoint_auth_method": "none" }),
            ClientKind::Native,
        ),
        (
            json!({ "redirect_uris": ["com.example.app:/cb"], "application_type": "native" }),
            ClientKind::Native,
        ),
        (
            json!({ "grant_types": ["client_credentials"] }),
            ClientKind::Service,
        ),
        (
            json!({ "grant_types": [device], "token_endpoint_auth_method": "none" }),
            ClientKind::Device,
        ),
        (json!({ "grant_types": [device] }), ClientKind::Confidential),
    ] {
        let shown = metadata.to_string();
        let spec = register(metadata).unwrap_or_else(|flaw| panic!("{shown}: {flaw}"));
        assert_eq!(spec.kind, kind, "{shown}");
        meant(&spec);
    }
}

#[test]
fn what_comes_back_registers_the_same_client() {
    let key = SigningKey::generate(Algorithm::ES256).expect("is made");
    let full = web(json!({
        "application_type": "web", "client_name": "Relying party",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": { "keys": [key.public_jwk().to_json()] },
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "scope": "openid email orders:read", "dpop_bound_access_tokens": true,
        "post_logout_redirect_uris": ["https://rp.example.com/bye"],
        "require_pushed_authorization_requests": true, "require_auth_time": true,
        "id_token_signed_response_alg": "PS256", "userinfo_signed_response_alg": "ES256",
        "default_max_age": 3600, "backchannel_logout_uri": "https://rp.example.com/out",
        "backchannel_logout_session_required": true, "client_uri": "https://rp.example.com/",
        "logo_uri": "https://rp.example.com/logo.png", "contacts": ["ops@example.com"]
    }));
    let mtls = json!({
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_ip": "192.0.2.7", "client_name": "job", "scope": "orders:read",
        "tls_client_certificate_bound_access_tokens": true
    });
    let native = json!({
        "application_type": "native", "redirect_uris": ["com.example.app:/cb"],
        "client_name": "app", "scope": "openid"
    });
    for metadata in [full, mtls, native] {
        let first = meant(&register(metadata.clone()).expect("is sound"));
        let answer = to_metadata(&first);
        for (key, value) in map(metadata) {
            if key != "jwks" {
                assert_eq!(answer.get(&key), Some(&value), "{key}");
            }
        }
        let again = meant(&from_metadata(&answer, &policy()).expect("is sound"));
        assert_eq!(to_metadata(&again), answer);
    }
}

#[test]
fn what_is_unknown_or_null_is_passed_over() {
    let plain = register(web(json!({})));
    let odd = register(web(json!({
        "client_name": null, "jwks": null, "client_name#de": "Kunde", "frontchannel_logout_uri": 7,
        "x_vendor": { "deep": [1] }, "skip_consent": true, "roles": ["owner"],
        "introspects": ["orders"], "application": "other"
    })));
    assert_eq!(odd, plain);
}

#[test]
fn what_can_not_be_registered_is_this_table() {
    use MetadataCode::{InvalidClientMetadata as Metadata, InvalidRedirectUri as Redirect};
    let table = [
        (json!({}), Redirect, "redirect_uris is missing"),
        (
            json!({ "redirect_uris": [] }),
            Redirect,
            "redirect_uris is missing",
        ),
        (
            json!({ "redirect_uris": "https://a.example/" }),
            Metadata,
            "redirect_uris is a list of texts",
        ),
        (
            json!({ "redirect_uris": ["https://a.example/#x"] }),
            Redirect,
            "redirect_uris: `https://a.example/#x`: a redirect URI has no fragment",
        ),
        (
            json!({ "redirect_uris": ["http://a.example/"] }),
            Redirect,
            "redirect_uris: `http://a.example/`: plain http leads to loopback only",
        ),
        (
            json!({ "redirect_uris": ["https://a.example/\"\u{e9}"] }),
            Redirect,
            "redirect_uris: `https://a.example/??`: a redirect URI is printable ASCII without blank and backslash",
        ),
        (
            web(json!({ "application_type": "app" })),
            Metadata,
            "application_type is web or native",
        ),
        (
            web(json!({ "grant_types": ["implicit"] })),
            Metadata,
            "grant_types: implicit is not offered here",
        ),
        (
            web(json!({ "grant_types": ["password"] })),
            Metadata,
            "grant_types: password is not offered here",
        ),
        (
            web(json!({ "response_types": ["code id_token"] })),
            Metadata,
            "response_types: code id_token is not offered here, only code",
        ),
        (
            web(json!({ "response_types": [] })),
            Metadata,
            "response_types and grant_types do not agree: code belongs to authorization_code",
        ),
        (
            json!({ "grant_types": ["client_credentials"], "response_types": ["code"] }),
            Metadata,
            "response_types and grant_types do not agree: code belongs to authorization_code",
        ),
        (
            web(json!({ "token_endpoint_auth_method": "client_secret_jwt" })),
            Metadata,
            "token_endpoint_auth_method: client_secret_jwt is not offered here",
        ),
        (
            web(json!({ "token_endpoint_auth_method": "private_key_jwt" })),
            Metadata,
            "token_endpoint_auth_method: private_key_jwt needs the client's keys",
        ),
        (
            web(
                json!({ "application_type": "native", "token_endpoint_auth_method": "client_secret_basic" }),
            ),
            Metadata,
            "token_endpoint_auth_method of a native application is none",
        ),
        (
            web(json!({ "scope": "openid orders:write" })),
            Metadata,
            "scope: orders:write is not offered here",
        ),
        (
            web(json!({ "scope": "email" })),
            Metadata,
            "identity_scopes: without openid the others say nothing",
        ),
        (
            web(json!({ "jwks_uri": "https://a.example/jwks" })),
            Metadata,
            "jwks_uri: keys are for private_key_jwt, self_signed_tls_client_auth and signs_calls only",
        ),
        (
            web(json!({ "subject_type": "pairwise" })),
            Metadata,
            "subject_type is public",
        ),
        (
            web(json!({ "software_statement": "x.y.z" })),
            MetadataCode::UnapprovedSoftwareStatement,
            "software_statement: no issuer of such statements is trusted here",
        ),
        (
            web(json!({ "software_statement": 7 })),
            Metadata,
            "software_statement is a text",
        ),
        (
            web(json!({ "id_token_encrypted_response_alg": "RSA-OAEP" })),
            Metadata,
            "id_token_encrypted_response_alg is not offered here",
        ),
        (
            web(json!({ "id_token_signed_response_alg": "none" })),
            Metadata,
            "id_token_signed_response_alg: profile oauth21 does not sign with `none`",
        ),
        (
            web(json!({ "token_endpoint_auth_signing_alg": "HS256" })),
            Metadata,
            "token_endpoint_auth_signing_alg: HS256 is not accepted here",
        ),
        (
            web(json!({ "require_signed_request_object": true })),
            Metadata,
            "require_signed_request_object is not offered here",
        ),
        (
            web(json!({ "default_max_age": "1h" })),
            Metadata,
            "default_max_age is a number of seconds",
        ),
        (
            web(json!({ "default_max_age": u64::MAX })),
            Metadata,
            "default_max_age is a number of seconds",
        ),
        (
            web(json!({ "client_name": "a\nb" })),
            Metadata,
            "client_name is one line of 1 to 200 bytes",
        ),
        (
            web(json!({ "logo_uri": "data:image/png;base64,AA" })),
            Metadata,
            "logo_uri: this is the URL of a page, https or http",
        ),
        (
            web(
                json!({ "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"] }),
            ),
            Metadata,
            "grant_types: a browser-only client gets a refresh token only if it is bound to a key",
        ),
    ];
    for (metadata, code, description) in table {
        let shown = metadata.to_string();
        let flaw = register(metadata).expect_err(&shown);
        assert_eq!(
            (flaw.code, &*flaw.description),
            (code, description),
            "{shown}"
        );
    }
    let narrow = Policy {
        grant_types: vec![GrantType::AuthorizationCode],
        identity_scopes: vec![IdentityScope::Openid],
        ..policy()
    };
    for metadata in [
        web(json!({ "grant_types": ["authorization_code", "refresh_token"] })),
        web(json!({ "scope": "openid email" })),
    ] {
        assert!(from_metadata(&map(metadata), &narrow).is_err());
    }
}

#[test]
fn a_sector_holds_every_redirect_uri() {
    let spec = register(web(json!({}))).expect("is sound");
    let named = map(json!({ "sector_identifier_uri": "https://rp.example.com/sector" }));
    assert!(matches!(sector_identifier_uri(&named), Ok(Some(_))));
    assert_eq!(sector_identifier_uri(&Map::new()), Ok(None));
    let plain = map(json!({ "sector_identifier_uri": "http://rp.example.com/sector" }));
    assert!(sector_identifier_uri(&plain).is_err());
    let list = json!(["https://rp.example.com/cb", "https://rp.example.com/other"]);
    assert_eq!(sector_holds(&spec, &list), Ok(()));
    for bad in [json!([]), json!({}), json!(["https://rp.example.com/cb/"])] {
        assert!(sector_holds(&spec, &bad).is_err(), "{bad}");
    }
}

#[test]
fn a_very_long_refusal_is_cut() {
    let uri = format!("http://a.example/{}", "a".repeat(5000));
    let flaw = register(json!({ "redirect_uris": [uri] })).expect_err("is too long");
    assert!(flaw.description.len() <= LONGEST_DESCRIPTION);
}

#[test]
fn f01_people_are_sent_to_hosts_of_the_policy_alone() {
    let hosts = ["rp.example.com", "*.partner.example", "127.0.0.1", "[::1]"];
    let hosts = hosts.map(|host| RedirectHost::parse(host).expect("a host"));
    let policy = Policy {
        redirect_hosts: Some(hosts.to_vec()),
        ..policy()
    };
    let told = |metadata: Value| from_metadata(&map(metadata), &policy).map(drop);
    for (uri, allowed) in [
        ("https://rp.example.com/cb", true),
        ("https://RP.example.com:8443/cb", true),
        ("https://app.partner.example/cb", true),
        ("https://a.b.partner.example/cb", true),
        ("http://127.0.0.1:3000/cb", true),
        ("http://[::1]/cb", true),
        ("https://other.example/cb", false),
        ("https://partner.example/cb", false),
        ("https://evilpartner.example/cb", false),
        ("https://app.partner.example.evil.example/cb", false),
        ("https://sub.rp.example.com/cb", false),
        ("https://rp.example.com./cb", false),
        ("https://other.example/rp.example.com", false),
        ("http://localhost:3000/cb", false),
        ("com.partner.example:/cb", false),
    ] {
        let mut metadata = web(json!({ "redirect_uris": [uri] }));
        metadata["token_endpoint_auth_method"] = json!("none");
        metadata["application_type"] = json!("native");
        let registered = told(metadata);
        assert_eq!(registered.is_ok(), allowed, "{uri}: {registered:?}");
        if let Err(flaw) = registered {
            assert_eq!(flaw.code, MetadataCode::InvalidRedirectUri, "{uri}");
        }
    }
    // One that is allowed does not carry another, nor a place to go after logout.
    let both = json!(["https://rp.example.com/cb", "https://other.example/cb"]);
    let flaw = told(web(json!({ "redirect_uris": both }))).expect_err("is refused");
    assert_eq!(
        flaw.description,
        "redirect_uris: nobody may be sent to https://other.example/cb"
    );
    let bye = json!(["https://other.example/bye"]);
    let flaw = told(web(json!({ "post_logout_redirect_uris": bye }))).expect_err("is refused");
    assert_eq!(flaw.code, MetadataCode::InvalidClientMetadata);
}

#[test]
fn a_host_of_the_policy_is_a_host_as_urls_have_it() {
    for text in ["app.example.com", "*.example.com", "192.0.2.7", "[::1]"] {
        assert!(RedirectHost::parse(text).is_some(), "{text}");
    }
    for text in [
        "",
        "*",
        "*.",
        "*.*.example.com",
        "APP.example.com",
        "app.example.com:8443",
        "https://app.example.com",
        "app.example.com/cb",
        "user@app.example.com",
        "a b",
        "*.192.0.2.7",
        "::1",
        "127.1",
    ] {
        assert!(RedirectHost::parse(text).is_none(), "{text}");
    }
}

#[test]
fn certificates_of_a_ca_are_registered_only_where_one_is_trusted() {
    let metadata = json!({
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "job.example.com"
    });
    let policy = Policy {
        client_ca: false,
        ..policy()
    };
    let flaw = from_metadata(&map(metadata.clone()), &policy).expect_err("is refused");
    let expected = "token_endpoint_auth_method: tls_client_auth is not offered here";
    assert_eq!(flaw.description, expected);
    assert!(register(metadata).is_ok());
}

#[test]
fn without_a_policy_that_says_so_no_scope_and_no_api_is_registered() {
    let policy = Policy {
        identity_scopes: Vec::new(),
        grants: BTreeMap::new(),
        ..policy()
    };
    let service = json!({ "grant_types": ["client_credentials"] });
    for metadata in [web(json!({})), service] {
        let spec = from_metadata(&map(metadata), &policy).expect("is sound");
        assert!(spec.grants.is_empty() && spec.identity_scopes.is_empty());
        assert!(spec.introspects.is_empty() && spec.roles.is_none());
    }
    for scope in ["openid", "orders:read"] {
        let asked = web(json!({ "scope": scope }));
        assert!(from_metadata(&map(asked), &policy).is_err(), "{scope}");
    }
}
