//! **Records for judging**: what [`verdict::facts`] asks of the store, one point read each. A key
//! comes with the document of its owner in the same statement, so that a call never sees the two
//! at different times.
//!
//! A record that can't be judged is never taken for one that isn't there: the answer is
//! *unavailable*, and the log says which record is damaged.

use proof::digest::TokenHash;
use proof::issued::{KeyId, SigningKeyId};
use proof::time::Timestamp;
use registry::credential::{Credential, CredentialType, Lookup};
use registry::ports::{People, Stores};
use registry::resource::Stored;
use registry::standing;
use registry::user::Person;
use verdict::facts::{Answer, Begun, Records, Unavailable};
use verdict::identity::{Account, IssuedKey, LifeState, SigningKey};
use verdict::policy::relations::{Grant, Object, Related, Subject};

use crate::Store;
use crate::credentials::{self, credential_columns, lookup_columns};
use crate::error::{broken, failed};
use crate::once;
use crate::relations;
use crate::resources;
use crate::row::Columns as _;
use crate::signing;
use crate::tokens;

/// At most so many passwords of one account or person are compared with what a call presents: two are usual
/// while one is being rotated, and each costs a hash.
const MOST_PASSWORDS: i64 = 4;
/// At most so many secrets, or public keys, of one signing key are read: two are valid at most, and
/// what has ended is swept every minute.
const MOST_MATERIAL: i64 = 16;

/// A credential with the document of its owner.
async fn find_key(store: &Store, lookup: &Lookup) -> Stores<Option<(Credential, Option<Stored>)>> {
    let (kind, Some(value)) = lookup_columns(lookup) else {
        return Ok(None);
    };
    let Some(row) = sqlx::query(concat!(
        "SELECT ",
        credential_columns!(),
        ", o.kind AS o_kind, o.name AS o_name, o.id AS o_id, o.spec AS o_spec, \
         o.version AS o_version, o.managed_by AS o_managed_by, o.created_at AS o_created_at, \
         o.updated_at AS o_updated_at \
         FROM credentials c LEFT JOIN resources o \
         ON o.realm_id = c.realm_id AND o.kind = c.owner_kind AND o.name = c.owner \
         WHERE c.realm_id = $1 AND c.lookup_kind = $2 AND c.lookup_value = $3"
    ))
    .bind(store.realm)
    .bind(kind)
    .bind(value)
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    else {
        return Ok(None);
    };
    let owner = match row.text_or_null("o_kind")? {
        Some(_) => Some(resources::read(&row, "o_")?),
        None => None,
    };
    Ok(Some((credentials::read(&row)?, owner)))
}

/// What a holder of passwords is found by.
enum Holder<'a> {
    /// A user name in normal form.
    Username(&'a str),
    /// The id of the resource.
    Id(&'a str),
}

/// A holder of passwords with the active ones, the newest first. The kind is asked for with the
/// name, so that a person's password never opens what a service account's does, nor the reverse.
async fn find_holder(
    store: &Store,
    kind: CredentialType,
    holder: Holder<'_>,
) -> Stores<Option<(Stored, Vec<Credential>)>> {
    let Some(owner) = credentials::owner_kind(kind) else {
        return Ok(None);
    };
    let (statement, value) = match holder {
        Holder::Username(name) => (
            "SELECT kind, name, id, spec, version, managed_by, created_at, updated_at \
             FROM resources WHERE realm_id = $1 AND username = $2 AND kind = $3",
            name,
        ),
        Holder::Id(id) => (
            "SELECT kind, name, id, spec, version, managed_by, created_at, updated_at \
             FROM resources WHERE realm_id = $1 AND id = $2 AND kind = $3",
            id,
        ),
    };
    let Some(row) = sqlx::query(statement)
        .bind(store.realm)
        .bind(value)
        .bind(owner.name())
        .fetch_optional(&store.reading)
        .await
        .map_err(failed)?
    else {
        return Ok(None);
    };
    let stored = resources::read(&row, "")?;
    let passwords = sqlx::query(concat!(
        "SELECT ",
        credential_columns!(),
        " FROM credentials c WHERE c.realm_id = $1 AND c.owner = $2 AND c.owner_kind = $3 \
         AND c.type = $4 AND c.state = 'active' ORDER BY c.created_at DESC, c.id DESC LIMIT $5"
    ))
    .bind(store.realm)
    .bind(&stored.name)
    .bind(owner.name())
    .bind(kind.name())
    .bind(MOST_PASSWORDS)
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(credentials::read)
    .collect::<Stores<Vec<_>>>()?;
    Ok(Some((stored, passwords)))
}

/// A signing key with the document of its application and all that it signs by, in one statement.
async fn find_signing_key(
    store: &Store,
    id: SigningKeyId,
) -> Stores<Option<(Credential, Option<Stored>)>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        credential_columns!(),
        ", o.kind AS o_kind, o.name AS o_name, o.id AS o_id, o.spec AS o_spec, \
         o.version AS o_version, o.managed_by AS o_managed_by, o.created_at AS o_created_at, \
         o.updated_at AS o_updated_at, m.id AS m_id, m.kind AS m_kind, m.body AS m_body, \
         m.created_at AS m_created_at, m.until_ms AS m_until_ms \
         FROM credentials c LEFT JOIN resources o \
         ON o.realm_id = c.realm_id AND o.kind = c.owner_kind AND o.name = c.owner \
         LEFT JOIN signing_material m ON m.realm_id = c.realm_id AND m.credential = c.id \
         WHERE c.realm_id = $1 AND c.lookup_kind = 'signing_key_id' AND c.lookup_value = $2 \
         ORDER BY m.created_at DESC, m.id DESC LIMIT $3"
    ))
    .bind(store.realm)
    .bind(id.to_string())
    .bind(MOST_MATERIAL)
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let owner = match row.text_or_null("o_kind")? {
        Some(_) => Some(resources::read(row, "o_")?),
        None => None,
    };
    let mut credential = credentials::read(row)?;
    if let Some(signing) = &mut credential.signing {
        for row in &rows {
            if row.text_or_null("m_id")?.is_some() {
                signing.material.push(signing::read(row)?);
            }
        }
    }
    Ok(Some((credential, owner)))
}

