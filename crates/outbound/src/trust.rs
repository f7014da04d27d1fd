//! **Whom the client trusts**: roots, revocation lists, and the TLS settings made of them.
//!
//! There is no switch that turns verification off. A private authority is trusted by naming its
//! certificates, and then it is trusted alone.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Roots that a server's certificate must lead to, and what was revoked meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    roots: Roots,
    crls: Vec<CertificateRevocationListDer<'static>>,
}

#[derive(Debug, Clone, Default)]
enum Roots {
    /// The public authorities compiled in (webpki-roots).
    #[default]
    Public,
    /// Only these.
    Listed(Vec<CertificateDer<'static>>),
}

/// Why roots or lists can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM, or not of the expected kind.
    #[error("not a PEM file of {0}")]
    NotPem(&'static str),
    /// The PEM file holds none.
    #[error("no {0} in the PEM file")]
    Empty(&'static str),
    /// A certificate can't be a root, or a list can't be read.
    #[error("a certificate or revocation list can not be used: {0}")]
    Unusable(String),
}

impl Trust {
    /// The public authorities.
    pub fn public() -> Self {
        Self::default()
    }

    /// Only the certificates of a PEM bundle.
    ///
    /// # Errors
    /// [`TrustError`] if the text is no PEM or holds no certificate.
    pub fn only_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let listed = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| TrustError::NotPem("certificates"))?;
        if listed.is_empty() {
            return Err(TrustError::Empty("certificate"));
        }
        Ok(Self {
            roots: Roots::Listed(listed),
            crls: Vec::new(),
        })
    }

    /// Also checks servers' certificates against revocation lists in PEM. A chain whose issuer
    /// publishes no list among them is then refused: unknown is not good.
    ///
    /// # Errors
    /// [`TrustError`] if the text is no PEM or holds no list.
    pub fn with_crls_pem(mut self, pem: &[u8]) -> Result<Self, TrustError> {
        let crls = CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| TrustError::NotPem("revocation lists"))?;
        if crls.is_empty() {
            return Err(TrustError::Empty("revocation list"));
        }
        self.crls.extend(crls);
        Ok(self)
    }

    /// TLS 1.2 and 1.3 client settings for HTTP/1.1 without a client certificate.
    ///
    /// # Errors
    /// [`TrustError::Unusable`].
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        self.client_config_showing(None)
    }

    /// The same, showing a certificate to whoever asks for one: its chain, leaf first, and its key.
    ///
    /// # Errors
    /// [`TrustError::Unusable`], also if the two don't belong together.
    pub(crate) fn client_config_showing(
        &self,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Arc<ClientConfig>, TrustError> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            Roots::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::Listed(listed) => {
                for root in listed {
                    store.add(root.clone()).map_err(|error| unusable(&error))?;
                }
            }
        }
        // The provider is named, so that nothing hangs on a process-wide default.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
                .with_crls(self.crls.iter().cloned())
                .build()
                .map_err(|error| unusable(&error))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_webpki_verifier(verifier);
        let mut config = match own {
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(&error))?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn unusable(error: &dyn std::error::Error) -> TrustError {
    TrustError::Unusable(error.to_string())
}
