use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::rego::{Limits, Source};
use super::relations::{Grant, Model, WrittenRelation, WrittenTypes};
use super::*;
use crate::credential::CredentialKind;
use crate::probing::Probing;
use crate::testing::{FOREIGN, NOW, Sent, World};
use crate::{Permitted, Refused};

/// Orders have owners and viewers, belong to shops with staff, and roles have holders.
fn model() -> Arc<Model> {
    let of = |direct: &[&str], any_of: &[&str]| WrittenRelation {
        direct: direct.iter().map(ToString::to_string).collect(),
        any_of: any_of.iter().map(ToString::to_string).collect(),
        ..WrittenRelation::default()
    };
    let mut types: WrittenTypes = ["user", "client", "service"]
        .map(|kind| (kind.to_owned(), BTreeMap::new()))
        .into();
    types.insert("shop".into(), [("staff".into(), of(&["user"], &[]))].into());
    types.insert(
        "role".into(),
        [("holder".into(), of(&["user"], &[]))].into(),
    );
    types.insert(
        "order".into(),
        [
            ("shop".into(), of(&["shop"], &[])),
            ("owner".into(), of(&["user", "service"], &[])),
            ("viewer".into(), of(&[], &["owner", "shop.staff"])),
        ]
        .into(),
    );
    Arc::new(Model::prepare(&types).unwrap())
}

struct Scene {
    world: World,
    route: Route,
}

impl Scene {
    /// `GET /orders/{id}`, by tokens.
    fn new() -> Self {
        let world = World::new();
        let mut route = world.route(&[&[CredentialKind::Jwt]]);
        Arc::get_mut(&mut route.api);
        route.rule.parameters = vec![Parameter {
            name: "id".into(),
            segment: 1,
            rest: false,
        }];
        let mut scene = Self { world, route };
        scene.api(|api| api.relations = Some(model()));
        scene
    }

    /// Changes the route's API; the world's stays what it was.
    fn api(&mut self, change: impl FnOnce(&mut Api)) {
        let known = &self.route.api;
        let mut api = Api {
            name: known.name.clone(),
            audiences: known.audiences.clone(),
            environment: known.environment,
            issuers: known.issuers.clone(),
            encryption: None,
            certificates: None,
            signatures: Default::default(),
            brand: known.brand.clone(),
            key_headers: known.key_headers.clone(),
            foreign_keys: Vec::new(),
            realm: known.realm.clone(),
            resource_metadata: None,
            relations: known.relations.clone(),
            rights: crate::route::Rights::default(),
        };
        change(&mut api);
        self.route.api = Arc::new(api);
    }

    fn needs(mut self, relation: &str) -> Self {
        self.route.rule.objects = vec![rule(in_path(), Some(relation))];
        self
    }

    fn policy(mut self, rego: &str) -> Self {
        self.route.rule.policies.push(policy("orders", rego));
        self
    }

    fn write(&self, tuple: &str) {
        self.write_until(tuple, None);
    }

    fn write_until(&self, tuple: &str, until: Option<Timestamp>) {
        let tuple = tuple.parse().unwrap();
        let grant = Grant { until };
        self.world.facts.tuples.lock().unwrap().insert(tuple, grant);
    }

    fn sent(&self, target: &str) -> Sent {
        Sent::get(target).bearer(&self.world.own_token(&json!({})))
    }

    #[expect(
        clippy::result_large_err,
        reason = "the contract of the steps themselves"
    )]
    fn judge(&self, sent: Sent) -> Result<Permitted<()>, Refused<()>> {
        self.world.judge(sent.call(), &self.route, NOW)
    }

    fn code(&self, sent: Sent) -> Code {
        match self.judge(sent) {
            Ok(_) => panic!("it passes"),
            Err(refused) => refused.problem.code,
        }
    }

    fn passes(&self, sent: Sent) -> bool {
        self.judge(sent).is_ok()
    }
}

fn in_path() -> Place {
    Place::Path {
        name: "id".into(),
        segment: 1,
        rest: false,
    }
}

fn rule(place: Place, relation: Option<&str>) -> ObjectRule {
    ObjectRule {
        object_type: "order".into(),
        place,
        relation: relation.map(Into::into),
        tell: Vec::new(),
        optional: false,
        hide: false,
        shadow: false,
    }
}

fn policy(name: &str, rego: &str) -> Arc<Policy> {
    let text = format!("package orders\nimport rego.v1\n{rego}");
    let source = Source::inline("orders.rego", &text);
    let policy = Policy::compile(name, &source, Limits::default()).expect("the policy compiles");
    let headers = vec![http::HeaderName::from_static("x-tier")];
    Arc::new(policy.setting(headers))
}

