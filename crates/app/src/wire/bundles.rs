//! **Bundles of policies**: asked for again and again, checked, compiled and taken into service while
//! calls go on. What can't be fetched, does not hold its signature or does not compile changes nothing:
//! the last good one stays in force, over a restart too, since it is kept as a file. A policy that never
//! had a good one allows nothing, and the node says that it is not ready.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use outbound::fetch::Fetched;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry as Metrics;
use proof::digest::{hex, sha256};
use registry::policy::{BundleMeaning, PolicyMeaning, PolicySource};
use tokio_util::sync::CancellationToken;
use verdict::policy::rego::bundle::{MAX_PACKED, Verification, read};
use verdict::policy::rego::{Policy, Version};

use super::Shared;

/// Time for one fetch.
const FETCH_TIME: Duration = Duration::from_secs(30);
/// How soon one is tried again that failed.
const RETRY: Duration = Duration::from_secs(10);

/// The bundles in force.
#[derive(Debug)]
pub(crate) struct Bundles {
    folder: PathBuf,
    kept: Mutex<BTreeMap<String, Kept>>,
    taken: Counter,
    failed: Counter,
    stale: Gauge,
}

#[derive(Debug)]
struct Kept {
    meaning: Arc<BundleMeaning>,
    policy: Arc<Policy>,
    etag: Option<String>,
    due: Instant,
    /// Whether the last attempt went wrong.
    stale: bool,
}

impl Bundles {
    /// Nothing yet. Good bundles are kept under `data_dir`.
    pub(crate) fn new(data_dir: &Path, metrics: &mut Metrics) -> Self {
        let made = Self {
            folder: data_dir.join("bundles"),
            kept: Mutex::default(),
            taken: Counter::default(),
            failed: Counter::default(),
            stale: Gauge::default(),
        };
        metrics.register(
            "doorward_policy_bundles_taken",
            "Bundles of policies taken into service",
            made.taken.clone(),
        );
        metrics.register(
            "doorward_policy_bundles_failed",
            "Bundles of policies that could not be fetched, checked or compiled",
            made.failed.clone(),
        );
        metrics.register(
            "doorward_policy_bundles_stale",
            "Policies whose bundle failed the last time, so that an older one or none is in force",
            made.stale.clone(),
        );
        made
    }

    /// Gives a policy the version that is in force, or the one that was kept before a restart.
    pub(crate) fn fill(&self, policy: &PolicyMeaning) {
        let PolicySource::Bundle(bundle) = &policy.source else {
            return;
        };
        if let Some(kept) = self.kept.lock().get(&policy.name)
            && kept.meaning == *bundle
        {
            if let Some(version) = kept.policy.current() {
                policy.policy.replace(version);
            }
            return;
        }
        let file = self.file(&policy.name, bundle);
        let Ok(packed) = std::fs::read(&file) else {
            return;
        };
        match compile(&packed, bundle) {
            Ok((version, _)) => policy.policy.replace(Arc::new(version)),
            Err(error) => {
                tracing::warn!(policy = policy.name, cause = %format!("{error:#}"), "the bundle that was kept is not taken");
            }
        }
    }

    /// Keeps these policies fresh from now on.
    pub(crate) fn adopt(&self, policies: &[PolicyMeaning]) {
        let mut kept = self.kept.lock();
        let mut next = BTreeMap::new();
        for policy in policies {
            let PolicySource::Bundle(bundle) = &policy.source else {
                continue;
            };
            let before = kept.remove(&policy.name);
            let same = before.filter(|before| before.meaning == *bundle);
            let one = match same {
                Some(before) => {
                    // A bundle may have come since the policy was filled, and its name is known here:
                    // it would not be sent again.
                    if let Some(version) = before.policy.current() {
                        policy.policy.replace(version);
                    }
                    Kept {
                        policy: policy.policy.clone(),
                        ..before
                    }
                }
                None => Kept {
                    meaning: bundle.clone(),
                    policy: policy.policy.clone(),
                    etag: None,
                    due: Instant::now(),
                    stale: false,
                },
            };
            next.insert(policy.name.clone(), one);
        }
        *kept = next;
    }

    /// Policies that have no version yet.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let kept = self.kept.lock();
        let waiting = kept
            .iter()
            .filter(|(_, one)| one.policy.current().is_none());
        waiting.map(|(name, _)| name.clone()).collect()
    }

    fn file(&self, name: &str, bundle: &BundleMeaning) -> PathBuf {
        let place = hex(&sha256(bundle.url.as_str().as_bytes()));
        self.folder.join(format!("{name}-{}.tar.gz", &place[..16]))
    }

    fn due(&self) -> Vec<(String, Arc<BundleMeaning>, Option<String>)> {
        let now = Instant::now();
        let kept = self.kept.lock();
        let due = kept.iter().filter(|(_, one)| one.due <= now);
        due.map(|(name, one)| (name.clone(), one.meaning.clone(), one.etag.clone()))
            .collect()
    }

    /// Takes over what came, unless the policy is another one by now.
    fn put(&self, name: &str, meaning: &Arc<BundleMeaning>, came: &Result<Came>) {
        let mut kept = self.kept.lock();
        if let Some(one) = kept.get_mut(name).filter(|one| one.meaning == *meaning) {
            one.stale = came.is_err();
            let wait = if one.stale { RETRY } else { meaning.polling };
            one.due = Instant::now() + wait;
            if let Ok(Came::New(version, etag)) = came {
                one.policy.replace(version.clone());
                one.etag.clone_from(etag);
            }
        }
        let stale = kept.values().filter(|one| one.stale).count();
        self.stale.set(i64::try_from(stale).unwrap_or(i64::MAX));
    }

    /// Keeps a good bundle for the next start.
    fn keep(&self, file: &Path, packed: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let new = file.with_extension("new");
        std::fs::write(&new, packed)?;
        std::fs::rename(new, file)
    }
}

