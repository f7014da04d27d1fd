use std::collections::BTreeSet;

use super::*;
use crate::problem::Code;
use crate::testing::{NOW, Sent, hand};

#[test]
fn every_check_has_a_name_of_its_own_and_says_what_holds() {
    let mut names = BTreeSet::new();
    for check in Check::ALL {
        assert!(names.insert(check.name()), "{} stands twice", check.name());
        assert!(!check.label().is_empty());
        assert_ne!(check.source(), Some(""));
    }
}

#[test]
fn what_is_checked_of_a_good_credential_is_this_list() {
    let hand = hand();
    let mut text = String::new();
    for kind in CredentialKind::ALL {
        let route = hand.world.route(&[&[kind]]);
        assert_eq!(hand.code(hand.sent(kind), &route), Ok(kind));
        text.push_str(&format!(
            "{}: {}\n",
            kind.name(),
            hand.world.facts.heard().join(", ")
        ));
    }
    insta::assert_snapshot!(text);
}

/// The last check that was named is the one that did not hold.
#[test]
fn the_last_check_named_is_the_one_that_refused() {
    let hand = hand();
    let route = hand
        .world
        .route(&[&[CredentialKind::Jwt], &[CredentialKind::Basic]]);
    let late = hand
        .world
        .own_token(&serde_json::json!({"exp": NOW.as_secs() - 1000}));
    let stranger = hand
        .world
        .own_token(&serde_json::json!({"iss": "https://other.example"}));
    let elsewhere = hand
        .world
        .own_token(&serde_json::json!({"aud": "https://other.example"}));
    let unscoped = hand
        .world
        .own_token(&serde_json::json!({"scope": "orders:write"}));
    for (sent, code, check) in [
        (
            Sent::get("/orders"),
            Code::CredentialMissing,
            Check::Presented,
        ),
        (
            Sent::get("/orders?access_token=a"),
            Code::CredentialInUrl,
            Check::Exposed,
        ),
        (
            Sent::get("/orders").bearer("a.b"),
            Code::CredentialRefused,
            Check::TokenShape,
        ),
        (
            Sent::get("/orders").bearer(&stranger),
            Code::CredentialRefused,
            Check::Issuer,
        ),
        (
            Sent::get("/orders").bearer(&late),
            Code::CredentialRefused,
            Check::Claims,
        ),
        (
            Sent::get("/orders").bearer(&elsewhere),
            Code::CredentialRefused,
            Check::Claims,
        ),
        (
            Sent::get("/orders").bearer(&unscoped),
            Code::ScopeMissing,
            Check::Scopes,
        ),
        (
            Sent::get("/orders").with("authorization", "Basic c3ZjOndyb25n"),
            Code::CredentialRefused,
            Check::Password,
        ),
    ] {
        assert_eq!(hand.code(sent, &route), Err(code));
        let heard = hand.world.facts.heard();
        assert_eq!(
            heard.last().map(String::as_str),
            Some(check.name()),
            "{heard:?}"
        );
    }
}

#[test]
fn what_is_presented_is_told_by_place_and_kind() {
    let hand = hand();
    let of = |sent: Sent, kinds: &[CredentialKind]| {
        let route = hand.world.route(&[kinds]);
        let head = sent.read().unwrap();
        presented(&head, &route)
            .into_iter()
            .map(|seen| {
                let kind = seen.kind.map_or("?", CredentialKind::name);
                format!("{} {kind} {}", seen.place, seen.flaw.is_none())
            })
            .collect::<Vec<_>>()
    };
    use CredentialKind::{ApiKey, Basic, Hmac, HttpSignature, Jwt, Mtls};
    assert_eq!(of(Sent::get("/orders"), &[ApiKey]), Vec::<String>::new());
    assert_eq!(of(hand.sent(Jwt), &[Jwt]), ["authorization jwt true"]);
    assert_eq!(of(hand.sent(Basic), &[Jwt]), ["authorization basic false"]);
    assert_eq!(of(hand.sent(Mtls), &[Mtls]), ["certificate mtls true"]);
    assert_eq!(of(hand.sent(Mtls), &[Jwt]), Vec::<String>::new());
    assert_eq!(
        of(hand.sent(HttpSignature), &[HttpSignature]),
        ["signature-input http_signature true"]
    );
    let two = hand
        .sent(Hmac)
        .with("x-api-key", &hand.key)
        .with("orders-key", "garbage");
    assert_eq!(
        of(two, &[Hmac, ApiKey]),
        [
            "authorization hmac true",
            "x-api-key api_key true",
            "orders-key api_key false"
        ]
    );
}
