//! `sign …`: signs one request on this machine and prints it as a file for `curl -K -`, or as JSON.
//! Nothing is sent, and nothing is asked of a server: what is signed is what was given.

mod client_jwt;
mod dpop;
mod http_signature;
mod paseto;
mod sigv4;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proof::digest::sha256;
use proof::hmac_request;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::time::Timestamp;
use proof::webhook::{self, PrivateKey, SharedKey, StandardKey, Style};
use registry::units::Moment;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use url::Url;

use super::failure::{Failure, Outcome};
use super::input;
use super::screen::Screen;

/// Largest body that is read to be signed.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// How to sign.
#[derive(Debug, Subcommand)]
pub(crate) enum SignAct {
    /// Doorward's own plain HMAC scheme
    Hmac(HmacArgs),
    /// AWS Signature Version 4, in the header or as a presigned URL
    #[command(name = "sigv4")]
    SigV4(sigv4::SigV4Args),
    /// An HTTP message signature (RFC 9421)
    HttpSignature(http_signature::HttpSignatureArgs),
    /// A DPoP proof (RFC 9449)
    Dpop(dpop::DpopArgs),
    /// A JWT that an OAuth client signs for this one call (`client_jwt`)
    ClientJwt(client_jwt::ClientJwtArgs),
    /// A PASETO access token, as a foreign issuer with this key would make it
    Paseto(paseto::PasetoArgs),
    /// Signs nothing: prints the public half of a private key as a key set, to be registered
    Jwks(JwksArgs),
    /// A webhook, as its sender would sign it
    Webhook(WebhookArgs),
}

/// The request to sign.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestArgs {
    /// The whole URL
    url: String,
    /// The method; default GET, with a body POST
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<String>,
    /// A header field, `name: value`; may stand several times
    #[arg(short = 'H', long, value_name = "FIELD")]
    header: Vec<String>,
    /// File with the body
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Sign as of this time (RFC 3339) instead of now, to see how an old signature fares
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// A signing key of Doorward.
#[derive(Debug, Clone, Args)]
pub(crate) struct SecretArgs {
    /// The key's public name (`DWAK…`)
    #[arg(long, value_name = "ID")]
    key_id: String,
    /// File with its secret; `-` for standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    secret_file: PathBuf,
}

/// `sign hmac`
#[derive(Debug, Clone, Args)]
pub(crate) struct HmacArgs {
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    secret: SecretArgs,
}

/// `sign jwks`
#[derive(Debug, Clone, Args)]
pub(crate) struct JwksArgs {
    /// File with the private key: PKCS#8 in PEM, P-256, Ed25519 or RSA
    #[arg(long, value_name = "FILE")]
    private_key_file: PathBuf,
}

/// `sign webhook`
#[derive(Debug, Clone, Args)]
pub(crate) struct WebhookArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// Whose way of signing: standard-webhooks, stripe, github, slack or shopify
    #[arg(long, value_parser = style)]
    style: Style,
    /// File with the secret, or with a private key `whsk_…`; `-` for standard input. May stand
    /// several times for standard-webhooks, which signs with each
    #[arg(long, value_name = "FILE", default_value = "-")]
    secret_file: Vec<PathBuf>,
    /// The delivery's id; default a new one
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
}

