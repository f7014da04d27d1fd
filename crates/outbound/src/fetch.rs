//! **The outgoing HTTP client**: one GET or POST to a configured URL, or a reason why not.
//!
//! It is for key sets, metadata and the endpoints of other issuers: small documents from places that
//! an operator wrote down. It speaks https only (http to loopback where development allows it, and for
//! an [`Inquiry`], whose answer is signed), follows no redirect, and connects to the very address that [`address::check`] let pass, so that a second answer of the
//! name server can't lead it elsewhere. The whole exchange has one deadline, the answer one size
//! limit. It refuses to carry cookies, compression, or a URL with user information; a credential goes
//! along in a [`Form`] alone, which [`crate::client_auth`] fills.

use core::fmt;
use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use proof::secret::Secret;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::address::{self, AddressClass};
use crate::trust::{Trust, TrustError};

mod request;
use request::{Message, Plain, Target};

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// What a fetcher may do.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Whom it trusts.
    pub trust: Trust,
    /// Networks that may be called although they are not public.
    pub listed: Vec<IpNet>,
    /// Whether `http` to loopback addresses is allowed. For development alone.
    pub allow_insecure_loopback: bool,
    /// Time for the whole exchange: name, connection, handshake, answer.
    pub total_time: Duration,
    /// Time for connecting to one address.
    pub connect_time: Duration,
    /// Largest body accepted, in bytes.
    pub max_bytes: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            trust: Trust::public(),
            listed: Vec::new(),
            allow_insecure_loopback: false,
            total_time: Duration::from_secs(5),
            connect_time: Duration::from_secs(2),
            max_bytes: 1024 * 1024,
        }
    }
}

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, in order of preference.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
}

/// The operating system's resolver, with its hosts file and search rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, port)).await?;
            Ok(found
                .map(|address| address.ip())
                .take(MAX_ADDRESSES)
                .collect())
        })
    }
}

/// Why a fetch failed: which host, and what. Safe to log; the URL's path and query are left out.
#[derive(Debug, thiserror::Error)]
#[error("fetching from {host} failed: {failure}")]
pub struct FetchError {
    /// Scheme, host and port.
    pub host: String,
    /// What went wrong.
    pub failure: FetchFailure,
}

/// What went wrong in a fetch.
#[derive(Debug, thiserror::Error)]
pub enum FetchFailure {
    /// The URL is not https (or http to loopback where that is allowed).
    #[error("only https is allowed")]
    Scheme,
    /// The URL has no host, or carries user information or a fragment.
    #[error("the URL has no host, or carries user information or a fragment")]
    Url,
    /// The name can't be resolved.
    #[error("the name can not be resolved: {0}")]
    Name(io::Error),
    /// The name has no address that may be called.
    #[error("address {0} is {class} and not listed", class = .1.name())]
    Address(IpAddr, AddressClass),
    /// No address accepted the connection.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// The server's certificate does not hold, or TLS failed otherwise.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The exchange broke, or the server does not speak HTTP.
    #[error("HTTP: {0}")]
    Http(hyper::Error),
    /// A status other than 200 and 204. Redirects are never followed.
    #[error("status {0}")]
    Status(StatusCode),
    /// The body is larger than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body is compressed although nobody asked for it.
    #[error("the body has a content coding")]
    Encoded,
    /// The deadline passed.
    #[error("no answer within {0:?}")]
    Time(Duration),
}

impl FetchFailure {
    /// Stable kebab-case code for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Scheme => "fetch-scheme",
            Self::Url => "fetch-url",
            Self::Name(_) => "fetch-name",
            Self::Address(..) => "fetch-address",
            Self::Connect(_) => "fetch-connect",
            Self::Tls(_) => "fetch-tls",
            Self::Http(_) => "fetch-http",
            Self::Status(_) => "fetch-status",
            Self::TooLarge(_) => "fetch-too-large",
            Self::Encoded => "fetch-encoded",
            Self::Time(_) => "fetch-time",
        }
    }
}

/// A form to be posted, and what its answer may be.
#[derive(Debug)]
pub struct Form<'a> {
    /// The form, encoded (`application/x-www-form-urlencoded`).
    pub body: Secret,
    /// `Authorization`, if the sender shows who it is there.
    pub authorization: Option<Secret>,
    /// The certificate to show, if the sender shows who it is by that.
    pub certificate: Option<&'a ClientCertificate>,
    /// The media types that are understood.
    pub accept: &'static str,
    /// Time for the whole exchange, where it is shorter than the fetcher's own.
    pub total_time: Duration,
    /// Largest body accepted, in bytes, where it is smaller than the fetcher's own.
    pub max_bytes: usize,
}

