//! Resources: each outcome of each transition, and the race of two writers.

use registry::ports::{Registry as _, StoreError};
use registry::resource::{ManagedBy, Put, Removed, ResourceKind, Written};
use serde_json::json;

use super::{Bench, api_key, application, at, event, put};

super::on_both!(
    a_resource_is_created_changed_and_found,
    a_write_that_says_nothing_new_leaves_no_trace,
    a_write_with_the_wrong_expectation_is_a_conflict,
    what_a_file_manages_only_the_file_may_change,
    a_resource_with_usable_credentials_stays,
    removing_a_resource_revokes_what_ended_by_itself,
    resources_are_listed_by_kind_and_name,
    of_two_writers_with_one_expectation_one_wins,
    a_damaged_resource_is_an_error_and_no_panic,
    two_accounts_never_share_a_user_name,
    what_a_resource_said_is_kept_for_a_while_and_goes_with_it,
);

const API: ResourceKind = ResourceKind::Api;

async fn a_resource_is_created_changed_and_found(bench: Bench) {
    let store = &bench.store;
    let first = put(
        API,
        "orders",
        json!({"path": "/ü", "n": [1, 2.5, null]}),
        Some(0),
    );
    let Written::Created(created) = store
        .put_resource(first.clone(), event("api.create"))
        .await
        .unwrap()
    else {
        panic!("it is new");
    };
    assert_eq!(
        (created.version, &created.id, &created.spec),
        (1, &first.new_id, &first.spec)
    );
    assert_eq!(store.resource(API, "orders").await.unwrap(), Some(created));

    let second = Put {
        at: at(5),
        ..put(API, "orders", json!({"path": "/"}), Some(1))
    };
    let Written::Updated(updated) = store
        .put_resource(second.clone(), event("api.update"))
        .await
        .unwrap()
    else {
        panic!("it is another document");
    };
    assert_eq!(
        (updated.version, &updated.id, updated.updated_at),
        (2, &first.new_id, at(5))
    );
    assert_eq!((updated.created_at, &updated.spec), (at(0), &second.spec));
    assert_eq!(store.resource(API, "orders").await.unwrap(), Some(updated));
    assert_eq!(store.resource(API, "other").await.unwrap(), None);
    assert_eq!(
        store
            .resource(ResourceKind::Client, "orders")
            .await
            .unwrap(),
        None
    );

    let removed = store
        .remove_resource(API, "orders", Some(2), false, event("api.delete"))
        .await
        .unwrap();
    assert_eq!(removed, Removed::Done);
    assert_eq!(store.resource(API, "orders").await.unwrap(), None);
    let removed = store
        .remove_resource(API, "orders", None, false, event("api.delete"))
        .await
        .unwrap();
    assert_eq!(removed, Removed::Unknown);
}

async fn a_write_that_says_nothing_new_leaves_no_trace(bench: Bench) {
    let store = &bench.store;
    let write = || put(API, "orders", json!({"a": 1, "b": 2}), None);
    store
        .put_resource(write(), event("api.create"))
        .await
        .unwrap();
    let before = store.newest_change().await.unwrap();
    let again = store
        .put_resource(write(), event("api.update"))
        .await
        .unwrap();
    let Written::Unchanged(stored) = again else {
        panic!("{again:?}")
    };
    assert_eq!(stored.version, 1);
    assert_eq!(store.newest_change().await.unwrap(), before);
    use registry::ports::AuditTrail as _;
    assert_eq!(store.audit_events(0, 10, true).await.unwrap().len(), 1);
}

async fn a_write_with_the_wrong_expectation_is_a_conflict(bench: Bench) {
    let store = &bench.store;
    let write = |expected| put(API, "orders", json!({"e": expected}), expected);
    for (expected, current) in [(Some(1), 0), (Some(7), 0)] {
        let written = store
            .put_resource(write(expected), event("api.update"))
            .await
            .unwrap();
        assert_eq!(written, Written::Conflict { current });
    }
    store
        .put_resource(write(Some(0)), event("api.create"))
        .await
        .unwrap();
    for expected in [Some(0), Some(2)] {
        let written = store
            .put_resource(write(expected), event("api.update"))
            .await
            .unwrap();
        assert_eq!(written, Written::Conflict { current: 1 });
        if expected != Some(0) {
            let removed = store
                .remove_resource(API, "orders", expected, false, event("api.delete"))
                .await;
            assert_eq!(removed.unwrap(), Removed::Conflict { current: 1 });
        }
    }
    assert_eq!(store.newest_change().await.unwrap(), 1);
}

