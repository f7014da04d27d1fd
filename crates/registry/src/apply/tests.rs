use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::actor::Role;
use crate::key::ImportedKey;
use crate::meaning::tests::orders;
use crate::resource::ResourceKind;
use crate::usecase::api_key::tests::spec as key_spec;
use crate::usecase::tests::{House, Quick, administrator, document, owner, why};

const APPLY: Side = Side::Api { prune: false };
const PRUNE: Side = Side::Api { prune: true };

fn application(name: &str, spec: Value) -> Document {
    document(ResourceKind::Application, name, spec)
}

fn key_document(name: &str, spec: ApiKeySpec) -> Document {
    Document {
        name: Name::new(name).expect("is a name"),
        spec: Spec::ApiKey(Box::new(spec)),
    }
}

fn imported(digit: &str) -> ApiKeySpec {
    let verifier = format!("sha256${}", digit.repeat(64));
    ApiKeySpec {
        imported: Some(ImportedKey {
            verifier,
            prefix: None,
        }),
        ..key_spec()
    }
}

async fn planned(house: &House, wanted: &[Document], side: Side) -> Plan {
    plan(
        &current(&house.store, &owner(), wanted)
            .await
            .expect("may read"),
        wanted,
        side,
    )
}

async fn applied(house: &House, wanted: &[Document], side: Side) -> Result<Applied, Refusal> {
    let plan = planned(house, wanted, side).await;
    execute(&house.store, &owner(), &house.ctx(), &plan, side).await
}

fn names<'a>(documents: impl Iterator<Item = &'a Document>) -> Vec<String> {
    documents
        .map(|document| Subject::of(document).to_string())
        .collect()
}

#[tokio::test]
async fn what_was_exported_plans_nothing() {
    let house = House::furnished().await;
    let made = api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &key_spec())
        .await
        .expect("is made");
    api_key::import(&house.store, &owner(), &house.ctx(), &imported("a"))
        .await
        .expect("is usable");
    credential::rotate(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        &made.credential.id,
        None,
        None,
    )
    .await
    .expect("is active");
    let exported = export(&house.store, &owner(), true)
        .await
        .expect("may read");
    assert_eq!(exported.len(), 4 + 3);
    let text = serde_json::to_string(&exported.iter().map(Document::to_value).collect::<Vec<_>>())
        .expect("is JSON");
    let values: Vec<Value> = serde_json::from_str(&text).expect("is JSON");
    let read = crate::document::read_all(values).expect("is sound");
    for side in [APPLY, PRUNE] {
        let plan = planned(&house, &read, side).await;
        assert!(plan.is_empty(), "{plan:?}");
        assert_eq!(plan.unchanged.len(), 7);
    }
    assert!(
        !text.contains("verifier") && !text.contains("argon2"),
        "an export holds no hashes"
    );
}

#[tokio::test]
async fn a_plan_says_what_is_new_changed_and_gone() {
    let house = House::furnished().await;
    let mut api = orders();
    api["routes"][0]["methods"] = json!(["GET", "HEAD"]);
    api["display_name"] = json!("Orders");
    let wanted = [
        document(
            ResourceKind::Account,
            "robot",
            json!({ "application": "new" }),
        ),
        application("new", json!({})),
        application("shop", json!({})),
        document(ResourceKind::Api, "orders", api),
    ];
    let plan = planned(&house, &wanted, PRUNE).await;
    assert_eq!(
        names(plan.creates.iter().map(|one| &one.document)),
        ["Application/new", "Account/robot"]
    );
    let changes: Vec<_> = plan
        .updates
        .iter()
        .flat_map(|one| one.changes.iter().map(FieldChange::place))
        .collect();
    assert_eq!(changes, ["display_name", "routes[0].methods[1]"]);
    assert_eq!(
        names(plan.deletes.iter().map(|one| &one.document)),
        ["Account/legacy", "Client/app"]
    );
    assert_eq!(plan.unchanged.len(), 1);
    assert_eq!(
        planned(&house, &wanted, APPLY).await.deletes,
        [],
        "nothing goes without pruning"
    );
}

#[tokio::test]
async fn a_plan_carried_out_leaves_nothing_to_plan() {
    let house = House::furnished().await;
    let wanted = [
        document(
            ResourceKind::Account,
            "robot",
            json!({ "application": "new" }),
        ),
        application("new", json!({})),
    ];
    let done = applied(&house, &wanted, PRUNE).await.expect("is sound");
    assert!(done.stopped.is_none());
    let order: Vec<_> = done.done.iter().map(ToString::to_string).collect();
    // Later kinds refer to earlier ones: made in that order, removed the other way round.
    assert_eq!(
        order,
        [
            "Application/new",
            "Account/robot",
            "Account/legacy",
            "Client/app",
            "Api/orders",
            "Application/shop"
        ]
    );
    assert!(planned(&house, &wanted, PRUNE).await.is_empty());
}

