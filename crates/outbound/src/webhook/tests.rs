use std::sync::Arc;

use proof::issued::{KeyId, SigningKeyId};
use proof::random::SystemEntropy;
use proof::webhook::{Key, Rules, parse};
use verdict::identity::{SecretId, SharedSecret};

use super::*;
use crate::facts::tests::standing;
use crate::fetch::FetchOptions;
use crate::fetch::tests::{Authority, Server, ok};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const BODY: &[u8] = br#"{"type":"order.paid"}"#;

fn text(secret: &str) -> Secret {
    Secret::from_text(secret.to_owned())
}

fn key(secrets: &[(&str, Option<Timestamp>)]) -> SigningKey {
    let mut standing = standing("sgn_1");
    standing.application = Some(ApplicationId::new("shop"));
    SigningKey {
        key_id: SigningKeyId::new(KeyId::generate(&SystemEntropy)),
        scheme: SigningScheme::Webhook,
        material: SigningMaterial::Shared(
            secrets
                .iter()
                .map(|(secret, until)| {
                    SharedSecret::new(SecretId::new("mat_1"), text(secret), *until)
                })
                .collect(),
        ),
        state: LifeState::Active,
        expires_at: None,
        standing: Arc::new(standing),
    }
}

fn sign(key: &SigningKey) -> Result<Vec<(HeaderName, HeaderValue)>, Unsignable> {
    signed(key, &ApplicationId::new("shop"), "msg_1", BODY, NOW)
}

fn whsec(byte: u8) -> String {
    format!("whsec_{}", proof::base64std::encode(&[byte; 32]))
}

/// Whether a receiver with this key takes it.
fn verifies(fields: &[(HeaderName, HeaderValue)], receiver: &str) -> bool {
    let headers: HeaderMap = fields.iter().cloned().collect();
    let key = Key::read(Style::StandardWebhooks, &text(receiver)).unwrap();
    let claimed = parse(Style::StandardWebhooks, &headers).unwrap().unwrap();
    claimed.verify(&[key], BODY, NOW, &Rules::default()).is_ok()
}

#[test]
fn while_a_secret_is_replaced_both_receivers_take_the_message() {
    let (next, former) = (whsec(1), whsec(2));
    let overlapping = sign(&key(&[
        (&next, None),
        (&former, Some(NOW.plus(Duration::from_secs(1)))),
    ]));
    let fields = overlapping.unwrap();
    assert!(verifies(&fields, &next) && verifies(&fields, &former));
    let over = sign(&key(&[(&next, None), (&former, Some(NOW))])).unwrap();
    assert!(verifies(&over, &next) && !verifies(&over, &former));
    assert!(!verifies(&over, &whsec(3)));
}

#[test]
fn a_private_key_signs_v1a_beside_a_secret() {
    let private = format!("whsk_{}", proof::base64std::encode(&[5; 32]));
    let public = PrivateKey::read(&text(&private))
        .unwrap()
        .public_text()
        .unwrap();
    let secret = whsec(1);
    let fields = sign(&key(&[(&private, None), (&secret, None)])).unwrap();
    assert!(verifies(&fields, &public) && verifies(&fields, &secret));
}

#[test]
fn c01_a_key_that_must_not_sign_signs_nothing() {
    let secret = whsec(1);
    let good = || key(&[(&secret, None)]);
    let elsewhere = || {
        let mut other = standing("sgn_1");
        other.application = Some(ApplicationId::new("other"));
        Arc::new(other)
    };
    for (bad, why) in [
        (
            SigningKey {
                scheme: SigningScheme::Hmac,
                ..good()
            },
            Unsignable::Scheme,
        ),
        (
            SigningKey {
                standing: elsewhere(),
                ..good()
            },
            Unsignable::Application,
        ),
        (
            SigningKey {
                state: LifeState::Suspended,
                ..good()
            },
            Unsignable::Ended,
        ),
        (
            SigningKey {
                state: LifeState::Revoked,
                ..good()
            },
            Unsignable::Ended,
        ),
        (
            SigningKey {
                expires_at: Some(NOW),
                ..good()
            },
            Unsignable::Ended,
        ),
        (
            SigningKey {
                material: SigningMaterial::Public(Vec::new()),
                ..good()
            },
            Unsignable::Public,
        ),
        (key(&[]), Unsignable::Ended),
        (
            key(&[("8f742231b10e8888abcd99yyyzzz85a5", None)]),
            Unsignable::Form,
        ),
    ] {
        assert_eq!(sign(&bad).unwrap_err(), why);
    }
}

