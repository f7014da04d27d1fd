//! **Introspection** (RFC 7662): an authenticated client asks about a token. It learns something
//! only of its own tokens, or of tokens meant for an API it is a resource server of; for every
//! other question the answer is `{"active":false}` and nothing else, so that the endpoint tells
//! nobody which tokens exist.

use std::sync::Arc;

use proof::digest::TokenHash;
use proof::jose::jwe;
use proof::paseto;
use proof::time::Timestamp;
use registry::client::IdentityScope;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::access::{self, ReadToken};
use crate::declared::{Declared, RegisteredClient};
use crate::error::{Outcome, Reason};
use crate::flow::{Binding, Flows, Grant, GrantState};
use crate::grant::refresh_token;
use crate::ports::{IssuerStore, People, Secrets};
use crate::{Issuer, OAuthRequest};

/// The answer.
#[derive(Debug, Clone)]
pub enum Introspection {
    /// Not active, unknown, or not for the asker's eyes.
    Inactive,
    /// An active access token; and of a person who let the client know their name, that name.
    Active(Arc<ReadToken>, Option<String>),
    /// An active refresh token: its grant, and when it ends unused.
    Refresh(Box<Grant>, Timestamp),
}

impl<S: IssuerStore + Flows, C: Secrets + People> Issuer<S, C> {
    /// Answers an introspection request.
    ///
    /// # Errors
    /// `invalid_client`, `invalid_request` without a `token`, `temporarily_unavailable` when it
    /// can't be known whether the token was revoked.
    pub async fn introspect(&self, request: &OAuthRequest<'_>) -> Outcome<Introspection> {
        let asker = self.authenticate_client(request).await?;
        // RFC 7662 §2.1: who asks must prove who it is.
        if asker.client().is_public() {
            return Err(Reason::NoClientAuthentication.into());
        }
        // The hint is not needed: what a token is, shows in its form.
        let token = request.params.one("token").ok_or(Reason::TokenMissing)?;
        if let Some(hash) = refresh_token(self.brand(), asker.client(), token) {
            return self
                .introspect_refresh(asker.client(), hash, request.now)
                .await;
        }
        let declared = self.declared();
        let Some(token) = self.read_token(token, request.now).await? else {
            return Ok(Introspection::Inactive);
        };
        if !may_see(asker.client(), &token, &declared) {
            return Ok(Introspection::Inactive);
        }
        if self.revocations().revoked(&token.names())? {
            return Ok(Introspection::Inactive);
        }
        let username = self.username(&token, request.now).await;
        Ok(Introspection::Active(token, username))
    }

    /// RFC 7662 §2.2 `username`: the name that a person logs in with. It is told where the person
    /// allowed the scope that it belongs to (OpenID Connect Core §5.4: `preferred_username` is of
    /// `profile`), and nowhere else (RFC 7662 §5). It is optional, so the answer does not hang on
    /// whether it can be looked up now.
    async fn username(&self, token: &ReadToken, now: Timestamp) -> Option<String> {
        token.grant_id()?;
        let profile = IdentityScope::Profile.name();
        if !token.scopes().any(|scope| scope == profile) {
            return None;
        }
        let found = self.people().person(token.subject(), now).await;
        let env = token.text("env");
        let person = found
            .ok()
            .flatten()
            .filter(|person| env == Some(person.environment.name()))?;
        Some(person.username.clone())
    }

