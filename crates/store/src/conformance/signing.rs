//! What requests are signed with: sealed, rotated under one name, gone when nobody may use it.

use core::time::Duration;
use std::sync::Arc;

use proof::issued::{Brand, Environment, SigningKeyId};
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::actor::Actor;
use registry::credential::{Credential, CredentialType, Lookup, Moved, Renewed, Transition};
use registry::key::{ApiKeySpec, KeyType};
use registry::meaning::Context;
use registry::ports::{
    AuditTrail as _, CredentialFilter, Registry as _, SealedSecrets as _, StoreError,
};
use registry::resource::{Removed, ResourceKind};
use registry::signing::{MaterialForm, SigningMaterial, place};
use registry::units::Moment;
use registry::usecase::credential::Made;
use registry::usecase::signing_secret::{self, NewMaterial, NewSigningKey, Resealed};
use registry::usecase::{Ctx, Refusal};
use verdict::facts::{Records as _, Unavailable};
use verdict::identity::{LifeState, SigningKey, SigningMaterial as Judged, SigningScheme};

use super::{Bench, application, at, event, fresh};
use crate::Store;

super::on_both!(
    a_signing_key_is_found_by_its_public_name_with_all_it_signs_by,
    a_signing_key_is_listed_and_shown_like_any_credential,
    i02_a_stolen_database_gives_no_secret_without_the_master_key,
    i02_a_secret_in_clear_is_no_material,
    rotation_leaves_two_secrets_under_one_name_and_one_after_the_overlap,
    of_two_rotations_at_once_one_wins,
    a_third_secret_has_no_room_whatever_the_use_case_thought,
    a_revoked_key_keeps_no_secret,
    a_removed_application_takes_its_expired_secrets_along,
    a_signing_key_is_no_api_key,
    a_new_master_key_takes_over_while_others_look,
    a_copy_of_the_database_works_under_the_same_master_key,
    a_damaged_signing_key_is_unavailable_and_never_absent,
);

fn kek(id: &str, byte: u8) -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes(id, &Secret::new([byte; 32])).expect("a key")
}

fn master() -> Arc<KekRing> {
    Arc::new(KekRing::new(kek("first", 1)))
}

fn world() -> Context {
    Context {
        brand: Brand::default(),
        own_issuer: None,
        loopback_dev: true,
    }
}

fn ctx(context: &Context, now: Timestamp) -> Ctx<'_> {
    Ctx {
        now,
        entropy: &SystemEntropy,
        request_id: "request",
        context,
        files: &(),
    }
}

const ACTOR: Actor = Actor::System { part: "test" };

async fn made(store: &Store, scheme: SigningScheme, expires_at: Option<Timestamp>) -> Made {
    let spec = ApiKeySpec {
        application: "shop".into(),
        label: "partner".into(),
        r#type: KeyType::Secret,
        environment: Environment::Live,
        scopes: Vec::new(),
        apis: Vec::new(),
        roles: None,
        networks: None,
        origins: None,
        expires_at: expires_at.map(Moment),
        imported: None,
    };
    let context = world();
    let new = NewSigningKey {
        scheme,
        spec: &spec,
        material: NewMaterial::Made,
    };
    signing_secret::create(store, &master(), &ACTOR, &ctx(&context, at(0)), new)
        .await
        .expect("it is made")
}

async fn turned(
    store: &Store,
    id: &str,
    now: Timestamp,
    overlap: Duration,
) -> Result<Made, Refusal> {
    let context = world();
    signing_secret::rotate(
        store,
        &master(),
        &ACTOR,
        &ctx(&context, now),
        id,
        Some(overlap),
        NewMaterial::Made,
    )
    .await
}

fn name(credential: &Credential) -> String {
    match &credential.lookup {
        Lookup::SigningKeyId(id) => id.to_string(),
        other => panic!("{other:?}"),
    }
}

fn bytes(made: &Made) -> Vec<u8> {
    made.secret.as_ref().expect("is shown").expose().to_vec()
}

/// What verifies at a time, the newest first.
fn texts(key: &SigningKey, now: Timestamp) -> Vec<Vec<u8>> {
    key.secrets_at(now)
        .map(|one| one.text().expose().to_vec())
        .collect()
}

/// The store as the verdict asks it.
fn judging(store: &Store) -> Store {
    store.clone().with_master_key(master())
}

