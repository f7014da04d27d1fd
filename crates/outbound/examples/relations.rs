//! What a check of relations costs at a million tuples and ten thousand users: 500 000 orders, each
//! with its owner and its shop, and a thousand shops with ten people each. One thread, no network;
//! prints nanoseconds per question.
//!
//! `cargo run --release -p doorward-outbound --example relations`

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbound::clients::CallingClients;
use outbound::clock::{Clock as _, SystemClock};
use outbound::facts::{FactsOptions, FactsParts, StandardFacts};
use outbound::fetch::{FetchOptions, Fetcher};
use outbound::hashing::HashingPool;
use outbound::introspection::{IntrospectionOptions, Introspectors};
use outbound::keysets::{KeySetOptions, KeySets};
use outbound::published::PublishedKeys;
use outbound::statuses::{StatusOptions, Statuses};
use proof::digest::TokenHash;
use proof::issued::KeyId;
use proof::random::SystemEntropy;
use proof::time::Timestamp;
use verdict::facts::{Answer, Counters, FirstUse, Records, ReplayScope, Replays};
use verdict::identity::{Account, IssuedKey, SigningKey};
use verdict::limit::{LimitKey, Rate, Taken, step};
use verdict::penalty::{Penalties, Penalty};
use verdict::policy::relations::{
    Extent, Grant, Model, Object, Related, Standing, Subject, WrittenRelation, WrittenTypes, check,
};
use verdict::probing::{Noticed, Probing};

const ORDERS: usize = 500_000;
const SHOPS: usize = 1_000;
const USERS: usize = 10_000;
const ROUNDS: usize = 500_000;

/// Tuples in memory: what stands for a database is not what is measured.
struct Stored(HashMap<(String, String), Vec<Subject>>);

impl Stored {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let mut tuples: HashMap<(String, String), Vec<Subject>> = HashMap::new();
        let mut add = |object: String, relation: &str, subject: String| -> Result<(), String> {
            let subject = subject
                .parse::<Subject>()
                .map_err(|why| format!("{subject}: {why}"))?;
            let pair = (object, relation.to_owned());
            tuples.entry(pair).or_default().push(subject);
            Ok(())
        };
        for order in 0..ORDERS {
            let object = format!("order:{order}");
            add(object.clone(), "owner", format!("user:u{}", order % USERS))?;
            add(object, "shop", format!("shop:s{}", order % SHOPS))?;
        }
        for user in 0..USERS {
            add(
                format!("shop:s{}", user % SHOPS),
                "staff",
                format!("user:u{user}"),
            )?;
        }
        Ok(Self(tuples))
    }
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
    async fn opaque_token(&self, _: &TokenHash) -> Answer<Option<String>> {
        Ok(None)
    }
    async fn account(&self, _: &str) -> Answer<Option<Account>> {
        Ok(None)
    }
    async fn signing_key(&self, _: &str) -> Answer<Option<SigningKey>> {
        Ok(None)
    }
    async fn related(&self, object: &Object, relation: &str) -> Answer<Related> {
        let pair = (object.as_str().to_owned(), relation.to_owned());
        let subjects = self.0.get(&pair).into_iter().flatten();
        let standing = subjects.map(|subject| Standing {
            subject: subject.clone(),
            grant: Grant::default(),
        });
        Ok(Related::new(standing.collect(), Extent::Whole))
    }
}

/// Budgets that are always whole.
struct Whole;

impl Counters for Whole {
    async fn take(&self, _: &LimitKey, rate: &Rate, cost: u32, now: Timestamp) -> Answer<Taken> {
        Ok(step(None, rate, cost, now).1)
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

/// Nothing was used before.
struct Fresh;

impl Replays for Fresh {
    async fn first_use(
        &self,
        _: ReplayScope<'_>,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<FirstUse> {
        Ok(FirstUse::Yes)
    }
    async fn look_at_use(
        &self,
        _: ReplayScope<'_>,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<FirstUse> {
        Ok(FirstUse::Yes)
    }
}

fn model() -> Result<Model, Box<dyn std::error::Error>> {
    let list = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let relation = |direct: &[&str], any_of: &[&str]| WrittenRelation {
        direct: list(direct),
        any_of: list(any_of),
        ..WrittenRelation::default()
    };
    let types = WrittenTypes::from([
        ("user".to_owned(), BTreeMap::new()),
        (
            "shop".to_owned(),
            BTreeMap::from([("staff".to_owned(), relation(&["user"], &[]))]),
        ),
        (
            "order".to_owned(),
            BTreeMap::from([
                ("shop".to_owned(), relation(&["shop"], &[])),
                ("owner".to_owned(), relation(&["user"], &[])),
                ("viewer".to_owned(), relation(&[], &["owner", "shop.staff"])),
            ]),
        ),
    ]);
    Model::prepare(&types).map_err(|misfits| format!("{misfits:?}").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = SystemClock;
    let now = clock.now();
    let fetcher = Arc::new(Fetcher::new(FetchOptions::default())?);
    let key_sets = Arc::new(KeySets::new(Arc::clone(&fetcher), KeySetOptions::default()));
    let parts = FactsParts {
        records: Stored::new()?,
        counters: Whole,
        replays: Fresh,
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
        pool: Arc::new(HashingPool::new(NonZeroUsize::MIN, 8)?),
        peppers: HashMap::new(),
        nonces: proof::dpop::nonce::NonceKey::new(&[7; 32]),
        clock: Arc::new(clock),
    };
    // Room for all of it, so that what is measured is a warm cache at its largest.
    let options = FactsOptions {
        max_relations: 4_000_000,
        ..FactsOptions::default()
    };
    let facts = StandardFacts::new(parts, &options, &SystemEntropy);
    let model = model()?;

    // Orders in an order that no cache of the processor likes.
    let order = |round: usize| format!("order:{}", (round * 48_271) % ORDERS).parse::<Object>();
    let started = Instant::now();
    for round in 0..ORDERS {
        let nobody = "user:nobody".parse::<Object>()?;
        check(&model, &nobody, "viewer", &order(round)?, &facts, now).await?;
    }
    report(
        "no, for the first time, three pairs loaded",
        started,
        ORDERS,
    );
    for (what, who, holds) in [
        ("yes, by the owner: two steps", 0_usize, true),
        ("yes, by the shop's staff: two steps", SHOPS, true),
        ("no, after all of it", 1, false),
    ] {
        let mut asked = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let at = (round * 48_271) % ORDERS;
            let user = match holds {
                true if who == 0 => at % USERS,
                // Of the same shop, and not the owner.
                _ => (at + who) % USERS,
            };
            asked.push((format!("user:u{user}").parse::<Object>()?, order(round)?));
        }
        let started = Instant::now();
        let mut yes = 0;
        for (user, order) in &asked {
            let found = check(&model, user, "viewer", order, &facts, now).await?;
            yes += usize::from(found.holds());
        }
        report(what, started, ROUNDS);
        assert_eq!(yes, if holds { ROUNDS } else { 0 }, "{what}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example that prints figures")]
fn report(what: &str, started: Instant, rounds: usize) {
    let each = started.elapsed().as_nanos() / rounds as u128;
    println!("{what:44} {each:>8} ns");
}
