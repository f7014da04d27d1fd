//! **What a policy is told of a call**: one JSON value, documented and versioned, the same that the
//! decision log keeps to judge the call again.
//!
//! Version `v1`; members are added, never renamed or removed. Nothing that proves who calls is in it:
//! fields that carry credentials and cookies are left out, and so is whatever of a call goes no
//! further than to the door: a rule must not be satisfied by a field that the service behind never
//! sees, or by a claim that only the gateway may make. All of it is data: nothing that a caller
//! sends is ever read as a part of a policy (threat H2).

use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;
use percent_encoding::percent_decode_str;
use proof::time::Timestamp;
use serde_json::{Map, Value, json};

use super::objects::in_path;
use crate::call::{Head, onward};
use crate::credential;
use crate::identity::{Identity, Standing};
use crate::route::{Api, Route, Rule};

/// The version of what policies are told.
pub const VERSION: &str = "v1";

/// A parameter of a route's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Arc<str>,
    /// The number of its segment from the root.
    pub segment: usize,
    /// Whether it takes the rest of the path.
    pub rest: bool,
}

/// An object that a call names, and what its caller is to it as far as that was asked.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) object_type: Arc<str>,
    pub(crate) id: String,
    /// Of the relations that were asked for, those that the caller has.
    pub(crate) relations: Vec<Arc<str>>,
}

/// The input.
pub(crate) fn v1(
    head: &Head,
    identity: &Identity,
    route: &Route,
    objects: &[Named],
    body: Option<&Value>,
    now: Timestamp,
) -> Value {
    let api = &*route.api;
    let standing = identity.standing();
    let mut call = call(head, route, api);
    if let Some(body) = body {
        call.insert("body".into(), body.clone());
    }
    json!({
        "version": VERSION,
        "time": now.as_millis(),
        "call": call,
        "principal": principal(identity, standing),
        "credential": credential(identity, standing),
        "assurance": assurance(standing),
        "api": api.name.as_str(),
        "route": route.name.as_str(),
        "parameters": parameters(&route.rule, head.path()),
        "objects": self::objects(objects),
    })
}

/// The objects that a call names.
pub(super) fn objects(named: &[Named]) -> Value {
    let told = named.iter().map(|one| {
        json!({
            "type": &*one.object_type,
            "id": one.id,
            "relations": one.relations.iter().map(|text| &**text).collect::<Vec<_>>(),
        })
    });
    told.collect()
}

fn call(head: &Head, route: &Route, api: &Api) -> Map<String, Value> {
    let arrival = head.arrival();
    let client = arrival.client.to_canonical();
    let mut call = Map::new();
    call.insert("method".into(), head.method().as_str().into());
    call.insert("scheme".into(), arrival.scheme.as_str().into());
    call.insert("host".into(), head.host().into());
    call.insert("path".into(), head.path().into());
    call.insert("query".into(), query(head.query()));
    call.insert("headers".into(), headers(head.headers(), route));
    call.insert("address".into(), client.to_string().into());
    let zones: Vec<_> = api
        .rights
        .zones
        .iter()
        .filter(|(_, nets)| nets.iter().any(|net| net.contains(&client)))
        .map(|(name, _)| &**name)
        .collect();
    call.insert("zones".into(), zones.into());
    call
}

/// Each name with all of its values, in order.
fn query(query: Option<&str>) -> Value {
    let mut found = Map::new();
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = |raw: &str| percent_decode_str(raw).decode_utf8_lossy().into_owned();
        let values = found
            .entry(text(name))
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(text(value).into());
        }
    }
    found.into()
}

/// Lower-case names; repeated fields are joined as RFC 9110 §5.3 joins them.
fn headers(headers: &HeaderMap, route: &Route) -> Value {
    let mut found: Map<String, Value> = Map::new();
    // Trace context goes on for some callers and not for others, and is nothing to judge by.
    let ending = onward::ending(headers, |name| {
        *name == COOKIE
            || onward::is_trace(name)
            || credential::is_carrier(name, route)
            || route.writes(name)
    });
    for (name, value) in headers {
        if ending.contains(name) {
            continue;
        }
        let Ok(text) = value.to_str() else { continue };
        match found.get_mut(name.as_str()) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(text);
            }
            _ => drop(found.insert(name.as_str().into(), text.into())),
        }
    }
    found.into()
}

fn principal(identity: &Identity, standing: &Standing) -> Value {
    json!({
        "kind": standing.principal.kind(),
        "id": standing.principal.id(),
        "subject": super::subject_text(identity),
        "issuer": identity.issuer().map(|issuer| issuer.as_str()),
        "tenant": standing.tenant.as_ref().map(|tenant| tenant.as_str()),
        "roles": standing.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        "claims": standing.claims,
    })
}

fn credential(identity: &Identity, standing: &Standing) -> Value {
    json!({
        "kind": identity.kind().name(),
        "id": standing.credential.as_str(),
        "scopes": standing.scopes.iter().collect::<Vec<_>>(),
        "application": standing.application.as_ref().map(|one| one.as_str()),
        "client": standing.client.as_ref().map(|one| one.as_str()),
        "environment": standing.environment.map(|one| one.to_string()),
        "companions": identity
            .companions()
            .iter()
            .map(|one| json!({
                "kind": one.kind().name(),
                "id": one.standing().credential.as_str(),
                "principal": format!(
                    "{}:{}",
                    one.standing().principal.kind(),
                    one.standing().principal.id()
                ),
            }))
            .collect::<Vec<_>>(),
    })
}

/// How strongly and when the person was authenticated, as their token says (RFC 9068 §2.2.1).
fn assurance(standing: &Standing) -> Value {
    let claim = |name: &str| standing.claims.get(name).cloned().unwrap_or_default();
    json!({ "acr": claim("acr"), "amr": claim("amr"), "auth_time": claim("auth_time") })
}

fn parameters(rule: &Rule, path: &str) -> Value {
    let found = rule.parameters.iter().filter_map(|parameter| {
        let value = in_path(path, parameter.segment, parameter.rest);
        Some((parameter.name.to_string(), value.ok()??.into()))
    });
    Value::Object(found.collect())
}
