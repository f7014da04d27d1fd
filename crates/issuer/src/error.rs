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
    InvalidGrant,
    /// RFC 6749 §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §5.2.
    InvalidScope,
    /// RFC 8707 §2.
    InvalidTarget,
    /// RFC 8628 §3.5.
    AuthorizationPending,
    /// RFC 8628 §3.5.
    SlowDown,
    /// RFC 8628 §3.5.
    ExpiredToken,
    /// RFC 9449 §8.
    UseDpopNonce,
    /// RFC 9449 §5.
    InvalidDpopProof,
    /// RFC 6750 §3.1; 401.
    InvalidToken,
    /// RFC 6750 §3.1; 403.
    InsufficientScope,
    /// RFC 6749 §4.1.2.1, used here with 503 as its meaning says.
    TemporarilyUnavailable,
    /// RFC 6749 §4.1.2.1, used here with 500 as its meaning says.
    ServerError,
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 §4.1.2.1, RFC 8628 §3.5.
    AccessDenied,
    /// OpenID Connect Core §3.1.2.6.
    LoginRequired,
    /// OpenID Connect Core §3.1.2.6.
    ConsentRequired,
    /// OpenID Connect Core §3.1.2.6; for pushed requests RFC 9126 §4.
    InvalidRequestUri,
    /// OpenID Connect Core §3.1.2.6.
    RequestNotSupported,
    /// OpenID Connect Core §3.1.2.6.
    RequestUriNotSupported,
    /// OpenID Connect Core §3.1.2.6.
    RegistrationNotSupported,
    /// OpenID Connect Core Unmet Authentication Requirements 1.0 §2.
    UnmetAuthenticationRequirements,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 25] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::AuthorizationPending,
        Self::SlowDown,
        Self::ExpiredToken,
        Self::UseDpopNonce,
        Self::InvalidDpopProof,
        Self::InvalidToken,
        Self::InsufficientScope,
        Self::TemporarilyUnavailable,
        Self::ServerError,
        Self::UnsupportedResponseType,
        Self::AccessDenied,
        Self::LoginRequired,
        Self::ConsentRequired,
        Self::InvalidRequestUri,
        Self::RequestNotSupported,
        Self::RequestUriNotSupported,
        Self::RegistrationNotSupported,
        Self::UnmetAuthenticationRequirements,
    ];

    /// The code as `error` carries it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken => 401,
            Self::InsufficientScope => 403,
            Self::TemporarilyUnavailable => 503,
            Self::ServerError => 500,
            _ => 400,
        }
    }
}

const NOT_AUTHENTICATED: &str = "The client could not be authenticated.";
const REQUEST_URI: &str = "The request_uri is unknown, has expired or was used before.";
const BAD_GRANT: &str =
    "The code or token is invalid, expired, revoked, or was not issued for this request.";
