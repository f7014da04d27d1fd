//! **Sweeping**: rows that nobody can ask for any more, some at a time. What ends by its time ends
//! without it; the sweep only follows. It writes no audit event, since nobody did anything.

use core::time::Duration;

use proof::time::Timestamp;
use registry::ports::Stores;
use sqlx::AssertSqlSafe;

use super::VALUES_PER_STATEMENT;
use crate::Store;
use crate::error::failed;
use crate::outbox::Transition;
use crate::row::{Columns as _, placeholders};

/// At most so many rows of a table in one sweep, so that other writers get their turn.
const SWEPT_AT_ONCE: i64 = 5_000;
/// So long is a second redemption told from an unknown code, a spent request from an unknown one,
/// an expired device code from an unknown one.
const KEPT: Duration = Duration::from_secs(3600);
/// So long an ended grant is shown.
const GRANTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// So long a notice is tried at most, whoever forgets to give it up.
const NOTICES_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a sweep removed of flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweptFlows {
    /// Codes, pushed requests and devices' requests.
    pub requests: u64,
    /// Refresh tokens whose time had passed.
    pub refresh_tokens: u64,
    /// Sessions whose time had passed.
    pub sessions: u64,
    /// Grants that ended long ago or never began.
    pub grants: u64,
    /// Logout notices that nobody delivered.
    pub notices: u64,
}

/// Requests, each by its end.
const REQUESTS: [&str; 3] = [
    "DELETE FROM codes WHERE realm_id = $1 AND hash IN \
     (SELECT hash FROM codes WHERE realm_id = $1 AND until_ms <= $2 LIMIT $3)",
    "DELETE FROM pushed_requests WHERE realm_id = $1 AND hash IN \
     (SELECT hash FROM pushed_requests WHERE realm_id = $1 AND until_ms <= $2 LIMIT $3)",
    "DELETE FROM devices WHERE realm_id = $1 AND hash IN \
     (SELECT hash FROM devices WHERE realm_id = $1 AND until_ms <= $2 LIMIT $3)",
];
const REFRESH_TOKENS: &str = "DELETE FROM refresh_tokens WHERE realm_id = $1 AND hash IN \
     (SELECT hash FROM refresh_tokens WHERE realm_id = $1 AND until_ms <= $2 LIMIT $3)";
const NOTICES: &str = "DELETE FROM logout_notices WHERE realm_id = $1 AND id IN \
     (SELECT id FROM logout_notices WHERE realm_id = $1 AND created_at <= $2 LIMIT $3)";

/// Sweeps once.
pub(crate) async fn sweep(store: &Store, now: Timestamp) -> Stores<SweptFlows> {
    let mut swept = SweptFlows::default();
    for statement in REQUESTS {
        swept.requests += remove(store, statement, now.minus(KEPT)).await?;
    }
    swept.notices = remove(store, NOTICES, now.minus(NOTICES_KEPT)).await?;
    if something_lapsed(store, now).await? {
        lapse(store, now, &mut swept).await?;
    }
    // After the grants of the last ones of their lines were ended.
    swept.refresh_tokens = remove(store, REFRESH_TOKENS, now).await?;
    Ok(swept)
}

async fn remove(store: &Store, statement: &'static str, before: Timestamp) -> Stores<u64> {
    let removed = sqlx::query(statement)
        .bind(store.realm)
        .bind(before.as_millis())
        .bind(SWEPT_AT_ONCE)
        .execute(&store.writing)
        .await
        .map_err(failed)?;
    Ok(removed.rows_affected())
}

