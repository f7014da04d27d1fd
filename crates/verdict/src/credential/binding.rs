//! **Sender constraint**: a token that is bound to a key or to a certificate is worth nothing
//! without it (RFC 9449, RFC 8705).
//!
//! | the token says (`cnf`, RFC 7800) | it must come as |
//! |---|---|
//! | nothing | `Bearer` |
//! | `jkt` | `DPoP`, with one proof under that very key for this method, address and token |
//! | `x5t#S256` | `Bearer`, over a connection whose client showed that very certificate |
//! | anything else, or two of them | not at all |
//!
//! A route may ask for more ([`SenderRules`]): that a token is bound at all, and that a proof repeats
//! a nonce of ours, so that proofs can't be made long ahead (RFC 9449 §9).
//!
//! There is no way down: a bound token as a plain bearer is a stolen one, and an unbound token under
//! the `DPoP` scheme proves nothing of its sender (threat D1). The replay memory is asked last, when
//! everything else of the call holds, so that strangers can't spend a proof's id, and what can't be
//! remembered is refused (threat D2).

use http::HeaderName;
use proof::base64url;
use proof::dpop::{self, Proof, ProofExpect};
use proof::time::{Leeway, Timestamp};
use serde_json::{Map, Value};

use super::refused;
use crate::call::Head;
use crate::facts::{Facts, FirstUse, ReplayScope};
use crate::problem::{Code, Problem};
use crate::route::SenderRules;
use crate::trace::{Check, Note};

/// The field that carries a DPoP proof (RFC 9449 §4.1).
pub static DPOP: HeaderName = HeaderName::from_static("dpop");

/// The field that carries a nonce for the next proof (RFC 9449 §8.1).
pub static DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The scheme under which a token that is bound to a key is presented (RFC 9449 §7.1).
pub(super) const DPOP_SCHEME: &[u8] = b"DPoP";

/// What a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Binding {
    /// A key, by its RFC 7638 thumbprint (`jkt`, RFC 9449 §6.1).
    Jkt(Box<str>),
    /// A client certificate, by the SHA-256 of its DER (`x5t#S256`, RFC 8705 §3.1).
    Certificate(Box<str>),
}

impl Binding {
    /// Reads the value of the claim `cnf`: exactly one member, of a kind that is understood.
    ///
    /// # Errors
    /// What is wrong, for the log.
    pub(super) fn read(cnf: &Value) -> Result<Self, &'static str> {
        let sole = |members: &Map<String, Value>| {
            let (name, value) = members.iter().next().filter(|_| members.len() == 1)?;
            let thumbprint = value.as_str().filter(|text| is_thumbprint(text))?;
            match name.as_str() {
                "jkt" => Some(Self::Jkt(thumbprint.into())),
                "x5t#S256" => Some(Self::Certificate(thumbprint.into())),
                _ => None,
            }
        };
        cnf.as_object()
            .and_then(sole)
            .ok_or("the token is bound in a way that is not understood")
    }
}

/// Whether a text is a SHA-256 in base64url, in its one spelling.
fn is_thumbprint(text: &str) -> bool {
    base64url::decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 32)
}

/// How a token was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent<'a> {
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer,
    /// `Authorization: DPoP` together with this proof (RFC 9449 §7.1).
    Dpop(&'a [u8]),
}

impl<'a> Sent<'a> {
    /// The one proof of a call under the `DPoP` scheme.
    ///
    /// # Errors
    /// 401 [`Code::ProofRefused`] for none, and for more than one (RFC 9449 §4.3 step 1).
    pub(super) fn dpop(head: &'a Head) -> Result<Self, Problem> {
        match head.sole_header(&DPOP) {
            Ok(Some(proof)) => Ok(Self::Dpop(proof.as_bytes())),
            Ok(None) => Err(unproved("the DPoP scheme without a proof")),
            Err(_) => Err(unproved("more than one DPoP proof")),
        }
    }
}

/// A proof that holds, and whose id is still to be spent. Only [`judge`] makes one.
#[must_use = "a proof holds once: its id is still to be spent"]
pub(super) struct Unspent(Proof);

