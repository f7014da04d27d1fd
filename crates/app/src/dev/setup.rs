//! **The first start of `dev`**: a data directory with a master key, a certificate for localhost
//! and a settings file, each made once and left alone afterwards.

use core::net::{Ipv4Addr, SocketAddr};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::random::{Entropy as _, SystemEntropy};

/// The settings file with places for addresses.
const TEMPLATE: &str = include_str!("doorward.yaml");

/// A folder that goes away at the end.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new one below the system's temporary folder.
    pub(super) fn new() -> Result<Self> {
        let name = proof::random::random_base62(12, &SystemEntropy);
        let path = std::env::temp_dir().join(format!("doorward-dev-{name}"));
        private_dir(&path)?;
        Ok(Self(path))
    }
    /// Where.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: what is left lies in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The ports of `dev`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    gateway: u16,
    gateway_tls: u16,
    issuer: u16,
    issuer_tls: u16,
    admin: u16,
    ops: u16,
    sample: u16,
}

impl Ports {
    /// Those that the documents name.
    pub(super) fn usual() -> Self {
        Self {
            gateway: 8080,
            gateway_tls: 8443,
            issuer: 8081,
            issuer_tls: 8444,
            admin: 8082,
            ops: 8083,
            sample: 8084,
        }
    }

    /// Any that are free now.
    pub(super) fn free() -> Result<Self> {
        let mut held = Vec::new();
        for _ in 0..7 {
            held.push(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        }
        let mut ports = held
            .iter()
            .map(|socket| -> std::io::Result<u16> { Ok(socket.local_addr()?.port()) });
        let mut next = || -> std::io::Result<u16> {
            ports
                .next()
                .unwrap_or_else(|| Err(std::io::ErrorKind::AddrInUse.into()))
        };
        Ok(Self {
            gateway: next()?,
            gateway_tls: next()?,
            issuer: next()?,
            issuer_tls: next()?,
            admin: next()?,
            ops: next()?,
            sample: next()?,
        })
    }
}

/// What stands ready.
#[derive(Debug)]
pub(super) struct Installed {
    /// The settings file.
    pub(super) settings: PathBuf,
    /// Where the sample API listens.
    pub(super) sample: SocketAddr,
}

/// `$XDG_DATA_HOME/doorward/dev`, by default below `~/.local/share`.
pub(super) fn default_dir() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let data = set("XDG_DATA_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .context("neither XDG_DATA_HOME nor HOME is set: name a folder with --data-dir")?;
    Ok(data.join("doorward/dev"))
}

/// Makes what is missing.
pub(super) fn prepare(dir: &Path, ports: &Ports) -> Result<Installed> {
    private_dir(dir)?;
    let master = dir.join("master.key");
    if !master.exists() {
        let mut key = [0u8; 32];
        SystemEntropy.fill(&mut key);
        write_private(&master, proof::base64std::encode(&key).as_bytes())?;
    }
    let ledger = dir.join("ledger.key");
    if !ledger.exists() {
        let key = proof::random::random_base62(40, &SystemEntropy);
        write_private(&ledger, key.as_bytes())?;
    }
    let invoices = dir.join("invoices.pem");
    if !invoices.exists() {
        private_key(&invoices)?;
    }
    let tls = dir.join("tls");
    if !tls.join("localhost.key").exists() {
        private_dir(&tls)?;
        certificates(&tls)?;
    }
    if !tls.join("clients-ca.pem").exists() {
        super::clients::make(&tls, crate::wire::now())?;
    }
    let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let settings = dir.join("doorward.yaml");
    if !settings.exists() {
        let text = TEMPLATE
            .replace("@ISSUER@", &format!("http://{}", local(ports.issuer)))
            .replace("@GATEWAY@", &local(ports.gateway).to_string())
            .replace("@GATEWAY_TLS@", &local(ports.gateway_tls).to_string())
            .replace("@ISSUER_ADDRESS@", &local(ports.issuer).to_string())
            .replace("@ISSUER_TLS@", &local(ports.issuer_tls).to_string())
            .replace("@ADMIN@", &local(ports.admin).to_string())
            .replace("@OPS@", &local(ports.ops).to_string())
            .replace("@EXPORT_KEYS@", &export_keys(dir)?)
            .replace("@SAMPLE@", &format!("http://{}", local(ports.sample)));
        write_private(&settings, text.as_bytes())?;
    }
    Ok(Installed {
        settings,
        sample: local(ports.sample),
    })
}

/// A folder that only its owner can enter.
fn private_dir(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{} can't be made", path.display()))
}

/// A file that only its owner can read.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().with_context(|| format!("{} can't be written", path.display()))
}

/// The key of the client that signs its calls; its public half as a key set.
fn export_keys(dir: &Path) -> Result<String> {
    let key = private_key(&dir.join("export.key"))?;
    Ok(serde_json::json!({ "keys": [key.public_jwk().to_json()] }).to_string())
}

/// A new key on P-256, written as PKCS#8 in PEM.
fn private_key(path: &Path) -> Result<SigningKey> {
    let key = SigningKey::generate(Algorithm::ES256).context("a key can't be made")?;
    let der = key.to_pkcs8().context("a key can't be written")?;
    let base64 = proof::base64std::encode(der.expose());
    let lines: Vec<&str> = (0..base64.len())
        .step_by(64)
        .map(|at| &base64[at..base64.len().min(at + 64)])
        .collect();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    write_private(path, pem.as_bytes())?;
    Ok(key)
}

/// A private CA and a certificate for localhost, signed by it.
fn certificates(dir: &Path) -> Result<()> {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
        KeyUsagePurpose,
    };
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "Doorward dev CA");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &ca)?;
    write_private(&dir.join("ca.pem"), ca.pem().as_bytes())?;
    write_private(&dir.join("localhost.pem"), certificate.pem().as_bytes())?;
    write_private(&dir.join("localhost.key"), key.serialize_pem().as_bytes())
}
