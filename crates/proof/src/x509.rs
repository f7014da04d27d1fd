//! X.509 certificates (RFC 5280) as a client presents them: read once from DER into what the
//! standards of this house ask about (the thumbprint of RFC 8705 §3.1, the subject as RFC 4514
//! writes it, the alternative names, the key, the time), and the path to a trusted root. Reading a
//! certificate trusts nothing: that its sender has the key was shown by the TLS handshake, and that
//! its names are true is shown by [`Certificate::verify_chain`] alone, which asks for revocation too
//! where it is given [`RevocationLists`]. What a responder says of the certificates of a path is
//! [`ocsp`]'s.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject as _,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationOptionsBuilder,
};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
    revocation_list::CertificateRevocationList,
};

use crate::{
    base64url,
    digest::sha256,
    jose::jwk::{Jwk, JwkDefect},
    time::Timestamp,
};

mod name;
pub mod ocsp;
mod relayed;
mod x5c;
pub use name::{dn_matches, is_dn};
pub use relayed::{MAX_RELAYED_BYTES, RelayFormat, read_relayed};
pub use x5c::{SignerChain, X5cDefect};

/// Longest certificate, DER.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Most intermediate certificates that are looked at in one chain.
pub const MAX_INTERMEDIATES: usize = 8;
/// Most intermediate certificates whose subject another one has too, as where one authority's key is
/// certified by two others.
pub const MAX_NAMESAKES: usize = 1;
/// Most alternative names in one certificate.
pub const MAX_ALTERNATIVE_NAMES: usize = 256;

/// One certificate, taken apart. Nothing in it is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    thumbprint: String,
    subject_dn: String,
    spki: Vec<u8>,
    may_sign: bool,
    not_before: Timestamp,
    not_after: Timestamp,
    dns_names: Vec<String>,
    uris: Vec<String>,
    emails: Vec<String>,
    ip_addresses: Vec<IpAddr>,
}

/// Why a certificate can't be read or is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum X509Defect {
    /// Longer than [`MAX_CERTIFICATE_BYTES`].
    #[error("certificate is too long")]
    TooLong,
    /// Not one X.509 certificate in DER.
    #[error("not a certificate in DER")]
    NotDer,
    /// Not one or more PEM blocks `CERTIFICATE`.
    #[error("not certificates in PEM")]
    NotPem,
    /// The subject is no readable name.
    #[error("subject of the certificate can't be read")]
    Subject,
    /// An alternative name is unreadable, the extension stands twice, or there are too many names.
    #[error("alternative names of the certificate can't be read")]
    AlternativeNames,
    /// It is no certificate that can be trusted as a root.
    #[error("not usable as a root certificate")]
    Root,
    /// There are more than [`MAX_INTERMEDIATES`] intermediate certificates.
    #[error("too many intermediate certificates")]
    TooManyIntermediates,
    /// More than [`MAX_NAMESAKES`] intermediate certificates have a name that another one has.
    #[error("too many intermediate certificates of one name")]
    Namesakes,
    /// Now is before or after the time of the certificate, or of one that vouches for it.
    #[error("certificate is not valid at this time")]
    Time,
    /// No path of valid signatures leads to one of the roots.
    #[error("certificate is not issued by a trusted root")]
    UnknownIssuer,
    /// Its extended key usage names other uses than client authentication.
    #[error("certificate is not for client authentication")]
    KeyUsage,
    /// A signature, constraint or extension on the path does not hold.
    #[error("certificate chain does not hold")]
    Chain,
    /// Not one or more revocation lists, in PEM or DER.
    #[error("not a certificate revocation list")]
    NotCrl,
    /// A list says that the certificate, or one that vouches for it, is revoked.
    #[error("certificate is revoked")]
    Revoked,
    /// No list covers the certificate or one that vouches for it, or the list does not hold.
    #[error("no revocation list tells whether the certificate is revoked")]
    RevocationUnknown,
    /// The list that would tell is past its next update.
    #[error("revocation list is out of date")]
    RevocationOutdated,
}

impl X509Defect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "x509-too-long",
            Self::NotDer => "x509-not-der",
            Self::NotPem => "x509-not-pem",
            Self::Subject => "x509-subject",
            Self::AlternativeNames => "x509-alternative-names",
            Self::Root => "x509-root",
            Self::TooManyIntermediates => "x509-too-many-intermediates",
            Self::Namesakes => "x509-namesakes",
            Self::Time => "x509-time",
            Self::UnknownIssuer => "x509-unknown-issuer",
            Self::KeyUsage => "x509-key-usage",
            Self::Chain => "x509-chain",
            Self::NotCrl => "x509-not-crl",
            Self::Revoked => "x509-revoked",
            Self::RevocationUnknown => "x509-revocation-unknown",
            Self::RevocationOutdated => "x509-revocation-outdated",
        }
    }
}

