//! Client-signed JWTs: a client that is declared signs its calls and asks for no token; its keys
//! are changed and itself is taken out without a word to any API. Those whose keys are certified
//! stand in `call_certificates`.

use core::time::Duration;

use proof::base64url;
use proof::client_call::{Draft, TYPE};
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::time::Timestamp;
use serde_json::{Value, json};
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::postgres;
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

use super::scene::claims;

pub(super) const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      identity: { mode: jwt, audience: https://inside.example }
      credentials: [jwt, client_jwt]
      scopes: { "orders:read": See orders, "orders:write": Place orders }
      routes:
        - { path: /orders, methods: [GET], scopes: ["orders:read"] }
        - { path: /orders, methods: [POST], scopes: ["orders:write"] }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: Tests } }
"#;

pub(super) const ORDERS: &str = "https://orders.example";

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

fn document(keys: &[&SigningKey]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
    json!({
        "application": "shop", "auth_method": "private_key_jwt", "jwks": { "keys": keys },
        "signs_calls": true, "grants": { "orders": ["orders:read", "orders:write"] },
    })
}

fn declare(node: &Doorward, spec: &Value) {
    let spec = json!({ "spec": spec });
    node.make("PUT", "/v1/clients/export", &spec).unwrap();
}

/// The same, and waits until the client's calls are taken.
fn declare_in_force(node: &Doorward, key: &SigningKey) {
    declare(node, &document(&[key]));
    settles(200, || status(node, key));
}

/// What is declared is in force within a moment.
pub(super) fn settles<T: PartialEq + Copy + core::fmt::Debug>(expected: T, ask: impl Fn() -> T) {
    let until = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let found = ask();
        if found == expected {
            return;
        }
        assert!(
            std::time::Instant::now() < until,
            "{found:?}, not {expected:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn start(place: Place, base: &str, upstream: &Upstream) -> Doorward {
    let settings = format!("{base}{RESOURCES}").replace("@UPSTREAM@", &upstream.url());
    place.start(&settings).unwrap()
}

pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(i64::try_from(since.unwrap().as_millis()).unwrap())
}

/// A good JWT, changed.
fn signed<'a>(key: &SigningKey, change: impl FnOnce(&mut Draft<'a>)) -> String {
    let mut draft = good();
    change(&mut draft);
    draft.sign(key, key.kid())
}

/// What a good JWT says.
pub(super) fn good<'a>() -> Draft<'a> {
    // For as long as the test lives.
    let jti: &str = random_base62(24, &SystemEntropy).leak();
    Draft {
        client: "export",
        audience: ORDERS,
        jti,
        issued_at: now(),
        lifetime: Duration::from_secs(60),
        scope: None,
        method: None,
        uri: None,
        body_sha256: None,
    }
}

pub(super) fn get(node: &Doorward, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    node.get("/orders", &[("authorization", &bearer)]).unwrap()
}

fn status(node: &Doorward, key: &SigningKey) -> u16 {
    get(node, &signed(key, |_| ())).status
}

#[test]
fn a_client_calls_without_a_token_once_per_jwt_and_the_upstream_learns_its_name() {
    let upstream = Upstream::start().unwrap();
    let node = start(Place::new().unwrap(), BASE, &upstream);
    let own = key(Algorithm::ES256);
    declare_in_force(&node, &own);
    let token = signed(&own, |_| ());
    assert_eq!(get(&node, &token).status, 200);
    let seen = upstream.with("GET /orders");
    let seen = seen.last().unwrap();
    assert!(!seen.text().contains(&token), "{}", seen.text());
    let inside = claims(&seen.values("doorward-identity")[0]);
    assert_eq!(inside["sub"], json!("export"));
    assert_eq!(inside["scope"], json!("orders:read orders:write"));
    let again = get(&node, &token);
    assert_eq!(
        (again.status, again.code().as_str()),
        (401, "credential-refused")
    );
    let less = signed(&own, |draft| draft.scope = Some("orders:write"));
    assert_eq!(get(&node, &less).status, 403);
    let old = signed(&own, |draft| {
        draft.issued_at = Timestamp::from_secs(1_577_836_800)
    });
    assert_eq!(get(&node, &old).status, 401);
    assert_eq!(
        status(&node, &key(Algorithm::ES256)),
        401,
        "a stranger's key"
    );
}

#[test]
fn d07_a_body_is_the_one_that_was_signed_whole() {
    let upstream = Upstream::start().unwrap();
    let node = start(Place::new().unwrap(), BASE, &upstream);
    let own = key(Algorithm::EdDSA);
    declare_in_force(&node, &own);
    let address = format!("http://{}/orders", node.gateway());
    for (size, flipped) in [(5, false), (5, true), (600_000, false), (600_000, true)] {
        let mut body = vec![b'a'; size];
        let token = signed(&own, |draft| {
            draft.body_sha256 = Some(sha256(&body));
            draft.method = Some("POST");
            draft.uri = Some(&address);
        });
        if flipped {
            *body.last_mut().unwrap() = b'b';
        }
        let bearer = format!("Bearer {token}");
        let fields = [("authorization", bearer.as_str())];
        let before = upstream.with("POST /orders").len();
        let answer = wire::call(node.gateway(), "POST", "/orders", &fields, &body).unwrap();
        let whole = upstream.with("POST /orders").len() - before;
        let expected = if flipped { (401, 0) } else { (200, 1) };
        assert_eq!((answer.status, whole), expected, "{size} {flipped}");
    }
}

