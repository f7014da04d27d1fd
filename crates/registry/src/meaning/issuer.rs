//! What a `TrustedIssuer` document means.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proof::jose::alg::Algorithm;
use proof::jose::jwk::{JwkDefect, JwkSet};
use proof::paseto::Key;
use proof::secret::Secret;
use verdict::credential::jwt::{ConfigId, IssuerId, IssuerProfile};

use super::{Context, Set, each, introspection};
use crate::document::Spec;
use crate::flaw::{Flaw, Place, Report};
use crate::redirect::is_loopback;
use crate::trusted_issuer::{IntrospectionResponse, IssuerKeys, IssuerMeaning, TrustedIssuerSpec};

/// Claims that say nothing about what a token is for, so they guard nothing: ID tokens of some
/// issuer carry every one of them (OpenID Connect Core §2).
const NO_GUARDS: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "auth_time",
    "acr",
];

pub(super) fn mean(
    name: &str,
    spec: &TrustedIssuerSpec,
    context: &Context,
    report: &mut Report<'_>,
) -> Option<IssuerMeaning> {
    let before = report.count();
    let at = Place::spec();
    issuer_identifier(&spec.issuer, context, &at.key("issuer"), report);
    let introspection = spec.introspection.as_ref();
    let introspection = introspection
        .map(|written| introspection::mean(written, context, &at.key("introspection"), report));
    let keys = keys(spec, context, &at, report);
    let (paseto_keys, paseto_key_files) = paseto_keys(spec, &at, report);

    let algorithms = algorithms(spec.algorithms.as_deref(), &at.key("algorithms"), report);
    let types = texts(spec.types.as_deref(), &["at+jwt"], &at.key("types"), report);
    let guards = texts(
        spec.access_token_guards.as_deref(),
        &[],
        &at.key("access_token_guards"),
        report,
    );
    let plain = types.iter().any(|typ| typ.eq_ignore_ascii_case("JWT"));
    if plain && guards.is_empty() {
        report.hinted(
            at.key("types"),
            "`JWT` is the type of ID tokens too, so it needs access_token_guards",
            "name claims that this issuer's access tokens have and its ID tokens never have, for example `access_token_guards: [scp]`",
        );
    }
    for (index, guard) in guards.iter().enumerate() {
        if NO_GUARDS.contains(&&**guard) {
            report.flaw(
                at.key("access_token_guards").index(index),
                format!("`{guard}` stands in ID tokens too and guards nothing"),
            );
        }
    }
    let required_claims = texts(
        spec.required_claims.as_deref(),
        &[],
        &at.key("required_claims"),
        report,
    );
    let scope_claims = texts(
        spec.scope_claims.as_deref(),
        &["scope", "scp"],
        &at.key("scope_claims"),
        report,
    );
    let role_claims = texts(
        spec.role_claims.as_deref(),
        &[],
        &at.key("role_claims"),
        report,
    );
    let forward_claims = texts(
        spec.forward_claims.as_deref(),
        &[],
        &at.key("forward_claims"),
        report,
    );

    let leeway = spec
        .leeway
        .map_or(Duration::from_secs(60), |period| period.0);
    if leeway > Duration::from_secs(300) {
        report.flaw(at.key("leeway"), "a leeway is at most 5m");
    }
    if let Some(longest) = spec.max_lifetime
        && longest.0.is_zero()
    {
        report.flaw(at.key("max_lifetime"), "no token lives for no time");
    }
    if report.count() > before {
        return None;
    }
    let mut profile = IssuerProfile {
        config: ConfigId(0),
        issuer: IssuerId::new(spec.issuer.as_str()),
        own: false,
        algorithms,
        types,
        access_token_guards: guards,
        required_claims,
        max_lifetime: spec.max_lifetime.map(|period| period.0),
        leeway,
        scope_claims,
        role_claims,
        tenant_claim: spec.tenant_claim.as_deref().map(Arc::from),
        forward_claims,
        introspection: None,
    };
    let introspection = match introspection {
        None => None,
        Some(read) => {
            let (rules, meaning) = read?;
            profile.introspection = Some(rules);
            Some(meaning)
        }
    };
    // Keys and whoever is asked belong to the configuration too: others, other verdicts.
    let key_source = serde_json::json!([
        spec.jwks_url,
        spec.jwks,
        spec.jwks_file,
        spec.introspection,
        spec.paseto_keys,
        spec.paseto_key_files,
    ])
    .to_string();
    profile.config = config_id(&profile, &key_source);
    Some(IssuerMeaning {
        name: name.to_owned(),
        profile: Arc::new(profile),
        keys: keys?,
        introspection,
        paseto_keys,
        paseto_key_files,
    })
}

