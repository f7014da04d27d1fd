//! What a `Policy` document means. One that stands in its document is compiled here, so that a policy
//! that does not compile is refused like any other mistake, at its line.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use serde_json::Value;
use verdict::policy::rego::{Flaw, Limits, MAX_HEADERS, Policy, Source, Version, settable};

use super::{Context, issuer};
use crate::flaw::{Place, Report};
use crate::policy::{
    BundleMeaning, BundleSpec, PolicyFiles, PolicyMeaning, PolicySource, PolicySpec,
};

const POLLING: Duration = Duration::from_secs(60);

pub(super) fn mean(
    name: &str,
    spec: &PolicySpec,
    context: &Context,
    report: &mut Report<'_>,
) -> Option<PolicyMeaning> {
    let before = report.count();
    let at = Place::spec();
    let limits = limits(spec, report);
    let headers = headers(spec, report);
    let policy = Arc::new(Policy::waiting(name, limits, spec.body).setting(headers));
    for (key, files) in [("files", &spec.files), ("data_files", &spec.data_files)] {
        let place = at.key(key);
        report.not_empty(place.clone(), files.as_deref());
        let files = files.as_deref().unwrap_or_default();
        report.no_doubles(&place, files);
        for (index, file) in files.iter().enumerate() {
            if file.is_empty() {
                report.flaw(place.index(index), "the path is empty");
            }
        }
    }
    if spec
        .entrypoint
        .as_deref()
        .is_some_and(|rule| !is_rule(rule))
    {
        report.hinted(
            at.key("entrypoint"),
            "this names no rule",
            "as in `data.orders.decision`",
        );
    }
    let paths = |files: &Option<Vec<String>>| -> Vec<PathBuf> {
        files.iter().flatten().map(PathBuf::from).collect()
    };
    let data = Value::Object(spec.data.clone().unwrap_or_default());
    let files = |modules| {
        PolicySource::Files(PolicyFiles {
            modules,
            data: paths(&spec.data_files),
            written: data.clone(),
            entrypoint: spec.entrypoint.clone(),
        })
    };
    let source = match (&spec.rego, &spec.files, &spec.bundle) {
        (Some(rego), None, None) => {
            if spec.data_files.is_some() {
                report.hinted(
                    at.key("data_files"),
                    "a policy in its document has its data there too",
                    "write `data`, or put the policy into a file under `files`",
                );
            }
            let mut source = Source::inline("rego", rego);
            source.data = data;
            source.entrypoint = spec.entrypoint.clone();
            match Version::compile(&source) {
                Ok(version) => policy.replace(Arc::new(version)),
                Err(flaws) => said(&flaws, &at, report),
            }
            PolicySource::Inline
        }
        (None, Some(modules), None) => files(modules.iter().map(PathBuf::from).collect()),
        (None, None, Some(written)) => {
            for (key, there) in [
                ("data", spec.data.is_some()),
                ("data_files", spec.data_files.is_some()),
            ] {
                if there {
                    report.flaw(at.key(key), "a bundle brings its own data");
                }
            }
            let entrypoint = spec.entrypoint.clone();
            let bundle = bundle(written, entrypoint, context, &at.key("bundle"), report)?;
            PolicySource::Bundle(Arc::new(bundle))
        }
        (None, None, None) => {
            report.hinted(
                at,
                "there is no policy",
                "write one of `rego`, `files`, `bundle`",
            );
            return None;
        }
        _ => {
            report.flaw(at, "write only one of `rego`, `files`, `bundle`");
            return None;
        }
    };
    (report.count() == before).then(|| PolicyMeaning {
        name: name.to_owned(),
        policy,
        source,
    })
}

/// `data.orders.decision`, or as OPA's bundles write it, `orders/decision`.
fn is_rule(text: &str) -> bool {
    let text = text.strip_prefix("data.").unwrap_or(text);
    text.split(['.', '/']).all(|step| {
        let letter = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
        step.bytes().all(letter)
            && step
                .bytes()
                .next()
                .is_some_and(|first| !first.is_ascii_digit())
    })
}

