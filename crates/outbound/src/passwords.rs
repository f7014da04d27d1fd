//! **Comparing a password**: one price for every refusal, and budgets that slow guessing down
//! without handing strangers a way to lock an owner out.
//!
//! A password that matched lately is a keyed hash. Everything else pays from three budgets before
//! it is hashed: the account from this address (strict), this address (looser), and the account
//! from addresses that never got in (looser still). The owner's own address is not bound by the
//! last one, so a guesser elsewhere can spend it and the owner still gets in; and every budget
//! comes back with time. What does not match costs two hashes, for real accounts (whose second
//! password may be in rotation) and for unknown ones alike, so that time tells nothing (F8).
//!
//! Service accounts and people are checked alike and apart: each kind has its own instance, with
//! budgets under names of its own.

use core::hash::BuildHasher as _;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use proof::password::{Argon2Params, Verifier, dummy};
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use quick_cache::sync::Cache;
use verdict::facts::{Answer, Counters, Unavailable};
use verdict::limit::{LimitKey, Rate, folded, stable_hash};

use crate::flights::Flights;
use crate::hashing::HashingPool;
use crate::secrets::{Binding, VerifiedSecrets};

/// Hashes that every refusal costs.
const HASHES: usize = 2;
/// How long an address that got in counts as the owner's.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whose passwords are checked. Each kind's budgets are named apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Service accounts (Basic).
    Account,
    /// People at the login page.
    Person,
}

impl Kind {
    /// The names of its budgets: of a name, of a name from an address, of an address.
    const fn budgets(self) -> [&'static str; 3] {
        match self {
            Self::Account => ["password-account", "password-pair", "password-address"],
            Self::Person => ["person-account", "person-pair", "person-address"],
        }
    }

    /// The longest time a password is taken without hashing. A person logs in seldom; what is
    /// remembered of them only helps many tabs that log in at once.
    const fn max_ttl(self) -> Duration {
        match self {
            Self::Account => Duration::from_secs(300),
            Self::Person => Duration::from_secs(60),
        }
    }
}

/// Times, sizes and budgets.
#[derive(Debug, Clone)]
pub(crate) struct PasswordOptions {
    pub(crate) kind: Kind,
    /// Matched passwords held.
    pub(crate) max_matched: usize,
    /// Pairs of a name and an address that got in, held.
    pub(crate) max_known: usize,
    /// How long a match is taken without hashing; at most [`Kind::max_ttl`].
    pub(crate) ttl: Duration,
    /// What a password of nobody costs.
    pub(crate) cost: Argon2Params,
    pub(crate) per_pair: Rate,
    pub(crate) per_address: Rate,
    pub(crate) per_name: Rate,
}

/// A stored verifier and its end.
pub(crate) type Ending = (Arc<Verifier>, Option<Timestamp>);

/// What a password is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verifiers<'a> {
    pub(crate) verifiers: &'a [Ending],
    /// One for each verifier.
    pub(crate) bindings: &'a [Binding],
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    Match,
    Refused,
    Throttled,
}

/// Compares passwords with verifiers.
pub(crate) struct PasswordChecks {
    kind: Kind,
    matched: VerifiedSecrets,
    ttl: Duration,
    /// Names (hashed under a seed of this process) and addresses that got in.
    known: Cache<(u64, IpAddr), Timestamp>,
    seed: foldhash::quality::RandomState,
    flights: Flights<[u64; 2]>,
    pool: Arc<HashingPool>,
    dummy: Arc<Verifier>,
    per_pair: Rate,
    per_address: Rate,
    per_name: Rate,
}

/// A verifier, and what a match binds to; nothing for a dummy, which matches nothing.
type Candidate = (Arc<Verifier>, Option<Binding>);

