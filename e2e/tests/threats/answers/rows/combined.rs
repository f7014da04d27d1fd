//! Routes that ask for two credentials at once, or for one of two.

use super::*;

/// A token and a certificate.
pub(super) fn with_a_certificate<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let me = "/jwt-mtls/me";
    let token = world.token("jwt-mtls");
    let good = world.showing(&world.partners.leaf(PARTNER, 1, 2090));
    let revoked = world.showing(&world.partners.leaf(PARTNER, 2, 2090));
    let bad = mistyped(&token);
    let cases = [
        ("and mtls: none", Some(&token), Some(&good)),
        ("and mtls: neither", None, None),
        ("and mtls: no certificate", Some(&token), None),
        ("and mtls: no token", None, Some(&good)),
        ("and mtls: a forged token", Some(&bad), Some(&good)),
        (
            "and mtls: a revoked certificate",
            Some(&token),
            Some(&revoked),
        ),
        ("and mtls: both bad", Some(&bad), Some(&revoked)),
    ];
    // Where the one or the other does, an error is told of what was tried alone (RFC 6750 §3).
    let either = [
        ("or mtls: none, a certificate", None, Some(&good)),
        ("or mtls: neither", None, None),
        ("or mtls: a revoked certificate", None, Some(&revoked)),
        ("or mtls: a forged token", Some(&bad), None),
        ("or mtls: both bad", Some(&bad), Some(&revoked)),
    ];
    let cases = cases.map(|case| (me, case)).into_iter();
    for (me, (defect, token, tls)) in cases.chain(either.map(|case| ("/jwt-or-mtls/me", case))) {
        let call = token.map_or_else(|| Call::get(me), |token| Call::bearer(me, token));
        let call = tls.map_or(call.clone(), |tls| call.shown(tls));
        rows.add(kind, defect, move || call.clone());
    }
}

/// An API key and a signature.
pub(super) fn with_a_key<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Hmac;
    let me = "/key-hmac/me";
    let good = &known.signers(Scheme::Hmac).good;
    let mut other = good.clone();
    other.secret = unknown("doorward_", SecretKind::HmacSecret);
    let bad_key = unknown(&known.key, SecretKind::SecretKey);
    let key = known.key.clone();
    let call = |signer: Option<&Signatory>, key: Option<&String>| {
        let (signer, key) = (signer.cloned(), key.cloned());
        move || {
            let mut call = Call::get(me);
            if let Some(signer) = &signer {
                let target = Target {
                    method: "GET",
                    scheme: "https",
                    authority: "localhost",
                    path: me,
                };
                call.fields = signer.fields(&target, moment());
            }
            match &key {
                Some(key) => call.with("x-api-key", key),
                None => call,
            }
        }
    };
    for (defect, signer, key) in [
        ("and api_key: none", Some(good), Some(&key)),
        ("and api_key: neither", None, None),
        ("and api_key: no key", Some(good), None),
        ("and api_key: no signature", None, Some(&key)),
        ("and api_key: an unknown key", Some(good), Some(&bad_key)),
        ("and api_key: a forged signature", Some(&other), Some(&key)),
        ("and api_key: both bad", Some(&other), Some(&bad_key)),
    ] {
        rows.add(kind, defect, call(signer, key));
    }
    rows.twice(kind, "and api_key: replayed", call(Some(good), Some(&key)));
}
