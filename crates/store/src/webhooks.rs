//! **Messages for endpoints of others**: one row each, from acceptance to its end. A message is one
//! node's at a time: whoever claims it moves its lease on, in one statement. The state of an endpoint
//! (how far the audit trail was read for it, whether it is disabled) comes and goes with its
//! document, in the same transaction.
//!
//! Order of locks: who has numbers may wait for a row of these tables; a statement that holds such a
//! row never waits for numbers.

use core::time::Duration;

use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::{Stores, Webhooks};
use registry::resource::ResourceKind;
use registry::webhook::{
    Accepted, Disabled, EndpointState, Message, MessageFilter, MessageState, NewMessage, OWN,
    Outcome, Which,
};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::error::{broken, failed};
use crate::outbox::Transition;
use crate::row::{Columns as _, placeholders};

/// So long a message that was delivered is shown.
const DELIVERED_KEPT: Duration = Duration::from_secs(24 * 3600);
/// So long a dead letter is kept.
const DEAD_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// At most so many dead letters of an endpoint are kept, the newest.
const MOST_DEAD: i64 = 10_000;
/// At most so many rows in one sweep, so that other writers get their turn.
const SWEPT_AT_ONCE: i64 = 5_000;
/// Messages written in one statement, by the number of their values.
const WRITTEN_AT_ONCE: usize = 50;
/// Most endpoints that are named as due at once.
const MOST_DUE: i64 = 1_000;

/// Says in the transaction of its document what is known of an endpoint from now on: a new one hears
/// of what happens after this, and so does one that begins to listen.
pub(crate) async fn declared(
    write: &mut Transition<'_>,
    name: &str,
    before: Option<&Value>,
) -> Stores<()> {
    if before.is_some_and(listens) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO webhook_endpoints (realm_id, name, after_number) \
         SELECT realm_id, $2, audit_events FROM counters WHERE realm_id = $1 \
         ON CONFLICT (realm_id, name) DO UPDATE SET after_number = excluded.after_number",
    )
    .bind(write.realm())
    .bind(name)
    .execute(write.connection())
    .await
    .map_err(failed)?;
    Ok(())
}

/// Whether a stored document takes events of our own.
fn listens(spec: &Value) -> bool {
    let events = spec.get("events").and_then(Value::as_array);
    events
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|event| event.starts_with(OWN))
}

