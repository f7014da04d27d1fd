//! Client certificates: whom the API's own authority vouches for, and nobody else.

use core::time::Duration;
use std::sync::Arc;

use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType, SerialNumber, date_time_ymd};

use crate::call::TlsFacts;
use crate::credential::CredentialKind::{Jwt, Mtls};
use crate::credential::jwt::ConfigId;
use crate::credential::mtls::{
    Asked, AuthorityId, CertificateIdentity, CertificateProfile, Membership, NamePattern, RECHECK,
};
use crate::facts::Unavailable;
use crate::identity::{ApplicationId, RoleName, Scopes};
use crate::problem::Code;
use crate::route::Route;
use crate::testing::pki::Ca;
use crate::testing::{NOW, Sent, World, run};
use crate::{Permitted, Refused};
use proof::issued::Environment;
use proof::x509::ocsp::Status;

fn knows(patterns: Vec<NamePattern>) -> CertificateProfile {
    CertificateProfile {
        config: ConfigId(9),
        authority: AuthorityId::new("partners"),
        identities: patterns.into_iter().map(known).collect(),
    }
}

fn known(name: NamePattern) -> CertificateIdentity {
    CertificateIdentity {
        name,
        scopes: Scopes::new(["orders:read"]),
        roles: vec![RoleName::new("clerk")],
        tenant: None,
        application: None,
        networks: Vec::new(),
        suspended: false,
    }
}

fn spiffe() -> NamePattern {
    NamePattern::Uri("spiffe://example.org/*".into())
}

/// An API that knows these identities, vouched for by a new authority.
fn knowing(identities: Vec<CertificateIdentity>) -> (World, Ca) {
    let profile = CertificateProfile {
        identities,
        ..knows(Vec::new())
    };
    let (world, ca) = (World::knowing(profile), Ca::new());
    vouch(&world, &ca, 1, None);
    (world, ca)
}

/// An API that knows these names, vouched for by a new authority.
fn world(patterns: Vec<NamePattern>) -> (World, Ca) {
    let (world, ca) = (World::knowing(knows(patterns)), Ca::new());
    vouch(&world, &ca, 1, None);
    (world, ca)
}

fn vouch(world: &World, ca: &Ca, version: u64, lists: Option<&[Vec<u8>]>) {
    world
        .facts
        .authorities
        .lock()
        .unwrap()
        .insert("partners".to_owned(), ca.authority(version, lists));
}

fn over(session: &TlsFacts) -> Sent {
    let mut sent = Sent::get("/orders");
    sent.arrival.tls = Some(Arc::new(session.clone()));
    sent
}

#[expect(clippy::result_large_err, reason = "as the steps themselves")]
fn judged(world: &World, session: &TlsFacts) -> Result<Permitted<()>, Refused<()>> {
    world.judge(over(session).call(), &world.route(&[&[Mtls]]), NOW)
}

/// The principal that a certificate makes, or the cause of the refusal that the log keeps.
fn named(world: &World, session: &TlsFacts) -> Result<String, String> {
    match judged(world, session) {
        Ok(permitted) => Ok(permitted
            .identity()
            .unwrap()
            .standing()
            .principal
            .id()
            .to_owned()),
        Err(refused) => {
            assert_eq!(refused.problem.code, Code::CredentialRefused);
            Err(refused.problem.cause.to_string())
        }
    }
}

/// Threat E3: whoever is held back chooses no work; whoever was known before goes on, even where its
/// path is due to be looked at again.
#[test]
fn e03_for_an_address_that_is_held_back_no_path_is_searched_for() {
    let (mut world, ca) = world(vec![spiffe()]);
    let (known, stranger) = (ca.session(|_| {}), ca.session(|_| {}));
    assert!(named(&world, &known).is_ok());
    world.facts.held_back = true;
    assert!(named(&world, &known).is_ok());
    vouch(&world, &ca, 2, None);
    assert!(named(&world, &known).is_ok(), "looked at again");
    assert_eq!(
        named(&world, &stranger).unwrap_err(),
        "the address is held back"
    );
    world.facts.held_back = false;
    assert!(named(&world, &stranger).is_ok());
}

