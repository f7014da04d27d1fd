//! Credentials: each outcome of each transition, races, and what the database may hold.

use proof::issued::KeyId;
use proof::random::SystemEntropy;
use registry::credential::{Credential, CredentialType, Grant, Lookup, Moved, Rotated, Transition};
use registry::ports::{AuditTrail as _, CredentialFilter, Registry as _, StoreError};
use registry::resource::ResourceKind;
use serde_json::json;
use verdict::identity::LifeState::{Active, Revoked, Suspended};

use super::{Bench, SECRET, api_key, application, at, event, fresh, put};

super::on_both!(
    a_credential_is_found_by_its_id_and_by_its_key_id,
    a_taken_id_or_lookup_is_refused,
    a_credential_needs_its_owner,
    i02_a_secret_in_clear_is_no_verifier,
    i02_the_database_holds_no_secret_in_clear,
    a_credential_moves_through_its_life_and_not_otherwise,
    a_move_with_the_wrong_expectation_is_a_conflict,
    rotation_adds_a_successor_and_ends_the_old_one,
    rotation_never_lengthens_a_life,
    only_an_active_credential_without_successor_is_rotated,
    of_two_rotators_one_wins,
    credentials_are_listed_by_filter_and_page,
    a_damaged_credential_is_an_error_and_no_panic,
    a_change_that_fails_half_way_leaves_nothing,
);

async fn a_credential_is_found_by_its_id_and_by_its_key_id(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = api_key("shop");
    let Lookup::KeyId(key_id) = key.lookup else {
        panic!("by key id")
    };
    let stored = store
        .add_credential(key.clone(), event("api_key.create"))
        .await
        .unwrap();
    assert_eq!(stored, key);
    assert_eq!(
        store.credential(&key.id).await.unwrap().as_ref(),
        Some(&key)
    );
    assert_eq!(store.credential_by_key_id(key_id).await.unwrap(), Some(key));
    assert_eq!(store.credential("key_none").await.unwrap(), None);
    let other = KeyId::generate(&SystemEntropy);
    assert_eq!(store.credential_by_key_id(other).await.unwrap(), None);
}

async fn a_taken_id_or_lookup_is_refused(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = api_key("shop");
    store
        .add_credential(key.clone(), event("api_key.create"))
        .await
        .unwrap();
    let same_id = Credential {
        lookup: Lookup::Owner,
        ..key.clone()
    };
    let same_lookup = Credential {
        id: fresh("key_"),
        ..key.clone()
    };
    for taken in [same_id, same_lookup] {
        let answer = store.add_credential(taken, event("api_key.create")).await;
        assert!(matches!(answer, Err(StoreError::Broken(_))), "{answer:?}");
    }
    // Those that are found by their owner only may be many.
    for _ in 0..2 {
        let many = Credential {
            id: fresh("key_"),
            lookup: Lookup::Owner,
            ..key.clone()
        };
        store
            .add_credential(many, event("api_key.create"))
            .await
            .unwrap();
    }
}

async fn a_credential_needs_its_owner(bench: Bench) {
    let store = &bench.store;
    let answer = store
        .add_credential(api_key("nobody"), event("api_key.create"))
        .await;
    assert!(matches!(answer, Err(StoreError::Broken(_))), "{answer:?}");
    let admin = Credential {
        r#type: CredentialType::AdminKey,
        owner: "-".into(),
        ..api_key("-")
    };
    store
        .add_credential(admin, event("admin_key.create"))
        .await
        .unwrap();
}

async fn i02_a_secret_in_clear_is_no_verifier(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    for clear in [SECRET, "", "dw_sk_live_0000000000000000"] {
        let key = Credential {
            verifier: clear.into(),
            ..api_key("shop")
        };
        let answer = store.add_credential(key, event("api_key.create")).await;
        let Err(StoreError::Broken(text)) = answer else {
            panic!("{answer:?}")
        };
        assert!(clear.is_empty() || !text.contains(clear), "{text}");
    }
}

