//! **Client registration over HTTP** (RFC 7591 §3, RFC 7592 §2): JSON in, JSON out, bearer tokens in
//! front. Bodies are bounded and read strictly; whatever is wrong with a token, and whether there is
//! such a client, is one answer. What may be registered is decided in `registry`.

use core::time::Duration;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use issuer::Issuer;
use issuer::flow::Flows;
use issuer::metadata::Endpoint;
use issuer::params::MAX_BODY;
use issuer::ports::{IssuerStore, Secrets};
use proof::random::Entropy;
use proof::secret::Secret;
use proof::time::Timestamp;
use registry::meaning::Context;
use registry::ports::Registry;
use registry::registration::{MetadataCode, MetadataFlaw, to_metadata};
use registry::usecase::registration::{self, Denial, Manager, Registered, Rules, Sectors};
use registry::usecase::{Ctx, Hasher, Refusal};
use serde::Serialize;
use serde_json::{Map, Value};
use verdict::identity::ClientId;
use verdict::problem::Code;

use crate::admitted::Caller;
use crate::protocol::Clock;
use crate::respond;

/// How often it is looked whether a client that was registered is in force on this node.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a client waits that met another change, or a store that does not answer.
const TRY_AGAIN: u64 = 5;

/// What registration works with.
pub struct Registrar<S, H, C> {
    /// Where clients are kept.
    pub store: Arc<S>,
    /// Hashes their secrets.
    pub hasher: Arc<H>,
    /// Fetches what clients publish of their sector.
    pub sectors: Arc<dyn Sectors>,
    /// Ends what a removed client was given.
    pub issuer: Arc<Issuer<S, C>>,
    /// What documents are read against.
    pub context: Arc<Context>,
    /// Who may register what.
    pub rules: Rules,
    /// Where names and secrets come from.
    pub entropy: Arc<dyn Entropy>,
    /// What time it is.
    pub clock: Clock,
    /// How long an answer waits at most for the new client to be in force on this node.
    pub patience: Duration,
}

impl<S, H, C> core::fmt::Debug for Registrar<S, H, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registrar")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// The endpoints of registration. The issuer's [`issuer::metadata::Endpoints`] must be made with
/// them, or nothing leads here.
pub fn router<S, H, C>(registrar: Registrar<S, H, C>) -> Router
where
    S: Registry + IssuerStore + Flows + 'static,
    H: Hasher + 'static,
    C: Secrets + 'static,
{
    let endpoints = registrar.issuer.endpoints().clone();
    Router::new()
        .route(
            &endpoints.path(Endpoint::Registration),
            post(register::<S, H, C>),
        )
        .route(
            &endpoints.path(Endpoint::ClientConfiguration),
            get(show::<S, H, C>)
                .put(replace::<S, H, C>)
                .delete(remove::<S, H, C>),
        )
        .with_state(Arc::new(registrar))
}

type Shared<S, H, C> = State<Arc<Registrar<S, H, C>>>;

/// Why a request was not done.
enum Fault {
    /// The registry said no. Whether a token was presented decides what the challenge says.
    Denied(Denial, bool),
    /// The issuer could not do its part.
    Issuer(issuer::error::Refusal),
}

impl From<issuer::error::Refusal> for Fault {
    fn from(refusal: issuer::error::Refusal) -> Self {
        Self::Issuer(refusal)
    }
}

impl From<MetadataFlaw> for Fault {
    fn from(flaw: MetadataFlaw) -> Self {
        Self::Denied(flaw.into(), true)
    }
}

async fn register<S, H, C>(
    caller: Caller,
    State(registrar): Shared<S, H, C>,
    request: Request,
) -> Response
where
    S: Registry + IssuerStore + Flows,
    H: Hasher,
    C: Secrets,
{
    let answer = async {
        let (head, body) = request.into_parts();
        let token = bearer(&head.headers)?;
        let metadata = metadata(&head.headers, body).await?;
        let ctx = registrar.ctx(&caller);
        let bytes = token.as_ref().map(Secret::expose);
        let Registrar {
            store,
            hasher,
            sectors,
            rules,
            ..
        } = &*registrar;
        let made = registration::register(
            &**store, &**hasher, &**sectors, &ctx, rules, bytes, &metadata,
        )
        .await
        .map_err(|denial| Fault::Denied(denial, token.is_some()))?;
        registrar.in_force(made.client.client_id.as_str()).await;
        Ok(made)
    };
    match answer.await {
        Ok(made) => registrar.answer(StatusCode::CREATED, &made, made.token.as_ref()),
        Err(fault) => refused(&fault, &caller),
    }
}

