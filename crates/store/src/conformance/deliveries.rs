//! Webhooks' deliveries: one at a time, and none twice.

use verdict::facts::{Begun, Records as _};

use super::{Bench, at};

super::on_both!(
    d05_of_many_tries_at_one_delivery_one_goes_through,
    a_delivery_that_was_taken_is_known_until_its_time,
    a_delivery_that_was_not_taken_goes_through_again_at_once,
    a_delivery_whose_end_nobody_saw_goes_through_after_a_while,
    a_delivery_is_known_by_any_of_its_ids,
);

const KEY: &str = "DWAK0000000000000004";

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn begin(bench: &Bench, key: &str, names: &[&str], now: i64) -> Begun {
    let store = &bench.store;
    let ids = ids(names);
    let begun = store.begin_delivery(key, &ids, at(now + 30), at(now));
    begun.await.unwrap()
}

async fn end(bench: &Bench, names: &[&str], taken: bool, now: i64) {
    let until = taken.then_some(at(now + 3600));
    let ids = ids(names);
    let ended = bench.store.end_delivery(KEY, &ids, until, at(now));
    ended.await.unwrap();
}

async fn d05_of_many_tries_at_one_delivery_one_goes_through(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    for round in 0..10 {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let (node, ids) = (nodes[n % 2].clone(), vec![format!("id:{round}")]);
                tokio::spawn(async move { node.begin_delivery(KEY, &ids, at(30), at(0)).await })
            })
            .collect();
        let mut through = 0;
        for one in tries {
            through += usize::from(one.await.unwrap().unwrap() == Begun::Now);
        }
        assert_eq!(through, 1, "round {round}");
    }
}

async fn a_delivery_that_was_taken_is_known_until_its_time(bench: Bench) {
    assert_eq!(begin(&bench, KEY, &["id:a"], 0).await, Begun::Now);
    assert_eq!(begin(&bench, KEY, &["id:a"], 1).await, Begun::UnderWay);
    end(&bench, &["id:a"], true, 2).await;
    for now in [2, 29, 31, 3600] {
        let begun = begin(&bench, KEY, &["id:a"], now).await;
        assert_eq!(begun, Begun::Before, "{now}");
    }
    assert_eq!(
        begin(&bench, "DWAK0000000000000005", &["id:a"], 3).await,
        Begun::Now
    );
    bench.store.sweep(at(3700)).await.unwrap();
    assert_eq!(begin(&bench, KEY, &["id:a"], 3700).await, Begun::Now);
}

async fn a_delivery_that_was_not_taken_goes_through_again_at_once(bench: Bench) {
    for now in 0..3 {
        assert_eq!(
            begin(&bench, KEY, &["id:a", "body:x"], now).await,
            Begun::Now
        );
        end(&bench, &["id:a", "body:x"], false, now).await;
    }
}

async fn a_delivery_whose_end_nobody_saw_goes_through_after_a_while(bench: Bench) {
    assert_eq!(begin(&bench, KEY, &["id:a"], 0).await, Begun::Now);
    assert_eq!(begin(&bench, KEY, &["id:a"], 29).await, Begun::UnderWay);
    assert_eq!(begin(&bench, KEY, &["id:a"], 30).await, Begun::Now);
}

async fn a_delivery_is_known_by_any_of_its_ids(bench: Bench) {
    assert_eq!(begin(&bench, KEY, &["id:a", "body:x"], 0).await, Begun::Now);
    assert_eq!(
        begin(&bench, KEY, &["id:b", "body:x"], 1).await,
        Begun::UnderWay
    );
    end(&bench, &["id:a", "body:x"], true, 2).await;
    assert_eq!(
        begin(&bench, KEY, &["id:c", "body:x"], 40).await,
        Begun::Before
    );
    assert_eq!(
        begin(&bench, KEY, &["id:a", "body:y"], 40).await,
        Begun::Before
    );
}
