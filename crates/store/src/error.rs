//! **What went wrong**, sorted into the two things a caller can act on: the store is not available
//! (try again, fall back on what is cached, answer 503), or it holds something that must not be.
//! The text is for operators and logs; it never reaches a caller of the API.

use std::borrow::Cow;

use registry::ports::StoreError;
use sqlx::error::DatabaseError;

/// Sorts a failure of the driver.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(database) => match Cause::of(&*database) {
            Cause::DiskFull => StoreError::Unavailable(
                "the disk that holds the database is full: free some space, writing then goes on by itself".into(),
            ),
            Cause::Busy => StoreError::Unavailable(format!("the database is too busy: {database}")),
            Cause::ReadOnly => StoreError::Unavailable(format!(
                "the database can be read but not written (a standby server, or a file without write permission): {database}"
            )),
            Cause::Away => StoreError::Unavailable(format!("the database failed: {database}")),
            Cause::Damaged => StoreError::Broken(format!(
                "the database file is damaged, restore it from a backup: {database}"
            )),
            _ => StoreError::Broken(format!("the database refused a statement: {database}")),
        },
        sqlx::Error::PoolTimedOut => {
            StoreError::Unavailable("no database connection came free in time".into())
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreError::Unavailable("the database connections are closed".into())
        }
        sqlx::Error::Io(io) => StoreError::Unavailable(format!("the database can not be reached: {io}")),
        sqlx::Error::Tls(tls) => {
            StoreError::Unavailable(format!("no secure connection to the database: {tls}"))
        }
        sqlx::Error::Protocol(text) => {
            StoreError::Unavailable(format!("the database connection broke: {text}"))
        }
        other => StoreError::Broken(format!("a row can not be read: {other}")),
    }
}

/// A row that fits no known state.
pub(crate) fn broken(what: impl Into<String>) -> StoreError {
    StoreError::Broken(what.into())
}

/// What a database's error code means, on either backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No space left.
    DiskFull,
    /// Locked, timed out, deadlocked, out of connections: another try may succeed.
    Busy,
    /// Readable, not writable.
    ReadOnly,
    /// Shutting down, restarting, an I/O error.
    Away,
    /// The file is corrupt, or no database at all.
    Damaged,
    /// The file can't be opened.
    CanNotOpen,
    /// The user or the password is wrong.
    Password,
    /// There is no such database on the server.
    NoDatabase,
    /// The user may not do this.
    Forbidden,
    /// Anything else.
    Other,
}

impl Cause {
    /// Reads a code: five characters are an SQLSTATE of PostgreSQL (its manual, appendix A), a
    /// shorter number is a result code of SQLite (<https://www.sqlite.org/rescode.html>), whose low
    /// byte is the primary one.
    pub(crate) fn of(error: &dyn DatabaseError) -> Self {
        let code = error.code().unwrap_or(Cow::Borrowed(""));
        match code.parse::<u32>() {
            Ok(number) if code.len() < 5 => Self::of_sqlite(number),
            _ => Self::of_postgres(&code),
        }
    }

    fn of_sqlite(code: u32) -> Self {
        match code & 0xff {
            13 => Self::DiskFull,
            5 | 6 | 15 => Self::Busy,
            8 => Self::ReadOnly,
            10 | 7 | 9 => Self::Away,
            11 | 26 => Self::Damaged,
            14 => Self::CanNotOpen,
            3 | 23 => Self::Forbidden,
            _ => Self::Other,
        }
    }

    fn of_postgres(code: &str) -> Self {
        match code {
            "53100" => Self::DiskFull,
            "25006" => Self::ReadOnly,
            "57014" | "55P03" | "53300" => Self::Busy,
            "28P01" | "28000" => Self::Password,
            "3D000" => Self::NoDatabase,
            "42501" => Self::Forbidden,
            "XX001" | "XX002" => Self::Damaged,
            _ => match code.get(..2) {
                Some("40" | "53") => Self::Busy,
                Some("08" | "57" | "58") => Self::Away,
                _ => Self::Other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_mean_the_same_things() {
        for (sqlite, postgres, cause) in [
            (13, "53100", Cause::DiskFull),
            (5, "55P03", Cause::Busy),
            (517, "40P01", Cause::Busy),
            (1032, "25006", Cause::ReadOnly),
            (266, "57P01", Cause::Away),
            (267, "XX001", Cause::Damaged),
            (1, "42601", Cause::Other),
        ] {
            assert_eq!(Cause::of_sqlite(sqlite), cause, "{sqlite}");
            assert_eq!(Cause::of_postgres(postgres), cause, "{postgres}");
        }
    }
}
