//! C: tokens and caches, for API keys, Basic, and JWTs of our own and of foreign issuers.

use core::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proof::base64url;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};
use testkit::tokens::{ForeignIssuer, now};
use testkit::wire::Answer;

use super::shared::{AUDIENCE, World, basic, but, world};

fn refused(world: &World, token: &str, why: &str) {
    let answer = world.with_token("/me", token);
    assert_eq!(answer.status, 401, "{why}: {}", answer.text());
    assert_eq!(answer.code(), "credential-refused", "{why}");
}

fn passes(world: &World, token: &str, why: &str) {
    let answer = world.with_token("/me", token);
    assert_eq!(answer.status, 200, "{why}: {}", answer.text());
}

/// A token of a header and claims with whatever signature a test makes of the signed text.
fn forge(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature))
}

/// Defence: `proof::jose::jws::Unverified::verify` compares `alg` with the key's own;
/// `Algorithm` has neither `none` nor HMAC; `outbound::keysets` pins keys before they are asked for.
#[test]
fn c01_the_algorithm_comes_from_the_key() {
    let world = world();
    let (foreign, rsa) = (&world.foreign, &world.rsa);
    let claims = foreign.claims(AUDIENCE);
    passes(world, &foreign.sign(&claims), "a good one");
    let header = |alg: &str| but(&foreign.header(), "alg", json!(alg));
    for alg in ["none", "None", "nOnE", "NONE", "", "es256", "ES256 "] {
        let sign = |input: &[u8]| foreign.key.sign(input);
        refused(world, &forge(&header(alg), &claims, |_| Vec::new()), alg);
        refused(world, &forge(&header(alg), &claims, sign), alg);
    }
    refused(
        world,
        &foreign.sign_with(&but(&foreign.header(), "alg", Value::Null), &claims),
        "no alg",
    );
    // HMAC under whatever of the public key is public.
    let pem = |key: &SigningKey| {
        let pkcs8 = key.to_pkcs8().unwrap();
        let der = rustls::pki_types::PrivateKeyDer::try_from(pkcs8.expose().to_vec()).unwrap();
        rcgen::PublicKeyData::subject_public_key_info(&rcgen::KeyPair::try_from(&der).unwrap())
    };
    for issuer in [foreign, rsa] {
        let der = pem(&issuer.key);
        let body = proof::base64std::encode(&der);
        let wrapped = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        let jwk = issuer.jwk();
        let secrets: Vec<Vec<u8>> = vec![
            der,
            wrapped.clone().into_bytes(),
            format!("{wrapped}\n").into_bytes(),
            format!("\n  {wrapped}\n").into_bytes(),
            jwk.to_string().into_bytes(),
            jwk["x"]
                .as_str()
                .or(jwk["n"].as_str())
                .unwrap_or_default()
                .into(),
            Vec::new(),
        ];
        for secret in secrets {
            for alg in ["HS256", "ES256", "RS256"] {
                let header = but(&issuer.header(), "alg", json!(alg));
                let sign = |input: &[u8]| proof::digest::hmac_sha256(&secret, input).to_vec();
                refused(world, &forge(&header, &issuer.claims(AUDIENCE), sign), alg);
            }
        }
    }
    // The very key, used with an algorithm that it is not pinned to.
    let pkcs8 = rsa.key.to_pkcs8().unwrap();
    let pss = SigningKey::from_pkcs8(Algorithm::PS256, &pkcs8).unwrap();
    let header = but(&rsa.header(), "alg", json!("PS256"));
    refused(
        world,
        &forge(&header, &rsa.claims(AUDIENCE), |input| pss.sign(input)),
        "PS256 by an RS256 key",
    );
    passes(world, &rsa.sign(&rsa.claims(AUDIENCE)), "RS256 by it");
    // A kid of another algorithm and of another issuer.
    let crossed = but(&foreign.header(), "kid", json!(rsa.key.kid()));
    refused(
        world,
        &foreign.sign_with(&crossed, &claims),
        "another's kid",
    );
    refused(
        world,
        &foreign.sign(&but(&claims, "iss", json!("https://rsa.example"))),
        "another's iss",
    );
    // A token in a token, and what only looks encrypted.
    let inner = foreign.sign(&claims);
    let nested = format!(
        "{}.{}",
        base64url::encode(foreign.header().to_string().as_bytes()),
        base64url::encode(inner.as_bytes())
    );
    let signature = base64url::encode(&foreign.key.sign(nested.as_bytes()));
    refused(world, &format!("{nested}.{signature}"), "a nested token");
    let jwe = json!({ "alg": "dir", "enc": "A256GCM", "zip": "DEF", "cty": "JWT" }).to_string();
    refused(
        world,
        &format!(
            "{}..{}.{}.{}",
            base64url::encode(jwe.as_bytes()),
            "AAAA",
            inner.replace('.', ""),
            "AAAA"
        ),
        "JWE",
    );
}

