//! PASETOs: of either purpose, and of our own issuer.

use super::*;

pub(super) fn pasetos<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Paseto;
    let (me, write) = ("/paseto/me", "/paseto/write");
    let sent = |path: &'static str, key: &'a IssuingKey, change: fn(&mut Claims)| {
        let issuer = match key {
            IssuingKey::Public { .. } => "https://pasetos.example",
            IssuingKey::Local { .. } => "https://local.example",
        };
        move || {
            let mut claims = Claims {
                iss: Some(issuer.to_owned()),
                sub: Some("user-1".to_owned()),
                aud: vec![audience("paseto")],
                iat: Some(moment()),
                exp: Some(moment().plus(Duration::from_secs(300))),
                jti: Some(random_base62(16, &SystemEntropy)),
                client_id: Some("app-1".to_owned()),
                scope: Some("read".to_owned()),
                ..Claims::default()
            };
            change(&mut claims);
            Call::bearer(path, &paseto::issue(key, &claims, b"").unwrap())
        }
    };
    let own = &world.pasetos;
    rows.add(kind, "none", sent(me, own, |_| ()));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || Call::bearer(me, "v4.public.AAAA"));
    rows.add(
        kind,
        "forged, by a key of one's own",
        sent(me, &world.strange_pasetos, |_| ()),
    );
    let good = sent(me, own, |_| ());
    rows.add(kind, "forged", move || forged_in_the_middle(good()));
    rows.add(
        kind,
        "of an issuer that is not trusted",
        sent(me, own, |claims| {
            claims.iss = Some("https://evil.example".to_owned())
        }),
    );
    rows.add(
        kind,
        "expired",
        sent(me, own, |claims| {
            claims.iat = Some(long_ago());
            claims.exp = Some(moment().minus(Duration::from_secs(120)));
        }),
    );
    rows.add(
        kind,
        "not valid yet",
        sent(me, own, |claims| {
            claims.nbf = Some(moment().plus(Duration::from_secs(300)));
        }),
    );
    rows.add(
        kind,
        "for another API",
        sent(me, own, |claims| claims.aud = vec![audience("jwt")]),
    );
    rows.add(kind, "without the scope", sent(write, own, |_| ()));

    let local = &world.local;
    rows.add(kind, "none, local", sent(me, local, |_| ()));
    rows.add(
        kind,
        "local, by a key of one's own",
        sent(me, &world.strange_local, |_| ()),
    );
    let good = sent(me, local, |_| ());
    rows.add(kind, "local, and forged", move || {
        forged_in_the_middle(good())
    });
    rows.add(
        kind,
        "local, of the issuer of other keys",
        sent(me, local, |claims| {
            claims.iss = Some("https://pasetos.example".to_owned())
        }),
    );
    let ours = "/paseto-own/me";
    let (token, revoked) = (world.token("paseto-own"), world.revoked_token("paseto-own"));
    rows.add(kind, "none, of our own issuer", move || {
        Call::bearer(ours, &token)
    });
    rows.add(kind, "revoked", move || Call::bearer(ours, &revoked));
    let asleep = &world.asleep["paseto-own"];
    rows.add(kind, "of a suspended client", move || {
        Call::bearer(ours, asleep)
    });
    let kept = "/paseto-kept/me";
    let [token, strange, revoked] = [
        world.token("paseto-kept"),
        world.token("paseto-kept"),
        world.revoked_token("paseto-kept"),
    ];
    rows.add(kind, "none, local, of our own issuer", move || {
        Call::bearer(kept, &token)
    });
    rows.add(kind, "local, of our own issuer, and forged", move || {
        forged_in_the_middle(Call::bearer(kept, &strange))
    });
    rows.add(kind, "revoked, local", move || Call::bearer(kept, &revoked));
    let (elsewhere, local) = (world.token("paseto-kept"), &world.local);
    rows.add(
        kind,
        "local, of our own issuer, at an API of others",
        move || Call::bearer(me, &elsewhere),
    );
    // Who makes tokens for another API has a key of a purpose, and not of our issuer.
    rows.add(
        kind,
        "local, of another issuer, where only ours is trusted",
        sent(kept, local, |_| ()),
    );
}

/// Another letter in the middle of the token.
fn forged_in_the_middle(mut call: Call) -> Call {
    let token = call.fields[0].1.clone();
    let middle = token.len() / 2;
    let other = if token.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    call.fields[0].1 = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
    call
}
