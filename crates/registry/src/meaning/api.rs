//! What an `Api` document means, but for its routes.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use verdict::credential::binding::DPOP_NONCE;
use verdict::credential::jwt::IssuerProfile;
use verdict::route::{ApiName, ForeignKeyPattern};

use super::owner::{is_origin, is_scope, token_lifetime, unknown};
use super::{
    At, Known, OWN_ISSUER, certificates, encryption, introspection, rights, route, signatures,
    stored,
};
use crate::api::written::{
    ApiSpec, CorsSpec, ForeignKeySpec, HostSpec, IdentityMode, ProtocolSpec, UpstreamSpec,
};
use crate::api::{
    ApiMeaning, Cors, IdentityForward, PoolIdentity, PoolMeaning, PoolTls, Server, UpstreamMeaning,
    UpstreamProtocol,
};
use crate::flaw::{Flaw, Place, Report};
use crate::resource::ResourceKind;
use crate::units::Period;

/// Headers that mean something else already and can't carry an API key.
const NO_KEY_HEADERS: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "client-cert",
];

pub(super) fn mean(
    name: &str,
    spec: &ApiSpec,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<ApiMeaning> {
    let before = report.count();
    let at = Place::spec();

    report.not_empty(at.key("audiences"), spec.audiences.as_deref());
    for (index, audience) in spec.audiences.iter().flatten().enumerate() {
        if audience.is_empty()
            || audience
                .chars()
                .any(|c| c.is_control() || c.is_whitespace())
        {
            report.flaw(
                at.key("audiences").index(index),
                "an audience is a text without blanks",
            );
        }
    }
    let audiences = spec
        .audiences
        .clone()
        .unwrap_or_else(|| vec![format!("urn:doorward:api:{name}")]);
    report.no_doubles(&at.key("audiences"), &audiences);

    hosts(spec, report);
    let base_path = spec.base_path.clone().unwrap_or_else(|| "/".to_owned());
    base_path_is_clean(&base_path, report);
    for scope in spec.scopes.keys() {
        if !is_scope(scope) {
            report.flaw(
                at.key("scopes").key(scope),
                "a scope is printable ASCII without blank, quote and backslash",
            );
        }
    }

    let pool = upstream(&spec.upstream, known.context.loopback_dev, report);
    let identity = identity(spec, &audiences, report);
    let mut cors = spec.cors.as_ref().map(|written| cors(written, report));
    if let Some(cors) = &mut cors {
        expose_nonces(spec, &mut cors.expose);
    }
    let lifetime = spec
        .token
        .as_ref()
        .and_then(|token| token.lifetime)
        .unwrap_or(Period::minutes(10));
    token_lifetime(lifetime.0, at.key("token").key("lifetime"), report);
    if let Some(text) = &spec.resource_metadata
        && !url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
    {
        report.flaw(at.key("resource_metadata"), "this is a URL");
    }
    let realm = spec.realm.as_deref().unwrap_or(name);
    if !is_quotable(realm) {
        report.flaw(
            at.key("realm"),
            "a realm is printable ASCII without quote and backslash",
        );
    }

    let (certificates, client_authority) = spec
        .client_certificates
        .as_ref()
        .map(|written| certificates::mean(written, spec, known, report))
        .unzip();

    let (encryption, decryption_key_files) = spec
        .token_encryption
        .as_ref()
        .map(|written| encryption::mean(written, report))
        .unzip();

    let credential = pool.as_ref().and_then(|pool| pool.credential.as_deref());
    let api = Arc::new(verdict::route::Api {
        name: ApiName::new(name),
        audiences: audiences
            .iter()
            .map(|text| Arc::from(text.as_str()))
            .collect(),
        environment: spec.environment,
        issuers: issuers(spec, known, report),
        encryption,
        certificates,
        signatures: spec
            .signatures
            .as_ref()
            .map_or_else(Default::default, |written| {
                signatures::mean(written, &Place::spec().key("signatures"), report)
            }),
        brand: known.context.brand.clone(),
        key_headers: key_headers(spec, report),
        foreign_keys: foreign_keys(spec.foreign_keys.as_deref(), known, report),
        realm: Arc::from(realm),
        resource_metadata: spec.resource_metadata.as_deref().map(Arc::from),
        rights: rights::of_api(spec, credential, report),
        relations: known.relations.clone(),
    });
    let routes = route::mean_all(spec, &api, known, report);
    route::takes_its_tokens(spec, &routes, report);
    encryption::meets_its_tokens(spec, &routes, report);
    stored::meets_no_other(spec, credential, &identity, &routes, report);
    let limits = spec.limits.clone().unwrap_or_default();
    let pool = pool?;
    (report.count() == before).then(|| ApiMeaning {
        judged: api,
        hosts: spec.hosts.clone().unwrap_or_default(),
        base_path,
        strip_base_path: spec.strip_base_path,
        upstream: UpstreamMeaning::Pool(pool),
        client_authority,
        decryption_key_files: decryption_key_files.unwrap_or_default(),
        identity,
        cors,
        per_address: limits.per_address.map(Into::into),
        per_principal: limits.per_principal.map(Into::into),
        per_application: limits.per_application.map(Into::into),
        scopes: spec
            .scopes
            .iter()
            .map(|(scope, words)| (scope.clone(), words.clone()))
            .collect(),
        token_lifetime: lifetime.0,
        token_format: spec.token_format.unwrap_or_default(),
        routes,
    })
}

/// A token for one API must not pass at another (threat C4).
pub(super) fn audiences_are_unique(apis: &[(At, Arc<ApiMeaning>)], flaws: &mut Vec<Flaw>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, api) in apis {
        for (index, audience) in api.judged.audiences.iter().enumerate() {
            let name = api.judged.name.as_str();
            match seen.get(&**audience) {
                Some(other) if *other != name => at.on(flaws).hinted(
                    Place::spec().key("audiences").index(index),
                    format!("`{audience}` is an audience of API `{other}` already"),
                    "a token for one would pass at the other; give each its own",
                ),
                _ => drop(seen.insert(audience, name)),
            }
        }
    }
}

