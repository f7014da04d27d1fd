//! **Demonstration credentials**: made anew at each start, those of the start before are revoked,
//! so that the tour can show secrets in clear although the store keeps none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use proof::issued::Environment;
use proof::random::uuid_v7;
use proof::secret::Secret;
use registry::actor::{Actor, Role};
use registry::credential::CredentialType;
use registry::key::{ApiKeySpec, KeyType};
use registry::ports::CredentialFilter;
use registry::usecase::credential::{Family, Made};
use registry::usecase::signing_secret::{NewMaterial, NewSigningKey};
use registry::usecase::{
    Ctx, Refusal, admin_key, api_key, credential, owned_secret, signing_secret,
};
use verdict::identity::{LifeState, SigningScheme};

use super::declared::Declared;
use super::setup::write_private;
use crate::wire::{Shared, key_ring, now};

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
    /// Of the client `shop-reports`, likewise.
    pub(super) reports_secret: Option<Secret>,
    /// Of the client `shop-archive`, likewise.
    pub(super) archive_secret: Option<Secret>,
    /// Of the client `shop-accounting`, likewise.
    pub(super) accounting_secret: Option<Secret>,
    /// Of the client `shop-courier`, likewise.
    pub(super) courier_secret: Option<Secret>,
    /// Of the account `alice`.
    pub(super) password: Secret,
    /// Its id.
    pub(super) password_id: String,
    /// Keys that requests are signed with; none if the settings take none.
    pub(super) signers: Vec<Signer>,
    /// Of the person `ada`; none if the settings have lost her.
    pub(super) person: Option<Secret>,
}

/// A key that requests are signed with, and what the tour says of it.
pub(super) struct Signer {
    /// The command that signs with it.
    pub(super) command: &'static str,
    /// Its public name.
    pub(super) key_id: String,
    /// Where its secret stands.
    pub(super) secret_file: PathBuf,
    /// What else the command wants to know.
    pub(super) options: &'static str,
    /// Titles of the steps: a good call, the same once more, another call, an old one.
    pub(super) titles: [&'static str; 4],
}

/// What is signed by, with the words of the tour.
const SIGNERS: [(SigningScheme, &str, &str, [&str; 4]); 3] = [
    (
        SigningScheme::Hmac,
        "hmac",
        "",
        [
            "HMAC: the request is signed, the secret stays at home",
            "HMAC: the same signature a second time",
            "HMAC: the signature of another request",
            "HMAC: a signature of long ago",
        ],
    ),
    (
        SigningScheme::SigV4,
        "sigv4",
        " --region local --service orders",
        [
            "SigV4: what the SDKs of AWS send, with a key of Doorward's",
            "SigV4: the same signature a second time",
            "SigV4: the signature of another request",
            "SigV4: a signature of long ago",
        ],
    ),
    (
        SigningScheme::HttpSignature,
        "http-signature",
        "",
        [
            "RFC 9421: an HTTP message signature",
            "RFC 9421: the same signature a second time",
            "RFC 9421: the signature of another request",
            "RFC 9421: a signature of long ago",
        ],
    ),
];

/// Makes them.
pub(super) async fn make(
    shared: &Shared,
    first: Option<&Secret>,
    declared: &Declared,
    dir: &Path,
) -> Result<Demo> {
    let actor = Actor::System { part: "dev" };
    let id = uuid_v7(now(), &*shared.entropy);
    let ctx = Ctx {
        now: now(),
        entropy: &*shared.entropy,
        request_id: &id,
        context: &shared.context,
        files: &(),
    };
    let (store, hasher) = (&*shared.store, &*shared.hasher);

    for family in [
        Family::ApiKey,
        Family::ClientSecret,
        Family::Password,
        Family::UserPassword,
        Family::SigningSecret,
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
    // Settings that an older `dev` wrote don't declare all of them.
    let of_client = async |client: &str| -> Result<Option<Secret>> {
        let made =
            owned_secret::create_client_secret(store, hasher, &actor, &ctx, client, LABEL, None);
        match made.await {
            Ok(made) => Ok(Some(shown(made)?)),
            Err(Refusal::NotFound { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    };
    let partner_secret = of_client("shop-partner").await?;
    let reports_secret = of_client("shop-reports").await?;
    let archive_secret = of_client("shop-archive").await?;
    let accounting_secret = of_client("shop-accounting").await?;
    let courier_secret = of_client("shop-courier").await?;
    let password =
        owned_secret::create_password(store, hasher, &actor, &ctx, "alice", None, None).await?;
    let mut signers = Vec::new();
    if SIGNERS
        .iter()
        .any(|(scheme, ..)| declared.takes(scheme.name()))
    {
        let master = key_ring(&shared.loaded.load().settings)?;
        for (scheme, command, options, titles) in SIGNERS {
            if !declared.takes(scheme.name()) {
                continue;
            }
            let new = NewSigningKey {
                scheme,
                spec: &spec(command, &["orders:read"]),
                material: NewMaterial::Made,
            };
            let made = signing_secret::create(store, &master, &actor, &ctx, new).await?;
            let secret_file = dir.join(format!("tour-{command}.secret"));
            let key_id = made.credential.display.clone();
            write_private(&secret_file, shown(made)?.expose())?;
            signers.push(Signer {
                command,
                key_id,
                secret_file,
                options,
                titles,
            });
        }
    }
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
        signers,
        key: shown(both)?,
        reader_id: reader.credential.id.clone(),
        reader: shown(reader)?,
        client_secret: shown(client)?,
        partner_secret,
        reports_secret,
        archive_secret,
        accounting_secret,
        courier_secret,
        password_id: password.credential.id.clone(),
        password: shown(password)?,
        person,
    })
}

fn shown(made: Made) -> Result<Secret> {
    made.secret.context("a new credential has a secret to show")
}
