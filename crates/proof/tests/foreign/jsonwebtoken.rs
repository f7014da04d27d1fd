//! The crate `jsonwebtoken` as an independent peer: what one side signs, the other verifies.

use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use proof::{
    base64std,
    jose::{alg::Algorithm, jws, jwt::Claims, key::SigningKey},
    time::Timestamp,
};
use serde_json::{Value, json};

fn theirs(alg: Algorithm) -> jsonwebtoken::Algorithm {
    alg.name().parse().expect("they know it too")
}

fn pem(key: &SigningKey) -> String {
    let der = key.to_pkcs8().expect("the key encodes");
    let text = base64std::encode(der.expose());
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

fn claims() -> Value {
    json!({"iss": "i", "aud": "a", "sub": "s", "exp": 4_000_000_000_i64, "n": [1, {"x": null}]})
}

#[test]
fn what_we_sign_they_verify() {
    for alg in Algorithm::ALL {
        let key = SigningKey::generate(alg).expect("a key");
        let token = jws::sign(&key, "at+jwt", &claims().to_string());
        let jwk: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(key.public_jwk().to_json()).expect("they read our key");
        let mut validation = Validation::new(theirs(alg));
        validation.set_audience(&["a"]);
        validation.set_issuer(&["i"]);
        let decoded = jsonwebtoken::decode::<Value>(
            &token,
            &DecodingKey::from_jwk(&jwk).expect("they prepare our key"),
            &validation,
        )
        .unwrap_or_else(|error| panic!("{alg}: {error}"));
        assert_eq!(decoded.claims, claims(), "{alg}");
        assert_eq!(decoded.header.kid.as_deref(), Some(key.kid()), "{alg}");
    }
}

#[test]
fn what_they_sign_we_verify() {
    for alg in Algorithm::ALL {
        let key = SigningKey::generate(alg).expect("a key");
        let pem = pem(&key);
        let encoding = match alg {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        }
        .unwrap_or_else(|error| panic!("{alg}: {error}"));
        let token = jsonwebtoken::encode(&Header::new(theirs(alg)), &claims(), &encoding)
            .unwrap_or_else(|error| panic!("{alg}: {error}"));
        let payload = jws::split(token.as_bytes())
            .expect("we read their token")
            .verify(&key.verifying_key().expect("the public half"))
            .unwrap_or_else(|defect| panic!("{alg}: {defect}"));
        assert_eq!(payload.typ(), Some("JWT"));
        let read = Claims::parse(&payload).expect("we read their claims");
        assert_eq!(read.exp, Some(Timestamp::from_secs(4_000_000_000)));
        assert_eq!(
            (read.iss.as_deref(), read.aud),
            (Some("i"), vec!["a".to_owned()]),
            "{alg}"
        );
    }
}

#[test]
fn c01_an_hmac_token_of_theirs_is_refused_by_every_key_of_ours() {
    for alg in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let key = SigningKey::generate(alg).expect("a key");
        let public = key.public_jwk().to_json().to_string();
        let secret = EncodingKey::from_secret(public.as_bytes());
        let token = jsonwebtoken::encode(
            &Header::new(jsonwebtoken::Algorithm::HS256),
            &claims(),
            &secret,
        )
        .expect("they sign with HMAC");
        let verdict = jws::split(token.as_bytes())
            .expect("the form is sound")
            .verify(&key.verifying_key().expect("the public half"));
        assert_eq!(
            verdict.map(|_| ()),
            Err(jws::JwsDefect::WrongAlgorithm),
            "{alg}"
        );
    }
}
