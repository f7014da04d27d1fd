//! **The composition root**: the only place that knows both sides of every port.
//!
//! [`Node::start`] turns settings into running parts in an order in which nothing is served before
//! everything it needs is there: store, keys, declared resources, facts, planes, and only then the
//! ports. [`Node::run`] serves until it is told to stop, then drains.

mod adapters;
mod admin;
mod bundles;
pub(crate) mod check;
mod clients;
mod duties;
mod explain;
mod files;
mod follow;
mod people;
mod planes;
mod relations;
mod reload;
mod replay;
mod webhooks;

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context as _, Result};
use arc_swap::{ArcSwap, ArcSwapOption};
use cluster::MemoryCounters;
use gateway::{Bound, Gateway, Metrics, Ops};
use issuer::Issuer;
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::{Endpoint, Endpoints};
use outbound::clients::CallingClients;
use outbound::clock::{Clock as _, SystemClock};
use outbound::facts::{FactsOptions, FactsParts, StandardFacts};
use outbound::fetch::{FetchOptions, Fetcher};
use outbound::hashing::HashingPool;
use outbound::introspection::{IntrospectionOptions, Introspectors};
use outbound::keysets::{KeySetOptions, KeySets, OwnKeys};
use outbound::paseto::OwnPasetoKeys;
use outbound::published::PublishedKeys;
use outbound::revocations::Revocations;
use outbound::statuses::{StatusOptions, Statuses};
use outbound::trust::Trust;
use proof::dpop::nonce::NonceKey;
use proof::password::Argon2Params;
use proof::random::{Entropy, SystemEntropy, uuid_v7};
use proof::seal::{KekRing, KeyEncryptionKey};
use registry::api::AuthorityFiles;
use registry::usecase::Ctx;
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::credential::mtls::AuthorityId;
use verdict::policy::rego::Policy;
use verdict::policy::relations::Model;

use crate::settings::{self, Database, Loaded, Mode, Serves, Settings};
pub(crate) use duties::NodeMetrics;
pub(crate) use webhooks::BY_ENDPOINT;

use people::{NodePeople, NodeSecrets, StoredPeople};

use adapters::{NodeHasher, NodeReadiness, NodeReplays, NodeRevocations};

/// The facts as this binary builds them.
pub(crate) type Facts = StandardFacts<Store, MemoryCounters, NodeReplays>;
/// The issuer as this binary builds it.
pub(crate) type NodeIssuer = Issuer<Store, NodeSecrets>;

/// What every part of a node may use.
pub(crate) struct Shared {
    /// Settings in force; swapped whole at each reload.
    pub(crate) loaded: ArcSwap<Loaded>,
    /// Settings that the process was started with: what they decide once is in force to its end.
    pub(crate) started_with: Arc<Loaded>,
    /// What is insecure among the resources in force, as it was said in the log.
    pub(crate) dangers: ArcSwap<Vec<String>>,
    /// What documents are read against.
    pub(crate) context: Arc<registry::meaning::Context>,
    /// Where the settings stand, and how a reload went.
    pub(crate) reload: reload::Status,
    pub(crate) mode: Mode,
    pub(crate) store: Arc<Store>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) people: Arc<NodePeople>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) keys: Arc<KeyManager<Store>>,
    /// Who looks after the signing keys: two at once would both make the one that is missing.
    pub(crate) key_turn: Arc<tokio::sync::Mutex<()>>,
    pub(crate) own_keys: OwnKeys,
    pub(crate) own_paseto: OwnPasetoKeys,
    pub(crate) issuer: Option<Arc<NodeIssuer>>,
    /// Who vouches for clients at the issuer's endpoints: what it was started with.
    pub(crate) client_authority: Option<(AuthorityId, AuthorityFiles)>,
    pub(crate) hasher: Arc<NodeHasher>,
    pub(crate) readiness: Arc<NodeReadiness>,
    /// Policies that are fetched.
    pub(crate) bundles: Arc<bundles::Bundles>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) node: String,
    pub(crate) started: proof::time::Timestamp,
    pub(crate) stop: CancellationToken,
    /// The policies in force.
    pub(crate) policies: ArcSwap<Vec<Arc<Policy>>>,
    /// By which relations this node judges; none are declared, or none are in force yet.
    pub(crate) relations: ArcSwapOption<Model>,
    /// The newest change that this node has seen and acted upon.
    pub(crate) seen: watch::Sender<i64>,
    /// Where calls come in; none on a node that serves no APIs, and before the ports are open.
    pub(crate) door: OnceLock<explain::Door>,
    /// Endpoints that are told of things, by name.
    pub(crate) webhooks: ArcSwap<BTreeMap<String, Arc<registry::webhook::EndpointMeaning>>>,
}