#[tokio::test]
async fn changes_that_mean_something_only_together_are_checked_together() {
    let house = House::furnished().await;
    let mut api = orders();
    api["scopes"] = json!({ "orders:look": "See orders" });
    api["routes"] = json!([{ "path": "/", "scopes": ["orders:look"] }]);
    let api = document(ResourceKind::Api, "orders", api);
    let client = json!({ "application": "shop", "auth_method": "client_secret_basic", "grants": { "orders": ["orders:look"] } });
    let client = document(ResourceKind::Client, "app", client);
    let alone = applied(&house, std::slice::from_ref(&api), APPLY).await;
    assert!(matches!(alone, Err(Refusal::Flawed(_))));
    assert_eq!(
        house.store.events(),
        Vec::<String>::new(),
        "and nothing was done"
    );
    assert!(
        applied(&house, &[api, client], APPLY)
            .await
            .expect("is sound")
            .stopped
            .is_none()
    );
}

#[tokio::test]
async fn a_concurrent_edit_is_a_conflict_and_nothing_is_done() {
    let house = House::furnished().await;
    let wanted = [
        application("first", json!({})),
        application("shop", json!({ "owner": "me" })),
    ];
    let plan = planned(&house, &wanted, APPLY).await;
    house
        .put(
            ResourceKind::Application,
            "shop",
            json!({ "owner": "somebody else" }),
        )
        .await
        .expect("is sound");
    let late = execute(&house.store, &owner(), &house.ctx(), &plan, APPLY).await;
    assert!(matches!(late, Err(Refusal::Conflict { current: 2 })));
    assert_eq!(house.store.events(), ["resource.write Application/shop"]);
}

#[tokio::test]
async fn what_credentials_hang_on_stops_the_plan_there() {
    let house = House::furnished().await;
    api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &key_spec())
        .await
        .expect("is made");
    let done = applied(
        &house,
        &[document(ResourceKind::Api, "orders", orders())],
        PRUNE,
    )
    .await
    .expect("is sound");
    let (subject, refusal) = done.stopped.expect("is stopped");
    assert_eq!(subject.to_string(), "Application/shop");
    assert!(matches!(refusal, Refusal::InUse { credentials: 1 }));
}

#[tokio::test]
async fn keys_are_amended_and_brought_in_but_never_made_or_ended() {
    let house = House::furnished().await;
    let made = api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &key_spec())
        .await
        .expect("is made");
    let id = made.credential.id.as_str();
    let relabelled = key_document(
        id,
        ApiKeySpec {
            label: "other".to_owned(),
            ..key_spec()
        },
    );
    let wanted = [relabelled, key_document("old-key", imported("b"))];
    let plan = planned(&house, &wanted, PRUNE).await;
    assert_eq!(
        names(plan.creates.iter().map(|one| &one.document)),
        ["ApiKey/old-key"]
    );
    assert_eq!(plan.updates[0].changes[0].place(), "label");
    applied(&house, &wanted, APPLY).await.expect("is sound");
    assert!(planned(&house, &wanted, APPLY).await.is_empty());
    // Without any key wanted, pruning leaves them alone.
    let exported = export(&house.store, &owner(), false)
        .await
        .expect("may read");
    assert!(planned(&house, &exported, PRUNE).await.is_empty());
}

#[tokio::test]
async fn what_a_key_can_not_become_is_refused_and_the_plan_with_it() {
    let house = House::furnished().await;
    let made = api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &key_spec())
        .await
        .expect("is made");
    let id = made.credential.id.as_str();
    let hashed = |prefix: &str, digit: &str| {
        let verifier = format!("sha256${}", digit.repeat(64));
        let imported = Some(ImportedKey {
            verifier,
            prefix: Some(prefix.to_owned()),
        });
        ApiKeySpec {
            imported,
            ..key_spec()
        }
    };
    api_key::import(&house.store, &owner(), &house.ctx(), &hashed("old_1", "1"))
        .await
        .expect("is usable");
    let gone = api_key::import(&house.store, &owner(), &house.ctx(), &hashed("old_2", "2"))
        .await
        .expect("is usable");
    credential::revoke(&house.store, &owner(), &house.ctx(), &gone.id, None)
        .await
        .expect("lives");
    let wanted = [
        key_document("key_unknown", key_spec()),
        key_document(
            id,
            ApiKeySpec {
                r#type: crate::key::KeyType::Publishable,
                ..key_spec()
            },
        ),
        key_document("changed", hashed("old_1", "3")),
        key_document("revoked", hashed("old_2", "2")),
        key_document("revoked-again", hashed("old_2", "2")),
    ];
    let plan = planned(&house, &wanted, APPLY).await;
    let text: String = plan
        .refused
        .iter()
        .map(|one| {
            format!(
                "{}: {}\n",
                one.subject.to_string().replace(id, "<id>"),
                one.reason
            )
        })
        .collect();
    insta::assert_snapshot!(text);
    let refused = execute(&house.store, &owner(), &house.ctx(), &plan, APPLY).await;
    assert!(matches!(
        refused,
        Err(Refusal::Invalid { field: "plan", .. })
    ));
}

