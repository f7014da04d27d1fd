//! Tokens that are bound to a key (RFC 9449) or to a certificate (RFC 8705), and routes that take
//! no others.

use super::*;

const HERE: &str = "/jwt";

/// What is done to the claims of a good proof.
type Change = fn(&mut Value);

/// A foreign issuer's token, bound to something.
fn bound_to(world: &World, confirmation: &Value) -> String {
    let claims = but(
        &world.foreign.claims(&audience("jwt")),
        "scope",
        json!("read"),
    );
    world
        .foreign
        .sign(&but(&claims, "cnf", confirmation.clone()))
}

pub(super) fn proved<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let me = "/jwt/me";
    let key = Arc::new(ProofKey::new(Algorithm::ES256));
    let bound: Arc<str> = bound_to(world, &json!({ "jkt": key.thumbprint() })).into();
    let proved = |by: &Arc<ProofKey>, path: &'static str, change: Change| {
        let (key, bound) = (Arc::clone(by), Arc::clone(&bound));
        move || {
            let address = format!("https://localhost{HERE}{path}");
            let mut claims = key.claims("GET", &address, Some(&bound));
            change(&mut claims);
            Call::get(&format!("{HERE}{path}"))
                .with("authorization", format!("DPoP {bound}"))
                .with("dpop", key.sign(&key.header(), &claims))
        }
    };
    rows.add(kind, "bound: none", proved(&key, "/me", |_| ()));
    rows.twice(
        kind,
        "bound: its proof replayed",
        proved(&key, "/me", |_| ()),
    );
    let thief = Arc::new(ProofKey::new(Algorithm::ES256));
    rows.add(
        kind,
        "bound: proved by another key",
        proved(&thief, "/me", |_| ()),
    );
    let cases: [(&str, Change); 5] = [
        ("bound: proved an hour ago", |claims| {
            claims["iat"] = json!(now() - 3600);
        }),
        ("bound: proved in an hour", |claims| {
            claims["iat"] = json!(now() + 3600);
        }),
        ("bound: a proof of another method", |claims| {
            claims["htm"] = json!("POST");
        }),
        ("bound: a proof of another address", |claims| {
            claims["htu"] = json!("https://localhost/jwt/write");
        }),
        ("bound: a proof beside another token", |claims| {
            claims["ath"] = json!("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
        }),
    ];
    for (defect, change) in cases {
        rows.add(kind, defect, proved(&key, "/me", change));
    }
    let token = Arc::clone(&bound);
    rows.add(kind, "bound: as a bearer token", move || {
        Call::bearer(me, &token)
    });
    let token = Arc::clone(&bound);
    rows.add(kind, "bound: without a proof", move || {
        Call::get(me).with("authorization", format!("DPoP {token}"))
    });

    rows.add(
        kind,
        "bound, where it must be: none",
        proved(&key, "/bound", |_| ()),
    );
    let free = world.token("jwt");
    rows.add(kind, "unbound, where it must be", move || {
        Call::bearer("/jwt/bound", &free)
    });

    // The first answer has the nonce for the next proof (RFC 9449 §9).
    let asked = proved(&key, "/fresh", |_| ());
    let (by, token) = (Arc::clone(&key), Arc::clone(&bound));
    rows.add(kind, "bound, with a nonce: none", move || {
        let told = world.by_http1(&asked());
        let mut claims = by.claims("GET", "https://localhost/jwt/fresh", Some(&token));
        claims["nonce"] = json!(told.header("dpop-nonce").unwrap());
        Call::get("/jwt/fresh")
            .with("authorization", format!("DPoP {token}"))
            .with("dpop", by.sign(&by.header(), &claims))
    });
    rows.add(
        kind,
        "bound, with a nonce: without one",
        proved(&key, "/fresh", |_| ()),
    );
    rows.add(
        kind,
        "bound, with a nonce: one that was never given",
        proved(&key, "/fresh", |claims| claims["nonce"] = json!("letmein")),
    );
}

pub(super) fn certified<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let me = "/jwt/me";
    let mine = ClientCertificate::self_signed("mine.example").unwrap();
    let bound = bound_to(world, &json!({ "x5t#S256": mine.thumbprint() }));
    let (mine, other) = (
        world.showing(&mine),
        world.showing(&ClientCertificate::self_signed("other.example").unwrap()),
    );
    let token = bound.clone();
    let tls = Arc::clone(&mine);
    rows.add(kind, "bound to a certificate: none", move || {
        Call::bearer(me, &token).shown(&tls)
    });
    let token = bound.clone();
    rows.add(kind, "bound to a certificate: with another", move || {
        Call::bearer(me, &token).shown(&other)
    });
    let token = bound;
    rows.add(kind, "bound to a certificate: without one", move || {
        Call::bearer(me, &token)
    });
    let free = world.token("jwt");
    rows.add(
        kind,
        "unbound, with a certificate, where it must be",
        move || Call::bearer("/jwt/bound", &free).shown(&mine),
    );
}
