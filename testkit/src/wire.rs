//! **Callers**: bytes as they are given, one simple call, HTTP/2 by hyper. They follow nothing,
//! retry nothing and add nothing that the test did not ask for, but `Host` and `Content-Length` in
//! [`call`].

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

/// How long an answer may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields as they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
    /// Whether the server closed the connection (known only from [`raw`]).
    pub closed: bool,
}

impl Answer {
    /// The first value of a field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
    /// `code` of a problem document.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection that bytes go over.
pub trait Stream: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> Stream for T {}

/// A plain connection with [`PATIENCE`].
///
/// # Errors
/// The system's.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A TLS connection to `localhost` at an address, trusting one PEM file.
///
/// # Errors
/// If the handshake fails, or does not agree on `alpn` where one is asked for.
pub fn connect_tls(
    address: SocketAddr,
    ca: &Path,
    alpn: Option<&str>,
) -> Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    connect_tls_as(address, &client_config(ca)?, alpn)
}

/// The same as [`connect_tls`] for a client of one's own making.
///
/// # Errors
/// As there.
pub fn connect_tls_as(
    address: SocketAddr,
    config: &rustls::ClientConfig,
    alpn: Option<&str>,
) -> Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let mut own = config.clone();
    own.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost")?;
    let connection = rustls::ClientConnection::new(Arc::new(own), name)?;
    let mut stream = rustls::StreamOwned::new(connection, connect(address)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    if stream.conn.alpn_protocol() != alpn.map(str::as_bytes) {
        bail!("the server did not agree on {alpn:?}");
    }
    Ok(stream)
}

/// TLS of a client that trusts one PEM file.
///
/// # Errors
/// If the file can't be read.
pub fn client_config(ca: &Path) -> Result<rustls::ClientConfig> {
    Ok(trusting(ca)?.with_no_client_auth())
}

/// The first half of a client's TLS: it trusts one PEM file, and shows what it is given next.
///
/// # Errors
/// If the file can't be read.
pub fn trusting(
    ca: &Path,
) -> Result<rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// Sends bytes as they are and reads the first final answer.
///
/// # Errors
/// If there is none.
pub fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Result<Answer> {
    let mut stream = connect(address)?;
    // The server may refuse and close before it read everything.
    let _ = stream.write_all(bytes.as_ref());
    first_answer(&mut stream)
}

/// The same, then waits up to 5 s for the server to close; says whether it did.
///
/// # Errors
/// If there is no answer.
pub fn raw_until_closed(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Result<Answer> {
    let mut stream = connect(address)?;
    let _ = stream.write_all(bytes.as_ref());
    let mut answer = first_answer(&mut stream)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut rest = [0u8; 4096];
    answer.closed = match stream.read(&mut rest) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    Ok(answer)
}

/// The same as [`raw`] over TLS.
///
/// # Errors
/// If there is no answer.
pub fn raw_tls(address: SocketAddr, ca: &Path, bytes: impl AsRef<[u8]>) -> Result<Answer> {
    let mut stream = connect_tls(address, ca, Some("http/1.1"))?;
    stream.write_all(bytes.as_ref())?;
    first_answer(&mut stream)
}

/// Reads one final answer of HTTP/1.1, past interim ones.
///
/// # Errors
/// If the connection ends or times out first, or what comes is no HTTP.
pub fn first_answer(stream: &mut impl Stream) -> Result<Answer> {
    answer_to(stream, true)
}

/// `with_body`: false for the answer to `HEAD`.
fn answer_to(stream: &mut impl Stream, with_body: bool) -> Result<Answer> {
    let mut bytes = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (head, at) = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break (bytes[..at].to_vec(), at + 4);
            }
            more(stream, &mut bytes, deadline)?;
        };
        let mut answer = head_of(&head)?;
        if answer.status < 200 && answer.status != 101 {
            bytes.drain(..at);
            continue;
        }
        bytes.drain(..at);
        if !with_body || answer.status == 204 || answer.status == 304 || answer.status == 101 {
            return Ok(answer);
        }
        let chunked = answer.header("transfer-encoding").is_some();
        let length = answer
            .header("content-length")
            .map(str::parse::<usize>)
            .transpose()?;
        match length {
            _ if chunked => loop {
                if let Some(body) = unchunk(&bytes) {
                    answer.body = body;
                    return Ok(answer);
                }
                more(stream, &mut bytes, deadline)?;
            },
            Some(length) => {
                while bytes.len() < length {
                    more(stream, &mut bytes, deadline)?;
                }
                bytes.truncate(length);
                answer.body = bytes;
                return Ok(answer);
            }
            None => {
                while more(stream, &mut bytes, deadline).is_ok() {}
                answer.body = bytes;
                return Ok(answer);
            }
        }
    }
}

fn more(stream: &mut impl Stream, bytes: &mut Vec<u8>, deadline: Instant) -> Result<()> {
    let mut chunk = [0u8; 16 * 1024];
    let read = stream.read(&mut chunk).context("waiting for an answer")?;
    if read == 0 || Instant::now() > deadline || bytes.len() > 64 * 1024 * 1024 {
        bail!(
            "no whole answer, only {:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
        );
    }
    bytes.extend_from_slice(&chunk[..read]);
    Ok(())
}

