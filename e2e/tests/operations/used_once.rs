//! **What a caller may use once is used once**: on another node, and after a crash.

use core::time::Duration;

use proof::client_call::Draft;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{SharedKey, Style};
use serde_json::{Value, json};
use testkit::bound::ProofKey;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::postgres;
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::{ForeignIssuer, now};
use testkit::upstream::Upstream;
use testkit::wire;

/// The host that every call is signed for, whichever node it reaches.
const HOST: &str = "api.example";
const AUDIENCE: &str = "https://once.example";

/// A call that was sent, as whoever read it on its way could send it again.
struct Captured {
    kind: &'static str,
    method: &'static str,
    path: &'static str,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Captured {
    fn status(&self, node: &Doorward) -> u16 {
        let mut fields: Vec<(&str, &str)> = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        fields.push(("host", HOST));
        let (method, path) = (self.method, self.path);
        let answer = wire::call(node.gateway(), method, path, &fields, &self.body);
        answer.unwrap().status
    }
}

struct Callers {
    signatories: Vec<Signatory>,
    sender: String,
    foreign: ForeignIssuer,
    proof: ProofKey,
    export: SigningKey,
}

impl Callers {
    /// A new call of each kind that passes once.
    fn calls(&self) -> Vec<Captured> {
        let get = |kind, fields| Captured {
            kind,
            method: "GET",
            path: "/once",
            fields,
            body: Vec::new(),
        };
        let at = Timestamp::from_secs(now());
        let target = Target {
            method: "GET",
            scheme: "http",
            authority: HOST,
            path: "/once",
        };
        let mut calls: Vec<_> = self
            .signatories
            .iter()
            .map(|one| get(one.scheme.name(), one.fields(&target, at)))
            .collect();

        let mut claims = self.foreign.claims(AUDIENCE);
        claims["scope"] = json!("read");
        claims["cnf"] = json!({ "jkt": self.proof.thumbprint() });
        let token = self.foreign.sign(&claims);
        let address = format!("http://{HOST}/once");
        let proof = self.proof.proof("GET", &address, Some(&token));
        let authorization = ("authorization".to_owned(), format!("DPoP {token}"));
        calls.push(get("dpop", vec![authorization, ("dpop".to_owned(), proof)]));

        let jti = random_base62(24, &SystemEntropy);
        let draft = Draft {
            client: "export",
            audience: AUDIENCE,
            jti: &jti,
            issued_at: at,
            lifetime: Duration::from_secs(60),
            scope: None,
            method: None,
            uri: None,
            body_sha256: None,
        };
        let token = draft.sign(&self.export, self.export.kid());
        let authorization = ("authorization".to_owned(), format!("Bearer {token}"));
        calls.push(get("client_jwt", vec![authorization]));

        let key = SharedKey::read(Style::Stripe, &Secret::from_text(self.sender.clone()));
        let body = random_base62(24, &SystemEntropy).into_bytes();
        let fields = proof::webhook::sign(Style::Stripe, &key.unwrap(), "", &body, at).unwrap();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        calls.push(Captured {
            kind: "webhook",
            method: "POST",
            path: "/hook/in",
            fields: fields
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body,
        });
        calls
    }
}

