use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize};

use parking_lot::Mutex;
use proof::digest::TokenHash;
use proof::issued::KeyId;
use verdict::identity::{Account, IssuedKey, SigningKey};
use verdict::policy::relations::{
    Extent, Model, Standing, Tuple, Tuples, WHOLE, WrittenRelation, WrittenTypes, check_over,
};

use super::*;

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// What is stored.
#[derive(Default)]
struct Stored {
    tuples: Mutex<BTreeMap<Tuple, Grant>>,
    asked: AtomicUsize,
    gone: AtomicBool,
}

impl Stored {
    fn of(lines: &[&str]) -> Self {
        let stored = Self::default();
        for line in lines {
            stored.tuples.lock().insert(tuple(line), Grant::default());
        }
        stored
    }
    fn ask(&self) -> Answer<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.gone.load(Ordering::SeqCst) {
            true => Err(Unavailable::Store),
            false => Ok(()),
        }
    }
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

fn tuple(line: &str) -> Tuple {
    line.parse().expect(line)
}

impl Records for Stored {
    async fn key_by_id(&self, _: KeyId) -> Answer<Option<IssuedKey>> {
        Ok(None)
    }
    async fn key_by_digest(&self, _: &TokenHash) -> Answer<Option<IssuedKey>> {
        Ok(None)
    }
    async fn key_by_prefix(&self, _: &str) -> Answer<Option<IssuedKey>> {
        Ok(None)
    }
    async fn account(&self, _: &str) -> Answer<Option<Account>> {
        Ok(None)
    }
    async fn signing_key(&self, _: &str) -> Answer<Option<SigningKey>> {
        Ok(None)
    }
    async fn opaque_token(&self, _: &TokenHash) -> Answer<Option<String>> {
        Ok(None)
    }
    async fn related(&self, object: &Object, relation: &str) -> Answer<Related> {
        self.ask()?;
        let tuples = self.tuples.lock();
        let of_pair = |tuple: &Tuple| tuple.object == *object && *tuple.relation == *relation;
        let mut standing: Vec<Standing> = tuples
            .iter()
            .filter(|(tuple, _)| of_pair(tuple))
            .map(|(tuple, grant)| Standing {
                subject: tuple.subject.clone(),
                grant: *grant,
            })
            .collect();
        if standing.len() <= WHOLE {
            return Ok(Related::new(standing, Extent::Whole));
        }
        standing.retain(|one| !matches!(one.subject, Subject::One(_)));
        Ok(Related::new(standing, Extent::Sets))
    }
    async fn grant(
        &self,
        object: &Object,
        relation: &str,
        subject: &Subject,
    ) -> Answer<Option<Grant>> {
        self.ask()?;
        let tuple = Tuple {
            object: object.clone(),
            relation: relation.into(),
            subject: subject.clone(),
        };
        Ok(self.tuples.lock().get(&tuple).copied())
    }
}

/// A cache before a store, as the facts have it.
struct Node<'s> {
    stored: &'s Stored,
    cache: RelationCache,
    contact: Contact,
}

impl<'s> Node<'s> {
    fn before(stored: &'s Stored) -> Self {
        Self {
            stored,
            cache: RelationCache::new(1000),
            contact: Contact::new(now(), Duration::from_secs(600)),
        }
    }

    async fn holds(&self, model: &Model, subject: &str, relation: &str, object: &str) -> bool {
        let (subject, object) = (subject.parse().unwrap(), object.parse().unwrap());
        let checked = check_over(model, &subject, relation, &object, self, now()).await;
        checked.expect("the store answers").holds()
    }
}

impl Tuples for Node<'_> {
    fn known_related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        now: Timestamp,
    ) -> Option<Arc<Related>> {
        self.cache
            .known_related(object, relation, now, &self.contact)
    }
    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.cache.related(object, relation, self.stored).await
    }
    fn known_grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        now: Timestamp,
    ) -> Option<Option<Grant>> {
        self.cache
            .known_grant(object, relation, subject, now, &self.contact)
    }
    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Answer<Option<Grant>> {
        self.cache
            .grant(object, relation, subject, self.stored)
            .await
    }
}

