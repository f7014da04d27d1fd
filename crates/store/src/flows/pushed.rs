//! **Pushed authorization requests** (RFC 9126): kept, read as often as a page is loaded, and spent
//! once, with the code.

use issuer::flow::Pushed;
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::ports::Stores;
use verdict::identity::ClientId;

use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, to_json};

/// Keeps one.
pub(super) async fn push(store: &Store, hash: TokenHash, pushed: &Pushed) -> Stores<()> {
    sqlx::query(
        "INSERT INTO pushed_requests (realm_id, hash, client_id, until_ms, body) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(store.realm)
    .bind(hash.to_string())
    .bind(pushed.client_id.as_str())
    .bind(pushed.until.as_millis())
    .bind(to_json(pushed)?)
    .execute(&store.writing)
    .await
    .map_err(|error| taken(error, "a pushed request with this hash"))?;
    Ok(())
}

/// One that is neither spent nor over.
pub(super) async fn find(store: &Store, hash: TokenHash, now: Timestamp) -> Stores<Option<Pushed>> {
    sqlx::query(
        "SELECT body FROM pushed_requests \
         WHERE realm_id = $1 AND hash = $2 AND spent_at IS NULL AND until_ms > $3",
    )
    .bind(store.realm)
    .bind(hash.to_string())
    .bind(now.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .map(|row| row.json("body"))
    .transpose()
}

/// Spends one; `false`: it was spent before. Its own end is not asked: it was in time when the
/// authorization began, and a person may take longer to log in.
pub(super) async fn spend(
    write: &mut Transition<'_>,
    hash: TokenHash,
    client_id: &ClientId,
    now: Timestamp,
) -> Stores<bool> {
    let spent = sqlx::query(
        "UPDATE pushed_requests SET spent_at = $4 \
         WHERE realm_id = $1 AND hash = $2 AND client_id = $3 AND spent_at IS NULL",
    )
    .bind(write.realm())
    .bind(hash.to_string())
    .bind(client_id.as_str())
    .bind(now.as_millis())
    .execute(write.connection())
    .await
    .map_err(failed)?;
    Ok(spent.rows_affected() == 1)
}
