//! The world that tests run in: the admin API over a real store, called the way that the gateway
//! calls it, which is by the declaration and with a permit.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::Endpoints;
use issuer::ports::{People, Person, PersonCheck, Readiness, Revocation, Revocations, Secrets};
use issuer::{Issuer, IssuerSettings, Ports};
use proof::digest::{TokenHash, sha256};
use proof::dpop::nonce::NonceKey;
use proof::issued::{Brand, Presented};
use proof::jose::alg::Algorithm;
use proof::jose::verifying::VerifyingKey;
use proof::password::Verifier;
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::actor::{Actor, Role};
use registry::api::{RouteMeaning, Segment};
use registry::document::{Document, DocumentKind};
use registry::meaning::Context;
use registry::ports::{Files, Registry as _};
use registry::record::Decision;
use registry::relations::Token;
use registry::resource::ResourceKind;
use registry::units::Moment;
use registry::usecase::resource::{self, PutResource};
use registry::usecase::{Ctx, HashPurpose, Hasher, admin_key, api_key, relation};
use serde_json::{Value, json};
use store::{Location, Settings, Store};
use tower::ServiceExt as _;
use verdict::call::{Arrival, Body as CallBody, Call, Head, Scheme};
use verdict::credential::introspection::Said;
use verdict::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use verdict::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use verdict::facts::{
    Answer, Facts, KeyCheck, KeyLookup, PasswordCheck, Records as _, Unavailable,
};
use verdict::limit::{LimitKey, Rate, Taken};
use verdict::permit::Admitted;
use verdict::policy::relations::{Grant, Object, Related, Subject, check};
use verdict::problem::{Code, Problem};

use crate::admin::site::Site;
use crate::admin::view::{AnswerView, CallView, ExplanationView, RefusedSettings, SettingsStatus};
use crate::admin::{
    Admin, Again, Asked, Checker, Checking, Explainer, Explaining, Parts, Process, Question,
    Replayer, Replaying, declaration, router,
};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOST_NAME: &str = "127.0.0.1:8082";

/// Hashes at once: what is tested here is not how hard secrets are to guess.
pub(crate) struct Quick;

impl Hasher for Quick {
    async fn hash(&self, secret: Secret, _: HashPurpose) -> Result<Verifier, Unavailable> {
        let digest = proof::digest::hex(&sha256(secret.expose()));
        Ok(Verifier::parse(&format!("sha256${digest}")).expect("a digest"))
    }
}

/// Explains every call alike, but for one that is no request.
pub(crate) struct Guesses;

impl Replayer for Guesses {
    fn replay<'a>(
        &'a self,
        documents: &'a [Document],
        calls: &'a [Decision],
        _: Timestamp,
    ) -> Replaying<'a> {
        // Whatever a policy of that name is asked about, it denies.
        let denies = documents.iter().any(|one| one.name.as_str() == "deny");
        let again = if denies {
            Again::Deny("policy-denied", "it says no".to_owned())
        } else {
            Again::Allow
        };
        Box::pin(async move { Ok(vec![again; calls.len()]) })
    }
}

impl Explainer for Guesses {
    fn explain<'a>(&'a self, asked: Asked, _: &'a str, now: Timestamp) -> Explaining<'a> {
        Box::pin(async move {
            if !asked.text.starts_with(b"GET ") {
                let mut problem = Problem::new(Code::InvalidRequest, "line 1");
                problem.detail = Some("line 1: not a request line.".into());
                return Err(problem);
            }
            Ok(ExplanationView {
                decision: "deny".to_owned(),
                call: CallView {
                    method: "GET".to_owned(),
                    path: "/orders".to_owned(),
                    authority: "orders.example".to_owned(),
                    scheme: "https".to_owned(),
                    version: "HTTP/1.1".to_owned(),
                    client: asked.from.map(|from| from.to_string()).unwrap_or_default(),
                    at: registry::units::Moment(asked.at.unwrap_or(now)),
                },
                api: Some("orders".to_owned()),
                route: Some("list".to_owned()),
                credential: None,
                principal: None,
                steps: Vec::new(),
                answer: Some(AnswerView {
                    status: 401,
                    code: Some("credential-refused".to_owned()),
                    title: None,
                    headers: Vec::new(),
                }),
            })
        })
    }
}

