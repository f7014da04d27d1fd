use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;

const TTL: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(600);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000).plus(Duration::from_secs(seconds))
}

/// A store with one record.
struct Store {
    record: Mutex<Answer<Option<u32>>>,
    asked: AtomicUsize,
}

struct World {
    cache: RecordCache<&'static str, u32>,
    contact: Contact,
    store: Store,
}

impl World {
    fn new(record: Answer<Option<u32>>) -> Self {
        Self {
            cache: RecordCache::new(100, TTL, Duration::from_secs(1)),
            contact: Contact::new(at(0), GRACE),
            store: Store {
                record: Mutex::new(record),
                asked: AtomicUsize::new(0),
            },
        }
    }

    async fn find(&self, now: Timestamp) -> Answer<Option<u32>> {
        let load = async || {
            self.store.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            *self.store.record.lock().unwrap()
        };
        let found = self.cache.find("key", now, &self.contact, load).await?;
        Ok(found.map(|held| held.value))
    }

    fn set(&self, record: Answer<Option<u32>>) {
        *self.store.record.lock().unwrap() = record;
    }

    fn asked(&self) -> usize {
        self.store.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_record_is_asked_for_once_in_its_time() {
    let world = World::new(Ok(Some(1)));
    for second in [0, 1, 29] {
        assert_eq!(world.find(at(second)).await, Ok(Some(1)));
    }
    assert_eq!(world.asked(), 1);
    world.set(Ok(Some(2)));
    assert_eq!(world.find(at(30)).await, Ok(Some(2)));
    world.set(Ok(None));
    assert_eq!(world.find(at(60)).await, Ok(None));
}

#[tokio::test]
async fn callers_at_once_ask_the_store_once() {
    let world = World::new(Ok(Some(1)));
    let (a, b, c) = tokio::join!(world.find(at(0)), world.find(at(0)), world.find(at(0)));
    assert_eq!((a, b, c), (Ok(Some(1)), Ok(Some(1)), Ok(Some(1))));
    assert_eq!(world.asked(), 1);
    let absent = World::new(Ok(None));
    let (a, b) = tokio::join!(absent.find(at(0)), absent.find(at(0)));
    assert_eq!((a, b, absent.asked()), (Ok(None), Ok(None), 1));
}

#[tokio::test]
async fn that_there_is_none_is_remembered_for_a_second() {
    let world = World::new(Ok(None));
    assert_eq!(world.find(at(0)).await, Ok(None));
    world.set(Ok(Some(1)));
    assert_eq!(world.find(at(0)).await, Ok(None));
    assert_eq!(world.find(at(1)).await, Ok(Some(1)));
}

#[tokio::test]
async fn an_invalidation_is_seen_by_the_next_call() {
    let world = World::new(Ok(Some(1)));
    assert_eq!(world.find(at(0)).await, Ok(Some(1)));
    world.set(Ok(Some(2)));
    world.cache.invalidate(|value| *value == 7);
    assert_eq!(
        world.find(at(0)).await,
        Ok(Some(1)),
        "another record was named"
    );
    world.cache.invalidate(|value| *value == 1);
    assert_eq!(world.find(at(0)).await, Ok(Some(2)));
    let absent = World::new(Ok(None));
    assert_eq!(absent.find(at(0)).await, Ok(None));
    absent.set(Ok(Some(3)));
    absent.cache.invalidate(|_| false);
    assert_eq!(
        absent.find(at(0)).await,
        Ok(Some(3)),
        "a record that was just made"
    );
}

#[tokio::test]
async fn a_load_that_an_invalidation_overtook_is_not_kept() {
    let world = World::new(Ok(Some(1)));
    let load = async || {
        // The record changes, and the change is heard, after the store answered with the old one.
        world.cache.invalidate(|value| *value == 1);
        Ok(Some(1))
    };
    let found = world.cache.find("key", at(0), &world.contact, load).await;
    assert!(found.is_ok());
    world.set(Ok(Some(2)));
    assert_eq!(world.find(at(0)).await, Ok(Some(2)));
}

#[tokio::test]
async fn without_the_store_a_record_lasts_as_long_as_the_contact() {
    let world = World::new(Ok(Some(1)));
    assert_eq!(world.find(at(0)).await, Ok(Some(1)));
    world.set(Err(Unavailable::Store));
    assert_eq!(world.find(at(600)).await, Ok(Some(1)));
    assert_eq!(world.find(at(602)).await, Err(Unavailable::Store));
    world.contact.heard(at(602));
    assert_eq!(world.find(at(603)).await, Ok(Some(1)));
    world.set(Ok(Some(2)));
    assert_eq!(world.find(at(605)).await, Ok(Some(2)));
}

#[tokio::test]
async fn a_store_that_is_gone_is_asked_once_a_second_for_what_is_held() {
    let world = World::new(Ok(Some(1)));
    assert_eq!(world.find(at(0)).await, Ok(Some(1)));
    world.set(Err(Unavailable::Store));
    for _ in 0..10 {
        assert_eq!(world.find(at(100)).await, Ok(Some(1)));
    }
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn without_the_store_what_is_not_held_is_unavailable() {
    let world = World::new(Err(Unavailable::Store));
    assert_eq!(world.find(at(0)).await, Err(Unavailable::Store));
}

#[tokio::test(flavor = "current_thread")]
async fn while_one_caller_asks_again_the_others_go_on() {
    let world = World::new(Ok(Some(1)));
    assert_eq!(world.find(at(0)).await, Ok(Some(1)));
    world.set(Ok(Some(2)));
    let (first, second) = tokio::join!(world.find(at(31)), world.find(at(31)));
    assert_eq!(
        (first, second, world.asked()),
        (Ok(Some(2)), Ok(Some(1)), 2)
    );
}
