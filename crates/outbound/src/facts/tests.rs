mod signing;

use core::net::Ipv4Addr;
use core::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use proof::issued::{Environment, SecretKind};
use proof::jose::jwk::JwkSet;
use proof::password::{Verifier, hash};
use proof::random::SystemEntropy;
use verdict::credential::jwt::IssuerId;
use verdict::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, LifeState, Principal, Scopes, SecretId,
    StoredPassword, SubjectId,
};

use super::*;
use crate::clients::ClientKeys;
use crate::fetch::{FetchOptions, Fetcher};
use crate::introspection::IntrospectionOptions;
use crate::keysets::KeySetOptions;
use crate::published::PublishedKeys;
use crate::revocations::Revoked;
use crate::statuses::StatusOptions;

mod opaque;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

pub(crate) fn standing(credential: &str) -> Standing {
    Standing {
        principal: Principal::Service(SubjectId::new("sub_1")),
        credential: CredentialId::new(credential),
        application: None,
        client: None,
        scopes: Scopes::default(),
        roles: Vec::new(),
        apis: ApiAllow::Listed(Vec::new()),
        environment: Some(Environment::Live),
        tenant: None,
        networks: Vec::new(),
        origins: Vec::new(),
        claims: serde_json::Map::new(),
    }
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

pub(crate) fn weak(secret: &[u8]) -> Arc<Verifier> {
    Arc::new(hash(secret, Argon2Params::dangerous_minimum(), &SystemEntropy).unwrap())
}

fn id(n: u64) -> KeyId {
    KeyId::parse(format!("{n:016}")).unwrap()
}

fn key(n: u64, verifier: &Arc<Verifier>) -> IssuedKey {
    IssuedKey {
        key_id: Some(id(n)),
        kind: SecretKind::SecretKey,
        verifier: Arc::clone(verifier),
        state: LifeState::Active,
        expires_at: None,
        standing: Arc::new(standing(&format!("key_{n}"))),
    }
}

/// A password as stored; in these tests its id says what it is.
pub(crate) fn password(text: &[u8]) -> StoredPassword {
    StoredPassword {
        id: SecretId::new(format!("pwd_{}", String::from_utf8_lossy(text))),
        verifier: weak(text),
        valid_until: None,
    }
}

fn account(name: &str, passwords: &[&[u8]]) -> Account {
    Account {
        username: name.into(),
        passwords: passwords.iter().map(|text| password(text)).collect(),
        state: LifeState::Active,
        expires_at: None,
        standing: Arc::new(standing(&format!("acc_{name}"))),
    }
}

/// What is stored, and whether the store answers.
#[derive(Default)]
struct Stored {
    keys: Mutex<HashMap<KeyId, IssuedKey>>,
    digests: Mutex<HashMap<TokenHash, IssuedKey>>,
    prefixes: Mutex<HashMap<String, IssuedKey>>,
    accounts: Mutex<HashMap<String, Account>>,
    signing: Mutex<HashMap<String, signing::Written>>,
    tokens: Mutex<HashMap<TokenHash, String>>,
    gone: AtomicBool,
    asked: AtomicUsize,
}

impl Stored {
    fn answer<T>(&self, found: Option<T>) -> Answer<Option<T>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.gone.load(Ordering::SeqCst) {
            return Err(Unavailable::Store);
        }
        Ok(found)
    }
}