/// Whether what was found is none that the verdict judges: a token of registration, or one that was
/// left behind, revoked, when its owner was removed.
fn is_no_key(credential: &Credential, owner: Option<&Stored>) -> bool {
    let registers = matches!(
        credential.r#type,
        CredentialType::InitialAccessToken | CredentialType::RegistrationAccessToken
    );
    let over = credential.state == LifeState::Revoked;
    let owned = credentials::owner_kind(credential.r#type).is_some();
    registers || (owned && owner.is_none() && over)
}

async fn issued_key(store: &Store, lookup: Lookup) -> Answer<Option<IssuedKey>> {
    answer(async {
        match find_key(store, &lookup).await? {
            Some((credential, owner)) if is_no_key(&credential, owner.as_ref()) => Ok(None),
            Some((credential, owner)) => standing::issued_key(&credential, owner.as_ref())
                .map(Some)
                .map_err(|unfit| broken(unfit.to_string())),
            None => Ok(None),
        }
    })
    .await
}

/// Says why in the log, since the verdict only needs to know that there is no answer.
pub(crate) async fn answer<T>(asked: impl Future<Output = Stores<T>>) -> Answer<T> {
    asked.await.map_err(|error| {
        tracing::error!(%error, "a record for judging a call can't be had");
        Unavailable::Store
    })
}

impl Records for Store {
    async fn key_by_id(&self, id: KeyId) -> Answer<Option<IssuedKey>> {
        issued_key(self, Lookup::KeyId(id)).await
    }
    async fn key_by_digest(&self, digest: &TokenHash) -> Answer<Option<IssuedKey>> {
        issued_key(self, Lookup::Digest(proof::digest::hex(digest.as_bytes()))).await
    }
    async fn key_by_prefix(&self, prefix: &str) -> Answer<Option<IssuedKey>> {
        issued_key(self, Lookup::Prefix(prefix.to_owned())).await
    }
    async fn opaque_token(&self, hash: &TokenHash) -> Answer<Option<String>> {
        answer(tokens::find(self, hash)).await
    }
    async fn account(&self, username: &str) -> Answer<Option<Account>> {
        answer(async {
            match find_holder(self, CredentialType::Password, Holder::Username(username)).await? {
                Some((account, passwords)) => standing::account(&account, &passwords)
                    .map(Some)
                    .map_err(|unfit| broken(unfit.to_string())),
                None => Ok(None),
            }
        })
        .await
    }
    async fn signing_key(&self, key_id: &str) -> Answer<Option<SigningKey>> {
        let Some(id) = SigningKeyId::parse(key_id) else {
            return Ok(None);
        };
        answer(async {
            let master = self.master_key.as_ref().ok_or_else(|| {
                broken("the store was opened without the master key that signing keys need")
            })?;
            match find_signing_key(self, id).await? {
                Some((credential, owner)) if is_no_key(&credential, owner.as_ref()) => Ok(None),
                Some((credential, owner)) => {
                    standing::signing_key(&credential, owner.as_ref(), master)
                        .map(Some)
                        .map_err(|unfit| broken(unfit.to_string()))
                }
                None => Ok(None),
            }
        })
        .await
    }

    async fn related(&self, object: &Object, relation: &str) -> Answer<Related> {
        answer(relations::related(self, object, relation)).await
    }

    async fn grant(
        &self,
        object: &Object,
        relation: &str,
        subject: &Subject,
    ) -> Answer<Option<Grant>> {
        answer(relations::grant(self, object, relation, subject)).await
    }

    async fn begin_delivery(
        &self,
        key: &str,
        ids: &[String],
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<Begun> {
        answer(once::begin_delivery(self, key, ids, until, now)).await
    }

    async fn end_delivery(
        &self,
        key: &str,
        ids: &[String],
        taken: Option<Timestamp>,
        now: Timestamp,
    ) -> Answer<()> {
        answer(once::end_delivery(self, key, ids, taken, now)).await
    }
}

async fn person(store: &Store, holder: Holder<'_>) -> Stores<Option<Person>> {
    match find_holder(store, CredentialType::UserPassword, holder).await? {
        Some((person, passwords)) => standing::person(&person, &passwords)
            .map(Some)
            .map_err(|unfit| broken(unfit.to_string())),
        None => Ok(None),
    }
}

impl People for Store {
    async fn person_by_username(&self, username: &str) -> Stores<Option<Person>> {
        person(self, Holder::Username(username)).await
    }
    async fn person_by_id(&self, id: &str) -> Stores<Option<Person>> {
        person(self, Holder::Id(id)).await
    }
}
