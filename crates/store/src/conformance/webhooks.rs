//! Messages for endpoints of others: kept until they are settled, one node's at a time, and gone with
//! their endpoint.

use registry::ports::{AuditTrail as _, Registry as _, Webhooks as _};
use registry::resource::{Removed, ResourceKind};
use registry::webhook::{
    Accepted, Disabled, Message, MessageFilter, MessageState, NewMessage, Outcome, Which,
};
use serde_json::{Value, json};

use super::{Bench, application, at, event, fresh, put};
use crate::Store;

super::on_both!(
    a_message_is_kept_with_its_event_and_claimed_by_one_node,
    two_nodes_that_claim_at_once_never_get_the_same_message,
    a_message_whose_node_died_is_claimed_again_after_its_lease,
    what_came_of_a_try_decides_when_the_message_is_claimed_again,
    a_try_that_was_overtaken_settles_nothing_but_a_delivery,
    a_queue_that_is_full_takes_no_more,
    nothing_is_sent_to_an_endpoint_that_is_disabled,
    an_endpoint_that_fails_does_not_hold_up_others,
    events_of_the_audit_trail_are_taken_over_once,
    an_endpoint_hears_of_what_happens_after_it_began_to_listen,
    dead_letters_are_sent_again_or_dropped,
    messages_go_with_their_endpoint,
    what_was_settled_long_ago_is_swept,
);

fn spec(events: &[&str]) -> Value {
    json!({
        "url": "https://hooks.example/in", "application": "shop", "events": events,
        "signing_key": "DWAK0000000000000000",
    })
}

async fn endpoint(store: &Store, name: &str, events: &[&str]) {
    let put = put(ResourceKind::WebhookEndpoint, name, spec(events), None);
    store
        .put_resource(put, event("resource.write"))
        .await
        .expect("an endpoint");
}

fn new(endpoint: &str, seconds: i64) -> NewMessage {
    NewMessage {
        id: fresh("msg_"),
        endpoint: endpoint.to_owned(),
        r#type: "order.paid".to_owned(),
        body: "{\"type\":\"order.paid\"}".to_owned(),
        at: at(seconds),
    }
}

async fn accept(store: &Store, endpoint: &str) -> String {
    let message = new(endpoint, 0);
    let id = message.id.clone();
    let accepted = store
        .accept_message(message, 100, event("webhook.send"))
        .await
        .expect("an answer");
    assert_eq!(accepted, Accepted::Done);
    id
}

async fn claim(store: &Store, endpoint: &str, seconds: i64, limit: u32) -> Vec<Message> {
    store
        .claim_messages(endpoint, at(seconds), at(seconds + 60), limit)
        .await
        .expect("messages")
}

fn again(seconds: i64) -> Outcome {
    Outcome::Again {
        due: at(seconds),
        status: Some(500),
        cause: "status 500".to_owned(),
    }
}

fn dead() -> Outcome {
    Outcome::Dead {
        status: None,
        cause: "no connection".to_owned(),
    }
}

async fn settle(store: &Store, message: &Message, outcome: Outcome, seconds: i64) -> bool {
    let audit = matches!(outcome, Outcome::Dead { .. }).then(|| event("webhook.dead"));
    store
        .settle_message(&message.id, message.attempts, outcome, at(seconds), audit)
        .await
        .expect("settled")
}

async fn state(store: &Store, id: &str) -> Option<Message> {
    store.message(id).await.expect("an answer")
}

async fn numbers(store: &Store) -> i64 {
    store
        .audit_events(0, 1000, true)
        .await
        .expect("events")
        .len()
        .try_into()
        .expect("few")
}

