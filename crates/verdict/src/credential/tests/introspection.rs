use core::time::Duration;
use std::sync::Arc;

use proof::issued::SecretKind;
use serde_json::{Value, json};

use crate::credential::CredentialKind::{ApiKey, Jwt, Opaque};
use crate::credential::introspection::IntrospectionProfile;
use crate::facts::Unavailable;
use crate::problem::Code;
use crate::route::{Api, Route};
use crate::testing::{AUDIENCE, FOREIGN, NOW, Sent, World, hand};

/// The world whose foreign issuer is asked about its tokens, which begin with one of `prefixes`.
fn world(prefixes: &[&str], own: bool) -> World {
    let mut world = World::new();
    asking(&mut world, prefixes, own);
    world
}

fn asking(world: &mut World, prefixes: &[&str], own: bool) {
    let api: &mut Api = Arc::get_mut(&mut world.api).unwrap();
    api.issuers.retain(|issuer| own || !issuer.own);
    for issuer in &mut api.issuers {
        let issuer = Arc::get_mut(issuer).unwrap();
        if !issuer.own {
            issuer.introspection = Some(IntrospectionProfile {
                client_id: "door".into(),
                token_prefixes: prefixes.iter().map(|prefix| Arc::from(*prefix)).collect(),
                cache: Duration::from_secs(10),
                signed: false,
                assumed_audience: None,
            });
        }
    }
}

impl World {
    /// The foreign issuer says this of a token.
    fn says(&self, token: &str, answer: &Value) {
        let mut answers = self.facts.answers.lock().unwrap();
        let _before = answers.insert(token.to_owned(), answer.to_string());
    }

    fn code(&self, sent: Sent, route: &Route) -> Result<(), Code> {
        let answer = self.judge(sent.call(), route, NOW);
        answer.map(|_| ()).map_err(|refused| refused.problem.code)
    }
}

fn active() -> Value {
    let mut claims = World::foreign_claims();
    claims["active"] = json!(true);
    claims
}

fn bearer(token: &str) -> Sent {
    Sent::get("/orders").bearer(token)
}

#[test]
fn what_an_issuer_says_stands_for_the_same_as_its_jwt() {
    let world = world(&[], true);
    world.says("abc", &active());
    let route = world.route(&[&[Jwt], &[Opaque]]);
    let jwt = world.foreign_token(&json!({}));
    let [jwt, opaque] = [jwt.as_str(), "abc"].map(|token| {
        let judged = world.judge(bearer(token).call(), &route, NOW);
        judged.unwrap()
    });
    let (jwt, opaque) = (jwt.identity().unwrap(), opaque.identity().unwrap());
    assert_eq!((jwt.kind(), opaque.kind()), (Jwt, Opaque));
    assert_eq!(jwt.issuer(), opaque.issuer());
    assert_eq!(jwt.expires_at(), opaque.expires_at());
    let (jwt, opaque) = (jwt.standing(), opaque.standing());
    assert_eq!(jwt.principal, opaque.principal);
    assert_eq!(jwt.roles, opaque.roles);
    assert_eq!(jwt.tenant, opaque.tenant);
    assert_eq!(
        format!("{:?} {:?}", jwt.scopes, jwt.claims),
        format!("{:?} {:?}", opaque.scopes, opaque.claims)
    );
}

#[test]
fn c06_what_an_issuer_said_is_judged_on_every_use() {
    let world = world(&[], true);
    let route = world.route(&[&[Opaque]]);
    for (change, expected) in [
        (json!({"jti": "t"}), Ok(())),
        (
            json!({"jti": "t", "aud": "https://billing.example"}),
            Err(Code::CredentialRefused),
        ),
        (
            json!({"jti": "t", "exp": NOW.as_secs() - 61}),
            Err(Code::CredentialRefused),
        ),
        (
            json!({"jti": "t", "nbf": NOW.as_secs() + 61}),
            Err(Code::CredentialRefused),
        ),
        (
            json!({"jti": "t", "iss": "https://id.example"}),
            Err(Code::CredentialRefused),
        ),
        (json!({"jti": "t", "scp": []}), Err(Code::ScopeMissing)),
        (json!({"active": false}), Err(Code::CredentialRefused)),
        (json!({"active": "true"}), Err(Code::FactUnavailable)),
    ] {
        world.says("abc", &crate::testing::changed(active(), &change));
        assert_eq!(world.code(bearer("abc"), &route), expected, "{change}");
    }
    world.says(
        "abc",
        &crate::testing::changed(active(), &json!({"jti": "t"})),
    );
    world.facts.revoked.lock().unwrap().push("t".into());
    let refused = world.code(bearer("abc"), &route);
    assert_eq!(refused, Err(Code::CredentialRefused), "revoked here");
}