fn document(kind: &str, name: &str, spec: &Value) -> String {
    let document = json!({
        "apiVersion": "doorward/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    format!("  - {document}\n")
}

/// The settings of a node, and who calls it. The keys that the store keeps are made by [`admit`].
fn scene(lines: &str, upstream: &Upstream) -> (String, Callers) {
    let foreign = ForeignIssuer::new("https://foreign.example");
    let export = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let mut settings = format!("{BASE}{lines}resources:\n");
    let once = json!({
        "audiences": [AUDIENCE],
        "upstream": { "urls": [upstream.url()] },
        "scopes": { "read": "Read" },
        "credentials": ["hmac", "sigv4", "http_signature", "client_jwt", "jwt"],
        "issuers": ["foreign"],
        "signatures": { "sigv4": { "regions": ["local"], "services": ["orders"] } },
        "routes": [{ "path": "/once", "scopes": ["read"] }],
    });
    settings.push_str(&document("Api", "once", &once));
    let issuer = json!({ "issuer": "https://foreign.example", "jwks": foreign.jwks() });
    settings.push_str(&document("TrustedIssuer", "foreign", &issuer));
    let shop = json!({ "owner": "a@example.com", "purpose": "Tests" });
    settings.push_str(&document("Application", "shop", &shop));
    let client = json!({
        "application": "shop", "auth_method": "private_key_jwt", "signs_calls": true,
        "jwks": { "keys": [export.public_jwk().to_json()] }, "grants": { "once": ["read"] },
    });
    settings.push_str(&document("Client", "export", &client));
    let callers = Callers {
        signatories: Vec::new(),
        sender: String::new(),
        foreign,
        proof: ProofKey::new(Algorithm::ES256),
        export,
    };
    (settings, callers)
}

/// Makes the keys that requests are signed with, and the API of the webhook that names its own.
fn admit(callers: &mut Callers, node: &Doorward, upstream: &Upstream) {
    let path = "/v1/signing-secrets";
    for scheme in Scheme::ALL {
        let wish = json!({
            "application": "shop", "label": "tests", "scheme": scheme.name(),
            "apis": ["once"], "scopes": ["read"],
        });
        let made = node.make("POST", path, &wish).unwrap();
        callers.signatories.push(Signatory::of(scheme, &made));
    }
    let wish = json!({ "application": "shop", "label": "tests", "scheme": "webhook" });
    let made = node.make("POST", path, &wish).unwrap();
    let spec = json!({ "spec": {
        "base_path": "/hook",
        "upstream": { "urls": [upstream.url()] },
        "credentials": ["webhook"],
        "signatures": { "webhook": {
            "style": "stripe", "keys": [made["credential"]["signing"]["key_id"]],
        } },
        "routes": [{ "path": "/in", "methods": ["POST"] }],
    } });
    node.make("PUT", "/v1/apis/hook", &spec).unwrap();
    let id = made["credential"]["id"].as_str().unwrap();
    let rights = json!({ "apis": ["hook"] });
    node.make("PATCH", &format!("{path}/{id}"), &rights)
        .unwrap();
    callers.sender = made["secret"].as_str().unwrap().to_owned();
}

/// Defence: `NodeReplays` in `app/src/wire/adapters.rs`, whose rows are every node's.
#[test]
fn d05_what_one_node_saw_no_other_node_takes() {
    let Some(server) = postgres::shared() else {
        return;
    };
    let upstream = Upstream::start().unwrap();
    let database = server.create_database().unwrap();
    let lines = format!("database: {{ url: '{database}' }}\n");
    let (settings, mut callers) = scene(&lines, &upstream);
    let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
    std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let issuer = format!("url: 'http://{}'", one.issuer);
    let settings = settings.replace("url: 'http://@ISSUER@'", &issuer);
    let nodes = [one.start(&settings).unwrap(), two.start(&settings).unwrap()];
    admit(&mut callers, &nodes[0], &upstream);
    super::scene::wait_until("the webhook's API", Duration::from_secs(5), || {
        let answer = nodes[1].get("/hook/in", &[("host", HOST)]).unwrap();
        answer.status == 405
    });
    for round in 0..2 {
        for call in callers.calls() {
            let [first, second] = [&nodes[round], &nodes[1 - round]];
            assert_eq!(call.status(first), 200, "{}", call.kind);
            assert_eq!(call.status(second), 401, "{}, elsewhere", call.kind);
            assert_eq!(call.status(first), 401, "{}, again", call.kind);
        }
    }
}

/// The same, where the one node there is keeps its memory in the database.
#[test]
fn d05_a_durable_memory_outlives_a_crash() {
    let upstream = Upstream::start().unwrap();
    let (settings, mut callers) = scene("replay_memory: durable\n", &upstream);
    let mut node = Doorward::start(&settings).unwrap();
    admit(&mut callers, &node, &upstream);
    let used = callers.calls();
    for call in &used {
        assert_eq!(call.status(&node), 200, "{}", call.kind);
    }
    node.kill();
    node.start_again().unwrap();
    for call in &used {
        assert_eq!(call.status(&node), 401, "{}", call.kind);
    }
    for call in callers.calls() {
        assert_eq!(call.status(&node), 200, "{}, a new one", call.kind);
    }
}

#[test]
fn a_memory_of_one_process_is_no_memory_of_a_fleet() {
    let place = Place::new().unwrap();
    let database = "database: { url: 'postgres://doorward@127.0.0.1:1/doorward' }";
    for (memory, passes) in [("durable", true), ("memory", false)] {
        let lines = format!("{database}\nreplay_memory: {memory}\n");
        place.write_settings(&format!("{BASE}{lines}")).unwrap();
        let checked = place.run(&["config", "check"]).unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.success(), passes, "{said}");
        let told = said.contains("would not know what the others saw");
        assert_eq!(told, !passes, "{said}");
    }
}
