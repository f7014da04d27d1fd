//! A small world for this room's tests: one API with its issuers, keys and accounts, and a table of
//! facts that answers from them and writes down what it was asked.

mod hand;
pub(crate) mod pki;
pub(crate) mod signing;
mod table;
pub(crate) mod webhook;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Version};
use proof::client_call;
use proof::digest::{TokenHash, hex, sha256};
use proof::issued::{Brand, Environment, Issued, KeyId, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::jwt::Claims;
use proof::jose::key::SigningKey;
use proof::paseto::{self, IssuingKey, Key, LocalKey};
use proof::password::Verifier;
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::Style;
use serde_json::{Value, json};

use crate::call::{Arrival, Body, Call, Head, Scheme};
use crate::credential::CredentialKind;
use crate::credential::client_jwt::CallingClient;
use crate::credential::jwt::{ConfigId, IssuerId, IssuerProfile};
use crate::credential::mtls::CertificateProfile;
use crate::identity::{
    Account, ApiAllow, ApplicationId, ClientId, CredentialId, IssuedKey, LifeState, Principal,
    RoleName, Scopes, Standing, SubjectId,
};
use crate::permit::{Identified, Permitted, Refused, decide, identify};
use crate::problem::Problem;
use crate::route::{Api, ApiName, Demand, ForeignKeyPattern, Route, RouteName, Rule, SenderRules};

pub(crate) use hand::hand;
pub(crate) use table::Table;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const OWN: &str = "https://id.example";
pub(crate) const FOREIGN: &str = "https://login.partner.example/";
pub(crate) const AUDIENCE: &str = "https://orders.example";

/// Runs a future whose facts answer at once.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the table of facts answers at once"),
    }
}

/// Bytes that look random and are the same in every run, so that snapshots hold.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let turn = self.0.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&sha256(&turn.to_be_bytes())[..chunk.len()]);
        }
    }
}

/// The world: an API, what is stored, and the facts that say so.
pub(crate) struct World {
    pub(crate) api: Arc<Api>,
    pub(crate) own_key: SigningKey,
    pub(crate) foreign_key: SigningKey,
    /// Of our own issuer, for `v4.public`.
    pub(crate) paseto_key: SigningKey,
    /// Of the foreign issuer: its `v4.local` key, as text.
    pub(crate) local_key: Secret,
    /// Of the client `export`, which signs its calls.
    pub(crate) client_key: SigningKey,
    pub(crate) facts: Table,
    entropy: Counting,
}

/// How a stored credential differs from a plain, usable one.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) kind: SecretKind,
    pub(crate) environment: Environment,
    pub(crate) state: LifeState,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) apis: ApiAllow,
    pub(crate) scopes: &'static str,
    pub(crate) networks: &'static [&'static str],
    pub(crate) origins: &'static [&'static str],
}

impl Stored {
    pub(crate) fn new(kind: SecretKind) -> Self {
        Self {
            kind,
            environment: Environment::Live,
            state: LifeState::Active,
            expires_at: None,
            apis: ApiAllow::Listed(vec![ApiName::new("orders")]),
            scopes: "orders:read",
            networks: &[],
            origins: &[],
        }
    }

