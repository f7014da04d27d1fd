//! Refresh tokens: one line, whatever races.

use issuer::flow::{EndReason, FlowFilter, Flows as _, GrantEnd, GrantState, Refreshed, Reuse};

use super::*;

super::super::on_both!(
    a_token_is_replaced_by_its_successor,
    without_rotation_a_token_stays_and_its_idle_end_moves,
    a_token_that_is_foreign_or_unknown_changes_nothing,
    a_token_whose_time_or_grant_or_session_is_over_is_ended,
    f05_a_lost_answer_can_be_tried_again_while_the_successor_is_unused,
    f05_a_retry_with_another_successor_is_a_reuse,
    f05_a_token_that_was_replaced_before_ends_the_family,
    f05_a_reuse_is_remembered_for_its_person_and_client_until_they_answer,
    f05_of_fifty_refreshers_one_rotates_and_the_others_get_the_same,
    f05_of_fifty_refreshers_without_retry_one_rotates_and_the_family_ends,
    fifty_refreshers_without_rotation_are_all_current,
    a_rotation_that_is_given_up_is_whole_or_not_at_all,
    fifty_lines_rotate_side_by_side,
);

async fn present(store: &Store, refresh: Refresh<'_>) -> Refreshed {
    store
        .refresh(refresh, event("grant.refresh"), event("grant.end"))
        .await
        .unwrap()
}

async fn a_token_is_replaced_by_its_successor(bench: Bench) {
    let (store, grant, shop) = (&bench.store, grant(), client("shop"));
    granted(store, &grant, Some("r0")).await;
    for n in 0..3 {
        let refresh = rotating(
            &shop,
            &format!("r{n}"),
            &format!("r{}", n + 1),
            100 * (n + 1),
        );
        assert_eq!(
            present(store, refresh).await,
            Refreshed::Current(grant.clone()),
            "r{n}"
        );
    }
    let behind = |name| store.refresh_token(hash(name), at(400));
    for (name, current) in [("r0", false), ("r2", false), ("r3", true)] {
        let found = behind(name).await.unwrap();
        let expected = (grant.clone(), GrantState::Active, current, at(100_000));
        assert_eq!(found, Some(expected), "{name}");
    }
    let listed = store.grants(&FlowFilter::default(), at(400), 9).await;
    assert_eq!(listed.unwrap()[0].refreshed_at, Some(at(300)));
    assert_eq!(traces(store).await, (0, 5), "an event for each rotation");
}

async fn without_rotation_a_token_stays_and_its_idle_end_moves(bench: Bench) {
    let (store, grant, shop) = (&bench.store, grant(), client("shop"));
    granted(store, &grant, Some("r")).await;
    let before = traces(store).await;
    let steady = |second: i64, idle: i64| Refresh {
        successor: None,
        idle_until: at(idle),
        ..rotating(&shop, "r", "", second)
    };
    for (second, idle) in [(99_999, 150_000), (149_999, 140_000)] {
        assert_eq!(
            present(store, steady(second, idle)).await,
            Refreshed::Current(grant.clone())
        );
    }
    assert_eq!(
        present(store, steady(150_000, 200_000)).await,
        Refreshed::Ended,
        "an idle end never moves back, and it counts"
    );
    let listed = store.grants(&FlowFilter::default(), at(3), 9).await;
    assert_eq!(listed.unwrap()[0].refreshed_at, Some(at(149_999)));
    assert_eq!(traces(store).await, before);
}

async fn a_token_that_is_foreign_or_unknown_changes_nothing(bench: Bench) {
    let (store, grant, shop) = (&bench.store, grant(), client("shop"));
    granted(store, &grant, Some("r0")).await;
    present(store, rotating(&shop, "r0", "r1", 2)).await;
    let before = traces(store).await;
    let other = client("other");
    for (client_id, token) in [(&other, "r1"), (&other, "r0"), (&shop, "none")] {
        for successor in [Some(refresh_token("x")), None] {
            let refresh = Refresh {
                successor,
                ..rotating(client_id, token, "x", 100)
            };
            assert_eq!(present(store, refresh).await, Refreshed::Unknown, "{token}");
        }
    }
    assert_eq!(traces(store).await, before);
    assert!(revoked(store).await.is_empty());
    let own = present(store, rotating(&shop, "r1", "r2", 200)).await;
    assert_eq!(own, Refreshed::Current(grant));
}

