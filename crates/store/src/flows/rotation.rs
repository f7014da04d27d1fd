//! **Rotations that come at once share a commit.** A commit waits for the disk; whoever comes
//! meanwhile is taken in with the next one, a statement for all of them instead of one for each.
//! Each is decided on its own all the same. A rotation goes on when its caller goes away, as one
//! whose answer is lost: whoever presents the token again learns what became of it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use issuer::flow::Grant;
use registry::audit::AuditDraft;
use registry::ports::{StoreError, Stores};
use sqlx::AssertSqlSafe;
use tokio::sync::oneshot;

use super::refresh::grant_gives;
use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, placeholders};

/// At most so many in one commit; a power of two, as every batch, so that few statements differ.
const AT_ONCE: usize = 64;
/// At most so many wait.
const WAITING: usize = 4_096;

/// A token to be replaced, if it is current.
pub(super) struct Rotation {
    /// The presented token's hash.
    pub(super) hash: String,
    pub(super) client_id: String,
    pub(super) at: i64,
    /// Its successor's hash and end.
    pub(super) successor: String,
    pub(super) until: i64,
    pub(super) audit: AuditDraft,
}

struct Waiting {
    realm: &'static str,
    rotation: Rotation,
    answer: oneshot::Sender<Stores<Option<Grant>>>,
}

/// Those that wait, and whether somebody works.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    working: bool,
}

/// The rotations of a store; its clones share them.
#[derive(Clone, Default)]
pub(crate) struct Rotations(Arc<Mutex<Queue>>);

impl Rotations {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing is done under it that could panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch: of one realm, no token twice (a statement can't touch a row twice). `None`:
    /// nobody waits, and nobody works any more.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        let Some(first) = queue.waiting.front() else {
            queue.working = false;
            return None;
        };
        let realm = first.realm;
        let mut tokens = HashSet::new();
        let fitting = queue
            .waiting
            .iter()
            .take(AT_ONCE)
            .take_while(|next| next.realm == realm && tokens.insert(&*next.rotation.hash))
            .count();
        // The first one fits always, so this is at least one.
        let count = 1_usize << fitting.max(1).ilog2();
        Some(queue.waiting.drain(..count).collect())
    }
}

/// Replaces a token by its successor, if it is current.
pub(super) async fn rotate(store: &Store, rotation: Rotation) -> Stores<Option<Grant>> {
    let (answer, answered) = oneshot::channel();
    let begins = {
        let mut queue = store.rotations.queue();
        if queue.waiting.len() >= WAITING {
            return Err(busy());
        }
        queue.waiting.push_back(Waiting {
            realm: store.realm,
            rotation,
            answer,
        });
        !core::mem::replace(&mut queue.working, true)
    };
    if begins {
        tokio::spawn(work(store.clone()));
    }
    // Without an answer the worker came to its end: nothing was written, or nobody knows.
    answered.await.unwrap_or_else(|_| Err(busy()))
}

fn busy() -> StoreError {
    StoreError::Unavailable("too many refresh tokens wait to be replaced".into())
}

/// Works until nobody waits.
async fn work(store: Store) {
    let mut working = Working(store.rotations.clone(), true);
    while let Some(batch) = store.rotations.next() {
        let Some(first) = batch.first() else { continue };
        let store = Store {
            realm: first.realm,
            ..store.clone()
        };
        let (rotations, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.rotation, waiting.answer))
            .unzip();
        match together(&store, &rotations).await {
            Ok(grants) => {
                for (answer, grant) in answers.into_iter().zip(grants) {
                    let _gone = answer.send(Ok(grant));
                }
            }
            // A broken row is the business of the one who presents it.
            Err(StoreError::Broken(_)) if rotations.len() > 1 => {
                for (answer, rotation) in answers.into_iter().zip(&rotations) {
                    let alone = together(&store, core::slice::from_ref(rotation)).await;
                    let _gone = answer.send(alone.map(|mut grants| grants.pop().flatten()));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _gone = answer.send(Err(match &error {
                        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
                        StoreError::Broken(text) => StoreError::Broken(text.clone()),
                    }));
                }
            }
        }
    }
    working.1 = false;
}

/// If the worker is torn down in the middle (a runtime that ends), nobody waits for it for ever:
/// whether it is still at work.
struct Working(Rotations, bool);

impl Drop for Working {
    fn drop(&mut self) {
        if self.1 {
            let mut queue = self.0.queue();
            queue.waiting.clear();
            queue.working = false;
        }
    }
}

/// One commit for all. The grant for each that was current.
async fn together(store: &Store, rotations: &[Rotation]) -> Stores<Vec<Option<Grant>>> {
    let mut write = Transition::open(store).await?;
    // Rows of many tokens are locked in no order: under the lock that is all the same.
    write.lock().await?;
    // Safe: the text grows by placeholders only.
    let text = format!(
        concat!(
            "WITH presented (token, client, at, next) AS (VALUES {}) \
             UPDATE refresh_tokens SET replaced_at = presented.at, successor = presented.next \
             FROM presented WHERE refresh_tokens.realm_id = $1 \
             AND refresh_tokens.hash = presented.token AND refresh_tokens.replaced_at IS NULL \
             AND refresh_tokens.until_ms > presented.at AND EXISTS (SELECT 1 FROM grants g \
             WHERE g.realm_id = refresh_tokens.realm_id AND g.id = refresh_tokens.grant_id \
             AND g.client_id = presented.client AND ",
            grant_gives!("presented.at"),
            ") RETURNING refresh_tokens.hash AS hash, (SELECT g.body FROM grants g \
             WHERE g.realm_id = refresh_tokens.realm_id AND g.id = refresh_tokens.grant_id) AS body"
        ),
        placeholders(2, rotations.len(), 4)
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(store.realm);
    for rotation in rotations {
        query = query
            .bind(&rotation.hash)
            .bind(&rotation.client_id)
            .bind(rotation.at)
            .bind(&rotation.successor);
    }
    let mut grants: Vec<Option<Grant>> = rotations.iter().map(|_| None).collect();
    for row in query.fetch_all(write.connection()).await.map_err(failed)? {
        let hash = row.text("hash")?;
        for (grant, rotation) in grants.iter_mut().zip(rotations) {
            if rotation.hash == hash {
                *grant = Some(row.json("body")?);
            }
        }
    }
    let replaced: Vec<(&Grant, &Rotation)> = grants
        .iter()
        .zip(rotations)
        .filter_map(|(grant, rotation)| Some((grant.as_ref()?, rotation)))
        .collect();
    if replaced.is_empty() {
        return Ok(grants);
    }
    // Safe: the text grows by placeholders only.
    let text = format!(
        "INSERT INTO refresh_tokens (realm_id, hash, grant_id, until_ms, refreshed_at) VALUES {}",
        placeholders(1, replaced.len(), 5)
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(replaced.len().is_power_of_two());
    for (grant, rotation) in &replaced {
        query = query
            .bind(store.realm)
            .bind(&rotation.successor)
            .bind(&grant.id)
            .bind(rotation.until)
            .bind(rotation.at);
    }
    query
        .execute(write.connection())
        .await
        .map_err(|error| taken(error, "a refresh token with this hash or of this grant"))?;
    let events: Vec<&AuditDraft> = replaced
        .iter()
        .map(|(_, rotation)| &rotation.audit)
        .collect();
    write
        .number(0, i64::try_from(events.len()).unwrap_or(i64::MAX))
        .await?;
    write.audit_all(&events).await?;
    write.commit().await?;
    Ok(grants)
}
