//! H7, H8 and J4: walls between listeners, environments and kinds of tokens; counting that holds.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::tokens::ForeignIssuer;
use testkit::wire;

use super::shared::{AUDIENCE, basic, but, seen, world};

/// Defence: `web/src/admin/site.rs`, asked before every operation; listeners of their own.
#[test]
fn h07_the_admin_api_checks_host_and_origin_and_shares_no_listener() {
    let world = world();
    let admin = world.doorward.admin();
    let key = format!("Bearer {}", world.doorward.owner_key());
    let own = format!("http://{admin}");
    let call = |headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", key.as_str())];
        all.extend_from_slice(headers);
        wire::get(admin, "/v1/status", &all).unwrap().status
    };
    assert_eq!(call(&[]), 200);
    assert_eq!(call(&[("origin", &own)]), 200);
    assert_eq!(call(&[("host", "localhost")]), 200);
    assert_eq!(call(&[("sec-fetch-site", "same-origin")]), 200);
    let port = admin.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1.evil.example".to_owned(),
        format!("localhost.evil.example:{port}"),
        "10.0.0.1".to_owned(),
    ] {
        assert_eq!(call(&[("host", &host)]), 421, "{host}");
    }
    for (name, value) in [
        ("origin", "https://evil.example".to_owned()),
        ("origin", "null".to_owned()),
        ("origin", format!("http://evil.example:{port}")),
        ("origin", format!("https://{admin}")),
        ("origin", format!("http://{}:{}", admin.ip(), port ^ 1)),
        ("origin", format!("{own}.evil.example")),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
    ] {
        assert_eq!(call(&[(name, &value)]), 403, "{name}: {value}");
    }
    // A page can't even ask: no CORS.
    let preflight = wire::call(
        admin,
        "OPTIONS",
        "/v1/keys",
        &[
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
        ],
        b"",
    )
    .unwrap();
    assert!(preflight.header("access-control-allow-origin").is_none());
    assert!(preflight.status >= 400, "{}", preflight.status);
    // Nothing of it on the other listeners, nothing of them here.
    for address in [
        world.doorward.gateway(),
        world.doorward.issuer(),
        world.doorward.ops(),
    ] {
        let status = wire::get(address, "/v1/status", &[("authorization", &key)])
            .unwrap()
            .status;
        assert_eq!(status, 404, "{address}");
    }
    for path in ["/public/x", "/oauth/token", "/metrics", "/jwks.json"] {
        assert_eq!(
            wire::get(admin, path, &[("authorization", &key)])
                .unwrap()
                .status,
            404,
            "{path}"
        );
    }
}

/// Defence: `cluster/src/memory.rs`: check and count are one step under the shard's lock.
#[test]
fn h08_parallel_calls_never_exceed_the_limit() {
    let world = world();
    let passed = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    // A subject of this test's own; the limit is 20 in an hour.
    let claims = but(
        &world.foreign.claims("https://limited.example"),
        "sub",
        json!(world.mark()),
    );
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..8 {
                    // Another token each time: the principal counts, not the credential.
                    let token = world
                        .foreign
                        .sign(&but(&claims, "jti", json!(world.mark())));
                    let answer = world.with_token("/limited/x", &token);
                    match answer.status {
                        200 => passed.fetch_add(1, Ordering::SeqCst),
                        429 => {
                            assert!(answer.header("retry-after").is_some());
                            assert_eq!(answer.code(), "rate-limited");
                            refused.fetch_add(1, Ordering::SeqCst)
                        }
                        other => panic!("{other}: {}", answer.text()),
                    };
                }
            });
        }
    });
    assert_eq!((passed.into_inner(), refused.into_inner()), (20, 60));
    // Another principal has a budget of its own.
    let other = but(&claims, "sub", json!(world.mark()));
    assert_eq!(
        world
            .with_token("/limited/x", &world.foreign.sign(&other))
            .status,
        200
    );
}

