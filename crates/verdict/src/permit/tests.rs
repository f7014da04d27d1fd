use proof::issued::SecretKind;
use serde_json::json;

use super::*;
use crate::credential::CredentialKind::{AdminKey, ApiKey, Basic as BasicKind, Jwt};
use crate::identity::{ApiAllow, RoleName};
use crate::problem::Missing;
use crate::route::ApiName;
use crate::testing::{NOW, Sent, Stored, World, hand, run};

#[test]
fn of_a_combination_every_credential_must_hold() {
    let mut hand = hand();
    let good = Stored::new(SecretKind::SecretKey);
    let elsewhere = ApiAllow::Listed(vec![ApiName::new("billing")]);
    let narrow = hand.world.key(&Stored {
        apis: elsewhere,
        ..good
    });
    let unknown = hand.world.unstored(SecretKind::SecretKey);
    let expired = hand.world.own_token(&json!({"exp": NOW.as_secs() - 61}));
    let route = hand.world.route(&[&[Jwt, ApiKey]]);
    let pair = |token: &str, key: &str| Sent::get("/orders").bearer(token).with("x-api-key", key);
    for (what, sent, code) in [
        (
            "the key alone",
            Sent::get("/orders").with("x-api-key", &hand.key),
            Code::CredentialMissing,
        ),
        ("the token alone", hand.sent(Jwt), Code::CredentialMissing),
        (
            "an unknown key",
            pair(&hand.token, &unknown),
            Code::CredentialRefused,
        ),
        (
            "an expired token",
            pair(&expired, &hand.key),
            Code::CredentialRefused,
        ),
        (
            "garbage for a key",
            pair(&hand.token, "garbage"),
            Code::CredentialRefused,
        ),
        (
            "garbage for a token",
            pair("a.b.c", &hand.key),
            Code::CredentialRefused,
        ),
        (
            "a key for another API",
            pair(&hand.token, &narrow),
            Code::ApiNotAllowed,
        ),
    ] {
        assert_eq!(hand.code(sent, &route), Err(code), "{what}");
    }
    assert_eq!(hand.code(pair(&hand.token, &hand.key), &route), Ok(Jwt));
}

#[test]
fn publishable_keys_work_from_their_origins_only() {
    let mut world = World::new();
    let key = world.key(&Stored {
        kind: SecretKind::PublishableKey,
        origins: &["https://shop.example", "https://shop.example:8443"],
        ..Stored::new(SecretKind::SecretKey)
    });
    let route = world.route(&[&[ApiKey]]);
    for (origin, passes) in [
        ("https://shop.example", true),
        ("https://shop.example:8443", true),
        ("http://shop.example", false),
        ("https://shop.example.evil.example", false),
        ("https://evil.example/https://shop.example", false),
        ("https://SHOP.example", false),
        ("null", false),
        ("", false),
    ] {
        let call = Sent::get("/orders")
            .bearer(&key)
            .with("origin", origin)
            .call();
        let answer = world.judge(call, &route, NOW);
        assert_eq!(answer.is_ok(), passes, "{origin}");
        if let Err(refused) = answer {
            assert_eq!(refused.problem.code, Code::PlaceNotAllowed);
        }
    }
}

