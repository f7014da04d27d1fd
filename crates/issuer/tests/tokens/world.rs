//! The world that these tests run in: a database of their own, people in memory, clients that hold
//! keys, a clock that is a number.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use issuer::declared::Declared;
use issuer::error::{Outcome, Reason};
use issuer::flow::{Authentication, Code, CodeIssued, Flows as _, Grant, NewCode};
use issuer::grant::TokenResponse;
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::Endpoints;
use issuer::params::Params;
use issuer::ports::{
    Alarms, Boxed, ClientKeys, FirstUse, People, Person, PersonCheck, Readiness, Replay,
    Revocation, Revocations, Secrets, TokenNames,
};
use issuer::userinfo::Userinfo;
use issuer::{DpopHeader, Issuer, IssuerSettings, OAuthRequest, Ports, Sender};
use proof::base64url;
use proof::digest::{TokenHash, sha256};
use proof::issued::{Brand, Environment, Presented};
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{DecryptionKey, DecryptionKeys};
use proof::jose::jwk::JwkSet;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::random::{SystemEntropy, uuid_v7};
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::api::{ApiMeaning, IdentityForward, TokenFormat, UpstreamMeaning};
use registry::audit::AuditDraft;
use registry::client::{
    ClientAuthMethod, ClientKind, ClientMeaning, GrantType, IdentityScope, Profile,
    SenderConstraint,
};
use serde_json::{Map, Value, json};
use store::{Location, Settings, Store};
use verdict::facts::{Answer, KeyCheck, Unavailable};
use verdict::identity::{ApplicationId, ClientId, RoleName, Scopes};
use verdict::route::{Api, ApiName, TokenEncryption};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const TOKEN: &str = "https://id.example.com/oauth/token";
pub(crate) const USERINFO: &str = "https://id.example.com/oauth/userinfo";
pub(crate) const ORDERS: &str = "https://api.example.com/orders";
pub(crate) const STOCK: &str = "https://api.example.com/stock";
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// RFC 7636 §B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Alice, the replay memory and the list of revocations.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) alice_is_gone: Mutex<bool>,
    used: Mutex<HashSet<String>>,
    /// What operators heard.
    pub(crate) alarms: Mutex<Vec<String>>,
    revoked: Mutex<Vec<Revocation>>,
}

impl People for Surroundings {
    async fn check_password(
        &self,
        _username: &str,
        _password: &Secret,
        _from: IpAddr,
        _now: Timestamp,
    ) -> Answer<PersonCheck> {
        Ok(PersonCheck::Refused)
    }
    async fn person(&self, subject: &str, _now: Timestamp) -> Answer<Option<Arc<Person>>> {
        if subject != "sub-alice" || *self.alice_is_gone.lock().expect("lock") {
            return Ok(None);
        }
        let mut claims = Map::new();
        claims.insert("name".to_owned(), json!("Alice Example"));
        claims.insert("email".to_owned(), json!("alice@example.com"));
        claims.insert("phone_number".to_owned(), json!("+1 555 0100"));
        Ok(Some(Arc::new(Person {
            subject: subject.to_owned(),
            username: "alice".to_owned(),
            claims,
            roles: vec![RoleName::new("clerk")],
            environment: Environment::Live,
        })))
    }
}

impl Secrets for Surroundings {
    async fn check(&self, _presented: &Presented<'_>, _now: Timestamp) -> Answer<KeyCheck> {
        Ok(KeyCheck::Unknown)
    }
}

impl Revocations for Surroundings {
    fn revoked(&self, token: &TokenNames<'_>) -> Answer<bool> {
        let revoked = self.revoked.lock().expect("lock");
        Ok(revoked.iter().any(|revocation| match revocation {
            Revocation::Token { token_id, .. } => token_id == token.token_id,
            Revocation::Grant { grant_id, .. } => Some(&**grant_id) == token.grant_id,
            Revocation::ClientEpoch { .. } => false,
        }))
    }
    fn learn(&self, revocation: &Revocation) {
        self.revoked.lock().expect("lock").push(revocation.clone());
    }
}

impl Alarms for Surroundings {
    fn refresh_reused(&self, grant: &Grant, request_id: &str) {
        let heard = format!("{} {} {request_id}", grant.subject, grant.client_id);
        self.alarms.lock().expect("lock").push(heard);
    }
}

