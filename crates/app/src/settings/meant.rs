//! **Settings as meant**: everything resolved and checked (addresses, durations, secrets from files,
//! rules between keys); nothing optional is left that a part of the process would need.

mod keys;
mod limits;
mod log;
mod registration;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use proof::issued::Brand;
use proof::jose::alg::Algorithm;
use proof::secret::Secret;
use registry::api::AuthorityFiles;
use registry::api::written::AuthoritySpec;
use registry::units::{Frequency, Period, Size};
use registry::usecase::registration::Rules;
use verdict::credential::mtls::AuthorityId;
use verdict::limit::Rate;
use verdict::penalty::Penalties;

use super::flaw::{Flaw, Place};
use super::tree::{Node, Step};
use super::written::{
    self, ClientCertificateField, ClientCertificates, HashAlgorithm, LogFormat, ReplayMemory,
    Serves, SigningAlgorithm, Written,
};

/// The settings of one process, ready to use. Secrets are in types that don't print.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where state of this node is kept.
    pub(crate) data_dir: PathBuf,
    /// The database.
    pub(crate) database: Database,
    /// Seals new secrets.
    pub(crate) master_key: Secret,
    /// Still open old ones.
    pub(crate) former_master_keys: Vec<Secret>,
    /// First word of secrets made here.
    pub(crate) brand: Brand,
    /// The authorization server, if this process runs one.
    pub(crate) issuer: Option<Issuer>,
    /// Where to listen.
    pub(crate) listeners: Vec<Listener>,
    /// Proxies that are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The field in which they pass certificates on.
    pub(crate) client_certificate_field: Option<ClientCertificateField>,
    /// Calls per address.
    pub(crate) per_address: Option<Rate>,
    /// How often an address may fail, and what comes of failing more often.
    pub(crate) failures_per_address: Option<Penalties>,
    /// Open connections per listener.
    pub(crate) connections: usize,
    /// Bytes of bodies that are held at once.
    pub(crate) held_bodies: u64,
    /// Time for a whole request head.
    pub(crate) header_timeout: Duration,
    /// Silence between calls.
    pub(crate) idle_timeout: Duration,
    /// How secrets are hashed.
    pub(crate) hashing: Hashing,
    /// Where it is remembered what a caller may use once.
    pub(crate) replay_memory: ReplayMemory,
    /// What passes while the database is away.
    pub(crate) outage_grace: Duration,
    /// Outgoing fetches.
    pub(crate) outbound: Outbound,
    /// Host names of the admin API.
    pub(crate) admin_hosts: Vec<String>,
    /// Logs.
    pub(crate) log: Log,
    /// The decision log; `None`: not kept.
    pub(crate) decision_log: Option<DecisionLog>,
    /// How often a checkpoint is signed.
    pub(crate) checkpoint_every: Duration,
    /// Time for calls in flight at the end.
    pub(crate) drain: Duration,
    /// Whatever carries the word `dangerous`, to be said at start.
    pub(crate) dangers: Vec<&'static str>,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file in the data directory.
    Sqlite(PathBuf),
    /// A server; the URL may hold a password.
    Postgres {
        /// The URL.
        url: UrlWithSecret,
        /// Most connections.
        max_connections: u32,
    },
}

/// A URL that does not print its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UrlWithSecret(pub(crate) String);

impl core::fmt::Debug for UrlWithSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("postgres://***")
    }
}

/// The authorization server.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// The issuer identifier.
    pub(crate) url: url::Url,
    /// The identifier exactly as written (no slash is added).
    pub(crate) identifier: String,
    /// Algorithm of new signing keys.
    pub(crate) algorithm: Algorithm,
    /// Base URL of the listener that asks clients for certificates.
    pub(crate) mtls_url: Option<String>,
    /// Who vouches for clients' certificates.
    pub(crate) client_authority: Option<(AuthorityId, AuthorityFiles)>,
    /// Folder of the pages' theme.
    pub(crate) theme_dir: Option<PathBuf>,
    /// Who may register which clients; `None`: nobody.
    pub(crate) registration: Option<Rules>,
}

