//! **Opaque tokens of foreign issuers**: only their issuer can read them, so it is asked
//! (introspection, RFC 7662; signed answers, RFC 9701). Here is which texts are such tokens, whose,
//! and what an answer means; asking is `outbound`'s.
//!
//! A text goes to one issuer or to none: whoever may not read a token must not be handed it. So a
//! text of our own grammar, an imported key, a JWT and a PASETO never leave, and where an API
//! trusts several such issuers, prefixes tell their tokens apart. What an issuer says of a token is
//! read by the same mapping as a JWT's claims and judged by the same function, on every use: times,
//! audience, our own revocations, binding.

use core::time::Duration;
use std::sync::Arc;

use proof::base64url;
use proof::digest::TokenHash;
use proof::jose::jws::{MAX_TOKEN_BYTES, Payload};
use proof::jose::jwt::{self, Claims, Expect};
use proof::time::{Leeway, Timestamp};
use proof::{paseto, strict_json};
use serde_json::Value;

use super::binding::{Binding, Sent};
use super::jwt::{IssuerProfile, Shown, VerifiedToken};
use super::{CredentialKind, Proved, apikey, opaque, refused};
use crate::call::Head;
use crate::facts::Facts;
use crate::problem::Problem;
use crate::route::{Api, Route};

/// The media type of a signed answer (RFC 9701 §5), without `application/`, which is its `typ`.
pub const SIGNED_TYPE: &str = "token-introspection+jwt";

/// How old a signed answer may be, besides the issuer's leeway: it was asked for just now.
const MAX_ANSWER_AGE: Duration = Duration::from_secs(60);

/// How an issuer's opaque tokens are known and judged: a part of its profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntrospectionProfile {
    /// Who we are there: the audience of signed answers.
    pub client_id: Arc<str>,
    /// What its tokens begin with. Empty: every text that is nothing else.
    pub token_prefixes: Vec<Arc<str>>,
    /// How long an answer may be used.
    pub cache: Duration,
    /// Whether answers are signed (RFC 9701). Then nothing else is an answer.
    pub signed: bool,
    /// The audience of tokens of which the issuer tells none. None: such tokens are refused.
    pub assumed_audience: Option<Arc<str>>,
}

/// What the issuer says of a token: the token that it stands for, or why it is none, for the log.
pub type Said = Result<Arc<VerifiedToken>, Arc<str>>;

/// Why an answer is none: the issuer is at fault, and nothing is known of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// No strict JSON object.
    #[error("the answer is no JSON object")]
    NotJson,
    /// `active` is missing or no boolean (RFC 7662 §2.2).
    #[error("the answer does not say whether the token is active")]
    NoState,
    /// The signed answer is of another type, issuer or audience, or has no answer in it.
    #[error("the signed answer is not for us: {0}")]
    Signed(&'static str),
}

/// Reads an answer (RFC 7662 §2.2). The outer error is the issuer's fault, the inner one says why the
/// token is none.
///
/// # Errors
/// [`BadAnswer`].
pub fn read(
    answer: &[u8],
    hash: &TokenHash,
    profile: &IssuerProfile,
    now: Timestamp,
) -> Result<Result<VerifiedToken, String>, BadAnswer> {
    let members =
        strict_json::parse_object(answer, MAX_TOKEN_BYTES).map_err(|_| BadAnswer::NotJson)?;
    match members.get("active") {
        Some(Value::Bool(true)) => {}
        // RFC 7662 §2.2: nothing else of such an answer is looked at.
        Some(Value::Bool(false)) => return Ok(Err("its issuer says that it is not active".into())),
        _ => return Err(BadAnswer::NoState),
    }
    Ok(active(answer, hash, profile, now))
}

/// Reads a signed answer (RFC 9701 §5) that one of the issuer's keys verified.
///
/// # Errors
/// [`BadAnswer`].
pub fn read_signed(
    payload: &Payload,
    hash: &TokenHash,
    profile: &IssuerProfile,
    now: Timestamp,
) -> Result<Result<VerifiedToken, String>, BadAnswer> {
    let typ = payload.typ().unwrap_or_default().to_ascii_lowercase();
    if typ.strip_prefix("application/").unwrap_or(&typ) != SIGNED_TYPE {
        return Err(BadAnswer::Signed("another type"));
    }
    let claims = Claims::parse(payload).map_err(|_| BadAnswer::Signed("no claims"))?;
    if claims.iss.as_deref() != Some(profile.issuer.as_str()) {
        return Err(BadAnswer::Signed("another issuer"));
    }
    let us = profile
        .introspection
        .as_ref()
        .map(|rules| &*rules.client_id);
    if !claims.aud.iter().any(|aud| Some(aud.as_str()) == us) {
        return Err(BadAnswer::Signed("another audience"));
    }
    let fresh = claims.iat.is_some_and(|at| {
        at <= now.plus(profile.leeway) && now <= at.plus(MAX_ANSWER_AGE + profile.leeway)
    });
    if !fresh {
        return Err(BadAnswer::Signed("not made just now"));
    }
    match claims.extra.get("token_introspection") {
        Some(answer @ Value::Object(_)) => read(answer.to_string().as_bytes(), hash, profile, now),
        _ => Err(BadAnswer::Signed("no token_introspection")),
    }
}

