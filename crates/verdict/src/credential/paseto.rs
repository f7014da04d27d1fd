//! **PASETO** (version 4): access tokens in another form than a JWT, of our own issuer
//! (`v4.public`) and of foreign ones under the same profile as their JWTs (`v4.public`, and
//! `v4.local` where both sides hold one key).
//!
//! Only the way to the claims is another: from there on all forms are judged by the same function,
//! on every use. A PASETO has no type, so its key says what it is for: the keys that are asked here
//! make access tokens and nothing else, and what an ID token has refuses it all the same.

use std::sync::Arc;

use proof::digest::TokenHash;
use proof::jose::jwt::Expect;
use proof::paseto::{self, MAX_TOKEN_BYTES};
use proof::time::{Leeway, Timestamp};

use super::binding::Sent;
use super::jwt::{self, IssuerProfile, Shown, VerifiedToken};
use super::{CredentialKind, Proved, refused};
use crate::call::Head;
use crate::facts::Facts;
use crate::identity::SecretId;
use crate::problem::Problem;
use crate::route::{Api, Route};
use crate::trace::{Check, Note};

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
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refused("the token is too long"));
    }
    let hash = TokenHash::of(token);
    let (profile, verified) = match jwt::known(&hash, api, |profile| profile.config, facts) {
        Some(known) => known,
        None => {
            let (profile, verified) = verify(token, &hash, api, facts, now)?;
            let verified = Arc::new(verified);
            facts.remember_token(hash, profile.config, verified.clone());
            (profile, verified)
        }
    };
    let shown = Shown {
        text: token,
        sent,
        head,
        route,
    };
    jwt::finish(
        CredentialKind::Paseto,
        &verified,
        profile,
        shown,
        facts,
        now,
    )
    .await
}

/// Verifies a token that was never seen under its issuer's present configuration.
fn verify<'a>(
    token: &[u8],
    hash: &TokenHash,
    api: &'a Api,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(&'a IssuerProfile, VerifiedToken), Problem> {
    let claimed = paseto::split(token).map_err(|defect| refused(defect.code()))?;
    facts.note(Note::Check(Check::TokenKey));
    // What is encrypted names no issuer, so the key does: by its id, or as the only one.
    let mut owners: Vec<&IssuerProfile> = Vec::new();
    let mut key = None;
    for profile in &api.issuers {
        let found = facts.paseto_key(profile, claimed.key_id(), claimed.purpose())?;
        if let Some(found) = found {
            owners.push(profile);
            key.get_or_insert(found);
        }
    }
    let key = key.ok_or_else(|| refused("no issuer that the API trusts has such a key"))?;
    if owners.len() > 1 && claimed.key_id().is_none() {
        return Err(refused("the token names no key, and there are several"));
    }
    facts.note(Note::Check(Check::TokenSeal));
    let payload = claimed
        .open(&key, &[])
        .map_err(|defect| refused(defect.code()))?;
    let claims = payload.claims().map_err(|defect| refused(defect.code()))?;
    facts.note(Note::Check(Check::Issuer));
    // A key may speak for its own issuer only (threat C13).
    let profile = owners
        .into_iter()
        .find(|profile| claims.iss.as_deref() == Some(profile.issuer.as_str()))
        .ok_or_else(|| refused("the token is of another issuer than its key"))?;
    facts.note(Note::Check(Check::Claims));
    let expect = Expect {
        issuer: profile.issuer.as_str(),
        audiences: &api.audiences,
        typ: &profile.types,
        typ_may_be_absent: true,
        require: &profile.required_claims,
        max_lifetime: profile.max_lifetime,
        leeway: Leeway(profile.leeway),
    };
    paseto::check(&claims, &expect, now).map_err(|defect| refused(defect.code()))?;
    jwt::claims::refuse_untyped(&claims, profile).map_err(refused)?;
    let made_by = Some(name_of(&key));
    let verified = jwt::claims::verified(&claims, hash, profile, made_by).map_err(refused)?;
    Ok((profile, verified))
}

/// A public key is named as every other, so that it is found among our own; what both sides hold has
/// no public half, and PASERK's id of it.
fn name_of(key: &paseto::Key) -> SecretId {
    match key {
        paseto::Key::Public(key) => SecretId::of_key(key),
        paseto::Key::Local(key) => SecretId::new(key.id()),
    }
}
