//! **Records for judging**: a stored credential and the documents of its owner become what the
//! verdict works with, prepared once when the record is loaded and shared by every call.

use std::sync::Arc;

use proof::issued::{Environment, SecretKind};
use proof::password::Verifier;
use proof::seal::{self, KekRing};
use verdict::identity::{
    Account, ApiAllow, ApplicationId, ClientId, CredentialId, IssuedKey, LifeState, Principal,
    PublicKey, RoleName, Scopes, SecretId, SharedSecret, SigningKey, SigningMaterial, Standing,
    StoredPassword, SubjectId,
};
use verdict::route::ApiName;

use crate::account::{AccountSpec, normal_username};
use crate::application::ApplicationSpec;
use crate::client::ClientSpec;
use crate::credential::{Credential, CredentialType, Grant, Lookup};
use crate::meaning::person;
use crate::resource::{ResourceKind, Stored};
use crate::signing::{MaterialForm, place, prepare};
use crate::user::{Person, UserSpec};

/// Why a stored credential can't be judged. It opens nothing then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The verifier does not read.
    #[error("credential {0} has a damaged verifier")]
    Verifier(String),
    /// The owner's document does not read, or is of another kind or name.
    #[error("the owner of credential {0} is damaged or another")]
    Owner(String),
    /// A sealed secret does not open: another master key, or another place.
    #[error("a secret of credential {0} does not open ({1})")]
    Sealed(String, &'static str),
    /// A public key does not read, or secrets and public keys are mixed.
    #[error("credential {0} has a damaged public key")]
    PublicKey(String),
    /// A credential of another type than was asked for.
    #[error("credential {0} is of another type")]
    Type(String),
}

/// A stored API key, client secret or admin key as the verdict knows it. `owner` is the resource
/// that the credential names as its owner; administrators' keys have none.
///
/// # Errors
/// [`Unfit`].
pub fn issued_key(credential: &Credential, owner: Option<&Stored>) -> Result<IssuedKey, Unfit> {
    let unfit = || Unfit::Owner(credential.id.clone());
    let owned_by = |kind: ResourceKind| {
        owner
            .filter(|stored| stored.kind == kind && stored.name == credential.owner)
            .ok_or_else(unfit)
    };
    let verifier = verifier(credential)?;
    let kind = credential
        .r#type
        .secret_kind()
        .ok_or_else(|| Unfit::Type(credential.id.clone()))?;
    let mut standing = alone(credential);
    match credential.r#type {
        CredentialType::ApiKey | CredentialType::PublishableKey => {
            in_application(
                &mut standing,
                credential,
                owned_by(ResourceKind::Application)?,
            )?;
        }
        CredentialType::ClientSecret => {
            let client = owned_by(ResourceKind::Client)?;
            let spec: ClientSpec =
                serde_json::from_value(client.spec.clone()).map_err(|_| unfit())?;
            let id = ClientId::new(client.name.as_str());
            standing.principal = Principal::Client(id.clone());
            standing.client = Some(id);
            standing.application = Some(ApplicationId::new(spec.application.as_str()));
            // It opens the token endpoint and no API.
            standing.apis = ApiAllow::Listed(Vec::new());
            standing.environment = agreed(credential, spec.environment)?;
        }
        // The admin listener's one API is the only place where this kind is taken.
        CredentialType::AdminKey => {}
        // What registers clients opens nothing else.
        CredentialType::Password
        | CredentialType::UserPassword
        | CredentialType::InitialAccessToken
        | CredentialType::RegistrationAccessToken
        | CredentialType::SigningSecret => {
            return Err(Unfit::Type(credential.id.clone()));
        }
    }
    let key_id = match &credential.lookup {
        Lookup::KeyId(id) => Some(*id),
        Lookup::Digest(_) | Lookup::Prefix(_) => None,
        Lookup::Owner | Lookup::SigningKeyId(_) => {
            return Err(Unfit::Type(credential.id.clone()));
        }
    };
    // An admin key is always in our grammar (threat J4).
    if kind == SecretKind::AdminKey && key_id.is_none() {
        return Err(Unfit::Type(credential.id.clone()));
    }
    Ok(IssuedKey {
        key_id,
        kind,
        verifier: Arc::new(verifier),
        state: credential.state,
        expires_at: credential.expires_at,
        standing: Arc::new(standing),
    })
}

