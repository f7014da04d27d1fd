//! `doctor`: looks for what is wrong before somebody else finds it. It changes nothing: what it finds
//! is told with what to do about it. Some of it is seen on this machine (settings, files, database,
//! certificates, listeners), some only by the running Doorward (clock, audit trail, signing keys);
//! where one of the two can't be had, the rest is still looked at. The running one is the settings' own,
//! unless another is named.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use proof::time::Timestamp;
use registry::units::{Moment, Period};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::Value;
use store::{Location, Store};
use tokio::net::TcpStream;
use web::admin::view::{LeftOverView, Page, Resource, SigningKeyView, Status};

use super::Global;
use super::client::{AdminClient, dev_key_file};
use super::failure::{Failure, Outcome};
use super::screen::{Screen, counted, seen_from};
use crate::settings::{self, Database, Loaded, Mode, Serves};
use crate::wire;

/// A token should not live longer.
const LONG_TOKEN: Duration = Duration::from_secs(15 * 60);
/// Two clocks that differ by more are not in step.
const CLOCK_STEP: Duration = Duration::from_secs(5);
/// Before it, a clock was never set: the year this was written in.
const NOT_BEFORE: Timestamp = Timestamp::from_secs(1_767_225_600);
/// A certificate that ends sooner wants a new one.
const CERTIFICATE_NOTICE: Duration = Duration::from_secs(14 * 86_400);
/// A signing key that is active for longer was not rotated as scheduled (90 d and a day).
const OLD_KEY: Duration = Duration::from_secs(91 * 86_400);
/// More waiting audit events say that nobody chains them.
const MANY_WAITING: u64 = 500;
/// How long a listener may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What to look at.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// The settings file; default: doorward.yaml here, or what `doorward dev` keeps
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    /// As it should be.
    Good,
    /// Works, but should be otherwise.
    Warning,
    /// Broken, or unsafe.
    Bad,
    /// Could not be looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    what: String,
    grade: Grade,
    words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// All that was found.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, what: &str, grade: Grade, words: impl Into<String>, next: Option<&str>) {
        self.0.push(Finding {
            what: what.to_owned(),
            grade,
            words: words.into(),
            next: next.map(str::to_owned),
        });
    }
    fn good(&mut self, what: &str, words: impl Into<String>) {
        self.add(what, Grade::Good, words, None);
    }
    fn warn(&mut self, what: &str, words: impl Into<String>, next: &str) {
        self.add(what, Grade::Warning, words, Some(next));
    }
    fn bad(&mut self, what: &str, words: impl Into<String>, next: &str) {
        self.add(what, Grade::Bad, words, Some(next));
    }
    fn skipped(&mut self, what: &str, words: impl Into<String>) {
        self.add(what, Grade::Skipped, words, None);
    }
    fn count(&self, grade: Grade) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.grade == grade)
            .count()
    }
}

/// Looks, tells, and fails if anything is broken.
pub(crate) async fn run(args: DoctorArgs, global: &Global, screen: Screen) -> Outcome<()> {
    let mut found = Findings::default();
    let running = on_this_machine(args.config, &mut found, screen.now).await;
    let admin_url = match (&global.admin_url, running) {
        (Some(given), _) => Ok(Some(given.clone())),
        (None, Running::Unsaid) => Ok(None),
        (None, Running::At(address)) => Ok(Some(address)),
        (None, Running::Unknown(why)) => Err(Failure::new(why).next("name one with --admin-url")),
    };
    let client = admin_url.and_then(|admin_url| {
        AdminClient::new(&Global {
            admin_url,
            ..global.clone()
        })
    });
    match client {
        Ok(client) => of_the_running(&client, &mut found, screen.now).await,
        Err(failure) => found.skipped("admin API", failure.to_string()),
    }
    show(&found, screen)?;
    match found.count(Grade::Bad) {
        0 => Ok(()),
        1 => Err(Failure::new("One thing is broken.")),
        many => Err(Failure::new(format!("{many} things are broken."))),
    }
}

