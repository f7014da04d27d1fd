//! Token exchange: what shrinks, who acts.

use issuer::error::Reason;
use serde_json::json;

use crate::world::{ORDERS, STOCK, World, claims};

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fn exchange(subject: &str) -> String {
    format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token={subject}&subject_token_type={TYPE}"
    )
}

#[tokio::test]
async fn an_api_acts_for_the_person_with_less_than_it_was_shown() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    world.wait(100);
    let form = format!("{}&resource={STOCK}", exchange(&tokens.access_token));
    let passed = world.ask("stockd", &form).await.expect("a token");
    assert_eq!(passed.issued_token_type, Some(TYPE));
    assert_eq!(passed.expires_in, 500);
    assert!(passed.refresh_token.is_none() && passed.id_token.is_none());
    let token = claims(&passed.access_token);
    assert_eq!(token["sub"], json!("sub-alice"));
    assert_eq!(token["client_id"], json!("stockd"));
    assert_eq!(token["aud"], json!(STOCK));
    assert_eq!(token["scope"], json!("stock:read"));
    assert_eq!(
        token["act"],
        json!({"sub": "stockd", "client_id": "stockd"})
    );
    assert_eq!(token["grant_id"], claims(&tokens.access_token)["grant_id"]);
}

#[tokio::test]
async fn j05_an_exchange_beyond_the_subject_token_is_refused() {
    let world = World::new().await;
    let token = world.tokens("web").await.access_token;
    let id_token = world.tokens("web").await.id_token.expect("one");
    let form = exchange(&token);
    let rows = [
        (
            "stockd",
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange".to_owned(),
            Reason::ExchangeIncomplete,
        ),
        ("stockd", form.replace(TYPE, "x"), Reason::ExchangeType),
        (
            "stockd",
            format!("{form}&actor_token={token}"),
            Reason::ExchangeIncomplete,
        ),
        (
            "stockd",
            format!("{form}&actor_token={token}&actor_token_type={TYPE}"),
            Reason::ExchangeToken,
        ),
        (
            "stockd",
            format!("{form}&requested_token_type=x"),
            Reason::ExchangeType,
        ),
        ("stockd", exchange("a.b.c"), Reason::ExchangeToken),
        ("stockd", exchange(&id_token), Reason::ExchangeToken),
        // Not its own token, and no API of its.
        ("twin", form.clone(), Reason::ExchangeToken),
        ("test", form.clone(), Reason::ExchangeToken),
        ("nothing", form.clone(), Reason::GrantNotAllowed),
        (
            "stockd",
            format!("{form}&resource={ORDERS}"),
            Reason::UnknownTarget,
        ),
        (
            "stockd",
            format!("{form}&audience=https://x.example"),
            Reason::UnknownTarget,
        ),
        (
            "stockd",
            format!("{form}&scope=orders:read"),
            Reason::ScopeNotGranted,
        ),
        (
            "stockd",
            format!("{form}&scope=stock:write"),
            Reason::ScopeNotGranted,
        ),
    ];
    for (client, form, expected) in rows {
        let answer = world.ask(client, &form).await;
        assert_eq!(answer.err(), Some(expected), "{client}: {form}");
    }
}

#[tokio::test]
async fn j05_what_was_exchanged_dies_with_its_grant() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    let form = exchange(&tokens.access_token);
    let passed = world
        .ask("stockd", &form)
        .await
        .expect("a token")
        .access_token;
    assert_eq!(
        world.introspect("stockd", &passed).await["active"],
        json!(true)
    );
    let refresh_token = tokens.refresh_token.expect("one");
    assert_eq!(world.revoke("web", &refresh_token).await, Ok(()));
    assert_eq!(
        world.introspect("stockd", &passed).await,
        json!({"active": false})
    );
    let again = world.ask("stockd", &form).await;
    assert_eq!(again.err(), Some(Reason::ExchangeToken));
}
