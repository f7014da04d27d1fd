//! **A call's own JWT** (`client_jwt`): a client signs one for each call, with its own key, and
//! presents it to the API as `Authorization: Bearer`. No token endpoint is asked.
//!
//! No standard has a type for these, so they have one of ours, [`TYPE`], which is required (RFC 8725
//! §3.11). It is neither an access token's (`at+jwt`) nor an ID token's (`JWT`), nor that of an
//! assertion for the token endpoint (`JWT`, `client-authentication+jwt`), so that none of them is
//! ever taken for another. What stands in such a JWT about the call itself (`htm`, `htu`,
//! `body_sha256`) may be left out, and must hold where it is there. The key is one that the client
//! registered, or one that a certificate in the header (`x5c`) says is the client's. It refuses to
//! fetch keys, to say who vouches, and to remember what was used: see `verdict`.

use core::time::Duration;

use serde_json::{Map, Value};

use crate::base64url;
use crate::dpop::normal_uri;
use crate::jose::jws::{self, Payload};
use crate::jose::jwt::{self, Claims, Expect, JwtDefect};
use crate::jose::key::SigningKey;
use crate::time::{Leeway, Timestamp};

/// The header's `typ`.
pub const TYPE: &str = "client-call+jwt";
/// Longest time from `iat` to `exp`.
pub const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// Longest `jti`, in bytes.
const MAX_JTI_BYTES: usize = 256;

/// Why a call's JWT is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallDefect {
    /// Type, issuer, audience, times or a missing claim.
    #[error("{0}")]
    Jwt(JwtDefect),
    /// `sub` is not the client that `iss` names.
    #[error("the subject is not the client itself")]
    WrongSubject,
    /// More than one audience: another of them could use it here.
    #[error("there is another audience beside the API")]
    Audiences,
    /// A claim that can't be read, or that this kind does not have.
    #[error("claim {0} can not be used")]
    Claim(&'static str),
    /// `htm` names another method.
    #[error("it is for another method")]
    WrongMethod,
    /// `htu` names another address.
    #[error("it is for another address")]
    WrongUri,
}

impl CallDefect {
    /// Stable code for the log.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Jwt(defect) => defect.code(),
            Self::WrongSubject => "client-call-wrong-subject",
            Self::Audiences => "client-call-audiences",
            Self::Claim(_) => "client-call-claim",
            Self::WrongMethod => "client-call-wrong-method",
            Self::WrongUri => "client-call-wrong-uri",
        }
    }
}

/// The call that a JWT must be for.
#[derive(Clone, Copy, Debug)]
pub struct CallExpect<'a, S: AsRef<str>> {
    /// The client whose key verified it.
    pub client: &'a str,
    /// Names of the API, of which `aud` must be one.
    pub audiences: &'a [S],
    /// The call's method.
    pub method: &'a str,
    /// Its address without query and fragment.
    pub uri: &'a str,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// How far the client's clock may be off.
    pub leeway: Leeway,
}

/// What a JWT says of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCall {
    /// `jti`: used once.
    pub jti: String,
    /// `exp`.
    pub expires_at: Timestamp,
    /// The scopes that the client asks for (`scope`, divided at spaces); `None`: all that it has.
    pub scopes: Option<Vec<String>>,
    /// What the body must hash to.
    pub body_sha256: Option<[u8; 32]>,
}

/// Whether a text calls itself a call's JWT, by its header. Nothing is verified.
pub fn is_named(token: &[u8]) -> bool {
    jws::claimed_type(token).is_some_and(|typ| jwt::same_type(&typ, TYPE))
}