/// Defence: `verdict/src/permit.rs` compares environments; the API `trial` is declared `test`.
#[test]
fn j04_a_test_credential_never_reaches_a_live_api_nor_the_other_way() {
    let world = world();
    let test_token = world.own_token("lab-machine", &world.lab_secret, "trial");
    let mark = world.mark();
    let test = [
        ("x-api-key", world.test_key.clone()),
        ("authorization", basic("lab-alice", &world.lab_password)),
        ("authorization", format!("Bearer {test_token}")),
    ];
    for (name, value) in &test {
        assert_eq!(
            world.secure_get("/trial/x", &[(*name, value)]).status,
            200,
            "{name}: it is good there"
        );
        for path in ["/me", "/admin/x", "/other/x", "/signed/x"] {
            let target = format!("{path}?{mark}");
            let answer = world.secure_get(&target, &[(*name, value)]);
            assert!(
                matches!(answer.status, 401 | 403),
                "{path}: {}",
                answer.text()
            );
        }
    }
    for (name, value) in world.good_credentials() {
        let answer = world.secure_get(&format!("/trial/x?{mark}"), &[(name, &value)]);
        assert!(
            matches!(answer.status, 401 | 403),
            "{name}: {}",
            answer.text()
        );
    }
    assert!(world.upstream.with(&mark).is_empty());
    // Nor is one issued: a key of a test application for a live API, a token of a test client.
    let key =
        json!({ "application": "lab", "label": "x", "apis": ["main"], "environment": "live" });
    let (status, _) = world
        .doorward
        .admin_call("POST", "/v1/keys", Some(&key))
        .unwrap();
    assert!((400..500).contains(&status), "{status}");
    let form = "grant_type=client_credentials&resource=https%3A%2F%2Fmain.example";
    let answer = world.token_endpoint(
        &[("authorization", &basic("lab-machine", &world.lab_secret))],
        form,
    );
    assert_eq!(answer.status, 400, "{}", answer.text());
    // Another spelling of the wall in the string itself is no key at all.
    let dressed = world.test_key.replacen("_test_", "_live_", 1);
    assert_ne!(dressed, world.test_key);
    assert_eq!(world.get("/me", &[("x-api-key", &dressed)]).status, 401);
}

/// Defence: kinds of secrets are told apart by `proof::issued`; the admin plane has facts and an
/// API of its own (`app/src/wire/planes.rs`).
#[test]
fn j04_data_credentials_never_reach_the_admin_api_and_admin_keys_never_an_api() {
    let world = world();
    let admin = world.doorward.admin();
    let mut data = world.good_credentials();
    data.push(("authorization", basic("machine", &world.client_secret)));
    data.push(("authorization", format!("Bearer {}", world.client_secret)));
    data.push(("authorization", format!("Bearer {}", world.password)));
    data.push(("authorization", format!("Bearer {}", world.test_key)));
    for (name, value) in &data {
        let answer = wire::get(admin, "/v1/status", &[(*name, value)]).unwrap();
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
    }
    let owner = world.doorward.owner_key().to_owned();
    let mark = world.mark();
    for (name, value) in [
        ("x-api-key", owner.clone()),
        ("x-acme-key", owner.clone()),
        ("authorization", format!("Bearer {owner}")),
        ("authorization", basic("alice", &owner)),
        ("authorization", format!("Bearer {}", world.client_secret)),
        ("x-api-key", world.client_secret.clone()),
    ] {
        for path in ["/me", "/other/x", "/trial/x"] {
            let answer = world.secure_get(&format!("{path}?{mark}"), &[(name, &value)]);
            assert_eq!(answer.status, 401, "{name} {path}: {}", answer.text());
        }
    }
    assert!(world.upstream.with(&mark).is_empty());
}

/// Defence: key purposes (`issuer/src/keys`), `iss` and `typ` of `issuer/src/upstream_token.rs`.
#[test]
fn j04_no_token_made_for_another_purpose_opens_the_front_door() {
    let world = world();
    // The identity that an upstream was told, replayed at the door: its audience fits.
    let told = world.get("/signed/x", &[("x-api-key", &world.key)]);
    assert_eq!(told.status, 200, "{}", told.text());
    let identity = seen(&told, "doorward-identity").remove(0);
    assert_eq!(identity.split('.').count(), 3);
    for path in ["/me", "/admin/x", "/signed/x", "/other/x"] {
        assert_eq!(world.with_token(path, &identity).status, 401, "{path}");
    }
    assert_eq!(
        wire::get(
            world.doorward.admin(),
            "/v1/status",
            &[("authorization", &format!("Bearer {identity}"))]
        )
        .unwrap()
        .status,
        401
    );
    // A client's assertion, even one with the API's audience and a token's type.
    let a: &ForeignIssuer = &world.signer_a;
    let claims = but(&a.claims(AUDIENCE), "sub", json!("signer-a"));
    for typ in ["JWT", "at+jwt", "client-authentication+jwt"] {
        for iss in [
            "signer-a".to_owned(),
            format!("http://{}", world.doorward.issuer()),
        ] {
            let header = but(&a.header(), "typ", json!(typ));
            let token = a.sign_with(&header, &but(&claims, "iss", json!(iss)));
            assert_eq!(world.with_token("/me", &token).status, 401, "{typ} {iss}");
        }
    }
    // An access token is no assertion, and one for another API stays there.
    let access = world.own_token("machine", &world.client_secret, "main");
    let form = format!(
        "grant_type=client_credentials&resource=https%3A%2F%2Fmain.example&client_assertion={access}\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    assert!(matches!(world.token_endpoint(&[], &form).status, 400 | 401));
    assert_eq!(world.with_token("/other/x", &access).status, 401);
}