/// What an active token stands for.
fn active(
    answer: &[u8],
    hash: &TokenHash,
    profile: &IssuerProfile,
    now: Timestamp,
) -> Result<VerifiedToken, String> {
    let mut claims = Claims::from_json(answer).map_err(|defect| defect.to_string())?;
    claims.extra.remove("active");
    let kind = match claims.extra.get("token_type") {
        None => None,
        Some(Value::String(kind)) => Some(kind.to_ascii_lowercase()),
        Some(_) => return Err("the token_type is not a text".into()),
    };
    // A refresh token is active too, and is none of these.
    if kind
        .as_deref()
        .is_some_and(|kind| !matches!(kind, "bearer" | "dpop"))
    {
        return Err("its issuer does not call it an access token".into());
    }
    // RFC 7662 §2.2: who answers is who issued, unless it says otherwise.
    claims
        .iss
        .get_or_insert_with(|| profile.issuer.as_str().to_owned());
    let assumed = profile
        .introspection
        .as_ref()
        .and_then(|rules| rules.assumed_audience.as_deref());
    if let Some(assumed) = assumed
        && claims.aud.is_empty()
    {
        // The audience is what keeps a refresh token out; without one the type has to.
        if kind.is_none() {
            return Err("its issuer names neither an audience nor a token_type".into());
        }
        claims.aud.push(assumed.to_owned());
    }
    let expect = Expect::<Arc<str>> {
        issuer: profile.issuer.as_str(),
        // Each API looks for itself among them, on every use.
        audiences: &claims
            .aud
            .iter()
            .map(|aud| aud.as_str().into())
            .collect::<Vec<_>>(),
        typ: &[],
        typ_may_be_absent: true,
        require: &profile.required_claims,
        max_lifetime: profile.max_lifetime,
        leeway: Leeway(profile.leeway),
    };
    jwt::check(&claims, None, &expect, now).map_err(|defect| defect.to_string())?;
    let verified = super::jwt::claims::verified(&claims, hash, profile, None)?;
    if kind.as_deref() == Some("dpop") && !matches!(verified.binding, Some(Binding::Jkt(_))) {
        return Err("its issuer calls it bound to a key and names none".into());
    }
    Ok(verified)
}

/// A text that goes to an issuer, and which.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    text: &'a str,
    profile: &'a IssuerProfile,
}

/// The issuer of a text that is nothing else: the one whose prefix it has.
pub(super) fn asked<'a>(text: &'a [u8], api: &'a Api) -> Option<Asked<'a>> {
    let trusted = || {
        let rules =
            |profile: &'a Arc<IssuerProfile>| Some((profile, profile.introspection.as_ref()?));
        api.issuers.iter().filter_map(rules)
    };
    trusted().next()?;
    if text.len() > MAX_TOKEN_BYTES || is_jose(text) || paseto::looks_like(text) {
        return None;
    }
    // A key is never handed out, wherever it is sent.
    if apikey::foreign(text, api).is_some() {
        return None;
    }
    // Another installation of Doorward may have our brand: where the API trusts that and not us, a
    // written prefix may say so of tokens. Any other text of our brand stays here.
    let branded = apikey::is_branded(text, &api.brand);
    if branded
        && (!opaque::is_named(text, &api.brand) || api.issuers.iter().any(|issuer| issuer.own))
    {
        return None;
    }
    let text = core::str::from_utf8(text).ok()?;
    let (profile, _) = trusted().find(|(_, rules)| {
        let prefixes = &rules.token_prefixes;
        (prefixes.is_empty() && !branded)
            || prefixes.iter().any(|prefix| text.starts_with(&**prefix))
    })?;
    Some(Asked { text, profile })
}

/// Whether a text has the form of a signed or encrypted JWT: parts of which the first is an object.
fn is_jose(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'.');
    let first = parts.next().unwrap_or_default();
    matches!(parts.count(), 2 | 4)
        && base64url::decode(first).is_ok_and(|header| header.first() == Some(&b'{'))
}

/// Learns what a token stands for, judges that for an API, and that its sender is the one it was
/// given to.
pub(super) async fn prove(
    asked: Asked<'_>,
    sent: Sent<'_>,
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    let Asked { text, profile } = asked;
    let hash = TokenHash::of(text.as_bytes());
    let verified = facts
        .introspected(text, &hash, profile, now)
        .await?
        .map_err(|cause| refused(&*cause))?;
    let shown = Shown {
        text: text.as_bytes(),
        sent,
        head,
        route,
    };
    super::jwt::finish(
        CredentialKind::Opaque,
        &verified,
        profile,
        shown,
        facts,
        now,
    )
    .await
}