async fn i02_the_database_holds_no_secret_in_clear(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    store
        .rotate_credential(&key.id, api_key("shop"), at(60), event("api_key.rotate"))
        .await
        .unwrap();
    let dump = bench.dump().await;
    let holds = |text: &str| {
        dump.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(
        holds(&key.id) && holds("argon2id"),
        "the dump shows what is stored"
    );
    assert!(!holds(SECRET));
}

async fn a_credential_moves_through_its_life_and_not_otherwise(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let amend = || Transition::Amend {
        label: "other".into(),
        grant: Grant {
            scopes: vec!["a".into(), "b".into()],
            ..Grant::default()
        },
        expires_at: None,
    };
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let mut version = 1;
    for (transition, outcome) in [
        (Transition::Resume, Err(Active)),
        (Transition::Suspend, Ok(Suspended)),
        (Transition::Suspend, Err(Suspended)),
        (amend(), Ok(Suspended)),
        (Transition::Resume, Ok(Active)),
        (amend(), Ok(Active)),
        (Transition::Suspend, Ok(Suspended)),
        (Transition::Revoke, Ok(Revoked)),
        (Transition::Revoke, Err(Revoked)),
        (Transition::Resume, Err(Revoked)),
        (Transition::Suspend, Err(Revoked)),
        (amend(), Err(Revoked)),
    ] {
        let moved = store
            .move_credential(&key.id, transition.clone(), None, event("move"))
            .await
            .unwrap();
        match outcome {
            Ok(state) => {
                version += 1;
                let Moved::Done(now) = moved else {
                    panic!("{transition:?}: {moved:?}")
                };
                assert_eq!((now.state, now.version), (state, version), "{transition:?}");
                if let Transition::Amend {
                    label,
                    grant,
                    expires_at,
                } = transition
                {
                    assert_eq!(
                        (&now.label, &now.grant, now.expires_at),
                        (&label, &grant, expires_at)
                    );
                }
                assert_eq!(store.credential(&key.id).await.unwrap(), Some(now));
            }
            Err(state) => assert_eq!(moved, Moved::WrongState(state), "{transition:?}"),
        }
    }
    let unknown = store
        .move_credential("key_none", Transition::Revoke, None, event("move"))
        .await;
    assert_eq!(unknown.unwrap(), Moved::Unknown);
    // One change and one audit event for each that happened, none for the others.
    assert_eq!(store.newest_change().await.unwrap(), version + 1);
    assert_eq!(
        store.audit_events(0, 100, true).await.unwrap().len() as i64,
        version + 1
    );
}

async fn a_move_with_the_wrong_expectation_is_a_conflict(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let revoke =
        |expected| store.move_credential(&key.id, Transition::Revoke, expected, event("move"));
    assert_eq!(
        revoke(Some(2)).await.unwrap(),
        Moved::Conflict { current: 1 }
    );
    assert!(matches!(revoke(Some(1)).await.unwrap(), Moved::Done(_)));
}

async fn rotation_adds_a_successor_and_ends_the_old_one(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let next = api_key("shop");
    let rotated = store
        .rotate_credential(&key.id, next.clone(), at(60), event("api_key.rotate"))
        .await
        .unwrap();
    let Rotated::Done { old, new } = rotated else {
        panic!("{rotated:?}")
    };
    assert_eq!(
        (old.expires_at, old.state, old.version),
        (Some(at(60)), Active, 2)
    );
    assert_eq!(old.successor.as_deref(), Some(&*next.id));
    assert_eq!(new, next);
    assert_eq!(store.credential(&key.id).await.unwrap(), Some(old));
    assert_eq!(store.credential(&next.id).await.unwrap(), Some(next));
    let changes = store.changes_after(2, 10).await.unwrap();
    assert_eq!(changes.len(), 2, "both are announced");
}

async fn rotation_never_lengthens_a_life(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let late = at(10_000_000);
    let rotated = store
        .rotate_credential(&key.id, api_key("shop"), late, event("rotate"))
        .await
        .unwrap();
    let Rotated::Done { old, .. } = rotated else {
        panic!("{rotated:?}")
    };
    assert_eq!(old.expires_at, key.expires_at);
}

async fn only_an_active_credential_without_successor_is_rotated(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    application(store, "other").await;
    let rotate = |id: String, next: Credential| async move {
        store
            .rotate_credential(&id, next, at(60), event("rotate"))
            .await
    };
    assert_eq!(
        rotate("key_none".into(), api_key("shop")).await.unwrap(),
        Rotated::Unknown
    );

    let asleep = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    store
        .move_credential(&asleep.id, Transition::Suspend, None, event("suspend"))
        .await
        .unwrap();
    assert_eq!(
        rotate(asleep.id, api_key("shop")).await.unwrap(),
        Rotated::WrongState(Suspended)
    );

    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let foreign = rotate(key.id.clone(), api_key("other")).await;
    assert!(matches!(foreign, Err(StoreError::Broken(_))), "{foreign:?}");
    let next = api_key("shop");
    rotate(key.id.clone(), next.clone()).await.unwrap();
    let again = rotate(key.id, api_key("shop")).await.unwrap();
    assert_eq!(again, Rotated::AlreadyRotated { successor: next.id });
}

async fn of_two_rotators_one_wins(bench: Bench) {
    let (one, two) = (bench.store.clone(), bench.another_node().await);
    application(&one, "shop").await;
    for _ in 0..5 {
        let key = one
            .add_credential(api_key("shop"), event("api_key.create"))
            .await
            .unwrap();
        let (a, b) = tokio::join!(
            one.rotate_credential(&key.id, api_key("shop"), at(60), event("rotate")),
            two.rotate_credential(&key.id, api_key("shop"), at(60), event("rotate")),
        );
        let (winner, loser) = match (a.unwrap(), b.unwrap()) {
            (done @ Rotated::Done { .. }, other) | (other, done @ Rotated::Done { .. }) => {
                (done, other)
            }
            neither => panic!("{neither:?}"),
        };
        let Rotated::Done { new, .. } = winner else {
            panic!("it was done")
        };
        assert_eq!(loser, Rotated::AlreadyRotated { successor: new.id });
    }
    let all = one
        .credentials(&CredentialFilter {
            limit: 100,
            ..CredentialFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(all.len(), 10, "each loser left nothing behind");
}

async fn credentials_are_listed_by_filter_and_page(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    application(store, "other").await;
    store
        .put_resource(
            put(ResourceKind::Client, "shop", json!({}), None),
            event("create"),
        )
        .await
        .unwrap();
    let mut ids = Vec::new();
    for (kind, owner) in [
        (CredentialType::ApiKey, "shop"),
        (CredentialType::PublishableKey, "shop"),
        (CredentialType::ApiKey, "other"),
        (CredentialType::ClientSecret, "shop"),
        (CredentialType::ApiKey, "shop"),
    ] {
        let credential = Credential {
            r#type: kind,
            ..api_key(owner)
        };
        ids.push(credential.id.clone());
        store
            .add_credential(credential, event("create"))
            .await
            .unwrap();
    }
    let found = |types: &[CredentialType], owner: Option<&str>, after: Option<&str>, limit| {
        let filter = CredentialFilter {
            types: types.to_vec(),
            owner: owner.map(Into::into),
            after: after.map(Into::into),
            limit,
        };
        async move {
            let list = store.credentials(&filter).await.unwrap();
            list.into_iter()
                .map(|credential| credential.id)
                .collect::<Vec<_>>()
        }
    };
    let keys = [CredentialType::ApiKey, CredentialType::PublishableKey];
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(found(&[], None, None, 1000).await, sorted);
    assert_eq!(
        found(&[], None, None, 0).await.len(),
        1,
        "a limit is at least one"
    );
    assert_eq!(found(&keys, Some("shop"), None, 10).await.len(), 3);
    assert_eq!(
        found(&[CredentialType::ClientSecret], None, None, 10).await,
        [ids[3].clone()]
    );
    let first = found(&[], None, None, 2).await;
    let second = found(&[], None, Some(&first[1]), 10).await;
    assert_eq!([first, second].concat(), sorted);
}

async fn a_damaged_credential_is_an_error_and_no_panic(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    for (damage, repair) in [
        (
            "UPDATE credentials SET state = 'asleep'",
            "UPDATE credentials SET state = 'active'",
        ),
        (
            "UPDATE credentials SET type = 'spell'",
            "UPDATE credentials SET type = 'api_key'",
        ),
        (
            "UPDATE credentials SET environment = 'prod'",
            "UPDATE credentials SET environment = 'live'",
        ),
        (
            "UPDATE credentials SET granted = '{\"scopes\": 7}'",
            "UPDATE credentials SET granted = '{}'",
        ),
        (
            "UPDATE credentials SET lookup_value = 'short'",
            "UPDATE credentials SET lookup_value = NULL",
        ),
        (
            "UPDATE credentials SET lookup_kind = 'key_id'",
            "UPDATE credentials SET lookup_kind = 'owner'",
        ),
    ] {
        bench.damage(damage).await;
        let answer = store.credential(&key.id).await;
        assert!(
            matches!(answer, Err(StoreError::Broken(_))),
            "{damage}: {answer:?}"
        );
        bench.damage(repair).await;
    }
    assert!(
        store.credential(&key.id).await.unwrap().is_some(),
        "all was repaired"
    );
}

async fn a_change_that_fails_half_way_leaves_nothing(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = store
        .add_credential(api_key("shop"), event("api_key.create"))
        .await
        .unwrap();
    let before = (
        store.newest_change().await.unwrap(),
        store.audit_events(0, 100, true).await.unwrap(),
        store.credential(&key.id).await.unwrap(),
    );
    // The id of the audit event is taken: the last step but one of the transaction fails.
    let mut taken = event("api_key.rotate");
    taken.id.clone_from(&before.1[0].id);
    let next = api_key("shop");
    let failed = store
        .rotate_credential(&key.id, next.clone(), at(60), taken.clone())
        .await;
    assert!(matches!(failed, Err(StoreError::Broken(_))), "{failed:?}");
    let failed = store
        .move_credential(&key.id, Transition::Revoke, None, taken.clone())
        .await;
    assert!(failed.is_err());
    let failed = store
        .put_resource(put(ResourceKind::Api, "half", json!({}), None), taken)
        .await;
    assert!(failed.is_err());

    assert_eq!(store.credential(&next.id).await.unwrap(), None);
    assert_eq!(
        store.resource(ResourceKind::Api, "half").await.unwrap(),
        None
    );
    let after = (
        store.newest_change().await.unwrap(),
        store.audit_events(0, 100, true).await.unwrap(),
        store.credential(&key.id).await.unwrap(),
    );
    assert_eq!(after, before);
    // And the numbers that were taken back are given out again.
    store
        .move_credential(&key.id, Transition::Suspend, None, event("suspend"))
        .await
        .unwrap();
    assert_eq!(store.newest_change().await.unwrap(), before.0 + 1);
}
