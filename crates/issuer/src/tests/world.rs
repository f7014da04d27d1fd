//! The world that tests run in: every port in memory, a clock that is a number, clients and APIs.

use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use proof::digest::TokenHash;
use proof::issued::{Brand, Environment, Issued, Presented, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::password::Verifier;
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::api::{ApiMeaning, IdentityForward, UpstreamMeaning};
use registry::audit::AuditDraft;
use registry::client::{ClientAuthMethod, ClientMeaning};
use registry::ports::{StoreError, Stores};
use registry::record::ClientUse;
use serde_json::Value;
use verdict::facts::{Answer, KeyCheck, Unavailable};
use verdict::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, IssuedKey, LifeState, Principal, RoleName,
    Scopes, Standing,
};
use verdict::route::{Api, ApiName};

use crate::declared::Declared;
use crate::error::{ErrorCode, Reason};
use crate::flow::{
    Code, CodeIssued, Device, DeviceDecision, EndReason, FlowFilter, Flows, Grant, GrantState,
    ListedGrant, LogoutNotice, NewCode, NewRefresh, NewTokens, Polled, Pushed, Redeemed, Refresh,
    Refreshed, Remembered, Session,
};
use crate::grant::TokenResponse;
use crate::introspect::Introspection;
use crate::keys::{KeyManager, KeySettings};
use crate::metadata::Endpoints;
use crate::params::Params;
use crate::ports::{
    Boxed, ClientKeys, FirstUse, IssuerStore, KeptToken, KeyPurpose, KeyState, People, Person,
    PersonCheck, Readiness, Replay, Revocation, Revocations, Secrets, StoredKey, TokenNames, Uses,
};
use crate::{Issuer, IssuerSettings, OAuthRequest, Ports};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const TOKEN_ENDPOINT: &str = "https://id.example.com/oauth/token";
pub(crate) const ORDERS: &str = "https://api.example.com/orders";
pub(crate) const STOCK: &str = "https://api.example.com/stock";
/// The clock's start.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The store in memory, with a switch that takes it away.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) keys: Mutex<Vec<StoredKey>>,
    used: Mutex<HashSet<(String, String)>>,
    pub(crate) revoked: Mutex<Vec<Revocation>>,
    pub(crate) kept: Mutex<HashMap<TokenHash, KeptToken>>,
    pub(crate) audit: Mutex<Vec<AuditDraft>>,
    pub(crate) away: AtomicBool,
}

impl MemoryStore {
    fn here(&self) -> Stores<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(
                "switched off by the test".to_owned(),
            ));
        }
        Ok(())
    }
    pub(crate) fn actions(&self) -> Vec<&'static str> {
        self.audit
            .lock()
            .expect("lock")
            .iter()
            .map(|event| event.action)
            .collect()
    }
}

fn retire_active(keys: &mut [StoredKey], purpose: KeyPurpose, until: Timestamp) {
    for key in keys.iter_mut().filter(|key| key.purpose == purpose) {
        if key.state == KeyState::Active {
            key.state = KeyState::Retiring { until };
        }
    }
}

