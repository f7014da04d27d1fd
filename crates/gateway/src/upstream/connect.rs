//! **Connecting**: a TCP connection to one server of a pool, over TLS where the pool says so.
//!
//! Names and trust come from the configuration alone; there is no switch that skips a check.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::path::Path;
use std::sync::Arc;

use registry::api::{PoolMeaning, UpstreamProtocol};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why a pool can't be built.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The CA file can't be read.
    #[error("the CA file {path} can not be read: {cause}")]
    CaFile {
        /// The file.
        path: String,
        /// What went wrong.
        cause: String,
    },
    /// The gateway's own certificate or its key can't be read, or they don't belong together.
    #[error("{path}: {cause}")]
    OwnCertificate {
        /// The file.
        path: String,
        /// The key of the API's document that names it.
        place: &'static str,
        /// What went wrong.
        cause: String,
    },
    /// The name to verify is no DNS name or address.
    #[error("`{0}` is not a name that a certificate can carry")]
    ServerName(String),
    /// The gateway's own credential can't be had.
    #[error("the upstream's credential: {0}")]
    Credential(String),
    /// The TLS library refused its configuration.
    #[error("TLS can not be set up: {0}")]
    Tls(String),
}

impl PoolError {
    /// The key of an API's document that it is about.
    pub(crate) fn place(&self) -> &'static str {
        match self {
            Self::CaFile { .. } => "upstream.tls.ca_file",
            Self::OwnCertificate { place, .. } => place,
            Self::Tls(_) => "upstream.tls",
            Self::ServerName(_) => "upstream.urls",
            Self::Credential(_) => "upstream.credential",
        }
    }
}

/// TLS towards a pool, prepared once.
pub(crate) struct PoolTlsClient {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl PoolTlsClient {
    /// Prepares TLS for `pool`, if it asks for it.
    ///
    /// # Errors
    /// [`PoolError`] when a file or a name does not hold.
    pub(crate) fn prepare(pool: &PoolMeaning) -> Result<Option<Self>, PoolError> {
        let Some(tls) = &pool.tls else {
            return Ok(None);
        };
        let mut roots = rustls::RootCertStore::empty();
        match &tls.ca_file {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let bad = |cause: String| PoolError::CaFile {
                    path: path.display().to_string(),
                    cause,
                };
                let certificates =
                    CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|e| bad(e.to_string()))?;
                    roots.add(certificate).map_err(|e| bad(e.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(bad("it holds no certificate".to_owned()));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| PoolError::Tls(e.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &tls.identity {
            None => config.with_no_client_auth(),
            Some(own) => {
                let bad = |path: &Path, place, cause: &dyn core::fmt::Display| {
                    PoolError::OwnCertificate {
                        path: path.display().to_string(),
                        place,
                        cause: cause.to_string(),
                    }
                };
                let of_chain = |cause: &dyn core::fmt::Display| {
                    bad(
                        &own.certificate_file,
                        "upstream.tls.certificate_file",
                        cause,
                    )
                };
                let of_key = |cause: &dyn core::fmt::Display| {
                    bad(&own.key_file, "upstream.tls.key_file", cause)
                };
                let chain = CertificateDer::pem_file_iter(&own.certificate_file)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| of_chain(&error))?;
                if chain.is_empty() {
                    return Err(of_chain(&"it holds no certificate"));
                }
                let key =
                    PrivateKeyDer::from_pem_file(&own.key_file).map_err(|error| of_key(&error))?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| of_key(&error))?
            }
        };
        config.alpn_protocols = match pool.protocol {
            UpstreamProtocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            UpstreamProtocol::Http1 => vec![b"http/1.1".to_vec()],
            UpstreamProtocol::Http2 => vec![b"h2".to_vec()],
        };
        let name = tls.server_name.as_deref().map(server_name).transpose()?;
        if name.is_none() {
            for server in &pool.servers {
                server_name(&server.host)?;
            }
        }
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        }))
    }

    /// Handshakes with `host` over `tcp`.
    pub(crate) async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host).map_err(io::Error::other)?,
        };
        self.connector.connect(name, tcp).await
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, PoolError> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| PoolError::ServerName(text.to_owned()))
}

/// A connection's bytes, plain or over TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects to the first of `addresses` that answers, and handshakes.
    ///
    /// # Errors
    /// The last address's error, or the handshake's.
    pub(crate) async fn open(
        addresses: &[SocketAddr],
        first: usize,
        host: &str,
        tls: Option<&PoolTlsClient>,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for turn in 0..addresses.len().min(4) {
            let address = addresses[(first + turn) % addresses.len()];
            match TcpStream::connect(address).await {
                Err(error) => last = error,
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    return Ok(match tls {
                        None => Self::Plain(tcp),
                        Some(tls) => Self::Tls(Box::new(tls.handshake(host, tcp).await?)),
                    });
                }
            }
        }
        Err(last)
    }

    /// Whether ALPN chose HTTP/2.
    pub(crate) fn chose_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head without a body is one piece, which the system sends for less as such.
        if let [one] = bufs {
            return self.poll_write(cx, one);
        }
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
