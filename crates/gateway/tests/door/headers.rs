//! Threats B: headers and identity.

use core::time::Duration;
use std::sync::Arc;

use gateway::{Options, TrustedProxies, UpstreamIdentity};
use http::HeaderValue;
use proof::time::Timestamp;
use registry::api::{IdentityForward, UpstreamMeaning};
use verdict::identity::Identity;

use crate::harness::{
    Door, PUBLIC, Upstream, api, by_key, field, open_api, plain_listener, pool, route,
};

fn protected(upstream: &Upstream, identity: IdentityForward) -> registry::api::ApiMeaning {
    let mut orders = api("orders", UpstreamMeaning::Pool(pool(&[upstream.at])));
    orders.identity = identity;
    orders.routes = vec![
        route(&orders, "/open", PUBLIC),
        route(&orders, "/{rest*}", by_key()),
    ];
    orders
}

#[tokio::test]
async fn b01_b08_no_identity_header_of_a_caller_reaches_the_upstream() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![protected(&upstream, IdentityForward::Headers)]);
    let key = door.facts.key("ada", &["orders"], &["read"]);
    let forged = "Doorward-Subject: root\r\ndoorward_subject: root\r\ndoorward.subject: root\r\n\
                  DOORWARD-SUBJECT: again\r\ndoorward-identity: e30.e30.x\r\ndoorward-tenant: t\r\n\
                  doorward-future: 1\r\nx-forwarded-user: root\r\nremote_user: root\r\n";
    // On a public route nobody is told.
    assert_eq!(door.get("/open", forged).await.status(), 200);
    let seen = upstream.seen().pop().expect("seen").to_lowercase();
    assert!(
        !seen.contains("root") && !seen.contains("doorward-identity"),
        "{seen}"
    );
    assert!(
        !seen.contains("doorward-tenant") && !seen.contains("future"),
        "{seen}"
    );
    // On a protected one the gateway's own word stands alone.
    let answer = door
        .get("/x", &format!("{forged}authorization: Bearer {key}\r\n"))
        .await;
    assert_eq!(answer.status(), 200);
    let seen = upstream.seen().pop().expect("seen");
    assert!(!seen.contains("root"), "{seen}");
    assert_eq!(field(&seen, "doorward-subject"), Some("ada"));
    assert_eq!(field(&seen, "doorward-principal"), Some("service"));
    assert_eq!(field(&seen, "doorward-scopes"), Some("read"));
    assert_eq!(field(&seen, "doorward-tenant"), None);
    assert_eq!(field(&seen, "doorward-identity"), None);
    assert_eq!(field(&seen, "authorization"), None);
}

#[tokio::test]
async fn b02_what_an_unlisted_peer_says_of_its_place_is_replaced() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    let lies = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil.example\r\n\
                x-forwarded-port: 443\r\nforwarded: for=1.2.3.4;proto=https\r\nx-real-ip: 1.2.3.4\r\n\
                true-client-ip: 1.2.3.4\r\nclient-cert: :AAAA:\r\nx-forwarded-client-cert: By=x\r\n\
                doorward-request-id: chosen-by-me\r\nx-request-id: chosen-by-me\r\n\
                traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let answer = door.get("/x", lies).await;
    assert_eq!(answer.status(), 200);
    let seen = upstream.only();
    assert!(
        !seen.contains("1.2.3.4") && !seen.contains("evil"),
        "{seen}"
    );
    assert_eq!(field(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&seen, "x-forwarded-host"), Some("a.example"));
    assert_eq!(
        field(&seen, "forwarded"),
        Some("for=127.0.0.1;host=\"a.example\";proto=http")
    );
    for name in [
        "x-forwarded-port",
        "client-cert",
        "x-forwarded-client-cert",
        "traceparent",
    ] {
        assert_eq!(field(&seen, name), None, "{name}");
    }
    assert_ne!(answer.field("doorward-request-id"), Some("chosen-by-me"));
    assert_eq!(
        answer.field("doorward-request-id"),
        field(&seen, "doorward-request-id")
    );
}