/// Where to listen.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// Its name.
    pub(crate) name: String,
    /// Address and port.
    pub(crate) address: SocketAddr,
    /// What is served.
    pub(crate) serves: Vec<Serves>,
    /// Certificate and key files, the default first; empty: plain.
    pub(crate) certificates: Vec<(PathBuf, PathBuf)>,
    /// Whether clients are asked for a certificate of their own.
    pub(crate) client_certificates: ClientCertificates,
}

/// How secrets are hashed.
#[derive(Debug)]
pub(crate) struct Hashing {
    /// For API keys and client secrets.
    pub(crate) algorithm: HashAlgorithm,
    /// Key of the keyed hash.
    pub(crate) pepper: Option<Secret>,
    /// Argon2 memory in KiB.
    pub(crate) memory_kib: u32,
    /// Argon2 passes.
    pub(crate) passes: u32,
    /// Threads of the pool; 0: by the machine.
    pub(crate) threads: usize,
    /// Hashes that may wait.
    pub(crate) queue: usize,
}

/// Outgoing fetches.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    /// Private networks that may be fetched from.
    pub(crate) allow_networks: Vec<IpNet>,
    /// Further CAs.
    pub(crate) ca_file: Option<PathBuf>,
    /// `http://` to loopback.
    pub(crate) plain_loopback: bool,
}

/// Logs.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// Format.
    pub(crate) format: LogFormat,
    /// Filter.
    pub(crate) level: String,
    /// One line per call.
    pub(crate) access: bool,
}

/// The decision log.
#[derive(Debug, Clone)]
pub(crate) struct DecisionLog {
    /// How long entries are kept.
    pub(crate) keep: Duration,
    /// Entries that may wait.
    pub(crate) queue: usize,
}

/// Turns the written form into the meant one; `root` tells the places, `base` is the folder that
/// relative paths start from.
///
/// # Errors
/// Every mistake.
pub(crate) fn mean(
    written: &Written,
    root: &Node,
    base: &Path,
) -> Result<(Settings, Vec<PathBuf>), Vec<Flaw>> {
    let mut m = Meaning {
        root,
        base,
        flaws: Vec::new(),
        secret_files: Vec::new(),
    };

    let data_dir = base.join(&written.data_dir);
    let master_key = m.key(&written.master_key, &[Step::Key("master_key")]);
    let former: Vec<Option<Secret>> = written
        .former_master_keys
        .iter()
        .enumerate()
        .map(|(i, text)| m.key(text, &[Step::Key("former_master_keys"), Step::Index(i)]))
        .collect();
    let brand = m.parsed(
        Brand::new(&written.brand),
        &["brand"],
        "use 2 to 16 lower-case letters or digits",
    );
    let database = m.database(&written.database, &data_dir);
    let replay_memory = database
        .as_ref()
        .map(|database| m.replay_memory(written.replay_memory, database));
    let issuer = written.issuer.as_ref().and_then(|issuer| m.issuer(issuer));
    let trusted_proxies = m.networks(&written.trusted_proxies, "trusted_proxies");
    let listeners = m.listeners(written, !trusted_proxies.is_empty());
    let per_address = m.rate(&written.limits.per_address, &["limits", "per_address"]);
    let failures = m.penalties(&written.limits);
    let held_bodies = m.held_bodies(&written.limits.held_bodies);
    let header_timeout = m.period(
        &written.limits.header_timeout,
        &["limits", "header_timeout"],
    );
    let idle_timeout = m.period(&written.limits.idle_timeout, &["limits", "idle_timeout"]);
    let hashing = m.hashing(&written.hashing);
    let outage_grace = m.period(&written.outage.grace, &["outage", "grace"]);
    let allow_networks = m.networks_at(
        &written.outbound.allow_networks,
        &["outbound", "allow_networks"],
    );
    let keep = m.period(&written.decision_log.keep, &["decision_log", "keep"]);
    let checkpoint_every = m.period(
        &written.audit.checkpoint_every,
        &["audit", "checkpoint_every"],
    );
    let drain = m.period(&written.shutdown.drain, &["shutdown", "drain"]);
    m.log_level(&written.log.level);
    let mut dangers = Vec::new();
    if written.outbound.dangerous_allow_plain_loopback {
        dangers.push("outbound.dangerous_allow_plain_loopback: key sets may be fetched over plain http from this machine");
    }

    let registration = issuer.as_ref().and_then(|own| own.registration.as_ref());
    if registration.is_some_and(|rules| rules.open) {
        dangers
            .push("issuer.registration.initial_access_token is open: anybody may register clients");
    }

    if !m.flaws.is_empty() {
        return Err(m.flaws);
    }
    let settings = (|| {
        Some(Settings {
            data_dir: data_dir.clone(),
            database: database?,
            replay_memory: replay_memory?,
            master_key: master_key?,
            former_master_keys: former.into_iter().collect::<Option<_>>()?,
            brand: brand?,
            issuer,
            listeners,
            trusted_proxies,
            client_certificate_field: written.client_certificate_field,
            per_address,
            failures_per_address: failures,
            connections: written.limits.connections,
            held_bodies: held_bodies?,
            header_timeout,
            idle_timeout,
            hashing: hashing?,
            outage_grace,
            outbound: Outbound {
                allow_networks,
                ca_file: written
                    .outbound
                    .ca_file
                    .as_ref()
                    .map(|file| base.join(file)),
                plain_loopback: written.outbound.dangerous_allow_plain_loopback,
            },
            admin_hosts: written
                .admin
                .hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            log: Log {
                format: written.log.format,
                level: written.log.level.clone(),
                access: written.log.access,
            },
            decision_log: written.decision_log.enabled.then_some(DecisionLog {
                keep,
                queue: written.decision_log.queue,
            }),
            checkpoint_every,
            drain,
            dangers,
        })
    })();
    match settings {
        Some(settings) => Ok((settings, m.secret_files)),
        None => Err(vec![Flaw::whole(
            "the settings could not be understood as a whole",
        )]),
    }
}

