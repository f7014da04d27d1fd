use core::time::Duration;

use super::*;
use crate::credential::Grant;
use crate::usecase::credential::{self, Amendment};
use crate::usecase::tests::{House, Quick, administrator, owner, why};

async fn made(house: &House, label: &str, role: Role) -> Credential {
    create(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        label,
        role,
        None,
    )
    .await
    .expect("is made")
    .credential
}

#[tokio::test]
async fn the_first_start_makes_one_owner_and_no_later_start_another() {
    let house = House::empty();
    let first = bootstrap(&house.store, &Quick, &house.ctx())
        .await
        .expect("works")
        .expect("is the first");
    assert_eq!(role_of(&first.credential), Some(Role::Owner));
    assert!(first.secret.is_some());
    assert_eq!(
        house.store.audit.lock().expect("is sound")[0].actor,
        "system:first-start"
    );
    assert!(
        bootstrap(&house.store, &Quick, &house.ctx())
            .await
            .expect("works")
            .is_none()
    );
    assert!(matches!(
        actor_of(&first.credential),
        Some(Actor::Administrator {
            role: Role::Owner,
            ..
        })
    ));
}

#[tokio::test]
async fn the_last_owner_can_not_be_taken_away_by_any_way() {
    let house = House::empty();
    let (store, ctx, who) = (&house.store, &house.ctx(), owner());
    let last = made(&house, "a", Role::Owner).await;
    made(&house, "b", Role::Operator).await;
    let id = &last.id;
    let role = |role: &str| Amendment {
        grant: Some(Grant {
            roles: vec![role.to_owned()],
            ..Grant::default()
        }),
        ..Amendment::default()
    };
    let until = Amendment {
        expires_at: Some(Some(house.now.plus(Duration::from_secs(60)))),
        ..Amendment::default()
    };
    let last_owner = "it is the last owner's key";
    assert_eq!(
        why(credential::revoke(store, &who, ctx, id, None).await),
        last_owner
    );
    assert_eq!(
        why(credential::suspend(store, &who, ctx, id, None).await),
        last_owner
    );
    assert_eq!(
        why(credential::amend(store, &who, ctx, id, role("operator"), None).await),
        last_owner
    );
    assert_eq!(
        why(credential::amend(store, &who, ctx, id, until, None).await),
        last_owner
    );
    assert!(matches!(
        credential::amend(store, &who, ctx, id, role("king"), None).await,
        Err(Refusal::Invalid { field: "roles", .. })
    ));
    // Rotation leaves an owner behind, and a second owner sets the first one free.
    let replaced = credential::rotate(store, &Quick, &who, ctx, id, None, None)
        .await
        .expect("is active");
    assert_eq!(role_of(&replaced.new.credential), Some(Role::Owner));
    credential::revoke(store, &who, ctx, id, None)
        .await
        .expect("has a successor");
    assert_eq!(
        why(credential::revoke(store, &who, ctx, &replaced.new.credential.id, None).await),
        last_owner
    );
}

#[tokio::test]
async fn only_owners_make_administrators() {
    let house = House::empty();
    let operator = administrator(Role::Operator);
    let refused = create(
        &house.store,
        &Quick,
        &operator,
        &house.ctx(),
        "x",
        Role::Auditor,
        None,
    )
    .await;
    assert_eq!(why(refused), "admin_key.create is not allowed");
    let nameless = create(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "",
        Role::Auditor,
        None,
    )
    .await;
    assert!(matches!(
        nameless,
        Err(Refusal::Invalid { field: "label", .. })
    ));
    let dead = create(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "x",
        Role::Auditor,
        Some(house.now),
    )
    .await;
    assert!(matches!(
        dead,
        Err(Refusal::Invalid {
            field: "expires_at",
            ..
        })
    ));
}
