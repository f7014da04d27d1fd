//! What an API's `client_certificates` and a client's `call_certificates` mean: who vouches, and which
//! names are known. Who vouches for clients at the issuer's endpoints is read by the same rules.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::path::PathBuf;

use proof::x509::is_dn;
use url::Url;
use verdict::credential::client_jwt::CallCertificates;
use verdict::credential::jwt::ConfigId;
use verdict::credential::mtls::{
    Asked, AuthorityId, CertificateIdentity, CertificateProfile, Membership, NamePattern,
};
use verdict::identity::{ApplicationId, Scopes, TenantId};

use super::Known;
use super::owner::{in_application, is_mail_address, role_names};
use crate::api::written::{
    ApiSpec, AuthoritySpec, CertificateIdentitySpec, ClientCertificatesSpec, OcspAbout, OcspSpec,
};
use crate::api::{AuthorityFiles, ResponderMeaning};
use crate::client::{CallCertificatesMeaning, CertificateNameSpec, ClientSpec};
use crate::flaw::{DocumentRef, Flaw, Place, Report};

/// Reads an API's section; the profile is for judging, the files are for whoever reads them.
pub(super) fn mean(
    spec: &ClientCertificatesSpec,
    api: &ApiSpec,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> (CertificateProfile, AuthorityFiles) {
    let at = Place::spec().key("client_certificates");
    let sources = Sources {
        ca_file: &spec.ca_file,
        crl_files: spec.crl_files.as_deref(),
        crl_urls: spec.crl_urls.as_deref(),
        ocsp: spec.ocsp.as_ref(),
    };
    let (authority, files) = authority(&sources, &at, report);
    let place = at.key("identities");
    report.not_empty(place.clone(), Some(&spec.identities));
    report.no_doubles(&place, &spec.identities);
    let identities: Vec<_> = spec
        .identities
        .iter()
        .enumerate()
        .filter_map(|(index, written)| identity(written, api, &place.index(index), known, report))
        .collect();
    let written = serde_json::to_string(&spec.identities).unwrap_or_default();
    // What is remembered of a certificate says on which side of the wall its application stands.
    let side = api.environment.name();
    let profile = CertificateProfile {
        config: ConfigId::of(&format!("client certificates {authority} {side} {written}")),
        authority,
        identities,
    };
    (profile, files)
}

/// Reads a client's section, if it has one.
pub(super) fn of_calls(
    client: &str,
    spec: &ClientSpec,
    report: &mut Report<'_>,
) -> Option<CallCertificatesMeaning> {
    let at = Place::spec().key("call_certificates");
    // Which algorithms it may use decides which certified keys are of use.
    let algorithms = spec.profile.rules().signing_algorithms;
    let signs_calls = spec.signs_calls;
    let spec = spec.call_certificates.as_ref()?;
    if !signs_calls {
        report.hinted(
            at.clone(),
            "these are for signs_calls only",
            "write `signs_calls: true`, or leave them out",
        );
    }
    let sources = Sources {
        ca_file: &spec.ca_file,
        crl_files: spec.crl_files.as_deref(),
        crl_urls: spec.crl_urls.as_deref(),
        ocsp: spec.ocsp.as_ref(),
    };
    let (authority, files) = authority(&sources, &at, report);
    let place = at.key("name");
    let CertificateNameSpec {
        uri,
        dns,
        email,
        subject,
    } = &spec.name;
    let name = name([uri, dns, email, subject], &place, report)?;
    // Whoever gets another certificate of the family would be this client too.
    if [uri, dns, email]
        .into_iter()
        .flatten()
        .any(|text| text.contains('*'))
    {
        report.hinted(
            place,
            "a client has one name and no family of names",
            "write the whole name, without `*`",
        );
        return None;
    }
    let known = serde_json::to_string(&spec.name).unwrap_or_default();
    let judging = format!("calls of {client} {authority} {known} {algorithms:?}");
    let judged = CallCertificates {
        config: ConfigId::of(&judging),
        authority,
        name,
    };
    Some(CallCertificatesMeaning { judged, files })
}

/// Who vouches for clients' certificates at the issuer's endpoints (`tls_client_auth`): the name of the
/// authority, and what it is read from.
///
/// # Errors
/// What is wrong with it; paths begin at the section.
pub fn authority_of_issuer(
    spec: &AuthoritySpec,
) -> Result<(AuthorityId, AuthorityFiles), Vec<Flaw>> {
    let sources = Sources {
        ca_file: &spec.ca_file,
        crl_files: spec.crl_files.as_deref(),
        crl_urls: spec.crl_urls.as_deref(),
        ocsp: spec.ocsp.as_ref(),
    };
    let mut flaws = Vec::new();
    let section = DocumentRef {
        kind: "issuer".to_owned(),
        name: "client_certificates".to_owned(),
        index: 0,
    };
    let read = authority(
        &sources,
        &Place::root(),
        &mut Report::new(section, &mut flaws),
    );
    if flaws.is_empty() {
        Ok(read)
    } else {
        Err(flaws)
    }
}

/// Where it is written who vouches, and what they took back.
#[derive(serde::Serialize)]
struct Sources<'a> {
    ca_file: &'a str,
    crl_files: Option<&'a [String]>,
    crl_urls: Option<&'a [String]>,
    ocsp: Option<&'a OcspSpec>,
}

