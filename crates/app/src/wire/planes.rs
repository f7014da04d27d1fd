//! **Planes**: which listeners serve which APIs, and how a new set of APIs comes into service.
//!
//! Listeners that serve the same things share a plane and its snapshot. Admin stands alone
//! (threat H7); health and metrics are no plane at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gateway::{
    Bound, CertStore, CertificateField, CertificateFiles, ClientCertificates, DecisionSink,
    Gateway, HeldBodies, Limits, Listener, LocalService, Locals, Metrics, NoTokens, Options,
    Snapshot, Tls, TrustedProxies, UpstreamIdentity,
};
use issuer::declared::Declared;
use issuer::keys::{KeyError, KeyRing};
use issuer::ports::KeyPurpose;
use proof::jose::jwe::DecryptionKeys;
use proof::jose::jwk::JwkSet;
use proof::paseto;
use proof::secret::Secret;
use registry::api::ApiMeaning;
use registry::api::stored::SecretSource;
use registry::meaning::Meaning;
use registry::trusted_issuer::{ClientProof, IntrospectionMeaning, IssuerKeys, IssuerMeaning};

use outbound::client_auth::ClientAuth;
use outbound::clients::ClientKeys;
use outbound::fetch::Fetcher;
use outbound::introspection::IntrospectionSource;
use outbound::keysets::{KeySource, OwnKeys};
use outbound::paseto::{NamedKey, OwnPasetoKeys, PasetoSource};

use tokio::sync::watch;
use verdict::credential::client_jwt::CallingClient;
use verdict::credential::jwt::IssuerId;
use verdict::route::ApiName;
use web::pages::Pages;
use web::registration::Registrar;

use super::adapters::{FetchedSectors, NodeIdentity};
use super::clients::calling_clients;
use super::files::{authorities, based, decryption_keys, files_named, key_file, paseto_keys};
use super::{Facts, Shared};
use crate::settings::{self, Serves, Settings};

/// How long the answer to a registration waits for the client to be in force on this node.
const IN_FORCE_WITHIN: core::time::Duration = core::time::Duration::from_secs(1);

/// A set of APIs, ready to be taken into service.
struct Prepared {
    declared: Declared,
    sources: Vec<(IssuerId, KeySource)>,
    paseto: Vec<(IssuerId, PasetoSource)>,
    decryption: Vec<(ApiName, Arc<DecryptionKeys>)>,
    authorities: outbound::authorities::Prepared,
    /// Whose authority can't be read, and why.
    unusable: Vec<String>,
    clients: Vec<(CallingClient, ClientKeys)>,
    asked: Vec<IntrospectionSource>,
    snapshots: Vec<(Gateway<Facts>, Snapshot)>,
}

/// The planes of a node, by what they serve.
pub(crate) struct Planes {
    by_duty: BTreeMap<Duty, Gateway<Facts>>,
    certificates: Vec<(String, Arc<CertStore>)>,
    /// Files that what is declared names, to be watched.
    named: watch::Sender<Vec<PathBuf>>,
}

/// What a plane serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    Gateway,
    Issuer,
    Both,
    Admin,
}

impl Duty {
    fn of(serves: &[Serves]) -> Option<Self> {
        let has = |kind| serves.contains(&kind);
        match (
            has(Serves::Gateway),
            has(Serves::Issuer),
            has(Serves::Admin),
        ) {
            (true, true, _) => Some(Self::Both),
            (true, false, _) => Some(Self::Gateway),
            (false, true, _) => Some(Self::Issuer),
            (false, false, true) => Some(Self::Admin),
            (false, false, false) => None,
        }
    }
}

