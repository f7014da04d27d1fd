//! Signing secrets: what an application signs requests with. A secret is made and shown once, or
//! brought in where a provider dictates it; of an asymmetric pair the public half is registered. The
//! secret is kept sealed, since it must be read back to verify. Rotation keeps the public name: a
//! second secret stands beside the first for a while, and callers swap nothing but the secret.

use core::time::Duration;

use proof::issued::{Environment, Issued, KeyId, SecretKind, SigningKeyId};
use proof::random::uuid_v7;
use proof::seal::{self, KekRing};
use proof::secret::Secret;
use proof::webhook::SharedKey;
use serde_json::json;
use verdict::identity::{LifeState, SigningScheme};

use super::credential::{
    DEFAULT_OVERLAP, Family, LONGEST_OVERLAP, Made, add_as, expiry_is_sound, found_for_rotation,
    new_id, subject,
};
use super::{Ctx, Details, Refusal, api_key, authorize, draft};
use crate::access::Action;
use crate::actor::Actor;
use crate::credential::{Credential, CredentialType, Lookup, Renewed};
use crate::key::{ApiKeySpec, KeyType};
use crate::ports::{AuditTrail, Registry, SealedSecrets, Stores};
use crate::signing::{
    MaterialForm, Sealed, Signing, SigningMaterial, VALID_AT_ONCE, place, read_public_key,
};

/// Fewest bytes of a secret that is brought in.
pub const SHORTEST_SECRET: usize = 16;
/// Most bytes of one.
pub const LONGEST_SECRET: usize = 512;
/// Secrets that are sealed anew between two looks at the store.
const RESEALED_AT_ONCE: u32 = 100;

/// A signing key to be made.
#[derive(Debug)]
pub struct NewSigningKey<'a> {
    /// What it is for.
    pub scheme: SigningScheme,
    /// Whose it is and what it may do, said as of an API key.
    pub spec: &'a ApiKeySpec,
    /// What it signs by.
    pub material: NewMaterial,
}

/// Where a secret or a public key comes from.
#[derive(Debug)]
pub enum NewMaterial {
    /// A secret is made here and shown once.
    Made,
    /// A secret that somebody else made. Webhooks only: nobody else dictates theirs to us.
    Given(Secret),
    /// A public key, as [`read_public_key`] takes it.
    Public(String),
}

impl NewMaterial {
    fn name(&self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Given(_) => "imported",
            Self::Public(_) => "public_key",
        }
    }
}

/// Makes a signing key.
///
/// # Errors
/// [`Refusal::Flawed`] where it refers to what is not there; [`Refusal::Invalid`] for material that
/// its scheme does not take; others.
pub async fn create(
    ports: &impl Registry,
    master: &KekRing,
    actor: &Actor,
    ctx: &Ctx<'_>,
    new: NewSigningKey<'_>,
) -> Result<Made, Refusal> {
    let NewSigningKey {
        scheme,
        spec,
        material,
    } = new;
    let action = match material {
        NewMaterial::Given(_) => Action::SigningSecretImport,
        NewMaterial::Made | NewMaterial::Public(_) => Action::SigningSecretCreate,
    };
    authorize(actor, action)?;
    if spec.r#type != KeyType::Secret || spec.origins.is_some() || spec.imported.is_some() {
        return Err(Refusal::Invalid {
            field: "origins",
            message: "origins bind publishable API keys; a signing key is none",
        });
    }
    let expires_at = spec.expires_at.map(|moment| moment.0);
    expiry_is_sound(ctx, expires_at)?;
    api_key::is_sound(ports, ctx, spec).await?;

    let key_id = KeyId::generate(ctx.entropy);
    let details = details(scheme, SigningKeyId::new(key_id), &material);
    let (material, secret) = fresh(ctx, master, scheme, spec.environment, key_id, material)?;
    let r#type = CredentialType::SigningSecret;
    let credential = Credential {
        id: new_id(ctx, r#type),
        r#type,
        owner: spec.application.clone(),
        label: spec.label.clone(),
        environment: spec.environment,
        lookup: Lookup::SigningKeyId(SigningKeyId::new(key_id)),
        verifier: String::new(),
        display: SigningKeyId::new(key_id).to_string(),
        grant: api_key::grant_of(spec),
        state: LifeState::Active,
        created_at: ctx.now,
        expires_at,
        successor: None,
        signing: Some(Signing {
            scheme,
            material: vec![material],
        }),
        version: 1,
    };
    add_as(
        ports,
        actor,
        ctx,
        action,
        Made { credential, secret },
        details,
    )
    .await
}

