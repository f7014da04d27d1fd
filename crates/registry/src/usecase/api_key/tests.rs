use core::time::Duration;

use proof::issued::{Environment, SecretKind, parse};

use super::*;
use crate::actor::Role;
use crate::ports::CredentialFilter;
use crate::usecase::credential::{self, Amendment, Family};
use crate::usecase::tests::{Full, House, Quick, administrator, owner, why};

pub(crate) fn spec() -> ApiKeySpec {
    ApiKeySpec {
        application: "shop".to_owned(),
        label: "web shop".to_owned(),
        r#type: KeyType::Secret,
        environment: Environment::Live,
        scopes: vec!["orders:read".to_owned()],
        apis: vec!["orders".to_owned()],
        roles: None,
        networks: None,
        origins: None,
        expires_at: None,
        imported: None,
    }
}

async fn created(house: &House) -> Made {
    create(&house.store, &Quick, &owner(), &house.ctx(), &spec())
        .await
        .expect("is made")
}

#[tokio::test]
async fn a_keys_secret_is_shown_once_and_only_its_hash_is_kept() {
    let house = House::furnished().await;
    let made = created(&house).await;
    let secret = made.secret.expect("is shown");
    let key = parse(secret.expose(), &house.context.brand).expect("is in our grammar");
    assert_eq!(
        (key.kind, key.environment),
        (SecretKind::SecretKey, Environment::Live)
    );
    let stored = credential::show(&house.store, &owner(), &made.credential.id)
        .await
        .expect("is there");
    assert_eq!(stored.lookup, Lookup::KeyId(key.id));
    assert!(
        Verifier::parse(&stored.verifier)
            .expect("reads")
            .verify(secret.expose(), None)
    );
    let clear = secret.expose_text().expect("is text");
    assert!(!format!("{stored:?} {:?}", house.store.audit.lock()).contains(clear));
    assert!(clear.starts_with(stored.display.trim_end_matches('…')));
    assert_eq!(
        house.store.events(),
        [format!("api_key.create api_key/{}", stored.id)]
    );
}

#[tokio::test]
async fn a_key_for_what_is_not_there_is_refused_with_its_flaws() {
    let house = House::furnished().await;
    let wrong = ApiKeySpec {
        application: "shopp".to_owned(),
        r#type: KeyType::Publishable,
        scopes: vec!["orders:delete".to_owned()],
        ..spec()
    };
    let refusal = create(&house.store, &Quick, &owner(), &house.ctx(), &wrong)
        .await
        .expect_err("is flawed");
    let Refusal::Flawed(flaws) = refusal else {
        panic!("{refusal}")
    };
    let places: Vec<_> = flaws.iter().map(crate::flaw::Flaw::place).collect();
    assert_eq!(places, ["spec.application", "spec.scopes[0]", "spec.type"]);
    assert!(house.store.credentials.lock().expect("is sound").is_empty());
}

#[tokio::test]
async fn a_full_hashing_pool_leaves_nothing_behind() {
    let house = House::furnished().await;
    let refusal = create(&house.store, &Full, &owner(), &house.ctx(), &spec()).await;
    assert!(matches!(refusal, Err(Refusal::Hashing(_))));
    assert!(house.store.credentials.lock().expect("is sound").is_empty());
}

#[tokio::test]
async fn a_key_sleeps_wakes_and_ends_for_good() {
    let house = House::furnished().await;
    let id = created(&house).await.credential.id;
    let (store, ctx, who) = (&house.store, &house.ctx(), owner());
    let state = |credential: Credential| credential.state;
    assert_eq!(
        credential::suspend(store, &who, ctx, &id, None)
            .await
            .map(state)
            .ok(),
        Some(LifeState::Suspended)
    );
    assert_eq!(
        why(credential::suspend(store, &who, ctx, &id, None).await),
        "it is suspended"
    );
    assert_eq!(
        credential::resume(store, &who, ctx, &id, None)
            .await
            .map(state)
            .ok(),
        Some(LifeState::Active)
    );
    assert!(matches!(
        credential::revoke(store, &who, ctx, &id, Some(1)).await,
        Err(Refusal::Conflict { current: 3 })
    ));
    assert_eq!(
        credential::revoke(store, &who, ctx, &id, Some(3))
            .await
            .map(state)
            .ok(),
        Some(LifeState::Revoked)
    );
    assert_eq!(
        why(credential::resume(store, &who, ctx, &id, None).await),
        "it is revoked"
    );
    let acts: Vec<_> = house
        .store
        .events()
        .iter()
        .map(|e| e.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        acts,
        [
            "api_key.create",
            "api_key.suspend",
            "api_key.resume",
            "api_key.revoke"
        ]
    );
}

