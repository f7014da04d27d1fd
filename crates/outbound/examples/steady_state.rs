//! What the steady state costs: a token seen before, a cached API key, a cached password, a look
//! into the list of revocations. One thread, no network; prints nanoseconds per question.
//!
//! `cargo run --release -p doorward-outbound --example steady_state`

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
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
use outbound::revocations::Revoked;
use outbound::statuses::{StatusOptions, Statuses};
use proof::digest::TokenHash;
use proof::issued::{Environment, KeyId, SecretKind};
use proof::password::{Argon2Params, Verifier, hash};
use proof::random::SystemEntropy;
use proof::time::Timestamp;
use verdict::credential::jwt::{ConfigId, IssuerId, VerifiedToken};
use verdict::facts::{
    Answer, Counters, Facts as _, FirstUse, KeyLookup, Records, ReplayScope, Replays,
};
use verdict::identity::{
    Account, ApiAllow, CredentialId, IssuedKey, LifeState, Principal, Scopes, SecretId, Standing,
    StoredPassword, SubjectId,
};
use verdict::limit::{LimitKey, Rate, Taken, step};
use verdict::penalty::{Penalties, Penalty};
use verdict::probing::{Noticed, Probing};

const ROUNDS: u32 = 500_000;
const TOKENS: u32 = 10_000;

/// One key and one account.
struct Stored {
    verifier: Arc<Verifier>,
    standing: Arc<Standing>,
}

impl Records for Stored {
    async fn key_by_id(&self, id: KeyId) -> Answer<Option<IssuedKey>> {
        Ok(Some(IssuedKey {
            key_id: Some(id),
            kind: SecretKind::SecretKey,
            verifier: Arc::clone(&self.verifier),
            state: LifeState::Active,
            expires_at: None,
            standing: Arc::clone(&self.standing),
        }))
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
    async fn account(&self, username: &str) -> Answer<Option<Account>> {
        Ok(Some(Account {
            username: username.into(),
            passwords: vec![StoredPassword {
                id: SecretId::new("pwd_1"),
                verifier: Arc::clone(&self.verifier),
                valid_until: None,
            }],
            state: LifeState::Active,
            expires_at: None,
            standing: Arc::clone(&self.standing),
        }))
    }
    async fn signing_key(&self, _: &str) -> Answer<Option<verdict::identity::SigningKey>> {
        Ok(None)
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = SystemClock;
    let now = clock.now();
    // As long as a key in the grammar is.
    let secret = b"dw_sk_live_0123456789abcdef0123456789abcdefghijklmnopqrstuvwxyzABCDEFG012345";
    let standing = Arc::new(Standing {
        principal: Principal::Service(SubjectId::new("sub_1")),
        credential: CredentialId::new("key_1"),
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
    });
    let stored = Stored {
        verifier: Arc::new(hash(secret, Argon2Params::default(), &SystemEntropy)?),
        standing: Arc::clone(&standing),
    };
    let fetcher = Arc::new(Fetcher::new(FetchOptions::default())?);
    let key_sets = Arc::new(KeySets::new(Arc::clone(&fetcher), KeySetOptions::default()));
    let parts = FactsParts {
        records: stored,
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
    let facts = StandardFacts::new(parts, &FactsOptions::default(), &SystemEntropy);

    let issuer = IssuerId::new("https://issuer.example");
    let token = Arc::new(VerifiedToken {
        config: ConfigId(1),
        issuer: issuer.clone(),
        audiences: Vec::new(),
        expires_at: now.plus(Duration::from_secs(600)),
        not_before: None,
        issued_at: Some(now),
        token_id: Some("0192f0c1-6a1e-7c3e-8a55-0123456789ab".into()),
        binding: None,
        grant_id: None,
        made_by: None,
        standing,
    });
    let hashes: Vec<TokenHash> = (0..TOKENS)
        .map(|n| TokenHash::of(&n.to_be_bytes()))
        .collect();
    for hash in &hashes {
        facts.remember_token(*hash, ConfigId(1), Arc::clone(&token));
    }

    let started = Instant::now();
    let mut held = 0_u32;
    for round in 0..ROUNDS {
        let hash = &hashes[(round % TOKENS) as usize];
        held += u32::from(facts.known_token(hash, ConfigId(1)).is_some());
    }
    report("a token seen before, of 10 000", started);
    assert!(held > ROUNDS / 2, "the tokens are cached");

    let bearer = [b'x'; 700];
    let started = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(TokenHash::of(std::hint::black_box(&bearer)));
    }
    report("SHA-256 of a 700-byte token", started);

    let started = Instant::now();
    for _ in 0..ROUNDS {
        facts.revoked(&token)?;
    }
    report("not revoked, nothing is", started);
    let entries = (0..100_000).map(|n| Revoked::Token {
        issuer: issuer.clone(),
        token_id: format!("revoked-{n}").into(),
        until: now.plus(Duration::from_secs(600)),
    });
    facts.revocations().extend(entries, now);
    let started = Instant::now();
    for _ in 0..ROUNDS {
        facts.revoked(&token)?;
    }
    report("not revoked, 100 000 others are", started);

    let id = KeyId::parse("0123456789abcdef").ok_or("the id is 16 base62 digits")?;
    let started = Instant::now();
    facts.check_key(KeyLookup::Issued(id), secret, now).await?;
    report_once("an API key for the first time (Argon2id)", started);
    let started = Instant::now();
    for _ in 0..ROUNDS {
        facts.check_key(KeyLookup::Issued(id), secret, now).await?;
    }
    report("an API key seen before", started);

    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    facts.check_password("robot", secret, from, now).await?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        facts.check_password("robot", secret, from, now).await?;
    }
    report("a password seen before", started);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example that prints figures")]
fn report(what: &str, started: Instant) {
    let each = started.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{what:44} {each:>8} ns");
}

#[expect(clippy::print_stdout, reason = "an example that prints figures")]
fn report_once(what: &str, started: Instant) {
    println!("{what:44} {:>8} ns", started.elapsed().as_nanos());
}
