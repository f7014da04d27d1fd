use serde_json::json;

use super::*;
use crate::actor::Role;
use crate::client::{GrantType, IdentityScope, Profile};
use crate::usecase::tests::{House, Quick, administrator, owner, why};

fn rules() -> Rules {
    Rules {
        policy: Policy {
            application: "shop".to_owned(),
            environment: Environment::Live,
            profile: Profile::Oauth21,
            grant_types: vec![GrantType::AuthorizationCode],
            identity_scopes: vec![IdentityScope::Openid],
            grants: [("orders".to_owned(), vec!["orders:read".to_owned()])].into(),
            loopback_dev: false,
        },
        open: false,
        max_clients: 10,
    }
}

fn metadata() -> Map<String, Value> {
    let Value::Object(members) = json!({ "redirect_uris": ["https://rp.example.com/cb"] }) else {
        panic!("an object");
    };
    members
}

async fn initial(house: &House) -> Secret {
    let (store, ctx) = (&house.store, &house.ctx());
    let wall = Environment::Live;
    let made = create_initial_token(store, &Quick, &owner(), ctx, "partner", wall, None).await;
    made.expect("is made").secret.expect("made here")
}

async fn registered(house: &House) -> Registered {
    let token = initial(house).await;
    let token = Some(token.expose());
    register(
        &house.store,
        &Quick,
        &house.ctx(),
        &rules(),
        token,
        &metadata(),
    )
    .await
    .expect("is registered")
}

#[tokio::test]
async fn an_initial_token_ends_by_itself_and_opens_nothing_then() {
    let mut house = House::furnished().await;
    let token = initial(&house).await;
    house.now = house.now.plus(DEFAULT_LIFETIME);
    let token = Some(token.expose());
    let late = register(
        &house.store,
        &Quick,
        &house.ctx(),
        &rules(),
        token,
        &metadata(),
    )
    .await;
    assert!(matches!(late, Err(Denial::Token(_))), "{late:?}");
}

#[tokio::test]
async fn an_auditor_makes_no_token() {
    let house = House::furnished().await;
    let (store, ctx) = (&house.store, &house.ctx());
    let (who, wall) = (administrator(Role::Auditor), Environment::Live);
    let made = create_initial_token(store, &Quick, &who, ctx, "x", wall, None).await;
    assert_eq!(why(made), "registration_token.create is not allowed");
}

#[tokio::test]
async fn what_a_registrant_does_is_in_the_audit_trail_under_the_token() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let id = made.client.client_id.as_str();
    let audit = house.store.audit.lock().expect("is sound");
    let by: Vec<_> = audit
        .iter()
        .filter(|event| event.actor.starts_with("registration:reg_"))
        .map(|event| event.action)
        .collect();
    assert_eq!(
        by,
        [
            "resource.write",
            "client_secret.create",
            "registration_token.create"
        ]
    );
    assert!(
        audit
            .iter()
            .any(|one| one.subject == format!("Client/{id}"))
    );
}

#[tokio::test]
async fn removing_ends_the_secret_and_the_token() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let token = made.token.expect("made here");
    let id = made.client.client_id.as_str();
    let found = manager(&house.store, &house.ctx(), id, Some(token.expose())).await;
    let found = found.expect("is the manager");
    remove(&house.store, &house.ctx(), &found)
        .await
        .expect("is removed");
    let credentials = house.store.credentials.lock().expect("is sound");
    let left = credentials.iter().filter(|one| one.owner == id);
    assert!(left.clone().count() == 2 && left.clone().all(|one| one.state == LifeState::Revoked));
}

#[tokio::test]
async fn a_revoked_token_manages_nothing() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let token = made.token.expect("made here");
    let id = made.client.client_id.as_str();
    let r#type = CredentialType::RegistrationAccessToken;
    end(&house.store, &house.ctx(), &owner(), r#type, id)
        .await
        .expect("is revoked");
    let found = manager(&house.store, &house.ctx(), id, Some(token.expose())).await;
    assert!(matches!(found, Err(Denial::Token(_))), "{found:?}");
}

#[tokio::test]
async fn a_policy_that_names_what_is_not_declared_is_no_fault_of_the_registrant() {
    let house = House::furnished().await;
    let token = initial(&house).await;
    let mut rules = rules();
    rules.policy.application = "nobody".to_owned();
    let token = Some(token.expose());
    let made = register(
        &house.store,
        &Quick,
        &house.ctx(),
        &rules,
        token,
        &metadata(),
    )
    .await;
    assert!(
        matches!(made, Err(Denial::Refused(Refusal::Flawed(_)))),
        "{made:?}"
    );
}
