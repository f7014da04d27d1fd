//! **The real binary, started for a test**: in a directory of its own, on free ports, with its
//! output kept.
//!
//! Settings are written with places: `@DIR@`, `@GATEWAY@`, `@GATEWAY_TLS@`, `@ISSUER@`,
//! `@ISSUER_TLS@`, `@ADMIN@`, `@OPS@` become the directory and `address:port`. [`BASE`] is what most tests begin with.
//!
//! The process ends with the tests even if they are killed, or keep it in a static: a watchdog
//! holds a pipe to them.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::wire::{self, Answer};

/// The settings that most tests begin with: every listener on loopback, an issuer, cheap hashes,
/// quick endings, no budget per address that many tests from one address would exhaust.
pub const BASE: &str = "\
version: 1
data_dir: data
master_key: file:master.key
issuer: { url: 'http://@ISSUER@' }
hashing: { memory: 8MiB, passes: 1, threads: 1 }
limits: { per_address: off, failures_per_address: off }
log: { format: json, level: info }
shutdown: { drain: 5s }
listeners:
  - { name: gateway, address: '@GATEWAY@', serves: [gateway] }
  - name: gateway-tls
    address: '@GATEWAY_TLS@'
    serves: [gateway]
    tls:
      certificates: [{ certificate_file: tls/localhost.pem, key_file: tls/localhost.key }]
      client_certificates: optional
  - { name: issuer, address: '@ISSUER@', serves: [issuer] }
  - name: issuer-tls
    address: '@ISSUER_TLS@'
    serves: [issuer]
    tls:
      certificates: [{ certificate_file: tls/localhost.pem, key_file: tls/localhost.key }]
      client_certificates: optional
  - { name: admin, address: '@ADMIN@', serves: [admin] }
  - { name: ops, address: '@OPS@', serves: [ops] }
";

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A directory with what settings point to (master key, certificates) and ports for it.
#[derive(Debug)]
pub struct Place {
    directory: tempfile::TempDir,
    /// Where the gateway listens without TLS.
    pub gateway: SocketAddr,
    /// Where the gateway listens with TLS.
    pub gateway_tls: SocketAddr,
    /// Where the issuer listens.
    pub issuer: SocketAddr,
    /// Where the issuer listens with TLS.
    pub issuer_tls: SocketAddr,
    /// Where the admin API listens.
    pub admin: SocketAddr,
    /// Where health and metrics are.
    pub ops: SocketAddr,
}

impl Place {
    /// A new one.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("doorward-test-")
            .tempdir()?;
        let mut key = [0u8; 32];
        proof::random::Entropy::fill(&proof::random::SystemEntropy, &mut key);
        write_private(
            &directory.path().join("master.key"),
            proof::base64std::encode(&key).as_bytes(),
        )?;
        write_certificates(&directory.path().join("tls"), "localhost")?;
        let [gateway, gateway_tls, issuer, issuer_tls, admin, ops] = free_addresses()?;
        Ok(Self {
            directory,
            gateway,
            gateway_tls,
            issuer,
            issuer_tls,
            admin,
            ops,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The settings file's path.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.path().join("doorward.yaml")
    }

    /// Fills the places of a text.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        text.replace("@DIR@", &self.path().display().to_string())
            .replace("@GATEWAY@", &self.gateway.to_string())
            .replace("@GATEWAY_TLS@", &self.gateway_tls.to_string())
            .replace("@ISSUER@", &self.issuer.to_string())
            .replace("@ISSUER_TLS@", &self.issuer_tls.to_string())
            .replace("@ADMIN@", &self.admin.to_string())
            .replace("@OPS@", &self.ops.to_string())
    }

    /// Writes the settings file.
    ///
    /// # Errors
    /// The system's.
    pub fn write_settings(&self, text: &str) -> Result<()> {
        std::fs::write(self.settings_file(), self.fill(text)).context("writing the settings")
    }

