//! **Who is there**: an API behind the gateway, clients of each kind, Alice and Mallory. And what a
//! client does between two pages.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use proof::base64url;
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use serde_json::{Value, json};
use testkit::bound::ProofKey;
use testkit::browser::{Browser, encode, field, sent_to};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::postgres;
use testkit::tokens::{ForeignIssuer, now};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

/// Where the client `web` waits, and `other` too.
pub(super) const CALLBACK: &str = "https://client.example/callback";
/// Where `web` waits after a logout.
pub(super) const BYE: &str = "https://client.example/bye";
/// Where the program `app` waits: a port of its own choice.
pub(super) const LOOPBACK: &str = "http://127.0.0.1:50123/callback";
/// The API's audience.
pub(super) const ORDERS: &str = "https://orders.example";
/// What most requests ask for.
pub(super) const SCOPE: &str = "openid profile offline_access orders:read";

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      display_name: Orders
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      identity: { mode: headers }
      scopes: { "orders:read": See your orders, "orders:write": Order in your name }
      credentials: [jwt]
      routes:
        - { path: /orders, methods: [GET], scopes: ["orders:read"] }
        - { path: /orders, methods: [POST], scopes: ["orders:write"] }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { display_name: Shop, owner: a@example.com, purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: app }
    spec: { application: shop, kind: native, auth_method: none, redirect_uris: ['http://127.0.0.1/callback'], grant_types: [authorization_code, refresh_token], identity_scopes: @IDENTITY@, grants: @GRANTS@ }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: web }
    spec: { application: shop, kind: confidential, auth_method: client_secret_basic, redirect_uris: ['https://client.example/callback'], post_logout_redirect_uris: ['https://client.example/bye'], @BACKCHANNEL@ grant_types: [authorization_code, refresh_token], identity_scopes: @IDENTITY@, grants: @GRANTS@ }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: other }
    spec: { application: shop, kind: confidential, auth_method: client_secret_basic, redirect_uris: ['https://client.example/callback'], grant_types: [authorization_code, refresh_token], identity_scopes: @IDENTITY@, grants: @GRANTS@ }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: tv }
    spec: { application: shop, kind: device, auth_method: none, grant_types: ['urn:ietf:params:oauth:grant-type:device_code', refresh_token], identity_scopes: @IDENTITY@, grants: @GRANTS@ }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: stockd }
    spec: { application: shop, kind: service, auth_method: client_secret_basic, grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange'], introspects: [orders], grants: { orders: ["orders:read"] } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: bank }
    spec: { application: shop, kind: confidential, profile: fapi2, auth_method: private_key_jwt, jwks: @JWKS@, dpop_bound_access_tokens: true, redirect_uris: ['https://client.example/callback'], grant_types: [authorization_code, refresh_token], identity_scopes: @IDENTITY@, grants: @GRANTS@ }
  - { apiVersion: doorward/v1, kind: User, metadata: { name: alice }, spec: { name: Alice Example, email: alice@example.com, email_verified: true } }
  - { apiVersion: doorward/v1, kind: User, metadata: { name: mallory }, spec: { name: Mallory Example } }
  - { apiVersion: doorward/v1, kind: User, metadata: { name: carol }, spec: { name: Carol Example } }
"#;

/// One node or two, and what is known of the people and clients there.
pub(super) struct Scene {
    pub(super) one: Doorward,
    /// The second node on the same database.
    pub(super) two: Option<Doorward>,
    /// The issuer's identifier, which is its origin.
    pub(super) origin: String,
    /// Passwords by user name.
    pub(super) passwords: BTreeMap<&'static str, String>,
    /// Client secrets by client.
    secrets: BTreeMap<&'static str, String>,
    /// The key of the client `bank`.
    bank: ForeignIssuer,
    _upstream: Upstream,
}

/// The one that tests share which restart and change nothing.
pub(super) fn shared() -> &'static Scene {
    static SHARED: OnceLock<Scene> = OnceLock::new();
    SHARED.get_or_init(|| Scene::start(""))
}

impl Scene {
    /// One node of its own; `backchannel` is where `web` wants to hear of logouts.
    pub(super) fn start(backchannel: &str) -> Self {
        let place = Place::new().unwrap();
        let origin = format!("http://{}", place.issuer);
        Self::in_place(place, &origin, BASE, backchannel)
    }

