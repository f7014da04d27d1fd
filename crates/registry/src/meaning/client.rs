//! What a `Client` document means: what the program may do, how it proves itself, and where people
//! are sent on its behalf.

use proof::jose::alg::Algorithm;
use proof::jose::jwk::JwkSet;
use url::Url;
use verdict::identity::{ApplicationId, ClientId, Scopes};
use verdict::route::ApiName;

use super::owner::{
    in_application, is_mail_address, is_origin, knows_scope, may_call, roles, token_lifetime,
};
use super::{Known, certificates, issuer};
use crate::client::{
    CallCertificatesMeaning, CertificateSubject, ClientAuthMethod, ClientKind, ClientMeaning,
    ClientSpec, GrantType, IdentityScope, Profile, SenderConstraint,
};
use crate::flaw::{DocumentRef, Flaw, Place, Report};
use crate::redirect::{self, Allowed};
use crate::resource::ResourceKind;

/// Most redirect URIs of one client.
const MOST_URIS: usize = 50;

pub(super) fn mean(
    name: &str,
    spec: &ClientSpec,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<ClientMeaning> {
    let before = report.count();
    let at = Place::spec();
    let place = at.key("application");
    in_application(&spec.application, spec.environment, place, known, report);
    report.not_empty(at.key("networks"), spec.networks.as_deref());
    let program = program(name, spec, known.context.loopback_dev, report);
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
    let Program {
        keys,
        certificate,
        call_certificates,
        grant_types,
        allowed_origins,
        sender_constraint,
        id_token_alg,
        userinfo_alg,
        backchannel_logout_uri,
    } = program;
    (report.count() == before).then(|| ClientMeaning {
        client_id: ClientId::new(name),
        display_name: spec.display_name.clone().unwrap_or_else(|| name.to_owned()),
        application: ApplicationId::new(spec.application.as_str()),
        auth_method: spec.auth_method,
        jwks: keys.set,
        jwks_uri: keys.uri,
        certificate,
        kind: spec.kind,
        profile: spec.profile,
        grant_types,
        redirect_uris: spec.redirect_uris.clone(),
        post_logout_redirect_uris: spec.post_logout_redirect_uris.clone(),
        allowed_origins,
        sender_constraint,
        require_par: spec.require_pushed_authorization_requests
            || spec.profile.rules().par_required,
        identity_scopes: spec.identity_scopes.clone(),
        id_token_alg: id_token_alg.unwrap_or(spec.profile.id_token_algorithm()),
        userinfo_alg,
        default_max_age: spec.default_max_age.map(|period| period.0),
        require_auth_time: spec.require_auth_time,
        backchannel_logout_uri,
        backchannel_logout_session_required: spec.backchannel_logout_session_required,
        client_uri: spec.client_uri.clone(),
        logo_uri: spec.logo_uri.clone(),
        policy_uri: spec.policy_uri.clone(),
        tos_uri: spec.tos_uri.clone(),
        contacts: spec.contacts.clone(),
        skip_consent: spec.skip_consent,
        signs_calls: spec.signs_calls,
        call_certificates,
        grants,
        introspects: spec
            .introspects
            .iter()
            .map(|api| ApiName::new(api.as_str()))
            .collect(),
        token_lifetime: spec.token_lifetime.map(|period| period.0),
        environment: spec.environment,
        roles,
        networks: spec.networks.clone().unwrap_or_default(),
        suspended: spec.suspended,
    })
}

/// The part of a client that refers to no other document.
struct Program {
    keys: Keys,
    certificate: Option<CertificateSubject>,
    call_certificates: Option<CallCertificatesMeaning>,
    grant_types: Vec<GrantType>,
    allowed_origins: Vec<String>,
    sender_constraint: SenderConstraint,
    id_token_alg: Option<Algorithm>,
    userinfo_alg: Option<Algorithm>,
    backchannel_logout_uri: Option<Url>,
}

/// Everything that can be said of a client without the other documents.
fn program(name: &str, spec: &ClientSpec, loopback_dev: bool, report: &mut Report<'_>) -> Program {
    proves_itself_as_its_kind_can(spec, report);
    let grant_types = grant_types(spec, report);
    redirects(spec, &grant_types, report);
    identity(spec, &grant_types, report);
    signs_calls(spec, &grant_types, report);
    shown_to_people(spec, report);
    let at = Place::spec();
    let signed = |written: &Option<String>, key: &str, report: &mut Report<'_>| {
        algorithm(written.as_deref()?, spec.profile, at.key(key), report)
    };
    let algorithm = &spec.id_token_signed_response_alg;
    let id_token_alg = signed(algorithm, "id_token_signed_response_alg", report);
    let algorithm = &spec.userinfo_signed_response_alg;
    let userinfo_alg = signed(algorithm, "userinfo_signed_response_alg", report);
    Program {
        keys: keys(spec, loopback_dev, report),
        certificate: certificate(spec, report),
        call_certificates: certificates::of_calls(name, spec, report),
        grant_types,
        allowed_origins: allowed_origins(spec, report),
        sender_constraint: sender_constraint(spec, report),
        id_token_alg,
        userinfo_alg,
        backchannel_logout_uri: backchannel(spec, loopback_dev, report),
    }
}

