//! **The memory of things used once**: one row each, until its time has passed. A use that was
//! acknowledged is on the disk, so what was used before a crash is known after it, on every node.
//! Uses that come at once share a commit.

use issuer::ports::FirstUse;
use proof::digest::{hex, sha256};
use proof::time::Timestamp;
use registry::ports::Stores;
use sqlx::AssertSqlSafe;
use verdict::facts::{self, Answer, Begun, ReplayScope, Replays, Unavailable};

use crate::Store;
use crate::error::failed;
use crate::row::{Columns as _, placeholders};
use crate::together::{Shared, Together};

/// The uses of a store; its clones share them.
pub(crate) type Uses = Together<Use>;

/// A thing to be used, if it was not used before.
pub(crate) struct Use {
    scope: String,
    id: String,
    until: i64,
    now: i64,
}

/// Whether `id` is used for the first time in `scope`.
pub(crate) async fn first_use(
    store: &Store,
    scope: &str,
    id: &str,
    until: Timestamp,
    now: Timestamp,
) -> Stores<FirstUse> {
    let one = Use {
        scope: scope.to_owned(),
        id: id.to_owned(),
        until: until.as_millis(),
        now: now.as_millis(),
    };
    store.uses.make(store, one).await
}

/// The memory of what callers may use once, for all nodes and over restarts: a row each.
impl Replays for Store {
    async fn first_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<facts::FirstUse> {
        let (scope, id) = row(scope, id);
        match first_use(self, &scope, &id, until, now).await {
            Ok(FirstUse::Yes) => Ok(facts::FirstUse::Yes),
            Ok(FirstUse::Replayed) => Ok(facts::FirstUse::Replayed),
            Err(_) => Err(Unavailable::ReplayMemory),
        }
    }

    async fn look_at_use(
        &self,
        scope: ReplayScope<'_>,
        id: &str,
        _until: Timestamp,
        now: Timestamp,
    ) -> Answer<facts::FirstUse> {
        let (scope, id) = row(scope, id);
        match is_used(self, &scope, &id, now).await {
            Ok(false) => Ok(facts::FirstUse::Yes),
            Ok(true) => Ok(facts::FirstUse::Replayed),
            Err(_) => Err(Unavailable::ReplayMemory),
        }
    }
}

/// Where a use is kept. What callers choose is hashed, so that a row has one length.
fn row(scope: ReplayScope<'_>, id: &str) -> (String, String) {
    let (use_of, within) = scope.parts();
    (
        format!("call:{use_of}:{within}"),
        hex(&sha256(id.as_bytes())),
    )
}

/// Whether something is used up at a time.
async fn is_used(store: &Store, scope: &str, id: &str, now: Timestamp) -> Stores<bool> {
    let found = sqlx::query(
        "SELECT id FROM used_once \
         WHERE realm_id = $1 AND scope = $2 AND id = $3 AND until_ms > $4",
    )
    .bind(store.realm)
    .bind(scope)
    .bind(id)
    .bind(now.as_millis())
    .fetch_optional(&store.writing)
    .await
    .map_err(failed)?;
    Ok(found.is_some())
}

/// Who has a delivery to itself.
fn under_way(key: &str) -> String {
    format!("webhook:{key}")
}

/// What the upstream took.
fn taken_before(key: &str) -> String {
    format!("delivered:{key}")
}

/// See [`verdict::facts::Records::begin_delivery`].
pub(crate) async fn begin_delivery(
    store: &Store,
    key: &str,
    ids: &[String],
    until: Timestamp,
    now: Timestamp,
) -> Stores<Begun> {
    let scope = under_way(key);
    let mut first = true;
    for id in ids {
        first = first_use(store, &scope, id, until, now).await? == FirstUse::Yes;
        if !first {
            break;
        }
    }
    // After the place was taken, so that nobody who had it before can have ended unseen.
    for id in ids {
        if is_used(store, &taken_before(key), id, now).await? {
            return Ok(Begun::Before);
        }
    }
    Ok(if first { Begun::Now } else { Begun::UnderWay })
}

/// See [`verdict::facts::Records::end_delivery`].
pub(crate) async fn end_delivery(
    store: &Store,
    key: &str,
    ids: &[String],
    taken: Option<Timestamp>,
    now: Timestamp,
) -> Stores<()> {
    for id in ids {
        match taken {
            Some(until) => {
                first_use(store, &taken_before(key), id, until, now).await?;
            }
            None => {
                sqlx::query("DELETE FROM used_once WHERE realm_id = $1 AND scope = $2 AND id = $3")
                    .bind(store.realm)
                    .bind(under_way(key))
                    .bind(id)
                    .execute(&store.writing)
                    .await
                    .map_err(failed)?;
            }
        }
    }
    Ok(())
}

impl Shared for Use {
    type Answer = FirstUse;
    const BUSY: &'static str = "too much that is used once waits to be remembered";

    fn touches(&self) -> (&str, &str) {
        (&self.scope, &self.id)
    }

    /// One statement is the gate: it takes each place that is free or whose holder's time has passed.
    async fn together(store: &Store, batch: &[Self]) -> Stores<Vec<FirstUse>> {
        // In one order on every node, so that no two nodes wait for each other's rows crosswise.
        let mut ordered: Vec<&Self> = batch.iter().collect();
        ordered.sort_unstable_by_key(|one| one.touches());
        // By the earliest of their times, which frees no place too soon for any of them.
        let now = batch.iter().map(|one| one.now).min().unwrap_or(i64::MIN);
        // Safe: the text grows by placeholders only.
        let text = format!(
            "INSERT INTO used_once (realm_id, scope, id, until_ms) VALUES {} \
             ON CONFLICT (realm_id, scope, id) DO UPDATE SET until_ms = excluded.until_ms \
             WHERE used_once.until_ms <= $1 RETURNING scope, id",
            placeholders(2, ordered.len(), 4)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(now);
        for one in &ordered {
            query = query
                .bind(store.realm)
                .bind(&one.scope)
                .bind(&one.id)
                .bind(one.until);
        }
        let mut placed = query
            .fetch_all(&store.writing)
            .await
            .map_err(failed)?
            .iter()
            .map(|row| Ok((row.text("scope")?, row.text("id")?)))
            .collect::<Stores<Vec<_>>>()?;
        placed.sort_unstable();
        Ok(batch
            .iter()
            .map(|one| {
                let found = placed.binary_search_by(|(scope, id)| {
                    (scope.as_str(), id.as_str()).cmp(&one.touches())
                });
                match found {
                    Ok(_) => FirstUse::Yes,
                    Err(_) => FirstUse::Replayed,
                }
            })
            .collect())
    }
}
