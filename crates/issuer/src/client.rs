//! **Client authentication** (RFC 6749 §2.3): one request, one method, and it must be the one the
//! client is registered for. The result is a value that only this module can make; every endpoint
//! takes it and nothing else.
//!
//! A secret is looked up by its own public id before the named client is looked at, so an unknown
//! client, a foreign secret and a wrong secret take the same way and the same time, and read the
//! same outside (threat C12).

mod assertion;
mod certificate;

use std::borrow::Cow;
use std::sync::Arc;

use proof::basic::Basic;
use proof::issued::{self, SecretKind};
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::client::ClientAuthMethod;
use registry::record::ClientUse;
use verdict::facts::KeyCheck;
use verdict::identity::{CredentialId, LifeState, is_within};

use crate::declared::{Declared, RegisteredClient};
use crate::error::{Outcome, Reason, Refusal};
use crate::params::{self, Params};
use crate::ports::{IssuerStore, Secrets};
use crate::{Issuer, OAuthRequest};

/// `client_assertion_type` of RFC 7523 §2.2.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that proved who it is. Made here only.
#[derive(Debug, Clone)]
pub struct AuthenticatedClient {
    client: Arc<RegisteredClient>,
    credential: Option<CredentialId>,
}

impl AuthenticatedClient {
    /// The client.
    pub fn client(&self) -> &RegisteredClient {
        &self.client
    }
    /// The client, to be kept for the rest of the request.
    pub(crate) fn shared(&self) -> &Arc<RegisteredClient> {
        &self.client
    }
    /// What it showed: its secret (`sec_…`), the key of its assertion (`jkt:…`), or its certificate
    /// (`x5t:…`). None of a public client, which shows nothing.
    pub fn credential(&self) -> Option<&CredentialId> {
        self.credential.as_ref()
    }
}

/// What a request tries to authenticate with.
enum Attempt<'a> {
    Secret {
        method: ClientAuthMethod,
        client_id: Cow<'a, str>,
        secret: Secret,
    },
    Assertion {
        client_id: Option<&'a str>,
        assertion: &'a str,
    },
    /// A name, and nothing in the form that proves it: a certificate does, or nothing has to.
    Named { client_id: &'a str },
}

/// Finds the one method that the request uses.
fn attempt<'a>(request: &OAuthRequest<'a>) -> Outcome<Attempt<'a>> {
    let params: &'a Params<'a> = request.params;
    let client_id = params.one("client_id");
    let in_body = params.one("client_secret");
    let assertion = params.one("client_assertion");
    let assertion_type = params.one("client_assertion_type");

    // RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
    let methods = usize::from(request.authorization.is_some())
        + usize::from(in_body.is_some())
        + usize::from(assertion.is_some() || assertion_type.is_some());
    match methods {
        0 => {
            let client_id = client_id.ok_or(Reason::NoClientAuthentication)?;
            return Ok(Attempt::Named { client_id });
        }
        1 => {}
        _ => return Err(Reason::SeveralClientMethods.into()),
    }
    if let Some(value) = request.authorization {
        let (name, secret) = basic(value)?;
        if client_id.is_some_and(|id| id != name) {
            return Err(Reason::ClientIdMismatch.into());
        }
        return Ok(Attempt::Secret {
            method: ClientAuthMethod::ClientSecretBasic,
            client_id: Cow::Owned(name),
            secret,
        });
    }
    if let Some(secret) = in_body {
        let client_id = client_id.ok_or(Reason::ClientIdMissing)?;
        return Ok(Attempt::Secret {
            method: ClientAuthMethod::ClientSecretPost,
            client_id: Cow::Borrowed(client_id),
            secret: Secret::new(secret.as_bytes()),
        });
    }
    match (assertion, assertion_type) {
        (Some(assertion), Some(JWT_BEARER)) => Ok(Attempt::Assertion {
            client_id,
            assertion,
        }),
        (_, Some(kind)) if kind != JWT_BEARER => Err(Reason::AssertionTypeUnknown.into()),
        _ => Err(Reason::AssertionIncomplete.into()),
    }
}

/// Reads `Basic …`. RFC 6749 §2.3.1: name and secret are form-encoded before they are joined.
fn basic(value: &[u8]) -> Outcome<(String, Secret)> {
    const SCHEME: &[u8] = b"Basic ";
    let malformed = |cause: &'static str| Refusal::because(Reason::MalformedAuthorization, cause);
    let credentials = value
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .ok_or_else(|| malformed("the scheme is not Basic"))?
        .1;
    let pair = Basic::parse(credentials).map_err(|defect| malformed(defect.code()))?;
    let name = params::decode(pair.username.as_bytes())
        .ok_or_else(|| malformed("the client_id is not form-encoded"))?
        .into_owned();
    let secret = params::decode(pair.password.expose())
        .ok_or_else(|| malformed("the secret is not form-encoded"))?;
    Ok((name, Secret::new(secret.as_bytes())))
}