async fn try_at(server: &Server, fetcher: &Fetcher, within: Duration) -> Tried {
    let url = server.url("127.0.0.1");
    let fields = sign(&key(&[(&whsec(1), None)])).unwrap();
    post(fetcher, &url, fields, Bytes::from_static(BODY), within, NOW).await
}

fn fetcher(authority: &Authority) -> Fetcher {
    Fetcher::new(FetchOptions {
        trust: authority.trust(),
        listed: vec!["127.0.0.0/8".parse().unwrap()],
        ..FetchOptions::default()
    })
    .unwrap()
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_try_posts_the_body_as_it_is_with_its_three_fields() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", |_| {});
    let server = Server::start(Some(tls), ok("whatever")).await;
    let tried = try_at(&server, &fetcher(&authority), SOON).await;
    assert_eq!(tried.status, Some(200), "{tried:?}");
    let last = server.last.lock().clone();
    assert!(last.starts_with("POST /keys?a=b HTTP/1.1\r\n"), "{last}");
    assert!(
        last.contains("content-type: application/json\r\n"),
        "{last}"
    );
    assert!(last.contains("webhook-id: msg_1\r\n"), "{last}");
    assert!(last.contains("webhook-timestamp: 1800000000\r\n"), "{last}");
    assert!(last.contains("webhook-signature: v1,"), "{last}");
    assert!(
        last.ends_with(core::str::from_utf8(BODY).unwrap()),
        "{last}"
    );
}

#[tokio::test]
async fn a_receiver_s_status_is_the_answer_and_its_body_is_not_read() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", |_| {});
    let server = Server::start(Some(tls), Vec::new()).await;
    let fetcher = fetcher(&authority);
    for (head, status, seconds) in [
        ("204 No Content\r\n", 204, None),
        ("200 OK\r\ncontent-length: 9999999999\r\n", 200, None),
        ("200 OK\r\ncontent-encoding: gzip\r\n", 200, None),
        ("410 Gone\r\n", 410, None),
        (
            "429 Too Many Requests\r\nretry-after: 17\r\n",
            429,
            Some(17),
        ),
        (
            "503 Busy\r\nretry-after: Fri, 15 Jan 2027 08:00:30 GMT\r\n",
            503,
            Some(30),
        ),
        ("503 Busy\r\nretry-after: -5\r\n", 503, None),
        (
            "302 Found\r\nlocation: https://elsewhere.example/\r\n",
            302,
            None,
        ),
    ] {
        *server.answer.lock() = format!("HTTP/1.1 {head}\r\n").into_bytes();
        let tried = try_at(&server, &fetcher, SOON).await;
        assert_eq!(
            (tried.status, tried.retry_after.map(|wait| wait.as_secs())),
            (Some(status), seconds),
            "{head}"
        );
    }
}

#[tokio::test]
async fn c08_a_private_address_that_is_not_listed_is_not_called() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", |_| {});
    let server = Server::start(Some(tls), ok("")).await;
    let strict = Fetcher::new(FetchOptions {
        trust: authority.trust(),
        ..FetchOptions::default()
    })
    .unwrap();
    let tried = try_at(&server, &strict, SOON).await;
    assert_eq!(tried.status, None);
    assert!(tried.cause.contains("not listed"), "{tried:?}");
    assert_eq!(server.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up_in_time() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", |_| {});
    let server = Server::start(Some(tls), Vec::new()).await;
    let tried = try_at(&server, &fetcher(&authority), Duration::from_millis(300)).await;
    assert_eq!(tried.status, None);
    assert!(tried.cause.contains("no answer within"), "{tried:?}");
}
