//! Grants as they are listed and ended.

use issuer::flow::{EndReason, FlowFilter, Flows as _, GrantState, ListedGrant, NewCode};
use registry::ports::StoreError;

use super::*;

super::super::on_both!(
    grants_are_listed_by_filter_the_newest_first,
    a_grant_whose_code_was_never_redeemed_was_never_one,
    ending_grants_revokes_their_tokens_once,
    a_grant_ends_without_the_consents_of_others,
    many_grants_end_in_one_step,
    of_two_ends_one_counts,
    a_damaged_grant_is_an_error_and_no_panic,
    realms_have_flows_of_their_own,
);

fn of_client(name: &str) -> FlowFilter {
    FlowFilter {
        client_id: Some(name.into()),
        ..FlowFilter::default()
    }
}

async fn end(store: &Store, which: &FlowFilter, second: i64) -> Vec<Grant> {
    store
        .end_grants(
            which,
            EndReason::Administrator,
            at(second),
            event("grant.end"),
        )
        .await
        .unwrap()
}

async fn grants_are_listed_by_filter_the_newest_first(bench: Bench) {
    let store = &bench.store;
    let grants: Vec<Grant> = [
        ("a", "alice", "shop", None, 100, 1_000),
        ("b", "alice", "mail", Some("s"), 200, 1_000),
        ("c", "bob", "shop", None, 300, 350),
    ]
    .into_iter()
    .map(|(id, subject, client_id, session, created, until)| Grant {
        id: id.into(),
        subject: subject.into(),
        client_id: client(client_id),
        session: session.map(str::to_owned),
        created_at: at(created),
        until: at(until),
        ..grant()
    })
    .collect();
    for grant in &grants {
        granted(store, grant, Some(&grant.id)).await;
    }
    let filter = |subject: &str, client_id: &str, session: &str, id: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        FlowFilter {
            subject: some(subject),
            client_id: some(client_id),
            session: some(session),
            id: some(id),
        }
    };
    for (which, expected) in [
        (filter("", "", "", ""), "cba"),
        (filter("alice", "", "", ""), "ba"),
        (filter("", "shop", "", ""), "ca"),
        (filter("", "", "s", ""), "b"),
        (filter("", "", "", "a"), "a"),
        (filter("alice", "shop", "", ""), "a"),
        (filter("bob", "mail", "", ""), ""),
        (filter("alice", "mail", "s", "b"), "b"),
    ] {
        let listed = store.grants(&which, at(340), 9).await.unwrap();
        let ids: String = listed.iter().map(|listed| &*listed.grant.id).collect();
        assert_eq!(ids, expected, "{which:?}");
        assert!(
            listed
                .iter()
                .all(|listed| listed.state == GrantState::Active)
        );
    }
    let listed = store
        .grants(&FlowFilter::default(), at(350), 1)
        .await
        .unwrap();
    let over = ListedGrant {
        grant: grants[2].clone(),
        state: GrantState::Ended,
        refreshed_at: None,
        end: None,
    };
    assert_eq!(listed, [over], "its time is over");
}

async fn a_grant_whose_code_was_never_redeemed_was_never_one(bench: Bench) {
    let store = &bench.store;
    store
        .issue_code(new_code("c", &grant()), event("grant.create"))
        .await
        .unwrap();
    for (second, count) in [(59, 1), (60, 0)] {
        let listed = store.grants(&FlowFilter::default(), at(second), 9).await;
        assert_eq!(listed.unwrap().len(), count, "{second}");
    }
}

async fn ending_grants_revokes_their_tokens_once(bench: Bench) {
    let store = &bench.store;
    let (one, other) = (
        grant(),
        Grant {
            client_id: client("mail"),
            ..grant()
        },
    );
    granted(store, &one, Some("one")).await;
    granted(store, &other, Some("other")).await;
    let before = traces(store).await;
    assert_eq!(
        end(store, &of_client("shop"), 50).await,
        std::slice::from_ref(&one)
    );
    assert_eq!(revoked(store).await, [(one.id, 50 + 3660)]);
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 1));
    assert!(end(store, &of_client("shop"), 51).await.is_empty());
    assert!(end(store, &of_client("nobody"), 51).await.is_empty());
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 1));
    let behind = store.refresh_token(hash("other"), at(52)).await.unwrap();
    assert_eq!(behind.unwrap().1, GrantState::Active);
}

