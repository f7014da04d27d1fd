//! **Forwarding**: a permit becomes a call to the upstream, and the upstream's answer the caller's.
//!
//! The one way in is [`forward`], which takes a [`Permitted`] call and no other kind: a call that
//! was not judged can't be forwarded, and the body that was judged is the body that goes. Fields
//! are written anew where the gateway is the one to say them; of the path nothing is changed but
//! the base path, where the API says so.

use core::sync::atomic::Ordering;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, UPGRADE, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use registry::api::{IdentityForward, UpstreamMeaning};
use verdict::call::{self, Head};
use verdict::credential::binding::DPOP;
use verdict::credential::is_carrier;
use verdict::credential::signed::forged;
use verdict::facts::Facts;
use verdict::identity::Identity;
use verdict::policy::rego::Mask;
use verdict::problem::{Code, Problem};
use verdict::route::Demand;
use verdict::{Forward, Permitted, SignedBody};

use crate::body::{Body, BodyError, RequestBody};
use crate::held::Held;
use crate::hygiene;
use crate::lease::{self, Watch, is_stream};
use crate::listen::Connection;
use crate::mask;
use crate::plane::Plane;
use crate::respond;
use crate::snapshot::RouteEntry;
use crate::trailers::CallTrailers;
use crate::tunnel;
use crate::upstream::conn::UpstreamBody;
use crate::upstream::{Failure, Outgoing, Upstream};

/// What forwarding knows besides the permit.
pub(crate) struct Road<'a, F> {
    pub(crate) plane: &'a Arc<Plane<F>>,
    pub(crate) connection: &'a Connection,
    pub(crate) route: &'a Arc<RouteEntry>,
    /// Where the path without its base path begins.
    pub(crate) below: usize,
    pub(crate) request_id: &'a HeaderValue,
    /// The caller's side of an upgrade, if it asks for one.
    pub(crate) upgrade: Option<OnUpgrade>,
}

