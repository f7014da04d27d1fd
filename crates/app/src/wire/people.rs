//! **People, for the issuer**: their records from the store, their passwords compared on the node's
//! hashing pool; and beside them the check of client secrets, since both cost a slow hash.

use core::net::IpAddr;
use std::sync::Arc;

use cluster::MemoryCounters;
use issuer::ports::{Person, PersonCheck};
use outbound::people::{self, People, PersonRecord, PersonRecords};
use proof::issued::Presented;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::account::normal_username;
use store::Store;
use verdict::facts::{Answer, Facts as _, KeyCheck, KeyLookup, Unavailable};
use verdict::identity::LifeState;

use super::Facts;

/// People as this binary knows them.
pub(crate) type NodePeople = People<StoredPeople, MemoryCounters>;

/// People's records, as the store has them.
pub(crate) struct StoredPeople(pub(crate) Arc<Store>);

/// A person, and when they end by themselves.
pub(crate) struct Known {
    person: Arc<Person>,
    expires_at: Option<Timestamp>,
}

impl Known {
    fn alive(&self, now: Timestamp) -> Option<Arc<Person>> {
        let alive = self.expires_at.is_none_or(|end| now < end);
        alive.then(|| self.person.clone())
    }
}

fn record(found: registry::user::Person) -> PersonRecord<Known> {
    PersonRecord {
        subject: found.id.as_str().into(),
        name: found.name.as_str().into(),
        passwords: found.passwords,
        admitted: found.state == LifeState::Active,
        person: Arc::new(Known {
            expires_at: found.meaning.expires_at,
            person: Arc::new(Person {
                subject: found.id,
                username: found.meaning.username,
                claims: found.meaning.claims,
                roles: found.meaning.roles,
                environment: found.meaning.environment,
            }),
        }),
    }
}

/// The store said no more than that it does not answer; its log says why.
fn unavailable(error: &registry::ports::StoreError) -> Unavailable {
    tracing::error!(%error, "a person's record can't be had");
    Unavailable::Store
}

impl PersonRecords for StoredPeople {
    type Person = Known;

    async fn by_username(&self, username: &str) -> Answer<Option<PersonRecord<Known>>> {
        let found = registry::ports::People::person_by_username(&*self.0, username).await;
        Ok(found.map_err(|error| unavailable(&error))?.map(record))
    }
    async fn by_subject(&self, subject: &str) -> Answer<Option<PersonRecord<Known>>> {
        let found = registry::ports::People::person_by_id(&*self.0, subject).await;
        Ok(found.map_err(|error| unavailable(&error))?.map(record))
    }
}

/// What costs the issuer a slow hash: client secrets and people's passwords, on one bounded pool.
pub(crate) struct NodeSecrets {
    /// Answers for client secrets, with the gateway's caches.
    pub(crate) facts: Arc<Facts>,
    /// People.
    pub(crate) people: Arc<NodePeople>,
}

impl issuer::ports::Secrets for NodeSecrets {
    async fn check(&self, presented: &Presented<'_>, now: Timestamp) -> Answer<KeyCheck> {
        self.facts
            .check_key(KeyLookup::Issued(presented.id), presented.whole, now)
            .await
    }
}

impl issuer::ports::People for NodeSecrets {
    async fn check_password(
        &self,
        username: &str,
        password: &Secret,
        from: IpAddr,
        now: Timestamp,
    ) -> Answer<PersonCheck> {
        // What is no user name belongs to nobody, and costs what everybody's does (F8).
        let normal = normal_username(username);
        let name = normal.as_deref().unwrap_or(username);
        let check = self
            .people
            .check_password(name, password, from, now)
            .await?;
        Ok(match check {
            people::PersonCheck::Match(known) => match known.alive(now) {
                Some(person) => PersonCheck::Match(person),
                None => PersonCheck::Refused,
            },
            people::PersonCheck::Refused => PersonCheck::Refused,
            people::PersonCheck::Throttled => PersonCheck::Throttled,
        })
    }
    async fn person(&self, subject: &str, now: Timestamp) -> Answer<Option<Arc<Person>>> {
        let known = self.people.person(subject, now).await?;
        Ok(known.and_then(|known| known.alive(now)))
    }
}
