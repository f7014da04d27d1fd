//! **What callers are told**: every refusal has a public half (code, status, fixed text) and a log
//! half (cause), from birth. One enum, walked by the docs and the tests.

use core::fmt::Write as _;
use core::time::Duration;
use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::facts::Unavailable;
use crate::identity::RoleName;
use crate::policy::rego::Decision;

/// What a caller is told to wait when a fact can't be had: long enough not to hammer, short enough
/// for a store that restarts.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(5);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = ($code:literal, $status:ident, $text:literal),)*) => {
        /// Every way in which a call, an admin request or a token request is refused at the door.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }
        impl Code {
            /// Every code, for docs and tests to walk.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The stable kebab-case code; the problem's `type` is `urn:doorward:error:<code>`.
            pub fn code(self) -> &'static str { match self { $(Self::$name => $code,)* } }
            /// The HTTP status.
            pub fn status(self) -> StatusCode { match self { $(Self::$name => StatusCode::$status,)* } }
            /// The fixed public text (`title` of RFC 9457).
            pub fn title(self) -> &'static str { match self { $(Self::$name => $text,)* } }
        }
    };
}

codes! {
    /// A target that could be read in two ways (threats A1–A5).
    UncleanTarget = ("unclean-target", BAD_REQUEST, "The request target is not in canonical form."),
    /// A header that could be read in two ways (threats B6, B7).
    UncleanHeader = ("unclean-header", BAD_REQUEST, "A header field is malformed or repeated."),
    /// `Host` missing, doubled, malformed, or unlike the target's authority.
    UncleanAuthority = ("unclean-authority", BAD_REQUEST, "The request does not name one host."),
    /// The TLS server name is not the host that is called.
    MisdirectedRequest = ("misdirected-request", MISDIRECTED_REQUEST, "This connection is for another host."),
    /// No API or route matches.
    NoRoute = ("no-route", NOT_FOUND, "Nothing is found here."),
    /// The path is known, the method is not.
    MethodNotAllowed = ("method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here."),
    /// No credential where one is needed.
    CredentialMissing = ("credential-missing", UNAUTHORIZED, "A credential is needed."),
    /// The credential does not hold: malformed, unknown, expired, revoked … one answer (threat C12).
    CredentialRefused = ("credential-refused", UNAUTHORIZED, "The credential is not accepted."),
    /// The DPoP proof that came with a token does not hold, was used before, or is missing
    /// (RFC 9449 §7.1).
    ProofRefused = ("proof-refused", UNAUTHORIZED, "The proof of possession is not accepted."),
    /// The DPoP proof repeats no nonce of ours that is fresh: the answer has one for the next try
    /// (RFC 9449 §9).
    NonceNeeded = ("dpop-nonce-needed", UNAUTHORIZED, "The proof of possession must repeat the nonce of this answer."),
    /// More than one credential, or the same slot twice.
    CredentialAmbiguous = ("credential-ambiguous", BAD_REQUEST, "The request carries more than one credential."),
    /// A credential in the URL: it is exposed now.
    CredentialInUrl = ("credential-in-url", BAD_REQUEST, "A credential must not be sent in the URL; treat it as exposed."),
    /// Basic over plain HTTP.
    PlainTransport = ("plain-transport", FORBIDDEN, "This credential is accepted over TLS only."),
    /// The credential may not call this API.
    ApiNotAllowed = ("api-not-allowed", FORBIDDEN, "The credential is not for this API."),
    /// A scope is missing.
    ScopeMissing = ("insufficient-scope", FORBIDDEN, "The credential lacks a scope that is needed here."),
    /// A role is missing.
    RoleMissing = ("role-missing", FORBIDDEN, "The caller lacks a role that is needed here."),
    /// The caller lacks the relation to an object that the call names (threat J1).
    ObjectNotAllowed = ("object-not-allowed", FORBIDDEN, "The caller may not do this to this object."),
    /// The same, where whoever may not have an object is not told that there is one.
    ObjectNotFound = ("object-not-found", NOT_FOUND, "There is no such object."),
    /// What the call names as its object is missing, or can be read in two ways.
    ObjectUnreadable = ("object-unreadable", BAD_REQUEST, "The request does not say in one way what it is about."),
    /// The caller was refused many different objects lately.
    ObjectProbing = ("object-probing", TOO_MANY_REQUESTS, "Too many objects were refused to this caller."),
    /// A policy denied the call, had nothing to say of it, or failed.
    PolicyDenied = ("policy-denied", FORBIDDEN, "A policy does not allow this."),
    /// A policy wants the person to be authenticated more strongly, or again (RFC 9470 §3).
    StepUpNeeded = ("insufficient-user-authentication", UNAUTHORIZED, "A stronger or more recent authentication is needed."),
    /// The address or origin is outside of what the credential allows.
    PlaceNotAllowed = ("place-not-allowed", FORBIDDEN, "The credential may not be used from here."),
    /// A webhook's delivery that the upstream took before, or that is on its way to it.
    DeliveryRepeated = ("delivery-repeated", CONFLICT, "This delivery was taken before, or is being taken."),
    /// A budget is spent.
    RateLimited = ("rate-limited", TOO_MANY_REQUESTS, "Too many requests."),
    /// The body is larger than the route takes.
    BodyTooLarge = ("body-too-large", PAYLOAD_TOO_LARGE, "The body is larger than is allowed here."),
    /// The body did not come in time.
    BodyTimeout = ("body-timeout", REQUEST_TIMEOUT, "The body did not arrive in time."),
    /// An upgrade that the route does not allow.
    UpgradeRefused = ("upgrade-refused", BAD_REQUEST, "The connection can not be upgraded here."),
    /// Preflight of an origin or method that CORS does not allow.
    CorsRefused = ("cors-refused", FORBIDDEN, "The origin or method is not allowed."),
    /// A fact that judging needs can't be had now.
    FactUnavailable = ("temporarily-unavailable", SERVICE_UNAVAILABLE, "The request can not be judged at the moment."),
    /// No upstream can be reached.
    UpstreamUnavailable = ("upstream-unavailable", BAD_GATEWAY, "The service behind does not answer."),
    /// The upstream broke the protocol or its answer.
    UpstreamBroken = ("upstream-broken", BAD_GATEWAY, "The service behind gave an unusable answer."),
    /// The upstream took too long.
    UpstreamTimeout = ("upstream-timeout", GATEWAY_TIMEOUT, "The service behind did not answer in time."),
    /// The node is shedding load or draining.
    Overloaded = ("overloaded", SERVICE_UNAVAILABLE, "The service is busy; try again shortly."),
    /// A JSON or form body that does not fit (admin API).
    InvalidRequest = ("invalid-request", BAD_REQUEST, "The request is not valid."),
    /// A resource that does not exist (admin API).
    NotFound = ("not-found", NOT_FOUND, "No such resource."),
    /// The resource changed meanwhile, or already exists (admin API).
    Conflict = ("conflict", CONFLICT, "The resource has changed or exists already."),
    /// The resource is declared in a file and read-only here (admin API).
    ManagedByFile = ("managed-by-file", CONFLICT, "The resource is declared in a file and can only be changed there."),
    /// The state of the resource does not allow the act (admin API).
    WrongState = ("wrong-state", CONFLICT, "The resource is not in a state that allows this."),
    /// The actor's role does not allow the act (admin API).
    ActionNotAllowed = ("action-not-allowed", FORBIDDEN, "Your role does not allow this."),
    /// A defect of ours; the log has the cause.
    Internal = ("internal-error", INTERNAL_SERVER_ERROR, "Something went wrong on our side."),
}