impl Records for Stored {
    async fn key_by_id(&self, id: KeyId) -> Answer<Option<IssuedKey>> {
        self.answer(self.keys.lock().get(&id).cloned())
    }
    async fn key_by_digest(&self, digest: &TokenHash) -> Answer<Option<IssuedKey>> {
        self.answer(self.digests.lock().get(digest).cloned())
    }
    async fn key_by_prefix(&self, prefix: &str) -> Answer<Option<IssuedKey>> {
        self.answer(self.prefixes.lock().get(prefix).cloned())
    }
    async fn opaque_token(&self, hash: &TokenHash) -> Answer<Option<String>> {
        let found = self.tokens.lock().get(hash).cloned();
        // Long enough for others to come meanwhile.
        tokio::task::yield_now().await;
        self.answer(found)
    }
    async fn account(&self, username: &str) -> Answer<Option<Account>> {
        self.answer(self.accounts.lock().get(username).cloned())
    }
    async fn signing_key(&self, key_id: &str) -> Answer<Option<SigningKey>> {
        let written = self.signing.lock().get(key_id).cloned();
        self.answer(written.map(|written| written.key(key_id)))
    }
}

/// Budgets by the very rule, kept in one map.
#[derive(Default)]
pub(crate) struct Budgets(Mutex<HashMap<LimitKey, verdict::limit::Arrival>>);

impl Counters for Budgets {
    async fn take(&self, key: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Answer<Taken> {
        let mut budgets = self.0.lock();
        let (arrival, taken) = verdict::limit::step(budgets.get(key).copied(), rate, cost, now);
        budgets.insert(key.clone(), arrival);
        Ok(taken)
    }
    async fn penalty(&self, _: IpAddr, _: &Penalties, _: Timestamp) -> Answer<Option<Penalty>> {
        Ok(None)
    }
    async fn failed(&self, _: IpAddr, _: &Penalties, _: Timestamp) -> Answer<Option<Penalty>> {
        Ok(None)
    }
    async fn probing(&self, _: &str, _: &Probing, _: Timestamp) -> Answer<Option<Duration>> {
        Ok(None)
    }
    async fn probed(&self, _: &str, _: &str, _: &Probing, _: Timestamp) -> Answer<Option<Noticed>> {
        Ok(None)
    }
}

/// Ids that were used, for ever.
#[derive(Default)]
struct Spent(Mutex<std::collections::HashSet<String>>);

impl Replays for Spent {
    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<FirstUse> {
        Ok(match self.0.lock().insert(format!("{scope:?} {id}")) {
            true => FirstUse::Yes,
            false => FirstUse::Replayed,
        })
    }
    async fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<FirstUse> {
        Ok(match self.0.lock().contains(&format!("{scope:?} {id}")) {
            false => FirstUse::Yes,
            true => FirstUse::Replayed,
        })
    }
}

/// A clock that stands still until it is set.
struct StoppedClock(AtomicI64);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    stored: Arc<Stored>,
    clock: Arc<StoppedClock>,
    pool: Arc<HashingPool>,
    facts: Arc<StandardFacts<Arc<Stored>, Budgets, Spent>>,
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(shape: impl FnOnce(&mut FactsOptions)) -> Self {
        let mut options = FactsOptions {
            password_cost: Argon2Params::dangerous_minimum(),
            ..FactsOptions::default()
        };
        shape(&mut options);
        let stored = Arc::new(Stored::default());
        let clock = Arc::new(StoppedClock(AtomicI64::new(now().as_millis())));
        let pool = Arc::new(HashingPool::new(NonZeroUsize::MIN, 64).unwrap());
        let fetcher = Arc::new(Fetcher::new(FetchOptions::default()).unwrap());
        let key_sets = Arc::new(KeySets::new(Arc::clone(&fetcher), KeySetOptions::default()));
        let parts = FactsParts {
            records: Arc::clone(&stored),
            counters: Budgets::default(),
            replays: Spent::default(),
            introspectors: Arc::new(Introspectors::new(
                Arc::clone(&fetcher),
                Arc::clone(&key_sets),
                Arc::new(SystemEntropy),
                IntrospectionOptions::default(),
            )),
            key_sets,
            authorities: Arc::default(),
            statuses: Arc::new(Statuses::new(
                Arc::clone(&fetcher),
                StatusOptions::default(),
            )),
            paseto_keys: Arc::default(),
            calling_clients: Arc::new(CallingClients::new(Arc::new(PublishedKeys::new(
                fetcher,
                KeySetOptions::default(),
            )))),
            revocations: Arc::default(),
            pool: Arc::clone(&pool),
            peppers: HashMap::from([("p1".to_owned(), Arc::new(MacKey::new(&[9; 32])))]),
            nonces: proof::dpop::nonce::NonceKey::new(&[7; 32]),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let facts = Arc::new(StandardFacts::new(parts, &options, &SystemEntropy));
        Self {
            stored,
            clock,
            pool,
            facts,
        }
    }

    /// Questions to the store so far.
    fn asked(&self) -> usize {
        self.stored.asked.load(Ordering::SeqCst)
    }

    fn store_key(&self, n: u64, secret: &[u8]) {
        self.stored.keys.lock().insert(id(n), key(n, &weak(secret)));
    }

    fn store_account(&self, account: Account) {
        self.stored
            .accounts
            .lock()
            .insert(account.username.to_string(), account);
    }

    async fn check(&self, n: u64, secret: &[u8], now: Timestamp) -> Answer<&'static str> {
        let check = self
            .facts
            .check_key(KeyLookup::Issued(id(n)), secret, now)
            .await?;
        Ok(named(&check))
    }