/// A node whose ports are open but not yet served.
pub(crate) struct Node {
    shared: Arc<Shared>,
    planes: planes::Planes,
    bound: Vec<(Gateway<Facts>, Vec<Bound>)>,
    addresses: Vec<(String, Vec<Serves>, core::net::SocketAddr)>,
    ops: Option<(Ops, tokio::net::TcpListener)>,
    duties: duties::Queues,
    metrics: duties::NodeMetrics,
    /// The first owner's key, if this start made it.
    pub(crate) first_key: Option<proof::secret::Secret>,
}

/// Now.
pub(crate) fn now() -> proof::time::Timestamp {
    SystemClock.now()
}

impl Node {
    /// Builds a node from settings and takes its ports.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) async fn start(path: &Path, loaded: Loaded, mode: Mode) -> Result<Self> {
        let began = Instant::now();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let settings = &loaded.settings;
        let context = Arc::new(settings::context(settings, mode));
        for danger in &settings.dangers {
            tracing::warn!("{danger}");
        }

        let mut registry = prometheus_client::registry::Registry::default();
        let gateway_metrics = Metrics::register(&mut registry);
        let metrics = duties::NodeMetrics::register(&mut registry);
        let bundles = Arc::new(bundles::Bundles::new(&settings.data_dir, &mut registry));

        let store = Arc::new(Store::open(&store_settings(settings)).await?);
        let kek = Arc::new(key_ring(settings)?);
        let keys = Arc::new(KeyManager::new(
            store.clone(),
            kek.clone(),
            KeySettings {
                access: settings
                    .issuer
                    .as_ref()
                    .map_or_else(|| KeySettings::default().access, |i| i.algorithm),
                ..KeySettings::default()
            },
            entropy.clone(),
        ));
        keys.start(now()).await.context(
            "the signing keys can't be used: is `master_key` the one they were sealed under?",
        )?;

        let pool = Arc::new(match settings.hashing.threads {
            0 => HashingPool::for_this_machine()?,
            threads => HashingPool::new(threads.try_into()?, settings.hashing.queue)?,
        });
        let hasher = Arc::new(NodeHasher::new(
            &settings.hashing,
            pool.clone(),
            entropy.clone(),
        )?);
        let (own_keys, own_paseto) = (OwnKeys::new(), OwnPasetoKeys::default());
        // The gateway beside the issuer knows a key before the first token that it signed.
        let published = (own_keys.clone(), own_paseto.clone());
        keys.show_first(Box::new(move |ring| {
            if let Err(error) = planes::publish_own_keys(ring, &published.0, &published.1) {
                tracing::error!(%error, "new signing keys can't be verified here");
            }
        }));
        let fetcher = Arc::new(fetcher(settings)?);
        let client_keys = Arc::new(PublishedKeys::new(
            fetcher.clone(),
            KeySetOptions::default(),
        ));
        let key_sets = Arc::new(KeySets::new(fetcher.clone(), KeySetOptions::default()));
        let introspectors = Arc::new(Introspectors::new(
            fetcher.clone(),
            key_sets.clone(),
            entropy.clone(),
            IntrospectionOptions::default(),
        ));
        let options = FactsOptions {
            outage_grace: settings.outage_grace,
            password_cost: hasher.cost(),
            ..FactsOptions::default()
        };
        let facts = Arc::new(Facts::new(
            FactsParts {
                records: (*store).clone().with_master_key(kek.clone()),
                counters: MemoryCounters::default(),
                replays: NodeReplays::new(settings.replay_memory, (*store).clone()),
                key_sets,
                introspectors,
                authorities: Arc::default(),
                statuses: Arc::new(Statuses::new(fetcher.clone(), StatusOptions::default())),
                paseto_keys: Arc::default(),
                calling_clients: Arc::new(CallingClients::new(client_keys.clone())),
                revocations: Arc::new(Revocations::default()),
                pool: pool.clone(),
                peppers: hasher.peppers(),
                nonces: dpop_nonces(settings, &kek, &*entropy),
                clock: Arc::new(SystemClock),
            },
            &options,
            &*entropy,
        ));
        let people = Arc::new(NodePeople::new(
            StoredPeople(store.clone()),
            MemoryCounters::default(),
            pool,
            &options,
            &*entropy,
            now(),
        ));
        let readiness = Arc::new(NodeReadiness::default());

