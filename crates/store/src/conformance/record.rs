//! The record of calls: batches, pages, trimming.

use registry::ports::{CallRecord as _, StoreError};
use registry::record::Decision;

use super::{Bench, at};

super::on_both!(
    decisions_come_back_whole_and_newest_first,
    a_batch_written_twice_leaves_no_doubles,
    a_large_batch_is_written_and_trimmed,
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
