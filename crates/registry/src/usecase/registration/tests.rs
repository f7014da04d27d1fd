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
            redirect_hosts: None,
            client_ca: false,
            loopback_dev: false,
        },
        open: false,
        max_clients: 10,
        secret_lifetime: None,
    }
}

fn metadata() -> Map<String, Value> {
    let Value::Object(members) = json!({ "redirect_uris": ["https://rp.example.com/cb"] }) else {
        panic!("an object");
    };
    members
}

/// One document, whatever is asked for.
struct Published(Option<Value>);

impl Sectors for Published {
    fn fetch<'a>(&'a self, _at: &'a Url) -> Fetched<'a> {
        Box::pin(async { self.0.clone() })
    }
}

const NOTHING: Published = Published(None);

const PARTNER: NewInitialToken<'static> = NewInitialToken {
    label: "partner",
    environment: Environment::Live,
    uses: None,
    expires_at: None,
};

async fn initial(house: &House) -> Secret {
    initial_as(house, PARTNER).await
}

async fn initial_as(house: &House, new: NewInitialToken<'_>) -> Secret {
    let made = create_initial_token(&house.store, &Quick, &owner(), &house.ctx(), new).await;
    made.expect("is made").secret.expect("made here")
}

async fn register_with(house: &House, rules: &Rules, token: &Secret) -> Result<Registered, Denial> {
    let (store, ctx) = (&house.store, &house.ctx());
    register(
        store,
        &Quick,
        &NOTHING,
        ctx,
        rules,
        Some(token.expose()),
        &metadata(),
    )
    .await
}

/// An update that changes nothing, and what comes of it.
async fn update(house: &House, rules: &Rules, id: &str, token: &Secret) -> Registered {
    let (store, ctx) = (&house.store, &house.ctx());
    let found = manager(store, ctx, id, Some(token.expose())).await;
    let found = found.expect("is the manager");
    let mut metadata = metadata();
    metadata.insert("client_id".to_owned(), id.into());
    let done = replace(store, &Quick, &NOTHING, ctx, rules, &found, &metadata).await;
    done.expect("is changed")
}

