//! DPoP proofs (RFC 9449 §4.2, §4.3): the one token whose own `jwk` is read, since it says nothing
//! but *who sends this has that key*. Everything that a proof is bound to (method, address, access
//! token, time) is compared here. Whether its `jti` was seen before is the caller's question, asked
//! after the signature holds, so that strangers can't spend someone's `jti`; and so is whether the
//! key is the one that a token is bound to, and whether a nonce is demanded ([`nonce`]).

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    base64url,
    digest::sha256,
    jose::{
        alg::Algorithm,
        jwk::{Jwk, JwkDefect},
        jws::{self, JwsDefect},
        jwt::{self, Claims, JwtDefect},
        verifying::VerifyingKey,
    },
    time::{Leeway, Timestamp},
};

pub mod nonce;

/// The one accepted `typ` (RFC 9449 §4.2), compared exactly.
pub const TYPE: &str = "dpop+jwt";

/// The accepted algorithms, the preferred first: asymmetric ones only.
pub const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::ES256,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::RS256,
];

/// [`ALGORITHMS`] as a challenge lists them (RFC 9449 §7.1), under every name that is taken.
pub const ALGORITHM_NAMES: &str = "ES256 EdDSA Ed25519 PS256 RS256";

/// How long a proof is taken after its `iat`, the leeway not counted.
pub const MAX_AGE: Duration = Duration::from_secs(60);

/// Longest proof.
pub const MAX_PROOF_BYTES: usize = 8 * 1024;
/// Longest `jti`, in bytes.
pub const MAX_JTI_BYTES: usize = 256;
/// Longest `htu`, in bytes.
pub const MAX_HTU_BYTES: usize = 8 * 1024;
/// Longest `nonce`, in bytes.
pub const MAX_NONCE_BYTES: usize = 256;

/// What a proof has shown. Only [`verify`] makes one from a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The sender's key: RFC 7638 thumbprint with SHA-256, base64url (`jkt`).
    pub thumbprint: String,
    /// The proof's own id, 1 to [`MAX_JTI_BYTES`] bytes; unique per key where clients are honest.
    pub jti: String,
    /// When the client says it made the proof.
    pub issued_at: Timestamp,
    /// The server's nonce that the client repeats, not judged yet (RFC 9449 §8).
    pub nonce: Option<String>,
}

/// What a verifier knows about the call.
#[derive(Clone, Copy, Debug)]
pub struct ProofExpect<'a> {
    /// The call's method, compared exactly.
    pub method: &'a str,
    /// The call's address as the client saw it: scheme, authority and path, without query and
    /// fragment.
    pub uri: &'a str,
    /// The access token that comes with the proof; then `ath` is required.
    pub access_token: Option<&'a [u8]>,
    /// How long after `iat` a proof is taken.
    pub max_age: Duration,
    /// How far clocks may differ, on both sides.
    pub leeway: Leeway,
}

/// Why a proof shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofDefect {
    /// Longer than [`MAX_PROOF_BYTES`].
    #[error("proof is too long")]
    TooLong,
    /// It is no compact JWS, or its signature is not its key's.
    #[error("proof is not a signed token: {0}")]
    Jws(JwsDefect),
    /// `typ` is missing or another.
    #[error("proof is of another type")]
    WrongType,
    /// The algorithm is none of [`ALGORITHMS`].
    #[error("proof is signed with an algorithm that is not accepted")]
    Algorithm,
    /// `jwk` is missing or no object.
    #[error("proof brings no key")]
    NoKey,
    /// `jwk` is no usable public key.
    #[error("key of the proof is not usable: {0}")]
    Key(JwkDefect),
    /// The payload is no strict JSON object, or a registered claim has the wrong type.
    #[error("claims of the proof can't be read: {0}")]
    Claims(JwtDefect),
    /// A claim of RFC 9449 is missing, empty, too long or of the wrong type.
    #[error("claim {0} of the proof is missing or not usable")]
    Claim(&'static str),
    /// It was made for another method.
    #[error("proof is for another method")]
    WrongMethod,
    /// It was made for another address.
    #[error("proof is for another address")]
    WrongUri,
    /// It was made too long ago.
    #[error("proof is too old")]
    Stale,
    /// It claims to have been made later than now.
    #[error("proof was made in the future")]
    InFuture,
    /// It was made for another access token.
    #[error("proof is for another access token")]
    WrongToken,
}

impl ProofDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "dpop-too-long",
            Self::Jws(defect) => defect.code(),
            Self::WrongType => "dpop-wrong-type",
            Self::Algorithm => "dpop-algorithm",
            Self::NoKey => "dpop-no-key",
            Self::Key(defect) => defect.code(),
            Self::Claims(defect) => defect.code(),
            Self::Claim(_) => "dpop-claim",
            Self::WrongMethod => "dpop-wrong-method",
            Self::WrongUri => "dpop-wrong-uri",
            Self::Stale => "dpop-stale",
            Self::InFuture => "dpop-in-future",
            Self::WrongToken => "dpop-wrong-token",
        }
    }
}

