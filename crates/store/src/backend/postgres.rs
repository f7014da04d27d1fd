//! **PostgreSQL**: a server that several nodes share. TLS as the address says (`sslmode`).
//!
//! Every connection sets its own time limits, so that neither a slow statement nor a transaction
//! of a node that hangs can hold the lock of numbers for long; and it turns a server's
//! `synchronous_commit = off` on again: an acknowledged commit is on the disk.

use core::time::Duration;
use std::str::FromStr as _;

use proof::secret::Secret;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Connection as _, Executor as _};

use super::Pools;
use crate::Settings;
use crate::error::Cause;
use crate::open::OpenError;

/// A connection that was used so lately is believed to live.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Connects.
pub(crate) async fn open(url: &Secret, settings: &Settings) -> Result<Pools, OpenError> {
    let options = options(url).ok_or(OpenError::Address)?;
    let timeout = settings.statement_timeout.as_millis().max(1);
    let session = format!(
        "SET statement_timeout = {timeout}; SET lock_timeout = {timeout}; \
         SET idle_in_transaction_session_timeout = {}; \
         SET application_name = 'doorward'; \
         SET default_transaction_isolation = 'read committed'; \
         SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off';",
        timeout.saturating_mul(2)
    );
    // One connection first, by hand: a pool waits and then reports a timeout instead of the cause.
    let first = tokio::time::timeout(
        settings.acquire_timeout.max(Duration::from_secs(5)),
        sqlx::AnyConnection::connect_with(&options),
    )
    .await
    .map_err(|_| OpenError::Refused {
        server: server(url),
        cause: "no answer in time".into(),
    })?
    .map_err(|error| explain(url, &error))?;
    first.close().await.map_err(|error| explain(url, &error))?;

    let pool = |connections: u32| {
        let session = session.clone();
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(settings.acquire_timeout)
            // A connection that lay idle is asked whether it still lives: a server that restarted
            // meanwhile costs no call. One that was just in use is not: that would double reads.
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    Ok(metadata.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok())
                })
            })
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move {
                    connection
                        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(session)))
                        .await
                        .map(drop)
                })
            })
            .connect_lazy_with(options.clone())
    };
    let writers = (settings.max_connections / 4).max(1);
    Ok(Pools {
        writing: pool(writers),
        reading: pool(settings.max_connections - writers),
    })
}

fn options(url: &Secret) -> Option<AnyConnectOptions> {
    AnyConnectOptions::from_str(url.expose_text()?).ok()
}

/// Host and port, without user and password.
fn server(url: &Secret) -> String {
    options(url).map_or_else(String::new, |options| {
        let url = &options.database_url;
        format!(
            "{}:{}",
            url.host_str().unwrap_or("localhost"),
            url.port().unwrap_or(5432)
        )
    })
}

/// What a failure while opening means.
pub(crate) fn explain(url: &Secret, error: &sqlx::Error) -> OpenError {
    let server = server(url);
    match error {
        sqlx::Error::Database(database) => match Cause::of(&**database) {
            Cause::DiskFull => OpenError::DiskFull(format!("the server {server}")),
            Cause::Busy => OpenError::Busy(format!("the server {server} ({})", database.message())),
            Cause::ReadOnly => OpenError::ReadOnly(format!("the server {server}")),
            Cause::Password => OpenError::Password(server),
            Cause::NoDatabase => OpenError::NoDatabase {
                server,
                name: options(url).map_or_else(String::new, |options| {
                    options
                        .database_url
                        .path()
                        .trim_start_matches('/')
                        .to_owned()
                }),
            },
            Cause::Forbidden => OpenError::Forbidden {
                server,
                cause: database.message().to_owned(),
            },
            Cause::Away => OpenError::Refused {
                server,
                cause: database.message().to_owned(),
            },
            _ => OpenError::Other(error.to_string()),
        },
        sqlx::Error::Io(io) => OpenError::Refused {
            server,
            cause: io.to_string(),
        },
        sqlx::Error::Tls(cause) => OpenError::Tls {
            server,
            cause: cause.to_string(),
        },
        sqlx::Error::PoolTimedOut => OpenError::Busy(format!("the server {server}")),
        sqlx::Error::Configuration(_) => OpenError::Address,
        _ => OpenError::Other(error.to_string()),
    }
}