impl IssuerStore for MemoryStore {
    async fn signing_keys(&self, purpose: KeyPurpose) -> Stores<Vec<StoredKey>> {
        self.here()?;
        let keys = self.keys.lock().expect("lock");
        let mut found: Vec<_> = keys
            .iter()
            .filter(|key| key.purpose == purpose && key.state != KeyState::Retired)
            .cloned()
            .collect();
        found.sort_by_key(|key| core::cmp::Reverse(key.created_at));
        Ok(found)
    }
    async fn publish_key(
        &self,
        key: StoredKey,
        activate: Option<Timestamp>,
        audit: AuditDraft,
    ) -> Stores<()> {
        self.here()?;
        let mut keys = self.keys.lock().expect("lock");
        if let Some(until) = activate {
            retire_active(&mut keys, key.purpose, until);
        }
        keys.push(key);
        self.audit.lock().expect("lock").push(audit);
        Ok(())
    }
    async fn activate_key(
        &self,
        kid: &str,
        at: Timestamp,
        old_until: Timestamp,
        audit: AuditDraft,
    ) -> Stores<bool> {
        self.here()?;
        let mut keys = self.keys.lock().expect("lock");
        let Some(purpose) = keys
            .iter()
            .find(|key| key.kid == kid && key.state == KeyState::Published)
            .map(|key| key.purpose)
        else {
            return Ok(false);
        };
        retire_active(&mut keys, purpose, old_until);
        for key in keys.iter_mut().filter(|key| key.kid == kid) {
            key.state = KeyState::Active;
            key.activated_at = Some(at);
        }
        self.audit.lock().expect("lock").push(audit);
        Ok(true)
    }
    async fn retire_due_keys(&self, now: Timestamp, audit: AuditDraft) -> Stores<Vec<String>> {
        self.here()?;
        let mut retired = Vec::new();
        for key in self.keys.lock().expect("lock").iter_mut() {
            if matches!(key.state, KeyState::Retiring { until } if until <= now) {
                key.state = KeyState::Retired;
                retired.push(key.kid.clone());
            }
        }
        self.audit.lock().expect("lock").push(audit);
        Ok(retired)
    }
    async fn first_use(
        &self,
        scope: &str,
        id: &str,
        _until: Timestamp,
        _now: Timestamp,
    ) -> Stores<FirstUse> {
        self.here()?;
        let fresh = self
            .used
            .lock()
            .expect("lock")
            .insert((scope.to_owned(), id.to_owned()));
        Ok(if fresh {
            FirstUse::Yes
        } else {
            FirstUse::Replayed
        })
    }
    async fn revoke(&self, revocation: Revocation, audit: AuditDraft) -> Stores<()> {
        self.here()?;
        self.revoked.lock().expect("lock").push(revocation);
        self.audit.lock().expect("lock").push(audit);
        Ok(())
    }
    async fn revocations(&self, _now: Timestamp) -> Stores<Vec<Revocation>> {
        self.here()?;
        Ok(self.revoked.lock().expect("lock").clone())
    }
    async fn keep_token(&self, token: KeptToken) -> Stores<()> {
        self.here()?;
        self.kept.lock().expect("lock").insert(token.hash, token);
        Ok(())
    }
    async fn kept_token(&self, hash: &TokenHash) -> Stores<Option<String>> {
        self.here()?;
        let kept = self.kept.lock().expect("lock");
        Ok(kept.get(hash).map(|token| token.claims.clone()))
    }
}

