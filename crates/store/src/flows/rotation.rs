//! **Rotations of refresh tokens**, those that come at once in one commit. The answer is the grant,
//! if the presented token was current.

use issuer::flow::Grant;
use issuer::ports::KeptToken;
use registry::audit::AuditDraft;
use registry::ports::Stores;
use sqlx::AssertSqlSafe;

use super::refresh::grant_gives;
use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, placeholders};
use crate::together::{Shared, Together};
use crate::tokens as access_tokens;

/// The rotations of a store; its clones share them.
pub(crate) type Rotations = Together<Rotation>;

/// A token to be replaced, if it is current.
pub(crate) struct Rotation {
    /// The presented token's hash.
    pub(super) hash: String,
    pub(super) client_id: String,
    pub(super) at: i64,
    /// Its successor's hash and end.
    pub(super) successor: String,
    pub(super) until: i64,
    /// The opaque access token that is issued with it.
    pub(super) access: Option<KeptToken>,
    pub(super) audit: AuditDraft,
}

/// Replaces a token by its successor, if it is current.
pub(super) async fn rotate(store: &Store, rotation: Rotation) -> Stores<Option<Grant>> {
    store.rotations.make(store, rotation).await
}

impl Shared for Rotation {
    type Answer = Option<Grant>;
    const BUSY: &'static str = "too many refresh tokens wait to be replaced";

    fn touches(&self) -> (&str, &str) {
        (&self.hash, "")
    }

    async fn together(store: &Store, batch: &[Self]) -> Stores<Vec<Option<Grant>>> {
        together(store, batch).await
    }
}

/// One commit for all. The grant for each that was current.
async fn together(store: &Store, rotations: &[Rotation]) -> Stores<Vec<Option<Grant>>> {
    let mut write = Transition::open(store).await?;
    // Rows of many tokens are locked in no order: under the lock that is all the same.
    write.lock().await?;
    // Safe: the text grows by placeholders only.
    let text = format!(
        concat!(
            "WITH presented (token, client, at, next) AS (VALUES {}) \
             UPDATE refresh_tokens SET replaced_at = presented.at, successor = presented.next \
             FROM presented WHERE refresh_tokens.realm_id = $1 \
             AND refresh_tokens.hash = presented.token AND refresh_tokens.replaced_at IS NULL \
             AND refresh_tokens.until_ms > presented.at AND EXISTS (SELECT 1 FROM grants g \
             WHERE g.realm_id = refresh_tokens.realm_id AND g.id = refresh_tokens.grant_id \
             AND g.client_id = presented.client AND ",
            grant_gives!("presented.at"),
            ") RETURNING refresh_tokens.hash AS hash, (SELECT g.body FROM grants g \
             WHERE g.realm_id = refresh_tokens.realm_id AND g.id = refresh_tokens.grant_id) AS body"
        ),
        placeholders(2, rotations.len(), 4)
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(store.realm);
    for rotation in rotations {
        query = query
            .bind(&rotation.hash)
            .bind(&rotation.client_id)
            .bind(rotation.at)
            .bind(&rotation.successor);
    }
    let mut grants: Vec<Option<Grant>> = rotations.iter().map(|_| None).collect();
    for row in query.fetch_all(write.connection()).await.map_err(failed)? {
        let hash = row.text("hash")?;
        for (grant, rotation) in grants.iter_mut().zip(rotations) {
            if rotation.hash == hash {
                *grant = Some(row.json("body")?);
            }
        }
    }
    let replaced: Vec<(&Grant, &Rotation)> = grants
        .iter()
        .zip(rotations)
        .filter_map(|(grant, rotation)| Some((grant.as_ref()?, rotation)))
        .collect();
    if replaced.is_empty() {
        return Ok(grants);
    }
    // Safe: the text grows by placeholders only.
    let text = format!(
        "INSERT INTO refresh_tokens (realm_id, hash, grant_id, until_ms, refreshed_at) VALUES {}",
        placeholders(1, replaced.len(), 5)
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(replaced.len().is_power_of_two());
    for (grant, rotation) in &replaced {
        query = query
            .bind(store.realm)
            .bind(&rotation.successor)
            .bind(&grant.id)
            .bind(rotation.until)
            .bind(rotation.at);
    }
    query
        .execute(write.connection())
        .await
        .map_err(|error| taken(error, "a refresh token with this hash or of this grant"))?;
    let access: Vec<&KeptToken> = replaced
        .iter()
        .filter_map(|(_, rotation)| rotation.access.as_ref())
        .collect();
    access_tokens::insert(write.connection(), store.realm, &access).await?;
    let events: Vec<&AuditDraft> = replaced
        .iter()
        .map(|(_, rotation)| &rotation.audit)
        .collect();
    write
        .number(0, i64::try_from(events.len()).unwrap_or(i64::MAX))
        .await?;
    write.audit_all(&events).await?;
    write.commit().await?;
    Ok(grants)
}
