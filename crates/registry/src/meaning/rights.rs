//! What callers may do, beyond scopes and roles: which scopes imply which, which objects a route's
//! calls are about, and which parameters nobody guards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::HeaderName;
use verdict::policy::rego::Policy;
use verdict::policy::{MOST_BODY, ObjectRule, Parameter, Place as Where, Pointer};
use verdict::probing::{MOST_DISTINCT, Probing};
use verdict::route::Rights;

use super::Known;
use super::owner::unknown;
use crate::api::rights::{ObjectSpec, ProbingSpec};
use crate::api::stored::StoredCredential;
use crate::api::written::{ApiSpec, RouteSpec};
use crate::api::{ApiMeaning, PathTemplate, Segment};
use crate::flaw::{Place, Report};
use crate::resource::ResourceKind;
use crate::units::Period;

/// Noticed unless written otherwise.
const DISTINCT: u32 = 20;

/// What an API's document says of rights.
pub(super) fn of_api(
    spec: &ApiSpec,
    credential: Option<&StoredCredential>,
    report: &mut Report<'_>,
) -> Rights {
    let at = Place::spec();
    for name in spec.zones.keys() {
        if !is_slug(name) {
            report.flaw(
                at.key("zones").key(name),
                "a zone's name is lower-case letters, digits, hyphens and underscores",
            );
        }
    }
    for (name, nets) in &spec.zones {
        report.not_empty(at.key("zones").key(name), Some(nets));
    }
    Rights {
        implied_by: implied_by(spec, report),
        zones: spec
            .zones
            .iter()
            .map(|(name, nets)| (Arc::from(name.as_str()), nets.clone()))
            .collect(),
        probing: spec
            .probing
            .as_ref()
            .map(|written| probing(written, &at.key("probing"), report)),
        own_fields: credential.map(StoredCredential::fields).unwrap_or_default(),
    }
}

/// For each scope those that imply it, by however many steps.
fn implied_by(spec: &ApiSpec, report: &mut Report<'_>) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let at = Place::spec().key("implied_scopes");
    for (broader, narrower) in &spec.implied_scopes {
        let at = at.key(broader);
        report.not_empty(at.clone(), Some(narrower));
        report.no_doubles(&at, narrower);
        let named = core::iter::once(broader).chain(narrower);
        for scope in named.filter(|scope| !spec.scopes.contains_key(*scope)) {
            report.hinted(
                at.clone(),
                format!("scope `{scope}` is not declared"),
                "declare it under `spec.scopes` with the words that people read",
            );
        }
    }
    let mut implied: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for broader in spec.implied_scopes.keys() {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![broader.as_str()];
        while let Some(next) = open.pop() {
            for scope in spec.implied_scopes.get(next).into_iter().flatten() {
                if reached.insert(scope) {
                    open.push(scope);
                }
            }
        }
        if reached.contains(broader.as_str()) {
            report.flaw(
                at.key(broader),
                format!("`{broader}` implies itself, by way of others"),
            );
        }
        for scope in reached {
            let list = implied.entry(scope.into()).or_default();
            list.push(broader.as_str().into());
        }
    }
    implied
}

fn probing(written: &ProbingSpec, at: &Place, report: &mut Report<'_>) -> Probing {
    let distinct = written.distinct.unwrap_or(DISTINCT);
    if !(2..=MOST_DISTINCT).contains(&distinct) {
        report.flaw(at.key("distinct"), format!("2 to {MOST_DISTINCT} objects"));
    }
    let window = written.window.unwrap_or(Period::minutes(10)).0;
    for (key, period) in [
        ("window", Some(window)),
        ("refuse_for", written.refuse_for.map(|period| period.0)),
    ] {
        if period.is_some_and(|period| period.is_zero()) {
            report.flaw(at.key(key), "this is more than nothing");
        }
    }
    Probing {
        distinct,
        window,
        refuse_for: written.refuse_for.map(|period| period.0),
    }
}

/// The parameters of a template, by the segments of whole paths.
pub(super) fn parameters(base_path: &str, path: &PathTemplate) -> Vec<Parameter> {
    let base = base_path.split('/').filter(|part| !part.is_empty()).count();
    path.segments
        .iter()
        .enumerate()
        .filter_map(|(at, segment)| {
            let (name, rest) = match segment {
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => (name, false),
                Segment::Rest(name) => (name, true),
            };
            Some(Parameter {
                name: name.as_str().into(),
                segment: base + at,
                rest,
            })
        })
        .collect()
}

