//! What the issuer keeps: each outcome of each transition, and the race for a first use.

use issuer::ports::{
    FirstUse, IssuerStore as _, KeyForm, KeyPurpose, KeyState, Revocation, StoredKey,
};
use proof::jose::alg::Algorithm;
use registry::ports::{AuditTrail as _, Registry as _, StoreError};
use serde_json::json;
use verdict::facts::{self, ReplayScope};

use super::{Bench, at, event};

super::on_both!(
    a_published_key_waits_until_it_is_activated,
    a_key_that_is_active_at_once_retires_the_one_before,
    a_key_that_encrypts_is_kept_without_a_public_half,
    purposes_are_apart,
    only_a_published_key_is_activated,
    a_key_id_is_never_used_again,
    keys_retire_when_their_time_has_come,
    of_two_activations_one_key_signs,
    only_one_redeemer_is_the_first,
    a_first_use_is_free_again_after_its_time,
    many_first_uses_at_once_are_each_answered_for_themselves,
    what_callers_use_once_is_told_apart_by_scope_and_a_look_spends_nothing,
    revocations_last_until_their_time,
    revoking_twice_keeps_the_stricter,
    a_damaged_key_or_revocation_is_an_error_and_no_panic,
);

/// A key for access tokens, published, as old as `second` says.
pub(super) fn key(kid: &str, second: i64) -> StoredKey {
    StoredKey {
        kid: kid.into(),
        purpose: KeyPurpose::Access,
        form: KeyForm::Pair {
            algorithm: Algorithm::ES256,
            public_jwk: json!({"kty": "EC", "kid": kid}),
        },
        state: KeyState::Published,
        sealed: vec![1, 0, 255, b'\'', 0],
        created_at: at(second),
        activated_at: None,
    }
}

async fn states(bench: &Bench) -> Vec<(String, KeyState)> {
    let keys = bench.store.signing_keys(KeyPurpose::Access).await.unwrap();
    keys.into_iter().map(|key| (key.kid, key.state)).collect()
}

async fn a_published_key_waits_until_it_is_activated(bench: Bench) {
    let store = &bench.store;
    store
        .publish_key(key("a", 0), None, event("signing_key.create"))
        .await
        .unwrap();
    assert_eq!(
        store.signing_keys(KeyPurpose::Access).await.unwrap(),
        [key("a", 0)]
    );
    assert!(
        store
            .activate_key("a", at(5), at(9), event("signing_key.activate"))
            .await
            .unwrap()
    );
    let active = StoredKey {
        state: KeyState::Active,
        activated_at: Some(at(5)),
        ..key("a", 0)
    };
    assert_eq!(
        store.signing_keys(KeyPurpose::Access).await.unwrap(),
        [active]
    );
}

async fn a_key_that_encrypts_is_kept_without_a_public_half(bench: Bench) {
    let kept = StoredKey {
        purpose: KeyPurpose::AccessPasetoLocal,
        form: KeyForm::Local,
        ..key("k4.lid.x", 0)
    };
    let store = &bench.store;
    store
        .publish_key(kept.clone(), None, event("signing_key.create"))
        .await
        .unwrap();
    let found = store.signing_keys(KeyPurpose::AccessPasetoLocal).await;
    assert_eq!(found.unwrap(), [kept]);
    assert_eq!(store.signing_keys(KeyPurpose::Access).await.unwrap(), []);
}

async fn a_key_that_is_active_at_once_retires_the_one_before(bench: Bench) {
    let store = &bench.store;
    store
        .publish_key(key("a", 0), Some(at(0)), event("signing_key.create"))
        .await
        .unwrap();
    store
        .publish_key(key("b", 1), Some(at(70)), event("signing_key.create"))
        .await
        .unwrap();
    store
        .publish_key(key("c", 2), None, event("signing_key.create"))
        .await
        .unwrap();
    store
        .activate_key("c", at(3), at(80), event("signing_key.activate"))
        .await
        .unwrap();
    let expected = [
        ("c".into(), KeyState::Active),
        ("b".into(), KeyState::Retiring { until: at(80) }),
        ("a".into(), KeyState::Retiring { until: at(70) }),
    ];
    assert_eq!(states(&bench).await, expected);
}

async fn purposes_are_apart(bench: Bench) {
    let store = &bench.store;
    for (kid, purpose) in ["a", "u", "t"].into_iter().zip(KeyPurpose::ALL) {
        let key = StoredKey {
            purpose,
            ..key(kid, 0)
        };
        store
            .publish_key(key, Some(at(0)), event("signing_key.create"))
            .await
            .unwrap();
    }
    for (kid, purpose) in ["a", "u", "t"].into_iter().zip(KeyPurpose::ALL) {
        let keys = store.signing_keys(purpose).await.unwrap();
        assert_eq!(
            (keys.len(), &*keys[0].kid, &keys[0].state),
            (1, kid, &KeyState::Active)
        );
    }
}

