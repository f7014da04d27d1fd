//! Administrators' keys: one role each, and never fewer owners than one.

use proof::issued::Environment;
use proof::time::Timestamp;

use super::credential::{Family, Made, add, expiry_is_sound, fresh, label_is_sound};
use super::{Ctx, Hasher, Refusal, authorize};
use crate::access::Action;
use crate::actor::{Actor, Role};
use crate::credential::{Credential, CredentialType};
use crate::ports::{CredentialFilter, Registry};

/// The owner of administrators' keys in the store: nobody.
pub const NO_OWNER: &str = "-";

/// Makes an administrator's key.
///
/// # Errors
/// [`Refusal`].
pub async fn create(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    label: &str,
    role: Role,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    authorize(actor, Action::AdminKeyCreate)?;
    make(
        ports,
        hasher,
        actor,
        ctx,
        Action::AdminKeyCreate,
        label,
        role,
        expires_at,
    )
    .await
}

/// Makes the first owner's key, if there never was an administrator's key. The secret is for the
/// terminal of whoever started the process.
///
/// # Errors
/// [`Refusal`].
pub async fn bootstrap(
    ports: &impl Registry,
    hasher: &impl Hasher,
    ctx: &Ctx<'_>,
) -> Result<Option<Made>, Refusal> {
    if !all(ports).await?.is_empty() {
        return Ok(None);
    }
    let actor = Actor::System {
        part: "first-start",
    };
    let action = Action::AdminKeyBootstrap;
    make(
        ports,
        hasher,
        &actor,
        ctx,
        action,
        "first owner",
        Role::Owner,
        None,
    )
    .await
    .map(Some)
}

#[allow(
    clippy::too_many_arguments,
    reason = "one private way in for two public ones"
)]
async fn make(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    action: Action,
    label: &str,
    role: Role,
    expires_at: Option<Timestamp>,
) -> Result<Made, Refusal> {
    if label.is_empty() {
        return Err(Refusal::Invalid {
            field: "label",
            message: "an administrator has a name, for the audit trail",
        });
    }
    label_is_sound(label)?;
    expiry_is_sound(ctx, expires_at)?;
    let r#type = CredentialType::AdminKey;
    let mut made = fresh(hasher, ctx, NO_OWNER, r#type, Environment::Live).await?;
    label.clone_into(&mut made.credential.label);
    made.credential.grant.roles = vec![role.name().to_owned()];
    made.credential.expires_at = expires_at;
    add(ports, actor, ctx, action, made).await
}

/// The role of an administrator's key; `None` if it has none, several, or an unknown one.
pub fn role_of(credential: &Credential) -> Option<Role> {
    match credential.grant.roles.as_slice() {
        [one] => Role::ALL.into_iter().find(|role| role.name() == one),
        _ => None,
    }
}

/// The actor behind an administrator's key.
pub fn actor_of(credential: &Credential) -> Option<Actor> {
    (credential.r#type == CredentialType::AdminKey).then_some(())?;
    Some(Actor::Administrator {
        key: verdict::identity::CredentialId::new(credential.id.as_str()),
        name: credential.label.clone(),
        role: role_of(credential)?,
    })
}

/// Refuses what would leave no owner. `after` is what the key becomes; `None`: it ends.
pub(super) async fn leaves_an_owner(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    credential: &Credential,
    after: Option<&Credential>,
) -> Result<(), Refusal> {
    // An owner who will be gone some day is no owner to rely on, unless it was so before.
    let lasts = |one: &Credential| {
        Family::of(one.r#type) == Family::AdminKey
            && role_of(one) == Some(Role::Owner)
            && one.is_valid_at(ctx.now)
            && one.expires_at.is_none()
    };
    if !lasts(credential) || after.is_some_and(lasts) {
        return Ok(());
    }
    let others = all(ports).await?;
    if others
        .iter()
        .any(|other| other.id != credential.id && lasts(other))
    {
        Ok(())
    } else {
        Err(Refusal::LastOwner)
    }
}

async fn all(ports: &impl Registry) -> Result<Vec<Credential>, Refusal> {
    let filter = CredentialFilter {
        types: vec![CredentialType::AdminKey],
        owner: None,
        after: None,
        limit: 1000,
    };
    Ok(ports.credentials(&filter).await?)
}

#[cfg(test)]
mod tests;