/// Reads who vouches. The sources name the authority: where the same ones are named twice, what is
/// read of them is shared.
fn authority(
    sources: &Sources<'_>,
    at: &Place,
    report: &mut Report<'_>,
) -> (AuthorityId, AuthorityFiles) {
    if sources.ca_file.is_empty() {
        report.flaw(at.key("ca_file"), "the path is empty");
    }
    report.not_empty(at.key("crl_files"), sources.crl_files);
    let lists = sources.crl_files.unwrap_or_default();
    report.no_doubles(&at.key("crl_files"), lists);
    for (index, file) in lists.iter().enumerate() {
        if file.is_empty() {
            report.flaw(at.key("crl_files").index(index), "the path is empty");
        }
    }
    let files = AuthorityFiles {
        roots: PathBuf::from(sources.ca_file),
        revocation: lists.iter().map(PathBuf::from).collect(),
        published: published(sources.crl_urls, &at.key("crl_urls"), report),
        responder: sources
            .ocsp
            .and_then(|asked| responder(asked, &at.key("ocsp"), report)),
    };
    let named = serde_json::to_string(sources).unwrap_or_default();
    (AuthorityId::new(named), files)
}

/// How long an answer of a responder is used where nothing is written.
const REFRESH: Duration = Duration::from_secs(600);
/// The shortest and the longest time that may be.
const REFRESHES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Whether the responder's place may be called is judged when it is, as for lists.
fn responder(written: &OcspSpec, at: &Place, report: &mut Report<'_>) -> Option<ResponderMeaning> {
    let refresh = written.refresh.map_or(REFRESH, |period| period.0);
    if !REFRESHES.contains(&refresh) {
        report.hinted(
            at.key("refresh"),
            "an answer is used for 1s to 1d",
            "so long a certificate that was revoked still passes here",
        );
    }
    let asked = match written.about.unwrap_or_default() {
        OcspAbout::Path => Asked::Path,
        OcspAbout::Client => Asked::Client,
    };
    let url = fetched(
        &written.url,
        &at.key("url"),
        "this is the URL of a responder",
        report,
    )?;
    Some(ResponderMeaning {
        url,
        asked,
        refresh,
    })
}

fn fetched(text: &str, at: &Place, otherwise: &str, report: &mut Report<'_>) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Some(url),
        _ => {
            report.flaw(at.clone(), otherwise);
            None
        }
    }
}

/// Where lists are fetched. Whether a place may be called is judged when it is, like all others.
fn published(written: Option<&[String]>, at: &Place, report: &mut Report<'_>) -> Vec<Url> {
    report.not_empty(at.clone(), written);
    let written = written.unwrap_or_default();
    report.no_doubles(at, written);
    let urls = written.iter().enumerate();
    urls.filter_map(|(index, text)| {
        let otherwise = "this is the URL of a revocation list";
        fetched(text, &at.index(index), otherwise, report)
    })
    .collect()
}