#[tokio::test]
async fn a_file_takes_over_what_it_declares_and_removes_what_it_no_longer_does() {
    let house = House::furnished().await;
    let declared = [
        application("shop", json!({})),
        application("filed", json!({})),
    ];
    let done = sync_files(&house.store, &house.ctx(), &declared)
        .await
        .expect("is sound");
    assert_eq!(
        done.done.len(),
        2,
        "taking over is a change, though it says the same"
    );
    assert_eq!(
        house.store.audit.lock().expect("is sound")[0].actor,
        "system:settings-file"
    );
    let edit = house
        .put(ResourceKind::Application, "shop", json!({ "owner": "x" }))
        .await;
    assert!(matches!(edit, Err(Refusal::ManagedByFile)));
    let plan = planned(
        &house,
        &[application("shop", json!({ "owner": "x" }))],
        PRUNE,
    )
    .await;
    assert_eq!(plan.refused[0].reason, "it is declared in a file");
    assert!(
        plan.deletes
            .iter()
            .all(|one| one.document.name.as_str() != "filed")
    );
    // Again: nothing to do. Then without one: it goes, and what others declared stays.
    assert_eq!(
        sync_files(&house.store, &house.ctx(), &declared)
            .await
            .expect("is sound")
            .done,
        []
    );
    let done = sync_files(&house.store, &house.ctx(), &declared[..1])
        .await
        .expect("is sound");
    assert_eq!(
        done.done
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["Application/filed"]
    );
    assert_eq!(house.store.resources.lock().expect("is sound").len(), 4);
}

#[tokio::test]
async fn what_a_file_no_longer_declares_stays_while_credentials_hang_on_it() {
    let house = House::furnished().await;
    let declared = [application("filed", json!({}))];
    sync_files(&house.store, &house.ctx(), &declared)
        .await
        .expect("is sound");
    let key = ApiKeySpec {
        application: "filed".to_owned(),
        ..key_spec()
    };
    api_key::create(&house.store, &Quick, &owner(), &house.ctx(), &key)
        .await
        .expect("is made");
    let done = sync_files(&house.store, &house.ctx(), &[])
        .await
        .expect("is sound");
    assert_eq!(
        done.kept
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["Application/filed"]
    );
}

#[tokio::test]
async fn an_auditor_plans_and_does_not_carry_out() {
    let house = House::furnished().await;
    let auditor = administrator(Role::Auditor);
    let wanted = [application("new", json!({}))];
    let plan = plan(
        &current(&house.store, &auditor, &wanted)
            .await
            .expect("may read"),
        &wanted,
        APPLY,
    );
    let refused = execute(&house.store, &auditor, &house.ctx(), &plan, APPLY).await;
    assert_eq!(why(refused), "apply.execute is not allowed");
    let as_file = execute(&house.store, &owner(), &house.ctx(), &plan, Side::File).await;
    assert!(
        matches!(as_file, Err(Refusal::NotAllowed(_))),
        "nobody plays the file"
    );
}

fn some_documents() -> impl Strategy<Value = Vec<Document>> {
    let one = ("[a-c]", proptest::option::of("[a-z]{1,4}"), any::<bool>()).prop_map(
        |(name, owner, live)| {
            let environment = if live { "live" } else { "test" };
            let mut spec = json!({ "environment": environment });
            if let Some(owner) = owner {
                spec["owner"] = json!(owner);
            }
            application(&name, spec)
        },
    );
    proptest::collection::vec(one, 0..5).prop_map(|mut documents| {
        documents.sort_by(|a, b| a.name.cmp(&b.name));
        documents.dedup_by(|a, b| a.name == b.name);
        documents
    })
}

fn standing(documents: &[Document]) -> Vec<Standing> {
    let holder = Holder::Resource {
        version: 3,
        managed_by: ManagedBy::Api,
    };
    let of = |document: &Document| Standing {
        document: document.clone(),
        holder: holder.clone(),
    };
    documents.iter().map(of).collect()
}

proptest! {
    #[test]
    fn every_wanted_document_has_one_fate_and_pruning_reaches_what_is_wanted(
        now in some_documents(), wanted in some_documents()
    ) {
        let plan = plan(&standing(&now), &wanted, PRUNE);
        prop_assert!(plan.refused.is_empty());
        prop_assert_eq!(plan.creates.len() + plan.updates.len() + plan.unchanged.len(), wanted.len());
        prop_assert_eq!(plan.updates.len() + plan.unchanged.len() + plan.deletes.len(), now.len());
        prop_assert!(plan.updates.iter().all(|one| !one.changes.is_empty() && one.expected == 3));
        // What the plan leads to is what was wanted, and then there is nothing left to do.
        let mut end: Vec<Document> = plan.creates.into_iter().map(|one| one.document).collect();
        end.extend(plan.updates.into_iter().map(|one| one.document));
        end.extend(now.iter().filter(|one| plan.unchanged.contains(&Subject::of(one))).cloned());
        end.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assert_eq!(&end, &wanted);
        prop_assert!(super::plan(&standing(&end), &wanted, PRUNE).is_empty());
    }
}