    /// Runs the binary in this directory to its end, 60 s at most, with nothing in its environment
    /// but `PATH` and `HOME`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.run_with(arguments, &[])
    }

    /// The same with variables in its environment.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
        let binary = binary()?;
        // `timeout` ends what was expected to end by itself and does not, a server above all.
        Command::new("timeout")
            .args(["--signal=KILL", "60"])
            .arg(&binary)
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", binary.display()))
    }

    /// Writes the settings and starts `doorward serve`; waits until it is ready.
    ///
    /// # Errors
    /// If it ends or is not ready in time; the error holds its log.
    pub fn start(self, settings: &str) -> Result<Doorward> {
        self.write_settings(settings)?;
        Doorward::in_place(self)
    }
}

/// A running `doorward serve`. Killed when dropped.
#[derive(Debug)]
pub struct Doorward {
    child: Child,
    watchdog: Child,
    alive: Option<ChildStdin>,
    place: Place,
    owner_key: String,
}

impl Doorward {
    /// Starts one with settings of its own; waits until it is ready.
    ///
    /// # Errors
    /// If it ends or is not ready in time; the error holds its log.
    pub fn start(settings: &str) -> Result<Self> {
        Place::new()?.start(settings)
    }

    fn in_place(place: Place) -> Result<Self> {
        let (child, watchdog, alive) = spawn(&place)?;
        let mut this = Self {
            child,
            watchdog,
            alive,
            place,
            owner_key: String::new(),
        };
        this.await_ready()?;
        // Shown once in the life of a database, on a line of its own after the words about it.
        let stdout = this.stdout();
        let mut lines = stdout
            .lines()
            .skip_while(|line| !line.starts_with("The first administrator's key"));
        this.owner_key = lines.nth(1).unwrap_or_default().trim().to_owned();
        Ok(this)
    }

    fn await_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("doorward ended with {status}:\n{}", self.log());
            }
            let ready = wire::get(self.place.ops, "/readyz", &[]);
            if ready.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("doorward is not ready after {START:?}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Its directory and addresses.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }
    /// Where the gateway listens without TLS.
    #[must_use]
    pub fn gateway(&self) -> SocketAddr {
        self.place.gateway
    }
    /// Where the issuer listens with TLS.
    #[must_use]
    pub fn issuer_tls(&self) -> SocketAddr {
        self.place.issuer_tls
    }
    /// Where the gateway listens with TLS.
    #[must_use]
    pub fn gateway_tls(&self) -> SocketAddr {
        self.place.gateway_tls
    }
    /// Where the issuer listens.
    #[must_use]
    pub fn issuer(&self) -> SocketAddr {
        self.place.issuer
    }
    /// Where the admin API listens.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.place.admin
    }
    /// Where health and metrics are.
    #[must_use]
    pub fn ops(&self) -> SocketAddr {
        self.place.ops
    }
    /// The first administrator's key; empty if the database had one.
    #[must_use]
    pub fn owner_key(&self) -> &str {
        &self.owner_key
    }
    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// What it wrote to standard output, all starts together.
    #[must_use]
    pub fn stdout(&self) -> String {
        text_of(&self.place.path().join("stdout.log"))
    }
    /// What it wrote to standard error, all starts together: its log.
    #[must_use]
    pub fn log(&self) -> String {
        text_of(&self.place.path().join("stderr.log"))
    }

    /// A call of the admin API with the first owner's key; a body goes as JSON.
    ///
    /// # Errors
    /// If there is no answer, or none in JSON.
    pub fn admin_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        self.admin_call_as(&self.owner_key, method, path, body)
    }

    /// The same with another key.
    ///
    /// # Errors
    /// If there is no answer, or none in JSON.
    pub fn admin_call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let authorization = format!("Bearer {key}");
        let mut headers = vec![("authorization", authorization.as_str())];
        let body = body.map(Value::to_string);
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let answer = wire::call(
            self.place.admin,
            method,
            path,
            &headers,
            body.as_deref().unwrap_or_default().as_bytes(),
        )?;
        let json = if answer.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&answer.body).with_context(|| format!("{answer:?}"))?
        };
        Ok((answer.status, json))
    }

    /// Makes something by the admin API and returns its answer; anything but 2xx is an error.
    ///
    /// # Errors
    /// The refusal.
    pub fn make(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let (status, json) = self.admin_call(method, path, Some(body))?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {json}");
        }
        Ok(json)
    }

    /// A `GET` of the plain gateway.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        wire::get(self.place.gateway, path, headers)
    }

    /// Sends it a signal by name (`TERM`, `HUP`, `KILL`).
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()
            .context("running kill")?;
        if !sent.success() {
            bail!("the process is gone:\n{}", self.log());
        }
        Ok(())
    }

    /// Asks it to stop and waits; returns whether it ended well.
    ///
    /// # Errors
    /// If it does not end within 30 s.
    pub fn stop(&mut self) -> Result<bool> {
        self.signal("TERM")?;
        self.wait(Duration::from_secs(30))
    }

    /// Waits for its end; returns whether it ended well.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn wait(&mut self, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > deadline {
                bail!("doorward did not end within {limit:?}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it on the spot, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after it ended, with the same directory and ports; waits until it is ready.
    ///
    /// # Errors
    /// If it ends or is not ready in time.
    pub fn start_again(&mut self) -> Result<()> {
        self.release();
        let (child, watchdog, alive) = spawn(&self.place)?;
        self.child = child;
        self.watchdog = watchdog;
        self.alive = alive;
        self.await_ready()
    }

    /// Lets the watchdog go home: the process has ended.
    fn release(&mut self) {
        self.kill();
        if let Some(mut alive) = self.alive.take() {
            let _ = std::io::Write::write_all(&mut alive, b"done\n");
        }
        let _ = self.watchdog.wait();
    }
}