/// What the flows' own tests need a real store for.
impl Flows for MemoryStore {
    async fn issue_code(&self, _new: NewCode, _audit: AuditDraft) -> Stores<CodeIssued> {
        no_flows()
    }
    async fn redeem_code(
        &self,
        _hash: TokenHash,
        _client_id: &ClientId,
        _tokens: NewTokens,
        _now: Timestamp,
        _audit: AuditDraft,
        _reused: AuditDraft,
    ) -> Stores<Redeemed> {
        no_flows()
    }
    async fn code(&self, _hash: TokenHash, _now: Timestamp) -> Stores<Option<(Code, Grant)>> {
        no_flows()
    }
    async fn refresh(
        &self,
        _refresh: Refresh<'_>,
        _audit: AuditDraft,
        _reused: AuditDraft,
    ) -> Stores<Refreshed> {
        no_flows()
    }
    async fn refresh_token(
        &self,
        _hash: TokenHash,
        _now: Timestamp,
    ) -> Stores<Option<(Grant, GrantState, bool, Timestamp)>> {
        no_flows()
    }
    async fn push(&self, _hash: TokenHash, _pushed: Pushed) -> Stores<()> {
        no_flows()
    }
    async fn pushed(&self, _hash: TokenHash, _now: Timestamp) -> Stores<Option<Pushed>> {
        no_flows()
    }
    async fn open_session(
        &self,
        _handle: TokenHash,
        _session: Session,
        _replaces: Option<TokenHash>,
        _audit: AuditDraft,
    ) -> Stores<()> {
        no_flows()
    }
    async fn session(&self, _handle: TokenHash, _now: Timestamp) -> Stores<Option<Session>> {
        no_flows()
    }
    async fn touch_session(&self, _id: &str, _idle_until: Timestamp) -> Stores<()> {
        no_flows()
    }
    async fn end_sessions(
        &self,
        _which: &FlowFilter,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<Vec<Session>> {
        no_flows()
    }
    async fn sessions(
        &self,
        _which: &FlowFilter,
        _now: Timestamp,
        _limit: u32,
    ) -> Stores<Vec<Session>> {
        no_flows()
    }
    async fn remembered(&self, _subject: &str, _client_id: &ClientId) -> Stores<Remembered> {
        no_flows()
    }
    async fn end_grants(
        &self,
        _which: &FlowFilter,
        _reason: EndReason,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<Vec<Grant>> {
        no_flows()
    }
    async fn grants(
        &self,
        _which: &FlowFilter,
        _now: Timestamp,
        _limit: u32,
    ) -> Stores<Vec<ListedGrant>> {
        no_flows()
    }
    async fn start_device(
        &self,
        _hash: TokenHash,
        _device: Device,
        _now: Timestamp,
    ) -> Stores<bool> {
        no_flows()
    }
    async fn device(&self, _user_code: &str, _now: Timestamp) -> Stores<Option<Device>> {
        no_flows()
    }
    async fn decide_device(
        &self,
        _user_code: &str,
        _decision: DeviceDecision,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<bool> {
        no_flows()
    }
    async fn approved_device(
        &self,
        _hash: TokenHash,
        _client_id: &ClientId,
        _now: Timestamp,
    ) -> Stores<Option<Grant>> {
        no_flows()
    }
    async fn poll_device(
        &self,
        _hash: TokenHash,
        _client_id: &ClientId,
        _refresh: Option<NewRefresh>,
        _now: Timestamp,
        _audit: AuditDraft,
    ) -> Stores<Polled> {
        no_flows()
    }
    async fn due_notices(
        &self,
        _now: Timestamp,
        _lease_until: Timestamp,
        _limit: u32,
    ) -> Stores<Vec<LogoutNotice>> {
        no_flows()
    }
    async fn settle_notice(&self, _id: &str) -> Stores<()> {
        no_flows()
    }
}

fn no_flows<T>() -> Stores<T> {
    Err(StoreError::Unavailable("no flows in memory".to_owned()))
}

/// Client secrets in memory; counts the hashes that a real pool would compute.
#[derive(Default)]
pub(crate) struct MemorySecrets {
    pub(crate) keys: Mutex<HashMap<String, IssuedKey>>,
    pub(crate) hashed: Mutex<u32>,
    pub(crate) full: AtomicBool,
}

impl Secrets for MemorySecrets {
    async fn check(&self, presented: &Presented<'_>, _now: Timestamp) -> Answer<KeyCheck> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Unavailable::HashingPool);
        }
        let found = self
            .keys
            .lock()
            .expect("lock")
            .get(presented.id.as_str())
            .cloned();
        let Some(key) = found else {
            return Ok(KeyCheck::Unknown);
        };
        *self.hashed.lock().expect("lock") += 1;
        let key = Arc::new(key);
        Ok(match key.verifier.verify(presented.whole, None) {
            true => KeyCheck::Match(key),
            false => KeyCheck::Mismatch(key),
        })
    }
}

/// Nobody lives here.
impl People for MemorySecrets {
    async fn check_password(
        &self,
        _username: &str,
        _password: &Secret,
        _from: core::net::IpAddr,
        _now: Timestamp,
    ) -> Answer<PersonCheck> {
        Ok(PersonCheck::Refused)
    }
    async fn person(&self, _subject: &str, _now: Timestamp) -> Answer<Option<Arc<Person>>> {
        Ok(None)
    }
}

/// The replay memory, which forgets nothing, with a switch that takes it away.
#[derive(Default)]
pub(crate) struct MemoryReplay {
    used: Mutex<HashSet<(String, String)>>,
    pub(crate) away: AtomicBool,
}

impl Replay for MemoryReplay {
    fn first_use<'a>(
        &'a self,
        scope: &'a str,
        id: &'a str,
        _until: Timestamp,
        _now: Timestamp,
    ) -> Boxed<'a, Answer<FirstUse>> {
        if self.away.load(Ordering::SeqCst) {
            return Box::pin(async { Err(Unavailable::CutOff) });
        }
        let fresh = self
            .used
            .lock()
            .expect("lock")
            .insert((scope.to_owned(), id.to_owned()));
        Box::pin(async move {
            Ok(if fresh {
                FirstUse::Yes
            } else {
                FirstUse::Replayed
            })
        })
    }
}

/// No client publishes keys here.
pub(crate) struct NoClientKeys;

impl ClientKeys for NoClientKeys {
    fn keys<'a>(
        &'a self,
        _at: &'a url::Url,
        _kid: Option<&'a str>,
    ) -> Boxed<'a, Answer<Arc<[VerifyingKey]>>> {
        Box::pin(async { Err(Unavailable::KeySet) })
    }
}

