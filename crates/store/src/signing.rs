//! **What requests are signed with**: secrets under the master key and public keys, beside the
//! credential that they belong to. This module sees sealed bytes only; it opens nothing.

use std::collections::HashMap;

use proof::seal;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::credential::{Credential, Renewed};
use registry::ports::{SealedSecrets, Stores};
use registry::signing::{MaterialForm, Sealed, SigningMaterial, VALID_AT_ONCE};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, Executor};
use verdict::identity::LifeState;

use crate::Store;
use crate::credentials;
use crate::error::{broken, failed};
use crate::outbox::{Transition, of_credential, taken};
use crate::row::{Columns as _, millis, placeholders};

/// A row of `signing_material`, with the columns under these names.
pub(crate) fn read(row: &AnyRow) -> Stores<SigningMaterial> {
    let body = row.bytes("m_body")?;
    let form = match &*row.text("m_kind")? {
        "shared" => MaterialForm::Shared { sealed: body },
        "public" => MaterialForm::Public {
            jwk: serde_json::from_slice(&body)
                .map_err(|_| broken("a registered public key is not the JSON it must be"))?,
        },
        other => return Err(broken(format!("signing material of the kind {other:?}"))),
    };
    Ok(SigningMaterial {
        id: row.text("m_id")?,
        form,
        created_at: row.time("m_created_at")?,
        until: row.time_or_null("m_until_ms")?,
    })
}

/// Gives credentials what they sign by, in one statement for all; the newest first.
pub(crate) async fn fill(
    connection: impl Executor<'_, Database = Any>,
    realm: &str,
    credentials: &mut [Credential],
) -> Stores<()> {
    let mut signing: HashMap<String, &mut Vec<SigningMaterial>> = credentials
        .iter_mut()
        .filter_map(|one| Some((one.id.clone(), &mut one.signing.as_mut()?.material)))
        .collect();
    if signing.is_empty() {
        return Ok(());
    }
    // Safe: the text grows by placeholders only.
    let text = format!(
        "SELECT m.credential, m.id AS m_id, m.kind AS m_kind, m.body AS m_body, \
         m.created_at AS m_created_at, m.until_ms AS m_until_ms FROM signing_material m \
         WHERE m.realm_id = $1 AND m.credential IN {} ORDER BY m.created_at DESC, m.id DESC",
        placeholders(2, 1, signing.len())
    );
    let ids: Vec<String> = signing.keys().cloned().collect();
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
        .persistent(ids.len() == 1)
        .bind(realm);
    for id in &ids {
        query = query.bind(id);
    }
    for row in &query.fetch_all(connection).await.map_err(failed)? {
        if let Some(material) = signing.get_mut(&row.text("credential")?) {
            material.push(read(row)?);
        }
    }
    Ok(())
}