async fn only_a_published_key_is_activated(bench: Bench) {
    let store = &bench.store;
    let activate = |kid| store.activate_key(kid, at(1), at(2), event("signing_key.activate"));
    assert!(!activate("none").await.unwrap());
    store
        .publish_key(key("a", 0), Some(at(0)), event("signing_key.create"))
        .await
        .unwrap();
    assert!(!activate("a").await.unwrap(), "it signs already");
    assert_eq!(states(&bench).await, [("a".into(), KeyState::Active)]);
    let active = StoredKey {
        state: KeyState::Active,
        ..key("b", 0)
    };
    let refused = store
        .publish_key(active, None, event("signing_key.create"))
        .await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
}

async fn a_key_id_is_never_used_again(bench: Bench) {
    let store = &bench.store;
    store
        .publish_key(key("a", 0), Some(at(0)), event("signing_key.create"))
        .await
        .unwrap();
    store
        .publish_key(key("b", 0), Some(at(1)), event("signing_key.create"))
        .await
        .unwrap();
    store
        .retire_due_keys(at(1), event("signing_key.retire"))
        .await
        .unwrap();
    let again = store
        .publish_key(key("a", 5), None, event("signing_key.create"))
        .await;
    assert!(matches!(again, Err(StoreError::Broken(_))), "{again:?}");
}

async fn keys_retire_when_their_time_has_come(bench: Bench) {
    let store = &bench.store;
    store
        .publish_key(key("a", 0), Some(at(0)), event("signing_key.create"))
        .await
        .unwrap();
    store
        .publish_key(key("b", 1), Some(at(60)), event("signing_key.create"))
        .await
        .unwrap();
    let (changes, events) = (
        store.newest_change().await.unwrap(),
        store.audit_events(0, 9, true).await.unwrap(),
    );
    let early = store
        .retire_due_keys(at(59), event("signing_key.retire"))
        .await
        .unwrap();
    assert!(early.is_empty());
    assert_eq!(
        store.newest_change().await.unwrap(),
        changes,
        "nothing due leaves no trace"
    );
    assert_eq!(store.audit_events(0, 9, true).await.unwrap(), events);
    let due = store
        .retire_due_keys(at(60), event("signing_key.retire"))
        .await
        .unwrap();
    assert_eq!(due, ["a"]);
    assert_eq!(states(&bench).await, [("b".into(), KeyState::Active)]);
}

async fn of_two_activations_one_key_signs(bench: Bench) {
    let (one, two) = (bench.store.clone(), bench.another_node().await);
    for kid in ["a", "b"] {
        one.publish_key(key(kid, 0), None, event("signing_key.create"))
            .await
            .unwrap();
    }
    let (a, b) = tokio::join!(
        one.activate_key("a", at(1), at(2), event("signing_key.activate")),
        two.activate_key("b", at(1), at(2), event("signing_key.activate")),
    );
    assert!(a.unwrap() && b.unwrap(), "one after the other");
    let active = states(&bench)
        .await
        .into_iter()
        .filter(|(_, state)| *state == KeyState::Active);
    assert_eq!(active.count(), 1);
}

