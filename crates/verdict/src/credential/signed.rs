//! **Signed requests**: the caller holds a secret (or the private half of a key) and signs each call
//! with it; nothing that is sent can be used for another call.
//!
//! | kind | where it stands | source |
//! |---|---|---|
//! | `sigv4` | `Authorization: AWS4-HMAC-SHA256 …`, or a presigned query | AWS Signature Version 4 |
//! | `http_signature` | `Signature-Input` and `Signature`, `Content-Digest` | RFC 9421, RFC 9530 |
//! | `hmac` | `Authorization: HMAC-SHA256 …` | [`proof::hmac_request`] |
//!
//! The formats are `proof`'s; here stands what makes a signature the caller's: the key that the
//! signature names was made for this very scheme, the signature holds under one of its secrets, the
//! key lives, and the signature is used for the first time. The replay memory is asked last, so that
//! strangers can't spend somebody's signature (threats D3, D5).
//!
//! A signature covers a body by its digest. What the body must be travels with the permit as a
//! [`BodyCheck`], and a front can't forward the one without running the other (threat D7).

use core::time::Duration;
use std::sync::Arc;

use http::HeaderName;
use http::header::HOST;
use proof::base64url;
use proof::hmac_request;
use proof::httpsig;
use proof::request::{BodyDigest, SignedHead, Verified};
use proof::sigv4::{self, SigV4Defect};
use proof::time::{Leeway, Timestamp};

use super::challenge::{self, Tried};
use super::{CredentialKind, Proved, refused};
use crate::call::{Body, Head};
use crate::facts::{Answer, Facts, FirstUse, ReplayScope};
use crate::identity::{LifeState, SigningKey, SigningScheme};
use crate::problem::{Code, Problem};
use crate::route::Route;
use crate::trace::{Check, Note};

/// The fields of HTTP message signatures (RFC 9421 §4).
pub static SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// See [`SIGNATURE`].
pub static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// How signatures are judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignatureRules {
    /// Regions of the credential scope that Signature Version 4 must name.
    pub regions: Vec<Arc<str>>,
    /// Services of the credential scope that it must name.
    pub services: Vec<Arc<str>>,
    /// How long a presigned URL may live at most; `None`: none passes.
    pub presigned: Option<Duration>,
    /// Whether a presigned URL passes once only.
    pub presigned_once: bool,
    /// Whether a body may go unsigned (`UNSIGNED-PAYLOAD`, unsigned chunks, no `Content-Digest`).
    pub unsigned_body: bool,
    /// What a message signature must cover; empty: [`httpsig::REQUIRED`].
    pub components: Vec<httpsig::Component>,
    /// The tag of the message signature that is meant.
    pub tag: Option<Arc<str>>,
    /// Whether a message signature must carry a nonce.
    pub nonce: bool,
}

/// A signature as it was presented; nothing of it is verified.
#[derive(Debug)]
pub(crate) enum Claim<'a> {
    SigV4(sigv4::Claimed<'a>),
    HttpSignature(httpsig::Claimed<'a>),
    Hmac(hmac_request::Claimed<'a>),
}

/// The head as a signature sees it: as it was sent.
pub(crate) fn lent(head: &Head) -> SignedHead<'_> {
    SignedHead {
        method: head.method().as_str(),
        scheme: head.arrival().scheme.as_str(),
        // In the client's own case, where the field is there: it was read as this authority.
        authority: head
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_else(|| head.authority()),
        path: head.path(),
        query: head.query(),
        headers: head.headers(),
    }
}

/// Whether an `Authorization` field is one of Signature Version 4.
pub(super) fn is_sigv4(authorization: &[u8]) -> bool {
    authorization
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"AWS4-"))
}

/// Whether an `Authorization` field is one of the plain scheme.
pub(super) fn is_hmac(authorization: &[u8]) -> bool {
    let scheme = hmac_request::SCHEME.as_bytes();
    authorization.len() > scheme.len()
        && authorization[..scheme.len()].eq_ignore_ascii_case(scheme)
        && authorization[scheme.len()] == b' '
}

