//! **The gateway's own credential towards a pool**: prepared when a configuration is, written into
//! each request after everything else, taken out of whatever answers carry it back in a field.
//!
//! It belongs to a pool, so it can't reach another server than the pool's. Whoever calls neither
//! sees it nor can put one of their own beside it. Without it nothing is sent. What it can't do is
//! keep an upstream from repeating it in a body.

use std::path::Path;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use outbound::client_auth::ClientAuth;
use outbound::clock::SystemClock;
use outbound::fetch::Fetcher;
use outbound::tokens::{NoToken, Token, TokenEndpoint, TokenSource};
use proof::base64std;
use proof::digest::sha256;
use proof::random::{SystemEntropy, uuid_v7};
use proof::request::SignedHead;
use proof::secret::Secret;
use proof::sigv4::{Payload, Signer};
use registry::api::stored::{ClientProof, SecretSource, StoredClient, StoredCredential};
use smallvec::{SmallVec, smallvec};
use verdict::call::spelled_like;

use super::connect::PoolError;
use crate::body::{BodyError, RequestBody};
use crate::held::Held;
use crate::plane::clock;

/// Largest file that is read as a secret.
const MAX_SECRET_FILE: u64 = 64 * 1024;
/// Shorter texts are not looked for in answers: they stand there by chance.
const SHORTEST_ECHO: usize = 8;

/// Makes signatures of calls that are alike differ, as AWS's own programs do it.
const INVOCATION: HeaderName = HeaderName::from_static("amz-sdk-invocation-id");

/// See the module.
pub(crate) struct Credential {
    meaning: StoredCredential,
    /// As read, to know whether it is still the same.
    secrets: SmallVec<[Secret; 2]>,
    header: HeaderName,
    /// That one and the others that are written with it.
    fields: Vec<HeaderName>,
    form: Form,
}

enum Form {
    /// One value for every call, and the texts that give it away.
    Field {
        value: HeaderValue,
        echoes: SmallVec<[Secret; 2]>,
    },
    /// A token that is kept fresh.
    Token(Arc<TokenSource>),
    /// A signature over what is sent.
    SigV4 {
        access_key_id: Box<str>,
        region: Box<str>,
        service: Box<str>,
        body_buffer: u64,
        unsigned_payload: bool,
    },
}

/// What one call shows.
pub(crate) enum Shown {
    /// What the credential holds.
    Held,
    /// The token that was good when the call began.
    Token(Arc<Token>),
}

impl core::fmt::Debug for Credential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Credential({}, ***)", self.header)
    }
}

impl Credential {
    /// Reads the secrets and prepares what can be. `before` are credentials in use: one that means
    /// the same is used further, and a token outlives a new client secret.
    ///
    /// # Errors
    /// [`PoolError::Credential`] when a secret can't be had.
    pub(crate) fn prepare(
        meaning: &StoredCredential,
        fetcher: Option<&Arc<Fetcher>>,
        before: impl Iterator<Item = Arc<Self>>,
    ) -> Result<Arc<Self>, PoolError> {
        let secrets = secrets_of(meaning)?;
        let mut former = None;
        for one in before.filter(|one| one.meaning == *meaning) {
            let same = |(old, new): (&Secret, &Secret)| old.matches(new.expose());
            if one.secrets.iter().zip(&secrets).all(same) {
                return Ok(one);
            }
            former = Some(one);
        }
        let form = match meaning {
            StoredCredential::Key { scheme, .. } => {
                let key = text_of(&secrets[0])?;
                let value = match scheme {
                    Some(scheme) => Secret::from_text(format!("{scheme} {key}")),
                    None => secrets[0].duplicate(),
                };
                Form::Field {
                    value: field_of(&value)?,
                    echoes: smallvec![secrets[0].duplicate()],
                }
            }
            StoredCredential::Basic { username, .. } => {
                let pair = Secret::from_text(format!("{username}:{}", text_of(&secrets[0])?));
                let encoded = Secret::from_text(base64std::encode(pair.expose()));
                let value = format!("Basic {}", encoded.expose_text().unwrap_or_default());
                Form::Field {
                    value: field_of(&Secret::from_text(value))?,
                    echoes: smallvec![encoded, secrets[0].duplicate()],
                }
            }
            StoredCredential::Client(client) => {
                let Some(fetcher) = fetcher else {
                    return Err(PoolError::Credential(
                        "no client for tokens here".to_owned(),
                    ));
                };
                let source = tokens(client, &secrets, fetcher)?;
                if let Some(Self {
                    form: Form::Token(former),
                    ..
                }) = former.as_deref()
                {
                    source.take_over(former);
                }
                Form::Token(source)
            }
            StoredCredential::SigV4 {
                access_key_id,
                region,
                service,
                body_buffer,
                unsigned_payload,
                ..
            } => Form::SigV4 {
                access_key_id: access_key_id.as_str().into(),
                region: region.as_str().into(),
                service: service.as_str().into(),
                body_buffer: *body_buffer,
                unsigned_payload: *unsigned_payload,
            },
        };
        Ok(Arc::new(Self {
            meaning: meaning.clone(),
            secrets,
            header: meaning.header().clone(),
            fields: meaning.fields(),
            form,
        }))
    }