/// PASETO keys: public ones may be written down, a shared one stands in a file.
fn paseto_keys(
    spec: &TrustedIssuerSpec,
    at: &Place,
    report: &mut Report<'_>,
) -> (Vec<(String, Arc<Key>)>, Vec<PathBuf>) {
    let place = at.key("paseto_keys");
    report.not_empty(place.clone(), spec.paseto_keys.as_deref());
    let written = spec.paseto_keys.as_deref().unwrap_or_default();
    report.no_doubles(&place, written);
    let mut keys = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let place = place.index(index);
        if ["k4.local.", "k4.secret."]
            .iter()
            .any(|start| text.starts_with(start))
        {
            report.hinted(
                place,
                "this key is secret",
                "replace it: it is exposed now; a `k4.local` stands in a file under paseto_key_files",
            );
            continue;
        }
        match Key::named(&Secret::from_text(text.clone())) {
            Ok((key, id)) => keys.push((id, Arc::new(key))),
            Err(_) => report.flaw(place, "this is a public key of version 4, `k4.public.…`"),
        }
    }
    let place = at.key("paseto_key_files");
    report.not_empty(place.clone(), spec.paseto_key_files.as_deref());
    let files = spec.paseto_key_files.as_deref().unwrap_or_default();
    report.no_doubles(&place, files);
    for (index, file) in files.iter().enumerate() {
        if file.is_empty() {
            report.flaw(place.index(index), "the path is empty");
        }
    }
    (keys, files.iter().map(PathBuf::from).collect())
}

/// Names one version of a profile: the first 64 bits of SHA-256 over all its parts in a fixed
/// order, so that it is the same on every node and after every start. `key_source` tells apart
/// profiles that differ in where their keys come from.
pub fn config_id(profile: &IssuerProfile, key_source: &str) -> ConfigId {
    let algorithms: Vec<_> = profile
        .algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    let parts = serde_json::json!([
        profile.issuer,
        profile.own,
        algorithms,
        profile.types,
        profile.access_token_guards,
        profile.required_claims,
        profile.max_lifetime.map(|period| period.as_millis() as u64),
        profile.leeway.as_millis() as u64,
        profile.scope_claims,
        profile.role_claims,
        profile.tenant_claim,
        profile.forward_claims,
        key_source,
    ]);
    ConfigId::of(&parts.to_string())
}

/// RFC 8414 §2: an `https` URL without query and fragment; plain HTTP on loopback in `dev` only.
fn issuer_identifier(text: &str, context: &Context, place: &Place, report: &mut Report<'_>) {
    match url::Url::parse(text) {
        Ok(url) if safe_scheme(&url, context.loopback_dev) => {
            if url.query().is_some() || url.fragment().is_some() || has_userinfo(&url) {
                report.flaw(place.clone(), "an issuer has no user, query or fragment");
            }
        }
        _ => report.flaw(place.clone(), "an issuer is an https URL"),
    }
}

fn has_userinfo(url: &url::Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn safe_scheme(url: &url::Url, loopback_dev: bool) -> bool {
    let loopback = is_loopback(url);
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => loopback_dev && loopback,
        _ => false,
    }
}

