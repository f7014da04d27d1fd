//! **What the issuer keeps**: sealed signing keys and their life, revocations (the memory of things
//! used once is [`crate::once`]). At most one key signs for a purpose; a unique index holds it
//! whatever races.

use issuer::ports::{
    FirstUse, IssuerStore, KeptToken, KeyForm, KeyPurpose, KeyState, Revocation, StoredKey,
};
use proof::digest::TokenHash;
use proof::jose::alg::Algorithm;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::ports::{ChangeSubject, Stores};
use serde_json::Value;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::error::{broken, failed};
use crate::outbox::{Transition, taken};
use crate::row::{Columns as _, millis, to_json};
use crate::{Store, once, tokens};

fn purpose_of(name: &str) -> Option<KeyPurpose> {
    KeyPurpose::ALL
        .into_iter()
        .find(|purpose| purpose.name() == name)
}

/// The two columns of a state.
fn state_columns(state: &KeyState) -> (&'static str, Option<i64>) {
    match state {
        KeyState::Published => ("published", None),
        KeyState::Active => ("active", None),
        KeyState::Retiring { until } => ("retiring", Some(until.as_millis())),
        KeyState::Retired => ("retired", None),
    }
}

fn read(row: &AnyRow) -> Stores<StoredKey> {
    let state = match (&*row.text("state")?, row.time_or_null("until_ms")?) {
        ("published", None) => KeyState::Published,
        ("active", None) => KeyState::Active,
        ("retiring", Some(until)) => KeyState::Retiring { until },
        ("retired", None) => KeyState::Retired,
        (other, _) => return Err(broken(format!("a signing key in the state {other:?}"))),
    };
    // The columns are of key pairs; what has no public half says so in both.
    let form = match (&*row.text("algorithm")?, row.json("public_jwk")?) {
        (KeyForm::LOCAL, Value::Null) => KeyForm::Local,
        (_, public_jwk) => KeyForm::Pair {
            algorithm: row.word("algorithm", Algorithm::from_name)?,
            public_jwk,
        },
    };
    Ok(StoredKey {
        kid: row.text("kid")?,
        purpose: row.word("purpose", purpose_of)?,
        form,
        state,
        sealed: row.bytes("sealed")?,
        created_at: row.time("created_at")?,
        activated_at: row.time_or_null("activated_at")?,
    })
}

