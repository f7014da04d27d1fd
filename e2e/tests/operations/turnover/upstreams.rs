//! **What the gateway presents to upstreams is turned over under load**: behind the door stands
//! another Doorward, which judges what the first one presents and counts it. No call is lost, the old
//! one is seen to be used no more, and is worth nothing at the end.

use core::time::Duration;
use std::fs;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::time::Timestamp;
use serde_json::json;
use testkit::bound::ClientCertificate;
use testkit::doorward::{Doorward, Place, write_certificates};
use testkit::signing::{Scheme, Signatory, Target};
use testkit::tokens::now;
use testkit::upstream::Upstream;
use testkit::wire;

use super::super::backend::Backend;
use super::super::load::Load;
use super::super::scene::{self, command_json, wait_until};
use super::caller::{Door, Held};
use super::{put, secrets_of, used};
use crate::flows::encrypted;
use crate::threats::certificates::Ca;

const SOON: Duration = Duration::from_secs(30);
const BILLING: &str = "spiffe://example.org/billing";

/// A Doorward before another one that it reaches over TLS; `own` is what it presents there, as its
/// upstream's declaration has it.
fn before(inner: &Doorward, own: &str, files: &[(&str, &str)]) -> Doorward {
    let place = Place::new().unwrap();
    let ca = inner.place().path().join("tls/ca.pem");
    fs::copy(ca, place.path().join("inner.pem")).unwrap();
    for (name, text) in files {
        fs::write(place.path().join(name), text).unwrap();
    }
    let url = format!("https://localhost:{}", inner.gateway_tls().port());
    let settings = scene::settings(&url)
        .replace("connect_timeout: 1s }", &format!("{own} }}"))
        .replacen(
            "resources:",
            "outbound: { ca_file: inner.pem, allow_networks: [127.0.0.0/8, '::1/128'] }\nresources:",
            1,
        );
    place.start(&settings).unwrap()
}

/// The load goes over to the new one: the count of the old one stands still while that of the new one
/// grows with each call.
fn goes_over(what: &str, load: &Load, seen: impl Fn() -> [u64; 2]) {
    // Counts come in batches: what was on its way is written down before it can stand still.
    let mut before = seen();
    wait_until(what, SOON, || {
        load.let_pass(60);
        std::thread::sleep(Duration::from_millis(1200));
        let [old, new] = core::mem::replace(&mut before, seen());
        before[0] == old && before[1] > new
    });
    load.let_pass(150);
    wait_until(what, SOON, || seen()[1] >= before[1] + 150);
    assert_eq!(
        seen()[0],
        before[0],
        "{what}: somebody still uses the old one"
    );
    assert!(before[0] > 0, "{what}: the old one was never used");
}

fn ends_well(load: Load) {
    let outcome = load.stop();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    println!("{} calls", outcome.good);
}

fn calls(inner: &Doorward, usage: &[&str]) -> u64 {
    command_json(inner, usage)["calls"].as_u64().unwrap()
}

#[test]
fn a_password_is_turned_over_under_load_and_the_old_one_ends() {
    let upstream = Backend::start("one");
    let inner = Doorward::start(&scene::settings(&upstream.url())).unwrap();
    let passwords = "/v1/accounts/alice/passwords";
    let (old, password) = scene::issued(&inner.make("POST", passwords, &json!({})).unwrap());
    let own = "tls: { ca_file: inner.pem }, credential: { basic: { username: alice, password: 'file:up.key' } }";
    let outer = before(&inner, own, &[("up.key", &password)]);
    let (_, key) = scene::key(&outer, "load");
    let load = Load::start(4, outer.gateway(), "/orders", &key);
    load.let_pass(60);

    let rotate = [
        "account",
        "password",
        "rotate",
        "alice",
        &old,
        "--overlap",
        "1h",
    ];
    let (new, next) = scene::issued(&command_json(&inner, &rotate));
    put(outer.place().path(), "up.key", &next);
    let ids = [&old, &new];
    goes_over("the password", &load, || {
        ids.map(|id| calls(&inner, &["account", "password", "usage", "alice", id]))
    });
    scene::command(&inner, &["account", "password", "revoke", "alice", &old]);
    load.let_pass(60);
    ends_well(load);

    // Only now is the old one refused, and the caller learns no more than the status.
    put(outer.place().path(), "up.key", &password);
    wait_until("the old password is refused", SOON, || {
        scene::read_orders(&outer, &key) == 401
    });
    for log in [outer.log(), inner.log()] {
        assert!(!log.contains(&password) && !log.contains(&next), "{log}");
    }
}

