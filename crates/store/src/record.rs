//! **The record of calls**: batches in, pages out. A batch that is written again after a lost
//! answer leaves no doubles in the decision log (a call is known by its time and request id).

use proof::time::Timestamp;
use registry::ports::Stores;
use registry::record::Decision;

use crate::Store;
use crate::error::failed;
use crate::row::{Columns as _, placeholders, to_json};

/// At most so many rows per statement. The driver for SQLite looks each parameter's name up among
/// all of the statement's, so that a statement costs the square of its rows.
pub(crate) const ROWS_PER_STATEMENT: usize = 32;

/// At most so many rows are removed in one statement, so that other writers get their turn.
const TRIMMED_AT_ONCE: i64 = 5_000;

/// Appends a batch, all or nothing.
pub(crate) async fn append(store: &Store, batch: &[Decision]) -> Stores<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut transaction = store.backend.begin(&store.writing).await.map_err(failed)?;
    for rows in batch.chunks(ROWS_PER_STATEMENT) {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "INSERT INTO decisions (realm_id, at, request_id, entry) VALUES {} \
             ON CONFLICT (realm_id, at, request_id) DO NOTHING",
            placeholders(1, rows.len(), 4)
        );
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(text)).persistent(rows.len() == ROWS_PER_STATEMENT);
        for decision in rows {
            query = query
                .bind(store.realm)
                .bind(decision.at.as_millis())
                .bind(&*decision.request_id)
                .bind(to_json(decision)?);
        }
        query.execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// The newest first.
pub(crate) async fn list(
    store: &Store,
    before: Option<Timestamp>,
    limit: u32,
) -> Stores<Vec<Decision>> {
    sqlx::query(
        "SELECT entry FROM decisions WHERE realm_id = $1 AND at < $2 \
         ORDER BY at DESC, request_id DESC LIMIT $3",
    )
    .bind(store.realm)
    .bind(before.unwrap_or(Timestamp::MAX).as_millis())
    .bind(i64::from(limit))
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(|row| row.json("entry"))
    .collect()
}

/// One entry. Ids of ours begin with their time (UUIDv7, RFC 9562 §5.7), which is the entry's own, so
/// that it is found by the table's key; for an id that a proxy made the log is read through.
pub(crate) async fn one(store: &Store, request_id: &str) -> Stores<Option<Decision>> {
    let made = made_at(request_id);
    let mut found = find(
        store,
        request_id,
        made.unwrap_or(i64::MIN),
        made.unwrap_or(i64::MAX),
    )
    .await?;
    if found.is_none() && made.is_some() {
        found = find(store, request_id, i64::MIN, i64::MAX).await?;
    }
    Ok(found)
}

/// The milliseconds in a UUIDv7.
fn made_at(request_id: &str) -> Option<i64> {
    let (high, rest) = request_id.split_once('-')?;
    let (low, rest) = rest.split_once('-')?;
    let sound = high.len() == 8 && low.len() == 4 && rest.len() == 22 && rest.starts_with('7');
    let millis = i64::from_str_radix(&format!("{high}{low}"), 16);
    millis.ok().filter(|_| sound)
}

async fn find(store: &Store, request_id: &str, from: i64, to: i64) -> Stores<Option<Decision>> {
    sqlx::query(
        "SELECT entry FROM decisions WHERE realm_id = $1 AND at >= $2 AND at <= $3 \
         AND request_id = $4 ORDER BY at DESC LIMIT 1",
    )
    .bind(store.realm)
    .bind(from)
    .bind(to)
    .bind(request_id)
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .map(|row| row.json("entry"))
    .transpose()
}

/// Removes old entries, some at a time.
pub(crate) async fn trim(store: &Store, before: Timestamp) -> Stores<u64> {
    let mut removed = 0;
    loop {
        let now = sqlx::query(
            "DELETE FROM decisions WHERE realm_id = $1 AND (at, request_id) IN \
             (SELECT at, request_id FROM decisions WHERE realm_id = $1 AND at < $2 ORDER BY at LIMIT $3)",
        )
        .bind(store.realm)
        .bind(before.as_millis())
        .bind(TRIMMED_AT_ONCE)
        .execute(&store.writing)
        .await
        .map_err(failed)?
        .rows_affected();
        removed += now;
        // Entries come in with times later than `before`, so this ends.
        if now == 0 {
            return Ok(removed);
        }
    }
}
