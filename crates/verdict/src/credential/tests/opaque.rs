use std::sync::Arc;

use proof::issued::SecretKind;
use serde_json::json;

use crate::credential::CredentialKind::{ApiKey, Basic as BasicKind, Jwt, Opaque};
use crate::problem::Code;
use crate::testing::{NOW, Sent, World, hand};

#[test]
fn both_forms_of_a_token_stand_for_the_same() {
    let world = World::new();
    let changes = json!({"application": "app_shop", "roles": ["clerk"], "grant_id": "g"});
    let route = world.route(&[&[Jwt], &[Opaque]]);
    let [jwt, opaque] = [world.own_token(&changes), world.opaque_token(&changes)].map(|token| {
        let call = Sent::get("/orders").bearer(&token).call();
        world.judge(call, &route, NOW).unwrap()
    });
    let (jwt, opaque) = (jwt.identity().unwrap(), opaque.identity().unwrap());
    assert_eq!(
        format!("{:?}", jwt.standing()),
        format!("{:?}", opaque.standing())
    );
    assert_eq!(jwt.expires_at(), opaque.expires_at());
    assert_eq!(jwt.issuer(), opaque.issuer());
    assert_eq!((jwt.kind(), opaque.kind()), (Jwt, Opaque));
}

#[test]
fn c06_what_is_kept_is_judged_on_every_use() {
    let world = World::new();
    let token = world.opaque_token(&json!({}));
    let route = world.route(&[&[Opaque]]);
    let judge = |seconds: u64| {
        let call = Sent::get("/orders").bearer(&token).call();
        let now = NOW.plus(core::time::Duration::from_secs(seconds));
        let answer = world.judge(call, &route, now);
        answer.map(|_| ()).map_err(|refused| refused.problem.code)
    };
    assert_eq!(judge(0), Ok(()));
    assert_eq!(world.facts.questions(), ["opaque_token", "revoked"]);
    assert_eq!(judge(659), Ok(()));
    assert_eq!(judge(660), Err(Code::CredentialRefused));
    world.facts.revoked.lock().unwrap().push("t-1".into());
    assert_eq!(judge(0), Err(Code::CredentialRefused));
}

#[test]
fn what_is_no_token_of_ours_costs_no_lookup() {
    let world = World::new();
    let token = world.opaque_token(&json!({}));
    let route = world.route(&[&[Opaque]]);
    for text in [
        format!("{}x", &token[..token.len() - 1]),
        format!("{token}0"),
        token[..token.len() - 1].to_owned(),
        token.replacen("dw_ot_live", "dw_ot_test", 1),
        token.replacen("dw_ot_", "dw_xx_", 1),
        "dw_ot_".to_owned(),
        "dw_ot".to_owned(),
        world.unstored(SecretKind::SecretKey),
        world.own_token(&json!({})),
    ] {
        let refused = hand_over(&world, &route, &text);
        assert_eq!(refused, Err(Code::CredentialRefused), "{text}");
    }
    assert_eq!(world.facts.questions(), [] as [&str; 0]);
}

fn hand_over(world: &World, route: &crate::route::Route, text: &str) -> Result<(), Code> {
    let call = Sent::get("/orders").bearer(text).call();
    let answer = world.judge(call, route, NOW);
    answer.map(|_| ()).map_err(|refused| refused.problem.code)
}

#[test]
fn c12_unknown_expired_revoked_and_malformed_tokens_are_one_answer() {
    let world = World::new();
    let expired = json!({"exp": NOW.as_secs() - 61, "jti": "t-2"});
    let good = world.opaque_token(&json!({"jti": "t-3"}));
    let tokens = [
        world.unstored(SecretKind::OpaqueToken),
        world.opaque_token(&expired),
        world.opaque_token(&json!({})),
        world.opaque_token(&json!({"aud": "https://billing.example", "jti": "t-4"})),
        good[..50].to_owned(),
        "dw_ot_live_garbage".to_owned(),
    ];
    world.facts.revoked.lock().unwrap().push("t-1".into());
    let route = world.route(&[&[Opaque]]);
    let answers = tokens.each_ref().map(|token| {
        let call = Sent::get("/orders").bearer(token).call();
        let problem = world.judge(call, &route, NOW).unwrap_err().problem;
        (
            problem.to_json("1"),
            problem.headers(),
            problem.code.status(),
        )
    });
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
}

#[test]
fn d01_under_dpop_the_form_decides_between_the_two_and_is_never_a_key() {
    let hand = hand();
    for (taken, of_jwt, of_opaque) in [
        // Without a proof: what is read at all misses it, what is not taken is refused.
        (Jwt, Code::ProofRefused, Code::CredentialRefused),
        (Opaque, Code::CredentialRefused, Code::ProofRefused),
        (ApiKey, Code::CredentialRefused, Code::CredentialRefused),
    ] {
        let route = hand.world.route(&[&[taken]]);
        for (token, expected) in [
            (&hand.token, of_jwt),
            (&hand.opaque, of_opaque),
            (&hand.key, Code::CredentialRefused),
            (&hand.admin, Code::CredentialRefused),
        ] {
            let sent = Sent::get("/orders").with("authorization", format!("DPoP {token}"));
            assert_eq!(hand.code(sent, &route), Err(expected), "{taken:?} {token}");
        }
    }
}

#[test]
fn a_token_of_the_other_form_is_not_a_hit_in_a_cache() {
    // Whoever calls a token known must not make an opaque one pass where JWTs are taken.
    let hand = hand();
    let jwt_only = hand.world.route(&[&[Jwt]]);
    let both = hand.world.route(&[&[Jwt], &[Opaque]]);
    assert_eq!(hand.code(hand.sent(Opaque), &both), Ok(Opaque));
    for scheme in ["Bearer", "DPoP"] {
        let sent = Sent::get("/orders")
            .with("authorization", format!("{scheme} {}", hand.opaque))
            .with("dpop", "a.b.c");
        let refused = hand.code(sent, &jwt_only);
        assert_eq!(refused, Err(Code::CredentialRefused), "{scheme}");
    }
}

#[test]
fn an_api_that_does_not_trust_our_issuer_takes_none() {
    let mut hand = hand();
    let api = Arc::get_mut(&mut hand.world.api).unwrap();
    api.issuers.retain(|profile| !profile.own);
    let route = hand.world.route(&[&[Opaque]]);
    let refused = hand.code(hand.sent(Opaque), &route);
    assert_eq!(refused, Err(Code::CredentialRefused));
    assert_eq!(hand.world.facts.questions(), [] as [&str; 0]);
}

#[test]
fn beside_another_credential_it_counts_as_what_it_calls_itself() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey, Opaque], &[BasicKind]]);
    let both = |token: &str| {
        Sent::get("/orders")
            .bearer(token)
            .with("x-api-key", &hand.key)
    };
    assert_eq!(hand.code(both(&hand.opaque), &route), Ok(ApiKey));
    // A cut one is a refused token beside a key, not a second key.
    let refused = hand.code(both(&hand.opaque[..40]), &route);
    assert_eq!(refused, Err(Code::CredentialRefused));
    let refused = hand.code(both(&hand.key), &route);
    assert_eq!(refused, Err(Code::CredentialAmbiguous));
}
