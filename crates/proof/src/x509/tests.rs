use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};

use super::*;
use crate::jose::{alg::Algorithm, key::SigningKey};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000); // January 2027

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Orders, Inc.");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

fn root(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn roots(of: &CertifiedIssuer<'static, KeyPair>) -> TrustRoots {
    TrustRoots::from_der(&[of.der()]).unwrap()
}

fn leaf(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Certificate {
    let mut params = params("billing");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let der = params.signed_by(&key, issuer).unwrap();
    Certificate::parse(der.der()).unwrap()
}

const NONE: &[&[u8]] = &[];

#[test]
fn a_certificate_says_its_names_key_and_time() {
    let mut params = params("billing");
    params.subject_alt_names = vec![
        SanType::DnsName("billing.example".try_into().unwrap()),
        SanType::URI("spiffe://example/billing".try_into().unwrap()),
        SanType::Rfc822Name("billing@example.com".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
    ];
    let key = KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap();
    let certificate = Certificate::parse(der.der()).unwrap();

    assert_eq!(certificate.subject_dn(), r"CN=billing,O=Orders\, Inc.");
    assert!(dn_matches(
        certificate.subject_dn(),
        r"cn=billing, o=Orders\2C Inc."
    ));
    assert_eq!(certificate.dns_names(), ["billing.example"]);
    assert_eq!(certificate.uris(), ["spiffe://example/billing"]);
    assert_eq!(certificate.emails(), ["billing@example.com"]);
    let addresses: Vec<String> = certificate
        .ip_addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["192.0.2.7", "2001:db8::7"]);
    assert_eq!(
        certificate.thumbprint(),
        base64url::encode(&sha256(der.der()))
    );

    let own = SigningKey::from_pkcs8(
        Algorithm::ES256,
        &crate::secret::Secret::new(key.serialize_der()),
    )
    .unwrap();
    assert!(certificate.public_key_matches(&own.public_jwk()));
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    assert!(!certificate.public_key_matches(&other.public_jwk()));

    assert!(certificate.valid_at(NOW));
    assert!(!certificate.valid_at(Timestamp::from_secs(1_700_000_000)));
    assert!(!certificate.valid_at(certificate.not_after().plus(Duration::from_secs(1))));
    assert!(certificate.valid_at(certificate.not_after()));
}

#[test]
fn the_published_certificate_has_the_published_thumbprint() {
    // RFC 8705 appendix A, whose key and thumbprint belong to this certificate.
    let pem = concat!(
        "-----BEGIN CERTIFICATE-----\n",
        "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx\n",
        "ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG\n",
        "SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ\n",
        "/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID\n",
        "SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV\n",
        "bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=\n",
        "-----END CERTIFICATE-----\n"
    );
    let der = CertificateDer::pem_slice_iter(pem.as_bytes())
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(
        thumbprint(&der),
        "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
    );
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.subject_dn(), "CN=mtls");
    let jwk = Jwk::parse_public(
        br#"{"kty":"EC","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q",
             "y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8","crv":"P-256"}"#,
    )
    .unwrap();
    assert!(certificate.public_key_matches(&jwk));
}

#[test]
fn h05_only_a_path_to_a_trusted_root_makes_a_name_true() {
    let ours = root("ours");
    let good = leaf(&ours, |_| {});
    let trusted = good.verify_chain(NONE, &roots(&ours), None, NOW).unwrap();
    assert_eq!(trusted.certificate().thumbprint(), good.thumbprint());

    // Another root, even one of the same name.
    for other in [root("theirs"), root("ours")] {
        assert!(matches!(
            good.verify_chain(NONE, &roots(&other), None, NOW),
            Err(X509Defect::UnknownIssuer | X509Defect::Chain)
        ));
    }
    let own = params("billing");
    let key = KeyPair::generate().unwrap();
    let alone = Certificate::parse(own.self_signed(&key).unwrap().der()).unwrap();
    assert_eq!(
        alone.verify_chain(NONE, &roots(&ours), None, NOW).err(),
        Some(X509Defect::UnknownIssuer)
    );
    assert_eq!(
        good.verify_chain(NONE, &TrustRoots::from_der(NONE).unwrap(), None, NOW)
            .err(),
        Some(X509Defect::UnknownIssuer)
    );
}