impl Drop for Doorward {
    fn drop(&mut self) {
        self.release();
    }
}

fn spawn(place: &Place) -> Result<(Child, Child, Option<ChildStdin>)> {
    let binary = binary()?;
    let output = |name: &str| -> Result<File> {
        File::options()
            .create(true)
            .append(true)
            .open(place.path().join(name))
            .context("the log file")
    };
    let child = Command::new(&binary)
        .args(["serve", "--config"])
        .arg(place.settings_file())
        .current_dir(place.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place.path())
        .stdin(Stdio::null())
        .stdout(output("stdout.log")?)
        .stderr(output("stderr.log")?)
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))?;
    // A line: the process was ended in order. The end of the pipe without one: the tests are gone.
    let mut watchdog = Command::new("sh")
        .args([
            "-c",
            "read -r line || { kill -KILL \"$1\"; rm -rf \"$2\"; }",
            "watchdog",
        ])
        .arg(child.id().to_string())
        .arg(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the watchdog")?;
    let alive = watchdog.stdin.take();
    Ok((child, watchdog, alive))
}

/// The binary under test: `DOORWARD_BIN`, or the one beside the tests in the build directory.
///
/// # Errors
/// If there is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("DOORWARD_BIN") {
        return Ok(named.into());
    }
    let tests = std::env::current_exe()?;
    let beside = tests
        .ancestors()
        .map(|folder| folder.join("doorward"))
        .find(|binary| binary.is_file());
    beside
        .context("no doorward beside the tests: `cargo build -p doorward-app`, or set DOORWARD_BIN")
}

/// Free addresses on loopback, all different. They lie below the ports that the system hands out
/// for outgoing connections, so that no other test's call takes one between this and the start of
/// whoever will listen there; and each is given out once by a process.
///
/// # Errors
/// If none is free.
pub fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    const FIRST: u32 = 10_000;
    const MANY: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut found = 0;
    for _ in 0..MANY {
        if found == N {
            return Ok(addresses);
        }
        // Processes that run at the same time begin far apart.
        let begin = std::process::id().wrapping_mul(7919);
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + begin.wrapping_add(step) % MANY;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
        if std::net::TcpListener::bind(address).is_ok() {
            addresses[found] = address;
            found += 1;
        }
    }
    bail!("no port from {FIRST} on is free")
}

/// Writes `ca.pem`, `NAME.pem` and `NAME.key` for a name and 127.0.0.1.
///
/// # Errors
/// The system's.
pub fn write_certificates(folder: &Path, name: &str) -> Result<()> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    std::fs::create_dir_all(folder)?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.distinguished_name.push(DnType::CommonName, "Test CA");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, name);
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &ca)?;
    std::fs::write(folder.join("ca.pem"), ca.pem())?;
    std::fs::write(folder.join(format!("{name}.pem")), leaf.pem())?;
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}

/// Writes a file that its owner alone may read, as one with a secret must be.
///
/// # Errors
/// The system's.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, content)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn text_of(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