const BAD_PROOF: &str = "The DPoP proof is not valid for this request.";
const BAD_TOKEN: &str =
    "The access token is malformed, expired, revoked, or not meant for this endpoint.";
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
    /// It proved who it is, and is suspended.
    SuspendedClient = (InvalidClient, "suspended-client", NOT_AUTHENTICATED),
    /// It proved who it is, from a network that it is not declared for.
    ClientNetwork = (InvalidClient, "client-network", NOT_AUTHENTICATED),
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
    /// RFC 8707 §2.2: APIs whose tokens have different forms; one token has one.
    MixedTargets = (InvalidTarget, "mixed-targets", "The requested resources take access tokens of different forms; ask for one token for each."),
    /// RFC 6749 §3.3: not a list of scope tokens.
    MalformedScope = (InvalidScope, "malformed-scope", "The requested scope is malformed."),
    /// A scope that is not granted for the requested APIs.
    ScopeNotGranted = (InvalidScope, "scope-not-granted", "The requested scope exceeds what is granted to this client."),
    /// All that is asked for makes a token larger than the cap.
    TokenTooLarge = (InvalidScope, "token-too-large", "The token would become too large; request fewer scopes or resources."),

    /// The authorization endpoint knows no such client. Said to people only.
    ClientNotRegistered = (InvalidRequest, "client-not-registered", "No client is registered under this client_id."),
    /// RFC 6749 §3.1.2.3: `redirect_uri` is missing where it must not be.
    RedirectUriMissing = (InvalidRequest, "redirect-uri-missing", "The parameter redirect_uri is missing."),
    /// RFC 6749 §3.1.2.4: `redirect_uri` is not one of the client's. Said to people only.
    RedirectUriUnregistered = (InvalidRequest, "redirect-uri-unregistered", "The redirect_uri is not registered for this client."),
    /// RFC 9126 §4: no pushed request has this reference any more.
    RequestUriUnknown = (InvalidRequestUri, "request-uri-unknown", REQUEST_URI),
    /// RFC 9126 §4: the request was pushed by another client; reads like an unknown one.
    RequestUriForeign = (InvalidRequestUri, "request-uri-foreign", REQUEST_URI),
    /// RFC 9126 §7.3: the request was completed before; reads like an unknown one.
    RequestUriSpent = (InvalidRequestUri, "request-uri-spent", REQUEST_URI),
    /// RFC 9126 §2.1: a pushed request that refers to another.
    RequestUriPushed = (InvalidRequest, "request-uri-pushed", "A pushed request must not hold a request_uri."),
    /// A `request_uri` that is not a pushed request's.
    RequestUriElsewhere = (RequestUriNotSupported, "request-uri-elsewhere", "The parameter request_uri is supported for pushed requests only."),
    /// A request object (RFC 9101).
    RequestObject = (RequestNotSupported, "request-object", "The parameter request is not supported."),
    /// Registration within a request.
    RegistrationParameter = (RegistrationNotSupported, "registration-parameter", "The parameter registration is not supported."),
    /// `response_type` is missing.
    ResponseTypeMissing = (InvalidRequest, "response-type-missing", "The parameter response_type is missing."),
    /// `response_type` is not `code`.
    ResponseTypeUnsupported = (UnsupportedResponseType, "response-type-unsupported", "The response type is not supported; code is."),
    /// `response_mode` is none of ours.
    ResponseModeUnsupported = (InvalidRequest, "response-mode-unsupported", "The response mode is not supported; query and form_post are."),
    /// The client, or its profile, demands a pushed request (RFC 9126 §5, FAPI 2.0 §5.3.2.2).
    PushDemanded = (InvalidRequest, "push-demanded", "The authorization request must be pushed to the pushed authorization request endpoint."),
    /// `state` is longer than any.
    StateTooLong = (InvalidRequest, "state-too-long", "The parameter state is too long."),
    /// PKCE is demanded.
    ChallengeMissing = (InvalidRequest, "challenge-missing", "The parameter code_challenge is missing: PKCE is required."),
    /// `code_challenge` is no SHA-256 in base64url.
    ChallengeMalformed = (InvalidRequest, "challenge-malformed", "The parameter code_challenge is malformed."),
    /// `code_challenge_method` is not `S256`, or stands alone.
    ChallengeMethod = (InvalidRequest, "challenge-method", "The code_challenge_method must be S256, beside a code_challenge."),
    /// There is no `scope`, and no default for it.
    ScopeNeeded = (InvalidScope, "scope-needed", "The parameter scope is missing."),
    /// The profile demands a `nonce`.
    NonceMissing = (InvalidRequest, "nonce-missing", "The parameter nonce is missing."),
    /// `nonce` is longer than any.
    NonceTooLong = (InvalidRequest, "nonce-too-long", "The parameter nonce is too long."),
    /// `prompt` holds something unknown, or `none` beside others.
    PromptMalformed = (InvalidRequest, "prompt-malformed", "The parameter prompt is malformed: none stands alone, or login, consent and select_account."),
    /// `max_age` is no number of seconds.
    MaxAgeMalformed = (InvalidRequest, "max-age-malformed", "The parameter max_age is malformed."),
    /// `acr_values` is no list, or too long.
    AcrValuesMalformed = (InvalidRequest, "acr-values-malformed", "The parameter acr_values is malformed."),
    /// `login_hint` is longer than any.
    LoginHintTooLong = (InvalidRequest, "login-hint-too-long", "The parameter login_hint is too long."),
    /// `id_token_hint` is no ID token of ours for this client.
    IdTokenHint = (InvalidRequest, "id-token-hint", "The id_token_hint is not an ID token that this server issued to this client."),
    /// `ui_locales` is no list, or too long.
    UiLocalesMalformed = (InvalidRequest, "ui-locales-malformed", "The parameter ui_locales is malformed."),
    /// `claims` has not the shape of OpenID Connect Core §5.5.
    ClaimsMalformed = (InvalidRequest, "claims-malformed", "The parameter claims is malformed."),
    /// `dpop_jkt` is no thumbprint.
    DpopJktMalformed = (InvalidRequest, "dpop-jkt-malformed", "The parameter dpop_jkt is malformed."),
    /// RFC 9449 §10.1: `dpop_jkt` and the proof beside it name two keys.
    DpopJktMismatch = (InvalidRequest, "dpop-jkt-mismatch", "The parameter dpop_jkt names another key than the DPoP proof."),
    /// OpenID Connect Core §5.5.1.1: an essential `acr` that is not reached here.
    AcrUnmet = (UnmetAuthenticationRequirements, "acr-unmet", "The authentication that is asked for as essential is not available."),
    /// `prompt=none`, and the person would have to log in.
    LoginNeeded = (LoginRequired, "login-needed", "The person must log in."),
    /// Another person is logged in than the one that the request names.
    AnotherPerson = (LoginRequired, "another-person", "Another person is logged in than the request is about."),
    /// `prompt=none`, and the person would have to be asked.
    ConsentNeeded = (ConsentRequired, "consent-needed", "The person must be asked for consent."),
    /// The person said no.
    Denied = (AccessDenied, "denied", "The person denied the request."),
    /// The person stands behind the other wall (`live` and `test`).
    PersonBehindWall = (AccessDenied, "person-behind-wall", "The person may not use this client."),
    /// A page's ticket does not open, or is over.
    TicketInvalid = (InvalidRequest, "ticket-invalid", "This page is too old or was not made for this browser. Start again where you came from."),
    /// A form of our pages came from another site (threat F4).
    ForeignOrigin = (InvalidRequest, "foreign-origin", "The form was not sent by this site."),
    /// OpenID RP-Initiated Logout 1.0 §2: nothing says whose `post_logout_redirect_uri` it is.
    LogoutClientMissing = (InvalidRequest, "logout-client-missing", "With post_logout_redirect_uri goes an id_token_hint or a client_id."),
    /// OpenID RP-Initiated Logout 1.0 §3: not registered. Said to people only.
    LogoutUriUnregistered = (InvalidRequest, "logout-uri-unregistered", "The post_logout_redirect_uri is not registered for this client."),
    /// The hint of a logout is no ID token of ours. Said to people only.
    LogoutHint = (InvalidRequest, "logout-hint", "The id_token_hint is not an ID token that this server issued to this client."),
    /// `code` is missing.
    CodeMissing = (InvalidRequest, "code-missing", "The parameter code is missing."),
    /// `refresh_token` is missing.
    RefreshTokenMissing = (InvalidRequest, "refresh-token-missing", "The parameter refresh_token is missing."),
    /// `device_code` is missing.
    DeviceCodeMissing = (InvalidRequest, "device-code-missing", "The parameter device_code is missing."),
    /// RFC 7636 §4.1: not 43 to 128 unreserved characters.
    MalformedVerifier = (InvalidRequest, "malformed-verifier", "The code_verifier must have 43 to 128 unreserved characters."),
    /// RFC 8693 §2.1: a parameter of token exchange is missing.
    ExchangeIncomplete = (InvalidRequest, "exchange-incomplete", "The parameters subject_token and subject_token_type are needed; actor_token and actor_token_type go together."),
    /// RFC 8693 §2.1: a type of token that is not taken or not made here.
    ExchangeType = (InvalidRequest, "exchange-type", "The token type is not supported; only access tokens are exchanged."),
    /// RFC 8693 §2.2.2: the subject or actor token is not acceptable.
    ExchangeToken = (InvalidRequest, "exchange-token", "The subject or actor token is not acceptable."),
    /// The chain of actors would become longer than five.
    ExchangeDepth = (InvalidRequest, "exchange-depth", "The chain of actors is too long."),

    /// There is no such code, it is over, or it is another client's.
    CodeUnknown = (InvalidGrant, "code-unknown", BAD_GRANT),
    /// The code was redeemed before; its grant is ended.
    CodeReused = (InvalidGrant, "code-reused", BAD_GRANT),
    /// RFC 6749 §4.1.3: another `redirect_uri` than the request's.
    RedirectMismatch = (InvalidGrant, "redirect-mismatch", BAD_GRANT),
    /// RFC 7636 §4.6: the verifier is missing, or not the challenge's.
    VerifierMismatch = (InvalidGrant, "verifier-mismatch", BAD_GRANT),
    /// RFC 9700 §2.1.1: a verifier, and the request had no challenge (threat F6).
    VerifierUnasked = (InvalidGrant, "verifier-unasked", BAD_GRANT),
    /// RFC 9449 §10: another key than `dpop_jkt`, or than the token is bound to; or none.
    KeyMismatch = (InvalidGrant, "key-mismatch", BAD_GRANT),
    /// There is no such refresh token, or it is another client's.
    RefreshUnknown = (InvalidGrant, "refresh-unknown", BAD_GRANT),
    /// The refresh token was replaced before; its grant is ended.
    RefreshReused = (InvalidGrant, "refresh-reused", BAD_GRANT),
    /// The grant is over, or its time.
    GrantEnded = (InvalidGrant, "grant-ended", BAD_GRANT),
    /// The person is gone, may not log in any more, or stands behind the other wall.
    PersonGone = (InvalidGrant, "person-gone", BAD_GRANT),
    /// There is no such device code, it is another client's, or it was redeemed.
    DeviceUnknown = (InvalidGrant, "device-unknown", BAD_GRANT),
    /// RFC 8628 §3.5.
    DevicePending = (AuthorizationPending, "device-pending", "The person has not decided yet."),
    /// RFC 8628 §3.5.
    DeviceTooFast = (SlowDown, "device-too-fast", "Poll more slowly: wait 5 seconds longer from now on."),
    /// RFC 8628 §3.5.
    DeviceExpired = (ExpiredToken, "device-expired", "The device code has expired."),
    /// RFC 8628 §3.5.
    DeviceDenied = (AccessDenied, "device-denied", "The person said no."),

    /// RFC 9449 §5.2: the client's tokens are bound to a key, and no proof came.
    ProofMissing = (InvalidDpopProof, "proof-missing", "A DPoP proof is needed."),
    /// RFC 9449 §4.3: more than one `DPoP` header.
    ProofRepeated = (InvalidDpopProof, "proof-repeated", "More than one DPoP header is present."),
    /// RFC 9449 §4.3: the proof does not hold.
    BadProof = (InvalidDpopProof, "bad-proof", BAD_PROOF),
    /// RFC 9449 §11.1: the proof's `jti` was used before.
    ProofReplayed = (InvalidDpopProof, "proof-replayed", BAD_PROOF),
    /// RFC 9449 §8: the proof has no nonce of this server, or an old one.
    NonceNeeded = (UseDpopNonce, "nonce-needed", "The DPoP proof must carry the nonce of the DPoP-Nonce header."),
    /// RFC 8705 §3: the client's tokens are bound to its certificate, and none was shown.
    CertificateMissing = (InvalidRequest, "certificate-missing", "A client certificate is needed."),
    /// The client's tokens are bound to its certificate, and a DPoP proof came as well.
    TwoConstraints = (InvalidRequest, "two-constraints", "The client's tokens are bound to its certificate; a DPoP proof has no place here."),

    /// RFC 8705 §2: the certificate does not hold, or is not this client's.
    BadCertificate = (InvalidClient, "bad-certificate", NOT_AUTHENTICATED),
    /// The client shows no certificate, and authenticates by one.
    NoCertificate = (InvalidClient, "no-certificate", NOT_AUTHENTICATED),
    /// An algorithm that the client's profile does not take.
    AssertionAlgorithm = (InvalidClient, "assertion-algorithm", NOT_AUTHENTICATED),

    /// RFC 6750 §3.1: no access token came.
    NoAccessToken = (InvalidToken, "no-access-token", "An access token is needed."),
    /// RFC 6750 §2: a token in more than one place, or one that can't be read.
    MalformedAccessToken = (InvalidRequest, "malformed-access-token", "The access token must come once, in the Authorization header or in the form."),
    /// RFC 6750 §3.1: not ours, over, revoked, or for another audience.
    DeadAccessToken = (InvalidToken, "dead-access-token", BAD_TOKEN),
    /// A bound token without its proof, or with another scheme (threat D1).
    UnboundUse = (InvalidToken, "unbound-use", BAD_TOKEN),
    /// RFC 6750 §3.1: a token without `openid`.
    OpenidNeeded = (InsufficientScope, "openid-needed", "The access token does not have the scope openid."),

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