/// Text that may stand between quotes in a header (RFC 9110 §5.6.4) without escapes.
fn is_quotable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| (b == b' ' || b.is_ascii_graphic()) && b != b'"' && b != b'\\')
}

/// Host names in lower case, address literals, or `*.` and a name; never a port.
fn hosts(spec: &ApiSpec, report: &mut Report<'_>) {
    let place = Place::spec().key("hosts");
    report.not_empty(place.clone(), spec.hosts.as_deref());
    let hosts = spec.hosts.as_deref().unwrap_or_default();
    report.no_doubles(&place, hosts);
    for (index, host) in hosts.iter().enumerate() {
        if !is_host_pattern(host) {
            report.hinted(
                place.index(index),
                format!("`{host}` is not a host"),
                "a name in lower case without port, as `api.example.com` or `*.example.com`",
            );
        }
    }
}

fn is_host_pattern(text: &str) -> bool {
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<core::net::Ipv6Addr>().is_ok();
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    // `*.example.com` matches one label; a star before a bare suffix would match half the world.
    is_host_name(name) && (name.len() == text.len() || name.contains('.'))
}

pub(super) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn base_path_is_clean(base: &str, report: &mut Report<'_>) {
    let place = Place::spec().key("base_path");
    if base == "/" {
        return;
    }
    let clean = base
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(route::is_clean_literal));
    if !clean {
        report.hinted(
            place,
            format!("`{base}` is not a base path"),
            "it begins with a slash, does not end with one, and has neither parameters nor encoded characters, as `/orders`",
        );
    }
}