async fn show<S, H, C>(
    caller: Caller,
    State(registrar): Shared<S, H, C>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response
where
    S: Registry + IssuerStore + Flows,
    H: Hasher,
    C: Secrets,
{
    let answer = async {
        let ctx = registrar.ctx(&caller);
        let (manager, token) = registrar.manager(&ctx, &client_id, &headers).await?;
        let found = registration::show(&*registrar.store, &ctx, &manager)
            .await
            .map_err(|denial| Fault::Denied(denial, true))?;
        Ok((found, token))
    };
    match answer.await {
        Ok((found, token)) => registrar.answer(StatusCode::OK, &found, Some(&token)),
        Err(fault) => refused(&fault, &caller),
    }
}

async fn replace<S, H, C>(
    caller: Caller,
    State(registrar): Shared<S, H, C>,
    Path(client_id): Path<String>,
    request: Request,
) -> Response
where
    S: Registry + IssuerStore + Flows,
    H: Hasher,
    C: Secrets,
{
    let answer = async {
        let (head, body) = request.into_parts();
        let ctx = registrar.ctx(&caller);
        let (manager, _) = registrar.manager(&ctx, &client_id, &head.headers).await?;
        let metadata = metadata(&head.headers, body).await?;
        registrar
            .repeats_the_secret(&client_id, &metadata, ctx.now)
            .await?;
        let Registrar {
            store,
            hasher,
            sectors,
            rules,
            ..
        } = &*registrar;
        let done = registration::replace(
            &**store, &**hasher, &**sectors, &ctx, rules, &manager, &metadata,
        )
        .await
        .map_err(|denial| Fault::Denied(denial, true))?;
        Ok(done)
    };
    match answer.await {
        Ok(done) => registrar.answer(StatusCode::OK, &done, done.token.as_ref()),
        Err(fault) => refused(&fault, &caller),
    }
}

async fn remove<S, H, C>(
    caller: Caller,
    State(registrar): Shared<S, H, C>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response
where
    S: Registry + IssuerStore + Flows,
    H: Hasher,
    C: Secrets,
{
    let answer = async {
        let ctx = registrar.ctx(&caller);
        let (manager, _) = registrar.manager(&ctx, &client_id, &headers).await?;
        // First: as long as this fails, the client is there to ask again.
        registrar
            .issuer
            .end_client(
                &ClientId::new(manager.client_id()),
                manager.actor(),
                ctx.request_id,
                ctx.now,
            )
            .await?;
        registration::remove(&*registrar.store, &ctx, &manager)
            .await
            .map_err(|denial| Fault::Denied(denial, true))
    };
    match answer.await {
        Ok(()) => {
            let mut answer = StatusCode::NO_CONTENT.into_response();
            respond::not_stored(&mut answer);
            answer
        }
        Err(fault) => refused(&fault, &caller),
    }
}

impl<S, H, C> Registrar<S, H, C>
where
    S: Registry + IssuerStore + Flows,
    H: Hasher,
    C: Secrets,
{
    fn ctx<'a>(&'a self, caller: &'a Caller) -> Ctx<'a> {
        Ctx {
            now: (self.clock)(),
            entropy: &*self.entropy,
            request_id: caller.request_id(),
            context: &self.context,
            files: &(),
        }
    }

    async fn manager(
        &self,
        ctx: &Ctx<'_>,
        client_id: &str,
        headers: &HeaderMap,
    ) -> Result<(Manager, Secret), Fault> {
        let token = bearer(headers)?;
        let bytes = token.as_ref().map(Secret::expose);
        let manager = registration::manager(&*self.store, ctx, client_id, bytes)
            .await
            .map_err(|denial| Fault::Denied(denial, token.is_some()))?;
        let missing = || Fault::Denied(Denial::Token("no registration access token"), false);
        Ok((manager, token.ok_or_else(missing)?))
    }

    /// RFC 7592 §2.2: a `client_secret` in an update is the one that there is, or a mistake.
    async fn repeats_the_secret(
        &self,
        client_id: &str,
        metadata: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let Some(given) = metadata.get("client_secret") else {
            return Ok(());
        };
        let same = match given.as_str() {
            Some(text) => {
                let issuer = &self.issuer;
                issuer.is_secret_of(client_id, text.as_bytes(), now).await?
            }
            None => false,
        };
        match same {
            true => Ok(()),
            false => Err(flaw("client_secret is not this client's").into()),
        }
    }

    /// Waits a moment for a client to be in force, so that whoever registers it can go on at once.
    async fn in_force(&self, client_id: &str) {
        let wait = async {
            while !self.issuer.knows(client_id) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(self.patience, wait).await.is_err() {
            tracing::warn!("a registered client is not in force yet on this node");
        }
    }

    /// RFC 7591 §3.2.1, RFC 7592 §3.
    fn answer(&self, status: StatusCode, of: &Registered, token: Option<&Secret>) -> Response {
        let mut members = to_metadata(&of.client);
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put(
            "client_id_issued_at",
            of.issued_at.as_millis().div_euclid(1000).into(),
        );
        if let Some(secret) = of.secret.as_ref().and_then(Secret::expose_text) {
            put("client_secret", secret.into());
            // RFC 7591 §3.2.1: 0 is never.
            let ends = of.secret_ends.map_or(0, Timestamp::as_secs);
            put("client_secret_expires_at", ends.into());
        }
        if let Some(token) = token.and_then(Secret::expose_text) {
            put("registration_access_token", token.into());
        }
        let endpoints = self.issuer.endpoints();
        put(
            "registration_client_uri",
            endpoints
                .client_configuration(of.client.client_id.as_str())
                .into(),
        );
        let mut answer = respond::json_not_stored(&members);
        *answer.status_mut() = status;
        answer
    }
}

/// The bearer token of RFC 6750 §2.1; anything else in its place is a wrong one.
fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, Fault> {
    let wrong = |why| Fault::Denied(Denial::Token(why), true);
    let Some(value) =
        sole(headers, &AUTHORIZATION).map_err(|()| wrong("Authorization is repeated"))?
    else {
        return Ok(None);
    };
    let bytes = value.as_bytes();
    match bytes.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
            Ok(Some(Secret::new(token.to_vec())))
        }
        _ => Err(wrong("another scheme than Bearer")),
    }
}

async fn metadata(
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<Map<String, Value>, Fault> {
    let json = sole(headers, &CONTENT_TYPE)
        .ok()
        .flatten()
        .is_some_and(is_json);
    if !json {
        return Err(flaw("the body is not application/json").into());
    }
    let body: Bytes = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|_| flaw("the body is too long, or broke off"))?
        .to_bytes();
    proof::strict_json::parse_object(&body, MAX_BODY)
        .map_err(|defect| flaw(&format!("the body: {defect}")).into())
}

fn is_json(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(()),
    }
}

