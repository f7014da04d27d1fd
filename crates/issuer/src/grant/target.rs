//! **What a token is for**: `resource` (RFC 8707) and `scope` (RFC 6749 §3.3) of a request against
//! what the client is granted. Nothing is widened and nothing silently dropped: a request for more
//! than is granted is refused.

use core::time::Duration;
use std::sync::Arc;

use registry::client::IdentityScope;

use crate::access::Form;
use crate::declared::{GrantedApi, RegisteredClient};
use crate::error::{Outcome, Reason};
use crate::flow::Grant;
use crate::metadata::Endpoints;
use crate::params::{Params, RESOURCE};

/// Most resources in one request.
pub(crate) const MAX_RESOURCES: usize = 8;

/// Life of a token for UserInfo.
const USERINFO_LIFETIME: Duration = Duration::from_secs(600);

/// What a token of a client will be for.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its audiences, in the order of the request.
    pub(crate) audiences: Vec<Arc<str>>,
    /// Its scopes, sorted.
    pub(crate) scopes: Vec<Arc<str>>,
    /// Its life: the shortest of its APIs' and the client's own.
    pub(crate) lifetime: Duration,
    /// Its form, which its APIs agree in.
    pub(crate) form: Form,
}

/// Narrows what a client is granted to what the request asks for.
pub(crate) fn narrow(client: &RegisteredClient, params: &Params<'_>) -> Outcome<Target> {
    let (audiences, apis) = resources(client, params)?;
    let held = |scope: &str| {
        apis.iter()
            .flat_map(|granted| &granted.scopes)
            .find(|own| ***own == *scope)
            .cloned()
    };
    let mut scopes: Vec<Arc<str>> = match params.one("scope") {
        None => apis
            .iter()
            .flat_map(|granted| &granted.scopes)
            .cloned()
            .collect(),
        Some(text) => scope_list(text)?
            .into_iter()
            .map(|scope| held(scope).ok_or(Reason::ScopeNotGranted))
            .collect::<Result<_, _>>()?,
    };
    scopes.sort();
    scopes.dedup();
    let lifetime = apis
        .iter()
        .map(|granted| granted.api.token_lifetime)
        .chain(client.token_lifetime)
        .min()
        .ok_or(Reason::TargetNeeded)?;
    Ok(Target {
        form: form(&apis)?,
        audiences,
        scopes,
        lifetime,
    })
}

/// The form of a token for these APIs. One token has one, and is encrypted to one key or to none;
/// where APIs disagree, the client asks for a token for each (RFC 8707 §2.2). UserInfo has no say,
/// since it takes them all, and alone gets a JWT.
pub(crate) fn form(apis: &[&GrantedApi]) -> Outcome<Form> {
    let mut forms = apis.iter().map(|granted| &granted.api.form);
    let first = forms.next().unwrap_or(&Form::Jwt);
    if forms.all(|form| form.is_same(first)) {
        Ok(first.clone())
    } else {
        Err(Reason::MixedTargets.into())
    }
}

type Resources<'a> = (Vec<Arc<str>>, Vec<&'a GrantedApi>);

fn resources<'a>(client: &'a RegisteredClient, params: &Params<'_>) -> Outcome<Resources<'a>> {
    let mut audiences: Vec<Arc<str>> = Vec::with_capacity(1);
    let mut apis: Vec<&GrantedApi> = Vec::with_capacity(1);
    for (count, resource) in params.all(RESOURCE).enumerate() {
        if count >= MAX_RESOURCES {
            return Err(Reason::TooManyTargets.into());
        }
        // Unknown and not granted are one answer: the list of APIs is not public here.
        let (granted, audience) = client
            .granted
            .iter()
            .find_map(|granted| {
                let audience = granted
                    .api
                    .audiences
                    .iter()
                    .find(|own| ***own == *resource)?;
                Some((granted, audience))
            })
            .ok_or(Reason::UnknownTarget)?;
        if !audiences.contains(audience) {
            audiences.push(audience.clone());
        }
        if !apis.iter().any(|known| known.api.name == granted.api.name) {
            apis.push(granted);
        }
    }
    if apis.is_empty() {
        let [granted] = client.granted.as_slice() else {
            return Err(Reason::TargetNeeded.into());
        };
        let audience = granted.api.audiences.first().ok_or(Reason::TargetNeeded)?;
        return Ok((vec![audience.clone()], vec![granted]));
    }
    Ok((audiences, apis))
}

