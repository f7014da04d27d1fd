//! **The memory of things used once**: one row each, until its time has passed. A use that was
//! acknowledged is on the disk, so what was used before a crash is known after it, on every node.
//! Uses that come at once share a commit.

use issuer::ports::FirstUse;
use proof::time::Timestamp;
use registry::ports::Stores;
use sqlx::AssertSqlSafe;

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

impl Shared for Use {
    type Answer = FirstUse;
    const BUSY: &'static str = "too many assertions and proofs wait to be remembered";

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