#[tokio::test]
async fn b02_a_listed_proxy_is_believed_and_must_make_sense() {
    let upstream = Upstream::start().await;
    let options = Options {
        proxies: TrustedProxies::new(["127.0.0.0/8".parse().expect("a network")]),
        ..Options::default()
    };
    let mut only = open_api(upstream.at);
    only.hosts = vec!["api.example".to_owned()];
    let door = Door::with(vec![only], options, plain_listener());
    let answer = door
        .get(
            "/x",
            "x-forwarded-for: 6.6.6.6, 203.0.113.7\r\nx-forwarded-proto: https\r\n\
             x-forwarded-host: api.example\r\nx-request-id: from-the-proxy\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        )
        .await;
    assert_eq!(answer.status(), 200);
    let seen = upstream.only();
    assert_eq!(field(&seen, "x-forwarded-for"), Some("203.0.113.7"));
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&seen, "x-forwarded-host"), Some("api.example"));
    assert_eq!(field(&seen, "doorward-request-id"), Some("from-the-proxy"));
    assert!(field(&seen, "traceparent").is_some());
    assert_eq!(answer.field("doorward-request-id"), Some("from-the-proxy"));
    for bad in [
        "x-forwarded-for: 1.1.1.1, who\r\n",
        "forwarded: for=unknown\r\n",
    ] {
        assert_eq!(door.get("/x", bad).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn b05_connection_removes_no_security_header_and_hop_by_hop_fields_stay_here() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![protected(&upstream, IdentityForward::Headers)]);
    let key = door.facts.key("ada", &["orders"], &[]);
    let answer = door
        .get(
            "/x",
            &format!(
                "authorization: Bearer {key}\r\ncookie: a=b\r\nx-plain: 1\r\nhop: 1\r\n\
                 connection: authorization, cookie, doorward-subject, x-forwarded-for, hop\r\n\
                 keep-alive: timeout=5\r\nproxy-authorization: Basic x\r\nproxy-connection: close\r\n\
                 te: gzip\r\ntrailer: x\r\nproxy: http://evil\r\n"
            ),
        )
        .await;
    assert_eq!(
        answer.status(),
        200,
        "the credential is still there: {answer:?}"
    );
    let seen = upstream.only();
    assert_eq!(field(&seen, "doorward-subject"), Some("ada"));
    assert_eq!(field(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&seen, "cookie"), Some("a=b"));
    assert_eq!(field(&seen, "x-plain"), Some("1"));
    for name in [
        "hop",
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "proxy",
    ] {
        assert_eq!(field(&seen, name), None, "{name}: {seen}");
    }
}

#[tokio::test]
async fn b06_what_is_no_header_is_refused() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    for lines in [
        "x: a\0b\r\n",
        "x: a\x01b\r\n",
        "x y: 1\r\n",
        "x\x7f: 1\r\n",
        ": 1\r\n",
        "no colon\r\n",
        "x : 1\r\n",
        " x: 1\r\n",
        "x: a\r\n folded\r\n",
        "x: a\rb\r\n",
    ] {
        let answer = door.get("/x", lines).await;
        assert_eq!(answer.status(), 400, "{lines:?}");
    }
    let huge = format!("x: {}\r\n", "a".repeat(64 * 1024));
    assert_eq!(door.get("/x", &huge).await.status(), 431);
    let many: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
    assert_eq!(door.get("/x", &many).await.status(), 431);
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn b07_what_may_stand_once_is_refused_when_it_stands_twice() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![protected(&upstream, IdentityForward::None)]);
    let key = door.facts.key("ada", &["orders"], &[]);
    for lines in [
        format!("authorization: Bearer {key}\r\nauthorization: Bearer {key}\r\n"),
        format!("authorization: Bearer {key}\r\nx-api-key: {key}\r\n"),
        format!("x-api-key: {key}\r\nx-acme-key: {key}\r\n"),
        "host: b.example\r\n".to_owned(),
        "content-length: 1\r\ncontent-length: 2\r\n".to_owned(),
    ] {
        assert_eq!(door.get("/x", &lines).await.status(), 400, "{lines}");
    }
    assert_eq!(
        door.send("GET /x HTTP/1.1\r\n\r\n").await.status(),
        400,
        "no Host at all"
    );
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn the_credential_reaches_the_upstream_only_where_the_api_says_so() {
    for (identity, passes) in [
        (IdentityForward::None, false),
        (IdentityForward::Headers, false),
        (IdentityForward::Original, true),
    ] {
        let upstream = Upstream::start().await;
        let door = Door::open(vec![protected(&upstream, identity.clone())]);
        let key = door.facts.key("ada", &["orders"], &[]);
        for name in ["x-api-key", "x-acme-key"] {
            let lines = format!("{name}: {key}\r\ndpop: a.b.c\r\n");
            assert_eq!(door.get("/x", &lines).await.status(), 200);
            let seen = upstream.seen().pop().expect("seen");
            for name in [name, "dpop"] {
                assert_eq!(field(&seen, name).is_some(), passes, "{identity:?} {name}");
            }
        }
        // What nobody checked never passes, whatever the mode.
        assert_eq!(
            door.get("/open", "authorization: Bearer junk\r\ndpop: a.b.c\r\n")
                .await
                .status(),
            200
        );
        let seen = upstream.seen().pop().expect("seen");
        assert_eq!(field(&seen, "authorization"), None, "{identity:?}");
        assert_eq!(field(&seen, "dpop"), None, "{identity:?}");
    }
}

