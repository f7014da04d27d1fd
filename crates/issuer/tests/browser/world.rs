//! The world that these tests run in: a database of their own, people and client secrets in memory,
//! a clock that is a number, and browsers that keep cookies.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use issuer::browser::{Browser, ClientAnswer, ConsentPage, Decision, LoginPage, NewSession, Step};
use issuer::declared::Declared;
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::Endpoints;
use issuer::params::Params;
use issuer::ports::{
    Boxed, ClientKeys, FirstUse, People, Person, PersonCheck, Readiness, Replay, Revocation,
    Revocations, Secrets, TokenNames,
};
use issuer::{Issuer, IssuerSettings, Ports};
use proof::digest::TokenHash;
use proof::issued::{Brand, Environment, Presented};
use proof::jose::jwk::JwkSet;
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::api::{ApiMeaning, IdentityForward, UpstreamMeaning};
use registry::client::{
    ClientAuthMethod, ClientKind, ClientMeaning, GrantType, IdentityScope, Profile,
    SenderConstraint,
};
use serde_json::{Map, json};
use store::{Location, Settings, Store};
use verdict::facts::{Answer, KeyCheck, Unavailable};
use verdict::identity::{ApplicationId, ClientId, Scopes};
use verdict::route::{Api, ApiName};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// A good S256 challenge (RFC 7636 §B).
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// People, each with the same password; everybody named `mallory` is throttled.
#[derive(Default)]
pub(crate) struct Everybody {
    /// People who may not log in any more.
    pub(crate) gone: Mutex<Vec<String>>,
}

impl Everybody {
    fn find(&self, name: &str) -> Option<Arc<Person>> {
        let environment = match name {
            "alice" | "bob" => Environment::Live,
            "tess" => Environment::Test,
            _ => return None,
        };
        if self.gone.lock().expect("lock").iter().any(|n| n == name) {
            return None;
        }
        let mut claims = Map::new();
        claims.insert("name".to_owned(), json!(format!("{name} Example")));
        Some(Arc::new(Person {
            subject: format!("sub-{name}"),
            username: name.to_owned(),
            claims,
            roles: Vec::new(),
            environment,
        }))
    }
}

