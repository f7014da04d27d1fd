//! Sweeping: what goes, what stays, and that it stays correct.

use issuer::flow::{EndReason, FlowFilter, Flows as _, GrantState, Pushed, Redeemed, Refreshed};

use super::*;
use crate::SweptFlows;

super::super::on_both!(
    nothing_that_lives_is_swept,
    what_is_over_goes_and_ended_grants_stay_a_month,
    a_session_that_is_over_ends_its_grants,
    a_grant_whose_last_token_lapsed_is_over,
);

const DAY: i64 = 86_400;

async fn swept(store: &Store, second: i64) -> SweptFlows {
    store.sweep(at(second)).await.unwrap().flows
}

async fn nothing_that_lives_is_swept(bench: Bench) {
    let store = &bench.store;
    opened(store, "s", "alice").await;
    granted(store, &grant_in("s"), Some("r0")).await;
    store
        .issue_code(new_code("c", &grant()), event("grant.create"))
        .await
        .unwrap();
    let shop = client("shop");
    let refresh = store.refresh(rotating(&shop, "r0", "r1", 10), event("a"), event("b"));
    assert!(matches!(refresh.await.unwrap(), Refreshed::Current(_)));
    let before = traces(store).await;
    assert_eq!(swept(store, 59).await, SweptFlows::default());
    assert_eq!(traces(store).await, before);
    assert!(store.code(hash("c"), at(59)).await.unwrap().is_some());
    assert!(store.session(hash("s"), at(59)).await.unwrap().is_some());
    let replaced = store.refresh_token(hash("r0"), at(59)).await.unwrap();
    assert!(replaced.is_some(), "a thief of it must be known");
}

async fn what_is_over_goes_and_ended_grants_stay_a_month(bench: Bench) {
    let store = &bench.store;
    let grant = grant();
    granted(store, &grant, Some("r")).await;
    store
        .issue_code(
            new_code("unredeemed", &super::grant()),
            event("grant.create"),
        )
        .await
        .unwrap();
    let pushed = Pushed {
        client_id: client("shop"),
        params: Vec::new(),
        dpop_jkt: None,
        until: at(60),
    };
    store.push(hash("p"), pushed).await.unwrap();
    opened(store, "s", "alice").await;
    granted(store, &grant_in("s"), None).await;
    let all = |field: &str| FlowFilter {
        id: (field == "grant").then(|| grant.id.clone()),
        session: (field == "session").then(|| "s".to_owned()),
        ..FlowFilter::default()
    };
    let session = all("session");
    store
        .end_sessions(&session, at(100), event("session.end"))
        .await
        .unwrap();
    let reason = EndReason::Person;
    store
        .end_grants(&all("grant"), reason, at(100), event("grant.end"))
        .await
        .unwrap();
    // An hour after the end of what waits to be redeemed.
    assert_eq!(swept(store, 3600).await, SweptFlows::default());
    assert_eq!(
        swept(store, 3660).await,
        SweptFlows {
            requests: 4,
            grants: 1,
            ..SweptFlows::default()
        }
    );
    assert_eq!(
        swept(store, 7 * DAY + 100).await,
        SweptFlows {
            refresh_tokens: 1,
            notices: 1,
            ..SweptFlows::default()
        }
    );
    let listed = store.grants(&FlowFilter::default(), at(7 * DAY), 9).await;
    let listed = listed.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|listed| listed.state == GrantState::Ended)
    );
    assert_eq!(swept(store, 30 * DAY + 99).await, SweptFlows::default());
    assert_eq!(
        swept(store, 30 * DAY + 100).await,
        SweptFlows {
            grants: 2,
            ..SweptFlows::default()
        }
    );
    assert_eq!(swept(store, 60 * DAY).await, SweptFlows::default());
}

async fn a_session_that_is_over_ends_its_grants(bench: Bench) {
    let store = &bench.store;
    opened(store, "s", "alice").await;
    opened(store, "t", "alice").await;
    store.touch_session("t", at(5_000)).await.unwrap();
    let offline = Grant {
        offline: true,
        ..grant_in("s")
    };
    for (grant, token) in [
        (grant_in("s"), "online"),
        (grant_in("t"), "touched"),
        (offline, "offline"),
    ] {
        granted(store, &grant, Some(token)).await;
    }
    let before = traces(store).await;
    assert_eq!(swept(store, 500).await.sessions, 1);
    for (token, state) in [
        ("online", GrantState::Ended),
        ("touched", GrantState::Active),
        ("offline", GrantState::Active),
    ] {
        let behind = store.refresh_token(hash(token), at(501)).await.unwrap();
        assert_eq!(behind.unwrap().1, state, "{token}");
    }
    assert_eq!(traces(store).await, before, "nobody did it");
}

async fn a_grant_whose_last_token_lapsed_is_over(bench: Bench) {
    let store = &bench.store;
    granted(store, &grant(), Some("r0")).await;
    let shop = client("shop");
    let next = Refresh {
        successor: Some(NewRefresh {
            until: at(200_000),
            ..refresh_token("r1")
        }),
        ..rotating(&shop, "r0", "r1", 90_000)
    };
    store.refresh(next, event("a"), event("b")).await.unwrap();
    // The replaced one goes, the line lives.
    assert_eq!(swept(store, 100_000).await.refresh_tokens, 1);
    let behind = store.refresh_token(hash("r1"), at(100_000)).await.unwrap();
    assert_eq!(behind.unwrap().1, GrantState::Active);
    assert_eq!(swept(store, 200_000).await.refresh_tokens, 1);
    let listed = store.grants(&FlowFilter::default(), at(200_000), 9).await;
    assert_eq!(listed.unwrap()[0].state, GrantState::Ended);
    // Codes are long gone by then, and say so.
    let late = store.redeem_code(
        hash("c"),
        &shop,
        NewTokens::default(),
        at(200_000),
        event("a"),
        event("b"),
    );
    assert_eq!(late.await.unwrap(), Redeemed::Unknown);
}