fn head_of(head: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("this is no answer: {text:?}"))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Answer {
        status,
        headers,
        ..Answer::default()
    })
}

/// The body of a whole chunked message; `None` if it is not whole yet.
#[must_use]
pub fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(bytes, b"\r\n")?;
        let line = core::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return (bytes.starts_with(b"\r\n") || find(bytes, b"\r\n\r\n").is_some())
                .then_some(body);
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}

/// Where one run of bytes stands in another.
#[must_use]
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// A call over a connection of its own; `Host` and `Content-Length` are added unless given.
///
/// # Errors
/// If there is no answer.
pub fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut stream = connect(address)?;
    let _ = stream.write_all(&request(address, method, target, headers, body));
    answer_to(&mut stream, method != "HEAD")
}

/// A `GET`.
///
/// # Errors
/// If there is no answer.
pub fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    call(address, "GET", target, headers, b"")
}

/// The bytes of a request.
#[must_use]
pub fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let has = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        text.push_str(&format!("host: {address}\r\n"));
    }
    if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The runtime of the asynchronous callers.
///
/// # Panics
/// If the system gives no threads.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the callers")
    })
}

/// A call by HTTP/2 over TLS (`ca` given) or with prior knowledge, on a connection of its own. The
/// request's URI must be absolute (`http://host/path`): `:authority` and `:path` come from it.
///
/// # Errors
/// If there is no answer.
pub fn http2(
    address: SocketAddr,
    ca: Option<&Path>,
    request: http::Request<Vec<u8>>,
) -> Result<Answer> {
    let config = ca.map(client_config).transpose()?.map(Arc::new);
    http2_as(address, config, request)
}

/// The same as [`http2`] for a client of one's own making.
///
/// # Errors
/// As there.
pub fn http2_as(
    address: SocketAddr,
    config: Option<Arc<rustls::ClientConfig>>,
    request: http::Request<Vec<u8>>,
) -> Result<Answer> {
    runtime().block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let calling = async {
            match config {
                None => exchange_http2(TokioIo::new(stream), request).await,
                Some(config) => {
                    let mut own = (*config).clone();
                    own.alpn_protocols = vec![b"h2".to_vec()];
                    let stream = tokio_rustls::TlsConnector::from(Arc::new(own))
                        .connect(ServerName::try_from("localhost")?, stream)
                        .await?;
                    exchange_http2(TokioIo::new(stream), request).await
                }
            }
        };
        tokio::time::timeout(PATIENCE, calling).await?
    })
}

async fn exchange_http2<S>(stream: S, request: http::Request<Vec<u8>>) -> Result<Answer>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    let connection = tokio::spawn(connection);
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let answer = sender.send_request(request).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    connection.abort();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    Ok(Answer {
        status: head.status.as_u16(),
        headers,
        body,
        closed: false,
    })
}

/// What came back on one HTTP/2 stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Http2Reply {
    /// A header block, still packed (RFC 7541).
    Head(Vec<u8>),
    /// The stream was reset.
    Reset(u32),
    /// The connection is ended.
    Away(u32),
    /// The connection was closed without a word.
    Closed,
}

impl Http2Reply {
    /// Whether it is `:status: 200`: entry 8 of the static table stands first (RFC 7541 A).
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Head(block) if block.iter().find(|byte| **byte >> 5 != 1) == Some(&0x88))
    }
}

/// The beginning of a connection: preface and empty settings.
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame (RFC 9113 §4.1).
#[must_use]
pub fn http2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block of literals without indexing (RFC 7541 §6.2.2), as they are given.
#[must_use]
pub fn http2_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).unwrap_or(0));
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push(u8::try_from(length % 128).unwrap_or(0) | 128);
                    length /= 128;
                }
                block.push(u8::try_from(length).unwrap_or(0));
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Sends one request of HTTP/2 with exactly these fields, pseudo-headers among them, which no
/// well-bred client would send.
///
/// # Errors
/// If nothing comes back in time.
pub fn http2_fields(address: SocketAddr, fields: &[(&str, &str)]) -> Result<Http2Reply> {
    let mut stream = connect(address)?;
    let mut bytes = HTTP2_PREFACE.to_vec();
    bytes.extend(http2_frame(1, 0x4 | 0x1, 1, &http2_block(fields)));
    stream.write_all(&bytes)?;
    http2_reply(&mut stream, 1)
}

/// Reads frames until something is said about a stream or the connection ends.
///
/// # Errors
/// If nothing comes in time.
pub fn http2_reply(stream: &mut impl Stream, wanted: u32) -> Result<Http2Reply> {
    loop {
        let mut head = [0u8; 9];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                bail!("nothing was said about stream {wanted}");
            }
            Err(_) => return Ok(Http2Reply::Closed),
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let about = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let mut payload = vec![0u8; length];
        if stream.read_exact(&mut payload).is_err() {
            return Ok(Http2Reply::Closed);
        }
        let word = |at: usize| {
            payload
                .get(at..at + 4)
                .map_or(0, |w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]))
        };
        match head[3] {
            1 if about == wanted => return Ok(Http2Reply::Head(payload)),
            3 if about == wanted => return Ok(Http2Reply::Reset(word(0))),
            7 => return Ok(Http2Reply::Away(word(4))),
            _ => {}
        }
    }
}
