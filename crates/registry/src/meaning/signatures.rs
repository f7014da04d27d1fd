//! What an API's `signatures` mean.

use core::time::Duration;
use std::sync::Arc;

use proof::httpsig::Component;
use proof::issued::SigningKeyId;
use proof::sigv4::PRESIGNED_LIFETIME_CEILING;
use proof::webhook::Style;
use verdict::credential::CredentialKind;
use verdict::credential::signed::SignatureRules;
use verdict::credential::webhook::{MOST_KEYS, Redelivery, WebhookRules};
use verdict::route::Demand;

use crate::api::written::{HttpSignatureSpec, RouteSpec, SigV4Spec, SignaturesSpec, WebhookSpec};
use crate::flaw::{Place, Report};

/// Reads the section of an API or of a route.
pub(super) fn mean(spec: &SignaturesSpec, at: &Place, report: &mut Report<'_>) -> SignatureRules {
    let mut rules = SignatureRules {
        unsigned_body: spec.unsigned_body,
        ..SignatureRules::default()
    };
    if let Some(written) = &spec.sigv4 {
        sigv4(written, &at.key("sigv4"), &mut rules, report);
    }
    if let Some(written) = &spec.http_signature {
        http_signature(written, &at.key("http_signature"), &mut rules, report);
    }
    rules
}