async fn only_one_redeemer_is_the_first(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    for round in 0..10 {
        let id = format!("jti-{round}");
        let redeemers: Vec<_> = (0..8)
            .map(|n| {
                let (node, id) = (nodes[n % 2].clone(), id.clone());
                tokio::spawn(async move {
                    node.first_use("assertion", &id, at(60), at(0))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut first = 0;
        for redeemer in redeemers {
            first += usize::from(redeemer.await.unwrap() == FirstUse::Yes);
        }
        assert_eq!(first, 1, "round {round}");
    }
}

async fn many_first_uses_at_once_are_each_answered_for_themselves(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    // Used before, so that some of each batch are replays.
    for n in (0..200).step_by(3) {
        let id = format!("jti-{n}");
        let first = nodes[n % 2]
            .first_use("assertion", &id, at(60), at(0))
            .await;
        assert_eq!(first.unwrap(), FirstUse::Yes);
    }
    // Each id twice on each node, in opposite orders, so that the nodes meet crosswise.
    let mut uses = Vec::new();
    for n in (0..200).chain((0..200).rev()) {
        for node in &nodes {
            let (node, id) = (node.clone(), format!("jti-{n}"));
            uses.push((
                n,
                tokio::spawn(async move {
                    node.first_use("assertion", &id, at(60), at(0))
                        .await
                        .unwrap()
                }),
            ));
        }
    }
    let mut firsts = vec![0; 200];
    for (n, one) in uses {
        firsts[n] += usize::from(one.await.unwrap() == FirstUse::Yes);
    }
    for (n, first) in firsts.into_iter().enumerate() {
        assert_eq!(first, usize::from(n % 3 != 0), "jti-{n}");
    }
}

async fn a_first_use_is_free_again_after_its_time(bench: Bench) {
    let store = &bench.store;
    let redeem = |scope, now| store.first_use(scope, "id", at(60), at(now));
    assert_eq!(redeem("a", 0).await.unwrap(), FirstUse::Yes);
    assert_eq!(
        redeem("b", 0).await.unwrap(),
        FirstUse::Yes,
        "scopes are apart"
    );
    assert_eq!(redeem("a", 59).await.unwrap(), FirstUse::Replayed);
    assert_eq!(
        store.first_use("a", "id", at(120), at(60)).await.unwrap(),
        FirstUse::Yes
    );
    assert_eq!(
        store.first_use("a", "id", at(120), at(61)).await.unwrap(),
        FirstUse::Replayed
    );
    let swept = store.sweep(at(60)).await.unwrap();
    assert_eq!(
        (swept.used_once, swept.revocations),
        (1, 0),
        "b has had its time, a has a new one"
    );
}

async fn what_callers_use_once_is_told_apart_by_scope_and_a_look_spends_nothing(bench: Bench) {
    let nodes = [bench.store.clone(), bench.another_node().await];
    let scopes = [
        ReplayScope::DpopProof { key: "k" },
        ReplayScope::Signature { key: "k" },
        ReplayScope::Presigned { key: "k" },
        ReplayScope::ClientCall { client: "k" },
        ReplayScope::Signature { key: "other" },
    ];
    // As long as a JWT's id may be.
    let id = "i".repeat(256);
    for scope in scopes {
        let look = async |node: usize, now| {
            let store = &nodes[node];
            let answer = facts::Replays::look_at_use(store, scope, &id, at(60), at(now));
            answer.await.unwrap()
        };
        assert_eq!(look(0, 0).await, facts::FirstUse::Yes, "{scope:?}");
        let first = facts::Replays::first_use(&nodes[0], scope, &id, at(60), at(0)).await;
        assert_eq!(first, Ok(facts::FirstUse::Yes), "{scope:?}");
        let again = facts::Replays::first_use(&nodes[1], scope, &id, at(60), at(0)).await;
        assert_eq!(again, Ok(facts::FirstUse::Replayed), "{scope:?}");
        assert_eq!(look(1, 59).await, facts::FirstUse::Replayed, "{scope:?}");
        assert_eq!(look(1, 60).await, facts::FirstUse::Yes, "its time is over");
    }
}

async fn revocations_last_until_their_time(bench: Bench) {
    let store = &bench.store;
    let token = Revocation::Token {
        token_id: "t".into(),
        until: at(60),
    };
    let epoch = Revocation::ClientEpoch {
        client_id: "c".into(),
        before: at(1),
        until: at(120),
    };
    for revocation in [&token, &epoch] {
        store
            .revoke(revocation.clone(), event("revoke"))
            .await
            .unwrap();
    }
    assert_eq!(
        store.revocations(at(59)).await.unwrap(),
        [epoch.clone(), token]
    );
    assert_eq!(store.revocations(at(60)).await.unwrap(), [epoch]);
    assert_eq!(store.sweep(at(60)).await.unwrap().revocations, 1);
    assert_eq!(store.revocations(at(120)).await.unwrap(), []);
}

async fn revoking_twice_keeps_the_stricter(bench: Bench) {
    let store = &bench.store;
    let epoch = |before, until| Revocation::ClientEpoch {
        client_id: "c".into(),
        before: at(before),
        until: at(until),
    };
    for (before, until) in [(5, 60), (3, 90), (4, 30)] {
        store
            .revoke(epoch(before, until), event("revoke"))
            .await
            .unwrap();
    }
    let token = |until| Revocation::Token {
        token_id: "t".into(),
        until: at(until),
    };
    for until in [50, 20] {
        store.revoke(token(until), event("revoke")).await.unwrap();
    }
    assert_eq!(
        store.revocations(at(0)).await.unwrap(),
        [epoch(5, 90), token(50)]
    );
}

async fn a_damaged_key_or_revocation_is_an_error_and_no_panic(bench: Bench) {
    let store = &bench.store;
    store
        .publish_key(key("a", 0), None, event("signing_key.create"))
        .await
        .unwrap();
    let token = Revocation::Token {
        token_id: "t".into(),
        until: at(60),
    };
    store.revoke(token, event("revoke")).await.unwrap();
    for damage in [
        "UPDATE signing_keys SET state = 'retiring'; UPDATE revocations SET kind = 'client_epoch';",
        "UPDATE signing_keys SET state = 'new'; UPDATE revocations SET kind = 'session';",
        "UPDATE signing_keys SET state = 'active', algorithm = 'none'; \
         UPDATE revocations SET kind = 'token', before_ms = 1;",
    ] {
        bench.damage(damage).await;
        let keys = store.signing_keys(KeyPurpose::Access).await;
        assert!(
            matches!(keys, Err(StoreError::Broken(_))),
            "{damage}: {keys:?}"
        );
        let revocations = store.revocations(at(0)).await;
        assert!(
            matches!(revocations, Err(StoreError::Broken(_))),
            "{damage}: {revocations:?}"
        );
    }
}
