//! Signed requests: whose key it is, that it lives, that the signature is new, and that the body is
//! the one that was signed. What makes a signature hold is tested with the formats.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use proof::httpsig::Component;
use proof::issued::{Environment, SecretKind};
use proof::secret::Secret;
use proof::sigv4::{Payload, Signer};
use proof::time::Timestamp;

use crate::call::{Body, Call};
use crate::credential::CredentialKind::{self, Hmac, HttpSignature, Jwt, SigV4};
use crate::credential::signed::{SignatureRules, lent};
use crate::facts::Unavailable;
use crate::identity::{
    ApiAllow, LifeState, SecretId, SharedSecret, SigningKey, SigningMaterial, SigningScheme,
};
use crate::problem::Code;
use crate::testing::signing::{Caller, REGION, SERVICE};
use crate::testing::{NOW, Sent, Stored, World};
use crate::{Forward, Permitted, Refused};

const KINDS: [CredentialKind; 3] = [SigV4, HttpSignature, Hmac];

fn good() -> Stored {
    Stored::new(SecretKind::SecretKey)
}

/// A world in which this caller's key is stored so.
fn world(caller: &Caller, stored: &Stored) -> World {
    let mut world = World::new();
    let key = caller.stored(stored);
    world.facts.signing_keys.insert(caller.key_id.clone(), key);
    world
}

#[expect(clippy::result_large_err, reason = "as the steps themselves")]
fn judged(
    world: &World,
    call: Call<()>,
    kind: CredentialKind,
) -> Result<Permitted<()>, Refused<()>> {
    world.judge(call, &world.route(&[&[kind]]), NOW)
}

fn code(world: &World, sent: Sent, kind: CredentialKind) -> Result<(), Code> {
    judged(world, sent.call(), kind)
        .map(drop)
        .map_err(|refused| refused.problem.code)
}

fn cause(world: &World, sent: Sent, kind: CredentialKind) -> String {
    let refused = judged(world, sent.call(), kind).unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialRefused);
    refused.problem.cause.to_string()
}

#[test]
fn a_signed_call_passes_as_its_key_s_owner_and_says_what_the_body_must_be() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let world = world(&caller, &good());
        let sent = caller.sign(Sent::post("/orders?dry=1"), b"tea");
        let permitted = judged(&world, sent.call(), kind).unwrap();
        let identity = permitted.identity().unwrap();
        assert_eq!(identity.kind(), kind);
        let owner = format!("sub_{}", caller.key_id);
        assert_eq!(identity.standing().principal.id(), owner);
        let Forward { signed, .. } = permitted.into_forward();
        let mut signed = signed.expect("a check for the body");
        let mut out = Vec::new();
        signed.check.push(b"tea", &mut out).unwrap();
        signed.check.finish().unwrap();
        assert_eq!(out, b"tea");
    }
}

#[test]
fn an_open_stream_ends_with_the_key_that_signed_for_it() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let mut world = world(&caller, &good());
        let route = world.route(&[&[kind]]);
        let sent = caller.sign(Sent::get("/orders"), b"");
        let lease = judged(&world, sent.call(), kind).unwrap().lease().unwrap();
        let holds = |world: &World| {
            let held = crate::testing::run(lease.holds(&route, &world.facts, NOW));
            held.map_err(|problem| problem.code)
        };
        // The signature was used, and that ends nothing.
        assert_eq!(holds(&world), Ok(()), "{kind:?}");
        for state in [LifeState::Suspended, LifeState::Revoked] {
            let stored = Stored { state, ..good() };
            let key = caller.stored(&stored);
            world.facts.signing_keys.insert(caller.key_id.clone(), key);
            assert_eq!(holds(&world), Err(Code::CredentialRefused), "{kind:?}");
        }
        world.facts.signing_keys.clear();
        assert_eq!(holds(&world), Err(Code::CredentialRefused), "{kind:?}");
    }
}