#[test]
fn a_certificate_that_the_authority_vouches_for_names_the_caller() {
    let (world, ca) = world(vec![spiffe()]);
    let permitted = judged(&world, &ca.session(|_| {})).unwrap();
    let identity = permitted.identity().unwrap();
    let standing = identity.standing();
    assert_eq!(identity.kind(), Mtls);
    assert_eq!(standing.principal.kind(), "service");
    assert_eq!(standing.principal.id(), "spiffe://example.org/billing");
    assert!(standing.scopes.contains("orders:read"));
    assert_eq!(standing.roles, [RoleName::new("clerk")]);
    assert!(standing.credential.as_str().starts_with("x5t:"));
    assert!(identity.expires_at().is_some());
}

#[test]
fn an_identity_of_an_application_is_its_member_behind_its_wall() {
    let member = |environment| CertificateIdentity {
        application: Some(Membership {
            application: ApplicationId::new("warehouse"),
            environment,
        }),
        ..known(spiffe())
    };
    let (world, ca) = knowing(vec![member(Environment::Live)]);
    let permitted = judged(&world, &ca.session(|_| {})).unwrap();
    let standing = permitted.identity().unwrap().standing();
    let application = standing.application.as_ref().unwrap();
    assert_eq!(application.as_str(), "warehouse");
    assert_eq!(standing.environment, Some(Environment::Live));
    // No document can say so, and yet: the wall is judged, and not believed.
    let (world, ca) = knowing(vec![member(Environment::Test)]);
    let refused = judged(&world, &ca.session(|_| {})).unwrap_err();
    assert_eq!(refused.problem.code, Code::ApiNotAllowed);
}

#[test]
fn an_identity_may_come_from_its_networks_alone() {
    let (world, ca) = knowing(vec![CertificateIdentity {
        networks: vec!["10.1.0.0/16".parse().unwrap()],
        ..known(spiffe())
    }]);
    let session = ca.session(|_| {});
    let from = |address: &str| {
        let mut sent = over(&session);
        sent.arrival.client = address.parse().unwrap();
        let judged = world.judge(sent.call(), &world.route(&[&[Mtls]]), NOW);
        judged.map(drop).map_err(|refused| refused.problem.code)
    };
    assert_eq!(from("10.1.2.3"), Ok(()));
    assert_eq!(from("::ffff:10.1.2.3"), Ok(()));
    assert_eq!(from("10.2.2.3"), Err(Code::PlaceNotAllowed));
    // Known by now, and asked each time.
    assert_eq!(from("10.1.2.3"), Ok(()));
    assert_eq!(from("192.0.2.1"), Err(Code::PlaceNotAllowed));
}

#[test]
fn a_suspended_name_takes_one_holder_out_of_its_family() {
    let asleep = |name: &str| CertificateIdentity {
        suspended: true,
        ..known(NamePattern::Uri(name.into()))
    };
    let reports = |params: &mut rcgen::CertificateParams| {
        let uri = "spiffe://example.org/reports".try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(uri)];
    };
    let (mut world, ca) = knowing(vec![
        asleep("spiffe://example.org/billing"),
        known(spiffe()),
    ]);
    let (billing, reports) = (ca.session(|_| {}), ca.session(reports));
    let refused = named(&world, &billing).unwrap_err();
    let said = refused.strip_prefix("x5t:").unwrap();
    assert!(
        said.ends_with(" is suspended: spiffe://example.org/billing"),
        "{refused}"
    );
    // Known by now, and still.
    assert_eq!(named(&world, &billing), Err(refused));
    assert!(named(&world, &reports).is_ok());
    // A stranger of that name hears of its authority alone.
    let stranger = Ca::new().session(|_| {});
    let answer = named(&world, &stranger).unwrap_err();
    assert!(answer.starts_with("x509-"), "{answer}");

    // The whole family, under the next declaration: what is remembered of its members, and what
    // they opened before, counts no more.
    let lease = judged(&world, &reports).unwrap().lease().unwrap();
    let holds = |world: &World| {
        let route = world.route(&[&[Mtls]]);
        run(lease.holds(&route, &world.facts, NOW)).map_err(|problem| problem.code)
    };
    assert_eq!(holds(&world), Ok(()));
    let api = Arc::get_mut(&mut world.api).unwrap();
    api.certificates = Some(CertificateProfile {
        config: ConfigId(10),
        identities: vec![asleep("spiffe://example.org/*")],
        ..knows(Vec::new())
    });
    assert!(named(&world, &reports).is_err());
    assert_eq!(holds(&world), Err(Code::CredentialRefused));
}