    pub(crate) fn standing(&self, id: &str) -> Arc<Standing> {
        let subject = SubjectId::new(format!("sub_{id}"));
        Arc::new(Standing {
            principal: match self.kind {
                SecretKind::AdminKey => Principal::Administrator(subject),
                _ => Principal::Service(subject),
            },
            credential: CredentialId::new(format!("key_{id}")),
            application: None,
            client: None,
            scopes: Scopes::new(self.scopes.split_whitespace()),
            roles: Vec::new(),
            apis: self.apis.clone(),
            environment: Some(self.environment),
            tenant: None,
            networks: self
                .networks
                .iter()
                .map(|net| net.parse().unwrap())
                .collect(),
            origins: self
                .origins
                .iter()
                .map(|origin| Arc::from(*origin))
                .collect(),
            claims: serde_json::Map::new(),
        })
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// The API also takes the certificates that this profile knows.
    pub(crate) fn knowing(certificates: CertificateProfile) -> Self {
        Self::with(Some(certificates))
    }

    fn with(certificates: Option<CertificateProfile>) -> Self {
        let own_key = SigningKey::generate(Algorithm::ES256).unwrap();
        let foreign_key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let paseto_key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let local_key = LocalKey::generate(&Counting(AtomicU64::new(1000))).to_paserk();
        let client_key = SigningKey::generate(Algorithm::ES256).unwrap();
        let text = |items: &[&str]| {
            items
                .iter()
                .map(|item| Arc::from(*item))
                .collect::<Vec<_>>()
        };
        let own = IssuerProfile {
            config: ConfigId(1),
            issuer: IssuerId::new(OWN),
            own: true,
            algorithms: vec![Algorithm::ES256],
            types: text(&["at+jwt"]),
            access_token_guards: Vec::new(),
            required_claims: text(&["sub", "client_id", "jti", "iat"]),
            max_lifetime: Some(Duration::from_secs(3600)),
            leeway: Duration::from_secs(60),
            scope_claims: text(&["scope"]),
            role_claims: text(&["roles"]),
            tenant_claim: None,
            forward_claims: Vec::new(),
            introspection: None,
        };
        let foreign = IssuerProfile {
            config: ConfigId(2),
            issuer: IssuerId::new(FOREIGN),
            own: false,
            algorithms: vec![Algorithm::EdDSA, Algorithm::RS256],
            types: text(&["JWT"]),
            access_token_guards: text(&["scp", "azp"]),
            required_claims: Vec::new(),
            max_lifetime: None,
            leeway: Duration::from_secs(60),
            scope_claims: text(&["scp"]),
            role_claims: text(&["realm_access.roles", "https://partner.example/roles"]),
            tenant_claim: Some("tid".into()),
            forward_claims: text(&["department"]),
            introspection: None,
        };
        let client = CallingClient {
            client: ClientId::new("export"),
            application: ApplicationId::new("shop"),
            environment: Environment::Live,
            grants: vec![(ApiName::new("orders"), Scopes::new(["orders:read"]))],
            roles: vec![RoleName::new("clerk")],
            networks: Vec::new(),
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA],
            certificates: None,
        };
        let registered = Arc::new(client_key.verifying_key().unwrap());
        let (local, local_id) = Key::named(&local_key).unwrap();
        let public = Key::public(&paseto_key.public_jwk()).unwrap();
        let facts = Table {
            paseto_keys: vec![
                (
                    own.issuer.clone(),
                    paseto_key.kid().to_owned(),
                    Arc::new(public),
                ),
                (foreign.issuer.clone(), local_id, Arc::new(local)),
            ],
            clients: [("export".to_owned(), (Arc::new(client), vec![registered]))].into(),
            signers: vec![
                (
                    own.issuer.clone(),
                    Arc::new(own_key.verifying_key().unwrap()),
                ),
                (
                    foreign.issuer.clone(),
                    Arc::new(foreign_key.verifying_key().unwrap()),
                ),
            ],
            ..Table::default()
        };
        let api = Arc::new(Api {
            name: ApiName::new("orders"),
            audiences: text(&[AUDIENCE]),
            environment: Environment::Live,
            issuers: vec![Arc::new(own), Arc::new(foreign)],
            brand: Brand::default(),
            key_headers: vec![HeaderName::from_static("orders-key")],
            foreign_keys: vec![
                ForeignKeyPattern {
                    prefix: "legacy-".into(),
                    id_length: 4,
                    length: 20..=40,
                },
                ForeignKeyPattern {
                    prefix: "old_".into(),
                    id_length: 0,
                    length: 20..=40,
                },
            ],
            realm: "orders".into(),
            resource_metadata: None,
            relations: None,
            rights: Default::default(),
            encryption: None,
            certificates,
            signatures: signing::rules(),
        });
        Self {
            api,
            own_key,
            foreign_key,
            paseto_key,
            local_key,
            client_key,
            facts,
            entropy: Counting(AtomicU64::new(0)),
        }
    }