    async fn login(&self, name: &str, password: &[u8], from: &str, now: Timestamp) -> &'static str {
        let from = from.parse().unwrap();
        match self.facts.check_password(name, password, from, now).await {
            Ok(PasswordCheck::Match(..)) => "match",
            Ok(PasswordCheck::Refused) => "refused",
            Ok(PasswordCheck::Throttled) => "throttled",
            Err(_) => "unavailable",
        }
    }

    /// Makes the pool's only thread wait until the returned sender speaks or goes.
    async fn hold_pool(&self) -> std::sync::mpsc::Sender<()> {
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let pool = Arc::clone(&self.pool);
        tokio::spawn(async move {
            pool.run(move || {
                started.send(()).unwrap();
                hold.recv().is_ok()
            })
            .await
        });
        starts.await.unwrap();
        release
    }
}

fn named(check: &KeyCheck) -> &'static str {
    match check {
        KeyCheck::Unknown => "unknown",
        KeyCheck::Mismatch(_) => "mismatch",
        KeyCheck::Match(_) => "match",
    }
}

#[tokio::test]
async fn a_key_matches_its_secret_and_nothing_else() {
    let world = World::new();
    world.store_key(1, b"right");
    assert_eq!(world.check(1, b"right", now()).await, Ok("match"));
    assert_eq!(world.check(1, b"wrong", now()).await, Ok("mismatch"));
    assert_eq!(world.check(1, &[b'x'; 5000], now()).await, Ok("mismatch"));
    assert_eq!(world.check(2, b"right", now()).await, Ok("unknown"));
}

#[tokio::test]
async fn imported_keys_are_found_by_digest_and_by_prefix() {
    let world = World::new();
    let digest = TokenHash::of(b"foreign-1");
    let sha256 = Arc::new(Verifier::parse(&format!("sha256${digest}")).unwrap());
    world.stored.digests.lock().insert(digest, key(1, &sha256));
    world
        .stored
        .prefixes
        .lock()
        .insert("fk_abc".into(), key(2, &weak(b"fk_abc-secret")));
    for (lookup, presented, expected) in [
        (KeyLookup::Digest(digest), "foreign-1", "match"),
        (
            KeyLookup::Digest(TokenHash::of(b"foreign-2")),
            "foreign-2",
            "unknown",
        ),
        (KeyLookup::Prefix("fk_abc"), "fk_abc-secret", "match"),
        (KeyLookup::Prefix("fk_abc"), "fk_abc-other", "mismatch"),
        (KeyLookup::Prefix("fk_abd"), "fk_abd-secret", "unknown"),
    ] {
        let check = world
            .facts
            .check_key(lookup, presented.as_bytes(), now())
            .await
            .unwrap();
        assert_eq!(named(&check), expected, "{lookup:?}");
    }
}