/// Judges one proof, in the order of RFC 9449 §4.3.
///
/// # Errors
/// The first [`ProofDefect`]: form, type, algorithm, key, signature, then the claims.
pub fn verify(
    proof: &[u8],
    expect: &ProofExpect<'_>,
    now: Timestamp,
) -> Result<Proof, ProofDefect> {
    if proof.len() > MAX_PROOF_BYTES {
        return Err(ProofDefect::TooLong);
    }
    let unverified = jws::split(proof).map_err(ProofDefect::Jws)?;
    if unverified.typ() != Some(TYPE) {
        return Err(ProofDefect::WrongType);
    }
    let alg = Algorithm::from_name(unverified.alg_name())
        .filter(|alg| ALGORITHMS.contains(alg))
        .ok_or(ProofDefect::Algorithm)?;
    let Some(Value::Object(members)) = unverified.header().get("jwk") else {
        return Err(ProofDefect::NoKey);
    };
    // Refuses private members: a client that sends its private key around has lost it.
    let jwk = Jwk::from_members(members).map_err(ProofDefect::Key)?;
    let key = VerifyingKey::new(&jwk, alg).map_err(ProofDefect::Key)?;
    let payload = unverified.verify(&key).map_err(ProofDefect::Jws)?;
    let claims = Claims::parse(&payload).map_err(ProofDefect::Claims)?;

    let jti = claims
        .jti
        .as_deref()
        .filter(|jti| (1..=MAX_JTI_BYTES).contains(&jti.len()))
        .ok_or(ProofDefect::Claim("jti"))?;
    if text(&claims.extra, "htm", MAX_PROOF_BYTES)?.ok_or(ProofDefect::Claim("htm"))?
        != expect.method
    {
        return Err(ProofDefect::WrongMethod);
    }
    let htu = text(&claims.extra, "htu", MAX_HTU_BYTES)?.ok_or(ProofDefect::Claim("htu"))?;
    let claimed = normal_uri(htu).ok_or(ProofDefect::Claim("htu"))?;
    if normal_uri(expect.uri).is_none_or(|known| known != claimed) {
        return Err(ProofDefect::WrongUri);
    }
    let issued_at = claims.iat.ok_or(ProofDefect::Claim("iat"))?;
    if issued_at > now.plus(expect.leeway.0) {
        return Err(ProofDefect::InFuture);
    }
    // The same comparison as everywhere, with the end that `iat` implies; a proof may also bring
    // narrower times of its own (RFC 7519 §4.1.4, §4.1.5).
    let end = issued_at.plus(expect.max_age);
    let end = claims.exp.map_or(end, |exp| exp.min(end));
    jwt::within(end, claims.nbf, now, expect.leeway).map_err(|defect| match defect {
        JwtDefect::NotYetValid => ProofDefect::InFuture,
        _ => ProofDefect::Stale,
    })?;
    if let Some(token) = expect.access_token {
        // RFC 9449 §4.3 step 12: with an access token, its hash must be covered.
        let ath = text(&claims.extra, "ath", MAX_PROOF_BYTES)?.ok_or(ProofDefect::Claim("ath"))?;
        if ath != base64url::encode(&sha256(token)) {
            return Err(ProofDefect::WrongToken);
        }
    }
    Ok(Proof {
        thumbprint: key.thumbprint().to_owned(),
        jti: jti.to_owned(),
        issued_at,
        nonce: text(&claims.extra, "nonce", MAX_NONCE_BYTES)?.map(str::to_owned),
    })
}

/// Until when a proof could be taken again, and so for how long its `jti` must be remembered.
pub fn replayable_until(proof: &Proof, max_age: Duration, leeway: Leeway) -> Timestamp {
    proof.issued_at.plus(max_age).plus(leeway.0)
}

fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
    max_bytes: usize,
) -> Result<Option<&'a str>, ProofDefect> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= max_bytes => Ok(Some(text)),
        Some(_) => Err(ProofDefect::Claim(name)),
    }
}

/// An address in one spelling: scheme and host in lower case, no default port, no empty path, no
/// query and fragment (RFC 3986 §6.2.2.1, §6.2.3). The path stays as it is written: what Doorward
/// judges is what was sent. `None` for anything that is no absolute `http` or `https` address
/// without user information.
pub(crate) fn normal_uri(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let (scheme, default_port) = if scheme.eq_ignore_ascii_case("https") {
        ("https", "443")
    } else if scheme.eq_ignore_ascii_case("http") {
        ("http", "80")
    } else {
        return None;
    };
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // The colon of a port stands behind the bracket of an IPv6 address.
    let host_end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => "",
        None => return None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits,
        Some(_) => return None,
    };
    let clean = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'\\' | b'"' | b'<' | b'>');
    if host.is_empty() || !host.bytes().all(clean) || !path.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut normal = format!("{scheme}://{}", host.to_ascii_lowercase());
    if !port.is_empty() && port != default_port {
        normal.push(':');
        normal.push_str(port);
    }
    normal.push_str(if path.is_empty() { "/" } else { path });
    Some(normal)
}

#[cfg(test)]
mod tests;