/// What this node knows of revocations.
#[derive(Default)]
pub(crate) struct MemoryRevocations {
    known: Mutex<Vec<Revocation>>,
    cut_off: AtomicBool,
}

impl Revocations for MemoryRevocations {
    fn revoked(&self, token: &TokenNames<'_>) -> Answer<bool> {
        if self.cut_off.load(Ordering::SeqCst) {
            return Err(Unavailable::CutOff);
        }
        Ok(self
            .known
            .lock()
            .expect("lock")
            .iter()
            .any(|revocation| match revocation {
                Revocation::Token { token_id: dead, .. } => dead == token.token_id,
                Revocation::Grant { grant_id, .. } => Some(&**grant_id) == token.grant_id,
                Revocation::ClientEpoch {
                    client_id: owner,
                    before,
                    ..
                } => owner == token.client_id && token.issued_at < *before,
            }))
    }
    fn learn(&self, revocation: &Revocation) {
        self.known.lock().expect("lock").push(revocation.clone());
    }
}

/// A switch.
pub(crate) struct Switch(AtomicBool);

impl Readiness for Switch {
    fn can_record(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What clients authenticated with.
#[derive(Default)]
pub(crate) struct Noted(Mutex<Vec<ClientUse>>);

impl Noted {
    /// Client and credential of each use since the last time.
    pub(crate) fn take(&self) -> Vec<(String, String)> {
        let noted = core::mem::take(&mut *self.0.lock().expect("lock"));
        let told = noted.into_iter();
        told.map(|one| (one.client.to_string(), one.credential.to_string()))
            .collect()
    }
}

impl Uses for Noted {
    fn client_used(&self, used: ClientUse) {
        self.0.lock().expect("lock").push(used);
    }
}

pub(crate) struct World {
    pub(crate) issuer: Issuer<MemoryStore, MemorySecrets>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) secrets: Arc<MemorySecrets>,
    revocations: Arc<MemoryRevocations>,
    readiness: Arc<Switch>,
    pub(crate) replay: Arc<MemoryReplay>,
    pub(crate) used: Arc<Noted>,
    /// Clear secrets by client.
    clear: HashMap<&'static str, String>,
    /// Private keys by client.
    pub(crate) signing: HashMap<&'static str, SigningKey>,
}

pub(crate) fn api(
    name: &str,
    audience: &str,
    environment: Environment,
    minutes: u64,
) -> ApiMeaning {
    let scopes = if name == "stock" {
        ["stock:read", "stock:write"]
    } else {
        ["orders:read", "orders:write"]
    };
    ApiMeaning {
        judged: Arc::new(Api {
            name: ApiName::new(name),
            audiences: vec![audience.into()],
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
        scopes: scopes
            .map(|scope| (scope.to_owned(), String::new()))
            .to_vec(),
        token_lifetime: Duration::from_secs(minutes * 60),
        token_format: registry::api::TokenFormat::Jwt,
        routes: Vec::new(),
    }
}

pub(crate) fn client(
    id: &str,
    method: ClientAuthMethod,
    grants: &[(&str, &[&str])],
) -> ClientMeaning {
    ClientMeaning {
        grants: grants
            .iter()
            .map(|(api, scopes)| (ApiName::new(*api), Scopes::new(scopes.iter().copied())))
            .collect(),
        ..ClientMeaning::service(ClientId::new(id), ApplicationId::new("shop"), method)
    }
}

const BOTH: &[(&str, &[&str])] = &[("orders", &["orders:read"]), ("stock", &["stock:read"])];
pub(crate) const ONE: &[(&str, &[&str])] = &[("orders", &["orders:read", "orders:write"])];

impl World {
    /// Clients: `basic` and `post` (one API), `both` (two APIs), `none` (no API), `server`
    /// (resource server of `orders`), `signer` and `other` (private_key_jwt), `test` (behind the
    /// wall).
    pub(crate) async fn new() -> Self {
        Self::with(KeySettings::default(), IssuerSettings::default()).await
    }

    pub(crate) async fn with(keys: KeySettings, settings: IssuerSettings) -> Self {
        let store = Arc::new(MemoryStore::default());
        let manager = Arc::new(KeyManager::new(
            store.clone(),
            kek(),
            keys,
            Arc::new(SystemEntropy),
        ));
        manager.start(NOW).await.expect("keys");

        let mut signing = HashMap::new();
        let mut signer = |name: &'static str, alg| {
            let key = SigningKey::generate(alg).expect("a key");
            let mut client = client(name, ClientAuthMethod::PrivateKeyJwt, ONE);
            client.jwks = Some(JwkSet::new(vec![key.public_jwk()]));
            signing.insert(name, key);
            client
        };
        let basic = ClientAuthMethod::ClientSecretBasic;
        let mut server = client("server", basic, &[]);
        server.introspects = vec![ApiName::new("orders")];
        let mut test = client("test", basic, &[("sandbox", &["orders:read"])]);
        test.environment = Environment::Test;
        let mut roles = client("roles", basic, ONE);
        roles.roles = vec![RoleName::new("clerk")];
        roles.token_lifetime = Some(Duration::from_secs(120));
        let clients = [
            client("basic", basic, ONE),
            client("post", ClientAuthMethod::ClientSecretPost, ONE),
            client("both", basic, BOTH),
            client("none", basic, &[]),
            server,
            test,
            roles,
            signer("signer", Algorithm::ES256),
            signer("other", Algorithm::EdDSA),
        ];
        let apis = [
            api("orders", ORDERS, Environment::Live, 10),
            api("stock", STOCK, Environment::Live, 5),
            api(
                "sandbox",
                "https://sandbox.example.com",
                Environment::Test,
                10,
            ),
        ];
        let declared = Declared::new(&apis, &clients, &[]).expect("a sound declaration");

        let secrets = Arc::new(MemorySecrets::default());
        let revocations = Arc::new(MemoryRevocations::default());
        let readiness = Arc::new(Switch(AtomicBool::new(true)));
        let replay = Arc::new(MemoryReplay::default());
        let used = Arc::new(Noted::default());
        let issuer = Issuer::new(
            Endpoints::new(ISSUER, false).expect("an issuer"),
            settings,
            Ports {
                store: store.clone(),
                secrets: secrets.clone(),
                revocations: revocations.clone(),
                replay: replay.clone(),
                proofs: None,
                client_keys: Arc::new(NoClientKeys),
                client_authority: None,
                readiness: readiness.clone(),
                alarms: Arc::new(()),
                uses: used.clone(),
                entropy: Arc::new(SystemEntropy),
            },
            manager,
        );
        issuer.declare(declared);
        let mut world = Self {
            issuer,
            store,
            secrets,
            revocations,
            readiness,
            replay,
            used,
            clear: HashMap::new(),
            signing,
        };
        for name in [
            "basic", "post", "both", "none", "server", "roles", "signer", "gone",
        ] {
            world.add_secret(name, Environment::Live);
        }
        world.add_secret("test", Environment::Test);
        world
    }

    fn add_secret(&mut self, client: &'static str, environment: Environment) {
        let issued = Issued::generate(
            &Brand::default(),
            SecretKind::ClientSecret,
            environment,
            &SystemEntropy,
        );
        let digest = format!(
            "sha256${}",
            proof::digest::hex(&proof::digest::sha256(issued.secret.expose()))
        );
        let key = IssuedKey {
            key_id: Some(issued.id),
            kind: SecretKind::ClientSecret,
            verifier: Arc::new(Verifier::parse(&digest).expect("a verifier")),
            state: LifeState::Active,
            expires_at: None,
            standing: Arc::new(Standing {
                principal: Principal::Client(ClientId::new(client)),
                credential: CredentialId::new(format!("sec_{client}")),
                application: None,
                client: Some(ClientId::new(client)),
                scopes: Scopes::default(),
                roles: Vec::new(),
                apis: ApiAllow::Listed(Vec::new()),
                environment: Some(environment),
                tenant: None,
                networks: Vec::new(),
                origins: Vec::new(),
                claims: serde_json::Map::new(),
            }),
        };
        self.secrets
            .keys
            .lock()
            .expect("lock")
            .insert(issued.id.to_string(), key);
        self.clear.insert(client, issued.text().to_owned());
    }

    /// The clear secret of a client.
    pub(crate) fn secret(&self, client: &str) -> &str {
        &self.clear[client]
    }

    /// Changes a client's stored secret.
    pub(crate) fn change_secret(&self, client: &str, change: impl Fn(&mut IssuedKey)) {
        let mut keys = self.secrets.keys.lock().expect("lock");
        for key in keys.values_mut() {
            if key
                .standing
                .client
                .as_ref()
                .is_some_and(|id| id.as_str() == client)
            {
                change(key);
            }
        }
    }

    pub(crate) fn store_goes_away(&self) {
        self.store.away.store(true, Ordering::SeqCst);
    }
    pub(crate) fn cannot_record(&self) {
        self.readiness.0.store(false, Ordering::SeqCst);
    }
    pub(crate) fn cut_off(&self) {
        self.revocations.cut_off.store(true, Ordering::SeqCst);
    }
    pub(crate) fn hashing_pool_is_full(&self) {
        self.secrets.full.store(true, Ordering::SeqCst);
    }

    pub(crate) async fn token_at(
        &self,
        now: Timestamp,
        authorization: Option<&str>,
        body: &str,
    ) -> Result<TokenResponse, Reason> {
        let params = Params::parse(body.as_bytes()).map_err(|refusal| refusal.reason())?;
        let request = OAuthRequest {
            sender: crate::Sender::at(core::net::Ipv4Addr::LOCALHOST.into()),
            authorization: authorization.map(str::as_bytes),
            params: &params,
            request_id: "request-1",
            now,
        };
        self.issuer
            .token(&request)
            .await
            .map_err(|refusal| refusal.reason())
    }

    /// A token request by a client with HTTP Basic.
    pub(crate) async fn token(&self, client: &str, body: &str) -> Result<TokenResponse, Reason> {
        let authorization = basic(client, self.secret(client));
        self.token_at(NOW, Some(&authorization), body).await
    }

    /// A good access token of a client.
    pub(crate) async fn access_token(&self, client: &str, more: &str) -> String {
        let body = format!("grant_type=client_credentials{more}");
        let answer = self.token(client, &body).await;
        answer
            .unwrap_or_else(|reason| panic!("refused: {reason:?}"))
            .access_token
    }

    pub(crate) async fn introspect_at(
        &self,
        now: Timestamp,
        client: &str,
        token: &str,
    ) -> Result<Introspection, Reason> {
        let body = format!("token={token}");
        let params = Params::parse(body.as_bytes()).expect("a form");
        let authorization = basic(client, self.secret(client));
        let request = OAuthRequest {
            sender: crate::Sender::at(core::net::Ipv4Addr::LOCALHOST.into()),
            authorization: Some(authorization.as_bytes()),
            params: &params,
            request_id: "request-2",
            now,
        };
        self.issuer
            .introspect(&request)
            .await
            .map_err(|refusal| refusal.reason())
    }

    pub(crate) async fn introspect(&self, client: &str, token: &str) -> Value {
        let answer = self
            .introspect_at(NOW, client, token)
            .await
            .expect("an answer");
        serde_json::to_value(&answer).expect("JSON")
    }

    pub(crate) async fn revoke(&self, client: &str, body: &str) -> Result<(), ErrorCode> {
        let params = Params::parse(body.as_bytes()).expect("a form");
        let authorization = basic(client, self.secret(client));
        let request = OAuthRequest {
            sender: crate::Sender::at(core::net::Ipv4Addr::LOCALHOST.into()),
            authorization: Some(authorization.as_bytes()),
            params: &params,
            request_id: "request-3",
            now: NOW,
        };
        self.issuer
            .revoke(&request)
            .await
            .map_err(|refusal| refusal.reason().code())
    }

    /// The claims of a token, as an independent peer reads and verifies them.
    pub(crate) fn claims_by_peer(&self, purpose: KeyPurpose, token: &str, audience: &str) -> Value {
        let header = jsonwebtoken::decode_header(token).expect("a header");
        let set: jsonwebtoken::jwk::JwkSet =
            serde_json::from_str(self.issuer.keys().ring().jwks(purpose)).expect("a key set");
        let jwk = set
            .find(header.kid.as_deref().expect("a kid"))
            .expect("a published key");
        let key = jsonwebtoken::DecodingKey::from_jwk(jwk).expect("a key");
        let mut validation = jsonwebtoken::Validation::new(header.alg);
        validation.set_audience(&[audience]);
        // The tests' clock is not the peer's.
        validation.validate_exp = false;
        jsonwebtoken::decode::<Value>(token, &key, &validation)
            .expect("a valid token")
            .claims
    }
}

pub(crate) fn kek() -> Arc<KekRing> {
    let key = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
    Arc::new(KekRing::new(key))
}

/// An `Authorization` value. Client ids and secrets of the tests need no form encoding.
pub(crate) fn basic(client: &str, secret: &str) -> String {
    format!(
        "Basic {}",
        proof::base64std::encode(format!("{client}:{secret}").as_bytes())
    )
}