    /// A refresh token is its own client's affair alone.
    async fn introspect_refresh(
        &self,
        asker: &RegisteredClient,
        hash: TokenHash,
        now: Timestamp,
    ) -> Outcome<Introspection> {
        let found = self.store().refresh_token(hash, now).await?;
        Ok(match found {
            Some((grant, GrantState::Active, true, until))
                if grant.client_id == asker.client_id && now < until && now < grant.until =>
            {
                Introspection::Refresh(Box::new(grant), until)
            }
            _ => Introspection::Inactive,
        })
    }
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// Reads an access token of ours that is in its time. A verification is remembered, a verdict
    /// is not: times and whether its keys still count are judged on every hit (threat C6). What is
    /// kept of an opaque token never changes, so one that was found need not be asked for again.
    pub(crate) async fn read_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Outcome<Option<Arc<ReadToken>>> {
        let (ring, declared) = (self.keys().ring(), self.declared());
        let (issuer, leeway) = (self.endpoints().issuer(), self.leeway());
        let hash = TokenHash::of(token.as_bytes());
        if let Some(known) = self.read_tokens.get(&hash) {
            let is_current = known.is_current(&ring, &declared, now, leeway);
            return Ok(is_current.then_some(known));
        }
        let read = if access::is_opaque(self.brand(), token) {
            let kept = self.store().kept_token(&hash).await?;
            kept.and_then(|claims| access::read_kept(issuer, &claims, now, leeway))
        } else if paseto::looks_like(token.as_bytes()) {
            access::read_paseto(&ring, issuer, token.as_bytes(), now, leeway)
        } else if jwe::looks_like(token.as_bytes()) {
            access::read_encrypted(&ring, &declared, issuer, token.as_bytes(), now, leeway)
        } else {
            access::read(&ring, issuer, token.as_bytes(), now, leeway)
        };
        let Some(read) = read.map(Arc::new) else {
            return Ok(None);
        };
        self.read_tokens.insert(hash, read.clone());
        Ok(Some(read))
    }
}

/// Whether the asker may learn of a token: it is its own, or it is meant for one of its APIs, and
/// both stand on one side of the wall (threat J4). A token whose client is gone is nobody's.
fn may_see(asker: &RegisteredClient, token: &ReadToken, declared: &Declared) -> bool {
    let same_side =
        token.claims().extra.get("env").and_then(Value::as_str) == Some(asker.environment.name());
    same_side
        && declared.client(token.client_id()).is_some()
        && (token.client_id() == asker.client_id.as_str() || asker.serves(&token.claims().aud))
}

impl Serialize for Introspection {
    /// RFC 7662 §2.2.
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        #[derive(Serialize)]
        struct Written<T> {
            active: bool,
            #[serde(flatten)]
            token: Option<T>,
        }
        match self {
            Self::Inactive => Written::<()> {
                active: false,
                token: None,
            }
            .serialize(serializer),
            Self::Active(token, username) => Written {
                active: true,
                token: Some(Active::new(token, username.as_deref())),
            }
            .serialize(serializer),
            Self::Refresh(grant, until) => Written {
                active: true,
                token: Some(Refresh {
                    sub: &grant.subject,
                    client_id: grant.client_id.as_str(),
                    exp: until.as_secs(),
                    iat: grant.created_at.as_secs(),
                    scope: grant.scopes.join(" "),
                    grant_id: &grant.id,
                    cnf: grant.binding.as_ref(),
                }),
            }
            .serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct Refresh<'a> {
    sub: &'a str,
    client_id: &'a str,
    exp: i64,
    iat: i64,
    scope: String,
    grant_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<&'a Binding>,
}

#[derive(Serialize)]
struct Active<'a> {
    token_type: &'static str,
    iss: Option<&'a str>,
    sub: Option<&'a str>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    aud: &'a [String],
    exp: i64,
    iat: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<&'a Value>,
}

impl<'a> Active<'a> {
    fn new(token: &'a ReadToken, username: Option<&'a str>) -> Self {
        let claims = token.claims();
        Self {
            // RFC 9449 §6.2
            token_type: match token.binding() {
                Ok(Some(Binding::Jkt(_))) => "DPoP",
                _ => "Bearer",
            },
            iss: claims.iss.as_deref(),
            sub: claims.sub.as_deref(),
            client_id: token.client_id(),
            username,
            aud: &claims.aud,
            exp: token.expires_at().as_secs(),
            iat: token.issued_at().as_secs(),
            jti: token.token_id(),
            scope: claims.scope.as_deref(),
            roles: claims.extra.get("roles"),
            env: claims.extra.get("env"),
            sid: claims.extra.get("sid"),
            auth_time: claims.extra.get("auth_time"),
            acr: claims.extra.get("acr"),
            amr: claims.extra.get("amr"),
            cnf: claims.extra.get("cnf"),
            act: claims.extra.get("act"),
            grant_id: claims.extra.get("grant_id"),
        }
    }
}
