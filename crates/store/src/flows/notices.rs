//! **Logout notices**: one per client that has a grant in a session that was ended. A notice is
//! handed to one node at a time: whoever takes it moves its due time on.

use issuer::flow::{LogoutNotice, Session};
use proof::random::{SystemEntropy, uuid_v7};
use proof::time::Timestamp;
use registry::ports::Stores;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use verdict::identity::ClientId;

use crate::Store;
use crate::error::failed;
use crate::outbox::Transition;
use crate::row::{Columns as _, placeholders};

/// Writes a notice for each client of the sessions; at most
/// [`super::VALUES_PER_STATEMENT`] sessions at a time.
pub(super) async fn write(
    write: &mut Transition<'_>,
    sessions: &[Session],
    now: Timestamp,
) -> Stores<()> {
    // Safe: the text grows by placeholders only.
    let text = format!(
        "SELECT DISTINCT session_id, client_id, subject FROM grants \
         WHERE realm_id = $1 AND session_id IN {}",
        placeholders(2, 1, sessions.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(write.realm());
    for session in sessions {
        query = query.bind(&session.id);
    }
    for row in query.fetch_all(write.connection()).await.map_err(failed)? {
        sqlx::query(
            "INSERT INTO logout_notices \
             (realm_id, id, client_id, subject, session_id, attempts, due, created_at) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, $6)",
        )
        .bind(write.realm())
        .bind(uuid_v7(now, &SystemEntropy))
        .bind(row.text("client_id")?)
        .bind(row.text("subject")?)
        .bind(row.text("session_id")?)
        .bind(now.as_millis())
        .execute(write.connection())
        .await
        .map_err(failed)?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> Stores<LogoutNotice> {
    Ok(LogoutNotice {
        id: row.text("id")?,
        client_id: ClientId::new(row.text("client_id")?),
        subject: row.text("subject")?,
        session: row.text("session_id")?,
        // Not counting the one that begins now.
        attempts: row.number("attempts")? - 1,
        due: row.time("due")?,
    })
}

/// Takes notices that are due. The time is asked twice: another node may have taken one while this
/// statement waited for its row.
pub(super) async fn due(
    store: &Store,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Stores<Vec<LogoutNotice>> {
    let waiting =
        sqlx::query("SELECT id FROM logout_notices WHERE realm_id = $1 AND due <= $2 LIMIT 1")
            .bind(store.realm)
            .bind(now.as_millis())
            .fetch_optional(&store.reading)
            .await
            .map_err(failed)?;
    // Usually there is none, and asking must not cost a write.
    if waiting.is_none() {
        return Ok(Vec::new());
    }
    sqlx::query(
        "UPDATE logout_notices SET due = $3, attempts = attempts + 1 \
         WHERE realm_id = $1 AND due <= $2 AND id IN (SELECT id FROM logout_notices \
         WHERE realm_id = $1 AND due <= $2 ORDER BY due, id LIMIT $4) \
         RETURNING id, client_id, subject, session_id, attempts, due",
    )
    .bind(store.realm)
    .bind(now.as_millis())
    .bind(lease_until.as_millis())
    .bind(i64::from(limit))
    .fetch_all(&store.writing)
    .await
    .map_err(failed)?
    .iter()
    .map(read)
    .collect()
}

/// Delivered, or given up.
pub(super) async fn settle(store: &Store, id: &str) -> Stores<()> {
    sqlx::query("DELETE FROM logout_notices WHERE realm_id = $1 AND id = $2")
        .bind(store.realm)
        .bind(id)
        .execute(&store.writing)
        .await
        .map_err(failed)?;
    Ok(())
}
