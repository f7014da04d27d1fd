use core::time::Duration;

use verdict::credential::jwt::ConfigId;
use verdict::identity::ClientId;

use super::*;
use crate::facts::tests::{now, standing};

const OURS: &str = "https://issuer.example";

fn token(
    issuer: &str,
    id: Option<&str>,
    client: Option<&str>,
    issued_at: Option<Timestamp>,
) -> VerifiedToken {
    let mut standing = standing("tok_1");
    standing.client = client.map(ClientId::new);
    VerifiedToken {
        config: ConfigId(1),
        issuer: IssuerId::new(issuer),
        audiences: Vec::new(),
        expires_at: now().plus(Duration::from_secs(600)),
        not_before: None,
        issued_at,
        token_id: id.map(Into::into),
        grant_id: None,
        binding: None,
        made_by: None,
        standing: Arc::new(standing),
    }
}

fn by_id(id: &str, until: Timestamp) -> Revoked {
    Revoked::Token {
        issuer: IssuerId::new(OURS),
        token_id: id.into(),
        until,
    }
}

fn epoch(client: &str, before: Timestamp, until: Timestamp) -> Revoked {
    Revoked::ClientEpoch {
        issuer: IssuerId::new(OURS),
        client: client.into(),
        before,
        until,
    }
}

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

#[test]
fn a_revoked_token_is_known_by_issuer_and_id() {
    let list = Revocations::default();
    list.extend([by_id("a", later(60)), by_id("b", later(60))], now());
    for (issuer, id, revoked) in [
        (OURS, Some("a"), true),
        (OURS, Some("b"), true),
        (OURS, Some("c"), false),
        (OURS, None, false),
        ("https://other.example", Some("a"), false),
    ] {
        assert_eq!(
            list.revoked(&token(issuer, id, None, None)),
            Ok(revoked),
            "{issuer} {id:?}"
        );
    }
}

#[test]
fn a_clients_epoch_ends_the_tokens_issued_before_it() {
    let list = Revocations::default();
    list.extend([epoch("cli", later(10), later(600))], now());
    for (issuer, client, issued_at, revoked) in [
        (OURS, Some("cli"), Some(later(9)), true),
        (OURS, Some("cli"), Some(later(10)), false),
        (OURS, Some("cli"), None, true),
        (OURS, Some("other"), Some(later(9)), false),
        (OURS, None, Some(later(9)), false),
        ("https://other.example", Some("cli"), Some(later(9)), false),
    ] {
        let token = token(issuer, Some("t"), client, issued_at);
        assert_eq!(
            list.revoked(&token),
            Ok(revoked),
            "{issuer} {client:?} {issued_at:?}"
        );
    }
    // A later epoch counts, an earlier one takes nothing back.
    list.extend(
        [
            epoch("cli", later(20), later(600)),
            epoch("cli", later(5), later(600)),
        ],
        now(),
    );
    assert_eq!(
        list.revoked(&token(OURS, None, Some("cli"), Some(later(19)))),
        Ok(true)
    );
}

#[test]
fn entries_end_with_the_tokens_they_forbid() {
    let list = Revocations::default();
    list.extend((0..100).map(|n| by_id(&format!("t{n}"), later(10))), now());
    list.extend([by_id("long", later(1000)), by_id("past", now())], now());
    assert_eq!(list.len(), 101);
    list.drop_ended(later(11));
    assert_eq!(list.len(), 1);
    assert_eq!(
        list.revoked(&token(OURS, Some("long"), None, None)),
        Ok(true)
    );
}

#[test]
fn replacing_forgets_what_is_not_in_the_new_list() {
    let list = Revocations::default();
    list.extend([by_id("a", later(60))], now());
    list.replace([by_id("b", later(60))], now());
    assert_eq!(list.revoked(&token(OURS, Some("a"), None, None)), Ok(false));
    assert_eq!(list.revoked(&token(OURS, Some("b"), None, None)), Ok(true));
    assert_eq!(list.len(), 1);
}

#[test]
fn a_list_that_overflows_refuses_all_tokens_until_it_is_replaced() {
    let list = Revocations::with_capacity(10);
    list.extend((0..11).map(|n| by_id(&format!("t{n}"), later(60))), now());
    assert_eq!(
        list.revoked(&token(OURS, Some("x"), None, None)),
        Err(Unavailable::CutOff)
    );
    list.replace((0..11).map(|n| by_id(&format!("t{n}"), later(60))), now());
    assert_eq!(
        list.revoked(&token(OURS, Some("x"), None, None)),
        Err(Unavailable::CutOff)
    );
    list.replace((0..10).map(|n| by_id(&format!("t{n}"), later(60))), now());
    assert_eq!(list.revoked(&token(OURS, Some("x"), None, None)), Ok(false));
}

#[test]
fn a_reader_never_misses_an_entry_while_others_are_added() {
    let list = Revocations::default();
    list.extend([by_id("known", later(60))], now());
    let known = token(OURS, Some("known"), None, None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..2000 {
                list.extend([by_id(&format!("t{n}"), later(60))], now());
            }
        });
        for _ in 0..20_000 {
            assert_eq!(list.revoked(&known), Ok(true));
        }
    });
    assert_eq!(list.len(), 2001);
}

#[test]
fn a_grant_that_ended_takes_its_tokens_along_and_no_others() {
    let list = Revocations::default();
    let ended = Revoked::Grant {
        issuer: IssuerId::new(OURS),
        grant_id: "grant-1".into(),
        until: now().plus(Duration::from_secs(600)),
    };
    list.extend([ended], now());
    let mut of_grant = token(OURS, Some("t1"), None, Some(now()));
    of_grant.grant_id = Some("grant-1".into());
    assert_eq!(list.revoked(&of_grant), Ok(true));
    of_grant.grant_id = Some("grant-2".into());
    assert_eq!(list.revoked(&of_grant), Ok(false));
    let mut foreign = token("https://other.example", Some("t1"), None, Some(now()));
    foreign.grant_id = Some("grant-1".into());
    assert_eq!(list.revoked(&foreign), Ok(false));
}