/// Forwards a permitted call.
///
/// # Errors
/// What the caller is told when no answer came: 413, 408, 400, 502, 503, 504.
pub(crate) async fn forward<F: Facts + 'static>(
    permitted: Permitted<Incoming>,
    road: Road<'_, F>,
) -> Result<Response<Body>, Problem> {
    let route = road.route;
    let limit = route.meaning.body_limit;
    check_size(&permitted, route)?;
    let asked = asked_upgrade(permitted.call().head(), route)?;
    let upgrade = road.upgrade.clone().zip(asked);
    let now = permitted.call().head().arrival().received;
    let admitted = matches!(route.api.upstream, Upstream::Local(_)).then(|| permitted.admitted());
    let keeps = route.streams.load(Ordering::Relaxed);
    let lease = keeps.then(|| permitted.lease()).flatten();
    let client = permitted.call().head().arrival().client;
    let held = || Held::new(&road.plane.options.held_bodies, client);
    let Forward {
        mut head,
        body,
        identity,
        signed,
        obliged,
    } = permitted.into_forward();
    let obliged = obliged.as_deref();
    let masks = obliged.map_or(&[][..], |obliged| &obliged.masks);
    if !masks.is_empty() && upgrade.is_some() {
        let cause = "what comes through a tunnel can't be masked";
        return Err(Problem::new(Code::UpgradeRefused, cause));
    }
    let tried = signed.as_ref().map(|signed| signed.tried);
    let told = |error: BodyError| match (error, tried) {
        (BodyError::Forged(defect), Some(tried)) => {
            forged(&route.meaning.judged, tried, defect.code())
        }
        (error, _) => respond::of_body(error),
    };
    let body = match body {
        call::Body::Stream(incoming) => match signed {
            None => {
                let trailers = CallTrailers(Arc::clone(route));
                RequestBody::stream(incoming, trailers, limit, route.idle_timeout)
            }
            Some(signed) => {
                let SignedBody {
                    check, rewrites, ..
                } = signed;
                RequestBody::signed(incoming, check, rewrites, limit, route.idle_timeout, held())
                    .await
                    .map_err(told)?
            }
        },
        call::Body::Buffered(bytes) if bytes.is_empty() => RequestBody::empty(),
        call::Body::Buffered(bytes) => RequestBody::full(bytes),
        call::Body::Unavailable => {
            return Err(Problem::new(
                Code::Internal,
                "a body that this front can't show",
            ));
        }
    };
    let body = match &route.api.upstream {
        // Our own services read bodies whole.
        Upstream::Local(_) if body.watch().is_some() => {
            body.gathered(limit, held()).await.map_err(told)?
        }
        Upstream::Pool(pool) if route.meaning.upstream_credential => match pool.credential() {
            Some(own) => own.gather(body, held()).await.map_err(told)?,
            None => body,
        },
        _ => body,
    };
    let method = head.method().clone();
    let asked_method = method.clone();
    let version = head.version();
    let target = target(&head, route, road.below)?;
    let trailers = hygiene::lists(head.headers(), &TE, "trailers");
    let forwarding = road.connection.forwarding(&head);

    let mut headers = head.take_headers();
    hygiene::clean_request(&mut headers, road.connection.listed, |name| {
        is_withheld(name, route)
    });
    say_identity(&mut headers, identity.as_ref(), &road, now)?;
    let policies = &route.meaning.judged.rule.policies;
    if !policies.is_empty() {
        // What only a policy may say is its own word or nobody's (threat B8).
        let own = policies.iter().flat_map(|policy| policy.headers());
        let said = obliged.map_or(&[][..], |obliged| &obliged.headers);
        hygiene::say(&mut headers, own, said);
    }
    if !masks.is_empty() {
        mask::prepare(&mut headers);
    }
    headers.insert(hygiene::X_FORWARDED_FOR, forwarding.client.clone());
    headers.insert(hygiene::X_FORWARDED_PROTO, forwarding.scheme.clone());
    headers.insert(hygiene::X_FORWARDED_HOST, forwarding.authority.clone());
    headers.insert(http::header::FORWARDED, forwarding.forwarded.clone());
    headers.insert(hygiene::REQUEST_ID, road.request_id.clone());
    headers.append(VIA, hygiene::via(version));
    if version == Version::HTTP_2 {
        join_cookies(&mut headers);
    }
    if body.watch().is_none() && !body.is_empty() {
        // Read whole before it was judged: its length is known, however it came.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.size_hint().lower()));
    }
    if let Some((_, protocol)) = &upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }

    match &route.api.upstream {
        Upstream::Local(service) => {
            let mut request = Request::new(body);
            *request.method_mut() = method;
            *request.uri_mut() = Uri::from(target);
            *request.version_mut() = version;
            headers.insert(HOST, forwarding.authority.clone());
            *request.headers_mut() = headers;
            if let Some(admitted) = admitted {
                request.extensions_mut().insert(admitted);
            }
            let mut answer = service.call(request).await;
            hygiene::clean_answer(answer.headers_mut());
            masked(answer, masks, held).await
        }
        Upstream::Pool(pool) => {
            let outgoing = Outgoing {
                method,
                target,
                headers,
                authority: forwarding.authority.clone(),
                body,
                trailers,
                upgrade: upgrade.is_some(),
                presents: route.meaning.upstream_credential,
            };
            let answer = pool
                .send(outgoing, route.response_timeout)
                .await
                .map_err(|failure| match failure {
                    Failure::Body(error) => told(error),
                    failure => respond::of_failure(failure),
                })?;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                let lease = lease.map(|lease| (Arc::clone(road.plane), Box::new(lease)));
                return tunnel::open(answer, upgrade, lease, road.connection);
            }
            // What is to be masked is read whole first, whatever its type says of it (threat J3).
            let streams = identity.is_some() && masks.is_empty();
            if streams && is_stream(&asked_method, answer.headers()) {
                route.streams.store(true, Ordering::Relaxed);
                let watch = lease.map_or(Watch::Once, |lease| Watch::Again(Box::new(lease)));
                return Ok(streamed(answer, lease::over(Arc::clone(road.plane), watch)));
            }
            let (mut parts, body) = answer.into_parts();
            parts.version = Version::HTTP_11;
            parts.extensions.clear();
            hygiene::clean_answer(&mut parts.headers);
            let answer = Response::from_parts(parts, Body::upstream(body));
            masked(answer, masks, held).await
        }
    }
}

/// An answer that ends with the right that opened it.
fn streamed(
    answer: Response<UpstreamBody>,
    over: impl Future<Output = Problem> + Send + 'static,
) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    hygiene::clean_answer(&mut parts.headers);
    Response::from_parts(parts, Body::leased(Body::upstream(body), over))
}

async fn masked(
    answer: Response<Body>,
    masks: &[Mask],
    held: impl FnOnce() -> Held,
) -> Result<Response<Body>, Problem> {
    if masks.is_empty() {
        return Ok(answer);
    }
    // Apart, so that other calls need no room for it.
    Box::pin(mask::apply(answer, masks, held())).await
}

/// # Errors
/// 413 for a body that is known to be too large.
pub(crate) fn check_size(
    permitted: &Permitted<Incoming>,
    route: &RouteEntry,
) -> Result<(), Problem> {
    if let call::Body::Stream(incoming) = permitted.call().body()
        && incoming.size_hint().lower() > route.meaning.body_limit
    {
        // Known before a byte of it: nothing reaches the upstream.
        return Err(Problem::new(
            Code::BodyTooLarge,
            "Content-Length is above the route's limit",
        ));
    }
    Ok(())
}

