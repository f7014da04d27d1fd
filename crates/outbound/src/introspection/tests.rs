use core::net::{IpAddr, Ipv4Addr};
use core::pin::Pin;
use std::io;

use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use proof::jose::key::SigningKey;
use proof::random::SystemEntropy;
use proof::secret::Secret;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use verdict::credential::introspection::IntrospectionProfile;

use super::*;
use crate::fetch::Resolve;
use crate::fetch::tests::{Authority, Server, loopback_listed, ok};
use crate::keysets::{KeySetOptions, KeySource};

const ISSUER: &str = "https://as.example";
const API: &str = "https://orders.example";

struct Loopback;

impl Resolve for Loopback {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(core::future::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])))
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

/// An issuer on loopback, and whoever asks it.
struct World {
    server: Server,
    asks: Arc<Introspectors>,
    key: SigningKey,
    profile: IssuerProfile,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| (), |_| ()).await
    }

    async fn with(
        shape: impl FnOnce(&mut IntrospectionOptions),
        rules: impl FnOnce(&mut IntrospectionProfile),
    ) -> Self {
        let authority = Authority::new();
        let tls = authority.server("as.example", |_| ());
        let server = Server::start(Some(tls), active(600)).await;
        let options = loopback_listed(authority.trust());
        let fetcher = Arc::new(Fetcher::with_resolver(options, Arc::new(Loopback)).unwrap());
        let key_sets = Arc::new(KeySets::new(fetcher.clone(), KeySetOptions::default()));
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let set = JwkSet::new(vec![key.public_jwk()]);
        key_sets.configure([(IssuerId::new(ISSUER), KeySource::Static(set))]);
        let mut options = IntrospectionOptions {
            patience: Duration::from_millis(300),
            wait: Duration::from_millis(100),
            ..IntrospectionOptions::default()
        };
        shape(&mut options);
        let entropy = Arc::new(SystemEntropy);
        let asks = Arc::new(Introspectors::new(fetcher, key_sets, entropy, options));
        asks.configure([source(&server)]);
        let mut asked = IntrospectionProfile {
            client_id: "gateway".into(),
            token_prefixes: Vec::new(),
            cache: Duration::from_secs(10),
            signed: false,
            assumed_audience: None,
        };
        rules(&mut asked);
        let profile = IssuerProfile {
            config: ConfigId(1),
            issuer: IssuerId::new(ISSUER),
            own: false,
            algorithms: vec![Algorithm::ES256],
            types: Vec::new(),
            access_token_guards: Vec::new(),
            required_claims: Vec::new(),
            max_lifetime: None,
            leeway: Duration::from_secs(60),
            scope_claims: vec!["scope".into()],
            role_claims: Vec::new(),
            tenant_claim: None,
            forward_claims: Vec::new(),
            introspection: Some(asked),
        };
        Self {
            server,
            asks,
            key,
            profile,
        }
    }

    async fn said(&self, token: &str, now: Timestamp) -> Answer<bool> {
        let hash = TokenHash::of(token.as_bytes());
        let said = self.asks.said(token, &hash, &self.profile, now).await?;
        Ok(said.is_ok())
    }

    fn answers(&self, answer: Vec<u8>) {
        *self.server.answer.lock() = answer;
    }

    fn questions(&self) -> usize {
        self.server.requests.load(Ordering::SeqCst)
    }

    /// The issuer answers with this, signed.
    fn answers_signed(&self, typ: &str, claims: &Value) {
        let text = jws::sign(&self.key, typ, &claims.to_string());
        let head = "content-type: application/token-introspection+jwt";
        self.answers(
            format!(
                "HTTP/1.1 200 OK\r\n{head}\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            )
            .into_bytes(),
        );
    }
}

fn source(server: &Server) -> IntrospectionSource {
    IntrospectionSource {
        issuer: IssuerId::new(ISSUER),
        url: server.url("as.example"),
        client: ClientAuth::basic("gateway", Secret::from_text("s3cret".into())).unwrap(),
    }
}

fn says(lives: i64) -> Value {
    let now = now().as_secs();
    json!({"active": true, "aud": API, "sub": "alice", "client_id": "shop", "exp": now + lives,
           "scope": "orders:read", "token_type": "Bearer", "jti": "t"})
}

fn active(lives: i64) -> Vec<u8> {
    ok(&says(lives).to_string())
}

