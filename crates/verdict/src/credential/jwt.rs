//! **JWT**: RFC 9068 access tokens of our own issuer and of foreign ones under a profile.
//!
//! A token seen before costs one hash and no signature, but its times, audience and revocation are
//! judged on every use (threat C6). Nothing of a token is believed before its signature holds,
//! except `iss` and `kid` as keys of maps: they choose which key may speak, never how.
//!
//! Where an API asks for it, a token comes encrypted to a key of that API (RFC 7516). It is opened
//! once, and what is in it is judged like any other; it is known by its outer text, and only where
//! the same keys open it.

pub(super) mod claims;

use core::time::Duration;
use std::sync::Arc;

use proof::digest::TokenHash;
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{self, DecryptionKeys};
use proof::jose::jws::{self, MAX_TOKEN_BYTES};
use proof::jose::jwt::{self, Claims, Expect};
use proof::time::{Leeway, Timestamp};

use super::binding::{self, Binding, Sent};
use super::client_jwt;
use super::introspection::IntrospectionProfile;
use super::{CredentialKind, Proved, refused};
use crate::call::Head;
use crate::facts::Facts;
use crate::identity::{SecretId, Standing, text_id};
use crate::problem::Problem;
use crate::route::{Api, Route};
use crate::trace::{Check, Note};

text_id!(
    /// An issuer identifier (RFC 8414 §2), compared exactly.
    IssuerId
);

/// Names one version of an issuer's profile: part of the key of the cache of verified tokens, so
/// that a token verified under older settings is verified again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConfigId(pub u64);

impl ConfigId {
    /// Of everything that the judging depends on, written as one text.
    pub fn of(everything: &str) -> Self {
        let digest = proof::digest::sha256(everything.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// Of the same, and of the keys that opened the token before it was verified.
    fn under(self, keys: Option<&DecryptionKeys>) -> Self {
        Self(self.0 ^ keys.map_or(0, DecryptionKeys::version))
    }
}

/// How tokens of one issuer are judged.
#[derive(Debug, Clone)]
pub struct IssuerProfile {
    /// The configuration's version (a hash of everything below).
    pub config: ConfigId,
    /// Exact `iss`.
    pub issuer: IssuerId,
    /// Whether it is our own issuer (keys from the store, revocation pushed).
    pub own: bool,
    /// Algorithms its keys may be pinned to. Never empty, never HMAC.
    pub algorithms: Vec<Algorithm>,
    /// Accepted `typ`, e.g. `at+jwt`. `JWT` only together with `access_token_guards`.
    pub types: Vec<Arc<str>>,
    /// With `typ: JWT`: claims that an ID token never has, of which one must be present
    /// (e.g. `scp`, `scope`, `client_id`, `azp` …). `nonce`/`at_hash` refuse.
    pub access_token_guards: Vec<Arc<str>>,
    /// Claims that must be present besides `iss`, `aud`, `exp`.
    pub required_claims: Vec<Arc<str>>,
    /// Longest `exp − iat` accepted (needs `iat`).
    pub max_lifetime: Option<Duration>,
    /// Clock leeway for this issuer.
    pub leeway: Duration,
    /// Claim paths (dots descend) whose values become scopes; a string is split at spaces.
    pub scope_claims: Vec<Arc<str>>,
    /// Claim paths whose values become roles.
    pub role_claims: Vec<Arc<str>>,
    /// Claim path of the tenant.
    pub tenant_claim: Option<Arc<str>>,
    /// Claims forwarded to upstreams, by allow-list.
    pub forward_claims: Vec<Arc<str>>,
    /// How its opaque tokens are known, if it is asked about them.
    pub introspection: Option<IntrospectionProfile>,
}

/// A token whose signature and claims held once. Times and audience are judged on every use.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    /// The profile it was verified under.
    pub config: ConfigId,
    /// Its issuer.
    pub issuer: IssuerId,
    /// `aud`.
    pub audiences: Vec<Box<str>>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `jti`.
    pub token_id: Option<Box<str>>,
    /// `grant_id` of our own issuer's tokens: what a person allowed, ended as one.
    pub grant_id: Option<Box<str>>,
    /// What the token is bound to (`cnf`), if it is: then it must come with the proof of that.
    pub binding: Option<Binding>,
    /// Which key of the issuer signed or encrypted it; none where no key did.
    pub made_by: Option<SecretId>,
    /// What it stands for.
    pub standing: Arc<Standing>,
}

/// Verifies a token for an API, and that its sender is the one it was given to.
pub(super) async fn prove(
    token: &[u8],
    sent: Sent<'_>,
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    let api = &*route.api;
    let keys = opened_by(token, api, facts)?;
    // Before hashing: what no verification would take costs no hash (threat C5).
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refused("the token is too long"));
    }
    let hash = TokenHash::of(token);
    // An issuer serves many APIs: what was opened for one of them is not known at another.
    let under = |profile: &IssuerProfile| profile.config.under(keys.as_deref());
    let (profile, verified) = match known(&hash, api, under, facts) {
        Some(known) => known,
        None => {
            // Apart: a token that is known needs no room for what a new one waits for.
            let (profile, verified) = match &keys {
                None => Box::pin(verify(token, &hash, api, facts, now)).await?,
                Some(keys) => {
                    Box::pin(open_and_verify(token, keys, &hash, api, facts, now)).await?
                }
            };
            let verified = Arc::new(verified);
            facts.remember_token(hash, verified.config, verified.clone());
            (profile, verified)
        }
    };
    let shown = Shown {
        text: token,
        sent,
        head,
        route,
    };
    finish(CredentialKind::Jwt, &verified, profile, shown, facts, now).await
}

