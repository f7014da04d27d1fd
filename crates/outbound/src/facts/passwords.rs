//! **Comparing a password**: one price for every refusal, and budgets that slow guessing down
//! without handing strangers a way to lock an owner out.
//!
//! A password that matched lately is a keyed hash. Everything else pays from three budgets before
//! it is hashed: the account from this address (strict), this address (looser), and the account
//! from addresses that never got in (looser still). The owner's own address is not bound by the
//! last one, so a guesser elsewhere can spend it and the owner still gets in; and every budget
//! comes back with time. What does not match costs two hashes, for real accounts (whose second
//! password may be in rotation) and for unknown ones alike, so that time tells nothing (F8).

use core::hash::BuildHasher as _;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use proof::password::{Verifier, dummy};
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use quick_cache::sync::Cache;
use verdict::facts::{Answer, Counters, PasswordCheck, Unavailable};
use verdict::identity::Account;
use verdict::limit::{LimitKey, Rate, folded, stable_hash};

use super::{AccountRecord, FactsOptions};
use crate::flights::Flights;
use crate::hashing::HashingPool;
use crate::secrets::{Binding, VerifiedSecrets};

/// Hashes that every refusal costs.
const HASHES: usize = 2;
/// The longest time a password is taken without hashing.
const MAX_TTL: Duration = Duration::from_secs(300);
/// How long an address that got in counts as the owner's.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Compares passwords with accounts' verifiers.
pub(super) struct PasswordChecks {
    matched: VerifiedSecrets,
    ttl: Duration,
    /// Accounts (hashed under a seed of this process) and addresses that got in.
    known: Cache<(u64, IpAddr), Timestamp>,
    seed: foldhash::quality::RandomState,
    flights: Flights<[u64; 2]>,
    pool: Arc<HashingPool>,
    dummy: Arc<Verifier>,
    per_pair: Rate,
    per_address: Rate,
    per_account: Rate,
}

/// A verifier, and what a match binds to; nothing for a dummy, which matches nothing.
type Candidate = (Arc<Verifier>, Option<Binding>);

/// What is known of a password without hashing.
pub(super) enum Remembered {
    /// It matched lately.
    Matched(Arc<Account>),
    /// Nothing.
    No,
}

