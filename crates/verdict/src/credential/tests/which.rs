//! Which of a credential's secrets or keys held: what tells the old one's calls from the next one's.

use core::time::Duration;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey as PrivateKey;
use proof::jose::verifying::VerifyingKey;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::Style;
use serde_json::json;

use crate::credential::CredentialKind::{
    self, ApiKey, Basic, Hmac, HttpSignature, Jwt, Mtls, Opaque, Paseto, SigV4, Webhook,
};
use crate::identity::{Identity, PublicKey, SecretId, SharedSecret, SigningMaterial};
use crate::testing::signing::Caller;
use crate::testing::{FOREIGN, NOW, Sent, World, hand, webhook};

fn identity(world: &World, sent: Sent, kinds: &[CredentialKind]) -> Identity {
    let permitted = world.judge(sent.call(), &world.route(&[kinds]), NOW);
    permitted.unwrap().identity().unwrap().clone()
}

fn which(world: &World, sent: Sent, kind: CredentialKind) -> Option<String> {
    let identity = identity(world, sent, &[kind]);
    identity.secret().map(SecretId::to_string)
}

/// Puts other material into the place of a signing key's.
fn holding(world: &mut World, name: &str, material: SigningMaterial) {
    let keys = &mut world.facts.signing_keys;
    let mut key = Arc::into_inner(keys.remove(name).unwrap()).unwrap();
    key.material = material;
    keys.insert(name.to_owned(), Arc::new(key));
}

fn shared(id: &str, text: &str, until: Option<Timestamp>) -> SharedSecret {
    SharedSecret::new(SecretId::new(id), Secret::from_text(text.to_owned()), until)
}

#[test]
fn a_kind_that_can_have_several_secrets_or_keys_says_which_held() {
    let hand = hand();
    for kind in CredentialKind::ALL {
        let Some(begins) = (match kind {
            Basic => Some("pwd_svc"),
            SigV4 | HttpSignature | Hmac | Webhook => Some("mat_1"),
            Jwt | Paseto => Some("jkt:"),
            // Each is its own name, or nothing made it.
            _ => None,
        }) else {
            assert_eq!(which(&hand.world, hand.sent(kind), kind), None, "{kind:?}");
            continue;
        };
        let found = which(&hand.world, hand.sent(kind), kind).unwrap();
        assert!(found.starts_with(begins), "{kind:?}: {found}");
    }
}

#[test]
fn of_two_shared_secrets_the_one_that_signed_is_named_whatever_ended() {
    let ended = Some(NOW);
    let later = Some(NOW.plus(Duration::from_secs(60)));
    for kind in [SigV4, HttpSignature, Hmac] {
        for (newest, ends) in [(None, later), (ended, None)] {
            let mut hand = hand();
            let old = hand.callers.iter().find(|one| one.kind == kind).unwrap();
            let old = old.clone();
            let new = Caller {
                secret: Secret::from_text("the newer one".to_owned()),
                nonce: "fedcba9876543210".to_owned(),
                ..old.clone()
            };
            let text = old.secret.expose_text().unwrap().to_owned();
            let both = vec![
                shared("mat_new", "the newer one", newest),
                shared("mat_old", &text, ends),
            ];
            let material = SigningMaterial::Shared(both);
            holding(&mut hand.world, &old.key_id, material);
            let by = |caller: &Caller| {
                let sent = caller.sign(Sent::get("/orders"), b"");
                which(&hand.world, sent, kind)
            };
            assert_eq!(by(&old).as_deref(), Some("mat_old"), "{kind:?}");
            if newest.is_none() {
                assert_eq!(by(&new).as_deref(), Some("mat_new"), "{kind:?}");
            }
        }
    }
}

