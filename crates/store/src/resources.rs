//! **Resources**: documents with a version and an owner. A write says what it expects to find;
//! whoever was overtaken hears of it and nothing is written.

use registry::audit::AuditDraft;
use registry::ports::Stores;
use registry::resource::{ManagedBy, Put, Removed, ResourceKind, Stored, Version, Written};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::Store;
use crate::error::failed;
use crate::outbox::{Transition, of_resource, taken};
use crate::row::{Columns as _, to_json};
use crate::{signing, webhooks};

/// How many versions of a resource are kept, the newest among them.
const VERSIONS_KEPT: i64 = 20;

/// The kind of a name.
pub(crate) fn kind_of(name: &str) -> Option<ResourceKind> {
    ResourceKind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
}

fn managed_name(managed_by: ManagedBy) -> &'static str {
    match managed_by {
        ManagedBy::Api => "api",
        ManagedBy::File => "file",
    }
}

fn managed_of(name: &str) -> Option<ManagedBy> {
    [ManagedBy::Api, ManagedBy::File]
        .into_iter()
        .find(|by| managed_name(*by) == name)
}

/// A row with the columns of a resource, each name with a prefix before it.
pub(crate) fn read(row: &AnyRow, prefix: &str) -> Stores<Stored> {
    let column = |name: &str| format!("{prefix}{name}");
    Ok(Stored {
        kind: row.word(&column("kind"), kind_of)?,
        name: row.text(&column("name"))?,
        id: row.text(&column("id"))?,
        spec: row.json(&column("spec"))?,
        version: row.number(&column("version"))?,
        managed_by: row.word(&column("managed_by"), managed_of)?,
        created_at: row.time(&column("created_at"))?,
        updated_at: row.time(&column("updated_at"))?,
    })
}

/// What an account or a person is found by: its user name in normal form, by default its name.
fn username(stored: &Stored) -> Option<String> {
    let written = stored
        .spec
        .get("username")
        .and_then(serde_json::Value::as_str);
    matches!(stored.kind, ResourceKind::Account | ResourceKind::User)
        .then(|| written.unwrap_or(&stored.name).to_ascii_lowercase())
}

/// All of one kind or of every kind, by kind and name.
pub(crate) async fn list(store: &Store, kind: Option<ResourceKind>) -> Stores<Vec<Stored>> {
    let rows = sqlx::query(
        "SELECT kind, name, id, spec, version, managed_by, created_at, updated_at FROM resources \
         WHERE realm_id = $1 AND ($2 IS NULL OR kind = $2)",
    )
    .bind(store.realm)
    .bind(kind.map(ResourceKind::name))
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?;
    let mut list = rows
        .iter()
        .map(|row| read(row, ""))
        .collect::<Stores<Vec<_>>>()?;
    // Here and not in SQL: the databases differ in how they compare texts.
    list.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(list)
}

/// One by its name.
pub(crate) async fn find(store: &Store, kind: ResourceKind, name: &str) -> Stores<Option<Stored>> {
    let mut connection = store.reading.acquire().await.map_err(failed)?;
    select(&mut connection, store.realm, kind, name).await
}

async fn select(
    connection: &mut AnyConnection,
    realm: &str,
    kind: ResourceKind,
    name: &str,
) -> Stores<Option<Stored>> {
    sqlx::query(
        "SELECT kind, name, id, spec, version, managed_by, created_at, updated_at FROM resources \
         WHERE realm_id = $1 AND kind = $2 AND name = $3",
    )
    .bind(realm)
    .bind(kind.name())
    .bind(name)
    .fetch_optional(connection)
    .await
    .map_err(failed)?
    .as_ref()
    .map(|row| read(row, ""))
    .transpose()
}

/// Creates or changes one.
pub(crate) async fn put(store: &Store, put: Put, audit: &AuditDraft) -> Stores<Written> {
    let mut write = Transition::begin(store, 1, 1).await?;
    let realm = write.realm();
    let found = select(write.connection(), realm, put.kind, &put.name).await?;
    // What the writer may do comes before what it knows, and that before whether it says anything
    // new: a stale writer must hear of the conflict though the documents agree by chance.
    let current = found.as_ref().map_or(0, |stored| stored.version);
    if let Some(stored) = &found
        && stored.managed_by == ManagedBy::File
        && put.managed_by == ManagedBy::Api
    {
        return Ok(Written::ManagedByFile);
    }
    if put.expected.is_some_and(|expected| expected != current) {
        return Ok(Written::Conflict { current });
    }
    let is_new = found.is_none();
    // One that was written before versions were kept has none yet.
    if let Some(before) = &found {
        keep_version(write.connection(), realm, before).await?;
    }
    let before = found.as_ref().map(|stored| stored.spec.clone());
    let stored = match found {
        Some(stored) if stored.spec == put.spec && stored.managed_by == put.managed_by => {
            return Ok(Written::Unchanged(stored));
        }
        Some(stored) => Stored {
            spec: put.spec,
            version: current + 1,
            managed_by: put.managed_by,
            updated_at: put.at,
            ..stored
        },
        None => Stored {
            kind: put.kind,
            name: put.name,
            id: put.new_id,
            spec: put.spec,
            version: 1,
            managed_by: put.managed_by,
            created_at: put.at,
            updated_at: put.at,
        },
    };
    sqlx::query(
        "INSERT INTO resources (realm_id, kind, name, id, spec, username, version, managed_by, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (realm_id, kind, name) DO UPDATE SET spec = excluded.spec, \
         username = excluded.username, version = excluded.version, \
         managed_by = excluded.managed_by, updated_at = excluded.updated_at",
    )
    .bind(realm)
    .bind(stored.kind.name())
    .bind(&stored.name)
    .bind(&stored.id)
    .bind(to_json(&stored.spec)?)
    .bind(username(&stored))
    .bind(stored.version)
    .bind(managed_name(stored.managed_by))
    .bind(stored.created_at.as_millis())
    .bind(stored.updated_at.as_millis())
    .execute(write.connection())
    .await
    .map_err(|error| {
        taken(
            error,
            &format!("a resource with the id or the user name of {}", stored.name),
        )
    })?;
    keep_version(write.connection(), realm, &stored).await?;
    sqlx::query(
        "DELETE FROM resource_versions WHERE realm_id = $1 AND kind = $2 AND name = $3 \
         AND version <= $4",
    )
    .bind(realm)
    .bind(stored.kind.name())
    .bind(&stored.name)
    .bind(stored.version - VERSIONS_KEPT)
    .execute(write.connection())
    .await
    .map_err(failed)?;
    if webhooks::has_state(stored.kind) {
        webhooks::declared(&mut write, &stored.name, before.as_ref()).await?;
    }
    write.audit(audit).await?;
    write
        .announce(&of_resource(stored.kind, &stored.name))
        .await?;
    write.commit().await?;
    Ok(if is_new {
        Written::Created(stored)
    } else {
        Written::Updated(stored)
    })
}

