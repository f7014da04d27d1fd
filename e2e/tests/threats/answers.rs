//! **What callers are told**: for every kind of credential a row per defect, over HTTP/1.1 and
//! HTTP/2, with status, problem code and the challenges of `WWW-Authenticate`, word for word. The
//! golden file is what clients are written against. It has the cause from the log as well, which no
//! caller sees.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use proof::calendar;
use proof::client_call::Draft;
use proof::issued::{Brand, Environment, Issued, KeyId, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::jwt::Claims;
use proof::jose::key::SigningKey;
use proof::paseto::{self, IssuingKey, public_paserk};
use proof::random::{SystemEntropy, random_base62};
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{SharedKey, Style};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use serde_json::{Value, json};
use testkit::bound::{ClientCertificate, ProofKey};
use testkit::doorward::{BASE, Doorward, Place};
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::{ForeignIssuer, now};
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};
use verdict::credential::CredentialKind;

use super::shared::{basic, but};
use made::Known;

mod made;
mod rows;

/// A call, the same over either protocol.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// The client's certificate, if it shows one.
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Whether it goes to the admin API.
    admin: bool,
}

impl Call {
    fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
            tls: None,
            admin: false,
        }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn bearer(path: &str, token: &str) -> Self {
        Self::get(path).with("authorization", format!("Bearer {token}"))
    }

    fn shown(mut self, certificate: &Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(Arc::clone(certificate));
        self
    }

    fn for_admin(mut self) -> Self {
        self.admin = true;
        self
    }
}

/// What makes the calls of a row: the last one's answer counts, those before must pass.
type Row<'a> = (
    CredentialKind,
    &'static str,
    Box<dyn Fn() -> Vec<Call> + 'a>,
);

#[derive(Default)]
struct Rows<'a>(Vec<Row<'a>>);

impl<'a> Rows<'a> {
    fn add(&mut self, kind: CredentialKind, defect: &'static str, call: impl Fn() -> Call + 'a) {
        self.0.push((kind, defect, Box::new(move || vec![call()])));
    }

    /// The same call twice.
    fn twice(&mut self, kind: CredentialKind, defect: &'static str, call: impl Fn() -> Call + 'a) {
        let both = move || {
            let call = call();
            vec![call.clone(), call]
        };
        self.0.push((kind, defect, Box::new(both)));
    }
}

const PARTNER: &str = "spiffe://example.org/billing";

fn moment() -> Timestamp {
    Timestamp::from_secs(now())
}