async fn a_signing_key_is_found_by_its_public_name_with_all_it_signs_by(bench: Bench) {
    let store = judging(&bench.store);
    application(&store, "shop").await;
    for scheme in SigningScheme::ALL {
        let made = made(&store, scheme, Some(at(60))).await;
        let name = name(&made.credential);
        let key = store.signing_key(&name).await.unwrap().expect("is there");
        assert_eq!((key.scheme, key.state), (scheme, LifeState::Active));
        assert_eq!(
            (key.key_id.to_string(), key.expires_at),
            (name, Some(at(60)))
        );
        assert_eq!(key.standing.credential.as_str(), made.credential.id);
        assert_eq!(
            key.standing.application.as_ref().map(|id| id.as_str()),
            Some("shop")
        );
        assert_eq!(texts(&key, at(0)), [bytes(&made)]);
    }
    for nobody in ["", "DWAK", "DWAK0000000000000000", "dwak0000000000000000"] {
        assert!(store.signing_key(nobody).await.unwrap().is_none());
    }
}

async fn a_signing_key_is_listed_and_shown_like_any_credential(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let mut all = Vec::new();
    for scheme in SigningScheme::ALL {
        all.push(made(store, scheme, None).await.credential);
    }
    store
        .add_credential(super::api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let filter = CredentialFilter {
        types: vec![CredentialType::SigningSecret],
        limit: 100,
        ..CredentialFilter::default()
    };
    all.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(store.credentials(&filter).await.unwrap(), all);
    let everything = CredentialFilter {
        limit: 100,
        ..CredentialFilter::default()
    };
    assert_eq!(store.credentials(&everything).await.unwrap().len(), 5);
    for one in all {
        assert_eq!(store.credential(&one.id).await.unwrap(), Some(one));
    }
}

async fn i02_a_stolen_database_gives_no_secret_without_the_master_key(bench: Bench) {
    let store = judging(&bench.store);
    application(&store, "shop").await;
    let (shared, webhook) = (
        made(&store, SigningScheme::SigV4, None).await,
        made(&store, SigningScheme::Webhook, None).await,
    );
    let dump = bench.dump().await;
    let holds = |part: &[u8]| dump.windows(part.len()).any(|window| window == part);
    assert!(
        holds(name(&shared.credential).as_bytes()) && holds(b"sigv4"),
        "the dump shows what is stored"
    );
    let whole = bytes(&shared);
    // The 16 of the id stand in the public name; what follows is the secret.
    assert!(!holds(&whole[whole.len() - 49..]));
    let text = bytes(&webhook);
    assert!(!holds(&text["whsec_".len()..]));
    let raw = proof::base64std::decode(&text["whsec_".len()..]).unwrap();
    assert!(!holds(&raw) && !holds(proof::digest::hex(&raw).as_bytes()));

    for thief in [
        bench.store.clone(),
        bench
            .store
            .clone()
            .with_master_key(Arc::new(KekRing::new(kek("first", 2)))),
        bench
            .store
            .clone()
            .with_master_key(Arc::new(KekRing::new(kek("other", 1)))),
    ] {
        let answer = thief.signing_key(&name(&shared.credential)).await;
        assert!(matches!(answer, Err(Unavailable::Store)), "{answer:?}");
    }
}

async fn i02_a_secret_in_clear_is_no_material(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let good = made(store, SigningScheme::Hmac, None).await.credential;
    let clear = b"dw_hs_live_the-very-secret".to_vec();
    let another = |form| {
        let mut one = good.clone();
        one.id = fresh("sgn_");
        one.lookup =
            Lookup::SigningKeyId(SigningKeyId::parse("DWAK0000000000000000").expect("is a name"));
        let material = &mut one.signing.as_mut().expect("signs").material[0];
        material.id = fresh("");
        material.form = form;
        one
    };
    let unsealed = another(MaterialForm::Shared {
        sealed: clear.clone(),
    });
    let hidden = Credential {
        verifier: String::from_utf8(clear).expect("is text"),
        ..another(MaterialForm::Shared { sealed: Vec::new() })
    };
    let nothing = Credential {
        signing: None,
        ..good.clone()
    };
    for bad in [unsealed, hidden, nothing] {
        let answer = store.add_credential(bad, event("x.create")).await;
        let Err(StoreError::Broken(text)) = answer else {
            panic!("{answer:?}")
        };
        assert!(!text.contains("the-very-secret"), "{text}");
    }
}

async fn rotation_leaves_two_secrets_under_one_name_and_one_after_the_overlap(bench: Bench) {
    let store = judging(&bench.store);
    application(&store, "shop").await;
    let first = made(&store, SigningScheme::Hmac, None).await;
    let name = name(&first.credential);
    let second = turned(
        &store,
        &first.credential.id,
        at(10),
        Duration::from_secs(60),
    )
    .await
    .expect("is rotated");
    assert_eq!(second.credential.version, 2);
    assert_eq!(
        store
            .credential(&first.credential.id)
            .await
            .unwrap()
            .as_ref(),
        Some(&second.credential)
    );
    let both = [bytes(&second), bytes(&first)];
    let key = store.signing_key(&name).await.unwrap().expect("is there");
    assert_eq!(texts(&key, at(69)), both);
    assert_eq!(texts(&key, at(70)), both[..1]);

    assert_eq!(store.sweep(at(69)).await.unwrap().signing, 0);
    assert_eq!(store.sweep(at(70)).await.unwrap().signing, 1);
    let key = store.signing_key(&name).await.unwrap().expect("is there");
    assert_eq!(texts(&key, at(10)), both[..1], "the older one is gone");
    let actions: Vec<_> = store
        .audit_events(0, 100, true)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.action)
        .collect();
    assert_eq!(
        actions[1..],
        ["signing_secret.create", "signing_secret.rotate"]
    );
}