/// Whether [`lapse`] would find anything: usually not, and asking must not cost a write.
async fn something_lapsed(store: &Store, now: Timestamp) -> Stores<bool> {
    let found = sqlx::query(
        "SELECT 1 AS one FROM realms WHERE realm_id = $1 AND ( \
         EXISTS (SELECT 1 FROM sessions WHERE realm_id = $1 AND until_ms <= $2) \
         OR EXISTS (SELECT 1 FROM sessions WHERE realm_id = $1 AND idle_until <= $2) \
         OR EXISTS (SELECT 1 FROM grants WHERE realm_id = $1 AND state = 'active' AND until_ms <= $2) \
         OR EXISTS (SELECT 1 FROM refresh_tokens \
             WHERE realm_id = $1 AND until_ms <= $2 AND replaced_at IS NULL) \
         OR EXISTS (SELECT 1 FROM grants \
             WHERE realm_id = $1 AND state = 'pending' AND pending_until <= $3) \
         OR EXISTS (SELECT 1 FROM grants WHERE realm_id = $1 AND state = 'ended' AND ended_at <= $4))",
    )
    .bind(store.realm)
    .bind(now.as_millis())
    .bind(now.minus(KEPT).as_millis())
    .bind(now.minus(GRANTS_KEPT).as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?;
    Ok(found.is_some())
}

/// Ends what its time has ended, and forgets what ended long ago; under the lock of numbers, as
/// every write of grants and sessions.
async fn lapse(store: &Store, now: Timestamp, swept: &mut SweptFlows) -> Stores<()> {
    let mut write = Transition::begin(store, 0, 0).await?;
    let realm = write.realm();
    let sessions = sqlx::query(
        "DELETE FROM sessions WHERE realm_id = $1 AND id IN (SELECT id FROM sessions \
         WHERE realm_id = $1 AND (until_ms <= $2 OR idle_until <= $2) LIMIT $3) RETURNING id",
    )
    .bind(realm)
    .bind(now.as_millis())
    .bind(SWEPT_AT_ONCE)
    .fetch_all(write.connection())
    .await
    .map_err(failed)?
    .iter()
    .map(|row| row.text("id"))
    .collect::<Stores<Vec<_>>>()?;
    for sessions in sessions.chunks(VALUES_PER_STATEMENT) {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "UPDATE grants SET state = 'ended', ended_at = $2, end_reason = 'session-over', \
             pending_until = NULL WHERE realm_id = $1 AND state <> 'ended' AND offline = 0 \
             AND session_id IN {}",
            placeholders(3, 1, sessions.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text))
            .persistent(false)
            .bind(realm)
            .bind(now.as_millis());
        for session in sessions {
            query = query.bind(session);
        }
        query.execute(write.connection()).await.map_err(failed)?;
    }
    swept.sessions = u64::try_from(sessions.len()).unwrap_or(u64::MAX);
    for lapsed in [
        "UPDATE grants SET state = 'ended', ended_at = $2, end_reason = 'over' \
         WHERE realm_id = $1 AND state = 'active' AND id IN (SELECT id FROM grants \
         WHERE realm_id = $1 AND state = 'active' AND until_ms <= $2 LIMIT $3)",
        "UPDATE grants SET state = 'ended', ended_at = $2, end_reason = 'unused' \
         WHERE realm_id = $1 AND state = 'active' AND id IN (SELECT grant_id FROM refresh_tokens \
         WHERE realm_id = $1 AND until_ms <= $2 AND replaced_at IS NULL LIMIT $3)",
    ] {
        sqlx::query(lapsed)
            .bind(realm)
            .bind(now.as_millis())
            .bind(SWEPT_AT_ONCE)
            .execute(write.connection())
            .await
            .map_err(failed)?;
    }
    for (forgotten, before) in [
        (
            "DELETE FROM grants WHERE realm_id = $1 AND id IN (SELECT id FROM grants \
             WHERE realm_id = $1 AND state = 'pending' AND pending_until <= $2 LIMIT $3)",
            now.minus(KEPT),
        ),
        (
            "DELETE FROM grants WHERE realm_id = $1 AND id IN (SELECT id FROM grants \
             WHERE realm_id = $1 AND state = 'ended' AND ended_at <= $2 LIMIT $3)",
            now.minus(GRANTS_KEPT),
        ),
    ] {
        swept.grants += sqlx::query(forgotten)
            .bind(realm)
            .bind(before.as_millis())
            .bind(SWEPT_AT_ONCE)
            .execute(write.connection())
            .await
            .map_err(failed)?
            .rows_affected();
    }
    write.commit().await
}