#[test]
fn d07_a_body_at_hand_is_held_against_the_signature_before_anybody_is_identified() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        for (body, expected) in [("tea", Ok(())), ("tee", Err(Code::CredentialRefused))] {
            let world = world(&caller, &good());
            let head = caller.sign(Sent::post("/orders"), b"tea").read().unwrap();
            let call = Call::new(head, Body::Buffered(Bytes::from_static(body.as_bytes())));
            let found = judged(&world, call, kind)
                .map(|permitted| {
                    let Forward { body, signed, .. } = permitted.into_forward();
                    assert_eq!(body.buffered().map(|bytes| &bytes[..]), Some(&b"tea"[..]));
                    assert!(signed.is_none(), "nothing is left to check");
                })
                .map_err(|refused| refused.problem.code);
            assert_eq!(found, expected, "{kind:?} {body}");
        }
    }
}

#[test]
fn d05_a_signature_is_used_once_and_its_id_is_spent_last() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let world = world(&caller, &good());
        let sent = caller.sign(Sent::get("/orders"), b"");
        assert_eq!(code(&world, sent.copy(), kind), Ok(()));
        assert_eq!(world.facts.questions(), ["signing_key", "first_use"]);
        assert!(cause(&world, sent.copy(), kind).contains("used before"));
        // What does not hold spends nothing.
        let forger = Caller {
            secret: Secret::from_text("another".to_owned()),
            nonce: "fedcba9876543210".to_owned(),
            ..caller.clone()
        };
        world.facts.questions();
        let forged = forger.sign(Sent::get("/orders"), b"");
        assert_eq!(code(&world, forged, kind), Err(Code::CredentialRefused));
        assert_eq!(world.facts.questions(), ["signing_key"]);
    }
}

#[test]
fn where_it_can_not_be_known_whether_a_signature_is_new_nobody_passes() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let mut world = world(&caller, &good());
        world.facts.no_replays = true;
        let sent = caller.sign(Sent::get("/orders"), b"");
        assert_eq!(code(&world, sent, kind), Err(Code::FactUnavailable));
        world.facts.out = Some(Unavailable::Store);
        let sent = caller.sign(Sent::get("/orders"), b"");
        assert_eq!(code(&world, sent, kind), Err(Code::FactUnavailable));
    }
}

#[test]
fn d03_every_scheme_refuses_another_secret_another_time_and_another_call() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let world = world(&caller, &good());
        let other = Caller {
            secret: Secret::from_text("another".to_owned()),
            ..caller.clone()
        };
        let at = |secs: i64| Timestamp::from_secs(NOW.as_secs() + secs);
        let good = || caller.sign(Sent::get("/orders"), b"");
        let moved = |change: fn(&mut Sent)| {
            let mut sent = good();
            change(&mut sent);
            sent
        };
        let cases = [
            ("another secret", other.sign(Sent::get("/orders"), b"")),
            (
                "too old",
                caller.sign_at(Sent::get("/orders"), b"", at(-301)),
            ),
            (
                "too early",
                caller.sign_at(Sent::get("/orders"), b"", at(301)),
            ),
            (
                "another method",
                moved(|sent| sent.method = http::Method::DELETE),
            ),
            (
                "another path",
                moved(|sent| sent.target = "/orders/7".to_owned()),
            ),
            (
                "another query",
                moved(|sent| sent.target = "/orders?all".to_owned()),
            ),
            ("another host", {
                let sent = good().without("host");
                sent.with("host", "billing.example")
            }),
        ];
        for (what, sent) in cases {
            assert_eq!(
                code(&world, sent, kind),
                Err(Code::CredentialRefused),
                "{kind:?}: {what}"
            );
        }
        assert_eq!(code(&world, good(), kind), Ok(()), "{kind:?}");
    }
}

#[test]
fn c12_a_key_s_state_is_told_to_nobody_and_kept_in_the_log() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let states: [(Stored, &str); 3] = [
            (
                Stored {
                    state: LifeState::Suspended,
                    ..good()
                },
                "is suspended",
            ),
            (
                Stored {
                    state: LifeState::Revoked,
                    ..good()
                },
                "is revoked",
            ),
            (
                Stored {
                    expires_at: Some(NOW),
                    ..good()
                },
                "has expired",
            ),
        ];
        for (stored, words) in states {
            let world = world(&caller, &stored);
            let sent = caller.sign(Sent::get("/orders"), b"");
            let cause = cause(&world, sent, kind);
            assert!(cause.ends_with(words), "{kind:?}: {cause}");
        }
        let nobody = World::new();
        let sent = caller.sign(Sent::get("/orders"), b"");
        assert_eq!(cause(&nobody, sent, kind), "no such signing key");
    }
}

