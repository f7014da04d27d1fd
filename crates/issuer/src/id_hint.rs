//! **`id_token_hint`**: an ID token that a client hands back to say whom it means. It must be ours
//! and for that client; that it has expired says nothing about whom it names (OpenID Connect Core
//! §3.1.2.1, RP-Initiated Logout 1.0 §2), so its times are not judged.

use proof::jose::jws;
use proof::jose::jwt::Claims;

use crate::keys::KeyRing;
use crate::ports::KeyPurpose;

/// What keys may have signed a hint.
const PURPOSES: [KeyPurpose; 4] = [
    KeyPurpose::IdEs256,
    KeyPurpose::IdRs256,
    KeyPurpose::IdPs256,
    KeyPurpose::IdEdDsa,
];

/// Whom a hint names.
pub(crate) struct IdHint {
    /// `sub`.
    pub(crate) subject: String,
    /// `sid`.
    pub(crate) session: Option<String>,
    /// `aud`.
    pub(crate) audience: Vec<String>,
}

impl IdHint {
    /// Whether it was issued to this client.
    pub(crate) fn is_for(&self, client_id: &str) -> bool {
        self.audience.iter().any(|aud| aud == client_id)
    }
}

/// Reads a hint. `None`: it is no ID token of this issuer.
pub(crate) fn read(ring: &KeyRing, issuer: &str, text: &str) -> Option<IdHint> {
    let unverified = jws::split(text.as_bytes()).ok()?;
    let kid = unverified.kid()?.to_owned();
    // Access tokens and logout tokens are signed with other keys, or have another type.
    if unverified
        .typ()
        .is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT"))
    {
        return None;
    }
    let key = PURPOSES
        .into_iter()
        .find_map(|purpose| ring.verifier(purpose, &kid))?;
    let payload = unverified.verify(key).ok()?;
    let claims = Claims::parse(&payload).ok()?;
    if claims.iss.as_deref() != Some(issuer) || claims.aud.is_empty() {
        return None;
    }
    Some(IdHint {
        subject: claims.sub?,
        session: claims
            .extra
            .get("sid")
            .and_then(|sid| sid.as_str())
            .map(str::to_owned),
        audience: claims.aud,
    })
}
