//! The record of calls: batches, pages, trimming, counts.

use registry::ports::{CallRecord as _, StoreError};
use registry::record::{Decision, Usage};

use super::{Bench, at};

super::on_both!(
    decisions_come_back_whole_and_newest_first,
    a_batch_written_twice_leaves_no_doubles,
    a_large_batch_is_written_and_trimmed,
    usage_adds_up,
    usage_from_two_nodes_adds_up,
    a_damaged_decision_is_an_error_and_no_panic,
);

fn decision(n: i64) -> Decision {
    Decision {
        v: 1,
        request_id: format!("request-{n}").into(),
        at: at(n),
        client: "192.0.2.1".into(),
        method: "GET".into(),
        path: "/orders/ü'\"\\".into(),
        api: Some("orders".into()),
        route: None,
        decision: "deny".into(),
        code: Some("credential-expired".into()),
        cause: None,
        credential_kind: Some("api_key".into()),
        credential: Some("key_1".into()),
        secret: None,
        principal: None,
        application: Some("shop".into()),
        issuer: None,
        client_id: None,
        companions: Vec::new(),
        status: 401,
        micros: 17,
        judged: None,
    }
}

async fn decisions_come_back_whole_and_newest_first(bench: Bench) {
    let store = &bench.store;
    store.append_decisions(&[]).await.unwrap();
    store
        .append_decisions(&[decision(1), decision(3), decision(2)])
        .await
        .unwrap();
    let newest_first = [decision(3), decision(2), decision(1)];
    assert_eq!(store.decisions(None, 10).await.unwrap(), newest_first);
    assert_eq!(store.decisions(None, 1).await.unwrap(), newest_first[..1]);
    let one = &newest_first[1];
    assert_eq!(
        store.decision(&one.request_id).await.unwrap().as_ref(),
        Some(one)
    );
    assert_eq!(store.decision("nobody").await.unwrap(), None);
    let stranger = "0193a5b0-0000-7000-8000-000000000000";
    assert_eq!(store.decision(stranger).await.unwrap(), None);
    assert_eq!(
        store.decisions(Some(at(3)), 10).await.unwrap(),
        newest_first[1..]
    );
}

async fn a_batch_written_twice_leaves_no_doubles(bench: Bench) {
    let store = &bench.store;
    for _ in 0..2 {
        store
            .append_decisions(&[decision(1), decision(2)])
            .await
            .unwrap();
    }
    assert_eq!(store.decisions(None, 10).await.unwrap().len(), 2);
}

async fn a_large_batch_is_written_and_trimmed(bench: Bench) {
    let store = &bench.store;
    let batch: Vec<Decision> = (0..6_001).map(decision).collect();
    store.append_decisions(&batch).await.unwrap();
    assert_eq!(store.trim_decisions(at(6_000)).await.unwrap(), 6_000);
    assert_eq!(store.decisions(None, 10).await.unwrap(), [decision(6_000)]);
    assert_eq!(store.trim_decisions(at(6_000)).await.unwrap(), 0);
}

fn usage(credential: &str, hour: i64, calls: i64, last: i64) -> Usage {
    Usage {
        credential: credential.into(),
        hour: at(hour),
        calls,
        last_used: at(last),
    }
}

async fn usage_adds_up(bench: Bench) {
    let store = &bench.store;
    store.add_usage(&[]).await.unwrap();
    // One batch with the same hour twice, then a late one.
    store
        .add_usage(&[
            usage("a", 0, 2, 50),
            usage("b", 0, 1, 9),
            usage("a", 0, 3, 40),
            usage("a", 3600, 1, 3601),
        ])
        .await
        .unwrap();
    store.add_usage(&[usage("a", 0, 5, 45)]).await.unwrap();
    let expected = [usage("a", 0, 10, 50), usage("a", 3600, 1, 3601)];
    assert_eq!(store.usage("a", at(0)).await.unwrap(), expected);
    assert_eq!(store.usage("a", at(1)).await.unwrap(), expected[1..]);
    assert_eq!(store.usage("none", at(0)).await.unwrap(), []);
}

async fn usage_from_two_nodes_adds_up(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    let writers: Vec<_> = (0..20)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move {
                let mut counts: Vec<Usage> = (0..20)
                    .map(|key| usage(&format!("key-{key}"), 0, 1, 1))
                    .collect();
                // Each in another order.
                counts.rotate_left(n);
                node.add_usage(&counts).await.unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for key in 0..20 {
        let counted = bench
            .store
            .usage(&format!("key-{key}"), at(0))
            .await
            .unwrap();
        assert_eq!(counted[0].calls, 20);
    }
}

async fn a_damaged_decision_is_an_error_and_no_panic(bench: Bench) {
    let store = &bench.store;
    store.append_decisions(&[decision(1)]).await.unwrap();
    bench
        .damage("UPDATE decisions SET entry = '{\"v\":1}'")
        .await;
    assert!(matches!(
        store.decisions(None, 10).await,
        Err(StoreError::Broken(_))
    ));
}