async fn a_message_is_kept_with_its_event_and_claimed_by_one_node(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let before = numbers(store).await;
    let id = accept(store, "shop").await;
    assert_eq!(numbers(store).await, before + 1);
    assert_eq!(store.endpoints_due(at(0)).await.expect("names"), ["shop"]);
    let claimed = claim(store, "shop", 0, 10).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!((&claimed[0].id, claimed[0].attempts), (&id, 1));
    assert_eq!(claimed[0].body, "{\"type\":\"order.paid\"}");
    let other = bench.another_node().await;
    assert!(claim(&other, "shop", 1, 10).await.is_empty());
    assert!(store.endpoints_due(at(1)).await.expect("names").is_empty());
    assert!(settle(store, &claimed[0], Outcome::Delivered { status: 204 }, 2).await);
    let settled = state(store, &id).await.expect("it is kept for a while");
    assert_eq!(
        (settled.state, settled.status, settled.tried_at),
        (MessageState::Delivered, Some(204), Some(at(2)))
    );
    assert!(claim(store, "shop", 1000, 10).await.is_empty());
    let nowhere = store
        .accept_message(new("nowhere", 0), 100, event("webhook.send"))
        .await;
    assert_eq!(nowhere.expect("an answer"), Accepted::Unknown);
    assert_eq!(
        numbers(store).await,
        before + 1,
        "what is refused is no event"
    );
}

async fn two_nodes_that_claim_at_once_never_get_the_same_message(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    for _ in 0..40 {
        accept(store, "shop").await;
    }
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let node = bench.another_node().await;
        claimers.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..10 {
                mine.extend(
                    claim(&node, "shop", 0, 3)
                        .await
                        .into_iter()
                        .map(|one| one.id),
                );
            }
            mine
        });
    }
    let mut all: Vec<String> = claimers.join_all().await.into_iter().flatten().collect();
    // A claimer that met a lock may have got fewer than there were: the rest is there for the next.
    all.extend(
        claim(store, "shop", 0, 100)
            .await
            .into_iter()
            .map(|one| one.id),
    );
    all.sort_unstable();
    let claims = all.len();
    all.dedup();
    assert_eq!((claims, all.len()), (40, 40));
}

async fn a_message_whose_node_died_is_claimed_again_after_its_lease(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let id = accept(store, "shop").await;
    assert_eq!(claim(store, "shop", 0, 10).await.len(), 1);
    assert!(claim(store, "shop", 59, 10).await.is_empty());
    let second = claim(store, "shop", 60, 10).await;
    assert_eq!((&second[0].id, second[0].attempts), (&id, 2));
}

async fn what_came_of_a_try_decides_when_the_message_is_claimed_again(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let id = accept(store, "shop").await;
    let first = claim(store, "shop", 0, 1).await.remove(0);
    assert!(settle(store, &first, again(300), 1).await);
    assert!(claim(store, "shop", 299, 1).await.is_empty());
    let waiting = state(store, &id).await.expect("it waits");
    assert_eq!(
        (
            waiting.state,
            waiting.status,
            waiting.cause.as_deref(),
            waiting.due
        ),
        (
            MessageState::Waiting,
            Some(500),
            Some("status 500"),
            at(300)
        )
    );
    let second = claim(store, "shop", 300, 1).await.remove(0);
    assert_eq!((second.attempts, &second.body), (2, &first.body));
    let before = numbers(store).await;
    assert!(settle(store, &second, dead(), 301).await);
    assert_eq!(numbers(store).await, before + 1, "its death is an event");
    assert!(claim(store, "shop", 100_000, 1).await.is_empty());
    assert_eq!(
        state(store, &id).await.map(|one| one.state),
        Some(MessageState::Dead)
    );
}

async fn a_try_that_was_overtaken_settles_nothing_but_a_delivery(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let (_, one) = (
        accept(store, "shop").await,
        claim(store, "shop", 0, 1).await.remove(0),
    );
    let overtaking = claim(store, "shop", 60, 1).await.remove(0);
    let before = numbers(store).await;
    assert!(!settle(store, &one, dead(), 61).await);
    assert_eq!(numbers(store).await, before);
    assert!(!settle(store, &one, again(70), 61).await);
    assert!(settle(store, &one, Outcome::Delivered { status: 200 }, 62).await);
    assert!(
        !settle(store, &overtaking, again(70), 63).await,
        "it was taken"
    );
    assert_eq!(
        state(store, &one.id).await.map(|one| one.state),
        Some(MessageState::Delivered)
    );
}

