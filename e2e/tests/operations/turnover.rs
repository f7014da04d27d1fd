//! **Credentials are turned over under load**: of every kind the next one comes beside the one in
//! use, the caller moves over in the middle of its calls, the old one ends. No call fails, and usage
//! shows that the old one is not used any more before it ends.

mod caller;
mod keys;
mod upstreams;

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::paseto::{IssuingKey, public_paserk};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use testkit::bound::ClientCertificate;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::signing::{Scheme, Signatory};
use testkit::tokens::ForeignIssuer;
use testkit::wire;

use self::caller::{Caller, Door, Held};
use super::backend::Backend;
use super::scene::{command, command_json, issued, wait_until};

const SOON: Duration = Duration::from_secs(20);
const AUDIENCE: &str = "https://orders.example";
const PARTNER: &str = "https://partner.example";
/// Long enough for a caller to move, short enough to wait for.
const OVERLAP: &str = "15s";
/// Calls of each caller before and after each step.
const SOME: u64 = 12;

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: [api_key, basic, jwt, mtls, sigv4, http_signature, hmac, client_jwt]
      issuers: [own, partner]
      signatures: { sigv4: { regions: [local], services: [orders] } }
      client_certificates:
        ca_file: partners.pem
        identities: [{ uri: "spiffe://example.org/billing", scopes: ["orders:read"] }]
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: sealed }
    spec:
      audiences: [https://sealed.example]
      base_path: /sealed
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: [paseto]
      token_format: paseto
      issuers: [own, partner]
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: hidden }
    spec:
      audiences: [https://hidden.example]
      base_path: /hidden
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: [opaque]
      token_format: opaque
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: kept }
    spec:
      audiences: [https://kept.example]
      base_path: /kept
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: [paseto]
      token_format: paseto_local
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: partner }
    spec: { issuer: "https://partner.example", jwks: @JWKS@, paseto_keys: @PASERKS@ }
  - { apiVersion: doorward/v1, kind: Application, metadata: { name: shop }, spec: { owner: a@example.com, purpose: Tests } }
  - apiVersion: doorward/v1
    kind: Client
    metadata: { name: backend }
    spec:
      application: shop
      auth_method: client_secret_basic
      grants: { orders: ["orders:read"], sealed: ["orders:read"], kept: ["orders:read"], hidden: ["orders:read"] }
  - { apiVersion: doorward/v1, kind: Account, metadata: { name: alice }, spec: { application: shop, apis: [orders], scopes: ["orders:read"] } }
"#;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client's TLS with a certificate of an authority, and how the log names the certificate.
fn partner(ca: &Ca, server_ca: &Path) -> (Held, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let name = "spiffe://example.org/billing".try_into().unwrap();
    params.subject_alt_names = vec![SanType::URI(name)];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let der = certificate.der().clone();
    let shown = ClientCertificate::new(vec![der], &key);
    let (name, config) = (shown.name(), shown.client_config(server_ca).unwrap());
    (Held::Certificate(config), name)
}

fn export(keys: &[&SigningKey]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
    json!({ "spec": {
        "application": "shop", "auth_method": "private_key_jwt", "jwks": { "keys": keys },
        "signs_calls": true, "grants": { "orders": ["orders:read"] },
    }})
}

/// What the partner's issuer signs with.
struct PartnerKeys {
    jwts: ForeignIssuer,
    pasetos: Arc<IssuingKey>,
    paserk: String,
}

impl PartnerKeys {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        Self {
            jwts: ForeignIssuer::new(PARTNER),
            paserk: public_paserk(&key.public_jwk()).unwrap(),
            pasetos: Arc::new(IssuingKey::signing(key).unwrap()),
        }
    }

    fn token(&self) -> Held {
        let mut claims = self.jwts.claims(AUDIENCE);
        claims["scope"] = json!("orders:read");
        Held::Token(self.jwts.sign(&claims))
    }

    /// How its keys are named in usage: of JWTs, of PASETOs.
    fn names(&self) -> [String; 2] {
        let IssuingKey::Public { key, .. } = &*self.pasetos else {
            unreachable!("they are signed");
        };
        [jkt(&self.jwts.key), jkt(key)]
    }
}

fn jkt(key: &SigningKey) -> String {
    format!("jkt:{}", key.public_jwk().thumbprint())
}

