//! The gateway's own credentials towards upstreams (threat J6): they arrive, the caller's don't, and
//! nobody sees them.

use core::net::SocketAddr;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateway::Options;
use http::{HeaderMap, HeaderName, HeaderValue};
use outbound::fetch::{FetchOptions, Fetcher};
use proof::digest::sha256;
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::sigv4::{self, Rules};
use proof::time::{Leeway, Timestamp};
use registry::api::stored::{ClientProof, SecretSource, StoredClient, StoredCredential};
use registry::api::{ApiMeaning, IdentityForward, UpstreamMeaning};

use crate::harness::{
    Answer, Door, PUBLIC, Upstream, api, by_key, field, plain_listener, pool, route,
};

const KEY: &str = "up-5ecret-0123456789";

fn write(path: &Path, text: &str) {
    // As a rotation does it: the new file takes the old one's place at once.
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}

fn in_file(folder: &Path, text: &str) -> SecretSource {
    let path = folder.join("secret");
    write(&path, text);
    SecretSource::File(path)
}

fn key(header: &'static str, scheme: Option<&str>, secret: SecretSource) -> StoredCredential {
    StoredCredential::Key {
        header: HeaderName::from_static(header),
        scheme: scheme.map(str::to_owned),
        secret,
    }
}

fn sigv4(secret: SecretSource) -> StoredCredential {
    StoredCredential::SigV4 {
        access_key_id: "AKIDUPSTREAM".to_owned(),
        secret,
        region: "eu-central-1".to_owned(),
        service: "orders".to_owned(),
        body_buffer: 1000,
        unsigned_payload: false,
    }
}

/// `/…` asks for a key, `/open` is public and goes without the credential, `/wide` goes with it.
fn orders(at: SocketAddr, credential: StoredCredential) -> ApiMeaning {
    let mut pool = pool(&[at]);
    pool.credential = Some(Box::new(credential));
    let mut api = api("orders", UpstreamMeaning::Pool(pool));
    let mut open = route(&api, "/open", PUBLIC);
    open.upstream_credential = false;
    let mut all = route(&api, "/{rest*}", by_key());
    all.upgrade = true;
    api.routes = vec![all, open, route(&api, "/wide", PUBLIC)];
    api
}

/// A call with a caller's key.
async fn call(door: &Door, path: &str, lines: &str) -> Answer {
    let key = door.facts.key("ada", &["orders"], &[]);
    door.get(path, &format!("x-acme-key: {key}\r\n{lines}"))
        .await
}

#[tokio::test]
async fn j06_a_fixed_credential_arrives_alone_and_the_callers_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = || in_file(folder.path(), &format!("{KEY}\n"));
    let basic = StoredCredential::Basic {
        username: "door".to_owned(),
        password: file(),
    };
    for (credential, name, value) in [
        (key("x-api-key", None, file()), "x-api-key", KEY.to_owned()),
        (
            key("x-upstream_key", None, file()),
            "x-upstream_key",
            KEY.to_owned(),
        ),
        (
            key("authorization", Some("Bearer"), file()),
            "authorization",
            format!("Bearer {KEY}"),
        ),
        (
            basic,
            "authorization",
            format!(
                "Basic {}",
                proof::base64std::encode(format!("door:{KEY}").as_bytes())
            ),
        ),
    ] {
        let upstream = Upstream::start().await;
        let door = Door::open(vec![orders(upstream.at, credential)]);
        let own = door.facts.key("ada", &["orders"], &[]);
        // In the very field, where that can carry a caller's; and in another spelling of it.
        let lines = match name {
            "authorization" => format!("authorization: Bearer {own}\r\n"),
            _ => format!(
                "x-acme-key: {own}\r\n{}: mallory\r\n",
                name.replace('-', "_")
            ),
        };
        let lines = format!("{lines}connection: {name}\r\n");
        assert_eq!(door.get("/x", &lines).await.status(), 200, "{lines}");
        let seen = upstream.only();
        assert_eq!(field(&seen, name), Some(value.as_str()), "{seen}");
        assert!(!seen.contains("mallory") && !seen.contains(&own), "{seen}");
    }
}

#[tokio::test]
async fn a_public_route_goes_without_unless_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let own = key("x-api-key", None, in_file(folder.path(), KEY));
    let door = Door::open(vec![orders(upstream.at, own)]);
    for (path, passes) in [("/open", false), ("/wide", true)] {
        let lines = "x-api-key: mallory\r\n";
        assert_eq!(door.get(path, lines).await.status(), 200);
        let seen = upstream.seen().pop().expect("seen");
        assert_eq!(field(&seen, "x-api-key"), passes.then_some(KEY), "{path}");
    }
}