/// A token that was verified before for one of the API's issuers, under the configuration that
/// `under` names.
pub(super) fn known<'a>(
    hash: &TokenHash,
    api: &'a Api,
    under: impl Fn(&IssuerProfile) -> ConfigId,
    facts: &impl Facts,
) -> Option<(&'a IssuerProfile, Arc<VerifiedToken>)> {
    api.issuers.iter().find_map(|profile| {
        let config = under(profile);
        let known = facts.known_token(hash, config)?;
        (known.config == config).then_some((&**profile, known))
    })
}

/// An access token as it was sent.
pub(super) struct Shown<'a> {
    pub(super) text: &'a [u8],
    pub(super) sent: Sent<'a>,
    pub(super) head: &'a Head,
    pub(super) route: &'a Route,
}

/// What every access token ends in, whatever its form and however its claims were had: it is judged
/// for the API, and then that its sender is the one it was given to.
pub(super) async fn finish(
    kind: CredentialKind,
    verified: &VerifiedToken,
    profile: &IssuerProfile,
    shown: Shown<'_>,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    let Shown {
        text,
        sent,
        head,
        route,
    } = shown;
    let proved = judge(kind, verified, profile, &route.api, facts, now)?;
    // After the token: a proof says who sends it, and that matters for a good token only.
    facts.note(Note::Check(Check::Binding));
    let (bound, rules) = (verified.binding.as_ref(), route.sender);
    if let Some(unspent) = binding::judge(bound, sent, text, head, rules, facts, now)? {
        // Apart, so that tokens without a proof need no room for it.
        Box::pin(unspent.spend(facts, now)).await?;
    }
    Ok(proved)
}

/// The keys that open this token, where it is one to be opened: whether a JWT comes encrypted is
/// judged on every use, before anything that is known of it.
fn opened_by(
    token: &[u8],
    api: &Api,
    facts: &impl Facts,
) -> Result<Option<Arc<DecryptionKeys>>, Problem> {
    if let Some(rules) = api.encryption {
        facts.note(Note::Check(Check::Encryption));
        if jwe::looks_like(token) {
            return Ok(Some(facts.decryption_keys(&api.name)?));
        }
        if rules.required {
            return Err(refused("the token is not encrypted"));
        }
    }
    facts.note(Note::Check(Check::TokenShape));
    Ok(None)
}

