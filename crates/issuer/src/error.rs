//! **What clients are told** when an OAuth request is refused: every refusal has a public half (the
//! code of RFC 6749 §5.2 and a fixed sentence) and a log half (the reason's name and, where it
//! helps, a safe detail), from birth. All reasons for `invalid_client` are one public sentence, so
//! that a caller can't tell an unknown client from a wrong secret (threat C12).

use std::borrow::Cow;

/// The error codes that our endpoints answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// RFC 6749 §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2; 401.
    InvalidClient,
    /// RFC 6749 §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §5.2.
    InvalidScope,
    /// RFC 8707 §2.
    InvalidTarget,
    /// RFC 6749 §4.1.2.1, used here with 503 as its meaning says.
    TemporarilyUnavailable,
    /// RFC 6749 §4.1.2.1, used here with 500 as its meaning says.
    ServerError,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::TemporarilyUnavailable,
        Self::ServerError,
    ];

    /// The code as `error` carries it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::TemporarilyUnavailable => 503,
            Self::ServerError => 500,
            _ => 400,
        }
    }
}

const NOT_AUTHENTICATED: &str = "The client could not be authenticated.";
const NOT_NOW: &str = "The server can not handle the request at the moment; try again shortly.";

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = ($code:ident, $log:literal, $public:expr),)*) => {
        /// Why an OAuth request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }
        impl Reason {
            /// Every reason, for docs and tests to walk.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The public code.
            pub const fn code(self) -> ErrorCode { match self { $(Self::$name => ErrorCode::$code,)* } }
            /// The public sentence (`error_description`).
            pub const fn description(self) -> &'static str { match self { $(Self::$name => $public,)* } }
            /// The reason's stable name in logs.
            pub const fn log_name(self) -> &'static str { match self { $(Self::$name => $log,)* } }
        }
    };
}

reasons! {
    /// The body is not a well-formed form.
    MalformedForm = (InvalidRequest, "malformed-form", "The body is not well-formed application/x-www-form-urlencoded."),
    /// RFC 6749 §3.2: a parameter stands twice.
    RepeatedParameter = (InvalidRequest, "repeated-parameter", "A parameter is included more than once."),
    /// Not `application/x-www-form-urlencoded`.
    WrongContentType = (InvalidRequest, "wrong-content-type", "The body must be application/x-www-form-urlencoded."),
    /// RFC 6749 §3.2: parameters stand in the body, never in the request URI.
    ParametersInUri = (InvalidRequest, "parameters-in-uri", "Parameters belong in the body, not in the request URI."),
    /// The body is larger than any request of this kind.
    BodyTooLarge = (InvalidRequest, "body-too-large", "The body is too large."),
    /// `grant_type` is missing.
    GrantTypeMissing = (InvalidRequest, "grant-type-missing", "The parameter grant_type is missing."),
    /// `grant_type` names none of ours.
    GrantTypeUnknown = (UnsupportedGrantType, "grant-type-unknown", "The grant type is not supported."),
    /// `token` is missing.
    TokenMissing = (InvalidRequest, "token-missing", "The parameter token is missing."),
    /// RFC 6749 §2.3: more than one way of client authentication at once.
    SeveralClientMethods = (InvalidRequest, "several-client-methods", "More than one client authentication method is used."),
    /// `client_secret` without `client_id`.
    ClientIdMissing = (InvalidRequest, "client-id-missing", "The parameter client_id is missing."),
    /// `client_id` names another client than the credential does.
    ClientIdMismatch = (InvalidRequest, "client-id-mismatch", "The parameter client_id names another client than the authentication does."),
    /// One of `client_assertion` and `client_assertion_type` without the other.
    AssertionIncomplete = (InvalidRequest, "assertion-incomplete", "client_assertion and client_assertion_type go together."),

    /// No client authentication at all.
    NoClientAuthentication = (InvalidClient, "no-client-authentication", NOT_AUTHENTICATED),
    /// An `Authorization` scheme that is not ours, or credentials that can't be read.
    MalformedAuthorization = (InvalidClient, "malformed-authorization", NOT_AUTHENTICATED),
    /// The text is no client secret of ours.
    MalformedSecret = (InvalidClient, "malformed-secret", NOT_AUTHENTICATED),
    /// No secret has this id.
    UnknownSecret = (InvalidClient, "unknown-secret", NOT_AUTHENTICATED),
    /// The id exists, the secret is another one.
    WrongSecret = (InvalidClient, "wrong-secret", NOT_AUTHENTICATED),
    /// The secret is right, and belongs to another client.
    ForeignSecret = (InvalidClient, "foreign-secret", NOT_AUTHENTICATED),
    /// The secret is right, and is suspended, revoked or expired.
    DeadSecret = (InvalidClient, "dead-secret", NOT_AUTHENTICATED),
    /// The secret stands behind the other wall (`live` and `test`).
    WrongEnvironment = (InvalidClient, "wrong-environment", NOT_AUTHENTICATED),
    /// No such client.
    UnknownClient = (InvalidClient, "unknown-client", NOT_AUTHENTICATED),
    /// The client is registered for another method.
    WrongClientMethod = (InvalidClient, "wrong-client-method", NOT_AUTHENTICATED),
    /// `client_assertion_type` is not the JWT one.
    AssertionTypeUnknown = (InvalidClient, "assertion-type-unknown", NOT_AUTHENTICATED),
    /// The assertion is no JWT, or its header is not one we take.
    MalformedAssertion = (InvalidClient, "malformed-assertion", NOT_AUTHENTICATED),
    /// RFC 7523 §3: `iss` and `sub` are not both the client.
    AssertionSubject = (InvalidClient, "assertion-subject", NOT_AUTHENTICATED),
    /// The client has no such key (threat C13: another client's key is no key of this one).
    AssertionKey = (InvalidClient, "assertion-key", NOT_AUTHENTICATED),
    /// The signature does not hold.
    AssertionSignature = (InvalidClient, "assertion-signature", NOT_AUTHENTICATED),
    /// `aud` is not this server.
    AssertionAudience = (InvalidClient, "assertion-audience", NOT_AUTHENTICATED),
    /// Expired, not valid yet, or living longer than 5 min.
    AssertionTimes = (InvalidClient, "assertion-times", NOT_AUTHENTICATED),
    /// A claim is missing or of the wrong type.
    AssertionClaims = (InvalidClient, "assertion-claims", NOT_AUTHENTICATED),
    /// The `jti` was used before.
    AssertionReplayed = (InvalidClient, "assertion-replayed", NOT_AUTHENTICATED),

    /// The client may not use this grant.
    GrantNotAllowed = (UnauthorizedClient, "grant-not-allowed", "The client may not use this grant type."),
    /// RFC 7009 §2.1: the token was issued to another client.
    NotOwnToken = (UnauthorizedClient, "not-own-token", "The token was not issued to this client."),
    /// RFC 8707 §2: no declared API has this audience, or the client may not call it.
    UnknownTarget = (InvalidTarget, "unknown-target", "The requested resource is unknown or not granted to this client."),
    /// No `resource`, and the client is not granted exactly one API.
    TargetNeeded = (InvalidTarget, "target-needed", "The parameter resource is needed: the client is not granted exactly one API."),
    /// More resources than one token may name.
    TooManyTargets = (InvalidTarget, "too-many-targets", "Too many resources are requested for one token."),
    /// RFC 6749 §3.3: not a list of scope tokens.
    MalformedScope = (InvalidScope, "malformed-scope", "The requested scope is malformed."),
    /// A scope that is not granted for the requested APIs.
    ScopeNotGranted = (InvalidScope, "scope-not-granted", "The requested scope exceeds what is granted to this client."),
    /// All that is asked for makes a token larger than the cap.
    TokenTooLarge = (InvalidScope, "token-too-large", "The token would become too large; request fewer scopes or resources."),

    /// The store can't record, or a fact can't be had now.
    Unavailable = (TemporarilyUnavailable, "unavailable", NOT_NOW),
    /// There is no active signing key.
    NoSigningKey = (TemporarilyUnavailable, "no-signing-key", NOT_NOW),
    /// A defect of ours, or a damaged database.
    Internal = (ServerError, "internal", "Something went wrong on our side."),
}

