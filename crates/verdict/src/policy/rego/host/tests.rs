use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use serde_json::{Value as Json, json};

use super::*;

fn call(name: &str, arguments: &[Json]) -> Json {
    let mut host = Host::new(Some(1_000_000_000_000));
    let arguments: Vec<Value> = arguments.iter().cloned().map(Value::from).collect();
    match host.call(name, &arguments).expect("within bounds") {
        Value::Undefined => json!("<undefined>"),
        value => serde_json::to_value(&value).expect("is JSON"),
    }
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).expect("a key")
}

fn set(keys: &[&SigningKey]) -> String {
    let set = JwkSet::new(keys.iter().map(|key| key.public_jwk()).collect());
    serde_json::to_string(&set).expect("is JSON")
}

fn hmac_token(header: &Json, claims: &Json, secret: &str) -> String {
    let part = |json: &Json| proof::base64url::encode(json.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = proof::digest::MacHash::Sha256.tag(secret.as_bytes(), signed.as_bytes());
    format!("{signed}.{}", proof::base64url::encode(&tag))
}

#[test]
fn a_token_is_decoded_without_being_believed() {
    let token = hmac_token(&json!({"alg": "HS256"}), &json!({"sub": "ann"}), "secret");
    let parts = call("io.jwt.decode", &[json!(token)]);
    assert_eq!(parts[0], json!({"alg": "HS256"}));
    assert_eq!(parts[1], json!({"sub": "ann"}));
    assert_eq!(parts[2].as_str().map(str::len), Some(64));
    for bad in ["", "a.b", "a.b.c", "a.b.c.d", "e30.e30", "e30.W10."] {
        assert_eq!(
            call("io.jwt.decode", &[json!(bad)]),
            json!("<undefined>"),
            "{bad}"
        );
    }
}

#[test]
fn each_algorithm_verifies_its_own_signature_and_no_other() {
    let algorithms = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
    for algorithm in algorithms {
        let own = key(algorithm);
        let token = jws::sign(&own, "JWT", r#"{"sub":"ann"}"#);
        let name = format!("io.jwt.verify_{}", algorithm.name().to_ascii_lowercase());
        let verify = |name: &str, keys: &str| call(name, &[json!(token), json!(keys)]);
        assert_eq!(verify(&name, &set(&[&own])), json!(true), "{algorithm}");
        assert_eq!(
            verify(&name, &set(&[&key(algorithm)])),
            json!(false),
            "{algorithm}"
        );
        for other in ["io.jwt.verify_rs256", "io.jwt.verify_hs256"] {
            assert_eq!(
                verify(other, &set(&[&own])),
                json!(false),
                "{algorithm} {other}"
            );
        }
        assert_eq!(verify(&name, "no keys"), json!("<undefined>"));
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    let own = key(Algorithm::ES256);
    let keys = set(&[&own]);
    let forged = hmac_token(&json!({"alg": "HS256"}), &json!({"sub": "ann"}), &keys);
    let constraints = json!({"cert": keys});
    let answer = call("io.jwt.decode_verify", &[json!(forged), constraints]);
    assert_eq!(answer, json!([false, {}, {}]));
    let none = "eyJhbGciOiJub25lIn0.e30.";
    let answer = call(
        "io.jwt.decode_verify",
        &[json!(none), json!({"secret": ""})],
    );
    assert_eq!(answer, json!([false, {}, {}]));
}

#[test]
fn the_key_that_a_token_names_is_the_only_one_asked() {
    let (one, other) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let keys = set(&[&one, &other]);
    let named = jws::sign_as(&one, one.kid(), "JWT", "{}");
    let misnamed = jws::sign_as(&one, other.kid(), "JWT", "{}");
    let strange = jws::sign_as(&one, "strange", "JWT", "{}");
    let verify = |token: &str| call("io.jwt.verify_es256", &[json!(token), json!(keys)]);
    assert_eq!(verify(&named), json!(true));
    assert_eq!(verify(&misnamed), json!(false));
    assert_eq!(verify(&strange), json!(true));
}

#[test]
fn every_constraint_on_a_token_must_hold() {
    // The call's time is 1000 s.
    let header = json!({"alg": "HS256"});
    for (claims, constraints, good) in [
        (json!({}), json!({}), true),
        (json!({"exp": 1001}), json!({}), true),
        (json!({"exp": 1000}), json!({}), false),
        (json!({"exp": 1000}), json!({"time": 999e9}), true),
        (json!({"nbf": 1000}), json!({}), true),
        (json!({"nbf": 1001}), json!({}), false),
        (json!({"iss": "a"}), json!({"iss": "a"}), true),
        (json!({"iss": "b"}), json!({"iss": "a"}), false),
        (json!({}), json!({"iss": "a"}), false),
        (json!({"aud": "a"}), json!({"aud": "a"}), true),
        (json!({"aud": ["b", "a"]}), json!({"aud": "a"}), true),
        (json!({"aud": ["b"]}), json!({"aud": "a"}), false),
        (json!({"aud": "a"}), json!({}), false),
        (json!({}), json!({"aud": "a"}), false),
        (json!({}), json!({"alg": "HS256"}), true),
        (json!({}), json!({"alg": "HS512"}), false),
    ] {
        let token = hmac_token(&header, &claims, "secret");
        let mut told = constraints.clone();
        told["secret"] = json!("secret");
        let answer = call("io.jwt.decode_verify", &[json!(token), told]);
        let wanted = if good {
            json!([true, header, claims])
        } else {
            json!([false, {}, {}])
        };
        assert_eq!(answer, wanted, "{claims} {constraints}");
    }
    let token = hmac_token(&header, &json!({}), "secret");
    for constraints in [
        json!({}),
        json!({"secret": "secret", "cert": "x"}),
        json!({"secret": "secret", "audience": "a"}),
        json!({"secret": 7}),
    ] {
        let answer = call("io.jwt.decode_verify", &[json!(token), constraints.clone()]);
        assert_eq!(answer, json!("<undefined>"), "{constraints}");
    }
    let wrong = call(
        "io.jwt.decode_verify",
        &[json!(token), json!({"secret": "other"})],
    );
    assert_eq!(wrong, json!([false, {}, {}]));
    let critical = hmac_token(
        &json!({"alg": "HS256", "crit": ["x"]}),
        &json!({}),
        "secret",
    );
    let answer = call(
        "io.jwt.decode_verify",
        &[json!(critical), json!({"secret": "secret"})],
    );
    assert_eq!(answer, json!([false, {}, {}]));
}

#[test]
fn digests_are_those_of_the_standards() {
    // FIPS 180-4, "abc"; RFC 4231 §4.3.
    assert_eq!(
        call("crypto.sha256", &[json!("abc")]),
        json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    let text = json!("what do ya want for nothing?");
    assert_eq!(
        call("crypto.hmac.sha256", &[text.clone(), json!("Jefe")]),
        json!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    let long = call("crypto.hmac.sha512", &[text, json!("Jefe")]);
    assert!(
        long.as_str()
            .is_some_and(|tag| tag.starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"))
    );
    assert_eq!(
        call("crypto.hmac.equal", &[json!("a"), json!("a")]),
        json!(true)
    );
    assert_eq!(
        call("crypto.hmac.equal", &[json!("a"), json!("b")]),
        json!(false)
    );
    assert_eq!(call("crypto.sha256", &[json!(7)]), json!("<undefined>"));
}

#[test]
fn functions_are_called_a_bounded_number_of_times() {
    let mut host = Host::new(None);
    let text = [Value::from("a")];
    for _ in 0..MAX_CALLS {
        host.call("crypto.sha256", &text).expect("within bounds");
    }
    assert!(host.call("crypto.sha256", &text).is_err());
    assert!(Host::new(None).call("made.up", &text).is_err());
}

#[test]
fn a_certificates_names_are_data() {
    let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).expect("names");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "door");
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("signed").pem();
    let told = call("crypto.x509.parse_certificates", &[json!(pem)]);
    assert_eq!(told[0]["DNSNames"], json!(["a.example"]));
    let token = "e30.e30.e30";
    let verified = call("io.jwt.verify_es256", &[json!(token), json!(pem)]);
    assert_eq!(verified, json!(false));
}
