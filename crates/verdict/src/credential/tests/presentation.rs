use http::StatusCode;
use proof::issued::SecretKind;

use crate::credential::CredentialKind::{
    self, AdminKey, ApiKey, Basic as BasicKind, HttpSignature, Jwt, Mtls, Webhook,
};
use crate::credential::is_carrier;
use crate::problem::Code;
use crate::route::{Demand, Route};
use crate::testing::{NOW, Sent, Stored, World, hand};

#[test]
fn j04_a_route_takes_its_own_kind_and_no_other() {
    let hand = hand();
    for taken in CredentialKind::ALL {
        let route = hand.world.route(&[&[taken]]);
        for sent in CredentialKind::ALL {
            // A signature is used once, and every cell has its own.
            hand.world.facts.used.lock().unwrap().clear();
            let expected = match sent {
                sent if sent == taken => Ok(taken),
                // An ordinary field, or the connection's own matter, where they are not taken.
                Mtls | HttpSignature | Webhook => Err(Code::CredentialMissing),
                _ => Err(Code::CredentialRefused),
            };
            assert_eq!(
                hand.code(hand.sent(sent), &route),
                expected,
                "{sent:?} where {taken:?} is taken"
            );
        }
    }
}

#[test]
fn any_of_the_alternatives_will_do() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey], &[Jwt], &[BasicKind]]);
    for kind in [ApiKey, Jwt, BasicKind] {
        assert_eq!(hand.code(hand.sent(kind), &route), Ok(kind));
    }
    assert_eq!(
        hand.code(hand.sent(AdminKey), &route),
        Err(Code::CredentialRefused)
    );
}

#[test]
fn without_a_credential_every_alternative_is_named_once() {
    let mut hand = hand();
    let metadata = "https://orders.example/.well-known/oauth-protected-resource";
    let api = std::sync::Arc::get_mut(&mut hand.world.api).unwrap();
    api.resource_metadata = Some(metadata.into());
    let route = hand
        .world
        .route(&[&[Jwt], &[ApiKey, Jwt], &[BasicKind], &[AdminKey]]);
    let refused = hand
        .world
        .judge(Sent::get("/orders").call(), &route, NOW)
        .unwrap_err();
    let challenges: Vec<_> = refused
        .problem
        .challenges
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(
        challenges,
        [
            "Bearer realm=\"orders\", resource_metadata=\"https://orders.example/.well-known/oauth-protected-resource\"",
            "DPoP realm=\"orders\", algs=\"ES256 EdDSA Ed25519 PS256 RS256\", resource_metadata=\"https://orders.example/.well-known/oauth-protected-resource\"",
            "ApiKey realm=\"orders\", header=\"orders-key\"",
            "Basic realm=\"orders\", charset=\"UTF-8\"",
            "Bearer realm=\"orders\"",
        ]
    );
}

/// RFC 6750 §3: whoever sent no token is told of no error of one.
#[test]
fn a_token_s_error_is_told_of_what_was_sent_as_one_alone() {
    let hand = hand();
    let route = hand.world.route(&[&[Jwt], &[ApiKey], &[BasicKind]]);
    for (name, value, error) in [
        ("authorization", "Bearer garbage", true),
        ("authorization", "bEARER garbage", true),
        ("authorization", "Basic garbage", false),
        ("authorization", "Unknown garbage", false),
        ("authorization", "Bearer", true),
        ("x-api-key", "garbage", false),
    ] {
        let call = Sent::get("/orders").with(name, value).call();
        let problem = hand.world.judge(call, &route, NOW).unwrap_err().problem;
        assert_eq!(problem.code, Code::CredentialRefused, "{value}");
        let told = |challenge: &http::HeaderValue| challenge.to_str().unwrap().contains("error=");
        let with_error: Vec<_> = problem.challenges.iter().filter(|one| told(one)).collect();
        let expected = ["Bearer realm=\"orders\", error=\"invalid_token\""];
        assert_eq!(with_error, &expected[..usize::from(error)], "{value}");
    }
}

