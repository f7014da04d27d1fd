//! **How commands reach a server**: one HTTP/1.1 request per connection, and the admin API on top
//! of it. An admin key is read from a file or the environment, never from the command line, and is
//! not sent over plain HTTP to anything but loopback. Redirects are not followed: a key goes where
//! it was meant to go.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use proof::secret::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;
use web::admin::view::ProblemView;

use super::Global;
use super::failure::{Failure, Outcome};

/// Where `doorward dev` serves its admin API, and most installations theirs.
const USUAL_ADDRESS: &str = "http://127.0.0.1:8082";
/// Time for a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Largest key file: a key is well under 200 bytes.
const MOST_KEY_BYTES: u64 = 4096;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The whole body.
    pub(crate) body: Bytes,
}

/// A way to make requests.
pub(crate) struct Http {
    tls: Arc<rustls::ClientConfig>,
}

impl Http {
    /// Trusts the CAs of a PEM file, or the public web's where none is given.
    pub(crate) fn new(ca_file: Option<&Path>) -> Outcome<Self> {
        let mut roots = rustls::RootCertStore::empty();
        match ca_file {
            Some(path) => {
                let unusable = |error: String| {
                    Failure::new(format!(
                        "The CA file {} can not be used: {error}.",
                        path.display()
                    ))
                    .next("give a PEM file with one certificate at least")
                };
                let certificates = CertificateDer::pem_file_iter(path)
                    .map_err(|error| unusable(error.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                    roots
                        .add(certificate)
                        .map_err(|error| unusable(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(unusable("it holds no certificate".to_owned()));
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("TLS can not be set up: {error}.")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: Arc::new(config),
        })
    }

    /// Makes one request and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Outcome<Answer> {
        let at = origin(url);
        match tokio::time::timeout(TIMEOUT, self.exchange(method, url, headers, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::new(format!(
                "{at} did not answer within {} s.",
                TIMEOUT.as_secs()
            ))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Outcome<Answer> {
        let at = origin(url);
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Failure::usage(format!("`{url}` names no host.")));
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((bare, port)).await.map_err(|error| {
            Failure::new(format!("{at} can not be reached: {error}."))
                .next("check that Doorward runs there (`doorward dev`, `doorward serve`) and that the URL is right")
        })?;
        let mut request = Request::builder()
            .method(method)
            .uri(target(url))
            .header(HOST, authority(url));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .header(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|error| Failure::usage(format!("`{url}` can not be called: {error}.")))?;
        if url.scheme() == "https" {
            let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
                Failure::usage(format!("`{bare}` can not be the name of a TLS server."))
            })?;
            let tls = tokio_rustls::TlsConnector::from(self.tls.clone());
            let stream = tls.connect(name, tcp).await.map_err(|error| {
                Failure::new(format!("No secure connection to {at}: {error}."))
                    .next("if its certificate is of your own CA, give that with --ca-file")
            })?;
            over(stream, request, &at).await
        } else {
            over(tcp, request, &at).await
        }
    }
}

async fn over<S>(stream: S, request: Request<Full<Bytes>>, at: &str) -> Outcome<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken =
        |error: hyper::Error| Failure::new(format!("The exchange with {at} broke: {error}."));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with the exchange; what went wrong shows there.
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST_BYTES)
        .collect()
        .await
        .map_err(|error| Failure::new(format!("The answer of {at} can not be read: {error}.")))?
        .to_bytes();
    driver.abort();
    Ok(Answer { status, body })
}

fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), authority(url))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn target(url: &Url) -> String {
    url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    )
}