/// Puts another secret or public key beside those of an active signing key, under the same public
/// name. Those before verify for `overlap` more ([`DEFAULT_OVERLAP`] if `None`; zero: they end at
/// once, which is the answer to a leak).
///
/// # Errors
/// [`Refusal::StillOverlapping`] while two are valid and would stay so; others.
pub async fn rotate(
    ports: &impl Registry,
    master: &KekRing,
    actor: &Actor,
    ctx: &Ctx<'_>,
    id: &str,
    overlap: Option<Duration>,
    material: NewMaterial,
) -> Result<Made, Refusal> {
    let old = found_for_rotation(ports, actor, id, Family::SigningSecret).await?;
    let overlap = overlap.unwrap_or(DEFAULT_OVERLAP);
    if overlap > LONGEST_OVERLAP {
        return Err(Refusal::Invalid {
            field: "overlap",
            message: "an overlap is at most 90d",
        });
    }
    if old.state != LifeState::Active {
        return Err(Refusal::WrongState(old.state));
    }
    if old.is_expired_at(ctx.now) {
        return Err(Refusal::Expired);
    }
    let (Some(signing), Lookup::SigningKeyId(key_id)) = (&old.signing, &old.lookup) else {
        return Err(Refusal::NotFound {
            what: "signing secret",
            name: id.to_owned(),
        });
    };
    let is_public = matches!(material, NewMaterial::Public(_));
    if signing.is_shared() == Some(is_public) {
        return Err(Refusal::Invalid {
            field: "public_key",
            message: "a key that is a secret stays one, and a public key is followed by another public key",
        });
    }
    let ends = ctx.now.plus(overlap);
    // Before sealing; the store says it again at the moment it counts.
    if !overlap.is_zero() && signing.valid_at(ctx.now).count() >= VALID_AT_ONCE {
        return Err(Refusal::StillOverlapping);
    }
    let mut details = details(signing.scheme, *key_id, &material);
    details.insert("owner".to_owned(), old.owner.clone());
    details.insert("overlap_seconds".to_owned(), overlap.as_secs().to_string());
    let (material, secret) = fresh(
        ctx,
        master,
        signing.scheme,
        old.environment,
        key_id.key_id(),
        material,
    )?;
    let action = Action::SigningSecretRotate;
    let audit = draft(ctx, actor, action, subject(&old), details);
    match ports
        .renew_signing(&old.id, material, ends, old.version, audit)
        .await?
    {
        Renewed::Done(credential) => Ok(Made { credential, secret }),
        Renewed::Unknown => Err(Refusal::NotFound {
            what: "signing secret",
            name: id.to_owned(),
        }),
        Renewed::WrongState(state) => Err(Refusal::WrongState(state)),
        Renewed::Conflict { current } => Err(Refusal::Conflict { current }),
        Renewed::TwoValid => Err(Refusal::StillOverlapping),
    }
}

/// What a change of the master key found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that are under the current master key now.
    pub done: u64,
    /// Secrets whose master key is not at hand: their calls can't be judged.
    pub closed: u64,
}

