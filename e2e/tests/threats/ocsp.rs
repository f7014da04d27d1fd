//! OCSP for client certificates: OpenSSL's responder says what it says, the real binary asks.

use core::net::{Ipv4Addr, SocketAddr};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::doorward::{BASE, Place};
use testkit::wire;

use super::certificates::{Ca, NAME, Own, RESOURCES, World};

/// How long something may take until it is in force.
const PATIENCE: Duration = Duration::from_secs(20);

/// OpenSSL's responder (`openssl ocsp`) behind a port of loopback. By itself it would listen at every
/// address of the machine, so the test carries the bytes.
#[derive(Clone)]
struct Responder {
    address: SocketAddr,
    folder: PathBuf,
    away: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    /// What it shows in place of an answer.
    shows: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Responder {
    fn start(place: &Place, ca: &Ca, index: &[(char, u64)]) -> Self {
        let folder = place.path().join("responder");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("ca.pem"), ca.0.pem()).unwrap();
        std::fs::write(folder.join("ca.key"), ca.0.key().serialize_pem()).unwrap();
        std::fs::write(folder.join("index.txt.attr"), "").unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let responder = Self {
            address: listener.local_addr().unwrap(),
            folder,
            away: Arc::default(),
            asked: Arc::default(),
            shows: Arc::default(),
        };
        responder.knows(index);
        let this = responder.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || this.answer(stream));
            }
        });
        responder
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What the authority has issued (`V`) and revoked (`R`), as `openssl ca` keeps it.
    fn knows(&self, index: &[(char, u64)]) {
        let line = |(state, serial): &(char, u64)| {
            let revoked = if *state == 'R' { "260101000000Z" } else { "" };
            format!(
                "{state}\t21260101000000Z\t{revoked}\t{serial:02X}\tunknown\t/CN=client {serial}\n"
            )
        };
        let new = self.folder.join("index.new");
        std::fs::write(&new, index.iter().map(line).collect::<String>()).unwrap();
        std::fs::rename(new, self.folder.join("index.txt")).unwrap();
    }

    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
        assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
        assert!(
            head.contains("content-type: application/ocsp-request"),
            "{head}"
        );
        let length = head.split("content-length: ").nth(1)?.lines().next()?;
        let mut question = vec![0; length.parse().ok()?];
        stream.read_exact(&mut question).ok()?;
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return None;
        }
        let file = |kind: &str| self.folder.join(format!("{number}.{kind}"));
        std::fs::write(file("req"), &question).ok()?;
        let done = Command::new("openssl")
            .current_dir(&self.folder)
            .args(["ocsp", "-index", "index.txt", "-CA", "ca.pem"])
            .args(["-rsigner", "ca.pem", "-rkey", "ca.key", "-ndays", "1"])
            .arg("-reqin")
            .arg(file("req"))
            .arg("-respout")
            .arg(file("resp"))
            .stdin(Stdio::null())
            .output()
            .expect("openssl is installed");
        assert!(done.status.success(), "{done:?}");
        let made = std::fs::read(file("resp")).ok()?;
        let answer = self.shows.lock().unwrap().clone().unwrap_or(made);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/ocsp-response\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&answer).ok()
    }

    /// Its newest answer.
    fn said(&self) -> Vec<u8> {
        let number = self.asked() - 1;
        std::fs::read(self.folder.join(format!("{number}.resp"))).unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// What is asked whether it may.
fn asking(url: &str) -> String {
    RESOURCES.replace(
        "crl_files: [partners/ca.crl]",
        &format!("ocsp: {{ url: '{url}', refresh: 1s }}"),
    )
}

const OUTBOUND: &str = "outbound: { allow_networks: [127.0.0.0/8] }\n";

fn world(more: &str, index: &[(char, u64)]) -> (World, Responder) {
    let (place, ca) = (Place::new().unwrap(), Ca::new());
    let responder = Responder::start(&place, &ca, index);
    let more = format!("{OUTBOUND}{more}");
    let resources = asking(&responder.url());
    (World::start_with(place, ca, &more, &resources), responder)
}

fn told(world: &World, own: &Own) -> (u16, String) {
    let answer = world.over_tls(Some(own), "/me");
    (answer.status, answer.code())
}

fn until(what: &str, world: &World, own: &Own, status: u16) {
    let end = Instant::now() + PATIENCE;
    while told(world, own).0 != status {
        assert!(Instant::now() < end, "{what}: {}", world.doorward.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the decision log has a refusal with this cause.
fn recorded(world: &World, cause: &str) -> bool {
    let page = world
        .doorward
        .admin_call("GET", "/v1/decisions?limit=100", None);
    let (_, page) = page.unwrap();
    let entries = page["items"].as_array().unwrap();
    entries.iter().any(|entry| entry["cause"] == *cause)
}

/// Defence: `verdict::credential::mtls`: what the responder does not call good is refused, on every
/// use; `outbound::statuses`: its answers are asked for anew.
#[test]
fn h05_a_certificate_counts_as_long_as_the_responder_calls_it_good() {
    let (world, responder) = world("", &[('V', 1), ('V', 2), ('R', 3)]);
    let own = |serial: u64| world.ca.own(serial);
    let (good, ending, revoked, unknown) = (own(1), own(2), own(3), own(4));
    let refused = (401, "credential-refused".to_owned());
    assert_eq!(told(&world, &revoked), refused);
    assert_eq!(told(&world, &unknown), refused);
    for cause in [
        "x509-revoked: its responder says so of number 03",
        "x509-revocation-unknown: its responder says so of number 04",
    ] {
        let end = Instant::now() + PATIENCE;
        while !recorded(&world, cause) {
            assert!(Instant::now() < end, "nobody is told: {cause}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // Nobody is asked about certificates of others.
    let asked = responder.asked();
    assert_eq!(told(&world, &Ca::new().own(1)), refused);
    assert_eq!(responder.asked(), asked);

    let begin = Instant::now();
    for _ in 0..20 {
        let answer = world.over_tls(Some(&good), "/me");
        assert_eq!(answer.status, 200, "{}", world.doorward.log());
    }
    // One answer serves many calls, one a second where it is in use.
    let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
    assert!(responder.asked() <= asked + 2 + 3 * (seconds + 1));

    assert_eq!(told(&world, &ending).0, 200);
    responder.knows(&[('V', 1), ('R', 2), ('R', 3), ('V', 4)]);
    until("the end is not felt", &world, &ending, 401);
    until("a new one is not felt", &world, &unknown, 200);
    assert_eq!(told(&world, &good).0, 200);
}

/// Defence: `outbound::statuses::Statuses::ask`: what was said since is not taken back by an answer of
/// before, which still has time (RFC 6960 §4.2.2.1).
#[test]
fn d02_an_answer_of_before_that_is_shown_again_takes_no_revocation_back() {
    let (world, responder) = world("", &[('V', 1)]);
    let own = world.ca.own(1);
    assert_eq!(told(&world, &own).0, 200, "{}", world.doorward.log());
    let before = responder.said();
    // Answers tell their time in whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    responder.knows(&[('R', 1)]);
    until("the end is not felt", &world, &own, 401);
    *responder.shows.lock().unwrap() = Some(before);
    let asked = responder.asked();
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        assert_eq!(told(&world, &own).0, 401);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(responder.asked() > asked + 1, "it was asked again");
}

#[test]
fn b02_a_certificate_that_a_listed_proxy_passes_on_is_asked_about_alike() {
    let proxied = "trusted_proxies: [127.0.0.1]\nclient_certificate_field: client-cert\n";
    let (world, _responder) = world(proxied, &[('V', 1), ('R', 2)]);
    let (good, revoked) = (world.ca.own(1), world.ca.own(2));
    let field = |own: &Own| format!(":{}:", proof::base64std::encode(&own.der));
    let through = |own: &Own| {
        let fields = [
            ("client-cert", &*field(own)),
            ("x-forwarded-for", "203.0.113.7"),
        ];
        wire::get(world.doorward.gateway(), "/me", &fields)
            .unwrap()
            .status
    };
    assert_eq!(through(&good), 200, "{}", world.doorward.log());
    assert_eq!(through(&revoked), 401);
}

/// Defence: `outbound::statuses::Statuses::still_held`: what is held counts until its own end, and
/// what is not known is not guessed; `outbound::authorities`: a declaration is in force at once.
#[test]
fn c08_a_responder_that_is_away_lets_nobody_pass_about_whom_it_said_nothing() {
    let (world, responder) = world("", &[('V', 1), ('R', 3), ('V', 5)]);
    let own = |serial: u64| world.ca.own(serial);
    let (known, revoked, new) = (own(1), own(3), own(5));
    assert_eq!(told(&world, &known).0, 200, "{}", world.doorward.log());
    assert_eq!(told(&world, &revoked).0, 401);
    responder.away.store(true, Ordering::SeqCst);
    let away = (503, "temporarily-unavailable".to_owned());
    assert_eq!(told(&world, &new), away);
    // Long past the second after which it is asked for anew.
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        assert_eq!(told(&world, &known).0, 200, "{}", world.doorward.log());
        assert_eq!(told(&world, &revoked).0, 401);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(told(&world, &new), away);
    let log = world.doorward.log();
    assert!(log.contains("can not be asked about certificates"), "{log}");
    responder.away.store(false, Ordering::SeqCst);
    until("it is back", &world, &new, 200);
    let log = world.doorward.log();
    assert!(log.contains("answers questions about certificates again"));

    // Without the responder nobody is asked any more, from the next declaration on.
    let settings = format!("{BASE}{OUTBOUND}{RESOURCES}")
        .replace("@UPSTREAM@", &world.upstream.url())
        .replace("crl_files: [partners/ca.crl]\n", "\n");
    responder.away.store(true, Ordering::SeqCst);
    world.doorward.place().write_settings(&settings).unwrap();
    until("it is out of the declaration", &world, &revoked, 200);
    let asked = responder.asked();
    assert_eq!(told(&world, &own(6)).0, 200);
    assert_eq!(responder.asked(), asked);
}

const AT_THE_ISSUER: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: main }
    spec:
      upstream: { urls: ["http://127.0.0.1:1"] }
      scopes: { read: Read things }
      credentials: [jwt]
      routes: [{ path: /me, scopes: [read] }]
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: batch }
    spec:
      application: shop
      auth_method: tls_client_auth
      tls_client_auth_san_uri: "@NAME@"
      grants: { main: [read] }
"#;

/// Defence: `issuer::client::certificate::check_subject`: what lists and responder say counts where
/// clients prove themselves by a certificate, too (RFC 8705 §2.1).
#[test]
fn h05_a_client_is_itself_at_the_issuer_as_long_as_list_and_responder_say_so() {
    let (place, ca) = (Place::new().unwrap(), Ca::new());
    let responder = Responder::start(&place, &ca, &[('V', 1), ('V', 2), ('R', 3), ('V', 5)]);
    let partners = place.path().join("partners");
    std::fs::create_dir(&partners).unwrap();
    std::fs::write(partners.join("ca.pem"), ca.pem()).unwrap();
    ca.revoke(&partners, &[], 1);
    let at = place.issuer_tls;
    let trusted = place.path().join("tls/ca.pem");
    let issuer = format!(
        "issuer:\n  url: 'http://@ISSUER@'\n  mtls_url: 'https://localhost:{}'\n  client_certificates:\n    ca_file: partners/ca.pem\n    crl_files: [partners/ca.crl]\n    ocsp: {{ url: '{}', refresh: 1s }}",
        at.port(),
        responder.url()
    );
    let base = BASE.replace("issuer: { url: 'http://@ISSUER@' }", &issuer);
    let resources = AT_THE_ISSUER.replace("@NAME@", NAME);
    let doorward = place
        .start(&format!("{base}{OUTBOUND}{resources}"))
        .unwrap();
    let told = |own: &Own| {
        let body = "grant_type=client_credentials&client_id=batch";
        let request = format!(
            "POST /oauth/token HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            at.port(),
            body.len()
        );
        let config = own.tls.client_config(&trusted).unwrap();
        let mut stream = wire::connect_tls_as(at, &config, Some("http/1.1")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = wire::first_answer(&mut stream).unwrap();
        let error = answer.json()["error"].as_str().unwrap_or("").to_owned();
        (answer.status, error)
    };
    let until = |what: &str, own: &Own, expected: &(u16, String)| {
        let end = Instant::now() + PATIENCE;
        while told(own) != *expected {
            assert!(Instant::now() < end, "{what}: {}", doorward.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let (passes, refused) = ((200, String::new()), (401, "invalid_client".to_owned()));
    let (good, ending) = (ca.own(1), ca.own(2));
    for own in [&good, &ending] {
        assert_eq!(told(own), passes, "{}", doorward.log());
    }
    assert_eq!(told(&ca.own(3)), refused, "revoked");
    assert_eq!(told(&ca.own(4)), refused, "unknown");
    let asked = responder.asked();
    assert_eq!(told(&ca.named("spiffe://example.org/other", 1)), refused);
    assert_eq!(told(&Ca::new().own(1)), refused);
    assert_eq!(responder.asked(), asked, "nobody is asked about others");

    // The responder changes its mind; then the list does.
    responder.knows(&[('V', 1), ('R', 2), ('R', 3), ('V', 5)]);
    until("the responder's end is not felt", &ending, &refused);
    assert_eq!(told(&good), passes);
    responder.away.store(true, Ordering::SeqCst);
    let away = (503, "temporarily_unavailable".to_owned());
    assert_eq!(told(&ca.own(5)), away);
    ca.revoke(&partners, &[1], 2);
    until("the list's end is not felt", &good, &refused);
}
