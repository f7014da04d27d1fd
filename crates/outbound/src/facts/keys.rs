//! **Comparing a presented secret**: a keyed hash when it is known, the pool when it is not.
//!
//! The public id of a key is no secret, so anybody can send garbage for it, and each piece asks for
//! a slow hash. Per key one hash runs at a time; the same garbage is hashed once; and after a few
//! different pieces further hashes of that key wait, longer each time. So garbage costs its sender
//! the key it aims at, for callers whose secret this node has not seen yet, and nobody else
//! anything. A hash that began is finished and counted although its caller hangs up: else hanging
//! up would be the way to hash for free.

use core::time::Duration;
use std::sync::Arc;

use proof::password::Verifier;
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use quick_cache::sync::Cache;
use verdict::facts::{Answer, Unavailable};

use super::Peppers;
use crate::flights::Flights;
use crate::hashing::{Busy, HashingPool};
use crate::secrets::{Binding, SecretTag, VerifiedSecrets};

/// Wrong secrets of one key that are hashed without delay.
const FREE_FAILURES: u32 = 5;
/// The first delay; each further failure doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// After so long without a failure a key starts afresh.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// How long a secret that did not match is known as such.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// Compares presented secrets with verifiers.
pub(super) struct SecretChecks {
    matched: VerifiedSecrets,
    refused: VerifiedSecrets,
    failures: Cache<Binding, Failures>,
    flights: Flights<Binding>,
    pool: Arc<HashingPool>,
    peppers: Peppers,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
    /// Nothing is hashed before.
    until: Timestamp,
}

