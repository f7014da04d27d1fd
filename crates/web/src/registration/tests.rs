use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use http::Method;
use issuer::keys::{KeyManager, KeySettings};
use issuer::metadata::Endpoints;
use issuer::ports::Revocation;
use issuer::{IssuerSettings, Ports};
use proof::issued::{Brand, Environment, Presented};
use proof::random::SystemEntropy;
use proof::seal::{KekRing, KeyEncryptionKey};
use registry::actor::Actor;
use registry::client::{GrantType, IdentityScope, Profile};
use registry::document::{Document, DocumentKind};
use registry::registration::{Policy, RedirectHost};
use registry::resource::ResourceKind;
use registry::usecase::registration::{Fetched, NewInitialToken};
use registry::usecase::resource::{self, PutResource};
use serde_json::json;
use store::{Location, Settings, Store};
use tower::ServiceExt as _;
use verdict::call::{Arrival, Body as CallBody, Call, Head, Scheme};
use verdict::facts::{Answer, Facts as _, KeyCheck, KeyLookup};
use verdict::permit::Admitted;

use super::*;
use crate::admin::tests::world::{Always, Learned, NOW, Quick, Seen, Stored, Unused, orders};
use crate::protocol::declaration::built_in_api;

const ISSUER: &str = "https://id.example.com";

/// Clients' secrets, compared with what the store has.
struct FromStore(Arc<Store>);

impl Secrets for FromStore {
    async fn check(&self, presented: &Presented<'_>, now: Timestamp) -> Answer<KeyCheck> {
        let lookup = KeyLookup::Issued(presented.id);
        Stored(self.0.clone())
            .check_key(lookup, presented.whole, now)
            .await
    }
}

/// Nothing can be fetched.
struct NoSectors;

impl Sectors for NoSectors {
    fn fetch<'a>(&'a self, _at: &'a url::Url) -> Fetched<'a> {
        Box::pin(async { None })
    }
}

struct World {
    store: Arc<Store>,
    learned: Arc<Learned>,
    router: Router,
    admitted: Admitted,
    context: Arc<Context>,
    _folder: tempfile::TempDir,
}

fn policy() -> Policy {
    Policy {
        application: "shop".to_owned(),
        environment: Environment::Live,
        profile: Profile::Oauth21,
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        identity_scopes: vec![IdentityScope::Openid],
        grants: BTreeMap::from([("orders".to_owned(), vec!["orders:read".to_owned()])]),
        redirect_hosts: Some(vec![RedirectHost::parse("rp.example.com").expect("a host")]),
        client_ca: false,
        loopback_dev: false,
    }
}

fn rules() -> Rules {
    Rules {
        policy: policy(),
        open: false,
        max_clients: 3,
        secret_lifetime: None,
    }
}