/// Stores what a new credential signs by.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    realm: &str,
    credential: &str,
    material: &SigningMaterial,
) -> Stores<()> {
    let (kind, body, sealed_under) = match &material.form {
        MaterialForm::Shared { sealed } => {
            let under = seal::kek_id(sealed)
                .map_err(|_| broken("a secret is not sealed, nothing was stored"))?;
            ("shared", sealed.clone(), Some(under))
        }
        MaterialForm::Public { jwk } => ("public", jwk.to_string().into_bytes(), None),
    };
    sqlx::query(
        "INSERT INTO signing_material (realm_id, id, credential, kind, body, sealed_under, \
         created_at, until_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(realm)
    .bind(&material.id)
    .bind(credential)
    .bind(kind)
    .bind(body)
    .bind(sealed_under)
    .bind(material.created_at.as_millis())
    .bind(millis(material.until))
    .execute(connection)
    .await
    .map_err(|error| taken(error, &format!("signing material {}", material.id)))?;
    Ok(())
}

/// Removes what a credential signed by.
pub(crate) async fn forget(
    connection: &mut AnyConnection,
    realm: &str,
    credential: &str,
) -> Stores<()> {
    sqlx::query("DELETE FROM signing_material WHERE realm_id = $1 AND credential = $2")
        .bind(realm)
        .bind(credential)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Removes what the revoked credentials of an owner signed by.
pub(crate) async fn forget_revoked_of(
    connection: &mut AnyConnection,
    realm: &str,
    owner_kind: &str,
    owner: &str,
) -> Stores<()> {
    sqlx::query(
        "DELETE FROM signing_material WHERE realm_id = $1 AND credential IN \
         (SELECT id FROM credentials WHERE realm_id = $1 AND owner_kind = $2 AND owner = $3 \
         AND state = 'revoked')",
    )
    .bind(realm)
    .bind(owner_kind)
    .bind(owner)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Puts another beside what a credential signs by; those before end.
pub(crate) async fn renew(
    store: &Store,
    id: &str,
    new: SigningMaterial,
    old_ends: Timestamp,
    expected: i64,
    audit: &AuditDraft,
) -> Stores<Renewed> {
    let mut write = Transition::begin(store, 1, 1).await?;
    let realm = write.realm();
    let Some(mut credential) = credentials::select(write.connection(), realm, id).await? else {
        return Ok(Renewed::Unknown);
    };
    fill(
        write.connection(),
        realm,
        core::slice::from_mut(&mut credential),
    )
    .await?;
    if credential.version != expected {
        return Ok(Renewed::Conflict {
            current: credential.version,
        });
    }
    if credential.state != LifeState::Active {
        return Ok(Renewed::WrongState(credential.state));
    }
    let Some(signing) = &mut credential.signing else {
        return Err(broken(format!("credential {id} signs nothing")));
    };
    for old in &mut signing.material {
        old.until = Some(old.until.map_or(old_ends, |end| end.min(old_ends)));
    }
    let still = signing.valid_at(new.created_at).count();
    if still >= VALID_AT_ONCE {
        return Ok(Renewed::TwoValid);
    }
    sqlx::query(
        "UPDATE signing_material SET until_ms = $3 WHERE realm_id = $1 AND credential = $2 \
         AND (until_ms IS NULL OR until_ms > $3)",
    )
    .bind(realm)
    .bind(id)
    .bind(old_ends.as_millis())
    .execute(write.connection())
    .await
    .map_err(failed)?;
    insert(write.connection(), realm, id, &new).await?;
    signing.material.insert(0, new);
    credential.version += 1;
    credentials::update(write.connection(), realm, &credential).await?;
    write.audit(audit).await?;
    write
        .announce(&of_credential(
            credential.r#type,
            &credential.id,
            &credential.owner,
        ))
        .await?;
    write.commit().await?;
    Ok(Renewed::Done(credential))
}

/// Removes what has ended because another took its place. Returns how many.
pub(crate) async fn sweep(store: &Store, now: Timestamp) -> Stores<u64> {
    let swept = sqlx::query("DELETE FROM signing_material WHERE realm_id = $1 AND until_ms <= $2")
        .bind(store.realm)
        .bind(now.as_millis())
        .execute(&store.writing)
        .await
        .map_err(failed)?;
    Ok(swept.rows_affected())
}

impl SealedSecrets for Store {
    async fn sealed_otherwise(
        &self,
        master_key: &str,
        after: &str,
        limit: u32,
    ) -> Stores<Vec<Sealed>> {
        sqlx::query(
            "SELECT id, body FROM signing_material WHERE realm_id = $1 AND sealed_under <> $2 \
             AND id > $3 ORDER BY id LIMIT $4",
        )
        .bind(self.realm)
        .bind(master_key)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(|row| {
            Ok(Sealed {
                id: row.text("id")?,
                sealed: row.bytes("body")?,
            })
        })
        .collect()
    }

    /// One statement: another node that was faster left other bytes behind.
    async fn reseal(&self, before: &Sealed, sealed: Vec<u8>) -> Stores<bool> {
        let under = seal::kek_id(&sealed)
            .map_err(|_| broken("a secret is not sealed, nothing was stored"))?;
        let placed = sqlx::query(
            "UPDATE signing_material SET body = $4, sealed_under = $5 \
             WHERE realm_id = $1 AND id = $2 AND body = $3",
        )
        .bind(self.realm)
        .bind(&before.id)
        .bind(before.sealed.clone())
        .bind(sealed.clone())
        .bind(under)
        .execute(&self.writing)
        .await
        .map_err(failed)?;
        Ok(placed.rows_affected() == 1)
    }
}
