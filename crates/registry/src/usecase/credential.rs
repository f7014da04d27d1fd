//! What all credentials have in common: they are listed, put to sleep, woken up, changed, replaced
//! with an overlap, ended. How each type is made stands beside its own rules.

use core::time::Duration;

use proof::digest::{hex, sha256};
use proof::issued::{Issued, SecretKind};
use proof::password::Verifier;
use proof::random::uuid_v7;
use proof::secret::Secret;
use proof::time::Timestamp;
use verdict::identity::LifeState;

use super::{
    Ctx, Details, HashPurpose, Hasher, Refusal, admin_key, api_key, authorize, draft, owned_secret,
};
use crate::access::Action;
use crate::actor::Actor;
use crate::credential::{Credential, CredentialType, Grant, Lookup, Moved, Rotated, Transition};
use crate::ports::{CredentialFilter, Registry, StoreError};

/// How long the old credential stays valid beside its successor, unless said otherwise.
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(7 * 86_400);
/// The longest overlap.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(90 * 86_400);
/// Longest label in bytes.
const LONGEST_LABEL: usize = 200;

/// Credentials that share their rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Secret and publishable API keys.
    ApiKey,
    /// Clients' secrets.
    ClientSecret,
    /// Accounts' passwords.
    Password,
    /// People's passwords.
    UserPassword,
    /// Administrators' keys.
    AdminKey,
    /// Initial and registration access tokens.
    RegistrationToken,
    /// What applications sign requests with.
    SigningSecret,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 7] = [
        Self::ApiKey,
        Self::ClientSecret,
        Self::Password,
        Self::UserPassword,
        Self::AdminKey,
        Self::RegistrationToken,
        Self::SigningSecret,
    ];

    /// Its types.
    pub fn types(self) -> &'static [CredentialType] {
        match self {
            Self::ApiKey => &[CredentialType::ApiKey, CredentialType::PublishableKey],
            Self::ClientSecret => &[CredentialType::ClientSecret],
            Self::Password => &[CredentialType::Password],
            Self::UserPassword => &[CredentialType::UserPassword],
            Self::AdminKey => &[CredentialType::AdminKey],
            Self::RegistrationToken => &[
                CredentialType::InitialAccessToken,
                CredentialType::RegistrationAccessToken,
            ],
            Self::SigningSecret => &[CredentialType::SigningSecret],
        }
    }
    /// The family of a public id, by its prefix.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| id.starts_with(family.types()[0].id_prefix()))
    }
    /// The family of a type.
    pub fn of(r#type: CredentialType) -> Self {
        match r#type {
            CredentialType::ApiKey | CredentialType::PublishableKey => Self::ApiKey,
            CredentialType::ClientSecret => Self::ClientSecret,
            CredentialType::Password => Self::Password,
            CredentialType::UserPassword => Self::UserPassword,
            CredentialType::AdminKey => Self::AdminKey,
            CredentialType::InitialAccessToken | CredentialType::RegistrationAccessToken => {
                Self::RegistrationToken
            }
            CredentialType::SigningSecret => Self::SigningSecret,
        }
    }
    /// Its name in events and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::RegistrationToken => "registration_token",
            other => other.types()[0].name(),
        }
    }

    fn action(self, act: Act) -> Action {
        use Action as A;
        match (self, act) {
            (Self::ApiKey, Act::Read) => A::ApiKeyRead,
            (Self::ApiKey, Act::Amend) => A::ApiKeyAmend,
            (Self::ApiKey, Act::Suspend) => A::ApiKeySuspend,
            (Self::ApiKey, Act::Resume) => A::ApiKeyResume,
            (Self::ApiKey, Act::Rotate) => A::ApiKeyRotate,
            (Self::ApiKey, Act::Revoke) => A::ApiKeyRevoke,
            (Self::ClientSecret, Act::Read) => A::ClientSecretRead,
            (Self::ClientSecret, Act::Amend) => A::ClientSecretAmend,
            (Self::ClientSecret, Act::Suspend) => A::ClientSecretSuspend,
            (Self::ClientSecret, Act::Resume) => A::ClientSecretResume,
            (Self::ClientSecret, Act::Rotate) => A::ClientSecretRotate,
            (Self::ClientSecret, Act::Revoke) => A::ClientSecretRevoke,
            (Self::Password, Act::Read) => A::PasswordRead,
            (Self::Password, Act::Amend) => A::PasswordAmend,
            (Self::Password, Act::Suspend) => A::PasswordSuspend,
            (Self::Password, Act::Resume) => A::PasswordResume,
            (Self::Password, Act::Rotate) => A::PasswordRotate,
            (Self::Password, Act::Revoke) => A::PasswordRevoke,
            (Self::UserPassword, Act::Read) => A::UserPasswordRead,
            (Self::UserPassword, Act::Amend) => A::UserPasswordAmend,
            (Self::UserPassword, Act::Suspend) => A::UserPasswordSuspend,
            (Self::UserPassword, Act::Resume) => A::UserPasswordResume,
            (Self::UserPassword, Act::Rotate) => A::UserPasswordRotate,
            (Self::UserPassword, Act::Revoke) => A::UserPasswordRevoke,
            (Self::AdminKey, Act::Read) => A::AdminKeyRead,
            (Self::AdminKey, Act::Amend) => A::AdminKeyAmend,
            (Self::AdminKey, Act::Suspend) => A::AdminKeySuspend,
            (Self::AdminKey, Act::Resume) => A::AdminKeyResume,
            (Self::AdminKey, Act::Rotate) => A::AdminKeyRotate,
            (Self::AdminKey, Act::Revoke) => A::AdminKeyRevoke,
            (Self::RegistrationToken, Act::Read) => A::RegistrationTokenRead,
            (Self::RegistrationToken, Act::Amend) => A::RegistrationTokenAmend,
            (Self::RegistrationToken, Act::Suspend) => A::RegistrationTokenSuspend,
            (Self::RegistrationToken, Act::Resume) => A::RegistrationTokenResume,
            (Self::RegistrationToken, Act::Rotate) => A::RegistrationTokenRotate,
            (Self::RegistrationToken, Act::Revoke) => A::RegistrationTokenRevoke,
            (Self::SigningSecret, Act::Read) => A::SigningSecretRead,
            (Self::SigningSecret, Act::Amend) => A::SigningSecretAmend,
            (Self::SigningSecret, Act::Suspend) => A::SigningSecretSuspend,
            (Self::SigningSecret, Act::Resume) => A::SigningSecretResume,
            (Self::SigningSecret, Act::Rotate) => A::SigningSecretRotate,
            (Self::SigningSecret, Act::Revoke) => A::SigningSecretRevoke,
        }
    }
}

