//! Client certificates.

use proof::base64std;

use super::*;

pub(super) fn certificates<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Mtls;
    let (me, write) = ("/mtls/me", "/mtls/write");
    let good = world.showing(&world.partners.leaf(PARTNER, 1, 2090));
    let stranger = Authority::new().leaf(PARTNER, 1, 2090);
    let cases = [
        ("forged, by an authority of one's own", stranger),
        ("expired", world.partners.leaf(PARTNER, 3, 2002)),
        ("revoked", world.partners.leaf(PARTNER, 2, 2090)),
        (
            "of a name that the API does not know",
            world.partners.leaf("spiffe://example.org/other", 4, 2090),
        ),
        ("suspended", world.partners.leaf(ASLEEP, 8, 2090)),
        ("from another network", world.partners.leaf(FAR, 9, 2090)),
    ];
    let tls = Arc::clone(&good);
    rows.add(kind, "none", move || Call::get(me).shown(&tls));
    rows.add(kind, "missing", || Call::get(me));
    for (defect, certificate) in cases {
        let tls = world.showing(&certificate);
        rows.add(kind, defect, move || Call::get(me).shown(&tls));
    }
    let early = world.partners.leaf_but(PARTNER, 5, |params| {
        params.not_before = rcgen::date_time_ymd(2080, 1, 1);
    });
    let server = world.partners.leaf_but(PARTNER, 6, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let with_office = world.middle.leaf_and_own(PARTNER, 7);
    let cases = [
        ("not valid yet", me, early),
        ("for servers", me, server),
        (
            "by an office: none",
            "/mtls-deep/me",
            world.middle.leaf_and_own(PARTNER, 7),
        ),
        (
            "by an office: without the office's certificate",
            "/mtls-deep/me",
            world.middle.leaf(PARTNER, 7, 2090),
        ),
        (
            "by an office: revoked there",
            "/mtls-deep/me",
            world.middle.leaf_and_own(PARTNER, 2),
        ),
        ("by an office that no list is of", me, with_office),
        (
            "judged by an old list",
            "/mtls-old/me",
            world.partners.leaf(PARTNER, 1, 2090),
        ),
    ];
    for (defect, path, certificate) in cases {
        let tls = world.showing(&certificate);
        rows.add(kind, defect, move || Call::get(path).shown(&tls));
    }
    rows.add(kind, "without the scope", move || {
        Call::get(write).shown(&good)
    });
}

/// In the field of a listed proxy (RFC 9440).
pub(super) fn relayed<'a>(rows: &mut Rows<'a>, world: &'a World) {
    let kind = CredentialKind::Mtls;
    let me = "/mtls/me";
    let leaf = |by: &Authority, name: &str, serial| {
        let (der, _) = by.certified(name, serial, |_| ());
        format!(":{}:", base64std::encode(&der))
    };
    let partners = &world.partners;
    let good = leaf(partners, PARTNER, 1);
    let (expired, _) = partners.certified(PARTNER, 3, |params| {
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let office = format!(":{}:", base64std::encode(world.middle.0.der()));
    let deep = leaf(&world.middle, PARTNER, 7);
    let field = "client-cert";
    let cases = [
        ("none", me, vec![(field, good.clone())]),
        ("missing", me, vec![]),
        ("empty", me, vec![(field, String::new())]),
        ("malformed", me, vec![(field, "garbage".to_owned())]),
        (
            "no certificate within",
            me,
            vec![(field, ":AAAA:".to_owned())],
        ),
        (
            "twice",
            me,
            vec![(field, good.clone()), (field, good.clone())],
        ),
        (
            "forged, by an authority of one's own",
            me,
            vec![(field, leaf(&Authority::new(), PARTNER, 1))],
        ),
        (
            "expired",
            me,
            vec![(field, format!(":{}:", base64std::encode(&expired)))],
        ),
        ("revoked", me, vec![(field, leaf(partners, PARTNER, 2))]),
        (
            "of a name that the API does not know",
            me,
            vec![(field, leaf(partners, "spiffe://example.org/other", 4))],
        ),
        ("suspended", me, vec![(field, leaf(partners, ASLEEP, 8))]),
        (
            "none, from its network",
            me,
            vec![
                (field, leaf(partners, FAR, 9)),
                ("x-forwarded-for", "192.0.2.7".to_owned()),
            ],
        ),
        (
            "from another network",
            me,
            vec![
                (field, leaf(partners, FAR, 9)),
                ("x-forwarded-for", "203.0.113.7".to_owned()),
            ],
        ),
        (
            "by an office: none",
            "/mtls-deep/me",
            vec![(field, deep), ("client-cert-chain", office)],
        ),
        (
            "by an office: without the office's certificate",
            "/mtls-deep/me",
            vec![(field, leaf(&world.middle, PARTNER, 8))],
        ),
        (
            "in another proxy's field",
            me,
            vec![("x-ssl-client-cert", good.clone())],
        ),
        ("without the scope", "/mtls/write", vec![(field, good)]),
    ];
    for (defect, path, fields) in cases {
        rows.add(kind, defect, move || Call {
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            ..Call::get(path)
        });
    }
    // What the proxy itself shows never counts for a client behind it, whatever it says of that.
    let own = world.showing(&partners.leaf(PARTNER, 1, 2090));
    let tls = Arc::clone(&own);
    rows.add(
        kind,
        "the proxy's own, in a call that says nothing of a client",
        move || Call::get(me).shown(&tls),
    );
    rows.add(
        kind,
        "the proxy's own, in a call that it relays",
        move || {
            let call = Call::get(me).shown(&own);
            call.with("x-forwarded-for", "203.0.113.7")
        },
    );
}
