//! Signing keys: asked for once, forgotten at once when something changed, bounded, wiped.

use proof::secret::Secret;
use verdict::identity::{SecretId, SharedSecret, SigningMaterial, SigningScheme};

use super::*;

/// What a stored key's secrets are, the newest first, and in which state it is.
#[derive(Clone)]
pub(super) struct Written {
    texts: Vec<&'static str>,
    state: LifeState,
}

impl Written {
    pub(super) fn key(&self, name: &str) -> SigningKey {
        let secrets = self.texts.iter().map(|text| {
            let text = Secret::from_text((*text).to_owned());
            SharedSecret::new(SecretId::new("mat_1"), text, None)
        });
        SigningKey {
            key_id: SigningKeyId::parse(name).unwrap(),
            scheme: SigningScheme::Hmac,
            material: SigningMaterial::Shared(secrets.collect()),
            state: self.state,
            expires_at: None,
            standing: Arc::new(standing(&format!("sgn_{name}"))),
        }
    }
}

fn named(n: u64) -> String {
    SigningKeyId::new(id(n)).to_string()
}

impl World {
    fn store_signing(&self, n: u64, texts: &[&'static str], state: LifeState) {
        let written = Written {
            texts: texts.to_vec(),
            state,
        };
        self.stored.signing.lock().insert(named(n), written);
    }

    async fn signs(&self, name: &str, now: Timestamp) -> Answer<Option<(Vec<String>, LifeState)>> {
        let found = self.facts.signing_key(name, now).await?;
        Ok(found.map(|key| {
            let texts = key.secrets_at(now);
            let texts = texts.map(|one| one.text().expose_text().unwrap().to_owned());
            (texts.collect(), key.state)
        }))
    }
}

fn active(texts: &[&str]) -> Answer<Option<(Vec<String>, LifeState)>> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Ok(Some((texts, LifeState::Active)))
}

#[tokio::test]
async fn a_signing_key_is_asked_for_once_and_shared_by_all_calls() {
    let world = World::new();
    world.store_signing(1, &["one"], LifeState::Active);
    assert_eq!(world.signs(&named(1), now()).await, active(&["one"]));
    let first = world.facts.signing_key(&named(1), now()).await.unwrap();
    let again = world.facts.signing_key(&named(1), later(20)).await.unwrap();
    assert!(Arc::ptr_eq(&first.unwrap(), &again.unwrap()));
    assert_eq!(world.asked(), 1);
    // Its time as a record is over: it is asked for again.
    world.store_signing(1, &["two", "one"], LifeState::Active);
    assert_eq!(
        world.signs(&named(1), later(31)).await,
        active(&["two", "one"])
    );
}

#[tokio::test]
async fn what_can_not_be_a_name_is_not_asked_for_and_what_is_not_there_is_remembered_briefly() {
    let world = World::new();
    for bad in [
        "",
        "DWAK",
        "AKIAIOSFODNN7EXAMPLE",
        "dwak0000000000000001",
        &"D".repeat(9000),
    ] {
        assert_eq!(world.signs(bad, now()).await, Ok(None), "{bad}");
    }
    assert_eq!(world.asked(), 0);
    assert_eq!(world.signs(&named(1), now()).await, Ok(None));
    assert_eq!(world.signs(&named(1), now()).await, Ok(None));
    assert_eq!(world.asked(), 1);
    world.store_signing(1, &["one"], LifeState::Active);
    assert_eq!(world.signs(&named(1), later(2)).await, active(&["one"]));
}

#[tokio::test]
async fn a_changed_signing_key_is_felt_at_once_by_id_by_owner_or_of_all() {
    for change in [
        Some(Changed::Credential(format!("sgn_{}", named(1)).into())),
        Some(Changed::Owner("sub_1".into())),
        None,
    ] {
        let world = World::new();
        world.store_signing(1, &["one"], LifeState::Active);
        assert_eq!(world.signs(&named(1), now()).await, active(&["one"]));
        world.store_signing(1, &[], LifeState::Revoked);
        let elsewhere = HashSet::from([Changed::Credential("sgn_other".into())]);
        world.facts.invalidate(&elsewhere);
        assert_eq!(world.signs(&named(1), now()).await, active(&["one"]));
        match &change {
            Some(change) => world.facts.invalidate(&HashSet::from([change.clone()])),
            None => world.facts.invalidate_all(),
        }
        let gone = Ok(Some((Vec::new(), LifeState::Revoked)));
        assert_eq!(world.signs(&named(1), now()).await, gone, "{change:?}");
    }
}

#[tokio::test]
async fn a_forgotten_signing_key_is_held_by_nobody_so_that_its_secrets_are_wiped() {
    let world = World::new();
    world.store_signing(1, &["one"], LifeState::Active);
    let held = world.facts.signing_key(&named(1), now()).await.unwrap();
    let held = Arc::downgrade(&held.unwrap());
    assert!(held.upgrade().is_some(), "the cache holds it");
    world.facts.invalidate_all();
    assert!(held.upgrade().is_none());
}

#[tokio::test]
async fn signing_keys_are_held_within_a_bound() {
    let world = World::with(|options| options.max_records = 50);
    for n in 0..500 {
        world.store_signing(n, &["one"], LifeState::Active);
        assert_eq!(world.signs(&named(n), now()).await, active(&["one"]));
    }
    let (_, keys, _) = world.facts.held();
    assert!(keys <= 50, "{keys}");
}

#[tokio::test]
async fn a_store_that_is_gone_is_no_absence() {
    let world = World::new();
    world.store_signing(1, &["one"], LifeState::Active);
    world.signs(&named(1), now()).await.unwrap();
    world.stored.gone.store(true, Ordering::SeqCst);
    let unknown = world.signs(&named(2), now()).await;
    assert_eq!(unknown, Err(Unavailable::Store));
    // Known and within the outage's grace it passes; beyond it nobody can tell.
    assert_eq!(world.signs(&named(1), later(60)).await, active(&["one"]));
    let cut_off = world.signs(&named(1), later(6000)).await;
    assert_eq!(cut_off, Err(Unavailable::Store));
}
