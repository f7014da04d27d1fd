//! Introspection, revocation, metadata, identity tokens.

use core::time::Duration;
use std::sync::Arc;

use proof::jose::jwe::DecryptionKeys;
use proof::jose::jws;
use proof::random::SystemEntropy;
use proof::time::{Leeway, Timestamp};
use registry::actor::Actor;
use registry::api::TokenFormat;
use registry::client::ClientAuthMethod;
use serde_json::{Value, json};
use verdict::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, Principal, RoleName, Scopes, Standing,
    SubjectId, TenantId,
};
use verdict::route::{ApiName, TokenEncryption};

use super::world::{ISSUER, NOW, ORDERS, World, api, client};
use crate::declared::{Declared, DeclaredError};
use crate::error::{ErrorCode, Reason};
use crate::introspect::Introspection;
use crate::metadata::{BadIssuer, Documents, Endpoint, Endpoints};
use crate::ports::{KeyPurpose, Revocation};
use crate::upstream_token::{self, UpstreamToken};

fn inactive() -> Value {
    json!({"active": false})
}

#[tokio::test]
async fn the_owner_and_the_resource_server_learn_what_a_token_says() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    for asker in ["basic", "server"] {
        let mut answer = world.introspect(asker, &token).await;
        assert!(answer["jti"].take().is_string());
        let expected = json!({
            "active": true,
            "token_type": "Bearer",
            "iss": ISSUER,
            "sub": "basic",
            "client_id": "basic",
            "aud": [ORDERS],
            "exp": NOW.as_secs() + 600,
            "iat": NOW.as_secs(),
            "jti": null,
            "scope": "orders:read orders:write",
            "env": "live",
        });
        assert_eq!(answer, expected, "{asker}");
    }
}

#[tokio::test]
async fn for_everybody_else_a_token_is_inactive_and_nothing_more() {
    let world = World::new().await;
    let orders = world.access_token("basic", "").await;
    let stock = world
        .access_token("both", "&resource=https://api.example.com/stock")
        .await;
    let sandbox = world.access_token("test", "").await;
    let cases = [
        ("both", &orders),
        ("none", &orders),
        ("server", &stock),
        // J4: not across the wall either.
        ("test", &orders),
        ("server", &sandbox),
    ];
    for (asker, token) in cases {
        assert_eq!(world.introspect(asker, token).await, inactive(), "{asker}");
    }
}

#[tokio::test]
async fn c11_what_is_no_token_of_ours_is_inactive() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    let stranger = World::new().await.access_token("basic", "").await;
    let cut = &token[..token.len() - 2];
    for text in ["garbage", "a.b.c", cut, &stranger, &format!("{token}.x")] {
        assert_eq!(world.introspect("basic", text).await, inactive(), "{text}");
    }
}

#[tokio::test]
async fn c04_only_what_our_key_signed_as_our_access_token_is_active() {
    let world = World::new().await;
    let good = world.access_token("basic", "").await;
    let claims = world.claims_by_peer(KeyPurpose::Access, &good, ORDERS);
    let ring = world.issuer.keys().ring();
    let key = ring.signer(KeyPurpose::Access).expect("a signer");
    let signed = |typ: &str, claims: &Value| jws::sign(key, typ, &claims.to_string());

    let again = signed("at+jwt", &claims);
    assert_eq!(
        world.introspect("basic", &again).await["active"],
        json!(true)
    );
    for typ in [
        "JWT",
        "logout+jwt",
        "dpop+jwt",
        "doorward-identity+jwt",
        "audit-checkpoint",
        "",
    ] {
        assert_eq!(
            world.introspect("basic", &signed(typ, &claims)).await,
            inactive(),
            "{typ}"
        );
    }
    for (name, value) in [
        ("iss", json!("https://id.example.com/upstream")),
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("iat", Value::Null),
        ("jti", Value::Null),
        ("sub", Value::Null),
        ("client_id", Value::Null),
        ("env", json!("test")),
        ("env", Value::Null),
    ] {
        let mut claims = claims.clone();
        match &value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            _ => claims[name] = value.clone(),
        }
        let token = signed("at+jwt", &claims);
        assert_eq!(
            world.introspect("basic", &token).await,
            inactive(),
            "{name} = {value}"
        );
    }
}

