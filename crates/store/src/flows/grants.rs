//! **Grants**, and the codes and consents that go with them. A grant begins *pending* with its
//! code or its device's approval, becomes *active* when that is redeemed, and *ended* once for all.
//! Ending one writes the revocation of its tokens, which gateways hear of by the outbox.

use core::time::Duration;

use issuer::flow::{
    Code, CodeIssued, Consent, EndReason, FlowFilter, Grant, GrantEnd, GrantState, ListedGrant,
    NewCode, NewRefresh, NewTokens, Redeemed, Remembered, Reuse,
};
use proof::digest::TokenHash;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::{ChangeSubject, Stores};
use sqlx::AssertSqlSafe;
use verdict::identity::ClientId;

use super::{Conditions, VALUES_PER_STATEMENT, pushed, refresh};
use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, placeholders, to_json};
use crate::tokens as access_tokens;

/// How long the revocation of a grant's tokens stands: the longest life of an access token (one
/// hour) and the leeway of those who judge its end (one minute).
const REVOKED_FOR: Duration = Duration::from_secs(3600 + 60);

/// Stores a grant that waits for its code or device to be redeemed.
pub(super) async fn insert(
    write: &mut Transition<'_>,
    grant: &Grant,
    pending_until: Timestamp,
) -> Stores<()> {
    sqlx::query(
        "INSERT INTO grants (realm_id, id, client_id, subject, session_id, offline, state, \
         created_at, until_ms, pending_until, body) \
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10)",
    )
    .bind(write.realm())
    .bind(&grant.id)
    .bind(grant.client_id.as_str())
    .bind(&grant.subject)
    .bind(grant.session.as_deref())
    .bind(i64::from(grant.offline))
    .bind(grant.created_at.as_millis())
    .bind(grant.until.as_millis())
    .bind(pending_until.as_millis())
    .bind(to_json(grant)?)
    .execute(write.connection())
    .await
    .map_err(|error| taken(error, &format!("grant {}", grant.id)))?;
    Ok(())
}

/// A pending grant becomes active, with its first refresh token. `None`: it ended meanwhile.
pub(super) async fn activate(
    write: &mut Transition<'_>,
    id: &str,
    first: Option<NewRefresh>,
    now: Timestamp,
) -> Stores<Option<Grant>> {
    let Some(row) = sqlx::query(
        "UPDATE grants SET state = 'active', pending_until = NULL \
         WHERE realm_id = $1 AND id = $2 AND state = 'pending' AND until_ms > $3 RETURNING body",
    )
    .bind(write.realm())
    .bind(id)
    .bind(now.as_millis())
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?
    else {
        return Ok(None);
    };
    let mut grant: Grant = row.json("body")?;
    let Some(first) = first else {
        return Ok(Some(grant));
    };
    refresh::insert(write, id, &first, None).await?;
    if let Some(binding) = first.binding {
        grant.binding = Some(binding);
        sqlx::query("UPDATE grants SET body = $3 WHERE realm_id = $1 AND id = $2")
            .bind(write.realm())
            .bind(id)
            .bind(to_json(&grant)?)
            .execute(write.connection())
            .await
            .map_err(failed)?;
    }
    Ok(Some(grant))
}

/// Ends what `conditions` mean, with the revocation of its tokens; under the lock of numbers.
/// `conditions` count their placeholders from 4.
pub(super) async fn end(
    write: &mut Transition<'_>,
    conditions: &Conditions<'_>,
    reason: EndReason,
    now: Timestamp,
) -> Stores<Vec<Grant>> {
    // Safe: names of columns and placeholders only.
    let text = format!(
        "UPDATE grants SET state = 'ended', ended_at = $2, end_reason = $3, pending_until = NULL \
         WHERE realm_id = $1 AND state <> 'ended'{} RETURNING body",
        conditions.text
    );
    let mut query = sqlx::query(AssertSqlSafe(text))
        .bind(write.realm())
        .bind(now.as_millis())
        .bind(reason.name());
    for value in &conditions.values {
        query = query.bind(*value);
    }
    let ended = query
        .fetch_all(write.connection())
        .await
        .map_err(failed)?
        .iter()
        .map(|row| row.json("body"))
        .collect::<Stores<Vec<Grant>>>()?;
    for grants in ended.chunks(VALUES_PER_STATEMENT) {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "INSERT INTO revocations (realm_id, kind, name, before_ms, until_ms) VALUES {} \
             ON CONFLICT (realm_id, kind, name) DO UPDATE SET \
             until_ms = CASE WHEN excluded.until_ms > revocations.until_ms \
             THEN excluded.until_ms ELSE revocations.until_ms END",
            placeholders(1, grants.len(), 5)
        );
        let realm = write.realm();
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(grants.len() == 1);
        for grant in grants {
            query = query
                .bind(realm)
                .bind("grant")
                .bind(&grant.id)
                .bind(None::<i64>)
                .bind(now.plus(REVOKED_FOR).as_millis());
        }
        query.execute(write.connection()).await.map_err(failed)?;
    }
    Ok(ended)
}