/// Judges by what is stored, without a cache.
impl Checker for Stored {
    fn check(
        &self,
        questions: Vec<Question>,
        at_least: Option<Token>,
        now: Timestamp,
    ) -> Checking<'_> {
        Box::pin(async move {
            let newest = self.0.newest_change().await.expect("a number");
            if at_least.is_some_and(|token| token.0 > newest) {
                return Err(Problem::new(Code::FactUnavailable, "not seen yet"));
            }
            let context = context();
            let ctx = Ctx {
                now,
                entropy: &SystemEntropy,
                request_id: "check",
                context: &context,
                files: &(),
            };
            let model = relation::model(&*self.0, &ctx).await.expect("a model");
            let mut answers = Vec::new();
            for asked in questions {
                let (relation, object) = (&*asked.relation, &asked.object);
                let found = check(&model, &asked.subject, relation, object, self, now);
                answers.push(found.await?);
            }
            Ok(answers)
        })
    }
}

/// No client authenticates here.
pub(super) struct NoSecrets;

impl Secrets for NoSecrets {
    async fn check(&self, _: &Presented<'_>, _: Timestamp) -> Answer<KeyCheck> {
        Ok(KeyCheck::Unknown)
    }
}

/// Nobody logs in here.
impl People for NoSecrets {
    async fn check_password(
        &self,
        _: &str,
        _: &Secret,
        _: IpAddr,
        _: Timestamp,
    ) -> Answer<PersonCheck> {
        Ok(PersonCheck::Refused)
    }
    async fn person(&self, _: &str, _: Timestamp) -> Answer<Option<Arc<Person>>> {
        Ok(None)
    }
}

#[derive(Default)]
pub(crate) struct Learned(pub(crate) Mutex<Vec<Revocation>>);

impl Revocations for Learned {
    fn revoked(&self, _: &issuer::ports::TokenNames<'_>) -> Answer<bool> {
        Ok(false)
    }
    fn learn(&self, revocation: &Revocation) {
        self.0.lock().expect("lock").push(revocation.clone());
    }
}

pub(crate) struct Always;

/// Ports that the admin API does not reach.
pub(crate) struct Unused;

impl issuer::ports::Replay for Unused {
    fn first_use<'a>(
        &'a self,
        _scope: &'a str,
        _id: &'a str,
        _until: Timestamp,
        _now: Timestamp,
    ) -> issuer::ports::Boxed<'a, Answer<issuer::ports::FirstUse>> {
        Box::pin(async { Err(Unavailable::CutOff) })
    }
}

impl issuer::ports::ClientKeys for Unused {
    fn keys<'a>(
        &'a self,
        _at: &'a url::Url,
        _kid: Option<&'a str>,
    ) -> issuer::ports::Boxed<'a, Answer<Arc<[VerifyingKey]>>> {
        Box::pin(async { Err(Unavailable::KeySet) })
    }
}

impl Readiness for Always {
    fn can_record(&self) -> bool {
        true
    }
}

struct Rooms;

impl Parts for Rooms {
    type Store = Store;
    type Hasher = Quick;
    type Secrets = NoSecrets;
}

fn context() -> Context {
    Context {
        brand: Brand::default(),
        own_issuer: None,
        loopback_dev: true,
    }
}

struct ThisProcess(Arc<Context>);

impl Process for ThisProcess {
    fn context(&self) -> Arc<Context> {
        self.0.clone()
    }
    fn files(&self) -> &dyn Files {
        &()
    }
    fn settings_status(&self) -> SettingsStatus {
        let refused = RefusedSettings {
            at: Moment(NOW),
            message: "doorward.yaml:3:7: unknown key `lisen`".to_owned(),
        };
        SettingsStatus {
            loaded_at: Moment(NOW),
            refused: Some(refused),
        }
    }
    fn effective_settings(&self) -> Value {
        json!({ "version": 1, "master_key": "***" })
    }
    fn started_at(&self) -> Timestamp {
        NOW
    }
    fn version(&self) -> &str {
        "0.0.0-test"
    }
}

/// Facts from the store, as far as keys and relations go.
pub(crate) struct Stored(pub(crate) Arc<Store>);

