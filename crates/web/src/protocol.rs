//! **OAuth over HTTP**: the issuer's endpoints as an axum router without global state. It reads
//! forms strictly, answers JSON, and lets nothing be cached that is not a public document.

pub mod declaration;
mod form;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use issuer::error::{ErrorCode, Refusal};
use issuer::flow::Flows;
use issuer::metadata::Endpoint;
use issuer::ports::{IssuerStore, KeyPurpose, People, Secrets};
use issuer::userinfo::{self, Userinfo};
use issuer::{DpopHeader, Issuer, OAuthRequest, Sender};
use proof::time::Timestamp;

use crate::admitted::Caller;
use crate::respond;

use self::form::Form;

/// How long metadata and key sets may be kept. Far below the day that a key is published before
/// it signs.
const DOCUMENT_MAX_AGE: &str = "public, max-age=300";

/// RFC 9449 §8.1.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the endpoints work with.
struct Context<S, C> {
    issuer: Arc<Issuer<S, C>>,
    clock: Clock,
}

/// The issuer's endpoints, at the paths that its metadata names.
pub fn router<S, C>(issuer: Arc<Issuer<S, C>>, clock: Clock) -> Router
where
    S: IssuerStore + Flows + 'static,
    C: Secrets + People + 'static,
{
    let context = Arc::new(Context { issuer, clock });
    let endpoints = context.issuer.endpoints().clone();
    Endpoint::ALL
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            let handler = match endpoint {
                Endpoint::ServerMetadata => get(server_metadata::<S, C>),
                Endpoint::OpenIdConfiguration => get(openid_configuration::<S, C>),
                Endpoint::Jwks => get(jwks::<S, C>),
                Endpoint::UpstreamJwks => get(upstream_jwks::<S, C>),
                Endpoint::Token => post(token::<S, C>),
                Endpoint::DeviceAuthorization => post(device::<S, C>),
                Endpoint::Userinfo => get(userinfo::<S, C>).post(userinfo::<S, C>),
                Endpoint::Introspection => post(introspect::<S, C>),
                Endpoint::Revocation => post(revoke::<S, C>),
                Endpoint::PushedAuthorization => post(push::<S, C>),
                // Where people come, pages answer; registration has a router of its own.
                Endpoint::Authorization
                | Endpoint::EndSession
                | Endpoint::Registration
                | Endpoint::ClientConfiguration => return router,
            };
            router.route(&endpoints.path(endpoint), handler)
        })
        .with_state(context)
}

type Shared<S, C> = State<Arc<Context<S, C>>>;

async fn server_metadata<S: IssuerStore, C: Secrets>(
    _caller: Caller,
    State(context): Shared<S, C>,
) -> Response {
    document(
        &context.issuer.documents().server_metadata,
        "application/json",
    )
}

async fn openid_configuration<S: IssuerStore, C: Secrets>(
    _caller: Caller,
    State(context): Shared<S, C>,
) -> Response {
    document(
        &context.issuer.documents().openid_configuration,
        "application/json",
    )
}

async fn jwks<S: IssuerStore, C: Secrets>(
    _caller: Caller,
    State(context): Shared<S, C>,
) -> Response {
    // RFC 7517 §8.5.2
    document(
        context.issuer.keys().ring().issuer_jwks(),
        "application/jwk-set+json",
    )
}

async fn upstream_jwks<S: IssuerStore, C: Secrets>(
    _caller: Caller,
    State(context): Shared<S, C>,
) -> Response {
    key_set(&context.issuer, KeyPurpose::Upstream)
}

async fn token<S: IssuerStore + Flows, C: Secrets + People>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response {
    let answer = async {
        let form = Form::read(request).await?;
        let params = form.params()?;
        let asked = asked(&context, &caller, &form, &params);
        let token = context.issuer.token(&asked).await?;
        Ok((token, asked.sender.dpop != DpopHeader::Absent))
    };
    match answer.await {
        Ok((token, proved)) => {
            let mut answer = respond::json_not_stored(&token);
            if proved {
                put_nonce(&mut answer, &context);
            }
            answer
        }
        Err(refusal) => refused_with_nonce(&refusal, &caller, &context),
    }
}

async fn push<S: IssuerStore + Flows, C: Secrets + People>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response {
    let answer = async {
        let form = Form::read(request).await?;
        let params = form.params()?;
        let asked = asked(&context, &caller, &form, &params);
        let pushed = context.issuer.push(&asked).await?;
        Ok((pushed, asked.sender.dpop != DpopHeader::Absent))
    };
    match answer.await {
        Ok((pushed, proved)) => {
            // RFC 9126 §2.2
            let mut answer = respond::json_not_stored(&pushed);
            *answer.status_mut() = StatusCode::CREATED;
            if proved {
                put_nonce(&mut answer, &context);
            }
            answer
        }
        Err(refusal) => refused_with_nonce(&refusal, &caller, &context),
    }
}