/// Ends one grant because something of it was used twice. `false`: it had ended already.
pub(super) async fn end_reused(
    mut write: Transition<'_>,
    id: &str,
    reason: EndReason,
    now: Timestamp,
    audit: &AuditDraft,
) -> Stores<bool> {
    write.number(1, 1).await?;
    let mut this = Conditions::from(4);
    this.and("id = ?", Some(id));
    if end(&mut write, &this, reason, now).await?.is_empty() {
        return Ok(false);
    }
    write.audit(audit).await?;
    write.announce(&ChangeSubject::Revocation).await?;
    write.commit().await?;
    Ok(true)
}

fn of_grants<'a>(which: &'a FlowFilter, next: usize) -> Conditions<'a> {
    let mut conditions = Conditions::from(next);
    conditions.and("g.id = ?", which.id.as_deref());
    conditions.and("g.subject = ?", which.subject.as_deref());
    conditions.and("g.client_id = ?", which.client_id.as_deref());
    conditions.and("g.session_id = ?", which.session.as_deref());
    conditions
}

/// Ends grants with their consents. A consent that has no grant left ends by its person and client.
pub(super) async fn end_filtered(
    store: &Store,
    which: &FlowFilter,
    reason: EndReason,
    now: Timestamp,
    audit: &AuditDraft,
) -> Stores<Vec<Grant>> {
    let mut write = Transition::begin(store, 0, 1).await?;
    let mut conditions = of_grants(which, 4);
    conditions.text = conditions.text.replace("g.", "");
    let ended = end(&mut write, &conditions, reason, now).await?;
    let mut consents = 0;
    if which.id.is_none() && which.session.is_none() {
        let mut conditions = Conditions::from(2);
        conditions.and("subject = ?", which.subject.as_deref());
        conditions.and("client_id = ?", which.client_id.as_deref());
        consents += forget_consents(&mut write, &conditions).await?;
    } else {
        for grant in &ended {
            let mut conditions = Conditions::from(2);
            conditions.and("subject = ?", Some(&grant.subject));
            conditions.and("client_id = ?", Some(grant.client_id.as_str()));
            consents += forget_consents(&mut write, &conditions).await?;
        }
    }
    if ended.is_empty() && consents == 0 {
        return Ok(ended);
    }
    write.audit(audit).await?;
    if !ended.is_empty() {
        write.number(1, 0).await?;
        write.announce(&ChangeSubject::Revocation).await?;
    }
    write.commit().await?;
    Ok(ended)
}

async fn forget_consents(write: &mut Transition<'_>, conditions: &Conditions<'_>) -> Stores<u64> {
    // Safe: names of columns and placeholders only.
    let text = format!(
        "DELETE FROM consents WHERE realm_id = $1{}",
        conditions.text
    );
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(write.realm());
    for value in &conditions.values {
        query = query.bind(*value);
    }
    let forgotten = query.execute(write.connection()).await.map_err(failed)?;
    Ok(forgotten.rows_affected())
}

