mod no_flows;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use issuer::declared::Declared;
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::{Endpoint, Endpoints};
use issuer::params::MAX_BODY;
use issuer::ports::{
    FirstUse, IssuerStore, KeyPurpose, Readiness, Revocation, Revocations, Secrets, StoredKey,
};
use issuer::{Issuer, IssuerSettings, Ports};
use proof::digest::TokenHash;
use proof::dpop::nonce::NonceKey;
use proof::issued::{Brand, Environment, Issued, Presented, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::verifying::VerifyingKey;
use proof::password::Verifier;
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::client::{ClientAuthMethod, ClientMeaning};
use registry::ports::Stores;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use verdict::call::{Arrival, Body as CallBody, Call, Head, Scheme};
use verdict::credential::introspection::Said;
use verdict::credential::jwt::{ConfigId, IssuerProfile, VerifiedToken};
use verdict::credential::mtls::{Authority, AuthorityId, VerifiedCertificate};
use verdict::facts::{Answer, Facts, KeyCheck, KeyLookup, PasswordCheck, Unavailable};
use verdict::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, IssuedKey, LifeState, Principal, Scopes,
    Standing,
};
use verdict::limit::{LimitKey, Rate, Taken};
use verdict::permit::Admitted;
use verdict::route::ApiName;

use super::declaration::{built_in_api, for_scripts};
use super::{DPOP_NONCE, router};

const ISSUER: &str = "https://id.example.com";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A store that keeps keys and forgets the rest.
#[derive(Default)]
struct Store(Mutex<Vec<StoredKey>>);

impl IssuerStore for Store {
    async fn signing_keys(&self, purpose: KeyPurpose) -> Stores<Vec<StoredKey>> {
        let keys = self.0.lock().expect("lock");
        Ok(keys
            .iter()
            .filter(|key| key.purpose == purpose)
            .cloned()
            .collect())
    }
    async fn publish_key(&self, key: StoredKey, _: Option<Timestamp>, _: AuditDraft) -> Stores<()> {
        self.0.lock().expect("lock").push(key);
        Ok(())
    }
    async fn activate_key(
        &self,
        _: &str,
        _: Timestamp,
        _: Timestamp,
        _: AuditDraft,
    ) -> Stores<bool> {
        Ok(false)
    }
    async fn retire_due_keys(&self, _: Timestamp, _: AuditDraft) -> Stores<Vec<String>> {
        Ok(Vec::new())
    }
    async fn first_use(&self, _: &str, _: &str, _: Timestamp, _: Timestamp) -> Stores<FirstUse> {
        Ok(FirstUse::Yes)
    }
    async fn revoke(&self, _: Revocation, _: AuditDraft) -> Stores<()> {
        Ok(())
    }
    async fn revocations(&self, _: Timestamp) -> Stores<Vec<Revocation>> {
        Ok(Vec::new())
    }
    async fn keep_token(&self, _: issuer::ports::KeptToken) -> Stores<()> {
        Ok(())
    }
    async fn kept_token(&self, _: &TokenHash) -> Stores<Option<String>> {
        Ok(None)
    }
}

/// One secret.
struct OneSecret(Arc<IssuedKey>);

impl Secrets for OneSecret {
    async fn check(&self, presented: &Presented<'_>, _: Timestamp) -> Answer<KeyCheck> {
        Ok(if self.0.key_id != Some(presented.id) {
            KeyCheck::Unknown
        } else if self.0.verifier.verify(presented.whole, None) {
            KeyCheck::Match(self.0.clone())
        } else {
            KeyCheck::Mismatch(self.0.clone())
        })
    }
}

struct NothingRevoked;

impl Revocations for NothingRevoked {
    fn revoked(&self, _: &issuer::ports::TokenNames<'_>) -> Answer<bool> {
        Ok(false)
    }
    fn learn(&self, _: &Revocation) {}
}

/// Ports that these tests do not reach.
struct Unused;

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

struct Switch(AtomicBool);