/// A refused OAuth request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}", reason.log_name(), if cause.is_some() { ": " } else { "" }, cause.as_deref().unwrap_or(""))]
pub struct Refusal {
    reason: Reason,
    cause: Option<Cow<'static, str>>,
}

impl Refusal {
    /// A refusal with a cause for the log. The cause must hold no secret.
    pub fn because(reason: Reason, cause: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            cause: Some(cause.into()),
        }
    }
    /// Why; its code and description are what the client is told.
    pub fn reason(&self) -> Reason {
        self.reason
    }
    /// More of the log half; never a secret.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            cause: None,
        }
    }
}

impl From<registry::ports::StoreError> for Refusal {
    fn from(error: registry::ports::StoreError) -> Self {
        let reason = match &error {
            registry::ports::StoreError::Unavailable(_) => Reason::Unavailable,
            registry::ports::StoreError::Broken(_) => Reason::Internal,
        };
        Self::because(reason, error.to_string())
    }
}

impl From<verdict::facts::Unavailable> for Refusal {
    fn from(error: verdict::facts::Unavailable) -> Self {
        Self::because(Reason::Unavailable, error.to_string())
    }
}

/// The result of an OAuth request.
pub type Outcome<T> = Result<T, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_every_failed_client_authentication_reads_the_same() {
        for reason in Reason::ALL
            .iter()
            .filter(|r| r.code() == ErrorCode::InvalidClient)
        {
            assert_eq!(reason.description(), NOT_AUTHENTICATED, "{reason:?}");
        }
    }

    #[test]
    fn descriptions_hold_only_the_characters_that_rfc_6749_allows() {
        // RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E
        for reason in Reason::ALL {
            let clean = reason
                .description()
                .bytes()
                .all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e));
            assert!(clean, "{reason:?}");
        }
    }

    #[test]
    fn log_names_are_unique() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|r| r.log_name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn every_code_is_used() {
        for code in ErrorCode::ALL {
            assert!(Reason::ALL.iter().any(|r| r.code() == code), "{code:?}");
        }
    }

    #[test]
    fn the_log_half_names_the_reason_and_the_cause() {
        let refusal = Refusal::because(Reason::AssertionKey, "no key with this kid");
        assert_eq!(refusal.to_string(), "assertion-key: no key with this kid");
        assert_eq!(
            Refusal::from(Reason::UnknownClient).to_string(),
            "unknown-client"
        );
    }
}
