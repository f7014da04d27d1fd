//! **The issuer's own API, declared** as every API is, so that the gateway can mount it: all routes
//! are public, since OAuth clients authenticate to the issuer itself; the form endpoints get
//! `Authorization` untouched.

use core::time::Duration;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, Method};
use issuer::metadata::{Endpoint, Endpoints};
use proof::issued::{Brand, Environment};
use registry::api::{
    ApiMeaning, Cors, IdentityForward, PathTemplate, RouteMeaning, Segment, UpstreamMeaning,
};
use registry::client::ClientMeaning;
use verdict::limit::Rate;
use verdict::route::{Api, ApiName, Demand, Route, RouteName, Rule, SenderRules};

use super::DPOP_NONCE;
use crate::browser::Place;

/// Largest form.
const MAX_BODY: u64 = issuer::params::MAX_BODY as u64;

/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The name of the built-in API, and of the local service behind it.
pub const NAME: &str = "issuer";

/// Describes the issuer's routes.
///
/// `hosts` as in [`ApiMeaning::hosts`]; `per_address` holds back whoever guesses secrets.
pub fn built_in_api(
    endpoints: &Endpoints,
    hosts: Vec<String>,
    brand: Brand,
    per_address: Option<Rate>,
) -> ApiMeaning {
    let api = Arc::new(Api {
        name: ApiName::new(NAME),
        audiences: Vec::new(),
        environment: Environment::Live,
        issuers: Vec::new(),
        brand,
        encryption: None,
        key_headers: Vec::new(),
        foreign_keys: Vec::new(),
        realm: NAME.into(),
        resource_metadata: None,
        relations: None,
        rights: Default::default(),
        certificates: None,
        signatures: Default::default(),
    });
    ApiMeaning {
        hosts,
        base_path: "/".to_owned(),
        strip_base_path: false,
        upstream: UpstreamMeaning::Local(NAME),
        client_authority: None,
        decryption_key_files: Vec::new(),
        identity: IdentityForward::None,
        cors: None,
        per_address,
        per_principal: None,
        per_application: None,
        scopes: Vec::new(),
        // No token is ever issued for this API; the field wants a value within its bounds.
        token_lifetime: Duration::from_secs(600),
        token_format: registry::api::TokenFormat::Jwt,
        routes: Endpoint::ALL
            .into_iter()
            .filter(|endpoint| endpoints.serves(*endpoint))
            .map(|endpoint| Door::of_endpoint(endpoint, endpoints))
            .chain(Place::ALL.map(|place| Door::of_place(place, endpoints)))
            .map(|door| route(&api, door))
            .collect(),
        judged: api,
    }
}

/// What scripts in browsers may ask of the issuer and read of its answers, if any client has origins
/// of its own (RFC 9700 §2.6: the token endpoint and those like it, never with cookies). A preflight
/// names no client, so all clients' origins count alike; without cookies the pages show a script
/// nothing that it could not fetch by itself.
pub fn for_scripts<'a>(clients: impl IntoIterator<Item = &'a ClientMeaning>) -> Option<Cors> {
    let mut origins: Vec<_> = clients
        .into_iter()
        .flat_map(|client| client.allowed_origins.iter().cloned())
        .collect();
    origins.sort_unstable();
    origins.dedup();
    (!origins.is_empty()).then(|| Cors {
        origins,
        headers: vec![AUTHORIZATION, CONTENT_TYPE, DPOP],
        expose: vec![WWW_AUTHENTICATE, DPOP_NONCE],
        credentials: false,
        max_age: PREFLIGHT_MAX_AGE,
    })
}

/// A method of an endpoint, and those that come with it.
fn methods(name: &&str) -> Vec<Method> {
    match *name {
        "POST" => vec![Method::POST],
        "PUT" => vec![Method::PUT],
        "DELETE" => vec![Method::DELETE],
        _ => vec![Method::GET, Method::HEAD],
    }
}

/// Where a route leads, and how.
struct Door {
    name: &'static str,
    path: String,
    methods: &'static [&'static str],
    /// Clients authenticate to the issuer itself, and UserInfo judges tokens of its own.
    pass_authorization: bool,
    body_limit: u64,
}

impl Door {
    fn of_endpoint(endpoint: Endpoint, endpoints: &Endpoints) -> Self {
        let body = endpoint.takes_form() || endpoint.takes_json();
        Self {
            name: endpoint.name(),
            path: endpoints.path(endpoint),
            methods: endpoint.methods(),
            pass_authorization: body && !endpoint.is_for_browsers(),
            body_limit: if body { MAX_BODY } else { 0 },
        }
    }

    fn of_place(place: Place, endpoints: &Endpoints) -> Self {
        Self {
            name: place.name(),
            path: place.path(endpoints),
            methods: place.methods(),
            pass_authorization: false,
            body_limit: if place == Place::Assets { 0 } else { MAX_BODY },
        }
    }
}

fn route(api: &Arc<Api>, door: Door) -> RouteMeaning {
    RouteMeaning {
        judged: Arc::new(Route {
            api: api.clone(),
            name: RouteName::new(door.name),
            demand: Demand::Public {
                pass_authorization: door.pass_authorization,
            },
            rule: Rule::default(),
            sender: SenderRules::default(),
            plain_basic: false,
            signatures: None,
            webhook: None,
        }),
        methods: door.methods.iter().flat_map(methods).collect(),
        path: PathTemplate {
            segments: door.path[1..].split('/').map(segment).collect(),
            written: door.path,
        },
        body_limit: door.body_limit,
        response_timeout: None,
        allow_encoded_slash: false,
        upgrade: false,
        upstream_credential: false,
        unguarded: Vec::new(),
    }
}

fn segment(part: &str) -> Segment {
    match part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Literal(part.to_owned()),
    }
}