/// A stored signing key as the verdict knows it, its secrets opened. `owner` is its application.
///
/// # Errors
/// [`Unfit`].
pub fn signing_key(
    credential: &Credential,
    owner: Option<&Stored>,
    master: &KekRing,
) -> Result<SigningKey, Unfit> {
    let id = || credential.id.clone();
    let (CredentialType::SigningSecret, Some(signing), Lookup::SigningKeyId(key_id)) =
        (credential.r#type, &credential.signing, &credential.lookup)
    else {
        return Err(Unfit::Type(id()));
    };
    let application = owner
        .filter(|stored| {
            stored.kind == ResourceKind::Application && stored.name == credential.owner
        })
        .ok_or_else(|| Unfit::Owner(id()))?;
    let mut standing = alone(credential);
    in_application(&mut standing, credential, application)?;

    let (mut secrets, mut keys) = (Vec::new(), Vec::new());
    for one in &signing.material {
        match &one.form {
            MaterialForm::Shared { sealed } => {
                let text = seal::open(master, &place(&one.id), sealed)
                    .map_err(|defect| Unfit::Sealed(id(), defect.code()))?;
                secrets.push(SharedSecret::new(one.public_id(), text, one.until));
            }
            MaterialForm::Public { jwk } => keys.push(PublicKey {
                id: one.public_id(),
                key: prepare(signing.scheme, jwk).ok_or_else(|| Unfit::PublicKey(id()))?,
                valid_until: one.until,
            }),
        }
    }
    let material = match (secrets.is_empty(), keys.is_empty()) {
        (_, true) => SigningMaterial::Shared(secrets),
        (true, false) => SigningMaterial::Public(keys),
        // One key is one or the other; both would let the weaker stand in for the stronger.
        (false, false) => return Err(Unfit::PublicKey(id())),
    };
    Ok(SigningKey {
        key_id: *key_id,
        scheme: signing.scheme,
        material,
        state: credential.state,
        expires_at: credential.expires_at,
        standing: Arc::new(standing),
    })
}

/// What a credential says of itself, before its owner is known.
fn alone(credential: &Credential) -> Standing {
    Standing {
        principal: Principal::Administrator(SubjectId::new(credential.id.as_str())),
        credential: CredentialId::new(credential.id.as_str()),
        application: None,
        client: None,
        scopes: Scopes::default(),
        roles: role_names(&credential.grant.roles),
        apis: ApiAllow::ByAudience,
        environment: Some(credential.environment),
        tenant: None,
        networks: credential.grant.networks.clone(),
        origins: credential
            .grant
            .origins
            .iter()
            .map(|one| Arc::from(one.as_str()))
            .collect(),
        claims: serde_json::Map::new(),
    }
}

/// What a credential of an application stands for: the application, with the credential's own grant.
fn in_application(
    standing: &mut Standing,
    credential: &Credential,
    application: &Stored,
) -> Result<(), Unfit> {
    let spec: ApplicationSpec = serde_json::from_value(application.spec.clone())
        .map_err(|_| Unfit::Owner(credential.id.clone()))?;
    standing.environment = agreed(credential, spec.environment)?;
    standing.principal = Principal::Service(subject("app_", application));
    standing.application = Some(ApplicationId::new(application.name.as_str()));
    (standing.scopes, standing.apis) = allowed(&credential.grant);
    Ok(())
}

/// A stored account with its passwords as the verdict knows it. Passwords that are not active are
/// left out; one that has an end keeps it, so that it ends while this is cached.
///
/// # Errors
/// [`Unfit`].
pub fn account(stored: &Stored, passwords: &[Credential]) -> Result<Account, Unfit> {
    let unfit = || Unfit::Owner(stored.name.clone());
    if stored.kind != ResourceKind::Account {
        return Err(unfit());
    }
    let spec: AccountSpec = serde_json::from_value(stored.spec.clone()).map_err(|_| unfit())?;
    let username =
        normal_username(spec.username.as_deref().unwrap_or(&stored.name)).ok_or_else(unfit)?;
    let kind = CredentialType::Password;
    let passwords = active(passwords, kind, &stored.name, spec.environment)?;
    let apis = spec
        .apis
        .iter()
        .map(|api| ApiName::new(api.as_str()))
        .collect();
    Ok(Account {
        username: Arc::from(username),
        passwords,
        state: life(spec.suspended),
        expires_at: spec.expires_at.map(|moment| moment.0),
        standing: Arc::new(Standing {
            principal: Principal::Service(subject("svc_", stored)),
            credential: CredentialId::new(format!("svc_{}", stored.id)),
            application: Some(ApplicationId::new(spec.application.as_str())),
            client: None,
            scopes: Scopes::new(spec.scopes.iter().map(String::as_str)),
            roles: role_names(&spec.roles.unwrap_or_default()),
            apis: ApiAllow::Listed(apis),
            environment: Some(spec.environment),
            tenant: None,
            networks: spec.networks.unwrap_or_default(),
            origins: Vec::new(),
            claims: serde_json::Map::new(),
        }),
    })
}

/// A stored person with the passwords as the issuer meets them.
///
/// # Errors
/// [`Unfit`].
pub fn person(stored: &Stored, passwords: &[Credential]) -> Result<Person, Unfit> {
    let unfit = || Unfit::Owner(stored.name.clone());
    if stored.kind != ResourceKind::User {
        return Err(unfit());
    }
    let spec: UserSpec = serde_json::from_value(stored.spec.clone()).map_err(|_| unfit())?;
    let mut meaning = person::mean_alone(&stored.name, &spec).ok_or_else(unfit)?;
    let changed = stored.updated_at.as_millis() / 1000;
    meaning
        .claims
        .insert("updated_at".to_owned(), changed.into());
    let kind = CredentialType::UserPassword;
    Ok(Person {
        id: stored.id.clone(),
        name: stored.name.clone(),
        meaning,
        passwords: active(passwords, kind, &stored.name, spec.environment)?,
        state: life(spec.suspended),
        version: stored.version,
    })
}

/// What a document that can be suspended says of its life.
fn life(suspended: bool) -> LifeState {
    if suspended {
        LifeState::Suspended
    } else {
        LifeState::Active
    }
}

/// Active passwords of one owner.
fn active(
    passwords: &[Credential],
    r#type: CredentialType,
    owner: &str,
    environment: Environment,
) -> Result<Vec<StoredPassword>, Unfit> {
    let mut active = Vec::new();
    for password in passwords {
        if password.r#type != r#type || password.owner != owner {
            return Err(Unfit::Type(password.id.clone()));
        }
        agreed(password, environment)?;
        if password.state == LifeState::Active {
            active.push(StoredPassword {
                id: SecretId::new(password.id.as_str()),
                verifier: Arc::new(verifier(password)?),
                valid_until: password.expires_at,
            });
        }
    }
    Ok(active)
}

fn verifier(credential: &Credential) -> Result<Verifier, Unfit> {
    Verifier::parse(&credential.verifier).map_err(|_| Unfit::Verifier(credential.id.clone()))
}

/// A subject that is random, stable over renames of labels, and never a client's id.
fn subject(prefix: &str, stored: &Stored) -> SubjectId {
    SubjectId::new(format!("{prefix}{}", stored.id))
}

fn role_names(roles: &[String]) -> Vec<RoleName> {
    roles
        .iter()
        .map(|role| RoleName::new(role.as_str()))
        .collect()
}

fn allowed(grant: &Grant) -> (Scopes, ApiAllow) {
    let apis = grant
        .apis
        .iter()
        .map(|api| ApiName::new(api.as_str()))
        .collect();
    (
        Scopes::new(grant.scopes.iter().map(String::as_str)),
        ApiAllow::Listed(apis),
    )
}

/// A credential and its owner stand on one side of the wall, or it opens nothing.
fn agreed(credential: &Credential, owner: Environment) -> Result<Option<Environment>, Unfit> {
    if credential.environment == owner {
        Ok(Some(owner))
    } else {
        Err(Unfit::Owner(credential.id.clone()))
    }
}

#[cfg(test)]
mod tests;