#[test]
fn the_secret_of_a_signature_is_turned_over_under_load_and_the_old_one_ends() {
    let upstream = Backend::start("one");
    let settings = scene::settings(&upstream.url()).replace(
        "credentials: [api_key, basic, jwt]",
        "credentials: [sigv4]\n      signatures: { sigv4: { regions: [local], services: [orders] } }",
    );
    let inner = Doorward::start(&settings).unwrap();
    let mut wish = scene::key_wish("door");
    wish["scheme"] = json!("sigv4");
    let made = inner.make("POST", "/v1/signing-secrets", &wish).unwrap();
    let (id, secret) = scene::issued(&made);
    let holder = Signatory::of(Scheme::SigV4, &made);
    let own = format!(
        "tls: {{ ca_file: inner.pem }}, credential: {{ sigv4: {{ access_key_id: {}, secret: 'file:up.key', \
         region: local, service: orders }} }}",
        holder.key_id
    );
    let outer = before(&inner, &own, &[("up.key", &secret)]);
    let (_, key) = scene::key(&outer, "load");
    let load = Load::start(4, outer.gateway(), "/orders?b=2&a=%2F", &key);
    load.let_pass(60);

    let old = secrets_of(&inner, &id).remove(0);
    let rotate = ["secret", "rotate", &id, "--overlap", "40s"];
    let (_, next) = scene::issued(&command_json(&inner, &rotate));
    let new = secrets_of(&inner, &id).remove(0);
    put(outer.place().path(), "up.key", &next);
    goes_over("the secret", &load, || {
        let usage = command_json(&inner, &["secret", "usage", &id]);
        let each = usage["secrets"].as_array().unwrap();
        [&old, &new].map(|name| {
            let found = each.iter().find(|one| one["id"] == **name);
            found.map_or_else(|| used(&inner, name), |one| one["calls"].as_u64().unwrap())
        })
    });
    // The overlap ends by itself, and what was signed with the old one passes no more.
    let by_old = || {
        let authority = inner.gateway().to_string();
        let call = Target {
            method: "GET",
            scheme: "http",
            authority: &authority,
            path: "/orders",
        };
        let fields = holder.fields(&call, Timestamp::from_secs(now()));
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        inner.get("/orders", &fields).unwrap().status
    };
    wait_until("the old one ends", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(300));
        by_old() == 401
    });
    load.let_pass(60);
    ends_well(load);
    for log in [outer.log(), inner.log()] {
        assert!(!log.contains(&secret) && !log.contains(&next), "{log}");
    }
}

#[test]
fn the_key_of_an_oauth_client_is_turned_over_under_load_and_the_old_one_ends() {
    let backend = Upstream::start().unwrap();
    // What is presented goes on to the echo, so that it can be taken back.
    let settings = scene::settings(&backend.url()).replace(
        "{ mode: jwt, audience: https://orders.example }",
        "{ mode: original }",
    );
    let inner = Doorward::start(&settings).unwrap();
    let [old, new] = [(); 2].map(|()| SigningKey::generate(Algorithm::ES256).unwrap());
    let declare = |keys: &[&SigningKey]| {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().to_json()).collect();
        let spec = json!({ "spec": {
            "application": "shop", "auth_method": "private_key_jwt", "environment": "test",
            "jwks": { "keys": keys }, "grants": { "orders": ["orders:read"] } } });
        inner.make("PUT", "/v1/clients/keyed", &spec).unwrap();
    };
    declare(&[&old]);
    let issuer = format!("http://{}", inner.issuer());
    let own = format!(
        "tls: {{ ca_file: inner.pem }}, credential: {{ oauth_client_credentials: {{ \
         token_url: 'https://localhost:{}/oauth/token', client_id: keyed, key_file: up.pem, \
         assertion_audience: '{issuer}' }} }}",
        inner.issuer_tls().port()
    );
    let pem = pem_of(&old);
    let outer = before(&inner, &own, &[("up.pem", &pem)]);
    let (_, key) = scene::key(&outer, "load");
    let load = Load::start(4, outer.gateway(), "/orders", &key);
    load.let_pass(60);
    let names = [&old, &new].map(|key| format!("jkt:{}", key.public_jwk().thumbprint()));
    let fetched = || names.each_ref().map(|name| used(&inner, name));
    wait_until("the first token is counted", SOON, || fetched() == [1, 0]);

    declare(&[&old, &new]);
    encrypted::write(outer.place().path(), "up.pem", &new);
    wait_until("a token is fetched with the new key", SOON, || {
        fetched()[1] > 0
    });
    load.let_pass(60);
    declare(&[&new]);
    // Each token that is taken back is fetched anew, with the new key alone.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(1200));
        let before = fetched();
        let token = shown(&backend);
        let id = crate::flows::scene::claims(&token)["jti"].clone();
        let revoke = json!({ "token_id": id });
        inner.make("POST", "/v1/tokens/revoke", &revoke).unwrap();
        wait_until("another token is in use", SOON, || shown(&backend) != token);
        load.let_pass(60);
        wait_until("it is counted", SOON, || fetched()[1] > before[1]);
        assert_eq!(fetched()[0], 1, "the old key is still in use");
    }
    ends_well(load);

    let door = Door::of(&inner);
    let by = |key| door.call(&Held::ClientKey(Arc::new(key))).unwrap();
    assert_eq!((by(new), by(old)), (200, 401));
}

