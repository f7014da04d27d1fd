//! **API key** and **admin key**: found by their public part, never by a salted hash.
//!
//! A typing mistake is refused by the checksum and costs no lookup, an unknown id costs no hash.
//! A key opens only what its kind is for: a data key never the admin API, an admin key never an
//! API. Where the key may be used (APIs, environment, networks, origins) is judged in
//! [`crate::decide`], with the other kinds.

use proof::issued::{self, Brand, SecretKind};
use proof::time::Timestamp;

use super::{CredentialKind, Proved, refused};
use crate::facts::{Facts, KeyCheck, KeyLookup};
use crate::identity::{IssuedKey, LifeState};
use crate::problem::Problem;
use crate::route::Api;
use crate::trace::{Check, Note};

/// An API key as it was presented, in a grammar of the API.
#[derive(Debug)]
pub(crate) enum Key<'a> {
    /// In our own grammar, secret or publishable.
    Issued(issued::Presented<'a>),
    /// In the pattern of imported keys.
    Imported {
        /// How it is found.
        lookup: KeyLookup<'a>,
        /// The whole text.
        text: &'a [u8],
    },
}

/// Reads the value of a key field.
pub(super) fn read<'a>(text: &'a [u8], api: &'a Api) -> Result<Key<'a>, Problem> {
    if is_branded(text, &api.brand) {
        let key = issued::parse(text, &api.brand).map_err(|defect| refused(defect.code()))?;
        return data_key(key);
    }
    foreign(text, api).ok_or_else(|| refused("a key in no form that the API takes"))
}

/// Whether the text claims to be one of ours.
pub(super) fn is_branded(text: &[u8], brand: &Brand) -> bool {
    text.strip_prefix(brand.as_str().as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b'_'))
}

/// A key of ours that is for calling APIs (threat J4).
pub(super) fn data_key(key: issued::Presented<'_>) -> Result<Key<'_>, Problem> {
    match key.kind {
        SecretKind::SecretKey | SecretKind::PublishableKey => Ok(Key::Issued(key)),
        _ => Err(refused("a secret that is not an API key")),
    }
}

/// A key in the first of the API's foreign patterns that fits.
pub(super) fn foreign<'a>(text: &'a [u8], api: &Api) -> Option<Key<'a>> {
    if api.foreign_keys.is_empty() {
        return None;
    }
    let clean = core::str::from_utf8(text)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))?;
    let pattern = api.foreign_keys.iter().find(|pattern| {
        pattern.length.contains(&clean.len()) && clean.starts_with(&*pattern.prefix)
    })?;
    let lookup = match pattern.id_length {
        0 => KeyLookup::Digest(proof::digest::TokenHash::of(text)),
        digits => KeyLookup::Prefix(clean.get(..pattern.prefix.len() + digits)?),
    };
    Some(Key::Imported { lookup, text })
}

/// Verifies an API key.
pub(super) async fn prove(
    key: Key<'_>,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    match key {
        Key::Issued(key) => prove_issued(key, CredentialKind::ApiKey, facts, now).await,
        Key::Imported { lookup, text } => {
            facts.note(Note::Check(Check::Key));
            let found = matched(facts.check_key(lookup, text, now).await?)?;
            facts.note(Note::Check(Check::KeyRecord));
            // An admin key is always in our grammar.
            if found.kind == SecretKind::AdminKey {
                return Err(refused("an imported record of the admin kind"));
            }
            facts.note(Note::Check(Check::Life));
            usable(&found, CredentialKind::ApiKey, now)
        }
    }
}

/// Verifies an admin key.
pub(super) async fn prove_admin(
    key: issued::Presented<'_>,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    prove_issued(key, CredentialKind::AdminKey, facts, now).await
}

async fn prove_issued(
    key: issued::Presented<'_>,
    kind: CredentialKind,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    facts.note(Note::Check(Check::Key));
    let check = facts
        .check_key(KeyLookup::Issued(key.id), key.whole, now)
        .await?;
    let found = matched(check).map_err(|mut problem| {
        problem.cause = format!("{} (id {})", problem.cause, key.id).into();
        problem
    })?;
    // What the text says of itself is covered by its hash; a record that says otherwise is a
    // mix-up of records, and no key of that text was ever issued.
    facts.note(Note::Check(Check::KeyRecord));
    if found.kind != key.kind || found.key_id != Some(key.id) {
        return Err(refused("the record is of another key"));
    }
    if found.standing.environment != Some(key.environment) {
        return Err(refused("the record is of another environment"));
    }
    facts.note(Note::Check(Check::Life));
    usable(&found, kind, now)
}

fn matched(check: KeyCheck) -> Result<std::sync::Arc<IssuedKey>, Problem> {
    match check {
        KeyCheck::Match(key) => Ok(key),
        KeyCheck::Unknown => Err(refused("no such key")),
        KeyCheck::Mismatch(key) => Err(refused(format!(
            "wrong secret for {}",
            key.standing.credential
        ))),
    }
}

/// The key's life: state, then time. After the secret, so that a stranger who knows an id learns
/// nothing of its state, not even by timing.
fn usable(key: &IssuedKey, kind: CredentialKind, now: Timestamp) -> Result<Proved, Problem> {
    let id = &key.standing.credential;
    match key.state {
        LifeState::Active => {}
        LifeState::Suspended => return Err(refused(format!("{id} is suspended"))),
        LifeState::Revoked => return Err(refused(format!("{id} is revoked"))),
    }
    // Our own clock wrote it and reads it: no leeway.
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(refused(format!("{id} has expired")));
    }
    // A publishable key is known to everybody: without a list of origins it would be no
    // credential at all.
    if key.kind == SecretKind::PublishableKey && key.standing.origins.is_empty() {
        return Err(refused(format!("{id} is publishable and lists no origins")));
    }
    Ok(Proved {
        kind,
        standing: key.standing.clone(),
        expires_at: key.expires_at,
        ends: key.expires_at,
        issuer: None,
        secret: None,
    })
}