#[test]
fn a_key_of_one_scheme_signs_in_no_other() {
    for kind in KINDS {
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let caller = Caller::new(kind);
            let mut world = World::new();
            let key = Caller::new(other);
            let mut stored = Arc::into_inner(key.stored(&good())).unwrap();
            stored.material = SigningMaterial::Shared(vec![SharedSecret::new(
                SecretId::new("mat_1"),
                caller.secret.duplicate(),
                None,
            )]);
            world
                .facts
                .signing_keys
                .insert(caller.key_id.clone(), Arc::new(stored));
            let cause = cause(&world, caller.sign(Sent::get("/orders"), b""), kind);
            assert!(cause.contains("another scheme"), "{cause}");
        }
    }
}

#[test]
fn two_secrets_hold_while_they_overlap_and_then_one() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        let newer = Caller {
            secret: Secret::from_text("the newer one".to_owned()),
            ..caller.clone()
        };
        let with_overlap = |until: Timestamp| {
            let mut world = World::new();
            let mut key: SigningKey = Arc::into_inner(caller.stored(&good())).unwrap();
            key.material = SigningMaterial::Shared(vec![
                SharedSecret::new(SecretId::new("mat_2"), newer.secret.duplicate(), None),
                SharedSecret::new(
                    SecretId::new("mat_1"),
                    caller.secret.duplicate(),
                    Some(until),
                ),
            ]);
            world
                .facts
                .signing_keys
                .insert(caller.key_id.clone(), Arc::new(key));
            world
        };
        let later = NOW.plus(Duration::from_secs(1));
        let sent = || caller.sign(Sent::get("/orders"), b"");
        assert_eq!(code(&with_overlap(later), sent(), kind), Ok(()));
        assert_eq!(
            code(&with_overlap(NOW), sent(), kind),
            Err(Code::CredentialRefused)
        );
        let sent = newer.sign(Sent::get("/orders"), b"");
        assert_eq!(code(&with_overlap(NOW), sent, kind), Ok(()));
    }
}

#[test]
fn j04_a_signing_key_stays_within_its_walls() {
    for kind in KINDS {
        let caller = Caller::new(kind);
        for stored in [
            Stored {
                environment: Environment::Test,
                ..good()
            },
            Stored {
                apis: ApiAllow::Listed(Vec::new()),
                ..good()
            },
        ] {
            let world = world(&caller, &stored);
            let sent = caller.sign(Sent::get("/orders"), b"");
            assert_eq!(code(&world, sent, kind), Err(Code::ApiNotAllowed));
        }
    }
}

fn presigned(caller: &Caller, lives: u64) -> Sent {
    let sent = Sent::get("/orders");
    let head = sent.copy().read().unwrap();
    let query = Signer::new(&caller.key_id, &caller.secret, REGION, SERVICE)
        .presign(
            &lent(&head),
            Payload::empty(),
            Duration::from_secs(lives),
            NOW,
        )
        .unwrap();
    let mut sent = sent;
    sent.target = format!("/orders?{query}");
    sent
}

/// Judged with the empty body at hand, which such a signature is over.
fn at_hand(world: &World, sent: Sent) -> Result<(), Code> {
    let call = Call::new(sent.read().unwrap(), Body::Buffered(Bytes::new()));
    judged(world, call, SigV4)
        .map(drop)
        .map_err(|refused| refused.problem.code)
}