/// The target as it goes out: as it came, but for the base path where the API takes it off. `below`:
/// where the path without its base path begins.
pub(crate) fn target(
    head: &Head,
    route: &RouteEntry,
    below: usize,
) -> Result<PathAndQuery, Problem> {
    if !route.api.meaning.strip_base_path || below == 0 {
        return Ok(head.target().clone());
    }
    let rest = &head.target().as_str()[below..];
    let stripped = if rest.starts_with('/') {
        PathAndQuery::try_from(rest)
    } else {
        // Nothing is left of the path: `/`, and the query if there is one.
        PathAndQuery::try_from(format!("/{rest}"))
    };
    stripped.map_err(|_| Problem::new(Code::Internal, "a stripped target is no target"))
}

/// The one protocol that a call may leave HTTP for (RFC 6455 §4.1).
pub(crate) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Which protocol the call asks to leave HTTP for, if it may (threat E2). The upstream is offered that
/// one alone: of a list it may choose any (RFC 9110 §7.8), and behind an HTTP/2 that nobody judges
/// every path of it would lie open.
///
/// # Errors
/// 400 where it may not.
pub(crate) fn asked_upgrade(
    head: &Head,
    route: &RouteEntry,
) -> Result<Option<HeaderValue>, Problem> {
    let headers = head.headers();
    if !headers.contains_key(UPGRADE)
        || head.version() != Version::HTTP_11
        || !hygiene::lists(headers, &CONNECTION, "upgrade")
    {
        return Ok(None);
    }
    let offers = || {
        let values = headers.get_all(UPGRADE).iter();
        values.flat_map(|value| {
            value
                .as_bytes()
                .split(|b| *b == b',')
                .map(<[u8]>::trim_ascii)
        })
    };
    if offers().all(|offer| offer.eq_ignore_ascii_case(b"h2c")) {
        // An offer that may be ignored (RFC 9110 §7.8), and no client depends on it.
        return Ok(None);
    }
    let pooled = matches!(route.api.meaning.upstream, UpstreamMeaning::Pool(_));
    if !route.meaning.upgrade || !pooled {
        return Err(Problem::new(
            Code::UpgradeRefused,
            "the route does not allow upgrades",
        ));
    }
    let mut offers = offers();
    let websocket = |offer: &[u8]| offer.eq_ignore_ascii_case(WEBSOCKET.as_bytes());
    if !offers.next().is_some_and(websocket) || offers.next().is_some() {
        return Err(Problem::new(
            Code::UpgradeRefused,
            "something else is offered than websocket alone",
        ));
    }
    Ok(Some(WEBSOCKET))
}

/// Whether a field may carry a credential that the upstream is not to see.
pub(crate) fn is_withheld(name: &HeaderName, route: &RouteEntry) -> bool {
    let judged = &route.meaning.judged;
    if let Upstream::Pool(pool) = &route.api.upstream
        && let Some(own) = pool.credential()
        && own.claims(name)
        && (route.meaning.upstream_credential || own.header() != AUTHORIZATION)
    {
        // Nobody else's may stand beside the gateway's own.
        return true;
    }
    if !is_carrier(name, judged) {
        return false;
    }
    match judged.demand {
        // A key is nobody's word on a public route; `Authorization` may be the upstream's own
        // matter, and a proof goes with the token that it is for.
        Demand::Public { pass_authorization } => {
            !(pass_authorization && (*name == AUTHORIZATION || *name == DPOP))
        }
        Demand::OneOf(_) => !matches!(route.api.meaning.identity, IdentityForward::Original),
    }
}

/// Tells the upstream who calls, as the API says; nothing on public routes.
fn say_identity<F>(
    headers: &mut HeaderMap,
    identity: Option<&Identity>,
    road: &Road<'_, F>,
    now: proof::time::Timestamp,
) -> Result<(), Problem> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let statements = &road.route.api.statements;
    match &road.route.api.meaning.identity {
        IdentityForward::None | IdentityForward::Original => Ok(()),
        IdentityForward::Headers => {
            if statements.plain(identity, now, headers) {
                Ok(())
            } else {
                Err(Problem::new(
                    Code::Internal,
                    "the identity has what no field value can hold",
                ))
            }
        }
        IdentityForward::Jwt { audience, lifetime } => {
            let signer = &*road.plane.options.identity;
            if statements.token(signer, identity, audience, *lifetime, now, headers) {
                Ok(())
            } else {
                Err(Problem::new(
                    Code::FactUnavailable,
                    "no identity token can be signed now",
                ))
            }
        }
    }
}

/// HTTP/2 may divide a cookie field; HTTP/1 must not (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in core::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}