/// Reads what of Signature Version 4 a call carries, in its field or in its query.
pub(super) fn sigv4_claim(head: &Head) -> Result<Option<Claim<'_>>, Problem> {
    match sigv4::parse(&lent(head)) {
        Ok(claimed) => Ok(claimed.map(Claim::SigV4)),
        // One kind twice, of which neither is the one that was meant.
        Err(defect @ SigV4Defect::TwoPlaces) => {
            Err(Problem::new(Code::CredentialAmbiguous, defect.code()))
        }
        Err(defect) => Err(refused(defect.code())),
    }
}

/// Reads the message signature that a call carries.
pub(super) fn http_signature_claim<'a>(
    head: &'a Head,
    rules: &SignatureRules,
) -> Result<Option<Claim<'a>>, Problem> {
    match httpsig::parse(&lent(head), rules.tag.as_deref()) {
        Ok(claimed) => Ok(claimed.map(Claim::HttpSignature)),
        Err(defect) => Err(refused(defect.code())),
    }
}

/// Reads a signature of the plain scheme.
pub(super) fn hmac_claim(head: &Head) -> Result<Option<Claim<'_>>, Problem> {
    match hmac_request::parse(&lent(head)) {
        Ok(claimed) => Ok(claimed.map(Claim::Hmac)),
        Err(defect) => Err(refused(defect.code())),
    }
}

impl Claim<'_> {
    pub(crate) fn kind(&self) -> CredentialKind {
        match self {
            Self::SigV4(_) => CredentialKind::SigV4,
            Self::HttpSignature(_) => CredentialKind::HttpSignature,
            Self::Hmac(_) => CredentialKind::Hmac,
        }
    }

    fn scheme(&self) -> SigningScheme {
        match self {
            Self::SigV4(_) => SigningScheme::SigV4,
            Self::HttpSignature(_) => SigningScheme::HttpSignature,
            Self::Hmac(_) => SigningScheme::Hmac,
        }
    }

    fn key_id(&self) -> &str {
        match self {
            Self::SigV4(claimed) => claimed.key_id(),
            Self::HttpSignature(claimed) => claimed.key_id(),
            Self::Hmac(claimed) => claimed.key_id(),
        }
    }

    /// Whether the signature is over a hash of the body that it does not name, so that the body
    /// must be at hand before anything can be verified.
    pub(crate) fn needs_body(&self) -> bool {
        match self {
            Self::SigV4(claimed) => claimed.needs_body(),
            Self::HttpSignature(_) | Self::Hmac(_) => false,
        }
    }

    fn verify(
        self,
        key: &SigningKey,
        body: Option<&[u8; 32]>,
        rules: &SignatureRules,
        now: Timestamp,
    ) -> Result<Verified, Problem> {
        let secrets: Vec<_> = key.secrets_at(now).map(|one| one.key()).collect();
        match self {
            Self::SigV4(claimed) => {
                let rules = sigv4::Rules {
                    regions: &rules.regions,
                    services: &rules.services,
                    window: sigv4::WINDOW,
                    presigned: rules.presigned,
                    leeway: Leeway::default(),
                    paths: None,
                    unsigned_payload: rules.unsigned_body,
                    signed_chunks: true,
                    unsigned_chunks: rules.unsigned_body,
                    max_chunk_bytes: MAX_CHUNK_BYTES,
                    signed_if_present: &[],
                };
                claimed
                    .verify(&secrets, body, now, &rules)
                    .map_err(|defect| refused(defect.code()))
            }
            Self::HttpSignature(claimed) => {
                let keys: Vec<_> = secrets
                    .into_iter()
                    .map(httpsig::Key::Shared)
                    .chain(
                        key.public_keys_at(now)
                            .map(|one| httpsig::Key::Public(&one.key)),
                    )
                    .collect();
                let required: &[httpsig::Component] = match rules.components.as_slice() {
                    [] => &httpsig::REQUIRED,
                    components => components,
                };
                let rules = httpsig::Rules {
                    required,
                    nonce_required: rules.nonce,
                    unsigned_body: rules.unsigned_body,
                    ..httpsig::Rules::default()
                };
                claimed
                    .verify(&keys, now, &rules)
                    .map_err(|defect| refused(defect.code()))
            }
            Self::Hmac(claimed) => claimed
                .verify(&secrets, now, &hmac_request::Rules::default())
                .map_err(|defect| refused(defect.code())),
        }
    }
}

