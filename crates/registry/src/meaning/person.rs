//! What a `User` document means: who can log in, and which claims are known of the person.

use serde_json::{Map, Value};

use super::owner::roles;
use crate::account::normal_username;
use crate::flaw::{Place, Report};
use crate::user::{UserMeaning, UserSpec};

pub(super) fn mean(name: &str, spec: &UserSpec, report: &mut Report<'_>) -> Option<UserMeaning> {
    let before = report.count();
    let at = Place::spec();
    let username = normal_username(spec.username.as_deref().unwrap_or(name));
    if username.is_none() {
        report.flaw(
            at.key("username"),
            "a user name is 1 to 128 printable ASCII characters without blank and colon",
        );
    }
    let roles = roles(spec.roles.as_deref(), report);
    report.not_empty(at.key("groups"), spec.groups.as_deref());
    let groups = spec.groups.clone().unwrap_or_default();
    report.no_doubles(&at.key("groups"), &groups);
    let username = username?;
    (report.count() == before).then(|| UserMeaning {
        name: name.to_owned(),
        claims: claims(spec, &username),
        username,
        roles,
        groups,
        environment: spec.environment,
        expires_at: spec.expires_at.map(|moment| moment.0),
    })
}

/// OpenID Connect Core §5.1: a claim that is not known is left out, never `null` or empty.
pub(crate) fn claims(spec: &UserSpec, username: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    let texts = [
        ("name", &spec.name),
        ("given_name", &spec.given_name),
        ("family_name", &spec.family_name),
        ("middle_name", &spec.middle_name),
        ("nickname", &spec.nickname),
        ("profile", &spec.profile),
        ("picture", &spec.picture),
        ("website", &spec.website),
        ("email", &spec.email),
        ("gender", &spec.gender),
        ("birthdate", &spec.birthdate),
        ("zoneinfo", &spec.zoneinfo),
        ("locale", &spec.locale),
        ("phone_number", &spec.phone_number),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            claims.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    let shown = spec.preferred_username.as_deref().unwrap_or(username);
    claims.insert("preferred_username".to_owned(), Value::from(shown));
    if spec.email.is_some() {
        claims.insert("email_verified".to_owned(), spec.email_verified.into());
    }
    if spec.phone_number.is_some() {
        let verified = spec.phone_number_verified.into();
        claims.insert("phone_number_verified".to_owned(), verified);
    }
    if let Some(address) = &spec.address {
        let address = serde_json::to_value(address).expect("an address is a map of texts");
        claims.insert("address".to_owned(), address);
    }
    claims
}
