//! **SQLite**: one file beside the program, one connection that writes, some that read.
//!
//! Write-ahead log with `synchronous = FULL`: a commit that was acknowledged is on the disk. The
//! file is readable by its owner only, and one that others may read is refused, not repaired.
//!
//! Who serves from it holds a lock beside it ([`Alone`]), so that no second process does.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Connection as _, Executor as _};

use super::Pools;
use crate::Settings;
use crate::error::Cause;
use crate::open::OpenError;

/// How soon a change to the write-ahead log is tried again that met somebody else's.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The right to serve from a database file, which one process has at a time.
///
/// It is an advisory lock on a file beside it and ends with the process however that ends, so
/// nothing is left behind that would keep the next one out. The database itself is not locked: SQLite
/// has locks of its own there, and others may read and write beside who serves. The file stays, since
/// taking it away could give two processes locks on two files of one name.
pub(crate) struct Alone {
    _locked: File,
}

impl Alone {
    /// Takes the right, and says in the file who has it.
    ///
    /// # Errors
    /// [`OpenError::Served`] if another process has it.
    fn take(database: &Path) -> Result<Self, OpenError> {
        // One file has one lock, by whichever link it was named.
        let database = database
            .canonicalize()
            .map_err(|error| OpenError::Other(format!("{}: {error}", database.display())))?;
        let mut path = database.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| refused(&error, &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Served {
                    path: database,
                    process: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => {
                let cause = error.to_string();
                return Err(OpenError::Unlockable { path, cause });
            }
        }
        // Only for whoever is refused; a full disk says so elsewhere, and in its own words.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _locked: file })
    }
}

/// Who wrote down that it serves. Not known where it is a process of another container, which may
/// well have our own number.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    let id = text.trim().parse().ok()?;
    (id != std::process::id()).then_some(id)
}

/// Makes directory and file where they are missing, and connects. Also the right to serve from the
/// file, if it is asked for.
pub(crate) async fn open(
    path: &Path,
    settings: &Settings,
) -> Result<(Pools, Option<Alone>), OpenError> {
    let path = prepare(path)?;
    let alone = settings.serves.then(|| Alone::take(&path)).transpose()?;
    let options = AnyConnectOptions::from_str(&address(&path)?)
        .map_err(|error| OpenError::Other(error.to_string()))?;
    let wait = settings.statement_timeout.as_millis();
    // `busy_timeout` first: the change to the write-ahead log itself may have to wait.
    let pragmas = format!(
        "PRAGMA busy_timeout = {wait}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864;"
    );
    // One connection first, by hand: a pool would report a timeout instead of the cause.
    let mut first = sqlx::AnyConnection::connect_with(&options)
        .await
        .map_err(|error| explain(&path, &error))?;
    let until = Instant::now() + settings.statement_timeout;
    loop {
        let set = first.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(pragmas.clone())));
        match set.await.map_err(|error| explain(&path, &error)) {
            Ok(_) => break,
            // Of several that change a new file to the write-ahead log at once, SQLite refuses all
            // but one without waiting, since two that wait could wait for each other.
            Err(OpenError::Busy(_)) if Instant::now() < until => {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(other) => return Err(other),
        }
    }

    let pool = |connections: u32, pragmas: String| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let pragmas = pragmas.clone();
                Box::pin(async move {
                    connection
                        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(pragmas)))
                        .await
                        .map(drop)
                })
            })
            .connect_lazy_with(options.clone())
    };
    let pools = Pools {
        writing: pool(1, pragmas.clone()),
        reading: pool(
            settings.max_connections - 1,
            pragmas + " PRAGMA query_only = ON;",
        ),
    };
    // Hold the write-ahead log open until the pool does, then let go.
    drop(
        pools
            .writing
            .acquire()
            .await
            .map_err(|error| explain(&path, &error))?,
    );
    first
        .close()
        .await
        .map_err(|error| explain(&path, &error))?;
    Ok((pools, alone))
}

