//! Webhooks: whose they are, that they are new, and what becomes of one that comes again.

use std::sync::Arc;

use bytes::Bytes;
use proof::issued::{Environment, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey as PrivateKey;
use proof::jose::verifying::VerifyingKey;
use proof::time::Timestamp;
use proof::webhook::{self, StandardKey, Style, sign_standard};

use super::matrix::Matrix;
use crate::credential::CredentialKind::{self, Webhook};
use crate::credential::is_carrier;
use crate::credential::webhook::{Redelivery, WebhookRules};
use crate::facts::Facts as _;
use crate::identity::{ApiAllow, LifeState, PublicKey, SecretId, SigningMaterial, SigningScheme};
use crate::problem::Code;
use crate::testing::webhook::{SECRET, SENDER, delivery, rules, stored};
use crate::testing::{NOW, Sent, Stored, World, run};
use crate::{Delivery, Forward, NeededBody, Permitted, Refused, needs_body};

const BODY: &[u8] = br#"{"type":"order.paid"}"#;

fn good() -> Stored {
    Stored::new(SecretKind::SecretKey)
}

fn world() -> World {
    let mut world = World::new();
    world
        .facts
        .signing_keys
        .insert(SENDER.to_owned(), stored(&good(), SECRET));
    world
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + secs)
}

#[expect(clippy::result_large_err, reason = "as the steps themselves")]
fn judged(world: &World, sent: Sent, rules: WebhookRules) -> Result<Permitted<()>, Refused<()>> {
    let mut route = world.route(&[&[Webhook]]);
    route.webhook = Some(rules);
    world.judge(sent.call(), &route, NOW)
}

fn code(world: &World, sent: Sent, rules: WebhookRules) -> Result<(), Code> {
    judged(world, sent, rules)
        .map(drop)
        .map_err(|refused| refused.problem.code)
}

/// What a front does after the upstream's answer.
fn end(world: &World, delivery: &Delivery, taken: bool) {
    let until = taken.then_some(delivery.until);
    run(world
        .facts
        .end_delivery(&delivery.key, &delivery.ids, until, NOW))
    .unwrap();
}

/// Rows of the golden matrix.
pub(super) fn matrix(matrix: &mut Matrix) {
    let style = Style::StandardWebhooks;
    let fresh = |id: &str| delivery(style, id, BODY, NOW);
    let with_body = |mut sent: Sent, body: &'static [u8]| {
        sent.body = Some(Bytes::from_static(body));
        sent
    };
    let all = world();
    for (defect, sent) in [
        ("none", fresh("msg_1")),
        ("another body", with_body(fresh("msg_2"), b"{}")),
        (
            "another id",
            fresh("msg_3")
                .without("webhook-id")
                .with("webhook-id", "msg_4"),
        ),
        ("no id", fresh("msg_5").without("webhook-id")),
        ("no signature", fresh("msg_6").without("webhook-signature")),
        (
            "a signature of an unknown version alone",
            fresh("msg_7")
                .without("webhook-signature")
                .with("webhook-signature", "v9,AAAA"),
        ),
        ("five minutes ago", delivery(style, "msg_8", BODY, at(-300))),
        ("in six minutes", delivery(style, "msg_9", BODY, at(360))),
        ("the same once more", fresh("msg_1")),
        (
            "another style",
            delivery(Style::Stripe, "msg_10", BODY, NOW),
        ),
    ] {
        matrix.cell(Webhook, defect, &judged(&all, sent, rules(style)));
    }
    for (defect, key) in [
        (
            "a suspended key",
            Stored {
                state: LifeState::Suspended,
                ..good()
            },
        ),
        (
            "a revoked key",
            Stored {
                state: LifeState::Revoked,
                ..good()
            },
        ),
        (
            "a key that expires this millisecond",
            Stored {
                expires_at: Some(NOW),
                ..good()
            },
        ),
        (
            "a test key at a live API",
            Stored {
                environment: Environment::Test,
                ..good()
            },
        ),
        (
            "a key that lists no API",
            Stored {
                apis: ApiAllow::Listed(Vec::new()),
                ..good()
            },
        ),
        (
            "a key that lacks the scope",
            Stored {
                scopes: "orders:write",
                ..good()
            },
        ),
    ] {
        let mut world = world();
        let key = stored(&key, SECRET);
        world.facts.signing_keys.insert(SENDER.to_owned(), key);
        matrix.cell(
            Webhook,
            defect,
            &judged(&world, fresh("msg_1"), rules(style)),
        );
    }
    let nobody = World::new();
    let answer = judged(&nobody, fresh("msg_1"), rules(style));
    matrix.cell(Webhook, "a key that is not there", &answer);
}