#[test]
fn keys_are_taken_from_every_field_that_the_api_names() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey]]);
    for name in ["x-api-key", "orders-key", "Orders-Key"] {
        assert_eq!(
            hand.code(Sent::get("/orders").with(name, &hand.key), &route),
            Ok(ApiKey),
            "{name}"
        );
    }
    let sent = Sent::get("/orders").with("another-key", &hand.key);
    assert_eq!(hand.code(sent, &route), Err(Code::CredentialMissing));
}

#[test]
fn one_credential_too_many_is_ambiguous() {
    let hand = hand();
    let one = hand.world.route(&[&[ApiKey]]);
    let either = hand.world.route(&[&[ApiKey], &[Jwt], &[BasicKind]]);
    let both = hand.world.route(&[&[ApiKey, Jwt], &[BasicKind]]);
    let key = |sent: Sent| sent.with("x-api-key", &hand.key);
    for (what, sent, route) in [
        ("a key twice", key(hand.sent(ApiKey)), &one),
        ("a field twice", key(key(Sent::get("/orders"))), &one),
        (
            "two fields",
            key(Sent::get("/orders").with("orders-key", &hand.key)),
            &one,
        ),
        (
            "a key and garbage",
            key(Sent::get("/orders").bearer("garbage")),
            &one,
        ),
        (
            "a key and a scheme that is not taken",
            key(hand.sent(BasicKind)),
            &one,
        ),
        (
            "a key and an unknown scheme",
            key(Sent::get("/orders").with("authorization", "Negotiate abc")),
            &one,
        ),
        (
            "a key and a broken field",
            key(Sent::get("/orders").with("authorization", "Bearer")),
            &one,
        ),
        ("two alternatives", key(hand.sent(Jwt)), &either),
        (
            "two alternatives, one broken",
            hand.sent(Jwt).with("x-api-key", "garbage"),
            &either,
        ),
        (
            "parts of two alternatives",
            key(hand.sent(BasicKind)),
            &both,
        ),
        (
            "a combination and a key more",
            key(hand.sent(Jwt)).with("orders-key", &hand.key),
            &both,
        ),
    ] {
        assert_eq!(
            hand.code(sent, route),
            Err(Code::CredentialAmbiguous),
            "{what}"
        );
    }
    assert_eq!(Code::CredentialAmbiguous.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn of_a_combination_the_first_kind_names_the_principal() {
    let hand = hand();
    let sent = || hand.sent(Jwt).with("x-api-key", &hand.key);
    for (kinds, principal) in [([ApiKey, Jwt], "service"), ([Jwt, ApiKey], "user")] {
        let route = hand.world.route(&[&kinds]);
        let permitted = hand.world.judge(sent().call(), &route, NOW).unwrap();
        let identity = permitted.identity().unwrap();
        assert_eq!(identity.standing().principal.kind(), principal);
        assert_eq!(identity.companions().len(), 1);
        assert_eq!(identity.companions()[0].kind(), kinds[1]);
        // The whole holds no longer than its shortest part.
        assert_eq!(
            identity.expires_at().unwrap().as_secs(),
            NOW.as_secs() + 600
        );
    }
}

#[test]
fn c11_presence_is_never_proof() {
    let hand = hand();
    let route = hand
        .world
        .route(&[&[ApiKey], &[Jwt], &[BasicKind], &[AdminKey]]);
    for value in [
        "Bearer x",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer ",
        "Bearer",
        "bearer\tx",
        "Bearer  x",
        "Bearer a b",
        "Bearer a,b",
        "Bearer \"a\"",
        "Basic x",
        "Basic Og==",
        "Digest username=\"a\"",
        "Negotiate",
        "x",
        "dw_sk_live_",
        "Bearer dw_sk_live_",
        "Signature sig1=:AAAA:",
        "AWS4-HMAC-SHA256 Credential=a",
    ] {
        let sent = Sent::get("/orders").with("authorization", value);
        assert_eq!(
            hand.code(sent, &route),
            Err(Code::CredentialRefused),
            "{value}"
        );
    }
    let dpop = || Sent::get("/orders").with("authorization", "DPoP a.b.c");
    assert_eq!(hand.code(dpop(), &route), Err(Code::ProofRefused));
    let proved = dpop().with("dpop", "a.b.c");
    assert_eq!(hand.code(proved, &route), Err(Code::CredentialRefused));
}

#[test]
fn a_credential_that_failed_is_not_tried_as_another() {
    let hand = hand();
    let unknown = hand.world.unstored(SecretKind::SecretKey);
    let route = hand
        .world
        .route(&[&[ApiKey], &[Jwt], &[BasicKind], &[AdminKey]]);
    hand.world.facts.questions();
    let sent = Sent::get("/orders").bearer(&unknown);
    assert_eq!(hand.code(sent, &route), Err(Code::CredentialRefused));
    assert_eq!(hand.world.facts.questions(), ["check_key"]);
}

#[test]
fn a_typing_mistake_costs_no_lookup() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey]]);
    for text in [
        format!("{}0", &hand.key[..hand.key.len() - 1]),
        format!("{}x", hand.key),
        hand.key[1..].into(),
    ] {
        for sent in [
            Sent::get("/orders").bearer(&text),
            Sent::get("/orders").with("x-api-key", &text),
        ] {
            assert_eq!(
                hand.code(sent, &route),
                Err(Code::CredentialRefused),
                "{text}"
            );
        }
    }
    assert_eq!(hand.world.facts.questions(), [] as [&str; 0]);
}

