//! **Challenges**: the one table of what `WWW-Authenticate` says for each credential kind.
//!
//! | kind | challenge |
//! |---|---|
//! | `jwt`, `opaque`, `paseto` | `Bearer realm="…"`, then `error` and `scope` (RFC 6750 §3) and `resource_metadata` (RFC 9728 §5.1), but for where only bound tokens pass and the client shows no certificate; and `DPoP realm="…", algs="…"` with the same (RFC 9449 §7.1) |
//! | `basic` | `Basic realm="…", charset="UTF-8"` (RFC 7617 §2.1) |
//! | `api_key` | `ApiKey realm="…", header="x-api-key"`: no registered scheme exists; this one is ours and documented. Keys are taken as `Bearer` too |
//! | `mtls` | `ClientCertificate realm="…"`: a certificate is shown in the handshake and no scheme is registered; this one is ours and documented |
//! | `sigv4` | `AWS4-HMAC-SHA256 realm="…"` |
//! | `http_signature` | `Signature realm="…"`, with the `tag` that is asked for; no scheme is registered (RFC 9421 §5 has `Accept-Signature` for what is wanted) |
//! | `hmac` | `HMAC-SHA256 realm="…"` |
//! | `client_jwt` | as `jwt`, without `DPoP`: such a JWT is used once and bound to nothing else |
//! | `webhook` | `Webhook realm="…"`: no scheme is registered; this one is ours and documented |
//! | `admin_key` | `Bearer realm="…"`, then `error` |
//!
//! Each acceptable scheme gets a field of its own, so that no reader has to divide at commas.

use core::fmt::Write as _;

use http::HeaderValue;
use proof::{dpop, hmac_request, sigv4};

use super::{CredentialKind, X_API_KEY, binding};
use crate::call::Head;
use crate::policy::rego::StepUp;
use crate::problem::{Code, Problem};
use crate::route::{Api, Demand, Route};

/// What of a call its challenges depend on: the scheme under which a token was tried, and whether
/// the client shows a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    scheme: Scheme,
    certified: bool,
}

/// The scheme of `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
    /// None, or one that carries no token.
    Other,
}

impl Tried {
    pub(crate) fn of(head: &Head) -> Self {
        let scheme = if binding::is_dpop(head) {
            Scheme::Dpop
        } else if binding::is_bearer(head) {
            Scheme::Bearer
        } else {
            Scheme::Other
        };
        let tls = head.arrival().tls.as_ref();
        Self {
            scheme,
            certified: tls.is_some_and(|tls| tls.peer_certificate.is_some()),
        }
    }
}

/// Adds the challenges of the route's kinds to a 401. Other answers stay as they are.
pub(crate) fn attach(problem: Problem, head: &Head, route: &Route) -> Problem {
    attach_to(problem, Tried::of(head), route)
}

/// The same, where the head is gone already.
pub(super) fn attach_to(mut problem: Problem, tried: Tried, route: &Route) -> Problem {
    let error = match problem.code {
        // RFC 6750 §3.1: no error code where no credential was presented.
        Code::CredentialMissing => None,
        Code::CredentialRefused => Some("invalid_token"),
        Code::ProofRefused => Some("invalid_dpop_proof"),
        Code::NonceNeeded => Some("use_dpop_nonce"),
        _ => return problem,
    };
    let Demand::OneOf(combinations) = &route.demand else {
        return problem;
    };
    // An error belongs to the scheme that was tried. RFC 6750 §3: a request without a token, or with
    // an authentication of another kind (a certificate, a signature, a key in its own field), gets
    // none.
    let (bearer, dpop) = match tried.scheme {
        Scheme::Bearer => (error, None),
        Scheme::Dpop => (None, error),
        Scheme::Other => (None, None),
    };
    let mut challenges = core::mem::take(&mut problem.challenges);
    // A kind of several combinations, and all bearer kinds, are one challenge.
    let mut add = |value: HeaderValue| {
        if !challenges.contains(&value) {
            challenges.push(value);
        }
    };
    for kind in combinations.iter().flatten() {
        // Where only bound tokens pass, `Bearer` is for those that are bound to the certificate of
        // the connection; without one it would only lead astray.
        if !(kind.is_access_token() && route.sender.required) || tried.certified {
            add(for_kind(*kind, route, bearer));
        }
        if kind.is_access_token() {
            add(for_dpop(&route.api, dpop, None));
        }
    }
    problem.challenges = challenges;
    problem
}