    /// Whether a caller's field would stand beside the credential, in some spelling.
    pub(crate) fn claims(&self, name: &HeaderName) -> bool {
        let alike = |own: &HeaderName| spelled_like(name.as_str(), own.as_str());
        self.fields.iter().any(alike)
    }

    /// The header that it stands in.
    pub(crate) fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Reads a body as far as it has to be known before it is sent.
    ///
    /// # Errors
    /// [`BodyError`], also where it is longer than what is read and may not go unsigned.
    pub(crate) async fn gather(
        &self,
        body: RequestBody,
        held: Held,
    ) -> Result<RequestBody, BodyError> {
        let Form::SigV4 {
            body_buffer,
            unsigned_payload,
            ..
        } = &self.form
        else {
            return Ok(body);
        };
        if body.whole().is_some() {
            return Ok(body);
        }
        let known = http_body::Body::size_hint(&body).exact();
        match known {
            Some(length) if length <= *body_buffer => body.gathered(*body_buffer, held).await,
            None if !unsigned_payload => body.gathered(*body_buffer, held).await,
            _ if *unsigned_payload => Ok(body),
            _ => Err(BodyError::TooLarge),
        }
    }

    /// What a call that begins now shows. Waits only where no good token is there.
    pub(crate) async fn show(&self) -> Result<Shown, NoToken> {
        match &self.form {
            Form::Token(source) => source.token().await.map(Shown::Token),
            Form::Field { .. } | Form::SigV4 { .. } => Ok(Shown::Held),
        }
    }

    /// Whether what a 401 refuses can be replaced.
    pub(crate) fn is_renewed(&self) -> bool {
        matches!(self.form, Form::Token(_))
    }

    /// The upstream answered 401 to what was shown. Whether another try is worth it.
    pub(crate) fn refused(&self, shown: &Shown) -> bool {
        match (&self.form, shown) {
            (Form::Token(source), Shown::Token(token)) => source.refused(token),
            _ => false,
        }
    }

    /// Writes the credential into a request that is otherwise complete.
    ///
    /// # Errors
    /// What of the request can't be signed.
    pub(crate) fn write(
        &self,
        shown: &Shown,
        method: &Method,
        host: &HeaderValue,
        target: &PathAndQuery,
        headers: &mut HeaderMap,
        body: &RequestBody,
    ) -> Result<(), Box<str>> {
        match (&self.form, shown) {
            (Form::Field { value, .. }, _) => {
                headers.insert(self.header.clone(), value.clone());
            }
            (Form::Token(_), Shown::Token(token)) => {
                headers.insert(AUTHORIZATION, token.field().clone());
            }
            (Form::Token(_), Shown::Held) => return Err("no token was shown".into()),
            (
                Form::SigV4 {
                    access_key_id,
                    region,
                    service,
                    ..
                },
                _,
            ) => {
                let payload = match body.whole() {
                    Some(bytes) => Payload::Hash(sha256(bytes)),
                    None => Payload::Unsigned,
                };
                let secret = self.secrets.first().ok_or("no key")?;
                let signer = Signer::new(access_key_id, secret, region, service);
                // Time counts in seconds, so that two calls alike would have one signature, and
                // the second would look like a replay.
                let now = clock();
                let invocation = HeaderValue::from_str(&uuid_v7(now, &SystemEntropy))
                    .map_err(|_| "no invocation id")?;
                headers.insert(INVOCATION, invocation);
                let head = SignedHead {
                    method: method.as_str(),
                    scheme: "https",
                    authority: host.to_str().map_err(|_| "Host can't be signed")?,
                    path: target.path(),
                    query: target.query(),
                    headers,
                };
                let signed = signer
                    .sign(&head, payload, &[INVOCATION], now)
                    .map_err(|defect| defect.to_string())?;
                for (name, value) in signed.headers {
                    headers.insert(name, value);
                }
            }
        }
        Ok(())
    }

