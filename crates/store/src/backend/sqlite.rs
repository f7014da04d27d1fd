//! **SQLite**: one file beside the program, one connection that writes, some that read.
//!
//! Write-ahead log with `synchronous = FULL`: a commit that was acknowledged is on the disk. The
//! file is readable by its owner only, and one that others may read is refused, not repaired.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
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

/// Makes directory and file where they are missing, and connects.
pub(crate) async fn open(path: &Path, settings: &Settings) -> Result<Pools, OpenError> {
    let path = prepare(path)?;
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
    Ok(pools)
}

/// Makes what is missing, refuses what is wrong; the absolute path of the file.
fn prepare(path: &Path) -> Result<PathBuf, OpenError> {
    let refused = |error: &std::io::Error, path: &Path| match error.kind() {
        ErrorKind::PermissionDenied => OpenError::Permission(path.into()),
        ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path.display().to_string()),
        ErrorKind::NotFound => OpenError::NoDirectory(path.into()),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => OpenError::NotAFile(path.into()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            OpenError::DiskFull(path.display().to_string())
        }
        _ => OpenError::Other(format!("{}: {error}", path.display())),
    };
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
}