/// The thumbprint of a certificate as `x5t#S256` has it: base64url of the SHA-256 of its DER
/// (RFC 8705 §3.1).
pub fn thumbprint(der: &[u8]) -> String {
    base64url::encode(&sha256(der))
}

impl Certificate {
    /// Reads one certificate that fills `der`.
    ///
    /// # Errors
    /// [`X509Defect`]; a name that can't be read refuses the whole.
    pub fn parse(der: &[u8]) -> Result<Self, X509Defect> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(X509Defect::TooLong);
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| X509Defect::NotDer)?;
        if !rest.is_empty() {
            return Err(X509Defect::NotDer);
        }
        let time = |at: x509_parser::time::ASN1Time| Timestamp::from_secs(at.timestamp());
        let mut certificate = Self {
            der: der.to_vec(),
            thumbprint: thumbprint(der),
            subject_dn: name::write(parsed.subject()).ok_or(X509Defect::Subject)?,
            spki: parsed.public_key().raw.to_vec(),
            // An extension that can't be read, or that stands twice, allows nothing.
            may_sign: parsed
                .key_usage()
                .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.digital_signature())),
            not_before: time(parsed.validity().not_before),
            not_after: time(parsed.validity().not_after),
            dns_names: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            ip_addresses: Vec::new(),
        };
        certificate.read_alternative_names(&parsed)?;
        Ok(certificate)
    }

    /// Reads the certificates of a text in PEM, at least one.
    ///
    /// # Errors
    /// [`X509Defect::NotPem`], and those of [`Certificate::parse`].
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, X509Defect> {
        let blocks = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| X509Defect::NotPem)?;
        if blocks.is_empty() {
            return Err(X509Defect::NotPem);
        }
        blocks.iter().map(|der| Self::parse(der)).collect()
    }

    fn read_alternative_names(&mut self, parsed: &X509Certificate<'_>) -> Result<(), X509Defect> {
        const SUBJECT_ALT_NAME: &str = "2.5.29.17";
        const WRONG: X509Defect = X509Defect::AlternativeNames;
        let mut extensions = parsed
            .extensions()
            .iter()
            .filter(|extension| extension.oid.to_id_string() == SUBJECT_ALT_NAME);
        let Some(extension) = extensions.next() else {
            return Ok(());
        };
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            return Err(WRONG);
        };
        if extensions.next().is_some() || names.general_names.len() > MAX_ALTERNATIVE_NAMES {
            return Err(WRONG);
        }
        for name in &names.general_names {
            match name {
                GeneralName::DNSName(text) => self.dns_names.push(clean(text)?),
                GeneralName::URI(text) => self.uris.push(clean(text)?),
                GeneralName::RFC822Name(text) => self.emails.push(clean(text)?),
                GeneralName::IPAddress(bytes) => self.ip_addresses.push(address(bytes)?),
                GeneralName::Invalid(..) => return Err(WRONG),
                // Names that nothing here compares.
                GeneralName::OtherName(..)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::RegisteredID(_) => {}
            }
        }
        Ok(())
    }

    /// The whole certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The subject as RFC 4514 writes it, the most specific part first; empty for an empty name.
    /// To be compared with [`dn_matches`], never as text.
    pub fn subject_dn(&self) -> &str {
        &self.subject_dn
    }

    /// The alternative names of type dNSName, as they stand.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// The alternative names of type uniformResourceIdentifier, as they stand.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The alternative names of type rfc822Name, as they stand.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// The alternative names of type iPAddress.
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.ip_addresses
    }

    /// The certified key.
    ///
    /// # Errors
    /// [`JwkDefect`] if it is of a kind that JOSE can't use here.
    pub fn public_key(&self) -> Result<Jwk, JwkDefect> {
        Jwk::from_spki_der(&self.spki)
    }

    /// Whether its holder may sign what is neither a certificate nor a revocation list:
    /// `digitalSignature`, where the certificate says what its key is for (RFC 5280 §4.2.1.3). A path
    /// is verified without that question.
    pub fn may_sign(&self) -> bool {
        self.may_sign
    }

    /// Whether the certified key is this one, whatever name and algorithm that carries
    /// (`self_signed_tls_client_auth`, RFC 8705 §2.2).
    pub fn public_key_matches(&self, jwk: &Jwk) -> bool {
        self.public_key()
            .is_ok_and(|own| own.thumbprint() == jwk.thumbprint())
    }

    /// Whether `now` lies in the certificate's time, both ends included (RFC 5280 §4.1.2.5).
    pub fn valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now.as_secs() <= self.not_after.as_secs()
    }

    /// When its time ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Looks for a path from this certificate to one of `roots`, over `intermediates` (DER, in any
    /// order, as the client sent them), every signature and constraint of which holds at `now`. The
    /// certificate must be for client authentication where it says what it is for. With `revocation`
    /// given, every certificate of the path but the root must stand under a list that is not out of
    /// date and does not name it: what can't be known is refused, and of several lists for the same
    /// certificates the newest counts.
    ///
    /// # Errors
    /// [`X509Defect`].
    pub fn verify_chain(
        &self,
        intermediates: &[impl AsRef<[u8]>],
        roots: &TrustRoots,
        revocation: Option<&RevocationLists>,
        now: Timestamp,
    ) -> Result<Trusted<'_>, X509Defect> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(X509Defect::TooManyIntermediates);
        }
        let leaf = CertificateDer::from(self.der.as_slice());
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| X509Defect::Chain)?;
        let intermediates = few_ways(intermediates)?;
        let seconds = u64::try_from(now.as_secs()).map_err(|_| X509Defect::Time)?;
        let lists: Vec<&CertRevocationList<'_>> =
            revocation.map_or_else(Vec::new, |lists| lists.0.iter().collect());
        let revocation = match revocation {
            None => None,
            // The defaults: the whole path is asked, and what no list knows is refused.
            Some(_) => Some(
                RevocationOptionsBuilder::new(&lists)
                    .map_err(|_| X509Defect::RevocationUnknown)?
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build(),
            ),
        };
        let path = leaf
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &roots.0,
                &intermediates,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                KeyUsage::client_auth(),
                revocation,
                None,
            )
            .map_err(|error| chain_defect(&error))?;
        Ok(Trusted {
            certificate: self,
            path: ocsp::path(&path).ok_or(X509Defect::Chain)?,
        })
    }
}

