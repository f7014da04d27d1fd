use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use std::sync::atomic::{AtomicUsize, Ordering};

use proof::random::SystemEntropy;

use super::*;

/// Hands out `token-1`, `token-2` …, or fails while told to.
struct Desk {
    asked: AtomicUsize,
    lives: Option<Duration>,
    takes: Duration,
    closed: std::sync::atomic::AtomicBool,
}

impl TokenIssuer for Desk {
    fn issue(&self) -> Issuing<'_> {
        Box::pin(async {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(self.takes).await;
            if self.closed.load(Ordering::SeqCst) {
                return Err(NoToken::new("closed"));
            }
            Ok(Issued {
                token: Secret::from_text(format!("token-{number}")),
                lives: self.lives,
            })
        })
    }
}

fn desk(millis: u64) -> Arc<Desk> {
    Arc::new(Desk {
        asked: AtomicUsize::new(0),
        lives: Some(Duration::from_millis(millis)),
        takes: Duration::from_millis(20),
        closed: false.into(),
    })
}

fn source(desk: &Arc<Desk>) -> Arc<TokenSource> {
    TokenSource::new("test", desk.clone(), Arc::new(SystemEntropy))
}

async fn text(source: &Arc<TokenSource>) -> String {
    let token = source.token().await.expect("a token");
    token.field().to_str().expect("text").to_owned()
}

#[tokio::test]
async fn calls_that_come_together_wait_for_one_fetch() {
    let desk = desk(100_000);
    let source = source(&desk);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { text(&source).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("done"), "Bearer token-1");
    }
    assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_a_token_is_good_nobody_waits_and_the_next_is_there_before_its_end() {
    let desk = desk(2000);
    let source = source(&desk);
    assert_eq!(text(&source).await, "Bearer token-1");
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut asked = pin!(source.token());
        let at_once = poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx))).await;
        assert!(at_once.is_ready(), "a call waited");
    }
    let asked = desk.asked.load(Ordering::SeqCst);
    assert!((3..=5).contains(&asked), "{asked} in five seconds");
}

#[tokio::test]
async fn a_token_outlives_an_outage_to_its_own_end_and_then_calls_are_told() {
    let desk = desk(2000);
    let source = source(&desk);
    assert_eq!(text(&source).await, "Bearer token-1");
    desk.closed.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(text(&source).await, "Bearer token-1");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let why = source.token().await.expect_err("over");
    assert_eq!(why.to_string(), "closed");
    desk.closed.store(false, Ordering::SeqCst);
    let back = async {
        while source.token().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(5), back).await;
    assert!(within.is_ok(), "never asked again");
}

#[tokio::test]
async fn a_server_that_fails_is_not_asked_by_every_call() {
    let desk = desk(100_000);
    desk.closed.store(true, Ordering::SeqCst);
    let source = source(&desk);
    for _ in 0..300 {
        drop(source.token().await.expect_err("closed"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = desk.asked.load(Ordering::SeqCst);
    assert!((2..=6).contains(&asked), "{asked} in three seconds");
}

#[tokio::test]
async fn a_refused_token_is_dropped_once_and_not_again_at_once() {
    let desk = desk(100_000);
    let source = source(&desk);
    let first = source.token().await.expect("a token");
    assert!(source.refused(&first), "dropped");
    assert!(source.refused(&first), "another call with the same one");
    let second = source.token().await.expect("a token");
    assert_eq!(second.field(), "Bearer token-2");
    assert!(source.refused(&first), "late, and no harm");
    assert!(!source.refused(&second), "it is not the token's fault");
    assert_eq!(text(&source).await, "Bearer token-2");
    tokio::time::sleep(DROP_INTERVAL).await;
    assert!(source.refused(&second));
    assert_eq!(text(&source).await, "Bearer token-3");
}

#[tokio::test]
async fn a_new_secret_begins_with_the_token_of_the_old_one() {
    let (old, new) = (desk(100_000), desk(100_000));
    let before = source(&old);
    assert_eq!(text(&before).await, "Bearer token-1");
    let after = source(&new);
    after.take_over(&before);
    new.closed.store(true, Ordering::SeqCst);
    assert_eq!(text(&after).await, "Bearer token-1", "nobody waits");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(new.asked.load(Ordering::SeqCst), 1, "the new one is tried");
    assert_eq!(text(&after).await, "Bearer token-1");
}

#[test]
fn an_answer_is_read_as_the_standard_says_and_its_words_stay_out_of_the_log() {
    let good = br#"{"access_token":"abc.def","token_type":"bearer","expires_in":60}"#;
    let issued = read(200, good).expect("good");
    assert_eq!(issued.token.expose(), b"abc.def");
    assert_eq!(issued.lives, Some(Duration::from_secs(60)));
    let text = br#"{"access_token":"a","token_type":"Bearer","expires_in":"60"}"#;
    assert_eq!(
        read(200, text).expect("good").lives,
        Some(Duration::from_secs(60))
    );
    for (status, body, why) in [
        (401, r#"{"error":"invalid_client"}"#, "invalid_client"),
        (
            400,
            r#"{"error":"my secret is hunter2"}"#,
            "400, no error code",
        ),
        (500, "<html>", "500"),
        (200, "<html>", "no JSON"),
        (200, r#"["a","Bearer",60,null]"#, "no JSON"),
        (
            200,
            r#"{"access_token":"a","token_type":"Bearer","scope":"r","scope":"w"}"#,
            "no JSON",
        ),
        (200, r#"{"token_type":"Bearer"}"#, "no access_token"),
        (
            200,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            "header",
        ),
        (
            200,
            r#"{"access_token":"a\r\nx: y","token_type":"Bearer"}"#,
            "header",
        ),
        (
            200,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            "not Bearer",
        ),
        (200, r#"{"access_token":"a"}"#, "not Bearer"),
        (
            200,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":"soon"}"#,
            "not a number",
        ),
    ] {
        let told = read(status, body.as_bytes())
            .expect_err("refused")
            .to_string();
        assert!(told.contains(why), "{body}: {told}");
        assert!(!told.contains("hunter2"));
    }
}