#[tokio::test]
async fn where_authorization_passes_its_proof_passes_and_connection_takes_none_away() {
    let upstream = Upstream::start().await;
    let mut orders = open_api(upstream.at);
    let passing = verdict::route::Demand::Public {
        pass_authorization: true,
    };
    orders.routes = vec![crate::harness::route(&orders, "/x", passing)];
    let door = Door::open(vec![orders]);
    let lines = "authorization: DPoP t\r\ndpop: a.b.c\r\nconnection: dpop, authorization\r\n";
    assert_eq!(door.get("/x", lines).await.status(), 200);
    let seen = upstream.only();
    assert_eq!(field(&seen, "authorization"), Some("DPoP t"));
    assert_eq!(field(&seen, "dpop"), Some("a.b.c"));
}

struct Signer;

impl UpstreamIdentity for Signer {
    fn token(
        &self,
        identity: &Identity,
        audience: &str,
        lifetime: Duration,
        _: Timestamp,
    ) -> Option<HeaderValue> {
        let subject = identity.standing().principal.id();
        HeaderValue::from_str(&format!(
            "signed.{subject}.{audience}.{}",
            lifetime.as_secs()
        ))
        .ok()
    }
}

#[tokio::test]
async fn the_upstream_gets_a_signed_statement_or_the_call_does_not_go() {
    let upstream = Upstream::start().await;
    let jwt = IdentityForward::Jwt {
        audience: "backend".into(),
        lifetime: Duration::from_secs(60),
    };
    let options = Options {
        identity: Arc::new(Signer),
        ..Options::default()
    };
    let door = Door::with(
        vec![protected(&upstream, jwt.clone())],
        options,
        plain_listener(),
    );
    let (ada, bob) = (
        door.facts.key("ada", &["orders"], &[]),
        door.facts.key("bob", &["orders"], &[]),
    );
    for (key, expected) in [
        (&ada, "signed.ada.backend.60"),
        (&bob, "signed.bob.backend.60"),
        (&ada, "signed.ada.backend.60"),
    ] {
        let lines = format!("authorization: Bearer {key}\r\ndoorward-identity: forged\r\n");
        assert_eq!(door.get("/x", &lines).await.status(), 200);
        let seen = upstream.seen().pop().expect("seen");
        assert_eq!(field(&seen, "doorward-identity"), Some(expected));
    }
    let before = upstream.seen().len();
    let mute = Door::open(vec![protected(&upstream, jwt)]);
    let key = mute.facts.key("ada", &["orders"], &[]);
    let answer = mute
        .get("/x", &format!("authorization: Bearer {key}\r\n"))
        .await;
    assert_eq!(answer.status(), 503);
    assert_eq!(upstream.seen().len(), before);
}

#[tokio::test]
async fn connection_fields_of_an_answer_stay_between_us_and_the_upstream() {
    let upstream = Upstream::start().await;
    let door = Door::open(vec![open_api(upstream.at)]);
    upstream.will_answer(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=9\r\n\
         x-hop: 1\r\nproxy-authenticate: Basic\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nserver: me\r\n\r\nok",
    );
    let answer = door.get("/x", "").await;
    assert_eq!(answer.body(), "ok");
    for name in ["keep-alive", "x-hop", "proxy-authenticate", "connection"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!(answer.0.matches("set-cookie").count(), 2);
    assert_eq!(answer.field("server"), Some("me"));
}