/// What is judged on every use, cached or not: everything that time or a person may change.
/// All of it is local and cheap; revocation stands last because only a token that would pass
/// needs the question. Tokens of every form are judged here.
fn judge(
    kind: CredentialKind,
    token: &VerifiedToken,
    profile: &IssuerProfile,
    api: &Api,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    let leeway = Leeway(profile.leeway);
    facts.note(Note::Check(Check::Times));
    jwt::within(token.expires_at, token.not_before, now, leeway)
        .map_err(|defect| refused(defect.code()))?;
    if token.issued_at.is_some_and(|at| at > now.plus(leeway.0)) {
        return Err(refused("the token was issued in the future"));
    }
    // The cache knows tokens by issuer, and an issuer serves many APIs (threat C4).
    facts.note(Note::Check(Check::Audience));
    let ours = |aud: &&str| api.audiences.iter().any(|own| **own == **aud);
    if !token.audiences.iter().any(|aud| ours(&&**aud)) {
        return Err(refused("the token is for another audience"));
    }
    facts.note(Note::Check(Check::Revocation));
    if facts.revoked(token)? {
        return Err(refused(format!(
            "the token {} is revoked",
            token.standing.credential
        )));
    }
    // Another issuer's clients are not ours, however they are called.
    if profile.own
        && let Some(client) = &token.standing.client
    {
        client_jwt::is_awake(client, facts)?;
    }
    Ok(Proved {
        kind,
        standing: token.standing.clone(),
        expires_at: Some(token.expires_at),
        ends: Some(token.expires_at.plus(leeway.0)),
        issuer: Some(token.issuer.clone()),
        secret: token.made_by.clone(),
    })
}

/// Opens a token that was never seen under these keys, and verifies what is in it.
async fn open_and_verify<'a>(
    token: &[u8],
    keys: &DecryptionKeys,
    hash: &TokenHash,
    api: &'a Api,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(&'a IssuerProfile, VerifiedToken), Problem> {
    facts.note(Note::Check(Check::Decryption));
    let nested = keys.open(token).map_err(|defect| refused(defect.code()))?;
    // What is in it is signed, and never encrypted once more.
    facts.note(Note::Check(Check::TokenShape));
    let (profile, verified) = verify(nested.expose(), hash, api, facts, now).await?;
    let config = profile.config.under(Some(keys));
    Ok((profile, VerifiedToken { config, ..verified }))
}

/// Verifies a token that was never seen under its issuer's present configuration.
async fn verify<'a>(
    token: &[u8],
    hash: &TokenHash,
    api: &'a Api,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(&'a IssuerProfile, VerifiedToken), Problem> {
    // Bounds, shape and header first: nothing is fetched for what is no token at all.
    let unverified = jws::split(token).map_err(|defect| refused(defect.code()))?;
    facts.note(Note::Check(Check::Issuer));
    let issuer = jwt::claimed_issuer(unverified.unverified_payload())
        .ok_or_else(|| refused("the token names no issuer"))?;
    // The issuer before the key: a key may speak for its own issuer only (threat C13).
    let profile = api
        .issuers
        .iter()
        .find(|profile| profile.issuer.as_str() == issuer)
        .ok_or_else(|| refused("the token is of an issuer that the API does not trust"))?;
    // The header's algorithm only selects among the keys that are pinned to it (threat C1).
    facts.note(Note::Check(Check::Algorithm));
    let algorithm = Algorithm::from_name(unverified.alg_name())
        .filter(|algorithm| profile.algorithms.contains(algorithm))
        .ok_or_else(|| refused("the token's algorithm is not accepted"))?;
    facts.note(Note::Check(Check::VerificationKey));
    let key = facts
        .verification_key(profile, unverified.kid(), algorithm)
        .await?
        .ok_or_else(|| refused("the issuer has no such key"))?;
    facts.note(Note::Check(Check::Signature));
    let payload = unverified
        .verify(&key)
        .map_err(|defect| refused(defect.code()))?;
    facts.note(Note::Check(Check::Claims));
    let claims = Claims::parse(&payload).map_err(|defect| refused(defect.code()))?;
    let expect = Expect {
        issuer: profile.issuer.as_str(),
        audiences: &api.audiences,
        typ: &profile.types,
        typ_may_be_absent: false,
        require: &profile.required_claims,
        max_lifetime: profile.max_lifetime,
        leeway: Leeway(profile.leeway),
    };
    jwt::check(&claims, payload.typ(), &expect, now).map_err(|defect| refused(defect.code()))?;
    claims::refuse_other_tokens(&claims, payload.typ(), profile).map_err(refused)?;
    let made_by = Some(SecretId::of_key(&key));
    let verified = claims::verified(&claims, hash, profile, made_by).map_err(refused)?;
    Ok((profile, verified))
}