impl Facts for Stored {
    fn known_token(&self, _: &TokenHash, _: ConfigId) -> Option<Arc<VerifiedToken>> {
        None
    }
    fn remember_token(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedToken>) {}
    fn known_certificate(&self, _: &TokenHash, _: ConfigId) -> Option<Arc<VerifiedCertificate>> {
        None
    }
    fn remember_certificate(&self, _: TokenHash, _: ConfigId, _: Arc<VerifiedCertificate>) {}
    fn authority(&self, _: &AuthorityId) -> Answer<Arc<Authority>> {
        Err(Unavailable::Authority)
    }
    async fn opaque_token(
        &self,
        _: &TokenHash,
        _: &IssuerProfile,
        _: Timestamp,
    ) -> Answer<Option<Arc<VerifiedToken>>> {
        Ok(None)
    }
    fn known_opaque(
        &self,
        _: &TokenHash,
        _: &IssuerProfile,
        _: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        None
    }
    async fn introspected(
        &self,
        _: &str,
        _: &TokenHash,
        _: &IssuerProfile,
        _: Timestamp,
    ) -> Answer<Said> {
        Err(Unavailable::Introspection)
    }
    fn was_introspected(&self, _: &TokenHash, _: &IssuerProfile) -> bool {
        false
    }
    fn revoked(&self, _: &VerifiedToken) -> Answer<bool> {
        Err(Unavailable::Store)
    }
    fn suspended(&self, _: &verdict::identity::ClientId) -> bool {
        false
    }
    async fn verification_key(
        &self,
        _: &IssuerProfile,
        _: Option<&str>,
        _: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        Err(Unavailable::Store)
    }
    fn dpop_nonces(&self) -> &NonceKey {
        static KEY: LazyLock<NonceKey> = LazyLock::new(|| NonceKey::new(&[7; 32]));
        &KEY
    }
    async fn check_key(
        &self,
        lookup: KeyLookup<'_>,
        presented: &[u8],
        _: Timestamp,
    ) -> Answer<KeyCheck> {
        let KeyLookup::Issued(id) = lookup else {
            return Ok(KeyCheck::Unknown);
        };
        Ok(match self.0.key_by_id(id).await? {
            None => KeyCheck::Unknown,
            Some(key) if key.verifier.verify(presented, None) => KeyCheck::Match(Arc::new(key)),
            Some(key) => KeyCheck::Mismatch(Arc::new(key)),
        })
    }
    fn known_key(
        &self,
        _: KeyLookup<'_>,
        _: &[u8],
        _: Timestamp,
    ) -> Option<Arc<verdict::identity::IssuedKey>> {
        None
    }
    async fn signing_key(
        &self,
        _: &str,
        _: Timestamp,
    ) -> Answer<Option<Arc<verdict::identity::SigningKey>>> {
        Err(Unavailable::Store)
    }
    fn paseto_key(
        &self,
        _: &IssuerProfile,
        _: Option<&str>,
        _: proof::paseto::Purpose,
    ) -> Answer<Option<Arc<proof::paseto::Key>>> {
        Err(Unavailable::Store)
    }
    fn calling_client(
        &self,
        _: &str,
    ) -> Answer<Option<Arc<verdict::credential::client_jwt::CallingClient>>> {
        Err(Unavailable::Store)
    }
    async fn client_key(
        &self,
        _: &verdict::credential::client_jwt::CallingClient,
        _: &str,
        _: Algorithm,
    ) -> Answer<Option<Arc<VerifyingKey>>> {
        Err(Unavailable::Store)
    }
    async fn check_password(
        &self,
        _: &str,
        _: &[u8],
        _: IpAddr,
        _: Timestamp,
    ) -> Answer<PasswordCheck> {
        Ok(PasswordCheck::Refused)
    }
    async fn take(&self, _: &LimitKey, _: &Rate, _: u32, _: Timestamp) -> Answer<Taken> {
        Err(Unavailable::Counters)
    }
    async fn related(
        &self,
        object: &Object,
        relation: &Arc<str>,
        _: Timestamp,
    ) -> Answer<Arc<Related>> {
        self.0.related(object, relation).await.map(Arc::new)
    }
    async fn grant(
        &self,
        object: &Object,
        relation: &Arc<str>,
        subject: &Subject,
        _: Timestamp,
    ) -> Answer<Option<Grant>> {
        self.0.grant(object, relation, subject).await
    }
    async fn penalty(
        &self,
        _: IpAddr,
        _: &verdict::penalty::Penalties,
        _: Timestamp,
    ) -> Answer<Option<verdict::penalty::Penalty>> {
        Err(Unavailable::Counters)
    }
    async fn failed(
        &self,
        _: IpAddr,
        _: &verdict::penalty::Penalties,
        _: Timestamp,
    ) -> Answer<Option<verdict::penalty::Penalty>> {
        Err(Unavailable::Counters)
    }
    async fn first_use(
        &self,
        _: verdict::facts::ReplayScope<'_>,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Answer<verdict::facts::FirstUse> {
        Err(Unavailable::ReplayMemory)
    }
}

/// Who calls in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Owner,
    Operator,
    Auditor,
    /// A key for data, of an application.
    DataKey,
    Nobody,
}

impl As {
    pub(super) const ALL: [Self; 5] = [
        Self::Owner,
        Self::Operator,
        Self::Auditor,
        Self::DataKey,
        Self::Nobody,
    ];
}

