//! From a request to an answer: no socket, no clock but the pauses a caller
//! asks for, so a test can call it as it stands.
//!
//! What a caller asks beyond a bound is refused with 400, not cut down to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Buf as _, Bytes};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::answer::{Body, empty, json, of_type, other_methods, problem};
use crate::caller::{Caller, seen};
use crate::operation::{Found, Operation, find};
use crate::orders::{OrderBody, Orders};
use crate::stream::{Events, Filler};

/// The largest body of an order, in bytes.
pub const MAX_ORDER_BODY: usize = 64 * 1024;
/// The largest body `/upload` reads, in bytes.
pub const MAX_UPLOAD: u64 = 4 * 1024 * 1024 * 1024;
/// The most bytes `/stream` sends.
pub const MAX_STREAM: u64 = 4 * 1024 * 1024 * 1024;
/// The longest `/slow` waits, and the longest pause between two events.
pub const MAX_SLOW: Duration = Duration::from_secs(10);
/// The most events `/events` sends.
pub const MAX_EVENTS: u32 = 100;

/// The state of the service: its orders and how many calls it answered.
#[derive(Debug)]
pub struct Shop {
    orders: Mutex<Orders>,
    calls: AtomicU64,
}

impl Default for Shop {
    fn default() -> Self {
        Self {
            orders: Mutex::new(Orders::seeded()),
            calls: AtomicU64::new(0),
        }
    }
}

/// Answers one call.
pub async fn handle<B>(shop: &Shop, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    shop.calls.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let (operation, id) = match find(&head.method, head.uri.path()) {
        Found::Operation(operation, id) => (operation, id),
        Found::OtherMethods(allowed) => return other_methods(&allowed),
        Found::Nothing => return problem(StatusCode::NOT_FOUND, "there is no such path"),
    };
    let query = head.uri.query().unwrap_or_default();
    let answered = match operation {
        Operation::ListOrders => list(shop, &head.headers, query),
        Operation::PlaceOrder => place(shop, &head.headers, body).await,
        Operation::ReadOrder => read(shop, &head.headers, id),
        Operation::ReplaceOrder => replace(shop, &head.headers, id, body).await,
        Operation::RemoveOrder => remove(shop, &head.headers, id),
        Operation::Stats => Ok(stats(shop)),
        Operation::WhoAmI => Ok(whoami(&head)),
        Operation::Upload => upload(body).await,
        Operation::Stream => stream(query),
        Operation::Slow => slow(query).await,
        Operation::Events => events(query),
        Operation::Health => Ok(json(StatusCode::OK, &json!({"status": "ok"}))),
    };
    answered.unwrap_or_else(|Refused(status, detail)| problem(status, detail))
}

/// An answer other than the one that was asked for.
struct Refused(StatusCode, &'static str);

type Answer = Result<Response<Body>, Refused>;

const ABSENT: Refused = Refused(StatusCode::NOT_FOUND, "there is no such order");

fn list(shop: &Shop, headers: &HeaderMap, query: &str) -> Answer {
    let caller = caller(headers)?;
    let asked = parameter(query, "owner")?;
    let owner = match (caller.confined_to(), asked.as_deref()) {
        (Some(own), Some(asked)) if own != asked => return Err(FOREIGN),
        (Some(own), _) => Some(own),
        (None, asked) => asked,
    };
    let orders = shop.orders.lock();
    Ok(json(
        StatusCode::OK,
        &json!({ "orders": orders.list(owner) }),
    ))
}

const FOREIGN: Refused = Refused(
    StatusCode::FORBIDDEN,
    "a customer sees and changes their own orders",
);

fn read(shop: &Shop, headers: &HeaderMap, id: &str) -> Answer {
    let caller = caller(headers)?;
    let orders = shop.orders.lock();
    let order = orders
        .read(id)
        .filter(|order| may_touch(&caller, &order.owner));
    // Another customer's order and none at all are one answer, so that ids tell nothing.
    order.map(|order| json(StatusCode::OK, order)).ok_or(ABSENT)
}

async fn place<B>(shop: &Shop, headers: &HeaderMap, body: B) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let caller = caller(headers)?;
    let body = order_body(body).await?;
    let owner = body
        .owner
        .clone()
        .unwrap_or_else(|| caller.as_owner().to_owned());
    if !may_touch(&caller, &owner) {
        return Err(FOREIGN);
    }
    let mut orders = shop.orders.lock();
    let order = orders.place(owner, body).ok_or(Refused(
        StatusCode::CONFLICT,
        "the shop is full: remove an order first",
    ))?;
    let mut response = json(StatusCode::CREATED, order);
    if let Ok(location) = HeaderValue::try_from(format!("/orders/{}", order.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn replace<B>(shop: &Shop, headers: &HeaderMap, id: &str, body: B) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let caller = caller(headers)?;
    let body = order_body(body).await?;
    let mut orders = shop.orders.lock();
    orders
        .read(id)
        .filter(|order| may_touch(&caller, &order.owner))
        .ok_or(ABSENT)?;
    if body
        .owner
        .as_deref()
        .is_some_and(|owner| !may_touch(&caller, owner))
    {
        return Err(FOREIGN);
    }
    orders
        .replace(id, body)
        .map(|order| json(StatusCode::OK, order))
        .ok_or(ABSENT)
}

fn remove(shop: &Shop, headers: &HeaderMap, id: &str) -> Answer {
    let caller = caller(headers)?;
    let mut orders = shop.orders.lock();
    orders
        .read(id)
        .filter(|order| may_touch(&caller, &order.owner))
        .ok_or(ABSENT)?;
    orders.remove(id);
    Ok(empty(StatusCode::NO_CONTENT))
}

fn stats(shop: &Shop) -> Response<Body> {
    let orders = shop.orders.lock();
    let by_owner = orders.count_by_owner();
    let total: usize = by_owner.values().sum();
    let calls = shop.calls.load(Ordering::Relaxed);
    json(
        StatusCode::OK,
        &json!({"orders": total, "by_owner": by_owner, "calls": calls}),
    )
}

fn whoami(head: &http::request::Parts) -> Response<Body> {
    let mut told = seen(&head.headers);
    told["method"] = head.method.as_str().into();
    told["path"] = head.uri.path().into();
    told["query"] = head.uri.query().into();
    told["version"] = format!("{:?}", head.version).into();
    let mut response = json(StatusCode::OK, &told);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn upload<B>(body: B) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut digest = Context::new(&SHA256);
    let mut bytes: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| BROKEN)?.into_data() else {
            continue;
        };
        bytes += data.remaining() as u64;
        if bytes > MAX_UPLOAD {
            return Err(Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "an upload has at most 4 GiB",
            ));
        }
        digest.update(&data.split_to(data.len()));
    }
    let sha256: String = digest
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(json(
        StatusCode::OK,
        &json!({"bytes": bytes, "sha256": sha256}),
    ))
}

