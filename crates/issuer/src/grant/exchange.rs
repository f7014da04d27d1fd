//! **Token exchange** (RFC 8693): a client that was handed an access token of ours gets one of its
//! own for a part of what that token may do. Everything only shrinks: audiences, scopes, roles,
//! time; the wall between `live` and `test` stands; who acts for whom is written into the token
//! (§4.1), chain and all. Nothing is taken here but our own access tokens (threat J5).

use core::time::Duration;
use std::sync::Arc;

use proof::random::uuid_v7;
use proof::time::Timestamp;
use serde_json::{Value, json};
use verdict::identity::RoleName;

use super::{ACCESS_TOKEN_TYPE, Asked, TokenResponse, target};
use crate::Issuer;
use crate::access::{AccessToken, ReadToken, Subject};
use crate::declared::{Declared, GrantedApi, RegisteredClient};
use crate::error::{Outcome, Reason, Refusal};
use crate::flow::Authentication;
use crate::params::RESOURCE;
use crate::ports::{IssuerStore, People, Secrets};

/// Longest chain of actors.
const MAX_ACTORS: usize = 5;

impl<S: IssuerStore, C: Secrets + People> Issuer<S, C> {
    pub(super) async fn exchange(&self, asked: &Asked<'_>) -> Outcome<TokenResponse> {
        let client = asked.client();
        let declared = self.declared();
        let (subject, actor) = self.presented(asked, &declared).await?;
        let is_own = subject.client_id() == client.client_id.as_str();
        if !is_own && !client.serves(&subject.claims().aud) {
            return Err(unfit("not meant for the client that exchanges it"));
        }
        // A bound token of its own is shown with its key; one that a caller sent to this client's
        // API was proved there, and the new one is bound to who asks for it.
        let binding = subject.binding().map_err(|_| unfit("a foreign cnf"))?;
        if is_own && binding.is_some() && binding != asked.binding {
            return Err(Reason::KeyMismatch.into());
        }
        let act = actors(client, &subject, actor.as_deref(), is_own)?;
        let mut roles = roles_of(&subject);
        if subject.grant_id().is_some() {
            let person = self.person_of(asked, subject.subject()).await?;
            roles.retain(|role| person.roles.contains(role));
        }
        let (audiences, apis) = audiences(asked, &subject)?;
        let scopes = scopes(asked, &subject, &apis)?;
        let form = target::form(&apis)?;
        let lifetime = apis
            .iter()
            .map(|granted| granted.api.token_lifetime)
            .chain(client.token_lifetime)
            .chain([subject.expires_at().since(asked.now())])
            .min()
            .unwrap_or_default();
        let lifetime = Duration::from_secs(lifetime.as_secs());
        if lifetime.is_zero() {
            return Err(unfit("in its last second"));
        }

        let authentication = authentication_of(&subject);
        let scope = scopes.join(" ");
        let made = self.make_token(
            &AccessToken {
                issuer: self.endpoints().issuer(),
                client,
                subject: Subject {
                    sub: subject.subject(),
                    roles: &roles,
                    grant_id: subject.grant_id(),
                    session: subject.text("sid"),
                    authentication: authentication.as_ref(),
                },
                audiences: &audiences,
                scope: &scope,
                issued_at: asked.now(),
                lifetime,
                token_id: &uuid_v7(asked.now(), self.entropy()),
                binding: asked.binding.as_ref(),
                act: act.as_ref(),
            },
            &form,
        )?;
        if let Some(kept) = made.kept {
            self.store().keep_token(kept).await?;
        }
        Ok(TokenResponse {
            access_token: made.text,
            token_type: asked.token_type(),
            expires_in: lifetime.as_secs(),
            issued_token_type: Some(ACCESS_TOKEN_TYPE),
            refresh_token: None,
            id_token: None,
            scope,
        })
    }

    /// The tokens of the request, alive.
    async fn presented(
        &self,
        asked: &Asked<'_>,
        declared: &Declared,
    ) -> Outcome<(Arc<ReadToken>, Option<Arc<ReadToken>>)> {
        let typed = |token: &str, kind: &str| match (asked.param(token), asked.param(kind)) {
            (Some(text), Some(ACCESS_TOKEN_TYPE)) => Ok(Some(text.to_owned())),
            (Some(_), Some(_)) => Err(Refusal::from(Reason::ExchangeType)),
            (None, None) => Ok(None),
            _ => Err(Refusal::from(Reason::ExchangeIncomplete)),
        };
        let subject =
            typed("subject_token", "subject_token_type")?.ok_or(Reason::ExchangeIncomplete)?;
        let actor = typed("actor_token", "actor_token_type")?;
        if asked
            .param("requested_token_type")
            .is_some_and(|kind| kind != ACCESS_TOKEN_TYPE)
        {
            return Err(Reason::ExchangeType.into());
        }
        let subject = self.alive(asked, declared, &subject).await?;
        let actor = match &actor {
            Some(actor) => Some(self.alive(asked, declared, actor).await?),
            None => None,
        };
        // Who acts is the client that asks: it speaks for nobody else.
        if actor
            .as_ref()
            .is_some_and(|actor| actor.client_id() != asked.client().client_id.as_str())
        {
            return Err(unfit("the actor token is another client's"));
        }
        Ok((subject, actor))
    }