fn show(found: &Findings, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(&found.0);
    }
    for finding in &found.0 {
        let sign = match finding.grade {
            Grade::Good => "✓",
            Grade::Warning => "!",
            Grade::Bad => "✗",
            Grade::Skipped => "·",
        };
        let words = finding.words.replace('\n', "\n    ");
        screen.line(&format!("{sign} {}: {words}", finding.what))?;
        if let Some(next) = &finding.next {
            screen.line(&format!("    → {next}"))?;
        }
    }
    let (good, warnings) = (found.count(Grade::Good), found.count(Grade::Warning));
    let (bad, skipped) = (found.count(Grade::Bad), found.count(Grade::Skipped));
    screen.line(&format!(
        "{good} good, {warnings} to think about, {bad} broken, {skipped} not looked at"
    ))
}

/// The settings file to look at, and what it is for.
fn settings_file(
    given: Option<PathBuf>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(PathBuf, Mode)> {
    let dev = dev_key_file(env).map(|key| key.with_file_name("doorward.yaml"));
    if let Some(path) = given {
        let mode = if dev.as_deref() == Some(path.as_path()) {
            Mode::Dev
        } else {
            Mode::Serve
        };
        return Some((path, mode));
    }
    let here = PathBuf::from("doorward.yaml");
    if here.exists() {
        return Some((here, Mode::Serve));
    }
    dev.filter(|path| path.exists())
        .map(|path| (path, Mode::Dev))
}

/// Where the Doorward of the settings that were looked at has its admin API.
enum Running {
    /// No settings were looked at.
    Unsaid,
    /// The base URL.
    At(String),
    /// The settings don't tell; the sentence says why.
    Unknown(String),
}

impl Running {
    fn of(loaded: &Loaded) -> Self {
        let mut listeners = loaded.settings.listeners.iter();
        let Some(admin) = listeners.find(|one| one.serves.contains(&Serves::Admin)) else {
            return Self::Unknown("The settings have no listener for the admin API.".to_owned());
        };
        let address = reachable(admin.address);
        if admin.certificates.is_empty() {
            return Self::At(format!("http://{address}"));
        }
        // A certificate names a host, and the admin API answers to those that the settings list.
        match loaded.settings.admin_hosts.first() {
            Some(host) => Self::At(format!("https://{host}:{}", address.port())),
            None => Self::At(format!("https://{address}")),
        }
    }
}

async fn on_this_machine(config: Option<PathBuf>, found: &mut Findings, now: Timestamp) -> Running {
    if now < NOT_BEFORE {
        found.bad(
            "clock",
            format!("this machine thinks it is {}", Moment(now)),
            "set the clock (NTP): every expiry depends on it",
        );
    }
    let env = |name: &str| std::env::var(name).ok();
    let Some((path, mode)) = settings_file(config, &env) else {
        found.skipped(
            "settings",
            "there is no doorward.yaml here; name one with --config",
        );
        return Running::Unsaid;
    };
    let loaded = match settings::load(&path, &env, mode) {
        Ok(loaded) => loaded,
        Err(flaws) => {
            found.bad(
                "settings",
                flaws.to_string(),
                "mend the file; a running Doorward keeps what it read before",
            );
            return Running::Unknown("The settings can't be read.".to_owned());
        }
    };
    let resources = counted(loaded.documents.len(), "resource");
    match wire::check::files(&path, &loaded) {
        Ok(()) => found.good(
            "settings",
            format!("{} is good and declares {resources}", path.display()),
        ),
        Err(flaws) => found.bad(
            "settings",
            flaws.to_string(),
            "mend what they name: a start with these settings ends there",
        ),
    }
    for warning in crate::config::warnings(&loaded) {
        found.add("settings", Grade::Warning, warning, None);
    }
    let dangers = loaded.settings.dangers.iter();
    let dangers = dangers.map(|one| format!("`{one}` is set"));
    for danger in dangers.chain(registry::danger::dangers(&loaded.documents)) {
        found.warn(
            "settings",
            danger,
            "take it out wherever strangers can reach this",
        );
    }
    let apis = loaded.meaning.apis.iter().map(AsRef::as_ref);
    for open in registry::meaning::unguarded(apis) {
        found.warn("objects", open.to_string(), crate::config::GUARD);
    }
    files(&loaded, found);
    certificates(&loaded, found, now);
    database(&loaded.settings.database, found).await;
    listeners(&loaded, found).await;
    Running::of(&loaded)
}

/// Whatever holds a secret is its owner's alone.
fn files(loaded: &Loaded, found: &mut Findings) {
    let certificates: Vec<_> = loaded
        .settings
        .listeners
        .iter()
        .flat_map(|one| one.certificates.iter().map(|(certificate, _)| certificate))
        .collect();
    let is_settings = |path: &Path| {
        path.extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    };
    let mut secret: Vec<PathBuf> = loaded
        .watched
        .iter()
        .filter(|path| path.is_file() && !is_settings(path) && !certificates.contains(path))
        .cloned()
        .collect();
    if let Database::Sqlite(path) = &loaded.settings.database {
        secret.push(path.clone());
    }
    let mut sound = 0;
    for path in secret {
        match std::fs::metadata(&path).map(|meta| meta.permissions().mode() & 0o777) {
            Ok(mode) if mode & 0o077 != 0 => {
                let words = format!(
                    "{} can be read by other users (mode {mode:03o})",
                    path.display()
                );
                found.bad("files", words, &format!("chmod 600 {}", path.display()));
            }
            Ok(_) => sound += 1,
            // The database may not have been made yet; what else is missing, the settings said.
            Err(_) => {}
        }
    }
    found.good(
        "files",
        match sound {
            1 => "1 file with secrets is readable by its owner alone".to_owned(),
            _ => format!("{sound} files with secrets are readable by their owner alone"),
        },
    );
}

fn certificates(loaded: &Loaded, found: &mut Findings, now: Timestamp) {
    for (path, _) in loaded
        .settings
        .listeners
        .iter()
        .flat_map(|one| &one.certificates)
    {
        let what = format!("certificate {}", path.display());
        match end_of(path) {
            None => found.bad(
                &what,
                "it can not be read",
                "give a PEM file with the server's certificate first",
            ),
            Some(end) if end <= now => {
                found.bad(
                    &what,
                    format!("it has expired {}", seen_from(end, now)),
                    "put a new one in its place; it is taken over at once",
                );
            }
            Some(end) if end <= now.plus(CERTIFICATE_NOTICE) => {
                found.warn(
                    &what,
                    format!("it ends {}", seen_from(end, now)),
                    "put a new one in its place; it is taken over at once",
                );
            }
            Some(end) => found.good(&what, format!("it ends {}", seen_from(end, now))),
        }
    }
}

/// When a server's certificate ends.
fn end_of(path: &Path) -> Option<Timestamp> {
    let der = CertificateDer::pem_file_iter(path).ok()?.next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(Timestamp::from_secs(
        certificate.validity().not_after.timestamp(),
    ))
}

async fn database(database: &Database, found: &mut Findings) {
    let location = match database {
        // Looking must not make one.
        Database::Sqlite(path) if !path.exists() => {
            found.skipped(
                "database",
                format!(
                    "{} is not there yet; the first start makes it",
                    path.display()
                ),
            );
            return;
        }
        Database::Sqlite(path) => Ok(Location::Sqlite(path.clone())),
        Database::Postgres { url, .. } => Location::parse(&url.0),
    };
    let opened = match location {
        Ok(location) => {
            let settings = store::Settings {
                migrate: false,
                ..store::Settings::new(location)
            };
            Store::open(&settings).await
        }
        Err(error) => Err(error),
    };
    match opened {
        Ok(store) => {
            match store.healthy().await {
                Ok(()) => found.good(
                    "database",
                    "it answers, and its schema is the one that this version wants",
                ),
                Err(error) => found.bad(
                    "database",
                    error.to_string(),
                    "look at the database's own log",
                ),
            }
            store.close().await;
        }
        Err(error) => found.add("database", Grade::Bad, format!("{error}"), None),
    }
}

async fn listeners(loaded: &Loaded, found: &mut Findings) {
    for listener in &loaded.settings.listeners {
        let what = format!("listener {}", listener.name);
        let address = reachable(listener.address);
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => found.good(&what, format!("{} accepts connections", listener.address)),
            Ok(Err(error)) => {
                found.warn(
                    &what,
                    format!("{}: {error}", listener.address),
                    "start Doorward, or see its log for why it is not listening",
                );
            }
            Err(_) => found.warn(
                &what,
                format!("{} does not accept", listener.address),
                "look for a firewall, or a process that hangs",
            ),
        }
    }
}