async fn a_token_whose_time_or_grant_or_session_is_over_is_ended(bench: Bench) {
    let (store, shop) = (&bench.store, client("shop"));
    opened(store, "s", "alice").await;
    opened(store, "t", "alice").await;
    let brief = Grant {
        until: at(50),
        ..grant()
    };
    let offline = Grant {
        offline: true,
        ..grant_in("s")
    };
    granted(store, &grant(), Some("idle")).await;
    granted(store, &brief, Some("brief")).await;
    granted(store, &grant_in("s"), Some("online")).await;
    granted(store, &offline, Some("offline")).await;
    granted(store, &grant_in("t"), Some("touched")).await;
    store.touch_session("t", at(600)).await.unwrap();
    for (token, second, ended) in [
        ("idle", 99_999, false),
        ("idle'", 100_000, true),
        ("brief", 50, true),
        ("online", 500, true),
        ("offline", 500, false),
        ("touched", 500, false),
        ("touched'", 600, true),
    ] {
        let next = format!("{token}'");
        let answer = present(store, rotating(&shop, token, &next, second)).await;
        assert_eq!(answer == Refreshed::Ended, ended, "{token}: {answer:?}");
        let steady = Refresh {
            successor: None,
            ..rotating(&shop, if ended { token } else { &next }, "", second)
        };
        let answer = present(store, steady).await;
        assert_eq!(answer == Refreshed::Ended, ended, "{token}: {answer:?}");
        // The times of tokens are as they were made.
        bench
            .damage("UPDATE refresh_tokens SET until_ms = 1800100000000")
            .await;
    }
    assert!(revoked(store).await.is_empty(), "time ends, nobody revokes");
    let gone = grant();
    granted(store, &gone, Some("gone")).await;
    let which = FlowFilter {
        id: Some(gone.id.clone()),
        ..FlowFilter::default()
    };
    store
        .end_grants(&which, EndReason::Client, at(2), event("grant.end"))
        .await
        .unwrap();
    let answer = present(store, rotating(&shop, "gone", "x", 3)).await;
    assert_eq!(answer, Refreshed::Ended);
}

async fn f05_a_lost_answer_can_be_tried_again_while_the_successor_is_unused(bench: Bench) {
    let (store, grant, shop) = (&bench.store, grant(), client("shop"));
    granted(store, &grant, Some("r0")).await;
    present(store, rotating(&shop, "r0", "r1", 100)).await;
    let before = traces(store).await;
    for second in [100, 105, 109] {
        let answer = present(store, rotating(&shop, "r0", "r1", second)).await;
        assert_eq!(answer, Refreshed::Retried(grant.clone()), "{second}");
    }
    assert_eq!(traces(store).await, before, "nothing changed");
    let answer = present(store, rotating(&shop, "r1", "r2", 109)).await;
    assert_eq!(answer, Refreshed::Current(grant.clone()));
    let answer = present(store, rotating(&shop, "r0", "r1", 109)).await;
    assert_eq!(
        answer,
        Refreshed::Reused(grant),
        "its successor is in use, so its owner has it"
    );
}

async fn f05_a_retry_with_another_successor_is_a_reuse(bench: Bench) {
    let (store, shop) = (&bench.store, client("shop"));
    for (token, successor) in [("a", Some(refresh_token("other"))), ("b", None)] {
        let grant = grant();
        granted(store, &grant, Some(token)).await;
        let next = format!("{token}'");
        present(store, rotating(&shop, token, &next, 100)).await;
        let again = Refresh {
            successor,
            ..rotating(&shop, token, &next, 101)
        };
        assert_eq!(present(store, again).await, Refreshed::Reused(grant));
    }
}

