//! Sessions, what ends with them, and who is told.

use issuer::flow::{FlowFilter, Flows as _, GrantState, LogoutNotice};
use registry::ports::{Change, ChangeSubject, StoreError};

use super::*;

super::super::on_both!(
    a_session_is_found_by_its_handle_while_it_is_alive,
    touching_a_session_pushes_its_idle_end_and_never_back,
    f02_a_new_session_ends_the_one_before_with_all_of_it,
    ending_a_session_ends_its_grants_and_tells_its_clients,
    sessions_are_listed_and_ended_by_filter,
    an_end_of_everything_is_refused,
    a_notice_is_handed_to_one_node_at_a_time,
    many_sessions_end_in_one_step,
);

fn of(field: &str, value: &str) -> FlowFilter {
    let value = Some(value.to_owned());
    match field {
        "subject" => FlowFilter {
            subject: value,
            ..FlowFilter::default()
        },
        "client" => FlowFilter {
            client_id: value,
            ..FlowFilter::default()
        },
        "session" => FlowFilter {
            session: value,
            ..FlowFilter::default()
        },
        "id" => FlowFilter {
            id: value,
            ..FlowFilter::default()
        },
        other => panic!("{other}"),
    }
}

async fn ids(store: &Store, which: &FlowFilter) -> Vec<String> {
    let sessions = store.sessions(which, at(1), 100).await.unwrap();
    sessions.into_iter().map(|session| session.id).collect()
}

/// Clients and sessions of the notices due.
async fn told(store: &Store, second: i64) -> Vec<(String, String)> {
    let due = store.due_notices(at(second), at(second + 60), 1000).await;
    let mut told: Vec<_> = due
        .unwrap()
        .into_iter()
        .map(|notice| (notice.client_id.as_str().to_owned(), notice.session))
        .collect();
    told.sort();
    told
}

async fn a_session_is_found_by_its_handle_while_it_is_alive(bench: Bench) {
    let store = &bench.store;
    opened(store, "s", "alice").await;
    let found = store.session(hash("s"), at(499)).await.unwrap();
    assert_eq!(found, Some(session("s", "alice")));
    for (handle, second) in [("s", 500), ("t", 1)] {
        let found = store.session(hash(handle), at(second)).await.unwrap();
        assert_eq!(found, None, "{handle} {second}");
    }
    assert_eq!(actions(store).await, ["session.open"]);
    let taken = store
        .open_session(hash("s"), session("t", "bob"), None, event("session.open"))
        .await;
    assert!(matches!(taken, Err(StoreError::Broken(_))), "{taken:?}");
}

async fn touching_a_session_pushes_its_idle_end_and_never_back(bench: Bench) {
    let store = &bench.store;
    opened(store, "s", "alice").await;
    for (idle, end) in [(900, 900), (800, 900), (9_000, 9_000)] {
        store.touch_session("s", at(idle)).await.unwrap();
        let found = store.session(hash("s"), at(1)).await.unwrap().unwrap();
        assert_eq!(found.idle_until, at(end), "{idle}");
    }
    let over = store.session(hash("s"), at(5_000)).await.unwrap();
    assert_eq!(over, None, "its end stays what it is");
    store.touch_session("none", at(900)).await.unwrap();
}

async fn f02_a_new_session_ends_the_one_before_with_all_of_it(bench: Bench) {
    let store = &bench.store;
    opened(store, "old", "alice").await;
    let online = grant_in("old");
    granted(store, &online, Some("r")).await;
    let before = traces(store).await;
    store
        .open_session(
            hash("new"),
            session("new", "bob"),
            Some(hash("old")),
            event("session.open"),
        )
        .await
        .unwrap();
    assert_eq!(store.session(hash("old"), at(1)).await.unwrap(), None);
    assert!(store.session(hash("new"), at(1)).await.unwrap().is_some());
    assert_eq!(revoked(store).await, [(online.id, 3660)]);
    assert_eq!(told(store, 1).await, [("shop".into(), "old".into())]);
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 1));
    // A handle that names nothing ends nothing.
    store
        .open_session(
            hash("third"),
            session("third", "bob"),
            Some(hash("old")),
            event("session.open"),
        )
        .await
        .unwrap();
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 2));
}

async fn ending_a_session_ends_its_grants_and_tells_its_clients(bench: Bench) {
    let store = &bench.store;
    opened(store, "s", "alice").await;
    opened(store, "t", "alice").await;
    let online = grant_in("s");
    let offline = Grant {
        offline: true,
        client_id: client("mail"),
        ..grant_in("s")
    };
    let elsewhere = Grant {
        client_id: client("wiki"),
        ..grant_in("t")
    };
    for (grant, token) in [
        (&online, "online"),
        (&grant_in("s"), "again"),
        (&offline, "offline"),
        (&elsewhere, "elsewhere"),
    ] {
        granted(store, grant, Some(token)).await;
    }
    let before = traces(store).await;
    let ended = store
        .end_sessions(&of("session", "s"), at(10), event("session.end"))
        .await
        .unwrap();
    assert_eq!(ended, [session("s", "alice")]);
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 1));
    let changes = store.changes_after(before.0, 9).await.unwrap();
    assert_eq!(
        changes,
        [Change {
            number: before.0 + 1,
            subject: ChangeSubject::Revocation
        }]
    );
    for (token, state) in [
        ("online", GrantState::Ended),
        ("again", GrantState::Ended),
        ("offline", GrantState::Active),
        ("elsewhere", GrantState::Active),
    ] {
        let behind = store.refresh_token(hash(token), at(11)).await.unwrap();
        assert_eq!(behind.unwrap().1, state, "{token}");
    }
    assert_eq!(revoked(store).await.len(), 2);
    // One for each client, the one whose grant lives on too: it has a login of that session.
    let expected = [("mail".into(), "s".into()), ("shop".into(), "s".into())];
    assert_eq!(told(store, 10).await, expected);
    // Ended once.
    let again = store
        .end_sessions(&of("session", "s"), at(11), event("session.end"))
        .await
        .unwrap();
    assert!(again.is_empty());
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 1));
}

