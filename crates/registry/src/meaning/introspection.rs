//! What `introspection` of a `TrustedIssuer` means, and that an API's issuers can be told apart by
//! their tokens.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use proof::issued::SecretKind;
use proof::jose::alg::Algorithm;
use verdict::credential::introspection::IntrospectionProfile;
use verdict::credential::jwt::IssuerProfile;

use super::issuer::fetched_url;
use super::{Context, stored};
use crate::flaw::{Place, Report};
use crate::trusted_issuer::{
    ClientProof, IntrospectionMeaning, IntrospectionResponse, IntrospectionSpec,
};

/// How long an answer is used unless written otherwise.
const CACHE: Duration = Duration::from_secs(10);
/// The longest that it may be: so long a token that its issuer took back still passes.
const LONGEST_CACHE: Duration = Duration::from_secs(60);
/// Most prefixes of one issuer.
const MOST_PREFIXES: usize = 16;

pub(super) fn mean(
    spec: &IntrospectionSpec,
    context: &Context,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<(IntrospectionProfile, IntrospectionMeaning)> {
    let url = fetched_url(
        &spec.url,
        context.loopback_dev,
        at.key("url"),
        "tokens are sent to an https URL only",
        report,
    );
    if spec.client_id.is_empty() || spec.client_id.chars().any(char::is_control) {
        report.flaw(at.key("client_id"), "a client id is a text");
    }
    let proof = proof(spec, at, report);
    let cache = spec.cache.map_or(CACHE, |period| period.0);
    if cache > LONGEST_CACHE {
        report.hinted(
            at.key("cache"),
            "an answer is used for at most 60s",
            "so long a token that its issuer took back still passes here",
        );
    }
    prefixes(spec, context, at, report);
    if spec.dangerous_assumed_audience.as_deref() == Some("") {
        report.flaw(
            at.key("dangerous_assumed_audience"),
            "an audience is not empty",
        );
    }
    let profile = IntrospectionProfile {
        client_id: Arc::from(spec.client_id.as_str()),
        token_prefixes: spec
            .token_prefixes
            .iter()
            .flatten()
            .map(|prefix| Arc::from(prefix.as_str()))
            .collect(),
        cache,
        signed: spec.response.unwrap_or_default() == IntrospectionResponse::Jwt,
        assumed_audience: spec.dangerous_assumed_audience.as_deref().map(Arc::from),
    };
    let meaning = IntrospectionMeaning {
        url: url?,
        client_id: spec.client_id.clone(),
        proof: proof?,
    };
    Some((profile, meaning))
}

fn proof(spec: &IntrospectionSpec, at: &Place, report: &mut Report<'_>) -> Option<ClientProof> {
    let file = |name: &str, written: &Option<String>, report: &mut Report<'_>| {
        if written.as_deref() == Some("") {
            report.flaw(at.key(name), "the path is empty");
        }
        written.as_ref().map(PathBuf::from)
    };
    let certificate = file("certificate_file", &spec.certificate_file, report);
    let key = file("key_file", &spec.key_file, report);
    if spec.key_algorithm.is_some() && (key.is_none() || certificate.is_some()) {
        report.flaw(
            at.key("key_algorithm"),
            "this is for a key that signs: key_file without certificate_file",
        );
    }
    match (&spec.client_secret, certificate, key) {
        (Some(text), None, None) => {
            stored::reference(text, at.key("client_secret"), report).map(ClientProof::Secret)
        }
        (None, None, Some(key)) => Some(ClientProof::Key {
            key,
            algorithm: algorithm(spec.key_algorithm.as_deref(), at, report),
        }),
        (None, Some(certificate), Some(key)) => Some(ClientProof::Certificate { certificate, key }),
        _ => {
            report.hinted(
                at.clone(),
                "how this installation shows who it is must be said in one way",
                "write client_secret, or key_file, or certificate_file and key_file",
            );
            None
        }
    }
}

fn algorithm(written: Option<&str>, at: &Place, report: &mut Report<'_>) -> Option<Algorithm> {
    let name = written?;
    let algorithm = Algorithm::from_name(name);
    if algorithm.is_none() {
        let known: Vec<_> = Algorithm::ALL.iter().map(|a| a.name()).collect();
        report.hinted(
            at.key("key_algorithm"),
            format!("`{name}` is not a known signature algorithm"),
            format!("one of {}", known.join(", ")),
        );
    }
    algorithm
}

fn prefixes(spec: &IntrospectionSpec, context: &Context, at: &Place, report: &mut Report<'_>) {
    let place = at.key("token_prefixes");
    report.not_empty(place.clone(), spec.token_prefixes.as_deref());
    let written = spec.token_prefixes.as_deref().unwrap_or_default();
    report.no_doubles(&place, written);
    if written.len() > MOST_PREFIXES {
        report.flaw(
            place.clone(),
            format!("an issuer has at most {MOST_PREFIXES} prefixes"),
        );
    }
    let brand = context.brand.as_str();
    let tokens = format!("{brand}_{}_", SecretKind::OpaqueToken.tag());
    for (index, prefix) in written.iter().enumerate() {
        let clean = prefix
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'"');
        if prefix.is_empty() || !clean {
            report.flaw(
                place.index(index),
                "a prefix is printable ASCII without blank, comma and quote",
            );
        } else if prefix.starts_with(&format!("{brand}_")) && !prefix.starts_with(&tokens) {
            report.hinted(
                place.index(index),
                "texts of this installation's own brand are never sent to others",
                format!("of another installation with this brand, tokens begin with `{tokens}`"),
            );
        }
    }
}

/// A token goes to one issuer or to none: where an API trusts several that are asked, what their
/// tokens begin with tells them apart.
pub(super) fn are_told_apart(
    issuers: &[Arc<IssuerProfile>],
    place: &Place,
    report: &mut Report<'_>,
) {
    let asked: Vec<_> = issuers
        .iter()
        .filter_map(|issuer| Some((&issuer.issuer, issuer.introspection.as_ref()?)))
        .collect();
    if asked.len() < 2 {
        return;
    }
    let hint = "give each its own `introspection: {token_prefixes: […]}`: a token must never be sent to the wrong issuer";
    for (issuer, rules) in &asked {
        if rules.token_prefixes.is_empty() {
            report.hinted(
                place.clone(),
                format!(
                    "several issuers are asked about tokens, and nothing tells which are {issuer}'s"
                ),
                hint,
            );
        }
    }
    for (index, (issuer, rules)) in asked.iter().enumerate() {
        for (other, theirs) in &asked[index + 1..] {
            let overlap = rules.token_prefixes.iter().any(|one| {
                let mut their = theirs.token_prefixes.iter();
                their.any(|two| one.starts_with(&**two) || two.starts_with(&**one))
            });
            if overlap {
                report.hinted(
                    place.clone(),
                    format!("a token could be of {issuer} and of {other} by its prefix"),
                    hint,
                );
            }
        }
    }
}
