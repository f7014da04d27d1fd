//! **Opaque**: access tokens of our own issuer that say nothing by themselves. What they stand for is
//! a record that the issuer keeps under the SHA-256 of the text.
//!
//! Only the way to the claims is another than a JWT's: from there on both are judged by the same
//! function, on every use (times, audience, revocation, binding). A text that is no token of ours
//! by its checksum costs no lookup. Foreign issuers' opaque tokens are [`super::introspection`]'s.

use proof::digest::TokenHash;
use proof::issued::{self, Brand, SecretKind};
use proof::jose::jwt::Claims;
use proof::time::Timestamp;

use super::binding::Sent;
use super::jwt::{self, IssuerProfile, Shown, VerifiedToken};
use super::{CredentialKind, Proved, apikey, refused};
use crate::call::Head;
use crate::facts::Facts;
use crate::problem::Problem;
use crate::route::{Api, Route};
use crate::trace::{Check, Note};

/// What our issuer keeps of an opaque token, as the token that a call presents: prepared once for
/// all calls. The standard facts read records by this.
///
/// `claims` is the JSON of the claims that a JWT would have had, `profile` our own issuer's.
/// `None`: the record is of an issuer that had another name, as before the installation moved.
///
/// # Errors
/// Why the record can't be judged. It is damaged then, which is not the same as absent.
pub fn from_record(
    claims: &[u8],
    hash: &TokenHash,
    profile: &IssuerProfile,
) -> Result<Option<VerifiedToken>, String> {
    let claims = Claims::from_json(claims).map_err(|defect| defect.code().to_owned())?;
    if claims.iss.as_deref() != Some(profile.issuer.as_str()) {
        return Ok(None);
    }
    jwt::claims::verified(&claims, hash, profile, None).map(Some)
}

/// Whether a text calls itself an opaque token of this brand, sound or not.
pub(super) fn is_named(text: &[u8], brand: &Brand) -> bool {
    apikey::is_branded(text, brand)
        && text
            .get(brand.as_str().len() + 1..)
            .and_then(|rest| rest.strip_prefix(SecretKind::OpaqueToken.tag().as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&b'_'))
}

/// Reads a text in our grammar.
pub(super) fn read<'a>(text: &'a [u8], api: &Api) -> Result<issued::Presented<'a>, Problem> {
    let token = issued::parse(text, &api.brand).map_err(|defect| refused(defect.code()))?;
    if token.kind != SecretKind::OpaqueToken {
        return Err(refused("a secret that is not an access token"));
    }
    Ok(token)
}

/// Finds what a token stands for, judges that for an API, and that its sender is the one it was
/// given to.
pub(super) async fn prove(
    token: issued::Presented<'_>,
    sent: Sent<'_>,
    head: &Head,
    route: &Route,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    let api = &*route.api;
    facts.note(Note::Check(Check::Issuer));
    let profile = api
        .issuers
        .iter()
        .find(|profile| profile.own)
        .ok_or_else(|| refused("the API does not trust our own issuer"))?;
    let hash = TokenHash::of(token.whole);
    facts.note(Note::Check(Check::TokenRecord));
    let verified = facts
        .opaque_token(&hash, profile, now)
        .await?
        .ok_or_else(|| refused("no such token"))?;
    let shown = Shown {
        text: token.whole,
        sent,
        head,
        route,
    };
    jwt::finish(
        CredentialKind::Opaque,
        &verified,
        profile,
        shown,
        facts,
        now,
    )
    .await
}