#[tokio::test]
async fn c14_a_token_is_active_for_59_s_past_its_expiry_and_not_for_61_cached_or_not() {
    let world = World::new().await;
    let cached = world.access_token("basic", "").await;
    let fresh = world.access_token("basic", "").await;
    assert_eq!(
        world.introspect("basic", &cached).await["active"],
        json!(true)
    );
    let end = NOW.plus(Duration::from_secs(600));
    for token in [&cached, &fresh] {
        for (seconds, active) in [(59, true), (61, false)] {
            let at = end.plus(Duration::from_secs(seconds));
            let answer = world
                .introspect_at(at, "basic", token)
                .await
                .expect("an answer");
            assert_eq!(
                matches!(answer, Introspection::Active(..)),
                active,
                "{seconds} s"
            );
        }
    }
}

#[tokio::test]
async fn a_token_of_a_client_that_is_gone_is_inactive() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    let orders = api("orders", ORDERS, proof::issued::Environment::Live, 10);
    let mut server = client("server", ClientAuthMethod::ClientSecretBasic, &[]);
    server.introspects = vec![verdict::route::ApiName::new("orders")];
    assert_eq!(
        world.introspect("server", &token).await["active"],
        json!(true)
    );
    world
        .issuer
        .declare(Declared::new([&orders], [&server], &[]).expect("sound"));
    assert_eq!(world.introspect("server", &token).await, inactive());
}

#[tokio::test]
async fn c06_a_revoked_token_is_inactive_at_once_though_it_is_cached() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    let other = world.access_token("basic", "").await;
    assert_eq!(
        world.introspect("server", &token).await["active"],
        json!(true)
    );
    let hint = format!("token={token}&token_type_hint=access_token");
    assert_eq!(world.revoke("basic", &hint).await, Ok(()));
    assert_eq!(world.introspect("server", &token).await, inactive());
    assert_eq!(
        world.introspect("server", &other).await["active"],
        json!(true)
    );

    let audit = world.store.audit.lock().expect("lock");
    let event = audit.last().expect("an event");
    assert_eq!(
        (event.action, event.actor.as_str()),
        ("token.revoke", "client:basic")
    );
    assert_eq!(event.request_id, "request-3");
}

