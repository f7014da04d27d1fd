//! **Client registration** (RFC 7591, RFC 7592, OpenID Connect Dynamic Client Registration): whoever
//! holds an initial access token makes a client of their own within the policy, and manages that one
//! client with the token that comes with it. A registered client is a resource like any other: an
//! administrator sees it, changes it, removes it. Nothing here reaches a client that was not
//! registered, and what an update writes is held to the policy as if it were new.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

use proof::issued::{Environment, SecretKind};
use proof::password::Verifier;
use proof::random::random_base62;
use proof::secret::Secret;
use proof::time::Timestamp;
use serde_json::{Map, Value};
use url::Url;
use verdict::identity::{CredentialId, LifeState};

use super::credential::{self, Made, add, expiry_is_sound, fresh, label_is_sound};
use super::resource::{self, PutResource};
use super::{Ctx, Details, Hasher, Refusal, admin_key, authorize, draft};
use crate::access::Action;
use crate::actor::Actor;
use crate::client::{ClientMeaning, ClientSpec};
use crate::credential::{Credential, CredentialType, Grant, Moved, Transition};
use crate::document::{Document, Name, Spec};
use crate::meaning::client_alone;
use crate::ports::{CredentialFilter, Registry, StoreError};
use crate::registration::{
    MetadataCode, MetadataFlaw, Policy, from_metadata, sector_holds, sector_identifier_uri,
};
use crate::resource::{ResourceKind, Stored};

/// What the names of registered clients begin with.
pub const CLIENT_PREFIX: &str = "dyn-";
/// Digits behind it: more than 120 random bits.
const CLIENT_DIGITS: usize = 24;
/// How long an initial access token lives unless said otherwise.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// How often a use is taken off again when somebody else took one in the same moment.
const SPEND_ATTEMPTS: usize = 20;
/// The most credentials asked for at once.
const PAGE: u32 = 1000;
/// Why a token that was counted down opens nothing.
const USED_UP: &str = "a token that was used up";
/// The same of one that was revoked in this moment.
const ENDED: &str = "a token that ended meanwhile";
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
    /// How long a client's secret lives; `None`: it does not end by itself.
    pub secret_lifetime: Option<Duration>,
}

/// A document that is being fetched; `None`: it can't be had.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Option<Value>> + Send + 'a>>;

/// Where clients publish the redirect URIs of their sector. The address is a stranger's, so who
/// implements this fetches safely: bounded, over HTTPS, without redirects, to no private network.
pub trait Sectors: Send + Sync {
    /// The JSON document at an https URL.
    fn fetch<'a>(&'a self, at: &'a Url) -> Fetched<'a>;
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
    /// When that ends by itself.
    pub secret_ends: Option<Timestamp>,
    /// Its registration access token, if it was made now.
    pub token: Option<Secret>,
}