        let (sinks, queues) = duties::Queues::new(settings, &metrics);
        let issuer = match &settings.issuer {
            Some(own) => {
                let proxied = !settings.trusted_proxies.is_empty();
                let mut endpoints = Endpoints::new(&own.identifier, proxied)?;
                if let Some(base) = &own.mtls_url {
                    endpoints = endpoints.with_mtls(base)?;
                }
                if own.registration.is_some() {
                    endpoints = endpoints.with_registration();
                }
                let revocations = NodeRevocations::new(facts.clone(), &own.identifier);
                Some(Arc::new(Issuer::new(
                    endpoints,
                    issuer::IssuerSettings {
                        brand: settings.brand.clone(),
                        ..Default::default()
                    },
                    issuer::Ports {
                        store: store.clone(),
                        secrets: Arc::new(NodeSecrets {
                            facts: facts.clone(),
                            people: people.clone(),
                        }),
                        revocations: Arc::new(revocations),
                        replay: Arc::new(adapters::StoredReplay(store.clone())),
                        proofs: proofs_of_process(settings),
                        client_keys: Arc::new(adapters::FetchedClientKeys(client_keys)),
                        client_authority: own.client_authority.as_ref().map(|(id, _)| {
                            let facts = facts.clone();
                            let id = id.clone();
                            Arc::new(adapters::ReadAuthority { facts, id }) as Arc<_>
                        }),
                        readiness: readiness.clone(),
                        alarms: Arc::new(metrics.clone()),
                        uses: sinks.uses,
                        entropy: entropy.clone(),
                    },
                    keys.clone(),
                )))
            }
            None => None,
        };

        let client_authority = settings
            .issuer
            .as_ref()
            .and_then(|own| own.client_authority.clone());

        let ctx_id = uuid_v7(now(), &*entropy);
        let ctx = Ctx {
            now: now(),
            entropy: &*entropy,
            request_id: &ctx_id,
            context: &context,
            files: &(),
        };
        let first_key = registry::usecase::admin_key::bootstrap(&*store, &*hasher, &ctx)
            .await
            .context("the first administrator's key can't be made")?
            .and_then(|made| made.secret);

        let loaded = Arc::new(loaded);
        let shared = Arc::new(Shared {
            started_with: loaded.clone(),
            dangers: ArcSwap::default(),
            context,
            reload: reload::Status::new(path.to_owned(), now()),
            mode,
            store,
            facts,
            people,
            fetcher,
            keys,
            key_turn: Arc::default(),
            own_keys,
            own_paseto,
            issuer,
            client_authority,
            hasher,
            readiness,
            bundles,
            node: uuid_v7(now(), &*entropy),
            started: now(),
            stop: CancellationToken::new(),
            policies: ArcSwap::default(),
            relations: ArcSwapOption::empty(),
            seen: watch::Sender::new(-1),
            door: OnceLock::new(),
            webhooks: ArcSwap::default(),
            entropy,
            loaded: ArcSwap::new(loaded),
        });

        let planes = planes::Planes::new(&shared, &sinks.decisions, &gateway_metrics)?;
        reload::rehearse_start(&shared, &planes).await?;
        reload::sync_resources(&shared).await?;
        follow::catch_up(&shared, &planes).await?;

        let (bound, mut addresses) = planes.bind(&shared)?;
        if let Some(door) = planes.door() {
            let tls = |name: &str| planes.speaks_tls(name);
            let listeners = addresses
                .iter()
                .filter(|(_, serves, _)| serves.contains(&Serves::Gateway))
                .map(|(name, _, address)| (*address, tls(name)));
            let _ = shared.door.set(explain::Door::new(door, listeners));
        }
        let registry = Arc::new(registry);
        let ops = match shared
            .loaded
            .load()
            .settings
            .listeners
            .iter()
            .find(|l| l.serves.contains(&Serves::Ops))
        {
            Some(listener) => {
                let readiness = shared.readiness.clone();
                let ops = Ops {
                    registry,
                    ready: Arc::new(move || readiness.ready()),
                };
                let socket = Ops::bind(listener.address)
                    .with_context(|| port_taken(&listener.name, listener.address))?;
                addresses.push((
                    listener.name.clone(),
                    listener.serves.clone(),
                    socket.local_addr()?,
                ));
                Some((ops, socket))
            }
            None => None,
        };
        tracing::info!(
            millis = began.elapsed().as_millis() as u64,
            version = env!("CARGO_PKG_VERSION"),
            "ready"
        );
        Ok(Self {
            shared,
            planes,
            bound,
            addresses,
            ops,
            duties: queues,
            metrics,
            first_key,
        })
    }

    /// What every part may use, for `dev`.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where something is served, once the ports are open.
    pub(crate) fn address(&self, name: &str) -> Option<core::net::SocketAddr> {
        self.addresses
            .iter()
            .find(|(known, _, _)| known == name)
            .map(|(_, _, address)| *address)
    }

    /// Whether clients can be registered here.
    pub(crate) fn serves_registration(&self) -> bool {
        let issuer = self.shared.issuer.as_ref();
        issuer.is_some_and(|own| own.endpoints().serves(Endpoint::Registration))
    }

    /// Serves until stopped, then drains.
    ///
    /// # Errors
    /// If a plane can't be served at all.
    pub(crate) async fn run(self) -> Result<()> {
        let Self {
            shared,
            planes,
            bound,
            ops,
            duties,
            metrics,
            ..
        } = self;
        let tasks = TaskTracker::new();
        let planes = Arc::new(planes);
        // Background work outlives the planes, so that the last calls are recorded too.
        let background = CancellationToken::new();
        tasks.spawn(follow::follow(
            shared.clone(),
            planes.clone(),
            background.clone(),
        ));
        tasks.spawn(reload::watch(
            shared.clone(),
            planes.clone(),
            metrics.clone(),
            background.clone(),
        ));
        duties::spawn(&shared, duties, &metrics, &tasks, &background);

        let mut serving = tokio::task::JoinSet::new();
        for (gateway, listeners) in bound {
            let stop = shared.stop.clone();
            serving.spawn(async move { gateway.run(listeners, stop).await });
        }
        let ops_stop = CancellationToken::new();
        if let Some((ops, socket)) = ops {
            tasks.spawn(ops.run(socket, ops_stop.clone()));
        }
        let mut outcome = Ok(());
        while let Some(ended) = serving.join_next().await {
            if let Err(error) = ended
                .map_err(anyhow::Error::from)
                .and_then(|result| result.map_err(Into::into))
            {
                outcome = Err(error);
                shared.stop.cancel();
            }
        }
        background.cancel();
        ops_stop.cancel();
        tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(10), tasks.wait()).await;
        shared.store.close().await;
        tracing::info!("stopped");
        outcome
    }
}

