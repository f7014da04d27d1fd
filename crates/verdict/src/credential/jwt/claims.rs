//! **From claims to a standing**: what a verified token says of its holder, by the issuer's profile.
//!
//! A claim of the wrong JSON type refuses the token: nothing is converted, and a scope that can't
//! be read is not read as *no scope*.

use std::sync::Arc;

use proof::digest::TokenHash;
use proof::issued::Environment;
use proof::jose::jwt::Claims;
use serde_json::{Map, Value};

use super::{Binding, IssuerProfile, VerifiedToken};
use crate::identity::{
    ApiAllow, ApplicationId, ClientId, CredentialId, Principal, RoleName, Scopes, SecretId,
    Standing, SubjectId, TenantId,
};

/// Claims of ID tokens (OpenID Connect Core §2, §3.3.2.11) and logout tokens (Back-Channel Logout
/// §2.4) that an access token has no use for.
const NOT_OF_ACCESS_TOKENS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];

/// Tells other tokens of the same issuer apart where `typ` does not (threat C4): many issuers sign
/// ID tokens and access tokens alike as `JWT`.
pub(super) fn refuse_other_tokens(
    claims: &Claims,
    typ: Option<&str>,
    profile: &IssuerProfile,
) -> Result<(), String> {
    if !typ.is_some_and(|typ| {
        typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("application/JWT")
    }) {
        return Ok(());
    }
    if let Some(name) = NOT_OF_ACCESS_TOKENS
        .iter()
        .find(|name| claims.extra.contains_key(**name))
    {
        return Err(format!("the token has {name} and so is no access token"));
    }
    if !profile
        .access_token_guards
        .iter()
        .any(|name| is_present(claims, name))
    {
        return Err("the token has no claim that tells it from an ID token".into());
    }
    Ok(())
}

/// The same for tokens of a form that has no type: what only an ID token has refuses them, and so
/// does the lack of a guard where the issuer has guards.
pub(in crate::credential) fn refuse_untyped(
    claims: &Claims,
    profile: &IssuerProfile,
) -> Result<(), String> {
    if let Some(name) = NOT_OF_ACCESS_TOKENS
        .iter()
        .find(|name| claims.extra.contains_key(**name))
    {
        return Err(format!("the token has {name} and so is no access token"));
    }
    let guards = &profile.access_token_guards;
    if !guards.is_empty() && !guards.iter().any(|name| is_present(claims, name)) {
        return Err("the token has no claim that tells it from an ID token".into());
    }
    Ok(())
}

/// The token as it is remembered. Times and audience were checked; they come along to be judged on
/// every use.
pub(in crate::credential) fn verified(
    claims: &Claims,
    hash: &TokenHash,
    profile: &IssuerProfile,
    made_by: Option<SecretId>,
) -> Result<VerifiedToken, String> {
    Ok(VerifiedToken {
        config: profile.config,
        issuer: profile.issuer.clone(),
        audiences: claims.aud.iter().map(|aud| aud.as_str().into()).collect(),
        expires_at: claims.exp.ok_or("the token has no exp")?,
        not_before: claims.nbf,
        issued_at: claims.iat,
        token_id: claims.jti.as_deref().map(Into::into),
        grant_id: match claims.extra.get("grant_id") {
            Some(Value::String(id)) if profile.own => Some(id.as_str().into()),
            Some(_) if profile.own => return Err("the grant_id is not a text".into()),
            _ => None,
        },
        binding: claims.extra.get("cnf").map(Binding::read).transpose()?,
        made_by,
        standing: Arc::new(standing(claims, hash, profile)?),
    })
}

fn standing(
    claims: &Claims,
    hash: &TokenHash,
    profile: &IssuerProfile,
) -> Result<Standing, String> {
    let (principal, client) = if profile.own {
        own_principal(claims)?
    } else {
        foreign_principal(claims)?
    };
    let mut scopes: Vec<Arc<str>> = Vec::new();
    for path in &profile.scope_claims {
        match value(claims, path) {
            None => {}
            // RFC 8693 §4.2: divided by spaces.
            Some(Claim::Text(text)) => scopes.extend(
                text.split(' ')
                    .filter(|scope| !scope.is_empty())
                    .map(Arc::from),
            ),
            Some(Claim::Other(list)) => {
                scopes.extend(texts(list, path)?.into_iter().map(Arc::from))
            }
        }
    }
    let mut roles: Vec<RoleName> = Vec::new();
    for path in &profile.role_claims {
        match value(claims, path) {
            None => {}
            Some(Claim::Text(role)) => roles.push(RoleName::new(role)),
            Some(Claim::Other(list)) => {
                roles.extend(texts(list, path)?.into_iter().map(RoleName::new))
            }
        }
    }
    roles.sort();
    roles.dedup();
    let tenant = match profile
        .tenant_claim
        .as_deref()
        .and_then(|path| value(claims, path))
    {
        None => None,
        Some(Claim::Text(tenant)) => Some(TenantId::new(tenant)),
        Some(Claim::Other(_)) => return Err("the tenant is not a text".into()),
    };
    let mut forwarded = Map::new();
    for path in &profile.forward_claims {
        match value(claims, path) {
            None => {}
            Some(Claim::Text(text)) => {
                forwarded.insert(path.to_string(), Value::from(text));
            }
            Some(Claim::Other(other)) => {
                forwarded.insert(path.to_string(), other.clone());
            }
        }
    }
    Ok(Standing {
        principal,
        credential: CredentialId::new(match &claims.jti {
            // Marked, so that no issuer can name a token like one of our keys.
            Some(jti) => format!("jti:{jti}"),
            // The hash is public by nature (256 bits of a signed text) and names the token as well.
            None => format!("sha256:{hash}"),
        }),
        application: if profile.own {
            application(claims)?
        } else {
            None
        },
        client,
        scopes: Scopes::new(scopes),
        roles,
        apis: ApiAllow::ByAudience,
        environment: if profile.own {
            Some(environment(claims)?)
        } else {
            None
        },
        tenant,
        networks: Vec::new(),
        origins: Vec::new(),
        claims: forwarded,
    })
}