/// Defence: `jws::split` refuses `crit`; `jwt.rs` takes keys from the issuer's configuration only.
#[test]
fn c02_a_token_brings_no_key_and_nothing_is_fetched_for_it() {
    let world = world();
    let mark = world.mark();
    let url = format!("{}/{mark}", world.upstream.url());
    let thief = ForeignIssuer::new("https://foreign.example");
    let claims = thief.claims(AUDIENCE);
    for (name, value) in [
        ("jwk", thief.jwk()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["MIIB"])),
    ] {
        for kid in [
            json!(thief.key.kid()),
            json!(world.foreign.key.kid()),
            json!(url),
            Value::Null,
        ] {
            let header = but(&but(&thief.header(), name, value.clone()), "kid", kid);
            refused(world, &thief.sign_with(&header, &claims), name);
        }
    }
    let elsewhere = but(&claims, "iss", json!(url));
    refused(
        world,
        &thief.sign(&elsewhere),
        "an issuer of the caller's choice",
    );
    for crit in [
        json!(["x"]),
        json!(["exp"]),
        json!(["b64"]),
        json!([]),
        json!("x"),
        json!(null),
    ] {
        let mut header = world.foreign.header();
        header["crit"] = crit.clone();
        header["x"] = json!(1);
        header["b64"] = json!(false);
        refused(
            world,
            &world
                .foreign
                .sign_with(&header, &world.foreign.claims(AUDIENCE)),
            &crit.to_string(),
        );
    }
    assert!(
        world.upstream.with(&mark).is_empty(),
        "something was fetched"
    );
}

/// Defence: `proof::jose::jwt::Claims::from_json`; `proof::strict_json` for duplicates.
#[test]
fn c03_claims_of_the_wrong_shape_refuse() {
    let world = world();
    let foreign = &world.foreign;
    let claims = foreign.claims(AUDIENCE);
    for (name, value) in [
        ("exp", json!("4102444800")),
        ("exp", json!(1e300)),
        ("exp", json!(now() as f64 + 100.5)),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(99_999_999_999i64)),
        ("exp", json!([now() + 100])),
        ("exp", json!(true)),
        ("exp", Value::Null),
        ("nbf", json!("0")),
        ("nbf", json!({})),
        ("iat", json!("0")),
        ("iat", json!([0])),
        ("iss", json!(["https://foreign.example"])),
        ("iss", json!({ "x": "https://foreign.example" })),
        ("iss", json!(1)),
        ("iss", Value::Null),
        ("aud", json!({ "x": AUDIENCE })),
        ("aud", json!([AUDIENCE, 1])),
        ("aud", json!([[AUDIENCE]])),
        ("aud", json!(true)),
        ("sub", json!(1)),
        ("sub", json!(["user-1"])),
        ("jti", json!(7)),
        ("client_id", json!(["app-1"])),
        ("scope", json!({ "read": true })),
    ] {
        refused(
            world,
            &foreign.sign(&but(&claims, name, value.clone())),
            &format!("{name}: {value}"),
        );
    }
    let good = claims.to_string();
    let good = good.trim_start_matches('{');
    let header = foreign.header().to_string();
    for text in [
        format!("{{\"iss\":\"https://foreign.example\",{good}"),
        format!("{{\"exp\":1,{good}"),
        format!("{{\"aud\":\"https://other.example\",{good}"),
        format!("{{\"\\u0061ud\":\"x\",{good}"),
        format!("{{\"x\":{{\"y\":1,\"y\":2}},{good}"),
        format!("{{{good}x"),
        format!("\u{feff}{{{good}"),
        format!("[{{{good}]"),
    ] {
        refused(world, &foreign.sign_text(&header, &text), &text);
    }
    let doubled = header.replacen('{', "{\"alg\":\"none\",", 1);
    refused(
        world,
        &foreign.sign_text(&doubled, &claims.to_string()),
        "alg twice",
    );
}