/// What was answered to a form. Redirects don't come out, and nothing that is compressed.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The media type, in lower case and without parameters; empty if there is none.
    pub media_type: String,
    /// The body.
    pub body: Bytes,
}

/// JSON to be posted with fields of the sender's, where the status is all that counts.
#[derive(Debug)]
pub struct Posted {
    /// Fields beside `Host`, `User-Agent` and `Content-Type`.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The JSON.
    pub body: Bytes,
    /// Time for the whole exchange, in place of the fetcher's own.
    pub within: Duration,
}

/// What is asked where the answer is signed and not secret, so that the way there needs no protection:
/// plain http is good enough, as its servers mostly have it (RFC 6960 appendix A, RFC 5019 §5). Which
/// addresses may be called is judged as ever.
#[derive(Debug)]
pub struct Inquiry {
    /// What is posted.
    pub body: Bytes,
    /// Its media type.
    pub content_type: &'static str,
    /// The media type of the answer.
    pub accept: &'static str,
    /// Time for the whole exchange, in place of the fetcher's own.
    pub within: Duration,
    /// Largest answer, in bytes.
    pub max_bytes: usize,
}

/// The head of an answer, of a bounded size. The body behind it was not read.
#[derive(Debug)]
pub struct AnswerHead {
    /// The status; never a redirect.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
}
/// What came of asking for something that may be the same still.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is what it was (304, RFC 9110 §15.4.5).
    Unchanged,
    /// It is this.
    New {
        /// The body.
        body: Bytes,
        /// What names this state of it, to ask with the next time.
        etag: Option<String>,
    },
}

/// Longest `ETag` that is kept.
const MAX_ETAG: usize = 1_024;

/// A certificate of ours, ready to be shown to servers that a fetcher trusts.
#[derive(Clone)]
pub struct ClientCertificate(Arc<ClientConfig>);

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(***)")
    }
}

/// The client. Cheap to share; holds no connection between fetches.
pub struct Fetcher {
    tls: Arc<ClientConfig>,
    resolver: Arc<dyn Resolve>,
    options: FetchOptions,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A client with the operating system's resolver.
    ///
    /// # Errors
    /// [`TrustError`] if the roots or revocation lists can't be used.
    pub fn new(options: FetchOptions) -> Result<Self, TrustError> {
        Self::with_resolver(options, Arc::new(SystemResolver))
    }

    /// A client with another resolver.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_resolver(
        options: FetchOptions,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, TrustError> {
        Ok(Self {
            tls: options.trust.client_config()?,
            resolver,
            options,
        })
    }

    /// Fetches `url` and returns the body of a 200 answer.
    ///
    /// # Errors
    /// [`FetchError`], whose text names the host and what went wrong.
    pub async fn get(&self, url: &Url, accept: &'static str) -> Result<Bytes, FetchError> {
        let within = self.options.total_time;
        let answered = self.within(url, within, Message::Get { accept }).await?;
        Ok(answered.body)
    }

    /// Fetches `url` unless it is still what `etag` named. `within` and `max_bytes` take the place of
    /// the fetcher's own bounds, for what is larger than a key set.
    ///
    /// # Errors
    /// [`FetchError`], as for [`Fetcher::get`].
    pub async fn get_if_changed(
        &self,
        url: &Url,
        etag: Option<&str>,
        within: Duration,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        let message = Message::IfChanged { etag, max_bytes };
        let (answered, etag) = self.told(url, within, message).await?;
        Ok(match answered.status {
            StatusCode::NOT_MODIFIED => Fetched::Unchanged,
            _ => Fetched::New {
                body: answered.body,
                etag,
            },
        })
    }

    /// Posts a form (`application/x-www-form-urlencoded`) under the same rules. What is answered
    /// beside 200 or 204 is not looked at.
    ///
    /// # Errors
    /// [`FetchError`], for the log: any other status too.
    pub async fn post_form(&self, url: &Url, form: String) -> Result<(), FetchError> {
        let within = self.options.total_time;
        self.within(url, within, Message::Post { form })
            .await
            .map(drop)
    }

    /// Posts a form under the same rules, and hands out what is answered, whatever its status: an
    /// error of OAuth is an answer too (RFC 6749 §5.2).
    ///
    /// # Errors
    /// [`FetchError`]; a redirect is one.
    pub async fn ask_form(&self, url: &Url, form: Form<'_>) -> Result<Answered, FetchError> {
        let within = form.total_time.min(self.options.total_time);
        self.within(url, within, Message::Ask(form)).await
    }

