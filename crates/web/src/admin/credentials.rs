//! Credentials: API keys, clients' secrets, passwords of accounts and people, administrators' keys,
//! signing secrets. A secret that was made leaves in the answer to its making and is not shown again.

use proof::issued::Environment;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::credential::{Credential, Grant};
use registry::key::{ApiKeySpec, ImportedKey, KeyType};
use registry::ports::{CallRecord as _, CredentialFilter};
use registry::resource::ResourceKind;
use registry::units::Moment;
use registry::usecase::credential::{self, Amendment, Family, Made};
use registry::usecase::registration::NewInitialToken;
use registry::usecase::signing_secret::{self, NewMaterial, NewSigningKey};
use registry::usecase::{Refusal, admin_key, api_key, owned_secret, registration, resource};

use super::exchange::{Answer, Fault, Input};
use super::operation::CredentialAct;
use super::view::{
    Act, Amend, CreateAdminKey, CreateKey, CreateRegistrationToken, CreateSecret,
    CreateSigningSecret, CredentialQuery, CredentialView, ImportKey, Issued, Page, Rotate,
    RotateSigningSecret, SetPassword, VersionQuery,
};
use super::{Parts, Work, usage};

/// Entries of a list unless said otherwise.
const DEFAULT_LIMIT: u32 = 100;

pub(super) async fn serve<P: Parts>(
    family: Family,
    act: CredentialAct,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    match act {
        CredentialAct::List => return list(family, work, input).await,
        CredentialAct::Create => return create(family, work, input).await,
        _ => {}
    }
    let current = theirs(family, work, input).await?;
    let id = current.id.as_str();
    let (store, actor, ctx) = (work.store(), &work.actor, &work.ctx());
    let expected = || -> Result<Option<i64>, Fault> {
        let _: Act = input.json()?;
        let query: VersionQuery = input.query()?;
        input.version(query.version)
    };
    let credential = match act {
        CredentialAct::Show => current,
        CredentialAct::Amend => amend(current, work, input).await?,
        CredentialAct::Suspend => credential::suspend(store, actor, ctx, id, expected()?).await?,
        CredentialAct::Resume => credential::resume(store, actor, ctx, id, expected()?).await?,
        CredentialAct::Revoke => credential::revoke(store, actor, ctx, id, expected()?).await?,
        CredentialAct::Rotate if family == Family::SigningSecret => {
            return rotate_signing(id, work, input).await;
        }
        CredentialAct::Rotate => return rotate(id, work, input).await,
        CredentialAct::Usage => return usage::of(&current, work, input).await,
        CredentialAct::List | CredentialAct::Create => current,
    };
    shown(credential, work.now)
}

/// The kind of owner that a family's paths name.
fn family_owner(family: Family) -> Option<ResourceKind> {
    match family {
        Family::ApiKey | Family::AdminKey | Family::RegistrationToken | Family::SigningSecret => {
            None
        }
        Family::ClientSecret => Some(ResourceKind::Client),
        Family::Password => Some(ResourceKind::Account),
        Family::UserPassword => Some(ResourceKind::User),
    }
}

/// The credential of the path. One that belongs to another family or owner is not there.
async fn theirs<P: Parts>(
    family: Family,
    work: &Work<P>,
    input: &Input,
) -> Result<Credential, Fault> {
    let unknown = || {
        Fault::from(Refusal::NotFound {
            what: "credential",
            name: input.id.clone(),
        })
    };
    if Family::of_id(&input.id) != Some(family) {
        return Err(unknown());
    }
    let found = credential::show(work.store(), &work.actor, &input.id).await?;
    if family_owner(family).is_some() && found.owner != input.name {
        return Err(unknown());
    }
    Ok(found)
}

fn shown(credential: Credential, now: Timestamp) -> Result<Answer, Fault> {
    let version = credential.version;
    Ok(Answer::ok(&CredentialView::of(credential, now))?.version(version))
}

