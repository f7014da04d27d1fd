//! **Durable state** on SQLite and PostgreSQL: the ports of `registry`, `issuer` and `verdict`,
//! each method a thing that happens at once or not at all.
//!
//! A change is one transaction: the row, its audit event and its number in the outbox, or nothing.
//! The number is given under a lock that is held until the commit, so that the order of numbers is
//! the order of commits and a reader who saw *n* never finds a smaller one later. One SQL text
//! serves both databases; what differs stands in [`backend`] by name. This room never sees a token
//! or a password in clear (it refuses to store a verifier that is not a hash), opens what is sealed
//! in [`records`] alone and for the verdict alone, never asks the database for the time, and hands
//! no SQL type, row or transaction upward.
#![forbid(unsafe_code)]

mod audit;
mod backend;
mod credentials;
mod error;
mod flows;
mod keys;
mod migrate;
mod once;
mod open;
mod outbox;
mod ports;
mod record;
mod records;
mod relations;
mod resources;
mod row;
mod signing;
mod together;
mod tokens;
mod usage;
mod webhooks;

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use proof::seal::KekRing;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::ports::Stores;
use sqlx::AnyPool;
use tokio::sync::watch;

pub use crate::flows::SweptFlows;
pub use crate::open::OpenError;

use crate::backend::Backend;
use crate::error::failed;
use crate::row::Columns as _;

/// The one realm that is exposed for now; every key and index has it from the first migration on.
const DEFAULT_REALM: &str = "default";

/// Where the data is.
#[derive(Debug)]
pub enum Location {
    /// A file. It is made with mode 0600 if there is none, and its directory with 0700.
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/database?sslmode=verify-full…`. A secret, since a
    /// password may stand in it.
    Postgres(Secret),
}

impl Location {
    /// Reads `sqlite:PATH` or `postgres://…` (`postgresql://…`).
    ///
    /// # Errors
    /// [`OpenError::Address`] for any other text.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() && !path.starts_with(':') {
                return Ok(Self::Sqlite(path.into()));
            }
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::from_text(text.to_owned())));
        }
        Err(OpenError::Address)
    }
}

/// How to open the store.
#[derive(Debug)]
pub struct Settings {
    /// Where the data is.
    pub location: Location,
    /// Connections in all, reading and writing; 2–1000. On SQLite one of them writes; on
    /// PostgreSQL a quarter does, so that waiting writers never keep readers out.
    pub max_connections: u32,
    /// How long a call waits for a free connection before it is told that the store is busy.
    pub acquire_timeout: Duration,
    /// How long one statement may take (PostgreSQL), or wait for another process (SQLite).
    pub statement_timeout: Duration,
    /// Whether an older schema is brought up to date; otherwise it is refused.
    pub migrate: bool,
    /// Whether this process serves from the database, and so must be the only one that does where
    /// the database is a file: what it remembers of things used once would be nobody else's. Others
    /// may open the file beside it without this word. On PostgreSQL it means nothing.
    pub serves: bool,
}

impl Settings {
    /// The usual settings for a location: 8 connections, 2 s and 5 s, migrating, not serving.
    pub fn new(location: Location) -> Self {
        Self {
            location,
            max_connections: 8,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            migrate: true,
            serves: false,
        }
    }
}

/// The open store. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    reading: AnyPool,
    writing: AnyPool,
    realm: &'static str,
    newest: watch::Sender<i64>,
    rotations: flows::Rotations,
    /// Opens signing secrets for the verdict, and nothing else.
    master_key: Option<Arc<KekRing>>,
    uses: once::Uses,
    /// Keeps other processes from serving from the same file, as long as any clone lives.
    _alone: Option<Arc<backend::sqlite::Alone>>,
}

/// What [`Store::sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries of the memory of things used once, whose time had passed.
    pub used_once: u64,
    /// Revocations of tokens that are dead by now.
    pub revocations: u64,
    /// Secrets and public keys of signing keys that another took the place of.
    pub signing: u64,
    /// Opaque access tokens that nobody can use any more; a bounded number at a time.
    pub access_tokens: u64,
    /// Tuples whose time has passed; a bounded number at a time.
    pub relations: u64,
    /// Messages for endpoints of others that were delivered or given up long ago.
    pub webhook_messages: u64,
    /// Counts of usage of more than a year ago; a bounded number at a time.
    pub usage: u64,
    /// What flows left behind; a bounded number at a time.
    pub flows: SweptFlows,
}

impl Store {
    /// Opens the database and brings its schema up to date, under a lock.
    ///
    /// # Errors
    /// [`OpenError`]: a sentence that says what to do.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        open::open(settings).await
    }

    /// The same store, which can answer for signing keys too: what their signatures are verified with
    /// is sealed under the master key.
    #[must_use]
    pub fn with_master_key(self, master_key: Arc<KekRing>) -> Self {
        Self {
            master_key: Some(master_key),
            ..self
        }
    }

    /// The number of the newest change that this process committed (0 before the first): wakes
    /// whoever watches. Changes by other nodes show only by asking
    /// [`registry::ports::Registry::changes_after`] now and then.
    pub fn wakeups(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Whether the database answers: one point read.
    ///
    /// # Errors
    /// As every read.
    pub async fn healthy(&self) -> Stores<()> {
        let row = sqlx::query("SELECT version FROM schema_meta WHERE one = 1")
            .fetch_one(&self.reading)
            .await
            .map_err(failed)?;
        row.number("version").map(drop)
    }

    /// Removes what nobody can ask for any more. To be called now and then; safe on every node.
    ///
    /// # Errors
    /// As every write.
    pub async fn sweep(&self, now: Timestamp) -> Stores<Swept> {
        let used_once = sqlx::query("DELETE FROM used_once WHERE realm_id = $1 AND until_ms <= $2")
            .bind(self.realm)
            .bind(now.as_millis())
            .execute(&self.writing)
            .await
            .map_err(failed)?
            .rows_affected();
        let revocations =
            sqlx::query("DELETE FROM revocations WHERE realm_id = $1 AND until_ms <= $2")
                .bind(self.realm)
                .bind(now.as_millis())
                .execute(&self.writing)
                .await
                .map_err(failed)?
                .rows_affected();
        Ok(Swept {
            used_once,
            revocations,
            signing: signing::sweep(self, now).await?,
            access_tokens: tokens::sweep(self, now).await?,
            relations: relations::sweep(self, now).await?,
            webhook_messages: webhooks::sweep(self, now).await?,
            usage: usage::sweep(self, now).await?,
            flows: flows::sweep(self, now).await?,
        })
    }

    /// Lets running work end and closes the connections.
    pub async fn close(&self) {
        self.writing.close().await;
        self.reading.close().await;
    }
}

impl core::fmt::Debug for Store {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod conformance;