fn identity(
    spec: &CertificateIdentitySpec,
    api: &ApiSpec,
    at: &Place,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<CertificateIdentity> {
    for (index, scope) in spec.scopes.iter().flatten().enumerate() {
        if !api.scopes.contains_key(scope) {
            report.hinted(
                at.key("scopes").index(index),
                format!("scope `{scope}` is not declared"),
                "declare it under `spec.scopes` with the words that people read",
            );
        }
    }
    report.not_empty(at.key("scopes"), spec.scopes.as_deref());
    let roles = role_names(spec.roles.as_deref(), &at.key("roles"), report);
    if spec.tenant.as_deref() == Some("") {
        report.flaw(at.key("tenant"), "the tenant is empty");
    }
    report.not_empty(at.key("networks"), spec.networks.as_deref());
    // What a member of an application holds is on its side; without one nothing says on which.
    if let Some(application) = &spec.application {
        let place = at.key("application");
        in_application(application, api.environment, place, known, report);
    }
    let name = name(
        [&spec.uri, &spec.dns, &spec.email, &spec.subject],
        at,
        report,
    )?;
    Some(CertificateIdentity {
        name,
        scopes: Scopes::new(spec.scopes.iter().flatten().map(String::as_str)),
        roles,
        tenant: spec.tenant.as_deref().map(TenantId::new),
        application: spec.application.as_deref().map(|name| Membership {
            application: ApplicationId::new(name),
            environment: api.environment,
        }),
        networks: spec.networks.clone().unwrap_or_default(),
        suspended: spec.suspended,
    })
}

/// The one name that is written, of `uri`, `dns`, `email` and `subject`.
fn name(written: [&Option<String>; 4], at: &Place, report: &mut Report<'_>) -> Option<NamePattern> {
    let mut names = ["uri", "dns", "email", "subject"]
        .into_iter()
        .zip(written)
        .filter_map(|(key, value)| value.as_deref().map(|text| (key, text)));
    let (Some((key, text)), None) = (names.next(), names.next()) else {
        report.hinted(
            at.clone(),
            "an identity has one name",
            "write one of `uri`, `dns`, `email` and `subject`",
        );
        return None;
    };
    let name = pattern(key, text);
    if let Err((message, hint)) = &name {
        report.hinted(at.key(key), message.clone(), *hint);
    }
    name.ok()
}

/// A pattern, or what is wrong with it and how it should look.
fn pattern(key: &str, text: &str) -> Result<NamePattern, (String, &'static str)> {
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let stars = text.matches('*').count();
    match key {
        "uri" => {
            let start = text.strip_suffix('*').unwrap_or(text);
            // A star right behind a host would take `example.org.evil.test` too.
            let bounded = start.len() == text.len() || start.ends_with(['/', ':', '?', '=']);
            let located = start.split_once(':').is_some_and(|(scheme, rest)| {
                !scheme.is_empty()
                    && !rest.trim_start_matches('/').is_empty()
                    && (!rest.starts_with("//")
                        || start.len() == text.len()
                        || rest[2..].contains('/'))
            });
            if visible && bounded && located && stars == text.len() - start.len() {
                Ok(NamePattern::Uri(text.into()))
            } else {
                Err((
                    format!("`{text}` is not a URI or the beginning of one"),
                    "for example `spiffe://example.org/ns/orders/*`; a `*` stands last, behind a slash after the host",
                ))
            }
        }
        "dns" => {
            let name = text.strip_prefix("*.").unwrap_or(text);
            if visible && super::api::is_host_name(name) && name.contains('.') {
                Ok(NamePattern::Dns(text.into()))
            } else {
                Err((
                    format!("`{text}` is not a host name"),
                    "for example `billing.example.com` or `*.example.com`",
                ))
            }
        }
        "email" => {
            let whole = stars == 0 || (stars == 1 && text.starts_with("*@"));
            if visible && whole && is_mail_address(text) {
                Ok(NamePattern::Email(text.into()))
            } else {
                Err((
                    format!("`{text}` is not a mail address"),
                    "for example `batch@example.com` or `*@example.com`",
                ))
            }
        }
        _ => {
            if is_dn(text) {
                Ok(NamePattern::Subject(text.into()))
            } else {
                Err((
                    format!("`{text}` is not a subject as RFC 4514 writes it"),
                    "the most specific part first, for example `CN=billing,OU=Payments,O=Example`",
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests;