struct Meaning<'a> {
    root: &'a Node,
    base: &'a Path,
    flaws: Vec<Flaw>,
    secret_files: Vec<PathBuf>,
}

impl Meaning<'_> {
    fn place(&self, path: &[&str]) -> Place {
        self.root
            .nearest(path.iter().map(|key| Step::Key(key)))
            .place
    }

    fn flaw(&mut self, path: &[&str], message: impl Into<String>, hint: &str) {
        let flaw = Flaw::at(self.place(path), message).hint(hint);
        self.flaws.push(flaw);
    }

    fn parsed<T, E: core::fmt::Display>(
        &mut self,
        result: Result<T, E>,
        path: &[&str],
        hint: &str,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.flaw(path, error.to_string(), hint);
                None
            }
        }
    }

    fn period(&mut self, text: &str, path: &[&str]) -> Duration {
        let parsed = text.parse::<Period>();
        self.parsed(
            parsed,
            path,
            "write a number with a unit: `500ms`, `30s`, `10m`, `8h`, `30d`",
        )
        .map_or(Duration::ZERO, |period| period.0)
    }

    fn rate(&mut self, text: &str, path: &[&str]) -> Option<Rate> {
        if text == "off" {
            return None;
        }
        let parsed = text.parse::<Frequency>();
        self.parsed(
            parsed,
            path,
            "write calls per second, minute or hour: `100/s`, `6000/m`, `1000/h`; or `off`",
        )
        .map(Rate::from)
    }

    fn networks(&mut self, list: &[String], key: &str) -> Vec<IpNet> {
        self.networks_at(list, &[key])
    }

    fn networks_at(&mut self, list: &[String], path: &[&str]) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for (i, text) in list.iter().enumerate() {
            let parsed = text
                .parse::<IpNet>()
                .ok()
                .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            match parsed {
                Some(network) => networks.push(network),
                None => {
                    let steps = path
                        .iter()
                        .map(|key| Step::Key(key))
                        .chain([Step::Index(i)]);
                    let place = self.root.nearest(steps).place;
                    let flaw = Flaw::at(place, format!("`{text}` is not an address or a network"));
                    self.flaws
                        .push(flaw.hint("write `192.0.2.7` or `10.0.0.0/8`"));
                }
            }
        }
        networks
    }

    fn database(&mut self, written: &written::Database, data_dir: &Path) -> Option<Database> {
        if written.url == "sqlite" {
            return Some(Database::Sqlite(data_dir.join("doorward.db")));
        }
        if written.url.starts_with("postgres://") || written.url.starts_with("postgresql://") {
            return Some(Database::Postgres {
                url: UrlWithSecret(written.url.clone()),
                max_connections: written.max_connections,
            });
        }
        self.flaw(
            &["database", "url"],
            "this database is not known",
            "write `sqlite` or `postgres://USER:${PASSWORD}@HOST/NAME`",
        );
        None
    }

    fn replay_memory(
        &mut self,
        written: Option<ReplayMemory>,
        database: &Database,
    ) -> ReplayMemory {
        match (written, database) {
            (None, Database::Sqlite(_)) => ReplayMemory::Memory,
            (None, Database::Postgres { .. }) => ReplayMemory::Durable,
            (Some(ReplayMemory::Memory), Database::Postgres { .. }) => {
                self.flaw(
                    &["replay_memory"],
                    "nodes on one PostgreSQL would not know what the others saw",
                    "write `durable`, or leave it out",
                );
                ReplayMemory::Durable
            }
            (Some(written), _) => written,
        }
    }

    fn issuer(&mut self, written: &written::Issuer) -> Option<Issuer> {
        let path = ["issuer", "url"];
        let hint = "write an https URL without query, fragment or trailing slash, e.g. https://login.example.com";
        let url = self.parsed(url::Url::parse(&written.url), &path, hint)?;
        let loopback = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
        if !secure
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || written.url.ends_with('/')
        {
            self.flaw(
                &path,
                "this can't be an issuer identifier (RFC 8414 §2)",
                hint,
            );
            return None;
        }
        let algorithm = match written.signing_algorithm {
            SigningAlgorithm::ES256 => Algorithm::ES256,
            SigningAlgorithm::EdDSA => Algorithm::EdDSA,
            SigningAlgorithm::PS256 => Algorithm::PS256,
            SigningAlgorithm::RS256 => Algorithm::RS256,
        };
        if let Some(base) = &written.mtls_url {
            let sound = url::Url::parse(base).is_ok_and(|url| {
                url.scheme() == "https"
                    && url.path() == "/"
                    && url.as_str().trim_end_matches('/') == base
            });
            if !sound {
                self.flaw(
                    &["issuer", "mtls_url"],
                    "this is no base URL for certificates",
                    "write scheme, host and port, e.g. https://mtls.example.com",
                );
                return None;
            }
        }
        Some(Issuer {
            url,
            identifier: written.url.clone(),
            algorithm,
            mtls_url: written.mtls_url.clone(),
            client_authority: written
                .client_certificates
                .as_ref()
                .and_then(|written| self.client_authority(written)),
            theme_dir: written.theme_dir.as_ref().map(|dir| self.base.join(dir)),
            registration: written
                .registration
                .as_ref()
                .map(|written| self.registration(written)),
        })
    }

    /// Who vouches for clients at the issuer's endpoints.
    fn client_authority(
        &mut self,
        written: &AuthoritySpec,
    ) -> Option<(AuthorityId, AuthorityFiles)> {
        let flaws = match registry::meaning::authority_of_issuer(written) {
            Ok(read) => return Some(read),
            Err(flaws) => flaws,
        };
        let section = [Step::Key("issuer"), Step::Key("client_certificates")];
        let section = self.root.nearest(section);
        for flaw in flaws {
            let at = super::place_of(section, &flaw.path, true);
            let meant = Flaw::at(at, flaw.message);
            self.flaws.push(match flaw.hint {
                Some(hint) => meant.hint(hint),
                None => meant,
            });
        }
        None
    }

    fn listeners(&mut self, written: &Written, proxies: bool) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for (i, listener) in written.listeners.iter().enumerate() {
            let at = |key: &'static str| [Step::Key("listeners"), Step::Index(i), Step::Key(key)];
            let place = |m: &Self, key: &'static str| m.root.nearest(at(key)).place;
            let Ok(address) = listener.address.parse::<SocketAddr>() else {
                let flaw = Flaw::at(
                    place(self, "address"),
                    format!("`{}` is not an address with a port", listener.address),
                );
                self.flaws
                    .push(flaw.hint("write `127.0.0.1:8080` or `[::]:8443`"));
                continue;
            };
            if listeners.iter().any(|other| other.name == listener.name) {
                let flaw = Flaw::at(
                    place(self, "name"),
                    format!("two listeners are named `{}`", listener.name),
                );
                self.flaws
                    .push(flaw.hint("names are used in logs and metrics; make them differ"));
            }
            if address.port() != 0 && listeners.iter().any(|other| other.address == address) {
                let flaw = Flaw::at(
                    place(self, "address"),
                    format!("two listeners share {address}"),
                );
                self.flaws
                    .push(flaw.hint("a listener can serve `gateway` and `issuer` together"));
            }
            let alone = [Serves::Admin, Serves::Ops]
                .iter()
                .any(|kind| listener.serves.contains(kind));
            if alone && listener.serves.len() > 1 {
                let flaw = Flaw::at(
                    place(self, "serves"),
                    "`admin` and `ops` share a listener with nothing",
                );
                self.flaws.push(flaw.hint("give it a listener of its own"));
            }
            if listener.serves.contains(&Serves::Issuer) && written.issuer.is_none() {
                let flaw = Flaw::at(
                    place(self, "serves"),
                    "this listener serves the issuer, but `issuer` is not set",
                );
                self.flaws.push(flaw.hint("add `issuer: {url: …}`"));
            }
            if listener.serves.contains(&Serves::Admin) && written.issuer.is_none() {
                let flaw = Flaw::at(
                    place(self, "serves"),
                    "the admin API manages the issuer's keys and needs `issuer`, which is not set",
                );
                self.flaws.push(flaw.hint("add `issuer: {url: …}`"));
            }
            let plain_allowed =
                address.ip().is_loopback() || (listener.behind_trusted_proxy && proxies);
            // Health and metrics hold no secrets and take no credentials: plain HTTP is their normal form.
            if listener.tls.is_none() && !plain_allowed && !listener.serves.contains(&Serves::Ops) {
                let flaw = Flaw::at(
                    place(self, "address"),
                    format!("{address} would be plain HTTP beyond this machine"),
                );
                self.flaws.push(flaw.hint(
                    "add `tls`, or `behind_trusted_proxy: true` together with `trusted_proxies`",
                ));
            }
            let certificates = listener.tls.as_ref().map_or_else(Vec::new, |tls| {
                tls.certificates
                    .iter()
                    .map(|pair| {
                        (
                            self.base.join(&pair.certificate_file),
                            self.base.join(&pair.key_file),
                        )
                    })
                    .collect()
            });
            for (j, (certificate, key)) in certificates.iter().enumerate() {
                for file in [certificate, key] {
                    if let Err(error) = std::fs::File::open(file) {
                        let steps = [
                            Step::Key("listeners"),
                            Step::Index(i),
                            Step::Key("tls"),
                            Step::Key("certificates"),
                            Step::Index(j),
                        ];
                        let place = self.root.nearest(steps).place;
                        self.flaws.push(Flaw::at(
                            place,
                            format!("{} can't be read: {error}", file.display()),
                        ));
                    }
                }
            }
            listeners.push(Listener {
                name: listener.name.clone(),
                address,
                serves: listener.serves.clone(),
                certificates,
                client_certificates: listener
                    .tls
                    .as_ref()
                    .map(|tls| tls.client_certificates)
                    .unwrap_or_default(),
            });
        }
        listeners
    }

    fn hashing(&mut self, written: &written::Hashing) -> Option<Hashing> {
        let pepper = match &written.pepper {
            Some(text) => Some(self.key(text, &[Step::Key("hashing"), Step::Key("pepper")])?),
            None => None,
        };
        if written.algorithm == HashAlgorithm::KeyedHash && pepper.is_none() {
            self.flaw(
                &["hashing", "algorithm"],
                "`keyed_hash` needs `pepper`",
                "add `pepper: file:PATH` with 32 bytes in base64",
            );
        }
        let memory = written.memory.parse::<Size>();
        let memory = self
            .parsed(memory, &["hashing", "memory"], "write `19MiB`")?
            .0;
        if !(8 << 20..=256 << 20).contains(&memory) {
            self.flaw(
                &["hashing", "memory"],
                "Argon2 memory must lie between 8MiB and 256MiB",
                "write `19MiB`",
            );
        }
        Some(Hashing {
            algorithm: written.algorithm,
            pepper,
            memory_kib: u32::try_from(memory >> 10).unwrap_or(u32::MAX),
            passes: written.passes,
            threads: written.threads,
            queue: written.queue,
        })
    }
}