    /// One node whose API has its tokens encrypted to the key in `orders.pem`, which `write` puts
    /// into the node's folder.
    pub(super) fn encrypting(write: impl FnOnce(&Path)) -> Self {
        let place = Place::new().unwrap();
        write(place.path());
        let origin = format!("http://{}", place.issuer);
        let taken = "      credentials: [jwt]\n";
        let asked = format!("{taken}      token_encryption: {{ key_files: [orders.pem] }}\n");
        let resources = RESOURCES.replace(taken, &asked);
        assert_ne!(resources, RESOURCES);
        Self::with(place, &origin, BASE, "", &resources)
    }

    /// One node whose issuer is reached over TLS.
    pub(super) fn over_tls() -> Self {
        let place = Place::new().unwrap();
        let origin = format!("https://localhost:{}", place.issuer_tls.port());
        Self::in_place(place, &origin, BASE, "")
    }

    /// Two nodes on one PostgreSQL; `None` only where that was switched off.
    pub(super) fn two_nodes() -> Option<Self> {
        let database = postgres::shared()?.create_database().unwrap();
        let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
        std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
        let origin = format!("http://{}", one.issuer);
        let base = format!("{BASE}database: {{ url: '{database}' }}\n");
        let mut scene = Self::in_place(one, &origin, &base, "");
        let settings = std::fs::read_to_string(scene.one.place().settings_file()).unwrap();
        // The same declaration; only the listeners are the second node's own.
        let resources = settings.split_once("\nresources:").unwrap().1;
        let own = base.replace("'http://@ISSUER@'", &format!("'{origin}'"));
        let settings = format!("{own}\nresources:{resources}");
        scene.two = Some(two.start(&settings).unwrap());
        Some(scene)
    }

    fn in_place(place: Place, origin: &str, base: &str, backchannel: &str) -> Self {
        Self::with(place, origin, base, backchannel, RESOURCES)
    }

    fn with(place: Place, origin: &str, base: &str, backchannel: &str, resources: &str) -> Self {
        let upstream = Upstream::start().unwrap();
        let bank = ForeignIssuer::with_algorithm("bank", Algorithm::ES256);
        let (outbound, backchannel) = match backchannel {
            "" => ("", String::new()),
            uri => (
                "outbound: { ca_file: tls/ca.pem, allow_networks: [127.0.0.0/8, '::1/128'] }\n",
                format!("backchannel_logout_uri: '{uri}',"),
            ),
        };
        let settings = format!("{base}{outbound}{resources}")
            .replace("'http://@ISSUER@'", &format!("'{origin}'"))
            .replace("@UPSTREAM@", &upstream.url())
            .replace("@JWKS@", &bank.jwks().to_string())
            .replace("@BACKCHANNEL@", &backchannel)
            .replace("@IDENTITY@", "[openid, profile, email, offline_access]")
            .replace("@GRANTS@", "{ orders: ['orders:read', 'orders:write'] }");
        let one = place.start(&settings).unwrap();
        let secrets = ["web", "other", "stockd"].map(|client| {
            let made = one
                .make(
                    "POST",
                    &format!("/v1/clients/{client}/secrets"),
                    &json!({ "label": "tests" }),
                )
                .unwrap();
            (client, made["secret"].as_str().unwrap().to_owned())
        });
        let passwords = ["alice", "mallory", "carol"].map(|user| {
            let made = command(&one, &["user", "password", "set", user, "--output", "json"]);
            let made: Value = serde_json::from_str(&made).unwrap();
            (user, made["secret"].as_str().unwrap().to_owned())
        });
        Self {
            one,
            two: None,
            origin: origin.to_owned(),
            passwords: passwords.into(),
            secrets: secrets.into(),
            bank,
            _upstream: upstream,
        }
    }

    /// Where the issuer is on the first node and on the second; twice the first if there is one only.
    pub(super) fn nodes(&self) -> [SocketAddr; 2] {
        let one = self.one.issuer();
        [one, self.two.as_ref().map_or(one, Doorward::issuer)]
    }

    /// The second node, or the only one.
    pub(super) fn last(&self) -> &Doorward {
        self.two.as_ref().unwrap_or(&self.one)
    }

    /// A browser that was nowhere yet.
    pub(super) fn browser(&self) -> Browser {
        Browser::new(&self.origin, self.one.issuer())
    }

    /// Logs a person in on a login page.
    pub(super) fn log_in(&self, browser: &mut Browser, page: &Answer, who: &str) -> Answer {
        browser.log_in(page, who, &self.passwords[who]).unwrap()
    }