    /// Takes fields out of an answer in which the upstream repeats the credential (threat J6).
    pub(crate) fn keep_back(&self, shown: &Shown, headers: &mut HeaderMap) {
        let gives_away = |value: &HeaderValue| match (&self.form, shown) {
            (Form::Field { echoes, .. }, _) => echoes.iter().any(|echo| holds(value, echo)),
            (Form::Token(_), Shown::Token(token)) => holds(value, token.text()),
            _ => self.secrets.iter().any(|secret| holds(value, secret)),
        };
        let gone: SmallVec<[HeaderName; 2]> = headers
            .iter()
            .filter(|(_, value)| gives_away(value))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &gone {
            headers.remove(name);
            tracing::warn!(field = %name, "an upstream repeated the gateway's credential; the field was taken out of its answer");
        }
    }

    /// Has a token ready before the first call asks for it.
    pub(crate) fn warm(&self) {
        if let Form::Token(source) = &self.form {
            source.warm();
        }
    }
}

fn holds(value: &HeaderValue, secret: &Secret) -> bool {
    let (text, secret) = (value.as_bytes(), secret.expose());
    secret.len() >= SHORTEST_ECHO
        && text.len() >= secret.len()
        && text.windows(secret.len()).any(|part| part == secret)
}

fn field_of(text: &Secret) -> Result<HeaderValue, PoolError> {
    let mut value = HeaderValue::from_bytes(text.expose())
        .map_err(|_| PoolError::Credential("the secret can't stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn text_of(secret: &Secret) -> Result<&str, PoolError> {
    secret
        .expose_text()
        .ok_or_else(|| PoolError::Credential("the secret is no text".to_owned()))
}

/// Everything that has to be read for a credential.
fn secrets_of(meaning: &StoredCredential) -> Result<SmallVec<[Secret; 2]>, PoolError> {
    Ok(match meaning {
        StoredCredential::Key { secret, .. } | StoredCredential::SigV4 { secret, .. } => {
            smallvec![secret_of(secret)?]
        }
        StoredCredential::Basic { password, .. } => smallvec![secret_of(password)?],
        StoredCredential::Client(client) => match &client.proof {
            ClientProof::Secret { secret, .. } => smallvec![secret_of(secret)?],
            ClientProof::Key { file, .. } => smallvec![file_of(file)?],
            ClientProof::Certificate(own) => {
                smallvec![file_of(&own.certificate_file)?, file_of(&own.key_file)?]
            }
        },
    })
}

fn secret_of(source: &SecretSource) -> Result<Secret, PoolError> {
    let (place, read) = match source {
        SecretSource::File(path) => (path.display().to_string(), file_of(path)?),
        SecretSource::Environment(name) => {
            let value = std::env::var(name).map_err(|_| {
                PoolError::Credential(format!("the environment variable {name} is not set"))
            })?;
            (name.clone(), Secret::from_text(value))
        }
    };
    let trimmed = Secret::new(read.expose().trim_ascii());
    let plain = |b: &u8| !b.is_ascii_control();
    if trimmed.is_empty() || !trimmed.expose().iter().all(plain) {
        return Err(PoolError::Credential(format!(
            "{place} does not hold a secret: it is empty, or has several lines"
        )));
    }
    Ok(trimmed)
}

fn file_of(path: &Path) -> Result<Secret, PoolError> {
    let bad =
        |cause: String| PoolError::Credential(format!("{} can't be read: {cause}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?;
    if size.len() > MAX_SECRET_FILE {
        return Err(bad("it is larger than 64 KiB".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    Ok(Secret::new(bytes))
}

fn tokens(
    client: &StoredClient,
    secrets: &[Secret],
    fetcher: &Arc<Fetcher>,
) -> Result<Arc<TokenSource>, PoolError> {
    let bad = |cause: &dyn core::fmt::Display| PoolError::Credential(cause.to_string());
    let id = &client.client_id;
    let who = match (&client.proof, secrets) {
        (ClientProof::Secret { in_form: false, .. }, [secret]) => {
            ClientAuth::basic(id, secret.duplicate())
        }
        (ClientProof::Secret { in_form: true, .. }, [secret]) => {
            ClientAuth::in_form(id, secret.duplicate())
        }
        (ClientProof::Key { audience, .. }, [key]) => ClientAuth::key(id, key, None, audience),
        (ClientProof::Certificate(_), [chain, key]) => {
            let certificate = fetcher
                .client_certificate(chain.expose(), key)
                .map_err(|error| bad(&error))?;
            ClientAuth::certificate(id, certificate)
        }
        _ => return Err(bad(&"the client's secrets are incomplete")),
    };
    let endpoint = TokenEndpoint {
        fetcher: fetcher.clone(),
        url: client.token_url.clone(),
        client: who.map_err(|defect| bad(&defect))?,
        scope: client.scope.clone(),
        audience: client.audience.clone(),
        resource: client.resource.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let origin = client.token_url.origin().ascii_serialization();
    let name = format!("{id} at {origin}");
    Ok(TokenSource::new(
        name,
        Arc::new(endpoint),
        Arc::new(SystemEntropy),
    ))
}