#[tokio::test]
async fn only_the_owner_revokes_a_token() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    for other in ["both", "server", "test"] {
        let answer = world.revoke(other, &format!("token={token}")).await;
        assert_eq!(answer, Err(ErrorCode::UnauthorizedClient), "{other}");
    }
    assert_eq!(
        world.introspect("basic", &token).await["active"],
        json!(true)
    );
    assert!(world.store.revoked.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn revoking_what_is_unknown_succeeds_and_writes_nothing() {
    // RFC 7009 §2.2
    let world = World::new().await;
    for body in [
        "token=garbage",
        "token=a.b.c",
        "token=x&token_type_hint=nonsense",
    ] {
        assert_eq!(world.revoke("basic", body).await, Ok(()), "{body}");
    }
    assert_eq!(
        world.revoke("basic", "").await,
        Err(ErrorCode::InvalidRequest)
    );
    assert!(world.store.revoked.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_revocation_that_can_not_be_recorded_is_refused() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    world.store_goes_away();
    let answer = world.revoke("basic", &format!("token={token}")).await;
    assert_eq!(answer, Err(ErrorCode::TemporarilyUnavailable));
    assert_eq!(
        world.introspect("basic", &token).await["active"],
        json!(true)
    );
}

#[tokio::test]
async fn an_administrator_ends_all_tokens_of_a_client() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    let others = world.access_token("roles", "").await;
    let later = NOW.plus(Duration::from_secs(1));
    let actor = Actor::System { part: "test" };
    let done = world
        .issuer
        .revoke_client_tokens(&ClientId::new("basic"), &actor, "request-4", later)
        .await;
    assert!(done.is_ok());
    assert_eq!(world.introspect("server", &token).await, inactive());
    assert_eq!(
        world.introspect("server", &others).await["active"],
        json!(true)
    );
    let revoked = world.store.revoked.lock().expect("lock");
    // Kept until the longest token and the leeway are over.
    let until = later.plus(Duration::from_secs(3600 + 60));
    let expected = Revocation::ClientEpoch {
        client_id: "basic".to_owned(),
        before: later,
        until,
    };
    assert_eq!(revoked.as_slice(), [expected]);
}

#[tokio::test]
async fn a_node_that_does_not_hear_of_revocations_says_so() {
    let world = World::new().await;
    let token = world.access_token("basic", "").await;
    world.cut_off();
    let answer = world.introspect_at(NOW, "basic", &token).await;
    assert_eq!(answer.err(), Some(Reason::Unavailable));
}

#[tokio::test]
async fn introspection_needs_a_token_and_a_client() {
    let world = World::new().await;
    let answer = world.introspect_at(NOW, "basic", "").await;
    assert_eq!(answer.err(), Some(Reason::TokenMissing));
    let answer = world.introspect_at(NOW, "post", "x").await;
    assert_eq!(answer.err(), Some(Reason::WrongClientMethod));
}

#[tokio::test]
async fn the_metadata_lists_exactly_what_works() {
    let world = World::new().await;
    let documents = world.issuer.documents();
    let server: Value = serde_json::from_str(&documents.server_metadata).expect("JSON");
    let methods = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "self_signed_tls_client_auth",
        "none"
    ]);
    let proving = &methods.as_array().expect("a list")[..4];
    let algorithms = json!(["ES256", "EdDSA", "PS256", "RS256"]);
    let url = |path: &str| format!("https://id.example.com/oauth/{path}");
    let expected = json!({
        "issuer": ISSUER,
        "authorization_endpoint": url("authorize"),
        "token_endpoint": url("token"),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "jwks_uri": "https://id.example.com/jwks.json",
        "scopes_supported": [
            "openid", "profile", "email", "phone", "address", "offline_access",
            "orders:read", "orders:write", "stock:read", "stock:write",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "introspection_endpoint": url("introspect"),
        "introspection_endpoint_auth_methods_supported": proving,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": url("revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "device_authorization_endpoint": url("device"),
        "pushed_authorization_request_endpoint": url("par"),
        "require_pushed_authorization_requests": false,
        "authorization_response_iss_parameter_supported": true,
        "dpop_signing_alg_values_supported": algorithms,
        "tls_client_certificate_bound_access_tokens": true,
        "userinfo_endpoint": url("userinfo"),
        "end_session_endpoint": url("end_session"),
    });
    assert_eq!(server, expected);

    let openid: Value = serde_json::from_str(&documents.openid_configuration).expect("JSON");
    let openid = openid.as_object().expect("an object");
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(openid.get(name), Some(value), "{name}");
    }
    assert_eq!(openid["subject_types_supported"], json!(["public"]));
    assert_eq!(openid["id_token_signing_alg_values_supported"], algorithms);
    assert_eq!(openid["request_parameter_supported"], json!(false));
    assert_eq!(openid["request_uri_parameter_supported"], json!(false));
    // What an ID token says of a login, and nothing else: see `session`.
    assert_eq!(
        openid["acr_values_supported"],
        json!([crate::session::ACR_PASSWORD])
    );
}