/// An address of this machine for one that means all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

async fn of_the_running(client: &AdminClient, found: &mut Findings, now: Timestamp) {
    let status: Status = match client.get("/v1/status").await {
        Ok(status) => status,
        Err(failure) => {
            found.add("admin API", Grade::Bad, failure.to_string(), None);
            return;
        }
    };
    judge_status(&status, found, now);
    match client.get::<Page<SigningKeyView>>("/v1/signing-keys").await {
        Ok(page) => judge_signing_keys(&page.items, found, now),
        Err(failure) => found.skipped("signing keys", failure.to_string()),
    }
    match client.get::<Page<Resource>>("/v1/apis").await {
        Ok(page) => judge_lifetimes(&page.items, found),
        Err(failure) => found.skipped("token lifetimes", failure.to_string()),
    }
    match client
        .get::<Page<LeftOverView>>("/v1/relations/left-over")
        .await
    {
        Ok(page) => judge_relations(&page.items, found),
        Err(failure) => found.skipped("relations", failure.to_string()),
    }
}

fn judge_status(status: &Status, found: &mut Findings, now: Timestamp) {
    found.good(
        "admin API",
        format!(
            "version {}, you are {} ({})",
            status.version, status.you.name, status.you.role
        ),
    );
    let (there, here) = (status.now.0, now);
    let apart = there.since(here).max(here.since(there));
    if apart > CLOCK_STEP {
        found.warn(
            "clock",
            format!(
                "the server's clock differs from this machine's by {} s",
                apart.as_secs()
            ),
            "keep both in step by NTP",
        );
    } else {
        found.good("clock", "the server's clock and this machine's agree");
    }
    match &status.settings.refused {
        Some(refused) => found.bad(
            "reload",
            format!(
                "a later version of the settings was refused {}:\n{}",
                seen_from(refused.at.0, now),
                refused.message
            ),
            "mend the file; it is read again at once",
        ),
        None => found.good("reload", "the settings in force are those of the file"),
    }
    if status.audit.waiting >= MANY_WAITING {
        found.warn(
            "audit trail",
            format!("{} events wait to be chained", status.audit.waiting),
            "see the server's log for why the sequencer does not keep up",
        );
    } else {
        found.good(
            "audit trail",
            format!(
                "{} events are chained, {} wait",
                status.audit.chained, status.audit.waiting
            ),
        );
    }
}