#[tokio::test]
async fn beside_the_original_credential_stands_ours_in_a_field_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let own = key("x-upstream-key", None, in_file(folder.path(), KEY));
    let mut orders = orders(upstream.at, own);
    orders.identity = IdentityForward::Original;
    let door = Door::open(vec![orders]);
    let answer = call(&door, "/x", "x-upstream-key: mallory\r\n").await;
    assert_eq!(answer.status(), 200);
    let seen = upstream.only();
    assert_eq!(field(&seen, "x-upstream-key"), Some(KEY));
    assert!(field(&seen, "x-acme-key").is_some());
}

#[tokio::test]
async fn j06_an_answer_that_repeats_the_credential_in_a_field_loses_the_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let own = key("x-api-key", None, in_file(folder.path(), KEY));
    let door = Door::open(vec![orders(upstream.at, own)]);
    upstream.will_answer(&format!(
        "HTTP/1.1 302 Found\r\nlocation: https://evil.example/?k={KEY}\r\nx-echo: {KEY}\r\n\
         x-fine: yes\r\ncontent-length: 0\r\n\r\n"
    ));
    let answer = call(&door, "/x", "").await;
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.field("x-fine"), Some("yes"));
    assert!(!answer.0.contains(KEY), "{answer:?}");
}

#[tokio::test]
async fn an_upgrade_goes_with_the_credential_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let own = key("x-api-key", None, in_file(folder.path(), KEY));
    let door = Door::open(vec![orders(upstream.at, own)]);
    upstream.will_answer(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    );
    let lines = "connection: upgrade\r\nupgrade: websocket\r\n";
    assert_eq!(call(&door, "/ws", lines).await.status(), 101);
    assert_eq!(field(&upstream.only(), "x-api-key"), Some(KEY));
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_no_secret_is_not_taken_into_service_nor_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let door = Door::open(vec![]);
    let two_lines = in_file(folder.path(), "first-hunter2\nsecond-hunter2\n");
    for source in [
        SecretSource::File(PathBuf::from("/nowhere/secret")),
        SecretSource::Environment("DOORWARD_TEST_NOT_SET".to_owned()),
        two_lines,
    ] {
        let api = Arc::new(orders(upstream.at, key("x-api-key", None, source)));
        let errors = door.gateway.prepare(&[api]).expect_err("refused");
        let text = format!("{errors:?} {}", errors[0]);
        assert!(text.contains("credential"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_replaced_while_calls_run_loses_none_and_the_old_one_is_seen_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let source = in_file(folder.path(), "old-key-0123456789");
    let SecretSource::File(path) = &source else {
        unreachable!("made as a file")
    };
    let make = || orders(upstream.at, key("x-api-key", None, source.clone()));
    let door = Arc::new(Door::open(vec![make()]));
    let lines = format!(
        "x-acme-key: {}\r\nconnection: close\r\n",
        door.facts.key("ada", &["orders"], &[])
    );
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (door, lines, stop) = (door.clone(), lines.clone(), stop.clone());
            tokio::spawn(async move {
                let mut good = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(door.get("/x", &lines).await.status(), 200);
                    good += 1;
                }
                good
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    write(path, "new-key-0123456789\n");
    door.swap(vec![make()]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let settled = upstream.seen().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.expect("no call was lost") > 10);
    }
    let seen = upstream.seen();
    assert!(seen.iter().all(|one| field(one, "x-api-key").is_some()));
    assert_eq!(field(&seen[0], "x-api-key"), Some("old-key-0123456789"));
    let after = &seen[settled..];
    assert!(after.len() > 10);
    assert!(
        after
            .iter()
            .all(|one| field(one, "x-api-key") == Some("new-key-0123456789"))
    );
}

/// Verifies what an upstream saw as the other side would.
fn verified(message: &str, secret: &str) -> Result<String, String> {
    let (head, body) = message.split_once("\r\n\r\n").expect("a whole message");
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or(""), first.next().unwrap_or(""));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a field");
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            HeaderValue::from_str(value.trim()).expect("a value"),
        );
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let head = SignedHead {
        method,
        scheme: "http",
        authority: headers["host"].to_str().expect("text"),
        path,
        query,
        headers: &headers,
    };
    let rules = Rules {
        regions: &["eu-central-1"],
        services: &["orders"],
        window: sigv4::WINDOW,
        presigned: None,
        leeway: Leeway::default(),
        paths: None,
        unsigned_payload: true,
        signed_chunks: false,
        unsigned_chunks: false,
        max_chunk_bytes: 0,
        signed_if_present: &[],
    };
    let claimed = sigv4::parse(&head)
        .map_err(|defect| defect.to_string())?
        .ok_or("unsigned")?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let now = Timestamp::from_millis(i64::try_from(now.as_millis()).expect("fits"));
    let hash = sha256(body.as_bytes());
    let secret = Secret::from_text(secret.to_owned());
    let verified = claimed
        .verify(&[&secret], Some(&hash), now, &rules)
        .map_err(|defect| defect.to_string())?;
    let declared = headers["x-amz-content-sha256"].to_str().expect("text");
    if declared != "UNSIGNED-PAYLOAD" && declared != proof::digest::hex(&hash) {
        return Err("another body".to_owned());
    }
    Ok(format!("{} {declared}", verified.key_id))
}

