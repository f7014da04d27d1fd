//! What routes mean: templates, demands, and that no two answer the same call.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use verdict::credential::CredentialKind;
use verdict::credential::jwt::IssuerProfile;
use verdict::credential::signed::SignatureRules;
use verdict::credential::webhook::WebhookRules;
use verdict::route::{Api, Demand, Route, RouteName, Rule, SenderRules};

use super::owner::role_names;
use super::{At, Known};
use super::{rights, signatures};
use crate::api::written::{ApiSpec, Combination, RouteSpec, SenderConstraintSpec, Sensitivity};
use crate::api::{ApiMeaning, PathTemplate, RouteMeaning, Segment, TokenFormat};
use crate::document::Name;
use crate::flaw::{Flaw, Place, Report};
use crate::units::Size;

/// Most segments of a template: matching looks no deeper.
const MOST_SEGMENTS: usize = 64;

/// Kinds that are sent in `Authorization` and nowhere else.
const IN_AUTHORIZATION: [CredentialKind; 7] = [
    CredentialKind::Basic,
    CredentialKind::Jwt,
    CredentialKind::Opaque,
    CredentialKind::SigV4,
    CredentialKind::Hmac,
    CredentialKind::ClientJwt,
    CredentialKind::Paseto,
];

/// Largest body unless written otherwise.
const BODY_LIMIT: Size = Size(1 << 20);

