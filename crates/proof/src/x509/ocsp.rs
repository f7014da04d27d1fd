//! OCSP (RFC 6960), as its profile for many clients has it (RFC 5019): the question whether one
//! certificate is revoked, and what a responder answers.
//!
//! An answer is a signed statement with times of its own, so it needs no protected way and may be
//! kept. It counts if it is about the very certificate, signed by the key that issued that, or by a
//! certificate which that key made for signing such answers, and within its times. A question
//! carries no nonce: responders answer with what they signed ahead (RFC 5019 §4). Revocation of a
//! responder's own certificate is not asked about. Nothing here is taken from the certificate that
//! is asked about but its issuer and its number: who is asked, the operator says.

use std::time::Duration;

use aws_lc_rs::digest;
use rustls_pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, VerifiedPath};

use crate::calendar;
use crate::digest::sha256;
use crate::jose::der::{
    BIT_STRING, INTEGER, NotDer, OBJECT_IDENTIFIER, SEQUENCE, only, subject_public_key_info, take,
};
use crate::time::Timestamp;

/// Longest answer that is read, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 0xffff;
/// Most certificates of responders that are looked at in one answer.
pub const MAX_RESPONDERS: usize = 4;
/// How far `thisUpdate` may lie ahead: what a responder's clock may be fast.
pub const LEEWAY: Duration = Duration::from_secs(60);
/// How long an answer counts that names no end, from its `thisUpdate` on. By RFC 6960 §4.2.2.1 there
/// is a newer one at any time then.
pub const WITHOUT_END: Duration = Duration::from_secs(600);