    /// Asks, and returns the body of a 200 answer.
    ///
    /// # Errors
    /// [`FetchError`], as for [`Fetcher::get`].
    pub async fn inquire(&self, url: &Url, inquiry: Inquiry) -> Result<Bytes, FetchError> {
        let within = inquiry.within;
        let answered = self.within(url, within, Message::Inquiry(inquiry)).await?;
        Ok(answered.body)
    }

    /// Posts JSON under the same rules, and hands out the head of what is answered, whatever its
    /// status. The body is left unread, so that it can neither fail nor cost anything.
    ///
    /// # Errors
    /// [`FetchError`]; a redirect is one.
    pub async fn post(&self, url: &Url, posted: Posted) -> Result<AnswerHead, FetchError> {
        let within = posted.within;
        timeout_at(Instant::now() + within, self.head_of(url, posted))
            .await
            .unwrap_or(Err(FetchFailure::Time(within)))
            .map_err(|failure| FetchError {
                host: url.origin().ascii_serialization(),
                failure,
            })
    }

    async fn head_of(&self, url: &Url, posted: Posted) -> Result<AnswerHead, FetchFailure> {
        let target = Target::of(url, self.plain(false))?;
        let stream = self.connect(&self.addresses(&target).await?).await?;
        let request = target.request(url, Message::Json(posted))?;
        // The tasks end the connection when they are dropped.
        let (response, _tasks) = if target.plain.is_none() {
            let tls = TlsConnector::from(Arc::clone(&self.tls));
            let stream = tls
                .connect(target.server_name()?, stream)
                .await
                .map_err(FetchFailure::Tls)?;
            begin(stream, request).await?
        } else {
            begin(stream, request).await?
        };
        let (head, _) = response.into_parts();
        if head.status.is_redirection() {
            return Err(FetchFailure::Status(head.status));
        }
        Ok(AnswerHead {
            status: head.status,
            headers: head.headers,
        })
    }

    /// Reads a certificate to be shown to servers: PEM with the chain, leaf first, and PEM with its
    /// key.
    ///
    /// # Errors
    /// [`TrustError`] if they can't be read, or don't belong together.
    pub fn client_certificate(
        &self,
        chain_pem: &[u8],
        key_pem: &Secret,
    ) -> Result<ClientCertificate, TrustError> {
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| TrustError::NotPem("certificates"))?;
        if chain.is_empty() {
            return Err(TrustError::Empty("certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose())
            .map_err(|_| TrustError::NotPem("private keys"))?;
        let config = self
            .options
            .trust
            .client_config_showing(Some((chain, key)))?;
        Ok(ClientCertificate(config))
    }

    async fn within(
        &self,
        url: &Url,
        within: Duration,
        message: Message<'_>,
    ) -> Result<Answered, FetchError> {
        let (answered, _) = self.told(url, within, message).await?;
        Ok(answered)
    }

    /// The answer with its `ETag`.
    async fn told(
        &self,
        url: &Url,
        within: Duration,
        message: Message<'_>,
    ) -> Result<(Answered, Option<String>), FetchError> {
        timeout_at(Instant::now() + within, self.exchange(url, message))
            .await
            .unwrap_or(Err(FetchFailure::Time(within)))
            .map_err(|failure| FetchError {
                host: url.origin().ascii_serialization(),
                failure,
            })
    }

    async fn exchange(
        &self,
        url: &Url,
        message: Message<'_>,
    ) -> Result<(Answered, Option<String>), FetchFailure> {
        let signed = matches!(message, Message::Inquiry(_));
        let target = Target::of(url, self.plain(signed))?;
        let (tls, bounds) = match &message {
            Message::Ask(form) => (
                form.certificate.map_or(&self.tls, |shown| &shown.0),
                Bounds {
                    any_status: true,
                    unchanged: false,
                    max_bytes: form.max_bytes.min(self.options.max_bytes),
                },
            ),
            Message::IfChanged { etag, max_bytes } => (
                &self.tls,
                Bounds {
                    any_status: false,
                    unchanged: etag.is_some(),
                    max_bytes: *max_bytes,
                },
            ),
            Message::Inquiry(inquiry) => (
                &self.tls,
                Bounds {
                    any_status: false,
                    unchanged: false,
                    max_bytes: inquiry.max_bytes,
                },
            ),
            Message::Get { .. } | Message::Post { .. } | Message::Json(_) => (
                &self.tls,
                Bounds {
                    any_status: false,
                    unchanged: false,
                    max_bytes: self.options.max_bytes,
                },
            ),
        };
        let tls = Arc::clone(tls);
        let addresses = self.addresses(&target).await?;
        let stream = self.connect(&addresses).await?;
        let request = target.request(url, message)?;
        if target.plain.is_none() {
            let name = target.server_name()?;
            let stream = TlsConnector::from(tls)
                .connect(name, stream)
                .await
                .map_err(FetchFailure::Tls)?;
            ask(stream, request, &bounds).await
        } else {
            ask(stream, request, &bounds).await
        }
    }

    /// The addresses of the target that may be called.
    async fn addresses(&self, target: &Target<'_>) -> Result<Vec<SocketAddr>, FetchFailure> {
        let found = match target.host {
            Host::Ipv4(address) => vec![IpAddr::V4(address)],
            Host::Ipv6(address) => vec![IpAddr::V6(address)],
            Host::Domain(name) => self
                .resolver
                .resolve(name, target.port)
                .await
                .map_err(FetchFailure::Name)?,
        };
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            match self.judge(address, target.plain) {
                Ok(()) => allowed.push(SocketAddr::new(address, target.port)),
                Err(class) => refused = Some((address, class)),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, Some((address, class))) => Err(FetchFailure::Address(address, class)),
            (true, None) => Err(FetchFailure::Name(io::ErrorKind::NotFound.into())),
        }
    }

    fn judge(&self, address: IpAddr, plain: Option<Plain>) -> Result<(), AddressClass> {
        let loopback = self.options.allow_insecure_loopback && address.is_loopback();
        match plain {
            Some(_) if loopback => Ok(()),
            None | Some(Plain::Checked) => address::check(address, &self.options.listed),
            // Otherwise plain http never leaves the machine, whatever is listed.
            Some(Plain::Loopback) => Err(address::check(address, &[])
                .err()
                .unwrap_or(AddressClass::Reserved)),
        }
    }

    /// Where plain http may go; `None`: nowhere.
    fn plain(&self, signed: bool) -> Option<Plain> {
        match signed {
            true => Some(Plain::Checked),
            false => self
                .options
                .allow_insecure_loopback
                .then_some(Plain::Loopback),
        }
    }

    /// Connects to the first of the checked addresses that answers.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, FetchFailure> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match timeout(self.options.connect_time, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(FetchFailure::Connect(last))
    }
}