async fn of_two_rotations_at_once_one_wins(bench: Bench) {
    let store = judging(&bench.store);
    let other = bench.another_node().await;
    application(&store, "shop").await;
    let first = made(&store, SigningScheme::Hmac, None).await;
    let id = first.credential.id.clone();
    // Both have read the same version; no overlap, so that only the version tells them apart.
    let (a, b) = tokio::join!(
        renewed(&store, &id, at(10), 1),
        renewed(&other, &id, at(10), 1)
    );
    let won = [&a, &b]
        .into_iter()
        .filter(|one| matches!(one, Renewed::Done(_)))
        .count();
    let lost = [&a, &b]
        .into_iter()
        .filter(|one| matches!(one, Renewed::Conflict { current: 2 }))
        .count();
    assert_eq!((won, lost), (1, 1), "{a:?} {b:?}");
    let key = store.signing_key(&name(&first.credential)).await.unwrap();
    assert_eq!(texts(&key.expect("is there"), at(10)).len(), 1);
}

/// New material at once, past the use case.
async fn renewed(store: &Store, id: &str, now: Timestamp, expected: i64) -> Renewed {
    renewed_until(store, id, now, now, expected).await
}

async fn renewed_until(
    store: &Store,
    id: &str,
    now: Timestamp,
    old_ends: Timestamp,
    expected: i64,
) -> Renewed {
    let material = fresh("");
    let secret = proof::webhook::SharedKey::generate(&SystemEntropy).to_text();
    let sealed = proof::seal::seal(
        master().current(),
        &place(&material),
        secret.expose(),
        &SystemEntropy,
    );
    let new = SigningMaterial {
        id: material,
        form: MaterialForm::Shared { sealed },
        created_at: now,
        until: None,
    };
    store
        .renew_signing(id, new, old_ends, expected, event("signing_secret.rotate"))
        .await
        .expect("the store answers")
}

async fn a_third_secret_has_no_room_whatever_the_use_case_thought(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let id = made(store, SigningScheme::Hmac, None).await.credential.id;
    let second = renewed_until(store, &id, at(10), at(100), 1).await;
    assert!(matches!(second, Renewed::Done(_)), "{second:?}");
    let third = renewed_until(store, &id, at(20), at(100), 2).await;
    assert_eq!(third, Renewed::TwoValid);
    // Nothing of it stayed: neither the ends, nor the numbers that it took.
    let version = store
        .credential(&id)
        .await
        .unwrap()
        .expect("is there")
        .version;
    assert_eq!(version, 2);
    assert_eq!(store.newest_change().await.unwrap(), 3);
    let later = renewed_until(store, &id, at(100), at(200), 2).await;
    assert!(matches!(later, Renewed::Done(_)), "{later:?}");
    let unknown = renewed_until(store, "sgn_none", at(0), at(0), 1).await;
    assert_eq!(unknown, Renewed::Unknown);
    store
        .move_credential(&id, Transition::Suspend, None, event("x"))
        .await
        .unwrap();
    let asleep = renewed_until(store, &id, at(200), at(200), 4).await;
    assert_eq!(asleep, Renewed::WrongState(LifeState::Suspended));
}

async fn a_revoked_key_keeps_no_secret(bench: Bench) {
    let store = judging(&bench.store);
    application(&store, "shop").await;
    let one = made(&store, SigningScheme::Webhook, None).await.credential;
    let other = made(&store, SigningScheme::Webhook, None).await.credential;
    turned(&store, &one.id, at(1), Duration::from_secs(60))
        .await
        .expect("is rotated");
    let kept = async || store.sealed_otherwise("none", "", 100).await.unwrap().len();
    assert_eq!(kept().await, 3);
    let moved = store
        .move_credential(&one.id, Transition::Revoke, None, event("x"))
        .await
        .unwrap();
    let Moved::Done(moved) = moved else {
        panic!("{moved:?}")
    };
    assert_eq!(moved.signing.expect("signs").material, []);
    assert_eq!(kept().await, 1, "the other key's stays");
    let key = store.signing_key(&name(&one)).await.unwrap();
    let key = key.expect("it is known to be revoked");
    assert_eq!(key.state, LifeState::Revoked);
    assert!(matches!(&key.material, Judged::Shared(none) if none.is_empty()));
    let key = store.signing_key(&name(&other)).await.unwrap();
    assert_eq!(texts(&key.expect("is there"), at(1)).len(), 1);
}