/// The object rules of a route.
pub(super) fn objects(
    spec: &RouteSpec,
    parameters: &[Parameter],
    body_limit: u64,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report<'_>,
) -> Vec<ObjectRule> {
    report.not_empty(at.key("objects"), spec.objects.as_deref());
    report.not_empty(at.key("unguarded"), spec.unguarded.as_deref());
    for (index, name) in spec.unguarded.iter().flatten().enumerate() {
        let at = at.key("unguarded").index(index);
        if !parameters.iter().any(|one| *one.name == **name) {
            report.flaw(at.clone(), format!("the path has no parameter `{name}`"));
        }
        let written = spec.objects.iter().flatten();
        if written.clone().any(|one| one.path.as_ref() == Some(name)) {
            report.flaw(at, format!("`{name}` is under `objects` too"));
        }
    }
    let mut rules = Vec::new();
    for (index, written) in spec.objects.iter().flatten().enumerate() {
        let at = at.key("objects").index(index);
        let Some(place) = place(written, parameters, &at, report) else {
            continue;
        };
        if matches!(place, Where::Body(_)) && body_limit > MOST_BODY as u64 {
            report.hinted(
                at.key("body"),
                "the body is read before the call is judged, and may be too long for that",
                "write `body_limit: 4MiB` or less for this route",
            );
        }
        relations_are_declared(written, known, &at, report);
        if written.shadow && written.relation.is_none() {
            report.flaw(at.key("shadow"), "without a relation nothing is refused");
        }
        report.not_empty(at.key("tell"), written.tell.as_deref());
        report.no_doubles(&at.key("tell"), written.tell.as_deref().unwrap_or_default());
        rules.push(ObjectRule {
            object_type: written.object_type.as_str().into(),
            place,
            relation: written.relation.as_deref().map(Into::into),
            tell: written
                .tell
                .iter()
                .flatten()
                .map(|text| Arc::from(text.as_str()))
                .collect(),
            optional: written.optional,
            hide: written.hide,
            shadow: written.shadow,
        });
    }
    rules
}

fn place(
    written: &ObjectSpec,
    parameters: &[Parameter],
    at: &Place,
    report: &mut Report<'_>,
) -> Option<Where> {
    let (path, query) = (written.path.as_deref(), written.query.as_deref());
    match (
        path,
        query,
        written.header.as_deref(),
        written.body.as_deref(),
    ) {
        (Some(name), None, None, None) => {
            let Some(found) = parameters.iter().find(|one| *one.name == *name) else {
                let known: Vec<_> = parameters.iter().map(|one| &*one.name).collect();
                let message = format!("the path has no parameter `{name}`");
                match &*known {
                    [] => report.flaw(at.key("path"), message),
                    known => {
                        let hint = format!("it has {}", known.join(", "));
                        report.hinted(at.key("path"), message, hint);
                    }
                }
                return None;
            };
            Some(Where::Path {
                name: found.name.clone(),
                segment: found.segment,
                rest: found.rest,
            })
        }
        (None, Some(name), None, None) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            if name.is_empty() || !name.bytes().all(plain) {
                report.flaw(
                    at.key("query"),
                    "a parameter's name is letters, digits, `_`, `-` and `.`",
                );
                return None;
            }
            Some(Where::Query(name.into()))
        }
        (None, None, Some(name), None) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(Where::Header(name)),
            Err(_) => {
                report.flaw(at.key("header"), "this is not a header's name");
                None
            }
        },
        (None, None, None, Some(pointer)) => match Pointer::read(pointer) {
            Ok(pointer) => Some(Where::Body(pointer)),
            Err(bad) => {
                report.flaw(at.key("body"), bad.to_string());
                None
            }
        },
        _ => {
            report.hinted(
                at.clone(),
                "where the object is named is said in one way",
                "write one of `path`, `query`, `header` and `body`",
            );
            None
        }
    }
}

/// A relation that no model has would refuse every call, a misspelt type likewise.
fn relations_are_declared(
    written: &ObjectSpec,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report<'_>,
) {
    if !is_slug(&written.object_type) {
        report.flaw(at.key("type"), "a type is a name in lower case");
        return;
    }
    let relation = written
        .relation
        .iter()
        .map(|name| (at.key("relation"), name));
    let told = written.tell.iter().flatten().enumerate();
    let told = told.map(|(index, name)| (at.key("tell").index(index), name));
    for (at, name) in relation.chain(told) {
        // A model that is there and flawed has flaws of its own.
        if let Some(model) = &known.relations
            && let Err(message) = model.find(&written.object_type, name)
        {
            report.hinted(
                at,
                message,
                "types and relations are declared in documents of kind RelationModel",
            );
        }
    }
}

/// The policies of an API, which all of its routes have.
pub(super) struct ApiPolicies {
    obeyed: Vec<Arc<Policy>>,
    shadow: Vec<Arc<Policy>>,
}

/// The policies of a route.
pub(super) struct Policies {
    /// Those that calls must pass.
    pub(super) obeyed: Vec<Arc<Policy>>,
    /// Those that are asked and not obeyed.
    pub(super) shadow: Vec<Arc<Policy>>,
}

