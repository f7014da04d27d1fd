use core::time::Duration;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::jwt::Claims;
use proof::jose::key::SigningKey;
use proof::paseto::{self, IssuingKey, Key, LocalKey};
use serde_json::{Value, json};

use crate::credential::CredentialKind::{Jwt, Opaque, Paseto};
use crate::credential::jwt::IssuerId;
use crate::problem::Code;
use crate::route::Route;
use crate::testing::{FOREIGN, NOW, OWN, Sent, World};

fn judge(world: &World, route: &Route, token: &str) -> Result<(), Code> {
    let call = Sent::get("/orders").bearer(token).call();
    let answer = world.judge(call, route, NOW);
    answer.map(|_| ()).map_err(|refused| refused.problem.code)
}

fn claims(of: &Value) -> Claims {
    Claims::from_json(of.to_string().as_bytes()).unwrap()
}

#[test]
fn every_form_of_a_token_stands_for_the_same() {
    let world = World::new();
    let changes = json!({"application": "app_shop", "roles": ["clerk"], "grant_id": "g"});
    let route = world.route(&[&[Jwt], &[Paseto]]);
    let pairs = [
        (world.own_token(&changes), world.paseto(&changes)),
        // Without a `jti` a token is named by its hash, which differs.
        (
            world.foreign_token(&json!({"jti": "f"})),
            world.local_paseto(&json!({"jti": "f"})),
        ),
    ];
    for (jwt, paseto) in pairs {
        let [jwt, paseto] = [jwt, paseto].map(|token| {
            let call = Sent::get("/orders").bearer(&token).call();
            world.judge(call, &route, NOW).unwrap()
        });
        let (jwt, paseto) = (jwt.identity().unwrap(), paseto.identity().unwrap());
        assert_eq!(
            format!("{:?}", jwt.standing()),
            format!("{:?}", paseto.standing())
        );
        assert_eq!(jwt.expires_at(), paseto.expires_at());
        assert_eq!(jwt.issuer(), paseto.issuer());
        assert_eq!((jwt.kind(), paseto.kind()), (Jwt, Paseto));
    }
}

#[test]
fn c06_a_token_that_is_known_is_judged_on_every_use() {
    let world = World::new();
    let token = world.paseto(&json!({}));
    let route = world.route(&[&[Paseto]]);
    let judge = |seconds: u64| {
        let call = Sent::get("/orders").bearer(&token).call();
        let answer = world.judge(call, &route, NOW.plus(Duration::from_secs(seconds)));
        answer.map(|_| ()).map_err(|refused| refused.problem.code)
    };
    assert_eq!(judge(0), Ok(()));
    assert!(world.facts.questions().contains(&"paseto_key"));
    assert_eq!(judge(659), Ok(()));
    assert!(!world.facts.questions().contains(&"paseto_key"), "known");
    assert_eq!(judge(660), Err(Code::CredentialRefused));
    world.facts.revoked.lock().unwrap().push("t-1".into());
    assert_eq!(judge(0), Err(Code::CredentialRefused));
}

#[test]
fn c04_where_it_is_not_taken_it_is_refused_though_it_is_known() {
    let world = World::new();
    let token = world.paseto(&json!({}));
    assert_eq!(judge(&world, &world.route(&[&[Paseto]]), &token), Ok(()));
    for other in [Jwt, Opaque] {
        let route = world.route(&[&[other]]);
        let refused = judge(&world, &route, &token);
        assert_eq!(refused, Err(Code::CredentialRefused), "{other:?}");
        let dpop = Sent::get("/orders").with("authorization", format!("DPoP {token}"));
        let refused = world.judge(dpop.call(), &route, NOW).unwrap_err();
        assert_eq!(refused.problem.code, Code::CredentialRefused, "{other:?}");
    }
}

#[test]
fn c13_a_key_speaks_for_its_own_issuer_alone() {
    let mut world = World::new();
    let route = world.route(&[&[Paseto]]);
    // Our claims under their key, and theirs under ours.
    for token in [
        world.local_paseto(&json!({"iss": OWN, "aud": "https://orders.example"})),
        world.paseto(&json!({"iss": FOREIGN})),
    ] {
        assert_eq!(judge(&world, &route, &token), Err(Code::CredentialRefused));
    }
    // One key declared for both is each one's, by what the token says.
    let shared = world.facts.paseto_keys[1].clone();
    let own = IssuerId::new(OWN);
    world.facts.paseto_keys.push((own, shared.1, shared.2));
    let theirs = world.local_paseto(&json!({}));
    assert_eq!(judge(&world, &route, &theirs), Ok(()));
}