async fn a_queue_that_is_full_takes_no_more(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    for expected in [Accepted::Done, Accepted::Done, Accepted::Full] {
        let accepted = store
            .accept_message(new("shop", 0), 2, event("webhook.send"))
            .await;
        assert_eq!(accepted.expect("an answer"), expected);
    }
    let one = claim(store, "shop", 0, 1).await.remove(0);
    settle(store, &one, Outcome::Delivered { status: 200 }, 1).await;
    let accepted = store
        .accept_message(new("shop", 2), 2, event("webhook.send"))
        .await;
    assert_eq!(accepted.expect("an answer"), Accepted::Done);
}

async fn nothing_is_sent_to_an_endpoint_that_is_disabled(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let id = accept(store, "shop").await;
    let disabled = Disabled {
        at: at(1),
        cause: "gone".to_owned(),
    };
    let switch = async |disabled: Option<Disabled>| {
        store
            .switch_endpoint("shop", disabled, event("webhook.disable"))
            .await
            .expect("an answer")
    };
    assert!(switch(Some(disabled.clone())).await);
    assert!(!switch(Some(disabled.clone())).await, "it is already");
    let states = store.endpoint_states().await.expect("states");
    assert_eq!(
        (states[0].disabled.as_ref(), states[0].waiting),
        (Some(&disabled), 1)
    );
    assert!(store.endpoints_due(at(5)).await.expect("names").is_empty());
    assert!(claim(store, "shop", 5, 10).await.is_empty());
    let accepted = store
        .accept_message(new("shop", 5), 100, event("webhook.send"))
        .await;
    assert_eq!(accepted.expect("an answer"), Accepted::Disabled);
    assert!(switch(None).await);
    assert_eq!(claim(store, "shop", 6, 10).await[0].id, id);
}

async fn an_endpoint_that_fails_does_not_hold_up_others(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "bad", &["*"]).await;
    endpoint(store, "good", &["*"]).await;
    for _ in 0..20 {
        accept(store, "bad").await;
    }
    accept(store, "good").await;
    let mut due = store.endpoints_due(at(0)).await.expect("names");
    due.sort_unstable();
    assert_eq!(due, ["bad", "good"]);
    assert_eq!(claim(store, "bad", 0, 4).await.len(), 4);
    assert_eq!(claim(store, "good", 0, 4).await.len(), 1);
}

async fn events_of_the_audit_trail_are_taken_over_once(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["doorward.*"]).await;
    let from = store.endpoint_states().await.expect("states")[0].after;
    assert_eq!(from, numbers(store).await);
    let other = bench.another_node().await;
    let messages = [new("shop", 0), new("shop", 0)];
    let others = [new("shop", 0), new("shop", 0)];
    let (one, two) = tokio::join!(
        store.accept_events("shop", from, from + 2, &messages),
        other.accept_events("shop", from, from + 2, &others),
    );
    let (one, two) = (one.expect("an answer"), two.expect("an answer"));
    assert!(one != two, "one of them: {one} {two}");
    assert_eq!(claim(store, "shop", 0, 10).await.len(), 2);
    assert_eq!(
        store.endpoint_states().await.expect("states")[0].after,
        from + 2
    );
    let none = store.accept_events("nowhere", 0, 9, &messages[..0]).await;
    assert!(!none.expect("an answer"));
}

async fn an_endpoint_hears_of_what_happens_after_it_began_to_listen(bench: Bench) {
    let store = &bench.store;
    application(store, "shop").await;
    endpoint(store, "shop", &["order.*"]).await;
    let after = async || store.endpoint_states().await.expect("states")[0].after;
    let first = after().await;
    assert_eq!(first, numbers(store).await, "not of its own making");
    application(store, "other").await;
    assert_eq!(after().await, first);
    endpoint(store, "shop", &["order.*", "doorward.api_key.*"]).await;
    let second = after().await;
    assert_eq!(
        second,
        numbers(store).await,
        "not of the time before it listened"
    );
    application(store, "third").await;
    endpoint(store, "shop", &["doorward.api_key.*"]).await;
    assert_eq!(
        after().await,
        second,
        "who listens misses nothing by a change"
    );
}

