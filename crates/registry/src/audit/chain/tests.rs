use proof::jose::alg::Algorithm;

use super::*;

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).expect("generates a key")
}

fn keys(key: &SigningKey) -> Vec<VerifyingKey> {
    vec![key.verifying_key().expect("has a public part")]
}

fn chained(count: i64) -> Vec<AuditEvent> {
    let mut hash = GENESIS;
    (1..=count)
        .map(|sequence| {
            let mut event = AuditEvent {
                sequence: Some(sequence),
                id: format!("event-{sequence}"),
                at: Timestamp::from_millis(sequence * 1000),
                actor: "admin (adm_1)".to_owned(),
                action: "api_key.create".to_owned(),
                subject: format!("api_key/key_{sequence}"),
                request_id: "request".to_owned(),
                details: [("label".to_owned(), "x".to_owned())].into(),
                hash: None,
            };
            hash = link(&hash, &canonical(&event));
            event.hash = Some(hex(&hash));
            event
        })
        .collect()
}

fn sealed(events: &[AuditEvent], key: &SigningKey) -> Checkpoint {
    let last = events.last().expect("is not empty");
    let hash = proof::digest::unhex(last.hash.as_deref().expect("is chained")).expect("is hex");
    let hash = hash.try_into().expect("is 32 bytes");
    sign_checkpoint(
        last.sequence.expect("is chained"),
        &hash,
        Timestamp::from_secs(99),
        key,
    )
}

/// Chains again from `first` on, as an intruder with the database but not the key would.
fn rechain(events: &mut [AuditEvent]) {
    let mut hash = GENESIS;
    for (index, event) in events.iter_mut().enumerate() {
        event.sequence = Some(index as i64 + 1);
        hash = link(&hash, &canonical(event));
        event.hash = Some(hex(&hash));
    }
}

#[test]
fn an_honest_trail_verifies_up_to_its_seal() {
    let (key, events) = (key(), chained(10));
    let checkpoint = sealed(&events[..7], &key);
    let verified = verify_chain(&events, &[checkpoint], &keys(&key)).expect("is honest");
    assert_eq!(
        (verified.events, verified.sealed, verified.checkpoints),
        (10, 7, 1)
    );
    assert_eq!(Some(verified.head), events[9].hash);
    assert_eq!(verify_chain(&[], &[], &[]).map(|v| v.events), Ok(0));
}

#[test]
fn every_field_of_an_event_is_covered() {
    let edits: [fn(&mut AuditEvent); 7] = [
        |e| e.id.push('x'),
        |e| e.at = e.at.plus(core::time::Duration::from_millis(1)),
        |e| e.actor.push('x'),
        |e| e.action = "api_key.revoke".to_owned(),
        |e| e.subject.push('x'),
        |e| e.request_id.push('x'),
        |e| drop(e.details.insert("label".to_owned(), "y".to_owned())),
    ];
    for edit in edits {
        let mut events = chained(5);
        edit(&mut events[2]);
        assert_eq!(
            verify_chain(&events, &[], &[]),
            Err(ChainFault::Altered { sequence: 3 })
        );
    }
}

#[test]
fn a_removal_and_an_insertion_show_where_they_are() {
    let mut removed = chained(5);
    removed.remove(2);
    assert_eq!(
        verify_chain(&removed, &[], &[]),
        Err(ChainFault::Order {
            expected: 3,
            found: 4
        })
    );
    // Renumbered to hide it.
    for (index, event) in removed.iter_mut().enumerate() {
        event.sequence = Some(index as i64 + 1);
    }
    assert_eq!(
        verify_chain(&removed, &[], &[]),
        Err(ChainFault::Altered { sequence: 3 })
    );

    let mut inserted = chained(5);
    inserted.insert(2, inserted[2].clone());
    assert_eq!(
        verify_chain(&inserted, &[], &[]),
        Err(ChainFault::Order {
            expected: 4,
            found: 3
        })
    );
}

#[test]
fn a_cut_tail_shows_against_a_checkpoint_kept_anywhere() {
    let (key, events) = (key(), chained(10));
    let kept_outside = sealed(&events, &key);
    assert_eq!(
        verify_chain(&events[..8], &[], &keys(&key)).map(|v| v.events),
        Ok(8)
    );
    assert_eq!(
        verify_chain(&events[..8], &[kept_outside], &keys(&key)),
        Err(ChainFault::CutTail {
            checkpoint: 10,
            last: 8
        })
    );
}

#[test]
fn a_chain_that_was_rewritten_as_a_whole_shows_against_a_checkpoint() {
    let (key, mut events) = (key(), chained(10));
    let checkpoint = sealed(&events[..6], &key);
    events[3].actor = "somebody else".to_owned();
    rechain(&mut events);
    assert!(
        verify_chain(&events, &[], &[]).is_ok(),
        "the chain itself fits"
    );
    assert_eq!(
        verify_chain(&events, &[checkpoint], &keys(&key)),
        Err(ChainFault::Rewritten { sequence: 6 })
    );
}

#[test]
fn a_checkpoint_counts_only_with_its_signature() {
    let (signer, stranger, events) = (key(), key(), chained(3));
    let good = sealed(&events, &signer);
    let bad = Err(ChainFault::BadSignature { sequence: 3 });
    let verify =
        |checkpoint: Checkpoint, keys: &[VerifyingKey]| verify_chain(&events, &[checkpoint], keys);
    assert!(verify(good.clone(), &keys(&signer)).is_ok());
    assert_eq!(verify(good.clone(), &keys(&stranger)), bad);
    assert_eq!(verify(good.clone(), &[]), bad);
    assert_eq!(verify(sealed(&events, &stranger), &keys(&signer)), bad);
    assert_eq!(
        verify(
            Checkpoint {
                at: Timestamp::from_secs(1),
                ..good.clone()
            },
            &keys(&signer)
        ),
        bad
    );
    assert_eq!(
        verify(
            Checkpoint {
                signature: "a.b.c".to_owned(),
                ..good.clone()
            },
            &keys(&signer)
        ),
        bad
    );
    let text = serde_json::json!({ "sequence": 3, "hash": good.hash, "at": good.at }).to_string();
    let other_use = jws::sign(&signer, "at+jwt", &text);
    assert_eq!(
        verify(
            Checkpoint {
                signature: other_use,
                ..good
            },
            &keys(&signer)
        ),
        bad
    );
}

#[test]
fn an_events_canonical_form_never_changes() {
    // Stored chains depend on these very bytes.
    let text = String::from_utf8(canonical(&chained(1)[0])).expect("is text");
    assert_eq!(
        text,
        r#"["doorward-audit-event-1",1,"event-1",1000,"admin (adm_1)","api_key.create","api_key/key_1","request",{"label":"x"}]"#
    );
}
