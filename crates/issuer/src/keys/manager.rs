//! **The schedule**: which key is published, activated and retired when. Every step is one
//! transition of the store with its audit event; afterwards the ring is read anew, so that what
//! this node signs with is what the store says.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use proof::jose::key::SigningKey;
use proof::paseto::LocalKey;
use proof::random::{Entropy, uuid_v7};
use proof::seal::{self, Aad, KekRing};
use proof::time::Timestamp;
use registry::actor::Actor;
use registry::audit::AuditDraft;

use super::ring::{COLUMN, KeyRing, KeySet, RingKey, TABLE};
use super::{KeyError, KeySettings};
use crate::ports::{IssuerStore, KeyForm, KeyPurpose, KeyState, StoredKey};

/// Is shown a ring before anything is signed with it.
pub type RingReader = Box<dyn Fn(&KeyRing) + Send + Sync>;

/// Keeps the signing keys of one installation.
pub struct KeyManager<S> {
    store: Arc<S>,
    kek: Arc<KekRing>,
    settings: KeySettings,
    entropy: Arc<dyn Entropy>,
    ring: ArcSwap<KeyRing>,
    /// Purposes beside [`KeyPurpose::ALWAYS`] that something declared needs a key for.
    wanted: ArcSwap<Vec<KeyPurpose>>,
    /// Who must know a key before it signs.
    reader: OnceLock<RingReader>,
}

