//! **What callers are told**: every refusal has a public half (code, status, fixed text) and a log
//! half (cause), from birth. One enum, walked by the docs and the tests.

use http::StatusCode;

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
    /// The address or origin is outside of what the credential allows.
    PlaceNotAllowed = ("place-not-allowed", FORBIDDEN, "The credential may not be used from here."),
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
    pub retry_after: Option<core::time::Duration>,
    /// Values for `WWW-Authenticate`, one per acceptable credential kind.
    pub challenges: Vec<http::HeaderValue>,
    /// Values for `Allow` on 405.
    pub allow: Option<http::HeaderValue>,
}

impl Problem {
    /// A refusal with its cause for the log.
    pub fn new(code: Code, cause: impl Into<Box<str>>) -> Self {
        Self {
            code,
            detail: None,
            cause: cause.into(),
            retry_after: None,
            challenges: Vec::new(),
            allow: None,
        }
    }
}