async fn what_a_file_manages_only_the_file_may_change(bench: Bench) {
    let store = &bench.store;
    let by_file = |n: i64| Put {
        managed_by: ManagedBy::File,
        ..put(API, "orders", json!({"n": n}), None)
    };
    store
        .put_resource(
            put(API, "orders", json!({"n": 0}), None),
            event("api.create"),
        )
        .await
        .unwrap();
    // The same document: taking it over is a change nevertheless.
    let taken_over = store
        .put_resource(by_file(0), event("api.update"))
        .await
        .unwrap();
    assert!(matches!(taken_over, Written::Updated(stored) if stored.managed_by == ManagedBy::File));
    let refused = store
        .put_resource(
            put(API, "orders", json!({"n": 2}), None),
            event("api.update"),
        )
        .await;
    assert_eq!(refused.unwrap(), Written::ManagedByFile);
    let refused = store
        .remove_resource(API, "orders", None, false, event("api.delete"))
        .await
        .unwrap();
    assert_eq!(refused, Removed::ManagedByFile);
    assert!(matches!(
        store
            .put_resource(by_file(3), event("api.update"))
            .await
            .unwrap(),
        Written::Updated(_)
    ));
    let removed = store
        .remove_resource(API, "orders", None, true, event("api.delete"))
        .await
        .unwrap();
    assert_eq!(removed, Removed::Done);
}

async fn a_resource_with_usable_credentials_stays(bench: Bench) {
    use registry::credential::Transition;
    let store = &bench.store;
    application(store, "shop").await;
    application(store, "other").await;
    let (key, asleep) = (api_key("shop"), api_key("shop"));
    for credential in [&key, &asleep] {
        store
            .add_credential(credential.clone(), event("api_key.create"))
            .await
            .unwrap();
    }
    store
        .move_credential(
            &asleep.id,
            Transition::Suspend,
            None,
            event("api_key.suspend"),
        )
        .await
        .unwrap();
    let remove = || {
        store.remove_resource(
            ResourceKind::Application,
            "shop",
            None,
            false,
            event("application.delete"),
        )
    };
    assert_eq!(remove().await.unwrap(), Removed::InUse { credentials: 2 });
    store
        .move_credential(&key.id, Transition::Revoke, None, event("api_key.revoke"))
        .await
        .unwrap();
    // A sleeping key could be woken for whoever takes the name next.
    assert_eq!(remove().await.unwrap(), Removed::InUse { credentials: 1 });
    store
        .move_credential(
            &asleep.id,
            Transition::Revoke,
            None,
            event("api_key.revoke"),
        )
        .await
        .unwrap();
    assert_eq!(remove().await.unwrap(), Removed::Done);
}

async fn removing_a_resource_revokes_what_ended_by_itself(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let mut key = api_key("shop");
    key.expires_at = Some(at(-1));
    store
        .add_credential(key.clone(), event("api_key.create"))
        .await
        .unwrap();
    let removed = store
        .remove_resource(
            ResourceKind::Application,
            "shop",
            None,
            false,
            event("application.delete"),
        )
        .await;
    assert_eq!(removed.unwrap(), Removed::Done);
    let key = store
        .credential(&key.id)
        .await
        .unwrap()
        .expect("the row stays");
    assert_eq!(key.state, verdict::identity::LifeState::Revoked);
}

async fn resources_are_listed_by_kind_and_name(bench: Bench) {
    let store = &bench.store;
    for (kind, name) in [
        (ResourceKind::Client, "b"),
        (API, "b_2"),
        (API, "b-1"),
        (API, "a"),
        (ResourceKind::TrustedIssuer, "z"),
    ] {
        store
            .put_resource(put(kind, name, json!({}), None), event("create"))
            .await
            .unwrap();
    }
    let names = |list: Vec<registry::resource::Stored>| -> Vec<String> {
        list.into_iter()
            .map(|stored| format!("{}/{}", stored.kind.name(), stored.name))
            .collect()
    };
    let all = names(store.resources(None).await.unwrap());
    assert_eq!(
        all,
        ["Api/a", "Api/b-1", "Api/b_2", "Client/b", "TrustedIssuer/z"]
    );
    let apis = names(store.resources(Some(API)).await.unwrap());
    assert_eq!(apis, ["Api/a", "Api/b-1", "Api/b_2"]);
}

