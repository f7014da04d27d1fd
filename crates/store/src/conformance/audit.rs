//! The audit trail: chained in order by one node at a time, and damage shows.

use proof::chain;
use proof::digest;
use registry::audit::{AuditEvent, Checkpoint, canonical};
use registry::ports::{AuditTrail as _, StoreError};

use super::{Bench, at, event};

super::on_both!(
    events_wait_until_they_are_chained,
    the_chain_covers_every_event_in_order,
    only_the_holder_of_the_lease_chains,
    two_sequencers_never_fork_the_chain,
    an_event_that_is_missing_stops_the_sequencer,
    checkpoints_say_what_the_trail_says,
    an_event_is_stored_whole,
    a_damaged_event_is_an_error_and_no_panic,
);

/// Verifies a chain as a reader does, from nothing but the events.
fn verify(events: &[AuditEvent]) -> (i64, [u8; 32]) {
    let mut head = (0, chain::GENESIS);
    for event in events {
        head = (head.0 + 1, chain::link(&head.1, &canonical(event)));
        assert_eq!(event.sequence, Some(head.0));
        assert_eq!(event.hash.as_deref(), Some(&*digest::hex(&head.1)));
    }
    head
}

async fn note(bench: &Bench, count: usize) {
    for _ in 0..count {
        bench.store.note(event("server.start")).await.unwrap();
    }
}

async fn events_wait_until_they_are_chained(bench: Bench) {
    let store = &bench.store;
    assert_eq!(store.chain_head().await.unwrap(), (0, chain::GENESIS));
    assert_eq!(store.chain_waiting("n1", at(0), 100).await.unwrap(), 0);
    note(&bench, 3).await;
    assert_eq!(store.audit_events(0, 10, false).await.unwrap(), []);
    let waiting = store.audit_events(0, 10, true).await.unwrap();
    assert_eq!(waiting.len(), 3);
    assert!(
        waiting
            .iter()
            .all(|event| event.sequence.is_none() && event.hash.is_none())
    );
    assert_eq!(store.chain_waiting("n1", at(0), 2).await.unwrap(), 2);
    assert_eq!(store.audit_events(0, 10, false).await.unwrap().len(), 2);
    assert_eq!(store.audit_events(0, 10, true).await.unwrap().len(), 3);
    assert_eq!(
        store.audit_events(1, 1, true).await.unwrap()[0].sequence,
        Some(2)
    );
}

async fn the_chain_covers_every_event_in_order(bench: Bench) {
    let store = &bench.store;
    note(&bench, 5).await;
    store.chain_waiting("n1", at(0), 3).await.unwrap();
    note(&bench, 230).await;
    assert_eq!(store.chain_waiting("n1", at(1), 1000).await.unwrap(), 232);
    let events = store.audit_events(0, 1000, false).await.unwrap();
    assert_eq!(events.len(), 235);
    assert_eq!(verify(&events), store.chain_head().await.unwrap());
}

async fn only_the_holder_of_the_lease_chains(bench: Bench) {
    let (one, two) = (&bench.store, bench.another_node().await);
    note(&bench, 1).await;
    assert_eq!(one.chain_waiting("n1", at(0), 10).await.unwrap(), 1);
    note(&bench, 1).await;
    assert_eq!(
        two.chain_waiting("n2", at(9), 10).await.unwrap(),
        0,
        "the lease holds 10 s"
    );
    assert_eq!(
        one.chain_waiting("n1", at(9), 10).await.unwrap(),
        1,
        "and is renewed"
    );
    note(&bench, 1).await;
    assert_eq!(two.chain_waiting("n2", at(18), 10).await.unwrap(), 0);
    assert_eq!(
        two.chain_waiting("n2", at(19), 10).await.unwrap(),
        1,
        "the first node is gone"
    );
    assert_eq!(one.chain_waiting("n1", at(20), 10).await.unwrap(), 0);
    verify(&one.audit_events(0, 10, false).await.unwrap());
}

async fn two_sequencers_never_fork_the_chain(bench: Bench) {
    let (one, two) = (bench.store.clone(), bench.another_node().await);
    // Both believe that the other's lease is over: clocks may be that wrong.
    for round in 1..=10 {
        note(&bench, 3).await;
        let now = at(round * 1000);
        let (a, b) = tokio::join!(
            one.chain_waiting("n1", now, 10),
            two.chain_waiting("n2", now, 10)
        );
        assert_eq!(a.unwrap() + b.unwrap(), 3);
    }
    let events = one.audit_events(0, 100, false).await.unwrap();
    assert_eq!(events.len(), 30);
    assert_eq!(verify(&events), two.chain_head().await.unwrap());
}

async fn an_event_that_is_missing_stops_the_sequencer(bench: Bench) {
    let store = &bench.store;
    note(&bench, 3).await;
    bench
        .damage("DELETE FROM audit_events WHERE number = 2")
        .await;
    let stopped = store.chain_waiting("n1", at(0), 10).await;
    assert!(matches!(stopped, Err(StoreError::Broken(_))), "{stopped:?}");
    assert_eq!(
        store.chain_head().await.unwrap().0,
        0,
        "nothing was chained past the hole"
    );
}

async fn checkpoints_say_what_the_trail_says(bench: Bench) {
    let store = &bench.store;
    note(&bench, 2).await;
    store.chain_waiting("n1", at(0), 10).await.unwrap();
    let (sequence, hash) = store.chain_head().await.unwrap();
    let checkpoint = Checkpoint {
        sequence,
        hash: digest::hex(&hash),
        at: at(5),
        signature: "a.b.c".into(),
    };
    store.add_checkpoint(checkpoint.clone()).await.unwrap();
    assert_eq!(
        store.checkpoints().await.unwrap(),
        std::slice::from_ref(&checkpoint)
    );
    for wrong in [
        Checkpoint {
            sequence: 1,
            ..checkpoint.clone()
        },
        Checkpoint {
            sequence: 3,
            ..checkpoint
        },
    ] {
        let refused = store.add_checkpoint(wrong).await;
        assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    }
}

async fn an_event_is_stored_whole(bench: Bench) {
    let store = &bench.store;
    let draft = event("api.create");
    store.note(draft.clone()).await.unwrap();
    let expected = AuditEvent {
        sequence: None,
        id: draft.id,
        at: draft.at,
        actor: draft.actor,
        action: draft.action.into(),
        subject: draft.subject,
        request_id: draft.request_id,
        details: draft.details,
        hash: None,
    };
    assert_eq!(store.audit_events(0, 1, true).await.unwrap(), [expected]);
}

async fn a_damaged_event_is_an_error_and_no_panic(bench: Bench) {
    let store = &bench.store;
    note(&bench, 1).await;
    bench
        .damage("UPDATE audit_events SET details = 'none'")
        .await;
    assert!(matches!(
        store.audit_events(0, 1, true).await,
        Err(StoreError::Broken(_))
    ));
    assert!(matches!(
        store.chain_waiting("n1", at(0), 1).await,
        Err(StoreError::Broken(_))
    ));
    bench.damage("UPDATE audit_chain SET hash = 'abc'").await;
    assert!(matches!(
        store.chain_head().await,
        Err(StoreError::Broken(_))
    ));
}