fn model() -> Model {
    let list = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let relation = |direct: &[&str], any_of: &[&str]| WrittenRelation {
        direct: list(direct),
        any_of: list(any_of),
        ..WrittenRelation::default()
    };
    let of = |relations: Vec<(&str, WrittenRelation)>| {
        let named = relations.into_iter();
        named.map(|(name, one)| (name.to_owned(), one)).collect()
    };
    let member = relation(&["user", "group#member"], &[]);
    let mut viewer = relation(&["user"], &["owner", "shop.staff"]);
    viewer.but_not = Some("blocked".to_owned());
    let types = WrittenTypes::from([
        ("user".to_owned(), BTreeMap::new()),
        ("group".to_owned(), of(vec![("member", member.clone())])),
        ("shop".to_owned(), of(vec![("staff", member)])),
        (
            "order".to_owned(),
            of(vec![
                ("shop", relation(&["shop"], &[])),
                ("owner", relation(&["user"], &[])),
                ("blocked", relation(&["user", "group#member"], &[])),
                ("viewer", viewer),
            ]),
        ),
    ]);
    Model::prepare(&types).expect("is sound")
}

#[tokio::test]
async fn h06_a_check_that_was_made_before_asks_nobody_and_answers_for_nobody_else() {
    let stored = Stored::of(&[
        "order:1#shop@shop:s",
        "shop:s#staff@group:g#member",
        "group:g#member@user:ada",
    ]);
    let (node, model) = (Node::before(&stored), model());
    assert!(node.holds(&model, "user:ada", "viewer", "order:1").await);
    assert!(!node.holds(&model, "user:bob", "viewer", "order:1").await);
    assert!(stored.asked() > 0);
    for _ in 0..3 {
        assert!(node.holds(&model, "user:ada", "viewer", "order:1").await);
        assert!(!node.holds(&model, "user:bob", "viewer", "order:1").await);
        assert!(!node.holds(&model, "user:eve", "viewer", "order:1").await);
    }
    assert_eq!(stored.asked(), 0, "the pairs are held whole");
}

#[tokio::test]
async fn h04_a_write_is_seen_after_its_change_and_nothing_else_is_forgotten() {
    let stored = Stored::of(&["order:1#owner@user:ada", "order:2#owner@user:ada"]);
    let (node, model) = (Node::before(&stored), model());
    for order in ["order:1", "order:2"] {
        assert!(node.holds(&model, "user:ada", "viewer", order).await);
    }
    stored.asked();
    stored
        .tuples
        .lock()
        .remove(&tuple("order:1#owner@user:ada"));
    node.cache.forget([("order:1", "owner")]);
    assert!(!node.holds(&model, "user:ada", "owner", "order:1").await);
    assert_eq!(stored.asked(), 1, "the one pair");
    assert!(node.holds(&model, "user:ada", "viewer", "order:2").await);
    assert_eq!(stored.asked(), 0);
}

#[tokio::test]
async fn h04_members_of_a_large_group_are_forgotten_with_it() {
    let stored = Stored::default();
    for at in 0..=WHOLE {
        let line = format!("group:g#member@user:u{at}");
        stored.tuples.lock().insert(tuple(&line), Grant::default());
    }
    let (node, model) = (Node::before(&stored), model());
    // The group, and the one in it; the second answer is kept beside the first.
    for asks in [2, 0, 0] {
        assert!(node.holds(&model, "user:u1", "member", "group:g").await);
        assert_eq!(stored.asked(), asks);
    }
    stored
        .tuples
        .lock()
        .remove(&tuple("group:g#member@user:u1"));
    stored
        .tuples
        .lock()
        .insert(tuple("group:g#member@user:x"), Grant::default());
    node.cache.forget([("group:g", "member")]);
    assert!(!node.holds(&model, "user:u1", "member", "group:g").await);
    assert!(node.holds(&model, "user:x", "member", "group:g").await);
}