#[tokio::test]
async fn a_keyed_hash_is_compared_under_its_pepper() {
    let world = World::new();
    let keyed = |pepper_id: &str| {
        Arc::new(
            Verifier::keyed(b"a long random secret", pepper_id, &MacKey::new(&[9; 32])).unwrap(),
        )
    };
    world.stored.keys.lock().insert(id(1), key(1, &keyed("p1")));
    world.stored.keys.lock().insert(id(2), key(2, &keyed("p2")));
    assert_eq!(
        world.check(1, b"a long random secret", now()).await,
        Ok("match")
    );
    assert_eq!(
        world.check(1, b"a long random secre", now()).await,
        Ok("mismatch")
    );
    assert_eq!(
        world.check(2, b"a long random secret", now()).await,
        Ok("mismatch"),
        "pepper gone"
    );
}

#[tokio::test]
async fn a_secret_that_matched_needs_neither_store_nor_pool() {
    let world = World::new();
    world.store_key(1, b"right");
    assert_eq!(world.check(1, b"right", now()).await, Ok("match"));
    let _held = world.hold_pool().await;
    world.stored.gone.store(true, Ordering::SeqCst);
    assert_eq!(world.check(1, b"right", later(20)).await, Ok("match"));
    assert_eq!(world.stored.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_key_is_known_once_it_matched_and_for_as_long_as_its_record_may_be_believed() {
    let world = World::with(|options| options.outage_grace = Duration::from_secs(600));
    world.store_key(1, b"right");
    let known = |n, secret: &[u8], now| {
        let lookup = KeyLookup::Issued(id(n));
        world.facts.known_key(lookup, secret, now).is_some()
    };
    assert!(!known(1, b"right", now()), "never compared");
    assert_eq!(world.check(1, b"wrong", now()).await, Ok("mismatch"));
    assert!(
        !known(1, b"right", now()),
        "only another secret was compared"
    );
    assert_eq!(world.check(1, b"right", now()).await, Ok("match"));
    // Its record is due long before the penalty of its neighbour ends.
    for seconds in [0, 31, 600] {
        assert!(known(1, b"right", later(seconds)), "{seconds}");
        assert!(!known(1, b"wrong", later(seconds)), "{seconds}");
    }
    assert!(!known(1, b"right", later(601)), "out of touch");
    assert!(!known(2, b"right", now()));
    world
        .facts
        .invalidate(&HashSet::from([Changed::Credential("key_1".into())]));
    assert!(!known(1, b"right", now()), "it was changed");
}

#[tokio::test]
async fn an_imported_key_is_never_known_since_it_can_be_guessed() {
    let world = World::new();
    let digest = TokenHash::of(b"foreign-1");
    let sha256 = Arc::new(Verifier::parse(&format!("sha256${digest}")).unwrap());
    world.stored.digests.lock().insert(digest, key(1, &sha256));
    let lookup = KeyLookup::Digest(digest);
    let check = world.facts.check_key(lookup, b"foreign-1", now()).await;
    assert_eq!(check.as_ref().map(named), Ok("match"));
    assert!(world.facts.known_key(lookup, b"foreign-1", now()).is_none());
}

#[tokio::test]
async fn a_changed_verifier_is_obeyed_at_the_next_call() {
    let world = World::new();
    world.store_key(1, b"old");
    assert_eq!(world.check(1, b"old", now()).await, Ok("match"));
    world.store_key(1, b"new");
    world
        .facts
        .invalidate(&HashSet::from([Changed::Credential("key_1".into())]));
    assert_eq!(world.check(1, b"old", now()).await, Ok("mismatch"));
    assert_eq!(world.check(1, b"new", now()).await, Ok("match"));
}

#[tokio::test]
async fn a_revoked_key_is_seen_after_its_invalidation_by_id_by_owner_or_of_all() {
    let cases = [
        Some(Changed::Credential("key_1".into())),
        Some(Changed::Owner("sub_1".into())),
        None,
    ];
    for change in cases {
        let world = World::new();
        world.store_key(1, b"right");
        assert_eq!(world.check(1, b"right", now()).await, Ok("match"));
        world.stored.keys.lock().get_mut(&id(1)).unwrap().state = LifeState::Revoked;
        match &change {
            Some(change) => world.facts.invalidate(&HashSet::from([change.clone()])),
            None => world.facts.invalidate_all(),
        }
        let check = world
            .facts
            .check_key(KeyLookup::Issued(id(1)), b"right", now())
            .await
            .unwrap();
        match check {
            KeyCheck::Match(key) => assert_eq!(key.state, LifeState::Revoked, "{change:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn without_the_store_known_keys_pass_for_the_outage_rule_and_no_longer() {
    let world = World::with(|options| options.outage_grace = Duration::from_secs(600));
    world.store_key(1, b"right");
    assert_eq!(world.check(1, b"right", now()).await, Ok("match"));
    world.stored.gone.store(true, Ordering::SeqCst);
    assert_eq!(world.check(1, b"right", later(599)).await, Ok("match"));
    assert_eq!(
        world.check(2, b"any", later(599)).await,
        Err(Unavailable::Store)
    );
    assert_eq!(
        world.check(1, b"right", later(601)).await,
        Err(Unavailable::Store)
    );
    world.facts.contact(later(602));
    assert_eq!(world.check(1, b"right", later(603)).await, Ok("match"));
}

#[tokio::test]
async fn a_record_that_is_still_fresh_does_not_outlive_the_outage_rule() {
    let world = World::with(|options| options.outage_grace = Duration::from_secs(3));
    world.store_key(1, b"right");
    assert_eq!(world.check(1, b"right", now()).await, Ok("match"));
    world.stored.gone.store(true, Ordering::SeqCst);
    assert_eq!(world.check(1, b"right", later(3)).await, Ok("match"));
    assert_eq!(
        world.check(1, b"right", later(4)).await,
        Err(Unavailable::Store)
    );
}

#[tokio::test]
async fn callers_with_one_new_secret_at_once_cost_one_hash() {
    let world = Arc::new(World::new());
    world.store_key(1, b"right");
    let release = world.hold_pool().await;
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.check(1, b"right", now()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.pool.waiting(), 1);
    release.send(()).unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok("match"));
    }
}

#[tokio::test]
async fn garbage_for_one_key_does_not_starve_another() {
    let world = Arc::new(World::new());
    world.store_key(1, b"aimed at");
    world.store_key(2, b"bystander");
    let release = world.hold_pool().await;
    let garbage: Vec<_> = (0..100)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                world
                    .check(1, format!("garbage {n}").as_bytes(), now())
                    .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.pool.waiting(), 1, "one hash per key at a time");
    let bystander = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.check(2, b"bystander", now()).await }
    });
    release.send(()).unwrap();
    assert_eq!(bystander.await.unwrap(), Ok("match"));
    let (mut hashed, mut delayed) = (0, 0);
    for call in garbage {
        match call.await.unwrap() {
            Ok("mismatch") => hashed += 1,
            Err(Unavailable::HashingPool) => delayed += 1,
            other => panic!("{other:?}"),
        }
    }
    // A few were hashed, the sixth drew the first delay, and the rest had to wait.
    assert_eq!((hashed, delayed), (6, 94));
    // The delay passes, and the owner gets in.
    assert_eq!(world.check(1, b"aimed at", later(1)).await, Ok("match"));
}

