//! Clients' secrets, and passwords of accounts and people: two of an owner are valid at most, so that
//! one can be replaced while the other still works.

use proof::issued::Environment;
use proof::random::random_base62;
use proof::secret::Secret;
use proof::time::Timestamp;
use verdict::identity::LifeState;

use super::credential::{Made, add, expiry_is_sound, fresh, label_is_sound, new_id};
use super::{Ctx, HashPurpose, Hasher, Refusal, authorize, resource};
use crate::access::Action;
use crate::actor::Actor;
use crate::credential::{Credential, CredentialType, Grant, Lookup};
use crate::document::Spec;
use crate::ports::{CredentialFilter, Registry};
use crate::resource::ResourceKind;

/// How many of one owner are valid at once.
pub const VALID_AT_ONCE: usize = 2;
/// Fewest characters of a password that is given.
pub const SHORTEST_PASSWORD: usize = 12;
/// Characters of a generated password: 143 random bits.
const GENERATED_PASSWORD: usize = 24;

/// Issues a secret for a client that uses one.
///
/// # Errors
/// [`Refusal::TwoValid`] and others.
pub async fn create_client_secret(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    client: &str,
    label: &str,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    authorize(actor, Action::ClientSecretCreate)?;
    label_is_sound(label)?;
    expiry_is_sound(ctx, expires_at)?;
    let stored = owner(ports, ResourceKind::Client, client).await?;
    let Spec::Client(spec) = resource::document(&stored)?.spec else {
        return Err(missing(ResourceKind::Client, client));
    };
    if !spec.auth_method.uses_secret() {
        return Err(Refusal::Invalid {
            field: "client",
            message: "the client proves itself with its own key and has no secret",
        });
    }
    room_for_one(ports, ctx, CredentialType::ClientSecret, client).await?;
    let mut made = fresh(
        hasher,
        ctx,
        client,
        CredentialType::ClientSecret,
        spec.environment,
    )
    .await?;
    label.clone_into(&mut made.credential.label);
    made.credential.expires_at = expires_at;
    add(ports, actor, ctx, Action::ClientSecretCreate, made).await
}

/// Gives an account a password: `given`, or one that is generated and shown once.
///
/// # Errors
/// [`Refusal::Invalid`] for a password that is too weak, [`Refusal::TwoValid`]; others.
pub async fn create_password(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    account: &str,
    given: Option<Secret>,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    authorize(actor, Action::PasswordCreate)?;
    let stored = owner(ports, ResourceKind::Account, account).await?;
    let Spec::Account(spec) = resource::document(&stored)?.spec else {
        return Err(missing(ResourceKind::Account, account));
    };
    let holder = Holder {
        r#type: CredentialType::Password,
        name: account,
        username: spec.username.as_deref().unwrap_or(account),
        environment: spec.environment,
    };
    let made = password(ports, hasher, ctx, &holder, given, expires_at).await?;
    add(ports, actor, ctx, Action::PasswordCreate, made).await
}

/// Gives a person a password: `given`, or one that is generated and shown once.
///
/// # Errors
/// [`Refusal::Invalid`] for a password that is too weak, [`Refusal::TwoValid`]; others.
pub async fn create_user_password(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    user: &str,
    given: Option<Secret>,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    authorize(actor, Action::UserPasswordCreate)?;
    let stored = owner(ports, ResourceKind::User, user).await?;
    let Spec::User(spec) = resource::document(&stored)?.spec else {
        return Err(missing(ResourceKind::User, user));
    };
    let holder = Holder {
        r#type: CredentialType::UserPassword,
        name: user,
        username: spec.username.as_deref().unwrap_or(user),
        environment: spec.environment,
    };
    let made = password(ports, hasher, ctx, &holder, given, expires_at).await?;
    add(ports, actor, ctx, Action::UserPasswordCreate, made).await
}

/// Who gets a password.
struct Holder<'a> {
    r#type: CredentialType,
    name: &'a str,
    username: &'a str,
    environment: Environment,
}

async fn password(
    ports: &impl Registry,
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
    holder: &Holder<'_>,
    given: Option<Secret>,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    let Holder {
        r#type,
        name,
        username,
        environment,
    } = *holder;
    expiry_is_sound(ctx, expires_at)?;
    if let Some(password) = &given {
        is_strong(password, username)?;
    }
    room_for_one(ports, ctx, r#type, name).await?;
    let mut made = match given {
        Some(password) => stored_password(hasher, ctx, name, r#type, environment, password).await?,
        None => fresh_password(hasher, ctx, name, r#type, environment).await?,
    };
    made.credential.expires_at = expires_at;
    Ok(made)
}

/// A generated password.
pub(super) async fn fresh_password(
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
    owner: &str,
    r#type: CredentialType,
    environment: Environment,
) -> Result<Made, Refusal> {
    let password = Secret::from_text(random_base62(GENERATED_PASSWORD, ctx.entropy));
    let shown = password.duplicate();
    let mut made = stored_password(hasher, ctx, owner, r#type, environment, password).await?;
    made.secret = Some(shown);
    Ok(made)
}

async fn stored_password(
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
    owner: &str,
    r#type: CredentialType,
    environment: Environment,
    password: Secret,
) -> Result<Made, Refusal> {
    let verifier = hasher
        .hash(password, HashPurpose::Password)
        .await
        .map_err(Refusal::Hashing)?;
    let credential = Credential {
        id: new_id(ctx, r#type),
        r#type,
        owner: owner.to_owned(),
        label: String::new(),
        environment,
        lookup: Lookup::Owner,
        verifier: verifier.to_stored(),
        // Nothing of a password may be kept.
        display: String::new(),
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
        secret: None,
    })
}

/// The policy for passwords that are given: length, and not made of the user name or one letter.
fn is_strong(password: &Secret, username: &str) -> Result<(), Refusal> {
    let weak = |message| {
        Err(Refusal::Invalid {
            field: "password",
            message,
        })
    };
    let Some(text) = password.expose_text() else {
        return weak("a password is UTF-8 text");
    };
    if text.chars().count() < SHORTEST_PASSWORD {
        return weak("a password has at least 12 characters");
    }
    if text.len() > proof::password::MAX_PASSWORD_BYTES {
        return weak("a password has at most 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return weak("a password has no control characters");
    }
    if text.to_lowercase().contains(&username.to_lowercase()) {
        return weak("a password does not contain the user name");
    }
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 5 {
        return weak("a password has at least 5 different characters");
    }
    Ok(())
}

async fn owner(
    ports: &impl Registry,
    kind: ResourceKind,
    name: &str,
) -> Result<crate::resource::Stored, Refusal> {
    ports
        .resource(kind, name)
        .await?
        .ok_or_else(|| missing(kind, name))
}

fn missing(kind: ResourceKind, name: &str) -> Refusal {
    Refusal::NotFound {
        what: kind.name(),
        name: name.to_owned(),
    }
}

async fn room_for_one(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    r#type: CredentialType,
    owner: &str,
) -> Result<(), Refusal> {
    let filter = CredentialFilter {
        types: vec![r#type],
        owner: Some(owner.to_owned()),
        after: None,
        limit: 1000,
    };
    let valid = ports
        .credentials(&filter)
        .await?
        .iter()
        .filter(|one| one.is_valid_at(ctx.now))
        .count();
    if valid >= VALID_AT_ONCE {
        Err(Refusal::TwoValid)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