/// The replay memory of proofs with a nonce, where this process is the only node: SQLite has one.
fn proofs_of_process(settings: &Settings) -> Option<Arc<dyn issuer::ports::Replay>> {
    match settings.database {
        Database::Sqlite(_) => Some(Arc::new(adapters::ProcessReplay::default())),
        Database::Postgres { .. } => None,
    }
}

/// The nonces of DPoP proofs at the gateway. They live and die with the process where it is the only
/// node, as its memory of proofs does, so that none from before a restart passes after it; in a
/// fleet every node takes every node's.
fn dpop_nonces(settings: &Settings, master: &KekRing, entropy: &dyn Entropy) -> NonceKey {
    match settings.database {
        Database::Sqlite(_) => NonceKey::of_process(entropy),
        Database::Postgres { .. } => NonceKey::derived(master, "gateway/dpop-nonce"),
    }
}

/// A sentence for a port that can't be had.
pub(crate) fn port_taken(name: &str, address: core::net::SocketAddr) -> String {
    format!(
        "listener `{name}` can't have {address}: stop what uses the port, or write another address"
    )
}

fn store_settings(settings: &Settings) -> store::Settings {
    match &settings.database {
        Database::Sqlite(path) => store::Settings {
            serves: true,
            ..store::Settings::new(store::Location::Sqlite(path.clone()))
        },
        Database::Postgres {
            url,
            max_connections,
        } => {
            let location =
                store::Location::Postgres(proof::secret::Secret::from_text(url.0.clone()));
            store::Settings {
                max_connections: *max_connections,
                ..store::Settings::new(location)
            }
        }
    }
}

/// Ids of master keys are their own fingerprints: nothing to name, nothing to mix up.
pub(crate) fn key_ring(settings: &Settings) -> Result<KekRing> {
    let key = |secret: &proof::secret::Secret| -> Result<KeyEncryptionKey> {
        Ok(KeyEncryptionKey::from_bytes(
            &fingerprint(secret.expose()),
            secret,
        )?)
    };
    let mut ring = KekRing::new(key(&settings.master_key)?);
    for former in &settings.former_master_keys {
        ring = ring.with_previous(key(former)?);
    }
    Ok(ring)
}

/// Names a key by what it is: the first bytes of a hash of it.
pub(crate) fn fingerprint(key: &[u8]) -> String {
    proof::digest::hex(&proof::digest::sha256(&[b"doorward key id".as_slice(), key].concat())[..8])
}

fn fetcher(settings: &Settings) -> Result<Fetcher> {
    let trust = match &settings.outbound.ca_file {
        Some(file) => {
            let pem =
                std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
            Trust::only_pem(&pem).with_context(|| format!("{} can't be used", file.display()))?
        }
        None => Trust::public(),
    };
    Ok(Fetcher::new(FetchOptions {
        trust,
        listed: settings.outbound.allow_networks.clone(),
        allow_insecure_loopback: settings.outbound.plain_loopback,
        ..FetchOptions::default()
    })?)
}

/// The folder that holds the settings: relative paths start there.
pub(crate) fn base_of(path: &Path) -> PathBuf {
    path.parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Argon2 as the settings say.
pub(crate) fn argon2(memory_kib: u32, passes: u32) -> Result<Argon2Params> {
    Ok(Argon2Params::new(memory_kib, passes, 1)?)
}