/// Whether a URL leads to this machine, or the way there is encrypted.
pub(crate) fn is_safe_for_secrets(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// The admin API of a running Doorward.
pub(crate) struct AdminClient {
    http: Http,
    base: Url,
    key: Secret,
}

impl AdminClient {
    /// For the URL and key that the flags and the environment name.
    pub(crate) fn new(global: &Global) -> Outcome<Self> {
        let address = global.admin_url.as_deref().unwrap_or(USUAL_ADDRESS);
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Failure::usage(format!("`{address}` is not the URL of an admin API.")).next(
                    "give one like http://127.0.0.1:8082 with --admin-url or DOORWARD_ADMIN_URL",
                )
            })?;
        if !is_safe_for_secrets(&base) {
            return Err(Failure::new(format!(
                "An admin key is not sent over plain HTTP to {}.",
                authority(&base)
            ))
            .next("use https, or a tunnel to the loopback address of that machine"));
        }
        let http = Http::new(global.ca_file.as_deref())?;
        Ok(Self {
            http,
            base,
            key: admin_key(global)?,
        })
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        typed(self.call(Method::GET, path, None::<&()>).await?)
    }
    /// Asks for an act.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Outcome<T> {
        typed(self.call(Method::POST, path, Some(body)).await?)
    }
    /// Writes something whole.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Outcome<T> {
        typed(self.call(Method::PUT, path, Some(body)).await?)
    }
    /// Changes something.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Outcome<T> {
        typed(self.call(Method::PATCH, path, Some(body)).await?)
    }
    /// Removes something.
    pub(crate) async fn delete(&self, path: &str) -> Outcome<()> {
        self.call(Method::DELETE, path, None::<&()>).await.map(drop)
    }

    async fn call<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Outcome<Value> {
        let url = self
            .base
            .join(path.trim_start_matches('/'))
            .map_err(|error| Failure::usage(format!("`{path}` can not be asked for: {error}.")))?;
        let key = self.key.expose_text().unwrap_or_default();
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
            Failure::new("The admin key holds characters that no key has.").next(KEY_STEP)
        })?;
        bearer.set_sensitive(true);
        let mut headers = vec![
            (AUTHORIZATION, bearer),
            (
                ACCEPT,
                HeaderValue::from_static("application/json, application/problem+json"),
            ),
        ];
        let bytes = match body {
            Some(body) => {
                headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
                serde_json::to_vec(body).map(Bytes::from).map_err(|error| {
                    Failure::usage(format!("What was given can not be sent: {error}."))
                })?
            }
            None => Bytes::new(),
        };
        let answer = self.http.send(method, &url, &headers, bytes).await?;
        if answer.status.is_success() {
            if answer.body.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&answer.body).map_err(|_| {
                Failure::new(format!(
                    "{} answered something that is not JSON.",
                    origin(&url)
                ))
                .next("check that --admin-url is the admin API's address")
            });
        }
        Err(refusal(&answer, &url))
    }
}

const KEY_STEP: &str = "put a valid key into DOORWARD_ADMIN_KEY, or its file into --admin-key-file";

fn typed<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    serde_json::from_value(value).map_err(|error| {
        Failure::new(format!("The answer has an unknown form: {error}."))
            .next("use a `doorward` of the same version as the server's")
    })
}

/// A refusal in words.
fn refusal(answer: &Answer, url: &Url) -> Failure {
    let Ok(problem) = serde_json::from_slice::<ProblemView>(&answer.body) else {
        return Failure::new(format!("{} answered {}.", origin(url), answer.status))
            .next("check that --admin-url is the admin API's address");
    };
    let mut sentence = problem.title.clone();
    if let Some(detail) = &problem.detail {
        sentence = format!("{sentence} {detail}");
    }
    let failure = Failure::new(sentence).lines(
        problem
            .errors
            .iter()
            .map(|flaw| {
                let document = flaw.document.as_deref().unwrap_or_default();
                let hint = flaw
                    .hint
                    .as_ref()
                    .map(|hint| format!(" ({hint})"))
                    .unwrap_or_default();
                format!("{} {}: {}{hint}", document, flaw.path, flaw.message)
                    .trim_start()
                    .to_owned()
            })
            .collect(),
    );
    let failure = failure.problem(&problem.code);
    match problem.code.as_str() {
        // What the admin API lacks, it says by `not-found`.
        "no-route" => Failure::new(format!(
            "Nothing is found here: {} is no admin API, or one of another version.",
            origin(url)
        ))
        .next("name the listener that has `serves: [admin]` by --admin-url or DOORWARD_ADMIN_URL"),
        "credential-missing" | "credential-refused" => failure.next(KEY_STEP),
        "action-not-allowed" | "role-missing" => {
            failure.next("ask an administrator with a higher role")
        }
        "conflict" => failure.next("look at it as it is now, then try again"),
        "managed-by-file" => failure.next("change the settings file that declares it"),
        "rate-limited" | "overloaded" | "temporarily-unavailable" => {
            failure.next("try again in a moment")
        }
        "internal-error" => failure.next(format!(
            "the server's log has the cause under request {}",
            problem.request_id
        )),
        _ => failure,
    }
}