#[test]
fn no_other_credential_is_ever_shown_to_an_issuer() {
    let mut hand = hand();
    asking(&mut hand.world, &[], true);
    let world = &hand.world;
    let only = world.route(&[&[Opaque]]);
    let all = world.route(&[&[Opaque], &[Jwt], &[ApiKey]]);
    let jwt_only = world.route(&[&[Jwt]]);
    let paseto = format!("v4.public.{}", "a".repeat(100));
    let jwe = format!("{}..a.b.c", proof::base64url::encode(br#"{"alg":"dir"}"#));
    let texts = [
        hand.token.clone(),
        hand.opaque.clone(),
        hand.key.clone(),
        hand.admin.clone(),
        world.unstored(SecretKind::OpaqueToken),
        world.foreign_token(&json!({"exp": 1})),
        format!("legacy-{}", "1234567890123"),
        format!("old_{}", "12345678901234567"),
        paseto,
        jwe,
        "dw_".to_owned(),
        "x".repeat(20_000),
    ];
    for text in &texts {
        for route in [&only, &all, &jwt_only] {
            for scheme in ["Bearer", "DPoP"] {
                let sent = Sent::get("/orders")
                    .with("authorization", format!("{scheme} {text}"))
                    .with("dpop", "a.b.c");
                let _judged = world.code(sent, route);
                let asked = world.facts.questions();
                assert!(!asked.contains(&"introspected"), "{scheme} {text}");
            }
        }
    }
    let _judged = world.code(bearer("abc"), &jwt_only);
    assert!(!world.facts.questions().contains(&"introspected"));
    let _judged = world.code(bearer("abc"), &only);
    assert_eq!(world.facts.questions(), ["introspected"]);
}

#[test]
fn what_does_not_begin_as_its_tokens_do_is_not_shown() {
    let world = world(&["pt_", "px-"], true);
    let route = world.route(&[&[Opaque]]);
    for (text, asked) in [
        ("pt_1", true),
        ("px-1", true),
        ("pt", false),
        ("x_pt_1", false),
    ] {
        let refused = world.code(bearer(text), &route);
        assert_eq!(refused, Err(Code::CredentialRefused), "{text}");
        let questions = world.facts.questions();
        assert_eq!(questions.contains(&"introspected"), asked, "{text}");
    }
}

#[test]
fn another_installation_of_our_brand_is_asked_where_we_are_not_trusted_and_that_is_written() {
    for (prefixes, own, asked) in [
        (&["dw_ot_"][..], false, true),
        (&["dw_ot_"], true, false),
        (&[], false, false),
    ] {
        let world = world(prefixes, own);
        let token = world.unstored(SecretKind::OpaqueToken);
        world.says(&token, &active());
        let route = world.route(&[&[Opaque]]);
        let judged = world.code(bearer(&token), &route);
        assert_eq!(judged.is_ok(), asked, "{prefixes:?} {own}");
        // A key of that brand is no token of it.
        let _judged = world.code(bearer(&world.unstored(SecretKind::SecretKey)), &route);
        let questions = world.facts.questions();
        let count = questions.iter().filter(|one| **one == "introspected");
        assert_eq!(count.count(), usize::from(asked));
    }
}

#[test]
fn d01_what_the_issuer_says_it_is_bound_to_must_come_along() {
    let world = world(&[], true);
    let route = world.route(&[&[Opaque]]);
    let thumbprint = proof::base64url::encode(&[7; 32]);
    for cnf in [json!({"jkt": thumbprint}), json!({"x5t#S256": thumbprint})] {
        world.says(
            "abc",
            &crate::testing::changed(active(), &json!({"cnf": cnf})),
        );
        let refused = world.code(bearer("abc"), &route);
        assert_eq!(refused, Err(Code::CredentialRefused), "{cnf}");
    }
    world.says("abc", &active());
    let unproved = Sent::get("/orders").with("authorization", "DPoP abc");
    assert_eq!(world.code(unproved, &route), Err(Code::ProofRefused));
    let proved = Sent::get("/orders")
        .with("authorization", "DPoP abc")
        .with("dpop", "a.b.c");
    assert_eq!(world.code(proved, &route), Err(Code::CredentialRefused));
}

#[test]
fn c08_an_issuer_that_can_not_be_asked_is_503_and_no_refusal() {
    let mut world = world(&[], true);
    world.says("abc", &active());
    world.facts.out = Some(Unavailable::Introspection);
    let route = world.route(&[&[Opaque]]);
    let refused = world.judge(bearer("abc").call(), &route, NOW);
    let problem = refused.unwrap_err().problem;
    assert_eq!(problem.code, Code::FactUnavailable);
    assert_eq!(problem.code.status().as_u16(), 503);
}

#[test]
fn a_token_for_this_api_among_others_passes() {
    let world = world(&[], true);
    world.says(
        "abc",
        &crate::testing::changed(active(), &json!({"aud": [AUDIENCE, "x"], "iss": FOREIGN})),
    );
    assert_eq!(
        world.code(bearer("abc"), &world.route(&[&[Opaque]])),
        Ok(())
    );
}
