//! **Reload**: a changed settings file is read whole, judged, and taken over at once, or not at all.
//! A bad file leaves the running settings in force and shows in the log, in a metric and in the
//! admin API.
//!
//! Taken over while running: resources, certificates, secret files' resources. What a process decides
//! once at its start ([`settings::waiting`]) asks for a restart, and the log says so.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arc_swap::ArcSwap;
use proof::random::uuid_v7;
use proof::time::Timestamp;
use registry::document::Document;
use registry::ports::{Files as _, Registry as _};
use registry::resource::ManagedBy;
use registry::usecase::{Ctx, Refusal};
use tokio_util::sync::CancellationToken;

use super::duties::NodeMetrics;
use super::planes::Planes;
use super::{Shared, follow, now};
use crate::settings::{self, Flaws};
use crate::watch::Watch;

/// How soon a good file is tried again that could not be taken over.
const AGAIN: Duration = Duration::from_secs(5);

/// How the last readings went.
#[derive(Debug)]
pub(crate) struct Status {
    path: PathBuf,
    state: ArcSwap<State>,
}

#[derive(Debug, Clone)]
struct State {
    loaded_at: Timestamp,
    refused: Option<(Timestamp, String)>,
}

impl Status {
    /// Settings that were just read from `path`.
    pub(crate) fn new(path: PathBuf, at: Timestamp) -> Self {
        Self {
            path,
            state: ArcSwap::from_pointee(State {
                loaded_at: at,
                refused: None,
            }),
        }
    }
    /// Where the settings stand.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    /// When the settings in force were read.
    pub(crate) fn loaded_at(&self) -> Timestamp {
        self.state.load().loaded_at
    }
    /// When a later version was refused, and why.
    pub(crate) fn refused(&self) -> Option<(Timestamp, String)> {
        self.state.load().refused.clone()
    }
    fn good(&self, at: Timestamp) {
        self.state.store(Arc::new(State {
            loaded_at: at,
            refused: None,
        }));
    }
    fn bad(&self, at: Timestamp, why: String) {
        let loaded_at = self.loaded_at();
        self.state.store(Arc::new(State {
            loaded_at,
            refused: Some((at, why)),
        }));
    }
}

/// Writes what the settings file declares into the store.
///
/// # Errors
/// If it can't be, with every flaw.
pub(crate) async fn sync_resources(shared: &Shared) -> Result<()> {
    let loaded = shared.loaded.load_full();
    let id = uuid_v7(now(), &*shared.entropy);
    let ctx = Ctx {
        now: now(),
        entropy: &*shared.entropy,
        request_id: &id,
        context: &shared.context,
        // Looked at before: see `rehearse`.
        files: &(),
    };
    let applied = registry::apply::sync_files(&*shared.store, &ctx, &loaded.documents)
        .await
        .map_err(told)
        .context("the resources that the settings declare can't be taken over")?;
    if let Some((subject, refusal)) = applied.stopped {
        return Err(told(refusal).context(format!("{subject}")));
    }
    Ok(())
}

/// A refusal with all its flaws in words.
fn told(refusal: Refusal) -> anyhow::Error {
    match &refusal {
        Refusal::Flawed(flaws) => {
            let list: Vec<String> = flaws.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(list.join("\n"))
        }
        _ => refusal.into(),
    }
}

/// Reads the settings again whenever a file changed or SIGHUP came, until stopped.
pub(crate) async fn watch(
    shared: Arc<Shared>,
    planes: Arc<Planes>,
    metrics: NodeMetrics,
    stop: CancellationToken,
) {
    let mut named = planes.files_named();
    let mut watch = Watch::new(watched(&shared, &named.borrow_and_update()));
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
    else {
        tracing::error!("SIGHUP can't be listened for; settings are not reloaded");
        return;
    };
    // A good file that could not be taken over, because the store was away, is tried again.
    let mut again = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = watch.changed() => {}
            Ok(()) = named.changed() => {
                let files = named.borrow_and_update().clone();
                watch.set(watched(&shared, &files));
                continue;
            }
            _ = hangup.recv() => {}
            () = tokio::time::sleep(AGAIN), if again => {}
        }
        match reload(&shared, &planes).await {
            Ok(unusable) => {
                watch.set(watched(&shared, &named.borrow_and_update()));
                shared.reload.good(now());
                if !unusable.is_empty() {
                    // All else is in force, and this must be seen.
                    shared.reload.bad(now(), unusable.join("\n"));
                }
                metrics.reloaded(unusable.is_empty());
                again = false;
                say(&shared);
            }
            Err(error) => {
                shared.reload.bad(now(), format!("{error:#}"));
                metrics.reloaded(false);
                again = error.downcast_ref::<Flaws>().is_none();
                tracing::error!(
                    "the settings were not taken over, the running ones stay in force:\n{error:#}"
                );
            }
        }
    }
}

