//! **A foreign issuer for tests**: a key, its key set, and tokens with whatever header and claims a
//! test wants to be wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use proof::base64url;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use serde_json::{Value, json};

/// An issuer with one key.
#[derive(Debug)]
pub struct ForeignIssuer {
    /// Its `iss`.
    pub issuer: String,
    /// Its key.
    pub key: SigningKey,
}

impl ForeignIssuer {
    /// A new one with an ES256 key.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new(issuer: &str) -> Self {
        Self::with_algorithm(issuer, Algorithm::ES256)
    }

    /// A new one with a key of an algorithm.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn with_algorithm(issuer: &str, algorithm: Algorithm) -> Self {
        Self {
            issuer: issuer.to_owned(),
            key: SigningKey::generate(algorithm).expect("a fresh key"),
        }
    }

    /// Its public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        self.key.public_jwk().to_json()
    }

    /// Its key set.
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// Claims of a good token for an audience, alive for five minutes.
    #[must_use]
    pub fn claims(&self, audience: &str) -> Value {
        let now = now();
        json!({
            "iss": self.issuer,
            "sub": "user-1",
            "aud": audience,
            "client_id": "app-1",
            "iat": now,
            "exp": now + 300,
            "jti": proof::random::random_base62(16, &proof::random::SystemEntropy),
            "scope": "read write",
        })
    }

    /// A token of these claims with a good header.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    /// A good header.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({ "alg": self.key.alg().name(), "kid": self.key.kid(), "typ": "at+jwt" })
    }

    /// A token of any header and claims, truly signed with the key.
    #[must_use]
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same from JSON texts, for what `Value` can't hold (duplicate keys, huge numbers).
    #[must_use]
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let input = format!(
            "{}.{}",
            base64url::encode(header.as_bytes()),
            base64url::encode(claims.as_bytes())
        );
        let signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", base64url::encode(&signature))
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
