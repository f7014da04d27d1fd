use serde_json::json;

use super::*;
use crate::actor::Role;
use crate::usecase::api_key::tests::spec;
use crate::usecase::tests::{House, Quick, owner};
use crate::usecase::{admin_key, api_key, owned_secret};

async fn stored(house: &House, kind: ResourceKind, name: &str) -> Stored {
    let all = house.store.resources.lock().expect("is sound");
    all.iter()
        .find(|one| one.kind == kind && one.name == name)
        .cloned()
        .expect("is there")
}

#[tokio::test]
async fn an_api_key_stands_for_its_application_with_its_own_grant() {
    let house = House::furnished().await;
    let made = api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &spec())
        .await
        .expect("is made");
    let application = stored(&house, ResourceKind::Application, "shop").await;
    let key = issued_key(&made.credential, Some(&application)).expect("fits");
    assert_eq!(
        key.standing.principal,
        Principal::Service(SubjectId::new(format!("app_{}", application.id)))
    );
    assert_eq!(key.standing.application, Some(ApplicationId::new("shop")));
    assert_eq!(
        key.standing.apis,
        ApiAllow::Listed(vec![ApiName::new("orders")])
    );
    assert!(key.standing.scopes.contains("orders:read"));
    assert_eq!(key.standing.environment, Some(Environment::Live));
    assert!(
        key.verifier
            .verify(made.secret.expect("is shown").expose(), None)
    );
}

#[tokio::test]
async fn a_key_without_a_list_of_apis_may_call_none() {
    let house = House::furnished().await;
    let nothing = crate::key::ApiKeySpec {
        apis: Vec::new(),
        scopes: Vec::new(),
        ..spec()
    };
    let made = api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &nothing)
        .await
        .expect("is made");
    let application = stored(&house, ResourceKind::Application, "shop").await;
    let key = issued_key(&made.credential, Some(&application)).expect("fits");
    assert!(!key.standing.apis.allows(&ApiName::new("orders")));
}

#[tokio::test]
async fn a_client_secret_names_its_client_and_opens_no_api() {
    let house = House::furnished().await;
    let made = owned_secret::create_client_secret(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "app",
        "",
        None,
    )
    .await
    .expect("is made");
    let client = stored(&house, ResourceKind::Client, "app").await;
    let key = issued_key(&made.credential, Some(&client)).expect("fits");
    assert_eq!(key.kind, SecretKind::ClientSecret);
    assert_eq!(key.standing.client, Some(ClientId::new("app")));
    assert!(!key.standing.apis.allows(&ApiName::new("orders")));
}

#[tokio::test]
async fn j04_an_admin_key_carries_its_role_and_needs_no_owner() {
    let house = House::empty();
    let made = admin_key::create(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "a",
        Role::Auditor,
        None,
    )
    .await
    .expect("is made");
    let key = issued_key(&made.credential, None).expect("fits");
    assert_eq!(key.kind, SecretKind::AdminKey);
    assert_eq!(key.standing.roles, [RoleName::new("auditor")]);
    let foreign = Credential {
        lookup: Lookup::Prefix("old_".to_owned()),
        ..made.credential
    };
    assert!(matches!(issued_key(&foreign, None), Err(Unfit::Type(_))));
}

#[tokio::test]
async fn an_account_holds_what_its_document_says_and_its_active_passwords() {
    let house = House::furnished().await;
    let spec = json!({
        "username": "Legacy", "application": "shop", "apis": ["orders"], "scopes": ["orders:read"],
        "roles": ["clerk"], "networks": ["10.0.0.0/8"]
    });
    house
        .put(ResourceKind::Account, "legacy", spec)
        .await
        .expect("is sound");
    let mut passwords = Vec::new();
    for _ in 0..2 {
        let made = owned_secret::create_password(
            &house.store,
            &Quick,
            &owner(),
            &house.ctx(),
            "legacy",
            None,
            None,
        )
        .await
        .expect("is made");
        passwords.push(made.credential);
    }
    passwords[0].state = LifeState::Suspended;
    let row = stored(&house, ResourceKind::Account, "legacy").await;
    let mut asleep = row.clone();
    asleep.spec["suspended"] = json!(true);
    let sleeps = account(&asleep, &passwords).expect("fits");
    assert_eq!(sleeps.state, LifeState::Suspended);
    let account = account(&row, &passwords).expect("fits");
    assert_eq!(account.state, LifeState::Active);
    assert_eq!(&*account.username, "legacy");
    assert_eq!(account.passwords.len(), 1);
    assert_eq!(
        account.standing.principal,
        Principal::Service(SubjectId::new(format!("svc_{}", row.id)))
    );
    assert!(
        account
            .standing
            .allows_address("10.1.2.3".parse().expect("is an address"))
    );
    assert!(
        !account
            .standing
            .allows_address("192.0.2.1".parse().expect("is an address"))
    );
}

#[tokio::test]
async fn what_does_not_fit_together_opens_nothing() {
    let house = House::furnished().await;
    let made = api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &spec())
        .await
        .expect("is made");
    let key = made.credential;
    let client = stored(&house, ResourceKind::Client, "app").await;
    let application = stored(&house, ResourceKind::Application, "shop").await;
    assert!(matches!(issued_key(&key, None), Err(Unfit::Owner(_))));
    assert!(matches!(
        issued_key(&key, Some(&client)),
        Err(Unfit::Owner(_))
    ));
    let damaged = Credential {
        verifier: "in clear".to_owned(),
        ..key.clone()
    };
    assert!(matches!(
        issued_key(&damaged, Some(&application)),
        Err(Unfit::Verifier(_))
    ));
    let password = Credential {
        r#type: CredentialType::Password,
        ..key.clone()
    };
    assert!(matches!(
        issued_key(&password, Some(&application)),
        Err(Unfit::Type(_))
    ));
    let account_row = stored(&house, ResourceKind::Account, "legacy").await;
    assert!(matches!(account(&account_row, &[key]), Err(Unfit::Type(_))));
}