/// Intermediate certificates among which a search has few ways to go. Whoever connects may send what
/// they like, and names alone lead the search: eight certificates of one name would keep it busy for
/// thousands of paths. What is no certificate leads nowhere and is left out.
fn few_ways(intermediates: &[impl AsRef<[u8]>]) -> Result<Vec<CertificateDer<'_>>, X509Defect> {
    let mut names = HashSet::new();
    let mut namesakes = 0;
    let mut found = Vec::with_capacity(intermediates.len());
    for der in intermediates {
        let Ok((_, parsed)) = X509Certificate::from_der(der.as_ref()) else {
            continue;
        };
        if !names.insert(parsed.tbs_certificate.subject.as_raw()) {
            namesakes += 1;
        }
        found.push(CertificateDer::from(der.as_ref()));
    }
    if namesakes > MAX_NAMESAKES {
        return Err(X509Defect::Namesakes);
    }
    Ok(found)
}

/// A certificate whose names a root vouches for. Only [`Certificate::verify_chain`] makes one.
#[derive(Clone, Debug)]
pub struct Trusted<'a> {
    certificate: &'a Certificate,
    path: Vec<ocsp::Question>,
}

impl<'a> Trusted<'a> {
    /// The certificate.
    pub fn certificate(&self) -> &'a Certificate {
        self.certificate
    }

    /// What a responder may be asked about the path that held: one question for the certificate, and
    /// one for each between it and the root, in this order. Never about the root, since nobody but
    /// the operator vouches for that.
    pub fn path(&self) -> &[ocsp::Question] {
        &self.path
    }
}