fn upstream(
    spec: &UpstreamSpec,
    loopback_dev: bool,
    report: &mut Report<'_>,
) -> Option<PoolMeaning> {
    let before = report.count();
    let at = Place::spec().key("upstream");
    report.not_empty(at.key("urls"), Some(&spec.urls));
    report.no_doubles(&at.key("urls"), &spec.urls);
    let mut servers = Vec::new();
    let mut schemes = Vec::new();
    for (index, text) in spec.urls.iter().enumerate() {
        let place = at.key("urls").index(index);
        let Ok(url) = url::Url::parse(text) else {
            report.hinted(
                place,
                format!("`{text}` is not a URL"),
                "as in `http://127.0.0.1:9000`",
            );
            continue;
        };
        let Some(host) = url
            .host_str()
            .filter(|_| matches!(url.scheme(), "http" | "https"))
        else {
            report.flaw(place, "an upstream is an http or https URL");
            continue;
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            report.hinted(
                place.clone(),
                "an upstream URL has no path, query or fragment",
                "paths are sent as they came, without base_path if `strip_base_path: true`",
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            report.flaw(place, "an upstream URL holds no credentials");
        }
        servers.push(Server {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
        });
        schemes.push(url.scheme().to_owned());
    }
    let https = schemes.first().is_some_and(|scheme| scheme == "https");
    if schemes.windows(2).any(|pair| pair[0] != pair[1]) {
        report.flaw(
            at.key("urls"),
            "http and https servers can't be mixed in one upstream",
        );
    }
    if spec.tls.is_some() && !https && !schemes.is_empty() {
        report.flaw(at.key("tls"), "tls is set and the servers are plain http");
    }
    if let Some(name) = spec.tls.as_ref().and_then(|tls| tls.server_name.as_deref())
        && !is_host_name(name)
    {
        report.flaw(
            at.key("tls").key("server_name"),
            format!("`{name}` is not a host name"),
        );
    }
    if let Some(tls) = &spec.tls {
        for (key, path) in [
            ("ca_file", &tls.ca_file),
            ("certificate_file", &tls.certificate_file),
            ("key_file", &tls.key_file),
        ] {
            if path.as_deref() == Some("") {
                report.flaw(at.key("tls").key(key), "the path is empty");
            }
        }
        if tls.certificate_file.is_some() != tls.key_file.is_some() {
            report.flaw(
                at.key("tls"),
                "certificate_file and key_file belong together",
            );
        }
    }
    let mut timeout = |key: &str, written: Option<Period>, default: u64| {
        let period = written.map_or(Duration::from_secs(default), |period| period.0);
        if period.is_zero() || period > Duration::from_secs(86_400) {
            report.flaw(at.key(key), "a timeout is more than nothing and at most 1d");
        }
        period
    };
    let connect_timeout = timeout("connect_timeout", spec.connect_timeout, 2);
    let response_timeout = timeout("response_timeout", spec.response_timeout, 30);
    let idle_timeout = timeout("idle_timeout", spec.idle_timeout, 60);
    let credential = spec
        .credential
        .as_ref()
        .and_then(|written| stored::mean(written, loopback_dev, report))
        .map(Box::new);
    (report.count() == before).then(|| PoolMeaning {
        servers,
        tls: https.then(|| {
            let written = spec.tls.clone().unwrap_or_default();
            PoolTls {
                ca_file: written.ca_file.map(PathBuf::from),
                server_name: written.server_name,
                identity: written.certificate_file.zip(written.key_file).map(
                    |(certificate, key)| PoolIdentity {
                        certificate_file: PathBuf::from(certificate),
                        key_file: PathBuf::from(key),
                    },
                ),
            }
        }),
        protocol: match spec.protocol {
            ProtocolSpec::Auto => UpstreamProtocol::Auto,
            ProtocolSpec::H1 => UpstreamProtocol::Http1,
            ProtocolSpec::H2 => UpstreamProtocol::Http2,
        },
        connect_timeout,
        response_timeout,
        idle_timeout,
        preserve_host: spec.host == HostSpec::Preserve,
        credential,
    })
}

fn identity(spec: &ApiSpec, audiences: &[String], report: &mut Report<'_>) -> IdentityForward {
    let Some(written) = &spec.identity else {
        return IdentityForward::None;
    };
    let at = Place::spec().key("identity");
    if written.mode != IdentityMode::Jwt {
        for (key, present) in [
            ("audience", written.audience.is_some()),
            ("lifetime", written.lifetime.is_some()),
        ] {
            if present {
                report.flaw(at.key(key), "this is for `mode: jwt` only");
            }
        }
    }
    match written.mode {
        IdentityMode::None => IdentityForward::None,
        IdentityMode::Original => IdentityForward::Original,
        IdentityMode::Headers => IdentityForward::Headers,
        IdentityMode::Jwt => {
            let lifetime = written.lifetime.unwrap_or(Period::seconds(60)).0;
            if !(Duration::from_secs(5)..=Duration::from_secs(600)).contains(&lifetime) {
                report.flaw(at.key("lifetime"), "an identity token lives 5s to 10m");
            }
            if written.audience.as_deref() == Some("") {
                report.flaw(at.key("audience"), "the audience is empty");
            }
            // One server is who the token is for; several are known by the API's own audience.
            let audience =
                written
                    .audience
                    .clone()
                    .unwrap_or_else(|| match spec.upstream.urls.as_slice() {
                        [one] => one.trim_end_matches('/').to_owned(),
                        _ => audiences.first().cloned().unwrap_or_default(),
                    });
            IdentityForward::Jwt { audience, lifetime }
        }
    }
}

fn cors(spec: &CorsSpec, report: &mut Report<'_>) -> Cors {
    let at = Place::spec().key("cors");
    report.not_empty(at.key("origins"), Some(&spec.origins));
    report.no_doubles(&at.key("origins"), &spec.origins);
    let any = spec.origins.iter().any(|origin| origin == "*");
    if any && spec.origins.len() > 1 {
        report.flaw(at.key("origins"), "`*` stands alone or not at all");
    }
    if any && spec.credentials {
        report.hinted(
            at.key("credentials"),
            "with `*` every site could act with the browser's credentials",
            "list the origins",
        );
    }
    for (index, origin) in spec.origins.iter().enumerate() {
        if origin != "*" && !is_origin(origin) {
            report.hinted(
                at.key("origins").index(index),
                format!("`{origin}` is not an origin"),
                "scheme, host and a port that is not the default, as in `https://app.example.com`",
            );
        }
    }
    let max_age = spec.max_age.unwrap_or(Period::minutes(10)).0;
    if max_age > Duration::from_secs(86_400) {
        report.flaw(
            at.key("max_age"),
            "a preflight's answer is kept for 1d at most",
        );
    }
    Cors {
        origins: spec.origins.clone(),
        headers: header_names(spec.headers.as_deref(), &at.key("headers"), report),
        expose: header_names(spec.expose.as_deref(), &at.key("expose"), report),
        credentials: spec.credentials,
        max_age,
    }
}

/// Scripts that are asked for a nonce must be able to read it (RFC 9449 §8).
fn expose_nonces(spec: &ApiSpec, exposed: &mut Vec<HeaderName>) {
    let asked = spec.dpop_nonce == Some(true)
        || spec
            .routes
            .iter()
            .any(|route| route.dpop_nonce == Some(true));
    if asked && !exposed.contains(&DPOP_NONCE) {
        exposed.push(DPOP_NONCE.clone());
    }
}

fn header_names(
    written: Option<&[String]>,
    place: &Place,
    report: &mut Report<'_>,
) -> Vec<HeaderName> {
    report.not_empty(place.clone(), written);
    let mut names = Vec::new();
    for (index, text) in written.unwrap_or_default().iter().enumerate() {
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) if names.contains(&name) => {
                report.flaw(place.index(index), "this stands in the list twice");
            }
            Ok(name) => names.push(name),
            Err(_) => report.flaw(place.index(index), format!("`{text}` is not a header name")),
        }
    }
    names
}

