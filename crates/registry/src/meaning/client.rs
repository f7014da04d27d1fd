//! What a `Client` document means: what the program may do, how it proves itself, and where people
//! are sent on its behalf.

use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use verdict::identity::{ApplicationId, ClientId, Scopes};
use verdict::route::ApiName;

use super::owner::{in_application, knows_scope, may_call, roles, token_lifetime};
use super::{Known, issuer};
use crate::client::{
    CertificateSubject, ClientAuthMethod, ClientKind, ClientMeaning, ClientSpec, SenderConstraint,
};
use crate::flaw::{Place, Report};

pub(super) fn mean(
    name: &str,
    spec: &ClientSpec,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<ClientMeaning> {
    let before = report.count();
    let at = Place::spec();
    in_application(&spec.application, spec.environment, known, report);
    let keys = keys(spec, known, report);
    let dpop = spec.dpop_bound_access_tokens;
    if let Some(period) = spec.token_lifetime {
        token_lifetime(period.0, at.key("token_lifetime"), report);
    }
    let mut grants = Vec::new();
    for (api, scopes) in &spec.grants {
        let place = at.key("grants").key(api);
        if !may_call(api, spec.environment, place.clone(), known, report) {
            continue;
        }
        for (index, scope) in scopes.iter().enumerate() {
            knows_scope(&[api.as_str()], scope, place.index(index), known, report);
        }
        report.no_doubles(&place, scopes);
        grants.push((
            ApiName::new(api.as_str()),
            Scopes::new(scopes.iter().map(String::as_str)),
        ));
    }
    let place = at.key("introspects");
    report.no_doubles(&place, &spec.introspects);
    for (index, api) in spec.introspects.iter().enumerate() {
        may_call(api, spec.environment, place.index(index), known, report);
    }
    let roles = roles(spec.roles.as_deref(), report);
    let id_token_alg = algorithm(
        spec.id_token_signed_response_alg.as_deref(),
        at.key("id_token_signed_response_alg"),
        report,
    );
    let userinfo_alg = algorithm(
        spec.userinfo_signed_response_alg.as_deref(),
        at.key("userinfo_signed_response_alg"),
        report,
    );
    let backchannel_logout_uri = spec.backchannel_logout_uri.as_deref().and_then(|text| {
        issuer::fetched_url(
            text,
            known.context,
            at.key("backchannel_logout_uri"),
            "a logout is told over https",
            report,
        )
    });
    let text = |written: &Option<String>| written.clone();
    (report.count() == before).then(|| ClientMeaning {
        client_id: ClientId::new(name),
        display_name: spec.display_name.clone().unwrap_or_else(|| name.to_owned()),
        application: ApplicationId::new(spec.application.as_str()),
        auth_method: spec.auth_method,
        jwks: keys.set,
        jwks_uri: keys.uri,
        certificate: certificate(spec),
        kind: spec.kind,
        profile: spec.profile,
        grant_types: spec
            .grant_types
            .clone()
            .unwrap_or_else(|| spec.kind.grant_types(dpop).to_vec()),
        redirect_uris: spec.redirect_uris.clone(),
        post_logout_redirect_uris: spec.post_logout_redirect_uris.clone(),
        allowed_origins: allowed_origins(spec),
        sender_constraint: match (dpop, spec.tls_client_certificate_bound_access_tokens) {
            (true, _) => SenderConstraint::Dpop,
            (false, true) => SenderConstraint::Mtls,
            (false, false) => SenderConstraint::None,
        },
        require_par: spec.require_pushed_authorization_requests
            || spec.profile.rules().par_required,
        identity_scopes: spec.identity_scopes.clone(),
        id_token_alg: id_token_alg.unwrap_or(spec.profile.id_token_algorithm()),
        userinfo_alg,
        default_max_age: spec.default_max_age.map(|period| period.0),
        require_auth_time: spec.require_auth_time,
        backchannel_logout_uri,
        backchannel_logout_session_required: spec.backchannel_logout_session_required,
        client_uri: text(&spec.client_uri),
        logo_uri: text(&spec.logo_uri),
        policy_uri: text(&spec.policy_uri),
        tos_uri: text(&spec.tos_uri),
        contacts: spec.contacts.clone(),
        skip_consent: spec.skip_consent,
        grants,
        introspects: spec
            .introspects
            .iter()
            .map(|api| ApiName::new(api.as_str()))
            .collect(),
        token_lifetime: spec.token_lifetime.map(|period| period.0),
        environment: spec.environment,
        roles,
    })
}

/// Where a client's public keys are.
#[derive(Default)]
struct Keys {
    set: Option<JwkSet>,
    uri: Option<url::Url>,
}

/// Keys are for methods that verify with them, one source of them and no more.
fn keys(spec: &ClientSpec, known: &Known<'_>, report: &mut Report<'_>) -> Keys {
    let at = Place::spec();
    let method = spec.auth_method;
    let wanted = matches!(
        method,
        ClientAuthMethod::PrivateKeyJwt | ClientAuthMethod::SelfSignedTlsClientAuth
    );
    match (&spec.jwks, &spec.jwks_uri) {
        (None, None) if wanted => report.hinted(
            at.key("auth_method"),
            format!("{} needs the client's keys", method.name()),
            "write jwks or jwks_uri",
        ),
        (None, None) => {}
        (Some(_), Some(_)) => report.hinted(
            at.key("jwks_uri"),
            "there are two sources of the client's keys",
            "write only one of jwks, jwks_uri",
        ),
        (Some(_), None) if !wanted => report.flaw(
            at.key("jwks"),
            "keys are for auth_method private_key_jwt and self_signed_tls_client_auth only",
        ),
        (None, Some(_)) if !wanted => report.flaw(
            at.key("jwks_uri"),
            "keys are for auth_method private_key_jwt and self_signed_tls_client_auth only",
        ),
        (Some(value), None) => {
            return Keys {
                set: issuer::key_set(value, at.key("jwks"), report),
                uri: None,
            };
        }
        (None, Some(text)) => {
            return Keys {
                set: None,
                uri: issuer::fetched_url(
                    text,
                    known.context,
                    at.key("jwks_uri"),
                    issuer::KEYS_BY_URL,
                    report,
                ),
            };
        }
    }
    Keys::default()
}

/// The one subject that is written.
fn certificate(spec: &ClientSpec) -> Option<CertificateSubject> {
    let text = |written: &Option<String>, subject: fn(String) -> CertificateSubject| {
        written.clone().map(subject)
    };
    text(
        &spec.tls_client_auth_subject_dn,
        CertificateSubject::SubjectDn,
    )
    .or_else(|| {
        let dns = spec.tls_client_auth_san_dns.as_deref()?;
        Some(CertificateSubject::SanDns(dns.to_ascii_lowercase()))
    })
    .or_else(|| text(&spec.tls_client_auth_san_uri, CertificateSubject::SanUri))
    .or_else(|| spec.tls_client_auth_san_ip.map(CertificateSubject::SanIp))
    .or_else(|| {
        text(
            &spec.tls_client_auth_san_email,
            CertificateSubject::SanEmail,
        )
    })
}

fn allowed_origins(spec: &ClientSpec) -> Vec<String> {
    match &spec.allowed_origins {
        Some(written) => written.clone(),
        None if spec.kind == ClientKind::Browser => {
            let mut origins: Vec<_> = spec
                .redirect_uris
                .iter()
                .filter_map(|uri| url::Url::parse(uri).ok())
                .map(|uri| uri.origin().ascii_serialization())
                .collect();
            origins.sort();
            origins.dedup();
            origins
        }
        None => Vec::new(),
    }
}

fn algorithm(written: Option<&str>, place: Place, report: &mut Report<'_>) -> Option<Algorithm> {
    let written = written?;
    let found = Algorithm::from_name(written);
    if found.is_none() {
        report.flaw(place, format!("there is no algorithm `{written}`"));
    }
    found
}