/// A refusal: the public half and the log half.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Public: code, status, title.
    pub code: Code,
    /// Public `detail`, from values that are safe by type; e.g. which scope was missing.
    pub detail: Option<Box<str>>,
    /// Log only: what was found, in words; never a secret.
    pub cause: Box<str>,
    /// Seconds for `Retry-After`, rounded up.
    pub retry_after: Option<Duration>,
    /// Public: what the caller would have had to hold, for programs to read.
    pub missing: Option<Box<Missing>>,
    /// Values for `WWW-Authenticate`, one per acceptable credential kind.
    pub challenges: Vec<HeaderValue>,
    /// Values for `Allow` on 405.
    pub allow: Option<Box<HeaderValue>>,
}

impl Problem {
    /// A refusal with its cause for the log.
    pub fn new(code: Code, cause: impl Into<Box<str>>) -> Self {
        Self {
            code,
            detail: None,
            missing: None,
            cause: cause.into(),
            retry_after: None,
            challenges: Vec::new(),
            allow: None,
        }
    }
}

/// What was missing in a refusal of authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// These scopes, each of them.
    Scopes(Vec<Arc<str>>),
    /// One of these roles.
    AnyRole(Vec<RoleName>),
    /// A relation to the object that the call names.
    Relation {
        /// The object's type.
        #[serde(rename = "type")]
        object_type: Arc<str>,
        /// The relation.
        relation: Arc<str>,
    },
    /// What a policy asks for, by the word that the policy has for it.
    Policy(Box<str>),
}

