//! **Credentials' life**: made, found, moved, rotated. What is kept of a secret is a hash in its
//! stored form; a verifier that does not read as one is refused, so that a secret in clear can't
//! get here by mistake. What signs requests has no hash: it stands in [`crate::signing`], sealed.

use proof::issued::{Environment, KeyId, SigningKeyId};
use proof::password::{Verifier, VerifierKind};
use proof::time::Timestamp;
use registry::audit::AuditDraft;
use registry::credential::{
    Credential, CredentialType, Lookup, Moved, Rotated, Transition as Step,
};
use registry::ports::{CredentialFilter, Stores};
use registry::resource::ResourceKind;
use registry::signing::Signing;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, Executor};
use verdict::identity::{LifeState, SigningScheme};

use crate::Store;
use crate::error::{broken, failed};
use crate::outbox::{Transition, of_credential, taken};
use crate::row::{Columns as _, millis, placeholders, to_json};
use crate::signing;

/// The columns of a credential. A macro, since statements are literals.
macro_rules! credential_columns {
    () => {
        "c.id, c.type, c.owner, c.label, c.environment, c.lookup_kind, c.lookup_value, c.verifier, \
         c.display, c.granted, c.state, c.created_at, c.expires_at, c.successor, c.scheme, c.version"
    };
}
pub(crate) use credential_columns;

/// The type of a name.
pub(crate) fn type_of(name: &str) -> Option<CredentialType> {
    CredentialType::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
}

/// The kind of resource that owns credentials of a type; administrators' keys and initial access
/// tokens have no owner.
pub(crate) fn owner_kind(kind: CredentialType) -> Option<ResourceKind> {
    match kind {
        CredentialType::ApiKey | CredentialType::PublishableKey | CredentialType::SigningSecret => {
            Some(ResourceKind::Application)
        }
        CredentialType::ClientSecret | CredentialType::RegistrationAccessToken => {
            Some(ResourceKind::Client)
        }
        CredentialType::Password => Some(ResourceKind::Account),
        CredentialType::UserPassword => Some(ResourceKind::User),
        CredentialType::AdminKey | CredentialType::InitialAccessToken => None,
    }
}

fn state_name(state: LifeState) -> &'static str {
    match state {
        LifeState::Active => "active",
        LifeState::Suspended => "suspended",
        LifeState::Revoked => "revoked",
    }
}

fn state_of(name: &str) -> Option<LifeState> {
    [LifeState::Active, LifeState::Suspended, LifeState::Revoked]
        .into_iter()
        .find(|state| state_name(*state) == name)
}

fn algorithm_name(kind: VerifierKind) -> &'static str {
    match kind {
        VerifierKind::Argon2id => "argon2id",
        VerifierKind::KeyedHash => "keyed_hash",
        VerifierKind::Bcrypt => "bcrypt",
        VerifierKind::Sha256 => "sha256",
    }
}

/// The two columns of a lookup.
pub(crate) fn lookup_columns(lookup: &Lookup) -> (&'static str, Option<String>) {
    match lookup {
        Lookup::KeyId(id) => ("key_id", Some(id.to_string())),
        Lookup::Digest(digest) => ("digest", Some(digest.clone())),
        Lookup::Prefix(prefix) => ("prefix", Some(prefix.clone())),
        Lookup::SigningKeyId(id) => ("signing_key_id", Some(id.to_string())),
        Lookup::Owner => ("owner", None),
    }
}

fn read_lookup(row: &AnyRow) -> Stores<Lookup> {
    let (kind, value) = (row.text("lookup_kind")?, row.text_or_null("lookup_value")?);
    match (&*kind, value) {
        ("key_id", Some(value)) => KeyId::parse(value.as_str())
            .map(Lookup::KeyId)
            .ok_or_else(|| broken("a credential's key id is not one")),
        ("digest", Some(value)) => Ok(Lookup::Digest(value)),
        ("prefix", Some(value)) => Ok(Lookup::Prefix(value)),
        ("signing_key_id", Some(value)) => SigningKeyId::parse(value.as_str())
            .map(Lookup::SigningKeyId)
            .ok_or_else(|| broken("a signing key's public name is not one")),
        ("owner", None) => Ok(Lookup::Owner),
        (other, _) => Err(broken(format!("a credential is looked up by {other:?}"))),
    }
}