#[test]
fn a_key_field_is_no_credential_where_no_key_is_taken() {
    let hand = hand();
    let route = hand.world.route(&[&[Jwt]]);
    let sent = hand
        .sent(Jwt)
        .with("x-api-key", "whatever the upstream wants");
    assert_eq!(hand.code(sent, &route), Ok(Jwt));
}

#[test]
fn c12_expired_revoked_unknown_and_malformed_keys_are_one_answer() {
    use crate::identity::LifeState;
    let mut world = World::new();
    let good = Stored::new(SecretKind::SecretKey);
    let keys = [
        world.key(&Stored {
            expires_at: Some(NOW),
            ..good.clone()
        }),
        world.key(&Stored {
            state: LifeState::Revoked,
            ..good.clone()
        }),
        world.key(&Stored {
            state: LifeState::Suspended,
            ..good.clone()
        }),
        world.unstored(SecretKind::SecretKey),
        world.key(&good)[..50].to_owned(),
        "dw_sk_live_garbage".to_owned(),
    ];
    let route = world.route(&[&[ApiKey]]);
    let answers: Vec<_> = keys
        .iter()
        .map(|key| {
            let call = Sent::get("/orders").bearer(key).call();
            let problem = world.judge(call, &route, NOW).unwrap_err().problem;
            (
                problem.to_json("1"),
                problem.headers(),
                problem.code.status(),
            )
        })
        .collect();
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
        for key in &keys {
            assert!(!answer.0.contains(key));
        }
    }
}

#[test]
fn a_credential_in_the_url_is_refused_wherever_it_stands() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey], &[Jwt]]);
    let (key, token) = (&hand.key, &hand.token);
    let encoded: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for query in [
        "access_token=x".to_owned(),
        "a=1&Access_Token=x".into(),
        "api_key=x".into(),
        "apikey=x".into(),
        "x-api-key=x".into(),
        "access%5Ftoken=x".into(),
        format!("key={key}"),
        format!("q={key}"),
        format!("q={encoded}"),
        format!("a=1;key={key}"),
        format!("token={token}"),
        format!("q={}", hand.admin),
        "q=legacy-ab12-secret-part".into(),
    ] {
        // Nor does a good credential in the right place make up for it.
        for sent in [
            Sent::get(&format!("/orders?{query}")),
            Sent::get(&format!("/orders?{query}")).bearer(key),
        ] {
            assert_eq!(
                hand.code(sent, &route),
                Err(Code::CredentialInUrl),
                "{query}"
            );
        }
    }
    let sent = Sent::get(&format!("/orders/{key}")).bearer(key);
    assert_eq!(hand.code(sent, &route), Err(Code::CredentialInUrl));
    let public = Route {
        demand: Demand::Public {
            pass_authorization: true,
        },
        ..hand.world.route(&[])
    };
    let sent = Sent::get(&format!("/orders?q={key}"));
    let refused = hand.world.judge(sent.call(), &public, NOW).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialInUrl);
    // The log learns which key it was, and not the key.
    assert!(
        refused.problem.cause.contains(&key[11..27])
            && !refused.problem.cause.contains(&key[11..40])
    );
}