/// What a token of a person will be for.
#[derive(Debug)]
pub(crate) struct PersonTarget<'a> {
    /// Its audiences.
    pub(crate) audiences: Vec<Arc<str>>,
    /// Its scopes, in the order of the grant.
    pub(crate) scopes: Vec<&'a str>,
    /// Its life.
    pub(crate) lifetime: Duration,
    /// Its form.
    pub(crate) form: Form,
}

impl PersonTarget<'_> {
    /// Whether it has a scope of identity.
    pub(crate) fn has(&self, scope: IdentityScope) -> bool {
        self.scopes.contains(&scope.name())
    }
}

/// Narrows what a person allowed to what a token request asks for (RFC 6749 §6, RFC 8707 §2.2) and
/// to what the client is still granted. Without `resource` a token is for every API of the grant,
/// and with `openid` for UserInfo too.
pub(crate) fn of_grant<'a>(
    endpoints: &Endpoints,
    client: &RegisteredClient,
    grant: &'a Grant,
    params: &Params<'_>,
) -> Outcome<PersonTarget<'a>> {
    // RFC 6749 §4.1.3 knows no `scope`; the requests of the other grants do.
    let asked = params
        .one("scope")
        .filter(|_| params.one("code").is_none())
        .map(scope_list)
        .transpose()?;
    if let Some(asked) = &asked
        && !asked
            .iter()
            .all(|scope| grant.scopes.iter().any(|held| held == scope))
    {
        return Err(Reason::ScopeNotGranted.into());
    }
    let is_wanted = |scope: &str| asked.as_ref().is_none_or(|asked| asked.contains(&scope));
    let is_identity = |scope: &str| {
        IdentityScope::from_name(scope)
            .is_some_and(|identity| client.identity_scopes.contains(&identity))
    };
    let openid = IdentityScope::Openid.name();
    let userinfo = is_wanted(openid)
        && is_identity(openid)
        && grant.scopes.iter().any(|scope| scope == openid);

    let mut audiences: Vec<Arc<str>> = Vec::with_capacity(2);
    let mut apis: Vec<&GrantedApi> = Vec::with_capacity(1);
    let granted = |audience: &str| {
        client.granted.iter().find_map(|granted| {
            let own = granted.api.audiences.iter().find(|own| ***own == *audience);
            own.map(|own| (own.clone(), granted))
        })
    };
    let mut for_userinfo = false;
    let mut named = false;
    for (count, resource) in params.all(RESOURCE).enumerate() {
        if count >= MAX_RESOURCES {
            return Err(Reason::TooManyTargets.into());
        }
        named = true;
        if userinfo && resource == endpoints.userinfo() {
            for_userinfo = true;
            continue;
        }
        let (audience, api) = Some(resource)
            .filter(|resource| grant.audiences.iter().any(|held| held == resource))
            .and_then(granted)
            .ok_or(Reason::UnknownTarget)?;
        add(&mut audiences, &mut apis, audience, api);
    }
    if !named {
        for_userinfo = userinfo;
        for (audience, api) in grant.audiences.iter().filter_map(|held| granted(held)) {
            add(&mut audiences, &mut apis, audience, api);
        }
    }
    if for_userinfo {
        audiences.push(endpoints.userinfo().into());
    }
    if audiences.is_empty() {
        return Err(Reason::TargetNeeded.into());
    }
    let of_api = |scope: &str| {
        apis.iter()
            .flat_map(|granted| &granted.scopes)
            .any(|own| **own == *scope)
    };
    let scopes: Vec<&str> = grant
        .scopes
        .iter()
        .map(String::as_str)
        .filter(|scope| is_wanted(scope) && (is_identity(scope) || of_api(scope)))
        .collect();
    // What is named is never dropped without a word.
    if let Some(asked) = &asked
        && !asked.iter().all(|scope| scopes.contains(scope))
    {
        return Err(Reason::ScopeNotGranted.into());
    }
    let lifetime = apis
        .iter()
        .map(|granted| granted.api.token_lifetime)
        .chain(client.token_lifetime)
        .chain(for_userinfo.then_some(USERINFO_LIFETIME))
        .min()
        .unwrap_or(USERINFO_LIFETIME);
    Ok(PersonTarget {
        form: form(&apis)?,
        audiences,
        scopes,
        lifetime,
    })
}

