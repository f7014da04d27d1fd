//! **Keys and secrets that are shared with others** are turned over under load: those of an issuer
//! that is trusted, those of a client that publishes its own, the key that tokens are encrypted to,
//! and the secret by which another issuer knows us. No call fails, and the old one ends.

use core::time::Duration;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::jwe::{ContentEncryption, DecryptionKey};
use proof::jose::key::SigningKey;
use proof::paseto::{IssuingKey, public_paserk};
use serde_json::json;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::tokens::ForeignIssuer;

use super::super::backend::Backend;
use super::super::scene::{command, command_json, issued, wait_until};
use super::caller::{Caller, Door, Held};
use super::{AUDIENCE, PARTNER, SOME, SOON, put};
use crate::flows::encrypted;
use crate::flows::foreign::Partner;
use crate::threats::key_sets::{KeyServer, LISTED, Reply};

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: orders }
    spec:
      audiences: [https://orders.example]
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: @KIND@
      issuers: [@ISSUERS@]
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
@MORE@
"#;

const SEALED: &str = r#"  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: sealed }
    spec:
      audiences: [https://sealed.example]
      base_path: /sealed
      upstream: { urls: ['@UPSTREAM@'] }
      scopes: { "orders:read": Read }
      credentials: [paseto]
      issuers: [partner]
      routes: [{ path: /orders, methods: [GET], scopes: ["orders:read"] }]
"#;

/// The settings of an API `orders` that takes a kind of some issuers' tokens, and what else is
/// declared.
fn settings(upstream: &Backend, outbound: &str, kind: &str, issuers: &str, more: &str) -> String {
    format!("{BASE}{outbound}{RESOURCES}")
        .replace("@KIND@", kind)
        .replace("@ISSUERS@", issuers)
        .replace("@MORE@", more)
        .replace("@UPSTREAM@", &upstream.url())
}

fn becomes(door: &Door, status: u16, held: &Held, doorward: &Doorward) {
    wait_until(&format!("{status}: {}", doorward.log()), SOON, || {
        door.call(held).unwrap() == status
    });
}

fn goes_on(caller: &Caller) {
    caller.gets_to(caller.calls() + SOME);
}

#[test]
fn the_key_that_tokens_are_encrypted_to_is_turned_over_under_load() {
    let upstream = Backend::start("one");
    let partner = ForeignIssuer::new(PARTNER);
    let trusted = format!(
        "  - {{ apiVersion: doorward/v1, kind: TrustedIssuer, metadata: {{ name: partner }}, \
         spec: {{ issuer: '{PARTNER}', jwks: {} }} }}",
        partner.jwks()
    );
    let opened_by = |files: &str| {
        let kind = format!("[jwt]\n      token_encryption: {{ key_files: [{files}] }}");
        settings(&upstream, "", &kind, "partner", &trusted)
    };
    let place = Place::new().unwrap();
    let fresh = |algorithm| SigningKey::generate(algorithm).unwrap();
    let old = encrypted::write(place.path(), "old.pem", &fresh(Algorithm::ES256));
    let new = encrypted::write(place.path(), "new.pem", &fresh(Algorithm::RS256));
    let doorward = place.start(&opened_by("old.pem")).unwrap();
    let door = Door::of(&doorward);
    let token = |key: &DecryptionKey| {
        let mut claims = partner.claims(AUDIENCE);
        claims["scope"] = json!("orders:read");
        let cipher = ContentEncryption::A256Gcm;
        let sealed = key
            .public()
            .encrypt(&partner.sign(&claims), "at+jwt", cipher);
        Held::Token(sealed.unwrap())
    };
    assert_eq!(door.call(&token(&new)).unwrap(), 401);
    let caller = Caller::start("jwe", &door, token(&old));
    goes_on(&caller);

    let declare = |files: &str| doorward.place().write_settings(&opened_by(files)).unwrap();
    declare("old.pem, new.pem");
    becomes(&door, 200, &token(&new), &doorward);
    goes_on(&caller);
    caller.moves_to(token(&new));
    goes_on(&caller);
    declare("new.pem");
    becomes(&door, 401, &token(&old), &doorward);
    assert_eq!(door.call(&caller.old).unwrap(), 401, "known, and dead");
    goes_on(&caller);
    caller.finish();
}

#[test]
fn the_files_with_a_foreign_issuer_s_paseto_keys_are_turned_over_under_load() {
    let upstream = Backend::start("one");
    let declared = |files: &str| {
        let more = format!(
            "{SEALED}  - {{ apiVersion: doorward/v1, kind: TrustedIssuer, metadata: {{ name: partner }}, \
             spec: {{ issuer: '{PARTNER}', paseto_key_files: [{files}] }} }}",
        );
        settings(&upstream, "", "[jwt]", "own", &more)
    };
    let place = Place::new().unwrap();
    let made = |folder: &Path, name: &str| {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        put(folder, name, &public_paserk(&key.public_jwk()).unwrap());
        Held::Pasetos(Arc::new(IssuingKey::signing(key).unwrap()))
    };
    let old = made(place.path(), "old.paserk");
    let doorward = place.start(&declared("old.paserk")).unwrap();
    let folder = doorward.place().path();
    let door = Door::of(&doorward);
    let caller = Caller::start("paseto", &door, old.clone());
    goes_on(&caller);

    let next = made(folder, "next.paserk");
    assert_eq!(door.call(&next).unwrap(), 401);
    let declare = |files: &str| doorward.place().write_settings(&declared(files)).unwrap();
    declare("old.paserk, next.paserk");
    becomes(&door, 200, &next, &doorward);
    goes_on(&caller);
    caller.moves_to(next.clone());
    goes_on(&caller);
    // The file of the old one gets the one after: no word in the settings changes.
    let last = made(folder, "old.paserk");
    becomes(&door, 200, &last, &doorward);
    assert_eq!(door.call(&old).unwrap(), 401, "the old one ends");
    goes_on(&caller);
    caller.moves_to(last);
    goes_on(&caller);
    // A file that holds no key changes nothing.
    put(folder, "next.paserk", "no key");
    std::thread::sleep(Duration::from_secs(3));
    goes_on(&caller);
    assert_eq!(door.call(&next).unwrap(), 200);
    declare("old.paserk");
    becomes(&door, 401, &next, &doorward);
    goes_on(&caller);
    caller.finish();
}

#[test]
fn the_keys_that_a_client_publishes_are_turned_over_under_load() {
    let upstream = Backend::start("one");
    let place = Place::new().unwrap();
    let [old, new] = [Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| Arc::new(SigningKey::generate(algorithm).unwrap()));
    let set = |keys: &[&SigningKey]| {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
        Reply::Keys(json!({ "keys": keys }).to_string())
    };
    let server = KeyServer::start(&place.path().join("tls"), set(&[&old]));
    let more = format!(
        "  - {{ apiVersion: doorward/v1, kind: Application, metadata: {{ name: shop }}, spec: {{ owner: a@example.com, purpose: Tests }} }}\n\
         \x20 - {{ apiVersion: doorward/v1, kind: Client, metadata: {{ name: keyed }}, spec: {{ application: shop, \
         auth_method: private_key_jwt, jwks_uri: '{}', grants: {{ orders: ['orders:read'] }} }} }}",
        server.url()
    );
    let outbound = format!("outbound: {LISTED}\n");
    let text = settings(&upstream, &outbound, "[jwt]", "own", &more);
    let doorward = place.start(&text).unwrap();
    let door = Door::of(&doorward);
    let [by_old, by_new] = [&old, &new].map(|key| Held::ClientKey(Arc::clone(key)));
    let caller = Caller::start("jwks_uri", &door, by_old.clone());
    goes_on(&caller);
    assert_eq!(door.call(&by_new).unwrap(), 401);

    server.set(set(&[&old, &new]));
    becomes(&door, 200, &by_new, &doorward);
    goes_on(&caller);
    caller.moves_to(by_new);
    goes_on(&caller);
    server.set(set(&[&new]));
    // A name that nobody knows has the set read again, once in its interval: then the old one is gone.
    let stranger = Held::ClientKey(Arc::new(SigningKey::generate(Algorithm::ES256).unwrap()));
    wait_until("the old one ends", SOON, || {
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(door.call(&stranger).unwrap(), 401);
        door.call(&by_old).unwrap() == 401
    });
    goes_on(&caller);
    // The client's server is away: what is known goes on.
    server.set(Reply::Status(500));
    goes_on(&caller);
    caller.finish();
}

#[test]
fn the_secret_by_which_another_issuer_knows_us_is_turned_over_under_load() {
    let unused = SigningKey::generate(Algorithm::ES256).unwrap();
    let partner = Partner::start(&json!({ "keys": [unused.public_jwk().to_json()] }));
    let upstream = Backend::start("one");
    let place = Place::new().unwrap();
    partner.introduce(place.path());
    let more = format!(
        "  - {{ apiVersion: doorward/v1, kind: TrustedIssuer, metadata: {{ name: partner }}, spec: {{ issuer: '{0}', \
         introspection: {{ url: '{0}/oauth/introspect', client_id: door, client_secret: 'file:door.secret', \
         cache: 1s }} }} }}",
        partner.origin
    );
    let outbound =
        "outbound: { ca_file: partner-ca.pem, allow_networks: [127.0.0.0/8, '::1/128'] }\n";
    let text = settings(&upstream, outbound, "[opaque]", "partner", &more);
    let doorward = place.start(&text).unwrap();
    let door = Door::of(&doorward);
    let held = Held::Token(partner.token(AUDIENCE, "orders:read"));
    let caller = Caller::start("introspection", &door, held);
    goes_on(&caller);

    let node = partner.node();
    let (_, page) = node
        .admin_call("GET", "/v1/clients/door/secrets", None)
        .unwrap();
    let old = page["items"][0]["id"].as_str().unwrap().to_owned();
    let rotate = ["client", "secret", "rotate", "door", &old];
    let rotated = command_json(node, &[&rotate[..], &["--overlap", "1h"]].concat());
    let (new, secret) = issued(&rotated);
    let folder = doorward.place().path();
    let former = fs::read_to_string(folder.join("door.secret")).unwrap();
    put(folder, "door.secret", &format!("{secret}\n"));
    let asked = || {
        [&old, &new].map(|id| {
            let usage = ["client", "secret", "usage", "door", id];
            command_json(node, &usage)["calls"].as_u64().unwrap()
        })
    };
    let mut before = asked();
    wait_until("questions come with the new secret alone", SOON, || {
        std::thread::sleep(Duration::from_millis(2500));
        let [old, new] = core::mem::replace(&mut before, asked());
        before[0] == old && before[1] > new
    });
    assert!(before[0] > 0, "the old one was used");
    command(node, &["client", "secret", "revoke", "door", &old]);
    // Each answer is used for a second.
    std::thread::sleep(Duration::from_millis(2500));
    goes_on(&caller);
    wait_until("it is asked further", SOON, || asked()[1] > before[1]);
    assert_eq!(asked()[0], before[0]);
    caller.finish();

    // The old one is worth nothing: what nobody can ask about is 503, and no pass.
    put(folder, "door.secret", &former);
    wait_until("the old one is refused", SOON, || {
        let fresh = Held::Token(partner.token(AUDIENCE, "orders:read"));
        door.call(&fresh).unwrap() == 503
    });
    for log in [doorward.log(), node.log()] {
        assert!(!log.contains(&secret) && !log.contains(former.trim()));
    }
}