#[test]
fn keys_are_changed_with_an_overlap_and_a_client_that_is_taken_out_is_out() {
    let upstream = Upstream::start().unwrap();
    let node = start(Place::new().unwrap(), BASE, &upstream);
    let (old, new) = (key(Algorithm::ES256), key(Algorithm::PS256));
    let both = |node: &Doorward| (status(node, &old), status(node, &new));
    declare(&node, &document(&[&old]));
    settles((200, 401), || both(&node));
    declare(&node, &document(&[&old, &new]));
    settles((200, 200), || both(&node));
    declare(&node, &document(&[&new]));
    settles((401, 200), || both(&node));
    let mut silent = document(&[&new]);
    silent["signs_calls"] = json!(false);
    declare(&node, &silent);
    settles((401, 401), || both(&node));
    declare(&node, &document(&[&new]));
    settles((401, 200), || both(&node));
    let (gone, _) = node
        .admin_call("DELETE", "/v1/clients/export", None)
        .unwrap();
    assert!((200..300).contains(&gone), "{gone}");
    settles((401, 401), || both(&node));
}

#[test]
fn c04_calls_and_assertions_are_never_taken_for_each_other() {
    let upstream = Upstream::start().unwrap();
    let node = start(Place::new().unwrap(), BASE, &upstream);
    let own = key(Algorithm::ES256);
    declare_in_force(&node, &own);
    let origin = format!("http://{}", node.issuer());
    let seconds = now().as_secs();
    let claims = |aud: &str| {
        // For as long as the test lives.
        let jti: &str = random_base62(24, &SystemEntropy).leak();
        json!({
            "iss": "export", "sub": "export", "aud": aud, "iat": seconds, "exp": seconds + 60,
            "jti": jti,
        })
        .to_string()
    };
    let asked = |assertion: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ];
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = encode(&fields);
        wire::call(
            node.issuer(),
            "POST",
            "/oauth/token",
            &form,
            body.as_bytes(),
        )
        .unwrap()
    };
    for typ in ["JWT", "client-authentication+jwt"] {
        assert_eq!(
            asked(&jws::sign(&own, typ, &claims(&origin))).status,
            200,
            "{typ}"
        );
        for aud in [ORDERS, &origin] {
            assert_eq!(
                get(&node, &jws::sign(&own, typ, &claims(aud))).status,
                401,
                "{typ}"
            );
        }
    }
    for aud in [ORDERS, &origin] {
        assert_eq!(
            asked(&jws::sign(&own, TYPE, &claims(aud))).status,
            401,
            "{aud}"
        );
    }
    assert_eq!(
        get(&node, &jws::sign(&own, TYPE, &claims(ORDERS))).status,
        200
    );
    assert_eq!(
        get(&node, &jws::sign(&own, TYPE, &claims(&origin))).status,
        401
    );
}

#[test]
fn what_one_node_is_told_of_a_client_the_other_knows() {
    let Some(database) = postgres::shared() else {
        return;
    };
    let database = database.create_database().unwrap();
    let upstream = Upstream::start().unwrap();
    let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
    std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let base = format!("{BASE}database: {{ url: '{database}' }}\n");
    let own_name = base.replace("'http://@ISSUER@'", &format!("'http://{}'", one.issuer));
    let one = start(one, &own_name, &upstream);
    let two = start(two, &own_name, &upstream);
    let own = key(Algorithm::ES256);
    declare(&one, &document(&[&own]));
    settles(200, || status(&one, &own));
    settles(200, || status(&two, &own));
    for (act, expected) in [("suspend", 401), ("resume", 200)] {
        let path = format!("/v1/clients/export/{act}");
        one.make("POST", &path, &json!({})).unwrap();
        settles(expected, || status(&one, &own));
        settles(expected, || status(&two, &own));
    }
    one.admin_call("DELETE", "/v1/clients/export", None)
        .unwrap();
    settles(401, || status(&one, &own));
    settles(401, || status(&two, &own));
}

#[test]
fn the_command_line_signs_what_any_curl_can_send() {
    let upstream = Upstream::start().unwrap();
    let node = start(Place::new().unwrap(), BASE, &upstream);
    let own = key(Algorithm::EdDSA);
    let der = own.to_pkcs8().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        proof::base64std::encode(der.expose())
    );
    let file = node.place().path().join("export.key");
    std::fs::write(&file, pem).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = node.place().run(arguments).unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let set: Value =
        serde_json::from_str(&run(&["sign", "jwks", "--private-key-file", &file])).unwrap();
    assert_eq!(set["keys"][0]["kid"], json!(own.kid()));
    assert!(set["keys"][0].get("d").is_none());
    let mut spec = document(&[]);
    spec["jwks"] = set;
    declare(&node, &spec);
    let url = format!("http://{}/orders?all=1", node.gateway());
    let line = run(&[
        "sign",
        "client-jwt",
        &url,
        "--client",
        "export",
        "--audience",
        ORDERS,
        "--private-key-file",
        &file,
    ]);
    let token = line
        .split("Bearer ")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload: Value =
        serde_json::from_slice(&base64url::decode(payload.as_bytes()).unwrap()).unwrap();
    assert_eq!(payload["htu"], json!(url));
    let bearer = format!("Bearer {token}");
    let fields = [("authorization", bearer.as_str())];
    // Another query first: what does not hold spends nothing.
    assert_eq!(node.get("/orders?all=2", &fields).unwrap().status, 401);
    assert_eq!(node.get("/orders?all=1", &fields).unwrap().status, 200);
}