/// Seals every secret that is under a former master key anew, so that the former one can go. Safe on
/// several nodes at once.
///
/// # Errors
/// [`crate::ports::StoreError`]; what was done so far stays done.
pub async fn reseal(
    ports: &(impl SealedSecrets + AuditTrail),
    master: &KekRing,
    ctx: &Ctx<'_>,
) -> Stores<Resealed> {
    let mut found = Resealed { done: 0, closed: 0 };
    let mut after = String::new();
    // Ends, since ids only grow.
    loop {
        let page = ports
            .sealed_otherwise(master.current().id(), &after, RESEALED_AT_ONCE)
            .await?;
        for before in &page {
            match seal::open(master, &place(&before.id), &before.sealed) {
                Ok(secret) => {
                    let sealed = sealed(ctx, master, &before.id, &secret);
                    found.done += u64::from(ports.reseal(before, sealed).await?);
                }
                Err(_) => found.closed += 1,
            }
        }
        match page.last() {
            Some(Sealed { id, .. }) if page.len() >= RESEALED_AT_ONCE as usize => {
                after.clone_from(id);
            }
            _ => break,
        }
    }
    if found.done > 0 {
        let actor = Actor::System { part: "master-key" };
        let details = Details::from([("secrets".to_owned(), found.done.to_string())]);
        let action = Action::SigningSecretReseal;
        ports
            .note(draft(ctx, &actor, action, "signing_secret", details))
            .await?;
    }
    Ok(found)
}

fn details(scheme: SigningScheme, key_id: SigningKeyId, material: &NewMaterial) -> Details {
    Details::from([
        ("scheme".to_owned(), scheme.name().to_owned()),
        ("key_id".to_owned(), key_id.to_string()),
        ("material".to_owned(), material.name().to_owned()),
    ])
}

/// What is stored, and what is shown once.
fn fresh(
    ctx: &Ctx<'_>,
    master: &KekRing,
    scheme: SigningScheme,
    environment: Environment,
    key_id: KeyId,
    material: NewMaterial,
) -> Result<(SigningMaterial, Option<Secret>), Refusal> {
    let id = uuid_v7(ctx.now, ctx.entropy);
    let (form, shown) = match material {
        NewMaterial::Public(text) => {
            let jwk = read_public_key(scheme, &text).map_err(|bad| Refusal::Invalid {
                field: "public_key",
                message: bad.message(),
            })?;
            let jwk = json!(jwk);
            (MaterialForm::Public { jwk }, None)
        }
        NewMaterial::Given(secret) => {
            is_importable(scheme, &secret)?;
            let sealed = sealed(ctx, master, &id, &secret);
            (MaterialForm::Shared { sealed }, None)
        }
        NewMaterial::Made => {
            let secret = match scheme {
                SigningScheme::Webhook => SharedKey::generate(ctx.entropy).to_text(),
                SigningScheme::Hmac | SigningScheme::SigV4 | SigningScheme::HttpSignature => {
                    let brand = &ctx.context.brand;
                    let kind = SecretKind::HmacSecret;
                    Issued::generate_with_id(brand, kind, environment, key_id, ctx.entropy).secret
                }
            };
            let sealed = sealed(ctx, master, &id, &secret);
            (MaterialForm::Shared { sealed }, Some(secret))
        }
    };
    let material = SigningMaterial {
        id,
        form,
        created_at: ctx.now,
        until: None,
    };
    Ok((material, shown))
}

fn sealed(ctx: &Ctx<'_>, master: &KekRing, id: &str, secret: &Secret) -> Vec<u8> {
    seal::seal(master.current(), &place(id), secret.expose(), ctx.entropy)
}

/// A secret of a provider: text of a sane length, without what a copy may have caught by mistake.
fn is_importable(scheme: SigningScheme, secret: &Secret) -> Result<(), Refusal> {
    let wrong = |message| {
        Err(Refusal::Invalid {
            field: "secret",
            message,
        })
    };
    if scheme != SigningScheme::Webhook {
        return wrong("only webhook secrets are brought in; every other is made here");
    }
    let Some(text) = secret.expose_text() else {
        return wrong("a secret is UTF-8 text");
    };
    if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&text.len()) {
        return wrong("a secret has 16 to 512 bytes");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("a secret has no white space and no control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