/// The settings, with a key set of the partner's issuer.
fn settings(upstream: &Backend, keys: &[&PartnerKeys]) -> String {
    let jwks: Vec<_> = keys.iter().map(|one| one.jwts.jwk()).collect();
    let paserks: Vec<_> = keys.iter().map(|one| &one.paserk).collect();
    format!("{BASE}{RESOURCES}")
        .replace("@UPSTREAM@", &upstream.url())
        .replace("@JWKS@", &json!({ "keys": jwks }).to_string())
        .replace("@PASERKS@", &json!(paserks).to_string())
}

/// Calls under a name, as usage has them.
fn used(doorward: &Doorward, name: &str) -> u64 {
    let page = command_json(doorward, &["usage", name, "--since", "1d"]);
    let items = page["items"].as_array().unwrap();
    let found = items.iter().find(|one| one["name"] == name);
    found.map_or(0, |one| one["calls"].as_u64().unwrap())
}

/// The ids of what signs under one name: the newest first.
fn secrets_of(doorward: &Doorward, id: &str) -> Vec<String> {
    let shown = command_json(doorward, &["secret", "show", id]);
    let valid = shown["signing"]["valid"].as_array().unwrap();
    let ids = valid
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Calls with the old and with the new one of some kind, as usage has them.
type Seen<'a> = Box<dyn Fn() -> [u64; 2] + 'a>;

/// What is turned over, and who calls with it.
struct Turned<'a> {
    callers: Vec<&'a Caller>,
    seen: Seen<'a>,
    /// Calls that others made with the old and with the new one.
    asked: [u64; 2],
}

impl Turned<'_> {
    fn kind(&self) -> &'static str {
        self.callers[0].kind
    }

    /// How often it was used.
    fn made(&self) -> [u64; 2] {
        let sum = |new| self.callers.iter().map(|one| one.good(new)).sum::<u64>();
        [sum(false) + self.asked[0], sum(true) + self.asked[1]]
    }
}

/// The active key of a purpose, as it is named in usage.
fn signing_key(doorward: &Doorward, purpose: &str) -> String {
    let keys = command_json(doorward, &["signing-key", "list"]);
    let keys = keys["items"].as_array().unwrap();
    let active = keys
        .iter()
        .find(|key| key["purpose"] == purpose && key["state"] == "active");
    let kid = active.unwrap()["kid"].as_str().unwrap();
    // A key that encrypts has no public half to be named by, and a name of its own.
    if kid.starts_with("k4.lid.") {
        kid.to_owned()
    } else {
        format!("jkt:{kid}")
    }
}

/// Everything in a folder and below.
fn everything_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(everything_below(&path));
        } else {
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    all
}

/// A file takes another one's place at once, as a rotation does it.
fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