#[tokio::test]
async fn a_rotated_key_and_its_successor_are_both_valid_for_the_overlap() {
    let house = House::furnished().await;
    let old = created(&house).await.credential;
    let (store, who) = (&house.store, owner());
    let replaced = credential::rotate(store, &Quick, &who, &house.ctx(), &old.id, None, None)
        .await
        .expect("is active");
    let new = &replaced.new.credential;
    assert_eq!(
        (&new.grant, &new.label, &new.owner),
        (&old.grant, &old.label, &old.owner)
    );
    assert_ne!(new.lookup, old.lookup);
    let later = |days: u64| house.now.plus(Duration::from_secs(days * 86_400));
    for (at, both) in [(later(6), true), (later(8), false)] {
        assert_eq!(
            (replaced.old.is_valid_at(at), new.is_valid_at(at)),
            (both, true)
        );
    }
    let again = credential::rotate(store, &Quick, &who, &house.ctx(), &old.id, None, None).await;
    assert_eq!(
        why(again),
        format!("it was rotated already; its successor is {}", new.id)
    );
}

#[tokio::test]
async fn a_rotated_key_can_not_be_made_to_outlive_its_overlap() {
    let house = House::furnished().await;
    let old = created(&house).await.credential;
    let (store, who, ctx) = (&house.store, owner(), house.ctx());
    let replaced = credential::rotate(store, &Quick, &who, &ctx, &old.id, None, None)
        .await
        .expect("is active");
    let until = |expires_at| Amendment {
        expires_at: Some(expires_at),
        ..Amendment::default()
    };
    let for_ever = credential::amend(store, &who, &ctx, &old.id, until(None), None).await;
    assert_eq!(
        why(for_ever),
        format!(
            "it was rotated already; its successor is {}",
            replaced.new.credential.id
        )
    );
    let sooner = house.now.plus(Duration::from_secs(60));
    let sooner = until(Some(sooner));
    credential::amend(store, &who, &ctx, &old.id, sooner, None)
        .await
        .expect("an overlap may be cut short");
}

#[tokio::test]
async fn an_overlap_can_be_nothing_and_is_bounded() {
    let house = House::furnished().await;
    let id = created(&house).await.credential.id;
    let ctx = house.ctx();
    let rotate = |overlap| {
        credential::rotate(
            &house.store,
            &Quick,
            ctx_actor(),
            &ctx,
            &id,
            Some(overlap),
            None,
        )
    };
    assert!(matches!(
        rotate(Duration::from_secs(91 * 86_400)).await,
        Err(Refusal::Invalid {
            field: "overlap",
            ..
        })
    ));
    let replaced = rotate(Duration::ZERO).await.expect("is active");
    assert!(!replaced.old.is_valid_at(house.now));
    assert!(replaced.new.credential.is_valid_at(house.now));
}

fn ctx_actor() -> &'static Actor {
    static ACTOR: std::sync::LazyLock<Actor> = std::sync::LazyLock::new(owner);
    &ACTOR
}

#[tokio::test]
async fn only_a_living_key_is_rotated() {
    let mut house = House::furnished().await;
    let (a, b) = (
        created(&house).await.credential.id,
        created(&house).await.credential.id,
    );
    let end = house.now.plus(Duration::from_secs(10));
    let amendment = Amendment {
        expires_at: Some(Some(end)),
        ..Amendment::default()
    };
    credential::amend(&house.store, &owner(), &house.ctx(), &a, amendment, None)
        .await
        .expect("lives");
    credential::suspend(&house.store, &owner(), &house.ctx(), &b, None)
        .await
        .expect("lives");
    house.now = end;
    let ctx = house.ctx();
    let expired = credential::rotate(&house.store, &Quick, &owner(), &ctx, &a, None, None).await;
    assert_eq!(why(expired), "it has expired");
    let asleep = credential::rotate(&house.store, &Quick, &owner(), &ctx, &b, None, None).await;
    assert_eq!(why(asleep), "it is suspended");
}