/// Defence: `proof::jose::jwt::check` (`iss`, `aud`, `typ`) and `claims.rs::only_access_tokens`.
#[test]
fn c04_issuer_audience_and_type_are_always_judged() {
    let world = world();
    let (foreign, guarded) = (&world.foreign, &world.guarded);
    let claims = foreign.claims(AUDIENCE);
    for (name, value) in [
        ("iss", json!("https://foreign.example/")),
        ("iss", json!("https://FOREIGN.example")),
        ("iss", json!("http://foreign.example")),
        ("iss", json!("https://foreign.example ")),
        ("iss", json!("")),
        ("aud", Value::Null),
        ("aud", json!("https://other.example")),
        ("aud", json!("https://main.example/")),
        ("aud", json!("https://main.example.evil")),
        ("aud", json!([])),
        ("aud", json!("")),
        ("aud", json!("*")),
    ] {
        refused(
            world,
            &foreign.sign(&but(&claims, name, value.clone())),
            &format!("{name}: {value}"),
        );
    }
    passes(
        world,
        &foreign.sign(&but(&claims, "aud", json!(["x", AUDIENCE]))),
        "one of several",
    );
    for typ in [
        json!("JWT"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!("client-authentication+jwt"),
        json!("id_token+jwt"),
        json!("secevent+jwt"),
        json!("at+jwtx"),
        json!(""),
        json!(["at+jwt"]),
        Value::Null,
    ] {
        refused(
            world,
            &foreign.sign_with(&but(&foreign.header(), "typ", typ.clone()), &claims),
            &format!("typ {typ}"),
        );
    }
    // An issuer that writes `typ: JWT` on everything: only what an ID token never has lets one in.
    let jwt = but(&guarded.header(), "typ", json!("JWT"));
    let claims = guarded.claims(AUDIENCE);
    passes(world, &guarded.sign_with(&jwt, &claims), "a guarded one");
    refused(
        world,
        &guarded.sign_with(&jwt, &but(&claims, "scope", Value::Null)),
        "without its guard",
    );
    for name in ["nonce", "at_hash", "c_hash"] {
        refused(
            world,
            &guarded.sign_with(&jwt, &but(&claims, name, json!("x"))),
            name,
        );
    }
    let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    refused(
        world,
        &guarded.sign_with(
            &jwt,
            &but(&but(&claims, "events", events), "scope", Value::Null),
        ),
        "a logout token",
    );
}

/// Defence: `jws::split` bounds and canonical base64url; aws-lc's fixed-length ECDSA.
#[test]
fn c05_signature_values_encodings_and_sizes() {
    let world = world();
    let foreign = &world.foreign;
    let claims = foreign.claims(AUDIENCE);
    let good = foreign.sign(&claims);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = base64url::decode(signature.as_bytes()).unwrap();
    let order =
        proof::digest::unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
            .unwrap();
    let one = [vec![0u8; 31], vec![1]].concat();
    let integer = |value: &[u8]| [&[2, u8::try_from(value.len() + 1).unwrap(), 0], value].concat();
    let der_body = [integer(&bytes[..32]), integer(&bytes[32..])].concat();
    let der = [
        &[0x30, u8::try_from(der_body.len()).unwrap()],
        der_body.as_slice(),
    ]
    .concat();
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("zeros", vec![0; 64]),
        ("r zero", [&[0; 32], &bytes[32..]].concat()),
        ("s zero", [&bytes[..32], &[0; 32]].concat()),
        ("r = n", [&order[..], &bytes[32..]].concat()),
        ("s = n", [&bytes[..32], &order].concat()),
        ("r = s = n", [&order[..], &order].concat()),
        ("ones", [one.clone(), one].concat()),
        ("all bits", vec![0xff; 64]),
        ("DER", der),
        ("short", bytes[..63].to_vec()),
        ("long", [&bytes[..], &[0]].concat()),
        ("zero in front", [&[0], &bytes[..]].concat()),
        ("none", Vec::new()),
    ];
    for (why, value) in odd {
        refused(
            world,
            &format!("{input}.{}", base64url::encode(&value)),
            why,
        );
    }
    // The last character has bits to spare: another one decodes to the same bytes.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(good.chars().last().unwrap()).unwrap();
    let twin = &alphabet[last ^ 1..=last ^ 1];
    for (why, token) in [
        ("spare bits", format!("{}{twin}", &good[..good.len() - 1])),
        ("padding", format!("{good}==")),
        (
            "standard alphabet",
            format!("{input}.{}", proof::base64std::encode(&bytes)),
        ),
        ("a dot more", format!("{good}.")),
        ("a part more", format!("{good}.AAAA")),
        ("a part less", input.to_owned()),
        ("a blank inside", good.replacen('.', ". ", 1)),
        ("empty parts", "..".to_owned()),
        ("a long one", format!("{input}.{}", "A".repeat(20_000))),
        (
            "a long header",
            foreign.sign_with(
                &but(&foreign.header(), "x", json!("x".repeat(6000))),
                &claims,
            ),
        ),
    ] {
        refused(world, &token, why);
    }
    passes(world, &good, "the one they were made of");
}