impl Planes {
    /// Builds the planes that the listeners need, with nothing in service yet.
    ///
    /// # Errors
    /// If a certificate can't be read.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        sink: &Arc<dyn DecisionSink>,
        metrics: &Metrics,
    ) -> Result<Self> {
        let loaded = shared.loaded.load();
        let settings = &loaded.settings;
        let identity: Arc<dyn UpstreamIdentity> = match &shared.issuer {
            Some(issuer) => Arc::new(NodeIdentity {
                keys: shared.keys.clone(),
                endpoints: issuer.endpoints().clone(),
                entropy: shared.entropy.clone(),
            }),
            None => Arc::new(NoTokens),
        };
        let mut locals = Locals::new();
        if let Some(issuer) = &shared.issuer {
            let theme = settings
                .issuer
                .as_ref()
                .and_then(|own| own.theme_dir.as_deref());
            let pages = Pages::load(issuer.endpoints().issuer(), theme)
                .context("the pages' theme can't be used")?;
            let mut router = web::protocol::router(issuer.clone(), Arc::new(super::now)).merge(
                web::browser::router(
                    issuer.clone(),
                    Arc::new(pages),
                    Arc::new(super::now),
                    shared.entropy.clone(),
                ),
            );
            let rules = settings
                .issuer
                .as_ref()
                .and_then(|own| own.registration.clone());
            if let Some(mut rules) = rules {
                rules.policy.loopback_dev = shared.context.loopback_dev;
                rules.policy.client_ca = issuer.has_client_ca();
                router = router.merge(web::registration::router(Registrar {
                    store: shared.store.clone(),
                    hasher: shared.hasher.clone(),
                    sectors: Arc::new(FetchedSectors(shared.fetcher.clone())),
                    issuer: issuer.clone(),
                    context: shared.context.clone(),
                    rules,
                    entropy: shared.entropy.clone(),
                    clock: Arc::new(super::now),
                    patience: IN_FORCE_WITHIN,
                }));
            }
            locals.insert(web::protocol::declaration::NAME, LocalService::new(router));
            let router = super::admin::router(shared, issuer.clone());
            locals.insert(web::admin::NAME, LocalService::new(router));
        }
        let mut by_duty = BTreeMap::new();
        let room = || Arc::new(HeldBodies::new(settings.held_bodies));
        let held_bodies = room();
        let mut certificates = Vec::new();
        for listener in &settings.listeners {
            if let Some(duty) = Duty::of(&listener.serves) {
                by_duty.entry(duty).or_insert_with(|| {
                    let options = Options {
                        identity: identity.clone(),
                        decisions: sink.clone(),
                        proxies: proxies(settings),
                        fetcher: Some(shared.fetcher.clone()),
                        locals: locals.clone(),
                        per_address: settings.per_address,
                        failures_per_address: settings.failures_per_address,
                        // Whoever fills the room must not keep administrators out.
                        held_bodies: match duty {
                            Duty::Admin => room(),
                            _ => held_bodies.clone(),
                        },
                        drain: settings.drain,
                        changes: shared.seen.subscribe(),
                        ..Options::default()
                    };
                    Gateway::new(shared.facts.clone(), options, metrics.clone())
                });
            }
            if !listener.certificates.is_empty() {
                let store = CertStore::from_files(&files(listener))
                    .with_context(|| format!("listener `{}`", listener.name))?;
                certificates.push((listener.name.clone(), Arc::new(store)));
            }
        }
        // The admin API depends on nothing that is declared, so whatever is declared wrongly can
        // be mended through it.
        if let Some(admin) = by_duty.get(&Duty::Admin) {
            let apis = apis_of(Duty::Admin, shared, settings, &Meaning::default());
            admin.swap(snapshot(admin, &apis)?);
        }
        Ok(Self {
            by_duty,
            certificates,
            named: watch::Sender::default(),
        })
    }

    /// The plane that serves the declared APIs, if this node has one.
    pub(crate) fn door(&self) -> Option<Gateway<Facts>> {
        let of = |duty| self.by_duty.get(&duty);
        of(Duty::Gateway).or_else(|| of(Duty::Both)).cloned()
    }

    /// Whether a listener speaks TLS.
    pub(crate) fn speaks_tls(&self, listener: &str) -> bool {
        self.certificates.iter().any(|(name, _)| name == listener)
    }

    /// Takes all ports.
    ///
    /// # Errors
    /// The first port that can't be had.
    #[allow(clippy::type_complexity, reason = "two lists, used once")]
    pub(crate) fn bind(
        &self,
        shared: &Shared,
    ) -> Result<(
        Vec<(Gateway<Facts>, Vec<Bound>)>,
        Vec<(String, Vec<Serves>, core::net::SocketAddr)>,
    )> {
        let loaded = shared.loaded.load();
        let settings = &loaded.settings;
        let mut bound: BTreeMap<Duty, Vec<Bound>> = BTreeMap::new();
        let mut addresses = Vec::new();
        for listener in &settings.listeners {
            let Some(duty) = Duty::of(&listener.serves) else {
                continue;
            };
            let tls = self
                .certificates
                .iter()
                .find(|(name, _)| *name == listener.name);
            let listening = Listener {
                name: listener.name.clone(),
                address: listener.address,
                tls: tls.map(|(_, store)| Tls {
                    certificates: store.clone(),
                    client_certificates: match listener.client_certificates {
                        settings::ClientCertificates::Off => ClientCertificates::Off,
                        settings::ClientCertificates::Optional => ClientCertificates::Optional,
                        settings::ClientCertificates::Required => ClientCertificates::Required,
                    },
                }),
                limits: Limits {
                    connections: settings.connections,
                    head: settings.header_timeout,
                    idle: settings.idle_timeout,
                    ..Limits::default()
                },
                reuse_port: false,
            }
            .bind()
            .with_context(|| super::port_taken(&listener.name, listener.address))?;
            let address = listening.local_addr()?;
            tracing::info!(listener = listener.name, %address, serves = ?listener.serves, tls = tls.is_some(), "listening");
            addresses.push((listener.name.clone(), listener.serves.clone(), address));
            bound.entry(duty).or_default().push(listening);
        }
        let bound = bound
            .into_iter()
            .filter_map(|(duty, listeners)| Some((self.by_duty.get(&duty)?.clone(), listeners)))
            .collect();
        Ok((bound, addresses))
    }

    /// Takes what is declared now into service: the issuer's view, issuers' keys, every plane.
    /// Everything is prepared before anything is swapped.
    ///
    /// # Errors
    /// If some part can't be prepared; what was in service stays so.
    pub(crate) fn take_over(&self, shared: &Shared, meaning: &Meaning) -> Result<()> {
        let prepared = self.prepare(shared, meaning)?;
        shared.relations.store(meaning.relations.clone());
        shared.facts.key_sets().configure(prepared.sources);
        if shared.facts.paseto_keys().configure(prepared.paseto) {
            // What a key opened that is gone is opened no more.
            shared.facts.forget_tokens();
        }
        // Before the issuer encrypts to a new key, the gateway opens with it.
        shared.facts.decryption().configure(prepared.decryption);
        shared.facts.authorities().configure(prepared.authorities);
        for cause in &prepared.unusable {
            tracing::error!(
                cause,
                "who vouches for client certificates can't be read; all else is in force"
            );
        }
        shared.facts.calling_clients().configure(prepared.clients);
        shared.facts.introspectors().configure(prepared.asked);
        if let Some(issuer) = &shared.issuer {
            issuer.declare(prepared.declared);
            if shared.keys.lacks() {
                make_keys(shared);
            }
        }
        for (gateway, snapshot) in prepared.snapshots {
            gateway.swap(snapshot);
        }
        let policies = meaning.policies.iter().map(|one| one.policy.clone());
        shared.policies.store(Arc::new(policies.collect()));
        shared.bundles.adopt(&meaning.policies);
        shared.readiness.waits_for(shared.bundles.waiting());
        let named = files_named(shared, meaning);
        self.named.send_if_modified(|before| {
            let differs = *before != named;
            *before = named;
            differs
        });
        Ok(())
    }

    /// The files that what is declared names, now and whenever others are.
    pub(crate) fn files_named(&self) -> watch::Receiver<Vec<PathBuf>> {
        self.named.subscribe()
    }

    /// Whether what is declared could be taken into service; nothing is changed. Also whose authority
    /// could not be read, which keeps nothing else from it.
    ///
    /// # Errors
    /// Why it can't be served.
    pub(crate) fn rehearse(&self, shared: &Shared, meaning: &Meaning) -> Result<Vec<String>> {
        Ok(self.prepare(shared, meaning)?.unusable)
    }

    fn prepare(&self, shared: &Shared, meaning: &Meaning) -> Result<Prepared> {
        let loaded = shared.loaded.load();
        let settings = &loaded.settings;
        let base = super::base_of(shared.reload.path());
        // Read once for both: what the issuer encrypts is what the gateway beside it opens.
        let decryption = decryption_keys(meaning, &base)?;
        let apis = meaning.apis.iter().map(|api| &**api);
        let declared = Declared::new(apis, &meaning.clients, &decryption)?;
        let mut prepared = Vec::new();
        for (duty, gateway) in self
            .by_duty
            .iter()
            .filter(|(duty, _)| **duty != Duty::Admin)
        {
            let apis = apis_of(*duty, shared, settings, meaning);
            let apis: Vec<_> = apis.iter().map(|api| based(api, &base)).collect();
            prepared.push((gateway.clone(), snapshot(gateway, &apis)?));
        }
        let (mut sources, mut paseto) = (Vec::new(), Vec::new());
        for issuer in &meaning.issuers {
            let keys = match &issuer.keys {
                IssuerKeys::Own => PasetoSource::Own(shared.own_paseto.clone()),
                _ => PasetoSource::Static(paseto_keys(issuer, &base)?),
            };
            paseto.push((issuer.profile.issuer.clone(), keys));
            let source = match &issuer.keys {
                IssuerKeys::Own => KeySource::Own(shared.own_keys.clone()),
                IssuerKeys::Url(url) => KeySource::Url(url.clone()),
                IssuerKeys::Static(set) => KeySource::Static(set.clone()),
                IssuerKeys::File(file) => KeySource::Static(key_file(&base.join(file))?),
            };
            sources.push((issuer.profile.issuer.clone(), source));
        }
        for policy in &meaning.policies {
            shared.bundles.fill(policy);
            match crate::policies::compile(policy, &base) {
                Ok(None) => {}
                Ok(Some(version)) => policy.policy.replace(Arc::new(version)),
                Err(flaws) => bail!("policy `{}`: {}", policy.name, flaws.join("; ")),
            }
        }
        let (authorities, unusable) = authorities(shared, meaning);
        let asked = meaning
            .issuers
            .iter()
            .filter_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)))
            .map(|(issuer, asked)| {
                introspection(&shared.fetcher, issuer, asked, &base)
                    .with_context(|| format!("trusted issuer `{}`", issuer.name))
            })
            .collect::<Result<_>>()?;

        Ok(Prepared {
            declared,
            sources,
            paseto,
            decryption,
            authorities,
            unusable,
            clients: calling_clients(&meaning.clients),
            asked,
            snapshots: prepared,
        })
    }

    /// Reads certificates again.
    ///
    /// # Errors
    /// If one can't be read; the old ones stay.
    pub(crate) fn reload_certificates(&self, settings: &Settings) -> Result<()> {
        for listener in &settings.listeners {
            if let Some((_, store)) = self
                .certificates
                .iter()
                .find(|(name, _)| *name == listener.name)
            {
                store
                    .load(&files(listener))
                    .with_context(|| format!("listener `{}`", listener.name))?;
            }
        }
        Ok(())
    }
}

