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
use verdict::identity::{SecretId, StoredPassword};
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

/// What a password is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verifiers<'a> {
    pub(crate) passwords: &'a [StoredPassword],
    /// One for each password.
    pub(crate) bindings: &'a [Binding],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checked {
    /// This one of the passwords matches.
    Match(SecretId),
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

/// A verifier, and what a match binds to and says; nothing for a dummy, which matches nothing.
type Candidate = (Arc<Verifier>, Option<(Binding, SecretId)>);

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

    /// Which one this very password is, if it matched lately. The address it comes from is the owner's too.
    pub(crate) fn remembered(
        &self,
        record: Option<Verifiers<'_>>,
        username: &str,
        password: &[u8],
        from: IpAddr,
        now: Timestamp,
    ) -> Option<SecretId> {
        let matched = self.matched_lately(record, password, now);
        if matched.is_some() && !self.is_known(username, from, now) {
            self.know(username, from, now);
        }
        matched
    }

    fn matched_lately(
        &self,
        record: Option<Verifiers<'_>>,
        password: &[u8],
        now: Timestamp,
    ) -> Option<SecretId> {
        let mut in_force = record?.in_force(now);
        let found = in_force.find(|(_, binding)| {
            self.matched
                .tag(binding, password)
                .is_some_and(|tag| self.matched.holds(&tag, now))
        });
        found.map(|(stored, _)| stored.id.clone())
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
        if let Some(which) = self.remembered(record, username, password, from, now) {
            return Ok(Checked::Match(which));
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
                candidates.into_iter().find_map(|(verifier, which)| {
                    let matches = verifier.verify(secret.expose(), None);
                    which.filter(|_| matches)
                })
            })
            .await
            .map_err(|_| Unavailable::HashingPool)?;
        let Some((binding, which)) = matched else {
            return Ok(Checked::Refused);
        };
        if let Some(tag) = self.matched.tag(&binding, password) {
            self.matched.remember(tag, now.plus(self.ttl));
        }
        self.know(username, from, now);
        Ok(Checked::Match(which))
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
        if let Some(which) = self.matched_lately(record, password, now) {
            return Ok(Checked::Match(which));
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
            candidates
                .into_iter()
                .fold(None, |found, (verifier, which)| {
                    let matches = verifier.verify(secret.expose(), None);
                    found.or(which.filter(|_| matches))
                })
        };
        let matched = self.pool.run(matches).await;
        Ok(match matched.map_err(|_| Unavailable::HashingPool)? {
            Some((_, which)) => Checked::Match(which),
            None => Checked::Refused,
        })
    }

    /// What a password is compared with: the account's passwords in force, filled up with dummies
    /// so that no refusal is cheaper than another.
    fn candidates(&self, record: Option<Verifiers<'_>>, now: Timestamp) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = record
            .iter()
            .flat_map(|record| record.in_force(now))
            .map(|(stored, binding)| {
                let which = (*binding, stored.id.clone());
                (Arc::clone(&stored.verifier), Some(which))
            })
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
    fn in_force(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a StoredPassword, &'a Binding)> + use<'a> {
        self.passwords
            .iter()
            .zip(self.bindings)
            .filter(move |(stored, _)| stored.valid_until.is_none_or(|until| now < until))
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
    fn record(passwords: usize, ended: usize) -> (Vec<StoredPassword>, Vec<Binding>) {
        let cost = Argon2Params::dangerous_minimum();
        (0..passwords)
            .map(|n| {
                let verifier = Arc::new(hash(b"right", cost, &SystemEntropy).unwrap());
                let binding = Binding::new("acc_1", &verifier);
                let stored = StoredPassword {
                    id: SecretId::new(format!("pwd_{n}")),
                    verifier,
                    valid_until: (n < ended).then(now),
                };
                (stored, binding)
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
            let records = records.iter().map(|(passwords, bindings)| {
                Some(Verifiers {
                    passwords,
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