impl PasswordChecks {
    pub(super) fn new(
        options: &FactsOptions,
        pool: Arc<HashingPool>,
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            matched: VerifiedSecrets::new(options.max_secrets, entropy),
            ttl: options.password_ttl.min(MAX_TTL),
            known: Cache::new(options.max_records.max(1)),
            seed: foldhash::quality::RandomState::default(),
            flights: Flights::new(),
            pool,
            dummy: Arc::new(dummy(options.password_cost)),
            per_pair: options.guesses_per_pair,
            per_address: options.guesses_per_address,
            per_account: options.guesses_per_account,
        }
    }

    /// Whether this very password matched lately. The address it comes from is the owner's too.
    pub(super) fn remembered(
        &self,
        record: Option<&AccountRecord>,
        password: &[u8],
        from: IpAddr,
        now: Timestamp,
    ) -> Remembered {
        let Some(record) = record else {
            return Remembered::No;
        };
        let matched = in_force(record, now).any(|(_, binding)| {
            self.matched
                .tag(binding, password)
                .is_some_and(|tag| self.matched.holds(&tag, now))
        });
        if !matched {
            return Remembered::No;
        }
        if !self.is_known(&record.account.username, from, now) {
            self.know(&record.account.username, from, now);
        }
        Remembered::Matched(Arc::clone(&record.account))
    }

    fn is_known(&self, username: &str, from: IpAddr, now: Timestamp) -> bool {
        let pair = (self.seed.hash_one(username), folded(from));
        self.known.get(&pair).is_some_and(|until| now < until)
    }

    fn know(&self, username: &str, from: IpAddr, now: Timestamp) {
        let pair = (self.seed.hash_one(username), folded(from));
        self.known.insert(pair, now.plus(KNOWN_FOR));
    }

    /// Pays from the budgets, hashes, compares.
    pub(super) async fn check(
        &self,
        record: Option<&AccountRecord>,
        username: &str,
        password: &[u8],
        from: IpAddr,
        counters: &impl Counters,
        now: Timestamp,
    ) -> Answer<PasswordCheck> {
        let address = folded(from).to_string();
        let name = stable_hash(&["password-account", username]);
        let pair = stable_hash(&["password-pair", username, &address]);
        // One at a time per name, real or not: else two guesses at once would tell which it is.
        let _turn = self
            .flights
            .enter(name)
            .await
            .ok_or(Unavailable::HashingPool)?;
        if let Remembered::Matched(account) = self.remembered(record, password, from, now) {
            return Ok(PasswordCheck::Match(account));
        }
        let mut budgets = vec![
            (pair, self.per_pair),
            (
                stable_hash(&["password-address", &address]),
                self.per_address,
            ),
        ];
        if !self.is_known(username, from, now) {
            budgets.push((name, self.per_account));
        }
        // The strict one first, so that hammering one account spends no wider budget.
        for ([high, low], rate) in budgets {
            if !counters
                .take(&LimitKey::Principal(high, low), &rate, 1, now)
                .await?
                .allowed
            {
                return Ok(PasswordCheck::Throttled);
            }
        }
        let candidates = self.candidates(record, now);
        let secret = Secret::new(password);
        let matched = self
            .pool
            .run(move || {
                let matches = |(verifier, binding): &Candidate| {
                    verifier
                        .verify(secret.expose(), None)
                        .then_some(*binding)
                        .flatten()
                };
                candidates.iter().find_map(matches)
            })
            .await
            .map_err(|_| Unavailable::HashingPool)?;
        let (Some(binding), Some(record)) = (matched, record) else {
            return Ok(PasswordCheck::Refused);
        };
        if let Some(tag) = self.matched.tag(&binding, password) {
            self.matched.remember(tag, now.plus(self.ttl));
        }
        self.know(username, from, now);
        Ok(PasswordCheck::Match(Arc::clone(&record.account)))
    }

    /// What a password is compared with: the account's verifiers in force, filled up with dummies
    /// so that no refusal is cheaper than another.
    fn candidates(&self, record: Option<&AccountRecord>, now: Timestamp) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = record
            .into_iter()
            .flat_map(|record| in_force(record, now))
            .map(|(verifier, binding)| (Arc::clone(verifier), Some(*binding)))
            .collect();
        if candidates.len() < HASHES {
            candidates.resize_with(HASHES, || (Arc::clone(&self.dummy), None));
        }
        candidates
    }

    pub(super) fn forget(&self) {
        self.matched.clear();
    }
}

/// The account's verifiers that have not ended.
fn in_force(
    record: &AccountRecord,
    now: Timestamp,
) -> impl Iterator<Item = (&Arc<Verifier>, &Binding)> {
    record
        .account
        .verifiers
        .iter()
        .zip(&record.bindings)
        .filter(move |((_, until), _)| until.is_none_or(|until| now < until))
        .map(|((verifier, _), binding)| (verifier, binding))
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroUsize;

    use proof::password::{Argon2Params, hash};
    use proof::random::SystemEntropy;
    use verdict::identity::LifeState;

    use super::super::tests::{now, standing};
    use super::*;

    fn record(passwords: usize, ended: usize) -> AccountRecord {
        let cost = Argon2Params::dangerous_minimum();
        let verifier = |n| {
            let until = (n < ended).then(now);
            (
                Arc::new(hash(b"right", cost, &SystemEntropy).unwrap()),
                until,
            )
        };
        AccountRecord::of(Account {
            username: "robot".into(),
            verifiers: (0..passwords).map(verifier).collect(),
            state: LifeState::Active,
            expires_at: None,
            standing: Arc::new(standing("acc_1")),
        })
    }

    #[test]
    fn f08_every_refusal_costs_two_hashes_of_the_same_price() {
        let options = FactsOptions {
            password_cost: Argon2Params::dangerous_minimum(),
            ..FactsOptions::default()
        };
        let pool = Arc::new(HashingPool::new(NonZeroUsize::MIN, 4).unwrap());
        let checks = PasswordChecks::new(&options, pool, &SystemEntropy);
        let accounts = [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1)];
        let records = accounts.map(|(passwords, ended)| Some(record(passwords, ended)));
        for record in records.iter().map(Option::as_ref).chain([None]) {
            let candidates = checks.candidates(record, now());
            let costs: Vec<_> = candidates
                .iter()
                .map(|(verifier, _)| verifier.to_stored().split('$').nth(3).map(str::to_owned))
                .collect();
            assert_eq!(costs, vec![Some("m=8,t=1,p=1".to_owned()); 2]);
        }
    }
}