pub(super) struct World {
    pub(super) store: Arc<Store>,
    pub(super) learned: Arc<Learned>,
    router: Router,
    routes: Vec<RouteMeaning>,
    keys: Vec<String>,
    /// Ids of the admin keys, in the order of roles.
    pub(super) admin_ids: Vec<String>,
    _folder: tempfile::TempDir,
}

/// What a caller sees of an answer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.body))
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
    pub(super) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        self.json()["code"].as_str().expect("a code").to_owned()
    }
}

/// A request about to be made.
pub(super) struct Ask {
    who: As,
    request: http::request::Builder,
    body: Vec<u8>,
    /// Permitted first, sent later: what happens in between is the test's.
    held: Option<Admitted>,
}

impl Ask {
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }
    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
    pub(super) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }
}

pub(super) fn ask(who: As, method: Method, path: &str) -> Ask {
    Ask {
        who,
        request: Request::builder().method(method).uri(path),
        body: Vec::new(),
        held: None,
    }
}

pub(super) fn get(who: As, path: &str) -> Ask {
    ask(who, Method::GET, path)
}

pub(super) fn post(who: As, path: &str, body: &Value) -> Ask {
    ask(who, Method::POST, path).json(body)
}

pub(super) fn put(who: As, path: &str, body: &Value) -> Ask {
    ask(who, Method::PUT, path).json(body)
}