/// Grants, the newest first. One whose code was never redeemed in time was never one.
pub(super) async fn list(
    store: &Store,
    which: &FlowFilter,
    now: Timestamp,
    limit: u32,
) -> Stores<Vec<ListedGrant>> {
    let conditions = of_grants(which, 4);
    // Safe: names of columns and placeholders only.
    let text = format!(
        "SELECT g.body, g.state, g.ended_at, g.end_reason, t.refreshed_at FROM grants g LEFT JOIN refresh_tokens t \
         ON t.realm_id = g.realm_id AND t.grant_id = g.id AND t.replaced_at IS NULL \
         WHERE g.realm_id = $1 AND (g.pending_until IS NULL OR g.pending_until > $2){} \
         ORDER BY g.created_at DESC, g.id DESC LIMIT $3",
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
        .map(|row| {
            let grant: Grant = row.json("body")?;
            let state = row.word("state", state_of)?;
            let over = grant.until <= now;
            Ok(ListedGrant {
                state: if over { GrantState::Ended } else { state },
                refreshed_at: row.time_or_null("refreshed_at")?,
                end: match row.time_or_null("ended_at")? {
                    Some(at) => Some(GrantEnd {
                        at,
                        reason: row.word("end_reason", EndReason::from_name)?,
                    }),
                    None => None,
                },
                grant,
            })
        })
        .collect()
}

/// A pending grant is an active one to those who list: its person may end it.
pub(super) fn state_of(name: &str) -> Option<GrantState> {
    match name {
        "pending" | "active" => Some(GrantState::Active),
        "ended" => Some(GrantState::Ended),
        _ => None,
    }
}

/// What is known of a person and a client.
pub(super) async fn remembered(
    store: &Store,
    subject: &str,
    client_id: &ClientId,
) -> Stores<Remembered> {
    let row = sqlx::query(
        "SELECT (SELECT body FROM consents \
         WHERE realm_id = $1 AND subject = $2 AND client_id = $3) AS body, \
         (SELECT MAX(ended_at) FROM grants WHERE realm_id = $1 AND subject = $2 \
         AND client_id = $3 AND end_reason = 'refresh-reused') AS reused_at",
    )
    .bind(store.realm)
    .bind(subject)
    .bind(client_id.as_str())
    .fetch_one(&store.reading)
    .await
    .map_err(failed)?;
    let consent = match row.text_or_null("body")? {
        Some(_) => Some(row.json("body")?),
        None => None,
    };
    let reuse = match row.time_or_null("reused_at")? {
        Some(at) => Some(Reuse {
            at,
            answered: allowed_since(store, subject, client_id, at).await?,
        }),
        None => None,
    };
    Ok(Remembered { consent, reuse })
}

/// Whether a person allowed a client anything after a time.
async fn allowed_since(
    store: &Store,
    subject: &str,
    client_id: &ClientId,
    at: Timestamp,
) -> Stores<bool> {
    let found = sqlx::query(
        "SELECT 1 AS one FROM grants WHERE realm_id = $1 AND subject = $2 AND client_id = $3 \
         AND created_at > $4 LIMIT 1",
    )
    .bind(store.realm)
    .bind(subject)
    .bind(client_id.as_str())
    .bind(at.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?;
    Ok(found.is_some())
}

/// Adds to what was allowed before; under the lock of numbers, so that two pages that are answered
/// at once lose nothing.
async fn remember_consent(
    write: &mut Transition<'_>,
    mut consent: Consent,
    withdrawn: &[String],
) -> Stores<()> {
    let before = sqlx::query(
        "SELECT body FROM consents WHERE realm_id = $1 AND subject = $2 AND client_id = $3",
    )
    .bind(write.realm())
    .bind(&consent.subject)
    .bind(consent.client_id.as_str())
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?
    .map(|row| row.json::<Consent>("body"))
    .transpose()?;
    if let Some(before) = before {
        for scope in before.scopes {
            if !consent.scopes.contains(&scope) && !withdrawn.contains(&scope) {
                consent.scopes.push(scope);
            }
        }
        for audience in before.audiences {
            if !consent.audiences.contains(&audience) {
                consent.audiences.push(audience);
            }
        }
    }
    sqlx::query(
        "INSERT INTO consents (realm_id, subject, client_id, at, body) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (realm_id, subject, client_id) DO UPDATE SET at = excluded.at, body = excluded.body",
    )
    .bind(write.realm())
    .bind(&consent.subject)
    .bind(consent.client_id.as_str())
    .bind(consent.at.as_millis())
    .bind(to_json(&consent)?)
    .execute(write.connection())
    .await
    .map_err(failed)?;
    Ok(())
}

/// Issues a code with its grant.
pub(super) async fn issue_code(
    store: &Store,
    new: NewCode,
    audit: &AuditDraft,
) -> Stores<CodeIssued> {
    let NewCode {
        hash,
        code,
        grant,
        spends,
        consent,
        withdrawn,
    } = new;
    let mut write = Transition::open(store).await?;
    if let Some(pushed) = spends
        && !pushed::spend(&mut write, pushed, &grant.client_id, audit.at).await?
    {
        return Ok(CodeIssued::RequestSpent);
    }
    write.number(0, 1).await?;
    insert(&mut write, &grant, code.until).await?;
    sqlx::query(
        "INSERT INTO codes (realm_id, hash, client_id, grant_id, until_ms, body) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(write.realm())
    .bind(hash.to_string())
    .bind(grant.client_id.as_str())
    .bind(&grant.id)
    .bind(code.until.as_millis())
    .bind(to_json(&code)?)
    .execute(write.connection())
    .await
    .map_err(|error| taken(error, "a code with this hash"))?;
    if let Some(consent) = consent {
        remember_consent(&mut write, consent, &withdrawn).await?;
    }
    write.audit(audit).await?;
    write.commit().await?;
    Ok(CodeIssued::Issued)
}

/// Redeems a code, or ends the grant of one that was redeemed before.
pub(super) async fn redeem_code(
    store: &Store,
    hash: TokenHash,
    client_id: &ClientId,
    tokens: NewTokens,
    now: Timestamp,
    audit: &AuditDraft,
    reused: &AuditDraft,
) -> Stores<Redeemed> {
    let mut write = Transition::open(store).await?;
    let Some(row) = sqlx::query(
        "UPDATE codes SET redeemed_at = $4 WHERE realm_id = $1 AND hash = $2 AND client_id = $3 \
         AND redeemed_at IS NULL AND until_ms > $4 RETURNING grant_id, body",
    )
    .bind(write.realm())
    .bind(hash.to_string())
    .bind(client_id.as_str())
    .bind(now.as_millis())
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?
    else {
        return redeemed_before(write, hash, client_id, now, reused).await;
    };
    let (grant_id, code) = (row.text("grant_id")?, row.json("body")?);
    write.number(0, 1).await?;
    let Some(grant) = activate(&mut write, &grant_id, tokens.refresh, now).await? else {
        return Ok(Redeemed::Unknown);
    };
    if let Some(access) = &tokens.access {
        let realm = write.realm();
        access_tokens::insert(write.connection(), realm, &[access]).await?;
    }
    write.audit(audit).await?;
    write.commit().await?;
    Ok(Redeemed::First(code, grant))
}

async fn redeemed_before(
    mut write: Transition<'_>,
    hash: TokenHash,
    client_id: &ClientId,
    now: Timestamp,
    reused: &AuditDraft,
) -> Stores<Redeemed> {
    let Some(row) = sqlx::query(
        "SELECT g.body, g.state FROM codes c JOIN grants g \
         ON g.realm_id = c.realm_id AND g.id = c.grant_id \
         WHERE c.realm_id = $1 AND c.hash = $2 AND c.client_id = $3 AND c.redeemed_at IS NOT NULL",
    )
    .bind(write.realm())
    .bind(hash.to_string())
    .bind(client_id.as_str())
    .fetch_optional(write.connection())
    .await
    .map_err(failed)?
    else {
        return Ok(Redeemed::Unknown);
    };
    let grant: Grant = row.json("body")?;
    if row.word("state", state_of)? == GrantState::Active {
        end_reused(write, &grant.id, EndReason::CodeReused, now, reused).await?;
    }
    Ok(Redeemed::Reused(grant))
}

/// What a code would give. One that was redeemed is shown too: whoever presents it goes on to
/// redeem it, and learns there what that means.
pub(super) async fn code(
    store: &Store,
    hash: TokenHash,
    now: Timestamp,
) -> Stores<Option<(Code, Grant)>> {
    sqlx::query(
        "SELECT c.body AS code, g.body FROM codes c JOIN grants g \
         ON g.realm_id = c.realm_id AND g.id = c.grant_id \
         WHERE c.realm_id = $1 AND c.hash = $2 AND (c.redeemed_at IS NOT NULL OR \
         (c.until_ms > $3 AND g.state = 'pending'))",
    )
    .bind(store.realm)
    .bind(hash.to_string())
    .bind(now.as_millis())
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .map(|row| Ok((row.json("code")?, row.json("body")?)))
    .transpose()
}