/// Longest chunk of a body in signed chunks: as much is held in memory. Common signers send 64 KiB
/// to 1 MiB.
const MAX_CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// Whether a hash of the body is signed that the signature does not name.
pub(super) fn needs_body(head: &Head, route: &Route) -> bool {
    route.takes(CredentialKind::SigV4)
        && matches!(sigv4_claim(head), Ok(Some(claim)) if claim.needs_body())
}

/// Whether the key that Signature Version 4 names lives and is of its scheme.
pub(super) async fn can_hold(head: &Head, facts: &impl Facts, now: Timestamp) -> Answer<bool> {
    let Ok(Some(claim)) = sigv4_claim(head) else {
        return Ok(false);
    };
    lives(&claim, facts, now).await
}

/// Whether the key that a signature names lives and is of its scheme.
pub(super) async fn lives(claim: &Claim<'_>, facts: &impl Facts, now: Timestamp) -> Answer<bool> {
    let key = facts.signing_key_ahead(claim.key_id(), now).await?;
    Ok(key.is_some_and(|key| key.scheme == claim.scheme() && key.lives(now)))
}

/// Judges a signature: the key that it names, then the signature, then the key's life, and last
/// whether it was used before.
pub(super) async fn prove<R>(
    claim: Claim<'_>,
    body: &Body<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(Proved, BodyDigest), Problem> {
    let (kind, scheme) = (claim.kind(), claim.scheme());
    let rules = route.signatures();
    let key_id = claim.key_id().to_owned();
    facts.note(Note::Check(Check::SigningKey));
    let key = facts
        .signing_key(&key_id, now)
        .await?
        .ok_or_else(|| refused("no such signing key"))?;
    let id = &key.standing.credential;
    if key.scheme != scheme {
        return Err(refused(format!("{id} is for another scheme")));
    }
    // Nothing is left of it to verify with.
    if key.state == LifeState::Revoked {
        return Err(refused(format!("{id} is revoked")));
    }
    if claim.needs_body() && !key.lives(now) && matches!(body, Body::Stream(_)) {
        return Err(refused(format!(
            "{id} does not live, so that the body was not read"
        )));
    }
    let hash = match body {
        Body::Buffered(bytes) => Some(proof::digest::sha256(bytes)),
        Body::Stream(_) | Body::Unavailable => None,
    };
    facts.note(Note::Check(Check::RequestSignature));
    let verified = claim
        .verify(&key, hash.as_ref(), rules, now)
        .map_err(|mut problem| {
            problem.cause = format!("{} ({id})", problem.cause).into();
            problem
        })?;
    // After the signature, so that a stranger learns nothing of the key's state.
    facts.note(Note::Check(Check::Life));
    if key.state == LifeState::Suspended {
        return Err(refused(format!("{id} is suspended")));
    }
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(refused(format!("{id} has expired")));
    }
    if !verified.reusable || rules.presigned_once {
        facts.note(Note::Check(Check::SignatureReplay));
        if !is_first_use(&verified, &key_id, facts, now).await? {
            return Err(refused(format!("the signature was used before ({id})")));
        }
    }
    let proved = Proved {
        kind,
        standing: key.standing.clone(),
        expires_at: key.expires_at,
        ends: key.expires_at,
        issuer: None,
        secret: key.which(verified.key, now).cloned(),
    };
    Ok((proved, verified.body))
}

/// A signature over one request lives for minutes. A presigned URL may live for days, longer than
/// processes do, so its one use is of another scope, which no process may keep to itself.
async fn is_first_use(
    verified: &Verified,
    key_id: &str,
    facts: &impl Facts,
    now: Timestamp,
) -> Answer<bool> {
    let (replay, until) = (
        base64url::encode(&verified.replay.id),
        verified.replay.until,
    );
    let scope = if verified.reusable {
        ReplayScope::Presigned { key: key_id }
    } else {
        ReplayScope::Signature { key: key_id }
    };
    let used = facts.first_use(scope, &replay, until, now).await?;
    Ok(used == FirstUse::Yes)
}

/// The answer to a body that is not the one that was signed: the credential does not hold, and the
/// answer is that to any other that does not.
pub fn forged(route: &Route, tried: Tried, cause: impl Into<Box<str>>) -> Problem {
    challenge::attach_to(Problem::new(Code::CredentialRefused, cause), tried, route)
}