/// What is wrong with a client by itself, whatever the other documents say.
pub(crate) fn flaws_alone(name: &str, spec: &ClientSpec, loopback_dev: bool) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let document = DocumentRef {
        kind: ResourceKind::Client.name().to_owned(),
        name: name.to_owned(),
        index: 0,
    };
    program(
        name,
        spec,
        loopback_dev,
        &mut Report::new(document, &mut flaws),
    );
    flaws
}

/// RFC 6749 §2.1: what is in a browser or on a person's device is no secret, and what runs on a
/// server has no reason to prove nothing.
fn proves_itself_as_its_kind_can(spec: &ClientSpec, report: &mut Report<'_>) {
    let (kind, method) = (spec.kind, spec.auth_method);
    let place = Place::spec().key("auth_method");
    let fits = match kind {
        ClientKind::Service | ClientKind::Confidential => !method.is_public(),
        ClientKind::Native | ClientKind::Browser => method.is_public(),
        ClientKind::Device => true,
    };
    if !fits && method.is_public() {
        report.hinted(
            place,
            format!("a client of kind {} proves itself", kind.name()),
            "choose private_key_jwt, or make it native, browser or device",
        );
    } else if !fits {
        report.hinted(
            place,
            format!("a client of kind {} can keep no secret", kind.name()),
            "write `auth_method: none`, or make it confidential",
        );
    } else if !spec.profile.rules().auth_methods.contains(&method) {
        let names: Vec<_> = spec
            .profile
            .rules()
            .auth_methods
            .iter()
            .map(|method| method.name())
            .collect();
        report.hinted(
            place,
            format!(
                "profile {} does not allow {}",
                spec.profile.name(),
                method.name()
            ),
            format!("one of {}", names.join(", ")),
        );
    }
}

/// What a kind of client may do at the token endpoint. A public client proves nothing there, so it
/// gets no token for itself (RFC 6749 §4.4) and exchanges none (RFC 8693 §2.1).
fn may_use(kind: ClientKind, public: bool, grant: GrantType) -> bool {
    match grant {
        GrantType::ClientCredentials | GrantType::TokenExchange => {
            !public && matches!(kind, ClientKind::Service | ClientKind::Confidential)
        }
        GrantType::AuthorizationCode => matches!(
            kind,
            ClientKind::Confidential | ClientKind::Native | ClientKind::Browser
        ),
        GrantType::DeviceCode => matches!(
            kind,
            ClientKind::Confidential | ClientKind::Native | ClientKind::Device
        ),
        GrantType::RefreshToken => kind != ClientKind::Service,
    }
}

fn grant_types(spec: &ClientSpec, report: &mut Report<'_>) -> Vec<GrantType> {
    let dpop = spec.dpop_bound_access_tokens;
    let Some(written) = &spec.grant_types else {
        return spec.kind.grant_types(dpop).to_vec();
    };
    let at = Place::spec().key("grant_types");
    report.not_empty(at.clone(), Some(written));
    report.no_doubles(&at, written);
    for (index, grant) in written.iter().enumerate() {
        if !may_use(spec.kind, spec.auth_method.is_public(), *grant) {
            report.flaw(
                at.index(index),
                format!(
                    "a client of kind {} can not use {}",
                    spec.kind.name(),
                    grant.name()
                ),
            );
        } else if *grant == GrantType::RefreshToken {
            if spec.kind == ClientKind::Browser && !dpop {
                report.hinted(
                    at.index(index),
                    "a browser-only client gets a refresh token only if it is bound to a key",
                    "write `dpop_bound_access_tokens: true`, or leave refresh_token out",
                );
            }
            let begins = [GrantType::AuthorizationCode, GrantType::DeviceCode];
            if !begins.iter().any(|first| written.contains(first)) {
                report.hinted(
                    at.index(index),
                    "nothing gives this client its first refresh token",
                    "add authorization_code or the device grant",
                );
            }
        }
    }
    // What it can not use makes no further flaw.
    let usable = |grant: &GrantType| may_use(spec.kind, spec.auth_method.is_public(), *grant);
    written.iter().copied().filter(usable).collect()
}