async fn a_removed_application_takes_its_expired_secrets_along(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    made(store, SigningScheme::Hmac, Some(at(60))).await;
    let remove = |now: i64| {
        let mut audit = event("resource.delete");
        audit.at = at(now);
        store.remove_resource(ResourceKind::Application, "shop", None, false, audit)
    };
    assert_eq!(remove(59).await.unwrap(), Removed::InUse { credentials: 1 });
    assert_eq!(remove(60).await.unwrap(), Removed::Done);
    assert_eq!(store.sealed_otherwise("none", "", 100).await.unwrap(), []);
}

async fn a_signing_key_is_no_api_key(bench: Bench) {
    let store = judging(&bench.store);
    application(&store, "shop").await;
    let made = made(&store, SigningScheme::Hmac, None).await.credential;
    let Lookup::SigningKeyId(id) = made.lookup else {
        panic!("by its public name")
    };
    // The secret carries the id in our grammar; shown as an API key it finds nothing.
    assert!(store.key_by_id(id.key_id()).await.unwrap().is_none());
    assert!(
        store
            .credential_by_key_id(id.key_id())
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_new_master_key_takes_over_while_others_look(bench: Bench) {
    let old = judging(&bench.store);
    application(&old, "shop").await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(made(&old, SigningScheme::Hmac, None).await);
    }
    let both = Arc::new(KekRing::new(kek("second", 2)).with_previous(kek("first", 1)));
    let (store, other) = (
        bench.store.clone().with_master_key(both.clone()),
        bench.another_node().await,
    );
    let context = world();
    let ctx = ctx(&context, at(5));
    let (a, b) = tokio::join!(
        signing_secret::reseal(&store, &both, &ctx),
        signing_secret::reseal(&other, &both, &ctx)
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.done + b.done, a.closed + b.closed), (3, 0));
    assert_eq!(store.sealed_otherwise("second", "", 100).await.unwrap(), []);

    let new = bench
        .store
        .clone()
        .with_master_key(Arc::new(KekRing::new(kek("second", 2))));
    for made in &all {
        let name = name(&made.credential);
        for node in [&new, &store] {
            let key = node.signing_key(&name).await.unwrap().expect("is there");
            assert_eq!(texts(&key, at(5)), [bytes(made)]);
        }
        // The former master key alone opens nothing any more.
        let answer = old.signing_key(&name).await;
        assert!(matches!(answer, Err(Unavailable::Store)), "{answer:?}");
    }
    let stranger = KekRing::new(kek("third", 3));
    let found = signing_secret::reseal(&store, &stranger, &ctx)
        .await
        .unwrap();
    assert_eq!(found, Resealed { done: 0, closed: 3 });
    let noted = store
        .audit_events(0, 100, true)
        .await
        .unwrap()
        .into_iter()
        .filter(|event| event.action == "signing_secret.reseal")
        .map(|event| event.details["secrets"].parse::<u64>().expect("a number"))
        .sum::<u64>();
    assert_eq!(noted, 3, "what was sealed anew stands in the audit trail");
}

async fn a_copy_of_the_database_works_under_the_same_master_key(bench: Bench) {
    application(&bench.store, "shop").await;
    let made = made(&bench.store, SigningScheme::SigV4, None).await;
    bench.store.close().await;
    let again = bench.another_node().await.with_master_key(master());
    let key = again.signing_key(&name(&made.credential)).await.unwrap();
    assert_eq!(texts(&key.expect("is there"), at(0)), [bytes(&made)]);
}

async fn a_damaged_signing_key_is_unavailable_and_never_absent(bench: Bench) {
    let store = judging(&bench.store);
    application(&store, "shop").await;
    let made = made(&store, SigningScheme::SigV4, None).await.credential;
    for damage in [
        "UPDATE signing_material SET kind = 'clear'",
        "UPDATE signing_material SET kind = 'shared', id = 'moved'",
        "DELETE FROM resources",
        "UPDATE credentials SET scheme = 'sigv9'",
        "UPDATE credentials SET scheme = NULL",
    ] {
        bench.damage(damage).await;
        let answer = store.signing_key(&name(&made)).await;
        assert!(
            matches!(answer, Err(Unavailable::Store)),
            "{damage}: {answer:?}"
        );
    }
}