fn keys(
    spec: &TrustedIssuerSpec,
    context: &Context,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<IssuerKeys> {
    match (&spec.jwks_url, &spec.jwks, &spec.jwks_file) {
        (Some(text), None, None) => fetched_url(
            text,
            context.loopback_dev,
            at.key("jwks_url"),
            KEYS_BY_URL,
            report,
        )
        .map(IssuerKeys::Url),
        (None, Some(value), None) => key_set(value, at.key("jwks"), report).map(IssuerKeys::Static),
        (None, None, Some(path)) if path.is_empty() => {
            report.flaw(at.key("jwks_file"), "the path is empty");
            None
        }
        (None, None, Some(path)) => Some(IssuerKeys::File(PathBuf::from(path))),
        // Whoever is only asked needs none, and whose tokens are PASETOs has no JWTs.
        (None, None, None)
            if spec.paseto_keys.is_some()
                || spec.paseto_key_files.is_some()
                || spec.introspection.as_ref().is_some_and(|asked| {
                    asked.response.unwrap_or_default() == IntrospectionResponse::Json
                }) =>
        {
            Some(IssuerKeys::Static(JwkSet::default()))
        }
        (None, None, None) => {
            report.hinted(
                at.clone(),
                "there is no source of this issuer's keys",
                "write one of jwks_url, jwks, jwks_file",
            );
            None
        }
        _ => {
            report.flaw(at.clone(), "write only one of jwks_url, jwks, jwks_file");
            None
        }
    }
}

/// What is said of a key set that is somewhere else.
pub(super) const KEYS_BY_URL: &str = "a key set is fetched from an https URL";

/// A URL that we call ourselves: `https` without a user; plain HTTP on loopback in `dev` only.
pub(super) fn fetched_url(
    text: &str,
    loopback_dev: bool,
    place: Place,
    otherwise: &str,
    report: &mut Report<'_>,
) -> Option<url::Url> {
    match url::Url::parse(text) {
        Ok(url) if safe_scheme(&url, loopback_dev) && !has_userinfo(&url) => Some(url),
        _ => {
            report.flaw(place, otherwise);
            None
        }
    }
}

/// Reads an inline key set. Keys of other uses are passed over as RFC 7517 §5 asks, but one that
/// can be used must be among them, and a private key in a document is a leak.
pub(super) fn key_set(
    value: &serde_json::Value,
    place: Place,
    report: &mut Report<'_>,
) -> Option<JwkSet> {
    let set = match JwkSet::parse(value.to_string().as_bytes()) {
        Ok(set) => set,
        Err(defect) => {
            report.flaw(place, format!("this is no key set: {defect}"));
            return None;
        }
    };
    if set.defects().contains(&JwkDefect::PrivateMember) {
        report.hinted(
            place,
            "a key in the set is private or symmetric",
            "write public keys only, and replace this one: it is exposed now",
        );
        return None;
    }
    if set.verifying_keys(&Algorithm::ALL).is_empty() {
        let why = set
            .defects()
            .first()
            .map_or("it is empty".to_owned(), JwkDefect::to_string);
        report.flaw(
            place,
            format!("no key in the set can verify a signature: {why}"),
        );
        return None;
    }
    Some(set)
}

fn algorithms(
    written: Option<&[String]>,
    place: &Place,
    report: &mut Report<'_>,
) -> Vec<Algorithm> {
    report.not_empty(place.clone(), written);
    let Some(written) = written else {
        return Algorithm::ALL.to_vec();
    };
    report.no_doubles(place, written);
    let mut algorithms = Vec::new();
    for (index, name) in written.iter().enumerate() {
        match Algorithm::from_name(name) {
            Some(algorithm) => algorithms.push(algorithm),
            None if name.starts_with("HS") => report.hinted(
                place.index(index),
                format!("`{name}` is refused: with a shared key every verifier could also sign"),
                "ask the issuer to sign with ES256 or RS256",
            ),
            None => {
                let known: Vec<_> = Algorithm::ALL.iter().map(|a| a.name()).collect();
                report.hinted(
                    place.index(index),
                    format!("`{name}` is not a known signature algorithm"),
                    format!("one of {}", known.join(", ")),
                );
            }
        }
    }
    algorithms
}

/// A list of texts without empty items, with its default.
fn texts(
    written: Option<&[String]>,
    default: &[&str],
    place: &Place,
    report: &mut Report<'_>,
) -> Vec<Arc<str>> {
    report.not_empty(place.clone(), written);
    let Some(written) = written else {
        return default.iter().map(|text| Arc::from(*text)).collect();
    };
    report.no_doubles(place, written);
    for (index, text) in written.iter().enumerate() {
        if text.is_empty() || text.chars().any(char::is_control) {
            report.flaw(
                place.index(index),
                "the text is empty or has control characters",
            );
        }
    }
    written
        .iter()
        .map(|text| Arc::from(text.as_str()))
        .collect()
}

/// Two profiles for one `iss` would make the answer depend on their order.
pub(super) fn identifiers_are_unique(set: &Set<'_>, context: &Context, flaws: &mut Vec<Flaw>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    if let Some(own) = &context.own_issuer {
        seen.insert(own.issuer.as_str(), "this installation's own issuer");
    }
    for (document, at) in each(set) {
        let Spec::TrustedIssuer(spec) = &document.spec else {
            continue;
        };
        if let Some(other) = seen.get(spec.issuer.as_str()) {
            at.on(flaws).flaw(
                Place::spec().key("issuer"),
                format!("this issuer is declared already, as {other}"),
            );
        } else {
            seen.insert(&spec.issuer, document.name.as_str());
        }
    }
}