#[test]
fn j02_a_scope_implies_another_only_where_that_is_written() {
    let mut scene = Scene::new();
    let broader = json!({"scope": "orders:admin"});
    let sent = |scene: &Scene| Sent::get("/orders").bearer(&scene.world.own_token(&broader));
    assert_eq!(scene.code(sent(&scene)), Code::ScopeMissing);
    scene.api(|api| {
        api.rights.implied_by = [("orders:read".into(), vec!["orders:admin".into()])].into();
    });
    assert!(scene.passes(sent(&scene)));
    let other = json!({"scope": "orders:write"});
    let sent = Sent::get("/orders").bearer(&scene.world.own_token(&other));
    assert_eq!(scene.code(sent), Code::ScopeMissing);
}

#[test]
fn j01_an_object_of_another_is_refused_in_every_spelling() {
    let scene = Scene::new().needs("viewer");
    scene.write("order:1001#owner@user:usr_alice");
    scene.write("order:1002#owner@user:usr_bob");
    assert!(scene.passes(scene.sent("/orders/1001")));
    for other in [
        "1002",
        "01001",
        "1001%20",
        "1001,1002",
        "ORD-1001",
        "*",
        "1001@user",
    ] {
        let code = scene.code(scene.sent(&format!("/orders/{other}")));
        assert!(
            matches!(code, Code::ObjectNotAllowed | Code::ObjectUnreadable),
            "{other}: {code:?}"
        );
    }
    let refused = scene.judge(scene.sent("/orders/1002")).unwrap_err();
    assert_eq!(refused.problem.code.status(), StatusCode::FORBIDDEN);
    let told: Value = serde_json::from_str(&refused.problem.to_json("1")).unwrap();
    assert_eq!(
        told["missing"],
        json!({"relation": {"type": "order", "relation": "viewer"}})
    );
    assert!(!told.to_string().contains("bob"));
    let judged = refused.judged.unwrap();
    assert_eq!(judged.judgements[0].what, "order:1002#viewer");
    assert_eq!(judged.judgements[0].outcome, "deny");
}

#[test]
fn what_follows_from_other_relations_counts_with_the_way_that_leads_there() {
    let scene = Scene::new().needs("viewer");
    scene.write("order:7#shop@shop:north");
    scene.write("shop:north#staff@user:usr_alice");
    let mut permitted = scene.judge(scene.sent("/orders/7")).unwrap();
    let judged = permitted.take_judged().unwrap();
    let reason = judged.judgements[0].reason.clone().unwrap();
    assert!(
        reason.contains("shop:north#staff@user:usr_alice"),
        "{reason}"
    );
}

#[test]
fn an_object_that_is_hidden_is_not_found() {
    let mut scene = Scene::new().needs("viewer");
    scene.route.rule.objects[0].hide = true;
    let refused = scene.judge(scene.sent("/orders/1")).unwrap_err();
    assert_eq!(refused.problem.code.status(), StatusCode::NOT_FOUND);
    assert!(refused.problem.missing.is_none());
}

