//! **Demonstration credentials**: made anew at each start, those of the start before are revoked,
//! so that the tour can show secrets in clear although the store keeps none.

use std::path::Path;

use anyhow::{Context as _, Result};
use proof::issued::Environment;
use proof::random::uuid_v7;
use proof::secret::Secret;
use registry::actor::{Actor, Role};
use registry::credential::CredentialType;
use registry::key::{ApiKeySpec, KeyType};
use registry::ports::CredentialFilter;
use registry::usecase::credential::{Family, Made};
use registry::usecase::{Ctx, Refusal, admin_key, api_key, credential, owned_secret};
use verdict::identity::LifeState;

use super::setup::write_private;
use crate::wire::{Shared, now};

/// The application of the demonstration.
const APPLICATION: &str = "shop";
/// Labels of what is made here.
const LABEL: &str = "tour";
/// The person who signs in.
pub(super) const PERSON: &str = "ada";

/// Secrets to show.
pub(super) struct Demo {
    /// Reads and writes orders.
    pub(super) key: Secret,
    /// Only reads.
    pub(super) reader: Secret,
    /// Its id.
    pub(super) reader_id: String,
    /// Of the client `shop-backend`.
    pub(super) client_secret: Secret,
    /// Of the client `shop-partner`; none if the settings don't have it.
    pub(super) partner_secret: Option<Secret>,
    /// Of the account `alice`.
    pub(super) password: Secret,
    /// Of the person `ada`; none if the settings have lost her.
    pub(super) person: Option<Secret>,
}

/// Makes them.
pub(super) async fn make(shared: &Shared, first: Option<&Secret>, dir: &Path) -> Result<Demo> {
    let actor = Actor::System { part: "dev" };
    let id = uuid_v7(now(), &*shared.entropy);
    let ctx = Ctx {
        now: now(),
        entropy: &*shared.entropy,
        request_id: &id,
        context: &shared.context,
    };
    let (store, hasher) = (&*shared.store, &*shared.hasher);

    for family in [
        Family::ApiKey,
        Family::ClientSecret,
        Family::Password,
        Family::UserPassword,
    ] {
        let filter = CredentialFilter {
            limit: 1000,
            ..CredentialFilter::default()
        };
        for old in credential::list(store, &actor, family, filter.clone()).await? {
            let ours = old.label.starts_with(LABEL)
                || old.r#type == CredentialType::Password && old.owner == "alice"
                || old.r#type == CredentialType::UserPassword && old.owner == PERSON;
            if ours && old.state != LifeState::Revoked {
                credential::revoke(store, &actor, &ctx, &old.id, None).await?;
            }
        }
    }

    let spec = |label: &str, scopes: &[&str]| ApiKeySpec {
        application: APPLICATION.to_owned(),
        label: format!("{LABEL}: {label}"),
        r#type: KeyType::Secret,
        environment: Environment::Test,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        apis: vec!["orders".to_owned()],
        roles: None,
        networks: None,
        origins: None,
        expires_at: None,
        imported: None,
    };
    let both = spec("reads and writes", &["orders:read", "orders:write"]);
    let both = api_key::create(store, hasher, &actor, &ctx, &both).await?;
    let reader = spec("reads", &["orders:read"]);
    let reader = api_key::create(store, hasher, &actor, &ctx, &reader).await?;
    let client = owned_secret::create_client_secret(
        store,
        hasher,
        &actor,
        &ctx,
        "shop-backend",
        LABEL,
        None,
    )
    .await?;
    // Settings that an older `dev` wrote don't declare it.
    let partner = owned_secret::create_client_secret(
        store,
        hasher,
        &actor,
        &ctx,
        "shop-partner",
        LABEL,
        None,
    )
    .await;
    let partner_secret = match partner {
        Ok(made) => Some(shown(made)?),
        Err(Refusal::NotFound { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    let password =
        owned_secret::create_password(store, hasher, &actor, &ctx, "alice", None, None).await?;
    // Settings that an older `dev` wrote declare nobody.
    let person =
        match owned_secret::create_user_password(store, hasher, &actor, &ctx, PERSON, None, None)
            .await
        {
            Ok(made) => Some(shown(made)?),
            Err(Refusal::NotFound { .. }) => None,
            Err(other) => return Err(other.into()),
        };

    let file = dir.join("admin.key");
    match first {
        Some(key) => write_private(&file, key.expose())?,
        None if !file.exists() => {
            let made =
                admin_key::create(store, hasher, &actor, &ctx, "dev", Role::Owner, None).await?;
            write_private(&file, shown(made)?.expose())?;
        }
        None => {}
    }
    Ok(Demo {
        key: shown(both)?,
        reader_id: reader.credential.id.clone(),
        reader: shown(reader)?,
        client_secret: shown(client)?,
        partner_secret,
        password: shown(password)?,
        person,
    })
}

fn shown(made: Made) -> Result<Secret> {
    made.secret.context("a new credential has a secret to show")
}
