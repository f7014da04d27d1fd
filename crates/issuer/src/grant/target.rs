//! **What a token is for**: `resource` (RFC 8707) and `scope` (RFC 6749 §3.3) of a request against
//! what the client is granted. Nothing is widened and nothing silently dropped: a request for more
//! than is granted is refused.

use core::time::Duration;
use std::sync::Arc;

use crate::declared::{GrantedApi, RegisteredClient};
use crate::error::{Outcome, Reason};
use crate::params::{Params, RESOURCE};

/// Most resources in one request.
pub(crate) const MAX_RESOURCES: usize = 8;

/// What a token will be for.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its audiences, in the order of the request.
    pub(crate) audiences: Vec<Arc<str>>,
    /// Its scopes, sorted.
    pub(crate) scopes: Vec<Arc<str>>,
    /// Its life: the shortest of its APIs' and the client's own.
    pub(crate) lifetime: Duration,
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
        Some(text) => {
            if !text.split(' ').all(is_scope_token) {
                return Err(Reason::MalformedScope.into());
            }
            text.split(' ')
                .map(|scope| held(scope).ok_or(Reason::ScopeNotGranted))
                .collect::<Result<_, _>>()?
        }
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
        audiences,
        scopes,
        lifetime,
    })
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

/// RFC 6749 §3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
