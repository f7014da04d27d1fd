//! **Client-signed JWT**: a registered client signs one JWT for each call, with its own key, and
//! asks no token endpoint ([`proof::client_call`]).
//!
//! Its key is one of those under which the client is registered, or one that an authority of the
//! client's certifies, by a chain of certificates in the header. A client is declared for one of the
//! two, and the other is refused: so no registered key that was forgotten passes where certificates
//! are asked for. Either way a client speaks for itself alone (threat C13), and a change of keys
//! touches no API. What it may do is what it could get a token for by client credentials, and no more.
//! Nothing is remembered of such a JWT but its `jti`: it is used once, and the replay memory is asked
//! last, so that strangers can't spend a client's ids (threat D2).

use std::sync::Arc;

use ipnet::IpNet;
use proof::client_call::{self, CallExpect};
use proof::digest::TokenHash;
use proof::issued::Environment;
use proof::jose::alg::Algorithm;
use proof::jose::jws::{self, MAX_TOKEN_BYTES, Unverified};
use proof::jose::jwt;
use proof::jose::verifying::VerifyingKey;
use proof::request::BodyDigest;
use proof::time::{Leeway, Timestamp};
use proof::x509::{Certificate, SignerChain};

use super::jwt::ConfigId;
use super::mtls::{self, Authority, AuthorityId, Holder, NamePattern, VerifiedCertificate};
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

/// A client that may sign its own calls. Its registered keys are a fact of their own.
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
    /// Networks it may call from; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// Algorithms that its profile lets it sign with.
    pub algorithms: Vec<Algorithm>,
    /// Who certifies its keys. With them no registered key signs calls; without them no certificate
    /// does.
    pub certificates: Option<CallCertificates>,
}

/// Whose certificates say which keys are a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCertificates {
    /// Its version (a hash of everything that judges).
    pub config: ConfigId,
    /// Who must vouch.
    pub authority: AuthorityId,
    /// The one name that is the client's.
    pub name: NamePattern,
}

/// What a call must be signed with.
struct Signer {
    key: VerifyingKey,
    /// What records call it.
    credential: CredentialId,
    /// When it ends by itself.
    ends: Option<Timestamp>,
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
    let unverified = jws::split_certified(token).map_err(|defect| refused(defect.code()))?;
    if unverified.brings_uncertified_key() {
        return Err(refused(BRINGS_KEY));
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
    let signer = match &client.certificates {
        None => registered(&unverified, &client, algorithm, facts).await?,
        Some(rules) => certified(&unverified, &client, rules, algorithm, facts, now).await?,
    };
    facts.note(Note::Check(Check::Signature));
    let payload = unverified
        .verify(&signer.key)
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
    is_awake(&client.client, facts)?;
    let scopes = scopes(&client, &api.name, call.scopes.as_deref())?;
    let ends = call.expires_at.plus(expect.leeway.0);
    let before = |end: Timestamp| signer.ends.map_or(end, |own| own.min(end));
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
            credential: signer.credential,
            application: Some(client.application.clone()),
            client: Some(client.client.clone()),
            scopes,
            roles: client.roles.clone(),
            apis: ApiAllow::Listed(client.grants.iter().map(|(api, _)| api.clone()).collect()),
            environment: Some(client.environment),
            tenant: None,
            networks: client.networks.clone(),
            origins: Vec::new(),
            claims: serde_json::Map::new(),
        }),
        expires_at: Some(before(call.expires_at)),
        ends: Some(before(ends)),
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

const BRINGS_KEY: &str = "the header brings a key along";

/// Whether a client of ours is not suspended: asked once the credential is known to be its, so that
/// a stranger learns nothing of its state.
pub(crate) fn is_awake(client: &ClientId, facts: &impl Facts) -> Result<(), Problem> {
    facts.note(Note::Check(Check::ClientLife));
    if facts.suspended(client) {
        return Err(refused(format!("the client {client} is suspended")));
    }
    Ok(())
}

/// The key of that name under which the client is registered.
async fn registered(
    unverified: &Unverified<'_>,
    client: &CallingClient,
    algorithm: Algorithm,
    facts: &impl Facts,
) -> Result<Signer, Problem> {
    facts.note(Note::Check(Check::VerificationKey));
    if unverified.brings_key() {
        return Err(refused(BRINGS_KEY));
    }
    let kid = unverified
        .kid()
        .ok_or_else(|| refused("the token names no key"))?;
    let key = facts
        .client_key(client, kid, algorithm)
        .await?
        .ok_or_else(|| refused("the client has no such key"))?;
    Ok(Signer {
        // Marked, so that no client can name a key like one of ours.
        credential: CredentialId::new(SecretId::of_key(&key).shared()),
        key: VerifyingKey::clone(&key),
        ends: None,
    })
}

/// The key of the first certificate in the header, once the client's authority vouches for it
/// (RFC 7515 §4.1.6). A `kid` beside it names nothing.
async fn certified(
    unverified: &Unverified<'_>,
    client: &CallingClient,
    rules: &CallCertificates,
    algorithm: Algorithm,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Signer, Problem> {
    facts.note(Note::Check(Check::Authority));
    let chain = unverified
        .signer_chain()
        .map_err(|defect| refused(defect.code()))?
        .ok_or_else(|| refused("the header holds no certificate"))?;
    let hash = TokenHash::of(chain.leaf());
    let id = &rules.authority;
    let verified = mtls::held(&hash, rules.config, id, facts, now, |authority| {
        verify(&chain, client, rules, authority, now)
    })
    .await?;
    facts.note(Note::Check(Check::CertifiedKey));
    let Holder::Signer(keys) = &verified.holder else {
        return Err(refused("the certificate is known for another use"));
    };
    let key = keys
        .iter()
        .find(|key| key.alg() == algorithm)
        .ok_or_else(|| refused("the certificate's key is for another algorithm"))?;
    Ok(Signer {
        key: key.clone(),
        credential: mtls::credential(&hash),
        ends: Some(verified.ends()),
    })
}

/// Whether the authority vouches that the chain's first key is this client's, to sign with.
fn verify(
    chain: &SignerChain,
    client: &CallingClient,
    rules: &CallCertificates,
    authority: &Authority,
    now: Timestamp,
) -> Result<VerifiedCertificate, Problem> {
    // Before the path is searched for, which costs signatures.
    chain.in_order().map_err(|defect| refused(defect.code()))?;
    let certificate = Certificate::parse(chain.leaf()).map_err(|defect| refused(defect.code()))?;
    let trusted = certificate
        .verify_chain(
            chain.above(),
            &authority.roots,
            authority.revocation.as_ref(),
            now,
        )
        .map_err(|defect| refused(format!("{}: {}", defect.code(), certificate.subject_dn())))?;
    rules.name.find(trusted.certificate()).ok_or_else(|| {
        let id = &client.client;
        refused(format!("the certificate does not have the name of {id}"))
    })?;
    if !certificate.may_sign() {
        return Err(refused("the certificate's key is not for signatures"));
    }
    let keys = certificate
        .public_key()
        .and_then(|key| key.verifying_keys(&client.algorithms))
        .map_err(|defect| refused(defect.code()))?;
    let holder = Holder::Signer(keys);
    Ok(VerifiedCertificate::new(&trusted, authority, holder, now))
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
