//! What an upstream's stored credential means, and where it would meet a caller's.

use std::path::PathBuf;

use http::HeaderName;
use verdict::credential::is_carrier;
use verdict::route::Demand;

use super::issuer::fetched_url;
use crate::api::stored::{
    ClientProof, SecretSource, StoredBasicSpec, StoredClient, StoredClientSpec, StoredCredential,
    StoredKeySpec, StoredSigV4Spec, UpstreamCredentialSpec,
};
use crate::api::written::ApiSpec;
use crate::api::{IdentityForward, PoolIdentity, RouteMeaning};
use crate::flaw::{Place, Report};
use crate::units::Size;

/// Headers that mean something else already and can't carry a credential of ours.
const TAKEN: [&str; 16] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Families of headers that the gateway writes itself, or that never reach an upstream.
const TAKEN_FAMILIES: [&str; 4] = ["doorward", "x-forwarded-", "proxy-", "x-amz-"];

/// Bytes of a body that are read to be hashed, unless written otherwise.
const BODY_BUFFER: Size = Size(256 << 10);
/// Most of them.
const MOST_BUFFERED: Size = Size(16 << 20);

/// Reads the section.
pub(super) fn mean(
    spec: &UpstreamCredentialSpec,
    loopback_dev: bool,
    report: &mut Report<'_>,
) -> Option<StoredCredential> {
    let before = report.count();
    let at = place();
    let written = [
        spec.api_key.is_some(),
        spec.basic.is_some(),
        spec.oauth_client_credentials.is_some(),
        spec.sigv4.is_some(),
    ];
    if written.iter().filter(|is| **is).count() != 1 {
        report.hinted(
            at,
            "an upstream's credential is one of api_key, basic, oauth_client_credentials, sigv4",
            "as in `credential: {api_key: {secret: file:upstream.key}}`",
        );
        return None;
    }
    let meant = if let Some(spec) = &spec.api_key {
        key(spec, &at.key("api_key"), report)
    } else if let Some(spec) = &spec.basic {
        basic(spec, &at.key("basic"), report)
    } else if let Some(spec) = &spec.oauth_client_credentials {
        client(
            spec,
            loopback_dev,
            &at.key("oauth_client_credentials"),
            report,
        )
    } else {
        let spec = spec.sigv4.as_ref()?;
        sigv4(spec, &at.key("sigv4"), report)
    };
    meant.filter(|_| report.count() == before)
}

fn place() -> Place {
    Place::spec().key("upstream").key("credential")
}

/// Refuses what would put two credentials into one field, or leave open who spends the gateway's.
pub(super) fn meets_no_other(
    spec: &ApiSpec,
    credential: Option<&StoredCredential>,
    identity: &IdentityForward,
    routes: &[RouteMeaning],
    report: &mut Report<'_>,
) {
    for (index, route) in spec.routes.iter().enumerate() {
        let word = Place::spec()
            .key("routes")
            .index(index)
            .key("dangerous_upstream_credential");
        if !route.dangerous_upstream_credential {
            continue;
        }
        if spec.upstream.credential.is_none() {
            report.flaw(word, "the upstream has no `credential` that could be sent");
        } else if !route.public {
            report.hinted(
                word,
                "this is for public routes only",
                "elsewhere the credential goes with every call that was permitted",
            );
        }
    }
    let Some(credential) = credential else {
        return;
    };
    let header = credential.header();
    let protected = |route: &&RouteMeaning| matches!(route.judged.demand, Demand::OneOf(_));
    if matches!(identity, IdentityForward::Original)
        && routes
            .iter()
            .filter(protected)
            .any(|route| is_carrier(header, &route.judged))
    {
        report.hinted(
            Place::spec().key("identity").key("mode"),
            format!("the caller's credential and the gateway's own would both stand in `{header}`"),
            "tell the upstream of the caller by `mode: jwt` or `headers`",
        );
    }
    for (index, route) in spec.routes.iter().enumerate() {
        if route.pass_authorization
            && route.dangerous_upstream_credential
            && *header == http::header::AUTHORIZATION
        {
            report.flaw(
                Place::spec()
                    .key("routes")
                    .index(index)
                    .key("pass_authorization"),
                "the caller's Authorization and the gateway's own can't both be sent",
            );
        }
    }
    let at = Place::spec();
    let of_routes = spec.routes.iter().enumerate();
    let of_routes = of_routes.map(|(index, route)| {
        let place = at.key("routes").index(index);
        (place, route.signatures.as_ref())
    });
    for (place, signatures) in
        core::iter::once((at.clone(), spec.signatures.as_ref())).chain(of_routes)
    {
        let presigned = signatures
            .and_then(|signatures| signatures.sigv4.as_ref())
            .is_some_and(|sigv4| sigv4.presigned.is_some());
        if presigned && matches!(credential, StoredCredential::SigV4 { .. }) {
            report.flaw(
                place.key("signatures").key("sigv4").key("presigned"),
                "a presigned call keeps its signature in the query, beside the one of the upstream's credential",
            );
        }
    }
}

