//! **Usage**: counts by name and hour. They are added up in place, so that a batch that is written
//! again after a lost answer leaves counts too high, never too low.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use proof::time::Timestamp;
use registry::ports::Stores;
use registry::record::{Usage, Used, UsedFilter};

use crate::Store;
use crate::error::failed;
use crate::record::ROWS_PER_STATEMENT;
use crate::row::{Columns as _, placeholders};

/// So long counts are kept: a year, and the time to look back at it.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// At most so many rows are removed in one sweep, so that other writers get their turn.
const SWEPT_AT_ONCE: i64 = 5_000;

/// What is added to one row.
struct Sum<'a> {
    calls: i64,
    last: i64,
    belongs_to: Option<&'a str>,
}

/// Adds counts. They are summed and ordered first: one statement may not touch a row twice, and
/// two nodes that lock rows in one order never wait for each other crosswise.
pub(crate) async fn add(store: &Store, counts: &[Usage]) -> Stores<()> {
    let mut summed: BTreeMap<(&str, i64), Sum<'_>> = BTreeMap::new();
    for count in counts {
        let sum = summed
            .entry((&count.name, count.hour.as_millis()))
            .or_insert(Sum {
                calls: 0,
                last: i64::MIN,
                belongs_to: count.belongs_to.as_deref(),
            });
        sum.calls = sum.calls.saturating_add(count.calls);
        sum.last = sum.last.max(count.last_used.as_millis());
    }
    if summed.is_empty() {
        return Ok(());
    }
    let summed: Vec<_> = summed.into_iter().collect();
    let mut transaction = store.backend.begin(&store.writing).await.map_err(failed)?;
    for rows in summed.chunks(ROWS_PER_STATEMENT) {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "INSERT INTO credential_usage (realm_id, credential, hour, calls, last_used, belongs_to) \
             VALUES {} ON CONFLICT (realm_id, credential, hour) DO UPDATE SET \
             calls = credential_usage.calls + excluded.calls, \
             last_used = CASE WHEN excluded.last_used > credential_usage.last_used \
             THEN excluded.last_used ELSE credential_usage.last_used END, \
             belongs_to = excluded.belongs_to",
            placeholders(1, rows.len(), 6)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
        for ((name, hour), sum) in rows {
            query = query
                .bind(store.realm)
                .bind(*name)
                .bind(*hour)
                .bind(sum.calls)
                .bind(sum.last)
                .bind(sum.belongs_to);
        }
        query.execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// The hours of a name since a time, in order.
pub(crate) async fn hours(store: &Store, name: &str, since: Timestamp) -> Stores<Vec<Usage>> {
    sqlx::query(
        "SELECT credential, belongs_to, hour, calls, last_used FROM credential_usage \
         WHERE realm_id = $1 AND credential = $2 AND hour >= $3 ORDER BY hour",
    )
    .bind(store.realm)
    .bind(name)
    .bind(since.as_millis())
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(|row| {
        Ok(Usage {
            name: row.text("credential")?,
            belongs_to: row.text_or_null("belongs_to")?,
            hour: row.time("hour")?,
            calls: row.number("calls")?,
            last_used: row.time("last_used")?,
        })
    })
    .collect()
}

/// When each of these names was last used. Each is one look at its latest hour, however many hours
/// it has.
pub(crate) async fn last(store: &Store, names: &[&str]) -> Stores<HashMap<String, Timestamp>> {
    let mut last = HashMap::new();
    for names in names.chunks(ROWS_PER_STATEMENT) {
        // Safe: the text grows by placeholders only. Both databases call the one column so.
        let text = format!(
            "SELECT column1 AS name, (SELECT last_used FROM credential_usage \
             WHERE realm_id = $1 AND credential = column1 ORDER BY hour DESC LIMIT 1) AS last_used \
             FROM (VALUES {}) AS names",
            placeholders(2, names.len(), 1)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
            .persistent(false)
            .bind(store.realm);
        for name in names {
            query = query.bind(*name);
        }
        for row in query.fetch_all(&store.reading).await.map_err(failed)? {
            if let Some(at) = row.time_or_null("last_used")? {
                last.insert(row.text("name")?, at);
            }
        }
    }
    Ok(last)
}

/// Names with their hours summed up, the latest used first.
pub(crate) async fn list(store: &Store, filter: &UsedFilter) -> Stores<Vec<Used>> {
    let about = filter.about.as_deref();
    let (before, name) = match &filter.after {
        Some((last_used, name)) => (last_used.as_millis(), name.as_str()),
        None => (i64::MAX, ""),
    };
    // A text each, so that either is read by an index of its own.
    let which = match about {
        None => "CAST($3 AS TEXT) IS NULL",
        Some(_) => "(credential = $3 OR belongs_to = $3)",
    };
    // Safe: one of the two texts above.
    let text = format!(
        "SELECT credential, MAX(belongs_to) AS belongs_to, CAST(SUM(calls) AS BIGINT) AS calls, \
         MAX(last_used) AS last_used FROM credential_usage \
         WHERE realm_id = $1 AND hour >= $2 AND {which} GROUP BY credential \
         HAVING MAX(last_used) < $4 OR (MAX(last_used) = $4 AND credential > $5) \
         ORDER BY MAX(last_used) DESC, credential LIMIT $6"
    );
    sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(store.realm)
        .bind(filter.since.as_millis())
        .bind(about)
        .bind(before)
        .bind(name)
        .bind(i64::from(filter.limit.clamp(1, 1000)))
        .fetch_all(&store.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(|row| {
            Ok(Used {
                name: row.text("credential")?,
                belongs_to: row.text_or_null("belongs_to")?,
                calls: row.number("calls")?,
                last_used: row.time("last_used")?,
            })
        })
        .collect()
}

/// Removes counts of long ago.
pub(crate) async fn sweep(store: &Store, now: Timestamp) -> Stores<u64> {
    let removed = sqlx::query(
        "DELETE FROM credential_usage WHERE realm_id = $1 AND (credential, hour) IN \
         (SELECT credential, hour FROM credential_usage WHERE realm_id = $1 AND hour < $2 LIMIT $3)",
    )
    .bind(store.realm)
    .bind(now.minus(KEPT).as_millis())
    .bind(SWEPT_AT_ONCE)
    .execute(&store.writing)
    .await
    .map_err(failed)?;
    Ok(removed.rows_affected())
}