#[test]
fn a_presigned_url_is_used_again_until_it_ends_unless_the_api_says_once() {
    let caller = Caller::new(SigV4);
    let mut world = world(&caller, &good());
    assert_eq!(at_hand(&world, presigned(&caller, 60)), Ok(()));
    assert_eq!(at_hand(&world, presigned(&caller, 60)), Ok(()));
    // Longer than the API allows.
    let long = presigned(&caller, 3600);
    assert_eq!(at_hand(&world, long), Err(Code::CredentialRefused));
    // Header and query together.
    let both = caller.sign(presigned(&caller, 60), b"");
    assert_eq!(at_hand(&world, both), Err(Code::CredentialAmbiguous));
    let api = Arc::get_mut(&mut world.api).unwrap();
    api.signatures.presigned_once = true;
    assert_eq!(at_hand(&world, presigned(&caller, 60)), Ok(()));
    assert_eq!(
        at_hand(&world, presigned(&caller, 60)),
        Err(Code::CredentialRefused)
    );
    Arc::get_mut(&mut world.api).unwrap().signatures.presigned = None;
    assert_eq!(
        at_hand(&world, presigned(&caller, 60)),
        Err(Code::CredentialRefused)
    );
}

#[test]
fn d06_a_route_judges_by_its_own_rules_and_by_nothing_of_its_api_s() {
    let caller = Caller::new(HttpSignature);
    let mut world = world(&caller, &good());
    let signed = || caller.sign(Sent::get("/orders").with("x-tenant", "acme"), b"");
    let told = |world: &World, own: Option<SignatureRules>| {
        world.facts.used.lock().unwrap().clear();
        let mut route = world.route(&[&[HttpSignature]]);
        route.signatures = own;
        let judged = world.judge(signed().call(), &route, NOW);
        judged
            .map(drop)
            .map_err(|refused| refused.problem.cause.to_string())
    };
    let covers = |name: &'static str| SignatureRules {
        components: vec![Component::field(HeaderName::from_static(name))],
        ..SignatureRules::default()
    };
    assert_eq!(told(&world, None), Ok(()));
    let cause = told(&world, Some(covers("x-tenant"))).unwrap_err();
    assert!(cause.starts_with("httpsig-"), "{cause}");
    // What the API asks for, and the route does not.
    let api = Arc::get_mut(&mut world.api).unwrap();
    api.signatures = covers("x-tenant");
    assert!(told(&world, None).is_err());
    assert_eq!(told(&world, Some(SignatureRules::default())), Ok(()));
}

#[test]
fn c11_what_only_looks_signed_is_refused_and_nothing_is_missing() {
    for (kind, name, value) in [
        (SigV4, "authorization", "AWS4-HMAC-SHA256 Credential=x"),
        (Hmac, "authorization", "HMAC-SHA256 garbage"),
        (HttpSignature, "signature", "sig1=:AAAA:"),
        (HttpSignature, "signature-input", "sig1=()"),
    ] {
        let world = World::new();
        let sent = Sent::get("/orders").with(name, value);
        assert_eq!(
            code(&world, sent, kind),
            Err(Code::CredentialRefused),
            "{value}"
        );
    }
}

#[test]
fn a_token_and_a_message_signature_come_together_where_both_are_asked_for() {
    let caller = Caller::new(HttpSignature);
    let world = world(&caller, &good());
    let token = world.own_token(&serde_json::json!({}));
    let route = world.route(&[&[Jwt, HttpSignature]]);
    let pass = |sent: Sent| {
        world
            .judge(sent.call(), &route, NOW)
            .map(|permitted| permitted.identity().unwrap().kind())
            .map_err(|refused| refused.problem.code)
    };
    let plain = Sent::get("/orders").bearer(&token);
    assert_eq!(pass(plain), Err(Code::CredentialMissing));
    // `authorization` must be covered where it is present.
    let uncovered = caller.sign(Sent::get("/orders"), b"").bearer(&token);
    assert_eq!(pass(uncovered), Err(Code::CredentialRefused));
}

#[test]
fn schemes_and_kinds_have_one_name() {
    for (kind, scheme) in [
        (SigV4, SigningScheme::SigV4),
        (HttpSignature, SigningScheme::HttpSignature),
        (Hmac, SigningScheme::Hmac),
    ] {
        assert_eq!(kind.name(), scheme.name());
        assert_eq!(
            serde_json::to_string(&kind).unwrap(),
            format!("\"{}\"", kind.name())
        );
    }
}