fn flaw(description: &str) -> MetadataFlaw {
    MetadataFlaw {
        code: MetadataCode::InvalidClientMetadata,
        description: description.to_owned(),
    }
}

/// RFC 7591 §3.2.2.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    error_description: &'a str,
    /// Not of the standard: what to name to an operator.
    request_id: &'a str,
}

fn refused(fault: &Fault, caller: &Caller) -> Response {
    const NOT_NOW: &str = "It can not be done now; try again.";
    let request_id = caller.request_id();
    let (denial, presented) = match fault {
        Fault::Issuer(refusal) => return respond::oauth(refusal, request_id),
        Fault::Denied(denial, presented) => (denial, *presented),
    };
    let (status, error, description) = match denial {
        Denial::Token(_) => (
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "A valid token for this is needed.",
        ),
        Denial::Metadata(flaw) => (
            StatusCode::BAD_REQUEST,
            flaw.code.name(),
            flaw.description.as_str(),
        ),
        Denial::Full => (
            StatusCode::FORBIDDEN,
            "access_denied",
            "There are as many registered clients as there may be.",
        ),
        Denial::Refused(refusal) => match refusal.code() {
            Code::FactUnavailable | Code::Conflict => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                NOT_NOW,
            ),
            Code::ManagedByFile | Code::WrongState => (
                StatusCode::FORBIDDEN,
                "access_denied",
                "The client can not be changed here.",
            ),
            _ => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "Something went wrong on our side.",
            ),
        },
    };
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let flaws = match denial {
            Denial::Refused(Refusal::Flawed(flaws)) => flaws.first().map(ToString::to_string),
            _ => None,
        };
        tracing::error!(request_id, error, reason = %denial, flaws, "registration failed");
    } else {
        tracing::info!(request_id, error, reason = %denial, "registration refused");
    }
    let mut answer = respond::json_not_stored(&ErrorBody {
        error,
        error_description: description,
        request_id,
    });
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    match status {
        // RFC 6750 §3.1: without a token there is no error to name.
        StatusCode::UNAUTHORIZED => {
            let challenge = match presented {
                true => r#"Bearer realm="registration", error="invalid_token""#,
                false => r#"Bearer realm="registration""#,
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from(TRY_AGAIN));
        }
        _ => {}
    }
    answer
}

#[cfg(test)]
mod tests;