/// Reads what shows an issuer who asks it about tokens.
pub(super) fn introspection(
    fetcher: &Fetcher,
    issuer: &IssuerMeaning,
    asked: &IntrospectionMeaning,
    base: &Path,
) -> Result<IntrospectionSource> {
    let read = |file: &PathBuf| {
        let path = base.join(file);
        let bytes =
            std::fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
        Ok::<_, anyhow::Error>(Secret::new(bytes))
    };
    let id = asked.client_id.as_str();
    let client = match &asked.proof {
        ClientProof::Secret(SecretSource::File(file)) => {
            let text = read(file)?;
            let text = text.expose().trim_ascii_end();
            ClientAuth::basic(id, Secret::new(text))
        }
        ClientProof::Secret(SecretSource::Environment(name)) => {
            let text = std::env::var(name)
                .with_context(|| format!("the variable {name} holds no secret"))?;
            ClientAuth::basic(id, Secret::from_text(text))
        }
        ClientProof::Key { key, algorithm } => {
            let audience = issuer.profile.issuer.as_str();
            ClientAuth::key(id, &read(key)?, *algorithm, audience)
        }
        ClientProof::Certificate { certificate, key } => {
            let chain = read(certificate)?;
            let own = fetcher
                .client_certificate(chain.expose(), &read(key)?)
                .with_context(|| format!("{} with its key", certificate.display()))?;
            ClientAuth::certificate(id, own)
        }
    };
    Ok(IntrospectionSource {
        issuer: issuer.profile.issuer.clone(),
        url: asked.url.clone(),
        client: client.context("introspection")?,
    })
}