impl<S: IssuerStore> KeyManager<S> {
    /// A manager with an empty ring; [`KeyManager::start`] fills it.
    pub fn new(
        store: Arc<S>,
        kek: Arc<KekRing>,
        settings: KeySettings,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            kek,
            settings,
            entropy,
            ring: ArcSwap::from_pointee(KeyRing::default()),
            wanted: ArcSwap::default(),
            reader: OnceLock::new(),
        }
    }

    /// Shows every ring to somebody before it is used, so that whoever verifies beside us knows a
    /// key before the first token that it signed. Only the first who asks is shown any.
    pub fn show_first(&self, reader: RingReader) {
        let _ = self.reader.set(reader);
    }

    /// The ring of master keys, under which the signing keys are sealed.
    pub fn master(&self) -> &KekRing {
        &self.kek
    }

    /// The keys as they are now. Keep the result for one call, not longer.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Loads the keys; makes one active key for every purpose that has none.
    ///
    /// # Errors
    /// [`KeyError`]; the process must not serve then.
    pub async fn start(&self, now: Timestamp) -> Result<(), KeyError> {
        self.reload().await?;
        let by = By {
            actor: &Actor::System {
                part: "first-start",
            },
            request_id: None,
        };
        // Should two nodes start at once, both make a key: the other's stays published as long as
        // any key that signed.
        for purpose in KeyPurpose::ALWAYS {
            if self.ring.load().set(purpose).active().is_none() {
                let other_until = self.stays_until(purpose, now);
                self.make(purpose, Some(other_until), now, &by).await?;
            }
        }
        self.reload().await
    }

    /// Reads the keys from the store and swaps the ring: after a change by another node.
    ///
    /// # Errors
    /// [`KeyError`]; the ring stays as it was.
    pub async fn reload(&self) -> Result<(), KeyError> {
        let mut sets: [KeySet; KeyPurpose::ALL.len()] = Default::default();
        for (purpose, set) in KeyPurpose::ALL.into_iter().zip(&mut sets) {
            let stored = self.store.signing_keys(purpose).await?;
            *set = KeySet::load(purpose, stored, &self.kek)?;
        }
        let ring = Arc::new(KeyRing::of(sets));
        if let Some(reader) = self.reader.get() {
            reader(&ring);
        }
        self.ring.store(ring);
        Ok(())
    }

    /// Says which purposes beside [`KeyPurpose::ALWAYS`] need a key from now on. Nothing is made
    /// here: an RSA key takes a good part of a second, and no start waits for it.
    pub fn want(&self, purposes: Vec<KeyPurpose>) {
        self.wanted.store(Arc::new(purposes));
    }

    /// Whether a purpose that needs a key has none: then [`KeyManager::tick`] should not wait.
    pub fn lacks(&self) -> bool {
        let ring = self.ring();
        self.wanted
            .load()
            .iter()
            .any(|purpose| ring.set(*purpose).active().is_none())
    }

    /// Publishes a purpose's next key; [`KeyManager::tick`] activates it when it was published for
    /// long enough. Returns its id. If one waits already, that one's.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn rotate(
        &self,
        purpose: KeyPurpose,
        now: Timestamp,
        actor: &Actor,
        request_id: &str,
    ) -> Result<String, KeyError> {
        if let Some(waiting) = published(&self.ring(), purpose) {
            return Ok(waiting.kid.clone());
        }
        let by = By {
            actor,
            request_id: Some(request_id),
        };
        let kid = self.make(purpose, None, now, &by).await?;
        self.reload().await?;
        Ok(kid)
    }

    /// Signs from now on with the key that [`KeyManager::rotate`] published, however short that was
    /// ago. The old one stays in the key set until the last token it signed has died. Whoever caches
    /// a set without the new one refuses new tokens until he asks again; nodes of this installation
    /// know it once they heard of the change. Nothing happens where none waits.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn activate(
        &self,
        purpose: KeyPurpose,
        now: Timestamp,
        actor: &Actor,
        request_id: &str,
    ) -> Result<(), KeyError> {
        let by = By {
            actor,
            request_id: Some(request_id),
        };
        if let Some(next) = published(&self.ring(), purpose) {
            self.activate_next(purpose, next, now, &by).await?;
        }
        self.reload().await
    }

    /// Makes a new key, signs with it at once, and drops the old one now: it leaked, and every token
    /// that it signed dies with it. Whoever caches the old key set refuses new tokens until he asks
    /// again. Returns the new key's id.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn drop_leaked(
        &self,
        purpose: KeyPurpose,
        now: Timestamp,
        actor: &Actor,
        request_id: &str,
    ) -> Result<String, KeyError> {
        let by = By {
            actor,
            request_id: Some(request_id),
        };
        let kid = self.make(purpose, Some(now), now, &by).await?;
        self.reload().await?;
        self.retire_due(now, &by).await?;
        self.reload().await?;
        Ok(kid)
    }

    /// Drives the schedule: publishes the next key in time, activates one that was published for
    /// long enough, retires what is due. Call it every minute or so; every node may.
    ///
    /// # Errors
    /// [`KeyError`]; the next call tries again.
    pub async fn tick(&self, now: Timestamp) -> Result<(), KeyError> {
        let by = By {
            actor: &Actor::System { part: "rotation" },
            request_id: None,
        };
        let mut changed = false;
        let wanted = self.wanted.load_full();
        for purpose in KeyPurpose::ALL {
            let ring = self.ring();
            if ring.set(purpose).active().is_none() {
                if wanted.contains(&purpose) {
                    // Nothing was signed for this purpose before, so nobody caches a set without
                    // the key. Another node may have been faster: the store says so, and a second
                    // key would only be published for nothing.
                    self.reload().await?;
                    if self.ring.load().set(purpose).active().is_none() {
                        let other_until = self.stays_until(purpose, now);
                        self.make(purpose, Some(other_until), now, &by).await?;
                        self.reload().await?;
                    }
                }
                if !KeyPurpose::ALWAYS.contains(&purpose) {
                    continue;
                }
            }
            match published(&ring, purpose) {
                Some(next) if next.created_at.plus(self.settings.publish_before) <= now => {
                    self.activate_next(purpose, next, now, &by).await?;
                    changed = true;
                }
                Some(_) => {}
                None if self.wants_next(&ring, purpose, now) => {
                    self.make(purpose, None, now, &by).await?;
                    changed = true;
                }
                None => {}
            }
        }
        changed |= self.retire_due(now, &by).await?;
        if changed {
            self.reload().await?;
        }
        Ok(())
    }

    async fn activate_next(
        &self,
        purpose: KeyPurpose,
        next: &RingKey,
        now: Timestamp,
        by: &By<'_>,
    ) -> Result<(), KeyError> {
        let details = details(purpose, &[("algorithm", next.algorithm_name())]);
        let audit = self.draft("signing_key.activate", &next.kid, details, now, by);
        let old_until = self.stays_until(purpose, now);
        // `false`: another node was faster; reading anew is all there is to do.
        self.store
            .activate_key(&next.kid, now, old_until, audit)
            .await?;
        Ok(())
    }

    fn wants_next(&self, ring: &KeyRing, purpose: KeyPurpose, now: Timestamp) -> bool {
        let Some(active) = ring.set(purpose).active() else {
            return true;
        };
        let signs_until = active
            .activated_at
            .unwrap_or(active.created_at)
            .plus(self.settings.active_for);
        signs_until.minus(self.settings.publish_before) <= now
            || active.algorithm() != self.settings.algorithm(purpose)
    }

    /// Retires keys whose time has come; `false` if there are none.
    async fn retire_due(&self, now: Timestamp, by: &By<'_>) -> Result<bool, KeyError> {
        let ring = self.ring();
        let due = KeyPurpose::ALL
            .iter()
            .flat_map(|purpose| &ring.set(*purpose).keys)
            .any(|key| matches!(key.state, KeyState::Retiring { until } if until <= now));
        if due {
            let audit = self.draft("signing_key.retire", "due", BTreeMap::new(), now, by);
            self.store.retire_due_keys(now, audit).await?;
        }
        Ok(due)
    }

    /// Makes and stores a key. With `activate` it signs at once, and the active one (if any)
    /// retires then.
    async fn make(
        &self,
        purpose: KeyPurpose,
        activate: Option<Timestamp>,
        now: Timestamp,
        by: &By<'_>,
    ) -> Result<String, KeyError> {
        let (kid, form, private) = match self.settings.algorithm(purpose) {
            Some(algorithm) => {
                let key = SigningKey::generate(algorithm).map_err(KeyError::Generate)?;
                let public_jwk = key.public_jwk().to_json();
                let form = KeyForm::Pair {
                    algorithm,
                    public_jwk,
                };
                let pkcs8 = key.to_pkcs8().map_err(KeyError::Generate)?;
                (key.kid().to_owned(), form, pkcs8)
            }
            None => {
                let key = LocalKey::generate(&*self.entropy);
                (key.id(), KeyForm::Local, key.to_paserk())
            }
        };
        let algorithm = form.algorithm();
        let place = Aad {
            table: TABLE,
            column: COLUMN,
            row: &kid,
        };
        let stored = StoredKey {
            kid: kid.clone(),
            purpose,
            form,
            state: if activate.is_some() {
                KeyState::Active
            } else {
                KeyState::Published
            },
            sealed: seal::seal(self.kek.current(), &place, private.expose(), &*self.entropy),
            created_at: now,
            activated_at: activate.map(|_| now),
        };
        let use_from = if activate.is_some() {
            "at-once"
        } else {
            "later"
        };
        let details = details(purpose, &[("algorithm", algorithm), ("active", use_from)]);
        let audit = self.draft("signing_key.publish", &kid, details, now, by);
        self.store.publish_key(stored, activate, audit).await?;
        Ok(kid)
    }

    fn draft(
        &self,
        action: &'static str,
        kid: &str,
        details: BTreeMap<String, String>,
        now: Timestamp,
        by: &By<'_>,
    ) -> AuditDraft {
        let id = uuid_v7(now, &*self.entropy);
        AuditDraft {
            at: now,
            actor: by.actor.label(),
            action,
            subject: format!("signing_key/{kid}"),
            request_id: by.request_id.unwrap_or(&id).to_owned(),
            details,
            id,
        }
    }
}

impl<S> KeyManager<S> {
    /// Until when a key that signs no more is in the key set. What it signed outlives it by the
    /// longest token; checkpoints of the audit trail are verified for ever.
    fn stays_until(&self, purpose: KeyPurpose, now: Timestamp) -> Timestamp {
        match purpose {
            KeyPurpose::Audit => Timestamp::MAX,
            _ => now.plus(self.settings.retire_after()),
        }
    }
}

/// On whose behalf a key changes.
struct By<'a> {
    actor: &'a Actor,
    request_id: Option<&'a str>,
}

/// The key that waits to become active; the oldest, should two nodes have published one each.
fn published(ring: &KeyRing, purpose: KeyPurpose) -> Option<&RingKey> {
    ring.set(purpose)
        .keys
        .iter()
        .filter(|key| key.state == KeyState::Published)
        .min_by_key(|key| key.created_at)
}

fn details(purpose: KeyPurpose, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut details = BTreeMap::from([("purpose".to_owned(), purpose.name().to_owned())]);
    details.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    details
}

impl<S> core::fmt::Debug for KeyManager<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyManager")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