/// What is done to a credential that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Read,
    Amend,
    Suspend,
    Resume,
    Rotate,
    Revoke,
}

/// A credential that was just made. Its secret is shown once and then gone.
#[derive(Debug)]
pub struct Made {
    /// What is stored.
    pub credential: Credential,
    /// The secret in clear: a key's whole text, or a password. `None` where the caller gave it.
    pub secret: Option<Secret>,
}

/// A credential that was just replaced.
#[derive(Debug)]
pub struct Replaced {
    /// The old one with its new expiry.
    pub old: Credential,
    /// The new one.
    pub new: Made,
}

/// What may be changed of a credential that exists; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Amendment {
    /// A name for people.
    pub label: Option<String>,
    /// What it may do: API keys, and the role of administrators.
    pub grant: Option<Grant>,
    /// When it ends; `Some(None)`: never by itself.
    pub expires_at: Option<Option<Timestamp>>,
}

/// Credentials of a family, by filter; the filter's types are ignored.
///
/// # Errors
/// [`Refusal`].
pub async fn list(
    ports: &impl Registry,
    actor: &Actor,
    family: Family,
    filter: CredentialFilter,
) -> Result<Vec<Credential>, Refusal> {
    authorize(actor, family.action(Act::Read))?;
    if !(1..=1000).contains(&filter.limit) {
        return Err(Refusal::Invalid {
            field: "limit",
            message: "a limit is 1 to 1000",
        });
    }
    let filter = CredentialFilter {
        types: family.types().to_vec(),
        ..filter
    };
    Ok(ports.credentials(&filter).await?)
}

/// One credential.
///
/// # Errors
/// [`Refusal::NotFound`] and others.
pub async fn show(ports: &impl Registry, actor: &Actor, id: &str) -> Result<Credential, Refusal> {
    found(ports, actor, id, Act::Read)
        .await
        .map(|(credential, _)| credential)
}

