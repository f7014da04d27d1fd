//! **What differs** between the two databases, by name: connecting, opening a write transaction,
//! the lock of migrations, and how their failures read. Everything else is one SQL text.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use sqlx::{Any, AnyConnection, AnyPool, Executor as _, Row as _, Transaction};

/// Which database is behind the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// One file, one writer.
    Sqlite,
    /// A server.
    Postgres,
}

/// Connections for reading and for writing. They are apart so that writers, who wait for each
/// other, never keep readers waiting.
pub(crate) struct Pools {
    /// Many; on SQLite they can't write.
    pub(crate) reading: AnyPool,
    /// One on SQLite, some on PostgreSQL.
    pub(crate) writing: AnyPool,
}

impl Backend {
    /// Opens a transaction that will write. SQLite takes its write lock at once: taking it later,
    /// after a read, fails without waiting when somebody else wrote meanwhile.
    pub(crate) async fn begin(
        self,
        pool: &AnyPool,
    ) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self {
            Self::Sqlite => match pool.begin_with("BEGIN IMMEDIATE").await {
                // A full disk makes SQLite roll back by itself, which the driver never learns: it
                // believes the connection to be in a transaction for ever. So it gets a new one.
                Err(sqlx::Error::InvalidSavePointStatement) => {
                    pool.acquire().await?.close().await?;
                    pool.begin_with("BEGIN IMMEDIATE").await
                }
                outcome => outcome,
            },
            Self::Postgres => pool.begin().await,
        }
    }

    /// Whether a write transaction keeps every other one out from its beginning.
    pub(crate) const fn writes_alone(self) -> bool {
        match self {
            Self::Sqlite => true,
            Self::Postgres => false,
        }
    }

    /// Whether the schema's own table is there.
    pub(crate) async fn has_schema(
        self,
        connection: &mut AnyConnection,
    ) -> Result<bool, sqlx::Error> {
        let count = match self {
            Self::Sqlite => {
                "SELECT CAST(COUNT(*) AS BIGINT) FROM sqlite_master WHERE type = 'table' AND name = 'schema_meta'"
            }
            Self::Postgres => {
                "SELECT CAST(COUNT(*) AS BIGINT) FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_name = 'schema_meta'"
            }
        };
        let found: i64 = sqlx::query(count).fetch_one(connection).await?.try_get(0)?;
        Ok(found > 0)
    }

    /// Waits until no other process migrates, within a write transaction; the lock ends with it.
    pub(crate) async fn lock_schema(
        self,
        connection: &mut AnyConnection,
    ) -> Result<(), sqlx::Error> {
        match self {
            // `BEGIN IMMEDIATE` was the lock.
            Self::Sqlite => Ok(()),
            // The number is the lock's name, "doorward" in ASCII. A migration may take long, and so
            // may waiting for one.
            Self::Postgres => connection
                .execute(sqlx::raw_sql(
                    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10min'; \
                     DO $$ BEGIN PERFORM pg_advisory_xact_lock(7237970109966541412); END $$;",
                ))
                .await
                .map(drop),
        }
    }
}
