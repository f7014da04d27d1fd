//! Calls that a client signs with a certified key: the authority's word is enough for a new key, and a
//! list of the authority's ends one.

use std::path::Path;

use proof::client_call::Draft;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::upstream::Upstream;
use testkit::wire;

use super::client_jwt::{ORDERS, RESOURCES, get, good, now, settles};
use super::scene::claims;
use crate::threats::certificates::{Ca, Own};

const EXPORT: &str = "spiffe://example.org/export";

struct World {
    node: Doorward,
    upstream: Upstream,
    ca: Ca,
    /// What `export` is registered with, for the token endpoint.
    registered: SigningKey,
}

fn certificates(name: &str) -> Value {
    json!({
        "ca_file": "partners/ca.pem", "crl_files": ["partners/ca.crl"], "name": { "uri": name },
    })
}

impl World {
    fn start() -> Self {
        let (ca, upstream) = (Ca::new(), Upstream::start().unwrap());
        let registered = SigningKey::generate(Algorithm::ES256).unwrap();
        let place = Place::new().unwrap();
        let partners = place.path().join("partners");
        std::fs::create_dir(&partners).unwrap();
        std::fs::write(partners.join("ca.pem"), ca.pem()).unwrap();
        ca.revoke(&partners, &[], 1);
        let mut settings = format!("{BASE}{RESOURCES}").replace("@UPSTREAM@", &upstream.url());
        for (client, name) in [
            ("export", EXPORT),
            ("import", "spiffe://example.org/import"),
        ] {
            let document = json!({
                "apiVersion": "doorward/v1", "kind": "Client", "metadata": { "name": client },
                "spec": {
                    "application": "shop", "auth_method": "private_key_jwt",
                    "jwks": { "keys": [registered.public_jwk().to_json()] },
                    "signs_calls": true, "call_certificates": certificates(name),
                    "grants": { "orders": ["orders:read", "orders:write"] },
                },
            });
            settings.push_str(&format!("  - {document}\n"));
        }
        Self {
            node: place.start(&settings).unwrap(),
            upstream,
            ca,
            registered,
        }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.node.place().path().join("partners")
    }

    fn status(&self, own: &Own) -> u16 {
        self.status_of(own, |_| ())
    }