async fn f05_a_token_that_was_replaced_before_ends_the_family(bench: Bench) {
    let (store, shop) = (&bench.store, client("shop"));
    let none = Duration::ZERO;
    // Too late; at once where nothing may be tried again; two generations ago.
    for (name, presented, second, retry) in [
        ("a", "a0", 120, Duration::from_secs(10)),
        ("b", "b0", 110, none),
        ("c", "c0", 111, Duration::from_secs(60)),
    ] {
        let grant = grant();
        let token = |n: u32| format!("{name}{n}");
        granted(store, &grant, Some(&token(0))).await;
        let last = if name == "c" { 2 } else { 1 };
        for n in 0..last {
            let refresh = rotating(&shop, &token(n), &token(n + 1), 110);
            assert_eq!(
                present(store, refresh).await,
                Refreshed::Current(grant.clone())
            );
        }
        let (changes, events) = traces(store).await;
        let thief = Refresh {
            retry,
            ..rotating(&shop, presented, &token(1), second)
        };
        assert_eq!(
            present(store, thief).await,
            Refreshed::Reused(grant.clone()),
            "{name}"
        );
        assert_eq!(traces(store).await, (changes + 1, events + 1));
        assert!(
            revoked(store)
                .await
                .contains(&(grant.id.clone(), second + 3660)),
            "{name}"
        );
        // The owner's own token is dead too, and nothing is written twice.
        let owner = rotating(&shop, &token(last), "x", second + 1);
        assert_eq!(present(store, owner).await, Refreshed::Ended, "{name}");
        let thief = rotating(&shop, presented, &token(1), second + 1);
        assert_eq!(present(store, thief).await, Refreshed::Ended, "{name}");
        assert_eq!(traces(store).await, (changes + 1, events + 1));
    }
}

async fn f05_a_reuse_is_remembered_for_its_person_and_client_until_they_answer(bench: Bench) {
    let (store, shop) = (&bench.store, client("shop"));
    let reuse = async |who, of: &ClientId| store.remembered(who, of).await.unwrap().reuse;
    for (name, second) in [("a", 200), ("b", 300)] {
        let grant = Grant {
            created_at: at(second - 100),
            ..grant()
        };
        granted(store, &grant, Some(name)).await;
        assert_eq!(
            reuse("alice", &shop).await.map(|reuse| reuse.answered),
            (name == "b").then_some(false),
            "a grant from before is no answer"
        );
        for n in [0, 1] {
            let refresh = rotating(&shop, name, &format!("{name}{n}"), second);
            present(store, refresh).await;
        }
        let expected = Reuse {
            at: at(second),
            answered: false,
        };
        assert_eq!(reuse("alice", &shop).await, Some(expected));
        let listed = store
            .grants(&FlowFilter::default(), at(second), 1)
            .await
            .unwrap();
        let end = GrantEnd {
            at: at(second),
            reason: EndReason::RefreshReused,
        };
        assert_eq!(
            (listed[0].state, listed[0].end),
            (GrantState::Ended, Some(end))
        );
    }
    assert_eq!(reuse("bob", &shop).await, None);
    assert_eq!(reuse("alice", &client("mail")).await, None);
    // Ended otherwise is another matter.
    let other = Grant {
        client_id: client("mail"),
        ..grant()
    };
    granted(store, &other, Some("m")).await;
    let which = FlowFilter {
        id: Some(other.id),
        ..FlowFilter::default()
    };
    let ended = store.end_grants(&which, EndReason::Person, at(300), event("grant.end"));
    assert_eq!(ended.await.unwrap().len(), 1);
    assert_eq!(reuse("alice", &client("mail")).await, None);
    // A grant from after it is the answer.
    let after = Grant {
        created_at: at(301),
        ..grant()
    };
    store
        .issue_code(new_code("after", &after), event("grant.create"))
        .await
        .unwrap();
    let answered = reuse("alice", &shop).await;
    assert_eq!(answered.map(|reuse| reuse.answered), Some(true));
}