/// Says what came of reading the settings again: what is insecure among them, and what is not in force.
fn say(shared: &Shared) {
    let loaded = shared.loaded.load();
    for danger in &loaded.settings.dangers {
        tracing::warn!("{danger}");
    }
    let waiting = settings::waiting(&shared.started_with.settings, &loaded.settings);
    if waiting.is_empty() {
        tracing::info!("the settings were read again and are in force");
    } else {
        tracing::warn!(
            keys = waiting.join(", "),
            "the settings were read again and are in force, but for keys that changed since the start: they are taken over at the next one"
        );
    }
}

/// The settings' own files and those that declarations name.
fn watched(shared: &Shared, named: &[PathBuf]) -> Vec<PathBuf> {
    let loaded = shared.loaded.load();
    loaded.watched.iter().chain(named).cloned().collect()
}

/// Whether the file's resources could be served together with those of the admin API, before
/// anything is written. Those that are not among `before`, and so are new or say something else, must
/// name files that can be used. Also whose authority can't be read though it could once, which keeps
/// nothing else from coming into force.
pub(crate) async fn rehearse(
    shared: &Shared,
    planes: &Planes,
    declared: &[Document],
    before: &[Document],
) -> Result<Vec<String>> {
    let mut stored = shared.store.resources(None).await?;
    stored.retain(|one| one.managed_by != ManagedBy::File);
    let mut documents = registry::usecase::resource::documents(&stored)?;
    documents.retain(|one| {
        !declared
            .iter()
            .any(|own| own.kind() == one.kind() && own.name == one.name)
    });
    documents.extend_from_slice(declared);
    let new = declared.iter().filter(|one| !before.contains(one));
    together(shared, planes, &documents, new)
}

/// Whether documents could be served together, and the files that the new ones name be used.
fn together<'a>(
    shared: &Shared,
    planes: &Planes,
    documents: &[Document],
    new: impl Iterator<Item = &'a Document>,
) -> Result<Vec<String>> {
    let meaning = follow::meaning_of(shared, documents)?;
    let unusable = planes.rehearse(shared, &meaning)?;
    let mut bad = Vec::new();
    for document in new {
        let (kind, name) = (document.kind(), document.name.as_str());
        let Some(resource) = kind.resource() else {
            continue;
        };
        for file in shared.look(&meaning, resource, name) {
            let (kind, place) = (kind.name(), file.place);
            bad.push(format!("{kind}/{name} spec.{place}: {}", file.message));
        }
    }
    if !bad.is_empty() {
        bail!(bad.join("\n"));
    }
    Ok(unusable)
}

/// Whether a start can be served. A settings file that can't be ends it: whoever starts is there to
/// mend it. What came over the admin API does not, since it is mended over the admin API: the node
/// stays unready, and says so there.
pub(crate) async fn rehearse_start(shared: &Shared, planes: &Planes) -> Result<()> {
    if let Some((id, files)) = &shared.client_authority {
        let base = super::base_of(shared.reload.path());
        let read = shared.authority(id, files, &base);
        read.map_err(|why| anyhow::anyhow!("issuer.client_certificates: {why}"))?;
    }
    let declared = &shared.loaded.load_full().documents;
    let Err(error) = rehearse(shared, planes, declared, &[]).await else {
        return Ok(());
    };
    if together(shared, planes, declared, declared.iter()).is_err() {
        return Err(error);
    }
    tracing::error!(
        error = format!("{error:#}"),
        "what was declared over the admin API can't be served; nothing is, until it is mended there"
    );
    Ok(())
}

async fn reload(shared: &Arc<Shared>, planes: &Planes) -> Result<Vec<String>> {
    let loaded = settings::load(
        shared.reload.path(),
        &|name| std::env::var(name).ok(),
        shared.mode,
    )?;
    let before = shared.loaded.load_full();
    let unusable = rehearse(shared, planes, &loaded.documents, &before.documents).await?;
    planes.reload_certificates(&before.settings)?;
    shared.loaded.store(Arc::new(loaded));
    // Said again, as at a start.
    shared.dangers.store(Arc::default());
    let taken = match sync_resources(shared).await {
        Ok(()) => follow::catch_up(shared, planes).await,
        Err(error) => Err(error),
    };
    if taken.is_err() {
        shared.loaded.store(before);
    }
    taken.map(|()| unusable)
}