#[test]
fn h05_every_certificate_that_nobody_vouches_for_is_refused() {
    let (world, ca) = world(vec![spiffe()]);
    let other = Ca::new();
    let below = ca.between();
    let mut whole = below.session(|_| {});
    let cases = [
        // It even has the same name.
        (
            "another authority",
            other.session(|_| {}),
            "x509-chain: CN=billing",
        ),
        (
            "a link is missing",
            whole.clone(),
            "x509-unknown-issuer: CN=billing",
        ),
        (
            "expired",
            ca.session(|params| params.not_after = date_time_ymd(2026, 6, 1)),
            "x509-time: CN=billing",
        ),
        (
            "not yet valid",
            ca.session(|params| params.not_before = date_time_ymd(2027, 6, 1)),
            "x509-time: CN=billing",
        ),
        (
            "a server's",
            ca.session(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            "x509-key-usage: CN=billing",
        ),
        (
            "another name",
            ca.session(|params| {
                params.subject_alt_names = vec![SanType::URI(
                    "spiffe://example.com/billing".try_into().unwrap(),
                )];
            }),
            "the certificate has no name that the API knows",
        ),
        (
            "two identities of SPIFFE in one",
            ca.session(|params| {
                params.subject_alt_names.push(SanType::URI(
                    "spiffe://example.org/admin".try_into().unwrap(),
                ));
            }),
            "the certificate has no name that the API knows",
        ),
    ];
    for (what, session, cause) in &cases {
        assert_eq!(named(&world, session), Err((*cause).to_owned()), "{what}");
    }
    whole.peer_intermediates = vec![below.der()];
    assert!(named(&world, &whole).is_ok());
}

#[test]
fn a_name_is_compared_as_its_type_asks() {
    let sans = |params: &mut rcgen::CertificateParams| {
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
        params.subject_alt_names = vec![
            SanType::DnsName("Billing.example.com".try_into().unwrap()),
            SanType::Rfc822Name("Batch@Example.com".try_into().unwrap()),
            SanType::URI("urn:example:billing".try_into().unwrap()),
        ];
    };
    let uri = |text: &str| NamePattern::Uri(text.into());
    let dns = |text: &str| NamePattern::Dns(text.into());
    let email = |text: &str| NamePattern::Email(text.into());
    let subject = |text: &str| NamePattern::Subject(text.into());
    let cases = [
        (uri("urn:example:billing"), Some("urn:example:billing")),
        (uri("urn:example:*"), Some("urn:example:billing")),
        (uri("urn:example:billing*"), None),
        (uri("urn:example:bill"), None),
        (uri("URN:example:billing"), None),
        (dns("billing.example.com"), Some("Billing.example.com")),
        (dns("*.example.com"), Some("Billing.example.com")),
        (dns("*.com"), None),
        (dns("example.com"), None),
        (email("Batch@example.com"), Some("Batch@Example.com")),
        (email("*@example.com"), Some("Batch@Example.com")),
        (email("batch@example.com"), None),
        (email("*@com"), None),
        (subject("CN=billing, O=Example"), None),
        (
            subject("O=Example,CN=billing"),
            Some("O=Example,CN=billing"),
        ),
        (subject("CN=billing"), None),
    ];
    for (pattern, expected) in cases {
        let what = format!("{pattern:?}");
        let (world, ca) = world(vec![pattern]);
        let found = named(&world, &ca.session(sans)).ok();
        assert_eq!(found.as_deref(), expected, "{what}");
    }
}

#[test]
fn what_the_lists_revoke_or_do_not_know_is_refused() {
    let (world, ca) = world(vec![spiffe()]);
    let session = ca.session(|params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let other = Ca::new();
    let cases = [
        ("not on it", vec![ca.list(&[8], 2028)], None::<&str>),
        (
            "on it",
            vec![ca.list(&[7, 8], 2028)],
            Some("x509-revoked: CN=billing"),
        ),
        (
            "out of date",
            vec![ca.list(&[], 2027)],
            Some("x509-revocation-outdated: CN=billing"),
        ),
        (
            "another authority's",
            vec![other.list(&[], 2028)],
            Some("x509-revocation-unknown: CN=billing"),
        ),
    ];
    for (version, (what, lists, cause)) in cases.into_iter().enumerate() {
        vouch(&world, &ca, 10 + version as u64, Some(&lists));
        assert_eq!(named(&world, &session).err().as_deref(), cause, "{what}");
    }
}

#[test]
fn c06_a_known_certificate_costs_no_path_and_its_time_and_authority_are_judged_each_time() {
    let (world, ca) = world(vec![spiffe()]);
    let session = ca.session(|params| {
        params.serial_number = Some(SerialNumber::from(7_u64));
        params.not_after = date_time_ymd(2027, 1, 16);
    });
    let route = world.route(&[&[Mtls]]);
    let code = |now| {
        world
            .judge(over(&session).call(), &route, now)
            .map(drop)
            .map_err(|refused| refused.problem.code)
    };
    assert_eq!(code(NOW), Ok(()));
    assert!(world.facts.questions().contains(&"remember_certificate"));
    assert_eq!(code(NOW), Ok(()));
    assert_eq!(world.facts.questions(), ["authority", "known_certificate"]);
    // Looked at anew after a while.
    assert_eq!(code(NOW.plus(RECHECK)), Ok(()));
    assert!(world.facts.questions().contains(&"remember_certificate"));
    // Its own time, even where the path was just looked at.
    let last = NOW.plus(Duration::from_secs(60_000));
    assert!(last.as_secs() > 1_800_057_600, "past 16 January 2027");
    {
        let mut known = world.facts.certificates.lock().unwrap();
        for certificate in known.values_mut() {
            let mut kept = (**certificate).clone();
            kept.recheck_at = last.plus(RECHECK);
            *certificate = Arc::new(kept);
        }
    }
    assert_eq!(code(last), Err(Code::CredentialRefused));
    // A new state of the authority: the kept path counts no more.
    vouch(&world, &ca, 2, Some(&[ca.list(&[7], 2028)]));
    assert_eq!(code(NOW), Err(Code::CredentialRefused));
}

/// Judges the session of a client with number 7 under an authority with number 9 below the root.
fn asked(responder: Asked, answers: &[(&str, Status)]) -> (World, Result<(), (Code, String)>) {
    let (world, ca) = world(vec![spiffe()]);
    let below = ca.between_numbered(9);
    let mut session =
        below.session(|params| params.serial_number = Some(SerialNumber::from(7_u64)));
    session.peer_intermediates = vec![below.der()];
    let answering = ca.answering(1, responder);
    let mut authorities = world.facts.authorities.lock().unwrap();
    authorities.insert("partners".to_owned(), answering);
    drop(authorities);
    let answers = answers
        .iter()
        .map(|(number, status)| ((*number).to_owned(), *status));
    world.facts.statuses.lock().unwrap().extend(answers);
    world.facts.questions();
    let judged = judged(&world, &session)
        .map(drop)
        .map_err(|refused| (refused.problem.code, refused.problem.cause.to_string()));
    (world, judged)
}

#[test]
fn what_the_responder_does_not_call_good_is_refused() {
    use Status::{Good, Revoked, Unknown};
    let refused = |code: &str, number: &str| {
        let cause = format!("{code}: its responder says so of number {number}");
        Err((Code::CredentialRefused, cause))
    };
    let away = Err((
        Code::FactUnavailable,
        Unavailable::CertificateStatus.to_string(),
    ));
    for (what, responder, answers, expected) in [
        (
            "there is none",
            Asked::Nothing,
            &[("07", Revoked)][..],
            Ok(()),
        ),
        ("good", Asked::Client, &[("07", Good)], Ok(())),
        (
            "revoked",
            Asked::Client,
            &[("07", Revoked)],
            refused("x509-revoked", "07"),
        ),
        (
            "unknown",
            Asked::Client,
            &[("07", Unknown)],
            refused("x509-revocation-unknown", "07"),
        ),
        ("away", Asked::Client, &[], away.clone()),
        (
            "the one above is nobody's question",
            Asked::Client,
            &[("07", Good), ("09", Revoked)],
            Ok(()),
        ),
        (
            "all good",
            Asked::Path,
            &[("07", Good), ("09", Good)],
            Ok(()),
        ),
        (
            "the one above is revoked",
            Asked::Path,
            &[("07", Good), ("09", Revoked)],
            refused("x509-revoked", "09"),
        ),
        (
            "the one above is unknown",
            Asked::Path,
            &[("07", Good), ("09", Unknown)],
            refused("x509-revocation-unknown", "09"),
        ),
        (
            "about the one above it does not answer",
            Asked::Path,
            &[("07", Good)],
            away,
        ),
    ] {
        let (_, judged) = asked(responder, answers);
        assert_eq!(judged, expected, "{what}");
    }
}

#[test]
fn c06_the_responder_s_answer_is_judged_on_every_use_and_asked_for_only_where_none_is_held() {
    let (world, ca) = world(vec![spiffe()]);
    let session = ca.session(|params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let mut authorities = world.facts.authorities.lock().unwrap();
    authorities.insert("partners".to_owned(), ca.answering(1, Asked::Path));
    drop(authorities);
    let answer = |status| {
        let mut statuses = world.facts.known_statuses.lock().unwrap();
        statuses.insert("07".to_owned(), status);
    };
    answer(Status::Good);
    assert!(named(&world, &session).is_ok());
    world.facts.questions();
    assert!(named(&world, &session).is_ok());
    assert_eq!(
        world.facts.questions(),
        ["authority", "known_certificate", "known_status"]
    );
    // The path is known to hold, and yet.
    answer(Status::Revoked);
    assert_eq!(
        named(&world, &session),
        Err("x509-revoked: its responder says so of number 07".to_owned())
    );
    assert_eq!(
        world.facts.questions(),
        ["authority", "known_certificate", "known_status"]
    );
    // The responder is out of the declaration: a new state of the authority.
    vouch(&world, &ca, 2, None);
    assert!(named(&world, &session).is_ok());
    assert!(!world.facts.questions().contains(&"known_status"));
}

#[test]
fn c06_nobody_is_asked_about_a_certificate_that_nobody_vouches_for() {
    let (world, ca) = world(vec![spiffe()]);
    let mut authorities = world.facts.authorities.lock().unwrap();
    authorities.insert("partners".to_owned(), ca.answering(1, Asked::Path));
    drop(authorities);
    assert!(named(&world, &Ca::new().session(|_| {})).is_err());
    let expired = ca.session(|params| params.not_after = date_time_ymd(2026, 6, 1));
    assert!(named(&world, &expired).is_err());
    let unnamed = ca.session(|params| params.subject_alt_names.clear());
    assert!(named(&world, &unnamed).is_err());
    let asked = world.facts.questions();
    assert!(!asked.contains(&"certificate_status"), "{asked:?}");
}

#[test]
fn without_the_authority_at_hand_nobody_is_judged() {
    let (world, ca) = world(vec![spiffe()]);
    world.facts.authorities.lock().unwrap().clear();
    let refused = judged(&world, &ca.session(|_| {})).unwrap_err();
    assert_eq!(refused.problem.code, Code::FactUnavailable);
    assert_eq!(
        &*refused.problem.cause,
        &*Unavailable::Authority.to_string()
    );
}

#[test]
fn c11_no_certificate_is_a_missing_credential_and_the_challenge_names_the_kind() {
    let (world, _) = world(vec![spiffe()]);
    let refused = world
        .judge(Sent::get("/orders").call(), &world.route(&[&[Mtls]]), NOW)
        .unwrap_err();
    assert_eq!(refused.problem.code, Code::CredentialMissing);
    let challenges: Vec<_> = refused
        .problem
        .challenges
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(challenges, ["ClientCertificate realm=\"orders\""]);
}

#[test]
fn a_certificate_is_no_credential_where_none_is_asked_for_and_never_one_too_many() {
    let (world, ca) = world(vec![spiffe()]);
    let token = world.own_token(&serde_json::json!({}));
    let stranger = Ca::new().session(|_| {});
    let kind = |session: &TlsFacts, route: &Route, bearer: bool| {
        let mut sent = over(session);
        if bearer {
            sent = sent.bearer(&token);
        }
        match world.judge(sent.call(), route, NOW) {
            Ok(permitted) => Ok(permitted.identity().unwrap().kind()),
            Err(refused) => Err(refused.problem.code),
        }
    };
    let good = ca.session(|_| {});
    let (jwt, either) = (world.route(&[&[Jwt]]), world.route(&[&[Jwt], &[Mtls]]));
    let both = world.route(&[&[Mtls, Jwt]]);
    // The connection's own matter.
    assert_eq!(kind(&stranger, &jwt, true), Ok(Jwt));
    assert_eq!(kind(&stranger, &either, true), Ok(Jwt));
    assert_eq!(kind(&good, &either, false), Ok(Mtls));
    assert_eq!(
        kind(&stranger, &either, false),
        Err(Code::CredentialRefused)
    );
    // Both parts of a combination, and the first names the principal.
    assert_eq!(kind(&good, &both, true), Ok(Mtls));
    assert_eq!(kind(&good, &both, false), Err(Code::CredentialMissing));
    assert_eq!(kind(&stranger, &both, true), Err(Code::CredentialRefused));
}