fn inactive() -> Vec<u8> {
    ok(r#"{"active":false}"#)
}

#[tokio::test]
async fn the_issuer_is_asked_as_its_client_and_once_in_its_time() {
    let world = World::new().await;
    for second in [0, 5, 9] {
        assert_eq!(world.said("abc+d/e==", later(second)).await, Ok(true));
    }
    assert_eq!(world.questions(), 1);
    let sent = world.server.last.lock().clone();
    assert!(sent.starts_with("POST /keys?a=b HTTP/1.1\r\n"), "{sent}");
    // gateway:s3cret
    assert!(sent.contains("authorization: Basic Z2F0ZXdheTpzM2NyZXQ=\r\n"));
    assert!(sent.ends_with("token=abc%2Bd%2Fe%3D%3D&token_type_hint=access_token"));
    world.answers(inactive());
    assert_eq!(world.said("abc+d/e==", later(10)).await, Ok(false));
    assert_eq!(world.questions(), 2);
    // The issuer took it back: what was said before is not used again.
    assert_eq!(world.said("abc+d/e==", later(11)).await, Ok(false));
    assert_eq!(world.questions(), 2);
}

#[tokio::test]
async fn c06_an_answer_is_not_used_past_the_tokens_own_end() {
    let world = World::new().await;
    world.answers(active(4));
    assert_eq!(world.said("t", later(3)).await, Ok(true));
    assert_eq!(
        world.said("t", later(4)).await,
        Ok(true),
        "within the leeway"
    );
    assert_eq!(world.questions(), 2, "asked again at its end");
}

#[tokio::test]
async fn callers_with_one_token_at_once_ask_once() {
    let world = Arc::new(World::new().await);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        callers.spawn(async move { world.said("t", now()).await });
    }
    for answer in callers.join_all().await {
        assert_eq!(answer, Ok(true));
    }
    assert_eq!(world.questions(), 1);
}

#[tokio::test]
async fn what_is_no_token_is_remembered_briefly_and_apart() {
    let world = World::with(|options| options.max_held = 100, |_| ()).await;
    assert_eq!(world.said("good", now()).await, Ok(true));
    world.answers(inactive());
    for n in 0..300 {
        assert_eq!(world.said(&format!("garbage{n}"), now()).await, Ok(false));
    }
    assert_eq!(world.questions(), 301);
    assert_eq!(world.said("good", later(9)).await, Ok(true), "pushed out");
    assert_eq!(world.said("garbage299", later(4)).await, Ok(false));
    assert_eq!(world.questions(), 301);
    world.answers(active(600));
    assert_eq!(world.said("garbage299", later(5)).await, Ok(true));
}

