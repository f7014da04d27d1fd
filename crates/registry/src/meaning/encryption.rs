//! What an API's `token_encryption` means: which files hold the keys that open its tokens, and
//! whether there is a token left that it takes.

use std::path::PathBuf;

use proof::jose::jwe::MAX_KEYS;
use verdict::credential::CredentialKind;
use verdict::route::TokenEncryption;

use crate::api::written::{ApiSpec, TokenEncryptionSpec};
use crate::api::{RouteMeaning, TokenFormat};
use crate::flaw::{Place, Report};

fn at() -> Place {
    Place::spec().key("token_encryption")
}

/// Reads the section; the files are for whoever reads them.
pub(super) fn mean(
    spec: &TokenEncryptionSpec,
    report: &mut Report<'_>,
) -> (TokenEncryption, Vec<PathBuf>) {
    let place = at().key("key_files");
    report.not_empty(place.clone(), Some(&spec.key_files));
    report.no_doubles(&place, &spec.key_files);
    if spec.key_files.len() > MAX_KEYS {
        report.flaw(place.clone(), format!("at most {MAX_KEYS} keys"));
    }
    for (index, file) in spec.key_files.iter().enumerate() {
        if file.is_empty() {
            report.flaw(place.index(index), "the path is empty");
        }
    }
    let rules = TokenEncryption {
        // Whoever asks for encryption means it.
        required: spec.required.unwrap_or(true),
    };
    (rules, spec.key_files.iter().map(PathBuf::from).collect())
}

/// Says so where no token could ever be taken.
pub(super) fn meets_its_tokens(spec: &ApiSpec, routes: &[RouteMeaning], report: &mut Report<'_>) {
    let Some(written) = &spec.token_encryption else {
        return;
    };
    let judged = || routes.iter().map(|route| &route.judged);
    if routes.is_empty() {
        return;
    }
    if !judged().any(|route| route.takes(CredentialKind::Jwt)) {
        report.hinted(
            at(),
            "no route takes `jwt`, and no other token comes encrypted",
            "write `jwt` under `credentials`, or leave `token_encryption` out",
        );
        return;
    }
    let ours = judged().any(|route| route.api.issuers.iter().any(|issuer| issuer.own));
    if ours
        && written.required.unwrap_or(true)
        && spec.token_format.unwrap_or_default() == TokenFormat::Jwt
    {
        report.hinted(
            at().key("required"),
            "the JWTs of our own issuer are not encrypted, so none of them would pass",
            "leave `own` out of `issuers`, or write `required: false`",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{context, document, flaws_of_api, orders};
    use crate::document::read_all;
    use crate::meaning::mean_all;

    fn flaws(encryption: &Value, more: &Value) -> String {
        flaws_of_api(|spec| {
            spec["token_encryption"] = encryption.clone();
            let members = spec.as_object_mut().unwrap();
            members.extend(more.as_object().unwrap().clone());
        })
    }

    #[test]
    fn encryption_is_demanded_unless_it_is_said_not_to_be() {
        for (written, required) in [
            (json!(null), true),
            (json!(true), true),
            (json!(false), false),
        ] {
            let mut spec = orders();
            spec["token_encryption"] = json!({ "key_files": ["a.pem", "b.pem"] });
            if !written.is_null() {
                spec["token_encryption"]["required"] = written;
            }
            spec["token_format"] = json!("opaque");
            spec["credentials"] = json!(["jwt", "opaque"]);
            let documents = read_all([document("Api", "orders", spec)]).unwrap();
            let meaning = mean_all(&documents, &context()).expect("is sound");
            let api = meaning.api("orders").expect("is there");
            assert_eq!(api.judged.encryption.unwrap().required, required);
            assert_eq!(api.decryption_key_files.len(), 2);
        }
    }

    #[test]
    fn what_could_never_be_met_is_a_flaw() {
        let good = json!({ "key_files": ["a.pem"] });
        let many: Vec<_> = (0..9).map(|n| format!("{n}.pem")).collect();
        let offered = json!({ "key_files": ["a.pem"], "required": false });
        for (encryption, more, part) in [
            (&json!({ "key_files": [] }), json!({}), "key_files"),
            (
                &json!({ "key_files": [""] }),
                json!({}),
                "the path is empty",
            ),
            (&json!({ "key_files": ["a", "a"] }), json!({}), "key_files"),
            (&json!({ "key_files": many }), json!({}), "at most 8 keys"),
            (&good, json!({}), "our own issuer are not encrypted"),
            (
                &good,
                json!({ "credentials": ["api_key"] }),
                "no route takes `jwt`",
            ),
        ] {
            let lines = flaws(encryption, &more);
            assert!(lines.contains(part), "{part}: {lines}");
        }
        let opaque = json!({ "token_format": "opaque", "credentials": ["jwt", "opaque"] });
        for (encryption, more) in [(&offered, json!({})), (&good, opaque)] {
            assert_eq!(flaws(encryption, &more), "no flaw\n");
        }
    }
}
