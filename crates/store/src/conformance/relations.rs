//! Tuples: batches that are whole or nothing, changes that say what they touched, and reading.

use proof::time::Timestamp;
use registry::ports::{AuditTrail as _, ChangeSubject, Registry as _};
use registry::relations::{
    Batch, Done, NewTuple, Relations as _, StoredTuple, Token, TupleFilter, Wrote,
};
use verdict::facts::Records as _;
use verdict::policy::relations::{
    Extent, Grant, Listing as _, MOST_SETS, Object, Subject, Tuple, WHOLE,
};

use super::{Bench, at, event};
use crate::Store;

super::on_both!(
    a_batch_is_one_write_with_its_events_and_a_change_for_each_pair,
    a_write_that_changes_nothing_takes_no_number,
    a_tuple_that_stands_gets_its_new_end_and_purpose,
    what_was_expected_otherwise_leaves_everything_as_it_was,
    of_two_writers_who_expect_the_same_one_comes_through,
    few_subjects_are_read_together_and_many_one_by_one,
    tuples_are_read_from_both_sides_page_by_page,
    tuples_are_listed_by_what_they_are_of,
    tuples_that_are_alike_are_counted_together,
    what_has_ended_is_swept_and_nobody_hears_of_it,
    ids_are_kept_byte_for_byte,
);

fn tuple(text: &str) -> Tuple {
    text.parse().expect(text)
}

fn object(text: &str) -> Object {
    text.parse().expect(text)
}

fn subject(text: &str) -> Subject {
    text.parse().expect(text)
}

fn batch(add: &[&str], remove: &[&str]) -> Batch {
    let new = |text: &&str| NewTuple {
        tuple: tuple(text),
        until: None,
        purpose: None,
    };
    let add = add.iter().map(|text| (new(text), event("relation.add")));
    let remove = remove.iter();
    let remove = remove.map(|text| (tuple(text), event("relation.remove")));
    Batch {
        add: add.collect(),
        remove: remove.collect(),
        must: Vec::new(),
        must_not: Vec::new(),
        at: at(0),
        by: "alice (adm_1)".into(),
    }
}

fn until(text: &str, end: Timestamp, purpose: &str) -> Batch {
    let mut batch = batch(&[text], &[]);
    batch.add[0].0.until = Some(end);
    batch.add[0].0.purpose = Some(purpose.to_owned());
    batch
}

