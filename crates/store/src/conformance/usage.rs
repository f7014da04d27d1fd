//! Usage: counts that add up, whoever writes them; what was used of late; the end of old counts.

use core::time::Duration;

use proof::time::Timestamp;
use registry::ports::CallRecord as _;
use registry::record::{Usage, Used, UsedFilter};

use super::{Bench, at};
use crate::Store;

super::on_both!(
    usage_adds_up,
    usage_from_two_nodes_adds_up,
    when_names_were_last_used_is_told_of_many_at_once,
    what_was_used_is_listed_by_the_last_time_and_page_by_page,
    what_belongs_to_a_name_is_listed_with_it,
    counts_of_more_than_a_year_ago_are_swept,
    rows_of_single_tokens_go_with_the_version_that_counts_none,
);

fn usage(name: &str, hour: i64, calls: i64, last: i64) -> Usage {
    Usage {
        name: name.into(),
        belongs_to: None,
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

/// A count of something that belongs to something.
fn of(belongs_to: &str, usage: Usage) -> Usage {
    Usage {
        belongs_to: Some(belongs_to.into()),
        ..usage
    }
}

fn filter(limit: u32) -> UsedFilter {
    UsedFilter {
        since: at(0),
        about: None,
        after: None,
        limit,
    }
}

fn names(used: &[Used]) -> Vec<&str> {
    used.iter().map(|one| one.name.as_str()).collect()
}

async fn when_names_were_last_used_is_told_of_many_at_once(bench: Bench) {
    let store = &bench.store;
    let counts = [
        usage("a", 0, 2, 50),
        usage("a", 3600, 1, 3700),
        usage("b", 0, 4, 20),
        of("b", usage("c", 0, 1, 10)),
    ];
    store.add_usage(&counts).await.unwrap();
    let told = store.last_used(&["a", "b", "never"]).await.unwrap();
    let expected = [("a".to_owned(), at(3700)), ("b".to_owned(), at(20))];
    assert_eq!(told, expected.into());
    assert!(store.last_used(&[]).await.unwrap().is_empty());
    // More than fit into one statement.
    let many: Vec<_> = (0..1000).map(|n| format!("name-{n}")).collect();
    let mut many: Vec<_> = many.iter().map(String::as_str).collect();
    many.push("c");
    let told = store.last_used(&many).await.unwrap();
    assert_eq!(told, [("c".to_owned(), at(10))].into());
}

async fn what_was_used_is_listed_by_the_last_time_and_page_by_page(bench: Bench) {
    let store = &bench.store;
    let counts = [
        usage("a", 0, 2, 50),
        usage("a", 3600, 1, 3700),
        usage("b", 3600, 4, 3800),
        // At the very same time: by name.
        usage("c", 3600, 1, 3700),
        usage("d", 0, 9, 10),
    ];
    store.add_usage(&counts).await.unwrap();
    let all = store.used(&filter(10)).await.unwrap();
    assert_eq!(names(&all), ["b", "a", "c", "d"]);
    assert_eq!((all[1].calls, all[1].last_used), (3, at(3700)));

    let mut paged = Vec::new();
    let mut next = filter(1);
    loop {
        let page = store.used(&next).await.unwrap();
        let Some(last) = page.last() else { break };
        next.after = Some((last.last_used, last.name.clone()));
        paged.extend(page);
    }
    assert_eq!(paged, all);

    let of_late = UsedFilter {
        since: at(3600),
        ..filter(10)
    };
    let of_late = store.used(&of_late).await.unwrap();
    assert_eq!(names(&of_late), ["b", "a", "c"]);
    assert_eq!(of_late[1].calls, 1, "the hour before is not counted");
}

async fn what_belongs_to_a_name_is_listed_with_it(bench: Bench) {
    let store = &bench.store;
    let counts = [
        usage("sgn_1", 0, 5, 50),
        of("sgn_1", usage("mat_old", 0, 3, 40)),
        of("sgn_1", usage("mat_new", 0, 2, 50)),
        of("sgn_2", usage("mat_other", 0, 7, 60)),
    ];
    store.add_usage(&counts).await.unwrap();
    let about = |name: &str| UsedFilter {
        about: Some(name.to_owned()),
        ..filter(10)
    };
    let found = store.used(&about("sgn_1")).await.unwrap();
    assert_eq!(names(&found), ["mat_new", "sgn_1", "mat_old"]);
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.belongs_to.as_deref(), one.calls))
        .collect();
    assert_eq!(told, [(Some("sgn_1"), 2), (None, 5), (Some("sgn_1"), 3)]);
    let one = store.used(&about("mat_other")).await.unwrap();
    assert_eq!(names(&one), ["mat_other"]);
    assert_eq!(store.used(&about("nothing")).await.unwrap(), []);
}

async fn counts_of_more_than_a_year_ago_are_swept(bench: Bench) {
    let store = &bench.store;
    let day = Duration::from_secs(24 * 3600);
    let now = Timestamp::from_secs(1_800_000_000);
    let on = |days: u32| Usage {
        hour: now.minus(day * days),
        last_used: now.minus(day * days),
        ..usage("a", 0, 1, 0)
    };
    store.add_usage(&[on(401), on(399), on(0)]).await.unwrap();
    assert_eq!(store.sweep(now).await.unwrap().usage, 1);
    assert_eq!(store.sweep(now).await.unwrap().usage, 0);
    let left = store.usage("a", Timestamp::from_millis(0)).await.unwrap();
    assert_eq!(left.len(), 2);
}

async fn rows_of_single_tokens_go_with_the_version_that_counts_none(bench: Bench) {
    // As the version before left it.
    for text in [
        "DROP INDEX credential_usage_by_hour",
        "DROP INDEX credential_usage_by_what_it_belongs_to",
        "ALTER TABLE credential_usage DROP COLUMN belongs_to",
        "DELETE FROM schema_migrations WHERE number = 9",
        "UPDATE schema_meta SET version = 8",
        "INSERT INTO credential_usage (realm_id, credential, hour, calls, last_used) VALUES \
         ('default', 'jti:1', 0, 1, 1), ('default', 'sha256:2', 0, 1, 1), ('default', 'key_1', 0, 5, 1)",
    ] {
        bench.damage(text).await;
    }
    let store = Store::open(&bench.settings()).await.unwrap();
    let ever = UsedFilter {
        since: Timestamp::from_millis(0),
        ..filter(10)
    };
    assert_eq!(names(&store.used(&ever).await.unwrap()), ["key_1"]);
    // A node of the version before goes on counting meanwhile.
    bench
        .damage(
            "INSERT INTO credential_usage (realm_id, credential, hour, calls, last_used) \
             VALUES ('default', 'key_1', 0, 1, 2) ON CONFLICT (realm_id, credential, hour) \
             DO UPDATE SET calls = credential_usage.calls + excluded.calls",
        )
        .await;
    assert_eq!(store.used(&ever).await.unwrap()[0].calls, 6);
}
