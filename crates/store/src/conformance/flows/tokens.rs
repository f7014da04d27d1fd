//! Opaque access tokens: kept with the act that issues them or not at all, found by their hash, and
//! swept when they end.

use issuer::flow::{EndReason, FlowFilter, Flows as _, Redeemed, Refreshed};
use verdict::facts::Records as _;

use super::*;

super::super::on_both!(
    a_kept_token_is_found_by_its_hash_and_by_nothing_else,
    no_row_holds_a_token_that_could_be_used,
    a_code_brings_its_access_token_along_once,
    a_refresh_brings_its_access_token_along,
    of_fifty_refreshers_each_gets_an_access_token_of_its_own,
    tokens_are_kept_by_many_nodes_at_once,
    what_is_over_is_swept_and_what_lives_stays,
    a_token_whose_grant_ended_is_still_found_and_is_revoked,
);

fn token(name: &str, grant: Option<&Grant>) -> KeptToken {
    KeptToken {
        hash: hash(name),
        token_id: fresh(""),
        client_id: client("shop"),
        grant_id: grant.map(|grant| grant.id.clone()),
        claims: format!(r#"{{"jti":"{name}"}}"#),
        until: at(660),
    }
}

/// Whether both ports find it: the issuer's and the gateway's.
async fn found(store: &Store, name: &str) -> Option<String> {
    let kept = store.kept_token(&hash(name)).await.unwrap();
    assert_eq!(store.opaque_token(&hash(name)).await, Ok(kept.clone()));
    kept
}

async fn a_kept_token_is_found_by_its_hash_and_by_nothing_else(bench: Bench) {
    let store = &bench.store;
    let before = traces(store).await;
    store.keep_token(token("t", None)).await.unwrap();
    assert_eq!(found(store, "t").await.unwrap(), r#"{"jti":"t"}"#);
    assert_eq!(found(store, "u").await, None);
    assert!(found(&bench.another_node().await, "t").await.is_some());
    assert_eq!(traces(store).await, before, "no event, as for a JWT");
    assert!(store.keep_token(token("t", None)).await.is_err(), "twice");
}

async fn no_row_holds_a_token_that_could_be_used(bench: Bench) {
    let text = "dw_ot_live_the-text-of-a-token";
    bench.store.keep_token(token(text, None)).await.unwrap();
    let dump = bench.dump().await;
    let holds = |text: &str| {
        dump.windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    };
    assert!(holds(&hash(text).to_string()));
    // The claims of this test name the token; those of the issuer never do.
    let claims = format!(r#""jti":"{text}""#);
    let named = dump
        .windows(claims.len())
        .filter(|bytes| *bytes == claims.as_bytes());
    let anywhere = dump
        .windows(text.len())
        .filter(|bytes| *bytes == text.as_bytes());
    assert_eq!(named.count(), anywhere.count());
}

async fn a_code_brings_its_access_token_along_once(bench: Bench) {
    let (store, grant, shop) = (&bench.store, grant(), client("shop"));
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    let redeem = |name: &'static str| {
        let tokens = NewTokens {
            refresh: None,
            access: Some(token(name, Some(&grant))),
        };
        store.redeem_code(hash("c"), &shop, tokens, at(1), event("a"), event("b"))
    };
    assert!(matches!(redeem("t1").await, Ok(Redeemed::First(..))));
    assert!(found(store, "t1").await.is_some());
    assert!(matches!(redeem("t2").await, Ok(Redeemed::Reused(_))));
    assert_eq!(found(store, "t2").await, None);
}

async fn a_refresh_brings_its_access_token_along(bench: Bench) {
    let (store, shop) = (&bench.store, client("shop"));
    let present = async |refresh: Refresh<'_>, access: &str| {
        let refresh = Refresh {
            access: Some(token(access, None)),
            ..refresh
        };
        store
            .refresh(refresh, event("a"), event("b"))
            .await
            .unwrap()
    };
    granted(store, &grant(), Some("r0")).await;
    let current = present(rotating(&shop, "r0", "r1", 10), "rotated").await;
    assert!(matches!(current, Refreshed::Current(_)));
    let again = present(rotating(&shop, "r0", "r1", 11), "retried").await;
    assert!(matches!(again, Refreshed::Retried(_)));
    let steady = |second| Refresh {
        successor: None,
        ..rotating(&shop, "r1", "", second)
    };
    let current = present(steady(12), "steady").await;
    assert!(matches!(current, Refreshed::Current(_)));
    let thief = present(rotating(&shop, "r0", "r1", 100), "stolen").await;
    assert!(matches!(thief, Refreshed::Reused(_)), "{thief:?}");
    let ended = present(rotating(&shop, "r1", "r2", 101), "late").await;
    assert!(matches!(ended, Refreshed::Ended), "{ended:?}");
    for (name, is_kept) in [
        ("rotated", true),
        ("retried", true),
        ("steady", true),
        ("stolen", false),
        ("late", false),
    ] {
        assert_eq!(found(store, name).await.is_some(), is_kept, "{name}");
    }
}

async fn of_fifty_refreshers_each_gets_an_access_token_of_its_own(bench: Bench) {
    let store = &bench.store;
    granted(store, &grant(), Some("r0")).await;
    let nodes = [store.clone(), bench.another_node().await];
    let refreshers: Vec<_> = (0..50)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move {
                let shop = client("shop");
                let refresh = Refresh {
                    access: Some(token(&format!("t{n}"), None)),
                    ..rotating(&shop, "r0", "r1", 10)
                };
                node.refresh(refresh, event("a"), event("b")).await.unwrap()
            })
        })
        .collect();
    for refresher in refreshers {
        let heard = refresher.await.unwrap();
        let given = matches!(heard, Refreshed::Current(_) | Refreshed::Retried(_));
        assert!(given, "{heard:?}");
    }
    for n in 0..50 {
        assert!(found(store, &format!("t{n}")).await.is_some(), "t{n}");
    }
}

async fn tokens_are_kept_by_many_nodes_at_once(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    let keepers: Vec<_> = (0..40)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move { node.keep_token(token(&format!("t{n}"), None)).await })
        })
        .collect();
    for keeper in keepers {
        keeper.await.unwrap().unwrap();
    }
    for n in 0..40 {
        assert!(found(&nodes[1 - n % 2], &format!("t{n}")).await.is_some());
    }
}

async fn what_is_over_is_swept_and_what_lives_stays(bench: Bench) {
    let store = &bench.store;
    for (name, until) in [("short", 100), ("long", 200)] {
        let token = KeptToken {
            until: at(until),
            ..token(name, None)
        };
        store.keep_token(token).await.unwrap();
    }
    let swept = async |second| store.sweep(at(second)).await.unwrap().access_tokens;
    assert_eq!(swept(99).await, 0);
    assert_eq!(swept(100).await, 1);
    assert_eq!(found(store, "short").await, None);
    assert!(found(store, "long").await.is_some());
    assert_eq!(swept(200).await, 1);
    assert_eq!(found(store, "long").await, None);
}

async fn a_token_whose_grant_ended_is_still_found_and_is_revoked(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    granted(store, &grant, None).await;
    store.keep_token(token("t", Some(&grant))).await.unwrap();
    let which = FlowFilter {
        id: Some(grant.id.clone()),
        ..FlowFilter::default()
    };
    store
        .end_grants(&which, EndReason::Person, at(2), event("grant.end"))
        .await
        .unwrap();
    assert!(found(store, "t").await.is_some());
    assert_eq!(revoked(store).await, [(grant.id, 3662)]);
}
