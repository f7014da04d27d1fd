use serde_json::json;

use super::*;
use crate::actor::Role;
use crate::ports::{BadFile, Files};
use crate::usecase::tests::{House, administrator, document, owner, why};

#[tokio::test]
async fn a_written_resource_is_listed_shown_and_recorded() {
    let house = House::furnished().await;
    let written = house
        .put(
            ResourceKind::Application,
            "shop",
            json!({ "owner": "team" }),
        )
        .await;
    assert!(matches!(written, Ok(Written::Updated(stored)) if stored.version == 2));
    let auditor = administrator(Role::Auditor);
    let shown = show(&house.store, &auditor, ResourceKind::Application, "shop")
        .await
        .expect("is there");
    assert_eq!(
        shown.spec,
        json!({ "environment": "live", "owner": "team" })
    );
    assert_eq!(
        list(&house.store, &auditor, None)
            .await
            .expect("may read")
            .len(),
        4
    );
    let audit = house.store.audit.lock().expect("is sound");
    assert_eq!(
        (audit[0].action, audit[0].subject.as_str()),
        ("resource.write", "Application/shop")
    );
    assert_eq!(
        (
            audit[0].details["fields"].as_str(),
            audit[0].details["change"].as_str()
        ),
        ("owner", "update")
    );
}

#[tokio::test]
async fn writing_what_stands_already_changes_and_records_nothing() {
    let house = House::furnished().await;
    let again = house
        .put(ResourceKind::Application, "shop", json!({}))
        .await;
    assert!(matches!(again, Ok(Written::Unchanged(_))));
    assert_eq!(house.store.events(), Vec::<String>::new());
}

#[tokio::test]
async fn what_would_mean_nothing_is_refused_and_nothing_is_written() {
    let house = House::furnished().await;
    let spec = json!({ "application": "nobody", "auth_method": "client_secret_post", "grants": { "orders": ["x"] } });
    let refusal = house
        .put(ResourceKind::Client, "other", spec)
        .await
        .expect_err("is flawed");
    let Refusal::Flawed(flaws) = refusal else {
        panic!("{refusal}")
    };
    let places: Vec<_> = flaws.iter().map(Flaw::place).collect();
    assert_eq!(places, ["spec.application", "spec.grants.orders[0]"]);
    // Nor may a scope go that a client still holds.
    let mut api = crate::meaning::tests::orders();
    api["scopes"] = json!({ "orders:write": "Change orders" });
    api["routes"] = json!([{ "path": "/" }]);
    let refusal = house
        .put(ResourceKind::Api, "orders", api)
        .await
        .expect_err("is flawed");
    let Refusal::Flawed(flaws) = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(flaws[0].document.name, "app");
    assert_eq!(house.store.events(), Vec::<String>::new());
}

#[tokio::test]
async fn j06_whoever_writes_documents_borrows_no_key_of_the_machine() {
    let house = House::furnished().await;
    let api = |key: &str, value: serde_json::Value| {
        let mut api = crate::meaning::tests::orders();
        api[key] = value;
        (ResourceKind::Api, "orders", api)
    };
    let issuer = |section: serde_json::Value| {
        let mut spec = json!({ "issuer": "https://login.example" });
        let members = section.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(members);
        (ResourceKind::TrustedIssuer, "partner", spec)
    };
    let asked = |by: serde_json::Value| {
        let mut asked = json!({ "url": "https://login.example/introspect", "client_id": "me" });
        let members = by.as_object().expect("an object").clone();
        asked.as_object_mut().expect("an object").extend(members);
        issuer(json!({ "introspection": asked }))
    };
    let files = json!({ "certificate_file": "own.pem", "key_file": "own.key" });
    let mut upstream = crate::meaning::tests::orders()["upstream"].clone();
    upstream["urls"] = json!(["https://orders.internal"]);
    upstream["tls"] = files.clone();
    for (kind, name, spec) in [
        api(
            "token_encryption",
            json!({ "key_files": ["orders.pem"], "required": false }),
        ),
        api("upstream", upstream),
        asked(json!({ "client_secret": "file:secret" })),
        asked(json!({ "key_file": "own.key" })),
        asked(files),
        issuer(json!({ "paseto_key_files": ["partner.paserk"] })),
    ] {
        let text = spec.to_string();
        let refusal = house.put(kind, name, spec).await.expect_err("names a file");
        let Refusal::Invalid { message, .. } = refusal else {
            panic!("{text}: {refusal}")
        };
        assert_eq!(message, LOCAL_SECRETS);
    }
    assert_eq!(house.store.events(), Vec::<String>::new());
}