fn stream(query: &str) -> Answer {
    let bytes = number(query, "bytes", 1024, MAX_STREAM)?;
    let length_known = number(query, "chunked", 0, 1)? == 0;
    Ok(of_type(
        "application/octet-stream",
        Filler::new(bytes, length_known).boxed(),
    ))
}

async fn slow(query: &str) -> Answer {
    let pause = milliseconds(query, "ms", 1_000)?;
    tokio::time::sleep(pause).await;
    Ok(json(
        StatusCode::OK,
        &json!({"waited_ms": pause.as_millis() as u64}),
    ))
}

fn events(query: &str) -> Answer {
    let count = number(query, "count", 3, u64::from(MAX_EVENTS))?;
    let count = u32::try_from(count).unwrap_or(MAX_EVENTS);
    let pause = milliseconds(query, "every_ms", 200)?;
    let mut response = of_type("text/event-stream", Events::new(count, pause).boxed());
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Who calls; a contradiction is refused rather than resolved.
fn caller(headers: &HeaderMap) -> Result<Caller, Refused> {
    match Caller::of(headers) {
        Caller::Unclear => Err(Refused(
            StatusCode::BAD_REQUEST,
            "the identity headers can't be understood",
        )),
        caller @ (Caller::Customer(_) | Caller::Staff(_) | Caller::Nobody) => Ok(caller),
    }
}

fn may_touch(caller: &Caller, owner: &str) -> bool {
    caller.confined_to().is_none_or(|own| own == owner)
}

const BROKEN: Refused = Refused(StatusCode::BAD_REQUEST, "the body broke off");

/// Reads an order from a bounded JSON body.
async fn order_body<B>(body: B) -> Result<OrderBody, Refused>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = match Limited::new(body, MAX_ORDER_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "an order has at most 64 KiB",
            ));
        }
        Err(_) => return Err(BROKEN),
    };
    let body: OrderBody = serde_json::from_slice(&bytes)
        .map_err(|_| Refused(StatusCode::BAD_REQUEST, "the body is no order"))?;
    match body.fault() {
        Some(fault) => Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, fault)),
        None => Ok(body),
    }
}

/// The one value of a query parameter, percent-decoded.
fn parameter(query: &str, name: &str) -> Result<Option<String>, Refused> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key != name {
            continue;
        }
        if found.is_some() {
            return Err(Refused(StatusCode::BAD_REQUEST, "a parameter stands twice"));
        }
        found = Some(
            percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| Refused(StatusCode::BAD_REQUEST, "a parameter is no UTF-8"))?
                .into_owned(),
        );
    }
    Ok(found)
}

fn number(query: &str, name: &str, default: u64, most: u64) -> Result<u64, Refused> {
    match parameter(query, name)? {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| *number <= most)
            .ok_or(Refused(
                StatusCode::BAD_REQUEST,
                "a parameter is no number in its bounds",
            )),
    }
}

fn milliseconds(query: &str, name: &str, default: u64) -> Result<Duration, Refused> {
    number(query, name, default, MAX_SLOW.as_millis() as u64).map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
