//! What is sent, and where to: the checked parts of a URL, and a request of the fetcher's own making.

use core::net::IpAddr;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::{FetchFailure, Form, Inquiry, Posted};

/// What is sent.
pub(super) enum Message<'a> {
    Get {
        accept: &'static str,
    },
    IfChanged {
        etag: Option<&'a str>,
        max_bytes: usize,
    },
    Post {
        form: String,
    },
    Ask(Form<'a>),
    Json(Posted),
    Inquiry(Inquiry),
}

/// Where plain http may go.
#[derive(Clone, Copy)]
pub(super) enum Plain {
    /// To loopback alone.
    Loopback,
    /// Wherever https may.
    Checked,
}

/// The checked parts of a URL.
pub(super) struct Target<'a> {
    pub(super) host: Host<&'a str>,
    pub(super) port: u16,
    /// `None`: it is https.
    pub(super) plain: Option<Plain>,
}

impl<'a> Target<'a> {
    pub(super) fn of(url: &'a Url, plain: Option<Plain>) -> Result<Self, FetchFailure> {
        let plain = match (url.scheme(), plain) {
            ("https", _) => None,
            ("http", Some(plain)) => Some(plain),
            _ => return Err(FetchFailure::Scheme),
        };
        let clean =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) if clean => Ok(Self { host, port, plain }),
            _ => Err(FetchFailure::Url),
        }
    }

    pub(super) fn server_name(&self) -> Result<ServerName<'static>, FetchFailure> {
        Ok(match self.host {
            Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(address).into()),
            Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(address).into()),
            Host::Domain(name) => {
                ServerName::try_from(name.to_owned()).map_err(|_| FetchFailure::Url)?
            }
        })
    }

    pub(super) fn request(
        &self,
        url: &Url,
        message: Message<'_>,
    ) -> Result<Request<Full<Bytes>>, FetchFailure> {
        let host = match url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let request = Request::builder()
            .uri(target)
            .header(HOST, host)
            .header(USER_AGENT, HeaderValue::from_static("doorward"));
        match message {
            Message::Get { accept } => request
                .header(ACCEPT, HeaderValue::from_static(accept))
                .body(Full::default()),
            Message::IfChanged { etag, .. } => {
                let mut request = request.header(ACCEPT, HeaderValue::from_static("*/*"));
                if let Some(etag) = etag {
                    request = request.header(IF_NONE_MATCH, etag);
                }
                request.body(Full::default())
            }
            Message::Post { form } => request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::from(form)),
            Message::Inquiry(inquiry) => request
                .method(Method::POST)
                .header(ACCEPT, HeaderValue::from_static(inquiry.accept))
                .header(CONTENT_TYPE, HeaderValue::from_static(inquiry.content_type))
                .body(Full::from(inquiry.body)),
            Message::Json(posted) => {
                let mut request = request
                    .method(Method::POST)
                    .header(CONTENT_TYPE, "application/json");
                for (name, value) in posted.fields {
                    request = request.header(name, value);
                }
                request.body(Full::from(posted.body))
            }
            Message::Ask(form) => {
                let mut request = request
                    .method(Method::POST)
                    .header(ACCEPT, HeaderValue::from_static(form.accept))
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
                if let Some(shown) = form.authorization {
                    let mut value =
                        HeaderValue::from_bytes(shown.expose()).map_err(|_| FetchFailure::Url)?;
                    value.set_sensitive(true);
                    request = request.header(AUTHORIZATION, value);
                }
                request.body(Full::from(Bytes::copy_from_slice(form.body.expose())))
            }
        }
        .map_err(|_| FetchFailure::Url)
    }
}
