use core::time::Duration;
use std::sync::Arc;

use proof::base64url;
use proof::digest::sha256;
use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};

use crate::Forward;
use crate::call::{Body, Call};
use crate::credential::CredentialKind::{ApiKey, ClientJwt, HttpSignature, Jwt};
use crate::credential::client_jwt::CallingClient;
use crate::facts::Unavailable;
use crate::identity::{Principal, Scopes};
use crate::problem::Code;
use crate::route::{ApiName, Route};
use crate::testing::{AUDIENCE, NOW, OWN, Sent, World, run};

fn judge(world: &World, route: &Route, token: &str) -> Result<(), Code> {
    let call = Sent::get("/orders").bearer(token).call();
    let answer = world.judge(call, route, NOW);
    answer.map(|_| ()).map_err(|refused| refused.problem.code)
}

/// The client as it is, changed.
fn client(world: &mut World, change: impl FnOnce(&mut CallingClient)) {
    let (client, _) = world.facts.clients.get_mut("export").unwrap();
    change(Arc::make_mut(client));
}

#[test]
fn a_client_is_who_it_is_and_may_do_what_it_is_granted() {
    let world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    let call = Sent::get("/orders")
        .bearer(&world.client_jwt(&json!({})))
        .call();
    let permitted = world.judge(call, &route, NOW).unwrap();
    let identity = permitted.identity().unwrap();
    let standing = identity.standing();
    assert!(matches!(&standing.principal, Principal::Client(id) if id.as_str() == "export"));
    assert_eq!(standing.client.as_ref().unwrap().as_str(), "export");
    assert_eq!(standing.application.as_ref().unwrap().as_str(), "shop");
    assert_eq!(standing.scopes, Scopes::new(["orders:read"]));
    assert_eq!(standing.roles.len(), 1);
    // Which key: so that the old one's traffic is seen to end.
    assert_eq!(
        standing.credential.as_str(),
        format!("jkt:{}", world.client_key.kid())
    );
    assert_eq!(identity.issuer().unwrap().as_str(), OWN);
    assert_eq!(
        identity.expires_at(),
        Some(NOW.plus(Duration::from_secs(60)))
    );
    assert_eq!(
        world.facts.questions(),
        ["calling_client", "client_key", "first_use"]
    );
}

#[test]
fn d02_a_jwt_is_used_once_within_its_client_and_remembered_as_long_as_it_lives() {
    let world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    let token = world.client_jwt(&json!({"jti": "one"}));
    assert_eq!(judge(&world, &route, &token), Ok(()));
    assert_eq!(judge(&world, &route, &token), Err(Code::CredentialRefused));
    // Another JWT of the same id is the same use.
    let again = world.client_jwt(&json!({"jti": "one", "htm": "GET"}));
    assert_eq!(judge(&world, &route, &again), Err(Code::CredentialRefused));
    let until = NOW.plus(Duration::from_secs(60 + 60));
    let used = world.facts.used.lock().unwrap().clone();
    assert_eq!(used, [("export".to_owned(), "one".to_owned(), until)]);
}

#[test]
fn d02_the_replay_memory_is_asked_last_and_must_answer() {
    let mut world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    for bad in [
        world.client_jwt(&json!({"jti": "one", "aud": "https://other.example"})),
        world.client_jwt(&json!({"jti": "one", "htm": "POST"})),
        world.client_jwt(&json!({"jti": "one", "scope": "orders:write"})),
        world.client_jwt(&json!({"jti": "one", "exp": NOW.as_secs() - 60})),
    ] {
        assert_eq!(judge(&world, &route, &bad), Err(Code::CredentialRefused));
    }
    let good = world.client_jwt(&json!({"jti": "one"}));
    world.facts.no_replays = true;
    assert_eq!(judge(&world, &route, &good), Err(Code::FactUnavailable));
    world.facts.no_replays = false;
    assert_eq!(judge(&world, &route, &good), Ok(()));
}

#[test]
fn a_suspended_client_is_refused_and_spends_no_id() {
    let world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    let sleeps = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        *world.facts.asleep.lock().unwrap() = names;
    };
    let lease = |jti: &str| {
        let token = world.client_jwt(&json!({ "jti": jti }));
        let call = Sent::get("/orders").bearer(&token).call();
        world.judge(call, &route, NOW).unwrap().lease().unwrap()
    };
    let open = lease("open");
    sleeps(&["export"]);
    let token = world.client_jwt(&json!({"jti": "one"}));
    let call = Sent::get("/orders").bearer(&token).call();
    let refused = world.judge(call, &route, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialRefused);
    assert_eq!(&*refused.problem.cause, "the client export is suspended");
    // What it opened before ends with it, though its JWT can't be verified a second time.
    let holds = |lease: &crate::Lease| {
        let held = run(lease.holds(&route, &world.facts, NOW));
        held.map_err(|problem| problem.code)
    };
    assert_eq!(holds(&open), Err(Code::CredentialRefused));
    // A stranger learns nothing of it.
    let forged = format!("{token}A");
    let call = Sent::get("/orders").bearer(&forged).call();
    let stranger = world.judge(call, &route, NOW).unwrap_err();
    assert!(!stranger.problem.cause.contains("suspended"));
    sleeps(&["import"]);
    assert_eq!(holds(&open), Ok(()));
    assert_eq!(judge(&world, &route, &token), Ok(()));
}