/// What a credential signs by, yet without its material: [`signing::fill`] brings that.
fn read_signing(row: &AnyRow, r#type: CredentialType) -> Stores<Option<Signing>> {
    let scheme = row.text_or_null("scheme")?;
    match (r#type, scheme) {
        (CredentialType::SigningSecret, Some(name)) => {
            let scheme = SigningScheme::from_name(&name)
                .ok_or_else(|| broken(format!("signing secrets of the scheme {name:?}")))?;
            let material = Vec::new();
            Ok(Some(Signing { scheme, material }))
        }
        (CredentialType::SigningSecret, None) => Err(broken("a signing secret without a scheme")),
        (_, Some(_)) => Err(broken("a scheme of what signs nothing")),
        (_, None) => Ok(None),
    }
}

/// A row with [`credential_columns`].
pub(crate) fn read(row: &AnyRow) -> Stores<Credential> {
    let r#type = row.word("type", type_of)?;
    Ok(Credential {
        id: row.text("id")?,
        r#type,
        owner: row.text("owner")?,
        label: row.text("label")?,
        environment: row.word("environment", |name| {
            Environment::from_name(name.as_bytes())
        })?,
        lookup: read_lookup(row)?,
        verifier: row.text("verifier")?,
        display: row.text("display")?,
        grant: row.json("granted")?,
        state: row.word("state", state_of)?,
        created_at: row.time("created_at")?,
        expires_at: row.time_or_null("expires_at")?,
        successor: row.text_or_null("successor")?,
        signing: read_signing(row, r#type)?,
        version: row.number("version")?,
    })
}

/// One by its id, without what it signs by.
pub(crate) async fn select(
    connection: impl Executor<'_, Database = Any>,
    realm: &str,
    id: &str,
) -> Stores<Option<Credential>> {
    sqlx::query(concat!(
        "SELECT ",
        credential_columns!(),
        " FROM credentials c WHERE c.realm_id = $1 AND c.id = $2"
    ))
    .bind(realm)
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(failed)?
    .as_ref()
    .map(read)
    .transpose()
}

/// One by its id.
pub(crate) async fn find(store: &Store, id: &str) -> Stores<Option<Credential>> {
    let found = select(&store.reading, store.realm, id).await?;
    filled(store, found).await
}

async fn filled(store: &Store, found: Option<Credential>) -> Stores<Option<Credential>> {
    let Some(mut credential) = found else {
        return Ok(None);
    };
    let one = core::slice::from_mut(&mut credential);
    signing::fill(&store.reading, store.realm, one).await?;
    Ok(Some(credential))
}

/// One by how it is looked up.
pub(crate) async fn find_by_lookup(store: &Store, lookup: &Lookup) -> Stores<Option<Credential>> {
    let (kind, Some(value)) = lookup_columns(lookup) else {
        return Ok(None);
    };
    let found = sqlx::query(concat!(
        "SELECT ",
        credential_columns!(),
        " FROM credentials c WHERE c.realm_id = $1 AND c.lookup_kind = $2 AND c.lookup_value = $3"
    ))
    .bind(store.realm)
    .bind(kind)
    .bind(value)
    .fetch_optional(&store.reading)
    .await
    .map_err(failed)?
    .as_ref()
    .map(read)
    .transpose()?;
    filled(store, found).await
}

/// Those that a filter lets through, by id.
pub(crate) async fn list(store: &Store, filter: &CredentialFilter) -> Stores<Vec<Credential>> {
    let mut text = String::from(concat!(
        "SELECT ",
        credential_columns!(),
        " FROM credentials c WHERE c.realm_id = $1 AND ($2 IS NULL OR c.owner = $2) \
         AND ($3 IS NULL OR c.id > $3)"
    ));
    if !filter.types.is_empty() {
        text.push_str(" AND c.type IN ");
        text.push_str(&placeholders(5, 1, filter.types.len()));
    }
    text.push_str(" ORDER BY c.id LIMIT $4");
    // Safe: the text grows by placeholders only.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(store.realm)
        .bind(filter.owner.as_deref())
        .bind(filter.after.as_deref())
        .bind(i64::from(filter.limit.clamp(1, 1000)));
    for kind in &filter.types {
        query = query.bind(kind.name());
    }
    let mut found = query
        .fetch_all(&store.reading)
        .await
        .map_err(failed)?
        .iter()
        .map(read)
        .collect::<Stores<Vec<_>>>()?;
    signing::fill(&store.reading, store.realm, &mut found).await?;
    Ok(found)
}

/// The algorithm of a credential's verifier. What signs requests has none: it is sealed, or public.
fn verifier_algorithm(credential: &Credential) -> Stores<&'static str> {
    match (credential.r#type, &credential.signing) {
        (CredentialType::SigningSecret, Some(_)) if credential.verifier.is_empty() => Ok("none"),
        (CredentialType::SigningSecret, _) | (_, Some(_)) => Err(broken(
            "signing secrets have material and no verifier, nothing was stored",
        )),
        (_, None) => Verifier::parse(&credential.verifier)
            .map(|verifier| algorithm_name(verifier.kind()))
            .map_err(|_| {
                broken("a credential's verifier is not a stored hash, nothing was stored")
            }),
    }
}