/// Redirect URIs stand where a person is sent back, and nowhere else.
fn redirects(spec: &ClientSpec, grants: &[GrantType], report: &mut Report<'_>) {
    let at = Place::spec();
    let code = grants.contains(&GrantType::AuthorizationCode);
    if code && spec.redirect_uris.is_empty() {
        report.hinted(
            at.clone(),
            "authorization_code needs a place to send people back to",
            "write redirect_uris",
        );
    }
    let allowed = Allowed {
        loopback_http: spec.profile.rules().plain_http_redirects,
        private_scheme: spec.kind == ClientKind::Native,
    };
    for (key, list) in [
        ("redirect_uris", &spec.redirect_uris),
        ("post_logout_redirect_uris", &spec.post_logout_redirect_uris),
    ] {
        let place = at.key(key);
        if !code && !list.is_empty() {
            report.hinted(
                place.clone(),
                "nobody is sent to this client: it has no authorization_code grant",
                format!("leave {key} out, or choose another `kind` or `grant_types`"),
            );
        }
        if list.len() > MOST_URIS {
            report.flaw(place.clone(), "a client has at most 50 of these");
        }
        report.no_doubles(&place, list);
        for (index, uri) in list.iter().enumerate() {
            if let Err(bad) = redirect::check(uri, allowed) {
                report.hinted(place.index(index), format!("`{uri}`: {bad}"), bad.hint());
            }
        }
    }
}

fn allowed_origins(spec: &ClientSpec, report: &mut Report<'_>) -> Vec<String> {
    let at = Place::spec().key("allowed_origins");
    let Some(written) = &spec.allowed_origins else {
        if spec.kind != ClientKind::Browser {
            return Vec::new();
        }
        let mut origins: Vec<_> = spec
            .redirect_uris
            .iter()
            .filter_map(|uri| Url::parse(uri).ok())
            .map(|uri| uri.origin().ascii_serialization())
            .collect();
        origins.sort();
        origins.dedup();
        return origins;
    };
    report.not_empty(at.clone(), Some(written));
    report.no_doubles(&at, written);
    if !spec.auth_method.is_public() {
        report.hinted(
            at.clone(),
            "a script at the token endpoint could not keep what this client proves itself with",
            "leave it out, or write `auth_method: none`",
        );
    }
    for (index, origin) in written.iter().enumerate() {
        if !is_origin(origin) {
            report.hinted(
                at.index(index),
                format!("`{origin}` is not an origin"),
                "scheme, host and a port that is not the default, as in `https://app.example.com`",
            );
        }
    }
    written.clone()
}

/// OpenID Connect Core §5.4 and §11: identity is a person's, and begins with `openid`.
fn identity(spec: &ClientSpec, grants: &[GrantType], report: &mut Report<'_>) {
    let at = Place::spec();
    let (place, scopes) = (at.key("identity_scopes"), &spec.identity_scopes);
    report.no_doubles(&place, scopes);
    if !scopes.is_empty() {
        let people = [GrantType::AuthorizationCode, GrantType::DeviceCode];
        if !people.iter().any(|grant| grants.contains(grant)) {
            report.flaw(
                place.clone(),
                "this client acts for itself and learns nobody's identity",
            );
        }
        if !scopes.contains(&IdentityScope::Openid) {
            report.hinted(
                place.clone(),
                "without openid the others say nothing",
                "add openid",
            );
        }
    }
    if let Some(index) = scopes
        .iter()
        .position(|scope| *scope == IdentityScope::OfflineAccess)
        && !grants.contains(&GrantType::RefreshToken)
    {
        report.hinted(
            place.index(index),
            "offline_access is a refresh token, and this client gets none",
            "add refresh_token to grant_types",
        );
    }
    if spec
        .default_max_age
        .is_some_and(|age| age.0.subsec_nanos() != 0)
    {
        report.flaw(at.key("default_max_age"), "this is in whole seconds");
    }
}

fn backchannel(spec: &ClientSpec, loopback_dev: bool, report: &mut Report<'_>) -> Option<Url> {
    let at = Place::spec();
    let Some(text) = &spec.backchannel_logout_uri else {
        if spec.backchannel_logout_session_required {
            report.hinted(
                at.key("backchannel_logout_session_required"),
                "there is nowhere to tell of logouts",
                "write backchannel_logout_uri",
            );
        }
        return None;
    };
    let place = at.key("backchannel_logout_uri");
    if text.contains('#') {
        report.flaw(place, "this has no fragment");
        return None;
    }
    issuer::fetched_url(
        text,
        loopback_dev,
        place,
        "a logout is told over https",
        report,
    )
}

