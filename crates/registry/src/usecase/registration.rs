//! **Client registration** (RFC 7591, RFC 7592, OpenID Connect Dynamic Client Registration): whoever
//! holds an initial access token makes a client of their own within the policy, and manages that one
//! client with the token that comes with it. A registered client is a resource like any other: an
//! administrator sees it, changes it, removes it. Nothing here reaches a client that was not
//! registered, and what an update writes is held to the policy as if it were new.

use core::time::Duration;

use proof::issued::{Environment, SecretKind};
use proof::password::Verifier;
use proof::random::random_base62;
use proof::secret::Secret;
use proof::time::Timestamp;
use serde_json::{Map, Value};
use verdict::identity::{CredentialId, LifeState};

use super::credential::{self, Made, add, expiry_is_sound, fresh, label_is_sound};
use super::resource::{self, PutResource};
use super::{Ctx, Hasher, Refusal, admin_key, authorize};
use crate::access::Action;
use crate::actor::Actor;
use crate::client::{ClientMeaning, ClientSpec};
use crate::credential::{Credential, CredentialType};
use crate::document::{Document, Name, Spec};
use crate::meaning::client_alone;
use crate::ports::{CredentialFilter, Registry, StoreError};
use crate::registration::{MetadataCode, MetadataFlaw, Policy, from_metadata};
use crate::resource::{ResourceKind, Stored};

/// What the names of registered clients begin with.
pub const CLIENT_PREFIX: &str = "dyn-";
/// Digits behind it: more than 120 random bits.
const CLIENT_DIGITS: usize = 24;
/// How long an initial access token lives unless said otherwise.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// Names for people of what is made here.
const LABEL: &str = "registered";

/// Who may register what.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// What may be registered.
    pub policy: Policy,
    /// Whether nobody needs an initial access token.
    pub open: bool,
    /// How many registered clients there may be. Registrations at the same moment may pass it by
    /// as many as they are.
    pub max_clients: usize,
}

