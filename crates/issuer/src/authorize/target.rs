//! Checks of what is asked for: APIs (RFC 8707) and scopes. A scope that is not granted is refused,
//! never dropped: a client that gets less than it asked for without a word fails later and elsewhere.

use registry::client::{GrantType, IdentityScope};

use super::AuthorizationRequest;
use super::table::Subject;
use crate::declared::{GrantedApi, RegisteredClient};
use crate::error::{Outcome, Reason};
use crate::params::RESOURCE;

/// Longest `scope`, in bytes.
const MAX_SCOPE: usize = 4096;
/// Most resources in one request.
const MAX_RESOURCES: usize = 8;

/// The API that an audience belongs to, if the client is granted it.
pub(super) fn of_audience<'a>(
    client: &'a RegisteredClient,
    audience: &str,
) -> Option<&'a GrantedApi> {
    client
        .granted
        .iter()
        .find(|granted| granted.api.audiences.iter().any(|own| **own == *audience))
}

/// Whether the client may still ask for a scope.
pub(super) fn is_granted(client: &RegisteredClient, scope: &str) -> bool {
    match IdentityScope::from_name(scope) {
        Some(identity) => client.identity_scopes.contains(&identity),
        None => client
            .granted
            .iter()
            .any(|granted| granted.scopes.iter().any(|own| **own == *scope)),
    }
}

pub(super) fn resource(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    for (count, resource) in subject.params.all(RESOURCE).enumerate() {
        if count >= MAX_RESOURCES {
            return Err(Reason::TooManyTargets.into());
        }
        // Unknown and not granted are one answer: the list of APIs is not public here.
        of_audience(subject.client, resource).ok_or(Reason::UnknownTarget)?;
        if !request.audiences.iter().any(|known| known == resource) {
            request.audiences.push(resource.to_owned());
        }
    }
    Ok(())
}

pub(super) fn scope(subject: &Subject<'_>, request: &mut AuthorizationRequest) -> Outcome<()> {
    let client = subject.client;
    let named: Vec<&GrantedApi> = request
        .audiences
        .iter()
        .filter_map(|audience| of_audience(client, audience))
        .collect();
    let Some(text) = subject.bounded("scope", MAX_SCOPE, Reason::MalformedScope)? else {
        return by_default(client, &named, request);
    };
    if !text.split(' ').all(crate::grant::is_scope_token) {
        return Err(Reason::MalformedScope.into());
    }
    for scope in text.split(' ') {
        if request.scopes.iter().any(|known| known == scope) {
            continue;
        }
        if let Some(identity) = IdentityScope::from_name(scope) {
            if !client.identity_scopes.contains(&identity) {
                return Err(Reason::ScopeNotGranted.into());
            }
            // OpenID Connect Core §11: offline access is ignored where there can be none.
            let pointless = identity == IdentityScope::OfflineAccess
                && !client.may_use(GrantType::RefreshToken);
            if !pointless {
                request.scopes.push(scope.to_owned());
            }
            continue;
        }
        let audience = holder(client, &named, scope)?;
        if let Some(audience) = audience
            && !request.audiences.contains(&audience)
        {
            request.audiences.push(audience);
        }
        request.scopes.push(scope.to_owned());
    }
    Ok(())
}

/// Who holds a scope: one of the APIs named, or else the one API that has it; then its audience.
fn holder(
    client: &RegisteredClient,
    named: &[&GrantedApi],
    scope: &str,
) -> Outcome<Option<String>> {
    let holds = |granted: &GrantedApi| granted.scopes.iter().any(|own| **own == *scope);
    if !named.is_empty() {
        return if named.iter().any(|granted| holds(granted)) {
            Ok(None)
        } else {
            Err(Reason::ScopeNotGranted.into())
        };
    }
    let mut holders = client.granted.iter().filter(|granted| holds(granted));
    let Some(only) = holders.next() else {
        return Err(Reason::ScopeNotGranted.into());
    };
    // Least privilege: two APIs with one scope's name are not both meant by it.
    if holders.next().is_some() {
        return Err(Reason::TargetNeeded.into());
    }
    let audience = only.api.audiences.first().ok_or(Reason::TargetNeeded)?;
    Ok(Some(audience.to_string()))
}

/// RFC 6749 §3.3: without `scope`, a default: all that the client is granted at the APIs it names,
/// or at its only one.
fn by_default(
    client: &RegisteredClient,
    named: &[&GrantedApi],
    request: &mut AuthorizationRequest,
) -> Outcome<()> {
    let apis = match (named, client.granted.as_slice()) {
        ([], [only]) => {
            let audience = only.api.audiences.first().ok_or(Reason::TargetNeeded)?;
            request.audiences.push(audience.to_string());
            vec![only]
        }
        (named, _) => named.to_vec(),
    };
    for scope in apis.iter().flat_map(|granted| &granted.scopes) {
        if !request.scopes.iter().any(|known| **known == **scope) {
            request.scopes.push(scope.to_string());
        }
    }
    if request.scopes.is_empty() {
        return Err(Reason::ScopeNeeded.into());
    }
    Ok(())
}