/// Fifty callers on two nodes with one token: how many heard `Current`, `Retried`, `Reused`,
/// `Ended`.
async fn fifty(bench: &Bench, token: &str, retry: Duration, rotates: bool) -> [usize; 4] {
    let nodes = [bench.store.clone(), bench.another_node().await];
    let refreshers: Vec<_> = (0..50)
        .map(|n| {
            let (node, token) = (nodes[n % 2].clone(), token.to_owned());
            tokio::spawn(async move {
                let shop = client("shop");
                let refresh = Refresh {
                    retry,
                    ..rotating(&shop, &token, &format!("{token}'"), 10)
                };
                let refresh = Refresh {
                    successor: refresh.successor.clone().filter(|_| rotates),
                    ..refresh
                };
                present(&node, refresh).await
            })
        })
        .collect();
    let mut heard = [0; 4];
    for refresher in refreshers {
        heard[match refresher.await.unwrap() {
            Refreshed::Current(_) => 0,
            Refreshed::Retried(_) => 1,
            Refreshed::Reused(_) => 2,
            Refreshed::Ended => 3,
            Refreshed::Unknown => panic!("it was known"),
        }] += 1;
    }
    heard
}

async fn f05_of_fifty_refreshers_one_rotates_and_the_others_get_the_same(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    granted(store, &grant, Some("r")).await;
    let before = traces(store).await;
    let heard = fifty(&bench, "r", Duration::from_secs(10), true).await;
    assert_eq!(heard, [1, 49, 0, 0]);
    assert_eq!(traces(store).await, (before.0, before.1 + 1));
    let next = store.refresh_token(hash("r'"), at(11)).await.unwrap();
    assert_eq!(next, Some((grant, GrantState::Active, true, at(100_000))));
}

async fn f05_of_fifty_refreshers_without_retry_one_rotates_and_the_family_ends(bench: Bench) {
    let (store, grant) = (&bench.store, grant());
    granted(store, &grant, Some("r")).await;
    let before = traces(store).await;
    let heard = fifty(&bench, "r", Duration::ZERO, true).await;
    assert_eq!(heard, [1, 0, 1, 48]);
    assert_eq!(traces(store).await, (before.0 + 1, before.1 + 2));
    assert_eq!(revoked(store).await, [(grant.id, 10 + 3660)]);
}

async fn fifty_refreshers_without_rotation_are_all_current(bench: Bench) {
    granted(&bench.store, &grant(), Some("r")).await;
    let heard = fifty(&bench, "r", Duration::ZERO, false).await;
    assert_eq!(heard, [50, 0, 0, 0]);
}

async fn a_rotation_that_is_given_up_is_whole_or_not_at_all(bench: Bench) {
    let (store, grant, shop) = (&bench.store, grant(), client("shop"));
    granted(store, &grant, Some("r0")).await;
    let mut n = 0;
    for micros in (0..4_000).step_by(100) {
        let (token, next) = (format!("r{n}"), format!("r{}", n + 1));
        let attempt = present(store, rotating(&shop, &token, &next, 10));
        let _ = tokio::time::timeout(Duration::from_micros(micros), attempt).await;
        // Whoever tries again learns which it was.
        let again = present(store, rotating(&shop, &token, &next, 11)).await;
        assert!(
            matches!(again, Refreshed::Current(_) | Refreshed::Retried(_)),
            "{again:?}"
        );
        n += 1;
    }
    let rotations = actions(store).await;
    let rotations = rotations.iter().filter(|action| *action == "grant.refresh");
    assert_eq!(rotations.count(), n, "one event for each rotation");
}

async fn fifty_lines_rotate_side_by_side(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    let mut lines = Vec::new();
    for line in 0..50 {
        let grant = grant();
        granted(&nodes[0], &grant, Some(&format!("{line}-0"))).await;
        lines.push(grant);
    }
    let refreshers: Vec<_> = lines
        .into_iter()
        .enumerate()
        .map(|(line, grant)| {
            let nodes = nodes.clone();
            tokio::spawn(async move {
                let shop = client("shop");
                for n in 0..4 {
                    let (token, next) = (format!("{line}-{n}"), format!("{line}-{}", n + 1));
                    let refresh = rotating(&shop, &token, &next, 10 + n);
                    let answer = present(&nodes[(line + n as usize) % 2], refresh).await;
                    assert_eq!(answer, Refreshed::Current(grant.clone()), "{token}");
                }
            })
        })
        .collect();
    for refresher in refreshers {
        refresher.await.unwrap();
    }
    let (_, events) = traces(&bench.store).await;
    assert_eq!(events, 50 * 2 + 200);
}