impl People for Everybody {
    async fn check_password(
        &self,
        username: &str,
        password: &Secret,
        _from: IpAddr,
        _now: Timestamp,
    ) -> Answer<PersonCheck> {
        if username == "mallory" {
            return Ok(PersonCheck::Throttled);
        }
        Ok(match self.find(username) {
            Some(person) if password.matches(PASSWORD.as_bytes()) => PersonCheck::Match(person),
            _ => PersonCheck::Refused,
        })
    }
    async fn person(&self, subject: &str, _now: Timestamp) -> Answer<Option<Arc<Person>>> {
        Ok(subject
            .strip_prefix("sub-")
            .and_then(|name| self.find(name)))
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

pub(crate) type TestIssuer = Issuer<Store, Everybody>;

pub(crate) struct World {
    pub(crate) issuer: TestIssuer,
    pub(crate) store: Arc<Store>,
    pub(crate) people: Arc<Everybody>,
    /// The key of the client `fapi`.
    pub(crate) fapi: SigningKey,
    now: AtomicI64,
    _directory: tempfile::TempDir,
}

fn api(name: &str, scopes: &[(&str, &str)]) -> ApiMeaning {
    ApiMeaning {
        judged: Arc::new(Api {
            name: ApiName::new(name),
            audiences: vec![format!("https://api.example.com/{name}").as_str().into()],
            environment: Environment::Live,
            issuers: Vec::new(),
            brand: Brand::default(),
            encryption: None,
            key_headers: Vec::new(),
            foreign_keys: Vec::new(),
            realm: name.into(),
            resource_metadata: None,
            relations: None,
            rights: Default::default(),
            certificates: None,
            signatures: Default::default(),
        }),
        hosts: Vec::new(),
        base_path: format!("/{name}"),
        strip_base_path: false,
        upstream: UpstreamMeaning::Local("none"),
        client_authority: None,
        decryption_key_files: Vec::new(),
        identity: IdentityForward::None,
        cors: None,
        per_address: None,
        per_principal: None,
        per_application: None,
        scopes: scopes
            .iter()
            .map(|(name, words)| ((*name).to_owned(), (*words).to_owned()))
            .collect(),
        token_lifetime: Duration::from_secs(600),
        token_format: registry::api::TokenFormat::Jwt,
        routes: Vec::new(),
    }
}

fn client(id: &str, kind: ClientKind, method: ClientAuthMethod, to: &[&str]) -> ClientMeaning {
    ClientMeaning {
        kind,
        grant_types: vec![
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::DeviceCode,
        ],
        display_name: format!("The {id} client"),
        redirect_uris: to.iter().map(|uri| (*uri).to_owned()).collect(),
        post_logout_redirect_uris: vec![format!("https://{id}.example/bye")],
        client_uri: Some(format!("https://{id}.example/")),
        identity_scopes: IdentityScope::ALL.to_vec(),
        grants: vec![
            (
                ApiName::new("orders"),
                Scopes::new(["orders:read", "orders:write", "export"]),
            ),
            (ApiName::new("stock"), Scopes::new(["stock:read", "export"])),
        ],
        ..ClientMeaning::service(ClientId::new(id), ApplicationId::new("shop"), method)
    }
}

/// `web` (confidential), `phone` (public, native), `fapi`, `compat`, `own` (consent is skipped),
/// `service` (may not use codes), `pushes` (must push), `one` (one API, one redirect URI).
fn clients(fapi: &SigningKey) -> Vec<ClientMeaning> {
    let basic = ClientAuthMethod::ClientSecretBasic;
    let confidential = ClientKind::Confidential;
    let web = client(
        "web",
        confidential,
        basic,
        &["https://web.example/cb", "https://web.example/other?a=b"],
    );
    let phone = client(
        "phone",
        ClientKind::Native,
        ClientAuthMethod::None,
        &[
            "http://127.0.0.1/cb",
            "http://[::1]:8000/cb",
            "com.example.app:/cb",
        ],
    );
    let mut strict = client(
        "fapi",
        confidential,
        ClientAuthMethod::PrivateKeyJwt,
        &["https://fapi.example/cb"],
    );
    strict.profile = Profile::Fapi2;
    strict.require_par = true;
    strict.sender_constraint = SenderConstraint::Dpop;
    strict.jwks = Some(JwkSet::new(vec![fapi.public_jwk()]));
    let mut compat = client(
        "compat",
        confidential,
        basic,
        &["https://compat.example/cb"],
    );
    compat.profile = Profile::OidcCompat;
    let mut own = client("own", confidential, basic, &["https://own.example/cb"]);
    own.skip_consent = true;
    let mut service = client(
        "service",
        confidential,
        basic,
        &["https://service.example/cb"],
    );
    service.grant_types = vec![GrantType::ClientCredentials];
    let mut pushes = client(
        "pushes",
        confidential,
        basic,
        &["https://pushes.example/cb"],
    );
    pushes.require_par = true;
    let mut one = client("one", confidential, basic, &["https://one.example/cb"]);
    one.grants.truncate(1);
    vec![web, phone, strict, compat, own, service, pushes, one]
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = Location::Sqlite(directory.path().join("test.db"));
        let store = Arc::new(Store::open(&Settings::new(at)).await.expect("a database"));
        let fapi = SigningKey::generate(proof::jose::alg::Algorithm::ES256).expect("a key");
        let people = Arc::new(Everybody::default());
        Self {
            issuer: Self::node(&store, &people, &fapi).await,
            store,
            people,
            fapi,
            now: AtomicI64::new(NOW.as_millis()),
            _directory: directory,
        }
    }

    /// A node on the store: another process would be the same.
    async fn node(store: &Arc<Store>, people: &Arc<Everybody>, fapi: &SigningKey) -> TestIssuer {
        let kek = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
        let keys = Arc::new(KeyManager::new(
            store.clone(),
            Arc::new(KekRing::new(kek)),
            KeySettings::default(),
            Arc::new(SystemEntropy),
        ));
        keys.start(NOW).await.expect("keys");
        let quiet = Arc::new(Quiet);
        let issuer = Issuer::new(
            Endpoints::new(ISSUER, false).expect("an issuer"),
            IssuerSettings::default(),
            Ports {
                store: store.clone(),
                secrets: people.clone(),
                revocations: quiet.clone(),
                replay: quiet.clone(),
                proofs: None,
                client_keys: quiet.clone(),
                client_authority: None,
                readiness: quiet,
                alarms: Arc::new(()),
                uses: Arc::new(()),
                entropy: Arc::new(SystemEntropy),
            },
            keys,
        );
        issuer.declare(declared(&clients(fapi)));
        // Keys of ID tokens are made once a declared client needs one.
        issuer.keys().tick(NOW).await.expect("keys");
        issuer
    }

    /// A second node on the same store, or this one after a restart.
    pub(crate) async fn another_node(&self) -> TestIssuer {
        Self::node(&self.store, &self.people, &self.fapi).await
    }

    /// Declares anew, with changes.
    pub(crate) fn declare(&self, change: impl Fn(&mut Vec<ClientMeaning>)) {
        let mut clients = clients(&self.fapi);
        change(&mut clients);
        self.issuer.declare(declared(&clients));
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
    pub(crate) fn wait(&self, seconds: u64) {
        let millis = i64::try_from(seconds * 1000).expect("a short time");
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) async fn authorize(&self, who: &Window, query: &str) -> Step {
        let now = self.now();
        match Params::parse(query.as_bytes()) {
            Ok(params) => {
                self.issuer
                    .authorize(&params, &who.browser(), "request-1", now)
                    .await
            }
            Err(refusal) => self.issuer.unreadable(refusal, "request-1"),
        }
    }

    pub(crate) async fn login(&self, who: &mut Window, ticket: &str, name: &str) -> Step {
        self.login_with(who, ticket, name, PASSWORD).await
    }

    pub(crate) async fn login_with(
        &self,
        who: &mut Window,
        ticket: &str,
        name: &str,
        password: &str,
    ) -> Step {
        let password = Secret::new(password.as_bytes());
        let (step, session) = self
            .issuer
            .login(
                ticket,
                name,
                &password,
                &who.browser(),
                "request-2",
                self.now(),
            )
            .await;
        who.take(session);
        step
    }

    pub(crate) async fn consent(&self, who: &Window, ticket: &str, decision: Decision) -> Step {
        self.issuer
            .consent(ticket, decision, &who.browser(), "request-3", self.now())
            .await
    }

    /// Logs a person in, whoever was logged in before.
    pub(crate) async fn sign_in(&self, who: &mut Window, name: &str) {
        let query = request("own", "&scope=openid&prompt=login");
        let page = login_page(self.authorize(who, &query).await);
        code(&answer(self.login(who, &page.ticket, name).await));
    }

    /// All the way: request, login if it is asked for, consent to everything if it is asked for.
    pub(crate) async fn walk(&self, who: &mut Window, name: &str, query: &str) -> ClientAnswer {
        let mut step = self.authorize(who, query).await;
        if let Step::Login(page) = &step {
            let ticket = page.ticket.clone();
            step = self.login(who, &ticket, name).await;
        }
        if let Step::Consent(page) = &step {
            let all = page.scopes.iter().map(|scope| scope.name.clone()).collect();
            step = self
                .consent(who, &page.ticket, Decision::Allow { scopes: all })
                .await;
        }
        answer(step)
    }
}

fn declared(clients: &[ClientMeaning]) -> Declared {
    let apis = [
        api(
            "orders",
            &[
                ("orders:read", "Read your orders"),
                ("orders:write", "Place and change orders"),
                ("export", "Export orders"),
            ],
        ),
        api(
            "stock",
            &[("stock:read", "See what is in stock"), ("export", "")],
        ),
    ];
    Declared::new(&apis, clients, &[]).expect("a sound declaration")
}

/// One browser, with its cookies.
#[derive(Clone)]
pub(crate) struct Window {
    binding: TokenHash,
    pub(crate) session: Option<TokenHash>,
}

impl Window {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            binding: TokenHash::of(name.as_bytes()),
            session: None,
        }
    }
    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            binding: self.binding,
            session: self.session,
            address: Ipv4Addr::new(192, 0, 2, 7).into(),
            agent: "Tests/1.0",
        }
    }
    pub(crate) fn take(&mut self, session: Option<NewSession>) {
        if let Some(session) = session {
            self.session = Some(TokenHash::of(session.handle.expose()));
        }
    }
}