async fn registered(house: &House) -> Registered {
    let token = initial(house).await;
    let token = Some(token.expose());
    register(
        &house.store,
        &Quick,
        &NOTHING,
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
        &NOTHING,
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
    let who = administrator(Role::Auditor);
    let made = create_initial_token(store, &Quick, &who, ctx, PARTNER).await;
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
        &NOTHING,
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

#[tokio::test]
async fn a_counted_token_registers_so_many_clients_and_no_more() {
    let house = House::furnished().await;
    let token = initial_as(
        &house,
        NewInitialToken {
            uses: Some(2),
            ..PARTNER
        },
    )
    .await;
    // What is refused costs nothing.
    let mut strict = rules();
    strict.policy.identity_scopes = Vec::new();
    strict.policy.grant_types = vec![GrantType::ClientCredentials];
    let refused = register_with(&house, &strict, &token).await;
    assert!(matches!(refused, Err(Denial::Metadata(_))), "{refused:?}");
    for _ in 0..2 {
        let made = register_with(&house, &rules(), &token).await;
        made.expect("is registered");
    }
    let third = register_with(&house, &rules(), &token).await;
    assert!(matches!(third, Err(Denial::Token(USED_UP))), "{third:?}");
    let uses: Vec<_> = house
        .store
        .audit
        .lock()
        .expect("is sound")
        .iter()
        .filter(|event| event.action == "registration_token.use")
        .map(|event| event.details["left"].clone())
        .collect();
    assert_eq!(uses, ["1", "0"]);
}

#[tokio::test]
async fn h08_of_many_registrations_at_once_a_counted_token_lets_so_many_through() {
    let house = House::furnished().await;
    let token = initial_as(
        &house,
        NewInitialToken {
            uses: Some(3),
            ..PARTNER
        },
    )
    .await;
    // Each read the token while all its uses were left: what counts is the moment of writing.
    let presented = Some(token.expose());
    let (_, read) = registrant(&house.store, &house.ctx(), &rules(), presented)
        .await
        .expect("a token");
    let read = read.expect("an initial token");
    let actor = Actor::Registrant {
        token: Some(CredentialId::new(read.id.as_str())),
    };
    let mut spent = 0;
    for _ in 0..10 {
        let one = spend(&house.store, &actor, &house.ctx(), read.clone()).await;
        spent += usize::from(one.is_ok());
    }
    assert_eq!(spent, 3);
}

#[tokio::test]
async fn a_token_of_no_use_and_one_without_a_name_are_not_made() {
    let house = House::furnished().await;
    let (store, ctx) = (&house.store, &house.ctx());
    for (new, expected) in [
        (
            NewInitialToken {
                uses: Some(0),
                ..PARTNER
            },
            "uses: a token is of use once at least",
        ),
        (
            NewInitialToken {
                label: "",
                ..PARTNER
            },
            "label: say for whom the token is, for the audit trail",
        ),
        (
            NewInitialToken {
                expires_at: Some(house.now),
                ..PARTNER
            },
            "expires_at: the time has passed already",
        ),
    ] {
        let made = create_initial_token(store, &Quick, &owner(), ctx, new).await;
        assert_eq!(why(made), expected);
    }
}

#[tokio::test]
async fn a_counted_token_is_not_doubled_by_rotation() {
    let house = House::furnished().await;
    let counted = NewInitialToken {
        uses: Some(1),
        ..PARTNER
    };
    let (store, ctx) = (&house.store, &house.ctx());
    let made = create_initial_token(store, &Quick, &owner(), ctx, counted).await;
    let id = made.expect("is made").credential.id;
    let rotated = credential::rotate(store, &Quick, &owner(), ctx, &id, None, None).await;
    assert!(matches!(
        rotated,
        Err(Refusal::Invalid { field: "uses", .. })
    ));
}

#[tokio::test]
async fn an_update_replaces_the_registration_access_token() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let id = made.client.client_id.as_str();
    let first = made.token.expect("made here");
    let second = update(&house, &rules(), id, &first).await.token;
    let second = second.expect("made here");
    let (store, ctx) = (&house.store, &house.ctx());
    let old = manager(store, ctx, id, Some(first.expose())).await;
    assert!(matches!(old, Err(Denial::Token(_))), "{old:?}");
    assert!(manager(store, ctx, id, Some(second.expose())).await.is_ok());
}

#[tokio::test]
async fn a_token_that_an_administrator_replaced_manages_nothing() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let id = made.client.client_id.as_str();
    let (store, ctx) = (&house.store, &house.ctx());
    let r#type = CredentialType::RegistrationAccessToken;
    let held = standing(store, r#type, id).await.expect("answers");
    let token = &held.first().expect("one").id;
    let replaced = credential::rotate(store, &Quick, &owner(), ctx, token, None, None).await;
    let next = replaced
        .expect("is replaced")
        .new
        .secret
        .expect("made here");
    let old = made.token.expect("made here");
    let old = manager(store, ctx, id, Some(old.expose())).await;
    assert!(matches!(old, Err(Denial::Token(_))), "{old:?}");
    assert!(manager(store, ctx, id, Some(next.expose())).await.is_ok());
}

#[tokio::test]
async fn of_two_updates_with_one_token_one_gets_the_next() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let id = made.client.client_id.as_str();
    let token = made.token.expect("made here");
    let (store, ctx) = (&house.store, &house.ctx());
    let late = manager(store, ctx, id, Some(token.expose())).await;
    let late = late.expect("is the manager");
    let next = update(&house, &rules(), id, &token).await.token;
    let next = next.expect("made here");
    let mut metadata = metadata();
    metadata.insert("client_id".to_owned(), id.into());
    let lost = replace(store, &Quick, &NOTHING, ctx, &rules(), &late, &metadata).await;
    assert!(matches!(lost, Err(Denial::Token(_))), "{lost:?}");
    assert!(manager(store, ctx, id, Some(next.expose())).await.is_ok());
}

#[tokio::test]
async fn a_secret_that_is_about_to_end_is_renewed_by_an_update() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut house = House::furnished().await;
    let rules = Rules {
        secret_lifetime: Some(8 * DAY),
        ..rules()
    };
    let token = initial(&house).await;
    let made = register_with(&house, &rules, &token).await;
    let made = made.expect("is registered");
    assert_eq!(made.secret_ends, Some(house.now.plus(8 * DAY)));
    let id = made.client.client_id.as_str();
    let early = update(&house, &rules, id, &made.token.expect("made here")).await;
    assert!(early.secret.is_none());
    house.now = house.now.plus(7 * DAY);
    let late = update(&house, &rules, id, &early.token.expect("made here")).await;
    assert!(late.secret.is_some());
    assert_eq!(late.secret_ends, Some(house.now.plus(8 * DAY)));
    // The next is there: it is not made again and again.
    let again = update(&house, &rules, id, &late.token.expect("made here")).await;
    assert!(again.secret.is_none());
}