fn style(text: &str) -> Result<Style, String> {
    Style::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Style::ALL.iter().map(|one| one.name()).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// `sign …`
pub(crate) fn run(act: SignAct, screen: Screen) -> Outcome<()> {
    let signed = match act {
        SignAct::Hmac(args) => hmac(args, screen.now),
        SignAct::SigV4(args) => sigv4::sign(args, screen.now),
        SignAct::HttpSignature(args) => http_signature::sign(args, screen.now),
        SignAct::Dpop(args) => dpop::sign(args, screen.now),
        SignAct::ClientJwt(args) => client_jwt::sign(args, screen.now),
        SignAct::Paseto(args) => paseto::sign(args, screen.now),
        SignAct::Jwks(args) => return jwks(&args, screen),
        SignAct::Webhook(args) => signed_webhook(args, screen.now),
    }?;
    if screen.is_json() {
        screen.json(&signed)
    } else {
        screen.exactly(signed.for_curl().trim_end())
    }
}

/// A request in the making.
struct Draft {
    url: Url,
    method: Method,
    headers: HeaderMap,
    authority: String,
    body: Vec<u8>,
    body_file: Option<PathBuf>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Signed {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_file: Option<PathBuf>,
}

impl Draft {
    fn read(args: RequestArgs) -> Outcome<Self> {
        let url = Url::parse(&args.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none())
            .ok_or_else(|| Failure::usage(format!("`{}` is no http or https URL.", args.url)))?;
        let body = args.body_file.as_deref().map(body).transpose()?;
        let method = match &args.request {
            Some(text) => Method::from_bytes(text.as_bytes())
                .map_err(|_| Failure::usage(format!("`{text}` is no method.")))?,
            None if body.is_some() => Method::POST,
            None => Method::GET,
        };
        let authority = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let mut draft = Self {
            url,
            method,
            headers: HeaderMap::new(),
            authority,
            body: body.unwrap_or_default(),
            body_file: args.body_file,
        };
        for field in &args.header {
            let pair = field.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::try_from(name.trim()).ok()?;
                Some((name, HeaderValue::try_from(value.trim()).ok()?))
            });
            let (name, value) = pair.ok_or_else(|| {
                Failure::usage(format!("`{field}` is no header field.")).next("write `name: value`")
            })?;
            draft.headers.append(name, value);
        }
        Ok(draft)
    }

    fn lent(&self) -> SignedHead<'_> {
        SignedHead {
            method: self.method.as_str(),
            scheme: self.url.scheme(),
            authority: &self.authority,
            path: self.url.path(),
            query: self.url.query(),
            headers: &self.headers,
        }
    }

    fn done(self, added: Vec<(HeaderName, HeaderValue)>) -> Signed {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        Signed {
            method: self.method.to_string(),
            url: self.url.to_string(),
            headers: own
                .chain(added)
                .map(|(name, value)| (name.to_string(), text(&value)))
                .collect(),
            body_file: self.body_file,
        }
    }
}

impl Signed {
    /// A file for `curl -K`: what stands in quotes is escaped as its manual says.
    fn for_curl(&self) -> String {
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut out = format!("url = {}\nrequest = {}\n", quoted(&self.url), self.method);
        for (name, value) in &self.headers {
            out.push_str(&format!(
                "header = {}\n",
                quoted(&format!("{name}: {value}"))
            ));
        }
        if let Some(file) = &self.body_file {
            let at = format!("@{}", file.display());
            // Whatever curl would call the body by itself was not signed.
            if !self.headers.iter().any(|(name, _)| name == "content-type") {
                out.push_str("header = \"Content-Type:\"\n");
            }
            out.push_str(&format!("data-binary = {}\n", quoted(&at)));
        }
        out
    }
}

fn body(file: &Path) -> Outcome<Vec<u8>> {
    use std::io::Read as _;
    let unreadable = |error: std::io::Error| {
        Failure::new(format!("{} can not be read: {error}.", file.display()))
    };
    let mut body = Vec::new();
    std::fs::File::open(file)
        .map_err(unreadable)?
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut body)
        .map_err(unreadable)?;
    if body.len() as u64 > MAX_BODY_BYTES {
        return Err(Failure::usage("The body is larger than 64 MiB."));
    }
    Ok(body)
}

/// The time that was asked for, or now.
fn time(written: Option<&str>, now: Timestamp) -> Outcome<Timestamp> {
    let Some(text) = written else {
        return Ok(now);
    };
    text.parse::<Moment>()
        .map(|moment| moment.0)
        .map_err(|error| Failure::usage(format!("`{text}`: {error}.")))
}

fn unsignable(defect: &dyn core::fmt::Display) -> Failure {
    Failure::usage(format!("The request can not be signed: {defect}."))
}

fn hmac(args: HmacArgs, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let draft = Draft::read(args.request)?;
    let secret = input::secret(&args.secret.secret_file, "secret")?;
    let nonce = random_base62(24, &SystemEntropy);
    let value = hmac_request::sign(
        &draft.lent(),
        &sha256(&draft.body),
        &args.secret.key_id,
        &secret,
        &nonce,
        now,
    )
    .ok_or_else(|| Failure::usage("The key's name is not one that can be sent."))?;
    let value = HeaderValue::from_bytes(value.expose()).map_err(|defect| unsignable(&defect))?;
    Ok(draft.done(vec![(http::header::AUTHORIZATION, value)]))
}

fn jwks(args: &JwksArgs, screen: Screen) -> Outcome<()> {
    let pem = input::secret(&args.private_key_file, "private key")?;
    let key = private_key(pem.expose(), Algorithm::PS256)?;
    let set = serde_json::json!({ "keys": [key.public_jwk().to_json()] });
    if screen.is_json() {
        screen.json(&set)
    } else {
        screen.exactly(&set.to_string())
    }
}