#[test]
fn a_client_calls_from_its_networks_alone() {
    let mut world = World::new();
    client(&mut world, |client| {
        client.networks = vec!["10.1.0.0/16".parse().unwrap()];
    });
    let route = world.route(&[&[ClientJwt]]);
    for (jti, address, expected) in [
        ("1", "10.1.2.3", Ok(())),
        ("2", "192.0.2.1", Err(Code::PlaceNotAllowed)),
    ] {
        let token = world.client_jwt(&json!({ "jti": jti }));
        let mut sent = Sent::get("/orders").bearer(&token);
        sent.arrival.client = address.parse().unwrap();
        let judged = world.judge(sent.call(), &route, NOW);
        let judged = judged.map(drop).map_err(|refused| refused.problem.code);
        assert_eq!(judged, expected, "{address}");
    }
}

#[test]
fn c13_a_client_speaks_for_itself_alone() {
    let mut world = World::new();
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    let (export, _) = world.facts.clients["export"].clone();
    let import = CallingClient {
        client: crate::identity::ClientId::new("import"),
        ..(*export).clone()
    };
    let keys = vec![Arc::new(other.verifying_key().unwrap())];
    let entry = (Arc::new(import), keys);
    world.facts.clients.insert("import".to_owned(), entry);
    let route = world.route(&[&[ClientJwt]]);
    let now = NOW.as_secs();
    let signed = |iss: &str, sub: &str, jti: &str| {
        let claims = json!({
            "iss": iss, "sub": sub, "aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": jti,
        });
        jws::sign(&other, "client-call+jwt", &claims.to_string())
    };
    assert_eq!(
        judge(&world, &route, &signed("import", "import", "1")),
        Ok(())
    );
    for (iss, sub) in [
        ("export", "export"),
        ("import", "export"),
        ("export", "import"),
    ] {
        let refused = judge(&world, &route, &signed(iss, sub, "2"));
        assert_eq!(refused, Err(Code::CredentialRefused), "{iss} {sub}");
    }
}

#[test]
fn c04_no_other_token_passes_for_a_call_and_a_call_for_none() {
    let world = World::new();
    let now = NOW.as_secs();
    let claims = json!({
        "iss": "export", "sub": "export", "aud": AUDIENCE, "iat": now, "exp": now + 60,
        "jti": "j", "client_id": "export", "env": "live", "scope": "orders:read",
    });
    let calls = world.route(&[&[ClientJwt]]);
    let tokens = world.route(&[&[Jwt]]);
    let both = world.route(&[&[Jwt], &[ClientJwt]]);
    // What the client signs for the token endpoint, or as an access token of its own making.
    for typ in ["JWT", "client-authentication+jwt", "at+jwt"] {
        let token = jws::sign(&world.client_key, typ, &claims.to_string());
        for route in [&calls, &tokens, &both] {
            let refused = judge(&world, route, &token);
            assert_eq!(refused, Err(Code::CredentialRefused), "{typ}");
        }
    }
    let call = world.client_jwt(&json!({}));
    assert_eq!(judge(&world, &tokens, &call), Err(Code::CredentialRefused));
    let access = world.own_token(&json!({}));
    assert_eq!(judge(&world, &calls, &access), Err(Code::CredentialRefused));
    // Signed by our own issuer it is no call either, and it is never tried as a token.
    let mut own = World::own_claims();
    own["aud"] = AUDIENCE.into();
    let typed = jws::sign(&world.own_key, "client-call+jwt", &own.to_string());
    assert_eq!(judge(&world, &both, &typed), Err(Code::CredentialRefused));
    // Each where it belongs.
    world.facts.questions();
    assert_eq!(judge(&world, &both, &call), Ok(()));
    assert!(!world.facts.questions().contains(&"known_token"));
    assert_eq!(judge(&world, &both, &access), Ok(()));
    assert!(!world.facts.questions().contains(&"calling_client"));
}

