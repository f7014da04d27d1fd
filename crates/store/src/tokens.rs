//! **Opaque access tokens**: the claims behind each, by the SHA-256 of its text. A row is written
//! once and never changed; what ends a token before its time is a revocation, which gateways are
//! told of, and not a row that is gone, which they would have to ask for.

use issuer::ports::KeptToken;
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::ports::Stores;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::Store;
use crate::error::failed;
use crate::outbox::taken;
use crate::row::{Columns as _, placeholders};

/// At most so many rows go in one statement, so that other writers get their turn.
const SWEPT_AT_ONCE: i64 = 5_000;
/// At most so many such statements in one sweep.
const SWEEPS: usize = 50;

/// Keeps tokens in a write that issues them; few enough for its values.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    realm: &str,
    tokens: &[&KeptToken],
) -> Stores<()> {
    if tokens.is_empty() {
        return Ok(());
    }
    // Safe: the text grows by placeholders only.
    let text = format!(
        "INSERT INTO access_tokens (realm_id, hash, token_id, client_id, grant_id, until_ms, body) \
         VALUES {}",
        placeholders(1, tokens.len(), 7)
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(tokens.len().is_power_of_two());
    for token in tokens {
        query = query
            .bind(realm)
            .bind(token.hash.to_string())
            .bind(&token.token_id)
            .bind(token.client_id.as_str())
            .bind(token.grant_id.as_deref())
            .bind(token.until.as_millis())
            .bind(&token.claims);
    }
    query
        .execute(connection)
        .await
        .map_err(|error| taken(error, "an access token with this hash"))?;
    Ok(())
}

/// Keeps a token that is issued by itself. No event is written, as none is for a JWT, and no number
/// taken: nobody has to hear of a token that nobody could have asked for before.
pub(crate) async fn keep(store: &Store, token: &KeptToken) -> Stores<()> {
    let mut connection = store.writing.acquire().await.map_err(failed)?;
    insert(&mut connection, store.realm, &[token]).await
}

/// The claims behind a token.
pub(crate) async fn find(store: &Store, hash: &TokenHash) -> Stores<Option<String>> {
    sqlx::query("SELECT body FROM access_tokens WHERE realm_id = $1 AND hash = $2")
        .bind(store.realm)
        .bind(hash.to_string())
        .fetch_optional(&store.reading)
        .await
        .map_err(failed)?
        .map(|row| row.text("body"))
        .transpose()
}

/// Removes tokens whose time has passed; how many.
pub(crate) async fn sweep(store: &Store, now: Timestamp) -> Stores<u64> {
    let mut swept = 0;
    for _ in 0..SWEEPS {
        let gone = sqlx::query(
            "DELETE FROM access_tokens WHERE realm_id = $1 AND hash IN \
             (SELECT hash FROM access_tokens WHERE realm_id = $1 AND until_ms <= $2 LIMIT $3)",
        )
        .bind(store.realm)
        .bind(now.as_millis())
        .bind(SWEPT_AT_ONCE)
        .execute(&store.writing)
        .await
        .map_err(failed)?
        .rows_affected();
        swept += gone;
        if i64::try_from(gone).is_ok_and(|gone| gone < SWEPT_AT_ONCE) {
            break;
        }
    }
    Ok(swept)
}
