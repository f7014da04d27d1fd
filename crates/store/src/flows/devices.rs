//! **Requests of devices** (RFC 8628): one waits under a user code until a person decides, and is
//! redeemed once by whoever holds the device code.

use issuer::flow::{Device, DeviceDecision, Grant, NewRefresh, Polled};
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::Stores;
use verdict::identity::ClientId;

use super::grants;
use crate::Store;
use crate::error::{broken, failed};
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, to_json};

/// By so much the interval grows for who polls too often (RFC 8628 §3.5), in milliseconds, and
/// how far.
const SLOWER_BY: i64 = 5_000;
const SLOWEST: i64 = 300_000;

/// Keeps a request, if its user code is free.
pub(super) async fn start(
    store: &Store,
    hash: TokenHash,
    device: &Device,
    now: Timestamp,
) -> Stores<bool> {
    let mut transaction = store.backend.begin(&store.writing).await.map_err(failed)?;
    sqlx::query(
        "UPDATE devices SET state = 'over' \
         WHERE realm_id = $1 AND user_code = $2 AND state = 'waiting' AND until_ms <= $3",
    )
    .bind(store.realm)
    .bind(&device.user_code)
    .bind(now.as_millis())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    let kept = sqlx::query(
        "INSERT INTO devices \
         (realm_id, hash, client_id, user_code, state, interval_ms, until_ms, body) \
         VALUES ($1, $2, $3, $4, 'waiting', $5, $6, $7) \
         ON CONFLICT (realm_id, user_code) WHERE state = 'waiting' DO NOTHING",
    )
    .bind(store.realm)
    .bind(hash.to_string())
    .bind(device.client_id.as_str())
    .bind(&device.user_code)
    .bind(
        i64::try_from(device.interval.as_millis())
            .unwrap_or(SLOWEST)
            .min(SLOWEST),
    )
    .bind(device.until.as_millis())
    .bind(to_json(device)?)
    .execute(&mut *transaction)
    .await
    .map_err(|error| taken(error, "a device code with this hash"))?;
    if kept.rows_affected() == 0 {
        return Ok(false);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// The one that waits under a user code.
pub(super) async fn find(store: &Store, user_code: &str, now: Timestamp) -> Stores<Option<Device>> {
    sqlx::query(
        "SELECT body FROM devices \
         WHERE realm_id = $1 AND user_code = $2 AND state = 'waiting' AND until_ms > $3",
    )
    .bind(store.realm)
    .bind(user_code)
    .bind(now.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .map(|row| row.json("body"))
    .transpose()
}

/// Decides.
pub(super) async fn decide(
    store: &Store,
    user_code: &str,
    decision: DeviceDecision,
    now: Timestamp,
    audit: &AuditDraft,
) -> Stores<bool> {
    let (state, grant) = match &decision {
        DeviceDecision::Approved(grant) => ("approved", Some(grant)),
        DeviceDecision::Denied => ("denied", None),
    };
    let mut write = Transition::open(store).await?;
    let Some(row) = sqlx::query(
        "UPDATE devices SET state = $4, grant_id = $5 \
         WHERE realm_id = $1 AND user_code = $2 AND state = 'waiting' AND until_ms > $3 \
         RETURNING client_id, until_ms",
    )
    .bind(write.realm())
    .bind(user_code)
    .bind(now.as_millis())
    .bind(state)
    .bind(grant.map(|grant| &*grant.id))
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?
    else {
        return Ok(false);
    };
    write.number(0, 1).await?;
    if let Some(grant) = grant {
        if row.text("client_id")? != grant.client_id.as_str() {
            return Err(broken(
                "a device's grant is its client's, nothing was stored",
            ));
        }
        grants::insert(&mut write, grant, row.time("until_ms")?).await?;
    }
    write.audit(audit).await?;
    write.commit().await?;
    Ok(true)
}

/// What was approved and waits for its device. An approval does not change any more, so what is
/// read here is what a poll will redeem.
pub(super) async fn approved(
    store: &Store,
    hash: TokenHash,
    client_id: &ClientId,
    now: Timestamp,
) -> Stores<Option<Grant>> {
    sqlx::query(
        "SELECT g.body FROM devices d \
         JOIN grants g ON g.realm_id = d.realm_id AND g.id = d.grant_id \
         WHERE d.realm_id = $1 AND d.hash = $2 AND d.client_id = $3 \
         AND d.state = 'approved' AND d.until_ms > $4 AND g.state = 'pending'",
    )
    .bind(store.realm)
    .bind(hash.to_string())
    .bind(client_id.as_str())
    .bind(now.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .map(|row| row.json("body"))
    .transpose()
}

/// Polls. Each statement finds the request in one state only; the last one says why none did.
pub(super) async fn poll(
    store: &Store,
    hash: TokenHash,
    client_id: &ClientId,
    first: Option<NewRefresh>,
    now: Timestamp,
    audit: &AuditDraft,
) -> Stores<Polled> {
    let hash = hash.to_string();
    let pending = sqlx::query(
        "UPDATE devices SET polled_at = $4 WHERE realm_id = $1 AND hash = $2 AND client_id = $3 \
         AND state = 'waiting' AND until_ms > $4 \
         AND (polled_at IS NULL OR polled_at + interval_ms <= $4)",
    )
    .bind(store.realm)
    .bind(&hash)
    .bind(client_id.as_str())
    .bind(now.as_millis())
    .execute(&store.writing)
    .await
    .map_err(failed)?;
    if pending.rows_affected() == 1 {
        return Ok(Polled::Pending);
    }
    let hurried = sqlx::query(
        "UPDATE devices SET polled_at = $4, \
         interval_ms = CASE WHEN interval_ms > $6 THEN interval_ms ELSE interval_ms + $5 END \
         WHERE realm_id = $1 AND hash = $2 AND client_id = $3 \
         AND state = 'waiting' AND until_ms > $4",
    )
    .bind(store.realm)
    .bind(&hash)
    .bind(client_id.as_str())
    .bind(now.as_millis())
    .bind(SLOWER_BY)
    .bind(SLOWEST)
    .execute(&store.writing)
    .await
    .map_err(failed)?;
    if hurried.rows_affected() == 1 {
        return Ok(Polled::SlowDown);
    }
    let mut write = Transition::open(store).await?;
    let approved = sqlx::query(
        "UPDATE devices SET state = 'redeemed', polled_at = $4 \
         WHERE realm_id = $1 AND hash = $2 AND client_id = $3 \
         AND state = 'approved' AND until_ms > $4 RETURNING grant_id",
    )
    .bind(write.realm())
    .bind(&hash)
    .bind(client_id.as_str())
    .bind(now.as_millis())
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?;
    if let Some(row) = approved {
        write.number(0, 1).await?;
        let grant_id = row.text("grant_id")?;
        let Some(grant) = grants::activate(&mut write, &grant_id, first, now).await? else {
            // Its person ended it before the device came for it.
            return Ok(Polled::Denied);
        };
        write.audit(audit).await?;
        write.commit().await?;
        return Ok(Polled::Approved(Box::new(grant)));
    }
    let Some(row) = sqlx::query(
        "SELECT state, until_ms FROM devices WHERE realm_id = $1 AND hash = $2 AND client_id = $3",
    )
    .bind(write.realm())
    .bind(&hash)
    .bind(client_id.as_str())
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?
    else {
        return Ok(Polled::Unknown);
    };
    let over = row.time("until_ms")? <= now;
    match &*row.text("state")? {
        "redeemed" => Ok(Polled::Unknown),
        "over" => Ok(Polled::Expired),
        "waiting" | "approved" | "denied" if over => Ok(Polled::Expired),
        "denied" => Ok(Polled::Denied),
        other => Err(broken(format!("a device's request in the state {other:?}"))),
    }
}
