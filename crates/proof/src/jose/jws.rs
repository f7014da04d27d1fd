//! Compact JWS (RFC 7515 §3.1): three parts, bounds before any decoding, one spelling. The
//! algorithm comes from the key; the header is only compared with it. Keys and addresses inside a
//! token (`jwk`, `jku`, `x5u`, `x5c`) are noticed and never used, but for a chain of certificates
//! where its reader knows who must vouch for it ([`Unverified::signer_chain`]); `crit` and `b64` are
//! refused, since no extension is understood. A payload comes out by [`Unverified::verify`] alone.

use serde_json::{Map, Value};

use crate::{
    base64std, base64url,
    jose::{alg::Algorithm, key::SigningKey, verifying::VerifyingKey},
    strict_json::{self, JsonDefect},
    x509::{self, SignerChain, X5cDefect},
};

/// Longest token.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest header, before decoding.
pub const MAX_HEADER_BYTES: usize = 4 * 1024;
/// Longest header of a token that may bring a chain of certificates, before decoding: three of RSA
/// with 4096 bits, each of them base64 within base64url.
pub const MAX_CERTIFIED_HEADER_BYTES: usize = 12 * 1024;

/// Why a token can't be read or does not verify.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsDefect {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("token is too long")]
    TooLong,
    /// Not exactly three parts.
    #[error("token has not three parts")]
    NotThreeParts,
    /// The header is longer than [`MAX_HEADER_BYTES`], or than [`MAX_CERTIFIED_HEADER_BYTES`] where
    /// a chain of certificates may stand in it.
    #[error("header is too long")]
    HeaderTooLong,
    /// A part is not canonical base64url.
    #[error("a part is not canonical base64url")]
    NotBase64url,
    /// The header is no strict JSON object.
    #[error("header is not strict JSON: {0}")]
    HeaderJson(JsonDefect),
    /// A header member is missing or has the wrong type.
    #[error("a header member is missing or has the wrong type")]
    HeaderMember,
    /// `crit` is present (RFC 7515 §4.1.11): no extension is understood.
    #[error("header demands an extension")]
    CriticalHeader,
    /// `b64` is present (RFC 7797).
    #[error("payload is not base64url-encoded")]
    UnencodedPayload,
    /// The header names another algorithm than the key's.
    #[error("algorithm is not the key's")]
    WrongAlgorithm,
    /// The signature is not this key's.
    #[error("signature does not verify")]
    BadSignature,
}

impl JwsDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "jws-too-long",
            Self::NotThreeParts => "jws-not-three-parts",
            Self::HeaderTooLong => "jws-header-too-long",
            Self::NotBase64url => "jws-not-base64url",
            Self::HeaderJson(_) => "jws-header-json",
            Self::HeaderMember => "jws-header-member",
            Self::CriticalHeader => "jws-critical-header",
            Self::UnencodedPayload => "jws-unencoded-payload",
            Self::WrongAlgorithm => "jws-wrong-algorithm",
            Self::BadSignature => "jws-bad-signature",
        }
    }
}

/// A token taken apart; nothing in it is proved yet.
pub struct Unverified<'a> {
    signing_input: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
    header: Map<String, Value>,
}

/// What a key has signed. Only [`Unverified::verify`] makes one.
pub struct Payload {
    bytes: Vec<u8>,
    typ: Option<String>,
}

impl Payload {
    /// The signed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The token's type as the signed header says.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes, typ {:?})", self.bytes.len(), self.typ)
    }
}

/// Takes a token apart without believing any of it.
///
/// # Errors
/// [`JwsDefect`], except for the two that need a key.
pub fn split(token: &[u8]) -> Result<Unverified<'_>, JwsDefect> {
    split_within(token, MAX_HEADER_BYTES)
}

/// The same for a token whose header may hold a chain of certificates, and so be longer.
///
/// # Errors
/// As [`split`].
pub fn split_certified(token: &[u8]) -> Result<Unverified<'_>, JwsDefect> {
    split_within(token, MAX_CERTIFIED_HEADER_BYTES)
}

fn split_within(token: &[u8], longest_header: usize) -> Result<Unverified<'_>, JwsDefect> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(JwsDefect::TooLong);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(JwsDefect::NotThreeParts);
    };
    if header.len() > longest_header {
        return Err(JwsDefect::HeaderTooLong);
    }
    let decode = |part| base64url::decode(part).map_err(|_| JwsDefect::NotBase64url);
    let unverified = Unverified {
        signing_input: &token[..header.len() + 1 + payload.len()],
        header: strict_json::parse_object(&decode(header)?, longest_header)
            .map_err(JwsDefect::HeaderJson)?,
        payload: decode(payload)?,
        signature: decode(signature)?,
    };
    check_header(&unverified.header)?;
    Ok(unverified)
}

fn check_header(header: &Map<String, Value>) -> Result<(), JwsDefect> {
    if header.contains_key("crit") {
        return Err(JwsDefect::CriticalHeader);
    }
    if header.contains_key("b64") {
        return Err(JwsDefect::UnencodedPayload);
    }
    let clean = ["alg", "kid", "typ", "cty"]
        .iter()
        .all(|name| header.get(*name).is_none_or(Value::is_string));
    if !clean || !header.contains_key("alg") {
        return Err(JwsDefect::HeaderMember);
    }
    Ok(())
}

