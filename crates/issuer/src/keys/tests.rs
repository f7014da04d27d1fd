use core::time::Duration;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::random::SystemEntropy;
use proof::seal::{self, Aad, KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::actor::Actor;
use serde_json::Value;

use super::{KeyError, KeyManager, KeySettings};
use crate::ports::{KeyForm, KeyPurpose, KeyState};
use crate::tests::world::{MemoryStore, NOW, kek};

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
const ACTOR: Actor = Actor::System { part: "test" };

fn manager(store: &Arc<MemoryStore>, settings: KeySettings) -> KeyManager<MemoryStore> {
    KeyManager::new(store.clone(), kek(), settings, Arc::new(SystemEntropy))
}

async fn started() -> (Arc<MemoryStore>, KeyManager<MemoryStore>) {
    let store = Arc::new(MemoryStore::default());
    let keys = manager(&store, KeySettings::default());
    keys.start(NOW).await.expect("a start");
    (store, keys)
}

fn signer(keys: &KeyManager<MemoryStore>) -> String {
    keys.ring()
        .signer(KeyPurpose::Access)
        .expect("a signer")
        .kid()
        .to_owned()
}

fn published(keys: &KeyManager<MemoryStore>) -> Vec<String> {
    let set: Value = serde_json::from_str(keys.ring().jwks(KeyPurpose::Access)).expect("JSON");
    let keys = set["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["kid"].as_str().expect("a kid").to_owned())
        .collect()
}

#[tokio::test]
async fn the_first_start_makes_one_active_key_for_every_purpose_that_always_has_one() {
    let (store, keys) = started().await;
    for purpose in KeyPurpose::ALL {
        let always = KeyPurpose::ALWAYS.contains(&purpose);
        assert_eq!(keys.ring().signer(purpose).is_some(), always, "{purpose:?}");
        assert_eq!(keys.ring().verifiers(purpose).count(), usize::from(always));
    }
    assert_eq!(store.actions(), ["signing_key.publish"; 3]);
}

#[tokio::test]
async fn a_key_that_something_declared_needs_is_made_once_and_published() {
    let (store, keys) = started().await;
    assert!(!keys.lacks());
    keys.want(vec![KeyPurpose::IdEdDsa]);
    assert!(keys.lacks());
    for _ in 0..2 {
        keys.tick(NOW).await.expect("a tick");
    }
    assert!(!keys.lacks());
    assert_eq!(store.actions(), ["signing_key.publish"; 4]);
    let ring = keys.ring();
    let signer = ring.signer(KeyPurpose::IdEdDsa).expect("a signer");
    assert!(ring.issuer_jwks().contains(signer.kid()));
    // It is no key of access tokens.
    assert!(!ring.jwks(KeyPurpose::Access).contains(signer.kid()));
}

#[tokio::test]
async fn a_second_start_makes_nothing_and_signs_with_the_same_key() {
    let (store, keys) = started().await;
    let again = manager(&store, KeySettings::default());
    again.start(NOW.plus(DAY)).await.expect("a start");
    assert_eq!(signer(&again), signer(&keys));
    assert_eq!(store.keys.lock().expect("lock").len(), 3);
}

#[tokio::test]
async fn a_key_is_published_used_and_retired_on_schedule() {
    let (store, keys) = started().await;
    let first = signer(&keys);

    // One moment before the 89th day: nothing. Then the next key is published, and signs nothing.
    let publish = NOW.plus(DAY * 89);
    keys.tick(Timestamp::from_millis(publish.as_millis() - 1))
        .await
        .expect("a tick");
    assert_eq!(published(&keys), [first.as_str()]);
    keys.tick(publish).await.expect("a tick");
    let both = published(&keys);
    assert_eq!(both.len(), 2);
    assert_eq!(signer(&keys), first);
    let second = both
        .into_iter()
        .find(|kid| *kid != first)
        .expect("a second");

    // A day later it signs; the first stays published for the longest token and an hour.
    let activate = publish.plus(DAY);
    keys.tick(Timestamp::from_millis(activate.as_millis() - 1))
        .await
        .expect("a tick");
    assert_eq!(signer(&keys), first);
    keys.tick(activate).await.expect("a tick");
    assert_eq!(signer(&keys), second);
    assert!(published(&keys).contains(&first));

    let retire = activate.plus(HOUR * 2);
    keys.tick(Timestamp::from_millis(retire.as_millis() - 1))
        .await
        .expect("a tick");
    assert!(published(&keys).contains(&first));
    keys.tick(retire).await.expect("a tick");
    assert_eq!(published(&keys), [second.as_str()]);
    assert!(keys.ring().verifier(KeyPurpose::Access, &first).is_none());

    // The row stays: a key id is never reused.
    let rows = store.keys.lock().expect("lock");
    let row = rows.iter().find(|key| key.kid == first).expect("its row");
    assert_eq!(row.state, KeyState::Retired);
}

#[tokio::test]
async fn every_step_of_a_keys_life_is_audited() {
    let (store, keys) = started().await;
    let publish = NOW.plus(DAY * 89);
    for at in [publish, publish.plus(DAY), publish.plus(DAY).plus(HOUR * 2)] {
        keys.tick(at).await.expect("a tick");
    }
    let actions = store.actions();
    let count = |action| actions.iter().filter(|done| **done == action).count();
    assert_eq!(count("signing_key.publish"), 6);
    assert_eq!(count("signing_key.activate"), 3);
    assert_eq!(count("signing_key.retire"), 1);
}

#[tokio::test]
async fn a_tick_with_nothing_due_writes_nothing() {
    let (store, keys) = started().await;
    for hours in 1..48 {
        keys.tick(NOW.plus(HOUR * hours)).await.expect("a tick");
    }
    assert_eq!(store.actions().len(), 3);
}

#[tokio::test]
async fn a_rotation_by_hand_publishes_first_and_activates_a_day_later() {
    let (_, keys) = started().await;
    let first = signer(&keys);
    let next = keys
        .rotate(KeyPurpose::Access, NOW, &ACTOR, "r")
        .await
        .expect("a rotation");
    assert_eq!(signer(&keys), first);
    assert!(published(&keys).contains(&next));
    // Asking again does not stack up keys.
    let again = keys
        .rotate(KeyPurpose::Access, NOW, &ACTOR, "r")
        .await
        .expect("a rotation");
    assert_eq!(again, next);
    keys.tick(NOW.plus(DAY)).await.expect("a tick");
    assert_eq!(signer(&keys), next);
}

#[tokio::test]
async fn a_hurried_key_signs_at_once_and_the_old_one_stays_published() {
    let (store, keys) = started().await;
    let first = signer(&keys);
    let hurry = || keys.activate(KeyPurpose::Access, NOW, &ACTOR, "r");
    hurry().await.expect("nothing to do");
    assert_eq!(signer(&keys), first, "none waits");
    let next = keys
        .rotate(KeyPurpose::Access, NOW, &ACTOR, "r")
        .await
        .expect("a rotation");
    assert_eq!(signer(&keys), first);
    hurry().await.expect("an activation");
    assert_eq!(signer(&keys), next);
    assert!(published(&keys).contains(&first));
    assert!(store.actions().contains(&"signing_key.activate"));
}

#[tokio::test]
async fn a_leaked_key_leaves_the_key_set_at_once() {
    let (store, keys) = started().await;
    let next = keys
        .drop_leaked(KeyPurpose::Access, NOW, &ACTOR, "r")
        .await
        .expect("a rotation");
    assert_eq!(published(&keys), [next]);
    // The other purposes keep theirs.
    assert!(keys.ring().signer(KeyPurpose::Upstream).is_some());
    assert!(store.actions().contains(&"signing_key.retire"));
}

#[tokio::test]
async fn another_algorithm_in_the_settings_is_rotated_in() {
    let (store, _) = started().await;
    let settings = KeySettings {
        access: Algorithm::EdDSA,
        ..KeySettings::default()
    };
    let keys = manager(&store, settings);
    keys.start(NOW).await.expect("a start");
    assert_eq!(keys.ring().algorithms(KeyPurpose::Access), ["ES256"]);
    keys.tick(NOW).await.expect("a tick");
    keys.tick(NOW.plus(DAY)).await.expect("a tick");
    let ring = keys.ring();
    assert_eq!(
        ring.signer(KeyPurpose::Access).map(|key| key.alg()),
        Some(Algorithm::EdDSA)
    );
    keys.tick(NOW.plus(DAY * 2)).await.expect("a tick");
    keys.tick(NOW.plus(DAY * 4)).await.expect("a tick");
    assert_eq!(keys.ring().algorithms(KeyPurpose::Access), ["EdDSA"]);
}

#[tokio::test]
async fn two_nodes_on_one_store_end_up_with_the_same_signer() {
    let (store, one) = started().await;
    let two = manager(&store, KeySettings::default());
    two.start(NOW).await.expect("a start");
    let publish = NOW.plus(DAY * 89);
    one.tick(publish).await.expect("a tick");
    two.reload().await.expect("a reload");
    // Both believe that the key is due; the second finds it activated.
    one.tick(publish.plus(DAY)).await.expect("a tick");
    two.tick(publish.plus(DAY)).await.expect("a tick");
    assert_eq!(signer(&one), signer(&two));
    let rows = store.keys.lock().expect("lock");
    let active = rows
        .iter()
        .filter(|key| key.state == KeyState::Active)
        .count();
    assert_eq!(active, KeyPurpose::ALWAYS.len());
}

#[tokio::test]
async fn i02_a_stored_key_is_of_no_use_without_the_master_key() {
    let (store, _) = started().await;
    let other = KeyEncryptionKey::from_bytes("k1", &Secret::new([8u8; 32])).expect("a key");
    let thief = KeyManager::new(
        store.clone(),
        Arc::new(KekRing::new(other)),
        KeySettings::default(),
        Arc::new(SystemEntropy),
    );
    assert!(matches!(
        thief.start(NOW).await,
        Err(KeyError::Sealed { .. })
    ));
    assert!(thief.ring().signer(KeyPurpose::Access).is_none());
}

#[tokio::test]
async fn a_row_whose_key_was_exchanged_is_refused_and_the_ring_stays() {
    let (store, keys) = started().await;
    let before = signer(&keys);
    {
        let mut rows = store.keys.lock().expect("lock");
        let other = rows[1].form.clone();
        rows[0].form = other;
    }
    assert!(matches!(keys.reload().await, Err(KeyError::Damaged { .. })));
    assert_eq!(signer(&keys), before);
}

#[tokio::test]
async fn the_published_set_holds_no_private_member() {
    let (_, keys) = started().await;
    let ring = keys.ring();
    for purpose in KeyPurpose::ALL {
        let set: Value = serde_json::from_str(ring.jwks(purpose)).expect("JSON");
        for key in set["keys"].as_array().expect("keys") {
            let mut names: Vec<_> = key.as_object().expect("a key").keys().collect();
            names.sort();
            assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        }
    }
}

/// With a key that encrypts.
async fn encrypting() -> (Arc<MemoryStore>, KeyManager<MemoryStore>) {
    let (store, keys) = started().await;
    keys.want(vec![LOCAL]);
    keys.tick(NOW).await.expect("a tick");
    (store, keys)
}

const LOCAL: KeyPurpose = KeyPurpose::AccessPasetoLocal;

fn encrypter(keys: &KeyManager<MemoryStore>) -> String {
    let ring = keys.ring();
    ring.encrypter(LOCAL).expect("a key").id().to_owned()
}

/// The ids of what opens, sorted.
fn openers(keys: &KeyManager<MemoryStore>) -> Vec<String> {
    let ring = keys.ring();
    let mut ids: Vec<_> = ring.openers(LOCAL).map(|(id, _)| id.to_owned()).collect();
    ids.sort();
    ids
}

fn place(row: &str) -> Aad<'_> {
    Aad {
        table: super::ring::TABLE,
        column: super::ring::COLUMN,
        row,
    }
}

#[tokio::test]
async fn a_key_that_encrypts_lives_the_same_life_and_opens_until_its_last_token_died() {
    let (store, keys) = encrypting().await;
    let first = encrypter(&keys);
    assert!(first.starts_with("k4.lid."), "{first}");
    let next = keys.rotate(LOCAL, NOW, &ACTOR, "r").await.expect("a key");
    // Another node has it before anything is encrypted with it.
    let other = manager(&store, KeySettings::default());
    other.start(NOW).await.expect("a start");
    let mut both = vec![first.clone(), next.clone()];
    both.sort();
    for node in [&keys, &other] {
        assert_eq!(encrypter(node), first);
        assert_eq!(openers(node), both);
    }
    keys.tick(NOW.plus(DAY)).await.expect("a tick");
    other.reload().await.expect("a reload");
    for node in [&keys, &other] {
        assert_eq!(encrypter(node), next);
        assert_eq!(openers(node), both);
    }
    keys.tick(NOW.plus(DAY).plus(HOUR * 2))
        .await
        .expect("a tick");
    assert_eq!(openers(&keys), [next.as_str()]);
    assert!(!keys.ring().knows(LOCAL, &first));
    let dropped = keys.drop_leaked(LOCAL, NOW.plus(DAY * 2), &ACTOR, "r");
    let last = dropped.await.expect("a key");
    assert_eq!(openers(&keys), [last.as_str()]);
}

#[tokio::test]
async fn i02_a_key_that_encrypts_is_published_nowhere_and_sealed() {
    let (store, keys) = encrypting().await;
    let ring = keys.ring();
    for purpose in KeyPurpose::ALL {
        assert!(!ring.jwks(purpose).contains("k4."), "{purpose:?}");
    }
    assert!(ring.signer(LOCAL).is_none() && ring.verifiers(LOCAL).next().is_none());
    assert!(!ring.issuer_jwks().contains("k4."));
    let rows = store.keys.lock().expect("lock");
    let row = rows.iter().find(|row| row.purpose == LOCAL).expect("a row");
    assert_eq!(row.form, KeyForm::Local);
    let opened = seal::open(&kek(), &place(&row.kid), &row.sealed).expect("under the master key");
    assert!(opened.expose().starts_with(b"k4.local."));
    let within = |part: &[u8]| row.sealed.windows(part.len()).any(|window| window == part);
    assert!(!within(&opened.expose()[..16]) && !within(b"k4.local."));
}

#[tokio::test]
async fn c01_a_key_of_one_form_is_never_taken_for_one_of_the_other() {
    let (store, keys) = encrypting().await;
    let before = openers(&keys);
    for (from, to) in [(LOCAL, KeyPurpose::Access), (KeyPurpose::Access, LOCAL)] {
        let move_over = |from, to| {
            let mut rows = store.keys.lock().expect("lock");
            let row = rows.iter_mut().find(|row| row.purpose == from);
            row.expect("a row").purpose = to;
        };
        move_over(from, to);
        let refused = keys.reload().await;
        assert!(matches!(refused, Err(KeyError::Damaged { .. })), "{to:?}");
        assert_eq!(openers(&keys), before, "the ring stays");
        let mut rows = store.keys.lock().expect("lock");
        for row in rows.iter_mut().filter(|row| row.purpose == to) {
            let local = row.form == KeyForm::Local;
            row.purpose = if local { LOCAL } else { KeyPurpose::Access };
        }
    }
}

#[tokio::test]
async fn a_key_under_another_keys_id_is_damaged() {
    let (store, keys) = encrypting().await;
    {
        let mut rows = store.keys.lock().expect("lock");
        let row = rows.iter_mut().find(|row| row.purpose == LOCAL);
        let row = row.expect("a row");
        let kek = kek();
        let opened = seal::open(&kek, &place(&row.kid), &row.sealed).expect("open");
        row.kid = "k4.lid.other".to_owned();
        let place = place(&row.kid);
        row.sealed = seal::seal(kek.current(), &place, opened.expose(), &SystemEntropy);
    }
    assert!(matches!(keys.reload().await, Err(KeyError::Damaged { .. })));
}
