//! Client certificates.

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
