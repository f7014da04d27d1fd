//! D: tokens that are bound to a key or a certificate, at the gateway.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use serde_json::{Value, json};
use testkit::bound::{ClientCertificate, ProofKey};
use testkit::tokens::now;
use testkit::wire::{self, Answer};

use super::shared::{AUDIENCE, World, but, seen, world};

/// A token of the trusted issuer with this `cnf`.
fn token(world: &World, cnf: Value) -> String {
    world
        .foreign
        .sign(&but(&world.foreign.claims(AUDIENCE), "cnf", cnf))
}

fn keyed(world: &World, key: &ProofKey) -> String {
    token(world, json!({ "jkt": key.thumbprint() }))
}

/// `/me` as the plain gateway is called.
fn me(world: &World) -> String {
    format!("http://{}/me", world.doorward.gateway())
}

fn proved(world: &World, token: &str, proof: &str) -> Answer {
    let authorization = format!("DPoP {token}");
    world.get("/me", &[("authorization", &authorization), ("dpop", proof)])
}

/// All challenges of an answer, by their scheme.
fn challenges(answer: &Answer) -> BTreeMap<String, String> {
    answer
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .filter_map(|(_, value)| value.split_once(' '))
        .map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned()))
        .collect()
}

/// Defence: `verdict::credential::binding::judge`: each binding has one way to come.
#[test]
fn d01_a_token_bound_to_a_key_passes_with_that_key_s_proof_alone() {
    let world = world();
    for algorithm in [
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::PS256,
        Algorithm::RS256,
    ] {
        let key = ProofKey::new(algorithm);
        let token = keyed(world, &key);
        let proof = key.proof("GET", &me(world), Some(&token));
        let answer = proved(world, &token, &proof);
        assert_eq!(answer.status, 200, "{algorithm}: {}", answer.text());
        assert_eq!(seen(&answer, "doorward-subject"), ["user-1"]);
        for name in ["authorization", "dpop"] {
            assert!(
                seen(&answer, name).is_empty(),
                "{name} is not the upstream's"
            );
        }
    }

    let (key, other) = (
        ProofKey::new(Algorithm::ES256),
        ProofKey::new(Algorithm::ES256),
    );
    let token = keyed(world, &key);
    let fresh = || key.proof("GET", &me(world), Some(&token));
    let (dpop, bearer) = (format!("DPoP {token}"), format!("Bearer {token}"));
    let stolen = other.proof("GET", &me(world), Some(&token));
    for (what, fields, code) in [
        (
            "as a plain bearer",
            vec![("authorization", bearer.as_str())],
            "credential-refused",
        ),
        (
            "as a bearer with its proof",
            vec![("authorization", bearer.as_str()), ("dpop", &fresh())],
            "credential-refused",
        ),
        (
            "with another key's proof",
            vec![("authorization", dpop.as_str()), ("dpop", &stolen)],
            "credential-refused",
        ),
        (
            "without a proof",
            vec![("authorization", dpop.as_str())],
            "proof-refused",
        ),
        (
            "with two proofs",
            vec![
                ("authorization", dpop.as_str()),
                ("dpop", &fresh()),
                ("dpop", &fresh()),
            ],
            "proof-refused",
        ),
    ] {
        let answer = world.get("/me", &fields);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, code),
            "{what}"
        );
        let told = challenges(&answer);
        assert!(told["DPoP"].contains("algs=\"ES256 "), "{what}: {told:?}");
        let error = match (what.contains("bearer"), code) {
            (true, _) => ("Bearer", "invalid_token"),
            (false, "proof-refused") => ("DPoP", "invalid_dpop_proof"),
            (false, _) => ("DPoP", "invalid_token"),
        };
        for (scheme, parameters) in told {
            let expected = scheme == error.0;
            let has = parameters.contains(&format!("error=\"{}\"", error.1));
            assert_eq!(has, expected, "{what}: {scheme} {parameters}");
        }
    }
    // Unbound tokens prove nothing of their sender under this scheme.
    let free = world.foreign.sign(&world.foreign.claims(AUDIENCE));
    let own = world.own_token("machine", &world.client_secret, "main");
    for free in [free, own] {
        assert_eq!(world.with_token("/me", &free).status, 200);
        let proof = key.proof("GET", &me(world), Some(&free));
        assert_eq!(proved(world, &free, &proof).status, 401);
    }
}

/// Defence: `Binding::read`: what is not understood is not skipped.
#[test]
fn d01_a_binding_that_nobody_understands_refuses() {
    let world = world();
    let key = ProofKey::new(Algorithm::ES256);
    let jkt = key.thumbprint();
    for cnf in [
        json!({}),
        json!("x"),
        json!({ "kid": "k" }),
        json!({ "jkt": jkt, "x5t#S256": jkt }),
        json!({ "jkt": [jkt] }),
    ] {
        let token = token(world, cnf.clone());
        assert_eq!(world.with_token("/me", &token).status, 401, "{cnf}");
        let proof = key.proof("GET", &me(world), Some(&token));
        assert_eq!(proved(world, &token, &proof).status, 401, "{cnf}");
    }
}

