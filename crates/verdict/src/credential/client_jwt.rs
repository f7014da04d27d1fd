//! **Client-signed JWT**: a registered client signs one JWT for each call, with its own key, and
//! asks no token endpoint ([`proof::client_call`]).
//!
//! Its key is one of those under which the client is registered, so a client speaks for itself alone
//! (threat C13), and a change of keys touches no API. What it may do is what it could get a token
//! for by client credentials, and no more. Nothing is remembered of such a JWT but its `jti`: it is
//! used once, and the replay memory is asked last, so that strangers can't spend a client's ids
//! (threat D2).

use std::sync::Arc;

use proof::client_call::{self, CallExpect};
use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use proof::jose::jws::{self, MAX_TOKEN_BYTES};
use proof::jose::jwt;
use proof::request::BodyDigest;
use proof::time::{Leeway, Timestamp};

use super::{CredentialKind, Proved, binding, refused};
use crate::call::Head;
use crate::facts::{Facts, FirstUse, ReplayScope};
use crate::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, Principal, RoleName, Scopes, SecretId,
    Standing,
};
use crate::problem::Problem;
use crate::route::{Api, ApiName};
use crate::trace::{Check, Note};

/// A client that may sign its own calls. Its keys are a fact of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallingClient {
    /// Who it is.
    pub client: ClientId,
    /// The application it belongs to.
    pub application: ApplicationId,
    /// The wall it stands behind.
    pub environment: Environment,
    /// What it may do, by API; an API that is not listed is not granted.
    pub grants: Vec<(ApiName, Scopes)>,
    /// Its roles.
    pub roles: Vec<RoleName>,
    /// Algorithms that its profile lets it sign with.
    pub algorithms: Vec<Algorithm>,
}

/// Verifies a call's JWT for an API. Also what the body must be, where the JWT says so.
pub(super) async fn prove(
    token: &[u8],
    head: &Head,
    api: &Api,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<(Proved, Option<BodyDigest>), Problem> {
    facts.note(Note::Check(Check::TokenShape));
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refused("the token is too long"));
    }
    let unverified = jws::split(token).map_err(|defect| refused(defect.code()))?;
    if unverified.brings_key() {
        return Err(refused("the header brings a key along"));
    }
    facts.note(Note::Check(Check::CallingClient));
    // Unverified, and read for one purpose: to know whose keys to ask. It is compared again once the
    // signature holds.
    let claimed = jwt::claimed_issuer(unverified.unverified_payload())
        .ok_or_else(|| refused("the token names no issuer"))?;
    let client = facts
        .calling_client(&claimed)?
        .ok_or_else(|| refused("no client of this id signs its calls"))?;
    facts.note(Note::Check(Check::Algorithm));
    let algorithm = unverified
        .alg()
        .filter(|algorithm| client.algorithms.contains(algorithm))
        .ok_or_else(|| refused("the token's algorithm is not accepted"))?;
    facts.note(Note::Check(Check::VerificationKey));
    let kid = unverified
        .kid()
        .ok_or_else(|| refused("the token names no key"))?;
    let key = facts
        .client_key(&client, kid, algorithm)
        .await?
        .ok_or_else(|| refused("the client has no such key"))?;
    facts.note(Note::Check(Check::Signature));
    let payload = unverified
        .verify(&key)
        .map_err(|defect| refused(defect.code()))?;
    facts.note(Note::Check(Check::CallClaims));
    let expect = CallExpect {
        client: client.client.as_str(),
        audiences: &api.audiences,
        method: head.method().as_str(),
        uri: &binding::address(head),
        query: head.query(),
        leeway: Leeway::default(),
    };
    let call = client_call::judge(&payload, &expect, now).map_err(|defect| {
        let (code, id) = (defect.code(), &client.client);
        refused(format!("{code}: {defect} ({id})"))
    })?;
    let scopes = scopes(&client, &api.name, call.scopes.as_deref())?;
    let ends = call.expires_at.plus(expect.leeway.0);
    facts.note(Note::Check(Check::TokenReplay));
    let scope = ReplayScope::ClientCall {
        client: client.client.as_str(),
    };
    match facts.first_use(scope, &call.jti, ends, now).await? {
        FirstUse::Yes => {}
        FirstUse::Replayed => {
            let id = &client.client;
            return Err(refused(format!("the token was used before ({id})")));
        }
    }
    let proved = Proved {
        kind: CredentialKind::ClientJwt,
        standing: Arc::new(Standing {
            principal: Principal::Client(client.client.clone()),
            // Marked, so that no client can name a key like one of ours.
            credential: CredentialId::new(SecretId::of_key(&key).shared()),
            application: Some(client.application.clone()),
            client: Some(client.client.clone()),
            scopes,
            roles: client.roles.clone(),
            apis: ApiAllow::Listed(client.grants.iter().map(|(api, _)| api.clone()).collect()),
            environment: Some(client.environment),
            tenant: None,
            networks: Vec::new(),
            origins: Vec::new(),
            claims: serde_json::Map::new(),
        }),
        expires_at: Some(call.expires_at),
        ends: Some(ends),
        // The same principal, and the same budget, as with a token of our issuer.
        issuer: api
            .issuers
            .iter()
            .find(|profile| profile.own)
            .map(|profile| profile.issuer.clone()),
        // The key is the credential.
        secret: None,
    };
    Ok((proved, call.body_sha256.map(BodyDigest::Sha256)))
}

/// What the client holds for the API, or of that what it asks for. For more it is refused, as at the
/// token endpoint. Where the API is not granted at all, the list of APIs says so.
fn scopes(
    client: &CallingClient,
    api: &ApiName,
    asked: Option<&[String]>,
) -> Result<Scopes, Problem> {
    let held = client.grants.iter().find(|(name, _)| name == api);
    let held = held.map(|(_, scopes)| scopes.clone()).unwrap_or_default();
    match asked {
        None => Ok(held),
        Some(asked) if asked.iter().all(|scope| held.contains(scope)) => {
            Ok(Scopes::new(asked.iter().map(String::as_str)))
        }
        Some(_) => Err(refused("a scope that the client does not hold")),
    }
}