impl Problem {
    /// The `application/problem+json` body (RFC 9457 §3), with the members `code`, `request_id`
    /// and, where something was missing, `missing`. The log half is not in it.
    pub fn to_json(&self, request_id: &str) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'static str,
            status: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
            code: &'static str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            missing: Option<&'a Missing>,
        }
        serde_json::to_string(&Body {
            r#type: self.code.urn(),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.as_deref(),
            code: self.code.code(),
            request_id,
            missing: self.missing.as_deref(),
        })
        .expect("strings and numbers are JSON")
    }

    /// The header fields of the answer, the body's type among them.
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut fields = vec![
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            ),
            // A refusal is this caller's, now: no cache may hand it to another.
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        fields.extend(
            self.challenges
                .iter()
                .map(|value| (WWW_AUTHENTICATE, value.clone())),
        );
        fields.extend(
            self.allow
                .iter()
                .map(|value| (ALLOW, HeaderValue::clone(value))),
        );
        if let Some(wait) = self.retry_after {
            // RFC 9110 §10.2.3: whole seconds. Rounded up, since a call that comes back on time
            // must pass; at least one, since 0 invites a loop.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            fields.push((RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        }
        fields
    }

    /// A 403 that names the scopes that were missing; scopes are public by the API's documents.
    pub(crate) fn scopes_missing(missing: Vec<Arc<str>>) -> Self {
        let mut detail = String::from("Missing:");
        for scope in &missing {
            let _ = write!(detail, " {scope}");
        }
        let mut problem = Self::new(Code::ScopeMissing, detail.as_str());
        problem.detail = Some(detail.into());
        problem.missing = Some(Box::new(Missing::Scopes(missing)));
        problem
    }

    /// A 403 that names the roles of which one was missing.
    pub(crate) fn role_missing(any_of: Vec<RoleName>) -> Self {
        let mut detail = String::from("One of these roles is needed:");
        for role in &any_of {
            let _ = write!(detail, " {role}");
        }
        let mut problem = Self::new(Code::RoleMissing, detail.as_str());
        problem.detail = Some(detail.into());
        problem.missing = Some(Box::new(Missing::AnyRole(any_of)));
        problem
    }
}

impl Problem {
    /// A 403 for an object that is not the caller's, or a 404 where that there is one is not told.
    pub(crate) fn relation_missing(
        object_type: &Arc<str>,
        relation: &Arc<str>,
        object: &str,
        hide: bool,
    ) -> Self {
        let cause = format!("the caller is no {relation} of {object}");
        if hide {
            return Self::new(Code::ObjectNotFound, cause);
        }
        let mut problem = Self::new(Code::ObjectNotAllowed, cause);
        problem.detail = Some(format!("Missing: {relation} of this {object_type}").into());
        problem.missing = Some(Box::new(Missing::Relation {
            object_type: object_type.clone(),
            relation: relation.clone(),
        }));
        problem
    }

    /// A 403 of a policy. Its reason is for the log; its code is for the caller.
    pub(crate) fn policy_denied(policy: &str, said: &Decision) -> Self {
        let reason = said.reason.as_deref().unwrap_or("it says no");
        let mut problem = Self::new(Code::PolicyDenied, format!("policy {policy}: {reason}"));
        if let Some(code) = &said.code {
            problem.missing = Some(Box::new(Missing::Policy(code.as_str().into())));
        }
        problem
    }
}

impl Code {
    /// The problem's `type` (RFC 9457 §3.1.1).
    pub fn urn(self) -> String {
        format!("urn:doorward:error:{}", self.code())
    }
}

impl From<Unavailable> for Problem {
    fn from(why: Unavailable) -> Self {
        let mut problem = Self::new(Code::FactUnavailable, why.to_string());
        problem.retry_after = Some(UNAVAILABLE_FOR);
        problem
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_unique_kebab_case_and_an_error() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            let text = code.code();
            assert!(seen.insert(text), "{text} stands twice");
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{text}"
            );
            assert!(
                !text.starts_with('-') && !text.ends_with('-') && !text.contains("--"),
                "{text}"
            );
            assert!(
                code.status().is_client_error() || code.status().is_server_error(),
                "{text}"
            );
            assert!(code.title().ends_with('.'), "{text}");
        }
    }

    #[test]
    fn c10_a_body_has_the_public_half_only() {
        let mut problem = Problem::new(Code::CredentialRefused, "key_7 is revoked");
        problem.challenges.push(HeaderValue::from_static("Bearer"));
        assert_eq!(
            problem.to_json("0193-\"x\""),
            "{\"type\":\"urn:doorward:error:credential-refused\",\
             \"title\":\"The credential is not accepted.\",\"status\":401,\
             \"code\":\"credential-refused\",\"request_id\":\"0193-\\\"x\\\"\"}"
        );
    }

    #[test]
    fn what_was_missing_is_there_for_programs_to_read() {
        let problem = Problem::scopes_missing(vec!["orders:write".into()]);
        let body: serde_json::Value = serde_json::from_str(&problem.to_json("1")).unwrap();
        assert_eq!(
            body["missing"],
            serde_json::json!({"scopes": ["orders:write"]})
        );
        assert_eq!(body["detail"], "Missing: orders:write");
        let problem = Problem::role_missing(vec![RoleName::new("clerk")]);
        let body: serde_json::Value = serde_json::from_str(&problem.to_json("1")).unwrap();
        assert_eq!(body["missing"], serde_json::json!({"any_role": ["clerk"]}));
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        for (wait, field) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let mut problem = Problem::new(Code::RateLimited, "");
            problem.retry_after = Some(Duration::from_millis(wait));
            let fields = problem.headers();
            let found = fields.iter().find(|(name, _)| name == RETRY_AFTER).unwrap();
            assert_eq!(found.1, field, "{wait} ms");
        }
    }

    #[test]
    fn every_unavailable_fact_is_503_with_a_wait() {
        let problem = Problem::from(Unavailable::KeySet);
        assert_eq!(problem.code.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            problem
                .headers()
                .iter()
                .any(|(name, _)| name == RETRY_AFTER)
        );
    }
}
