use core::time::Duration;

use proof::jose::jws;
use serde_json::json;

use crate::credential::CredentialKind::Jwt;
use crate::identity::Principal;
use crate::permit::{Permitted, Refused};
use crate::problem::Code;
use crate::route::{Api, Route};
use crate::testing::{FOREIGN, NOW, Sent, World, changed};

fn judge(world: &World, token: &str, seconds: i64) -> Result<Permitted<()>, Code> {
    let now = proof::time::Timestamp::from_secs(NOW.as_secs() + seconds);
    let route = world.route(&[&[Jwt]]);
    let call = Sent::get("/orders").bearer(token).call();
    world
        .judge(call, &route, now)
        .map_err(|refused: Refused<()>| refused.problem.code)
}

#[test]
fn c14_leeway_is_59_seconds_and_not_61_at_every_comparison() {
    let now = NOW.as_secs();
    for (what, changes) in [
        ("exp", json!({"exp": now})),
        ("nbf", json!({"nbf": now})),
        ("iat", json!({"iat": now, "nbf": null})),
    ] {
        let (passes, refuses) = if what == "exp" { (59, 61) } else { (-59, -61) };
        // Never seen, and seen before: both compare.
        let fresh = World::new();
        assert!(
            judge(&fresh, &fresh.own_token(&changes), passes).is_ok(),
            "{what}"
        );
        let fresh = World::new();
        let token = fresh.own_token(&changes);
        assert_eq!(
            judge(&fresh, &token, refuses).err(),
            Some(Code::CredentialRefused),
            "{what}"
        );
        assert!(judge(&fresh, &token, 0).is_ok(), "{what}");
        fresh.facts.questions();
        assert!(judge(&fresh, &token, passes).is_ok(), "{what}, known");
        assert_eq!(
            judge(&fresh, &token, refuses).err(),
            Some(Code::CredentialRefused),
            "{what}, known"
        );
        assert!(
            !fresh.facts.questions().contains(&"verification_key"),
            "both were hits"
        );
    }
}

#[test]
fn c14_the_end_itself_is_outside() {
    let world = World::new();
    let token = world.own_token(&json!({"exp": NOW.as_secs()}));
    assert!(judge(&world, &token, 60).is_err());
}

#[test]
fn c06_a_token_seen_before_costs_no_verification() {
    let world = World::new();
    let token = world.own_token(&json!({}));
    assert!(judge(&world, &token, 0).is_ok());
    assert_eq!(
        world.facts.questions(),
        [
            "known_token",
            "known_token",
            "verification_key",
            "remember_token",
            "revoked"
        ]
    );
    assert!(judge(&world, &token, 1).is_ok());
    assert_eq!(world.facts.questions(), ["known_token", "revoked"]);
}

#[test]
fn c06_a_hit_still_judges_time_audience_scope_and_revocation() {
    let world = World::new();
    let token = world.own_token(&json!({}));
    assert!(judge(&world, &token, 0).is_ok());

    assert_eq!(
        judge(&world, &token, 661).err(),
        Some(Code::CredentialRefused),
        "expiry"
    );

    let mut narrower = world.route(&[&[Jwt]]);
    narrower.rule.scopes = vec!["orders:write".into()];
    let call = Sent::get("/orders").bearer(&token).call();
    let refused = world.judge(call, &narrower, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::ScopeMissing, "scope");

    // Another API that trusts the same issuer under the same configuration.
    let elsewhere = Api {
        name: crate::route::ApiName::new("billing"),
        audiences: vec!["https://billing.example".into()],
        environment: world.api.environment,
        issuers: world.api.issuers.clone(),
        brand: world.api.brand.clone(),
        encryption: None,
        key_headers: Vec::new(),
        foreign_keys: Vec::new(),
        realm: "billing".into(),
        resource_metadata: None,
        relations: None,
        rights: Default::default(),
        certificates: None,
        signatures: Default::default(),
    };
    let route = Route {
        api: std::sync::Arc::new(elsewhere),
        ..world.route(&[&[Jwt]])
    };
    world.facts.questions();
    let call = Sent::get("/orders").bearer(&token).call();
    let refused = world.judge(call, &route, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialRefused, "audience");
    assert_eq!(world.facts.questions(), ["known_token"], "it was a hit");

    world.facts.revoked.lock().unwrap().push("t-1".into());
    assert_eq!(
        judge(&world, &token, 0).err(),
        Some(Code::CredentialRefused),
        "revocation"
    );
}