/// The headers that it may set.
fn headers(spec: &PolicySpec, report: &mut Report<'_>) -> Vec<HeaderName> {
    let at = Place::spec().key("headers");
    report.not_empty(at.clone(), spec.headers.as_deref());
    let written = spec.headers.as_deref().unwrap_or_default();
    report.no_doubles(&at, written);
    if written.len() > MAX_HEADERS {
        report.flaw(at.clone(), format!("at most {MAX_HEADERS} headers"));
    }
    let mut headers = Vec::new();
    for (index, name) in written.iter().enumerate() {
        match settable(name) {
            Ok(name) => headers.push(name),
            Err(message) => report.flaw(at.index(index), message),
        }
    }
    headers
}

fn limits(spec: &PolicySpec, report: &mut Report<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(written) = &spec.limits else {
        return limits;
    };
    let at = Place::spec().key("limits");
    if let Some(time) = written.time {
        limits.time = time.0;
        let bounds = Duration::from_millis(1)..=Duration::from_secs(1);
        if !bounds.contains(&time.0) {
            report.flaw(at.key("time"), "a decision takes from 1ms to 1s");
        }
    }
    if let Some(instructions) = written.instructions {
        limits.instructions = usize::try_from(instructions).unwrap_or(usize::MAX);
        if !(1_000..=100_000_000).contains(&instructions) {
            let message = "a decision takes from 1000 to 100000000 instructions";
            report.flaw(at.key("instructions"), message);
        }
    }
    limits
}

/// What the compiler said of a policy in its document.
fn said(flaws: &[Flaw], at: &Place, report: &mut Report<'_>) {
    for flaw in flaws {
        let place = match flaw.message.contains("rule `") && flaw.line == 0 {
            true => at.clone(),
            false => at.key("rego"),
        };
        let message = match flaw.line {
            0 => flaw.message.clone(),
            line => format!("line {line}, column {}: {}", flaw.column, flaw.message),
        };
        match flaw.hint {
            Some(hint) => report.hinted(place, message, hint),
            None => report.flaw(place, message),
        }
    }
}

