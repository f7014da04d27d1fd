//! **The admin API, declared** as every API is, so that the gateway can mount and protect it: an
//! admin key on every route, the OpenAPI document's among them. It is in no snapshot but the admin
//! listener's (threats H7, J4).

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use proof::issued::{Brand, Environment};
use registry::api::{
    ApiMeaning, IdentityForward, PathTemplate, RouteMeaning, Segment, UpstreamMeaning,
};
use verdict::credential::CredentialKind;
use verdict::limit::Rate;
use verdict::route::{Api, ApiName, Demand, Route, RouteName, Rule, SenderRules};

use super::MAX_BODY;
use super::operation::Operation;

/// The name of the built-in API, and of the local service behind it.
pub const NAME: &str = "admin";

/// Describes the admin API's routes, one per operation.
///
/// `per_address` holds back whoever guesses keys. Any `Host` is routed here: which ones are ours is
/// judged by [`super::site::Site`], which knows why.
pub fn declaration(brand: Brand, per_address: Option<Rate>) -> ApiMeaning {
    let api = Arc::new(Api {
        name: ApiName::new(NAME),
        audiences: Vec::new(),
        // Administrators' keys are always live.
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
        hosts: Vec::new(),
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
        routes: routes(&api),
        judged: api,
    }
}

/// One route per operation.
fn routes(api: &Arc<Api>) -> Vec<RouteMeaning> {
    // In the order of paths, so that the declaration is the same however the list is grown.
    let operations: BTreeMap<_, _> = Operation::all()
        .into_iter()
        .map(|operation| {
            (
                (operation.path(), operation.method().to_string()),
                operation,
            )
        })
        .collect();
    operations
        .into_values()
        .map(|operation| route(api, operation))
        .collect()
}

fn route(api: &Arc<Api>, operation: Operation) -> RouteMeaning {
    let path = operation.path();
    RouteMeaning {
        judged: Arc::new(Route {
            api: api.clone(),
            name: RouteName::new(operation.id()),
            demand: Demand::OneOf(vec![vec![CredentialKind::AdminKey]]),
            // The role is judged by the use case, which leaves a note when it refuses.
            rule: Rule::default(),
            sender: SenderRules::default(),
            plain_basic: false,
            signatures: None,
            webhook: None,
        }),
        methods: vec![operation.method()],
        path: template(path),
        body_limit: if operation.body().is_some() {
            MAX_BODY as u64
        } else {
            0
        },
        response_timeout: None,
        allow_encoded_slash: false,
        upgrade: false,
        upstream_credential: false,
        unguarded: Vec::new(),
    }
}

fn template(path: String) -> PathTemplate {
    let segment = |part: &str| match part
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Literal(part.to_owned()),
    };
    PathTemplate {
        segments: path[1..].split('/').map(segment).collect(),
        written: path,
    }
}