/// The key that signs for a purpose starts to retire.
async fn retire_active(
    connection: &mut AnyConnection,
    realm: &str,
    purpose: KeyPurpose,
    until: Timestamp,
) -> Stores<()> {
    sqlx::query(
        "UPDATE signing_keys SET state = 'retiring', until_ms = $3 \
         WHERE realm_id = $1 AND purpose = $2 AND state = 'active'",
    )
    .bind(realm)
    .bind(purpose.name())
    .bind(until.as_millis())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

impl IssuerStore for Store {
    async fn signing_keys(&self, purpose: KeyPurpose) -> Stores<Vec<StoredKey>> {
        sqlx::query(
            "SELECT kid, purpose, algorithm, state, until_ms, sealed, public_jwk, created_at, \
             activated_at FROM signing_keys \
             WHERE realm_id = $1 AND purpose = $2 AND state <> 'retired' ORDER BY created_at DESC, kid",
        )
        .bind(self.realm)
        .bind(purpose.name())
        .fetch_all(&self.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(read)
        .collect()
    }

    async fn publish_key(
        &self,
        mut key: StoredKey,
        activate: Option<Timestamp>,
        audit: AuditDraft,
    ) -> Stores<()> {
        let mut write = Transition::begin(self, 1, 1).await?;
        let realm = write.realm();
        match activate {
            Some(old_until) => {
                retire_active(write.connection(), realm, key.purpose, old_until).await?;
                key.state = KeyState::Active;
                key.activated_at = key.activated_at.or(Some(audit.at));
            }
            None if key.state == KeyState::Published => {}
            None => {
                return Err(broken(
                    "a new signing key is published first, nothing was stored",
                ));
            }
        }
        let (state, until) = state_columns(&key.state);
        let algorithm = key.form.algorithm();
        let public_jwk = match key.form {
            KeyForm::Pair { public_jwk, .. } => public_jwk,
            KeyForm::Local => Value::Null,
        };
        sqlx::query(
            "INSERT INTO signing_keys (realm_id, kid, purpose, algorithm, state, until_ms, sealed, \
             public_jwk, created_at, activated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(realm)
        .bind(&key.kid)
        .bind(key.purpose.name())
        .bind(algorithm)
        .bind(state)
        .bind(until)
        .bind(key.sealed)
        .bind(to_json(&public_jwk)?)
        .bind(key.created_at.as_millis())
        .bind(millis(key.activated_at))
        .execute(write.connection())
        .await
        .map_err(|error| taken(error, &format!("signing key {}", key.kid)))?;
        write.audit(&audit).await?;
        write.announce(&ChangeSubject::SigningKey).await?;
        write.commit().await
    }

    async fn activate_key(
        &self,
        kid: &str,
        at: Timestamp,
        old_until: Timestamp,
        audit: AuditDraft,
    ) -> Stores<bool> {
        let mut write = Transition::begin(self, 1, 1).await?;
        let realm = write.realm();
        let Some(row) = sqlx::query(
            "SELECT purpose FROM signing_keys WHERE realm_id = $1 AND kid = $2 AND state = 'published'",
        )
        .bind(realm)
        .bind(kid)
        .fetch_optional(write.connection())
        .await
        .map_err(failed)?
        else {
            return Ok(false);
        };
        retire_active(
            write.connection(),
            realm,
            row.word("purpose", purpose_of)?,
            old_until,
        )
        .await?;
        sqlx::query(
            "UPDATE signing_keys SET state = 'active', activated_at = $3 WHERE realm_id = $1 AND kid = $2",
        )
        .bind(realm)
        .bind(kid)
        .bind(at.as_millis())
        .execute(write.connection())
        .await
        .map_err(failed)?;
        write.audit(&audit).await?;
        write.announce(&ChangeSubject::SigningKey).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn retire_due_keys(&self, now: Timestamp, audit: AuditDraft) -> Stores<Vec<String>> {
        let mut write = Transition::begin(self, 1, 1).await?;
        let realm = write.realm();
        let retired = sqlx::query(
            "UPDATE signing_keys SET state = 'retired', until_ms = NULL \
             WHERE realm_id = $1 AND state = 'retiring' AND until_ms <= $2 RETURNING kid",
        )
        .bind(realm)
        .bind(now.as_millis())
        .fetch_all(write.connection())
        .await
        .map_err(failed)?
        .iter()
        .map(|row| row.text("kid"))
        .collect::<Stores<Vec<_>>>()?;
        if retired.is_empty() {
            return Ok(retired);
        }
        write.audit(&audit).await?;
        write.announce(&ChangeSubject::SigningKey).await?;
        write.commit().await?;
        Ok(retired)
    }

    async fn first_use(
        &self,
        scope: &str,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Stores<FirstUse> {
        once::first_use(self, scope, id, until, now).await
    }

    /// Revoking twice keeps the stricter of the two in both respects.
    async fn revoke(&self, revocation: Revocation, audit: AuditDraft) -> Stores<()> {
        let (kind, name, before, until) = match &revocation {
            Revocation::Token { token_id, until } => ("token", token_id, None, until),
            Revocation::ClientEpoch {
                client_id,
                before,
                until,
            } => ("client_epoch", client_id, Some(before.as_millis()), until),
            Revocation::Grant { grant_id, until } => ("grant", grant_id, None, until),
        };
        let mut write = Transition::begin(self, 1, 1).await?;
        let realm = write.realm();
        sqlx::query(
            "INSERT INTO revocations (realm_id, kind, name, before_ms, until_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (realm_id, kind, name) DO UPDATE SET \
             before_ms = CASE WHEN excluded.before_ms > revocations.before_ms \
             THEN excluded.before_ms ELSE revocations.before_ms END, \
             until_ms = CASE WHEN excluded.until_ms > revocations.until_ms \
             THEN excluded.until_ms ELSE revocations.until_ms END",
        )
        .bind(realm)
        .bind(kind)
        .bind(name)
        .bind(before)
        .bind(until.as_millis())
        .execute(write.connection())
        .await
        .map_err(failed)?;
        write.audit(&audit).await?;
        write.announce(&ChangeSubject::Revocation).await?;
        write.commit().await
    }

    async fn revocations(&self, now: Timestamp) -> Stores<Vec<Revocation>> {
        sqlx::query(
            "SELECT kind, name, before_ms, until_ms FROM revocations \
             WHERE realm_id = $1 AND until_ms > $2 ORDER BY kind, name",
        )
        .bind(self.realm)
        .bind(now.as_millis())
        .fetch_all(&self.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(|row| {
            let (name, until) = (row.text("name")?, row.time("until_ms")?);
            match (&*row.text("kind")?, row.time_or_null("before_ms")?) {
                ("token", None) => Ok(Revocation::Token {
                    token_id: name,
                    until,
                }),
                ("client_epoch", Some(before)) => Ok(Revocation::ClientEpoch {
                    client_id: name,
                    before,
                    until,
                }),
                ("grant", None) => Ok(Revocation::Grant {
                    grant_id: name,
                    until,
                }),
                (other, _) => Err(broken(format!("a revocation of {other:?}"))),
            }
        })
        .collect()
    }
    async fn keep_token(&self, token: KeptToken) -> Stores<()> {
        tokens::keep(self, &token).await
    }

    async fn kept_token(&self, hash: &TokenHash) -> Stores<Option<String>> {
        tokens::find(self, hash).await
    }
}