async fn dead_letters_are_sent_again_or_dropped(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(accept(store, "shop").await);
        let one = claim(store, "shop", 0, 1).await.remove(0);
        settle(store, &one, dead(), 1).await;
    }
    let filter = MessageFilter {
        state: Some(MessageState::Dead),
        limit: 2,
        ..MessageFilter::default()
    };
    let listed = store.messages(&filter).await.expect("messages");
    let last = listed.last().expect("two").id.clone();
    let next = MessageFilter {
        before: Some(last),
        endpoint: Some("shop".to_owned()),
        ..filter
    };
    assert_eq!(listed.len(), 2);
    assert_eq!(store.messages(&next).await.expect("messages").len(), 1);

    let one = Which::One(ids[0].clone());
    let sent = store.send_again(&one, at(10), event("webhook.retry")).await;
    assert_eq!(sent.expect("a number"), 1);
    let again = claim(store, "shop", 10, 9).await;
    assert_eq!(
        (again.len(), &again[0].id, again[0].attempts),
        (1, &ids[0], 1)
    );
    // What is under way stays its node's.
    let sent = store.send_again(&one, at(11), event("webhook.retry")).await;
    assert_eq!(sent.expect("a number"), 1);
    assert!(claim(store, "shop", 12, 9).await.is_empty());

    let all = Which::DeadOf("shop".to_owned());
    let sent = store.send_again(&all, at(20), event("webhook.retry")).await;
    assert_eq!(sent.expect("a number"), 2);
    let before = numbers(store).await;
    let dropped = store.drop_messages(&all, event("webhook.drop")).await;
    assert_eq!(dropped.expect("a number"), 0);
    assert_eq!(numbers(store).await, before, "nothing was done");
    let one = Which::One(ids[1].clone());
    let dropped = store.drop_messages(&one, event("webhook.drop")).await;
    assert_eq!(dropped.expect("a number"), 1);
    assert!(state(store, &ids[1]).await.is_none());
}

async fn messages_go_with_their_endpoint(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    let id = accept(store, "shop").await;
    let one = claim(store, "shop", 0, 1).await.remove(0);
    let removed = store
        .remove_resource(
            ResourceKind::WebhookEndpoint,
            "shop",
            None,
            false,
            event("resource.delete"),
        )
        .await;
    assert_eq!(removed.expect("an answer"), Removed::Done);
    assert!(state(store, &id).await.is_none());
    assert!(store.endpoint_states().await.expect("states").is_empty());
    assert!(!settle(store, &one, again(5), 1).await);
    endpoint(store, "shop", &["*"]).await;
    assert!(claim(store, "shop", 100, 9).await.is_empty());
}

async fn what_was_settled_long_ago_is_swept(bench: Bench) {
    let store = &bench.store;
    endpoint(store, "shop", &["*"]).await;
    for outcome in [Outcome::Delivered { status: 200 }, dead()] {
        accept(store, "shop").await;
        let one = claim(store, "shop", 0, 1).await.remove(0);
        settle(store, &one, outcome, 0).await;
    }
    accept(store, "shop").await;
    let day = 24 * 3600;
    for (seconds, swept) in [
        (day - 1, 0),
        (day, 1),
        (29 * day, 0),
        (30 * day, 1),
        (99 * day, 0),
    ] {
        let found = store.sweep(at(seconds)).await.expect("swept");
        assert_eq!(found.webhook_messages, swept, "{seconds}");
    }
    assert_eq!(
        claim(store, "shop", 99 * day, 9).await.len(),
        1,
        "what waits stays"
    );
}
