//! Records for judging: found by each lookup, with their owner, and never half.

use proof::digest::{self, TokenHash};
use proof::issued::KeyId;
use proof::random::SystemEntropy;
use registry::credential::{Credential, CredentialType, Grant, Lookup, Transition};
use registry::ports::{People as _, Registry as _, StoreError};
use registry::resource::{Removed, ResourceKind, Written};
use serde_json::json;
use verdict::facts::{Records as _, Unavailable};
use verdict::identity::{LifeState, Principal};

use super::{Bench, SECRET, api_key, application, at, event, fresh, put};

super::on_both!(
    a_key_is_found_with_what_it_stands_for,
    an_imported_key_is_found_by_digest_or_prefix,
    a_key_that_its_owner_left_behind_is_not_there,
    a_token_of_registration_is_no_key,
    an_administrators_key_has_no_owner,
    an_account_is_found_by_its_user_name_with_its_active_passwords,
    a_person_is_found_by_user_name_and_by_id_with_the_active_passwords,
    a_persons_password_opens_nothing_of_a_service_account_and_the_reverse,
    a_suspended_person_is_found_and_said_to_be_so,
    what_is_not_there_is_no_error,
    a_damaged_record_is_unavailable_and_never_absent,
    a_store_that_is_closed_is_unavailable,
);

async fn a_key_is_found_with_what_it_stands_for(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = api_key("shop");
    let Lookup::KeyId(id) = key.lookup else {
        panic!("by key id")
    };
    store
        .add_credential(key.clone(), event("api_key.create"))
        .await
        .unwrap();
    let found = store.key_by_id(id).await.unwrap().expect("it is there");
    assert_eq!(
        (found.key_id, found.state, found.expires_at),
        (Some(id), LifeState::Active, Some(at(86_400)))
    );
    assert!(found.verifier.verify(SECRET.as_bytes(), None));
    assert!(!found.verifier.verify(b"another", None));
    assert_eq!(found.standing.credential.as_str(), key.id);
    assert_eq!(
        found.standing.application.as_ref().map(|id| id.as_str()),
        Some("shop")
    );
    assert!(found.standing.scopes.contains("orders:read"));
    // Whatever its state: the verdict judges that, and the store only says it.
    store
        .move_credential(&key.id, Transition::Revoke, None, event("revoke"))
        .await
        .unwrap();
    assert_eq!(
        store
            .key_by_id(id)
            .await
            .unwrap()
            .expect("still there")
            .state,
        LifeState::Revoked
    );
}