async fn list<P: Parts>(family: Family, work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let query: CredentialQuery = input.query()?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let owner = match family_owner(family) {
        None if family != Family::AdminKey => query.owner,
        None => None,
        Some(kind) => {
            // 404 for an owner who is not there, rather than an empty list.
            resource::show(work.store(), &work.actor, kind, &input.name).await?;
            Some(input.name.clone())
        }
    };
    let filter = CredentialFilter {
        types: Vec::new(),
        owner,
        after: query.after,
        limit,
    };
    let found = credential::list(work.store(), &work.actor, family, filter).await?;
    let full = u32::try_from(found.len()).is_ok_and(|many| many >= limit);
    let next = found.last().filter(|_| full).map(|last| last.id.clone());
    let ids: Vec<_> = found.iter().map(|one| one.id.as_str()).collect();
    let used = work.store().last_used(&ids).await?;
    let items = found.into_iter().map(|one| CredentialView {
        last_used: used.get(&one.id).copied().map(Moment),
        ..CredentialView::of(one, work.now)
    });
    let items = items.collect();
    Answer::ok(&Page { items, next })
}

async fn create<P: Parts>(family: Family, work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let (store, hasher, actor, ctx) = (work.store(), work.hasher(), &work.actor, &work.ctx());
    let end = |moment: Option<Moment>| moment.map(|moment| moment.0);
    let made = match family {
        Family::SigningSecret => {
            let CreateSigningSecret {
                application,
                label,
                scheme,
                environment,
                scopes,
                apis,
                roles,
                networks,
                expires_at,
                secret,
                public_key,
            } = input.json()?;
            let key = CreateKey {
                application,
                label,
                r#type: KeyType::Secret,
                environment,
                scopes,
                apis,
                roles,
                networks,
                origins: Vec::new(),
                expires_at,
            };
            let new = NewSigningKey {
                scheme,
                spec: &spec(key, None, work).await?,
                material: material(secret, public_key)?,
            };
            let master = work.admin.issuer.keys().master();
            signing_secret::create(store, master, actor, ctx, new).await?
        }
        Family::ApiKey => {
            let spec = spec(input.json()?, None, work).await?;
            api_key::create(store, hasher, actor, ctx, &spec).await?
        }
        Family::ClientSecret => {
            let body: CreateSecret = input.json()?;
            let ends = end(body.expires_at);
            owned_secret::create_client_secret(
                store,
                hasher,
                actor,
                ctx,
                &input.name,
                &body.label,
                ends,
            )
            .await?
        }
        Family::Password => {
            let body: SetPassword = input.json()?;
            let ends = end(body.expires_at);
            let given = body.password.map(Secret::from_text);
            owned_secret::create_password(store, hasher, actor, ctx, &input.name, given, ends)
                .await?
        }
        Family::UserPassword => {
            let body: SetPassword = input.json()?;
            let ends = end(body.expires_at);
            let given = body.password.map(Secret::from_text);
            owned_secret::create_user_password(store, hasher, actor, ctx, &input.name, given, ends)
                .await?
        }
        Family::AdminKey => {
            let body: CreateAdminKey = input.json()?;
            admin_key::create(
                store,
                hasher,
                actor,
                ctx,
                &body.label,
                body.role,
                end(body.expires_at),
            )
            .await?
        }
        Family::RegistrationToken => {
            let body: CreateRegistrationToken = input.json()?;
            let new = NewInitialToken {
                label: &body.label,
                environment: body.environment.unwrap_or(Environment::Live),
                uses: body.uses,
                expires_at: end(body.expires_at),
            };
            registration::create_initial_token(store, hasher, actor, ctx, new).await?
        }
    };
    issued(made, None, work.now)
}

fn issued(made: Made, old: Option<Credential>, now: Timestamp) -> Result<Answer, Fault> {
    let version = made.credential.version;
    let body = Issued {
        credential: CredentialView::of(made.credential, now),
        secret: made
            .secret
            .as_ref()
            .and_then(Secret::expose_text)
            .map(str::to_owned),
        replaces: old.map(|old| CredentialView::of(old, now)),
    };
    Ok(Answer::created(&body)?.version(version))
}

pub(super) async fn import<P: Parts>(work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: ImportKey = input.json()?;
    let imported = ImportedKey {
        verifier: body.verifier,
        prefix: body.prefix,
    };
    let spec = spec(body.key, Some(imported), work).await?;
    let credential = api_key::import(work.store(), &work.actor, &work.ctx(), &spec).await?;
    let version = credential.version;
    Ok(Answer::created(&CredentialView::of(credential, work.now))?.version(version))
}