fn bundle(
    written: &BundleSpec,
    entrypoint: Option<String>,
    context: &Context,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<BundleMeaning> {
    let url = issuer::fetched_url(
        &written.url,
        context.loopback_dev,
        at.key("url"),
        "a bundle is fetched from an https URL",
        report,
    );
    let polling = written.polling.map_or(POLLING, |period| period.0);
    if !(Duration::from_secs(10)..=Duration::from_secs(3_600)).contains(&polling) {
        report.flaw(at.key("polling"), "a bundle is asked for every 10s to 1h");
    }
    let keys = match (&written.verification, written.dangerous_unsigned) {
        (Some(verification), false) => {
            let place = at.key("verification").key("jwks");
            Some(issuer::key_set(&verification.jwks, place, report)?)
        }
        (None, true) => None,
        (None, false) => {
            report.hinted(
                at.clone(),
                "nothing says whose signature the bundle carries",
                "write `verification: {jwks: …}`; `dangerous_unsigned: true` takes what anybody answers",
            );
            return None;
        }
        (Some(_), true) => {
            report.flaw(
                at.key("dangerous_unsigned"),
                "the bundle is signed, as `verification` says",
            );
            return None;
        }
    };
    let scope = written
        .verification
        .as_ref()
        .and_then(|one| one.scope.clone());
    Some(BundleMeaning {
        url: url?,
        polling,
        keys,
        scope,
        entrypoint,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::mean_all;
    use super::super::tests::context;
    use super::*;
    use crate::document::Document;

    fn flaws(spec: &Value) -> Vec<String> {
        let document = json!({
            "apiVersion": "doorward/v1", "kind": "Policy", "metadata": {"name": "orders"}, "spec": spec,
        });
        let document = match Document::from_value(document, 0) {
            Ok(document) => document,
            Err(flaws) => return flaws.iter().map(ToString::to_string).collect(),
        };
        match mean_all(&[document], &context()) {
            Ok(meaning) => {
                assert_eq!(meaning.policies.len(), 1);
                Vec::new()
            }
            Err(flaws) => flaws.iter().map(ToString::to_string).collect(),
        }
    }

    const GOOD: &str = "package orders\ndefault allow := false\nallow if data.open\n";

    #[test]
    fn a_policy_in_its_document_is_compiled() {
        let document = json!({
            "apiVersion": "doorward/v1", "kind": "Policy", "metadata": {"name": "orders"},
            "spec": {"rego": GOOD, "data": {"open": true}, "limits": {"time": "10ms"}, "body": true},
        });
        let document = Document::from_value(document, 0).expect("reads");
        let meaning = mean_all(&[document], &context()).expect("means something");
        let policy = &meaning.policy("orders").expect("is there").policy;
        assert!(policy.decide(&json!({})).outcome.allows());
        assert!(policy.reads_body());
        assert_eq!(policy.limits().time, Duration::from_millis(10));
    }

    #[test]
    fn policies_in_files_and_bundles_wait_for_their_first_version() {
        assert!(flaws(&json!({"files": ["a.rego"], "data_files": ["users.json"]})).is_empty());
        let unsigned =
            json!({"url": "https://bundles.example/a.tar.gz", "dangerous_unsigned": true});
        assert!(flaws(&json!({"bundle": unsigned, "entrypoint": "orders/allow"})).is_empty());
    }

    #[test]
    fn a_policys_flaws_are_told_with_their_places() {
        for (spec, place, message) in [
            (json!({}), "spec", "there is no policy"),
            (
                json!({"rego": GOOD, "files": ["a.rego"]}),
                "spec",
                "only one of",
            ),
            (
                json!({"rego": "package a\nallow if {\n  x ==\n}\n"}),
                "spec.rego",
                "line 4, column 1",
            ),
            (
                json!({"rego": "package a\nallow if http.send({})\n"}),
                "spec.rego",
                "line 2, column 10",
            ),
            (
                json!({"rego": "package a\nother := 1\n"}),
                "spec",
                "no rule `decision`",
            ),
            (
                json!({"rego": GOOD, "data_files": ["a"]}),
                "spec.data_files",
                "in its document",
            ),
            (json!({"files": []}), "spec.files", "empty"),
            (json!({"files": ["a", "a"]}), "spec.files[1]", "twice"),
            (
                json!({"files": ["a"], "entrypoint": "data.a b"}),
                "spec.entrypoint",
                "names no rule",
            ),
            (
                json!({"rego": GOOD, "limits": {"time": "2s"}}),
                "spec.limits.time",
                "1ms to 1s",
            ),
            (
                json!({"rego": GOOD, "limits": {"instructions": 1}}),
                "spec.limits.instructions",
                "1000",
            ),
            (
                json!({"bundle": {"url": "https://b.example/a"}}),
                "spec.bundle",
                "whose signature",
            ),
            (
                json!({"bundle": {"url": "http://b.example/a", "dangerous_unsigned": true}}),
                "spec.bundle.url",
                "https",
            ),
            (
                json!({"bundle": {"url": "https://b.example/a", "dangerous_unsigned": true, "polling": "1s"}}),
                "spec.bundle.polling",
                "10s",
            ),
            (
                json!({"bundle": {"url": "https://b.example/a", "dangerous_unsigned": true}, "data": {}}),
                "spec.data",
                "its own data",
            ),
        ] {
            let found = flaws(&spec);
            let wanted = format!("Policy/orders {place}: ");
            assert!(
                found
                    .iter()
                    .any(|flaw| flaw.starts_with(&wanted) && flaw.contains(message)),
                "{spec}: {found:?}"
            );
        }
    }
}