/// What people see on the consent page: links that are links, and short texts.
fn shown_to_people(spec: &ClientSpec, report: &mut Report<'_>) {
    let at = Place::spec();
    for (key, written) in [
        ("client_uri", &spec.client_uri),
        ("logo_uri", &spec.logo_uri),
        ("policy_uri", &spec.policy_uri),
        ("tos_uri", &spec.tos_uri),
    ] {
        let sound = |text: &str| {
            text.len() <= 2048
                && text.bytes().all(|b| b.is_ascii_graphic())
                && Url::parse(text).is_ok_and(|url| {
                    let web = matches!(url.scheme(), "https" | "http");
                    web && url.username().is_empty() && url.password().is_none()
                })
        };
        if written.as_deref().is_some_and(|text| !sound(text)) {
            report.flaw(at.key(key), "this is the URL of a page, https or http");
        }
    }
    let contacts = at.key("contacts");
    report.no_doubles(&contacts, &spec.contacts);
    for (index, contact) in spec.contacts.iter().enumerate() {
        if !is_mail_address(contact) {
            report.flaw(contacts.index(index), "this is a mail address");
        }
    }
}

/// RFC 8705 and RFC 9449: a token has one binding.
fn sender_constraint(spec: &ClientSpec, report: &mut Report<'_>) -> SenderConstraint {
    let at = Place::spec();
    match (
        spec.dpop_bound_access_tokens,
        spec.tls_client_certificate_bound_access_tokens,
    ) {
        (true, true) => {
            report.hinted(
                at.key("tls_client_certificate_bound_access_tokens"),
                "a token is bound in one way",
                "keep this or dpop_bound_access_tokens",
            );
            SenderConstraint::None
        }
        (true, false) => SenderConstraint::Dpop,
        (false, true) => SenderConstraint::Mtls,
        (false, false) => {
            if spec.profile.rules().sender_constraint_required {
                report.hinted(
                    at.key("profile"),
                    format!(
                        "profile {} demands that tokens are bound to their sender",
                        spec.profile.name()
                    ),
                    "write dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens",
                );
            }
            SenderConstraint::None
        }
    }
}

/// What a client signs by itself is worth what it could get a token for by itself, and no more.
fn signs_calls(spec: &ClientSpec, grants: &[GrantType], report: &mut Report<'_>) {
    if !spec.signs_calls {
        return;
    }
    let at = Place::spec().key("signs_calls");
    if !grants.contains(&GrantType::ClientCredentials) {
        report.hinted(
            at.clone(),
            "a client that signs its calls acts for itself, and this one may not",
            "add client_credentials to grant_types",
        );
    }
    if spec.auth_method == ClientAuthMethod::SelfSignedTlsClientAuth
        && spec.call_certificates.is_none()
    {
        report.hinted(
            at.clone(),
            "this client's keys are those of its certificates, which sign nothing else",
            "another auth_method",
        );
    }
    let bound = spec.dpop_bound_access_tokens
        || spec.tls_client_certificate_bound_access_tokens
        || spec.profile.rules().sender_constraint_required;
    if bound {
        report.hinted(
            at,
            "this client's tokens are bound to their sender, and calls that it signs are not",
            "leave one of them out",
        );
    }
}

/// Where a client's public keys are.
#[derive(Default)]
struct Keys {
    set: Option<JwkSet>,
    uri: Option<Url>,
}