pub(crate) fn orders() -> Value {
    json!({
        "audiences": ["https://orders.example"],
        "upstream": { "urls": ["http://127.0.0.1:9000"] },
        "scopes": { "orders:read": "See orders" },
        "credentials": ["api_key"],
        "routes": [{ "name": "list", "methods": ["GET"], "path": "/orders", "scopes": ["orders:read"] }]
    })
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::Sqlite(folder.path().join("data").join("doorward.db"));
        let store = Arc::new(
            Store::open(&Settings::new(location))
                .await
                .expect("a store"),
        );
        let context = Arc::new(context());
        let system = Actor::System { part: "test" };
        let ctx = Ctx {
            now: NOW,
            entropy: &SystemEntropy,
            request_id: "set-up",
            context: &context,
            files: &(),
        };

        let mut keys = Vec::new();
        let mut admin_ids = Vec::new();
        for role in Role::ALL {
            let made = admin_key::create(&*store, &Quick, &system, &ctx, role.name(), role, None)
                .await
                .expect("a key");
            keys.push(
                made.secret
                    .expect("made here")
                    .expose_text()
                    .expect("text")
                    .to_owned(),
            );
            admin_ids.push(made.credential.id);
        }
        for (kind, name, spec) in [
            (ResourceKind::Api, "orders", orders()),
            (
                ResourceKind::Application,
                "shop",
                json!({ "owner": "alice@example.com" }),
            ),
        ] {
            let document =
                Document::from_parts(DocumentKind::Resource(kind), name, spec).expect("a document");
            let put = PutResource {
                document,
                expected: None,
            };
            resource::put(&*store, &system, &ctx, put)
                .await
                .expect("written");
        }
        let spec = serde_json::from_value(json!({
            "application": "shop", "label": "data", "apis": ["orders"], "scopes": ["orders:read"]
        }))
        .expect("a key");
        let made = api_key::create(&*store, &Quick, &system, &ctx, &spec)
            .await
            .expect("a key");
        keys.push(
            made.secret
                .expect("made here")
                .expose_text()
                .expect("text")
                .to_owned(),
        );

        let entropy = Arc::new(SystemEntropy);
        let kek = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
        let manager = KeyManager::new(
            store.clone(),
            Arc::new(KekRing::new(kek)),
            KeySettings::default(),
            entropy.clone(),
        );
        manager.start(NOW).await.expect("signing keys");
        let learned = Arc::new(Learned::default());
        let ports = Ports {
            store: store.clone(),
            secrets: Arc::new(NoSecrets),
            revocations: learned.clone(),
            replay: Arc::new(Unused),
            proofs: None,
            client_keys: Arc::new(Unused),
            client_authority: None,
            readiness: Arc::new(Always),
            alarms: Arc::new(()),
            uses: Arc::new(()),
            entropy: entropy.clone(),
        };
        let endpoints = Endpoints::new("https://id.example.com", false).expect("an issuer");
        let issuer = Issuer::new(
            endpoints,
            IssuerSettings::default(),
            ports,
            Arc::new(manager),
        );
        let router = router::<Rooms>(Admin {
            store: store.clone(),
            hasher: Arc::new(Quick),
            issuer: Arc::new(issuer),
            process: Arc::new(ThisProcess(context)),
            explainer: Arc::new(Guesses),
            replayer: Arc::new(Guesses),
            checker: Arc::new(Stored(store.clone())),
            entropy,
            site: Site::new(["door.example".to_owned()]),
        });
        let routes = declaration(Brand::default(), None).routes;
        Self {
            store,
            learned,
            router,
            routes,
            keys,
            admin_ids,
            _folder: folder,
        }
    }

    pub(super) fn key(&self, who: As) -> Option<&str> {
        let index = As::ALL.iter().position(|one| *one == who)?;
        self.keys.get(index).map(String::as_str)
    }

    /// Asks for a permit as the gateway does, and keeps it.
    pub(super) async fn permit(&self, mut ask: Ask) -> Ask {
        ask.held = Some(
            self.admit(&ask)
                .await
                .unwrap_or_else(|problem| panic!("{problem:?}")),
        );
        ask
    }

    async fn admit(&self, ask: &Ask) -> Result<Admitted, Problem> {
        let (method, uri) = (
            ask.request.method_ref().expect("a method"),
            ask.request.uri_ref().expect("a target"),
        );
        let route = route(&self.routes, method, uri.path()).expect("a declared route");
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(HOST, HOST_NAME);
        if let Some(key) = self.key(ask.who) {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let arrival = Arrival {
            request_id: "request-1".into(),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)),
            client: IpAddr::from(Ipv4Addr::LOCALHOST),
            scheme: Scheme::Http,
            tls: None,
            received: NOW,
            loopback: true,
        };
        let head = Head::read(request.body(()).expect("a request").into_parts().0, arrival)?;
        let call = Call::new(head, CallBody::Stream(()));
        let facts = Stored(self.store.clone());
        let who = verdict::identify(call, &route.judged, &facts, NOW)
            .await
            .map_err(|refused| refused.problem)?;
        let permitted = verdict::decide(who, &route.judged, &facts, NOW)
            .await
            .map_err(|refused| refused.problem)?;
        Ok(permitted.admitted())
    }

    /// Makes the request, as far as it gets.
    pub(super) async fn send(&self, mut ask: Ask) -> Seen {
        let admitted = match ask.held.take() {
            Some(admitted) => admitted,
            None => match self.admit(&ask).await {
                Ok(admitted) => admitted,
                Err(problem) => {
                    let mut headers = HeaderMap::new();
                    headers.extend(
                        problem
                            .headers()
                            .into_iter()
                            .map(|(name, value)| (Some(name), value)),
                    );
                    return Seen {
                        status: problem.code.status(),
                        headers,
                        body: problem.to_json("request-1"),
                    };
                }
            },
        };
        let has_host = ask
            .request
            .headers_ref()
            .is_some_and(|headers| headers.contains_key(HOST));
        let request = if has_host {
            ask.request
        } else {
            ask.request.header(HOST, HOST_NAME)
        };
        self.deliver(
            request
                .extension(admitted)
                .body(Body::from(ask.body))
                .expect("a request"),
        )
        .await
    }

    /// Hands a request to the router as it is.
    pub(super) async fn deliver(&self, request: Request<Body>) -> Seen {
        let answer = self.router.clone().oneshot(request).await.expect("answers");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 24).await.expect("a body");
        Seen {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    /// Makes a request that must succeed, and reads its answer.
    pub(super) async fn ok(&self, ask: Ask) -> Value {
        let seen = self.send(ask).await;
        assert!(seen.status.is_success(), "{seen:?}");
        assert_eq!(
            seen.header(CONTENT_TYPE.as_str()),
            Some("application/json"),
            "{seen:?}"
        );
        seen.json()
    }
}

/// The declared route of a request: literal segments before parameters, as the gateway does it.
fn route<'a>(routes: &'a [RouteMeaning], method: &Method, path: &str) -> Option<&'a RouteMeaning> {
    let parts: Vec<&str> = path[1..].split('/').collect();
    let fits = |route: &&RouteMeaning| {
        route.methods.contains(method)
            && route.path.segments.len() == parts.len()
            && route
                .path
                .segments
                .iter()
                .zip(&parts)
                .all(|(segment, part)| match segment {
                    Segment::Literal(text) => text == part,
                    Segment::Parameter(_) | Segment::Rest(_) => true,
                })
    };
    let parameters = |route: &&RouteMeaning| {
        route
            .path
            .segments
            .iter()
            .filter(|segment| !matches!(segment, Segment::Literal(_)))
            .count()
    };
    routes.iter().filter(fits).min_by_key(parameters)
}