fn judge_signing_keys(keys: &[SigningKeyView], found: &mut Findings, now: Timestamp) {
    for purpose in ["access", "upstream", "audit"] {
        let what = format!("signing key for {purpose}");
        let active = keys
            .iter()
            .find(|key| key.purpose == purpose && key.state == "active");
        match active {
            None => found.bad(
                &what,
                "there is no active one",
                "restart the issuer and see its log",
            ),
            Some(key) => {
                let since = key.activated_at.unwrap_or(key.created_at);
                let words = format!("{} signs since {}", key.algorithm, seen_from(since.0, now));
                if now.since(since.0) > OLD_KEY {
                    found.warn(
                        &what,
                        words,
                        &format!("rotate it: doorward signing-key rotate {purpose}"),
                    );
                } else {
                    found.good(&what, words);
                }
            }
        }
    }
}

fn judge_lifetimes(apis: &[Resource], found: &mut Findings) {
    let long: Vec<String> = apis
        .iter()
        .filter_map(|api| {
            let period: Period = api
                .spec
                .get("token_lifetime")
                .and_then(Value::as_str)?
                .parse()
                .ok()?;
            (period.0 > LONG_TOKEN).then(|| format!("{} ({period})", api.name))
        })
        .collect();
    if long.is_empty() {
        found.good(
            "token lifetimes",
            "no API asks for tokens that live longer than 15 min",
        );
    } else {
        found.warn(
            "token lifetimes",
            format!("tokens live longer than 15 min: {}", long.join(", ")),
            "shorten token_lifetime: a stolen token works until it ends",
        );
    }
}

fn judge_relations(left: &[LeftOverView], found: &mut Findings) {
    if left.is_empty() {
        found.good("relations", "every tuple fits the declared model");
        return;
    }
    let list: Vec<_> = left
        .iter()
        .map(|one| format!("{} like {}", one.tuples, one.like))
        .collect();
    found.warn(
        "relations",
        format!("tuples count for nothing: {}", list.join(", ")),
        "see `doorward relation list --left-over`; declare what is missing, or remove them",
    );
}

#[cfg(test)]
mod tests;