/// RFC 9068 §2.2 demands both `sub` and `client_id`; they are equal where a client acts for itself
/// (our subjects are never equal to a client id).
fn own_principal(claims: &Claims) -> Result<(Principal, Option<ClientId>), String> {
    let sub = claims.sub.as_deref().ok_or("the token has no sub")?;
    let client = claims
        .client_id
        .as_deref()
        .ok_or("the token has no client_id")?;
    let principal = if sub == client {
        Principal::Client(ClientId::new(client))
    } else {
        Principal::User(SubjectId::new(sub))
    };
    Ok((principal, Some(ClientId::new(client))))
}

/// Issuers name the client in `client_id` (RFC 9068), `azp` (OpenID Connect) or `appid` (Entra ID
/// v1). A token about no one, or about one of these, is the client's own.
fn foreign_principal(claims: &Claims) -> Result<(Principal, Option<ClientId>), String> {
    let mut clients: Vec<&str> = claims.client_id.as_deref().into_iter().collect();
    for name in ["azp", "appid"] {
        match claims.extra.get(name) {
            None => {}
            Some(Value::String(id)) => clients.push(id),
            Some(_) => return Err(format!("{name} is not a text")),
        }
    }
    let client = clients.first().map(|id| ClientId::new(*id));
    let principal = match (&claims.sub, &client) {
        (Some(sub), _) if clients.contains(&sub.as_str()) => {
            Principal::Client(ClientId::new(sub.as_str()))
        }
        (Some(sub), _) => Principal::User(SubjectId::new(sub.as_str())),
        (None, Some(client)) => Principal::Client(client.clone()),
        (None, None) => return Err("the token names neither a subject nor a client".into()),
    };
    Ok((principal, client))
}

/// Our own tokens say which side of the wall they are for (`env`: `live` or `test`).
fn environment(claims: &Claims) -> Result<Environment, String> {
    claims
        .extra
        .get("env")
        .and_then(Value::as_str)
        .and_then(|name| Environment::from_name(name.as_bytes()))
        .ok_or_else(|| "the token names no environment".into())
}

/// Our own tokens name the application that the client belongs to.
fn application(claims: &Claims) -> Result<Option<ApplicationId>, String> {
    match claims.extra.get("application") {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(ApplicationId::new(id.as_str()))),
        Some(_) => Err("the application is not a text".into()),
    }
}

enum Claim<'a> {
    Text(&'a str),
    Other(&'a Value),
}

fn is_present(claims: &Claims, path: &str) -> bool {
    match value(claims, path) {
        None => false,
        Some(Claim::Text(_)) => true,
        Some(Claim::Other(value)) => !value.is_null(),
    }
}

/// The claim at a path, typed ones included.
fn value<'a>(claims: &'a Claims, path: &str) -> Option<Claim<'a>> {
    let typed = match path {
        "iss" => claims.iss.as_deref(),
        "sub" => claims.sub.as_deref(),
        "jti" => claims.jti.as_deref(),
        "client_id" => claims.client_id.as_deref(),
        "scope" => claims.scope.as_deref(),
        _ => None,
    };
    match typed {
        Some(text) => Some(Claim::Text(text)),
        None => descend(&claims.extra, path).map(|value| match value {
            Value::String(text) => Claim::Text(text),
            other => Claim::Other(other),
        }),
    }
}

/// Dots descend (`realm_access.roles`), but a whole name goes first: namespaced claims
/// (`https://example.com/roles`) have dots of their own.
fn descend<'a>(members: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = members.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let inner = members.get(&path[..dot])?.as_object()?;
        descend(inner, &path[dot + 1..])
    })
}

fn texts<'a>(list: &'a Value, path: &str) -> Result<Vec<&'a str>, String> {
    list.as_array()
        .and_then(|items| items.iter().map(Value::as_str).collect())
        .ok_or_else(|| format!("{path} is neither a text nor a list of texts"))
}
