//! What documents of applications, clients, accounts and keys mean: who may hold what.

use core::time::Duration;
use std::collections::BTreeMap;

use proof::issued::Environment;
use proof::password::{Verifier, VerifierKind};
use verdict::identity::{ApplicationId, RoleName, Scopes};
use verdict::route::ApiName;

use super::{Known, Set, each, same_wall};
use crate::account::{AccountMeaning, AccountSpec, normal_username};
use crate::application::{ApplicationMeaning, ApplicationSpec};
use crate::document::Spec;
use crate::flaw::{Flaw, Place, Report};
use crate::key::{ApiKeySpec, KeyType};
use crate::resource::ResourceKind;

/// RFC 6454 §6.2: scheme, host and port, as browsers send it.
pub(crate) fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

/// A mail address as far as it can be told from its text: one `@`, something on either side, no
/// blanks (threat F7: never a second `@`).
pub(super) fn is_mail_address(text: &str) -> bool {
    let clean = |part: &str| {
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',');
        !part.is_empty() && !part.contains('@') && !part.chars().any(odd)
    };
    text.len() <= 254
        && text
            .split_once('@')
            .is_some_and(|(name, domain)| clean(name) && clean(domain))
}

/// RFC 6749 §3.3.
pub(super) fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// A role's name: printable, no blanks, no comma (they travel in headers).
pub(super) fn is_role(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

pub(super) fn application(name: &str, spec: &ApplicationSpec) -> ApplicationMeaning {
    ApplicationMeaning {
        name: ApplicationId::new(name),
        display_name: spec.display_name.clone().unwrap_or_else(|| name.to_owned()),
        environment: spec.environment,
    }
}

pub(super) fn account(
    name: &str,
    spec: &AccountSpec,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<AccountMeaning> {
    let before = report.count();
    let at = Place::spec();
    let username = normal_username(spec.username.as_deref().unwrap_or(name));
    if username.is_none() {
        report.flaw(
            at.key("username"),
            "a user name is 1 to 128 printable ASCII characters without blank and colon",
        );
    }
    let place = at.key("application");
    in_application(&spec.application, spec.environment, place, known, report);
    holdings(&spec.apis, &spec.scopes, spec.environment, known, report);
    let roles = roles(spec.roles.as_deref(), report);
    report.not_empty(at.key("networks"), spec.networks.as_deref());
    (report.count() == before).then(|| AccountMeaning {
        name: name.to_owned(),
        username: username.unwrap_or_default(),
        application: ApplicationId::new(spec.application.as_str()),
        apis: spec
            .apis
            .iter()
            .map(|api| ApiName::new(api.as_str()))
            .collect(),
        scopes: Scopes::new(spec.scopes.iter().map(String::as_str)),
        roles,
        networks: spec.networks.clone().unwrap_or_default(),
        environment: spec.environment,
        expires_at: spec.expires_at.map(|moment| moment.0),
    })
}

pub(super) fn api_key(spec: &ApiKeySpec, known: &Known<'_>, report: &mut Report<'_>) {
    let at = Place::spec();
    let place = at.key("application");
    in_application(&spec.application, spec.environment, place, known, report);
    holdings(&spec.apis, &spec.scopes, spec.environment, known, report);
    roles(spec.roles.as_deref(), report);
    report.not_empty(at.key("networks"), spec.networks.as_deref());
    report.not_empty(at.key("origins"), spec.origins.as_deref());
    for (index, origin) in spec.origins.iter().flatten().enumerate() {
        if !is_origin(origin) {
            report.hinted(
                at.key("origins").index(index),
                format!("`{origin}` is not an origin"),
                "scheme, host and a port that is not the default, as in `https://app.example.com`",
            );
        }
    }
    if spec.r#type == KeyType::Publishable && spec.origins.is_none() {
        report.hinted(
            at.key("type"),
            "a publishable key is bound to origins",
            "write `origins`, or make it a secret key",
        );
    }
    if let Some(imported) = &spec.imported {
        let place = at.key("imported");
        match Verifier::parse(&imported.verifier).map(|verifier| verifier.kind()) {
            Ok(VerifierKind::Sha256) => {}
            Ok(VerifierKind::KeyedHash) => {
                report.flaw(
                    place.key("verifier"),
                    "a keyed hash can't be imported: its key is not here",
                );
            }
            Ok(VerifierKind::Argon2id | VerifierKind::Bcrypt) if imported.prefix.is_some() => {}
            Ok(VerifierKind::Argon2id | VerifierKind::Bcrypt) => report.hinted(
                place.clone(),
                "a salted hash can't be found by what is presented",
                "write the identifying `prefix`",
            ),
            Err(defect) => report.flaw(
                place.key("verifier"),
                format!("not a usable hash: {defect}"),
            ),
        }
        if imported.prefix.as_deref().is_some_and(str::is_empty) {
            report.flaw(place.key("prefix"), "the prefix is empty");
        }
    }
}

pub(super) fn token_lifetime(lifetime: Duration, place: Place, report: &mut Report<'_>) {
    if !(Duration::from_secs(60)..=Duration::from_secs(3600)).contains(&lifetime) {
        report.flaw(place, "an access token lives 1m to 60m");
    }
}

pub(super) fn in_application(
    name: &str,
    mine: Environment,
    place: Place,
    known: &Known<'_>,
    report: &mut Report<'_>,
) {
    if known.is_broken(ResourceKind::Application, name) {
        return;
    }
    match known.applications.get(name) {
        Some(application) => {
            let other = format!("application `{name}`");
            same_wall(report, place, mine, &other, application.environment);
        }
        None => unknown(
            report,
            place,
            "application",
            name,
            known.applications.keys().copied(),
        ),
    }
}

fn holdings(
    apis: &[String],
    scopes: &[String],
    environment: Environment,
    known: &Known<'_>,
    report: &mut Report<'_>,
) {
    let at = Place::spec();
    let mut callable = Vec::new();
    let mut all_known = true;
    for (index, api) in apis.iter().enumerate() {
        if may_call(api, environment, at.key("apis").index(index), known, report) {
            if !callable.contains(&api.as_str()) {
                callable.push(api.as_str());
            }
        } else {
            all_known = false;
        }
    }
    report.no_doubles(&at.key("apis"), apis);
    report.no_doubles(&at.key("scopes"), scopes);
    // With an unknown API its scopes are unknown too; saying so would only repeat it.
    if all_known {
        for (index, scope) in scopes.iter().enumerate() {
            knows_scope(
                &callable,
                scope,
                at.key("scopes").index(index),
                known,
                report,
            );
        }
    }
}

pub(super) fn may_call(
    api: &str,
    environment: Environment,
    place: Place,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> bool {
    if known.is_broken(ResourceKind::Api, api) {
        return false;
    }
    let Some(spec) = known.apis.get(api) else {
        unknown(report, place, "API", api, known.apis.keys().copied());
        return false;
    };
    same_wall(
        report,
        place,
        environment,
        &format!("API `{api}`"),
        spec.environment,
    );
    true
}

pub(super) fn knows_scope(
    apis: &[&str],
    scope: &str,
    place: Place,
    known: &Known<'_>,
    report: &mut Report<'_>,
) {
    let declared = |api: &&str| {
        known
            .apis
            .get(api)
            .is_some_and(|spec| spec.scopes.contains_key(scope))
    };
    if !apis.iter().any(declared) {
        let names = apis
            .iter()
            .map(|api| format!("`{api}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let message = if apis.is_empty() {
            format!("scope `{scope}` belongs to none of its APIs, since it has none")
        } else {
            format!("scope `{scope}` is not declared by {names}")
        };
        report.hinted(place, message, "declare it under the API's `scopes`");
    }
}

pub(super) fn roles(written: Option<&[String]>, report: &mut Report<'_>) -> Vec<RoleName> {
    role_names(written, &Place::spec().key("roles"), report)
}

pub(super) fn role_names(
    written: Option<&[String]>,
    place: &Place,
    report: &mut Report<'_>,
) -> Vec<RoleName> {
    report.not_empty(place.clone(), written);
    let written = written.unwrap_or_default();
    report.no_doubles(place, written);
    for (index, role) in written.iter().enumerate() {
        if !is_role(role) {
            report.flaw(
                place.index(index),
                "a role is 1 to 128 printable ASCII characters without blank and comma",
            );
        }
    }
    written
        .iter()
        .map(|role| RoleName::new(role.as_str()))
        .collect()
}

/// Says what is not there, and what is.
pub(super) fn unknown<'n>(
    report: &mut Report<'_>,
    place: Place,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) {
    let names: Vec<_> = known.take(12).collect();
    let hint = if names.is_empty() {
        format!("no {what} is declared")
    } else {
        format!("declared: {}", names.join(", "))
    };
    report.hinted(place, format!("there is no {what} `{name}`"), hint);
}

pub(super) fn usernames_are_unique(set: &Set<'_>, flaws: &mut Vec<Flaw>) {
    let mut seen: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (document, at) in each(set) {
        let (what, written) = match &document.spec {
            Spec::Account(spec) => ("account", &spec.username),
            Spec::User(spec) => ("user", &spec.username),
            _ => continue,
        };
        let name = document.name.as_str();
        let Some(username) = normal_username(written.as_deref().unwrap_or(name)) else {
            continue;
        };
        if let Some((what, other)) = seen.get(&username) {
            at.on(flaws).flaw(
                Place::spec().key("username"),
                format!("{what} `{other}` has this user name already"),
            );
        } else {
            seen.insert(username, (what, name));
        }
    }
}
