//! **People**: their passwords compared and their records remembered, for the login page and for
//! whoever issues tokens of theirs.
//!
//! A password is checked as a service account's is (budgets against guessing, one price for every
//! refusal, the bounded pool), apart from those: other budgets, another memory of matches, and a
//! match is taken without hashing for a minute at most. One who may not log in costs and says what
//! a wrong password does. What a person *is* stays opaque here: the records bring it along.

use core::future::Future;
use core::net::IpAddr;
use std::collections::HashSet;
use std::sync::Arc;

use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use verdict::facts::{Answer, Counters};
use verdict::identity::StoredPassword;

use crate::facts::{Changed, FactsOptions};
use crate::hashing::HashingPool;
use crate::passwords::{Checked, Kind, PasswordChecks, Verifiers};
use crate::records::{Contact, RecordCache};
use crate::secrets::Binding;

/// A person as stored.
#[derive(Debug, Clone)]
pub struct PersonRecord<P> {
    /// `sub`, never given to another person.
    pub subject: Box<str>,
    /// The name that changes are announced under ([`Changed::Owner`]).
    pub name: Box<str>,
    /// Active passwords and their ends.
    pub passwords: Vec<StoredPassword>,
    /// Whether the person may log in: not suspended.
    pub admitted: bool,
    /// Whatever else is known.
    pub person: Arc<P>,
}

/// Where people are stored. Each method is one point read.
pub trait PersonRecords: Send + Sync {
    /// What else is known of a person.
    type Person: Send + Sync;
    /// The person with a user name in normal form.
    fn by_username(
        &self,
        username: &str,
    ) -> impl Future<Output = Answer<Option<PersonRecord<Self::Person>>>> + Send;
    /// The person of a `sub`.
    fn by_subject(
        &self,
        subject: &str,
    ) -> impl Future<Output = Answer<Option<PersonRecord<Self::Person>>>> + Send;
}

/// What came of a user name and a password.
#[derive(Debug)]
pub enum PersonCheck<P> {
    /// They match, and the person may log in.
    Match(Arc<P>),
    /// Nobody, a wrong password, or one who may not: one answer, at one price.
    Refused,
    /// Too many failures; nothing was hashed.
    Throttled,
}

/// People, as this node knows them.
pub struct People<R: PersonRecords, C> {
    records: R,
    counters: C,
    contact: Contact,
    by_username: RecordCache<Box<str>, Known<R::Person>>,
    by_subject: RecordCache<Box<str>, Known<R::Person>>,
    passwords: PasswordChecks,
}

/// A record with what every comparison needs.
struct Known<P> {
    record: PersonRecord<P>,
    /// One for each password.
    bindings: Vec<Binding>,
}

impl<P> Known<P> {
    fn of(record: PersonRecord<P>) -> Self {
        let bindings = record
            .passwords
            .iter()
            .map(|one| Binding::new(&record.subject, &one.verifier))
            .collect();
        Self { record, bindings }
    }
}

impl<R: PersonRecords, C: Counters> People<R, C> {
    /// Empty caches; the node counts as in touch from `now` on. Of the options count sizes, times
    /// and budgets of records and passwords.
    pub fn new(
        records: R,
        counters: C,
        pool: Arc<HashingPool>,
        options: &FactsOptions,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Self {
        let (size, ttl, absent) = (options.max_records, options.record_ttl, options.absent_ttl);
        Self {
            records,
            counters,
            contact: Contact::new(now, options.outage_grace),
            by_username: RecordCache::new(size, ttl, absent),
            by_subject: RecordCache::new(size, ttl, absent),
            passwords: PasswordChecks::new(&options.passwords(Kind::Person), pool, entropy),
        }
    }

    /// Compares a password. `username` is in normal form; one that has none is given as it was
    /// typed, so that it costs what every unknown one costs.
    ///
    /// # Errors
    /// If neither the store nor the memory knows, or the pool is busy.
    pub async fn check_password(
        &self,
        username: &str,
        password: &Secret,
        from: IpAddr,
        now: Timestamp,
    ) -> Answer<PersonCheck<R::Person>> {
        let load = async || Ok(self.records.by_username(username).await?.map(Known::of));
        let found = self
            .by_username
            .find(username.into(), now, &self.contact, load)
            .await?;
        // Whoever may not log in is compared with nothing, at the price of everybody.
        let known = found
            .as_deref()
            .map(|held| &held.value)
            .filter(|known| known.record.admitted);
        let verifiers = known.map(|known| Verifiers {
            passwords: &known.record.passwords,
            bindings: &known.bindings,
        });
        let password = password.expose();
        let remembered = self
            .passwords
            .remembered(verifiers, username, password, from, now);
        let checked = match remembered {
            Some(which) => Checked::Match(which),
            None => {
                self.passwords
                    .check(verifiers, username, password, from, &self.counters, now)
                    .await?
            }
        };
        Ok(match (checked, known) {
            (Checked::Match(_), Some(known)) => {
                PersonCheck::Match(Arc::clone(&known.record.person))
            }
            (Checked::Throttled, _) => PersonCheck::Throttled,
            (Checked::Match(_) | Checked::Refused, _) => PersonCheck::Refused,
        })
    }

    /// The person of a `sub`, if there is one and they may still log in.
    ///
    /// # Errors
    /// If neither the store nor the memory knows.
    pub async fn person(&self, subject: &str, now: Timestamp) -> Answer<Option<Arc<R::Person>>> {
        let load = async || Ok(self.records.by_subject(subject).await?.map(Known::of));
        let found = self
            .by_subject
            .find(subject.into(), now, &self.contact, load)
            .await?;
        Ok(found
            .as_deref()
            .map(|held| &held.value.record)
            .filter(|record| record.admitted)
            .map(|record| Arc::clone(&record.person)))
    }

    /// This node has caught up with all changes just now.
    pub fn contact(&self, now: Timestamp) {
        self.contact.heard(now);
    }

    /// Forgets what changes touched; the next question asks the store.
    pub fn invalidate(&self, changes: &HashSet<Changed>) {
        if changes.is_empty() {
            return;
        }
        let stale =
            |known: &Known<R::Person>| changes.contains(&Changed::Owner(known.record.name.clone()));
        self.by_username.invalidate(stale);
        self.by_subject.invalidate(stale);
    }

    /// Forgets everything, as after a gap in the changes.
    pub fn invalidate_all(&self) {
        self.by_username.invalidate(|_| true);
        self.by_subject.invalidate(|_| true);
        self.passwords.forget();
    }
}

#[cfg(test)]
mod tests;