/// Judges a verified payload. Whether its `jti` was used is the caller's question, asked last.
///
/// # Errors
/// [`CallDefect`].
pub fn judge<S: AsRef<str>>(
    payload: &Payload,
    expect: &CallExpect<'_, S>,
    now: Timestamp,
) -> Result<ClientCall, CallDefect> {
    let claims = Claims::parse(payload).map_err(CallDefect::Jwt)?;
    let audiences: Vec<&str> = expect.audiences.iter().map(AsRef::as_ref).collect();
    let rules = Expect {
        issuer: expect.client,
        audiences: &audiences,
        typ: &[TYPE],
        typ_may_be_absent: false,
        require: &["sub", "iat", "jti"],
        max_lifetime: Some(MAX_LIFETIME),
        leeway: expect.leeway,
    };
    jwt::check(&claims, payload.typ(), &rules, now).map_err(CallDefect::Jwt)?;
    if claims.sub.as_deref() != Some(expect.client) {
        return Err(CallDefect::WrongSubject);
    }
    if claims.aud.len() != 1 {
        return Err(CallDefect::Audiences);
    }
    // Bound to something that nobody asks about here: not taken for unbound.
    if claims.extra.contains_key("cnf") {
        return Err(CallDefect::Claim("cnf"));
    }
    let body_sha256 = match text(&claims.extra, "body_sha256")? {
        None => None,
        Some(text) => Some(
            base64url::decode(text.as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(CallDefect::Claim("body_sha256"))?,
        ),
    };
    if text(&claims.extra, "htm")?.is_some_and(|method| method != expect.method) {
        return Err(CallDefect::WrongMethod);
    }
    if let Some(address) = text(&claims.extra, "htu")? {
        same_address(address, expect)?;
    }
    let scopes = match claims.scope.as_deref() {
        None => None,
        Some(list) if list.split(' ').all(|scope| !scope.is_empty()) => {
            Some(list.split(' ').map(str::to_owned).collect())
        }
        Some(_) => return Err(CallDefect::Claim("scope")),
    };
    match (claims.jti, claims.exp) {
        (Some(jti), Some(expires_at)) if !jti.is_empty() && jti.len() <= MAX_JTI_BYTES => {
            Ok(ClientCall {
                jti,
                expires_at,
                scopes,
                body_sha256,
            })
        }
        _ => Err(CallDefect::Claim("jti")),
    }
}

/// The address as a proof of possession compares it (RFC 9449 §4.3). A query that is written is the
/// call's, byte for byte; one that is not leaves the query open.
fn same_address<S: AsRef<str>>(
    address: &str,
    expect: &CallExpect<'_, S>,
) -> Result<(), CallDefect> {
    if address.contains('#') {
        return Err(CallDefect::Claim("htu"));
    }
    let claimed = normal_uri(address).ok_or(CallDefect::Claim("htu"))?;
    let query = address.split_once('?').map(|(_, query)| query);
    let same = normal_uri(expect.uri).is_some_and(|known| known == claimed)
        && query.is_none_or(|query| expect.query == Some(query));
    same.then_some(()).ok_or(CallDefect::WrongUri)
}

fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, CallDefect> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(CallDefect::Claim(name)),
    }
}

/// A JWT in the making, for clients.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The client.
    pub client: &'a str,
    /// The one API that it is for.
    pub audience: &'a str,
    /// Random, never used before.
    pub jti: &'a str,
    /// When it is made.
    pub issued_at: Timestamp,
    /// How long it lives, at most [`MAX_LIFETIME`].
    pub lifetime: Duration,
    /// The scopes it asks for; `None`: all that the client has.
    pub scope: Option<&'a str>,
    /// The one method.
    pub method: Option<&'a str>,
    /// The one address, with or without query.
    pub uri: Option<&'a str>,
    /// The one body.
    pub body_sha256: Option<[u8; 32]>,
}

