//! What a `User` document means: who can log in, and which claims are known of the person.

use serde_json::{Map, Value};

use super::owner::{is_mail_address, roles};
use crate::account::normal_username;
use crate::flaw::{DocumentRef, Place, Report};
use crate::resource::ResourceKind;
use crate::user::{Address, UserMeaning, UserSpec};

/// Longest text of a claim in bytes.
const LONGEST_CLAIM: usize = 1000;

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
    for (index, group) in groups.iter().enumerate() {
        if group.is_empty() || group.len() > 128 || group.chars().any(char::is_control) {
            report.flaw(
                at.key("groups").index(index),
                "a group is 1 to 128 bytes without control characters",
            );
        }
    }
    claims_are_sound(spec, report);
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

/// The person of a stored document, read without the others; `None` if it means nothing.
pub(crate) fn mean_alone(name: &str, spec: &UserSpec) -> Option<UserMeaning> {
    let (mut flaws, index) = (Vec::new(), 0);
    let document = DocumentRef {
        kind: ResourceKind::User.name().to_owned(),
        name: name.to_owned(),
        index,
    };
    mean(name, spec, &mut Report::new(document, &mut flaws))
}

/// OpenID Connect Core §5.1: what relying parties take at its word.
fn claims_are_sound(spec: &UserSpec, report: &mut Report<'_>) {
    let at = Place::spec();
    for (key, text) in texts(spec) {
        let Some(text) = text else { continue };
        let place = at.key(key);
        if text.is_empty() || text.len() > LONGEST_CLAIM || text.chars().any(char::is_control) {
            report.hinted(
                place,
                "this is one line of text of 1 to 1000 bytes",
                "leave it out if it is not known",
            );
            continue;
        }
        let flaw = match key {
            "email" if !is_mail_address(text) => Some("this is a mail address"),
            "profile" | "picture" | "website" if !is_page(text) => {
                Some("this is a URL, https or http")
            }
            "birthdate" if !is_birthdate(text) => {
                Some("a birthday is `YYYY-MM-DD`, `0000-MM-DD` or `YYYY`")
            }
            _ => None,
        };
        if let Some(flaw) = flaw {
            report.flaw(place, flaw);
        }
    }
    for (key, verified, of) in [
        ("email_verified", spec.email_verified, spec.email.is_some()),
        (
            "phone_number_verified",
            spec.phone_number_verified,
            spec.phone_number.is_some(),
        ),
    ] {
        if verified && !of {
            report.flaw(at.key(key), "there is nothing that was verified");
        }
    }
    if let Some(address) = &spec.address
        && *address == Address::default()
    {
        report.hinted(
            at.key("address"),
            "the address is empty",
            "leave it out if it is not known",
        );
    }
}

fn is_page(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        let web = matches!(url.scheme(), "https" | "http");
        web && url.username().is_empty() && url.password().is_none()
    })
}

/// A date of the calendar, or a part of one (OpenID Connect Core §5.1).
fn is_birthdate(text: &str) -> bool {
    let number = |part: &str, digits: usize| {
        let clean = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        clean.then(|| part.parse::<i16>().ok()).flatten()
    };
    match *text.split('-').collect::<Vec<_>>() {
        [year] => number(year, 4).is_some_and(|year| year > 0),
        [year, month, day] => match (number(year, 4), number(month, 2), number(day, 2)) {
            (Some(year), Some(month), Some(day)) => {
                // Of an unknown year the 29th of February may be meant.
                let year = if year == 0 { 2000 } else { year };
                let small = |part: i16| i8::try_from(part).unwrap_or(0);
                jiff::civil::Date::new(year, small(month), small(day)).is_ok()
            }
            _ => false,
        },
        _ => false,
    }
}

/// Claims that are one line of text.
fn texts(spec: &UserSpec) -> [(&'static str, Option<&str>); 15] {
    [
        ("name", spec.name.as_deref()),
        ("given_name", spec.given_name.as_deref()),
        ("family_name", spec.family_name.as_deref()),
        ("middle_name", spec.middle_name.as_deref()),
        ("nickname", spec.nickname.as_deref()),
        ("preferred_username", spec.preferred_username.as_deref()),
        ("profile", spec.profile.as_deref()),
        ("picture", spec.picture.as_deref()),
        ("website", spec.website.as_deref()),
        ("email", spec.email.as_deref()),
        ("gender", spec.gender.as_deref()),
        ("birthdate", spec.birthdate.as_deref()),
        ("zoneinfo", spec.zoneinfo.as_deref()),
        ("locale", spec.locale.as_deref()),
        ("phone_number", spec.phone_number.as_deref()),
    ]
}

/// OpenID Connect Core §5.1: a claim that is not known is left out, never `null` or empty.
fn claims(spec: &UserSpec, username: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    for (name, value) in texts(spec) {
        if let Some(value) = value {
            claims.insert(name.to_owned(), Value::from(value));
        }
    }
    claims
        .entry("preferred_username")
        .or_insert_with(|| Value::from(username));
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

#[cfg(test)]
mod tests;