impl Readiness for Surroundings {
    fn can_record(&self) -> bool {
        true
    }
}

impl Replay for Surroundings {
    fn first_use<'a>(
        &'a self,
        scope: &'a str,
        id: &'a str,
        _until: Timestamp,
        _now: Timestamp,
    ) -> Boxed<'a, Answer<FirstUse>> {
        let fresh = self
            .used
            .lock()
            .expect("lock")
            .insert(format!("{scope} {id}"));
        Box::pin(async move {
            Ok(if fresh {
                FirstUse::Yes
            } else {
                FirstUse::Replayed
            })
        })
    }
}

impl ClientKeys for Surroundings {
    fn keys<'a>(
        &'a self,
        _at: &'a url::Url,
        _kid: Option<&'a str>,
    ) -> Boxed<'a, Answer<Arc<[VerifyingKey]>>> {
        Box::pin(async { Err(Unavailable::KeySet) })
    }
}

pub(crate) struct World {
    pub(crate) issuer: Issuer<Store, Surroundings>,
    pub(crate) store: Arc<Store>,
    pub(crate) surroundings: Arc<Surroundings>,
    /// The key of every client that has one.
    pub(crate) client_key: SigningKey,
    /// A DPoP key, and another.
    pub(crate) mine: SigningKey,
    pub(crate) other: SigningKey,
    now: AtomicI64,
    count: AtomicU64,
    _directory: tempfile::TempDir,
}