#[test]
fn ordinary_queries_are_no_credentials() {
    let hand = hand();
    let route = hand.world.route(&[&[ApiKey]]);
    for query in [
        "",
        "key=color",
        "token=next-page",
        "api_key=",
        "api_key",
        "q=access_token",
        "q=dw_sk_live_short",
        "q=eyJ.a",
        "q=legacy-",
        "q=old_x",
        "page=2&key=7",
    ] {
        let sent = Sent::get(&format!("/orders?{query}")).bearer(&hand.key);
        assert_eq!(hand.code(sent, &route), Ok(ApiKey), "{query}");
    }
    // Protocol endpoints take JWTs in the query by standard; they are public.
    for (pass_authorization, query, passes) in [
        (true, format!("request={}", hand.token), true),
        (false, format!("token={}", hand.token), true),
        (true, "access_token=the-upstreams-own".into(), true),
        (false, "access_token=x".into(), false),
    ] {
        let demand = Demand::Public { pass_authorization };
        let public = Route {
            demand,
            ..hand.world.route(&[])
        };
        let answer = hand
            .world
            .judge(Sent::get(&format!("/a?{query}")).call(), &public, NOW);
        assert_eq!(answer.is_ok(), passes, "{query}");
    }
}

#[test]
fn on_a_public_route_nobody_is_asked_and_nothing_is_believed() {
    let hand = hand();
    let mut route = hand.world.route(&[]);
    for pass_authorization in [false, true] {
        route.demand = Demand::Public { pass_authorization };
        for value in [
            "Bearer garbage",
            &format!("Bearer {}", hand.token),
            "Basic x",
        ] {
            let call = Sent::get("/orders").with("authorization", value).call();
            let permitted = hand.world.judge(call, &route, NOW).unwrap();
            assert!(permitted.identity().is_none());
            // Untouched; whether it goes on is the front's, by the route's word.
            assert_eq!(permitted.call().head().headers()["authorization"], value);
        }
    }
    assert_eq!(hand.world.facts.questions(), [] as [&str; 0]);
}

#[test]
fn j04_a_record_that_is_not_the_keys_own_is_refused() {
    use proof::issued::Environment::{Live, Test};
    // A record stored under the id of another kind or environment: a mix-up, or a forged row.
    for (text_of, stored_as) in [
        ((SecretKind::SecretKey, Live), (SecretKind::AdminKey, Live)),
        ((SecretKind::AdminKey, Live), (SecretKind::SecretKey, Live)),
        (
            (SecretKind::PublishableKey, Live),
            (SecretKind::SecretKey, Live),
        ),
        ((SecretKind::SecretKey, Test), (SecretKind::SecretKey, Live)),
    ] {
        let mut world = World::new();
        let good = Stored::new(SecretKind::SecretKey);
        let text = world.key(&Stored {
            kind: text_of.0,
            environment: text_of.1,
            ..good.clone()
        });
        let id = proof::issued::parse(text.as_bytes(), &world.api.brand)
            .unwrap()
            .id;
        let stored = Stored {
            kind: stored_as.0,
            environment: stored_as.1,
            ..good
        };
        world.store(&id.to_string(), Some(id), &text, &stored);
        let route = world.route(&[&[ApiKey], &[AdminKey]]);
        let refused = world
            .judge(Sent::get("/orders").bearer(&text).call(), &route, NOW)
            .unwrap_err();
        assert_eq!(
            refused.problem.code,
            Code::CredentialRefused,
            "{text_of:?} stored as {stored_as:?}"
        );
    }
}

#[test]
fn the_fields_that_carry_credentials_are_known_to_the_front() {
    let hand = hand();
    let signed = hand.world.route(&[&[HttpSignature]]);
    let plain = hand.world.route(&[&[Jwt]]);
    for (name, on_signed, on_plain) in [
        ("authorization", true, true),
        ("dpop", true, true),
        ("x-api-key", true, true),
        ("orders-key", true, true),
        ("signature", true, false),
        ("signature-input", true, false),
        ("content-type", false, false),
        ("another-key", false, false),
    ] {
        let name = http::HeaderName::from_static(name);
        assert_eq!(is_carrier(&name, &signed), on_signed, "{name}");
        assert_eq!(is_carrier(&name, &plain), on_plain, "{name}");
    }
}