    /// Issues and stores a key in our grammar; gives its text.
    pub(crate) fn key(&mut self, stored: &Stored) -> String {
        let issued = Issued::generate(
            &self.api.brand,
            stored.kind,
            stored.environment,
            &self.entropy,
        );
        self.store(
            &issued.id.to_string(),
            Some(issued.id),
            issued.text(),
            stored,
        );
        issued.text().to_owned()
    }

    /// Makes a key in our grammar without storing it.
    pub(crate) fn unstored(&self, kind: SecretKind) -> String {
        let issued = Issued::generate(&self.api.brand, kind, Environment::Live, &self.entropy);
        issued.text().to_owned()
    }

    /// Stores a key under a lookup name.
    pub(crate) fn store(&mut self, name: &str, key_id: Option<KeyId>, text: &str, stored: &Stored) {
        let digest = format!("sha256${}", hex(&sha256(text.as_bytes())));
        let key = IssuedKey {
            key_id,
            kind: stored.kind,
            verifier: Arc::new(Verifier::parse(&digest).unwrap()),
            state: stored.state,
            expires_at: stored.expires_at,
            standing: stored.standing(name),
        };
        self.facts.keys.insert(name.to_owned(), Arc::new(key));
    }

    /// Stores an account for Basic.
    pub(crate) fn account(&mut self, username: &str, password: &str, stored: &Stored) {
        let account = Account {
            username: username.into(),
            passwords: Vec::new(),
            state: stored.state,
            expires_at: stored.expires_at,
            standing: stored.standing(username),
        };
        let entry = (password.as_bytes().to_vec(), Arc::new(account));
        self.facts.accounts.insert(username.to_owned(), entry);
    }

    /// Claims of a good token of our own issuer.
    pub(crate) fn own_claims() -> Value {
        let now = NOW.as_secs();
        json!({
            "iss": OWN, "aud": AUDIENCE, "sub": "usr_alice", "client_id": "cli_app", "env": "live",
            "iat": now - 10, "exp": now + 600, "jti": "t-1", "scope": "orders:read",
        })
    }

    /// Claims of a good token of the foreign issuer.
    pub(crate) fn foreign_claims() -> Value {
        let now = NOW.as_secs();
        json!({
            "iss": FOREIGN, "aud": ["other", AUDIENCE], "sub": "00u1", "azp": "partner-app",
            "exp": now + 600, "scp": ["orders:read"], "tid": "acme",
            "realm_access": {"roles": ["clerk"]}, "department": {"no": 7},
        })
    }

    /// Our own token with some claims replaced (`null` removes).
    pub(crate) fn own_token(&self, changes: &Value) -> String {
        jws::sign(
            &self.own_key,
            "at+jwt",
            &changed(Self::own_claims(), changes).to_string(),
        )
    }

    /// A PASETO of our own issuer with some claims replaced (`null` removes).
    pub(crate) fn paseto(&self, changes: &Value) -> String {
        let claims = changed(Self::own_claims(), changes).to_string();
        paseto::sign(
            &self.paseto_key,
            &Claims::from_json(claims.as_bytes()).unwrap(),
        )
        .unwrap()
    }

    /// A `v4.local` of the foreign issuer with some claims replaced (`null` removes).
    pub(crate) fn local_paseto(&self, changes: &Value) -> String {
        let claims = changed(Self::foreign_claims(), changes).to_string();
        let key = IssuingKey::from_paserk(&self.local_key).unwrap();
        paseto::issue(&key, &Claims::from_json(claims.as_bytes()).unwrap(), &[]).unwrap()
    }

