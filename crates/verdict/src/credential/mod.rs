//! **Credentials**: one file per kind; here what they share: the kinds, and the places of a call
//! where credentials stand.
//!
//! A kind's file says how a presented text is read, which fact is asked for and what makes the
//! credential hold. None of them decides what its holder may do: that is [`crate::decide`]'s.

pub mod apikey;
pub mod basic;
pub mod binding;
pub mod challenge;
pub mod client_jwt;
mod exposed;
pub mod introspection;
pub mod jwt;
pub mod mtls;
pub mod opaque;
mod paseto;
mod presentation;
pub mod signed;
pub mod webhook;

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;
use proof::request::BodyDigest;
use proof::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::{Body, Head};
use crate::facts::{Answer, Facts};
use crate::identity::{Companion, Identity, SecretId, Standing};
use crate::problem::{Code, Problem};
use crate::route::Route;
use crate::trace::Note;

pub(crate) use exposed::refuse_exposed;
pub(crate) use presentation::{Presented, found, take};
pub use webhook::Delivery;

/// The field that carries an API key at every API that takes keys.
pub static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Every credential kind a route can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// An API key: `Authorization: Bearer`, `X-API-Key`, configured names.
    ApiKey,
    /// RFC 7617 Basic.
    Basic,
    /// A JWT access token as `Authorization: Bearer` (RFC 6750, RFC 9068), or as
    /// `Authorization: DPoP` where it is bound to a key (RFC 9449).
    Jwt,
    /// The client's certificate of the TLS handshake, vouched for by an authority of the API.
    Mtls,
    /// An access token that says nothing by itself, of our own issuer or of one that is asked about
    /// it: as `Authorization: Bearer` or `DPoP`, like a JWT, and told from one by its form.
    Opaque,
    /// A request signed by AWS Signature Version 4, in its header or presigned.
    #[serde(rename = "sigv4")]
    SigV4,
    /// A request with an HTTP message signature (RFC 9421).
    HttpSignature,
    /// A request signed by Doorward's own plain HMAC scheme.
    Hmac,
    /// A JWT that a registered client signed for this very call, as `Authorization: Bearer`; told
    /// from an access token by its header's type.
    ClientJwt,
    /// A webhook that its sender signed, in the style that the route names.
    Webhook,
    /// An access token in the form of PASETO version 4, sent like a JWT and told from one by its first
    /// letters.
    Paseto,
    /// An administrator's key on the admin listener; never a data credential, nor the reverse.
    /// `Authorization: Bearer` only.
    AdminKey,
}

impl CredentialKind {
    /// Every kind, for discovery, docs and tests to walk.
    pub const ALL: [Self; 12] = [
        Self::ApiKey,
        Self::Basic,
        Self::Jwt,
        Self::Mtls,
        Self::Opaque,
        Self::SigV4,
        Self::HttpSignature,
        Self::Hmac,
        Self::ClientJwt,
        Self::Webhook,
        Self::Paseto,
        Self::AdminKey,
    ];

    /// The kind's name in settings, logs and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::Jwt => "jwt",
            Self::Mtls => "mtls",
            Self::Opaque => "opaque",
            Self::SigV4 => "sigv4",
            Self::HttpSignature => "http_signature",
            Self::Hmac => "hmac",
            Self::ClientJwt => "client_jwt",
            Self::Webhook => "webhook",
            Self::Paseto => "paseto",
            Self::AdminKey => "admin_key",
        }
    }

    /// Whether the secret itself is sent with each call, so that whoever sees one call can make
    /// others. An access token is, unless it is bound to its sender.
    pub fn is_sent_along(self) -> bool {
        match self {
            Self::ApiKey
            | Self::Basic
            | Self::Jwt
            | Self::Opaque
            | Self::Paseto
            | Self::AdminKey => true,
            Self::Mtls
            | Self::SigV4
            | Self::HttpSignature
            | Self::Hmac
            | Self::ClientJwt
            | Self::Webhook => false,
        }
    }

    /// Whether it is an access token (RFC 6749 §1.4), whatever its form: sent alike, judged alike.
    pub fn is_access_token(self) -> bool {
        matches!(self, Self::Jwt | Self::Opaque | Self::Paseto)
    }
}

/// Whether a field of a call carries a credential on this route, or a part of one: what a front takes
/// off before it forwards a call without the original credential.
pub fn is_carrier(name: &HeaderName, route: &Route) -> bool {
    if *name == AUTHORIZATION || *name == binding::DPOP || *name == X_API_KEY {
        return true;
    }
    // Elsewhere the fields of message signatures are ordinary ones.
    if *name == signed::SIGNATURE || *name == signed::SIGNATURE_INPUT {
        return route.takes(CredentialKind::HttpSignature);
    }
    let webhook = route.webhook.as_ref();
    if webhook.is_some_and(|rules| rules.style.carries(name)) {
        return route.takes(CredentialKind::Webhook);
    }
    route.api.key_headers.contains(name)
}

