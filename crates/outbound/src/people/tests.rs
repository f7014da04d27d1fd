use core::net::Ipv4Addr;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use proof::password::Argon2Params;
use proof::random::SystemEntropy;
use verdict::facts::Unavailable;

use super::*;
use crate::facts::tests::{Budgets, later, now, password};

/// People by their user names, and how often they were asked for.
#[derive(Default)]
struct Stored {
    people: Mutex<HashMap<String, PersonRecord<String>>>,
    asked: AtomicUsize,
    away: Mutex<bool>,
}

impl Stored {
    fn find(
        &self,
        wanted: impl Fn(&str, &PersonRecord<String>) -> bool,
    ) -> Answer<Option<PersonRecord<String>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if *self.away.lock() {
            return Err(Unavailable::Store);
        }
        let people = self.people.lock();
        let found = people.iter().find(|(name, record)| wanted(name, record));
        Ok(found.map(|(_, record)| record.clone()))
    }
}

impl PersonRecords for Arc<Stored> {
    type Person = String;
    async fn by_username(&self, username: &str) -> Answer<Option<PersonRecord<String>>> {
        self.find(|name, _| name == username)
    }
    async fn by_subject(&self, subject: &str) -> Answer<Option<PersonRecord<String>>> {
        self.find(|_, record| &*record.subject == subject)
    }
}

struct World {
    stored: Arc<Stored>,
    pool: Arc<HashingPool>,
    people: People<Arc<Stored>, Arc<Budgets>>,
}

impl World {
    /// Alice has a password, Bob two, Carol may not log in.
    fn new() -> Self {
        let stored = Arc::new(Stored::default());
        for (username, passwords, admitted) in [
            ("alice", &[&b"right"[..]][..], true),
            ("bob", &[b"old", b"new"], true),
            ("carol", &[b"right"], false),
        ] {
            let record = PersonRecord {
                subject: format!("sub-{username}").into(),
                name: format!("doc-{username}").into(),
                passwords: passwords.iter().map(|pw| password(pw)).collect(),
                admitted,
                person: Arc::new(username.to_uppercase()),
            };
            stored.people.lock().insert(username.into(), record);
        }
        let options = FactsOptions {
            password_cost: Argon2Params::dangerous_minimum(),
            password_ttl: Duration::from_secs(300),
            ..FactsOptions::default()
        };
        let pool = Arc::new(HashingPool::new(NonZeroUsize::MIN, 64).unwrap());
        let people = People::new(
            Arc::clone(&stored),
            Arc::new(Budgets::default()),
            Arc::clone(&pool),
            &options,
            &SystemEntropy,
            now(),
        );
        Self {
            stored,
            pool,
            people,
        }
    }

    async fn login(&self, username: &str, password: &str, from: &str, now: Timestamp) -> String {
        let (password, from) = (Secret::from_text(password.into()), from.parse().unwrap());
        let check = self.people.check_password(username, &password, from, now);
        match check.await {
            Ok(PersonCheck::Match(person)) => String::clone(&person),
            Ok(PersonCheck::Refused) => "refused".into(),
            Ok(PersonCheck::Throttled) => "throttled".into(),
            Err(_) => "unavailable".into(),
        }
    }

    /// Whether a login needs the pool, whose only thread is made to wait.
    async fn hashes(&self, username: &str, password: &str, now: Timestamp) -> bool {
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let pool = Arc::clone(&self.pool);
        let held = tokio::spawn(async move {
            pool.run(move || {
                started.send(()).unwrap();
                hold.recv().is_ok()
            })
            .await
        });
        starts.await.unwrap();
        let login = self.login(username, password, "192.0.2.1", now);
        let waited = tokio::time::timeout(Duration::from_millis(50), login).await;
        drop(release);
        held.await.unwrap().unwrap();
        waited.is_err()
    }
}

#[tokio::test]
async fn f08_a_person_gets_in_with_their_password_and_everybody_else_hears_the_same() {
    let world = World::new();
    for (username, password, answer) in [
        ("alice", "right", "ALICE"),
        ("bob", "old", "BOB"),
        ("bob", "new", "BOB"),
        ("alice", "wrong", "refused"),
        ("nobody", "right", "refused"),
        ("carol", "right", "refused"),
    ] {
        let heard = world.login(username, password, "192.0.2.1", now()).await;
        assert_eq!(heard, answer, "{username} {password}");
    }
    for username in ["alice", "nobody", "carol"] {
        assert!(
            world.hashes(username, "wrong", now()).await,
            "{username} costs a hash"
        );
    }
}