/// The challenge of a 403 for missing scopes (RFC 6750 §3.1): a token with `scope` would do.
pub(crate) fn insufficient_scope<'a>(
    head: &Head,
    api: &Api,
    scopes: impl Iterator<Item = &'a str>,
) -> HeaderValue {
    let scopes: Vec<&str> = scopes.collect();
    let (error, scopes) = (Some("insufficient_scope"), scopes.join(" "));
    if binding::is_dpop(head) {
        for_dpop(api, error, Some(&scopes))
    } else {
        for_bearer(api, error, Some(&scopes))
    }
}

/// The challenge of a 401 for an authentication that is too weak or too old (RFC 9470 §3).
pub(crate) fn step_up(head: &Head, api: &Api, asked: &StepUp) -> HeaderValue {
    let error = Some("insufficient_user_authentication");
    let challenge = if binding::is_dpop(head) {
        for_dpop(api, error, None)
    } else {
        for_bearer(api, error, None)
    };
    let mut text = String::from_utf8_lossy(challenge.as_bytes()).into_owned();
    if !asked.acr_values.is_empty() {
        let _ = write!(text, ", acr_values={}", quoted(&asked.acr_values.join(" ")));
    }
    if let Some(age) = asked.max_age {
        let _ = write!(text, ", max_age=\"{}\"", age.as_secs());
    }
    value(text)
}

fn for_kind(kind: CredentialKind, route: &Route, error: Option<&str>) -> HeaderValue {
    let api = &route.api;
    let realm = quoted(&api.realm);
    let text = match kind {
        CredentialKind::Basic => format!("Basic realm={realm}, charset=\"UTF-8\""),
        CredentialKind::ApiKey => {
            let header = api.key_headers.first().unwrap_or(&X_API_KEY);
            format!("ApiKey realm={realm}, header={}", quoted(header.as_str()))
        }
        CredentialKind::SigV4 => format!("{} realm={realm}", sigv4::ALGORITHM),
        CredentialKind::HttpSignature => match &route.signatures().tag {
            Some(tag) => format!("Signature realm={realm}, tag={}", quoted(tag)),
            None => format!("Signature realm={realm}"),
        },
        CredentialKind::Hmac => format!("{} realm={realm}", hmac_request::SCHEME),
        CredentialKind::Webhook => format!("Webhook realm={realm}"),
        CredentialKind::Mtls => format!("ClientCertificate realm={realm}"),
        CredentialKind::Jwt
        | CredentialKind::Opaque
        | CredentialKind::Paseto
        | CredentialKind::ClientJwt => return for_bearer(api, error, None),
        CredentialKind::AdminKey => detailed(format!("Bearer realm={realm}"), error, None, None),
    };
    value(text)
}

/// One challenge for all tokens that an API takes as a bearer.
fn for_bearer(api: &Api, error: Option<&str>, scope: Option<&str>) -> HeaderValue {
    let text = format!("Bearer realm={}", quoted(&api.realm));
    let metadata = api.resource_metadata.as_deref();
    value(detailed(text, error, scope, metadata))
}

/// For tokens that are bound to a key: which algorithms a proof may be signed with.
fn for_dpop(api: &Api, error: Option<&str>, scope: Option<&str>) -> HeaderValue {
    let realm = quoted(&api.realm);
    let text = format!("DPoP realm={realm}, algs=\"{}\"", dpop::ALGORITHM_NAMES);
    value(detailed(
        text,
        error,
        scope,
        api.resource_metadata.as_deref(),
    ))
}

/// What the challenges for tokens have in common.
fn detailed(
    mut text: String,
    error: Option<&str>,
    scope: Option<&str>,
    metadata: Option<&str>,
) -> String {
    if let Some(error) = error {
        let _ = write!(text, ", error=\"{error}\"");
    }
    if let Some(scope) = scope {
        let _ = write!(text, ", scope={}", quoted(scope));
    }
    if let Some(url) = metadata {
        let _ = write!(text, ", resource_metadata={}", quoted(url));
    }
    text
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("quoted text is visible ASCII")
}

/// A quoted-string (RFC 9110 §5.6.4) of visible ASCII; what is neither becomes `?`, since a
/// challenge is for people and programs to recognise, not to compute with.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            ' '..='~' => out.push(letter),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}