#[tokio::test]
async fn what_an_administrator_took_away_is_not_wished_back() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let id = made.client.client_id.as_str();
    let (store, ctx) = (&house.store, &house.ctx());
    let mut spec = match resource::document(
        &store
            .resource(ResourceKind::Client, id)
            .await
            .expect("answers")
            .expect("is there"),
    )
    .expect("is sound")
    .spec
    {
        Spec::Client(spec) => *spec,
        _ => panic!("a client"),
    };
    let short = crate::units::Period::minutes(1);
    spec.token_lifetime = Some(short);
    spec.skip_consent = true;
    write(store, &owner(), ctx, id, spec, 1)
        .await
        .expect("is written");
    let client = update(&house, &rules(), id, &made.token.expect("made here")).await;
    assert_eq!(client.client.token_lifetime, Some(short.0));
    // What was given stays given by an administrator alone.
    assert!(!client.client.skip_consent);
}

#[test]
fn a_registrant_may_nothing_beyond_its_own_client() {
    let actor = Actor::Registrant { token: None };
    let allowed: Vec<_> = Action::ALL
        .iter()
        .filter(|action| action.allows_actor(&actor))
        .map(|action| action.name())
        .collect();
    assert_eq!(
        allowed,
        [
            "resource.read",
            "resource.write",
            "resource.delete",
            "client_secret.create",
            "client_secret.revoke",
            "registration_token.create",
            "registration_token.rotate",
            "registration_token.revoke",
            "registration_token.use",
        ]
    );
}

#[tokio::test]
async fn a_client_of_a_sector_has_the_redirect_uris_of_its_list() {
    let house = House::furnished().await;
    let token = initial(&house).await;
    let mut metadata = metadata();
    metadata.insert(
        "sector_identifier_uri".to_owned(),
        "https://rp.example.com/sector".into(),
    );
    let own = json!(["https://rp.example.com/other", "https://rp.example.com/cb"]);
    for (list, expected) in [
        (Some(own), None),
        (
            Some(json!(["https://rp.example.com/other"])),
            Some("sector_identifier_uri: https://rp.example.com/cb is not in the list"),
        ),
        (
            Some(json!({ "keys": [] })),
            Some("sector_identifier_uri: https://rp.example.com/cb is not in the list"),
        ),
        (
            None,
            Some("sector_identifier_uri: there is no document that can be fetched"),
        ),
    ] {
        let made = register(
            &house.store,
            &Quick,
            &Published(list),
            &house.ctx(),
            &rules(),
            Some(token.expose()),
            &metadata,
        )
        .await;
        match (made, expected) {
            (Ok(_), None) => {}
            (Err(Denial::Metadata(flaw)), Some(expected)) => {
                assert_eq!(flaw.description, expected);
            }
            (made, expected) => panic!("{made:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_suspended_client_manages_nothing_and_keeps_its_networks_through_updates() {
    let house = House::furnished().await;
    let made = registered(&house).await;
    let id = made.client.client_id.as_str().to_owned();
    let token = made.token.expect("made here");
    let (store, ctx) = (&house.store, &house.ctx());
    let declare = async |member: &str, value: Value| {
        let found = store.resource(ResourceKind::Client, &id).await;
        let mut spec = found.expect("answers").expect("is there").spec;
        spec[member] = value;
        let put = house.put(ResourceKind::Client, &id, spec).await;
        put.expect("is sound");
    };
    declare("networks", vec!["192.0.2.0/24"].into()).await;
    let next = update(&house, &rules(), &id, &token).await;
    assert_eq!(next.client.networks.len(), 1);
    let token = next.token.expect("made here");
    declare("suspended", true.into()).await;
    let refused = manager(store, ctx, &id, Some(token.expose())).await;
    assert!(matches!(refused, Err(Denial::Token(_))), "{refused:?}");
    declare("suspended", false.into()).await;
    assert!(manager(store, ctx, &id, Some(token.expose())).await.is_ok());
}