async fn keep_version(connection: &mut AnyConnection, realm: &str, stored: &Stored) -> Stores<()> {
    sqlx::query(
        "INSERT INTO resource_versions (realm_id, kind, name, version, spec, managed_by, \
         written_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (realm_id, kind, name, version) DO NOTHING",
    )
    .bind(realm)
    .bind(stored.kind.name())
    .bind(&stored.name)
    .bind(stored.version)
    .bind(to_json(&stored.spec)?)
    .bind(managed_name(stored.managed_by))
    .bind(stored.updated_at.as_millis())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// What one said at its versions, the newest first.
pub(crate) async fn versions(
    store: &Store,
    kind: ResourceKind,
    name: &str,
) -> Stores<Vec<Version>> {
    sqlx::query(
        "SELECT version, spec, managed_by, written_at FROM resource_versions \
         WHERE realm_id = $1 AND kind = $2 AND name = $3 ORDER BY version DESC",
    )
    .bind(store.realm)
    .bind(kind.name())
    .bind(name)
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(|row| {
        Ok(Version {
            version: row.number("version")?,
            spec: row.json("spec")?,
            managed_by: row.word("managed_by", managed_of)?,
            written_at: row.time("written_at")?,
        })
    })
    .collect()
}

/// Which resource to remove, and what the remover expects.
pub(crate) struct Removal<'a> {
    pub(crate) kind: ResourceKind,
    pub(crate) name: &'a str,
    pub(crate) expected: Option<i64>,
    pub(crate) by_file: bool,
}

/// Removes one. Credentials that hang on it and could still be used, or used again, keep it; those
/// that ended by themselves are revoked with it, so that a later resource of the same name can't
/// revive them.
pub(crate) async fn remove(
    store: &Store,
    removal: Removal<'_>,
    audit: &AuditDraft,
) -> Stores<Removed> {
    let Removal {
        kind,
        name,
        expected,
        by_file,
    } = removal;
    let mut write = Transition::begin(store, 1, 1).await?;
    let realm = write.realm();
    let Some(stored) = select(write.connection(), realm, kind, name).await? else {
        return Ok(Removed::Unknown);
    };
    if stored.managed_by == ManagedBy::File && !by_file {
        return Ok(Removed::ManagedByFile);
    }
    if expected.is_some_and(|expected| expected != stored.version) {
        return Ok(Removed::Conflict {
            current: stored.version,
        });
    }
    let credentials = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) AS number FROM credentials \
         WHERE realm_id = $1 AND owner_kind = $2 AND owner = $3 \
         AND state <> 'revoked' AND (expires_at IS NULL OR expires_at > $4)",
    )
    .bind(realm)
    .bind(kind.name())
    .bind(name)
    .bind(audit.at.as_millis())
    .fetch_one(write.connection())
    .await
    .map_err(failed)?
    .number("number")?;
    if credentials > 0 {
        return Ok(Removed::InUse { credentials });
    }
    sqlx::query(
        "UPDATE credentials SET state = 'revoked', version = version + 1 \
         WHERE realm_id = $1 AND owner_kind = $2 AND owner = $3 AND state <> 'revoked'",
    )
    .bind(realm)
    .bind(kind.name())
    .bind(name)
    .execute(write.connection())
    .await
    .map_err(failed)?;
    signing::forget_revoked_of(write.connection(), realm, kind.name(), name).await?;
    sqlx::query("DELETE FROM resources WHERE realm_id = $1 AND kind = $2 AND name = $3")
        .bind(realm)
        .bind(kind.name())
        .bind(name)
        .execute(write.connection())
        .await
        .map_err(failed)?;
    sqlx::query("DELETE FROM resource_versions WHERE realm_id = $1 AND kind = $2 AND name = $3")
        .bind(realm)
        .bind(kind.name())
        .bind(name)
        .execute(write.connection())
        .await
        .map_err(failed)?;
    if webhooks::has_state(kind) {
        webhooks::removed(&mut write, name).await?;
    }
    write.audit(audit).await?;
    write.announce(&of_resource(kind, name)).await?;
    write.commit().await?;
    Ok(Removed::Done)
}
