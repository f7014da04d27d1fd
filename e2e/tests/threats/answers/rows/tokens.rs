//! Access tokens: JWTs and opaque ones.

use proof::base64url;
use proof::digest::hmac_sha256;

use super::*;

pub(super) fn jwts<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let (me, write) = ("/jwt/me", "/jwt/write");
    let claims = || {
        but(
            &world.foreign.claims(&audience("jwt")),
            "scope",
            json!("read"),
        )
    };
    let sent = move |claims: &Value| Call::bearer(me, &world.foreign.sign(claims));
    let own = world.token("jwt");
    let (other, revoked) = (world.token("jwt-other"), world.revoked_token("jwt"));
    let token = own.clone();
    rows.add(kind, "none", move || Call::bearer(me, &token));
    rows.add(kind, "none, of a foreign issuer", move || sent(&claims()));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || {
        Call::bearer(me, "eyJhbGciOiJFUzI1NiJ9.e30")
    });
    let token = own.clone();
    rows.add(kind, "forged", move || Call::bearer(me, &mistyped(&token)));
    rows.add(kind, "forged, by a key of one's own", move || {
        Call::bearer(me, &world.stranger.sign(&claims()))
    });
    rows.add(kind, "of an issuer that is not trusted", move || {
        sent(&but(&claims(), "iss", json!("https://evil.example")))
    });
    rows.add(kind, "expired", move || {
        sent(&but(&claims(), "exp", json!(now() - 120)))
    });
    rows.add(kind, "not valid yet", move || {
        sent(&but(&claims(), "nbf", json!(now() + 300)))
    });
    rows.add(kind, "revoked", move || Call::bearer(me, &revoked));
    let asleep = &world.asleep["jwt"];
    rows.add(kind, "of a suspended client", move || {
        Call::bearer(me, asleep)
    });
    rows.add(kind, "of another API", move || Call::bearer(me, &other));
    rows.add(kind, "of another API, of a foreign issuer", move || {
        sent(&but(&claims(), "aud", json!(audience("jwt-other"))))
    });
    rows.add(kind, "an ID token", move || {
        let header = but(&world.foreign.header(), "typ", json!("JWT"));
        let claims = but(&claims(), "nonce", json!("n-0S6"));
        Call::bearer(me, &world.foreign.sign_with(&header, &claims))
    });
    let token = own;
    rows.add(kind, "without the scope", move || {
        Call::bearer(write, &token)
    });
    what_is_signed(rows, world);
}

/// Tokens that want to be read another way than their issuer signed them (RFC 8725 §3.1).
fn what_is_signed<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let me = "/jwt/me";
    let claims = || {
        let good = world.foreign.claims(&audience("jwt"));
        but(&good, "scope", json!("read"))
    };
    rows.add(kind, "alg: none", move || {
        let header = but(&world.foreign.header(), "alg", json!("none"));
        let signed = world.foreign.sign_with(&header, &claims());
        let end = signed.rfind('.').unwrap() + 1;
        Call::bearer(me, &signed[..end])
    });
    rows.add(kind, "alg: HS256, with the public key", move || {
        let header = but(&world.foreign.header(), "alg", json!("HS256"));
        let signed = world.foreign.sign_with(&header, &claims());
        let (input, _) = signed.rsplit_once('.').unwrap();
        let public = world.foreign.jwk().to_string();
        let tag = hmac_sha256(public.as_bytes(), input.as_bytes());
        Call::bearer(me, &format!("{input}.{}", base64url::encode(&tag)))
    });
    rows.add(kind, "crit", move || {
        let header = but(&world.foreign.header(), "crit", json!(["exp"]));
        Call::bearer(me, &world.foreign.sign_with(&header, &claims()))
    });
}

pub(super) fn opaque_tokens<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Opaque;
    let (me, write) = ("/opaque/me", "/opaque/write");
    let own = world.token("opaque");
    let broken = mistyped(&own);
    let (never, guessed) = (
        unknown(&own, SecretKind::OpaqueToken),
        forged(&own, SecretKind::OpaqueToken),
    );
    let cases = [
        ("none", own.clone()),
        ("malformed", "letmein".to_owned()),
        ("mistyped", broken),
        ("unknown", never),
        ("forged, with another secret", guessed),
        ("revoked", world.revoked_token("opaque")),
        ("of a suspended client", world.asleep["opaque"].clone()),
        ("of another API", world.token("opaque-other")),
        ("a JWT", world.token("jwt")),
    ];
    rows.add(kind, "missing", || Call::get(me));
    for (defect, token) in cases {
        rows.add(kind, defect, move || Call::bearer(me, &token));
    }
    rows.add(kind, "without the scope", move || Call::bearer(write, &own));
    foreign_opaque_tokens(rows, world);
}

/// Of an issuer that is asked about each (RFC 7662).
fn foreign_opaque_tokens<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Opaque;
    let (me, partner) = ("/opaque-foreign/me", &world.partner);
    let token = |api: &str| partner.token(&audience(api), "orders:read");
    let (good, other, revoked) = (token("orders"), token("stock"), token("orders"));
    let gone = partner.post("/oauth/revoke", &[("token", &revoked)], &[]);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let never = unknown(&good, SecretKind::OpaqueToken);
    let broken = mistyped(&good);
    let cases = [
        ("foreign: none", me, good.clone()),
        ("foreign: unknown to its issuer", me, never),
        ("foreign: mistyped", me, broken),
        ("foreign: revoked", me, revoked),
        ("foreign: of another API", me, other),
        ("foreign: of our own issuer", me, world.token("opaque")),
        (
            "foreign: its issuer is away",
            "/opaque-away/me",
            good.clone(),
        ),
        ("foreign: without the scope", "/opaque-foreign/write", good),
    ];
    for (defect, path, token) in cases {
        rows.add(kind, defect, move || Call::bearer(path, &token));
    }
}