impl Readiness for Switch {
    fn can_record(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Facts for a public route, which asks for none.
struct NoFacts;

impl Facts for NoFacts {
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
    async fn check_key(&self, _: KeyLookup<'_>, _: &[u8], _: Timestamp) -> Answer<KeyCheck> {
        Err(Unavailable::Store)
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
        Err(Unavailable::Store)
    }
    async fn take(&self, _: &LimitKey, _: &Rate, _: u32, _: Timestamp) -> Answer<Taken> {
        Err(Unavailable::Store)
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

struct World {
    router: Router,
    admitted: Admitted,
    secret: String,
    readiness: Arc<Switch>,
}

/// What a client sees of an answer.
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
    fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A permit for a public route, made the only way there is.
pub(crate) async fn admitted(endpoints: &Endpoints) -> Admitted {
    let api = built_in_api(endpoints, Vec::new(), Brand::default(), None);
    let request = Request::get("/oauth/token")
        .header("host", "id.example.com")
        .body(())
        .expect("a request");
    let arrival = Arrival {
        request_id: "request-1".into(),
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)),
        client: IpAddr::from(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Https,
        tls: None,
        received: NOW,
        loopback: true,
    };
    let head = Head::read(request.into_parts().0, arrival).expect("a clean head");
    let route = &api.routes[0].judged;
    let call = Call::new(head, CallBody::Stream(()));
    let who = verdict::identify(call, route, &NoFacts, NOW)
        .await
        .expect("a public route");
    let permitted = verdict::decide(who, route, &NoFacts, NOW)
        .await
        .expect("a public route");
    permitted.admitted()
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(Store::default());
        let kek = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
        let kek = Arc::new(KekRing::new(kek));
        let entropy = Arc::new(SystemEntropy);
        let keys = KeyManager::new(store.clone(), kek, KeySettings::default(), entropy.clone());
        keys.start(NOW).await.expect("keys");
        let issued = Issued::generate(
            &Brand::default(),
            SecretKind::ClientSecret,
            Environment::Live,
            &SystemEntropy,
        );
        let readiness = Arc::new(Switch(AtomicBool::new(true)));
        let endpoints = Endpoints::new(ISSUER, false).expect("an issuer");
        let issuer = Issuer::new(
            endpoints.clone(),
            IssuerSettings::default(),
            Ports {
                store,
                secrets: Arc::new(OneSecret(Arc::new(stored(&issued)))),
                revocations: Arc::new(NothingRevoked),
                replay: Arc::new(Unused),
                proofs: None,
                client_keys: Arc::new(Unused),
                client_authority: None,
                readiness: readiness.clone(),
                alarms: Arc::new(()),
                uses: Arc::new(()),
                entropy,
            },
            Arc::new(keys),
        );
        // An API to grant: without scopes, and nobody calls it here.
        let mut orders = built_in_api(&endpoints, Vec::new(), Brand::default(), None);
        let judged = verdict::route::Api {
            name: ApiName::new("orders"),
            audiences: vec!["https://orders.example.com".into()],
            environment: Environment::Live,
            issuers: Vec::new(),
            brand: Brand::default(),
            encryption: None,
            key_headers: Vec::new(),
            foreign_keys: Vec::new(),
            realm: "orders".into(),
            resource_metadata: None,
            relations: None,
            rights: Default::default(),
            certificates: None,
            signatures: Default::default(),
        };
        orders.judged = Arc::new(judged);
        issuer.declare(Declared::new([&orders], [&client()], &[]).expect("sound"));
        Self {
            router: router(Arc::new(issuer), Arc::new(|| NOW)),
            admitted: admitted(&endpoints).await,
            secret: issued.text().to_owned(),
            readiness,
        }
    }

    async fn send(&self, mut request: Request<Body>) -> Seen {
        request.extensions_mut().insert(self.admitted.clone());
        self.send_bare(request).await
    }

    async fn send_bare(&self, request: Request<Body>) -> Seen {
        let answer = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        Seen {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    async fn get(&self, path: &str) -> Seen {
        self.send(Request::get(path).body(Body::empty()).expect("a request"))
            .await
    }

    fn form(&self, path: &str) -> http::request::Builder {
        Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    fn basic(&self) -> String {
        let pair = format!("orders-job:{}", self.secret);
        format!("Basic {}", proof::base64std::encode(pair.as_bytes()))
    }

    /// A form by the client with its good secret.
    async fn post(&self, path: &str, body: &str) -> Seen {
        let request = self
            .form(path)
            .header("authorization", self.basic())
            .body(Body::from(body.to_owned()))
            .expect("a request");
        self.send(request).await
    }
}

fn client() -> ClientMeaning {
    ClientMeaning {
        grants: vec![(ApiName::new("orders"), Scopes::default())],
        ..ClientMeaning::service(
            ClientId::new("orders-job"),
            ApplicationId::new("shop"),
            ClientAuthMethod::ClientSecretBasic,
        )
    }
}

fn stored(issued: &Issued) -> IssuedKey {
    let digest = proof::digest::hex(&proof::digest::sha256(issued.secret.expose()));
    IssuedKey {
        key_id: Some(issued.id),
        kind: SecretKind::ClientSecret,
        verifier: Arc::new(Verifier::parse(&format!("sha256${digest}")).expect("a verifier")),
        state: LifeState::Active,
        expires_at: None,
        standing: Arc::new(Standing {
            principal: Principal::Client(ClientId::new("orders-job")),
            credential: CredentialId::new("sec_1"),
            application: None,
            client: Some(ClientId::new("orders-job")),
            scopes: Scopes::default(),
            roles: Vec::new(),
            apis: ApiAllow::Listed(Vec::new()),
            environment: Some(Environment::Live),
            tenant: None,
            networks: Vec::new(),
            origins: Vec::new(),
            claims: serde_json::Map::new(),
        }),
    }
}

const GRANT: &str = "grant_type=client_credentials";

#[tokio::test]
async fn a_token_is_answered_as_json_that_nobody_stores() {
    let world = World::new().await;
    let seen = world.post("/oauth/token", GRANT).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    assert_eq!(seen.header(CONTENT_TYPE), Some("application/json"));
    assert_eq!(seen.header(CACHE_CONTROL), Some("no-store"));
    assert_eq!(seen.header(PRAGMA), Some("no-cache"));
    let json = seen.json();
    let mut names: Vec<_> = json.as_object().expect("an object").keys().collect();
    names.sort();
    assert_eq!(names, ["access_token", "expires_in", "token_type"]);
    assert_eq!(json["token_type"], "Bearer");
}

#[tokio::test]
async fn a_token_is_introspected_and_revoked_over_http() {
    let world = World::new().await;
    let token = world.post("/oauth/token", GRANT).await.json()["access_token"].clone();
    let body = format!("token={}", token.as_str().expect("a token"));
    let seen = world.post("/oauth/introspect", &body).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.header(CACHE_CONTROL), Some("no-store"));
    assert_eq!(seen.json()["active"], json!(true));
    let seen = world.post("/oauth/introspect", "token=garbage").await;
    assert_eq!(seen.body, r#"{"active":false}"#);
    let seen = world.post("/oauth/revoke", &body).await;
    assert_eq!((seen.status, seen.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(seen.header(CACHE_CONTROL), Some("no-store"));
}

#[tokio::test]
async fn a_client_that_is_not_authenticated_gets_401_with_a_challenge() {
    let world = World::new().await;
    let good = world.basic();
    for authorization in [
        None,
        Some("Basic !"),
        Some("Bearer x"),
        Some(&good[..good.len() - 8]),
    ] {
        for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
            let mut request = world.form(path);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let body = format!("{GRANT}&token=x");
            let seen = world
                .send(request.body(Body::from(body)).expect("a request"))
                .await;
            assert_eq!(
                seen.status,
                StatusCode::UNAUTHORIZED,
                "{path} {authorization:?}"
            );
            let challenge = seen.header(WWW_AUTHENTICATE);
            assert_eq!(challenge, Some(r#"Basic realm="oauth", charset="UTF-8""#));
            assert_eq!(seen.header(CACHE_CONTROL), Some("no-store"));
            let expected = json!({
                "error": "invalid_client",
                "error_description": "The client could not be authenticated.",
                "request_id": "request-1",
            });
            assert_eq!(seen.json(), expected);
        }
    }
}

#[tokio::test]
async fn what_is_not_one_form_in_the_body_is_an_invalid_request() {
    let world = World::new().await;
    let form = "application/x-www-form-urlencoded";
    let cases: Vec<(&str, Vec<&str>, Vec<u8>, bool)> = vec![
        ("/oauth/token", vec![form], GRANT.into(), true),
        (
            "/oauth/token",
            vec!["Application/X-WWW-Form-URLencoded; charset=UTF-8"],
            GRANT.into(),
            true,
        ),
        ("/oauth/token", vec![], GRANT.into(), false),
        (
            "/oauth/token",
            vec!["application/json"],
            b"{}".to_vec(),
            false,
        ),
        (
            "/oauth/token",
            vec!["multipart/form-data"],
            GRANT.into(),
            false,
        ),
        (
            "/oauth/token",
            vec!["application/x-www-form-urlencoded; charset=latin1"],
            GRANT.into(),
            false,
        ),
        (
            "/oauth/token",
            vec!["application/x-www-form-urlencodedx"],
            GRANT.into(),
            false,
        ),
        ("/oauth/token", vec![form, form], GRANT.into(), false),
        (
            "/oauth/token?grant_type=client_credentials",
            vec![form],
            Vec::new(),
            false,
        ),
        ("/oauth/token?x", vec![form], GRANT.into(), false),
        ("/oauth/token", vec![form], b"grant_type=%".to_vec(), false),
        ("/oauth/token", vec![form], vec![b'a'; MAX_BODY + 1], false),
    ];
    for (path, types, body, good) in cases {
        let mut request = Request::post(path).header("authorization", world.basic());
        for value in &types {
            request = request.header(CONTENT_TYPE, *value);
        }
        let seen = world
            .send(request.body(Body::from(body)).expect("a request"))
            .await;
        if good {
            assert_eq!(seen.status, StatusCode::OK, "{types:?}");
        } else {
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path} {types:?}");
            assert_eq!(seen.json()["error"], "invalid_request", "{path} {types:?}");
        }
    }
}

#[tokio::test]
async fn b07_two_authorization_headers_are_refused() {
    let world = World::new().await;
    let request = world
        .form("/oauth/token")
        .header("authorization", world.basic())
        .header("authorization", world.basic())
        .body(Body::from(GRANT))
        .expect("a request");
    assert_eq!(world.send(request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_server_that_can_not_record_says_when_to_try_again() {
    let world = World::new().await;
    world.readiness.0.store(false, Ordering::SeqCst);
    let seen = world.post("/oauth/token", GRANT).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.json()["error"], "temporarily_unavailable");
    assert_eq!(seen.header(RETRY_AFTER), Some("5"));
}

#[tokio::test]
async fn documents_may_be_kept_for_five_minutes() {
    let world = World::new().await;
    let documents = [
        (
            "/.well-known/oauth-authorization-server",
            "application/json",
            "issuer",
        ),
        (
            "/.well-known/openid-configuration",
            "application/json",
            "issuer",
        ),
        ("/jwks.json", "application/jwk-set+json", "keys"),
        ("/upstream/jwks.json", "application/jwk-set+json", "keys"),
    ];
    for (path, content_type, member) in documents {
        let seen = world.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        assert_eq!(seen.header(CONTENT_TYPE), Some(content_type), "{path}");
        assert_eq!(
            seen.header(CACHE_CONTROL),
            Some("public, max-age=300"),
            "{path}"
        );
        assert!(!seen.json()[member].is_null(), "{path}");
    }
    let access = world.get("/jwks.json").await.json();
    let upstream = world.get("/upstream/jwks.json").await.json();
    assert_ne!(access["keys"][0]["kid"], upstream["keys"][0]["kid"]);
}

#[tokio::test]
async fn every_url_of_the_metadata_answers() {
    let world = World::new().await;
    let metadata = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    for (name, value) in metadata.as_object().expect("an object") {
        let Some(path) = value.as_str().and_then(|url| url.strip_prefix(ISSUER)) else {
            continue;
        };
        if path.is_empty() {
            continue;
        }
        let expected = match name.as_str() {
            "jwks_uri" => StatusCode::OK,
            // It takes a token by GET, and there is none.
            "userinfo_endpoint" => StatusCode::UNAUTHORIZED,
            // Where people come, pages answer: `crate::browser` has them.
            "authorization_endpoint" | "end_session_endpoint" => continue,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        let status = world.get(path).await.status;
        assert_eq!(status, expected, "{name}");
    }
}

#[tokio::test]
async fn tokens_are_asked_for_by_post_alone() {
    let world = World::new().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let request = Request::builder()
            .method(method.clone())
            .uri("/oauth/token");
        let seen = world
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(seen.header(ALLOW), Some("POST"));
    }
}

#[tokio::test]
async fn a_request_that_no_permit_let_through_gets_500() {
    let world = World::new().await;
    let endpoints = Endpoints::new(ISSUER, false).expect("an issuer");
    for endpoint in Endpoint::ALL {
        // Pages and registration have routers of their own.
        if endpoint.is_for_browsers() || endpoint.takes_json() {
            continue;
        }
        let method = if endpoint.takes_form() {
            Method::POST
        } else {
            Method::GET
        };
        let request = Request::builder()
            .method(method)
            .uri(endpoints.path(endpoint))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("authorization", world.basic())
            .body(Body::from(GRANT))
            .expect("a request");
        let seen = world.send_bare(request).await;
        assert_eq!(
            seen.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{endpoint:?}"
        );
        assert_eq!(seen.header(CONTENT_TYPE), Some("application/problem+json"));
        assert_eq!(seen.json()["type"], "urn:doorward:error:internal-error");
    }
}

#[test]
fn scripts_may_ask_from_the_origins_of_clients_and_without_cookies() {
    let client = |origins: &[&str]| {
        let mut client = ClientMeaning::service(
            ClientId::new("page"),
            ApplicationId::new("shop"),
            ClientAuthMethod::None,
        );
        client.allowed_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        client
    };
    assert_eq!(for_scripts(&[client(&[])]), None);
    let clients = [
        client(&["https://b.example", "https://a.example"]),
        client(&["https://b.example"]),
    ];
    let cors = for_scripts(&clients).expect("origins");
    assert_eq!(cors.origins, ["https://a.example", "https://b.example"]);
    assert!(!cors.credentials);
    assert!(cors.headers.contains(&HeaderName::from_static("dpop")));
    assert!(cors.expose.contains(&DPOP_NONCE));
}

#[tokio::test]
async fn the_declaration_has_a_public_route_for_every_endpoint_and_page_and_no_other() {
    let endpoints = Endpoints::new(ISSUER, false).expect("an issuer");
    let api = built_in_api(
        &endpoints,
        vec!["id.example.com".to_owned()],
        Brand::default(),
        None,
    );
    let routes: Vec<_> = api
        .routes
        .iter()
        .map(|route| {
            let methods: Vec<_> = route.methods.iter().map(Method::as_str).collect();
            format!(
                "{} {} {:?}",
                methods.join(","),
                route.path.written,
                route.judged.demand
            )
        })
        .collect();
    let document = "Public { pass_authorization: false }";
    let form = "Public { pass_authorization: true }";
    assert_eq!(
        routes,
        [
            format!("GET,HEAD /.well-known/oauth-authorization-server {document}"),
            format!("GET,HEAD /.well-known/openid-configuration {document}"),
            format!("GET,HEAD /jwks.json {document}"),
            format!("GET,HEAD /upstream/jwks.json {document}"),
            format!("GET,HEAD,POST /oauth/authorize {document}"),
            format!("POST /oauth/par {form}"),
            format!("POST /oauth/token {form}"),
            format!("POST /oauth/device {form}"),
            format!("GET,HEAD,POST /oauth/userinfo {form}"),
            format!("POST /oauth/introspect {form}"),
            format!("POST /oauth/revoke {form}"),
            format!("GET,HEAD,POST /oauth/end_session {document}"),
            format!("GET,HEAD,POST /login {document}"),
            format!("GET,HEAD,POST /consent {document}"),
            format!("GET,HEAD,POST /device {document}"),
            format!("GET,HEAD,POST /logout {document}"),
            format!("GET,HEAD /assets/{{file}} {document}"),
        ]
    );
}