async fn write(store: &Store, batch: Batch) -> Done {
    match store.write_relations(batch).await.expect("a write") {
        Wrote::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn add(store: &Store, tuples: &[&str]) -> Done {
    write(store, batch(tuples, &[])).await
}

async fn all(store: &Store, filter: TupleFilter) -> Vec<String> {
    let filter = TupleFilter {
        limit: if filter.limit == 0 {
            1000
        } else {
            filter.limit
        },
        ..filter
    };
    let found = store.relations(&filter).await.expect("a list");
    found.iter().map(|one| one.tuple.to_string()).collect()
}

async fn a_batch_is_one_write_with_its_events_and_a_change_for_each_pair(bench: Bench) {
    let store = &bench.store;
    let done = add(
        store,
        &[
            "order:1#owner@user:ada",
            "order:1#owner@user:bob",
            "order:2#owner@user:ada",
        ],
    )
    .await;
    assert_eq!((done.added, done.removed, done.at), (3, 0, Token(2)));
    let done = write(
        store,
        batch(
            &["order:1#viewer@user:*"],
            &["order:1#owner@user:bob", "order:9#owner@user:x"],
        ),
    )
    .await;
    assert_eq!((done.added, done.removed, done.at), (1, 1, Token(4)));
    let changes = store.changes_after(0, 10).await.unwrap();
    let touched: Vec<_> = changes
        .iter()
        .map(|change| match &change.subject {
            ChangeSubject::Relation(object, relation) => (object.as_str(), relation.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        touched,
        [
            ("order:1", "owner"),
            ("order:2", "owner"),
            ("order:1", "owner"),
            ("order:1", "viewer")
        ]
    );
    let events = store.audit_events(0, 100, true).await.unwrap();
    let acts: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    let (added, removed) = ("relation.add", "relation.remove");
    assert_eq!(acts, [added, added, added, added, removed]);
    assert_eq!(
        all(store, TupleFilter::default()).await,
        [
            "order:1#owner@user:ada",
            "order:1#viewer@user:*",
            "order:2#owner@user:ada"
        ]
    );
}

async fn a_write_that_changes_nothing_takes_no_number(bench: Bench) {
    let store = &bench.store;
    let first = add(store, &["order:1#owner@user:ada"]).await;
    let again = write(
        store,
        batch(&["order:1#owner@user:ada"], &["order:1#owner@user:bob"]),
    )
    .await;
    assert_eq!((again.added, again.removed, again.at), (0, 0, first.at));
    assert_eq!(store.newest_change().await.unwrap(), 1);
    assert_eq!(store.audit_events(0, 100, true).await.unwrap().len(), 1);
}

async fn a_tuple_that_stands_gets_its_new_end_and_purpose(bench: Bench) {
    let store = &bench.store;
    let text = "order:1#viewer@user:eve";
    add(store, &[text]).await;
    write(store, until(text, at(3600), "ticket 7")).await;
    let done = write(store, until(text, at(3600), "ticket 7")).await;
    assert_eq!(done.added, 0, "it says so already");
    let filter = TupleFilter {
        limit: 10,
        ..TupleFilter::default()
    };
    assert_eq!(
        store.relations(&filter).await.unwrap(),
        [StoredTuple {
            tuple: tuple(text),
            until: Some(at(3600)),
            purpose: Some("ticket 7".into()),
            created_at: at(0),
            created_by: "alice (adm_1)".into(),
        }]
    );
    let grant = store
        .grant(&object("order:1"), "viewer", &subject("user:eve"))
        .await;
    assert_eq!(
        grant,
        Ok(Some(Grant {
            until: Some(at(3600))
        }))
    );
}

async fn what_was_expected_otherwise_leaves_everything_as_it_was(bench: Bench) {
    let store = &bench.store;
    write(store, until("order:1#owner@user:ada", at(10), "short")).await;
    let other = "order:2#owner@user:ada";
    let wrote = async |must: &[&str], must_not: &[&str], now| {
        let batch = Batch {
            must: must.iter().map(|text| tuple(text)).collect(),
            must_not: must_not.iter().map(|text| tuple(text)).collect(),
            at: now,
            ..batch(&[other], &[])
        };
        store.write_relations(batch).await.unwrap()
    };
    let ada = "order:1#owner@user:ada";
    let unexpected = |stands| Wrote::Unexpected {
        tuple: tuple(ada),
        stands,
    };
    assert_eq!(wrote(&[], &[ada], at(9)).await, unexpected(true));
    // What has ended does not stand, swept or not.
    assert_eq!(wrote(&[ada], &[], at(10)).await, unexpected(false));
    assert_eq!(all(store, TupleFilter::default()).await, [ada]);
    assert_eq!(store.newest_change().await.unwrap(), 1);
    assert!(matches!(wrote(&[ada], &[], at(9)).await, Wrote::Done(_)));
    assert!(matches!(wrote(&[], &[ada], at(10)).await, Wrote::Done(_)));
}

async fn of_two_writers_who_expect_the_same_one_comes_through(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    for round in 0..10 {
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let node = nodes[n % 2].clone();
                let mut batch = batch(&[&format!("lock:{round}#holder@user:u{n}")], &[]);
                // The place itself stands for "somebody holds it".
                batch.add.push((
                    NewTuple {
                        tuple: tuple(&format!("lock:{round}#held@lock:{round}")),
                        until: None,
                        purpose: None,
                    },
                    event("relation.add"),
                ));
                batch.must_not = vec![tuple(&format!("lock:{round}#held@lock:{round}"))];
                tokio::spawn(async move { node.write_relations(batch).await })
            })
            .collect();
        let mut through = 0;
        for writer in writers {
            let wrote = writer.await.unwrap().unwrap();
            through += usize::from(matches!(wrote, Wrote::Done(_)));
        }
        assert_eq!(through, 1, "round {round}");
    }
    let holders = TupleFilter {
        relation: Some("holder".into()),
        ..TupleFilter::default()
    };
    assert_eq!(all(&bench.store, holders).await.len(), 10);
}

async fn add_many(store: &Store, texts: &[String]) {
    for some in texts.chunks(100) {
        add(store, &some.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

async fn few_subjects_are_read_together_and_many_one_by_one(bench: Bench) {
    let store = &bench.store;
    let (group, user) = (object("group:g"), subject("user:u7"));
    let read = async || store.related(&group, "member").await.unwrap();
    assert_eq!(
        (read().await.extent(), read().await.standing().len()),
        (Extent::Whole, 0)
    );
    let mut members: Vec<String> = (0..WHOLE)
        .map(|n| format!("group:g#member@user:u{n}"))
        .collect();
    add_many(store, &members).await;
    assert_eq!(
        (read().await.extent(), read().await.standing().len()),
        (Extent::Whole, WHOLE)
    );
    assert!(read().await.grant(&user).is_some());
    members = vec![
        "group:g#member@group:h#member".into(),
        "group:g#member@user:*".into(),
    ];
    add_many(store, &members).await;
    let sets = read().await;
    assert_eq!((sets.extent(), sets.standing().len()), (Extent::Sets, 2));
    assert!(sets.grant(&subject("user:*")).is_some());
    assert!(sets.grant(&subject("group:h#member")).is_some());
    assert_eq!(
        store.grant(&group, "member", &user).await,
        Ok(Some(Grant::default()))
    );
    assert_eq!(
        store.grant(&group, "member", &subject("user:x")).await,
        Ok(None)
    );
    members = (0..MOST_SETS)
        .map(|n| format!("group:g#member@group:n{n}#member"))
        .collect();
    add_many(store, &members).await;
    assert_eq!(read().await.extent(), Extent::TooMany);
}

async fn tuples_are_read_from_both_sides_page_by_page(bench: Bench) {
    let store = &bench.store;
    let mut tuples: Vec<String> = (0..25)
        .map(|n| format!("order:{n}#owner@user:ada"))
        .collect();
    tuples.extend((0..25).map(|n| format!("order:7#viewer@user:u{n}")));
    tuples.push("order:7#viewer@user:*".into());
    tuples.push("order:7#viewer@group:g#member".into());
    add_many(store, &tuples).await;

    let order = object("order:7");
    let mut viewers = Vec::new();
    loop {
        let page = store
            .of_object(&order, "viewer", viewers.last(), 10)
            .await
            .unwrap();
        let full = page.len() == 10;
        viewers.extend(page.into_iter().map(|one| one.subject));
        if !full {
            break;
        }
    }
    viewers.sort();
    viewers.dedup();
    assert_eq!(viewers.len(), 27);

    let ada = subject("user:ada");
    let mut owned: Vec<Tuple> = Vec::new();
    loop {
        let page = store.of_subject(&ada, owned.last(), 10).await.unwrap();
        let full = page.len() == 10;
        owned.extend(page.into_iter().map(|(tuple, _)| tuple));
        if !full {
            break;
        }
    }
    owned.sort();
    owned.dedup();
    assert_eq!(owned.len(), 25);
    let of_group = store
        .of_subject(&subject("group:g#member"), None, 10)
        .await
        .unwrap();
    assert_eq!(of_group.len(), 1);
    assert_eq!(
        store
            .of_subject(&subject("group:g"), None, 10)
            .await
            .unwrap(),
        []
    );
}

async fn tuples_are_listed_by_what_they_are_of(bench: Bench) {
    let store = &bench.store;
    let tuples = [
        "order:1#owner@user:ada",
        "order:1#viewer@user:bob",
        "order:2#owner@user:bob",
        "shop:1#staff@group:g#member",
    ];
    add(store, &tuples).await;
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (TupleFilter::default(), vec![0, 1, 2, 3]),
        (
            TupleFilter {
                object_type: some("order"),
                ..TupleFilter::default()
            },
            vec![0, 1, 2],
        ),
        (
            TupleFilter {
                object_type: some("order"),
                object_id: some("1"),
                ..TupleFilter::default()
            },
            vec![0, 1],
        ),
        (
            TupleFilter {
                relation: some("owner"),
                ..TupleFilter::default()
            },
            vec![0, 2],
        ),
        (
            TupleFilter {
                subject: Some(subject("user:bob")),
                relation: some("owner"),
                ..TupleFilter::default()
            },
            vec![2],
        ),
        (
            TupleFilter {
                subject: Some(subject("group:g#member")),
                ..TupleFilter::default()
            },
            vec![3],
        ),
        (
            TupleFilter {
                subject: Some(subject("group:g")),
                ..TupleFilter::default()
            },
            vec![],
        ),
        (
            TupleFilter {
                after: Some(tuple(tuples[1])),
                ..TupleFilter::default()
            },
            vec![2, 3],
        ),
        (
            TupleFilter {
                after: Some(tuple(tuples[0])),
                limit: 1,
                ..TupleFilter::default()
            },
            vec![1],
        ),
        (
            TupleFilter {
                object_type: some("order"),
                subject: Some(subject("user:bob")),
                after: Some(tuple(tuples[1])),
                ..TupleFilter::default()
            },
            vec![2],
        ),
    ];
    for (filter, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|at: usize| tuples[at]).collect();
        assert_eq!(all(store, filter.clone()).await, expected, "{filter:?}");
    }
}

async fn tuples_that_are_alike_are_counted_together(bench: Bench) {
    let store = &bench.store;
    assert_eq!(store.relation_kinds().await.unwrap(), []);
    let tuples = [
        "order:1#viewer@user:bob",
        "order:2#viewer@user:ada",
        "order:2#viewer@user:*",
        "order:2#viewer@group:g#member",
    ];
    add(store, &tuples).await;
    let kinds = store.relation_kinds().await.unwrap();
    let mut kinds: Vec<_> = kinds
        .iter()
        .map(|kind| (kind.example.to_string(), kind.tuples))
        .collect();
    kinds.sort();
    let expected = [
        ("order:1#viewer@user:ada".to_owned(), 2),
        ("order:2#viewer@group:g#member".to_owned(), 1),
        ("order:2#viewer@user:*".to_owned(), 1),
    ];
    assert_eq!(kinds, expected);
}

async fn what_has_ended_is_swept_and_nobody_hears_of_it(bench: Bench) {
    let store = &bench.store;
    write(store, until("order:1#owner@user:ada", at(10), "short")).await;
    write(store, until("order:2#owner@user:ada", at(11), "longer")).await;
    add(store, &["order:3#owner@user:ada"]).await;
    assert_eq!(store.sweep(at(9)).await.unwrap().relations, 0);
    assert_eq!(store.sweep(at(10)).await.unwrap().relations, 1);
    assert_eq!(
        all(store, TupleFilter::default()).await,
        ["order:2#owner@user:ada", "order:3#owner@user:ada"]
    );
    assert_eq!(store.newest_change().await.unwrap(), 3);
}

async fn ids_are_kept_byte_for_byte(bench: Bench) {
    let store = &bench.store;
    let tuples = [
        "doc:A#owner@user:é",
        "doc:a#owner@user:e\u{301}",
        "doc:a%2fb#owner@user:it's",
        "doc:a/b#owner@user:a|b:c@d",
    ];
    add(store, &tuples).await;
    let mut found = all(store, TupleFilter::default()).await;
    found.sort();
    assert_eq!(found, tuples);
    for text in tuples {
        let one = tuple(text);
        let grant = store.grant(&one.object, &one.relation, &one.subject).await;
        assert_eq!(grant, Ok(Some(Grant::default())), "{text}");
    }
    let upper = store
        .grant(&object("doc:A"), "owner", &subject("user:e\u{301}"))
        .await;
    assert_eq!(upper, Ok(None));
}