/// The fraction of the second that time stands at is small when this returns.
fn wait_for_a_fresh_second() -> Instant {
    let into = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .subsec_millis();
    std::thread::sleep(Duration::from_millis(u64::from(1005 - into.min(1000))));
    Instant::now()
}

/// Calls within one second of the clock that the claims were made by, so that 59 and 61 differ.
fn at_a_fresh_second(call: impl Fn(i64) -> Answer) -> Answer {
    for _ in 0..8 {
        let began = wait_for_a_fresh_second();
        let answer = call(now());
        if began.elapsed() < Duration::from_millis(900) {
            return answer;
        }
    }
    panic!("the machine is too busy to answer within a second");
}

/// Defence: `verdict/src/credential/jwt.rs`, `judge` after `known_token`.
#[test]
fn c06_a_cached_verdict_still_asks_for_time_audience_scope_and_revocation() {
    let world = world();
    // Time.
    let dying = |at: i64| {
        let claims = world.foreign.claims(AUDIENCE);
        world.foreign.sign(&but(
            &but(&claims, "exp", json!(at - 57)),
            "iat",
            json!(at - 100),
        ))
    };
    let token = std::cell::RefCell::new(String::new());
    let answer = at_a_fresh_second(|at| {
        *token.borrow_mut() = dying(at);
        world.with_token("/me", &token.borrow())
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = token.into_inner();
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.with_token("/me", &token).status == 200 {
        assert!(
            Instant::now() < deadline,
            "it outlived its time in the cache"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    refused(world, &token, "past its time");
    // Audience and scope.
    let reading = world.foreign.sign(&but(
        &world.foreign.claims(AUDIENCE),
        "scope",
        json!("read"),
    ));
    passes(world, &reading, "known from here on");
    assert_eq!(
        world.with_token("/other/x", &reading).status,
        401,
        "another audience"
    );
    assert_eq!(
        world.with_token("/write", &reading).status,
        403,
        "another scope"
    );
    passes(world, &reading, "still good where it is good");
    // Revocation of one of our own, by its jti.
    let own = world.own_token("machine", &world.client_secret, "main");
    passes(world, &own, "known from here on");
    let form = format!("token={own}");
    let revoked = testkit::wire::call(
        world.doorward.issuer(),
        "POST",
        "/oauth/revoke",
        &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &basic("machine", &world.client_secret)),
        ],
        form.as_bytes(),
    )
    .unwrap();
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let deadline = Instant::now() + Duration::from_secs(1);
    while world.with_token("/me", &own).status == 200 {
        assert!(
            Instant::now() < deadline,
            "revoked, and still let in after a second"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    refused(world, &own, "revoked");
}

/// Defence: `outbound/src/keysets.rs`, `KeySet::find` looks a `kid` up and does nothing else.
#[test]
fn c09_a_kid_is_a_map_key_and_nothing_else() {
    let world = world();
    let foreign = &world.foreign;
    for kid in [
        json!("../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///etc/passwd"),
        json!("' OR 1=1 --"),
        json!("x' UNION SELECT 'key"),
        json!("; touch /tmp/doorward-kid"),
        json!("${jndi:ldap://127.0.0.1/x}"),
        json!("k".repeat(3000)),
        json!("\u{0}"),
        json!(["a"]),
        json!(0),
        json!({ "a": 1 }),
    ] {
        let header = but(&foreign.header(), "kid", kid.clone());
        let thief = ForeignIssuer::new("https://foreign.example");
        let empty = |input: &[u8]| proof::digest::hmac_sha256(b"", input).to_vec();
        let claims = foreign.claims(AUDIENCE);
        refused(world, &thief.sign_with(&header, &claims), &kid.to_string());
        refused(
            world,
            &forge(&but(&header, "alg", json!("HS256")), &claims, empty),
            &kid.to_string(),
        );
    }
}

/// Every field that a problem document may have.
const MEMBERS: [&str; 7] = [
    "type",
    "title",
    "status",
    "detail",
    "code",
    "request_id",
    "missing",
];

/// Defence: `verdict/src/problem.rs`, `to_json` writes the public half and nothing else.
#[test]
fn c10_error_bodies_hold_a_code_and_a_request_id_and_nothing_of_the_call() {
    let world = world();
    let secret = "s3cr3tQuery";
    let token = world.foreign.sign(&but(
        &world.foreign.claims(AUDIENCE),
        "aud",
        json!("s3cr3tQuery"),
    ));
    let reading = world.foreign.sign(&but(
        &world.foreign.claims(AUDIENCE),
        "scope",
        json!("read"),
    ));
    for (target, headers) in [
        (format!("/admin/x?q={secret}"), vec![]),
        (format!("/nowhere/{secret}"), vec![]),
        (format!("/public//{secret}"), vec![]),
        (
            format!("/me?q={secret}"),
            vec![("authorization", format!("Bearer {token}"))],
        ),
        (format!("/me?api_key={secret}"), vec![]),
        (
            format!("/write?q={secret}"),
            vec![("authorization", format!("Bearer {reading}"))],
        ),
        (
            format!("/me?q={secret}"),
            vec![("authorization", basic("alice", secret))],
        ),
        (
            format!("/me?q={secret}"),
            vec![("x-api-key", secret.to_owned())],
        ),
        (format!("/only-post?q={secret}"), vec![]),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = world.get(&target, &headers);
        assert!(
            (400..500).contains(&answer.status),
            "{target}: {}",
            answer.status
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{target}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
        let body = answer.json();
        for name in body.as_object().unwrap().keys() {
            assert!(MEMBERS.contains(&name.as_str()), "{target}: {name}");
        }
        assert_eq!(
            body["request_id"],
            answer.header("doorward-request-id").unwrap()
        );
        let whole = format!("{:?} {}", answer.headers, answer.text());
        assert!(
            !whole.contains(secret) && !whole.contains(&token),
            "{target}: {whole}"
        );
        assert!(
            !whole.contains(&reading) && !whole.contains("/root/") && !whole.contains(".rs:"),
            "{whole}"
        );
    }
}

/// Defence: each kind's `prove` ends in a comparison; there is no branch that lets presence pass.
#[test]
fn c11_presence_is_never_proof() {
    let world = world();
    let signed_looking = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl";
    let last = if world.key.ends_with('a') { 'b' } else { 'a' };
    let near = format!("{}{last}", &world.key[..world.key.len() - 1]);
    for (name, value) in [
        ("authorization", "Bearer x".to_owned()),
        ("authorization", "Bearer ".to_owned()),
        ("authorization", "Bearer".to_owned()),
        ("authorization", "x".to_owned()),
        ("authorization", "true".to_owned()),
        ("authorization", format!("Bearer {signed_looking}")),
        ("authorization", format!("Bearer {near}")),
        ("authorization", format!("Bearer {}", world.key_id)),
        ("authorization", format!("Basic {}", world.key)),
        ("authorization", basic("alice", "")),
        ("authorization", basic("", "")),
        ("authorization", basic("alice", "wrong")),
        ("authorization", basic("nobody", &world.password)),
        ("authorization", "Basic !!!".to_owned()),
        ("authorization", "Negotiate TlRMTVNTUAAB".to_owned()),
        ("authorization", "DPoP x".to_owned()),
        ("x-api-key", "1".to_owned()),
        ("x-api-key", near.clone()),
        ("x-api-key", signed_looking.to_owned()),
        ("x-acme-key", "true".to_owned()),
        ("signature", "sig1=:AAAA:".to_owned()),
        ("client-cert", ":AAAA:".to_owned()),
        ("cookie", "session=admin; __Host-session=1".to_owned()),
    ] {
        let answer = world.secure_get("/me", &[(name, &value)]);
        assert_eq!(answer.status, 401, "{name}: {value}: {}", answer.text());
        assert!(
            answer.header("www-authenticate").is_some(),
            "{name}: {value}"
        );
    }
    // One that was tried and failed is not saved by a combination's other half.
    let token = world.foreign.sign(&but(
        &world.foreign.claims(AUDIENCE),
        "aud",
        json!("https://both.example"),
    ));
    let call = |key: &str, token: &str| {
        world
            .get(
                "/both/x",
                &[
                    ("x-api-key", key),
                    ("authorization", &format!("Bearer {token}")),
                ],
            )
            .status
    };
    assert_eq!(call(&world.key, &token), 200);
    assert_eq!(call(&near, &token), 401);
    assert_eq!(call(&world.key, signed_looking), 401);
    assert_eq!(
        world.get("/both/x", &[("x-api-key", &world.key)]).status,
        401
    );
}

/// Defence: `verdict::credential::refused`: one code for all; the cause goes to the log alone.
#[test]
fn c12_expired_revoked_unknown_and_malformed_keys_are_one_answer() {
    let world = world();
    let make = |body: Value| {
        let made = world.doorward.make("POST", "/v1/keys", &body).unwrap();
        let id = made["credential"]["id"].as_str().unwrap().to_owned();
        (made["secret"].as_str().unwrap().to_owned(), id)
    };
    let spec = json!({ "application": "shop", "label": "c12", "apis": ["main"] });
    let (revoked, revoked_id) = make(spec.clone());
    let (suspended, suspended_id) = make(spec.clone());
    let at = now() + 2;
    let text = format!("1970-01-01T00:00:{:02}Z", 0);
    let expiring = {
        // RFC 3339 of a moment two seconds from now, without a calendar: `date` knows it.
        let output = std::process::Command::new("date")
            .args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%SZ"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_ne!(expiring, text);
    let (expired, _) = make(but(&spec, "expires_at", json!(expiring)));
    for (id, act) in [(&revoked_id, "revoke"), (&suspended_id, "suspend")] {
        world
            .doorward
            .make("POST", &format!("/v1/keys/{id}/{act}"), &json!({}))
            .unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.get("/me", &[("x-api-key", &expired)]).status == 200 {
        assert!(Instant::now() < deadline, "the key outlived its time");
        std::thread::sleep(Duration::from_millis(100));
    }
    let other = World::start(testkit::doorward::BASE);
    let unknown = other.key.clone();
    drop(other);
    let malformed = format!("{}!", &world.key[..world.key.len() - 1]);
    let cut = world.key[..world.key.len() - 9].to_owned();
    let public_part = |answer: &Answer| {
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| {
            !matches!(name.as_str(), "date" | "doorward-request-id" | "connection")
        });
        (answer.status, body, headers)
    };
    let mut answers = Vec::new();
    let mut causes = Vec::new();
    for key in [&revoked, &suspended, &expired, &unknown, &malformed, &cut] {
        let answer = world.get("/me", &[("x-api-key", key)]);
        assert_eq!(answer.status, 401, "{}", answer.text());
        let id = answer.header("doorward-request-id").unwrap().to_owned();
        let deadline = Instant::now() + Duration::from_secs(5);
        let line = loop {
            let log = world.doorward.log();
            match log.lines().find(|line| line.contains(&id)) {
                Some(line) => break line.to_owned(),
                None => assert!(Instant::now() < deadline, "the log says nothing of {id}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        causes.push(serde_json::from_str::<Value>(&line).unwrap()["cause"].clone());
        answers.push(public_part(&answer));
    }
    answers.dedup();
    assert_eq!(
        answers.len(),
        1,
        "the caller can tell them apart: {answers:#?}"
    );
    causes.sort_by_key(Value::to_string);
    causes.dedup();
    assert!(
        causes.len() >= 4,
        "the log can't tell them apart: {causes:?}"
    );
}

/// A client assertion (RFC 7523 §3) that is good.
fn assertion(world: &World, client: &str) -> Value {
    let at = now();
    json!({
        "iss": client, "sub": client, "aud": format!("http://{}", world.doorward.issuer()),
        "iat": at, "exp": at + 60, "jti": world.mark(),
    })
}

fn with_assertion(
    world: &World,
    signer: &ForeignIssuer,
    header: &Value,
    claims: &Value,
    extra: &str,
) -> Answer {
    let assertion = signer.sign_with(header, claims);
    world.token_endpoint(
        &[],
        &format!(
            "grant_type=client_credentials&resource=https%3A%2F%2Fmain.example&client_assertion={assertion}\
             &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer{extra}"
        ),
    )
}

/// Defence: `issuer/src/client/assertion.rs` looks the key up among the claimed client's own.
#[test]
fn c13_the_key_that_verified_belongs_to_the_subject_that_is_claimed() {
    let world = world();
    let (a, b) = (&world.signer_a, &world.signer_b);
    let jwt = |signer: &ForeignIssuer| but(&signer.header(), "typ", json!("JWT"));
    for (signer, client) in [(a, "signer-a"), (b, "signer-b")] {
        let answer = with_assertion(world, signer, &jwt(signer), &assertion(world, client), "");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let of_b = assertion(world, "signer-b");
    let mixed = but(&of_b, "iss", json!("signer-a"));
    for (header, claims, extra) in [
        (jwt(a), of_b.clone(), ""),
        (but(&jwt(a), "kid", json!(b.key.kid())), of_b.clone(), ""),
        (but(&jwt(a), "kid", Value::Null), of_b, ""),
        (jwt(a), mixed, ""),
        (jwt(a), assertion(world, "signer-a"), "&client_id=signer-b"),
        (jwt(a), assertion(world, "machine"), ""),
    ] {
        let answer = with_assertion(world, a, &header, &claims, extra);
        assert!(
            matches!(answer.status, 400 | 401),
            "{claims}{extra}: {}",
            answer.text()
        );
        assert!(answer.json()["access_token"].is_null());
    }
    // And an assertion is used once.
    let claims = assertion(world, "signer-a");
    assert_eq!(with_assertion(world, a, &jwt(a), &claims, "").status, 200);
    assert_eq!(with_assertion(world, a, &jwt(a), &claims, "").status, 401);
}

/// Defence: `proof::jose::jwt::within`, with the leeway of the issuer's profile; the same at the
/// token endpoint. The positive half fails if somebody drops the leeway.
#[test]
fn c14_fifty_nine_seconds_beyond_pass_and_sixty_one_refuse() {
    let world = world();
    let foreign = &world.foreign;
    let token = |name: &str, value: i64, at: i64| {
        let claims = foreign.claims(AUDIENCE);
        let claims = but(&but(&claims, "iat", json!(at - 200)), "exp", json!(at + 60));
        foreign.sign(&but(&claims, name, json!(value)))
    };
    for (name, offset, status) in [
        ("exp", -59, 200),
        ("exp", -61, 401),
        ("nbf", 59, 200),
        ("nbf", 61, 401),
        ("iat", 59, 200),
        ("iat", 61, 401),
    ] {
        let answer = at_a_fresh_second(|at| world.with_token("/me", &token(name, at + offset, at)));
        assert_eq!(
            answer.status,
            status,
            "{name} {offset:+}: {}",
            answer.text()
        );
    }
    let signer = &world.signer_a;
    let header = but(&signer.header(), "typ", json!("JWT"));
    for (name, offset, status) in [
        ("exp", -59, 200),
        ("exp", -61, 401),
        ("nbf", 59, 200),
        ("nbf", 61, 401),
    ] {
        let answer = at_a_fresh_second(|at| {
            let claims = but(&assertion(world, "signer-a"), "iat", json!(at - 100));
            let claims = but(
                &but(&claims, "exp", json!(at + 60)),
                name,
                json!(at + offset),
            );
            with_assertion(world, signer, &header, &claims, "")
        });
        assert_eq!(
            answer.status,
            status,
            "assertion {name} {offset:+}: {}",
            answer.text()
        );
    }
}