/// Why nothing was registered, shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// No token, a wrong one, or one for something else: the same for a client that is not there.
    /// The text is for the log.
    #[error("no access: {0}")]
    Token(&'static str),
    /// The metadata can't be registered.
    #[error(transparent)]
    Metadata(#[from] MetadataFlaw),
    /// There are as many clients as there may be.
    #[error("there are as many registered clients as there may be")]
    Full,
    /// Anything else.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<StoreError> for Denial {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// A client as whoever registered it sees it.
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: ClientMeaning,
    /// When it was registered.
    pub issued_at: Timestamp,
    /// Its secret, if it was made now.
    pub secret: Option<Secret>,
    /// Its registration access token, if it was made now.
    pub token: Option<Secret>,
}

/// Makes an initial access token.
///
/// # Errors
/// [`Refusal`].
pub async fn create_initial_token(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    label: &str,
    environment: Environment,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    authorize(actor, Action::RegistrationTokenCreate)?;
    label_is_sound(label)?;
    if label.is_empty() {
        return Err(Refusal::Invalid {
            field: "label",
            message: "say for whom the token is, for the audit trail",
        });
    }
    expiry_is_sound(ctx, expires_at)?;
    let r#type = CredentialType::InitialAccessToken;
    let mut made = fresh(hasher, ctx, admin_key::NO_OWNER, r#type, environment).await?;
    label.clone_into(&mut made.credential.label);
    made.credential.expires_at = Some(expires_at.unwrap_or(ctx.now.plus(DEFAULT_LIFETIME)));
    add(ports, actor, ctx, Action::RegistrationTokenCreate, made).await
}

/// Registers a client. `token` is the bearer token that was presented, if one was.
///
/// # Errors
/// [`Denial`]; nothing was registered then.
pub async fn register(
    ports: &impl Registry,
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
    rules: &Rules,
    token: Option<&[u8]>,
    metadata: &Map<String, Value>,
) -> Result<Registered, Denial> {
    let actor = registrant(ports, ctx, rules, token).await?;
    let spec = from_metadata(metadata, &rules.policy)?;
    let clients = ports.resources(Some(ResourceKind::Client)).await?;
    let registered = clients
        .iter()
        .filter(|one| one.name.starts_with(CLIENT_PREFIX));
    if registered.count() >= rules.max_clients {
        return Err(Denial::Full);
    }
    let name = format!(
        "{CLIENT_PREFIX}{}",
        random_base62(CLIENT_DIGITS, ctx.entropy).to_ascii_lowercase()
    );
    // What can fail for reasons of its own goes first: a client without its token is nobody's.
    let wall = spec.environment;
    let made = |r#type| fresh(hasher, ctx, &name, r#type, wall);
    let secret = match spec.auth_method.uses_secret() {
        true => Some(made(CredentialType::ClientSecret).await?),
        false => None,
    };
    let management = made(CredentialType::RegistrationAccessToken).await?;
    write(ports, &actor, ctx, &name, spec, 0).await?;
    let secret = match secret {
        Some(made) => keep(ports, &actor, ctx, Action::ClientSecretCreate, made).await?,
        None => None,
    };
    let action = Action::RegistrationTokenCreate;
    let token = keep(ports, &actor, ctx, action, management).await?;
    Ok(Registered {
        client: read(ports, ctx, &name).await?,
        issued_at: ctx.now,
        secret,
        token,
    })
}

async fn keep(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    action: Action,
    mut made: Made,
) -> Result<Option<Secret>, Refusal> {
    LABEL.clone_into(&mut made.credential.label);
    Ok(add(ports, actor, ctx, action, made).await?.secret)
}

/// Who registers: the holder of an initial access token behind the same wall, or anybody.
async fn registrant(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    rules: &Rules,
    token: Option<&[u8]>,
) -> Result<Actor, Denial> {
    let Some(token) = token else {
        return match rules.open {
            true => Ok(Actor::Registrant { token: None }),
            false => Err(Denial::Token("no initial access token")),
        };
    };
    let found = holder(ports, ctx, token, CredentialType::InitialAccessToken).await?;
    if found.environment != rules.policy.environment {
        return Err(Denial::Token("a token of the other wall"));
    }
    Ok(Actor::Registrant {
        token: Some(CredentialId::new(found.id.as_str())),
    })
}

/// The credential behind a presented token, if it is of the type and valid.
async fn holder(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    token: &[u8],
    r#type: CredentialType,
) -> Result<Credential, Denial> {
    let presented = proof::issued::parse(token, &ctx.context.brand)
        .map_err(|defect| Denial::Token(defect.code()))?;
    if presented.kind != SecretKind::RegistrationToken {
        return Err(Denial::Token("a secret of another kind"));
    }
    let found = ports
        .credential_by_key_id(presented.id)
        .await?
        .ok_or(Denial::Token("no such token"))?;
    let verifier = Verifier::parse(&found.verifier)
        .map_err(|defect| StoreError::Broken(defect.code().to_owned()))?;
    // The verifier covers the whole text, so kind and wall are the ones that it was made with.
    if !verifier.verify(presented.whole, None) {
        return Err(Denial::Token("a wrong token"));
    }
    if found.r#type != r#type {
        return Err(Denial::Token("a token for something else"));
    }
    if !found.is_valid_at(ctx.now) {
        return Err(Denial::Token("a token whose time is over"));
    }
    Ok(found)
}

/// Whoever manages a client that they registered. Made by [`manager`] alone.
#[derive(Debug)]
pub struct Manager {
    actor: Actor,
    client: Stored,
}

impl Manager {
    /// The client's `client_id`.
    pub fn client_id(&self) -> &str {
        &self.client.name
    }
    /// Who that is in the audit trail.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
}

/// The holder of a client's registration access token.
///
/// # Errors
/// [`Denial::Token`] alike for a wrong token, another client's, and a client that is not there.
pub async fn manager(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    client_id: &str,
    token: Option<&[u8]>,
) -> Result<Manager, Denial> {
    let token = token.ok_or(Denial::Token("no registration access token"))?;
    let found = holder(ports, ctx, token, CredentialType::RegistrationAccessToken).await?;
    if found.owner != client_id {
        return Err(Denial::Token("another client's token"));
    }
    let client = ports
        .resource(ResourceKind::Client, client_id)
        .await?
        .ok_or(Denial::Token("no such client"))?;
    Ok(Manager {
        actor: Actor::Registrant {
            token: Some(CredentialId::new(found.id.as_str())),
        },
        client,
    })
}

/// The client as it is (RFC 7592 §2.1).
///
/// # Errors
/// [`Denial`].
pub async fn show(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    manager: &Manager,
) -> Result<Registered, Denial> {
    Ok(Registered {
        client: read(ports, ctx, manager.client_id()).await?,
        issued_at: manager.client.created_at,
        secret: None,
        token: None,
    })
}

/// Members that an update must not hold (RFC 7592 §2.2): they are ours to say.
const OURS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// Puts new metadata in the place of the old (RFC 7592 §2.2): what is left out is gone. A client
/// that begins to use a secret gets one, and one that stops loses them. The caller has compared
/// `client_secret`.
///
/// # Errors
/// [`Denial`]; nothing was changed then.
pub async fn replace(
    ports: &impl Registry,
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
    rules: &Rules,
    manager: &Manager,
    metadata: &Map<String, Value>,
) -> Result<Registered, Denial> {
    let name = manager.client_id();
    if metadata.get("client_id").and_then(Value::as_str) != Some(name) {
        return Err(flaw("client_id is not this client's".to_owned()));
    }
    if let Some(member) = OURS.iter().find(|one| metadata.contains_key(**one)) {
        return Err(flaw(format!("{member} has no place in an update")));
    }
    let spec = from_metadata(metadata, &rules.policy)?;
    let uses_secret = spec.auth_method.uses_secret();
    let secrets = valid(ports, ctx, CredentialType::ClientSecret, name).await?;
    let made = match uses_secret && secrets.is_empty() {
        true => {
            let r#type = CredentialType::ClientSecret;
            Some(fresh(hasher, ctx, name, r#type, spec.environment).await?)
        }
        false => None,
    };
    let actor = &manager.actor;
    write(ports, actor, ctx, name, spec, manager.client.version).await?;
    let secret = match made {
        Some(made) => keep(ports, actor, ctx, Action::ClientSecretCreate, made).await?,
        None => None,
    };
    if !uses_secret {
        end(ports, ctx, actor, CredentialType::ClientSecret, name).await?;
    }
    Ok(Registered {
        secret,
        ..show(ports, ctx, manager).await?
    })
}

/// Removes the client with its secrets and tokens of registration (RFC 7592 §2.3). Its grants and
/// its access tokens are the issuer's to end, before.
///
/// # Errors
/// [`Denial`].
pub async fn remove(ports: &impl Registry, ctx: &Ctx<'_>, manager: &Manager) -> Result<(), Denial> {
    let (actor, name) = (&manager.actor, manager.client_id());
    authorize(actor, Action::ResourceDelete)?;
    end(ports, ctx, actor, CredentialType::ClientSecret, name).await?;
    let r#type = CredentialType::RegistrationAccessToken;
    end(ports, ctx, actor, r#type, name).await?;
    resource::remove(ports, actor, ctx, ResourceKind::Client, name, None).await?;
    Ok(())
}

async fn write(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    name: &str,
    spec: ClientSpec,
    expected: i64,
) -> Result<(), Refusal> {
    let name = Name::new(name).map_err(|_| Refusal::Invalid {
        field: "client_id",
        message: "it is no name",
    })?;
    let input = PutResource {
        document: Document {
            name,
            spec: Spec::Client(Box::new(spec)),
        },
        expected: Some(expected),
    };
    resource::put(ports, actor, ctx, input).await.map(drop)
}

/// The client as it is meant, whatever is wrong with others.
async fn read(ports: &impl Registry, ctx: &Ctx<'_>, name: &str) -> Result<ClientMeaning, Denial> {
    let documents = resource::documents(&ports.resources(None).await?)?;
    client_alone(&documents, ctx.context, name).ok_or_else(|| {
        StoreError::Broken(format!("the registered client {name} means nothing")).into()
    })
}

/// Credentials of a client that are not revoked.
async fn standing(
    ports: &impl Registry,
    r#type: CredentialType,
    owner: &str,
) -> Result<Vec<Credential>, StoreError> {
    let filter = CredentialFilter {
        types: vec![r#type],
        owner: Some(owner.to_owned()),
        after: None,
        limit: 1000,
    };
    let mut found = ports.credentials(&filter).await?;
    found.retain(|one| one.state != LifeState::Revoked);
    Ok(found)
}

async fn valid(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    r#type: CredentialType,
    owner: &str,
) -> Result<Vec<Credential>, StoreError> {
    let mut found = standing(ports, r#type, owner).await?;
    found.retain(|one| one.is_valid_at(ctx.now));
    Ok(found)
}

async fn end(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    actor: &Actor,
    r#type: CredentialType,
    owner: &str,
) -> Result<(), Refusal> {
    for one in standing(ports, r#type, owner).await? {
        credential::revoke(ports, actor, ctx, &one.id, None).await?;
    }
    Ok(())
}

fn flaw(description: String) -> Denial {
    Denial::Metadata(MetadataFlaw {
        code: MetadataCode::InvalidClientMetadata,
        description,
    })
}

#[cfg(test)]
mod tests;