async fn of_two_writers_with_one_expectation_one_wins(bench: Bench) {
    let (one, two) = (bench.store.clone(), bench.another_node().await);
    one.put_resource(
        put(API, "orders", json!({"n": 0}), None),
        event("api.create"),
    )
    .await
    .unwrap();
    for round in 1..=10_i64 {
        let write = |who: &str| {
            put(
                API,
                "orders",
                json!({"who": who, "round": round}),
                Some(round),
            )
        };
        let (a, b) = tokio::join!(
            one.put_resource(write("one"), event("api.update")),
            two.put_resource(write("two"), event("api.update")),
        );
        let outcomes = [a.unwrap(), b.unwrap()];
        let won = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Written::Updated(_)))
            .count();
        let lost = outcomes
            .iter()
            .filter(|outcome| **outcome == Written::Conflict { current: round + 1 })
            .count();
        assert_eq!((won, lost), (1, 1), "{outcomes:?}");
    }
    assert_eq!(one.newest_change().await.unwrap(), 11);
}

async fn a_damaged_resource_is_an_error_and_no_panic(bench: Bench) {
    let store = &bench.store;
    store
        .put_resource(put(API, "orders", json!({}), None), event("api.create"))
        .await
        .unwrap();
    for damage in [
        "UPDATE resources SET spec = '{'",
        "UPDATE resources SET spec = '{}', managed_by = 'nobody'",
        "UPDATE resources SET managed_by = 'api', kind = 'Gadget'",
    ] {
        bench.damage(damage).await;
        let answer = store.resources(None).await;
        assert!(
            matches!(answer, Err(StoreError::Broken(_))),
            "{damage}: {answer:?}"
        );
    }
}

async fn two_accounts_never_share_a_user_name(bench: Bench) {
    let store = &bench.store;
    let account = |name: &str, spec| put(ResourceKind::Account, name, spec, None);
    store
        .put_resource(account("robot", json!({})), event("account.create"))
        .await
        .unwrap();
    for spec in [json!({"username": "robot"}), json!({"username": "ROBOT"})] {
        let written = store
            .put_resource(account("other", spec), event("account.create"))
            .await;
        assert!(matches!(written, Err(StoreError::Broken(_))), "{written:?}");
    }
    let changed = store
        .put_resource(
            account("robot", json!({"username": "R2"})),
            event("account.update"),
        )
        .await
        .unwrap();
    assert!(matches!(changed, Written::Updated(_)));
    let written = store
        .put_resource(
            account("other", json!({"username": "robot"})),
            event("account.create"),
        )
        .await
        .unwrap();
    assert!(matches!(written, Written::Created(_)));
}

async fn what_a_resource_said_is_kept_for_a_while_and_goes_with_it(bench: Bench) {
    let store = &bench.store;
    assert!(
        store
            .resource_versions(API, "orders")
            .await
            .unwrap()
            .is_empty()
    );
    for turn in 1..=25_i64 {
        let put = Put {
            at: at(turn),
            ..put(API, "orders", json!({"turn": turn}), Some(turn - 1))
        };
        store.put_resource(put, event("api.update")).await.unwrap();
    }
    // One that says nothing new is no version.
    let same = put(API, "orders", json!({"turn": 25}), None);
    store.put_resource(same, event("api.update")).await.unwrap();
    let versions = store.resource_versions(API, "orders").await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|one| one.version).collect();
    assert_eq!(numbers, (6..=25).rev().collect::<Vec<_>>());
    assert_eq!(versions[0].spec, json!({"turn": 25}));
    assert_eq!(
        (&versions[1].spec, versions[1].written_at),
        (&json!({"turn": 24}), at(24))
    );
    assert!(
        store
            .resource_versions(API, "other")
            .await
            .unwrap()
            .is_empty()
    );
    let removed = store.remove_resource(API, "orders", None, false, event("api.delete"));
    removed.await.unwrap();
    assert!(
        store
            .resource_versions(API, "orders")
            .await
            .unwrap()
            .is_empty()
    );
}
