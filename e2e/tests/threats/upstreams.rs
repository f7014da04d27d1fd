//! What is the gateway's own towards upstreams: E4, connections that show a certificate are nobody
//! else's; J6, what is presented does not come back.

use core::time::Duration;
use std::fs;
use std::io::{Read as _, Write as _};
use std::time::Instant;

use serde_json::json;
use testkit::doorward::{BASE, Doorward, Place, write_certificates};
use testkit::upstream::Upstream;
use testkit::wire;

use super::certificates::{Ca, RESOURCES, World};

/// An API below `/NAME` that everybody may call, before an upstream that is declared so.
fn api(name: &str, upstream: &str) -> String {
    let with = match upstream.contains("credential") {
        true => ", dangerous_upstream_credential: true",
        false => "",
    };
    format!(
        "  - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: {name} }}\n    spec:\n\
         \x20     base_path: /{name}\n      strip_base_path: true\n      upstream: {{ {upstream} }}\n\
         \x20     routes: [{{ path: '/{{rest*}}', public: true{with} }}]\n"
    )
}

/// Defence: `upstream/mod.rs`, `Pools::pool`: a pool, and its connections, is one declaration's; and
/// `upstream/connect.rs`, which reads trust and certificate for each.
#[test]
fn e04_a_connection_that_shows_a_certificate_is_never_another_api_s() {
    // Behind it stands a door that judges certificates, and behind that an echo.
    let resources = RESOURCES.replace("{ path: /me }", "{ path: '/{rest*}' }");
    let inner = World::start_with(Place::new().unwrap(), Ca::new(), "", &resources);
    let url = format!("https://localhost:{}", inner.doorward.gateway_tls().port());
    let place = Place::new().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let ca = inner.doorward.place().path().join("tls/ca.pem");
    write("inner.pem", &fs::read_to_string(ca).unwrap());
    write_certificates(&place.path().join("others"), "localhost").unwrap();
    let mut settings = format!("{BASE}resources:\n");
    for (at, name) in ["billing", "sales"].into_iter().enumerate() {
        let id = format!("spiffe://example.org/{name}");
        let own = inner.ca.named(&id, 1 + at as u64);
        write(&format!("{name}.pem"), &own.pem);
        write(&format!("{name}.key"), &own.key_pem);
    }
    let mut apis = Vec::new();
    // By HTTP/1.1 a connection is one call's at a time, by HTTP/2 it is shared.
    for protocol in ["h1", "auto"] {
        let mut declare = |kind: &str, trusted: &str, own: &str| {
            let name = format!("{kind}-{protocol}");
            let tls = format!(
                "urls: ['{url}'], protocol: {protocol}, tls: {{ ca_file: {trusted}{own} }}"
            );
            settings.push_str(&api(&name, &tls));
            apis.push((name, kind.to_owned()));
        };
        for own in ["billing", "sales"] {
            let files = format!(", certificate_file: {own}.pem, key_file: {own}.key");
            declare(own, "inner.pem", &files);
        }
        declare("bare", "inner.pem", "");
        let files = ", certificate_file: billing.pem, key_file: billing.key";
        declare("distrustful", "others/ca.pem", files);
    }
    let outer = place.start(&settings).unwrap();
    let call = |(name, kind): &(String, String), mark: usize| {
        let answer = outer.get(&format!("/{name}/{mark}"), &[]).unwrap();
        let told = format!("{name}: {}", answer.text());
        match kind.as_str() {
            "bare" => assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "credential-missing"),
                "{told}"
            ),
            "distrustful" => assert_eq!(answer.status, 502, "{told}"),
            kind => {
                assert_eq!(answer.status, 200, "{told}");
                let subject = super::shared::seen(&answer, "doorward-subject");
                assert_eq!(subject, [format!("spiffe://example.org/{kind}")], "{told}");
            }
        }
    };
    // One after the other, so that each finds the connection of the one before at rest; then at once.
    for mark in 0..6 {
        for api in &apis {
            call(api, mark);
        }
    }
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let (apis, call) = (&apis, &call);
            scope.spawn(move || {
                for mark in 0..40 {
                    call(&apis[(mark + lane) % apis.len()], mark);
                }
            });
        }
    });
    // A reload that changes nothing of them keeps them apart too.
    let more = api(
        "more",
        &format!("urls: ['{url}'], tls: {{ ca_file: inner.pem }}"),
    );
    outer
        .place()
        .write_settings(&format!("{settings}{more}"))
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while outer.get("/more/x", &[]).unwrap().status == 404 {
        assert!(Instant::now() < until, "{}", outer.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    for mark in 0..3 {
        for api in &apis {
            call(api, mark);
        }
    }
}

/// Everything that comes back on a connection that is closed then.
fn all_of(doorward: &Doorward, method: &str, path: &str) -> String {
    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: any.example\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

const KEY: &str = "key-hunter2-0123456789";
const PASSWORD: &str = "password-hunter2-0123456789";
const SIGNING: &str = "signing-hunter2-0123456789";

/// Defence: `upstream/credential.rs`, `keep_back`; problems have a public half of fixed texts.
#[test]
fn j06_what_is_presented_to_an_upstream_does_not_come_back_in_any_field_or_error() {
    // Somebody else's issuer, whose tokens the gateway fetches.
    let issuer = Doorward::start(&format!(
        "{BASE}resources:\n  - {{ apiVersion: doorward/v1, kind: Application, metadata: {{ name: shop }}, spec: {{ owner: a@example.com, purpose: Tests }} }}\n\
         \x20 - apiVersion: doorward/v1\n    kind: Api\n    metadata: {{ name: a }}\n    spec: {{ audiences: [https://a.example], upstream: {{ urls: ['http://127.0.0.1:9'] }}, \
         scopes: {{ read: Read }}, credentials: [jwt], routes: [{{ path: /x, scopes: [read] }}] }}\n\
         \x20 - {{ apiVersion: doorward/v1, kind: Client, metadata: {{ name: backend }}, spec: {{ application: shop, auth_method: client_secret_basic, grants: {{ a: [read] }} }} }}\n"
    ))
    .unwrap();
    let path = "/v1/clients/backend/secrets";
    let made = issuer.make("POST", path, &json!({ "label": "tests" }));
    let client_secret = made.unwrap()["secret"].as_str().unwrap().to_owned();

    let upstream = Upstream::start_with(hostile).unwrap();
    let place = Place::new().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let ca = issuer.place().path().join("tls/ca.pem");
    write("issuer.pem", &fs::read_to_string(ca).unwrap());
    for (name, text) in [("key", KEY), ("password", PASSWORD), ("signing", SIGNING)] {
        write(name, text);
    }
    write("client", &client_secret);
    let mut settings = format!(
        "{BASE}outbound: {{ ca_file: issuer.pem, allow_networks: [127.0.0.0/8, '::1/128'] }}\nresources:\n"
    );
    let token_url = format!(
        "https://localhost:{}/oauth/token",
        issuer.issuer_tls().port()
    );
    let kinds = [
        ("fixed", "api_key: { secret: 'file:key' }".to_owned()),
        (
            "bearer",
            "api_key: { header: authorization, secret: 'file:key' }".to_owned(),
        ),
        (
            "basic",
            "basic: { username: door, password: 'file:password' }".to_owned(),
        ),
        (
            "token",
            format!(
                "oauth_client_credentials: {{ token_url: '{token_url}', client_id: backend, client_secret: 'file:client' }}"
            ),
        ),
        (
            "sigv4",
            "sigv4: { access_key_id: AKIDEXAMPLE, secret: 'file:signing', region: local, service: orders }"
                .to_owned(),
        ),
    ];
    for (name, credential) in &kinds {
        let own = format!(
            "urls: ['{}'], credential: {{ {credential} }}",
            upstream.url()
        );
        settings.push_str(&api(name, &own));
    }
    let outer = place.start(&settings).unwrap();

    let pair = proof::base64std::encode(format!("door:{PASSWORD}").as_bytes());
    let mut secrets = vec![
        KEY.to_owned(),
        PASSWORD.to_owned(),
        SIGNING.to_owned(),
        client_secret,
        pair,
    ];
    for (name, _) in &kinds {
        for (way, status) in [
            ("fields", 200),
            ("redirect", 302),
            ("refusal", 403),
            ("failure", 500),
            ("early", 200),
            ("broken", 502),
            ("nothing", 502),
        ] {
            let before = upstream.seen().len();
            let all = all_of(&outer, "GET", &format!("/{name}/{way}"));
            let seen = upstream.seen();
            assert!(seen.len() > before, "{name} {way}: {all}");
            // What was shown is told apart from nothing: the test can fail.
            let shown = shown(seen.last().unwrap());
            assert!(!shown.is_empty(), "{name}");
            if *name == "token" {
                secrets.push(shown[0].clone());
            }
            let told = all.split("\r\n\r\n").last().unwrap_or_default();
            assert!(
                all.contains(&format!("HTTP/1.1 {status} ")),
                "{name} {way}: {all}"
            );
            if !["broken", "nothing"].contains(&way) {
                assert!(all.contains("x-fine: yes"), "{name} {way}: {all}");
            }
            for secret in &secrets {
                assert!(!all.contains(&**secret), "{name} {way}: {all}");
            }
            assert!(!told.contains("127.0.0.1"), "{name} {way}: {told}");
        }
        // Nobody has a call traced to its end.
        let traced = all_of(&outer, "TRACE", &format!("/{name}/fields"));
        for secret in &secrets {
            assert!(!traced.contains(&**secret), "{name}: {traced}");
        }
    }
    assert!(secrets.len() > 5, "tokens were fetched");
    let record = |path: &str| outer.admin_call("GET", path, None).unwrap().1.to_string();
    let kept = [
        outer.log(),
        outer.stdout(),
        issuer.log(),
        record("/v1/decisions?limit=1000"),
        record("/v1/audit?limit=1000"),
        record("/v1/apis"),
        record("/v1/settings"),
    ];
    for text in &kept {
        for secret in &secrets {
            assert!(!text.contains(&**secret), "{text}");
        }
    }
    assert!(
        kept[0].contains("an upstream repeated the gateway's credential"),
        "{}",
        kept[0]
    );
}

/// What of a call is a secret: the values of its credential, without the scheme.
fn shown(seen: &testkit::upstream::Seen) -> Vec<String> {
    let fields = [seen.values("authorization"), seen.values("x-api-key")].concat();
    let bare = |value: &String| value.split(' ').next_back().unwrap().to_owned();
    fields.iter().map(bare).collect()
}

/// Repeats what it was shown in every field it can think of.
fn hostile(_: usize, seen: &testkit::upstream::Seen) -> Option<Vec<u8>> {
    // Who is asked by a signature never saw the secret that it was made with: then it says all
    // secrets there are, as if it had found them out.
    let signed = seen
        .values("authorization")
        .iter()
        .any(|value| value.starts_with("AWS4"));
    let mut all = shown(seen);
    if signed {
        all = vec![SIGNING.to_owned()];
    }
    if let Some(pair) = all
        .first()
        .and_then(|one| proof::base64std::decode(one.as_bytes()).ok())
        .and_then(|pair| String::from_utf8(pair).ok())
    {
        all.extend(
            pair.split(':')
                .map(str::to_owned)
                .filter(|part| part.len() > 7),
        );
    }
    let mut fields = String::from("x-fine: yes\r\n");
    for (at, secret) in all.iter().enumerate() {
        for (name, value) in [
            ("location", format!("https://evil.example/?t={secret}")),
            ("x-echo", secret.clone()),
            ("x-quoted", format!("\"{secret}\", other")),
            ("www-authenticate", format!("Bearer realm=\"{secret}\"")),
            ("set-cookie", format!("seen={secret}; Path=/")),
            ("server-timing", format!("a;desc={secret}")),
            ("doorward-anything", secret.clone()),
            ("content-type", format!("text/plain; x={secret}")),
        ] {
            if at == 0 || name.starts_with("x-") {
                fields.push_str(&format!("{name}: {value}\r\n"));
            }
        }
    }
    let end = "content-length: 2\r\n\r\n{}";
    let secret = &all[0];
    let text = match seen.target().as_str() {
        "/redirect" => format!("HTTP/1.1 302 Found\r\n{fields}{end}"),
        "/refusal" => format!("HTTP/1.1 403 {secret}\r\n{fields}{end}"),
        "/failure" => format!("HTTP/1.1 500 Oops\r\n{fields}{end}"),
        "/early" => format!(
            "HTTP/1.1 103 Early Hints\r\nlink: <{secret}>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n{fields}{end}"
        ),
        "/broken" => format!("HTTP/1.1 200 OK\r\nno field {secret}\r\n{fields}{end}"),
        "/nothing" => return None,
        _ => format!("HTTP/1.1 200 OK\r\n{fields}{end}"),
    };
    Some(text.into_bytes())
}
