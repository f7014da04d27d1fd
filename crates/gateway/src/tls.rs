//! **TLS at the door**: certificates by server name, swapped while running.
//!
//! Whether a client's certificate is *trusted* is judged per API, not here: a listener that accepts
//! client certificates proves possession of the key and hands the certificate on. A name that no
//! certificate covers gets the first one, and the client refuses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use proof::x509::{MAX_CERTIFICATE_BYTES, MAX_INTERMEDIATES};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};

/// Where a certificate chain and its key stand, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why TLS can't be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or holds something else.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What went wrong.
        cause: String,
    },
    /// There is no certificate at all.
    #[error("a TLS listener needs a certificate")]
    NoCertificate,
    /// The TLS library refused its configuration.
    #[error("TLS can not be set up: {0}")]
    Setup(String),
}

/// The certificates of a listener; [`CertStore::load`] swaps all of them at once.
#[derive(Debug)]
pub struct CertStore {
    keys: ArcSwap<Vec<Arc<CertifiedKey>>>,
}

impl CertStore {
    /// Reads the certificates.
    ///
    /// # Errors
    /// [`TlsError`] when a file does not hold, or a key does not fit its certificate.
    pub fn from_files(files: &[CertificateFiles]) -> Result<Self, TlsError> {
        Ok(Self {
            keys: ArcSwap::from_pointee(read_all(files)?),
        })
    }

    /// Reads the certificates again; new handshakes get them. On an error the old ones stay.
    ///
    /// # Errors
    /// As [`CertStore::from_files`].
    pub fn load(&self, files: &[CertificateFiles]) -> Result<(), TlsError> {
        self.keys.store(Arc::new(read_all(files)?));
        Ok(())
    }
}

fn read_all(files: &[CertificateFiles]) -> Result<Vec<Arc<CertifiedKey>>, TlsError> {
    if files.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    files
        .iter()
        .map(|files| read(files).map(Arc::new))
        .collect()
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    fn bad(path: &Path, cause: &dyn core::fmt::Display) -> TlsError {
        TlsError::File {
            path: path.display().to_string(),
            cause: cause.to_string(),
        }
    }
    let chain = CertificateDer::pem_file_iter(&files.chain)
        .map_err(|error| bad(&files.chain, &error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&files.chain, &error))?;
    let Some(leaf) = chain.first() else {
        return Err(bad(&files.chain, &"it holds no certificate"));
    };
    ParsedCertificate::try_from(leaf).map_err(|error| bad(&files.chain, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| bad(&files.key, &error))
}

impl ResolvesServerCert for CertStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.load();
        let covers = |key: &Arc<CertifiedKey>, name: &ServerName<'_>| {
            key.end_entity_cert()
                .ok()
                .and_then(|leaf| ParsedCertificate::try_from(leaf).ok())
                .is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
        };
        hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok())
            .and_then(|name| keys.iter().find(|key| covers(key, &name)).cloned())
            .or_else(|| keys.first().cloned())
    }
}

/// TLS of one listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificates.
    pub certificates: Arc<CertStore>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: ClientCertificates,
}

/// Whether a listener asks its clients for a certificate. Asking proves possession of a key; whom
/// the certificate names, and whether that counts, is judged per API and per client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// None is asked for, and none is seen.
    #[default]
    Off,
    /// A client may present one.
    Optional,
    /// No handshake without one.
    Required,
}

impl ClientCertificates {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Off, Self::Optional, Self::Required];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl Tls {
    /// The TLS library's configuration: 1.2 and 1.3, tickets, ALPN for both HTTP versions.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(setup)?;
        let possession = |mandatory| {
            Arc::new(Possession {
                provider,
                mandatory,
            })
        };
        let builder = match self.client_certificates {
            ClientCertificates::Off => builder.with_no_client_auth(),
            ClientCertificates::Optional => builder.with_client_cert_verifier(possession(false)),
            ClientCertificates::Required => builder.with_client_cert_verifier(possession(true)),
        };
        let mut config = builder.with_cert_resolver(self.certificates.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Ticketer::new().map_err(setup)?;
        Ok(Arc::new(config))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Takes any client certificate whose key signs the handshake. Who issued it is judged later.
#[derive(Debug)]
struct Possession {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
}

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // What nobody would look at later need not be held for as long as the connection lives.
        if end_entity.len() > MAX_CERTIFICATE_BYTES || intermediates.len() > MAX_INTERMEDIATES {
            return Err(CertificateError::BadEncoding.into());
        }
        ParsedCertificate::try_from(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