#[tokio::test]
async fn a_signature_is_over_what_is_really_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let mut orders = orders(upstream.at, sigv4(in_file(folder.path(), KEY)));
    orders.base_path = "/base".to_owned();
    orders.strip_base_path = true;
    let door = Door::open(vec![orders]);
    let key = door.facts.key("ada", &["orders"], &[]);
    let caller = format!("host: a.example\r\nx-acme-key: {key}\r\n");
    let forged = "x-amz-security-token: mallory\r\nx-amz-date: 20000101T000000Z\r\n\
                  X_Amz_Date: mallory\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n";
    for request in [
        format!("GET /base/a%20b/c?z=1&a=%2F&a= HTTP/1.1\r\n{caller}{forged}\r\n"),
        format!(
            "POST /base/x HTTP/1.1\r\n{caller}content-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
        ),
        format!(
            "POST /base/x HTTP/1.1\r\n{caller}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
        format!("DELETE /base/x HTTP/1.1\r\n{caller}x-amz-meta-a: b  c\r\n\r\n"),
    ] {
        let answer = door.send(&request).await;
        assert_eq!(answer.status(), 200, "{request}: {answer:?}");
        let seen = upstream.seen().pop().expect("seen");
        let told = verified(&seen, KEY).unwrap_or_else(|why| panic!("{why}: {seen}"));
        assert!(told.starts_with("AKIDUPSTREAM "), "{told}");
        assert!(!told.contains("UNSIGNED"), "{told}");
        assert!(!seen.contains("mallory") && !seen.contains(KEY), "{seen}");
        assert!(verified(&seen, "another").is_err(), "the test can't fail");
        let changed = seen.replacen("/x", "/y", 1).replacen("hello", "hallo", 1);
        assert!(changed == seen || verified(&changed, KEY).is_err());
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_signed_is_refused_or_goes_unsigned_where_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for unsigned in [false, true] {
        let upstream = Upstream::start().await;
        let mut own = sigv4(in_file(folder.path(), KEY));
        if let StoredCredential::SigV4 {
            unsigned_payload, ..
        } = &mut own
        {
            *unsigned_payload = unsigned;
        }
        let door = Door::open(vec![orders(upstream.at, own)]);
        let key = door.facts.key("ada", &["orders"], &[]);
        let large = "x".repeat(1001);
        for framing in [
            format!("content-length: 1001\r\n\r\n{large}"),
            format!("transfer-encoding: chunked\r\n\r\n3e9\r\n{large}\r\n0\r\n\r\n"),
        ] {
            let request =
                format!("PUT /x HTTP/1.1\r\nhost: a.example\r\nx-acme-key: {key}\r\n{framing}");
            let answer = door.send(&request).await;
            assert_eq!(answer.status(), if unsigned { 200 } else { 413 });
        }
        let seen = upstream.seen();
        assert_eq!(seen.len(), if unsigned { 2 } else { 0 });
        for one in &seen {
            assert_eq!(
                verified(one, KEY).as_deref(),
                Ok("AKIDUPSTREAM UNSIGNED-PAYLOAD")
            );
        }
    }
}

#[tokio::test]
async fn a_call_that_is_sent_again_is_signed_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let door = Door::open(vec![orders(
        upstream.at,
        sigv4(in_file(folder.path(), KEY)),
    )]);
    upstream.will_answer("BREAK");
    assert_eq!(call(&door, "/x", "").await.status(), 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for one in &seen {
        verified(one, KEY).expect("each is signed");
    }
    // Within one second too, or an upstream that remembers signatures would refuse the second.
    let signatures = seen.iter().map(|one| field(one, "authorization"));
    let [first, second] = signatures.collect::<Vec<_>>()[..] else {
        unreachable!("two were seen")
    };
    assert_ne!(first, second);
}

/// A token endpoint that hands out `token-1`, `token-2` …
struct Desk {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    forms: Arc<std::sync::Mutex<Vec<String>>>,
    open: Arc<AtomicBool>,
}

impl Desk {
    async fn start(lives: u64) -> Self {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let desk = Self {
            at: listener.local_addr().expect("bound"),
            asked: Arc::default(),
            forms: Arc::default(),
            open: Arc::new(AtomicBool::new(true)),
        };
        let (asked, forms, open) = (desk.asked.clone(), desk.forms.clone(), desk.open.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 8192];
                let read = stream.read(&mut buffer).await.unwrap_or(0);
                forms
                    .lock()
                    .expect("lock")
                    .push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                let (status, body) = if open.load(Ordering::SeqCst) {
                    let body = format!(
                        r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":{lives}}}"#
                    );
                    ("200 OK", body)
                } else {
                    (
                        "401 Unauthorized",
                        r#"{"error":"invalid_client"}"#.to_owned(),
                    )
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        desk
    }

    fn client(&self, secret: SecretSource) -> StoredCredential {
        StoredCredential::Client(Box::new(StoredClient {
            token_url: format!("http://{}/token", self.at).parse().expect("a URL"),
            client_id: "door".to_owned(),
            proof: ClientProof::Secret {
                secret,
                in_form: false,
            },
            scope: Some("read write".to_owned()),
            audience: Some("https://orders.example".to_owned()),
            resource: None,
        }))
    }
}

fn with_fetcher(apis: Vec<ApiMeaning>) -> Door {
    let fetcher = Fetcher::new(FetchOptions {
        allow_insecure_loopback: true,
        ..FetchOptions::default()
    })
    .expect("a fetcher");
    let options = Options {
        fetcher: Some(Arc::new(fetcher)),
        ..Options::default()
    };
    Door::with(apis, options, plain_listener())
}

#[tokio::test]
async fn a_token_is_fetched_once_shown_and_renewed_when_the_upstream_refuses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let desk = Desk::start(600).await;
    let door = with_fetcher(vec![orders(
        upstream.at,
        desk.client(in_file(folder.path(), KEY)),
    )]);
    for _ in 0..5 {
        let answer = call(&door, "/x", "authorization: Bearer mallory\r\n").await;
        // Two credentials of the caller's are one too many, and that is another matter.
        assert_eq!(answer.status(), 400);
        assert_eq!(call(&door, "/x", "").await.status(), 200);
    }
    assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
    for one in upstream.seen() {
        assert_eq!(field(&one, "authorization"), Some("Bearer token-1"));
    }
    let form = desk.forms.lock().expect("lock")[0].clone();
    assert!(form.contains("authorization: Basic "), "{form}");
    assert!(form.contains("grant_type=client_credentials&scope=read+write&audience=https"));
    assert!(!form.contains(KEY), "{form}");

    // Revoked: the call is sent once more with a new token.
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    upstream.will_answer(refusal);
    assert_eq!(call(&door, "/x", "").await.status(), 200);
    assert_eq!(desk.asked.load(Ordering::SeqCst), 2);
    let last = upstream.seen().pop().expect("seen");
    assert_eq!(field(&last, "authorization"), Some("Bearer token-2"));

    // An upstream that refuses everything is told so once, and does not turn calls into fetches.
    for _ in 0..20 {
        upstream.will_answer(refusal);
    }
    for _ in 0..10 {
        assert_eq!(call(&door, "/x", "").await.status(), 401);
    }
    assert!(desk.asked.load(Ordering::SeqCst) <= 3 + 4);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let desk = Desk::start(600).await;
    desk.open.store(false, Ordering::SeqCst);
    let door = with_fetcher(vec![orders(
        upstream.at,
        desk.client(in_file(folder.path(), KEY)),
    )]);
    let answer = call(&door, "/x", "").await;
    assert_eq!(answer.status(), 503);
    assert!(!answer.0.contains("invalid_client"), "{answer:?}");
    assert!(upstream.seen().is_empty());
    assert_eq!(door.get("/open", "").await.status(), 200, "goes without");
    desk.open.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(call(&door, "/x", "").await.status(), 200);
}

#[tokio::test]
async fn a_new_client_secret_costs_no_call_its_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let desk = Desk::start(600).await;
    let source = in_file(folder.path(), KEY);
    let make = || orders(upstream.at, desk.client(source.clone()));
    let door = with_fetcher(vec![make()]);
    assert_eq!(call(&door, "/x", "").await.status(), 200);
    // The same again: what was fetched is kept.
    door.swap(vec![make()]);
    assert_eq!(call(&door, "/x", "").await.status(), 200);
    assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
    // Another secret: the old token is used until the new one is there.
    desk.open.store(false, Ordering::SeqCst);
    in_file(folder.path(), "another-secret");
    door.swap(vec![make()]);
    assert_eq!(call(&door, "/x", "").await.status(), 200);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(desk.asked.load(Ordering::SeqCst), 2);
    assert_eq!(call(&door, "/x", "").await.status(), 200);
}
