//! **The audit trail**: chained in the order of its writing, by one node at a time.
//!
//! Events got their numbers under the lock of the change that they belong to (see
//! [`crate::outbox`]). The sequencer takes them in exactly that order, and since numbers have no
//! gaps an event's number is its place in the chain: one that is missing among those that wait is
//! found as surely as one that was cut out of the chain.

use proof::time::Timestamp;
use proof::{chain, digest};
use registry::audit::{AuditDraft, AuditEvent, Checkpoint, canonical};
use registry::ports::Stores;
use sqlx::any::AnyRow;

use crate::Store;
use crate::error::{broken, failed};
use crate::outbox::Transition;
use crate::row::{Columns as _, placeholders};

/// How long the lease of the sequencer holds after its last work, in milliseconds: so long does
/// the trail wait when the node that chained goes away.
const LEASE_MILLIS: i64 = 10_000;

/// At most so many events are chained in one transaction: on SQLite it keeps other writers out.
const CHAINED_AT_ONCE: u32 = 500;

/// At most so many rows per statement.
const ROWS_PER_STATEMENT: usize = 100;

/// A row of an event; its number becomes the sequence once it has a hash.
fn read(row: &AnyRow) -> Stores<AuditEvent> {
    let hash = row.text_or_null("hash")?;
    let number = row.number("number")?;
    Ok(AuditEvent {
        sequence: hash.is_some().then_some(number),
        id: row.text("id")?,
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        subject: row.text("subject")?,
        request_id: row.text("request_id")?,
        details: row.json("details")?,
        hash,
    })
}

fn read_hash(row: &AnyRow) -> Stores<[u8; 32]> {
    digest::unhex(&row.text("hash")?)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| broken("the hash of the audit chain is not 32 bytes in hex"))
}

/// Lengthens the chain, if this node holds the lease or nobody does.
pub(crate) async fn chain_waiting(
    store: &Store,
    node: &str,
    now: Timestamp,
    limit: u32,
) -> Stores<u32> {
    let mut transaction = store.backend.begin(&store.writing).await.map_err(failed)?;
    let Some(head) = sqlx::query(
        "UPDATE audit_chain SET holder = $2, until_ms = $4 \
         WHERE realm_id = $1 AND (holder = $2 OR until_ms <= $3) RETURNING sequence, hash",
    )
    .bind(store.realm)
    .bind(node)
    .bind(now.as_millis())
    .bind(now.as_millis().saturating_add(LEASE_MILLIS))
    .fetch_optional(&mut *transaction)
    .await
    .map_err(failed)?
    else {
        return Ok(0);
    };
    let (mut sequence, mut hash) = (head.number("sequence")?, read_hash(&head)?);
    let waiting = sqlx::query(
        "SELECT number, id, at, actor, action, subject, request_id, details, hash FROM audit_events \
         WHERE realm_id = $1 AND number > $2 ORDER BY number LIMIT $3",
    )
    .bind(store.realm)
    .bind(sequence)
    .bind(i64::from(limit.min(CHAINED_AT_ONCE)))
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed)?;

    let mut links = Vec::with_capacity(waiting.len());
    for row in &waiting {
        sequence += 1;
        let mut event = read(row)?;
        if event.hash.is_some() || row.number("number")? != sequence {
            return Err(broken(format!(
                "audit event {sequence} is missing, or was chained by somebody else"
            )));
        }
        event.sequence = Some(sequence);
        hash = chain::link(&hash, &canonical(&event));
        links.push((sequence, digest::hex(&hash)));
    }
    for links in links.chunks(ROWS_PER_STATEMENT) {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "WITH links (number, hash) AS (VALUES {}) UPDATE audit_events SET hash = links.hash \
             FROM links WHERE audit_events.realm_id = $1 AND audit_events.number = links.number",
            placeholders(2, links.len(), 2)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
            .persistent(false)
            .bind(store.realm);
        for (number, hash) in links {
            query = query.bind(number).bind(hash);
        }
        query.execute(&mut *transaction).await.map_err(failed)?;
    }
    if !links.is_empty() {
        sqlx::query("UPDATE audit_chain SET sequence = $2, hash = $3 WHERE realm_id = $1")
            .bind(store.realm)
            .bind(sequence)
            .bind(digest::hex(&hash))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    u32::try_from(links.len()).map_err(|_| broken("more audit events than were asked for"))
}

/// How far the chain has grown.
pub(crate) async fn head(store: &Store) -> Stores<(i64, [u8; 32])> {
    let row = sqlx::query("SELECT sequence, hash FROM audit_chain WHERE realm_id = $1")
        .bind(store.realm)
        .fetch_one(&store.reading)
        .await
        .map_err(failed)?;
    Ok((row.number("sequence")?, read_hash(&row)?))
}

/// Stores a checkpoint, if it says what the trail says.
pub(crate) async fn add_checkpoint(store: &Store, checkpoint: &Checkpoint) -> Stores<()> {
    let event = sqlx::query("SELECT hash FROM audit_events WHERE realm_id = $1 AND number = $2")
        .bind(store.realm)
        .bind(checkpoint.sequence)
        .fetch_optional(&store.reading)
        .await
        .map_err(failed)?;
    let agreed = match &event {
        Some(row) => row.text_or_null("hash")?.as_deref() == Some(&*checkpoint.hash),
        None => false,
    };
    if !agreed {
        return Err(broken(format!(
            "the audit trail at {} is not what the checkpoint says",
            checkpoint.sequence
        )));
    }
    sqlx::query(
        "INSERT INTO audit_checkpoints (realm_id, sequence, at, hash, signature) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (realm_id, sequence, at) DO NOTHING",
    )
    .bind(store.realm)
    .bind(checkpoint.sequence)
    .bind(checkpoint.at.as_millis())
    .bind(&checkpoint.hash)
    .bind(&checkpoint.signature)
    .execute(&store.writing)
    .await
    .map_err(failed)?;
    Ok(())
}

/// All checkpoints in order.
pub(crate) async fn checkpoints(store: &Store) -> Stores<Vec<Checkpoint>> {
    sqlx::query(
        "SELECT sequence, at, hash, signature FROM audit_checkpoints WHERE realm_id = $1 \
         ORDER BY sequence, at",
    )
    .bind(store.realm)
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(|row| {
        Ok(Checkpoint {
            sequence: row.number("sequence")?,
            hash: row.text("hash")?,
            at: row.time("at")?,
            signature: row.text("signature")?,
        })
    })
    .collect()
}

/// Events in order; those that wait come last of themselves, since they have the higher numbers.
pub(crate) async fn events(
    store: &Store,
    after: i64,
    limit: u32,
    waiting: bool,
) -> Stores<Vec<AuditEvent>> {
    sqlx::query(
        "SELECT number, id, at, actor, action, subject, request_id, details, hash FROM audit_events \
         WHERE realm_id = $1 AND number > $2 AND (hash IS NOT NULL OR $3 = 1) ORDER BY number LIMIT $4",
    )
    .bind(store.realm)
    .bind(after)
    .bind(i64::from(waiting))
    .bind(i64::from(limit))
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(read)
    .collect()
}

/// Writes an event of its own.
pub(crate) async fn note(store: &Store, event: &AuditDraft) -> Stores<()> {
    let mut write = Transition::begin(store, 0, 1).await?;
    write.audit(event).await?;
    write.commit().await
}
