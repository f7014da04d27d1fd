//! JWTs that clients sign for each call.

use proof::digest::sha256;

use super::*;

pub(super) fn client_jwts<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::ClientJwt;
    let (me, write) = ("/client-jwt/me", "/client-jwt/write");
    let sent = |path: &'static str, key: &'a SigningKey, change: fn(&mut Draft<'static>)| {
        move || {
            let mut draft = own_call("export");
            change(&mut draft);
            Call::bearer(path, &draft.sign(key, key.kid()))
        }
    };
    let own = &world.export;
    rows.add(kind, "none", sent(me, own, |_| ()));
    rows.add(kind, "missing", || Call::get(me));
    rows.add(kind, "malformed", || {
        Call::bearer(me, "eyJhbGciOiJFUzI1NiJ9.e30")
    });
    rows.add(
        kind,
        "forged, by a key of one's own",
        sent(me, &world.stranger.key, |_| ()),
    );
    rows.add(
        kind,
        "of an unknown client",
        sent(me, own, |draft| draft.client = "nobody"),
    );
    rows.add(
        kind,
        "expired",
        sent(me, own, |draft| draft.issued_at = long_ago()),
    );
    rows.twice(kind, "replayed", sent(me, own, |_| ()));
    rows.add(
        kind,
        "for another API",
        sent(me, own, |draft| draft.audience = "https://jwt.example"),
    );
    rows.add(
        kind,
        "of a client that may not call the API",
        sent(me, own, |draft| draft.client = "elsewhere"),
    );
    rows.add(
        kind,
        "of a suspended client",
        sent(me, own, |draft| draft.client = "asleep"),
    );
    rows.add(
        kind,
        "from another network",
        sent(me, own, |draft| draft.client = "far"),
    );
    rows.add(
        kind,
        "for another method",
        sent(me, own, |draft| draft.method = Some("POST")),
    );
    rows.add(
        kind,
        "for another address",
        sent(me, own, |draft| {
            draft.uri = Some("https://localhost/client-jwt/write");
        }),
    );
    rows.add(
        kind,
        "not valid yet",
        sent(me, own, |draft| {
            draft.issued_at = moment().plus(Duration::from_secs(3600));
        }),
    );
    rows.add(
        kind,
        "for too long",
        sent(me, own, |draft| draft.lifetime = Duration::from_secs(7200)),
    );
    rows.add(kind, "by a key of another name", || {
        Call::bearer(me, &own_call("export").sign(own, "letmein"))
    });
    let posted = |body: &'static [u8]| {
        move || {
            let mut draft = own_call("export");
            draft.body_sha256 = Some(sha256(b"one"));
            Call {
                method: "POST",
                body: body.to_vec(),
                ..Call::bearer("/client-jwt/body", &draft.sign(own, own.kid()))
            }
        }
    };
    rows.add(kind, "none, with a body", posted(b"one"));
    rows.add(kind, "with another body", posted(b"two"));
    rows.add(kind, "with no body", posted(b""));
    rows.add(kind, "without the scope", sent(write, own, |_| ()));
    certified_calls(rows, world);
}

/// What a good JWT of a client says of a call.
fn own_call(client: &'static str) -> Draft<'static> {
    // For as long as the test lives.
    let (jti, audience): (&str, &str) = (
        random_base62(24, &SystemEntropy).leak(),
        audience("client-jwt").leak(),
    );
    Draft {
        client,
        audience,
        jti,
        issued_at: moment(),
        lifetime: Duration::from_secs(60),
        scope: None,
        method: None,
        uri: None,
        body_sha256: None,
    }
}

/// Of a client whose keys are certified.
fn certified_calls<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::ClientJwt;
    let me = "/client-jwt/me";
    let leaf = |name: &str, serial, until| Arc::new(world.partners.leaf(name, serial, until));
    let good = leaf(PARTNER, 1, 2090);
    let sent = |by: &Arc<ClientCertificate>, client: &'static str| {
        let by = Arc::clone(by);
        move || Call::bearer(me, &by.sign_call(&own_call(client)))
    };
    rows.add(kind, "none, certified", sent(&good, "certified"));
    rows.twice(kind, "certified, replayed", sent(&good, "certified"));
    let stranger = Arc::new(Authority::new().leaf(PARTNER, 1, 2090));
    let other = leaf("spiffe://example.org/other", 4, 2090);
    for (defect, by) in [
        ("certified by an authority of one's own", stranger),
        ("certified, and expired", leaf(PARTNER, 3, 2002)),
        ("certified, and revoked", leaf(PARTNER, 2, 2090)),
        ("certified, with another name", other),
    ] {
        rows.add(kind, defect, sent(&by, "certified"));
    }
    rows.add(
        kind,
        "certified, of a client that registered its keys",
        sent(&good, "export"),
    );
    rows.add(kind, "registered, of a client that is certified", || {
        let key = &world.export;
        Call::bearer(me, &own_call("certified").sign(key, key.kid()))
    });
    rows.add(kind, "certified, and forged", move || {
        Call::bearer(me, &mistyped(&good.sign_call(&own_call("certified"))))
    });
}