#[test]
fn a_key_is_bound_to_its_networks_in_both_families() {
    let mut world = World::new();
    let key = world.key(&Stored {
        networks: &["192.0.2.0/28", "2001:db8::/32"],
        ..Stored::new(SecretKind::SecretKey)
    });
    let route = world.route(&[&[ApiKey]]);
    for (client, passes) in [
        ("192.0.2.7", true),
        ("192.0.2.16", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
        ("::ffff:192.0.2.7", true),
    ] {
        let mut sent = Sent::get("/orders").bearer(&key);
        sent.arrival.client = client.parse().unwrap();
        assert_eq!(
            world.judge(sent.call(), &route, NOW).is_ok(),
            passes,
            "{client}"
        );
    }
}

#[test]
fn j02_scopes_match_exactly_and_all_of_them() {
    let world = World::new();
    for (held, needed, missing) in [
        ("orders:read", &["orders:read"][..], &[][..]),
        ("orders:write", &["orders:read"], &["orders:read"]),
        ("orders:read", &["orders:write"], &["orders:write"]),
        (
            "orders:read orders:write",
            &["orders:write", "orders:read"],
            &[],
        ),
        (
            "orders:read",
            &["orders:read", "orders:write"],
            &["orders:write"],
        ),
        ("orders", &["orders:read"], &["orders:read"]),
        ("orders:*", &["orders:read"], &["orders:read"]),
        ("orders:readonly", &["orders:read"], &["orders:read"]),
        ("Orders:Read", &["orders:read"], &["orders:read"]),
        ("", &["orders:read"], &["orders:read"]),
        ("", &[], &[]),
    ] {
        let mut route = world.route(&[&[Jwt]]);
        route.rule.scopes = needed.iter().map(|scope| (*scope).into()).collect();
        let token = world.own_token(&json!({"scope": held}));
        match world.judge(Sent::get("/orders").bearer(&token).call(), &route, NOW) {
            Ok(_) => assert!(missing.is_empty(), "{held:?} passed for {needed:?}"),
            Err(refused) => {
                let problem = refused.problem;
                assert_eq!(problem.code, Code::ScopeMissing, "{held:?} for {needed:?}");
                let expected = missing.iter().map(|scope| (*scope).into()).collect();
                assert_eq!(problem.missing.as_deref(), Some(&Missing::Scopes(expected)));
                // RFC 6750 §3.1: what a token would need, whole.
                let challenge = problem.challenges[0].to_str().unwrap();
                let scope = format!(
                    "error=\"insufficient_scope\", scope=\"{}\"",
                    needed.join(" ")
                );
                assert!(challenge.contains(&scope), "{challenge}");
                assert!(refused.identity.is_some(), "the record knows who it was");
            }
        }
    }
}

#[test]
fn one_of_the_roles_is_enough_and_none_is_not() {
    let world = World::new();
    for (held, passes) in [
        (json!(["clerk"]), true),
        (json!(["boss", "clerk"]), true),
        (json!("boss"), true),
        (json!(["Clerk"]), false),
        (json!(["clerk boss"]), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let mut route = world.route(&[&[Jwt]]);
        route.rule.any_role = vec![RoleName::new("clerk"), RoleName::new("boss")];
        let token = world.own_token(&json!({"roles": held}));
        match world.judge(Sent::get("/orders").bearer(&token).call(), &route, NOW) {
            Ok(_) => assert!(passes, "{held}"),
            Err(refused) => {
                assert!(!passes, "{held}");
                assert_eq!(refused.problem.code, Code::RoleMissing);
            }
        }
    }
}

#[test]
fn who_was_identified_nowhere_is_nobody_elsewhere() {
    let hand = hand();
    let public = Route {
        demand: Demand::Public {
            pass_authorization: false,
        },
        ..hand.world.route(&[])
    };
    let protected = hand.world.route(&[&[ApiKey]]);
    let refused = run(async {
        let who = identify(Sent::get("/orders").call(), &public, &hand.world.facts, NOW)
            .await
            .unwrap();
        decide(who, &protected, &hand.world.facts, NOW)
            .await
            .unwrap_err()
    });
    assert_eq!(refused.problem.code, Code::CredentialMissing);
}

#[test]
fn a_key_that_ends_between_the_two_steps_ends() {
    let mut world = World::new();
    let ends = NOW.plus(core::time::Duration::from_secs(5));
    let key = world.key(&Stored {
        expires_at: Some(ends),
        ..Stored::new(SecretKind::SecretKey)
    });
    let route = world.route(&[&[ApiKey]]);
    let later = |seconds| {
        run(async {
            let call = Sent::get("/orders").bearer(&key).call();
            let who = identify(call, &route, &world.facts, NOW).await.unwrap();
            let at = NOW.plus(core::time::Duration::from_secs(seconds));
            decide(who, &route, &world.facts, at).await.is_ok()
        })
    };
    assert!(later(4) && !later(5));
}

#[test]
fn a_token_that_ends_between_the_two_steps_keeps_its_leeway() {
    let hand = hand();
    let route = hand.world.route(&[&[Jwt]]);
    let later = |seconds| {
        run(async {
            let who = identify(hand.sent(Jwt).call(), &route, &hand.world.facts, NOW)
                .await
                .unwrap();
            let at = NOW.plus(core::time::Duration::from_secs(seconds));
            decide(who, &route, &hand.world.facts, at).await.is_ok()
        })
    };
    assert!(later(659) && !later(661));
}

#[test]
fn the_two_steps_may_move_between_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let hand = hand();
    let route = hand
        .world
        .route(&[&[ApiKey], &[Jwt], &[BasicKind], &[AdminKey]]);
    let who = run(assert_send(identify(
        hand.sent(ApiKey).call(),
        &route,
        &hand.world.facts,
        NOW,
    )));
    assert!(
        run(assert_send(decide(
            who.unwrap(),
            &route,
            &hand.world.facts,
            NOW
        )))
        .is_ok()
    );
}

#[test]
fn a_service_in_this_process_learns_who_calls_from_the_permit() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey]]);
    let permitted = hand
        .world
        .judge(hand.sent(ApiKey).call(), &route, NOW)
        .unwrap();
    let admitted = permitted.admitted();
    assert_eq!(admitted.identity().unwrap().kind(), ApiKey);
    assert_eq!(&*admitted.arrival().request_id, "0193");
    let Forward {
        head,
        identity,
        signed,
        ..
    } = permitted.into_forward();
    assert!(signed.is_none());
    assert_eq!(head.path(), "/orders");
    assert!(identity.is_some());
}