fn signed_webhook(args: WebhookArgs, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let mut request = args.request;
    // Senders post, an empty body too.
    request.request.get_or_insert_with(|| "POST".to_owned());
    let draft = Draft::read(request)?;
    let id = args
        .id
        .unwrap_or_else(|| format!("msg_{}", random_base62(24, &SystemEntropy)));
    let secrets = args
        .secret_file
        .iter()
        .map(|file| input::secret(file, "secret"))
        .collect::<Outcome<Vec<_>>>()?;
    let fields = if args.style == Style::StandardWebhooks {
        standard(&secrets, &id, &draft.body, now)?
    } else {
        let [secret] = secrets.as_slice() else {
            return Err(Failure::usage("This style signs with one secret."));
        };
        let key = SharedKey::read(args.style, secret).map_err(|defect| unsignable(&defect))?;
        webhook::sign(args.style, &key, &id, &draft.body, now)
            .map_err(|defect| unsignable(&defect))?
    };
    Ok(draft.done(fields))
}

/// Standard Webhooks: a signature by each secret or private key.
fn standard(
    secrets: &[Secret],
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Outcome<Vec<(HeaderName, HeaderValue)>> {
    enum Own {
        Shared(SharedKey),
        Private(PrivateKey),
    }
    let read = |secret: &Secret| {
        if secret.expose().starts_with(b"whsk_") {
            PrivateKey::read(secret).map(Own::Private)
        } else {
            SharedKey::read(Style::StandardWebhooks, secret).map(Own::Shared)
        }
    };
    let own = secrets
        .iter()
        .map(read)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|defect| {
            unsignable(&defect)
                .next("standard-webhooks takes `whsec_` or `whsk_` and base64 behind it")
        })?;
    let keys: Vec<_> = own
        .iter()
        .map(|key| match key {
            Own::Shared(key) => StandardKey::Shared(key),
            Own::Private(key) => StandardKey::Private(key),
        })
        .collect();
    webhook::sign_standard(&keys, id, body, now)
        .map(Vec::from)
        .map_err(|defect| unsignable(&defect))
}

/// A private key in PKCS#8: P-256, Ed25519, or RSA, which is used with this algorithm.
fn private_key(pem: &[u8], rsa: Algorithm) -> Outcome<SigningKey> {
    private_key_for(pem, &[Algorithm::ES256, Algorithm::EdDSA, rsa])
}

/// The same for the first of these algorithms that it is a key of.
fn private_key_for(pem: &[u8], algorithms: &[Algorithm]) -> Outcome<SigningKey> {
    let wrong = || {
        Failure::usage("The private key is not PKCS#8 in PEM, P-256, Ed25519 or RSA.")
            .next("`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one")
    };
    let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pem).map_err(|_| wrong())? else {
        return Err(wrong());
    };
    let der = Secret::new(der.secret_pkcs8_der());
    algorithms
        .iter()
        .find_map(|algorithm| SigningKey::from_pkcs8(*algorithm, &der).ok())
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key as its file holds it.
    pub(super) fn pem(key: &SigningKey) -> String {
        let der = key.to_pkcs8().expect("encoded");
        let text = proof::base64std::encode(der.expose());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    #[test]
    fn what_is_printed_for_curl_says_what_was_signed_and_nothing_else() {
        let signed = Signed {
            method: "POST".to_owned(),
            url: "https://api.example/orders?note=\"a\\b\"".to_owned(),
            headers: vec![("authorization".to_owned(), "Scheme a=\"b\"".to_owned())],
            body_file: Some("order.json".into()),
        };
        assert_eq!(
            signed.for_curl(),
            "url = \"https://api.example/orders?note=\\\"a\\\\b\\\"\"\nrequest = POST\n\
             header = \"authorization: Scheme a=\\\"b\\\"\"\nheader = \"Content-Type:\"\n\
             data-binary = \"@order.json\"\n"
        );
    }

    #[test]
    fn a_private_key_is_taken_in_pkcs8_alone() {
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
            let key = SigningKey::generate(algorithm).expect("a key");
            let read = private_key(pem(&key).as_bytes(), Algorithm::PS256).expect("readable");
            assert_eq!(read.kid(), key.kid());
        }
        assert!(private_key(b"nonsense", Algorithm::PS256).is_err());
        assert!(
            private_key(
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                Algorithm::PS256
            )
            .is_err()
        );
    }
}