/// Keys are for methods that verify with them, one source of them and no more.
fn keys(spec: &ClientSpec, loopback_dev: bool, report: &mut Report<'_>) -> Keys {
    let at = Place::spec();
    let method = spec.auth_method;
    // One way only: where calls are certified, no registered key signs any.
    let sign_calls = spec.signs_calls && spec.call_certificates.is_none();
    let wanted = sign_calls
        || matches!(
            method,
            ClientAuthMethod::PrivateKeyJwt | ClientAuthMethod::SelfSignedTlsClientAuth
        );
    let unwanted = if spec.signs_calls {
        "calls are verified by call_certificates, and nothing else asks for these keys"
    } else {
        "keys are for private_key_jwt, self_signed_tls_client_auth and signs_calls only"
    };
    match (&spec.jwks, &spec.jwks_uri) {
        (None, None) if sign_calls => report.hinted(
            at.key("signs_calls"),
            "calls are verified with the client's keys",
            "write jwks, jwks_uri or call_certificates",
        ),
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
        (Some(_), None) if !wanted => report.flaw(at.key("jwks"), unwanted),
        (None, Some(_)) if !wanted => report.flaw(at.key("jwks_uri"), unwanted),
        (Some(value), None) => {
            let set = issuer::key_set(value, at.key("jwks"), report);
            let allowed = spec.profile.rules().signing_algorithms;
            if let Some(set) = &set
                && (sign_calls || method == ClientAuthMethod::PrivateKeyJwt)
                && set.verifying_keys(allowed).is_empty()
            {
                let names: Vec<_> = allowed.iter().map(|one| one.name()).collect();
                report.hinted(
                    at.key("jwks"),
                    format!("profile {} allows none of these keys", spec.profile.name()),
                    format!("a key for one of {}", names.join(", ")),
                );
            }
            return Keys { set, uri: None };
        }
        (None, Some(text)) => {
            let place = at.key("jwks_uri");
            let uri = issuer::fetched_url(text, loopback_dev, place, issuer::KEYS_BY_URL, report);
            return Keys { set: None, uri };
        }
    }
    Keys::default()
}

/// RFC 8705 §2.1.2: exactly one subject, for `tls_client_auth` only.
fn certificate(spec: &ClientSpec, report: &mut Report<'_>) -> Option<CertificateSubject> {
    let at = Place::spec();
    let ip = spec.tls_client_auth_san_ip.map(|ip| ip.to_string());
    let written: Vec<(&str, &str)> = [
        (
            "tls_client_auth_subject_dn",
            &spec.tls_client_auth_subject_dn,
        ),
        ("tls_client_auth_san_dns", &spec.tls_client_auth_san_dns),
        ("tls_client_auth_san_uri", &spec.tls_client_auth_san_uri),
        ("tls_client_auth_san_ip", &ip),
        ("tls_client_auth_san_email", &spec.tls_client_auth_san_email),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.as_deref().map(|value| (key, value)))
    .collect();
    let wanted = spec.auth_method == ClientAuthMethod::TlsClientAuth;
    let (key, value) = match (wanted, &*written) {
        (true, [one]) => *one,
        (true, []) => {
            report.hinted(
                at.key("auth_method"),
                "tls_client_auth needs to know the certificate's subject",
                "write one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip, _san_email",
            );
            return None;
        }
        (true, [_, (key, _), ..]) => {
            report.flaw(at.key(key), "write only one subject of the certificate");
            return None;
        }
        (false, []) => return None,
        (false, [(key, _), ..]) => {
            report.flaw(at.key(key), "this is for auth_method tls_client_auth only");
            return None;
        }
    };
    let text = value.to_owned();
    let printable = !value.is_empty() && !value.chars().any(char::is_control);
    let (sound, subject, what) = match key {
        "tls_client_auth_subject_dn" => (
            printable && value.contains('='),
            CertificateSubject::SubjectDn(text),
            "this is a distinguished name, as in `CN=orders,O=Example`",
        ),
        "tls_client_auth_san_dns" => (
            matches!(url::Host::parse(value), Ok(url::Host::Domain(_))) && !value.contains('*'),
            CertificateSubject::SanDns(value.to_ascii_lowercase()),
            "this is a DNS name without wildcard",
        ),
        "tls_client_auth_san_uri" => (
            printable && Url::parse(value).is_ok(),
            CertificateSubject::SanUri(text),
            "this is an absolute URI",
        ),
        "tls_client_auth_san_email" => (
            is_mail_address(value),
            CertificateSubject::SanEmail(text),
            "this is a mail address",
        ),
        _ => {
            return spec.tls_client_auth_san_ip.map(CertificateSubject::SanIp);
        }
    };
    if !sound {
        report.flaw(at.key(key), what);
    }
    sound.then_some(subject)
}

/// An algorithm that we sign with for clients of the profile.
fn algorithm(
    written: &str,
    profile: Profile,
    place: Place,
    report: &mut Report<'_>,
) -> Option<Algorithm> {
    let allowed = profile.rules().id_token_algorithms;
    let found = Algorithm::from_name(written).filter(|found| allowed.contains(found));
    if found.is_none() {
        let names: Vec<_> = allowed.iter().map(|one| one.name()).collect();
        report.hinted(
            place,
            format!("profile {} does not sign with `{written}`", profile.name()),
            format!("one of {}", names.join(", ")),
        );
    }
    found
}

#[cfg(test)]
mod tests;