/// A key in PEM.
fn pem_of(key: &SigningKey) -> String {
    let place = tempfile::tempdir().unwrap();
    encrypted::write(place.path(), "key.pem", key);
    fs::read_to_string(place.path().join("key.pem")).unwrap()
}

/// The token of the last call that reached the echo.
fn shown(backend: &Upstream) -> String {
    let seen = backend.seen();
    let field = seen.last().unwrap().values("authorization").remove(0);
    field.strip_prefix("Bearer ").unwrap().to_owned()
}

#[test]
fn certificates_of_both_ends_are_turned_over_under_load_and_the_old_ones_end() {
    let upstream = Backend::start("one");
    let settings = scene::settings(&upstream.url()).replace(
        "credentials: [api_key, basic, jwt]",
        &format!(
            "credentials: [mtls]\n      client_certificates: {{ ca_file: partners.pem, \
             identities: [{{ uri: '{BILLING}', scopes: ['orders:read'] }}] }}"
        ),
    );
    let [old_ca, new_ca] = [Ca::new(), Ca::new()];
    let [old, new] = [old_ca.named(BILLING, 1), new_ca.named(BILLING, 2)];
    let place = Place::new().unwrap();
    put(place.path(), "partners.pem", &old_ca.pem());
    let inner = place.start(&settings).unwrap();
    let own = "tls: { ca_file: inner.pem, certificate_file: own.pem, key_file: own.key }";
    let files = [("own.pem", &*old.pem), ("own.key", &*old.key_pem)];
    let outer = before(&inner, own, &files);
    let (inside, outside) = (inner.place().path(), outer.place().path());
    let (_, key) = scene::key(&outer, "load");
    let load = Load::start(4, outer.gateway(), "/orders", &key);
    load.let_pass(60);

    // The certificate that is shown, and who vouches for it.
    put(inside, "partners.pem", &(old_ca.pem() + &new_ca.pem()));
    wait_until("both are vouched for", SOON, || {
        over(&inner, &new.tls) == 200
    });
    put(outside, "own.pem", &new.pem);
    put(outside, "own.key", &new.key_pem);
    let names = [&old, &new].map(|one| one.tls.name());
    goes_over("the certificate", &load, || {
        names.each_ref().map(|name| used(&inner, name))
    });
    put(inside, "partners.pem", &new_ca.pem());
    wait_until("the old one ends", SOON, || over(&inner, &old.tls) == 401);
    load.let_pass(60);

    // The certificate of the upstream, and who is trusted to vouch for that.
    let next = tempfile::tempdir().unwrap();
    write_certificates(next.path(), "localhost").unwrap();
    let read = |name: &str| fs::read_to_string(next.path().join(name)).unwrap();
    let trusted = fs::read_to_string(outside.join("inner.pem")).unwrap();
    put(outside, "inner.pem", &(trusted.clone() + &read("ca.pem")));
    std::thread::sleep(Duration::from_secs(3));
    for name in ["localhost.pem", "localhost.key"] {
        put(&inside.join("tls"), name, &read(name));
    }
    let ca = next.path().join("ca.pem");
    wait_until("the upstream shows its new one", SOON, || {
        wire::connect_tls(inner.gateway_tls(), &ca, None).is_ok()
    });
    put(outside, "inner.pem", &read("ca.pem"));
    std::thread::sleep(Duration::from_secs(3));
    load.let_pass(120);
    ends_well(load);

    // Whoever trusts the old authority alone does not send a byte to the new certificate.
    let calls = upstream.calls();
    put(outside, "inner.pem", &trusted);
    wait_until("the new one is not trusted", SOON, || {
        scene::read_orders(&outer, &key) == 502
    });
    let after = upstream.calls();
    for _ in 0..5 {
        assert_eq!(scene::read_orders(&outer, &key), 502);
    }
    assert_eq!(upstream.calls(), after, "{calls} before");
}

/// `GET /orders` with a certificate: the status.
fn over(inner: &Doorward, own: &ClientCertificate) -> u16 {
    let ca = inner.place().path().join("tls/ca.pem");
    let config = own.client_config(&ca).unwrap();
    let address = inner.gateway_tls();
    let request = wire::request(address, "GET", "/orders", &[("host", "localhost")], b"");
    let mut stream = wire::connect_tls_as(address, &config, Some("http/1.1")).unwrap();
    std::io::Write::write_all(&mut stream, &request).unwrap();
    wire::first_answer(&mut stream).unwrap().status
}