async fn sessions_are_listed_and_ended_by_filter(bench: Bench) {
    let store = &bench.store;
    for (id, subject, second) in [("a", "alice", 3), ("b", "bob", 1), ("c", "alice", 2)] {
        let session = Session {
            created_at: at(second),
            ..session(id, subject)
        };
        store
            .open_session(hash(id), session, None, event("session.open"))
            .await
            .unwrap();
    }
    granted(store, &grant_in("c"), None).await;
    for (which, expected) in [
        (FlowFilter::default(), vec!["a", "c", "b"]),
        (of("subject", "alice"), vec!["a", "c"]),
        (of("id", "b"), vec!["b"]),
        (of("session", "b"), vec!["b"]),
        (of("client", "shop"), vec!["c"]),
        (of("client", "none"), vec![]),
        (
            FlowFilter {
                client_id: Some("shop".into()),
                ..of("subject", "bob")
            },
            vec![],
        ),
    ] {
        assert_eq!(ids(store, &which).await, expected, "{which:?}");
    }
    let one = store
        .sessions(&FlowFilter::default(), at(1), 1)
        .await
        .unwrap();
    assert_eq!(one.len(), 1);
    let over = store.sessions(&FlowFilter::default(), at(500), 9).await;
    assert!(over.unwrap().is_empty());
    let ended = store
        .end_sessions(&of("subject", "alice"), at(4), event("session.end"))
        .await
        .unwrap();
    assert_eq!(ended.len(), 2);
    assert_eq!(ids(store, &FlowFilter::default()).await, ["b"]);
}

async fn an_end_of_everything_is_refused(bench: Bench) {
    use issuer::flow::EndReason;
    let store = &bench.store;
    opened(store, "s", "alice").await;
    granted(store, &grant_in("s"), None).await;
    let all = FlowFilter::default();
    let sessions = store.end_sessions(&all, at(1), event("session.end")).await;
    assert!(matches!(sessions, Err(StoreError::Broken(_))));
    let reason = EndReason::Administrator;
    let grants = store
        .end_grants(&all, reason, at(1), event("grant.end"))
        .await;
    assert!(matches!(grants, Err(StoreError::Broken(_))));
    assert_eq!(ids(store, &all).await, ["s"]);
    assert!(revoked(store).await.is_empty());
}

async fn a_notice_is_handed_to_one_node_at_a_time(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    opened(&nodes[0], "s", "alice").await;
    for n in 0..20 {
        let grant = Grant {
            client_id: client(&format!("client-{n}")),
            ..grant_in("s")
        };
        granted(&nodes[0], &grant, None).await;
    }
    nodes[0]
        .end_sessions(&of("id", "s"), at(10), event("session.end"))
        .await
        .unwrap();
    let takers: Vec<_> = (0..10)
        .map(|n| {
            let node = nodes[n % 2].clone();
            tokio::spawn(async move { node.due_notices(at(10), at(70), 3).await.unwrap() })
        })
        .collect();
    let mut taken: Vec<LogoutNotice> = Vec::new();
    for taker in takers {
        let notices = taker.await.unwrap();
        assert!(notices.len() <= 3);
        taken.extend(notices);
    }
    let mut clients: Vec<_> = taken
        .iter()
        .map(|notice| notice.client_id.as_str())
        .collect();
    clients.sort_unstable();
    clients.dedup();
    assert_eq!(clients.len(), taken.len(), "none was handed out twice");
    let rest = nodes[0].due_notices(at(10), at(70), 100).await.unwrap();
    assert_eq!(taken.len() + rest.len(), 20, "and none was lost");
    let notice = &taken[0];
    assert_eq!(
        (
            notice.attempts,
            notice.due,
            &*notice.subject,
            &*notice.session
        ),
        (0, at(70), "alice", "s")
    );
    // Whoever took one and went away: it comes again, and counts.
    nodes[1].settle_notice(&notice.id).await.unwrap();
    assert!(
        nodes[1]
            .due_notices(at(69), at(99), 100)
            .await
            .unwrap()
            .is_empty()
    );
    let again = nodes[1].due_notices(at(70), at(130), 100).await.unwrap();
    assert_eq!(again.len(), 19);
    assert!(again.iter().all(|notice| notice.attempts == 1));
    assert!(again.iter().all(|again| again.id != notice.id));
}

async fn many_sessions_end_in_one_step(bench: Bench) {
    let store = &bench.store;
    for n in 0..250 {
        opened(store, &format!("s{n}"), "alice").await;
    }
    for session in ["s0", "s249"] {
        granted(store, &grant_in(session), None).await;
    }
    let ended = store
        .end_sessions(&of("subject", "alice"), at(10), event("session.end"))
        .await
        .unwrap();
    assert_eq!(ended.len(), 250);
    assert_eq!(revoked(store).await.len(), 2);
    assert_eq!(told(store, 10).await.len(), 2);
}
