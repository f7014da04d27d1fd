use proof::x509::{Certificate, TrustRoots};

use super::*;
use crate::fetch::tests::{Server, loopback_listed};
use crate::trust::Trust;

/// Certificates and answers of OpenSSL's responder; see `vectors/ocsp/make`.
macro_rules! made {
    ($name:literal) => {
        include_bytes!(concat!("../../../../vectors/ocsp/", $name))
    };
}

/// So many seconds after the answers were made.
fn later(seconds: u64) -> Timestamp {
    let text = core::str::from_utf8(made!("made-at")).unwrap();
    Timestamp::from_secs(text.trim().parse().unwrap()).plus(Duration::from_secs(seconds))
}

const DAY: u64 = 86_400;
const END: u64 = 30 * DAY;

struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn question(certificate: &Certificate, roots: &TrustRoots) -> Question {
    let none: &[&[u8]] = &[];
    let trusted = certificate.verify_chain(none, roots, None, later(1));
    trusted.unwrap().path()[0].clone()
}

fn about(pem: &[u8]) -> Question {
    let roots = TrustRoots::from_pem(made!("ca.pem")).unwrap();
    question(&Certificate::from_pem(pem).unwrap()[0], &roots)
}

fn answer(der: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", der.len());
    [head.as_bytes(), der].concat()
}

/// A responder on loopback, and whoever asks it.
struct World {
    server: Server,
    responder: Arc<Responder>,
    statuses: Arc<Statuses>,
    good: Question,
}

impl World {
    async fn new(first: &[u8]) -> Self {
        let server = Server::start(None, answer(first)).await;
        let options = StatusOptions {
            patience: Duration::from_millis(500),
            wait: Duration::from_millis(100),
            ..StatusOptions::default()
        };
        let fetcher = Fetcher::new(loopback_listed(Trust::public())).unwrap();
        Self {
            responder: responder(&server, 1),
            server,
            statuses: Arc::new(Statuses::new(Arc::new(fetcher), options)),
            good: about(made!("good.pem")),
        }
    }

    fn says(&self, der: &[u8]) {
        *self.server.answer.lock() = answer(der);
    }

    fn fails(&self) {
        *self.server.answer.lock() = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n".to_vec();
    }

    async fn status(&self, seconds: u64) -> Answer<Status> {
        self.statuses
            .status(&self.responder, &self.good, later(seconds))
            .await
    }

    fn known(&self, seconds: u64) -> Option<Status> {
        self.statuses
            .known(&self.responder, &self.good, later(seconds))
    }

    async fn renew(&self, seconds: u64) {
        self.statuses.renew(&Stopped(later(seconds))).await;
    }

    /// Questions since the last time.
    fn asked(&self) -> usize {
        self.server.requests.swap(0, Ordering::SeqCst)
    }
}

fn responder(server: &Server, number: u64) -> Arc<Responder> {
    let source = ResponderSource {
        url: Url::parse(&format!("http://127.0.0.1:{}/", server.port)).unwrap(),
        asked: Asked::Path,
        refresh: Duration::from_secs(600),
    };
    Arc::new(Responder::new(source, number))
}

const AWAY: Answer<Status> = Err(Unavailable::CertificateStatus);

#[tokio::test]
async fn c07_many_who_wait_make_one_question_and_its_answer_is_kept() {
    let world = Arc::new(World::new(made!("good.der")).await);
    assert_eq!(world.known(1), None);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        calls.spawn(async move { world.status(1).await });
    }
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), Ok(Status::Good));
    }
    assert_eq!(world.asked(), 1);
    assert_eq!(world.known(600), Some(Status::Good));
    assert_eq!(world.statuses.held(), 1);
    // Of another responder, and of one that took its place, nothing is known.
    let other = responder(&world.server, 2);
    let known = world.statuses.known(&other, &world.good, later(1));
    assert_eq!(known, None);
}

#[tokio::test]
async fn an_answer_in_use_is_asked_for_anew_ahead_of_the_calls() {
    let world = World::new(made!("good.der")).await;
    assert_eq!(world.status(0).await, Ok(Status::Good));
    world.renew(599).await;
    assert_eq!(world.asked(), 1, "it is not due");
    world.says(made!("good-revoked.der"));
    world.renew(600).await;
    assert_eq!(world.asked(), 1);
    assert_eq!(world.known(601), Some(Status::Revoked));
    // Nobody used it then: it is not asked for again before somebody does.
    let unused = World::new(made!("good.der")).await;
    assert_eq!(unused.status(0).await, Ok(Status::Good));
    unused.renew(600).await;
    unused.renew(1200).await;
    assert_eq!(unused.asked(), 2);
    assert_eq!(unused.known(1214), Some(Status::Good));
    assert_eq!(unused.known(1215), None);
    unused.says(made!("good-revoked.der"));
    assert_eq!(unused.status(1215).await, Ok(Status::Revoked));
    assert_eq!(unused.asked(), 1);
}