const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const ENUMERATED: u8 = 0x0a;
const BOOLEAN: u8 = 0x01;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` and `[1]` around something.
const AROUND_0: u8 = 0xa0;
const AROUND_1: u8 = 0xa1;
const AROUND_2: u8 = 0xa2;

/// id-sha1 (RFC 4055 §2.1): 1.3.14.3.2.26.
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// id-pkix-ocsp-basic (RFC 6960 §4.2.1): 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// id-kp-OCSPSigning (RFC 6960 §4.2.2.2): 1.3.6.1.5.5.7.3.9.
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspDefect {
    /// Longer than [`MAX_RESPONSE_BYTES`].
    #[error("the answer is too long")]
    TooLong,
    /// Not one basic answer in DER.
    #[error("not an answer of an OCSP responder")]
    NotDer,
    /// The responder says that it does not answer, and why (RFC 6960 §4.2.1).
    #[error("the responder does not answer: {0}")]
    Declined(Declined),
    /// An extension that must be understood and isn't (RFC 6960 §4.4).
    #[error("the answer has a critical extension that is not known")]
    CriticalExtension,
    /// Neither the issuer nor a certificate in the answer is whom the answer names as its signer.
    #[error("the answer's signer is not in it and not the issuer")]
    Responder,
    /// The signature does not hold, or is of an algorithm that is not accepted.
    #[error("the signature of the answer does not hold")]
    Signature,
    /// Its signer is not the issuer, and not one that the issuer made for this (RFC 6960 §4.2.2.2).
    #[error("the answer's signer may not answer for the issuer")]
    NotAuthorized,
    /// It is about other certificates.
    #[error("the answer is not about the certificate that was asked about")]
    OtherCertificate,
    /// It says two things about the certificate.
    #[error("the answer says two things about one certificate")]
    Twice,
    /// `thisUpdate` lies in the future.
    #[error("the answer is from the future")]
    Future,
    /// `nextUpdate` is past, or [`WITHOUT_END`] is over.
    #[error("the answer is out of date")]
    Outdated,
}

/// Why a responder does not answer (RFC 6960 §4.2.1, OCSPResponseStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// It could not read the question.
    #[error("malformed request")]
    MalformedRequest,
    /// It has a fault.
    #[error("internal error")]
    InternalError,
    /// It asks for patience.
    #[error("try later")]
    TryLater,
    /// It answers signed questions only.
    #[error("the question must be signed")]
    SigRequired,
    /// It may not answer, or knows nothing about the certificate (RFC 5019 §2.2.3).
    #[error("unauthorized")]
    Unauthorized,
}

impl OcspDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "ocsp-too-long",
            Self::NotDer => "ocsp-not-der",
            Self::Declined(_) => "ocsp-declined",
            Self::CriticalExtension => "ocsp-critical-extension",
            Self::Responder => "ocsp-responder",
            Self::Signature => "ocsp-signature",
            Self::NotAuthorized => "ocsp-not-authorized",
            Self::OtherCertificate => "ocsp-other-certificate",
            Self::Twice => "ocsp-twice",
            Self::Future => "ocsp-future",
            Self::Outdated => "ocsp-outdated",
        }
    }
}

impl From<NotDer> for OcspDefect {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

/// What a responder says of a certificate (RFC 6960 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is, for good or for a while.
    Revoked,
    /// The responder doesn't know it.
    Unknown,
}

/// An answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub status: Status,
    /// Since when it is known to be so.
    pub this_update: Timestamp,
    /// From when on it counts no more.
    pub ends: Timestamp,
}

/// One certificate by its issuer and its number: what a responder is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The issuer's name, DER, and its SHA-1.
    issuer: Vec<u8>,
    issuer_hash: [u8; 20],
    /// The issuer's key, DER, and the SHA-1 of the key alone.
    key: Vec<u8>,
    key_hash: [u8; 20],
    /// Content of the INTEGER, as the certificate has it.
    serial: Vec<u8>,
    id: [u8; 32],
}

/// The questions about a path: the certificate's, then one for each between it and the anchor.
pub(super) fn path(path: &VerifiedPath<'_>) -> Option<Vec<Question>> {
    let leaf = path.end_entity();
    let mut questions = Vec::new();
    let mut serial = leaf.serial();
    for above in path.intermediate_certificates() {
        let key = above.subject_public_key_info();
        questions.push(Question::new(above.subject(), key.as_ref(), serial)?);
        serial = above.serial();
    }
    let anchor = path.anchor();
    let key = write(SEQUENCE, &[&anchor.subject_public_key_info]);
    questions.push(Question::new(&anchor.subject, &key, serial)?);
    Some(questions)
}

impl Question {
    /// `issuer` is the content of the name, `key` the whole SubjectPublicKeyInfo.
    fn new(issuer: &[u8], key: &[u8], serial: &[u8]) -> Option<Self> {
        let issuer = write(SEQUENCE, &[issuer]);
        // Each part but the last says its own length.
        let id = sha256(&[&issuer[..], key, serial].concat());
        Some(Self {
            issuer_hash: sha1(&issuer),
            issuer,
            key_hash: key_hash(key).ok()?,
            key: key.to_vec(),
            serial: serial.to_vec(),
            id,
        })
    }

    /// Names the certificate: its issuer's name and key, and its number. The same for two
    /// certificates only where they are one.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The certificate's number for logs, hexadecimal.
    pub fn serial(&self) -> String {
        crate::digest::hex(&self.serial)
    }

    /// The question as it is sent (`application/ocsp-request`, RFC 6960 §4.1.1): of one certificate,
    /// unsigned, without extensions (RFC 5019 §2.1.1).
    pub fn request(&self) -> Vec<u8> {
        let request = write(SEQUENCE, &[&self.cert_id()]);
        let list = write(SEQUENCE, &[&request]);
        write(SEQUENCE, &[&write(SEQUENCE, &[&list])])
    }

    /// The name of the certificate towards responders (RFC 6960 §4.1.1, CertID). SHA-1 is what they
    /// all know (RFC 5019 §2.1.1), and it protects nothing here: an answer about a certificate of
    /// another issuer would have to be signed by this one.
    fn cert_id(&self) -> Vec<u8> {
        let algorithm = write(
            SEQUENCE,
            &[&write(OBJECT_IDENTIFIER, &[SHA1]), &write(NULL, &[])],
        );
        write(
            SEQUENCE,
            &[
                &algorithm,
                &write(OCTET_STRING, &[&self.issuer_hash]),
                &write(OCTET_STRING, &[&self.key_hash]),
                &write(INTEGER, &[&self.serial]),
            ],
        )
    }

    /// Whether a CertID (its content) is of this certificate. NULL as the hash's parameter may be
    /// left out (RFC 4055 §2.1).
    fn is(&self, cert_id: &[u8]) -> Result<bool, NotDer> {
        let (algorithm, rest) = take(cert_id, SEQUENCE)?;
        let (name, rest) = take(rest, OCTET_STRING)?;
        let (key, rest) = take(rest, OCTET_STRING)?;
        let serial = only(rest, INTEGER)?;
        let (hash, parameters) = take(algorithm, OBJECT_IDENTIFIER)?;
        if !parameters.is_empty() {
            only(parameters, NULL)?;
        }
        Ok(hash == SHA1
            && name == self.issuer_hash
            && key == self.key_hash
            && serial == self.serial)
    }

    /// Reads what a responder answered to this question.
    ///
    /// # Errors
    /// [`OcspDefect`]: the answer says nothing then.
    pub fn read(&self, answer: &[u8], now: Timestamp) -> Result<Answer, OcspDefect> {
        if answer.len() > MAX_RESPONSE_BYTES {
            return Err(OcspDefect::TooLong);
        }
        let (status, rest) = take(only(answer, SEQUENCE)?, ENUMERATED)?;
        if let Some(declined) = declined(status)? {
            return Err(OcspDefect::Declined(declined));
        }
        let basic = Basic::read(only(only(rest, AROUND_0)?, SEQUENCE)?)?;
        let data = Data::read(basic.data)?;
        basic.check_signer(self, &data, now)?;
        data.about(self)?.judge(now)
    }
}

/// OCSPResponseStatus; `None` is `successful`.
fn declined(status: &[u8]) -> Result<Option<Declined>, NotDer> {
    Ok(Some(match status {
        [0] => return Ok(None),
        [1] => Declined::MalformedRequest,
        [2] => Declined::InternalError,
        [3] => Declined::TryLater,
        [5] => Declined::SigRequired,
        [6] => Declined::Unauthorized,
        _ => return Err(NotDer),
    }))
}

/// BasicOCSPResponse (RFC 6960 §4.2.1), taken apart.
struct Basic<'a> {
    /// ResponseData, the whole element: what is signed.
    data: &'a [u8],
    /// Content of the AlgorithmIdentifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// Certificates that may have signed.
    certificates: Vec<&'a [u8]>,
}

impl<'a> Basic<'a> {
    /// From the content of ResponseBytes.
    fn read(bytes: &'a [u8]) -> Result<Self, NotDer> {
        let (kind, rest) = take(bytes, OBJECT_IDENTIFIER)?;
        if kind != BASIC {
            return Err(NotDer);
        }
        let basic = only(only(rest, OCTET_STRING)?, SEQUENCE)?;
        let (data, rest) = element(basic, SEQUENCE)?;
        let (algorithm, rest) = take(rest, SEQUENCE)?;
        let (signature, rest) = take(rest, BIT_STRING)?;
        // Every signature is whole bytes.
        let [0, signature @ ..] = signature else {
            return Err(NotDer);
        };
        let mut certificates = Vec::new();
        if !rest.is_empty() {
            let mut list = only(only(rest, AROUND_0)?, SEQUENCE)?;
            while !list.is_empty() {
                let (certificate, rest) = element(list, SEQUENCE)?;
                if certificates.len() == MAX_RESPONDERS {
                    return Err(NotDer);
                }
                certificates.push(certificate);
                list = rest;
            }
        }
        Ok(Self {
            data,
            algorithm,
            signature,
            certificates,
        })
    }

    /// Who signed, and that they may (RFC 6960 §4.2.2.2): the issuer of the certificate itself, or a
    /// certificate that it issued for this, in its time. The answer names its signer by name or key;
    /// of several that bear the name, one has to fit in every way.
    fn check_signer(
        &self,
        question: &Question,
        data: &Data<'_>,
        now: Timestamp,
    ) -> Result<(), OcspDefect> {
        let mut defect = OcspDefect::Responder;
        if data.signer.is(&question.issuer, &question.key)? {
            if self.signed_by(&question.key) {
                return Ok(());
            }
            defect = OcspDefect::Signature;
        }
        for der in &self.certificates {
            let der = CertificateDer::from(*der);
            // Somebody else's certificate may be anything.
            let Ok(certificate) = EndEntityCert::try_from(&der) else {
                continue;
            };
            let name = write(SEQUENCE, &[certificate.subject()]);
            let key = certificate.subject_public_key_info();
            if !data.signer.is(&name, &key).unwrap_or(false) {
                continue;
            }
            defect = if !self.signed_by(&key) {
                OcspDefect::Signature
            } else if !delegated(&certificate, question, now) {
                OcspDefect::NotAuthorized
            } else {
                return Ok(());
            };
        }
        Err(defect)
    }

    /// Whether this key (SubjectPublicKeyInfo) made the signature, by an algorithm that certificates
    /// may be signed with too.
    fn signed_by(&self, key: &[u8]) -> bool {
        let key = SubjectPublicKeyInfoDer::from(key);
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
            return false;
        };
        let named = |known: &&&dyn SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == self.algorithm
        };
        webpki::ALL_VERIFICATION_ALGS
            .iter()
            .filter(named)
            .any(|known| {
                key.verify_signature(*known, self.data, self.signature)
                    .is_ok()
            })
    }
}

/// Whether the issuer of the certificate in question made this one for signing answers: it is the
/// anchor, so nobody stands between the two.
fn delegated(certificate: &EndEntityCert<'_>, question: &Question, now: Timestamp) -> bool {
    let (Ok(subject), Ok(key), Ok(seconds)) = (
        only(&question.issuer, SEQUENCE),
        only(&question.key, SEQUENCE),
        u64::try_from(now.as_secs()),
    ) else {
        return false;
    };
    let issuer = [TrustAnchor {
        subject: subject.into(),
        subject_public_key_info: key.into(),
        name_constraints: None,
    }];
    certificate
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &issuer,
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            KeyUsage::required(OCSP_SIGNING),
            None,
            None,
        )
        .is_ok()
}

/// Whom an answer names as its signer (RFC 6960 §4.2.1, ResponderID).
enum Signer<'a> {
    /// The subject, DER.
    Name(&'a [u8]),
    /// SHA-1 of the key.
    Key(&'a [u8]),
}

impl Signer<'_> {
    fn is(&self, name: &[u8], key: &[u8]) -> Result<bool, NotDer> {
        Ok(match self {
            Self::Name(own) => *own == name,
            Self::Key(own) => *own == key_hash(key)?,
        })
    }
}

/// ResponseData (RFC 6960 §4.2.1), taken apart.
struct Data<'a> {
    signer: Signer<'a>,
    /// SingleResponses.
    singles: &'a [u8],
}

impl<'a> Data<'a> {
    /// The only version there is stands by being left out (X.690 §11.5).
    fn read(data: &'a [u8]) -> Result<Self, OcspDefect> {
        let data = only(data, SEQUENCE)?;
        let (signer, rest) = if let Ok((name, rest)) = take(data, AROUND_1) {
            only(name, SEQUENCE)?;
            (Signer::Name(name), rest)
        } else {
            let (key, rest) = take(data, AROUND_2)?;
            (Signer::Key(only(key, OCTET_STRING)?), rest)
        };
        let (produced, rest) = take(rest, GENERALIZED_TIME)?;
        time(produced)?;
        let (singles, rest) = take(rest, SEQUENCE)?;
        refuse_critical(rest)?;
        Ok(Self { signer, singles })
    }

    /// What is said of the certificate, among what is said of others.
    fn about(&self, question: &Question) -> Result<Single<'a>, OcspDefect> {
        let mut found = None;
        let mut rest = self.singles;
        while !rest.is_empty() {
            let (single, others) = take(rest, SEQUENCE)?;
            rest = others;
            let (cert_id, said) = take(single, SEQUENCE)?;
            if question.is(cert_id)? && found.replace(said).is_some() {
                return Err(OcspDefect::Twice);
            }
        }
        Single::read(found.ok_or(OcspDefect::OtherCertificate)?)
    }
}

/// SingleResponse (RFC 6960 §4.2.1) behind its CertID.
struct Single<'a> {
    status: Status,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    extensions: &'a [u8],
}

impl<'a> Single<'a> {
    fn read(said: &'a [u8]) -> Result<Self, OcspDefect> {
        let (status, rest) = match said {
            [0x80, 0, rest @ ..] => (Status::Good, rest),
            [0x82, 0, rest @ ..] => (Status::Unknown, rest),
            _ => {
                let (revoked, rest) = take(said, AROUND_1)?;
                let (at, reason) = take(revoked, GENERALIZED_TIME)?;
                time(at)?;
                if !reason.is_empty() {
                    only(only(reason, AROUND_0)?, ENUMERATED)?;
                }
                (Status::Revoked, rest)
            }
        };
        let (this_update, mut extensions) = take(rest, GENERALIZED_TIME)?;
        let mut next_update = None;
        if let Ok((next, rest)) = take(extensions, AROUND_0) {
            next_update = Some(time(only(next, GENERALIZED_TIME)?)?);
            extensions = rest;
        }
        Ok(Self {
            status,
            this_update: time(this_update)?,
            next_update,
            extensions,
        })
    }

    /// RFC 6960 §3.2 (5) and (6).
    fn judge(&self, now: Timestamp) -> Result<Answer, OcspDefect> {
        refuse_critical(self.extensions)?;
        if self.this_update > now.plus(LEEWAY) {
            return Err(OcspDefect::Future);
        }
        let ends = match self.next_update {
            Some(next) if next <= self.this_update => return Err(OcspDefect::NotDer),
            Some(next) => next,
            None => self.this_update.plus(WITHOUT_END),
        };
        // No leeway here: whoever signs the answers chose their end with a margin.
        if ends <= now {
            return Err(OcspDefect::Outdated);
        }
        Ok(Answer {
            status: self.status,
            this_update: self.this_update,
            ends,
        })
    }
}

/// `[1]` with extensions at the end of something, or nothing. None is known here, so none may be
/// critical (RFC 6960 §4.4).
fn refuse_critical(rest: &[u8]) -> Result<(), OcspDefect> {
    if rest.is_empty() {
        return Ok(());
    }
    let mut list = only(only(rest, AROUND_1)?, SEQUENCE)?;
    while !list.is_empty() {
        let (extension, others) = take(list, SEQUENCE)?;
        list = others;
        let (_name, value) = take(extension, OBJECT_IDENTIFIER)?;
        // FALSE is the default and left out (X.690 §11.5).
        if take(value, BOOLEAN).is_ok() {
            return Err(OcspDefect::CriticalExtension);
        }
        only(value, OCTET_STRING)?;
    }
    Ok(())
}

/// `20261122110000Z`: to the second and in UTC (RFC 5280 §4.1.2.5.2).
fn time(content: &[u8]) -> Result<Timestamp, NotDer> {
    let text = std::str::from_utf8(content).map_err(|_| NotDer)?;
    let (date, clock) = text.split_at_checked(8).ok_or(NotDer)?;
    calendar::parse_basic(&format!("{date}T{clock}")).ok_or(NotDer)
}

/// The hash of a key as CertID and ResponderID have it: of the key alone, without its algorithm.
fn key_hash(key: &[u8]) -> Result<[u8; 20], NotDer> {
    Ok(sha1(subject_public_key_info(key)?.key))
}

fn sha1(data: &[u8]) -> [u8; 20] {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data)
        .as_ref()
        .try_into()
        .expect("SHA-1 gives 20 bytes")
}

/// The first element, whole, and the rest.
fn element(input: &[u8], tag: u8) -> Result<(&[u8], &[u8]), NotDer> {
    let (_content, rest) = take(input, tag)?;
    Ok(input.split_at(input.len() - rest.len()))
}

/// One element of these parts.
fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let mut written = vec![tag];
    if length < 0x80 {
        written.push(bytes[bytes.len() - 1]);
    } else {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        // At most eight, so the count fits beside the bit that marks it.
        written.push(0x80 | u8::try_from(bytes.len() - zeros).unwrap_or_default());
        written.extend_from_slice(&bytes[zeros..]);
    }
    for part in parts {
        written.extend_from_slice(part);
    }
    written
}

#[cfg(test)]
mod tests;
