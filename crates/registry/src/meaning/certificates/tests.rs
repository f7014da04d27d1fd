use proof::issued::Environment;
use serde_json::{Value, json};

use super::*;
use crate::document::read_all;
use crate::meaning::tests::{context, document, orders};
use crate::meaning::{Meaning, mean_all};

fn api(certificates: Value) -> Result<Meaning, String> {
    let mut spec = orders();
    spec["credentials"] = json!(["mtls"]);
    if !certificates.is_null() {
        spec["client_certificates"] = certificates;
    }
    mean([document("Api", "orders", spec)])
}

fn mean(documents: impl IntoIterator<Item = Value>) -> Result<Meaning, String> {
    let documents = read_all(documents).expect("the shape is sound");
    mean_all(&documents, &context()).map_err(|flaws| {
        let lines: Vec<_> = flaws.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

#[allow(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn knows(name: Value) -> Result<Meaning, String> {
    api(json!({ "ca_file": "ca.pem", "identities": [name] }))
}

#[test]
fn the_files_name_the_authority_and_everything_that_judges_names_the_profile() {
    let profile = |lists: Value, scope: &str| {
        let meaning = api(json!({
            "ca_file": "ca.pem",
            "crl_files": lists,
            "identities": [{ "uri": "spiffe://example.org/*", "scopes": [scope] }]
        }))
        .expect("sound");
        let api = meaning.api("orders").expect("there");
        let files = api.client_authority.clone().expect("named");
        assert_eq!(files.roots, PathBuf::from("ca.pem"));
        api.judged.certificates.clone().expect("known")
    };
    let one = profile(json!(["a.crl"]), "orders:read");
    let other_scope = profile(json!(["a.crl"]), "orders:write");
    let other_list = profile(json!(["b.crl"]), "orders:read");
    assert_eq!(one.authority, other_scope.authority);
    assert_ne!(one.config, other_scope.config);
    assert_ne!(one.authority, other_list.authority);
    assert_ne!(one.config, other_list.config);
}

#[test]
fn a_pattern_that_could_take_more_than_it_shows_is_a_flaw() {
    for good in [
        json!({ "uri": "spiffe://example.org/billing" }),
        json!({ "uri": "spiffe://example.org/*" }),
        json!({ "uri": "urn:example:billing:*" }),
        json!({ "dns": "billing.example.com" }),
        json!({ "dns": "*.example.com" }),
        json!({ "email": "batch@example.com" }),
        json!({ "email": "*@example.com" }),
        json!({ "subject": "CN=billing,O=Example" }),
    ] {
        assert!(knows(good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!({}),
        json!({ "uri": "urn:a:b", "dns": "a.example.com" }),
        json!({ "uri": "spiffe://example.org*" }),
        json!({ "uri": "spiffe://*" }),
        json!({ "uri": "*" }),
        json!({ "uri": "spiffe://*/billing" }),
        json!({ "uri": "billing" }),
        json!({ "dns": "*" }),
        json!({ "dns": "*.com." }),
        json!({ "dns": "a.*.example.com" }),
        json!({ "dns": "com" }),
        json!({ "email": "*" }),
        json!({ "email": "a*@example.com" }),
        json!({ "email": "a@b@example.com" }),
        json!({ "subject": "billing" }),
        json!({ "subject": "" }),
        json!({ "uri": "urn:a:b", "scopes": ["unknown"] }),
        json!({ "uri": "urn:a:b", "tenant": "" }),
    ] {
        assert!(knows(bad.clone()).is_err(), "{bad}");
    }
    assert!(api(json!({ "ca_file": "", "identities": [{ "uri": "urn:a:b" }] })).is_err());
    assert!(api(json!({ "ca_file": "ca.pem", "identities": [] })).is_err());
    let asking = |ocsp: Value| {
        api(json!({
            "ca_file": "ca.pem",
            "ocsp": ocsp,
            "identities": [{ "uri": "urn:a:b" }]
        }))
    };
    let meaning = asking(json!({ "url": "http://ocsp.example/" })).expect("sound");
    let files = meaning
        .api("orders")
        .expect("there")
        .client_authority
        .clone();
    let responder = files.and_then(|files| files.responder).expect("declared");
    assert_eq!(responder.asked, Asked::Path);
    assert_eq!(responder.refresh, REFRESH);
    let written = json!({ "url": "https://ocsp.example/", "about": "client", "refresh": "1h" });
    assert!(asking(written).is_ok());
    for bad in [
        json!({ "url": "" }),
        json!({ "url": "ocsp.example" }),
        json!({ "url": "ldap://ocsp.example/" }),
        json!({ "url": "http://ocsp.example/", "refresh": "999ms" }),
        json!({ "url": "http://ocsp.example/", "refresh": "2d" }),
    ] {
        assert!(asking(bad.clone()).is_err(), "{bad}");
    }
    let none = api(Value::Null).expect_err("nobody vouches");
    assert!(none.contains("nobody vouches"), "{none}");
}

/// An API of a wall whose one identity is of an application, beside two applications.
fn member(environment: &str, application: &str) -> Result<Meaning, String> {
    let mut spec = orders();
    spec["credentials"] = json!(["mtls"]);
    spec["environment"] = json!(environment);
    let identity = json!({ "uri": "spiffe://example.org/*", "application": application });
    spec["client_certificates"] = json!({ "ca_file": "ca.pem", "identities": [identity] });
    mean([
        document("Api", "orders", spec),
        document("Application", "shop", json!({ "environment": "live" })),
        document("Application", "trial", json!({ "environment": "test" })),
    ])
}

#[test]
fn an_identity_belongs_to_an_application_on_the_api_s_side_of_the_wall() {
    let profile = |environment: &str, application: &str| {
        let meaning = member(environment, application).expect("sound");
        let api = meaning.api("orders").expect("there");
        api.judged.certificates.clone().expect("known")
    };
    let live = profile("live", "shop");
    let membership = live.identities[0].application.as_ref().expect("written");
    assert_eq!(membership.application.as_str(), "shop");
    assert_eq!(membership.environment, Environment::Live);
    let test = profile("test", "trial");
    let membership = test.identities[0].application.as_ref().expect("written");
    assert_eq!(membership.environment, Environment::Test);

    let place = "client_certificates.identities[0].application";
    let missing = member("live", "shopp").expect_err("is not there");
    assert!(missing.contains(place), "{missing}");
    assert!(
        missing.contains("there is no application `shopp`"),
        "{missing}"
    );
    for (environment, application) in [("live", "trial"), ("test", "shop")] {
        let wall = member(environment, application).expect_err("stands elsewhere");
        assert!(wall.contains(place), "{wall}");
    }
}

#[test]
fn whatever_an_identity_says_makes_another_profile() {
    let profile = |identity: Value| {
        let meaning = knows(identity).expect("sound");
        let api = meaning.api("orders").expect("there");
        api.judged.certificates.clone().expect("known")
    };
    let plain = profile(json!({ "dns": "a.example.com" }));
    let bound = profile(json!({ "dns": "a.example.com", "networks": ["10.0.0.0/8"] }));
    let asleep = profile(json!({ "dns": "a.example.com", "suspended": true }));
    assert_eq!(bound.identities[0].networks.len(), 1);
    assert!(asleep.identities[0].suspended && !plain.identities[0].suspended);
    assert_ne!(plain.config, bound.config);
    assert_ne!(plain.config, asleep.config);
    let none = knows(json!({ "dns": "a.example.com", "networks": [] }));
    assert!(none.expect_err("is empty").contains("networks"));
}

#[test]
fn a_network_that_is_none_is_said_with_its_place() {
    let mut spec = orders();
    let identity = json!({ "dns": "a.example.com", "networks": ["10.0.0.0/33"] });
    spec["client_certificates"] = json!({ "ca_file": "ca.pem", "identities": [identity] });
    let flaws = read_all([document("Api", "orders", spec)]).expect_err("is no network");
    let said = flaws.iter().map(ToString::to_string).collect::<String>();
    assert!(said.contains("networks"), "{said}");
}

#[test]
fn an_application_that_changes_sides_with_its_api_makes_another_profile() {
    let profile = |environment: &str| {
        let mut spec = orders();
        spec["environment"] = json!(environment);
        let identity = json!({ "dns": "a.example.com", "application": "shop" });
        spec["client_certificates"] = json!({ "ca_file": "ca.pem", "identities": [identity] });
        let shop = json!({ "environment": environment });
        let documents = [
            document("Api", "orders", spec),
            document("Application", "shop", shop),
        ];
        let meaning = mean(documents).expect("sound");
        let api = meaning.api("orders").expect("there");
        api.judged.certificates.clone().expect("known").config
    };
    assert_ne!(profile("live"), profile("test"));
}
