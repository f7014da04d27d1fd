//! **Migrations**: numbered, forward only, run under a lock, all or nothing.
//!
//! A migration expands first and contracts in a later one, so that a node of the version before
//! can go on working. `schema_meta` says which version the schema has and the lowest version a
//! program must know to work with it (`min_compatible`); each side refuses what it can't serve.
//! The texts are compiled in; what ran is kept with its digest, so that a text that was edited
//! after the fact shows. To add one: a file in `migrations/`, a line in [`MIGRATIONS`].

use proof::digest;
use sqlx::{AnyConnection, AnyPool, Executor as _, Row as _};

use crate::backend::Backend;
use crate::open::OpenError;

/// One step of the schema.
struct Migration {
    /// Its number: 1, 2, 3 …
    number: i64,
    /// What it does, as its file is named.
    name: &'static str,
    /// Its text.
    sql: &'static str,
    /// The lowest version a program must know to work with the schema after this step.
    min_compatible: i64,
}

/// Every step in order.
const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "first",
        sql: include_str!("../migrations/0001_first.sql"),
        min_compatible: 1,
    },
    Migration {
        number: 2,
        name: "flows",
        sql: include_str!("../migrations/0002_flows.sql"),
        min_compatible: 1,
    },
    // A program that does not know signing secrets would stumble over the first one that is made:
    // a word in `type` that it does not know is an error, in the outbox that every node follows too.
    Migration {
        number: 3,
        name: "signing_secrets",
        sql: include_str!("../migrations/0003_signing_secrets.sql"),
        min_compatible: 3,
    },
    Migration {
        number: 4,
        name: "reuses",
        sql: include_str!("../migrations/0004_reuses.sql"),
        min_compatible: 3,
    },
    Migration {
        number: 5,
        name: "access_tokens",
        sql: include_str!("../migrations/0005_access_tokens.sql"),
        min_compatible: 3,
    },
    // The outbox that every node follows says `relation` from here on, and `RelationModel`.
    Migration {
        number: 6,
        name: "relations",
        sql: include_str!("../migrations/0006_relations.sql"),
        min_compatible: 6,
    },
    // A kind of resources that a program before this does not know.
    Migration {
        number: 7,
        name: "webhooks",
        sql: include_str!("../migrations/0007_webhooks.sql"),
        min_compatible: 7,
    },
    Migration {
        number: 8,
        name: "resource_versions",
        sql: include_str!("../migrations/0008_resource_versions.sql"),
        min_compatible: 7,
    },
    Migration {
        number: 9,
        name: "usage_by_secret",
        sql: include_str!("../migrations/0009_usage_by_secret.sql"),
        min_compatible: 7,
    },
];

/// The version this program knows.
const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// Why the schema can't be used.
pub(crate) enum Failure {
    /// It does not fit.
    Refused(OpenError),
    /// The database failed.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Checks the schema and, where allowed, runs what is missing.
pub(crate) async fn bring_up_to_date(
    backend: Backend,
    pool: &AnyPool,
    allowed: bool,
) -> Result<(), Failure> {
    let mut connection = pool.acquire().await?;
    let found = version(backend, &mut connection).await?;
    if fits(found)? {
        return check_texts(&mut connection).await;
    }
    if let (Some((version, _)), false) = (found, allowed) {
        return Err(Failure::Refused(OpenError::Older {
            found: version,
            knows: KNOWN,
        }));
    }
    drop(connection);

    let mut transaction = backend.begin(pool).await?;
    backend.lock_schema(&mut transaction).await?;
    // Another process may have been faster: what was read before the lock counts for nothing.
    let found = version(backend, &mut transaction).await?;
    if fits(found)? {
        return check_texts(&mut transaction).await;
    }
    if found.is_none() {
        transaction
            .execute(sqlx::raw_sql(
                "CREATE TABLE schema_meta (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), \
                     version BIGINT NOT NULL, min_compatible BIGINT NOT NULL); \
                 CREATE TABLE schema_migrations (number BIGINT NOT NULL PRIMARY KEY, \
                     name TEXT NOT NULL, sha256 TEXT NOT NULL); \
                 INSERT INTO schema_meta (one, version, min_compatible) VALUES (1, 0, 0);",
            ))
            .await?;
    } else {
        check_texts(&mut transaction).await?;
    }
    let done = found.map_or(0, |(version, _)| version);
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.number > done)
    {
        transaction.execute(sqlx::raw_sql(migration.sql)).await?;
        sqlx::query("INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)")
            .bind(migration.number)
            .bind(migration.name)
            .bind(text_digest(migration))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE schema_meta SET version = $1, min_compatible = $2 WHERE one = 1")
            .bind(migration.number)
            .bind(migration.min_compatible)
            .execute(&mut *transaction)
            .await?;
        tracing::info!(
            number = migration.number,
            name = migration.name,
            "schema migrated"
        );
    }
    transaction.commit().await?;
    Ok(())
}

/// Version and `min_compatible`, if there is a schema.
async fn version(
    backend: Backend,
    connection: &mut AnyConnection,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    if !backend.has_schema(connection).await? {
        return Ok(None);
    }
    let row = sqlx::query("SELECT version, min_compatible FROM schema_meta WHERE one = 1")
        .fetch_one(connection)
        .await?;
    Ok(Some((row.try_get(0)?, row.try_get(1)?)))
}

/// Whether the schema can be used as it is; `false`: it must be migrated first.
fn fits(found: Option<(i64, i64)>) -> Result<bool, Failure> {
    match found {
        Some((version, needs)) if needs > KNOWN => Err(Failure::Refused(OpenError::Newer {
            found: version,
            needs,
            knows: KNOWN,
        })),
        Some((version, _)) => Ok(version >= KNOWN),
        None => Ok(false),
    }
}

/// Refuses a schema that was made by other texts than ours.
async fn check_texts(connection: &mut AnyConnection) -> Result<(), Failure> {
    let rows = sqlx::query("SELECT number, sha256 FROM schema_migrations ORDER BY number")
        .fetch_all(connection)
        .await?;
    for row in rows {
        let (number, sha256): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let ours = MIGRATIONS
            .iter()
            .find(|migration| migration.number == number);
        if ours.is_some_and(|migration| text_digest(migration) != sha256) {
            return Err(Failure::Refused(OpenError::Altered(number)));
        }
    }
    Ok(())
}

fn text_digest(migration: &Migration) -> String {
    digest::hex(&digest::sha256(migration.sql.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_gaps() {
        for (migration, number) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(migration.number, number, "{}", migration.name);
            assert!(migration.min_compatible <= number, "{}", migration.name);
        }
    }
}
