//! What an API's `token_encryption` means: which files hold the keys that open its tokens, and
//! whether there is a token left that it takes. Whose tokens they are is all the same: issuers that
//! are trusted encrypt to the public half, and our own does so by itself.

use std::path::PathBuf;

use proof::jose::jwe::MAX_KEYS;
use verdict::credential::CredentialKind;
use verdict::route::TokenEncryption;

use crate::api::RouteMeaning;
use crate::api::written::{ApiSpec, TokenEncryptionSpec};
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
    if spec.token_encryption.is_none() || routes.is_empty() {
        return;
    }
    let mut judged = routes.iter().map(|route| &route.judged);
    if !judged.any(|route| route.takes(CredentialKind::Jwt)) {
        report.hinted(
            at(),
            "no route takes `jwt`, and no other token comes encrypted",
            "write `jwt` under `credentials`, or leave `token_encryption` out",
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
        for (encryption, more, part) in [
            (&json!({ "key_files": [] }), json!({}), "key_files"),
            (
                &json!({ "key_files": [""] }),
                json!({}),
                "the path is empty",
            ),
            (&json!({ "key_files": ["a", "a"] }), json!({}), "key_files"),
            (&json!({ "key_files": many }), json!({}), "at most 8 keys"),
            (
                &good,
                json!({ "credentials": ["api_key"] }),
                "no route takes `jwt`",
            ),
        ] {
            let lines = flaws(encryption, &more);
            assert!(lines.contains(part), "{part}: {lines}");
        }
        // Our own issuer encrypts its JWTs, and other forms stand beside them.
        let opaque = json!({ "token_format": "opaque", "credentials": ["jwt", "opaque"] });
        for more in [json!({}), json!({ "issuers": ["own"] }), opaque] {
            assert_eq!(flaws(&good, &more), "no flaw\n");
        }
    }
}