fn key_headers(spec: &ApiSpec, report: &mut Report<'_>) -> Vec<HeaderName> {
    let Some(written) = &spec.key_headers else {
        return vec![HeaderName::from_static("x-api-key")];
    };
    let place = Place::spec().key("key_headers");
    let names = header_names(Some(written), &place, report);
    for (index, text) in written.iter().enumerate() {
        let lower = text.to_ascii_lowercase();
        if NO_KEY_HEADERS.contains(&lower.as_str())
            || lower.starts_with("doorward-")
            || lower.starts_with("x-forwarded-")
        {
            report.flaw(
                place.index(index),
                format!("`{text}` has a meaning of its own and can't carry a key"),
            );
        }
    }
    names
}

fn foreign_keys(
    written: Option<&[ForeignKeySpec]>,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Vec<ForeignKeyPattern> {
    let place = Place::spec().key("foreign_keys");
    report.not_empty(place.clone(), written);
    let written = written.unwrap_or_default();
    let ours = format!("{}_", known.context.brand.as_str());
    for (index, pattern) in written.iter().enumerate() {
        let at = place.index(index);
        let prefix = &pattern.prefix;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_graphic()) {
            report.flaw(
                at.key("prefix"),
                "a prefix is printable ASCII without blanks, at least one character",
            );
        } else if prefix.starts_with(&ours) || ours.starts_with(prefix.as_str()) {
            report.flaw(
                at.key("prefix"),
                format!("`{prefix}` overlaps with this installation's own keys (`{ours}`)"),
            );
        }
        for other in &written[..index] {
            if !prefix.is_empty()
                && (prefix.starts_with(&other.prefix) || other.prefix.starts_with(prefix.as_str()))
            {
                report.flaw(
                    at.key("prefix"),
                    format!("`{prefix}` and `{}` can't be told apart", other.prefix),
                );
            }
        }
        let shortest = prefix.len() + pattern.id_length + 16;
        if pattern.min_length < shortest {
            report.flaw(
                at.key("min_length"),
                format!("a key is at least its prefix, its id and 16 characters of secret: {shortest} here"),
            );
        }
        if pattern.max_length < pattern.min_length || pattern.max_length > 1024 {
            report.flaw(
                at.key("max_length"),
                "max_length is from min_length to 1024",
            );
        }
    }
    written
        .iter()
        .map(|pattern| ForeignKeyPattern {
            prefix: Arc::from(pattern.prefix.as_str()),
            id_length: pattern.id_length,
            length: pattern.min_length..=pattern.max_length,
        })
        .collect()
}