fn proxies(settings: &Settings) -> TrustedProxies {
    use settings::ClientCertificateField as Written;
    let field = settings.client_certificate_field.map(|field| match field {
        Written::ClientCert => CertificateField::ClientCert,
        Written::XSslClientCert => CertificateField::XSslClientCert,
        Written::XAmznMtlsClientcert => CertificateField::XAmznMtlsClientcert,
        Written::XForwardedClientCert => CertificateField::XForwardedClientCert,
        Written::XForwardedTlsClientCert => CertificateField::XForwardedTlsClientCert,
    });
    TrustedProxies::new(settings.trusted_proxies.iter().copied()).with_certificates(field)
}

/// Makes the signing keys that something declared needs and nobody made yet. An RSA key takes a
/// good part of a second, so it is a thread's own work and nothing waits for it; should it fail, the
/// schedule tries again within a minute.
fn make_keys(shared: &Shared) {
    let (keys, turn) = (shared.keys.clone(), shared.key_turn.clone());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let made = runtime.block_on(async {
            let _turn = turn.lock().await;
            // Whoever had the turn before may have made it.
            if keys.lacks() {
                keys.tick(super::now()).await?;
            }
            Ok::<_, KeyError>(())
        });
        if let Err(error) = made {
            tracing::error!(%error, "keys that are needed could not be made");
        }
    });
}