/// Forgets an endpoint with its messages, in the transaction that removes its document. The endpoint
/// goes first: whoever writes messages for it holds its row.
pub(crate) async fn removed(write: &mut Transition<'_>, name: &str) -> Stores<()> {
    for text in [
        "DELETE FROM webhook_endpoints WHERE realm_id = $1 AND name = $2",
        "DELETE FROM webhook_messages WHERE realm_id = $1 AND endpoint = $2",
    ] {
        sqlx::query(text)
            .bind(write.realm())
            .bind(name)
            .execute(write.connection())
            .await
            .map_err(failed)?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> Stores<Message> {
    let status = row
        .number_or_null("status")?
        .map(u16::try_from)
        .transpose()
        .map_err(|_| broken("a status that is none"))?;
    Ok(Message {
        id: row.text("id")?,
        endpoint: row.text("endpoint")?,
        r#type: row.text("type")?,
        body: row.text("body")?,
        state: row.word("state", MessageState::from_name)?,
        attempts: row.number("attempts")?,
        due: row.time("due")?,
        created_at: row.time("created_at")?,
        tried_at: row.time_or_null("tried_at")?,
        status,
        cause: row.text_or_null("cause")?,
    })
}

fn read_state(row: &AnyRow) -> Stores<EndpointState> {
    let disabled = row.time_or_null("disabled_at")?.map(|at| {
        let cause = row.text_or_null("disabled_cause")?.unwrap_or_default();
        Ok(Disabled { at, cause })
    });
    Ok(EndpointState {
        name: row.text("name")?,
        after: row.number("after_number")?,
        disabled: disabled.transpose()?,
        waiting: row.number("waiting")?,
        dead: row.number("dead")?,
    })
}

async fn insert(
    connection: &mut sqlx::AnyConnection,
    realm: &str,
    messages: &[NewMessage],
) -> Stores<()> {
    for messages in messages.chunks(WRITTEN_AT_ONCE) {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "INSERT INTO webhook_messages (realm_id, id, endpoint, type, body, state, attempts, due, \
             lease_until, created_at) VALUES {}",
            placeholders(1, messages.len(), 10)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(messages.len() == 1);
        for message in messages {
            query = query
                .bind(realm)
                .bind(&message.id)
                .bind(&message.endpoint)
                .bind(&message.r#type)
                .bind(&message.body)
                .bind(MessageState::Waiting.name())
                .bind(0_i64)
                .bind(message.at.as_millis())
                .bind(0_i64)
                .bind(message.at.as_millis());
        }
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// Forgets what was delivered or given up long ago, and dead letters beyond what is kept of an
/// endpoint. Returns how many.
pub(crate) async fn sweep(store: &Store, now: Timestamp) -> Stores<u64> {
    let mut swept = 0;
    for (state, before) in [
        (MessageState::Delivered, now.minus(DELIVERED_KEPT)),
        (MessageState::Dead, now.minus(DEAD_KEPT)),
    ] {
        swept += sqlx::query(
            "DELETE FROM webhook_messages WHERE realm_id = $1 AND id IN (SELECT id \
             FROM webhook_messages WHERE realm_id = $1 AND state = $2 AND tried_at <= $3 LIMIT $4)",
        )
        .bind(store.realm)
        .bind(state.name())
        .bind(before.as_millis())
        .bind(SWEPT_AT_ONCE)
        .execute(&store.writing)
        .await
        .map_err(failed)?
        .rows_affected();
    }
    for state in store.endpoint_states().await? {
        if state.dead <= MOST_DEAD {
            continue;
        }
        swept += sqlx::query(
            "DELETE FROM webhook_messages WHERE realm_id = $1 AND id IN (SELECT id \
             FROM webhook_messages WHERE realm_id = $1 AND endpoint = $2 AND state = 'dead' \
             ORDER BY tried_at DESC, id DESC LIMIT $3 OFFSET $4)",
        )
        .bind(store.realm)
        .bind(&state.name)
        .bind(SWEPT_AT_ONCE)
        .bind(MOST_DEAD)
        .execute(&store.writing)
        .await
        .map_err(failed)?
        .rows_affected();
    }
    Ok(swept)
}

/// What an act on [`Which`] is restricted to: the column's condition and its value.
fn restricted(which: &Which) -> (&'static str, &str) {
    match which {
        Which::One(id) => ("id = $2", id),
        Which::DeadOf(endpoint) => ("endpoint = $2 AND state = 'dead'", endpoint),
    }
}

impl Webhooks for Store {
    async fn accept_message(
        &self,
        message: NewMessage,
        queue: u32,
        audit: AuditDraft,
    ) -> Stores<Accepted> {
        let mut write = Transition::begin(self, 0, 1).await?;
        let realm = write.realm();
        let Some(row) = sqlx::query(
            "SELECT name, after_number, disabled_at, disabled_cause, \
             (SELECT CAST(COUNT(*) AS BIGINT) FROM webhook_messages m WHERE m.realm_id = e.realm_id \
             AND m.endpoint = e.name AND m.state = 'waiting') AS waiting, \
             CAST(0 AS BIGINT) AS dead \
             FROM webhook_endpoints e WHERE e.realm_id = $1 AND e.name = $2",
        )
        .bind(realm)
        .bind(&message.endpoint)
        .fetch_optional(write.connection())
        .await
        .map_err(failed)?
        else {
            return Ok(Accepted::Unknown);
        };
        let state = read_state(&row)?;
        if state.disabled.is_some() {
            return Ok(Accepted::Disabled);
        }
        if state.waiting >= i64::from(queue) {
            return Ok(Accepted::Full);
        }
        insert(write.connection(), realm, &[message]).await?;
        write.audit(&audit).await?;
        write.commit().await?;
        Ok(Accepted::Done)
    }

    async fn accept_events(
        &self,
        endpoint: &str,
        from: i64,
        to: i64,
        messages: &[NewMessage],
    ) -> Stores<bool> {
        let mut transaction = self.backend.begin(&self.writing).await.map_err(failed)?;
        // The gate, and the lock on the endpoint until the commit.
        let moved = sqlx::query(
            "UPDATE webhook_endpoints SET after_number = $4 WHERE realm_id = $1 AND name = $2 \
             AND after_number = $3 AND disabled_at IS NULL",
        )
        .bind(self.realm)
        .bind(endpoint)
        .bind(from)
        .bind(to)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
        insert(&mut transaction, self.realm, messages).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn endpoint_states(&self) -> Stores<Vec<EndpointState>> {
        let mut states = sqlx::query(
            "SELECT name, after_number, disabled_at, disabled_cause, \
             (SELECT CAST(COUNT(*) AS BIGINT) FROM webhook_messages m WHERE m.realm_id = e.realm_id \
             AND m.endpoint = e.name AND m.state = 'waiting') AS waiting, \
             (SELECT CAST(COUNT(*) AS BIGINT) FROM webhook_messages m WHERE m.realm_id = e.realm_id \
             AND m.endpoint = e.name AND m.state = 'dead') AS dead \
             FROM webhook_endpoints e WHERE e.realm_id = $1",
        )
        .bind(self.realm)
        .fetch_all(&self.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(read_state)
        .collect::<Stores<Vec<_>>>()?;
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(states)
    }

    async fn switch_endpoint(
        &self,
        name: &str,
        disabled: Option<Disabled>,
        audit: AuditDraft,
    ) -> Stores<bool> {
        let mut write = Transition::begin(self, 0, 1).await?;
        let realm = write.realm();
        let query = match &disabled {
            Some(disabled) => sqlx::query(
                "UPDATE webhook_endpoints SET disabled_at = $3, disabled_cause = $4 \
                 WHERE realm_id = $1 AND name = $2 AND disabled_at IS NULL",
            )
            .bind(realm)
            .bind(name)
            .bind(disabled.at.as_millis())
            .bind(&disabled.cause),
            // What happened in between is not made up for.
            None => sqlx::query(
                "UPDATE webhook_endpoints SET disabled_at = NULL, disabled_cause = NULL, \
                 after_number = (SELECT audit_events FROM counters WHERE realm_id = $1) \
                 WHERE realm_id = $1 AND name = $2 AND disabled_at IS NOT NULL",
            )
            .bind(realm)
            .bind(name),
        };
        let done = query.execute(write.connection()).await.map_err(failed)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        write.audit(&audit).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn endpoints_due(&self, now: Timestamp) -> Stores<Vec<String>> {
        sqlx::query(
            "SELECT e.name FROM webhook_endpoints e WHERE e.realm_id = $1 \
             AND e.disabled_at IS NULL AND EXISTS (SELECT 1 FROM webhook_messages m \
             WHERE m.realm_id = $1 AND m.endpoint = e.name AND m.state = 'waiting' \
             AND m.due <= $2 AND m.lease_until <= $2) LIMIT $3",
        )
        .bind(self.realm)
        .bind(now.as_millis())
        .bind(MOST_DUE)
        .fetch_all(&self.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(|row| row.text("name"))
        .collect()
    }

    /// The lease is asked twice: another node may have taken one while this statement waited for its
    /// row.
    async fn claim_messages(
        &self,
        endpoint: &str,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Stores<Vec<Message>> {
        sqlx::query(
            "UPDATE webhook_messages SET lease_until = $4, attempts = attempts + 1 \
             WHERE realm_id = $1 AND state = 'waiting' AND due <= $3 AND lease_until <= $3 \
             AND id IN (SELECT m.id FROM webhook_messages m JOIN webhook_endpoints e \
             ON e.realm_id = m.realm_id AND e.name = m.endpoint AND e.disabled_at IS NULL \
             WHERE m.realm_id = $1 AND m.endpoint = $2 AND m.state = 'waiting' AND m.due <= $3 \
             AND m.lease_until <= $3 ORDER BY m.due, m.id LIMIT $5) \
             RETURNING id, endpoint, type, body, state, attempts, due, created_at, tried_at, status, \
             cause",
        )
        .bind(self.realm)
        .bind(endpoint)
        .bind(now.as_millis())
        .bind(lease_until.as_millis())
        .bind(i64::from(limit))
        .fetch_all(&self.writing)
        .await
        .map_err(failed)?
        .iter()
        .map(read)
        .collect()
    }

    async fn settle_message(
        &self,
        id: &str,
        attempt: i64,
        outcome: Outcome,
        now: Timestamp,
        audit: Option<AuditDraft>,
    ) -> Stores<bool> {
        // A message that was taken is taken, whoever tries it by now.
        let (state, due, status, cause, of_any) = match outcome {
            Outcome::Delivered { status } => {
                (MessageState::Delivered, now, Some(status), None, 1_i64)
            }
            Outcome::Again { due, status, cause } => {
                (MessageState::Waiting, due, status, Some(cause), 0)
            }
            Outcome::Dead { status, cause } => (MessageState::Dead, now, status, Some(cause), 0),
        };
        let mut write = Transition::open(self).await?;
        if audit.is_some() {
            write.number(0, 1).await?;
        }
        let realm = write.realm();
        let settled = sqlx::query(
            "UPDATE webhook_messages SET state = $4, due = $5, lease_until = 0, tried_at = $6, \
             status = $7, cause = $8 WHERE realm_id = $1 AND id = $2 AND state = 'waiting' \
             AND (attempts = $3 OR $9 = 1)",
        )
        .bind(realm)
        .bind(id)
        .bind(attempt)
        .bind(state.name())
        .bind(due.as_millis())
        .bind(now.as_millis())
        .bind(status.map(i64::from))
        .bind(cause)
        .bind(of_any)
        .execute(write.connection())
        .await
        .map_err(failed)?;
        if settled.rows_affected() != 1 {
            return Ok(false);
        }
        if let Some(audit) = &audit {
            write.audit(audit).await?;
        }
        write.commit().await?;
        Ok(true)
    }

    async fn messages(&self, filter: &MessageFilter) -> Stores<Vec<Message>> {
        sqlx::query(
            "SELECT id, endpoint, type, body, state, attempts, due, created_at, tried_at, status, \
             cause FROM webhook_messages WHERE realm_id = $1 AND ($2 IS NULL OR endpoint = $2) \
             AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        )
        .bind(self.realm)
        .bind(filter.endpoint.as_deref())
        .bind(filter.state.map(MessageState::name))
        .bind(filter.before.as_deref())
        .bind(i64::from(filter.limit.clamp(1, 1000)))
        .fetch_all(&self.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(read)
        .collect()
    }

    async fn message(&self, id: &str) -> Stores<Option<Message>> {
        sqlx::query(
            "SELECT id, endpoint, type, body, state, attempts, due, created_at, tried_at, status, \
             cause FROM webhook_messages WHERE realm_id = $1 AND id = $2",
        )
        .bind(self.realm)
        .bind(id)
        .fetch_optional(&self.reading)
        .await
        .map_err(failed)?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn send_again(&self, which: &Which, now: Timestamp, audit: AuditDraft) -> Stores<u64> {
        let mut write = Transition::begin(self, 0, 1).await?;
        let (restriction, value) = restricted(which);
        // Safe: one of two literals. One that waits keeps its count, which is somebody's lease.
        let text = format!(
            "UPDATE webhook_messages SET state = 'waiting', due = $3, \
             attempts = CASE WHEN state = 'waiting' THEN attempts ELSE 0 END \
             WHERE realm_id = $1 AND {restriction}"
        );
        let realm = write.realm();
        let done = sqlx::query(AssertSqlSafe(text))
            .bind(realm)
            .bind(value)
            .bind(now.as_millis())
            .execute(write.connection())
            .await
            .map_err(failed)?
            .rows_affected();
        if done > 0 {
            write.audit(&audit).await?;
            write.commit().await?;
        }
        Ok(done)
    }

    async fn drop_messages(&self, which: &Which, audit: AuditDraft) -> Stores<u64> {
        let mut write = Transition::begin(self, 0, 1).await?;
        let (restriction, value) = restricted(which);
        // Safe: one of two literals.
        let text = format!("DELETE FROM webhook_messages WHERE realm_id = $1 AND {restriction}");
        let realm = write.realm();
        let done = sqlx::query(AssertSqlSafe(text))
            .bind(realm)
            .bind(value)
            .execute(write.connection())
            .await
            .map_err(failed)?
            .rows_affected();
        if done > 0 {
            write.audit(&audit).await?;
            write.commit().await?;
        }
        Ok(done)
    }
}

/// Whether a kind of resource has a state of its own here.
pub(crate) const fn has_state(kind: ResourceKind) -> bool {
    matches!(kind, ResourceKind::WebhookEndpoint)
}
