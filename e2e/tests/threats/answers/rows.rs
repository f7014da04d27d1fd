//! The rows: for each kind what is sent.

use super::made::{Known, Signers, forged, mistyped, unknown};
use super::*;

mod bound;
mod calls;
mod certificates;
mod combined;
mod encrypted_tokens;
mod hooks;
mod messages;
mod pasetos;
mod signed;
mod sigv4;
mod tokens;

/// All of them.
pub(super) fn all<'a>(world: &'a World, known: &'a Known) -> Rows<'a> {
    let mut rows = Rows::default();
    api_keys(&mut rows, known);
    accounts(&mut rows, known);
    tokens::jwts(&mut rows, world);
    bound::proved(&mut rows, world);
    bound::certified(&mut rows, world);
    encrypted_tokens::encrypted_tokens(&mut rows, world);
    combined::with_a_certificate(&mut rows, world);
    certificates::certificates(&mut rows, world);
    tokens::opaque_tokens(&mut rows, world);
    for signers in &known.signers {
        signed::signed(&mut rows, signers);
    }
    sigv4::bodies(&mut rows, known);
    sigv4::presigned(&mut rows, known);
    messages::messages(&mut rows, known);
    signed::hmac_bodies(&mut rows, known);
    combined::with_a_key(&mut rows, known);
    calls::client_jwts(&mut rows, world);
    hooks::webhooks(&mut rows, known);
    pasetos::pasetos(&mut rows, world);
    admin_keys(&mut rows, known, world.doorward.owner_key());
    rows
}

/// Of a proxy that ends TLS and relays certificates in a field.
pub(super) fn relayed(world: &World) -> Rows<'_> {
    let mut rows = Rows::default();
    certificates::relayed(&mut rows, world);
    rows
}

fn api_keys<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::ApiKey;
    let (me, write) = ("/api-key/me", "/api-key/write");
    rows.add(kind, "none", || Call::bearer(me, &known.key));
    rows.add(kind, "none, in its own field", || {
        Call::get(me).with("x-api-key", &known.key)
    });
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || Call::bearer(me, "letmein"));
    rows.add(kind, "malformed, in its own field", || {
        Call::get(me).with("x-api-key", "letmein")
    });
    rows.add(kind, "mistyped", || Call::bearer(me, &mistyped(&known.key)));
    rows.add(kind, "unknown", || {
        Call::bearer(me, &unknown(&known.key, SecretKind::SecretKey))
    });
    rows.add(kind, "forged, with another secret", || {
        Call::bearer(me, &forged(&known.key, SecretKind::SecretKey))
    });
    for (defect, key) in &known.keys {
        rows.add(kind, defect, move || Call::bearer(me, key));
    }
    let trial = "/api-key-test/me";
    rows.add(kind, "none, a test key at a test API", move || {
        Call::bearer(trial, &known.trial)
    });
    rows.add(kind, "a test key at a live API", || {
        Call::bearer(me, &known.trial)
    });
    rows.add(kind, "a live key at a test API", move || {
        Call::bearer(trial, &known.key)
    });
    rows.add(kind, "without the scope", || {
        Call::bearer(write, &known.key)
    });
    rows.add(kind, "twice in one call", || {
        Call::bearer(me, &known.key).with("x-api-key", &known.key)
    });
    rows.add(kind, "in the query", move || {
        Call::get(&format!("{me}?api_key={}", known.key))
    });
    rows.add(kind, "under another scheme", || {
        Call::get(me).with("authorization", basic("alice", &known.password))
    });
}

fn accounts<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Basic;
    let (me, write) = ("/basic/me", "/basic/write");
    let call = |path: &str, user: &str, password: &str| {
        Call::get(path).with("authorization", basic(user, password))
    };
    rows.add(kind, "none", move || call(me, "alice", &known.password));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || {
        Call::get(me).with("authorization", "Basic !!!")
    });
    rows.add(kind, "a wrong password", move || {
        call(me, "alice", "a tall lamp beside the river")
    });
    rows.add(kind, "an unknown account", move || {
        call(me, "nobody", &known.password)
    });
    for (defect, user, password) in &known.passwords {
        rows.add(kind, defect, move || call(me, user, password));
    }
    rows.add(kind, "without the scope", move || {
        call(write, "alice", &known.password)
    });
    rows.add(kind, "under another scheme", || {
        Call::bearer(me, &known.key)
    });
}

fn admin_keys<'a>(rows: &mut Rows<'a>, known: &'a Known, owner: &'a str) {
    let kind = CredentialKind::AdminKey;
    let call = |key: &str| Call::bearer("/v1/apis", key).for_admin();
    rows.add(kind, "none", move || call(&known.admin));
    rows.add(kind, "missing", || Call::get("/v1/apis").for_admin());
    rows.add(kind, "malformed", move || call("letmein"));
    rows.add(kind, "mistyped", move || call(&mistyped(&known.admin)));
    rows.add(kind, "unknown", move || {
        call(&unknown(&known.admin, SecretKind::AdminKey))
    });
    rows.add(kind, "forged, with another secret", move || {
        call(&forged(&known.admin, SecretKind::AdminKey))
    });
    for (defect, key) in &known.admins {
        rows.add(kind, defect, move || call(key));
    }
    rows.add(kind, "of a role that may not", || Call {
        method: "POST",
        path: "/v1/explain".to_owned(),
        body: br#"{"request":"GET / HTTP/1.1\n\n"}"#.to_vec(),
        ..Call::bearer("", &known.admin)
            .with("content-type", "application/json")
            .for_admin()
    });
    rows.add(kind, "at the door of an API", move || {
        Call::bearer("/api-key/me", owner)
    });
}
