//! `io.jwt.*`: tokens inside a call, read and verified (RFC 7515, RFC 7519). A key is asked only for
//! the one algorithm that is meant, and a token's own `alg` must name it. `none` does not exist here.

use proof::base64url;
use proof::digest::{MacHash, hex};
use proof::jose::alg::Algorithm;
use proof::jose::jwk::{Jwk, JwkSet};
use proof::jose::jws::MAX_TOKEN_BYTES;
use proof::jose::verifying::VerifyingKey;
use proof::x509::Certificate;
use regorus::Value;
use serde_json::{Map, Value as Json};

use super::text;

/// How many tokens may stand in each other (RFC 7519 §5.2, `cty: JWT`).
const MAX_NESTED: usize = 4;

/// A token's parts, decoded and not verified.
struct Token<'a> {
    header: Map<String, Json>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// What the signature is over.
    signed: &'a str,
}

impl<'a> Token<'a> {
    fn read(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let decode = |part: &str| base64url::decode(part.as_bytes()).ok();
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed,
        })
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Whether the payload is a token itself; then its text.
    fn nested(&self) -> Option<&str> {
        let own = self.text_of("cty")?;
        if !own.eq_ignore_ascii_case("JWT") {
            return None;
        }
        core::str::from_utf8(&self.payload).ok()
    }

    fn claims(&self) -> Option<Map<String, Json>> {
        serde_json::from_slice(&self.payload).ok()
    }
}

/// `io.jwt.decode`: `[header, payload, signature]`, nothing verified.
pub(super) fn decode(token: &Value) -> Option<Value> {
    let mut token = text(token)?.to_owned();
    for _ in 0..MAX_NESTED {
        let read = Token::read(&token)?;
        match read.nested() {
            Some(inner) => {
                let inner = inner.trim_matches('"').to_owned();
                token = inner;
            }
            None => {
                let claims = read.claims()?;
                let parts = [
                    Value::from(Json::Object(read.header)),
                    Value::from(Json::Object(claims)),
                    Value::from(hex(&read.signature)),
                ];
                return Some(Value::from(parts.to_vec()));
            }
        }
    }
    None
}

/// `io.jwt.verify_*`: whether a key made the signature. `key` is a certificate or public key in PEM,
/// a key set or key in JSON, or a shared secret.
pub(super) fn verify(token: &Value, key: &Value, algorithm: &str) -> Option<Value> {
    let token = Token::read(text(token)?)?;
    let key = text(key)?;
    let name = match algorithm {
        "eddsa" => "EdDSA".to_owned(),
        other => other.to_ascii_uppercase(),
    };
    Some(Value::from(verified(&token, &name, key, key)?))
}

/// Whether the signature holds under an algorithm; `None` if there is no such algorithm or no key.
fn verified(token: &Token<'_>, name: &str, keys: &str, secret: &str) -> Option<bool> {
    if !token.text_of("alg").is_some_and(|own| same_alg(own, name)) {
        return Some(false);
    }
    let signed = token.signed.as_bytes();
    let hash = match name {
        "HS256" => Some(MacHash::Sha256),
        "HS384" => Some(MacHash::Sha384),
        "HS512" => Some(MacHash::Sha512),
        _ => None,
    };
    if let Some(hash) = hash {
        return Some(hash.verify(secret.as_bytes(), signed, &token.signature));
    }
    let algorithm = Algorithm::from_name(name)?;
    let keys = verifying_keys(keys, algorithm)?;
    // A key that the token names is the only one that is asked.
    let kid = token.text_of("kid");
    let named = |key: &&VerifyingKey| kid.is_some() && key.kid() == kid;
    let any_named = keys.iter().any(|key| named(&key));
    let mut asked = keys.iter().filter(|key| !any_named || named(key));
    Some(asked.any(|key| key.verify(signed, &token.signature)))
}

fn same_alg(own: &str, name: &str) -> bool {
    own == name || (own == "Ed25519" && name == "EdDSA")
}

/// The keys of a text that fit an algorithm; `None` if it has no keys at all.
fn verifying_keys(text: &str, algorithm: Algorithm) -> Option<Vec<VerifyingKey>> {
    let jwks = if text.contains("-----BEGIN CERTIFICATE") {
        let certificates = Certificate::from_pem(text.as_bytes()).ok()?;
        vec![certificates.first()?.public_key().ok()?]
    } else if text.contains("-----BEGIN") {
        vec![Jwk::from_spki_pem(text).ok()?]
    } else if let Ok(set) = JwkSet::parse(text.as_bytes()) {
        set.keys().to_vec()
    } else {
        vec![Jwk::parse_public(text.as_bytes()).ok()?]
    };
    let fitting = jwks
        .iter()
        .filter_map(|jwk| VerifyingKey::new(jwk, algorithm).ok());
    Some(fitting.collect())
}