#[tokio::test]
async fn a_flaw_that_was_there_before_holds_nobody_up() {
    let mut house = House::furnished().await;
    // The installation lost its own issuer: every route with a jwt is flawed now.
    house.context.own_issuer = None;
    assert!(
        house
            .put(ResourceKind::Application, "shop", json!({ "owner": "x" }))
            .await
            .is_ok()
    );
    let again = house
        .put(ResourceKind::Api, "orders", crate::meaning::tests::orders())
        .await;
    assert!(
        matches!(again, Err(Refusal::Flawed(_))),
        "but a flawed document is not written"
    );
}

#[tokio::test]
async fn what_others_refer_to_can_not_be_removed() {
    let house = House::furnished().await;
    let gone = remove(
        &house.store,
        &owner(),
        &house.ctx(),
        ResourceKind::Api,
        "orders",
        None,
    )
    .await;
    assert!(matches!(gone, Err(Refusal::Flawed(_))));
    for (kind, name) in [
        (ResourceKind::Client, "app"),
        (ResourceKind::Account, "legacy"),
        (ResourceKind::Api, "orders"),
    ] {
        remove(&house.store, &owner(), &house.ctx(), kind, name, None)
            .await
            .expect("is free");
    }
    let again = remove(
        &house.store,
        &owner(),
        &house.ctx(),
        ResourceKind::Api,
        "orders",
        None,
    )
    .await;
    assert_eq!(why(again), "there is no Api `orders`");
}

#[tokio::test]
async fn a_stale_version_is_a_conflict() {
    let house = House::furnished().await;
    for (expected, current) in [(Some(0), 1), (Some(7), 1)] {
        let document = document(ResourceKind::Application, "shop", json!({ "owner": "x" }));
        let input = PutResource { document, expected };
        let put = put(&house.store, &owner(), &house.ctx(), input).await;
        assert!(matches!(put, Err(Refusal::Conflict { current: found }) if found == current));
    }
}