/// Defence: the handshake proves possession, and `binding::judge` compares the thumbprint with the
/// connection's own certificate, which no field and no proxy can set.
#[test]
fn d01_a_token_bound_to_a_certificate_passes_over_that_certificate_alone() {
    let world = world();
    let (ada, eve) = (
        ClientCertificate::self_signed("ada.example").unwrap(),
        ClientCertificate::self_signed("eve.example").unwrap(),
    );
    let bound = token(world, json!({ "x5t#S256": ada.thumbprint() }));
    let bearer = format!("Bearer {bound}");
    let address = world.doorward.gateway_tls();
    let request = || {
        let fields = [("host", "localhost"), ("authorization", bearer.as_str())];
        wire::request(address, "GET", "/me", &fields, b"")
    };
    let none = Arc::new(wire::client_config(&world.ca()).unwrap());
    let clients = [
        ("her own", ada.client_config(&world.ca()).unwrap(), 200),
        ("another", eve.client_config(&world.ca()).unwrap(), 401),
        ("none", none, 401),
    ];
    for round in 0..3 {
        for (whose, client, status) in &clients {
            // New connections, resumed sessions, and two calls on each.
            let mut stream = wire::connect_tls_as(address, client, Some("http/1.1")).unwrap();
            for _ in 0..2 {
                stream.write_all(&request()).unwrap();
                let answer = wire::first_answer(&mut stream).unwrap();
                assert_eq!(answer.status, *status, "{whose}, round {round}");
                if *status == 200 {
                    assert_eq!(seen(&answer, "doorward-subject"), ["user-1"]);
                    assert!(seen(&answer, "authorization").is_empty());
                }
            }
            let http2 = http::Request::get("https://localhost/me")
                .header("authorization", &bearer)
                .body(Vec::new())
                .unwrap();
            let answer = wire::http2_as(address, Some(client.clone()), http2).unwrap();
            assert_eq!(answer.status, *status, "{whose} by HTTP/2, round {round}");
        }
    }
    // A certificate in a field, over plain HTTP or TLS, is a text that anybody can write.
    for name in [
        "client-cert",
        "x-client-cert",
        "x-ssl-client-cert",
        "ssl-client-cert",
    ] {
        let fields = [("authorization", bearer.as_str()), (name, ":AAAA:")];
        assert_eq!(world.get("/me", &fields).status, 401, "{name}");
        assert_eq!(world.secure_get("/me", &fields).status, 401, "{name}");
    }
    // A certificate is no credential by itself.
    let mut stream = wire::connect_tls_as(address, &clients[0].1, Some("http/1.1")).unwrap();
    let bare = wire::request(address, "GET", "/me", &[("host", "localhost")], b"");
    stream.write_all(&bare).unwrap();
    assert_eq!(wire::first_answer(&mut stream).unwrap().status, 401);
}

/// Defence: `proof::dpop::verify` compares each claim with the call.
#[test]
fn d02_a_proof_for_another_call_time_or_token_is_refused() {
    let world = world();
    let key = ProofKey::new(Algorithm::ES256);
    let token = keyed(world, &key);
    let good = key.claims("GET", &me(world), Some(&token));
    let host = world.doorward.gateway();
    let other = keyed(world, &key);
    let mut private = key.header();
    private["jwk"]["d"] = json!("AAAA");
    let mut cases: Vec<(String, String)> = vec![
        ("private key".into(), key.sign(&private, &good)),
        (
            "no type".into(),
            key.sign(&but(&key.header(), "typ", Value::Null), &good),
        ),
        (
            "no algorithm".into(),
            key.sign(&but(&key.header(), "alg", json!("none")), &good),
        ),
        (
            "for another token".into(),
            key.proof("GET", &me(world), Some(&other)),
        ),
        ("for no token".into(), key.proof("GET", &me(world), None)),
        ("the token itself".into(), token.clone()),
    ];
    for (name, value) in [
        ("htm", json!("POST")),
        ("htu", json!(format!("http://{host}/public/x"))),
        ("htu", json!(format!("https://{host}/me"))),
        ("htu", json!("http://other.example/me")),
        ("iat", json!(now() - 125)),
        ("iat", json!(now() + 90)),
        ("jti", json!("")),
        ("jti", Value::Null),
    ] {
        cases.push((
            format!("{name} {value}"),
            key.sign(&key.header(), &but(&good, name, value)),
        ));
    }
    for (what, proof) in cases {
        let answer = proved(world, &token, &proof);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "proof-refused"),
            "{what}"
        );
    }
    // And a proof of the same id still passes: refused ones spend nothing.
    let proof = key.sign(&key.header(), &good);
    assert_eq!(proved(world, &token, &proof).status, 200);
    // The query is not covered (RFC 9449 §4.2), the method and the host's spelling are compared.
    let authorization = format!("DPoP {token}");
    let upper = me(world).replace("http://", "HTTP://");
    let proof = key.proof("GET", &format!("{upper}?a=1"), Some(&token));
    let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
    assert_eq!(world.get("/me?b=2", &fields).status, 200);
}

