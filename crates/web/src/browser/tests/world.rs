//! The world of these tests: the real issuer on a database of its own, two people, a clock that is a
//! number, and windows that keep cookies as browsers do.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use issuer::declared::Declared;
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::Endpoints;
use issuer::ports::{
    Boxed, ClientKeys, FirstUse, People, Person, PersonCheck, Readiness, Replay, Revocation,
    Revocations, Secrets, TokenNames,
};
use issuer::{Issuer, IssuerSettings, Ports};
use proof::issued::{Brand, Environment, Presented};
use proof::jose::verifying::VerifyingKey;
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::api::ApiMeaning;
use registry::client::{ClientAuthMethod, ClientKind, ClientMeaning, GrantType, IdentityScope};
use serde_json::{Map, json};
use store::{Location, Settings, Store};
use tower::ServiceExt as _;
use verdict::facts::{Answer, KeyCheck, Unavailable};
use verdict::identity::{ApplicationId, ClientId};
use verdict::permit::Admitted;

use crate::browser::router;
use crate::pages::Pages;
use crate::protocol::declaration::built_in_api;

pub(super) const ISSUER: &str = "https://id.example.com";
pub(super) const CALLBACK: &str = "https://web.example/cb";
pub(super) const PASSWORD: &str = "correct horse battery staple";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// RFC 7636 §B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Alice and Mallory, each with the same password.
struct Everybody;

fn person(name: &str) -> Option<Arc<Person>> {
    let mut claims = Map::new();
    claims.insert("name".to_owned(), json!(format!("{name} Example")));
    ["alice", "mallory"].contains(&name).then(|| {
        Arc::new(Person {
            subject: format!("sub-{name}"),
            username: name.to_owned(),
            claims,
            roles: Vec::new(),
            environment: Environment::Live,
        })
    })
}

impl People for Everybody {
    async fn check_password(
        &self,
        username: &str,
        password: &Secret,
        _from: IpAddr,
        _now: Timestamp,
    ) -> Answer<PersonCheck> {
        Ok(match person(username) {
            Some(person) if password.matches(PASSWORD.as_bytes()) => PersonCheck::Match(person),
            _ => PersonCheck::Refused,
        })
    }
    async fn person(&self, subject: &str, _now: Timestamp) -> Answer<Option<Arc<Person>>> {
        Ok(subject.strip_prefix("sub-").and_then(person))
    }
}

impl Secrets for Everybody {
    async fn check(&self, _presented: &Presented<'_>, _now: Timestamp) -> Answer<KeyCheck> {
        Ok(KeyCheck::Unknown)
    }
}

struct Quiet;

impl Revocations for Quiet {
    fn revoked(&self, _token: &TokenNames<'_>) -> Answer<bool> {
        Ok(false)
    }
    fn learn(&self, _revocation: &Revocation) {}
}

impl Readiness for Quiet {
    fn can_record(&self) -> bool {
        true
    }
}

impl Replay for Quiet {
    fn first_use<'a>(
        &'a self,
        _scope: &'a str,
        _id: &'a str,
        _until: Timestamp,
        _now: Timestamp,
    ) -> Boxed<'a, Answer<FirstUse>> {
        Box::pin(async { Ok(FirstUse::Yes) })
    }
}

impl ClientKeys for Quiet {
    fn keys<'a>(
        &'a self,
        _at: &'a url::Url,
        _kid: Option<&'a str>,
    ) -> Boxed<'a, Answer<Arc<[VerifyingKey]>>> {
        Box::pin(async { Err(Unavailable::KeySet) })
    }
}

/// The client `web`, which asks people for their name.
fn web() -> ClientMeaning {
    ClientMeaning {
        kind: ClientKind::Confidential,
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        display_name: "The web shop".to_owned(),
        redirect_uris: vec![CALLBACK.to_owned()],
        identity_scopes: IdentityScope::ALL.to_vec(),
        ..ClientMeaning::service(
            ClientId::new("web"),
            ApplicationId::new("shop"),
            ClientAuthMethod::ClientSecretBasic,
        )
    }
}