enum Came {
    Unchanged,
    New(Arc<Version>, Option<String>),
}

fn compile(packed: &[u8], bundle: &BundleMeaning) -> Result<(Version, Option<String>)> {
    let verification = bundle.keys.as_ref().map(|keys| Verification {
        keys,
        scope: bundle.scope.as_deref(),
    });
    let read = read(packed, verification, bundle.entrypoint.as_deref())?;
    let version = Version::compile(&read.source).map_err(|flaws| {
        let list: Vec<_> = flaws.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("it does not compile: {}", list.join("; "))
    })?;
    Ok((version, read.revision))
}

/// Asks for each bundle when its time has come.
pub(super) async fn keep_fresh(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        for (name, meaning, etag) in shared.bundles.due() {
            let came = tokio::select! {
                () = stop.cancelled() => return,
                came = fetch(&shared, &name, &meaning, etag.as_deref()) => came,
            };
            shared.bundles.put(&name, &meaning, &came);
            match came {
                Ok(Came::Unchanged) => {}
                Ok(Came::New(version, _)) => {
                    shared.bundles.taken.inc();
                    tracing::info!(
                        policy = name,
                        version = &version.digest()[..12],
                        "a bundle was taken over"
                    );
                }
                Err(error) => {
                    shared.bundles.failed.inc();
                    tracing::warn!(policy = name, cause = %format!("{error:#}"), "a bundle is not taken; the one before stays in force");
                }
            }
        }
        shared.readiness.waits_for(shared.bundles.waiting());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn fetch(
    shared: &Arc<Shared>,
    name: &str,
    meaning: &Arc<BundleMeaning>,
    etag: Option<&str>,
) -> Result<Came> {
    let fetched = shared
        .fetcher
        .get_if_changed(&meaning.url, etag, FETCH_TIME, MAX_PACKED)
        .await?;
    let Fetched::New { body, etag } = fetched else {
        return Ok(Came::Unchanged);
    };
    let (shared, name, meaning) = (shared.clone(), name.to_owned(), meaning.clone());
    let made = tokio::task::spawn_blocking(move || {
        let (version, revision) = compile(&body, &meaning)?;
        let file = shared.bundles.file(&name, &meaning);
        if let Err(error) = shared.bundles.keep(&file, &body) {
            tracing::warn!(%error, file = %file.display(), "the bundle can't be kept for the next start");
        }
        if let Some(revision) = revision {
            tracing::debug!(policy = name, revision, "a bundle's own name for its state");
        }
        anyhow::Ok(version)
    });
    let version = made.await.context("the bundle's compilation broke off")??;
    Ok(Came::New(Arc::new(version), etag))
}

#[cfg(test)]
mod tests {
    use verdict::policy::rego::{Limits, Module, Source};

    use super::*;

    /// Between the moment a policy is filled and the one it is adopted, as at a reload, its bundle may
    /// come.
    #[test]
    fn a_bundle_that_comes_during_a_reload_is_not_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let bundles = Bundles::new(folder.path(), &mut Metrics::default());
        let bundle = Arc::new(BundleMeaning {
            url: url::Url::parse("https://policies.example/orders.tar.gz").expect("a URL"),
            polling: Duration::from_secs(60),
            keys: None,
            scope: None,
            entrypoint: None,
        });
        let declared = || PolicyMeaning {
            name: "orders".to_owned(),
            policy: Arc::new(Policy::waiting("orders", Limits::default(), false)),
            source: PolicySource::Bundle(bundle.clone()),
        };
        let source = Source {
            modules: vec![Module {
                path: "orders.rego".to_owned(),
                text: "package orders\nallow := true\n".to_owned(),
            }],
            data: serde_json::json!({}),
            entrypoint: None,
        };
        let version = Arc::new(Version::compile(&source).expect("it compiles"));
        bundles.adopt(&[declared()]);
        let next = declared();
        bundles.fill(&next);
        let came = Ok(Came::New(version.clone(), Some("\"one\"".to_owned())));
        bundles.put("orders", &bundle, &came);
        bundles.adopt(std::slice::from_ref(&next));
        let held = next.policy.current().expect("it has a version");
        assert_eq!(held.digest(), version.digest());
        assert!(bundles.waiting().is_empty());
    }
}