async fn an_imported_key_is_found_by_digest_or_prefix(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let hash = TokenHash::of(b"a foreign key");
    let by_digest = Credential {
        lookup: Lookup::Digest(digest::hex(hash.as_bytes())),
        ..api_key("shop")
    };
    let by_prefix = Credential {
        lookup: Lookup::Prefix("ab12".into()),
        ..api_key("shop")
    };
    for key in [&by_digest, &by_prefix] {
        store
            .add_credential(key.clone(), event("api_key.import"))
            .await
            .unwrap();
    }
    let found = store
        .key_by_digest(&hash)
        .await
        .unwrap()
        .expect("by digest");
    assert_eq!(
        (found.key_id, found.standing.credential.as_str()),
        (None, &*by_digest.id)
    );
    let found = store
        .key_by_prefix("ab12")
        .await
        .unwrap()
        .expect("by prefix");
    assert_eq!(found.standing.credential.as_str(), by_prefix.id);
    // One kind of lookup never answers for another.
    let digest_as_prefix = digest::hex(hash.as_bytes());
    assert!(
        store
            .key_by_prefix(&digest_as_prefix)
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_key_that_its_owner_left_behind_is_not_there(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = api_key("shop");
    let Lookup::KeyId(id) = key.lookup else {
        panic!("by key id")
    };
    let added = store.add_credential(key.clone(), event("api_key.create"));
    added.await.unwrap();
    let revoked = store.move_credential(&key.id, Transition::Revoke, None, event("revoke"));
    revoked.await.unwrap();
    let kind = ResourceKind::Application;
    let removed = store.remove_resource(kind, "shop", None, false, event("resource.delete"));
    assert_eq!(removed.await.unwrap(), Removed::Done);
    assert!(store.key_by_id(id).await.unwrap().is_none());
}

async fn a_token_of_registration_is_no_key(bench: Bench) {
    let store = &bench.store;
    let token = Credential {
        r#type: CredentialType::InitialAccessToken,
        id: fresh("reg_"),
        ..api_key("-")
    };
    let Lookup::KeyId(id) = token.lookup else {
        panic!("by key id")
    };
    let added = store.add_credential(token, event("registration_token.create"));
    added.await.unwrap();
    assert!(store.key_by_id(id).await.unwrap().is_none());
}

async fn an_administrators_key_has_no_owner(bench: Bench) {
    let store = &bench.store;
    let grant = Grant {
        roles: vec!["owner".into()],
        ..Grant::default()
    };
    let key = Credential {
        r#type: CredentialType::AdminKey,
        id: fresh("adm_"),
        grant,
        ..api_key("-")
    };
    let Lookup::KeyId(id) = key.lookup else {
        panic!("by key id")
    };
    store
        .add_credential(key, event("admin_key.create"))
        .await
        .unwrap();
    let found = store.key_by_id(id).await.unwrap().expect("it is there");
    assert!(matches!(
        found.standing.principal,
        Principal::Administrator(_)
    ));
}

/// A password of an account, found by its owner only.
fn password(owner: &str, created: i64) -> Credential {
    Credential {
        r#type: CredentialType::Password,
        id: fresh("pwd_"),
        lookup: Lookup::Owner,
        created_at: at(created),
        ..api_key(owner)
    }
}

async fn an_account_is_found_by_its_user_name_with_its_active_passwords(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let spec = json!({"application": "shop", "username": "Night.Robot", "apis": ["orders"]});
    store
        .put_resource(
            put(ResourceKind::Account, "robot", spec, None),
            event("account.create"),
        )
        .await
        .unwrap();
    let (old, new, revoked) = (
        password("robot", 0),
        password("robot", 1),
        password("robot", 2),
    );
    for one in [&old, &new, &revoked] {
        store
            .add_credential(one.clone(), event("password.create"))
            .await
            .unwrap();
    }
    store
        .move_credential(
            &revoked.id,
            Transition::Revoke,
            None,
            event("password.revoke"),
        )
        .await
        .unwrap();
    let found = store
        .account("night.robot")
        .await
        .unwrap()
        .expect("it is there");
    assert_eq!(
        (&*found.username, found.passwords.len()),
        ("night.robot", 2)
    );
    assert!(
        found
            .passwords
            .iter()
            .all(|one| one.verifier.verify(SECRET.as_bytes(), None))
    );
    assert!(
        store.account("robot").await.unwrap().is_none(),
        "its name is not its user name"
    );
}

/// A password of a person, found by its owner only.
fn user_password(owner: &str, created: i64) -> Credential {
    Credential {
        r#type: CredentialType::UserPassword,
        id: fresh("upw_"),
        ..password(owner, created)
    }
}

async fn add(store: &crate::Store, credential: &Credential) {
    store
        .add_credential(credential.clone(), event("password.create"))
        .await
        .expect("it has an owner");
}

async fn user(store: &crate::Store, name: &str, spec: serde_json::Value) -> String {
    let written = store
        .put_resource(
            put(ResourceKind::User, name, spec, None),
            event("resource.write"),
        )
        .await;
    match written {
        Ok(Written::Created(stored) | Written::Updated(stored)) => stored.id,
        other => panic!("{other:?}"),
    }
}

async fn a_person_is_found_by_user_name_and_by_id_with_the_active_passwords(bench: Bench) {
    let store = &bench.store;
    let spec =
        json!({"username": "Alice.Doe", "email": "alice@example.com", "email_verified": true});
    let id = user(store, "alice", spec).await;
    let (old, new, revoked) = (
        user_password("alice", 0),
        user_password("alice", 1),
        user_password("alice", 2),
    );
    for one in [&old, &new, &revoked] {
        add(store, one).await;
    }
    store
        .move_credential(
            &revoked.id,
            Transition::Revoke,
            None,
            event("user_password.revoke"),
        )
        .await
        .unwrap();
    let found = store.person_by_username("alice.doe").await.unwrap();
    let found = found.expect("the person is there");
    assert_eq!(
        (&*found.id, &*found.name, &*found.meaning.username),
        (&*id, "alice", "alice.doe")
    );
    assert_eq!((found.state, found.version), (LifeState::Active, 1));
    assert_eq!(found.meaning.claims["email"], "alice@example.com");
    assert_eq!(found.meaning.claims["email_verified"], true);
    assert_eq!(found.passwords.len(), 2);
    assert!(
        found
            .passwords
            .iter()
            .all(|one| one.verifier.verify(SECRET.as_bytes(), None))
    );
    let again = store.person_by_id(&id).await.unwrap().expect("is there");
    assert_eq!(
        (again.meaning, again.passwords.len()),
        (found.meaning, found.passwords.len())
    );
    for nobody in ["alice", "Alice.Doe", ""] {
        assert!(store.person_by_username(nobody).await.unwrap().is_none());
    }
    assert!(store.person_by_id("alice").await.unwrap().is_none());
}

async fn a_persons_password_opens_nothing_of_a_service_account_and_the_reverse(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    // One name for both documents: only the kind tells their passwords apart.
    user(store, "sam", json!({"username": "person"})).await;
    add(store, &user_password("sam", 0)).await;
    let spec = json!({"application": "shop", "username": "machine"});
    store
        .put_resource(
            put(ResourceKind::Account, "sam", spec, None),
            event("resource.write"),
        )
        .await
        .unwrap();
    add(store, &password("sam", 0)).await;

    assert!(store.account("person").await.unwrap().is_none());
    assert!(store.person_by_username("machine").await.unwrap().is_none());
    let account = store.account("machine").await.unwrap().expect("is there");
    assert_eq!(account.passwords.len(), 1);
    let person = store.person_by_username("person").await.unwrap();
    let person = person.expect("is there");
    assert_eq!(person.passwords.len(), 1);
    let stored = store.resource(ResourceKind::Account, "sam").await.unwrap();
    let machine = stored.expect("is there").id;
    assert!(store.person_by_id(&machine).await.unwrap().is_none());
    // And one user name is never both.
    let clash = put(
        ResourceKind::User,
        "other",
        json!({"username": "Machine"}),
        None,
    );
    let written = store.put_resource(clash, event("resource.write")).await;
    assert!(matches!(written, Err(StoreError::Broken(_))), "{written:?}");
}

async fn a_suspended_person_is_found_and_said_to_be_so(bench: Bench) {
    let store = &bench.store;
    let id = user(store, "bob", json!({})).await;
    assert_eq!(user(store, "bob", json!({"suspended": true})).await, id);
    let found = store.person_by_username("bob").await.unwrap();
    let found = found.expect("is there");
    assert_eq!((found.state, found.version), (LifeState::Suspended, 2));
    assert!(found.passwords.is_empty());
}

async fn what_is_not_there_is_no_error(bench: Bench) {
    let store = &bench.store;
    assert!(
        store
            .key_by_id(KeyId::generate(&SystemEntropy))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .key_by_digest(&TokenHash::of(b"x"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.key_by_prefix("x").await.unwrap().is_none());
    assert!(store.account("x").await.unwrap().is_none());
    assert!(store.person_by_username("x").await.unwrap().is_none());
}

async fn a_damaged_record_is_unavailable_and_never_absent(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    let key = api_key("shop");
    let Lookup::KeyId(id) = key.lookup else {
        panic!("by key id")
    };
    store
        .add_credential(key, event("api_key.create"))
        .await
        .unwrap();
    for damage in [
        "UPDATE credentials SET verifier = 'clear'",
        "DELETE FROM resources",
        "UPDATE credentials SET state = 'asleep'",
    ] {
        bench.damage(damage).await;
        let answer = store.key_by_id(id).await;
        assert!(
            matches!(answer, Err(Unavailable::Store)),
            "{damage}: {answer:?}"
        );
    }
}

async fn a_store_that_is_closed_is_unavailable(bench: Bench) {
    bench.store.close().await;
    let answer = bench.store.key_by_id(KeyId::generate(&SystemEntropy)).await;
    assert!(matches!(answer, Err(Unavailable::Store)), "{answer:?}");
    let answer = bench.store.account("robot").await;
    assert!(matches!(answer, Err(Unavailable::Store)), "{answer:?}");
}