/// What one credential proved.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) kind: CredentialKind,
    pub(crate) standing: Arc<Standing>,
    pub(crate) expires_at: Option<Timestamp>,
    /// From when on it is refused: `expires_at`, and where another's clock wrote that, the leeway.
    pub(crate) ends: Option<Timestamp>,
    pub(crate) issuer: Option<jwt::IssuerId>,
    /// Which of the credential's secrets or keys held, where it can have several.
    pub(crate) secret: Option<SecretId>,
}

/// Verifies one presented credential by its kind's rules.
///
/// Also what the body must be, where the credential is a signature that covers one, and the delivery
/// that is to be ended, where it is a webhook.
pub(crate) async fn prove<R>(
    presented: Presented<'_>,
    head: &Head,
    body: &Body<R>,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(Proved, Option<BodyDigest>, Option<Delivery>), Problem> {
    facts.note(Note::Credential(presented.kind()));
    let proved = match presented {
        Presented::Signed(claim) => {
            let (proved, body) = Box::pin(signed::prove(*claim, body, route, facts, now)).await?;
            return Ok((proved, Some(body), None));
        }
        Presented::Webhook(claim) => {
            let (proved, delivery) = Box::pin(webhook::prove(*claim, body, facts, now)).await?;
            // The body was at hand, and the signature was verified with it.
            return Ok((proved, Some(BodyDigest::Checked), delivery));
        }
        Presented::ClientJwt(token) => {
            let (proved, body) =
                Box::pin(client_jwt::prove(token, head, &route.api, facts, now)).await?;
            return Ok((proved, body, None));
        }
        Presented::ApiKey(key) => apikey::prove(key, facts, now).await,
        // Apart, so that calls of the other kinds need not make room for what these wait for.
        Presented::AdminKey(key) => Box::pin(apikey::prove_admin(key, facts, now)).await,
        Presented::Basic(pair) => Box::pin(basic::prove(pair, head, route, facts, now)).await,
        Presented::Jwt(token, sent) => jwt::prove(token, sent, head, route, facts, now).await,
        Presented::Mtls(tls) => mtls::prove(tls, route.api.certificates.as_ref(), facts, now).await,
        Presented::Paseto(token, sent) => {
            Box::pin(paseto::prove(token, sent, head, route, facts, now)).await
        }
        Presented::Opaque(token, sent) => {
            Box::pin(opaque::prove(token, sent, head, route, facts, now)).await
        }
        Presented::Asked(asked, sent) => {
            Box::pin(introspection::prove(asked, sent, head, route, facts, now)).await
        }
    };
    Ok((proved?, None, None))
}

/// Whether the whole body must be at hand before this call can be judged, and how long it may be.
pub(crate) fn needs_body(head: &Head, route: &Route) -> Option<NeededBody> {
    if signed::needs_body(head, route) {
        return Some(NeededBody::Short);
    }
    let webhook =
        route.takes(CredentialKind::Webhook) && matches!(webhook::claim(head, route), Ok(Some(_)));
    webhook.then_some(NeededBody::Whole)
}

/// Whether the key that such a call must be signed with lives.
pub(crate) async fn can_hold(
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Answer<bool> {
    if signed::needs_body(head, route) {
        return signed::can_hold(head, facts, now).await;
    }
    match webhook::claim(head, route) {
        Ok(Some(claim)) => webhook::can_hold(&claim, facts, now).await,
        Ok(None) | Err(_) => Ok(false),
    }
}

/// How much of a body is read before a call is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeededBody {
    /// As much as a front reads ahead of any signed body.
    Short,
    /// As much as the route takes: a webhook's signature says nothing without the last byte.
    Whole,
}

/// Whether the credentials of a call can be verified a second time: those that are sent along and
/// bound to nothing, and certificates.
pub(crate) fn can_be_shown_again(head: &Head, identity: &Identity) -> bool {
    let again = |kind: CredentialKind| kind.is_sent_along() || kind == CredentialKind::Mtls;
    let mut companions = identity.companions().iter().map(Companion::kind);
    again(identity.kind()) && companions.all(again) && !head.headers().contains_key(&binding::DPOP)
}

/// Whether the credentials of a call that passed still live, where not all of them
/// [`can_be_shown_again`]: of a signature its key, and what stands beside it as at first. A proof of
/// possession, the token under it and a client's own JWT held for the one call and are left alone.
pub(crate) async fn still_live(
    head: &Head,
    route: &Route,
    combinations: &[Vec<CredentialKind>],
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(), Problem> {
    let proof = head.headers().contains_key(&binding::DPOP);
    for presented in take(head, route, combinations)? {
        let lives = match presented {
            Presented::Signed(claim) => signed::lives(&claim, facts, now).await?,
            Presented::Webhook(claim) => webhook::can_hold(&claim, facts, now).await?,
            Presented::ClientJwt(_) => true,
            other if proof && other.kind().is_access_token() => true,
            other => {
                let body = Body::<()>::Unavailable;
                Box::pin(prove(other, head, &body, route, facts, now)).await?;
                true
            }
        };
        if !lives {
            return Err(refused("the key that it was signed with lives no more"));
        }
    }
    Ok(())
}

/// The one answer to a credential that does not hold (threat C12); `cause` is for the log.
pub(crate) fn refused(cause: impl Into<Box<str>>) -> Problem {
    Problem::new(Code::CredentialRefused, cause)
}

#[cfg(test)]
mod tests;
