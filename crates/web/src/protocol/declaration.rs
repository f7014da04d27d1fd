//! **The issuer's own API, declared** as every API is, so that the gateway can mount it: all routes
//! are public, since OAuth clients authenticate to the issuer itself; the form endpoints get
//! `Authorization` untouched.

use core::time::Duration;
use std::sync::Arc;

use http::Method;
use issuer::metadata::{Endpoint, Endpoints};
use proof::issued::{Brand, Environment};
use registry::api::{
    ApiMeaning, IdentityForward, PathTemplate, RouteMeaning, Segment, UpstreamMeaning,
};
use verdict::limit::Rate;
use verdict::route::{Api, ApiName, Demand, Route, RouteName, Rule};

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
        key_headers: Vec::new(),
        foreign_keys: Vec::new(),
        realm: NAME.into(),
        resource_metadata: None,
    });
    ApiMeaning {
        hosts,
        base_path: "/".to_owned(),
        strip_base_path: false,
        upstream: UpstreamMeaning::Local(NAME),
        identity: IdentityForward::None,
        cors: None,
        per_address,
        per_principal: None,
        scopes: Vec::new(),
        // No token is ever issued for this API; the field wants a value within its bounds.
        token_lifetime: Duration::from_secs(600),
        token_format: registry::api::TokenFormat::Jwt,
        routes: Endpoint::ALL
            .map(|endpoint| route(&api, endpoints, endpoint))
            .into(),
        judged: api,
    }
}

/// A method of an endpoint, and those that come with it.
fn methods(name: &&str) -> Vec<Method> {
    match *name {
        "POST" => vec![Method::POST],
        _ => vec![Method::GET, Method::HEAD],
    }
}

fn route(api: &Arc<Api>, endpoints: &Endpoints, endpoint: Endpoint) -> RouteMeaning {
    let path = endpoints.path(endpoint);
    let form = endpoint.takes_form();
    RouteMeaning {
        judged: Arc::new(Route {
            api: api.clone(),
            name: RouteName::new(endpoint.name()),
            // Clients authenticate to the issuer itself, and UserInfo judges tokens of its own.
            demand: Demand::Public {
                pass_authorization: form && !endpoint.is_for_browsers(),
            },
            rule: Rule::default(),
            plain_basic: false,
        }),
        methods: endpoint.methods().iter().flat_map(methods).collect(),
        path: PathTemplate {
            segments: path[1..]
                .split('/')
                .map(|part| Segment::Literal(part.to_owned()))
                .collect(),
            written: path,
        },
        body_limit: if form {
            issuer::params::MAX_BODY as u64
        } else {
            0
        },
        response_timeout: None,
        allow_encoded_slash: false,
        upgrade: false,
    }
}