#[test]
fn c06_the_tokens_of_a_suspended_client_sleep_with_it_and_another_issuer_s_do_not() {
    let world = World::new();
    let own = world.own_token(&json!({"client_id": "shop-app"}));
    let foreign = world.foreign_token(&json!({"azp": "shop-app"}));
    let both = || [&own, &foreign].map(|token| judge(&world, token, 0).map(drop));
    assert_eq!(both(), [Ok(()), Ok(())]);
    let standing_of = |token: &str| {
        let permitted = judge(&world, token, 0).unwrap();
        permitted.identity().unwrap().standing().client.clone()
    };
    // Both clients are called alike.
    assert_eq!(standing_of(&own), standing_of(&foreign));
    assert!(standing_of(&own).is_some());
    let asleep = || world.facts.asleep.lock().unwrap();
    asleep().push("shop-app".into());
    assert_eq!(both(), [Err(Code::CredentialRefused), Ok(())]);
    asleep().clear();
    assert_eq!(both(), [Ok(()), Ok(())]);
}

#[test]
fn c06_another_configuration_of_the_issuer_knows_nothing() {
    let mut world = World::new();
    let token = world.own_token(&json!({}));
    assert!(judge(&world, &token, 0).is_ok());
    let api = std::sync::Arc::get_mut(&mut world.api).unwrap();
    let profile = std::sync::Arc::get_mut(&mut api.issuers[0]).unwrap();
    profile.config = crate::credential::jwt::ConfigId(99);
    profile.required_claims.push("tenant".into());
    assert_eq!(
        judge(&world, &token, 0).err(),
        Some(Code::CredentialRefused)
    );
}

#[test]
fn c06_a_cache_that_answers_for_another_configuration_is_not_believed() {
    let world = World::new();
    let token = world.foreign_token(&json!({}));
    assert!(judge(&world, &token, 0).is_ok());
    let hash = proof::digest::TokenHash::of(token.as_bytes());
    let mut known = world.facts.known.lock().unwrap();
    let (_, verified) = known.drain().next().unwrap();
    known.insert((hash, crate::credential::jwt::ConfigId(1)), verified);
    drop(known);
    world.facts.questions();
    assert!(judge(&world, &token, 0).is_ok());
    assert!(world.facts.questions().contains(&"verification_key"));
}

#[test]
fn c06_only_the_whole_token_is_a_hit() {
    let world = World::new();
    let token = world.own_token(&json!({}));
    assert!(judge(&world, &token, 0).is_ok());
    for forged in [
        format!("{token}="),
        format!("{token}A"),
        token[..token.len() - 1].to_owned(),
    ] {
        assert_eq!(
            judge(&world, &forged, 0).err(),
            Some(Code::CredentialRefused)
        );
    }
}

#[test]
fn c13_a_key_speaks_for_its_own_issuer_only() {
    let world = World::new();
    for (key, typ, claims) in [
        (&world.foreign_key, "at+jwt", World::own_claims()),
        (&world.own_key, "JWT", World::foreign_claims()),
    ] {
        let token = jws::sign(key, typ, &claims.to_string());
        assert_eq!(
            judge(&world, &token, 0).err(),
            Some(Code::CredentialRefused)
        );
    }
}

#[test]
fn c03_claims_of_the_wrong_type_refuse() {
    let world = World::new();
    let now = NOW.as_secs();
    for changes in [
        json!({"exp": (now + 60).to_string()}),
        json!({"exp": 1e300}),
        json!({"exp": -1}),
        json!({"exp": [now + 60]}),
        json!({"exp": true}),
        json!({"nbf": "0"}),
        json!({"iat": {}}),
        json!({"sub": 7}),
        json!({"sub": ["usr_alice"]}),
        json!({"aud": {"a": 1}}),
        json!({"aud": []}),
        json!({"aud": [crate::testing::AUDIENCE, 7]}),
        json!({"jti": 7}),
        json!({"client_id": ["cli_app"]}),
        json!({"scope": ["orders:read"]}),
    ] {
        let token = world.own_token(&changes);
        assert_eq!(
            judge(&world, &token, 0).err(),
            Some(Code::CredentialRefused),
            "{changes}"
        );
    }
    let text = World::own_claims().to_string();
    let twice = text.replacen('{', "{\"scope\":\"admin\",", 1);
    let token = jws::sign(&world.own_key, "at+jwt", &twice);
    assert_eq!(
        judge(&world, &token, 0).err(),
        Some(Code::CredentialRefused),
        "a member twice"
    );
}

