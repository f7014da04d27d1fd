use std::collections::BTreeMap;

use super::*;
use crate::usecase::tests::Replay;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn endpoint(events: &[&str]) -> EndpointMeaning {
    EndpointMeaning {
        name: "shop".to_owned(),
        url: Url::parse("https://hooks.example/in").unwrap(),
        application: ApplicationId::new("shop"),
        events: events
            .iter()
            .map(|text| Pattern::read(text).expect("a pattern"))
            .collect(),
        signing_key: "DWAK0000000000000000".to_owned(),
        timeout: TIMEOUT,
        retries: vec![Duration::from_secs(10), Duration::from_secs(100)],
        queue: QUEUE,
    }
}

fn event(action: &str, subject: &str, r#type: &str) -> AuditEvent {
    AuditEvent {
        sequence: Some(7),
        id: "0198".to_owned(),
        at: NOW,
        actor: "alice (adm_1)".to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        request_id: "r1".to_owned(),
        details: BTreeMap::from([("type".to_owned(), r#type.to_owned())]),
        hash: None,
    }
}

fn answered(status: u16) -> Heard {
    Heard {
        status: Some(status),
        retry_after: None,
        cause: format!("status {status}"),
    }
}

#[test]
fn a_pattern_takes_what_it_says_and_never_more() {
    for (pattern, taken, left) in [
        (
            "order.paid",
            &["order.paid"][..],
            &["order.paid.late", "order", "order.Paid"][..],
        ),
        (
            "order.*",
            &["order.paid", "order.a.b"],
            &["order", "orders.paid"],
        ),
        ("*", &["order.paid", "x"], &["doorward.api_key.create"]),
        (
            "doorward.api_key.*",
            &["doorward.api_key.create"],
            &["doorward.admin_key.create", "api_key.create"],
        ),
    ] {
        let read = Pattern::read(pattern).expect(pattern);
        for one in taken {
            assert!(read.takes(one), "{pattern} {one}");
        }
        for one in left {
            assert!(!read.takes(one), "{pattern} {one}");
        }
    }
    for text in [
        "", ".", "a..b", "a.", "*.a", "a*", "a.*.b", "a b", ".*", "**",
    ] {
        assert_eq!(Pattern::read(text), None, "{text:?}");
    }
}

#[test]
fn a_pattern_over_events_that_there_are_none_of_is_known_as_such() {
    for (pattern, possible) in [
        ("doorward.api_key.create", true),
        ("doorward.*", true),
        ("doorward.api_keys.*", false),
        ("doorward.api_key.made", false),
        ("whatever.there.is", true),
    ] {
        let read = Pattern::read(pattern).expect(pattern);
        assert_eq!(read.is_possible(), possible, "{pattern}");
    }
}

#[test]
fn waits_follow_the_schedule_with_a_tenth_of_jitter_and_then_the_message_is_dead() {
    let endpoint = endpoint(&["*"]);
    let entropy = Replay::default();
    for (attempt, seconds) in [(1, 10), (2, 100)] {
        for _ in 0..50 {
            let outcome = endpoint.outcome(attempt, answered(500), NOW, &entropy);
            let Outcome::Again { due, .. } = outcome else {
                panic!("{outcome:?}")
            };
            let wait = due.since(NOW).as_millis();
            assert!((seconds * 1000..=seconds * 1100).contains(&wait), "{wait}");
        }
    }
    let last = endpoint.outcome(3, answered(500), NOW, &entropy);
    assert!(matches!(
        last,
        Outcome::Dead {
            status: Some(500),
            ..
        }
    ));
}

#[test]
fn what_a_receiver_answers_decides() {
    let endpoint = endpoint(&["*"]);
    let entropy = Replay::default();
    for status in [200, 201, 202, 204, 299] {
        let outcome = endpoint.outcome(1, answered(status), NOW, &entropy);
        assert_eq!(outcome, Outcome::Delivered { status });
    }
    for status in [301, 302, 400, 401, 404, 429, 500, 503] {
        let outcome = endpoint.outcome(1, answered(status), NOW, &entropy);
        assert!(matches!(outcome, Outcome::Again { .. }), "{status}");
    }
    let gone = endpoint.outcome(1, answered(GONE), NOW, &entropy);
    assert!(matches!(gone, Outcome::Dead { .. }), "gone is for good");
}

#[test]
fn retry_after_is_honoured_where_it_is_asked_for_and_within_bounds() {
    let endpoint = endpoint(&["*"]);
    let entropy = Replay::default();
    let day = 24 * 3600;
    for (status, asked, least, most) in [
        (429, 60, 60, 60),
        (503, 60, 60, 60),
        // Less than the schedule is no reason to hurry.
        (429, 1, 10, 11),
        (503, 365 * day, 2 * day, 2 * day),
        (500, 60, 10, 11),
    ] {
        let heard = Heard {
            retry_after: Some(Duration::from_secs(asked)),
            ..answered(status)
        };
        let Outcome::Again { due, .. } = endpoint.outcome(1, heard, NOW, &entropy) else {
            panic!("{status}")
        };
        let wait = due.since(NOW).as_secs();
        assert!((least..=most).contains(&wait), "{status}: {wait}");
    }
}

#[test]
fn an_event_becomes_a_message_in_the_standard_shape() {
    let endpoint = endpoint(&["doorward.api_key.*"]);
    let message = endpoint
        .message_of(
            &event("api_key.create", "api_key/key_1", ""),
            "msg_1".to_owned(),
            NOW,
        )
        .expect("it is for it");
    assert_eq!(message.r#type, "doorward.api_key.create");
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(body["type"], "doorward.api_key.create");
    assert_eq!(body["timestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(body["data"]["subject"], "api_key/key_1");
    assert_eq!(body["data"]["sequence"], 7);
    let other = event("admin_key.create", "admin_key/adm_1", "");
    assert_eq!(endpoint.message_of(&other, "msg_1".to_owned(), NOW), None);
}

#[test]
fn endpoints_that_fail_do_not_tell_each_other_of_it_for_ever() {
    let endpoint = endpoint(&["doorward.*"]);
    let told = |event: &AuditEvent| {
        endpoint
            .message_of(event, "msg_1".to_owned(), NOW)
            .is_some()
    };
    assert!(told(&event(
        "webhook.dead",
        "WebhookEndpoint/other",
        "order.paid"
    )));
    assert!(!told(&event(
        "webhook.dead",
        "WebhookEndpoint/shop",
        "order.paid"
    )));
    assert!(!told(&event(
        "webhook.dead",
        "WebhookEndpoint/other",
        "doorward.webhook.dead"
    )));
    // What is declared of it is another matter.
    assert!(told(&event("resource.write", "WebhookEndpoint/shop", "")));
}