/// A sound request of a client, with something more.
pub(crate) fn request(client: &str, more: &str) -> String {
    let redirect = match client {
        "phone" => "com.example.app%3A%2Fcb".to_owned(),
        name => format!("https%3A%2F%2F{name}.example%2Fcb"),
    };
    format!(
        "client_id={client}&response_type=code&redirect_uri={redirect}&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&state=s1{more}"
    )
}

pub(crate) fn login_page(step: Step) -> LoginPage {
    match step {
        Step::Login(page) => page,
        other => panic!("no login page: {other:?}"),
    }
}

pub(crate) fn consent_page(step: Step) -> ConsentPage {
    match step {
        Step::Consent(page) => page,
        other => panic!("no consent page: {other:?}"),
    }
}

pub(crate) fn answer(step: Step) -> ClientAnswer {
    match step {
        Step::Answer(answer) => answer,
        other => panic!("no answer to the client: {other:?}"),
    }
}

pub(crate) fn param<'a>(answer: &'a ClientAnswer, name: &str) -> Option<&'a str> {
    answer
        .params
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.as_str())
}

/// The code of a good answer.
pub(crate) fn code(answer: &ClientAnswer) -> TokenHash {
    let code = param(answer, "code");
    TokenHash::of(
        code.unwrap_or_else(|| panic!("no code: {answer:?}"))
            .as_bytes(),
    )
}

/// Everything in a step.
pub(crate) fn error(step: &Step) -> &str {
    match step {
        Step::Answer(answer) => param(answer, "error").unwrap_or("none"),
        Step::Error(page) => page.error.name(),
        _ => "none",
    }
}
