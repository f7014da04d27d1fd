//! **Refresh tokens.** A line of tokens hangs on a grant; one is current, the others were replaced.
//! Under rotation the gate is the statement that replaces the current one ([`super::rotation`]), and
//! every other case is told apart after it found nothing. Without rotation only the idle end moves, and no event is
//! written, since nothing was given that the client did not have.

use issuer::flow::{EndReason, Grant, GrantState, NewRefresh, Refresh, Refreshed};
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::Stores;

use super::grants;
use super::rotation::{self, Rotation};
use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, millis};
use crate::tokens;

/// Whether the grant `g` gives tokens at a time: it is active, and so is its session, if it does
/// not outlive it.
macro_rules! grant_gives {
    ($at:literal) => {
        concat!(
            "g.state = 'active' AND g.until_ms > ",
            $at,
            " AND (g.offline = 1 OR g.session_id IS NULL OR EXISTS (SELECT 1 FROM sessions s \
             WHERE s.realm_id = g.realm_id AND s.id = g.session_id AND s.until_ms > ",
            $at,
            " AND s.idle_until > ",
            $at,
            "))"
        )
    };
}
pub(super) use grant_gives;

/// Stores a token as the current one.
pub(super) async fn insert(
    write: &mut Transition<'_>,
    grant_id: &str,
    token: &NewRefresh,
    refreshed_at: Option<Timestamp>,
) -> Stores<()> {
    sqlx::query(
        "INSERT INTO refresh_tokens (realm_id, hash, grant_id, until_ms, refreshed_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(write.realm())
    .bind(token.hash.to_string())
    .bind(grant_id)
    .bind(token.until.as_millis())
    .bind(millis(refreshed_at))
    .execute(write.connection())
    .await
    .map_err(|error| taken(error, "a refresh token with this hash or of this grant"))?;
    Ok(())
}

/// Presents a token.
pub(super) async fn present(
    store: &Store,
    refresh: Refresh<'_>,
    audit: &AuditDraft,
    reused: &AuditDraft,
) -> Stores<Refreshed> {
    let current = match &refresh.successor {
        Some(successor) => {
            let rotation = Rotation {
                hash: refresh.hash.to_string(),
                client_id: refresh.client_id.as_str().to_owned(),
                at: refresh.now.as_millis(),
                successor: successor.hash.to_string(),
                until: successor.until.as_millis(),
                access: refresh.access.clone(),
                audit: audit.clone(),
            };
            rotation::rotate(store, rotation).await?
        }
        None => prolong(store, &refresh).await?,
    };
    match current {
        Some(grant) => {
            // A rotation keeps it in its own commit.
            if refresh.successor.is_none() {
                keep_access(store, &refresh).await?;
            }
            Ok(Refreshed::Current(grant))
        }
        None => explain(store, &refresh, reused).await,
    }
}

/// Keeps the opaque access token of a refresh that changed nothing that could not be done again.
async fn keep_access(store: &Store, refresh: &Refresh<'_>) -> Stores<()> {
    match &refresh.access {
        Some(access) => tokens::keep(store, access).await,
        None => Ok(()),
    }
}

/// Moves the token's idle end, if it is current.
async fn prolong(store: &Store, refresh: &Refresh<'_>) -> Stores<Option<Grant>> {
    sqlx::query(concat!(
        "UPDATE refresh_tokens SET refreshed_at = $4, \
         until_ms = CASE WHEN until_ms < $5 THEN $5 ELSE until_ms END \
         WHERE realm_id = $1 AND hash = $2 AND replaced_at IS NULL AND until_ms > $4 \
         AND EXISTS (SELECT 1 FROM grants g WHERE g.realm_id = refresh_tokens.realm_id \
         AND g.id = refresh_tokens.grant_id AND g.client_id = $3 AND ",
        grant_gives!("$4"),
        ") RETURNING (SELECT g.body FROM grants g WHERE g.realm_id = refresh_tokens.realm_id \
         AND g.id = refresh_tokens.grant_id) AS body"
    ))
    .bind(store.realm)
    .bind(refresh.hash.to_string())
    .bind(refresh.client_id.as_str())
    .bind(refresh.now.as_millis())
    .bind(refresh.idle_until.as_millis())
    .fetch_optional(&store.writing)
    .await
    .map_err(failed)?
    .map(|row| row.json("body"))
    .transpose()
}

/// Why a token was not current; ends the family of one that was replaced before.
async fn explain(store: &Store, refresh: &Refresh<'_>, reused: &AuditDraft) -> Stores<Refreshed> {
    let Some(row) = sqlx::query(concat!(
        "SELECT g.body, t.replaced_at, t.successor, CASE WHEN ",
        grant_gives!("$4"),
        " THEN 1 ELSE 0 END AS gives, CASE WHEN n.replaced_at IS NULL THEN 1 ELSE 0 END AS unused \
         FROM refresh_tokens t JOIN grants g ON g.realm_id = t.realm_id AND g.id = t.grant_id \
         LEFT JOIN refresh_tokens n ON n.realm_id = t.realm_id AND n.hash = t.successor \
         WHERE t.realm_id = $1 AND t.hash = $2 AND g.client_id = $3"
    ))
    .bind(store.realm)
    .bind(refresh.hash.to_string())
    .bind(refresh.client_id.as_str())
    .bind(refresh.now.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    else {
        return Ok(Refreshed::Unknown);
    };
    let grant: Grant = row.json("body")?;
    let gives = row.number("gives")? == 1;
    let Some(replaced_at) = row.time_or_null("replaced_at")?.filter(|_| gives) else {
        return Ok(Refreshed::Ended);
    };
    let in_time = refresh.now < replaced_at.plus(refresh.retry);
    let same = refresh.successor.as_ref().map(|new| new.hash.to_string())
        == row.text_or_null("successor")?;
    if in_time && same && row.number("unused")? == 1 {
        keep_access(store, refresh).await?;
        return Ok(Refreshed::Retried(grant));
    }
    let (write, reason) = (Transition::open(store).await?, EndReason::RefreshReused);
    match grants::end_reused(write, &grant.id, reason, refresh.now, reused).await? {
        true => Ok(Refreshed::Reused(grant)),
        false => Ok(Refreshed::Ended),
    }
}

/// The grant behind a token.
pub(super) async fn find(
    store: &Store,
    hash: TokenHash,
    now: Timestamp,
) -> Stores<Option<(Grant, GrantState, bool, Timestamp)>> {
    sqlx::query(
        "SELECT g.body, g.state, t.replaced_at, t.until_ms FROM refresh_tokens t \
         JOIN grants g ON g.realm_id = t.realm_id AND g.id = t.grant_id \
         WHERE t.realm_id = $1 AND t.hash = $2",
    )
    .bind(store.realm)
    .bind(hash.to_string())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .map(|row| {
        let grant: Grant = row.json("body")?;
        let state = match grant.until <= now {
            true => GrantState::Ended,
            false => row.word("state", grants::state_of)?,
        };
        let current = row.time_or_null("replaced_at")?.is_none();
        Ok((grant, state, current, row.time("until_ms")?))
    })
    .transpose()
}
