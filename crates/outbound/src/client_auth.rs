//! **Being a client of somebody else's issuer**: how this installation shows who it is when it asks
//! an endpoint of another authorization server (introspection, tokens).
//!
//! | by | what is sent |
//! |---|---|
//! | a secret | `Authorization: Basic`, both halves form-encoded first (RFC 6749 §2.3.1); or, for servers that take nothing else, in the form |
//! | a key | a signed assertion that lives for a minute and is used once (`private_key_jwt`, RFC 7523 §2.2) |
//! | a certificate | the TLS handshake (RFC 8705 §2), and `client_id` in the form |
//!
//! It refuses to know what is asked: that is the caller's, as are caching and limits. Nothing here is
//! printed: what shows who we are stands in types that mask themselves.

use core::fmt;
use core::time::Duration;

use proof::base64std;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::jwt::Claims;
use proof::jose::key::SigningKey;
use proof::random::{Entropy, random_base62};
use proof::secret::Secret;
use proof::time::Timestamp;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use url::{Url, form_urlencoded};

use crate::fetch::{Answered, ClientCertificate, FetchError, Fetcher, Form};

/// How long an assertion lives. It is made for one request.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// The type of an assertion that is a JWT (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Algorithms that a key without a named one is tried for, in this order.
const USUAL: [Algorithm; 4] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
];

/// Why this installation can't show who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientAuthDefect {
    /// The client id or the secret is empty.
    #[error("the client id or its secret is empty")]
    Empty,
    /// The text is no PEM with a private key (PKCS#8, not encrypted).
    #[error("this is no private key: PEM with PKCS#8, not encrypted")]
    NotAKey,
    /// The key can't sign with the algorithm, or with any that is taken.
    #[error("the key does not fit the algorithm")]
    Algorithm,
}

/// One client at one authorization server.
pub struct ClientAuth {
    client_id: Box<str>,
    means: Means,
}

enum Means {
    Basic(Secret),
    InForm(Secret),
    Key { key: SigningKey, audience: Box<str> },
    Certificate(ClientCertificate),
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method();
        write!(f, "ClientAuth({}, {method}, ***)", self.client_id)
    }
}

/// What is asked of an endpoint.
#[derive(Debug)]
pub struct Question<'a> {
    /// The endpoint.
    pub url: &'a Url,
    /// The media types that are understood.
    pub accept: &'static str,
    /// The form, without what shows who asks.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Time for the whole exchange.
    pub total_time: Duration,
    /// Largest answer, in bytes.
    pub max_bytes: usize,
}

impl ClientAuth {
    /// A client with a secret (`client_secret_basic`).
    ///
    /// # Errors
    /// [`ClientAuthDefect::Empty`].
    pub fn basic(client_id: &str, secret: Secret) -> Result<Self, ClientAuthDefect> {
        Self::with_secret(client_id, secret, Means::Basic)
    }

    /// A client whose secret goes in the form (`client_secret_post`), where the server takes nothing
    /// else.
    ///
    /// # Errors
    /// [`ClientAuthDefect::Empty`].
    pub fn in_form(client_id: &str, secret: Secret) -> Result<Self, ClientAuthDefect> {
        Self::with_secret(client_id, secret, Means::InForm)
    }

    fn with_secret(
        client_id: &str,
        secret: Secret,
        means: impl FnOnce(Secret) -> Means,
    ) -> Result<Self, ClientAuthDefect> {
        if secret.is_empty() {
            return Err(ClientAuthDefect::Empty);
        }
        Self::new(client_id, means(secret))
    }