/// As of an hour ago.
fn long_ago() -> Timestamp {
    moment().minus(Duration::from_secs(3600))
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn leaf(&self, name: &str, serial: u64, until: i32) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        ClientCertificate::new(vec![certificate.der().clone()], &key)
    }

    fn list(&self, revoked: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(revoked),
                revocation_time: rcgen::date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// The API of a kind, below `/KIND`: `/me` takes the scope `read`, `/write` the scope `write`, which
/// nobody holds.
fn api(name: &str, kind: &str, upstream: &str, more: &Value) -> Value {
    let method = if kind == "webhook" { "POST" } else { "GET" };
    let mut spec = json!({
        "audiences": [audience(name)],
        "base_path": format!("/{name}"),
        "upstream": { "urls": [upstream] },
        "scopes": { "read": "Read", "write": "Write" },
        "credentials": [kind],
        "routes": [
            { "path": "/me", "methods": [method], "scopes": ["read"] },
            { "path": "/write", "methods": [method], "scopes": ["write"] },
        ],
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn audience(api: &str) -> String {
    format!("https://{api}.example")
}

fn document(kind: &str, name: &str, spec: &Value) -> String {
    let document = json!({
        "apiVersion": "doorward/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    format!("  - {document}\n")
}

struct World {
    doorward: Doorward,
    upstream: Upstream,
    foreign: ForeignIssuer,
    stranger: ForeignIssuer,
    pasetos: IssuingKey,
    strange_pasetos: IssuingKey,
    export: SigningKey,
    partners: Authority,
    client_secret: String,
    /// When everything that was to expire has.
    expired_by: i64,
}

/// How long what is to expire lives.
const SHORT: i64 = 3;

impl World {
    fn start() -> Self {
        let upstream = Upstream::start().unwrap();
        let foreign = ForeignIssuer::new("https://foreign.example");
        let eddsa = || SigningKey::generate(Algorithm::EdDSA).unwrap();
        let (pasetos, export) = (eddsa(), eddsa());
        let paserk = public_paserk(&pasetos.public_jwk()).unwrap();
        let partners = Authority::new();
        let place = Place::new().unwrap();
        std::fs::write(place.path().join("partners.pem"), partners.0.pem()).unwrap();
        std::fs::write(place.path().join("partners.crl"), partners.list(2)).unwrap();

        let mut settings = format!("{BASE}resources:\n");
        let certificates = json!({ "client_certificates": {
            "ca_file": "partners.pem", "crl_files": ["partners.crl"],
            "identities": [{ "uri": PARTNER, "scopes": ["read"] }],
        }});
        let none = json!({});
        let apis = [
            ("api-key", "api_key", none.clone()),
            ("basic", "basic", none.clone()),
            ("jwt", "jwt", json!({ "issuers": ["own", "foreign"] })),
            ("jwt-other", "jwt", none.clone()),
            ("mtls", "mtls", certificates),
            ("opaque", "opaque", json!({ "token_format": "opaque" })),
            (
                "opaque-other",
                "opaque",
                json!({ "token_format": "opaque" }),
            ),
            (
                "sigv4",
                "sigv4",
                json!({ "signatures": { "sigv4": { "regions": ["local"], "services": ["orders"] } } }),
            ),
            ("http-signature", "http_signature", none.clone()),
            ("hmac", "hmac", none.clone()),
            ("client-jwt", "client_jwt", none),
            ("paseto", "paseto", json!({ "issuers": ["pasetos"] })),
        ];
        for (name, kind, more) in &apis {
            let spec = api(name, kind, &upstream.url(), more);
            settings.push_str(&document("Api", name, &spec));
        }
        let issuer = json!({ "issuer": "https://foreign.example", "jwks": foreign.jwks() });
        settings.push_str(&document("TrustedIssuer", "foreign", &issuer));
        let issuer = json!({ "issuer": "https://pasetos.example", "paseto_keys": [paserk] });
        settings.push_str(&document("TrustedIssuer", "pasetos", &issuer));
        let shop = json!({ "owner": "a@example.com", "purpose": "Tests" });
        settings.push_str(&document("Application", "shop", &shop));
        let machine = json!({
            "application": "shop", "auth_method": "client_secret_basic",
            "grants": { "jwt": ["read"], "jwt-other": [], "opaque": ["read"], "opaque-other": [] },
        });
        settings.push_str(&document("Client", "machine", &machine));
        let keys = json!({ "keys": [export.public_jwk().to_json()] });
        for (name, grants) in [
            ("export", json!({ "client-jwt": ["read"] })),
            ("elsewhere", json!({ "jwt": ["read"] })),
        ] {
            let client = json!({
                "application": "shop", "auth_method": "private_key_jwt", "jwks": keys,
                "signs_calls": true, "grants": grants,
            });
            settings.push_str(&document("Client", name, &client));
        }
        let certified = json!({
            "application": "shop", "auth_method": "client_secret_basic",
            "signs_calls": true, "grants": { "client-jwt": ["read"] },
            "call_certificates": {
                "ca_file": "partners.pem", "crl_files": ["partners.crl"],
                "name": { "uri": PARTNER },
            },
        });
        settings.push_str(&document("Client", "certified", &certified));
        for (name, apis) in [
            ("alice", "basic"),
            ("bob", "basic"),
            ("carol", "basic"),
            ("dan", "api-key"),
        ] {
            let account = json!({ "application": "shop", "apis": [apis], "scopes": ["read"] });
            settings.push_str(&document("Account", name, &account));
        }
        let doorward = place.start(&settings).unwrap();
        let made = doorward.make("POST", "/v1/clients/machine/secrets", &json!({}));
        Self {
            client_secret: made.unwrap()["secret"].as_str().unwrap().to_owned(),
            doorward,
            upstream,
            stranger: ForeignIssuer::new("https://foreign.example"),
            foreign,
            pasetos: IssuingKey::signing(pasetos).unwrap(),
            strange_pasetos: IssuingKey::signing(eddsa()).unwrap(),
            export,
            partners,
            expired_by: 0,
        }
    }

    /// Makes something; what is to end by itself does so soon.
    fn make(&mut self, path: &str, wish: &Value, ends: bool) -> Value {
        let mut wish = wish.clone();
        if ends {
            self.expired_by = now() + SHORT;
            let end = calendar::rfc3339(Timestamp::from_secs(self.expired_by));
            wish["expires_at"] = json!(end);
        }
        self.doorward.make("POST", path, &wish).unwrap()
    }

    /// Makes something and takes it back.
    fn revoked(&mut self, path: &str, wish: &Value) -> Value {
        let made = self.make(path, wish, false);
        let id = made["credential"]["id"].as_str().unwrap();
        let act = format!("{path}/{id}/revoke");
        self.doorward.make("POST", &act, &json!({})).unwrap();
        made
    }

    /// Our own issuer's token for an API.
    fn token(&self, api: &str) -> String {
        let form = format!("grant_type=client_credentials&resource=https%3A%2F%2F{api}.example");
        let answer = self.issuer("/oauth/token", &form);
        assert_eq!(answer.status, 200, "{api}: {}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// One that was revoked, and is known to be.
    fn revoked_token(&self, api: &str) -> String {
        let token = self.token(api);
        let answer = self.issuer("/oauth/revoke", &format!("token={token}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let call = Call::bearer(&format!("/{api}/me"), &token);
        let until = Instant::now() + Duration::from_secs(10);
        while self.by_http1(&call).status == 200 {
            assert!(Instant::now() < until, "{api}: revoked, and still let in");
            std::thread::sleep(Duration::from_millis(20));
        }
        token
    }

    fn issuer(&self, path: &str, form: &str) -> Answer {
        let fields = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &basic("machine", &self.client_secret)),
        ];
        let address = self.doorward.issuer();
        wire::call(address, "POST", path, &fields, form.as_bytes()).unwrap()
    }

    fn plain_tls(&self) -> Arc<rustls::ClientConfig> {
        let ca = self.doorward.place().path().join("tls/ca.pem");
        Arc::new(wire::client_config(&ca).unwrap())
    }

    fn showing(&self, certificate: &ClientCertificate) -> Arc<rustls::ClientConfig> {
        let ca = self.doorward.place().path().join("tls/ca.pem");
        certificate.client_config(&ca).unwrap()
    }

    fn by_http1(&self, call: &Call) -> Answer {
        let fields = call.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        if call.admin {
            let fields: Vec<_> = fields.collect();
            let address = self.doorward.admin();
            return wire::call(address, call.method, &call.path, &fields, &call.body).unwrap();
        }
        let fields: Vec<_> = [("host", "localhost")].into_iter().chain(fields).collect();
        let address = self.doorward.gateway_tls();
        let bytes = wire::request(address, call.method, &call.path, &fields, &call.body);
        let tls = call.tls.clone().unwrap_or_else(|| self.plain_tls());
        let mut stream = wire::connect_tls_as(address, &tls, Some("http/1.1")).unwrap();
        stream.write_all(&bytes).unwrap();
        wire::first_answer(&mut stream).unwrap()
    }

    fn by_http2(&self, call: &Call) -> Answer {
        let (address, origin, tls) = if call.admin {
            let address = self.doorward.admin();
            (address, format!("http://{address}"), None)
        } else {
            let tls = call.tls.clone().unwrap_or_else(|| self.plain_tls());
            let address = self.doorward.gateway_tls();
            (address, "https://localhost".to_owned(), Some(tls))
        };
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(format!("{origin}{}", call.path));
        for (name, value) in &call.fields {
            request = request.header(name, value);
        }
        let request = request.body(call.body.clone()).unwrap();
        wire::http2_as(address, tls, request).unwrap()
    }

    /// What the log says of refused calls, by their ids: the caller is not told, but a row that is
    /// refused for another reason than its own would test nothing.
    fn causes<'a>(&self, answers: impl Iterator<Item = &'a Answer>) -> BTreeMap<String, String> {
        let refused: Vec<_> = answers.filter(|one| one.status >= 400).collect();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.doorward.log();
            let causes: BTreeMap<_, _> = log.lines().filter_map(cause_in).collect();
            if refused
                .iter()
                .all(|one| causes.contains_key(request_id(one)))
            {
                return causes;
            }
            assert!(
                Instant::now() < until,
                "the log lacks a refused call: {log}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a caller can tell answers apart by.
    fn told(&self, answer: &Answer) -> String {
        let mut text = format!("    {} {}\n", answer.status, answer.code());
        for (name, value) in &answer.headers {
            if name == "www-authenticate" {
                let value = value.replace(&self.doorward.issuer().to_string(), "ISSUER");
                let _ = writeln!(text, "    {name}: {value}");
            }
        }
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

fn request_id(answer: &Answer) -> &str {
    answer.header("doorward-request-id").unwrap_or_default()
}

/// The id of a call and why it was refused, of a line of the access log; names that differ in every
/// run are shortened.
fn cause_in(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = if line["fields"].is_object() {
        &line["fields"]
    } else {
        &line
    };
    let id = fields["request_id"].as_str()?.to_owned();
    let cause = fields["cause"].as_str()?;
    let words = cause.split(' ').map(|word| {
        let bare = word.trim_matches(['(', ')', ',']);
        let name = [
            "key_", "adm_", "pwd_", "sgn_", "svc_", "jti:", "x5t:", "jkt:", "DWAK",
        ]
        .into_iter()
        .find(|name| bare.starts_with(name) && bare.len() > name.len());
        match name {
            Some(name) => word.replace(bare, &format!("{name}…")),
            // The public id within a secret.
            None if bare.len() == 16 && bare.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                word.replace(bare, "…")
            }
            None => word.to_owned(),
        }
    });
    Some((id, words.collect::<Vec<_>>().join(" ")))
}

#[test]
fn c12_every_kind_with_every_defect_is_answered_alike_over_both_protocols() {
    let mut world = World::start();
    let known = Known::make(&mut world);
    let world = world;
    let rows = rows::all(&world, &known);
    while now() <= world.expired_by {
        std::thread::sleep(Duration::from_millis(50));
    }

    let mut answered = Vec::new();
    for kind in CredentialKind::ALL {
        let before = answered.len();
        for (_, defect, calls) in rows.0.iter().filter(|(of, ..)| *of == kind) {
            let over = |send: &dyn Fn(&Call) -> Answer| {
                let mut calls = calls();
                let last = calls.pop().unwrap();
                for before in &calls {
                    let answer = send(before);
                    assert_eq!(answer.status, 200, "{kind:?} {defect}: {}", answer.text());
                }
                send(&last)
            };
            let (one, two) = (
                over(&|call| world.by_http1(call)),
                over(&|call| world.by_http2(call)),
            );
            answered.push((kind, *defect, one, two));
        }
        assert!(answered.len() > before, "{kind:?} has no row");
    }

    let causes = world.causes(answered.iter().flat_map(|(.., one, two)| [one, two]));
    let mut golden = String::new();
    for (kind, defect, one, two) in &answered {
        let [one, two] = [one, two].map(|answer| {
            let mut text = world.told(answer);
            if let Some(cause) = causes.get(request_id(answer)).filter(|cause| *cause != "-") {
                let _ = writeln!(text, "    log: {cause}");
            }
            text
        });
        assert_eq!(one, two, "{kind:?} {defect}: HTTP/1.1 and HTTP/2 differ");
        let _ = writeln!(golden, "{} · {defect}\n{one}", kind.name());
    }
    insta::assert_snapshot!("credential_kind_by_defect_on_the_wire", golden);
}