    /// A browser in which somebody is logged in, as the client `app` had them.
    pub(super) fn browser_of(&self, who: &str) -> Browser {
        let mut browser = self.browser();
        self.arrive(&mut browser, &Asked::of("app"), who);
        browser
    }

    /// From a request to the client, with login and consent where they are asked for: what the
    /// client is told.
    pub(super) fn arrive(
        &self,
        browser: &mut Browser,
        asked: &Asked,
        who: &str,
    ) -> BTreeMap<String, String> {
        let page = browser.open(&asked.target()).unwrap();
        let page = if page.text().contains("name=\"password\"") {
            self.log_in(browser, &page, who)
        } else {
            page
        };
        let answer = if page.text().contains("name=\"decision\"") {
            browser.decide(&page, "allow").unwrap()
        } else {
            page
        };
        asked.answered(&answer)
    }

    /// The same to the code.
    pub(super) fn code(&self, browser: &mut Browser, asked: &Asked, who: &str) -> String {
        let told = self.arrive(browser, asked, who);
        assert_eq!(told.get("iss"), Some(&self.origin), "{told:?}");
        told.get("code")
            .unwrap_or_else(|| panic!("{told:?}"))
            .clone()
    }

    /// A form for one of the issuer's endpoints, from a client with its authentication.
    pub(super) fn post(
        &self,
        node: SocketAddr,
        path: &str,
        client: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        self.post_with(node, path, client, fields, &[])
    }

    /// The same with more header fields.
    pub(super) fn post_with(
        &self,
        node: SocketAddr,
        path: &str,
        client: &str,
        fields: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Answer {
        let mut fields = fields.to_vec();
        let basic = self
            .secrets
            .get(client)
            .map(|secret| format!("{client}:{secret}"))
            .map(|pair| format!("Basic {}", proof::base64std::encode(pair.as_bytes())));
        let host = self.origin.split("://").nth(1).unwrap();
        let mut headers = vec![
            ("host", host),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let assertion;
        match (&basic, client) {
            (Some(basic), _) => headers.push(("authorization", basic)),
            (None, "bank") => {
                assertion = self.assertion();
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                fields.push(("client_assertion_type", kind));
                fields.push(("client_assertion", &assertion));
            }
            (None, public) => fields.push(("client_id", public)),
        }
        headers.extend(more);
        wire::call(node, "POST", path, &headers, encode(&fields).as_bytes()).unwrap()
    }

    /// A form from the client `bank`, with an assertion of the test's choice.
    pub(super) fn post_asserted(
        &self,
        node: SocketAddr,
        path: &str,
        fields: &[(&str, &str)],
        assertion: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let mut fields = fields.to_vec();
        fields.push(("client_assertion_type", kind));
        fields.push(("client_assertion", assertion));
        let host = self.origin.split("://").nth(1).unwrap();
        let mut headers = vec![
            ("host", host),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(more);
        wire::call(node, "POST", path, &headers, encode(&fields).as_bytes()).unwrap()
    }

    /// A good assertion of the client `bank`.
    pub(super) fn assertion(&self) -> String {
        let header = json!({ "alg": "ES256", "kid": self.bank.key.kid() });
        let claims = json!({
            "iss": "bank", "sub": "bank", "aud": self.origin, "iat": now(), "exp": now() + 60,
            "jti": proof::random::random_base62(16, &proof::random::SystemEntropy),
        });
        self.bank.sign_with(&header, &claims)
    }

    /// The token endpoint.
    pub(super) fn token(&self, node: SocketAddr, client: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(node, "/oauth/token", client, fields)
    }

    /// Redeems a code.
    pub(super) fn redeem(&self, node: SocketAddr, asked: &Asked, code: &str) -> Answer {
        self.token(node, asked.client, &asked.redemption(code))
    }

    /// Redeems a code that must be good.
    pub(super) fn tokens(&self, node: SocketAddr, asked: &Asked, code: &str) -> Tokens {
        Tokens::of(&self.redeem(node, asked, code))
    }

    /// Refreshes.
    pub(super) fn refresh(&self, node: SocketAddr, client: &str, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.token(node, client, &fields)
    }

    /// A form whose sender proves to have a key, on the nonce that the server demands.
    pub(super) fn post_proved(
        &self,
        node: SocketAddr,
        path: &str,
        client: &str,
        fields: &[(&str, &str)],
        key: &ProofKey,
    ) -> Answer {
        let mut claims = key.claims("POST", &format!("{}{path}", self.origin), None);
        let bare = key.sign(&key.header(), &claims);
        let first = self.post_with(node, path, client, fields, &[("dpop", &bare)]);
        assert_eq!(first.json()["error"], "use_dpop_nonce", "{}", first.text());
        claims["nonce"] = json!(first.header("dpop-nonce").unwrap());
        claims["jti"] = json!(proof::random::random_base62(
            16,
            &proof::random::SystemEntropy
        ));
        let proved = key.sign(&key.header(), &claims);
        self.post_with(node, path, client, fields, &[("dpop", &proved)])
    }

    /// `GET /oauth/userinfo`.
    pub(super) fn userinfo(&self, node: SocketAddr, token: &str) -> Answer {
        let host = self.origin.split("://").nth(1).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("host", host), ("authorization", &bearer)];
        wire::get(node, "/oauth/userinfo", &headers).unwrap()
    }
}

/// `GET /orders` at a gateway: the status.
pub(super) fn orders(node: &Doorward, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let answer = node.get("/orders", &[("authorization", &bearer)]);
    answer.unwrap().status
}

/// Runs a command as an administrator; panics with its words if it fails.
pub(super) fn command(doorward: &Doorward, arguments: &[&str]) -> String {
    let admin = format!("http://{}", doorward.admin());
    let environment = [
        ("DOORWARD_ADMIN_URL", admin.as_str()),
        ("DOORWARD_ADMIN_KEY", doorward.owner_key()),
    ];
    let ran = doorward.place().run_with(arguments, &environment).unwrap();
    let words = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{arguments:?}: {words}");
    String::from_utf8(ran.stdout).unwrap()
}

/// What a client asks for, and what it keeps to itself.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) client: &'static str,
    pub(super) redirect_uri: String,
    pub(super) verifier: String,
    /// What goes into the address.
    pub(super) params: BTreeMap<&'static str, String>,
}

impl Asked {
    /// A good request of a client.
    pub(super) fn of(client: &'static str) -> Self {
        let random = || proof::random::random_base62(43, &proof::random::SystemEntropy);
        let verifier = random();
        let redirect_uri = if client == "app" { LOOPBACK } else { CALLBACK };
        let challenge = base64url::encode(&sha256(verifier.as_bytes()));
        let params = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", redirect_uri),
            ("scope", SCOPE),
            ("resource", ORDERS),
            ("state", &random()),
            ("nonce", &random()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Self {
            client,
            redirect_uri: redirect_uri.to_owned(),
            verifier,
            params: params.map(|(name, value)| (name, value.to_owned())).into(),
        }
    }

    /// The same with a parameter changed or added; an empty one is left out.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.params.remove(name);
        if !value.is_empty() {
            self.params.insert(name, value.to_owned());
        }
        self
    }

