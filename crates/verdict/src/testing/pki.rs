//! Authorities and certificates of clients, made as the tests need them.

use std::sync::Arc;

use bytes::Bytes;
use proof::x509::{RevocationLists, TrustRoots};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};

use crate::call::{PeerCertificate, TlsFacts};
use crate::credential::mtls::{Asked, Authority};

/// Who vouches.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

fn issuing(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(issuing("partners"), key).unwrap())
    }

    /// A certificate authority below this one.
    pub(crate) fn between(&self) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(issuing("between"), key, &self.0).unwrap())
    }

    /// The same with this number.
    pub(crate) fn between_numbered(&self, serial: u64) -> Self {
        let mut params = issuing("between");
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    pub(crate) fn der(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.der())
    }

    /// A certificate of this authority for a key of a client `billing`, DER.
    pub(crate) fn certify(
        &self,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let mut params = params("billing");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(
            "spiffe://example.org/billing".try_into().unwrap(),
        )];
        change(&mut params);
        params.signed_by(key, &self.0).unwrap().der().to_vec()
    }

    /// The session of a client `billing` with a certificate of this authority.
    pub(crate) fn session(&self, change: impl FnOnce(&mut CertificateParams)) -> TlsFacts {
        let key = KeyPair::generate().unwrap();
        let certificate = self.certify(&key, change);
        TlsFacts {
            server_name: None,
            peer_certificate: Some(PeerCertificate::new(certificate.into())),
            peer_intermediates: Vec::new(),
        }
    }

    /// A list of this authority on which these serial numbers stand; `next_update` is a year.
    pub(crate) fn list(&self, revoked: &[u64], next_update: i32) -> Vec<u8> {
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 6, 1),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 6, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.0)
        .unwrap()
        .der()
        .to_vec()
    }

    /// The authority as the facts have it, with these lists or with none.
    pub(crate) fn authority(&self, version: u64, lists: Option<&[Vec<u8>]>) -> Arc<Authority> {
        Arc::new(Authority {
            version,
            roots: TrustRoots::from_der(&[self.0.der()]).unwrap(),
            revocation: lists.map(|lists| RevocationLists::from_files(lists).unwrap()),
            responder: Asked::Nothing,
        })
    }

    /// The same, with a responder that is asked about so much.
    pub(crate) fn answering(&self, version: u64, responder: Asked) -> Arc<Authority> {
        Arc::new(Authority {
            version,
            roots: TrustRoots::from_der(&[self.0.der()]).unwrap(),
            revocation: None,
            responder,
        })
    }
}
