//! **Two nodes on one PostgreSQL**: what one does, the other obeys within a second.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::doorward::{Doorward, Place};
use testkit::postgres;
use testkit::wire;

use super::backend::Backend;
use super::scene::{self, wait_until};

/// "A revocation by us takes effect on every connected node within a second."
const A_SECOND: Duration = Duration::from_secs(1);

/// Two nodes that share database, master key and issuer identifier. `None` only where PostgreSQL
/// was switched off.
fn two_nodes(upstream: &Backend) -> Option<(Doorward, Doorward)> {
    let database = postgres::shared()?.create_database().unwrap();
    let settings = format!(
        "{}database: {{ url: '{database}' }}\n",
        scene::settings(&upstream.url())
    );
    let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
    std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    // The issuer's identifier is one for both, whoever answers for it.
    let settings = settings.replace(
        "url: 'http://@ISSUER@'",
        &format!("url: 'http://{}'", one.issuer),
    );
    Some((one.start(&settings).unwrap(), two.start(&settings).unwrap()))
}

#[test]
fn what_is_revoked_on_one_node_is_refused_on_the_other_within_a_second() {
    let upstream = Backend::start("one");
    let Some((one, two)) = two_nodes(&upstream) else {
        return;
    };
    assert_eq!(two.owner_key(), "", "the first administrator is made once");
    let mut slowest = [Duration::ZERO; 3];
    let secret = scene::client_secret(&one);
    for round in 0..5 {
        let (id, key) = scene::key(&one, &format!("round {round}"));
        assert_eq!(
            scene::read_orders(&two, &key),
            200,
            "a new key works on the other node at once"
        );
        one.make("POST", &format!("/v1/keys/{id}/suspend"), &json!({}))
            .unwrap();
        let took = wait_until("a suspended key", A_SECOND, || {
            scene::read_orders(&two, &key) == 401
        });
        slowest[0] = slowest[0].max(took);
        one.make("POST", &format!("/v1/keys/{id}/resume"), &json!({}))
            .unwrap();
        wait_until("a resumed key", A_SECOND, || {
            scene::read_orders(&two, &key) == 200
        });
        one.make("POST", &format!("/v1/keys/{id}/revoke"), &json!({}))
            .unwrap();
        let took = wait_until("a revoked key", A_SECOND, || {
            scene::read_orders(&two, &key) == 401
        });
        slowest[1] = slowest[1].max(took);
        assert_eq!(scene::read_orders(&one, &key), 401);

        let token = scene::token(&one, &secret);
        assert_eq!(scene::read_orders(&two, &token), 200);
        let pair = proof::base64std::encode(format!("backend:{secret}").as_bytes());
        let answer = wire::call(
            one.issuer(),
            "POST",
            "/oauth/revoke",
            &[
                ("authorization", &format!("Basic {pair}")),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            format!("token={token}").as_bytes(),
        )
        .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            scene::read_orders(&one, &token),
            401,
            "at once where it was revoked"
        );
        let took = wait_until("a revoked token", A_SECOND, || {
            scene::read_orders(&two, &token) == 401
        });
        slowest[2] = slowest[2].max(took);
    }
    println!(
        "in force on the other node, slowest of five: suspended key {:?}, revoked key {:?}, revoked token {:?}",
        slowest[0], slowest[1], slowest[2]
    );
}

#[test]
fn what_is_declared_or_rotated_on_one_node_is_in_force_on_the_other() {
    let upstream = Backend::start("one");
    let Some((one, two)) = two_nodes(&upstream) else {
        return;
    };
    let spec = json!({ "spec": {
        "environment": "test", "base_path": "/second", "upstream": { "urls": [upstream.url()] },
        "routes": [{ "name": "all", "path": "/second-open", "methods": ["GET"], "public": true }] } });
    let put = Instant::now();
    one.make("PUT", "/v1/apis/second", &spec).unwrap();
    let path = "/second/second-open";
    wait_until("a new API", Duration::from_secs(2), || {
        two.get(path, &[]).unwrap().status == 200
    });
    println!(
        "an API applied on one node is served by the other after {:?}",
        put.elapsed()
    );

    let secret = scene::client_secret(&one);
    let old = scene::token(&one, &secret);
    assert_eq!(scene::read_orders(&two, &old), 200);
    let rotate = json!({ "purpose": "access", "immediately": true });
    one.make("POST", "/v1/signing-keys/rotate", &rotate)
        .unwrap();
    let new = scene::token(&one, &secret);
    assert_ne!(kid(&old), kid(&new), "the new key signs");
    wait_until("a token of the new key", A_SECOND, || {
        scene::read_orders(&two, &new) == 200
    });
    assert_eq!(
        scene::read_orders(&two, &old),
        200,
        "the old key still verifies"
    );
    // Every node knows a key before any signs with it.
    wait_until("both nodes sign with the same key", A_SECOND, || {
        let by_two = scene::token(&two, &secret);
        assert_eq!(scene::read_orders(&one, &by_two), 200);
        kid(&by_two) == kid(&new)
    });

    let leaked = json!({ "purpose": "access", "leaked": true });
    one.make("POST", "/v1/signing-keys/rotate", &leaked)
        .unwrap();
    wait_until(
        "tokens of a leaked key die on the other node",
        A_SECOND,
        || scene::read_orders(&two, &new) == 401,
    );
    assert_eq!(scene::read_orders(&one, &new), 401);
}

fn kid(token: &str) -> serde_json::Value {
    let head = proof::base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    serde_json::from_slice::<serde_json::Value>(&head).unwrap()["kid"].clone()
}