/// An initial access token to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewInitialToken<'a> {
    /// For whom it is.
    pub label: &'a str,
    /// The wall that its clients stand behind.
    pub environment: Environment,
    /// How many clients may be registered with it; `None`: as many as there may be.
    pub uses: Option<u32>,
    /// When it ends by itself; `None`: after [`DEFAULT_LIFETIME`].
    pub expires_at: Option<Timestamp>,
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
    new: NewInitialToken<'_>,
) -> Result<Made, Refusal> {
    authorize(actor, Action::RegistrationTokenCreate)?;
    label_is_sound(new.label)?;
    if new.label.is_empty() {
        return Err(Refusal::Invalid {
            field: "label",
            message: "say for whom the token is, for the audit trail",
        });
    }
    if new.uses == Some(0) {
        return Err(Refusal::Invalid {
            field: "uses",
            message: "a token is of use once at least",
        });
    }
    expiry_is_sound(ctx, new.expires_at)?;
    let r#type = CredentialType::InitialAccessToken;
    let mut made = fresh(hasher, ctx, admin_key::NO_OWNER, r#type, new.environment).await?;
    new.label.clone_into(&mut made.credential.label);
    made.credential.grant.uses = new.uses;
    let ends = new.expires_at.unwrap_or(ctx.now.plus(DEFAULT_LIFETIME));
    made.credential.expires_at = Some(ends);
    add(ports, actor, ctx, Action::RegistrationTokenCreate, made).await
}

/// Registers a client. `token` is the bearer token that was presented, if one was.
///
/// # Errors
/// [`Denial`]; nothing was registered then.
pub async fn register(
    ports: &impl Registry,
    hasher: &impl Hasher,
    sectors: &dyn Sectors,
    ctx: &Ctx<'_>,
    rules: &Rules,
    token: Option<&[u8]>,
    metadata: &Map<String, Value>,
) -> Result<Registered, Denial> {
    let (actor, initial) = registrant(ports, ctx, rules, token).await?;
    let spec = from_metadata(metadata, &rules.policy)?;
    let clients = ports.resources(Some(ResourceKind::Client)).await?;
    let registered = clients
        .iter()
        .filter(|one| one.name.starts_with(CLIENT_PREFIX));
    if registered.count() >= rules.max_clients {
        return Err(Denial::Full);
    }
    is_in_its_sector(sectors, metadata, &spec).await?;
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
    if let Some(initial) = initial {
        spend(ports, &actor, ctx, initial).await?;
    }
    write(ports, &actor, ctx, &name, spec, 0).await?;
    let secret = match secret {
        Some(made) => Some(keep_secret(ports, &actor, ctx, rules, made).await?),
        None => None,
    };
    let action = Action::RegistrationTokenCreate;
    let token = keep(ports, &actor, ctx, action, management).await?;
    let (secret, secret_ends) = secret.unzip();
    Ok(Registered {
        client: read(ports, ctx, &name).await?,
        issued_at: ctx.now,
        secret: secret.flatten(),
        secret_ends: secret_ends.flatten(),
        token,
    })
}

/// A client that names its sector has its redirect URIs held to the list there, each time that it
/// writes them (OpenID Registration §5). Asked last, since it costs a fetch.
async fn is_in_its_sector(
    sectors: &dyn Sectors,
    metadata: &Map<String, Value>,
    spec: &ClientSpec,
) -> Result<(), Denial> {
    let Some(at) = sector_identifier_uri(metadata)? else {
        return Ok(());
    };
    let list = sectors.fetch(&at).await;
    let list = list.ok_or_else(|| {
        flaw("sector_identifier_uri: there is no document that can be fetched".to_owned())
    })?;
    Ok(sector_holds(spec, &list)?)
}

/// Takes one use off an initial access token that has so many and no more. It is off before the
/// client is written: a registration that fails then costs a use, and none goes uncounted.
async fn spend(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    mut token: Credential,
) -> Result<(), Denial> {
    authorize(actor, Action::RegistrationTokenUse)?;
    for _ in 0..SPEND_ATTEMPTS {
        let Some(uses) = token.grant.uses else {
            return Ok(());
        };
        let left = uses.checked_sub(1).ok_or(Denial::Token(USED_UP))?;
        let details = Details::from([("left".to_owned(), left.to_string())]);
        let subject = credential::subject(&token);
        let audit = draft(ctx, actor, Action::RegistrationTokenUse, subject, details);
        let step = Transition::Amend {
            label: token.label.clone(),
            grant: Grant {
                uses: Some(left),
                ..token.grant.clone()
            },
            expires_at: token.expires_at,
        };
        let moved = ports.move_credential(&token.id, step, Some(token.version), audit);
        match moved.await? {
            Moved::Done(_) => return Ok(()),
            Moved::Unknown | Moved::WrongState(_) => return Err(Denial::Token(ENDED)),
            // Somebody else spent one in this moment, or an administrator changed it.
            Moved::Conflict { .. } => {}
        }
        let again = ports.credential(&token.id).await?;
        token = again
            .filter(|token| token.is_valid_at(ctx.now))
            .ok_or(Denial::Token(ENDED))?;
    }
    Err(Denial::Token("a token that many use at once"))
}

/// Keeps a client's secret for as long as the rules let it live.
async fn keep_secret(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    rules: &Rules,
    mut made: Made,
) -> Result<(Option<Secret>, Option<Timestamp>), Refusal> {
    let ends = rules.secret_lifetime.map(|life| ctx.now.plus(life));
    made.credential.expires_at = ends;
    let kept = keep(ports, actor, ctx, Action::ClientSecretCreate, made).await?;
    Ok((kept, ends))
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
) -> Result<(Actor, Option<Credential>), Denial> {
    let Some(token) = token else {
        return match rules.open {
            true => Ok((Actor::Registrant { token: None }, None)),
            false => Err(Denial::Token("no initial access token")),
        };
    };
    let found = holder(ports, ctx, token, CredentialType::InitialAccessToken).await?;
    if found.environment != rules.policy.environment {
        return Err(Denial::Token("a token of the other wall"));
    }
    if found.grant.uses == Some(0) {
        return Err(Denial::Token(USED_UP));
    }
    let actor = Actor::Registrant {
        token: Some(CredentialId::new(found.id.as_str())),
    };
    Ok((actor, Some(found)))
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
    /// The credential that they showed.
    token: String,
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
/// [`Denial::Token`] alike for a wrong token, another client's, and a client that is not there or is
/// suspended.
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
    // One at a time, whatever overlap an administrator replaced it with: an update replaces it too.
    if found.successor.is_some() {
        return Err(Denial::Token("a token that was replaced"));
    }
    let client = ports
        .resource(ResourceKind::Client, client_id)
        .await?
        .ok_or(Denial::Token("no such client"))?;
    // It stays as it is until it is resumed: it can't change, and can't take itself out of sight.
    if is_suspended(&client)? {
        return Err(Denial::Token("a suspended client's token"));
    }
    Ok(Manager {
        actor: Actor::Registrant {
            token: Some(CredentialId::new(found.id.as_str())),
        },
        token: found.id,
        client,
    })
}

fn is_suspended(client: &Stored) -> Result<bool, StoreError> {
    let spec = resource::document(client)?.spec;
    Ok(matches!(spec, Spec::Client(spec) if spec.suspended))
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
        secret_ends: None,
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
/// that begins to use a secret gets one, one whose secret is about to end gets the next, and one
/// that stops loses them. The registration access token is replaced, so that one which was lost or
/// seen opens nothing any more. The caller has compared `client_secret`.
///
/// # Errors
/// [`Denial`]; nothing was changed then.
pub async fn replace(
    ports: &impl Registry,
    hasher: &impl Hasher,
    sectors: &dyn Sectors,
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
    let mut spec = from_metadata(metadata, &rules.policy)?;
    is_in_its_sector(sectors, metadata, &spec).await?;
    // Nobody can wish for a life of tokens: where an administrator shortened it, it stays short. Nor
    // for other networks.
    if let Spec::Client(before) = resource::document(&manager.client)?.spec {
        spec.token_lifetime = before.token_lifetime;
        spec.networks = before.networks;
    }
    let uses_secret = spec.auth_method.uses_secret();
    let lasting = ctx.now.plus(rules.secret_lifetime.unwrap_or_default() / 4);
    let mut secrets = standing(ports, CredentialType::ClientSecret, name).await?;
    secrets.retain(|one| one.is_valid_at(lasting));
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
        Some(made) => Some(keep_secret(ports, actor, ctx, rules, made).await?),
        None => None,
    };
    if !uses_secret {
        end(ports, ctx, actor, CredentialType::ClientSecret, name).await?;
    }
    let overlap = Some(Duration::ZERO);
    let rotated = credential::rotate(ports, hasher, actor, ctx, &manager.token, overlap, None);
    let token = match rotated.await {
        Ok(replaced) => replaced.new.secret,
        // Of two updates at once with one token, the other got the next.
        Err(Refusal::AlreadyRotated { .. } | Refusal::WrongState(_) | Refusal::Expired) => {
            return Err(Denial::Token("a token that was replaced meanwhile"));
        }
        Err(other) => return Err(other.into()),
    };
    let (secret, secret_ends) = secret.unzip();
    Ok(Registered {
        secret: secret.flatten(),
        secret_ends: secret_ends.flatten(),
        token,
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
    let mut filter = CredentialFilter {
        types: vec![r#type],
        owner: Some(owner.to_owned()),
        after: None,
        limit: PAGE,
    };
    let mut standing = Vec::new();
    // Each update leaves a token behind that ended, so there may be many.
    loop {
        let page = ports.credentials(&filter).await?;
        let last = page.last().map(|one| one.id.clone());
        let full = u32::try_from(page.len()).is_ok_and(|length| length == PAGE);
        let of_page = page.into_iter();
        standing.extend(of_page.filter(|one| one.state != LifeState::Revoked));
        if !full {
            return Ok(standing);
        }
        filter.after = last;
    }
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
