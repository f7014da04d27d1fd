//! API keys: made with a secret that is shown once, or brought in by the hash of a foreign key.

use proof::digest::TokenHash;
use proof::password::{Verifier, VerifierKind};
use verdict::identity::LifeState;

use super::credential::{Made, add, expiry_is_sound, fresh, label_is_sound, new_id};
use super::resource::{documents, no_new_flaws};
use super::{Ctx, Hasher, Refusal, authorize};
use crate::access::Action;
use crate::actor::Actor;
use crate::credential::{Credential, CredentialType, Grant, Lookup};
use crate::document::{Document, Name, Spec};
use crate::key::{ApiKeySpec, ImportedKey, KeyType};
use crate::ports::Registry;
use crate::units::Moment;

/// Issues an API key.
///
/// # Errors
/// [`Refusal::Flawed`] where it refers to what is not there; others.
pub async fn create(
    ports: &impl Registry,
    hasher: &impl Hasher,
    actor: &Actor,
    ctx: &Ctx<'_>,
    spec: &ApiKeySpec,
) -> Result<Made, Refusal> {
    authorize(actor, Action::ApiKeyCreate)?;
    if spec.imported.is_some() {
        return Err(Refusal::Invalid {
            field: "imported",
            message: "an imported key has its secret already",
        });
    }
    expiry_is_sound(ctx, spec.expires_at.map(|moment| moment.0))?;
    is_sound(ports, ctx, spec).await?;
    let mut made = fresh(
        hasher,
        ctx,
        &spec.application,
        type_of(spec.r#type),
        spec.environment,
    )
    .await?;
    describe(&mut made.credential, spec);
    add(ports, actor, ctx, Action::ApiKeyCreate, made).await
}

/// Brings in a foreign key by its hash. Which presented texts it is asked for is said by the
/// `foreign_keys` of APIs.
///
/// # Errors
/// As [`create`]; [`Refusal::Invalid`] if what is presented would find another key already.
pub async fn import(
    ports: &impl Registry,
    actor: &Actor,
    ctx: &Ctx<'_>,
    spec: &ApiKeySpec,
) -> Result<Credential, Refusal> {
    authorize(actor, Action::ApiKeyImport)?;
    let Some(imported) = &spec.imported else {
        return Err(Refusal::Invalid {
            field: "imported",
            message: "the foreign key's hash is missing",
        });
    };
    expiry_is_sound(ctx, spec.expires_at.map(|moment| moment.0))?;
    is_sound(ports, ctx, spec).await?;
    let Some((lookup, verifier)) = imported_lookup(imported) else {
        return Err(Refusal::Invalid {
            field: "imported",
            message: "the hash can't be used",
        });
    };
    let r#type = type_of(spec.r#type);
    let mut credential = Credential {
        id: new_id(ctx, r#type),
        r#type,
        owner: spec.application.clone(),
        label: String::new(),
        environment: spec.environment,
        display: display(&lookup),
        lookup,
        verifier: verifier.to_stored(),
        grant: Grant::default(),
        state: LifeState::Active,
        created_at: ctx.now,
        expires_at: None,
        successor: None,
        signing: None,
        version: 1,
    };
    describe(&mut credential, spec);
    let made = Made {
        credential,
        secret: None,
    };
    add(ports, actor, ctx, Action::ApiKeyImport, made)
        .await
        .map(|made| made.credential)
}

/// How an imported key is found, and its verifier; `None` for a hash that can't be used so.
pub(crate) fn imported_lookup(imported: &ImportedKey) -> Option<(Lookup, Verifier)> {
    let verifier = Verifier::parse(&imported.verifier).ok()?;
    let lookup = match (&imported.prefix, verifier.kind()) {
        (_, VerifierKind::KeyedHash) | (None, VerifierKind::Argon2id | VerifierKind::Bcrypt) => {
            return None;
        }
        (Some(prefix), _) => Lookup::Prefix(prefix.clone()),
        (None, VerifierKind::Sha256) => {
            let digest = imported.verifier.strip_prefix("sha256$")?;
            Lookup::Digest(TokenHash::parse(digest)?.to_string())
        }
    };
    Some((lookup, verifier))
}

/// What may be shown of a foreign key for ever: its identifying prefix, or the start of its digest.
fn display(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Prefix(prefix) => format!("{prefix}…"),
        Lookup::Digest(digest) => format!("sha256:{}…", digest.get(..12).unwrap_or(digest)),
        Lookup::KeyId(id) => format!("{}…", id.as_str().get(..4).unwrap_or_default()),
        Lookup::SigningKeyId(id) => id.to_string(),
        Lookup::Owner => String::new(),
    }
}

fn type_of(written: KeyType) -> CredentialType {
    match written {
        KeyType::Secret => CredentialType::ApiKey,
        KeyType::Publishable => CredentialType::PublishableKey,
    }
}

fn describe(credential: &mut Credential, spec: &ApiKeySpec) {
    credential.label.clone_from(&spec.label);
    credential.grant = grant_of(spec);
    credential.expires_at = spec.expires_at.map(|moment| moment.0);
}

/// What a key document grants.
pub(crate) fn grant_of(spec: &ApiKeySpec) -> Grant {
    Grant {
        scopes: spec.scopes.clone(),
        apis: spec.apis.clone(),
        roles: spec.roles.clone().unwrap_or_default(),
        networks: spec.networks.clone().unwrap_or_default(),
        origins: spec.origins.clone().unwrap_or_default(),
        uses: None,
    }
}

/// A key's metadata as a document says it, without anything of its secret.
pub(crate) fn spec_of(credential: &Credential) -> ApiKeySpec {
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let grant = &credential.grant;
    ApiKeySpec {
        application: credential.owner.clone(),
        label: credential.label.clone(),
        r#type: match credential.r#type {
            CredentialType::PublishableKey => KeyType::Publishable,
            _ => KeyType::Secret,
        },
        environment: credential.environment,
        scopes: grant.scopes.clone(),
        apis: grant.apis.clone(),
        roles: some(&grant.roles),
        networks: (!grant.networks.is_empty()).then(|| grant.networks.clone()),
        origins: some(&grant.origins),
        expires_at: credential.expires_at.map(Moment),
        imported: None,
    }
}

/// Whether a key's grant is sound among all that is declared.
pub(super) async fn grant_is_sound(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    credential: &Credential,
) -> Result<(), Refusal> {
    is_sound(ports, ctx, &spec_of(credential)).await
}

/// Whether what is said of a key is sound among all that is declared.
pub(super) async fn is_sound(
    ports: &impl Registry,
    ctx: &Ctx<'_>,
    spec: &ApiKeySpec,
) -> Result<(), Refusal> {
    label_is_sound(&spec.label)?;
    let before = documents(&ports.resources(None).await?)?;
    let mut after = before.clone();
    let name = Name::new("new-key").expect("is a slug");
    after.push(Document {
        name,
        spec: Spec::ApiKey(Box::new(spec.clone())),
    });
    no_new_flaws(&before, &after, Some(after.len() - 1), ctx.context).map(drop)
}

#[cfg(test)]
pub(crate) mod tests;