fn issuers(spec: &ApiSpec, known: &Known<'_>, report: &mut Report<'_>) -> Vec<Arc<IssuerProfile>> {
    let place = Place::spec().key("issuers");
    report.not_empty(place.clone(), spec.issuers.as_deref());
    let Some(written) = &spec.issuers else {
        // The default asks for nothing: without an issuer of our own, only routes that take a JWT
        // have a problem, and they say so.
        return known.context.own_issuer.iter().cloned().collect();
    };
    report.no_doubles(&place, written);
    let mut profiles = Vec::new();
    for (index, name) in written.iter().enumerate() {
        match known.profiles.get(name.as_str()) {
            Some(profile) => profiles.push(profile.clone()),
            None if name == OWN_ISSUER => {
                report.flaw(
                    place.index(index),
                    "this installation has no issuer of its own",
                );
            }
            // Declared and flawed: its own flaws say so.
            None if known.issuer_names.contains(&name.as_str())
                || known.is_broken(ResourceKind::TrustedIssuer, name) => {}
            None => unknown(
                report,
                place.index(index),
                "trusted issuer",
                name,
                known.issuer_names.iter().copied().chain([OWN_ISSUER]),
            ),
        }
    }
    introspection::are_told_apart(&profiles, &place, report);
    profiles
}