/// Certificates that are trusted to issue clients' ones.
#[derive(Clone, Debug)]
pub struct TrustRoots(Vec<TrustAnchor<'static>>);

impl TrustRoots {
    /// From PEM blocks `CERTIFICATE`, at least one.
    ///
    /// # Errors
    /// [`X509Defect::NotPem`], [`X509Defect::Root`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, X509Defect> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| X509Defect::NotPem)?;
        if roots.is_empty() {
            return Err(X509Defect::NotPem);
        }
        Self::from_der(&roots)
    }

    /// From certificates in DER.
    ///
    /// # Errors
    /// [`X509Defect::Root`].
    pub fn from_der(roots: &[impl AsRef<[u8]>]) -> Result<Self, X509Defect> {
        roots
            .iter()
            .map(|der| {
                webpki::anchor_from_trusted_cert(&CertificateDer::from(der.as_ref()))
                    .map(|anchor| anchor.to_owned())
                    .map_err(|_| X509Defect::Root)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Lists of revoked certificates (RFC 5280 §5), whose signatures are checked when they are asked. The
/// newest come first: of several that cover a certificate the first is asked.
#[derive(Debug)]
pub struct RevocationLists(Vec<CertRevocationList<'static>>);

/// Most revocation lists beside one set of roots.
pub const MAX_REVOCATION_LISTS: usize = 32;

impl RevocationLists {
    /// From files as authorities publish them: each holds PEM blocks `X509 CRL`, or one list in DER.
    ///
    /// # Errors
    /// [`X509Defect::NotCrl`] for a file without a list, one that can't be read, or too many lists.
    pub fn from_files(files: &[impl AsRef<[u8]>]) -> Result<Self, X509Defect> {
        let mut lists = Vec::new();
        for file in files {
            let ders = lists_in(file.as_ref())?;
            if lists.len() + ders.len() > MAX_REVOCATION_LISTS {
                return Err(X509Defect::NotCrl);
            }
            for der in ders {
                let list =
                    OwnedCertRevocationList::from_der(&der).map_err(|_| X509Defect::NotCrl)?;
                lists.push((Edition::of(&read_list(&der)?), list.into()));
            }
        }
        lists.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(Self(lists.into_iter().map(|(_, list)| list).collect()))
    }
}

/// Whether what a place publishes now is older than what it published before of the same authority:
/// then somebody shows again what was true once, and what was revoked since would count.
///
/// # Errors
/// [`X509Defect::NotCrl`].
pub fn is_rolled_back(before: &[u8], now: &[u8]) -> Result<bool, X509Defect> {
    let (before, now) = (lists_in(before)?, lists_in(now)?);
    for (before, now) in before.iter().zip(&now) {
        let (before, now) = (read_list(before)?, read_list(now)?);
        if before.issuer() == now.issuer() && Edition::of(&now) < Edition::of(&before) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which of two lists of one authority is the newer one: by its time, and within a second by its
/// number (RFC 5280 §5.1.2.4, §5.2.3).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edition {
    this_update: i64,
    /// Its length and its bytes, without zeros in front.
    number: Option<(usize, Vec<u8>)>,
}

impl Edition {
    fn of(list: &CertificateRevocationList<'_>) -> Self {
        let number = list.crl_number().map(|number| number.to_bytes_be());
        Self {
            this_update: list.last_update().timestamp(),
            number: number.map(|bytes| (bytes.len(), bytes)),
        }
    }
}

fn read_list(der: &[u8]) -> Result<CertificateRevocationList<'_>, X509Defect> {
    match CertificateRevocationList::from_der(der) {
        Ok((_, list)) => Ok(list),
        Err(_) => Err(X509Defect::NotCrl),
    }
}

/// The lists of a file, in DER.
fn lists_in(file: &[u8]) -> Result<Vec<CertificateRevocationListDer<'_>>, X509Defect> {
    // DER begins with a SEQUENCE; no PEM file begins with that byte.
    if file.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(file)]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(file).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        _ => Err(X509Defect::NotCrl),
    }
}

fn chain_defect(error: &webpki::Error) -> X509Defect {
    use webpki::Error;
    match error {
        Error::CertRevoked => X509Defect::Revoked,
        Error::CrlExpired { .. } => X509Defect::RevocationOutdated,
        Error::UnknownRevocationStatus
        | Error::InvalidCrlSignatureForPublicKey
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
        | Error::IssuerNotCrlSigner => X509Defect::RevocationUnknown,
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => X509Defect::Time,
        Error::UnknownIssuer => X509Defect::UnknownIssuer,
        Error::RequiredEkuNotFoundContext(_) => X509Defect::KeyUsage,
        _ => X509Defect::Chain,
    }
}

/// A name with nothing in it that could end or split it where it is compared or logged.
fn clean(text: &str) -> Result<String, X509Defect> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(X509Defect::AlternativeNames);
    }
    Ok(text.to_owned())
}

fn address(bytes: &[u8]) -> Result<IpAddr, X509Defect> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok(),
        16 => <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok(),
        _ => None,
    }
    .ok_or(X509Defect::AlternativeNames)
}

#[cfg(test)]
mod tests;
