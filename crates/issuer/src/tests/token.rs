//! The token endpoint: what comes of a good request, and the golden matrix of bad ones.

use std::sync::Arc;

use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{DecryptionKey, DecryptionKeys};
use proof::jose::key::SigningKey;
use registry::client::ClientAuthMethod;
use serde_json::json;
use verdict::identity::LifeState;
use verdict::route::{ApiName, TokenEncryption};

use super::world::{NOW, ONE, ORDERS, STOCK, World, api, basic, client};
use crate::IssuerSettings;
use crate::declared::Declared;
use crate::error::{ErrorCode, Reason};
use crate::keys::KeySettings;
use crate::ports::KeyPurpose;

const GRANT: &str = "grant_type=client_credentials";

#[tokio::test]
async fn an_access_token_holds_the_claims_of_rfc_9068_as_a_peer_reads_them() {
    let world = World::new().await;
    let answer = world
        .token("roles", GRANT)
        .await
        .unwrap_or_else(|r| panic!("{r:?}"));
    assert_eq!(answer.token_type, "Bearer");
    assert_eq!(answer.expires_in, 120);
    assert_eq!(answer.scope, "orders:read orders:write");

    let header = jsonwebtoken::decode_header(&answer.access_token).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let mut claims = world.claims_by_peer(KeyPurpose::Access, &answer.access_token, ORDERS);
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().map(str::len), Some(36));
    let expected = json!({
        "iss": "https://id.example.com",
        "sub": "roles",
        "client_id": "roles",
        "aud": ORDERS,
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 120,
        "jti": null,
        "scope": "orders:read orders:write",
        "roles": ["clerk"],
        "env": "live",
        "application": "shop",
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn two_tokens_are_never_the_same() {
    let world = World::new().await;
    assert_ne!(
        world.access_token("basic", "").await,
        world.access_token("basic", "").await
    );
}

#[tokio::test]
async fn every_signing_algorithm_is_verified_by_a_peer() {
    for alg in crate::keys::SIGNING_ALGORITHMS {
        let keys = KeySettings {
            access: alg,
            ..KeySettings::default()
        };
        let world = World::with(keys, IssuerSettings::default()).await;
        let token = world.access_token("basic", "").await;
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        assert_eq!(
            Algorithm::from_name(&format!("{:?}", header.alg)),
            Some(alg)
        );
        world.claims_by_peer(KeyPurpose::Access, &token, ORDERS);
        assert_eq!(
            world.introspect("basic", &token).await["active"],
            json!(true),
            "{alg}"
        );
    }
}

#[tokio::test]
async fn resources_and_scopes_narrow_a_token() {
    let world = World::new().await;
    let orders = "&resource=https%3A%2F%2Fapi.example.com%2Forders";
    let stock = "&resource=https%3A%2F%2Fapi.example.com%2Fstock";
    let both = format!("{orders}{stock}");
    let rows: [(&str, &str, serde_json::Value, &str, u64); 6] = [
        ("both", orders, json!(ORDERS), "orders:read", 600),
        ("both", stock, json!(STOCK), "stock:read", 300),
        (
            "both",
            &both,
            json!([ORDERS, STOCK]),
            "orders:read stock:read",
            300,
        ),
        (
            "basic",
            "&scope=orders:write",
            json!(ORDERS),
            "orders:write",
            600,
        ),
        (
            "basic",
            "&scope=orders:write+orders:write",
            json!(ORDERS),
            "orders:write",
            600,
        ),
        (
            "basic",
            "&scope=",
            json!(ORDERS),
            "orders:read orders:write",
            600,
        ),
    ];
    for (client, more, audience, scope, life) in rows {
        let answer = world.token(client, &format!("{GRANT}{more}")).await;
        let answer = answer.unwrap_or_else(|reason| panic!("{more}: {reason:?}"));
        let first = audience
            .as_str()
            .or(audience[0].as_str())
            .expect("an audience");
        let claims = world.claims_by_peer(KeyPurpose::Access, &answer.access_token, first);
        assert_eq!(claims["aud"], audience, "{more}");
        assert_eq!(claims["scope"], json!(scope), "{more}");
        assert_eq!(answer.scope, scope, "{more}");
        assert_eq!(answer.expires_in, life, "{more}");
    }
}

/// One bad request and its answer.
struct Row {
    client: &'static str,
    body: &'static str,
    reason: Reason,
}

const fn row(client: &'static str, body: &'static str, reason: Reason) -> Row {
    Row {
        client,
        body,
        reason,
    }
}

const BAD_REQUESTS: &[Row] = &[
    row("basic", "", Reason::GrantTypeMissing),
    row("basic", "scope=orders:read", Reason::GrantTypeMissing),
    row("basic", "grant_type=", Reason::GrantTypeMissing),
    row("basic", "grant_type=password", Reason::GrantTypeUnknown),
    row(
        "basic",
        "grant_type=authorization_code&code=x",
        Reason::GrantNotAllowed,
    ),
    row(
        "basic",
        "grant_type=Client_Credentials",
        Reason::GrantTypeUnknown,
    ),
    row(
        "basic",
        "grant_type=client_credentials&grant_type=client_credentials",
        Reason::RepeatedParameter,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=orders:read&scope=orders:write",
        Reason::RepeatedParameter,
    ),
    row(
        "basic",
        "grant_type=client_credentials&client_id=basic&client_id=basic",
        Reason::RepeatedParameter,
    ),
    row(
        "basic",
        "grant_type=client_credentials&foo=1&foo=1",
        Reason::RepeatedParameter,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=%",
        Reason::MalformedForm,
    ),
    row(
        "basic",
        "grant_type=client_credentials&client_id=post",
        Reason::ClientIdMismatch,
    ),
    row(
        "basic",
        "grant_type=client_credentials&client_secret=x",
        Reason::SeveralClientMethods,
    ),
    row(
        "basic",
        "grant_type=client_credentials&client_assertion=x",
        Reason::SeveralClientMethods,
    ),
    row(
        "basic",
        "grant_type=client_credentials&client_assertion_type=x",
        Reason::SeveralClientMethods,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=orders:admin",
        Reason::ScopeNotGranted,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=orders:read+stock:read",
        Reason::ScopeNotGranted,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=+",
        Reason::MalformedScope,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=orders:read++orders:write",
        Reason::MalformedScope,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=orders:read+",
        Reason::MalformedScope,
    ),
    row(
        "basic",
        "grant_type=client_credentials&scope=%22a%22",
        Reason::MalformedScope,
    ),
    row(
        "basic",
        "grant_type=client_credentials&resource=https://api.example.com/stock",
        Reason::UnknownTarget,
    ),
    row(
        "basic",
        "grant_type=client_credentials&resource=https://api.example.com/orders/",
        Reason::UnknownTarget,
    ),
    row(
        "basic",
        "grant_type=client_credentials&resource=https://elsewhere.example",
        Reason::UnknownTarget,
    ),
    row(
        "basic",
        "grant_type=client_credentials&resource=https://sandbox.example.com",
        Reason::UnknownTarget,
    ),
    row(
        "both",
        "grant_type=client_credentials",
        Reason::TargetNeeded,
    ),
    row(
        "both",
        "grant_type=client_credentials&scope=orders:read",
        Reason::TargetNeeded,
    ),
    row(
        "both",
        "grant_type=client_credentials&scope=stock:read&resource=https://api.example.com/orders",
        Reason::ScopeNotGranted,
    ),
    row(
        "both",
        "grant_type=client_credentials&resource=https://api.example.com/orders&resource=x",
        Reason::UnknownTarget,
    ),
    row(
        "none",
        "grant_type=client_credentials",
        Reason::TargetNeeded,
    ),
    row(
        "none",
        "grant_type=client_credentials&resource=https://api.example.com/orders",
        Reason::UnknownTarget,
    ),
    // Registered for another method.
    row(
        "post",
        "grant_type=client_credentials",
        Reason::WrongClientMethod,
    ),
    row(
        "signer",
        "grant_type=client_credentials",
        Reason::WrongClientMethod,
    ),
    // Its secret outlived it.
    row(
        "gone",
        "grant_type=client_credentials",
        Reason::UnknownClient,
    ),
];

#[tokio::test]
async fn a_bad_token_request_gets_exactly_its_error() {
    let world = World::new().await;
    for Row {
        client,
        body,
        reason,
    } in BAD_REQUESTS
    {
        let answer = world.token(client, body).await;
        assert_eq!(answer.err(), Some(*reason), "{client}: {body}");
    }
}

#[tokio::test]
async fn more_resources_than_one_token_may_name_are_refused() {
    let world = World::new().await;
    let body = |n: usize| format!("{GRANT}{}", format!("&resource={ORDERS}").repeat(n));
    assert!(world.token("basic", &body(8)).await.is_ok());
    assert_eq!(
        world.token("basic", &body(9)).await.err(),
        Some(Reason::TooManyTargets)
    );
}

#[tokio::test]
async fn a_secret_in_the_body_authenticates_the_client_registered_for_it() {
    let world = World::new().await;
    let post =
        |client: &str, secret: &str| format!("{GRANT}&client_id={client}&client_secret={secret}");
    let good = post("post", world.secret("post"));
    assert!(world.token_at(NOW, None, &good).await.is_ok());
    let rows = [
        (
            format!("{GRANT}&client_secret={}", world.secret("post")),
            Reason::ClientIdMissing,
        ),
        (
            post("basic", world.secret("basic")),
            Reason::WrongClientMethod,
        ),
        (post("nobody", world.secret("post")), Reason::ForeignSecret),
        (post("post", world.secret("basic")), Reason::ForeignSecret),
        (
            format!("{GRANT}&client_id=post"),
            Reason::NoClientAuthentication,
        ),
        (GRANT.to_owned(), Reason::NoClientAuthentication),
    ];
    let counted = [("post".to_owned(), "sec_post".to_owned())];
    assert_eq!(world.used.take(), counted, "by the secret's public id");
    for (body, reason) in rows {
        assert_eq!(
            world.token_at(NOW, None, &body).await.err(),
            Some(reason),
            "{body}"
        );
    }
    assert_eq!(
        world.used.take(),
        [],
        "what does not hold counts for nobody"
    );
}

#[tokio::test]
async fn an_authorization_header_that_is_not_clean_basic_is_refused() {
    let world = World::new().await;
    let secret = world.secret("basic");
    let encode = |text: &str| proof::base64std::encode(text.as_bytes());
    assert!(
        world
            .token_at(
                NOW,
                Some(&format!("bAsIc {}", encode(&format!("basic:{secret}")))),
                GRANT
            )
            .await
            .is_ok()
    );
    for header in [
        String::new(),
        "Basic".to_owned(),
        "Basic ".to_owned(),
        format!("Basic  {}", encode(&format!("basic:{secret}"))),
        format!("Bearer {secret}"),
        format!("Basic {}", encode("basic")),
        format!(
            "Basic {}",
            encode(&format!("basic:{secret}"))
                .trim_end_matches('=')
                .to_owned()
                + "!"
        ),
        format!("Basic {}", encode(&format!("basic:%zz{secret}"))),
    ] {
        let answer = world.token_at(NOW, Some(&header), GRANT).await;
        assert_eq!(
            answer.err(),
            Some(Reason::MalformedAuthorization),
            "{header}"
        );
    }
}

#[tokio::test]
async fn client_ids_in_basic_are_form_encoded() {
    // RFC 6749 §2.3.1
    let world = World::new().await;
    let header = format!(
        "Basic {}",
        proof::base64std::encode(format!("%62asic:{}", world.secret("basic")).as_bytes())
    );
    assert!(world.token_at(NOW, Some(&header), GRANT).await.is_ok());
}

#[tokio::test]
async fn c12_whatever_is_wrong_with_a_secret_the_client_hears_the_same() {
    let world = World::new().await;
    let good = world.secret("basic").to_owned();
    let other = proof::issued::Issued::generate(
        &proof::issued::Brand::default(),
        proof::issued::SecretKind::ClientSecret,
        proof::issued::Environment::Live,
        &proof::random::SystemEntropy,
    );
    let id = proof::issued::parse(good.as_bytes(), &proof::issued::Brand::default())
        .expect("ours")
        .id;
    let wrong = proof::issued::Issued::generate_with_id(
        &proof::issued::Brand::default(),
        proof::issued::SecretKind::ClientSecret,
        proof::issued::Environment::Live,
        id,
        &proof::random::SystemEntropy,
    );
    let api_key = proof::issued::Issued::generate(
        &proof::issued::Brand::default(),
        proof::issued::SecretKind::SecretKey,
        proof::issued::Environment::Live,
        &proof::random::SystemEntropy,
    );
    let rows = [
        ("basic", "hunter2", Reason::MalformedSecret),
        ("basic", &good[..good.len() - 1], Reason::MalformedSecret),
        ("basic", api_key.text(), Reason::MalformedSecret),
        ("basic", other.text(), Reason::UnknownSecret),
        ("nobody", other.text(), Reason::UnknownSecret),
        ("basic", wrong.text(), Reason::WrongSecret),
        ("nobody", wrong.text(), Reason::WrongSecret),
        ("nobody", &good, Reason::ForeignSecret),
        ("both", &good, Reason::ForeignSecret),
    ];
    for (client, secret, reason) in rows {
        let answer = world
            .token_at(NOW, Some(&basic(client, secret)), GRANT)
            .await;
        assert_eq!(answer.err(), Some(reason), "{client}");
        assert_eq!(reason.code(), ErrorCode::InvalidClient);
        assert_eq!(reason.description(), Reason::UnknownClient.description());
    }
}

#[tokio::test]
async fn f08_the_cost_of_a_wrong_secret_does_not_depend_on_the_client() {
    let world = World::new().await;
    let good = world.secret("basic").to_owned();
    let hashes = async |client: &str, secret: &str| {
        let before = *world.secrets.hashed.lock().expect("lock");
        let _refused = world
            .token_at(NOW, Some(&basic(client, secret)), GRANT)
            .await;
        *world.secrets.hashed.lock().expect("lock") - before
    };
    for secret in [good.as_str(), "hunter2"] {
        assert_eq!(
            hashes("basic", secret).await,
            hashes("nobody", secret).await
        );
        assert_eq!(hashes("post", secret).await, hashes("nobody", secret).await);
    }
}

#[tokio::test]
async fn a_dead_secret_is_refused_and_a_living_one_passes_to_its_last_moment() {
    for state in [LifeState::Suspended, LifeState::Revoked] {
        let world = World::new().await;
        world.change_secret("basic", |key| key.state = state);
        assert_eq!(
            world.token("basic", GRANT).await.err(),
            Some(Reason::DeadSecret)
        );
    }
    let world = World::new().await;
    let end = proof::time::Timestamp::from_millis(NOW.as_millis() + 1);
    world.change_secret("basic", |key| key.expires_at = Some(end));
    assert!(world.token("basic", GRANT).await.is_ok());
    world.change_secret("basic", |key| key.expires_at = Some(NOW));
    assert_eq!(
        world.token("basic", GRANT).await.err(),
        Some(Reason::DeadSecret)
    );
}

#[tokio::test]
async fn j04_a_test_client_gets_test_tokens_only() {
    let world = World::new().await;
    let token = world.access_token("test", "").await;
    let claims = world.claims_by_peer(KeyPurpose::Access, &token, "https://sandbox.example.com");
    assert_eq!(claims["env"], json!("test"));
    let live = format!("{GRANT}&resource={ORDERS}");
    assert_eq!(
        world.token("test", &live).await.err(),
        Some(Reason::UnknownTarget)
    );
    // A live secret that was stored for a test client opens nothing.
    world.change_secret("basic", |key| {
        let mut standing = (*key.standing).clone();
        standing.environment = Some(proof::issued::Environment::Test);
        key.standing = std::sync::Arc::new(standing);
    });
    assert_eq!(
        world.token("basic", GRANT).await.err(),
        Some(Reason::WrongEnvironment)
    );
}

#[tokio::test]
async fn nothing_is_issued_that_could_not_be_recorded() {
    let world = World::new().await;
    world.cannot_record();
    let reason = world.token("basic", GRANT).await.err();
    assert_eq!(reason, Some(Reason::Unavailable));
    assert_eq!(reason.map(|r| r.code().status()), Some(503));
    assert_eq!(*world.secrets.hashed.lock().expect("lock"), 0);
}

#[tokio::test]
async fn a_full_hashing_pool_is_not_a_wrong_secret() {
    let world = World::new().await;
    world.hashing_pool_is_full();
    assert_eq!(
        world.token("basic", GRANT).await.err(),
        Some(Reason::Unavailable)
    );
}

#[tokio::test]
async fn a_token_above_the_cap_is_refused() {
    let settings = IssuerSettings {
        max_token_bytes: 100,
        ..IssuerSettings::default()
    };
    let world = World::with(KeySettings::default(), settings).await;
    assert_eq!(
        world.token("basic", GRANT).await.err(),
        Some(Reason::TokenTooLarge)
    );
}

#[tokio::test]
async fn the_cap_counts_what_is_sent_encryption_and_all() {
    let settings = |max_token_bytes| IssuerSettings {
        max_token_bytes,
        ..IssuerSettings::default()
    };
    for (cap, expected) in [(800, Err(Reason::TokenTooLarge)), (2000, Ok(true))] {
        let world = World::with(KeySettings::default(), settings(cap)).await;
        let plain = world.token("basic", GRANT).await.expect("signed alone");
        assert!(plain.access_token.len() <= cap);
        let key = SigningKey::generate(Algorithm::ES256).expect("a key");
        let key = DecryptionKey::from_pkcs8(&key.to_pkcs8().expect("its text"));
        let keys = Arc::new(DecryptionKeys::new(vec![key.expect("opens")]));
        let name = ApiName::new("orders");
        let mut orders = api("orders", ORDERS, Environment::Live, 10);
        let judged = Arc::get_mut(&mut orders.judged).expect("nobody else has it");
        judged.encryption = Some(TokenEncryption { required: true });
        let basic = client("basic", ClientAuthMethod::ClientSecretBasic, ONE);
        let declared = Declared::new([&orders], [&basic], &[(name, keys)]);
        world.issuer.declare(declared.expect("sound"));
        let answer = world.token("basic", GRANT).await;
        let fits =
            answer.map(|made| (plain.access_token.len()..=cap).contains(&made.access_token.len()));
        assert_eq!(fits, expected);
    }
}
