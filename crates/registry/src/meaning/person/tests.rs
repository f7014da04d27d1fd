use serde_json::{Value, json};

use super::*;
use crate::document::Document;
use crate::meaning::mean_all;
use crate::meaning::tests::{context, document};

fn read(name: &str, spec: Value) -> Result<UserMeaning, String> {
    let document = Document::from_value(document("User", name, spec), 0).expect("has the shape");
    match mean_all(&[document], &context()) {
        Ok(meaning) => Ok(meaning.users[0].clone()),
        Err(flaws) => Err(flaws.iter().map(|flaw| format!("{flaw}\n")).collect()),
    }
}

#[test]
fn a_person_means_the_claims_that_are_known_and_no_others() {
    let bare = read("alice", json!({})).expect("is sound");
    assert_eq!((&*bare.name, &*bare.username), ("alice", "alice"));
    assert_eq!(
        Value::Object(bare.claims),
        json!({ "preferred_username": "alice" })
    );
    let full = read(
        "alice",
        json!({
            "username": "Alice@Example.com", "name": "Alice Doe", "given_name": "Alice",
            "preferred_username": "Al", "email": "alice@example.com", "email_verified": true,
            "phone_number": "+41441234567", "birthdate": "0000-02-29", "zoneinfo": "Europe/Zurich",
            "address": { "locality": "Zürich", "country": "CH" }, "roles": ["clerk"],
            "groups": ["Sales EMEA"]
        }),
    )
    .expect("is sound");
    assert_eq!(full.username, "alice@example.com");
    assert_eq!(full.groups, ["Sales EMEA"]);
    assert_eq!(
        Value::Object(full.claims),
        json!({
            "name": "Alice Doe", "given_name": "Alice", "preferred_username": "Al",
            "email": "alice@example.com", "email_verified": true,
            "phone_number": "+41441234567", "phone_number_verified": false,
            "birthdate": "0000-02-29", "zoneinfo": "Europe/Zurich",
            "address": { "locality": "Zürich", "country": "CH" }
        })
    );
}

#[test]
fn f07_a_persons_flaws_are_all_found() {
    let table = [
        (
            json!({ "username": "a b" }),
            "spec.username: a user name is 1 to 128 printable ASCII characters without blank and colon",
        ),
        (
            json!({ "email": "alice@evil.example@example.com" }),
            "spec.email: this is a mail address",
        ),
        (
            json!({ "email": "alice" }),
            "spec.email: this is a mail address",
        ),
        (
            json!({ "email": "Alice <a@example.com>" }),
            "spec.email: this is a mail address",
        ),
        (
            json!({ "email_verified": true }),
            "spec.email_verified: there is nothing that was verified",
        ),
        (
            json!({ "phone_number_verified": true }),
            "spec.phone_number_verified: there is nothing that was verified",
        ),
        (
            json!({ "name": "" }),
            "spec.name: this is one line of text of 1 to 1000 bytes (leave it out if it is not known)",
        ),
        (
            json!({ "name": "a\nb" }),
            "spec.name: this is one line of text of 1 to 1000 bytes (leave it out if it is not known)",
        ),
        (
            json!({ "picture": "javascript:alert(1)" }),
            "spec.picture: this is a URL, https or http",
        ),
        (
            json!({ "birthdate": "31.12.1999" }),
            "spec.birthdate: a birthday is `YYYY-MM-DD`, `0000-MM-DD` or `YYYY`",
        ),
        (
            json!({ "birthdate": "1999-02-29" }),
            "spec.birthdate: a birthday is `YYYY-MM-DD`, `0000-MM-DD` or `YYYY`",
        ),
        (
            json!({ "address": {} }),
            "spec.address: the address is empty (leave it out if it is not known)",
        ),
        (
            json!({ "groups": [] }),
            "spec.groups: the list is empty (leave it out, or name at least one)",
        ),
        (
            json!({ "groups": ["a", "a"] }),
            "spec.groups[1]: this stands in the list twice",
        ),
        (
            json!({ "roles": ["a b"] }),
            "spec.roles[0]: a role is 1 to 128 printable ASCII characters without blank and comma",
        ),
    ];
    for (spec, flaw) in table {
        let shown = spec.to_string();
        assert_eq!(
            read("alice", spec),
            Err(format!("User/alice {flaw}\n")),
            "{shown}"
        );
    }
}

#[test]
fn a_user_name_belongs_to_one_person_or_account() {
    let documents: Vec<_> = [
        document("Application", "shop", json!({})),
        document(
            "Account",
            "robot",
            json!({ "application": "shop", "username": "Sam" }),
        ),
        document("User", "sam", json!({})),
        document("User", "other", json!({ "username": "SAM" })),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, value)| Document::from_value(value, index).expect("has the shape"))
    .collect();
    let flaws = mean_all(&documents, &context()).expect_err("is flawed");
    let lines: Vec<_> = flaws.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "User/sam spec.username: account `robot` has this user name already",
            "User/other spec.username: account `robot` has this user name already"
        ]
    );
}
