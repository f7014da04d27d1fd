//! Requests of devices.

use issuer::flow::{Device, DeviceDecision, EndReason, FlowFilter, Flows as _, GrantState, Polled};
use registry::ports::StoreError;

use super::*;

super::super::on_both!(
    a_device_polls_until_somebody_decides,
    a_device_that_polls_too_often_is_slowed_down,
    a_denied_or_expired_or_foreign_device_gets_nothing,
    of_fifty_polls_one_gets_the_approval,
    of_two_decisions_one_counts,
    a_user_code_means_one_waiting_device,
    an_approval_that_was_ended_before_the_device_came_is_denied,
    a_grant_of_another_client_is_refused,
);

fn device(user_code: &str) -> Device {
    Device {
        client_id: client("tv"),
        user_code: user_code.into(),
        scopes: vec!["openid".into()],
        audiences: Vec::new(),
        address: "192.0.2.7".into(),
        interval: Duration::from_secs(5),
        created_at: at(0),
        until: at(600),
    }
}

fn tv_grant() -> Grant {
    Grant {
        client_id: client("tv"),
        ..grant()
    }
}

async fn started(store: &Store, name: &str, user_code: &str) {
    let kept = store
        .start_device(hash(name), device(user_code), at(0))
        .await;
    assert!(kept.unwrap());
}

async fn decide(store: &Store, user_code: &str, decision: DeviceDecision, second: i64) -> bool {
    store
        .decide_device(user_code, decision, at(second), event("device.decide"))
        .await
        .unwrap()
}

async fn poll(store: &Store, name: &str, client_id: &str, second: i64) -> Polled {
    store
        .poll_device(
            hash(name),
            &client(client_id),
            Some(refresh_token(&format!("{name}-refresh"))),
            at(second),
            event("device.redeem"),
        )
        .await
        .unwrap()
}

async fn a_device_polls_until_somebody_decides(bench: Bench) {
    let (store, grant) = (&bench.store, tv_grant());
    started(store, "d", "BCDFGHJK").await;
    assert_eq!(poll(store, "d", "tv", 5).await, Polled::Pending);
    let waiting = store.device("BCDFGHJK", at(6)).await.unwrap();
    assert_eq!(waiting, Some(device("BCDFGHJK")));
    let approved = DeviceDecision::Approved(Box::new(grant.clone()));
    assert!(decide(store, "BCDFGHJK", approved, 7).await);
    assert_eq!(store.device("BCDFGHJK", at(8)).await.unwrap(), None);
    for (client_id, second, expected) in [
        ("tv", 8, Some(grant.clone())),
        ("other", 8, None),
        ("tv", 600, None),
    ] {
        let (id, at) = (client(client_id), at(second));
        let approved = store.approved_device(hash("d"), &id, at).await.unwrap();
        assert_eq!(approved, expected, "{client_id} {second}");
    }
    // An approval waits for no interval.
    let polled = poll(store, "d", "tv", 8).await;
    assert_eq!(polled, Polled::Approved(Box::new(grant.clone())));
    assert_eq!(poll(store, "d", "tv", 13).await, Polled::Unknown);
    let tv = client("tv");
    let redeemed = store.approved_device(hash("d"), &tv, at(13)).await;
    assert_eq!(redeemed.unwrap(), None);
    let behind = store.refresh_token(hash("d-refresh"), at(9)).await;
    assert_eq!(
        behind.unwrap(),
        Some((grant, GrantState::Active, true, at(100_000)))
    );
    assert_eq!(actions(store).await, ["device.decide", "device.redeem"]);
}

async fn a_device_that_polls_too_often_is_slowed_down(bench: Bench) {
    let store = &bench.store;
    started(store, "d", "BCDFGHJK").await;
    for (second, slow) in [
        (0, false),
        (4, true),
        // From here on it is 10 s, and 15 s after the next.
        (13, true),
        (28, false),
        (43, false),
        (57, true),
    ] {
        let expected = if slow {
            Polled::SlowDown
        } else {
            Polled::Pending
        };
        assert_eq!(poll(store, "d", "tv", second).await, expected, "{second}");
    }
}

