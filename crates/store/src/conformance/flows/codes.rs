//! Codes, consents and pushed requests.

use issuer::flow::{
    Binding, CodeIssued, EndReason, FlowFilter, Flows as _, GrantState, NewCode, Pushed, Redeemed,
};
use registry::audit::AuditDraft;
use registry::ports::StoreError;

use super::*;

super::super::on_both!(
    a_code_is_redeemed_once_with_its_first_refresh_token,
    a_code_that_is_over_or_foreign_or_unknown_is_not_redeemed,
    a_grant_is_bound_to_the_key_that_came_with_its_code,
    f06_a_code_that_comes_twice_ends_its_grant,
    f06_of_fifty_redeemers_one_is_the_first,
    a_code_whose_grant_ended_meanwhile_is_not_redeemed,
    a_code_can_be_looked_at_without_spending_it,
    a_code_of_a_hash_that_stands_is_refused_and_leaves_nothing,
    f06_a_pushed_request_is_read_often_and_spent_once,
    a_pushed_request_outlives_its_end_while_a_person_logs_in,
    consents_grow,
    a_redemption_that_is_given_up_leaves_the_code_as_it_was,
);

async fn redeem(store: &Store, name: &str, client_id: &str, second: i64) -> Redeemed {
    store
        .redeem_code(
            hash(name),
            &client(client_id),
            with_refresh(Some(&fresh("refresh"))),
            at(second),
            event("code.redeem"),
            event("grant.end"),
        )
        .await
        .unwrap()
}

async fn a_code_is_redeemed_once_with_its_first_refresh_token(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    let first = store
        .redeem_code(
            hash("c"),
            &client("shop"),
            with_refresh(Some("r")),
            at(59),
            event("code.redeem"),
            event("grant.end"),
        )
        .await
        .unwrap();
    assert_eq!(first, Redeemed::First(code(), grant.clone()));
    let behind = store.refresh_token(hash("r"), at(59)).await.unwrap();
    assert_eq!(behind, Some((grant, GrantState::Active, true, at(100_000))));
    assert_eq!(actions(store).await, ["grant.create", "code.redeem"]);
    assert_eq!(traces(store).await.0, 0, "no cache holds what was changed");
}

async fn a_code_that_is_over_or_foreign_or_unknown_is_not_redeemed(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    for (name, client_id, second) in [("c", "shop", 60), ("c", "other", 1), ("d", "shop", 1)] {
        assert_eq!(
            redeem(store, name, client_id, second).await,
            Redeemed::Unknown,
            "{name} {client_id} {second}"
        );
    }
    assert_eq!(traces(store).await, (0, 1));
    assert_eq!(
        redeem(store, "c", "shop", 59).await,
        Redeemed::First(code(), grant),
        "nobody else spent it"
    );
}

async fn a_grant_is_bound_to_the_key_that_came_with_its_code(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    let bound = Grant {
        binding: Some(Binding::Jkt("thumbprint".into())),
        ..grant.clone()
    };
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    let first = NewRefresh {
        binding: bound.binding.clone(),
        ..refresh_token("r")
    };
    let redeemed = store
        .redeem_code(
            hash("c"),
            &client("shop"),
            NewTokens {
                refresh: Some(first),
                access: None,
            },
            at(1),
            event("code.redeem"),
            event("grant.end"),
        )
        .await
        .unwrap();
    assert_eq!(redeemed, Redeemed::First(code(), bound.clone()));
    let behind = store.refresh_token(hash("r"), at(2)).await.unwrap();
    assert_eq!(behind.map(|(grant, ..)| grant), Some(bound));
}