    /// A client with a key (`private_key_jwt`): PEM with PKCS#8. `audience` is what its assertions
    /// are for: the server's issuer identifier. Without an `algorithm` it is the key's usual one:
    /// ES256, ES384, EdDSA, RS256. The key is named by its RFC 7638 thumbprint.
    ///
    /// # Errors
    /// [`ClientAuthDefect`].
    pub fn key(
        client_id: &str,
        key_pem: &Secret,
        algorithm: Option<Algorithm>,
        audience: &str,
    ) -> Result<Self, ClientAuthDefect> {
        let der = match PrivateKeyDer::from_pem_slice(key_pem.expose()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => Secret::new(der.secret_pkcs8_der()),
            Ok(_) | Err(_) => return Err(ClientAuthDefect::NotAKey),
        };
        let tried = match &algorithm {
            Some(only) => core::slice::from_ref(only),
            None => &USUAL[..],
        };
        let key = tried
            .iter()
            .find_map(|algorithm| SigningKey::from_pkcs8(*algorithm, &der).ok())
            .ok_or(ClientAuthDefect::Algorithm)?;
        let audience = audience.into();
        Self::new(client_id, Means::Key { key, audience })
    }

    /// A client with a certificate (`tls_client_auth`, `self_signed_tls_client_auth`).
    ///
    /// # Errors
    /// [`ClientAuthDefect::Empty`].
    pub fn certificate(
        client_id: &str,
        certificate: ClientCertificate,
    ) -> Result<Self, ClientAuthDefect> {
        Self::new(client_id, Means::Certificate(certificate))
    }

    fn new(client_id: &str, means: Means) -> Result<Self, ClientAuthDefect> {
        if client_id.is_empty() {
            return Err(ClientAuthDefect::Empty);
        }
        let client_id = client_id.into();
        Ok(Self { client_id, means })
    }