#[test]
fn every_style_passes_as_its_sender_and_its_body_goes_on() {
    for style in Style::ALL {
        let world = world();
        let permitted = judged(&world, delivery(style, "one", BODY, NOW), rules(style)).unwrap();
        let identity = permitted.identity().unwrap();
        assert_eq!(identity.kind(), Webhook);
        assert_eq!(identity.standing().principal.id(), format!("sub_{SENDER}"));
        assert_eq!(permitted.delivery().is_some(), style.has_id(), "{style:?}");
        let Forward { body, signed, .. } = permitted.into_forward();
        assert_eq!(body.buffered().map(|bytes| &bytes[..]), Some(BODY));
        assert!(signed.is_none(), "nothing is left to check");
    }
}

#[test]
fn d07_another_body_is_refused_in_every_style() {
    for style in Style::ALL {
        let mut sent = delivery(style, "one", BODY, NOW);
        sent.body = Some(Bytes::from_static(br#"{"type":"order.paie"}"#));
        let found = code(&world(), sent, rules(style));
        assert_eq!(found, Err(Code::CredentialRefused), "{style:?}");
    }
}

#[test]
fn d05_the_very_same_signature_passes_once_where_a_time_is_signed() {
    for style in Style::ALL.into_iter().filter(|style| style.signs_time()) {
        let world = world();
        let forward = || WebhookRules {
            redelivery: Redelivery::Forward,
            ..rules(style)
        };
        let sent = || delivery(style, "one", BODY, NOW);
        assert_eq!(code(&world, sent(), forward()), Ok(()), "{style:?}");
        let again = code(&world, sent(), forward());
        assert_eq!(again, Err(Code::CredentialRefused), "{style:?}");
        // The sender's second try is signed anew.
        let retried = code(&world, delivery(style, "one", BODY, at(5)), forward());
        assert_eq!(retried, Ok(()), "{style:?}");
    }
}

#[test]
fn d05_a_delivery_that_was_taken_is_answered_by_the_route_s_rule() {
    for style in Style::ALL.into_iter().filter(|style| style.has_id()) {
        for redelivery in Redelivery::ALL {
            let world = world();
            let rules = || WebhookRules {
                redelivery,
                ..rules(style)
            };
            let first = judged(&world, delivery(style, "one", BODY, NOW), rules()).unwrap();
            if let Some(delivery) = first.delivery() {
                assert!(!delivery.acknowledged);
                end(&world, delivery, true);
            }
            let again = judged(&world, delivery(style, "one", BODY, at(60)), rules());
            let what = format!("{style:?} {redelivery:?}");
            match redelivery {
                Redelivery::Acknowledge => {
                    let permitted = again.unwrap();
                    assert!(permitted.delivery().unwrap().acknowledged, "{what}");
                }
                Redelivery::Refuse => {
                    let problem = again.unwrap_err().problem;
                    assert_eq!(problem.code, Code::DeliveryRepeated, "{what}");
                }
                Redelivery::Forward => assert!(again.unwrap().delivery().is_none(), "{what}"),
            }
        }
    }
}

#[test]
fn d05_whoever_changes_an_id_that_is_not_signed_changes_nothing() {
    for style in [Style::GitHub, Style::Shopify] {
        let world = world();
        let first = judged(&world, delivery(style, "one", BODY, NOW), rules(style)).unwrap();
        end(&world, first.delivery().unwrap(), true);
        let renamed = judged(&world, delivery(style, "two", BODY, NOW), rules(style)).unwrap();
        assert!(renamed.delivery().unwrap().acknowledged, "{style:?}");
        let other = judged(&world, delivery(style, "three", b"{}", NOW), rules(style)).unwrap();
        assert!(!other.delivery().unwrap().acknowledged, "{style:?}");
    }
}

#[test]
fn a_delivery_that_the_upstream_did_not_take_gets_through_when_it_comes_again() {
    for style in Style::ALL.into_iter().filter(|style| style.has_id()) {
        let world = world();
        let sent = |secs| delivery(style, "one", BODY, at(secs));
        let first = judged(&world, sent(0), rules(style)).unwrap();
        // While it is on its way nobody else has it.
        let meanwhile = judged(&world, sent(1), rules(style)).unwrap_err().problem;
        assert_eq!(meanwhile.code, Code::DeliveryRepeated, "{style:?}");
        assert!(meanwhile.retry_after.is_some());
        end(&world, first.delivery().unwrap(), false);
        let retried = judged(&world, sent(2), rules(style)).unwrap();
        assert!(!retried.delivery().unwrap().acknowledged, "{style:?}");
    }
}

#[test]
fn a_key_of_another_scheme_verifies_no_webhook() {
    let mut world = world();
    let mut key = Arc::into_inner(stored(&good(), SECRET)).unwrap();
    key.scheme = SigningScheme::Hmac;
    world
        .facts
        .signing_keys
        .insert(SENDER.to_owned(), Arc::new(key));
    let found = code(
        &world,
        delivery(Style::Stripe, "", BODY, NOW),
        rules(Style::Stripe),
    );
    assert_eq!(found, Err(Code::CredentialRefused));
}

#[test]
fn of_several_senders_the_one_who_signed_is_the_principal() {
    let mut world = world();
    let other = "DWAK0000000000000005";
    let mut key = Arc::into_inner(stored(&good(), "another secret")).unwrap();
    key.standing = good().standing(other);
    world
        .facts
        .signing_keys
        .insert(other.to_owned(), Arc::new(key));
    let both = || WebhookRules {
        keys: vec!["DWAK0000000000000009".into(), other.into(), SENDER.into()],
        ..rules(Style::Stripe)
    };
    let permitted = judged(&world, delivery(Style::Stripe, "", BODY, NOW), both()).unwrap();
    let principal = &permitted.identity().unwrap().standing().principal;
    assert_eq!(principal.id(), format!("sub_{SENDER}"));
}

#[test]
fn a_public_key_verifies_standard_webhooks_and_no_other_style() {
    let private = PrivateKey::generate(Algorithm::EdDSA).unwrap();
    let public = VerifyingKey::new(&private.public_jwk(), Algorithm::EdDSA).unwrap();
    let mut world = world();
    let mut key = Arc::into_inner(stored(&good(), SECRET)).unwrap();
    key.material = SigningMaterial::Public(vec![PublicKey {
        id: SecretId::new("mat_2"),
        key: public,
        valid_until: None,
    }]);
    world
        .facts
        .signing_keys
        .insert(SENDER.to_owned(), Arc::new(key));
    let private = webhook::PrivateKey::of_key(private).unwrap();
    let mut sent = Sent::post("/orders");
    let fields = sign_standard(&[StandardKey::Private(&private)], "one", BODY, NOW).unwrap();
    for (name, value) in fields {
        sent = sent.with(name.as_str(), value.as_bytes());
    }
    sent.body = Some(Bytes::from_static(BODY));
    assert_eq!(code(&world, sent, rules(Style::StandardWebhooks)), Ok(()));
    let found = code(
        &world,
        delivery(Style::Stripe, "", BODY, NOW),
        rules(Style::Stripe),
    );
    assert_eq!(found, Err(Code::CredentialRefused));
}

#[test]
fn what_does_not_hold_spends_nothing() {
    let world = world();
    let mut forged = delivery(Style::StandardWebhooks, "one", BODY, NOW);
    forged.body = Some(Bytes::from_static(b"{}"));
    let found = code(&world, forged, rules(Style::StandardWebhooks));
    assert_eq!(found, Err(Code::CredentialRefused));
    assert_eq!(world.facts.questions(), ["signing_key"]);
}

#[test]
fn the_whole_body_is_asked_for_where_a_webhook_is_presented_and_nowhere_else() {
    let world = world();
    let route = |kind: CredentialKind| {
        let mut route = world.route(&[&[kind]]);
        route.webhook = Some(rules(Style::GitHub));
        route
    };
    let head = |sent: Sent| sent.read().unwrap();
    let signed = || head(delivery(Style::GitHub, "one", BODY, NOW));
    assert_eq!(
        needs_body(&signed(), &route(Webhook)),
        Some(NeededBody::Whole)
    );
    assert_eq!(needs_body(&signed(), &route(CredentialKind::ApiKey)), None);
    assert_eq!(
        needs_body(&head(Sent::post("/orders")), &route(Webhook)),
        None
    );
}

#[test]
fn a_signature_stays_here_and_what_else_its_sender_says_goes_on() {
    let world = world();
    let mut route = world.route(&[&[Webhook]]);
    route.webhook = Some(rules(Style::GitHub));
    let carried = |name: &'static str| is_carrier(&http::HeaderName::from_static(name), &route);
    for name in ["x-hub-signature-256", "x-hub-signature"] {
        assert!(carried(name), "{name}");
    }
    for name in ["x-github-delivery", "x-github-event", "stripe-signature"] {
        assert!(!carried(name), "{name}");
    }
}

#[test]
fn e03_a_body_is_worth_reading_only_where_a_key_of_the_route_lives() {
    type Change = fn(&mut crate::identity::SigningKey);
    let cases: [(&str, Change, bool); 5] = [
        ("as it is", |_| {}, true),
        ("suspended", |key| key.state = LifeState::Suspended, false),
        ("revoked", |key| key.state = LifeState::Revoked, false),
        ("expired", |key| key.expires_at = Some(NOW), false),
        (
            "without a secret",
            |key| key.material = SigningMaterial::Shared(Vec::new()),
            false,
        ),
    ];
    for (what, change, worth) in cases {
        let mut world = World::new();
        let mut key = Arc::into_inner(stored(&good(), SECRET)).unwrap();
        change(&mut key);
        world
            .facts
            .signing_keys
            .insert(SENDER.to_owned(), Arc::new(key));
        let mut route = world.route(&[&[Webhook]]);
        route.webhook = Some(rules(Style::GitHub));
        let head = delivery(Style::GitHub, "one", BODY, NOW).read().unwrap();
        let found = run(crate::can_hold(&head, &route, &world.facts, NOW));
        assert_eq!(found, Ok(worth), "{what}");
        if !worth {
            // What nobody read is refused like what does not hold.
            let mut sent = delivery(Style::GitHub, "one", BODY, NOW);
            sent.body = None;
            let refused = world.judge(sent.call(), &route, NOW).unwrap_err();
            assert_eq!(refused.problem.code, Code::CredentialRefused, "{what}");
        }
        let Some(rules) = &mut route.webhook else {
            continue;
        };
        rules.keys = vec!["DWAK0000000000000009".into()];
        let found = run(crate::can_hold(&head, &route, &world.facts, NOW));
        assert_eq!(found, Ok(false), "an unknown key");
    }
}