    /// An access token of ours that could be used now, on the client's side of the wall.
    async fn alive(
        &self,
        asked: &Asked<'_>,
        declared: &Declared,
        text: &str,
    ) -> Outcome<Arc<ReadToken>> {
        let token = self
            .read_token(text, asked.now())
            .await?
            .ok_or_else(|| unfit("no living access token of ours"))?;
        if token.text("env") != Some(asked.client().environment.name()) {
            return Err(unfit("behind the other wall"));
        }
        if declared.client(token.client_id()).is_none() {
            return Err(unfit("its client is gone"));
        }
        if self.revocations().revoked(&token.names())? {
            return Err(unfit("revoked"));
        }
        Ok(token)
    }
}

fn unfit(cause: &'static str) -> Refusal {
    Refusal::because(Reason::ExchangeToken, cause)
}

/// The chain of actors (RFC 8693 §4.1): who asks now stands outermost. A client that narrows a
/// token of its own adds nothing to it.
fn actors(
    client: &RegisteredClient,
    subject: &ReadToken,
    actor: Option<&ReadToken>,
    is_own: bool,
) -> Outcome<Option<Value>> {
    let before = subject.claims().extra.get("act");
    if is_own && actor.is_none() {
        return Ok(before.cloned());
    }
    let mut depth = 1;
    let mut next = before;
    while let Some(one) = next {
        depth += 1;
        if depth > MAX_ACTORS {
            return Err(Reason::ExchangeDepth.into());
        }
        next = one.get("act");
    }
    let sub = actor.map_or(client.client_id.as_str(), ReadToken::subject);
    let mut act = json!({"sub": sub, "client_id": client.client_id.as_str()});
    if let Some(before) = before {
        act["act"] = before.clone();
    }
    Ok(Some(act))
}

fn roles_of(token: &ReadToken) -> Vec<RoleName> {
    let roles = token.claims().extra.get("roles").and_then(Value::as_array);
    roles
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(RoleName::new)
        .collect()
}

fn authentication_of(token: &ReadToken) -> Option<Authentication> {
    let extra = &token.claims().extra;
    Some(Authentication {
        at: Timestamp::from_secs(extra.get("auth_time")?.as_i64()?),
        acr: token.text("acr")?.to_owned(),
        amr: extra
            .get("amr")?
            .as_array()?
            .iter()
            .filter_map(|method| method.as_str().map(str::to_owned))
            .collect(),
    })
}

type Targets<'a> = (Vec<Arc<str>>, Vec<&'a GrantedApi>);

/// `resource` and `audience` (RFC 8693 §2.1) within the subject token's audiences, and within what
/// the client may call. Without either: all of that.
fn audiences<'a>(asked: &'a Asked<'_>, subject: &ReadToken) -> Outcome<Targets<'a>> {
    let client = asked.client();
    let params = asked.request.params;
    let wanted: Vec<&str> = params.all(RESOURCE).chain(params.one("audience")).collect();
    if wanted.len() > target::MAX_RESOURCES {
        return Err(Reason::TooManyTargets.into());
    }
    let held = &subject.claims().aud;
    let mut audiences: Vec<Arc<str>> = Vec::new();
    let mut apis: Vec<&GrantedApi> = Vec::new();
    let mut take = |audience: &str| {
        let found = client.granted.iter().find_map(|granted| {
            let own = granted.api.audiences.iter().find(|own| ***own == *audience);
            own.map(|own| (own.clone(), granted))
        });
        match found.filter(|_| held.iter().any(|aud| aud == audience)) {
            Some((audience, api)) => {
                target::add(&mut audiences, &mut apis, audience, api);
                true
            }
            None => false,
        }
    };
    if wanted.is_empty() {
        for audience in held {
            take(audience);
        }
    } else if !wanted.into_iter().all(take) {
        return Err(Reason::UnknownTarget.into());
    }
    if audiences.is_empty() {
        return Err(Reason::UnknownTarget.into());
    }
    Ok((audiences, apis))
}

/// `scope` within the subject token's scopes and those that the client holds for its targets.
fn scopes<'a>(
    asked: &'a Asked<'_>,
    subject: &'a ReadToken,
    apis: &[&GrantedApi],
) -> Outcome<Vec<&'a str>> {
    let held = |scope: &str| {
        subject.scopes().any(|own| own == scope)
            && apis
                .iter()
                .flat_map(|granted| &granted.scopes)
                .any(|own| **own == *scope)
    };
    match asked.param("scope") {
        None => Ok(subject.scopes().filter(|scope| held(scope)).collect()),
        Some(text) => {
            let wanted = target::scope_list(text)?;
            if wanted.iter().all(|scope| held(scope)) {
                Ok(wanted)
            } else {
                Err(Reason::ScopeNotGranted.into())
            }
        }
    }
}
