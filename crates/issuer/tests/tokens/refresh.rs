//! Refresh tokens: lines, retries, thieves.

use std::collections::HashSet;
use std::sync::Arc;

use issuer::error::Reason;
use serde_json::json;

use crate::world::{ORDERS, STOCK, World, claims, refresh};

#[tokio::test]
async fn f05_a_refresh_replaces_the_token_and_a_thief_ends_the_line() {
    let world = World::new().await;
    let first = world.tokens("web").await;
    let old = first.refresh_token.expect("one");
    let second = world.ask("web", &refresh(&old)).await.expect("tokens");
    let new = second.refresh_token.expect("one");
    assert_ne!(old, new);
    assert!(second.id_token.is_some());
    world.wait(11);
    let thief = world.ask("web", &refresh(&old)).await;
    assert_eq!(thief.err(), Some(Reason::RefreshReused));
    assert!(world.ask("web", &refresh(&new)).await.is_err());
    let told = world.userinfo("Bearer", &second.access_token, None).await;
    assert_eq!(told.err(), Some(Reason::DeadAccessToken));
    // Operators hear of it once, however often it is tried.
    assert!(world.ask("web", &refresh(&old)).await.is_err());
    let heard = world.surroundings.alarms.lock().expect("lock").clone();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with("sub-alice web "), "{heard:?}");
}

#[tokio::test]
async fn f05_a_lost_answer_can_be_asked_for_again_while_its_successor_is_unused() {
    let world = World::new().await;
    let old = world.tokens("web").await.refresh_token.expect("one");
    let once = world.ask("web", &refresh(&old)).await.expect("tokens");
    world.wait(9);
    let again = world.ask("web", &refresh(&old)).await.expect("tokens");
    assert_eq!(once.refresh_token, again.refresh_token);
    let successor = again.refresh_token.expect("one");
    assert!(world.ask("web", &refresh(&successor)).await.is_ok());
    // Used: the retry is over, whatever the clock says.
    let late = world.ask("web", &refresh(&old)).await;
    assert_eq!(late.err(), Some(Reason::RefreshReused));
}

#[tokio::test]
async fn f05_a_bearer_public_client_has_no_retry() {
    let world = World::new().await;
    let old = world.tokens("phone").await.refresh_token.expect("one");
    assert!(world.ask("phone", &refresh(&old)).await.is_ok());
    let again = world.ask("phone", &refresh(&old)).await;
    assert_eq!(again.err(), Some(Reason::RefreshReused));
}

#[tokio::test]
async fn f05_fifty_refreshes_at_once_give_one_line() {
    let world = Arc::new(World::new().await);
    let old = world.tokens("web").await.refresh_token.expect("one");
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            let form = refresh(&old);
            tokio::spawn(async move { world.ask("web", &form).await })
        })
        .collect();
    let mut successors = HashSet::new();
    for task in tasks {
        let answer = task.await.expect("a task");
        let tokens = answer.unwrap_or_else(|reason| panic!("refused: {reason:?}"));
        successors.insert(tokens.refresh_token.expect("one"));
    }
    assert_eq!(successors.len(), 1);
    let only = successors.into_iter().next().expect("one");
    assert!(world.ask("web", &refresh(&only)).await.is_ok());
}

#[tokio::test]
async fn fapi2_does_not_rotate() {
    let world = World::new().await;
    let form = crate::world::redeem(&world.code("fapi").await);
    let first = world
        .ask_with("fapi", &form, &world.mine)
        .await
        .expect("tokens");
    let token = first.refresh_token.expect("one");
    for _ in 0..3 {
        world.wait(20);
        let next = world.ask_with("fapi", &refresh(&token), &world.mine).await;
        assert_eq!(
            next.ok().and_then(|next| next.refresh_token),
            Some(token.clone())
        );
    }
    // Its tokens are bound to the key that was shown, which it may change.
    let moved = world
        .ask_with("fapi", &refresh(&token), &world.other)
        .await
        .expect("tokens");
    let jkt = world.other.public_jwk().thumbprint();
    assert_eq!(claims(&moved.access_token)["cnf"], json!({"jkt": jkt}));
}