pub(crate) fn add<'a>(
    audiences: &mut Vec<Arc<str>>,
    apis: &mut Vec<&'a GrantedApi>,
    audience: Arc<str>,
    api: &'a GrantedApi,
) {
    if !audiences.contains(&audience) {
        audiences.push(audience);
    }
    if !apis.iter().any(|known| known.api.name == api.api.name) {
        apis.push(api);
    }
}

/// What a device asks a person for: scopes and audiences, within the client's declaration, and such
/// that one token can be had for them, since its code is spent before that is made. Without
/// `scope` it is all that the client is granted for what it names, or for its only API.
pub(crate) fn requested(
    client: &RegisteredClient,
    params: &Params<'_>,
) -> Outcome<(Vec<String>, Vec<String>)> {
    let asked = params.one("scope").map(scope_list).transpose()?;
    let (identity, of_apis): (Vec<&str>, Vec<&str>) = asked
        .iter()
        .flatten()
        .partition(|scope| IdentityScope::from_name(scope).is_some());
    for scope in &identity {
        let known = IdentityScope::from_name(scope)
            .is_some_and(|identity| client.identity_scopes.contains(&identity));
        if !known {
            return Err(Reason::ScopeNotGranted.into());
        }
    }
    if asked.is_some() && params.one(RESOURCE).is_none() {
        return by_scopes(client, identity, of_apis);
    }
    let (audiences, apis) = resources(client, params)?;
    form(&apis)?;
    let mut scopes: Vec<String> = identity.into_iter().map(str::to_owned).collect();
    let held = apis.iter().flat_map(|granted| &granted.scopes);
    if asked.is_none() {
        scopes.extend(held.map(|scope| scope.to_string()));
    } else {
        for scope in of_apis {
            if !held.clone().any(|own| **own == *scope) {
                return Err(Reason::ScopeNotGranted.into());
            }
            scopes.push(scope.to_owned());
        }
    }
    scopes.sort();
    scopes.dedup();
    let audiences = audiences.iter().map(|audience| audience.to_string());
    Ok((scopes, audiences.collect()))
}

/// Scopes without a resource say themselves which APIs are meant: each by the one that has it.
fn by_scopes(
    client: &RegisteredClient,
    identity: Vec<&str>,
    of_apis: Vec<&str>,
) -> Outcome<(Vec<String>, Vec<String>)> {
    let mut audiences: Vec<String> = Vec::new();
    let mut apis: Vec<&GrantedApi> = Vec::new();
    for scope in &of_apis {
        let mut holders = client
            .granted
            .iter()
            .filter(|granted| granted.scopes.iter().any(|own| **own == **scope));
        let only = holders.next().ok_or(Reason::ScopeNotGranted)?;
        if holders.next().is_some() {
            return Err(Reason::TargetNeeded.into());
        }
        let audience = only.api.audiences.first().ok_or(Reason::TargetNeeded)?;
        if !audiences.iter().any(|known| **known == **audience) {
            audiences.push(audience.to_string());
            apis.push(only);
        }
    }
    form(&apis)?;
    let mut scopes: Vec<String> = identity
        .into_iter()
        .chain(of_apis)
        .map(str::to_owned)
        .collect();
    scopes.sort();
    scopes.dedup();
    Ok((scopes, audiences))
}

/// Reads a list of scopes (RFC 6749 §3.3).
pub(crate) fn scope_list(text: &str) -> Outcome<Vec<&str>> {
    if text.split(' ').all(is_scope_token) {
        Ok(text.split(' ').collect())
    } else {
        Err(Reason::MalformedScope.into())
    }
}

/// RFC 6749 §3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