async fn device<S: IssuerStore + Flows, C: Secrets + People>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response {
    let answer = async {
        let form = Form::read(request).await?;
        let params = form.params()?;
        context
            .issuer
            .start_device(&asked(&context, &caller, &form, &params))
            .await
    };
    match answer.await {
        Ok(device) => respond::json_not_stored(&device),
        Err(refusal) => refused(&refusal, &caller),
    }
}

async fn userinfo<S: IssuerStore + Flows, C: Secrets + People>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response {
    let method = request.method().clone();
    let answer = async {
        let form = Form::read_optional(request).await?;
        let params = form.params()?;
        context
            .issuer
            .userinfo(&asked(&context, &caller, &form, &params), method.as_str())
            .await
    };
    match answer.await {
        Ok(Userinfo::Json(claims)) => respond::json_not_stored(&claims),
        Ok(Userinfo::Jwt(text)) => {
            let mut answer = Response::new(Body::from(text));
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/jwt"));
            respond::not_stored(&mut answer);
            answer
        }
        Err(refusal) => {
            let mut answer = refused(&refusal, &caller);
            if matches!(answer.status().as_u16(), 400 | 401 | 403) {
                let headers = answer.headers_mut();
                headers.remove(WWW_AUTHENTICATE);
                for challenge in userinfo::challenge(&refusal) {
                    if let Ok(value) = HeaderValue::try_from(challenge) {
                        headers.append(WWW_AUTHENTICATE, value);
                    }
                }
            }
            answer
        }
    }
}

/// A refusal at an endpoint that demands nonces (RFC 9449 §8).
fn refused_with_nonce<S: IssuerStore, C: Secrets>(
    refusal: &Refusal,
    caller: &Caller,
    context: &Context<S, C>,
) -> Response {
    let mut answer = refused(refusal, caller);
    if matches!(
        refusal.reason().code(),
        ErrorCode::UseDpopNonce | ErrorCode::InvalidDpopProof
    ) {
        put_nonce(&mut answer, context);
    }
    answer
}

/// RFC 9449 §8.2: the nonce for the next proof.
fn put_nonce<S: IssuerStore, C: Secrets>(answer: &mut Response, context: &Context<S, C>) {
    let nonce = context.issuer.dpop_nonce((context.clock)());
    if let Ok(value) = HeaderValue::try_from(nonce) {
        answer.headers_mut().insert(DPOP_NONCE, value);
    }
}

async fn introspect<S: IssuerStore + Flows, C: Secrets + People>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response {
    let answer = async {
        let form = Form::read(request).await?;
        let params = form.params()?;
        context
            .issuer
            .introspect(&asked(&context, &caller, &form, &params))
            .await
    };
    match answer.await {
        Ok(introspection) => respond::json_not_stored(&introspection),
        Err(refusal) => refused(&refusal, &caller),
    }
}

async fn revoke<S: IssuerStore + Flows, C: Secrets>(
    caller: Caller,
    State(context): Shared<S, C>,
    request: Request,
) -> Response {
    let answer = async {
        let form = Form::read(request).await?;
        let params = form.params()?;
        context
            .issuer
            .revoke(&asked(&context, &caller, &form, &params))
            .await
    };
    match answer.await {
        Ok(()) => {
            // RFC 7009 §2.2: 200; the body is ignored.
            let mut answer = ().into_response();
            respond::not_stored(&mut answer);
            answer
        }
        Err(refusal) => refused(&refusal, &caller),
    }
}

fn asked<'a, S, C>(
    context: &Context<S, C>,
    caller: &'a Caller,
    form: &'a Form,
    params: &'a issuer::params::Params<'a>,
) -> OAuthRequest<'a> {
    OAuthRequest {
        authorization: form.authorization(),
        params,
        sender: Sender {
            dpop: form.dpop(),
            certificate: caller
                .arrival()
                .tls
                .as_ref()
                .and_then(|tls| tls.peer_certificate.as_ref())
                .map(|shown| &**shown.der()),
            intermediates: caller
                .arrival()
                .tls
                .as_ref()
                .map_or(&[], |tls| &tls.peer_intermediates),
            origin: form.origin(),
            ..Sender::at(caller.arrival().client)
        },
        request_id: caller.request_id(),
        // Not the arrival's time: a slow body must not make an old assertion young.
        now: (context.clock)(),
    }
}

fn refused(refusal: &Refusal, caller: &Caller) -> Response {
    respond::oauth(refusal, caller.request_id())
}

fn key_set<S: IssuerStore, C: Secrets>(issuer: &Issuer<S, C>, purpose: KeyPurpose) -> Response {
    // RFC 7517 §8.5.2
    document(
        issuer.keys().ring().jwks(purpose),
        "application/jwk-set+json",
    )
}

fn document(text: &str, content_type: &'static str) -> Response {
    let mut answer = Response::new(Body::from(text.to_owned()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(DOCUMENT_MAX_AGE));
    answer
}

#[cfg(test)]
pub(crate) mod tests;