/// Judges a verified token by how it came. Asks nothing and changes nothing; what comes back, if
/// anything does, is still to be spent.
///
/// # Errors
/// 401: [`Code::ProofRefused`] where the proof itself is at fault, [`Code::NonceNeeded`] where it
/// lacks only a nonce, else [`Code::CredentialRefused`].
pub(super) fn judge(
    binding: Option<&Binding>,
    sent: Sent<'_>,
    token: &[u8],
    head: &Head,
    rules: SenderRules,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Option<Unspent>, Problem> {
    match (binding, sent) {
        (None, Sent::Bearer) if rules.required => Err(refused(
            "the token is bound to nothing, and the route takes bound ones only",
        )),
        (None, Sent::Bearer) => Ok(None),
        (None, Sent::Dpop(_)) => Err(refused("the token is bound to no key and came as DPoP")),
        (Some(Binding::Jkt(_)), Sent::Bearer) => Err(refused(
            "the token is bound to a key and came as a plain bearer",
        )),
        (Some(Binding::Certificate(_)), Sent::Dpop(_)) => Err(refused(
            "the token is bound to a certificate and came as DPoP",
        )),
        (Some(Binding::Certificate(thumbprint)), Sent::Bearer) => {
            let shown = head
                .arrival()
                .tls
                .as_ref()
                .and_then(|tls| tls.peer_certificate.as_ref())
                .ok_or_else(|| {
                    refused("the token is bound to a certificate and the client showed none")
                })?;
            if shown.thumbprint() != **thumbprint {
                return Err(refused("the token is bound to another certificate"));
            }
            Ok(None)
        }
        (Some(Binding::Jkt(key)), Sent::Dpop(proof)) => {
            let expect = ProofExpect {
                method: head.method().as_str(),
                uri: &address(head),
                access_token: Some(token),
                max_age: dpop::MAX_AGE,
                leeway: Leeway::default(),
            };
            let proof = dpop::verify(proof, &expect, now)
                .map_err(|defect| unproved(format!("{}: {defect}", defect.code())))?;
            // RFC 9449 §7.1: the proof is a good one, of somebody else.
            if proof.thumbprint != **key {
                return Err(refused(
                    "the token is bound to another key than the proof's",
                ));
            }
            let fresh = |nonce: &String| facts.dpop_nonces().accepts(nonce, now);
            if rules.nonce && !proof.nonce.as_ref().is_some_and(fresh) {
                return Err(Problem::new(
                    Code::NonceNeeded,
                    "the proof repeats no nonce that is fresh",
                ));
            }
            Ok(Some(Unspent(proof)))
        }
    }
}

impl Unspent {
    /// Spends the proof's id.
    ///
    /// # Errors
    /// 401 [`Code::ProofRefused`] for a proof that was used before; 503 where that can't be known.
    pub(super) async fn spend(self, facts: &impl Facts, now: Timestamp) -> Result<(), Problem> {
        let proof = self.0;
        facts.note(Note::Check(Check::ProofReplay));
        let scope = ReplayScope::DpopProof {
            key: &proof.thumbprint,
        };
        let until = dpop::replayable_until(&proof, dpop::MAX_AGE, Leeway::default());
        match facts.first_use(scope, &proof.jti, until, now).await? {
            FirstUse::Yes => Ok(()),
            FirstUse::Replayed => Err(unproved("the proof was used before")),
        }
    }
}

/// The address as the client saw it, without query and fragment: what `htu` must say.
pub(super) fn address(head: &Head) -> String {
    let scheme = head.arrival().scheme.as_str();
    let (authority, path) = (head.authority(), head.path());
    format!("{scheme}://{authority}{path}")
}

/// Whether the call presents its credential under the `DPoP` scheme.
pub(crate) fn is_dpop(head: &Head) -> bool {
    is_of_scheme(head, DPOP_SCHEME)
}

/// Whether it does under the `Bearer` scheme.
pub(crate) fn is_bearer(head: &Head) -> bool {
    is_of_scheme(head, b"bearer")
}

fn is_of_scheme(head: &Head, scheme: &[u8]) -> bool {
    head.headers()
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split(|byte| *byte == b' ').next())
        .is_some_and(|tried| tried.eq_ignore_ascii_case(scheme))
}

fn unproved(cause: impl Into<Box<str>>) -> Problem {
    Problem::new(Code::ProofRefused, cause)
}
