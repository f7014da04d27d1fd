//! **A PostgreSQL server for tests**: Debian's own binaries, on a free port, in a directory of its
//! own; it needs no configured cluster and touches none.
//!
//! The server lives as long as a pipe to it is open. So it ends with the tests even if they are
//! killed, and its data with it. Its binaries refuse to run as root; started by root they run as
//! the user `postgres`. A missing PostgreSQL is a failure with a sentence, never a silent skip;
//! only `DOORWARD_TEST_POSTGRES=off` leaves these tests out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

/// The server's superuser.
const USER: &str = "doorward";
/// Its password, for connections by TCP. No secret: it guards a throw-away server on loopback.
const PASSWORD: &str = "for-tests-only";

/// A running server. Ends when dropped.
#[derive(Debug)]
pub struct Postgres {
    supervisor: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
    binaries: PathBuf,
    port: u16,
    databases: AtomicU32,
}

/// The server that all tests of this process share, started by the first that asks; `None` only
/// if `DOORWARD_TEST_POSTGRES=off`.
///
/// # Panics
/// If PostgreSQL is missing or does not start.
#[must_use]
pub fn shared() -> Option<&'static Postgres> {
    static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            if std::env::var_os("DOORWARD_TEST_POSTGRES").is_some_and(|value| value == "off") {
                return None;
            }
            Some(Postgres::start().unwrap_or_else(|error| panic!("{error:#}")))
        })
        .as_ref()
}

impl Postgres {
    /// Starts a server of one's own, for tests that stop it or fill it.
    ///
    /// # Errors
    /// PostgreSQL is missing or does not start.
    pub fn start() -> Result<Self> {
        let binaries = binaries()?;
        // Somebody may take the port between our letting go and the server's start.
        let mut attempt = 1;
        loop {
            match Self::start_on(&binaries, free_port()?) {
                Err(_) if attempt < 3 => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn start_on(binaries: &std::path::Path, port: u16) -> Result<Self> {
        let am_root = std::fs::metadata("/proc/self")
            .context("reading /proc/self")?
            .uid()
            == 0;
        let mut command = if am_root {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--init-groups",
                "sh",
            ]);
            command
        } else {
            Command::new("sh")
        };
        let mut supervisor = command
            .args(["-c", include_str!("postgres/server.sh"), "server.sh"])
            .arg(binaries)
            .arg(port.to_string())
            .arg(PASSWORD)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the PostgreSQL server")?;
        let commands = supervisor.stdin.take().context("the server's input")?;
        let answers = BufReader::new(supervisor.stdout.take().context("the server's output")?);
        let mut server = Self {
            supervisor,
            commands: Some(commands),
            answers,
            directory: PathBuf::new(),
            binaries: binaries.to_owned(),
            port,
            databases: AtomicU32::new(0),
        };
        let directory = server.answer()?;
        match directory.strip_prefix("DIR ") {
            Some(directory) => server.directory = directory.into(),
            None => bail!("the PostgreSQL server did not start: {directory}"),
        }
        server.expect("READY")?;
        Ok(server)
    }

    /// Makes an empty database and returns its address, `postgres://…`.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run_sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.address(&name))
    }

    /// The address of a database, whether it exists or not.
    #[must_use]
    pub fn address(&self, name: &str) -> String {
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}",
            self.port
        )
    }

    /// The port it listens on, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements with `psql`, past whatever is tested; returns the rows unaligned, fields
    /// parted by `|`.
    ///
    /// # Errors
    /// The server does not answer or refuses a statement.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<String> {
        self.run(
            "psql",
            &["-qAtX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql],
        )
    }

    /// Everything a database holds, as text.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn dump(&self, database: &str) -> Result<String> {
        self.run("pg_dump", &["--inserts", database])
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(self.binaries.join(program))
            .env("PGHOST", &self.directory)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", USER)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {program}"))?;
        if !output.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops the server; its data stays.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&mut self) -> Result<()> {
        self.command("stop")?;
        self.expect("STOPPED")
    }

    /// Starts it again after [`Self::stop`], on the same port with the same data.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.command("start")?;
        self.expect("READY")
    }

    fn command(&mut self, command: &str) -> Result<()> {
        let commands = self.commands.as_mut().context("the server was ended")?;
        writeln!(commands, "{command}")?;
        commands.flush().context("talking to the server")
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("waiting for the server")?;
        Ok(line.trim_end().to_owned())
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        let answer = self.answer()?;
        if answer != wanted {
            bail!(
                "the PostgreSQL server says {answer:?} where {wanted} was expected; its log stands above"
            );
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its input is the supervisor's sign to stop the server and clean up.
        drop(self.commands.take());
        let _ = self.supervisor.wait();
    }
}

/// The newest of Debian's installed servers.
fn binaries() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let binaries = entry.path().join("bin");
            binaries
                .join("initdb")
                .is_file()
                .then_some((version, binaries))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, binaries)| binaries).context(
        "PostgreSQL is not installed, and this test needs it: run ./test, which installs it \
         (apt-get install postgresql), or leave these tests out with DOORWARD_TEST_POSTGRES=off",
    )
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_its_data_over_a_stop_and_leaves_nothing_behind() {
        if shared().is_none() {
            return;
        }
        let mut server = Postgres::start().expect("a server");
        server
            .run_sql("postgres", "CREATE TABLE kept AS SELECT 42 AS n")
            .expect("a table");
        server.stop().expect("a stop");
        assert!(server.run_sql("postgres", "SELECT 1").is_err());
        server.start_again().expect("a start");
        assert_eq!(
            server
                .run_sql("postgres", "SELECT n FROM kept")
                .expect("a row")
                .trim(),
            "42"
        );
        let directory = server.directory.clone();
        drop(server);
        assert!(!directory.exists());
    }
}