impl PasswordChecks {
    pub(crate) fn new(
        options: &PasswordOptions,
        pool: Arc<HashingPool>,
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            kind: options.kind,
            matched: VerifiedSecrets::new(options.max_matched, entropy),
            ttl: options.ttl.min(options.kind.max_ttl()),
            known: Cache::new(options.max_known.max(1)),
            seed: foldhash::quality::RandomState::default(),
            flights: Flights::new(),
            pool,
            dummy: Arc::new(dummy(options.cost)),
            per_pair: options.per_pair,
            per_address: options.per_address,
            per_name: options.per_name,
        }
    }

    /// Whether this very password matched lately. The address it comes from is the owner's too.
    pub(crate) fn remembered(
        &self,
        record: Option<Verifiers<'_>>,
        username: &str,
        password: &[u8],
        from: IpAddr,
        now: Timestamp,
    ) -> bool {
        let matched = self.matched_lately(record, password, now);
        if matched && !self.is_known(username, from, now) {
            self.know(username, from, now);
        }
        matched
    }

    fn matched_lately(
        &self,
        record: Option<Verifiers<'_>>,
        password: &[u8],
        now: Timestamp,
    ) -> bool {
        record.is_some_and(|record| {
            record.in_force(now).any(|(_, binding)| {
                self.matched
                    .tag(binding, password)
                    .is_some_and(|tag| self.matched.holds(&tag, now))
            })
        })
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
    pub(crate) async fn check(
        &self,
        record: Option<Verifiers<'_>>,
        username: &str,
        password: &[u8],
        from: IpAddr,
        counters: &impl Counters,
        now: Timestamp,
    ) -> Answer<Checked> {
        let name = stable_hash(&[self.kind.budgets()[0], username]);
        // One at a time per name, real or not: else two guesses at once would tell which it is.
        let _turn = self
            .flights
            .enter(name)
            .await
            .ok_or(Unavailable::HashingPool)?;
        if self.remembered(record, username, password, from, now) {
            return Ok(Checked::Match);
        }
        for ([high, low], rate) in self.budgets(username, from, now) {
            if !counters
                .take(&LimitKey::Principal(high, low), &rate, 1, now)
                .await?
                .allowed
            {
                return Ok(Checked::Throttled);
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
        let Some(binding) = matched else {
            return Ok(Checked::Refused);
        };
        if let Some(tag) = self.matched.tag(&binding, password) {
            self.matched.remember(tag, now.plus(self.ttl));
        }
        self.know(username, from, now);
        Ok(Checked::Match)
    }

    /// The budgets that a guess is paid from. The strict one first, so that hammering one account
    /// spends no wider budget.
    fn budgets(&self, username: &str, from: IpAddr, now: Timestamp) -> Vec<([u64; 2], Rate)> {
        let address = folded(from).to_string();
        let [of_name, of_pair, of_address] = self.kind.budgets();
        let mut budgets = vec![
            (stable_hash(&[of_pair, username, &address]), self.per_pair),
            (stable_hash(&[of_address, &address]), self.per_address),
        ];
        if !self.is_known(username, from, now) {
            budgets.push((stable_hash(&[of_name, username]), self.per_name));
        }
        budgets
    }

    /// The answer of [`Self::check`]; nothing is paid, and nothing remembered.
    pub(crate) async fn look(
        &self,
        record: Option<Verifiers<'_>>,
        username: &str,
        password: &[u8],
        from: IpAddr,
        counters: &impl Counters,
        now: Timestamp,
    ) -> Answer<Checked> {
        if self.matched_lately(record, password, now) {
            return Ok(Checked::Match);
        }
        for ([high, low], rate) in self.budgets(username, from, now) {
            let key = LimitKey::Principal(high, low);
            // A cost of 0 asks and takes nothing.
            if counters.take(&key, &rate, 0, now).await?.remaining == 0 {
                return Ok(Checked::Throttled);
            }
        }
        let candidates = self.candidates(record, now);
        let secret = Secret::new(password);
        // All of them, so that a look tells no more by its time than a refused call does.
        let matches = move || {
            candidates.iter().fold(false, |any, (verifier, binding)| {
                (verifier.verify(secret.expose(), None) && binding.is_some()) || any
            })
        };
        let matched = self.pool.run(matches).await;
        match matched.map_err(|_| Unavailable::HashingPool)? {
            true => Ok(Checked::Match),
            false => Ok(Checked::Refused),
        }
    }

    /// What a password is compared with: the account's verifiers in force, filled up with dummies
    /// so that no refusal is cheaper than another.
    fn candidates(&self, record: Option<Verifiers<'_>>, now: Timestamp) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = record
            .iter()
            .flat_map(|record| record.in_force(now))
            .map(|(verifier, binding)| (Arc::clone(verifier), Some(*binding)))
            .collect();
        if candidates.len() < HASHES {
            candidates.resize_with(HASHES, || (Arc::clone(&self.dummy), None));
        }
        candidates
    }

    pub(crate) fn forget(&self) {
        self.matched.clear();
    }
}

impl<'a> Verifiers<'a> {
    /// Those that have not ended.
    fn in_force(&self, now: Timestamp) -> impl Iterator<Item = (&'a Arc<Verifier>, &'a Binding)> {
        self.verifiers
            .iter()
            .zip(self.bindings)
            .filter(move |((_, until), _)| until.is_none_or(|until| now < until))
            .map(|((verifier, _), binding)| (verifier, binding))
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroUsize;

    use proof::password::hash;
    use proof::random::SystemEntropy;

    use super::*;
    use crate::facts::FactsOptions;
    use crate::facts::tests::now;

    /// Verifiers of a record: so many, of which the first ones have ended.
    fn record(passwords: usize, ended: usize) -> (Vec<Ending>, Vec<Binding>) {
        let cost = Argon2Params::dangerous_minimum();
        (0..passwords)
            .map(|n| {
                let verifier = Arc::new(hash(b"right", cost, &SystemEntropy).unwrap());
                let binding = Binding::new("acc_1", &verifier);
                ((verifier, (n < ended).then(now)), binding)
            })
            .unzip()
    }

    #[test]
    fn f08_every_refusal_costs_two_hashes_of_the_same_price() {
        let options = FactsOptions {
            password_cost: Argon2Params::dangerous_minimum(),
            ..FactsOptions::default()
        };
        for kind in [Kind::Account, Kind::Person] {
            let pool = Arc::new(HashingPool::new(NonZeroUsize::MIN, 4).unwrap());
            let checks = PasswordChecks::new(&options.passwords(kind), pool, &SystemEntropy);
            let records = [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1)]
                .map(|(passwords, ended)| record(passwords, ended));
            let records = records.iter().map(|(verifiers, bindings)| {
                Some(Verifiers {
                    verifiers,
                    bindings,
                })
            });
            for record in records.chain([None]) {
                let candidates = checks.candidates(record, now());
                let costs: Vec<_> = candidates
                    .iter()
                    .map(|(verifier, _)| verifier.to_stored().split('$').nth(3).map(str::to_owned))
                    .collect();
                assert_eq!(costs, vec![Some("m=8,t=1,p=1".to_owned()); 2]);
            }
        }
    }
}