#[test]
fn c01_the_key_says_what_a_token_is_and_never_the_token() {
    let mut world = World::new();
    let route = world.route(&[&[Paseto]]);
    let stranger = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let strange = paseto::sign(&stranger, &claims(&World::own_claims())).unwrap();
    assert_eq!(
        judge(&world, &route, &strange),
        Err(Code::CredentialRefused)
    );
    // The public key's bytes as a shared secret, under its own id.
    let jwk = world.paseto_key.public_jwk().to_json();
    let x = proof::base64url::decode(jwk["x"].as_str().unwrap().as_bytes()).unwrap();
    let confused = IssuingKey::Local {
        key: LocalKey::of_bytes(proof::secret::Secret::new(x)).unwrap(),
        id: world.paseto_key.kid().to_owned(),
    };
    let token = paseto::issue(&confused, &claims(&World::own_claims()), &[]).unwrap();
    assert_eq!(judge(&world, &route, &token), Err(Code::CredentialRefused));
    // A footer that names another key was signed along.
    let good = world.paseto(&json!({}));
    let (body, _) = good.rsplit_once('.').unwrap();
    let footer = proof::base64url::encode(br#"{"kid":"x"}"#);
    for bad in [format!("{body}.{footer}"), body.to_owned()] {
        assert_eq!(judge(&world, &route, &bad), Err(Code::CredentialRefused));
    }
    // Two keys of one issuer are told apart by their ids.
    let local = world.facts.paseto_keys[1].2.clone();
    let unnamed = IssuingKey::from_paserk(&world.local_key).unwrap();
    let IssuingKey::Local { key, .. } = unnamed else {
        panic!("a local key")
    };
    let another = Arc::new(Key::Local(key));
    assert_eq!(another.purpose(), local.purpose());
    let foreign = IssuerId::new(FOREIGN);
    world
        .facts
        .paseto_keys
        .push((foreign, "k4.lid.other".to_owned(), another));
    assert_eq!(
        judge(&world, &route, &world.local_paseto(&json!({}))),
        Ok(())
    );
}

#[test]
fn c04_other_tokens_of_the_issuer_are_none() {
    let world = World::new();
    let route = world.route(&[&[Paseto]]);
    for changes in [
        json!({"nonce": "n"}),
        json!({"at_hash": "h"}),
        json!({"events": {}}),
        json!({"scp": null, "azp": null}),
    ] {
        let refused = judge(&world, &route, &world.local_paseto(&changes));
        assert_eq!(refused, Err(Code::CredentialRefused), "{changes}");
    }
}

#[test]
fn d01_a_bound_one_is_no_bearer_token() {
    let world = World::new();
    let route = world.route(&[&[Paseto]]);
    let key = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let token = world.paseto(&json!({"cnf": {"jkt": key}}));
    assert_eq!(judge(&world, &route, &token), Err(Code::CredentialRefused));
    let unbound = world.paseto(&json!({}));
    let dpop = Sent::get("/orders")
        .with("authorization", format!("DPoP {unbound}"))
        .with("dpop", "x");
    let refused = world.judge(dpop.call(), &route, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialRefused);
}

#[test]
fn each_claim_is_judged_as_a_jwt_s() {
    let world = World::new();
    let route = world.route(&[&[Paseto]]);
    let now = NOW.as_secs();
    for changes in [
        json!({"aud": "https://billing.example"}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": now - 60}),
        json!({"exp": now + 3700, "iat": now}),
        json!({"nbf": now + 61}),
        json!({"iat": now + 61}),
        json!({"iss": "https://other.example"}),
        json!({"jti": null}),
        json!({"sub": null}),
        json!({"env": null}),
        json!({"roles": 7}),
    ] {
        let token = world.paseto(&changes);
        let refused = judge(&world, &route, &token);
        assert_eq!(refused, Err(Code::CredentialRefused), "{changes}");
    }
    for (changes, code) in [
        (json!({"env": "test"}), Code::ApiNotAllowed),
        (json!({"scope": "orders:write"}), Code::ScopeMissing),
    ] {
        assert_eq!(judge(&world, &route, &world.paseto(&changes)), Err(code));
    }
}