fn key(spec: &StoredKeySpec, at: &Place, report: &mut Report<'_>) -> Option<StoredCredential> {
    let written = spec.header.as_deref().unwrap_or("x-api-key");
    let header = HeaderName::from_bytes(written.as_bytes()).ok();
    let taken = |name: &HeaderName| {
        TAKEN.contains(&name.as_str())
            || TAKEN_FAMILIES
                .iter()
                .any(|family| name.as_str().starts_with(family))
    };
    match &header {
        None => report.flaw(
            at.key("header"),
            format!("`{written}` is not a header name"),
        ),
        Some(name) if taken(name) => report.flaw(
            at.key("header"),
            format!("`{written}` has a meaning of its own and can't carry a credential"),
        ),
        Some(_) => {}
    }
    let scheme = match &spec.scheme {
        Some(scheme) => {
            // RFC 9110 §11.1: a token.
            if HeaderName::from_bytes(scheme.as_bytes()).is_err() {
                report.flaw(at.key("scheme"), "a scheme is one word, as `Bearer`");
            }
            Some(scheme.clone())
        }
        None => (header == Some(http::header::AUTHORIZATION)).then(|| "Bearer".to_owned()),
    };
    let secret = reference(&spec.secret, at.key("secret"), report);
    Some(StoredCredential::Key {
        header: header?,
        scheme,
        secret: secret?,
    })
}

fn basic(spec: &StoredBasicSpec, at: &Place, report: &mut Report<'_>) -> Option<StoredCredential> {
    let name = &spec.username;
    if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
        report.flaw(
            at.key("username"),
            "a user name has no colon and no control characters (RFC 7617 §2)",
        );
    }
    Some(StoredCredential::Basic {
        username: name.clone(),
        password: reference(&spec.password, at.key("password"), report)?,
    })
}

fn sigv4(spec: &StoredSigV4Spec, at: &Place, report: &mut Report<'_>) -> Option<StoredCredential> {
    let id = &spec.access_key_id;
    if id.is_empty()
        || id.len() > 128
        || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        report.flaw(
            at.key("access_key_id"),
            "an id is 1 to 128 letters, digits and `_`",
        );
    }
    for (key, name) in [("region", &spec.region), ("service", &spec.service)] {
        let clean = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(clean) {
            report.flaw(
                at.key(key),
                "a name of a credential scope is 1 to 64 lower-case letters, digits and dashes",
            );
        }
    }
    let buffer = spec.body_buffer.unwrap_or(BODY_BUFFER);
    if buffer.0 > MOST_BUFFERED.0 {
        report.flaw(at.key("body_buffer"), "at most 16MiB are read to be signed");
    }
    Some(StoredCredential::SigV4 {
        access_key_id: id.clone(),
        secret: reference(&spec.secret, at.key("secret"), report)?,
        region: spec.region.clone(),
        service: spec.service.clone(),
        body_buffer: buffer.0,
        unsigned_payload: spec.unsigned_payload,
    })
}

