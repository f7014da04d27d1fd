use core::net::{IpAddr, Ipv4Addr};
use core::pin::Pin;
use std::io;
use std::sync::atomic::Ordering;

use proof::jose::key::SigningKey;
use verdict::credential::jwt::ConfigId;

use super::*;
use crate::fetch::tests::{Authority, Server, loopback_listed, ok};
use crate::fetch::{FetchOptions, Resolve};

const ES256: Algorithm = Algorithm::ES256;

struct Loopback;

impl Resolve for Loopback {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(core::future::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])))
    }
}

/// An issuer on loopback, the sets that fetch from it, and the time that a fetch needs.
struct World {
    server: Server,
    sets: Arc<KeySets>,
    keys: Vec<SigningKey>,
}

fn key() -> SigningKey {
    SigningKey::generate(ES256).unwrap()
}

fn published(keys: &[SigningKey]) -> Vec<u8> {
    let set = JwkSet::new(keys.iter().map(SigningKey::public_jwk).collect());
    ok(&serde_json::to_string(&set).unwrap())
}

fn profile(algorithms: &[Algorithm]) -> IssuerProfile {
    IssuerProfile {
        config: ConfigId(1),
        issuer: IssuerId::new("https://issuer.example"),
        own: false,
        algorithms: algorithms.to_vec(),
        types: vec!["at+jwt".into()],
        access_token_guards: Vec::new(),
        required_claims: Vec::new(),
        max_lifetime: None,
        leeway: Duration::from_secs(60),
        scope_claims: Vec::new(),
        role_claims: Vec::new(),
        tenant_claim: None,
        forward_claims: Vec::new(),
        introspection: None,
    }
}

impl World {
    async fn new(options: KeySetOptions) -> Self {
        let authority = Authority::new();
        let keys = vec![key()];
        let tls = authority.server("issuer.example", |_| ());
        let server = Server::start(Some(tls), published(&keys)).await;
        let fetch = FetchOptions {
            total_time: Duration::from_millis(500),
            ..loopback_listed(authority.trust())
        };
        let fetcher = Arc::new(Fetcher::with_resolver(fetch, Arc::new(Loopback)).unwrap());
        let sets = Arc::new(KeySets::new(fetcher, options));
        sets.configure([(
            profile(&[]).issuer,
            KeySource::Url(server.url("issuer.example")),
        )]);
        Self { server, sets, keys }
    }

    async fn ask(&self, kid: &str) -> Answer<bool> {
        let found = self
            .sets
            .verification_key(&profile(&[ES256]), Some(kid), ES256)
            .await?;
        Ok(found.is_some())
    }

    fn fetches(&self) -> usize {
        self.server.requests.load(Ordering::SeqCst)
    }

    fn publish(&mut self, keys: Vec<SigningKey>) {
        *self.server.answer.lock() = published(&keys);
        self.keys = keys;
    }

    fn break_down(&self) {
        *self.server.answer.lock() = b"HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n".to_vec();
    }
}

/// Long enough that no test reaches it by chance.
const NEVER: Duration = Duration::from_secs(3600);

fn options(ttl: Duration, refresh_after: Duration, min_interval: Duration) -> KeySetOptions {
    KeySetOptions {
        ttl,
        refresh_after,
        max_stale: NEVER,
        min_interval,
    }
}

#[tokio::test]
async fn a_key_is_fetched_once_and_found_again_without_asking() {
    let world = World::new(options(NEVER, NEVER, NEVER)).await;
    for _ in 0..5 {
        assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    }
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn c07_a_flood_of_unknown_kids_makes_one_fetch() {
    let world = Arc::new(World::new(options(NEVER, NEVER, Duration::from_millis(300))).await);
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    tokio::time::sleep(Duration::from_millis(350)).await;
    let flood: Vec<_> = (0..200)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.ask(&format!("made-up-{n}")).await })
        })
        .collect();
    for asked in flood {
        assert_eq!(asked.await.unwrap(), Ok(false));
    }
    // Further ones within the interval make none at all.
    assert_eq!(world.ask("made-up").await, Ok(false));
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn c07_a_real_new_key_is_accepted_within_one_fetch() {
    let mut world = World::new(options(NEVER, NEVER, Duration::from_millis(50))).await;
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    world.publish(vec![key(), key()]);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(world.ask(world.keys[1].kid()).await, Ok(true));
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn c07_a_caller_that_leaves_does_not_take_the_fetch_along() {
    let world = Arc::new(World::new(options(NEVER, NEVER, NEVER)).await);
    let first = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.ask("anything").await }
    });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn c08_when_keys_can_not_be_had_the_answer_is_unavailable_and_never_a_pass() {
    let world = World::new(options(NEVER, NEVER, Duration::from_millis(50))).await;
    world.break_down();
    for _ in 0..3 {
        assert_eq!(
            world.ask(world.keys[0].kid()).await,
            Err(Unavailable::KeySet)
        );
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(world.sets.failing(), [profile(&[]).issuer]);
    let unknown = IssuerProfile {
        issuer: IssuerId::new("https://other.example"),
        ..profile(&[ES256])
    };
    let answer = world
        .sets
        .verification_key(&unknown, Some("a"), ES256)
        .await;
    assert_eq!(answer.map(|_| ()), Err(Unavailable::KeySet));
}

#[tokio::test]
async fn c08_a_garbled_key_set_is_a_failure_and_keeps_the_good_one() {
    let world = World::new(options(NEVER, NEVER, Duration::from_millis(10))).await;
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    for garbled in ["", "{}", "[]", r#"{"keys":[],"keys":[]}"#, "<html>"] {
        *world.server.answer.lock() = ok(garbled);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(
            world.ask("unknown").await,
            Err(Unavailable::KeySet),
            "{garbled}"
        );
        assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true), "{garbled}");
    }
}