async fn spec<P: Parts>(
    body: CreateKey,
    imported: Option<ImportedKey>,
    work: &Work<P>,
) -> Result<ApiKeySpec, Fault> {
    fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
        (!list.is_empty()).then_some(list)
    }
    let environment = match body.environment {
        Some(environment) => environment,
        None => {
            let kind = ResourceKind::Application;
            let owner = resource::show(work.store(), &work.actor, kind, &body.application).await?;
            // A spec that leaves it out means `live`.
            let written = owner
                .spec
                .get("environment")
                .and_then(serde_json::Value::as_str)
                .unwrap_or("live");
            Environment::from_name(written.as_bytes()).unwrap_or(Environment::Live)
        }
    };
    Ok(ApiKeySpec {
        application: body.application,
        label: body.label,
        r#type: body.r#type,
        environment,
        scopes: body.scopes,
        apis: body.apis,
        roles: some(body.roles),
        networks: some(body.networks),
        origins: some(body.origins),
        expires_at: body.expires_at,
        imported,
    })
}

async fn amend<P: Parts>(
    current: Credential,
    work: &Work<P>,
    input: &Input,
) -> Result<Credential, Fault> {
    let body: Amend = input.json()?;
    let given = input.version(body.version)?;
    // What is not given stays as it was read here; should it change before the write, that is a
    // conflict and not lost.
    let expected = given.or(Some(current.version));
    let expires_at = match body.expires_at.as_deref() {
        None => None,
        Some("never") => Some(None),
        Some(text) => match text.parse::<Moment>() {
            Ok(moment) => Some(Some(moment.0)),
            Err(_) => {
                return Err(Fault::invalid(
                    "expires_at is a time like 2027-01-31T00:00:00Z, or `never`.",
                ));
            }
        },
    };
    let old = current.grant;
    let grant = Grant {
        scopes: body.scopes.unwrap_or_else(|| old.scopes.clone()),
        apis: body.apis.unwrap_or_else(|| old.apis.clone()),
        roles: body.roles.unwrap_or_else(|| old.roles.clone()),
        networks: body.networks.unwrap_or_else(|| old.networks.clone()),
        origins: body.origins.unwrap_or_else(|| old.origins.clone()),
        uses: old.uses,
    };
    let amendment = Amendment {
        label: body.label,
        grant: (grant != old).then_some(grant),
        expires_at,
    };
    Ok(credential::amend(
        work.store(),
        &work.actor,
        &work.ctx(),
        &current.id,
        amendment,
        expected,
    )
    .await?)
}

async fn rotate<P: Parts>(id: &str, work: &Work<P>, input: &Input) -> Result<Answer, Fault> {
    let body: Rotate = input.json()?;
    let overlap = body.overlap.map(|period| period.0);
    let ends = body.expires_at.map(|moment| moment.0);
    let (store, hasher) = (work.store(), work.hasher());
    let replaced =
        credential::rotate(store, hasher, &work.actor, &work.ctx(), id, overlap, ends).await?;
    issued(replaced.new, Some(replaced.old), work.now)
}

async fn rotate_signing<P: Parts>(
    id: &str,
    work: &Work<P>,
    input: &Input,
) -> Result<Answer, Fault> {
    let RotateSigningSecret {
        overlap,
        secret,
        public_key,
    } = input.json()?;
    let made = signing_secret::rotate(
        work.store(),
        work.admin.issuer.keys().master(),
        &work.actor,
        &work.ctx(),
        id,
        overlap.map(|period| period.0),
        material(secret, public_key)?,
    )
    .await?;
    issued(made, None, work.now)
}

/// Where the secret or public key of a body comes from.
fn material(secret: Option<String>, public_key: Option<String>) -> Result<NewMaterial, Fault> {
    match (secret, public_key) {
        (None, None) => Ok(NewMaterial::Made),
        (Some(text), None) => Ok(NewMaterial::Given(Secret::from_text(text))),
        (None, Some(text)) => Ok(NewMaterial::Public(text)),
        (Some(_), Some(_)) => Err(Fault::invalid(
            "secret and public_key can't come together: a key is one or the other.",
        )),
    }
}
