//! Flows: each answer of each gate, what ends with what, and many callers at once on two nodes.

mod codes;
mod devices;
mod grants;
mod refresh;
mod sessions;
mod sweep;
mod tokens;

use core::time::Duration;

use issuer::flow::{
    Authentication, Code, CodeIssued, Consent, Flows as _, Grant, NewCode, NewRefresh, NewTokens,
    Redeemed, Refresh, Session,
};
use issuer::ports::{IssuerStore as _, KeptToken, Revocation};
use proof::digest::TokenHash;
use registry::ports::{AuditTrail as _, Registry as _};
use verdict::identity::ClientId;

use super::{Bench, at, event, fresh};
use crate::Store;

/// The hash of a token that a test calls by its name.
fn hash(name: &str) -> TokenHash {
    TokenHash::of(name.as_bytes())
}

fn client(name: &str) -> ClientId {
    ClientId::new(name)
}

fn authentication() -> Authentication {
    Authentication {
        at: at(0),
        acr: "urn:doorward:acr:password".into(),
        amr: vec!["pwd".into()],
    }
}

/// A grant of alice to the shop, in no session.
fn grant() -> Grant {
    Grant {
        id: fresh(""),
        client_id: client("shop"),
        subject: "alice".into(),
        session: None,
        scopes: vec!["openid".into(), "orders:read".into()],
        audiences: vec!["https://orders.example".into()],
        authentication: authentication(),
        claims: Some(serde_json::json!({"id_token": {"email": null}})),
        binding: None,
        offline: true,
        created_at: at(0),
        until: at(1_000_000),
    }
}

/// The same, in a session and ending with it.
fn grant_in(session: &str) -> Grant {
    Grant {
        session: Some(session.into()),
        offline: false,
        ..grant()
    }
}

fn code() -> Code {
    Code {
        redirect_uri: Some("https://shop.example/back".into()),
        code_challenge: Some("challenge".into()),
        nonce: Some("n".into()),
        dpop_jkt: None,
        until: at(60),
    }
}

fn new_code(name: &str, grant: &Grant) -> NewCode {
    NewCode {
        hash: hash(name),
        code: code(),
        grant: grant.clone(),
        spends: None,
        consent: None,
        withdrawn: Vec::new(),
    }
}

fn refresh_token(name: &str) -> NewRefresh {
    NewRefresh {
        hash: hash(name),
        until: at(100_000),
        binding: None,
    }
}

fn with_refresh(name: Option<&str>) -> NewTokens {
    NewTokens {
        refresh: name.map(refresh_token),
        access: None,
    }
}

fn consent(scopes: &[&str]) -> Consent {
    Consent {
        subject: "alice".into(),
        client_id: client("shop"),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        audiences: vec!["https://orders.example".into()],
        at: at(0),
    }
}

fn session(id: &str, subject: &str) -> Session {
    Session {
        id: id.into(),
        subject: subject.into(),
        authentication: authentication(),
        agent: "Firefox on Linux".into(),
        address: "192.0.2.1".into(),
        created_at: at(0),
        idle_until: at(500),
        until: at(5_000),
    }
}

/// Opens a session whose handle is named as its id.
async fn opened(store: &Store, id: &str, subject: &str) {
    store
        .open_session(hash(id), session(id, subject), None, event("session.open"))
        .await
        .unwrap();
}

/// Issues and redeems a code for a grant; its first refresh token is called `token`.
async fn granted(store: &Store, grant: &Grant, token: Option<&str>) {
    let name = fresh("code");
    let issued = store
        .issue_code(new_code(&name, grant), event("grant.create"))
        .await
        .unwrap();
    assert_eq!(issued, CodeIssued::Issued);
    let redeemed = store
        .redeem_code(
            hash(&name),
            &grant.client_id,
            with_refresh(token),
            at(1),
            event("grant.redeem"),
            event("grant.end"),
        )
        .await
        .unwrap();
    assert_eq!(redeemed, Redeemed::First(code(), grant.clone()));
}

/// A token presented by the shop at a second, to be replaced.
fn rotating<'a>(client_id: &'a ClientId, token: &str, next: &str, second: i64) -> Refresh<'a> {
    Refresh {
        hash: hash(token),
        client_id,
        successor: Some(refresh_token(next)),
        access: None,
        retry: Duration::from_secs(10),
        idle_until: at(second + 100_000),
        now: at(second),
    }
}

/// What was revoked, by grant.
async fn revoked(store: &Store) -> Vec<(String, i64)> {
    let revocations = store.revocations(at(0)).await.unwrap();
    let mut revoked: Vec<_> = revocations
        .into_iter()
        .filter_map(|revocation| match revocation {
            Revocation::Grant { grant_id, until } => {
                Some((grant_id, until.since(at(0)).as_secs() as i64))
            }
            Revocation::Token { .. } | Revocation::ClientEpoch { .. } => None,
        })
        .collect();
    revoked.sort();
    revoked
}

/// How many changes and audit events there are.
async fn traces(store: &Store) -> (i64, usize) {
    let events = store.audit_events(0, 10_000, true).await.unwrap();
    (store.newest_change().await.unwrap(), events.len())
}

/// The actions of the audit events, in order.
async fn actions(store: &Store) -> Vec<String> {
    let events = store.audit_events(0, 10_000, true).await.unwrap();
    events.into_iter().map(|event| event.action).collect()
}
