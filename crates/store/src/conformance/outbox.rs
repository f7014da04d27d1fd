//! The outbox: numbers without gaps, in the order of commits, however many write.

use std::collections::BTreeSet;
use std::time::Duration;

use registry::ports::{AuditTrail as _, Change, ChangeSubject, Registry as _};
use registry::resource::ResourceKind;
use serde_json::json;

use super::{Bench, api_key, application, event, put};
use crate::outbox::{Transition, of_resource};

super::on_both!(
    changes_say_what_they_touched,
    fifty_writers_leave_no_gap,
    a_reader_never_skips_a_change_whose_commit_is_late,
    a_write_that_is_given_up_leaves_no_gap,
    watchers_wake_after_a_commit,
    a_write_in_progress_keeps_no_reader_waiting,
    realms_do_not_see_each_other,
);

async fn changes_say_what_they_touched(bench: Bench) {
    use issuer::ports::{IssuerStore as _, Revocation};
    let store = &bench.store;
    assert_eq!(store.newest_change().await.unwrap(), 0);
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let revocation = Revocation::Token {
        token_id: "t".into(),
        until: super::at(60),
    };
    store
        .revoke(revocation, event("token.revoke"))
        .await
        .unwrap();
    store
        .publish_key(super::keys::key("k", 0), None, event("signing_key.create"))
        .await
        .unwrap();
    super::relations::add(store, &["order:1#owner@user:ada"]).await;
    let subjects = [
        ChangeSubject::Resource(ResourceKind::Application, "shop".into()),
        ChangeSubject::Credential(key.r#type, key.id, "shop".into()),
        ChangeSubject::Revocation,
        ChangeSubject::SigningKey,
        ChangeSubject::Relation("order:1".into(), "owner".into()),
    ];
    let expected: Vec<Change> = (1..)
        .zip(subjects)
        .map(|(number, subject)| Change { number, subject })
        .collect();
    assert_eq!(store.changes_after(0, 100).await.unwrap(), expected);
    assert_eq!(store.changes_after(2, 1).await.unwrap(), expected[2..3]);
    assert_eq!(store.changes_after(5, 100).await.unwrap(), []);
    assert_eq!(store.newest_change().await.unwrap(), 5);
}

async fn fifty_writers_leave_no_gap(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move {
                let name = format!("api-{n}");
                node.put_resource(
                    put(ResourceKind::Api, &name, json!({"n": n}), Some(0)),
                    event("create"),
                )
                .await
                .expect("a write")
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let changes = bench.store.changes_after(0, 1000).await.unwrap();
    let numbers: Vec<i64> = changes.iter().map(|change| change.number).collect();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    let names: BTreeSet<String> = changes
        .iter()
        .map(|change| format!("{:?}", change.subject))
        .collect();
    assert_eq!(names.len(), 50, "each write has its own change");
    assert_eq!(
        bench.store.audit_events(0, 1000, true).await.unwrap().len(),
        50
    );
}

async fn a_reader_never_skips_a_change_whose_commit_is_late(bench: Bench) {
    let store = &bench.store;
    // The first writer has its number and does not commit yet.
    let mut late = Transition::begin(store, 1, 1).await.unwrap();
    late.announce(&of_resource(ResourceKind::Api, "late"))
        .await
        .unwrap();
    late.audit(&event("late")).await.unwrap();

    // The second one, on another node, would be number 2.
    let other = bench.another_node().await;
    let quick = tokio::spawn(async move {
        other
            .put_resource(
                put(ResourceKind::Api, "quick", json!({}), None),
                event("quick"),
            )
            .await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!quick.is_finished(), "it waits for the first one's commit");
    assert_eq!(
        store.changes_after(0, 10).await.unwrap(),
        [],
        "nobody sees 2 before 1"
    );
    assert_eq!(store.newest_change().await.unwrap(), 0);

    late.commit().await.unwrap();
    quick.await.unwrap().unwrap();
    let changes = store.changes_after(0, 10).await.unwrap();
    assert_eq!(
        changes[0],
        Change {
            number: 1,
            subject: of_resource(ResourceKind::Api, "late")
        }
    );
    assert_eq!(
        changes[1],
        Change {
            number: 2,
            subject: of_resource(ResourceKind::Api, "quick")
        }
    );
}

async fn a_write_that_is_given_up_leaves_no_gap(bench: Bench) {
    let store = &bench.store;
    let mut given_up = Transition::begin(store, 1, 1).await.unwrap();
    given_up
        .announce(&of_resource(ResourceKind::Api, "gone"))
        .await
        .unwrap();
    drop(given_up);
    // A caller that hung up: the future is dropped in the middle.
    for millis in 0..10 {
        let write = store.put_resource(
            put(ResourceKind::Api, "cut", json!({"n": millis}), None),
            event("cut"),
        );
        let _ = tokio::time::timeout(Duration::from_millis(millis), write).await;
    }
    application(store, "shop").await;
    let changes = store.changes_after(0, 100).await.unwrap();
    let numbers: Vec<i64> = changes.iter().map(|change| change.number).collect();
    assert_eq!(
        numbers,
        (1..=store.newest_change().await.unwrap()).collect::<Vec<_>>()
    );
    assert!(
        !changes
            .iter()
            .any(|change| change.subject == of_resource(ResourceKind::Api, "gone"))
    );
}

async fn watchers_wake_after_a_commit(bench: Bench) {
    let store = &bench.store;
    let mut wakeups = store.wakeups();
    assert_eq!(*wakeups.borrow_and_update(), 0);
    application(store, "shop").await;
    tokio::time::timeout(Duration::from_secs(5), wakeups.changed())
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(*wakeups.borrow_and_update(), 1);
    // What changes nothing wakes nobody: an audit event of its own, an unchanged document.
    store.note(event("server.start")).await.unwrap();
    store
        .put_resource(
            put(ResourceKind::Application, "shop", json!({}), None),
            event("update"),
        )
        .await
        .unwrap();
    assert!(!wakeups.has_changed().unwrap());
}

async fn a_write_in_progress_keeps_no_reader_waiting(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let mut write = Transition::begin(store, 1, 1).await.unwrap();
    write
        .announce(&of_resource(ResourceKind::Api, "slow"))
        .await
        .unwrap();
    let read = store.resource(ResourceKind::Application, "shop");
    let read = tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .expect("no waiting");
    assert!(read.unwrap().is_some());
    store.healthy().await.unwrap();
}

async fn realms_do_not_see_each_other(bench: Bench) {
    bench
        .damage(
            "INSERT INTO realms (realm_id) VALUES ('other'); \
             INSERT INTO counters (realm_id, changes, audit_events) VALUES ('other', 0, 0);",
        )
        .await;
    let other = crate::Store {
        realm: "other",
        ..bench.store.clone()
    };
    application(&bench.store, "shop").await;
    let key = bench
        .store
        .add_credential(api_key("shop"), event("create"))
        .await
        .unwrap();
    assert_eq!(other.resources(None).await.unwrap(), []);
    assert_eq!(other.credential(&key.id).await.unwrap(), None);
    assert_eq!(other.newest_change().await.unwrap(), 0);
    // The same names and the same lookup stand in both.
    application(&other, "shop").await;
    other.add_credential(key, event("create")).await.unwrap();
    assert_eq!(other.newest_change().await.unwrap(), 2);
    assert_eq!(bench.store.newest_change().await.unwrap(), 2);
}