#[test]
fn certificates_of_a_ca_are_offered_only_where_one_is_trusted() {
    let endpoints = Endpoints::new(ISSUER, false).expect("an issuer");
    for client_ca in [false, true] {
        let documents = Documents::new(&endpoints, &Declared::default(), client_ca);
        for text in [documents.server_metadata, documents.openid_configuration] {
            let document: Value = serde_json::from_str(&text).expect("JSON");
            for endpoint in ["token", "introspection", "revocation"] {
                let name = format!("{endpoint}_endpoint_auth_methods_supported");
                let methods = document[&name].as_array().expect("a list");
                assert_eq!(
                    methods.contains(&json!("tls_client_auth")),
                    client_ca,
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn aliases_are_named_where_clients_show_certificates() {
    let plain = Endpoints::new("https://id.example.com/tenant", false).expect("an issuer");
    assert_eq!(plain.mtls_url(Endpoint::Token), None);
    let endpoints = plain
        .clone()
        .with_mtls("https://mtls.example.com:8443")
        .expect("a base");
    let documents = Documents::new(&endpoints, &Declared::default(), false);
    let server: Value = serde_json::from_str(&documents.server_metadata).expect("JSON");
    assert_eq!(
        server["mtls_endpoint_aliases"]["token_endpoint"],
        json!("https://mtls.example.com:8443/tenant/oauth/token")
    );
    for bad in [
        "http://mtls.example.com",
        "https://mtls.example.com/",
        "https://mtls.example.com/x",
        "mtls",
    ] {
        assert!(plain.clone().with_mtls(bad).is_err(), "{bad}");
    }
}

#[test]
fn endpoints_stand_where_the_metadata_says() {
    let endpoints = Endpoints::new("https://id.example.com/tenant", false).expect("an issuer");
    let paths = Endpoint::ALL.map(|endpoint| endpoints.path(endpoint));
    let expected = [
        "/.well-known/oauth-authorization-server/tenant",
        "/tenant/.well-known/openid-configuration",
        "/tenant/jwks.json",
        "/tenant/upstream/jwks.json",
        "/tenant/oauth/authorize",
        "/tenant/oauth/par",
        "/tenant/oauth/token",
        "/tenant/oauth/device",
        "/tenant/oauth/userinfo",
        "/tenant/oauth/introspect",
        "/tenant/oauth/revoke",
        "/tenant/oauth/end_session",
        "/tenant/oauth/register",
        "/tenant/oauth/register/{client_id}",
    ];
    assert_eq!(paths, expected);
    for endpoint in Endpoint::ALL {
        let origin = "https://id.example.com";
        assert_eq!(
            endpoints.url(endpoint),
            format!("{origin}{}", endpoints.path(endpoint))
        );
    }
    assert_eq!(endpoints.token(), endpoints.url(Endpoint::Token));
    assert_eq!(endpoints.userinfo(), endpoints.url(Endpoint::Userinfo));
}

#[test]
fn an_issuer_identifier_is_taken_in_one_spelling_only() {
    for good in [
        "https://id.example.com",
        "https://id.example.com/a/b",
        "https://id.example.com:8443",
        "http://127.0.0.1:8081",
        "http://localhost:8081",
        "http://[::1]:8081",
    ] {
        assert!(Endpoints::new(good, false).is_ok(), "{good}");
    }
    for (bad, error) in [
        ("", BadIssuer::NotAUrl),
        ("id.example.com", BadIssuer::NotAUrl),
        ("ftp://id.example.com", BadIssuer::NotAUrl),
        ("http://id.example.com", BadIssuer::Plain),
        ("http://127.0.0.1.example.com", BadIssuer::Plain),
        ("https://id.example.com?x=1", BadIssuer::TooMuch),
        ("https://id.example.com#x", BadIssuer::TooMuch),
        ("https://user@id.example.com", BadIssuer::TooMuch),
        ("https://id.example.com/", BadIssuer::NotNormal),
        ("https://ID.example.com", BadIssuer::NotNormal),
        ("https://id.example.com:443", BadIssuer::NotNormal),
        ("https://id.example.com/a/../b", BadIssuer::NotNormal),
    ] {
        assert_eq!(Endpoints::new(bad, false).err(), Some(error), "{bad}");
    }
    assert!(Endpoints::new("http://id.example.com", true).is_ok());
}

#[test]
fn a_declaration_that_can_not_be_meant_is_refused() {
    use proof::issued::Environment::{Live, Test};
    let basic = ClientAuthMethod::ClientSecretBasic;
    let orders = api("orders", ORDERS, Live, 10);
    let sandbox = api("sandbox", "https://sandbox.example.com", Test, 10);
    let twin = api("twin", ORDERS, Live, 10);
    let plain = client("a", basic, &[("orders", &["orders:read"])]);
    let unknown = client("a", basic, &[("nothing", &[])]);
    let scope = client("a", basic, &[("orders", &["stock:read"])]);
    let wall = client("a", basic, &[("sandbox", &[])]);
    let keyless = client("a", ClientAuthMethod::PrivateKeyJwt, &[]);

    let apis = [&orders, &sandbox];
    assert!(Declared::new(apis, [&plain], &[]).is_ok());
    assert!(matches!(
        Declared::new([&orders, &twin], [], &[]),
        Err(DeclaredError::AudienceTwice { .. })
    ));
    assert!(matches!(
        Declared::new(apis, [&plain, &plain], &[]),
        Err(DeclaredError::ClientTwice(_))
    ));
    assert!(matches!(
        Declared::new(apis, [&unknown], &[]),
        Err(DeclaredError::UnknownApi { .. })
    ));
    assert!(matches!(
        Declared::new(apis, [&scope], &[]),
        Err(DeclaredError::UnknownScope { .. })
    ));
    assert!(matches!(
        Declared::new(apis, [&wall], &[]),
        Err(DeclaredError::Wall { .. })
    ));
    assert!(matches!(
        Declared::new(apis, [&keyless], &[]),
        Err(DeclaredError::NoKeys(_))
    ));

    // Rather no token than one that everybody can read.
    let mut secret = api("orders", ORDERS, Live, 10);
    let judged = Arc::get_mut(&mut secret.judged).expect("nobody else has it");
    judged.encryption = Some(TokenEncryption { required: false });
    let no_key = Arc::new(DecryptionKeys::new(Vec::new()));
    let of = |name: &str| [(ApiName::new(name), no_key.clone())];
    for keys in [&[][..], &of("stock"), &of("orders")] {
        assert!(matches!(
            Declared::new([&secret], [&plain], keys),
            Err(DeclaredError::NoEncryptionKey(_))
        ));
    }
    // It is asked for where the tokens are JWTs.
    secret.token_format = TokenFormat::Opaque;
    assert!(Declared::new([&secret], [&plain], &[]).is_ok());
}

fn standing() -> Standing {
    Standing {
        principal: Principal::User(SubjectId::new("u-1")),
        credential: CredentialId::new("key_1"),
        application: Some(ApplicationId::new("shop")),
        client: Some(ClientId::new("basic")),
        scopes: Scopes::new(["orders:write", "orders:read"]),
        roles: vec![RoleName::new("clerk")],
        apis: ApiAllow::ByAudience,
        environment: Some(proof::issued::Environment::Live),
        tenant: Some(TenantId::new("acme")),
        networks: Vec::new(),
        origins: Vec::new(),
        claims: serde_json::Map::from_iter([("iss".to_owned(), json!("not ours"))]),
    }
}

fn identity_token(world: &World, credential_expires: Option<Timestamp>) -> String {
    let standing = standing();
    let token = UpstreamToken {
        standing: &standing,
        audience: "orders-service",
        lifetime: Duration::from_secs(60),
        credential_expires,
        leeway: Leeway::default(),
    };
    upstream_token::mint(
        &world.issuer.keys().ring(),
        world.issuer.endpoints(),
        &token,
        NOW,
        &SystemEntropy,
    )
    .expect("a key")
}

#[tokio::test]
async fn an_identity_token_says_who_calls_as_a_peer_reads_it() {
    let world = World::new().await;
    let token = identity_token(&world, None);
    let header = jsonwebtoken::decode_header(&token).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("doorward-identity+jwt"));
    let mut claims = world.claims_by_peer(KeyPurpose::Upstream, &token, "orders-service");
    assert!(claims["jti"].take().is_string());
    let expected = json!({
        "iss": "https://id.example.com/upstream",
        "sub": "u-1",
        "aud": "orders-service",
        "exp": NOW.as_secs() + 60,
        "iat": NOW.as_secs(),
        "jti": null,
        "principal": "user",
        "client_id": "basic",
        "application": "shop",
        "scope": "orders:read orders:write",
        "roles": ["clerk"],
        "tenant": "acme",
        "env": "live",
        "claims": {"iss": "not ours"},
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn an_identity_token_does_not_outlive_the_callers_credential() {
    let world = World::new().await;
    // Accepted at the door for 60 s past its expiry: so long, and no longer, is its identity.
    for (ahead, life) in [(-59, 1), (-30, 30), (0, 60), (3600, 60)] {
        let expires = Timestamp::from_secs(NOW.as_secs() + ahead);
        let token = identity_token(&world, Some(expires));
        let claims = world.claims_by_peer(KeyPurpose::Upstream, &token, "orders-service");
        assert_eq!(claims["exp"], json!(NOW.as_secs() + life), "{ahead}");
    }
}

#[tokio::test]
async fn j04_an_identity_token_never_passes_as_an_access_token() {
    let world = World::new().await;
    let token = identity_token(&world, None);
    assert_eq!(world.introspect("basic", &token).await, inactive());
    let ring = world.issuer.keys().ring();
    let kid = jsonwebtoken::decode_header(&token)
        .expect("a header")
        .kid
        .expect("a kid");
    assert!(ring.verifier(KeyPurpose::Upstream, &kid).is_some());
    for purpose in [KeyPurpose::Access, KeyPurpose::Audit] {
        assert!(ring.verifier(purpose, &kid).is_none());
        assert!(!ring.jwks(purpose).contains(&kid));
    }
}