#[tokio::test]
async fn a_refresh_narrows_and_never_widens() {
    let world = World::new().await;
    let token = world.tokens("web").await.refresh_token.expect("one");
    let form = refresh(&token);
    for (more, reason) in [
        ("&scope=email", Reason::ScopeNotGranted),
        ("&scope=orders:read++x", Reason::MalformedScope),
        (
            "&resource=https://api.example.com/sandbox",
            Reason::UnknownTarget,
        ),
        (
            "&resource=https://api.example.com/orders&scope=stock:read",
            Reason::ScopeNotGranted,
        ),
    ] {
        let answer = world.ask("web", &format!("{form}{more}")).await;
        assert_eq!(answer.err(), Some(reason), "{more}");
    }
    let narrow = format!("{form}&scope=orders:read&resource={ORDERS}");
    let narrow = world.ask("web", &narrow).await.expect("tokens");
    assert_eq!(narrow.scope, "orders:read");
    assert_eq!(claims(&narrow.access_token)["aud"], json!(ORDERS));
    assert!(narrow.id_token.is_none());
    // RFC 6749 §6: the grant keeps what it had.
    let whole = refresh(&narrow.refresh_token.expect("one"));
    let whole = world.ask("web", &whole).await.expect("tokens");
    assert!(
        claims(&whole.access_token)["aud"]
            .to_string()
            .contains(STOCK)
    );
}

#[tokio::test]
async fn a_bad_refresh_gets_exactly_its_error() {
    let world = World::new().await;
    let token = world.tokens("web").await.refresh_token.expect("one");
    let other = world.tokens("twin").await.refresh_token.expect("one");
    let cut = &token[..token.len() - 1];
    let rows = [
        (
            "web",
            "grant_type=refresh_token".to_owned(),
            Reason::RefreshTokenMissing,
        ),
        (
            "web",
            format!("{}&refresh_token=x", refresh(&token)),
            Reason::RepeatedParameter,
        ),
        ("web", refresh("garbage"), Reason::RefreshUnknown),
        ("web", refresh(cut), Reason::RefreshUnknown),
        ("web", refresh(&other), Reason::RefreshUnknown),
        ("twin", refresh(&token), Reason::RefreshUnknown),
        ("phone", refresh(&token), Reason::RefreshUnknown),
        ("test", refresh(&token), Reason::RefreshUnknown),
        ("nothing", refresh(&token), Reason::GrantNotAllowed),
    ];
    for (client, form, expected) in rows {
        let answer = world.ask(client, &form).await;
        assert_eq!(answer.err(), Some(expected), "{client}: {form}");
    }
    // Idle for a fortnight.
    world.wait(14 * 24 * 3600);
    let answer = world.ask("web", &refresh(&token)).await;
    assert!(matches!(
        answer.err(),
        Some(Reason::GrantEnded | Reason::RefreshUnknown)
    ));
}

#[tokio::test]
async fn a_client_sees_and_ends_its_own_refresh_token_and_nobody_else_does() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    let refresh_token = tokens.refresh_token.as_deref().expect("one");
    let inactive = json!({"active": false});
    assert_eq!(world.introspect("twin", refresh_token).await, inactive);
    let seen = world.introspect("web", refresh_token).await;
    assert_eq!(seen["active"], json!(true));
    assert_eq!(seen["sub"], json!("sub-alice"));
    let seen = world.introspect("web", &tokens.access_token).await;
    assert_eq!(seen["active"], json!(true));
    assert!(seen["grant_id"].is_string());

    let answer = world.revoke("twin", refresh_token).await;
    assert_eq!(answer, Err(Reason::NotOwnToken));
    assert_eq!(world.revoke("web", refresh_token).await, Ok(()));
    assert_eq!(world.introspect("web", refresh_token).await, inactive);
    assert_eq!(
        world.introspect("web", &tokens.access_token).await,
        inactive
    );
    // RFC 7009 §2.2: a dead one is no error.
    assert_eq!(world.revoke("web", refresh_token).await, Ok(()));
}