#[tokio::test]
async fn c08_an_issuer_that_does_not_answer_is_no_verdict_and_no_old_answer() {
    let world = World::new().await;
    assert_eq!(world.said("t", now()).await, Ok(true));
    let unknown = Err(Unavailable::Introspection);
    for answer in [
        &b""[..], // it hangs
        b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\n\r\n",
        &ok("<html>"),
        &ok("{}"),
        &ok(r#"{"active":"true"}"#),
        &ok(r#"{"active":true,"active":false}"#),
        &ok(r#"{"active":1}"#),
    ] {
        // Long enough after the last failure, so that it is asked.
        world.asks.issuers.load()[&world.profile.issuer]
            .state
            .unreached
            .store(0, Ordering::SeqCst);
        world.answers(answer.to_vec());
        assert_eq!(world.said("t", later(10)).await, unknown, "{answer:?}");
        assert_eq!(world.said("u", now()).await, unknown);
    }
    assert_eq!(world.asks.failing().len(), 1);
    // What is in its time is still used.
    assert_eq!(world.said("t", later(9)).await, Ok(true));
    world.answers(active(600));
    assert_eq!(world.said("t", later(10)).await, Ok(true));
    assert_eq!(world.asks.failing(), []);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_left_alone_for_a_moment() {
    let world = World::with(|options| options.pause = Duration::from_millis(200), |_| ()).await;
    world.answers(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec());
    for n in 0..20 {
        assert!(world.said(&n.to_string(), now()).await.is_err());
    }
    assert_eq!(world.questions(), 3);
    tokio::time::sleep(Duration::from_millis(250)).await;
    world.answers(active(600));
    assert_eq!(world.said("t", now()).await, Ok(true));
}

#[tokio::test]
async fn an_answer_that_one_token_spoils_keeps_nobody_else_waiting() {
    let world = World::new().await;
    for answer in [
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ok("[]"),
        ok(&format!(
            "{{\"active\":true,\"x\":\"{}\"}}",
            "y".repeat(20_000)
        )),
        ok(&"y".repeat(100_000)),
    ] {
        world.answers(answer);
        for n in 0..5 {
            assert!(world.said(&format!("bad{n}"), now()).await.is_err());
        }
        world.answers(active(600));
        assert_eq!(world.said("good", now()).await, Ok(true));
        world.asks.forget();
    }
}

#[tokio::test]
async fn garbage_that_waits_leaves_room_for_tokens_that_were_good() {
    let world = Arc::new(World::with(|options| options.strangers = 4, |_| ()).await);
    assert_eq!(world.said("good", now()).await, Ok(true));
    world.answers(Vec::new());
    let mut flood = JoinSet::new();
    for n in 0..40 {
        let world = Arc::clone(&world);
        flood.spawn(async move { world.said(&format!("garbage{n}"), now()).await });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.answers(active(600));
    let before = world.questions();
    assert!(before <= 5, "{before} questions at once");
    let renewed = tokio::time::timeout(Duration::from_millis(90), world.said("good", later(10)));
    assert_eq!(renewed.await, Ok(Ok(true)));
    flood.abort_all();
}

#[tokio::test]
async fn what_an_active_answer_must_say() {
    let world = World::new().await;
    let now_secs = now().as_secs();
    for (name, value, good) in [
        ("iss", json!(ISSUER), true),
        ("iss", json!("https://other.example"), false),
        ("aud", json!(["x", API]), true),
        ("aud", json!(null), false),
        ("aud", json!([]), false),
        ("exp", json!(null), false),
        ("exp", json!("soon"), false),
        ("exp", json!(now_secs - 61), false),
        ("nbf", json!(now_secs + 61), false),
        ("iat", json!(now_secs + 61), false),
        ("scope", json!(["orders:read"]), false),
        ("token_type", json!("DPoP"), false),
        ("token_type", json!("refresh_token"), false),
        ("token_type", json!(1), false),
        ("token_type", json!(null), false),
        ("cnf", json!({"kid": "x"}), false),
    ] {
        let mut said = says(600);
        said[name] = value.clone();
        world.answers(ok(&said.to_string()));
        world.asks.forget();
        assert_eq!(world.said("t", now()).await, Ok(good), "{name} {value}");
    }
    let mut bare = says(600);
    for absent in ["iss", "token_type", "scope", "jti"] {
        let _was = bare.as_object_mut().unwrap().remove(absent);
    }
    world.answers(ok(&bare.to_string()));
    world.asks.forget();
    assert_eq!(world.said("t", now()).await, Ok(true));
}

#[tokio::test]
async fn c04_an_audience_is_assumed_only_where_that_is_written_and_never_of_refresh_tokens() {
    let written = |rules: &mut IntrospectionProfile| rules.assumed_audience = Some(API.into());
    let (plain, assuming) = (World::new().await, World::with(|_| (), written).await);
    let mut said = says(600);
    let _was = said.as_object_mut().unwrap().remove("aud");
    for world in [&plain, &assuming] {
        world.answers(ok(&said.to_string()));
    }
    assert_eq!(plain.said("t", now()).await, Ok(false));
    assert_eq!(assuming.said("t", now()).await, Ok(true));
    let _was = said.as_object_mut().unwrap().remove("token_type");
    assuming.answers(ok(&said.to_string()));
    assert_eq!(assuming.said("u", now()).await, Ok(false));
}

#[tokio::test]
async fn a_signed_answer_is_for_us_and_from_the_issuer_and_nothing_else_is_one() {
    let world = World::with(|_| (), |rules| rules.signed = true).await;
    let typ = "token-introspection+jwt";
    let answer = json!({"iss": ISSUER, "aud": "gateway", "iat": now().as_secs(),
                        "token_introspection": says(600)});
    world.answers_signed(typ, &answer);
    assert_eq!(world.said("t", now()).await, Ok(true));
    let sent = world.server.last.lock().clone();
    assert!(sent.contains("accept: application/token-introspection+jwt\r\n"));
    world.answers_signed(
        typ,
        &json!({"iss": ISSUER, "aud": "gateway", "iat": now().as_secs(),
                "token_introspection": {"active": false}}),
    );
    assert_eq!(world.said("u", now()).await, Ok(false));
    let unknown = Err(Unavailable::Introspection);
    for (name, value) in [
        ("iss", json!("https://other.example")),
        ("aud", json!("somebody")),
        ("iat", json!(now().as_secs() - 121)),
        ("iat", json!(now().as_secs() + 61)),
        ("iat", json!(null)),
        ("token_introspection", json!("active")),
    ] {
        let mut spoiled = answer.clone();
        spoiled[name] = value.clone();
        world.answers_signed(typ, &spoiled);
        assert_eq!(world.said("v", now()).await, unknown, "{name} {value}");
    }
    // An access token of the same issuer is no answer, nor is one under another key, nor a plain one.
    world.answers_signed("at+jwt", &answer);
    assert_eq!(world.said("v", now()).await, unknown);
    let stranger = World {
        key: SigningKey::generate(Algorithm::ES256).unwrap(),
        ..World::with(|_| (), |rules| rules.signed = true).await
    };
    stranger.answers_signed(typ, &answer);
    assert_eq!(stranger.said("v", now()).await, unknown);
    world.answers(active(600));
    assert_eq!(world.said("v", now()).await, unknown);
}

#[tokio::test]
async fn an_issuer_that_is_no_longer_configured_is_not_asked() {
    let world = World::new().await;
    world.asks.configure([]);
    let unknown = Err(Unavailable::Introspection);
    assert_eq!(world.said("t", now()).await, unknown);
    assert_eq!(world.questions(), 0);
    world.asks.configure([source(&world.server)]);
    assert_eq!(world.said("t", now()).await, Ok(true));
}

#[tokio::test]
async fn other_rules_ask_anew() {
    let mut world = World::new().await;
    assert_eq!(world.said("t", now()).await, Ok(true));
    world.profile.config = ConfigId(2);
    assert_eq!(world.said("t", now()).await, Ok(true));
    assert_eq!(world.questions(), 2);
}