#[test]
fn h05_time_and_purpose_of_a_certificate_count() {
    let ours = root("ours");
    let good = leaf(&ours, |_| {});
    for secs in [1_700_000_000, 1_900_000_000] {
        assert_eq!(
            good.verify_chain(NONE, &roots(&ours), None, Timestamp::from_secs(secs))
                .err(),
            Some(X509Defect::Time),
            "{secs}"
        );
    }
    let server = leaf(&ours, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(
        server.verify_chain(NONE, &roots(&ours), None, NOW).err(),
        Some(X509Defect::KeyUsage)
    );
    let silent = leaf(&ours, |params| params.extended_key_usages.clear());
    assert!(silent.verify_chain(NONE, &roots(&ours), None, NOW).is_ok());
}

#[test]
fn a_chain_needs_its_intermediates_and_few_of_them() {
    let ours = root("ours");
    let mut between = params("between");
    between.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let between = CertifiedIssuer::signed_by(between, KeyPair::generate().unwrap(), &ours).unwrap();
    let good = leaf(&between, |_| {});
    assert!(
        good.verify_chain(&[between.der()], &roots(&ours), None, NOW)
            .is_ok()
    );
    assert_eq!(
        good.verify_chain(NONE, &roots(&ours), None, NOW).err(),
        Some(X509Defect::UnknownIssuer)
    );
    let many = vec![between.der().to_vec(); MAX_INTERMEDIATES + 1];
    assert_eq!(
        good.verify_chain(&many, &roots(&ours), None, NOW).err(),
        Some(X509Defect::TooManyIntermediates)
    );
    // A client's certificate issues nothing.
    let key = KeyPair::generate().unwrap();
    let client = CertifiedIssuer::signed_by(params("client"), key, &ours).unwrap();
    let forged = leaf(&client, |_| {});
    assert!(
        forged
            .verify_chain(&[client.der()], &roots(&ours), None, NOW)
            .is_err()
    );
}

#[test]
fn what_is_not_one_certificate_is_refused() {
    let ours = root("ours");
    let der = leaf(&ours, |_| {}).der().to_vec();
    assert!(Certificate::parse(&der).is_ok());
    assert_eq!(
        Certificate::parse(&[&der[..], b"\0"].concat()),
        Err(X509Defect::NotDer)
    );
    assert_eq!(
        Certificate::parse(&der[..der.len() - 1]),
        Err(X509Defect::NotDer)
    );
    assert_eq!(Certificate::parse(b""), Err(X509Defect::NotDer));
    assert_eq!(
        Certificate::parse(&vec![0x30; MAX_CERTIFICATE_BYTES + 1]),
        Err(X509Defect::TooLong)
    );
    assert_eq!(TrustRoots::from_pem(b"").err(), Some(X509Defect::NotPem));
    assert!(TrustRoots::from_pem(ours.pem().as_bytes()).is_ok());
}

#[test]
fn a_name_that_could_split_a_line_refuses_the_certificate() {
    let ours = root("ours");
    let key = KeyPair::generate().unwrap();
    let mut own = params("billing");
    own.subject_alt_names = vec![SanType::URI("spiffe://a/\0b".try_into().unwrap())];
    let der = own.signed_by(&key, &ours).unwrap();
    assert_eq!(
        Certificate::parse(der.der()),
        Err(X509Defect::AlternativeNames)
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        proptest::prop_assert!(Certificate::parse(&bytes).is_err());
        let _ = TrustRoots::from_pem(&bytes);
    }
}

#[test]
fn a_key_may_sign_unless_its_certificate_says_for_what_else_it_is() {
    use rcgen::KeyUsagePurpose::{DigitalSignature, KeyAgreement, KeyEncipherment};
    let root = root("CA");
    for (usages, expected) in [
        (vec![], true),
        (vec![DigitalSignature], true),
        (vec![KeyEncipherment, DigitalSignature], true),
        (vec![KeyEncipherment], false),
        (vec![KeyAgreement], false),
    ] {
        let own = leaf(&root, |params| params.key_usages.clone_from(&usages));
        assert_eq!(own.may_sign(), expected, "{usages:?}");
        // The path alone does not ask.
        assert!(own.verify_chain(NONE, &roots(&root), None, NOW).is_ok());
    }
    // Twice, or in letters that mean nothing, it allows nothing.
    let value = |bytes: &[u8]| {
        let mut usage = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 15], bytes.to_vec());
        usage.set_criticality(true);
        usage
    };
    for extensions in [
        vec![value(&[3, 2, 7, 128]), value(&[3, 2, 7, 128])],
        vec![value(&[4, 1, 128])],
    ] {
        let own = leaf(&root, |params| params.custom_extensions = extensions);
        assert!(!own.may_sign());
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn below(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
) -> CertifiedIssuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::signed_by(authority(name), key, issuer).unwrap()
}