impl Unverified<'_> {
    /// The algorithm's name as the header has it: for messages only.
    pub fn alg_name(&self) -> &str {
        self.text("alg").unwrap_or("")
    }

    /// The algorithm that the header names, if it exists: to find the key that fits, which decides.
    pub fn alg(&self) -> Option<Algorithm> {
        Algorithm::from_name(self.alg_name())
    }

    /// The key's name: a map key and nothing else.
    pub fn kid(&self) -> Option<&str> {
        self.text("kid")
    }

    /// The claimed type (RFC 7515 §4.1.9).
    pub fn typ(&self) -> Option<&str> {
        self.text("typ")
    }

    /// The claimed content type (RFC 7515 §4.1.10).
    pub fn cty(&self) -> Option<&str> {
        self.text("cty")
    }

    /// Whether the token brings a key or an address of one along (`jwk`, `jku`, `x5u`, `x5c`).
    /// None is ever used.
    pub fn brings_key(&self) -> bool {
        ["jwk", "jku", "x5u", "x5c"]
            .iter()
            .any(|name| self.header.contains_key(*name))
    }

    /// Whether it brings one along of which nobody could say whose it is: in any other way than as a
    /// chain of certificates.
    pub fn brings_uncertified_key(&self) -> bool {
        ["jwk", "jku", "x5u"]
            .iter()
            .any(|name| self.header.contains_key(*name))
    }

    /// The chain of certificates that the token brings along (RFC 7515 §4.1.6), unproved: for readers
    /// who know by whom it must be vouched for. All others refuse what [`Self::brings_key`].
    ///
    /// # Errors
    /// [`X5cDefect`].
    pub fn signer_chain(&self) -> Result<Option<SignerChain>, X5cDefect> {
        SignerChain::read(&self.header)
    }

    /// All header members, unproved. A DPoP proof (RFC 9449) is the one token whose `jwk` is read.
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The payload before any signature was checked: to find the issuer whose keys to ask, or to
    /// show a token to a person. Never to decide by.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the signature with `key` and its one algorithm, and hands out what was signed.
    ///
    /// # Errors
    /// [`JwsDefect::WrongAlgorithm`], [`JwsDefect::BadSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<Payload, JwsDefect> {
        if self.alg() != Some(key.alg()) {
            return Err(JwsDefect::WrongAlgorithm);
        }
        if !key.verify(self.signing_input, &self.signature) {
            return Err(JwsDefect::BadSignature);
        }
        Ok(Payload {
            bytes: self.payload.clone(),
            typ: self.typ().map(str::to_owned),
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified")
            .field("alg", &self.alg_name())
            .field("kid", &self.kid())
            .field("typ", &self.typ())
            .finish_non_exhaustive()
    }
}

/// What a text that may be a compact JWS calls itself (`typ` in its header): to tell forms apart, and
/// for nothing else, since nothing is verified. `None` where that can't be read.
pub fn claimed_type(token: &[u8]) -> Option<String> {
    let header = token.split(|byte| *byte == b'.').next()?;
    if header.len() > MAX_CERTIFIED_HEADER_BYTES {
        return None;
    }
    let header = base64url::decode(header).ok()?;
    let mut members = strict_json::parse_object(&header, MAX_CERTIFIED_HEADER_BYTES).ok()?;
    match members.remove("typ")? {
        Value::String(typ) => Some(typ),
        _ => None,
    }
}

/// Signs `payload_json` as a compact JWS whose header holds `alg`, `kid` and `typ`.
pub fn sign(key: &SigningKey, typ: &str, payload_json: &str) -> String {
    sign_as(key, key.kid(), typ, payload_json)
}

/// The same with a key that the verifier knows by another name than its thumbprint.
pub fn sign_as(key: &SigningKey, kid: &str, typ: &str, payload_json: &str) -> String {
    let header = serde_json::json!({"alg": key.alg().name(), "kid": kid, "typ": typ});
    sign_under(key, &header, payload_json)
}

/// The same with a key that no verifier knows: the header holds the certificates that vouch for it
/// (`x5c`, DER, the key's own first) and the thumbprint of that one, and no `kid`.
pub fn sign_certified(
    key: &SigningKey,
    chain: &[impl AsRef<[u8]>],
    typ: &str,
    payload_json: &str,
) -> String {
    let mut header = serde_json::json!({"alg": key.alg().name(), "typ": typ});
    let written = chain.iter().map(|der| base64std::encode(der.as_ref()));
    header["x5c"] = written.collect();
    if let Some(own) = chain.first() {
        header["x5t#S256"] = x509::thumbprint(own.as_ref()).into();
    }
    sign_under(key, &header, payload_json)
}

fn sign_under(key: &SigningKey, header: &Value, payload_json: &str) -> String {
    let header = header.to_string();
    let mut token = base64url::encode(header.as_bytes());
    token.push('.');
    token.push_str(&base64url::encode(payload_json.as_bytes()));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&base64url::encode(&signature));
    token
}

#[cfg(test)]
mod tests;