#[test]
fn every_kind_is_turned_over_under_load_without_a_failed_call() {
    let upstream = Backend::start("one");
    let place = Place::new().unwrap();
    let folder = place.path().to_owned();
    let (old_ca, new_ca) = (ca(), ca());
    let write = |pem: String| put(&folder, "partners.pem", &pem);
    write(old_ca.pem());
    let [old_issuer, new_issuer] = [(); 2].map(|()| PartnerKeys::new());
    let [old_own, new_own, old_pair, new_pair] = [
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::EdDSA,
        Algorithm::ES256,
    ]
    .map(|algorithm| Arc::new(SigningKey::generate(algorithm).unwrap()));
    let doorward = place.start(&settings(&upstream, &[&old_issuer])).unwrap();
    let declare = |keys: &[&SigningKey]| {
        let client = export(keys);
        doorward.make("PUT", "/v1/clients/export", &client).unwrap();
    };
    declare(&[&old_own]);
    let server_ca = doorward.place().path().join("tls/ca.pem");
    let door = Door::of(&doorward);
    let make = |path: &str, wish: &Value| issued(&doorward.make("POST", path, wish).unwrap());
    let rights = json!({
        "application": "shop", "label": "old", "apis": ["orders"], "scopes": ["orders:read"],
    });
    let none = json!({});
    let (old_key, key) = make("/v1/keys", &rights);
    let (old_password, password) = make("/v1/accounts/alice/passwords", &none);
    let (old_secret, secret) = make("/v1/clients/backend/secrets", &none);
    let mut texts = vec![key.clone(), password.clone(), secret.clone()];
    let signing = Scheme::ALL.map(|scheme| {
        let mut wish = rights.clone();
        wish["scheme"] = json!(scheme.name());
        let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
        (issued(&made).0, Signatory::of(scheme, &made))
    });
    texts.extend(signing.iter().map(|(_, one)| one.secret.clone()));
    let mut wish = rights;
    wish["scheme"] = json!("http_signature");
    wish["public_key"] = json!(old_pair.public_jwk().to_json().to_string());
    let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let pair_id = made["credential"]["id"].as_str().unwrap().to_owned();
    let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
    let by_pair =
        |key: &Arc<SigningKey>| Held::Signature(Signatory::with_key(key_id, Arc::clone(key)));
    let (hook_id, hook) = hooks(&doorward, &upstream);
    texts.push(hook.clone());
    let (old_certificate, old_x5t) = partner(&old_ca, &server_ca);

    let start = |kind, held| Caller::start(kind, &door, held);
    let key = start("api_key", Held::Key(key));
    let password = start("basic", Held::Password(password));
    let of_client = [
        ("a token of ours", "orders"),
        ("a paseto of ours", "sealed"),
        ("an encrypted paseto of ours", "kept"),
        ("an opaque token", "hidden"),
    ]
    .map(|(kind, api)| start(kind, Held::ClientSecret(api, secret.clone())));
    let mut signers: Vec<(&String, Option<Scheme>, Caller)> = Vec::new();
    for (id, signatory) in &signing {
        let held = Held::Signature(signatory.clone());
        let caller = start(signatory.scheme.name(), held);
        signers.push((id, Some(signatory.scheme), caller));
    }
    signers.push((&pair_id, None, start("a public key", by_pair(&old_pair))));
    signers.push((&hook_id, None, start("webhook", Held::Sender(hook))));
    let own = start("client_jwt", Held::OwnKey(Arc::clone(&old_own)));
    let certificate = start("mtls", old_certificate);
    let tokens = start("a foreign issuer's jwt", old_issuer.token());
    let pasetos = Held::Pasetos(Arc::clone(&old_issuer.pasetos));
    let pasetos = start("a foreign issuer's paseto", pasetos);
    let callers: Vec<&Caller> = [&key, &password, &own, &certificate, &tokens, &pasetos]
        .into_iter()
        .chain(&of_client)
        .chain(signers.iter().map(|(.., caller)| caller))
        .collect();
    let all_go_on = || {
        let wanted: Vec<_> = callers.iter().map(|one| one.calls() + SOME).collect();
        for (caller, calls) in callers.iter().zip(wanted) {
            caller.gets_to(calls);
        }
    };
    all_go_on();

    // The next ones come beside those in use.
    let rotated = |arguments: &[&str], overlap: &str| {
        let arguments = [arguments, &["--overlap", overlap]].concat();
        command_json(&doorward, &arguments)
    };
    let (new_key, next_key) = issued(&rotated(&["key", "rotate", &old_key], "1h"));
    let rotate = ["account", "password", "rotate", "alice", &old_password];
    let (new_password, next_password) = issued(&rotated(&rotate, "1h"));
    let rotate = ["client", "secret", "rotate", "backend", &old_secret];
    let (new_secret, next_secret) = issued(&rotated(&rotate, "1h"));
    declare(&[&old_own, &new_own]);
    write(old_ca.pem() + &new_ca.pem());
    let both = settings(&upstream, &[&old_issuer, &new_issuer]);
    doorward.place().write_settings(&both).unwrap();
    // How often it was let in until then.
    let becomes = |status: u16, held: &Held| {
        let mut passed = 0;
        wait_until("what is declared is in force", SOON, || {
            let answered = door.call(held).unwrap();
            passed += u64::from(answered == 200);
            answered == status
        });
        passed
    };
    becomes(200, &partner(&new_ca, &server_ca).0);
    let asked_new = becomes(200, &new_issuer.token());
    all_go_on();

    // Everybody moves over. Secrets to sign with are two under one name: the first ends by itself.
    let next_pair = doorward.place().path().join("next.jwk");
    let text = new_pair.public_jwk().to_json().to_string();
    std::fs::write(&next_pair, text).unwrap();
    let materials: Vec<[String; 2]> = signers
        .iter()
        .map(|(id, scheme, caller)| {
            let old = secrets_of(&doorward, id).remove(0);
            let held = match (scheme, caller.kind) {
                (Some(scheme), _) => {
                    let made = rotated(&["secret", "rotate", id], OVERLAP);
                    let next = Signatory::of(*scheme, &made);
                    texts.push(next.secret.clone());
                    Held::Signature(next)
                }
                (None, "webhook") => {
                    let (_, next) = issued(&rotated(&["secret", "rotate", id], OVERLAP));
                    texts.push(next.clone());
                    Held::Sender(next)
                }
                (None, _) => {
                    let file = next_pair.to_str().unwrap();
                    rotated(
                        &["secret", "rotate", id, "--public-key-file", file],
                        OVERLAP,
                    );
                    by_pair(&new_pair)
                }
            };
            caller.moves_to(held);
            [old, secrets_of(&doorward, id).remove(0)]
        })
        .collect();
    let (new_certificate, new_x5t) = partner(&new_ca, &server_ca);
    texts.extend([&next_key, &next_password, &next_secret].map(String::clone));
    key.moves_to(Held::Key(next_key));
    password.moves_to(Held::Password(next_password));
    for (caller, api) in of_client.iter().zip(["orders", "sealed", "kept", "hidden"]) {
        caller.moves_to(Held::ClientSecret(api, next_secret.clone()));
    }
    own.moves_to(Held::OwnKey(Arc::clone(&new_own)));
    certificate.moves_to(new_certificate);
    tokens.moves_to(new_issuer.token());
    pasetos.moves_to(Held::Pasetos(Arc::clone(&new_issuer.pasetos)));
    all_go_on();

    // What is not used any more is seen to be so, and what is used, to be used.
    let calls = |usage: &[&str]| command_json(&doorward, usage)["calls"].as_u64().unwrap();
    let named = |name: &str| used(&doorward, name);
    let [old_jkt, new_jkt] = [&old_own, &new_own].map(|key| jkt(key));
    let ([old_jwts, old_pasetos], [new_jwts, new_pasetos]) =
        (old_issuer.names(), new_issuer.names());
    let turned = |callers: Vec<_>, seen| Turned {
        callers,
        seen,
        asked: [0, 0],
    };
    let pair = |names: [String; 2]| -> Seen<'_> {
        Box::new(move || names.each_ref().map(|name| named(name)))
    };
    let mut all = vec![
        turned(
            vec![&key],
            Box::new(|| [&old_key, &new_key].map(|id| calls(&["key", "usage", id]))),
        ),
        turned(
            vec![&password],
            Box::new(|| {
                [&old_password, &new_password]
                    .map(|id| calls(&["account", "password", "usage", "alice", id]))
            }),
        ),
        turned(
            of_client.iter().collect(),
            Box::new(|| {
                [&old_secret, &new_secret]
                    .map(|id| calls(&["client", "secret", "usage", "backend", id]))
            }),
        ),
        turned(vec![&own], pair([old_jkt, new_jkt])),
        turned(vec![&certificate], pair([old_x5t, new_x5t])),
        Turned {
            callers: vec![&tokens],
            seen: pair([old_jwts, new_jwts]),
            asked: [0, asked_new],
        },
        turned(vec![&pasetos], pair([old_pasetos, new_pasetos])),
    ];
    let running = &doorward;
    for ((id, _, caller), names) in signers.iter().zip(&materials) {
        let seen = Box::new(move || {
            let usage = command_json(running, &["secret", "usage", id]);
            let each = usage["secrets"].as_array().unwrap();
            names.each_ref().map(|name| {
                let found = each.iter().find(|one| one["id"] == **name);
                // Once it is swept, the list of all that was used still has it.
                found.map_or_else(|| named(name), |one| one["calls"].as_u64().unwrap())
            })
        });
        all.push(turned(vec![caller], seen));
    }
    let before: Vec<_> = all
        .iter()
        .map(|one| {
            wait_until(one.kind(), SOON, || (one.seen)()[0] == one.made()[0]);
            (one.seen)()
        })
        .collect();
    all_go_on();
    for (one, [old, new]) in all.iter().zip(before) {
        wait_until(one.kind(), SOON, || (one.seen)()[1] > new);
        let now = (one.seen)()[0];
        assert_eq!(now, old, "{}: somebody still uses the old one", one.kind());
    }
    let told = command(&doorward, &["account", "password", "usage", "alice"]);
    for id in [&old_password, &new_password] {
        assert!(told.contains(&**id), "{told}");
    }

    // Our own issuer's keys: every caller gets a new token for each call, so the old key's fade.
    for purpose in ["access", "access-paseto", "access-paseto-local"] {
        let old = signing_key(&doorward, purpose);
        let rotate = ["signing-key", "rotate", purpose, "--immediately"];
        command(&doorward, &rotate);
        let new = signing_key(&doorward, purpose);
        assert_ne!(old, new);
        wait_until(purpose, SOON, || {
            let (faded, grown) = (named(&old), named(&new));
            assert!(faded > 0, "{purpose}: its tokens are counted");
            all_go_on();
            named(&old) == faded && named(&new) > grown
        });
    }

    // The old ones end, and only they.
    command(&doorward, &["key", "revoke", &old_key]);
    command(
        &doorward,
        &["account", "password", "revoke", "alice", &old_password],
    );
    command(
        &doorward,
        &["client", "secret", "revoke", "backend", &old_secret],
    );
    declare(&[&new_own]);
    for caller in [&key, &password, &of_client[0], &own] {
        assert_eq!(door.call(&caller.old).unwrap(), 401, "{}", caller.kind);
    }
    write(new_ca.pem());
    doorward
        .place()
        .write_settings(&settings(&upstream, &[&new_issuer]))
        .unwrap();
    becomes(401, &partner(&old_ca, &server_ca).0);
    let asked_old = becomes(401, &old_issuer.token());
    for caller in [&certificate, &tokens, &pasetos] {
        assert_eq!(door.call(&caller.old).unwrap(), 401, "{}", caller.kind);
    }
    for one in &mut all {
        if one.kind() == tokens.kind {
            one.asked[0] += asked_old;
        }
        if signers.iter().any(|(.., caller)| caller.kind == one.kind()) {
            one.asked[0] += becomes(401, &one.callers[0].old);
        }
    }
    all_go_on();

    for caller in &callers {
        caller.finish();
        assert!(caller.good(false) >= 2 * SOME, "{}", caller.kind);
        assert!(caller.good(true) >= 3 * SOME, "{}", caller.kind);
    }
    // No call is missing, and none is counted twice.
    for one in &all {
        wait_until(one.kind(), SOON, || (one.seen)() == one.made());
    }
    let opaque = "client:backend";
    let made: u64 = of_client.iter().map(Caller::calls).sum();
    wait_until(opaque, SOON, || named(opaque) == made);
    for (id, _, caller) in &signers {
        let one = all.iter().find(|one| one.kind() == caller.kind).unwrap();
        let both = one.made().iter().sum::<u64>();
        wait_until(caller.kind, SOON, || {
            calls(&["secret", "usage", id]) == both
        });
    }
    // Names are public; nothing that opens a door is among what was written down.
    let kept = everything_below(doorward.place().path());
    let log = doorward.log();
    for text in &texts {
        assert!(!log.contains(&**text), "a secret stands in the log");
        let found = wire::find(&kept, text.as_bytes());
        assert!(found.is_none(), "a secret stands in the database");
    }
    let calls: u64 = callers.iter().map(|one| one.calls()).sum();
    println!(
        "{calls} calls while {} credentials were turned over",
        callers.len()
    );
}

/// A sender of webhooks and the API that takes them.
fn hooks(doorward: &Doorward, upstream: &Backend) -> (String, String) {
    let wish = json!({ "application": "shop", "label": "old", "scheme": "webhook" });
    let made = doorward.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let key_id = &made["credential"]["signing"]["key_id"];
    let spec = json!({ "spec": {
        "audiences": ["https://hooks.example"],
        "base_path": "/hooks",
        "upstream": { "urls": [upstream.url()] },
        "scopes": { "orders:read": "Read" },
        "credentials": ["webhook"],
        "signatures": { "webhook": { "style": "standard-webhooks", "keys": [key_id] } },
        "routes": [{ "path": "/orders", "methods": ["POST"], "scopes": ["orders:read"] }],
    }});
    doorward.make("PUT", "/v1/apis/hooks", &spec).unwrap();
    let (id, secret) = issued(&made);
    let rights = json!({ "apis": ["hooks"], "scopes": ["orders:read"] });
    let path = format!("/v1/signing-secrets/{id}");
    doorward.make("PATCH", &path, &rights).unwrap();
    (id, secret)
}