/// The places for browsers, of an issuer whose clock stands still until it is told to go on.
pub(super) struct World {
    router: Router,
    admitted: Admitted,
    origin: String,
    now: Arc<AtomicI64>,
    _directory: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::of(ISSUER).await
    }

    /// One with another issuer identifier, which is an origin.
    pub(super) async fn of(issuer: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = Location::Sqlite(directory.path().join("test.db"));
        let store = Arc::new(Store::open(&Settings::new(at)).await.expect("a database"));
        let kek = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
        let entropy = Arc::new(SystemEntropy);
        let keys = Arc::new(KeyManager::new(
            store.clone(),
            Arc::new(KekRing::new(kek)),
            KeySettings::default(),
            entropy.clone(),
        ));
        keys.start(NOW).await.expect("keys");
        let quiet = Arc::new(Quiet);
        let endpoints = Endpoints::new(issuer, issuer.starts_with("http:")).expect("an issuer");
        let made = Issuer::new(
            endpoints.clone(),
            IssuerSettings::default(),
            Ports {
                store,
                secrets: Arc::new(Everybody),
                revocations: quiet.clone(),
                replay: quiet.clone(),
                proofs: None,
                client_keys: quiet.clone(),
                client_authority: None,
                readiness: quiet,
                alarms: Arc::new(()),
                uses: Arc::new(()),
                entropy: entropy.clone(),
            },
            keys,
        );
        let apis: [&ApiMeaning; 0] = [];
        made.declare(Declared::new(apis, [&web()], &[]).expect("a sound declaration"));
        made.keys().tick(NOW).await.expect("keys");
        let now = Arc::new(AtomicI64::new(NOW.as_millis()));
        let clock = now.clone();
        let pages = Arc::new(Pages::load(issuer, None).expect("built-in pages"));
        let admitted = crate::protocol::tests::admitted(&endpoints).await;
        Self {
            router: router(
                Arc::new(made),
                pages,
                Arc::new(move || Timestamp::from_millis(clock.load(Ordering::SeqCst))),
                entropy,
            ),
            admitted,
            origin: issuer.to_owned(),
            now,
            _directory: directory,
        }
    }

    pub(super) fn wait(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).expect("a short time");
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// One request as it is, with the cookies of a window, which keeps what it is given.
    pub(super) async fn send(&self, window: &mut Window, mut request: Request<Body>) -> Seen {
        let jar = window.jar();
        if !jar.is_empty() {
            let jar = jar.parse().expect("a field");
            request.headers_mut().append(COOKIE, jar);
        }
        request.extensions_mut().insert(self.admitted.clone());
        let answer = self.router.clone().oneshot(request).await;
        let (parts, body) = answer.expect("an answer").into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        for line in parts.headers.get_all(SET_COOKIE) {
            window.keep(line.to_str().expect("text"));
        }
        Seen {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    pub(super) async fn get(&self, window: &mut Window, target: &str) -> Seen {
        let request = Request::get(target).body(Body::empty());
        self.send(window, request.expect("a request")).await
    }

    /// A form as our own page sends it.
    pub(super) async fn post(
        &self,
        window: &mut Window,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Seen {
        let request = self.form(path).header(ORIGIN, &self.origin);
        let body = Body::from(encode(fields));
        self.send(window, request.body(body).expect("a request"))
            .await
    }

    /// The head of a form, without a word of who sends it.
    pub(super) fn form(&self, path: &str) -> http::request::Builder {
        Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    /// The login page of a sound request.
    pub(super) async fn asked(&self, window: &mut Window) -> Seen {
        let seen = self.get(window, &authorize("")).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
        seen
    }

    /// Logs a person in on a login page.
    pub(super) async fn log_in(&self, window: &mut Window, page: &Seen, who: &str) -> Seen {
        let ticket = page.ticket();
        let fields = [
            ("ticket", ticket.as_str()),
            ("username", who),
            ("password", PASSWORD),
        ];
        self.post(window, "/login", &fields).await
    }

    /// A window in which somebody is logged in, and their consent page.
    pub(super) async fn consent_of(&self, who: &str) -> (Window, Seen) {
        let mut window = Window::default();
        let page = self.asked(&mut window).await;
        let page = self.log_in(&mut window, &page, who).await;
        assert!(page.body.contains("name=\"decision\""), "{}", page.body);
        (window, page)
    }
}

/// A sound authorization request, with more parameters (`&name=value`).
pub(super) fn authorize(more: &str) -> String {
    format!(
        "/oauth/authorize?client_id=web&response_type=code&redirect_uri=https%3A%2F%2Fweb.example%2Fcb\
         &scope=openid+profile&code_challenge={CHALLENGE}&code_challenge_method=S256&state=s1{more}"
    )
}

/// `application/x-www-form-urlencoded`; what is sent here needs no more.
pub(super) fn encode(fields: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", value.replace(' ', "+"));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// One browser's cookies. A clone is another browser that has them too.
#[derive(Debug, Clone, Default)]
pub(super) struct Window(pub(super) BTreeMap<String, String>);

impl Window {
    fn jar(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, line: &str) {
        let pair = line.split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').expect("a pair");
        if line.contains("; Max-Age=0") {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The handle of its session.
    pub(super) fn session(&self) -> Option<&String> {
        self.0.get("__Host-doorward-session")
    }
}

/// What a browser sees of an answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: HeaderName) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    pub(super) fn location(&self) -> &str {
        self.header(LOCATION)
    }

    /// The page's ticket.
    pub(super) fn ticket(&self) -> String {
        let rest = self.body.split("name=\"ticket\" value=\"").nth(1);
        let ticket = rest.and_then(|rest| rest.split('"').next());
        ticket.expect("a ticket").to_owned()
    }

    pub(super) fn is_login_page(&self) -> bool {
        self.status == StatusCode::OK && self.body.contains("name=\"password\"")
    }

    /// The `Set-Cookie` lines.
    pub(super) fn cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines.map(|line| line.to_str().expect("text")).collect()
    }
}

/// Endpoints of an issuer, as the gateway's declaration has them.
pub(super) fn declared_methods() -> BTreeMap<String, Vec<Method>> {
    let endpoints = Endpoints::new(ISSUER, false).expect("an issuer");
    let api = built_in_api(&endpoints, Vec::new(), Brand::default(), None);
    let routes = api.routes.iter();
    routes
        .map(|route| (route.path.written.to_string(), route.methods.to_vec()))
        .collect()
}