fn client(
    spec: &StoredClientSpec,
    loopback_dev: bool,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<StoredCredential> {
    let token_url = fetched_url(
        &spec.token_url,
        loopback_dev,
        at.key("token_url"),
        "a token endpoint is an https URL without a user",
        report,
    );
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !visible(&spec.client_id) {
        report.flaw(
            at.key("client_id"),
            "a client's id is visible ASCII without blanks",
        );
    }
    report.not_empty(at.key("scope"), spec.scope.as_deref());
    for (index, scope) in spec.scope.iter().flatten().enumerate() {
        if !super::owner::is_scope(scope) {
            report.flaw(
                at.key("scope").index(index),
                "a scope is printable ASCII without blank, quote and backslash",
            );
        }
    }
    for (key, text) in [("audience", &spec.audience), ("resource", &spec.resource)] {
        if text.as_deref().is_some_and(|text| !visible(text)) {
            report.flaw(at.key(key), "this is a text without blanks");
        }
    }
    let proof = client_proof(spec, at, report);
    Some(StoredCredential::Client(Box::new(StoredClient {
        token_url: token_url?,
        client_id: spec.client_id.clone(),
        proof: proof?,
        scope: spec.scope.as_ref().map(|scopes| scopes.join(" ")),
        audience: spec.audience.clone(),
        resource: spec.resource.clone(),
    })))
}

fn client_proof(
    spec: &StoredClientSpec,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<ClientProof> {
    if spec.secret_in_form && spec.client_secret.is_none() {
        report.flaw(at.key("secret_in_form"), "there is no client_secret");
    }
    if spec.assertion_audience.is_some() && spec.key_file.is_none() {
        report.flaw(
            at.key("assertion_audience"),
            "without key_file nothing is signed",
        );
    }
    match (&spec.client_secret, &spec.key_file, &spec.certificate) {
        (Some(written), None, None) => Some(ClientProof::Secret {
            secret: reference(written, at.key("client_secret"), report)?,
            in_form: spec.secret_in_form,
        }),
        (None, Some(file), None) => {
            path(file, at.key("key_file"), report);
            let audience = spec.assertion_audience.as_ref();
            Some(ClientProof::Key {
                file: PathBuf::from(file),
                audience: audience.unwrap_or(&spec.token_url).clone(),
            })
        }
        (None, None, Some(own)) => {
            let at = at.key("certificate");
            path(&own.certificate_file, at.key("certificate_file"), report);
            path(&own.key_file, at.key("key_file"), report);
            Some(ClientProof::Certificate(PoolIdentity {
                certificate_file: PathBuf::from(&own.certificate_file),
                key_file: PathBuf::from(&own.key_file),
            }))
        }
        _ => {
            report.hinted(
                at.clone(),
                "a client shows who it is by one of client_secret, key_file, certificate",
                "as in `client_secret: file:PATH`",
            );
            None
        }
    }
}

fn path(written: &str, place: Place, report: &mut Report<'_>) {
    if written.is_empty() {
        report.flaw(place, "the path is empty");
    }
}

/// Reads where a secret stands. What is written is never repeated: it may be the secret.
pub(super) fn reference(
    written: &str,
    place: Place,
    report: &mut Report<'_>,
) -> Option<SecretSource> {
    if let Some(path) = written
        .strip_prefix("file:")
        .filter(|path| !path.is_empty())
    {
        return Some(SecretSource::File(PathBuf::from(path)));
    }
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if let Some(name) = written.strip_prefix("env:").filter(is_name) {
        return Some(SecretSource::Environment(name.to_owned()));
    }
    report.hinted(
        place,
        "a secret must not stand in a document",
        "write `file:PATH` or `${ENV}`",
    );
    None
}
