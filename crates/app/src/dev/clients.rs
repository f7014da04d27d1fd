//! **Clients' certificates of `dev`**: an authority of its own, and one certificate for each step
//! of the tour: a good one, an expired one, a revoked one, a stranger's, and one of another name.

use std::path::Path;

use anyhow::Result;
use proof::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};

use super::setup::write_private;

const DAY: i64 = 86_400;
/// What the certificates name, after this: an identity that the `orders` API knows.
const NAMES: &str = "spiffe://dev.example/";

/// Makes all of it below `dir`.
pub(super) fn make(dir: &Path, now: Timestamp) -> Result<()> {
    let at = |days: i64| {
        // Months are no matter here: the crate reads seconds by way of a system time.
        let secs = u64::try_from(now.as_secs() + days * DAY).unwrap_or_default();
        (std::time::UNIX_EPOCH + core::time::Duration::from_secs(secs)).into()
    };
    let authority = |name: &str| -> Result<CertifiedIssuer<'static, KeyPair>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
    };
    let (ours, other) = (
        authority("Doorward dev clients")?,
        authority("Somebody else")?,
    );
    for (file, name, authority, serial, days) in [
        ("billing", "billing", &ours, 1_u64, (-1, 3650)),
        ("billing-expired", "billing", &ours, 2, (-30, -1)),
        ("billing-revoked", "billing", &ours, 3, (-1, 3650)),
        ("billing-stranger", "billing", &other, 1, (-1, 3650)),
        ("shipping", "shipping", &ours, 4, (-1, 3650)),
    ] {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::URI(format!("{NAMES}{name}").try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) = (at(days.0), at(days.1));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, authority)?;
        write_private(
            &dir.join(format!("{file}.pem")),
            certificate.pem().as_bytes(),
        )?;
        write_private(
            &dir.join(format!("{file}.key")),
            key.serialize_pem().as_bytes(),
        )?;
    }
    let list = CertificateRevocationListParams {
        this_update: at(-1),
        next_update: at(3650),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(3_u64),
            revocation_time: at(-1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(&ours)?;
    write_private(&dir.join("clients.crl"), list.pem()?.as_bytes())?;
    write_private(&dir.join("clients-ca.pem"), ours.pem().as_bytes())
}