/// Publishes our own access-token keys to the gateway's judging.
///
/// # Errors
/// If the ring's own key set can't be read back, which is a defect.
pub(crate) fn publish_own_keys(
    ring: &KeyRing,
    own_keys: &OwnKeys,
    own_paseto: &OwnPasetoKeys,
) -> Result<()> {
    let set = JwkSet::parse(ring.jwks(KeyPurpose::Access).as_bytes())
        .map_err(|defect| anyhow::anyhow!("our own key set does not read: {defect:?}"))?;
    own_keys.publish(&set);
    let keys = ring
        .verifiers(KeyPurpose::AccessPaseto)
        .map(|key| NamedKey {
            id: key.kid().unwrap_or_else(|| key.thumbprint()).to_owned(),
            key: Arc::new(paseto::Key::Public(key.clone())),
        });
    let local = ring
        .openers(KeyPurpose::AccessPasetoLocal)
        .map(|(id, key)| NamedKey {
            id: id.to_owned(),
            key: key.clone(),
        });
    own_paseto.publish(keys.chain(local).collect());
    Ok(())
}

fn apis_of(
    duty: Duty,
    shared: &Shared,
    settings: &Settings,
    meaning: &Meaning,
) -> Vec<Arc<ApiMeaning>> {
    let issuer = |alone: bool| {
        let issuer = shared.issuer.as_ref()?;
        // On a listener of its own the issuer answers to any name, since it is found by address.
        let hosts = match &settings.issuer {
            Some(own) if !alone => own.url.host_str().map(str::to_owned).into_iter().collect(),
            _ => Vec::new(),
        };
        let brand = settings.brand.clone();
        let mut api = web::protocol::declaration::built_in_api(
            issuer.endpoints(),
            hosts,
            brand,
            settings.per_address,
        );
        api.cors = web::protocol::declaration::for_scripts(&meaning.clients);
        Some(Arc::new(api))
    };
    match duty {
        Duty::Gateway => meaning.apis.clone(),
        Duty::Issuer => issuer(true).into_iter().collect(),
        Duty::Both => meaning.apis.iter().cloned().chain(issuer(false)).collect(),
        Duty::Admin => {
            vec![Arc::new(web::admin::declaration(
                settings.brand.clone(),
                None,
            ))]
        }
    }
}

/// Prepares APIs for a plane.
pub(super) fn snapshot(gateway: &Gateway<Facts>, apis: &[Arc<ApiMeaning>]) -> Result<Snapshot> {
    gateway.prepare(apis).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(list.join("; "))
    })
}

pub(super) fn files(listener: &settings::Listener) -> Vec<CertificateFiles> {
    listener
        .certificates
        .iter()
        .map(|(chain, key)| CertificateFiles {
            chain: chain.clone(),
            key: key.clone(),
        })
        .collect()
}
