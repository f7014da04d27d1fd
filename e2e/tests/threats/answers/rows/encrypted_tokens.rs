//! JWTs that come encrypted to an API (RFC 7516).

use proof::jose::jwe::ContentEncryption;

use super::*;

pub(super) fn encrypted_tokens<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Jwt;
    let me = "/sealed/me";
    let signed = move |by: &ForeignIssuer| {
        let claims = by.claims(&audience("sealed"));
        by.sign(&but(&claims, "scope", json!("read")))
    };
    let sealed = |key: &DecryptionKey, jwt: &str| {
        let cipher = ContentEncryption::A256Gcm;
        key.public().encrypt(jwt, "at+jwt", cipher).unwrap()
    };
    let strange = SigningKey::generate(Algorithm::ES256).unwrap();
    let strange = DecryptionKey::from_pkcs8(&strange.to_pkcs8().unwrap()).unwrap();
    let good = sealed(&world.encryption, &signed(&world.foreign));
    let parts: Vec<&str> = good.split('.').collect();
    let part_changed = |at: usize| {
        let mut parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
        // The first letter of a part has no bits that could be left over.
        let other = if parts[at].starts_with('A') { "B" } else { "A" };
        parts[at].replace_range(..1, other);
        parts.join(".")
    };
    let cases = [
        ("encrypted: none", world.token("sealed")),
        ("encrypted: none, of a foreign issuer", good.clone()),
        ("encrypted: only signed", signed(&world.foreign)),
        ("encrypted: changed", part_changed(3)),
        ("encrypted: with another tag", part_changed(4)),
        (
            "encrypted: to another key",
            sealed(&strange, &signed(&world.foreign)),
        ),
        (
            "encrypted: what another issuer signed",
            sealed(&world.encryption, &signed(&world.stranger)),
        ),
        (
            "encrypted: for another API",
            sealed(
                &world.encryption,
                &world.foreign.sign(&world.foreign.claims(&audience("jwt"))),
            ),
        ),
        ("encrypted: revoked", world.revoked_token("sealed")),
    ];
    for (defect, token) in cases {
        rows.add(kind, defect, move || Call::bearer(me, &token));
    }
    rows.add(kind, "encrypted: where no API asked for it", move || {
        Call::bearer("/jwt/me", &good)
    });
}