async fn insert(
    connection: &mut AnyConnection,
    realm: &str,
    credential: &Credential,
) -> Stores<()> {
    let verifier_algorithm = verifier_algorithm(credential)?;
    let owner_kind = owner_kind(credential.r#type);
    if let Some(kind) = owner_kind {
        // Here, under the lock: the owner may have been removed since the use case looked.
        sqlx::query("SELECT name FROM resources WHERE realm_id = $1 AND kind = $2 AND name = $3")
            .bind(realm)
            .bind(kind.name())
            .bind(&credential.owner)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?
            .ok_or_else(|| broken(format!("there is no {} {}", kind.name(), credential.owner)))?;
    }
    let (lookup_kind, lookup_value) = lookup_columns(&credential.lookup);
    sqlx::query(
        "INSERT INTO credentials (realm_id, id, type, owner_kind, owner, label, environment, \
         lookup_kind, lookup_value, verifier_algorithm, verifier, display, granted, state, \
         created_at, expires_at, successor, scheme, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
         $19)",
    )
    .bind(realm)
    .bind(&credential.id)
    .bind(credential.r#type.name())
    .bind(owner_kind.map(ResourceKind::name))
    .bind(&credential.owner)
    .bind(&credential.label)
    .bind(credential.environment.name())
    .bind(lookup_kind)
    .bind(lookup_value)
    .bind(verifier_algorithm)
    .bind(&credential.verifier)
    .bind(&credential.display)
    .bind(to_json(&credential.grant)?)
    .bind(state_name(credential.state))
    .bind(credential.created_at.as_millis())
    .bind(millis(credential.expires_at))
    .bind(credential.successor.as_deref())
    .bind(
        credential
            .signing
            .as_ref()
            .map(|signing| signing.scheme.name()),
    )
    .bind(credential.version)
    .execute(&mut *connection)
    .await
    .map_err(|error| {
        taken(
            error,
            &format!("a credential with the id or lookup of {}", credential.id),
        )
    })?;
    for material in credential
        .signing
        .iter()
        .flat_map(|signing| &signing.material)
    {
        signing::insert(connection, realm, &credential.id, material).await?;
    }
    Ok(())
}

/// Writes what can change: label, grant, state, expiry, successor, version.
pub(crate) async fn update(
    connection: &mut AnyConnection,
    realm: &str,
    credential: &Credential,
) -> Stores<()> {
    sqlx::query(
        "UPDATE credentials SET label = $3, granted = $4, state = $5, expires_at = $6, \
         successor = $7, version = $8 WHERE realm_id = $1 AND id = $2",
    )
    .bind(realm)
    .bind(&credential.id)
    .bind(&credential.label)
    .bind(to_json(&credential.grant)?)
    .bind(state_name(credential.state))
    .bind(millis(credential.expires_at))
    .bind(credential.successor.as_deref())
    .bind(credential.version)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Stores a new one.
pub(crate) async fn add(
    store: &Store,
    credential: Credential,
    audit: &AuditDraft,
) -> Stores<Credential> {
    let mut write = Transition::begin(store, 1, 1).await?;
    let realm = write.realm();
    insert(write.connection(), realm, &credential).await?;
    write.audit(audit).await?;
    write
        .announce(&of_credential(
            credential.r#type,
            &credential.id,
            &credential.owner,
        ))
        .await?;
    write.commit().await?;
    Ok(credential)
}

/// Moves one through its life.
pub(crate) async fn advance(
    store: &Store,
    id: &str,
    step: Step,
    expected: Option<i64>,
    audit: &AuditDraft,
) -> Stores<Moved> {
    let mut write = Transition::begin(store, 1, 1).await?;
    let realm = write.realm();
    let Some(mut credential) = select(write.connection(), realm, id).await? else {
        return Ok(Moved::Unknown);
    };
    if expected.is_some_and(|expected| expected != credential.version) {
        return Ok(Moved::Conflict {
            current: credential.version,
        });
    }
    match (step, credential.state) {
        (Step::Suspend, LifeState::Active) => credential.state = LifeState::Suspended,
        (Step::Resume, LifeState::Suspended) => credential.state = LifeState::Active,
        (Step::Revoke, LifeState::Active | LifeState::Suspended) => {
            credential.state = LifeState::Revoked;
        }
        (
            Step::Amend {
                label,
                grant,
                expires_at,
            },
            LifeState::Active | LifeState::Suspended,
        ) => {
            credential.label = label;
            credential.grant = grant;
            credential.expires_at = expires_at;
        }
        (_, state) => return Ok(Moved::WrongState(state)),
    }
    credential.version += 1;
    update(write.connection(), realm, &credential).await?;
    if credential.signing.is_some() {
        if credential.state == LifeState::Revoked {
            signing::forget(write.connection(), realm, id).await?;
        }
        let one = core::slice::from_mut(&mut credential);
        signing::fill(write.connection(), realm, one).await?;
    }
    write.audit(audit).await?;
    write
        .announce(&of_credential(
            credential.r#type,
            &credential.id,
            &credential.owner,
        ))
        .await?;
    write.commit().await?;
    Ok(Moved::Done(credential))
}

/// Puts a successor beside one and lets the old one end.
pub(crate) async fn rotate(
    store: &Store,
    id: &str,
    successor: Credential,
    old_ends: Timestamp,
    audit: &AuditDraft,
) -> Stores<Rotated> {
    let mut write = Transition::begin(store, 2, 1).await?;
    let realm = write.realm();
    let Some(mut old) = select(write.connection(), realm, id).await? else {
        return Ok(Rotated::Unknown);
    };
    // The successor first: a revoked credential that was rotated before has both, and which of the
    // two is said matters to whoever lost a race of two rotations.
    if let Some(successor) = old.successor {
        return Ok(Rotated::AlreadyRotated { successor });
    }
    if old.state != LifeState::Active {
        return Ok(Rotated::WrongState(old.state));
    }
    if successor.r#type != old.r#type || successor.owner != old.owner {
        return Err(broken(
            "a successor has its predecessor's type and owner, nothing was stored",
        ));
    }
    insert(write.connection(), realm, &successor).await?;
    old.expires_at = Some(old.expires_at.map_or(old_ends, |ends| ends.min(old_ends)));
    old.successor = Some(successor.id.clone());
    old.version += 1;
    update(write.connection(), realm, &old).await?;
    write.audit(audit).await?;
    for credential in [&successor, &old] {
        write
            .announce(&of_credential(
                credential.r#type,
                &credential.id,
                &credential.owner,
            ))
            .await?;
    }
    write.commit().await?;
    Ok(Rotated::Done {
        old,
        new: successor,
    })
}