#[tokio::test]
async fn garbage_is_counted_although_its_sender_hangs_up() {
    let world = Arc::new(World::new());
    world.store_key(1, b"right");
    for n in 0..6 {
        let release = world.hold_pool().await;
        let call = tokio::spawn({
            let world = Arc::clone(&world);
            async move {
                world
                    .check(1, format!("garbage {n}").as_bytes(), now())
                    .await
            }
        });
        while world.pool.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        call.abort();
        assert!(call.await.is_err(), "the caller hung up");
        release.send(()).unwrap();
    }
    let answer = world.check(1, b"garbage 6", now()).await;
    assert_eq!(
        answer,
        Err(Unavailable::HashingPool),
        "six were hashed and none counted"
    );
}

#[tokio::test]
async fn the_same_garbage_is_hashed_once() {
    let world = World::new();
    world.store_key(1, b"right");
    assert_eq!(world.check(1, b"stale secret", now()).await, Ok("mismatch"));
    let _held = world.hold_pool().await;
    for _ in 0..50 {
        assert_eq!(world.check(1, b"stale secret", now()).await, Ok("mismatch"));
    }
    assert_eq!(world.pool.waiting(), 0);
}

#[tokio::test]
async fn an_unknown_id_costs_no_hash_and_one_question_a_second() {
    let world = World::new();
    let _held = world.hold_pool().await;
    for _ in 0..50 {
        assert_eq!(world.check(9, b"anything", now()).await, Ok("unknown"));
    }
    assert_eq!(
        (
            world.pool.waiting(),
            world.stored.asked.load(Ordering::SeqCst)
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn a_password_matches_while_it_is_in_force() {
    let world = World::new();
    let mut account = account("robot", &[b"first", b"second"]);
    account.passwords[0].valid_until = Some(later(10));
    world.store_account(account);
    assert_eq!(
        world.login("robot", b"first", "192.0.2.1", now()).await,
        "match"
    );
    assert_eq!(
        world.login("robot", b"second", "192.0.2.1", now()).await,
        "match"
    );
    assert_eq!(
        world.login("robot", b"first", "192.0.2.1", later(10)).await,
        "refused"
    );
    assert_eq!(
        world
            .login("robot", b"second", "192.0.2.1", later(10))
            .await,
        "match"
    );
    assert_eq!(
        world.login("robot", b"third", "192.0.2.1", later(10)).await,
        "refused"
    );
    assert_eq!(
        world
            .login("nobody", b"first", "192.0.2.1", later(10))
            .await,
        "refused"
    );
}

#[tokio::test]
async fn f08_unknown_accounts_and_wrong_passwords_cost_the_pool_the_same() {
    let world = Arc::new(World::new());
    world.store_account(account("robot", &[b"right"]));
    for name in ["robot", "nobody"] {
        let release = world.hold_pool().await;
        let call = tokio::spawn({
            let world = Arc::clone(&world);
            async move { world.login(name, b"wrong", "192.0.2.1", now()).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(world.pool.waiting(), 1, "{name}");
        release.send(()).unwrap();
        assert_eq!(call.await.unwrap(), "refused", "{name}");
    }
}

#[tokio::test]
async fn a_password_that_matched_lately_is_not_hashed_for_five_minutes_at_most() {
    let world = World::with(|options| options.password_ttl = Duration::from_secs(3600));
    world.store_account(account("robot", &[b"right"]));
    assert_eq!(
        world.login("robot", b"right", "192.0.2.1", now()).await,
        "match"
    );
    let _held = world.hold_pool().await;
    for _ in 0..50 {
        assert_eq!(
            world
                .login("robot", b"right", "192.0.2.1", later(299))
                .await,
            "match"
        );
    }
    let login = world.login("robot", b"right", "192.0.2.1", later(300));
    let hashed = tokio::time::timeout(Duration::from_millis(50), login).await;
    assert!(hashed.is_err(), "{hashed:?} without a hash");
}

#[tokio::test]
async fn a_password_that_was_taken_back_is_refused_after_its_invalidation() {
    let world = World::new();
    world.store_account(account("robot", &[b"old"]));
    assert_eq!(
        world.login("robot", b"old", "192.0.2.1", now()).await,
        "match"
    );
    world.store_account(account("robot", &[b"new"]));
    world
        .facts
        .invalidate(&HashSet::from([Changed::Owner("robot".into())]));
    assert_eq!(
        world.login("robot", b"old", "192.0.2.1", now()).await,
        "refused"
    );
    assert_eq!(
        world.login("robot", b"new", "192.0.2.1", now()).await,
        "match"
    );
}

#[tokio::test]
async fn f08_guessing_is_throttled_by_account_and_address() {
    let world = World::new();
    world.store_account(account("robot", &[b"right"]));
    let guess = async |name: &str, n: usize, from: &str| {
        world
            .login(name, format!("guess {n}").as_bytes(), from, now())
            .await
    };
    for name in ["robot", "nobody"] {
        for n in 0..10 {
            assert_eq!(guess(name, n, "192.0.2.1").await, "refused", "{name}");
        }
        assert_eq!(guess(name, 10, "192.0.2.1").await, "throttled", "{name}");
    }
    // Another account from there, and the account from elsewhere, go on.
    assert_eq!(guess("other", 0, "192.0.2.1").await, "refused");
    assert_eq!(
        world.login("robot", b"right", "192.0.2.2", now()).await,
        "match"
    );
    // Budgets come back with time.
    assert_eq!(
        world.login("robot", b"right", "192.0.2.1", later(60)).await,
        "match"
    );
}

#[tokio::test]
async fn f08_one_subscribers_ipv6_addresses_share_a_budget() {
    let world = World::new();
    for n in 0..11 {
        let from = format!("2001:db8:1:2::{n:x}");
        let expected = if n < 10 { "refused" } else { "throttled" };
        assert_eq!(world.login("robot", b"guess", &from, now()).await, expected);
    }
    assert_eq!(
        world
            .login("robot", b"guess", "2001:db8:1:3::1", now())
            .await,
        "refused"
    );
}

#[tokio::test]
async fn f08_a_guesser_elsewhere_can_not_lock_the_owner_out() {
    let world = World::new();
    world.store_account(account("robot", &[b"right"]));
    assert_eq!(
        world.login("robot", b"right", "192.0.2.1", now()).await,
        "match"
    );
    // From a thousand addresses, until the account's own budget is spent.
    let mut throttled = 0;
    for n in 0..150_u32 {
        let from = Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
        let answer = world.login("robot", b"guess", &from, later(299)).await;
        throttled += usize::from(answer == "throttled");
    }
    assert!(throttled >= 50, "{throttled} were throttled");
    // Its remembered password has ended by now, so this one is hashed.
    assert_eq!(
        world
            .login("robot", b"right", "192.0.2.1", later(301))
            .await,
        "match"
    );
    assert_eq!(
        world
            .login("robot", b"right", "192.0.2.99", later(301))
            .await,
        "match",
        "remembered"
    );
    world.facts.invalidate_all();
    assert_eq!(
        world
            .login("robot", b"right", "192.0.2.99", later(301))
            .await,
        "match",
        "it got in before"
    );
    assert_eq!(
        world
            .login("robot", b"right", "192.0.2.100", later(301))
            .await,
        "match",
        "remembered"
    );
    world.facts.invalidate_all();
    assert_eq!(
        world
            .login("robot", b"right", "192.0.2.101", later(301))
            .await,
        "throttled",
        "a stranger"
    );
}

fn token(expires_at: Timestamp) -> VerifiedToken {
    VerifiedToken {
        config: ConfigId(1),
        issuer: IssuerId::new("https://issuer.example"),
        audiences: Vec::new(),
        expires_at,
        not_before: None,
        issued_at: Some(now()),
        token_id: Some("t1".into()),
        binding: None,
        grant_id: None,
        made_by: None,
        standing: Arc::new(standing("tok_1")),
    }
}

#[test]
fn c06_a_token_is_known_under_its_whole_hash_and_configuration_alone() {
    let world = World::new();
    let hash = TokenHash::of(b"token");
    world
        .facts
        .remember_token(hash, ConfigId(1), Arc::new(token(later(60))));
    assert!(world.facts.known_token(&hash, ConfigId(1)).is_some());
    assert!(world.facts.known_token(&hash, ConfigId(2)).is_none());
    assert!(
        world
            .facts
            .known_token(&TokenHash::of(b"tokem"), ConfigId(1))
            .is_none()
    );
}

#[test]
fn the_cache_of_tokens_is_bounded_and_drops_what_expired() {
    let world = World::with(|options| options.max_tokens = 1000);
    for n in 0..5000_u32 {
        let hash = TokenHash::of(&n.to_be_bytes());
        world.facts.remember_token(
            hash,
            ConfigId(1),
            Arc::new(token(later(u64::from(n % 2) * 100))),
        );
    }
    let (held, ..) = world.facts.held();
    assert!((1..=1100).contains(&held), "{held} tokens");
    world.facts.drop_expired(later(1));
    let (left, ..) = world.facts.held();
    assert!(left < held && left > 0, "{left} of {held} tokens");
    world.facts.drop_expired(later(100));
    assert_eq!(world.facts.held().0, 0);
}

#[test]
fn a_pushed_revocation_is_in_force_at_once() {
    let world = World::new();
    assert_eq!(world.facts.revoked(&token(later(60))), Ok(false));
    let entry = Revoked::Token {
        issuer: IssuerId::new("https://issuer.example"),
        token_id: "t1".into(),
        until: later(60),
    };
    world.facts.revocations().extend([entry], now());
    assert_eq!(world.facts.revoked(&token(later(60))), Ok(true));
}

#[test]
fn c08_a_node_cut_off_for_too_long_can_not_say_what_was_revoked() {
    let world = World::with(|options| options.outage_grace = Duration::from_secs(600));
    let token = token(later(10_000));
    world
        .clock
        .0
        .store(later(600).as_millis(), Ordering::SeqCst);
    assert_eq!(world.facts.revoked(&token), Ok(false));
    world
        .clock
        .0
        .store(later(601).as_millis(), Ordering::SeqCst);
    assert_eq!(world.facts.revoked(&token), Err(Unavailable::CutOff));
    assert!(!world.facts.in_touch(later(601)));
    world.facts.contact(later(601));
    assert_eq!(world.facts.revoked(&token), Ok(false));
}

#[test]
fn c08_a_node_cut_off_for_too_long_can_not_say_which_clients_still_sign_their_calls() {
    let world = World::with(|options| options.outage_grace = Duration::from_secs(600));
    let client = CallingClient {
        client: ClientId::new("export"),
        application: ApplicationId::new("shop"),
        environment: Environment::Live,
        grants: Vec::new(),
        roles: Vec::new(),
        networks: Vec::new(),
        algorithms: Vec::new(),
        certificates: None,
    };
    let keys = ClientKeys::Declared(JwkSet::new(Vec::new()));
    world.facts.calling_clients().configure([(client, keys)]);
    let found = |seconds| {
        let at = later(seconds).as_millis();
        world.clock.0.store(at, Ordering::SeqCst);
        let client = world.facts.calling_client("export");
        client.map(|client| client.is_some())
    };
    assert_eq!(found(600), Ok(true));
    assert_eq!(found(601), Err(Unavailable::CutOff));
    assert!(world.facts.calling_client("nobody").unwrap().is_none());
    world.facts.contact(later(601));
    assert_eq!(found(601), Ok(true));
}

#[tokio::test]
async fn limits_are_asked_of_the_shared_counters() {
    let world = World::new();
    let rate = Rate {
        limit: 1,
        period: Duration::from_secs(60),
    };
    let take = async || {
        world
            .facts
            .take(&LimitKey::Principal(1, 1), &rate, 1, now())
            .await
    };
    assert!(take().await.unwrap().allowed);
    assert!(!take().await.unwrap().allowed);
}