    /// The parameters.
    pub(super) fn fields(&self) -> Vec<(&str, &str)> {
        let pairs = self.params.iter();
        pairs.map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Where the browser is sent.
    pub(super) fn target(&self) -> String {
        format!("/oauth/authorize?{}", encode(&self.fields()))
    }

    /// What the client is told by an answer that must lead to it.
    pub(super) fn answered(&self, answer: &Answer) -> BTreeMap<String, String> {
        let (to, told) = sent_to(answer)
            .unwrap_or_else(|| panic!("no way back: {} {}", answer.status, answer.text()));
        assert_eq!(answer.status, 303);
        assert_eq!(to, self.redirect_uri);
        assert_eq!(told.get("state"), self.params.get("state"));
        told
    }

    /// The token request for a code.
    pub(super) fn redemption<'a>(&'a self, code: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &self.verifier),
        ]
    }
}

/// What a client got.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) id: String,
}

impl Tokens {
    /// Of an answer that must be good.
    pub(super) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            id: text("id_token"),
        }
    }
}

/// What allows a device: a person types its code on the page and says yes.
pub(super) fn allow_device(scene: &Scene, user_code: &str, who: &str) {
    let mut browser = scene.browser();
    let page = browser.open("/device").unwrap();
    let page = scene.log_in(&mut browser, &page, who);
    let ticket = field(&page, "ticket").unwrap();
    let page = browser
        .submit("/device", &[("ticket", &ticket), ("user_code", user_code)])
        .unwrap();
    let done = browser.decide(&page, "allow").unwrap();
    assert_eq!(done.status, 200, "{}", done.text());
}

/// A JWT's claims, unverified.
pub(crate) fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url::decode(part.as_bytes()).unwrap()).unwrap()
}

/// `error` of an answer that refuses.
pub(super) fn error(answer: &Answer) -> (u16, String) {
    let error = answer.json()["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, error)
}