    /// Who we are there.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The method's registered name (RFC 7591 §2); of certificates the general one.
    pub fn method(&self) -> &'static str {
        match &self.means {
            Means::Basic(_) => "client_secret_basic",
            Means::InForm(_) => "client_secret_post",
            Means::Key { .. } => "private_key_jwt",
            Means::Certificate(_) => "tls_client_auth",
        }
    }

    /// Asks as this client, and hands out the answer, whatever its status.
    ///
    /// # Errors
    /// [`FetchError`], for the log.
    pub async fn ask(
        &self,
        fetcher: &Fetcher,
        question: &Question<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Answered, FetchError> {
        let form = self.form(question, now, entropy);
        fetcher.ask_form(question.url, form).await
    }

    fn form(&self, question: &Question<'_>, now: Timestamp, entropy: &dyn Entropy) -> Form<'_> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(question.parameters);
        let (mut authorization, mut certificate) = (None, None);
        match &self.means {
            Means::Basic(secret) => authorization = Some(self.authorization(secret)),
            Means::InForm(secret) => {
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_secret", &String::from_utf8_lossy(secret.expose()));
            }
            Means::Key { key, audience } => {
                form.append_pair("client_assertion_type", ASSERTION_TYPE);
                let assertion = self.assertion(key, audience, now, entropy);
                form.append_pair("client_assertion", &assertion);
            }
            Means::Certificate(own) => {
                form.append_pair("client_id", &self.client_id);
                certificate = Some(own);
            }
        }
        Form {
            body: Secret::from_text(form.finish()),
            authorization,
            certificate,
            accept: question.accept,
            total_time: question.total_time,
            max_bytes: question.max_bytes,
        }
    }

    /// RFC 6749 §2.3.1: each half is form-encoded before the two are joined, so that a colon in an
    /// id is not taken for the one between them.
    fn authorization(&self, secret: &Secret) -> Secret {
        let mut pair: String = form_urlencoded::byte_serialize(self.client_id.as_bytes()).collect();
        pair.push(':');
        pair.extend(form_urlencoded::byte_serialize(secret.expose()));
        let pair = Secret::from_text(pair);
        Secret::from_text(format!("Basic {}", base64std::encode(pair.expose())))
    }

    fn assertion(
        &self,
        key: &SigningKey,
        audience: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        let claims = Claims {
            iss: Some(self.client_id.to_string()),
            sub: Some(self.client_id.to_string()),
            aud: vec![audience.to_owned()],
            iat: Some(now),
            exp: Some(now.plus(ASSERTION_LIFETIME)),
            jti: Some(random_base62(22, entropy)),
            ..Claims::default()
        };
        jws::sign(key, "JWT", &claims.to_json())
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};
    use core::pin::Pin;
    use std::sync::Arc;

    use proof::jose::jwt::{self, Expect};
    use proof::random::SystemEntropy;
    use proof::time::Leeway;

    use super::*;
    use crate::fetch::tests::{Authority, Server, loopback_listed, ok};
    use crate::fetch::{FetchFailure, Resolve};

    struct Loopback;

    impl Resolve for Loopback {
        fn resolve<'a>(
            &'a self,
            _host: &'a str,
            _port: u16,
        ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'a>> {
            Box::pin(core::future::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])))
        }
    }

    fn fetcher(authority: &Authority) -> Fetcher {
        let options = loopback_listed(authority.trust());
        Fetcher::with_resolver(options, Arc::new(Loopback)).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn secret(text: &str) -> Secret {
        Secret::from_text(text.to_owned())
    }

    async fn asked(
        auth: &ClientAuth,
        fetcher: &Fetcher,
        url: &Url,
    ) -> Result<Answered, FetchError> {
        let question = Question {
            url,
            accept: "application/json",
            parameters: &[("token", "a b&c")],
            total_time: Duration::from_secs(3),
            max_bytes: 1000,
        };
        auth.ask(fetcher, &question, now(), &SystemEntropy).await
    }

    fn pem(algorithm: Algorithm) -> (Secret, SigningKey) {
        let key = SigningKey::generate(algorithm).unwrap();
        let text = base64std::encode(key.to_pkcs8().unwrap().expose());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        (Secret::from_text(pem), key)
    }

    fn member<'a>(request: &'a str, name: &str) -> Option<std::borrow::Cow<'a, str>> {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        form_urlencoded::parse(body.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    #[tokio::test]
    async fn a_secret_is_form_encoded_and_then_basic() {
        let authority = Authority::new();
        let server = Server::start(Some(authority.server("as.example", |_| ())), ok("{}")).await;
        let fetcher = fetcher(&authority);
        let auth = ClientAuth::basic("a:b c", secret("p+%é")).unwrap();
        let answered = asked(&auth, &fetcher, &server.url("as.example"))
            .await
            .unwrap();
        assert_eq!(
            (answered.status.as_u16(), &*answered.body),
            (200, &b"{}"[..])
        );
        let sent = server.last.lock().clone();
        // `a%3Ab+c:p%2B%25%C3%A9`
        let expected = "authorization: Basic YSUzQWIrYzpwJTJCJTI1JUMzJUE5\r\n";
        assert!(sent.contains(expected), "{sent}");
        assert!(sent.starts_with("POST /keys?a=b HTTP/1.1\r\n"), "{sent}");
        assert!(sent.ends_with("\r\n\r\ntoken=a+b%26c"), "{sent}");

        let auth = ClientAuth::in_form("shop", secret("p+%")).unwrap();
        asked(&auth, &fetcher, &server.url("as.example"))
            .await
            .unwrap();
        let sent = server.last.lock().clone();
        assert!(!sent.contains("authorization"), "{sent}");
        assert_eq!(member(&sent, "client_secret").as_deref(), Some("p+%"));
        assert_eq!(member(&sent, "client_id").as_deref(), Some("shop"));
    }

    #[tokio::test]
    async fn a_key_signs_an_assertion_for_one_server_once() {
        let authority = Authority::new();
        let server = Server::start(Some(authority.server("as.example", |_| ())), ok("{}")).await;
        let (pem, key) = pem(Algorithm::ES256);
        let auth = ClientAuth::key("shop", &pem, None, "https://as.example").unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            asked(&auth, &fetcher(&authority), &server.url("as.example"))
                .await
                .unwrap();
            let sent = server.last.lock().clone();
            assert_eq!(
                member(&sent, "client_assertion_type").as_deref(),
                Some(ASSERTION_TYPE)
            );
            let assertion = member(&sent, "client_assertion").unwrap();
            let payload = jws::split(assertion.as_bytes())
                .unwrap()
                .verify(&key.verifying_key().unwrap())
                .unwrap();
            let claims = Claims::parse(&payload).unwrap();
            let expect = Expect {
                issuer: "shop",
                audiences: &["https://as.example"],
                typ: &["JWT"],
                typ_may_be_absent: false,
                require: &["jti", "iat"],
                max_lifetime: Some(Duration::from_secs(60)),
                leeway: Leeway::default(),
            };
            jwt::check(&claims, payload.typ(), &expect, now()).unwrap();
            assert_eq!(claims.sub.as_deref(), Some("shop"));
            ids.push(claims.jti.unwrap());
        }
        assert_ne!(ids[0], ids[1]);
    }

    #[tokio::test]
    async fn a_certificate_is_shown_to_a_server_that_demands_one() {
        let authority = Authority::new();
        let server =
            Server::start(Some(authority.server_for_its_own("as.example")), ok("{}")).await;
        let fetcher = fetcher(&authority);
        let url = server.url("as.example");
        let (certificate, key) = authority.certificate("shop.example");
        let key = Secret::from_text(key.serialize_pem());
        let own = fetcher
            .client_certificate(certificate.pem().as_bytes(), &key)
            .unwrap();
        let auth = ClientAuth::certificate("shop", own).unwrap();
        asked(&auth, &fetcher, &url).await.unwrap();
        assert_eq!(
            member(&server.last.lock().clone(), "client_id").as_deref(),
            Some("shop")
        );
        let without = ClientAuth::basic("shop", secret("s")).unwrap();
        let refused = asked(&without, &fetcher, &url).await.unwrap_err();
        let failure = refused.failure;
        assert!(
            matches!(failure, FetchFailure::Tls(_) | FetchFailure::Http(_)),
            "{failure}"
        );
        assert!(fetcher.client_certificate(b"", &key).is_err());
    }

    #[tokio::test]
    async fn errors_are_answers_and_redirects_and_flows_without_end_are_none() {
        let authority = Authority::new();
        let server = Server::start(Some(authority.server("as.example", |_| ())), ok("{}")).await;
        let (fetcher, url) = (fetcher(&authority), server.url("as.example"));
        let auth = ClientAuth::basic("shop", secret("s")).unwrap();
        let body = r#"{"error":"invalid_client"}"#;
        *server.answer.lock() = format!(
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: Application/JSON; charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes();
        let answered = asked(&auth, &fetcher, &url).await.unwrap();
        assert_eq!(answered.status.as_u16(), 401);
        assert_eq!(answered.media_type, "application/json");
        assert_eq!(answered.body, body);
        for (answer, code) in [
            (
                "HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\n\r\n",
                "fetch-status",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
                "fetch-too-large",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
                "fetch-encoded",
            ),
        ] {
            *server.answer.lock() = answer.into();
            let refused = asked(&auth, &fetcher, &url).await.unwrap_err();
            assert_eq!(refused.failure.code(), code);
        }
    }

    #[test]
    fn what_shows_nothing_is_refused_before_it_is_used() {
        let (ec, _) = pem(Algorithm::ES256);
        let (rsa, _) = pem(Algorithm::RS256);
        let key = |pem: &Secret, algorithm| ClientAuth::key("shop", pem, algorithm, "a").err();
        assert_eq!(key(&ec, None), None);
        assert_eq!(key(&rsa, None), None);
        assert_eq!(key(&rsa, Some(Algorithm::PS256)), None);
        assert_eq!(
            key(&ec, Some(Algorithm::PS256)),
            Some(ClientAuthDefect::Algorithm)
        );
        assert_eq!(
            key(&secret("nothing"), None),
            Some(ClientAuthDefect::NotAKey)
        );
        let empty = ClientAuth::basic("shop", secret("")).err();
        assert_eq!(empty, Some(ClientAuthDefect::Empty));
        let empty = ClientAuth::basic("", secret("s")).err();
        assert_eq!(empty, Some(ClientAuthDefect::Empty));
    }

    #[test]
    fn i01_a_client_masks_what_it_shows() {
        let auth = ClientAuth::basic("shop", secret("hunter2")).unwrap();
        assert_eq!(
            format!("{auth:?}"),
            "ClientAuth(shop, client_secret_basic, ***)"
        );
    }
}
