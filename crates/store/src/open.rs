//! **Opening**: from settings to a store whose schema fits, or a sentence that says what to do.

use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::{self, Backend};
use crate::{Location, Settings, Store, migrate};

/// Why the store did not open. Each text says what to do; none holds a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The text names no database.
    #[error(
        "the database address is not understood: write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME"
    )]
    Address,
    /// A number of connections that can't work.
    #[error("{0} database connections can not work: set max_connections between 2 and 1000")]
    Connections(u32),
    /// The directory above the data directory is missing.
    #[error(
        "the data directory {0} can not be made, since the directory above it does not exist: create it, or name another place"
    )]
    NoDirectory(PathBuf),
    /// The path names a directory or another thing that can't be a database.
    #[error("{0} is no regular file: name the path of the database file itself")]
    NotAFile(PathBuf),
    /// The operating system says no.
    #[error(
        "no permission to read and write {0}: give its directory and file to the user that runs Doorward"
    )]
    Permission(PathBuf),
    /// Others may read the file.
    #[error("{path} can be read by other users (mode {mode:03o}): run chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is something else, or damaged.
    #[error(
        "{0} is not a database, or it is damaged: name another file, or restore it from a backup"
    )]
    NotADatabase(PathBuf),
    /// No space left.
    #[error("the disk that holds {0} is full: free some space and start again")]
    DiskFull(String),
    /// Somebody else holds the database.
    #[error(
        "{0} is held by another process for too long: end it, or wait until it is done, and start again"
    )]
    Busy(String),
    /// Another process serves from the file.
    #[error(
        "{path} is served by another process{}: stop it first, or give this one a `data_dir` of its own; several nodes share PostgreSQL",
        .process.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    Served {
        /// The file.
        path: PathBuf,
        /// The process, where it is known.
        process: Option<u32>,
    },
    /// The file system can't tell whether another process serves from the file.
    #[error("{path} can not be locked ({cause}): put `data_dir` on a local disk")]
    Unlockable {
        /// The lock's file.
        path: PathBuf,
        /// What the operating system said.
        cause: String,
    },
    /// It can be read only.
    #[error(
        "{0} can be read but not written: name the primary server, or a file on a writable disk"
    )]
    ReadOnly(String),
    /// Nobody listens there.
    #[error(
        "no PostgreSQL server answers at {server} ({cause}): start it, or correct host and port in the database address"
    )]
    Refused {
        /// Host and port.
        server: String,
        /// What the operating system said.
        cause: String,
    },
    /// No secure connection came about.
    #[error(
        "no secure connection to the PostgreSQL server at {server} ({cause}): correct sslmode and sslrootcert in the database address, or the server's certificate"
    )]
    Tls {
        /// Host and port.
        server: String,
        /// What TLS said.
        cause: String,
    },
    /// User or password are wrong.
    #[error(
        "the PostgreSQL server at {0} refuses the user or the password: correct them in the database address"
    )]
    Password(String),
    /// The server has no such database.
    #[error(
        "the PostgreSQL server at {server} has no database {name}: create it with createdb {name}"
    )]
    NoDatabase {
        /// Host and port.
        server: String,
        /// The database's name.
        name: String,
    },
    /// The database user lacks a right.
    #[error(
        "the database user may not do this on {server}: make it the database's owner ({cause})"
    )]
    Forbidden {
        /// Host and port.
        server: String,
        /// What the server said.
        cause: String,
    },
    /// A newer program wrote the schema and says that this one can't work with it.
    #[error(
        "the database has schema {found}, which needs a Doorward that knows schema {needs}; this one knows {knows}: install a newer Doorward"
    )]
    Newer {
        /// The schema's version.
        found: i64,
        /// The oldest version a program must know.
        needs: i64,
        /// What this program knows.
        knows: i64,
    },
    /// The schema is older and migrating was not allowed.
    #[error(
        "the database has schema {found}, this Doorward needs {knows}: back it up, then start a Doorward that may migrate it"
    )]
    Older {
        /// The schema's version.
        found: i64,
        /// What this program knows.
        knows: i64,
    },
    /// A migration that ran was another text than this program knows.
    #[error(
        "migration {0} of the database is not the one this Doorward knows: the database belongs to another build; restore a backup or use that build"
    )]
    Altered(i64),
    /// Anything else.
    #[error("the database can not be opened: {0}")]
    Other(String),
}

/// Opens, checks, migrates.
pub(crate) async fn open(settings: &Settings) -> Result<Store, OpenError> {
    if !(2..=1000).contains(&settings.max_connections) {
        return Err(OpenError::Connections(settings.max_connections));
    }
    // `Any` panics without; doing it again is free.
    sqlx::any::install_default_drivers();
    let (backend, pools, alone) = match &settings.location {
        Location::Sqlite(path) => {
            let (pools, alone) = backend::sqlite::open(path, settings).await?;
            (Backend::Sqlite, pools, alone)
        }
        Location::Postgres(url) => {
            let pools = backend::postgres::open(url, settings).await?;
            (Backend::Postgres, pools, None)
        }
    };
    if let Err(failure) = migrate::bring_up_to_date(backend, &pools.writing, settings.migrate).await
    {
        pools.writing.close().await;
        pools.reading.close().await;
        return Err(match failure {
            migrate::Failure::Refused(refused) => refused,
            migrate::Failure::Database(error) => match &settings.location {
                Location::Sqlite(path) => backend::sqlite::explain(path, &error),
                Location::Postgres(url) => backend::postgres::explain(url, &error),
            },
        });
    }
    Ok(Store {
        backend,
        reading: pools.reading,
        writing: pools.writing,
        realm: crate::DEFAULT_REALM,
        newest: tokio::sync::watch::Sender::new(0),
        rotations: crate::flows::Rotations::default(),
        master_key: None,
        uses: crate::once::Uses::default(),
        _alone: alone.map(Arc::new),
    })
}