/// Puts an active credential to sleep.
///
/// # Errors
/// [`Refusal`].
pub async fn suspend(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    id: &str,
    expected: Option<i64>,
) -> Result<Credential, Refusal> {
    let (credential, action) = found(ports, actor, id, Act::Suspend).await?;
    admin_key::leaves_an_owner(ports, ctx, &credential, None).await?;
    moved(
        ports,
        actor,
        ctx,
        &credential,
        action,
        Transition::Suspend,
        expected,
    )
    .await
}

/// Wakes a suspended credential up.
///
/// # Errors
/// [`Refusal`].
pub async fn resume(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    id: &str,
    expected: Option<i64>,
) -> Result<Credential, Refusal> {
    let (credential, action) = found(ports, actor, id, Act::Resume).await?;
    moved(
        ports,
        actor,
        ctx,
        &credential,
        action,
        Transition::Resume,
        expected,
    )
    .await
}

/// Ends a credential for good.
///
/// # Errors
/// [`Refusal::LastOwner`] and others.
pub async fn revoke(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    id: &str,
    expected: Option<i64>,
) -> Result<Credential, Refusal> {
    let (credential, action) = found(ports, actor, id, Act::Revoke).await?;
    admin_key::leaves_an_owner(ports, ctx, &credential, None).await?;
    moved(
        ports,
        actor,
        ctx,
        &credential,
        action,
        Transition::Revoke,
        expected,
    )
    .await
}

