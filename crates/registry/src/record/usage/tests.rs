use super::*;
use crate::record::Companion;

const HOUR_ONE: i64 = 3_600_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(HOUR_ONE + millis)
}

/// A call with a credential of some kind.
fn call(kind: &'static str, credential: &str) -> Decision {
    Decision {
        v: 1,
        request_id: "0193".into(),
        at: at(5),
        client: "192.0.2.7".to_owned(),
        method: "GET".into(),
        path: "/orders".to_owned(),
        api: Some("orders".into()),
        route: Some("read".into()),
        decision: "allow".into(),
        code: None,
        cause: None,
        credential_kind: Some(kind.into()),
        credential: Some(credential.into()),
        secret: None,
        principal: Some("service:app_1".to_owned()),
        application: None,
        issuer: None,
        client_id: None,
        companions: Vec::new(),
        status: 200,
        micros: 1,
        judged: None,
    }
}

/// Name, what it belongs to, calls.
fn counted(calls: &[Decision]) -> Vec<(String, Option<String>, i64)> {
    let mut tally = Tally::default();
    calls.iter().for_each(|call| tally.call(call));
    let usage = tally.finish().into_iter();
    usage
        .map(|one| (one.name, one.belongs_to, one.calls))
        .collect()
}

fn row(name: &str, belongs_to: &str, calls: i64) -> (String, Option<String>, i64) {
    let belongs_to = (!belongs_to.is_empty()).then(|| belongs_to.to_owned());
    (name.to_owned(), belongs_to, calls)
}

#[test]
fn every_kind_is_counted_under_names_that_last() {
    let own = |kind| Decision {
        secret: Some("jkt:a".into()),
        issuer: Some("https://own".into()),
        client_id: Some("backend".into()),
        ..call(kind, "jti:1")
    };
    for kind in CredentialKind::ALL {
        let (call, expected) = match kind {
            CredentialKind::ApiKey | CredentialKind::AdminKey => {
                (call(kind.name(), "key_1"), vec![row("key_1", "", 1)])
            }
            CredentialKind::Basic => (
                Decision {
                    secret: Some("pwd_1".into()),
                    ..call("basic", "svc_1")
                },
                vec![row("pwd_1", "svc_1", 1), row("svc_1", "", 1)],
            ),
            CredentialKind::SigV4
            | CredentialKind::HttpSignature
            | CredentialKind::Hmac
            | CredentialKind::Webhook => (
                Decision {
                    secret: Some("mat_1".into()),
                    ..call(kind.name(), "sgn_1")
                },
                vec![row("mat_1", "sgn_1", 1), row("sgn_1", "", 1)],
            ),
            CredentialKind::Jwt | CredentialKind::Paseto => (
                own(kind.name()),
                vec![
                    row("jkt:a", "issuer:https://own", 1),
                    row("client:backend", "", 1),
                    row("issuer:https://own", "", 1),
                ],
            ),
            CredentialKind::Opaque => (
                Decision {
                    secret: None,
                    ..own("opaque")
                },
                vec![
                    row("client:backend", "", 1),
                    row("issuer:https://own", "", 1),
                ],
            ),
            CredentialKind::ClientJwt => (
                Decision {
                    client_id: Some("export".into()),
                    ..call("client_jwt", "jkt:b")
                },
                vec![
                    row("jkt:b", "client:export", 1),
                    row("client:export", "", 1),
                ],
            ),
            CredentialKind::Mtls => (
                Decision {
                    principal: Some("service:spiffe://x/billing".to_owned()),
                    ..call("mtls", "x5t:c")
                },
                vec![
                    row("service:spiffe://x/billing", "", 1),
                    row("x5t:c", "service:spiffe://x/billing", 1),
                ],
            ),
        };
        assert_eq!(counted(&[call]), expected, "{}", kind.name());
    }
}

#[test]
fn tokens_of_one_key_are_one_row_however_many_there_are() {
    let calls: Vec<_> = (0..50)
        .map(|number| Decision {
            secret: Some("jkt:a".into()),
            issuer: Some("https://a".into()),
            ..call("jwt", &format!("jti:{number}"))
        })
        .collect();
    assert_eq!(
        counted(&calls),
        [
            row("jkt:a", "issuer:https://a", 50),
            row("issuer:https://a", "", 50)
        ]
    );
}

#[test]
fn a_companion_is_counted_like_whoever_calls_alone() {
    let call = Decision {
        companions: vec![Companion {
            credential_kind: "api_key".into(),
            credential: "key_2".into(),
            secret: None,
            principal: "service:app_2".to_owned(),
            issuer: None,
            client_id: None,
        }],
        ..call("api_key", "key_1")
    };
    assert_eq!(counted(&[call]), [row("key_1", "", 1), row("key_2", "", 1)]);
}

#[test]
fn hours_are_apart_and_the_last_call_is_the_latest() {
    let calls = [9, 5, HOUR_ONE].map(|millis| Decision {
        at: at(millis),
        ..call("api_key", "key_1")
    });
    let mut tally = Tally::default();
    calls.iter().for_each(|call| tally.call(call));
    let hours: Vec<_> = tally
        .finish()
        .into_iter()
        .map(|one| (one.hour, one.calls, one.last_used))
        .collect();
    assert_eq!(hours, [(at(0), 2, at(9)), (at(HOUR_ONE), 1, at(HOUR_ONE))]);
}

#[test]
fn a_client_at_the_issuer_is_counted_by_what_it_showed() {
    let used = ClientUse {
        client: ClientId::new("backend"),
        credential: CredentialId::new("sec_1"),
        at: at(1),
    };
    let mut tally = Tally::default();
    tally.client(&used);
    let usage = tally.finish();
    assert_eq!(
        (&*usage[0].name, usage[0].belongs_to.as_deref(), usage.len()),
        ("sec_1", Some("client:backend"), 1)
    );
}

#[test]
fn a_call_of_nobody_is_nobodys() {
    let nobody = Decision {
        credential_kind: None,
        credential: None,
        ..call("", "")
    };
    assert_eq!(counted(&[nobody]), []);
}