/// Threat E3: names alone lead the search for a path, so whoever connects must not choose how long
/// it takes.
#[test]
fn e03_intermediates_of_one_name_lead_nowhere() {
    let top = root("root");
    let trusted = roots(&top);
    // One authority, certified twice: by the root, and by another that nobody trusts here.
    let stranger = root("stranger");
    let key = KeyPair::generate().unwrap();
    let twice = |issuer: &CertifiedIssuer<'static, KeyPair>| {
        let key = KeyPair::from_pem(&key.serialize_pem()).unwrap();
        CertifiedIssuer::signed_by(authority("middle"), key, issuer).unwrap()
    };
    let (own, other) = (twice(&top), twice(&stranger));
    let client = leaf(&own, |_| {});
    for order in [[other.der(), own.der()], [own.der(), other.der()]] {
        client.verify_chain(&order, &trusted, None, NOW).unwrap();
    }
    // What is no certificate is left out; it leads nowhere.
    let with_junk: [&[u8]; 2] = [b"junk", own.der()];
    client
        .verify_chain(&with_junk, &trusted, None, NOW)
        .unwrap();

    // Three of one name, and two names with two each, are more than anybody needs.
    let third = twice(&below(&top, "third"));
    let three = [own.der(), other.der(), third.der()];
    let found = client
        .verify_chain(&three, &trusted, None, NOW)
        .unwrap_err();
    assert_eq!(found, X509Defect::Namesakes);
    let (one, two) = (below(&top, "side"), below(&stranger, "side"));
    let pairs = [own.der(), other.der(), one.der(), two.der()];
    let found = client
        .verify_chain(&pairs, &trusted, None, NOW)
        .unwrap_err();
    assert_eq!(found, X509Defect::Namesakes);
}

fn list(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    this_update: (i32, u8),
    number: u64,
    revoked: &[u64],
) -> Vec<u8> {
    let list = rcgen::CertificateRevocationListParams {
        this_update: date_time_ymd(this_update.0, this_update.1, 1),
        next_update: date_time_ymd(2027, 12, 1),
        crl_number: rcgen::SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|serial| rcgen::RevokedCertParams {
                serial_number: rcgen::SerialNumber::from(*serial),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().der().to_vec()
}

/// Threat C6: a list that was left behind does not hide a newer one.
#[test]
fn c06_of_several_lists_the_newest_counts_in_any_order() {
    let mut signs = params("root");
    signs.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    signs.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    let top = CertifiedIssuer::self_signed(signs, KeyPair::generate().unwrap()).unwrap();
    let trusted = roots(&top);
    let client = leaf(&top, |params| params.serial_number = Some(7u64.into()));
    let (old, new) = (
        list(&top, (2026, 1), 9, &[]),
        list(&top, (2026, 2), 2, &[7]),
    );
    // Made within one second: the number tells.
    let (first, second) = (
        list(&top, (2026, 2), 255, &[]),
        list(&top, (2026, 2), 256, &[7]),
    );
    for (files, revoked) in [
        ([&old, &new], true),
        ([&new, &old], true),
        ([&first, &second], true),
        ([&second, &first], true),
        ([&old, &first], false),
    ] {
        let lists = RevocationLists::from_files(&files).unwrap();
        let found = client.verify_chain(NONE, &trusted, Some(&lists), NOW);
        assert_eq!(found.is_err(), revoked);
        if let Err(defect) = found {
            assert_eq!(defect, X509Defect::Revoked);
        }
    }
    assert_eq!(is_rolled_back(&old, &new), Ok(false));
    assert_eq!(is_rolled_back(&new, &new), Ok(false));
    assert_eq!(is_rolled_back(&new, &old), Ok(true));
    assert_eq!(is_rolled_back(&second, &first), Ok(true));
    assert_eq!(is_rolled_back(&old, b"no list"), Err(X509Defect::NotCrl));
}