fn api(name: &str, environment: Environment, token_format: TokenFormat) -> ApiMeaning {
    ApiMeaning {
        judged: Arc::new(Api {
            name: ApiName::new(name),
            audiences: vec![format!("https://api.example.com/{name}").as_str().into()],
            environment,
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
        scopes: ["read", "write"]
            .map(|verb| (format!("{name}:{verb}"), String::new()))
            .to_vec(),
        token_lifetime: Duration::from_secs(600),
        token_format,
        routes: Vec::new(),
    }
}

/// Keys that an API opens its tokens with, the current one first.
pub(crate) type Keys = Option<Arc<DecryptionKeys>>;

/// An RSA key (0), one on P-256 (1), or another (2), from the vectors.
pub(crate) fn key(index: usize) -> DecryptionKey {
    let vectors = include_str!("../../../../vectors/jose/jwe.json");
    let vectors: Value = serde_json::from_str(vectors).expect("JSON");
    let pem = match index {
        2 => &vectors["agreement"]["pem"],
        index => &vectors["keys"][index]["pem"],
    };
    let pem = pem.as_str().expect("a key");
    DecryptionKey::from_pem(&Secret::from_text(pem.to_owned())).expect("a key")
}

/// Several of them.
pub(crate) fn keys<const N: usize>(indexes: [usize; N]) -> Keys {
    Some(Arc::new(DecryptionKeys::new(indexes.map(key).into())))
}

fn client(id: &str, kind: ClientKind, method: ClientAuthMethod) -> ClientMeaning {
    ClientMeaning {
        kind,
        grant_types: GrantType::ALL.to_vec(),
        redirect_uris: vec![format!("https://{id}.example/cb")],
        identity_scopes: vec![
            IdentityScope::Openid,
            IdentityScope::Profile,
            IdentityScope::Email,
            IdentityScope::OfflineAccess,
        ],
        grants: vec![
            (
                ApiName::new("orders"),
                Scopes::new(["orders:read", "orders:write"]),
            ),
            (ApiName::new("stock"), Scopes::new(["stock:read"])),
        ],
        ..ClientMeaning::service(ClientId::new(id), ApplicationId::new("shop"), method)
    }
}

/// `phone` (public), `spa` (browser), `web` and `twin` (private_key_jwt), `fapi`, `compat`,
/// `stockd` (resource server of `orders` that may call `stock`), `nothing` (no grants), `test`.
fn clients(key: &SigningKey) -> Vec<ClientMeaning> {
    let keyed = |id: &str| {
        let mut client = client(
            id,
            ClientKind::Confidential,
            ClientAuthMethod::PrivateKeyJwt,
        );
        client.jwks = Some(JwkSet::new(vec![key.public_jwk()]));
        client
    };
    let mut fapi = keyed("fapi");
    fapi.profile = Profile::Fapi2;
    fapi.sender_constraint = SenderConstraint::Dpop;
    let mut compat = keyed("compat");
    compat.profile = Profile::OidcCompat;
    let mut stockd = keyed("stockd");
    stockd.introspects = vec![ApiName::new("orders")];
    stockd.grants.remove(0);
    let mut nothing = keyed("nothing");
    nothing.grant_types = Vec::new();
    let mut test = keyed("test");
    test.environment = Environment::Test;
    test.grants = vec![(ApiName::new("sandbox"), Scopes::new(["sandbox:read"]))];
    vec![
        client("phone", ClientKind::Native, ClientAuthMethod::None),
        client("spa", ClientKind::Browser, ClientAuthMethod::None),
        keyed("web"),
        keyed("twin"),
        fapi,
        compat,
        stockd,
        nothing,
        test,
    ]
}

fn declared(client_key: &SigningKey, formats: [TokenFormat; 2], keys: [Keys; 2]) -> Declared {
    changed(client_key, formats, keys, |_| {})
}

fn changed(
    client_key: &SigningKey,
    formats: [TokenFormat; 2],
    keys: [Keys; 2],
    change: impl Fn(&mut ClientMeaning),
) -> Declared {
    let mut apis = vec![api("sandbox", Environment::Test, TokenFormat::Jwt)];
    let mut held = Vec::new();
    for ((name, format), keys) in ["orders", "stock"].into_iter().zip(formats).zip(keys) {
        let mut api = api(name, Environment::Live, format);
        if let Some(keys) = keys {
            let judged = Arc::get_mut(&mut api.judged).expect("nobody else has it");
            judged.encryption = Some(TokenEncryption { required: true });
            held.push((ApiName::new(name), keys));
        }
        apis.push(api);
    }
    let mut clients = clients(client_key);
    // Nobody here needs an RSA key.
    for client in &mut clients {
        client.id_token_alg = Algorithm::ES256;
        change(client);
    }
    Declared::new(&apis, &clients, &held).expect("a sound declaration")
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::made(None, [TokenFormat::Jwt; 2]).await
    }

    /// The forms of tokens for `orders` and for `stock`.
    pub(crate) async fn with(orders: TokenFormat, stock: TokenFormat) -> Self {
        Self::made(None, [orders, stock]).await
    }

    /// The keys that tokens for `orders` and for `stock` are encrypted to.
    pub(crate) async fn encrypting(orders: Keys, stock: Keys) -> Self {
        let world = Self::new().await;
        world.encrypt(orders, stock);
        world
    }

    /// Other keys are declared.
    pub(crate) fn encrypt(&self, orders: Keys, stock: Keys) {
        let formats = [TokenFormat::Jwt; 2];
        self.issuer
            .declare(declared(&self.client_key, formats, [orders, stock]));
    }

    /// Other clients are declared.
    pub(crate) fn change_clients(&self, change: impl Fn(&mut ClientMeaning)) {
        let (formats, keys) = ([TokenFormat::Jwt; 2], [None, None]);
        self.issuer
            .declare(changed(&self.client_key, formats, keys, change));
    }

    /// One process that remembers proofs by itself.
    pub(crate) async fn of_one_process() -> Self {
        let proofs = Some(Arc::new(Surroundings::default()));
        Self::made(proofs, [TokenFormat::Jwt; 2]).await
    }

    async fn made(proofs: Option<Arc<Surroundings>>, formats: [TokenFormat; 2]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = Location::Sqlite(directory.path().join("test.db"));
        let store = Arc::new(Store::open(&Settings::new(at)).await.expect("a database"));
        let surroundings = Arc::new(Surroundings::default());
        let client_key = SigningKey::generate(Algorithm::ES256).expect("a key");
        let issuer = Self::process(&store, &surroundings, &client_key, proofs, formats).await;
        let key = || SigningKey::generate(Algorithm::ES256).expect("a key");
        Self {
            issuer,
            store,
            surroundings,
            client_key,
            mine: key(),
            other: key(),
            now: AtomicI64::new(NOW.as_millis()),
            count: AtomicU64::new(0),
            _directory: directory,
        }
    }

    /// The process that remembers proofs by itself ends, and another one begins.
    pub(crate) async fn restart(&mut self) {
        let proofs = Some(Arc::new(Surroundings::default()));
        let (store, surroundings) = (&self.store, &self.surroundings);
        let formats = [TokenFormat::Jwt; 2];
        self.issuer = Self::process(store, surroundings, &self.client_key, proofs, formats).await;
    }

    async fn process(
        store: &Arc<Store>,
        surroundings: &Arc<Surroundings>,
        client_key: &SigningKey,
        proofs: Option<Arc<Surroundings>>,
        formats: [TokenFormat; 2],
    ) -> Issuer<Store, Surroundings> {
        let kek = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
        let keys = Arc::new(KeyManager::new(
            store.clone(),
            Arc::new(KekRing::new(kek)),
            KeySettings::default(),
            Arc::new(SystemEntropy),
        ));
        keys.start(NOW).await.expect("keys");
        let issuer = Issuer::new(
            Endpoints::new(ISSUER, false).expect("an issuer"),
            IssuerSettings::default(),
            Ports {
                store: store.clone(),
                secrets: surroundings.clone(),
                revocations: surroundings.clone(),
                replay: surroundings.clone(),
                proofs: proofs.map(|proofs| proofs as Arc<dyn Replay>),
                client_keys: surroundings.clone(),
                client_authority: None,
                readiness: surroundings.clone(),
                alarms: surroundings.clone(),
                uses: Arc::new(()),
                entropy: Arc::new(SystemEntropy),
            },
            keys,
        );
        issuer.declare(declared(client_key, formats, [None, None]));
        issuer
            .keys()
            .tick(NOW)
            .await
            .expect("the keys of ID tokens");
        assert!(!issuer.keys().lacks());
        issuer
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
    pub(crate) fn wait(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst)
    }

    fn draft(&self) -> AuditDraft {
        AuditDraft {
            id: uuid_v7(self.now(), &SystemEntropy),
            at: self.now(),
            actor: "person:sub-alice".to_owned(),
            action: "grant.create",
            subject: "grant".to_owned(),
            request_id: "request".to_owned(),
            details: std::collections::BTreeMap::new(),
        }
    }

    /// A grant of alice's, as the authorization endpoint makes it.
    pub(crate) fn grant(&self, client: &str) -> Grant {
        Grant {
            id: uuid_v7(self.now(), &SystemEntropy),
            client_id: ClientId::new(client),
            subject: "sub-alice".to_owned(),
            session: Some("session-1".to_owned()),
            scopes: [
                "openid",
                "profile",
                "orders:read",
                "orders:write",
                "stock:read",
            ]
            .map(str::to_owned)
            .to_vec(),
            audiences: vec![ORDERS.to_owned(), STOCK.to_owned()],
            authentication: Authentication {
                at: self.now(),
                acr: "pwd".to_owned(),
                amr: vec!["pwd".to_owned()],
            },
            claims: None,
            binding: None,
            // No session is opened here that it could end with.
            offline: true,
            created_at: self.now(),
            until: self.now().plus(Duration::from_secs(90 * 24 * 3600)),
        }
    }

    /// A code of alice's.
    pub(crate) async fn code(&self, client: &str) -> String {
        self.code_with(client, |_| {}).await
    }

    pub(crate) async fn code_with(
        &self,
        client: &str,
        change: impl FnOnce(&mut NewCode),
    ) -> String {
        let code = format!("code-{client}-{}", self.next());
        let mut new = NewCode {
            hash: TokenHash::of(code.as_bytes()),
            code: Code {
                redirect_uri: Some(format!("https://{client}.example/cb")),
                code_challenge: Some(CHALLENGE.to_owned()),
                nonce: Some("n-1".to_owned()),
                dpop_jkt: None,
                until: self.now().plus(Duration::from_secs(60)),
            },
            grant: self.grant(client),
            spends: None,
            consent: None,
            withdrawn: Vec::new(),
        };
        change(&mut new);
        let issued = self.store.issue_code(new, self.draft()).await;
        assert_eq!(issued.expect("a database"), CodeIssued::Issued);
        code
    }

    /// What proves a client, as a part of a form.
    pub(crate) fn auth(&self, client: &str) -> String {
        if matches!(client, "phone" | "spa") {
            return format!("&client_id={client}");
        }
        let now = self.now().as_secs();
        let claims = json!({
            "iss": client, "sub": client, "aud": ISSUER, "iat": now, "exp": now + 60,
            "jti": format!("jti-{}", self.next()),
        });
        let assertion = jws::sign(&self.client_key, "JWT", &claims.to_string());
        format!(
            "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={assertion}"
        )
    }

    /// A good proof for the token endpoint.
    pub(crate) fn proof(&self, key: &SigningKey) -> String {
        let nonce = self.issuer.dpop_nonce(self.now());
        self.proof_with(key, |claims| claims["nonce"] = json!(nonce))
    }

    pub(crate) fn proof_with(&self, key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "jti": format!("proof-{}", self.next()), "htm": "POST", "htu": TOKEN,
            "iat": self.now().as_secs(),
        });
        change(&mut claims);
        let header = json!({
            "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk().to_json(),
        });
        let mut text = base64url::encode(header.to_string().as_bytes());
        text.push('.');
        text.push_str(&base64url::encode(claims.to_string().as_bytes()));
        let signature = key.sign(text.as_bytes());
        format!("{text}.{}", base64url::encode(&signature))
    }

    pub(crate) async fn send(
        &self,
        body: &str,
        proof: Option<&str>,
    ) -> Result<TokenResponse, Reason> {
        let params = Params::parse(body.as_bytes()).map_err(|refusal| refusal.reason())?;
        let request = self.request(&params, None, proof);
        reason(self.issuer.token(&request).await)
    }

    pub(crate) fn request<'a>(
        &self,
        params: &'a Params<'a>,
        authorization: Option<&'a [u8]>,
        proof: Option<&'a str>,
    ) -> OAuthRequest<'a> {
        OAuthRequest {
            authorization,
            params,
            sender: Sender {
                dpop: proof.map_or(DpopHeader::Absent, |text| DpopHeader::One(text.as_bytes())),
                ..Sender::at(Ipv4Addr::LOCALHOST.into())
            },
            request_id: "request-1",
            now: self.now(),
        }
    }

    /// A token request of a client that proves itself.
    pub(crate) async fn ask(&self, client: &str, form: &str) -> Result<TokenResponse, Reason> {
        self.send(&format!("{form}{}", self.auth(client)), None)
            .await
    }

    pub(crate) async fn ask_with(
        &self,
        client: &str,
        form: &str,
        key: &SigningKey,
    ) -> Result<TokenResponse, Reason> {
        let proof = self.proof(key);
        self.send(&format!("{form}{}", self.auth(client)), Some(&proof))
            .await
    }

    /// Redeems a fresh code.
    pub(crate) async fn tokens(&self, client: &str) -> TokenResponse {
        let form = redeem(&self.code(client).await);
        let answer = self.ask(client, &form).await;
        answer.unwrap_or_else(|reason| panic!("refused: {reason:?}"))
    }

    pub(crate) async fn userinfo(
        &self,
        scheme: &str,
        token: &str,
        proof: Option<&str>,
    ) -> Result<Userinfo, Reason> {
        let header = format!("{scheme} {token}");
        let params = Params::parse(b"").expect("an empty form");
        let request = self.request(&params, Some(header.as_bytes()), proof);
        reason(self.issuer.userinfo(&request, "GET").await)
    }

    pub(crate) async fn introspect(&self, client: &str, token: &str) -> Value {
        let body = format!("token={token}{}", self.auth(client));
        let params = Params::parse(body.as_bytes()).expect("a form");
        let answer = self
            .issuer
            .introspect(&self.request(&params, None, None))
            .await;
        serde_json::to_value(answer.expect("an answer")).expect("JSON")
    }

    pub(crate) async fn revoke(&self, client: &str, token: &str) -> Result<(), Reason> {
        let body = format!("token={token}{}", self.auth(client));
        let params = Params::parse(body.as_bytes()).expect("a form");
        reason(self.issuer.revoke(&self.request(&params, None, None)).await)
    }
}

/// The form of a good redemption.
pub(crate) fn redeem(code: &str) -> String {
    format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}")
}

pub(crate) fn refresh(token: &str) -> String {
    format!("grant_type=refresh_token&refresh_token={token}")
}

/// The claims of a token that this test's issuer signed.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWS");
    let json = base64url::decode(payload.as_bytes()).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

pub(crate) fn ath(token: &str) -> String {
    base64url::encode(&sha256(token.as_bytes()))
}

fn reason<T>(outcome: Outcome<T>) -> Result<T, Reason> {
    outcome.map_err(|refusal| refusal.reason())
}