/// Where `doorward dev` leaves its first admin key.
pub(crate) fn dev_key_file(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let data = match env("XDG_DATA_HOME").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env("HOME").filter(|home| !home.is_empty())?).join(".local/share"),
    };
    Some(data.join("doorward/dev/admin.key"))
}

fn admin_key(global: &Global) -> Outcome<Secret> {
    admin_key_of(global.admin_key_file.as_deref(), &|name| {
        std::env::var(name).ok()
    })
}

/// The flag before the environment, the key itself before its file, what was asked for before what
/// `doorward dev` left.
fn admin_key_of(flag: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Outcome<Secret> {
    if let Some(path) = flag {
        return key_file(path);
    }
    if let Some(key) = env("DOORWARD_ADMIN_KEY").filter(|key| !key.is_empty()) {
        return Ok(Secret::from_text(key.trim().to_owned()));
    }
    if let Some(path) = env("DOORWARD_ADMIN_KEY_FILE").filter(|path| !path.is_empty()) {
        return key_file(Path::new(&path));
    }
    match dev_key_file(env).filter(|path| path.exists()) {
        Some(path) => key_file(&path),
        None => Err(Failure::new("No admin key was given.").next(KEY_STEP)),
    }
}

fn key_file(path: &Path) -> Outcome<Secret> {
    let unreadable = |why: String| {
        Failure::new(format!(
            "The admin key file {} can not be read: {why}.",
            path.display()
        ))
        .next(KEY_STEP)
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > MOST_KEY_BYTES {
        return Err(unreadable("it is too large to hold a key".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let key = text.trim();
    if key.is_empty() {
        return Err(unreadable("it is empty".to_owned()));
    }
    Ok(Secret::from_text(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn an_admin_key_goes_over_tls_or_loopback_only() {
        for (url, safe) in [
            ("http://127.0.0.1:8082", true),
            ("http://[::1]:8082", true),
            ("http://localhost:8082", true),
            ("https://door.example", true),
            ("http://door.example", false),
            ("http://10.0.0.1:8082", false),
            ("http://localhost.example", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(
                is_safe_for_secrets(&Url::parse(url).unwrap()),
                safe,
                "{url}"
            );
        }
    }

    #[test]
    fn the_key_is_taken_from_flag_then_environment_then_dev() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let flag = file("flag", "of-flag\n");
        let named = file("named", "of-file");
        file("doorward/dev/admin.key", "of-dev\n");
        let data = folder.path().to_str().unwrap();
        let found = |flag: Option<&Path>, set: &[(&str, &str)]| {
            admin_key_of(flag, &env(set))
                .unwrap()
                .expose_text()
                .unwrap()
                .to_owned()
        };
        let named = named.to_str().unwrap();
        let all = [
            ("DOORWARD_ADMIN_KEY", "of-env"),
            ("DOORWARD_ADMIN_KEY_FILE", named),
            ("XDG_DATA_HOME", data),
        ];
        assert_eq!(found(Some(&flag), &all), "of-flag");
        assert_eq!(found(None, &all), "of-env");
        assert_eq!(found(None, &all[1..]), "of-file");
        assert_eq!(found(None, &all[2..]), "of-dev");
    }

    #[test]
    fn an_empty_or_missing_key_file_is_an_error_with_a_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, " \n").unwrap();
        for path in [empty, folder.path().join("missing")] {
            let failure = admin_key_of(Some(&path), &env(&[])).unwrap_err();
            assert!(
                failure.to_string().contains("DOORWARD_ADMIN_KEY"),
                "{failure}"
            );
            assert_eq!(failure.code(), 1);
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_where_and_what_to_do() {
        let body = br#"{"type":"urn:doorward:error:invalid-request","title":"The request is not valid.","status":400,
            "code":"invalid-request","request_id":"r1","errors":[{"document":"Api/orders","index":0,
            "path":"spec.routes[2].path","message":"no template","hint":"write `/orders`"}]}"#;
        let answer = Answer {
            status: StatusCode::BAD_REQUEST,
            body: Bytes::from_static(body),
        };
        let failure = refusal(&answer, &Url::parse("http://127.0.0.1:8082").unwrap());
        assert_eq!(
            failure.to_string(),
            "The request is not valid.\n  Api/orders spec.routes[2].path: no template (write `/orders`)"
        );
    }
}