impl Draft<'_> {
    /// Signs it. `kid` is the name under which the client registered the key.
    pub fn sign(&self, key: &SigningKey, kid: &str) -> String {
        jws::sign_as(key, kid, TYPE, &self.claims())
    }

    /// Signs it with a key that is certified: `chain` is DER, the key's own certificate first.
    pub fn sign_certified(&self, key: &SigningKey, chain: &[impl AsRef<[u8]>]) -> String {
        jws::sign_certified(key, chain, TYPE, &self.claims())
    }

    fn claims(&self) -> String {
        let mut claims = serde_json::json!({
            "iss": self.client,
            "sub": self.client,
            "aud": self.audience,
            "iat": self.issued_at.as_secs(),
            "exp": self.issued_at.plus(self.lifetime).as_secs(),
            "jti": self.jti,
        });
        let digest = self.body_sha256.map(|digest| base64url::encode(&digest));
        for (name, value) in [
            ("scope", self.scope),
            ("htm", self.method),
            ("htu", self.uri),
            ("body_sha256", digest.as_deref()),
        ] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        claims.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::sha256;
    use crate::jose::alg::Algorithm;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const API: &str = "https://orders.example";

    fn expect() -> CallExpect<'static, &'static str> {
        CallExpect {
            client: "export",
            audiences: &[API, "orders"],
            method: "POST",
            uri: "https://api.example/orders",
            query: Some("dry=1"),
            leeway: Leeway::default(),
        }
    }

    /// Judges a good JWT with some claims replaced (`null` removes), of a type.
    fn judged(typ: &str, changes: &Value) -> Result<ClientCall, CallDefect> {
        let now = NOW.as_secs();
        let mut claims = json!({
            "iss": "export", "sub": "export", "aud": API, "iat": now, "exp": now + 60, "jti": "j",
        });
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => members.remove(name),
                value => members.insert(name.clone(), value.clone()),
            };
        }
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let token = jws::sign(&key, typ, &claims.to_string());
        let unverified = jws::split(token.as_bytes()).unwrap();
        let payload = unverified.verify(&key.verifying_key().unwrap()).unwrap();
        judge(&payload, &expect(), NOW)
    }

    #[test]
    fn a_good_one_says_what_its_call_must_be() {
        let digest = sha256(b"tea");
        let call = judged(
            TYPE,
            &json!({
                "scope": "orders:read orders:write", "htm": "POST", "nbf": NOW.as_secs(),
                "htu": "HTTPS://API.example:443/orders?dry=1",
                "body_sha256": base64url::encode(&digest), "aud": [API],
            }),
        )
        .unwrap();
        assert_eq!(call.jti, "j");
        assert_eq!(call.expires_at, NOW.plus(Duration::from_secs(60)));
        assert_eq!(call.scopes.unwrap(), ["orders:read", "orders:write"]);
        assert_eq!(call.body_sha256, Some(digest));
        let bare = judged(TYPE, &json!({})).unwrap();
        assert_eq!((bare.scopes, bare.body_sha256), (None, None));
        // A query that is not written is not asked for.
        assert!(judged(TYPE, &json!({"htu": "https://api.example/orders"})).is_ok());
    }

    #[test]
    fn each_defect_has_a_code() {
        let now = NOW.as_secs();
        for (changes, code) in [
            (json!({"iss": "import"}), "jwt-wrong-issuer"),
            (json!({"iss": null}), "jwt-missing-claim"),
            (json!({"sub": null}), "jwt-missing-claim"),
            (json!({"sub": "import"}), "client-call-wrong-subject"),
            (json!({"aud": null}), "jwt-missing-claim"),
            (
                json!({"aud": "https://stock.example"}),
                "jwt-wrong-audience",
            ),
            (
                json!({"aud": [API, "https://stock.example"]}),
                "client-call-audiences",
            ),
            (json!({"aud": [API, "orders"]}), "client-call-audiences"),
            (json!({"iat": null}), "jwt-missing-claim"),
            (json!({"exp": null}), "jwt-missing-claim"),
            (json!({"exp": now + 301}), "jwt-lifetime-too-long"),
            (json!({"exp": now - 60, "iat": now - 90}), "jwt-expired"),
            (
                json!({"iat": now + 61, "exp": now + 90}),
                "jwt-issued-in-future",
            ),
            (json!({"nbf": now + 61}), "jwt-not-yet-valid"),
            (json!({"jti": null}), "jwt-missing-claim"),
            (json!({"jti": ""}), "client-call-claim"),
            (json!({"jti": "j".repeat(257)}), "client-call-claim"),
            (json!({"jti": 7}), "jwt-claim-type"),
            (json!({"cnf": {"jkt": "x"}}), "client-call-claim"),
            (json!({"scope": ""}), "client-call-claim"),
            (json!({"scope": "a  b"}), "client-call-claim"),
            (json!({"htm": "GET"}), "client-call-wrong-method"),
            (json!({"htm": "post"}), "client-call-wrong-method"),
            (json!({"htm": ["POST"]}), "client-call-claim"),
            (
                json!({"htu": "https://api.example/order"}),
                "client-call-wrong-uri",
            ),
            (
                json!({"htu": "http://api.example/orders"}),
                "client-call-wrong-uri",
            ),
            (
                json!({"htu": "https://api.example/orders?dry=0"}),
                "client-call-wrong-uri",
            ),
            (
                json!({"htu": "https://api.example/orders?"}),
                "client-call-wrong-uri",
            ),
            (
                json!({"htu": "https://api.example/orders#a"}),
                "client-call-claim",
            ),
            (json!({"htu": "/orders"}), "client-call-claim"),
            (json!({"body_sha256": "dGVh"}), "client-call-claim"),
            (json!({"body_sha256": 1}), "client-call-claim"),
        ] {
            let defect = judged(TYPE, &changes).unwrap_err();
            assert_eq!(defect.code(), code, "{changes}");
        }
    }

    #[test]
    fn c04_no_other_type_is_taken() {
        for typ in ["JWT", "at+jwt", "client-authentication+jwt", "dpop+jwt", ""] {
            let defect = judged(typ, &json!({})).unwrap_err();
            assert_eq!(defect.code(), "jwt-wrong-type", "{typ}");
        }
        assert!(judged("application/Client-Call+JWT", &json!({})).is_ok());
    }

    #[test]
    fn what_a_client_signs_is_told_by_its_header_and_passes() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let draft = Draft {
            client: "export",
            audience: API,
            jti: "one",
            issued_at: NOW,
            lifetime: MAX_LIFETIME,
            scope: Some("orders:read"),
            method: Some("POST"),
            uri: Some("https://api.example/orders?dry=1"),
            body_sha256: Some(sha256(b"")),
        };
        let token = draft.sign(&key, "their-name");
        assert!(is_named(token.as_bytes()));
        let unverified = jws::split(token.as_bytes()).unwrap();
        assert_eq!(unverified.kid(), Some("their-name"));
        let payload = unverified.verify(&key.verifying_key().unwrap()).unwrap();
        assert!(judge(&payload, &expect(), NOW).is_ok());
        for other in ["", ".", "e30.e30.", "x", &jws::sign(&key, "at+jwt", "{}")] {
            assert!(!is_named(other.as_bytes()), "{other}");
        }
    }
}