#[tokio::test]
async fn a_change_is_taken_back_by_writing_what_stood_before_it() {
    let house = House::furnished().await;
    let kind = ResourceKind::Application;
    for owner in ["first", "second"] {
        let spec = json!({ "owner": owner });
        house.put(kind, "shop", spec).await.expect("is good");
    }
    let (store, ctx) = (&house.store, &house.ctx());
    let back = roll_back(store, &owner(), ctx, kind, "shop", None).await;
    assert!(matches!(&back, Ok(Written::Updated(now)) if now.spec["owner"] == "first"));
    // Taken back itself, and further back by its number.
    let again = roll_back(store, &owner(), ctx, kind, "shop", None).await;
    assert!(matches!(&again, Ok(Written::Updated(now)) if now.spec["owner"] == "second"));
    let versions = versions(store, &owner(), kind, "shop")
        .await
        .expect("are kept");
    let oldest = versions.last().expect("there are some").version;
    let far = roll_back(store, &owner(), ctx, kind, "shop", Some(oldest)).await;
    assert!(matches!(&far, Ok(Written::Updated(now)) if now.spec.get("owner").is_none()));
    let gone = roll_back(store, &owner(), ctx, kind, "shop", Some(99)).await;
    assert!(matches!(gone, Err(Refusal::NotFound { .. })));
    let auditor = administrator(Role::Auditor);
    let refused = roll_back(store, &auditor, ctx, kind, "shop", None).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn j04_an_owner_with_living_credentials_does_not_change_sides() {
    let house = House::furnished().await;
    let spec = crate::key::ApiKeySpec {
        application: "shop".to_owned(),
        label: "k".to_owned(),
        r#type: crate::key::KeyType::Secret,
        environment: proof::issued::Environment::Live,
        scopes: Vec::new(),
        apis: Vec::new(),
        roles: None,
        networks: None,
        origins: None,
        expires_at: None,
        imported: None,
    };
    for (kind, name) in [
        (ResourceKind::Client, "app"),
        (ResourceKind::Account, "legacy"),
    ] {
        remove(&house.store, &owner(), &house.ctx(), kind, name, None)
            .await
            .expect("is free");
    }
    crate::usecase::api_key::create(
        &house.store,
        &crate::usecase::tests::Quick,
        &owner(),
        &house.ctx(),
        &spec,
    )
    .await
    .expect("is made");
    let moved = house
        .put(
            ResourceKind::Application,
            "shop",
            json!({ "environment": "test" }),
        )
        .await;
    assert!(matches!(moved, Err(Refusal::InUse { credentials: 1 })));
}

#[tokio::test]
async fn roles_are_asked_before_anything_else() {
    let house = House::furnished().await;
    let auditor = administrator(Role::Auditor);
    let ctx = house.ctx();
    let document = document(ResourceKind::Application, "shop", json!({ "owner": "x" }));
    let input = PutResource {
        document,
        expected: None,
    };
    assert_eq!(
        why(put(&house.store, &auditor, &ctx, input).await),
        "resource.write is not allowed"
    );
    let gone = remove(
        &house.store,
        &auditor,
        &ctx,
        ResourceKind::Api,
        "nothing",
        None,
    )
    .await;
    assert_eq!(why(gone), "resource.delete is not allowed");
}

/// A machine on which an API's authority can't be read.
struct NoAuthority;

impl Files for NoAuthority {
    fn look(&self, meaning: &Meaning, kind: ResourceKind, name: &str) -> Vec<BadFile> {
        let api = meaning
            .apis
            .iter()
            .find(|api| api.judged.name.as_str() == name);
        let names_one =
            kind == ResourceKind::Api && api.is_some_and(|api| api.client_authority.is_some());
        let bad = names_one.then(|| BadFile {
            place: "client_certificates",
            message: "partners.pem can't be read".to_owned(),
        });
        bad.into_iter().collect()
    }
}

/// The one flaw of what was refused.
fn flaw<T: core::fmt::Debug>(result: Result<T, Refusal>) -> String {
    match result {
        Err(Refusal::Flawed(flaws)) if flaws.len() == 1 => flaws[0].to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_document_whose_files_can_not_be_used_is_refused_and_holds_no_other_up() {
    let mut house = House::furnished().await;
    let mut api = crate::meaning::tests::orders();
    api["client_certificates"] = json!({
        "ca_file": "partners.pem",
        "identities": [{ "uri": "spiffe://example.org/billing" }],
    });
    // Written while the file was there.
    let written = house.put(ResourceKind::Api, "orders", api.clone()).await;
    assert!(matches!(written, Ok(Written::Updated(_))), "{written:?}");
    house.files = Box::new(NoAuthority);
    house.store.audit.lock().expect("is sound").clear();
    api["display_name"] = json!("Orders");
    let refusal = house.put(ResourceKind::Api, "orders", api.clone()).await;
    let expected = "Api/orders spec.client_certificates: partners.pem can't be read";
    assert_eq!(flaw(refusal), expected);
    // The same as a whole, and as a rehearsal of it.
    let wanted = [document(ResourceKind::Api, "orders", api)];
    let (store, actor, ctx) = (&house.store, &owner(), &house.ctx());
    let current = crate::apply::current(store, actor, &wanted)
        .await
        .expect("stands");
    let side = crate::apply::Side::Api { prune: false };
    let plan = crate::apply::plan(&current, &wanted, side);
    let rehearsed = crate::apply::rehearse(store, actor, ctx, &plan).await;
    assert_eq!(flaw(rehearsed), expected);
    let executed = crate::apply::execute(store, actor, ctx, &plan, side).await;
    assert_eq!(flaw(executed), expected);
    assert_eq!(house.store.events(), Vec::<String>::new());
    // It stands unusable, and others change all the same.
    let other = house.put(ResourceKind::Application, "shop", json!({ "owner": "x" }));
    assert!(other.await.is_ok());
}