#[tokio::test]
async fn a_match_is_taken_without_hashing_for_a_minute_at_most() {
    let world = World::new();
    assert_eq!(
        world.login("alice", "right", "192.0.2.1", now()).await,
        "ALICE"
    );
    assert!(!world.hashes("alice", "right", later(59)).await);
    assert!(world.hashes("alice", "right", later(60)).await);
}

#[tokio::test]
async fn f08_a_guesser_elsewhere_can_not_lock_a_person_out() {
    let world = World::new();
    assert_eq!(
        world.login("alice", "right", "192.0.2.1", now()).await,
        "ALICE"
    );
    let mut throttled = 0;
    for n in 0..150_u32 {
        let from = Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
        let heard = world.login("alice", "guess", &from, later(100)).await;
        throttled += usize::from(heard == "throttled");
    }
    assert!(throttled >= 40, "{throttled} were throttled");
    for (from, heard) in [("192.0.2.9", "throttled"), ("192.0.2.1", "ALICE")] {
        assert_eq!(
            world.login("alice", "right", from, later(100)).await,
            heard,
            "{from}"
        );
    }
}

#[tokio::test]
async fn f08_guesses_from_one_address_are_throttled_for_real_people_and_others() {
    let world = World::new();
    for username in ["alice", "nobody", "carol"] {
        for n in 0..11 {
            let guess = n.to_string();
            let heard = world.login(username, &guess, "192.0.2.1", now());
            let expected = if n < 10 { "refused" } else { "throttled" };
            assert_eq!(heard.await, expected, "{username} {n}");
        }
    }
}

#[tokio::test]
async fn f08_people_and_service_accounts_have_budgets_of_their_own() {
    use crate::passwords::PasswordChecks;
    let world = World::new();
    let options = FactsOptions {
        password_cost: Argon2Params::dangerous_minimum(),
        ..FactsOptions::default()
    };
    // A service account of the same name spends all of its own, at the same counters.
    let accounts = PasswordChecks::new(
        &options.passwords(Kind::Account),
        Arc::clone(&world.pool),
        &SystemEntropy,
    );
    let from = "192.0.2.1".parse().unwrap();
    let mut checked = Checked::Refused;
    for _ in 0..11 {
        checked = accounts
            .check(None, "alice", b"guess", from, &world.people.counters, now())
            .await
            .unwrap();
    }
    assert_eq!(checked, Checked::Throttled);
    assert_eq!(
        world.login("alice", "guess", "192.0.2.1", now()).await,
        "refused"
    );
}

#[tokio::test]
async fn a_change_takes_effect_with_its_invalidation() {
    let world = World::new();
    let known = world.people.person("sub-alice", now()).await.unwrap();
    assert_eq!(known.as_deref().map(String::as_str), Some("ALICE"));
    world.login("alice", "right", "192.0.2.1", now()).await;
    let asked = world.stored.asked.load(Ordering::SeqCst);
    for _ in 0..5 {
        world.people.person("sub-alice", later(5)).await.unwrap();
    }
    assert_eq!(
        world.stored.asked.load(Ordering::SeqCst),
        asked,
        "remembered"
    );

    let suspend = |stored: &Stored| {
        let mut people = stored.people.lock();
        people.get_mut("alice").unwrap().admitted = false;
    };
    suspend(&world.stored);
    world
        .people
        .invalidate(&HashSet::from([Changed::Owner("doc-alice".into())]));
    assert!(
        world
            .people
            .person("sub-alice", later(5))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        world.login("alice", "right", "192.0.2.1", later(5)).await,
        "refused",
        "though it matched lately"
    );
    for gone in ["sub-carol", "sub-nobody"] {
        let person = world.people.person(gone, now()).await.unwrap();
        assert!(person.is_none(), "{gone}");
    }
}

#[tokio::test]
async fn without_the_store_a_known_person_is_known_and_a_new_one_unavailable() {
    let world = World::new();
    world.people.person("sub-alice", now()).await.unwrap();
    *world.stored.away.lock() = true;
    let known = world.people.person("sub-alice", later(100)).await.unwrap();
    assert!(known.is_some(), "this node was in touch lately");
    assert!(world.people.person("sub-alice", later(601)).await.is_err());
    world.people.contact(later(600));
    assert!(world.people.person("sub-alice", later(601)).await.is_ok());
    assert_eq!(
        world.login("alice", "right", "192.0.2.1", now()).await,
        "unavailable"
    );
}