/// What an answer may be.
struct Bounds {
    /// Whether other statuses than 200 and 204 are answers.
    any_status: bool,
    /// Whether 304 is one: somebody asked whether there is a change.
    unchanged: bool,
    max_bytes: usize,
}

/// Sends a request and waits for the head of the answer. The set ends the connection's task when it
/// is dropped.
async fn begin<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), FetchFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .max_headers(100)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(FetchFailure::Http)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(FetchFailure::Http)?;
    Ok((response, tasks))
}

async fn ask<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    bounds: &Bounds,
) -> Result<(Answered, Option<String>), FetchFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (response, _tasks) = begin(stream, request).await?;
    let status = response.status();
    let is_answer = status == StatusCode::OK
        || status == StatusCode::NO_CONTENT
        || (bounds.unchanged && status == StatusCode::NOT_MODIFIED)
        || (bounds.any_status && !status.is_redirection() && !status.is_informational());
    if !is_answer {
        return Err(FetchFailure::Status(status));
    }
    let media_type = media_type(response.headers());
    let etag = etag(response.headers());
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        let answered = Answered {
            status,
            media_type,
            body: Bytes::new(),
        };
        return Ok((answered, etag));
    }
    if response.headers().contains_key(CONTENT_ENCODING) {
        return Err(FetchFailure::Encoded);
    }
    let max = bounds.max_bytes;
    let announced = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(FetchFailure::TooLarge(max));
    }
    let body = Limited::new(response.into_body(), max)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                return FetchFailure::TooLarge(max);
            }
            match error.downcast::<hyper::Error>() {
                Ok(error) => FetchFailure::Http(*error),
                Err(_) => FetchFailure::TooLarge(max),
            }
        })?;
    let answered = Answered {
        status,
        media_type,
        body: body.to_bytes(),
    };
    Ok((answered, etag))
}

/// RFC 9110 §8.8.3. One that can't be sent back as it is, is none.
fn etag(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(ETAG)?.to_str().ok()?;
    (text.len() <= MAX_ETAG).then(|| text.to_owned())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

#[cfg(test)]
pub(crate) mod tests;