#[test]
fn j01_every_element_of_a_body_must_be_the_callers() {
    let mut scene = Scene::new();
    let place = Place::Body(Pointer::read("/orders/*/id").unwrap());
    scene.route.rule.objects = vec![rule(place, Some("owner"))];
    scene.write("order:1#owner@user:usr_alice");
    scene.write("order:2#owner@user:usr_alice");
    let with = |body: &str| {
        let mut sent = scene
            .sent("/orders")
            .with("content-type", "application/json");
        sent.body = Some(Bytes::copy_from_slice(body.as_bytes()));
        sent
    };
    assert!(scene.passes(with(r#"{"orders":[{"id":"1"},{"id":2}]}"#)));
    for (body, code) in [
        (
            r#"{"orders":[{"id":"1"},{"id":"3"}]}"#,
            Code::ObjectNotAllowed,
        ),
        (
            r#"{"orders":[{"id":"1","ID":"3"}]}"#,
            Code::ObjectUnreadable,
        ),
        (
            r#"{"orders":[{"id":"1"}],"orders":[]}"#,
            Code::ObjectUnreadable,
        ),
        (r#"{"orders":[]}"#, Code::ObjectUnreadable),
        ("", Code::ObjectUnreadable),
    ] {
        assert_eq!(scene.code(with(body)), code, "{body}");
    }
    // A body that is still on the wire was not judged, so the call does not pass.
    let unread = scene
        .sent("/orders")
        .with("content-type", "application/json");
    assert_eq!(scene.code(unread), Code::Internal);
}

#[test]
fn a_role_that_was_granted_for_a_time_holds_until_then() {
    let mut scene = Scene::new();
    scene.route.rule.any_role = vec![RoleName::new("auditor")];
    assert_eq!(scene.code(scene.sent("/orders")), Code::RoleMissing);
    scene.write_until(
        "role:auditor#holder@user:usr_alice",
        Some(NOW.plus(Duration::from_secs(60))),
    );
    assert!(scene.passes(scene.sent("/orders")));
    let later = NOW.plus(Duration::from_secs(60));
    let call = scene.sent("/orders").call();
    let refused = scene.world.judge(call, &scene.route, later).unwrap_err();
    assert_eq!(refused.problem.code, Code::RoleMissing);
}

#[test]
fn subjects_of_two_issuers_are_two_people() {
    let mut scene = Scene::new().needs("owner");
    scene.route.rule.scopes.clear();
    scene.write("order:1#owner@user:00u1");
    let token = scene.world.foreign_token(&json!({}));
    let sent = || Sent::get("/orders/1").bearer(&token);
    assert_eq!(scene.code(sent()), Code::ObjectNotAllowed);
    scene.write(&format!("order:1#owner@user:{FOREIGN}|00u1"));
    assert!(scene.passes(sent()));
}

#[test]
fn j07_who_is_refused_many_objects_is_refused_all_for_a_while() {
    let mut scene = Scene::new().needs("owner");
    scene.write("order:mine#owner@user:usr_alice");
    scene.api(|api| {
        api.rights.probing = Some(Probing {
            distinct: 3,
            window: Duration::from_secs(60),
            refuse_for: Some(Duration::from_secs(600)),
        });
    });
    for _ in 0..10 {
        assert_eq!(scene.code(scene.sent("/orders/1")), Code::ObjectNotAllowed);
    }
    assert!(scene.passes(scene.sent("/orders/mine")));
    assert_eq!(scene.code(scene.sent("/orders/2")), Code::ObjectNotAllowed);
    let third = scene.judge(scene.sent("/orders/3")).unwrap_err();
    assert!(third.judged.unwrap().noticed);
    let held = scene.judge(scene.sent("/orders/mine")).unwrap_err();
    assert_eq!(held.problem.code, Code::ObjectProbing);
    assert_eq!(held.problem.retry_after, Some(Duration::from_secs(600)));
}

#[test]
fn h03_a_policy_passes_what_it_allows_and_nothing_else() {
    for (rego, code) in [
        ("decision := true", None),
        (
            "decision := {\"allow\": true, \"reason\": \"why not\"}",
            None,
        ),
        ("decision := false", Some(Code::PolicyDenied)),
        (
            "decision := {\"allow\": false, \"code\": \"closed\"}",
            Some(Code::PolicyDenied),
        ),
        // Undefined: no rule speaks of this call.
        (
            "decision if input.call.method == \"DELETE\"",
            Some(Code::PolicyDenied),
        ),
        // No answer: a text, an unknown member, an unknown obligation.
        ("decision := \"yes\"", Some(Code::PolicyDenied)),
        (
            "decision := {\"allow\": true, \"allows\": 1}",
            Some(Code::PolicyDenied),
        ),
        (
            "decision := {\"allow\": true, \"obligations\": {\"erase\": true}}",
            Some(Code::PolicyDenied),
        ),
        // A header that it did not say it sets.
        (
            "decision := {\"allow\": true, \"obligations\": {\"headers\": {\"x-plan\": \"gold\"}}}",
            Some(Code::PolicyDenied),
        ),
    ] {
        let scene = Scene::new().policy(rego);
        let judged = scene.judge(scene.sent("/orders/1"));
        match code {
            None => assert!(judged.is_ok(), "{rego}"),
            Some(code) => assert_eq!(judged.unwrap_err().problem.code, code, "{rego}"),
        }
    }
}

#[test]
fn a_policy_sees_the_call_and_no_secret() {
    let scene = Scene::new().policy("decision := true");
    let sent = scene
        .sent("/orders/1001?page=2&page=3&q=a%20b")
        .with("x-tenant", "acme")
        .with("cookie", "session=secret");
    let mut permitted = scene.judge(sent).unwrap();
    let input = permitted.take_judged().unwrap().input.unwrap();
    assert_eq!(input["version"], "v1");
    assert_eq!(input["parameters"], json!({"id": "1001"}));
    assert_eq!(
        input["call"]["query"],
        json!({"page": ["2", "3"], "q": ["a b"]})
    );
    assert_eq!(input["call"]["headers"]["x-tenant"], "acme");
    assert_eq!(input["principal"]["subject"], "user:usr_alice");
    assert_eq!(input["credential"]["scopes"], json!(["orders:read"]));
    let text = input.to_string();
    assert!(
        !text.contains("secret") && !text.contains("authorization"),
        "{text}"
    );
    assert!(!text.contains("eyJ"), "{text}");
}

#[test]
fn h02_what_a_caller_sends_is_data_whatever_it_looks_like() {
    let scene = Scene::new().policy(r#"decision if input.parameters.id == "1""#);
    for id in ["1%22%20or%20true", "1%22%7D", "true", "input.parameters.id"] {
        let code = scene.code(scene.sent(&format!("/orders/{id}")));
        assert_eq!(code, Code::PolicyDenied, "{id}");
    }
}

#[test]
fn a_policy_is_told_what_the_caller_is_to_an_object() {
    let mut scene = Scene::new()
        .policy(r#"decision if { some one in input.objects; "owner" in one.relations }"#);
    let mut told = rule(in_path(), None);
    told.tell = vec!["owner".into(), "viewer".into()];
    scene.route.rule.objects = vec![told];
    scene.write("order:1#owner@user:usr_alice");
    assert!(scene.passes(scene.sent("/orders/1")));
    assert_eq!(scene.code(scene.sent("/orders/2")), Code::PolicyDenied);
}

#[test]
fn what_a_policy_obliges_to_comes_with_the_permit() {
    let scene = Scene::new().policy(
        r#"decision := {"allow": true, "obligations": {
            "headers": {"x-tier": "gold"}, "mask": ["/card"], "limit": {"rate": "10/m"}}}"#,
    );
    let permitted = scene.judge(scene.sent("/orders/1")).unwrap();
    let obliged = permitted.obliged().unwrap();
    assert_eq!(obliged.headers[0].1, "gold");
    assert_eq!(obliged.masks.len(), 1);
    assert_eq!(&*obliged.limits[0].0, "orders");
    assert!(permitted.into_forward().obliged.is_some());
}

#[test]
fn a_weak_or_old_authentication_is_asked_for_again() {
    let scene = Scene::new().policy(
        r#"decision := {"allow": true, "obligations": {
            "step_up": {"acr_values": ["phr"], "max_age": 300}}}"#,
    );
    let refused = scene.judge(scene.sent("/orders/1")).unwrap_err();
    assert_eq!(refused.problem.code, Code::StepUpNeeded);
    let challenge = refused.problem.challenges[0].to_str().unwrap();
    assert!(
        challenge.contains("error=\"insufficient_user_authentication\""),
        "{challenge}"
    );
    assert!(
        challenge.contains("acr_values=\"phr\", max_age=\"300\""),
        "{challenge}"
    );
}

#[test]
fn what_is_in_shadow_is_recorded_and_refuses_nothing() {
    let mut scene = Scene::new().needs("owner");
    scene.route.rule.objects[0].shadow = true;
    scene.route.rule.shadow_policies = vec![policy("next", "decision := false")];
    let mut permitted = scene.judge(scene.sent("/orders/1")).unwrap();
    let judged = permitted.take_judged().unwrap();
    assert!(judged.judgements.is_empty());
    assert!(judged.shadow_denies());
    let said: Vec<_> = judged
        .shadow
        .iter()
        .map(|one| (&*one.what, &*one.outcome))
        .collect();
    assert_eq!(said, [("order:1#owner", "deny"), ("next", "deny")]);
}

#[test]
fn a_rule_in_shadow_refuses_nothing_even_where_it_cant_be_asked() {
    let mut scene = Scene::new();
    let body = Place::Body(Pointer::read("/id").unwrap());
    scene.route.rule.objects = vec![rule(in_path(), Some("owner")), rule(body, Some("owner"))];
    for one in &mut scene.route.rule.objects {
        one.shadow = true;
    }
    for (target, text) in [
        ("/orders", r#"{"id":"1"}"#),
        ("/orders/1%20", r#"{"id":"1","ID":"2"}"#),
        ("/orders/1", "no JSON"),
    ] {
        let mut sent = scene.sent(target).with("content-type", "application/json");
        sent.body = Some(Bytes::copy_from_slice(text.as_bytes()));
        let mut permitted = scene.judge(sent).expect(target);
        assert!(permitted.take_judged().unwrap().shadow_denies(), "{target}");
    }
}

#[test]
fn a_caller_whose_name_no_tuple_can_hold_has_no_relation() {
    let mut scene = Scene::new().needs("owner");
    scene.route.rule.scopes.clear();
    let token = scene.world.foreign_token(&json!({"sub": "a#member"}));
    let sent = Sent::get("/orders/1").bearer(&token);
    assert_eq!(scene.code(sent), Code::ObjectNotAllowed);
}

#[test]
fn facts_that_cant_be_had_refuse_and_say_so() {
    let mut scene = Scene::new().needs("owner");
    scene.write("order:1#owner@user:usr_alice");
    assert!(scene.passes(scene.sent("/orders/1")));
    let sent = scene.sent("/orders/1");
    // The token is known by now, so tuples are the first that is asked for.
    scene.world.facts.out = Some(Unavailable::Store);
    let refused = scene.judge(sent).unwrap_err();
    assert_eq!(refused.problem.code, Code::FactUnavailable);
}

#[test]
fn a_recorded_call_is_judged_again_as_it_would_be_by_other_rules() {
    let scene = Scene::new().policy("decision := true");
    scene.write("order:1#owner@user:usr_alice");
    let input = |target: &str| {
        let mut permitted = scene.judge(scene.sent(target)).unwrap();
        permitted.take_judged().unwrap().input.unwrap()
    };
    let (mine, theirs) = (input("/orders/1"), input("/orders/2"));
    let again = |route: &Route, input: &Value| {
        crate::testing::run(replay(route, input, &scene.world.facts, NOW)).unwrap()
    };
    let mut next = scene.world.route(&[&[CredentialKind::Jwt]]);
    next.api = scene.route.api.clone();
    assert_eq!(again(&next, &mine), Replayed::Allow);
    next.rule.objects = vec![rule(in_path(), Some("owner"))];
    assert_eq!(again(&next, &mine), Replayed::Allow);
    let code = |replayed: Replayed| match replayed {
        Replayed::Deny { code, .. } => Some(code),
        _ => None,
    };
    assert_eq!(code(again(&next, &theirs)), Some(Code::ObjectNotAllowed));
    next.rule.policies = vec![policy("next", "decision if input.call.method == \"PUT\"")];
    assert_eq!(code(again(&next, &mine)), Some(Code::PolicyDenied));
    next.rule.scopes = vec!["orders:write".into()];
    assert_eq!(code(again(&next, &mine)), Some(Code::ScopeMissing));
    next.rule = crate::route::Rule {
        objects: vec![rule(
            Place::Body(Pointer::read("/id").unwrap()),
            Some("owner"),
        )],
        ..crate::route::Rule::default()
    };
    assert!(matches!(again(&next, &mine), Replayed::Unknown(_)));
}

#[test]
fn a_call_that_was_refused_is_recorded_so_that_looser_rules_can_judge_it() {
    let mut scene = Scene::new().needs("owner");
    scene.route.rule.records_input = true;
    let refused = scene.judge(scene.sent("/orders/2")).unwrap_err();
    let input = refused.judged.unwrap().input.unwrap();
    assert_eq!(input["parameters"], json!({"id": "2"}));
    let again = crate::testing::run(replay(&scene.route, &input, &scene.world.facts, NOW));
    assert!(matches!(again.unwrap(), Replayed::Deny { .. }));
    let mut next = scene.world.route(&[&[CredentialKind::Jwt]]);
    next.api = scene.route.api.clone();
    let again = crate::testing::run(replay(&next, &input, &scene.world.facts, NOW));
    assert_eq!(again.unwrap(), Replayed::Allow);
}

#[test]
fn a_call_that_is_judged_again_tells_policies_what_the_rules_of_now_ask() {
    let mut scene = Scene::new();
    scene.route.rule.records_input = true;
    scene.write("order:1#owner@user:usr_alice");
    let mut permitted = scene.judge(scene.sent("/orders/1")).unwrap();
    let input = permitted.take_judged().unwrap().input.unwrap();
    assert_eq!(input["objects"], json!([]), "no rule asked");
    let mut next = scene.world.route(&[&[CredentialKind::Jwt]]);
    next.api = scene.route.api.clone();
    next.rule.objects = vec![ObjectRule {
        tell: vec!["owner".into()],
        ..rule(in_path(), None)
    }];
    next.rule.policies = vec![policy(
        "next",
        "decision if \"owner\" in input.objects[0].relations",
    )];
    let again = crate::testing::run(replay(&next, &input, &scene.world.facts, NOW));
    assert_eq!(again.unwrap(), Replayed::Allow);
    scene.world.facts.tuples.lock().unwrap().clear();
    let again = crate::testing::run(replay(&next, &input, &scene.world.facts, NOW));
    assert!(matches!(again.unwrap(), Replayed::Deny { .. }));
}

#[test]
fn an_open_stream_ends_with_the_right_that_opened_it() {
    let scene = Scene::new().needs("owner");
    scene.write("order:1#owner@user:usr_alice");
    let lease = scene
        .judge(scene.sent("/orders/1"))
        .unwrap()
        .lease()
        .unwrap();
    let holds = |now| crate::testing::run(lease.holds(&scene.route, &scene.world.facts, now));
    assert!(holds(NOW).is_ok());
    // The token's own end, with its leeway.
    let late = NOW.plus(Duration::from_secs(700));
    assert_eq!(holds(late).unwrap_err().code, Code::CredentialRefused);
    scene.world.facts.revoked.lock().unwrap().push("t-1".into());
    assert_eq!(holds(NOW).unwrap_err().code, Code::CredentialRefused);
    scene.world.facts.revoked.lock().unwrap().clear();
    assert!(holds(NOW).is_ok());
    scene.world.facts.tuples.lock().unwrap().clear();
    assert_eq!(holds(NOW).unwrap_err().code, Code::ObjectNotAllowed);
}

#[test]
fn j03_an_open_stream_ends_when_its_answer_would_be_masked() {
    let masked = r#"decision := {"allow": true, "obligations": {"mask": ["/card"]}}"#;
    let mut scene = Scene::new()
        .policy(r#"decision := {"allow": true, "obligations": {"headers": {"x-tier": "free"}}}"#);
    let lease = scene
        .judge(scene.sent("/orders/1"))
        .unwrap()
        .lease()
        .unwrap();
    let holds =
        |scene: &Scene| crate::testing::run(lease.holds(&scene.route, &scene.world.facts, NOW));
    assert!(holds(&scene).is_ok());
    scene.route.rule.policies = vec![policy("orders", masked)];
    assert_eq!(holds(&scene).unwrap_err().code, Code::PolicyDenied);
}

/// A field of each sort that ends at the door, and one of those that go on.
fn sent_with_much(scene: &Scene) -> Sent {
    [
        ("prefer", "dry-run"),
        ("x-order", "1"),
        ("connection", "prefer, x-order"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x_real_ip", "10.0.0.1"),
        ("doorward-subject", "root"),
        ("client-cert", ":AAAA:"),
        ("x-http-method-override", "DELETE"),
        ("traceparent", "00-1-2-01"),
        ("x-tier", "gold"),
        ("x_tier", "gold"),
        ("x.vendor.key", "k"),
        ("cookie", "a=b"),
        ("accept", "1"),
    ]
    .into_iter()
    .fold(scene.sent("/orders/1"), |sent, (name, value)| {
        sent.with(name, value)
    })
}

#[test]
fn b08_policies_are_told_of_the_fields_that_go_on_and_of_no_others() {
    let mut scene = Scene::new().policy("decision := true");
    scene.api(|api| {
        api.rights.own_fields = vec![http::HeaderName::from_static("x-vendor-key")];
    });
    scene.route.rule.records_input = true;
    let mut permitted = scene.judge(sent_with_much(&scene)).unwrap();
    let input = permitted.take_judged().unwrap().input.unwrap();
    let told: Vec<_> = input["call"]["headers"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    // `Connection` can't take off what somebody might judge by (threat B5).
    assert_eq!(told, ["accept", "host", "x-order"], "{input:#}");
}

#[test]
fn b08_no_object_is_named_by_a_field_that_goes_no_further() {
    let mut scene = Scene::new().policy("decision := true");
    for (name, passes) in [
        ("accept", true),
        ("x-forwarded-for", false),
        ("doorward-subject", false),
        ("te", false),
        ("x-tier", false),
        ("prefer", false),
    ] {
        let place = Place::Header(http::HeaderName::from_static(name));
        scene.route.rule.objects = vec![rule(place, None)];
        let sent = sent_with_much(&scene);
        assert_eq!(scene.judge(sent).is_ok(), passes, "{name}");
    }
}