impl ApiPolicies {
    pub(super) fn of(spec: &ApiSpec, known: &Known<'_>, report: &mut Report<'_>) -> Self {
        let at = Place::spec();
        Self {
            obeyed: named(spec.policies.as_deref(), known, &at.key("policies"), report),
            shadow: named(
                spec.shadow_policies.as_deref(),
                known,
                &at.key("shadow_policies"),
                report,
            ),
        }
    }

    /// With those of one route, which come after the API's.
    pub(super) fn with(
        &self,
        spec: &RouteSpec,
        known: &Known<'_>,
        body_limit: u64,
        at: &Place,
        report: &mut Report<'_>,
    ) -> Policies {
        let own = named(spec.policies.as_deref(), known, &at.key("policies"), report);
        let own_shadow = named(
            spec.shadow_policies.as_deref(),
            known,
            &at.key("shadow_policies"),
            report,
        );
        // Nobody calls a public route, so there is nobody to judge.
        if spec.public {
            return Policies {
                obeyed: Vec::new(),
                shadow: Vec::new(),
            };
        }
        let all = |ours: &[Arc<Policy>], own: Vec<Arc<Policy>>| {
            let mut all = ours.to_vec();
            let new = |one: &Arc<Policy>| !ours.iter().any(|other| Arc::ptr_eq(one, other));
            all.extend(own.into_iter().filter(new));
            all
        };
        let policies = Policies {
            obeyed: all(&self.obeyed, own),
            shadow: all(&self.shadow, own_shadow),
        };
        let mut judging = policies.obeyed.iter().chain(&policies.shadow);
        if judging.any(|policy| policy.reads_body()) && body_limit > MOST_BODY as u64 {
            report.hinted(
                at.clone(),
                "a policy reads the body before the call is judged, and it may be too long for that",
                "write `body_limit: 4MiB` or less for this route",
            );
        }
        policies
    }
}

fn named(
    written: Option<&[String]>,
    known: &Known<'_>,
    place: &Place,
    report: &mut Report<'_>,
) -> Vec<Arc<Policy>> {
    report.not_empty(place.clone(), written);
    let written = written.unwrap_or_default();
    report.no_doubles(place, written);
    let mut policies = Vec::new();
    for (index, name) in written.iter().enumerate() {
        match known.policies.get(name.as_str()) {
            Some(policy) => policies.push(policy.clone()),
            // One that is there and flawed has flaws of its own.
            None if known.policy_names.contains(&name.as_str())
                || known.is_broken(ResourceKind::Policy, name) => {}
            None => unknown(
                report,
                place.index(index),
                "policy",
                name,
                known.policy_names.iter().copied(),
            ),
        }
    }
    policies
}

fn is_slug(text: &str) -> bool {
    crate::document::Name::new(text).is_ok()
}

/// A parameter of a path that may name somebody's object, and that nothing judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unguarded {
    /// The API.
    pub api: String,
    /// The route.
    pub route: String,
    /// The parameter.
    pub parameter: String,
}

impl core::fmt::Display for Unguarded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            api,
            route,
            parameter,
        } = self;
        write!(
            f,
            "API `{api}`, route `{route}`: whoever may call it may name any {{{parameter}}}"
        )
    }
}

/// The parameters of routes that are not public which no object rule names, no policy sees and nobody
/// declared to be nobody's own.
pub fn unguarded<'a>(apis: impl IntoIterator<Item = &'a ApiMeaning>) -> Vec<Unguarded> {
    let mut found = Vec::new();
    for api in apis {
        for route in &api.routes {
            found.extend(route.unguarded.iter().map(|parameter| Unguarded {
                api: api.judged.name.as_str().to_owned(),
                route: route.judged.name.as_str().to_owned(),
                parameter: parameter.to_string(),
            }));
        }
    }
    found
}

/// See [`unguarded`].
pub(super) fn unguarded_of(
    spec: &RouteSpec,
    parameters: &[Parameter],
    objects: &[ObjectRule],
    judged_by_policy: bool,
) -> Vec<Arc<str>> {
    if spec.public || judged_by_policy {
        return Vec::new();
    }
    let guarded = |parameter: &Parameter| {
        objects.iter().any(|rule| {
            let enforced = rule.relation.is_some() && !rule.shadow;
            enforced && matches!(&rule.place, Where::Path { name, .. } if *name == parameter.name)
        })
    };
    let declared = |parameter: &Parameter| {
        let mut written = spec.unguarded.iter().flatten();
        written.any(|name| **name == *parameter.name)
    };
    parameters
        .iter()
        .filter(|parameter| !guarded(parameter) && !declared(parameter))
        .map(|parameter| parameter.name.clone())
        .collect()
}