#[tokio::test]
async fn an_amended_grant_is_checked_like_a_new_one() {
    let house = House::furnished().await;
    let id = created(&house).await.credential.id;
    let grant = Grant {
        apis: vec!["nothing".to_owned()],
        ..Grant::default()
    };
    let amendment = Amendment {
        grant: Some(grant),
        ..Amendment::default()
    };
    let refused =
        credential::amend(&house.store, &owner(), &house.ctx(), &id, amendment, None).await;
    assert!(matches!(refused, Err(Refusal::Flawed(_))));
    let amendment = Amendment {
        label: Some("a\nb".to_owned()),
        ..Amendment::default()
    };
    let refused =
        credential::amend(&house.store, &owner(), &house.ctx(), &id, amendment, None).await;
    assert!(matches!(
        refused,
        Err(Refusal::Invalid { field: "label", .. })
    ));
}

#[tokio::test]
async fn a_foreign_key_comes_in_by_its_hash_and_is_found_by_what_is_presented() {
    let house = House::furnished().await;
    let digest = proof::digest::hex(&proof::digest::sha256(b"old_key"));
    let imported = |verifier: &str, prefix: Option<&str>| ApiKeySpec {
        imported: Some(ImportedKey {
            verifier: verifier.to_owned(),
            prefix: prefix.map(str::to_owned),
        }),
        ..spec()
    };
    let by_digest = import(
        &house.store,
        &owner(),
        &house.ctx(),
        &imported(&format!("sha256${digest}"), None),
    )
    .await;
    assert_eq!(by_digest.expect("is usable").lookup, Lookup::Digest(digest));
    let bcrypt = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let by_prefix = import(
        &house.store,
        &owner(),
        &house.ctx(),
        &imported(bcrypt, Some("old_abc")),
    )
    .await;
    assert_eq!(
        by_prefix.expect("is usable").lookup,
        Lookup::Prefix("old_abc".to_owned())
    );
    for (verifier, prefix) in [(bcrypt, None), ("secret in clear", Some("old_"))] {
        let refused = import(
            &house.store,
            &owner(),
            &house.ctx(),
            &imported(verifier, prefix),
        )
        .await;
        assert!(matches!(refused, Err(Refusal::Flawed(_))), "{verifier}");
    }
    let nothing = import(&house.store, &owner(), &house.ctx(), &spec()).await;
    assert!(matches!(
        nothing,
        Err(Refusal::Invalid {
            field: "imported",
            ..
        })
    ));
}

#[tokio::test]
async fn an_operator_makes_keys_and_an_auditor_only_lists_them() {
    let house = House::furnished().await;
    let (operator, auditor) = (administrator(Role::Operator), administrator(Role::Auditor));
    let made = create(&house.store, &Quick, &operator, &house.ctx(), &spec())
        .await
        .expect("may");
    let id = &made.credential.id;
    assert_eq!(
        why(create(&house.store, &Quick, &auditor, &house.ctx(), &spec()).await),
        "api_key.create is not allowed"
    );
    assert_eq!(
        why(credential::revoke(&house.store, &auditor, &house.ctx(), id, None).await),
        "api_key.revoke is not allowed"
    );
    let filter = CredentialFilter {
        limit: 10,
        ..CredentialFilter::default()
    };
    let listed = credential::list(&house.store, &auditor, Family::ApiKey, filter.clone()).await;
    assert_eq!(listed.expect("may read").len(), 1);
    let others = credential::list(&house.store, &auditor, Family::Password, filter).await;
    assert_eq!(others.expect("may read").len(), 0);
}

#[tokio::test]
async fn an_id_of_another_family_opens_nothing() {
    let house = House::furnished().await;
    let id = created(&house).await.credential.id.replace("key_", "sec_");
    assert_eq!(
        why(credential::revoke(&house.store, &owner(), &house.ctx(), &id, None).await),
        format!("there is no credential `{id}`")
    );
    assert_eq!(
        why(credential::show(&house.store, &owner(), "nonsense").await),
        "there is no credential `nonsense`"
    );
}