impl World {
    async fn new(rules: Rules) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::Sqlite(folder.path().join("doorward.db"));
        let store = Store::open(&Settings::new(location)).await;
        let store = Arc::new(store.expect("a store"));
        let context = Arc::new(Context {
            brand: Brand::default(),
            own_issuer: None,
            loopback_dev: true,
        });
        let entropy = Arc::new(SystemEntropy);
        let kek = KeyEncryptionKey::from_bytes("k1", &Secret::new([7u8; 32])).expect("a key");
        let kek = Arc::new(KekRing::new(kek));
        let keys = KeyManager::new(store.clone(), kek, KeySettings::default(), entropy.clone());
        keys.start(NOW).await.expect("signing keys");
        let learned = Arc::new(Learned::default());
        let endpoints = Endpoints::new(ISSUER, false).expect("an issuer");
        let endpoints = endpoints.with_registration();
        let issuer = Issuer::new(
            endpoints.clone(),
            IssuerSettings::default(),
            Ports {
                store: store.clone(),
                secrets: Arc::new(FromStore(store.clone())),
                revocations: learned.clone(),
                replay: Arc::new(Unused),
                proofs: None,
                client_keys: Arc::new(Unused),
                client_authority: None,
                readiness: Arc::new(Always),
                alarms: Arc::new(()),
                uses: Arc::new(()),
                entropy: entropy.clone(),
            },
            Arc::new(keys),
        );
        let world = Self {
            router: router(Registrar {
                store: store.clone(),
                hasher: Arc::new(Quick),
                sectors: Arc::new(NoSectors),
                issuer: Arc::new(issuer),
                context: context.clone(),
                rules,
                entropy,
                clock: Arc::new(|| NOW),
                patience: Duration::ZERO,
            }),
            admitted: admitted(&endpoints, store.clone()).await,
            store,
            learned,
            context,
            _folder: folder,
        };
        let shop = json!({});
        for (kind, name, spec) in [
            (ResourceKind::Api, "orders", orders()),
            (ResourceKind::Application, "shop", shop),
        ] {
            let kind = DocumentKind::Resource(kind);
            let document = Document::from_parts(kind, name, spec).expect("a document");
            let put = PutResource {
                document,
                expected: None,
            };
            resource::put(&*world.store, &system(), &world.ctx(), put)
                .await
                .expect("written");
        }
        world
    }

    fn ctx(&self) -> Ctx<'_> {
        Ctx {
            now: NOW,
            entropy: &SystemEntropy,
            request_id: "set-up",
            context: &self.context,
            files: &(),
        }
    }

    /// A new initial access token.
    async fn initial(&self, environment: Environment) -> String {
        let (store, ctx) = (&*self.store, &self.ctx());
        let new = NewInitialToken {
            label: "partner",
            environment,
            uses: None,
            expires_at: None,
        };
        let made = registration::create_initial_token(store, &Quick, &system(), ctx, new)
            .await
            .expect("a token");
        let secret = made.secret.expect("made here");
        secret.expose_text().expect("text").to_owned()
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &str) -> Seen {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .extension(self.admitted.clone())
            .header(CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("answers");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        Seen {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    async fn register(&self, token: &str, metadata: &Value) -> Seen {
        let body = metadata.to_string();
        self.send(Method::POST, "/oauth/register", token, &body)
            .await
    }

    /// A registered client: where it is managed, its token, and what was answered.
    async fn registered(&self, metadata: &Value) -> (String, String, Value) {
        let initial = self.initial(Environment::Live).await;
        let seen = self.register(&initial, metadata).await;
        assert_eq!(seen.status, StatusCode::CREATED, "{seen:?}");
        let answer = seen.json();
        let text = |name: &str| answer[name].as_str().expect(name).to_owned();
        let path = text("registration_client_uri");
        let path = path.strip_prefix(ISSUER).expect("ours").to_owned();
        (path, text("registration_access_token"), answer.clone())
    }

    async fn clients(&self) -> usize {
        let clients = self.store.resources(Some(ResourceKind::Client)).await;
        clients.expect("answers").len()
    }
}

fn system() -> Actor {
    Actor::System { part: "test" }
}

/// A permit for a public route, made the only way there is.
async fn admitted(endpoints: &Endpoints, store: Arc<Store>) -> Admitted {
    let api = built_in_api(endpoints, Vec::new(), Brand::default(), None);
    let request = http::Request::post("/oauth/register").header("host", "id.example.com");
    let head = request.body(()).expect("a request").into_parts().0;
    let arrival = Arrival {
        request_id: "request-1".into(),
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)),
        client: IpAddr::from(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Https,
        tls: None,
        received: NOW,
        loopback: true,
    };
    let head = Head::read(head, arrival).expect("a clean head");
    let call = Call::new(head, CallBody::Stream(()));
    let (route, facts) = (&api.routes[0].judged, Stored(store));
    let who = verdict::identify(call, route, &facts, NOW).await;
    let permitted = verdict::decide(who.expect("public"), route, &facts, NOW).await;
    permitted.expect("public").admitted()
}

/// The registration access token of an answer.
fn next_token(seen: &Seen) -> String {
    let answer = seen.json();
    let token = answer["registration_access_token"].as_str();
    token.expect("a token").to_owned()
}

fn web_app() -> Value {
    json!({ "client_name": "A partner", "redirect_uris": ["https://rp.example.com/cb"] })
}

#[tokio::test]
async fn a_client_is_registered_shown_changed_and_removed() {
    let world = World::new(rules()).await;
    let (path, token, made) = world.registered(&web_app()).await;
    assert_eq!(made["client_name"], "A partner");
    assert_eq!(made["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(made["client_secret_expires_at"], 0);
    assert_eq!(made["client_id_issued_at"], NOW.as_secs());
    assert_eq!(made["scope"], "openid orders:read");

    let shown = world.send(Method::GET, &path, &token, "").await;
    assert_eq!(shown.status, StatusCode::OK);
    let mut expected = made.clone();
    for secret in ["client_secret", "client_secret_expires_at"] {
        expected.as_object_mut().expect("members").remove(secret);
    }
    assert_eq!(shown.json(), expected);

    let update = json!({
        "client_id": made["client_id"], "client_secret": made["client_secret"],
        "redirect_uris": ["https://rp.example.com/other"], "scope": "openid"
    });
    let changed = world
        .send(Method::PUT, &path, &token, &update.to_string())
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(changed.json()["redirect_uris"], update["redirect_uris"]);
    assert_eq!(changed.json()["scope"], "openid");
    // What is left out is gone, and a secret that there is stays.
    assert_eq!(changed.json()["client_name"], made["client_id"]);
    assert_eq!(changed.json().get("client_secret"), None);
    // The token is another one from now on.
    let old = world.send(Method::GET, &path, &token, "").await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    let token = next_token(&changed);

    let gone = world.send(Method::DELETE, &path, &token, "").await;
    assert_eq!(
        (gone.status, gone.body.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(world.clients().await, 0);
    let epoch = |one: &Revocation| matches!(one, Revocation::ClientEpoch { client_id, .. } if made["client_id"] == **client_id);
    assert!(world.learned.0.lock().expect("lock").iter().any(epoch));
    for method in [Method::GET, Method::DELETE] {
        let seen = world.send(method, &path, &token, "").await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_client_that_stops_using_a_secret_loses_it_and_gets_a_new_one_when_it_begins() {
    let world = World::new(rules()).await;
    let (path, token, made) = world.registered(&web_app()).await;
    let update = |method: &str, kind: &str| {
        json!({
            "client_id": made["client_id"], "redirect_uris": ["https://rp.example.com/cb"],
            "token_endpoint_auth_method": method, "application_type": kind
        })
        .to_string()
    };
    let public = world
        .send(Method::PUT, &path, &token, &update("none", "web"))
        .await;
    assert_eq!(public.status, StatusCode::OK, "{public:?}");
    assert_eq!(public.json().get("client_secret"), None);
    let token = next_token(&public);
    let body = update("client_secret_post", "web");
    let secret = world.send(Method::PUT, &path, &token, &body).await;
    assert_eq!(secret.status, StatusCode::OK, "{secret:?}");
    assert!(secret.json()["client_secret"].is_string());
    assert_ne!(secret.json()["client_secret"], made["client_secret"]);
    let token = next_token(&secret);
    // The old one is not the client's any more.
    let mut stale: Value = serde_json::from_str(&body).expect("JSON");
    stale["client_secret"] = made["client_secret"].clone();
    let seen = world
        .send(Method::PUT, &path, &token, &stale.to_string())
        .await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{seen:?}");
}

#[tokio::test]
async fn what_is_not_registered_and_why_is_this_table() {
    let world = World::new(rules()).await;
    let live = world.initial(Environment::Live).await;
    let test = world.initial(Environment::Test).await;
    let (path, token, made) = world.registered(&web_app()).await;
    let (_, foreign, _) = world.registered(&web_app()).await;
    let id = made["client_id"].as_str().expect("text");
    let with = |changes: Value| {
        let mut metadata = web_app();
        for (name, value) in changes.as_object().expect("members") {
            metadata[name] = value.clone();
        }
        metadata.to_string()
    };
    let update = |changes: Value| {
        let mut metadata: Value = serde_json::from_str(&with(changes)).expect("JSON");
        if metadata.get("client_id").is_none() {
            metadata["client_id"] = id.into();
        }
        metadata.to_string()
    };
    let good = with(json!({}));
    let long = with(json!({ "client_uri": "x".repeat(MAX_BODY) }));
    let other = "/oauth/register/dyn-nobody";
    let (post, put, get, delete) = (Method::POST, Method::PUT, Method::GET, Method::DELETE);
    let all = "/oauth/register";
    let cases: Vec<(&str, &Method, &str, &str, String)> = vec![
        ("no token", &post, all, "", good.clone()),
        ("no token of ours", &post, all, "x", good.clone()),
        ("a token of the other wall", &post, all, &test, good.clone()),
        (
            "a registration access token",
            &post,
            all,
            &token,
            good.clone(),
        ),
        ("no JSON", &post, all, &live, "{".to_owned()),
        ("a list", &post, all, &live, "[]".to_owned()),
        (
            "a member twice",
            &post,
            all,
            &live,
            r#"{"scope":"","scope":""}"#.to_owned(),
        ),
        ("too long", &post, all, &live, long),
        ("no redirect", &post, all, &live, "{}".to_owned()),
        (
            "a fragment",
            &post,
            all,
            &live,
            with(json!({ "redirect_uris": ["https://rp.example.com/#x"] })),
        ),
        (
            "a grant beyond the policy",
            &post,
            all,
            &live,
            with(json!({ "grant_types": ["client_credentials"], "response_types": [] })),
        ),
        (
            "a scope beyond the policy",
            &post,
            all,
            &live,
            with(json!({ "scope": "orders:write" })),
        ),
        (
            "an identity scope beyond it",
            &post,
            all,
            &live,
            with(json!({ "scope": "openid email" })),
        ),
        (
            "the implicit flow",
            &post,
            all,
            &live,
            with(json!({ "response_types": ["id_token"] })),
        ),
        (
            "a redirect beyond the policy",
            &post,
            all,
            &live,
            with(json!({ "redirect_uris": ["https://evil.example/cb"] })),
        ),
        (
            "certificates without a CA",
            &post,
            all,
            &live,
            with(json!({ "token_endpoint_auth_method": "tls_client_auth" })),
        ),
        (
            "a software statement",
            &post,
            all,
            &live,
            with(json!({ "software_statement": "x.y.z" })),
        ),
        (
            "a sector",
            &post,
            all,
            &live,
            with(json!({ "sector_identifier_uri": "https://rp.example.com/s" })),
        ),
        ("shown without a token", &get, &path, "", String::new()),
        (
            "shown to an initial token",
            &get,
            &path,
            &live,
            String::new(),
        ),
        (
            "shown to another client",
            &get,
            &path,
            &foreign,
            String::new(),
        ),
        (
            "a client that is not there",
            &get,
            other,
            &token,
            String::new(),
        ),
        (
            "removed by another client",
            &delete,
            &path,
            &foreign,
            String::new(),
        ),
        (
            "changed by another client",
            &put,
            &path,
            &foreign,
            update(json!({})),
        ),
        (
            "an update of another id",
            &put,
            &path,
            &token,
            update(json!({ "client_id": "dyn-other" })),
        ),
        (
            "an update of ours to say",
            &put,
            &path,
            &token,
            update(json!({ "registration_access_token": token })),
        ),
        (
            "an update with a wrong secret",
            &put,
            &path,
            &token,
            update(json!({ "client_secret": "guess" })),
        ),
        (
            "an update to more grants",
            &put,
            &path,
            &token,
            update(json!({ "grant_types": ["authorization_code", "client_credentials"] })),
        ),
        (
            "an update to a redirect beyond it",
            &put,
            &path,
            &token,
            update(json!({ "redirect_uris": ["https://evil.example/cb"] })),
        ),
        (
            "an update beyond the policy",
            &put,
            &path,
            &token,
            update(json!({ "scope": "orders:write" })),
        ),
    ];
    let mut table = String::new();
    for (what, method, path, token, body) in cases {
        let seen = world.send(method.clone(), path, token, &body).await;
        let error = seen.json();
        let challenge = seen.header("www-authenticate").unwrap_or("-");
        table.push_str(&format!(
            "{what}: {} {} {} [{challenge}]\n",
            seen.status.as_u16(),
            error["error"].as_str().expect("an error"),
            error["error_description"].as_str().expect("a description"),
        ));
        assert_eq!(seen.header("cache-control"), Some("no-store"), "{what}");
    }
    insta::assert_snapshot!(table);
    assert_eq!(world.clients().await, 2);
}

#[tokio::test]
async fn a_token_of_one_use_registers_one_client() {
    let world = World::new(rules()).await;
    let new = NewInitialToken {
        label: "once",
        environment: Environment::Live,
        uses: Some(1),
        expires_at: None,
    };
    let (store, ctx) = (&*world.store, &world.ctx());
    let made = registration::create_initial_token(store, &Quick, &system(), ctx, new).await;
    let secret = made.expect("a token").secret.expect("made here");
    let token = secret.expose_text().expect("text");
    let first = world.register(token, &web_app()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let second = world.register(token, &web_app()).await;
    assert_eq!(second.status, StatusCode::UNAUTHORIZED);
    assert_eq!(second.json()["error"], "invalid_token");
}

#[tokio::test]
async fn a_secret_with_a_life_says_when_it_ends() {
    let world = World::new(Rules {
        secret_lifetime: Some(Duration::from_secs(90 * 86_400)),
        ..rules()
    })
    .await;
    let (_, _, made) = world.registered(&web_app()).await;
    let ends = NOW.as_secs() + 90 * 86_400;
    assert_eq!(made["client_secret_expires_at"], ends);
}

#[tokio::test]
async fn there_are_no_more_clients_than_there_may_be() {
    let world = World::new(Rules {
        max_clients: 1,
        ..rules()
    })
    .await;
    let (path, token, _) = world.registered(&web_app()).await;
    let initial = world.initial(Environment::Live).await;
    let full = world.register(&initial, &web_app()).await;
    assert_eq!(full.status, StatusCode::FORBIDDEN);
    assert_eq!(full.json()["error"], "access_denied");
    world.send(Method::DELETE, &path, &token, "").await;
    let again = world.register(&initial, &web_app()).await;
    assert_eq!(again.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_open_registration_takes_no_token_but_refuses_a_wrong_one() {
    let world = World::new(Rules {
        open: true,
        ..rules()
    })
    .await;
    let seen = world.register("", &web_app()).await;
    assert_eq!(seen.status, StatusCode::CREATED);
    let seen = world.register("wrong", &web_app()).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn nothing_leads_to_registration_unless_it_is_configured() {
    let off = Endpoints::new(ISSUER, false).expect("an issuer");
    for (endpoints, expected) in [
        (off.clone(), 0),
        // RFC 7591's one route and RFC 7592's one.
        (off.with_registration(), 2),
    ] {
        let api = built_in_api(&endpoints, Vec::new(), Brand::default(), None);
        let routes = api
            .routes
            .iter()
            .filter(|route| route.path.written.starts_with("/oauth/register"));
        assert_eq!(routes.count(), expected);
    }
}
