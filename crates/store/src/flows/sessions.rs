//! **Sessions of people.** A browser holds a handle, the store its hash. A session that is ended
//! loses its row, and everything that hangs on it ends in the same step.

use issuer::flow::{EndReason, FlowFilter, Session};
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::{ChangeSubject, Stores};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Conditions, VALUES_PER_STATEMENT, grants, notices};
use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, placeholders, to_json};

fn read(row: &AnyRow) -> Stores<Session> {
    Ok(Session {
        idle_until: row.time("idle_until")?,
        ..row.json("body")?
    })
}

/// Opens one; the one that the browser had before ends, unless it is the same and goes on under a
/// new handle.
pub(super) async fn open(
    store: &Store,
    handle: TokenHash,
    session: &Session,
    replaces: Option<TokenHash>,
    audit: &AuditDraft,
) -> Stores<()> {
    let mut write = Transition::begin(store, 0, 1).await?;
    let mut ended = false;
    if let Some(old) = replaces {
        let old = sqlx::query(
            "DELETE FROM sessions WHERE realm_id = $1 AND handle = $2 RETURNING body, idle_until",
        )
        .bind(write.realm())
        .bind(old.to_string())
        .fetch_optional(write.connection())
        .await
        .map_err(failed)?
        .as_ref()
        .map(read)
        .transpose()?;
        let old = old.filter(|old| old.id != session.id);
        ended = end_all(&mut write, old.as_slice(), audit.at).await?;
    }
    sqlx::query(
        "INSERT INTO sessions (realm_id, id, handle, subject, created_at, idle_until, until_ms, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(write.realm())
    .bind(&session.id)
    .bind(handle.to_string())
    .bind(&session.subject)
    .bind(session.created_at.as_millis())
    .bind(session.idle_until.as_millis())
    .bind(session.until.as_millis())
    .bind(to_json(session)?)
    .execute(write.connection())
    .await
    .map_err(|error| taken(error, "a session with this id or handle"))?;
    write.audit(audit).await?;
    if ended {
        write.number(1, 0).await?;
        write.announce(&ChangeSubject::Revocation).await?;
    }
    write.commit().await
}

/// The one behind a handle, if it is alive.
pub(super) async fn find(
    store: &Store,
    handle: TokenHash,
    now: Timestamp,
) -> Stores<Option<Session>> {
    sqlx::query(
        "SELECT body, idle_until FROM sessions \
         WHERE realm_id = $1 AND handle = $2 AND idle_until > $3 AND until_ms > $3",
    )
    .bind(store.realm)
    .bind(handle.to_string())
    .bind(now.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .as_ref()
    .map(read)
    .transpose()
}

/// Pushes the idle end, never back.
pub(super) async fn touch(store: &Store, id: &str, idle_until: Timestamp) -> Stores<()> {
    sqlx::query(
        "UPDATE sessions SET idle_until = $3 WHERE realm_id = $1 AND id = $2 AND idle_until < $3",
    )
    .bind(store.realm)
    .bind(id)
    .bind(idle_until.as_millis())
    .execute(&store.writing)
    .await
    .map_err(failed)?;
    Ok(())
}

fn of_sessions(which: &FlowFilter, next: usize) -> Conditions<'_> {
    let mut conditions = Conditions::from(next);
    conditions.and("id = ?", which.id.as_deref());
    conditions.and("id = ?", which.session.as_deref());
    conditions.and("subject = ?", which.subject.as_deref());
    conditions.and(
        "id IN (SELECT session_id FROM grants \
         WHERE realm_id = $1 AND client_id = ? AND session_id IS NOT NULL)",
        which.client_id.as_deref(),
    );
    conditions
}

/// Ends sessions with what hangs on them.
pub(super) async fn end(
    store: &Store,
    which: &FlowFilter,
    now: Timestamp,
    audit: &AuditDraft,
) -> Stores<Vec<Session>> {
    let mut write = Transition::begin(store, 0, 1).await?;
    let conditions = of_sessions(which, 2);
    // Safe: names of columns and placeholders only.
    let text = format!(
        "DELETE FROM sessions WHERE realm_id = $1{} RETURNING body, idle_until",
        conditions.text
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(write.realm());
    for value in conditions.values {
        query = query.bind(value);
    }
    let sessions = query
        .fetch_all(write.connection())
        .await
        .map_err(failed)?
        .iter()
        .map(read)
        .collect::<Stores<Vec<_>>>()?;
    if sessions.is_empty() {
        return Ok(sessions);
    }
    let ended = end_all(&mut write, &sessions, now).await?;
    write.audit(audit).await?;
    if ended {
        write.number(1, 0).await?;
        write.announce(&ChangeSubject::Revocation).await?;
    }
    write.commit().await?;
    Ok(sessions)
}

/// Ends the grants of sessions that are gone, and writes their notices. Whether a grant ended.
async fn end_all(write: &mut Transition<'_>, sessions: &[Session], now: Timestamp) -> Stores<bool> {
    let mut ended = false;
    for sessions in sessions.chunks(VALUES_PER_STATEMENT) {
        notices::write(write, sessions, now).await?;
        let conditions = Conditions {
            text: format!(
                " AND offline = 0 AND session_id IN {}",
                placeholders(4, 1, sessions.len())
            ),
            values: sessions.iter().map(|session| &*session.id).collect(),
            next: 4 + sessions.len(),
        };
        let grants = grants::end(write, &conditions, EndReason::Person, now).await?;
        ended |= !grants.is_empty();
    }
    Ok(ended)
}

/// Sessions alive, the newest first.
pub(super) async fn list(
    store: &Store,
    which: &FlowFilter,
    now: Timestamp,
    limit: u32,
) -> Stores<Vec<Session>> {
    let conditions = of_sessions(which, 4);
    // Safe: names of columns and placeholders only.
    let text = format!(
        "SELECT body, idle_until FROM sessions WHERE realm_id = $1 AND idle_until > $2 \
         AND until_ms > $2{} ORDER BY created_at DESC, id DESC LIMIT $3",
        conditions.text
    );
    let mut query = sqlx::query(AssertSqlSafe(text))
        .bind(store.realm)
        .bind(now.as_millis())
        .bind(i64::from(limit));
    for value in conditions.values {
        query = query.bind(value);
    }
    query
        .fetch_all(&store.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(read)
        .collect()
}