async fn a_grant_ends_without_the_consents_of_others(bench: Bench) {
    let store = &bench.store;
    let given = |subject: &str, client_id: &str| {
        let grant = Grant {
            id: format!("{subject}-{client_id}"),
            subject: subject.into(),
            client_id: client(client_id),
            ..grant()
        };
        NewCode {
            consent: Some(Consent {
                subject: subject.into(),
                client_id: client(client_id),
                ..consent(&["openid"])
            }),
            ..new_code(&grant.id, &grant)
        }
    };
    let all = [("alice", "shop"), ("alice", "mail"), ("bob", "shop")];
    for (subject, client_id) in all {
        store
            .issue_code(given(subject, client_id), event("grant.create"))
            .await
            .unwrap();
    }
    let left = async || {
        let mut left = Vec::new();
        for (subject, client_id) in all {
            let consent = store.remembered(subject, &client(client_id)).await;
            let consent = consent.unwrap().consent;
            if consent.is_some() {
                left.push((subject, client_id));
            }
        }
        left
    };
    let this = FlowFilter {
        id: Some("alice-shop".into()),
        ..FlowFilter::default()
    };
    end(store, &this, 1).await;
    assert_eq!(left().await, all[1..]);
    // A consent whose grants have ended before is taken back too, with an event.
    end(
        store,
        &FlowFilter {
            id: Some("bob-shop".into()),
            ..FlowFilter::default()
        },
        2,
    )
    .await;
    assert_eq!(left().await, all[1..2]);
    bench.damage("UPDATE grants SET state = 'ended'").await;
    let (changes, events) = traces(store).await;
    assert!(end(store, &of_client("mail"), 3).await.is_empty());
    assert!(left().await.is_empty());
    assert_eq!(traces(store).await, (changes, events + 1));
}

async fn many_grants_end_in_one_step(bench: Bench) {
    let store = &bench.store;
    for n in 0..450 {
        store
            .issue_code(new_code(&format!("c{n}"), &grant()), event("grant.create"))
            .await
            .unwrap();
    }
    let (changes, events) = traces(store).await;
    assert_eq!(end(store, &of_client("shop"), 1).await.len(), 450);
    assert_eq!(revoked(store).await.len(), 450);
    assert_eq!(traces(store).await, (changes + 1, events + 1));
}

async fn of_two_ends_one_counts(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    for round in 0..5 {
        for _ in 0..10 {
            granted(&nodes[0], &grant(), None).await;
        }
        let (which, who) = (
            of_client("shop"),
            FlowFilter {
                subject: Some("alice".into()),
                ..FlowFilter::default()
            },
        );
        let (one, two) = tokio::join!(end(&nodes[0], &which, 5), end(&nodes[1], &who, 5));
        assert_eq!(one.len() + two.len(), 10, "round {round}");
    }
}

async fn a_damaged_grant_is_an_error_and_no_panic(bench: Bench) {
    let store = &bench.store;
    granted(store, &grant(), Some("r")).await;
    for damage in [
        "UPDATE grants SET state = 'dormant'",
        "UPDATE grants SET state = 'active', body = '{}'",
    ] {
        bench.damage(damage).await;
        let listed = store.grants(&FlowFilter::default(), at(1), 9).await;
        assert!(matches!(listed, Err(StoreError::Broken(_))), "{listed:?}");
        let behind = store.refresh_token(hash("r"), at(1)).await;
        assert!(matches!(behind, Err(StoreError::Broken(_))), "{behind:?}");
    }
}

async fn realms_have_flows_of_their_own(bench: Bench) {
    bench
        .damage(
            "INSERT INTO realms (realm_id) VALUES ('other'); \
             INSERT INTO counters (realm_id, changes, audit_events) VALUES ('other', 0, 0);",
        )
        .await;
    let other = Store {
        realm: "other",
        ..bench.store.clone()
    };
    let grant = grant();
    granted(&bench.store, &grant, Some("r")).await;
    opened(&bench.store, "s", "alice").await;
    assert_eq!(other.refresh_token(hash("r"), at(1)).await.unwrap(), None);
    assert_eq!(other.session(hash("s"), at(1)).await.unwrap(), None);
    assert!(end(&other, &of_client("shop"), 1).await.is_empty());
    // The same ids and hashes stand in both.
    granted(&other, &grant, Some("r")).await;
    opened(&other, "s", "bob").await;
    assert_eq!(end(&other, &of_client("shop"), 1).await.len(), 1);
    let behind = bench.store.refresh_token(hash("r"), at(1)).await.unwrap();
    assert_eq!(behind.unwrap().1, GrantState::Active);
}