pub(super) fn mean_all(
    spec: &ApiSpec,
    api: &Arc<Api>,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Vec<RouteMeaning> {
    let policies = rights::ApiPolicies::of(spec, known, report);
    let place = Place::spec().key("routes");
    if spec.routes.is_empty() {
        report.flaw(place.clone(), "an API needs at least one route");
    }
    if let Some(written) = &spec.credentials {
        combinations(
            written,
            spec,
            api,
            &api.signatures,
            &Place::spec().key("credentials"),
            report,
        );
    }
    let mut means = Vec::new();
    let mut sound = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (index, route) in spec.routes.iter().enumerate() {
        let at = place.index(index);
        let before = report.count();
        let meaning = mean(route, spec, api, (known, &policies), &at, report);
        sound.push(report.count() == before);
        let name = meaning.judged.name.as_str().to_owned();
        // Derived names repeat only where method and path do, which is said of the path.
        if let Some(first) = names.get(&name)
            && route.name.is_some()
        {
            report.flaw(
                at.key("name"),
                format!("routes[{first}] has this name already"),
            );
        }
        names.entry(name).or_insert(index);
        means.push(meaning);
    }
    for (index, route) in means.iter().enumerate() {
        // A route that could not be read answers nothing yet.
        let other = (0..index).find(|other| sound[*other] && collide(&means[*other], route));
        if let Some(first) = other.filter(|_| sound[index]) {
            report.hinted(
                place.index(index).key("path"),
                format!("routes[{first}] answers the same calls"),
                "give them different methods or paths",
            );
        }
    }
    means
}

fn mean(
    spec: &RouteSpec,
    api_spec: &ApiSpec,
    api: &Arc<Api>,
    (known, policies): (&Known<'_>, &rights::ApiPolicies),
    at: &Place,
    report: &mut Report<'_>,
) -> RouteMeaning {
    let methods = methods(spec, at, report);
    let path = template(&spec.path).unwrap_or_else(|message| {
        report.flaw(at.key("path"), message);
        PathTemplate {
            written: spec.path.clone(),
            segments: Vec::new(),
        }
    });
    if let Some(name) = &spec.name
        && let Err(bad) = Name::new(name)
    {
        report.flaw(at.key("name"), bad.to_string());
    }
    let name = spec
        .name
        .clone()
        .unwrap_or_else(|| derived_name(&methods, &spec.path));
    let signatures = signatures::of_route(spec, at, report);
    let demand = demand(spec, api_spec, api, signatures.as_ref(), at, report);
    report.not_empty(at.key("scopes"), spec.scopes.as_deref());
    for (index, scope) in spec.scopes.iter().flatten().enumerate() {
        if !api_spec.scopes.contains_key(scope) {
            report.hinted(
                at.key("scopes").index(index),
                format!("scope `{scope}` is not declared"),
                "declare it under `spec.scopes` with the words that people read",
            );
        }
    }
    report.no_doubles(
        &at.key("scopes"),
        spec.scopes.as_deref().unwrap_or_default(),
    );
    let sender = sender_rules(spec, api_spec);
    for (key, written) in [
        ("sender_constraint", spec.sender_constraint.is_some()),
        ("dpop_nonce", spec.dpop_nonce.is_some()),
    ] {
        if written && !takes_tokens(&demand) {
            report.flaw(
                at.key(key),
                "this is said of access tokens, and the route takes none",
            );
        }
    }
    sensitivity(spec, api_spec, &demand, sender, at, report);
    let any_role = role_names(spec.roles.as_deref(), &at.key("roles"), report);
    if spec.public {
        for (key, written) in [
            ("scopes", spec.scopes.is_some()),
            ("roles", spec.roles.is_some()),
            ("objects", spec.objects.is_some()),
            ("policies", spec.policies.is_some()),
            ("shadow_policies", spec.shadow_policies.is_some()),
        ] {
            if written {
                report.flaw(at.key(key), "a public route has no caller to hold this");
            }
        }
    }
    let body_limit = spec
        .body_limit
        .or_else(|| api_spec.limits.as_ref().and_then(|limits| limits.body))
        .unwrap_or(BODY_LIMIT);
    if spec
        .response_timeout
        .is_some_and(|period| period.0.is_zero())
    {
        report.flaw(at.key("response_timeout"), "a timeout is more than nothing");
    }
    if spec.allow_encoded_slash
        && path
            .segments
            .iter()
            .all(|segment| matches!(segment, Segment::Literal(_)))
    {
        report.flaw(
            at.key("allow_encoded_slash"),
            "the path has no parameter that could hold one",
        );
    }
    if let Some(rules) = &signatures {
        signatures::meets(rules, &demand, &at.key("signatures"), report);
    }
    let webhook = webhooks(spec, api_spec, &demand, at, report);
    let base_path = api_spec.base_path.as_deref().unwrap_or("/");
    let parameters = rights::parameters(base_path, &path);
    let objects = rights::objects(spec, &parameters, body_limit.0, known, at, report);
    let policies = policies.with(spec, known, body_limit.0, at, report);
    let judged_by_policy = !policies.obeyed.is_empty();
    let unguarded = rights::unguarded_of(spec, &parameters, &objects, judged_by_policy);
    let asks = !objects.is_empty() || judged_by_policy || !policies.shadow.is_empty();
    let records_input = !spec.public && api_spec.record_inputs.unwrap_or(asks);
    RouteMeaning {
        judged: Arc::new(Route {
            api: api.clone(),
            name: RouteName::new(name),
            demand,
            sender,
            rule: Rule {
                scopes: spec
                    .scopes
                    .iter()
                    .flatten()
                    .map(|scope| Arc::from(scope.as_str()))
                    .collect(),
                any_role,
                objects,
                parameters,
                policies: policies.obeyed,
                shadow_policies: policies.shadow,
                records_input,
            },
            plain_basic: known.context.loopback_dev,
            signatures,
            webhook,
        }),
        methods,
        path,
        body_limit: body_limit.0,
        response_timeout: spec.response_timeout.map(|period| period.0),
        allow_encoded_slash: spec.allow_encoded_slash,
        upgrade: spec.upgrade,
        upstream_credential: !spec.public || spec.dangerous_upstream_credential,
        unguarded,
    }
}

/// Whose webhooks a route takes: its own word, or the API's.
fn webhooks(
    spec: &RouteSpec,
    api_spec: &ApiSpec,
    demand: &Demand,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<WebhookRules> {
    let takes = match demand {
        Demand::Public { .. } => false,
        Demand::OneOf(combinations) => combinations
            .iter()
            .flatten()
            .any(|kind| *kind == CredentialKind::Webhook),
    };
    let of_api = api_spec
        .signatures
        .as_ref()
        .and_then(|signatures| signatures.webhook.as_ref());
    let place = match &spec.webhook {
        Some(_) => at.key("webhook"),
        None => Place::spec().key("signatures").key("webhook"),
    };
    let Some(written) = spec.webhook.as_ref().or(of_api) else {
        if takes {
            report.hinted(
                at.clone(),
                "webhook is asked for and nothing says whose",
                "write `webhook: {style: stripe, keys: [DWAK…]}` with the key id of the sender's secret",
            );
        }
        return None;
    };
    if !takes {
        if spec.webhook.is_some() {
            report.flaw(place, "the route does not take the kind `webhook`");
        }
        return None;
    }
    Some(signatures::webhook(written, &place, report))
}

fn methods(spec: &RouteSpec, at: &Place, report: &mut Report<'_>) -> Vec<Method> {
    let place = at.key("methods");
    report.not_empty(place.clone(), spec.methods.as_deref());
    let written = spec.methods.as_deref().unwrap_or_default();
    report.no_doubles(&place, written);
    let mut methods = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let upper = text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        match Method::from_bytes(text.as_bytes()) {
            // RFC 9110 §9.1: methods are case-sensitive; `get` is not GET.
            Ok(_) if !upper => report.hinted(
                place.index(index),
                format!("`{text}` is not a method in upper case"),
                format!("`{}`", text.to_ascii_uppercase()),
            ),
            Ok(Method::CONNECT | Method::TRACE) => {
                report.flaw(place.index(index), format!("{text} is never forwarded"));
            }
            Ok(method) => methods.push(method),
            Err(_) => report.flaw(place.index(index), format!("`{text}` is not a method")),
        }
    }
    methods
}

fn takes_tokens(demand: &Demand) -> bool {
    match demand {
        Demand::Public { .. } => false,
        Demand::OneOf(combinations) => combinations
            .iter()
            .flatten()
            .any(|kind| kind.is_access_token()),
    }
}

fn sender_rules(spec: &RouteSpec, api_spec: &ApiSpec) -> SenderRules {
    let constraint = spec.sender_constraint.or(api_spec.sender_constraint);
    SenderRules {
        required: constraint == Some(SenderConstraintSpec::Required),
        nonce: spec.dpop_nonce.or(api_spec.dpop_nonce).unwrap_or_default(),
    }
}

/// Where much is at stake, no combination may be worth something to whoever merely saw it.
fn sensitivity(
    spec: &RouteSpec,
    api_spec: &ApiSpec,
    demand: &Demand,
    sender: SenderRules,
    at: &Place,
    report: &mut Report<'_>,
) {
    if spec.sensitivity.or(api_spec.sensitivity) != Some(Sensitivity::High) {
        return;
    }
    let Demand::OneOf(combinations) = demand else {
        // Of the API as a whole it says nothing about a route that everybody may call.
        if spec.sensitivity == Some(Sensitivity::High) {
            report.flaw(at.key("sensitivity"), "anybody may call a public route");
        }
        return;
    };
    let works_for_finders = |kind: &CredentialKind| {
        kind.is_sent_along() && !(kind.is_access_token() && sender.required)
    };
    for kinds in combinations {
        if kinds.iter().all(works_for_finders) {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            report.hinted(
                at.key("credentials"),
                format!(
                    "the sensitivity of this route is high, and `{}` works for whoever finds it",
                    names.join(" + ")
                ),
                "take client certificates or signed requests, combine it with one of them, or write `sender_constraint: required` for access tokens",
            );
        }
    }
}

/// `GET /orders/{id}`; `* /orders` where any method is taken.
fn derived_name(methods: &[Method], path: &str) -> String {
    let list: Vec<_> = methods.iter().map(Method::as_str).collect();
    let list = if list.is_empty() {
        "*".to_owned()
    } else {
        list.join(",")
    };
    format!("{list} {path}")
}

fn demand(
    spec: &RouteSpec,
    api_spec: &ApiSpec,
    api: &Api,
    signatures: Option<&SignatureRules>,
    at: &Place,
    report: &mut Report<'_>,
) -> Demand {
    if spec.public {
        if spec.credentials.is_some() {
            report.flaw(
                at.key("credentials"),
                "a route is public or asks for credentials, not both",
            );
        }
        return Demand::Public {
            pass_authorization: spec.pass_authorization,
        };
    }
    if spec.pass_authorization {
        report.hinted(
            at.key("pass_authorization"),
            "this is for public routes only",
            "`identity: {mode: original}` forwards a credential that was checked",
        );
    }
    match (&spec.credentials, &api_spec.credentials) {
        (Some(written), _) => Demand::OneOf(combinations(
            written,
            api_spec,
            api,
            signatures.unwrap_or(&api.signatures),
            &at.key("credentials"),
            report,
        )),
        // Its flaws were said of the API.
        (None, Some(written)) => Demand::OneOf(kinds(written)),
        (None, None) => {
            report.hinted(
                at.clone(),
                "nothing says who may call this route",
                "write `credentials`, here or for the whole API, or `public: true`",
            );
            Demand::OneOf(Vec::new())
        }
    }
}

fn kinds(written: &[Combination]) -> Vec<Vec<CredentialKind>> {
    written
        .iter()
        .map(|one| one.0.iter().map(|kind| (*kind).into()).collect())
        .collect()
}

fn combinations(
    written: &[Combination],
    spec: &ApiSpec,
    api: &Api,
    signatures: &SignatureRules,
    place: &Place,
    report: &mut Report<'_>,
) -> Vec<Vec<CredentialKind>> {
    report.not_empty(place.clone(), Some(written));
    report.no_doubles(place, written);
    let combinations = kinds(written);
    for (index, combination) in combinations.iter().enumerate() {
        let at = place.index(index);
        if combination.is_empty() {
            report.flaw(at.clone(), "the combination is empty");
        }
        report.no_doubles(&at, combination);
        // They stand in `Authorization`, and two of that field are refused (threat B7).
        let mut there = IN_AUTHORIZATION
            .into_iter()
            .filter(|kind| combination.contains(kind));
        if let (Some(one), Some(other)) = (there.next(), there.next()) {
            report.flaw(
                at.clone(),
                format!(
                    "{} and {} both stand in Authorization and can't come together",
                    one.name(),
                    other.name()
                ),
            );
        }
        let signs = |kind: &CredentialKind| {
            use CredentialKind::{ClientJwt, Hmac, HttpSignature, SigV4, Webhook};
            matches!(kind, SigV4 | HttpSignature | Hmac | ClientJwt | Webhook)
        };
        if combination.iter().filter(|kind| signs(kind)).count() > 1 {
            report.flaw(at, "two signatures over one request are one too many");
        }
    }
    let takes = |kind| combinations.iter().flatten().any(|taken| *taken == kind);
    if takes(CredentialKind::SigV4) && signatures.services.is_empty() {
        report.hinted(
            place.clone(),
            "sigv4 is asked for and no credential scope is accepted",
            "write `signatures: {sigv4: {regions: [local], services: [orders]}}`",
        );
    }
    let takes_jwt = takes(CredentialKind::Jwt) || takes(CredentialKind::Paseto);
    if takes(CredentialKind::Mtls) && spec.client_certificates.is_none() {
        report.hinted(
            place.clone(),
            "mtls is asked for and nobody vouches for certificates",
            "write `client_certificates` with `ca_file` and `identities`",
        );
    }
    let reads_opaque = |issuer: &Arc<IssuerProfile>| issuer.own || issuer.introspection.is_some();
    if takes(CredentialKind::Opaque) && !api.issuers.iter().any(reads_opaque) {
        report.hinted(
            place.clone(),
            "an opaque token is asked for and no issuer is trusted that could tell what it is",
            "write `own` under `issuers`, or `introspection` in the document of a trusted issuer",
        );
    }
    // A list that is written has flaws of its own if it came to nothing.
    if takes_jwt && api.issuers.is_empty() && spec.issuers.is_none() {
        report.hinted(
            place.clone(),
            "a token is asked for and there is no issuer to trust",
            "this installation has no issuer of its own; name trusted ones under `issuers`",
        );
    }
    combinations
}

/// Tokens of the form that is issued for an API must be good for something: some route takes them,
/// where any takes tokens of ours. So a change of form goes by routes that take both.
pub(super) fn takes_its_tokens(spec: &ApiSpec, routes: &[RouteMeaning], report: &mut Report<'_>) {
    let takes = |kind: CredentialKind| {
        routes.iter().any(|route| match &route.judged.demand {
            Demand::OneOf(combinations) => combinations.iter().flatten().any(|one| *one == kind),
            Demand::Public { .. } => false,
        })
    };
    let trusts_us = routes
        .iter()
        .any(|route| route.judged.api.issuers.iter().any(|issuer| issuer.own));
    let format = spec.token_format.unwrap_or_default();
    let (kind, place) = (format.kind(), Place::spec().key("token_format"));
    if takes(kind) {
        return;
    }
    match format {
        TokenFormat::Opaque => report.hinted(
            place,
            "tokens for this API are opaque, and no route takes `opaque`",
            "write `opaque` under `credentials`, beside `jwt` as long as such tokens are about",
        ),
        TokenFormat::Paseto | TokenFormat::PasetoLocal => report.hinted(
            place,
            "tokens for this API are PASETOs, and no route takes `paseto`",
            "write `paseto` under `credentials`, beside `jwt` as long as such tokens are about",
        ),
        // Without an issuer of ours there are no tokens of ours.
        TokenFormat::Jwt if trusts_us && takes(CredentialKind::Opaque) => report.hinted(
            place,
            "routes take `opaque`, and tokens for this API are JWTs that no route takes",
            "`token_format: opaque`, or `jwt` under `credentials` too",
        ),
        TokenFormat::Jwt => {}
    }
}

/// A literal segment: unreserved characters and a few that mean nothing in paths. What could be
/// read in two ways (encoded, `;`, backslash, dot segments) is not there to be matched.
pub(super) fn is_clean_literal(text: &str) -> bool {
    let clean = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(clean)
}

/// Reads a path template: literals, `{name}` for one segment, a last `{name*}` for the rest. A final
/// slash is an empty last literal, `/` no segment at all.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn template(written: &str) -> Result<PathTemplate, String> {
    let Some(rest) = written.strip_prefix('/') else {
        return Err(format!("`{written}` does not begin with a slash"));
    };
    let mut segments = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let parts: Vec<&str> = if rest.is_empty() {
        Vec::new()
    } else {
        rest.split('/').collect()
    };
    if parts.len() > MOST_SEGMENTS {
        return Err(format!(
            "a path template has at most {MOST_SEGMENTS} segments"
        ));
    }
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        if part.is_empty() {
            // A final slash makes another path (threat J2), so it is a segment of its own.
            if last && index > 0 {
                segments.push(Segment::Literal(String::new()));
                continue;
            }
            return Err(format!("`{written}` has an empty segment"));
        }
        let Some(inner) = part
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            if part.contains(['{', '}']) {
                return Err(format!(
                    "`{part}` mixes text and parameter; a parameter fills its segment"
                ));
            }
            if !is_clean_literal(part) {
                return Err(format!(
                    "`{part}` has characters that a path template can't hold"
                ));
            }
            segments.push(Segment::Literal((*part).to_owned()));
            continue;
        };
        let name = inner.strip_suffix('*').unwrap_or(inner);
        let clean = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        if !clean {
            return Err(format!(
                "`{{{inner}}}` is not a parameter: a letter, then letters, digits and underscores"
            ));
        }
        if names.contains(&name) {
            return Err(format!("the parameter `{name}` stands twice"));
        }
        names.push(name);
        if inner.ends_with('*') {
            if !last {
                return Err(format!(
                    "`{part}` takes the rest of the path and must stand last"
                ));
            }
            segments.push(Segment::Rest(name.to_owned()));
        } else {
            segments.push(Segment::Parameter(name.to_owned()));
        }
    }
    Ok(PathTemplate {
        written: written.to_owned(),
        segments,
    })
}