#[test]
fn c01_the_key_is_a_registered_one_of_an_algorithm_that_is_allowed() {
    let mut world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    let token = world.client_jwt(&json!({}));
    client(&mut world, |client| {
        client.algorithms = vec![Algorithm::EdDSA]
    });
    assert_eq!(judge(&world, &route, &token), Err(Code::CredentialRefused));
    client(&mut world, |client| {
        client.algorithms = vec![Algorithm::ES256]
    });
    assert_eq!(judge(&world, &route, &token), Ok(()));
    // By name only: a stranger's key under the client's, and a key that the header brings.
    let payload = |token: &str| token.split('.').nth(1).unwrap().to_owned();
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let own = world.client_key.kid();
    for header in [
        json!({"alg": "ES256", "kid": own, "typ": "client-call+jwt"}),
        json!({"alg": "ES256", "typ": "client-call+jwt"}),
        json!({"alg": "none", "kid": own, "typ": "client-call+jwt"}),
        json!({
            "alg": "ES256", "kid": own, "typ": "client-call+jwt",
            "jwk": stranger.public_jwk().to_json(),
        }),
    ] {
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let input = format!(
            "{}.{}",
            part(&header),
            payload(&world.client_jwt(&json!({})))
        );
        for key in [&stranger, &world.client_key] {
            let signature = base64url::encode(&key.sign(input.as_bytes()));
            let plain = header == json!({"alg": "ES256", "kid": own, "typ": "client-call+jwt"});
            let expected = match plain && key.kid() == own {
                true => Ok(()),
                false => Err(Code::CredentialRefused),
            };
            let found = judge(&world, &route, &format!("{input}.{signature}"));
            assert_eq!(found, expected, "{header}");
        }
    }
}

#[test]
fn j02_no_more_than_it_is_granted_and_less_if_it_asks_for_less() {
    let mut world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    client(&mut world, |client| {
        client.grants = vec![(
            ApiName::new("orders"),
            Scopes::new(["orders:read", "orders:write"]),
        )];
    });
    let less = world.client_jwt(&json!({"scope": "orders:write"}));
    assert_eq!(judge(&world, &route, &less), Err(Code::ScopeMissing));
    let same = world.client_jwt(&json!({"scope": "orders:read"}));
    assert_eq!(judge(&world, &route, &same), Ok(()));
    let more = world.client_jwt(&json!({"scope": "orders:read orders:admin"}));
    assert_eq!(judge(&world, &route, &more), Err(Code::CredentialRefused));
    // Scopes of another API, even of the same name, are not this one's.
    client(&mut world, |client| {
        client.grants = vec![(ApiName::new("stock"), Scopes::new(["orders:read"]))];
    });
    let token = world.client_jwt(&json!({}));
    assert_eq!(judge(&world, &route, &token), Err(Code::ApiNotAllowed));
}

#[test]
fn j04_the_wall_holds_for_clients_too() {
    let mut world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    client(&mut world, |client| client.environment = Environment::Test);
    let token = world.client_jwt(&json!({}));
    assert_eq!(judge(&world, &route, &token), Err(Code::ApiNotAllowed));
}

#[test]
fn a_client_that_is_gone_signs_nothing_and_what_can_not_be_known_is_not_guessed() {
    let mut world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    let token = world.client_jwt(&json!({}));
    world.facts.out = Some(Unavailable::CutOff);
    assert_eq!(judge(&world, &route, &token), Err(Code::FactUnavailable));
    world.facts.out = None;
    world.facts.clients.clear();
    assert_eq!(judge(&world, &route, &token), Err(Code::CredentialRefused));
}

#[test]
fn d07_the_body_is_the_one_that_was_signed() {
    let world = World::new();
    let route = world.route(&[&[ClientJwt]]);
    let digest = base64url::encode(&sha256(b"tea"));
    for (body, expected) in [
        ("tea", Ok(())),
        ("coffee", Err(Code::CredentialRefused)),
        ("", Err(Code::CredentialRefused)),
    ] {
        let token = world.client_jwt(&json!({"body_sha256": digest}));
        let head = Sent::get("/orders").bearer(&token).read().unwrap();
        let call: Call<()> = Call::new(head, Body::Buffered(body.into()));
        let answer = world.judge(call, &route, NOW);
        let found = answer.map(|_| ()).map_err(|refused| refused.problem.code);
        assert_eq!(found, expected, "{body}");
    }
    // A body that is still on the wire brings its check along.
    let token = world.client_jwt(&json!({"body_sha256": digest}));
    let permitted = run(async {
        let call = Sent::get("/orders").bearer(&token).call();
        let who = crate::identify(call, &route, &world.facts, NOW)
            .await
            .unwrap();
        crate::decide(who, &route, &world.facts, NOW).await.unwrap()
    });
    let Forward { signed, .. } = permitted.into_forward();
    let mut check = signed.unwrap().check;
    check.push(b"te", &mut Vec::new()).unwrap();
    assert!(check.finish().is_err());
}

#[test]
fn it_stands_in_bearer_alone_and_beside_a_key_in_its_own_field() {
    let world = World::new();
    let route = world.route(&[&[ClientJwt], &[Jwt], &[HttpSignature]]);
    let token = world.client_jwt(&json!({}));
    let dpop = Sent::get("/orders").with("authorization", format!("DPoP {token}"));
    let refused = world.judge(dpop.call(), &route, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::ProofRefused);
    let route = world.route(&[&[ClientJwt], &[ApiKey]]);
    let twice = Sent::get("/orders").bearer(&token).with("x-api-key", "x");
    let refused = world.judge(twice.call(), &route, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialAmbiguous);
}