/// Changes label, grant or expiry of a credential that is not revoked.
///
/// # Errors
/// [`Refusal`].
pub async fn amend(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    id: &str,
    amendment: Amendment,
    expected: Option<i64>,
) -> Result<Credential, Refusal> {
    let (credential, action) = found(ports, actor, id, Act::Amend).await?;
    let label = amendment.label.unwrap_or_else(|| credential.label.clone());
    label_is_sound(&label)?;
    let grant = amendment.grant.unwrap_or_else(|| credential.grant.clone());
    let expires_at = amendment.expires_at.unwrap_or(credential.expires_at);
    // A rotated credential ends with its overlap; to live longer would undo the rotation unseen.
    let lengthens = match (expires_at, credential.expires_at) {
        (Some(new), Some(old)) => new > old,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if lengthens && let Some(successor) = credential.successor {
        return Err(Refusal::AlreadyRotated { successor });
    }
    let after = Credential {
        label,
        grant,
        expires_at,
        ..credential.clone()
    };
    match Family::of(credential.r#type) {
        Family::SigningSecret if !after.grant.origins.is_empty() => {
            return Err(Refusal::Invalid {
                field: "origins",
                message: "origins bind publishable API keys; a signing key is none",
            });
        }
        Family::ApiKey | Family::SigningSecret => {
            api_key::grant_is_sound(ports, ctx, &after).await?;
        }
        Family::AdminKey => {
            admin_key::role_of(&after).ok_or(Refusal::Invalid {
                field: "roles",
                message: "an administrator has one role: owner, operator or auditor",
            })?;
            admin_key::leaves_an_owner(ports, ctx, &credential, Some(&after)).await?;
        }
        // What they may do stands in their owner's document.
        Family::ClientSecret
        | Family::Password
        | Family::UserPassword
        | Family::RegistrationToken
            if after.grant != credential.grant =>
        {
            return Err(Refusal::Invalid {
                field: "grant",
                message: "what it may do stands in the document of its client, account or user",
            });
        }
        Family::ClientSecret
        | Family::Password
        | Family::UserPassword
        | Family::RegistrationToken => {}
    }
    let Credential {
        label,
        grant,
        expires_at,
        ..
    } = after;
    let transition = Transition::Amend {
        label,
        grant,
        expires_at,
    };
    moved(ports, actor, ctx, &credential, action, transition, expected).await
}

/// Replaces an active credential by a new one with the same grant. Both are valid for `overlap`
/// ([`DEFAULT_OVERLAP`] if `None`; zero: the old one ends at once).
///
/// # Errors
/// [`Refusal`].
pub async fn rotate(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    id: &str,
    overlap: Option<Duration>,
    expires_at: Option<Timestamp>,
) -> Result<Replaced, Refusal> {
    let (old, action) = found(ports, actor, id, Act::Rotate).await?;
    // It keeps its public name, so it has a use case of its own.
    if Family::of(old.r#type) == Family::SigningSecret {
        return Err(unknown(id));
    }
    let overlap = overlap.unwrap_or(DEFAULT_OVERLAP);
    if overlap > LONGEST_OVERLAP {
        return Err(Refusal::Invalid {
            field: "overlap",
            message: "an overlap is at most 90d",
        });
    }
    // Before hashing, which is dear; the store says it again at the moment it counts.
    if let Some(successor) = &old.successor {
        return Err(Refusal::AlreadyRotated {
            successor: successor.clone(),
        });
    }
    if old.state != LifeState::Active {
        return Err(Refusal::WrongState(old.state));
    }
    if old.is_expired_at(ctx.now) {
        return Err(Refusal::Expired);
    }
    if old.grant.uses.is_some() {
        return Err(Refusal::Invalid {
            field: "uses",
            message: "two tokens would share what is counted: make a new one, and revoke this",
        });
    }
    expiry_is_sound(ctx, expires_at)?;
    let mut new = fresh(hasher, ctx, &old.owner, old.r#type, old.environment).await?;
    new.credential.label.clone_from(&old.label);
    new.credential.grant = old.grant.clone();
    new.credential.expires_at = expires_at.or(old.expires_at);
    let ends = ctx.now.plus(overlap);
    let details = Details::from([
        ("successor".to_owned(), new.credential.id.clone()),
        ("overlap_seconds".to_owned(), overlap.as_secs().to_string()),
    ]);
    let audit = draft(ctx, actor, action, subject(&old), details);
    match ports
        .rotate_credential(&old.id, new.credential.clone(), ends, audit)
        .await?
    {
        Rotated::Done { old, new: stored } => {
            new.credential = stored;
            Ok(Replaced { old, new })
        }
        Rotated::Unknown => Err(unknown(id)),
        Rotated::WrongState(state) => Err(Refusal::WrongState(state)),
        Rotated::AlreadyRotated { successor } => Err(Refusal::AlreadyRotated { successor }),
    }
}

/// A fresh secret of a type with its hash; label, grant and expiry are the caller's to fill in.
pub(super) async fn fresh(
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
    owner: &str,
    r#type: CredentialType,
    environment: proof::issued::Environment,
) -> Result<Made, Refusal> {
    let Some(kind) = r#type.secret_kind() else {
        return owned_secret::fresh_password(hasher, ctx, owner, r#type, environment).await;
    };
    let issued = Issued::generate(&ctx.context.brand, kind, environment, ctx.entropy);
    let verifier = match kind {
        SecretKind::RegistrationToken => quick(&issued.secret)?,
        _ => hasher
            .hash(issued.secret.duplicate(), HashPurpose::Generated)
            .await
            .map_err(Refusal::Hashing)?,
    };
    let credential = Credential {
        id: new_id(ctx, r#type),
        r#type,
        owner: owner.to_owned(),
        label: String::new(),
        environment,
        lookup: Lookup::KeyId(issued.id),
        verifier: verifier.to_stored(),
        display: issued.display_prefix(),
        grant: Grant::default(),
        state: LifeState::Active,
        created_at: ctx.now,
        expires_at: None,
        successor: None,
        signing: None,
        version: 1,
    };
    Ok(Made {
        credential,
        secret: Some(issued.secret),
    })
}

/// The plain hash of what is presented seldom and holds 256 random bits: whoever registers clients
/// must not fill the pool that everybody else's secrets are hashed on.
fn quick(secret: &Secret) -> Result<Verifier, Refusal> {
    let stored = format!("sha256${}", hex(&sha256(secret.expose())));
    Verifier::parse(&stored)
        .map_err(|defect| Refusal::Store(StoreError::Broken(defect.code().to_owned())))
}

/// Stores a credential that was just made.
pub(super) async fn add(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    action: Action,
    made: Made,
) -> Result<Made, Refusal> {
    add_as(ports, actor, ctx, action, made, Details::new()).await
}

/// Stores a credential that was just made; its event says more than of any credential.
pub(super) async fn add_as(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    action: Action,
    mut made: Made,
    mut details: Details,
) -> Result<Made, Refusal> {
    let credential = &made.credential;
    details.extend([
        ("owner".to_owned(), credential.owner.clone()),
        ("label".to_owned(), credential.label.clone()),
        (
            "environment".to_owned(),
            credential.environment.name().to_owned(),
        ),
        ("display".to_owned(), credential.display.clone()),
    ]);
    details.extend(grant_details(&credential.grant));
    let audit = draft(ctx, actor, action, subject(credential), details);
    made.credential = ports.add_credential(made.credential, audit).await?;
    Ok(made)
}

pub(super) fn new_id(ctx: &Ctx<'_>, r#type: CredentialType) -> String {
    format!("{}{}", r#type.id_prefix(), uuid_v7(ctx.now, ctx.entropy))
}

/// A credential as events name it: `api_key/key_…`.
pub(super) fn subject(credential: &Credential) -> String {
    format!("{}/{}", Family::of(credential.r#type).name(), credential.id)
}

fn grant_details(grant: &Grant) -> Details {
    let networks: Vec<_> = grant.networks.iter().map(ToString::to_string).collect();
    let uses: Vec<_> = grant.uses.iter().map(ToString::to_string).collect();
    [
        ("scopes", &grant.scopes),
        ("apis", &grant.apis),
        ("roles", &grant.roles),
        ("networks", &networks),
        ("origins", &grant.origins),
        ("uses", &uses),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(key, list)| (key.to_owned(), list.join(" ")))
    .collect()
}

/// A label that can be shown anywhere.
///
/// # Errors
/// [`Refusal::Invalid`].
pub(super) fn label_is_sound(label: &str) -> Result<(), Refusal> {
    if label.len() > LONGEST_LABEL || label.chars().any(char::is_control) {
        return Err(Refusal::Invalid {
            field: "label",
            message: "a label is at most 200 bytes without control characters",
        });
    }
    Ok(())
}

/// A new credential does not begin dead.
///
/// # Errors
/// [`Refusal::Invalid`].
pub(super) fn expiry_is_sound(ctx: &Ctx<'_>, expires_at: Option<Timestamp>) -> Result<(), Refusal> {
    if expires_at.is_some_and(|end| end <= ctx.now) {
        return Err(Refusal::Invalid {
            field: "expires_at",
            message: "the time has passed already",
        });
    }
    Ok(())
}

/// The credential, and the act that the actor may do to it. Whether there is one is no secret to
/// administrators, but what they may not do, they may not do to nothing either.
async fn found(
    ports: &impl Registry,
    actor: &Actor,
    id: &str,
    act: Act,
) -> Result<(Credential, Action), Refusal> {
    let family = Family::of_id(id).ok_or_else(|| unknown(id))?;
    let action = family.action(act);
    authorize(actor, action)?;
    let credential = ports.credential(id).await?.ok_or_else(|| unknown(id))?;
    // A row whose id belongs to another family would have been judged by the wrong rule.
    if Family::of(credential.r#type) != family {
        return Err(unknown(id));
    }
    Ok((credential, action))
}

/// The credential of a family that the actor may rotate.
pub(super) async fn found_for_rotation(
    ports: &impl Registry,
    actor: &Actor,
    id: &str,
    family: Family,
) -> Result<Credential, Refusal> {
    authorize(actor, family.action(Act::Rotate))?;
    let (credential, _) = found(ports, actor, id, Act::Rotate).await?;
    if Family::of(credential.r#type) != family {
        return Err(unknown(id));
    }
    Ok(credential)
}

fn unknown(id: &str) -> Refusal {
    Refusal::NotFound {
        what: "credential",
        name: id.to_owned(),
    }
}

async fn moved(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    credential: &Credential,
    action: Action,
    transition: Transition,
    expected: Option<i64>,
) -> Result<Credential, Refusal> {
    let mut details = Details::from([("owner".to_owned(), credential.owner.clone())]);
    if let Transition::Amend {
        label,
        grant,
        expires_at,
    } = &transition
    {
        details.insert("label".to_owned(), label.clone());
        details.extend(grant_details(grant));
        let end = expires_at.map_or("never".to_owned(), |end| {
            crate::units::Moment(end).to_string()
        });
        details.insert("expires_at".to_owned(), end);
    }
    let audit = draft(ctx, actor, action, subject(credential), details);
    match ports
        .move_credential(&credential.id, transition, expected, audit)
        .await?
    {
        Moved::Done(credential) => Ok(credential),
        Moved::Unknown => Err(unknown(&credential.id)),
        Moved::WrongState(state) => Err(Refusal::WrongState(state)),
        Moved::Conflict { current } => Err(Refusal::Conflict { current }),
    }
}