async fn f06_a_code_that_comes_twice_ends_its_grant(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    redeem(store, "c", "shop", 1).await;
    assert_eq!(redeem(store, "c", "other", 2).await, Redeemed::Unknown);
    assert!(revoked(store).await.is_empty(), "a stranger ends nothing");
    // Even when the code's own time has passed: it was used before, and now again.
    assert_eq!(
        redeem(store, "c", "shop", 100).await,
        Redeemed::Reused(grant.clone())
    );
    assert_eq!(revoked(store).await, [(grant.id.clone(), 100 + 3660)]);
    let filter = FlowFilter {
        id: Some(grant.id.clone()),
        ..FlowFilter::default()
    };
    let listed = store.grants(&filter, at(100), 9).await.unwrap();
    assert_eq!(listed[0].state, GrantState::Ended);
    // A third time says the same and writes nothing more.
    let before = traces(store).await;
    assert_eq!(before, (1, 3));
    assert_eq!(
        redeem(store, "c", "shop", 101).await,
        Redeemed::Reused(grant)
    );
    assert_eq!(traces(store).await, before);
}

async fn f06_of_fifty_redeemers_one_is_the_first(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    for round in 0..3 {
        let name = format!("c{round}");
        let grant = grant();
        nodes[0]
            .issue_code(new_code(&name, &grant), event("grant.create"))
            .await
            .unwrap();
        let redeemers: Vec<_> = (0..50)
            .map(|n| {
                let (node, name) = (nodes[n % 2].clone(), name.clone());
                tokio::spawn(async move { redeem(&node, &name, "shop", 1).await })
            })
            .collect();
        let (mut first, mut reused) = (0, 0);
        for redeemer in redeemers {
            match redeemer.await.unwrap() {
                Redeemed::First(..) => first += 1,
                Redeemed::Reused(_) => reused += 1,
                Redeemed::Unknown => panic!("round {round}: it was known"),
            }
        }
        assert_eq!((first, reused), (1, 49), "round {round}");
    }
    // One issue, one redemption, one end in each round; one change for each end.
    assert_eq!(traces(&bench.store).await, (3, 9));
}

async fn a_code_whose_grant_ended_meanwhile_is_not_redeemed(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    let which = FlowFilter {
        subject: Some("alice".into()),
        ..FlowFilter::default()
    };
    let ended = store
        .end_grants(&which, EndReason::Person, at(1), event("grant.end"))
        .await
        .unwrap();
    assert_eq!(ended, [grant]);
    assert_eq!(store.code(hash("c"), at(2)).await.unwrap(), None);
    assert_eq!(redeem(store, "c", "shop", 2).await, Redeemed::Unknown);
}

async fn a_code_can_be_looked_at_without_spending_it(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    for _ in 0..2 {
        let seen = store.code(hash("c"), at(59)).await.unwrap();
        assert_eq!(seen, Some((code(), grant.clone())));
    }
    assert_eq!(store.code(hash("c"), at(60)).await.unwrap(), None);
    assert_eq!(store.code(hash("d"), at(1)).await.unwrap(), None);
    redeem(store, "c", "shop", 1).await;
    let seen = store.code(hash("c"), at(2)).await.unwrap();
    assert!(
        seen.is_some(),
        "who comes again shall hear what redeeming it means"
    );
}

async fn a_code_of_a_hash_that_stands_is_refused_and_leaves_nothing(bench: Bench) {
    let store = &bench.store;
    store
        .issue_code(new_code("c", &grant()), event("grant.create"))
        .await
        .unwrap();
    let other = grant();
    let again = store
        .issue_code(new_code("c", &other), event("grant.create"))
        .await;
    assert!(matches!(again, Err(StoreError::Broken(_))), "{again:?}");
    assert_eq!(traces(store).await, (0, 1));
    let all = store
        .grants(&FlowFilter::default(), at(0), 9)
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
}

fn pushed() -> Pushed {
    Pushed {
        client_id: client("shop"),
        params: vec![
            ("scope".into(), "openid".into()),
            ("resource".into(), "https://a.example".into()),
            ("resource".into(), "https://b.example".into()),
        ],
        dpop_jkt: Some("thumbprint".into()),
        until: at(60),
    }
}