/// What the operating system's refusal of a path means.
fn refused(error: &std::io::Error, path: &Path) -> OpenError {
    match error.kind() {
        ErrorKind::PermissionDenied => OpenError::Permission(path.into()),
        ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path.display().to_string()),
        ErrorKind::NotFound => OpenError::NoDirectory(path.into()),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => OpenError::NotAFile(path.into()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            OpenError::DiskFull(path.display().to_string())
        }
        _ => OpenError::Other(format!("{}: {error}", path.display())),
    }
}

/// Makes what is missing, refuses what is wrong; the absolute path of the file.
fn prepare(path: &Path) -> Result<PathBuf, OpenError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(OpenError::NotAFile(path.into()));
    };
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        // Also says so of a directory that exists on a disk where nothing can be made.
        Err(_) if directory.is_dir() => {}
        Err(error) => return Err(refused(&error, directory)),
    }
    let directory = directory
        .canonicalize()
        .map_err(|error| refused(&error, directory))?;
    let path = directory.join(name);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| refused(&error, &path))?;
    let metadata = file.metadata().map_err(|error| refused(&error, &path))?;
    if !metadata.is_file() {
        return Err(OpenError::NotAFile(path));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Exposed { path, mode });
    }
    Ok(path)
}

/// The path as the driver wants it, every unusual byte escaped.
fn address(path: &Path) -> Result<String, OpenError> {
    let text = path.to_str().ok_or_else(|| {
        OpenError::Other(format!(
            "{} is not UTF-8: name another path",
            path.display()
        ))
    })?;
    let mut address = String::from("sqlite://");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte) {
            address.push(byte.into());
        } else {
            write!(address, "%{byte:02X}").expect("writing to a text never fails");
        }
    }
    Ok(address)
}

/// What a failure while opening means.
pub(crate) fn explain(path: &Path, error: &sqlx::Error) -> OpenError {
    let place = || path.display().to_string();
    match error {
        sqlx::Error::Database(database) => match Cause::of(&**database) {
            Cause::DiskFull => OpenError::DiskFull(place()),
            Cause::Busy => OpenError::Busy(place()),
            Cause::ReadOnly => OpenError::ReadOnly(place()),
            Cause::Damaged => OpenError::NotADatabase(path.into()),
            Cause::CanNotOpen | Cause::Forbidden => OpenError::Permission(path.into()),
            _ => OpenError::Other(error.to_string()),
        },
        sqlx::Error::PoolTimedOut => OpenError::Busy(place()),
        _ => OpenError::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_bytes_of_a_path_are_escaped() {
        let address = address(Path::new("/a b/c?d#e%f/ü.db")).expect("an address");
        assert_eq!(address, "sqlite:///a%20b/c%3Fd%23e%25f/%C3%BC.db");
    }

    #[tokio::test]
    async fn one_serves_from_a_file_at_a_time_and_others_may_open_it_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let open = |name: &str, serves: bool| {
            let settings = Settings {
                serves,
                ..Settings::new(crate::Location::Sqlite(at(name)))
            };
            async move { crate::Store::open(&settings).await }
        };
        let first = open("one.db", true).await.expect("nobody serves yet");
        std::os::unix::fs::symlink(at("one.db"), at("link.db")).expect("a link");
        for name in ["one.db", "link.db"] {
            let refused = open(name, true).await.err();
            assert!(
                matches!(refused, Some(OpenError::Served { process: None, .. })),
                "{name}: {refused:?}"
            );
        }
        let beside = open("one.db", false).await.expect("it does not serve");
        beside.healthy().await.expect("it reads");
        open("other.db", true).await.expect("another file");
        let clone = first.clone();
        drop(first);
        assert!(open("one.db", true).await.is_err(), "a clone serves still");
        drop(clone);
        open("one.db", true).await.expect("nobody serves any more");
    }
}
