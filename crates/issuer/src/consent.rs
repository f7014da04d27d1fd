//! **Consent**: what a person is asked, per scope and in the API's own words, and what becomes of
//! the answer. What was allowed once is remembered per person and client, and is not asked again
//! until more is wanted.

use registry::client::{ClientAuthMethod, ClientKind, IdentityScope};

use crate::browser::ConsentScope;
use crate::declared::{GrantedApi, RegisteredClient};
use crate::flow::Consent;

/// What people read of identity scopes.
const fn words(scope: IdentityScope) -> &'static str {
    match scope {
        IdentityScope::Openid => "Know who you are",
        IdentityScope::Profile => "See your name, picture and language",
        IdentityScope::Email => "See your mail address",
        IdentityScope::Phone => "See your telephone number",
        IdentityScope::Address => "See your postal address",
        IdentityScope::OfflineAccess => "Stay connected while you are away",
    }
}

/// What is asked for, as people read it.
pub(crate) fn asked(
    client: &RegisteredClient,
    scopes: &[String],
    audiences: &[String],
    remembered: Option<&Consent>,
) -> Vec<ConsentScope> {
    let was_allowed = |scope: &str| {
        remembered.is_some_and(|consent| consent.scopes.iter().any(|known| known == scope))
    };
    scopes
        .iter()
        .map(|scope| {
            if let Some(identity) = IdentityScope::from_name(scope) {
                return ConsentScope {
                    name: scope.clone(),
                    api: None,
                    words: words(identity).to_owned(),
                    required: identity == IdentityScope::Openid,
                    remembered: was_allowed(scope),
                };
            }
            let api = holders(client, audiences, scope).next();
            ConsentScope {
                name: scope.clone(),
                api: api.map(|granted| granted.api.name.as_str().to_owned()),
                words: api
                    .map_or("", |granted| granted.api.words(scope))
                    .to_owned(),
                required: false,
                remembered: was_allowed(scope),
            }
        })
        .collect()
}

/// The APIs among those asked for that know a scope.
fn holders<'a>(
    client: &'a RegisteredClient,
    audiences: &'a [String],
    scope: &'a str,
) -> impl Iterator<Item = &'a GrantedApi> {
    client.granted.iter().filter(move |granted| {
        granted.scopes.iter().any(|own| **own == *scope)
            && granted
                .api
                .audiences
                .iter()
                .any(|own| audiences.iter().any(|aud| **aud == **own))
    })
}

/// Whether all that is asked for was allowed before.
pub(crate) fn covers(
    remembered: Option<&Consent>,
    scopes: &[String],
    audiences: &[String],
) -> bool {
    remembered.is_some_and(|consent| {
        scopes.iter().all(|scope| consent.scopes.contains(scope))
            && audiences.iter().all(|aud| consent.audiences.contains(aud))
    })
}

/// Whether an answer could reach another program than the one that is registered: nothing proves
/// who listens at a private scheme or on loopback, so somebody must act at the screen before one is
/// sent (RFC 8252 §8.6, RFC 9700 §4.14.2).
pub(crate) fn may_be_impersonated(client: &RegisteredClient, redirect_uri: &str) -> bool {
    client.method == ClientAuthMethod::None
        && client.kind == ClientKind::Native
        && !redirect_uri.starts_with("https://")
}

/// What a person allowed of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) scopes: Vec<String>,
    pub(crate) audiences: Vec<String>,
    /// Scopes that were shown and left out.
    pub(crate) withdrawn: Vec<String>,
}

/// Takes the scopes that were ticked; `None`: what is left is nothing, or without the `openid` that
/// the request is for. What was not asked for is not given, whatever was ticked.
pub(crate) fn decided(
    client: &RegisteredClient,
    scopes: &[String],
    audiences: &[String],
    ticked: &[String],
) -> Option<Allowed> {
    let allowed: Vec<String> = scopes
        .iter()
        .filter(|scope| ticked.contains(scope))
        .cloned()
        .collect();
    let openid = IdentityScope::Openid.name();
    if allowed.is_empty()
        || (scopes.iter().any(|s| s == openid) && !allowed.iter().any(|s| s == openid))
    {
        return None;
    }
    // An API of which every scope was refused is not called at all.
    let kept = audiences.iter().filter(|audience| {
        let of_it = |scope: &&String| {
            holders(client, core::slice::from_ref(audience), scope)
                .next()
                .is_some()
        };
        let mut asked = scopes.iter().filter(of_it).peekable();
        asked.peek().is_none() || asked.any(|scope| allowed.contains(scope))
    });
    let audiences = kept.cloned().collect();
    let left_out = scopes.iter().filter(|scope| !allowed.contains(scope));
    Some(Allowed {
        withdrawn: left_out.cloned().collect(),
        scopes: allowed,
        audiences,
    })
}