#[tokio::test]
async fn the_last_good_set_bridges_an_outage_up_to_its_bound() {
    let world = World::new(KeySetOptions {
        ttl: Duration::from_millis(100),
        refresh_after: Duration::from_millis(80),
        max_stale: Duration::from_millis(900),
        min_interval: Duration::from_millis(50),
    })
    .await;
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    world.break_down();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    assert_eq!(world.ask("perhaps-new").await, Err(Unavailable::KeySet));
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(
        world.ask(world.keys[0].kid()).await,
        Err(Unavailable::KeySet)
    );
}

#[tokio::test]
async fn a_key_that_the_issuer_took_back_is_refused_after_the_sets_time() {
    let ttl = Duration::from_millis(100);
    let mut world = World::new(options(ttl, ttl, Duration::from_millis(10))).await;
    let old = world.keys[0].kid().to_owned();
    assert_eq!(world.ask(&old).await, Ok(true));
    world.publish(vec![key()]);
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(world.ask(&old).await, Ok(false));
}

#[tokio::test]
async fn a_set_is_renewed_in_the_background_before_it_expires() {
    let mut world = World::new(options(
        NEVER,
        Duration::from_millis(100),
        Duration::from_millis(20),
    ))
    .await;
    let sets = Arc::clone(&world.sets);
    let fresh = tokio::spawn(async move { sets.keep_fresh().await });
    for _ in 0..100 {
        if world.fetches() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.publish(vec![key()]);
    let remote = match world.sets.issuers.load().values().next() {
        Some(Kept::Remote(remote)) => Arc::clone(remote),
        _ => panic!("the issuer is fetched"),
    };
    let new = world.keys[0].kid();
    let mut renewed = false;
    for _ in 0..100 {
        renewed = remote
            .usable()
            .is_some_and(|good| good.keys.find(Some(new), ES256).is_some());
        if renewed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fresh.abort();
    assert!(
        renewed,
        "no call asked for the new key, and it was not fetched"
    );
}

#[tokio::test]
async fn configuring_anew_keeps_what_an_unchanged_url_brought() {
    let world = World::new(options(NEVER, NEVER, NEVER)).await;
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    let url = world.server.url("issuer.example");
    world.sets.configure([
        (profile(&[]).issuer, KeySource::Url(url)),
        (
            IssuerId::new("https://own.example"),
            KeySource::Own(OwnKeys::new()),
        ),
    ]);
    assert_eq!(world.ask(world.keys[0].kid()).await, Ok(true));
    assert_eq!(world.fetches(), 1);
    world.sets.configure([]);
    assert_eq!(
        world.ask(world.keys[0].kid()).await,
        Err(Unavailable::KeySet)
    );
}

fn offline() -> KeySets {
    let fetcher = Fetcher::new(FetchOptions::default()).unwrap();
    KeySets::new(Arc::new(fetcher), KeySetOptions::default())
}

#[tokio::test]
async fn own_keys_are_what_was_pushed_last() {
    let (sets, own) = (offline(), OwnKeys::new());
    sets.configure([(profile(&[]).issuer, KeySource::Own(own.clone()))]);
    let (first, second) = (key(), key());
    let ask = async |key: &SigningKey| {
        let found = sets
            .verification_key(&profile(&[ES256]), Some(key.kid()), ES256)
            .await;
        found.map(|found| found.is_some())
    };
    assert_eq!(ask(&first).await, Err(Unavailable::KeySet));
    own.publish(&JwkSet::new(vec![first.public_jwk()]));
    assert_eq!(
        (ask(&first).await, ask(&second).await),
        (Ok(true), Ok(false))
    );
    own.publish(&JwkSet::new(vec![second.public_jwk()]));
    assert_eq!(
        (ask(&first).await, ask(&second).await),
        (Ok(false), Ok(true))
    );
}

#[tokio::test]
async fn c01_a_key_answers_to_its_own_algorithm_alone() {
    let sets = offline();
    let ours = key();
    sets.configure([(
        profile(&[]).issuer,
        KeySource::Static(JwkSet::new(vec![ours.public_jwk()])),
    )]);
    let ask = async |allowed: &[Algorithm], algorithm| {
        let found = sets
            .verification_key(&profile(allowed), Some(ours.kid()), algorithm)
            .await;
        found.map(|found| found.map(|key| key.alg()))
    };
    for algorithm in Algorithm::ALL {
        let expected = (algorithm == ES256).then_some(ES256);
        assert_eq!(ask(&Algorithm::ALL, algorithm).await, Ok(expected));
    }
    assert_eq!(
        ask(&[Algorithm::EdDSA], ES256).await,
        Ok(None),
        "not an algorithm of the profile"
    );
}

#[tokio::test]
async fn without_a_kid_only_an_only_key_is_found() {
    let sets = offline();
    let ask = async |keys: &[&SigningKey]| {
        let set = JwkSet::new(keys.iter().map(|key| key.public_jwk()).collect());
        sets.configure([(profile(&[]).issuer, KeySource::Static(set))]);
        let found = sets.verification_key(&profile(&[ES256]), None, ES256).await;
        found.map(|found| found.is_some())
    };
    let (first, second) = (key(), key());
    let other = SigningKey::generate(Algorithm::EdDSA).unwrap();
    assert_eq!(ask(&[&first]).await, Ok(true));
    assert_eq!(ask(&[&first, &other]).await, Ok(true));
    assert_eq!(ask(&[&first, &second]).await, Ok(false));
    assert_eq!(ask(&[&other]).await, Ok(false));
}