    fn status_of(&self, own: &Own, change: impl FnOnce(&mut Draft<'_>)) -> u16 {
        let mut draft = good();
        change(&mut draft);
        get(&self.node, &own.tls.sign_call(&draft)).status
    }

    /// Whether the log gives this cause for some refused call.
    fn heard(&self, cause: &str) {
        settles(true, || self.node.log().contains(cause));
    }
}

/// Defence: `verdict::credential::client_jwt::certified`.
#[test]
fn c13_whoever_the_authority_certifies_is_the_client_and_nobody_else_is() {
    let world = World::start();
    let (own, import) = (
        world.ca.named(EXPORT, 1),
        world.ca.named("spiffe://example.org/import", 2),
    );
    let token = own.tls.sign_call(&good());
    assert_eq!(get(&world.node, &token).status, 200, "{}", world.node.log());
    let seen = world.upstream.with("GET /orders");
    let seen = seen.last().unwrap();
    assert!(!seen.text().contains(&token), "{}", seen.text());
    let inside = claims(&seen.values("doorward-identity")[0]);
    assert_eq!(inside["sub"], json!("export"));
    assert_eq!(inside["scope"], json!("orders:read orders:write"));
    let again = get(&world.node, &token);
    assert_eq!(
        (again.status, again.code().as_str()),
        (401, "credential-refused")
    );
    // A key that nobody here heard of, and both until the old one is over.
    let next = world.ca.named(EXPORT, 3);
    assert_eq!((world.status(&next), world.status(&own)), (200, 200));
    // Whose key it is, is the authority's word.
    assert_eq!(
        world.status_of(&import, |draft| draft.client = "import"),
        200
    );
    assert_eq!(world.status(&import), 401);
    world.heard("the certificate does not have the name of export");
    assert_eq!(world.status_of(&own, |draft| draft.client = "import"), 401);
    assert_eq!(world.status(&Ca::new().named(EXPORT, 1)), 401);
    let less = world.status_of(&own, |draft| draft.scope = Some("orders:write"));
    assert_eq!(less, 403);

    // The registered key is for the token endpoint, and signs no calls.
    let registered = &world.registered;
    let plain = good().sign(registered, registered.kid());
    assert_eq!(get(&world.node, &plain).status, 401);
    world.heard("the header holds no certificate");
    let at = now().as_secs();
    let origin = format!("http://{}", world.node.issuer());
    let assertion = json!({
        "iss": "export", "sub": "export", "aud": origin, "iat": at, "exp": at + 60, "jti": "one",
    });
    let asked = |assertion: &str| {
        let body = encode(&[
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ]);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let issuer = world.node.issuer();
        wire::call(issuer, "POST", "/oauth/token", &form, body.as_bytes())
            .unwrap()
            .status
    };
    assert_eq!(
        asked(&jws::sign(registered, "JWT", &assertion.to_string())),
        200
    );
    // And a certificate opens nothing there.
    let mut call = good();
    call.audience = &origin;
    assert_eq!(asked(&own.tls.sign_call(&call)), 401);
}

/// Defence: the files are watched, and a new state of the authority is a new number.
#[test]
fn h05_a_list_that_changes_ends_a_key_and_a_restart_brings_none_back() {
    let mut world = World::start();
    let (lost, next) = (world.ca.named(EXPORT, 1), world.ca.named(EXPORT, 2));
    let both = |world: &World| (world.status(&lost), world.status(&next));
    assert_eq!(both(&world), (200, 200));
    let folder = world.folder();
    world.ca.revoke(&folder, &[1], 2);
    settles((401, 200), || both(&world));
    world.heard("x509-revoked");
    assert!(world.node.stop().unwrap(), "{}", world.node.log());
    world.node.start_again().unwrap();
    settles((401, 200), || both(&world));
    // What was read stays in force while the file can't be read.
    std::fs::write(folder.join("ca.crl"), "no list").unwrap();
    world.heard("not a certificate revocation list");
    assert_eq!(both(&world), (401, 200));
    world.ca.revoke(&folder, &[1, 2], 3);
    settles((401, 401), || both(&world));
    // The client goes on under another authority, without a restart.
    let other = Ca::new();
    std::fs::write(folder.join("ca.pem"), other.pem()).unwrap();
    other.revoke(&folder, &[], 1);
    let new = other.named(EXPORT, 1);
    settles(200, || world.status(&new));
    assert_eq!(both(&world), (401, 401));
}

#[test]
fn the_command_line_signs_with_a_chain_that_a_file_holds() {
    let world = World::start();
    let own = world.ca.named(EXPORT, 1);
    let folder = world.node.place().path().to_owned();
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let key = write("export.key", &own.key_pem);
    let chain = write("export.pem", &format!("{}{}", own.pem, world.ca.pem()));
    let other = write("other.pem", &world.ca.pem());
    let url = format!("http://{}/orders", world.node.gateway());
    let sign = |chain: &str| {
        let fixed = [
            "sign",
            "client-jwt",
            &url,
            "--client",
            "export",
            "--audience",
            ORDERS,
            "--private-key-file",
            &key,
            "--certificate-file",
            chain,
        ];
        world.node.place().run(&fixed).unwrap()
    };
    let output = sign(&chain);
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).unwrap();
    let token = line.split("Bearer ").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    assert_eq!(get(&world.node, token).status, 200, "{}", world.node.log());
    assert!(!sign(&other).status.success(), "another key's certificate");
    assert!(!sign(Path::new(&key).to_str().unwrap()).status.success());
}