/// Reads how a route judges signed requests, where it says so itself.
pub(super) fn of_route(
    spec: &RouteSpec,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<SignatureRules> {
    let written = spec.signatures.as_ref()?;
    let place = at.key("signatures");
    if written.webhook.is_some() {
        report.hinted(
            place.key("webhook"),
            "whose webhooks a route takes stands in the route itself",
            "write `webhook` beside `signatures`",
        );
    }
    Some(mean(written, &place, report))
}

/// A route's own rules are for what it takes, and let pass what it takes.
pub(super) fn meets(
    rules: &SignatureRules,
    demand: &Demand,
    place: &Place,
    report: &mut Report<'_>,
) {
    use CredentialKind::{Hmac, HttpSignature, SigV4};
    let takes = |kinds: &[CredentialKind]| match demand {
        Demand::Public { .. } => false,
        Demand::OneOf(combinations) => combinations
            .iter()
            .flatten()
            .any(|kind| kinds.contains(kind)),
    };
    if !takes(&[SigV4, HttpSignature, Hmac]) {
        report.flaw(place.clone(), "the route takes no signed requests");
    } else if takes(&[SigV4]) && rules.services.is_empty() {
        report.hinted(
            place.clone(),
            "sigv4 is asked for and no credential scope is accepted",
            "write `sigv4: {regions: [local], services: [orders]}` here too: what a route says stands for the whole of the API's",
        );
    }
}

/// Reads whose webhooks are taken.
pub(super) fn webhook(spec: &WebhookSpec, at: &Place, report: &mut Report<'_>) -> WebhookRules {
    let style = Style::from(spec.style);
    let place = at.key("keys");
    report.not_empty(place.clone(), Some(&spec.keys));
    report.no_doubles(&place, &spec.keys);
    if spec.keys.len() > MOST_KEYS {
        report.flaw(
            place.clone(),
            format!("a route takes at most {MOST_KEYS} keys"),
        );
    }
    for (index, key) in spec.keys.iter().enumerate() {
        if SigningKeyId::parse(key).is_none() {
            report.hinted(
                place.index(index),
                format!("`{key}` is no key id"),
                "`doorward secret import --scheme webhook` gives one that begins with DWAK",
            );
        }
    }
    if spec.redelivery.is_some() && !style.has_id() {
        report.flaw(
            at.key("redelivery"),
            format!(
                "deliveries of {} have no id: the same signature passes once, and nothing else can be told apart",
                style.name()
            ),
        );
    }
    WebhookRules {
        style,
        keys: spec
            .keys
            .iter()
            .map(|key| Arc::from(key.as_str()))
            .collect(),
        redelivery: spec
            .redelivery
            .map_or(Redelivery::Acknowledge, Redelivery::from),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::flaws_of_api;

    const KEY: &str = "DWAK0000000000000004";

    #[test]
    fn a_route_judges_signatures_by_its_own_word_as_a_whole() {
        let flaws = |kinds: &Value, signatures: &Value| {
            flaws_of_api(|spec| {
                spec["signatures"] = json!({ "http_signature": { "nonce": true } });
                spec["routes"][1]["credentials"] = kinds.clone();
                spec["routes"][1]["signatures"] = signatures.clone();
            })
        };
        let covered = json!({ "http_signature": { "components": ["@method", "idempotency-key"] } });
        for kinds in [json!(["http_signature"]), json!(["hmac"])] {
            assert_eq!(flaws(&kinds, &covered), "no flaw\n");
        }
        let scope = json!({ "sigv4": { "regions": ["local"], "services": ["orders"] } });
        assert_eq!(flaws(&json!(["sigv4"]), &scope), "no flaw\n");
        for (kinds, signatures, part) in [
            (json!(["jwt"]), &covered, "takes no signed requests"),
            (
                json!(["sigv4"]),
                &covered,
                "no credential scope is accepted",
            ),
            (
                json!(["hmac"]),
                &json!({ "webhook": { "style": "stripe", "keys": [KEY] } }),
                "beside `signatures`",
            ),
            (
                json!(["http_signature"]),
                &json!({ "http_signature": { "components": [] } }),
                "routes[1].signatures.http_signature.components",
            ),
        ] {
            let said = flaws(&kinds, signatures);
            assert!(said.contains(part), "{said}");
        }
    }

    /// An API whose second route takes webhooks so.
    fn flaws(webhook: &Value) -> String {
        flaws_of_api(|spec| {
            spec["routes"][1]["credentials"] = json!(["webhook"]);
            spec["routes"][1]["webhook"] = webhook.clone();
        })
    }

    #[test]
    fn webhooks_are_declared_by_style_and_keys() {
        for style in ["standard-webhooks", "stripe", "github", "slack", "shopify"] {
            let found = flaws(&json!({ "style": style, "keys": [KEY] }));
            assert_eq!(found, "no flaw\n", "{style}");
        }
        let of_api = flaws_of_api(|spec| {
            spec["credentials"] = json!(["webhook"]);
            spec["signatures"] = json!({ "webhook": { "style": "github", "keys": [KEY] } });
        });
        assert_eq!(of_api, "no flaw\n");
    }

    #[test]
    fn what_would_take_nobody_s_or_anybody_s_webhooks_is_a_flaw() {
        let many: Vec<String> = (0..9).map(|n| format!("DWAK000000000000000{n}")).collect();
        for (webhook, said) in [
            (json!({ "style": "stripe", "keys": [] }), "keys"),
            (
                json!({ "style": "stripe", "keys": ["whsec_abc"] }),
                "no key id",
            ),
            (json!({ "style": "stripe", "keys": [KEY, KEY] }), "keys"),
            (json!({ "style": "stripe", "keys": many }), "at most 8 keys"),
            (
                json!({ "style": "stripe", "keys": [KEY], "redelivery": "refuse" }),
                "have no id",
            ),
        ] {
            let found = flaws(&webhook);
            assert!(found.contains(said), "{webhook}: {found}");
        }
        let unsaid = flaws_of_api(|spec| spec["routes"][1]["credentials"] = json!(["webhook"]));
        assert!(unsaid.contains("nothing says whose"), "{unsaid}");
        let unasked = flaws_of_api(|spec| {
            spec["routes"][1]["webhook"] = json!({ "style": "github", "keys": [KEY] });
        });
        assert!(unasked.contains("does not take the kind"), "{unasked}");
        let twice = flaws_of_api(|spec| {
            spec["routes"][1]["credentials"] = json!([["webhook", "http_signature"]]);
            spec["routes"][1]["webhook"] = json!({ "style": "github", "keys": [KEY] });
        });
        assert!(twice.contains("one too many"), "{twice}");
    }
}