async fn a_denied_or_expired_or_foreign_device_gets_nothing(bench: Bench) {
    let store = &bench.store;
    for name in ["denied", "waiting", "approved"] {
        started(store, name, name).await;
    }
    assert!(decide(store, "denied", DeviceDecision::Denied, 1).await);
    let approved = DeviceDecision::Approved(Box::new(tv_grant()));
    assert!(decide(store, "approved", approved, 1).await);
    for (name, client_id, second, expected) in [
        ("denied", "tv", 2, Polled::Denied),
        ("denied", "tv", 600, Polled::Expired),
        ("waiting", "tv", 600, Polled::Expired),
        ("approved", "tv", 600, Polled::Expired),
        ("approved", "other", 2, Polled::Unknown),
        ("waiting", "other", 2, Polled::Unknown),
        ("none", "tv", 2, Polled::Unknown),
    ] {
        let polled = poll(store, name, client_id, second).await;
        assert_eq!(polled, expected, "{name} {client_id} {second}");
    }
    assert!(!decide(store, "waiting", DeviceDecision::Denied, 600).await);
    assert!(!decide(store, "denied", DeviceDecision::Denied, 3).await);
    assert_eq!(store.device("waiting", at(600)).await.unwrap(), None);
    let two = actions(store).await;
    assert_eq!(two, ["device.decide", "device.decide"]);
}

async fn of_fifty_polls_one_gets_the_approval(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    started(&nodes[0], "d", "BCDFGHJK").await;
    let approved = DeviceDecision::Approved(Box::new(tv_grant()));
    assert!(decide(&nodes[1], "BCDFGHJK", approved, 1).await);
    let polls: Vec<_> = (0..50)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move { poll(&node, "d", "tv", 10).await })
        })
        .collect();
    let mut approved = 0;
    for polled in polls {
        match polled.await.unwrap() {
            Polled::Approved(_) => approved += 1,
            Polled::Unknown => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(approved, 1);
}

async fn of_two_decisions_one_counts(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    for round in 0..5 {
        let (name, user_code) = (format!("d{round}"), format!("CODE{round}"));
        started(&nodes[0], &name, &user_code).await;
        let approved = DeviceDecision::Approved(Box::new(tv_grant()));
        let (yes, no) = tokio::join!(
            decide(&nodes[0], &user_code, approved, 1),
            decide(&nodes[1], &user_code, DeviceDecision::Denied, 1),
        );
        assert!(yes != no, "round {round}: {yes} {no}");
        match poll(&nodes[1], &name, "tv", 10).await {
            Polled::Approved(_) => assert!(yes, "round {round}"),
            Polled::Denied => assert!(no, "round {round}"),
            other => panic!("round {round}: {other:?}"),
        }
    }
}

async fn a_user_code_means_one_waiting_device(bench: Bench) {
    let store = &bench.store;
    started(store, "d", "BCDFGHJK").await;
    let again = |name: &'static str, second| {
        let device = Device {
            until: at(second + 600),
            ..device("BCDFGHJK")
        };
        store.start_device(hash(name), device, at(second))
    };
    assert!(!again("e", 1).await.unwrap());
    assert_eq!(poll(store, "e", "tv", 2).await, Polled::Unknown);
    // Once nobody waits under it, it is free: after its time, or a decision.
    assert!(again("f", 600).await.unwrap());
    assert_eq!(poll(store, "d", "tv", 600).await, Polled::Expired);
    assert!(decide(store, "BCDFGHJK", DeviceDecision::Denied, 601).await);
    assert_eq!(poll(store, "f", "tv", 602).await, Polled::Denied);
    assert!(again("g", 603).await.unwrap());
}

async fn an_approval_that_was_ended_before_the_device_came_is_denied(bench: Bench) {
    let (store, grant) = (&bench.store, tv_grant());
    started(store, "d", "BCDFGHJK").await;
    let approved = DeviceDecision::Approved(Box::new(grant.clone()));
    decide(store, "BCDFGHJK", approved, 1).await;
    let which = FlowFilter {
        id: Some(grant.id),
        ..FlowFilter::default()
    };
    let reason = EndReason::Administrator;
    let ended = store.end_grants(&which, reason, at(2), event("grant.end"));
    assert_eq!(ended.await.unwrap().len(), 1);
    assert_eq!(poll(store, "d", "tv", 10).await, Polled::Denied);
    assert_eq!(poll(store, "d", "tv", 20).await, Polled::Denied);
}

async fn a_grant_of_another_client_is_refused(bench: Bench) {
    let store = &bench.store;
    started(store, "d", "BCDFGHJK").await;
    let approved = DeviceDecision::Approved(Box::new(grant()));
    let decided = store
        .decide_device("BCDFGHJK", approved, at(1), event("device.decide"))
        .await;
    assert!(matches!(decided, Err(StoreError::Broken(_))), "{decided:?}");
    assert_eq!(poll(store, "d", "tv", 10).await, Polled::Pending);
}