async fn f06_a_pushed_request_is_read_often_and_spent_once(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    nodes[0].push(hash("p"), pushed()).await.unwrap();
    for node in &nodes {
        let seen = node.pushed(hash("p"), at(59)).await.unwrap();
        assert_eq!(seen, Some(pushed()));
    }
    assert_eq!(nodes[0].pushed(hash("p"), at(60)).await.unwrap(), None);
    assert_eq!(nodes[0].pushed(hash("q"), at(1)).await.unwrap(), None);
    let completions: Vec<_> = (0..20)
        .map(|n| {
            let node = nodes[n % 2].clone();
            let new = NewCode {
                spends: Some(hash("p")),
                ..new_code(&format!("c{n}"), &grant())
            };
            tokio::spawn(async move { node.issue_code(new, event("grant.create")).await.unwrap() })
        })
        .collect();
    let mut issued = 0;
    for completion in completions {
        issued += usize::from(completion.await.unwrap() == CodeIssued::Issued);
    }
    assert_eq!(issued, 1);
    assert_eq!(nodes[0].pushed(hash("p"), at(1)).await.unwrap(), None);
    assert_eq!(traces(&nodes[0]).await, (0, 1), "the others wrote nothing");
}

async fn a_pushed_request_outlives_its_end_while_a_person_logs_in(bench: Bench) {
    let store = &bench.store;
    store.push(hash("p"), pushed()).await.unwrap();
    let spends = |client_id: &str| NewCode {
        spends: Some(hash("p")),
        ..new_code(
            "c",
            &Grant {
                client_id: client(client_id),
                ..grant()
            },
        )
    };
    let late = || AuditDraft {
        at: at(300),
        ..event("grant.create")
    };
    let foreign = store.issue_code(spends("other"), late()).await.unwrap();
    assert_eq!(foreign, CodeIssued::RequestSpent, "it is the shop's");
    let own = store.issue_code(spends("shop"), late()).await.unwrap();
    assert_eq!(own, CodeIssued::Issued);
}

async fn consents_grow(bench: Bench) {
    let store = &bench.store;
    let shop = client("shop");
    let remembered = async |who, of: &ClientId| store.remembered(who, of).await.unwrap().consent;
    assert_eq!(remembered("alice", &shop).await, None);
    for (name, scopes) in [("a", ["openid", "email"]), ("b", ["openid", "phone"])] {
        let new = NewCode {
            consent: Some(consent(&scopes)),
            ..new_code(name, &grant())
        };
        store.issue_code(new, event("grant.create")).await.unwrap();
    }
    let known = remembered("alice", &shop).await.unwrap();
    assert_eq!(known.scopes, ["openid", "phone", "email"]);
    assert_eq!(known.audiences, ["https://orders.example"]);
    assert_eq!(remembered("bob", &shop).await, None);
    assert_eq!(remembered("alice", &client("x")).await, None);
    // Taking it back ends the grants, and asks anew.
    let which = FlowFilter {
        subject: Some("alice".into()),
        client_id: Some("shop".into()),
        ..FlowFilter::default()
    };
    let ended = store
        .end_grants(&which, EndReason::Person, at(1), event("grant.end"))
        .await
        .unwrap();
    assert_eq!(ended.len(), 2);
    assert_eq!(remembered("alice", &shop).await, None);
}

async fn a_redemption_that_is_given_up_leaves_the_code_as_it_was(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    store
        .issue_code(new_code("c", &grant), event("grant.create"))
        .await
        .unwrap();
    // The caller goes away somewhere in the middle, again and again.
    let mut redeemed = 0;
    for micros in (0..4_000).step_by(100) {
        let attempt = redeem(store, "c", "shop", 1);
        let patience = Duration::from_micros(micros);
        if let Ok(Redeemed::First(..)) = tokio::time::timeout(patience, attempt).await {
            redeemed += 1;
        }
        let behind = store.code(hash("c"), at(2)).await.unwrap();
        assert!(behind.is_some());
    }
    // Whole or not at all: an event for the redemption exactly if the code is spent.
    let events = actions(store).await;
    let told = events.iter().filter(|action| *action == "code.redeem");
    let told = told.count();
    assert!(told <= 1 && redeemed <= told, "{events:?}");
    match redeem(store, "c", "shop", 3).await {
        Redeemed::First(..) => assert_eq!(told, 0),
        Redeemed::Reused(_) => assert_eq!(told, 1),
        Redeemed::Unknown => panic!("it was lost"),
    }
}