#[tokio::test]
async fn c08_while_the_responder_is_away_what_is_held_counts_until_its_end_and_no_longer() {
    let world = World::new(made!("good.der")).await;
    assert_eq!(world.status(0).await, Ok(Status::Good));
    world.fails();
    world.asked();
    // The background finds it away; no call waits.
    world.renew(600).await;
    assert_eq!(world.asked(), 1);
    assert_eq!(world.known(614), Some(Status::Good));
    world.renew(604).await;
    assert_eq!(world.asked(), 0, "too soon after the failure");
    world.renew(605).await;
    assert_eq!(world.asked(), 1);
    // A call that comes after a long time asks by itself, once.
    assert_eq!(world.known(DAY), None);
    assert_eq!(world.status(DAY).await, Ok(Status::Good));
    assert_eq!(world.asked(), 1);
    assert_eq!(world.known(DAY + 14), Some(Status::Good));
    assert_eq!(world.status(END - 1).await, Ok(Status::Good));
    assert_eq!(world.known(END), None);
    assert_eq!(world.status(END).await, AWAY);
    assert_eq!(world.status(END + 100).await, AWAY);
    // What it never said anything about is not known.
    let other = about(made!("revoked.pem"));
    let status = world.statuses.status(&world.responder, &other, later(1));
    assert_eq!(status.await, AWAY);
}

#[tokio::test]
async fn c07_a_responder_that_fails_is_left_alone_for_a_while() {
    let world = World::new(made!("good.der")).await;
    world.fails();
    for _ in 0..20 {
        assert_eq!(world.status(1).await, AWAY);
    }
    assert_eq!(world.asked(), 1);
    assert_eq!(world.status(6).await, AWAY);
    assert_eq!(world.status(11).await, AWAY);
    assert_eq!(world.asked(), 2);
    // The third failure in a row: nobody is asked about anything.
    let other = about(made!("revoked.pem"));
    let status = world.statuses.status(&world.responder, &other, later(12));
    assert_eq!(status.await, AWAY);
    assert_eq!(world.asked(), 0);
    world.says(made!("good.der"));
    assert_eq!(world.status(16).await, Ok(Status::Good));
}

#[tokio::test]
async fn what_is_no_answer_to_the_question_is_none_and_blames_one_certificate_alone() {
    let world = World::new(made!("revoked.der")).await;
    for (second, body) in [
        (1, &made!("revoked.der")[..]),
        (11, b"<html>"),
        (21, &[0x30, 3, 0x0a, 1, 6]),
        (31, &[]),
        (41, made!("no-purpose.der")),
    ] {
        world.says(body);
        assert_eq!(world.status(second).await, AWAY, "{second}");
    }
    assert_eq!(world.asked(), 5);
    // The responder is not left alone for it.
    world.says(made!("revoked.der"));
    let other = about(made!("revoked.pem"));
    let status = world
        .statuses
        .status(&world.responder, &other, later(42))
        .await;
    assert_eq!(status, Ok(Status::Revoked));
    *world.server.answer.lock() = answer(&vec![0x30; MAX_RESPONSE_BYTES + 1]);
    assert_eq!(world.status(51).await, AWAY);
    world.says(made!("good.der"));
    assert_eq!(world.status(61).await, Ok(Status::Good));
}

#[tokio::test]
async fn a_certificate_that_the_responder_does_not_know_yet_is_asked_about_again_soon() {
    let mut world = World::new(made!("unknown.der")).await;
    world.good = about(made!("unknown.pem"));
    assert_eq!(world.status(1).await, Ok(Status::Unknown));
    assert_eq!(world.status(10).await, Ok(Status::Unknown));
    assert_eq!(world.asked(), 1);
    assert_eq!(world.status(11).await, Ok(Status::Unknown));
    assert_eq!(world.asked(), 1);
    world.renew(12).await;
    world.renew(DAY).await;
    assert_eq!(world.asked(), 0, "nobody asks ahead for what is refused");
}

#[tokio::test]
async fn an_answer_without_an_end_is_asked_for_anew_at_half_of_its_time() {
    let world = World::new(made!("good-without-end.der")).await;
    assert_eq!(world.status(0).await, Ok(Status::Good));
    world.renew(299).await;
    assert_eq!(world.asked(), 1);
    world.fails();
    world.renew(300).await;
    assert_eq!(world.asked(), 1);
    assert_eq!(world.status(599).await, Ok(Status::Good));
    assert_eq!(world.status(600).await, AWAY);
}

#[tokio::test]
async fn few_questions_are_on_their_way_at_once() {
    let world = Arc::new(World::new(made!("good.der")).await);
    // It hangs.
    *world.server.answer.lock() = Vec::new();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
    let roots = TrustRoots::from_der(&[ca.der()]).unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for serial in 1..=PLACES as u64 + 20 {
        let mut params = rcgen::CertificateParams::default();
        params.serial_number = Some(serial.into());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let question = question(&Certificate::parse(certificate.der()).unwrap(), &roots);
        let world = Arc::clone(&world);
        calls.spawn(async move {
            let status = world.statuses.status(&world.responder, &question, later(1));
            status.await
        });
    }
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), AWAY);
    }
    assert_eq!(world.asked(), PLACES);
    assert_eq!(world.statuses.questions.len(), 0);
}

#[tokio::test]
async fn what_a_former_responder_said_is_forgotten_with_it() {
    let World {
        server,
        responder: former,
        statuses,
        good,
    } = World::new(made!("good.der")).await;
    let first = statuses.status(&former, &good, later(1)).await;
    assert_eq!(first, Ok(Status::Good));
    statuses.drop_expired(later(2));
    assert_eq!(statuses.held(), 1);
    drop(former);
    server.requests.store(0, Ordering::SeqCst);
    statuses.renew(&Stopped(later(600))).await;
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    statuses.drop_expired(later(2));
    assert_eq!(statuses.held(), 0);
}
