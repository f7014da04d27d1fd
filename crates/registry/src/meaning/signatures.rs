//! What an API's `signatures` mean.

use core::time::Duration;
use std::sync::Arc;

use proof::httpsig::Component;
use proof::sigv4::PRESIGNED_LIFETIME_CEILING;
use verdict::credential::signed::SignatureRules;

use crate::api::written::{HttpSignatureSpec, SigV4Spec, SignaturesSpec};
use crate::flaw::{Place, Report};

/// Reads the section; without one, what stands by default.
pub(super) fn mean(spec: Option<&SignaturesSpec>, report: &mut Report<'_>) -> SignatureRules {
    let mut rules = SignatureRules::default();
    let Some(spec) = spec else {
        return rules;
    };
    let at = Place::spec().key("signatures");
    rules.unsigned_body = spec.unsigned_body;
    if let Some(written) = &spec.sigv4 {
        sigv4(written, &at.key("sigv4"), &mut rules, report);
    }
    if let Some(written) = &spec.http_signature {
        http_signature(written, &at.key("http_signature"), &mut rules, report);
    }
    rules
}

fn sigv4(spec: &SigV4Spec, at: &Place, rules: &mut SignatureRules, report: &mut Report<'_>) {
    let mut names = |key: &str, written: &[String]| -> Vec<Arc<str>> {
        let place = at.key(key);
        report.not_empty(place.clone(), Some(written));
        report.no_doubles(&place, written);
        for (index, name) in written.iter().enumerate() {
            let clean =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(clean) {
                report.flaw(
                    place.index(index),
                    "a name of a credential scope is 1 to 64 lower-case letters, digits and dashes",
                );
            }
        }
        written
            .iter()
            .map(|name| Arc::from(name.as_str()))
            .collect()
    };
    rules.regions = names("regions", &spec.regions);
    rules.services = names("services", &spec.services);
    rules.presigned = spec.presigned.map(|period| period.0);
    if rules
        .presigned
        .is_some_and(|life| life < Duration::from_secs(1) || life > PRESIGNED_LIFETIME_CEILING)
    {
        report.flaw(at.key("presigned"), "a presigned URL lives 1s to 7d");
    }
    rules.presigned_once = spec.presigned_once;
    if spec.presigned_once && spec.presigned.is_none() {
        report.flaw(
            at.key("presigned_once"),
            "no presigned URL passes, because `presigned` is not written",
        );
    }
}

fn http_signature(
    spec: &HttpSignatureSpec,
    at: &Place,
    rules: &mut SignatureRules,
    report: &mut Report<'_>,
) {
    let place = at.key("components");
    report.not_empty(place.clone(), spec.components.as_deref());
    let written = spec.components.as_deref().unwrap_or_default();
    report.no_doubles(&place, written);
    for (index, name) in written.iter().enumerate() {
        match Component::named(name) {
            Some(component) => rules.components.push(component),
            None => report.hinted(
                place.index(index),
                format!("`{name}` is not a component that can be asked for"),
                "`@method`, `@target-uri`, `@authority`, `@scheme`, `@request-target`, `@path`, `@query`, or a field's name in lower case",
            ),
        }
    }
    if let Some(tag) = &spec.tag {
        let visible = tag
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if tag.is_empty() || tag.len() > 128 || !visible {
            report.flaw(at.key("tag"), "a tag is 1 to 128 visible ASCII characters");
        }
        rules.tag = Some(Arc::from(tag.as_str()));
    }
    rules.nonce = spec.nonce;
}