/// Whether a client that proved who it is may ask now, and from there. Afterwards, so that nobody
/// else learns of it; outside it reads like everything that does not hold.
fn may_ask(client: &RegisteredClient, request: &OAuthRequest<'_>) -> Outcome<()> {
    if client.suspended {
        return Err(Refusal::because(
            Reason::SuspendedClient,
            client.client_id.to_string(),
        ));
    }
    if !is_within(&client.networks, request.sender.address) {
        return Err(Refusal::because(
            Reason::ClientNetwork,
            client.client_id.to_string(),
        ));
    }
    Ok(())
}

impl<S: IssuerStore, C: Secrets> Issuer<S, C> {
    /// Authenticates the client of a request.
    ///
    /// # Errors
    /// `invalid_request` for a request that uses no single method, `invalid_client` for whatever
    /// does not hold, `temporarily_unavailable` if it can't be found out now.
    pub async fn authenticate_client(
        &self,
        request: &OAuthRequest<'_>,
    ) -> Outcome<AuthenticatedClient> {
        let declared = self.declared();
        let client = match attempt(request)? {
            Attempt::Secret {
                method,
                client_id,
                secret,
            } => {
                self.by_secret(request, &declared, method, &client_id, &secret)
                    .await
            }
            Attempt::Assertion {
                client_id,
                assertion,
            } => {
                self.by_assertion(request, &declared, client_id, assertion)
                    .await
            }
            Attempt::Named { client_id } => self.by_name(request, &declared, client_id).await,
        }?;
        may_ask(client.client(), request)?;
        if let Some(credential) = client.credential() {
            self.uses().client_used(ClientUse {
                client: client.client().client_id.clone(),
                credential: credential.clone(),
                at: request.now,
            });
        }
        Ok(client)
    }

    /// Whether a text is a valid secret of a client, for updates that repeat it (RFC 7592 §2.2).
    ///
    /// # Errors
    /// `temporarily_unavailable` if it can't be compared now.
    pub async fn is_secret_of(
        &self,
        client_id: &str,
        text: &[u8],
        now: Timestamp,
    ) -> Outcome<bool> {
        let Ok(presented) = issued::parse(text, self.brand()) else {
            return Ok(false);
        };
        if presented.kind != SecretKind::ClientSecret {
            return Ok(false);
        }
        let KeyCheck::Match(key) = self.secrets().check(&presented, now).await? else {
            return Ok(false);
        };
        let owner = key.standing.client.as_ref().map(|id| id.as_str());
        Ok(key.kind == SecretKind::ClientSecret
            && owner == Some(client_id)
            && key.state == LifeState::Active
            && key.expires_at.is_none_or(|end| now < end))
    }

    /// Whether a client is in force here: known to this node's issuer, suspended or not.
    pub fn knows(&self, client_id: &str) -> bool {
        self.declared().known(client_id).is_some()
    }

    async fn by_secret(
        &self,
        request: &OAuthRequest<'_>,
        declared: &Declared,
        method: ClientAuthMethod,
        client_id: &str,
        secret: &Secret,
    ) -> Outcome<AuthenticatedClient> {
        let presented = issued::parse(secret.expose(), self.brand())
            .map_err(|defect| Refusal::because(Reason::MalformedSecret, defect.code()))?;
        if presented.kind != SecretKind::ClientSecret {
            return Err(Refusal::because(
                Reason::MalformedSecret,
                "another kind of secret",
            ));
        }
        // The secret first, the client afterwards: nothing that the caller can measure depends on
        // whether the client exists.
        let key = match self.secrets().check(&presented, request.now).await? {
            KeyCheck::Unknown => return Err(Reason::UnknownSecret.into()),
            KeyCheck::Mismatch(_) => return Err(Reason::WrongSecret.into()),
            KeyCheck::Match(key) => key,
        };
        let owner = key.standing.client.as_ref().map(|id| id.as_str());
        if key.kind != SecretKind::ClientSecret || owner != Some(client_id) {
            return Err(Reason::ForeignSecret.into());
        }
        // Our own clock on both sides: no leeway.
        let expired = key.expires_at.is_some_and(|end| request.now >= end);
        if key.state != LifeState::Active || expired {
            return Err(Reason::DeadSecret.into());
        }
        let client = declared.known(client_id).ok_or(Reason::UnknownClient)?;
        if presented.environment != client.environment
            || key.standing.environment != Some(client.environment)
        {
            return Err(Reason::WrongEnvironment.into());
        }
        if client.method != method {
            return Err(Reason::WrongClientMethod.into());
        }
        Ok(AuthenticatedClient {
            client: client.clone(),
            credential: Some(key.standing.credential.clone()),
        })
    }
}