/// Defence: `cluster::MemoryReplays`, asked once everything else holds, in one atomic step.
#[test]
fn d02_a_proof_passes_once_however_many_ask_at_once() {
    let world = world();
    let key = ProofKey::new(Algorithm::ES256);
    let token = keyed(world, &key);
    let proof = key.proof("GET", &me(world), Some(&token));
    let passed: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| proved(world, &token, &proof)))
            .collect();
        asking
            .into_iter()
            .map(|asked| {
                let answer = asked.join().unwrap();
                match answer.status {
                    200 => 1,
                    401 => {
                        assert_eq!(answer.code(), "proof-refused");
                        0
                    }
                    other => panic!("{other}: {}", answer.text()),
                }
            })
            .sum()
    });
    assert_eq!(passed, 1);
    // Over another listener, which has a plane of its own: the memory is the node's.
    let secure = key.claims("GET", "https://localhost/me", Some(&token));
    let proof = key.sign(&key.header(), &secure);
    let authorization = format!("DPoP {token}");
    let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
    assert_eq!(world.secure_get("/me", &fields).status, 200);
    let again = key.sign(&key.header(), &but(&secure, "htu", json!(me(world))));
    assert_eq!(
        proved(world, &token, &again).status,
        401,
        "the same id elsewhere"
    );
}

/// Defence: `Route::sender` in `binding::judge`; issuers' own and foreign tokens alike.
#[test]
fn d01_where_bound_tokens_are_required_no_other_passes() {
    let world = world();
    let key = ProofKey::new(Algorithm::ES256);
    let free = world.foreign.sign(&world.foreign.claims(AUDIENCE));
    let own = world.own_token("machine", &world.client_secret, "main");
    let certificate = ClientCertificate::self_signed("ada.example").unwrap();
    for free in [&free, &own] {
        assert_eq!(world.with_token("/me", free).status, 200);
        let answer = world.with_token("/bound", free);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "credential-refused")
        );
        // Only what would help is asked for.
        let told = challenges(&answer);
        assert_eq!(told.keys().collect::<Vec<_>>(), ["DPoP"]);
        // A certificate that the token does not name binds nothing.
        let request = http::Request::get("https://localhost/bound")
            .header("authorization", format!("Bearer {free}"))
            .body(Vec::new())
            .unwrap();
        let client = certificate.client_config(&world.ca()).unwrap();
        let answer = wire::http2_as(world.doorward.gateway_tls(), Some(client), request).unwrap();
        assert_eq!(answer.status, 401);
    }
    let token = keyed(world, &key);
    let address = format!("http://{}/bound", world.doorward.gateway());
    let authorization = format!("DPoP {token}");
    let proof = key.proof("GET", &address, Some(&token));
    let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
    assert_eq!(world.get("/bound", &fields).status, 200);
    assert_eq!(world.get("/bound", &fields).status, 401, "once");
}

/// Defence: `NonceKey` and its row in `binding::judge`.
#[test]
fn d02_where_a_nonce_is_asked_for_a_proof_made_ahead_is_worth_nothing() {
    let world = world();
    let key = ProofKey::new(Algorithm::ES256);
    let token = keyed(world, &key);
    let address = format!("http://{}/fresh", world.doorward.gateway());
    let authorization = format!("DPoP {token}");
    let call = |nonce: Option<&str>| {
        let mut claims = key.claims("GET", &address, Some(&token));
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        let proof = key.sign(&key.header(), &claims);
        let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
        world.get("/fresh", &fields)
    };
    let nonce = |answer: &Answer| answer.header("dpop-nonce").expect("a nonce").to_owned();

    let asked = call(None);
    assert_eq!(
        (asked.status, asked.code().as_str()),
        (401, "dpop-nonce-needed")
    );
    assert!(challenges(&asked)["DPoP"].contains("error=\"use_dpop_nonce\""));
    let first = nonce(&asked);
    let passed = call(Some(&first));
    assert_eq!(passed.status, 200, "{}", passed.text());
    assert!(seen(&passed, "dpop").is_empty());
    // Every answer has the nonce for the next proof, and one serves many proofs.
    assert_eq!(call(Some(&nonce(&passed))).status, 200);
    for bad in ["", "x", &first[1..], &first.to_ascii_lowercase()] {
        let answer = call(Some(bad));
        assert_eq!(answer.status, 401, "{bad}");
        assert_ne!(answer.code(), "credential-refused", "{bad}");
    }
    // Where none is asked for, none is given; and a call without a proof gets none either.
    assert!(
        world
            .with_token("/me", &token)
            .header("dpop-nonce")
            .is_none()
    );
    assert!(world.get("/fresh", &[]).header("dpop-nonce").is_none());
}