#[test]
fn c05_bounds_are_checked_before_anything_is_asked() {
    let world = World::new();
    for token in [
        "a".repeat(jws::MAX_TOKEN_BYTES + 1),
        ".".repeat(9),
        format!("{}.e30.AA", "A".repeat(5000)),
    ] {
        assert_eq!(
            judge(&world, &token, 0).err(),
            Some(Code::CredentialRefused)
        );
        assert!(!world.facts.questions().contains(&"verification_key"));
    }
}

#[test]
fn c02_no_key_is_asked_for_a_token_of_a_stranger() {
    let world = World::new();
    let claims = changed(World::own_claims(), &json!({"iss": "https://evil.example"}));
    let token = jws::sign(&world.own_key, "at+jwt", &claims.to_string());
    assert_eq!(
        judge(&world, &token, 0).err(),
        Some(Code::CredentialRefused)
    );
    assert_eq!(world.facts.questions(), ["known_token", "known_token"]);
}

#[test]
fn d01_a_bound_token_as_a_plain_bearer_is_refused_known_or_not() {
    let world = World::new();
    for changes in [
        json!({"cnf": {"jkt": "x"}}),
        json!({"cnf": {}}),
        json!({"cnf": "x"}),
    ] {
        let token = world.own_token(&changes);
        for _ in 0..2 {
            assert_eq!(
                judge(&world, &token, 0).err(),
                Some(Code::CredentialRefused),
                "{changes}"
            );
        }
    }
}

#[test]
fn what_our_own_token_says_is_its_standing() {
    let world = World::new();
    let token = world.own_token(&json!({"application": "app_shop", "roles": ["clerk"]}));
    let permitted = judge(&world, &token, 0).unwrap();
    let standing = permitted.identity().unwrap().standing();
    assert_eq!(standing.application.as_ref().unwrap().as_str(), "app_shop");
    assert_eq!(standing.client.as_ref().unwrap().as_str(), "cli_app");
    assert_eq!(standing.environment, Some(proof::issued::Environment::Live));
    assert_eq!(standing.credential.as_str(), "jti:t-1");
    assert!(matches!(&standing.principal, Principal::User(id) if id.as_str() == "usr_alice"));
    let wrong = world.own_token(&json!({"application": 7}));
    assert_eq!(
        judge(&world, &wrong, 0).err(),
        Some(Code::CredentialRefused)
    );
}

#[test]
fn a_foreign_token_says_nothing_that_only_ours_may() {
    let world = World::new();
    let token = world.foreign_token(&json!({"application": "app_shop", "env": "test"}));
    let permitted = judge(&world, &token, 0).unwrap();
    let standing = permitted.identity().unwrap().standing();
    assert_eq!((&standing.application, standing.environment), (&None, None));
}

#[test]
fn what_a_foreign_token_says_is_mapped_by_its_profile() {
    let world = World::new();
    let token = world.foreign_token(&json!({
        "scp": "orders:read orders:write orders:read",
        "https://partner.example/roles": ["boss"],
    }));
    let permitted = judge(&world, &token, 0).unwrap();
    let identity = permitted.identity().unwrap();
    let standing = identity.standing();
    assert_eq!(
        standing.scopes.iter().collect::<Vec<_>>(),
        ["orders:read", "orders:write"]
    );
    let roles: Vec<_> = standing.roles.iter().map(|role| role.as_str()).collect();
    assert_eq!(roles, ["boss", "clerk"]);
    assert_eq!(standing.tenant.as_ref().unwrap().as_str(), "acme");
    assert_eq!(
        standing.claims,
        *json!({"department": {"no": 7}}).as_object().unwrap()
    );
    assert_eq!(standing.client.as_ref().unwrap().as_str(), "partner-app");
    assert_eq!(standing.environment, None);
    assert!(matches!(&standing.principal, Principal::User(id) if id.as_str() == "00u1"));
    assert_eq!(identity.issuer().unwrap().as_str(), FOREIGN);
    let expires = NOW.plus(Duration::from_secs(600));
    assert_eq!(identity.expires_at(), Some(expires));
}

#[test]
fn a_claim_inside_something_that_is_no_object_is_absent() {
    let world = World::new();
    for value in [
        json!("clerk"),
        json!(["roles"]),
        json!({"roles": null}),
        json!({}),
    ] {
        let token = world.foreign_token(&json!({"realm_access": value}));
        let answer = judge(&world, &token, 0);
        // `null` is a claim of the wrong type, the others have no roles to read.
        if value == json!({"roles": null}) {
            assert_eq!(answer.err(), Some(Code::CredentialRefused));
        } else {
            assert!(
                answer
                    .unwrap()
                    .identity()
                    .unwrap()
                    .standing()
                    .roles
                    .is_empty()
            );
        }
    }
}