impl SecretChecks {
    pub(super) fn new(
        capacity: usize,
        pool: Arc<HashingPool>,
        peppers: Peppers,
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            matched: VerifiedSecrets::new(capacity, entropy),
            refused: VerifiedSecrets::new(capacity, entropy),
            failures: Cache::new(capacity.max(1)),
            flights: Flights::new(),
            pool,
            peppers,
        }
    }

    /// Whether `presented` is the secret.
    pub(super) async fn check(
        self: &Arc<Self>,
        binding: &Binding,
        verifier: &Arc<Verifier>,
        presented: &[u8],
        now: Timestamp,
    ) -> Answer<bool> {
        if !verifier.is_expensive() {
            let pepper = verifier.pepper_id().and_then(|id| self.peppers.get(id));
            return Ok(verifier.verify(presented, pepper.map(Arc::as_ref)));
        }
        let Some(tag) = self.matched.tag(binding, presented) else {
            return Ok(false);
        };
        if self.matched.holds(&tag, now) {
            return Ok(true);
        }
        let Some(garbage) = self.refused.tag(binding, presented) else {
            return Ok(false);
        };
        if self.refused.holds(&garbage, now) {
            return Ok(false);
        }
        // Apart, so that a call whose secret is known needs no room for a hash.
        Box::pin(self.hash(binding, verifier, presented, tag, garbage, now)).await
    }

    /// Whether `presented` is known to be the secret, without a slow hash.
    pub(super) fn knows(
        &self,
        binding: &Binding,
        verifier: &Verifier,
        presented: &[u8],
        now: Timestamp,
    ) -> bool {
        if !verifier.is_expensive() {
            let pepper = verifier.pepper_id().and_then(|id| self.peppers.get(id));
            return verifier.verify(presented, pepper.map(Arc::as_ref));
        }
        self.matched
            .tag(binding, presented)
            .is_some_and(|tag| self.matched.holds(&tag, now))
    }

    /// The answer of [`Self::check`], without keeping any book of it: a wrong secret delays nobody
    /// and is not remembered, nor is a right one.
    pub(super) async fn look(
        &self,
        binding: &Binding,
        verifier: &Arc<Verifier>,
        presented: &[u8],
        now: Timestamp,
    ) -> Answer<bool> {
        if self.knows(binding, verifier, presented, now) {
            return Ok(true);
        }
        let garbage = self.refused.tag(binding, presented);
        let Some(garbage) = garbage.filter(|_| verifier.is_expensive()) else {
            return Ok(false);
        };
        if self.refused.holds(&garbage, now) {
            return Ok(false);
        }
        let _turn = self
            .flights
            .enter(*binding)
            .await
            .ok_or(Unavailable::HashingPool)?;
        if self.is_delayed(binding, now) {
            return Err(Unavailable::HashingPool);
        }
        let (verifier, secret) = (Arc::clone(verifier), Secret::new(presented));
        self.pool
            .run(move || verifier.verify(secret.expose(), None))
            .await
            .map_err(|_| Unavailable::HashingPool)
    }

    /// Hashes `presented`, one caller at a time for each key.
    async fn hash(
        self: &Arc<Self>,
        binding: &Binding,
        verifier: &Arc<Verifier>,
        presented: &[u8],
        tag: SecretTag,
        garbage: SecretTag,
        now: Timestamp,
    ) -> Answer<bool> {
        let turn = self
            .flights
            .enter(*binding)
            .await
            .ok_or(Unavailable::HashingPool)?;
        // The one before may have brought the very same secret.
        if self.matched.holds(&tag, now) {
            return Ok(true);
        }
        if self.refused.holds(&garbage, now) {
            return Ok(false);
        }
        if self.is_delayed(binding, now) {
            return Err(Unavailable::HashingPool);
        }
        let (checks, binding, verifier) = (Arc::clone(self), *binding, Arc::clone(verifier));
        let secret = Secret::new(presented);
        // A task of its own holds the turn and keeps the books, whatever the caller does.
        let hashed = tokio::spawn(async move {
            let _turn = turn;
            let matches = checks
                .pool
                .run(move || verifier.verify(secret.expose(), None))
                .await?;
            if matches {
                checks.matched.remember(tag, Timestamp::MAX);
                checks.failures.remove(&binding);
            } else {
                checks.refused.remember(garbage, now.plus(REFUSED_FOR));
                let before = checks.failures.get(&binding);
                checks
                    .failures
                    .insert(binding, Failures::after(before, now));
            }
            Ok::<_, Busy>(matches)
        });
        match hashed.await {
            Ok(Ok(matches)) => Ok(matches),
            Ok(Err(Busy)) | Err(_) => Err(Unavailable::HashingPool),
        }
    }

    fn is_delayed(&self, binding: &Binding, now: Timestamp) -> bool {
        self.failures
            .get(binding)
            .is_some_and(|failures| now < failures.until)
    }

    pub(super) fn forget(&self) {
        self.matched.clear();
        self.refused.clear();
    }
}

impl Failures {
    fn after(before: Option<Self>, now: Timestamp) -> Self {
        let count = before
            .filter(|before| now.since(before.last) < FORGIVEN_AFTER)
            .map_or(1, |before| before.count.saturating_add(1));
        let delay = match count.checked_sub(FREE_FAILURES) {
            None | Some(0) => Duration::ZERO,
            Some(over) => FIRST_DELAY
                .saturating_mul(2_u32.saturating_pow(over - 1))
                .min(LONGEST_DELAY),
        };
        Self {
            count,
            last: now,
            until: now.plus(delay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_after_a_few_failures_up_to_a_bound_and_are_forgiven() {
        let start = Timestamp::from_secs(1_800_000_000);
        let mut failures = None;
        let delays: Vec<u64> = (0..20)
            .map(|_| {
                let next = Failures::after(failures, start);
                failures = Some(next);
                u64::try_from(next.until.since(start).as_millis()).unwrap()
            })
            .collect();
        assert_eq!(delays[..9], [0, 0, 0, 0, 0, 250, 500, 1000, 2000]);
        assert_eq!(delays[19], 60_000);
        let later = start.plus(FORGIVEN_AFTER);
        assert_eq!(Failures::after(failures, later).until, later);
    }
}