#[test]
fn of_two_senders_secrets_the_one_that_signed_is_named() {
    for (place, expected) in [(0, "mat_a"), (1, "mat_b")] {
        let mut hand = hand();
        let mut both = vec![
            shared("mat_other", "another secret of a sender", None),
            shared("mat_other", "another secret of a sender", None),
        ];
        both[place] = shared(expected, webhook::SECRET, None);
        let material = SigningMaterial::Shared(both);
        holding(&mut hand.world, webhook::SENDER, material);
        let sent = webhook::delivery(Style::Stripe, "", b"", NOW);
        let found = which(&hand.world, sent, Webhook);
        assert_eq!(found.as_deref(), Some(expected));
    }
}

#[test]
fn of_two_public_keys_the_one_that_signed_is_named() {
    let mut hand = hand();
    let caller = hand.callers.iter().find(|one| one.kind == HttpSignature);
    let name = caller.unwrap().key_id.clone();
    let pairs = [Algorithm::ES256, Algorithm::EdDSA].map(|alg| PrivateKey::generate(alg).unwrap());
    let public = pairs.each_ref().map(|pair| PublicKey {
        id: SecretId::new(format!("mat_{}", pair.alg().name())),
        key: VerifyingKey::new(&pair.public_jwk(), pair.alg()).unwrap(),
        valid_until: None,
    });
    let material = SigningMaterial::Public(public.into());
    holding(&mut hand.world, &name, material);
    let key = &hand.world.facts.signing_keys[&name];
    let ids: Vec<_> = (0..3).map(|place| key.which(place, NOW)).collect();
    let ids: Vec<_> = ids.into_iter().map(|id| id.map(SecretId::as_str)).collect();
    assert_eq!(ids, [Some("mat_ES256"), Some("mat_EdDSA"), None]);
}

#[test]
fn a_token_is_named_by_the_key_that_made_it_seen_before_or_not() {
    let world = World::new();
    let own = format!("jkt:{}", world.own_key.public_jwk().thumbprint());
    let foreign = format!("jkt:{}", world.foreign_key.public_jwk().thumbprint());
    let sealed = format!("jkt:{}", world.paseto_key.public_jwk().thumbprint());
    let nothing = json!({});
    for (kind, token, expected) in [
        (Jwt, world.own_token(&nothing), own),
        (Jwt, world.foreign_token(&nothing), foreign),
        (Paseto, world.paseto(&nothing), sealed),
    ] {
        for _ in 0..2 {
            let sent = Sent::get("/orders").bearer(&token);
            assert_eq!(which(&world, sent, kind).as_deref(), Some(&*expected));
        }
    }
    // What both sides hold has no public half to be named by.
    let sent = Sent::get("/orders").bearer(&world.local_paseto(&nothing));
    let found = identity(&world, sent, &[Paseto]);
    let id = found.secret().unwrap().as_str();
    assert!(id.starts_with("k4.lid."), "{id}");
    assert_eq!(found.issuer().unwrap().as_str(), FOREIGN);
}

#[test]
fn a_companion_brings_its_own() {
    let hand = hand();
    let mut sent = hand.sent(Basic);
    sent.arrival.tls = Some(Arc::new(hand.session.clone()));
    sent = sent.with("x-api-key", &hand.key);
    let found = identity(&hand.world, sent, &[Mtls, ApiKey, Basic]);
    assert_eq!(found.secret(), None);
    let companions: Vec<_> = found
        .companions()
        .iter()
        .map(|one| (one.kind(), one.secret().map(SecretId::as_str)))
        .collect();
    assert_eq!(companions, [(ApiKey, None), (Basic, Some("pwd_svc"))]);
    let token = hand.sent(Jwt).with("x-api-key", &hand.key);
    let found = identity(&hand.world, token, &[ApiKey, Jwt]);
    let companion = &found.companions()[0];
    assert!(companion.secret().is_some() && companion.issuer().is_some());
    let opaque = hand.sent(Opaque).with("x-api-key", &hand.key);
    let found = identity(&hand.world, opaque, &[ApiKey, Opaque]);
    assert!(found.companions()[0].secret().is_none());
}