#[tokio::test]
async fn out_of_touch_for_too_long_the_store_is_asked_and_if_it_is_away_nothing_is_answered() {
    let stored = Stored::of(&["order:1#owner@user:ada"]);
    let (node, model) = (Node::before(&stored), model());
    let (ada, order) = ("user:ada".parse().unwrap(), "order:1".parse().unwrap());
    let at = |seconds| {
        let at = now().plus(Duration::from_secs(seconds));
        check_over(&model, &ada, "owner", &order, &node, at)
    };
    assert!(at(0).await.unwrap().holds());
    stored.gone.store(true, Ordering::SeqCst);
    assert!(
        at(600).await.unwrap().holds(),
        "what nobody could have changed unnoticed"
    );
    assert_eq!(at(601).await, Err(Unavailable::Store));
    stored.gone.store(false, Ordering::SeqCst);
    assert!(at(601).await.unwrap().holds());
}

#[tokio::test]
async fn what_was_read_while_it_changed_is_not_kept() {
    let stored = Stored::of(&["order:1#owner@user:ada"]);
    let node = Node::before(&stored);
    let (order, owner): (Object, Arc<str>) = ("order:1".parse().unwrap(), "owner".into());
    let before = node.cache.generation.load(Ordering::Acquire);
    let slow = async {
        let read = stored.related(&order, &owner).await;
        node.cache.forget([("order:1", "owner")]);
        read
    };
    // The same steps as `related` takes, with the change in the middle.
    let related = Arc::new(slow.await.unwrap());
    let pair = Pair {
        object: order.clone(),
        relation: Arc::clone(&owner),
    };
    node.cache.keep(&pair, related, before);
    let known = node
        .cache
        .known_related(&order, "owner", now(), &node.contact);
    assert!(known.is_none());
}

/// A stream of choices that is the same in every run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        // Steele and Vigna's SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap_or_default()
    }
}

#[tokio::test]
async fn h04_with_writes_in_between_a_cache_never_changes_an_answer() {
    let model = model();
    let users = ["user:a", "user:b", "user:c"];
    let subjects = [
        "user:a",
        "user:b",
        "user:c",
        "group:x#member",
        "group:y#member",
    ];
    let pairs = [
        ("group:x", "member"),
        ("group:y", "member"),
        ("shop:s", "staff"),
        ("order:1", "owner"),
        ("order:1", "blocked"),
        ("order:2", "owner"),
    ];
    for seed in 0..50 {
        let mut choices = Choices(seed);
        let stored = Stored::of(&["order:1#shop@shop:s", "order:2#shop@shop:s"]);
        let node = Node::before(&stored);
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            if choices.below(3) == 0 {
                let (object, relation) = pairs[choices.below(pairs.len())];
                let subject = subjects[choices.below(subjects.len())];
                let tuple = tuple(&format!("{object}#{relation}@{subject}"));
                let mut tuples = stored.tuples.lock();
                if tuples.remove(&tuple).is_none() {
                    tuples.insert(tuple, Grant::default());
                }
                drop(tuples);
                node.cache.forget([(object, relation)]);
                continue;
            }
            let order = ["order:1", "order:2"][choices.below(2)];
            let user = users[choices.below(users.len())];
            let fresh = Node::before(&stored);
            let expected = fresh.holds(&model, user, "viewer", order).await;
            let found = node.holds(&model, user, "viewer", order).await;
            assert_eq!(found, expected, "seed {seed}: {user} {order}");
            seen.insert(found);
        }
        assert_eq!(seen.len(), 2, "seed {seed}: both answers come up");
    }
}