/// A template without its parameters' names: two of one shape match the same paths.
fn shape(base: &str, path: &PathTemplate) -> Vec<Option<String>> {
    let base = base
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| Some(part.to_owned()));
    let mut shape: Vec<_> = base.collect();
    for segment in &path.segments {
        match segment {
            Segment::Literal(text) => shape.push(Some(text.clone())),
            Segment::Parameter(_) => shape.push(None),
            // No literal holds a brace, so this can't be mistaken for one.
            Segment::Rest(_) => shape.push(Some("{*}".to_owned())),
        }
    }
    shape
}

fn share_a_method(a: &[Method], b: &[Method]) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|method| b.contains(method))
}

fn collide(a: &RouteMeaning, b: &RouteMeaning) -> bool {
    share_a_method(&a.methods, &b.methods) && shape("/", &a.path) == shape("/", &b.path)
}

/// Two APIs on one host (or both on any) must not answer the same call. A named host goes before
/// any host, so those don't collide.
pub(super) fn apis_do_not_collide(apis: &[(At, Arc<ApiMeaning>)], flaws: &mut Vec<Flaw>) {
    /// A host (or any) and a path's shape.
    type Site<'a> = (Option<&'a str>, Vec<Option<String>>);
    type Taken<'a> = (&'a ApiMeaning, &'a RouteMeaning);
    let mut seen: BTreeMap<Site<'_>, Vec<Taken<'_>>> = BTreeMap::new();
    let mut bases: BTreeMap<(Option<&str>, &str), &ApiMeaning> = BTreeMap::new();
    for (at, api) in apis {
        let report = &mut at.on(flaws);
        let hosts: Vec<Option<&str>> = if api.hosts.is_empty() {
            vec![None]
        } else {
            api.hosts.iter().map(|host| Some(host.as_str())).collect()
        };
        // What is not found below a base path is answered in the name of the API that has it.
        let mut shared = None;
        for host in &hosts {
            let first = *bases.entry((*host, api.base_path.as_str())).or_insert(api);
            if first.judged.name != api.judged.name {
                shared = Some(first);
            }
        }
        if let Some(first) = shared {
            report.hinted(
                Place::spec().key("base_path"),
                format!(
                    "API `{}` has this base path on the same host",
                    first.judged.name
                ),
                "give one of the APIs another host or base_path",
            );
            continue;
        }
        for (index, route) in api.routes.iter().enumerate() {
            let shape = shape(&api.base_path, &route.path);
            let mut reported = false;
            for host in &hosts {
                let taken = seen.entry((*host, shape.clone())).or_default();
                let other = taken.iter().find(|(other, theirs)| {
                    other.judged.name != api.judged.name
                        && share_a_method(&theirs.methods, &route.methods)
                });
                if let Some((other, theirs)) = other
                    && !reported
                {
                    reported = true;
                    report.hinted(
                        Place::spec().key("routes").index(index).key("path"),
                        format!(
                            "route `{}` of API `{}` answers the same calls",
                            theirs.judged.name, other.judged.name
                        ),
                        "give one of the APIs another host or base_path",
                    );
                }
                taken.push((api, route));
            }
        }
    }
}