    /// A JWT that the client `export` signed for a call, with some claims replaced (`null` removes).
    pub(crate) fn client_jwt(&self, changes: &Value) -> String {
        let now = NOW.as_secs();
        let claims = json!({
            "iss": "export", "sub": "export", "aud": AUDIENCE, "iat": now, "exp": now + 60,
            "jti": proof::random::random_base62(16, &self.entropy),
        });
        let claims = changed(claims, changes).to_string();
        jws::sign(&self.client_key, client_call::TYPE, &claims)
    }

    /// An opaque token of our own issuer, kept with some claims replaced (`null` removes).
    pub(crate) fn opaque_token(&self, changes: &Value) -> String {
        let text = self.unstored(SecretKind::OpaqueToken);
        let claims = changed(Self::own_claims(), changes).to_string();
        let hash = TokenHash::of(text.as_bytes());
        self.facts.kept.lock().unwrap().insert(hash, claims);
        text
    }

    /// The foreign issuer's token with some claims replaced (`null` removes).
    pub(crate) fn foreign_token(&self, changes: &Value) -> String {
        jws::sign(
            &self.foreign_key,
            "JWT",
            &changed(Self::foreign_claims(), changes).to_string(),
        )
    }

    /// A route that takes these combinations and asks for `orders:read`.
    pub(crate) fn route(&self, combinations: &[&[CredentialKind]]) -> Route {
        Route {
            api: self.api.clone(),
            name: RouteName::new("list"),
            demand: Demand::OneOf(combinations.iter().map(|kinds| kinds.to_vec()).collect()),
            rule: Rule {
                scopes: vec!["orders:read".into()],
                any_role: Vec::new(),
                ..Rule::default()
            },
            sender: SenderRules::default(),
            plain_basic: false,
            signatures: None,
            webhook: Some(webhook::rules(Style::Stripe)),
        }
    }

    /// Both steps.
    #[expect(
        clippy::result_large_err,
        reason = "the contract of the steps themselves"
    )]
    pub(crate) fn judge(
        &self,
        call: Call<()>,
        route: &Route,
        now: Timestamp,
    ) -> Result<Permitted<()>, Refused<()>> {
        run(async {
            let who: Identified<()> = identify(call, route, &self.facts, now).await?;
            decide(who, route, &self.facts, now).await
        })
    }
}

/// `claims` with members replaced; `null` removes.
pub(crate) fn changed(mut claims: Value, changes: &Value) -> Value {
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A call in the making: `GET /orders` over TLS from 192.0.2.7.
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) version: Version,
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) arrival: Arrival,
    /// At hand; `None`: still on the wire.
    pub(crate) body: Option<Bytes>,
}

impl Sent {
    pub(crate) fn get(target: &str) -> Self {
        Self {
            method: Method::GET,
            target: target.to_owned(),
            version: Version::HTTP_11,
            fields: vec![(
                http::header::HOST,
                HeaderValue::from_static("orders.example"),
            )],
            arrival: Arrival {
                request_id: "0193".into(),
                peer: ([192, 0, 2, 7], 50_000).into(),
                client: [192, 0, 2, 7].into(),
                scheme: Scheme::Https,
                tls: None,
                received: NOW,
                loopback: false,
            },
            body: None,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::try_from(name).unwrap();
        self.fields
            .push((name, HeaderValue::from_bytes(value.as_ref()).unwrap()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    pub(crate) fn read(self) -> Result<Head, Problem> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse().unwrap();
        *request.version_mut() = self.version;
        for (name, value) in self.fields {
            request.headers_mut().append(name, value);
        }
        Head::read(request.into_parts().0, self.arrival)
    }

    pub(crate) fn call(mut self) -> Call<()> {
        let body = self.body.take().map_or(Body::Stream(()), Body::Buffered);
        Call::new(self.read().unwrap(), body)
    }
}