/// What `io.jwt.decode_verify` is told of a token.
#[derive(Default)]
struct Constraints {
    keys: Option<String>,
    secret: Option<String>,
    alg: Option<String>,
    iss: Option<String>,
    aud: Option<String>,
    /// ns since 1970.
    time: Option<f64>,
}

impl Constraints {
    fn read(value: &Value) -> Option<Self> {
        let Ok(Json::Object(members)) = serde_json::to_value(value) else {
            return None;
        };
        let mut read = Self::default();
        for (name, value) in members {
            let text = value.as_str().map(str::to_owned);
            match name.as_str() {
                "cert" => read.keys = Some(text?),
                "secret" => read.secret = Some(text?),
                "alg" => read.alg = Some(text?),
                "iss" => read.iss = Some(text?),
                "aud" => read.aud = Some(text?),
                "time" => read.time = Some(value.as_f64().filter(|time| *time >= 0.0)?),
                _ => return None,
            }
        }
        // Exactly one of the two, or a shared secret could be taken for a public key.
        (read.keys.is_some() != read.secret.is_some()).then_some(read)
    }
}

/// `io.jwt.decode_verify`: `[true, header, payload]` if signature, issuer, audience and times hold,
/// else `[false, {}, {}]`.
pub(super) fn decode_verify(token: &Value, constraints: &Value, now: Option<i64>) -> Option<Value> {
    let constraints = Constraints::read(constraints)?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "Rego's times are numbers of JSON"
    )]
    let now = constraints.time.or(now.map(|now| now as f64))?;
    let mut token = text(token)?.to_owned();
    for _ in 0..MAX_NESTED {
        let read = Token::read(&token)?;
        if !signature_holds(&read, &constraints)? {
            return Some(refused());
        }
        if let Some(inner) = read.nested() {
            let inner = inner.trim_matches('"').to_owned();
            token = inner;
            continue;
        }
        let claims = read.claims()?;
        if !claims_hold(&claims, &constraints, now)? {
            return Some(refused());
        }
        let parts = [
            Value::from(true),
            Value::from(Json::Object(read.header)),
            Value::from(Json::Object(claims)),
        ];
        return Some(Value::from(parts.to_vec()));
    }
    None
}

fn refused() -> Value {
    let empty = Value::new_object;
    Value::from(vec![Value::from(false), empty(), empty()])
}

fn signature_holds(token: &Token<'_>, constraints: &Constraints) -> Option<bool> {
    let Some(name) = token.text_of("alg") else {
        return Some(false);
    };
    // RFC 7515 §4.1.11: nothing critical is understood here.
    if token.header.contains_key("crit") {
        return Some(false);
    }
    if constraints.alg.as_deref().is_some_and(|alg| alg != name) {
        return Some(false);
    }
    match (&constraints.keys, &constraints.secret) {
        (None, Some(secret)) if name.starts_with("HS") => verified(token, name, "", secret),
        (Some(keys), None) if !name.starts_with("HS") => {
            let name = if name == "Ed25519" { "EdDSA" } else { name };
            match Algorithm::from_name(name) {
                Some(_) => verified(token, name, keys, ""),
                None => Some(false),
            }
        }
        _ => Some(false),
    }
}

/// RFC 7519 §4.1; `None` where a claim has no readable form.
fn claims_hold(claims: &Map<String, Json>, constraints: &Constraints, now: f64) -> Option<bool> {
    if let Some(iss) = &constraints.iss
        && claims.get("iss").and_then(Json::as_str) != Some(iss)
    {
        return Some(false);
    }
    let named = match (claims.get("aud"), &constraints.aud) {
        (None, None) => true,
        (Some(Json::String(one)), Some(aud)) => one == aud,
        (Some(Json::Array(list)), Some(aud)) => list.iter().any(|one| one == aud.as_str()),
        _ => false,
    };
    if !named {
        return Some(false);
    }
    let nanos = |seconds: &Json| seconds.as_f64().map(|seconds| seconds * 1e9);
    if let Some(exp) = claims.get("exp")
        && now >= nanos(exp)?
    {
        return Some(false);
    }
    if let Some(nbf) = claims.get("nbf")
        && now < nanos(nbf)?
    {
        return Some(false);
    }
    Some(true)
}
